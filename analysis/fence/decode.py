"""From the network's answer to one line and a state for every cell along it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit
from scipy import ndimage
from scipy.special import log_softmax, logsumexp

Floats = npt.NDArray[np.float64]

INTACT, GAP, COLLAPSED, OBSCURED = range(4)
CELL_LENGTH_M = 0.2
"""Length of a cell along the fence."""
_TRAINING_WEIGHT = np.array([1.0, 2.0, 3.0, 1.5])
"""What the states counted in training, taken off again."""
_FLOOR = -9.0
_BEND_COST = 1.2
_AROUND = 2
_LOOK_WEIGHT = 0.15
"""Of the template's ratio: its columns are averaged over 0.8 m, so cells say the same thing."""
_COMMON = np.array([0.86, 0.07, 0.025, 0.045])
"""Share of the states' cells in training: what a cell's probability holds beside its evidence."""
_PRIOR_TAKEN_OFF = 0.75
"""How much of that is taken off again before the sequence model adds its own expectation."""
_KNOWN = np.array([0.39, 0.53, 0.22, 0.0, 0.0, 0.0])
_UNKNOWN = np.array([0.6, 0.6, 0.4, 0.9, 0.2, -0.5])
"""Weights of the network's word, of how the fence compares with itself, of the template's where it
speaks for the fence and where it speaks against it, of how much less that is than along most of
this fence, and what is added for intact: where the network is sure, and where it hesitates.
The first are a logistic regression's on scenes 91,001 to 91,012 and 93,001 to 93,012
(`analysis.training.fence_calibrate`). The second were chosen by what is found and what is called
broken on cuts in fourteen real fences at three places that no network was trained on. A plinth, a
worn strip or the border of two grounds goes on through a gap and the template takes it for the
fence, so its word for the fence counts less."""
_USUAL_PERCENT, _USUAL_MARGIN = 30, 2.0
"""Most of a fence stands: what the template says of it is what more than two thirds of the cells
near by exceed, less a margin."""
_SURE = (0.96, 0.995)
"""The network's median probability of the state it takes, nearby, from which the template's word
counts in full, and from which it counts nothing. Chosen with an earlier network: 0.97 and less on
cuts in a real fence, which it had never seen, 0.94 to 1.00 on scenes 931 to 936."""
_NEARBY, _EVERY = 500, 5
"""Cells over which that is the median, and how many of them are looked at."""
_MEAN_LENGTH_M = np.array([150.0, 3.0, 4.0, 6.0])
"""Of a stretch in each state, for the sequence model; a panel is 2 to 3 m, a crown 3 to 10 m."""
_ENTRY = np.array([0.0, 0.45, 0.15, 0.4])
"""What an intact stretch turns into when it ends."""


@dataclass(frozen=True)
class Evidence:
    """Where one line runs, a value a cell of 0.2 m.

    Attributes:
        row: (N,) of the line, fractional rows of the answer.
        line: (N,) probability that the line runs here and not in another row.
        apart: (N,) how much of the evidence for a line here and for its strongest rival is for this
            one: near 1 also in a gap, where there is little evidence for any line.
    """

    row: Floats
    line: Floats
    apart: Floats


def find_line(
    line: npt.NDArray[np.float32],
    offset_m: Floats,
    tolerance_m: float,
    look: npt.NDArray[np.float32] | None = None,
) -> Evidence:
    """The smooth line of most evidence.

    Args:
        line: (R, N) logits.
        offset_m: (R,) of the rows from the drawn line.
        tolerance_m: how far the fence may be from it.
        look: (R, N) log likelihood ratios by the template of a line found before.
    """
    if look is not None:
        line = line + _LOOK_WEIGHT * look
    chance = log_softmax(line.astype(np.float64), axis=0)
    beyond_m = np.maximum(np.abs(offset_m) - tolerance_m, 0.0)
    prior = -0.5 * (offset_m / (1.2 * tolerance_m)) ** 2 - 0.5 * (beyond_m / 0.4) ** 2
    scored = np.maximum(chance, _FLOOR) + 0.15 * prior[:, None]
    path = _trace(np.ascontiguousarray(scored), _BEND_COST)
    columns = np.arange(line.shape[1])
    near = np.clip(path[None, :] + np.arange(-_AROUND, _AROUND + 1)[:, None], 0, len(line) - 1)
    weight = np.exp(chance[near, columns[None, :]])
    total = weight.sum(axis=0)
    row = (weight * near).sum(axis=0) / np.maximum(total, 1e-9)
    row = np.where(total > 0.05, row, path)
    apart = total / np.maximum(total + _rival(np.exp(chance), path), 1e-9)
    return Evidence(row, total, apart)


def _rival(chance: Floats, path: npt.NDArray[np.int64]) -> Floats:
    """(N,) probability of the likeliest other place, as wide as what is counted for the line."""
    width = 2 * _AROUND + 1
    near = ndimage.uniform_filter1d(chance, width, axis=0, mode="constant") * width
    apart = np.abs(np.arange(len(chance))[:, None] - path[None, :]) > width
    return np.asarray(np.where(apart, near, 0.0).max(axis=0))


def states_along(states: npt.NDArray[np.float32], row: Floats) -> Floats:
    """(N, 4) probabilities of the states by each cell's own evidence, from (4, R, N) logits."""
    rows, columns = states.shape[1:]
    middle = np.round(row).astype(int)
    near = np.clip(middle[None, :] + np.arange(-1, 2)[:, None], 0, rows - 1)
    return chances(states[:, near, np.arange(columns)[None, :]].mean(axis=1))


def chances(logits: npt.NDArray[np.float32]) -> Floats:
    """Probabilities (N, 4) of the states from a network's logits (4, N)."""
    chance = log_softmax(logits.astype(np.float64), axis=0) - np.log(_TRAINING_WEIGHT)[:, None]
    return np.asarray(np.exp(chance - logsumexp(chance, axis=0)[None, :]).T)


def weighed(state: Floats, likeness: Floats, ratio: Floats) -> Floats:
    """The states' probabilities (N, 4) by all three opinions.

    Args:
        state: (N, 4) by the network.
        likeness: (N, 4) by comparing the fence with itself; NaN where that was not done, and the
            network's word counts in its place.
        ratio: (N,) log likelihood ratio of fence to ground by the template. It tells whether the
            fence is there; what is there instead, the network tells.
    """
    asked = unsure(state)[:, None]
    own, alike, speaks_for, against, unlike, shift = ((1 - asked) * _KNOWN + asked * _UNKNOWN).T
    likeness = np.where(np.isnan(likeness), state, likeness)
    logs = own[:, None] * np.log(np.clip(state, 1e-4, 1.0))
    logs += alike[:, None] * np.log(np.clip(likeness, 1e-4, 1.0))
    logs[:, INTACT] += speaks_for * np.maximum(ratio, 0.0) + against * np.minimum(ratio, 0.0)
    logs[:, INTACT] += unlike * shortfall(ratio) + shift
    return np.asarray(np.exp(logs - logsumexp(logs, axis=1)[:, None]))


def shortfall(ratio: Floats) -> Floats:
    """(N,) by how much a ratio is below that of most of the fence within 50 m, 0 or less.

    What the template says of a fence that stands differs from site to site; the ground that stays
    when the fence is gone may be much like it, and is still less like it than the fence is.
    """
    size = min(_NEARBY, len(ratio)) // _EVERY + 1
    usual = _nearby(ratio, _USUAL_PERCENT, size)
    return np.asarray(np.minimum(ratio - usual + _USUAL_MARGIN, 0.0))


def _nearby(values: Floats, percent: float, size: int) -> Floats:
    """(N,) a percentile of what is near, looked at in every fifth cell, `size` of them."""
    every = slice(None, None, _EVERY)
    cells = np.arange(len(values))
    found = ndimage.percentile_filter(values[every], percent, size=size, mode="reflect")
    return np.asarray(np.interp(cells, cells[every], found))


def unsure(state: Floats) -> Floats:
    """(N,) how much other opinions count: 0 where the network is sure of most cells.

    A network that has learned fences like this one is sure of nearly all cells within 50 m, broken
    ones too; before one it has never seen it hesitates.
    """
    sure = _nearby(state.max(axis=1), 50, _NEARBY // _EVERY + 1)
    low, high = _SURE
    return np.asarray(np.clip((high - sure) / (high - low), 0.0, 1.0))


def smooth_states(state: Floats, trust: Floats) -> npt.NDArray[np.int64]:
    """The most likely sequence of states, (N,).

    Args:
        state: (N, 4) by each cell's own evidence.
        trust: (N,) 0 to 1, how much that evidence counts.
    """
    leave = CELL_LENGTH_M / _MEAN_LENGTH_M
    move = np.zeros((4, 4))
    move[INTACT] = leave[INTACT] * _ENTRY
    for other in (GAP, COLLAPSED, OBSCURED):
        move[other, INTACT] = 0.8 * leave[other]
        for third in (GAP, COLLAPSED, OBSCURED):
            if third != other:
                move[other, third] = 0.1 * leave[other]
    np.fill_diagonal(move, 1.0 - leave)
    evidence = trust[:, None] * np.log(np.clip(state, 1e-4, 1.0) / _COMMON**_PRIOR_TAKEN_OFF)
    return np.asarray(_viterbi(evidence, np.log(np.maximum(move, 1e-12))))


@njit(cache=True)
def _trace(scored: Any, bend: float) -> Any:  # pragma: no cover - compiled
    rows, columns = scored.shape
    back = np.zeros((columns, rows), np.int8)
    total = scored[:, 0].copy()
    fresh = np.empty(rows)
    for column in range(1, columns):
        for row in range(rows):
            best, step = total[row], 0
            if row > 0 and total[row - 1] - bend > best:
                best, step = total[row - 1] - bend, -1
            if row < rows - 1 and total[row + 1] - bend > best:
                best, step = total[row + 1] - bend, 1
            fresh[row] = best + scored[row, column]
            back[column, row] = step
        total[:] = fresh
    row = int(np.argmax(total))
    path = np.empty(columns, np.int64)
    for column in range(columns - 1, -1, -1):
        path[column] = row
        row += back[column, row]
    return path


@njit(cache=True)
def _viterbi(evidence: Any, move: Any) -> Any:  # pragma: no cover - compiled
    columns, states = evidence.shape
    back = np.zeros((columns, states), np.int8)
    total = evidence[0].copy()
    fresh = np.empty(states)
    for column in range(1, columns):
        for state in range(states):
            best, source = -1e300, 0
            for other in range(states):
                value = total[other] + move[other, state]
                if value > best:
                    best, source = value, other
            fresh[state] = best + evidence[column, state]
            back[column, state] = source
        total[:] = fresh
    state = int(np.argmax(total))
    path = np.empty(columns, np.int64)
    for column in range(columns - 1, -1, -1):
        path[column] = state
        state = back[column, state]
    return path
