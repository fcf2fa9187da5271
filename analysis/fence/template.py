"""A third opinion: does the ground here look like the fence elsewhere along this very line?

A template of the fence's cross-profile, in lightness and two colours, is learned from the line
itself, whitened by profiles at parallels beside it and by the border of the two grounds that may
run along it, and compared with every column (a matched filter). It needs no training and does not
mind what the fence is, as long as it looks the same for some tens of metres and differs from what
lies beside it; where it does not, it has no opinion.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from analysis.fence.features import ACROSS_M, ALONG_M

Floats = npt.NDArray[np.float64]
Grid = npt.NDArray[np.float32]
Colours = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Ratios:
    """Log likelihood ratios of fence to ground, `along` a line and `everywhere` around it."""

    along: Floats
    everywhere: Grid


COLOURS = 3
"""Lightness, red to green, blue to green: the first channels of the network's input."""
_STEP = 0.04
"""Of the kept colours, in deviations of the ground near by."""
_WINDOW_M = 100.0
_BESIDE_M = 50.0
"""The template of a window is learned from the window and this much to both sides."""
_HALF_M = 0.3
_HIGH_PASS_M = 1.6
_FIRST_BESIDE_M, _LAST_BESIDE_M, _STEP_BESIDE_M = 0.6, 3.2, 0.24
_EVERY = 3
"""Columns of the parallels that are looked at."""
_LOADING = 0.15
"""Added to the variance of the ground, as a share of it."""
_BORDER_M, _SIDE_M = 0.2, 0.2
"""How far from the line a border may run, and from where its two sides are told."""
_ALONG_M = 0.8
"""Length along the fence over which a response is averaged: a cut of 1 m must show."""
_WANDER_M = 0.08
_SPREAD = 0.25
"""How much an unbroken fence's own response varies, of 1."""
_MOST = 6.0
_LEAST_COLUMNS = 100
_ROUNDS = 2
_FENCED = 0.4
"""A response above this is taken for fence when the template is learned again."""


def keep_colours(inputs: npt.NDArray[np.float32]) -> Colours:
    """The first channels (3, M, N) of the network's input in one byte a value."""
    return np.clip(np.rint(inputs[:COLOURS] / _STEP), -127, 127).astype(np.int8)


def likelihood(colours: Colours, row: Floats) -> Ratios:
    """Log likelihood ratio of fence to ground, (N / 2,) along a line and (M / 2, N / 2) all over.

    Args:
        colours: (3, M, N) from `keep_colours`, columns of `ALONG_M`, rows of `ACROSS_M`.
        row: (N / 2,) of the line, in rows of twice the height, fractional.

    Returns:
        Both positive where the look of the fence is found; 0 where nothing can be told.
    """
    cells = len(row)
    columns = colours.shape[2]
    along = np.zeros(cells)
    everywhere = np.zeros((colours.shape[1] // 2, cells), np.float32)
    step, beside = round(_WINDOW_M / ALONG_M), round(_BESIDE_M / ALONG_M)
    at = np.interp(np.arange(columns), np.arange(cells) * 2 + 0.5, row * 2 + 0.5)
    at = cv2.GaussianBlur(at[None].astype(np.float32), (0, 0), 8)[0]
    for first in range(0, columns, step):
        last = min(first + step, columns)
        begin, end = max(0, first - beside), min(columns, last + beside)
        if end - begin < _LEAST_COLUMNS:
            continue
        ratio = _compare(colours[:, :, begin:end].astype(np.float32) * _STEP, at[begin:end])
        ratio = ratio[:, first - begin : last - begin]
        if ratio.shape[1] % 2:
            ratio = np.column_stack([ratio, ratio[:, -1:]])
        part = slice(first // 2, -(-last // 2))
        ratio = ratio.reshape(len(ratio), -1, 2).mean(axis=2)
        here = at[first:last:2] / 2 - 0.25
        # A sharp line is in one of the two rows of a cell, and its neighbour says the contrary.
        everywhere[:, part] = ratio[: len(ratio) // 2 * 2].reshape(-1, 2, ratio.shape[1]).max(1)
        reach = round(_WANDER_M / ACROSS_M / 2)
        rows = np.round(here).astype(int) + np.arange(-reach, reach + 1)[:, None]
        rows = np.clip(rows, 0, len(everywhere) - 1)
        along[part] = everywhere[rows, np.arange(first // 2, -(-last // 2))[None, :]].max(axis=0)
    return Ratios(along, everywhere)


def _compare(planes: Grid, at: Grid) -> Grid:
    """The ratio (M, N) for every place of one window of (3, M, N)."""
    size = (1, 2 * round(_HIGH_PASS_M / ACROSS_M / 2) + 1)
    planes = np.stack([plane - cv2.blur(plane, size) for plane in planes])
    height = planes.shape[1]
    steps = np.arange(_FIRST_BESIDE_M, _LAST_BESIDE_M + 1e-6, _STEP_BESIDE_M) / ACROSS_M
    shifts = np.concatenate([-steps[::-1], steps])[:, None]
    half = round(_HALF_M / ACROSS_M)
    beside = at + shifts
    inside = (beside > half + 1) & (beside < height - half - 2)
    if inside.sum() < 4 * _LEAST_COLUMNS:
        return np.zeros_like(planes[0])
    some = np.zeros(len(at), np.bool_)
    some[::_EVERY] = True
    columns = np.broadcast_to(np.arange(len(at), dtype=np.float32), beside.shape)
    ground = _profiles(planes, beside[inside & some], columns[inside & some], half)
    mean = ground.mean(axis=1)
    spread = np.cov(ground)
    own = np.diag(spread).reshape(COLOURS, -1).mean(axis=1)
    spread += np.diag(np.repeat(_LOADING * own + 1e-9, 2 * half + 1))
    here = _profiles(planes, at, columns[0], half)
    spread += _border(here, half)
    shape = np.median(here, axis=1) - mean
    for _ in range(_ROUNDS):
        weight = _weight(spread, shape)
        fenced = cv2.blur((weight @ (here - mean[:, None]))[None].astype(np.float32), (9, 1))[0]
        if (fenced > _FENCED).sum() > _LEAST_COLUMNS // 3:
            shape = np.median(here[:, fenced > _FENCED], axis=1) - mean
    weight = _weight(spread, shape)
    kernels = weight.reshape(COLOURS, -1, 1).astype(np.float32)
    found = np.full_like(planes[0], -float(weight @ mean))
    for plane, kernel in zip(planes, kernels, strict=True):
        found += cv2.filter2D(plane, -1, kernel)
    found = cv2.blur(found, (round(_ALONG_M / ALONG_M), 1))
    # The nulls may wander as the line itself may.
    reach = round(_WANDER_M / ACROSS_M)
    best = cv2.dilate(found, np.ones((2 * reach + 1, 1), np.uint8))
    null = _profiles(best[None], beside[inside & some], columns[inside & some], 0)
    middle = float(np.median(null))
    noise = 1.48 * float(np.median(np.abs(null - middle)))
    fence = max(1.0 - middle, 1e-3)
    variance = (noise / fence) ** 2 + _SPREAD**2
    return np.clip((2 * (found - middle) / fence - 1) / (2 * variance), -_MOST, _MOST)


def _border(here: Grid, half: int) -> Floats:
    """Covariance of ground whose two sides differ as they do along this line.

    Their border runs anywhere near the line. Where the fence is gone it is what is left, and the
    template must not take it for the fence.
    """

    def differs(profiles: Floats | Grid) -> Any:
        above, below = profiles[..., half + side :, :], profiles[..., : half - side + 1, :]
        return above.mean(axis=-2) - below.mean(axis=-2)

    side, reach = round(_SIDE_M / ACROSS_M), round(_BORDER_M / ACROSS_M)
    box = round(_HIGH_PASS_M / ACROSS_M / 2)
    rows, places = np.arange(-half - box, half + box + 1), np.arange(-reach, reach + 1)
    jumps = np.sign(rows[:, None] - places).astype(np.float64)
    jumps = (jumps - cv2.blur(jumps, (1, 2 * box + 1)))[box:-box]
    jumps /= differs(jumps)[reach]
    sides = differs(here.reshape(COLOURS, 2 * half + 1, -1))
    colours = sides @ sides.T / sides.shape[1]
    return np.asarray(np.kron(colours, jumps @ jumps.T / len(places)))


def _weight(spread: Floats, shape: Floats) -> Floats:
    """The matched filter for `shape` in noise of covariance `spread`: 1 where the shape is."""
    weight = np.linalg.solve(spread, shape)
    return np.asarray(weight / max(float(weight @ shape), 1e-9))


def _profiles(planes: Grid, at: Grid, columns: Grid, half: int) -> Grid:
    """(C (2 half + 1), N) of (C, M, N'): what is around the row `at` of each of the `columns`."""
    rows = at[None, :] + np.arange(-half, half + 1, dtype=np.float32)[:, None]
    x = np.broadcast_to(columns[None, :], rows.shape)
    x, rows = np.ascontiguousarray(x), rows.astype(np.float32)
    look = {"interpolation": cv2.INTER_LINEAR, "borderMode": cv2.BORDER_REPLICATE}
    return np.concatenate([cv2.remap(plane, x, rows, **look) for plane in planes])
