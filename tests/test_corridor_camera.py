"""The camera's geometry: by hand, against OpenCV, and against a reconstruction of real frames."""

import json
import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corridor.camera import (
    Camera,
    Pose,
    distort,
    footprint_on_plane,
    inside,
    project,
    rays,
    undistort,
)

# Focal length 100 pixels at a height of 100 m: one metre on flat ground is one pixel.
PLAIN = Camera(201, 101, 100.0)
LENS = Camera(1368, 912, 911.7, 905.0, 681.4, 462.0, -0.264, 0.102, 0.0007, 0.0003, -0.026)

angles = st.floats(-179.0, 179.0)
poses = st.builds(
    Pose,
    st.floats(-1e5, 1e5),
    st.floats(-1e5, 1e5),
    st.floats(-100, 4000),
    angles,
    st.floats(-90.0, 80.0),
    angles,
)


@pytest.mark.parametrize(
    ("yaw_deg", "east_pixel", "north_pixel"),
    [
        (0, (110, 50), (100, 40)),  # top of the picture to the north: north is up
        (90, (100, 40), (90, 50)),  # top to the east: east is up, north on the left
        (180, (90, 50), (100, 60)),
        (270, (100, 60), (110, 50)),
    ],
)
def test_straight_down_the_top_of_the_picture_points_along_the_yaw(
    yaw_deg, east_pixel, north_pixel
):
    pose = Pose(1000.0, 2000.0, 150.0, yaw_deg, -90.0, 0.0)
    points = [[1000, 2000, 50], [1010, 2000, 50], [1000, 2010, 50]]
    expected = [(100, 50), east_pixel, north_pixel]
    np.testing.assert_allclose(project(PLAIN, pose, points), expected, atol=1e-9)


def test_a_tree_top_leans_away_from_the_middle():
    pose = Pose(0, 0, 100, 0, -90, 0)
    foot, top = project(PLAIN, pose, [[50, 0, 0], [50, 0, 20]])
    assert foot == pytest.approx([150, 50])
    assert top == pytest.approx([162.5, 50])  # 50 m aside at a depth of 80 m


def test_looking_east_at_the_horizon():
    pose = Pose(0, 0, 10, 90, 0, 0)
    pixels = project(PLAIN, pose, [[100, 0, 10], [100, 0, 20], [100, -10, 10], [-100, 0, 10]])
    np.testing.assert_allclose(pixels[:3], [(100, 50), (100, 40), (110, 50)], atol=1e-9)
    assert np.isnan(pixels[3]).all()  # behind


def test_half_way_down_the_axis_meets_the_ground_at_the_height():
    pose = Pose(0, 0, 100, 0, -45, 0)
    np.testing.assert_allclose(project(PLAIN, pose, [[0, 100, 0]]), [(100, 50)], atol=1e-9)
    ray = rays(PLAIN, pose, [[100, 50]])[0]
    np.testing.assert_allclose(ray, [0, math.sqrt(0.5), -math.sqrt(0.5)], atol=1e-12)


def test_roll_with_the_right_side_down_tilts_the_horizon_to_the_left():
    # The right side dips, so the horizon climbs on the right of the picture.
    pose = Pose(0, 0, 10, 0, 0, 10)
    left, right = project(PLAIN, pose, [[-50, 100, 10], [50, 100, 10]])
    assert left == pytest.approx([100 - 50 * math.cos(math.radians(10)), 50 + 50 * 0.173648], 1e-4)
    assert right[1] < 50 < left[1]


def test_a_camera_bolted_under_a_banking_aircraft():
    # Flying north, right side down by 10°: the belly looks to the left, that is west.
    pose = Pose.on_vehicle([0, 0, 100], 0.0, 0.0, 10.0)
    ray = rays(PLAIN, pose, [[100, 50]])[0]
    assert ray[0] == pytest.approx(-math.sin(math.radians(10)))
    assert ray[1] == pytest.approx(0.0, abs=1e-12)
    # Nose down by 22°: the belly looks backwards, and the top of the picture is still ahead.
    pose = Pose.on_vehicle([0, 0, 100], 0.0, -22.0, 0.0)
    ray, top = rays(PLAIN, pose, [[100, 50], [100, 0]])
    assert ray[1] == pytest.approx(-math.sin(math.radians(22)))
    assert top[1] > ray[1]


def test_the_footprint_of_a_level_camera():
    corners = footprint_on_plane(PLAIN, Pose(0, 0, 100, 0, -90, 0), 0.0, per_side=1)
    expected = [(-100.5, 50.5), (100.5, 50.5), (100.5, -50.5), (-100.5, -50.5)]
    np.testing.assert_allclose(corners, expected, atol=1e-9)
    horizon = footprint_on_plane(PLAIN, Pose(0, 0, 100, 0, 0, 0), 0.0, per_side=1)
    assert np.isnan(horizon[:2]).all()
    assert np.isfinite(horizon[2:]).all()


@given(poses, st.integers(0, 2**32 - 1))
def test_projection_agrees_with_opencv(pose, seed):
    rng = np.random.default_rng(seed)
    normal = rng.uniform(-0.8, 0.8, (20, 2))
    depth_m = rng.uniform(5.0, 500.0, (20, 1))
    points = pose.position_m + np.hstack([normal * depth_m, depth_m]) @ pose.rotation
    turn, _ = cv2.Rodrigues(pose.rotation)
    expected, _ = cv2.projectPoints(
        points - pose.position_m, turn, np.zeros(3), LENS.matrix, np.array(LENS.distortion)
    )
    np.testing.assert_allclose(project(LENS, pose, points), expected[:, 0], atol=1e-4)


@given(poses, st.floats(0, 1367), st.floats(0, 911), st.floats(1, 1000))
def test_a_ray_leads_back_to_its_pixel(pose, column, row, reach_m):
    ray = rays(LENS, pose, [[column, row]])
    assert np.linalg.norm(ray) == pytest.approx(1.0)
    back = project(LENS, pose, pose.position_m + reach_m * ray)
    np.testing.assert_allclose(back, [[column, row]], atol=1e-5)


@given(poses)
def test_a_pose_survives_its_rotation_matrix(pose):
    again = Pose.of_rotation(pose.position_m, pose.rotation)
    np.testing.assert_allclose(again.rotation, pose.rotation, atol=1e-9)
    assert np.linalg.det(pose.rotation) == pytest.approx(1.0)


@given(angles, angles)
def test_straight_down_roll_becomes_yaw(yaw_deg, roll_deg):
    pose = Pose(0, 0, 0, yaw_deg, -90.0, roll_deg)
    again = Pose.of_rotation(pose.position_m, pose.rotation)
    np.testing.assert_allclose(again.rotation, pose.rotation, atol=1e-9)


def test_places_outside_are_not_folded_into_the_picture():
    assert 1.3 < LENS.radius_limit < 1.5
    far = np.array([[2.5, 0.0]])
    r2 = 6.25
    folded = 2.5 * (1 - 0.264 * r2 + 0.102 * r2**2 - 0.026 * r2**3)
    assert abs(folded) > 0.7  # the bare polynomial gives some number
    assert np.isnan(distort(LENS, far)).all()
    assert np.isnan(undistort(LENS, [[5.0, 0.0]])).all()
    assert Camera(10, 10, 10.0, k1=0.1).radius_limit == math.inf


def test_inside_includes_whole_outer_pixels():
    pixels = [[-0.5, 0], [-0.51, 0], [200.5, 100.5], [np.nan, 3], [100, 50]]
    assert inside(PLAIN, pixels).tolist() == [True, False, True, False, True]


def test_resizing_keeps_rays():
    half = LENS.resized(684, 456)
    pixels = np.array([[0.0, 0.0], [300.0, 200.0], [683.0, 455.0]])
    pose = Pose(0, 0, 100)
    whole = rays(LENS, pose, (pixels + 0.5) * 2 - 0.5)
    np.testing.assert_allclose(rays(half, pose, pixels), whole, atol=1e-12)
    with pytest.raises(ValueError, match="no scaled"):
        LENS.resized(1000, 1000)


def test_data_sheet_figures():
    # DJI P1 with 35 mm: 8192 pixels on 35.9 mm; 4.39 µm pixels, 1.25 cm at 100 m.
    camera = Camera.of_sensor(8192, 5460, 35.0, 35.9)
    assert 100.0 / camera.focal_x_px == pytest.approx(0.01252, abs=1e-5)
    assert camera.centre_px == (4095.5, 2729.5)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Camera(0, 10, 10.0),
        lambda: Camera(10, 10, 0.0),
        lambda: Camera(10, 10, 10.0, k1=math.nan),
        lambda: Pose(0, 0, math.inf),
    ],
)
def test_nonsense_is_refused(make):
    with pytest.raises(ValueError, match=r"not|must"):
        make()


@pytest.mark.data
def test_against_a_reconstruction_of_real_frames(data_dir):
    """Poses of four real frames: OpenCV's projection of the same points must agree."""
    path = data_dir / "hsinchu-highway" / "reconstruction.json"
    model = json.loads(path.read_text())[0]
    lens = next(iter(model["cameras"].values()))
    size = max(lens["width"], lens["height"])
    camera = Camera(
        lens["width"],
        lens["height"],
        lens["focal_x"] * size,
        lens["focal_y"] * size,
        lens["c_x"] * size + (lens["width"] - 1) / 2,
        lens["c_y"] * size + (lens["height"] - 1) / 2,
        *(lens[term] for term in ("k1", "k2", "p1", "p2", "k3")),
    )
    for shot in model["shots"].values():
        turn, shift = np.array(shot["rotation"]), np.array(shot["translation"])
        matrix, _ = cv2.Rodrigues(turn)
        pose = Pose.of_rotation(-matrix.T @ shift, matrix)
        # Flown with the gimbal at 60° down and the wings level, as the pilot set it.
        assert pose.pitch_deg == pytest.approx(-60.0, abs=2.0)
        assert pose.roll_deg == pytest.approx(0.0, abs=2.5)
        assert pose.position_m == pytest.approx(shot["gps_position"], abs=6.0)
        away_m = np.array([[0.0, 0.0, -100.0], [20.0, -30.0, -90.0], [-40.0, 10.0, -110.0]])
        ground = pose.position_m + away_m
        expected, _ = cv2.projectPoints(
            ground, turn, shift, camera.matrix, np.array(camera.distortion)
        )
        np.testing.assert_allclose(project(camera, pose, ground), expected[:, 0], atol=1e-6)
