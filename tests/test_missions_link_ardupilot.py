"""The link against a real ArduCopter (FENCEWALK_ARDUCOPTER): what the stand-in's tests promise."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from link_tools import HOME, LossyProxy, small_sortie

from corridor import InputError, LonLat
from missions.link.connection import Link, LinkError, open_link
from missions.link.parameters import read_parameter, set_parameter
from missions.link.rules import FENCE, MISSION, RALLY, WireItem, differences
from missions.link.transfer import (
    Timing,
    TransferError,
    ask_capacity,
    clear_items,
    download_items,
    upload_items,
)
from missions.link.upload import MUST_NOT_ARM, UploadRefusedError, upload_sortie, wire_lists
from missions.mission import Command, Frame, MissionItem, Parameter, Sortie
from sitl.launch import ARDUPILOT, RunningVehicle, VehicleSpec, find_arducopter, running

pytestmark = pytest.mark.ardupilot

SPEEDUP = 5.0
TIMING = Timing().scaled(1.0 / SPEEDUP)
KEY = bytes(range(32))


@pytest.fixture(scope="module")
def vehicle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningVehicle]:
    try:
        find_arducopter()
    except InputError as error:
        pytest.skip(str(error))
    spec = VehicleSpec(ARDUPILOT, HOME, 250.0, 0.0, 20.0, {"CAM1_TYPE": 1.0})
    with running(spec, tmp_path_factory.mktemp("arducopter")) as process:
        with open_link(process.address) as link:
            wait_until_positioned(link)
        yield process


def wait_until_positioned(link: Link) -> None:
    link.wait_for_vehicle(60.0)
    end = time.monotonic() + 120.0
    while time.monotonic() < end:
        link.send("request_data_stream", link.system, link.component, 0, 4, 1)
        if link.wait_for("EKF_STATUS_REPORT", 2.0, lambda m: m.flags & 16) is not None:
            break
    assert set_parameter(link, "SIM_SPEEDUP", SPEEDUP) == SPEEDUP


def port(vehicle: RunningVehicle) -> int:
    return int(vehicle.address.rsplit(":", 1)[1])


def on_board(vehicle: RunningVehicle, sortie: Sortie) -> bool:
    lists = wire_lists(sortie)
    with open_link(vehicle.address) as link:
        link.wait_for_vehicle()
        return all(
            not differences(lists[kind], download_items(link, kind, TIMING), kind)
            for kind in (MISSION, FENCE, RALLY)
        )


def test_a_good_link(vehicle: RunningVehicle) -> None:
    recommended = (
        Parameter("RTL_ALT", 3600.0, "hills", "RTL_ALT_M", 36.0),
        Parameter("NO_SUCH_NAME", 1.0, "a name of another firmware"),
    )
    sortie = replace(small_sortie(), parameters=recommended)
    with open_link(vehicle.address) as link:
        link.wait_for_vehicle()
        result = upload_sortie(link, sortie, timing=TIMING)
        assert result.verified, result.message
        assert result.vehicle["is_stand_in"] is False
        assert [p.agrees for p in result.parameters] == [True, False]
        assert read_parameter(link, result.parameters[0].name) == result.parameters[0].wanted
    assert on_board(vehicle, sortie)


def test_what_is_kept_of_every_kind_of_item(vehicle: RunningVehicle) -> None:
    """The items of protocol.md, in one mission, compared by the rules."""
    place = LonLat(106.7506, 29.6202)
    at = {"position": place, "altitude_m": 40.126}
    home = {"frame": Frame.ABOVE_HOME}
    items = [
        small_sortie().mission.all_items[0],
        MissionItem(Command.TAKEOFF, **home, **at),  # type: ignore[arg-type]
        MissionItem(16, **home, p1=2.6, p2=5.0, p3=3.0, p4=90.0, **at),  # type: ignore[arg-type]
        MissionItem(16, 10, **at),  # type: ignore[arg-type]
        MissionItem(16, 0, position=place, altitude_m=290.555),
        MissionItem(82, **home, p1=1.0, **at),  # type: ignore[arg-type]
        MissionItem(18, **home, p1=2.0, p3=30.0, **at),  # type: ignore[arg-type]
        MissionItem(19, **home, p1=7.5, **at),  # type: ignore[arg-type]
        MissionItem(178, p1=1.0, p2=8.25, p3=-1.0),
        MissionItem(206, p1=12.345, p3=1.0),
        MissionItem(205, p1=-60.5, p3=30.25, altitude_m=2.0),
        MissionItem(1000, p1=-60.5, p2=30.25),
        MissionItem(115, p1=123.4, p2=20.0, p3=1.0),
        MissionItem(195, **home, position=place, altitude_m=12.34),  # type: ignore[arg-type]
        MissionItem(197),
        MissionItem(93, p1=12.7, p2=-1.0, p3=-1.0, p4=-1.0),
        MissionItem(206),
        MissionItem(20),
    ]
    sent = [WireItem.of(item) for item in items]
    with open_link(vehicle.address) as link:
        link.wait_for_vehicle()
        clear_items(link, MISSION, TIMING)
        assert upload_items(link, sent, MISSION, TIMING)
        found = download_items(link, MISSION, TIMING)
        clear_items(link, MISSION, TIMING)
    assert [str(d) for d in differences(sent, found, MISSION)] == []


@pytest.mark.parametrize("seed", range(4))
def test_thirty_percent_loss(vehicle: RunningVehicle, seed: int) -> None:
    sortie = small_sortie(3 + seed)
    proxy = LossyProxy(port(vehicle), 0.3, 0.1, 0.3, delay_s=2.0 / SPEEDUP, seed=seed)
    with proxy, open_link(proxy.address) as link:
        link.keep_alive()
        link.wait_for_vehicle()
        result = upload_sortie(link, sortie, force="test", timing=TIMING, ready_wait_s=0.4)
        proxy.drain()
    assert proxy.lost > 0
    if result.verified:
        assert on_board(vehicle, sortie)
    else:
        assert MUST_NOT_ARM in result.message


@pytest.mark.parametrize("cut_after", [300, 900])
def test_a_cut_in_the_middle_is_reported(vehicle: RunningVehicle, cut_after: int) -> None:
    proxy = LossyProxy(port(vehicle), cut_after=cut_after, seed=3)
    with proxy, open_link(proxy.address) as link:
        link.keep_alive()
        link.wait_for_vehicle()
        result = upload_sortie(link, small_sortie(5), force="t", timing=TIMING, ready_wait_s=0.2)
    assert not result.verified
    assert MUST_NOT_ARM in result.message
    assert "COULD NOT BE CLEARED" in result.message


def test_a_refused_list_is_said_and_cleared(vehicle: RunningVehicle) -> None:
    sortie = small_sortie(4)
    with open_link(vehicle.address) as link:
        link.wait_for_vehicle()
        assert [ask_capacity(link, kind, TIMING) for kind in (0, 1, 2)] == [650, 70, 46]
        many = replace(sortie, rally=sortie.rally * 47)
        with pytest.raises(UploadRefusedError, match="at most 46"):
            upload_sortie(link, many, timing=TIMING)
        result = upload_sortie(link, many, force="test", timing=TIMING)
        assert not result.verified
        assert "items are supported" in result.message
        assert "were cleared" in result.message
        assert [len(download_items(link, kind, TIMING)) for kind in (0, 1, 2)] == [0, 0, 0]


def test_a_second_station_is_denied(vehicle: RunningVehicle) -> None:
    with open_link(vehicle.address) as link, second_link(vehicle, 254) as other:
        link.wait_for_vehicle()
        other.wait_for_vehicle()
        other.send("mission_count", other.system, other.component, 9, 0)
        assert other.wait_for(("MISSION_REQUEST", "MISSION_REQUEST_INT"), 5.0) is not None
        with pytest.raises(TransferError, match=r"did not empty|another station"):
            # Less patience than the 8 s after which the vehicle gives the other one up.
            clear_items(link, MISSION, replace(TIMING, patience_s=0.3, denied_s=0.3, answer_s=0.1))
        assert upload_sortie(link, small_sortie(4), timing=TIMING).verified


def second_link(vehicle: RunningVehicle, system: int, key: Path | None = None) -> Link:
    """Over the vehicle's second serial port, two TCP ports up."""
    return open_link(f"tcp:127.0.0.1:{port(vehicle) + 2}", key, system=system)


def test_an_armed_or_distant_vehicle_is_refused(vehicle: RunningVehicle) -> None:
    sortie = small_sortie()
    far = replace(sortie, mission=replace(sortie.mission, home=LonLat(106.76, 29.62)))
    with open_link(vehicle.address) as link:
        link.wait_for_vehicle()
        with pytest.raises(UploadRefusedError, match="from the sortie's start"):
            upload_sortie(link, far, timing=TIMING)
        end = time.monotonic() + 60
        link.command(176, 1, 4)
        while link.command(400, 1) != 0 and time.monotonic() < end:
            time.sleep(0.5)
        assert link.wait_for("HEARTBEAT", 5, lambda m: m.base_mode & 128) is not None
        with pytest.raises(UploadRefusedError, match="armed"):
            upload_sortie(link, sortie, timing=TIMING)
        link.command(400, 0, 21196)


def test_a_signed_link(vehicle: RunningVehicle, tmp_path: Path) -> None:
    """ArduPilot wants signatures on every link but the first, once it has a key."""
    key = tmp_path / "key"
    key.write_text(KEY.hex())
    sortie = small_sortie(3)
    with open_link(vehicle.address) as link:
        link.wait_for_vehicle()
        link.send("setup_signing", link.system, link.component, tuple(KEY), 1)
        try:
            with second_link(vehicle, 255, key) as signed:
                signed.wait_for_vehicle()
                result = upload_sortie(signed, sortie, force="test", timing=TIMING)
                assert result.verified, result.message
            with second_link(vehicle, 255) as unsigned:
                unsigned.wait_for_vehicle()
                quick = replace(TIMING, patience_s=0.5)
                other = upload_sortie(unsigned, small_sortie(2), force="test", timing=quick)
                assert not other.verified
        finally:
            link.send("setup_signing", link.system, link.component, (0,) * 32, 0)
            time.sleep(0.5)
    assert on_board(vehicle, sortie)


def test_a_vehicle_that_reboots_in_the_middle(vehicle: RunningVehicle) -> None:
    """Last, as it takes the vehicle's position away for a while."""
    sortie = small_sortie(5)
    proxy = LossyProxy(port(vehicle))
    with proxy, open_link(proxy.address) as link:
        link.keep_alive()
        link.wait_for_vehicle()
        boots = []

        def reboot(done: int, _: int, text: str) -> None:
            if not boots and text.startswith("mission") and done == 4:
                boots.append(done)
                link.send("command_long", link.system, link.component, 246, 0, 1, 0, 0, 0, 0, 0, 0)

        try:
            result = upload_sortie(link, sortie, force="t", progress=reboot, ready_wait_s=0.4)
        except LinkError as error:
            pytest.fail(f"an upload that was begun must end with a result: {error}")
    assert boots
    if result.verified:
        assert on_board(vehicle, sortie)
    else:
        assert MUST_NOT_ARM in result.message
