"""Evidence window by window: the filter and the network fused, integrated along curves, thinned.

A place's numbers depend only on the picture and the working grid: every window is read with as much
ground around it as any step looks at. Windows know nothing of each other, so that processes can
share them out, and one is all that is ever in memory.
"""

from __future__ import annotations

import math
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import shapely

from analysis.footpaths import curves, strips
from analysis.footpaths.channels import LOCAL_WINDOW_M, RGB_STEPS, network_input, odd_px, to_lab
from analysis.footpaths.config import FootpathConfig
from analysis.footpaths.grid import WorkingGrid
from analysis.footpaths.network import CLASSES, HALO_PX, Network

Array = npt.NDArray[Any]

_ALIGN_PX = 32
"""Windows begin at multiples of this, so that pooled pixels are the same in all of them."""
Z_STEPS = 64
"""Steps per unit of z as kept."""
LOGIT_STEPS = 16
_Z_RANGE = (-96, 448)
_UNSEEN_Z = -32
"""Where there is no picture: about the mean of ground without a path."""
_UNSEEN_LOGIT = -127
_GROUND_LOGIT = -2.0
"""What the network says of ground without a path, about."""
_RIDGE_REACH = 2
CLIPPED_LEVEL = 253
"""From which all three colours say that the sensor, or a hole of the mosaic, was white: nothing is
known there."""
_UNPACKED = 8
_BESIDE_M = 1.8
"""How far from a line its sides are looked at: beyond the half of what is 2.6 m wide."""
_BESIDE_PX = 5
_KEPT_STEPS = 2
"""What is kept of the scores for bridging, in steps of z."""


def _aligned(length_px: int) -> int:
    return -(-length_px // _ALIGN_PX) * _ALIGN_PX


@dataclass(frozen=True)
class Window:
    """A part of the working grid, in its pixels; all four are multiples of 2.

    Windows of one area share no pixel.
    """

    row: int
    column: int
    rows: int
    columns: int


@dataclass(frozen=True)
class RidgePixels:
    """Places that may be on a path, rows and columns on pixels of twice the working grid's.

    Attributes:
        rows, columns: (n,) int32.
        score: (n,) float32, mean z along the best curve through the place.
        z: (n,) float32, z there in the curve's direction.
        logits: (n, 3) float32; of the footpaths, the highest within a pixel.
        beside: (n,) float32, the logit of sealed ground beside the place, on the side where it is
            less: a line of paint has paving on both.
        flank: (n,) float32, the logit of footpath beside the place, on the side where it is more:
            bare patches are wide.
    """

    rows: Array
    columns: Array
    score: Array
    z: Array
    logits: Array
    beside: Array
    flank: Array


@dataclass(frozen=True)
class PackedScores:
    """The scores of a window for bridging, a byte a place, compressed.

    Attributes:
        row, column, rows, columns: on pixels of twice the working grid's.
        data: (n,) uint8.
    """

    row: int
    column: int
    rows: int
    columns: int
    data: Array

    def unpacked(self) -> Array:
        """(rows, columns) uint8."""
        raw = np.frombuffer(zlib.decompress(self.data.tobytes()), np.uint8)
        return raw.reshape(self.rows, self.columns)


@dataclass(frozen=True)
class WindowRidges:
    """What one window holds: its ridge pixels within the area, and its scores."""

    pixels: RidgePixels
    scores: PackedScores


class Scores:
    """The scores of all windows, for bridging; 0 outside the area.

    Args:
        packed: of each window.
        area: in the picture's CRS.
        grid: the working grid.
    """

    def __init__(
        self, packed: Sequence[PackedScores], area: shapely.Geometry, grid: WorkingGrid
    ) -> None:
        self._packed = list(packed)
        self._area, self._grid = area, grid
        self._starts = np.array([(p.row, p.column) for p in packed]).reshape(-1, 2)
        self._ends = self._starts + np.array([(p.rows, p.columns) for p in packed]).reshape(-1, 2)
        self._unpacked: OrderedDict[int, Array] = OrderedDict()
        shapely.prepare(area)

    def __call__(self, row: int, column: int, rows: int, columns: int) -> Array:
        """(rows, columns) float32 scores of a window, on pixels of twice the working grid's."""
        out = np.zeros((rows, columns), np.float32)
        start, end = np.array([row, column]), np.array([row + rows, column + columns])
        meets = (self._starts < end) & (self._ends > start)
        for number in np.flatnonzero(meets.all(axis=1)):
            own = self._packed[number]
            r0, c0 = np.maximum(start, self._starts[number])
            r1, c1 = np.minimum(end, self._ends[number])
            out[r0 - row : r1 - row, c0 - column : c1 - column] = self._tile(int(number))[
                r0 - own.row : r1 - own.row, c0 - own.column : c1 - own.column
            ]
        # What lies outside depends on how the area was cut into windows.
        at = np.mgrid[row : row + rows, column : column + columns].reshape(2, -1)
        xy = self._grid.xy(2.0 * at[0] + 1, 2.0 * at[1] + 1)
        out *= shapely.contains_xy(self._area, xy[:, 0], xy[:, 1]).reshape(rows, columns)
        return out * np.float32(_KEPT_STEPS / Z_STEPS)

    def _tile(self, number: int) -> Array:
        if number not in self._unpacked:
            self._unpacked[number] = self._packed[number].unpacked()
            while len(self._unpacked) > _UNPACKED:
                self._unpacked.popitem(last=False)
        return self._unpacked[number]


class Evidence:
    """Evidence and ridges of windows of the working grid.

    Args:
        grid: the working grid.
        config: what to look for.
        network: the trained network, or None for the filter alone.
    """

    def __init__(self, grid: WorkingGrid, config: FootpathConfig, network: Network | None) -> None:
        self._grid = grid
        self._config = config
        self._network = network
        self._strips = (
            strips.strips_for(grid.gsd_m, grid.ortho.gsd_m, config.widths_m)
            if config.filter_weight > 0
            else []
        )
        self._strips_halo_px = self._network_halo_px = 0
        if self._strips:
            self._strips_halo_px = _aligned(strips.reach_px(self._strips, grid.gsd_m))
        if network is not None:
            self._network_halo_px = _aligned(HALO_PX + network_window_px(grid.gsd_m))

    @property
    def reach_px(self) -> int:
        """How far around a window is read, in working pixels."""
        halo_px = max(self._strips_halo_px, self._network_halo_px)
        return halo_px + 2 * _around_px(self._grid.gsd_m) + _ALIGN_PX // 2

    def windows(self, area: shapely.Geometry) -> Iterator[Window]:
        """The area in windows, whose ground with `reach_px` around it fits into memory."""
        grid = self._grid
        if shapely.is_empty(area):
            return
        west, south, east, north = shapely.bounds(area)
        top, left = grid.pixel_of(west, north)
        bottom, right = grid.pixel_of(east, south)
        row, column = 2 * math.floor(top / 2), 2 * math.floor(left / 2)
        rows, columns = 2 * math.ceil((bottom - row) / 2), 2 * math.ceil((right - column) / 2)
        shapely.prepare(area)
        yield from self._cut(area, Window(row, column, rows, columns))

    def _cut(self, area: shapely.Geometry, window: Window) -> Iterator[Window]:
        """The window around what it holds of the area, or parts of it."""
        grid = self._grid
        corners = grid.xy(
            np.array([window.row + window.rows, window.row]),
            np.array([window.column, window.column + window.columns]),
        )
        own = shapely.intersection(area, shapely.box(*corners[0], *corners[1]))
        if own.is_empty:
            return
        west, south, east, north = shapely.bounds(own)
        top, left = grid.pixel_of(west, north)
        bottom, right = grid.pixel_of(east, south)
        row = max(window.row, 2 * math.floor(top / 2))
        column = max(window.column, 2 * math.floor(left / 2))
        rows = min(window.row + window.rows, 2 * math.ceil(bottom / 2)) - row
        columns = min(window.column + window.columns, 2 * math.ceil(right / 2)) - column
        if rows <= 0 or columns <= 0:
            return
        around = 2 * self.reach_px
        most_px = (2 * self._config.tile_px + around) ** 2
        if (rows + around) * (columns + around) <= most_px:
            yield Window(row, column, rows, columns)
            return
        # A band is cut across; what is as wide as long, or bends, in halves.
        length, width = max(rows, columns), min(rows, columns)
        longest = most_px // (width + around) - around
        count = math.ceil(length / longest) if longest > 0 else 2
        edges = [2 * round(length * n / count / 2) for n in range(min(count, length // 2) + 1)]
        edges[-1] = length
        for first, last in pairwise(edges):
            if rows >= columns:
                yield from self._cut(area, Window(row + first, column, last - first, columns))
            else:
                yield from self._cut(area, Window(row, column + first, rows, last - first))

    def ridges(self, window: Window, area: shapely.Geometry) -> WindowRidges:
        """The ridge pixels of a window that lie in the area, row by row, and its scores."""
        reach = _around_px(self._grid.gsd_m)
        row, column = window.row // 2, window.column // 2
        rows, columns = window.rows // 2, window.columns // 2
        top, left = row - reach, column - reach
        z, logits, valid = self._around(top, left, rows + 2 * reach, columns + 2 * reach)
        ground = float(curves.GROUND_Z)
        if self._network is not None:
            ground += self._config.network_weight * _GROUND_LOGIT * Z_STEPS
        score, direction = curves.integrate(z, 2 * self._grid.gsd_m, round(ground))
        count = curves.COUNT
        least = int(np.ceil(self._config.score_low * Z_STEPS * count))
        crest = curves.ridge(score, direction, least, _RIDGE_REACH)
        crest &= valid
        inner = np.s_[reach : reach + rows, reach : reach + columns]
        r, c = np.nonzero(crest[inner])
        xy = self._grid.xy(2.0 * (r + row) + 1, 2.0 * (c + column) + 1)
        inside = shapely.contains_xy(area, xy[:, 0], xy[:, 1])
        r, c = r[inside] + reach, c[inside] + reach
        turn = direction[r, c] * (math.pi / strips.DIRECTIONS)
        gsd_m = 2 * self._grid.gsd_m
        beside = _beside(logits[2], r, c, turn, gsd_m).min(axis=0) / LOGIT_STEPS
        flank = _beside(logits[0], r, c, turn, gsd_m).max(axis=0) / LOGIT_STEPS
        # A ridge may lie a pixel beside the middle of what the network saw.
        logits[0] = cv2.dilate(logits[0].astype(np.int16), np.ones((3, 3), np.uint8))
        kept = np.clip(score[inner] / (_KEPT_STEPS * count), 0, 255).astype(np.uint8)
        packed = np.frombuffer(zlib.compress(kept.tobytes(), 1), np.uint8)
        return WindowRidges(
            RidgePixels(
                (r + top).astype(np.int32),
                (c + left).astype(np.int32),
                score[r, c].astype(np.float32) / (Z_STEPS * count),
                z[direction[r, c], r, c].astype(np.float32) / Z_STEPS,
                logits[:, r, c].T.astype(np.float32) / LOGIT_STEPS,
                beside.astype(np.float32),
                flank.astype(np.float32),
            ),
            PackedScores(row, column, rows, columns, packed),
        )

    def _around(self, row: int, column: int, rows: int, columns: int) -> tuple[Array, Array, Array]:
        """What is seen at each place of a window before integration; see `_aligned_window`.

        Rows and columns are of pixels of twice the working grid's; the window may begin anywhere
        and reach beyond the picture.
        """
        half = _ALIGN_PX // 2
        z = np.full((strips.DIRECTIONS, rows, columns), _UNSEEN_Z, np.int16)
        logits = np.full((3, rows, columns), _UNSEEN_LOGIT, np.int8)
        valid = np.zeros((rows, columns), bool)
        south, east = self._grid.pixel_of(self._grid.ortho.bounds[2], self._grid.ortho.bounds[1])
        ends = min(row + rows, math.ceil(south / 2)), min(column + columns, math.ceil(east / 2))
        first_row, first_column = max(row, 0) // half * half, max(column, 0) // half * half
        down = -(-(ends[0] - first_row) // half) * half
        across = -(-(ends[1] - first_column) // half) * half
        if down <= 0 or across <= 0:
            return z, logits, valid
        found = self._aligned_window(2 * first_row, 2 * first_column, 2 * down, 2 * across)
        top, left = max(row, first_row), max(column, first_column)
        bottom = min(row + rows, first_row + down)
        right = min(column + columns, first_column + across)
        planes: tuple[Array, ...] = (z, logits, valid)
        for into, own in zip(planes, found, strict=True):
            into[..., top - row : bottom - row, left - column : right - column] = own[
                ...,
                top - first_row : bottom - first_row,
                left - first_column : right - first_column,
            ]
        return z, logits, valid

    def _aligned_window(
        self, row: int, column: int, rows: int, columns: int
    ) -> tuple[Array, Array, Array]:
        """What is seen at each place of an aligned window, in working pixels, before integration.

        Returns:
            On pixels of twice the working grid's: (16, n, m) int16 z in steps of 1/64, filter and
            network together; (3, n, m) int8 logits in steps of 1/16, footpath, vehicle track,
            sealed, 0 without network; (n, m) bool, where there is a picture.
        """
        halo = max(self._strips_halo_px, self._network_halo_px)
        rgb, seen = self._grid.read(row - halo, column - halo, rows + 2 * halo, columns + 2 * halo)
        inner = np.s_[halo : halo + rows, halo : halo + columns]
        valid = seen[inner] & (rgb[inner].min(axis=2) < CLIPPED_LEVEL * RGB_STEPS)
        valid = valid[0::2, 0::2] & valid[1::2, 1::2]
        shape = (rows // 2, columns // 2)
        unseen = ~(seen[inner][0::2, 0::2] & seen[inner][1::2, 1::2])
        if unseen.all():
            z = np.full((strips.DIRECTIONS, *shape), _UNSEEN_Z, np.int16)
            return z, np.full((3, *shape), _UNSEEN_LOGIT, np.int8), valid
        lab = to_lab(rgb)
        total = np.zeros((strips.DIRECTIONS, *shape), np.float32)
        logits = np.zeros((3, *shape), np.int8)

        def around(reach: int) -> Any:
            return np.s_[
                ..., halo - reach : halo + rows + reach, halo - reach : halo + columns + reach
            ]

        def middle(reach: int) -> Any:
            return np.s_[..., reach // 2 : (reach + rows) // 2, reach // 2 : (reach + columns) // 2]

        if self._strips:
            reach = self._strips_halo_px
            found = strips.strip_evidence(
                np.ascontiguousarray(lab[around(reach)]),
                np.ascontiguousarray(seen[around(reach)]),
                self._grid.gsd_m,
                self._strips,
                reach,
            )
            weight = np.float32(self._config.filter_weight / strips.Z_STEPS)
            total += found.z[middle(reach)] * weight
        if self._network is not None:
            reach = self._network_halo_px
            planes = network_input(lab[around(reach)], seen[around(reach)], self._grid.gsd_m)
            raw = self._network.run(planes)[: len(CLASSES)][middle(reach)]
            logits = np.round(np.clip(raw, -7.9, 7.9) * LOGIT_STEPS).astype(np.int8)
            low, high = self._config.logit_range
            weighted = np.clip(logits[0].astype(np.float32) / LOGIT_STEPS, low, high)
            total += weighted * np.float32(self._config.network_weight)
        z = np.clip(np.round(total * Z_STEPS), *_Z_RANGE).astype(np.int16)
        # Whatever was made of what lies outside the picture depends on the window.
        z[:, unseen], logits[:, unseen] = _UNSEEN_Z, _UNSEEN_LOGIT
        return z, logits, valid


def _beside(plane: Array, rows: Array, columns: Array, turn: Array, gsd_m: float) -> Array:
    """What a plane holds left and right of places, by means over a metre.

    Args:
        plane: (n, m) int8.
        rows, columns: (k,) of places at least 2.5 m from the plane's edges.
        turn: (k,) the curve's direction there, radians from east, down.
        gsd_m: metres per pixel.

    Returns:
        (2, k) float64.
    """
    total = cv2.boxFilter(plane.astype(np.float32), -1, (_BESIDE_PX, _BESIDE_PX), normalize=False)
    down = np.round(np.cos(turn) * (_BESIDE_M / gsd_m)).astype(np.int64)
    across = np.round(-np.sin(turn) * (_BESIDE_M / gsd_m)).astype(np.int64)
    sides = [total[rows + s * down, columns + s * across] for s in (1, -1)]
    return np.array(sides, np.float64) / _BESIDE_PX**2


def _around_px(gsd_m: float) -> int:
    """How far around a place integration and thinning look, in pixels of twice the grid's."""
    return curves.reach_px(2 * gsd_m) + _RIDGE_REACH + 1


def network_window_px(gsd_m: float) -> int:
    """Half the window of the network's local normalisation."""
    return odd_px(LOCAL_WINDOW_M, gsd_m) // 2 + 1
