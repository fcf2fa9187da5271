"""`fencewalk plan` as a user runs it: bad input says what would make it possible; real input."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from click.testing import CliRunner, Result
from missions_sites import (
    FRAME,
    clearance_of,
    flat,
    launch,
    lonlat,
    plan_site,
    states_m,
    write_dem,
    write_lines,
)

from corridor import InputError
from fencewalk.cli import app
from missions.geofence import fence_polygon
from missions.mission import Command
from missions.survey import preset_names, survey_from

LINE = [("G1", "left", [(-300.0, 0.0), (300.0, 0.0)])]
SQUARE = [lonlat(x, y) for x, y in ((-900, -500), (900, -500), (900, 500), (-900, 500))]
BOW_TIE = [lonlat(x, y) for x, y in ((0, 0), (100, 100), (100, 0), (0, 100))]


def dem_with_hole(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.where(np.abs(x) < 100.0, np.nan, 300.0)


@pytest.mark.parametrize(
    ("survey", "message"),
    [
        ({"launch": [launch(0.0, 5000.0)]}, "outside the elevations"),
        ({"keep_out": [{"polygon": SQUARE}]}, "nothing of the route can be flown.*keep-out"),
        ({"capture": {"height_m": None, "gsd_m": 0.05}}, "above the ceiling.*finer"),
        ({"capture": {"height_m": 10.0}}, "below clearance"),
        ({"aircraft": {"battery_wh": 4.0}}, "battery.*larger battery"),
        ({"keep_out": [{"polygon": BOW_TIE}]}, "not simple.*order"),
        ({"exclusion": [{"polygon": BOW_TIE}]}, "not simple.*order"),
        ({"exclusion": [{"start": "K90+000", "end": "K91+000"}]}, "touches no boundary"),
        ({"schedule": {"start": "2026-03-02"}}, r"no team.*\[\[team\]\]"),
        ({"capture": {"modes": ["oblique"]}, "camera": {"preset": "sony-rx1r-ii"}}, "gimbal"),
        ({"sides": ["right"]}, "no boundary on side right"),
        ({"safety": {"max_distance_m": 50.0}}, "out of range.*launch site nearer"),
        ({"safety": {"ceiling_m": 20.0}}, "ceiling"),
        (
            {"output": {"altitude": "mean_sea_level"}, "dem": {"vertical_reference": "ellipsoid"}},
            "geoid_undulation_m",
        ),
    ],
)
def test_what_is_impossible_says_what_would_do(
    tmp_path: Path, survey: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        plan_site(tmp_path, flat, LINE, survey)
    assert not (tmp_path / "plan").exists()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"camera": {"preset": "zenmuse-p1"}}, "did you mean 'zenmuse-p1-35'"),
        ({"capture": {"heigth_m": 50}}, "did you mean 'height_m'"),
        ({"saftey": {}}, "did you mean 'safety'"),
        ({"capture": {"forward_overlap_frac": -0.2}}, "forward_overlap_frac = -0.2"),
        ({"capture": {"forward_overlap_frac": 1.0}}, "less than 1"),
        ({"launch": [{"lon": 29.5, "lat": 106.5}]}, "lat = 106.5"),
        ({"power_line": [{"points": [[106.5, 29.5, 10.0]]}]}, "at least 2"),
    ],
)
def test_a_wrong_survey_names_the_key(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        survey_from(keys, "survey.toml")


def test_every_preset_is_valid_and_names_its_source() -> None:
    for name in preset_names("cameras"):
        assert survey_from({"camera": name}, "x").camera.source
    for name in preset_names("aircraft"):
        assert survey_from({"aircraft": name}, "x").aircraft.source


def run(tmp_path: Path, dem: Path, *more: str) -> Result:
    lines = write_lines(tmp_path / "lines.geojson", LINE)
    lon, lat = lonlat(0.0, -60.0)
    arguments = ["plan", str(lines), "--dem", str(dem), "--out", str(tmp_path / "plan")]
    return CliRunner().invoke(app, [*arguments, "--launch", f"{lon},{lat}", *more])


@pytest.mark.parametrize("case", ["elsewhere", "text", "bands", "no-crs", "missing"])
def test_a_wrong_elevation_model_is_refused(tmp_path: Path, case: str) -> None:
    dem = tmp_path / "dem.tif"
    expected = {
        "elsewhere": "no elevation under 600 m", "text": "no raster", "bands": "3 bands",
        "no-crs": "no CRS", "missing": "no such file",
    }  # fmt: skip
    if case == "elsewhere":
        write_dem(dem, lambda x, y: np.where(y > 100.0, 300.0, np.nan))
    elif case == "text":
        dem.write_text("no raster at all")
    elif case in ("bands", "no-crs"):
        with rasterio.open(
            dem, "w", driver="GTiff", width=8, height=8, count=3 if case == "bands" else 1,
            dtype="float32", crs=FRAME.crs.to_wkt() if case == "bands" else None,
            transform=Affine(30, 0, 0, 0, -30, 0),
        ) as raster:  # fmt: skip
            raster.write(np.zeros((raster.count, 8, 8), dtype=np.float32))
    result = run(tmp_path, dem)
    assert isinstance(result.exception, InputError)
    assert expected[case] in str(result.exception)
    assert "dem.tif" in str(result.exception)


@pytest.mark.parametrize(
    ("terrain", "half_m", "first", "bare_m"),
    [
        (flat, (240.0, 900.0), "G1 left K1+000 to K1+065", 130.0),
        (dem_with_hole, (1500.0, 900.0), "G1 left K1+195 to K1+405", 200.0),
    ],
)
def test_lanes_stop_where_the_elevations_do_and_the_rest_is_told(
    tmp_path: Path, terrain: Any, half_m: tuple[float, float], first: str, bare_m: float
) -> None:
    from missions.check import Level, check_plan

    places = [launch(-150.0, -60.0, "A"), launch(150.0, -60.0, "B")]
    site = plan_site(tmp_path, terrain, LINE, {"launch": places}, cell_m=10.0, half_m=half_m)
    states = states_m(site)
    assert states["uncovered"] >= bare_m
    assert states["covered"] >= 600.0 - bare_m - 120.0
    assert sum(states.values()) == pytest.approx(600.0, abs=0.05)
    assert any(first in note for note in site.document["notes"])
    reasons = {row["reason"] for row in site.document["coverage"] if row["state"] == "uncovered"}
    assert "the elevations end or have a hole here" in reasons
    found = check_plan(site.folder)
    assert [f.message for f in found if f.level is Level.BLOCKING] == []
    assert any(f.code == "uncovered" and "elevations end" in f.message for f in found)


def test_a_model_of_centimetres_is_cleared_as_one_of_metres(tmp_path: Path) -> None:
    from missions.check import Level, check_plan

    def posts(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        pole = (np.abs(x - 33.3) < 0.11) & (np.abs(y) < 3.0)
        return np.where(pole, 340.0, 300.0)

    line = [("G1", "left", [(-80.0, 0.0), (80.0, 0.0)])]
    survey = {"launch": [launch(0.0, -30.0)], "safety": {"carriageway_width_m": 0.0}}
    site = plan_site(tmp_path, posts, line, survey, cell_m=0.2, half_m=(120.0, 60.0))
    assert site.plan.dem.block_cells == 4
    assert [f.message for f in check_plan(site.folder) if f.level is Level.BLOCKING] == []
    assert min(clearance_of(site, s.sortie_id).min() for s in site.files.sorties) >= 23.0
    assert states_m(site)["covered"] == pytest.approx(160.0, abs=0.1)


def test_a_plan_holds_everything_it_promises(tmp_path: Path) -> None:
    dem = write_dem(tmp_path / "dem.tif", flat)
    result = run(tmp_path, dem, "--height", "45", "--json")
    assert result.exit_code == 0, result.output
    names = {path.name for path in (tmp_path / "plan").iterdir()}
    assert names == {
        "plan.json", "plan.gpkg", "plan.kml", "briefing.html", "S01.waypoints", "S01.plan",
        "S01.param", "S01.kmz",
    }  # fmt: skip
    document = json.loads((tmp_path / "plan" / "plan.json").read_text())
    assert document["targets"]["nadir"]["height_m"] == 45.0
    assert document["camera"]["sensor_width_mm"] > 0
    again = CliRunner().invoke(app, ["check", str(tmp_path / "plan"), "--json"])
    assert again.exit_code == 0, again.output


def test_lines_without_a_side_are_planned_and_checked_with_the_side_stated(
    tmp_path: Path,
) -> None:
    dem = write_dem(tmp_path / "dem.tif", flat)
    lines = write_lines(tmp_path / "lines.geojson", LINE)
    table = json.loads(lines.read_text())
    for feature in table["features"]:
        feature["properties"]["name"] = feature["properties"].pop("route")
        del feature["properties"]["side"]
    bare = tmp_path / "bare.geojson"
    bare.write_text(json.dumps(table))
    lon, lat = lonlat(0.0, -60.0)
    folder = tmp_path / "plan"
    arguments = ["plan", str(bare), "--dem", str(dem), "--launch", f"{lon},{lat}"]
    refused = CliRunner().invoke(app, [*arguments, "--out", str(folder)])
    assert "--default side=left" in str(refused.exception)
    stated = ["--default", "side=left", "--column", "route=name"]
    planned = CliRunner().invoke(app, [*arguments, *stated, "--out", str(folder)])
    assert planned.exit_code == 0, planned.output
    document = json.loads((folder / "plan.json").read_text())
    assert document["boundary_options"] == {
        "datum": "wgs84", "columns": {"route": "name"}, "defaults": {"side": "left"},
    }  # fmt: skip
    assert {row["route"] for row in document["coverage"]} == {"G1"}
    again = CliRunner().invoke(app, ["check", str(folder), "--json"])
    assert again.exit_code == 0, again.output


def test_posts_that_changed_since_the_plan_are_noticed(tmp_path: Path) -> None:
    dem = write_dem(tmp_path / "dem.tif", flat)
    lines = write_lines(tmp_path / "lines.geojson", LINE)
    ends = json.loads(lines.read_text())["features"][0]["geometry"]["coordinates"]
    posts = tmp_path / "posts.csv"
    rows = [f"G1,K{km}+000,{end[0]},{end[1]}" for km, end in ((1, ends[0]), (2, ends[-1]))]
    posts.write_text("\n".join(["route,station,lon,lat", *rows]))
    lon, lat = lonlat(0.0, -60.0)
    folder = tmp_path / "plan"
    arguments = ["plan", str(lines), "--dem", str(dem), "--launch", f"{lon},{lat}",
                 "--posts", str(posts), "--out", str(folder)]  # fmt: skip
    planned = CliRunner().invoke(app, arguments)
    assert planned.exit_code == 0, planned.output
    before = CliRunner().invoke(app, ["check", str(folder)])
    assert "posts" not in before.output
    posts.write_text(posts.read_text() + "\n")
    after = CliRunner().invoke(app, ["check", str(folder)])
    assert "posts" in after.output


def test_altitudes_above_sea_level_are_the_models_less_the_undulation(tmp_path: Path) -> None:
    from missions.check import Level, check_plan

    site = plan_site(
        tmp_path, flat, LINE,
        {"output": {"altitude": "mean_sea_level"},
         "dem": {"vertical_reference": "ellipsoid", "geoid_undulation_m": -30.0}},
    )  # fmt: skip
    mission = site.files.sorties[0].mission
    assert mission.home_altitude_m == pytest.approx(330.0)
    lane = [item for item in mission.items if item.command == Command.WAYPOINT]
    assert {item.frame for item in lane} == {0}
    assert lane[1].altitude_m == pytest.approx(380.0, abs=0.5)
    assert not [f for f in check_plan(site.folder) if f.level is Level.BLOCKING]


def test_the_same_input_gives_the_same_missions(tmp_path: Path) -> None:
    first = plan_site(tmp_path / "a", flat, LINE, {})
    second = plan_site(tmp_path / "b", flat, LINE, {})
    for name in ("S01.waypoints", "S01.plan", "S01.param"):
        assert (first.folder / name).read_text() == (second.folder / name).read_text()


def test_camera_commands_stand_where_a_battery_change_loses_nothing(tmp_path: Path) -> None:
    site = plan_site(tmp_path, flat, LINE, {})
    for sortie in site.files.sorties:
        commands = [item.command for item in sortie.mission.items]
        assert commands[0] == Command.TAKEOFF
        assert commands[-1] == Command.RETURN_TO_LAUNCH
        triggers = [i for i in sortie.mission.items if i.command == Command.DO_SET_CAM_TRIGG_DIST]
        assert triggers[0].p1 > 0
        assert triggers[0].p3 == 1.0
        assert triggers[-1].p1 == 0
        first_trigger = sortie.mission.items.index(triggers[0])
        before = commands[:first_trigger]
        assert Command.DO_CHANGE_SPEED in before
        assert Command.DO_MOUNT_CONTROL in before


def test_a_folder_that_is_no_plan_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "plan").mkdir()
    (tmp_path / "plan" / "photo.jpg").write_text("mine")
    result = run(tmp_path, write_dem(tmp_path / "dem.tif", flat))
    assert isinstance(result.exception, InputError)
    assert (tmp_path / "plan" / "photo.jpg").read_text() == "mine"


@pytest.mark.parametrize("seed", range(8))
def test_a_geofence_only_grows(seed: int) -> None:
    import shapely

    rng = np.random.default_rng(seed)
    points = np.cumsum(rng.normal(0, 120, (60, 2)), axis=0)
    path = shapely.LineString(points)
    ring = fence_polygon(path, 30.0, 40)
    polygon = shapely.Polygon(ring)
    assert len(ring) <= 40
    assert polygon.is_valid
    assert polygon.buffer(0.01).contains(path.buffer(29.0))


DATA = Path(os.environ.get("FENCEWALK_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="the real imagery is not there (FENCEWALK_DATA)")
def test_the_real_site_is_planned_within_a_fifth_of_its_height(tmp_path: Path) -> None:
    site = DATA / "hsinchu-highway"
    config = Path(__file__).parents[1] / "examples" / "hsinchu.toml"
    result = CliRunner().invoke(
        app,
        ["plan", str(site / "boundaries.geojson"), "--dem", str(site / "dsm.tif"), "--config",
         str(config), "--out", str(tmp_path / "plan")],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    from missions.plan_files import read_plan

    files = read_plan(tmp_path / "plan")
    asked = files.document["targets"]["nadir"]["height_m"]
    with rasterio.open(site / "dsm.tif") as raster:
        from pyproj import Transformer

        to_raster = Transformer.from_crs(4326, raster.crs, always_xy=True)
        for sortie in files.sorties:
            home = sortie.details["home"]
            assert isinstance(home, dict)
            for item in sortie.mission.items:
                if item.command != Command.WAYPOINT or item.position is None:
                    continue
                place = to_raster.transform(item.position.lon_deg, item.position.lat_deg)
                ground = float(next(raster.sample([place]))[0])
                above = item.altitude_m + home["ground_dem_m"] - ground
                assert 0.8 * asked <= above <= 1.2 * asked
