"""The vehicle: one simulated clock, what it is told to do, arming, modes, take-off.

What it does by itself is in parts of their own: `mission_runner` (AUTO), `recovery` (return and
landing), `failsafes`, `shutter`, `mount`, `terrain`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from corridor import LonLat
from missions.link.rules import WireItem
from sitl.stand_in import airframe as a
from sitl.stand_in.craft import Craft
from sitl.stand_in.failsafes import Failsafes
from sitl.stand_in.mission_protocol import MissionProtocol
from sitl.stand_in.mission_runner import MissionRunner
from sitl.stand_in.modes import (
    AUTO,
    BRAKE,
    GUIDED,
    LAND,
    LOITER,
    MODES,
    RTL,
    SMART_RTL,
    STABILIZE,
)
from sitl.stand_in.mount import COMMANDS as MOUNT_COMMANDS
from sitl.stand_in.mount import Mount
from sitl.stand_in.parameters import Parameters
from sitl.stand_in.recovery import Recovery
from sitl.stand_in.shutter import COMMANDS as SHUTTER_COMMANDS
from sitl.stand_in.shutter import Shutter
from sitl.stand_in.stores import FenceStore, MissionStore, RallyStore
from sitl.stand_in.terrain import Terrain

VERSION_TEXT = "fencewalk stand-in V0.1, not ArduPilot"
BOOT_S = 2.0
ORIGIN_S = 20.0
"""When the position filter has its origin, as recorded on ArduCopter's simulator."""
USING_GPS_S = 41.3
"""When it uses GPS, and the vehicle can be armed."""
_TICK_S = 0.1
_ARMING_DELAY_S = 2.0

Broadcast = Callable[[str, dict[str, Any]], None]


class Vehicle:
    """Everything but the sockets.

    Args:
        home: where it stands.
        home_altitude_m: the ground there above mean sea level.
        heading_deg: where it looks.
        parameters: its parameters, changed in place.
        broadcast: sends a message (name, fields) to every client.
    """

    def __init__(
        self,
        home: LonLat,
        home_altitude_m: float,
        heading_deg: float,
        parameters: Parameters,
        broadcast: Broadcast,
    ) -> None:
        self.parameters = parameters
        self.broadcast = broadcast
        self.craft = Craft(home, home_altitude_m, heading_deg)
        self.time_s = BOOT_S
        self.mode = STABILIZE
        self.armed = False
        self.in_air = False
        self.terrain_following = False
        self.gps_lost_s = math.inf
        self.signing_key = b""
        self.wants_reboot = False
        self.mission_store = MissionStore(self.say)
        self.fence_store = FenceStore(self.say)
        self.rally_store = RallyStore(self.say)
        self.protocols = {
            store.mission_type: MissionProtocol(store, self.say)
            for store in (self.mission_store, self.fence_store, self.rally_store)
        }
        lat, lon = round(home.lat_deg * 1e7), round(home.lon_deg * 1e7)
        self.mission_store.home = WireItem(16, 0, x=lat, y=lon, z=home_altitude_m)
        self.runner = MissionRunner(self)
        self.mount = Mount(self)
        self.terrain = Terrain(self)
        self.failsafes = Failsafes(self)
        self.shutter = Shutter(self, _TICK_S)
        self.recovery = Recovery(self)
        self._armed_s = 0.0
        self._take_off_to: float | None = None
        self._lift_off_s = math.inf
        self._disarm_s = math.inf
        self._next_tick_s = self.time_s
        self._boot_texts = _boot_texts(home_altitude_m)
        self._wind_m_s = 0.0
        self._configured = -1
        self.reconfigure()

    def after_reboot(self) -> Vehicle:
        """The vehicle as it boots again: what was stored is there, all else is as at the start."""
        craft = self.craft
        heading_deg = math.degrees(float(craft.state[a.YAW]))
        again = Vehicle(
            craft.home, craft.home_altitude_m, heading_deg, self.parameters, self.broadcast
        )
        again.mission_store.items = self.mission_store.items
        again.fence_store.items = self.fence_store.items
        again.rally_store.items = self.rally_store.items
        again.signing_key = self.signing_key
        return again

    # Small things.

    def say(self, severity: int, text: str) -> None:
        """A STATUSTEXT to every client; long ones in pieces."""
        data = text.encode("utf-8")
        pieces = [data[i : i + 50] for i in range(0, len(data), 50)] or [b""]
        many = len(pieces) > 1
        for number, piece in enumerate(pieces):
            fields = {"severity": severity, "text": piece, "id": 7 if many else 0}
            self.broadcast("STATUSTEXT", {**fields, "chunk_seq": number})

    @property
    def time_ms(self) -> int:
        """Milliseconds since boot."""
        return int(self.time_s * 1000)

    @property
    def ready(self) -> bool:
        """Whether the position is known well enough to arm."""
        return self.time_s >= USING_GPS_S and self.parameters["SIM_GPS1_ENABLE"] > 0

    @property
    def mode_name(self) -> str:
        """The mode's name."""
        return MODES[self.mode]

    @property
    def voltage_v(self) -> float:
        """Battery voltage: what SIM_BATT_VOLTAGE says, as the simulator's endless pack."""
        return self.parameters["SIM_BATT_VOLTAGE"]

    @property
    def used_mah(self) -> float:
        """Charge drawn since boot."""
        return float(self.craft.state[a.USED_MAH])

    @property
    def battery_percent(self) -> int:
        """Charge left of BATT_CAPACITY."""
        capacity = max(self.parameters["BATT_CAPACITY"], 1.0)
        return int(max(0.0, 100.0 * (1.0 - self.used_mah / capacity)))

    def planned_heading(self) -> float | None:
        """Heading on a leg after WP_YAW_BEHAVIOR: None looks where it flies."""
        if self.parameters["WP_YAW_BEHAVIOR"] == 0:
            fixed = float(self.craft.settings[a.S_YAW_FIXED])
            return float(self.craft.state[a.YAW_TARGET]) if math.isnan(fixed) else fixed
        return None

    def send_home(self) -> None:
        """HOME_POSITION and GPS_GLOBAL_ORIGIN to everyone."""
        home, altitude = self.craft.home, round(self.craft.home_altitude_m * 1000)
        lat, lon = round(home.lat_deg * 1e7), round(home.lon_deg * 1e7)
        place = {"latitude": lat, "longitude": lon, "altitude": altitude}
        now = {"time_usec": int(self.time_s * 1e6)}
        zero = {"x": 0.0, "y": 0.0, "z": 0.0, "approach_x": 0.0, "approach_y": 0.0}
        nothing = [math.nan] * 4
        self.broadcast("GPS_GLOBAL_ORIGIN", {**place, **now})
        self.broadcast("HOME_POSITION", {**place, **zero, **now, "approach_z": 0.0, "q": nothing})

    # The clock.

    def advance(self, until_s: float) -> None:
        """Simulates up to a time since boot."""
        while self.time_s < until_s - 1e-9:
            if self.time_s >= self._next_tick_s - 1e-9:
                self._tick()
                self._next_tick_s += _TICK_S
            goal = min(until_s, self._next_tick_s, self._lift_off_s, self._disarm_s)
            steps = max(1, round((goal - self.time_s) / a.STEP_S))
            event, done = self.craft.fly(steps)
            self.time_s += done * a.STEP_S
            if event == a.PHOTO:
                self.shutter.take_photo()
            elif event == a.TOUCHDOWN:
                self._touched_down()
            elif event != a.NOTHING:
                self._on_guidance(event)
            if self.time_s >= self._lift_off_s - 1e-9:
                self._lift_off()
            if self.time_s >= self._disarm_s - 1e-9:
                self.disarm("Disarming motors")

    def _tick(self) -> None:
        if self._configured != self.parameters.changes:
            self.reconfigure()
        while self._boot_texts and self.time_s >= self._boot_texts[0][0]:
            _, severity, text = self._boot_texts.pop(0)
            self.say(severity, text)
        for protocol in self.protocols.values():
            protocol.tick(self.time_s)
        self._move_wind()
        self.failsafes.tick()
        self.terrain.tick()
        self._follow_terrain()
        self.runner.tick()
        self.recovery.tick()
        self.shutter.tick()
        idle = self.armed and not self.in_air and self._take_off_to is None
        delay = self.parameters["DISARM_DELAY"]
        if idle and delay > 0 and self.time_s - self._armed_s > delay and self.mode != AUTO:
            self.disarm("Disarming motors")

    def reconfigure(self) -> None:
        """Takes over parameters that have changed."""
        self._configured = self.parameters.changes
        self.craft.configure(self.parameters)
        self.craft.settings[a.S_VOLTS] = self.voltage_v
        self.shutter.arm()

    def _move_wind(self) -> None:
        wanted = self.parameters["SIM_WIND_SPD"]
        constant_s = max(self.parameters["SIM_WIND_TC"], _TICK_S)
        self._wind_m_s += (wanted - self._wind_m_s) * _TICK_S / constant_s
        self.craft.set_wind(self._wind_m_s, self.parameters["SIM_WIND_DIR"])

    def follow_terrain(self, following: bool) -> None:
        """Whether heights of the legs that follow count from the ground below, or from home."""
        if following == self.terrain_following:
            return
        self.terrain_following = following
        here = self.terrain.above_home_m(self.craft.lonlat) if following else 0.0
        self.craft.count_from(here or 0.0)

    def _follow_terrain(self) -> None:
        if not self.terrain_following:
            return
        missing = self.terrain.missing()
        here = self.terrain.above_home_m(self.craft.lonlat)
        if missing and self.mode == AUTO:
            self.say(2, "Failsafe: Terrain data missing")
            if not self.set_mode(RTL):
                self.set_mode(LAND)
        else:
            last = float(self.craft.settings[a.S_DATUM_UP])
            self.craft.follow(last if here is None else here, _TICK_S)

    # Commands.

    def do_command(self, item: WireItem) -> bool:
        """Runs an instant command of a mission or a COMMAND_LONG; False if it is not known."""
        if item.command == 178:
            if item.p2 > 0:
                self.craft.set_speed(item.p2)
        elif item.command == 115:
            heading = math.radians(item.p1)
            if item.p4 == 1:
                heading = float(self.craft.state[a.YAW]) + heading * (item.p3 or 1.0)
            self.craft.fix_heading(heading)
        elif item.command in SHUTTER_COMMANDS:
            self.shutter.take(item)
        elif item.command in MOUNT_COMMANDS:
            self.mount.take(item)
            report = self.mount.fields()
            if report is not None:
                # It points there at once, so a photograph of this moment is one of there.
                self.broadcast("GIMBAL_DEVICE_ATTITUDE_STATUS", report)
        elif item.command in (112, 114, 181, 183, 188, 189, 207, 211, 215):
            pass  # accepted; the stand-in has nothing on board that they would move
        else:
            return False
        return True

    def go_guided(self, place: LonLat, up_m: float) -> bool:
        """Flies to a place in GUIDED."""
        if self.mode != GUIDED or not self.in_air:
            return False
        self.craft.begin_path(self.parameters["WPNAV_SPEED"] / 100.0)
        self.craft.fix_heading(self.planned_heading())
        self.craft.go_to(self.craft.to_neu(place, up_m), None)
        return True

    # Arming.

    def arm(self, force: bool = False) -> str | None:
        """Arms; the reason why not, if it does not."""
        if self.armed:
            return None
        reason = None
        if not self.ready:
            reason = "Need Position Estimate"
        elif self.mode in (AUTO, RTL, LAND) and not (
            self.mode == AUTO and int(self.parameters["AUTO_OPTIONS"]) & 1
        ):
            reason = f"{self.mode_name.title()} mode not armable"
        elif self.failsafes.battery_low_now():
            reason = "Battery 1 low voltage failsafe"
        elif self._fence_without_zone():
            reason = "Fence requires a zone"
        elif self.terrain.needed() and not self.terrain.complete():
            reason = "waiting for terrain data"
        if reason is not None and not force:
            self.say(2, f"Arm: {reason}")
            return reason
        self.armed = True
        self._armed_s = self.time_s
        self.say(6, "Arming motors")
        self.send_home()
        return None

    def _fence_without_zone(self) -> bool:
        p = self.parameters
        return bool(
            p["FENCE_ENABLE"] > 0 and int(p["FENCE_TYPE"]) == 4 and not self.fence_store.items
        )

    def disarm(self, text: str) -> None:
        """Stops the motors."""
        self._disarm_s = self._lift_off_s = math.inf
        self._take_off_to = None
        if not self.armed:
            return
        self.armed = False
        self.runner.landed()
        self.runner.stop()
        self.say(6, text)
        if self.runner.complete:
            self.runner.current = 0

    # Modes.

    def set_mode(self, mode: int) -> bool:
        """Changes the mode; False where ArduCopter would refuse."""
        if mode not in MODES:
            return False
        if mode == self.mode:
            return True
        position_needed = mode in (AUTO, GUIDED, LOITER, RTL, BRAKE, SMART_RTL)
        if position_needed and not (
            self.time_s >= USING_GPS_S and not self.failsafes.position_lost
        ):
            self.say(4, f"Mode change to {MODES[mode]} failed: requires position")
            return False
        if mode == AUTO:
            if len(self.mission_store) < 2:
                self.say(4, "Mode change to AUTO failed: init failed")
                return False
            if self.armed and not self.in_air and not self.runner.has_takeoff_first():
                self.say(2, "Auto: Missing Takeoff Cmd")
                self.say(4, "Mode change to AUTO failed: init failed")
                return False
        if self.mode == AUTO:
            self.runner.stop()
        self.follow_terrain(False)
        self.mode = mode
        self.recovery.stop()
        if mode not in (AUTO, GUIDED):
            self._take_off_to = None
            self._lift_off_s = math.inf
        self.shutter.arm()
        if self.in_air:
            self._enter_flying(mode)
        elif mode == AUTO and self.armed:
            self.say(6, VERSION_TEXT)
            self.runner.start_or_resume()
        return True

    def _enter_flying(self, mode: int) -> None:
        if mode == AUTO:
            self.craft.fix_heading(self.planned_heading())
            self.runner.start_or_resume()
        elif mode in (RTL, SMART_RTL):
            self.recovery.begin_return()
        elif mode == LAND:
            self.recovery.begin_landing()
        else:
            self.craft.hold()

    def start_mission(self) -> bool:
        """MISSION_START."""
        if self.mode != AUTO and not self.set_mode(AUTO):
            return False
        if self.armed and not self.in_air:
            self.runner.reset()
            self.runner.start_or_resume()
        return self.armed

    # Take-off, and what the airframe tells.

    def take_off_to(self, up_m: float) -> None:
        """Starts the motors' run-up; the craft lifts off when the throttle carries it."""
        self._take_off_to = up_m
        ramp_s = self.parameters["TKOFF_SLEW_TIME"] * self.parameters["MOT_THST_HOVER"]
        run_up_s = self.parameters["MOT_SPOOL_TIME"] + ramp_s
        begin_s = max(self._armed_s + _ARMING_DELAY_S, self.time_s)
        self._lift_off_s = self._on_grid(begin_s + run_up_s)

    def _on_grid(self, time_s: float) -> float:
        return self.time_s + a.STEP_S * max(1, round((time_s - self.time_s) / a.STEP_S))

    def _lift_off(self) -> None:
        self._lift_off_s = math.inf
        if self._take_off_to is None or not self.armed:
            return
        self.in_air = True
        self.craft.set_speed(self.parameters["WPNAV_SPEED"] / 100.0, fresh=True)
        self.craft.fix_heading(float(self.craft.state[a.YAW]))
        self.craft.climb_to(self._take_off_to)

    def _on_guidance(self, event: int) -> None:
        if event == a.CLIMBED and self.mode != AUTO:
            self._take_off_to = None
            self.craft.stay()
            return
        if event == a.CLIMBED:
            self._take_off_to = None
        if self.recovery.under_way:
            self.recovery.on_guidance()
        elif self.mode == AUTO:
            self.runner.on_event(event)

    def _touched_down(self) -> None:
        speed = self.craft.state[a.TOUCHDOWN_SPEED]
        self.say(6, f"SIM Hit ground at {speed:.6f} m/s")
        self.in_air = False
        # The landing detector waits a second, the motors spool down, then they stop.
        self._disarm_s = self._on_grid(self.time_s + 2.0)


def _boot_texts(home_altitude_m: float) -> list[tuple[float, int, str]]:
    return [
        (2.1, 6, VERSION_TEXT),
        (2.2, 6, "ArduPilot Ready"),
        (4.3, 6, "EKF3 IMU0 initialised"),
        (9.7, 6, "GPS 1: detected u-blox"),
        (ORIGIN_S, 6, "EKF3 IMU0 origin set"),
        (ORIGIN_S + 0.1, 6, f"Field Elevation Set: {home_altitude_m:.0f}m"),
        (USING_GPS_S, 6, "EKF3 IMU0 is using GPS"),
    ]
