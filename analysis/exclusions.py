"""Where by design no fence stands: tunnels, viaducts, bridges, given as polygons."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import shapely

from analysis.fence_work import FenceResult, Stretch
from analysis.raster import Orthophoto
from analysis.results import to_picture
from analysis.surroundings import polygons_of
from corridor import Boundary
from corridor.findings import FenceState

_LEAST_M = 0.1
_NO_REASON = "no fence here by design"


@dataclass(frozen=True)
class Exclusion:
    """A WGS 84 polygon in which no fence stands, and why (`tunnel`, `viaduct`, `bridge`, …)."""

    area: shapely.Geometry
    reason: str = _NO_REASON


def read_exclusions(path: Path) -> list[Exclusion]:
    """The polygons of a vector file; a column `reason`, if there is one, says why.

    Raises:
        InputError: if there is no polygon.
    """
    found = []
    for area, row in polygons_of(path):
        reason = row.get("reason")
        # A row without a reason holds None, or NaN beside rows of numbers.
        found.append(Exclusion(area, reason if isinstance(reason, str) and reason else _NO_REASON))
    return found


def without_fence(
    ortho: Orthophoto,
    boundary: Boundary,
    fence: FenceResult,
    exclusions: Sequence[Exclusion],
) -> FenceResult:
    """The fence with `no_fence` where its drawn line lies in an exclusion, and no breach there."""
    if not exclusions:
        return fence
    out = list(fence.stretches)
    closed: list[tuple[float, float]] = []
    first_m, last_m = out[0].start_m, out[-1].end_m
    for begin_m, stop_m, reason in _excluded(ortho, boundary, fence.part, exclusions):
        start_m = first_m if begin_m < first_m + _LEAST_M else begin_m
        end_m = last_m if stop_m > last_m - _LEAST_M else stop_m
        closed.append((start_m, end_m))
        out = [piece for each in out for piece in _outside(each, start_m, end_m)]
        out.append(Stretch(start_m, end_m, FenceState.NO_FENCE, 1.0, reason))
    out.sort(key=lambda each: each.start_m)
    breaches = [
        replace(breach, start_m=start_m, end_m=end_m)
        for breach in fence.breaches
        for start_m, end_m in _rest(breach.start_m, breach.end_m, closed)
    ]
    return replace(fence, stretches=tuple(out), breaches=tuple(breaches))


def _rest(
    start_m: float, end_m: float, closed: Sequence[tuple[float, float]]
) -> list[tuple[float, float]]:
    """What of [start, end) lies outside the closed stretches, slivers left out."""
    left = [(start_m, end_m)]
    for a, b in closed:
        left = [
            (first, last)
            for begin, end in left
            for first, last in ((begin, min(end, a)), (max(begin, b), end))
            if last - first >= _LEAST_M
        ]
    return left


def _excluded(
    ortho: Orthophoto, boundary: Boundary, part: int, exclusions: Sequence[Exclusion]
) -> Iterator[tuple[float, float, str]]:
    """Chainages [start, end) of a part that lie in an exclusion; earlier exclusions win."""
    track = ortho.track(boundary, part)
    line = shapely.LineString(track.xy)
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(track.xy, axis=0).T))])
    taken: shapely.Geometry = shapely.MultiLineString()
    for each in exclusions:
        inside = shapely.intersection(line, to_picture(ortho, each.area))
        for piece in shapely.get_parts(shapely.difference(inside, shapely.buffer(taken, 1e-6))):
            if piece.geom_type != "LineString" or piece.length < _LEAST_M:
                continue
            ends = shapely.line_locate_point(
                line, shapely.points([piece.coords[0], piece.coords[-1]])
            )
            start_m, end_m = np.interp(np.sort(ends), along, track.chainage_m)
            yield float(start_m), float(end_m), each.reason
        taken = shapely.union(taken, inside)


def _outside(stretch: Stretch, start_m: float, end_m: float) -> Iterator[Stretch]:
    """What of a stretch lies outside [start, end)."""
    if stretch.start_m < start_m:
        yield replace(stretch, end_m=min(stretch.end_m, start_m))
    if stretch.end_m > end_m:
        yield replace(stretch, start_m=max(stretch.start_m, end_m))
