"""A plan as layers for a GIS, as KML to look at, and as a schedule table."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import geopandas
import numpy as np
import shapely

from corridor import LonLat, Track, atomic_path, write_text
from missions.mission import Sortie
from missions.optics import Optics
from missions.planner import SurveyPlan
from missions.schedule import Slot


def write_gpkg(path: str | Path, plan: SurveyPlan, sorties: Sequence[Sortie]) -> None:
    """Layers `boundaries`, `lanes`, `sorties`, `footprints`, `coverage`, `places`, WGS 84."""
    frame = plan.frame

    def line(xyz: np.ndarray) -> shapely.LineString:
        return shapely.LineString(np.column_stack([frame.to_lonlat(xyz[:, :2]), xyz[:, 2]]))

    layers: dict[str, tuple[list[dict[str, object]], list[shapely.Geometry]]] = {
        name: ([], [])
        for name in ("boundaries", "lanes", "sorties", "footprints", "coverage", "places")
    }

    def add(layer: str, geometry: shapely.Geometry, **columns: object) -> None:
        layers[layer][0].append(columns)
        layers[layer][1].append(geometry)

    for boundary in plan.boundaries:
        add(
            "boundaries", shapely.MultiLineString([shapely.LineString(p) for p in boundary.parts]),
            route=boundary.route, side=boundary.side.value,
            chainage_start_m=boundary.chainage_start_m[0], length_m=boundary.length_m,
        )  # fmt: skip
    for sortie, made in zip(sorties, plan.sorties, strict=True):
        add(
            "sorties", line(made.cost.points), sortie_id=sortie.sortie_id,
            launch=made.launch.name, duration_s=made.cost.time_s,
            energy_wh=float(made.cost.energy_wh.max()),
            rtl_altitude_m=made.home.altitude_m, district=made.district,
        )  # fmt: skip
        for run in made.runs:
            add(
                "lanes", line(run.xyz), sortie_id=sortie.sortie_id, mode=run.mode,
                route=plan.boundaries[run.boundary].route,
                side=plan.boundaries[run.boundary].side.value,
                chainage_start_m=float(run.chainage_m[0]),
                chainage_end_m=float(run.chainage_m[-1]), speed_m_s=run.speed_m_s,
                trigger_distance_m=run.spacing_m, gimbal_pitch_deg=run.pitch_deg,
                district=run.district,
            )  # fmt: skip
        for kind, place, altitude_m in (
            ("home", made.launch, 0.0),
            *(("rally", point.place, point.altitude_m) for point in made.rally),
        ):
            add(
                "places", shapely.Point(place.lon_deg, place.lat_deg), kind=kind, name=place.name,
                sortie_id=sortie.sortie_id, altitude_above_home_m=altitude_m,
                proposed=place.proposed,
            )  # fmt: skip
    for k, ring in enumerate(footprints(plan)):
        add(
            "footprints", shapely.Polygon(ring), mode=str(plan.photos.mode[k]),
            sortie_id=sorties[int(plan.photos.sortie[k])].sortie_id,
        )  # fmt: skip
    for mode, by_boundary in plan.coverage.items():
        for boundary, pieces in zip(plan.boundaries, by_boundary, strict=True):
            for part in range(len(boundary.parts)):
                track = Track.of(boundary, part, frame)
                for piece in pieces:
                    if not track.chainage_m[0] - 1e-6 <= piece.start_m < track.chainage_m[-1]:
                        continue
                    inner = track.chainage_m[
                        (track.chainage_m > piece.start_m) & (track.chainage_m < piece.end_m)
                    ]
                    xy = track.at(np.concatenate([[piece.start_m], inner, [piece.end_m]]))
                    add(
                        "coverage", shapely.LineString(frame.to_lonlat(xy)), mode=mode,
                        route=boundary.route, side=boundary.side.value,
                        chainage_start_m=piece.start_m, chainage_end_m=piece.end_m,
                        state=piece.state, reason=piece.reason, gsd_m=piece.gsd_m,
                        views=piece.views, view_deg=piece.view_deg, district=piece.district,
                    )  # fmt: skip
    with atomic_path(path) as partial:
        for name, (rows, geometry) in layers.items():
            table = geopandas.GeoDataFrame(rows, geometry=geometry, crs="EPSG:4326")
            table.to_file(partial, layer=name, driver="GPKG")


def footprints(plan: SurveyPlan) -> np.ndarray:
    """(N, 4, 2) longitudes and latitudes of the pictures' corners, on level ground below each."""
    photos = plan.photos
    optics = Optics(plan.survey.camera)
    tan_w = np.tan(np.radians(optics.half_width_deg()))
    tan_h = np.tan(np.radians(optics.half_height_deg()))
    yaw, pitch = np.radians(photos.yaw_deg), np.radians(photos.pitch_deg)
    ground = plan.dem.ground_m(photos.xyz[:, :2])
    height = np.maximum(photos.xyz[:, 2] - np.where(np.isfinite(ground), ground, 0.0), 1.0)
    corners = []
    for right, up in ((-tan_w, tan_h), (tan_w, tan_h), (tan_w, -tan_h), (-tan_w, -tan_h)):
        ahead = np.cos(pitch) - up * np.sin(pitch)
        down = -(np.sin(pitch) + up * np.cos(pitch))
        # Rays near the horizon are cut off at ten heights.
        scale = height / np.maximum(down, 0.1)
        east = scale * (ahead * np.sin(yaw) + right * np.cos(yaw))
        north = scale * (ahead * np.cos(yaw) - right * np.sin(yaw))
        corners.append(photos.xyz[:, :2] + np.column_stack([east, north]))
    flat = np.concatenate(corners) if len(height) else np.empty((0, 2))
    if not len(flat):
        return np.empty((0, 4, 2))
    lonlat = plan.frame.to_lonlat(flat)
    return np.asarray(lonlat.reshape(4, -1, 2).transpose(1, 0, 2))


def write_kml(path: str | Path, sorties: Sequence[Sortie]) -> None:
    """All sorties as lines with heights above their home, for a globe."""
    marks = []
    for sortie in sorties:
        mission = sortie.mission
        marks.append(_mark(f"{sortie.sortie_id} home", mission.home))
        marks += [
            _mark(f"{sortie.sortie_id} rally {number}", point.position)
            for number, point in enumerate(sortie.rally, start=1)
        ]
        points = []
        for item in mission.items:
            if item.position is not None:
                z = item.altitude_m + (mission.home_altitude_m if item.frame == 3 else 0.0)
                points.append(f"{item.position.lon_deg:.7f},{item.position.lat_deg:.7f},{z:.1f}")
        marks.append(
            f"<Placemark><name>{escape(sortie.sortie_id)}</name><LineString>"
            "<altitudeMode>absolute</altitudeMode>"
            f"<coordinates>{' '.join(points)}</coordinates></LineString></Placemark>"
        )
    write_text(
        path,
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<kml xmlns="http://www.opengis.net/kml/2.2"><Document>\n'
        + "\n".join(marks)
        + "\n</Document></kml>\n",
    )


def _mark(name: str, place: LonLat) -> str:
    return (
        f"<Placemark><name>{escape(name)}</name><Point><coordinates>"
        f"{place.lon_deg:.7f},{place.lat_deg:.7f}</coordinates></Point></Placemark>"
    )


def write_schedule(path: str | Path, slots: Sequence[Slot]) -> None:
    """The schedule as CSV."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(
        ["day", "team", "sortie_id", "launch", "flight_minutes", "start", "end", "district"]
    )
    for slot in slots:
        flown_min = (slot.end - slot.start).total_seconds() / 60.0
        table.writerow(
            [
                slot.day.isoformat(), slot.team, slot.sortie_id, slot.launch, f"{flown_min:.0f}",
                f"{slot.start:%H:%M}", f"{slot.end:%H:%M}", slot.district,
            ]
        )  # fmt: skip
    write_text(path, text.getvalue())
