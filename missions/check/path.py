"""The flight that written mission items describe, worked out as a vehicle would."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from corridor import LonLat
from corridor.values import WGS84, FloatArray
from missions.mission import Command, Mission


@dataclass(frozen=True)
class Leg:
    """A straight leg between two navigation points.

    Attributes:
        sequence: of the item at its end.
        start, end: longitude, latitude, altitude above home.
        speed_m_s: asked for on it (None before any speed was set).
        trigger_m: camera distance on it; 0 is off.
        fires_at_start: whether the trigger takes a picture at once on it.
        pitch_deg, yaw_deg: of the gimbal against the aircraft's nose.
        heading_deg: of the nose where it is held, else None (along the course).
    """

    sequence: int
    start: FloatArray
    end: FloatArray
    speed_m_s: float | None
    trigger_m: float
    fires_at_start: bool
    pitch_deg: float
    yaw_deg: float
    heading_deg: float | None

    @property
    def length_m(self) -> float:
        """Over ground, on the ellipsoid."""
        return float(WGS84.inv(*self.start[:2], *self.end[:2])[2])

    @property
    def course_deg(self) -> float:
        """Azimuth at its start."""
        return float(WGS84.inv(*self.start[:2], *self.end[:2])[0]) % 360.0

    def sample(self, step_m: float) -> FloatArray:
        """(N, 3) points along it, both ends included."""
        count = max(1, int(np.ceil(self.length_m / step_m)))
        t = np.linspace(0.0, 1.0, count + 1)[:, None]
        # Over the length of a leg the straight line in degrees is within millimetres of the
        # geodesic's ground track at these distances; the vehicle itself flies local north/east.
        return np.asarray(self.start + t * (self.end - self.start))


@dataclass(frozen=True)
class Flight:
    """A mission's legs from take-off to the last point before the return.

    Attributes:
        ends_with: command of the last navigation item (return or land), 0 if neither.
        trigger_at_end_m: camera distance still on when that item starts.
    """

    home: LonLat
    legs: tuple[Leg, ...]
    ends_with: int
    trigger_at_end_m: float

    @property
    def points(self) -> FloatArray:
        """(K, 3) the legs' ends in order, take-off's ground point first."""
        return np.array([leg.start for leg in self.legs[:1]] + [leg.end for leg in self.legs])


def flight_of(mission: Mission) -> Flight:
    """Works out a mission: DO items act from the navigation item before them on."""
    home = np.array([mission.home.lon_deg, mission.home.lat_deg, 0.0])
    here = home.copy()
    legs: list[Leg] = []
    speed: float | None = None
    trigger, fires, pitch, yaw = 0.0, False, -90.0, 0.0
    heading: float | None = None
    ends_with = 0
    for sequence, item in enumerate(mission.items, start=1):
        if item.command == Command.DO_CHANGE_SPEED:
            speed = item.p2
        elif item.command == Command.DO_SET_CAM_TRIGG_DIST:
            trigger, fires = item.p1, item.p3 == 1.0 and item.p1 > 0
        elif item.command == Command.DO_MOUNT_CONTROL:
            pitch, yaw = item.p1, item.p3
        elif item.command == Command.CONDITION_YAW:
            heading = item.p1
        elif item.command in (Command.RETURN_TO_LAUNCH, Command.LAND):
            ends_with = int(item.command)
            if item.command == Command.LAND and item.position is not None:
                end = np.array([item.position.lon_deg, item.position.lat_deg, here[2]])
                legs.append(Leg(sequence, here, end, speed, trigger, fires, pitch, yaw, heading))
            break
        elif item.is_navigation:
            end = here.copy()
            if item.position is not None:
                end[:2] = item.position.lon_deg, item.position.lat_deg
            if item.command == Command.TAKEOFF:
                end[:2] = here[:2]
            reference = mission.home_altitude_m if item.frame == 0 else 0.0
            end[2] = item.altitude_m - reference
            legs.append(Leg(sequence, here, end, speed, trigger, fires, pitch, yaw, heading))
            here, fires = end, False
    return Flight(mission.home, tuple(legs), ends_with, trigger)


def pictures_of(flight: Flight) -> tuple[FloatArray, FloatArray]:
    """Where pictures are taken: (N, 3) positions and (N, 2) yaw (from north) and pitch."""
    points: list[npt.NDArray[np.float64]] = []
    aims: list[tuple[float, float]] = []
    since = 0.0
    for leg in flight.legs:
        if leg.trigger_m <= 0:
            continue
        length = leg.length_m
        if leg.fires_at_start:
            since = leg.trigger_m
        at = leg.trigger_m - since
        if leg.fires_at_start:
            at = 0.0
        yaw = (leg.course_deg + leg.yaw_deg) % 360.0
        if leg.heading_deg is not None:
            yaw = (leg.heading_deg + leg.yaw_deg) % 360.0
        last = -1.0
        while at <= length + 1e-6:
            t = at / length if length > 0 else 0.0
            points.append(leg.start + t * (leg.end - leg.start))
            aims.append((yaw, leg.pitch_deg))
            last = at
            at += leg.trigger_m
        since = length - last if last >= 0 else since + length
    if not points:
        return np.empty((0, 3)), np.empty((0, 2))
    return np.array(points), np.array(aims)
