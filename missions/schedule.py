"""Which team flies which sortie on which day.

Solved with OR-Tools CP-SAT. The objective, in this order of weight: every sortie is flown in the
period; the days used are as early as possible (what weather takes is then made up at the end); the
teams' total hours are balanced. A team's day holds at most its flight hours and at most the hours
of usable sun at the route, with a turnaround for each sortie and a move for each further launch
site. Days held back for weather are not planned on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone

from astral import Observer
from astral.sun import elevation
from ortools.sat.python import cp_model

from corridor import InputError
from missions.survey import Survey

_SOLVE_S = 8.0
_LOOK_EVERY_MIN = 10


@dataclass(frozen=True)
class Slot:
    """A sortie's place in the schedule; `day` counts from the start."""

    sortie_id: str
    team: str
    day: date
    launch: str
    minutes: float


def sun_minutes(survey: Survey, lon_deg: float, lat_deg: float, day: date) -> float:
    """Minutes of a day with the sun in the window asked for (astral's sun position)."""
    observer = Observer(lat_deg, lon_deg)
    local = timezone(timedelta(hours=round(lon_deg / 15.0)))
    start = datetime(day.year, day.month, day.day, tzinfo=local)
    low, high = survey.schedule.sun_min_deg, survey.schedule.sun_max_deg
    times = (start + timedelta(minutes=k) for k in range(0, 1440, _LOOK_EVERY_MIN))
    return _LOOK_EVERY_MIN * sum(low <= elevation(observer, when) <= high for when in times)


def make_schedule(
    survey: Survey,
    sorties: Sequence[tuple[str, str, float]],
    lonlat: tuple[float, float],
    source: str,
) -> list[Slot]:
    """Assigns sorties to teams and days.

    Args:
        sorties: id, launch site, flight time in seconds.
        lonlat: where the sun is looked up.

    Raises:
        InputError: if there is no team, or the period is too short; says what would do.
    """
    plan = survey.schedule
    if plan.start is None or not sorties:
        return []
    if not survey.team:
        raise InputError(
            f"{source}, schedule", "a start is given, but no team",
            'add [[team]] name = "…", or leave schedule.start out',
        )  # fmt: skip
    usable = max(1, math.floor(plan.days * (1 - plan.weather_reserve_frac)))
    dates = [plan.start + timedelta(days=k) for k in range(usable)]
    sun = min(sun_minutes(survey, *lonlat, day) for day in (dates[0], dates[-1]))
    room = {team.name: int(min(team.flight_hours_per_day * 60.0, sun)) for team in survey.team}
    minutes = [math.ceil(seconds / 60.0 + plan.turnaround_min) for _, _, seconds in sorties]
    move = math.ceil(plan.move_min)
    longest = max(minutes) + move
    if longest > min(room.values()):
        raise InputError(
            f"{source}, schedule",
            f"a sortie with turnaround and move takes {longest} min, a day holds "
            f"{min(room.values())} min (sun in its window: {sun:.0f} min)",
            "raise team.flight_hours_per_day or widen schedule.sun_min_deg and sun_max_deg",
        )
    batches = _batches(sorties, minutes, min(room.values()) - move)
    work = [sum(minutes[k] for k in batch) + move for batch in batches]
    days_of = _assigned(work, list(room.values()), usable)
    if days_of is None:
        total = sum(minutes) + move * len(batches)
        per_day = sum(room.values())
        raise InputError(
            f"{source}, schedule",
            f"{total} min of work do not fit {usable} days of {per_day} min "
            f"({plan.weather_reserve_frac:.0%} of {plan.days} days held back for weather)",
            f"about {math.ceil(1.15 * total / per_day / (1 - plan.weather_reserve_frac))} days "
            "would do, or more teams",
        )
    slots = []
    for batch, (team, day) in zip(batches, days_of, strict=True):
        for k in batch:
            sortie_id, launch, seconds = sorties[k]
            slots.append(
                Slot(sortie_id, survey.team[team].name, dates[day], launch, seconds / 60.0)
            )
    return sorted(slots, key=lambda slot: (slot.day, slot.team, slot.sortie_id))


def _batches(
    sorties: Sequence[tuple[str, str, float]], minutes: Sequence[int], most: int
) -> list[list[int]]:
    """Sorties of one launch site that one team flies without moving."""
    batches: list[list[int]] = []
    for k, (_, launch, _) in enumerate(sorties):
        last = batches[-1] if batches else []
        fits = sum(minutes[i] for i in last) + minutes[k] <= most
        if last and sorties[last[-1]][1] == launch and fits:
            last.append(k)
        else:
            batches.append([k])
    return batches


def _assigned(work: Sequence[int], room: Sequence[int], days: int) -> list[tuple[int, int]] | None:
    """Team and day for each batch of work in minutes; None if they do not fit."""
    model = cp_model.CpModel()
    chosen = {
        (b, t, d): model.new_bool_var(f"b{b}t{t}d{d}")
        for b in range(len(work))
        for t in range(len(room))
        for d in range(days)
    }
    for b in range(len(work)):
        model.add_exactly_one(chosen[b, t, d] for t in range(len(room)) for d in range(days))
    for t, minutes in enumerate(room):
        for d in range(days):
            model.add(sum(work[b] * chosen[b, t, d] for b in range(len(work))) <= minutes)
    most = model.new_int_var(0, sum(work), "most")
    for t in range(len(room)):
        model.add(
            sum(work[b] * chosen[b, t, d] for b in range(len(work)) for d in range(days)) <= most
        )
    early = sum(d * work[b] * variable for (b, _, d), variable in chosen.items())
    model.minimize(early + len(room) * most)
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = _SOLVE_S
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = 1
    if solver.solve(model) not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return None
    found = {b: (t, d) for (b, t, d), variable in chosen.items() if solver.boolean_value(variable)}
    return [found[b] for b in range(len(work))]
