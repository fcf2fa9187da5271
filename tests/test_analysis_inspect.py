"""What an orthophoto from elsewhere is said to be."""

import json

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from analysis.mapping.inspect import inspect_orthophoto
from analysis.mapping.write import copy_as_cog
from corridor import InputError
from fencewalk.cli import main


def write(path, bands=3, dtype="uint8", crs="EPSG:32648", gsd=0.02, size=(300, 200), **more):
    rng = np.random.default_rng(1)
    width, height = size
    values = rng.integers(30, 220, (bands, height, width)).astype(dtype)
    transform = from_origin(620000, 2945000, gsd, gsd) if crs else None
    with rasterio.open(
        path, "w", "GTiff", width, height, bands, crs, transform, dtype, **more
    ) as target:
        target.write(values)
    return path


def test_a_good_one(tmp_path):
    found = inspect_orthophoto(
        write(tmp_path / "a.tif", tiled=True, blockxsize=128, blockysize=128)
    )
    assert found.suits
    assert found.crs == "WGS 84 / UTM zone 48N (EPSG:32648)"
    # Scale of UTM at 120 km from its meridian: 0.99978.
    assert found.gsd_m == pytest.approx((0.02, 0.02), rel=1e-3)
    assert (found.width_px, found.height_px, found.dtype) == (300, 200, "uint8")
    assert (found.tiled, found.block_px, found.overviews, found.cog) == (
        True,
        (128, 128),
        (),
        False,
    )
    assert found.transparency == "none"
    assert found.valid_frac == 1.0
    assert found.bounds_lonlat[0] == pytest.approx(106.2, abs=0.01)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"crs": None}, "has no georeference"),
        ({"bands": 1}, "has 1 band"),
        ({"dtype": "float32"}, "float32"),
    ],
)
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_what_does_not_suit_says_why(tmp_path, changes, said, capsys):
    path = write(tmp_path / "a.tif", **changes)
    found = inspect_orthophoto(path)
    assert not found.suits
    assert any(one.level == "blocking" and said in one.text for one in found.remarks)
    with pytest.raises(SystemExit) as stopped:
        main(["inspect", str(path)])
    assert stopped.value.code == 1
    assert "Does not suit" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("gsd", "level", "said"),
    [(0.05, "note", "holes in mesh"), (0.15, "warning", "not for the fence"),
     (0.5, "warning", "too coarse")],
)  # fmt: skip
def test_pixels_too_large_for_the_purpose(tmp_path, gsd, level, said):
    remarks = inspect_orthophoto(write(tmp_path / "a.tif", gsd=gsd)).remarks
    assert any(one.level == level and said in one.text for one in remarks)


def test_nodata_and_alpha(tmp_path):
    assert inspect_orthophoto(write(tmp_path / "a.tif", nodata=0)).transparency == "nodata"
    four = write(tmp_path / "b.tif", bands=4, photometric="RGB", ALPHA="YES")
    found = inspect_orthophoto(four)
    assert found.transparency == "alpha"
    assert found.bands[3] == "alpha"


def test_a_cog_of_it_has_the_same_pixels(tmp_path, capsys):
    path = write(tmp_path / "a.tif", size=(1500, 700), nodata=7)
    with pytest.raises(SystemExit) as stopped:
        main(["inspect", str(path), "--cog", str(tmp_path / "cog.tif"), "--json"])
    assert stopped.value.code == 0
    assert json.loads(capsys.readouterr().out)["cog_written"].endswith("cog.tif")
    found = inspect_orthophoto(tmp_path / "cog.tif")
    assert found.cog
    assert found.tiled
    assert found.overviews
    with rasterio.open(path) as before, rasterio.open(tmp_path / "cog.tif") as after:
        np.testing.assert_array_equal(before.read(), after.read())
        assert after.nodata == 7


def test_lossy_only_where_it_can_be(tmp_path):
    path = write(tmp_path / "a.tif", dtype="uint16")
    with pytest.raises(InputError, match="jpeg needs 8-bit colour"):
        copy_as_cog(path, tmp_path / "b.tif", "jpeg")
    assert not (tmp_path / "b.tif").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "no such file"), (b"", "is empty"), (b"words", "no readable raster")],
)
def test_files_that_are_none(tmp_path, content, said, capsys):
    path = tmp_path / "a.tif"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SystemExit) as stopped:
        main(["inspect", str(path)])
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err
