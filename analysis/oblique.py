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

from analysis.heights import SurfaceModel
from analysis.mapping import Frame, PoseSpec, read_frames
from analysis.mapping.frames import read_picture
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
_PITCH_M = (0.05, 0.20)
_FINE_M = 0.05
_LEAST_PATTERN = 0.06
"""How far the autocorrelation at the mesh's pitch stands above the valleys on both sides of it:
below that no mesh is told from what lies behind it."""
_OPEN = 0.35
"""Share of the mesh's pattern, against the median along the fence, below which it is open."""
_LEAST_WIDTH_M, _LEAST_HEIGHT_M = 0.3, 0.25


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
    seen: list[tuple[float, float]] = []
    openings: list[Opening] = []
    first_m, last_m = float(line.found.chainage_m[0]), float(line.found.chainage_m[-1])
    starts = np.arange(first_m, max(last_m - _OVERLAP_M, first_m + 0.1), _WINDOW_M - _OVERLAP_M)
    for number, start_m in enumerate(starts):
        progress(number, len(starts), "oblique frames")
        end_m = min(start_m + _WINDOW_M, last_m)
        found = _window(frames, line, dsm, float(start_m), end_m)
        if found is None:
            continue
        seen.append((float(start_m), end_m))
        openings += found
    return SideView(tuple(_joined(seen)), tuple(_merged(openings)))


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


def pattern(wall: Wall) -> tuple[npt.NDArray[np.float32], float] | None:
    """How much of the mesh's own pattern there is at each place, and the mesh's pitch in metres.

    The pitch is the strongest repeat along the fence between 5 and 20 cm; the pattern is the
    energy of a band about it, in a window of 0.3 m, against all energy as fine as that or coarser.

    Returns:
        None if no pitch stands out: the mesh is not resolved, or there is none.
    """
    grey = wall.grey
    if not np.isfinite(grey).mean() > 0.9:
        return None
    filled = np.where(np.isfinite(grey), grey, np.nanmean(grey)).astype(np.float32)
    fine = filled - cv2.GaussianBlur(filled, (0, 0), _FINE_M / wall.pixel_m)
    low, high = (max(2, round(pitch / wall.pixel_m)) for pitch in _PITCH_M)
    if 1.5 * high >= fine.shape[1]:
        return None
    power = max(float((fine**2).mean()), 1e-9)
    repeats = np.array(
        [1.0]
        + [
            float((fine[:, lag:] * fine[:, :-lag]).mean()) / power
            for lag in range(1, int(1.5 * high) + 2)
        ]
    )
    heights = {
        at: repeats[at] - max(repeats[1:at].min(), repeats[at + 1 : int(1.5 * at) + 2].min())
        for at in range(low, high + 1)
    }
    stands_out = max(heights.values())
    # Twice the pitch repeats as well as the pitch does: the first tall peak is the mesh's own.
    tops = (
        at
        for at, height in heights.items()
        if height >= 0.6 * stands_out and repeats[at] >= max(repeats[at - 1], repeats[at + 1])
    )
    lag = next(tops, 0)
    if not lag or stands_out < _LEAST_PATTERN:
        return None
    pitch_m = lag * wall.pixel_m
    # A mesh repeats: what a place shares with the place one pitch to the left, or to the right, is
    # mesh. Beside a post, and at the rim of an opening, one of the two is still whole. Strong edges
    # (posts, rails) count no more than wires.
    most = 2.5 * float(np.median(np.abs(fine))) + 1e-6
    fine = np.clip(fine, -most, most)
    size = (2 * round(0.15 / wall.pixel_m) + 1,) * 2
    left = cv2.blur(fine * np.roll(fine, lag, axis=1), size)
    right = cv2.blur(fine * np.roll(fine, -lag, axis=1), size)
    return np.maximum(left, right), pitch_m


def share_left(shared: npt.NDArray[np.float32], pixel_m: float) -> npt.NDArray[np.float32]:
    """Of a wall's pattern, what share of the usual there is at each place of the mesh itself.

    Light and focus change down the wall and along it; the usual is a row's median.
    """
    rows = shared.shape[0]
    mesh = shared[round(_ABOVE_M / pixel_m) : rows - round(_BELOW_M / pixel_m)]
    usual = np.median(mesh, axis=1, keepdims=True).astype(np.float32)
    usual = cv2.blur(usual, (1, 9)).reshape(-1, 1)
    floor = 0.25 * max(float(np.median(usual)), 1e-6)
    return np.asarray(mesh / np.maximum(usual, floor), dtype=np.float32)


def openings_in(
    share: npt.NDArray[np.float32], pixel_m: float, height_m: float
) -> list[tuple[float, float, float, float, float]]:
    """Openings in what is left of a mesh: left, right, low, high in metres, and strength."""
    open_ = (share < _OPEN).astype(np.uint8)
    # The rail above and the grass below are no mesh.
    margin = round(0.1 / pixel_m)
    open_[:margin] = open_[len(open_) - margin :] = 0
    open_ = np.asarray(cv2.morphologyEx(open_, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8)))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(open_)
    grow_m = 0.05  # half of it would be the middle of the blur's slope; the threshold is below
    result = []
    for index in range(1, count):
        x, y, width, height, _ = (int(value) for value in stats[index])
        if width * pixel_m < _LEAST_WIDTH_M or height * pixel_m < _LEAST_HEIGHT_M:
            continue
        strength = float(np.clip(1.0 - np.median(share[labels == index]) / _OPEN, 0.0, 1.0))
        high_m = height_m - y * pixel_m
        result.append(
            (
                x * pixel_m - grow_m,
                (x + width) * pixel_m + grow_m,
                max(high_m - height * pixel_m - grow_m, 0.0),
                high_m + grow_m,
                strength,
            )
        )
    return result


def _window(
    frames: Sequence[Frame], line: FenceLine, dsm: SurfaceModel, start_m: float, end_m: float
) -> list[Opening] | None:
    """Openings in one window by the best frames; None if none tells the mesh there."""
    candidates = sorted(_views(frames, line, dsm, start_m, end_m), key=lambda view: view[0])[:3]
    if not candidates:
        return None
    columns = max(8, round((end_m - start_m) / max(candidates[-1][0], _FINEST_M)))
    step_m = (end_m - start_m) / columns
    ground_m = _ground(line, dsm, start_m, end_m, columns)
    shares = []
    for _, frame in candidates:
        wall = rectify(frame, _grey(frame.path), line, ground_m, start_m, end_m, step_m)
        told = pattern(wall)
        if told is not None:
            shares.append(share_left(told[0], step_m))
    if not shares:
        return None
    # What lies behind an opening differs from view to view, and what is left of the mesh does not.
    share = np.mean(shares, axis=0)
    return [
        Opening(start_m + left, start_m + right, low, high, strength, len(shares))
        for left, right, low, high, strength in openings_in(
            share, step_m, line.boundary.fence_height_m
        )
    ]


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
