"""Writes a plan: plan.json and each sortie's files, the folder whole or not at all."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from corridor import InputError, LonLat, atomic_path, format_station, sha256_of, write_json
from missions.briefing import write_briefing
from missions.formats import write_dji_kmz, write_parameters, write_qgc_plan, write_waypoints
from missions.geofence import MOST_VERTICES, fence_polygon
from missions.items import mission_of
from missions.mission import FencePolygon, Geofence, RallyPoint, Sortie
from missions.parameters import highest_above_home_m, recommended
from missions.plan_files import PLAN_VERSION
from missions.planner import SurveyPlan
from missions.schedule import Flight, make_schedule
from missions.sorties import PlannedSortie
from missions.tables import write_gpkg, write_kml, write_schedule
from missions.wayline import DjiHardware, NotForDji, Wayline, split, wayline_of


def write_plan(
    folder: str | Path,
    plan: SurveyPlan,
    inputs: dict[str, Path],
    boundary_options: dict[str, Any] | None = None,
    source: str = "survey.toml",
) -> dict[str, Any]:
    """Writes everything into a folder that appears whole; returns plan.json's content.

    A folder that is there already is replaced if it holds a plan.json, and is not touched
    otherwise.

    Args:
        inputs: role (`boundaries`, `config`, `dem`, `posts`) to file.
        boundary_options: keyword arguments that the boundaries were read with.
        source: name of the configuration, for messages.

    Raises:
        InputError: if the folder holds something that is no plan.
    """
    sorties = [_sortie(plan, number, made) for number, made in enumerate(plan.sorties, start=1)]
    document = plan_document(plan, sorties, inputs, boundary_options or {})
    slots = make_schedule(
        plan.survey,
        [
            Flight(sortie.sortie_id, made.launch.name, made.cost.time_s, made.district)
            for sortie, made in zip(sorties, plan.sorties, strict=True)
        ],
        (plan.launches[0].lon_deg, plan.launches[0].lat_deg),
        source,
    )
    with atomic_path(folder) as partial:
        partial.mkdir(parents=True)
        for sortie in sorties:
            for name, wayline in _waylines(plan, sortie)[0].items():
                write_dji_kmz(partial / name, wayline)
            write_waypoints(partial / f"{sortie.sortie_id}.waypoints", sortie.mission)
            write_qgc_plan(
                partial / f"{sortie.sortie_id}.plan", sortie,
                plan.survey.aircraft.cruise_speed_m_s, plan.survey.aircraft.cruise_speed_m_s,
            )  # fmt: skip
            write_parameters(
                partial / f"{sortie.sortie_id}.param", sortie.parameters,
                f"{sortie.sortie_id}: recommended parameters",
            )  # fmt: skip
        write_gpkg(partial / "plan.gpkg", plan, sorties)
        write_kml(partial / "plan.kml", sorties)
        write_briefing(partial / "briefing.html", plan, sorties, slots)
        if plan.survey.schedule.start is not None:
            write_schedule(partial / "schedule.csv", slots)
        write_json(partial / "plan.json", document)
        _make_room(Path(folder))
    return document


def _make_room(folder: Path) -> None:
    """Removes an earlier plan of that name, so that the new one can take its place."""
    if not folder.exists():
        return
    if folder.is_dir() and ((folder / "plan.json").is_file() or not any(folder.iterdir())):
        shutil.rmtree(folder)
        return
    raise InputError(folder, "is there already and holds no plan", "choose another --out")


def _sortie(plan: SurveyPlan, number: int, made: PlannedSortie) -> Sortie:
    survey = plan.survey
    msl_offset_m = msl_minus_dem_m(plan)
    mission = mission_of(made.segments, made.launch, survey, plan.frame, msl_offset_m)
    area = shapely.union_all(
        [
            made.home.fan,
            shapely.LineString(made.cost.points[:, :2]).buffer(0.5),
            *(rally.ways for rally in made.rally),
        ]
    )
    ring, exclusions, fence_notes = _fences(plan, area)
    geofence = Geofence((_fence_of(plan, ring, True), *exclusions))
    home_altitude = mission.home_altitude_m
    oblique = any(run.mode == "oblique" for run in made.runs)
    rally = tuple(
        RallyPoint(
            LonLat(round(point.place.lon_deg, 7), round(point.place.lat_deg, 7)), point.altitude_m
        )
        for point in made.rally
    )
    parameters = recommended(
        survey, made.home, highest_above_home_m(mission, home_altitude), rally,
        max((point.farthest_m for point in made.rally), default=0.0), oblique,
    )  # fmt: skip
    sortie_id = f"S{number:02d}"
    details = _details(plan, sortie_id, made)
    sortie = Sortie(sortie_id, mission, geofence, rally, parameters, details)
    waylines, reason = _waylines(plan, sortie)
    details["geofence_notes"] = fence_notes
    details["kmz"] = {"files": list(waylines), "note": reason}
    return sortie


def _fences(
    plan: SurveyPlan, area: BaseGeometry
) -> tuple[np.ndarray, list[FencePolygon], list[str]]:
    """The inclusion ring around a flight and its returns, keep-outs as exclusions, what is not.

    A fence polygon of ArduPilot has no heights: a keep-out that is flown over (or under) would end
    the flight above it, so it is left out.
    """
    margin_m = plan.survey.safety.fence_margin_m
    near = [zone for zone in plan.airspace.zones if zone.area.intersects(area.buffer(margin_m))]
    free = [zone for zone in near if not zone.area.intersects(area)]
    notes = [
        f"keep-out {zone.name} is crossed above or below, so it is no exclusion polygon"
        for zone in near
        if zone not in free
    ]
    room = MOST_VERTICES - sum(len(zone.area.exterior.coords) for zone in free)
    if room < _FEWEST_VERTICES:
        notes.append(
            f"{len(free)} keep-outs do not fit the autopilot's {MOST_VERTICES} fence vertices: "
            "none is in the geofence"
        )
        free, room = [], MOST_VERTICES
    exclusions = [_fence_of(plan, np.array(z.area.exterior.coords)[:-1], False) for z in free]
    return fence_polygon(area, margin_m, room), exclusions, notes


_FEWEST_VERTICES = 8

_DJI_DRONES = {"matrice-300": (60, 0), "mavic-3e": (77, 0)}
_DJI_PAYLOADS = {
    "zenmuse-p1-35": (50, ""), "zenmuse-h20t-wide": (43, "wide"), "mavic-3e-wide": (66, ""),
}  # fmt: skip


def _waylines(plan: SurveyPlan, sortie: Sortie) -> tuple[dict[str, Wayline], str]:
    """The sortie's `.kmz` files by name, and what a pilot has to know of them."""
    aircraft, camera = plan.survey.aircraft.preset, plan.survey.camera.preset
    drone = _DJI_DRONES.get(aircraft)
    payload, lens = _DJI_PAYLOADS.get(camera, (None, ""))
    rtl_m = next(p.value for p in sortie.parameters if p.name == "RTL_ALT") / 100.0
    try:
        whole = wayline_of(sortie.mission, rtl_m, DjiHardware(drone, payload, lens))
    except NotForDji as error:
        return {}, f"no .kmz: {error}"
    parts = split(whole, plan.survey.output.kmz_max_waypoints)
    name = sortie.sortie_id
    if len(parts) == 1:
        named = {f"{name}.kmz": whole}
    else:
        named = {f"{name}-{number}.kmz": part for number, part in enumerate(parts, start=1)}
    notes = [
        "Take off at the home point: all heights are above it. No geofence is in the file. Set the "
        f"return height to {whole.return_height_m:.0f} m in the ground station as well."
    ]
    if len(parts) > 1:
        notes.append(
            "Each part takes off with a full battery and flies straight to its first point at the "
            "return height; its energy is not planned separately."
        )
    if drone is None:
        notes.append(f"Aircraft {aircraft} has no DJI number: droneInfo is left out.")
    if payload is None:
        notes.append(f"Camera {camera} has no DJI number: payloadInfo is left out.")
    return named, " ".join(notes)


def _fence_of(plan: SurveyPlan, ring: np.ndarray, inclusion: bool) -> FencePolygon:
    lonlat = plan.frame.to_lonlat(ring)
    return FencePolygon(
        tuple(LonLat(round(float(lon), 7), round(float(lat), 7)) for lon, lat in lonlat), inclusion
    )


def msl_minus_dem_m(plan: SurveyPlan) -> float:
    """What to add to the DEM's heights to get heights above mean sea level."""
    dem = plan.survey.dem
    if dem.vertical_reference == "ellipsoid" and dem.geoid_undulation_m is not None:
        return -dem.geoid_undulation_m
    return 0.0


def _details(plan: SurveyPlan, sortie_id: str, made: PlannedSortie) -> dict[str, Any]:
    energy_wh = float(made.cost.energy_wh.max())
    lanes = [
        {
            "route": plan.boundaries[run.boundary].route,
            "side": plan.boundaries[run.boundary].side.value,
            "mode": run.mode,
            "chainage_start_m": round(float(run.chainage_m[0]), 2),
            "chainage_end_m": round(float(run.chainage_m[-1]), 2),
            "station_start": format_station(max(0.0, float(run.chainage_m[0]))),
            "station_end": format_station(max(0.0, float(run.chainage_m[-1]))),
            "offset_m": round(run.offset_m, 2),
            "length_m": round(run.length_m, 1),
            "reverse": segment.reverse,
            "speed_m_s": run.speed_m_s,
            "trigger_distance_m": run.spacing_m,
            "gimbal_pitch_deg": run.pitch_deg,
            "notes": list(run.notes),
        }
        for segment in made.segments
        if (run := segment.run) is not None
    ]
    number = int(sortie_id[1:]) - 1
    steps = np.hypot(*np.diff(made.cost.points[:, :2], axis=0).T)
    return {
        "sortie_id": sortie_id,
        "files": {kind: f"{sortie_id}.{kind}" for kind in ("waypoints", "plan", "param")},
        "launch": made.launch.name,
        "district": made.district,
        "contact": plan.districts.contact(made.district, plan.survey),
        "home": {
            "lon_deg": round(made.launch.lon_deg, 7),
            "lat_deg": round(made.launch.lat_deg, 7),
            "ground_dem_m": round(made.launch.ground_m, 2),
        },
        "length_m": round(float(steps.sum()), 1),
        "lane_length_m": round(sum(run.length_m for run in made.runs), 1),
        "duration_s": round(made.cost.time_s, 1),
        "energy_wh": round(energy_wh, 2),
        "energy_with_return_wh": round(made.home.worst_wh, 2),
        "energy_budget_wh": round(made.energy.budget_wh, 2),
        "photos": int((plan.photos.sortie == number).sum()),
        "rtl_altitude_above_home_m": made.home.altitude_m,
        "rtl_cone_slope": made.home.cone_slope,
        "rally": [
            {
                "name": point.place.name,
                "lon_deg": round(point.place.lon_deg, 7),
                "lat_deg": round(point.place.lat_deg, 7),
                "altitude_above_home_m": point.altitude_m,
                "farthest_m": round(point.farthest_m, 1),
                "energy_with_return_wh": round(point.worst_wh, 2),
            }
            for point in made.rally
        ],
        "rally_refused": [{"name": name, "reason": reason} for name, reason in made.rally_refused],
        "lanes": lanes,
    }


def plan_document(
    plan: SurveyPlan,
    sorties: list[Sortie],
    inputs: dict[str, Path],
    boundary_options: dict[str, Any],
) -> dict[str, Any]:
    """The content of plan.json."""
    survey = plan.survey
    camera = survey.camera.model_dump()
    return {
        "version": PLAN_VERSION,
        "kind": "fencewalk plan",
        "inputs": [
            {"role": role, "path": str(path.resolve()), "sha256": sha256_of(path)}
            for role, path in inputs.items()
        ],
        "boundary_options": boundary_options,
        "vertical": {
            "dem_reference": survey.dem.vertical_reference,
            "geoid_undulation_m": survey.dem.geoid_undulation_m,
            "mission_altitudes": survey.output.altitude,
            "meaning": "altitudes above home are differences of the DEM's own heights, so its "
            "reference cancels; altitudes above mean sea level are the DEM's heights less "
            "geoid_undulation_m if dem_reference is ellipsoid",
        },
        "frame": {"lon0_deg": plan.frame.lon0_deg, "lat0_deg": plan.frame.lat0_deg},
        "camera": camera,
        "aircraft": survey.aircraft.model_dump(),
        "survey": survey.model_dump(mode="json"),
        "targets": {
            mode: {
                "height_m": round(target.height_m, 2),
                "distance_m": round(target.distance_m, 2),
                "gsd_m": round(target.gsd_m, 5),
                "offset_m": round(target.offset_m, 2),
                "gimbal_pitch_deg": round(target.pitch_deg, 1),
            }
            for mode, target in plan.targets.items()
        },
        "launch_sites": [
            {
                "name": launch.name, "lon_deg": launch.lon_deg, "lat_deg": launch.lat_deg,
                "ground_dem_m": round(launch.ground_m, 2), "proposed": launch.proposed,
            }
            for launch in plan.launches
        ],
        "sorties": [sortie.details for sortie in sorties],
        "coverage": coverage_rows(plan),
        "summary": summary(plan),
        "notes": plan.notes,
    }  # fmt: skip


def coverage_rows(plan: SurveyPlan) -> list[dict[str, Any]]:
    """Predicted coverage, a row a piece; the lengths of one mode add up to the boundaries'."""
    rows = []
    for mode, by_boundary in plan.coverage.items():
        for boundary, pieces in zip(plan.boundaries, by_boundary, strict=True):
            for piece in pieces:
                rows.append(
                    {
                        "mode": mode,
                        "route": boundary.route,
                        "side": boundary.side.value,
                        "chainage_start_m": round(piece.start_m, 3),
                        "chainage_end_m": round(piece.end_m, 3),
                        "length_m": round(piece.length_m, 4),
                        "state": piece.state,
                        "reason": piece.reason,
                        "gsd_m": piece.gsd_m,
                        "views": piece.views,
                        "view_deg": piece.view_deg,
                        "district": piece.district,
                    }
                )
    return rows


def summary(plan: SurveyPlan) -> dict[str, Any]:
    """The numbers a reader wants first."""
    lengths: dict[str, dict[str, float]] = {}
    for mode, by_boundary in plan.coverage.items():
        states = dict.fromkeys(("covered", "no_fence", "uncovered", "not_planned"), 0.0)
        for pieces in by_boundary:
            for piece in pieces:
                states[piece.state] += piece.length_m
        lengths[mode] = {f"{state}_m": round(value, 2) for state, value in states.items()}
    return {
        "districts": _district_lengths(plan),
        "boundary_length_m": round(math.fsum(b.length_m for b in plan.boundaries), 2),
        "coverage": lengths,
        "sorties": len(plan.sorties),
        "flight_time_s": round(sum(sortie.cost.time_s for sortie in plan.sorties), 1),
        "photos": len(plan.photos.xyz),
    }


def _district_lengths(plan: SurveyPlan) -> dict[str, dict[str, dict[str, float]]]:
    """Metres by district, mode and state; empty where the survey names no districts."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    if not plan.districts.names:
        return found
    for mode, by_boundary in plan.coverage.items():
        for piece in (piece for pieces in by_boundary for piece in pieces):
            states = found.setdefault(piece.district, {}).setdefault(mode, {})
            key = f"{piece.state}_m"
            states[key] = round(states.get(key, 0.0) + piece.length_m, 2)
    return found
