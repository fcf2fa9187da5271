"""The mesh as a lattice: found, told against what lies behind it, and followed where it slopes."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from analysis.mesh import find_lattice, mesh_left

PIXEL_M = 0.01
X = (np.arange(600) + 0.5) * PIXEL_M
Z = (np.arange(180) + 0.5)[:, None] * PIXEL_M


def wires(across: Any, pitch_m: float = 0.075) -> Any:
    """0 to 0.5, by wires of 12 mm as wide as pixels blur them."""
    return 0.5 * np.exp(-(((across + pitch_m / 2) % pitch_m - pitch_m / 2) ** 2) / (2 * 0.006**2))


def diamonds(x: Any, z: Any) -> Any:
    """Chain link of 10 cm, its diamonds upright."""
    return np.maximum(wires(x + z, 0.1), wires(x - z, 0.1))


def test_the_pitch_of_the_mesh_is_found() -> None:
    chance = np.random.default_rng(1)
    wall = (130 + 10 * chance.normal(size=(180, 600)) - 90 * wires(X)[None]).astype(np.float32)
    found = find_lattice([wall], [PIXEL_M])
    assert found is not None
    along, down = found.waves[0]
    assert abs(along) == pytest.approx(1 / 0.075, abs=0.5)
    assert down == pytest.approx(0.0, abs=1.0)


def test_no_mesh_no_pattern() -> None:
    chance = np.random.default_rng(2)
    noise = (120 + 20 * chance.normal(size=(180, 600))).astype(np.float32)
    assert find_lattice([noise], [PIXEL_M]) is None


def test_mesh_as_light_as_what_lies_behind_it_is_not_told() -> None:
    chance = np.random.default_rng(3)
    behind = 120 + 60 * np.sin(2 * np.pi * X / 3.0)[None] ** 3 + chance.normal(0, 4.0, (180, 600))
    wall = (behind + wires(X)[None] * (120 - behind)).astype(np.float32)
    wall[:, 350:400] = behind[:, 350:400]  # cut out
    lattice = find_lattice([wall], [PIXEL_M])
    assert lattice is not None
    assert lattice.wire[0] == pytest.approx(120, abs=6)
    left, told = mesh_left(wall, PIXEL_M, lattice)
    assert told[10:-10, 37].max() < 0.3  # 1.5 m along, the ground is as light as the wires
    assert np.median(left[10:-10, 15:23]) == pytest.approx(1.0, abs=0.35)
    assert left[10:-10, 91:96].max() < 0.3
    assert told[10:-10, 91:96].min() > 0.9


def test_mesh_before_ground_now_lighter_now_darker_than_its_wires_is_told() -> None:
    chance = np.random.default_rng(8)
    mottles = cv2.GaussianBlur(chance.normal(0, 1, (180, 600)), (0, 0), 8.0)  # of some 20 cm
    behind = 120 + 12 * mottles / mottles.std() + chance.normal(0, 5.0, (180, 600))
    behind[:, 500:] += 50  # where it is plain what wires are like
    wall = (behind + wires(X)[None] * (120 - behind)).astype(np.float32)
    wall[60:, 300:370] = behind[60:, 300:370]  # cut out
    lattice = find_lattice([wall], [PIXEL_M])
    assert lattice is not None
    left, told = mesh_left(wall, PIXEL_M, lattice)
    around, hole = np.s_[3:-3, 10:70], np.s_[19:-4, 79:89]
    assert (told[around] > 0.6).mean() > 0.8
    assert (left[around][told[around] > 0.6] > 0.35).mean() > 0.95
    assert (told[hole] > 0.6).mean() > 0.6
    assert (left[hole][told[hole] > 0.6] < 0.35).mean() > 0.95


def test_a_meshs_shadow_on_the_ground_behind_is_not_the_mesh() -> None:
    chance = np.random.default_rng(9)
    # As it falls 10 % further off and aslant; only one of its two families of stripes is strong.
    shadow = wires(0.55 * (X[None] * 1.1 + 0.8 * Z), 0.05)
    ground = 160 - 36 * shadow + chance.normal(0, 4.0, (180, 600))
    wall = (ground + diamonds(X[None], Z) * (60 - ground)).astype(np.float32)
    wall[60:, 300:380] = ground[60:, 300:380]
    lattice = find_lattice([wall], [PIXEL_M])
    assert lattice is not None
    assert {float(each) % 10.0 for each in np.abs(lattice.waves).round(0).ravel()} == {0.0}
    left, _ = mesh_left(wall, PIXEL_M, lattice)
    assert np.median(left[19:-4, 79:91]) < 0.2
    assert np.median(left[5:-5, 10:65]) > 0.7


SLOPE = np.where(X > 3.0, 0.4 * (X - 3.0), 0.0)[None]


def veiled(veil: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """Wires of lightness 40 before ground of 130."""
    return (130 - 90 * veil + 4 * chance.normal(size=veil.shape)).astype(np.float32)


def test_a_panel_that_slopes_otherwise_than_the_ground_keeps_its_mesh() -> None:
    chance = np.random.default_rng(4)
    veil = diamonds(X[None], Z - SLOPE)
    wall, upright = veiled(veil, chance), veiled(diamonds(X[None], Z), chance)
    lattice = find_lattice([upright], [PIXEL_M])
    assert lattice is not None
    left, told = mesh_left(wall, PIXEL_M, lattice)
    assert told[10:-10, 90:140].min() > 0.9
    assert np.median(left[10:-10, 90:140]) > 0.6
    assert np.median(left[10:-10, 10:60]) > 0.6


def test_mesh_is_not_told_beyond_what_the_picture_holds() -> None:
    chance = np.random.default_rng(4)
    foot = (Z - SLOPE) < 1.0  # mesh above, ground below
    veil = np.where(foot, diamonds(X[None], Z - SLOPE), 0.0)
    wall, upright = veiled(veil, chance), veiled(diamonds(X[None], Z), chance)
    lattice = find_lattice([upright], [PIXEL_M])
    assert lattice is not None
    left, told = mesh_left(wall, PIXEL_M, lattice)
    assert np.median(left[3:20, 10:60]) > 0.6
    # 1.2 m down at the left, under the foot, whatever the right half is moved by.
    assert np.all((left[32:, 10:60] < 0.35) | (told[32:, 10:60] < 0.5))


def test_where_nothing_can_be_seen_of_the_fence_nothing_is_told() -> None:
    chance = np.random.default_rng(5)
    wall = (130 + 4 * chance.normal(size=(180, 600)) - 90 * wires(X)[None]).astype(np.float32)
    wall[:, 200:500] = 130 + 20 * chance.normal(size=(180, 300))  # a crown
    lattice = find_lattice([wall], [PIXEL_M])
    assert lattice is not None
    usable = np.ones((45, 150), np.bool_)
    usable[:, 50:125] = False
    _, told = mesh_left(wall, PIXEL_M, lattice, usable)
    assert told[:, 50:125].max() == 0.0
    assert told[5:-5, 10:45].min() > 0.9


def test_colour_tells_mesh_that_is_as_light_as_what_lies_behind_it() -> None:
    chance = np.random.default_rng(6)
    light = 120 + 60 * np.sin(2 * np.pi * X / 3.0)[None] ** 3 + chance.normal(0, 4.0, (180, 600))
    blue = 108 + 8 * np.sin(2 * np.pi * X / 2.3)[None] + chance.normal(0, 1.0, (180, 600))
    behind = np.stack([light, blue], axis=-1)
    steel = np.array([120.0, 128.0])
    wall = (behind + wires(X)[None, :, None] * (steel - behind)).astype(np.float32)
    wall[:, 440:470] = behind[:, 440:470]  # cut out, where the ground is as light as the wires
    lattice = find_lattice([wall], [PIXEL_M])
    assert lattice is not None
    assert lattice.wire[0] == pytest.approx(120, abs=6)
    left, told = mesh_left(wall, PIXEL_M, lattice)
    assert told[10:-10, 35:40].min() > 0.9  # 1.5 m along
    assert np.median(left[10:-10, 35:40]) == pytest.approx(1.0, abs=0.35)
    assert told[10:-10, 112:115].min() > 0.9
    assert left[10:-10, 112:115].max() < 0.3
    grey = find_lattice([wall[..., 0]], [PIXEL_M])
    assert grey is not None
    assert mesh_left(wall[..., 0], PIXEL_M, grey)[1][10:-10, 112:114].max() < 0.3
