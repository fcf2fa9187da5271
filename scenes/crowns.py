"""Trees and shrubs as heights above the ground."""

from __future__ import annotations

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
            dx = u - k - 0.5 - 0.4 * hash_unit(k, m, seed)
            dy = v - m - 0.5 - 0.4 * hash_unit(k, m, seed + 31)
            size = 0.62 + 0.25 * hash_unit(k, m, seed + 57)
            best = max(best, 1.0 - (dx * dx + dy * dy) / (size * size))
    return best


@njit(cache=True)
def crown_height(x: float, y: float, crown: FloatArray) -> float:
    """Height of one crown's top above the ground at a place, 0 beside it."""
    dx, dy = x - crown[0], y - crown[1]
    radius, height = crown[2], crown[3]
    reach2 = dx * dx + dy * dy
    if reach2 > 1.7 * radius * radius:
        return 0.0
    seed = int(crown[4])
    lump = 0.55 * _lumps(x, y, 0.45 * radius + 0.25, seed)
    lump += 0.30 * _lumps(x, y, 0.18 * radius + 0.12, seed + 1)
    heads = _bumps(x, y, 0.30 * radius + 0.15, seed + 2)
    twigs = _bumps(x, y, 0.09 * radius + 0.12, seed + 3)
    edge = np.sqrt(reach2) / radius - 0.30 * lump - 0.22 * (heads - 0.5) - 0.12 * (twigs - 0.5)
    if edge >= 1.0:
        return 0.0
    inner = max(edge, 0.0)
    # A conifer is a cone, a broad-leaved tree a dome.
    dome = 1.0 - inner if crown[5] == 1.0 else np.sqrt(1.0 - inner * inner)
    top = 0.40 + 0.42 * dome + 0.12 * heads + 0.06 * twigs
    return height * top


@njit(cache=True)
def _raster(
    x0: float, y0: float, px: float, height: int, width: int, crowns: FloatArray
) -> tuple[Float32Array, npt.NDArray[np.int32]]:
    out = np.zeros((height, width), np.float32)
    owner = np.full((height, width), -1, np.int32)
    for k in range(len(crowns)):
        reach = 1.31 * crowns[k, 2]
        i0 = max(0, int(np.floor((crowns[k, 0] - reach - x0) / px)))
        i1 = min(width, int(np.ceil((crowns[k, 0] + reach - x0) / px)) + 1)
        j0 = max(0, int(np.floor((y0 - crowns[k, 1] - reach) / px)))
        j1 = min(height, int(np.ceil((y0 - crowns[k, 1] + reach) / px)) + 1)
        for j in range(j0, j1):
            for i in range(i0, i1):
                h = crown_height(x0 + i * px, y0 - j * px, crowns[k])
                if h > out[j, i]:
                    out[j, i] = h
                    owner[j, i] = k
    return out, owner


def crown_heights(window: Window, crowns: FloatArray) -> tuple[Float32Array, npt.NDArray[np.int32]]:
    """Height above ground of the highest crown at each pixel centre, and which one (-1: none)."""
    west, south, east, north = window.bounds_m
    reach = 1.31 * crowns[:, 2]
    near = np.flatnonzero(
        (crowns[:, 0] > west - reach)
        & (crowns[:, 0] < east + reach)
        & (crowns[:, 1] > south - reach)
        & (crowns[:, 1] < north + reach)
    )
    heights, owner = _raster(
        window.x_m(0), window.y_m(0), window.px_m, window.height, window.width, crowns[near]
    )
    return heights, np.where(owner >= 0, near[owner] if len(near) else -1, -1).astype(np.int32)


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
) -> Float32Array:
    """Share of sunlight reaching each pixel's surface past what stands towards the sun.

    Args:
        heights: (H, W) of object tops in metres above a common level.
        margin: pixels left off at each side of the result; shadows from farther are not seen.
        step_x, step_y: pixels (columns, rows) towards the sun per step, at most 1 long.
        rise: metres that the ray climbs per step.
        leak: share of light that passes a crown.
    """
    rows, cols = heights.shape
    out = np.ones((rows - 2 * margin, cols - 2 * margin), np.float32)
    top = heights.max()
    for j in range(out.shape[0]):
        for i in range(out.shape[1]):
            x, y = float(i + margin), float(j + margin)
            ray = heights[j + margin, i + margin] + 0.15
            light = 1.0
            for _ in range(margin):
                x += step_x
                y += step_y
                ray += rise
                if ray >= top:
                    break
                k, m = int(y + 0.5), int(x + 0.5)
                if heights[k, m] > ray:
                    light -= 0.34
                    if light <= leak:
                        light = leak
                        break
            out[j, i] = light
    return out
