"""Which frame sees a place most steeply, and what it sees there: exact projection and occlusion."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from analysis.mapping.frames import Picture
from analysis.mapping.surface import Bounds
from corridor.camera import Camera, Pose, border_pixels, rays
from corridor.cubic import cubic_weights
from corridor.heightfield import Heightfield, first_hit, project_one
from corridor.values import FloatArray

Labels = npt.NDArray[np.int32]
Heights = npt.NDArray[np.float32]

_TILE = 32


@dataclass(frozen=True)
class ViewLimits:
    """What still counts as seeing a place.

    Attributes:
        max_angle_deg: from straight down.
        margin_px: kept off a frame's edge.
        slack_m: how far the surface must stand above a line of sight to block it; covers the
            surface model's own noise.
    """

    max_angle_deg: float = 70.0
    margin_px: float = 1.0
    slack_m: float = 0.1

    def __post_init__(self) -> None:
        if not 0.0 < self.max_angle_deg < 89.0:
            raise ValueError("max_angle_deg is above 0 and below 89")

    def vector(self) -> FloatArray:
        """For the compiled functions."""
        tangent = math.tan(math.radians(self.max_angle_deg))
        return np.array([tangent, self.margin_px, self.slack_m])


def seen_bounds(
    camera: Camera, pose: Pose, low_m: float, high_m: float, limits: ViewLimits
) -> Bounds | None:
    """West, south, east, north of all that a frame can see between two heights."""
    directions = rays(camera, pose, border_pixels(camera, 16))
    directions = directions[np.isfinite(directions).all(axis=1)]
    tangent = math.tan(math.radians(limits.max_angle_deg))
    level = np.hypot(directions[:, 0], directions[:, 1])
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.where(directions[:, 2] < 0, level / -directions[:, 2], np.inf)
        towards = np.where(level[:, None] > 0, directions[:, :2] / level[:, None], 0.0)
    offsets = towards * np.minimum(spread, tangent)[:, None]
    depths = [depth for depth in (pose.z_m - low_m, pose.z_m - high_m) if depth > 0]
    if not depths or not len(offsets):
        return None
    corners = np.concatenate([pose.position_m[:2] + offsets * depth for depth in depths])
    west, south = corners.min(axis=0)
    east, north = corners.max(axis=0)
    return float(west), float(south), float(east), float(north)


@numba.njit(cache=True, nogil=True)
def surface_window(
    heights_m: Heights, grid: FloatArray, west_m: float, north_m: float, gsd_m: float,
    rows: int, columns: int,
) -> Heights:  # fmt: skip
    """Heights at the centres of the pixels of a window, NaN where unknown."""
    out = np.empty((rows, columns), dtype=np.float32)
    for i in range(rows):
        row = (grid[1] - (north_m - (i + 0.5) * gsd_m)) / grid[3] - 0.5
        for j in range(columns):
            column = (west_m + (j + 0.5) * gsd_m - grid[0]) / grid[2] - 0.5
            out[i, j] = _height(heights_m, column, row)
    return out


@numba.njit(cache=True, nogil=True)
def _height(heights_m: Heights, column: float, row: float) -> float:
    rows, columns = heights_m.shape
    if not (-0.5 <= column <= columns - 0.5 and -0.5 <= row <= rows - 0.5):
        return np.nan
    column = min(max(column, 0.0), columns - 1.0)
    row = min(max(row, 0.0), rows - 1.0)
    j, i = min(int(column), max(columns - 2, 0)), min(int(row), max(rows - 2, 0))
    j1, i1 = min(j + 1, columns - 1), min(i + 1, rows - 1)
    fx, fy = column - j, row - i
    total, weight = 0.0, 0.0
    for height, share in (
        (heights_m[i, j], (1 - fx) * (1 - fy)),
        (heights_m[i, j1], fx * (1 - fy)),
        (heights_m[i1, j], (1 - fx) * fy),
        (heights_m[i1, j1], fx * fy),
    ):
        if share > 0.0 and not math.isnan(height):
            total += share * height
            weight += share
    # A hole in the model reaches half a cell, as it does when its picture is drawn.
    return total / weight if weight >= 0.5 else np.nan


@numba.njit(cache=True, nogil=True)
def is_open(
    heights_m: Heights, tops_m: Heights, grid: FloatArray, highest_m: float, view: FloatArray,
    x_m: float, y_m: float, z_m: float, slack_m: float,
) -> bool:  # fmt: skip
    """Whether nothing of the surface stands between a place on it and a camera."""
    dx, dy, dz = view[19] - x_m, view[20] - y_m, view[21] - z_m
    if dz <= 0.0:
        return False
    step_column, step_row = dx / grid[2], -dy / grid[3]
    pace = max(abs(step_column), abs(step_row))
    if pace < 1e-9:
        return True
    until = min(1.0, (highest_m - z_m) / dz)
    # The surface bends within a cell: what is nearer than that is the place's own slope.
    since = 1.0 / pace
    if since >= until:
        return True
    column, row = (x_m - grid[0]) / grid[2] - 0.5, (grid[1] - y_m) / grid[3] - 0.5
    hit = first_hit(
        heights_m, tops_m, column, row, z_m, step_column, step_row, dz, since, until, slack_m
    )
    return hit < 0.0


@numba.njit(cache=True, nogil=True)
def _sees(
    heights_m: Heights, tops_m: Heights, grid: FloatArray, highest_m: float, view: FloatArray,
    limits: FloatArray, x_m: float, y_m: float, z_m: float,
) -> bool:  # fmt: skip
    u, v, depth_m = project_one(view, x_m, y_m, z_m)
    margin = limits[1]
    if depth_m < 0.0 or not (
        margin - 0.5 <= u <= view[22] - 0.5 - margin
        and margin - 0.5 <= v <= view[23] - 0.5 - margin
    ):
        return False
    return is_open(heights_m, tops_m, grid, highest_m, view, x_m, y_m, z_m, limits[2])


@numba.njit(cache=True, nogil=True)
def _steepest(
    heights_m: Heights, tops_m: Heights, grid: FloatArray, highest_m: float, views: FloatArray,
    limits: FloatArray, west_m: float, north_m: float, gsd_m: float, window_m: Heights,
) -> Labels:  # fmt: skip
    rows, columns = window_m.shape
    count = len(views)
    labels = np.full((rows, columns), -1, dtype=np.int32)
    bound = np.empty(count)
    for top in range(0, rows, _TILE):
        for left in range(0, columns, _TILE):
            bottom, right = min(top + _TILE, rows), min(left + _TILE, columns)
            lowest = np.inf
            for i in range(top, bottom):
                for j in range(left, right):
                    if window_m[i, j] < lowest:
                        lowest = window_m[i, j]
            if lowest == np.inf:
                continue
            # No pixel of the tile can be seen more steeply than this by a frame.
            x0 = west_m + 0.5 * (left + right) * gsd_m
            y0 = north_m - 0.5 * (top + bottom) * gsd_m
            radius_m = 0.5 * gsd_m * math.hypot(right - left, bottom - top)
            for k in range(count):
                away_m = math.hypot(x0 - views[k, 19], y0 - views[k, 20]) - radius_m
                bound[k] = max(0.0, away_m) / max(views[k, 21] - lowest, 1e-6)
            order = np.argsort(bound)
            for i in range(top, bottom):
                y = north_m - (i + 0.5) * gsd_m
                for j in range(left, right):
                    z = float(window_m[i, j])
                    if math.isnan(z):
                        continue
                    x = west_m + (j + 0.5) * gsd_m
                    best = limits[0]
                    for k in order:
                        if bound[k] >= best:
                            break
                        above_m = views[k, 21] - z
                        if above_m <= 0.0:
                            continue
                        tangent = math.hypot(x - views[k, 19], y - views[k, 20]) / above_m
                        if tangent < best and _sees(
                            heights_m, tops_m, grid, highest_m, views[k], limits, x, y, z
                        ):
                            best = tangent
                            labels[i, j] = k
    return labels


def steepest_views(
    surface: Heightfield,
    views: FloatArray,
    limits: ViewLimits,
    west_m: float,
    north_m: float,
    gsd_m: float,
    window_m: Heights,
) -> Labels:
    """For each pixel of a window the frame that sees it most steeply, -1 where none does.

    Args:
        surface: what hides; must reach as far around the window as things can hide it from.
        views: (frames, 24) of `view_vector`.
        limits: what counts as seeing.
        west_m, north_m, gsd_m: the window's corner and pixel.
        window_m: (rows, columns) heights of the pixels' centres.
    """
    if not len(views):
        return np.full(window_m.shape, -1, dtype=np.int32)
    highest_m = float(surface.tops_m.max())
    return np.asarray(
        _steepest(
            surface.heights_m, surface.tops_m, surface.grid, highest_m, views, limits.vector(),
            west_m, north_m, gsd_m, window_m,
        )
    )  # fmt: skip


@numba.njit(cache=True, nogil=True)
def sample_frame(
    heights_m: Heights, tops_m: Heights, grid: FloatArray, highest_m: float, view: FloatArray,
    limits: FloatArray, west_m: float, north_m: float, gsd_m: float, window_m: Heights,
    wanted: npt.NDArray[np.uint8], picture: Picture, scale: float, gain: FloatArray,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:  # fmt: skip
    """What a frame shows at the wanted pixels of a window.

    Args:
        wanted: 0 leave out, 1 if it can be seen, 2 known to be seen.
        picture: the frame's pixels, halved so often that `scale` of its own pixels are one.
        gain: (5,) a factor for each band, then the lens's falloff: exponents of r² and r⁴, with r
            1 in the picture's corner.

    Returns:
        (rows, columns, 3) colours, 0 where not seen, and (rows, columns) 1 where seen.
    """
    rows, columns = window_m.shape
    colours = np.zeros((rows, columns, 3), dtype=np.float32)
    seen = np.zeros((rows, columns), dtype=np.uint8)
    height, width, _ = picture.shape
    across, down = np.empty(4), np.empty(4)
    corner2 = 0.25 * (view[22] ** 2 + view[23] ** 2)
    margin = limits[1]
    for i in range(rows):
        y = north_m - (i + 0.5) * gsd_m
        for j in range(columns):
            z = float(window_m[i, j])
            if wanted[i, j] == 0 or math.isnan(z):
                continue
            x = west_m + (j + 0.5) * gsd_m
            u, v, depth_m = project_one(view, x, y, z)
            if depth_m < 0.0 or not (
                margin - 0.5 <= u <= view[22] - 0.5 - margin
                and margin - 0.5 <= v <= view[23] - 0.5 - margin
            ):
                continue
            if wanted[i, j] == 1:
                if math.hypot(x - view[19], y - view[20]) > limits[0] * (view[21] - z):
                    continue
                if not is_open(heights_m, tops_m, grid, highest_m, view, x, y, z, limits[2]):
                    continue
            r2 = ((u + 0.5 - 0.5 * view[22]) ** 2 + (v + 0.5 - 0.5 * view[23]) ** 2) / corner2
            lift = math.exp(r2 * (gain[3] + r2 * gain[4]))
            pu, pv = (u + 0.5) / scale - 0.5, (v + 0.5) / scale - 0.5
            c0, r0 = math.floor(pu), math.floor(pv)
            cubic_weights(pu - c0, across)
            cubic_weights(pv - r0, down)
            for band in range(3):
                total = 0.0
                for a in range(4):
                    row = min(max(r0 - 1 + a, 0), height - 1)
                    line = 0.0
                    for b in range(4):
                        column = min(max(c0 - 1 + b, 0), width - 1)
                        line += across[b] * picture[row, column, band]
                    total += down[a] * line
                colours[i, j, band] = max(total, 0.0) * gain[band] * lift
            seen[i, j] = 1
    return colours, seen


@numba.njit(cache=True, nogil=True)
def look_at_points(
    heights_m: Heights, tops_m: Heights, grid: FloatArray, highest_m: float, view: FloatArray,
    limits: FloatArray, points: FloatArray,
) -> FloatArray:  # fmt: skip
    """Column and row (N, 2) where a frame sees (N, 3) points of the surface, NaN if not."""
    out = np.full((len(points), 2), np.nan)
    for n in range(len(points)):
        x, y, z = points[n]
        if math.isnan(z) or math.hypot(x - view[19], y - view[20]) > limits[0] * (view[21] - z):
            continue
        u, v, depth_m = project_one(view, x, y, z)
        if depth_m < 0.0:
            continue
        if _sees(heights_m, tops_m, grid, highest_m, view, limits, x, y, z):
            out[n, 0], out[n, 1] = u, v
    return out
