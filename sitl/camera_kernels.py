"""Compiled parts of the simulated camera: rays onto the scene, the fence before it, the film."""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt

from corridor.cubic import cubic_weights
from corridor.heightfield import first_hit, project_one
from corridor.values import FloatArray

Heights = npt.NDArray[np.float32]
Colours = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

# Columns of a fence's panels; see `FencePanels`.
BUNDLE_PX = 16
X0, Y0, Z0, X1, Y1, Z1, HEIGHT, STYLE = range(8)


@numba.njit(cache=True, nogil=True)
def _turned(view: FloatArray, nx: float, ny: float) -> tuple[float, float, float]:
    """A ray of unit depth in the world."""
    return (
        view[10] * nx + view[13] * ny + view[16],
        view[11] * nx + view[14] * ny + view[17],
        view[12] * nx + view[15] * ny + view[18],
    )


@numba.njit(cache=True, nogil=True)
def look_at_scene(
    view: FloatArray, normals: Colours, heights_m: Heights, tops_m: Heights, hull_m: Heights,
    hull_tops_m: Heights, hull_depth_m: float, grid: FloatArray, range_m: FloatArray,
    picture: Bytes, picture_grid: FloatArray, colours: Colours, depth_m: Heights,
) -> None:  # fmt: skip
    """Fills a frame with what its rays meet.

    Rays are followed in bundles of `BUNDLE_PX` squared: the middle one first, over a surface raised
    to the highest point within the bundle's width, up to which no ray of the bundle can meet
    anything; from there each on its own.

    Args:
        view: of `view_vector`.
        normals: (height, width, 2) undistorted x and y at unit depth of each pixel.
        heights_m, tops_m, grid: of the scene's surface.
        hull_m, hull_tops_m: that raised surface; right as far as `hull_depth_m` from the camera.
        range_m: (2,) its lowest and highest height.
        picture: (rows, columns, 3) the scene from above, and `picture_grid` its west, north, pixel
            width and height.
        colours: (height, width, 3), written; 0 where a ray meets nothing.
        depth_m: (height, width), written; infinite where a ray meets nothing.
    """
    height, width, _ = normals.shape
    column0 = (view[19] - grid[0]) / grid[2] - 0.5
    row0 = (grid[1] - view[20]) / grid[3] - 0.5
    across, down = np.empty(4), np.empty(4)
    lean = math.hypot(view[12], view[15])
    for top in range(0, height, BUNDLE_PX):
        for left in range(0, width, BUNDLE_PX):
            bottom, right = min(top + BUNDLE_PX, height), min(left + BUNDLE_PX, width)
            i, j = (top + bottom) // 2, (left + right) // 2
            mx, my = float(normals[i, j, 0]), float(normals[i, j, 1])
            clear_m = 0.0
            if not math.isnan(mx):
                spread = 0.0
                for ci, cj in (
                    (top, left),
                    (top, right - 1),
                    (bottom - 1, left),
                    (bottom - 1, right - 1),
                ):
                    spread = max(
                        spread, math.hypot(normals[ci, cj, 0] - mx, normals[ci, cj, 1] - my)
                    )
                dx, dy, dz = _turned(view, mx, my)
                since = 0.0
                if dz < -1e-6:
                    since = max(0.0, (view[21] - range_m[1]) / -dz)
                if since < hull_depth_m:
                    clear_m = first_hit(
                        hull_m, hull_tops_m, column0, row0, view[21], dx / grid[2], -dy / grid[3],
                        dz, 0.9 * since, hull_depth_m, -hull_depth_m * spread * lean,
                    )  # fmt: skip
                    clear_m = hull_depth_m if clear_m < 0.0 else clear_m - 0.01
            for i in range(top, bottom):
                for j in range(left, right):
                    colours[i, j, 0] = colours[i, j, 1] = colours[i, j, 2] = 0.0
                    depth_m[i, j] = np.inf
                    if math.isnan(normals[i, j, 0]):
                        continue
                    dx, dy, dz = _turned(view, normals[i, j, 0], normals[i, j, 1])
                    since, until = 0.0, 3000.0
                    if dz < -1e-6:
                        since = max(0.0, (view[21] - range_m[1]) / -dz)
                        until = (view[21] - range_m[0]) / -dz + 0.01
                    elif view[21] > range_m[1]:
                        continue
                    reach = first_hit(
                        heights_m, tops_m, column0, row0, view[21], dx / grid[2], -dy / grid[3],
                        dz, max(since, clear_m), until, 0.0,
                    )  # fmt: skip
                    if reach < 0.0:
                        continue
                    depth_m[i, j] = reach
                    u = (view[19] + reach * dx - picture_grid[0]) / picture_grid[2] - 0.5
                    v = (picture_grid[1] - view[20] - reach * dy) / picture_grid[3] - 0.5
                    _take(picture, u, v, across, down, colours, i, j)


@numba.njit(cache=True, nogil=True)
def _take(
    picture: Bytes, u: float, v: float, across: FloatArray, down: FloatArray, colours: Colours,
    i: int, j: int,
) -> None:  # fmt: skip
    rows, columns, _ = picture.shape
    if not (-0.5 <= u <= columns - 0.5 and -0.5 <= v <= rows - 0.5):
        return
    c0, r0 = math.floor(u), math.floor(v)
    cubic_weights(u - c0, across)
    cubic_weights(v - r0, down)
    red, green, blue = 0.0, 0.0, 0.0
    inner = 1 <= c0 < columns - 2 and 1 <= r0 < rows - 2
    for a in range(4):
        row = r0 - 1 + a if inner else min(max(r0 - 1 + a, 0), rows - 1)
        for b in range(4):
            column = c0 - 1 + b if inner else min(max(c0 - 1 + b, 0), columns - 1)
            share = down[a] * across[b]
            red += share * picture[row, column, 0]
            green += share * picture[row, column, 1]
            blue += share * picture[row, column, 2]
    colours[i, j, 0] = max(red, 0.0)
    colours[i, j, 1] = max(green, 0.0)
    colours[i, j, 2] = max(blue, 0.0)


@numba.njit(cache=True, nogil=True)
def _wires(low: float, high: float, pitch: float, wire: float) -> float:
    """Share of the stretch from `low` to `high` that wires at every `pitch` cover."""
    if pitch <= 0.0:
        return 0.0
    return (_covered(high, pitch, wire) - _covered(low, pitch, wire)) / max(high - low, 1e-9)


@numba.njit(cache=True, nogil=True)
def _covered(x: float, pitch: float, wire: float) -> float:
    turns = math.floor(x / pitch)
    return turns * wire + min(x - turns * pitch, wire)


@numba.njit(cache=True, nogil=True)
def _overlap(low: float, high: float, start: float, end: float) -> float:
    """Share of [low, high] within [start, end]."""
    return max(0.0, min(high, end) - max(low, start)) / max(high - low, 1e-9)


@numba.njit(cache=True, nogil=True)
def draw_fence(
    view: FloatArray, normals: Colours, panels: FloatArray, styles: FloatArray,
    openings: FloatArray, opening_of: npt.NDArray[np.int64], colours: Colours, depth_m: Heights,
) -> None:  # fmt: skip
    """Draws upright panels over a frame, mesh as the share of light that it stops.

    Each pixel is cut into 2 × 2 rays; along a ray's footprint on the panel, wires, posts and the
    rail are integrated, so that mesh finer than a pixel becomes a veil and does not alias.

    Args:
        panels: (P, 8) foot of both posts, height, row of `styles`.
        styles: (S, 12) post width, rail, pitch and thickness of upright wires and of level ones,
            whether they run askew, whether solid, then red, green, blue of mesh, and of posts as a
            grey level.
        openings: (O, 5) along from and to, height from and to, whether the posts are gone; along
            counts from the panel's first post.
        opening_of: (P + 1,) first opening of each panel.
    """
    rows, columns, _ = normals.shape
    for p in range(len(panels)):
        x0, y0, z0 = panels[p, X0], panels[p, Y0], panels[p, Z0]
        ax, ay, az = panels[p, X1] - x0, panels[p, Y1] - y0, panels[p, Z1] - z0
        length = math.hypot(ax, ay)
        tall = panels[p, HEIGHT]
        if length < 1e-6:
            continue
        left, right, top, bottom = 1e18, -1e18, 1e18, -1e18
        visible = True
        for corner in range(4):
            share = float(corner // 2)
            up = tall * (corner % 2)
            u, v, d = project_one(view, x0 + share * ax, y0 + share * ay, z0 + share * az + up)
            if d < 0.5:
                visible = False
                break
            left, right = min(left, u), max(right, u)
            top, bottom = min(top, v), max(bottom, v)
        if not visible or right < -1 or left > columns or bottom < -1 or top > rows:
            continue
        # The panel's plane is upright: its normal is level.
        nx, ny = -ay / length, ax / length
        away = nx * (x0 - view[19]) + ny * (y0 - view[20])
        style = styles[int(panels[p, STYLE])]
        for i in range(max(0, int(top) - 2), min(rows, int(bottom) + 3)):
            for j in range(max(0, int(left) - 2), min(columns, int(right) + 3)):
                if math.isnan(normals[i, j, 0]):
                    continue
                # How far a neighbouring pixel's ray is turned.
                j1, i1 = (j + 1 if j + 1 < columns else j - 1), (i + 1 if i + 1 < rows else i - 1)
                step_x = normals[i, j1, 0] - normals[i, j, 0]
                step_y = normals[i1, j, 1] - normals[i, j, 1]
                if j1 < j:
                    step_x = -step_x
                if i1 < i:
                    step_y = -step_y
                veil, post = 0.0, 0.0
                for sub in range(4):
                    a = normals[i, j, 0] + (0.5 * (sub % 2) - 0.25) * step_x
                    b = normals[i, j, 1] + (0.5 * (sub // 2) - 0.25) * step_y
                    dx = view[10] * a + view[13] * b + view[16]
                    dy = view[11] * a + view[14] * b + view[17]
                    dz = view[12] * a + view[15] * b + view[18]
                    towards = nx * dx + ny * dy
                    if abs(towards) < 1e-9:
                        continue
                    reach = away / towards
                    if reach < 0.5 or reach > depth_m[i, j] + 0.05:
                        continue
                    hx, hy = view[19] + reach * dx - x0, view[20] + reach * dy - y0
                    along = (hx * ax + hy * ay) / length
                    foot = z0 + az * along / length
                    up = view[21] + reach * dz - foot
                    # Half a pixel's footprint on the panel, along it and up it.
                    slant = abs(towards) / math.sqrt(dx * dx + dy * dy + dz * dz)
                    half = 0.25 * reach * 0.5 * (abs(step_x) + abs(step_y))
                    half_up = min(half / max(slant, 0.05), 0.5 * tall)
                    half_along = min(half / max(slant, 0.3), 0.5 * length)
                    low, high = up - half_up, up + half_up
                    start, end = along - half_along, along + half_along
                    within = _overlap(low, high, 0.0, tall) * _overlap(start, end, 0.0, length)
                    if within <= 0.0:
                        continue
                    shut, posts_stand = 1.0, 1.0
                    for o in range(opening_of[p], opening_of[p + 1]):
                        gone = _overlap(start, end, openings[o, 0], openings[o, 1])
                        gone *= _overlap(low, high, openings[o, 2], openings[o, 3])
                        shut = max(0.0, shut - gone)
                        if openings[o, 4] > 0.5:
                            posts_stand = max(0.0, posts_stand - gone)
                    if style[7] > 0.5:
                        solid = 1.0
                    elif style[6] > 0.5:
                        solid = 1.0 - (
                            1.0 - _wires(start + low, end + high, style[2], style[3])
                        ) * (1.0 - _wires(start - high, end - low, style[4], style[5]))
                    else:
                        solid = 1.0 - (1.0 - _wires(start, end, style[2], style[3])) * (
                            1.0 - _wires(low, high, style[4], style[5])
                        )
                    rail = _overlap(low, high, tall - style[1], tall) if style[1] > 0 else 0.0
                    solid = max(solid, rail)
                    uprights = _overlap(start, end, -style[0], style[0] / 2) + _overlap(
                        start, end, length - style[0] / 2, length + style[0]
                    )
                    veil += 0.25 * within * shut * solid
                    post += 0.25 * within * posts_stand * min(1.0, uprights)
                if veil <= 0.0 and post <= 0.0:
                    continue
                veil, post = min(veil, 1.0), min(post, 1.0)
                for band in range(3):
                    value = colours[i, j, band]
                    value += veil * (style[8 + band] - value)
                    value += post * (style[11] - value)
                    colours[i, j, band] = value


@numba.njit(cache=True, nogil=True)
def expose(
    colours: Colours, noise: Heights, falloff: float, exposure: float, shot_noise: float,
    read_noise: float, out: Bytes,
) -> None:  # fmt: skip
    """Colours to bytes (in blue, green, red): the lens's falloff, exposure, and noise.

    Args:
        noise: a long row of standard normal numbers, taken in turn from a place that depends on
            the row.
        falloff: share of light lost in the corners, with r².
        shot_noise: variance per grey level; read_noise: standard deviation in grey levels.
    """
    rows, columns, _ = colours.shape
    corner2 = 0.25 * (rows * rows + columns * columns)
    count = len(noise)
    at = 0
    for i in range(rows):
        at = (at + 7919 * (i + 1)) % count
        for j in range(columns):
            r2 = ((i + 0.5 - 0.5 * rows) ** 2 + (j + 0.5 - 0.5 * columns) ** 2) / corner2
            light = exposure * (1.0 - falloff * r2)
            for band in range(3):
                value = colours[i, j, band] * light
                sigma = math.sqrt(read_noise * read_noise + shot_noise * max(value, 0.0))
                at += 1
                if at >= count:
                    at = 0
                value += sigma * noise[at] + 0.5
                out[i, j, 2 - band] = np.uint8(min(max(value, 0.0), 255.0))
