"""The station's code on bad links, with odd vehicles and under any bytes; on a virtual clock."""

import random
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from link_tools import Bench, small_sortie
from pymavlink.dialects.v20 import ardupilotmega as dialect
from virtual_link import VirtualLink, Weather, ready_bench, virtual_link

from missions.link.connection import Link, LinkError
from missions.link.download import download_sortie
from missions.link.monitor import SortieMonitor
from missions.link.rules import FENCE, MISSION, RALLY, differences
from missions.link.transfer import TransferError, clear_items, count_items, upload_items
from missions.link.upload import MUST_NOT_ARM, UploadResult, upload_sortie, wire_lists
from missions.mission import Sortie
from sitl.stand_in.wire import FrameWriter, checksum


@pytest.fixture(scope="module")
def bench() -> Bench:
    return ready_bench()


def on_board(bench: Bench, sortie: Sortie) -> bool:
    stores = {kind: protocol.store for kind, protocol in bench.vehicle.protocols.items()}
    lists = wire_lists(sortie)
    return all(not differences(lists[kind], stores[kind].items, kind) for kind in lists)


def counts(bench: Bench) -> list[int]:
    return [len(bench.vehicle.protocols[kind].store) for kind in (MISSION, FENCE, RALLY)]


def upload(link: Link, sortie: Sortie, **options: object) -> UploadResult:
    link.wait_for_vehicle(60.0)
    return upload_sortie(link, sortie, force="test", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(12))
def test_a_third_lost_doubled_and_two_seconds_late(bench: Bench, seed: int) -> None:
    sortie = small_sortie(3 + seed)
    with virtual_link(Weather(0.3, 0.1, 0.3), seed, bench) as (link, way):
        result = upload(link, sortie)
        way.drain()
    assert way.lost > 50
    assert result.verified, result.message
    assert on_board(bench, sortie)


@pytest.mark.parametrize("cut_after", range(200, 1500, 160))
@pytest.mark.parametrize("up_only", [False, True])
def test_a_cut_is_reported_with_what_is_on_board(
    bench: Bench, cut_after: int, up_only: bool
) -> None:
    with virtual_link(bench=bench) as (link, _):
        assert upload(link, small_sortie(7)).verified
    old = counts(bench)
    sortie = small_sortie(5)
    weather = Weather(cut_after=cut_after, cut_up_only=up_only)
    with virtual_link(weather, 3, bench) as (link, _):
        result = upload(link, sortie)
    assert not result.verified
    assert MUST_NOT_ARM in result.message
    assert "COULD NOT BE CLEARED" in result.message
    for state, found, before in zip(result.lists.values(), counts(bench), old, strict=True):
        assert state.state in ("empty", "old", "new", "cut short", "mixed", "unknown")
        assert state.count in (None, found)
        assert state.state != "old" or found == before


def test_a_cut_link_is_given_up_within_two_minutes(bench: Bench) -> None:
    with virtual_link(Weather(cut_after=900), 3, bench) as (link, way):
        link.wait_for_vehicle(60.0)
        begin = way.now_s
        upload(link, small_sortie(5))
        assert way.now_s - begin < 120.0


@pytest.mark.parametrize("at_item", [0, 3, 9])
def test_a_vehicle_that_reboots_in_the_middle(at_item: int) -> None:
    bench = ready_bench()
    with virtual_link(bench=bench) as (link, _):
        assert upload(link, small_sortie(8)).verified
    sortie = small_sortie(5)
    with virtual_link(bench=bench) as (link, way):
        boots = []

        def reboot(done: int, _: int, text: str) -> None:
            if not boots and text.startswith("mission") and done == at_item:
                boots.append(way.now_s)
                way.reboot(away_s=5.0)

        result = upload(link, sortie, progress=reboot)
    assert boots
    if result.verified:
        assert on_board(bench, sortie)
    else:
        assert MUST_NOT_ARM in result.message
        assert "were cleared" in result.message
        assert counts(bench) == [0, 0, 0]


def test_a_second_station_in_the_middle_of_its_upload_is_waited_for(bench: Bench) -> None:
    with virtual_link(bench=bench) as (link, way):
        bench.say("mission_count", 1, 1, 9, 0, system=254)
        begin = way.now_s
        result = upload(link, small_sortie(4))
        # The other one stays silent, so the vehicle gives it up after 8 s.
        assert 6.0 < way.now_s - begin < 40.0
    assert result.verified


def test_a_second_station_that_does_not_stop_is_reported(bench: Bench) -> None:
    with virtual_link(bench=bench) as (link, way):
        link.wait_for_vehicle(60.0)
        other = {"next": 0.0}

        def keep_on(_: bytes) -> None:
            if way.now_s > other["next"]:
                other["next"] = way.now_s + 5.0
                bench.say("mission_count", 1, 1, 9, 0, system=254)

        bench.say("mission_count", 1, 1, 9, 0, system=254)
        way.on_frame_up = keep_on
        with pytest.raises(TransferError):
            clear_items(link, MISSION)
        result = upload(link, small_sortie(4))
    assert not result.verified
    assert MUST_NOT_ARM in result.message


def test_another_stations_mission_of_the_same_length_is_found(bench: Bench) -> None:
    """Between our last item and our reading back somebody else loads his own."""
    sortie, other = small_sortie(4), small_sortie(4)
    changed = [replace(i, altitude_m=i.altitude_m + 5) for i in other.mission.items]
    with virtual_link(bench=bench) as (link, way):
        done: list[int] = []

        def meddle(data: bytes) -> None:
            # Number 43 is MISSION_REQUEST_LIST: our reading back begins.
            begun = data[7] == 43 and len(bench.vehicle.mission_store) == 10
            if begun and not done:
                done.append(1)
                bench.upload([other.mission.all_items[0], *changed])

        way.on_frame_up = meddle
        result = upload(link, sortie)
    assert done
    assert result.verified
    assert on_board(bench, sortie), "it was sent again and read back again"


def test_a_late_double_of_our_clear_does_not_empty_what_was_verified(bench: Bench) -> None:
    sortie = small_sortie(1)
    with virtual_link(bench=bench) as (link, way):
        late: list[tuple[float, bytes]] = []

        def double(data: bytes) -> None:
            # Number 45 is MISSION_CLEAR_ALL; it comes once more, two seconds later.
            if data[7] == 45 and not late:
                late.append((way.now_s + 2.0, data))
            if late and late[0][0] <= way.now_s:
                bench.client.receive(late[0][1])
                late[0] = (float("inf"), b"")

        way.on_frame_up = double
        result = upload(link, sortie)
    if result.verified:
        assert on_board(bench, sortie)
    else:
        assert MUST_NOT_ARM in result.message


def test_a_vehicle_without_rally_points_is_reported_and_not_waited_for_for_ever() -> None:
    bench = ready_bench()
    protocol = bench.vehicle.protocols.pop(RALLY)
    with virtual_link(bench=bench) as (link, way):
        link.wait_for_vehicle(60.0)
        begin = way.now_s
        with pytest.raises(TransferError, match="rally points"):
            count_items(link, RALLY)
        assert way.now_s - begin < 20.0
        result = upload(link, small_sortie(3))
    bench.vehicle.protocols[RALLY] = protocol
    assert not result.verified
    assert "rally points" in result.message


def test_a_vehicle_that_asks_for_the_same_item_for_ever_is_given_up() -> None:
    bench = ready_bench()
    protocol = bench.vehicle.protocols[MISSION]
    asked = {"target_system": 255, "target_component": 190, "seq": 2, "mission_type": 0}
    protocol.handle = lambda _, reply, __: reply("MISSION_REQUEST", asked)  # type: ignore[method-assign]
    with virtual_link(bench=bench) as (link, way):
        link.wait_for_vehicle(60.0)
        begin = way.now_s
        with pytest.raises(TransferError, match="no progress after item 3 of 10"):
            upload_items(link, wire_lists(small_sortie(4))[MISSION], MISSION)
        assert way.now_s - begin < 60.0


# Any bytes.

_NAMES = sorted(
    {
        *("MISSION_COUNT", "MISSION_ITEM_INT", "MISSION_ITEM", "MISSION_ACK", "MISSION_REQUEST"),
        *("MISSION_REQUEST_INT", "MISSION_CURRENT", "PARAM_VALUE", "STATUSTEXT", "HEARTBEAT"),
        *("GLOBAL_POSITION_INT", "SYS_STATUS", "CAMERA_FEEDBACK", "AUTOPILOT_VERSION"),
        *("COMMAND_ACK", "EKF_STATUS_REPORT", "SYSTEM_TIME"),
    }
)


def odd_frame(chance: random.Random) -> bytes:
    """A well-formed frame of the vehicle's with any content."""
    kind = getattr(dialect, f"MAVLink_{chance.choice(_NAMES).lower()}_message")
    size = kind.unpacker.size
    few = bytes(chance.choice((0, 0, 0, 1, 2, 3, 255)) for _ in range(size))
    body = few if chance.random() < 0.6 else chance.randbytes(size)
    head = bytes([len(body), 0, 0, chance.randrange(256), 1, 1])
    head += bytes([kind.id & 255, kind.id >> 8 & 255, kind.id >> 16])
    crc = checksum(head + body + bytes([kind.crc_extra]))
    return b"\xfd" + head + body + crc.to_bytes(2, "little")


def spoiler(seed: int, share: float) -> tuple[random.Random, object]:
    chance = random.Random(seed)

    def spoil(data: bytes) -> bytes:
        if chance.random() >= share:
            return data
        what = chance.randrange(5)
        if what == 0:
            return data + odd_frame(chance)
        if what == 1:
            return odd_frame(chance) + data
        if what == 2:
            return data[: chance.randrange(len(data))]
        if what == 3:
            at = chance.randrange(len(data))
            return data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]
        return chance.randbytes(chance.randrange(40)) + data

    return chance, spoil


@pytest.mark.parametrize("seed", range(25))
def test_spoilt_frames_never_crash_an_upload_or_make_a_false_success(seed: int) -> None:
    bench = ready_bench()
    sortie = small_sortie(2 + seed % 4)
    with virtual_link(Weather(0.05), seed, bench) as (link, way):
        link.wait_for_vehicle(60.0)
        _, way.spoil = spoiler(seed, 0.15)  # type: ignore[assignment]
        try:
            result = upload_sortie(link, sortie, force="test")
        except LinkError:
            return  # before anything was changed
        way.drain()
    if result.verified:
        assert on_board(bench, sortie)
    else:
        assert MUST_NOT_ARM in result.message


@pytest.mark.parametrize("seed", range(10))
def test_spoilt_frames_never_crash_a_download(bench: Bench, seed: int) -> None:
    sortie = small_sortie(4)
    with virtual_link(bench=bench) as (link, _):
        assert upload(link, sortie).verified
    with virtual_link(Weather(0.05), seed, bench) as (link, way):
        link.wait_for_vehicle(60.0)
        _, way.spoil = spoiler(seed, 0.15)  # type: ignore[assignment]
        try:
            downloaded = download_sortie(link)
        except LinkError:
            return
    assert all(isinstance(remark, str) for remark in downloaded.remarks)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**32), st.binary(max_size=120))
def test_no_bytes_crash_the_monitor(seed: int, data: bytes) -> None:
    chance = random.Random(seed)
    parser = dialect.MAVLink(None)
    parser.robust_parsing = True
    watch = SortieMonitor(small_sortie(4))
    stream = b"".join(odd_frame(chance) for _ in range(12)) + b"\xfd" + data + odd_frame(chance)
    for message in parser.parse_buffer(stream) or []:
        if message.get_type() != "BAD_DATA":
            watch.take(message, 1.0)
            snapshot = watch.look(1.5)
            assert snapshot.silent_s >= 0


# Signing.

KEY = bytes(range(32))


def test_a_signed_link_uploads_and_an_unsigned_station_is_not_heard() -> None:
    bench = ready_bench()
    bench.vehicle.signing_key = KEY
    sortie = small_sortie(3)
    with virtual_link(bench=bench) as (link, way):
        sign(way, KEY)
        assert upload(link, sortie).verified
    assert on_board(bench, sortie)
    with virtual_link(bench=bench) as (link, way):
        # Without a key it hears the vehicle, and the vehicle does not hear it.
        result = upload(link, small_sortie(2))
    assert not result.verified
    assert on_board(bench, sortie), "nothing was changed"
    with virtual_link(bench=bench) as (link, way):
        sign(way, KEY[::-1])
        with pytest.raises(LinkError, match="not signed with the key given"):
            link.wait_for_vehicle(5.0)


def sign(way: VirtualLink, key: bytes) -> None:
    way.mav.signing.secret_key = key
    way.mav.signing.sign_outgoing = True
    way.mav.signing.timestamp = 1
    way._parser.signing.secret_key = key


def test_pymavlink_checks_the_stand_ins_signatures() -> None:
    writer = FrameWriter(1, 1)
    writer.key = KEY
    parser = dialect.MAVLink(None)
    parser.signing.secret_key = KEY
    fields = {"seq": 4, "target_system": 1, "target_component": 1, "mission_type": 0}
    frames = [writer.frame("MISSION_REQUEST", fields) for _ in range(3)]
    assert [parser.parse_buffer(frame)[0].seq for frame in frames] == [4, 4, 4]
    spoilt = bytearray(frames[0])
    spoilt[-1] ^= 1
    fresh = dialect.MAVLink(None)
    fresh.signing.secret_key = KEY
    with pytest.raises(dialect.MAVError, match="signature"):
        fresh.parse_buffer(bytes(spoilt))


# The monitor.


def test_a_lane_that_begins_before_its_boundary_has_a_station() -> None:
    sortie = small_sortie(4)
    lane = {"route": "G75", "side": "left", "chainage_start_m": -9.0, "chainage_end_m": 170.0}
    watch = SortieMonitor(replace(sortie, details={"lanes": [lane]}))
    kind = dialect.MAVLink_global_position_int_message

    def at(east_deg: float) -> str:
        lon = round((106.7506 + east_deg) * 1e7)
        watch.take(kind(0, 296_200_000, lon, 280_000, 30_000, 0, 0, 0, 0), 1.0)
        return watch.look(1.0).station

    watch.take(dialect.MAVLink_mission_current_message(5), 1.0)
    assert at(0.00002) == "K0+000"
    # The first of three equal legs goes 58 m east and 22 m north: 58² / 62² of it, 179 m in all.
    assert at(0.0006) == "K0+043"


def test_an_upload_that_is_interrupted_is_taken_back(bench: Bench) -> None:
    def interrupt(done: int, _: int, text: str) -> None:
        if text.startswith("mission") and done == 4:
            raise KeyboardInterrupt

    with virtual_link(bench=bench) as (link, _):
        result = upload(link, small_sortie(5), progress=interrupt)
    assert not result.verified
    assert "upload failed: interrupted" in result.message
    assert MUST_NOT_ARM in result.message
    assert counts(bench) == [0, 0, 0]
