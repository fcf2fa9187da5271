"""Jerk-limited motion along straight legs, and the rounding of corners between them.

A leg starts and ends at rest. A corner is flown by letting the next leg begin before the last one
has ended and adding the two motions as vectors, which rounds the corner and keeps the speed. The
rise and fall of the jerk follow a raised cosine, as ArduPilot documents for its S-curves:
https://ardupilot.org/copter/docs/common-scurves-navigation.html (the formulas here are our own).

Positions are (north, east, up) in metres from home. A leg is one row of `LEG_SIZE` numbers, so that
compiled code can hold it.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

FloatArray = npt.NDArray[np.float64]

# Columns of a leg.
ORIGIN = 0  # three numbers
DIRECTION = 3  # unit vector, three numbers
LENGTH = 6
START_SPEED = 7
RISE = 8  # peak acceleration, then t_jerk, t_hold, t_constant of the speeding-up part
FALL = 12  # the same of the slowing-down part
CRUISE = 16
T_RISE = 17
T_FALL = 18
T_END = 19
ELAPSED = 20
VALID = 21
L_RISE = 22
L_FALL = 23
SPEED_LIMIT = 24
ACCEL_UP = 25
ACCEL_LIMIT = 26
LEG_SIZE = 27


@njit(cache=True)
def _ramp_times(accel: float, jerk_max: float, snap_max: float) -> tuple[float, float]:
    """Durations (t_jerk, t_hold) of a rise of the acceleration from zero to `accel`.

    The jerk rises by half a cosine over t_jerk, holds over t_hold and falls over t_jerk; its slope
    never exceeds `snap_max`.
    """
    t_jerk = jerk_max * math.pi / (2.0 * snap_max)
    if accel >= jerk_max * t_jerk:
        return t_jerk, accel / jerk_max - t_jerk
    return math.sqrt(accel * math.pi / (2.0 * snap_max)), 0.0


@njit(cache=True)
def plan_speed_change(
    start: float, limit: float, accel_max: float, jerk_max: float, snap_max: float, room: float
) -> tuple[float, float, float, float, float, float, float]:
    """The quickest change from speed `start` towards `limit` (m/s, limit >= start) within `room` m.

    Returns:
        (end speed, peak acceleration, t_jerk, t_hold, t_constant, duration, distance).
    """
    gain = limit - start
    if gain <= 1e-9 or room <= 0.0:
        return start, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    accel = accel_max
    t_jerk, t_hold = _ramp_times(accel, jerk_max, snap_max)
    ramp = 2.0 * t_jerk + t_hold
    t_constant = gain / accel - ramp
    if t_constant < 0.0:
        low, high = 0.0, accel_max
        for _ in range(50):
            accel = 0.5 * (low + high)
            t_jerk, t_hold = _ramp_times(accel, jerk_max, snap_max)
            if accel * (2.0 * t_jerk + t_hold) > gain:
                high = accel
            else:
                low = accel
        accel = low if low > 0.0 else accel
        t_jerk, t_hold = _ramp_times(accel, jerk_max, snap_max)
        ramp = 2.0 * t_jerk + t_hold
        t_constant = 0.0
    distance = (start + 0.5 * accel * (ramp + t_constant)) * (2.0 * ramp + t_constant)
    if distance > room:
        if (start + 0.5 * accel * ramp) * 2.0 * ramp <= room:
            low, high = 0.0, t_constant
            for _ in range(50):
                t_constant = 0.5 * (low + high)
                if (start + 0.5 * accel * (ramp + t_constant)) * (2.0 * ramp + t_constant) > room:
                    high = t_constant
                else:
                    low = t_constant
            t_constant = low
        else:
            low, high = 0.0, accel
            t_constant = 0.0
            for _ in range(50):
                accel = 0.5 * (low + high)
                t_jerk, t_hold = _ramp_times(accel, jerk_max, snap_max)
                ramp = 2.0 * t_jerk + t_hold
                if (start + 0.5 * accel * ramp) * 2.0 * ramp > room:
                    high = accel
                else:
                    low = accel
            accel = low
            t_jerk, t_hold = _ramp_times(accel, jerk_max, snap_max)
            ramp = 2.0 * t_jerk + t_hold
    end = start + accel * (ramp + t_constant)
    duration = 2.0 * ramp + t_constant
    return end, accel, t_jerk, t_hold, t_constant, duration, 0.5 * (start + end) * duration


@njit(cache=True)
def _half_ramp(t: float, t_jerk: float, jerk: float) -> tuple[float, float, float]:
    """Acceleration, speed gained and distance in the first half of a rise, up to its middle."""
    if t_jerk <= 0.0:
        return 0.0, 0.0, 0.0
    beta = math.pi / t_jerk
    u = min(t, t_jerk)
    a = 0.5 * jerk * (u - math.sin(beta * u) / beta)
    v = 0.5 * jerk * (0.5 * u * u + (math.cos(beta * u) - 1.0) / (beta * beta))
    x = 0.5 * jerk * (u**3 / 6.0 + math.sin(beta * u) / beta**3 - u / (beta * beta))
    if t > t_jerk:
        w = t - t_jerk
        x += v * w + 0.5 * a * w * w + jerk * w**3 / 6.0
        v += a * w + 0.5 * jerk * w * w
        a += jerk * w
    return a, v, x


@njit(cache=True)
def _ramp(
    t: float, accel: float, t_jerk: float, t_hold: float, jerk: float
) -> tuple[float, float, float]:
    """Acceleration, speed gained and distance at time t of a whole rise from zero to `accel`.

    The second half follows from the first by symmetry about the middle.
    """
    length = 2.0 * t_jerk + t_hold
    if t <= 0.5 * length:
        return _half_ramp(t, t_jerk, jerk)
    a, v, x = _half_ramp(length - t, t_jerk, jerk)
    _, _, middle = _half_ramp(0.5 * length, t_jerk, jerk)
    return (
        accel - a,
        accel * t - 0.5 * accel * length + v,
        0.5 * accel * t * t
        - 0.5 * accel * length * t
        + 2.0 * middle
        + accel * length * length / 8.0
        - x,
    )


@njit(cache=True)
def _speed_change_at(
    t: float, start: float, accel: float, t_jerk: float, t_hold: float, t_constant: float
) -> tuple[float, float, float]:
    """Distance, speed and acceleration at time t of a planned speed change."""
    if accel <= 0.0:
        return start * t, start, 0.0
    jerk = accel / (t_jerk + t_hold)
    ramp = 2.0 * t_jerk + t_hold
    if t <= ramp:
        a, v, x = _ramp(t, accel, t_jerk, t_hold, jerk)
        return start * t + x, start + v, a
    _, v_ramp, x_ramp = _ramp(ramp, accel, t_jerk, t_hold, jerk)
    if t <= ramp + t_constant:
        u = t - ramp
        v0 = start + v_ramp
        return start * ramp + x_ramp + v0 * u + 0.5 * accel * u * u, v0 + accel * u, accel
    total = 2.0 * ramp + t_constant
    end = start + accel * (ramp + t_constant)
    left = max(0.0, total - t)
    a, v, x = _ramp(left, accel, t_jerk, t_hold, jerk)
    whole = 0.5 * (start + end) * total
    return whole - (end * left - x), end - v, a


@njit(cache=True)
def along_limit(direction: FloatArray, horizontal: float, up: float, down: float) -> float:
    """The largest value along a unit vector whose horizontal and vertical parts keep the limits."""
    flat = math.hypot(direction[0], direction[1])
    steep = abs(direction[2])
    vertical = up if direction[2] > 0.0 else down
    limit = 1e9
    if flat > 1e-9:
        limit = horizontal / flat
    if steep > 1e-9:
        limit = min(limit, vertical / steep)
    return limit


@njit(cache=True)
def plan_leg(
    leg: FloatArray,
    origin: FloatArray,
    destination: FloatArray,
    start_speed: float,
    speed: float,
    speed_up: float,
    speed_down: float,
    accel: float,
    accel_up: float,
    jerk: float,
    snap: float,
) -> None:
    """Fills `leg` with the quickest motion from origin to destination; speeds m/s, and so on.

    `start_speed` is the speed along the leg at its origin (0 except after a change of speed on the
    way). A leg of no length is marked as not valid.
    """
    leg[:] = 0.0
    leg[ORIGIN : ORIGIN + 3] = origin
    step = destination - origin
    length = math.sqrt(step[0] ** 2 + step[1] ** 2 + step[2] ** 2)
    if length < 1e-6:
        return
    direction = step / length
    leg[DIRECTION : DIRECTION + 3] = direction
    leg[LENGTH] = length
    v_max = along_limit(direction, speed, speed_up, speed_down)
    a_max = along_limit(direction, accel, accel_up, accel_up)
    leg[SPEED_LIMIT] = v_max
    leg[ACCEL_UP] = accel_up
    leg[ACCEL_LIMIT] = a_max
    v0 = min(start_speed, v_max)
    room_start = 0.5 * length
    if v0 > 0.0:
        _, _, _, _, _, _, stop_m = plan_speed_change(0.0, v0, a_max, jerk, snap, 1e9)
        room_start = max(0.0, 0.5 * (length - stop_m))
    cruise, a, tj, th, tc, t_rise, l_rise = plan_speed_change(
        v0, v_max, a_max, jerk, snap, room_start
    )
    leg[START_SPEED] = v0
    leg[RISE], leg[RISE + 1], leg[RISE + 2], leg[RISE + 3] = a, tj, th, tc
    _, a, tj, th, tc, t_fall, l_fall = plan_speed_change(
        0.0, cruise, a_max, jerk, snap, max(1e-6, length - l_rise)
    )
    leg[FALL], leg[FALL + 1], leg[FALL + 2], leg[FALL + 3] = a, tj, th, tc
    leg[CRUISE] = cruise
    leg[L_RISE] = l_rise
    leg[L_FALL] = l_fall
    leg[T_RISE] = t_rise
    between = max(0.0, length - l_rise - l_fall)
    leg[T_FALL] = t_rise + between / max(cruise, 1e-6)
    leg[T_END] = leg[T_FALL] + t_fall
    leg[VALID] = 1.0


@njit(cache=True)
def leg_at(leg: FloatArray, t: float) -> tuple[float, float, float]:
    """Distance from the leg's origin, speed and acceleration along it at time t."""
    if leg[VALID] == 0.0:
        return 0.0, 0.0, 0.0
    if t <= leg[T_RISE]:
        return _speed_change_at(
            t, leg[START_SPEED], leg[RISE], leg[RISE + 1], leg[RISE + 2], leg[RISE + 3]
        )
    if t <= leg[T_FALL]:
        return leg[L_RISE] + leg[CRUISE] * (t - leg[T_RISE]), leg[CRUISE], 0.0
    if t >= leg[T_END]:
        return leg[LENGTH], 0.0, 0.0
    x, v, a = _speed_change_at(
        leg[T_END] - t, 0.0, leg[FALL], leg[FALL + 1], leg[FALL + 2], leg[FALL + 3]
    )
    return leg[LENGTH] - x, v, -a


@njit(cache=True)
def advance_legs(
    legs: FloatArray,
    dt: float,
    radius: float,
    corner_accel: float,
    through: bool,
    target: FloatArray,
) -> bool:
    """Moves the target by `dt` along the previous, present and next leg (rows 0, 1, 2 of `legs`).

    `target` (9 numbers: position, velocity, acceleration) is overwritten. `through`: the vehicle
    does not stop at the end of the present leg.

    Returns:
        True when the present leg is done: its end reached, or the middle of the turn passed.
    """
    before, leg, after = legs[0], legs[1], legs[2]
    target[:] = 0.0
    target[:3] = leg[ORIGIN : ORIGIN + 3]
    if before[VALID] != 0.0:
        before[ELAPSED] = min(before[ELAPSED] + dt, before[T_END])
        x, v, a = leg_at(before, before[ELAPSED])
        direction = before[DIRECTION : DIRECTION + 3]
        target[:3] += direction * (x - before[LENGTH])
        target[3:6] += direction * v
        target[6:9] += direction * a
    leg[ELAPSED] = min(leg[ELAPSED] + dt, leg[T_END])
    x, v, a = leg_at(leg, leg[ELAPSED])
    direction = leg[DIRECTION : DIRECTION + 3]
    target[:3] += direction * x
    target[3:6] += direction * v
    target[6:9] += direction * a
    done = bool(leg[ELAPSED] >= leg[T_END])
    if not through or after[VALID] == 0.0:
        return done
    left = leg[T_END] - leg[ELAPSED]
    start = False
    if after[ELAPSED] == 0.0:
        if leg[ELAPSED] >= leg[T_FALL] and left <= after[T_RISE]:
            # Where would the middle of the turn be if the next leg began now?
            x1, v1, a1 = leg_at(leg, leg[T_END] - 0.5 * left)
            x2, v2, a2 = leg_at(after, 0.5 * left)
            d1 = leg[DIRECTION : DIRECTION + 3]
            d2 = after[DIRECTION : DIRECTION + 3]
            off = d1 * (x1 - leg[LENGTH]) + d2 * x2
            speed = d1 * v1 + d2 * v2
            accel = d1 * a1 + d2 * a2
            start = (
                math.sqrt(off[0] ** 2 + off[1] ** 2 + off[2] ** 2) < radius
                and math.sqrt(speed[0] ** 2 + speed[1] ** 2 + speed[2] ** 2)
                < min(leg[SPEED_LIMIT], after[SPEED_LIMIT])
                and math.hypot(accel[0], accel[1]) < corner_accel
                and abs(accel[2]) < min(leg[ACCEL_UP], after[ACCEL_UP])
            )
    else:
        start = True
    if start:
        after[ELAPSED] = min(after[ELAPSED] + dt, after[T_END])
        x, v, a = leg_at(after, after[ELAPSED])
        direction = after[DIRECTION : DIRECTION + 3]
        target[:3] += direction * x
        target[3:6] += direction * v
        target[6:9] += direction * a
        if after[ELAPSED] >= left:
            done = True
    return done
