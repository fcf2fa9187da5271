"""What ArduPilot keeps of an item it is sent, and how two lists of items differ.

ArduPilot stores 15 bytes an item: altitudes lose their millimetres, some parameters their
fractions, some are dropped. What is read back must equal what was sent *after* these rules;
anything else is a difference that the pilot has to see. The rules were read off a running
ArduCopter 4.7 (`docs/link.md` has the table).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from missions.mission import WITH_PLACE, MissionItem

MISSION, FENCE, RALLY = 0, 1, 2
"""MAV_MISSION_TYPE."""

TYPE_NAMES = {MISSION: "mission", FENCE: "fence", RALLY: "rally points"}

_PLACE_FRAMES = {0: 0, 2: 0, 5: 0, 3: 3, 6: 3, 10: 10, 11: 10}
# Commands that keep their first parameter as a whole number.
_WHOLE_P1 = frozenset({16, 21, 22, 82, 92, 179, 207, 211, 215})
_NO_PARAMETERS = frozenset({20, 188, 189, 197})


@dataclass(frozen=True, slots=True)
class WireItem:
    """An item as it travels in MISSION_ITEM_INT: x and y are integers, whatever they mean.

    Attributes:
        p1, p2, p3, p4, z: as 32-bit floating point numbers hold them.
        x, y: degrees × 1e7 for a command with a place, otherwise plain integers.
    """

    command: int
    frame: int
    p1: float = 0.0
    p2: float = 0.0
    p3: float = 0.0
    p4: float = 0.0
    x: int = 0
    y: int = 0
    z: float = 0.0

    @classmethod
    def of(cls, item: MissionItem) -> WireItem:
        """As sent for an item of the mission model."""
        x, y = item.x_y_int
        return cls(
            item.command,
            item.frame,
            single(item.p1),
            single(item.p2),
            single(item.p3),
            single(item.p4),
            x,
            y,
            single(item.altitude_m),
        )

    def to_item(self) -> MissionItem:
        """As an item of the mission model.

        Raises:
            ValueError: if x, y are no latitude and longitude for a command with a place.
        """
        if self.command in WITH_PLACE:
            fifth, sixth = self.x / 1e7, self.y / 1e7
        else:
            fifth, sixth = float(self.x), float(self.y)
        params = (self.p1, self.p2, self.p3, self.p4, fifth, sixth, self.z)
        return MissionItem.from_params(self.command, self.frame, params)


def single(value: float) -> float:
    """The value as a 32-bit floating point number holds it."""
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


def whole_centimetres(altitude_m: float) -> float:
    """An altitude as ArduPilot stores it: multiplied by 100 in single precision, then cut."""
    centimetres = math.trunc(float(np.float32(altitude_m) * np.float32(100.0)))
    return single(float(np.float32(centimetres) * np.float32(0.01)))


def as_kept(item: WireItem, mission_type: int) -> WireItem:
    """What ArduPilot gives back for an accepted item.

    Commands that the rules do not know are expected back unchanged, so that what is kept otherwise
    shows up as a difference instead of being excused.
    """
    if mission_type == FENCE:
        return _kept_fence(item)
    if mission_type == RALLY:
        return _kept_rally(item)
    command = item.command
    frame = _PLACE_FRAMES.get(item.frame, item.frame) if command in WITH_PLACE else 0
    x, y = item.x, item.y
    z = whole_centimetres(item.z) if command in WITH_PLACE else 0.0
    p1, p2, p3, p4 = item.p1, item.p2, item.p3, item.p4
    turn = -1.0 if p3 < 0 else 1.0
    if command in _NO_PARAMETERS:
        p1 = p2 = p3 = p4 = 0.0
        if command in (20, 197):
            x = y = 0
    elif command in _WHOLE_P1:
        p1, p2, p3 = _cut(p1), 0.0, 0.0
        # A landing gives its turning direction back in param4.
        p4 = (-1.0 if p4 < 0 else 1.0) if command == 21 else 0.0
        if command == 215:
            x = y = 0
    elif command == 17:
        p1, p2, p3, p4 = 0.0, 0.0, _cut(abs(p3)) * turn if _cut(abs(p3)) else turn, 0.0
    elif command == 18:
        p1, p2, p3, p4 = min(255.0, _cut(p1)), 0.0, _cut(p3), 1.0 if p4 > 0 else 0.0
    elif command == 19:
        p1, p2, p3, p4 = _cut(p1), 0.0, turn, 1.0 if p4 > 0 else 0.0
    elif command == 93:
        p2, p3, p4 = _cut(p2), _cut(p3), _cut(p4)
        x = y = 0
    elif command == 115:
        p3, p4 = _cut(p3), _cut(p4)
        x = y = 0
    elif command == 177:
        p1, p2, p3, p4 = _cut(p1), _cut(p2), 0.0, 0.0
    elif command == 178:
        p1, p4 = _cut(p1), 0.0
        x = y = 0
    elif command == 195:
        p1, p2, p3, p4 = _cut(p1), 0.0, 0.0, 0.0
    elif command == 203:
        p1, p2, p3, p4 = _cut(p1), _cut(p2), _cut(p3), _cut(p4)
    elif command == 205:
        p4, z = 0.0, item.z
    elif command == 206:
        p2, p3, p4 = 0.0, _cut(p3), 0.0
        x = y = 0
    elif command == 1000:
        p1, p2, p3, p4 = _cut(p1), _cut(p2), _cut(p3), _cut(p4)
        z = item.z
    elif command == 2000:
        p1, p3, p4 = _cut(p1), _cut(p3), _cut(p4)
        x = y = 0
    elif command == 2001:
        p1, p2, p3, p4 = _cut(p1), 0.0, 0.0, 0.0
        x = y = 0
    else:
        z = item.z
    return WireItem(command, frame, p1, p2, p3, p4, x, y, z)


def _cut(value: float) -> float:
    return float(math.trunc(value)) if math.isfinite(value) else value


def _kept_fence(item: WireItem) -> WireItem:
    return WireItem(item.command, 0, item.p1, 0.0, 0.0, 0.0, item.x, item.y, 0.0)


def _kept_rally(item: WireItem) -> WireItem:
    return WireItem(item.command, 3, 0.0, 0.0, 0.0, 0.0, item.x, item.y, _cut(item.z))


@dataclass(frozen=True, slots=True)
class Difference:
    """One field of one item that is on board otherwise than it should be.

    Attributes:
        mission_type: one of `MISSION`, `FENCE`, `RALLY`.
        sequence: the item's number; -1 for the number of items itself.
        field: which field.
        expected, found: the values.
    """

    mission_type: int
    sequence: int
    field: str
    expected: float
    found: float

    def __str__(self) -> str:
        what = TYPE_NAMES[self.mission_type]
        if self.sequence < 0:
            return f"{what}: {self.expected:.0f} items expected, {self.found:.0f} on board"
        return (
            f"{what} item {self.sequence}: {self.field} expected {self.expected:.10g},"
            f" on board {self.found:.10g}"
        )


_FIELDS = ("command", "frame", "p1", "p2", "p3", "p4", "x", "y", "z")


def differences(
    sent: Sequence[WireItem], found: Sequence[WireItem], mission_type: int
) -> list[Difference]:
    """Where what is on board differs from what ArduPilot keeps of what was sent.

    Item 0 of a mission is the home placeholder; the vehicle writes its own home there, so only its
    presence counts.
    """
    result = []
    if len(sent) != len(found):
        result.append(Difference(mission_type, -1, "count", len(sent), len(found)))
    for sequence, (mine, theirs) in enumerate(zip(sent, found, strict=False)):
        if mission_type == MISSION and sequence == 0:
            continue
        kept = as_kept(mine, mission_type)
        for name in _FIELDS:
            expected, actual = float(getattr(kept, name)), float(getattr(theirs, name))
            if not _same(name, expected, actual):
                result.append(Difference(mission_type, sequence, name, expected, actual))
    return result


def _same(name: str, expected: float, found: float) -> bool:
    if name in ("command", "frame", "x", "y"):
        return expected == found
    if math.isnan(expected) or math.isnan(found):
        return math.isnan(expected) and math.isnan(found)
    # Half a millimetre, or the rounding of a 32-bit number where that is coarser.
    return abs(expected - found) <= max(5e-4, 2e-7 * abs(expected))
