"""The fence's vertical plane in frames taken from the side: there the mesh itself is resolved.

Each stretch of fence is a wall of known place and height. It is projected into every frame that
sees it well, rectified (chainage to the right, height up), and looked at for what nadir cannot
show: openings in the mesh under a standing rail.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from analysis.heights import SurfaceModel
from analysis.mapping import Frame, PoseSpec, read_frames
from analysis.mapping.frames import read_picture
from analysis.mesh import CELL_M, Lattice, find_lattice, mesh_left
from analysis.raster import Orthophoto
from analysis.results import FenceLine
from corridor import InputError, Progress, silent
from corridor.camera import inside, project
from corridor.values import FloatArray

_WINDOW_M = 6.0
_OVERLAP_M = 1.5
_BELOW_M, _ABOVE_M = 0.4, 0.4
_COARSEST_M = 0.015
"""Wires of 4 mm at a pitch of 5 to 15 cm leave no pattern in coarser pixels."""
_FINEST_M = 0.005
_LEAST_FACING = 0.35
"""Cosine of the angle between the view and the fence's normal, in plan: 70 degrees off square."""
_OPEN = 0.35
"""Share of the mesh that should be there, below which it is open."""
_LEAST_TOLD = 0.6
"""How well the mesh is told, over all frames, for a place to be judged."""
_LEAST_WIDTH_M, _LEAST_HEIGHT_M = 0.3, 0.4
_LEAST_FILLED = 0.65
"""Share of an opening's box that is open."""
_LEAST_STRENGTH = 0.7
_LEAST_AROUND = 0.5
"""Of the mesh, beside an opening: else it is the mesh that fades, not the opening that begins."""
_LEAST_AROUND_CELLS = 10
_MOST_FRAMES = 3
_LEAST_FRAMED = 0.9
_LEAST_SEEN = 0.6
"""Share of the fence's height over which the mesh must be told, for a place to be seen whole."""
_LEARN_WINDOWS = 10
_BESIDE_M = (0.3, 0.6, 1.0, 1.5, 2.0, 3.0, 4.5, 6.0, 8.0, 11.0, 15.0)
"""How far before the fence it is asked whether something hides it."""
_HIDDEN_M = 0.15


@dataclass(frozen=True)
class Opening:
    """An opening in the mesh, seen from the side.

    Attributes:
        start_m, end_m: chainages.
        low_m, high_m: heights above the ground.
        strength: 0 to 1, how little of the mesh's pattern is left there.
        frames: how many frames showed it.
    """

    start_m: float
    end_m: float
    low_m: float
    high_m: float
    strength: float
    frames: int


@dataclass(frozen=True)
class SideView:
    """What the frames show of one fence.

    Attributes:
        seen: (start, end) chainages where the mesh was told, in order, without overlap.
        openings: in order.
    """

    seen: tuple[tuple[float, float], ...]
    openings: tuple[Opening, ...]

    def saw(self, start_m: float, end_m: float) -> bool:
        """Whether all of a stretch was seen."""
        return any(low <= start_m and end_m <= high for low, high in self.seen)


@dataclass(frozen=True)
class Wall:
    """A rectified stretch of fence in one frame.

    Attributes:
        start_m: chainage of the left edge.
        pixel_m: of both axes.
        grey: (H, W) float32, the top row highest; NaN where the frame does not reach.
    """

    start_m: float
    pixel_m: float
    grey: npt.NDArray[np.float32]


def read_oblique(
    paths: Sequence[Path], ortho: Orthophoto, poses: Path | None = None
) -> list[Frame]:
    """Frames, or folders of them, with poses in the picture's CRS.

    A folder's `photos.csv` or `reconstruction.json` gives the poses if there is one, else the
    frames' own EXIF and XMP.

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
        progress: told of windows done.
    """
    first_m, last_m = float(line.found.chainage_m[0]), float(line.found.chainage_m[-1])
    starts = np.arange(first_m, max(last_m - _OVERLAP_M, first_m + 0.1), _WINDOW_M - _OVERLAP_M)
    windows = [(float(start_m), min(float(start_m) + _WINDOW_M, last_m)) for start_m in starts]
    lattice = _learn(frames, line, dsm, windows)
    if lattice is None:
        return SideView((), ())
    seen: list[tuple[float, float]] = []
    openings: list[Opening] = []
    for number, (start_m, end_m) in enumerate(windows):
        progress(number, len(windows), "oblique frames")
        told, found = _window(frames, line, dsm, (start_m, end_m), lattice)
        seen += told
        openings += found
    return SideView(tuple(_joined(sorted(seen))), tuple(_merged(openings)))


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
        picture: (H, W) or (H, W, 3) of the frame.
        line: the fence as found.
        ground_m: (W,) height of the ground below each column.
        start_m, end_m: chainages.
        pixel_m: of the result.
    """
    height_m = line.boundary.fence_height_m
    columns = len(ground_m)
    rows = round((height_m + _BELOW_M + _ABOVE_M) / pixel_m)
    chainage = start_m + (np.arange(columns) + 0.5) * (end_m - start_m) / columns
    above = height_m + _ABOVE_M - (np.arange(rows) + 0.5) * pixel_m
    xy = line.found.at(chainage)
    points = np.empty((rows, columns, 3))
    points[..., :2] = xy[None]
    points[..., 2] = ground_m[None] + above[:, None]
    pixels = project(frame.camera, frame.pose, points.reshape(-1, 3))
    here = inside(frame.camera, pixels, 1.0).reshape(rows, columns)
    at = np.nan_to_num(pixels, nan=-1.0).reshape(rows, columns, 2).astype(np.float32)
    grey = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    wall = cv2.remap(grey.astype(np.float32), at[..., 0], at[..., 1], cv2.INTER_LINEAR)
    return Wall(start_m, pixel_m, np.where(here, wall, np.nan).astype(np.float32))


def openings_in(
    left: npt.NDArray[np.float32], told: npt.NDArray[np.float32], height_m: float
) -> list[tuple[float, float, float, float, float]]:
    """Openings in what is left of a mesh: left, right, low, high in metres, and strength.

    Args:
        left: (R, C) share of the mesh in cells of `CELL_M`, the top row first.
        told: (R, C) how well it is told.
        height_m: of the top row's upper edge.
    """
    open_ = ((left < _OPEN) & (told > _LEAST_TOLD)).astype(np.uint8)
    open_ = np.asarray(cv2.morphologyEx(open_, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(open_, connectivity=4)
    result = []
    for index in range(1, count):
        x, y, width, height, area = (int(value) for value in stats[index])
        if width * CELL_M < _LEAST_WIDTH_M or height * CELL_M < _LEAST_HEIGHT_M:
            continue
        if area < _LEAST_FILLED * width * height:
            continue
        own = (labels == index).astype(np.uint8)
        near, far = (cv2.dilate(own, np.ones((size, size), np.uint8)) for size in (5, 9))
        around = (far > near) & (told > _LEAST_TOLD)
        if around.sum() < _LEAST_AROUND_CELLS or np.median(left[around]) < _LEAST_AROUND:
            continue
        strength = float(np.clip(1.0 - np.median(left[labels == index]) / _OPEN, 0.0, 1.0))
        if strength < _LEAST_STRENGTH:
            continue
        high_m = height_m - y * CELL_M
        low_m = max(high_m - height * CELL_M, 0.0)
        result.append((x * CELL_M, (x + width) * CELL_M, low_m, high_m, strength))
    return result


def _learn(
    frames: Sequence[Frame],
    line: FenceLine,
    dsm: SurfaceModel,
    windows: Sequence[tuple[float, float]],
) -> Lattice | None:
    """The fence's mesh, from some windows all along it."""
    walls: list[npt.NDArray[np.float32]] = []
    sizes: list[float] = []
    for window in windows[:: max(1, len(windows) // _LEARN_WINDOWS)]:
        for _, wall in _walls(frames, line, dsm, window):
            walls.append(_mesh_only(wall))
            sizes.append(wall.pixel_m)
    return find_lattice(walls, sizes)


def _walls(
    frames: Sequence[Frame], line: FenceLine, dsm: SurfaceModel, window: tuple[float, float]
) -> list[tuple[Frame, Wall]]:
    """A window in the frames that see it best."""
    start_m, end_m = window
    views = sorted(_views(frames, line, dsm, start_m, end_m), key=lambda view: view[0])
    walls = []
    for size_m, frame in views[:_MOST_FRAMES]:
        columns = max(8, round((end_m - start_m) / max(size_m, _FINEST_M)))
        ground_m = _ground(line, dsm, start_m, end_m, columns)
        step_m = (end_m - start_m) / columns
        wall = rectify(frame, _grey(frame.path), line, ground_m, start_m, end_m, step_m)
        if np.isfinite(wall.grey).mean() > _LEAST_FRAMED:
            walls.append((frame, wall))
    return walls


def _mesh_only(wall: Wall) -> npt.NDArray[np.float32]:
    """The rows between the ground and the fence's top, what is outside the frame filled in."""
    rows = wall.grey.shape[0]
    grey = wall.grey[round(_ABOVE_M / wall.pixel_m) : rows - round(_BELOW_M / wall.pixel_m)]
    return np.where(np.isfinite(grey), grey, np.nanmean(grey)).astype(np.float32)


def _window(
    frames: Sequence[Frame],
    line: FenceLine,
    dsm: SurfaceModel,
    window: tuple[float, float],
    lattice: Lattice,
) -> tuple[list[tuple[float, float]], list[Opening]]:
    """Where one window's mesh can be told, and its openings."""
    start_m, end_m = window
    total, weight, used = np.zeros(0), np.zeros(0), 0
    for frame, wall in _walls(frames, line, dsm, window):
        left, told = mesh_left(_mesh_only(wall), wall.pixel_m, lattice)
        if total.size:  # frames of other pixel sizes differ by a row
            left, told = (cv2.resize(each, total.shape[::-1]) for each in (left, told))
        told = told * ~_hidden(frame, line, dsm, window, (left.shape[0], left.shape[1]))
        if not total.size:
            total, weight = np.zeros(left.shape), np.zeros(left.shape)
        # What lies behind an opening differs from view to view, and what is left of the mesh does
        # not.
        total += told * left
        weight += told
        used += bool((told > _LEAST_TOLD).any())
    if not used:
        return [], []
    share = (total / np.maximum(weight, 1e-6)).astype(np.float32)
    height_m = line.boundary.fence_height_m
    found = [
        Opening(start_m + left_m, min(start_m + right_m, end_m), low_m, high_m, strength, used)
        for left_m, right_m, low_m, high_m, strength in openings_in(
            share, weight.astype(np.float32), height_m
        )
    ]
    columns = (weight > _LEAST_TOLD).mean(axis=0) >= _LEAST_SEEN
    bridged = ndimage.binary_closing(np.pad(columns, 8), np.ones(7))[8:-8]
    edges = np.flatnonzero(np.diff(np.concatenate([[0], bridged.astype(int), [0]])))
    seen = [
        (start_m + float(a) * CELL_M, min(start_m + float(b) * CELL_M, end_m))
        for a, b in edges.reshape(-1, 2)
    ]
    return seen, found


def _hidden(
    frame: Frame,
    line: FenceLine,
    dsm: SurfaceModel,
    window: tuple[float, float],
    shape: tuple[int, int],
) -> npt.NDArray[np.bool_]:
    """(R, C) cells that something before the fence hides from a frame, by the surface model."""
    columns, rows = max(2, round((window[1] - window[0]) / 0.5)), 8
    at = window[0] + (np.arange(columns) + 0.5) * (window[1] - window[0]) / columns
    xy = line.found.at(at)
    above = line.boundary.fence_height_m * (1 - (np.arange(rows) + 0.5) / rows)
    z = _ground(line, dsm, *window, columns)[None, :] + above[:, None]
    away = np.array([frame.pose.x_m, frame.pose.y_m]) - xy
    far_m = np.hypot(*away.T)
    hidden = np.zeros((rows, columns), np.bool_)
    for step_m in _BESIDE_M:
        surface = dsm.at(xy + away * (step_m / far_m)[:, None])
        ray = z + (frame.pose.z_m - z) * (step_m / far_m)[None, :]
        hidden |= surface[None, :] > ray + _HIDDEN_M
    grown = cv2.resize(hidden.astype(np.uint8), shape[::-1], interpolation=cv2.INTER_NEAREST)
    return np.asarray(grown > 0)


@lru_cache(maxsize=6)
def _grey(path: Path) -> npt.NDArray[np.uint8]:
    """A frame in grey; its neighbours along the fence want it again."""
    return np.asarray(cv2.cvtColor(read_picture(path), cv2.COLOR_RGB2GRAY))


def _views(
    frames: Sequence[Frame], line: FenceLine, dsm: SurfaceModel, start_m: float, end_m: float
) -> Iterator[tuple[float, Frame]]:
    """Frames that see all of a window well, with the size of their pixels on the fence."""
    ground_m = _ground(line, dsm, start_m, end_m, 5)
    xy = line.found.at(np.linspace(start_m, end_m, 5))
    height_m = line.boundary.fence_height_m
    corners = np.vstack(
        [np.column_stack([xy, ground_m]), np.column_stack([xy, ground_m + height_m])]
    )
    along = xy[-1] - xy[0]
    along = along / max(float(np.hypot(*along)), 1e-9)
    for frame in frames:
        away = np.array([frame.pose.x_m, frame.pose.y_m]) - xy[2]
        distance_m = float(
            np.linalg.norm(np.append(away, frame.pose.z_m - ground_m[2] - height_m / 2))
        )
        facing = abs(float(away[0] * along[1] - away[1] * along[0])) / max(distance_m, 1e-9)
        if facing < _LEAST_FACING:
            continue
        pixel_m = distance_m / frame.camera.focal_x_px / facing
        if pixel_m > _COARSEST_M:
            continue
        if inside(frame.camera, project(frame.camera, frame.pose, corners), 2.0).all():
            yield pixel_m, frame


def _ground(
    line: FenceLine, dsm: SurfaceModel, start_m: float, end_m: float, columns: int
) -> FloatArray:
    """Height of the ground along the fence: the lowest of the surface 1.5 m to either side."""
    at = np.linspace(start_m, end_m, max(2, round(end_m - start_m)))
    xy, direction = line.found.at(at), line.found.direction_at(at)
    away = np.column_stack([-direction[:, 1], direction[:, 0]])
    points = np.concatenate([xy + offset * away for offset in (-1.5, -1.0, 1.0, 1.5)])
    z = dsm.at(points).reshape(4, -1)
    lowest = np.nanmin(np.where(np.isfinite(z), z, np.inf), axis=0)
    lowest = np.where(np.isfinite(lowest), lowest, np.nan)
    chainage = start_m + (np.arange(columns) + 0.5) * (end_m - start_m) / columns
    return np.asarray(np.interp(chainage, at, lowest))


def _joined(spans: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    joined: list[tuple[float, float]] = []
    for low, high in spans:
        if joined and low <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    return joined


def _merged(openings: Sequence[Opening]) -> list[Opening]:
    """Openings with those found twice, in two windows' overlap, taken once."""
    merged: list[Opening] = []
    for opening in sorted(openings, key=lambda each: each.start_m):
        last = merged[-1] if merged else None
        if last is not None and opening.start_m < last.end_m:
            merged[-1] = Opening(
                last.start_m,
                max(last.end_m, opening.end_m),
                min(last.low_m, opening.low_m),
                max(last.high_m, opening.high_m),
                max(last.strength, opening.strength),
                max(last.frames, opening.frames),
            )
        else:
            merged.append(opening)
    return merged
