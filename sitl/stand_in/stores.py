"""Mission, fence and rally points as ArduCopter stores them, with its limits and its answers."""

from __future__ import annotations

import math
from collections.abc import Callable

from missions.link.rules import FENCE, MISSION, RALLY, WireItem, as_kept
from missions.mission import WITH_PLACE

ACCEPTED, ERROR, UNSUPPORTED_FRAME, UNSUPPORTED, NO_SPACE = 0, 1, 2, 3, 4
INVALID, INVALID_PARAM1 = 5, 6
INVALID_PARAM5_X, INVALID_PARAM6_Y, INVALID_PARAM7 = 10, 11, 12
INVALID_SEQUENCE, DENIED, CANCELLED = 13, 14, 15
"""MAV_MISSION_RESULT."""

Say = Callable[[int, str], None]

_KNOWN = frozenset(
    {16, 17, 18, 19, 20, 21, 22, 82, 92, 93, 112, 114, 115, 177, 178, 179, 181, 183, 188, 189}
    | {195, 197, 201, 203, 205, 206, 207, 211, 215, 222, 1000, 2000, 2001}
)
_PLACE_FRAMES = frozenset({0, 2, 3, 5, 6, 10, 11})
_FENCE_LIMIT = 70
_FENCE_BYTES = 560
_RALLY_LIMIT = 46


def _not_valid(item: WireItem) -> int:
    """The result for an item of a mission; ACCEPTED where nothing is wrong."""
    may_be_nan = 4 if item.command in (16, 17, 21, 22) else 0
    for number, value in enumerate((item.p1, item.p2, item.p3, item.p4), start=1):
        if not math.isfinite(value) and number != may_be_nan:
            return INVALID_PARAM1 + number - 1
    if item.command in (0, 1):
        return INVALID
    if item.command not in _KNOWN:
        return UNSUPPORTED
    if item.command in WITH_PLACE:
        if item.frame not in _PLACE_FRAMES:
            return UNSUPPORTED_FRAME
        if abs(item.x) > 900_000_000:
            return INVALID_PARAM5_X
        if abs(item.y) > 1_800_000_000:
            return INVALID_PARAM6_Y
        if not math.isfinite(item.z):
            return INVALID_PARAM7
    return ACCEPTED


class _Store:
    """Items in their order.

    Args:
        say: sends a text to every station.
        capacity: how many items there is room for.
    """

    def __init__(self, say: Say, capacity: int) -> None:
        self.items: list[WireItem] = []
        self.capacity = capacity
        self._say = say

    def give(self, sequence: int) -> WireItem | None:
        """An item as read back."""
        return self.items[sequence] if 0 <= sequence < len(self.items) else None

    def __len__(self) -> int:
        return len(self.items)


class MissionStore(_Store):
    """The mission: written in place, item by item, so that a cut upload leaves a mixture."""

    mission_type = MISSION

    def __init__(self, say: Say, capacity: int = 650) -> None:
        super().__init__(say, capacity)
        self.home = WireItem(16, 0)
        self.changes = 0

    def begin(self, count: int) -> int:
        """Answers a COUNT: the mission on board is cut to the smaller number at once."""
        del self.items[count:]
        self.changes += 1
        return ACCEPTED

    def put(self, sequence: int, item: WireItem) -> int:
        """Stores one item over what was there."""
        result = _not_valid(item)
        if result != ACCEPTED:
            return result
        if item.command == 177 and not 0 < item.p1 < self.capacity:
            return ERROR
        kept = as_kept(item, MISSION)
        if item.command == 177 and int(item.p1) >= sequence + 1 and int(item.p1) > len(self.items):
            return ERROR
        if sequence < len(self.items):
            self.items[sequence] = kept
        elif sequence == len(self.items):
            self.items.append(kept)
        else:
            return ERROR
        self.changes += 1
        return ACCEPTED

    def complete(self) -> int:
        """All items are there."""
        self._say(6, "Flight plan received")
        return ACCEPTED

    def time_out(self) -> None:
        """The station fell silent; what was written stays written."""
        self._say(4, "Mission upload timeout")

    def clear(self) -> bool:
        """Forgets the mission."""
        self.items.clear()
        self.changes += 1
        return True

    def give(self, sequence: int) -> WireItem | None:
        """An item as read back; item 0 is the vehicle's home."""
        return self.home if sequence == 0 and self.items else super().give(sequence)


class FenceStore(_Store):
    """The fence: gathered, checked as a whole, and only then put in the place of the old one."""

    mission_type = FENCE

    def __init__(self, say: Say) -> None:
        super().__init__(say, _FENCE_LIMIT)
        self._new: list[WireItem] = []

    def begin(self, count: int) -> int:
        """Answers a COUNT; an upload of none empties the fence when it completes."""
        self._new = []
        return ACCEPTED

    def put(self, sequence: int, item: WireItem) -> int:
        """Gathers one item."""
        if item.command not in (5001, 5002, 5003, 5004):
            return UNSUPPORTED
        if item.frame not in (0, 3, 5, 6):
            return UNSUPPORTED_FRAME
        if abs(item.x) > 900_000_000:
            return INVALID_PARAM5_X
        if abs(item.y) > 1_800_000_000:
            return INVALID_PARAM6_Y
        self._new.append(as_kept(item, FENCE))
        return ACCEPTED

    def complete(self) -> int:
        """Checks the whole and takes it over, or leaves the old fence as it is."""
        problem = self._problem()
        if problem is not None:
            self._say(4, problem)
            if problem != "Fence exceeds storage size":
                self._say(4, "Fence validation failed")
            return ERROR
        self.items, self._new = self._new, []
        self._say(7, "Fence Indexed OK")
        return ACCEPTED

    def _problem(self) -> str | None:
        index = 0
        size = 4
        while index < len(self._new):
            item = self._new[index]
            if item.command in (5001, 5002):
                count = int(item.p1)
                if not 3 <= count <= 255:
                    return f"Invalid vertex count ({count})"
                group = self._new[index : index + count]
                if len(group) < count or any(
                    g.command != item.command or int(g.p1) != count for g in group
                ):
                    return "Incorrect item count"
                # A type byte, a count byte, and eight bytes a vertex.
                size += 2 + 8 * count
                index += count
            else:
                if not (math.isfinite(item.p1) and item.p1 > 0):
                    return "Invalid circle radius"
                size += 13
                index += 1
        return "Fence exceeds storage size" if size > _FENCE_BYTES else None

    def time_out(self) -> None:
        """The station fell silent; the old fence stays."""
        self._new = []
        self._say(4, "Fence upload timeout")

    def clear(self) -> bool:
        """Forgets the fence."""
        self.items = []
        return True


class RallyStore(_Store):
    """The rally points, written in place like the mission."""

    mission_type = RALLY

    def __init__(self, say: Say) -> None:
        super().__init__(say, _RALLY_LIMIT)

    def begin(self, count: int) -> int:
        """Answers a COUNT: the points on board are cut to the smaller number at once."""
        del self.items[count:]
        return ACCEPTED

    def put(self, sequence: int, item: WireItem) -> int:
        """Stores one point over what was there."""
        if item.command != 5100:
            return UNSUPPORTED
        if item.frame not in (3, 6):
            return UNSUPPORTED_FRAME
        if abs(item.x) > 900_000_000:
            return INVALID_PARAM5_X
        if abs(item.y) > 1_800_000_000:
            return INVALID_PARAM6_Y
        if not math.isfinite(item.z) or abs(item.z) > 32_767:
            return INVALID_PARAM7
        kept = as_kept(item, RALLY)
        if sequence < len(self.items):
            self.items[sequence] = kept
        elif sequence == len(self.items):
            self.items.append(kept)
        else:
            return ERROR
        return ACCEPTED

    def complete(self) -> int:
        """All points are there."""
        return ACCEPTED

    def time_out(self) -> None:
        """The station fell silent; what was written stays written."""
        self._say(4, "Rally upload timeout")

    def clear(self) -> bool:
        """Forgets the points."""
        self.items = []
        return True
