"""The camera's mount: a gimbal that points as it is told, at once and without error.

As ArduPilot's own servo mounts it has no feedback: what it reports are the angles demanded, within
its limits. Without MNT1_TYPE there is none, and the camera is bolted to the airframe.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from missions.link.rules import WireItem

if TYPE_CHECKING:
    from sitl.stand_in.vehicle import Vehicle

COMMANDS = frozenset({195, 197, 201, 204, 205, 1000})
_ROLL_LOCK, _PITCH_LOCK, _YAW_LOCK = 4, 8, 16
_MANAGER_YAW_LOCK = 16


class Mount:
    """Angles in degrees: pitch and roll from the horizon, yaw from the nose or, locked, north."""

    def __init__(self, vehicle: Vehicle) -> None:
        self._v = vehicle
        self._roll_deg = self._pitch_deg = self._yaw_deg = 0.0
        self._locked = False
        self._target: tuple[float, float, float] | None = None

    @property
    def there(self) -> bool:
        """Whether the vehicle has one."""
        return self._v.parameters["MNT1_TYPE"] > 0

    def take(self, item: WireItem) -> None:
        """Runs one of the `COMMANDS`."""
        if not self.there:
            return
        command = item.command
        if command == 205:
            self._roll_deg, self._pitch_deg, self._yaw_deg = item.p2, item.p1, item.p3
            self._locked, self._target = False, None
        elif command == 1000:
            self._target = None
            self._locked = bool(item.x & _MANAGER_YAW_LOCK)
            if math.isfinite(item.p1):
                self._pitch_deg = item.p1
            if math.isfinite(item.p2):
                self._yaw_deg = item.p2
        elif command in (195, 201) and (item.x or item.y):
            place = self._v.runner.place_of(item)
            self._target = (float(place[0]), float(place[1]), float(place[2]))
        elif command in (197, 201):
            self._target = None

    def angles_deg(self) -> tuple[float, float, float, bool]:
        """Roll, pitch, yaw, and whether the yaw counts from north."""
        p = self._v.parameters
        roll, pitch, yaw, locked = self._roll_deg, self._pitch_deg, self._yaw_deg, self._locked
        if self._target is not None:
            here = self._v.craft.position
            north, east, up = (t - float(h) for t, h in zip(self._target, here, strict=True))
            roll, yaw, locked = 0.0, math.degrees(math.atan2(east, north)), True
            pitch = math.degrees(math.atan2(up, math.hypot(north, east)))
        pitch = min(max(pitch, p["MNT1_PITCH_MIN"]), p["MNT1_PITCH_MAX"])
        roll = min(max(roll, p["MNT1_ROLL_MIN"]), p["MNT1_ROLL_MAX"])
        if not locked:
            yaw = min(max(yaw, p["MNT1_YAW_MIN"]), p["MNT1_YAW_MAX"])
        return roll, pitch, yaw, locked

    def fields(self) -> dict[str, Any] | None:
        """GIMBAL_DEVICE_ATTITUDE_STATUS; None without a mount."""
        if not self.there:
            return None
        roll, pitch, yaw, locked = self.angles_deg()
        nothing = math.nan
        return {
            "target_system": 0,
            "target_component": 0,
            "time_boot_ms": self._v.time_ms,
            "flags": _ROLL_LOCK | _PITCH_LOCK | (_YAW_LOCK if locked else 0),
            "q": _quaternion(*(math.radians(angle) for angle in (roll, pitch, yaw))),
            "angular_velocity_x": nothing,
            "angular_velocity_y": nothing,
            "angular_velocity_z": nothing,
            "failure_flags": 0,
            "delta_yaw": nothing,
            "delta_yaw_velocity": nothing,
            "gimbal_device_id": 1,
        }


def _quaternion(roll: float, pitch: float, yaw: float) -> tuple[float, float, float, float]:
    """(w, x, y, z) of the rotation by yaw, then pitch, then roll."""
    cr, sr = math.cos(roll / 2), math.sin(roll / 2)
    cp, sp = math.cos(pitch / 2), math.sin(pitch / 2)
    cy, sy = math.cos(yaw / 2), math.sin(yaw / 2)
    return (
        cr * cp * cy + sr * sp * sy,
        sr * cp * cy - cr * sp * sy,
        cr * sp * cy + sr * cp * sy,
        cr * cp * sy - sr * sp * cy,
    )
