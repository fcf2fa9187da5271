"""What a mission lets expect of its flight: the path flown through, and how many photos."""

from __future__ import annotations

import math

import numpy as np

from corridor import LocalFrame, LonLat
from corridor.values import FloatArray
from missions.mission import Command, Frame, Mission, MissionItem

_PLACED = (Command.WAYPOINT, Command.SPLINE_WAYPOINT)


def planned_path(mission: Mission) -> tuple[list[int], list[LonLat], FloatArray]:
    """The waypoints that are flown through: sequence numbers, places, heights above home (M,)."""
    numbers, places, heights = [], [], []
    last_up = 0.0
    for sequence, item in enumerate(mission.all_items):
        if sequence == 0:
            continue
        if item.command == Command.TAKEOFF:
            last_up = item.altitude_m
        if item.command in _PLACED and item.position is not None:
            last_up = _height_above_home(item, mission, last_up)
            numbers.append(sequence)
            places.append(item.position)
            heights.append(last_up)
    return numbers, places, np.array(heights)


def _height_above_home(item: MissionItem, mission: Mission, last_m: float) -> float:
    if item.altitude_m == 0.0:
        return last_m
    if item.frame in (Frame.MEAN_SEA_LEVEL, 5):
        return item.altitude_m - mission.home_altitude_m
    return item.altitude_m


def expected_photos(mission: Mission) -> tuple[int, int]:
    """Fewest and most photos that the distance triggers of a mission give when all is flown."""
    fewest = most = 0
    spacing = 0.0
    length = 0.0
    last: LonLat | None = mission.home
    frame = LocalFrame(mission.home.lon_deg, mission.home.lat_deg)

    def count(distance: float) -> tuple[int, int]:
        # The path flown is a little shorter than the polyline (corners are rounded), and each
        # trigger comes a little late (the distance is looked at 50 times a second).
        return int(distance * 0.97 / spacing * 0.985), math.floor(distance / spacing) + 1

    for item in mission.all_items[1:]:
        if item.command == Command.DO_SET_CAM_TRIGG_DIST:
            if spacing > 0:
                low, high = count(length)
                fewest, most = fewest + low, most + high
            spacing, length = item.p1, 0.0
            if spacing > 0 and item.p3 == 1:
                fewest, most = fewest + 1, most + 1
        elif item.command in _PLACED and item.position is not None:
            if spacing > 0 and last is not None:
                places = frame.to_xy([(p.lon_deg, p.lat_deg) for p in (last, item.position)])
                length += float(np.hypot(*(places[1] - places[0])))
            last = item.position
    if spacing > 0:
        low, high = count(length)
        fewest, most = fewest + low, most + high + 10_000
    return fewest, most
