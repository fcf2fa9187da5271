"""Runs put together into sorties: one battery each, from a launch site and back to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from corridor import Progress, silent
from corridor.values import FloatArray
from missions.airspace import Airspace
from missions.energy import EnergyModel
from missions.flight import Cost, Launch, Segment, cost_of
from missions.items import item_count
from missions.rally import RallyReturn, plan_rally
from missions.returns import Return, plan_return
from missions.routes import Router
from missions.runs import Cut, Run

_SHORTEST_HALF_M = 60.0


@dataclass(frozen=True)
class PlannedSortie:
    """A sortie before it is written.

    Attributes:
        rally: other places that it may return to, each proved.
        rally_refused: name and reason of places that are nearer than home somewhere, not proved.
    """

    launch: Launch
    segments: tuple[Segment, ...]
    cost: Cost
    home: Return
    energy: EnergyModel
    rally: tuple[RallyReturn, ...] = ()
    rally_refused: tuple[tuple[str, str], ...] = ()

    @property
    def district(self) -> str:
        """The one that all its lanes lie in; empty outside of all."""
        return self.runs[0].district if self.runs else ""

    @property
    def runs(self) -> list[Run]:
        """The runs flown, in order."""
        return [segment.run for segment in self.segments if segment.run is not None]


@dataclass
class _Group:
    """Runs flown from one launch site, in one district: nobody answers for another's stretch."""

    launch: Launch
    runs: list[Run] = field(default_factory=list)


def make_sorties(
    runs: list[Run],
    launches: list[Launch],
    airspace: Airspace,
    router: Router,
    progress: Progress = silent,
    rally_places: Sequence[Launch] = (),
) -> tuple[list[PlannedSortie], list[Cut]]:
    """Splits runs among launch sites and batteries.

    No sortie spans two districts. Each run goes to the nearest launch site from which all of it is
    within range; from there the nearest unflown run is added to a sortie for as long as energy,
    items and the way home allow.

    Returns:
        The sorties, and what none of them can fly, with the reason.
    """
    groups, cuts = _by_launch(runs, launches, airspace)
    sorties: list[PlannedSortie] = []
    done, total = 0, sum(len(group.runs) for group in groups)
    for group in groups:
        altitude_m = group.launch.ground_m + airspace.survey.safety.ceiling_m
        energy = EnergyModel.of(airspace.survey.aircraft, airspace.survey.safety, altitude_m)
        left = list(group.runs)
        while left:
            sortie, left, failed = _one_sortie(left, group.launch, router, energy)
            cuts += failed
            if sortie is not None:
                sorties.append(_with_rally(sortie, rally_places, airspace))
            progress(done + len(group.runs) - len(left), total, "sorties")
        done += len(group.runs)
    return sorties, cuts


def _with_rally(
    sortie: PlannedSortie, places: Sequence[Launch], airspace: Airspace
) -> PlannedSortie:
    found = plan_rally(sortie.cost, sortie.home, sortie.launch, places, airspace, sortie.energy)
    return replace(sortie, home=found.home, rally=found.points, rally_refused=found.refused)


def _by_launch(
    runs: list[Run], launches: list[Launch], airspace: Airspace
) -> tuple[list[_Group], list[Cut]]:
    limit_m = airspace.survey.safety.max_distance_m
    groups: dict[tuple[int, str], _Group] = {}
    sites = np.array([launch.xy for launch in launches])
    cuts = []
    for run in runs:
        away = np.hypot(
            run.xyz[:, None, 0] - sites[None, :, 0], run.xyz[:, None, 1] - sites[None, :, 1]
        )
        farthest = away.max(axis=0)
        best = int(np.argmin(np.where(farthest <= limit_m, away.mean(axis=0), np.inf)))
        if farthest[best] > limit_m:
            nearest = float(farthest.min())
            cuts.append(
                _cut(run, f"out of range: {nearest:.0f} m from the nearest launch site, "
                     f"{limit_m:.0f} m allowed")
            )  # fmt: skip
            continue
        groups.setdefault((best, run.district), _Group(launches[best])).runs.append(run)
    return [groups[key] for key in sorted(groups)], cuts


def _cut(run: Run, reason: str) -> Cut:
    return Cut(
        run.boundary, run.part, run.mode, float(run.chainage_m[0]), float(run.chainage_m[-1]),
        reason,
    )  # fmt: skip


def _one_sortie(
    left: list[Run], launch: Launch, router: Router, energy: EnergyModel
) -> tuple[PlannedSortie | None, list[Run], list[Cut]]:
    """One sortie from the runs left; returns it, what is left then, and what cannot be flown."""
    ground = np.array([*launch.xy, launch.ground_m])
    segments: list[Segment] = []
    best: PlannedSortie | None = None
    here = ground
    failed: list[Cut] = []
    while left:
        order = _nearest_first(left, here)
        added = False
        for k, reverse in order[:3]:
            candidate = _with_run(segments, here, left[k], reverse, router)
            if candidate is None:
                continue
            sortie = _closed(candidate, launch, ground, router, energy)
            if sortie is None or not _affordable(sortie, router.airspace):
                continue
            segments, best = candidate, sortie
            here = candidate[-1].xyz[-1]
            left = left[:k] + left[k + 1 :]
            added = True
            break
        if added:
            continue
        if best is not None:
            break
        # Nothing can be flown from the ground as it is: halve the nearest run, or give it up.
        k, reverse = order[0]
        run, rest = left[k], left[:k] + left[k + 1 :]
        reason = _why_not(run, reverse, launch, ground, router, energy)
        if run.length_m > 2 * _SHORTEST_HALF_M:
            left = [*rest, *run.halves()]
        else:
            failed.append(_cut(run, reason))
            left = rest
    return best, left, failed


def _nearest_first(runs: list[Run], here: FloatArray) -> list[tuple[int, bool]]:
    """Runs by the distance to their nearer end; True where they are flown backwards."""
    starts = np.array([run.xyz[0, :2] for run in runs]) - here[:2]
    ends = np.array([run.xyz[-1, :2] for run in runs]) - here[:2]
    to_start, to_end = np.hypot(*starts.T), np.hypot(*ends.T)
    order = np.argsort(np.minimum(to_start, to_end), kind="stable")
    return [(int(k), bool(to_end[k] < to_start[k])) for k in order]


def _with_run(
    segments: list[Segment], here: FloatArray, run: Run, reverse: bool, router: Router
) -> list[Segment] | None:
    """The flight so far with the way to a run and the run; None if there is no such way."""
    points = run.xyz[::-1] if reverse else run.xyz
    lane = Segment("lane", points, run.speed_m_s, run, reverse)
    if segments and np.allclose(here, points[0], atol=0.01):
        return [*segments, lane]
    way = router.way(here, points[0])
    if way is None:
        return None
    speed = router.airspace.survey.aircraft.cruise_speed_m_s
    if not segments:
        up, way = way[:2], way[1:]
        takeoff = Segment("takeoff", up, speed)
        return [takeoff, *([Segment("transit", way, speed)] if len(way) > 1 else []), lane]
    return [*segments, Segment("transit", way, speed), lane]


def _closed(
    segments: list[Segment],
    launch: Launch,
    ground: FloatArray,
    router: Router,
    energy: EnergyModel,
) -> PlannedSortie | None:
    """The flight with its way back and landing; None if there is none."""
    way = router.way(segments[-1].xyz[-1], ground)
    if way is None:
        return None
    speed = router.airspace.survey.aircraft.cruise_speed_m_s
    flight = [
        *segments,
        Segment("transit", way[:-1], speed),
        Segment("landing", way[-2:], speed),
    ]
    cost = cost_of(flight, energy)
    home = plan_return(cost, launch, router.airspace, energy)
    if home is None:
        return None
    return PlannedSortie(launch, tuple(flight), cost, home, energy)


def _affordable(sortie: PlannedSortie, airspace: Airspace) -> bool:
    worst = max(float(sortie.cost.energy_wh.max()), sortie.home.worst_wh)
    if worst > sortie.energy.budget_wh:
        return False
    return item_count(sortie.segments, airspace.survey) <= airspace.survey.aircraft.max_items - 1


def _why_not(
    run: Run,
    reverse: bool,
    launch: Launch,
    ground: FloatArray,
    router: Router,
    energy: EnergyModel,
) -> str:
    flight = _with_run([], ground, run, reverse, router)
    if flight is None:
        return (
            f"no clear way from launch site {launch.name} around keep-outs and over known ground "
            "(elevations must reach some 50 m past a lane)"
        )
    sortie = _closed(flight, launch, ground, router, energy)
    if sortie is None:
        return f"no clear way back to launch site {launch.name}"
    worst = max(float(sortie.cost.energy_wh.max()), sortie.home.worst_wh)
    if worst > energy.budget_wh:
        return f"battery: {worst:.0f} Wh needed, {energy.budget_wh:.0f} Wh usable"
    survey = router.airspace.survey
    return (
        f"item limit: {item_count(sortie.segments, survey)} mission items, the autopilot holds "
        f"{survey.aircraft.max_items}"
    )
