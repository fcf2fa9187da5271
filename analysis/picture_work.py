"""The pictures of a run, made by a crew: the fence straightened, the ground, a chip a finding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import rasterio

from analysis.crew import Crew
from analysis.epochs import grey_tile, write_strip
from analysis.raster import CACHE_BYTES, Orthophoto
from analysis.raster_source import ByteArray
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
    pixel_for,
    strip_count,
    strip_tile,
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
        progress: told in metres of fence.
    """
    tracks = [line.found for line in lines]
    pixel_m = pixel_for(ortho, strip_pixel_m(tracks, ortho.gsd_m))
    strips: list[StripPicture] = []
    for index, line in enumerate(lines):
        parts = list(_parts(strip_count(line.found), _TILES_AT_ONCE))
        calls = [(ortho.paths, line.found, pixel_m, first, last) for first, last in parts]
        shown: dict[int, list[tuple[float, float, bytes]]] = {}
        grey: dict[int, list[ByteArray]] = {}
        for done, (number, made) in enumerate(crew.do(_strips, calls)):
            shown[number], grey[number] = made
            progress(done + 1, len(calls), f"strip of {line.name}")
        write_strip(out, ortho, line, (tile for n in range(len(parts)) for tile in grey[n]))
        strips += [StripPicture(index, *each) for n in range(len(parts)) for each in shown[n]]
    squares = ground_squares(ortho, tracks, _GROUND_REACH_M)
    calls_of_ground = [
        (ortho.paths, squares[first:last]) for first, last in _parts(len(squares), _SQUARES_AT_ONCE)
    ]
    ground = dict(crew.do(_ground, calls_of_ground))
    return Pictures(tuple(strips), tuple(tile for n in sorted(ground) for tile in ground[n]))


def chips_of(
    ortho: Orthophoto,
    findings: Sequence[Finding],
    lines: Sequence[FenceLine],
    crew: Crew,
    progress: Progress = silent,
) -> dict[str, bytes]:
    """A JPEG of each finding, by its id."""
    parts = list(_parts(len(findings), _CHIPS_AT_ONCE))
    calls = [(ortho.paths, findings[first:last], lines) for first, last in parts]
    made = {}
    for done, (number, chips) in enumerate(crew.do(_chips, calls)):
        made[number] = chips
        progress(done + 1, len(calls), "pictures of findings")
    ordered = [jpeg for number in sorted(made) for jpeg in made[number]]
    return {finding.finding_id: jpeg for finding, jpeg in zip(findings, ordered, strict=True)}


def strip_pixel_m(tracks: Sequence[Track], gsd_m: float) -> float:
    """The finest pixel at which all of the fence fits the page."""
    length_m = sum(float(track.chainage_m[-1] - track.chainage_m[0]) for track in tracks)
    fits_m = float(np.sqrt(length_m * 2 * STRIP_HALF_WIDTH_M / _STRIP_BUDGET_PX))
    return max(gsd_m, 0.03, fits_m)


def _parts(count: int, size: int) -> Iterator[tuple[int, int]]:
    for first in range(0, count, size):
        yield first, min(first + size, count)


# What a process of the crew does


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
