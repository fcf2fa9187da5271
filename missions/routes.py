"""Ways between launch sites and lanes: clear of ground, keep-outs and carriageways."""

from __future__ import annotations

import numpy as np

from corridor.values import FloatArray
from missions.airspace import Airspace
from missions.runs import ROUNDING_M
from missions.tube import Tube, fewest_legs, lowest_path_m

_STEEPEST = 1.0
"""Legs climb at most 45°; the aircraft slows down to its climb rate on them."""

_ABOVE_FLOOR_M = 5.0


def transit(airspace: Airspace, start: FloatArray, end: FloatArray) -> FloatArray | None:
    """Points (K, 3) from one place to another, climbing on the spot at either where needed.

    Args:
        start, end: (3,) positions; both may be below the lowest allowed height (on the ground).

    Returns:
        None if there is no way within the limits.
    """
    if float(np.hypot(*(end - start)[:2])) < 0.5:
        return np.array([start, end])
    route = np.array([start[:2], end[:2]])
    return with_heights(airspace, route, float(start[2]), float(end[2]))


def with_heights(
    airspace: Airspace, route: FloatArray, start_z: float, end_z: float
) -> FloatArray | None:
    """The lowest sensible path over a route (N, 2), between two heights; None if there is none."""
    bounds = airspace.bounds(route, crossing=True)
    if bounds.unknown.any() or bounds.blocked.any():
        return None
    floor = bounds.floor_m + ROUNDING_M
    slope = np.full(len(floor), _STEEPEST)
    lowest = lowest_path_m(bounds.s_m, floor, slope)
    if (lowest > bounds.roof_m).any():
        return None
    between = np.interp(bounds.s_m, bounds.s_m[[0, -1]], [start_z, end_z])
    target = np.clip(np.maximum(lowest + _ABOVE_FLOOR_M, between), lowest, bounds.roof_m)
    roof = bounds.roof_m.copy()
    if lowest[-1] <= end_z <= roof[-1]:
        floor[-1] = roof[-1] = target[-1] = end_z
    tube = Tube(bounds.s_m, floor, roof, roof, target, slope, bounds.corner)
    index, z = fewest_legs(tube, start_z, room_m=0.0)
    path = np.column_stack([bounds.xy[index], z])
    points = [path]
    if abs(path[0, 2] - start_z) > 0.01:
        points.insert(0, np.array([[*route[0], start_z]]))
    if abs(path[-1, 2] - end_z) > 0.01:
        points.append(np.array([[*route[-1], end_z]]))
    return np.concatenate(points)
