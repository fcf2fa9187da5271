"""`.kmz`: DJI's WPML, with `wpmz/template.kml` and `wpmz/waylines.wpml`.

The aircraft flies `waylines.wpml` alone; `template.kml` is what the ground station shows, and makes
the other from again if the pilot edits it, so both say the same. Elements as in DJI's Cloud API
reference (https://developer.dji.com/doc/cloud-api-tutorial/en/api-reference/dji-wpml/overview.html).
"""

from __future__ import annotations

import itertools
import zipfile
from pathlib import Path
from xml.etree import ElementTree as ET

from corridor import InputError, LonLat, atomic_path
from missions.wayline import CameraRun, DjiHardware, Wayline, WaylinePoint, length_m

TEMPLATE, WAYLINES = "wpmz/template.kml", "wpmz/waylines.wpml"

_KML = "http://www.opengis.net/kml/2.2"
_WPML = "http://www.dji.com/wpmz/1.0.2"
_STOP, _CUT = "toPointAndStopWithDiscontinuityCurvature", "coordinateTurn"
_FOLLOW, _TURN = "followWayline", "smoothTransition"
_RELATIVE = "relativeToStartPoint"


def write_dji_kmz(path: str | Path, wayline: Wayline) -> None:
    """Writes one flight; the same flight gives the same bytes."""
    ET.register_namespace("", _KML)
    ET.register_namespace("wpml", _WPML)
    with atomic_path(path) as partial, zipfile.ZipFile(partial, "w") as archive:
        for name, root in ((TEMPLATE, _template(wayline)), (WAYLINES, _waylines(wayline))):
            ET.indent(root)
            text = ET.tostring(root, encoding="UTF-8", xml_declaration=True)
            entry = zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, text)


def _add(parent: ET.Element, name: str, value: object = None) -> ET.Element:
    child = ET.SubElement(parent, f"{{{_WPML}}}{name}")
    if value is not None:
        child.text = str(value)
    return child


def _document(wayline: Wayline, *, template: bool) -> tuple[ET.Element, ET.Element]:
    root = ET.Element(f"{{{_KML}}}kml")
    document = ET.SubElement(root, f"{{{_KML}}}Document")
    if template:
        _add(document, "author", "fencewalk")
    config = _add(document, "missionConfig")
    _add(config, "flyToWaylineMode", "safely")
    _add(config, "finishAction", "goHome")
    # Radio lost: leave the wayline and return, as in the parameters for ArduPilot.
    _add(config, "exitOnRCLost", "executeLostAction")
    _add(config, "executeRCLostAction", "goBack")
    _add(config, "takeOffSecurityHeight", f"{wayline.security_height_m:.2f}")
    if template:
        home = wayline.home
        place = f"{home.lat_deg:.8f},{home.lon_deg:.8f},{wayline.home_altitude_m:.3f}"
        _add(config, "takeOffRefPoint", place)
        _add(config, "takeOffRefPointAGLHeight", 0)
    _add(config, "globalTransitionalSpeed", f"{wayline.points[0].speed_m_s:.3f}")
    _add(config, "globalRTHHeight", f"{wayline.return_height_m:.2f}")
    if wayline.hardware.drone is not None:
        drone = _add(config, "droneInfo")
        _add(drone, "droneEnumValue", wayline.hardware.drone[0])
        _add(drone, "droneSubEnumValue", wayline.hardware.drone[1])
    if wayline.hardware.payload is not None:
        payload = _add(config, "payloadInfo")
        _add(payload, "payloadEnumValue", wayline.hardware.payload)
        _add(payload, "payloadSubEnumValue", 0)
        _add(payload, "payloadPositionIndex", 0)
    return root, document


def _waylines(wayline: Wayline) -> ET.Element:
    root, document = _document(wayline, template=False)
    folder = ET.SubElement(document, f"{{{_KML}}}Folder")
    _add(folder, "templateId", 0)
    _add(folder, "executeHeightMode", _RELATIVE)
    _add(folder, "waylineId", 0)
    steps = [
        (length_m(a.position, b.position), a.speed_m_s)
        for a, b in itertools.pairwise(wayline.points)
    ]
    _add(folder, "distance", f"{sum(length for length, _ in steps):.1f}")
    _add(folder, "duration", f"{sum(length / speed for length, speed in steps):.1f}")
    _add(folder, "autoFlightSpeed", f"{wayline.points[0].speed_m_s:.3f}")
    for index, point in enumerate(wayline.points):
        placemark = _placemark(folder, index, point)
        _add(placemark, "executeHeight", f"{point.height_m:.3f}")
        _add(placemark, "waypointSpeed", f"{point.speed_m_s:.3f}")
        _flying(placemark, index, point, wayline)
    return root


def _template(wayline: Wayline) -> ET.Element:
    root, document = _document(wayline, template=True)
    folder = ET.SubElement(document, f"{{{_KML}}}Folder")
    _add(folder, "templateType", "waypoint")
    _add(folder, "templateId", 0)
    system = _add(folder, "waylineCoordinateSysParam")
    _add(system, "coordinateMode", "WGS84")
    _add(system, "heightMode", _RELATIVE)
    _add(folder, "autoFlightSpeed", f"{wayline.points[0].speed_m_s:.3f}")
    _add(folder, "globalHeight", f"{wayline.points[0].height_m:.3f}")
    _add(folder, "gimbalPitchMode", "manual")
    _heading(_add(folder, "globalWaypointHeadingParam"), None)
    _add(folder, "globalWaypointTurnMode", _STOP)
    _add(folder, "globalUseStraightLine", 1)
    for index, point in enumerate(wayline.points):
        placemark = _placemark(folder, index, point)
        _add(placemark, "ellipsoidHeight", f"{point.height_m:.3f}")
        _add(placemark, "height", f"{point.height_m:.3f}")
        for same in ("Height", "Speed", "HeadingParam", "TurnParam"):
            _add(placemark, f"useGlobal{same}", 0)
        _add(placemark, "waypointSpeed", f"{point.speed_m_s:.3f}")
        _flying(placemark, index, point, wayline)
    return root


def _placemark(folder: ET.Element, index: int, point: WaylinePoint) -> ET.Element:
    placemark = ET.SubElement(folder, f"{{{_KML}}}Placemark")
    place = ET.SubElement(placemark, f"{{{_KML}}}Point")
    coordinates = ET.SubElement(place, f"{{{_KML}}}coordinates")
    coordinates.text = f"{point.position.lon_deg:.8f},{point.position.lat_deg:.8f}"
    _add(placemark, "index", index)
    return placemark


def _heading(parent: ET.Element, heading_deg: float | None) -> None:
    _add(parent, "waypointHeadingMode", _FOLLOW if heading_deg is None else _TURN)
    _add(parent, "waypointHeadingAngle", f"{heading_deg or 0.0:.2f}")
    _add(parent, "waypointPoiPoint", "0.000000,0.000000,0.000000")
    _add(parent, "waypointHeadingAngleEnable", int(heading_deg is not None))
    _add(parent, "waypointHeadingPathMode", "followBadArc")


def _flying(placemark: ET.Element, index: int, point: WaylinePoint, wayline: Wayline) -> None:
    """What both files say of a waypoint: heading, turn, and the camera run that begins at it."""
    _heading(_add(placemark, "waypointHeadingParam"), point.heading_deg)
    turn = _add(placemark, "waypointTurnParam")
    _add(turn, "waypointTurnMode", _STOP if point.damping_m is None else _CUT)
    _add(turn, "waypointTurnDampingDist", f"{point.damping_m or 0.0:.3f}")
    _add(placemark, "useStraightLine", 1)
    for number, run in enumerate(wayline.runs):
        if run.first == index:
            _camera(placemark, 2 * number, run, point, wayline.hardware.lens)


def _camera(
    placemark: ET.Element, number: int, run: CameraRun, point: WaylinePoint, lens: str
) -> None:
    start = _group(placemark, number, run.first, run.first, "reachPoint")
    actions = 0
    if point.heading_deg is not None:
        turn = _action(start, actions, "rotateYaw")
        _add(turn, "aircraftHeading", f"{point.heading_deg:.2f}")
        _add(turn, "aircraftPathMode", "clockwise")
        actions += 1
    if run.pitch_deg is not None:
        aim = _action(start, actions, "gimbalRotate")
        _add(aim, "gimbalRotateMode", "absoluteAngle")
        _add(aim, "gimbalPitchRotateEnable", 1)
        _add(aim, "gimbalPitchRotateAngle", f"{run.pitch_deg:.2f}")
        for axis in ("Roll", "Yaw"):
            _add(aim, f"gimbal{axis}RotateEnable", 0)
            _add(aim, f"gimbal{axis}RotateAngle", 0)
        _add(aim, "gimbalRotateTimeEnable", 0)
        _add(aim, "gimbalRotateTime", 0)
        _add(aim, "payloadPositionIndex", 0)
        actions += 1
    _photo(start, actions, lens)
    along = _group(placemark, number + 1, run.first, run.last, "multipleDistance", run.spacing_m)
    _photo(along, 0, lens)


def _group(
    placemark: ET.Element, number: int, first: int, last: int, trigger: str, every_m: float = 0.0
) -> ET.Element:
    group = _add(placemark, "actionGroup")
    _add(group, "actionGroupId", number)
    _add(group, "actionGroupStartIndex", first)
    _add(group, "actionGroupEndIndex", last)
    _add(group, "actionGroupMode", "sequence")
    kind = _add(group, "actionTrigger")
    _add(kind, "actionTriggerType", trigger)
    if every_m:
        _add(kind, "actionTriggerParam", f"{every_m:.3f}")
    return group


def _action(group: ET.Element, number: int, function: str) -> ET.Element:
    action = _add(group, "action")
    _add(action, "actionId", number)
    _add(action, "actionActuatorFunc", function)
    return _add(action, "actionActuatorFuncParam")


def _photo(group: ET.Element, number: int, lens: str) -> None:
    photo = _action(group, number, "takePhoto")
    _add(photo, "payloadPositionIndex", 0)
    if lens:
        _add(photo, "payloadLensIndex", lens)
    _add(photo, "useGlobalPayloadLensIndex", 0)


def read_dji_kmz(path: str | Path) -> Wayline:
    """Reads what the aircraft would fly; of `template.kml` only the take-off point is used.

    Raises:
        InputError: if the file is no such archive, if heights are not above the take-off point, or
            if the indices do not run from 0 without a hole.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            template, waylines = (archive.read(name) for name in (TEMPLATE, WAYLINES))
    except (OSError, zipfile.BadZipFile, KeyError) as error:
        raise InputError(path, f"is no WPML archive ({error})") from error
    if b"<!DOCTYPE" in template + waylines:
        raise InputError(path, "declares a document type", "WPML has none")
    try:
        return _wayline(path, ET.fromstring(template), ET.fromstring(waylines))
    except (ET.ParseError, ValueError, IndexError) as error:
        raise InputError(path, f"holds no WPML that can be read ({error})") from error


def _text(parent: ET.Element, name: str) -> str:
    found = parent.find(f".//{{{_WPML}}}{name}")
    if found is None or found.text is None:
        raise ValueError(f"{name} is missing")
    return found.text.strip()


def _optional(parent: ET.Element, name: str) -> str:
    found = parent.find(f".//{{{_WPML}}}{name}")
    return "" if found is None or found.text is None else found.text.strip()


def _wayline(path: str | Path, template: ET.Element, root: ET.Element) -> Wayline:
    mode = _text(root, "executeHeightMode")
    if mode != _RELATIVE:
        raise InputError(path, f"has executeHeightMode {mode}", f"{_RELATIVE} is read")
    if len(root.findall(f".//{{{_KML}}}Folder")) != 1:
        raise InputError(path, "holds several waylines", "one is read")
    points, runs = [], []
    for expected, placemark in enumerate(root.findall(f".//{{{_KML}}}Placemark")):
        index = int(_text(placemark, "index"))
        if index != expected:
            raise InputError(path, f"has waypoint index {index}", f"{expected} comes next")
        coordinates = placemark.find(f"{{{_KML}}}Point/{{{_KML}}}coordinates")
        if coordinates is None or coordinates.text is None:
            raise InputError(path, f"has no place for waypoint {index}")
        lon, lat = (float(value) for value in coordinates.text.split(",")[:2])
        follows = _text(placemark, "waypointHeadingMode") == _FOLLOW
        stops = _text(placemark, "waypointTurnMode") == _STOP
        points.append(
            WaylinePoint(
                LonLat(lon, lat),
                float(_text(placemark, "executeHeight")),
                float(_text(placemark, "waypointSpeed")),
                None if follows else float(_text(placemark, "waypointHeadingAngle")),
                None if stops else float(_text(placemark, "waypointTurnDampingDist")),
            )
        )
        runs += _runs(placemark)
    if not points:
        raise InputError(path, "holds no waypoint")
    lat, lon, altitude = (float(value) for value in _text(template, "takeOffRefPoint").split(","))
    drone, payload = _optional(root, "droneEnumValue"), _optional(root, "payloadEnumValue")
    return Wayline(
        LonLat(lon, lat),
        altitude,
        float(_text(root, "takeOffSecurityHeight")),
        float(_text(root, "globalRTHHeight")),
        tuple(points),
        tuple(runs),
        DjiHardware(
            (int(drone), int(_text(root, "droneSubEnumValue"))) if drone else None,
            int(payload) if payload else None,
            _optional(root, "payloadLensIndex"),
        ),
    )


def _runs(placemark: ET.Element) -> list[CameraRun]:
    runs: list[CameraRun] = []
    pitch = ""
    for group in placemark.findall(f"{{{_WPML}}}actionGroup"):
        if _text(group, "actionTriggerType") == "multipleDistance":
            runs.append(
                CameraRun(
                    int(_text(group, "actionGroupStartIndex")),
                    int(_text(group, "actionGroupEndIndex")),
                    float(_text(group, "actionTriggerParam")),
                    float(pitch) if pitch else None,
                )
            )
            pitch = ""
        else:
            pitch = _optional(group, "gimbalPitchRotateAngle")
    return runs
