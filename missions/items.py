"""A flight's segments as mission items: where the camera is switched, and with what."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from corridor import LocalFrame, LonLat
from corridor.values import FloatArray
from missions.flight import Launch, Segment
from missions.mission import Command, Frame, Mission, MissionItem
from missions.survey import Survey

_TURN_DEG = 12.0
_ONE_PLACE_M = 0.02


def mission_of(
    segments: Sequence[Segment],
    launch: Launch,
    survey: Survey,
    frame: LocalFrame,
    msl_offset_m: float = 0.0,
) -> Mission:
    """The mission of a flight.

    Every lane sends speed, gimbal and trigger anew, so that a mission cut and resumed anywhere, or
    a battery change, loses none of them; the camera is off on the way between lanes and home.

    Args:
        msl_offset_m: added to heights in the DEM's reference to get mean sea level.
    """
    above_home = survey.output.altitude == "home"
    nav_frame = Frame.ABOVE_HOME if above_home else Frame.MEAN_SEA_LEVEL
    home_ground = round(launch.ground_m, 2)
    shift = -home_ground if above_home else msl_offset_m

    def place(point: FloatArray) -> LonLat:
        lon, lat = frame.to_lonlat(point[:2])[0]
        # The vehicle keeps 1e-7 degrees: what is written is what it holds.
        return LonLat(round(float(lon), 7), round(float(lat), 7))

    def altitude(z: float) -> float:
        return math.ceil((z + shift) * 100.0 - 1e-6) / 100.0

    home = LonLat(round(launch.lon_deg, 7), round(launch.lat_deg, 7))
    items: list[MissionItem] = []
    camera_on = False
    speed: float | None = None
    for number, segment in enumerate(segments):
        if segment.kind == "takeoff":
            items.append(
                MissionItem(
                    Command.TAKEOFF,
                    nav_frame,
                    position=home,
                    altitude_m=altitude(float(segment.xyz[-1, 2])),
                )
            )
            items.append(_speed_item(segment.speed_m_s))
            speed = segment.speed_m_s
            continue
        if segment.kind == "landing":
            continue
        points = segment.xyz
        previous = segments[number - 1].xyz[-1] if number else points[0]
        joined = np.allclose(points[0], previous, atol=0.01)
        if segment.kind == "transit":
            if camera_on:
                items.append(MissionItem(Command.DO_SET_CAM_TRIGG_DIST))
                camera_on = False
            if speed != segment.speed_m_s:
                items.append(_speed_item(segment.speed_m_s))
                speed = segment.speed_m_s
            for point in points[1:] if joined else points:
                items.append(_waypoint(place(point), altitude(float(point[2])), nav_frame))
            continue
        run = segment.run
        if run is None:
            raise ValueError("a lane segment carries its run")
        if not joined:
            items.append(_waypoint(place(points[0]), altitude(float(points[0, 2])), nav_frame))
        items.append(_speed_item(segment.speed_m_s))
        speed = segment.speed_m_s
        sideways = look_side(segment)
        items += _aim_items(run.pitch_deg, sideways, survey)
        heading: float | None = None
        turning = sideways != 0 and survey.camera.gimbal_yaw_range_deg < 90.0
        first = True
        for a, b in itertools.pairwise(_apart(points)):
            course = math.degrees(math.atan2(b[0] - a[0], b[1] - a[1])) % 360.0
            if turning and (heading is None or _turned_deg(course, heading) > _TURN_DEG):
                heading = course
                items.append(
                    MissionItem(
                        Command.CONDITION_YAW, p1=round((course + 90.0 * sideways) % 360.0, 1)
                    )
                )
            if first:
                items.append(MissionItem(Command.DO_SET_CAM_TRIGG_DIST, p1=run.spacing_m, p3=1.0))
                camera_on, first = True, False
            items.append(_waypoint(place(b), altitude(float(b[2])), nav_frame))
    if camera_on:
        items.append(MissionItem(Command.DO_SET_CAM_TRIGG_DIST))
    items.append(MissionItem(Command.RETURN_TO_LAUNCH))
    return Mission(home, round(home_ground + msl_offset_m, 2), tuple(items))


def _apart(points: FloatArray) -> FloatArray:
    """A lane's points without those that are one once written (the first and last stay)."""
    moved = np.linalg.norm(np.diff(points, axis=0), axis=1) > _ONE_PLACE_M
    moved[-1] = True
    return points[np.concatenate([[True], moved])]


def look_side(segment: Segment) -> int:
    """Which way the camera looks on a lane: +1 right of the course, -1 left, 0 straight down.

    An oblique lane lies on the outer side and looks back at the fence: on a left boundary, flown
    with the chainage, that is to the right.
    """
    run = segment.run
    if run is None or run.mode == "nadir":
        return 0
    return (-1 if segment.reverse else 1) * run.look


def item_count(segments: Sequence[Segment], survey: Survey) -> int:
    """At most how many items the flight's mission has, the home placeholder included."""
    count = 4
    for segment in segments:
        count += len(segment.xyz) + 2
        if segment.run is not None:
            count += 4
            if segment.run.mode == "oblique" and survey.camera.gimbal_yaw_range_deg < 90.0:
                count += len(segment.xyz)
    return count


def _aim_items(pitch_deg: float, sideways: int, survey: Survey) -> list[MissionItem]:
    if survey.camera.gimbal_pitch_min_deg == survey.camera.gimbal_pitch_max_deg:
        return []  # fixed to the airframe
    yaw = 90.0 * sideways if survey.camera.gimbal_yaw_range_deg >= 90.0 else 0.0
    return [MissionItem(Command.DO_MOUNT_CONTROL, p1=pitch_deg, p3=yaw, altitude_m=2.0)]


def _waypoint(position: LonLat, altitude_m: float, frame: Frame) -> MissionItem:
    return MissionItem(Command.WAYPOINT, frame, position=position, altitude_m=altitude_m)


def _speed_item(speed_m_s: float) -> MissionItem:
    return MissionItem(Command.DO_CHANGE_SPEED, p1=1.0, p2=speed_m_s, p3=-1.0)


def _turned_deg(one: float, other: float) -> float:
    return abs((one - other + 180.0) % 360.0 - 180.0)
