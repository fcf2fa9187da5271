"""Vector files as they are: layers, columns, geometries, and their coordinates in WGS 84."""

from __future__ import annotations

import json
import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import shapely
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError
from pyproj.transformer import TransformerGroup
from shapely.geometry.base import BaseGeometry

from corridor.errors import (
    CoordinateError,
    InputError,
    MissingCrsError,
    SwappedAxesError,
    UnreadableError,
    ZeroLengthError,
)
from corridor.values import FloatArray

# Shapefiles cut column names to ten characters.
_SHORT_NAME = 10
# No road is built beyond; a latitude above it is a longitude in the wrong place.
_HIGHEST_LATITUDE_DEG = 75.0
# How far outside its stated area a CRS is still believed (zones are stretched in practice).
_AREA_MARGIN_DEG = 5.0
_STATE_CRS = (
    "state it with --crs, for example --crs EPSG:4326 (longitude and latitude in degrees) or "
    "--crs EPSG:4545 (CGCS2000 3-degree zone), or save the file with its CRS (QGIS: Set layer CRS)"
)


@dataclass(frozen=True)
class VectorLayer:
    """One layer of a vector file.

    Attributes:
        path: the file.
        source: names file and layer in messages.
        crs: as the file states it; None if it does not.
        names: its columns.
        columns: one array a column, each (N,).
        geometries: N geometries without heights; None where a feature has none.
    """

    path: str
    source: str
    crs: str | None
    names: tuple[str, ...]
    columns: tuple[npt.NDArray[np.generic], ...]
    geometries: tuple[BaseGeometry | None, ...]

    @cached_property
    def _by_name(self) -> dict[str, int]:
        return {name.lower(): index for index, name in reversed(list(enumerate(self.names)))}

    def column(self, name: str) -> npt.NDArray[np.generic] | None:
        """A column by name, in any case, or cut to ten characters as in a Shapefile."""
        for form in (name.lower(), name.lower()[:_SHORT_NAME]):
            if form in self._by_name:
                return self.columns[self._by_name[form]]
        return None

    def geometry_kinds(self) -> list[str]:
        """The kinds of geometry there are, sorted."""
        return sorted({g.geom_type for g in self.geometries if g is not None})


def read_layers(
    path: str | Path, *, layer: str | None = None, prefer: str | None = None
) -> list[VectorLayer]:
    """The layers of a vector file: the one asked for, or those that hold lines, points or areas.

    Args:
        path: the file.
        layer: the one layer to read.
        prefer: the layer to read where a file has several and none is asked for; folders of a KML
            are all read, since they are how people sort lines there.

    Raises:
        InputError: if there is no such file or layer, or it cannot be read, or it is unclear which
            layer is meant.
    """
    file = Path(path)
    if not file.exists():
        raise InputError(path, "no such file")
    if file.is_file() and file.stat().st_size == 0:
        raise UnreadableError(path, "is empty (0 bytes)")
    import pyogrio  # here, since it brings pandas: what reads no vector file starts without it

    opened = _inside(file)
    try:
        listed = pyogrio.list_layers(opened)
    except pyogrio.errors.DataSourceError as error:
        raise UnreadableError(
            path,
            f"cannot be read as a vector file ({_reason(error, file)})",
            "GeoJSON, GeoPackage, Shapefile, KML and KMZ are read",
        ) from error
    names = [str(name) for name, _ in listed]
    if layer is not None and layer not in names:
        raise InputError(path, f"has no layer '{layer}'", f"it holds {', '.join(names)}")
    spatial = [str(name) for name, kind in listed if kind is not None]
    if layer is not None:
        chosen = [layer]
    elif prefer in spatial:
        chosen = [str(prefer)]
    elif len(spatial) > 1 and file.suffix.lower() not in (".kml", ".kmz"):
        raise InputError(
            path, f"has {len(spatial)} layers ({', '.join(spatial)})", "choose one with --layer"
        )
    else:
        chosen = spatial
    return [_read_layer(file, opened, name, len(names) > 1) for name in chosen]


def to_wgs84_lonlat(
    table: VectorLayer, stated_crs: str | None = None
) -> tuple[list[tuple[FloatArray, ...]], list[str]]:
    """The coordinates of each geometry in WGS 84, one (N, 2) array a part, and what to know of it.

    Args:
        table: the layer.
        stated_crs: the CRS that the user states for a file without one.

    Raises:
        MissingCrsError: if neither the file nor the user states a CRS.
        SwappedAxesError: if the axes seem to be swapped.
        CoordinateError: if a coordinate is not finite or lies outside the area of the CRS.
        InputError: if the user states a CRS that is unknown, or another than the file does.
    """
    crs = _crs_of(table, stated_crs)
    parts = [_coordinates(geometry) for geometry in table.geometries]
    every = [part for of_one in parts for part in of_one]
    notes: list[str] = []
    if not every:
        return parts, notes
    points = np.concatenate(every)
    if not np.isfinite(points).all():
        row = next(i for i, of in enumerate(parts) if any(not np.isfinite(p).all() for p in of))
        raise CoordinateError(
            f"{table.source} line {row + 1}", "has a coordinate that is not a number"
        )
    _check_axes(table.source, crs, points)
    if crs.equals(CRS.from_epsg(4326), ignore_axis_order=True):
        return parts, notes
    transformer, note = _best_transformer(crs)
    if note:
        notes.append(f"{table.source}: {note}")
    return [tuple(_transformed(transformer, part) for part in of_one) for of_one in parts], notes


def _read_layer(file: Path, opened: str, name: str, several: bool) -> VectorLayer:
    import pyogrio

    source = f"{file} layer {name}" if several else str(file)
    try:
        with warnings.catch_warnings():
            # GDAL warns of what is judged here (mixed kinds, odd coordinates).
            warnings.simplefilter("ignore")
            meta, _, wkb, columns = pyogrio.raw.read(opened, layer=name, force_2d=True)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
        raise UnreadableError(source, f"cannot be read ({_reason(error, file)})") from error
    except pyogrio.errors.FeatureError as error:
        raise UnreadableError(source, f"holds a feature that cannot be read ({error})") from error
    geometries = []
    for row, data in enumerate(wkb if wkb is not None else []):
        try:
            with np.errstate(invalid="ignore"):  # NaN is judged by who reads the coordinates
                geometries.append(None if data is None else shapely.from_wkb(data))
        except shapely.errors.GEOSException as error:
            raise ZeroLengthError(
                f"{source} line {row + 1}",
                "has one point only" if _is_line(data) else f"cannot be understood ({error})",
                "a line needs two points or more",
            ) from error
    crs = meta["crs"]
    if (
        crs is not None
        and file.suffix.lower() in (".geojson", ".json")
        and _is_in_metres(geometries)
    ):
        # GDAL takes a GeoJSON that states nothing for degrees, as the standard has it.
        crs = crs if _states_crs(file) else None
    return VectorLayer(
        path=str(file),
        source=source,
        crs=crs,
        names=tuple(str(field) for field in meta["fields"]),
        columns=tuple(columns),
        geometries=tuple(geometries),
    )


def _inside(file: Path) -> str:
    """What GDAL is to open: of a KMZ the document in it, since its driver loses columns there."""
    if file.suffix.lower() != ".kmz":
        return str(file)
    try:
        with zipfile.ZipFile(file) as archive:
            names = [name for name in archive.namelist() if name.lower().endswith(".kml")]
    except zipfile.BadZipFile as error:
        raise UnreadableError(file, "is no KMZ (a zip archive with a .kml in it)") from error
    if not names:
        raise UnreadableError(file, "holds no .kml")
    return f"/vsizip/{file.resolve()}/{min(names, key=lambda name: (name.count('/'), name))}"


def _crs_of(table: VectorLayer, stated_crs: str | None) -> CRS:
    stated = None
    if stated_crs is not None:
        try:
            stated = CRS.from_user_input(stated_crs)
        except CRSError as error:
            raise InputError("--crs", f"'{stated_crs}' is no CRS", "as EPSG:4545") from error
    if table.crs is None:
        if stated is None:
            raise MissingCrsError(table.source, "carries no CRS", _STATE_CRS)
        return stated
    own = CRS.from_user_input(table.crs)
    if stated is not None and not stated.equals(own, ignore_axis_order=True):
        raise InputError(
            "--crs",
            f"'{stated_crs}' contradicts {table.source}, which says {own.name}",
            "--crs is for files that carry none; correct the file if its CRS is wrong",
        )
    return own


def _check_axes(source: str, crs: CRS, points: FloatArray) -> None:
    if crs.is_geographic:
        low, high = np.abs(points).min(axis=0), np.abs(points).max(axis=0)
        lon, lat = points[0]
        if high[1] <= _HIGHEST_LATITUDE_DEG and high[0] <= 180.0:
            return
        if high[0] <= _HIGHEST_LATITUDE_DEG and low[1] > _HIGHEST_LATITUDE_DEG and high[1] <= 180:
            raise SwappedAxesError(
                source,
                f"latitude and longitude seem to be swapped: it starts at longitude {lon:.5f}, "
                f"latitude {lat:.5f}",
                "write longitude first; nothing was changed",
            )
        raise CoordinateError(
            source,
            f"longitude {lon:.3f}, latitude {lat:.3f} cannot be a road in degrees",
            "longitude -180 to 180, latitude -75 to 75; coordinates in metres need their CRS",
        )
    area = crs.area_of_use
    if area is None:
        return
    transformer = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    middle = points.mean(axis=0)

    def fits(x: float, y: float) -> bool:
        lon, lat = transformer.transform(x, y)
        return (
            area.west - _AREA_MARGIN_DEG <= lon <= area.east + _AREA_MARGIN_DEG
            and area.south - _AREA_MARGIN_DEG <= lat <= area.north + _AREA_MARGIN_DEG
        )

    if fits(middle[0], middle[1]):
        return
    if fits(middle[1], middle[0]):
        raise SwappedAxesError(
            source,
            f"easting and northing seem to be swapped: x {middle[0]:.0f}, y {middle[1]:.0f} in "
            f"{crs.name}",
            "write easting first; nothing was changed",
        )
    raise CoordinateError(
        source,
        f"x {middle[0]:.0f}, y {middle[1]:.0f} lies far outside the area of {crs.name}",
        f"that is {area.name}; is the CRS right?",
    )


def _best_transformer(crs: CRS) -> tuple[Transformer, str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        group = TransformerGroup(crs, "EPSG:4326", always_xy=True)
    if not group.transformers:
        raise CoordinateError(crs.name, "cannot be turned into WGS 84")
    best = group.transformers[0]
    accuracy_m = best.accuracy
    if accuracy_m is None or accuracy_m < 0:
        return best, f"{crs.name} is turned into WGS 84 without a known accuracy"
    if accuracy_m > 1.0:
        return best, f"{crs.name} is turned into WGS 84 to about {accuracy_m:g} m only"
    return best, ""


def _transformed(transformer: Transformer, part: FloatArray) -> FloatArray:
    return np.column_stack(transformer.transform(part[:, 0], part[:, 1]))


def _coordinates(geometry: BaseGeometry | None) -> tuple[FloatArray, ...]:
    if geometry is None or geometry.is_empty:
        return ()
    return tuple(
        np.asarray(shapely.get_coordinates(part), dtype=np.float64)
        for part in shapely.get_parts(geometry)
        if not part.is_empty
    )


def _is_in_metres(geometries: Sequence[BaseGeometry | None]) -> bool:
    points = shapely.get_coordinates([g for g in geometries if g is not None])
    return bool((np.abs(points[np.isfinite(points)]) > 360.0).any())


def _states_crs(file: Path) -> bool:
    document = json.loads(file.read_text(encoding="utf-8-sig"))
    return isinstance(document, dict) and "crs" in document


def _is_line(wkb: bytes) -> bool:
    kind = int.from_bytes(wkb[1:5], "little" if wkb[0] == 1 else "big")
    return kind % 1000 in (2, 5)


def _reason(error: Exception, file: Path) -> str:
    """GDAL's reason without the path that the message names anyway."""
    text = str(error).replace(str(file), "it").strip().rstrip(".")
    return text.split(";")[0].split("\n")[0]
