"""The stand-in's mission protocol against what ArduCopter answered (recorded in protocol.md)."""

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from link_tools import Bench

ACCEPTED, ERROR, UNSUPPORTED_FRAME, UNSUPPORTED, NO_SPACE = 0, 1, 2, 3, 4


def item(bench: Bench, seq: int, command: int = 16, frame: int = 3, kind: int = 0, **changed):  # type: ignore[no-untyped-def]
    values = {"p1": 0.0, "p2": 0.0, "p3": 0.0, "p4": 0.0, "z": 40.0}
    values |= {"x": 296_200_000 + seq, "y": 1_067_500_000}
    values.update(changed)
    return bench.say(
        "mission_item_int", 1, 1, seq, frame, command, 0, 1,
        values["p1"], values["p2"], values["p3"], values["p4"],
        int(values["x"]), int(values["y"]), values["z"], kind,
    )  # fmt: skip


def begin(bench: Bench, count: int, kind: int = 0, system: int = 255) -> list:  # type: ignore[type-arg]
    return bench.say("mission_count", 1, 1, count, kind, system=system)


def full(bench: Bench, count: int, z: float = 40.0) -> list:  # type: ignore[type-arg]
    answers = begin(bench, count)
    for seq in range(count):
        answers += item(bench, seq, 22 if seq == 1 else 16, z=z)
    return answers


def ack(messages: list) -> int:  # type: ignore[type-arg]
    return [m.type for m in messages if m.get_type() == "MISSION_ACK"][-1]


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.run(1.0)
    return bench


def count_on_board(bench: Bench) -> int:
    return bench.say("mission_request_list", 1, 1, 0)[0].count


def test_it_asks_with_the_legacy_request(bench: Bench) -> None:
    assert {m.get_type() for m in begin(bench, 3)} == {"MISSION_REQUEST"}


def test_eleven_good_items(bench: Bench) -> None:
    assert ack(full(bench, 11)) == ACCEPTED
    assert count_on_board(bench) == 11
    assert "Flight plan received" in bench.texts()


@pytest.mark.parametrize(("count", "left", "pattern"), [(16, 11, "NNNoooooo"), (8, 8, "NNNooo")])
def test_a_cut_upload_leaves_a_mixture(bench: Bench, count: int, left: int, pattern: str) -> None:
    full(bench, 11, z=40.0)
    begin(bench, count)
    for seq in range(5):
        item(bench, seq, 22 if seq == 1 else 16, z=60.0)
    bench.run(9.5)
    assert ack(bench.of("MISSION_ACK")) == 15
    assert "Mission upload timeout" in bench.texts()
    assert count_on_board(bench) == left
    kept = [bench.say("mission_request_int", 1, 1, seq, 0)[0].z for seq in range(2, left)]
    assert "".join("N" if z == 60.0 else "o" for z in kept) == pattern


def test_after_clearing_the_same_cut_leaves_a_short_mission(bench: Bench) -> None:
    full(bench, 11)
    assert ack(bench.say("mission_clear_all", 1, 1, 0)) == ACCEPTED
    begin(bench, 16)
    for seq in range(5):
        item(bench, seq)
    bench.run(9.5)
    assert count_on_board(bench) == 5


def test_it_asks_again_after_a_second(bench: Bench) -> None:
    begin(bench, 3)
    before = len(bench.of("MISSION_REQUEST"))
    bench.run(2.5)
    assert len(bench.of("MISSION_REQUEST")) - before == 2


def test_a_second_station_is_denied(bench: Bench) -> None:
    begin(bench, 5)
    assert ack(begin(bench, 3, system=254)) == 14
    assert ack(bench.say("mission_clear_all", 1, 1, 0, system=254)) == 14


@pytest.mark.parametrize(
    ("changed", "result"),
    [
        ({"frame": 2}, ACCEPTED),
        ({"frame": 1}, UNSUPPORTED_FRAME),
        ({"command": 31000}, UNSUPPORTED),
        ({"x": 910_000_000}, 10),
        ({"z": float("nan")}, 12),
        ({"command": 1000, "frame": 2, "p3": float("nan"), "x": 0, "y": 0}, 8),
    ],
)
def test_odd_items(bench: Bench, changed: dict[str, float], result: int) -> None:
    begin(bench, 3)
    item(bench, 0)
    item(bench, 1, 22)
    assert ack(item(bench, 2, **changed) + [*bench.of("MISSION_ACK")][-1:]) == result  # type: ignore[arg-type]


def test_a_wrong_sequence_is_said_and_does_not_end_the_upload(bench: Bench) -> None:
    begin(bench, 3)
    assert ack(item(bench, 2)) == 13
    assert [m.seq for m in item(bench, 0)] == [1]


def test_an_item_outside_an_upload_is_an_error(bench: Bench) -> None:
    full(bench, 3)
    assert ack(item(bench, 2)) == ERROR
    assert count_on_board(bench) == 3


def test_limits_of_the_mission(bench: Bench) -> None:
    assert ack(begin(bench, 651)) == NO_SPACE
    assert "Only 650 items are supported" in bench.texts()
    assert ack(begin(bench, 0)) == ACCEPTED
    assert begin(bench, 650)[0].get_type() == "MISSION_REQUEST"


def polygon(bench: Bench, vertices: int, said: int | None = None) -> int:
    answers = begin(bench, vertices, 1)
    for seq in range(vertices):
        answers += item(bench, seq, 5001, 0, 1, p1=float(vertices if said is None else said), z=0.0)
    # Items after a refusal are answered with ERROR, as ArduPilot does.
    return next(m.type for m in answers if m.get_type() == "MISSION_ACK")


@pytest.mark.parametrize(
    ("vertices", "result", "text", "left"),
    [
        (4, ACCEPTED, "Fence Indexed OK", 4),
        (69, ACCEPTED, "Fence Indexed OK", 69),
        (70, ERROR, "Fence exceeds storage size", 5),
        (84, NO_SPACE, "Only 70 items are supported", 5),
        (2, ERROR, "Invalid vertex count (2)", 5),
    ],
)
def test_limits_of_the_fence(
    bench: Bench, vertices: int, result: int, text: str, left: int
) -> None:
    assert polygon(bench, 5) == ACCEPTED
    assert polygon(bench, vertices) == result
    assert text in bench.texts()
    assert bench.say("mission_request_list", 1, 1, 1)[0].count == left


def test_a_wrong_vertex_count_leaves_the_old_fence_whole(bench: Bench) -> None:
    assert polygon(bench, 5) == ACCEPTED
    assert polygon(bench, 4, said=5) == ERROR
    assert "Incorrect item count" in bench.texts()
    assert bench.say("mission_request_list", 1, 1, 1)[0].count == 5


def test_limits_of_the_rally_points(bench: Bench) -> None:
    assert ack(begin(bench, 47, 2)) == NO_SPACE
    begin(bench, 46, 2)
    answers = list(
        itertools.chain.from_iterable(item(bench, s, 5100, 3, 2, z=40.6) for s in range(46))
    )
    assert ack(answers) == ACCEPTED
    assert bench.say("mission_request_int", 1, 1, 45, 2)[0].z == 40.0


def test_a_booting_vehicle_has_no_room() -> None:
    bench = Bench()
    assert ack(begin(bench, 3)) == NO_SPACE
    assert "Only 0 items are supported" in bench.texts()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.binary(max_size=80), max_size=12), st.integers(0, 2**32))
def test_no_bytes_crash_it(chunks: list[bytes], seed: int) -> None:
    bench = SHARED
    for chunk in chunks:
        bench.client.receive(b"\xfd" + chunk)
    bench.client.receive(b"\0" * 300)
    assert bench.say("mission_request_list", 1, 1, 0)[-1].get_type() == "MISSION_COUNT"


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(
        [
            *("command_long", "command_int", "mission_count", "mission_item", "mission_item_int"),
            *("mission_request_int", "mission_set_current", "param_set", "param_request_read"),
            *("request_data_stream", "set_mode", "set_position_target_global_int", "timesync"),
        ]
    ),
    st.binary(min_size=60, max_size=60),
)
def test_well_formed_frames_of_any_content_do_not_crash_it(name: str, payload: bytes) -> None:
    from pymavlink.dialects.v20 import ardupilotmega as dialect

    from sitl.stand_in.wire import checksum

    bench = SHARED
    kind = getattr(dialect, f"MAVLink_{name}_message")
    body = bytearray(payload[: kind.unpacker.size])
    body = body.ljust(kind.unpacker.size, b"\1")
    head = bytes([len(body), 0, 0, 7, 255, 190, kind.id & 255, kind.id >> 8 & 255, kind.id >> 16])
    crc = checksum(head + bytes(body) + bytes([kind.crc_extra]))
    bench.client.receive(b"\xfd" + head + bytes(body) + crc.to_bytes(2, "little"))
    bench.run(0.2)
    assert bench.of("HEARTBEAT")


SHARED = Bench()
SHARED.run(1.0)
