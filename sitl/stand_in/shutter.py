"""The camera's shutter: photos on command, by distance and at intervals."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from missions.link.rules import WireItem
from sitl.stand_in import airframe as a
from sitl.stand_in.modes import AUTO

if TYPE_CHECKING:
    from sitl.stand_in.vehicle import Vehicle

COMMANDS = frozenset({203, 206, 2000, 2001})


class Shutter:
    """What makes the camera take a photo; the airframe itself measures the distances.

    Args:
        vehicle: the vehicle.
        shortest_s: the shortest interval, which is how often `tick` is called.
    """

    def __init__(self, vehicle: Vehicle, shortest_s: float) -> None:
        self._v = vehicle
        self._shortest_s = shortest_s
        self.photos = 0
        self._interval_s = 0.0
        self._interval_left = 0
        self._next_photo_s = math.inf

    def arm(self) -> None:
        """Sets the distance between photos to what holds in this mode, with these parameters."""
        v, p = self._v, self._v.parameters
        here = p["CAM1_TYPE"] > 0 and (p["CAM_AUTO_ONLY"] == 0 or v.mode == AUTO)
        here = here and not v.failsafes.position_lost
        spacing = p["CAM1_TRIGG_DIST"] if here else 0.0
        if spacing <= 0.0 and p["CAM1_TRIGG_DIST"] <= 0.0:
            v.craft.forget_photo_place()
        v.craft.settings[a.S_PHOTO_M] = spacing

    def take_photo(self) -> None:
        """One photo, with CAMERA_FEEDBACK, if there is a camera."""
        if self._v.parameters["CAM1_TYPE"] <= 0:
            return
        self.photos += 1
        craft = self._v.craft
        place = craft.lonlat
        up = float(craft.position[2])
        self._v.broadcast(
            "CAMERA_FEEDBACK",
            {
                "time_usec": int(self._v.time_s * 1e6),
                "target_system": 0,
                "cam_idx": 0,
                "img_idx": self.photos,
                "lat": round(place.lat_deg * 1e7),
                "lng": round(place.lon_deg * 1e7),
                "alt_msl": craft.home_altitude_m + up,
                "alt_rel": up,
                "roll": math.degrees(craft.state[a.ROLL]),
                "pitch": math.degrees(craft.state[a.PITCH]),
                "yaw": math.degrees(craft.state[a.YAW]) % 360.0,
                "foc_len": 0.0,
                "flags": 3,
                "completed_captures": self.photos,
            },
        )

    def take(self, item: WireItem) -> None:
        """Runs one of the `COMMANDS`."""
        v = self._v
        if item.command == 206:
            v.parameters.put("CAM1_TRIGG_DIST", max(item.p1, 0.0))
            v.craft.forget_photo_place()
            v.reconfigure()
            if item.p3 == 1 and v.parameters["CAM1_TYPE"] > 0:
                self.take_photo()
                v.craft.photo_here()
        elif item.command == 203:
            if item.x == 1:
                self.take_photo()
        elif item.command == 2000:
            count = int(item.p3)
            if count == 1:
                self.take_photo()
            else:
                self._interval_s = max(item.p2, self._shortest_s)
                self._interval_left = count if count > 0 else -1
                self._next_photo_s = v.time_s
        elif item.command == 2001:
            self._next_photo_s = math.inf

    def tick(self) -> None:
        """Photos at intervals."""
        if self._v.time_s < self._next_photo_s:
            return
        self.take_photo()
        self._interval_left -= 1
        over = self._interval_left == 0
        self._next_photo_s = math.inf if over else self._next_photo_s + self._interval_s
