"""A fence assessed from a picture: a drawn one with known gaps, and a real whole one."""

from __future__ import annotations

from pathlib import Path

import cv2
import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from rasterio.transform import from_origin

from analysis.fence.assess import Assessment, assess
from analysis.raster import Orthophoto
from corridor import Track, read_boundaries
from corridor.findings import FenceState

GSD_M = 0.02
LENGTH_M = 60.0


def ground(rows: int, columns: int, seed: int) -> np.ndarray:
    """Grass-like clutter at several scales."""
    rng = np.random.default_rng(seed)
    light = np.zeros((rows, columns))
    for size, strength in ((0, 6.0), (2, 6.0), (8, 6.0), (40, 7.0)):
        noise = rng.normal(0, 1, (rows, columns))
        if size:
            noise = cv2.GaussianBlur(noise, (0, 0), size)
        light += strength * noise / noise.std()
    return np.stack([95 + light, 110 + light, 70 + light], axis=2)


def fence_picture(folder: Path, gaps: list[tuple[float, float]], offset_m: float = 0.6) -> Path:
    """A dark fence 12 cm wide that runs east, `offset_m` left of the line drawn at y = 2010.

    With bright posts every 3 m, whose shadows fall to its right: a bare line may be a kerb.
    """
    columns, rows = round((LENGTH_M + 20) / GSD_M), 1000
    rgb = ground(rows, columns, 3)
    middle = round((2020 - 2010 - offset_m) / GSD_M)
    for column in range(columns):
        along_m = column * GSD_M - 10
        if not any(start <= along_m < end for start, end in gaps):
            rgb[middle - 3 : middle + 3, column] *= 0.3
            if along_m % 3.0 < 0.12:
                rgb[middle - 6 : middle + 6, column] = 200
                rgb[middle + 6 : middle + 40, column] *= 0.6
    path = folder / "ortho.tif"
    profile = {
        "driver": "GTiff", "width": columns, "height": rows, "count": 3, "dtype": "uint8",
        "crs": "EPSG:32648", "transform": from_origin(1000, 2020, GSD_M, GSD_M), "tiled": True,
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as file:
        file.write(rgb.clip(0, 255).astype(np.uint8).transpose(2, 0, 1))
    return path


DRAWN = Track(np.array([[1010.0, 2010.0], [1070.0, 2010.0]]), np.array([100.0, 160.0]))


def metres(found: Assessment, state: FenceState) -> float:
    return sum(span.end_m - span.start_m for span in found.spans if span.state is state)


def tiles(found: Assessment, start_m: float, end_m: float) -> bool:
    edges = [start_m, *(span.end_m for span in found.spans)]
    return edges[-1] == end_m and all(
        span.start_m == edge for span, edge in zip(found.spans, edges[:-1], strict=True)
    )


def test_gaps_are_found_where_they_are(tmp_path: Path) -> None:
    gaps = [(12.0, 15.0), (33.0, 35.0)]
    ortho = Orthophoto.open(fence_picture(tmp_path, gaps))
    found = assess(ortho, DRAWN, 2.0)
    assert tiles(found, 100.0, 160.0)
    assert len(found.broken) == 2
    for broken, (start_m, end_m) in zip(found.broken, gaps, strict=True):
        middle_m = 100 + (start_m + end_m) / 2
        assert (broken.start_m + broken.end_m) / 2 == pytest.approx(middle_m, abs=0.6)
        assert 0.5 < broken.confidence <= 1.0
    assert np.median(found.offset_m) == pytest.approx(0.6, abs=0.1)


def test_a_gap_that_ends_just_before_the_line_does_is_found(tmp_path: Path) -> None:
    ortho = Orthophoto.open(fence_picture(tmp_path, [(55.0, 59.0)]))
    (broken,) = assess(ortho, DRAWN, 2.0).broken
    assert broken.start_m == pytest.approx(155.0, abs=0.5)


def test_of_a_gap_cut_by_the_end_of_the_line_nothing_is_claimed(tmp_path: Path) -> None:
    found = assess(Orthophoto.open(fence_picture(tmp_path, [(57.0, 70.0)])), DRAWN, 2.0)
    assert not found.broken
    assert found.spans[-1].state is FenceState.UNSEEN
    assert found.spans[-1].reason == "doubtful: may be broken"


def test_a_whole_fence_has_no_breach(tmp_path: Path) -> None:
    ortho = Orthophoto.open(fence_picture(tmp_path, [], offset_m=-1.1))
    found = assess(ortho, DRAWN, 2.0)
    assert not found.broken
    assert metres(found, FenceState.INTACT) > 0.95 * LENGTH_M
    assert np.median(found.offset_m) == pytest.approx(-1.1, abs=0.1)


def test_no_fence_is_not_called_intact(tmp_path: Path) -> None:
    ortho = Orthophoto.open(fence_picture(tmp_path, [(-10.0, 70.0)]))
    found = assess(ortho, DRAWN, 2.0)
    assert tiles(found, 100.0, 160.0)
    assert metres(found, FenceState.INTACT) < 0.2 * LENGTH_M


def test_what_is_outside_the_picture_is_unseen(tmp_path: Path) -> None:
    ortho = Orthophoto.open(fence_picture(tmp_path, []))
    longer = Track(np.array([[1010.0, 2010.0], [1110.0, 2010.0]]), np.array([100.0, 200.0]))
    found = assess(ortho, longer, 2.0)
    assert tiles(found, 100.0, 200.0)
    last = found.spans[-1]
    assert (last.state, last.reason) == (FenceState.UNSEEN, "not imaged")
    assert last.start_m == pytest.approx(170.0, abs=1.0)


def test_pixels_of_ten_centimetres_show_no_fence(tmp_path: Path) -> None:
    path = tmp_path / "coarse.tif"
    profile = {
        "driver": "GTiff", "width": 800, "height": 200, "count": 3, "dtype": "uint8",
        "crs": "EPSG:32648", "transform": from_origin(1000, 2020, 0.1, 0.1),
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as file:
        file.write(ground(200, 800, 1).clip(0, 255).astype(np.uint8).transpose(2, 0, 1))
    found = assess(Orthophoto.open(path), DRAWN, 2.0)
    assert [span.state for span in found.spans] == [FenceState.UNSEEN]
    assert "10 cm" in found.spans[0].reason


@pytest.mark.data
def test_a_real_whole_fence(data_dir: Path) -> None:
    folder = data_dir / "caliterra-9414"
    ortho = Orthophoto.open(folder / "ortho.tif")
    boundary = read_boundaries(folder / "boundaries.geojson")[0]
    track = ortho.track(boundary, 0)
    found = assess(ortho, track, boundary.offset_tolerance_m)
    length_m = track.chainage_m[-1] - track.chainage_m[0]
    assert not found.broken
    assert metres(found, FenceState.INTACT) >= 0.95 * length_m
    truth = geopandas.read_file(folder / "fence_truth.geojson").to_crs(ortho.crs).geometry[0]
    away_m = shapely.distance(shapely.points(found.xy), truth)
    assert np.median(away_m) <= 0.10
