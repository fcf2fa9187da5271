"""Whether something tall or leafy hides the ground between two places."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from analysis.heights import SurfaceModel
from analysis.raster import Orthophoto
from corridor.values import FloatArray

_TALL_M = 1.5
_HALF_WIDTH_M = 0.5
_LOOK_GSD_M = 0.1


def under_cover(ortho: Orthophoto, dsm: SurfaceModel | None) -> Callable[[FloatArray], bool]:
    """A test of the straight way (2, 2), from the end of a path onward, in the picture's CRS.

    With a surface model: at least half of the way is 1.5 m higher than where the path was last
    seen. Without one: the way is greener than the path's end, or darker and as green, as crowns
    and their shadows are.
    """

    def test(way: FloatArray) -> bool:
        low, high = way.min(axis=0) - 1.0, way.max(axis=0) + 1.0
        patch = ortho.read((low[0], low[1], high[0], high[1]), _LOOK_GSD_M)
        height, width = patch.valid.shape
        column, row = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
        x = patch.affine.c + column * patch.affine.a
        y = patch.affine.f + row * patch.affine.e
        step = way[1] - way[0]
        length_m = float(np.hypot(*step))
        if length_m < 1e-6:
            return False
        along = ((x - way[0, 0]) * step[0] + (y - way[0, 1]) * step[1]) / length_m
        beside = np.abs((x - way[0, 0]) * step[1] - (y - way[0, 1]) * step[0]) / length_m
        on_way = patch.valid & (beside <= _HALF_WIDTH_M) & (along > 0.3) & (along < length_m)
        at_end = patch.valid & (beside <= _HALF_WIDTH_M) & (along <= 0.3)
        if not on_way.any() or not at_end.any():
            return False
        if dsm is not None:
            heights = dsm.read(patch.affine, (height, width))
            known = on_way & np.isfinite(heights)
            ends = heights[at_end & np.isfinite(heights)]
            if known.any() and ends.size:
                return bool((heights[known] > np.median(ends) + _TALL_M).mean() >= 0.5)
        rgb = patch.rgb.astype(np.float64) + 1.0
        total = rgb.sum(axis=2)
        green = (2 * rgb[..., 1] - rgb[..., 0] - rgb[..., 2]) / total
        light = total / 3
        greener = float(np.median(green[on_way]) - np.median(green[at_end]))
        darker = float(np.median(light[on_way]) / np.median(light[at_end]))
        return greener > 0.04 or (darker < 0.75 and greener > -0.02)

    return test
