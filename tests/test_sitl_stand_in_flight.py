"""The stand-in in the air: path, physics, modes, failsafes, camera, frames."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from link_tools import HOME, Bench, small_sortie
from pymavlink.dialects.v20 import ardupilotmega as dialect

from corridor import InputError, LonLat
from missions.link.gimbal import gimbal_angles
from missions.mission import Command, MissionItem
from sitl.stand_in import airframe as a
from sitl.stand_in.parameters import Parameters
from sitl.stand_in.path import LEG_SIZE, T_END, leg_at, plan_leg, plan_speed_change
from sitl.stand_in.program import main
from sitl.stand_in.telemetry import STREAMS, Telemetry
from sitl.stand_in.wire import FrameWriter, checksum

JERK, SNAP = 1.0, math.pi / 0.6


@settings(deadline=None, max_examples=60)
@given(st.floats(0.5, 2000), st.floats(0.5, 20), st.floats(-60, 60), st.floats(0.2, 5))
def test_a_leg_keeps_its_limits_and_ends_at_rest_where_it_should(
    length: float, speed: float, up: float, accel: float
) -> None:
    leg = np.zeros(LEG_SIZE)
    plan_leg(leg, np.zeros(3), np.array([length, 0.0, up]), 0.0, speed, 2.5, 1.5, accel, 1.0,
             JERK, SNAP)  # fmt: skip
    times = np.linspace(0.0, leg[T_END], 400)
    x, v, acc = np.array([leg_at(leg, t) for t in times]).T
    distance = math.hypot(length, up)
    flat, steep = length / distance, up / distance
    assert x[0] == pytest.approx(0.0, abs=1e-6)
    assert x[-1] == pytest.approx(distance, abs=1e-6)
    assert v[-1] == pytest.approx(0.0, abs=1e-6)
    assert (np.diff(x) > -1e-9).all()
    assert (v * flat).max() <= speed + 1e-6
    assert (v * steep).max() <= 2.5 + 1e-6
    assert (-v * steep).max() <= 1.5 + 1e-6
    assert np.abs(acc * flat).max() <= accel + 1e-6
    step = times[1] - times[0]
    assert np.abs(np.diff(acc)).max() <= JERK * step + 1e-6
    # Speed is the derivative of the distance: the trapezoid's error is at most jerk × step³ / 12.
    gap = np.abs(np.diff(x) - 0.5 * (v[1:] + v[:-1]) * step)
    assert gap.max() <= JERK * step**3 / 12.0 + 1e-6


def test_a_speed_change_without_limits_of_room_reaches_its_speed() -> None:
    end, accel, *_, duration, distance = plan_speed_change(0.0, 8.0, 2.5, 1.0, SNAP, 1e9)
    assert end == pytest.approx(8.0)
    assert accel <= 2.5
    # Symmetric ramps: the mean speed is half the final one.
    assert distance == pytest.approx(4.0 * duration)


def test_checksums_are_pymavlinks() -> None:
    for data in (b"", b"a", bytes(range(256))):
        assert checksum(data) == dialect.x25crc(data).crc


@pytest.fixture(scope="module")
def flying() -> Bench:
    bench = Bench(FENCE_ENABLE=1)
    bench.upload(list(small_sortie().mission.all_items))
    bench.start()
    bench.run(12.0)
    return bench


@pytest.mark.parametrize("name", sorted({n for names in STREAMS.values() for n in names}))
def test_every_stream_message_is_read_by_pymavlink(flying: Bench, name: str) -> None:
    fields = Telemetry(flying.vehicle).fields(name)
    if fields is None:
        assert name in ("POSITION_TARGET_GLOBAL_INT", "GIMBAL_DEVICE_ATTITUDE_STATUS")
        return
    frame = FrameWriter(1, 1).frame(name, fields)
    message = dialect.MAVLink(None).parse_buffer(frame)[0]
    assert message.get_type() == name
    for field, value in fields.items():
        if isinstance(value, int) and field in message.fieldnames:
            assert getattr(message, field) == value


def test_it_says_that_it_is_no_ardupilot() -> None:
    bench = Bench()
    bench.run(3.0)
    assert any("not ArduPilot" in text for text in bench.texts())
    answers = bench.say("command_long", 1, 1, 512, 0, 148, 0, 0, 0, 0, 0, 0)
    version = next(m for m in answers if m.get_type() == "AUTOPILOT_VERSION")
    assert bytes(version.flight_custom_version) == b"STAND-IN"


def test_a_mission_is_flown_in_order_with_its_photos_and_ends_at_home() -> None:
    bench = Bench()
    sortie = small_sortie(4)
    bench.upload(list(sortie.mission.all_items))
    bench.start()
    bench.run(400.0, lambda: not bench.vehicle.armed)
    reached = [text for text in bench.texts() if text.startswith("Reached command")]
    assert reached == [f"Reached command #{n}" for n in (3, 5, 6, 7)]
    photos = [(m.lat, m.lng) for m in bench.of("CAMERA_FEEDBACK")]
    assert [m.img_idx for m in bench.of("CAMERA_FEEDBACK")] == list(range(1, len(photos) + 1))
    xy = np.array([((lng - 1_067_500_000) * 0.0096772, (lat - 296_200_000) * 0.011132)
                   for lat, lng in photos])  # fmt: skip
    gaps = np.hypot(*np.diff(xy, axis=0).T)
    # Ten metres, and what is flown between two looks of the camera (50 a second at 8 m/s).
    assert gaps.min() >= 9.9
    assert gaps.max() <= 10.25
    assert np.hypot(*bench.vehicle.craft.position[:2]) < 0.5
    assert bench.of("MISSION_ITEM_REACHED")[0].seq == 2, "the DO command overwrites the take-off"


def test_hover_and_cruise_take_the_power_of_the_reference_airframe() -> None:
    assert pytest.approx(0.174, abs=0.002) == a.BODY_DRAG_AREA_M2
    bench = Bench()
    items = list(small_sortie(1).mission.all_items)
    far = LonLat(HOME.lon_deg + 0.008, HOME.lat_deg)
    bench.upload([replace(i, position=far) if i.command == 16 else i for i in items])
    bench.start()
    bench.run(60.0)
    state = bench.vehicle.craft.state
    assert math.hypot(*state[a.VEL : a.VEL + 2]) == pytest.approx(8.0, abs=0.05)
    # The recorded ArduCopter leans by 22 degrees at 8 m/s and draws some 30 A.
    assert math.degrees(state[a.PITCH]) == pytest.approx(-22.0, abs=1.5)
    assert state[a.CURRENT_A] == pytest.approx(30.3, abs=1.5)


@pytest.mark.parametrize(
    ("parameters", "fault", "mode", "within_s", "text"),
    [
        ({"FS_THR_ENABLE": 1, "FS_OPTIONS": 0}, ("SIM_RC_FAIL", 1), "RTL", 1.2, "Radio Failsafe"),
        ({"FS_THR_ENABLE": 1, "FS_OPTIONS": 1}, ("SIM_RC_FAIL", 1), "AUTO", 2, "Continuing Auto"),
        ({"BATT_LOW_VOLT": 11, "BATT_FS_LOW_ACT": 2}, ("SIM_BATT_VOLTAGE", 10.4), "RTL", 10.3,
         "Battery Failsafe"),
        ({"BATT_LOW_VOLT": 11, "BATT_FS_LOW_ACT": 1}, ("SIM_BATT_VOLTAGE", 10.4), "LAND", 10.3,
         "Battery 1 is low"),
        ({}, ("SIM_GPS1_ENABLE", 0), "LAND", 8.3, "EKF Failsafe: changed to LAND Mode"),
        ({}, ("FENCE_ENABLE", 1), "RTL", 1.0, "Circle fence breached"),
    ],
)  # fmt: skip
def test_failsafes(
    parameters: dict[str, float], fault: tuple[str, float], mode: str, within_s: float, text: str
) -> None:
    bench = Bench(FENCE_TYPE=2, FENCE_RADIUS=30, **parameters)
    bench.upload(list(small_sortie(12).mission.all_items))
    bench.start()
    bench.run(120.0, lambda: bench.vehicle.runner.current >= 7)
    assert bench.vehicle.parameters.put(*fault)
    took = bench.run(within_s + 2.0, lambda: any(text in said for said in bench.texts()))
    assert took <= within_s + 0.2
    assert bench.vehicle.mode_name == mode


def test_return_goes_up_to_rtl_alt_and_to_the_nearest_rally_point() -> None:
    bench = Bench(RTL_ALT=6000, RALLY_INCL_HOME=0, RALLY_LIMIT_KM=1)
    sortie = small_sortie(6)
    bench.upload(list(sortie.mission.all_items))
    from missions.link.rules import WireItem

    bench.vehicle.rally_store.put(0, WireItem.of(sortie.rally[0].item))
    bench.start()
    bench.run(120.0, lambda: bench.vehicle.runner.current >= 6)
    assert bench.vehicle.set_mode(6)
    highest = 0.0
    while bench.vehicle.armed and bench.run(5.0):
        highest = max(highest, float(bench.vehicle.craft.position[2]))
    assert highest == pytest.approx(60.0, abs=0.5)
    end = bench.vehicle.craft.lonlat
    assert end.lat_deg == pytest.approx(29.6201, abs=1e-5)
    assert end.lon_deg == pytest.approx(106.7501, abs=1e-5)


def test_auto_without_take_off_is_refused_on_the_ground() -> None:
    bench = Bench()
    items = list(small_sortie().mission.all_items)
    bench.upload([items[0], *items[2:]])
    bench.run(60.0, lambda: bench.vehicle.ready)
    bench.vehicle.set_mode(4)
    assert bench.vehicle.arm() is None
    assert not bench.vehicle.set_mode(3)
    assert "Auto: Missing Takeoff Cmd" in bench.texts()


def test_it_does_not_arm_before_it_knows_its_position_or_with_terrain_items() -> None:
    bench = Bench()
    bench.run(5.0)
    assert bench.vehicle.arm() == "Need Position Estimate"
    items = list(small_sortie().mission.all_items)
    bench.upload([*items[:3], replace(items[3], frame=10), *items[4:]])
    bench.run(60.0, lambda: bench.vehicle.ready)
    bench.vehicle.set_mode(4)
    assert bench.vehicle.arm() == "waiting for terrain data"


def test_wind_from_ahead_slows_it_down_where_the_lean_ends() -> None:
    def seconds(direction: float) -> float:
        bench = Bench(SIM_WIND_SPD=11, SIM_WIND_DIR=direction, SIM_WIND_T=2)
        bench.upload(list(small_sortie(8).mission.all_items))
        bench.start()
        bench.run(60.0, lambda: bench.vehicle.runner.current >= 5)
        return bench.run(300.0, lambda: bench.vehicle.runner.current >= 9)

    # The way out is to the east.
    assert seconds(90.0) > 1.5 * seconds(270.0)


def test_parameters_keep_their_types_and_unknown_ones_do_not_exist() -> None:
    table = Parameters()
    assert table.put("FENCE_ACTION", 300)
    assert table["FENCE_ACTION"] == 127
    assert not table.put("NO_SUCH", 1)


@pytest.mark.parametrize(
    "arguments",
    [["--home", "91,0,0,0"], ["--home", "1,2,3"], ["--model", "plane"], ["--speedup", "-1"],
     ["-I999"], ["--defaults", "/no/such.parm"], ["-P", "NO_SUCH=1"], ["-P", "RTL_ALT=x"]],
)  # fmt: skip
def test_wrong_arguments_are_said(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert "Error" in capsys.readouterr().err


def test_parameter_files_are_read_in_all_their_forms(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "a.parm"
    path.write_text("# hills\nRTL_ALT 3600\nFENCE_ENABLE,1\nWPNAV_SPEED=700 # slow\nODD 1\n")
    table = Parameters()
    assert table.load(path) == ["ODD"]
    assert (table["RTL_ALT"], table["FENCE_ENABLE"], table["WPNAV_SPEED"]) == (3600, 1, 700)
    path.write_text("RTL_ALT high\n")
    with pytest.raises(InputError, match="line 1"):
        table.load(path)


def test_home_is_where_it_was_put() -> None:
    bench = Bench()
    bench.run(60.0, lambda: bench.vehicle.ready)
    position = Telemetry(bench.vehicle).fields("GLOBAL_POSITION_INT")
    assert position is not None
    assert (position["lat"], position["lon"]) == (
        round(HOME.lat_deg * 1e7),
        round(HOME.lon_deg * 1e7),
    )


def test_the_mount_points_where_it_is_told_within_its_limits() -> None:
    bench = Bench(MNT1_TYPE=7)
    bench.run(60.0, lambda: bench.vehicle.ready)
    mount = bench.vehicle.mount

    def reported() -> tuple[float, float, float]:
        bench.say("command_long", 1, 1, 512, 0, 285, 0, 0, 0, 0, 0, 0)
        angles = gimbal_angles(bench.of("GIMBAL_DEVICE_ATTITUDE_STATUS")[-1], 30.0)
        assert angles is not None
        return angles

    assert reported() == pytest.approx((30.0, 0.0, 0.0))
    assert bench.say("command_long", 1, 1, 205, 0, -40.0, 5.0, 90.0, 0, 0, 0, 2)[-1].result == 0
    assert reported() == pytest.approx((120.0, -40.0, 5.0), abs=1e-4)
    bench.say("command_long", 1, 1, 205, 0, -120.0, 0.0, 60.0, 0, 0, 0, 2)
    assert reported() == pytest.approx((90.0, -90.0, 0.0), abs=1e-3)
    bench.say("command_long", 1, 1, 1000, 0, -20.0, 200.0, 0, 0, 16, 0, 0)
    assert reported() == pytest.approx((200.0, -20.0, 0.0), abs=1e-4)
    # A place as far to the north as the vehicle is above it.
    north = round((29.62 + 50 / 111_318.845) * 1e7)
    bench.vehicle.craft.state[a.POS + 2] = 50.0
    bench.say("command_int", 1, 1, 3, 195, 0, 0, 0, 0, 0, 0, north, 1_067_500_000, 0.0)
    # The mount tilts no higher than MNT1_PITCH_MAX and here looks 45 degrees down.
    assert reported() == pytest.approx((0.0, -45.0, 0.0), abs=0.1)
    assert mount.angles_deg()[3]
    bench.say("command_long", 1, 1, 197, 0, 0, 0, 0, 0, 0, 0, 0)
    assert reported()[1] == pytest.approx(-20.0, abs=1e-4)


def test_without_a_mount_nothing_is_reported() -> None:
    bench = Bench()
    bench.run(3.0)
    bench.say("command_long", 1, 1, 512, 0, 285, 0, 0, 0, 0, 0, 0)
    assert bench.of("GIMBAL_DEVICE_ATTITUDE_STATUS") == []


def test_condition_yaw_turns_the_leg_that_follows() -> None:
    bench = Bench(WP_YAW_BEHAVIOR=0)
    items = list(small_sortie(3).mission.all_items)
    # Behind the speed and the first waypoint: speed again, then the heading.
    items[4:5] = [items[2], MissionItem(Command.CONDITION_YAW, p1=200.0), items[4]]
    bench.upload(items)
    bench.start()
    bench.run(120.0, lambda: bench.vehicle.runner.current >= 8)
    assert math.degrees(bench.vehicle.craft.state[a.YAW]) % 360 == pytest.approx(200.0, abs=1.0)


def test_gimbal_angles_of_odd_reports() -> None:
    kind = dialect.MAVLink_gimbal_device_attitude_status_message
    down = math.sin(math.radians(-45.0))
    q = (math.cos(math.radians(-45.0)), 0.0, down, 0.0)
    rest = (0, 0, 0, 0)
    assert gimbal_angles(kind(0, 0, 0, 12, q, *rest), 350.0) == pytest.approx(
        (350, -90, 0), abs=1e-2
    )
    assert gimbal_angles(kind(0, 0, 0, 12, (math.nan,) * 4, *rest), 0.0) is None
    assert gimbal_angles(kind(0, 0, 0, 12, (0.0,) * 4, *rest), 0.0) is None
