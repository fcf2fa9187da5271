"""Rules about one sortie's flight: order of commands, clearance, limits, obstacles."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import shapely

from corridor.values import FloatArray
from missions.check.context import SortieContext
from missions.check.findings import CheckFinding, Level
from missions.formats import read_qgc_plan
from missions.mission import Command

_HOME_COLUMN_M = 1.5
"""Take-off and landing stand this near to home; everything else is flight."""

_ROUNDING_M = 0.02
"""What formats and vehicle round away."""


def structure(context: SortieContext) -> Iterator[CheckFinding]:
    """Both files hold the same mission, in an order that ArduPilot flies."""
    sortie = context.sortie
    mission = sortie.mission
    name = sortie.sortie_id

    def blocking(code: str, message: str, **numbers: float) -> CheckFinding:
        return CheckFinding(Level.BLOCKING, code, message, name, numbers=numbers)

    other = read_qgc_plan(context.plan.files.folder / f"{name}.plan").mission
    if other.items != mission.items or other.home != mission.home:
        different = [
            k for k, (a, b) in enumerate(zip(mission.items, other.items, strict=False), 1) if a != b
        ]
        where = f"item {different[0]}" if different else f"{len(other.items)} items"
        yield blocking("files-differ", f"{name}.waypoints and {name}.plan differ ({where})")
    navigation = [item for item in mission.items if item.is_navigation]
    if not navigation or navigation[0].command != Command.TAKEOFF:
        yield blocking("no-takeoff", "the first navigation item must be a take-off")
    if not navigation or navigation[-1].command not in (Command.RETURN_TO_LAUNCH, Command.LAND):
        yield blocking("no-return", "the mission ends without return or landing")
    limit = context.plan.survey.aircraft.max_items
    count = len(mission.all_items)
    if count > limit:
        yield blocking("items", f"{count} items, the autopilot holds {limit}", items=count)
    flight = context.flight
    if flight.trigger_at_end_m > 0:
        yield blocking("camera-on", "the camera is still on when the return starts")
    if not any(leg.trigger_m > 0 for leg in flight.legs):
        yield CheckFinding(Level.WARNING, "no-pictures", "the sortie takes no picture", name)
    frames = {item.frame for item in mission.items if item.position is not None}
    if not frames <= {0, 3}:
        yield blocking("frame", f"altitude frames {sorted(frames)}; only 0 and 3 are planned")
    if any(leg.trigger_m > 0 and leg.speed_m_s is None for leg in flight.legs):
        yield blocking("no-speed", "a lane is flown before any speed is set")
    wrong = [
        item for item in mission.items
        if item.position is not None and abs(item.position.lon_deg - mission.home.lon_deg) > 1.0
    ]  # fmt: skip
    if wrong:
        yield blocking("far-away", "an item is more than a degree from home")


def clearance(context: SortieContext) -> Iterator[CheckFinding]:
    """Every metre of the flight clears the ground by clearance plus error budget."""
    safety = context.plan.survey.safety
    needed = safety.clearance_m + safety.dem_error_m
    samples = context.samples
    ground = context.plan.surface.at(samples[:, :2])
    flying = context.home_distance_m > _HOME_COLUMN_M
    unknown = flying & ~np.isfinite(ground.higher_m)
    if unknown.any():
        yield _at(
            context, unknown, Level.BLOCKING, "no-elevation",
            f"{int(unknown.sum())} of {len(samples)} places have no elevation under them",
        )  # fmt: skip
    known = flying & ~unknown
    gap = np.where(known, samples[:, 2] - ground.higher_m, np.inf)
    low = gap < needed - _ROUNDING_M
    if low.any():
        worst = float(gap.min())
        yield _at(
            context, gap <= worst + 1e-9, Level.BLOCKING, "clearance",
            f"{worst:.1f} m above the ground at the lowest, {needed:.1f} m needed "
            f"({safety.clearance_m:.0f} m clearance, {safety.dem_error_m:.0f} m elevation error)",
            clearance_m=worst, needed_m=needed,
        )  # fmt: skip
    height = np.where(known, samples[:, 2] - ground.bilinear_m, -np.inf)
    high = height > safety.ceiling_m + 0.5
    if high.any():
        most = float(height.max())
        yield _at(
            context, height >= most - 1e-9, Level.BLOCKING, "ceiling",
            f"{most:.1f} m above the ground at the highest, {safety.ceiling_m:.0f} m allowed",
            height_m=most, limit_m=safety.ceiling_m,
        )  # fmt: skip
    yield CheckFinding(
        Level.NOTE, "lowest", f"lowest clearance along the path {float(gap.min()):.1f} m",
        context.sortie.sortie_id, numbers={"clearance_m": float(gap.min())},
    )  # fmt: skip


def beside(context: SortieContext) -> Iterator[CheckFinding]:
    """Clearance where wind pushes the aircraft off its line."""
    safety = context.plan.survey.safety
    if safety.lateral_error_m <= 0:
        return
    frame = context.plan.frame
    samples = context.samples
    xy = frame.to_xy(samples[:, :2])
    step = np.gradient(xy, axis=0)
    length = np.hypot(step[:, 0], step[:, 1])
    usable = (length > 1e-6) & (context.home_distance_m > 2 * safety.lateral_error_m)
    normal = np.column_stack([-step[:, 1], step[:, 0]]) / np.maximum(length, 1e-6)[:, None]
    worst = np.full(len(samples), np.inf)
    for offset_m in (-safety.lateral_error_m, safety.lateral_error_m):
        ground = context.plan.surface.at(frame.to_lonlat(xy + offset_m * normal)).higher_m
        worst = np.minimum(worst, samples[:, 2] - np.where(np.isfinite(ground), ground, -np.inf))
    worst = np.where(usable, worst, np.inf)
    if float(worst.min()) < safety.clearance_m:
        yield _at(
            context, worst <= worst.min() + 1e-9, Level.WARNING, "clearance-beside",
            f"{float(worst.min()):.1f} m above ground {safety.lateral_error_m:.0f} m beside the "
            f"line, {safety.clearance_m:.0f} m wished for",
            clearance_m=float(worst.min()),
        )  # fmt: skip


def rates(context: SortieContext) -> Iterator[CheckFinding]:
    """Climb and descent on lanes are within what the aircraft does at the lane's speed."""
    aircraft = context.plan.survey.aircraft
    steep = 0
    for leg in context.flight.legs:
        if leg.trigger_m <= 0 or leg.speed_m_s is None or leg.length_m < 1.0:
            continue
        rise = float(leg.end[2] - leg.start[2]) / leg.length_m * leg.speed_m_s
        if rise > aircraft.climb_speed_m_s + 0.05 or -rise > aircraft.descent_speed_m_s + 0.05:
            steep += 1
    if steep:
        yield CheckFinding(
            Level.WARNING, "rates",
            f"{steep} lane legs climb or descend faster than the aircraft does at their speed",
            context.sortie.sortie_id, numbers={"legs": steep},
        )  # fmt: skip


def reach(context: SortieContext) -> Iterator[CheckFinding]:
    """Everything is within the distance allowed from the launch site."""
    limit = context.plan.survey.safety.max_distance_m
    farthest = float(context.home_distance_m.max())
    if farthest > limit + 1.0:
        yield _at(
            context, context.home_distance_m >= farthest - 1e-6, Level.BLOCKING, "range",
            f"{farthest:.0f} m from the launch site, {limit:.0f} m allowed",
            distance_m=farthest, limit_m=limit,
        )  # fmt: skip


def obstacles(context: SortieContext) -> Iterator[CheckFinding]:
    """Power lines are passed above their clearance, keep-outs not entered."""
    survey, frame = context.plan.survey, context.plan.frame
    samples = context.samples
    xy = frame.to_xy(samples[:, :2])
    flying = context.home_distance_m > _HOME_COLUMN_M
    ground = context.plan.surface.at(samples[:, :2]).bilinear_m
    for number, line in enumerate(survey.power_line, start=1):
        wire = np.array(line.points)
        wire_xy = frame.to_xy(wire[:, :2])
        top = wire[:, 2].copy()
        if line.reference == "ground":
            top += context.plan.surface.at(wire[:, :2]).bilinear_m
        needed = line.clearance_m or survey.safety.power_line_clearance_m
        gap = np.where(flying, _gap_to_wire(xy, samples[:, 2], wire_xy, top, needed), np.inf)
        if float(gap.min()) < needed - 0.1:
            yield _at(
                context, gap <= gap.min() + 1e-9, Level.BLOCKING, "power-line",
                f"{float(gap.min()):.1f} m from {line.name or f'power line {number}'}, "
                f"{needed:.0f} m needed",
                distance_m=float(gap.min()), needed_m=needed,
            )  # fmt: skip
    for number, zone in enumerate(survey.keep_out, start=1):
        area = shapely.Polygon(frame.to_xy(np.array(zone.polygon)))
        inside = np.asarray(shapely.contains_xy(area, xy)) & flying
        height = samples[:, 2] - ground
        inside &= (height >= zone.floor_m) & (height <= zone.ceiling_m)
        if inside.any():
            yield _at(
                context, inside, Level.BLOCKING, "keep-out",
                f"inside keep-out {zone.name or number} on {int(inside.sum())} m of the way",
                metres=float(inside.sum()),
            )  # fmt: skip


def carriageway(context: SortieContext) -> Iterator[CheckFinding]:
    """Live lanes are crossed square and high enough, and never flown along."""
    safety = context.plan.survey.safety
    if safety.carriageway_width_m <= 0:
        return
    xy = context.plan.frame.to_xy(context.samples[:, :2])
    inward, along = context.plan.inward_m(xy)
    flying = context.home_distance_m > _HOME_COLUMN_M
    # Half a metre less on each side: the lanes' own lines are within that of the edge.
    over = (inward > safety.fence_to_carriageway_m + 0.5) & flying
    over &= inward < safety.fence_to_carriageway_m + safety.carriageway_width_m - 0.5
    edge = np.diff(np.concatenate([[0], over.astype(np.int8), [0]]))
    crossings, lane_m = 0, 0.0
    ground = context.plan.surface.at(context.samples[:, :2]).bilinear_m
    triggers = np.array([leg.trigger_m for leg in context.flight.legs])[context.sample_legs]
    passes = zip(np.flatnonzero(edge == 1), np.flatnonzero(edge == -1) - 1, strict=True)
    for first, last in passes:
        length = float(np.hypot(*np.diff(xy[first : last + 1], axis=0).T).sum())
        where = np.zeros(len(xy), dtype=bool)
        where[first] = True
        if triggers[first : last + 1].any():
            lane_m += length
            continue
        crossings += 1
        step = xy[last] - xy[first]
        unit = step / max(float(np.hypot(*step)), 1e-9)
        square = float(np.degrees(np.arccos(min(1.0, abs(float(unit @ along[first]))))))
        low = float((context.samples[first : last + 1, 2] - ground[first : last + 1]).min())
        from_home = context.home_distance_m[[first, last]].min() <= 2.0 * _HOME_COLUMN_M
        if safety.crossing == "forbid" and not from_home:
            yield _at(context, where, Level.BLOCKING, "crossing",
                      "crosses a carriageway, which is forbidden")  # fmt: skip
        elif square < 45.0 and length > 15.0:
            yield _at(
                context, where, Level.WARNING if from_home else Level.BLOCKING, "carriageway",
                f"flies {length:.0f} m above the carriageway at {square:.0f}° to it",
                metres=length, angle_deg=square,
            )  # fmt: skip
        if low < safety.crossing_height_m - 1.0 and not from_home:
            yield _at(
                context, where, Level.BLOCKING, "crossing-height",
                f"crosses a carriageway at {low:.0f} m, {safety.crossing_height_m:.0f} m needed",
                height_m=low,
            )  # fmt: skip
    if lane_m > 1.0:
        yield CheckFinding(
            Level.WARNING, "lane-over-carriageway",
            f"{lane_m:.0f} m of lanes lie above a carriageway (another road or ramp)",
            context.sortie.sortie_id, numbers={"metres": lane_m},
        )  # fmt: skip
    if crossings:
        yield CheckFinding(
            Level.NOTE, "crossings", f"crosses carriageways {crossings} times",
            context.sortie.sortie_id, numbers={"crossings": crossings},
        )  # fmt: skip


def _gap_to_wire(
    xy: FloatArray, z: FloatArray, wire_xy: FloatArray, top: FloatArray, needed: float
) -> FloatArray:
    """Distance (N,) to a wire: over ground, or above it where that is within `needed`.

    Below a wire is no way to pass it: there the gap is 0.
    """
    line = shapely.LineString(wire_xy)
    points = shapely.points(xy)
    away = np.asarray(shapely.distance(line, points))
    at = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(wire_xy, axis=0).T))])
    height = np.interp(shapely.line_locate_point(line, points), at, top)
    above = np.maximum(z - height, 0.0)
    return np.asarray(np.where(away < needed, np.maximum(away, above), away))


def _at(
    context: SortieContext,
    where: npt.NDArray[np.bool_],
    level: Level,
    code: str,
    message: str,
    **numbers: float,
) -> CheckFinding:
    place = context.samples[np.flatnonzero(where)[0], :2]
    leg = int(context.sample_legs[np.flatnonzero(where)[0]])
    return CheckFinding(
        level, code, f"{message} (before item {context.flight.legs[leg].sequence})",
        context.sortie.sortie_id, context.plan.station_of(place), dict(numbers),
    )  # fmt: skip
