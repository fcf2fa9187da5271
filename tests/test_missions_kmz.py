"""DJI's `.kmz`: what is written is read back, flies the mission's legs, and is checked."""

from __future__ import annotations

import itertools
import zipfile
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from missions_sites import flat, plan_site

from corridor import InputError, LonLat
from missions.check import check_plan
from missions.check.path import flight_of
from missions.formats import read_dji_kmz, write_dji_kmz
from missions.mission import Command, Frame, Mission, MissionItem
from missions.wayline import (
    CameraRun,
    DjiHardware,
    NotForDji,
    Wayline,
    WaylinePoint,
    split,
    wayline_of,
)

HOME = LonLat(106.75, 29.62)
W = "{http://www.dji.com/wpmz/1.0.2}"

degrees_e7 = st.integers(-899_999_999, 899_999_999).map(lambda value: value / 1e7)
places = st.builds(LonLat, degrees_e7, degrees_e7)
centimetres = st.integers(-50_000, 90_000).map(lambda value: value / 100)
speeds = st.integers(100, 1500).map(lambda value: value / 100)
angles = st.integers(-17_999, 17_999).map(lambda value: value / 100)
points = st.builds(
    WaylinePoint, places, centimetres, speeds, st.none() | angles,
    st.none() | st.integers(1, 999).map(lambda value: value / 100),
)  # fmt: skip


@st.composite
def waylines(draw: st.DrawFn) -> Wayline:
    """Flights with runs one after the other, some of them touching."""
    made = draw(st.lists(points, min_size=2, max_size=14))
    cuts = sorted(draw(st.sets(st.integers(0, len(made) - 1), min_size=2, max_size=6)))
    runs = tuple(
        CameraRun(a, b, draw(st.integers(100, 9999)) / 100, draw(st.none() | angles))
        for a, b in itertools.pairwise(cuts)
        if a == cuts[0] or draw(st.booleans())
    )
    hardware = draw(st.sampled_from([DjiHardware(), DjiHardware((60, 0), 43, "wide")]))
    return Wayline(HOME, 250.25, 40.0, 120.0, tuple(made), runs, hardware)


@settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60
)
@given(wayline=waylines())
def test_a_kmz_reads_back_the_same(tmp_path: Path, wayline: Wayline) -> None:
    write_dji_kmz(tmp_path / "S01.kmz", wayline)
    assert read_dji_kmz(tmp_path / "S01.kmz") == wayline


@settings(deadline=None, max_examples=100)
@given(wayline=waylines(), most=st.integers(2, 15))
def test_parts_hold_every_leg_and_picture_once(wayline: Wayline, most: int) -> None:
    def legs(one: Wayline) -> list[tuple[object, ...]]:
        camera = {n: (r.spacing_m, r.pitch_deg) for r in one.runs for n in range(r.first, r.last)}
        return [
            (a.position, a.height_m, a.speed_m_s, b.position, b.height_m, camera.get(n))
            for n, (a, b) in enumerate(itertools.pairwise(one.points))
        ]

    parts = split(wayline, most)
    assert all(2 <= len(part.points) <= most for part in parts)
    assert [leg for part in parts for leg in legs(part)] == legs(wayline)
    assert all(part.security_height_m == wayline.return_height_m for part in parts[1:])


def at(number: int, height_m: float) -> MissionItem:
    place = LonLat(round(106.75 + 0.001 * number, 7), 29.62)
    return MissionItem(Command.WAYPOINT, Frame.ABOVE_HOME, position=place, altitude_m=height_m)


def mission(*items: MissionItem, frame: Frame = Frame.ABOVE_HOME) -> Mission:
    takeoff = MissionItem(Command.TAKEOFF, frame, position=HOME, altitude_m=40.0)
    speed = MissionItem(Command.DO_CHANGE_SPEED, p1=1.0, p2=8.0, p3=-1.0)
    return Mission(HOME, 250.0, (takeoff, speed, *items, MissionItem(Command.RETURN_TO_LAUNCH)))


def test_a_lane_is_one_run_with_its_gimbal_and_spacing() -> None:
    made = wayline_of(
        mission(
            at(1, 50.0), MissionItem(Command.DO_MOUNT_CONTROL, p1=-40.0, p3=90.0, altitude_m=2.0),
            MissionItem(Command.DO_SET_CAM_TRIGG_DIST, p1=7.5, p3=1.0), at(2, 55.0), at(3, 52.0),
            MissionItem(Command.DO_SET_CAM_TRIGG_DIST), at(4, 60.0),
        ),
        118.2, DjiHardware(),
    )  # fmt: skip
    assert made.runs == (CameraRun(1, 3, 7.5, -40.0),)
    assert [point.height_m for point in made.points] == [40.0, 50.0, 55.0, 52.0, 60.0]
    # Eastwards with the camera to the right: the nose points south, on the lane only.
    headings = [p.heading_deg for p in made.points]
    assert [headings[0], headings[4]] == [None, None]
    assert [abs(h) for h in headings[1:4] if h is not None] == pytest.approx([180.0] * 3, abs=0.01)
    # It stops where the camera is switched, and cuts no corner by more than 2 m elsewhere.
    assert [p.damping_m for p in made.points] == [None, None, 2.0, None, None]
    assert (made.security_height_m, made.return_height_m) == (40.0, 119.0)


@pytest.mark.parametrize(
    ("planned", "message"),
    [
        (mission(MissionItem(Command.DO_CHANGE_SPEED, p1=1.0, p2=18.0), at(1, 50.0)), "18"),
        (mission(at(1, 50.0), frame=Frame.ABOVE_TERRAIN), "frame 10"),
        (mission(MissionItem(Command.LOITER_TIME, 3, 5.0, position=HOME)), "command 19"),
        (mission(), "fewer than two"),
    ],
)
def test_what_dji_cannot_hold_is_said(planned: Mission, message: str) -> None:
    with pytest.raises(NotForDji, match=message):
        wayline_of(planned, 60.0, DjiHardware())


def edited(path: Path, change: Callable[[str], str]) -> None:
    """Changes waylines.wpml inside an archive."""
    with zipfile.ZipFile(path) as archive:
        texts = {name: archive.read(name).decode() for name in archive.namelist()}
    texts["wpmz/waylines.wpml"] = change(texts["wpmz/waylines.wpml"])
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in texts.items():
            archive.writestr(name, text)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("relativeToStartPoint", "WGS84", "executeHeightMode WGS84"),
        ("<wpml:index>1<", "<wpml:index>2<", "index 2.*1 comes next"),
        ("executeHeight>", "height>", "executeHeight is missing"),
        ("<kml", "<!DOCTYPE kml><kml", "document type"),
        ("</kml>", "", "no WPML"),
    ],
)
def test_a_wrong_kmz_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    write_dji_kmz(tmp_path / "S01.kmz", wayline_of(mission(at(1, 50.0)), 60.0, DjiHardware()))
    edited(tmp_path / "S01.kmz", lambda text: text.replace(old, new))
    with pytest.raises(InputError, match=message):
        read_dji_kmz(tmp_path / "S01.kmz")


def test_a_plan_comes_with_kmz_and_the_check_compares_them(tmp_path: Path) -> None:
    site = plan_site(
        tmp_path, flat, [("G1", "left", [(-300.0, 0.0), (0.0, 60.0), (300.0, 0.0)])],
        {"capture": {"modes": ["nadir", "oblique"]}, "output": {"kmz_max_waypoints": 10}},
    )  # fmt: skip
    files = [file for s in site.document["sorties"] for file in s["kmz"]["files"]]
    assert len(files) > 1
    assert files[:2] == ["S01-1.kmz", "S01-2.kmz"]
    parts = [read_dji_kmz(site.folder / file) for file in files if file.startswith("S01-")]
    legs = flight_of(site.files.sortie("S01").mission).legs
    flown = [p.height_m for n, part in enumerate(parts) for p in part.points[1 if n else 0 :]]
    assert flown == pytest.approx([leg.end[2] for leg in legs], abs=0.011)
    with zipfile.ZipFile(site.folder / files[1]) as archive:
        root = ET.fromstring(archive.read("wpmz/waylines.wpml"))
        assert ET.fromstring(archive.read("wpmz/template.kml")) is not None
    assert [i.text for i in root.iter(f"{W}index")] == [str(n) for n in range(len(parts[1].points))]
    assert [e.text for e in root.iter(f"{W}exitOnRCLost")] == ["executeLostAction"]
    rtl_m = site.document["sorties"][0]["rtl_altitude_above_home_m"]
    assert [float(e.text or 0) for e in root.iter(f"{W}globalRTHHeight")] == [rtl_m]
    assert "blocking" not in {f.level.value for f in check_plan(site.folder)}
    turned = next(h.heading_deg for part in parts for h in part.points if h.heading_deg is not None)
    which = next(
        n for n, part in enumerate(parts) if turned in [p.heading_deg for p in part.points]
    )
    written = (site.folder / files[which]).read_bytes()
    edited(site.folder / files[which], lambda text: text.replace(f">{turned:.2f}<", ">90.00<"))
    found = [f for f in check_plan(site.folder) if f.level.value == "blocking"]
    assert ["the nose at 90.0" in f.message for f in found] == [True]
    (site.folder / files[which]).write_bytes(written)

    lowered = f"{parts[1].points[2].height_m:.3f}"
    edited(site.folder / files[1], lambda text: text.replace(lowered, "12.000"))
    found = [f for f in check_plan(site.folder) if f.level.value == "blocking"]
    assert [f.code for f in found] == ["files-differ"]
    assert "elsewhere than in the mission" in found[0].message
