"""`.plan`: QGroundControl's JSON with mission, geofence and rally points in one file.

Keys as QGroundControl's own reader requires them
(https://docs.qgroundcontrol.com/master/en/qgc-dev-guide/file_formats/plan.html).
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from corridor import InputError, LonLat, write_json
from missions.mission import (
    WITH_PLACE,
    FenceCircle,
    FencePolygon,
    Frame,
    Geofence,
    Mission,
    MissionItem,
    RallyPoint,
    Sortie,
)

_FIRMWARE_ARDUPILOT = 3
_VEHICLE_QUADROTOR = 2
_ALTITUDE_MODE = {Frame.ABOVE_HOME: 1, Frame.MEAN_SEA_LEVEL: 2, Frame.ABOVE_TERRAIN: 4}


def write_qgc_plan(
    path: str | Path, sortie: Sortie, cruise_speed_m_s: float = 15.0, hover_speed_m_s: float = 5.0
) -> None:
    """Writes a sortie's mission, fence and rally points."""
    mission = sortie.mission
    document = {
        "fileType": "Plan",
        "version": 1,
        "groundStation": "fencewalk",
        "mission": {
            "version": 2,
            "firmwareType": _FIRMWARE_ARDUPILOT,
            "vehicleType": _VEHICLE_QUADROTOR,
            "cruiseSpeed": cruise_speed_m_s,
            "hoverSpeed": hover_speed_m_s,
            "globalPlanAltitudeMode": 0,
            "plannedHomePosition": [
                mission.home.lat_deg,
                mission.home.lon_deg,
                mission.home_altitude_m,
            ],
            "items": [_simple_item(n, item) for n, item in enumerate(mission.items, start=1)],
        },
        "geoFence": {
            "version": 2,
            "polygons": [
                {
                    "version": 1,
                    "inclusion": polygon.inclusion,
                    "polygon": [[v.lat_deg, v.lon_deg] for v in polygon.vertices],
                }
                for polygon in sortie.geofence.polygons
            ],
            "circles": [
                {
                    "version": 1,
                    "inclusion": circle.inclusion,
                    "circle": {
                        "center": [circle.centre.lat_deg, circle.centre.lon_deg],
                        "radius": circle.radius_m,
                    },
                }
                for circle in sortie.geofence.circles
            ],
        },
        "rallyPoints": {
            "version": 2,
            "points": [
                [point.position.lat_deg, point.position.lon_deg, point.altitude_above_home_m]
                for point in sortie.rally
            ],
        },
    }
    write_json(path, document)


def _simple_item(number: int, item: MissionItem) -> dict[str, Any]:
    simple: dict[str, Any] = {
        "type": "SimpleItem",
        "command": int(item.command),
        "frame": int(item.frame),
        "params": list(item.params),
        "autoContinue": True,
        "doJumpId": number,
    }
    if item.command in WITH_PLACE and item.frame in _ALTITUDE_MODE:
        simple["Altitude"] = item.altitude_m
        simple["AltitudeMode"] = _ALTITUDE_MODE[Frame(item.frame)]
        simple["AMSLAltAboveTerrain"] = None
    return simple


def read_qgc_plan(path: str | Path) -> Sortie:
    """Reads a `.plan`; the sortie is named by the file.

    Raises:
        InputError: if the file is no plan of these versions, or holds complex items.
    """
    file = Path(path)
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(path, f"cannot be read as JSON ({error})") from error
    try:
        return _sortie(file, document)
    except (KeyError, TypeError, IndexError, ValueError, AttributeError) as error:
        raise InputError(
            path, f"is no QGroundControl plan ({type(error).__name__}: {error})"
        ) from error


def _sortie(file: Path, document: dict[str, Any]) -> Sortie:
    if document["fileType"] != "Plan" or document["version"] != 1:
        raise InputError(
            file, f"has fileType {document['fileType']!r} version {document['version']}",
            "fileType 'Plan' version 1 is read",
        )  # fmt: skip
    mission, fence, rally = document["mission"], document["geoFence"], document["rallyPoints"]
    for name, part in (("mission", mission), ("geoFence", fence), ("rallyPoints", rally)):
        if part["version"] != 2:
            raise InputError(file, f"its {name} has version {part['version']}", "2 is read")
    lat, lon, altitude_m = mission["plannedHomePosition"]
    return Sortie(
        sortie_id=file.stem,
        mission=Mission(
            LonLat(lon, lat), float(altitude_m), tuple(_item(file, i) for i in mission["items"])
        ),
        geofence=Geofence(
            tuple(
                FencePolygon(
                    tuple(LonLat(lon, lat) for lat, lon in polygon["polygon"]),
                    bool(polygon["inclusion"]),
                )
                for polygon in fence["polygons"]
            ),
            tuple(
                FenceCircle(
                    LonLat(circle["circle"]["center"][1], circle["circle"]["center"][0]),
                    float(circle["circle"]["radius"]),
                    bool(circle["inclusion"]),
                )
                for circle in fence["circles"]
            ),
        ),
        rally=tuple(
            RallyPoint(LonLat(lon, lat), float(altitude)) for lat, lon, altitude in rally["points"]
        ),
    )


def _item(file: Path, simple: dict[str, Any]) -> MissionItem:
    if simple["type"] != "SimpleItem":
        raise InputError(file, f"holds a {simple['type']}", "only SimpleItem is read")
    # QGroundControl writes null for "not given", which the vehicle reads as NaN; ArduPilot takes 0.
    params = tuple(0.0 if value is None else float(value) for value in simple["params"])
    if len(params) != 7 or not all(math.isfinite(value) for value in params):
        raise ValueError(f"item {simple.get('doJumpId')} needs seven finite params")
    return MissionItem.from_params(int(simple["command"]), int(simple["frame"]), params)
