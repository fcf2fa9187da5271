"""What the vehicle reports, message by message, and in which stream ArduCopter sends it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from sitl.stand_in import airframe as a
from sitl.stand_in.modes import AUTO, BRAKE, GUIDED, LAND, LOITER, RTL, SMART_RTL
from sitl.stand_in.vehicle import ORIGIN_S, USING_GPS_S, Vehicle

Fields = dict[str, Any]

STREAMS: dict[int, tuple[str, ...]] = {
    1: ("RAW_IMU", "SCALED_IMU2", "SCALED_IMU3", "SCALED_PRESSURE", "SCALED_PRESSURE2"),
    2: (
        "SYS_STATUS",
        "POWER_STATUS",
        "MEMINFO",
        "MISSION_CURRENT",
        "GPS_RAW_INT",
        "NAV_CONTROLLER_OUTPUT",
        "FENCE_STATUS",
        "POSITION_TARGET_GLOBAL_INT",
    ),
    3: ("SERVO_OUTPUT_RAW", "RC_CHANNELS"),
    6: ("GLOBAL_POSITION_INT", "LOCAL_POSITION_NED"),
    10: ("ATTITUDE", "SIMSTATE", "AHRS2"),
    11: ("VFR_HUD",),
    12: (
        "AHRS",
        "SYSTEM_TIME",
        "WIND",
        "TERRAIN_REPORT",
        "BATTERY_STATUS",
        "EKF_STATUS_REPORT",
        "VIBRATION",
        "ESC_TELEMETRY_1_TO_4",
        "GIMBAL_DEVICE_ATTITUDE_STATUS",
    ),
}
"""MAV_DATA_STREAM number to the messages in it."""

# Sensor bits: gyro, accelerometer, compass, barometer, GPS, rate control, attitude, yaw, altitude,
# position, motors, RC, AHRS, terrain, battery, logging; fence and pre-arm checks are set apart.
_SENSORS = 0x1 | 0x2 | 0x4 | 0x8 | 0x20 | 0x400 | 0x800 | 0x1000 | 0x2000 | 0x4000 | 0x8000
_SENSORS |= 0x10000 | 0x200000 | 0x400000 | 0x2000000 | 0x1000000
_GPS, _FENCE, _READY = 0x20, 0x100000, 0x10000000
_NO_ERRORS = dict.fromkeys(
    (
        *("drop_rate_comm", "errors_comm"),
        *("errors_count1", "errors_count2", "errors_count3", "errors_count4"),
        *(f"onboard_control_sensors_{kind}_extended" for kind in ("present", "enabled", "health")),
    ),
    0,
)
_ZERO_IMU = dict.fromkeys(("xgyro", "ygyro", "zgyro", "xmag", "ymag", "zmag"), 0)


class Telemetry:
    """Builds the fields of each message from the vehicle's state."""

    def __init__(self, vehicle: Vehicle) -> None:
        self._v = vehicle
        self._builders: dict[str, Callable[[], Fields | None]] = {
            "AHRS": self._ahrs,
            "AHRS2": self._ahrs2,
            "ATTITUDE": self._attitude,
            "BATTERY_STATUS": self._battery_status,
            "EKF_STATUS_REPORT": self._ekf,
            "ESC_TELEMETRY_1_TO_4": self._esc,
            "FENCE_STATUS": self._fence_status,
            "GIMBAL_DEVICE_ATTITUDE_STATUS": self._v.mount.fields,
            "GLOBAL_POSITION_INT": self._global_position,
            "GPS_RAW_INT": self._gps_raw,
            "HEARTBEAT": self.heartbeat,
            "HOME_POSITION": self._home,
            "LOCAL_POSITION_NED": self._local_position,
            "MEMINFO": lambda: {"brkval": 0, "freemem": 65535, "freemem32": 524288},
            "MISSION_CURRENT": self._mission_current,
            "NAV_CONTROLLER_OUTPUT": self._nav,
            "POSITION_TARGET_GLOBAL_INT": self._target,
            "POWER_STATUS": lambda: {"Vcc": 5000, "Vservo": 0, "flags": 0},
            "RAW_IMU": self._raw_imu,
            "RC_CHANNELS": self._rc_channels,
            "SCALED_IMU2": self._scaled_imu,
            "SCALED_IMU3": self._scaled_imu,
            "SCALED_PRESSURE": self._pressure,
            "SCALED_PRESSURE2": self._pressure,
            "SERVO_OUTPUT_RAW": self._servos,
            "SIMSTATE": self._simstate,
            "SYSTEM_TIME": self._system_time,
            "SYS_STATUS": self._sys_status,
            "TERRAIN_REPORT": self._v.terrain.report,
            "VFR_HUD": self._vfr_hud,
            "VIBRATION": self._vibration,
            "WIND": self._wind,
        }

    def __contains__(self, name: str) -> bool:
        return name in self._builders

    def fields(self, name: str) -> Fields | None:
        """The message's fields at this moment; None where the vehicle has nothing to say yet."""
        return self._builders[name]()

    # Shorthands.

    @property
    def _place(self) -> tuple[int, int]:
        if self._v.time_s < ORIGIN_S:
            return 0, 0
        place = self._v.failsafes.last_place or self._v.craft.lonlat
        return round(place.lat_deg * 1e7), round(place.lon_deg * 1e7)

    @property
    def _altitudes_m(self) -> tuple[float, float]:
        up = float(self._v.craft.position[2])
        if self._v.time_s < ORIGIN_S:
            return 0.0, 0.0
        return self._v.craft.home_altitude_m + up, up

    @property
    def _heading_deg(self) -> float:
        return math.degrees(float(self._v.craft.state[a.YAW])) % 360.0

    @property
    def _signed_yaw(self) -> float:
        yaw = float(self._v.craft.state[a.YAW]) % (2 * math.pi)
        return yaw - 2 * math.pi if yaw > math.pi else yaw

    # Messages.

    def heartbeat(self) -> Fields:
        """The heartbeat, as a quadrotor flown by ArduPilot's conventions."""
        v = self._v
        guided = v.mode in (AUTO, GUIDED, LOITER, RTL, LAND, BRAKE, SMART_RTL)
        base = 1 | 16 | 64 | (128 if v.armed else 0) | (8 if guided else 0)
        status = 1 if v.time_s < 2.8 else 4 if v.in_air else 3
        if v.in_air and (v.failsafes.position_lost or v.failsafes.radio_failed):
            status = 5
        return {
            "type": 2,
            "autopilot": 3,
            "base_mode": base,
            "custom_mode": v.mode,
            "system_status": status,
            "mavlink_version": 3,
        }

    def _home(self) -> None:
        if self._v.time_s >= ORIGIN_S:
            self._v.send_home()

    def _attitude(self) -> Fields:
        s = self._v.craft.state
        return {
            "time_boot_ms": self._v.time_ms,
            "roll": s[a.ROLL],
            "pitch": s[a.PITCH],
            "yaw": self._signed_yaw,
            "rollspeed": s[a.ROLL_RATE],
            "pitchspeed": s[a.PITCH_RATE],
            "yawspeed": s[a.YAW_RATE],
        }

    def _global_position(self) -> Fields:
        lat, lon = self._place
        high, up = self._altitudes_m
        vel = self._v.craft.velocity
        return {
            "time_boot_ms": self._v.time_ms,
            "lat": lat,
            "lon": lon,
            "alt": int(high * 1000),
            "relative_alt": int(up * 1000),
            "vx": int(vel[0] * 100),
            "vy": int(vel[1] * 100),
            "vz": int(-vel[2] * 100),
            "hdg": int(self._heading_deg * 100) % 36000,
        }

    def _local_position(self) -> Fields | None:
        if self._v.time_s < USING_GPS_S:
            return None
        pos, vel = self._v.craft.position, self._v.craft.velocity
        return {
            "time_boot_ms": self._v.time_ms,
            "x": pos[0],
            "y": pos[1],
            "z": -pos[2],
            "vx": vel[0],
            "vy": vel[1],
            "vz": -vel[2],
        }

    def _vfr_hud(self) -> Fields:
        v = self._v
        vel = v.craft.velocity
        speed = math.hypot(vel[0], vel[1])
        thrust = float(v.craft.state[a.THRUST_N]) / (a.MASS_KG * a.GRAVITY_M_S2)
        return {
            "airspeed": speed,
            "groundspeed": speed,
            "heading": int(self._heading_deg),
            "throttle": min(100, int(100 * thrust * v.parameters["MOT_THST_HOVER"])),
            "alt": self._altitudes_m[0],
            "climb": vel[2],
        }

    def _current_a(self) -> float:
        v = self._v
        return float(v.craft.state[a.CURRENT_A]) if v.in_air else 0.0

    def _sys_status(self) -> Fields:
        v = self._v
        gps_works = v.parameters["SIM_GPS1_ENABLE"] > 0 and v.time_s > 9.7
        health = (_SENSORS if gps_works else _SENSORS & ~_GPS) | (_READY if v.ready else 0)
        fence = _FENCE if v.parameters["FENCE_ENABLE"] > 0 else 0
        if fence and not v.failsafes.fence_breached:
            health |= fence
        return {
            **_NO_ERRORS,
            "onboard_control_sensors_present": _SENSORS | _FENCE | _READY,
            "onboard_control_sensors_enabled": _SENSORS | fence | _READY,
            "onboard_control_sensors_health": health,
            "load": 0,
            "voltage_battery": int(v.voltage_v * 1000),
            "current_battery": int(self._current_a() * 100),
            "battery_remaining": v.battery_percent,
        }

    def _battery_status(self) -> Fields:
        v = self._v
        return {
            "id": 0,
            "battery_function": 0,
            "type": 0,
            "temperature": 32767,
            "voltages": (int(v.voltage_v * 1000), *([65535] * 9)),
            "current_battery": int(self._current_a() * 100),
            "current_consumed": int(v.used_mah),
            "energy_consumed": int(v.used_mah * v.voltage_v * 0.036),
            "battery_remaining": v.battery_percent,
            "time_remaining": 0,
            "charge_state": 1,
            "voltages_ext": (0, 0, 0, 0),
            "mode": 0,
            "fault_bitmask": 0,
        }

    def _mission_current(self) -> Fields:
        runner, total = self._v.runner, len(self._v.mission_store)
        return {
            "seq": runner.current,
            "total": max(total - 1, 0),
            "mission_state": runner.state,
            "mission_mode": 1 if self._v.mode == AUTO else 0,
        }

    def _nav(self) -> Fields:
        craft = self._v.craft
        off = craft.destination - craft.position
        bearing = int(math.degrees(math.atan2(off[1], off[0])))
        flying = self._v.in_air
        return {
            "nav_roll": math.degrees(craft.state[a.ROLL]),
            "nav_pitch": math.degrees(craft.state[a.PITCH]),
            "nav_bearing": bearing,
            "target_bearing": bearing,
            "wp_dist": min(int(math.hypot(off[0], off[1])), 65535) if flying else 0,
            "alt_error": float(craft.state[a.TARGET + 2] - craft.position[2]) if flying else 0.0,
            "aspd_error": 0.0,
            "xtrack_error": 0.0,
        }

    def _target(self) -> Fields | None:
        craft = self._v.craft
        if not self._v.in_air or craft.guidance != a.PATH:
            return None
        place = craft.to_lonlat(float(craft.destination[0]), float(craft.destination[1]))
        return {
            **dict.fromkeys(("vx", "vy", "vz", "afx", "afy", "afz", "yaw", "yaw_rate"), 0.0),
            "time_boot_ms": self._v.time_ms,
            "coordinate_frame": 0,
            "type_mask": 65016,
            "lat_int": round(place.lat_deg * 1e7),
            "lon_int": round(place.lon_deg * 1e7),
            "alt": craft.home_altitude_m + float(craft.destination[2]),
        }

    def _ekf(self) -> Fields:
        v = self._v
        if v.time_s < 5.5:
            flags = 1024
        elif v.time_s < USING_GPS_S:
            flags = 167
        else:
            flags = 831 if not v.failsafes.position_lost else 167
        return {
            "flags": flags,
            "velocity_variance": 1.1 if v.failsafes.position_lost else 0.0,
            "pos_horiz_variance": 1.1 if v.failsafes.position_lost else 0.01,
            "pos_vert_variance": 0.0,
            "compass_variance": 0.0,
            "terrain_alt_variance": 0.0,
            "airspeed_variance": 0.0,
        }

    def _gps_raw(self) -> Fields:
        v = self._v
        fix = 6 if v.time_s > 10 and v.parameters["SIM_GPS1_ENABLE"] > 0 else 0
        lat, lon = self._place if fix else (0, 0)
        vel = v.craft.velocity
        course = math.degrees(math.atan2(vel[1], vel[0])) % 360.0
        high_mm = int(self._altitudes_m[0] * 1000) if fix else 0
        return {
            "time_usec": int(v.time_s * 1e6) if fix else 0,
            "fix_type": fix,
            "lat": lat,
            "lon": lon,
            "alt": high_mm,
            "eph": 121 if fix else 65535,
            "epv": 200 if fix else 65535,
            "vel": int(100 * math.hypot(vel[0], vel[1])),
            "cog": int(100 * course) % 36000,
            "satellites_visible": int(v.parameters["SIM_GPS1_NUMSATS"]) if fix else 0,
            "alt_ellipsoid": high_mm,
            "h_acc": 300 if fix else 0,
            "v_acc": 300 if fix else 0,
            "vel_acc": 40 if fix else 0,
            "hdg_acc": 0,
            "yaw": 0,
        }

    def _accelerations_mg(self) -> Fields:
        s = self._v.craft.state
        down = -int(1000 * float(s[a.THRUST_N]) / (a.MASS_KG * a.GRAVITY_M_S2))
        return {"xacc": 0, "yacc": 0, "zacc": down if self._v.in_air else -1000, **_ZERO_IMU}

    def _raw_imu(self) -> Fields:
        now = {"time_usec": int(self._v.time_s * 1e6), "id": 0, "temperature": 2500}
        return {**self._accelerations_mg(), **now}

    def _scaled_imu(self) -> Fields:
        return {**self._accelerations_mg(), "time_boot_ms": self._v.time_ms, "temperature": 2500}

    def _pressure(self) -> Fields:
        high = self._v.craft.home_altitude_m + float(self._v.craft.position[2])
        return {
            "time_boot_ms": self._v.time_ms,
            "press_abs": 1013.25 * (1.0 - 2.25577e-5 * high) ** 5.25588,
            "press_diff": 0.0,
            "temperature": 2500,
            "temperature_press_diff": 0,
        }

    def _servos(self) -> Fields:
        thrust = float(self._v.craft.state[a.THRUST_N]) / (a.MASS_KG * a.GRAVITY_M_S2)
        hover = self._v.parameters["MOT_THST_HOVER"]
        pulse = 1000 if not self._v.armed else int(1150 + 800 * min(1.0, hover * thrust))
        fields: Fields = {f"servo{i}_raw": 0 for i in range(5, 17)}
        fields |= {f"servo{i}_raw": pulse for i in range(1, 5)}
        return {**fields, "time_usec": int(self._v.time_s * 1e6) & 0xFFFFFFFF, "port": 0}

    def _rc_channels(self) -> Fields:
        failed = self._v.parameters["SIM_RC_FAIL"] > 0
        values = [1500, 1500, 1000, 1500, 1800, 1000, 1000, 1800] + [0] * 10
        fields: Fields = {
            f"chan{i + 1}_raw": 0 if failed else value for i, value in enumerate(values)
        }
        rssi = 0 if failed else 254
        return {**fields, "time_boot_ms": self._v.time_ms, "chancount": 16, "rssi": rssi}

    def _simstate(self) -> Fields:
        s = self._v.craft.state
        place = self._v.craft.lonlat
        zero = dict.fromkeys(("xacc", "yacc", "xgyro", "ygyro", "zgyro"), 0.0)
        return {
            **zero,
            "roll": s[a.ROLL],
            "pitch": s[a.PITCH],
            "yaw": self._signed_yaw,
            "zacc": -a.GRAVITY_M_S2 - float(s[a.ACCEL_UP]),
            "lat": round(place.lat_deg * 1e7),
            "lng": round(place.lon_deg * 1e7),
        }

    def _ahrs(self) -> Fields:
        names = ("omegaIx", "omegaIy", "omegaIz", "accel_weight", "renorm_val", "error_rp")
        return {**dict.fromkeys(names, 0.0), "error_yaw": 0.0}

    def _ahrs2(self) -> Fields:
        s = self._v.craft.state
        lat, lon = self._place
        return {
            "roll": s[a.ROLL],
            "pitch": s[a.PITCH],
            "yaw": self._signed_yaw,
            "altitude": self._altitudes_m[0],
            "lat": lat,
            "lng": lon,
        }

    def _system_time(self) -> Fields:
        return {"time_unix_usec": 0, "time_boot_ms": self._v.time_ms}

    def _wind(self) -> Fields | None:
        if self._v.time_s < USING_GPS_S:
            return None
        p = self._v.craft.settings
        towards = math.degrees(math.atan2(p[a.S_WIND_EAST], p[a.S_WIND_NORTH]))
        speed = math.hypot(p[a.S_WIND_NORTH], p[a.S_WIND_EAST])
        return {"direction": (towards + 360.0) % 360.0 - 180.0, "speed": speed, "speed_z": 0.0}

    def _vibration(self) -> Fields:
        names = ("vibration_x", "vibration_y", "vibration_z")
        fields: Fields = dict.fromkeys(names, 0.003)
        fields |= dict.fromkeys(("clipping_0", "clipping_1", "clipping_2"), 0)
        return {**fields, "time_usec": int(self._v.time_s * 1e6)}

    def _esc(self) -> Fields:
        thrust = float(self._v.craft.state[a.THRUST_N]) / (a.MASS_KG * a.GRAVITY_M_S2)
        rpm = int(5000 * math.sqrt(max(thrust, 0.0))) if self._v.in_air else 0
        used = int(self._v.used_mah / 4)
        return {
            "temperature": (32,) * 4,
            "voltage": (int(self._v.voltage_v * 100),) * 4,
            "current": (int(self._current_a() * 25),) * 4,
            "totalcurrent": (used,) * 4,
            "rpm": (rpm,) * 4,
            "count": (self._v.time_ms // 100 & 0xFFFF,) * 4,
        }

    def _fence_status(self) -> Fields | None:
        f = self._v.failsafes
        if self._v.parameters["FENCE_ENABLE"] == 0:
            return None
        kind = 0
        for bit, number in ((8, 1), (1, 2), (2, 3), (4, 3)):
            if f.fence_breached & bit:
                kind = number
        return {
            "breach_status": 1 if f.fence_breached else 0,
            "breach_count": f.fence_breaches,
            "breach_type": kind,
            "breach_time": f.fence_breach_ms,
            "breach_mitigation": 0,
        }
