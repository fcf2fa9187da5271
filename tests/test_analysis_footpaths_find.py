"""Footpaths end to end on small pictures with one winding path."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import rasterio
import shapely
from rasterio.enums import ColorInterp
from rasterio.transform import from_origin

from analysis.codec import decode, encode
from analysis.crew import Crew
from analysis.footpaths import Footpath, FootpathConfig, PathClass, find_footpaths
from analysis.footpaths.channels import network_input, to_lab
from analysis.footpaths.evidence import PackedScores, RidgePixels, WindowRidges
from analysis.footpaths.find import joined, look, windows_of
from analysis.footpaths.grid import WorkingGrid
from analysis.footpaths.network import HALO_PX, Network
from analysis.footpaths.profile import measured, piece_count, profile_from, profile_of
from analysis.footpaths.results import footpath_findings
from analysis.raster import Orthophoto
from corridor import InputError

WEST, NORTH = 500_000.0, 3_000_000.0


def write(path: Path, rgb: np.ndarray, gsd_m: float) -> Orthophoto:
    profile = {
        "driver": "GTiff", "width": rgb.shape[1], "height": rgb.shape[0], "count": 3,
        "dtype": "uint8", "crs": "EPSG:32648", "transform": from_origin(WEST, NORTH, gsd_m, gsd_m),
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(rgb.transpose(2, 0, 1))
    return Orthophoto.open(path)


def winding() -> shapely.LineString:
    x = np.linspace(3, 67, 200)
    y = 22 + 5 * np.sin(x / 7) + 0.5 * np.sin(x / 1.9)
    return shapely.LineString(np.column_stack([WEST + x, NORTH - y]))


@pytest.fixture(scope="module")
def meadow(tmp_path_factory: pytest.TempPathFactory) -> Orthophoto:
    """70 m by 45 m of grass at 0.1 m with a worn path 0.8 m wide."""
    rng = np.random.default_rng(5)
    rgb = (
        np.array([95, 115, 60]) + rng.normal(0, 9, (450, 700, 1)) + rng.normal(0, 4, (450, 700, 3))
    )
    rgb = cv2.GaussianBlur(rgb, (0, 0), 0.8)
    mask = np.zeros((450, 700), np.uint8)
    places = (shapely.get_coordinates(winding()) - (WEST, NORTH)) * (10, -10)
    cv2.polylines(mask, [np.round(places).astype(np.int32)], False, 255, 8)
    alpha = cv2.GaussianBlur(mask, (0, 0), 1.0)[..., None] / 255
    rgb = rgb * (1 - alpha) + alpha * (np.array([150, 132, 100]) + rng.normal(0, 3, (450, 700, 1)))
    folder = tmp_path_factory.mktemp("meadow")
    return write(folder / "ortho.tif", np.clip(rgb, 1, 254).astype(np.uint8), 0.1)


def scored(paths: list[Footpath]) -> tuple[float, float]:
    found = shapely.union_all([p.centreline for p in paths])
    truth = winding()
    return (
        truth.intersection(found.buffer(0.5)).length / truth.length,
        found.intersection(truth.buffer(0.5)).length / max(found.length, 1e-9),
    )


FILTER = FootpathConfig(network_weight=0.0, tile_px=128)


@pytest.fixture(scope="module")
def by_filter(meadow: Orthophoto) -> list[Footpath]:
    return find_footpaths(meadow, config=FILTER)


def test_the_filter_alone_finds_a_winding_path(by_filter: list[Footpath]) -> None:
    completeness, correctness = scored(by_filter)
    assert completeness > 0.85
    assert correctness > 0.85


def test_the_path_has_its_width(by_filter: list[Footpath]) -> None:
    longest = by_filter[0]
    assert longest.width_m == pytest.approx(0.8, abs=0.25)
    assert longest.path_class is PathClass.FOOTPATH
    assert 0 < longest.confidence < 1


@pytest.mark.parametrize("network", [False, True])
def test_the_size_of_tiles_changes_nothing(meadow: Orthophoto, network: bool) -> None:
    weight = FootpathConfig().network_weight if network else 0.0
    runs = [
        find_footpaths(meadow, config=FootpathConfig(network_weight=weight, tile_px=tile_px))
        for tile_px in (96, 256)
    ]
    assert len(runs[0]) > 0
    assert len(runs[0]) == len(runs[1])
    for one, other in zip(*runs, strict=True):
        assert one.centreline.equals(other.centreline)
        assert one.evidence == other.evidence


def test_the_size_of_tiles_changes_nothing_in_a_band(meadow: Orthophoto) -> None:
    """What is computed of a tile depends on the area, what is found does not."""
    area = shapely.LineString([(WEST, NORTH - 12), (WEST + 70, NORTH - 30)]).buffer(9)
    runs = [
        find_footpaths(meadow, area, config=FootpathConfig(network_weight=0.0, tile_px=tile_px))
        for tile_px in (96, 256)
    ]
    assert len(runs[0]) == len(runs[1]) > 0
    for one, other in zip(*runs, strict=True):
        assert one.centreline.equals(other.centreline)


def test_windows_shared_out_are_joined_as_one(
    meadow: Orthophoto, by_filter: list[Footpath], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many small windows, each kept as text, in any order, and two processes: the same paths."""
    config = FootpathConfig(network_weight=0.0, tile_px=48)
    area = shapely.box(*meadow.bounds)
    windows = windows_of(meadow, area, config, None)
    assert len(windows) > 8
    assert sum(w.rows * w.columns for w in windows) == 450 * 700
    kept = [
        json.dumps(encode(look(meadow, area, window, config=config, network=None)))
        for window in reversed(windows)
    ]
    types = (WindowRidges, RidgePixels, PackedScores)
    found = [decode(json.loads(text), types) for text in kept]
    monkeypatch.setattr("analysis.footpaths.find._GROUP_PX", 200)
    monkeypatch.setattr("analysis.footpaths.find._LINE_PX", 20)
    monkeypatch.setattr("analysis.footpaths.find._ACROSS", 3)
    with Crew(2) as crew:
        paths = joined(meadow, area, found, config=config, network=False, crew=crew)
    assert [(p.centreline.wkb, p.path_class, p.evidence, p.confidence) for p in paths] == [
        (p.centreline.wkb, p.path_class, p.evidence, p.confidence) for p in by_filter
    ]


def test_what_lies_beyond_the_picture_counts_for_nothing(
    meadow: Orthophoto, tmp_path: Path
) -> None:
    """The picture within a frame without data: the same paths as without the frame."""
    patch = meadow.read()
    alpha = np.zeros((450 + 192, 700 + 192), np.uint8)
    alpha[96:-96, 96:-96] = 255
    rgb = np.zeros((*alpha.shape, 3), np.uint8)
    rgb[96:-96, 96:-96] = patch.rgb
    profile = {
        "driver": "GTiff", "width": alpha.shape[1], "height": alpha.shape[0], "count": 4,
        "dtype": "uint8", "crs": "EPSG:32648",
        "transform": from_origin(WEST - 9.6, NORTH + 9.6, 0.1, 0.1),
    }  # fmt: skip
    with rasterio.open(tmp_path / "framed.tif", "w", **profile) as dataset:
        dataset.write(np.concatenate([rgb.transpose(2, 0, 1), alpha[None]]))
        dataset.colorinterp = [*dataset.colorinterp[:3], ColorInterp.alpha]
    framed = Orthophoto.open(tmp_path / "framed.tif")
    runs = [find_footpaths(ortho, config=FILTER) for ortho in (meadow, framed)]
    assert len(runs[0]) == len(runs[1]) > 0
    for one, other in zip(*runs, strict=True):
        assert one.centreline.equals_exact(other.centreline, 1e-6)


def test_a_line_measured_in_parts_has_the_profile_of_the_whole(meadow: Orthophoto) -> None:
    # Further than the picture, so that some of it is not there to be measured.
    line = shapely.LineString([*winding().coords, (WEST + 90, NORTH - 20)])
    grid = WorkingGrid.of(meadow, 0.1)
    count = piece_count(line)
    parts = [measured(line, grid, 1.0, range(n, min(n + 4, count))) for n in range(0, count, 4)]
    assert sum(map(len, parts)) < count
    table, whole = np.concatenate(parts), profile_of(line, grid, 1.0)
    put_together = profile_from(table, 1.0)
    assert put_together.centres.tobytes() == whole.centres.tobytes()
    assert replace(put_together, centres=None) == replace(whole, centres=None)
    assert whole.width_m == pytest.approx(0.8, abs=0.15)


def test_white_holes_hold_no_path(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    rgb = np.array([95, 115, 60]) + rng.normal(0, 9, (300, 300, 1)) * np.ones(3)
    rgb[140:148, 20:280] = 255
    assert (
        find_footpaths(
            write(tmp_path / "o.tif", rgb.clip(1, 255).astype(np.uint8), 0.1), config=FILTER
        )
        == []
    )


def test_only_the_area_asked_for(meadow: Orthophoto) -> None:
    area = shapely.box(WEST + 10, NORTH - 45, WEST + 40, NORTH)
    paths = find_footpaths(meadow, area, config=FILTER)
    assert paths
    assert all(area.buffer(0.5).contains(path.centreline) for path in paths)
    assert find_footpaths(meadow, shapely.box(0, 0, 1, 1), config=FILTER) == []


def test_findings_carry_class_and_width(meadow: Orthophoto, by_filter: list[Footpath]) -> None:
    finding = footpath_findings(by_filter, meadow)[0]
    assert finding.extra["path_class"] == "footpath"
    assert finding.finding_id == "F0001"
    lon, lat = finding.geometry.coords[0]
    assert 100 < lon < 110
    assert 26 < lat < 28


def test_a_picture_too_coarse_for_paths_is_refused(tmp_path: Path) -> None:
    ortho = write(tmp_path / "coarse.tif", np.full((40, 40, 3), 90, np.uint8), 1.0)
    with pytest.raises(InputError, match=r"1\.00 m: footpaths cannot be seen"):
        find_footpaths(ortho)


@pytest.mark.parametrize(
    ("native_m", "average", "refine"),
    [(0.018, 6, 1), (0.05, 2, 1), (0.131, 1, 1), (0.15, 1, 1), (0.2, 1, 2), (0.3, 1, 2)],
)
def test_the_working_grid_is_about_a_tenth_of_a_metre(
    tmp_path: Path, native_m: float, average: int, refine: int
) -> None:
    ortho = write(tmp_path / "o.tif", np.full((64, 64, 3), 90, np.uint8), native_m)
    grid = WorkingGrid.of(ortho, 0.1)
    assert (grid.average, grid.refine) == (average, refine)
    assert 0.075 <= grid.gsd_m <= 0.151


@pytest.mark.parametrize("native_m", [0.05, 0.3])
def test_windows_of_the_working_grid_agree(tmp_path: Path, native_m: float) -> None:
    rgb = np.random.default_rng(1).integers(1, 250, (80, 90, 3)).astype(np.uint8)
    grid = WorkingGrid.of(write(tmp_path / "o.tif", rgb, native_m), 0.1)
    whole, valid = grid.read(0, 0, 40, 44)
    part, _ = grid.read(11, 7, 20, 30)
    assert valid.all()
    np.testing.assert_array_equal(whole[11:31, 7:37], part)


@pytest.mark.parametrize("column", [384, 398, 412])
def test_the_network_looks_no_further_than_its_halo(column: int) -> None:
    """Wherever the change lies on the coarsest of its grids, and however strong it is."""
    network = Network()
    rng = np.random.default_rng(2)
    planes = 1.5 * rng.standard_normal((6, 64, 800)).astype(np.float32)
    whole = network.run(planes)

    def differs(side: Any) -> np.ndarray:
        changed = planes.copy()
        changed[side] = 1.5 * rng.standard_normal(changed[side].shape)
        return np.flatnonzero((network.run(changed) != whole).any(axis=(0, 1)))

    assert column - HALO_PX <= 2 * differs(np.s_[..., column:])[0] < column - 160
    assert column + 160 < 2 * differs(np.s_[..., :column])[-1] + 2 <= column + HALO_PX


def test_the_network_gives_a_part_the_answers_of_the_whole() -> None:
    network = Network()
    planes = np.random.default_rng(2).standard_normal((6, 576, 576)).astype(np.float32)
    whole = network.run(planes)
    part = network.run(np.ascontiguousarray(planes[:, 32:544, 64:]))
    inner = np.s_[:, HALO_PX // 2 : 148, HALO_PX // 2 : 148]
    np.testing.assert_array_equal(part[inner], whole[:, 16:, 32:][inner])


def test_flat_ground_gives_the_network_finite_numbers() -> None:
    flat = to_lab(np.full((64, 64, 3), 1600, np.uint16))
    planes = network_input(flat, np.ones((64, 64), bool), 0.1)
    assert np.isfinite(planes).all()
    assert np.abs(planes[:3]).max() == 0


def test_lab_of_known_colours() -> None:
    rgb = np.array([[[255, 255, 255], [128, 128, 128], [255, 0, 0]]], np.uint16) * 16
    lab = to_lab(rgb)[:, 0].T / 16
    np.testing.assert_allclose(lab, [[100, 0, 0], [53.6, 0, 0], [53.2, 80.1, 67.2]], atol=0.15)
