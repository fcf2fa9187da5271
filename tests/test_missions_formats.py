"""Mission files: what is written is read back, by us and by pymavlink's own loader."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymavlink import mavwp

from corridor import InputError, LonLat
from missions.formats import (
    read_parameters,
    read_qgc_plan,
    read_waypoints,
    write_parameters,
    write_qgc_plan,
    write_waypoints,
)
from missions.mission import (
    Command,
    FenceCircle,
    FencePolygon,
    Frame,
    Geofence,
    Mission,
    MissionItem,
    Parameter,
    RallyPoint,
    Sortie,
)

HOME = LonLat(106.75, 29.62)

GOLDEN = (
    "QGC WPL 110\n"
    "0\t1\t0\t16\t0.00000000\t0.00000000\t0.00000000\t0.00000000\t29.62000000\t106.75000000\t"
    "250.0000\t1\n"
    "1\t0\t3\t22\t0.00000000\t0.00000000\t0.00000000\t0.00000000\t29.62000000\t106.75000000\t"
    "40.0000\t1\n"
    "2\t0\t3\t16\t0.00000000\t0.00000000\t0.00000000\t0.00000000\t29.62100010\t106.75200020\t"
    "41.2500\t1\n"
    "3\t0\t2\t206\t12.34500000\t0.00000000\t1.00000000\t0.00000000\t0.00000000\t0.00000000\t"
    "0.0000\t1\n"
    "4\t0\t2\t20\t0.00000000\t0.00000000\t0.00000000\t0.00000000\t0.00000000\t0.00000000\t"
    "0.0000\t1\n"
)


def small_mission() -> Mission:
    return Mission(
        HOME,
        250.0,
        (
            MissionItem(Command.TAKEOFF, Frame.ABOVE_HOME, position=HOME, altitude_m=40.0),
            MissionItem(
                Command.WAYPOINT,
                Frame.ABOVE_HOME,
                position=LonLat(106.7520002, 29.6210001),
                altitude_m=41.25,
            ),
            MissionItem(Command.DO_SET_CAM_TRIGG_DIST, p1=12.345, p3=1.0),
            MissionItem(Command.RETURN_TO_LAUNCH),
        ),
    )


# Degrees as the vehicle keeps them (1e-7), so that equality is exact.
lon_deg = st.integers(-1_800_000_000, 1_800_000_000).map(lambda value: value / 1e7)
lat_deg = st.integers(-900_000_000, 900_000_000).map(lambda value: value / 1e7)
places = st.builds(LonLat, lon_deg, lat_deg).filter(lambda place: place != LonLat(0.0, 0.0))
centimetres = st.integers(-50_000, 900_000).map(lambda value: value / 100)
numbers = st.integers(-100_000, 100_000).map(lambda value: value / 1000)
placed = st.builds(
    MissionItem,
    st.sampled_from([Command.WAYPOINT, Command.TAKEOFF, Command.LAND, Command.LOITER_TIME]),
    st.sampled_from([0, 3, 10]),
    numbers,
    position=places,
    altitude_m=centimetres,
)
unplaced = st.builds(
    MissionItem,
    st.sampled_from([178, 205, 206, 203, 2000, 1000, 20, 115]),
    st.just(2),
    numbers,
    numbers,
    numbers,
    numbers,
    altitude_m=numbers,
    p5=numbers,
    p6=numbers,
)
missions = st.builds(
    Mission, places, centimetres, st.lists(placed | unplaced, max_size=12).map(tuple)
)
fences = st.builds(
    Geofence,
    st.lists(
        st.builds(FencePolygon, st.lists(places, min_size=3, max_size=6).map(tuple), st.booleans()),
        max_size=2,
    ).map(tuple),
    st.lists(st.builds(FenceCircle, places, st.integers(1, 500).map(float)), max_size=2).map(tuple),
)
sorties = st.builds(
    Sortie,
    st.just("S01"),
    missions,
    fences,
    st.lists(st.builds(RallyPoint, places, centimetres), max_size=3).map(tuple),
)


def test_a_waypoint_file_is_written_to_the_letter(tmp_path: Path) -> None:
    write_waypoints(tmp_path / "S01.waypoints", small_mission())
    assert (tmp_path / "S01.waypoints").read_text() == GOLDEN


def test_pymavlink_reads_latitude_as_latitude(tmp_path: Path) -> None:
    write_waypoints(tmp_path / "S01.waypoints", small_mission())
    loader = mavwp.MAVWPLoader()
    assert loader.load(str(tmp_path / "S01.waypoints")) == 5
    item = loader.wp(2)
    assert (item.x, item.y) == pytest.approx((29.6210001, 106.7520002), abs=1e-9)
    assert (item.command, item.frame, item.z) == (16, 3, 41.25)
    assert loader.wp(3).param1 == 12.345


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(mission=missions)
def test_waypoints_read_back_the_same(tmp_path: Path, mission: Mission) -> None:
    write_waypoints(tmp_path / "m.waypoints", mission)
    assert read_waypoints(tmp_path / "m.waypoints") == mission


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(sortie=sorties)
def test_plan_reads_back_the_same(tmp_path: Path, sortie: Sortie) -> None:
    write_qgc_plan(tmp_path / "S01.plan", sortie)
    assert read_qgc_plan(tmp_path / "S01.plan") == sortie


def test_parameters_read_back_the_same(tmp_path: Path) -> None:
    parameters = (
        Parameter("RTL_ALT", 12000.0, "clears the ridge by 25 m", "RTL_ALT_M", 120.0),
        Parameter("CAM_AUTO_ONLY", 1.0, "the camera stops when the mission stops"),
    )
    write_parameters(tmp_path / "S01.param", parameters, "S01")
    assert read_parameters(tmp_path / "S01.param") == parameters


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no waypoint file"),
        ("QGC WPL 120\n", "is no waypoint file"),
        ("QGC WPL 110\n", "holds no home"),
        ("QGC WPL 110\n0\t1\t0\t16\n", "has 4 columns"),
        (GOLDEN.replace("250.0000", "high"), "no number"),
        (GOLDEN.replace("40.0000", "nan"), "NaN"),
        (GOLDEN.replace("29.62100010\t106.75200020", "106.75200020\t29.62100010"), "column 9"),
        (GOLDEN.replace("\n2\t0", "\n3\t0"), "2 comes next"),
    ],
)
def test_a_wrong_waypoint_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.waypoints").write_text(text)
    with pytest.raises(InputError, match=message):
        read_waypoints(tmp_path / "x.waypoints")


@pytest.mark.parametrize("text", ["", "[]", '{"fileType": "Plan", "version": 1}'])
def test_a_wrong_plan_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.plan").write_text(text)
    with pytest.raises(InputError, match=r"x\.plan"):
        read_qgc_plan(tmp_path / "x.plan")


def test_int_fields_are_degrees_for_places_and_plain_numbers_otherwise() -> None:
    assert small_mission().items[1].x_y_int == (296210001, 1067520002)
    assert MissionItem(Command.DO_DIGICAM_CONTROL, p5=1.0).x_y_int == (1, 0)
    vertex = Geofence((FencePolygon((HOME, LonLat(107.0, 29.0), LonLat(107.0, 30.0))),)).items[0]
    assert (vertex.p1, vertex.x_y_int) == (3.0, (296200000, 1067500000))
