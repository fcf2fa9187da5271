"""Integration along curves: how good is the best gently bending line through each pixel.

Dynamic programming over steps of about 1.2 m, the direction free to turn by one bin a step; from
each pixel both ways. A minimal path in the sense of Morris and Barnard (CVPR 2008), for all pixels
at once and of fixed length. In whole numbers, hence the same in every window.
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
def _combine(ends, z, score, direction):  # type: ignore[no-untyped-def]
    half, rows, columns = z.shape
    for row in range(rows):
        for column in range(columns):
            score[row, column] = -32768
    for state in range(half):
        for row in range(rows):
            for column in range(columns):
                total = ends[state, row, column] + ends[state + half, row, column]
                total -= z[state, row, column]
                if total > score[row, column]:
                    score[row, column] = total
                    direction[row, column] = state


def integrate(z: Array, gsd_m: float) -> tuple[Array, Array]:
    """Best sums of z over curves of 2 * 8 steps and the pixel itself.

    Args:
        z: (16, rows, columns) int16 as of `StripEvidence`.
        gsd_m: of its grid.

    Returns:
        (rows, columns) int16 sums over `2 * STEPS + 1` places, and uint8 direction bins.
    """
    step_px = round(STEP_M / gsd_m)
    turns = np.arange(2 * DIRECTIONS) * math.pi / DIRECTIONS
    offsets = np.round(np.column_stack([np.sin(turns), np.cos(turns)]) * step_px).astype(np.int64)
    ends = np.concatenate([z, z])
    other = np.empty_like(ends)
    for _ in range(STEPS):
        _step(ends, z, offsets, np.int16(TURN_COST), other)
        ends, other = other, ends
    score = np.empty(z.shape[1:], np.int16)
    direction = np.zeros(z.shape[1:], np.uint8)
    _combine(ends, z, score, direction)
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
