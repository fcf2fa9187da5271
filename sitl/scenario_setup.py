"""What a scenario changes about a sortie before it is loaded: its fence and its rally points."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import shapely

from corridor import LocalFrame, LonLat
from missions.mission import FencePolygon, Geofence, RallyPoint, Sortie
from sitl.expected import planned_path
from sitl.scenario import Scenario


def fit_sortie(sortie: Sortie, scenario: Scenario) -> Sortie:
    """The sortie with the scenario's fence and rally points."""
    return replace(sortie, geofence=_fence(sortie, scenario), rally=_rally(sortie, scenario))


def _fence(sortie: Sortie, scenario: Scenario) -> Geofence:
    if scenario.fence == "plan":
        return sortie.geofence
    if scenario.fence == "none":
        return Geofence()
    # A box around home and the first half of the waypoints, so that the mission leaves it.
    _, places, _ = planned_path(sortie.mission)
    home = sortie.mission.home
    frame = LocalFrame(home.lon_deg, home.lat_deg)
    xy = frame.to_xy([(p.lon_deg, p.lat_deg) for p in (home, *places)])
    far = np.hypot(*(xy - xy[0]).T)
    near = xy[far <= 0.6 * far.max()]
    box = shapely.MultiPoint(near).envelope.buffer(30.0, join_style="mitre")
    corners = frame.to_lonlat(np.array(box.exterior.coords)[:-1])
    return Geofence((FencePolygon(tuple(LonLat(lon, lat) for lon, lat in corners)),))


def _rally(sortie: Sortie, scenario: Scenario) -> tuple[RallyPoint, ...]:
    if scenario.rally == "plan":
        return sortie.rally
    if scenario.rally == "none":
        return ()
    # Beside the waypoint that is farthest from home, so that it is nearer than home from there.
    _, places, heights = planned_path(sortie.mission)
    home = sortie.mission.home
    frame = LocalFrame(home.lon_deg, home.lat_deg)
    xy = frame.to_xy([(p.lon_deg, p.lat_deg) for p in places])
    index = int(np.argmax(np.hypot(*xy.T)))
    lon, lat = frame.to_lonlat(xy[index : index + 1] + 20.0)[0]
    return (RallyPoint(LonLat(float(lon), float(lat)), float(round(heights[index]))),)
