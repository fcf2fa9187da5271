"""The airframe with its numbers named, and positions as latitude and longitude."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from corridor import LonLat
from sitl.stand_in import airframe as a
from sitl.stand_in.parameters import Parameters
from sitl.stand_in.path import ELAPSED, LEG_SIZE, T_END, VALID, leg_at, plan_leg

FloatArray = npt.NDArray[np.float64]

METRES_PER_DEGREE = 111_318.845
"""ArduPilot's scale of a degree of latitude, the same everywhere."""


class Craft:
    """State, settings and legs of the airframe, and the ways to command it.

    Positions are (north, east, up) in metres from home.
    """

    def __init__(self, home: LonLat, home_altitude_m: float, heading_deg: float) -> None:
        self.home = home
        self.home_altitude_m = home_altitude_m
        self.state = np.zeros(a.STATE_SIZE)
        self.settings = np.zeros(a.SETTINGS_SIZE)
        self.legs = np.zeros((3, LEG_SIZE))
        self.noise = np.random.default_rng(20_260).standard_normal(8_192)
        self.state[a.YAW] = self.state[a.YAW_TARGET] = math.radians(heading_deg)
        self.state[a.PHOTO_NORTH] = math.nan
        self.state[a.TIME_SCALE] = 1.0
        self.settings[a.S_YAW_FIXED] = math.nan
        self.settings[a.S_HOME_AMSL] = home_altitude_m
        self._jerk = self._snap = 1.0
        self.destination: FloatArray = np.zeros(3)

    # Places.

    def to_neu(self, place: LonLat, up_m: float) -> FloatArray:
        """North, east, up of a place."""
        middle = math.radians(0.5 * (place.lat_deg + self.home.lat_deg))
        return np.array(
            [
                (place.lat_deg - self.home.lat_deg) * METRES_PER_DEGREE,
                (place.lon_deg - self.home.lon_deg) * METRES_PER_DEGREE * math.cos(middle),
                up_m,
            ]
        )

    def to_lonlat(self, north_m: float, east_m: float) -> LonLat:
        """The place of north and east."""
        lat = self.home.lat_deg + north_m / METRES_PER_DEGREE
        middle = math.radians(0.5 * (lat + self.home.lat_deg))
        return LonLat(self.home.lon_deg + east_m / METRES_PER_DEGREE / math.cos(middle), lat)

    @property
    def position(self) -> FloatArray:
        """Where it is."""
        return self.state[a.POS : a.POS + 3]

    @property
    def velocity(self) -> FloatArray:
        """How it moves."""
        return self.state[a.VEL : a.VEL + 3]

    @property
    def lonlat(self) -> LonLat:
        """Where it is, on the globe."""
        return self.to_lonlat(float(self.position[0]), float(self.position[1]))

    @property
    def guidance(self) -> int:
        """What the guidance does (`airframe.ON_GROUND`, …)."""
        return int(self.state[a.MODE])

    # Settings.

    def configure(self, parameters: Parameters) -> None:
        """Takes over speeds, gains and limits from the parameters."""
        p, get = self.settings, parameters.values
        p[a.S_UP] = get["WPNAV_SPEED_UP"] / 100.0
        p[a.S_DOWN] = get["WPNAV_SPEED_DN"] / 100.0
        p[a.S_ACCEL] = get["WPNAV_ACCEL"] / 100.0
        p[a.S_ACCEL_UP] = get["WPNAV_ACCEL_Z"] / 100.0
        p[a.S_JERK] = get["WPNAV_JERK"]
        p[a.S_RADIUS] = get["WPNAV_RADIUS"] / 100.0
        corner = get["WPNAV_ACCEL_C"] / 100.0
        p[a.S_CORNER] = corner if corner > 0 else 2.0 * p[a.S_ACCEL]
        p[a.S_KP_POS] = get["PSC_POSXY_P"]
        p[a.S_KP_VEL] = get["PSC_VELXY_P"]
        p[a.S_KI_VEL] = get["PSC_VELXY_I"]
        p[a.S_KD_VEL] = get["PSC_VELXY_D"]
        p[a.S_KP_Z] = get["PSC_POSZ_P"]
        p[a.S_KP_VZ] = get["PSC_VELZ_P"]
        p[a.S_JERK_UP] = get["PSC_JERK_Z"]
        p[a.S_JERK_CONTROL] = get["PSC_JERK_XY"]
        lean = get["PSC_ANGLE_MAX"] or get["ANGLE_MAX"] / 100.0
        p[a.S_LEAN_RAD] = math.radians(lean)
        p[a.S_LAND_SLOW] = get["LAND_SPEED"] / 100.0
        fast = get["LAND_SPEED_HIGH"] / 100.0
        p[a.S_LAND_FAST] = max(fast if fast > 0 else p[a.S_DOWN], p[a.S_LAND_SLOW])
        p[a.S_LAND_LOW_M] = max(get["LAND_ALT_LOW"] / 100.0, 1.0)
        p[a.S_YAW_SLEW] = math.radians(get["ATC_SLEW_YAW"] / 100.0)
        p[a.S_TURB] = get["SIM_WIND_TURB"]
        p[a.S_WIND_FULL_M] = get["SIM_WIND_T_ALT"] if get["SIM_WIND_T"] == 0 else 0.0
        self._jerk = get["WPNAV_JERK"] or p[a.S_ACCEL]
        # Leaning takes ATC_INPUT_TC, so the jerk cannot change faster; half of that is used.
        self._snap = self._jerk * math.pi / (2.0 * max(get["ATC_INPUT_TC"], 0.1)) * 0.5
        if p[a.S_SPEED] == 0.0:
            self.set_speed(get["WPNAV_SPEED"] / 100.0, fresh=True)

    def set_wind(self, speed_m_s: float, from_deg: float) -> None:
        """Mean wind as meteorologists say it: where it comes from."""
        towards = math.radians(from_deg) + math.pi
        self.settings[a.S_WIND_NORTH] = speed_m_s * math.cos(towards)
        self.settings[a.S_WIND_EAST] = speed_m_s * math.sin(towards)

    def set_speed(self, speed_m_s: float, fresh: bool = False) -> None:
        """Sets the horizontal speed; under way the rest of the leg is planned anew from now."""
        old = float(self.settings[a.S_SPEED])
        self.settings[a.S_SPEED] = speed_m_s
        if fresh or old <= 0.0:
            self.state[a.SPEED_NOW] = speed_m_s
            self.state[a.SPEED_NOW_ACCEL] = 0.0
            return
        self.state[a.SPEED_NOW] *= speed_m_s / old
        leg = self.legs[1]
        if leg[VALID] and 0.0 < leg[ELAPSED] < leg[T_END] and self.legs[2][ELAPSED] == 0.0:
            done_m, now_m_s, _ = leg_at(leg, leg[ELAPSED])
            end = leg[0:3] + leg[3:6] * leg[6]
            start = leg[0:3] + leg[3:6] * done_m
            self._plan(leg, start, end, now_m_s)
        after = self.legs[2]
        if after[VALID] and after[ELAPSED] == 0.0:
            self._plan(after, after[0:3].copy(), after[0:3] + after[3:6] * after[6], 0.0)

    def _plan(
        self, leg: FloatArray, start: FloatArray, end: FloatArray, start_speed: float
    ) -> None:
        p = self.settings
        plan_leg(
            leg,
            np.ascontiguousarray(start),
            np.ascontiguousarray(end),
            start_speed,
            p[a.S_SPEED],
            p[a.S_UP],
            p[a.S_DOWN],
            p[a.S_ACCEL],
            p[a.S_ACCEL_UP],
            self._jerk,
            self._snap,
        )

    # Commands.

    def climb_to(self, up_m: float) -> None:
        """Straight up to a height."""
        self._target_here()
        self.settings[a.S_CLIMB_TO_M] = up_m
        self.destination = np.array([self.position[0], self.position[1], up_m])
        self.state[a.MODE] = a.CLIMB

    def begin_path(self, speed_m_s: float) -> None:
        """Gets ready for legs that start where the vehicle can stop."""
        self.set_speed(speed_m_s, fresh=True)
        self.destination = self.stopping_point()
        self._hold_target(self.destination)
        self.legs[:] = 0.0
        self.state[a.TIME_SCALE] = 1.0
        self.state[a.THROUGH] = 0.0
        self.state[a.MODE] = a.PATH

    def begin_legs_here(self, speed_m_s: float) -> None:
        """Gets ready for legs that start at the present destination (the top of a climb)."""
        self.set_speed(speed_m_s, fresh=True)
        self.legs[:] = 0.0
        self.state[a.TIME_SCALE] = 1.0
        self.state[a.THROUGH] = 0.0
        self.state[a.MODE] = a.PATH
        self.legs[1][0:3] = self.destination

    @property
    def moving(self) -> bool:
        """Whether the target is still on its way along a leg."""
        leg = self.legs[1]
        return bool(leg[VALID] and leg[ELAPSED] < leg[T_END])

    def go_to(self, place: FloatArray, after: FloatArray | None) -> None:
        """The next leg, from the present destination; `after`: where it goes on without a stop."""
        if self.guidance != a.PATH:
            self.legs[:] = 0.0
            self.state[a.MODE] = a.PATH
        went_through = self.state[a.THROUGH] > 0.0 and self.legs[2][VALID] != 0.0
        self.legs[0] = self.legs[1]
        if went_through and np.allclose(self._end_of(self.legs[2]), place, atol=1e-6):
            self.legs[1] = self.legs[2]
        else:
            self._plan(self.legs[1], self.destination, place, 0.0)
        if self.legs[1][VALID] == 0.0:
            self.legs[1][0:3] = place
        self.legs[2] = 0.0
        self.state[a.THROUGH] = 0.0
        if after is not None:
            self._plan(self.legs[2], place, after, 0.0)
            if self.legs[2][VALID] != 0.0:
                self.state[a.THROUGH] = 1.0
        self.destination = place.copy()

    @staticmethod
    def _end_of(leg: FloatArray) -> FloatArray:
        return leg[0:3] + leg[3:6] * leg[6]

    def count_from(self, up_m: float) -> None:
        """Targets' heights count from `up_m` above home from now on; nothing moves by that."""
        change = up_m - self.settings[a.S_DATUM_UP]
        self.settings[a.S_DATUM_UP] = up_m
        self.settings[a.S_DATUM_RATE] = 0.0
        self.state[a.TARGET + 2] -= change
        self.settings[a.S_CLIMB_TO_M] -= change
        self.legs[:, 2] -= change
        self.destination = self.destination - np.array([0.0, 0.0, change])

    def follow(self, up_m: float, within_s: float) -> None:
        """What heights count from moves to `up_m`, no faster than the craft climbs or sinks."""
        rate = (up_m - self.settings[a.S_DATUM_UP]) / within_s
        self.settings[a.S_DATUM_RATE] = min(
            max(rate, -self.settings[a.S_DOWN]), self.settings[a.S_UP]
        )

    def hold(self) -> None:
        """Stops as it can, and stays there."""
        self.destination = self.stopping_point()
        self._hold_target(self.destination)
        self.state[a.MODE] = a.HOLD

    def stay(self) -> None:
        """Stays at the present destination."""
        self._hold_target(self.destination)
        self.state[a.MODE] = a.HOLD

    def descend(self, with_position: bool) -> None:
        """Down to the ground, here; without position it only keeps level."""
        target = self.state[a.TARGET : a.TARGET + 9]
        if self.guidance not in (a.HOLD, a.PATH, a.DESCEND, a.LEVEL_HOLD):
            self._target_here()
        elif self.guidance == a.PATH:
            self._hold_target(self.stopping_point())
        target[2] = self.position[2]
        target[5] = self.velocity[2]
        self.state[a.MODE] = a.DESCEND if with_position else a.LEVEL_DESCEND

    def level_off(self, with_position: bool) -> None:
        """Keeps the height; without position it keeps level and drifts to a stop."""
        if with_position:
            self.hold()
            return
        target = self.state[a.TARGET : a.TARGET + 9]
        target[:] = 0.0
        target[:3] = self.stopping_point()
        self.state[a.MODE] = a.LEVEL_HOLD

    def stopping_point(self) -> FloatArray:
        """Where it comes to rest when the position controller brakes."""
        point = self.position.copy()
        speed = math.hypot(self.velocity[0], self.velocity[1])
        if speed > 0.1:
            gain, brake = self.settings[a.S_KP_POS], self.settings[a.S_ACCEL]
            linear = brake / gain
            if speed <= linear:
                far = speed / gain
            else:
                far = 0.5 * brake / gain**2 + speed**2 / (2.0 * brake)
            point[:2] += self.velocity[:2] / speed * far
        point[2] -= self.settings[a.S_DATUM_UP]
        up = float(self.velocity[2] - self.settings[a.S_DATUM_RATE])
        gain, brake = self.settings[a.S_KP_Z], self.settings[a.S_ACCEL_UP]
        if abs(up) <= brake / gain:
            point[2] += up / gain
        else:
            point[2] += math.copysign(0.5 * brake / gain**2 + up * up / (2.0 * brake), up)
        return point

    def _target_here(self) -> None:
        here = self.position.copy()
        here[2] -= self.settings[a.S_DATUM_UP]
        self._hold_target(here)

    def _hold_target(self, place: FloatArray) -> None:
        self.state[a.TARGET : a.TARGET + 9] = 0.0
        self.state[a.TARGET : a.TARGET + 3] = place

    def fix_heading(self, yaw_rad: float | None) -> None:
        """Holds a heading (None: looks where it flies)."""
        self.settings[a.S_YAW_FIXED] = math.nan if yaw_rad is None else yaw_rad

    def forget_photo_place(self) -> None:
        """The next distance-triggered photo measures from where the vehicle is then."""
        self.state[a.PHOTO_NORTH] = math.nan

    def photo_here(self) -> None:
        """A photo was just taken here; the next one is measured from it."""
        self.state[a.PHOTO_NORTH], self.state[a.PHOTO_EAST] = self.position[:2]

    def fly(self, steps: int) -> tuple[int, int]:
        """Simulates; see `airframe.fly`."""
        return a.fly(self.state, self.settings, self.legs, self.noise, steps)
