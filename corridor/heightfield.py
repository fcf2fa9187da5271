"""Compiled geometry that mapping and the simulated camera share: projection, and rays on a surface.

A surface is a grid of heights whose values belong to the cells' centres, with bilinear heights in
between; NaN is no surface. Grid coordinates are (column, row) of the centres, so that (0, 0) is the
first cell's centre; rows run south.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numba
import numpy as np
import numpy.typing as npt

from corridor.camera import Camera, Pose
from corridor.values import FloatArray

BLOCK = 16
"""Cells along a side of the blocks whose highest cell is known."""


def view_vector(camera: Camera, pose: Pose) -> FloatArray:
    """(24,) what the compiled functions need of a camera and its pose."""
    return np.array(
        [
            camera.focal_x_px,
            camera.fy_px,
            *camera.centre_px,
            *camera.distortion,
            min(camera.radius_limit**2, 1e12),
            *pose.rotation.ravel(),
            *pose.position_m,
            camera.width_px,
            camera.height_px,
        ]
    )


@numba.njit(cache=True)
def project_one(view: FloatArray, x_m: float, y_m: float, z_m: float) -> tuple[float, float, float]:
    """Column, row and depth (m) of one world point; depth -1 where it cannot be seen."""
    dx, dy, dz = x_m - view[19], y_m - view[20], z_m - view[21]
    depth_m = view[16] * dx + view[17] * dy + view[18] * dz
    if depth_m <= 1e-9:
        return 0.0, 0.0, -1.0
    x = (view[10] * dx + view[11] * dy + view[12] * dz) / depth_m
    y = (view[13] * dx + view[14] * dy + view[15] * dz) / depth_m
    r2 = x * x + y * y
    if r2 >= view[9]:
        return 0.0, 0.0, -1.0
    radial = 1.0 + r2 * (view[4] + r2 * (view[5] + r2 * view[8]))
    xd = x * radial + 2 * view[6] * x * y + view[7] * (r2 + 2 * x * x)
    yd = y * radial + view[6] * (r2 + 2 * y * y) + 2 * view[7] * x * y
    return view[0] * xd + view[2], view[1] * yd + view[3], depth_m


@dataclass(frozen=True)
class Heightfield:
    """A surface on a north-up grid.

    Attributes:
        heights_m: (rows, columns) float32, NaN where there is no surface.
        west_m, north_m: the outer corner of the first cell.
        cell_x_m, cell_y_m: size of a cell, both positive.
        tops_m: highest height of each block of `BLOCK` cells and one cell around it.
    """

    heights_m: npt.NDArray[np.float32]
    west_m: float
    north_m: float
    cell_x_m: float
    cell_y_m: float
    tops_m: npt.NDArray[np.float32]

    @classmethod
    def of(
        cls,
        heights_m: npt.NDArray[np.float32],
        west_m: float,
        north_m: float,
        cell_x_m: float,
        cell_y_m: float,
    ) -> Self:
        """A surface, with the tops of its blocks worked out."""
        heights = np.ascontiguousarray(heights_m, dtype=np.float32)
        return cls(heights, west_m, north_m, cell_x_m, cell_y_m, block_tops(heights))

    @property
    def grid(self) -> FloatArray:
        """(4,) west, north, cell width and height, for the compiled functions."""
        return np.array([self.west_m, self.north_m, self.cell_x_m, self.cell_y_m])

    def at(self, xy_m: npt.ArrayLike) -> FloatArray:
        """Heights (N,) at (N, 2) places; NaN outside or where there is no surface."""
        points = np.atleast_2d(np.asarray(xy_m, dtype=np.float64))
        return np.asarray(_heights_at(self.heights_m, self.grid, points))


@numba.njit(cache=True)
def block_tops(heights_m: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The highest height of each block and one cell around it; minus infinity where none is."""
    rows, columns = heights_m.shape
    down, across = (rows + BLOCK - 1) // BLOCK, (columns + BLOCK - 1) // BLOCK
    tops_m = np.full((down, across), -np.inf, dtype=np.float32)
    for i in range(down):
        for j in range(across):
            top = np.float32(-np.inf)
            for row in range(max(0, i * BLOCK - 1), min(rows, (i + 1) * BLOCK + 1)):
                for column in range(max(0, j * BLOCK - 1), min(columns, (j + 1) * BLOCK + 1)):
                    top = max(top, heights_m[row, column])  # NaN never wins
            tops_m[i, j] = top
    return tops_m


# Inlined by Numba: a call that passes an array counts its references, which takes longer than the
# sum itself.
@numba.njit(cache=True, inline="always")
def _height(heights_m: npt.NDArray[np.float32], column: float, row: float) -> float:
    rows, columns = heights_m.shape
    column = min(max(column, 0.0), columns - 1.0)
    row = min(max(row, 0.0), rows - 1.0)
    j, i = min(int(column), max(columns - 2, 0)), min(int(row), max(rows - 2, 0))
    j1, i1 = min(j + 1, columns - 1), min(i + 1, rows - 1)
    fx, fy = column - j, row - i
    # A corner without weight must not make its neighbour unknown.
    if fx <= 0.0:
        top, bottom = heights_m[i, j], heights_m[i1, j]
    elif fx >= 1.0:
        top, bottom = heights_m[i, j1], heights_m[i1, j1]
    else:
        top = heights_m[i, j] + fx * (heights_m[i, j1] - heights_m[i, j])
        bottom = heights_m[i1, j] + fx * (heights_m[i1, j1] - heights_m[i1, j])
    if fy <= 0.0:
        result = top
    elif fy >= 1.0:
        result = bottom
    else:
        result = top + fy * (bottom - top)
    return result


@numba.njit(cache=True)
def height_at(heights_m: npt.NDArray[np.float32], column: float, row: float) -> float:
    """Bilinear height at grid coordinates; half a cell beyond the centres counts as the edge."""
    rows, columns = heights_m.shape
    if not (-0.5 <= column <= columns - 0.5 and -0.5 <= row <= rows - 0.5):
        return np.nan
    return _height(heights_m, column, row)


@numba.njit(cache=True)
def _heights_at(
    heights_m: npt.NDArray[np.float32], grid: FloatArray, points: FloatArray
) -> FloatArray:
    out = np.empty(len(points))
    for n in range(len(points)):
        column = (points[n, 0] - grid[0]) / grid[2] - 0.5
        row = (grid[1] - points[n, 1]) / grid[3] - 0.5
        out[n] = height_at(heights_m, column, row)
    return out


@numba.njit(cache=True)
def first_hit(
    heights_m: npt.NDArray[np.float32],
    tops_m: npt.NDArray[np.float32],
    column: float,
    row: float,
    z_m: float,
    step_column: float,
    step_row: float,
    step_z: float,
    reach_from: float,
    reach_to: float,
    slack_m: float,
) -> float:
    """How far along a ray the surface first stands above it, or -1.

    The ray is (column, row, z) + reach · (step_column, step_row, step_z). It is looked at every
    half cell and the crossing then closed in on; blocks that lie wholly under the ray are leapt.

    Args:
        reach_from, reach_to: the stretch of the ray that counts.
        slack_m: how far the surface has to stand above the ray; below 0, how far it may lie under.
    """
    rows, columns = heights_m.shape
    low, high = reach_from, reach_to
    # Only what is over the grid.
    if abs(step_column) > 1e-15:
        a, b = -column / step_column, (columns - 1.0 - column) / step_column
        low, high = max(low, min(a, b)), min(high, max(a, b))
    elif not (0.0 <= column <= columns - 1.0):
        return -1.0
    if abs(step_row) > 1e-15:
        a, b = -row / step_row, (rows - 1.0 - row) / step_row
        low, high = max(low, min(a, b)), min(high, max(a, b))
    elif not (0.0 <= row <= rows - 1.0):
        return -1.0
    if low > high:
        return -1.0
    pace = max(abs(step_column), abs(step_row))
    stride = 0.5 / pace if pace > 1e-15 else high - low + 1.0
    reach, before, gap_before = low, low, math.nan
    while True:
        c, r = column + reach * step_column, row + reach * step_row
        bj = int(min(max(c, 0.0), columns - 1.0)) // BLOCK
        bi = int(min(max(r, 0.0), rows - 1.0)) // BLOCK
        # Where the ray leaves this block.
        leave = high
        if step_column > 1e-15:
            leave = min(leave, ((bj + 1) * BLOCK - column) / step_column)
        elif step_column < -1e-15:
            leave = min(leave, (bj * BLOCK - column) / step_column)
        if step_row > 1e-15:
            leave = min(leave, ((bi + 1) * BLOCK - row) / step_row)
        elif step_row < -1e-15:
            leave = min(leave, (bi * BLOCK - row) / step_row)
        leave = max(leave, reach)
        lowest = z_m + step_z * (leave if step_z < 0 else reach)
        if lowest > tops_m[bi, bj] - slack_m:
            if leave >= high:
                return -1.0
            before, gap_before = leave, math.nan
            reach = leave + 1e-6 * stride
            continue
        while True:
            gap = (
                _height(heights_m, column + reach * step_column, row + reach * step_row)
                - slack_m
                - z_m
                - reach * step_z
            )
            if gap > 0.0:
                break
            if reach >= high:
                return -1.0
            before, gap_before = reach, gap
            if reach >= leave:
                break
            reach = min(reach + stride, leave)
        if gap > 0.0:
            break
        reach = min(reach + 1e-6 * stride, high)
    # Where between the two the ray goes under, by false position (Illinois).
    if not gap_before < 0.0:
        return before
    side = 0
    while reach - before > 1e-5:
        middle = (before * gap - reach * gap_before) / (gap - gap_before)
        gap_middle = (
            _height(heights_m, column + middle * step_column, row + middle * step_row)
            - slack_m
            - z_m
            - middle * step_z
        )
        if abs(gap_middle) < 1e-5:
            return middle
        if gap_middle > 0.0:
            reach, gap = middle, gap_middle
            if side == 1:
                gap_before *= 0.5
            side = 1
        else:
            before, gap_before = middle, gap_middle
            if side == -1:
                gap *= 0.5
            side = -1
    return reach


def reach_to_surface(
    surface: Heightfield, origin_m: npt.ArrayLike, directions: npt.ArrayLike
) -> FloatArray:
    """Distance (N,) in metres along (N, 3) unit rays from one point to the surface; NaN if none."""
    origin = np.asarray(origin_m, dtype=np.float64)
    rays = np.atleast_2d(np.asarray(directions, dtype=np.float64))
    return np.asarray(_reach_all(surface.heights_m, surface.tops_m, surface.grid, origin, rays))


@numba.njit(cache=True)
def _reach_all(
    heights_m: npt.NDArray[np.float32],
    tops_m: npt.NDArray[np.float32],
    grid: FloatArray,
    origin: FloatArray,
    rays: FloatArray,
) -> FloatArray:
    out = np.empty(len(rays))
    column = (origin[0] - grid[0]) / grid[2] - 0.5
    row = (grid[1] - origin[1]) / grid[3] - 0.5
    for n in range(len(rays)):
        if math.isnan(rays[n, 0]):
            out[n] = np.nan
            continue
        reach = first_hit(
            heights_m, tops_m, column, row, origin[2],
            rays[n, 0] / grid[2], -rays[n, 1] / grid[3], rays[n, 2], 0.0, 1e5, 0.0,
        )  # fmt: skip
        out[n] = reach if reach >= 0 else np.nan
    return out
