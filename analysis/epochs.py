"""Two flights of one fence: laid over each other along it, then compared finding by finding."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import rasterio
from affine import Affine
from rasterio.windows import Window

from analysis.raster import Orthophoto
from analysis.raster_source import ByteArray
from analysis.report.pictures import (
    STRIP_HALF_WIDTH_M,
    STRIP_TILE_M,
    strip_count,
    strip_tile,
)
from analysis.results import FenceLine
from corridor import InputError, Side, Track, atomic_path
from corridor.findings import FencePiece, Finding, gpkg_in, read_condition, read_findings
from corridor.values import FloatArray

STRIPS = "strips"
_PIXEL_M = 0.05
_WINDOW_M = 40.0
_SEARCH_M = 4.0
_HALF_M = 2.5
_DRIFT_PER_PX = 0.02
"""Cost of a step of one pixel in shift from window to window, in units of correlation: mosaics
stretch by some decimetres in 100 m, and do not jump."""
_LEAST_CORRELATION = 0.15


# The strip that is kept with the findings


def kept_pixel_m(ortho: Orthophoto) -> float:
    """The pixel that strips are kept with."""
    return max(_PIXEL_M, ortho.gsd_m)


def grey_tile(ortho: Orthophoto, track: Track, index: int) -> ByteArray:
    """One tile of a fence as it is kept: grey, 0 where nothing was imaged."""
    tile = strip_tile(ortho, track, kept_pixel_m(ortho), index)
    grey = np.maximum(cv2.cvtColor(tile.rgb, cv2.COLOR_RGB2GRAY), 1)
    grey[~tile.valid] = 0
    return grey


def write_strips(out: Path, ortho: Orthophoto, lines: Sequence[FenceLine]) -> None:
    """Keeps each fence straightened and grey, for the next flight to be laid over."""
    for line in lines:
        tiles = (grey_tile(ortho, line.found, i) for i in range(strip_count(line.found)))
        write_strip(out, ortho, line, tiles)


def write_strip(out: Path, ortho: Orthophoto, line: FenceLine, tiles: Iterable[ByteArray]) -> None:
    """Keeps one fence, given its tiles in order.

    `strips/NAME.tif`: x is the chainage, y the offset to the left of the fence as found, both in
    metres; 0 is what was not imaged.
    """
    pixel_m = kept_pixel_m(ortho)
    first_m, last_m = float(line.found.chainage_m[0]), float(line.found.chainage_m[-1])
    width = max(1, math.ceil((last_m - first_m) / pixel_m))
    height = 2 * round(STRIP_HALF_WIDTH_M / pixel_m)
    with atomic_path(out / STRIPS / f"{line.name}.tif") as partial, rasterio.open(
        partial, "w", driver="GTiff", count=1, dtype="uint8", width=width, height=height,
        transform=Affine(pixel_m, 0, first_m, 0, -pixel_m, height / 2 * pixel_m),
        tiled=True, blockxsize=512, blockysize=256, compress="deflate", predictor=2,
        zlevel=1, nodata=0,
    ) as file:  # fmt: skip
        for index, grey in enumerate(tiles):
            at = round(index * STRIP_TILE_M / pixel_m)
            columns = min(grey.shape[1], width - at)
            if columns > 0:
                file.write(grey[None, :, :columns], window=Window(at, 0, columns, height))


@dataclass(frozen=True)
class Strip:
    """A kept strip, read by stretches."""

    path: Path
    start_m: float
    end_m: float
    pixel_m: float
    height: int

    @classmethod
    def open(cls, path: Path) -> Strip | None:
        """The strip in a file; None if there is none."""
        if not path.is_file():
            return None
        with rasterio.open(path) as file:
            transform = file.transform
            end_m = transform.c + file.width * transform.a
            return cls(path, transform.c, end_m, transform.a, file.height)

    def read(self, start_m: float, end_m: float, pixel_m: float) -> ByteArray:
        """(H, W) grey from one chainage to another at a pixel size; 0 where there is nothing."""
        columns = round((end_m - start_m) / pixel_m)
        rows = 2 * round(_HALF_M / pixel_m)
        first = math.floor((start_m - self.start_m) / self.pixel_m) - 2
        last = math.ceil((end_m - self.start_m) / self.pixel_m) + 2
        with rasterio.open(self.path) as file:
            low, high = max(first, 0), min(last, file.width)
            grey = np.zeros((self.height, last - first), np.uint8)
            if low < high:
                window = Window(low, 0, high - low, self.height)
                grey[:, low - first : high - first] = file.read(1, window=window)
        x = (start_m + (np.arange(columns) + 0.5) * pixel_m - self.start_m) / self.pixel_m
        y = self.height / 2 + (np.arange(rows) + 0.5 - rows / 2) * pixel_m / self.pixel_m
        u, v = np.meshgrid((x - first - 0.5).astype(np.float32), (y - 0.5).astype(np.float32))
        return np.asarray(cv2.remap(grey, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT))


# Laying one over the other


@dataclass(frozen=True)
class Registration:
    """Where chainages of an earlier flight lie in this one.

    Attributes:
        before_m: (N,) chainages of the earlier flight, increasing.
        now_m: (N,) the same places in this one.
        correlation: (N,) of the two strips there after laying over, 0 where nothing fitted and
            the place follows its neighbours.
        shift_m: (N,) how far the strips had to be moved along the fence, beyond where their
            coordinates put them.
    """

    before_m: FloatArray
    now_m: FloatArray
    correlation: FloatArray
    shift_m: FloatArray

    def now(self, before_m: float) -> float:
        """This flight's chainage of a place of the earlier one's."""
        if before_m <= self.before_m[0]:
            return float(self.now_m[0] + before_m - self.before_m[0])
        if before_m >= self.before_m[-1]:
            return float(self.now_m[-1] + before_m - self.before_m[-1])
        return float(np.interp(before_m, self.before_m, self.now_m))


def register(
    before: Strip | None, now: Strip | None, guess_before_m: FloatArray, guess_now_m: FloatArray
) -> Registration:
    """Lays an earlier strip over this flight's.

    Windows of 40 m are correlated, brightness and contrast evened out locally, over shifts of 4 m
    either way; the smoothest run of shifts through all windows is chosen, which keeps evenly
    spaced posts from being taken for their neighbours.

    Args:
        before, now: the strips; without either the guess stands.
        guess_before_m, guess_now_m: (N,) chainages of the same coordinates, increasing.
    """
    if before is None or now is None:
        zero = np.zeros(len(guess_before_m))
        return Registration(guess_before_m, guess_now_m, zero, zero)
    pixel_m = max(before.pixel_m, now.pixel_m)
    first_m, last_m = float(guess_before_m[0]), float(guess_before_m[-1])
    count = max(1, round((last_m - first_m) / (_WINDOW_M / 2)) - 1)
    length_m = min(_WINDOW_M, last_m - first_m)
    centres_m = np.linspace(first_m + length_m / 2, last_m - length_m / 2, count)
    guess_m = np.interp(centres_m, guess_before_m, guess_now_m)
    steps = 2 * round(_SEARCH_M / pixel_m) + 1
    scores = np.zeros((count, steps))
    for index, (centre_m, about_m) in enumerate(zip(centres_m, guess_m, strict=True)):
        old = before.read(centre_m - length_m / 2, centre_m + length_m / 2, pixel_m)
        half_m = length_m / 2 + (steps - 1) / 2 * pixel_m
        new = now.read(about_m - half_m, about_m + half_m, pixel_m)
        scores[index] = _correlations(old, new, steps, pixel_m)
    path = _smooth_path(scores, _DRIFT_PER_PX)
    shift_px = np.array([_peak(scores[i], path[i]) for i in range(count)]) - (steps - 1) / 2
    correlation = scores[np.arange(count), path]
    good = correlation >= _LEAST_CORRELATION
    if good.any():
        shift_px = np.interp(centres_m, centres_m[good], shift_px[good])
    else:
        shift_px = np.zeros(count)
    shift_m = shift_px * pixel_m
    return Registration(
        before_m=centres_m,
        now_m=guess_m + shift_m,
        correlation=np.where(good, correlation, 0.0),
        shift_m=shift_m,
    )


def evened(grey: npt.NDArray[np.uint8], pixel_m: float) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Log lightness with brightness and contrast evened over 1 m, and where it is valid.

    Light, exposure and haze change gain and offset; what lies on the ground changes the pattern.
    """
    valid = grey > 0
    light = np.log(np.maximum(grey, 1).astype(np.float32))
    light[~valid] = float(light[valid].mean()) if valid.any() else 0.0
    size = 2 * round(1.0 / pixel_m / 2) + 1
    mean = cv2.blur(light, (size, size))
    deviation = np.sqrt(np.maximum(cv2.blur(light**2, (size, size)) - mean**2, 0.0)) + 0.02
    result = (light - mean) / deviation
    result[~valid] = 0.0
    return result.astype(np.float64), valid


def _correlations(
    old: npt.NDArray[np.uint8], new: npt.NDArray[np.uint8], steps: int, pixel_m: float
) -> FloatArray:
    """Normalised correlation at each shift along, the best over 0.3 m across."""
    first, seen_before = evened(old, pixel_m)
    second, seen_now = evened(new, pixel_m)
    if seen_before.mean() < 0.5 or seen_now.mean() < 0.5:
        return np.zeros(steps)
    trim = round(0.3 / pixel_m)
    template = first[trim : first.shape[0] - trim].astype(np.float32)
    image = second[:, : template.shape[1] + steps - 1].astype(np.float32)
    scores = cv2.matchTemplate(image, template, cv2.TM_CCOEFF_NORMED)
    best = np.nan_to_num(scores.max(axis=0))
    return np.pad(best, (0, steps - len(best)))[:steps].astype(np.float64)


def _smooth_path(scores: FloatArray, cost_per_px: float) -> npt.NDArray[np.intp]:
    """The run of shifts with the greatest sum of scores less the cost of its steps (Viterbi)."""
    count, steps = scores.shape
    index = np.arange(steps)
    cost = cost_per_px * np.abs(index[:, None] - index[None, :])
    total = scores[0].copy()
    back = np.zeros((count, steps), np.intp)
    for i in range(1, count):
        reached = total[None, :] - cost
        back[i] = reached.argmax(axis=1)
        total = reached.max(axis=1) + scores[i]
    path = np.zeros(count, np.intp)
    path[-1] = int(total.argmax())
    for i in range(count - 1, 0, -1):
        path[i - 1] = back[i, path[i]]
    return path


def _peak(scores: FloatArray, at: int) -> float:
    """The top of the parabola through a score and its neighbours, in pixels."""
    if not 0 < at < len(scores) - 1:
        return float(at)
    left, top, right = scores[at - 1 : at + 2]
    bend = left - 2 * top + right
    return float(at + np.clip(0.5 * (left - right) / bend, -0.5, 0.5)) if bend < 0 else float(at)


# The earlier flight


@dataclass(frozen=True)
class Earlier:
    """An earlier findings folder.

    Attributes:
        folder: where it is.
        findings, pieces: as read.
        places: route and side to (N,) chainages and (N, 2) longitude and latitude of the fence as
            it was found then.
    """

    folder: Path
    findings: tuple[Finding, ...]
    pieces: tuple[FencePiece, ...]
    places: Mapping[tuple[str, Side], tuple[FloatArray, FloatArray]]


def read_earlier(path: Path) -> Earlier:
    """Reads an earlier findings folder.

    Raises:
        InputError: if it is none.
    """
    import geopandas  # here, since it brings pandas, which most processes do without

    file = gpkg_in(path)
    findings, pieces = tuple(read_findings(file)), tuple(read_condition(file))
    names = set(geopandas.list_layers(file)["name"])
    if "fence_offset" not in names:
        raise InputError(
            file, "has no layer 'fence_offset'", "a findings folder written by fencewalk analyze"
        )
    table = geopandas.read_file(file, layer="fence_offset")
    places: dict[tuple[str, Side], tuple[FloatArray, FloatArray]] = {}
    for (route, side), own in table.groupby(["route", "side"]):
        own = own.sort_values("chainage_m")
        lonlat = np.column_stack([own.geometry.x, own.geometry.y])
        places[str(route), Side(side)] = (own["chainage_m"].to_numpy(float), lonlat)
    return Earlier(file.parent, findings, pieces, places)


def registration_of(
    earlier: Earlier, ortho: Orthophoto, line: FenceLine, now: Path
) -> Registration | None:
    """An earlier fence laid over a line of this flight; None if it was not flown then.

    Args:
        earlier: the earlier flight.
        ortho: this flight's picture.
        line: this flight's fence.
        now: the folder of this flight, its strips written.
    """
    known = earlier.places.get((line.boundary.route, line.boundary.side))
    if known is None:
        return None
    before_m, lonlat = known
    xy = ortho.to_xy(lonlat)
    chainage, offset = line.found.locate(xy)
    first_m, last_m = line.found.chainage_m[0], line.found.chainage_m[-1]
    on_line = (np.abs(offset) < 10.0) & (chainage > first_m) & (chainage < last_m)
    if on_line.sum() < 5:
        return None
    before_m, guess_m = before_m[on_line], chainage[on_line]
    rising = np.concatenate([[True], np.diff(np.maximum.accumulate(guess_m)) > 1e-6])
    old = Strip.open(earlier.folder / STRIPS / f"{line.name}.tif")
    new = Strip.open(now / STRIPS / f"{line.name}.tif")
    return register(old, new, before_m[rising], guess_m[rising])
