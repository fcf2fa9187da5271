"""Whether a path can be seen in a picture at all: what cannot be seen is no lesson."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

LEAST_SEEN = 1.1
"""Contrast from which a path can be seen, in deviations of the ground within 3 m. Checked by eye
on ten scenes and thirty painted pictures."""
_WORKING_M = 0.24
"""Means over metres are taken on pixels of about this size."""
_PATH_M, _MARGIN_M, _GROUND_M = 0.8, 1.5, 3.0
"""Reach (standard deviation) of the means of a path, of its margins, and of the ground."""


def contrast(rgb: Array, path: Array, known: Array, gsd_m: float) -> Array:
    """How much a path differs from its margins, in deviations of the ground there.

    Args:
        rgb: (rows, columns, 3) uint8, or float of 0 to 1.
        path, known: (rows, columns) bool; what is not known counts for neither side.
        gsd_m: metres per pixel.

    Returns:
        (rows, columns) float32, of use on the path.
    """
    scaled = rgb.astype(np.float32) / 255 if rgb.dtype == np.uint8 else rgb
    lab = cv2.cvtColor(scaled, cv2.COLOR_RGB2Lab)
    rows, columns = path.shape
    coarser = max(1, round(_WORKING_M / gsd_m))
    small = (-(-columns // coarser), -(-rows // coarser))

    def coarse(plane: Array, sigma_m: float) -> Array:
        plane = cv2.resize(plane, small, interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma_m / gsd_m / coarser))

    def mean(where: Array, sigma_m: float) -> Array:
        weight = coarse(where.astype(np.float32), sigma_m)[..., None]
        held = np.where(where[..., None], lab, np.float32(0))
        return coarse(held, sigma_m) / np.maximum(weight, 1e-6)

    far_m = cv2.distanceTransform((~path).astype(np.uint8), cv2.DIST_L2, 5) * gsd_m
    margin = (far_m > 0.25) & (far_m < 1.2) & known
    difference = np.abs(mean(path & known, _PATH_M) - mean(margin, _MARGIN_M))
    ground = cv2.GaussianBlur(lab, (0, 0), max(0.5, 0.2 / gsd_m))
    middle = coarse(ground, _GROUND_M)
    deviation = np.sqrt(np.maximum(coarse(ground * ground, _GROUND_M) - middle * middle, 1.0))
    found = np.linalg.norm(difference / deviation, axis=2).astype(np.float32)
    return np.asarray(cv2.resize(found, (columns, rows), interpolation=cv2.INTER_LINEAR))
