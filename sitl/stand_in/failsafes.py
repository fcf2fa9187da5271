"""Battery, radio, station, position and fence failsafes, with ArduCopter's timers and texts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import shapely

from corridor import LonLat
from sitl.stand_in.modes import ALT_HOLD, AUTO, BRAKE, GUIDED, LAND, RTL

if TYPE_CHECKING:
    from sitl.stand_in.vehicle import Vehicle

_AIDING_STOPS_S = 15.0
"""From then on the position reported is the last one (as recorded)."""
_EKF_GIVES_UP_S = 8.0
"""GPS aiding times out after 7 s, and the check must fail for one second more."""
_FENCE_NAMES = {1: "Max Alt", 2: "Circle", 4: "Polygon", 8: "Min Alt"}


class Failsafes:
    """Watches, and changes the mode as the parameters say."""

    def __init__(self, vehicle: Vehicle) -> None:
        self._v = vehicle
        self._low_since_s = math.inf
        self._critical_since_s = math.inf
        self._low_done = self._critical_done = False
        self._radio_since_s = math.inf
        self.radio_failed = False
        self._gps_since_s = math.inf
        self.position_lost = False
        self.last_place: LonLat | None = None
        self.last_station_s = math.nan
        self._station_failed = False
        self.fence_breached = 0
        self.fence_breaches = 0
        self.fence_breach_ms = 0
        self._fence_items: object = None
        self._inside: list[shapely.Polygon] = []
        self._outside: list[shapely.Polygon] = []

    def tick(self) -> None:
        """Ten times a second."""
        self._battery()
        self._radio()
        self._station()
        self._position()
        self._fence()

    # Battery.

    def battery_low_now(self) -> bool:
        """Whether the voltage is under the low limit at this moment (an arming check)."""
        limit = self._v.parameters["BATT_LOW_VOLT"]
        return bool(limit > 0 and self._v.voltage_v < limit)

    def _battery(self) -> None:
        v, p = self._v, self._v.parameters
        delay = p["BATT_LOW_TIMER"]
        volts, used = v.voltage_v, v.used_mah
        left = p["BATT_CAPACITY"] - used
        low = p["BATT_LOW_VOLT"] > 0 and volts < p["BATT_LOW_VOLT"]
        critical = p["BATT_CRT_VOLT"] > 0 and volts < p["BATT_CRT_VOLT"]
        self._low_since_s = min(self._low_since_s, v.time_s) if low else math.inf
        self._critical_since_s = min(self._critical_since_s, v.time_s) if critical else math.inf
        low_now = v.time_s - self._low_since_s >= delay or (
            p["BATT_LOW_MAH"] > 0 and (left < p["BATT_LOW_MAH"])
        )
        critical_now = v.time_s - self._critical_since_s >= delay or (
            p["BATT_CRT_MAH"] > 0 and (left < p["BATT_CRT_MAH"])
        )
        if critical_now and not self._critical_done:
            self._critical_done = True
            v.say(4, f"Battery 1 is critical {volts:.2f}V used {used:.0f} mAh")
            self._battery_action(int(p["BATT_FS_CRT_ACT"]))
        elif low_now and not self._low_done:
            self._low_done = True
            v.say(4, f"Battery 1 is low {volts:.2f}V used {used:.0f} mAh")
            self._battery_action(int(p["BATT_FS_LOW_ACT"]))

    def _battery_action(self, action: int) -> None:
        v = self._v
        if action == 0 or not v.armed:
            return
        v.say(4, "Battery Failsafe")
        if not v.in_air:
            v.disarm("Disarming motors")
        elif action in (1, 5):
            v.set_mode(LAND)
        elif action in (2, 3, 4):
            self._return_or_land()

    def _return_or_land(self) -> None:
        if not self._v.set_mode(RTL):
            self._v.set_mode(LAND)

    # Radio.

    def _radio(self) -> None:
        v, p = self._v, self._v.parameters
        if p["SIM_RC_FAIL"] == 0:
            self._radio_since_s = math.inf
            if self.radio_failed:
                self.radio_failed = False
                v.say(4, "Radio Failsafe Cleared")
            return
        self._radio_since_s = min(self._radio_since_s, v.time_s)
        if self.radio_failed or p["FS_THR_ENABLE"] == 0:
            return
        if v.time_s - self._radio_since_s < p["RC_FS_TIMEOUT"]:
            return
        self.radio_failed = True
        if not v.armed:
            return
        options = int(p["FS_OPTIONS"])
        auto_goes_on = v.mode == AUTO and (options & 1 or p["FS_THR_ENABLE"] == 2)
        landing_goes_on = v.mode == LAND and options & 8
        guided_goes_on = v.mode == GUIDED and options & 4
        if not v.in_air:
            v.say(4, "Radio Failsafe - Disarming")
            v.disarm("Disarming motors")
        elif auto_goes_on:
            v.say(4, "Radio Failsafe - Continuing Auto")
        elif landing_goes_on:
            v.say(4, "Radio Failsafe - Continuing Landing")
        elif guided_goes_on:
            v.say(4, "Radio Failsafe - Continuing Guided Mode")
        else:
            v.say(4, "Radio Failsafe")
            if p["FS_THR_ENABLE"] == 3:
                v.set_mode(LAND)
            else:
                self._return_or_land()

    # Ground station.

    def heard_station(self) -> None:
        """A heartbeat of the ground station MAV_GCS_SYSID came."""
        self.last_station_s = self._v.time_s
        if self._station_failed:
            self._station_failed = False
            self._v.say(4, "GCS Failsafe Cleared")

    def _station(self) -> None:
        v, p = self._v, self._v.parameters
        enabled = int(p["FS_GCS_ENABLE"])
        if enabled == 0 or math.isnan(self.last_station_s) or self._station_failed:
            return
        if v.time_s - self.last_station_s < p["FS_GCS_TIMEOUT"]:
            return
        self._station_failed = True
        if not v.armed:
            return
        options = int(p["FS_OPTIONS"])
        if not v.in_air:
            v.say(4, "GCS Failsafe - Disarming")
            v.disarm("Disarming motors")
        elif v.mode == AUTO and (options & 2 or enabled == 2):
            v.say(4, "GCS Failsafe - Continuing Auto Mode")
        elif v.mode == LAND and options & 8:
            v.say(4, "GCS Failsafe - Continuing Landing")
        elif v.mode not in (AUTO, GUIDED, RTL, LAND) and options & 16:
            v.say(4, "GCS Failsafe - Continuing Pilot Control")
        else:
            v.say(4, "GCS Failsafe")
            if enabled == 5:
                v.set_mode(LAND)
            else:
                self._return_or_land()

    # Position.

    def _position(self) -> None:
        v, p = self._v, self._v.parameters
        if p["SIM_GPS1_ENABLE"] > 0:
            self._gps_since_s = math.inf
            self.position_lost = False
            self.last_place = None
            return
        self._gps_since_s = min(self._gps_since_s, v.time_s)
        lost_for_s = v.time_s - self._gps_since_s
        if lost_for_s >= _AIDING_STOPS_S and self.last_place is None:
            self.last_place = v.craft.lonlat
        if self.position_lost or lost_for_s < _EKF_GIVES_UP_S:
            return
        self.position_lost = True
        v.reconfigure()
        if not v.in_air or p["FS_EKF_THRESH"] <= 0:
            return
        v.say(2, "EKF variance")
        if p["FS_EKF_ACTION"] == 2:
            v.say(2, "EKF Failsafe: changed to ALT_HOLD Mode")
            v.set_mode(ALT_HOLD)
        elif p["FS_EKF_ACTION"] > 0:
            v.recovery.land_after_pause()
            v.say(2, "EKF Failsafe: changed to LAND Mode")

    # Fence.

    def _zones(self) -> None:
        items = self._v.fence_store.items
        if items is self._fence_items:
            return
        self._fence_items = items
        self._inside, self._outside = [], []
        craft = self._v.craft
        index = 0
        while index < len(items):
            item = items[index]
            count = int(item.p1) if item.command in (5001, 5002) else 1
            places = [
                craft.to_neu(LonLat(i.y / 1e7, i.x / 1e7), 0.0)
                for i in items[index : index + count]
            ]
            if item.command in (5001, 5002):
                zone = shapely.Polygon([(place[1], place[0]) for place in places])
            else:
                zone = shapely.Point(places[0][1], places[0][0]).buffer(item.p1, quad_segs=32)
            (self._inside if item.command in (5001, 5003) else self._outside).append(zone)
            index += count

    def broken_fences(self) -> int:
        """Which fences are broken at this moment, as FENCE_TYPE bits."""
        v, p = self._v, self._v.parameters
        north, east, up = (float(value) for value in v.craft.position)
        kinds = int(p["FENCE_TYPE"])
        broken = 0
        if kinds & 1 and up >= p["FENCE_ALT_MAX"]:
            broken |= 1
        if kinds & 8 and up <= p["FENCE_ALT_MIN"]:
            broken |= 8
        if kinds & 2 and math.hypot(north, east) >= p["FENCE_RADIUS"]:
            broken |= 2
        if kinds & 4:
            self._zones()
            here = shapely.Point(east, north)
            joined = int(p["FENCE_OPTIONS"]) & 2
            within = [zone.covers(here) for zone in self._inside]
            left = within and not (any(within) if joined else all(within))
            if left or any(zone.covers(here) for zone in self._outside):
                broken |= 4
        return broken

    def _fence(self) -> None:
        v, p = self._v, self._v.parameters
        if p["FENCE_ENABLE"] == 0 or not v.armed or not v.in_air:
            self.fence_breached = 0
            return
        broken = self.broken_fences()
        new = broken & ~self.fence_breached
        if broken == 0 and self.fence_breached:
            v.say(6, "Fence breach cleared")
        self.fence_breached = broken
        if not new:
            return
        self.fence_breaches += 1
        self.fence_breach_ms = v.time_ms
        name = next(text for bit, text in _FENCE_NAMES.items() if new & bit)
        action = int(p["FENCE_ACTION"])
        if action in (1, 3):
            self._return_or_land()
        elif action in (2, 5):
            v.set_mode(LAND)
        elif action == 4:
            v.set_mode(BRAKE)
        v.say(5, f"{name} fence breached")
