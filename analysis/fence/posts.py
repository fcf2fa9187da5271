"""What a fence usually looks like at the same distance from its posts.

What is usual along the whole fence (`likeness.with_usual`) shows no posts: each stands in a column
of its own. So their spacing is found from the data, and beside each column is laid the median of
those a whole number of spacings away. Where a post is usual and none is seen, it is gone.
"""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt
import scipy.fft
from scipy import ndimage

from analysis.fence.features import ALONG_M

Floats = npt.NDArray[np.float32]

PLANES = 3
"""Of the network's input, the first: lightness and two colour ratios."""
SPACING_M = (1.5, 6.6)
_NEIGHBOURS = 9
"""Columns of whose looks the median is taken, half of them to each side where there are as many."""
_BLOCK = 256
"""Columns that have one spacing; it is sought in two more such blocks to either side."""
_STEP = 0.1
"""Columns from one spacing tried to the next: four of them on are told to 4 cm."""
_MULTIPLES = 4
_POST_COLUMNS = 31
"""What varies over more columns is ground and light, not posts."""
_LAGS_BESIDE = 19
_SHORTER = 0.75
"""A half or third of a spacing is it, if it explains so much of what the spacing does."""
_CLIP = 3.0
_STEPS_PER_UNIT = 25.0
"""The median is of whole steps: 0.04 of a deviation, up to the 5 that an input is clipped to."""


def at_same_phase(along: Floats) -> Floats:
    """(PLANES, R, N): what is usual a whole number of post spacings away from each column.

    Args:
        along: (PLANES or more, R, N) strip laid along the fence.
    """
    planes = along[:PLANES]
    count = planes.shape[2]
    out = np.zeros(planes.shape, np.float32)
    steps = np.rint(planes * np.float32(_STEPS_PER_UNIT)).astype(np.int8)
    varying = _varying(planes)
    for first in range(0, count, _BLOCK):
        last = min(first + _BLOCK, count)
        around = varying[:, max(0, first - 2 * _BLOCK) : last + 2 * _BLOCK]
        spacing = post_spacing(around)
        if spacing is None or count < (_NEIGHBOURS + 2) * spacing:
            continue
        columns = _same_phase(np.arange(first, last), spacing, count)
        median = _median([steps[:, :, each] for each in columns])
        out[:, :, first:last] = median.astype(np.float32) / np.float32(_STEPS_PER_UNIT)
    return out


def post_spacing(varying: Floats) -> float | None:
    """The spacing of what comes again and again along a strip, in columns; None if it is too short.

    It may be twice or three times that of the posts: their phase it tells all the same.

    Args:
        varying: (K, N) rows less their mean over a spacing or so.
    """
    count = varying.shape[1]
    least, most = (each / ALONG_M for each in SPACING_M)
    lags = min(count - 1, round(_MULTIPLES * most) + 1)
    if lags < 2 * most:
        return None
    size = scipy.fft.next_fast_len(count + lags, real=True)
    spectrum = scipy.fft.rfft(varying, size, axis=1)
    power = (np.square(spectrum.real) + np.square(spectrum.imag)).sum(axis=0)
    alike = scipy.fft.irfft(power, size)[:lags] / (count - np.arange(lags))
    if alike[0] <= 0:
        return None
    # A ridge along the fence is alike at any lag; a post stands out from the lags beside its own.
    sharp = alike - ndimage.median_filter(alike, size=_LAGS_BESIDE, mode="nearest")
    spacings = np.arange(least, most, _STEP)
    at = np.arange(lags)
    told = np.mean(
        [np.interp(k * spacings, at, sharp, right=0.0) for k in range(1, _MULTIPLES + 1)], axis=0
    )
    best = int(np.argmax(told))
    for part in (2, 3):
        near = np.flatnonzero(np.abs(spacings - spacings[best] / part) < 0.6)
        if len(near) and told[near].max() > _SHORTER * told[best]:
            best = int(near[np.argmax(told[near])])
    return float(spacings[best])


def _varying(planes: Floats) -> Floats:
    """(K, N): rows of all planes, two by two, less what lies within 1.5 m along."""
    pairs = (planes[:, 0::2] + planes[:, 1::2]) * np.float32(0.5)
    flat = np.ascontiguousarray(pairs.reshape(-1, planes.shape[2]))
    flat -= cv2.blur(flat, (_POST_COLUMNS, 1), borderType=cv2.BORDER_REFLECT)
    return np.asarray(np.clip(flat, -_CLIP, _CLIP, out=flat))


def _same_phase(
    columns: npt.NDArray[np.int64], spacing: float, count: int
) -> list[npt.NDArray[np.int64]]:
    """The nearest columns of the same phase, their own left out: `_NEIGHBOURS` of each (N,)."""
    before = np.minimum(_NEIGHBOURS // 2, np.floor(columns / spacing)).astype(int)
    after = np.floor((count - 1 - columns) / spacing).astype(int)
    before = np.maximum(before, _NEIGHBOURS - after)
    away = np.arange(_NEIGHBOURS)[:, None] - before
    away += away >= 0
    at = np.rint(columns + away * spacing).astype(np.int64)
    return list(np.clip(at, 0, count - 1))


def _median(planes: list[npt.NDArray[np.int8]]) -> npt.NDArray[np.int8]:
    """Of an odd number of planes, each value for itself: sorted by exchanges, as far as needed."""
    planes = list(planes)
    half = len(planes) // 2
    for done in range(half + 1):
        # The smallest of what is left moves to the front.
        for high, low in pairwise(range(len(planes) - 1, done - 1, -1)):
            smaller = np.minimum(planes[low], planes[high])
            planes[low] = np.maximum(planes[low], planes[high])
            planes[high] = smaller
    return planes[half]
