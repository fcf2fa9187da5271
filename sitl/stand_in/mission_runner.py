"""AUTO: working through the mission's items as ArduCopter does, with its texts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from corridor import LonLat
from missions.link.rules import WireItem
from missions.mission import NAVIGATION
from sitl.stand_in import airframe as a
from sitl.stand_in.terrain import TERRAIN_FRAMES

if TYPE_CHECKING:
    from sitl.stand_in.vehicle import Vehicle

_NAMES = {
    16: "WP", 17: "LoitUnlim", 18: "LoitTurns", 19: "LoitTime", 20: "RTL", 21: "Land",
    22: "Takeoff", 82: "SplineWP", 93: "Delay", 112: "CondDelay", 114: "CondDist", 115: "CondYaw",
    177: "Jump", 178: "ChangeSpeed", 179: "SetHome", 188: "ReturnPathStart", 189: "LandStart",
    195: "SetROI", 197: "SetROI", 203: "DigiCamCtrl", 205: "MountControl", 206: "SetCamTrigDst",
    215: "ResumeRepeatDist", 1000: "GimbalPitchYaw", 2000: "ImageStartCapture",
    2001: "ImageStopCapture",
}  # fmt: skip

_PLACED = frozenset({16, 17, 18, 19, 82})

NOT_STARTED, ACTIVE, PAUSED, COMPLETE = 2, 3, 4, 5
"""MISSION_STATE."""


class MissionRunner:
    """Where in the mission the vehicle is, and what to do next."""

    def __init__(self, vehicle: Vehicle) -> None:
        self._v = vehicle
        self.current = 0
        self.running = False
        self.complete = False
        self._jumps: dict[int, int] = {}
        self._hold_until_s = math.inf
        self._arrived = False
        self._resume_at = 0

    @property
    def _items(self) -> list[WireItem]:
        return self._v.mission_store.items

    @property
    def state(self) -> int:
        """MISSION_STATE for MISSION_CURRENT."""
        if len(self._items) < 2:
            return 1
        if self.complete:
            return COMPLETE
        if not self.running:
            return PAUSED if self.current > 0 and self._v.in_air else NOT_STARTED
        return ACTIVE

    def has_takeoff_first(self) -> bool:
        """Whether the first navigation command is a take-off."""
        for item in self._items[1:]:
            if item.command in NAVIGATION:
                return item.command == 22
        return False

    def start_or_resume(self) -> None:
        """Begins the mission, or goes on with the navigation command it was broken off at."""
        restart = self._v.parameters["MIS_RESTART"] == 1 or self.complete or not self._resume_at
        begin = 1 if restart else self._resume_at
        if restart:
            self._jumps.clear()
        self.running, self.complete = True, False
        if self._v.in_air:
            self._v.craft.begin_path(self._v.parameters["WPNAV_SPEED"] / 100.0)
        self._run_from(begin)

    def stop(self) -> None:
        """Leaves AUTO; the present navigation command is where it will go on."""
        if self.running and not self.complete:
            self._resume_at = self.current
        self.running = False
        self._hold_until_s = math.inf

    def reset(self) -> None:
        """Back to the start, as after a reboot or a landing."""
        self.running = self.complete = False
        self.current = self._resume_at = 0
        self._jumps.clear()

    def set_current(self, sequence: int) -> bool:
        """Jumps to an item."""
        if not 0 <= sequence < len(self._items):
            return False
        self.complete = False
        self._resume_at = max(sequence, 1)
        if self.running and self._v.in_air:
            self._v.craft.begin_path(float(self._v.craft.settings[a.S_SPEED]))
            self._run_from(max(sequence, 1))
        else:
            self.current = sequence
        return True

    def _run_from(self, sequence: int, announced: int = 0) -> None:
        """Runs the commands on the way and starts the next navigation command from `sequence`."""
        index = sequence
        first_do = 0
        ran = 0
        steps = 0
        turns: list[WireItem] = []
        while index < len(self._items):
            steps += 1
            if steps > 4 * len(self._items) + 100:
                break  # a ring of jumps without a navigation command
            item = self._items[index]
            if item.command == 177:
                done = self._jumps.get(index, 0)
                if item.p2 < 0 or done < item.p2:
                    self._jumps[index] = done + 1
                    index = int(item.p1)
                else:
                    index += 1
                continue
            if item.command in NAVIGATION:
                if announced and first_do:
                    # The instant command's number overwrites the pending one of the take-off.
                    announced = first_do
                if announced:
                    self._v.broadcast("MISSION_ITEM_REACHED", {"seq": announced})
                self._text(index, item)
                self.current = index
                self._begin(index, item)
                for turn in turns:
                    self._v.do_command(turn)
                return
            # After the last navigation command only the first of the others is run.
            if ran and not self._navigation_after(index):
                index += 1
                continue
            self._text(index, item)
            if item.command == 115 and ran:
                # Only the first of the instant commands runs before the next leg begins, and
                # beginning a leg sets the heading.
                turns.append(item)
            else:
                self._v.do_command(item)
            ran += 1
            if self._items[max(sequence - 1, 0)].command == 22:
                first_do = first_do or index
            index += 1
        if announced:
            self._v.broadcast("MISSION_ITEM_REACHED", {"seq": announced})
        self.complete, self.running = True, False
        self._resume_at = 0
        if self._v.in_air:
            self._v.craft.hold()

    def _navigation_after(self, index: int) -> bool:
        return any(item.command in NAVIGATION for item in self._items[index:])

    def _text(self, index: int, item: WireItem) -> None:
        self._v.say(6, f"Mission: {index} {_NAMES.get(item.command, f'#{item.command}')}")

    def place_of(self, item: WireItem) -> npt.NDArray[np.float64]:
        """Where an item is, north, east, up; zeros in it keep the present place or height.

        Up counts from the ground below for heights above terrain, otherwise from home.
        """
        craft = self._v.craft
        keep = craft.destination
        if item.z == 0.0:
            up = float(keep[2])
        elif item.frame in (0, 5):
            up = item.z - craft.home_altitude_m
        else:
            up = item.z
        if item.x == 0 and item.y == 0:
            return np.array([keep[0], keep[1], up])
        return craft.to_neu(LonLat(item.y / 1e7, item.x / 1e7), up)

    def _begin(self, index: int, item: WireItem) -> None:
        v, craft = self._v, self._v.craft
        self._hold_until_s = math.inf
        self._arrived = False
        command = item.command
        if item.z != 0.0 or command not in _PLACED:
            # Without a height of its own a waypoint keeps the last one's, whatever it counts from.
            v.follow_terrain(command in _PLACED and item.frame in TERRAIN_FRAMES)
        if command == 22:
            if v.in_air:
                craft.go_to(np.array([*craft.destination[:2], self.place_of(item)[2]]), None)
            else:
                v.take_off_to(float(self.place_of(item)[2]))
        elif command in _PLACED:
            if command == 82:
                v.say(4, "Stand-in: splines are flown as straight legs")
            craft.fix_heading(v.planned_heading())
            craft.go_to(self.place_of(item), self._goes_on_to(index, item))
        elif command == 20:
            v.recovery.begin_return()
        elif command == 21:
            if item.x or item.y:
                place = self.place_of(item)
                place[2] = craft.position[2]
                craft.go_to(place, None)
            else:
                v.recovery.begin_landing()
        elif command == 93:
            craft.stay()
            self._hold_until_s = v.time_s + max(item.p1, 0.0)

    def _goes_on_to(self, index: int, item: WireItem) -> npt.NDArray[np.float64] | None:
        """The place after this one if the vehicle need not stop here."""
        if item.command not in (16, 82) or item.p1 > 0:
            return None
        for later in self._items[index + 1 :]:
            if later.command == 177:
                return None
            if later.command in NAVIGATION:
                if later.command not in (16, 17, 19, 82):
                    return None
                above = (later.frame in TERRAIN_FRAMES, item.frame in TERRAIN_FRAMES)
                if later.z != 0.0 and above[0] != above[1]:
                    return None  # heights of another kind: it stops between them
                place = self.place_of(later)
                if later.z == 0.0:
                    place[2] = self.place_of(item)[2]
                if later.x == 0 and later.y == 0:
                    place[:2] = self.place_of(item)[:2]
                return place
        return None

    def on_event(self, event: int) -> None:
        """The guidance has reached its leg's end or the height of the climb."""
        item = self._items[self.current] if self.current < len(self._items) else None
        if item is None or not self.running:
            return
        if item.command == 22 and event in (a.CLIMBED, a.REACHED):
            self._v.craft.destination[2] = self.place_of(item)[2]
            self._v.craft.begin_legs_here(self._v.parameters["WPNAV_SPEED"] / 100.0)
            self._run_from(self.current + 1, announced=self.current)
        elif item.command in (16, 82) and event == a.REACHED:
            if item.p1 <= 0:
                self._reached()
            elif not self._arrived:
                self._wait(item.p1)
        elif item.command == 17 and event == a.REACHED and not self._arrived:
            self._wait(math.inf)
        elif item.command == 19 and event == a.REACHED and not self._arrived:
            self._wait(item.p1)
        elif item.command == 18 and event == a.REACHED and not self._arrived:
            # The circle is not flown; its time is spent at its centre, and said.
            self._v.say(4, "Stand-in: circles are held at their centre")
            self._wait(18.0 * item.p1)
        elif item.command == 21 and event == a.REACHED:
            self._v.recovery.begin_landing()

    def _wait(self, seconds: float) -> None:
        self._arrived = True
        self._v.craft.stay()
        self._hold_until_s = self._v.time_s + seconds

    def _reached(self) -> None:
        self._v.say(6, f"Reached command #{self.current}")
        self._run_from(self.current + 1, announced=self.current)

    def tick(self) -> None:
        """Waiting times."""
        if not self.running or self._v.time_s < self._hold_until_s:
            return
        self._hold_until_s = math.inf
        if self._items[self.current].command == 16:
            self._reached()
        else:
            self._run_from(self.current + 1, announced=self.current)

    def landed(self) -> None:
        """The vehicle is on the ground and its motors stop."""
        if self.running and self._items[self.current].command in (20, 21):
            self._v.broadcast("MISSION_ITEM_REACHED", {"seq": self.current})
            self.complete, self.running = True, False
            self._resume_at = 0
