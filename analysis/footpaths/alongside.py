"""Lines that run side by side: terraces, furrows, wheel tracks, the edges of beds.

People wear one path where they want to go, and no second one some metres beside it. What is built,
tilled or mown comes in rows. A line is not judged by itself, therefore, but with those that run
beside it, of whatever kind they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import shapely

from analysis.footpaths.judge import PathClass

if TYPE_CHECKING:
    from analysis.footpaths.find import Footpath

Array = npt.NDArray[Any]

IN_A_ROW = "one of several lines side by side"
LEAST_SHARE = 0.5
"""Of a line's length, with others on both sides or with three others, to be one of a row."""
NEAREST_M, FARTHEST_M = 1.0, 15.0
"""Between the ruts of the narrowest vehicle, and from terrace to terrace."""
_EVERY_M = 1.0
_CHORD_M = 2.0
"""To either side of a place, over which a line's direction is taken."""
_LEAST_COSINE = 0.97
"""Of the angle between two lines that run side by side: 14 degrees."""
_GROUP = 20_000


def alongside(lines: Sequence[shapely.LineString]) -> Array:
    """How much of each line has others beside it.

    Args:
        lines: all that was found, in metres.

    Returns:
        (n, 3) shares of the length, 0 to 1: with at least one other line, with others on both
        sides, with at least three others.
    """
    told = np.zeros((len(lines), 3))
    if len(lines) < 2:
        return told
    every = np.empty(len(lines), dtype=object)
    every[:] = lines
    counts = np.maximum(1, np.round(shapely.length(every) / _EVERY_M)).astype(int)
    owner = np.repeat(np.arange(len(lines)), counts)
    step = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    at_m = (step + 0.5) / counts[owner] * shapely.length(every)[owner]
    place, way = _places(every[owner], at_m)
    tree = shapely.STRtree(every)
    left, right = np.zeros(len(owner), int), np.zeros(len(owner), int)
    for first in range(0, len(owner), _GROUP):
        own = slice(first, first + _GROUP)
        across = np.column_stack([-way[own, 1], way[own, 0]])
        for count, sign in ((left, 1.0), (right, -1.0)):
            ends = [place[own] + sign * reach * across for reach in (NEAREST_M, FARTHEST_M)]
            feelers = np.asarray(shapely.linestrings(np.stack(ends, axis=1)))
            count[own] = _met(feelers, way[own], owner[own], every, tree)
    both = np.stack([left + right >= 1, (left > 0) & (right > 0), left + right >= 3], axis=1)
    np.add.at(told, owner, both)
    return told / counts[:, None]


def without_rows(paths: Sequence[Footpath]) -> list[Footpath]:
    """The paths, those that are one of a row of lines named `other_linear` with the reason.

    A line that has a reason already (it follows the road, say) was named for what it is: people
    walk beside a kerb or a fence, so it is no company.

    Args:
        paths: of all classes; each counts as a line that may run beside another.
    """
    lines = [path.centreline for path in paths if not path.reason]
    shares = iter(in_rows(lines))
    result = []
    for path in paths:
        share = 0.0 if path.reason else float(next(shares))
        row = share >= LEAST_SHARE and path.path_class is PathClass.FOOTPATH
        result.append(path.named_other(IN_A_ROW, share) if row else path)
    return result


def in_rows(lines: Sequence[shapely.LineString]) -> Array:
    """(n,) share of each line's length, 0 to 1, along which it is one of a row."""
    return np.asarray(alongside(lines)[:, 1:].max(axis=1, initial=0.0))


def _places(lines: Array, at_m: Array) -> tuple[Array, Array]:
    """(n, 2) points at distances along lines, one of each, and unit vectors of their directions."""
    ahead, behind = (
        shapely.get_coordinates(
            shapely.line_interpolate_point(lines, np.clip(at_m + reach, 0.0, shapely.length(lines)))
        )
        for reach in (_CHORD_M, -_CHORD_M)
    )
    way = ahead - behind
    way /= np.maximum(np.hypot(*way.T), 1e-9)[:, None]
    return shapely.get_coordinates(shapely.line_interpolate_point(lines, at_m)), way


def _met(feelers: Array, way: Array, owner: Array, lines: Array, tree: shapely.STRtree) -> Array:
    """(n,) how many lines each feeler meets that run as its own line does."""
    feeler, line = tree.query(feelers, predicate="intersects")
    other = line != owner[feeler]
    feeler, line = feeler[other], line[other]
    # Where a feeler meets a line twice, the nearer place is as good as the other.
    meet = shapely.point_on_surface(shapely.intersection(feelers[feeler], lines[line]))
    there = ~shapely.is_empty(meet)  # a mere touch can be lost to rounding
    feeler, line, meet = feeler[there], line[there], meet[there]
    _, theirs = _places(lines[line], shapely.line_locate_point(lines[line], meet))
    along = np.abs((theirs * way[feeler]).sum(axis=1)) >= _LEAST_COSINE
    return np.bincount(feeler[along], minlength=len(feelers))
