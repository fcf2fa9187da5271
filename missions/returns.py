"""The way home from anywhere on a flight: how high, what it costs, and the proof of clearance.

ArduCopter's RTL climbs on the spot to the greater of its height and RTL_ALT, less where a cone
about home (RTL_CONE_SLOPE) is lower, flies straight home, and descends. All straight ways home from
a flight together cover a fan; above its highest ground plus clearance every one of them is clear.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from corridor.values import FloatArray
from missions.airspace import Airspace
from missions.energy import EnergyModel
from missions.flight import Cost, Launch

CONE_SLOPE = 3.0
"""ArduCopter's RTL_CONE_SLOPE by default."""

_STEP_M = 40.0


@dataclass(frozen=True)
class Return:
    """How a sortie returns.

    Attributes:
        altitude_m: RTL height above home, whole metres.
        cone_slope: RTL_CONE_SLOPE: 3, or 0 where the cone would cut into the ground.
        fan: all straight ways home, in the plan's frame.
        worst_wh: the most used at any point plus the way home from there.
    """

    altitude_m: float
    cone_slope: float
    fan: BaseGeometry
    worst_wh: float


def fan_of(points: FloatArray, home: FloatArray) -> BaseGeometry:
    """The area covered by straight ways from a path (K, 2) to home."""
    rings: list[BaseGeometry] = []
    for a, b in itertools.pairwise(points):
        ring = np.array([home, a, b, home])
        area2 = (a[0] - home[0]) * (b[1] - home[1]) - (a[1] - home[1]) * (b[0] - home[0])
        if abs(area2) > 1e-3:
            rings.append(shapely.Polygon(ring))
    path = shapely.LineString(np.vstack([points, home]))
    return shapely.union_all([*rings, path.buffer(0.1)])


def plan_return(
    cost: Cost, launch: Launch, airspace: Airspace, energy: EnergyModel
) -> Return | None:
    """The return height of a flight, and whether its battery allows the return from everywhere.

    Returns:
        None where part of a way home has no elevations.
    """
    fan = fan_of(cost.points[:, :2], launch.xy)
    needed = needed_height_m(fan, airspace)
    if math.isnan(needed):
        return None
    altitude_m = max(15.0, math.ceil(needed - launch.ground_m))
    cone = CONE_SLOPE
    distance = np.hypot(*(cost.points[:, :2] - launch.xy).T)
    by_cone = launch.ground_m + CONE_SLOPE * distance
    height = np.maximum(cost.points[:, 2], np.minimum(by_cone, launch.ground_m + altitude_m))
    points, _ = along_flight(cost)
    if not cone_is_clear(points, cone, altitude_m, needed, launch.ground_m, launch, airspace):
        cone = 0.0
        height = np.maximum(cost.points[:, 2], launch.ground_m + altitude_m)
    home_wh = return_wh(cost.points, height, launch, energy)
    worst = float((cost.at_point_wh + home_wh).max())
    return Return(float(altitude_m), cone, fan, worst)


def needed_height_m(ways: BaseGeometry, airspace: Airspace) -> float:
    """The lowest height, in the DEM's reference, that clears everything in an area of ways.

    NaN where part of it has no elevations.
    """
    safety = airspace.survey.safety
    highest = airspace.dem.highest_within_m(ways.buffer(safety.lateral_error_m))
    needed = highest + airspace.total_clearance_m
    for obstacle in airspace.obstacles:
        reach_m = obstacle.clearance_m + safety.lateral_error_m
        if ways.distance(obstacle.line) <= reach_m:
            needed = max(needed, float(obstacle.xyz[:, 2].max()) + obstacle.clearance_m)
    for zone in airspace.zones:
        if ways.distance(zone.area) <= safety.lateral_error_m and zone.ceiling_m < 10_000:
            top = airspace.dem.highest_within_m(zone.area)
            needed = max(needed, top + zone.ceiling_m + safety.dem_error_m)
    return needed


def along_flight(cost: Cost) -> tuple[FloatArray, FloatArray]:
    """Points every 40 m of a flight, and the energy (K, 16) used up to the end of each one's leg.

    A return may begin anywhere, not only at waypoints.
    """
    points, used = [cost.points[:1]], [cost.at_point_wh[:1]]
    for k, (a, b) in enumerate(itertools.pairwise(cost.points), start=1):
        count = max(1, math.ceil(float(np.hypot(*(b - a)[:2])) / _STEP_M))
        t = (np.arange(count) + 1.0)[:, None] / count
        points.append(a + t * (b - a))
        used.append(np.repeat(cost.at_point_wh[k : k + 1], count, axis=0))
    return np.concatenate(points), np.concatenate(used)


def return_height_m(
    points: FloatArray, slope: float, altitude_m: float, home_ground_m: float, place: Launch
) -> FloatArray:
    """Height (K,) of RTL's straight way to a place, by ArduCopter's rule.

    Args:
        slope: RTL_CONE_SLOPE; the cone's heights count from home's ground, whatever the place.
        altitude_m: RTL_ALT, or a rally point's altitude where that is greater, above home.
    """
    above = np.full(len(points), altitude_m)
    if slope > 0:
        above = np.minimum(above, slope * np.hypot(*(points[:, :2] - place.xy).T))
    return np.asarray(np.maximum(points[:, 2], home_ground_m + above))


def cone_is_clear(
    points: FloatArray,
    slope: float,
    altitude_m: float,
    needed_m: float,
    home_ground_m: float,
    place: Launch,
    airspace: Airspace,
) -> bool:
    """Whether ways flown lower because of the cone clear everything.

    Right above the place itself the aircraft takes off or lands: that counts for nothing.
    """
    height = return_height_m(points, slope, altitude_m, home_ground_m, place)
    away = np.hypot(*(points[:, :2] - place.xy).T)
    low = (height < needed_m - 1e-6) & (away > 1.0)
    if not low.any():
        return True
    fan = fan_of(points[low, :2], place.xy)
    if needed_height_m(fan, airspace) <= float(height[low].min()):
        return True
    for point, z in zip(points[low], height[low], strict=True):
        bounds = airspace.bounds(np.array([point[:2], place.xy]))
        if not (bounds.floor_m <= z + 1e-6).all():
            return False
    return True


def return_wh(
    points: FloatArray, height: FloatArray, launch: Launch, energy: EnergyModel
) -> FloatArray:
    """Energy (K, 16) of climbing to `height` (K,), flying home and landing."""
    speed = energy.safety.rtl_speed_m_s or energy.aircraft.cruise_speed_m_s
    total = np.empty((len(points), 16))
    landing = energy.hover_wh(energy.safety.descent_overhead_s)
    for k, (point, z) in enumerate(zip(points, height, strict=True)):
        way = np.array([point, [*point[:2], z], [*launch.xy, z], [*launch.xy, launch.ground_m]])
        total[k] = energy.legs(way, speed)[1].sum(axis=0) + landing
    return total
