"""How the airframe moves: guidance, position control, lean, drag, wind and current, in one step.

The airframe is the 3 kg quadrotor that ArduPilot's simulator documents as its default (reference
flight: 15.08 m/s at 45 degrees of lean, 12.09 V and 29.3 A in the hover, four rotors of 0.385 m² in
all); drag follows from that reference flight, split into rotor (momentum) drag and body drag. The
position controller is ArduCopter's cascade (position P, velocity PID, acceleration to lean) with
the gains of its parameters. Vertical acceleration and lean follow their commands with a lag.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from sitl.stand_in.path import VALID, advance_legs

FloatArray = npt.NDArray[np.float64]

GRAVITY_M_S2 = 9.80665
MASS_KG = 3.0
DISC_AREA_M2 = 0.385
MOMENTUM_DRAG = 0.2
HOVER_POWER_W = 29.3 * 12.09
_REFERENCE_SPEED_M_S = 15.08
_REFERENCE_LEAN_RAD = math.radians(45.0)
_REFERENCE_DENSITY = 1.225 * (1.0 - 2.25577e-5 * 593.0) ** 4.2559
WATTS_PER_NEWTON = HOVER_POWER_W / (MASS_KG * GRAVITY_M_S2)


def _body_drag_area_m2() -> float:
    """Area times drag coefficient that, with the rotors' drag, balances the reference flight."""
    weight_n = MASS_KG * GRAVITY_M_S2
    along_body_m_s = _REFERENCE_SPEED_M_S * math.cos(_REFERENCE_LEAN_RAD)
    thrust_n = weight_n / math.cos(_REFERENCE_LEAN_RAD)
    momentum_n = (
        math.cos(_REFERENCE_LEAN_RAD)
        * MOMENTUM_DRAG
        * along_body_m_s
        * math.sqrt(thrust_n * _REFERENCE_DENSITY * DISC_AREA_M2)
    )
    body_n = weight_n * math.tan(_REFERENCE_LEAN_RAD) - momentum_n
    return body_n / (0.5 * _REFERENCE_DENSITY * _REFERENCE_SPEED_M_S**2)


BODY_DRAG_AREA_M2 = _body_drag_area_m2()

STEP_S = 0.01
"""Length of one step of the simulation."""

# What the guidance does.
ON_GROUND, CLIMB, PATH, HOLD, DESCEND, LEVEL_DESCEND, LEVEL_HOLD = 0, 1, 2, 3, 4, 5, 6

# Why `fly` came back.
NOTHING, REACHED, PHOTO, TOUCHDOWN, CLIMBED = 0, 1, 2, 3, 4

# Columns of the state.
POS = 0  # north, east, up from home, m
VEL = 3
ROLL, PITCH, YAW, ROLL_RATE, PITCH_RATE, YAW_RATE = 6, 7, 8, 9, 10, 11
I_NORTH, I_EAST = 12, 13
ACCEL_UP = 14
TARGET = 15  # position, velocity, acceleration of the target: nine numbers
TIME_SCALE = 24
SPEED_NOW = 25  # shaped speed of the target's clock, m/s
SPEED_NOW_ACCEL = 26
SHAPED_ACCEL = 27  # of climb and descent
THRUST_N = 28
USED_MAH = 29
CURRENT_A = 30
TURB_FLAT, TURB_UP, TURB_AZIMUTH = 31, 32, 33
PHOTO_NORTH, PHOTO_EAST = 34, 35
NOISE_INDEX = 36
FILTERED_ERROR = 37  # two
TOUCHDOWN_SPEED = 39
YAW_TARGET = 40
LIMIT_NORTH, LIMIT_EAST = 41, 42
TICK = 43
MODE = 44
THROUGH = 45
STATE_SIZE = 46

# Columns of the settings.
S_SPEED, S_UP, S_DOWN, S_ACCEL, S_ACCEL_UP, S_JERK, S_RADIUS, S_CORNER = 0, 1, 2, 3, 4, 5, 6, 7
S_KP_POS, S_KP_VEL, S_KI_VEL, S_KD_VEL, S_LEAN_RAD = 8, 9, 10, 11, 12
S_WIND_NORTH, S_WIND_EAST, S_WIND_UP, S_TURB = 13, 14, 15, 16
S_VOLTS, S_PHOTO_M, S_CLIMB_TO_M, S_GROUND_M = 17, 18, 19, 20
S_LAND_SLOW, S_LAND_FAST, S_LAND_LOW_M = 21, 22, 23
S_YAW_FIXED = 24  # nan: look where the path goes
S_JERK_UP, S_KP_Z, S_KP_VZ, S_HOME_AMSL, S_YAW_SLEW = 25, 26, 27, 28, 29
S_JERK_CONTROL = 30
S_WIND_FULL_M = 31  # below this height the mean wind falls with the root of the height; 0: nowhere
S_DATUM_UP, S_DATUM_RATE = 32, 33  # height of what targets' heights count from, and its change
SETTINGS_SIZE = 34


@njit(cache=True)
def sqrt_approach(error: float, gain: float, decel: float) -> float:
    """A speed that closes `error`: proportional near it, square root (constant braking) far off."""
    linear = decel / (gain * gain)
    if error > linear:
        return math.sqrt(2.0 * decel * (error - 0.5 * linear))
    if error < -linear:
        return -math.sqrt(2.0 * decel * (-error - 0.5 * linear))
    return error * gain


@njit(cache=True)
def _shape_speed(
    wanted: float, speed: float, accel: float, accel_max: float, jerk: float, dt: float
) -> float:
    """The next acceleration of a speed that moves to `wanted` within acceleration and jerk."""
    goal = sqrt_approach(wanted - speed, jerk / accel_max, jerk)
    goal = min(max(goal, -accel_max), accel_max)
    return accel + min(max(goal - accel, -jerk * dt), jerk * dt)


@njit(cache=True)
def _air(
    s: FloatArray, p: FloatArray, noise: FloatArray, flying: bool
) -> tuple[float, float, float]:
    """Velocity of the air (north, east, up): mean wind and coloured noise, as the simulator's."""
    share = 1.0
    if s[POS + 2] < p[S_WIND_FULL_M]:
        share = math.sqrt(max(s[POS + 2], 0.0) / p[S_WIND_FULL_M])
    north = share * p[S_WIND_NORTH]
    east = share * p[S_WIND_EAST]
    up = share * p[S_WIND_UP]
    if p[S_TURB] > 0.0 and flying:
        # ArduPilot filters white noise with 0.98 at its physics rate (some 1,200 a second), which
        # leaves a standard deviation of `turbulence` m/s; at our step the same decay is 0.98**12.
        keep = 0.98**12
        gain = p[S_TURB] * math.sqrt(1.0 - keep * keep)
        i = int(s[NOISE_INDEX])
        n = noise.shape[0]
        s[TURB_FLAT] = s[TURB_FLAT] * keep + gain * noise[i % n]
        s[TURB_UP] = s[TURB_UP] * keep + gain * noise[(i + 1) % n]
        s[TURB_AZIMUTH] += 0.2 * abs(noise[(i + 2) % n])
        s[NOISE_INDEX] = (i + 3) % n
        north += math.cos(s[TURB_AZIMUTH]) * s[TURB_FLAT]
        east += math.sin(s[TURB_AZIMUTH]) * s[TURB_FLAT]
        up += s[TURB_UP]
    return north, east, up


@njit(cache=True)
def _guide(s: FloatArray, p: FloatArray, legs: FloatArray, dt: float) -> int:
    """Moves the target by one step; says whether the present leg or climb is done."""
    mode = int(s[MODE])
    target = s[TARGET : TARGET + 9]
    if mode == PATH:
        speed = math.sqrt(target[3] ** 2 + target[4] ** 2 + target[5] ** 2)
        wanted = 1.0
        if speed > 1e-6:
            # Hold the target back where the vehicle cannot keep up (with 5 % to spare).
            error = 0.0
            flown = 0.0
            for i in range(3):
                error += (target[i] - s[POS + i]) * target[3 + i] / speed
                flown += s[VEL + i] * target[3 + i] / speed
            error += p[S_DATUM_UP] * target[5] / speed
            flown -= p[S_DATUM_RATE] * target[5] / speed
            wanted = min(max(0.05 + (flown - p[S_KP_POS] * error) / speed, 0.0), 1.0)
        s[TIME_SCALE] += (wanted - s[TIME_SCALE]) * dt * p[S_JERK] / p[S_ACCEL]
        s[SPEED_NOW] += s[SPEED_NOW_ACCEL] * dt
        s[SPEED_NOW_ACCEL] = _shape_speed(
            p[S_SPEED], s[SPEED_NOW], s[SPEED_NOW_ACCEL], p[S_ACCEL], p[S_JERK_CONTROL], dt
        )
        ratio = s[SPEED_NOW] / p[S_SPEED]
        done = advance_legs(
            legs,
            s[TIME_SCALE] * ratio * dt,
            p[S_RADIUS],
            p[S_CORNER],
            s[THROUGH] > 0.0,
            target,
        )
        for i in range(3, 6):
            target[i] *= ratio
        for i in range(6, 9):
            target[i] *= ratio * ratio
        if done:
            if s[THROUGH] > 0.0 or legs[1, VALID] == 0.0:
                return REACHED
            end = legs[1, 0:3] + legs[1, 3:6] * legs[1, 6]
            off = 0.0
            end[2] += p[S_DATUM_UP]
            for i in range(3):
                off += (s[POS + i] - end[i]) ** 2
            if off <= p[S_RADIUS] ** 2:
                return REACHED
        return NOTHING
    target[3] = target[4] = target[6] = target[7] = 0.0
    if mode == CLIMB:
        target[2] += target[5] * dt
        error = p[S_CLIMB_TO_M] - target[2]
        wanted = sqrt_approach(error, 0.5 * p[S_JERK_UP] / p[S_ACCEL_UP], 0.5 * p[S_ACCEL_UP])
        wanted = min(max(wanted, -p[S_DOWN]), p[S_UP])
        target[8] = _shape_speed(wanted, target[5], target[8], p[S_ACCEL_UP], p[S_JERK_UP], dt)
        target[5] += target[8] * dt
        stop_m = 0.5 * (0.1 * p[S_UP]) ** 2 / p[S_ACCEL_UP]
        if error <= stop_m and target[5] < 0.1 * p[S_UP]:
            return CLIMBED
    elif mode in (DESCEND, LEVEL_DESCEND):
        above = s[POS + 2] - p[S_GROUND_M]
        wanted = sqrt_approach(p[S_LAND_LOW_M] - above, p[S_KP_Z], p[S_ACCEL_UP])
        wanted = min(max(wanted, -p[S_LAND_FAST]), -p[S_LAND_SLOW])
        target[8] = _shape_speed(wanted, target[5], target[8], p[S_ACCEL_UP], p[S_JERK_UP], dt)
        target[5] += target[8] * dt
        target[2] += target[5] * dt
    else:
        target[5] = target[8] = 0.0
    return NOTHING


@njit(cache=True)
def _control(s: FloatArray, p: FloatArray, dt: float) -> tuple[float, float, float]:
    """Acceleration asked for (north, east, up), limited by the lean, cross-track part first."""
    target = s[TARGET : TARGET + 9]
    up_m, rise = target[2] + p[S_DATUM_UP], target[5] + p[S_DATUM_RATE]
    if int(s[MODE]) in (LEVEL_DESCEND, LEVEL_HOLD):
        up = target[8] + p[S_KP_VZ] * (rise + p[S_KP_Z] * (up_m - s[POS + 2]) - s[VEL + 2])
        return 0.0, 0.0, up
    off_n, off_e = target[0] - s[POS], target[1] - s[POS + 1]
    off = math.hypot(off_n, off_e)
    pull = 0.0
    if off > 1e-9:
        pull = min(sqrt_approach(off, p[S_KP_POS], p[S_ACCEL]), p[S_SPEED]) / off
    wanted_n = target[3] + pull * off_n
    wanted_e = target[4] + pull * off_e
    keep = 1.0 / (1.0 + 1.0 / (2.0 * math.pi * 5.0 * dt))  # the controller's 5 Hz filters
    err_n = s[FILTERED_ERROR] + keep * (wanted_n - s[VEL] - s[FILTERED_ERROR])
    err_e = s[FILTERED_ERROR + 1] + keep * (wanted_e - s[VEL + 1] - s[FILTERED_ERROR + 1])
    d_n = (err_n - s[FILTERED_ERROR]) / dt
    d_e = (err_e - s[FILTERED_ERROR + 1]) / dt
    s[FILTERED_ERROR], s[FILTERED_ERROR + 1] = err_n, err_e
    limited = s[LIMIT_NORTH] != 0.0 or s[LIMIT_EAST] != 0.0
    if not (limited and err_n * s[LIMIT_NORTH] + err_e * s[LIMIT_EAST] > 0.0):
        s[I_NORTH] += p[S_KI_VEL] * err_n * dt
        s[I_EAST] += p[S_KI_VEL] * err_e * dt
        size = math.hypot(s[I_NORTH], s[I_EAST])
        if size > 10.0:
            s[I_NORTH] *= 10.0 / size
            s[I_EAST] *= 10.0 / size
    acc_n = target[6] + p[S_KP_VEL] * err_n + s[I_NORTH] + p[S_KD_VEL] * d_n
    acc_e = target[7] + p[S_KP_VEL] * err_e + s[I_EAST] + p[S_KD_VEL] * d_e
    most = GRAVITY_M_S2 * math.tan(p[S_LEAN_RAD])
    s[LIMIT_NORTH] = s[LIMIT_EAST] = 0.0
    if math.hypot(acc_n, acc_e) > most:
        s[LIMIT_NORTH], s[LIMIT_EAST] = acc_n, acc_e
        speed = math.hypot(target[3], target[4])
        if speed < 1e-6:
            scale = most / math.hypot(acc_n, acc_e)
            acc_n *= scale
            acc_e *= scale
        else:
            un, ue = target[3] / speed, target[4] / speed
            along = acc_n * un + acc_e * ue
            cross = -acc_n * ue + acc_e * un
            cross = min(max(cross, -most), most)
            rest = math.sqrt(max(0.0, most * most - cross * cross))
            along = min(max(along, -rest), rest)
            acc_n = along * un - cross * ue
            acc_e = along * ue + cross * un
    up = target[8] + p[S_KP_VZ] * (rise + p[S_KP_Z] * (up_m - s[POS + 2]) - s[VEL + 2])
    return acc_n, acc_e, min(max(up, -3.0), 3.0)


@njit(cache=True)
def _turn(s: FloatArray, p: FloatArray, dt: float) -> None:
    """Heading: held, or where the target moves, within the slew rate."""
    if math.isnan(p[S_YAW_FIXED]):
        vn, ve = s[TARGET + 3], s[TARGET + 4]
        if int(s[MODE]) == PATH and math.hypot(vn, ve) > 0.05 * p[S_SPEED]:
            s[YAW_TARGET] = math.atan2(ve, vn)
    else:
        s[YAW_TARGET] = p[S_YAW_FIXED]
    error = (s[YAW_TARGET] - s[YAW] + math.pi) % (2.0 * math.pi) - math.pi
    accel_max = 4.7  # rad/s², ATC_ACCEL_Y_MAX
    rate = sqrt_approach(error, 2.5, accel_max)
    rate = min(max(rate, -p[S_YAW_SLEW]), p[S_YAW_SLEW])
    s[YAW_RATE] += min(max(rate - s[YAW_RATE], -accel_max * dt), accel_max * dt)
    s[YAW] = (s[YAW] + s[YAW_RATE] * dt) % (2.0 * math.pi)


@njit(cache=True)
def _step(s: FloatArray, p: FloatArray, noise: FloatArray, dt: float) -> bool:
    """One step of control and physics after the guidance; True when the vehicle touches down."""
    acc_n, acc_e, acc_up = _control(s, p, dt)
    _turn(s, p, dt)
    cos_y, sin_y = math.cos(s[YAW]), math.sin(s[YAW])
    forward = acc_n * cos_y + acc_e * sin_y
    right = -acc_n * sin_y + acc_e * cos_y
    want_pitch = math.atan(-forward / GRAVITY_M_S2)
    want_roll = math.atan(right * math.cos(want_pitch) / GRAVITY_M_S2)
    # ATC_INPUT_TC 0.15 s, and the rate loop and rotors after it.
    s[ROLL_RATE] += ((want_roll - s[ROLL]) / 0.15 - s[ROLL_RATE]) * dt / 0.05
    s[PITCH_RATE] += ((want_pitch - s[PITCH]) / 0.15 - s[PITCH_RATE]) * dt / 0.05
    s[ROLL] += s[ROLL_RATE] * dt
    s[PITCH] += s[PITCH_RATE] * dt
    s[ACCEL_UP] += (acc_up - s[ACCEL_UP]) * dt / 0.1
    cos_r, sin_r = math.cos(s[ROLL]), math.sin(s[ROLL])
    cos_p, sin_p = math.cos(s[PITCH]), math.sin(s[PITCH])
    wind_n, wind_e, wind_up = _air(s, p, noise, True)
    air_n, air_e, air_up = s[VEL] - wind_n, s[VEL + 1] - wind_e, s[VEL + 2] - wind_up
    density = 1.225 * (1.0 - 2.25577e-5 * (p[S_HOME_AMSL] + s[POS + 2])) ** 4.2559
    # Body axes in north, east, down.
    xn, xe, xd = cos_p * cos_y, cos_p * sin_y, -sin_p
    yn = sin_r * sin_p * cos_y - cos_r * sin_y
    ye = sin_r * sin_p * sin_y + cos_r * cos_y
    yd = sin_r * cos_p
    zn = cos_r * sin_p * cos_y + sin_r * sin_y
    ze = cos_r * sin_p * sin_y - sin_r * cos_y
    vx = air_n * xn + air_e * xe - air_up * xd
    vy = air_n * yn + air_e * ye - air_up * yd
    zd = cos_r * cos_p
    vz = air_n * zn + air_e * ze - air_up * zd
    rotor = MOMENTUM_DRAG * math.sqrt(density * DISC_AREA_M2 * max(s[THRUST_N], 1.0))
    body = 0.5 * density * BODY_DRAG_AREA_M2
    drag_x = rotor * vx + body * vx * abs(vx)
    drag_y = rotor * vy + body * vy * abs(vy)
    drag_z = rotor * vz + body * vz * abs(vz)
    # The height controller gives the thrust that yields the vertical acceleration asked for.
    lift = MASS_KG * (GRAVITY_M_S2 + s[ACCEL_UP]) - drag_x * xd - drag_y * yd
    thrust = max(lift / max(0.3, zd) - drag_z, 0.0)
    s[THRUST_N] = thrust
    force_n = -(thrust + drag_z) * zn - drag_x * xn - drag_y * yn
    force_e = -(thrust + drag_z) * ze - drag_x * xe - drag_y * ye
    s[VEL] += force_n / MASS_KG * dt
    s[VEL + 1] += force_e / MASS_KG * dt
    s[VEL + 2] += s[ACCEL_UP] * dt
    for i in range(3):
        s[POS + i] += s[VEL + i] * dt
    s[CURRENT_A] = WATTS_PER_NEWTON * thrust / max(p[S_VOLTS], 0.1)
    s[USED_MAH] += s[CURRENT_A] * dt / 3.6
    mode = int(s[MODE])
    if mode in (DESCEND, LEVEL_DESCEND) and s[POS + 2] <= p[S_GROUND_M]:
        s[TOUCHDOWN_SPEED] = -s[VEL + 2]
        s[POS + 2] = p[S_GROUND_M]
        s[VEL : VEL + 3] = 0.0
        s[ROLL] = s[PITCH] = s[ROLL_RATE] = s[PITCH_RATE] = s[YAW_RATE] = s[ACCEL_UP] = 0.0
        s[MODE] = ON_GROUND
        return True
    return False


@njit(cache=True)
def fly(
    s: FloatArray, p: FloatArray, legs: FloatArray, noise: FloatArray, steps: int
) -> tuple[int, int]:
    """Simulates up to `steps` steps and comes back early when something happened.

    Args:
        s: state (STATE_SIZE,), changed in place.
        p: settings (SETTINGS_SIZE,).
        legs: (3, LEG_SIZE): previous, present and next leg; their clocks are changed in place.
        noise: standard normal numbers for the turbulence, used round and round.
        steps: how many steps of STEP_S at most.

    Returns:
        (what happened, steps done).
    """
    for k in range(steps):
        s[TICK] += 1.0
        if int(s[MODE]) == ON_GROUND:
            s[THRUST_N] = 0.0
            continue
        p[S_DATUM_UP] += p[S_DATUM_RATE] * STEP_S
        event = _guide(s, p, legs, STEP_S)
        if _step(s, p, noise, STEP_S):
            return TOUCHDOWN, k + 1
        if event != NOTHING:
            return event, k + 1
        # The camera looks at the distance 50 times a second.
        if p[S_PHOTO_M] > 0.0 and int(s[TICK]) % 2 == 0:
            if math.isnan(s[PHOTO_NORTH]):
                s[PHOTO_NORTH], s[PHOTO_EAST] = s[POS], s[POS + 1]
            elif math.hypot(s[POS] - s[PHOTO_NORTH], s[POS + 1] - s[PHOTO_EAST]) >= p[S_PHOTO_M]:
                s[PHOTO_NORTH], s[PHOTO_EAST] = s[POS], s[POS + 1]
                return PHOTO, k + 1
    return NOTHING, steps
