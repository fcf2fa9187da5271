"""Surface models read onto the orthophoto's grid."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from affine import Affine
from pyproj import CRS
from rasterio.enums import Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from analysis.raster_source import Bounds
from corridor import InputError

FloatGrid = npt.NDArray[np.float32]


@dataclass(frozen=True)
class SurfaceModel:
    """Heights of what the camera saw (ground, bushes, fence tops), one band, in metres.

    Attributes:
        path: the file.
        crs: what it is read in, the orthophoto's.
        gsd_m: side of its own pixel.
    """

    path: Path
    crs: CRS
    gsd_m: float

    @classmethod
    def open(cls, path: str | Path, crs: CRS, bounds: Bounds) -> SurfaceModel:
        """Opens a surface model to be read in another raster's CRS.

        Args:
            path: a raster of one band.
            crs: of the orthophoto.
            bounds: of the orthophoto, in `crs`.

        Raises:
            InputError: if it is no raster of heights in a known place, or lies elsewhere.
        """
        file = Path(path)
        if not file.is_file():
            raise InputError(file, "no such file", "a surface model as GeoTIFF is expected")
        if file.stat().st_size == 0:
            raise InputError(file, "is empty (0 bytes)", "a surface model as GeoTIFF is expected")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
                with rasterio.open(file) as dataset:
                    if dataset.crs is None:
                        raise InputError(
                            file, "has no georeference", f"gdal_edit.py -a_srs EPSG:… {file.name}"
                        )
                    if dataset.count != 1:
                        raise InputError(
                            file, f"has {dataset.count} bands", "one band of heights in metres"
                        )
                    with _in_crs(dataset, crs) as view:
                        west, north = view.transform @ (0, 0)
                        east, south = view.transform @ (view.width, view.height)
                        gsd_m = float(max(view.transform.a, -view.transform.e))
        except RasterioError as error:
            raise InputError(
                file, "is no raster that can be read", "a surface model as GeoTIFF is expected"
            ) from error
        apart = west >= bounds[2] or east <= bounds[0] or south >= bounds[3] or north <= bounds[1]
        if apart:
            raise InputError(file, "does not cover any of the orthophoto", "one of the same place")
        return cls(file, crs, gsd_m)

    def read(self, affine: Affine, shape: tuple[int, int]) -> FloatGrid:
        """Heights at the pixel centres of a window of the orthophoto, NaN where there are none.

        Bilinear between the model's pixels; missing where one of those is.

        Args:
            affine: of the window, as `Orthophoto.read` gives it.
            shape: (rows, columns) of the window.
        """
        rows, columns = shape
        x = affine.c + (np.arange(columns) + 0.5) * affine.a
        y = affine.f + (np.arange(rows) + 0.5) * affine.e
        with rasterio.open(self.path) as dataset, _in_crs(dataset, self.crs) as view:
            inverse = ~view.transform
            # Pixel coordinates with whole numbers at centres.
            u = inverse.a * x + inverse.c - 0.5
            v = inverse.e * y + inverse.f - 0.5
            x0, x1 = max(int(np.floor(u[0])), 0), min(int(np.floor(u[-1])) + 2, view.width)
            y0, y1 = max(int(np.floor(v[0])), 0), min(int(np.floor(v[-1])) + 2, view.height)
            if x0 >= x1 or y0 >= y1:
                return np.full(shape, np.nan, np.float32)
            heights = view.read(1, window=Window(x0, y0, x1 - x0, y1 - y0)).astype(np.float32)
            if view.nodata is not None and not np.isnan(view.nodata):
                heights[heights == np.float32(view.nodata)] = np.nan
        return _bilinear(heights, v - y0, u - x0)

    def at(self, xy: npt.NDArray[np.float64]) -> FloatGrid:
        """Heights at points (N, 2) of the orthophoto's CRS, NaN where there are none."""
        margin_m = self.gsd_m
        low, high = xy.min(axis=0) - margin_m, xy.max(axis=0) + margin_m
        pixel_m = self.gsd_m / 2
        columns = math.ceil((high[0] - low[0]) / pixel_m)
        rows = math.ceil((high[1] - low[1]) / pixel_m)
        affine = Affine(pixel_m, 0.0, float(low[0]), 0.0, -pixel_m, float(high[1]))
        heights = self.read(affine, (rows, columns))
        column = ((xy[:, 0] - low[0]) / pixel_m).astype(np.int64)
        row = ((high[1] - xy[:, 1]) / pixel_m).astype(np.int64)
        return heights[np.clip(row, 0, rows - 1), np.clip(column, 0, columns - 1)]


def _in_crs(dataset: Any, crs: CRS) -> Any:
    """A north-up view of a dataset in `crs`."""
    own = dataset.nodata
    return WarpedVRT(
        dataset,
        crs=crs.to_wkt(),
        resampling=Resampling.bilinear,
        nodata=np.nan if own is None else own,
        dtype="float32",
    )


def _bilinear(grid: FloatGrid, rows: Any, columns: Any) -> FloatGrid:
    """Values of `grid` at the crossings of fractional `rows` and `columns`, NaN outside."""

    def weights(at: Any, size: int) -> tuple[Any, Any, Any, Any]:
        low = np.floor(at).astype(np.int64)
        # The outer half of the rim's pixels takes the rim's value.
        inside = (at >= -0.5) & (at <= size - 0.5)
        return (
            np.clip(low, 0, size - 1),
            np.clip(low + 1, 0, size - 1),
            (at - low).astype(np.float32),
            inside,
        )

    r0, r1, r, row_in = weights(rows, grid.shape[0])
    c0, c1, c, column_in = weights(columns, grid.shape[1])
    values = np.zeros((len(r), len(c)), np.float32)
    for row, down in ((r0, 1 - r), (r1, r)):
        for column, across in ((c0, 1 - c), (c1, c)):
            share = down[:, None] * across[None, :]
            # A missing neighbour that has no share must not make a value missing.
            values += np.where(share > 0, share * grid[row][:, column], np.float32(0))
    values[~row_in] = np.nan
    values[:, ~column_in] = np.nan
    return np.asarray(values, dtype=np.float32)
