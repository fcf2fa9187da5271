"""The pixel grid of a scene and windows of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Window:
    """A rectangle of pixels of a global grid, in the scene's metres east and north.

    Attributes:
        left_m, top_m: the grid's outer upper left corner.
        px_m: pixel size.
        col, row: the window's first column and row in the grid; may be negative.
        width, height: in pixels.
    """

    left_m: float
    top_m: float
    px_m: float
    col: int
    row: int
    width: int
    height: int

    def x_m(self, i: float) -> float:
        """East of the centre of the window's column `i`."""
        return self.left_m + (self.col + i + 0.5) * self.px_m

    def y_m(self, j: float) -> float:
        """North of the centre of the window's row `j`."""
        return self.top_m - (self.row + j + 0.5) * self.px_m

    @property
    def bounds_m(self) -> tuple[float, float, float, float]:
        """West, south, east, north of the outer edges."""
        return (
            self.x_m(-0.5),
            self.y_m(self.height - 0.5),
            self.x_m(self.width - 0.5),
            self.y_m(-0.5),
        )

    def grown(self, pixels: int) -> Window:
        """The window with a margin on all four sides."""
        return Window(
            self.left_m,
            self.top_m,
            self.px_m,
            self.col - pixels,
            self.row - pixels,
            self.width + 2 * pixels,
            self.height + 2 * pixels,
        )

    def part(self, west: float, south: float, east: float, north: float) -> Window | None:
        """The pixels of the window that may touch a rectangle; None if there are none."""
        i0 = max(0, math.floor((west - self.left_m) / self.px_m) - 1 - self.col)
        i1 = min(self.width, math.ceil((east - self.left_m) / self.px_m) + 1 - self.col)
        j0 = max(0, math.floor((self.top_m - north) / self.px_m) - 1 - self.row)
        j1 = min(self.height, math.ceil((self.top_m - south) / self.px_m) + 1 - self.row)
        if i0 >= i1 or j0 >= j1:
            return None
        return replace(self, col=self.col + i0, row=self.row + j0, width=i1 - i0, height=j1 - j0)

    def finer(self, factor: int) -> Window:
        """The same ground in pixels `factor` times smaller."""
        return Window(
            self.left_m,
            self.top_m,
            self.px_m / factor,
            self.col * factor,
            self.row * factor,
            self.width * factor,
            self.height * factor,
        )

    def coarse(self, px_m: float, margin_m: float) -> Window:
        """Coarser pixels whose centres surround the window's by at least `margin_m`."""
        west, south, east, north = self.bounds_m
        col = int((west - self.left_m - margin_m) // px_m) - 1
        row = int((self.top_m - north - margin_m) // px_m) - 1
        col_end = int((east - self.left_m + margin_m) // px_m) + 2
        row_end = int((self.top_m - south + margin_m) // px_m) + 2
        return Window(self.left_m, self.top_m, px_m, col, row, col_end - col, row_end - row)
