"""Surface models on the orthophoto's grid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import CRS

from analysis.heights import SurfaceModel
from corridor import InputError

UTM = CRS.from_epsg(32647)
HERE = (500_000.0, 2_999_990.0, 500_010.0, 3_000_000.0)


def write(path: Path, heights: Any, crs: str | None = "EPSG:32647", **options: Any) -> Path:
    heights = np.atleast_3d(np.asarray(heights, np.float32)).transpose(2, 0, 1)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=len(heights),
        height=heights.shape[1],
        width=heights.shape[2],
        dtype="float32",
        crs=crs,
        transform=options.pop("transform", Affine(1, 0, 500_000, 0, -1, 3_000_000)),
        **options,
    ) as dataset:
        dataset.write(heights)
    return path


def test_a_slope_is_read_as_a_slope(tmp_path: Path) -> None:
    columns = np.tile(np.arange(10.0) + 0.5, (10, 1))  # height = metres east of the west edge
    model = SurfaceModel.open(write(tmp_path / "d.tif", columns), UTM, HERE)
    heights = model.read(Affine(0.1, 0, 500_002, 0, -0.1, 2_999_995), (3, 20))
    assert heights == pytest.approx(np.tile(2.05 + 0.1 * np.arange(20), (3, 1)), abs=1e-3)


def test_what_is_missing_stays_missing(tmp_path: Path) -> None:
    grid = np.full((10, 10), 5.0)
    grid[2, 3] = -9999
    grid[7, 7] = np.nan
    model = SurfaceModel.open(write(tmp_path / "d.tif", grid, nodata=-9999), UTM, HERE)
    heights = model.read(Affine(1, 0, 499_999, 0, -1, 3_000_001), (12, 12))
    assert np.isnan(heights[[0, -1]]).all()
    assert np.isnan(heights[3, 4])
    assert np.isnan(heights[8, 8])
    assert np.isfinite(heights[1:-1, 1:-1]).sum() == 98


def test_another_crs_is_brought_along(tmp_path: Path) -> None:
    degrees = Affine(1e-5, 0, 99.0, 0, -1e-5, 27.12)
    path = write(tmp_path / "d.tif", np.full((200, 200), 7.0), "EPSG:4326", transform=degrees)
    model = SurfaceModel.open(path, UTM, (500_000, 2_999_600, 500_100, 2_999_700))
    assert model.read(Affine(1, 0, 500_020, 0, -1, 2_999_680), (5, 5)) == pytest.approx(7.0)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda p: None, "no such file"),
        (lambda p: p.write_bytes(b""), "is empty"),
        (lambda p: p.write_text("heights"), "no raster"),
        (lambda p: write(p, np.zeros((4, 4, 3))), "3 bands"),
        (lambda p: write(p, np.zeros((4, 4)), None), "no georeference"),
        (lambda p: write(p, np.zeros((4, 4)), transform=Affine(1, 0, 9, 0, -1, 9)), "not cover"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path: Path, make: Any, says: str) -> None:
    make(tmp_path / "dsm.tif")
    with pytest.raises(InputError, match=says):
        SurfaceModel.open(tmp_path / "dsm.tif", UTM, HERE)
