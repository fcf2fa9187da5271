"""Bridging gaps: minimal paths between loose ends, short ones preferred.

Where a crown, a shadow or fading hides a path for some metres, its two ends point at each other.
The bridge follows what little evidence there is (a minimal path with a price on every metre, after
Morris and Barnard, CVPR 2008), and is marked as inferred.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree
from skimage.graph import route_through_array

from analysis.footpaths.graph import Branch, Graph

Array = npt.NDArray[Any]
ScoreWindow = Callable[[int, int, int, int], Array]
"""(row, column, rows, columns) to scores as of `RidgePixels.score`."""

METRE_PRICE = 0.3
FREE_SCORE = 2.5
"""Ground as good as this costs nothing but its length."""
WORST_MEAN = 1.3
"""Mean price a pixel above which a bridge is a guess: the ground between speaks against it."""
WIDEST_TURN_DEG = 50.0
LONGEST_DETOUR = 1.35
_TANGENT_M = 4.0


@dataclass(frozen=True)
class _End:
    node: int
    place: Array
    heading: Array
    component: int


def link(graph: Graph, scores: ScoreWindow, longest_m: float, gsd_m: float) -> Graph:
    """The graph with bridges between loose ends, the cheapest first; each end is used once."""
    ends = _loose_ends(graph, gsd_m)
    offers = []
    for i, j in _near(ends, longest_m / gsd_m):
        a, b = ends[i], ends[j]
        gap = b.place - a.place
        length = float(np.hypot(*gap))
        if not 1.5 <= length <= longest_m / gsd_m or a.node == b.node:
            continue
        way = gap / length
        turn = max(_angle_deg(a.heading, way), _angle_deg(b.heading, -way))
        if turn > WIDEST_TURN_DEG * (1 - 0.4 * length * gsd_m / longest_m):
            continue
        offers.append((length * (1 + turn / 60), a, b))
    branches = list(graph.branches)
    used: set[int] = set()
    for _, a, b in sorted(offers, key=lambda offer: (offer[0], offer[1].node, offer[2].node)):
        if a.node in used or b.node in used:
            continue
        pixels = _bridge(a.place, b.place, scores)
        if pixels is not None:
            branches.append(Branch(pixels, (a.node, b.node), inferred=True))
            used |= {a.node, b.node}
    return Graph(branches)


def _near(ends: list[_End], reach: float) -> list[tuple[int, int]]:
    """Pairs of ends about as near as `reach`, in their order."""
    if len(ends) < 2:
        return []
    tree = cKDTree(np.array([end.place for end in ends], np.float64))
    return sorted(tree.query_pairs(reach + 1.0))


def _loose_ends(graph: Graph, gsd_m: float) -> list[_End]:
    degree = graph.degrees()
    found = []
    for number, branch in enumerate(graph.branches):
        for end, line in ((0, branch.pixels), (1, branch.pixels[::-1])):
            if degree[branch.ends[end]] != 1:
                continue
            back = line[min(len(line) - 1, max(2, round(_TANGENT_M / gsd_m)))]
            heading = (line[0] - back).astype(float)
            heading /= max(float(np.hypot(*heading)), 1e-9)
            found.append(_End(branch.ends[end], line[0], heading, number))
    return found


def _angle_deg(a: Array, b: Array) -> float:
    return math.degrees(math.acos(float(np.clip(a @ b, -1, 1))))


def _bridge(a: Array, b: Array, scores: ScoreWindow) -> Array | None:
    margin = 8
    low = np.minimum(a, b) - margin
    size = np.maximum(a, b) + margin + 1 - low
    price = METRE_PRICE + np.maximum(0, FREE_SCORE - scores(*low, *size))
    places, total = route_through_array(price, a - low, b - low, geometric=True)
    pixels = np.array(places) + low
    length = float(np.hypot(*np.diff(pixels, axis=0).T).sum())
    if length > LONGEST_DETOUR * float(np.hypot(*(b - a))) or total / length > WORST_MEAN:
        return None
    return pixels
