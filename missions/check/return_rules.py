"""Rules about coming home: battery, return height, geofence, rally points."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import shapely

from corridor.values import FloatArray
from missions.check.context import SortieContext
from missions.check.findings import CheckFinding, Level
from missions.energy import EnergyModel

_FENCE_BYTES = 560
_STEP_ALONG_M = 60.0


def used_wh(context: SortieContext) -> tuple[EnergyModel, FloatArray]:
    """The energy model here, and what is used (K, 16) up to each of the flight's points."""
    survey = context.plan.survey
    model = EnergyModel.of(
        survey.aircraft, survey.safety, context.home_ground_m + survey.safety.ceiling_m
    )
    points = context.points
    xyz = np.column_stack([context.plan.frame.to_xy(points[:, :2]), points[:, 2]])
    speeds = np.array([leg.speed_m_s or survey.aircraft.cruise_speed_m_s
                       for leg in context.flight.legs])  # fmt: skip
    _, legs_wh = model.legs(xyz, speeds)
    if survey.aircraft.stop_s > 0:
        legs = context.flight.legs
        for k, leg in enumerate(legs):
            last = k + 1 == len(legs) or not legs[k + 1].trigger_m or legs[k + 1].fires_at_start
            stops = int(leg.fires_at_start) + int(leg.trigger_m > 0 and last)
            legs_wh[k] += stops * model.hover_wh(survey.aircraft.stop_s)
    takeoff_wh = model.hover_wh(survey.safety.takeoff_hover_s)[None]
    return model, np.concatenate([takeoff_wh, legs_wh]).cumsum(axis=0)


def way_wh(
    context: SortieContext, model: EnergyModel, start: FloatArray, height_m: float, end: FloatArray
) -> FloatArray:
    """Energy (16,) of climbing on the spot, flying straight to `end` (x, y, ground) and landing."""
    survey = context.plan.survey
    speed = survey.safety.rtl_speed_m_s or survey.aircraft.cruise_speed_m_s
    way = np.array([start, [*start[:2], height_m], [*end[:2], height_m], end])
    landing = model.hover_wh(survey.safety.descent_overhead_s)
    return np.asarray(model.legs(way, speed)[1].sum(axis=0) + landing)


def energy(context: SortieContext) -> Iterator[CheckFinding]:
    """The flight, and the return from anywhere on it, leave the reserve in the battery."""
    points = context.points
    if len(points) < 2:
        return
    model, used = used_wh(context)
    xyz = np.column_stack([context.plan.frame.to_xy(points[:, :2]), points[:, 2]])
    home = np.array([*context.home_xy, context.home_ground_m])
    height = return_height_m(context, points, np.hypot(*(xyz[:, :2] - home[:2]).T))
    worst, where = 0.0, 0
    for k, point in enumerate(xyz):
        total = float((used[k] + way_wh(context, model, point, height[k], home)).max())
        if total > worst:
            worst, where = total, k
    if worst > model.budget_wh * 1.005:
        yield CheckFinding(
            Level.BLOCKING, "energy",
            f"{worst:.1f} Wh with the return from its worst point, {model.budget_wh:.1f} Wh usable",
            context.sortie.sortie_id, context.plan.station_of(points[where, :2]),
            {"energy_wh": worst, "budget_wh": model.budget_wh},
        )  # fmt: skip
    yield CheckFinding(
        Level.NOTE, "energy-left",
        f"{100 * worst / model.budget_wh:.0f} % of the usable energy at most, with the return",
        context.sortie.sortie_id, numbers={"energy_wh": worst, "budget_wh": model.budget_wh},
    )  # fmt: skip


def return_height_m(
    context: SortieContext, points: FloatArray, distance_m: FloatArray, rally_m: float = 0.0
) -> FloatArray:
    """Height (N,) of RTL's way in the elevations' reference, by ArduCopter's rule.

    Args:
        distance_m: (N,) to where the return goes.
        rally_m: altitude of the rally point it goes to, above home.
    """
    altitude_m = max((context.parameter("RTL_ALT") or 1500.0) / 100.0, rally_m)
    ceiling_m = context.parameter("FENCE_ALT_MAX")
    if ceiling_m is not None:
        altitude_m = min(altitude_m, ceiling_m - (context.parameter("FENCE_MARGIN") or 2.0))
    cone = context.parameter("RTL_CONE_SLOPE")
    above = np.full(len(points), altitude_m)
    if cone is None or cone > 0:
        above = np.minimum(above, (cone or 3.0) * distance_m)
    return np.asarray(np.maximum(points[:, 2], context.home_ground_m + above))


def way_home(context: SortieContext) -> Iterator[CheckFinding]:
    """From all along the flight the straight way home at the return height is clear."""
    frame = context.plan.frame
    needed = context.plan.needed_m
    points = context.along(_STEP_ALONG_M)
    xy, home = frame.to_xy(points[:, :2]), context.home_xy
    distance = np.hypot(*(xy - home).T)
    height = return_height_m(context, points, distance)
    worst, where = np.inf, -1
    for k in np.flatnonzero(distance > 2.0):
        gap = way_clearance_m(context, xy[k], home, height[k])
        if gap < worst:
            worst, where = gap, int(k)
    if worst < needed - 0.05:
        yield CheckFinding(
            Level.BLOCKING, "way-home",
            f"the straight way home at {height[where] - context.home_ground_m:.0f} m above home "
            f"clears the ground by {worst:.1f} m, {needed:.0f} m needed",
            context.sortie.sortie_id, context.plan.station_of(points[where, :2]),
            {"clearance_m": worst, "needed_m": needed},
        )  # fmt: skip
    ways = shapely.linestrings(np.stack([xy, np.broadcast_to(home, xy.shape)], axis=1))
    for number, zone in enumerate(context.plan.survey.keep_out, start=1):
        area = shapely.Polygon(frame.to_xy(np.array(zone.polygon)))
        through = np.flatnonzero(shapely.intersects(area, ways))
        # Above its ceiling a keep-out is free; that is proved with the clearance by the planner.
        if len(through) and zone.ceiling_m >= 10_000:
            yield CheckFinding(
                Level.WARNING, "way-home-keep-out",
                f"a return from here goes straight through keep-out {zone.name or number}: take "
                "over by hand, or launch elsewhere",
                context.sortie.sortie_id, context.plan.station_of(points[through[0], :2]),
                {"places": float(len(through))},
            )  # fmt: skip


def way_clearance_m(
    context: SortieContext, start_xy: FloatArray, end_xy: FloatArray, height_m: float
) -> float:
    """Least gap between a level way and what lies under it; wires count as ground.

    -inf where there are no elevations.
    """
    survey, frame = context.plan.survey, context.plan.frame
    count = max(2, math.ceil(float(np.hypot(*(end_xy - start_xy))) / 5.0))
    t = np.linspace(0.0, 1.0, count, endpoint=False)[:, None]
    ground = context.plan.surface.at(frame.to_lonlat(start_xy + t * (end_xy - start_xy))).higher_m
    gap = float(np.min(height_m - np.where(np.isfinite(ground), ground, np.inf)))
    for wire in survey.power_line:
        line = np.array(wire.points)
        way = shapely.LineString([start_xy, end_xy])
        if shapely.LineString(frame.to_xy(line[:, :2])).distance(way) >= 1.0:
            continue
        top = line[:, 2]
        if wire.reference == "ground":
            top = top + context.plan.surface.at(line[:, :2]).bilinear_m
        clearance = wire.clearance_m or survey.safety.power_line_clearance_m
        gap = min(gap, float(height_m - top.max()) + context.plan.needed_m - clearance)
    return gap


def fence(context: SortieContext) -> Iterator[CheckFinding]:
    """The geofence fits the autopilot's store and holds the flight and its ways home."""
    sortie, frame = context.sortie, context.plan.frame
    name = sortie.sortie_id
    inclusion = [polygon for polygon in sortie.geofence.polygons if polygon.inclusion]
    if len(inclusion) != 1:
        yield CheckFinding(
            Level.BLOCKING, "fence", f"{len(inclusion)} inclusion polygons, one is planned", name
        )
        return
    stored = sum(2 + 8 * len(polygon.vertices) for polygon in sortie.geofence.polygons)
    stored += sum(2 + 12 for _ in sortie.geofence.circles)
    if stored > _FENCE_BYTES:
        yield CheckFinding(
            Level.BLOCKING, "fence-size",
            f"{sum(len(p.vertices) for p in sortie.geofence.polygons)} fence vertices do not fit "
            "ArduCopter's store (69 in one polygon)",
            name, numbers={"bytes": stored},
        )  # fmt: skip
    area = shapely.Polygon(frame.to_xy(inclusion[0].lonlat))
    if not area.is_valid:
        yield CheckFinding(Level.BLOCKING, "fence", "the geofence crosses itself", name)
        return
    margin = context.parameter("FENCE_MARGIN") or 2.0
    points = shapely.points(frame.to_xy(context.samples[:, :2]))
    home = context.home_xy
    outside = ~np.asarray(shapely.contains(area, points))
    edge = np.asarray(shapely.distance(area.exterior, points))
    if outside.any() or float(edge.min()) < margin:
        worst = -float(edge[outside].max()) if outside.any() else float(edge.min())
        where = int(np.argmax(np.where(outside, edge, -edge)))
        yield CheckFinding(
            Level.BLOCKING, "fence",
            f"the flight comes within {worst:.1f} m of the geofence (negative: outside), "
            f"{margin:.0f} m is its margin",
            name, context.plan.station_of(context.samples[where, :2]), {"margin_m": worst},
        )  # fmt: skip
    for polygon in sortie.geofence.polygons:
        if not polygon.inclusion:
            hole = shapely.Polygon(frame.to_xy(polygon.lonlat))
            if np.asarray(shapely.contains(hole, points)).any():
                yield CheckFinding(
                    Level.BLOCKING, "fence", "the flight enters an exclusion polygon", name
                )
    holes = [shapely.Polygon(frame.to_xy(p.lonlat)) for p in sortie.geofence.polygons
             if not p.inclusion]  # fmt: skip
    for number, zone in enumerate(context.plan.survey.keep_out, start=1):
        no_go = shapely.Polygon(frame.to_xy(np.array(zone.polygon)))
        if no_go.intersects(area) and not any(
            hole.intersection(no_go).area > 0.98 * no_go.area for hole in holes
        ):
            yield CheckFinding(
                Level.NOTE, "fence-keep-out",
                f"keep-out {zone.name or number} lies within the geofence and is none of its "
                "exclusion polygons",
                name,
            )  # fmt: skip
    ends = frame.to_xy(context.points[:, :2])
    ways = shapely.linestrings(np.stack([ends, np.broadcast_to(home, ends.shape)], axis=1))
    if not np.asarray(shapely.covers(area, ways)).all():
        yield CheckFinding(
            Level.WARNING, "fence-return", "a straight way home leaves the geofence", name
        )
    limit = context.parameter("FENCE_ALT_MAX")
    highest = float(context.flight.points[:, 2].max())
    rtl_m = (context.parameter("RTL_ALT") or 0.0) / 100.0
    rtl_m = max(rtl_m, *(point.altitude_above_home_m for point in sortie.rally), 0.0)
    if limit is None or limit < max(highest, rtl_m) + margin:
        yield CheckFinding(
            Level.BLOCKING, "fence-height",
            f"FENCE_ALT_MAX {limit} is not above the highest point ({highest:.0f} m) and the "
            f"return height ({rtl_m:.0f} m above home)",
            name, numbers={"highest_m": highest, "rtl_m": rtl_m},
        )  # fmt: skip
