"""The fence's vertical plane in frames taken from the side: there the mesh itself is resolved.

Each stretch of fence is a wall of known place and height. It is projected into every frame that
sees it well, rectified (chainage to the right, height up), and looked at for what nadir cannot
show: openings in the mesh under a standing rail.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from affine import Affine
from scipy import ndimage

from analysis.fitting import fit, shifted
from analysis.heights import SurfaceModel
from analysis.mapping import Frame, PoseSpec, read_frames
from analysis.mapping.frames import read_picture
from analysis.mesh import CELL_M, Lattice, find_lattice, mesh_left
from analysis.openings import Cut, Look, openings_in, panorama, seen_whole, told_twice
from analysis.parallax import Spot, inner, lies_behind
from analysis.raster import Orthophoto
from analysis.results import FenceLine
from analysis.side_view import Opening, SideView, Spans
from corridor import InputError, Progress, silent
from corridor.camera import inside, project
from corridor.values import FloatArray

_BELOW_M, _ABOVE_M = 0.4, 1.0
"""Of the fence's plane, beside its height: the ground is known no better than that. It is taken
lowest, so what is above is more."""
_COARSEST_M = 0.015
"""Wires of 4 mm at a pitch of 5 to 15 cm leave no pattern in coarser pixels."""
_FINEST_M = 0.005
_LEAST_FACING = 0.35
"""Cosine of the angle between the view and the fence's normal, in plan: 70 degrees off square."""
_MOST_FRAMES = 4
_BIN_M = 1.0
_LEAST_STRETCH_M = 2.0
_LEAST_FRAMED = 0.9
_LEARN_SHOTS = 24
_LEARN_M = 6.0
_GROUND_M, _BUSH_M = 0.5, 4.0
"""Steps at which the ground's height is read along the fence, and the length of what is none."""
_SPARSE = 8
_RAY_M = 0.24
_BEFORE_M, _TALLEST_M = 0.6, 25.0
"""How far before the fence it is asked whether something hides it. Nearer than the first, a surface
model may show the fence itself."""
_GROWN_M = 0.3
"""So near, what counts stands this much higher than is usual along the fence."""
_HIDDEN_M = 0.15
_LEAST_PROOF = 0.1
"""Of two correlations' difference: by which what is seen through an opening fits better behind."""


@dataclass(frozen=True)
class Wall:
    """A rectified stretch of fence in one frame.

    Attributes:
        start_m: chainage of the left edge.
        pixel_m: of both axes.
        tones: (H, W, C) float32, the top row highest; NaN where the frame does not reach.
    """

    start_m: float
    pixel_m: float
    tones: npt.NDArray[np.float32]


def read_oblique(
    paths: Sequence[Path], ortho: Orthophoto, poses: Path | None = None
) -> list[Frame]:
    """Frames, or folders of them, with poses in the picture's CRS.

    Poses are those of `poses`, else of a folder's `reconstruction.json`, else of the frames' own
    EXIF and XMP.

    Raises:
        InputError: if no frame can be used.
    """
    frames: list[Frame] = []
    for path in paths:
        if path.is_dir():
            files = sorted(
                file
                for file in path.iterdir()
                if file.suffix.lower() in (".jpg", ".jpeg", ".tif", ".tiff", ".png")
            )
            if not files:
                raise InputError(path, "holds no frames", "JPEG or TIFF files")
            beside = [path / "reconstruction.json"]
            source = poses or next((file for file in beside if file.is_file()), None)
        else:
            files, source = [path], poses
        found, _ = read_frames(files, ortho.crs, PoseSpec(source=source))
        frames += found
    return frames


def look_from_the_side(
    frames: Sequence[Frame],
    line: FenceLine,
    dsm: SurfaceModel,
    progress: Progress = silent,
) -> SideView:
    """Looks for openings along a whole fence.

    Args:
        frames: with poses in the picture's CRS, altitudes as the surface model's.
        line: the fence as found.
        dsm: tells the ground's height at the fence.
        progress: told of frames done.
    """
    shots = _shots(frames, line, dsm)
    first_m, last_m = float(line.found.chainage_m[0]), float(line.found.chainage_m[-1])

    def spans(cells: Iterable[tuple[int, int]]) -> Spans:
        return tuple((first_m + a * CELL_M, first_m + b * CELL_M) for a, b in cells)

    framed = spans((shot.first, shot.first + shot.columns) for shot in shots)
    lattice = _learn(shots, line, dsm)
    if lattice is None:
        return SideView((), (), framed=framed)
    looks, clear = [], []
    for number, shot in enumerate(shots):
        progress(number, len(shots), "oblique frames")
        clear.append(~_hidden(shot, line, dsm, (_rows(line), shot.columns)))
        looks.append(_look(shot, line, dsm, lattice, clear[-1]))
    above_m = line.boundary.fence_height_m + _ABOVE_M - _middles(_rows(line))
    by_m = fit(looks, np.array([_camera(shot, line, dsm) for shot in shots]), above_m)
    looks = [shifted(*each) for each in zip(looks, by_m, clear, strict=True)]
    shots = [_moved(*each, line) for each in zip(shots, by_m, strict=True)]
    view = panorama(looks, _rows(line), round((last_m - first_m) / CELL_M))
    openings = []
    for cut in openings_in(view, looks):
        opening = _opening(cut, first_m, line)
        if len(cut.frames) < 2 or _seen_through(
            opening, cut.foot, [shots[number].frame for number in cut.frames], line, dsm
        ):
            openings.append(opening)
    seen = spans(seen_whole(view, line.boundary.fence_height_m))
    return SideView(seen, tuple(openings), spans(told_twice(view, looks)), framed)


def _opening(cut: Cut, first_m: float, line: FenceLine) -> Opening:
    low_m = (cut.foot + 1 - cut.bottom) * CELL_M
    high_m = (cut.foot + 1 - cut.top) * CELL_M
    return Opening(
        first_m + cut.left * CELL_M,
        first_m + cut.right * CELL_M,
        max(low_m, 0.0),
        max(high_m, 0.0),
        cut.strength,
        len(cut.frames),
        cut.to_top,
    )


def _seen_through(
    opening: Opening, foot: float, frames: Sequence[Frame], line: FenceLine, dsm: SurfaceModel
) -> bool:
    """Whether two frames show in an opening what lies behind the fence."""
    chainage, above = inner(opening.start_m, opening.end_m, opening.low_m, opening.high_m)
    foot_m = line.boundary.fence_height_m + _ABOVE_M - (foot + 1) * CELL_M
    spot = Spot(line.found.at(chainage), _ground(line, dsm, chainage) + foot_m, above)
    for one, other in itertools.permutations(frames, 2):
        proof = lies_behind((one, _grey(one.path)), (other, _grey(other.path)), spot)
        if proof is not None and proof >= _LEAST_PROOF:
            return True
    return False


def rectify(
    frame: Frame,
    picture: npt.NDArray[np.uint8],
    line: FenceLine,
    ground_m: FloatArray,
    start_m: float,
    end_m: float,
    pixel_m: float,
) -> Wall:
    """The fence's plane from one chainage to another as a frame shows it.

    Args:
        frame: camera and pose.
        picture: (H, W) or (H, W, C) of the frame.
        line: the fence as found.
        ground_m: (W,) height of the ground below each column.
        start_m, end_m: chainages.
        pixel_m: of the result.
    """
    rows, columns = round(_rows(line) * CELL_M / pixel_m), len(ground_m)
    # A plane and a lens are smooth: between every eighth point, straight lines will do.
    some = np.linspace(0, columns - 1, max(2, columns // _SPARSE))
    chainage = start_m + (some + 0.5) * (end_m - start_m) / columns
    down = np.linspace(0, rows - 1, max(2, rows // _SPARSE))
    above = line.boundary.fence_height_m + _ABOVE_M - (down + 0.5) * pixel_m
    points = np.empty((len(down), len(some), 3))
    points[..., :2] = line.found.at(chainage)[None]
    points[..., 2] = np.interp(some, np.arange(columns), ground_m)[None] + above[:, None]
    pixels = project(frame.camera, frame.pose, points.reshape(-1, 3)).reshape(*points.shape[:2], 2)
    x = np.broadcast_to(np.linspace(0, len(some) - 1, columns, dtype=np.float32), (rows, columns))
    y = np.broadcast_to(
        np.linspace(0, len(down) - 1, rows, dtype=np.float32)[:, None], (rows, columns)
    )
    at = cv2.remap(
        np.nan_to_num(pixels, nan=-1e4).astype(np.float32), np.ascontiguousarray(x),
        np.ascontiguousarray(y), cv2.INTER_LINEAR,
    )  # fmt: skip
    here = inside(frame.camera, at.reshape(-1, 2), 1.0).reshape(rows, columns)
    picture = np.atleast_3d(picture)
    tones = np.full((rows, columns, picture.shape[2]), np.nan, np.float32)
    if here.any():
        # Only the part that is wanted, as floats: frames are large.
        left, top = np.maximum(np.floor(at[here].min(axis=0)).astype(int), 0)
        right, bottom = np.ceil(at[here].max(axis=0)).astype(int) + 1
        part = picture[top:bottom, left:right].astype(np.float32)
        at -= np.array([left, top], np.float32)
        seen = cv2.remap(part, at[..., 0], at[..., 1], cv2.INTER_LINEAR)
        tones[here] = seen.reshape(tones.shape)[here]
    return Wall(start_m, pixel_m, tones)


@dataclass(frozen=True)
class _Shot:
    """A stretch of fence in one of the frames that see it best.

    Attributes:
        first, columns: of the fence's cells.
        pixel_m: size of the frame's pixels there.
    """

    frame: Frame
    first: int
    columns: int
    pixel_m: float


def _rows(line: FenceLine) -> int:
    return round((line.boundary.fence_height_m + _BELOW_M + _ABOVE_M) / CELL_M)


def _shots(frames: Sequence[Frame], line: FenceLine, dsm: SurfaceModel) -> list[_Shot]:
    """What to take from which frame, so that each place is seen in those that see it best."""
    first_m, last_m = float(line.found.chainage_m[0]), float(line.found.chainage_m[-1])
    count = int((last_m - first_m) / _BIN_M)
    if count < 1:
        return []
    at = first_m + (np.arange(count) + 0.5) * _BIN_M
    xy, along = line.found.at(at), line.found.direction_at(at)
    ground_m = _ground(line, dsm, at)
    feet = np.column_stack([xy, ground_m])
    tops = feet + np.array([0.0, 0.0, line.boundary.fence_height_m])
    sizes = np.full((len(frames), count), np.inf)
    for number, frame in enumerate(frames):
        away = np.array([frame.pose.x_m, frame.pose.y_m]) - xy
        distance_m = np.hypot(np.hypot(away[:, 0], away[:, 1]), frame.pose.z_m - ground_m)
        facing = np.abs(away[:, 0] * along[:, 1] - away[:, 1] * along[:, 0]) / distance_m
        pixel_m = distance_m / frame.camera.focal_x_px / np.maximum(facing, 1e-9)
        near = np.flatnonzero((facing >= _LEAST_FACING) & (pixel_m <= _COARSEST_M))
        if not len(near):
            continue
        whole = np.ones(len(near), np.bool_)
        for points in (feet, tops):
            whole &= inside(frame.camera, project(frame.camera, frame.pose, points[near]), 2.0)
        sizes[number, near[whole]] = pixel_m[near[whole]]
    best = np.argsort(sizes, axis=0)[:_MOST_FRAMES]
    shots = []
    cells = round(_BIN_M / CELL_M)
    for number, frame in enumerate(frames):
        taken = (best == number).any(axis=0) & np.isfinite(sizes[number])
        edges = np.flatnonzero(np.diff(np.concatenate([[0], taken.astype(int), [0]])))
        for a, b in edges.reshape(-1, 2):
            if (b - a) * _BIN_M >= _LEAST_STRETCH_M:
                size_m = max(float(np.median(sizes[number, a:b])), _FINEST_M)
                shots.append(_Shot(frame, int(a) * cells, int(b - a) * cells, size_m))
    return shots


def _learn(shots: Sequence[_Shot], line: FenceLine, dsm: SurfaceModel) -> Lattice | None:
    """The fence's mesh, from some stretches all along it."""
    walls: list[npt.NDArray[np.float32]] = []
    sizes: list[float] = []
    usable: list[npt.NDArray[np.bool_]] = []
    for shot in shots[:: max(1, len(shots) // _LEARN_SHOTS)]:
        wall = _wall(shot, line, dsm)
        above, below = round(_ABOVE_M / wall.pixel_m), round(_BELOW_M / wall.pixel_m)
        length = round(_LEARN_M / wall.pixel_m)
        low = max((wall.tones.shape[1] - length) // 2, 0)
        tones = wall.tones[above:-below, low : low + length]
        if np.isfinite(tones).mean() > _LEAST_FRAMED:
            walls.append(_filled(tones))
            sizes.append(wall.pixel_m)
            left = round(low * wall.pixel_m / CELL_M)
            usable.append(
                ~_hidden(shot, line, dsm, (_rows(line), shot.columns))[
                    round(_ABOVE_M / CELL_M) : -round(_BELOW_M / CELL_M),
                    left : left + round(_LEARN_M / CELL_M),
                ]
            )
    return find_lattice(walls, sizes, usable)


def _wall(shot: _Shot, line: FenceLine, dsm: SurfaceModel) -> Wall:
    start_m = float(line.found.chainage_m[0]) + shot.first * CELL_M
    length_m = shot.columns * CELL_M
    columns = max(8, round(length_m / shot.pixel_m))
    step_m = length_m / columns
    ground_m = _ground(line, dsm, start_m + (np.arange(columns) + 0.5) * step_m)
    picture = _tones(shot.frame.path)
    return rectify(shot.frame, picture, line, ground_m, start_m, start_m + length_m, step_m)


def _filled(tones: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """What is outside the frame filled in."""
    known = np.isfinite(tones[..., :1])
    usual = tones[known[..., 0]].mean(axis=0) if known.any() else np.float32(0.0)
    return np.where(known, tones, usual).astype(np.float32)


def _middles(cells: int) -> FloatArray:
    return (np.arange(cells, dtype=np.float64) + 0.5) * CELL_M


def _camera(shot: _Shot, line: FenceLine, dsm: SurfaceModel) -> tuple[float, float]:
    """Where the camera was along the fence as it runs before it, and how high above its ground."""
    middle_m = np.array(
        [float(line.found.chainage_m[0]) + (shot.first + shot.columns / 2) * CELL_M]
    )
    pose = shot.frame.pose
    away = np.array([pose.x_m, pose.y_m]) - line.found.at(middle_m)[0]
    along_m = float(middle_m[0] + away @ line.found.direction_at(middle_m)[0])
    return along_m, pose.z_m - float(_ground(line, dsm, middle_m)[0])


def _moved(shot: _Shot, by_m: FloatArray, line: FenceLine) -> _Shot:
    """A shot whose pose no longer misplaces the fence by so much along it and up.

    What turned the camera a little is taken for a step aside: at the fence it is the same.
    """
    middle_m = line.found.chainage_m[:1] + (shot.first + shot.columns / 2) * CELL_M
    east, north = line.found.direction_at(middle_m)[0] * by_m[0]
    pose = shot.frame.pose
    pose = replace(pose, x_m=pose.x_m - east, y_m=pose.y_m - north, z_m=pose.z_m - by_m[1])
    return replace(shot, frame=replace(shot.frame, pose=pose))


def _look(
    shot: _Shot,
    line: FenceLine,
    dsm: SurfaceModel,
    lattice: Lattice,
    clear: npt.NDArray[np.bool_],
) -> Look:
    """What one frame tells of the mesh, where nothing hides it."""
    wall = _wall(shot, line, dsm)
    framed = np.isfinite(wall.tones[..., 0]).astype(np.uint8)
    framed = cv2.resize(cv2.erode(framed, np.ones((9, 9), np.uint8)), clear.shape[::-1],
                        interpolation=cv2.INTER_NEAREST)  # fmt: skip
    left, told = mesh_left(_filled(wall.tones), wall.pixel_m, lattice, (framed > 0) & clear)
    return Look(shot.first, left.astype(np.float16), told.astype(np.float16))


def _hidden(
    shot: _Shot, line: FenceLine, dsm: SurfaceModel, shape: tuple[int, int]
) -> npt.NDArray[np.bool_]:
    """(R, C) cells that something before the fence hides from a frame, by the surface model."""
    frame = shot.frame
    step = round(_RAY_M / CELL_M)
    columns, rows = np.arange(step // 2, shape[1], step), np.arange(step // 2, shape[0], step)
    at = float(line.found.chainage_m[0]) + (shot.first + columns + 0.5) * CELL_M
    xy = line.found.at(at)
    above = line.boundary.fence_height_m + _ABOVE_M - (rows + 0.5) * CELL_M
    ground_m = _ground(line, dsm, at)
    z = ground_m[None, :] + above[:, None]
    away = np.array([frame.pose.x_m, frame.pose.y_m]) - xy
    far_m = np.hypot(away[:, 0], away[:, 1])
    reach_m = np.arange(_RAY_M, _TALLEST_M, _RAY_M)
    reach_m = reach_m[reach_m < far_m.min()]
    if not len(reach_m):
        return np.zeros(shape, np.bool_)
    ends = xy[None] + away[None] * (reach_m[:, None] / far_m)[..., None]
    west, south = ends.reshape(-1, 2).min(axis=0) - 2 * _RAY_M
    east, north = ends.reshape(-1, 2).max(axis=0) + 2 * _RAY_M
    affine = Affine(_RAY_M, 0.0, west, 0.0, -_RAY_M, north)
    size = math.ceil((north - south) / _RAY_M), math.ceil((east - west) / _RAY_M)
    # The highest beside, too: models are as fuzzy as crowns.
    surface = cv2.dilate(np.nan_to_num(dsm.read(affine, size), nan=-1e6), np.ones((3, 3), np.uint8))
    column = np.clip(((ends[..., 0] - west) / _RAY_M).astype(int), 0, size[1] - 1)
    row = np.clip(((north - ends[..., 1]) / _RAY_M).astype(int), 0, size[0] - 1)
    before = surface[row, column]
    near = reach_m < max(_BEFORE_M, 1.5 * dsm.gsd_m)
    height_m = before[near] - ground_m
    usual_m = np.maximum(np.median(height_m, axis=1, keepdims=True), 0.0)
    before[near] = np.where(height_m > usual_m + _GROWN_M, before[near], -np.inf)
    before = before[:, None, :]
    share = (reach_m[:, None] / far_m)[:, None, :]
    hidden = (before > z[None] + (frame.pose.z_m - z)[None] * share + _HIDDEN_M).any(axis=0)
    grown = cv2.resize(hidden.astype(np.uint8), shape[::-1], interpolation=cv2.INTER_NEAREST)
    return np.asarray(grown > 0)


@lru_cache(maxsize=6)
def _grey(path: Path) -> npt.NDArray[np.uint8]:
    """A frame in grey; its neighbours along the fence want it again."""
    return np.asarray(cv2.cvtColor(read_picture(path), cv2.COLOR_RGB2GRAY))


@lru_cache(maxsize=2)
def _tones(path: Path) -> npt.NDArray[np.uint8]:
    """A frame in lightness, and red and blue against it: as JPEGs hold them, so that what they
    keep less of is not mixed with what they keep well."""
    return np.asarray(cv2.cvtColor(read_picture(path), cv2.COLOR_RGB2YCrCb))


def _ground(line: FenceLine, dsm: SurfaceModel, chainage_m: npt.NDArray[Any]) -> FloatArray:
    """Height of the ground along the fence: the lowest of the surface 1.5 m to either side, less
    what rises for a few metres only, as bushes do that stand on both sides."""
    first_m, last_m = float(line.found.chainage_m[0]), float(line.found.chainage_m[-1])
    low_m = max(float(chainage_m[0]) - _BUSH_M, first_m)
    high_m = min(float(chainage_m[-1]) + _BUSH_M, last_m)
    at = np.arange(math.floor(low_m / _GROUND_M), math.ceil(high_m / _GROUND_M) + 1) * _GROUND_M
    at = np.clip(at, first_m, last_m)
    xy, direction = line.found.at(at), line.found.direction_at(at)
    away = np.column_stack([-direction[:, 1], direction[:, 0]])
    points = np.concatenate([xy + offset * away for offset in (-1.5, -1.0, 1.0, 1.5)])
    z = dsm.at(points).reshape(4, -1)
    lowest = np.nanmin(np.where(np.isfinite(z), z, np.inf), axis=0)
    lowest = ndimage.grey_opening(lowest, round(_BUSH_M / _GROUND_M) | 1, mode="nearest")
    lowest = np.where(np.isfinite(lowest), lowest, np.nan)
    return np.asarray(np.interp(chainage_m, at, lowest))
