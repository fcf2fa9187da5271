"""Return and landing: the stages of RTL and LAND."""

from __future__ import annotations

import enum
import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from corridor import LonLat
from sitl.stand_in import airframe as a
from sitl.stand_in.modes import AUTO, LAND

if TYPE_CHECKING:
    from sitl.stand_in.vehicle import Vehicle

_LAND_PAUSE_S = 4.0


class _Stage(enum.Enum):
    CLIMB = enum.auto()
    RETURN = enum.auto()
    LOITER = enum.auto()
    PAUSE = enum.auto()
    """Before the landing that a failsafe has set."""
    LAND = enum.auto()


class Recovery:
    """Brings the vehicle back and down."""

    def __init__(self, vehicle: Vehicle) -> None:
        self._v = vehicle
        self._stage: _Stage | None = None
        self._until_s = math.inf
        self._to: npt.NDArray[np.float64] = np.zeros(3)

    @property
    def under_way(self) -> bool:
        """Whether a return or a paused landing is at one of its stages."""
        return self._stage is not None

    def stop(self) -> None:
        """Another mode was set."""
        self._stage = None
        self._until_s = math.inf

    def tick(self) -> None:
        """Waiting times."""
        if self._v.time_s >= self._until_s:
            self._until_s = math.inf
            self._stage = _Stage.LAND
            self.begin_landing()

    def on_guidance(self) -> None:
        """The guidance has reached its leg's end."""
        if self._stage is _Stage.CLIMB:
            self._stage = _Stage.RETURN
            self._v.craft.go_to(self._to, None)
        elif self._stage is _Stage.RETURN:
            self._stage = _Stage.LOITER
            self._v.craft.stay()
            self._until_s = self._v.time_s + self._v.parameters["RTL_LOIT_TIME"] / 1000.0

    def begin_return(self) -> None:
        """Climb where it is, fly back, wait, land."""
        v, p, craft = self._v, self._v.parameters, self._v.craft
        speed = p["RTL_SPEED"] / 100.0 or p["WPNAV_SPEED"] / 100.0
        if not v.in_air:
            return
        if craft.guidance == a.PATH and v.mode == AUTO and not craft.moving:
            craft.set_speed(speed, fresh=True)
        else:
            craft.begin_path(speed)
        if p["WP_YAW_BEHAVIOR"] in (0, 2):
            craft.fix_heading(float(craft.state[a.YAW_TARGET]))
        origin = craft.destination
        target, target_up = self._return_place()
        here_up = float(craft.position[2])
        lowest = max(2.0, here_up + max(p["RTL_CLIMB_MIN"] / 100.0, 0.0))
        up = max(target_up, p["RTL_ALT"] / 100.0, lowest)
        slope = p["RTL_CONE_SLOPE"]
        if slope >= 0.5:
            far = math.hypot(target[0] - origin[0], target[1] - origin[1])
            up = min(up, max(far * slope, lowest))
        if p["FENCE_ENABLE"] > 0 and int(p["FENCE_TYPE"]) & 1:
            up = min(up, p["FENCE_ALT_MAX"] - p["FENCE_MARGIN"])
        up = max(up, here_up)
        climb = origin.copy()
        climb[2] = up
        self._to = target.copy()
        self._to[2] = up
        self._stage = _Stage.CLIMB
        craft.go_to(climb, self._to)

    def _return_place(self) -> tuple[npt.NDArray[np.float64], float]:
        """The nearest of home and the rally points within RALLY_LIMIT_KM, and its height."""
        craft, p = self._v.craft, self._v.parameters
        best, best_up = craft.to_neu(craft.home, 0.0), 0.0
        away = math.hypot(*craft.position[:2])
        limit_m = p["RALLY_LIMIT_KM"] * 1000.0
        nearest = None
        for item in self._v.rally_store.items:
            place = craft.to_neu(LonLat(item.y / 1e7, item.x / 1e7), item.z)
            far = math.hypot(place[0] - craft.position[0], place[1] - craft.position[1])
            if nearest is None or far < nearest[0]:
                nearest = (far, place)
        if nearest is not None and not (limit_m > 0 and nearest[0] > limit_m):
            far, place = nearest
            if p["RALLY_INCL_HOME"] == 0 or far < away:
                best, best_up = place, float(place[2])
        return best, best_up

    def land_after_pause(self) -> None:
        """LAND as failsafes set it: the descent begins four seconds later."""
        v = self._v
        v.set_mode(LAND)
        if v.in_air:
            v.craft.level_off(with_position=not v.failsafes.position_lost)
            self._stage = _Stage.PAUSE
            self._until_s = v.time_s + _LAND_PAUSE_S

    def begin_landing(self) -> None:
        """Down to the ground, here."""
        v = self._v
        if not v.in_air:
            return
        v.craft.fix_heading(float(v.craft.state[a.YAW_TARGET]))
        v.craft.descend(with_position=not v.failsafes.position_lost)
