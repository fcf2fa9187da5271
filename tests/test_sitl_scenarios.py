"""Scenarios from start to report on real processes, and what verifies them."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from link_tools import HOME, small_sortie
from virtual_link import ready_bench, virtual_link

from corridor import InputError, LonLat
from fencewalk.commands.fly import fly
from missions.formats import write_qgc_plan, write_waypoints
from missions.link.connection import open_link
from missions.link.options import read_sortie_of
from missions.link.parameters import read_parameter
from missions.link.upload import UploadRefusedError
from missions.mission import Command
from sitl.expected import expected_photos
from sitl.flight import _must_be_simulated
from sitl.launch import ARDUPILOT, CONNECTION, VehicleSpec, find_arducopter, running
from sitl.resume import rest_of
from sitl.scenario import Scenario, read_scenario, scenario_names
from sitl.scenario_setup import fit_sortie
from sitl.session import FlightOptions, Outcome, fly_scenario, write_junit


def arducopter() -> Path:
    try:
        return find_arducopter()
    except InputError as error:
        pytest.skip(str(error))


def test_every_scenario_reads_and_names_what_must_hold() -> None:
    names = scenario_names()
    assert names[0] == "nominal"
    assert {"wind", "gust", "battery_low", "fence_breach", "gps_loss", "rc_loss"} <= set(names)
    assert {"rc_loss_continue", "link_loss", "camera_stops", "battery_change"} <= set(names)
    for name in names:
        scenario = read_scenario(name)
        assert scenario.name == name
        assert scenario.expect.modes[0] == "AUTO"


def test_a_wrong_scenario_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'gps_loss'"):
        read_scenario("gps_los")
    path = tmp_path / "s.toml"
    path.write_text('name = "x"\ndescription = "y"\nwinds = 3\n')
    with pytest.raises(InputError, match="winds"):
        read_scenario(path)
    path.write_text("name = ")
    with pytest.raises(InputError, match="no TOML"):
        read_scenario(path)


def test_the_rest_of_a_mission_sends_speed_and_trigger_again() -> None:
    mission = small_sortie(4).mission
    rest, numbers = rest_of(mission, 6)
    commands = [item.command for item in rest.items]
    assert commands == [22, 178, 16, 206, 16, 206, 20]
    assert rest.items[3].p1 == 10.0
    assert rest.items[2] == mission.all_items[6]
    assert numbers == {3: 6, 5: 7, 6: 8, 7: 9}
    with pytest.raises(ValueError, match="no waypoint"):
        rest_of(mission, 2)


def test_expected_photos_follow_from_the_lane() -> None:
    fewest, most = expected_photos(small_sortie(4).mission)
    # Three legs of some 62 m each at 10 m, and the one at once.
    assert fewest <= 19 <= most
    off = [i for i in small_sortie(4).mission.items if i.command != Command.DO_SET_CAM_TRIGG_DIST]
    assert expected_photos(small_sortie(4).mission.with_items(tuple(off))) == (0, 0)


def test_the_tight_fence_is_one_the_mission_leaves() -> None:
    sortie = small_sortie(8)
    fitted = fit_sortie(sortie, read_scenario("fence_breach"))
    box = fitted.geofence.polygons[0].lonlat
    last = sortie.mission.items[-3].position
    assert last is not None
    assert box[:, 0].min() < HOME.lon_deg < box[:, 0].max()
    assert last.lon_deg > box[:, 0].max()


@pytest.fixture(scope="module")
def flown(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    out = tmp_path_factory.mktemp("flight")
    return fly_scenario(small_sortie(6), read_scenario("nominal"), FlightOptions(), out)


def test_a_nominal_flight_passes_and_leaves_its_files(flown: Outcome) -> None:
    assert flown.passed, [(c.name, c.text) for c in flown.checks if c.passed is False]
    summary = json.loads((flown.folder / "summary.json").read_text())
    assert summary["flown_by_stand_in"] is True
    assert summary["photos"] == len(flown.result.recording.photos)  # type: ignore[union-attr]
    header = (flown.folder / "photos.csv").read_text().splitlines()[0]
    assert header == (
        "img_idx,lat_deg,lon_deg,alt_msl_m,alt_rel_m,roll_deg,pitch_deg,yaw_deg,time_boot_ms"
    )
    report = (flown.folder / "report.html").read_text()
    assert "Flown by the stand-in, not by ArduPilot" in report
    assert "<svg" in report
    assert "http" not in report
    assert json.loads((flown.folder / "upload.json").read_text())["verified"] is True


def test_the_log_is_read_by_pymavlink(flown: Outcome) -> None:
    from pymavlink import mavutil

    log = mavutil.mavlink_connection(str(flown.folder / "flight.tlog"))
    photos = 0
    while (message := log.recv_match(type="CAMERA_FEEDBACK")) is not None:
        photos = message.img_idx
    log.close()
    assert photos == len(flown.result.recording.photos)  # type: ignore[union-attr]


def test_verification_finds_what_is_wrong(flown: Outcome) -> None:
    from sitl.verify import verify_flight

    result = flown.result
    assert result is not None
    calm = read_scenario("nominal")

    def failed(**changed: object) -> set[str]:
        recording = replace(result.recording, **changed)  # type: ignore[arg-type]
        other = replace(result, recording=recording)
        return {c.name for c in verify_flight(other, calm).checks if c.passed is False}

    assert failed() == set()
    assert "photos" in failed(photos=result.recording.photos[:-4])
    assert "photos" in failed(photos=[p for i, p in enumerate(result.recording.photos) if i != 3])
    shifted = [(r[0], r[1] + 0.0003, *r[2:]) for r in result.recording.track]
    assert {"path", "items", "landing"} <= failed(track=shifted)
    high = [(*r[:4], r[4] + 5.0, *r[5:]) for r in result.recording.track]
    assert "path" in failed(track=high)
    events = [e for e in result.recording.events if e.text != "Reached command #6"]
    assert "items" in failed(events=events)
    breach = replace(events[-1], kind="TEXT", text="Circle fence breached")
    assert "fence" in failed(events=[*result.recording.events, breach])


SAMPLE = Path(__file__).parents[1] / "examples" / "ci" / "sample.plan"


@pytest.mark.parametrize("name", scenario_names())
def test_every_scenario_flies_as_it_must(name: str, tmp_path: Path) -> None:
    sortie = read_sortie_of(SAMPLE, None)
    outcome = fly_scenario(sortie, read_scenario(name), FlightOptions(), tmp_path)
    assert outcome.passed, [(c.name, c.text) for c in outcome.checks if c.passed is False]


def test_the_command_flies_a_bare_mission_file_and_says_its_verdict(tmp_path: Path) -> None:
    path = tmp_path / "bare.waypoints"
    write_waypoints(path, small_sortie(3).mission)
    arguments = [str(path), "--out", str(tmp_path / "f"), "--json"]
    junit = tmp_path / "j.xml"
    result = CliRunner().invoke(fly, [*arguments, "--junit", str(junit)], standalone_mode=False)
    assert result.return_value == 0, result.output
    assert json.loads(result.output)[0]["passed"] is True
    suite = ET.parse(junit).getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("1", "0")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--vehicle", "quadcopter"], "is no vehicle"),
        (["--vehicle", "udpin:0.0.0.0:port"], "no port number"),
        (["--vehicle", "tcp:127.0.0.1:5760", "--all-scenarios"], "started for it"),
        (["--vehicle", "tcp:127.0.0.1:5760", "--scenario", "battery_change"], "battery of a"),
        (["--scenario", "storm"], "there is no scenario"),
        (["--wind", "strong"], "is no wind"),
        (["--speedup", "-3"], "no speed-up"),
        (["--vehicle", "ardupilot", "--arducopter", "/nowhere"], "is no arducopter"),
    ],
)
def test_wrong_options_are_said(arguments: list[str], said: str, tmp_path: Path) -> None:
    path = tmp_path / "m.waypoints"
    write_waypoints(path, small_sortie(3).mission)
    result = CliRunner().invoke(fly, [str(path), "--out", str(tmp_path / "f"), *arguments])
    assert isinstance(result.exception, InputError)
    assert said in str(result.exception)


def test_a_simulated_vehicle_that_runs_already_is_flown_and_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "m.plan"
    write_qgc_plan(path, small_sortie(3))
    spec = VehicleSpec("stand-in", HOME, 250.0, 0.0, 60.0, {"CAM1_TYPE": 1})
    with running(spec, tmp_path / "vehicle") as vehicle, open_link(vehicle.address) as first:
        first.wait_for_vehicle()  # keeps the vehicle going
        arguments = ["--vehicle", vehicle.address, "--out", str(tmp_path / "f"), "--wind", "3,90"]
        result = CliRunner().invoke(fly, [str(path), *arguments, "--json"], standalone_mode=False)
        assert result.return_value == 0, result.output
        summary = json.loads((tmp_path / "f" / "summary.json").read_text())
        assert summary["flown_by_stand_in"] is True
        assert "SIM_WIND_SPD=3" in summary["params_set"]
        with open_link(vehicle.address) as link:
            link.wait_for_vehicle()
            assert read_parameter(link, "SIM_SPEEDUP") == 60.0
            assert read_parameter(link, "SIM_WIND_SPD") == 0.0
        far = replace(small_sortie(3), mission=replace(small_sortie(3).mission, home=LonLat(0, 0)))
        options = FlightOptions(CONNECTION, address=vehicle.address)
        with pytest.raises(UploadRefusedError, match="from the sortie's start"):
            fly_scenario(far, read_scenario("nominal"), options, tmp_path / "g")


@pytest.mark.parametrize("answers", [False, True])
def test_a_vehicle_that_is_not_known_to_be_simulated_is_not_touched(answers: bool) -> None:
    """An aircraft has no SIM_… parameters; one that had them would still send no SIMSTATE."""
    bench = ready_bench()
    with virtual_link(bench=bench) as (link, way):
        if not answers:
            bench.vehicle.parameters.values.pop("SIM_SPEEDUP")
        link.wait_for_vehicle()
        heard: list[int] = []
        way.on_frame_up = lambda data: heard.append(data[7])
        way.spoil = lambda data: b"" if data[7] == 164 else data
        with pytest.raises(InputError, match="not known to be simulated"):
            _must_be_simulated(link, {"is_stand_in": False})
    # Heartbeats, a parameter asked for, a message asked for: nothing that changes anything.
    assert set(heard) <= {0, 20, 76}


def test_a_source_tree_is_taken_where_a_simulator_is_built_in_it(tmp_path: Path) -> None:
    script = tmp_path / "Tools" / "autotest" / "sim_vehicle.py"
    script.parent.mkdir(parents=True)
    script.touch()
    for given in (tmp_path, script):
        with pytest.raises(InputError, match=r"waf configure --board sitl"):
            find_arducopter(given)
    program = tmp_path / "build" / "sitl" / "bin" / "arducopter"
    program.parent.mkdir(parents=True)
    program.touch(mode=0o755)
    for given in (tmp_path, script, program):
        assert find_arducopter(given) == program.resolve()


def test_junit_names_what_failed(tmp_path: Path) -> None:
    scenario = Scenario(name="a<b", description="")
    write_junit(tmp_path / "j.xml", [Outcome(scenario, tmp_path, failure="no & vehicle")], "x")
    case = ET.parse(tmp_path / "j.xml").getroot()[0]
    assert case.get("name") == "a<b"
    failure = case.find("failure")
    assert failure is not None
    assert failure.get("message") == "no & vehicle"


def test_a_vehicle_does_not_outlive_whoever_started_it(tmp_path: Path) -> None:
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from corridor import LonLat\n"
        "from sitl.launch import VehicleSpec, start\n"
        "vehicle = start(VehicleSpec('stand-in', LonLat(0, 0), 0.0), Path(sys.argv[1]))\n"
        "print(vehicle.process.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait(10)
    parent.stdout.close()
    end = time.monotonic() + 10
    while time.monotonic() < end and _alive(pid):
        time.sleep(0.05)
    assert not _alive(pid)


def _alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_two_vehicles_have_ports_of_their_own(tmp_path: Path) -> None:
    spec = VehicleSpec("stand-in", HOME, 0.0)
    with running(spec, tmp_path / "a") as first, running(spec, tmp_path / "b") as second:
        assert first.address != second.address
        for vehicle in (first, second):
            port = int(vehicle.address.rsplit(":", 1)[1])
            with socket.create_connection(("127.0.0.1", port), 5) as link:
                assert link.recv(1) == b"\xfd"
    assert first.process.poll() is not None


@pytest.mark.ardupilot
@pytest.mark.parametrize("name", scenario_names())
def test_the_same_on_a_real_arducopter(name: str, tmp_path: Path) -> None:
    arducopter()
    sortie = read_sortie_of(SAMPLE, None)
    options = FlightOptions(ARDUPILOT, speedup=20.0)
    outcome = fly_scenario(sortie, read_scenario(name), options, tmp_path)
    assert outcome.result is not None
    assert not outcome.result.is_stand_in
    assert outcome.passed, [(c.name, c.text) for c in outcome.checks if c.passed is False]
