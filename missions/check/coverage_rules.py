"""Rules about pictures: taken anew from the written items, projected anew onto the fence."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import shapely
from scipy.spatial import cKDTree

from corridor.values import FloatArray
from missions.check.context import PlanContext, SortieContext
from missions.check.findings import CheckFinding, Level
from missions.check.path import pictures_of

_SLACK_M = 1.0
_REPORTED = 40
_LOOKED_ALONG = 1500
"""So many places of a line are looked along for what hides the fence."""


def intervals(context: SortieContext) -> Iterator[CheckFinding]:
    """The camera is fast enough, and the picture sharp enough, at each lane's speed."""
    camera, capture = context.plan.survey.camera, context.plan.survey.capture
    for leg in context.flight.legs:
        if leg.trigger_m <= 0 or not leg.speed_m_s:
            continue
        if leg.trigger_m / leg.speed_m_s < camera.min_interval_s - 0.01:
            yield CheckFinding(
                Level.BLOCKING, "interval",
                f"a picture every {leg.trigger_m / leg.speed_m_s:.2f} s on the way to item "
                f"{leg.sequence}, the camera needs {camera.min_interval_s} s",
                context.sortie.sortie_id,
            )  # fmt: skip
            return
        smear_m = leg.speed_m_s * camera.exposure_s
        gsd_m = max(
            float(target["gsd_m"]) for target in context.plan.files.document["targets"].values()
        )
        if smear_m > capture.blur_limit_px * gsd_m * 1.25:
            yield CheckFinding(
                Level.WARNING, "blur",
                f"{smear_m * 1000:.1f} mm of motion during exposure on the way to item "
                f"{leg.sequence}, {capture.blur_limit_px * gsd_m * 1000:.1f} mm allowed",
                context.sortie.sortie_id,
            )  # fmt: skip
            return


def coverage(plan: PlanContext, sorties: Sequence[SortieContext]) -> Iterator[CheckFinding]:
    """The coverage stated adds up, and the written missions really give it."""
    rows: list[Mapping[str, Any]] = list(plan.files.document["coverage"])
    modes = list(plan.files.document["targets"])
    yield from _sums(plan, rows, modes)
    shots = [pictures_of(context.flight) for context in sorties]
    lifted = []
    for (points, aims), context in zip(shots, sorties, strict=True):
        if len(points):
            up = points.copy()
            up[:, 2] += context.home_ground_m
            lifted.append(np.column_stack([plan.frame.to_xy(up[:, :2]), up[:, 2], aims]))
    table = np.concatenate(lifted) if lifted else np.empty((0, 5))
    for mode in modes:
        steep = table[:, 4] < -80.0
        mine = table[steep] if mode == "nadir" else table[~steep]
        for boundary, track in plan.tracks:
            low, high = track.chainage_m[0], track.chainage_m[-1]
            stated = [
                row for row in rows
                if row["mode"] == mode and row["route"] == boundary.route
                and row["side"] == boundary.side.value and row["state"] == "covered"
                and row["chainage_end_m"] > low and row["chainage_start_m"] < high
            ]  # fmt: skip
            if not stated:
                continue
            chainage = np.concatenate([
                np.arange(max(row["chainage_start_m"], low) + 0.5,
                          min(row["chainage_end_m"], high), 1.0) for row in stated
            ])  # fmt: skip
            views = views_of(plan, mode, mine, track.at(chainage), track.direction_at(chainage),
                             boundary.fence_height_m)  # fmt: skip
            missing = views < plan.survey.capture.min_views
            if missing.sum() > _SLACK_M + 0.002 * len(chainage):
                first = float(chainage[missing][0])
                yield CheckFinding(
                    Level.BLOCKING, "coverage",
                    f"{int(missing.sum())} m stated as covered ({mode}) have fewer than "
                    f"{plan.survey.capture.min_views} usable pictures in the written missions",
                    station=plan.station_of(plan.frame.to_lonlat(track.at(first))),
                    numbers={"metres": float(missing.sum())},
                )  # fmt: skip
            every = max(1, len(chainage) // _LOOKED_ALONG)
            some = chainage[~missing][::every]
            clear = views_of(plan, mode, mine, track.at(some), track.direction_at(some),
                             boundary.fence_height_m, sight=True)  # fmt: skip
            hidden = clear < plan.survey.capture.min_views
            if hidden.sum() * every > _SLACK_M + 0.002 * len(chainage):
                yield CheckFinding(
                    Level.WARNING, "line-of-sight",
                    f"about {int(hidden.sum()) * every} m stated as covered ({mode}) are hidden by "
                    "what the elevations show between camera and fence",
                    station=plan.station_of(plan.frame.to_lonlat(track.at(float(some[hidden][0])))),
                    numbers={"metres": float(hidden.sum() * every)},
                )  # fmt: skip


def districts(plan: PlanContext) -> Iterator[CheckFinding]:
    """Every stretch names the district that it lies in."""
    if not plan.survey.district:
        return
    areas = [
        (district.name, shapely.Polygon(plan.frame.to_xy(np.array(district.polygon))))
        for district in plan.survey.district
    ]
    nobody_m = 0.0
    for row in plan.files.document["coverage"]:
        for boundary, track in plan.tracks:
            if (row["route"], row["side"]) != (boundary.route, boundary.side.value):
                continue
            low = max(row["chainage_start_m"], float(track.chainage_m[0]))
            high = min(row["chainage_end_m"], float(track.chainage_m[-1]))
            if high - low < 2.0:
                continue
            point = shapely.Point(track.at(np.array([(low + high) / 2.0]))[0])
            # On a border either is right.
            near = [name for name, area in areas if area.distance(point) < 2.0]
            inside = [name for name, area in areas if area.contains(point)]
            stated = row.get("district", "")
            if stated not in near and (stated or inside):
                yield CheckFinding(
                    Level.WARNING, "district",
                    f"stated to lie in district '{stated}', lies in "
                    f"'{inside[0] if inside else 'none'}'",
                    station=plan.station_of(plan.frame.to_lonlat(track.at((low + high) / 2.0))),
                )  # fmt: skip
            nobody_m += (high - low) * (not inside) / len(plan.files.document["targets"])
    if nobody_m > 1.0:
        yield CheckFinding(
            Level.WARNING, "no-district", f"{nobody_m:.0f} m of boundary lie in no district",
            numbers={"metres": nobody_m},
        )  # fmt: skip


def _sums(
    plan: PlanContext, rows: Sequence[Mapping[str, Any]], modes: Sequence[str]
) -> Iterator[CheckFinding]:
    for mode in modes:
        for boundary in plan.boundaries:
            mine = [
                row for row in rows
                if (row["mode"], row["route"], row["side"])
                == (mode, boundary.route, boundary.side.value)
            ]  # fmt: skip
            total = math.fsum(row["length_m"] for row in mine)
            if abs(total - boundary.length_m) > 0.01 + 0.0001 * len(mine):
                yield CheckFinding(
                    Level.BLOCKING, "coverage-sum",
                    f"coverage ({mode}) of {boundary.route} {boundary.side.value} adds up to "
                    f"{total:.2f} m, the boundary is {boundary.length_m:.2f} m long",
                    numbers={"sum_m": total, "length_m": boundary.length_m},
                )  # fmt: skip
    uncovered = [row for row in rows if row["state"] == "uncovered"]
    uncovered.sort(key=lambda row: -row["length_m"])
    for row in uncovered[:_REPORTED]:
        yield CheckFinding(
            Level.WARNING, "uncovered",
            f"{row['length_m']:.0f} m uncovered ({row['mode']}): {row['reason']}",
            station=f"{row['route']} {row['side']} K{int(row['chainage_start_m'] // 1000)}"
            f"+{int(row['chainage_start_m'] % 1000):03d}",
            numbers={"metres": row["length_m"]},
        )  # fmt: skip
    if len(uncovered) > _REPORTED:
        rest = math.fsum(row["length_m"] for row in uncovered[_REPORTED:])
        yield CheckFinding(
            Level.WARNING,
            "uncovered",
            f"{len(uncovered) - _REPORTED} more uncovered stretches, {rest:.0f} m together",
        )


def views_of(
    plan: PlanContext,
    mode: str,
    pictures: FloatArray,
    foot: FloatArray,
    along: FloatArray,
    fence_height_m: float,
    *,
    sight: bool = False,
) -> np.ndarray:
    """How many pictures (x, y, z, yaw, pitch) show each place (N,) of the fence well enough.

    Args:
        sight: whether only those count that nothing in the elevations stands before.
    """
    count = np.zeros(len(foot), dtype=np.int64)
    if not len(pictures):
        return count
    camera, capture = plan.survey.camera, plan.survey.capture
    target = plan.files.document["targets"][mode]
    limit_m = float(target["gsd_m"]) * (1 + capture.gsd_slack_frac) * 1.002
    pixel_mm = max(camera.sensor_width_mm / camera.image_width_px,
                   camera.sensor_height_mm / camera.image_height_px)  # fmt: skip
    far_m = limit_m * camera.focal_length_mm / pixel_mm
    # Half a degree of the margin is given back: written positions and angles are rounded.
    margin = max(0.0, capture.attitude_margin_deg - 0.5)
    half_w = math.degrees(math.atan(camera.sensor_width_mm / 2 / camera.focal_length_mm)) - margin
    half_h = math.degrees(math.atan(camera.sensor_height_mm / 2 / camera.focal_length_mm)) - margin
    tree = cKDTree(pictures[:, :2])
    reach_m = far_m * (1.0 + math.tan(math.radians(max(half_w, half_h))))
    ground = plan.surface.at(plan.frame.to_lonlat(foot)).bilinear_m
    for start in range(0, len(foot), 20_000):
        block = slice(start, start + 20_000)
        _, near = tree.query(foot[block], k=min(60, len(pictures)), distance_upper_bound=reach_m)
        near = near.reshape(len(foot[block]), -1)
        row, column = np.nonzero(near < len(pictures))
        shot = pictures[near[row, column]]
        ok = np.ones(len(row), dtype=bool)
        for up in (0.0,) if mode == "nadir" else (0.0, fence_height_m):
            d = np.column_stack([foot[block][row], ground[block][row] + up]) - shot[:, :3]
            bearing = np.degrees(np.arctan2(d[:, 0], d[:, 1])) - shot[:, 3]
            flat = np.hypot(d[:, 0], d[:, 1])
            forward, right = flat * np.cos(np.radians(bearing)), flat * np.sin(np.radians(bearing))
            tilt = np.radians(shot[:, 4])
            depth = forward * np.cos(tilt) + d[:, 2] * np.sin(tilt)
            high = -forward * np.sin(tilt) + d[:, 2] * np.cos(tilt)
            ok &= depth > 0
            ok &= np.degrees(np.arctan2(np.abs(right), np.maximum(depth, 1e-9))) <= half_w
            ok &= np.degrees(np.arctan2(np.abs(high), np.maximum(depth, 1e-9))) <= half_h
            ok &= depth * pixel_mm / camera.focal_length_mm <= limit_m
        if sight:
            chosen = np.flatnonzero(ok)
            top = np.column_stack([foot[block], ground[block] + fence_height_m])[row[chosen]]
            ok[chosen] = _in_sight(plan, shot[chosen, :3], top)
        count[block] = np.bincount(row[ok], minlength=len(foot[block]))
    return count


def _in_sight(plan: PlanContext, camera: FloatArray, fence: FloatArray) -> np.ndarray:
    """Whether lines of sight (N, 3) to (N, 3) stay above the ground 5 m and more from the fence."""
    clear = np.ones(len(camera), dtype=bool)
    away = np.hypot(*(camera[:, :2] - fence[:, :2]).T)
    for part in np.linspace(0.05, 0.95, 19):
        place = fence + part * (camera - fence)
        ground = plan.surface.at(plan.frame.to_lonlat(place[:, :2])).bilinear_m
        clear &= ~((part * away > 5.0) & (ground > place[:, 2] + 1.0))
    return clear
