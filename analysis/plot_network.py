"""The trained network for plots, run by onnxruntime over the picture tile by tile.

Tiles lie on a grid of the picture's own, each with its own margin: what a place shows is the same
whichever piece of ground is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import shapely
from affine import Affine

from analysis.footpaths.channels import RGB_STEPS, network_input, to_lab
from analysis.raster import Orthophoto
from analysis.raster_source import Bounds

Array = npt.NDArray[Any]

MODEL = Path(__file__).parent / "models" / "plots.onnx"
GSD_M = 0.10
"""The pixel it was trained about (0.075 to 0.14 m)."""
COARSEST_M = 0.2
"""Beds two metres wide are ten pixels there."""
TILE_PX = 512
HALO_PX = 64
"""Read around a tile; farther things count for little."""


@dataclass(frozen=True)
class Shown:
    """What the network makes of a window.

    Attributes:
        plot, core: (H, W) probability of plots, and of what is well inside one; 0 where not asked.
        affine: pixel corners to x, y.
    """

    plot: npt.NDArray[np.float32]
    core: npt.NDArray[np.float32]
    affine: Affine


def shown_in(ortho: Orthophoto, bounds: Bounds, area: shapely.Geometry) -> Shown:
    """What the network makes of the tiles in a window that reach into an area.

    Args:
        ortho: the picture.
        bounds: the window, in the picture's CRS; it grows to whole pixels.
        area: where it is wanted.
    """
    affine, width, height = ortho.affine_of(bounds, GSD_M)
    pixel_m = affine.a
    left, top = ortho.bounds[0], ortho.bounds[3]
    column0, row0 = round((affine.c - left) / pixel_m), round((top - affine.f) / pixel_m)
    out = np.zeros((2, height, width), np.float32)
    if pixel_m <= COARSEST_M:
        for row, column in _tiles(row0, column0, height, width):
            c, r = column * TILE_PX, row * TILE_PX
            west, north = left + c * pixel_m, top - r * pixel_m
            side_m = TILE_PX * pixel_m
            box = (west, north - side_m, west + side_m, north)
            if not shapely.intersects(area, shapely.box(*box)) or not ortho.overlaps(box):
                continue
            r0, r1 = max(r, row0), min(r + TILE_PX, row0 + height)
            c0, c1 = max(c, column0), min(c + TILE_PX, column0 + width)
            tile = _tile(ortho, box, pixel_m)
            out[:, r0 - row0 : r1 - row0, c0 - column0 : c1 - column0] = tile[
                :, r0 - r : r1 - r, c0 - c : c1 - c
            ]
    return Shown(out[0], out[1], affine)


def _tiles(row0: int, column0: int, height: int, width: int) -> Iterator[tuple[int, int]]:
    for row in range(row0 // TILE_PX, math.ceil((row0 + height) / TILE_PX)):
        for column in range(column0 // TILE_PX, math.ceil((column0 + width) / TILE_PX)):
            yield row, column


def _tile(ortho: Orthophoto, box: Bounds, pixel_m: float) -> Array:
    """(2, TILE_PX, TILE_PX) probabilities; 0 where nothing was imaged."""
    margin_m = HALO_PX * pixel_m
    around = (box[0] - margin_m, box[1] - margin_m, box[2] + margin_m, box[3] + margin_m)
    patch = ortho.read(around, pixel_m)
    inner = np.s_[:, HALO_PX : HALO_PX + TILE_PX, HALO_PX : HALO_PX + TILE_PX]
    if not patch.valid.any():
        return np.zeros((2, TILE_PX, TILE_PX), np.float32)
    lab = to_lab(patch.rgb.astype(np.uint16) * np.uint16(RGB_STEPS))
    planes = network_input(lab, patch.valid, pixel_m)
    (logits,) = _session().run(["logits"], {"planes": planes[np.newaxis]})
    probability = 1.0 / (1.0 + np.exp(-np.clip(logits[0], -30.0, 30.0)))
    return np.where(patch.valid, probability, 0.0).astype(np.float32)[inner]


@cache
def _session() -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.enable_cpu_mem_arena = False
    return onnxruntime.InferenceSession(str(MODEL), options, providers=["CPUExecutionProvider"])
