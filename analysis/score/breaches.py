"""Breaches matched along the chainage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from analysis.score.condition import Reaches, fence_length_m
from analysis.score.tally import BreachEvent, BreachTally
from corridor.findings import BreachType, FenceState, Finding
from corridor.values import FloatArray

_NO_MATCH = 1e9
# A finding counts for every true breach it touches only if half of it or more is really broken;
# one that sweeps over sound fence counts for one at most.
_HONEST_FRAC = 0.5


def compare_breaches(
    found: Sequence[Finding],
    truth: Sequence[Finding],
    reaches: Reaches,
    slack_m: float,
    source: str,
) -> BreachTally:
    """Breaches found against true ones.

    A pair may match on the same route and side if the two overlap after `slack_m` of slack. Each
    true breach is matched once. A finding more at a true breach that is matched already is a
    repeat; one that matches nothing is a false alarm.

    Args:
        found: as reported.
        truth: as it is.
        reaches: the true state by route and side; of what lies outside of it the truth does not
            speak, so findings there are only counted.
        slack_m: along the fence.
        source: names the truth in the events.
    """
    events = [_event(f, reaches, source) for f in truth if _is_in(f, reaches)]
    everywhere = found
    found = [f for f in everywhere if _is_in(f, reaches)]
    apart_m = np.full((len(found), len(events)), _NO_MATCH)
    honest = np.zeros(len(found), dtype=bool)
    for i, finding in enumerate(found):
        low, high = _span(finding)
        touched = []
        for j, event in enumerate(events):
            if (event.route, event.side) != (finding.route, _side(finding)):
                continue
            start, end = event.chainage_start_m, event.chainage_end_m
            if low - slack_m < end and start < high + slack_m:
                apart_m[i, j] = abs((low + high) / 2 - (start + end) / 2)
                touched.append((start - slack_m, end + slack_m))
        honest[i] = _covered_frac(low, high, touched) >= _HONEST_FRAC
    chosen = _choose(apart_m, honest)
    matched: list[BreachEvent] = []
    for j, event in enumerate(events):
        if j not in chosen:
            matched.append(event)
            continue
        i = chosen[j]
        group = [events[k] for k, by in chosen.items() if by == i]
        low = min(e.chainage_start_m for e in group)
        high = max(e.chainage_end_m for e in group)
        error_m = abs(sum(_span(found[i])) / 2 - (low + high) / 2)
        matched.append(replace(event, found_by=found[i].finding_id, station_error_m=float(error_m)))
    used = set(chosen.values())
    repeats = {
        i
        for i in range(len(found))
        if i not in used and honest[i] and (apart_m[i] < _NO_MATCH).any()
    }
    return BreachTally(
        events=tuple(matched),
        fence_m=fence_length_m(reaches),
        false_alarms=tuple(
            (source, f.finding_id, _span(f)[0], _span(f)[1] - _span(f)[0])
            for i, f in enumerate(found)
            if i not in used and i not in repeats
        ),
        repeats=len(repeats),
        outside=len(everywhere) - len(found),
        statements=tuple(
            (f.confidence, i in used or i in repeats, 1.0) for i, f in enumerate(found)
        ),
    )


def _choose(apart_m: FloatArray, honest: np.ndarray) -> dict[int, int]:
    """The finding for each event: of the honest ones the nearest; else one to one."""
    chosen: dict[int, int] = {}
    for j in range(apart_m.shape[1]):
        column = np.where(honest, apart_m[:, j], _NO_MATCH)
        if len(column) and column.min() < _NO_MATCH:
            chosen[j] = int(np.argmin(column))
    rest = np.array([j for j in range(apart_m.shape[1]) if j not in chosen], dtype=np.intp)
    sweeping = np.flatnonzero(~honest)
    cost = apart_m[np.ix_(sweeping, rest)]
    for row, column_index in zip(*linear_sum_assignment(cost), strict=True):
        if cost[row, column_index] < _NO_MATCH:
            chosen[int(rest[column_index])] = int(sweeping[row])
    return chosen


def _covered_frac(low: float, high: float, spans: Sequence[tuple[float, float]]) -> float:
    if high <= low:
        return 1.0 if spans else 0.0
    covered, reached = 0.0, low
    for start, end in sorted(spans):
        start, end = max(start, reached), min(end, high)
        if end > start:
            covered += end - start
            reached = end
    return covered / (high - low)


def _event(finding: Finding, reaches: Reaches, source: str) -> BreachEvent:
    low, high = _span(finding)
    visible = finding.extra.get("visible_frac")
    if visible is None:
        reach = reaches[finding.route, _side(finding)]
        states = np.array(reach.states)
        overlap = np.minimum(reach.end_m, high) - np.maximum(reach.start_m, low)
        seen = np.maximum(overlap, 0.0)[states == FenceState.BREACH.value].sum()
        visible = float(seen) / (high - low) if high > low else 1.0
    return BreachEvent(
        source=source,
        finding_id=finding.finding_id,
        breach_type=finding.breach_type or BreachType.GAP,
        route=finding.route,
        side=_side(finding),
        chainage_start_m=low,
        length_m=high - low,
        visible_frac=float(visible),
    )


def _is_in(finding: Finding, reaches: Reaches) -> bool:
    reach = reaches.get((finding.route, _side(finding)))
    if reach is None or finding.chainage_start_m is None:
        return False
    low, high = _span(finding)
    return bool(reach.at(np.array([(low + high) / 2]))[0] >= 0)


def _side(finding: Finding) -> str:
    return finding.side.value if finding.side else ""


def _span(finding: Finding) -> tuple[float, float]:
    low = finding.chainage_start_m or 0.0
    high = finding.chainage_end_m if finding.chainage_end_m is not None else low
    return min(low, high), max(low, high)
