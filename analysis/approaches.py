"""Approaches: trodden ground that leads up to a fence, looked for along the fence itself.

The last steps to a fence are often all that shows, too short for the search over the whole band,
which looks along 19 m. Along the fence there are fewer ways to be wrong: a line that ends on the
fence, or crosses it steeply, and one that does so where the fence is broken is likelier than
anywhere else. So the ground beside a fence is straightened, the best way outward and inward is
found for each place by dynamic programming, of whatever length it is seen for, and what was seen
along it is weighed together with the state of the fence there (`analysis/models/access.json`,
fitted by `python -m analysis.training.access`).
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import rasterio
import shapely
from numba import njit
from scipy.ndimage import maximum_filter1d

from analysis.crew import Crew
from analysis.fence_work import FenceResult
from analysis.footpaths import Footpath, FootpathConfig, PathClass, strips
from analysis.footpaths.alongside import LEAST_SHARE, in_rows
from analysis.footpaths.channels import RGB_STEPS, network_input, to_lab
from analysis.footpaths.grid import WorkingGrid
from analysis.footpaths.network import CLASSES, Network, shared_network
from analysis.footpaths.profile import profile_of
from analysis.raster import CACHE_BYTES, Orthophoto
from analysis.results import FenceLine
from corridor import Progress, Track, silent
from corridor.findings import FenceState
from corridor.values import FloatArray

Array = npt.NDArray[Any]

REASON = "leads up to the fence"
LEAST_PROBABILITY = 0.6
"""From which fewer than two a kilometre of fence were false, on scenes left out of the fit."""
CUES = ("outside", "inside", "clear", "network", "breach")
"""What is weighed: how much was seen outside and inside of the fence (logarithms of sums), how
clearly over the first steps, the network's logit along them, and how sure the fence is broken."""

_PIXEL_M = 0.1
_CELL_M = 0.2
_OUTSIDE_M, _INSIDE_M = 14.0, 6.0
_RIM_M = 4.0
"""Around what is judged: a strip's half length and some ground to compare with."""
_CORE_M, _BEYOND_M = 120.0, 18.0
_FROM_M = 0.6
"""The fence's own foot and post are not looked at."""
_STEP_CELLS = 5
_FIRST_BIN, _BINS = 3, 11
"""Directions within 56° of straight at the fence; bin 8 of `strips.DIRECTIONS` runs across."""
_WIDTHS_M = (0.35, 0.5, 0.7, 1.0, 1.4, 2.0)
_TAU = 1.0
"""What a step must show to be gone on along: the best of many directions, widths and colours is
about this on ground without a path (median on generated fences without one)."""
_TURN = 0.12
_END_SHARE = 0.6
_APART_M = 5.0
_SAME_M = 1.2
_EVEN_M = 2.0
_USUAL_WIDTH_M = 0.6


@dataclass(frozen=True)
class Approach:
    """A place where trodden ground meets a fence.

    Attributes:
        chainage_m: where.
        xy: (N, 2) the way, from inside to outside, through the fence; in the picture's CRS.
        outside_m, inside_m: how far it is seen on either side.
        cues: see `CUES`.
        probability: that there is a way in here; 0 until it is judged.
        width_m: of the tread.
    """

    chainage_m: float
    xy: FloatArray
    outside_m: float
    inside_m: float
    cues: Mapping[str, float]
    probability: float = 0.0
    width_m: float = _USUAL_WIDTH_M

    @property
    def path(self) -> Footpath:
        """The way as a path."""
        seen = float(np.clip(self.cues["clear"] / 4, 0.0, 1.0))
        return Footpath(
            centreline=shapely.LineString(self.xy),
            path_class=PathClass.FOOTPATH,
            confidence=float(np.clip(self.probability, 0.01, 0.99)),
            visibility=seen,
            width_m=self.width_m,
            inferred_frac=0.0,
            evidence=dict(self.cues),
            reason=REASON,
        )


@cache
def weights() -> Mapping[str, float]:
    """Cue to weight, and `bias`; shipped with the program."""
    text = (files("analysis.models") / "access.json").read_text(encoding="utf-8")
    return dict(json.loads(text)["weights"])


def probability(cues: Mapping[str, float], by_cue: Mapping[str, float]) -> float:
    """That a place with these cues is a way in."""
    total = by_cue["bias"] + sum(by_cue[cue] * cues[cue] for cue in CUES)
    return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, total))))


def approaches_along(
    orthos: tuple[Path, ...],
    lines: Sequence[FenceLine],
    fences: Sequence[FenceResult],
    area: shapely.Geometry,
    crew: Crew | None = None,
    progress: Progress = silent,
) -> list[Approach]:
    """The approaches of all fences that are likely enough, in order of line and chainage.

    Args:
        orthos: the picture.
        lines, fences: as found.
        area: only there; ways are cut at its edge.
        crew: who does it.
        progress: told of stretches of fence.
    """
    calls = []
    for line, fence in zip(lines, fences, strict=True):
        broken = [(b.start_m, b.end_m, b.confidence) for b in fence.breaches]
        absent = [(s.start_m, s.end_m) for s in fence.stretches if s.state is FenceState.NO_FENCE]
        outward = line.boundary.side.outward
        for first_m in stretch_starts(line.found):
            calls.append((orthos, line.found, outward, first_m, broken, absent))
    done: dict[int, list[Approach]] = {}
    for number, found in (crew or Crew()).do(approaches_in, calls):
        done[number] = found
        progress(len(done), len(calls), "ways up to the fence")
    result = []
    shapely.prepare(area)
    for number in range(len(calls)):
        for one in done[number]:
            way = shapely.intersection(shapely.LineString(one.xy), area)
            parts = [part for part in shapely.get_parts(way) if part.geom_type == "LineString"]
            if parts:
                longest = max(parts, key=shapely.length)
                result.append(replace(one, xy=shapely.get_coordinates(longest)))
    return result


def stretch_starts(fence: Track) -> list[float]:
    """Where the stretches begin that a fence is looked along in, metres along the line."""
    return [float(first_m) for first_m in np.arange(0.0, _length_m(fence), _CORE_M)]


def approaches_in(
    orthos: tuple[Path, ...],
    fence: Track,
    outward: int,
    first_m: float,
    broken: Sequence[tuple[float, float, float]],
    absent: Sequence[tuple[float, float]],
) -> list[Approach]:
    """The approaches of one stretch of fence that are likely enough; for another process.

    Args:
        orthos: the picture.
        fence: as found.
        outward: +1 if its left is outside, else -1.
        first_m: where the stretch of 120 m begins, metres along the line.
        broken: chainages of breaches, and their confidence.
        absent: chainages where there is no fence.
    """
    with rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES):
        ortho = Orthophoto.open(orthos)
        grid = WorkingGrid.of(ortho, FootpathConfig().gsd_m)
        result = []
        for found in candidates(ortho, shared_network(), fence, outward, first_m, broken, absent):
            sure = probability(found.cues, weights())
            if sure < LEAST_PROBABILITY:
                continue
            profile = profile_of(shapely.LineString(found.xy), grid, _USUAL_WIDTH_M)
            result.append(replace(found, probability=sure, width_m=profile.width_m))
        return result


def candidates(
    ortho: Orthophoto,
    network: Network,
    fence: Track,
    outward: int,
    first_m: float,
    broken: Sequence[tuple[float, float, float]],
    absent: Sequence[tuple[float, float]],
) -> list[Approach]:
    """Places of one stretch that may be a way in, the best within some metres, not judged yet.

    Every breach is one of them, however little shows there.
    """
    ground = _Ground.read(ortho, fence, outward, first_m)
    if ground is None:
        return []
    z, logits = ground.evidence(ortho.gsd_m, network)
    far, near = round(_OUTSIDE_M / _CELL_M), round(_INSIDE_M / _CELL_M)
    start = ground.fence_row + round(_FROM_M / _CELL_M)
    out = _sweep(z, _STEPS, _TAU, _TURN, start, ground.fence_row + far)
    # Turned by 180 degrees, inward is outward, and each direction stays what it is.
    turned = np.ascontiguousarray(z[:, ::-1, ::-1])
    last = z.shape[1] - 1
    start_in = last - ground.fence_row + round(_FROM_M / _CELL_M)
    inner = _sweep(turned, _STEPS, _TAU, _TURN, start_in, last - ground.fence_row + near)
    sums_out = out[0][:, start].max(axis=0)
    sums_in = inner[0][:, start_in, ::-1].max(axis=0)
    reach = round(_SAME_M / _CELL_M) - 1
    total = sums_out + np.maximum(maximum_filter1d(sums_in, 2 * reach + 1), 0.0)
    best = maximum_filter1d(total, round(_APART_M / _CELL_M) | 1)
    places = set(np.flatnonzero((total == best) & (total > 0.5)).tolist())
    at_m = ground.chainage_m
    for start_m, end_m, _ in broken:
        within = np.flatnonzero((at_m >= start_m - 0.5) & (at_m <= end_m + 0.5))
        if len(within):
            places.add(int(within[total[within].argmax()]))
    result: list[Approach] = []
    for place in sorted(places):
        here_m = float(at_m[place])
        inside_core = ground.core[place]
        if not inside_core or any(a <= here_m < b for a, b in absent):
            continue
        low, high = max(0, place - reach), min(len(total), place + reach + 1)
        begun = low + int(sums_in[low:high].argmax())
        way_out, seen = _way(out, z, start, place)
        way_in, _ = _way(inner, turned, start_in, z.shape[2] - 1 - begun)
        way_in = np.array([last, z.shape[2] - 1]) - way_in
        trodden, driven, built = logits[:, way_out[:, 0], way_out[:, 1]].mean(axis=1)
        if max(driven, built) > max(trodden, 0.0):
            # Channels, drives and walls end on fences too; the judge of paths draws the line so.
            continue
        sure = [c for a, b, c in broken if a - _SAME_M < here_m < b + _SAME_M]
        cues = {
            "outside": float(np.log1p(max(0.0, sums_out[place]))),
            "inside": float(np.log1p(max(0.0, sums_in[begun]))),
            "clear": float(seen[:5].mean()),
            "network": float(logits[0, way_out[:5, 0], way_out[:5, 1]].mean()),
            "breach": max(sure, default=0.0),
        }
        goes_in = bool(sums_in[begun] > 0)
        cells = [*(way_in[::-1] if goes_in else ()), (ground.fence_row - 0.5, place), *way_out]
        xy = ground.xy(np.array(cells, dtype=np.float64))
        out_m = float(way_out[-1, 0] - ground.fence_row) * _CELL_M
        in_m = float(ground.fence_row - way_in[-1, 0]) * _CELL_M if goes_in else 0.0
        result.append(Approach(here_m, xy, out_m, in_m, cues))
    return result


@dataclass(frozen=True)
class _Ground:
    """The ground along a fence, straightened: chainage to the right, outward down.

    Attributes:
        rgb: (rows, columns, 3) uint8 pixels of `_PIXEL_M`; valid: (rows, columns) bool.
        fence_row: the row of cells that begins at the fence.
        chainage_m: (columns of cells,); core: whether each is this stretch's to judge.
        foot, away: (columns of cells, 2) the fence, and outward.
    """

    rgb: Array
    valid: Array
    fence_row: int
    chainage_m: FloatArray
    core: Array
    foot: FloatArray
    away: FloatArray

    @classmethod
    def read(cls, ortho: Orthophoto, fence: Track, outward: int, first_m: float) -> _Ground | None:
        steps = np.hypot(*np.diff(fence.xy, axis=0).T)
        along = np.concatenate([[0.0], np.cumsum(steps)])
        begin = max(0.0, first_m - _BEYOND_M)
        end = min(float(along[-1]), first_m + _CORE_M + _BEYOND_M)
        # Whole blocks of 4 pixels, as the filter's levels want them.
        columns = int((end - begin) / _PIXEL_M) // 4 * 4
        if columns < 100:
            return None

        def at(where_m: FloatArray) -> FloatArray:
            where_m = np.clip(where_m, 0.0, along[-1])
            return np.column_stack([np.interp(where_m, along, fence.xy[:, i]) for i in (0, 1)])

        where_m: FloatArray = np.asarray(begin + (np.arange(columns) + 0.5) * _PIXEL_M)
        step: FloatArray = at(np.add(where_m, _EVEN_M)) - at(np.subtract(where_m, _EVEN_M))
        step /= np.maximum(np.hypot(step[:, 0], step[:, 1]), 1e-9)[:, None]
        away = np.column_stack([-step[:, 1], step[:, 0]]) * outward
        foot = at(where_m)
        inside = int((_INSIDE_M + _RIM_M) / _PIXEL_M) // 4 * 4
        rows = inside + int((_OUTSIDE_M + _RIM_M) / _PIXEL_M) // 4 * 4
        offset_m = (np.arange(rows) + 0.5 - inside) * _PIXEL_M
        rgb = np.zeros((rows, columns, 3), np.uint8)
        valid = np.zeros((rows, columns), bool)
        for low, high in itertools.pairwise([*range(0, columns, 400), columns]):
            places = foot[None, low:high] + offset_m[:, None, None] * away[None, low:high]
            west, south = places.min(axis=(0, 1)) - 2 * _PIXEL_M
            east, north = places.max(axis=(0, 1)) + 2 * _PIXEL_M
            if not ortho.overlaps((west, south, east, north)):
                continue
            patch = ortho.read((west, south, east, north), _PIXEL_M)
            x, y = ~patch.affine @ (places[..., 0], places[..., 1])
            x, y = (x - 0.5).astype(np.float32), (y - 0.5).astype(np.float32)
            rgb[:, low:high] = cv2.remap(patch.rgb, x, y, cv2.INTER_LINEAR)
            seen = patch.valid.astype(np.uint8) * np.uint8(255)
            valid[:, low:high] = cv2.remap(seen, x, y, cv2.INTER_LINEAR) >= 250
        middle = where_m.reshape(-1, 2).mean(axis=1)
        return cls(
            rgb=rgb,
            valid=valid,
            fence_row=inside // 2,
            chainage_m=np.interp(middle, along, fence.chainage_m),
            core=(middle >= first_m) & (middle < first_m + _CORE_M),
            foot=foot[::2],
            away=away[::2],
        )

    def evidence(self, native_m: float, network: Network) -> tuple[Array, Array]:
        """z (11, rows, columns) of cells in noise units, and the network's logits (3, …)."""
        lab = to_lab(self.rgb.astype(np.uint16) * np.uint16(RGB_STEPS))
        looked_for = strips.strips_for(_PIXEL_M, native_m, _WIDTHS_M)
        found = strips.strip_evidence(lab, self.valid, _PIXEL_M, looked_for)
        z = found.z[_FIRST_BIN : _FIRST_BIN + _BINS].astype(np.float32) / strips.Z_STEPS
        planes = network_input(lab, self.valid, _PIXEL_M)
        rows, columns = self.valid.shape
        padded = np.pad(planes, ((0, 0), (0, -rows % 32), (0, -columns % 32)))
        logits = network.run(padded)[: len(CLASSES), : rows // 2, : columns // 2]
        config = FootpathConfig()
        z += config.network_weight * np.clip(logits[0], *config.logit_range)
        known = cv2.erode(self.valid.astype(np.uint8), np.ones((11, 11), np.uint8))
        z[:, known[::2, ::2] == 0] = strips.Z_RANGE[0]
        return z, logits

    def xy(self, cells: FloatArray) -> FloatArray:
        """(N, 2) of cells (row, column) in the picture's CRS."""
        columns = np.clip(np.round(cells[:, 1]).astype(int), 0, len(self.foot) - 1)
        offset_m = (cells[:, 0] + 0.5 - self.fence_row) * _CELL_M
        return np.asarray(self.foot[columns] + offset_m[:, None] * self.away[columns])


def _steps() -> Array:
    turns = (np.arange(_BINS) + _FIRST_BIN) * math.pi / strips.DIRECTIONS
    return np.round(_STEP_CELLS * np.column_stack([np.sin(turns), np.cos(turns)])).astype(np.int64)


_STEPS = _steps()


@njit(cache=True)
def _sweep(z, steps, tau, turn, first, end):  # type: ignore[no-untyped-def]
    """Best sums of z - tau over ways that lead down from each cell and end anywhere.

    Returns:
        (bins, rows, columns) sums, and the direction to go on in, -1 where the way ends.
    """
    bins, _, columns = z.shape
    sums = np.zeros(z.shape, np.float32)
    follow = np.full(z.shape, -1, np.int8)
    for row in range(min(end, z.shape[1]) - 1, first - 1, -1):
        for b in range(bins):
            below = row + steps[b, 0]
            for column in range(columns):
                best, to = np.float32(0.0), -1
                there = column + steps[b, 1]
                if below < end and below < z.shape[1] and 0 <= there < columns:
                    for other in range(max(0, b - 1), min(bins, b + 2)):
                        value = sums[other, below, there] - (turn if other != b else 0.0)
                        if value > best:
                            best, to = value, other
                sums[b, row, column] = z[b, row, column] - tau + best
                follow[b, row, column] = to
    return sums, follow


def _way(swept: tuple[Array, Array], z: Array, row: int, column: int) -> tuple[Array, Array]:
    """(N, 2) row, column of the best way from a cell on, and (N,) what was seen there.

    It ends where less is seen than is typical of it: strips reach beyond a path's end.
    """
    sums, follow = swept
    b = int(sums[:, row, column].argmax())
    cells, seen = [(row, column)], [float(z[b, row, column])]
    while (to := int(follow[b, row, column])) >= 0:
        row, column, b = row + int(_STEPS[b, 0]), column + int(_STEPS[b, 1]), to
        cells.append((row, column))
        seen.append(float(z[b, row, column]))
    least = _END_SHARE * float(np.median(seen))
    while len(seen) > 1 and seen[-1] < least:
        cells.pop()
        seen.pop()
    return np.array(cells), np.array(seen)


def _length_m(track: Track) -> float:
    return float(np.hypot(*np.diff(track.xy, axis=0).T).sum())


def joined_paths(paths: Sequence[Footpath], approaches: Sequence[Approach]) -> list[Footpath]:
    """The paths with the approaches that are likely enough, each cut where it runs into a path.

    Where a path leads up to the same place already, the approach adds nothing. Nor is one of a row
    of lines a way that people wore: the ribs of a slope's concrete lattice all end at its fence.

    Args:
        paths: as found.
        approaches: along one fence or several.
    """
    walked = [path for path in paths if path.path_class is PathClass.FOOTPATH]
    result = list(paths)
    likely = [one for one in approaches if one.probability >= LEAST_PROBABILITY]
    beside = [path.centreline for path in paths]
    rows = in_rows([*(one.path.centreline for one in likely), *beside])[: len(likely)]
    likely = [one for one, share in zip(likely, rows, strict=True) if share < LEAST_SHARE]
    for approach in sorted(likely, key=lambda one: (-one.probability, one.chainage_m)):
        way = approach.path
        others = shapely.union_all([path.centreline for path in walked]) if walked else None
        if others is not None:
            free = shapely.difference(way.centreline, shapely.buffer(others, _BESIDE_M))
            parts = [p for p in shapely.get_parts(free) if shapely.length(p) >= _LEAST_M]
            if not parts:
                continue
            kept = max(parts, key=shapely.length)
            way = replace(way, centreline=_tied(kept, others))
        result.append(way)
        walked.append(way)
    return result


_BESIDE_M = 0.7
_LEAST_M = 2.5


def _tied(line: shapely.LineString, others: shapely.Geometry) -> shapely.LineString:
    """The line, an end that was cut beside another led on to it."""
    xy = shapely.get_coordinates(line)
    for end in (0, -1):
        tip = shapely.Point(xy[end])
        if shapely.dwithin(tip, others, _BESIDE_M + 0.05):
            foot = shapely.get_coordinates(shapely.shortest_line(tip, others))[1:]
            xy = np.vstack([foot, xy]) if end == 0 else np.vstack([xy, foot])
    return shapely.LineString(xy)
