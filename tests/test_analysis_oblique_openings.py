"""What counts as an opening in the mesh, and what as whole, once frames have been read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from analysis.mapping import Frame
from analysis.openings import Cut, Look, openings_in, panorama, seen_whole
from analysis.parallax import Spot, inner, lies_behind
from corridor.camera import Camera, Pose, rays

ROWS, COLUMNS = 60, 600
TOP, FOOT = 10, 54
"""The mesh's rows: 1.8 m in cells of 4 cm, ground below and above it."""


def look(first: int = 0, columns: int = COLUMNS) -> Look:
    left = np.zeros((ROWS, columns), np.float32)
    left[TOP : FOOT + 1] = 1.0
    return Look(first, left, np.ones((ROWS, columns), np.float32))


def cuts(*looks: Look) -> list[Cut]:
    return openings_in(panorama(looks, ROWS, COLUMNS), looks)


def test_a_place_without_mesh_amid_mesh_is_an_opening() -> None:
    looks = look(), look()
    for each in looks:
        each.left[24:FOOT, 300:318] = 0.02
        each.left[:, 400:402] = 0.0  # a post: narrower than anything one gets through
    (cut,) = cuts(*looks)
    assert (cut.left, cut.right) == (300, 318)
    assert (cut.top, cut.bottom) == (24, FOOT)
    assert cut.foot == FOOT
    assert cut.frames == (0, 1)
    assert not cut.to_top


def test_what_one_frame_shows_to_be_mesh_is_no_opening() -> None:
    looks = look(), look(), look()
    for each in looks[:2]:
        each.left[24:FOOT, 300:318] = 0.0
    looks[2].told[:] = 0.6  # less sure than the others, which outvote it
    assert cuts(*looks) == []


def test_one_frame_is_not_enough_where_others_see_the_place_and_cannot_tell() -> None:
    looks = look(), look()
    looks[0].left[24:FOOT, 300:318] = 0.0
    looks[1].told[:] = 0.0
    assert cuts(*looks) == []
    alone = look(), look(first=0, columns=100)  # looks elsewhere
    alone[0].left[24:FOOT, 300:318] = 0.0
    (cut,) = cuts(*alone)
    assert cut.frames == (0,)


def test_an_opening_needs_mesh_on_both_sides() -> None:
    looks = look(), look()
    for each in looks:
        each.left[24:FOOT, 300:318] = 0.0
        each.told[:, 318:360] = 0.0  # a bush hides what is right of it
    assert cuts(*looks) == []


def test_what_is_below_the_mesh_does_not_join_a_hole() -> None:
    looks = look(), look()
    for each in looks:  # the fence climbs: its foot and what is below it go across rows
        each.left[:] = 0.0
        for column in range(COLUMNS):
            lift = column // 30
            each.left[max(TOP + 10 - lift, 0) : FOOT + 1 - lift, column] = 1.0
        each.left[24:, 300:318] = 0.0
    (cut,) = cuts(*looks)
    assert (cut.left, cut.right) == (300, 318)


def test_a_strip_as_light_as_the_wires_does_not_join_a_hole() -> None:
    looks = look(), look()
    for each in looks:
        each.left[30:37, 250:500] = 0.1  # a drain behind the fence, 0.28 m high
        each.left[24:FOOT, 300:318] = 0.0
    (cut,) = cuts(*looks)
    assert (cut.left, cut.right) == (300, 318)
    assert (cut.top, cut.bottom) == (24, FOOT)


def test_a_place_that_is_not_told_does_not_part_an_opening() -> None:
    looks = look(), look()
    for each in looks:
        each.left[TOP:FOOT, 300:350] = 0.0
        each.told[TOP + 5 : FOOT, 322:328] = 0.0
    (cut,) = cuts(*looks)
    assert (cut.left, cut.right) == (300, 350)


def test_mesh_pushed_down_is_not_seen_whole() -> None:
    looks = look(), look()
    for each in looks:
        each.left[TOP : FOOT - 10, 200:380] = 0.0  # 7 m, mesh left at the foot
    (cut,) = cuts(*looks)
    assert (cut.left, cut.right) == (200, 380)
    assert cut.to_top
    whole = seen_whole(panorama(looks, ROWS, COLUMNS), 1.8)
    assert [(a, b) for a, b in whole] == [(0, 200), (380, COLUMNS)]


def test_the_upper_half_alone_is_not_whole() -> None:
    looks = look(), look()
    for each in looks:
        each.told[TOP + 22 :] = 0.0  # grass along all of it
    assert seen_whole(panorama(looks, ROWS, COLUMNS), 1.8) == []


def test_nothing_seen_is_not_whole() -> None:
    nothing = look()
    nothing.told[:] = 0.0
    view = panorama([nothing], ROWS, COLUMNS)
    assert seen_whole(view, 1.8) == []
    assert openings_in(view, [nothing]) == []


# Parallax

CAMERA = Camera(1000, 800, 1500.0)
POSES = [Pose(x, -11.0, 8.0, 0.0, -34.0, 0.0) for x in (0.0, 1.5)]
TEXTURE = cv2.GaussianBlur(
    np.random.default_rng(5).normal(0, 60, (900, 900)).astype(np.float32), (0, 0), 2.0
)


def shown(pose: Pose, plane_y_m: float | None, post_m: float | None = None) -> Any:
    """A textured wall at y, or the ground if None; before it a post of the fence's, or none."""
    columns, rows = np.meshgrid(np.arange(CAMERA.width_px), np.arange(CAMERA.height_px))
    direction = rays(CAMERA, pose, np.column_stack([columns.ravel(), rows.ravel()]))
    if plane_y_m is None:
        reach = -pose.z_m / direction[:, 2]
        u, v = pose.x_m + reach * direction[:, 0], pose.y_m + reach * direction[:, 1]
    else:
        reach = (plane_y_m - pose.y_m) / direction[:, 1]
        u, v = pose.x_m + reach * direction[:, 0], pose.z_m + reach * direction[:, 2]
    at = [np.asarray((each + 9) / 0.02, np.float32).reshape(rows.shape) for each in (u, v)]
    grey = 128 + cv2.remap(TEXTURE, *at, cv2.INTER_LINEAR)
    if post_m is not None:
        x = pose.x_m - pose.y_m / direction[:, 1] * direction[:, 0]
        grey[(np.abs(x - post_m) < 0.03).reshape(rows.shape)] = 250
    return np.clip(grey, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("plane_y_m", "is_behind"), [(None, True), (0.9, True), (0.0, False), (-0.7, False)]
)
def test_what_lies_behind_the_plane_is_told_from_what_is_on_it_or_before_it(
    plane_y_m: float | None, is_behind: bool
) -> None:
    chainage, above = inner(0.2, 1.1, 0.2, 1.3)
    xy = np.column_stack([chainage, np.zeros(len(chainage))])
    spot = Spot(xy, np.zeros(len(chainage)), above)
    one, other = ((Frame(Path(), CAMERA, pose), shown(pose, plane_y_m)) for pose in POSES)
    proof = lies_behind(one, other, spot)
    assert proof is not None
    assert (proof > 0.1) is is_behind


def test_a_post_in_an_opening_does_not_hide_that_the_ground_lies_behind() -> None:
    chainage, above = inner(0.2, 1.1, 0.2, 1.3)
    spot = Spot(np.column_stack([chainage, 0 * chainage]), 0 * chainage, above)
    one, other = ((Frame(Path(), CAMERA, pose), shown(pose, None, 0.65)) for pose in POSES)
    proof = lies_behind(one, other, spot)
    assert proof is not None
    assert proof > 0.2


def test_a_background_without_texture_proves_nothing() -> None:
    chainage, above = inner(0.2, 1.1, 0.2, 1.3)
    spot = Spot(np.column_stack([chainage, 0 * chainage]), 0 * chainage, above)
    noise = np.random.default_rng(1).normal(128, 3, (2, 800, 1000)).astype(np.uint8)
    one, other = (
        (Frame(Path(), CAMERA, pose), grey) for pose, grey in zip(POSES, noise, strict=True)
    )
    assert lies_behind(one, other, spot) is None
