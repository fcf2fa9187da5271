"""From frames to an orthophoto, over a world whose every pixel is known."""

import json
import resource
import shutil

import cv2
import numpy as np
import PIL.Image
import pytest
import rasterio
from click.testing import CliRunner
from imagery_world import (
    BOX,
    CAMERA,
    CRS,
    GSD_M,
    HEIGHT_M,
    NORTH,
    WEST,
    nadir_shots,
    photograph,
    shot_at,
    write_scene,
)

from analysis.mapping import (
    Mosaic,
    MosaicSpec,
    PoseSpec,
    ViewLimits,
    open_surface,
    read_frames,
    write_mosaic,
)
from analysis.mapping.balance import balance_gains
from analysis.mapping.mosaic import round_gsd
from corridor import InputError
from corridor.shots import write_shots
from fencewalk.cli import main
from fencewalk.commands.orthophoto import orthophoto

STRIP = (WEST + 8, NORTH - HEIGHT_M + 6, WEST + 40, NORTH - HEIGHT_M + 26)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return write_scene(tmp_path_factory.mktemp("world") / "scene")


@pytest.fixture(scope="module")
def frames(world, tmp_path_factory):
    return photograph(tmp_path_factory.mktemp("flight"), world, nadir_shots())


@pytest.fixture
def mosaic(world, frames):
    with open_surface(world / "dsm.tif") as surface:
        posed, _ = read_frames(
            sorted(frames.glob("*.JPG")), surface.crs, PoseSpec(source=frames / "photos.csv")
        )
        yield Mosaic(posed, surface, MosaicSpec(gsd_m=GSD_M, bounds_m=STRIP))


def offsets_px(made, truth, count=50, size=25):
    """Where `count` patches of the truth are found, in pixels from where they are."""
    rng = np.random.default_rng(1)
    grey_made, grey_truth = (image.astype(np.float32).mean(axis=2) for image in (made, truth))
    found = []
    while len(found) < count:
        row = int(rng.integers(6, truth.shape[0] - size - 6))
        column = int(rng.integers(6, truth.shape[1] - size - 6))
        patch = grey_truth[row : row + size, column : column + size]
        if patch.std() < 5:  # the box is plain
            continue
        area = grey_made[row - 5 : row + size + 5, column - 5 : column + size + 5]
        score = cv2.matchTemplate(area, patch, cv2.TM_CCOEFF_NORMED)
        _, _, _, (j, i) = cv2.minMaxLoc(score)
        if 0 < i < 10 and 0 < j < 10:  # to a fraction of a pixel by a parabola
            dj = _peak(score[i, j - 1 : j + 2])
            di = _peak(score[i - 1 : i + 2, j])
        else:
            di = dj = 0.0
        found.append((j + dj - 5, i + di - 5))
    return np.array(found)


def _peak(three):
    return float((three[0] - three[2]) / (2 * (three[0] - 2 * three[1] + three[2]) - 1e-12))


def truth_of(world, bounds=STRIP):
    with rasterio.open(world / "ortho.tif") as source:
        window = rasterio.windows.from_bounds(*bounds, source.transform)
        return np.moveaxis(source.read(window=window.round_offsets().round_lengths()), 0, -1)


def test_the_closed_loop_comes_back_to_the_pixel(world, mosaic):
    tile = mosaic.draw(0, 0, mosaic.width_px, mosaic.height_px)
    truth = truth_of(world)
    assert tile.colours.shape[:2] == truth.shape[:2]
    offsets = offsets_px(tile.colours[..., :3], truth)
    assert np.sqrt((offsets**2).sum(axis=1).mean()) < 0.3
    assert np.abs(offsets.mean(axis=0)).max() < 0.1
    # Only what the box hides from every frame is missing, and that lies beside the box.
    hidden = np.argwhere(tile.colours[..., 3] == 0)
    x = WEST + 8 + hidden[:, 1] * GSD_M - WEST
    y = STRIP[3] - hidden[:, 0] * GSD_M - (NORTH - HEIGHT_M)
    west, south, east, north, _ = BOX
    beside = (x > west - 2.5) & (x < east + 2.5) & (y > south - 2.5) & (y < north + 2.5)
    assert beside.all()
    assert len(hidden) < 0.03 * tile.labels.size


def test_windows_make_the_same_picture_as_the_whole(mosaic):
    whole = mosaic.draw(0, 0, 300, 200)
    parts = [
        np.hstack([mosaic.draw(left, top, 100, 100).colours for left in (0, 100, 200)])
        for top in (0, 100)
    ]
    difference = np.abs(np.vstack(parts).astype(int) - whole.colours.astype(int))
    assert difference.max() <= 1


def test_each_place_is_taken_from_the_frame_that_stands_steepest_above_it(mosaic):
    tile = mosaic.draw(0, 0, mosaic.width_px, mosaic.height_px)
    places = np.array([[frame.pose.x_m, frame.pose.y_m] for frame in mosaic.frames])
    for row, column in ((30, 40), (150, 60), (40, 280)):
        x = mosaic.west_m + (column + 0.5) * GSD_M
        y = mosaic.north_m - (row + 0.5) * GSD_M
        nearest = np.hypot(*(places - [x, y]).T).argmin()
        assert tile.labels[row, column] == nearest


def test_a_hidden_place_is_not_shown_as_what_hides_it(world, tmp_path):
    # One frame from the west: the box of 4 m hides what lies behind it, up to its shadow's length.
    shots = [shot_at(1, 10.0, 15.0, 20.0, 90.0, -60.0)]
    frames = photograph(tmp_path, world, shots)
    with open_surface(world / "dsm.tif") as surface:
        posed, _ = read_frames(
            list(frames.glob("*.JPG")), surface.crs, PoseSpec(source=frames / "photos.csv")
        )
        drawn = Mosaic(posed, surface, MosaicSpec(gsd_m=GSD_M, bounds_m=STRIP))
        tile = drawn.draw(0, 0, drawn.width_px, drawn.height_px)
    row = round((STRIP[3] - (NORTH - HEIGHT_M + 15.0)) / GSD_M)
    x = np.arange(drawn.width_px) * GSD_M + 8.0
    alpha = tile.colours[row, :, 3]
    # Camera 20 m above 800 at x = 10; the box's far edge at 26 m, 4 m high: 26 + 16·4/16 = 30.
    assert (alpha[(x > 22) & (x < 25.5)] == 255).all()
    assert (alpha[(x > 26.6) & (x < 29.0)] == 0).all()
    seen_beyond = (x > 31.5) & (x < 34.0)
    assert (alpha[seen_beyond] == 255).all()
    assert tile.colours[row, seen_beyond, 0].mean() < 160  # ground, not the red box


def test_gains_undo_exposure_and_falloff():
    rng = np.random.default_rng(3)
    brightness = rng.uniform(60, 150, 4000)
    exposures = [1.0, 1.3, 0.8, 1.1]
    observations = []
    for exposure in exposures:
        points = np.sort(rng.choice(4000, 2500, replace=False))
        radius2 = rng.uniform(0, 1, 2500)
        light = exposure * np.exp(-0.25 * radius2)
        colours = brightness[points] * light * np.exp(0.03 * rng.standard_normal(2500))
        observations.append((points, np.repeat(colours[:, None], 3, axis=1), radius2))
    gains = balance_gains(observations, 4000)
    product = gains[:, 0] * exposures
    assert np.ptp(product) / product.mean() < 0.03
    at_corner = gains[0, 3] + gains[0, 4]
    assert at_corner == pytest.approx(0.25, abs=0.04)


def test_a_frame_that_overlaps_nothing_keeps_its_brightness():
    lone = (np.arange(50), np.full((50, 3), 100.0), np.zeros(50))
    other = (np.arange(50, 100), np.full((50, 3), 30.0), np.zeros(50))
    np.testing.assert_array_equal(balance_gains([lone, other], 100)[:, :3], 1.0)


def run(arguments):
    """As a user would: exit code, standard output, standard error."""
    runner = CliRunner()
    result = runner.invoke(orthophoto, [str(one) for one in arguments], standalone_mode=False)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_the_command_writes_a_cog_with_alpha_and_contributions(world, frames, tmp_path):
    out = tmp_path / "made" / "ortho.tif"
    result = run([frames, "--dem", world / "dsm.tif", "--gsd", GSD_M, "--out", out, "--json"])
    assert result.return_value == 0
    told = json.loads(result.stdout)
    assert told["frames_used"] > 5
    with rasterio.open(out) as made:
        assert made.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert [kind.name for kind in made.colorinterp] == ["red", "green", "blue", "alpha"]
        assert made.crs == CRS
        assert made.res == (GSD_M, GSD_M)
        window = rasterio.windows.from_bounds(*STRIP, made.transform)
        picture = np.moveaxis(made.read([1, 2, 3], window=window), 0, -1)
    # Poses here are from EXIF and XMP alone: what a mapping program would read.
    offsets = offsets_px(picture, truth_of(world))
    assert np.sqrt((offsets**2).sum(axis=1).mean()) < 0.4
    with rasterio.open(told["contributions"]) as beside:
        assert beside.descriptions == ("frame", "view_angle_deg", "gsd_m")
        frame, angle, gsd_m = beside.read()
    known = np.isfinite(frame)
    assert np.nanmax(angle) < 60
    assert np.nanmin(gsd_m) == pytest.approx(20 / 260, rel=0.1)
    names = json.loads((tmp_path / "made" / "ortho.contributions.json").read_text())["frames"]
    assert names[str(int(frame[known][0]))].startswith("DJI_")
    assert sorted(path.name for path in out.parent.iterdir()) == [
        "ortho.contributions.json",
        "ortho.contributions.tif",
        "ortho.tif",
    ]


def test_one_corrupt_frame_is_named_and_the_rest_done(world, frames, tmp_path):
    folder = tmp_path / "frames"
    shutil.copytree(frames, folder)
    bad = folder / "DJI_0003.JPG"
    bad.write_bytes(bad.read_bytes()[:3000])
    empty = folder / "DJI_0005.JPG"
    empty.write_bytes(b"")
    out = tmp_path / "ortho.tif"
    result = run([folder, "--dem", world / "dsm.tif", "--gsd", 0.4, "--out", out])
    assert result.return_value == 1
    assert "2 frames left out" in result.stderr
    assert "DJI_0003.JPG" in result.stderr
    assert "DJI_0005.JPG: is empty" in result.stderr
    assert out.is_file()


def test_a_frame_damaged_in_its_middle_is_left_out(world, frames, tmp_path):
    folder = tmp_path / "frames"
    shutil.copytree(frames, folder)
    bad = folder / "DJI_0004.JPG"
    content = bytearray(bad.read_bytes())
    # As after a card's bad block: the file is as long as it was, and ends as it should.
    middle = len(content) // 2
    content[middle : middle + 2048] = np.random.default_rng(1).bytes(2048)
    bad.write_bytes(content)
    PIL.Image.open(bad).convert("RGB")  # Pillow does not mind.
    result = run([folder, "--dem", world / "dsm.tif", "--gsd", 0.4, "--out", tmp_path / "o.tif"])
    assert result.return_value == 1
    assert "1 frame left out" in result.stderr
    assert "DJI_0004.JPG: cannot be decoded" in result.stderr


def test_one_frame_without_position_is_named_and_the_rest_done(world, frames, tmp_path):
    folder = tmp_path / "frames"
    shutil.copytree(frames, folder)
    cv2.imwrite(str(folder / "DJI_0003.JPG"), np.full((240, 320, 3), 90, np.uint8))
    result = run([folder, "--dem", world / "dsm.tif", "--gsd", 0.4, "--out", tmp_path / "o.tif"])
    assert result.return_value == 1
    assert "1 frame left out" in result.stderr
    assert "DJI_0003.JPG: " in result.stderr
    assert "no position" in result.stderr


def test_frames_without_position(world, tmp_path):
    picture = np.full((240, 320, 3), 90, np.uint8)
    cv2.imwrite(str(tmp_path / "plain.jpg"), picture)
    with pytest.raises(InputError, match=r"none of 1 frames has a usable position.*no position"):
        run([tmp_path / "plain.jpg", "--dem", world / "dsm.tif", "--out", tmp_path / "o.tif"])
    assert not (tmp_path / "o.tif").exists()


def test_poses_outside_the_surface_model(world, frames, tmp_path):
    flight = tmp_path / "far"
    flight.mkdir()
    shots = nadir_shots()[:2]
    for shot, x_m in zip(shots, (24.0, 5000.0), strict=True):
        moved = shot_at(shot.index, x_m, 16.0, 22.0)
        shutil.copy(frames / f"DJI_{shot.index:04d}.JPG", flight)
        shots[shot.index - 1] = moved
    write_shots(flight / "photos.csv", shots)
    arguments = [flight, "--dem", world / "dsm.tif", "--poses", flight / "photos.csv"]
    result = run([*arguments, "--gsd", 0.4, "--out", tmp_path / "o.tif"])
    assert result.return_value == 1
    assert "DJI_0002.JPG: its view at 625000" in result.stderr
    assert "outside the surface model" in result.stderr
    write_shots(flight / "photos.csv", [shots[1], shots[1]])
    with pytest.raises(InputError, match="none of 2 frames looks at it"):
        run([*arguments, "--out", tmp_path / "p.tif"])


def test_altitudes_of_another_zero_are_noticed(world, frames, tmp_path):
    with pytest.raises(InputError, match=r"below"):
        run(
            [
                frames,
                "--dem",
                world / "dsm.tif",
                "--altitude-offset",
                -60,
                "--out",
                tmp_path / "o.tif",
            ]
        )


def test_a_camera_that_does_not_match(world, frames, tmp_path):
    camera = {"version": 1, "width_px": 500, "height_px": 500, "focal_x_px": 400.0}
    (tmp_path / "camera.json").write_text(json.dumps(camera))
    arguments = [frames, "--dem", world / "dsm.tif", "--out", tmp_path / "o.tif"]
    with pytest.raises(InputError, match=r"500 × 500 pixels, and DJI_0001.JPG has 320 × 240"):
        run([*arguments, "--camera", tmp_path / "camera.json"])
    (tmp_path / "camera.json").write_text(json.dumps({**camera, "focal": 3}))
    with pytest.raises(InputError, match="unknown key 'focal'"):
        run([*arguments, "--camera", tmp_path / "camera.json"])


def test_a_full_disk_leaves_nothing_half_written(world, frames, tmp_path):
    out = tmp_path / "made" / "ortho.tif"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        # No file may grow beyond 60 kB: writing fails as on a full disk.
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, before[1]))
        with pytest.raises(InputError, match=r"could not be written whole|cannot be written"):
            run([frames, "--dem", world / "dsm.tif", "--gsd", GSD_M, "--out", out])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(out.parent.iterdir()) == []


def test_too_little_room_is_said_before_any_work(world, frames, tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(InputError, match="are free"):
        run([frames, "--dem", world / "dsm.tif", "--gsd", 0.4, "--out", tmp_path / "o.tif"])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read"),
        ("{", "is no JSON"),
        ("[]", "is no OpenSfM reconstruction"),
        ('[{"shots": {}, "cameras": {}}]', "is no OpenSfM reconstruction"),
    ],
)
def test_reconstructions_that_are_none(world, frames, tmp_path, content, said):
    path = tmp_path / "reconstruction.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=said):
        run([frames, "--dem", world / "dsm.tif", "--poses", path, "--out", tmp_path / "o.tif"])


def test_counts_that_differ_are_not_paired_by_guess(world, frames, tmp_path):
    shots = [shot_at(n + 1, 10.0 + n, 12.0, 20.0) for n in range(3)]
    write_shots(tmp_path / "photos.csv", shots)
    with pytest.raises(InputError, match="3 photos without file names, and there are 12 frames"):
        run(
            [
                frames,
                "--dem",
                world / "dsm.tif",
                "--poses",
                tmp_path / "photos.csv",
                "--out",
                "x.tif",
            ]
        )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--out", "o.tif"], "--dem"),
        (["--dem", "nothing.tif", "--out", "o.tif"], "no such file"),
        (["--gsd", "-1", "--dem", "d.tif", "--out", "o.tif"], "--gsd"),
        (["--max-angle", "90", "--dem", "d.tif", "--out", "o.tif"], "--max-angle"),
        (["--bounds", "5", "0", "4", "1", "--dem", "d.tif", "--out", "o.tif"], "--bounds"),
        (["--engine", "nodeodm", "--out", "o.tif"], "--url"),
    ],
)
def test_arguments_that_are_wrong(frames, arguments, said, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["orthophoto", str(frames), *arguments])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error


def test_a_surface_model_that_is_none(frames, tmp_path):
    path = tmp_path / "flat.tif"
    size = {"width": 8, "height": 8, "count": 1, "dtype": "float32", "nodata": np.nan}
    transform = rasterio.transform.from_origin(WEST, NORTH, 1, 1)
    with rasterio.open(path, "w", "GTiff", crs=CRS, transform=transform, **size) as target:
        target.write(np.full((1, 8, 8), np.nan, dtype=np.float32))
    with pytest.raises(InputError, match="holds no height at all"):
        run([frames, "--dem", path, "--out", tmp_path / "o.tif"])


def test_what_the_frames_resolve_is_rounded():
    assert round_gsd(0.01378) == 0.014
    with pytest.raises(ValueError, match="below 89"):
        ViewLimits(max_angle_deg=89)


def test_the_camera_is_read_as_the_simulator_writes_it(frames):
    from analysis.mapping import read_camera

    assert read_camera(frames / "camera.json") == CAMERA


@pytest.mark.data
def test_real_frames_agree_with_the_orthophoto_made_of_them(data_dir, tmp_path):
    """Hsinchu: four oblique frames with poses, and a mosaic that others made of them."""
    folder = data_dir / "hsinchu-highway"
    bounds = (292600.0, 2730990.0, 292840.0, 2731110.0)
    with open_surface(folder / "dsm.tif") as surface:
        spec = PoseSpec(source=folder / "reconstruction.json")
        posed, skipped = read_frames(sorted((folder / "frames").glob("*.tif")), surface.crs, spec)
        assert (len(posed), skipped) == (4, [])
        made = Mosaic(posed, surface, MosaicSpec(gsd_m=0.15, bounds_m=bounds))
        result = write_mosaic(made, surface.crs, tmp_path / "ortho.tif")
    with rasterio.open(folder / "ortho.tif") as given, rasterio.open(result.path) as ours:
        window = rasterio.windows.from_bounds(*ours.bounds, given.transform)
        theirs = np.moveaxis(given.read(window=window, out_shape=(3, *ours.shape)), 0, -1)
        mine = np.moveaxis(ours.read(), 0, -1)
    seen = mine[..., 3] > 0
    assert seen.mean() > 0.8
    difference = np.abs(mine[..., :3].astype(float) - theirs)[seen]
    # Both mosaics choose other frames over trees, which look different from elsewhere: 16 grey
    # levels. With the axes of the reconstruction misread by 0.86° it is 26.
    assert difference.mean() < 20
    # Patches that both show lie within the given mosaic's own pixel of each other.
    grey_mine, grey_theirs = (
        one[..., :3].mean(axis=2).astype(np.float32) for one in (mine, theirs)
    )
    away = []
    for row in range(20, ours.height - 84, 64):
        for column in range(20, ours.width - 84, 64):
            if not seen[row : row + 64, column : column + 64].all():
                continue
            patch = grey_mine[row : row + 64, column : column + 64]
            area = grey_theirs[row - 16 : row + 80, column - 16 : column + 80]
            score = cv2.matchTemplate(area, patch, cv2.TM_CCOEFF_NORMED)
            _, best, _, (j, i) = cv2.minMaxLoc(score)
            if best > 0.6:
                away.append((j - 16, i - 16))
    assert len(away) >= 10
    assert np.hypot(*np.median(away, axis=0)) <= 1.5
