"""Uploads over good and bad links: verified means equal, and a failure is never silent."""

import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from link_tools import LossyProxy, serving, small_sortie

from corridor import InputError, LonLat
from missions.link.connection import open_link
from missions.link.download import download_sortie, write_download
from missions.link.parameters import read_parameter, set_parameter
from missions.link.rules import FENCE, MISSION, RALLY, differences
from missions.link.transfer import (
    Timing,
    TransferError,
    ask_capacity,
    clear_items,
    upload_items,
)
from missions.link.upload import MUST_NOT_ARM, UploadRefusedError, upload_sortie, wire_lists
from missions.mission import Parameter, Sortie
from sitl.stand_in.server import Server

SPEEDUP = 40.0
TIMING = Timing().scaled(1.5 / SPEEDUP)


@pytest.fixture(scope="module")
def vehicle() -> Iterator[tuple[Server, int]]:
    with serving(speedup=SPEEDUP) as (server, port):
        with open_link(f"tcp:127.0.0.1:{port}") as link:
            link.wait_for_vehicle()
            assert link.wait_for("STATUSTEXT", 30, lambda m: "using GPS" in m.text)
        yield server, port


def on_board(server: Server, sortie: Sortie) -> bool:
    stores = {kind: protocol.store for kind, protocol in server.vehicle.protocols.items()}
    return all(
        not differences(items, stores[kind].items, kind)
        for kind, items in wire_lists(sortie).items()
    )


def test_a_good_link(vehicle: tuple[Server, int], tmp_path: Path) -> None:
    server, port = vehicle
    sortie = replace(
        small_sortie(),
        parameters=(
            Parameter("RTL_ALT", 3600.0, "hills", "RTL_ALT_M", 36.0),
            Parameter("NO_SUCH_NAME", 1.0, "a name of another firmware"),
        ),
    )
    with open_link(f"tcp:127.0.0.1:{port}") as link:
        link.wait_for_vehicle()
        audited = upload_sortie(link, sortie, audit=True, timing=TIMING)
        assert [p.agrees for p in audited.parameters] == [False, False]
        assert read_parameter(link, "RTL_ALT") == 1500.0
        result = upload_sortie(link, sortie, timing=TIMING)
        assert read_parameter(link, "RTL_ALT") == 3600.0
        set_parameter(link, "RTL_ALT", 1500.0)
    assert result.verified
    assert on_board(server, sortie)
    assert [p.agrees for p in result.parameters] == [True, False]
    result.write(tmp_path / "record.json")
    record = json.loads((tmp_path / "record.json").read_text())
    assert record["vehicle"]["is_stand_in"] is True
    assert len(record["checksums"]["mission"]) == 64


def test_what_is_on_board_is_downloaded(vehicle: tuple[Server, int], tmp_path: Path) -> None:
    _, port = vehicle
    sortie = small_sortie(6)
    with open_link(f"tcp:127.0.0.1:{port}") as link:
        link.wait_for_vehicle()
        assert upload_sortie(link, sortie, timing=TIMING).verified
        downloaded = download_sortie(link, timing=TIMING)
    assert len(downloaded.sortie.mission.items) == len(sortie.mission.items)
    assert downloaded.sortie.geofence == sortie.geofence
    assert downloaded.sortie.rally[0].altitude_above_home_m == 40.0
    assert all(path.is_file() for path in write_download(downloaded, tmp_path))


@pytest.mark.parametrize("seed", range(6))
def test_thirty_percent_loss(vehicle: tuple[Server, int], seed: int) -> None:
    server, port = vehicle
    sortie = small_sortie(3 + seed)
    proxy = LossyProxy(port, 0.3, 0.1, 0.3, delay_s=2.0 / SPEEDUP, seed=seed)
    with proxy, open_link(proxy.address) as link:
        link.keep_alive()
        link.wait_for_vehicle()
        result = upload_sortie(link, sortie, force="test", timing=TIMING, ready_wait_s=0.4)
    assert proxy.lost > 0
    if result.verified:
        assert on_board(server, sortie)
    else:
        assert MUST_NOT_ARM in result.message


@pytest.mark.parametrize("cut_after", [150, 400, 700, 1000])
def test_a_cut_in_the_middle_is_reported(vehicle: tuple[Server, int], cut_after: int) -> None:
    _, port = vehicle
    with open_link(f"tcp:127.0.0.1:{port}") as link:
        link.wait_for_vehicle()
        assert upload_sortie(link, small_sortie(8), timing=TIMING).verified
    sortie = small_sortie(5)
    quick = replace(TIMING, patience_s=TIMING.patience_s / 3.0)
    proxy = LossyProxy(port, cut_after=cut_after, seed=3)
    with proxy, open_link(proxy.address) as link:
        link.keep_alive()
        link.wait_for_vehicle()
        result = upload_sortie(link, sortie, force="test", timing=quick, ready_wait_s=0.2)
    assert not result.verified
    assert MUST_NOT_ARM in result.message
    assert "COULD NOT BE CLEARED" in result.message


def test_a_link_that_mends_after_the_failure_clears_the_mixture(
    vehicle: tuple[Server, int],
) -> None:
    server, port = vehicle
    sortie = small_sortie(5)
    with open_link(f"tcp:127.0.0.1:{port}") as link:
        link.wait_for_vehicle()
        wrong = wire_lists(sortie)[MISSION]
        wrong[3] = replace(wrong[3], frame=1)
        with pytest.raises(TransferError, match="frame not supported"):
            upload_items(link, wrong, MISSION, TIMING)
        clear_items(link, MISSION, TIMING)
    assert server.vehicle.mission_store.items == []


def test_what_the_vehicle_has_no_room_for_is_refused_before_anything_changes(
    vehicle: tuple[Server, int],
) -> None:
    server, port = vehicle
    sortie = small_sortie(4)
    with open_link(f"tcp:127.0.0.1:{port}") as link:
        link.wait_for_vehicle()
        assert upload_sortie(link, sortie, timing=TIMING).verified
        assert [ask_capacity(link, kind, TIMING) for kind in (0, 1, 2)] == [650, 70, 46]
        with pytest.raises(UploadRefusedError, match="47 items, the vehicle holds at most 46"):
            upload_sortie(link, replace(sortie, rally=sortie.rally * 47), timing=TIMING)
        assert on_board(server, sortie)
        result = upload_sortie(
            link, replace(sortie, rally=sortie.rally * 47), force="try", timing=TIMING
        )
    assert not result.verified
    assert "Only 46 items are supported" in result.message
    assert "were cleared" in result.message
    assert [len(protocol.store) for protocol in server.vehicle.protocols.values()] == [0, 0, 0]


def test_what_the_vehicle_keeps_wrongly_is_found(
    vehicle: tuple[Server, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, port = vehicle
    store = server.vehicle.mission_store
    put = store.put
    monkeypatch.setattr(
        store, "put", lambda n, item: put(n, replace(item, z=item.z + 20) if n == 3 else item)
    )
    with open_link(f"tcp:127.0.0.1:{port}") as link:
        link.wait_for_vehicle()
        result = upload_sortie(link, small_sortie(), timing=TIMING)
    assert not result.verified
    assert [(d.sequence, d.field) for d in result.differences] == [(3, "z")]
    assert MUST_NOT_ARM in result.message
    assert store.items == []


def test_over_udp() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        place = probe.getsockname()
    sortie = small_sortie(3)
    with serving(speedup=SPEEDUP, udp=place) as (server, port):
        with (
            open_link(f"udpin:127.0.0.1:{place[1]}") as link,
            open_link(f"tcp:127.0.0.1:{port}") as other,
        ):
            link.wait_for_vehicle()
            other.wait_for_vehicle()  # several clients, on either kind of link
            assert link.wait_for("STATUSTEXT", 30, lambda m: "using GPS" in m.text)
            assert upload_sortie(link, sortie, timing=TIMING).verified
        assert on_board(server, sortie)


def test_an_armed_or_distant_vehicle_is_refused(vehicle: tuple[Server, int]) -> None:
    server, port = vehicle
    sortie = small_sortie()
    far = replace(sortie, mission=replace(sortie.mission, home=LonLat(106.76, 29.62)))
    before = list(server.vehicle.mission_store.items)
    with open_link(f"tcp:127.0.0.1:{port}") as link:
        link.wait_for_vehicle()
        with pytest.raises(UploadRefusedError, match="from the sortie's start"):
            upload_sortie(link, far, timing=TIMING)
        assert server.vehicle.mission_store.items == before
        forced = upload_sortie(link, far, force="moved on purpose", timing=TIMING)
        assert forced.verified
        assert "moved on purpose" in forced.forced
        link.command(176, 1, 4)
        assert link.command(400, 1) == 0
        link.wait_for("HEARTBEAT", 5, lambda m: m.base_mode & 128)
        with pytest.raises(UploadRefusedError, match="armed"):
            upload_sortie(link, sortie, timing=TIMING)
        link.command(400, 0)


@pytest.mark.parametrize(
    "address", ["bogus", "tcp:localhost", "udpin:0.0.0.0:port", "/dev/ttyUSB0,fast", "ftp:a:1"]
)
def test_addresses_that_are_none(address: str) -> None:
    with pytest.raises(InputError, match="--connect"):
        open_link(address)


def test_a_signing_key_is_read_from_a_file_or_refused(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("zz")
    with pytest.raises(InputError, match="signing key"):
        open_link("udpout:127.0.0.1:1", key)
    with pytest.raises(InputError, match="cannot be read"):
        open_link("udpout:127.0.0.1:1", tmp_path / "none")
    key.write_text("ab" * 32)
    with open_link("udpout:127.0.0.1:1", key) as link:
        assert link.mav.signing.secret_key == bytes.fromhex("ab" * 32)


def test_the_three_lists_are_kept_apart() -> None:
    lists = wire_lists(small_sortie(4))
    assert [len(lists[kind]) for kind in (MISSION, FENCE, RALLY)] == [10, 4, 1]


def test_a_vehicle_that_reboots_ends_its_tcp_connection_and_is_cleared_all_the_same() -> None:
    with serving(speedup=SPEEDUP) as (server, port):
        with open_link(f"tcp:127.0.0.1:{port}") as link:
            link.wait_for_vehicle()
            assert link.wait_for("STATUSTEXT", 30, lambda m: "using GPS" in m.text)
        with open_link(f"tcp:127.0.0.1:{port}") as link:
            link.wait_for_vehicle()
            boots = []

            def reboot(done: int, _: int, text: str) -> None:
                if not boots and text.startswith("mission") and done == 4:
                    boots.append(server.vehicle)
                    link.send("command_long", link.system, 1, 246, 0, 1, 0, 0, 0, 0, 0, 0)

            patient = replace(TIMING, patience_s=1.0)
            result = upload_sortie(link, small_sortie(6), timing=patient, progress=reboot)
        assert boots
        assert server.vehicle is not boots[0]
        assert not result.verified
        assert "were cleared" in result.message
        assert [len(protocol.store) for protocol in server.vehicle.protocols.values()] == [0, 0, 0]
