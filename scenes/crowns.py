"""Trees and shrubs as heights above the ground."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from scenes.grid import Window
from scenes.lines import FloatArray
from scenes.noise import Float32Array, hash_unit

# Columns of a crown: x, y, radius, height, seed, species (0 broad leaf, 1 conifer, 2 shrub).


@njit(cache=True, inline="always")
def _lumps(x: float, y: float, spacing: float, seed: int) -> float:
    """Smooth noise in about [-1, 1]."""
    u, v = x / spacing, y / spacing
    iu, iv = np.floor(u), np.floor(v)
    f, g = u - iu, v - iv
    f, g = f * f * (3.0 - 2.0 * f), g * g * (3.0 - 2.0 * g)
    k, m = int(iu), int(iv)
    a = hash_unit(k, m, seed) * (1 - f) + hash_unit(k + 1, m, seed) * f
    b = hash_unit(k, m + 1, seed) * (1 - f) + hash_unit(k + 1, m + 1, seed) * f
    return a * (1 - g) + b * g


@njit(cache=True, inline="always")
def _bumps(x: float, y: float, spacing: float, seed: int) -> float:
    """Rounded heads in [0, 1], one in each cell, as clumps of leaves make."""
    u, v = x / spacing, y / spacing
    iu, iv = int(np.floor(u)), int(np.floor(v))
    best = 0.0
    for k in range(iu - 1, iu + 2):
        for m in range(iv - 1, iv + 2):
            dx = u - k - 0.5 - 0.49 * hash_unit(k, m, seed)
            dy = v - m - 0.5 - 0.49 * hash_unit(k, m, seed + 31)
            size = 0.66 + 0.34 * hash_unit(k, m, seed + 57)
            best = max(best, 1.0 - (dx * dx + dy * dy) / (size * size))
    return best


@njit(cache=True)
def crown_shape(x: float, y: float, crown: FloatArray) -> tuple[float, float, float]:
    """One crown at a place: metres inside its rim, height of its top, openness of its skin.

    Beside the crown the first is negative (down to -1; -9 far off) and the rest goes on smoothly,
    so that all three can be interpolated. Openness is 0 in the gaps between clumps of leaves to 1
    on their heads.
    """
    dx, dy = x - crown[0], y - crown[1]
    radius, height = crown[2], crown[3]
    reach2 = dx * dx + dy * dy
    if reach2 > (1.45 * radius + 0.3) ** 2:
        return -9.0, 0.0, 0.0
    seed = int(crown[4])
    lump = 0.60 * _lumps(x, y, 0.5 * radius + 0.25, seed)
    lump += 0.30 * _lumps(x, y, 0.2 * radius + 0.12, seed + 1)
    # Bent and turned, so that the clumps' cells do not show as rows.
    bend = 0.12 * radius * lump
    u, v = 0.83 * x + 0.56 * y + bend, 0.83 * y - 0.56 * x + 0.6 * bend
    heads = max(0.0, _bumps(u, v, 0.26 * radius + 0.15, seed + 2))
    twigs = max(0.0, _bumps(v, u, 0.05 * radius + 0.14, seed + 3))
    edge = np.sqrt(reach2) / radius - 0.26 * lump - 0.20 * (heads - 0.5) - 0.10 * (twigs - 0.5)
    inner = min(max(edge, 0.0), 1.0)
    # A conifer is a cone, a broad-leaved tree a dome.
    dome = 1.0 - inner if crown[5] == 1.0 else np.sqrt(1.0 - inner * inner)
    top = height * (0.40 + 0.42 * dome + 0.12 * heads + 0.06 * twigs)
    skin = 0.50 * heads + 0.30 * twigs + 0.20 * dome + 0.15 * lump
    return max(-1.0, (1.0 - edge) * radius), top, min(1.0, max(0.0, skin))


@njit(cache=True)
def crown_height(x: float, y: float, crown: FloatArray) -> float:
    """Height of one crown's top above the ground at a place, 0 beside it."""
    inside, top, _ = crown_shape(x, y, crown)
    return top if inside > 0.0 else 0.0


@njit(cache=True)
def _raster(
    x0: float, y0: float, px: float, height: int, width: int, crowns: FloatArray
) -> tuple[Float32Array, Float32Array, Float32Array, npt.NDArray[np.int32]]:
    rim = np.full((height, width), -1.0, np.float32)
    top = np.zeros((height, width), np.float32)
    skin = np.zeros((height, width), np.float32)
    owner = np.full((height, width), -1, np.int32)
    for k in range(len(crowns)):
        reach = 1.45 * crowns[k, 2] + 0.3
        i0 = max(0, int(np.floor((crowns[k, 0] - reach - x0) / px)))
        i1 = min(width, int(np.ceil((crowns[k, 0] + reach - x0) / px)) + 1)
        j0 = max(0, int(np.floor((y0 - crowns[k, 1] - reach) / px)))
        j1 = min(height, int(np.ceil((y0 - crowns[k, 1] + reach) / px)) + 1)
        for j in range(j0, j1):
            for i in range(i0, i1):
                inside, h, s = crown_shape(x0 + i * px, y0 - j * px, crowns[k])
                if inside <= -1.0:
                    continue
                # The higher crown hides the lower one; beside all of them the nearest rim counts.
                if (inside > 0.0 and (rim[j, i] <= 0.0 or h > top[j, i])) or (
                    inside <= 0.0 and rim[j, i] <= 0.0 and inside > rim[j, i]
                ):
                    rim[j, i] = max(inside, rim[j, i])
                    top[j, i] = h
                    skin[j, i] = s
                    owner[j, i] = k
    return rim, top, skin, owner


@dataclass(frozen=True)
class Canopy:
    """Crowns on a window: `rim` metres inside the nearest crown's rim (negative beside it), `top`
    height of its skin above the ground, `skin` openness, `owner` row of the crown or -1."""

    rim: Float32Array
    top: Float32Array
    skin: Float32Array
    owner: npt.NDArray[np.int32]

    @property
    def heights(self) -> Float32Array:
        """Height above ground, 0 where there is no crown."""
        return np.where(self.rim > 0.0, self.top, np.float32(0.0))


def canopy(window: Window, crowns: FloatArray) -> Canopy:
    """The crowns at each pixel centre of a window."""
    west, south, east, north = window.bounds_m
    reach = 1.45 * crowns[:, 2] + 0.3
    near = np.flatnonzero(
        (crowns[:, 0] > west - reach)
        & (crowns[:, 0] < east + reach)
        & (crowns[:, 1] > south - reach)
        & (crowns[:, 1] < north + reach)
    )
    rim, top, skin, owner = _raster(
        window.x_m(0), window.y_m(0), window.px_m, window.height, window.width, crowns[near]
    )
    owner = np.where(owner >= 0, near[owner] if len(near) else -1, -1).astype(np.int32)
    return Canopy(rim, top, skin, owner)


@njit(cache=True)
def heights_at(points: FloatArray, crowns: FloatArray) -> FloatArray:
    """Height of the highest crown above the ground at each of (N, 2) points."""
    out = np.zeros(len(points))
    for i in range(len(points)):
        for k in range(len(crowns)):
            out[i] = max(out[i], crown_height(points[i, 0], points[i, 1], crowns[k]))
    return out


@njit(cache=True)
def sunlight_through(
    heights: Float32Array, margin: int, step_x: float, step_y: float, rise: float, leak: float
) -> tuple[Float32Array, Float32Array]:
    """Share of sunlight reaching the ground and the tops of what stands on it.

    Args:
        heights: (H, W) of object tops in metres above the ground.
        margin: pixels left off at each side of the result; shadows from farther are not seen.
        step_x, step_y: pixels (columns, rows) towards the sun per step, at most 1 long.
        rise: metres that the ray climbs per step.
        leak: share of light that passes a crown.
    """
    rows, cols = heights.shape
    ground = np.ones((rows - 2 * margin, cols - 2 * margin), np.float32)
    tops = np.ones((rows - 2 * margin, cols - 2 * margin), np.float32)
    top = heights.max()
    for j in range(ground.shape[0]):
        for i in range(ground.shape[1]):
            own = heights[j + margin, i + margin]
            ground[j, i] = _towards_sun(
                heights, i + margin, j + margin, 0.1, top, margin, step_x, step_y, rise, leak
            )
            tops[j, i] = ground[j, i]
            if own > 0.0:
                tops[j, i] = _towards_sun(
                    heights, i + margin, j + margin, own + 0.15, top, margin, step_x, step_y, rise,
                    leak,
                )  # fmt: skip
    return ground, tops


@njit(cache=True, inline="always")
def _towards_sun(
    heights: Float32Array, col: int, row: int, start: float, top: float, steps: int,
    step_x: float, step_y: float, rise: float, leak: float,
) -> float:  # fmt: skip
    x, y, ray, light = float(col), float(row), start, 1.0
    for _ in range(steps):
        x += step_x
        y += step_y
        ray += rise
        if ray >= top:
            break
        if heights[int(y + 0.5), int(x + 0.5)] > ray:
            light -= 0.34
            if light <= leak:
                return leak
    return light
