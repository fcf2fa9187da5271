"""What the network sees of a strip: lightness and two colour ratios against their surroundings."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

FloatGrid = npt.NDArray[np.float32]

ACROSS_M = 0.04
ALONG_M = 0.1
ROWS = 224
"""Rows of the network's input: 8.96 m across, a multiple of 16 cells of 8 cm."""
NEAR_COLUMNS = 161
"""Columns over which an input is compared with its surroundings: 16 m."""


def network_input(rgb: FloatGrid, valid: npt.NDArray[np.bool_]) -> FloatGrid:
    """(3, M, N) channels of a strip (M, N, 3) of 0 to 255.

    Lightness and the ratios red to green and blue to green, as logarithms so that exposure and
    white balance only shift them, less the mean and divided by the deviation of the columns within
    8 m. Nothing imaged gives 0.
    """
    logs = np.log(rgb + 8.0)
    light = logs @ np.array([0.299, 0.587, 0.114], np.float32)
    channels = np.stack([light, logs[..., 0] - logs[..., 1], logs[..., 2] - logs[..., 1]])
    weight = valid.astype(np.float32)
    share = _near(weight.sum(axis=0))
    out = np.empty_like(channels)
    for index, (channel, least) in enumerate(zip(channels, (0.04, 0.02, 0.02), strict=True)):
        mean = _near((channel * weight).sum(axis=0)) / np.maximum(share, 1e-3)
        away = (channel - mean[None, :]) * weight
        # Rounding may leave a variance just below zero.
        variance = np.maximum(_near((away * away).sum(axis=0)) / np.maximum(share, 1e-3), 0.0)
        out[index] = away / np.maximum(np.sqrt(variance), least)[None, :]
    return np.clip(out, -5.0, 5.0).astype(np.float32)


def _near(row: FloatGrid) -> FloatGrid:
    """Mean over the columns near each, (N,)."""
    size = (NEAR_COLUMNS, 1)
    return np.asarray(
        cv2.blur(row[None, :].astype(np.float32), size, borderType=cv2.BORDER_REPLICATE)[0]
    )
