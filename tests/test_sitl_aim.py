"""The gimbal's angles as a mission sets them."""

from __future__ import annotations

import pytest

from corridor import LonLat
from corridor.shots import Shot
from missions.mission import Command, Frame, Mission, MissionItem
from sitl.aim import aim_shots

HOME = LonLat(106.0, 26.0)


def shot(lat_deg: float, height_m: float, yaw_deg: float, **more: object) -> Shot:
    return Shot(1, 106.0, lat_deg, 800 + height_m, height_m, yaw_deg, 5.0, 3.0, 0, **more)  # type: ignore[arg-type]


def waypoint(lat_deg: float, height_m: float) -> MissionItem:
    return MissionItem(
        Command.WAYPOINT, Frame.ABOVE_HOME, position=LonLat(106.0, lat_deg), altitude_m=height_m
    )


def aim(pitch_deg: float, yaw_deg: float) -> MissionItem:
    return MissionItem(Command.DO_MOUNT_CONTROL, p1=pitch_deg, p3=yaw_deg, altitude_m=2.0)


ON = MissionItem(Command.DO_SET_CAM_TRIGG_DIST, p1=8.0)
OFF = MissionItem(Command.DO_SET_CAM_TRIGG_DIST)
# North at 40 m looking down, on at 60 m with the camera off, back at 25 m looking to the left.
MISSION = Mission(
    HOME, 800.0,
    (waypoint(26.0, 40.0), aim(-90.0, 0.0), ON, waypoint(26.002, 40.0), OFF, waypoint(26.002, 25.0),
     aim(-40.0, -90.0), ON, waypoint(26.0, 25.0), OFF),
)  # fmt: skip


def test_each_shot_is_aimed_as_on_the_leg_it_was_taken_on() -> None:
    down, aside = aim_shots(MISSION, [shot(26.001, 39.0, 2.0), shot(26.001, 26.0, 182.0)])
    assert down.gimbal_deg == pytest.approx((2.0, -90.0, 0.0))
    assert aside.gimbal_deg == pytest.approx((92.0, -40.0, 0.0))


def test_angles_that_are_known_stay() -> None:
    known = shot(26.001, 26.0, 182.0, gimbal_deg=(1.0, -60.0, 0.5))
    assert aim_shots(MISSION, [known]) == [known]


def test_a_mission_that_never_aims_leaves_the_camera_as_it_is() -> None:
    fixed = Mission(HOME, 800.0, (waypoint(26.0, 40.0), ON, waypoint(26.002, 40.0), OFF))
    plain = shot(26.001, 39.0, 2.0)
    assert aim_shots(fixed, [plain]) == [plain]
