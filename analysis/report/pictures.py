"""The pictures of the breach map: the ground below it, the fence straightened, a chip a finding."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from affine import Affine

from analysis.raster import Orthophoto
from analysis.raster_source import BoolArray, Bounds, ByteArray
from corridor import Track

STRIP_HALF_WIDTH_M = 4.0
STRIP_TILE_M = 50.0
_PAPER = 236
"""Grey of what was not imaged."""


class Tile(NamedTuple):
    """A picture with its place: west, south, east, north in the orthophoto's CRS."""

    bounds: Bounds
    jpeg: bytes


def encode(rgb: ByteArray, valid: BoolArray | None = None, quality: int = 72) -> bytes:
    """A JPEG of (H, W, 3) colours, grey where not valid."""
    shown = rgb
    if valid is not None and not valid.all():
        shown = rgb.copy()
        shown[~valid] = _PAPER
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
    done, data = cv2.imencode(".jpg", shown[..., ::-1], options)
    if not done:
        raise ValueError(f"JPEG cannot hold {shown.shape}")
    return bytes(data)


def overview(ortho: Orthophoto, bounds: Bounds, longest_px: int = 1600) -> Tile:
    """The whole of `bounds` in one picture of at most `longest_px`."""
    extent_m = max(bounds[2] - bounds[0], bounds[3] - bounds[1])
    patch = ortho.read(bounds, max(ortho.gsd_m, extent_m / longest_px))
    return Tile(_bounds_of(patch.affine, patch.valid.shape), encode(patch.rgb, patch.valid))


def ground_tiles(
    ortho: Orthophoto, tracks: Sequence[Track], reach_m: float, budget_px: float = 60e6
) -> Iterator[Tile]:
    """Squares of ground within `reach_m` of the lines, as fine as the budget of pixels allows."""
    side_m = 64.0
    left, top = ortho.bounds[0], ortho.bounds[3]
    cells: set[tuple[int, int]] = set()
    for track in tracks:
        steps = np.arange(track.chainage_m[0], track.chainage_m[-1] + 8.0, 8.0)
        for x, y in track.at(steps):
            for dx in (-reach_m, 0.0, reach_m):
                for dy in (-reach_m, 0.0, reach_m):
                    cells.add(
                        (math.floor((x + dx - left) / side_m), math.floor((top - y - dy) / side_m))
                    )
    if not cells:
        return
    finest_m = math.sqrt(len(cells) * side_m**2 / budget_px)
    pixel_m = max(ortho.gsd_m, 0.05, finest_m)
    for column, row in sorted(cells):
        west, north = left + column * side_m, top - row * side_m
        bounds = (west, north - side_m, west + side_m, north)
        if not ortho.overlaps(bounds):
            continue
        patch = ortho.read(bounds, pixel_m)
        if patch.valid.any():
            yield Tile(
                _bounds_of(patch.affine, patch.valid.shape), encode(patch.rgb, patch.valid, 68)
            )


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


def strip_tiles(ortho: Orthophoto, track: Track, pixel_m: float) -> Iterator[StripTile]:
    """The straightened fence, in tiles that begin at multiples of `STRIP_TILE_M` from its start."""
    first_m, last_m = float(track.chainage_m[0]), float(track.chainage_m[-1])
    half = round(STRIP_HALF_WIDTH_M / pixel_m)
    across_m = (np.arange(2 * half) + 0.5 - half) * pixel_m  # to the right of the line
    for index in range(max(1, math.ceil((last_m - first_m) / STRIP_TILE_M - 1e-9))):
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
        bounds = (x.min() - 1, y.min() - 1, x.max() + 1, y.max() + 1)
        if ortho.overlaps(bounds):
            rgb, valid = sample(ortho, x, y, pixel_m)
        else:
            rgb = np.zeros((*x.shape, 3), np.uint8)
            valid = np.zeros(x.shape, np.bool_)
        yield StripTile(start_m, end_m, rgb, valid)


def sample(
    ortho: Orthophoto, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], pixel_m: float
) -> tuple[ByteArray, BoolArray]:
    """The picture at points (H, W), bilinear on a grid of `pixel_m`."""
    margin_m = 2 * max(pixel_m, ortho.gsd_m)
    bounds = (
        float(x.min()) - margin_m,
        float(y.min()) - margin_m,
        float(x.max()) + margin_m,
        float(y.max()) + margin_m,
    )
    patch = ortho.read(bounds, pixel_m)
    u = ((x - patch.affine.c) / patch.affine.a - 0.5).astype(np.float32)
    v = ((y - patch.affine.f) / patch.affine.e - 0.5).astype(np.float32)
    rgb = cv2.remap(patch.rgb, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    valid = cv2.remap(
        patch.valid.astype(np.uint8), u, v, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT
    )
    return np.asarray(rgb), valid.astype(np.bool_)


def _bounds_of(affine: Affine, shape: tuple[int, ...]) -> Bounds:
    return (
        affine.c,
        affine.f + affine.e * shape[0],
        affine.c + affine.a * shape[1],
        affine.f,
    )
