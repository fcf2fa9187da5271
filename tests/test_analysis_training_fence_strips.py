"""Strips the fence network learns from."""

import json
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine

from analysis.training.fence_paint import CROP, IGNORE
from analysis.training.fence_strips import Sample, draw, load_ground, load_real
from corridor import InputError

GAP = 1


def picture(path: Path, rows: int, columns: int) -> Path:
    """Ground that is lighter to the right: 100 to 200 of red, 50 of green."""
    bands = np.zeros((3, rows, columns), np.uint8)
    bands[0], bands[1] = np.linspace(100, 200, columns), 50
    with rasterio.open(
        path, "w", driver="GTiff", width=columns, height=rows, count=3, dtype="uint8",
        crs="EPSG:32648", transform=Affine(0.05, 0, 5e5, 0, -0.05, 3.3e6), photometric="rgb",
    ) as file:  # fmt: skip
        file.write(bands)
    return path


def test_ground_is_cut_into_strips_of_which_nothing_is_known(tmp_path: Path) -> None:
    strips = load_ground(picture(tmp_path / "a.tif", 1200, 1600), np.random.default_rng(1))
    assert len(strips) == 6
    for strip in strips:
        assert strip.valid.all()
        assert 270 <= strip.rgb.shape[1] <= 500  # 27 to 50 m
        assert (strip.rgb[..., 1] == 50).all()
        assert not strip.fenced
        assert (strip.state == IGNORE).all()
    slopes = [float(np.ptp(strip.rgb[0, :, 0].astype(int))) for strip in strips]
    assert max(slopes) > 2 * min(slopes)  # this way and that


def test_ground_without_room_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="200 by 100 pixels"):
        load_ground(picture(tmp_path / "a.tif", 100, 200), np.random.default_rng(1))


def test_a_fence_is_always_painted_on_ground_of_which_nothing_is_known() -> None:
    rgb, valid = np.full((840, 300, 3), 120, np.uint8), np.ones((840, 300), np.bool_)
    unknown = Sample(rgb, valid, np.full(300, IGNORE, np.int8), fenced=False)
    open_ground = Sample(rgb, valid, np.full(300, GAP, np.int8), fenced=False)
    lines = {}
    for name, sample in (("unknown", unknown), ("open", open_ground)):
        rng = np.random.default_rng(2)
        drawn = [draw(sample, rng) for _ in range(30)]
        lines[name] = np.mean([np.isfinite(line).all() for _, line, _ in drawn])
        for _, line, state in drawn:
            if np.isnan(line).all():
                assert (state == GAP).all()
    assert lines["unknown"] == 1.0
    assert 0.5 < lines["open"] < 1.0


def traced(folder: Path, length_m: float, hidden: list[list[float]]) -> Path:
    """A white fence 0.3 m wide on dark ground, from west to east, hidden as told."""
    rows, columns = 500, round((length_m + 2.0) / 0.04)
    bands = np.full((3, rows, columns), 60, np.uint8)
    bands[:, 250 - 4 : 250 + 4] = 250
    with rasterio.open(
        folder / "ortho.tif", "w", driver="GTiff", width=columns, height=rows, count=3,
        dtype="uint8", crs="EPSG:32648", transform=Affine(0.04, 0, 5e5, 0, -0.04, 3.3e6),
        photometric="rgb",
    ) as file:  # fmt: skip
        file.write(bands)
    line = shapely.LineString([(5e5 + 1, 3.3e6 - 10), (5e5 + 1 + length_m, 3.3e6 - 10)])
    about = {"seen_from_m": -0.15, "seen_to_m": 0.15, "hidden": json.dumps(hidden)}
    table = geopandas.GeoDataFrame([about], geometry=[line], crs="EPSG:32648").to_crs(4326)
    table.to_file(folder / "fence_truth.geojson", driver="GeoJSON", COORDINATE_PRECISION=9)
    return folder


def test_a_real_fence_is_seen_in_several_sizes(tmp_path: Path) -> None:
    strips = load_real(traced(tmp_path, 90.0, [[10.0, 15.0]]), times=2)
    width_m = []
    for strip in strips:
        bright = strip.rgb[:, 5:-5, 0].mean(axis=1) > 150
        assert bright[418:422].all()  # the fence is in the middle
        width_m.append(bright.sum() * 0.02)
        unknown = (strip.state == IGNORE).sum() * 0.1
        assert unknown == pytest.approx(5.0 * width_m[-1] / 0.3, rel=0.15, abs=0.8)
        assert (strip.fenced, strip.real, strip.times) == (True, True, 2)
        assert strip.seen_m == pytest.approx(width_m[-1] / 2, abs=0.03)
    assert width_m == pytest.approx([0.18, 0.24, 0.3, 0.375], abs=0.05)


def test_a_short_real_fence_goes_on_as_its_mirror_image(tmp_path: Path) -> None:
    strip = load_real(traced(tmp_path, 12.0, [[0.0, 2.0]]))[2]
    assert strip.rgb.shape[1] == len(strip.state) >= CROP
    states = "".join("x" if code == IGNORE else "." for code in strip.state)
    assert [len(run) > 0 for run in states.split("x")].count(True) == 3  # 2 to 22, 26 to 46, 50 on
    assert states[235:245] == "x" * 10


def test_a_real_fence_is_cut_as_wide_as_it_is_seen(tmp_path: Path) -> None:
    strip = load_real(traced(tmp_path, 40.0, []))[2]
    rng = np.random.default_rng(4)
    gaps = [(draw(strip, rng)[2] == GAP).any() for _ in range(40)]
    assert 0.3 < np.mean(gaps) < 0.8


def test_a_folder_without_a_traced_fence_is_refused(tmp_path: Path) -> None:
    folder = traced(tmp_path, 12.0, [])
    (folder / "fence_truth.geojson").unlink()
    with pytest.raises(InputError, match="one traced fence"):
        load_real(folder)
