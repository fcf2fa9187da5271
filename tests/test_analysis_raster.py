"""Orthophotos by windows: one value a pixel whichever window, honest masks, and every refusal."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.enums import ColorInterp, Resampling

from analysis import raster_source
from analysis.raster import Orthophoto
from corridor import Boundary, InputError, Side

EAST, NORTH = 500_000.0, 3_000_000.0


def write(
    path: Path,
    bands: Any,
    *,
    crs: str | None = "EPSG:32647",
    gsd_m: float = 0.1,
    at: tuple[float, float] = (EAST, NORTH),
    transform: Affine | None = None,
    **options: Any,
) -> Path:
    """A GeoTIFF of (bands, rows, columns) with its north-west corner at `at`."""
    bands = np.asarray(bands)
    if transform is None:
        transform = Affine(gsd_m, 0, at[0], 0, -gsd_m, at[1])
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=bands.shape[0],
        height=bands.shape[1],
        width=bands.shape[2],
        dtype=bands.dtype,
        crs=crs,
        transform=transform,
        **options,
    ) as dataset:
        dataset.write(bands)
    return path


def noise(rows: int, columns: int, seed: int = 1) -> Any:
    return np.random.default_rng(seed).integers(1, 255, (3, rows, columns), dtype=np.uint8)


def line(x0: float, y0: float, x1: float, y1: float, picture: Orthophoto) -> Boundary:
    lonlat = picture.to_lonlat([[x0, y0], [x1, y1]])
    return Boundary("G1", Side.LEFT, (lonlat,), (0.0,), source="lines.geojson")


# What is read


def test_native_read_is_the_file(tmp_path: Path) -> None:
    bands = noise(40, 60)
    picture = Orthophoto.open(write(tmp_path / "a.tif", bands))
    patch = picture.read((EAST + 1.0, NORTH - 2.0, EAST + 1.5, NORTH - 1.6))
    assert picture.gsd_m == pytest.approx(0.1)
    assert (patch.rgb == np.moveaxis(bands[:, 16:20, 10:15], 0, 2)).all()
    assert patch.valid.all()
    assert patch.affine @ (0, 0) == pytest.approx((EAST + 1.0, NORTH - 1.6))


def test_coarser_pixels_are_means_over_their_area(tmp_path: Path) -> None:
    bands = np.zeros((3, 3, 3), np.uint8)
    bands[0] = [[10, 20, 30], [40, 50, 60], [70, 80, 90]]
    picture = Orthophoto.open(write(tmp_path / "a.tif", bands))
    # A pixel of 0.15 m: one whole pixel, two halves, one quarter; 2.25 pixels of area.
    patch = picture.read((EAST, NORTH - 0.15, EAST + 0.15, NORTH), gsd_m=0.15)
    assert patch.rgb.shape == (1, 1, 3)
    assert patch.rgb[0, 0, 0] == round((10 + 20 / 2 + 40 / 2 + 50 / 4) / 2.25)


def test_a_finer_pixel_than_the_files_is_not_made_up(tmp_path: Path) -> None:
    picture = Orthophoto.open(write(tmp_path / "a.tif", noise(20, 20)))
    assert picture.read(gsd_m=0.02).rgb.shape == (20, 20, 3)


def test_means_leave_out_what_is_not_valid(tmp_path: Path) -> None:
    bands = np.full((3, 2, 4), 100, np.uint8)
    bands[:, :, 1] = 0  # half of the first coarse pixel
    bands[:, 0, 2:] = bands[:, 1, 3] = 0  # three quarters of the second
    picture = Orthophoto.open(write(tmp_path / "a.tif", bands, nodata=0))
    patch = picture.read(gsd_m=0.2)
    assert patch.valid.tolist() == [[True, False]]
    assert patch.rgb[0].tolist() == [[100, 100, 100], [0, 0, 0]]


@settings(max_examples=40, deadline=None)
@given(
    gsd_m=st.sampled_from([0.1, 0.15, 0.23, 0.4, 0.61]),
    x=st.floats(-1.0, 6.0),
    y=st.floats(-1.0, 6.0),
    side_x=st.floats(0.3, 6.0),
    side_y=st.floats(0.3, 6.0),
)
def test_any_window_equals_the_whole(
    shared: list[Orthophoto], gsd_m: float, x: float, y: float, side_x: float, side_y: float
) -> None:
    for picture in shared:
        west, south, east, north = picture.bounds
        margin = 2.0
        whole = picture.read((west - margin, south - margin, east + margin, north + margin), gsd_m)
        part = picture.read((west + x, south + y, west + x + side_x, south + y + side_y), gsd_m)
        pixel_m = part.affine.a
        column = round((part.affine.c - whole.affine.c) / pixel_m)
        row = round((whole.affine.f - part.affine.f) / pixel_m)
        rows, columns = part.valid.shape
        if row < 0 or column < 0 or row + rows > len(whole.valid):
            continue
        if column + columns > whole.valid.shape[1]:
            continue
        box = (slice(row, row + rows), slice(column, column + columns))
        assert (whole.rgb[box] == part.rgb).all()
        assert (whole.valid[box] == part.valid).all()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> list[Orthophoto]:
    """A plain file, one with a black collar and overviews, and two tiles off each other's grid."""
    folder = tmp_path_factory.mktemp("pictures")
    plain = write(folder / "plain.tif", noise(64, 71))
    bands = noise(70, 70, seed=2)
    bands[:, :, :25] = 0
    bands[:, 40:, 35:] = 0
    collar = write(folder / "collar.tif", bands)
    with rasterio.open(collar, "r+") as dataset:
        dataset.build_overviews([2, 4], Resampling.average)
    tiles = [
        write(folder / "one.tif", noise(50, 40, seed=3)),
        write(folder / "two.tif", noise(30, 60, seed=4), at=(EAST + 2.53, NORTH - 1.01)),
    ]
    return [Orthophoto.open(plain), Orthophoto.open(collar), Orthophoto.open(tiles)]


def test_strips_of_a_big_window_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = Orthophoto.open(write(tmp_path / "a.tif", noise(90, 50)))
    whole = picture.read(gsd_m=0.27)
    monkeypatch.setattr("analysis.raster._SOURCE_CHUNK_PX", 200)
    again = picture.read(gsd_m=0.27)
    assert (whole.rgb == again.rgb).all()


def test_tiles_make_one_picture_and_the_first_named_wins(tmp_path: Path) -> None:
    left = write(tmp_path / "l.tif", np.full((3, 10, 10), 50, np.uint8))
    right = write(tmp_path / "r.tif", np.full((3, 10, 10), 90, np.uint8), at=(EAST + 0.5, NORTH))
    patch = Orthophoto.open([left, right]).read()
    assert patch.rgb[0, :, 0].tolist() == [50] * 10 + [90] * 5
    patch = Orthophoto.open([right, left]).read()
    assert patch.rgb[0, :, 0].tolist() == [50] * 5 + [90] * 10


def test_a_file_that_is_written_anew_is_read_anew(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", np.full((3, 20, 20), 50, np.uint8))
    assert (Orthophoto.open(path).read().rgb == 50).all()
    write(path, np.full((3, 20, 20), 90, np.uint8))
    assert (Orthophoto.open(path).read().rgb == 90).all()


def test_no_more_than_some_files_stay_open(tmp_path: Path) -> None:
    paths = [
        write(
            tmp_path / f"{n}.tif", np.full((3, 8, 8), 9 + n, np.uint8), at=(EAST + 0.8 * n, NORTH)
        )
        for n in range(12)
    ]
    picture = Orthophoto.open(paths)
    for _ in range(2):
        assert (picture.read().rgb[0, ::8, 0] == np.arange(9, 21)).all()
    assert 0 < len(raster_source._open) <= raster_source._KEPT_OPEN < len(paths)
    raster_source.close_all()
    assert not raster_source._open


def test_overviews_are_as_large_as_they_are(tmp_path: Path) -> None:
    # A COG halves and rounds down: 153 becomes 76, 38, 19, where 153 / 8 would be 20.
    plain = write(tmp_path / "plain.tif", np.full((3, 101, 153), 77, np.uint8))
    path = tmp_path / "cog.tif"
    rasterio.shutil.copy(plain, path, driver="COG", BLOCKSIZE="128", OVERVIEW_COUNT="3")
    picture = Orthophoto.open(path)
    for gsd_m in (0.2, 0.4, 0.8):
        patch = picture.read(gsd_m=gsd_m)
        assert (patch.rgb[patch.valid] == 77).all()
        assert patch.valid[:-1, :-1].all()
        # What lies at the very edge, where a level may end before the file does.
        _, south, east, north = picture.bounds
        rim = picture.read((east - gsd_m / 2, south, east, north), gsd_m)
        assert rim.rgb.shape[0] == patch.rgb.shape[0]


def test_the_level_for_looking_is_one_that_the_file_holds(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", noise(64, 64), gsd_m=0.02)
    assert Orthophoto.open(path).level_gsd_m(0.1) == 0.02
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2, 4], Resampling.average)
    picture = Orthophoto.open(path)
    assert picture.level_gsd_m(0.03) == 0.02
    assert picture.level_gsd_m(0.05) == pytest.approx(0.04)
    assert picture.level_gsd_m(1.0) == pytest.approx(0.08)


def test_bands_are_taken_by_their_names(tmp_path: Path) -> None:
    bands = np.stack([np.full((20, 20), value, np.uint8) for value in (101, 102, 103, 200)])
    path = write(tmp_path / "a.tif", bands)
    with rasterio.open(path, "r+") as dataset:
        dataset.colorinterp = [
            ColorInterp.blue,
            ColorInterp.green,
            ColorInterp.red,
            ColorInterp.undefined,
        ]
    assert Orthophoto.open(path).read().rgb[0, 0].tolist() == [103, 102, 101]


def test_overviews_stand_in_for_fine_pixels(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", noise(64, 64))
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([4], Resampling.average)
        expected = np.moveaxis(dataset.read(out_shape=(3, 16, 16)), 0, 2)
    assert (Orthophoto.open(path).read(gsd_m=0.4).rgb == expected).all()


# Validity


def test_alpha_marks_what_was_not_imaged(tmp_path: Path) -> None:
    bands = np.concatenate([noise(20, 20), np.full((1, 20, 20), 255, np.uint8)])
    bands[3, :, :5] = 0
    path = write(tmp_path / "a.tif", bands, photometric="rgb", alpha="yes")
    valid = Orthophoto.open(path).read().valid
    assert not valid[:, :5].any()
    assert valid[:, 5:].all()


def test_nodata_needs_every_band(tmp_path: Path) -> None:
    bands = noise(20, 20)
    bands[0, 3, 3] = 0
    bands[:, 4, 4] = 0
    valid = Orthophoto.open(write(tmp_path / "a.tif", bands, nodata=0)).read().valid
    assert valid[3, 3]
    assert not valid[4, 4]
    assert valid.sum() == 399


@pytest.mark.parametrize("colour", [0, 255])
def test_a_collar_without_mask_is_not_picture(tmp_path: Path, colour: int) -> None:
    bands = noise(80, 80)
    bands[:, :, :30] = colour
    valid = Orthophoto.open(write(tmp_path / "a.tif", bands)).read().valid
    assert not valid[:, :30].any()
    assert valid[:, 30:].all()


def test_an_opaque_alpha_does_not_make_a_collar_picture(tmp_path: Path) -> None:
    bands = np.concatenate([noise(80, 80), np.full((1, 80, 80), 255, np.uint8)])
    bands[:3, :, :30] = 255
    path = write(tmp_path / "a.tif", bands, photometric="rgb", alpha="yes")
    assert Orthophoto.open(path).read().valid.sum() == 80 * 50


def test_a_burnt_out_roof_is_picture_where_no_collar_is(tmp_path: Path) -> None:
    bands = noise(80, 80)
    bands[:, 20:60, 20:60] = 255
    assert Orthophoto.open(write(tmp_path / "a.tif", bands)).read().valid.all()


def test_16_bit_is_stretched_alike_in_all_bands_and_says_so(tmp_path: Path) -> None:
    ramp = np.linspace(1000, 9000, 100 * 100).reshape(100, 100)
    bands = np.stack([ramp, ramp / 2, ramp]).astype(np.uint16)
    picture = Orthophoto.open(write(tmp_path / "a.tif", bands, photometric="rgb"))
    rgb = picture.read().rgb
    assert rgb[0, 0, 1] == 0
    assert rgb[-1, -1, 0] == 255
    assert abs(int(rgb[50, 50, 0]) - 2 * int(rgb[50, 50, 1])) < 30
    assert "stretched" in picture.notes[0]


def test_a_rotated_file_is_read_north_up(tmp_path: Path) -> None:
    bands = np.full((3, 100, 100), 40, np.uint8)
    bands[0, :50] = 200
    transform = Affine.translation(EAST, NORTH) @ Affine.rotation(-30) @ Affine.scale(0.1, -0.1)
    picture = Orthophoto.open(write(tmp_path / "a.tif", bands, transform=transform))
    assert "warp" in picture.notes[0]
    for column, row, red in [(50, 25, 200), (50, 75, 40), (10, 10, 200), (90, 90, 40)]:
        x, y = transform @ (column, row)
        patch = picture.read((x, y, x + 0.05, y + 0.05))
        assert patch.valid.all()
        assert abs(int(patch.rgb[0, 0, 0]) - red) < 5
    corner = picture.read(
        (picture.bounds[0], picture.bounds[3] - 0.1, picture.bounds[0] + 0.1, picture.bounds[3])
    )
    assert not corner.valid.any()


def test_web_mercator_is_brought_to_true_metres(tmp_path: Path) -> None:
    # At 60 degrees north a Mercator metre is half a metre.
    path = write(tmp_path / "a.tif", noise(50, 50), crs="EPSG:3857", at=(1_000_000, 8_399_738))
    picture = Orthophoto.open(path)
    assert picture.crs.to_epsg() == 32632
    assert picture.gsd_m == pytest.approx(0.05, rel=0.03)


# Refusals


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda p: None, "no such file"),
        (lambda p: p.mkdir(), "is a folder"),
        (lambda p: p.write_bytes(b""), "is empty"),
        (lambda p: p.write_text("hello, I am text"), "no picture that can be read"),
        (lambda p: p.write_bytes(b"II*\0" + bytes(20)), "no picture that can be read"),
    ],
)
def test_what_is_no_picture_is_refused(tmp_path: Path, make: Any, says: str) -> None:
    path = tmp_path / "ortho.tif"
    make(path)
    with pytest.raises(InputError, match=says) as caught:
        Orthophoto.open(path)
    assert str(path) in str(caught.value)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize(
    ("options", "bands", "says"),
    [
        ({"crs": None, "transform": Affine.identity()}, noise(9, 9), "no georeference"),
        ({"crs": None}, noise(9, 9), "carries no CRS.*gdal_edit"),
        ({"crs": "EPSG:4326", "gsd_m": 1e-6, "at": (120.0, 24.0)}, noise(9, 9),
         r"is in degrees \(EPSG:4326\).*gdalwarp -t_srs EPSG:32651"),
        ({}, noise(9, 9)[:1], "has 1 band; red, green and blue"),
        ({}, noise(9, 9)[:2], "has 2 bands"),
        ({}, noise(9, 9).astype(np.float32), "float32.*-ot Byte -scale"),
        ({"nodata": 7}, np.full((3, 9, 9), 7, np.uint8), "all of it is nodata"),
        ({}, np.zeros((3, 30, 30), np.uint8), "all of it is nodata"),
    ],
)  # fmt: skip
def test_what_cannot_be_measured_in_is_refused(
    tmp_path: Path, options: dict[str, Any], bands: Any, says: str
) -> None:
    path = write(tmp_path / "ortho.tif", bands, **options)
    with pytest.raises(InputError, match=says):
        Orthophoto.open(path)


def test_tiles_in_two_crs_are_refused(tmp_path: Path) -> None:
    paths = [
        write(tmp_path / "a.tif", noise(9, 9)),
        write(tmp_path / "b.tif", noise(9, 9), crs="EPSG:32648"),
    ]
    with pytest.raises(InputError, match=r"EPSG:32648.*gdalwarp -t_srs EPSG:32647"):
        Orthophoto.open(paths)


def test_a_damaged_file_is_named_with_the_place(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", noise(512, 512), tiled=True, blockxsize=256, blockysize=256,
                 compress="deflate")  # fmt: skip
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"a\.tif"):
        Orthophoto.open(path).read()


def test_a_boundary_that_misses_is_refused_with_its_distance(tmp_path: Path) -> None:
    picture = Orthophoto.open(write(tmp_path / "a.tif", noise(100, 100)))
    near = line(EAST + 400, NORTH - 5, EAST + 800, NORTH - 5, picture)
    with pytest.raises(InputError, match=r"lines\.geojson: .*a\.tif.*390 m.*gcj02"):
        picture.require_cover([near], 5.0)
    picture.require_cover([line(EAST - 400, NORTH - 5, EAST + 800, NORTH - 5, picture)], 5.0)


# Stretches


def test_stretches_tile_what_lies_in_the_picture(tmp_path: Path) -> None:
    picture = Orthophoto.open(write(tmp_path / "a.tif", noise(100, 1000)))
    boundary = line(EAST - 50, NORTH - 5, EAST + 230, NORTH - 5, picture)
    pieces = list(picture.stretches(boundary, reach_m=3.0, length_m=40.0))
    starts = [round(piece.start_m) for piece in pieces]
    assert starts == [40, 80, 120]
    assert pieces[0].bounds == pytest.approx((EAST - 13, NORTH - 8, EAST + 33, NORTH - 2), abs=0.1)


def test_what_another_process_learned_of_a_file_is_not_looked_up_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.tif", noise(40, 60))
    source, has_valid = raster_source.describe(path)
    handed_on = pickle.loads(pickle.dumps([(source, has_valid)]))
    monkeypatch.setattr(raster_source, "_known", {})
    raster_source.learn(handed_on)
    with monkeypatch.context() as patch:
        patch.setattr(raster_source, "_looked_at", never)
        picture = Orthophoto.open(path)
    assert (picture.read().rgb == noise(40, 60).transpose(1, 2, 0)).all()
    write(path, noise(30, 60))  # another file now, under the same name
    assert Orthophoto.open(path).affine_of(Orthophoto.open(path).bounds)[1:] == (60, 30)


def never(*_: Any) -> Any:
    raise AssertionError("looked at again")


def test_sixteen_bit_files_are_sampled_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.tif", noise(40, 60).astype(np.uint16) * 200)
    first = Orthophoto.open(path)
    with monkeypatch.context() as patch:
        patch.setattr(raster_source, "read_window", never)
        again = Orthophoto.open(path)
    assert again.notes == first.notes
    assert first.read().rgb.max() == 255
