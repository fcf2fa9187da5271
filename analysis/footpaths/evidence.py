"""Evidence tile by tile: the filter and the network fused, integrated along curves, thinned.

A tile's numbers depend only on the picture and the working grid: every tile is read with as much
ground around it as any step looks at, and computed where the area asked for is near. Neighbours
share their evidence through a small cache.
"""

from __future__ import annotations

import math
import zlib
from collections import OrderedDict
from dataclasses import dataclass
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
_RIDGE_REACH = 2
CLIPPED_LEVEL = 253
"""From which all three colours say that the sensor, or a hole of the mosaic, was white: nothing is
known there."""
_KEPT_STEPS = 2
"""What is kept of the scores for bridging, in steps of z."""


def _aligned(length_px: int) -> int:
    return -(-length_px // _ALIGN_PX) * _ALIGN_PX


@dataclass(frozen=True)
class LocalEvidence:
    """What is seen at each place, before any integration, on pixels of twice the working grid's.

    Attributes:
        z: (16, n, n) int16, steps of 1/64, filter and network together.
        logits: (3, n, n) int8, steps of 1/16: footpath, vehicle track, sealed; 0 without network.
        valid: (n, n) bool.
    """

    z: Array
    logits: Array
    valid: Array


@dataclass(frozen=True)
class RidgePixels:
    """Places that may be on a path, rows and columns on pixels of twice the working grid's.

    Attributes:
        rows, columns: (n,) int32.
        score: (n,) float32, mean z along the best curve through the place.
        z: (n,) float32, z there in the curve's direction.
        logits: (n, 3) float32; of the footpaths, the highest within a pixel.
    """

    rows: Array
    columns: Array
    score: Array
    z: Array
    logits: Array


class EvidenceTiles:
    """Local evidence of square tiles, computed when asked for.

    Args:
        grid: the working grid.
        config: what to look for.
        network: the trained network, or None for the filter alone.
        kept: tiles held at once.
        area: where ridge pixels will be asked for, in the picture's CRS; evidence further away than
            the integration reaches is not computed.
    """

    def __init__(
        self,
        grid: WorkingGrid,
        config: FootpathConfig,
        network: Network | None,
        kept: int,
        area: shapely.Geometry,
    ) -> None:
        self._grid = grid
        self._config = config
        self._network = network
        self._strips = (
            strips.strips_for(grid.gsd_m, grid.ortho.gsd_m, config.widths_m)
            if config.filter_weight > 0
            else []
        )
        self._kept = kept
        self._tiles: OrderedDict[tuple[int, int], LocalEvidence] = OrderedDict()
        self._strips_halo_px = self._network_halo_px = 0
        if self._strips:
            self._strips_halo_px = _aligned(strips.reach_px(self._strips, grid.gsd_m))
        if network is not None:
            self._network_halo_px = _aligned(HALO_PX + network_window_px(grid.gsd_m))
        reach_m = 2 * grid.gsd_m * (_around_px(grid.gsd_m) + 2)
        self._near = shapely.buffer(area, reach_m, join_style="mitre")
        self._scores: dict[tuple[int, int], bytes] = {}
        self.step_px = config.tile_px
        self.has_network = network is not None

    def tile(self, tile_row: int, tile_column: int) -> LocalEvidence:
        """The evidence of one tile of `step_px` squared."""
        key = (tile_row, tile_column)
        if key in self._tiles:
            self._tiles.move_to_end(key)
            return self._tiles[key]
        made = self._compute(tile_row, tile_column)
        self._tiles[key] = made
        if len(self._tiles) > self._kept:
            self._tiles.popitem(last=False)
        return made

    def _needed(self, tile_row: int, tile_column: int) -> tuple[int, int, int, int] | None:
        """Top, left, bottom and right of what is needed of a tile, in its working pixels."""
        size, grid = 2 * self.step_px, self._grid
        top, left = tile_row * size, tile_column * size
        corners = grid.xy(np.array([top + size, top]), np.array([left, left + size]))
        box = shapely.box(*corners[0], *corners[1])
        near = shapely.intersection(self._near, box)
        if near.is_empty:
            return None
        west, south, east, north = shapely.bounds(near)
        first_row, first_column = grid.pixel_of(west, north)
        last_row, last_column = grid.pixel_of(east, south)
        return (
            max(0, math.floor(first_row - top) // _ALIGN_PX * _ALIGN_PX),
            max(0, math.floor(first_column - left) // _ALIGN_PX * _ALIGN_PX),
            min(size, _aligned(math.ceil(last_row - top))),
            min(size, _aligned(math.ceil(last_column - left))),
        )

    def _compute(self, tile_row: int, tile_column: int) -> LocalEvidence:
        shape = (self.step_px, self.step_px)
        z = np.full((strips.DIRECTIONS, *shape), _Z_RANGE[0], np.int16)
        logits, valid = np.zeros((3, *shape), np.int8), np.zeros(shape, bool)
        needed = self._needed(tile_row, tile_column)
        if needed is not None:
            size = 2 * self.step_px
            top, left, bottom, right = needed
            found = self._window(
                tile_row * size + top, tile_column * size + left, bottom - top, right - left
            )
            if found is not None:
                cut = np.s_[..., top // 2 : bottom // 2, left // 2 : right // 2]
                z[cut], logits[cut], valid[cut] = found
        return LocalEvidence(z, logits, valid)

    def _window(
        self, row: int, column: int, rows: int, columns: int
    ) -> tuple[Array, Array, Array] | None:
        """Evidence of a window of the working grid, aligned to `_ALIGN_PX`; None without data."""
        halo = max(self._strips_halo_px, self._network_halo_px)
        rgb, seen = self._grid.read(row - halo, column - halo, rows + 2 * halo, columns + 2 * halo)
        inner = np.s_[halo : halo + rows, halo : halo + columns]
        valid = seen[inner] & (rgb[inner].min(axis=2) < CLIPPED_LEVEL * RGB_STEPS)
        valid = valid[0::2, 0::2] & valid[1::2, 1::2]
        if not valid.any():
            return None
        lab = to_lab(rgb)
        total = np.zeros((strips.DIRECTIONS, rows // 2, columns // 2), np.float32)
        logits = np.zeros((3, rows // 2, columns // 2), np.int8)

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
        return z, logits, valid

    def ridge_pixels(self, tile_row: int, tile_column: int) -> RidgePixels:
        """The ridge pixels of one tile."""
        gsd_m = 2 * self._grid.gsd_m
        reach = _around_px(self._grid.gsd_m)
        z, logits, valid = self._around(tile_row, tile_column, reach)
        score, direction = curves.integrate(z, gsd_m)
        count = 2 * curves.STEPS + 1
        least = int(np.ceil(self._config.score_low * Z_STEPS * count))
        crest = curves.ridge(score, direction, least, _RIDGE_REACH)
        crest[:reach], crest[-reach:] = False, False
        crest[:, :reach], crest[:, -reach:] = False, False
        crest &= valid
        kept = np.clip(score[reach:-reach, reach:-reach] / (_KEPT_STEPS * count), 0, 255)
        self._scores[tile_row, tile_column] = zlib.compress(kept.astype(np.uint8).tobytes(), 1)
        # A ridge may lie a pixel beside the middle of what the network saw.
        logits[0] = cv2.dilate(logits[0].astype(np.int16), np.ones((3, 3), np.uint8))
        rows, columns = np.nonzero(crest)
        places = (rows, columns)
        size = self.step_px
        return RidgePixels(
            (rows - reach + tile_row * size).astype(np.int32),
            (columns - reach + tile_column * size).astype(np.int32),
            score[places].astype(np.float32) / (Z_STEPS * count),
            z[direction[places], rows, columns].astype(np.float32) / Z_STEPS,
            logits[:, rows, columns].T.astype(np.float32) / LOGIT_STEPS,
        )

    def scores(self, row: int, column: int, rows: int, columns: int) -> Array:
        """(rows, columns) float32 scores of a window, 0 in tiles that were not looked at."""
        size = self.step_px
        out = np.zeros((rows, columns), np.float32)
        for tile_row in range(row // size, (row + rows - 1) // size + 1):
            for tile_column in range(column // size, (column + columns - 1) // size + 1):
                packed = self._scores.get((tile_row, tile_column))
                if packed is None:
                    continue
                tile = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(size, size)
                top, left = tile_row * size, tile_column * size
                r0, r1 = max(row, top), min(row + rows, top + size)
                c0, c1 = max(column, left), min(column + columns, left + size)
                out[r0 - row : r1 - row, c0 - column : c1 - column] = tile[
                    r0 - top : r1 - top, c0 - left : c1 - left
                ]
        return out * np.float32(_KEPT_STEPS / Z_STEPS)

    def _around(self, tile_row: int, tile_column: int, reach: int) -> tuple[Array, Array, Array]:
        """Evidence of a tile and `reach` pixels around it."""
        size = self.step_px
        if reach > size:
            raise ValueError(
                f"a tile of {size} px is smaller than the {reach} px looked at around it"
            )
        parts = [
            [self.tile(tile_row + dr, tile_column + dc) for dc in (-1, 0, 1)] for dr in (-1, 0, 1)
        ]
        cut = np.s_[..., size - reach : 2 * size + reach, size - reach : 2 * size + reach]

        def joined(name: str) -> Array:
            return np.concatenate(
                [np.concatenate([getattr(p, name) for p in row], axis=-1) for row in parts], axis=-2
            )[cut]

        return joined("z"), joined("logits"), joined("valid")


def _around_px(gsd_m: float) -> int:
    """How far around a place integration and thinning look, in pixels of twice the grid's."""
    return curves.reach_px(2 * gsd_m) + _RIDGE_REACH + 1


def network_window_px(gsd_m: float) -> int:
    """Half the window of the network's local normalisation."""
    return odd_px(LOCAL_WINDOW_M, gsd_m) // 2 + 1
