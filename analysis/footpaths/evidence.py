"""Evidence tile by tile: the filter and the network fused, integrated along curves, thinned.

A tile's numbers depend only on the picture and the working grid: every tile is read with as much
ground around it as any step looks at. Neighbours share their evidence through a small cache.
"""

from __future__ import annotations

import zlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.footpaths import curves, strips
from analysis.footpaths.channels import LOCAL_WINDOW_M, network_input, odd_px, to_lab
from analysis.footpaths.config import FootpathConfig
from analysis.footpaths.grid import WorkingGrid
from analysis.footpaths.network import HALO_PX, Network

Array = npt.NDArray[Any]

_ALIGN_PX = 32
"""Windows begin at multiples of this, so that pooled pixels are the same in all of them."""
Z_STEPS = 64
"""Steps per unit of z as kept."""
LOGIT_STEPS = 16
_Z_RANGE = (-96, 448)
_RIDGE_REACH = 2
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
        logits: (n, 3) float32.
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
    """

    def __init__(
        self, grid: WorkingGrid, config: FootpathConfig, network: Network | None, kept: int
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
        halo = 0
        if self._strips:
            halo = _aligned(strips.reach_px(self._strips, grid.gsd_m))
        if network is not None:
            halo = max(halo, _aligned(HALO_PX + network_window_px(grid.gsd_m)))
        self._halo_px = halo
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

    def _compute(self, tile_row: int, tile_column: int) -> LocalEvidence:
        size, halo = 2 * self.step_px, self._halo_px
        whole = size + 2 * halo
        rgb, valid = self._grid.read(
            tile_row * size - halo, tile_column * size - halo, whole, whole
        )
        cut = np.s_[..., halo // 2 : (halo + size) // 2, halo // 2 : (halo + size) // 2]
        inner = valid[halo : halo + size, halo : halo + size]
        inner = inner[0::2, 0::2] & inner[1::2, 1::2]
        shape = (self.step_px, self.step_px)
        if not inner.any():
            z = np.full((strips.DIRECTIONS, *shape), _Z_RANGE[0], np.int16)
            return LocalEvidence(z, np.zeros((3, *shape), np.int8), inner)
        lab = to_lab(rgb)
        total = np.zeros((strips.DIRECTIONS, *shape), np.float32)
        logits = np.zeros((3, *shape), np.int8)
        if self._strips:
            found = strips.strip_evidence(lab, valid, self._grid.gsd_m, self._strips)
            total += found.z[cut] * np.float32(self._config.filter_weight / strips.Z_STEPS)
        if self._network is not None:
            planes = network_input(lab, valid, self._grid.gsd_m)
            raw = self._network.run(planes)[cut]
            logits = np.round(np.clip(raw, -7.9, 7.9) * LOGIT_STEPS).astype(np.int8)
            low, high = self._config.logit_range
            weighted = np.clip(logits[0].astype(np.float32) / LOGIT_STEPS, low, high)
            total += weighted * np.float32(self._config.network_weight)
        z = np.clip(np.round(total * Z_STEPS), *_Z_RANGE).astype(np.int16)
        return LocalEvidence(z, logits, inner)

    def ridge_pixels(self, tile_row: int, tile_column: int) -> RidgePixels:
        """The ridge pixels of one tile."""
        gsd_m = 2 * self._grid.gsd_m
        reach = curves.reach_px(gsd_m) + _RIDGE_REACH + 1
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


def network_window_px(gsd_m: float) -> int:
    """Half the window of the network's local normalisation."""
    return odd_px(LOCAL_WINDOW_M, gsd_m) // 2 + 1
