"""A mission as a DJI aircraft flies it: points with heights above take-off, and camera runs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from corridor import LonLat
from corridor.values import WGS84
from missions.mission import Command, Frame, Mission

SLOWEST_M_S, FASTEST_M_S = 1.0, 15.0
"""What DJI accepts as a waypoint's speed."""

_LOWEST_RETURN_M = 20.0
_LEAST_SECURITY_M = 1.2
_DAMPING_M = 2.0
_SHORT_LEG_M = 5.0


class NotForDji(ValueError):
    """This mission cannot be said in DJI's format without changing it."""


@dataclass(frozen=True, slots=True)
class WaylinePoint:
    """A waypoint.

    Attributes:
        height_m: above the take-off point.
        speed_m_s: on the leg that begins here.
        heading_deg: of the nose here, turning evenly to the next point's (-180 to 180); None
            follows the course.
        damping_m: the corner is cut from this far before the point; None stops at the point.
    """

    position: LonLat
    height_m: float
    speed_m_s: float
    heading_deg: float | None = None
    damping_m: float | None = None


@dataclass(frozen=True, slots=True)
class CameraRun:
    """Pictures by distance from point `first` to point `last`, one at `first` itself.

    Attributes:
        spacing_m: over ground.
        pitch_deg: of the gimbal; None leaves it as it is (a camera fixed to the airframe).
    """

    first: int
    last: int
    spacing_m: float
    pitch_deg: float | None


@dataclass(frozen=True, slots=True)
class DjiHardware:
    """DJI's numbers for aircraft and payload (Cloud API, product support); None is not stated."""

    drone: tuple[int, int] | None = None
    payload: int | None = None
    lens: str = ""


@dataclass(frozen=True)
class Wayline:
    """One file's flight.

    Attributes:
        home: the take-off point that all heights are above.
        home_altitude_m: of it, above mean sea level; for people, nothing is flown by it.
        security_height_m: climbed to over the take-off point before flying to the first point.
        return_height_m: of the return, above the take-off point.
    """

    home: LonLat
    home_altitude_m: float
    security_height_m: float
    return_height_m: float
    points: tuple[WaylinePoint, ...]
    runs: tuple[CameraRun, ...] = ()
    hardware: DjiHardware = DjiHardware()


@dataclass(frozen=True)
class _Leg:
    speed_m_s: float
    trigger_m: float
    fires: bool
    pitch_deg: float | None
    look_deg: float | None


def wayline_of(mission: Mission, return_height_m: float, hardware: DjiHardware) -> Wayline:
    """What a DJI aircraft has to do to fly a planned mission.

    Heights are above the take-off point, so neither geoid nor ellipsoid enters. Where the camera
    looks sideways the aircraft turns its nose to the fence, which every airframe can.

    Raises:
        NotForDji: naming what DJI's format cannot hold.
    """
    places: list[tuple[LonLat, float]] = []
    legs: list[_Leg] = []
    speed: float | None = None
    trigger, fires, yaw = 0.0, False, 0.0
    pitch: float | None = None
    heading: float | None = None
    for item in mission.items:
        if item.command == Command.DO_CHANGE_SPEED:
            speed = item.p2
        elif item.command == Command.DO_SET_CAM_TRIGG_DIST:
            trigger, fires = item.p1, item.p1 > 0
        elif item.command == Command.DO_MOUNT_CONTROL:
            pitch, yaw = round(item.p1, 2), item.p3
        elif item.command == Command.CONDITION_YAW:
            heading = item.p1
        elif item.command == Command.RETURN_TO_LAUNCH:
            break
        elif item.command in (Command.TAKEOFF, Command.WAYPOINT) and item.p1 == 0:
            place = mission.home if item.command == Command.TAKEOFF else item.position
            if place is None or item.frame not in (Frame.ABOVE_HOME, Frame.MEAN_SEA_LEVEL):
                raise NotForDji(f"a waypoint in frame {item.frame} has no height above take-off")
            above = item.altitude_m
            if item.frame == Frame.MEAN_SEA_LEVEL:
                above -= mission.home_altitude_m
            if places:
                if speed is None or not SLOWEST_M_S <= speed <= FASTEST_M_S:
                    raise NotForDji(f"speed {speed} m/s; {SLOWEST_M_S:g} to {FASTEST_M_S:g} m/s")
                look = None
                if trigger > 0 and yaw:
                    look = _course_deg(places[-1][0], place) + yaw
                elif trigger > 0:
                    look = heading
                legs.append(_Leg(speed, trigger, fires, pitch, look))
                fires = False
            places.append((place, round(above, 2)))
        else:
            raise NotForDji(f"mission command {int(item.command)} has no counterpart")
    if len(places) < 2:
        raise NotForDji("fewer than two waypoints")
    runs = _runs(legs)
    return Wayline(
        mission.home,
        mission.home_altitude_m,
        round(max(_LEAST_SECURITY_M, places[0][1]), 2),
        max(_LOWEST_RETURN_M, float(math.ceil(return_height_m))),
        _points(places, legs, runs),
        runs,
        hardware,
    )


def split(wayline: Wayline, most: int | None) -> list[Wayline]:
    """Parts of at most `most` waypoints; a part begins at the point where the last one ended.

    A later part is a flight of its own: it takes off at home and goes to its first point at the
    return height, on a straight way that is one of those proved for the return.
    """
    if most is None or len(wayline.points) <= most:
        return [wayline]
    if most < 2:
        raise ValueError("a wayline has at least two waypoints")
    parts = []
    for start in range(0, len(wayline.points) - 1, most - 1):
        end = min(start + most - 1, len(wayline.points) - 1)
        points = list(wayline.points[start : end + 1])
        for edge in (0, -1):
            points[edge] = replace(points[edge], damping_m=None)
        runs = tuple(
            replace(run, first=max(run.first, start) - start, last=min(run.last, end) - start)
            for run in wayline.runs
            if run.first < end and run.last > start
        )
        security = wayline.security_height_m if start == 0 else wayline.return_height_m
        parts.append(replace(wayline, points=tuple(points), runs=runs, security_height_m=security))
    return parts


def _runs(legs: Sequence[_Leg]) -> tuple[CameraRun, ...]:
    runs: list[CameraRun] = []
    for number, leg in enumerate(legs):
        if leg.trigger_m <= 0:
            continue
        last = runs[-1] if runs else None
        same = last is not None and last.last == number and not leg.fires
        if last is not None and same and last.pitch_deg == leg.pitch_deg:
            runs[-1] = replace(last, last=number + 1)
        else:
            runs.append(CameraRun(number, number + 1, round(leg.trigger_m, 3), leg.pitch_deg))
    return tuple(runs)


def _points(
    places: Sequence[tuple[LonLat, float]], legs: Sequence[_Leg], runs: Sequence[CameraRun]
) -> tuple[WaylinePoint, ...]:
    lengths = [length_m(a, b) for (a, _), (b, _) in itertools.pairwise(places)]
    edges = {run.first for run in runs} | {run.last for run in runs}
    points = []
    for number, (place, height) in enumerate(places):
        before = legs[number - 1] if number else None
        after = legs[number] if number < len(legs) else None
        heading = None
        if after is not None and after.look_deg is not None:
            inside = before is not None and before.look_deg is not None and number not in edges
            other = before.look_deg if inside and before is not None else None
            heading = _between_deg(after.look_deg, other)
        elif before is not None and before.look_deg is not None:
            heading = _between_deg(before.look_deg, None)
        damping = None
        if before is not None and after is not None and number not in edges:
            shorter = min(lengths[number - 1], lengths[number])
            if shorter >= _SHORT_LEG_M:
                damping = _DAMPING_M
        speed = (after or legs[-1]).speed_m_s
        points.append(WaylinePoint(place, height, round(speed, 3), heading, damping))
    return tuple(points)


def _between_deg(one: float, other: float | None) -> float:
    """The direction halfway between two, from -180 up to 180."""
    turn = 0.0 if other is None else (other - one + 180.0) % 360.0 - 180.0
    return round((one + turn / 2.0 + 180.0) % 360.0 - 180.0, 2)


def length_m(a: LonLat, b: LonLat) -> float:
    """Distance over ground between two places."""
    return float(WGS84.inv(a.lon_deg, a.lat_deg, b.lon_deg, b.lat_deg)[2])


def _course_deg(a: LonLat, b: LonLat) -> float:
    return float(WGS84.inv(a.lon_deg, a.lat_deg, b.lon_deg, b.lat_deg)[0])
