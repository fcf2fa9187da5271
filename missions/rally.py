"""Rally points: places to return to instead of home, written only where all ways are proved.

ArduCopter's RTL goes to the nearest rally point within RALLY_LIMIT_KM, or home where that is nearer
(RALLY_INCL_HOME 1; AP_Rally.cpp, calc_best_rally_or_home_location). It flies there at the greatest
of its height, RTL_ALT and the rally point's own altitude, less under the cone, whose heights count
from home's ground (mode_rtl.cpp, compute_return_target). So each point is given the altitude that
clears its own ways, and is proved from wherever on the flight it is nearer than home.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from corridor.values import FloatArray
from missions.airspace import Airspace
from missions.energy import EnergyModel
from missions.flight import Cost, Launch
from missions.returns import (
    Return,
    along_flight,
    cone_is_clear,
    needed_height_m,
    return_height_m,
    return_wh,
)

MOST_POINTS = 5
"""Small boards hold six."""

_FLOWN_OFF_M = 20.0
_Chosen = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class RallyReturn:
    """A rally point of one sortie.

    Attributes:
        altitude_m: above home, whole metres, as ArduPilot keeps it.
        ways: the area of all straight ways to it, in the plan's frame.
        farthest_m: of the flight's points that may return to it.
        worst_wh: the most used up to such a point plus the way to it.
    """

    place: Launch
    altitude_m: float
    ways: BaseGeometry
    farthest_m: float
    worst_wh: float


@dataclass(frozen=True)
class Rallies:
    """What came of the places offered to a sortie.

    Attributes:
        home: the return home, with its cone taken away where a rally point needs that.
        points: those proved.
        refused: name and reason of those that are nearer than home somewhere, but not proved.
    """

    home: Return
    points: tuple[RallyReturn, ...]
    refused: tuple[tuple[str, str], ...]


def plan_rally(
    cost: Cost,
    home: Return,
    launch: Launch,
    places: Sequence[Launch],
    airspace: Airspace,
    energy: EnergyModel,
) -> Rallies:
    """Proves the ways of a flight to other places than home.

    Where the cone (RTL_CONE_SLOPE) would cut into ground that rises towards a rally point, the
    flight is also tried without a cone, if its battery allows the returns home without one.
    """
    points, used_wh = along_flight(cost)
    near = _nearer_than_home(points, launch, places, airspace)
    if not near:
        return Rallies(home, (), ())
    best = _proved(points, used_wh, home, launch, near, airspace, energy)
    if home.cone_slope > 0 and len(best.points) < len(near):
        level = _without_cone(home, cost, launch, energy)
        if level is not None:
            other = _proved(points, used_wh, level, launch, near, airspace, energy)
            if len(other.points) > len(best.points):
                best = other
    return best


def _nearer_than_home(
    points: FloatArray, launch: Launch, places: Sequence[Launch], airspace: Airspace
) -> list[tuple[Launch, _Chosen]]:
    """Places with the points (K,) that may return to them, the most useful first.

    Points that are only a little nearer to home count as well: the aircraft may be off its line.
    """
    safety = airspace.survey.safety
    to_home = np.hypot(*(points[:, :2] - launch.xy).T)
    slack_m = 2.0 * (safety.lateral_error_m + _FLOWN_OFF_M)
    found = []
    for place in places:
        apart_m = float(np.hypot(*(place.xy - launch.xy)))
        if not 1.0 < apart_m <= safety.max_distance_m:
            continue
        away = np.hypot(*(points[:, :2] - place.xy).T)
        if (away < to_home).any():
            gained_m = float((to_home - away).max())
            found.append((gained_m, place, away < to_home + slack_m))
    found.sort(key=lambda entry: -entry[0])
    return [(place, chosen) for _, place, chosen in found[:MOST_POINTS]]


def _without_cone(home: Return, cost: Cost, launch: Launch, energy: EnergyModel) -> Return | None:
    """The return home at full height from everywhere, if the battery allows it."""
    height = np.maximum(cost.points[:, 2], launch.ground_m + home.altitude_m)
    wh = cost.at_point_wh + return_wh(cost.points, height, launch, energy)
    if float(wh.max()) > energy.budget_wh:
        return None
    return replace(home, cone_slope=0.0, worst_wh=float(wh.max()))


def _proved(
    points: FloatArray,
    used_wh: FloatArray,
    home: Return,
    launch: Launch,
    near: Sequence[tuple[Launch, _Chosen]],
    airspace: Airspace,
    energy: EnergyModel,
) -> Rallies:
    made: list[RallyReturn] = []
    refused: list[tuple[str, str]] = []
    for place, chosen in near:
        result = _one(points, used_wh, home, launch, place, chosen, airspace, energy)
        if isinstance(result, str):
            refused.append((place.name, result))
        else:
            made.append(result)
    return Rallies(home, tuple(made), tuple(refused))


def _one(
    points: FloatArray,
    used_wh: FloatArray,
    home: Return,
    launch: Launch,
    place: Launch,
    chosen: _Chosen,
    airspace: Airspace,
    energy: EnergyModel,
) -> RallyReturn | str:
    """One rally point proved, or why it cannot be."""
    mine = points[chosen]
    ways = _ways(points[:, :2], chosen, place.xy)
    reach_m = airspace.survey.safety.lateral_error_m
    for zone in airspace.zones:
        if zone.ceiling_m >= 10_000 and ways.distance(zone.area) <= reach_m:
            return f"keep-out {zone.name} lies in a way to it"
    needed_m = needed_height_m(ways, airspace)
    if math.isnan(needed_m):
        return "no elevations on a way to it"
    altitude_m = float(max(1, math.ceil(needed_m - launch.ground_m)))
    distance = np.hypot(*(mine[:, :2] - place.xy).T)
    top_m, slope = max(altitude_m, home.altitude_m), home.cone_slope
    if not cone_is_clear(mine, slope, top_m, needed_m, launch.ground_m, place, airspace):
        return "the ground rises towards it under the return's cone"
    height = return_height_m(mine, slope, top_m, launch.ground_m, place)
    worst_wh = float((used_wh[chosen] + return_wh(mine, height, place, energy)).max())
    if worst_wh > energy.budget_wh:
        return f"battery: {worst_wh:.0f} Wh to it, {energy.budget_wh:.0f} Wh usable"
    return RallyReturn(place, altitude_m, ways, float(distance.max()), worst_wh)


def _ways(xy: FloatArray, chosen: _Chosen, place: FloatArray) -> BaseGeometry:
    """The area covered by straight ways from the chosen points (K,) of a path to a place."""
    parts: list[BaseGeometry] = [
        shapely.LineString([point, place + 1e-3]).buffer(0.1) for point in xy[chosen]
    ]
    for k in np.flatnonzero(chosen[1:] & chosen[:-1]).tolist():
        triangle = shapely.Polygon([xy[k], xy[k + 1], place])
        if triangle.area > 1e-3:
            parts.append(triangle)
    return shapely.union_all(parts)
