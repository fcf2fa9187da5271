"""The outlines of beds: rectangles that hold most of what shows them.

People lay out beds with straight edges. So of a ragged map of where a bed shows, the rectangle with
the largest sum of evidence for less evidence against is the bed; what it leaves over may hold
another one beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import shapely
from affine import Affine
from numba import njit
from scipy import ndimage

_SURE = 0.5
_LEVELS = (0.5, 0.7, 0.85, 0.95)
"""From which probability a core counts: a higher one where a lower one leaves no rectangle."""
_RECTANGULAR_FRAC = 0.75
_LEAST_CORE_M2 = 0.5
_REACH_M = 1.5
"""How far a bed may reach beyond its core."""
_LEAST_SIDE_M = 1.0
_LEAST_AREA_M2 = 4.0
_MOST_BEDS = 6
"""In one core."""
_TURNS_DEG = (*range(-45, 45, 9), -6, -3, 3, 6)
"""Directions tried, from that of the narrowest box around the core."""
_MANY_PX = 8000
_LIKELIER = 4
_RIM_PX = 5
"""Kept around what is turned."""


class Bed(NamedTuple):
    """One rectangle.

    Attributes:
        outline: in the picture's CRS.
        along_rad: direction of its longer side, counter-clockwise from east, 0 to pi.
        filled: the share of it that shows a plot.
        shows: mean probability inside.
    """

    outline: shapely.Polygon
    along_rad: float
    filled: float
    shows: float


def find_beds(
    plot: npt.NDArray[np.float32], core: npt.NDArray[np.float32], affine: Affine
) -> Iterator[Bed]:
    """The beds of a window, that with the most evidence first in each core.

    Args:
        plot: (H, W) probability of ground being a plot's.
        core: (H, W) probability of its lying well inside one.
        affine: pixel corners to x, y, north up.
    """
    pixel_m = affine.a
    labels, count = _cores(np.minimum(core, plot), pixel_m)
    if not count:
        return
    # Ground between two beds goes to the nearer core.
    away, nearest = cv2.distanceTransformWithLabels(
        (labels == 0).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    owner = np.zeros(int(nearest.max()) + 1, np.int32)
    owner[nearest[labels > 0]] = labels[labels > 0]
    boxes = ndimage.find_objects(labels)
    reach = math.ceil(_REACH_M / pixel_m)
    for label, (y, x) in enumerate(boxes, 1):
        rows = slice(max(y.start - reach, 0), y.stop + reach)
        columns = slice(max(x.start - reach, 0), x.stop + reach)
        own = (owner[nearest[rows, columns]] == label) & (away[rows, columns] <= reach)
        value = np.where(own, plot[rows, columns] - _SURE, -_SURE).astype(np.float32)
        within = affine @ Affine.translation(columns.start, rows.start)
        yield from _rectangles(value, labels[rows, columns] == label, within)


def _cores(core: npt.NDArray[np.float32], pixel_m: float) -> tuple[npt.NDArray[np.int32], int]:
    """Numbers of cores, 0 elsewhere, and how many: what is no rectangle is told apart further."""
    out = np.zeros(core.shape, np.int32)
    count = 0
    least_px = _LEAST_CORE_M2 / pixel_m**2
    waiting = [(core, (0, 0), 0)]
    while waiting:
        part, (y0, x0), level = waiting.pop()
        number, labels, stats, _ = cv2.connectedComponentsWithStats(
            (part > _LEVELS[level]).astype(np.uint8), connectivity=4
        )
        for label in range(1, number):
            x, y, w, h, area = (int(v) for v in stats[label])
            if area < least_px:
                continue
            inside = labels[y : y + h, x : x + w] == label
            held = np.where(inside, part[y : y + h, x : x + w], 0.0).astype(np.float32)
            if level + 1 < len(_LEVELS) and not _rectangular(inside):
                deeper = cv2.connectedComponentsWithStats(
                    (held > _LEVELS[level + 1]).astype(np.uint8), connectivity=4
                )[2]
                if (deeper[1:, cv2.CC_STAT_AREA] >= least_px).any():
                    waiting.append((held, (y0 + y, x0 + x), level + 1))
                    continue
            count += 1
            out[y0 + y : y0 + y + h, x0 + x : x0 + x + w][inside] = count
    return out, count


def _rectangular(inside: npt.NDArray[np.bool_]) -> bool:
    ys, xs = np.nonzero(inside)
    (_, _), (w, h), _ = cv2.minAreaRect(np.column_stack([xs, ys]).astype(np.float32))
    return len(ys) >= _RECTANGULAR_FRAC * (w + 1) * (h + 1)


def _rectangles(
    value: npt.NDArray[np.float32], core: npt.NDArray[np.bool_], affine: Affine
) -> Iterator[Bed]:
    ys, xs = np.nonzero(core)
    _, _, box_deg = cv2.minAreaRect(np.column_stack([xs, ys]).astype(np.float32))
    pixel_m = affine.a
    directions = [box_deg + turn_deg for turn_deg in _TURNS_DEG]
    if value.size > _MANY_PX:
        # The likelier directions can be told on coarser pixels, which of them is best cannot.
        coarse = cv2.resize(value, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        directions.sort(key=lambda deg: -_most(_turned(coarse, deg)[0]))
        directions = directions[:_LIKELIER]
    best_deg = max(directions, key=lambda deg: _most(_turned(value, deg)[0]))
    left, spin = _turned(value, best_deg)
    if not left.size:
        return
    size = (left.shape[1], left.shape[0])
    cores = cv2.warpAffine(core.astype(np.uint8), spin, size, flags=cv2.INTER_NEAREST)
    # Pixel (column, row) of the turned window to x, y.
    back = np.vstack([cv2.invertAffineTransform(spin), [0.0, 0.0, 1.0]])
    for _ in range(_MOST_BEDS):
        top, bottom, first, last, _ = _largest(left)
        sides_m = np.array([last - first + 1, bottom - top + 1]) * pixel_m
        if sides_m.prod() < _LEAST_AREA_M2 or sides_m.min() < _LEAST_SIDE_M:
            return
        held = left[top : bottom + 1, first : last + 1]
        shows = float(held.mean()) + _SURE
        filled = float((held > 0).mean())
        corners = np.array(
            [[first, top], [last + 1, top], [last + 1, bottom + 1], [first, bottom + 1]], float
        )
        # Places of pixels are those of their middles in OpenCV.
        inside = (back @ np.column_stack([corners - 0.5, np.ones(4)]).T)[:2] + 0.5
        outline = np.column_stack(affine @ (inside[0], inside[1]))
        has_core = cores[top : bottom + 1, first : last + 1].sum() * pixel_m**2 >= _LEAST_CORE_M2
        left[top : bottom + 1, first : last + 1] = -_SURE
        if not has_core:
            continue
        longer = outline[1] - outline[0] if sides_m[0] >= sides_m[1] else outline[2] - outline[1]
        yield Bed(
            shapely.Polygon(outline),
            float(np.arctan2(longer[1], longer[0]) % np.pi),
            filled,
            shows,
        )


def _turned(
    value: npt.NDArray[np.float32], turn_deg: float
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    """A window turned, as far as there is evidence in it, and the matrix into its pixels."""
    middle = (value.shape[1] / 2, value.shape[0] / 2)
    side = math.ceil(math.hypot(*value.shape)) + 2
    turn = cv2.getRotationMatrix2D(middle, turn_deg, 1.0)
    turn[:, 2] += side / 2 - np.array(middle)
    turned = cv2.warpAffine(value, turn, (side, side), flags=cv2.INTER_LINEAR, borderValue=-_SURE)
    ys, xs = np.nonzero(turned > 0)
    if not len(ys):
        return np.zeros((0, 0), np.float32), turn
    y, x = max(int(ys.min()) - _RIM_PX, 0), max(int(xs.min()) - _RIM_PX, 0)
    turn[:, 2] -= (x, y)
    held = turned[y : ys.max() + _RIM_PX + 1, x : xs.max() + _RIM_PX + 1]
    return np.ascontiguousarray(held), turn


def _most(turned: npt.NDArray[np.float32]) -> float:
    """The sum of the best rectangle in a window; -1 if it is empty."""
    return float(_largest(turned)[4]) if turned.size else -1.0


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
