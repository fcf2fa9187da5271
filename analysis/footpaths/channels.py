"""What both detectors look at: colours on the working grid, and the network's input.

Everything here is whole numbers, or computed from whole numbers pixel by pixel, so that a pixel has
the same value whichever window it was read in.
"""

from __future__ import annotations

from typing import Any

import cv2
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


def box_sum(values: Array, size_px: int) -> Array:
    """Sums over a square window; outside counts as 0. Exact while sums stay below 2**53."""
    return cv2.boxFilter(
        values.astype(np.float64),
        cv2.CV_64F,
        (size_px, size_px),
        normalize=False,
        borderType=cv2.BORDER_CONSTANT,
    )


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
    size = odd_px(LOCAL_WINDOW_M, gsd_m)
    count = np.maximum(box_sum(valid, size), 1.0)
    planes = np.zeros((6, *valid.shape), np.float32)
    for channel in range(3):
        values = np.where(valid, lab[channel], 0).astype(np.float64)
        mean = box_sum(values, size) / count
        # Rounding may bring a variance below 0, and the root of that is NaN: clip first.
        variance = np.maximum(box_sum(values * values, size) / count - mean * mean, 0.0)
        deviation = np.maximum(np.sqrt(variance), SD_FLOOR[channel] * LAB_STEPS)
        planes[channel] = np.where(valid, np.clip((values - mean) / deviation, -4, 4), 0)
    planes[3] = np.where(valid, lab[0] / np.float32(LAB_STEPS * 50) - 1, 0)
    planes[4] = np.where(valid, lab[1] / np.float32(LAB_STEPS * 30), 0)
    planes[5] = np.where(valid, lab[2] / np.float32(LAB_STEPS * 30), 0)
    return planes
