"""Integration along curves: how good is the best gently bending line through each pixel.

Dynamic programming over steps of about 1.2 m, the direction free to turn by one bin a step; from
each pixel both ways. A minimal path in the sense of Morris and Barnard (CVPR 2008), for all pixels
at once. A line may end after 3 steps or go on for 8, on either side: the mean of fewer places
varies more, and what it exceeds the ground by counts less by the root of their number. In whole
numbers, hence the same in every window.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from analysis.footpaths.strips import DIRECTIONS

Array = npt.NDArray[Any]

STEP_M = 1.2
STEPS = 8
SHORT_STEPS = 3
COUNT = 2 * STEPS + 1
"""Places that a score is the sum of, or is made comparable with."""
GROUND_Z = 56
"""In steps of z: what the best line comes to a place on ground without a path, by the filter."""
_SHARE_STEPS = 256
TURN_COST = 8
"""In steps of z (1/64): what a turn by one bin (11 degrees in 1.2 m) costs."""


def reach_px(gsd_m: float) -> int:
    """How far the integration looks, in pixels of its grid."""
    return STEPS * (round(STEP_M / gsd_m) + 1) + 2


@njit(cache=True)
def _step(before, z, offsets, turn_cost, after):  # type: ignore[no-untyped-def]
    states, rows, columns = before.shape
    half = states // 2
    for state in range(states):
        dy, dx = offsets[state, 0], offsets[state, 1]
        left, right = before[(state - 1) % states], before[(state + 1) % states]
        same = before[state]
        first, last = max(0, -dx), min(columns, columns - dx)
        width = last - first
        for row in range(rows):
            into = after[state, row]
            own = z[state % half, row]
            there = row + dy
            if there < 0 or there >= rows:
                for column in range(columns):
                    into[column] = own[column]
                continue
            into[:first] = own[:first]
            into[last:] = own[last:]
            from_same = same[there, first + dx : last + dx]
            from_left = left[there, first + dx : last + dx]
            from_right = right[there, first + dx : last + dx]
            sums, here = into[first:last], own[first:last]
            for column in range(width):
                turned = max(from_left[column], from_right[column]) - turn_cost
                sums[column] = here[column] + max(from_same[column], turned)


@njit(cache=True)
def _combine(near, far, z, ground, counts, shares, score, direction):  # type: ignore[no-untyped-def]
    half, rows, columns = z.shape
    full = np.int32(counts[0] * ground)
    for row in range(rows):
        for column in range(columns):
            score[row, column] = -32768
    for state in range(half):
        for row in range(rows):
            own = z[state, row]
            far_on, far_back = far[state, row], far[state + half, row]
            near_on, near_back = near[state, row], near[state + half, row]
            best, bins = score[row], direction[row]
            for column in range(columns):
                here = np.int32(own[column])
                a, b = np.int32(far_on[column]), np.int32(far_back[column])
                c, d = np.int32(near_on[column]), np.int32(near_back[column])
                both = (a + b - here - counts[0] * ground) * shares[0]
                one = (max(a + d, c + b) - here - counts[1] * ground) * shares[1]
                short = (c + d - here - counts[2] * ground) * shares[2]
                total = (max(both, max(one, short)) >> 8) + full
                if total > best[column]:
                    best[column] = total
                    bins[column] = state


def integrate(z: Array, gsd_m: float, ground: int = GROUND_Z) -> tuple[Array, Array]:
    """Best sums of z over curves of 3 or 8 steps to either side, and the pixel itself.

    Args:
        z: (16, rows, columns) int16 as of `StripEvidence`.
        gsd_m: of its grid.
        ground: what a place without a path comes to, in steps of z.

    Returns:
        (rows, columns) int16 sums over `COUNT` places, and uint8 direction bins. Of a curve of
        fewer places, n, the sum is what it would be if all had stood out as clearly: the excess
        over the ground times the root of `COUNT` / n.
    """
    step_px = round(STEP_M / gsd_m)
    turns = np.arange(2 * DIRECTIONS) * math.pi / DIRECTIONS
    offsets = np.round(np.column_stack([np.sin(turns), np.cos(turns)]) * step_px).astype(np.int64)
    ends = np.concatenate([z, z])
    other = np.empty_like(ends)
    near = ends
    for step in range(STEPS):
        _step(ends, z, offsets, np.int16(TURN_COST), other)
        ends, other = other, ends
        if step + 1 == SHORT_STEPS:
            near = ends.copy()
    counts = np.array([COUNT, STEPS + SHORT_STEPS + 1, 2 * SHORT_STEPS + 1], np.int32)
    shares = np.round(_SHARE_STEPS * np.sqrt(COUNT / counts)).astype(np.int32)
    score = np.empty(z.shape[1:], np.int16)
    direction = np.zeros(z.shape[1:], np.uint8)
    _combine(near, ends, z, np.int32(ground), counts, shares, score, direction)
    return score, direction


@njit(cache=True)
def _ridge(score, direction, least, offsets, margin, out):  # type: ignore[no-untyped-def]
    rows, columns = score.shape
    for row in range(margin, rows - margin):
        for column in range(margin, columns - margin):
            value = score[row, column]
            if value < least:
                continue
            bin_ = direction[row, column]
            highest = True
            for k in range(offsets.shape[1]):
                dy, dx = offsets[bin_, k, 0], offsets[bin_, k, 1]
                after = score[row + dy, column + dx]
                before = score[row - dy, column - dx]
                # Ties: the later pixel gives way, so that a flat top keeps one line.
                if after > value or before >= value:
                    highest = False
                    break
            out[row, column] = highest


def ridge(score: Array, direction: Array, least: int, reach_px: int) -> Array:
    """Where the score is `least` and highest across its direction within `reach_px`; bool."""
    turns = np.arange(DIRECTIONS) * math.pi / DIRECTIONS
    across = np.column_stack([np.cos(turns), -np.sin(turns)])
    steps = np.arange(1, reach_px + 1)
    offsets = np.round(across[:, None, :] * steps[None, :, None]).astype(np.int64)
    out = np.zeros(score.shape, bool)
    _ridge(score, direction, least, offsets, reach_px + 1, out)
    return out
