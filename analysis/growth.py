"""Whether growth hides a fence: greenness along the line, and height where it is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from analysis.fence_work import FenceResult, Stretch
from analysis.heights import SurfaceModel
from analysis.raster import Orthophoto
from corridor import Track
from corridor.findings import FenceState
from corridor.values import FloatArray

OVERGROWN = "overgrown: growth hides the fence"
UNDER_CROWN = "overgrown: a crown hides the fence"

_GREEN = 0.05
"""Excess green (2 G - R - B) / (R + G + B) of plants; soil and stone lie below (Woebbecke 1995)."""
_TALL_M = 3.0
"""Higher above the ground beside it than a fence and what climbs on it: a tree's crown."""
_STEP_M = 0.2
_ACROSS_M = (-0.4, -0.2, 0.0, 0.2, 0.4)
_BESIDE_M = (-3.0, -2.0, 2.0, 3.0)
_PIXEL_M = 0.1
_CHUNK_M = 60.0


def with_growth(ortho: Orthophoto, fence: FenceResult, dsm: SurfaceModel | None) -> FenceResult:
    """The fence with the reason of each obscured stretch that growth hides."""
    track = Track(fence.xy, fence.chainage_m)
    stretches = tuple(
        replace(each, reason=reason)
        if each.state is FenceState.OBSCURED and (reason := _reason(ortho, track, each, dsm))
        else each
        for each in fence.stretches
    )
    return replace(fence, stretches=stretches)


def _reason(
    ortho: Orthophoto, track: Track, stretch: Stretch, dsm: SurfaceModel | None
) -> str | None:
    greens, heights = [], []
    start_m = stretch.start_m
    while start_m < stretch.end_m:
        end_m = min(start_m + _CHUNK_M, stretch.end_m)
        at_m = np.linspace(start_m, end_m, max(2, round((end_m - start_m) / _STEP_M) + 1))
        centre, along = track.at(at_m), track.direction_at(at_m)
        away = np.column_stack([-along[:, 1], along[:, 0]])
        on = np.concatenate([centre + offset * away for offset in _ACROSS_M])
        greens.append(_greenness(ortho, on))
        if dsm is not None:
            beside = np.stack([dsm.at(centre + offset * away) for offset in _BESIDE_M])
            ground = np.fmin.reduce(beside, axis=0)
            heights.append(dsm.at(centre) - ground)
        start_m = end_m
    green = np.concatenate(greens)
    if not np.isfinite(green).any() or np.nanmedian(green) < _GREEN:
        return None
    height = np.concatenate(heights) if heights else np.array([np.nan])
    tall = bool(np.isfinite(height).any() and np.nanmedian(height) > _TALL_M)
    return UNDER_CROWN if tall else OVERGROWN


def _greenness(ortho: Orthophoto, xy: FloatArray) -> FloatArray:
    """Excess green at points (N, 2), NaN where nothing was imaged."""
    low, high = xy.min(axis=0) - _PIXEL_M, xy.max(axis=0) + _PIXEL_M
    patch = ortho.read((low[0], low[1], high[0], high[1]), _PIXEL_M)
    rows, columns = patch.valid.shape
    column = ((xy[:, 0] - patch.affine.c) / patch.affine.a).astype(int).clip(0, columns - 1)
    row = ((xy[:, 1] - patch.affine.f) / patch.affine.e).astype(int).clip(0, rows - 1)
    red, green, blue = patch.rgb[row, column].astype(np.float64).T
    index = (2 * green - red - blue) / np.maximum(red + green + blue, 1.0)
    return np.where(patch.valid[row, column], index, np.nan)
