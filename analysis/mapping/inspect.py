"""What an orthophoto from elsewhere is, and whether the analysis can work with it."""

from __future__ import annotations

import math
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyproj
import rasterio
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from analysis.raster import Orthophoto
from corridor import InputError

# A welded mesh's posts are some 6 cm and its narrowest breach of interest 40 cm wide: two pixels
# on a post, and three on a narrow footpath (0.25 m), is what their detection needs.
FENCE_GSD_M = 0.03
ROUGH_FENCE_GSD_M = 0.08
FOOTPATH_GSD_M = 0.30

_SAMPLE_PX = 1024


@dataclass(frozen=True)
class Remark:
    """Something to know; `blocking` means that the analysis refuses the file."""

    level: Literal["blocking", "warning", "note"]
    text: str


@dataclass(frozen=True)
class Inspection:
    """What a raster is.

    Attributes:
        crs: name and authority code; empty where the file has none.
        gsd_m: width and height of a pixel in metres on the ground; None without a CRS.
        bounds_lonlat: west, south, east, north; None without a CRS.
        transparency: `alpha`, `nodata`, `mask` or `none`.
        overviews: their factors.
        cog: whether it is laid out as a cloud-optimised GeoTIFF.
        valid_frac: share of pixels that hold a picture, from a thinned reading.
    """

    path: str
    driver: str
    file_bytes: int
    width_px: int
    height_px: int
    bands: tuple[str, ...]
    dtype: str
    crs: str
    gsd_m: tuple[float, float] | None
    bounds_lonlat: tuple[float, float, float, float] | None
    transparency: str
    nodata: float | None
    valid_frac: float
    compression: str
    tiled: bool
    block_px: tuple[int, int]
    overviews: tuple[int, ...]
    cog: bool
    remarks: tuple[Remark, ...]

    @property
    def suits(self) -> bool:
        """Whether the analysis takes it."""
        return not any(remark.level == "blocking" for remark in self.remarks)

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {**asdict(self), "suits": self.suits}


def inspect_orthophoto(path: Path) -> Inspection:
    """Reads headers and a thinned picture.

    Raises:
        InputError: if the file is no raster.
    """
    if not path.is_file():
        raise InputError(path, "no such file")
    if path.stat().st_size == 0:
        raise InputError(path, "is empty")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            with rasterio.open(path) as source:
                return _inspect(path, source)
        except RasterioError as error:
            raise InputError(
                path, f"is no readable raster ({error})", "GeoTIFF, or what GDAL reads"
            ) from error


def _inspect(path: Path, source: Any) -> Inspection:
    gsd_m = _gsd_m(source)
    overviews = tuple(source.overviews(1))
    block = source.block_shapes[0]
    tiled = bool(source.profile.get("tiled", False)) or block[1] < source.width
    layout = source.tags(ns="IMAGE_STRUCTURE").get("LAYOUT", "")
    transparency = _transparency(source)
    valid_frac = _valid_frac(source)
    found = Inspection(
        path=str(path),
        driver=source.driver,
        file_bytes=path.stat().st_size,
        width_px=source.width,
        height_px=source.height,
        bands=tuple(kind.name for kind in source.colorinterp),
        dtype=source.dtypes[0],
        crs=_crs_name(source.crs),
        gsd_m=gsd_m,
        bounds_lonlat=_bounds_lonlat(source),
        transparency=transparency,
        nodata=None if source.nodata is None or math.isnan(source.nodata) else source.nodata,
        valid_frac=valid_frac,
        compression=source.compression.name if source.compression else "none",
        tiled=tiled,
        block_px=(block[1], block[0]),
        overviews=overviews,
        cog=layout == "COG",
        remarks=(),
    )
    return Inspection(**{**vars(found), "remarks": tuple(_remarks(path, found))})


def _remarks(path: Path, found: Inspection) -> list[Remark]:
    remarks: list[Remark] = []
    try:
        remarks += [Remark("note", note) for note in Orthophoto.open(path).notes]
    except InputError as error:
        advice = f"; {error.allowed}" if error.allowed else ""
        remarks.append(Remark("blocking", error.problem + advice))
    gsd_m = None if found.gsd_m is None else max(found.gsd_m)
    if gsd_m is not None:
        size = f"a pixel is {gsd_m * 100:.3g} cm"
        if gsd_m > FOOTPATH_GSD_M:
            remarks.append(
                Remark("warning", f"{size}: too coarse for fences, and for all but wide paths")
            )
        elif gsd_m > ROUGH_FENCE_GSD_M:
            remarks.append(Remark("warning", f"{size}: enough for footpaths, not for the fence"))
        elif gsd_m > FENCE_GSD_M:
            remarks.append(
                Remark("note", f"{size}: wide gaps in the fence will show, holes in mesh may not")
            )
    if found.transparency == "none" and found.valid_frac < 1.0:
        remarks.append(
            Remark("warning", "says not which pixels are empty; a black or white rim is taken so")
        )
    if found.compression == "jpeg" and "alpha" not in found.bands:
        remarks.append(Remark("note", "is compressed with loss (JPEG): fine mesh suffers"))
    pixels = found.width_px * found.height_px
    if not found.tiled and pixels > 25_000_000:
        remarks.append(
            Remark("warning", "is not tiled: reading a strip of it reads whole lines (--cog)")
        )
    if not found.overviews and pixels > 25_000_000:
        remarks.append(Remark("note", "has no overviews: it is slow to look at (--cog)"))
    return remarks


def _transparency(source: Any) -> str:
    flags = source.mask_flag_enums[0]
    if MaskFlags.alpha in flags or ColorInterp.alpha in source.colorinterp:
        return "alpha"
    if MaskFlags.nodata in flags:
        return "nodata"
    return "mask" if MaskFlags.per_dataset in flags else "none"


def _valid_frac(source: Any) -> float:
    scale = max(1.0, max(source.width, source.height) / _SAMPLE_PX)
    shape = max(1, int(source.height / scale)), max(1, int(source.width / scale))
    mask = source.dataset_mask(out_shape=shape) > 0
    if mask.all() and source.nodata is None:
        bands = source.read(
            list(range(1, min(3, source.count) + 1)), out_shape=(min(3, source.count), *shape)
        )
        mask = (bands != bands.dtype.type(0)).any(axis=0)
    return float(np.mean(mask))


def _crs_name(crs: Any) -> str:
    if crs is None:
        return ""
    known = pyproj.CRS.from_user_input(crs)
    authority = known.to_authority(min_confidence=70)
    return f"{known.name} ({':'.join(authority)})" if authority else known.name


def _gsd_m(source: Any) -> tuple[float, float] | None:
    """On the ellipsoid, from the middle pixel to its neighbours."""
    if source.crs is None or source.transform.is_identity:
        return None
    column, row = source.width / 2, source.height / 2
    corners = [
        source.transform @ place for place in ((column, row), (column + 1, row), (column, row + 1))
    ]
    to_lonlat = pyproj.Transformer.from_crs(source.crs, "EPSG:4326", always_xy=True)
    lon, lat = to_lonlat.transform(*np.array(corners).T)
    if not np.isfinite([lon, lat]).all():
        return None
    _, _, away_m = pyproj.Geod(ellps="WGS84").inv([lon[0]] * 2, [lat[0]] * 2, lon[1:], lat[1:])
    return float(f"{away_m[0]:.5g}"), float(f"{away_m[1]:.5g}")


def _bounds_lonlat(source: Any) -> tuple[float, float, float, float] | None:
    if source.crs is None or source.transform.is_identity:
        return None
    to_lonlat = pyproj.Transformer.from_crs(source.crs, "EPSG:4326", always_xy=True)
    bounds = to_lonlat.transform_bounds(*source.bounds)
    if not np.isfinite(bounds).all():
        return None
    west, south, east, north = (round(float(value), 7) for value in bounds)
    return west, south, east, north
