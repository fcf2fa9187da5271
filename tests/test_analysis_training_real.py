"""Real pictures with traced paths, as training and the judge read them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from rasterio.transform import from_origin

from analysis.training.footpaths_judge import main as fit_judge
from analysis.training.footpaths_real import labelled, read_traced, traced_samples
from analysis.training.footpaths_scenes import FOOTPATH, KNOWN
from corridor.errors import InputError

GSD_M = 0.1
SIZE = 300


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A field 30 m across with a path of 0.8 m down its middle, traced in its western 20 m."""
    rng = np.random.default_rng(3)
    rgb = np.full((SIZE, SIZE, 3), (90, 120, 60), np.float32) + rng.normal(0, 6, (SIZE, SIZE, 1))
    rgb[:, 96:104] = (190, 165, 120)
    profile = {
        "driver": "GTiff", "width": SIZE, "height": SIZE, "count": 3, "dtype": "uint8",
        "crs": "EPSG:32650", "transform": from_origin(500_000, 3_000_000, GSD_M, GSD_M),
    }  # fmt: skip
    with rasterio.open(tmp_path / "ortho.tif", "w", **profile) as dataset:
        dataset.write(rgb.clip(0, 255).astype(np.uint8).transpose(2, 0, 1))
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32650"}}

    def write(name: str, geometry: dict[str, object], properties: dict[str, object]) -> None:
        feature = {"type": "Feature", "properties": properties, "geometry": geometry}
        table = {"type": "FeatureCollection", "crs": crs, "features": [feature]}
        (tmp_path / name).write_text(json.dumps(table))

    line = [[500_010, 3_000_000], [500_010, 2_999_970]]
    write("footpaths.geojson", {"type": "LineString", "coordinates": line}, {"width_m": 0.8})
    ring = [[500_000, 3_000_000], [500_020, 3_000_000], [500_020, 2_999_970], [500_000, 2_999_970]]
    write("roi.geojson", {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}, {})
    return tmp_path


def test_a_traced_path_is_drawn_as_wide_as_it_is(folder: Path) -> None:
    picture = labelled(read_traced(folder))
    across = picture.what[150] & FOOTPATH > 0
    assert across.sum() * picture.gsd_m == pytest.approx(0.8, abs=0.11)
    assert np.flatnonzero(across).mean() * picture.gsd_m == pytest.approx(10.0, abs=0.1)


def test_nothing_is_known_of_rims_and_outside_the_traced_area(folder: Path) -> None:
    ignored = labelled(read_traced(folder)).what[150] & KNOWN == 0
    assert ignored[210:].all()
    assert ignored[[93, 107]].all()
    assert not ignored[[*range(20, 85), 100]].any()


def test_points_lie_on_a_path_beside_it_or_where_nobody_looked(folder: Path) -> None:
    xy = np.array([[500_010.4, 2_999_980], [500_015.0, 2_999_980], [500_025.0, 2_999_980]])
    np.testing.assert_array_equal(read_traced(folder).share_on(1.0)(xy), [1.0, 0.0, np.nan])


def test_training_pictures_hold_the_path_and_learn_only_footpaths(folder: Path) -> None:
    source = traced_samples([folder], 128)
    samples = [source(np.random.default_rng(seed)) for seed in range(6)]
    learned = [(s.target[0] > 0) & (s.weight[0] > 0) for s in samples]
    assert sum(bool(part.any()) for part in learned) >= 3
    assert not any(s.weight[1:].any() for s in samples)
    for sample, part in zip(samples, learned, strict=True):
        if part.sum() > 50:
            red = sample.rgb[..., 0].astype(float)
            ground = (sample.target[0] == 0) & (sample.weight[0] > 0)
            assert red[part].mean() > red[ground].mean() + 1000


def test_a_folder_without_traced_paths_is_named(folder: Path) -> None:
    (folder / "footpaths.geojson").unlink()
    with pytest.raises(InputError, match=r"footpaths\.geojson"):
        read_traced(folder)


def test_the_fit_names_a_folder_without_traced_paths(tmp_path: Path) -> None:
    told = CliRunner().invoke(fit_judge, ["--real", str(tmp_path)])
    assert told.exit_code == 2
    assert "has no ortho.tif" in told.output
