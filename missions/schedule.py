"""Which team flies which sortie, on which day and at what hour.

Solved with OR-Tools CP-SAT. Every sortie is flown in the period; the objective is the sum of
minutes weighted by their day (what weather takes is then made up at the end of the period) plus the
busiest team's minutes times the number of teams (balanced hours). A team's day holds at most its
hours and at most the minutes with the sun in its window, with a turnaround for each sortie and a
move for each further launch site. Days held back for weather are not planned on. A team that names
districts flies only those.

Within its day a team starts when the sun is high enough and leaves out the hours when it is too
high; no sortie runs on past the end of a window.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone

from astral import Observer
from astral.sun import elevation
from ortools.sat.python import cp_model

from corridor import InputError
from missions.survey import Survey, Team

_SOLVE_UNITS = 0.01
"""CP-SAT's deterministic time for each batch of sorties (about 20 ms of a processor): the same
answer on a fast and a slow machine. Four times as long found nothing better for 58 sorties."""

_LOOK_EVERY_MIN = 10


@dataclass(frozen=True)
class Flight:
    """A sortie to be placed."""

    sortie_id: str
    launch: str
    duration_s: float
    district: str = ""


@dataclass(frozen=True)
class Slot:
    """A sortie's place in the schedule; times are of the survey's clock (`utc_offset_h`).

    Attributes:
        start, end: take-off and landing.
    """

    sortie_id: str
    team: str
    start: datetime
    end: datetime
    launch: str
    district: str

    @property
    def day(self) -> date:
        """When it is flown."""
        return self.start.date()


@functools.lru_cache(maxsize=400)
def sun_windows_min(
    lon_deg: float, lat_deg: float, day: date, low_deg: float, high_deg: float, utc_offset_h: float
) -> tuple[tuple[int, int], ...]:
    """Minutes of a day, from and to, with the sun between two elevations (astral's position)."""
    observer = Observer(lat_deg, lon_deg)
    local = timezone(timedelta(hours=utc_offset_h))
    midnight = datetime(day.year, day.month, day.day, tzinfo=local)
    windows: list[tuple[int, int]] = []
    for k in range(0, 1440, _LOOK_EVERY_MIN):
        middle = midnight + timedelta(minutes=k + _LOOK_EVERY_MIN / 2)
        if low_deg <= elevation(observer, middle) <= high_deg:
            if windows and windows[-1][1] == k:
                windows[-1] = (windows[-1][0], k + _LOOK_EVERY_MIN)
            else:
                windows.append((k, k + _LOOK_EVERY_MIN))
    return tuple(windows)


def make_schedule(
    survey: Survey, flights: Sequence[Flight], lonlat: tuple[float, float], source: str
) -> list[Slot]:
    """Assigns sorties to teams, days and hours.

    Args:
        lonlat: where the sun is looked up.

    Raises:
        InputError: if there is no team, or the period is too short; says what would do.
    """
    plan = survey.schedule
    if plan.start is None or not flights:
        return []
    source = f"{source}, schedule"
    if not survey.team:
        raise InputError(
            source, "a start is given, but no team",
            'add [[team]] name = "…", or leave schedule.start out',
        )  # fmt: skip
    minutes = [math.ceil(flight.duration_s / 60.0 + plan.turnaround_min) for flight in flights]
    usable = max(1, math.floor(plan.days * (1 - plan.weather_reserve_frac)))
    dates = [plan.start + timedelta(days=k) for k in range(usable)]
    windows = [
        sun_windows_min(*lonlat, day, plan.sun_min_deg, plan.sun_max_deg, plan.utc_offset_h)
        for day in dates
    ]
    move = math.ceil(plan.move_min)
    longest = max(minutes)
    # At the end of each window but the last, up to a sortie's time may be left over.
    sun = [sum(b - a for a, b in day) - longest * max(0, len(day) - 1) for day in windows]
    hours = [int(team.flight_hours_per_day * 60.0) for team in survey.team]
    least = min(min(hours), min(sun))
    if longest + move > least:
        raise InputError(
            source,
            f"a sortie with turnaround and move takes {longest + move} min, a day holds "
            f"{least} min (sun in its window: {min(sun)} min)",
            "raise team.flight_hours_per_day or widen schedule.sun_min_deg and sun_max_deg",
        )
    batches = _batches(flights, minutes, least - move)
    work = [sum(minutes[k] for k in batch) + move for batch in batches]
    teams = [_allowed(flights[batch[0]], survey.team, source) for batch in batches]
    room = [[min(limit, light) for light in sun] for limit in hours]
    found = _assigned(work, teams, room)
    if found is None:
        total, per_day = sum(work), sum(min(row) for row in room)
        raise InputError(
            source,
            f"{total} min of work do not fit {usable} days of {per_day} min "
            f"({plan.weather_reserve_frac:.0%} of {plan.days} days held back for weather)",
            f"about {math.ceil(1.15 * total / per_day / (1 - plan.weather_reserve_frac))} days "
            "would do, or more teams",
        )
    slots: list[Slot] = []
    by_day: dict[tuple[int, int], list[int]] = {}
    for number, key in enumerate(found):
        by_day.setdefault(key, []).append(number)
    for (team, day), chosen in by_day.items():
        slots += _hours(
            [(batches[number], move) for number in chosen],
            flights, minutes, survey.team[team].name, dates[day], windows[day],
        )  # fmt: skip
    return sorted(slots, key=lambda slot: (slot.day, slot.team, slot.start))


def _allowed(flight: Flight, teams: Sequence[Team], source: str) -> list[int]:
    """Numbers of the teams that may fly a sortie."""
    found = [k for k, team in enumerate(teams)
             if not team.districts or flight.district in team.districts]  # fmt: skip
    if not found:
        where = f"district {flight.district}" if flight.district else "no district"
        raise InputError(
            source, f"sortie {flight.sortie_id} lies in {where}, which no team flies",
            "add it to a team's districts, or a team without districts (it flies any)",
        )  # fmt: skip
    return found


def _hours(
    work: Sequence[tuple[list[int], int]],
    flights: Sequence[Flight],
    minutes: Sequence[int],
    team: str,
    day: date,
    windows: Sequence[tuple[int, int]],
) -> list[Slot]:
    """One team's day: moves and set-up first, then the flight, all inside the sun's windows."""
    midnight = datetime(day.year, day.month, day.day)
    slots: list[Slot] = []
    window, now = 0, float(windows[0][0])
    for batch, move in work:
        before = float(move)
        for k in batch:
            flown_min = flights[k].duration_s / 60.0
            begins = now + before + minutes[k] - flown_min
            while begins + flown_min > windows[window][1] and window + 1 < len(windows):
                window += 1
                # Moved and set up while the sun was too high.
                begins = max(begins, float(windows[window][0]))
            now, before = begins + flown_min, 0.0
            slots.append(
                Slot(
                    flights[k].sortie_id, team, midnight + timedelta(minutes=round(begins)),
                    midnight + timedelta(minutes=round(now)), flights[k].launch,
                    flights[k].district,
                )
            )  # fmt: skip
    return slots


def _batches(flights: Sequence[Flight], minutes: Sequence[int], most: int) -> list[list[int]]:
    """Sorties of one launch site and district that one team flies without moving."""
    batches: list[list[int]] = []
    for k, flight in enumerate(flights):
        last = batches[-1] if batches else []
        fits = sum(minutes[i] for i in last) + minutes[k] <= most
        if last and fits and (flights[last[-1]].launch, flights[last[-1]].district) == (
            flight.launch, flight.district
        ):  # fmt: skip
            last.append(k)
        else:
            batches.append([k])
    return batches


def _assigned(
    work: Sequence[int], teams: Sequence[Sequence[int]], room: Sequence[Sequence[int]]
) -> list[tuple[int, int]] | None:
    """Team and day for each batch of work in minutes; None if they do not fit.

    Args:
        teams: numbers of the teams that may do each batch.
        room: minutes by team and day.
    """
    days = len(room[0])
    model = cp_model.CpModel()
    chosen = {
        (b, t, d): model.new_bool_var(f"b{b}t{t}d{d}")
        for b in range(len(work))
        for t in teams[b]
        for d in range(days)
    }
    for b in range(len(work)):
        model.add_exactly_one(chosen[b, t, d] for t in teams[b] for d in range(days))
    most = model.new_int_var(0, sum(work), "most")
    for t, by_day in enumerate(room):
        mine = [b for b in range(len(work)) if t in teams[b]]
        for d, minutes in enumerate(by_day):
            model.add(sum(work[b] * chosen[b, t, d] for b in mine) <= minutes)
        model.add(sum(work[b] * chosen[b, t, d] for b in mine for d in range(days)) <= most)
    early = sum(d * work[b] * variable for (b, _, d), variable in chosen.items())
    model.minimize(early + len(room) * most)
    first = _first_fit(work, teams, room)
    for key, variable in chosen.items():
        model.add_hint(variable, int(first.get(key[0]) == key[1:]))
    solver = cp_model.CpSolver()
    solver.parameters.max_deterministic_time = _SOLVE_UNITS * (10 + len(work))
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = 1
    if solver.solve(model) not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return [first[b] for b in range(len(work))] if len(first) == len(work) else None
    found = {b: (t, d) for (b, t, d), variable in chosen.items() if solver.boolean_value(variable)}
    return [found[b] for b in range(len(work))]


def _first_fit(
    work: Sequence[int], teams: Sequence[Sequence[int]], room: Sequence[Sequence[int]]
) -> Mapping[int, tuple[int, int]]:
    """A start for the solver: the longest work first, each on the first day with room."""
    left = [list(by_day) for by_day in room]
    found: dict[int, tuple[int, int]] = {}
    for b in sorted(range(len(work)), key=lambda b: -work[b]):
        for d in range(len(room[0])):
            free = [t for t in teams[b] if left[t][d] >= work[b]]
            if free:
                t = max(free, key=lambda t: left[t][d])
                left[t][d] -= work[b]
                found[b] = (t, d)
                break
    return found
