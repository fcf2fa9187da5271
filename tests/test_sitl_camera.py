"""The simulated camera: geometry, film, fence, and what it writes."""

import dataclasses
import datetime as dt
import json
import resource
import shutil
import subprocess
import warnings

import cv2
import numpy as np
import pytest
import rasterio
from imagery_world import CAMERA, GROUND_M, NORTH, WEST, lonlat, photograph, shot_at, write_scene

from corridor import InputError
from corridor.camera import Pose, project
from corridor.photo import read_tags
from corridor.shots import read_shots, write_shots
from missions.plan_files import camera_of_plan
from sitl.camera import (
    RECEIVERS,
    CameraSpec,
    Painter,
    render_flight,
    streak_kernel,
    velocities,
    with_errors,
)
from sitl.camera_scene import open_scene

QUIET = {"falloff_frac": 0.0, "shot_noise": 0.0, "read_noise": 0.0, "exposure_step_frac": 0.0}


@pytest.fixture(scope="module")
def fenced(tmp_path_factory):
    return write_scene(tmp_path_factory.mktemp("fenced") / "scene", box=False, fence=True)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return write_scene(tmp_path_factory.mktemp("world") / "scene")


def frame_of(scene, pose, velocity=(0.0, 0.0, 0.0), **changes):
    with open_scene(scene) as opened:
        painter = Painter(opened, CameraSpec(CAMERA, **{**QUIET, **changes}))
        picture, seen = painter.frame(pose, np.array(velocity), np.random.default_rng(0))
    return picture[..., ::-1].astype(float), seen


def local_pose(x_m, y_m, height_m, yaw_deg=0.0, pitch_deg=-90.0):
    return Pose(WEST + x_m, NORTH - 32.0 + y_m, GROUND_M + height_m, yaw_deg, pitch_deg, 0.0)


def test_a_pixel_shows_the_place_that_projects_into_it(world):
    pose = local_pose(12.0, 24.0, 20.0, yaw_deg=30.0)
    picture, seen = frame_of(world, pose)
    assert seen
    with rasterio.open(world / "ortho.tif") as ortho, rasterio.open(world / "dsm.tif") as dsm:
        truth, heights = ortho.read(), dsm.read(1)
        rows, columns = np.mgrid[60:140:9, 60:160:9]
        x, y = ortho.xy(rows.ravel(), columns.ravel())
        z = heights[rows.ravel(), columns.ravel()]
    pixels = project(CAMERA, pose, np.column_stack([x, y, z]))
    good = (pixels > 3).all(1) & (pixels < np.array([316, 236])).all(1)
    assert good.sum() > 20
    shown = cv2.remap(
        picture.astype(np.float32), pixels[good].astype(np.float32)[None], None, cv2.INTER_LINEAR
    )[0]
    wanted = truth[:, rows.ravel()[good], columns.ravel()[good]].T
    assert np.abs(shown - wanted).mean() < 8.0  # a place aside differs by 25 and more
    assert np.corrcoef(shown.ravel(), wanted.ravel())[0, 1] > 0.95


def red(picture):
    return (picture[..., 0] > 150) & (picture[..., 1] < 110)


def test_a_box_leans_away_and_hides(world):
    # Box from 20 to 26 m east, 4 m high, seen from 14 m east at 20 m: its top is 16 m away.
    pose = local_pose(14.0, 15.0, 20.0)
    picture, _ = frame_of(world, pose)
    columns = np.flatnonzero(red(picture)[100:130].all(axis=0))
    top = project(CAMERA, pose, [[WEST + 20, NORTH - 17, GROUND_M + 4]])[0]
    flat = project(CAMERA, pose, [[WEST + 20, NORTH - 17, GROUND_M]])[0]
    assert top[0] - flat[0] > 15  # by so much it leans
    # The wall's upper half has the roof's colour: the surface rises between two cells' centres,
    # and the picture from above changes colour half way.
    half_way = project(CAMERA, pose, [[WEST + 20, NORTH - 17, GROUND_M + 2]])[0]
    assert columns.min() == pytest.approx(half_way[0], abs=2)


def test_the_fence_stands_upright_before_an_oblique_camera(fenced):
    # 12 m south of a fence 2 m high, 6 m up, looking north and down to its foot.
    pose = local_pose(23.0, 4.0, 6.0, yaw_deg=0.0, pitch_deg=-25.0)
    with_fence, _ = frame_of(fenced, pose)
    with open_scene(fenced, with_fence=False) as bare:
        painter = Painter(bare, CameraSpec(CAMERA, **QUIET))
        without = painter.frame(pose, np.zeros(3), np.random.default_rng(0))[0][..., ::-1]
    changed = np.abs(with_fence - without).max(axis=2) > 3
    base = [WEST, NORTH - 32.0, GROUND_M]

    def pixel(x, up):
        return project(CAMERA, pose, [[base[0] + x, base[1] + 16.0, base[2] + up]])[0]

    def share(x0, x1, low, high):
        (u0, v0), (u1, v1) = pixel(x0, low), pixel(x1, high)
        return changed[int(v1) + 1 : int(v0), int(u0) + 1 : int(u1)].mean()

    assert share(15.2, 17.6, 0.3, 1.7) > 0.95  # a panel of concrete
    assert share(21.0, 25.0, 0.3, 1.7) < 0.02  # the gap from 20 to 26 m
    assert share(15.2, 17.6, 2.3, 3.0) < 0.02  # above it is nothing


def test_what_stands_before_the_fence_hides_it(fenced, tmp_path):
    scene = tmp_path / "scene"
    shutil.copytree(fenced, scene)
    with rasterio.open(scene / "dsm.tif", "r+") as dsm:
        heights = dsm.read(1)
        heights[170:190, 100:200] += 5.0  # a wall from 13 to 15 m north, before the fence at 16 m
        dsm.write(heights, 1)
    pose = local_pose(15.0, 4.0, 4.0, pitch_deg=-15.0)
    hidden, _ = frame_of(scene, pose)
    with open_scene(scene, with_fence=False) as bare:
        painter = Painter(bare, CameraSpec(CAMERA, **QUIET))
        without = painter.frame(pose, np.zeros(3), np.random.default_rng(0))[0][..., ::-1]
    behind = project(CAMERA, pose, [[WEST + 15.0, NORTH - 16.0, GROUND_M + 1.0]])[0].astype(int)
    place = slice(behind[1] - 3, behind[1] + 3), slice(behind[0] - 3, behind[0] + 3)
    np.testing.assert_array_equal(hidden[place], without[place])


def test_motion_smears_along_the_flight_only(world):
    pose = local_pose(14.0, 20.0, 20.0)
    sharp, _ = frame_of(world, pose)
    smeared, _ = frame_of(world, pose, velocity=(8.0, 0.0, 0.0), exposure_s=1 / 8)

    def detail(picture, axis):
        return np.abs(np.diff(picture[60:180, 60:220].mean(axis=2), axis=axis)).mean()

    # 1 m is 13 pixels, east is across the picture.
    across = detail(smeared, 1) / detail(sharp, 1)
    down = detail(smeared, 0) / detail(sharp, 0)
    assert across < 0.5
    assert across < 0.75 * down


def test_streaks():
    assert streak_kernel([0.05, 0.0]) is None
    assert streak_kernel([np.nan, 0.0]) is None
    kernel = streak_kernel([4.0, 0.0])
    assert kernel.sum() == pytest.approx(1.0, abs=1e-6)
    middle = kernel.shape[0] // 2
    assert kernel[middle].sum() == pytest.approx(1.0, abs=1e-6)
    columns = np.arange(kernel.shape[1]) - middle
    assert (kernel[middle] * columns**2).sum() == pytest.approx(4.0**2 / 12, rel=0.2)


def test_falloff_and_noise(world):
    pose = local_pose(14.0, 20.0, 20.0)
    plain, _ = frame_of(world, pose)
    dim, _ = frame_of(world, pose, falloff_frac=0.3)
    assert dim[2:12, 2:12].mean() / plain[2:12, 2:12].mean() == pytest.approx(0.72, abs=0.03)
    assert dim[115:125, 155:165].mean() == pytest.approx(plain[115:125, 155:165].mean(), abs=1.0)
    noisy, _ = frame_of(world, pose, read_noise=3.0)
    assert (noisy - plain).std() == pytest.approx(3.0, rel=0.1)


def test_looking_away_shows_nothing(world):
    picture, seen = frame_of(world, local_pose(5000.0, 0.0, 20.0))
    assert not seen
    assert picture.max() == 0


def test_files_say_what_a_drone_would_say(world, tmp_path):
    shots = [shot_at(1, 10.0, 15.0, 20.0, 90.0), shot_at(2, 14.0, 15.0, 20.0, 90.0)]
    frames = photograph(tmp_path, world, shots)
    tags = read_tags(frames / "DJI_0002.JPG", CAMERA.width_px, CAMERA.height_px)
    lon, lat = lonlat(14.0, 15.0)
    assert (tags.lon_deg, tags.lat_deg) == pytest.approx((lon, lat), abs=1e-8)
    assert tags.altitude_m == pytest.approx(820.0, abs=0.001)
    assert tags.height_m == pytest.approx(20.0, abs=0.001)
    assert tags.pitch_deg == -90.0
    assert tags.taken_at == dt.datetime(2026, 5, 12, 2, 1, 3, tzinfo=dt.UTC)
    assert tags.rtk is True
    assert tags.camera == dataclasses.replace(CAMERA, name="", focal_y_px=CAMERA.focal_x_px)
    told = read_shots(frames / "photos.csv")
    assert [shot.file for shot in told] == ["DJI_0001.JPG", "DJI_0002.JPG"]
    assert told[0].gimbal_deg == pytest.approx(shots[0].gimbal_deg, abs=1e-5)


def test_files_of_a_camera_that_hangs_below_tell_place_and_time_alone(world, tmp_path):
    frames = photograph(tmp_path, world, [shot_at(1, 10.0, 15.0, 20.0, 90.0)], like="sony")
    tags = read_tags(frames / "DSC00001.JPG", CAMERA.width_px, CAMERA.height_px)
    assert (tags.lon_deg, tags.lat_deg) == pytest.approx(lonlat(10.0, 15.0), abs=1e-8)
    assert tags.altitude_m == pytest.approx(820.0, abs=0.001)
    assert tags.taken_at is not None
    assert tags.yaw_deg is tags.pitch_deg is tags.height_m is tags.camera is None
    # What the file does not say stands beside it.
    assert read_shots(frames / "photos.csv")[0].file == "DSC00001.JPG"
    assert json.loads((frames / "camera.json").read_text())["width_px"] == CAMERA.width_px


def test_other_programs_read_them(world, tmp_path):
    frames = photograph(tmp_path, world, [shot_at(1, 10.0, 15.0, 20.0, 90.0)])
    path = frames / "DJI_0001.JPG"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(path) as source:
            tags = source.tags()
            assert "xml:XMP" in source.tag_namespaces()
    assert tags["EXIF_GPSLatitudeRef"] == "N"
    assert tags["EXIF_GPSMapDatum"] == "WGS-84"
    exiftool = shutil.which("exiftool")
    if exiftool is None:
        pytest.skip("exiftool is not installed")
    wanted = ["-GPSLatitude", "-GPSLongitude", "-GimbalPitchDegree", "-AbsoluteAltitude"]
    said = subprocess.run(
        [exiftool, "-n", "-T", *wanted, str(path)], capture_output=True, text=True, check=True
    ).stdout.split("\t")
    lon, lat = lonlat(10.0, 15.0)
    assert [float(one) for one in said] == pytest.approx([lat, lon, -90.0, 820.0], abs=1e-6)


def test_errors_are_as_large_as_the_receiver_says():
    shots = [shot_at(n, 10.0, 10.0, 20.0, time_ms=600_000 * n) for n in range(400)]
    spec = CameraSpec(CAMERA, RECEIVERS["gps"])
    told = with_errors(shots, spec, np.random.default_rng(2))
    east_m = np.array([(b.lon_deg - a.lon_deg) for a, b in zip(shots, told, strict=True)])
    east_m *= 111_320 * np.cos(np.radians(shots[0].lat_deg))
    up_m = np.array([b.altitude_m - a.altitude_m for a, b in zip(shots, told, strict=True)])
    assert east_m.std() == pytest.approx(1.5 / np.sqrt(2), rel=0.15)
    assert up_m.std() == pytest.approx(2.5, rel=0.15)
    # Between neighbours in time it hardly moves.
    close = [shot_at(n, 10.0, 10.0, 20.0, time_ms=1000 * n) for n in range(400)]
    told = with_errors(close, spec, np.random.default_rng(2))
    steps_m = np.diff([b.altitude_m - 820.0 for b in told])
    assert np.abs(steps_m).max() < 2.5
    assert np.sqrt((steps_m**2).mean()) < 0.6


def test_speed_comes_from_neighbouring_shots():
    shots = [shot_at(n, 10.0 + 6.0 * n, 10.0, 20.0, time_ms=1500 * n) for n in range(4)]
    poses = [local_pose(10.0 + 6.0 * n, 10.0, 20.0) for n in range(4)]
    np.testing.assert_allclose(velocities(shots, poses), [[4.0, 0, 0]] * 4, atol=1e-9)


def test_the_camera_of_a_plan():
    camera = camera_of_plan(
        {
            "image_width_px": 5280, "image_height_px": 3520, "focal_length_mm": 8.8,
            "sensor_width_mm": 13.2, "sensor_height_mm": 8.8, "title": "", "preset": "phantom",
        }
    )  # fmt: skip
    assert (camera.focal_x_px, camera.fy_px) == pytest.approx((3520.0, 3520.0))
    assert camera.name == "phantom"


def test_bad_input(world, tmp_path):
    spec = CameraSpec(CAMERA)
    write_shots(tmp_path / "photos.csv", [])
    with pytest.raises(InputError, match="holds no photograph"):
        render_flight(tmp_path, world, spec, tmp_path / "frames")
    write_shots(tmp_path / "photos.csv", [shot_at(1, 1.0, 1.0, 20.0)])
    with pytest.raises(InputError, match=r"has no ortho.tif"):
        render_flight(tmp_path, tmp_path, spec, tmp_path / "frames")
    (tmp_path / "photos.csv").write_text("img_idx,lat_deg\n1,2\n")
    with pytest.raises(InputError, match="has no column 'lon_deg'"):
        render_flight(tmp_path, world, spec, tmp_path / "frames")
    with pytest.raises(ValueError, match="falloff"):
        CameraSpec(CAMERA, falloff_frac=1.5)


def test_a_full_disk_is_said_and_leaves_no_half_frame(world, tmp_path):
    write_shots(tmp_path / "photos.csv", [shot_at(1, 10.0, 15.0, 20.0)])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, before[1]))
        with pytest.raises(OSError, match="too large"):  # which the command line explains
            render_flight(tmp_path, world, CameraSpec(CAMERA), tmp_path / "frames")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list((tmp_path / "frames").glob("*.JPG"))
    assert not list((tmp_path / "frames").glob(".*"))
