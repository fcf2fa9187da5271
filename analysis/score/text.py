"""A score for people and for machines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analysis.score.tally import (
    BreachTally,
    LineTally,
    MatchTally,
    OffsetTally,
    Recall,
    Score,
    StateTally,
)
from corridor import format_station
from corridor.findings import BreachType, FenceState

VERSION = 1
_STATES = [state.value for state in FenceState]


def as_text(score: Score) -> str:
    """The score as a page of plain text."""
    lines: list[str] = []
    if score.breaches is not None:
        lines += _breach_lines(score.breaches)
    if score.states is not None:
        lines += _state_lines(score.states, score.breaches)
    if score.fence_line is not None:
        lines += _offset_lines(score.fence_line)
    if score.footpaths is not None:
        lines += _path_lines(score.footpaths)
    if score.access_points is not None:
        lines += _match_lines("Access points", score.access_points)
    if score.plots is not None:
        lines += _match_lines("Plots", score.plots)
    calibrations = score.calibrations()
    if calibrations:
        lines.append("Calibration (expected calibration error of confidences)")
        for name, calibration in calibrations.items():
            lines.append(f"  {name:<22}{_number(calibration.expected_error, 3)}")
    return "\n".join(lines)


def as_json(score: Score) -> dict[str, Any]:
    """The score as JSON values; a rate over nothing is null."""
    return {
        "version": VERSION,
        "sites": score.sites,
        "breaches": None if score.breaches is None else _breach_json(score.breaches),
        "fence_state": None if score.states is None else _state_json(score.states),
        "fence_line": None if score.fence_line is None else _offset_json(score.fence_line),
        "footpaths": None if score.footpaths is None else _path_json(score.footpaths),
        "access_points": None if score.access_points is None else _access_json(score.access_points),
        "plots": None if score.plots is None else _match_json(score.plots),
        "calibration": {
            name: {
                "expected_error": calibration.expected_error,
                "weight": calibration.weight,
                "bins": [
                    {
                        "from": one.low,
                        "to": one.high,
                        "weight": one.weight,
                        "confidence": one.confidence,
                        "right_frac": one.right_frac,
                    }
                    for one in calibration.bins
                ],
            }
            for name, calibration in score.calibrations().items()
        },
    }


def _breach_lines(tally: BreachTally) -> list[str]:
    recall = tally.recall
    lines = [
        f"Breaches on {tally.fence_m / 1000:.2f} km of fence",
        f"  found                 {_recall(recall)}",
    ]
    for kind, one in tally.recall_by_type().items():
        if one.total:
            widths = ", ".join(
                f"{name} {w.found}/{w.total}"
                for name, w in tally.recall_by_width(kind).items()
                if w.total
            )
            lines.append(f"    {kind.value:<20}{_recall(one)}   by width: {widths}")
    if tally.hidden.total:
        lines.append(
            f"  hidden from above     {tally.hidden.total} more, of which {tally.hidden.found} "
            "were reported (not part of the share found)"
        )
    lines.append(
        f"  false alarms          {len(tally.false_alarms)}"
        f" ({_number(tally.false_alarms_per_km, 2)} per km of fence)"
    )
    for name, count in (("repeats", tally.repeats), ("outside the truth", tally.outside)):
        if count:
            lines.append(f"  {name:<22}{count}")
    lines.append(
        f"  station error         median {_number(tally.station_error_m(50), 2)} m, "
        f"95 % {_number(tally.station_error_m(95), 2)} m"
    )
    missed = [event for event in tally.events if event.is_visible and not event.found_by]
    for event in missed[:20]:
        called = ", ".join(f"{name} {m:.1f} m" for name, m in sorted(event.called.items()))
        lines.append(
            f"    missed: {event.breach_type.value} of {event.length_m:.1f} m at {event.route} "
            f"{event.side} {format_station(event.chainage_start_m)}"
            + (f", called {called}" if called else "")
        )
    if len(missed) > 20:
        lines.append(f"    and {len(missed) - 20} more (all of them with --json)")
    return lines


def _state_lines(tally: StateTally, breaches: BreachTally | None) -> list[str]:
    lines = [
        "Fence state",
        f"  metres right          {_percent(tally.right_frac)} of {tally.total_m:.0f} m",
        f"  broken called intact  {tally.broken_called_intact_m:.1f} m of {tally.broken_m:.1f} m "
        f"({_percent(tally.broken_called_intact_frac)}) of visible gaps and collapsed panels "
        "from 1 m",
        f"                        {tally.any_breach_called_intact_m:.1f} m of all kinds of breach",
    ]
    for event in breaches.events if breaches else ():
        intact_m = event.called.get(FenceState.INTACT.value, 0.0)
        if intact_m > 0.5 and event.is_visible and event.breach_type is not BreachType.HOLE:
            lines.append(
                f"    {intact_m:.1f} m intact in {event.breach_type.value} of "
                f"{event.length_m:.1f} m at {event.route} {event.side} "
                f"{format_station(event.chainage_start_m)} ({event.finding_id})"
            )
    if tally.missing_m > 0.05:
        lines.append(f"  without any state     {tally.missing_m:.1f} m")
    columns = [*_STATES, "missing"]
    lines.append("  true \\ found, m " + "".join(f"{name:>10}" for name in columns))
    for true in _STATES:
        row = [tally.metres.get((true, found), 0.0) for found in columns]
        if any(row):
            lines.append(f"    {true:<14}" + "".join(f"{value:>10.1f}" for value in row))
    return lines


def _offset_lines(tally: OffsetTally) -> list[str]:
    return [
        f"Fence line: off by median {_number(tally.error_m(50), 3)} m, "
        f"95 % {_number(tally.error_m(95), 3)} m ({len(tally.offsets_m)} samples)"
    ]


def _path_lines(tally: LineTally) -> list[str]:
    lines = [
        "Footpaths",
        f"  completeness          {_percent(tally.completeness)} "
        f"({tally.true_matched_m:.0f} of {tally.true_m:.0f} m)",
        f"  correctness           {_percent(tally.correctness)} "
        f"({tally.found_matched_m:.0f} of {tally.found_m:.0f} m)",
        f"  quality               {_number(tally.quality, 3)}",
        f"  F1                    {_number(tally.f1, 3)}",
    ]
    if tally.seen_m is not None:
        lines.append(
            f"  of what can be seen   {_percent(tally.completeness_seen)} "
            f"({tally.seen_matched_m:.0f} of {tally.seen_m:.0f} m), F1 {_number(tally.f1_seen, 2)}"
        )
    if tally.inferred_m:
        lines.append(
            f"  inferred              {tally.inferred_m:.0f} m, correct "
            f"{_percent(tally.inferred_correctness)}"
        )
    for name, (matched, total) in tally.by_width.items():
        lines.append(f"  width {name:<16}{_percent(matched / total if total else None)} found")
    if tally.found_m_per_ha is not None:
        lines.append(f"  reported              {tally.found_m_per_ha:.1f} m per hectare")
    return lines


def _match_lines(title: str, tally: MatchTally) -> list[str]:
    lines = [
        title,
        f"  found                 {_recall(Recall(tally.matched, tally.true))}",
    ]
    if tally.hidden.total:
        lines += [
            f"  of those that can be seen  {_recall(tally.recall_seen)}",
            f"  hidden                {_recall(tally.hidden)}",
        ]
    lines += [
        f"  false                 {tally.found - tally.matched}"
        + (f" ({tally.false_per_km:.2f} per km)" if tally.false_per_km is not None else ""),
        f"  F1                    {_number(tally.f1, 3)}",
    ]
    if tally.errors_m:
        lines.append(f"  off by                median {_number(tally.error_m(50), 2)} m")
    return lines


def _breach_json(tally: BreachTally) -> dict[str, Any]:
    def recalls(many: Mapping[Any, Recall]) -> dict[str, Any]:
        return {str(getattr(key, "value", key)): _recall_json(one) for key, one in many.items()}

    return {
        "fence_m": tally.fence_m,
        "recall": _recall_json(tally.recall),
        "recall_by_type": recalls(tally.recall_by_type()),
        "recall_by_width": recalls(tally.recall_by_width()),
        "recall_by_type_and_width": {
            kind.value: recalls(tally.recall_by_width(kind)) for kind in BreachType
        },
        "hidden": _recall_json(tally.hidden),
        "false_alarms": [
            {"truth": source, "finding_id": name, "chainage_start_m": start, "length_m": length}
            for source, name, start, length in tally.false_alarms
        ],
        "false_alarms_per_km": tally.false_alarms_per_km,
        "repeats": tally.repeats,
        "outside": tally.outside,
        "station_error_median_m": tally.station_error_m(50),
        "station_error_p95_m": tally.station_error_m(95),
        "events": [
            {
                "truth": event.source,
                "finding_id": event.finding_id,
                "breach_type": event.breach_type.value,
                "route": event.route,
                "side": event.side,
                "chainage_start_m": event.chainage_start_m,
                "length_m": event.length_m,
                "visible_frac": event.visible_frac,
                "found_by": event.found_by or None,
                "station_error_m": event.station_error_m,
                "called_m": dict(event.called),
            }
            for event in tally.events
        ],
    }


def _state_json(tally: StateTally) -> dict[str, Any]:
    return {
        "total_m": tally.total_m,
        "right_frac": tally.right_frac,
        "missing_m": tally.missing_m,
        "broken_m": tally.broken_m,
        "broken_called_intact_m": tally.broken_called_intact_m,
        "broken_called_intact_frac": tally.broken_called_intact_frac,
        "any_breach_called_intact_m": tally.any_breach_called_intact_m,
        "confusion_m": {
            true: {found: tally.metres.get((true, found), 0.0) for found in (*_STATES, "missing")}
            for true in _STATES
        },
    }


def _offset_json(tally: OffsetTally) -> dict[str, Any]:
    return {
        "samples": len(tally.offsets_m),
        "median_m": tally.error_m(50),
        "p95_m": tally.error_m(95),
    }


def _path_json(tally: LineTally) -> dict[str, Any]:
    return {
        "true_m": tally.true_m,
        "true_matched_m": tally.true_matched_m,
        "found_m": tally.found_m,
        "found_matched_m": tally.found_matched_m,
        "completeness": tally.completeness,
        "correctness": tally.correctness,
        "quality": tally.quality,
        "f1": tally.f1,
        "seen_m": tally.seen_m,
        "seen_matched_m": None if tally.seen_m is None else tally.seen_matched_m,
        "completeness_seen": tally.completeness_seen,
        "f1_seen": tally.f1_seen,
        "inferred_m": tally.inferred_m,
        "inferred_correctness": tally.inferred_correctness,
        "completeness_by_width": {
            name: matched / total if total else None
            for name, (matched, total) in tally.by_width.items()
        },
        "found_m_per_ha": tally.found_m_per_ha,
    }


def _match_json(tally: MatchTally) -> dict[str, Any]:
    return {
        "true": tally.true,
        "found": tally.found,
        "matched": tally.matched,
        "recall": tally.recall,
        "precision": tally.precision,
        "f1": tally.f1,
        "false_per_km": tally.false_per_km,
        "error_median_m": tally.error_m(50),
    }


def _access_json(tally: MatchTally) -> dict[str, Any]:
    return {
        **_match_json(tally),
        "recall_seen": _recall_json(tally.recall_seen),
        "hidden": _recall_json(tally.hidden),
    }


def _recall_json(recall: Recall) -> dict[str, Any]:
    return {"found": recall.found, "total": recall.total, "frac": recall.frac}


def _recall(recall: Recall) -> str:
    return f"{recall.found} of {recall.total}" + (
        f" ({_percent(recall.frac)})" if recall.total else ""
    )


def _percent(frac: float | None) -> str:
    return "-" if frac is None else f"{100 * frac:.1f} %"


def _number(value: float | None, decimals: int) -> str:
    return "-" if value is None else f"{value:.{decimals}f}"
