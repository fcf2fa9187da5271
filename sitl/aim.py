"""How a mission turns the gimbal: what the camera looked at when each photograph was taken.

An autopilot's CAMERA_FEEDBACK carries the aircraft's attitude, not the gimbal's. In simulation the
gimbal does what the mission says, so its angles follow from the leg that a photograph was taken on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from corridor import LocalFrame
from corridor.shots import Shot
from corridor.values import FloatArray
from missions.mission import Command, Frame, Mission


@dataclass(frozen=True)
class _Leg:
    """A leg with the camera on: its ends (3,) in metres, z above home, and the aim on it."""

    start_m: FloatArray
    end_m: FloatArray
    pitch_deg: float
    yaw_deg: float

    def distance_m(self, place: FloatArray) -> float:
        step = self.end_m - self.start_m
        length2 = float(step @ step)
        share = 0.0 if length2 == 0 else float((place - self.start_m) @ step) / length2
        return float(np.linalg.norm(place - self.start_m - min(1.0, max(0.0, share)) * step))


def aim_shots(mission: Mission, shots: Sequence[Shot]) -> list[Shot]:
    """The shots with the gimbal's angles as the mission set them.

    Each shot belongs to the leg with the camera on that it is nearest to. The gimbal holds pitch
    and no roll, and its yaw is counted from the aircraft's nose. Shots that have angles keep them,
    and a mission that never aims leaves all shots as they are: its camera has no gimbal to turn.
    """
    frame = LocalFrame.around([[mission.home.lon_deg, mission.home.lat_deg]])
    legs = _legs(mission, frame)
    if not legs:
        return list(shots)
    return [shot if shot.gimbal_deg else _aimed(shot, legs, frame) for shot in shots]


def _aimed(shot: Shot, legs: list[_Leg], frame: LocalFrame) -> Shot:
    place = np.append(frame.to_xy([[shot.lon_deg, shot.lat_deg]])[0], shot.height_m)
    leg = min(legs, key=lambda one: one.distance_m(place))
    return replace(shot, gimbal_deg=((shot.yaw_deg + leg.yaw_deg) % 360.0, leg.pitch_deg, 0.0))


def _legs(mission: Mission, frame: LocalFrame) -> list[_Leg]:
    legs: list[_Leg] = []
    here = np.append(frame.to_xy([[mission.home.lon_deg, mission.home.lat_deg]])[0], 0.0)
    aim: tuple[float, float] | None = None
    on = False
    for item in mission.items:
        if item.command == Command.DO_MOUNT_CONTROL:
            aim = item.p1, item.p3
        elif item.command == Command.DO_GIMBAL_MANAGER_PITCHYAW:
            aim = item.p1, item.p2
        elif item.command == Command.DO_SET_CAM_TRIGG_DIST:
            on = item.p1 > 0.0
        elif item.position is not None:
            base_m = 0.0 if item.frame == Frame.ABOVE_HOME else mission.home_altitude_m
            there = np.append(
                frame.to_xy([[item.position.lon_deg, item.position.lat_deg]])[0],
                item.altitude_m - base_m,
            )
            if on and aim is not None:
                legs.append(_Leg(here, there, *aim))
            here = there
    return legs
