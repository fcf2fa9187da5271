"""The whole loop, as a user types it: scene, plan, flight, frames, orthophoto, analysis."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import geopandas
import numpy as np
import pytest
import rasterio
import rasterio.features
import shapely.ops

from corridor import read_boundaries
from corridor.findings import FenceState, read_condition
from fencewalk.cli import main

GSD_M = 0.05
# A camera of few pixels, so that the frames are soon drawn: 4 cm a pixel from 40 m.
SURVEY = """
[camera]
preset = "sony-rx1r-ii"
image_width_px = 994
image_height_px = 663
[capture]
height_m = 40.0
"""


def fencewalk(*order: object) -> int:
    with pytest.raises(SystemExit) as stopped:
        main([str(word) for word in order])
    code = stopped.value.code
    assert isinstance(code, int)
    return code


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the loop has been run up to the orthophoto."""
    folder = tmp_path_factory.mktemp("loop")
    scene, plan, flight = (folder / name for name in ("scene", "plan", "flight"))
    order = f"scene --seed 7 --length 100 --band 30 --gsd {GSD_M} --difficulty easy --out"
    assert fencewalk(*order.split(), scene) == 0
    (folder / "survey.toml").write_text(SURVEY)
    lines = geopandas.read_file(scene / "boundaries.geojson")
    lon, lat = lines.geometry.iloc[0].interpolate(0.5, normalized=True).coords[0]
    launch = ["--launch", f"{lon:.6f},{lat:.6f}", "--sides", "left"]
    survey = ["--config", folder / "survey.toml", "--dem", scene / "dsm.tif"]
    assert fencewalk("plan", scene / "boundaries.geojson", *survey, *launch, "--out", plan) == 0
    photograph = ["--camera", scene, "--receiver", "perfect"]
    assert fencewalk("fly", plan, *photograph, "--out", flight) == 0
    frames = sorted((flight / "frames").glob("*.JPG"))
    surface = ["--dem", scene / "dsm.tif", "--gsd", GSD_M]
    assert fencewalk("orthophoto", *frames, *surface, "--out", folder / "ortho.tif") == 0
    return folder


def test_each_shot_of_the_flight_is_a_frame(site: Path) -> None:
    shots = (site / "flight" / "photos.csv").read_text().splitlines()[1:]
    frames = list((site / "flight" / "frames").glob("*.JPG"))
    planned = json.loads((site / "plan" / "plan.json").read_text())["sorties"][0]["photos"]
    assert len(frames) == len(shots)
    assert len(frames) == pytest.approx(planned, abs=3)


def test_the_orthophoto_lies_on_the_scenes_own_within_a_pixel_and_has_no_holes(site: Path) -> None:
    with (
        rasterio.open(site / "scene" / "ortho.tif") as drawn,
        rasterio.open(site / "ortho.tif") as made,
    ):
        # Both grids lie on whole multiples of the pixel, so one is cut to the other.
        window = rasterio.windows.from_bounds(*made.bounds, drawn.transform)
        assert abs(window.col_off - round(window.col_off)) < 1e-3
        truth = drawn.read([1, 2, 3], window=window, boundless=True).mean(axis=0)
        picture, alpha = made.read([1, 2, 3]).mean(axis=0), made.read(4)
        line = geopandas.read_file(site / "scene" / "boundaries.geojson").to_crs(made.crs)
        # Beyond the ends of the lane frames look at one side only of what stands high.
        strip = shapely.ops.substring(line.geometry.iloc[0], 8.0, 90.0).buffer(8.0)
        inside = rasterio.features.geometry_mask([strip], alpha.shape, made.transform, invert=True)
    assert (alpha[inside] == 0).mean() < 0.002
    rows, columns = np.nonzero(cv2.erode(inside.astype(np.uint8), np.ones((49, 49))))
    rng = np.random.default_rng(0)
    away = []
    for n in rng.permutation(len(rows)):
        row, column = rows[n], columns[n]
        patch = truth[row - 12 : row + 13, column - 12 : column + 13].astype(np.float32)
        if patch.std() < 3.0:  # nothing to find
            continue
        around = picture[row - 17 : row + 18, column - 17 : column + 18].astype(np.float32)
        found = cv2.minMaxLoc(cv2.matchTemplate(around, patch, cv2.TM_CCOEFF_NORMED))[3]
        away.append(np.hypot(found[0] - 5, found[1] - 5))
        if len(away) == 50:
            break
    assert len(away) == 50
    assert np.sqrt(np.mean(np.square(away))) < 1.0


def test_the_analysis_reads_the_orthophoto_and_how_well_it_was_seen(site: Path) -> None:
    boundaries = site / "scene" / "boundaries.geojson"
    order = ["analyze", site / "ortho.tif", "--boundaries", boundaries, "--only", "fence", "--out"]
    assert fencewalk(*order, site / "findings") in (0, 1)
    pieces = read_condition(site / "findings" / "findings.gpkg")
    for boundary in read_boundaries(boundaries):
        own = [p for p in pieces if p.side is boundary.side]
        assert own[0].chainage_start_m == pytest.approx(boundary.chainage_start_m[0], abs=0.01)
        assert own[-1].chainage_end_m == pytest.approx(boundary.chainage_end_m, abs=0.01)
        unseen_m = sum(
            p.chainage_end_m - p.chainage_start_m for p in own if p.state is FenceState.UNSEEN
        )
        flown = boundary.side.value == "left"
        assert unseen_m < 20.0 if flown else unseen_m > 20.0
