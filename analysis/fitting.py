"""Fits frames taken from the side to one another: how far each misplaces a fence, along it and up.

A compass that is wrong by 0.2 degrees moves what is seen from 40 m by 0.14 m along the fence. What
two frames share in the fence's own plane is where there is mesh and where there is none: posts,
rails, holes, its top and foot. So it is the mesh that is left which is compared, not the pictures.
It varies over decimetres, not with the wires of a few centimetres, and posts are metres apart:
neither repeats within what is searched.

Where mesh is hardly told, what is left of it is the ground's pattern, which shows through and moves
from frame to frame the more the higher up it is seen. So a pair of frames is believed only where
that explains them less well than a shift that is the same at all heights.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.linalg import splu

from analysis.mesh import CELL_M, MATCHED_CELLS, Floats
from analysis.openings import Look
from corridor.values import FloatArray

_MOST_M = 0.5
"""A frame that seems further off than this is left where its pose has it."""
_APART_M = (0.72, 0.36)
"""Along and up, by which two frames are looked for apart: a compass and a receiver of the kind that
is needed here are less wrong, and posts are further apart."""
_OVERLAP_M = 3.0
"""Of fence that two frames share: a post at least."""
_SHARED = 0.5
"""Of the places that both tell unshifted, that they must still share where one is shifted."""
_LEAST_WINDOWS = 8.0
"""Places that are independent of one another."""
_UNEXPLAINED = 0.05
"""Of the variance, at least, that no shift explains: noise is no less where little varies."""
_LESS_LIKELY = 4.6
"""By its logarithm: 1 in 100, for two unknowns (half of chi-square's 9.2)."""
_SURE_M = 0.08
"""How far from the best shift those may lie that are not less likely than that."""
_POSE_M, _PAIR_M = 0.15, 0.02
"""Deviations: of where a pose places a frame, and of a pair's shift, half a cell."""
_OUTLYING = 3.0
_ROUNDS = 8
_BEHIND = (0.5, 1.0)
"""Shares of level ground's movement: of wires before it, something in between is seen."""
_MOST_LEFT = 1.2
"""More than all of the mesh is noise."""


def fit(looks: Sequence[Look], cameras_m: FloatArray, above_m: FloatArray) -> FloatArray:
    """How far each of some looks places the fence from where they all together have it.

    Each pair that shares enough of the fence is compared; the shifts of all are those that fit the
    pairs best, and poses where no pair is sure.

    Args:
        looks: of one fence.
        cameras_m: (N, 2) of each look: where its camera was along the fence, and how high above the
            ground at it.
        above_m: (R,) height of each row of cells above the ground.

    Returns:
        (N, 2) metres along the fence and up; 0 where nothing is sure.
    """
    order = sorted(range(len(looks)), key=lambda number: looks[number].first)
    pairs = []
    for place, one in enumerate(order):
        end = looks[one].first + looks[one].left.shape[1]
        for other in order[place + 1 :]:
            if looks[other].first >= end:
                break
            away_m, high_m = cameras_m[other, 0] - cameras_m[one, 0], cameras_m[[one, other], 1]
            ground_m = away_m * np.maximum(above_m, 0.0) / max(float(high_m.mean()), 1.0)
            apart = _apart(looks[one], looks[other], ground_m)
            if apart is not None:
                pairs.append((one, other, *apart))
    shifts = np.zeros((len(looks), 2))
    if not pairs:
        return shifts
    first, second = (np.array([pair[side] for pair in pairs]) for side in (0, 1))
    seen = np.array([pair[2:] for pair in pairs])
    number = np.arange(len(pairs))
    design = sparse.csr_array(
        (
            np.repeat([1.0, -1.0], len(pairs)),
            (np.tile(number, 2), np.concatenate([second, first])),
        ),
        shape=(len(pairs), len(looks)),
    )
    poses = sparse.eye_array(len(looks)) / _POSE_M**2
    weight = np.ones(len(pairs))
    for _ in range(_ROUNDS):
        weighted = design.T.multiply(weight / _PAIR_M**2).tocsr()
        solve = splu((weighted @ design + poses).tocsc()).solve
        shifts = solve(weighted @ seen)
        error = np.abs(design @ shifts - seen).max(axis=1)
        # A pair that fits none of the others counts less the further off it is (Huber).
        weight = np.minimum(1.0, _OUTLYING * _PAIR_M / np.maximum(error, 1e-9))
    shifts[np.abs(shifts).max(axis=1) > _MOST_M] = 0.0
    return shifts


def shifted(look: Look, by_m: npt.NDArray[np.float64], usable: npt.NDArray[np.bool_]) -> Look:
    """A look moved back by how far it misplaces the fence, to a cell.

    Args:
        look: as its pose has it.
        by_m: along the fence and up.
        usable: (R, C) cells that nothing hides from the frame, by the surface model, which knows
            nothing of the shift.
    """
    along, up = (round(float(each) / CELL_M) for each in by_m)
    rows, columns = look.left.shape
    left, told = np.zeros_like(look.left), np.zeros_like(look.told)
    # Rows count down from the top, so what is seen too high is moved to later ones.
    into = slice(max(up, 0), rows + min(up, 0))
    out = slice(max(-up, 0), rows + min(-up, 0))
    left[into], told[into] = look.left[out], look.told[out]
    there = np.zeros_like(usable)
    a, b = max(-along, 0), columns - max(along, 0)
    there[:, a + along : b + along] = usable[:, a:b]
    told[~there] = 0.0
    return Look(look.first - along, left, told)


def _apart(one: Look, other: Look, ground_m: FloatArray) -> tuple[float, float] | None:
    """How much further along and up another look has the same; None if that is not sure.

    Args:
        one, other: looks.
        ground_m: (R,) how much further along the ground behind lies in the other, row by row.
    """
    low = max(one.first, other.first)
    high = min(one.first + one.left.shape[1], other.first + other.left.shape[1])
    if (high - low) * CELL_M < _OVERLAP_M:
        return None
    still = np.zeros(len(ground_m))
    here = _centred(one, low, high, still)
    likely = _likely(here, _centred(other, low, high, still))
    row, column = (int(at) for at in np.unravel_index(int(likely.argmax()), likely.shape))
    best = float(likely[row, column])
    rows, columns = np.nonzero(likely > best - _LESS_LIKELY)
    most = round(_SURE_M / CELL_M)
    if max(np.abs(rows - row).max(), np.abs(columns - column).max()) > most:
        return None
    if row in (0, likely.shape[0] - 1) or column in (0, likely.shape[1] - 1):
        return None
    behind = [
        float(_likely(here, _centred(other, low, high, share * ground_m)).max())
        for share in _BEHIND
    ]
    if max(behind) > best or behind[-1] > best - _LESS_LIKELY:
        return None
    return (column - likely.shape[1] // 2) * CELL_M, (likely.shape[0] // 2 - row) * CELL_M


def _centred(look: Look, low: int, high: int, along_m: FloatArray) -> tuple[Floats, Floats]:
    """What is left of the mesh, less its mean, and how well it is told; rows taken further on."""
    cells = np.rint(along_m / CELL_M).astype(int)
    room = int(np.abs(cells).max())
    at = np.arange(high - low)[None] + cells[:, None] + room
    left, told = (np.take_along_axis(each, at, 1) for each in look.over(low - room, high + room))
    left = np.minimum(left, _MOST_LEFT)
    return (left - (told * left).sum() / max(float(told.sum()), 1e-6)).astype(np.float32), told


def _likely(here: tuple[Floats, Floats], there: tuple[Floats, Floats]) -> Floats:
    """Logarithm of the likelihood of every shift; 0 for all if too little is shared."""
    share, both = _alike(here, there)
    windows = both / (4 * np.pi * MATCHED_CELLS**2)
    likely = -0.5 * windows * np.log(1.0 - share**2 + _UNEXPLAINED)
    enough = windows.flat[int(share.argmax())] >= _LEAST_WINDOWS
    return np.asarray(np.where(enough, likely, 0.0), np.float32)


def _alike(here: tuple[Floats, Floats], there: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
    """Weighted correlation for every shift, 0 to 1, and how many cells both tell.

    By Fourier transforms, as Padfield does with masks (IEEE Transactions on Image Processing 21,
    2012, p. 2706).
    """
    along, up = (round(most / CELL_M) for most in _APART_M)

    def over(image: Floats, pattern: Floats) -> Floats:
        padded = cv2.copyMakeBorder(image, up, up, along, along, cv2.BORDER_CONSTANT, value=0.0)
        return np.asarray(cv2.matchTemplate(padded, pattern, cv2.TM_CCORR))

    (a, told_a), (b, told_b) = here, there
    both = over(told_b, told_a)
    enough = both > max(_SHARED * float((told_a * told_b).sum()), 1.0)
    total = np.maximum(both, 1.0)
    mean_a, mean_b = over(told_b, told_a * a) / total, over(told_b * b, told_a) / total
    square_a, square_b = over(told_b, told_a * a * a) / total, over(told_b * b * b, told_a) / total
    joint = over(told_b * b, told_a * a) / total - mean_a * mean_b
    spread = np.maximum(square_a - mean_a**2, 1e-4) * np.maximum(square_b - mean_b**2, 1e-4)
    share = np.where(enough, np.clip(joint / np.sqrt(spread), 0.0, 1.0), 0.0)
    return share.astype(np.float32), both
