"""The pictures of a run: the same in slices and at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from analysis import picture_work
from analysis.picture_work import whole_ground, whole_ground_work
from analysis.raster import Orthophoto
from analysis.report.pictures import overview


@pytest.mark.parametrize(("rows", "columns"), [(90, 5000), (5000, 90), (300, 400)])
def test_the_ground_in_slices_is_the_ground_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int, columns: int
) -> None:
    rgb = np.random.default_rng(3).integers(1, 250, (3, rows, columns), dtype=np.uint8)
    rgb[:, rows // 3 : rows // 2, columns // 4 : columns // 3] = 0
    profile = {
        "driver": "GTiff", "width": columns, "height": rows, "count": 3, "dtype": "uint8",
        "crs": "EPSG:32648", "transform": from_origin(500_000.3, 3_000_000.7, 0.07, 0.07),
        "nodata": 0,
    }  # fmt: skip
    with rasterio.open(tmp_path / "ortho.tif", "w", **profile) as file:
        file.write(rgb)
    ortho = Orthophoto.open(tmp_path / "ortho.tif")
    monkeypatch.setattr(picture_work, "_SLICE_PX", 40_000)
    monkeypatch.setattr(picture_work, "_SLICE_LEAST_PX", 20)
    pieces = whole_ground_work(ortho)
    assert len(pieces) == -(-rows * columns // 40_000)
    results = {piece.name: piece.work(*piece.arguments) for piece in pieces}
    assert whole_ground(ortho, results) == overview(ortho)


def test_slices_are_no_thinner_than_makes_sense(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = {
        "driver": "GTiff", "width": 3000, "height": 2000, "count": 3, "dtype": "uint8",
        "crs": "EPSG:32648", "transform": from_origin(0, 200, 0.1, 0.1),
    }  # fmt: skip
    with rasterio.open(tmp_path / "ortho.tif", "w", **profile) as file:
        file.write(np.full((3, 2000, 3000), 90, np.uint8))
    ortho = Orthophoto.open(tmp_path / "ortho.tif")
    assert len(whole_ground_work(ortho)) == 1
    monkeypatch.setattr(picture_work, "_SLICE_PX", 10_000)
    assert [piece.run for piece in whole_ground_work(ortho)] == ["ground-"] * 2
