"""Rays on surfaces that can be worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corridor.camera import Camera, Pose, project
from corridor.heightfield import Heightfield, project_one, reach_to_surface, view_vector

FLAT = Heightfield.of(np.full((100, 100), 10.0, np.float32), 0.0, 100.0, 1.0, 1.0)


def wall(tall_m=20.0, column=50):
    heights = np.zeros((100, 100), np.float32)
    heights[:, column] = tall_m
    return Heightfield.of(heights, 0.0, 100.0, 1.0, 1.0)


def test_heights_between_cells():
    surface = Heightfield.of(np.array([[0, 2], [4, 6]], np.float32), 0.0, 2.0, 1.0, 1.0)
    places = [[0.5, 1.5], [1.0, 1.5], [1.0, 1.0], [0.0, 2.0], [-0.1, 1.0], [2.0, 0.0]]
    expected = [0.0, 1.0, 3.0, 0.0, np.nan, 6.0]
    np.testing.assert_array_equal(surface.at(places), expected)


def test_a_hole_does_not_spread_to_its_neighbours_centres():
    surface = Heightfield.of(np.array([[1, np.nan], [1, 1]], np.float32), 0.0, 2.0, 1.0, 1.0)
    assert surface.at([[0.5, 1.5]])[0] == 1.0
    assert np.isnan(surface.at([[1.0, 1.5]])[0])


@pytest.mark.parametrize(
    ("direction", "reach"),
    [((0, 0, -1), 50.0), ((0.6, 0, -0.8), 62.5), ((0, -0.6, -0.8), 62.5), ((0, 0, 1), np.nan)],
)
def test_a_plane_is_met_where_it_is(direction, reach):
    found = reach_to_surface(FLAT, [50.0, 50.0, 60.0], [direction])
    np.testing.assert_allclose(found, [reach], atol=2e-3)


def test_a_thin_wall_is_not_passed_through():
    # From 30 m west of it at a height of 10 m, level: its near face rises within the last metre.
    level = reach_to_surface(wall(), [20.5, 50.0, 10.0], [[1.0, 0.0, 0.0]])
    assert level[0] == pytest.approx(29.5, abs=0.01)  # half way up from the cell before
    over = reach_to_surface(wall(), [20.5, 50.0, 21.0], [[1.0, 0.0, 0.0]])
    assert np.isnan(over[0])
    slope = math.atan2(10.0, 60.0)
    down = reach_to_surface(wall(5.0), [20.5, 50.0, 10.0], [[math.cos(slope), 0, -math.sin(slope)]])
    assert down[0] == pytest.approx(60.0 / math.cos(slope), abs=0.02)  # over it to the ground


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 360), st.floats(10, 80))
def test_the_first_hit_is_on_the_surface_and_nothing_before_it(seed, yaw_deg, down_deg):
    rng = np.random.default_rng(seed)
    heights = rng.uniform(0, 12, (60, 60)).astype(np.float32)
    surface = Heightfield.of(heights, 0.0, 60.0, 1.0, 1.0)
    origin = np.array([30.0, 30.0, 30.0])
    yaw, down = math.radians(yaw_deg), math.radians(down_deg)
    ray = np.array(
        [math.sin(yaw) * math.cos(down), math.cos(yaw) * math.cos(down), -math.sin(down)]
    )
    reach = reach_to_surface(surface, origin, [ray])[0]
    along = np.arange(0.0, 80.0, 0.02)
    places = origin + along[:, None] * ray
    gap = surface.at(places[:, :2]) - places[:, 2]
    # A ray is looked at every half cell: between, this noise can rise by a quarter of its 12 m.
    inside = np.flatnonzero(gap > 3.0)
    if np.isnan(reach):
        assert not len(inside)
        return
    at = origin + reach * ray
    assert surface.at([at[:2]])[0] == pytest.approx(at[2], abs=0.02)
    assert not len(inside) or along[inside[0]] > reach - 0.05


@given(st.floats(-60, 60), st.floats(-60, 60), st.floats(0, 90))
def test_the_compiled_projection_is_the_other_one(x, y, z):
    camera = Camera(400, 300, 300.0, 310.0, 190.0, 155.0, -0.2, 0.05, 0.001, -0.002, -0.01)
    pose = Pose(3.0, -4.0, 95.0, 40.0, -60.0, 5.0)
    column, row, depth = project_one(view_vector(camera, pose), x, y, z)
    expected = project(camera, pose, [[x, y, z]])[0]
    if depth < 0:
        assert np.isnan(expected).all()
    else:
        np.testing.assert_allclose([column, row], expected, atol=1e-6)
