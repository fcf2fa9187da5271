"""Noise as a function of place: the same at a point whichever window it is asked for in.

Everything here is computed from the global row and column of a pixel alone, in the same order of
operations, so that a picture rendered window by window equals the one rendered at once, bit by bit.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from scenes.grid import Window

Float32Array = npt.NDArray[np.float32]

# Standard deviation of uniform(-1, 1) noise on a lattice after cubic B-spline interpolation: the
# kernel's energy is 151/315 an axis.
_SPLINE_STD = float(np.sqrt(1.0 / 3.0) * 151.0 / 315.0)


@njit(cache=True, inline="always")
def hash_unit(ix: int, iy: int, seed: int) -> float:
    """A number in [-1, 1) that follows from two whole numbers and a seed (PCG-style mixing)."""
    # numba widens products of 32-bit numbers to 64 bits: cut them back by hand.
    mask = np.uint64(0xFFFFFFFF)
    h = (np.uint64(ix) * np.uint64(0x8DA6B343)) & mask
    h ^= (np.uint64(iy) * np.uint64(0xD8163841)) & mask
    h ^= (np.uint64(seed) * np.uint64(0xCB1AB31F)) & mask
    h ^= h >> np.uint64(16)
    h = (h * np.uint64(0x7FEB352D)) & mask
    h ^= h >> np.uint64(15)
    h = (h * np.uint64(0x846CA68B)) & mask
    h ^= h >> np.uint64(16)
    return np.float64(h) * (2.0 / 4294967296.0) - 1.0


@njit(cache=True)
def _spline_weights(
    start_m: float, step_m: float, count: int, spacing_m: float
) -> tuple[npt.NDArray[np.int64], Float32Array]:
    first = np.empty(count, np.int64)
    weights = np.empty((count, 4), np.float32)
    for i in range(count):
        u = (start_m + step_m * i) / spacing_m
        cell = np.floor(u)
        f = u - cell
        first[i] = np.int64(cell) - 1
        g = 1.0 - f
        weights[i, 0] = g * g * g / 6.0
        weights[i, 1] = (3.0 * f * f * f - 6.0 * f * f + 4.0) / 6.0
        weights[i, 2] = (3.0 * g * g * g - 6.0 * g * g + 4.0) / 6.0
        weights[i, 3] = f * f * f / 6.0
    return first, weights


@njit(cache=True)
def _add_octave(
    out: Float32Array,
    col_first: npt.NDArray[np.int64],
    col_weights: Float32Array,
    row_first: npt.NDArray[np.int64],
    row_weights: Float32Array,
    amplitude: float,
    seed: int,
) -> None:
    height, width = out.shape
    low_x, high_x = col_first.min(), col_first.max() + 4
    low_y, high_y = row_first.min(), row_first.max() + 4
    lattice = np.empty(high_x - low_x, np.float32)
    across = np.empty((high_y - low_y, width), np.float32)
    for iy in range(low_y, high_y):
        for ix in range(low_x, high_x):
            lattice[ix - low_x] = hash_unit(ix, iy, seed)
        line = across[iy - low_y]
        for i in range(width):
            k = col_first[i] - low_x
            line[i] = (
                lattice[k] * col_weights[i, 0]
                + lattice[k + 1] * col_weights[i, 1]
                + lattice[k + 2] * col_weights[i, 2]
                + lattice[k + 3] * col_weights[i, 3]
            )
    amount = np.float32(amplitude)
    for j in range(height):
        k = row_first[j] - low_y
        w0, w1 = row_weights[j, 0] * amount, row_weights[j, 1] * amount
        w2, w3 = row_weights[j, 2] * amount, row_weights[j, 3] * amount
        a, b, c, d = across[k], across[k + 1], across[k + 2], across[k + 3]
        line = out[j]
        for i in range(width):
            line[i] += a[i] * w0 + b[i] * w1 + c[i] * w2 + d[i] * w3


@njit(cache=True)
def _add_white(out: Float32Array, col: int, row: int, amplitude: float, seed: int) -> None:
    for j in range(out.shape[0]):
        for i in range(out.shape[1]):
            out[j, i] += np.float32(amplitude * 1.7320508 * hash_unit(col + i, row + j, seed))


def add_octave(
    out: Float32Array, window: Window, spacing_m: float, amplitude: float, seed: int
) -> None:
    """Adds smooth noise of standard deviation `amplitude` with features of `spacing_m` to `out`.

    Detail finer than the pixel is averaged by the pixel, as light is: it comes in as white noise,
    weakened by the number of details that fall into one pixel.
    """
    if amplitude == 0.0:
        return
    px_m = window.px_m
    if spacing_m < 0.9 * px_m:
        _add_white(out, window.col, window.row, amplitude * spacing_m / px_m, seed)
        return
    columns = _spline_weights(window.x_m(0), px_m, window.width, spacing_m)
    rows = _spline_weights(window.y_m(0), -px_m, window.height, spacing_m)
    _add_octave(out, *columns, *rows, amplitude / _SPLINE_STD, seed)


def fractal(
    out: Float32Array, window: Window, finest_m: float, coarsest_m: float, slope: float, seed: int
) -> None:
    """Adds noise of unit variance whose octaves, a factor 2 apart, grow as spacing ** slope."""
    spacings = finest_m * 2.0 ** np.arange(round(np.log2(coarsest_m / finest_m)) + 1)
    amplitudes = spacings**slope
    amplitudes /= np.sqrt(np.sum(amplitudes**2))
    for k, (spacing_m, amplitude) in enumerate(zip(spacings, amplitudes, strict=True)):
        add_octave(out, window, float(spacing_m), float(amplitude), seed + 7919 * k)


@njit(cache=True)
def smooth_1d(position: float, seed: int) -> float:
    """Smooth noise of unit variance along a line, features of length 1."""
    cell = np.floor(position)
    f = position - cell
    k = int(cell) - 1
    g = 1.0 - f
    value = (
        hash_unit(k, 0, seed) * g * g * g
        + hash_unit(k + 1, 0, seed) * (3.0 * f * f * f - 6.0 * f * f + 4.0)
        + hash_unit(k + 2, 0, seed) * (3.0 * g * g * g - 6.0 * g * g + 4.0)
        + hash_unit(k + 3, 0, seed) * f * f * f
    ) / 6.0
    return value / 0.39970  # sqrt(1/3 * 151/315)
