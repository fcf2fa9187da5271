"""What ArduPilot keeps of an item: the recorded table, item by item."""

import math

import pytest

from missions.link.rules import FENCE, MISSION, RALLY, WireItem, as_kept, differences, single

# (sent, kept): frame, command, p1-p4, altitude; read back from ArduCopter 4.7-dev.
TABLE = {
    "waypoint": ((3, 16, 0, 0, 0, 0, 40), (3, 16, 0, 0, 0, 0, 40)),
    "hold": ((3, 16, 2.6, 5, 3, 90, 40), (3, 16, 2, 0, 0, 0, 40)),
    "millimetres": ((3, 16, 0, 0, 0, 0, 40.126), (3, 16, 0, 0, 0, 0, 40.12)),
    "amsl": ((0, 16, 0, 0, 0, 0, 290.555), (0, 16, 0, 0, 0, 0, 290.55)),
    "terrain": ((10, 16, 0, 0, 0, 0, 50), (10, 16, 0, 0, 0, 0, 50)),
    "spline": ((3, 82, 1, 0, 0, 0, 40), (3, 82, 1, 0, 0, 0, 40)),
    "turns": ((3, 18, 2, 0, 30, 0, 40), (3, 18, 2, 0, 30, 0, 40)),
    "loiter time": ((3, 19, 7.5, 0, 0, 0, 40), (3, 19, 7, 0, 1, 0, 40)),
    "speed": ((2, 178, 1, 8.25, -1, 0, 0), (0, 178, 1, 8.25, -1, 0, 0)),
    "airspeed": ((2, 178, 0, 0.123, -1, 0, 0), (0, 178, 0, 0.123, -1, 0, 0)),
    "trigger": ((2, 206, 12.345, 0, 1, 0, 0), (0, 206, 12.345, 0, 1, 0, 0)),
    "trigger off": ((2, 206, 0, 0, 0, 0, 0), (0, 206, 0, 0, 0, 0, 0)),
    "capture": ((2, 2000, 0, 2.5, 10, 1, 0), (0, 2000, 0, 2.5, 10, 1, 0)),
    "capture off": ((2, 2001, 0, 0, 0, 0, 0), (0, 2001, 0, 0, 0, 0, 0)),
    "mount": ((2, 205, -60.5, 0, 30.25, 0, 2), (0, 205, -60.5, 0, 30.25, 0, 2)),
    "gimbal": ((2, 1000, -60.5, 30.25, 0, 0, 0), (0, 1000, -60, 30, 0, 0, 0)),
    "roi": ((3, 195, 0, 0, 0, 0, 12.34), (3, 195, 0, 0, 0, 0, 12.34)),
    "roi none": ((2, 197, 0, 0, 0, 0, 0), (0, 197, 0, 0, 0, 0, 0)),
    "yaw": ((2, 115, 123.4, 20, 1, 0, 0), (0, 115, 123.4, 20, 1, 0, 0)),
    "resume": ((2, 215, 25, 0, 0, 0, 0), (0, 215, 25, 0, 0, 0, 0)),
    "land start": ((3, 189, 0, 0, 0, 0, 40), (3, 189, 0, 0, 0, 0, 40)),
    "return path": ((3, 188, 0, 0, 0, 0, 40), (3, 188, 0, 0, 0, 0, 40)),
    "land": ((3, 21, 5, 0, 0, 0, 40), (3, 21, 5, 0, 0, 1, 40)),
    "rtl": ((3, 20, 0, 0, 0, 0, 0), (0, 20, 0, 0, 0, 0, 0)),
    "delay": ((2, 93, 12.7, -1, -1, -1, 0), (0, 93, 12.7, -1, -1, -1, 0)),
}


def wire(row: tuple[float, ...], x: int = 0, y: int = 0) -> WireItem:
    frame, command, *numbers = row
    p1, p2, p3, p4, z = (single(n) for n in numbers)
    return WireItem(int(command), int(frame), p1, p2, p3, p4, x, y, z)


@pytest.mark.parametrize("name", TABLE)
def test_items_are_expected_back_as_arducopter_kept_them(name: str) -> None:
    sent, kept = TABLE[name]
    placed = (296_200_000, 1_067_500_000) if sent[1] in (16, 82, 18, 19, 21, 188, 189, 195) else ()
    home = wire((0, 16, 0, 0, 0, 0, 250))
    assert differences([home, wire(sent, *placed)], [home, wire(kept, *placed)], MISSION) == []


@pytest.mark.parametrize("field", ["command", "frame", "p1", "x", "y", "z"])
def test_every_field_that_differs_is_found(field: str) -> None:
    sent = wire((3, 16, 2, 0, 0, 0, 40), 296_200_000, 1_067_500_000)
    found = as_kept(sent, MISSION)
    changed = WireItem(**{**_fields(found), field: getattr(found, field) + 1})
    result = differences([sent, sent], [found, changed], MISSION)
    assert [(d.sequence, d.field) for d in result] == [(1, field)]


def _fields(item: WireItem) -> dict[str, float]:
    return {name: getattr(item, name) for name in WireItem.__slots__}


def test_a_centimetre_of_altitude_is_a_difference_and_a_millimetre_is_not() -> None:
    sent = wire((3, 16, 0, 0, 0, 0, 40.126), 1, 1)
    kept = wire((3, 16, 0, 0, 0, 0, 40.12), 1, 1)
    wrong = wire((3, 16, 0, 0, 0, 0, 40.13), 1, 1)
    assert differences([sent, sent], [kept, kept], MISSION) == []
    assert len(differences([sent, sent], [kept, wrong], MISSION)) == 1


def test_missing_and_surplus_items_are_differences() -> None:
    item = wire((3, 16, 0, 0, 0, 0, 40), 1, 1)
    for found in ([item], [item] * 3):
        first = differences([item, item], found, MISSION)[0]
        assert (first.sequence, first.field) == (-1, "count")
        assert "items expected" in str(first)


def test_home_is_the_vehicles_own() -> None:
    mine, theirs = wire((0, 16, 0, 0, 0, 0, 250), 1, 1), wire((0, 16, 0, 0, 0, 0, 249.9), 5, 7)
    assert differences([mine], [theirs], MISSION) == []


def test_rally_altitudes_lose_their_decimals() -> None:
    sent = wire((3, 5100, 0, 0, 0, 0, 40.6), 1, 2)
    assert as_kept(sent, RALLY).z == 40.0
    assert differences([sent], [wire((3, 5100, 0, 0, 0, 0, 40.0), 1, 2)], RALLY) == []


def test_fence_vertices_come_back_in_frame_0() -> None:
    sent = wire((3, 5001, 4, 0, 0, 0, 0), 1, 2)
    assert as_kept(sent, FENCE).frame == 0
    assert differences([sent], [wire((0, 5001, 4, 0, 0, 0, 0), 1, 2)], FENCE) == []


def test_nan_read_back_is_a_difference() -> None:
    sent = wire((3, 16, 0, 0, 0, 0, 40), 1, 1)
    found = wire((3, 16, 0, 0, 0, 0, math.nan), 1, 1)
    assert differences([sent, sent], [sent, found], MISSION)[0].field == "z"
