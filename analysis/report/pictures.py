"""The pictures of the breach map: the ground below it, the fence straightened, a chip a finding."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from affine import Affine

from analysis.raster import Orthophoto, Patch
from analysis.raster_source import BoolArray, Bounds, ByteArray
from corridor import Track

STRIP_HALF_WIDTH_M = 4.0
STRIP_TILE_M = 50.0
_READ_M = 10.0
"""Of fence sampled at once: the square around a long slanting stretch would be mostly in vain."""
_WIDE_SIDE_M, _WIDE_PIXEL_M = 64.0, 0.16
_NEAR_SIDE_M, _NEAR_PIXEL_M = 16.0, 0.05
_NEAR_M = 6.0
"""Ground shown finer than the rest, on both sides of a fence."""
_PAPER = 236
"""Grey of what was not imaged."""


class Tile(NamedTuple):
    """A picture with its place: west, south, east, north in the orthophoto's CRS."""

    bounds: Bounds
    jpeg: bytes


class StripPicture(NamedTuple):
    """A stretch of a straightened fence from one chainage to another; `line` is its index."""

    line: int
    start_m: float
    end_m: float
    jpeg: bytes


@dataclass(frozen=True)
class Pictures:
    """What the page shows of the ground, in order; without a `whole` the page makes its own."""

    strips: tuple[StripPicture, ...] = ()
    ground: tuple[Tile, ...] = ()
    whole: Tile | None = None


def encode(rgb: ByteArray, valid: BoolArray | None = None, quality: int = 72) -> bytes:
    """A JPEG of (H, W, 3) colours, grey where not valid."""
    shown = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    if valid is not None and not valid.all():
        shown[~valid] = _PAPER
    done, data = cv2.imencode(".jpg", shown, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"JPEG cannot hold {shown.shape}")
    return data.tobytes()


OVERVIEW_PX = 1600
"""The longer side of the picture that shows all of the ground."""


def overview_pixel_m(ortho: Orthophoto) -> float:
    """The pixel of the picture that shows all of the ground."""
    west, south, east, north = ortho.bounds
    return max(ortho.gsd_m, max(east - west, north - south) / OVERVIEW_PX)


def overview(ortho: Orthophoto) -> Tile:
    """All of the ground in one picture."""
    return tile_of(ortho.read(ortho.bounds, overview_pixel_m(ortho)))


def tile_of(patch: Patch, quality: int = 72) -> Tile:
    """A window as a picture with its place."""
    place = _bounds_of(patch.affine, patch.valid.shape)
    return Tile(place, encode(patch.rgb, patch.valid, quality))


class Square(NamedTuple):
    """A place on the map: its bounds in the orthophoto's CRS, and the pixel it is shown with."""

    bounds: Bounds
    pixel_m: float


def ground_squares(
    ortho: Orthophoto, tracks: Sequence[Track], reach_m: float, budget_px: float = 60e6
) -> list[Square]:
    """Squares of ground along the lines: coarse ones within `reach_m`, then fine ones at the fence.

    Both are as fine as the budget of pixels allows.
    """
    wide = _squares(ortho, tracks, _WIDE_SIDE_M, reach_m, _WIDE_PIXEL_M, 0.3 * budget_px)
    near = _squares(ortho, tracks, _NEAR_SIDE_M, _NEAR_M, _NEAR_PIXEL_M, 0.7 * budget_px)
    return [*wide, *near]


def ground_tile(ortho: Orthophoto, square: Square) -> Tile | None:
    """The picture of a square; None where nothing was imaged."""
    patch = ortho.read(square.bounds, square.pixel_m)
    if not patch.valid.any():
        return None
    return tile_of(patch, 68)


def _squares(
    ortho: Orthophoto,
    tracks: Sequence[Track],
    side_m: float,
    reach_m: float,
    least_m: float,
    budget_px: float,
) -> Iterator[Square]:
    """Squares of `side_m` within `reach_m` of the lines, their pixels `least_m` or coarser."""
    left, top = ortho.bounds[0], ortho.bounds[3]
    cells: set[tuple[int, int]] = set()
    for track in tracks:
        steps = np.arange(track.chainage_m[0], track.chainage_m[-1] + 8.0, 8.0)
        for x, y in track.at(steps):
            columns = [math.floor((x + d - left) / side_m) for d in (-reach_m, 0.0, reach_m)]
            rows = [math.floor((top - y + d) / side_m) for d in (-reach_m, 0.0, reach_m)]
            for column in range(columns[0], columns[-1] + 1):
                cells.update((column, row) for row in range(rows[0], rows[-1] + 1))
    if not cells:
        return
    finest_m = math.sqrt(len(cells) * side_m**2 / budget_px)
    pixel_m = pixel_for(ortho, max(least_m, finest_m))
    for column, row in sorted(cells):
        west, north = left + column * side_m, top - row * side_m
        bounds = (west, north - side_m, west + side_m, north)
        if ortho.overlaps(bounds):
            yield Square(bounds, pixel_m)


def pixel_for(ortho: Orthophoto, pixel_m: float) -> float:
    """`pixel_m`, or what the file holds as it is if that is not much finer or coarser."""
    as_it_is_m = ortho.level_gsd_m(pixel_m * 1.34)
    return as_it_is_m if as_it_is_m >= 0.75 * pixel_m else pixel_m


class StripTile(NamedTuple):
    """A stretch of fence straightened, chainage left to right, the left of the road up.

    Attributes:
        start_m, end_m: chainage of its left and right edge.
        rgb: (H, W, 3) uint8; rows from `STRIP_HALF_WIDTH_M` left of the line to as much right.
        valid: (H, W) bool.
    """

    start_m: float
    end_m: float
    rgb: ByteArray
    valid: BoolArray


def strip_count(track: Track) -> int:
    """How many tiles of `STRIP_TILE_M` a fence is straightened in."""
    length_m = float(track.chainage_m[-1] - track.chainage_m[0])
    return max(1, math.ceil(length_m / STRIP_TILE_M - 1e-9))


def strip_tile(ortho: Orthophoto, track: Track, pixel_m: float, index: int) -> StripTile:
    """One tile of the straightened fence; they begin at multiples of `STRIP_TILE_M`."""
    first_m, last_m = float(track.chainage_m[0]), float(track.chainage_m[-1])
    half = round(STRIP_HALF_WIDTH_M / pixel_m)
    across_m = (np.arange(2 * half) + 0.5 - half) * pixel_m  # to the right of the line
    start_m = first_m + index * STRIP_TILE_M
    end_m = min(start_m + STRIP_TILE_M, last_m)
    columns = max(1, round((end_m - start_m) / pixel_m))
    chainage_m = start_m + (np.arange(columns) + 0.5) * pixel_m
    centre = track.at(chainage_m)
    # A chord of 2 m turns corners over without a seam.
    chord = track.at(chainage_m + 1.0) - track.at(chainage_m - 1.0)
    chord /= np.maximum(np.hypot(chord[:, 0], chord[:, 1]), 1e-9)[:, None]
    x = centre[:, 0] + across_m[:, None] * chord[:, 1]
    y = centre[:, 1] - across_m[:, None] * chord[:, 0]
    rgb = np.zeros((*x.shape, 3), np.uint8)
    valid = np.zeros(x.shape, np.bool_)
    step = max(1, round(_READ_M / pixel_m))
    for first in range(0, columns, step):
        part = np.s_[:, first : first + step]
        _sample(ortho, x[part], y[part], pixel_m, rgb[part], valid[part])
    return StripTile(start_m, end_m, rgb, valid)


def _sample(
    ortho: Orthophoto,
    x: npt.NDArray[np.float64],
    y: npt.NDArray[np.float64],
    pixel_m: float,
    rgb: ByteArray,
    valid: BoolArray,
) -> None:
    """Fills `rgb` and `valid` with the picture at points (H, W), bilinear.

    The grid it is taken from is the file's own, or the overview that is finer than `pixel_m`.
    """
    grid_m = ortho.level_gsd_m(pixel_m)
    if 2.0 * grid_m < pixel_m:
        grid_m = pixel_m  # no overview comes near: the mean over each pixel, not one point of it
    margin_m = 2 * grid_m
    bounds = (
        float(x.min()) - margin_m,
        float(y.min()) - margin_m,
        float(x.max()) + margin_m,
        float(y.max()) + margin_m,
    )
    if not ortho.overlaps(bounds):
        return
    patch = ortho.read(bounds, grid_m)
    u = ((x - patch.affine.c) / patch.affine.a - 0.5).astype(np.float32)
    v = ((y - patch.affine.f) / patch.affine.e - 0.5).astype(np.float32)
    rgb[:] = cv2.remap(patch.rgb, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    seen = patch.valid.astype(np.uint8)
    valid[:] = cv2.remap(seen, u, v, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT) > 0


def _bounds_of(affine: Affine, shape: tuple[int, ...]) -> Bounds:
    return (
        affine.c,
        affine.f + affine.e * shape[0],
        affine.c + affine.a * shape[1],
        affine.f,
    )
