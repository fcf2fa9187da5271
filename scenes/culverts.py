"""Streams led under the road: the fence steps over the head wall of each."""

from __future__ import annotations

import numpy as np

from corridor import Side
from scenes import elements
from scenes.fences import Fence
from scenes.lines import FloatArray, Line
from scenes.materials import Palette
from scenes.noise import smooth_1d
from scenes.roads import Drawn
from scenes.site import Site
from scenes.strokes import Stroke

Step = tuple[float, float, float]


def lay_steps(site: Site, side: Side, posts_m: FloatArray) -> tuple[Step, ...]:
    """Where a fence steps up: from post to post, [start, end) in metres along it, and how high."""
    line, steps = site.fence_lines[side], []
    for at_m, width_m, high_m in site.culverts:
        foot = site.centreline.at(at_m) + side.outward * (
            site.half_width_m * site.centreline.left_at(at_m)
        )
        station_m = float(line.locate(foot)[0][0])
        first = int(np.searchsorted(posts_m, station_m - width_m / 2)) - 1
        last = int(np.searchsorted(posts_m, station_m + width_m / 2))
        if first >= 1 and last < len(posts_m) - 1:
            steps.append((float(posts_m[first]), float(posts_m[last]), high_m))
    return tuple(steps)


def draw_culverts(
    fence: Fence, band_m: float, palette: Palette, chance: np.random.Generator, drawn: Drawn
) -> None:
    """The head wall that the fence stands on, and the ditch that runs from it."""
    out = fence.side.outward
    for start_m, end_m, high_m in fence.steps:
        wall = fence.line.between(start_m, end_m)
        drawn.elements += elements.along_line(
            wall, 0.4, 0.0, high_m, palette.concrete.base, 4.0, lit=0.95
        )
        middle_m, seed = (start_m + end_m) / 2, int(chance.integers(2**30))
        foot, left = fence.line.at(middle_m)[0], fence.line.left_at(middle_m)[0]
        along = fence.line.direction_at(middle_m)[0]
        away = np.arange(-2.5, band_m + 6.0, 0.8)
        # Led straight at first, winding where nobody keeps it.
        sway = np.array([1.5 * smooth_1d(a / 9.0, seed) * min(1.0, max(0.0, a / 8)) for a in away])
        ditch = Line(foot + out * away[:, None] * left + sway[:, None] * along)
        width_m = min(end_m - start_m - 0.6, float(chance.uniform(1.2, 2.2)))
        drawn.strokes.append(
            Stroke(ditch, palette.lush, width_m + 1.2, soft_m=0.4, rough_m=0.2, alpha=0.7,
                   winding=True, seed=seed)
        )  # fmt: skip
        lined = ditch.between(0.0, min(ditch.length_m - 1.0, float(chance.uniform(4.0, 9.0))))
        drawn.strokes.append(
            Stroke(ditch, palette.gravel, 0.8 * width_m, soft_m=0.2, rough_m=0.12, alpha=0.8,
                   winding=True, seed=seed + 1)
        )  # fmt: skip
        drawn.strokes.append(Stroke(lined, palette.concrete, width_m, rough_m=0.008))
        drawn.strokes.append(
            Stroke(ditch, palette.water, 0.45 * width_m, soft_m=0.05, rough_m=0.05, alpha=0.85,
                   winding=True, seed=seed + 2)
        )  # fmt: skip
