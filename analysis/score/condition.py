"""The fence's state in metres, and where its line was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import shapely

from analysis.score.source import FenceLine
from analysis.score.tally import BreachEvent, OffsetTally, Statement, StateTally
from corridor import LocalFrame
from corridor.findings import BreachType, FencePiece, FenceState
from corridor.values import FloatArray

_SAMPLE_M = 0.5
# Narrower breaks let nobody through and are at the edge of what is resolved.
_BROKEN_FROM_M = 1.0
_MISSING = "missing"


@dataclass(frozen=True)
class _Reach:
    """Stretches of one side in order: starts (N,), ends (N,), states and confidences (N,)."""

    start_m: FloatArray
    end_m: FloatArray
    states: tuple[str, ...]
    confidence: FloatArray

    def at(self, chainage_m: FloatArray) -> npt.NDArray[np.intp]:
        """Index of the stretch at each chainage, -1 where there is none."""
        index = np.searchsorted(self.start_m, chainage_m, side="right") - 1
        inside = (index >= 0) & (chainage_m < self.end_m[np.maximum(index, 0)])
        return np.where(inside, index, -1)


Reaches = Mapping[tuple[str, str], _Reach]
"""Route and side to the stretches there."""


def truth_reaches(
    pieces: Sequence[FencePiece], frame: LocalFrame, inside: shapely.Geometry | None
) -> Reaches:
    """The true state by route and side, cut to an area in the frame if one is given."""
    rows = []
    for piece in pieces:
        spans = [(0.0, 1.0)]
        if inside is not None:
            spans = _spans_inside(shapely.transform(piece.geometry, frame.to_xy), inside)
        length_m = piece.chainage_end_m - piece.chainage_start_m
        rows += [
            replace(
                piece,
                chainage_start_m=piece.chainage_start_m + low * length_m,
                chainage_end_m=piece.chainage_start_m + high * length_m,
            )
            for low, high in spans
        ]
    return _reaches(rows)


def fence_length_m(reaches: Reaches) -> float:
    """Metres where there is a fence to see."""
    return float(
        sum(
            end - start
            for reach in reaches.values()
            for start, end, state in zip(reach.start_m, reach.end_m, reach.states, strict=True)
            if state != FenceState.NO_FENCE.value
        )
    )


def compare_states(
    found: Sequence[FencePiece], truth: Reaches, events: Sequence[BreachEvent]
) -> tuple[StateTally, tuple[BreachEvent, ...]]:
    """The confusion of states in metres; and the events with the states found along them."""
    reported = _reaches(found)
    metres: dict[tuple[str, str], float] = {}
    statements: list[Statement] = []
    called: list[dict[str, float]] = [{} for _ in events]
    broken_m = missed_m = 0.0
    for key, reach in truth.items():
        other = reported.get(key)
        here = [i for i, event in enumerate(events) if (event.route, event.side) == key]
        edges = [reach.start_m, reach.end_m]
        edges += [] if other is None else [other.start_m, other.end_m]
        edges += [_span(events[i]) for i in here]
        cuts = np.unique(np.concatenate(edges))
        middle_m, length_m = (cuts[1:] + cuts[:-1]) / 2, np.diff(cuts)
        in_truth = reach.at(middle_m)
        in_found = np.full(len(middle_m), -1) if other is None else other.at(middle_m)
        is_broken = np.zeros(len(middle_m), dtype=bool)
        for i in here:
            low, high = _span(events[i])
            inside = (middle_m > low) & (middle_m < high) & (in_truth >= 0)
            if events[i].breach_type is not BreachType.HOLE and high - low >= _BROKEN_FROM_M:
                is_broken |= inside
            for row in np.flatnonzero(inside):
                state = _state(other, in_found[row])
                called[i][state] = called[i].get(state, 0.0) + float(length_m[row])
        for row in np.flatnonzero(in_truth >= 0):
            true, state = reach.states[in_truth[row]], _state(other, in_found[row])
            size_m = float(length_m[row])
            metres[true, state] = metres.get((true, state), 0.0) + size_m
            if is_broken[row] and true == FenceState.BREACH.value:
                broken_m += size_m
                missed_m += size_m if state == FenceState.INTACT.value else 0.0
            if other is not None and in_found[row] >= 0:
                sure = float(other.confidence[in_found[row]])
                statements.append((sure, true == state, size_m))
    tally = StateTally(metres, broken_m, missed_m, tuple(statements))
    return tally, tuple(replace(e, called=states) for e, states in zip(events, called, strict=True))


def compare_offsets(
    found: Sequence[FenceLine],
    truth: Sequence[FenceLine],
    pieces: Sequence[FencePiece] | None,
    frame: LocalFrame,
    inside: shapely.Geometry | None,
) -> OffsetTally:
    """Distances of the line found from the true one, every 0.5 m where there is a fence.

    Samples beyond the ends of the true line are left out.
    """
    bare = [
        shapely.transform(piece.geometry, frame.to_xy)
        for piece in pieces or ()
        if piece.state is FenceState.NO_FENCE
    ]
    no_fence = shapely.union_all(bare) if bare else None
    offsets: list[float] = []
    for line in found:
        same = [t for t in truth if (t.route, t.side) == (line.route, line.side)]
        candidates = same or [t for t in truth if t.side is None]
        xy = shapely.transform(line.geometry, frame.to_xy)
        if not candidates or xy.length == 0:
            continue
        along = np.arange(_SAMPLE_M / 2, xy.length, _SAMPLE_M)
        points = shapely.line_interpolate_point(xy, along)
        if inside is not None:
            points = points[shapely.intersects(points, inside)]
        nearest = np.full(len(points), np.inf)
        beyond = np.zeros(len(points), dtype=bool)
        for candidate in candidates:
            true_xy = shapely.transform(candidate.geometry, frame.to_xy)
            distance = shapely.distance(points, true_xy)
            position = shapely.line_locate_point(true_xy, points)
            at_end = (position <= 0.0) | (position >= true_xy.length)
            closer = distance < nearest
            nearest[closer], beyond[closer] = distance[closer], at_end[closer]
        kept = ~beyond & np.isfinite(nearest)
        if no_fence is not None:
            kept &= shapely.distance(points, no_fence) > nearest + 0.01
        offsets += nearest[kept].tolist()
    return OffsetTally(tuple(offsets))


def _reaches(pieces: Sequence[FencePiece]) -> Reaches:
    by_side: dict[tuple[str, str], list[FencePiece]] = {}
    for piece in sorted(pieces, key=lambda piece: piece.chainage_start_m):
        if piece.chainage_end_m > piece.chainage_start_m:
            by_side.setdefault((piece.route, piece.side.value), []).append(piece)
    return {
        key: _Reach(
            start_m=np.array([piece.chainage_start_m for piece in group]),
            end_m=np.array([piece.chainage_end_m for piece in group]),
            states=tuple(piece.state.value for piece in group),
            confidence=np.array([piece.confidence for piece in group]),
        )
        for key, group in by_side.items()
    }


def _spans_inside(line: shapely.LineString, inside: shapely.Geometry) -> list[tuple[float, float]]:
    """Fractions [low, high) of a line's length that lie inside."""
    length_m = float(shapely.length(line))
    spans = []
    for part in shapely.get_parts(shapely.intersection(line, inside)):
        if shapely.length(part) > 0 and length_m > 0:
            ends = [shapely.Point(xy) for xy in shapely.get_coordinates(part)[[0, -1]]]
            low, high = sorted(shapely.line_locate_point(line, ends) / length_m)
            spans.append((float(low), float(high)))
    return spans


def _span(event: BreachEvent) -> FloatArray:
    return np.array([event.chainage_start_m, event.chainage_end_m])


def _state(reach: _Reach | None, index: int) -> str:
    return _MISSING if reach is None or index < 0 else reach.states[index]
