"""Small pictures of ground for the tests of plots: where its pixels are, stripes, the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
from affine import Affine

from analysis.raster import Orthophoto

WEST, NORTH = 500_000.0, 3_000_000.0
GREEN, SOIL = np.array((70.0, 110.0, 60.0)), np.array((140.0, 110.0, 85.0))


class Ground:
    """A square of pixels, `px_m` wide, south-east of (`WEST`, `NORTH`)."""

    def __init__(self, size_px: int, px_m: float) -> None:
        self.shape, self.px_m = (size_px, size_px), px_m
        at_m = (np.arange(size_px) + 0.5) * px_m
        self.east_m, self.south_m = np.meshgrid(at_m, at_m)

    def stripes(self, period_m: float, angle_deg: float) -> np.ndarray:
        """0 to 1, the stripes running at an angle counter-clockwise from east."""
        angle = np.radians(angle_deg)
        across = self.east_m * np.sin(angle) + self.south_m * np.cos(angle)  # south, not north
        return 0.5 + 0.5 * np.sin(2 * np.pi * across / period_m)

    def box(self, west: float, north: float, east: float, south: float) -> np.ndarray:
        """1 within metres east and south of the corner, 0 elsewhere."""
        inside = (self.east_m >= west) & (self.east_m < east)
        return (inside & (self.south_m >= north) & (self.south_m < south)).astype(float)

    def ortho(self, folder: Path, rgb: np.ndarray) -> Orthophoto:
        """A picture of (H, W, 3) colours, 1 to 254."""
        path = folder / "ortho.tif"
        with rasterio.open(
            path, "w", driver="GTiff", width=rgb.shape[1], height=rgb.shape[0], count=3,
            dtype="uint8", crs="EPSG:32648",
            transform=Affine(self.px_m, 0, WEST, 0, -self.px_m, NORTH),
        ) as sink:  # fmt: skip
            sink.write(np.clip(rgb, 1, 254).astype(np.uint8).transpose(2, 0, 1))
        return Orthophoto.open(path)
