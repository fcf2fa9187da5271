"""Where the camera looks, of what the vehicle reports of its gimbal."""

from __future__ import annotations

import math
from typing import Any

_YAW_LOCK, _YAW_IN_VEHICLE_FRAME, _YAW_IN_EARTH_FRAME = 16, 32, 64
"""GIMBAL_DEVICE_FLAGS."""


def gimbal_angles(message: Any, heading_deg: float) -> tuple[float, float, float] | None:
    """Yaw from true north, pitch and roll of a GIMBAL_DEVICE_ATTITUDE_STATUS; None if it has none.

    Args:
        message: the report; its quaternion's yaw counts from the vehicle's nose unless its flags
            say that it is locked to the earth.
        heading_deg: of the vehicle, from true north.
    """
    if not all(math.isfinite(value) for value in message.q):
        return None
    length = math.sqrt(sum(value * value for value in message.q))
    if length < 0.5:
        return None
    w, x, y, z = (value / length for value in message.q)
    pitch_deg = math.degrees(math.asin(min(1.0, max(-1.0, 2.0 * (w * y - z * x)))))
    if abs(pitch_deg) > 89.9:
        # Straight down, yaw and roll turn about one axis: all of it is taken for yaw.
        roll_deg, yaw_deg = 0.0, math.degrees(2.0 * math.atan2(z, w))
    else:
        roll_deg = math.degrees(math.atan2(2.0 * (w * x + y * z), 1.0 - 2.0 * (x * x + y * y)))
        yaw_deg = math.degrees(math.atan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z)))
    flags = int(message.flags)
    locked = flags & _YAW_IN_EARTH_FRAME or (
        flags & _YAW_LOCK and not flags & _YAW_IN_VEHICLE_FRAME
    )
    return (yaw_deg if locked else yaw_deg + heading_deg) % 360.0, pitch_deg, roll_deg
