"""Rules about rally points: what the vehicle would do with them, from all along the flight."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import shapely

from corridor.values import FloatArray
from missions.check.context import SortieContext
from missions.check.findings import CheckFinding, Level
from missions.check.return_rules import return_height_m, used_wh, way_clearance_m, way_wh

_STEP_ALONG_M = 60.0
_UNDECIDED_M = 30.0
"""Between two places about as far the vehicle may choose either: it is not on its line exactly."""


def rally(context: SortieContext) -> Iterator[CheckFinding]:
    """Wherever a return would go to a rally point, the way there is clear and the battery lasts."""
    if not context.sortie.rally:
        return
    frame, name = context.plan.frame, context.sortie.sortie_id
    lonlat = np.array([(p.position.lon_deg, p.position.lat_deg) for p in context.sortie.rally])
    places = frame.to_xy(lonlat)
    ground = context.plan.surface.at(lonlat).bilinear_m
    if not np.isfinite(ground).all():
        yield CheckFinding(
            Level.BLOCKING, "rally", "a rally point stands where there are no elevations", name
        )
        return
    if len(context.points) < 2:
        return
    model, at_points = used_wh(context)
    every = max(1, round(_STEP_ALONG_M / context.step_m))
    points = np.concatenate([context.samples[::every], context.points])
    # Between two waypoints what is used up to the second counts.
    used = np.concatenate([at_points[context.sample_legs[::every] + 1], at_points])
    xy = frame.to_xy(points[:, :2])
    chosen = _chosen(context, xy, places)
    fences = [polygon for polygon in context.sortie.geofence.polygons if polygon.inclusion]
    area = shapely.Polygon(frame.to_xy(fences[0].lonlat)) if fences else None
    for number, (place, point) in enumerate(zip(places, context.sortie.rally, strict=True)):
        mine = np.flatnonzero(chosen[:, number])
        away = np.hypot(*(xy[mine] - place).T)
        height = return_height_m(context, points[mine], away, point.altitude_above_home_m)
        end = np.array([*place, ground[number]])
        gaps = np.full(len(mine), np.inf)
        spent = np.zeros(len(mine))
        for j, k in enumerate(mine.tolist()):
            if away[j] > 2.0:
                gaps[j] = way_clearance_m(context, xy[k], place, height[j])
            start = np.array([*xy[k], points[k, 2]])
            spent[j] = float((used[k] + way_wh(context, model, start, height[j], end)).max())
        yield from _reported(context, number, points[mine], gaps, spent, model.budget_wh)
        ways = shapely.linestrings(np.stack([xy[mine], np.broadcast_to(place, xy[mine].shape)], 1))
        if area is not None and not np.asarray(shapely.covers(area, ways)).all():
            yield CheckFinding(
                Level.BLOCKING, "rally-fence",
                f"a straight way to rally point {number + 1} leaves the geofence", name,
            )  # fmt: skip
        for zone_number, zone in enumerate(context.plan.survey.keep_out, start=1):
            no_go = shapely.Polygon(frame.to_xy(np.array(zone.polygon)))
            if zone.ceiling_m >= 10_000 and np.asarray(shapely.intersects(no_go, ways)).any():
                yield CheckFinding(
                    Level.BLOCKING, "rally-keep-out",
                    f"a straight way to rally point {number + 1} goes through keep-out "
                    f"{zone.name or zone_number}", name,
                )  # fmt: skip
    yield CheckFinding(
        Level.NOTE, "rally",
        f"{len(places)} rally points, returned to from {int(chosen.any(axis=1).sum())} of "
        f"{len(points)} places looked at",
        name, numbers={"points": float(len(places))},
    )  # fmt: skip


def _chosen(context: SortieContext, xy: FloatArray, places: FloatArray) -> npt.NDArray[np.bool_]:
    """Which rally points (K,) a return from each of (N, 2) positions may go to: (N, K).

    The nearest one, if it is within RALLY_LIMIT_KM, and nearer than home or RALLY_INCL_HOME is 0.
    """
    limit_m = (context.parameter("RALLY_LIMIT_KM") or 0.3) * 1000.0
    home_counts = context.parameter("RALLY_INCL_HOME")
    away = np.hypot(*(xy[:, None] - places[None]).transpose(2, 0, 1))
    chosen = (away <= away.min(axis=1, keepdims=True) + _UNDECIDED_M) & (
        away <= limit_m + _UNDECIDED_M
    )
    if home_counts is None or home_counts > 0:
        home = np.hypot(*(xy - context.home_xy).T)
        chosen &= away < home[:, None] + _UNDECIDED_M
    return np.asarray(chosen)


def _reported(
    context: SortieContext,
    number: int,
    points: FloatArray,
    gaps: FloatArray,
    spent: FloatArray,
    budget_wh: float,
) -> Iterator[CheckFinding]:
    needed = context.plan.needed_m
    if not len(points):
        yield CheckFinding(
            Level.NOTE, "rally-unused",
            f"rally point {number + 1} is nowhere nearer than home", context.sortie.sortie_id,
        )  # fmt: skip
        return
    low, much = int(np.argmin(gaps)), int(np.argmax(spent))
    if gaps[low] < needed - 0.05:
        yield CheckFinding(
            Level.BLOCKING, "rally-way",
            f"the straight way to rally point {number + 1} clears the ground by "
            f"{gaps[low]:.1f} m, {needed:.0f} m needed",
            context.sortie.sortie_id, context.plan.station_of(points[low, :2]),
            {"clearance_m": float(gaps[low]), "needed_m": needed},
        )  # fmt: skip
    if spent[much] > budget_wh * 1.005:
        yield CheckFinding(
            Level.BLOCKING, "rally-energy",
            f"{spent[much]:.1f} Wh with the return to rally point {number + 1}, "
            f"{budget_wh:.1f} Wh usable",
            context.sortie.sortie_id, context.plan.station_of(points[much, :2]),
            {"energy_wh": float(spent[much]), "budget_wh": budget_wh},
        )  # fmt: skip
