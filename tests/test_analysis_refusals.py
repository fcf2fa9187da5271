"""`fencewalk analyze` on bad input: exit code 2, and what is allowed is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from analysis_site import X0, Y0, run, write_lines, write_ortho, write_site

from analysis.surroundings import read_area, read_districts
from corridor import InputError


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_site(tmp_path_factory.mktemp("site"))


def refused(
    capsys: pytest.CaptureFixture[str], out: Path, *arguments: object, code: int = 2
) -> str:
    assert run("analyze", *arguments, "--out", out) == code
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert not (out / "findings.gpkg").exists()
    return said


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda p: None, "no such file"),
        (lambda p: p.write_bytes(b""), "is empty (0 bytes)"),
        (lambda p: p.write_text("not a picture"), "no picture that can be read"),
        (lambda p: write_ortho(p, crs=None), "carries no CRS"),
        (lambda p: write_ortho(p, crs="EPSG:4326", transform=Affine(1e-6, 0, 99, 0, -1e-6, 27)),
         "gdalwarp -t_srs EPSG:32647"),
        (lambda p: write_ortho(p, bands=np.ones((1, 9, 9), np.uint8)), "has 1 band"),
        (lambda p: write_ortho(p, bands=np.full((3, 9, 9), 7, np.uint8), nodata=7), "nodata"),
        (lambda p: write_ortho(p, bands=np.ones((3, 9, 9), np.float32)), "gdal_translate -ot Byte"),
    ],
)  # fmt: skip
def test_a_bad_picture_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make: Callable[[Path], Any], says: str
) -> None:
    path = tmp_path / "ortho.tif"
    make(path)
    said = refused(capsys, tmp_path / "out", path)
    assert says in said
    assert str(path) in said


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_picture_without_georeference_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_ortho(tmp_path / "ortho.tif", crs=None, transform=Affine.identity())
    assert "has no georeference" in refused(capsys, tmp_path / "out", path)


def test_16_bit_is_read_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bands = np.random.default_rng(1).integers(500, 4000, (3, 90, 90), dtype=np.uint16)
    path = write_ortho(tmp_path / "ortho.tif", bands=bands)
    assert run("analyze", path, "--out", tmp_path / "out") == 0
    assert "16 bit" in capsys.readouterr().err
    assert "16 bit" in json.loads((tmp_path / "out" / "run.json").read_text())["notes"][0]


def test_a_boundary_that_misses_is_refused(
    site: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = write_lines(tmp_path / "far.geojson", [(600, -20), (700, -20)])
    said = refused(capsys, tmp_path / "out", site[0], "--boundaries", lines)
    assert "far.geojson" in said
    assert "560 m away" in said
    assert "gcj02" in said


def test_no_boundary_file_is_refused(
    site: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(capsys, tmp_path / "out", site[0], "--boundaries", tmp_path / "no.geojson")
    assert "no.geojson" in said


def test_a_surface_model_elsewhere_is_refused(
    site: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dsm = tmp_path / "dsm.tif"
    with rasterio.open(
        dsm, "w", driver="GTiff", count=1, height=9, width=9, dtype="float32", crs="EPSG:32647",
        transform=Affine(1, 0, X0 + 900, 0, -1, Y0),
    ) as file:  # fmt: skip
        file.write(np.ones((1, 9, 9), np.float32))
    said = refused(capsys, tmp_path / "out", site[0], "--dsm", dsm)
    assert "does not cover any of the orthophoto" in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--area", "no.geojson"], "no such file"),
        (["--previous", "nowhere"], "no findings there"),
        (["--context", "vilages=a.geojson"], "one of villages"),
        (["--context", "districts=no.geojson"], "no such file"),
        (["--jobs", "0"], "--jobs"),
        (["--outside", "-3"], "--outside"),
    ],
)
def test_a_bad_option_is_refused(
    site: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    says: str,
) -> None:
    assert says in refused(capsys, tmp_path / "out", site[0], *arguments)


def test_districts_need_names_and_areas_need_polygons(tmp_path: Path) -> None:
    box = shapely.box(99, 27, 99.1, 27.1)
    path = tmp_path / "d.geojson"
    geopandas.GeoDataFrame({"Name": ["甲", "甲"]}, geometry=[box, box], crs="EPSG:4326").to_file(
        path
    )
    assert list(read_districts(path)) == ["甲"]
    assert read_area(path).equals(box)
    geopandas.GeoDataFrame({"code": [1]}, geometry=[box], crs="EPSG:4326").to_file(path)
    with pytest.raises(InputError, match=r"no column 'name' \(it has code\)"):
        read_districts(path)
    point = geopandas.GeoDataFrame({"name": ["a"]}, geometry=[shapely.Point(1, 1)], crs="EPSG:4326")
    point.to_file(path)
    with pytest.raises(InputError, match="holds no polygon"):
        read_area(path)
    with pytest.raises(InputError, match="holds no polygon"):
        read_districts(path)
