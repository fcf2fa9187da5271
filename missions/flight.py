"""One sortie as flown: segments from take-off to landing, with their time and energy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from corridor.values import FloatArray
from missions.energy import EnergyModel
from missions.runs import Run

Kind = Literal["takeoff", "transit", "lane", "landing"]


@dataclass(frozen=True)
class Launch:
    """A launch site in the plan's frame; `ground_m` in the DEM's reference."""

    name: str
    lon_deg: float
    lat_deg: float
    xy: FloatArray
    ground_m: float
    proposed: bool = False


@dataclass(frozen=True)
class Segment:
    """A part of a flight: (K, 3) points, a speed, and the run it flies, if it is a lane."""

    kind: Kind
    xyz: FloatArray
    speed_m_s: float
    run: Run | None = None
    reverse: bool = False


@dataclass(frozen=True)
class Cost:
    """Time and energy of a flight.

    Attributes:
        time_s: in the worst wind.
        energy_wh: (16,) by wind direction.
        at_point_wh: (K, 16) used up to each of the flight's points.
        points: (K, 3) the flight's points, doubles left out.
    """

    time_s: float
    energy_wh: FloatArray
    at_point_wh: FloatArray
    points: FloatArray


def cost_of(segments: list[Segment], energy: EnergyModel) -> Cost:
    """Adds up a flight's legs, with hovering after take-off and at landing."""
    points = [segments[0].xyz[:1]]
    speeds: list[FloatArray] = []
    stops: list[int] = []
    count = 0
    for segment in segments:
        new = segment.xyz
        if np.allclose(points[-1][-1], new[0], atol=1e-6):
            new = new[1:]
        if len(new):
            points.append(new)
            speeds.append(np.full(len(new), segment.speed_m_s))
            if segment.kind == "lane":
                stops += [count + len(new) - len(segment.xyz) + 1, count + len(new) - 1]
            count += len(new)
    xyz = np.concatenate(points)
    time_s, legs_wh = energy.legs(xyz, np.concatenate(speeds))
    stop_s = energy.aircraft.stop_s
    if stop_s > 0:
        # The camera is switched at both ends of a lane, and such an aircraft stops for it.
        np.add.at(legs_wh, stops, energy.hover_wh(stop_s))
        np.add.at(time_s, stops, stop_s)
    hover_s = energy.safety.takeoff_hover_s
    used = np.concatenate([energy.hover_wh(hover_s)[None], legs_wh]).cumsum(axis=0)
    landing_s = energy.safety.descent_overhead_s
    total = used[-1] + energy.hover_wh(landing_s)
    return Cost(float(time_s.sum()) + hover_s + landing_s, total, used, xyz)
