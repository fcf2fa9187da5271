"""A generated scene as the simulated camera sees it: picture, surface, and standing fence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import numpy.typing as npt
import pyproj
import rasterio
import shapely
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.windows import Window

from corridor import InputError
from corridor.findings import BreachType, FenceState, FindingKind, read_condition, read_findings
from corridor.heightfield import Heightfield
from corridor.values import FloatArray

Bounds = tuple[float, float, float, float]

# Post width, rail, upright wires' pitch and thickness, level ones', askew, solid, mesh colour
# (grey levels in sunlight), post's grey level. Dimensions of common products: JT/T 374 and
# GB/T 26941 list 4 mm wire at 75 × 150 mm for welded mesh, 2.8-4 mm at 60 mm for chain link.
_STYLES = {
    "welded_mesh": (0.06, 0.03, 0.075, 0.004, 0.15, 0.004, 0.0, 0.0, 70.0, 120.0, 90.0, 120.0),
    "chain_link": (0.06, 0.04, 0.085, 0.004, 0.085, 0.004, 1.0, 0.0, 150.0, 152.0, 150.0, 165.0),
    "expanded_metal": (0.06, 0.04, 0.06, 0.008, 0.06, 0.008, 1.0, 0.0, 60.0, 110.0, 80.0, 110.0),
    "barbed_wire": (0.12, 0.0, 0.0, 0.0, 0.25, 0.006, 0.0, 0.0, 110.0, 100.0, 90.0, 175.0),
    "concrete_panel": (0.15, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 165.0, 162.0, 155.0, 170.0),
}


@dataclass(frozen=True)
class FencePanels:
    """Upright panels in the arrays that `draw_fence` takes."""

    panels: FloatArray
    styles: FloatArray
    openings: FloatArray
    opening_of: npt.NDArray[np.int64]

    @classmethod
    def none(cls) -> FencePanels:
        """No fence at all."""
        return cls(
            np.empty((0, 8)), np.zeros((1, 12)), np.empty((0, 5)), np.zeros(1, dtype=np.int64)
        )


@dataclass(frozen=True)
class CameraScene:
    """An open scene.

    Attributes:
        crs: projected, in metres.
        range_m: lowest and highest height of the surface.
        gsd_m: of the picture from above.
        fence: empty where the scene has no `truth.gpkg`.
    """

    folder: Path
    crs: pyproj.CRS
    range_m: tuple[float, float]
    gsd_m: float
    fence: FencePanels
    _ortho: Any
    _dsm: Any

    def surface(self, bounds_m: Bounds) -> Heightfield | None:
        """Heights within bounds; None where there are none."""
        window = _window(self._dsm, bounds_m)
        if window is None:
            return None
        heights = self._dsm.read(1, window=window, masked=True, out_dtype="float32")
        a, e = self._dsm.transform.a, -self._dsm.transform.e
        west = self._dsm.transform.c + window.col_off * a
        north = self._dsm.transform.f - window.row_off * e
        return Heightfield.of(np.ma.filled(heights, np.nan), west, north, a, e)

    def picture(
        self, bounds_m: Bounds, gsd_m: float
    ) -> tuple[npt.NDArray[np.uint8], FloatArray] | None:
        """(rows, columns, 3) and its grid, no finer than half of `gsd_m`; black where empty."""
        window = _window(self._ortho, bounds_m)
        if window is None:
            return None
        halvings = max(0, int(np.floor(np.log2(gsd_m / self.gsd_m) + 0.25)))
        rows = max(1, round(window.height / 2**halvings))
        columns = max(1, round(window.width / 2**halvings))
        pixels = self._ortho.read(
            [1, 2, 3], window=window, out_shape=(3, rows, columns), resampling=Resampling.average
        )
        if self._ortho.count >= 4:
            alpha = self._ortho.read(4, window=window, out_shape=(rows, columns))
            pixels[:, alpha == 0] = 0
        a, e = self._ortho.transform.a, -self._ortho.transform.e
        grid = np.array(
            [
                self._ortho.transform.c + window.col_off * a,
                self._ortho.transform.f - window.row_off * e,
                a * window.width / columns,
                e * window.height / rows,
            ]
        )
        return np.ascontiguousarray(np.moveaxis(pixels, 0, -1)), grid


def _window(source: Any, bounds_m: Bounds) -> Window | None:
    west, south, east, north = bounds_m
    a, e = source.transform.a, -source.transform.e
    left = max(0, int((west - source.transform.c) / a) - 4)
    right = min(source.width, int((east - source.transform.c) / a) + 5)
    top = max(0, int((source.transform.f - north) / e) - 4)
    bottom = min(source.height, int((source.transform.f - south) / e) + 5)
    if right <= left or bottom <= top:
        return None
    return Window(left, top, right - left, bottom - top)


@contextmanager
def open_scene(folder: str | Path, with_fence: bool = True) -> Iterator[CameraScene]:
    """Opens a scene's `ortho.tif`, `dsm.tif` and, for the fence, `truth.gpkg` and `dem.tif`.

    Raises:
        InputError: if the folder is no scene.
    """
    path = Path(folder)
    for name in ("ortho.tif", "dsm.tif"):
        if not (path / name).is_file():
            raise InputError(path, f"has no {name}", "a folder made by fencewalk scene")
    try:
        with rasterio.open(path / "ortho.tif") as ortho, rasterio.open(path / "dsm.tif") as dsm:
            crs = pyproj.CRS.from_user_input(ortho.crs) if ortho.crs else None
            if crs is None or not crs.is_projected or ortho.crs != dsm.crs:
                raise InputError(path, "ortho.tif and dsm.tif share no projected CRS")
            low_m, high_m = _range_of(dsm)
            fence = _read_fence(path, crs) if with_fence else FencePanels.none()
            yield CameraScene(
                folder=path,
                crs=crs,
                range_m=(low_m, high_m),
                gsd_m=float(ortho.transform.a),
                fence=fence,
                _ortho=ortho,
                _dsm=dsm,
            )
    except RasterioError as error:
        raise InputError(path, f"cannot be read ({error})", "a whole scene") from error


def _range_of(dsm: Any) -> tuple[float, float]:
    low_m, high_m = np.inf, -np.inf
    for _, window in dsm.block_windows(1):
        heights = dsm.read(1, window=window, masked=True).compressed()
        heights = heights[np.isfinite(heights)]
        if len(heights):
            low_m, high_m = min(low_m, float(heights.min())), max(high_m, float(heights.max()))
    if low_m > high_m:
        raise InputError(dsm.name, "holds no height")
    return low_m, high_m


def _read_fence(folder: Path, crs: pyproj.CRS) -> FencePanels:
    truth = folder / "truth.gpkg"
    if not truth.is_file() or "fence_line" not in list(geopandas.list_layers(truth)["name"]):
        return FencePanels.none()
    lines = geopandas.read_file(truth, layer="fence_line").to_crs(crs)
    to_grid = pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True)

    def on_grid(geometry: shapely.Geometry) -> shapely.Geometry:
        return shapely.transform(geometry, lambda xy: np.column_stack(to_grid.transform(*xy.T)))

    breaches = [
        (finding.breach_type, on_grid(finding.geometry))
        for finding in read_findings(truth)
        if finding.kind is FindingKind.BREACH
    ]
    none_built = [
        on_grid(piece.geometry)
        for piece in read_condition(truth)
        if piece.state is FenceState.NO_FENCE
    ]
    ground = folder / ("dem.tif" if (folder / "dem.tif").is_file() else "dsm.tif")
    with rasterio.open(ground) as dem:
        return _panels_of(lines, breaches, none_built, dem)


def _panels_of(
    lines: geopandas.GeoDataFrame,
    breaches: list[tuple[BreachType | None, shapely.Geometry]],
    none_built: list[shapely.Geometry],
    dem: Any,
) -> FencePanels:
    panels, openings, opening_of = [], [], [0]
    kinds = list(_STYLES)
    for row in lines.itertuples():
        line = row.geometry
        height_m, spacing_m = float(row.height_m), float(row.post_spacing_m)
        holes = _holes(line, height_m, breaches, none_built)
        stations = np.append(np.arange(0.0, line.length - 0.3, spacing_m), line.length)
        feet = shapely.get_coordinates(shapely.line_interpolate_point(line, stations))
        z = np.array([value[0] for value in dem.sample(feet)], dtype=np.float64)
        style = kinds.index(row.fence_kind) if row.fence_kind in kinds else 0
        for n in range(len(stations) - 1):
            if not np.isfinite(z[n : n + 2]).all():
                continue
            panels.append([*feet[n], z[n], *feet[n + 1], z[n + 1], height_m, style])
            start, end = stations[n], stations[n + 1]
            openings += [
                [a - start, b - start, low, high, gone]
                for a, b, low, high, gone in holes
                if a < end and b > start
            ]
            opening_of.append(len(openings))
    return FencePanels(
        np.array(panels, dtype=np.float64).reshape(-1, 8),
        np.array(list(_STYLES.values())),
        np.array(openings, dtype=np.float64).reshape(-1, 5),
        np.array(opening_of, dtype=np.int64),
    )


def _holes(
    line: shapely.LineString,
    height_m: float,
    breaches: list[tuple[BreachType | None, shapely.Geometry]],
    none_built: list[shapely.Geometry],
) -> list[tuple[float, float, float, float, float]]:
    """Along from and to, height from and to, and whether posts are gone too."""
    holes = []
    for kind, geometry in [*breaches, *((None, one) for one in none_built)]:
        places = shapely.get_coordinates(geometry)
        ends = shapely.points(places)
        if not len(places) or shapely.distance(line, ends).max() > 1.0:  # of another fence
            continue
        along = shapely.line_locate_point(line, ends)
        start, end = float(along.min()), float(along.max())
        if kind is BreachType.HOLE:
            holes.append((start, end, 0.05, min(1.2, 0.75 * height_m), 0.0))
        elif kind is BreachType.COLLAPSED:
            holes.append((start, end, 0.25 * height_m, height_m + 1.0, 1.0))
        else:
            holes.append((start, end, -1.0, height_m + 1.0, 1.0))
    return holes
