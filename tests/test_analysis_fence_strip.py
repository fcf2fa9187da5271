"""Straightening: what lies left of a line lies up in its strip, whichever way the line runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from analysis.fence.features import network_input
from analysis.fence.strip import STEP_M, Centre, straighten
from analysis.raster import Orthophoto
from corridor import Track

GSD_M = 0.02


def picture(folder: Path, rgb: np.ndarray) -> Orthophoto:
    path = folder / "ortho.tif"
    profile = {
        "driver": "GTiff", "width": rgb.shape[1], "height": rgb.shape[0], "count": 3,
        "dtype": "uint8", "crs": "EPSG:32648", "transform": from_origin(1000, 2020, GSD_M, GSD_M),
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as file:
        file.write(rgb.transpose(2, 0, 1))
    return Orthophoto.open(path)


def track(*xy: tuple[float, float]) -> Track:
    points = np.array(xy, dtype=np.float64)
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    return Track(points, 5000.0 + along)


@pytest.mark.parametrize(
    ("line", "bright_above"),
    [
        (((1002.0, 2010.0), (1018.0, 2010.0)), True),  # eastward: left is north
        (((1018.0, 2010.0), (1002.0, 2010.0)), False),  # westward: left is south
    ],
)
def test_left_is_up(tmp_path: Path, line, bright_above: bool) -> None:
    rgb = np.full((1000, 1000, 3), 40, np.uint8)
    rgb[:500] = 200  # the northern half
    ortho = picture(tmp_path, rgb)
    centre = Centre.of(track(*line))
    strip = straighten(ortho, centre, 0, len(centre.xy), 2.0)
    left = strip.rgb[strip.offset_m > 0.1].mean()
    right = strip.rgb[strip.offset_m < -0.1].mean()
    assert bool(left > right) is bright_above
    assert {round(float(left)), round(float(right))} == {40, 200}


def test_a_spot_is_where_it_should_be(tmp_path: Path) -> None:
    rgb = np.full((1000, 1000, 3), 40, np.uint8)
    # At x 1010.0 to 1010.1, y 2011.0 to 2011.1: 8 m along, 1 m left of a line that runs east.
    rgb[445:450, 500:505] = 250
    ortho = picture(tmp_path, rgb)
    centre = Centre.of(track((1002.0, 2010.0), (1018.0, 2010.0)))
    strip = straighten(ortho, centre, 0, len(centre.xy), 2.0)
    row, column = np.unravel_index(strip.rgb[..., 0].argmax(), strip.rgb.shape[:2])
    assert strip.offset_m[row] == pytest.approx(1.05, abs=0.05)
    assert centre.chainage_m[column] == pytest.approx(5008.05, abs=0.1)


def test_a_piece_equals_the_whole(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    ortho = picture(tmp_path, rng.integers(0, 255, (1000, 1000, 3)).astype(np.uint8))
    centre = Centre.of(track((1002.0, 2003.0), (1009.0, 2012.0), (1018.0, 2013.0)))
    whole = straighten(ortho, centre, 0, len(centre.xy), 1.0)
    piece = straighten(ortho, centre, 70, 110, 1.0)
    np.testing.assert_array_equal(piece.rgb, whole.rgb[:, 70:110])
    np.testing.assert_array_equal(piece.valid, whole.valid[:, 70:110])


def test_nodata_far_away_changes_nothing(tmp_path: Path) -> None:
    # What is read whole takes a short cut, which must come to the same.
    rgb = np.random.default_rng(1).integers(1, 255, (1000, 1000, 3)).astype(np.uint8)
    folders = [tmp_path / name for name in ("whole", "holed")]
    centre = Centre.of(track((1002.0, 2003.0), (1009.0, 2012.0), (1018.0, 2013.0)))
    strips = []
    for folder in folders:
        folder.mkdir()
        ortho = picture(folder, rgb)
        if folder.name == "holed":
            with rasterio.open(folder / "ortho.tif", "r+") as file:
                mask = np.full(rgb.shape[:2], 255, np.uint8)
                mask[790:810, 390:410] = 0  # in the window that is read, beyond the strip
                file.write_mask(mask)
            ortho = Orthophoto.open(folder / "ortho.tif")
            assert not ortho.read((1002.0, 2003.0, 1009.0, 2012.0), GSD_M).valid.all()
        strips.append(straighten(ortho, centre, 0, len(centre.xy), 1.0))
    np.testing.assert_array_equal(strips[0].rgb, strips[1].rgb)
    assert strips[0].valid.all()
    assert strips[1].valid.all()


def test_outside_the_picture_nothing_is_valid(tmp_path: Path) -> None:
    ortho = picture(tmp_path, np.full((1000, 1000, 3), 90, np.uint8))
    centre = Centre.of(track((990.0, 2010.0), (1010.0, 2010.0)))
    strip = straighten(ortho, centre, 0, len(centre.xy), 1.0)
    assert not strip.valid[:, : round(9.5 / STEP_M)].any()
    assert strip.valid[:, round(10.5 / STEP_M) :].all()


def test_the_centre_line_keeps_its_ends_and_rounds_its_corners() -> None:
    line = track((0.0, 0.0), (20.0, 0.0), (20.0, 20.0))
    centre = Centre.of(line)
    np.testing.assert_allclose(centre.xy[[0, -1]], [[0, 0], [20, 20]], atol=0.02)
    assert centre.chainage_m[-1] == 5040.0
    turns = np.abs(np.diff(np.unwrap(np.arctan2(centre.normal[:, 1], centre.normal[:, 0]))))
    assert turns.max() < 0.1
    away = np.hypot(*(centre.xy - [20, 0]).T).min()
    assert 0.3 < away < 1.5


def test_exposure_and_white_balance_hardly_change_the_input() -> None:
    rng = np.random.default_rng(1)
    rgb = rng.uniform(60, 200, (64, 256, 3)).astype(np.float32)
    valid = np.ones(rgb.shape[:2], bool)
    plain = network_input(rgb, valid)
    other = network_input(rgb * np.array([0.6, 0.75, 0.5], np.float32), valid)
    assert np.abs(plain - other).mean() < 0.1 * np.abs(plain).mean()


def test_a_wire_of_one_fine_row_is_told_from_one_of_the_other_half() -> None:
    inputs = []
    for row in (32, 33):
        rgb = np.random.default_rng(1).uniform(90, 110, (64, 256, 3)).astype(np.float32)
        rgb[row] += 60
        inputs.append(network_input(rgb, np.ones(rgb.shape[:2], bool))[:, 16].mean(axis=1))
    upper, lower = inputs
    assert upper[0] == pytest.approx(lower[0], rel=0.1)
    assert upper[3] > 1
    assert lower[3] < -1


def test_an_even_picture_gives_no_nan() -> None:
    rgb = np.full((64, 256, 3), 120, np.float32)
    assert np.isfinite(network_input(rgb, np.zeros(rgb.shape[:2], bool))).all()
    assert np.isfinite(network_input(rgb, np.ones(rgb.shape[:2], bool))).all()
