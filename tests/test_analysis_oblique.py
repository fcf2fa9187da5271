"""The fence's plane in frames from the side: what is rectified, and what counts as an opening."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine

from analysis.fence_work import Breach, FenceResult, Stretch
from analysis.fusion import fuse
from analysis.heights import SurfaceModel
from analysis.mapping import Frame
from analysis.mesh import find_lattice, mesh_left
from analysis.oblique import (
    Opening,
    SideView,
    Wall,
    look_from_the_side,
    openings_in,
    read_oblique,
    rectify,
)
from analysis.raster import Orthophoto
from analysis.results import FenceLine
from corridor import Boundary, InputError, Side, Track
from corridor.camera import Camera, Pose, project, rays
from corridor.findings import BreachType, FenceState
from fencewalk.cli import main

X0, Y0, GROUND_M, FENCE_M = 500_000.0, 3_000_000.0, 100.0, 1.8
CAMERA = Camera(1600, 1000, 1600.0)
# 11 m south of a fence along the x axis, 8 m up, looking north and 34 degrees down.
POSE = Pose(X0 + 10, Y0 - 11, GROUND_M + 8, 0.0, -34.0, 0.0)


def mesh(chainage_m: Any, above_m: Any, hole: tuple[float, float, float, float] | None) -> Any:
    """Darkening by wires of 4 mm at 75 mm, and posts of 6 cm at 2 m; nothing in the hole."""
    wires = np.exp(-(((chainage_m + 0.0375) % 0.075 - 0.0375) ** 2) / (2 * 0.006**2))
    posts = (np.abs((chainage_m + 1.0) % 2.0 - 1.0) < 0.03) * 1.2
    veil = np.maximum(0.5 * wires, posts)
    if hole is not None:
        left, right, low, high = hole
        inside = (chainage_m > left) & (chainage_m < right) & (above_m > low) & (above_m < high)
        veil = np.where(inside, 0.0, veil)
    return np.where((above_m >= 0) & (above_m <= FENCE_M), veil, 0.0)


def picture(hole: tuple[float, float, float, float] | None, pose: Pose = POSE) -> Any:
    """A frame of the fence before rough grass: each pixel's ray meets the plane y = Y0."""
    columns, rows = np.meshgrid(np.arange(CAMERA.width_px), np.arange(CAMERA.height_px))
    direction = rays(CAMERA, pose, np.column_stack([columns.ravel(), rows.ravel()]))
    reach = (Y0 - pose.y_m) / direction[:, 1]
    x = pose.x_m + reach * direction[:, 0] - X0
    z = pose.z_m + reach * direction[:, 2] - GROUND_M
    chance = np.random.default_rng(7)
    grass = 130 + 14 * chance.normal(size=x.size)
    grey = grass - 90 * mesh(x, z, hole)
    return np.clip(grey, 0, 255).reshape(rows.shape).astype(np.uint8)


@pytest.fixture(scope="module")
def line() -> FenceLine:
    xy = np.array([[X0, Y0], [X0 + 20, Y0]])
    track = Track(xy, np.array([0.0, 20.0]))
    lonlat = np.array([[99.0, 27.0], [99.0002, 27.0]])
    boundary = Boundary("G1", Side.LEFT, (lonlat,), (0.0,), fence_height_m=FENCE_M)
    return FenceLine(boundary, 0, track, track, np.zeros(2))


@pytest.fixture(scope="module")
def dsm(tmp_path_factory: pytest.TempPathFactory) -> SurfaceModel:
    path = tmp_path_factory.mktemp("dsm") / "dsm.tif"
    heights = np.full((1, 60, 60), GROUND_M, np.float32)
    heights[0, 30] += FENCE_M  # the fence itself stands in the surface model
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=60, width=60, dtype="float32",
        crs="EPSG:32647", transform=Affine(1, 0, X0 - 20, 0, -1, Y0 + 30.5),
    ) as file:  # fmt: skip
        file.write(heights)
    from pyproj import CRS

    return SurfaceModel.open(path, CRS.from_epsg(32647), (X0 - 5, Y0 - 5, X0 + 25, Y0 + 5))


def frame_of(grey: Any, path: Path, pose: Pose = POSE) -> Frame:
    import PIL.Image

    PIL.Image.fromarray(np.stack([grey] * 3, axis=-1)).save(path, quality=95)
    return Frame(path, CAMERA, pose)


def test_a_place_on_the_fence_lands_where_it_should(line: FenceLine) -> None:
    grey = np.zeros((CAMERA.height_px, CAMERA.width_px), np.uint8)
    spot = project(CAMERA, POSE, [[X0 + 9.0, Y0, GROUND_M + 1.2]])[0]
    column, row = round(spot[0]), round(spot[1])
    grey[row - 2 : row + 3, column - 2 : column + 3] = 255
    ground = np.full(600, GROUND_M)
    wall = rectify(Frame(Path(), CAMERA, POSE), grey, line, ground, 7.0, 13.0, 0.01)
    rows, columns = np.nonzero(np.nan_to_num(wall.grey) > 128)
    assert wall.start_m + columns.mean() * 0.01 == pytest.approx(9.0, abs=0.02)
    assert FENCE_M + 0.4 - rows.mean() * 0.01 == pytest.approx(1.2, abs=0.02)


def plane(wall: Wall) -> Any:
    return np.nan_to_num(wall.grey[40:220], nan=120.0)


def test_the_pitch_of_the_mesh_is_found(line: FenceLine) -> None:
    ground = np.full(600, GROUND_M)
    wall = rectify(Frame(Path(), CAMERA, POSE), picture(None), line, ground, 7.0, 13.0, 0.01)
    found = find_lattice([plane(wall)], [0.01])
    assert found is not None
    along, down = found.waves[0]
    assert abs(along) == pytest.approx(1 / 0.075, abs=0.5)
    assert down == pytest.approx(0.0, abs=1.0)


def test_no_mesh_no_pattern() -> None:
    chance = np.random.default_rng(2)
    noise = (120 + 20 * chance.normal(size=(180, 600))).astype(np.float32)
    assert find_lattice([noise], [0.01]) is None


def test_mesh_as_light_as_what_lies_behind_it_is_not_told() -> None:
    chance = np.random.default_rng(3)
    x = (np.arange(600) + 0.5) * 0.01
    behind = 120 + 60 * np.sin(2 * np.pi * x / 3.0)[None] + chance.normal(0, 4.0, (180, 600))
    wires = 0.5 * np.exp(-(((x + 0.0375) % 0.075 - 0.0375) ** 2) / (2 * 0.006**2))[None, :]
    wall = (behind + wires * (120 - behind)).astype(np.float32)
    wall[:, 350:400] = behind[:, 350:400]  # cut out
    lattice = find_lattice([wall], [0.01])
    assert lattice is not None
    assert lattice.wire == pytest.approx(120, abs=6)
    left, told = mesh_left(wall, 0.01, lattice)
    assert told[10:-10, 37].max() < 0.3  # 1.5 m along, the ground is as light as the wires
    assert np.median(left[10:-10, 15:23]) == pytest.approx(1.0, abs=0.35)
    assert left[10:-10, 91:96].max() < 0.3
    assert told[10:-10, 91:96].min() > 0.9


def test_an_opening_is_a_place_without_mesh_amid_mesh_that_is_told() -> None:
    left, told = np.ones((45, 150), np.float32), np.ones((45, 150), np.float32)
    left[15:35, 50:68] = 0.1
    left[:, 100:102] = 0.0  # a post: narrower than anything one gets through
    left[30:45, 120:150] = 0.1
    told[30:45, 120:150] = 0.2  # nothing can be told there
    ((start, end, low, high, strength),) = openings_in(left, told, 1.8)
    assert (start, end) == (pytest.approx(2.0), pytest.approx(2.72))
    assert (low, high) == (pytest.approx(0.4), pytest.approx(1.2))
    assert strength == pytest.approx(1 - 0.1 / 0.35, abs=0.01)
    told[:, :50] = told[:, 68:] = 0.0
    told[:15] = told[35:] = 0.0
    assert openings_in(left, told, 1.8) == []


def test_a_hole_is_found_and_whole_mesh_is_told(
    line: FenceLine, dsm: SurfaceModel, tmp_path: Path
) -> None:
    cut = (8.5, 9.4, 0.3, 1.2)
    other = Pose(X0 + 11, Y0 - 11, GROUND_M + 8, 0.0, -34.0, 0.0)
    frames = [
        frame_of(picture(cut), tmp_path / "a.jpg"),
        frame_of(picture(cut, other), tmp_path / "b.jpg", other),
    ]
    view = look_from_the_side(frames, line, dsm)
    (opening,) = view.openings
    assert opening.start_m == pytest.approx(8.5, abs=0.15)
    assert opening.end_m == pytest.approx(9.4, abs=0.15)
    assert opening.frames == 2
    assert view.saw(8.0, 11.0)
    assert opening.low_m == pytest.approx(0.3, abs=0.15)
    assert opening.high_m == pytest.approx(1.2, abs=0.15)
    assert not view.saw(0.0, 3.0)
    whole = [
        frame_of(picture(None), tmp_path / "c.jpg"),
        frame_of(picture(None, other), tmp_path / "d.jpg", other),
    ]
    assert look_from_the_side(whole, line, dsm).openings == ()


def test_frames_too_far_off_say_nothing(line: FenceLine, dsm: SurfaceModel, tmp_path: Path) -> None:
    far = Pose(X0 + 10, Y0 - 40, GROUND_M + 30, 0.0, -34.0, 0.0)
    view = look_from_the_side([frame_of(picture(None), tmp_path / "a.jpg", far)], line, dsm)
    assert view == SideView((), ())


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
    view = SideView(((0.0, 20.0),), (Opening(9.1, 11.2, 0.0, 1.8, 1.0, 2),))
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
