"""The pictures of a run, made by a crew: the fence straightened, the ground, a chip a finding."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio

from analysis.crew import Crew
from analysis.epochs import grey_tile, write_strip
from analysis.pieces_of_work import Piece
from analysis.raster import CACHE_BYTES, Orthophoto, Patch
from analysis.raster_source import BoolArray, Bounds, ByteArray
from analysis.report.chips import chip
from analysis.report.pictures import (
    STRIP_HALF_WIDTH_M,
    Pictures,
    Square,
    StripPicture,
    Tile,
    encode,
    ground_squares,
    ground_tile,
    overview_pixel_m,
    pixel_for,
    strip_count,
    strip_tile,
    tile_of,
)
from analysis.results import FenceLine
from corridor import Progress, Track, silent
from corridor.findings import Finding

_STRIP_BUDGET_PX = 40e6
"""Pixels of straightened fence in one page, some 8 MB."""
_GROUND_REACH_M = 30.0
_TILES_AT_ONCE = 8
_SQUARES_AT_ONCE = 32
_CHIPS_AT_ONCE = 16
_SLICE_PX = 8_000_000
_SLICE_LEAST_PX = 1024
"""Twice the blocks that most files are written in: those at a slice's edges are decoded twice."""
_WHOLE = "ground-"


def fence_pictures(
    out: Path,
    ortho: Orthophoto,
    lines: Sequence[FenceLine],
    crew: Crew,
    progress: Progress = silent,
) -> Pictures:
    """The strips and the ground along the fences; also keeps the strips in `out`, see `Strip`.

    Args:
        out: the findings folder.
        ortho: the picture.
        lines: the fences as found.
        crew: who makes them.
        progress: told of parts done.
    """
    tracks = [line.found for line in lines]
    pixel_m = pixel_for(ortho, strip_pixel_m(tracks, ortho.gsd_m))
    squares = ground_squares(ortho, tracks, _GROUND_REACH_M)
    calls: list[tuple[Any, ...]] = []
    first_of, last_of = [], []
    for line in lines:
        first_of.append(len(calls))
        calls += [
            (_strips, ortho.paths, line.found, pixel_m, first, last)
            for first, last in _parts(strip_count(line.found), _TILES_AT_ONCE)
        ]
        last_of.append(len(calls))
    of_ground = len(calls)
    calls += [
        (_ground, ortho.paths, squares[first:last])
        for first, last in _parts(len(squares), _SQUARES_AT_ONCE)
    ]
    runs = [last - first for first, last in zip(first_of, last_of, strict=True)]
    made: dict[int, Any] = {}
    for number, one in crew.do(_made, calls, [*runs, len(calls) - of_ground]):
        made[number] = one
        progress(len(made), len(calls), "pictures of fence and ground")
        index = bisect.bisect_right(last_of, number)
        if index < len(lines) and all(n in made for n in range(first_of[index], last_of[index])):
            # Written as soon as it is complete, while the others go on.
            own = [made[n] for n in range(first_of[index], last_of[index])]
            write_strip(out, ortho, lines[index], (tile for _, grey in own for tile in grey))
            made.update({first_of[index] + n: shown for n, (shown, _) in enumerate(own)})
    strips = [
        StripPicture(index, *each)
        for index in range(len(lines))
        for n in range(first_of[index], last_of[index])
        for each in made[n]
    ]
    ground = [tile for n in range(of_ground, len(calls)) for tile in made[n]]
    return Pictures(tuple(strips), tuple(ground))


def chips_of(
    ortho: Orthophoto,
    findings: Sequence[Finding],
    lines: Sequence[FenceLine],
    crew: Crew,
    progress: Progress = silent,
) -> dict[str, bytes]:
    """A JPEG of each finding, by its id."""
    # Along the road: neighbours lie in the same blocks of the picture.
    in_place = sorted(findings, key=lambda one: (one.route, one.chainage_start_m or 0.0))
    parts = list(_parts(len(findings), _CHIPS_AT_ONCE))
    calls = [(ortho.paths, in_place[first:last], lines) for first, last in parts]
    made: dict[str, bytes] = {}
    for done, (number, chips) in enumerate(crew.do(_chips, calls)):
        made.update(zip((finding.finding_id for finding in calls[number][1]), chips, strict=True))
        progress(done + 1, len(calls), "pictures of findings")
    return {finding.finding_id: made[finding.finding_id] for finding in findings}


# All of the ground in one picture, which is the work of a while where a file has no overviews


@dataclass(frozen=True)
class GroundSlice:
    """A slice of the picture of all the ground: (H, W, 3) uint8, (H, W) bool."""

    rgb: ByteArray
    valid: BoolArray


def whole_ground_work(ortho: Orthophoto) -> list[Piece]:
    """A piece for each slice, across the longer side, of the picture of all the ground."""
    pixel_m = overview_pixel_m(ortho)
    affine, width, height = ortho.affine_of(ortho.bounds, pixel_m)
    # Pixels of the file: how many a slice has, and how wide it is at least.
    per_pixel = (pixel_m / ortho.level_gsd_m(pixel_m)) ** 2
    longer = max(width, height)
    least = max(1, math.ceil(_SLICE_LEAST_PX / math.sqrt(per_pixel)))
    count = math.ceil(width * height * per_pixel / _SLICE_PX)
    edges = np.linspace(0, longer, max(1, min(count, longer // least)) + 1).round().astype(int)
    pieces = []
    for number, (first, last) in enumerate(itertools.pairwise(edges.tolist())):
        columns = (first, last) if width >= height else (0, width)
        rows = (0, height) if width >= height else (first, last)
        west, north = affine @ (columns[0], rows[0])
        east, south = affine @ (columns[1], rows[1])
        weight = (columns[1] - columns[0]) * (rows[1] - rows[0]) * per_pixel / 5e5
        bounds = (west, south, east, north)
        arguments = (ortho.paths, bounds, pixel_m)
        pieces.append(Piece(f"{_WHOLE}{number:04d}", _ground_slice, arguments, weight, _WHOLE))
    return pieces


def whole_ground(ortho: Orthophoto, results: Mapping[str, Any]) -> Tile:
    """The picture of all the ground, from its slices among the results of pieces by name."""
    slices = [results[name] for name in sorted(results) if name.startswith(_WHOLE)]
    affine, width, height = ortho.affine_of(ortho.bounds, overview_pixel_m(ortho))
    axis = 1 if width >= height else 0
    rgb = np.concatenate([each.rgb for each in slices], axis=axis)
    valid = np.concatenate([each.valid for each in slices], axis=axis)
    return tile_of(Patch(rgb, valid, affine))


def strip_pixel_m(tracks: Sequence[Track], gsd_m: float) -> float:
    """The finest pixel at which all of the fence fits the page."""
    length_m = sum(float(track.chainage_m[-1] - track.chainage_m[0]) for track in tracks)
    fits_m = float(np.sqrt(length_m * 2 * STRIP_HALF_WIDTH_M / _STRIP_BUDGET_PX))
    return max(gsd_m, 0.03, fits_m)


def _parts(count: int, size: int) -> Iterator[tuple[int, int]]:
    for first in range(0, count, size):
        yield first, min(first + size, count)


# What a process of the crew does


def _made(work: Callable[..., Any], *arguments: Any) -> Any:
    """One of several kinds of work, shared out together."""
    return work(*arguments)


def _ground_slice(paths: tuple[Path, ...], bounds: Bounds, pixel_m: float) -> GroundSlice:
    with rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES):
        patch = Orthophoto.open(paths).read(bounds, pixel_m)
    return GroundSlice(patch.rgb, patch.valid)


def _strips(
    paths: tuple[Path, ...], track: Track, pixel_m: float, first: int, last: int
) -> tuple[list[tuple[float, float, bytes]], list[ByteArray]]:
    """Tiles first..last to be shown, where there is anything to see, and all of them to be kept."""
    shown, grey = [], []
    with rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES):
        ortho = Orthophoto.open(paths)
        for index in range(first, last):
            tile = strip_tile(ortho, track, pixel_m, index)
            if tile.valid.any():
                shown.append((tile.start_m, tile.end_m, encode(tile.rgb, tile.valid)))
            grey.append(grey_tile(ortho, track, index))
    return shown, grey


def _ground(paths: tuple[Path, ...], squares: Sequence[Square]) -> list[Tile]:
    with rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES):
        ortho = Orthophoto.open(paths)
        tiles = [ground_tile(ortho, square) for square in squares]
    return [tile for tile in tiles if tile is not None]


def _chips(
    paths: tuple[Path, ...], findings: Sequence[Finding], lines: Sequence[FenceLine]
) -> list[bytes]:
    with rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES):
        ortho = Orthophoto.open(paths)
        return [encode(chip(ortho, finding, lines), quality=80) for finding in findings]
