"""What the network sees of a strip: lightness and two colour ratios against their surroundings.

A wire is one pixel of 2 cm, so the rows of 4 cm come with the difference of their two halves.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

FloatGrid = npt.NDArray[np.float32]

ACROSS_M = 0.04
FINE_M = ACROSS_M / 2
ALONG_M = 0.1
ROWS = 224
"""Rows of the network's input: 8.96 m across, a multiple of 16 cells of 8 cm."""
NEAR_COLUMNS = 161
"""Columns over which an input is compared with its surroundings: 16 m."""
CHANNELS = 5
_HALVES = 3
"""The channels from here on are differences of the halves of a row."""
_LEAST = (0.04, 0.02, 0.02, 0.02, 0.01)
"""Deviations below which a channel is noise."""


def network_input(rgb: FloatGrid, valid: npt.NDArray[np.bool_]) -> FloatGrid:
    """(5, M, N) channels of a strip (2 M, N, 3) of 0 to 255, its rows `FINE_M` apart.

    Lightness and the ratios red to green and blue to green, as logarithms so that exposure and
    white balance only shift them; then, of lightness and red to green, by how much the upper half
    of a row exceeds its middle. All less the mean and divided by the deviation of the columns
    within 8 m. Nothing imaged gives 0.
    """
    red, green, blue = (np.log(plane + np.float32(8.0)) for plane in cv2.split(rgb))
    light = np.float32(0.299) * red + np.float32(0.587) * green + np.float32(0.114) * blue
    pairs = [(each[0::2], each[1::2]) for each in (light, red - green, blue - green)]
    channels = [(upper + lower) * np.float32(0.5) for upper, lower in pairs]
    channels += [(upper - lower) * np.float32(0.5) for upper, lower in pairs[:2]]
    weight = (valid[0::2] & valid[1::2]).astype(np.float32)
    share = np.maximum(_near(weight.sum(axis=0)), np.float32(1e-3))
    out = np.empty((CHANNELS, *weight.shape), np.float32)
    for own, channel, least in zip(out, channels, _LEAST, strict=True):
        mean = _near((channel * weight).sum(axis=0)) / share
        away = np.subtract(channel, mean[None, :], out=own)
        away *= weight
        # Rounding may leave a variance just below zero.
        variance = np.maximum(_near(np.square(away).sum(axis=0)) / share, 0.0)
        own /= np.maximum(np.sqrt(variance), np.float32(least))[None, :]
    return np.clip(out, -5.0, 5.0, out=out)


def mirrored(inputs: FloatGrid) -> FloatGrid:
    """The input (5, M, N) of the same strip with left and right of the line exchanged."""
    out = np.ascontiguousarray(inputs[:, ::-1])
    out[_HALVES:] *= -1  # what was the upper half of a row is the lower one
    return out


def _near(row: FloatGrid) -> FloatGrid:
    """Mean over the columns near each, (N,)."""
    size = (NEAR_COLUMNS, 1)
    return np.asarray(
        cv2.blur(row[None, :].astype(np.float32), size, borderType=cv2.BORDER_REPLICATE)[0]
    )
