"""What both detectors look at: colours on the working grid, and the network's input.

Everything here is whole numbers, or computed from whole numbers pixel by pixel, so that a pixel has
the same value whichever window it was read in.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

Array = npt.NDArray[Any]

RGB_STEPS = 16
"""Steps per 8-bit level on the working grid: averaging native pixels gives finer levels."""
LAB_STEPS = 16
"""Steps per unit of CIE L*, a*, b*."""
LOCAL_WINDOW_M = 4.9
"""Width of the window of local mean and deviation, from the prototype (49 px of 0.1 m)."""
SD_FLOOR = (1.2, 0.8, 0.8)
"""Least local deviation, in Lab units: below it is quantisation and JPEG, not texture."""

_LEVELS = 255 * RGB_STEPS + 1
_srgb = np.arange(_LEVELS) / (_LEVELS - 1)
_LINEAR = np.where(_srgb <= 0.04045, _srgb / 12.92, ((_srgb + 0.055) / 1.055) ** 2.4)
_ROOT_STEPS = 8192
_xyz = np.arange(_ROOT_STEPS + 2) / _ROOT_STEPS
_ROOT = np.where(_xyz > (6 / 29) ** 3, np.cbrt(_xyz), _xyz / (3 * (6 / 29) ** 2) + 4 / 29)


@njit(cache=True)
def _lab_steps(rgb, linear, root, root_steps, lab_steps, out):  # type: ignore[no-untyped-def]
    rows, columns, _ = rgb.shape
    for row in range(rows):
        for column in range(columns):
            red = linear[rgb[row, column, 0]]
            green = linear[rgb[row, column, 1]]
            blue = linear[rgb[row, column, 2]]
            # sRGB (D65) to XYZ, each over its white (IEC 61966-2-1)
            x = (0.4124564 * red + 0.3575761 * green + 0.1804375 * blue) / 0.95047
            y = 0.2126729 * red + 0.7151522 * green + 0.0721750 * blue
            z = (0.0193339 * red + 0.1191920 * green + 0.9503041 * blue) / 1.08883
            at = min(x, 1.0) * root_steps
            index = int(at)
            fx = root[index] + (root[index + 1] - root[index]) * (at - index)
            at = min(y, 1.0) * root_steps
            index = int(at)
            fy = root[index] + (root[index + 1] - root[index]) * (at - index)
            at = min(z, 1.0) * root_steps
            index = int(at)
            fz = root[index] + (root[index + 1] - root[index]) * (at - index)
            out[0, row, column] = round((116.0 * fy - 16.0) * lab_steps)
            out[1, row, column] = round(500.0 * (fx - fy) * lab_steps)
            out[2, row, column] = round(200.0 * (fy - fz) * lab_steps)


def to_lab(rgb: Array) -> Array:
    """CIE L*a*b* (D65) in steps of 1/16.

    Args:
        rgb: (rows, columns, 3) uint16, 8-bit levels times `RGB_STEPS`.

    Returns:
        (3, rows, columns) int16.
    """
    out = np.empty((3, *rgb.shape[:2]), np.int16)
    _lab_steps(np.ascontiguousarray(rgb), _LINEAR, _ROOT, _ROOT_STEPS, LAB_STEPS, out)
    return out


def odd_px(length_m: float, gsd_m: float) -> int:
    """The odd number of pixels nearest to a length, at least 3."""
    return max(3, 2 * round((length_m / gsd_m - 1) / 2) + 1)


@njit(cache=True, error_model="numpy")
def _standardised(lab, valid, half, least, steps, planes):  # type: ignore[no-untyped-def]
    # Running sums of whole numbers, hence the same in every window.
    rows, columns = valid.shape
    count = np.zeros(columns, np.int64)
    sums, squares = np.zeros((3, columns), np.int64), np.zeros((3, columns), np.int64)
    s, q = np.zeros(3, np.int64), np.zeros(3, np.int64)
    for row in range(-half, rows):
        for step in range(2):
            at = row + half if step == 0 else row - half - 1
            if at < 0 or at >= rows:
                continue
            sign = 1 - 2 * step
            own = valid[at]
            for column in range(columns):
                count[column] += sign * own[column]
            for channel in range(3):
                values, into, into_q = lab[channel, at], sums[channel], squares[channel]
                for column in range(columns):
                    value = np.int64(values[column]) * sign * own[column]
                    into[column] += value
                    into_q[column] += value * values[column]
        if row < 0:
            continue
        n = np.int64(0)
        s[:], q[:] = 0, 0
        for column in range(min(half, columns)):
            n += count[column]
            for channel in range(3):
                s[channel] += sums[channel, column]
                q[channel] += squares[channel, column]
        for column in range(columns):
            if column + half < columns:
                n += count[column + half]
                for channel in range(3):
                    s[channel] += sums[channel, column + half]
                    q[channel] += squares[channel, column + half]
            if column - half - 1 >= 0:
                n -= count[column - half - 1]
                for channel in range(3):
                    s[channel] -= sums[channel, column - half - 1]
                    q[channel] -= squares[channel, column - half - 1]
            if not valid[row, column]:
                continue
            for channel in range(3):
                mean = s[channel] / n
                # Rounding may bring a variance below 0, and the root of that is NaN: clip first.
                variance = max(q[channel] / n - mean * mean, 0.0)
                deviation = max(math.sqrt(variance), least[channel])
                value = (lab[channel, row, column] - mean) / deviation
                planes[channel, row, column] = min(max(value, -4.0), 4.0)
            planes[3, row, column] = np.float32(lab[0, row, column]) / steps[0] - np.float32(1)
            planes[4, row, column] = np.float32(lab[1, row, column]) / steps[1]
            planes[5, row, column] = np.float32(lab[2, row, column]) / steps[2]


def network_input(lab: Array, valid: Array, gsd_m: float) -> Array:
    """The six planes the network sees.

    Args:
        lab: (3, rows, columns) int16 as of `to_lab`.
        valid: (rows, columns) bool, False where the picture has no data.
        gsd_m: metres per pixel.

    Returns:
        (6, rows, columns) float32: L, a, b each less the local mean and over the local deviation of
        the valid pixels within `LOCAL_WINDOW_M`, clipped to ±4; then L, a, b as they are, scaled to
        about ±1. Zero where not valid.
    """
    planes = np.zeros((6, *valid.shape), np.float32)
    half = odd_px(LOCAL_WINDOW_M, gsd_m) // 2
    least = np.array(SD_FLOOR) * LAB_STEPS
    steps = np.array([50, 30, 30], np.float32) * np.float32(LAB_STEPS)
    _standardised(lab, valid, half, least, steps, planes)
    return planes
