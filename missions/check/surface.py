"""Elevations read anew for checking: plain windows of the raster, no code of the planner's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from pyproj import CRS, Transformer
from rasterio.windows import Window

from corridor.values import FloatArray


@dataclass(frozen=True)
class Heights:
    """Heights (N,) under positions, read in two ways; NaN without data."""

    bilinear_m: FloatArray
    nearest_m: FloatArray

    @property
    def higher_m(self) -> FloatArray:
        """The greater of both readings."""
        return np.asarray(np.maximum(self.bilinear_m, self.nearest_m))


class Surface:
    """The plan's elevations."""

    def __init__(self, path: Path) -> None:
        self._raster = rasterio.open(path)
        self._transform = Transformer.from_crs(
            "EPSG:4326", CRS.from_user_input(self._raster.crs), always_xy=True
        )

    def at(self, lonlat: FloatArray) -> Heights:
        """Heights under (N, 2) longitudes and latitudes."""
        x, y = self._transform.transform(lonlat[:, 0], lonlat[:, 1])
        column, row = ~self._raster.transform @ (np.asarray(x), np.asarray(y))
        window, left, top = self._window(column, row)
        nearest = _pick(window, np.floor(column) - left, np.floor(row) - top)
        c, r = column - 0.5, row - 0.5
        c0, r0 = np.floor(c), np.floor(r)
        fc, fr = c - c0, r - r0
        total = np.zeros(len(c))
        for dc, dr, weight in (
            (0, 0, (1 - fc) * (1 - fr)),
            (1, 0, fc * (1 - fr)),
            (0, 1, (1 - fc) * fr),
            (1, 1, fc * fr),
        ):
            value = _pick(window, c0 + dc - left, r0 + dr - top)
            total += np.where(weight > 1e-9, weight * value, 0.0)
        return Heights(total, nearest)

    def _window(self, column: FloatArray, row: FloatArray) -> tuple[FloatArray, int, int]:
        raster = self._raster
        left = int(np.clip(np.floor(column.min()) - 2, 0, raster.width - 1))
        top = int(np.clip(np.floor(row.min()) - 2, 0, raster.height - 1))
        right = int(np.clip(np.ceil(column.max()) + 2, left + 1, raster.width))
        bottom = int(np.clip(np.ceil(row.max()) + 2, top + 1, raster.height))
        data = raster.read(1, window=Window(left, top, right - left, bottom - top), masked=True)
        return np.asarray(data.astype(np.float64).filled(np.nan)), left, top


def _pick(window: FloatArray, column: FloatArray, row: FloatArray) -> FloatArray:
    c, r = column.astype(np.int64), row.astype(np.int64)
    inside = (c >= 0) & (r >= 0) & (c < window.shape[1]) & (r < window.shape[0])
    values = np.full(len(c), np.nan)
    values[inside] = window[r[inside], c[inside]]
    return values
