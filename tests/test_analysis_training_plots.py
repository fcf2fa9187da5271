"""What the network for plots is taught: labels that lie where the picture shows it."""

from __future__ import annotations

from pathlib import Path

import cv2
import geopandas
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from plot_ground import GREEN, NORTH, SOIL, WEST, Ground

from analysis.training.footpaths_ground import new_ground
from analysis.training.plots_lookalikes import PAINTERS
from analysis.training.plots_pictures import (
    CORE_M,
    CROP_PX,
    HIDDEN_WEIGHT,
    READ_GSD_M,
    Crop,
    Pictures,
    crossed,
    cut,
    painted,
    read_ground,
    read_scene,
    seen,
    with_look_alikes,
)
from corridor.findings import Finding, FindingKind, write_gpkg

GROUND = Ground(500, READ_GSD_M)


def crop_of(lab: np.ndarray, plot: float) -> Crop:
    full = np.full(lab.shape[:2], 1.0)
    return Crop(lab, plot * full, plot * full, 0.2 * full, full > 0, 0.1)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Grass, a bed of soil 10 m by 4 m, half under a tree, a fence to the left of a road east."""
    folder = tmp_path_factory.mktemp("scene")
    inside = GROUND.box(12, 18, 22, 22)[:, :, None]
    ortho = GROUND.ortho(folder, GREEN * (1 - inside) + SOIL * inside)
    outline = shapely.box(WEST + 12, NORTH - 22, WEST + 22, NORTH - 18)
    bed = Finding(
        "P1", FindingKind.PLOT, shapely.transform(outline, ortho.to_lonlat), 1.0, route="G1"
    )

    def layer(shape: shapely.Geometry, **columns: object) -> geopandas.GeoDataFrame:
        table = geopandas.GeoDataFrame(columns, geometry=[shape], crs=ortho.crs.to_wkt())
        return table.to_crs("EPSG:4326")

    fence = shapely.LineString([(WEST - 5, NORTH - 10), (WEST + 45, NORTH - 10)])
    crown = shapely.box(WEST + 17, NORTH - 24, WEST + 24, NORTH - 16)
    write_gpkg(
        folder / "truth.gpkg", [bed], [],
        {"fence_line": layer(fence, side=["left"]), "crowns": layer(crown, height_m=[4.0])},
    )  # fmt: skip
    return folder


def test_a_scene_teaches_where_its_truth_is_known(scene: Path) -> None:
    picture = read_scene(scene)
    plot, core, weight = np.moveaxis(picture.labels, 2, 0)
    assert plot.sum() * READ_GSD_M**2 == pytest.approx(40.0, rel=0.02)
    assert core.sum() * READ_GSD_M**2 == pytest.approx(
        (10 - 2 * CORE_M) * (4 - 2 * CORE_M), rel=0.03
    )
    assert (picture.rgb[plot > 0] == SOIL).all()
    assert set(np.unique(weight[plot > 0])) == {round(100 * HIDDEN_WEIGHT), 100}
    # Beyond the fence, 10 m south of the picture's north edge, nothing is known.
    cut_off = GROUND.shape[0] - weight.shape[0]
    first = int(np.argmax(weight.any(axis=1))) + cut_off
    assert first * READ_GSD_M == pytest.approx(10.0, abs=0.2)
    assert plot[tuple(picture.on_plot.T)].all()
    assert weight[tuple(picture.inside.T)].all()


def test_a_crop_carries_its_labels_along(scene: Path) -> None:
    picture, rng = read_scene(scene), np.random.default_rng(4)
    shown = 0
    for _ in range(12):
        crop = cut(picture, rng)
        # Soil is redder than grass.
        red = (crop.lab[..., 1] > 0) & crop.valid
        shown += int(red.sum())
        assert (red != (crop.plot > 0.5)).sum() <= 0.06 * max(red.sum(), 500)
        assert (crop.core <= crop.plot).all()
    assert shown > 1000


def test_what_the_camera_sees_lies_where_the_labels_are(scene: Path) -> None:
    picture, rng = read_scene(scene), np.random.default_rng(5)
    agree = []
    for _ in range(12):
        planes, labels = seen(cut(picture, rng), rng)
        assert planes.shape == (6, CROP_PX, CROP_PX)
        assert labels.shape == (3, CROP_PX, CROP_PX)
        plot = labels[0] > 0.5
        if plot.any() and not plot.all():
            agree.append(float(planes[4][plot].mean() > planes[4][~plot].mean()))
    assert len(agree) > 4
    assert np.mean(agree) > 0.9


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10_000))
def test_painted_plots_have_their_core_well_inside(seed: int) -> None:
    crop = painted(np.random.default_rng(seed))
    plot, core = crop.plot > 0.5, crop.core > 0.5
    assert (crop.weight[plot] == 1).all()
    away_px = cv2.distanceTransform(plot.astype(np.uint8), cv2.DIST_L2, 5)
    assert (away_px[core] * crop.gsd_m > CORE_M).all()
    assert not core[~plot].any()


@pytest.mark.parametrize("number", range(len(PAINTERS)))
def test_look_alikes_take_the_place_of_plots(monkeypatch, number: int) -> None:
    monkeypatch.setattr(
        "analysis.training.plots_lookalikes.PAINTERS", ((PAINTERS[number][0], 1.0),)
    )
    covered_px = 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        before = crop_of(new_ground(rng, CROP_PX, 0.1).lab, 1.0)
        was = before.lab.copy()
        after = with_look_alikes(before, rng)
        covered = after.plot == 0
        covered_px += int(covered.sum())
        assert np.isfinite(after.lab).all()
        assert (after.core == after.plot).all()
        # What covers a plot is known to be none; nothing is learned of the rest but what was.
        assert (after.weight[covered] == 1).all()
        assert (after.weight[~covered] == 0.2).all()
        if covered.any():
            assert (after.lab[covered] != was[covered]).mean() > 0.5
    assert covered_px > 500


def test_a_bed_goes_on_under_a_line_laid_across_it() -> None:
    shares = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        before = crop_of(new_ground(rng, CROP_PX, 0.1).lab, 1.0)
        after = crossed(before, rng)
        assert after.lab.dtype == np.float32
        assert (after.plot == before.plot).all()
        assert (after.core == before.core).all()
        shares.append(float((after.lab != before.lab).any(axis=2).mean()))
    assert 0 < max(shares) < 0.1


def test_ground_without_plots_teaches_that_it_has_none(tmp_path: Path) -> None:
    picture = read_ground(GROUND.ortho(tmp_path, GREEN * np.ones((*GROUND.shape, 1))).paths[0])
    assert not picture.labels[..., :2].any()
    assert (picture.labels[..., 2] == 100).all()
    assert not len(picture.on_plot)


def test_the_same_seed_draws_the_same_crops(scene: Path) -> None:
    one = read_scene(scene)
    first, again = (
        [Pictures([one], [one]).draw(np.random.default_rng(seed)) for seed in range(6)]
        for _ in range(2)
    )
    for (planes, labels), (planes2, labels2) in zip(first, again, strict=True):
        assert np.array_equal(planes, planes2)
        assert np.array_equal(labels, labels2)
