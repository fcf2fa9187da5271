"""Rules about `.kmz`: the DJI file holds the flight that everything else was checked on."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from corridor.values import WGS84
from missions.check.context import SortieContext
from missions.check.findings import CheckFinding, Level
from missions.formats import read_dji_kmz
from missions.wayline import Wayline

_PLACE_M = 0.05
_HEIGHT_M = 0.02

_HEADING_DEG = 45.0
"""At a waypoint in a bend the nose is halfway between what the two legs ask for."""


def kmz(context: SortieContext) -> Iterator[CheckFinding]:
    """The parts of a `.kmz`, one after the other, fly and photograph the legs of `.waypoints`."""
    name = context.sortie.sortie_id
    said: Any = context.sortie.details.get("kmz")
    if not isinstance(said, dict):
        return  # a plan from before .kmz was written
    if not said["files"]:
        yield CheckFinding(Level.NOTE, "kmz", str(said["note"]), name)
        return
    parts = [read_dji_kmz(context.plan.files.folder / file) for file in said["files"]]
    for problem in _problems(context, parts):
        yield CheckFinding(
            Level.BLOCKING, "files-differ", f"{', '.join(said['files'])}: {problem}", name
        )


def _problems(context: SortieContext, parts: list[Wayline]) -> Iterator[str]:
    flight = context.flight
    # The first leg is the climb over home, which DJI's aircraft do by themselves.
    legs = flight.legs[1:]
    points = [point for n, part in enumerate(parts) for point in part.points[1 if n else 0 :]]
    if len(points) != len(legs) + 1:
        yield f"{len(points)} waypoints, the mission has {len(legs) + 1}"
        return
    for before, after in itertools.pairwise(parts):
        if before.points[-1].position != after.points[0].position:
            yield "a part does not begin where the one before ended"
    rtl_m = (context.parameter("RTL_ALT") or 0.0) / 100.0
    for number, part in enumerate(parts):
        if part.home != flight.home:
            yield "another take-off point than the mission's home"
        if part.return_height_m < rtl_m or (number and part.security_height_m < rtl_m):
            yield f"a return or approach below the return height of {rtl_m:.0f} m"
    written = np.array([(p.position.lon_deg, p.position.lat_deg, p.height_m) for p in points])
    planned = flight.points[1:]
    apart = WGS84.inv(written[:, 0], written[:, 1], planned[:, 0], planned[:, 1])[2]
    off = (np.asarray(apart) > _PLACE_M) | (np.abs(written[:, 2] - planned[:, 2]) > _HEIGHT_M)
    if off.any():
        yield f"waypoint {int(np.argmax(off))} is elsewhere than in the mission"
    spacing = np.zeros(len(legs))
    pitch = np.full(len(legs), np.nan)
    start = 0
    for part in parts:
        for run in part.runs:
            spacing[start + run.first : start + run.last] = run.spacing_m
            if run.pitch_deg is not None:
                pitch[start + run.first : start + run.last] = run.pitch_deg
        start += len(part.points) - 1
    for number, leg in enumerate(legs):
        if abs(spacing[number] - leg.trigger_m) > 0.01:
            yield (
                f"pictures every {spacing[number]:.2f} m after waypoint {number}, "
                f"the mission has {leg.trigger_m:.2f} m (0: none)"
            )
            return
        if leg.trigger_m > 0 and np.isfinite(pitch[number]) and abs(
            pitch[number] - leg.pitch_deg
        ) > 0.1:  # fmt: skip
            yield f"gimbal at {pitch[number]:.0f}° after waypoint {number}, {leg.pitch_deg:.0f}°"
            return
        look = leg.heading_deg
        if leg.yaw_deg and look is None:
            look = leg.course_deg + leg.yaw_deg
        if leg.trigger_m > 0 and look is not None:
            for point in points[number : number + 2]:
                if point.heading_deg is None or _apart_deg(point.heading_deg, look) > _HEADING_DEG:
                    yield f"the nose at {point.heading_deg}° after waypoint {number}, {look:.0f}°"
                    return
        if leg.speed_m_s is None or abs(points[number].speed_m_s - leg.speed_m_s) > 0.01:
            yield f"{points[number].speed_m_s} m/s after waypoint {number}, not {leg.speed_m_s}"
            return


def _apart_deg(one: float, other: float) -> float:
    return abs((one - other + 180.0) % 360.0 - 180.0)
