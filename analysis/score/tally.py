"""Counts and lengths that add up over several sites, and the rates that follow from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from analysis.score.calibration import Calibration, calibration_of
from corridor.findings import BreachType, FenceState, FindingKind

WIDTH_CLASSES_M: tuple[tuple[float, float], ...] = (
    (0.0, 0.6), (0.6, 1.0), (1.0, 2.0), (2.0, 5.0), (5.0, float("inf")),
)  # fmt: skip
"""Breaches by length along the fence, half open; 0.6 m is where a person gets through."""

PATH_WIDTH_CLASSES_M: tuple[tuple[float, float], ...] = (
    (0.0, 0.4), (0.4, 0.8), (0.8, float("inf")),
)  # fmt: skip
"""Footpaths by width, half open."""

VISIBLE_FROM_FRAC = 0.5
"""What can be seen for less than this is scored apart, as hidden."""

_T = TypeVar("_T")

Statement = tuple[float, bool, float]
"""Confidence, whether right, weight."""


def class_name(limits_m: tuple[float, float]) -> str:
    """A width class as people read it, as `1-2 m`."""
    low, high = limits_m
    if not np.isfinite(high):
        return f"{low:g} m and more"
    return f"under {high:g} m" if low == 0 else f"{low:g}-{high:g} m"


@dataclass(frozen=True)
class Recall:
    """How many of how many were found."""

    found: int
    total: int

    @property
    def frac(self) -> float | None:
        """The share found; None of nothing."""
        return self.found / self.total if self.total else None


@dataclass(frozen=True)
class BreachEvent:
    """A breach that is really there.

    Attributes:
        source: the truth's file.
        finding_id, breach_type, route, side, chainage_start_m, length_m: as the truth has them.
        visible_frac: the share of its length that nothing hides.
        found_by: the finding matched to it; empty if none.
        station_error_m: between the middles of both; None if not found.
        called: metres of it by the state that was found there.
    """

    source: str
    finding_id: str
    breach_type: BreachType
    route: str
    side: str
    chainage_start_m: float
    length_m: float
    visible_frac: float
    found_by: str = ""
    station_error_m: float | None = None
    called: Mapping[str, float] = field(default_factory=dict)

    @property
    def chainage_end_m(self) -> float:
        """Where it ends."""
        return self.chainage_start_m + self.length_m

    @property
    def is_visible(self) -> bool:
        """Whether half of it or more can be seen from above; what cannot, is scored apart."""
        return self.visible_frac >= VISIBLE_FROM_FRAC


@dataclass(frozen=True)
class BreachTally:
    """Breaches found and missed, and false alarms."""

    events: tuple[BreachEvent, ...]
    fence_m: float
    false_alarms: tuple[tuple[str, str, float, float], ...]
    """Of each: file, finding_id, chainage_start_m, length_m."""
    repeats: int
    """Findings at a true breach that another finding is matched to."""
    outside: int
    """Findings where the truth does not speak: judged neither way."""
    statements: tuple[Statement, ...]

    @property
    def _visible(self) -> list[BreachEvent]:
        return [event for event in self.events if event.is_visible]

    @property
    def recall(self) -> Recall:
        """Recall of the breaches that can be seen."""
        return _recall_of(self._visible)

    def recall_by_type(self) -> dict[BreachType, Recall]:
        """Recall of each type."""
        return {
            kind: _recall_of(event for event in self._visible if event.breach_type is kind)
            for kind in BreachType
        }

    def recall_by_width(self, kind: BreachType | None = None) -> dict[str, Recall]:
        """Recall by class of length along the fence, of all types or of one."""
        return {
            class_name((low, high)): _recall_of(
                event
                for event in self._visible
                if low <= event.length_m < high and kind in (None, event.breach_type)
            )
            for low, high in WIDTH_CLASSES_M
        }

    @property
    def hidden(self) -> Recall:
        """Breaches that are hidden for more than half of their length, not part of `recall`."""
        return _recall_of(event for event in self.events if not event.is_visible)

    @property
    def false_alarms_per_km(self) -> float | None:
        """False alarms per kilometre of fence; None without fence."""
        return len(self.false_alarms) / (self.fence_m / 1000.0) if self.fence_m else None

    def station_error_m(self, percent: float = 50.0) -> float | None:
        """A percentile of the station errors; None if nothing was found."""
        return _percentile([e.station_error_m for e in self.events], percent)


@dataclass(frozen=True)
class StateTally:
    """Metres of fence by true and by found state.

    Attributes:
        metres: (true state, found state or `missing`) to metres.
        broken_m, broken_called_intact_m: metres of visible gaps and collapsed panels of 1 m and
            more, and those of them called intact: the dangerous mistake.
        statements: (confidence, right, metres) of every stretch.
    """

    metres: Mapping[tuple[str, str], float]
    broken_m: float
    broken_called_intact_m: float
    statements: tuple[Statement, ...]

    @property
    def total_m(self) -> float:
        """Metres of fence judged."""
        return sum(self.metres.values())

    @property
    def right_frac(self) -> float | None:
        """The share of metres with the right state."""
        right = sum(value for (true, found), value in self.metres.items() if true == found)
        return right / self.total_m if self.total_m else None

    @property
    def missing_m(self) -> float:
        """Metres that the findings say nothing of; they must say something of every metre."""
        return sum(value for (_, found), value in self.metres.items() if found == "missing")

    @property
    def any_breach_called_intact_m(self) -> float:
        """Metres whose true state is breach, of any type and width, called intact."""
        return self.metres.get((FenceState.BREACH.value, FenceState.INTACT.value), 0.0)

    @property
    def broken_called_intact_frac(self) -> float | None:
        """The dangerous mistake as a share of the metres that are broken."""
        return self.broken_called_intact_m / self.broken_m if self.broken_m else None


@dataclass(frozen=True)
class OffsetTally:
    """Distances of the fence line found from the true one, sampled along it."""

    offsets_m: tuple[float, ...]

    def error_m(self, percent: float = 50.0) -> float | None:
        """A percentile of the distances."""
        return _percentile(self.offsets_m, percent)


@dataclass(frozen=True)
class LineTally:
    """Lengths of footpaths true and found, matched within a buffer (Heipke and Wiedemann 1997)."""

    true_m: float
    true_matched_m: float
    found_m: float
    found_matched_m: float
    inferred_m: float
    inferred_matched_m: float
    area_m2: float | None
    by_width: Mapping[str, tuple[float, float]]
    """Width class to metres matched and true, of the truth that states widths."""
    statements: tuple[Statement, ...]
    seen_m: float | None = None
    """Metres of the truth that can be seen; None if it does not tell."""
    seen_matched_m: float = 0.0

    @property
    def completeness(self) -> float | None:
        """The share of the truth that was found."""
        return self.true_matched_m / self.true_m if self.true_m else None

    @property
    def completeness_seen(self) -> float | None:
        """The share that was found of the truth that can be seen."""
        return self.seen_matched_m / self.seen_m if self.seen_m else None

    @property
    def correctness(self) -> float | None:
        """The share of what was found that is true."""
        return self.found_matched_m / self.found_m if self.found_m else None

    @property
    def quality(self) -> float | None:
        """Matched, over matched, false and missed together."""
        total = self.found_m + self.true_m - self.true_matched_m
        return self.found_matched_m / total if total else None

    @property
    def f1(self) -> float | None:
        """The harmonic mean of completeness and correctness; 0 if one of them is 0."""
        if not self.true_m or not self.found_m:
            return None if not self.true_m and not self.found_m else 0.0
        return _harmonic_mean(self.completeness, self.correctness)

    @property
    def f1_seen(self) -> float | None:
        """The harmonic mean of completeness of what can be seen, and correctness.

        A finding that matches what cannot be seen is right. None if nothing can be seen.
        """
        return _harmonic_mean(self.completeness_seen, self.correctness) if self.seen_m else None

    @property
    def inferred_correctness(self) -> float | None:
        """Correctness of findings that are inferred for half of their length or more."""
        return self.inferred_matched_m / self.inferred_m if self.inferred_m else None

    @property
    def found_m_per_ha(self) -> float | None:
        """Metres reported per hectare of the area; None if no area was given."""
        return self.found_m / (self.area_m2 / 1e4) if self.area_m2 else None


@dataclass(frozen=True)
class MatchTally:
    """Things found, missed and falsely reported, one to one: access points, plots."""

    true: int
    found: int
    matched: int
    fence_m: float
    errors_m: tuple[float, ...]
    statements: tuple[Statement, ...]
    hidden: Recall = Recall(0, 0)
    """Of the true ones, those that are hidden for more than half, where the truth tells."""

    @property
    def recall(self) -> float | None:
        """The share of the true ones that was found."""
        return self.matched / self.true if self.true else None

    @property
    def recall_seen(self) -> Recall:
        """Recall of those that can be seen: of all if the truth does not tell."""
        return Recall(self.matched - self.hidden.found, self.true - self.hidden.total)

    @property
    def precision(self) -> float | None:
        """The share of the found ones that is true."""
        return self.matched / self.found if self.found else None

    @property
    def f1(self) -> float | None:
        """Matched over the mean of true and found; None if there is neither."""
        return 2 * self.matched / (self.true + self.found) if self.true + self.found else None

    @property
    def false_per_km(self) -> float | None:
        """False ones per kilometre of fence; None without fence."""
        return (self.found - self.matched) / (self.fence_m / 1000.0) if self.fence_m else None

    def error_m(self, percent: float = 50.0) -> float | None:
        """A percentile of the distances of what was matched."""
        return _percentile(self.errors_m, percent)


@dataclass(frozen=True)
class Score:
    """All that can be said of findings against a truth; None where the truth does not speak."""

    sites: int
    breaches: BreachTally | None = None
    states: StateTally | None = None
    fence_line: OffsetTally | None = None
    footpaths: LineTally | None = None
    access_points: MatchTally | None = None
    plots: MatchTally | None = None

    def calibrations(self) -> dict[str, Calibration]:
        """How well confidences are calibrated, by what they speak of."""
        tallies = {
            FindingKind.BREACH.value: self.breaches,
            "fence_state_m": self.states,
            FindingKind.FOOTPATH.value: self.footpaths,
            FindingKind.ACCESS_POINT.value: self.access_points,
            FindingKind.PLOT.value: self.plots,
        }
        return {
            name: calibration_of(tally.statements)
            for name, tally in tallies.items()
            if tally is not None and tally.statements
        }


def pooled(scores: Sequence[Score]) -> Score:
    """One score over several sites: counts and lengths are added, then rates are taken."""
    return Score(
        sites=sum(one.sites for one in scores),
        breaches=_pool_breaches([s.breaches for s in scores if s.breaches]),
        states=_pool_states([s.states for s in scores if s.states]),
        fence_line=_pool_offsets([s.fence_line for s in scores if s.fence_line]),
        footpaths=_pool_lines([s.footpaths for s in scores if s.footpaths]),
        access_points=_pool_matches([s.access_points for s in scores if s.access_points]),
        plots=_pool_matches([s.plots for s in scores if s.plots]),
    )


def _recall_of(events: Iterable[BreachEvent]) -> Recall:
    chosen = list(events)
    return Recall(sum(bool(event.found_by) for event in chosen), len(chosen))


def _pool_breaches(tallies: Sequence[BreachTally]) -> BreachTally | None:
    if not tallies:
        return None
    return BreachTally(
        events=_joined(t.events for t in tallies),
        fence_m=sum(t.fence_m for t in tallies),
        false_alarms=_joined(t.false_alarms for t in tallies),
        repeats=sum(t.repeats for t in tallies),
        outside=sum(t.outside for t in tallies),
        statements=_joined(t.statements for t in tallies),
    )


def _pool_states(tallies: Sequence[StateTally]) -> StateTally | None:
    if not tallies:
        return None
    metres: dict[tuple[str, str], float] = {}
    for tally in tallies:
        for key, value in tally.metres.items():
            metres[key] = metres.get(key, 0.0) + value
    return StateTally(
        metres=metres,
        broken_m=sum(t.broken_m for t in tallies),
        broken_called_intact_m=sum(t.broken_called_intact_m for t in tallies),
        statements=_joined(t.statements for t in tallies),
    )


def _pool_offsets(tallies: Sequence[OffsetTally]) -> OffsetTally | None:
    return OffsetTally(_joined(t.offsets_m for t in tallies)) if tallies else None


def _pool_lines(tallies: Sequence[LineTally]) -> LineTally | None:
    if not tallies:
        return None
    by_width: dict[str, tuple[float, float]] = {}
    for tally in tallies:
        for name, (matched, total) in tally.by_width.items():
            before = by_width.get(name, (0.0, 0.0))
            by_width[name] = (before[0] + matched, before[1] + total)
    areas = [t.area_m2 for t in tallies if t.area_m2 is not None]
    seen = [t.seen_m for t in tallies if t.seen_m is not None]
    told = len(seen) == len(tallies)
    return LineTally(
        true_m=sum(t.true_m for t in tallies),
        true_matched_m=sum(t.true_matched_m for t in tallies),
        found_m=sum(t.found_m for t in tallies),
        found_matched_m=sum(t.found_matched_m for t in tallies),
        inferred_m=sum(t.inferred_m for t in tallies),
        inferred_matched_m=sum(t.inferred_matched_m for t in tallies),
        area_m2=sum(areas) if len(areas) == len(tallies) else None,
        by_width=by_width,
        statements=_joined(t.statements for t in tallies),
        seen_m=sum(seen) if told else None,
        seen_matched_m=sum(t.seen_matched_m for t in tallies) if told else 0.0,
    )


def _pool_matches(tallies: Sequence[MatchTally]) -> MatchTally | None:
    if not tallies:
        return None
    return MatchTally(
        true=sum(t.true for t in tallies),
        found=sum(t.found for t in tallies),
        matched=sum(t.matched for t in tallies),
        fence_m=sum(t.fence_m for t in tallies),
        errors_m=_joined(t.errors_m for t in tallies),
        statements=_joined(t.statements for t in tallies),
        hidden=Recall(sum(t.hidden.found for t in tallies), sum(t.hidden.total for t in tallies)),
    )


def _harmonic_mean(one: float | None, other: float | None) -> float:
    """0 if one of them is 0, or nothing."""
    return 2 * one * other / (one + other) if one and other else 0.0


def _joined(groups: Iterable[tuple[_T, ...]]) -> tuple[_T, ...]:
    return tuple(one for group in groups for one in group)


def _percentile(values: Iterable[float | None], percent: float) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.percentile(known, percent)) if known else None
