"""The outline of a bed: the rectangle along its rows that holds most of what shows them.

People lay out beds with straight edges, along their rows and across them. So of a ragged map of
where the rows show, the rectangle with the largest sum of evidence for less evidence against is
the bed; what it leaves over may hold another one beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import shapely
from affine import Affine
from numba import njit

from corridor.values import FloatArray

_LEAST_SIDE_M = 1.0
_MOST_BEDS = 12
_EDGE_FRACS = (0.4, 0.6, 0.8)
"""Of the strength inside, what counts for a bed; more where less runs beds together."""
_LEAST_FILLED_FRAC = 0.75
"""Of a bed so much shows its rows, or what was found is several with ground between."""
_EVEN_FRAC = 0.35
"""Rows are about as strong all over a bed; the wave of a rail or kerb sits on one line."""
_LEAST_WINDOWS = 2
_FAINTEST_FRAC = 0.4
"""Beds of one group are about as clear as the clearest; less is the ground's own texture."""


def beds(
    level: FloatArray,
    fits: npt.NDArray[np.bool_],
    affine: Affine,
    along_rad: float,
    period_m: float,
    middles: FloatArray,
) -> Iterator[tuple[shapely.Polygon, float]]:
    """Rectangles along the rows, the one with most evidence first, and the share that shows them.

    Args:
        level: (H, W) strength of the rows' wave.
        fits: (H, W) where the wave stands out from waves in other directions.
        affine: pixel corners to x, y.
        along_rad: direction of the rows, counter-clockwise from east.
        period_m: from row to row.
        middles: (N, 2) of the windows in which the rows were found.
    """
    cell_m = max(affine.a, period_m / 5)
    turn = np.array(
        [[math.cos(along_rad), math.sin(along_rad)], [-math.sin(along_rad), math.cos(along_rad)]]
    )
    corners = np.array(
        [affine @ corner for corner in ((0, 0), (level.shape[1], 0), level.shape[::-1],
                                        (0, level.shape[0]))]
    )  # fmt: skip
    low = (corners @ turn.T).min(axis=0)
    shape = np.ceil((np.ptp(corners @ turn.T, axis=0)) / cell_m).astype(int)[::-1] + 1
    # Cells (column, row) to u, v along and across the rows, to x, y, to the pixels of `level`.
    to_uv = np.array([[cell_m, 0.0, low[0]], [0.0, cell_m, low[1]], [0.0, 0.0, 1.0]])
    back = np.eye(3)
    back[:2, :2] = turn.T
    into = np.array(~affine, dtype=float).reshape(3, 3) @ back @ to_uv
    shift = np.eye(3)
    shift[:2, 2] = 0.5
    into = np.linalg.inv(shift) @ into @ shift

    def turned(values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        return np.asarray(
            cv2.warpAffine(
                values.astype(np.float32), into[:2], (int(shape[1]), int(shape[0])),
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            )
        )  # fmt: skip

    strength = turned(level)
    good = turned(fits) >= 0.5
    places = np.floor((middles @ turn.T - low) / cell_m).astype(int)
    places = np.clip(places, 0, shape[::-1] - 1)
    left = np.ones(len(places), bool)
    free = np.ones(strength.shape, bool)
    strongest = 0.0
    for _ in range(_MOST_BEDS):
        if left.sum() < _LEAST_WINDOWS:
            return
        inside = float(np.percentile(strength[places[left, 1], places[left, 0]], 75))
        strongest = max(strongest, inside)
        if inside <= _FAINTEST_FRAC * strongest:
            return
        shows = np.where(good, np.clip(strength / inside, 0.0, 1.2), 0.0)
        for edge in _EDGE_FRACS:
            value = np.where(free, shows - edge, -1.0).astype(np.float32)
            top, bottom, first, last, _ = _largest(value)
            box = (slice(top, bottom + 1), slice(first, last + 1))
            filled = float((shows[box] >= _EDGE_FRACS[0]).mean())
            if filled >= _LEAST_FILLED_FRAC:
                break
        else:
            return
        held = left & (places[:, 1] >= top) & (places[:, 1] <= bottom)
        held &= (places[:, 0] >= first) & (places[:, 0] <= last)
        free[box] = False
        left &= ~held
        sides_m = np.array([last - first + 1, bottom - top + 1]) * cell_m
        if held.sum() < _LEAST_WINDOWS or sides_m.min() < _LEAST_SIDE_M:
            continue
        typical, most = np.percentile(strength[box], [50, 95])
        if typical < _EVEN_FRAC * most:
            continue
        uv = (
            np.array([[first, top], [last + 1, top], [last + 1, bottom + 1], [first, bottom + 1]])
            * cell_m
            + low
        )
        yield shapely.Polygon(uv @ turn), filled


@njit(cache=True)
def _largest(value: Any) -> Any:  # pragma: no cover - compiled
    """Top, bottom, first, last (inclusive) and sum of the rectangle with the largest sum.

    Kadane's scan over the columns, for each pair of rows (Bentley, 1984).
    """
    rows, columns = value.shape
    best, found = -1e9, (0, 0, 0, 0)
    for top in range(rows):
        sums = np.zeros(columns, np.float32)
        for bottom in range(top, rows):
            run, begin = np.float32(0.0), 0
            for column in range(columns):
                sums[column] += value[bottom, column]
                if run <= 0:
                    run, begin = np.float32(0.0), column
                run += sums[column]
                if run > best:
                    best = run
                    found = (top, bottom, begin, column)
    return found[0], found[1], found[2], found[3], best
