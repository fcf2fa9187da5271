"""What was photographed, by a plan's own limits, over ground that can be worked out by hand."""

import json
import math

import geopandas
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
from rasterio.transform import from_origin

from corridor import InputError, LocalFrame
from corridor.shots import Shot, write_shots
from fencewalk.cli import main
from missions.coverage import measure_coverage, read_missing

FRAME = LocalFrame(106.75, 29.62)
GROUND_M = 300.0
HEIGHT_M = 50.0
CAMERA = {
    "sensor_width_mm": 13.2, "sensor_height_mm": 8.8, "image_width_px": 5280,
    "image_height_px": 3520, "focal_length_mm": 8.8,
}  # fmt: skip
# Across 75 m and along 50 m on the ground at 50 m; a pixel 1.42 cm.


def lonlat(x, y):
    return FRAME.to_lonlat([[x, y]])[0]


@pytest.fixture
def plan(tmp_path):
    """A straight boundary of 300 m to the east; 260 to 280 m has no fence, 280 to 300 no lane."""
    folder = tmp_path / "plan"
    folder.mkdir()
    line = shapely.LineString([lonlat(x, 0.0) for x in np.arange(-150.0, 151.0, 10.0)])
    table = geopandas.GeoDataFrame(
        {"route": ["G75"], "side": ["left"], "chainage_start_m": [1000.0]},
        geometry=[line],
        crs=4326,
    )
    table.to_file(folder / "b.geojson", driver="GeoJSON", COORDINATE_PRECISION=10)
    with rasterio.open(
        folder / "dem.tif", "w", "GTiff", 60, 60, 1, FRAME.crs.to_wkt(),
        from_origin(-300, 300, 10, 10), "float32",
    ) as dem:  # fmt: skip
        dem.write(np.full((1, 60, 60), GROUND_M, np.float32))

    def row(start, end, state, reason=""):
        return {
            "mode": "nadir", "route": "G75", "side": "left", "chainage_start_m": start,
            "chainage_end_m": end, "length_m": end - start, "state": state, "reason": reason,
        }  # fmt: skip

    document = {
        "version": 1,
        "inputs": [
            {"role": "boundaries", "path": str(folder / "b.geojson")},
            {"role": "dem", "path": str(folder / "dem.tif")},
        ],
        "frame": {"lon0_deg": FRAME.lon0_deg, "lat0_deg": FRAME.lat0_deg},
        "vertical": {"dem_reference": "mean_sea_level"},
        "camera": CAMERA,
        "survey": {
            "capture": {"min_views": 2, "gsd_slack_frac": 0.2, "oblique_max_view_deg": 60.0}
        },
        "targets": {"nadir": {"gsd_m": 0.0142, "offset_m": 0.0, "gimbal_pitch_deg": -90.0}},
        "sorties": [],
        "coverage": [
            row(1000.0, 1260.0, "covered"),
            row(1260.0, 1280.0, "no_fence", "bridge"),
            row(1280.0, 1300.5, "uncovered", "keep-out"),
        ],
    }
    (folder / "plan.json").write_text(json.dumps(document))
    return folder


def shots_along(places, height_m=HEIGHT_M, roll_deg=0.0):
    shots = []
    for number, x in enumerate(places, start=1):
        lon, lat = lonlat(x, 0.0)
        shots.append(
            Shot(
                number, lon, lat, GROUND_M + height_m, height_m, 90.0, -5.0, roll_deg, 1500 * number
            )
        )
    return shots


def states(coverage):
    return [
        (round(one.chainage_start_m), round(one.chainage_end_m), one.state)
        for one in coverage.stretches
    ]


def test_what_two_pictures_show_is_covered(plan, tmp_path):
    # Along the line a picture reaches 25 m each way: shots from -140 to 100 every 10 m show twice
    # what lies from -155 to 115, that is chainage 1000 to 1265.
    write_shots(tmp_path / "photos.csv", shots_along(np.arange(-140, 101, 10)))
    found = measure_coverage(plan, [tmp_path / "photos.csv"])
    assert states(found) == [
        (1000, 1260, "covered"),
        (1260, 1280, "no_fence"),
        (1280, 1300, "uncovered"),
    ]
    covered = found.stretches[0]
    assert covered.gsd_m == pytest.approx(50 * 8.8 / 8.8 * 2.5e-3 / 8.8, rel=1e-3)
    assert covered.views >= 2
    assert found.length_m("covered") == pytest.approx(260, abs=1.0)
    assert any("taken to have been turned as planned" in note for note in found.notes)
    assert sum(one.length_m for one in found.stretches) == pytest.approx(300.0, abs=0.05)


def test_a_side_that_was_not_to_be_flown_is_not_missing(plan, tmp_path):
    table = geopandas.read_file(plan / "b.geojson")
    other = table.assign(side="right").set_geometry(table.geometry.translate(0, 0.0004), crs=4326)
    both = geopandas.GeoDataFrame(pd.concat([table, other]), crs=4326)
    both.to_file(plan / "b.geojson", driver="GeoJSON", COORDINATE_PRECISION=10)
    write_shots(tmp_path / "photos.csv", shots_along(np.arange(-140, 101, 10)))
    whole = measure_coverage(plan, [tmp_path / "photos.csv"])
    assert {one.side for one in whole.stretches} == {"left", "right"}
    document = json.loads((plan / "plan.json").read_text())
    document["survey"]["sides"] = ["left"]
    (plan / "plan.json").write_text(json.dumps(document))
    found = measure_coverage(plan, [tmp_path / "photos.csv"])
    assert {one.side for one in found.stretches} == {"left"}
    assert found.missing == ()


def test_a_camera_that_stopped_leaves_a_hole_of_the_right_length(plan, tmp_path, capsys):
    places = [x for x in range(-140, 101, 10) if not -60 < x < 40]
    flight = tmp_path / "flight"
    flight.mkdir()
    write_shots(flight / "photos.csv", shots_along(places))
    with pytest.raises(SystemExit) as stopped:
        main(["coverage", str(plan), str(flight)])
    assert stopped.value.code == 1
    # Twice seen up to the second last shot before, at -70, and 25 m on: -45, chainage 1105; and
    # from 25 m before the second one after, at 50: 25, chainage 1175.
    missing = read_missing(flight / "coverage.json")
    assert missing[0].chainage_start_m == pytest.approx(1105, abs=1.0)
    assert missing[-1].chainage_end_m == pytest.approx(1175, abs=1.0)
    assert {one.reason for one in missing} == {"1 of 2 views", "in no picture that is near enough"}
    assert "Missing: G75 left K1+105" in capsys.readouterr().out
    document = json.loads((flight / "coverage.json").read_text())
    assert document["version"] == 1
    assert document["summary"]["missing_m"] == pytest.approx(70, abs=2)


def test_pictures_from_too_high_do_not_count(plan, tmp_path):
    write_shots(tmp_path / "photos.csv", shots_along(np.arange(-140, 101, 10), height_m=65.0))
    found = measure_coverage(plan, [tmp_path / "photos.csv"])
    assert found.length_m("covered") == 0.0
    write_shots(tmp_path / "photos.csv", shots_along(np.arange(-140, 101, 10), height_m=58.0))
    assert measure_coverage(plan, [tmp_path / "photos.csv"]).length_m("covered") > 250


def test_a_gimbal_turned_away_shows_nothing(plan, tmp_path):
    shots = shots_along(np.arange(-140, 101, 10))
    away = [Shot(**{**vars_of(shot), "gimbal_deg": (0.0, -20.0, 0.0)}) for shot in shots]
    write_shots(tmp_path / "photos.csv", away)
    found = measure_coverage(plan, [tmp_path / "photos.csv"])
    assert found.length_m("covered") == 0.0
    assert found.notes == ()


def vars_of(shot):
    return {name: getattr(shot, name) for name in Shot.__dataclass_fields__}


def test_several_flights_add_up(plan, tmp_path):
    shots = shots_along(np.arange(-140, 101, 10))
    write_shots(tmp_path / "a.csv", shots[:12])
    write_shots(tmp_path / "b.csv", shots[12:])
    both = measure_coverage(plan, [tmp_path / "a.csv", tmp_path / "b.csv"])
    assert not both.missing
    one = measure_coverage(plan, [tmp_path / "a.csv"])
    assert math.fsum(piece.length_m for piece in one.missing) > 100


def test_bad_input(plan, tmp_path):
    write_shots(tmp_path / "photos.csv", shots_along([0.0]))
    with pytest.raises(InputError, match=r"holds no plan.json"):
        measure_coverage(tmp_path, [tmp_path / "photos.csv"])
    (plan / "b.geojson").unlink()
    with pytest.raises(InputError, match="its boundaries are not where they were"):
        measure_coverage(plan, [tmp_path / "photos.csv"])
    (tmp_path / "c.json").write_text('{"version": 2, "kind": "fencewalk coverage", "missing": []}')
    with pytest.raises(InputError, match="has version 2"):
        read_missing(tmp_path / "c.json")
    (tmp_path / "c.json").write_text("{}")
    with pytest.raises(InputError, match=r"is no coverage.json"):
        read_missing(tmp_path / "c.json")
