"""How a sortie is going: where by station, photos, battery against plan, distance from plan."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from corridor import LocalFrame, LonLat, format_station
from missions.link.connection import place_of
from missions.mission import Command, Mission, Sortie

OFF_PLAN_M = 15.0
"""Farther from the planned path than this is an alarm: more than corners and wind explain."""
_ALARM_WORDS = ("failsafe", "breach", "error", "fail", "low", "critical", "variance", "crash")
_SILENT_S = 5.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One look at a sortie in flight.

    Attributes:
        mode, armed: of the vehicle.
        station: place on the road, `K12+345`, or "" where it is on no lane.
        route_side: route and side of that lane.
        item, items: mission item being flown, and how many there are.
        photos, photos_planned: taken and planned.
        battery_percent, battery_planned_percent: left, and what the plan leaves at this point.
        off_plan_m: horizontal distance from the planned path; NaN where unknown.
        height_m: above home.
        speed_m_s: over ground.
        silent_s: since the vehicle was last heard.
        alarms: what needs attention, newest last.
    """

    mode: str
    armed: bool
    station: str
    route_side: str
    item: int
    items: int
    photos: int
    photos_planned: int
    battery_percent: float
    battery_planned_percent: float
    off_plan_m: float
    height_m: float
    speed_m_s: float
    silent_s: float
    alarms: tuple[str, ...]


@dataclass
class SortieMonitor:
    """Takes the vehicle's messages and tells how the sortie is going.

    Args:
        sortie: what is flown.
    """

    sortie: Sortie
    mode: str = ""
    armed: bool = False
    has_flown: bool = False
    _position: LonLat | None = None
    _height_m: float = 0.0
    _speed_m_s: float = 0.0
    _item: int = 0
    _photos: int = 0
    _battery: float = math.nan
    _heard_s: float = math.nan
    _alarms: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        home = self.sortie.mission.home
        self._frame = LocalFrame(home.lon_deg, home.lat_deg)
        self._path, self._sequences = _path_of(self.sortie.mission, self._frame)

    def take(self, message: Any, now_s: float) -> None:
        """Takes one message, heard at `now_s` of any steady clock."""
        self._heard_s = now_s
        kind = message.get_type()
        if kind == "HEARTBEAT" and message.autopilot != 8:
            self.armed = bool(message.base_mode & 128)
            self.has_flown = self.has_flown or self.armed
            self.mode = _MODES.get(message.custom_mode, f"mode {message.custom_mode}")
        elif kind == "GLOBAL_POSITION_INT" and (place := place_of(message)) is not None:
            self._position = place
            self._height_m = message.relative_alt / 1000.0
            self._speed_m_s = math.hypot(message.vx, message.vy) / 100.0
        elif kind == "MISSION_CURRENT":
            self._item = int(message.seq)
        elif kind == "CAMERA_FEEDBACK":
            self._photos += 1
        elif kind == "SYS_STATUS" and message.battery_remaining >= 0:
            self._battery = float(message.battery_remaining)
        elif kind == "STATUSTEXT" and self._is_alarm(message):
            self._alarms.append(message.text)

    @staticmethod
    def _is_alarm(message: Any) -> bool:
        text = message.text.lower()
        return bool(message.severity <= 4 or any(word in text for word in _ALARM_WORDS))

    def look(self, now_s: float) -> Snapshot:
        """How it is going."""
        off, share, row = self._place()
        details = self.sortie.details
        planned = details.get("photos")
        left = _planned_battery(details, share)
        alarms = list(self._alarms[-5:])
        silent = now_s - self._heard_s if math.isfinite(self._heard_s) else math.inf
        if silent > _SILENT_S:
            alarms.append(f"nothing heard for {silent:.0f} s")
        on_mission = self.mode == "AUTO" and self._item > 1 and self._height_m > 2.0
        if on_mission and off > OFF_PLAN_M:
            alarms.append(f"{off:.0f} m from the planned path")
        if self._battery < left - 15.0:
            alarms.append(f"battery {self._battery:.0f} %, the plan leaves {left:.0f} % here")
        station, side = _station(
            details, self.sortie.mission, self._sequences, self._path, self._here(), row
        )
        return Snapshot(
            self.mode,
            self.armed,
            station,
            side,
            self._item,
            len(self.sortie.mission.items),
            self._photos,
            int(planned) if isinstance(planned, int) else 0,
            self._battery,
            left,
            off,
            self._height_m,
            self._speed_m_s,
            silent,
            tuple(alarms),
        )

    def _here(self) -> Any:
        if self._position is None:
            return None
        return self._frame.to_xy([(self._position.lon_deg, self._position.lat_deg)])[0]

    def _place(self) -> tuple[float, float, int]:
        """Distance from the planned path, share of it behind, and the segment."""
        here = self._here()
        if here is None or len(self._path) < 2:
            return math.nan, 0.0, 0
        steps = np.hypot(*np.diff(self._path, axis=0).T)
        total = max(float(steps.sum()), 1e-9)
        # The leg to the present item and its neighbours: lanes lie side by side.
        at = int(np.searchsorted(self._sequences, max(self._item, 1)))
        best = (math.inf, 0.0, 0)
        for k in range(max(at - 2, 0), min(at + 1, len(self._path) - 1)):
            a, step = self._path[k], self._path[k + 1] - self._path[k]
            length = float(steps[k])
            along = float(np.clip(np.dot(here - a, step) / max(length, 1e-9) ** 2, 0.0, 1.0))
            away = float(np.hypot(*(here - a - along * step)))
            if away < best[0]:
                best = (away, (float(steps[:k].sum()) + along * length) / total, k)
        return best if math.isfinite(best[0]) else (math.nan, 0.0, 0)


_MODES = {
    0: "STABILIZE", 2: "ALT_HOLD", 3: "AUTO", 4: "GUIDED", 5: "LOITER", 6: "RTL", 7: "CIRCLE",
    9: "LAND", 16: "POSHOLD", 17: "BRAKE", 21: "SMART_RTL",
}  # fmt: skip


def _path_of(mission: Mission, frame: LocalFrame) -> tuple[Any, Any]:
    places, sequences = [mission.home], [0]
    for sequence, item in enumerate(mission.all_items):
        flown = item.command in (Command.WAYPOINT, Command.SPLINE_WAYPOINT) and sequence > 0
        if flown and item.position is not None:
            places.append(item.position)
            sequences.append(sequence)
    xy = frame.to_xy([(place.lon_deg, place.lat_deg) for place in places])
    return xy, np.array(sequences)


def _planned_battery(details: Mapping[str, object], share: float) -> float:
    """Percent that the plan leaves when `share` of the path is flown, of a full battery."""
    energy, budget = details.get("energy_wh"), details.get("energy_budget_wh")
    if not (isinstance(energy, int | float) and isinstance(budget, int | float) and budget > 0):
        return math.nan
    return 100.0 - 100.0 * share * float(energy) / float(budget)


def lane_items(mission: Mission) -> list[tuple[int, int]]:
    """Sequence numbers of the first and last waypoint of each lane: from trigger on to off."""
    lanes: list[tuple[int, int]] = []
    last_waypoint = begin = 0
    on = False
    for sequence, item in enumerate(mission.all_items):
        if item.command in (Command.WAYPOINT, Command.SPLINE_WAYPOINT) and sequence > 0:
            last_waypoint = sequence
        elif item.command == Command.DO_SET_CAM_TRIGG_DIST:
            if on and last_waypoint > begin:
                lanes.append((begin, last_waypoint))
            on, begin = item.p1 > 0, last_waypoint
    return lanes


def _station(
    details: Mapping[str, object], mission: Mission, sequences: Any, path: Any, here: Any, row: int
) -> tuple[str, str]:
    """Station on the lane being flown, by the share of the lane behind; "" on no lane."""
    lanes = details.get("lanes")
    if here is None or not isinstance(lanes, list) or len(path) < 2:
        return "", ""
    ranges = lane_items(mission)
    if len(ranges) != len(lanes):
        return "", ""
    steps = np.hypot(*np.diff(path, axis=0).T)
    for lane, (first, last) in zip(lanes, ranges, strict=True):
        begin, end = int(np.searchsorted(sequences, first)), int(np.searchsorted(sequences, last))
        if not begin <= row < end:
            continue
        step = path[row + 1] - path[row]
        along = float(np.dot(here - path[row], step)) / max(float(steps[row]), 1e-9)
        behind = float(steps[begin:row].sum()) + min(max(along, 0.0), float(steps[row]))
        share = behind / max(float(steps[begin:end].sum()), 1e-9)
        low, high = float(lane["chainage_start_m"]), float(lane["chainage_end_m"])
        chainage = (
            high - share * (high - low) if lane.get("reverse") else low + share * (high - low)
        )
        # A lane reaches a little past its boundary's ends, and so before K0.
        return format_station(max(chainage, 0.0)), f"{lane['route']} {lane['side']}"
    return "", ""
