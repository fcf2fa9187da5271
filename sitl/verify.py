"""Was the sortie flown as planned? Checks of a recorded flight against plan and scenario."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from corridor import InputError, LocalFrame
from corridor.values import FloatArray
from missions.dem import Dem
from missions.mission import Frame, Mission
from sitl.expected import expected_photos, planned_path
from sitl.flight import FlightResult
from sitl.scenario import Scenario

WAYPOINT_MISS_M = 8.0
"""How far the track may pass a waypoint: corners are rounded by up to the waypoint radius (2 m) at
their middle, and a strong wind pushes outward for a moment."""
TRACK_OFF_M = 8.0
HEIGHT_OFF_M = 3.0
BACK_AT = "Back at waypoint "
"""Text of a joined recording: the flight after a battery change is where the first was left."""
_REACHED = re.compile(r"Reached command #(\d+)")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: short.
        passed: True, False, or None where it could not be judged.
        text: the numbers, for a person.
    """

    name: str
    passed: bool | None
    text: str


@dataclass(frozen=True)
class Verification:
    """All checks of one flight, and what the report draws.

    Attributes:
        checks: in the order of the report.
        frame: metric frame of the arrays.
        track_xy: (N, 2) east, north of the track; `track_up_m` its heights above home.
        plan_xy, plan_up_m: the planned path, (M, 2) and (M,).
        along_m: (N,) place of each row along the planned path while on mission, else NaN.
        ground_up_m: (N,) surface under the track above home, NaN where unknown.
    """

    checks: tuple[Check, ...]
    frame: LocalFrame
    track_xy: FloatArray
    track_up_m: FloatArray
    plan_xy: FloatArray
    plan_up_m: FloatArray
    along_m: FloatArray
    ground_up_m: FloatArray
    numbers: dict[str, float | None]

    @property
    def passed(self) -> bool:
        """No check failed."""
        return all(check.passed is not False for check in self.checks)


def verify_flight(
    result: FlightResult,
    scenario: Scenario,
    dsm: Path | None = None,
    clearance_m: float | None = None,
) -> Verification:
    """Checks a flight.

    Args:
        result: what was flown.
        scenario: what should have happened.
        dsm: surface model for the clearance; None leaves that check open.
        clearance_m: least clearance above it that the plan promises.
    """
    mission = result.sortie.mission
    frame = LocalFrame(round(mission.home.lon_deg, 6), round(mission.home.lat_deg, 6))
    lonlat = result.recording.columns("lon_deg", "lat_deg")
    track = frame.to_xy(lonlat) if len(lonlat) else np.zeros((0, 2))
    up = result.recording.columns("alt_rel_m")[:, 0]
    numbers, places, plan_up = planned_path(mission)
    plan = frame.to_xy([(p.lon_deg, p.lat_deg) for p in places]) if places else np.zeros((0, 2))
    reached = _reached(result)
    on_mission = _on_mission(result, numbers)
    ground = _ground(dsm, frame, track, mission.home_altitude_m)
    home = frame.to_xy([(mission.home.lon_deg, mission.home.lat_deg)])
    home_m = float(_ground(dsm, frame, home, mission.home_altitude_m)[0])
    flown_up = _comparable(mission, numbers, up, ground, home_m)
    along, off, up_off = _against_plan(track, flown_up, on_mission, plan, plan_up)
    figures: dict[str, float | None] = {
        "flight_time_s": _finite(result.flight_time_s),
        "horizontal_rms_m": _rms(off),
        "horizontal_max_m": _max(np.abs(off)),
        "vertical_rms_m": _rms(up_off),
        "vertical_max_m": _max(np.abs(up_off)),
        "used_mah": _finite(result.recording.used_mah),
    }
    checks = [
        _ended(result),
        _modes(result, scenario),
        _texts(result, scenario),
        _items(numbers, reached, scenario, plan, track[on_mission]),
        _limits(scenario, figures, len(plan)),
        _photos(result, scenario, figures),
        _fence(result, scenario, frame, track, up),
        _clearance(up - ground, on_mission, clearance_m, dsm, figures),
        _energy(result, scenario),
        _landed(result, scenario, frame, track),
    ]
    return Verification(
        tuple(check for check in checks if check is not None),
        frame,
        track,
        up,
        plan,
        plan_up,
        along,
        ground,
        figures,
    )


def _comparable(
    mission: Mission, numbers: Sequence[int], up: FloatArray, ground: FloatArray, home_m: float
) -> FloatArray:
    """Heights (N,) of the track as the plan counts them.

    Where all waypoints are above terrain, the track's are too, by the surface model (less its
    height at home); of a mission with both kinds, or without a model, they are unknown.
    """
    kinds = {mission.all_items[number].frame in (Frame.ABOVE_TERRAIN, 11) for number in numbers}
    if True not in kinds:
        return up
    return up - (ground - home_m) if kinds == {True} else np.full(len(up), np.nan)


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _rms(values: FloatArray) -> float | None:
    good = values[np.isfinite(values)]
    return float(np.sqrt(np.mean(good**2))) if len(good) else None


def _max(values: FloatArray) -> float | None:
    good = values[np.isfinite(values)]
    return float(good.max()) if len(good) else None


def _reached(result: FlightResult) -> list[int]:
    found = []
    for _, text in result.recording.texts:
        match = _REACHED.search(text)
        if match:
            found.append(int(match.group(1)))
    return found


def _on_mission(result: FlightResult, numbers: Sequence[int]) -> Any:
    """Rows of the track between the first and the last waypoint, in AUTO."""
    modes = [row[9] for row in result.recording.track]
    times = result.recording.columns("time_boot_ms")[:, 0]
    first = last = None
    for time_ms, text in result.recording.texts:
        match = _REACHED.search(text)
        if match and int(match.group(1)) in numbers:
            first = time_ms if first is None else first
            last = time_ms
    auto = np.array([mode == "AUTO" for mode in modes], dtype=bool)
    if first is None or last is None:
        return np.zeros(len(auto), dtype=bool)
    complete = numbers and result.recording.time_of("TEXT", f"Reached command #{numbers[-1]}")
    end = last if complete else np.inf
    keep = auto & (times >= first) & (times <= end)
    for time_ms, text in result.recording.texts:
        if text.startswith(BACK_AT):
            stops = [e.time_boot_ms for e in result.recording.events if e.kind == "DISARMED"]
            before = [stop for stop in stops if stop < time_ms]
            if before:
                keep &= ~((times > before[-1] - 1) & (times < time_ms))
    return keep


def _against_plan(
    track: FloatArray, up: FloatArray, on_mission: Any, plan: FloatArray, plan_up: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Place along the plan, horizontal and vertical distance from it, (N,) each.

    The place may only grow along the plan, so that no lane is taken for the one beside it.
    """
    nothing = np.full(len(track), np.nan)
    if len(plan) < 2:
        return nothing, nothing.copy(), nothing.copy()
    steps = np.hypot(*np.diff(plan, axis=0).T)
    stations = np.concatenate([[0.0], np.cumsum(steps)])
    along, off, vertical = nothing.copy(), nothing.copy(), nothing.copy()
    segment = 0
    for row in np.flatnonzero(on_mission):
        best = None
        for k in range(segment, min(segment + 4, len(plan) - 1)):
            a, b = plan[k], plan[k + 1]
            length = steps[k]
            share = 0.0
            if length > 0:
                share = float(np.clip(np.dot(track[row] - a, b - a) / length**2, 0.0, 1.0))
            planned_up = plan_up[k] + share * (plan_up[k + 1] - plan_up[k])
            away = float(np.hypot(*(track[row] - a - share * (b - a))))
            if length < 0.5:  # straight up or down
                low, high = sorted((plan_up[k], plan_up[k + 1]))
                planned_up = float(np.clip(up[row], low, high))
            high = up[row] - planned_up
            score = math.hypot(away, high if math.isfinite(high) else 0.0)
            if best is None or score < best[0] - 0.02:
                best = (score, k, stations[k] + share * length, away, up[row] - planned_up)
        if best is not None:
            _, segment, along[row], off[row], vertical[row] = best
    return along, off, vertical


def _ground(dsm: Path | None, frame: LocalFrame, track: FloatArray, home_m: float) -> FloatArray:
    if dsm is None or not len(track):
        return np.full(len(track), np.nan)
    dem = Dem(dsm, frame)
    return np.asarray(dem.ground_m(track), dtype=np.float64) - home_m


def _ended(result: FlightResult) -> Check:
    text = f"{result.flight_time_s:.1f} s from AUTO to the motors' stop"
    return Check("ended", not result.problem, result.problem or text)


def _modes(result: FlightResult, scenario: Scenario) -> Check:
    modes = [(t, name) for t, name in result.recording.modes if t >= result.auto_ms - 2500]
    while modes and modes[0][1] != "AUTO":
        modes.pop(0)
    names = [name for _, name in modes]
    expected = scenario.expect.modes
    passed = names == expected
    text = " → ".join(names) or "none"
    if not passed:
        text += f"; expected {' → '.join(expected)}"
    elif scenario.expect.mode_by_s is not None and len(modes) > 1:
        injected = result.recording.time_of("INJECT")
        if injected is not None:
            after_s = (modes[1][0] - injected) / 1000.0
            passed = after_s <= scenario.expect.mode_by_s
            text += f", {after_s:.1f} s after the fault (at most {scenario.expect.mode_by_s:g} s)"
    return Check("modes", passed, text)


def _texts(result: FlightResult, scenario: Scenario) -> Check | None:
    if not scenario.expect.texts:
        return None
    said = [text for _, text in result.recording.texts]
    missing = [
        wanted for wanted in scenario.expect.texts if not any(wanted in text for text in said)
    ]
    text = "said: " + "; ".join(scenario.expect.texts)
    if missing:
        text = "not said: " + "; ".join(missing)
    return Check("texts", not missing, text)


def _items(
    numbers: Sequence[int],
    reached: Sequence[int],
    scenario: Scenario,
    plan: FloatArray,
    track: FloatArray,
) -> Check:
    wanted = [number for number in reached if number in numbers]
    in_order = wanted == [number for number in numbers if number in set(wanted)]
    complete = len(wanted) == len(numbers)
    misses = []
    for number in wanted:
        where = plan[numbers.index(number)]
        away = np.hypot(*(track - where).T).min() if len(track) else np.inf
        if away > WAYPOINT_MISS_M:
            misses.append(f"#{number} by {away:.1f} m")
    passed = in_order and not misses
    passed = passed and complete == scenario.expect.mission_complete
    text = f"{len(wanted)} of {len(numbers)} waypoints reached"
    text += ", in order" if in_order else ", NOT in order"
    if misses:
        text += "; passed too far off: " + ", ".join(misses)
    return Check("items", passed, text)


def _limits(scenario: Scenario, figures: dict[str, float | None], waypoints: int) -> Check | None:
    flat, high = figures["horizontal_max_m"], figures["vertical_max_m"]
    if flat is None or waypoints < 2:
        return Check("path", None, "too little of the mission was flown to judge")
    text = (
        f"off the plan horizontally {figures['horizontal_rms_m']:.2f} m RMS, {flat:.2f} m at most;"
    )
    if high is None:
        text += " heights above terrain cannot be judged without a surface model (--dsm)"
    else:
        text += f" vertically {figures['vertical_rms_m']:.2f} m RMS, {high:.2f} m at most"
    if not scenario.expect.track_limits:
        return Check("path", None, text)
    return Check("path", flat <= TRACK_OFF_M and (high is None or high <= HEIGHT_OFF_M), text)


def _photos(result: FlightResult, scenario: Scenario, figures: dict[str, float | None]) -> Check:
    fewest, most = expected_photos(result.sortie.mission)
    taken = len(result.recording.photos)
    figures["photos"] = float(taken)
    figures["photos_expected"] = float(fewest)
    indices = [int(row[0]) for row in result.recording.photos]
    gaps = sum(after != before + 1 for before, after in pairwise(indices))
    text = f"{taken} photos, the plan calls for {fewest} to {most if most < 10_000 else '…'}"
    if gaps:
        text += f"; {gaps} gaps in their numbers"
    if scenario.expect.photos == "all":
        return Check("photos", fewest <= taken <= most and gaps == 0, text)
    if scenario.expect.photos == "some":
        return Check("photos", 0 < taken < fewest, text)
    return Check("photos", None, text)


def _fence(
    result: FlightResult,
    scenario: Scenario,
    frame: LocalFrame,
    track: FloatArray,
    up: FloatArray,
) -> Check:
    polygons = result.sortie.geofence.polygons
    margin = None
    air = up > 1.0
    if polygons and air.any():
        points = shapely.points(track[air])
        margins = []
        for polygon in polygons:
            shape = shapely.Polygon(frame.to_xy(polygon.lonlat))
            inside = shapely.contains(shape, points) == polygon.inclusion
            distance = shapely.distance(shape.exterior, points)
            margins.append(np.where(inside, distance, -distance))
        margin = float(np.min(margins))
    said = any("fence breached" in text.lower() for _, text in result.recording.texts)
    broken = said or (margin is not None and margin < 0)
    where = "no fence polygon" if margin is None else f"least distance inside {margin:.1f} m"
    text = f"{'broken' if broken else 'never broken'}; {where}"
    return Check("fence", broken == scenario.expect.fence_broken, text)


def _clearance(
    above: FloatArray,
    on_mission: Any,
    least_m: float | None,
    dsm: Path | None,
    figures: dict[str, float | None],
) -> Check:
    if dsm is None:
        return Check("clearance", None, "no surface model given (--dsm)")
    values = above[on_mission]
    values = values[np.isfinite(values)]
    if not len(values):
        return Check("clearance", None, "the track lies off the surface model")
    figures["clearance_min_m"] = float(values.min())
    text = f"at least {values.min():.1f} m, on average {values.mean():.1f} m above the surface"
    if least_m is None:
        return Check("clearance", None, text)
    return Check("clearance", float(values.min()) >= least_m, f"{text}; {least_m:g} m promised")


def _energy(result: FlightResult, scenario: Scenario) -> Check | None:
    details = result.sortie.details
    planned_s, planned_wh = details.get("duration_s"), details.get("energy_wh")
    budget_wh = details.get("energy_budget_wh")
    if not (
        isinstance(planned_s, int | float)
        and isinstance(planned_wh, int | float)
        and isinstance(budget_wh, int | float)
        and planned_s > 0
    ):
        return None
    # The simulated airframe is not the planned one: its time in the air is what carries over.
    needed_wh = planned_wh * result.flight_time_s / planned_s
    text = (
        f"{result.flight_time_s:.0f} s in the air, {planned_s:.0f} s planned; at the planned"
        f" aircraft's power {needed_wh:.1f} Wh of {budget_wh:.1f} Wh"
    )
    if scenario.resume_after_landing:
        return Check("energy", None, text)
    return Check("energy", needed_wh <= budget_wh, text)


def _landed(
    result: FlightResult, scenario: Scenario, frame: LocalFrame, track: FloatArray
) -> Check | None:
    if not len(track):
        return Check("landing", False, "no track")
    home = frame.to_xy([(result.sortie.mission.home.lon_deg, result.sortie.mission.home.lat_deg)])
    places = {"home": home[0]}
    end = track[-1]
    rally = [
        frame.to_xy([(point.position.lon_deg, point.position.lat_deg)])[0]
        for point in result.sortie.rally
    ]
    if rally:
        places["rally"] = min(rally, key=lambda place: float(np.hypot(*(end - place))))
    aways = {name: float(np.hypot(*(end - place))) for name, place in places.items()}
    text = ", ".join(f"{away:.1f} m from {name}" for name, away in aways.items())
    if scenario.expect.ends_near == "any":
        return Check("landing", None, text)
    away = aways.get(scenario.expect.ends_near, math.inf)
    if scenario.expect.ends_near == "home":
        # A return goes to whichever is nearer, home or a rally point.
        away = min(aways.values())
    return Check("landing", away <= 3.0, text)


def plan_dsm(document: Any, folder: Path) -> Path | None:
    """The surface model a plan was made with, if it is still there.

    Raises:
        InputError: if the plan names none.
    """
    for entry in document.get("inputs", ()):
        if isinstance(entry, dict) and entry.get("role") == "dem":
            for path in (Path(str(entry["path"])), folder / Path(str(entry["path"])).name):
                if path.is_file():
                    return path
            return None
    raise InputError(folder / "plan.json", "names no elevations among its inputs")
