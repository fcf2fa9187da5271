"""Heights from a surface or terrain model's file, window by window."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyproj
import rasterio
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from corridor import InputError
from corridor.heightfield import Heightfield

Bounds = tuple[float, float, float, float]
"""West, south, east, north in metres."""


class SurfaceModel:
    """An open surface model in a projected CRS in metres.

    Attributes:
        crs: of the heights' grid; a model in degrees is warped to its UTM zone.
        bounds_m: of the grid.
        cell_m: the larger side of a cell.
        low_m, high_m: range of heights, from the file's overview where it has one.
    """

    def __init__(self, path: Path, source: rasterio.DatasetReader) -> None:
        self.path = path
        self._source = source
        self.crs = pyproj.CRS.from_user_input(source.crs)
        transform = source.transform
        if transform.b or transform.d or transform.a <= 0 or transform.e >= 0:
            raise InputError(path, "is turned or mirrored", "a north-up grid")
        self._west_m, self._north_m = transform.c, transform.f
        self._cell_x_m, self._cell_y_m = transform.a, -transform.e
        self.cell_m = max(self._cell_x_m, self._cell_y_m)
        self.bounds_m: Bounds = tuple(source.bounds)
        self.low_m, self.high_m = self._range()

    def around(self, bounds_m: Bounds, margin_m: float) -> Heightfield | None:
        """The heights within bounds and a margin; None where the model has no cell there."""
        west, south, east, north = bounds_m
        margin_m += 2 * self.cell_m
        left = math.floor((west - margin_m - self._west_m) / self._cell_x_m)
        right = math.ceil((east + margin_m - self._west_m) / self._cell_x_m)
        top = math.floor((self._north_m - north - margin_m) / self._cell_y_m)
        bottom = math.ceil((self._north_m - south + margin_m) / self._cell_y_m)
        left, top = max(left, 0), max(top, 0)
        right, bottom = min(right, self._source.width), min(bottom, self._source.height)
        if right <= left or bottom <= top:
            return None
        heights = self._read(Window(left, top, right - left, bottom - top))
        return Heightfield.of(
            heights,
            self._west_m + left * self._cell_x_m,
            self._north_m - top * self._cell_y_m,
            self._cell_x_m,
            self._cell_y_m,
        )

    def _read(self, window: Window) -> np.ndarray:
        try:
            heights = self._source.read(1, window=window, masked=True, out_dtype="float32")
        except RasterioError as error:
            raise InputError(self.path, f"cannot be read ({error})") from error
        filled = np.ma.filled(heights, np.nan)
        # Some tools leave their mark for "nothing" without saying so in the header.
        filled[~np.isfinite(filled) | (filled < -1000.0) | (filled > 9500.0)] = np.nan
        return filled

    def _range(self) -> tuple[float, float]:
        low, high = math.inf, -math.inf
        step = 1024
        for top in range(0, self._source.height, step):
            for left in range(0, self._source.width, step):
                size = min(step, self._source.width - left), min(step, self._source.height - top)
                heights = self._read(Window(left, top, *size))
                if np.isfinite(heights).any():
                    low = min(low, float(np.nanmin(heights)))
                    high = max(high, float(np.nanmax(heights)))
        if low > high:
            raise InputError(self.path, "holds no height at all", "a surface or terrain model")
        return low, high


@contextmanager
def open_surface(path: Path) -> Iterator[SurfaceModel]:
    """Opens a surface or terrain model.

    Raises:
        InputError: if it is none, or says not where it is.
    """
    if not path.is_file():
        raise InputError(path, "no such file")
    try:
        source = rasterio.open(path)
    except RasterioError as error:
        raise InputError(path, "is no readable raster", "a GeoTIFF of heights") from error
    with source:
        if source.count < 1 or source.crs is None or source.transform.is_identity:
            raise InputError(
                path, "does not say where it is", "a georeferenced surface or terrain model"
            )
        crs = pyproj.CRS.from_user_input(source.crs)
        if crs.is_projected and all(axis.unit_name == "metre" for axis in crs.axis_info[:2]):
            yield SurfaceModel(path, source)
            return
        if not crs.is_geographic:
            raise InputError(path, f"its CRS '{crs.name}' is not in metres", "a CRS in metres")
        zone = _utm_of(source.lnglat())
        with WarpedVRT(source, crs=zone, resampling=Resampling.bilinear, nodata=np.nan) as warped:
            yield SurfaceModel(path, warped)


def _utm_of(lonlat: tuple[float, float]) -> str:
    lon_deg, lat_deg = lonlat
    zone = min(int((lon_deg + 180) // 6) + 1, 60)
    return f"EPSG:{(32700 if lat_deg < 0 else 32600) + zone}"
