"""The fewest straight legs through a tube of allowed heights.

A lane's path over ground is fixed; its height is free between a floor and a roof, which are known
at every place where the terrain model changes. Between two such places both the leg and the bounds
are straight or constant, so a leg that keeps them at these places keeps them everywhere.

For a leg that starts at place i, height and slope form a plane in which every bound passed is a
half plane; their intersection is a convex polygon, clipped on as the leg grows. The heights
reachable at place j are the range of one linear form over that polygon: an interval. A shortest
path over places (fewest legs first) with these intervals gives the legs; walking back picks the
heights nearest the target. (The idea is that of minimum-link paths in a simple polygon: Suri, A
linear time algorithm for minimum link paths inside a simple polygon, 1986; here with corners at
given places only and a limit on slope.) tests/test_missions_tube.py compares the count with an
exhaustive search.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from corridor.values import FloatArray

_VERTICES = 256
_EPS = 1e-9


@dataclass(frozen=True)
class Tube:
    """Bounds on height along a path; all arrays (N,).

    Attributes:
        s_m: metres along the path, ascending.
        floor_m: hard lower bound.
        roof_m: upper bound wished for; raised where floor and slope leave no room below it.
        ceiling_m: hard upper bound; only the floor wins over it.
        target_m: the height wished for.
        slope: steepest climb or descent allowed at each place (metres up a metre along).
        forced: where the path turns, so that a leg must end.
    """

    s_m: FloatArray
    floor_m: FloatArray
    roof_m: FloatArray
    ceiling_m: FloatArray
    target_m: FloatArray
    slope: FloatArray
    forced: npt.NDArray[np.bool_]


def fewest_legs(
    tube: Tube, start_m: float | None = None, room_m: float = 2.0, reach: int = 1500
) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """Corners of the path with the fewest legs, and their heights.

    Args:
        tube: the bounds.
        start_m: height at the first place, where it is given and possible.
        room_m: least height of the tube where its roof had to be raised.
        reach: most places that one leg may pass (bounds the time).

    Returns:
        Indices into `tube.s_m`, first and last included, and heights, each (K,).
    """
    lowest = lowest_path_m(tube.s_m, tube.floor_m, tube.slope)
    roof = np.maximum(tube.roof_m, lowest + room_m)
    roof = np.maximum(np.minimum(roof, tube.ceiling_m), lowest)
    # Floor and roof both keep the slope, so that from every height between them there is a way on.
    roof = -lowest_path_m(tube.s_m, -roof, tube.slope)
    if start_m is not None and lowest[0] - _EPS <= start_m <= roof[0] + 1e-6:
        low0 = high0 = float(start_m)
    else:
        low0, high0 = float(lowest[0]), float(roof[0])
    index, height = _solve(
        tube.s_m, lowest, roof, tube.target_m, tube.slope, tube.forced, low0, high0, reach
    )
    _polish(index, height, tube.s_m, lowest, roof, tube.target_m, tube.slope, start_m is not None)
    return index, height


@njit(cache=True)
def lowest_path_m(s: FloatArray, floor: FloatArray, slope: FloatArray) -> FloatArray:
    """The lowest path that keeps the floor and the slope."""
    path = floor.copy()
    for k in range(1, len(s)):
        g = min(slope[k - 1], slope[k])
        path[k] = max(path[k], path[k - 1] - g * (s[k] - s[k - 1]))
    for k in range(len(s) - 2, -1, -1):
        g = min(slope[k], slope[k + 1])
        path[k] = max(path[k], path[k + 1] - g * (s[k + 1] - s[k]))
    return path


@njit(cache=True)
def _clip(
    a: FloatArray, m: FloatArray, n: int, p: float, q: float, r: float, work: FloatArray
) -> int:
    """Clips the polygon (a, m) of n vertices to p·a + q·m <= r, in place; returns its new n."""
    out = 0
    for k in range(n):
        j = k + 1 if k + 1 < n else 0
        here = p * a[k] + q * m[k] - r
        there = p * a[j] + q * m[j] - r
        if here <= _EPS:
            work[0, out] = a[k]
            work[1, out] = m[k]
            out += 1
        if (here < -_EPS and there > _EPS) or (here > _EPS and there < -_EPS):
            t = here / (here - there)
            work[0, out] = a[k] + t * (a[j] - a[k])
            work[1, out] = m[k] + t * (m[j] - m[k])
            out += 1
        if out > _VERTICES - 4:
            break
    for k in range(out):
        a[k] = work[0, k]
        m[k] = work[1, k]
    return out


@njit(cache=True)
def _start_polygon(a: FloatArray, m: FloatArray, low: float, high: float, g: float) -> int:
    a[0], a[1], a[2], a[3] = low, high, high, low
    m[0], m[1], m[2], m[3] = -g, -g, g, g
    return 4


@njit(cache=True)
def _grow(
    a: FloatArray,
    m: FloatArray,
    n: int,
    d: float,
    low: float,
    high: float,
    g: float,
    work: FloatArray,
) -> int:
    """Adds the bounds of one more place, d metres along."""
    n = _clip(a, m, n, 1.0, d, high, work)
    if n:
        n = _clip(a, m, n, -1.0, -d, -low, work)
    if n:
        n = _clip(a, m, n, 0.0, 1.0, g, work)
    if n:
        n = _clip(a, m, n, 0.0, -1.0, g, work)
    return n


@njit(cache=True)
def _solve(
    s: FloatArray,
    low: FloatArray,
    high: FloatArray,
    target: FloatArray,
    slope: FloatArray,
    forced: npt.NDArray[np.bool_],
    low0: float,
    high0: float,
    reach: int,
) -> tuple[npt.NDArray[np.int64], FloatArray]:
    count = len(s)
    legs = np.full(count, np.iinfo(np.int64).max // 2, dtype=np.int64)
    near = np.full(count, np.inf)
    far = np.full(count, -np.inf)
    legs[0], near[0], far[0] = 0, low0, high0
    a = np.empty(_VERTICES)
    m = np.empty(_VERTICES)
    work = np.empty((2, _VERTICES))
    for i in range(count - 1):
        if near[i] > far[i]:
            continue
        n = _start_polygon(a, m, near[i], far[i], slope[i])
        for j in range(i + 1, min(count, i + 1 + reach)):
            d = s[j] - s[i]
            n = _grow(a, m, n, d, low[j], high[j], slope[j], work)
            if n == 0:
                break
            least, most = np.inf, -np.inf
            for k in range(n):
                z = a[k] + m[k] * d
                least, most = min(least, z), max(most, z)
            least, most = max(least, low[j]), min(most, high[j])
            if least - most < 1e-6:  # the same within rounding
                least = min(least, most)
                if legs[i] + 1 < legs[j]:
                    legs[j], near[j], far[j] = legs[i] + 1, least, most
                elif legs[i] + 1 == legs[j]:
                    if least <= far[j] and most >= near[j]:
                        near[j], far[j] = min(near[j], least), max(far[j], most)
                    elif most - least > far[j] - near[j]:
                        near[j], far[j] = least, most
            if forced[j]:
                break
    # Walk back: at each corner the height nearest the target that the legs before it can give.
    index = np.empty(count, dtype=np.int64)
    height = np.empty(count)
    last = count - 1
    z = min(max(target[last], near[last]), far[last])
    total = 0
    index[0], height[0] = last, z
    total = 1
    j = last
    while j > 0:
        best_i, best_z, best_off, best_start = -1, z, np.inf, 0.0
        for i in range(j - 1, max(-1, j - 1 - reach), -1):
            if i < j - 1 and forced[i + 1]:
                break
            if legs[i] != legs[j] - 1 or near[i] > far[i]:
                continue
            n = _start_polygon(a, m, near[i], far[i], slope[i])
            for k in range(i + 1, j + 1):
                n = _grow(a, m, n, s[k] - s[i], low[k], high[k], slope[k], work)
                if n == 0:
                    break
            if n == 0:
                continue
            d = s[j] - s[i]
            # On the line a + m·d = z the possible a form an interval: clip by both its sides.
            least, most = np.inf, -np.inf
            for k in range(n):
                value = a[k] + m[k] * d
                least, most = min(least, value), max(most, value)
            wanted = min(max(z, least), most)
            first, second = np.inf, -np.inf
            for k in range(n):
                q = k + 1 if k + 1 < n else 0
                va, vb = a[k] + m[k] * d, a[q] + m[q] * d
                if abs(va - wanted) < 1e-7:
                    first, second = min(first, a[k]), max(second, a[k])
                if (va - wanted) * (vb - wanted) < 0.0:
                    t = (va - wanted) / (va - vb)
                    value = a[k] + t * (a[q] - a[k])
                    first, second = min(first, value), max(second, value)
            if first > second:
                continue
            start = min(max(target[i], first), second)
            off = abs(wanted - z) * 1e6 + abs(start - target[i])
            if off < best_off:
                best_off, best_i, best_z, best_start = off, i, wanted, start
        if best_i < 0:
            # Cannot happen by construction; a leg to the place before is always possible.
            best_i, best_start = j - 1, min(max(z, near[j - 1]), far[j - 1])
            best_z = z
        height[total - 1] = best_z
        index[total], height[total] = best_i, best_start
        total += 1
        j, z = best_i, best_start
    return index[:total][::-1].copy(), height[:total][::-1].copy()


@njit(cache=True)
def _polish(
    index: npt.NDArray[np.int64],
    height: FloatArray,
    s: FloatArray,
    low: FloatArray,
    high: FloatArray,
    target: FloatArray,
    slope: FloatArray,
    keep_start: bool,
) -> None:
    """Moves one corner after the other towards the least squared distance from the target."""
    corners = len(index)
    for _ in range(4):
        for c in range(1 if keep_start else 0, corners):
            least, most = low[index[c]], high[index[c]]
            above, below = 0.0, 0.0
            for side in (-1, 1):
                o = c + side
                if o < 0 or o >= corners:
                    continue
                d = abs(s[index[c]] - s[index[o]])
                first, last = min(index[c], index[o]), max(index[c], index[o])
                for k in range(first, last + 1):
                    w = 1.0 - abs(s[k] - s[index[c]]) / d
                    rest = (1.0 - w) * height[o]
                    if w > 1e-6:
                        least = max(least, (low[k] - rest) / w)
                        most = min(most, (high[k] - rest) / w)
                    span = 0.5 * (s[min(k + 1, last)] - s[max(k - 1, first)])
                    above += span * w * (target[k] - rest)
                    below += span * w * w
                    least = max(least, height[o] - slope[k] * d)
                    most = min(most, height[o] + slope[k] * d)
            if least <= most and below > 0.0:
                height[c] = min(max(above / below, least), most)
