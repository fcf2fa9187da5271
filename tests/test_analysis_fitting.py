"""How frames taken from the side are fitted to one another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from analysis.fitting import fit, shifted
from analysis.mesh import CELL_M
from analysis.openings import Look, openings_in, panorama

ROWS, TOP, FOOT = 80, 25, 68
"""1.8 m of mesh in cells of 4 cm, with ground below and above."""
COLUMNS = 250
ALL = np.ones((ROWS, COLUMNS), np.bool_)


def look(
    along: int = 0, up: int = 0, *, first: int = 0, posts: bool = True, hole: bool = True,
    seed: int = 0,
) -> Look:  # fmt: skip
    """A frame's look whose pose places the fence so many cells further along it and up."""
    column = np.arange(COLUMNS) + first - along
    row = np.arange(ROWS)[:, None] + up
    mesh = np.broadcast_to((row >= TOP) & (row <= FOOT), (ROWS, COLUMNS)).astype(np.float32)
    if posts:
        mesh = np.where(column % 75 < 3, 0.2, mesh)  # every 3 m
    if hole:
        mesh = np.where((abs(column - 110) < 10) & (abs(row - 50) < 12), 0.0, mesh)
    noise = np.random.default_rng(seed).normal(0.0, 0.1, mesh.shape)
    return Look(first, (mesh + noise).astype(np.float16), np.ones((ROWS, COLUMNS), np.float16))


ABOVE_M = (FOOT + 1 - np.arange(ROWS) - 0.5) * CELL_M


def fitted(looks: list[Look]) -> Any:
    """By cameras 25 m up that were 3 m and more apart."""
    cameras = [(3.0 * number + each.first * CELL_M, 25.0) for number, each in enumerate(looks)]
    return fit(looks, np.array(cameras).reshape(-1, 2), ABOVE_M)


def apart(looks: list[Look]) -> Any:
    shifts = fitted(looks) / CELL_M
    return shifts - shifts[0]


def test_frames_are_fitted_along_the_fence_and_up() -> None:
    shifts = fitted([look(seed=1), look(6, -2, first=40, seed=2)])
    # Neither pose is known to be the right one: they meet halfway.
    assert shifts[0] == pytest.approx([-3 * CELL_M, CELL_M], abs=0.01)
    assert shifts[1] == pytest.approx([3 * CELL_M, -CELL_M], abs=0.01)


def test_frames_that_do_not_meet_are_fitted_by_those_between() -> None:
    looks = [look(first=0, seed=1), look(5, first=150, seed=2), look(-3, first=290, seed=3)]
    assert apart(looks)[:, 0] == pytest.approx([0, 5, -3], abs=0.6)


def test_mesh_that_is_alike_everywhere_moves_nothing() -> None:
    """Top and foot tell how far apart it is in height; along, no shift is likelier than others."""
    assert fitted([look(posts=False, hole=False, seed=1),
                look(6, posts=False, hole=False, seed=2)]) == pytest.approx(0.0)  # fmt: skip


def test_ground_that_shows_through_is_no_fence() -> None:
    """It lies further along in the other frame, the more the higher up: at the top by 0.22 m."""
    mesh = np.ones((ROWS, COLUMNS))
    blotches = np.random.default_rng(5).normal(0.0, 1.0, (1, 900)) > 0.8
    looks = []
    for number, first in enumerate((0, 0)):
        along = np.rint(3.0 * number * np.maximum(ABOVE_M, 0.0) / 25.0 / CELL_M).astype(int)
        at = np.arange(COLUMNS)[None] - along[:, None] + 100
        ground = np.take_along_axis(np.repeat(np.repeat(blotches, 8, 1), ROWS, 0), at, 1)
        noise = np.random.default_rng(number).normal(0.0, 0.1, mesh.shape)
        left = (mesh - 0.6 * ground + noise).astype(np.float16)
        looks.append(Look(first, left, np.ones((ROWS, COLUMNS), np.float16)))
    assert fitted(looks) == pytest.approx(0.0)


def test_what_is_further_off_than_poses_are_is_not_believed() -> None:
    assert fitted([look(seed=1), look(40, seed=2)]) == pytest.approx(0.0)
    assert fitted([]).shape == (0, 2)


def test_a_frame_that_tells_nothing_is_left_where_it_is() -> None:
    blind = look(4, seed=3)
    blind.told[:] = 0.0
    shifts = fitted([look(seed=1), look(6, seed=2), blind])
    assert shifts[2] == pytest.approx(0.0)
    assert shifts[1, 0] - shifts[0, 0] == pytest.approx(6 * CELL_M, abs=0.01)


def test_a_look_is_moved_back_and_what_hides_the_fence_is_not() -> None:
    hidden = ALL.copy()
    hidden[:, 100:110] = False  # by the surface model, that is where something stands before it
    moved = shifted(look(6, -2), np.array([6, -2]) * CELL_M, hidden)
    assert moved.first == -6
    left, told = moved.over(0, 200)
    true = look().over(0, 200)[0]
    assert left[2:-2, 10:].astype(float) == pytest.approx(true[2:-2, 10:], abs=0.9)
    assert (np.abs(left - true)[2:-2, 10:] > 0.5).sum() < 50
    assert (told[:, 100:110] == 0).all()
    assert (told[5:-5, 110:190] == 1).all()


def test_a_hole_that_poses_smear_is_found_again() -> None:
    looks = [look(-5, seed=1), look(5, seed=2), look(0, seed=3)]
    smeared = openings_in(panorama(looks, ROWS, COLUMNS), looks)
    assert not any(cut.right - cut.left > 16 for cut in smeared)
    looks = [shifted(each, by_m, ALL) for each, by_m in zip(looks, fitted(looks), strict=True)]
    (cut,) = openings_in(panorama(looks, ROWS, COLUMNS), looks)
    assert (cut.left, cut.right) == pytest.approx((101, 120), abs=2)
