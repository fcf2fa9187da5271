"""Small scattered things: stones, leaves, flowers, tufts of grass."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit

from scenes.grid import Window
from scenes.noise import Float32Array, hash_unit

_CELL_M = 0.5


@dataclass(frozen=True)
class Speckle:
    """One kind of small thing.

    Attributes:
        per_m2: how many; radius_m: median radius, varying by a factor of about 2.
        colour: its reflectance where `opacity` is 1.
        gain: instead of a colour, the share of red, green and blue that it adds.
    """

    per_m2: float
    radius_m: float
    colour: tuple[float, float, float] = (0.0, 0.0, 0.0)
    gain: tuple[float, float, float] = (0.0, 0.0, 0.0)
    opacity: float = 1.0
    clump: float = 0.0


def scatter(
    albedo: Float32Array, window: Window, texture: Float32Array, kind: Speckle, seed: int
) -> None:
    """Scatters one kind over `albedo` (H, W, 3), outlines made ragged by `texture` (5, H, W)."""
    if kind.per_m2 <= 0.0:
        return
    reach = 2.5 * kind.radius_m
    west, south, east, north = window.bounds_m
    cells = np.array(
        [
            math.floor((west - reach) / _CELL_M), math.floor((south - reach) / _CELL_M),
            math.floor((east + reach) / _CELL_M) + 1, math.floor((north + reach) / _CELL_M) + 1,
        ]
    )  # fmt: skip
    _scatter(
        albedo, texture, window.x_m(0), window.y_m(0), window.px_m, cells,
        kind.per_m2 * _CELL_M**2, kind.radius_m, np.array(kind.colour), np.array(kind.gain),
        kind.opacity, kind.clump, seed,
    )  # fmt: skip


@njit(cache=True, inline="always")
def _wave(cx: int, cy: int, cells: float, seed: int) -> float:
    """Smooth noise in about [-1, 1]."""
    u, v = cx / cells, cy / cells
    k, m = int(np.floor(u)), int(np.floor(v))
    f, g = u - k, v - m
    f, g = f * f * (3.0 - 2.0 * f), g * g * (3.0 - 2.0 * g)
    a = hash_unit(k, m, seed) * (1 - f) + hash_unit(k + 1, m, seed) * f
    b = hash_unit(k, m + 1, seed) * (1 - f) + hash_unit(k + 1, m + 1, seed) * f
    return a * (1 - g) + b * g


@njit(cache=True)
def _scatter(
    albedo: Float32Array,
    texture: Float32Array,
    x0: float,
    y0: float,
    px: float,
    cells: np.ndarray,
    per_cell: float,
    radius: float,
    colour: np.ndarray,
    gain: np.ndarray,
    opacity: float,
    clump: float,
    seed: int,
) -> None:
    height, width = texture.shape[1], texture.shape[2]
    for cy in range(cells[1], cells[3]):
        for cx in range(cells[0], cells[2]):
            mean = per_cell
            if clump > 0.0:
                big = _wave(cx, cy, 7.0, seed + 77) + 0.7 * _wave(cx, cy, 2.5, seed + 78)
                mean *= np.exp(clump * (1.2 * big - 0.5))
            count = int(mean + 0.5 + 0.5 * hash_unit(cx, cy, seed))
            for k in range(min(count, 60)):
                a = seed + 101 * (k + 1)
                x = (cx + 0.5 + 0.5 * hash_unit(cx, cy, a)) * _CELL_M
                y = (cy + 0.5 + 0.5 * hash_unit(cx, cy, a + 1)) * _CELL_M
                r = radius * np.exp(
                    0.45 * hash_unit(cx, cy, a + 2) + 0.35 * hash_unit(cx, cy, a + 3)
                )
                stretch = np.exp(0.5 * hash_unit(cx, cy, a + 4))
                bright = np.exp(0.35 * hash_unit(cx, cy, a + 5))
                turn = 3.14159 * hash_unit(cx, cy, a + 6)
                ct, st = np.cos(turn), np.sin(turn)
                # Growth has no outline: blades and gaps take turns towards its rim.
                ragged = min(0.8, max(0.0, (r - 0.03) / 0.05))
                far = r * max(stretch, 1.0 / stretch) * (1.0 + ragged) + px
                i0 = max(0, int(np.floor((x - far - x0) / px)))
                i1 = min(width, int(np.ceil((x + far - x0) / px)) + 1)
                j0 = max(0, int(np.floor((y0 - y - far) / px)))
                j1 = min(height, int(np.ceil((y0 - y + far) / px)) + 1)
                soft = max(px, (0.35 + 0.8 * ragged) * r)
                for j in range(j0, j1):
                    for i in range(i0, i1):
                        dx, dy = x0 + i * px - x, y0 - j * px - y
                        du, dv = (dx * ct + dy * st) * stretch, (dy * ct - dx * st) / stretch
                        edge = r * (
                            1.0 + ragged * (0.4 * texture[1, j, i] + 0.35 * texture[0, j, i] - 0.25)
                        )
                        inside = (edge - np.sqrt(du * du + dv * dv)) / soft + 0.5
                        if inside <= 0.0:
                            continue
                        # What is smaller than a pixel covers only part of it.
                        w = min(1.0, inside) * opacity * min(1.0, (2.0 * r / px) ** 2)
                        for c in range(3):
                            if gain[c] != 0.0:
                                albedo[j, i, c] *= np.float32(1.0 + w * gain[c] * bright)
                            elif colour[c] > 0.0:
                                value = colour[c] * bright
                                albedo[j, i, c] += np.float32(w * (value - albedo[j, i, c]))
