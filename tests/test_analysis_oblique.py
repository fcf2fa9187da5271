"""The fence's plane in frames from the side: what is rectified, and what counts as an opening."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st

from analysis.fence_work import Breach, FenceResult, Stretch
from analysis.fusion import fuse, side_notes
from analysis.heights import SurfaceModel
from analysis.mapping import Frame
from analysis.oblique import (
    look_from_the_side,
    read_oblique,
    rectify,
)
from analysis.raster import Orthophoto
from analysis.results import FenceLine
from analysis.side_view import NOT_PHOTOGRAPHED, Opening, SideView
from corridor import Boundary, InputError, Side, Track
from corridor.camera import Camera, Pose, project, rays
from corridor.findings import NOT_SEEN_FROM_THE_SIDE, BreachType, FenceState
from fencewalk.cli import main

X0, Y0, GROUND_M, FENCE_M = 500_000.0, 3_000_000.0, 100.0, 1.8
CAMERA = Camera(1600, 1000, 1600.0)
# 11 m south of a fence along the x axis, 8 m up, looking north and 34 degrees down.
POSE = Pose(X0 + 10, Y0 - 11, GROUND_M + 8, 0.0, -34.0, 0.0)
OTHER = Pose(X0 + 11.5, Y0 - 11, GROUND_M + 8, 0.0, -34.0, 0.0)


Box = tuple[float, float, float, float]
_CHANCE = np.random.default_rng(7)
GRASS = cv2.GaussianBlur(_CHANCE.normal(0, 1, (800, 800)).astype(np.float32), (0, 0), 1.5)
BUSH_BEFORE_M = 1.2


def mesh(chainage_m: Any, above_m: Any, hole: Box | None) -> Any:
    """Darkening by wires of 4 mm at 75 mm, and posts of 6 cm at 2 m; nothing in the hole."""
    wires = np.exp(-(((chainage_m + 0.0375) % 0.075 - 0.0375) ** 2) / (2 * 0.006**2))
    posts = (np.abs((chainage_m + 1.0) % 2.0 - 1.0) < 0.03) * 1.2
    veil = np.maximum(0.5 * wires, posts)
    if hole is not None:
        left, right, low, high = hole
        inside = (chainage_m > left) & (chainage_m < right) & (above_m > low) & (above_m < high)
        veil = np.where(inside, 0.0, veil)
    return np.where((above_m >= 0) & (above_m <= FENCE_M), veil, 0.0)


def ground(x: Any, y: Any, light: float, rough: float) -> Any:
    """Grass, where it grows: 4 cm to a cell of `GRASS`."""
    shape = CAMERA.height_px, CAMERA.width_px
    at = [np.asarray(each / 0.04, np.float32).reshape(shape) % 790 for each in (x, y)]
    return light + rough * cv2.remap(GRASS, *at, cv2.INTER_LINEAR).ravel()


def picture(
    hole: Box | None, pose: Pose = POSE, bush: Box | None = None, light: float = 130.0,
    rough: float = 30.0, foot_m: float = 0.0,
) -> Any:  # fmt: skip
    """A frame of the fence on level grass: each pixel's ray meets the plane y = Y0, and the ground.

    Args:
        hole, bush: left, right, low, high; the bush stands `BUSH_BEFORE_M` before the fence.
        light, rough: of the grass; the wires are 90 darker than 130.
        foot_m: of the fence above the ground.
    """
    columns, rows = np.meshgrid(np.arange(CAMERA.width_px), np.arange(CAMERA.height_px))
    direction = rays(CAMERA, pose, np.column_stack([columns.ravel(), rows.ravel()]))

    def met(y: float) -> tuple[Any, Any]:
        reach = (y - pose.y_m) / direction[:, 1]
        return (
            pose.x_m + reach * direction[:, 0] - X0,
            pose.z_m + reach * direction[:, 2] - GROUND_M,
        )

    reach = (GROUND_M - pose.z_m) / direction[:, 2]
    far_y = pose.y_m + reach * direction[:, 1]
    grey = ground(pose.x_m + reach * direction[:, 0] - X0, far_y - Y0 + 50, light, rough)
    x, z = met(Y0)
    veil = np.where(far_y > Y0, mesh(x, z - foot_m, hole), 0.0)
    grey = grey + np.minimum(veil, 1.0) * (40.0 - grey)
    if bush is not None:
        x, z = met(Y0 - BUSH_BEFORE_M)
        left, right, low, high = bush
        grown = (x > left) & (x < right) & (z > low) & (z < high)
        grey = np.where(grown, ground(x, z + 20, 120.0, 90.0), grey)
    grey = grey + np.random.default_rng(3).normal(0, 2.0, grey.shape)
    return np.clip(grey, 0, 255).reshape(rows.shape).astype(np.uint8)


@pytest.fixture(scope="module")
def line() -> FenceLine:
    xy = np.array([[X0, Y0], [X0 + 20, Y0]])
    track = Track(xy, np.array([0.0, 20.0]))
    lonlat = np.array([[99.0, 27.0], [99.0002, 27.0]])
    boundary = Boundary("G1", Side.LEFT, (lonlat,), (0.0,), fence_height_m=FENCE_M)
    return FenceLine(boundary, 0, track, track, np.zeros(2))


def surface(heights: Any, path: Path, gsd_m: float) -> SurfaceModel:
    """A surface model of 60 m from 20 m west of the fence's start, and 30.5 m north of it."""
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=len(heights), width=len(heights),
        dtype="float32", crs="EPSG:32647",
        transform=Affine(gsd_m, 0, X0 - 20, 0, -gsd_m, Y0 + 30.5),
    ) as file:  # fmt: skip
        file.write(np.asarray(heights, np.float32)[None])
    from pyproj import CRS

    return SurfaceModel.open(path, CRS.from_epsg(32647), (X0 - 5, Y0 - 5, X0 + 25, Y0 + 5))


@pytest.fixture(scope="module")
def dsm(tmp_path_factory: pytest.TempPathFactory) -> SurfaceModel:
    heights = np.full((60, 60), GROUND_M)
    heights[30] += FENCE_M  # the fence itself stands in the surface model
    return surface(heights, tmp_path_factory.mktemp("dsm") / "dsm.tif", 1.0)


def frame_of(grey: Any, path: Path, pose: Pose = POSE) -> Frame:
    import PIL.Image

    PIL.Image.fromarray(np.stack([grey] * 3, axis=-1)).save(path, quality=95)
    return Frame(path, CAMERA, pose)


def frames_of(folder: Path, *poses: Pose, **shown: Any) -> list[Frame]:
    hole = shown.pop("hole", None)
    return [
        frame_of(picture(hole, pose, **shown), folder / f"{number}.jpg", pose)
        for number, pose in enumerate(poses)
    ]


def test_a_place_on_the_fence_lands_where_it_should(line: FenceLine) -> None:
    grey = np.zeros((CAMERA.height_px, CAMERA.width_px), np.uint8)
    spot = project(CAMERA, POSE, [[X0 + 9.0, Y0, GROUND_M + 1.2]])[0]
    column, row = round(spot[0]), round(spot[1])
    grey[row - 2 : row + 3, column - 2 : column + 3] = 255
    level = np.full(600, GROUND_M)
    wall = rectify(Frame(Path(), CAMERA, POSE), grey, line, level, 7.0, 13.0, 0.01)
    rows, columns = np.nonzero(np.nan_to_num(wall.tones[..., 0]) > 128)
    assert wall.start_m + columns.mean() * 0.01 == pytest.approx(9.0, abs=0.02)
    assert FENCE_M + 1.0 - rows.mean() * 0.01 == pytest.approx(1.2, abs=0.02)


def test_a_hole_is_found_where_it_is(line: FenceLine, dsm: SurfaceModel, tmp_path: Path) -> None:
    frames = frames_of(tmp_path, POSE, OTHER, hole=(8.5, 9.4, 0.3, 1.2))
    view = look_from_the_side(frames, line, dsm)
    (opening,) = view.openings
    assert opening.start_m == pytest.approx(8.5, abs=0.15)
    assert opening.end_m == pytest.approx(9.4, abs=0.15)
    assert opening.low_m == pytest.approx(0.3, abs=0.15)
    assert opening.high_m == pytest.approx(1.2, abs=0.15)
    assert opening.frames == 2
    assert not opening.to_top
    assert view.saw(9.8, 12.0)
    assert not view.saw(8.6, 9.3)
    assert not view.saw(0.0, 3.0)  # outside the frames


def test_a_whole_fence_has_no_opening(line: FenceLine, dsm: SurfaceModel, tmp_path: Path) -> None:
    view = look_from_the_side(frames_of(tmp_path, POSE, OTHER), line, dsm)
    assert view.openings == ()
    assert view.saw(7.0, 13.0)


def test_a_hole_is_found_in_a_fence_that_stands_higher_than_the_ground_is_known(
    line: FenceLine, dsm: SurfaceModel, tmp_path: Path
) -> None:
    frames = frames_of(tmp_path, POSE, OTHER, hole=(8.5, 9.4, 0.0, 1.2), foot_m=0.4)
    (opening,) = look_from_the_side(frames, line, dsm).openings
    assert opening.start_m == pytest.approx(8.5, abs=0.15)
    assert opening.high_m == pytest.approx(1.2, abs=0.2)


def test_a_bush_before_the_fence_is_no_hole(
    line: FenceLine, dsm: SurfaceModel, tmp_path: Path
) -> None:
    # In no surface model, and wide enough that both frames miss mesh at one place.
    frames = frames_of(tmp_path, POSE, OTHER, bush=(8.6, 9.7, -1.0, 1.6))
    view = look_from_the_side(frames, line, dsm)
    assert view.openings == ()
    assert not view.saw(8.5, 9.8)
    assert view.saw(10.5, 12.5)


@pytest.mark.parametrize(("grown", "found"), [(np.s_[301:308, 283:296], 0), (np.s_[0:0], 1)])
def test_what_grows_at_the_fences_foot_hides_it_and_the_fence_itself_does_not(
    line: FenceLine, tmp_path: Path, grown: Any, found: int
) -> None:
    heights = np.full((600, 600), GROUND_M)
    heights[304:307] += 1.2  # the fence, as much of it as a surface model shows
    heights[grown] = GROUND_M + 1.7  # from 0.4 m behind the fence to 0.3 m before it
    frames = frames_of(tmp_path, POSE, OTHER, hole=(8.5, 9.4, 0.3, 1.2))
    view = look_from_the_side(frames, line, surface(heights, tmp_path / "dsm.tif", 0.1))
    assert len(view.openings) == found
    assert view.saw(10.5, 12.5)


def test_bushes_on_both_sides_do_not_lift_the_fence(line: FenceLine, tmp_path: Path) -> None:
    heights = np.full((600, 600), GROUND_M)
    heights[285:325, 275:305] += 0.5  # 3 m along, 2 m to either side
    frames = frames_of(tmp_path, POSE, OTHER, hole=(8.5, 9.4, 0.8, 1.5))
    (opening,) = look_from_the_side(
        frames, line, surface(heights, tmp_path / "a.tif", 0.1)
    ).openings
    assert opening.low_m == pytest.approx(0.8, abs=0.15)
    assert opening.high_m == pytest.approx(1.5, abs=0.15)


def test_before_a_background_as_light_as_the_wires_nothing_is_said(
    line: FenceLine, dsm: SurfaceModel, tmp_path: Path
) -> None:
    frames = frames_of(tmp_path, POSE, OTHER, light=40.0, rough=6.0)
    view = look_from_the_side(frames, line, dsm)
    assert (view.seen, view.openings, view.told) == ((), (), ())
    # It is in the pictures: that it was not told is said.
    assert view.told_of(0.0, 20.0) == [(0.0, 20.0, NOT_SEEN_FROM_THE_SIDE)]


def test_frames_too_far_off_say_nothing(line: FenceLine, dsm: SurfaceModel, tmp_path: Path) -> None:
    far = Pose(X0 + 10, Y0 - 40, GROUND_M + 30, 0.0, -34.0, 0.0)
    view = look_from_the_side([frame_of(picture(None), tmp_path / "a.jpg", far)], line, dsm)
    assert view == SideView((), ())


def test_two_frames_must_tell_the_mesh_for_it_to_count_as_seen(
    line: FenceLine, dsm: SurfaceModel, tmp_path: Path
) -> None:
    frames = frames_of(tmp_path, POSE, OTHER)
    view = look_from_the_side(frames, line, dsm)
    assert [reason for *_, reason in view.told_of(8.0, 13.0)] == [""]
    one = look_from_the_side(frames[:1], line, dsm)
    assert one.seen
    assert one.told == ()
    assert [reason for *_, reason in one.told_of(8.0, 13.0)] == [NOT_SEEN_FROM_THE_SIDE]


# Fusion


def fence(
    *spans: tuple[float, float, FenceState], breaches: tuple[Breach, ...] = ()
) -> FenceResult:
    xy = np.array([[X0, Y0], [X0 + 20, Y0]])
    stretches = tuple(Stretch(a, b, state, 0.9) for a, b, state in spans)
    return FenceResult(0, 0, np.array([0.0, 20.0]), xy, np.zeros(2), stretches, breaches)


def test_an_opening_is_a_hole_where_nadir_saw_none() -> None:
    view = SideView(((0.0, 20.0),), (Opening(9.3, 10.2, 0.2, 1.2, 0.7, 2),))
    fused = fuse(fence((0, 20, FenceState.INTACT)), 0, [], [], view)
    assert [(s.start_m, s.end_m, s.state) for s in fused.stretches] == [
        (0, 9.3, FenceState.INTACT), (9.3, 10.2, FenceState.BREACH), (10.2, 20, FenceState.INTACT),
    ]  # fmt: skip
    (hole,) = fused.breaches
    assert (hole.breach_type, hole.confidence) == (BreachType.HOLE, 0.85)
    one = SideView(view.seen, (Opening(9.3, 10.2, 0.2, 1.2, 0.7, 1),))
    assert fuse(fence((0, 20, FenceState.INTACT)), 0, [], [], one).breaches[0].confidence == 0.4


def test_an_opening_confirms_a_breach_and_spans_states() -> None:
    gap = Breach(9.0, 11.0, BreachType.GAP, 0.6)
    before = fence((0, 9, FenceState.INTACT), (9, 11, FenceState.BREACH),
                   (11, 20, FenceState.INTACT), breaches=(gap,))  # fmt: skip
    whole = ((0.0, 20.0),)
    view = SideView(whole, (Opening(9.1, 11.2, 0.0, 1.8, 1.0, 2),), whole, whole)
    fused = fuse(before, 0, [], [], view)
    assert fused.breaches[0].confidence == pytest.approx(1 - 0.4 * 0.15)
    assert fused.stretches == before.stretches
    across = fence((0, 10, FenceState.INTACT), (10, 20, FenceState.UNSEEN))
    cut = fuse(across, 0, [], [], view)
    assert [(s.start_m, s.end_m) for s in cut.stretches] == [(0, 9.1), (9.1, 11.2), (11.2, 20)]


def test_whole_mesh_seen_from_the_side_lifts_obscured() -> None:
    hidden = fence((0, 8, FenceState.INTACT), (8, 12, FenceState.OBSCURED),
                   (12, 20, FenceState.OBSCURED))  # fmt: skip
    fused = fuse(hidden, 0, [], [], SideView(((0.0, 12.0),), ()))
    assert [s.state for s in fused.stretches] == [
        FenceState.INTACT, FenceState.INTACT, FenceState.OBSCURED,
    ]  # fmt: skip


def test_a_breach_seen_from_above_falls_where_the_mesh_is_seen_whole() -> None:
    gap = Breach(8.0, 11.0, BreachType.GAP, 0.9)
    before = fence((0, 8, FenceState.INTACT), (8, 11, FenceState.BREACH),
                   (11, 14, FenceState.UNSEEN), (14, 20, FenceState.INTACT),
                   breaches=(gap,))  # fmt: skip
    fused = fuse(before, 0, [], [], SideView(((0.0, 20.0),), ()))
    assert fused.breaches == ()
    assert {s.state for s in fused.stretches} == {FenceState.INTACT}
    assert fused.stretches[1].reason == "looks broken from above, whole in the oblique frames"
    # A metre of it was not seen, or an opening was: it stands.
    for view in (
        SideView(((0.0, 9.0), (10.0, 20.0)), ()),
        SideView(((0.0, 20.0),), (Opening(10.5, 11.5, 0.2, 1.2, 0.9, 2),)),
    ):
        assert gap.start_m in [breach.start_m for breach in fuse(before, 0, [], [], view).breaches]


def test_what_stands_from_above_and_was_not_seen_from_the_side_says_so() -> None:
    gap = Breach(4.0, 5.0, BreachType.GAP, 0.9)
    before = fence((0, 4, FenceState.INTACT), (4, 5, FenceState.BREACH), (5, 9, FenceState.INTACT),
                   (9, 20, FenceState.UNSEEN), breaches=(gap,))  # fmt: skip
    view = SideView((), (), ((0.0, 2.0), (3.9, 7.0)), ((0.0, 9.0),))
    fused = fuse(before, 0, [], [], view)
    assert [(s.start_m, s.end_m, s.state, s.reason) for s in fused.stretches] == [
        (0, 2.0, FenceState.INTACT, ""),
        (2.0, 4, FenceState.INTACT, NOT_SEEN_FROM_THE_SIDE),
        (4, 5, FenceState.BREACH, ""),
        (5, 7.0, FenceState.INTACT, ""),
        (7.0, 9, FenceState.INTACT, NOT_SEEN_FROM_THE_SIDE),
        (9, 20, FenceState.UNSEEN, ""),
    ]
    assert {s.confidence for s in fused.stretches} == {0.9}
    # Without frames nothing is said of them.
    assert fuse(before, 0, [], []).stretches == before.stretches


def test_metres_seen_from_the_side_are_told_for_each_fence(line: FenceLine) -> None:
    view = SideView((), (), ((0.0, 12.0),), ((0.0, 12.0),))
    own = fence((0, 10, FenceState.INTACT), (10, 18, FenceState.OBSCURED),
                (18, 20, FenceState.NO_FENCE))  # fmt: skip
    (note,) = side_notes([line], [own], [view])
    assert note == (
        "G1-left-1: 12 m of fence seen from the side, 6 m not seen from the side, "
        "0 m not photographed from the side"
    )
    assert side_notes([line], [own], [None]) == []


def test_a_stretch_is_told_apart_by_what_frames_tell_of_it() -> None:
    view = SideView((), (), ((10.0, 20.0), (20.2, 30.0)), ((0.0, 40.0),))
    told = [(10.0, 30.0, "")]  # 0.2 m are less than any opening that counts
    assert view.told_of(10.0, 30.0) == told
    unseen = NOT_SEEN_FROM_THE_SIDE
    assert view.told_of(-20.0, 100.0) == [
        (-20.0, 10.0, unseen), *told, (30.0, 90.0, unseen), (90.0, 100.0, NOT_PHOTOGRAPHED),
    ]  # fmt: skip
    # 0.2 m of mesh between what was not told would show no opening beside it.
    assert SideView((), (), ((10.0, 10.2),), ((0.0, 40.0),)).told_of(0, 20) == [(0, 20, unseen)]
    assert SideView((), ()).told_of(0, 20) == [(0, 20, NOT_PHOTOGRAPHED)]


@given(
    st.lists(st.floats(0, 60), min_size=2, max_size=8, unique=True),
    st.lists(st.floats(-90, 90), min_size=2, max_size=4, unique=True),
)
def test_pieces_of_what_was_told_tile_a_stretch(told: list[float], framed: list[float]) -> None:
    pairs = [
        tuple(zip(sorted(each)[:-1:2], sorted(each)[1::2], strict=True)) for each in (told, framed)
    ]
    pieces = SideView((), (), *pairs).told_of(5.0, 50.0)
    assert [start for start, _, _ in pieces] == [5.0, *(end for _, end, _ in pieces[:-1])]
    assert pieces[-1][1] == 50.0
    assert all(end > start for start, end, _ in pieces)


def test_mesh_that_lies_at_its_foot_is_collapsed() -> None:
    view = SideView((), (Opening(5.0, 8.0, 0.5, 1.8, 0.9, 2, to_top=True),
                         Opening(12.0, 14.0, 0.0, 1.8, 0.9, 2, to_top=True)))  # fmt: skip
    fused = fuse(fence((0, 20, FenceState.INTACT)), 0, [], [], view)
    assert [each.breach_type for each in fused.breaches] == [BreachType.COLLAPSED, BreachType.GAP]


def test_oblique_needs_a_surface_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "ortho.tif"
    with rasterio.open(
        path, "w", driver="GTiff", count=3, height=50, width=50, dtype="uint8", crs="EPSG:32647",
        transform=Affine(0.1, 0, X0, 0, -0.1, Y0), photometric="rgb",
    ) as file:  # fmt: skip
        file.write(np.full((3, 50, 50), 90, np.uint8))
    with pytest.raises(SystemExit) as stop:
        main(["analyze", str(path), "--oblique", str(tmp_path), "--out", str(tmp_path / "o")])
    assert stop.value.code == 2
    assert "--dsm" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    ortho = Orthophoto.open(path)
    with pytest.raises(InputError, match="holds no frames"):
        read_oblique([tmp_path / "empty"], ortho)
