"""The working grid: one scale of about 0.1 m for every picture, the same in every window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.footpaths.channels import RGB_STEPS
from analysis.raster import Orthophoto
from corridor import InputError

Array = npt.NDArray[Any]

COARSEST_GSD_M = 0.5
"""Coarser than this, a footpath is less than one or two pixels wide."""


@dataclass(frozen=True)
class WorkingGrid:
    """Square pixels of `gsd_m`, counted from the picture's north-west corner.

    Fine pictures are averaged by a whole number of pixels; coarse ones are interpolated, so that a
    path of a given width has the same number of pixels in every picture.

    Attributes:
        ortho: the picture.
        average: native pixels per working pixel, along a side.
        refine: working pixels per native pixel; one of the two is 1.
    """

    ortho: Orthophoto
    average: int
    refine: int

    @classmethod
    def of(cls, ortho: Orthophoto, gsd_m: float) -> WorkingGrid:
        """The grid for a picture, `gsd_m` being about what is wanted.

        Raises:
            InputError: if the picture is too coarse to show a footpath.
        """
        native_m = ortho.gsd_m
        if native_m > COARSEST_GSD_M:
            raise InputError(
                ortho.paths[0],
                f"has pixels of {native_m:.2f} m: footpaths cannot be seen",
                f"{COARSEST_GSD_M} m and finer is read, 0.1 m and finer shows narrow trails",
            )
        if native_m > 1.55 * gsd_m:
            return cls(ortho, 1, round(native_m / (1.5 * gsd_m) + 0.49))
        return cls(ortho, max(1, round(gsd_m / native_m)), 1)

    @property
    def gsd_m(self) -> float:
        """Metres per working pixel."""
        return self.ortho.gsd_m * self.average / self.refine

    def pixel_of(self, x: float, y: float) -> tuple[float, float]:
        """(row, column) of a place, counted in working pixels from the corner of the first."""
        return (self.ortho.bounds[3] - y) / self.gsd_m, (x - self.ortho.bounds[0]) / self.gsd_m

    def xy(self, rows: Array, columns: Array) -> Array:
        """(n, 2) x, y of places counted in working pixels from the corner of the first."""
        west, north = self.ortho.bounds[0], self.ortho.bounds[3]
        return np.column_stack([west + columns * self.gsd_m, north - rows * self.gsd_m])

    def read(self, row: int, column: int, rows: int, columns: int) -> tuple[Array, Array]:
        """Colours (rows, columns, 3) uint16 in steps of 1/16 level, and validity, of a window."""
        if self.refine == 1:
            patch = self._native(row, column, rows, columns, self.gsd_m)
            return patch[0].astype(np.uint16) * np.uint16(RGB_STEPS), patch[1]
        u = self.refine
        first_row, first_column = row // u - 1, column // u - 1
        last_row, last_column = -(-(row + rows) // u) + 1, -(-(column + columns) // u) + 1
        rgb, valid = self._native(
            first_row, first_column, last_row - first_row, last_column - first_column,
            self.ortho.gsd_m,
        )  # fmt: skip
        fine = _interpolated(_interpolated(rgb.astype(np.int32), u, 0), u, 1)
        fine = (fine * RGB_STEPS + 2 * u * u) // (4 * u * u)
        valid = np.repeat(np.repeat(valid, u, axis=0), u, axis=1)
        top, left = row - first_row * u, column - first_column * u
        cut = np.s_[top : top + rows, left : left + columns]
        return fine[cut].astype(np.uint16), valid[cut]

    def _native(
        self, row: int, column: int, rows: int, columns: int, gsd_m: float
    ) -> tuple[Array, Array]:
        west, north = self.ortho.bounds[0], self.ortho.bounds[3]
        # A little inside the pixels' edges, so that rounding adds no row.
        box = (
            west + (column + 0.01) * gsd_m,
            north - (row + rows - 0.01) * gsd_m,
            west + (column + columns - 0.01) * gsd_m,
            north - (row + 0.01) * gsd_m,
        )
        patch = self.ortho.read(box, gsd_m)
        return patch.rgb, patch.valid


def _interpolated(values: Array, factor: int, axis: int) -> Array:
    """Linear interpolation to `factor` pixels each, times `2 * factor`, in whole numbers."""
    before, after = np.roll(values, 1, axis), np.roll(values, -1, axis)
    phases = []
    for phase in range(factor):
        weight = 2 * phase + 1 - factor
        other = before if weight < 0 else after
        phases.append(values * (2 * factor - abs(weight)) + other * abs(weight))
    stacked = np.stack(phases, axis=axis + 1)
    shape = list(values.shape)
    shape[axis] *= factor
    return stacked.reshape(shape)
