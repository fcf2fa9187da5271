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


def energy(context: SortieContext) -> Iterator[CheckFinding]:
    """The flight, and the return from anywhere on it, leave the reserve in the battery."""
    survey = context.plan.survey
    model = EnergyModel.of(
        survey.aircraft, survey.safety, context.home_ground_m + survey.safety.ceiling_m
    )
    points = context.points
    if len(points) < 2:
        return
    xyz = np.column_stack([context.plan.frame.to_xy(points[:, :2]), points[:, 2]])
    speeds = np.array([leg.speed_m_s or survey.aircraft.cruise_speed_m_s
                       for leg in context.flight.legs])  # fmt: skip
    _, legs_wh = model.legs(xyz, speeds)
    used = np.concatenate([model.hover_wh(survey.safety.takeoff_hover_s)[None], legs_wh]).cumsum(0)
    home_xy = context.plan.frame.to_xy(
        [[context.flight.home.lon_deg, context.flight.home.lat_deg]]
    )[0]
    height = return_height_m(context, points, np.hypot(*(xyz[:, :2] - home_xy).T))
    speed = survey.safety.rtl_speed_m_s or survey.aircraft.cruise_speed_m_s
    landing = model.hover_wh(survey.safety.descent_overhead_s)
    worst, where = 0.0, 0
    for k, point in enumerate(xyz):
        way = np.array([
            point, [*point[:2], height[k]], [*home_xy, height[k]],
            [*home_xy, context.home_ground_m],
        ])  # fmt: skip
        total = float((used[k] + model.legs(way, speed)[1].sum(axis=0) + landing).max())
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
    context: SortieContext, points: FloatArray, distance_m: FloatArray
) -> FloatArray:
    """Height (N,) of RTL's way home in the elevations' reference, by ArduCopter's rule."""
    altitude_m = (context.parameter("RTL_ALT") or 1500.0) / 100.0
    cone = context.parameter("RTL_CONE_SLOPE")
    above = np.full(len(points), altitude_m)
    if cone is None or cone > 0:
        above = np.minimum(above, (cone or 3.0) * distance_m)
    return np.asarray(np.maximum(points[:, 2], context.home_ground_m + above))


def way_home(context: SortieContext) -> Iterator[CheckFinding]:
    """From all along the flight the straight way home at the return height is clear."""
    survey, frame = context.plan.survey, context.plan.frame
    needed = survey.safety.clearance_m + survey.safety.dem_error_m
    step = max(1, round(_STEP_ALONG_M / context.step_m))
    points = np.concatenate([context.samples[::step], context.points])
    xy = frame.to_xy(points[:, :2])
    home = frame.to_xy([[context.flight.home.lon_deg, context.flight.home.lat_deg]])[0]
    distance = np.hypot(*(xy - home).T)
    height = return_height_m(context, points, distance)
    wires = [(frame.to_xy(np.array(line.points)[:, :2]), line) for line in survey.power_line]
    worst, where = np.inf, -1
    for k in np.flatnonzero(distance > 2.0):
        count = max(2, math.ceil(distance[k] / 5.0))
        t = np.linspace(0.0, 1.0, count, endpoint=False)[:, None]
        line_xy = xy[k] + t * (home - xy[k])
        ground = context.plan.surface.at(frame.to_lonlat(line_xy)).higher_m
        gap = float(np.min(height[k] - np.where(np.isfinite(ground), ground, np.inf)))
        for wire_xy, wire in wires:
            top = np.array(wire.points)[:, 2]
            if wire.reference == "ground":
                top = top + context.plan.surface.at(np.array(wire.points)[:, :2]).bilinear_m
            if shapely.LineString(wire_xy).distance(shapely.LineString([xy[k], home])) < 1.0:
                gap = min(gap, float(height[k] - top.max()) + needed - (
                    wire.clearance_m or survey.safety.power_line_clearance_m))  # fmt: skip
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
    home = frame.to_xy([[context.flight.home.lon_deg, context.flight.home.lat_deg]])[0]
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
    ends = frame.to_xy(context.points[:, :2])
    ways = shapely.linestrings(np.stack([ends, np.broadcast_to(home, ends.shape)], axis=1))
    if not np.asarray(shapely.covers(area, ways)).all():
        yield CheckFinding(
            Level.WARNING, "fence-return", "a straight way home leaves the geofence", name
        )
    limit = context.parameter("FENCE_ALT_MAX")
    highest = float(context.flight.points[:, 2].max())
    rtl_m = (context.parameter("RTL_ALT") or 0.0) / 100.0
    if limit is None or limit < max(highest, rtl_m) + margin:
        yield CheckFinding(
            Level.BLOCKING, "fence-height",
            f"FENCE_ALT_MAX {limit} is not above the highest point ({highest:.0f} m) and the "
            f"return height ({rtl_m:.0f} m above home)",
            name, numbers={"highest_m": highest, "rtl_m": rtl_m},
        )  # fmt: skip


def rally(context: SortieContext) -> Iterator[CheckFinding]:
    """Rally points are within the limit that makes ArduPilot use them."""
    if not context.sortie.rally:
        return
    limit_m = (context.parameter("RALLY_LIMIT_KM") or 0.3) * 1000.0
    frame = context.plan.frame
    points = frame.to_xy(context.points[:, :2])
    for point in context.sortie.rally:
        xy = frame.to_xy([[point.position.lon_deg, point.position.lat_deg]])[0]
        farthest = float(np.hypot(*(points - xy).T).max())
        if farthest > limit_m:
            yield CheckFinding(
                Level.WARNING, "rally",
                f"a rally point is up to {farthest:.0f} m away, RALLY_LIMIT_KM is "
                f"{limit_m / 1000:.1f}",
                context.sortie.sortie_id, numbers={"distance_m": farthest, "limit_m": limit_m},
            )  # fmt: skip
