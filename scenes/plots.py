"""Vegetable plots that people have laid out on the road's ground."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from scenes.fences import Fence
from scenes.lines import FloatArray, Line
from scenes.materials import Palette
from scenes.roads import Drawn
from scenes.site import Site
from scenes.spec import SceneSpec
from scenes.strokes import Stroke


@dataclass(frozen=True)
class Plot:
    """One plot.

    Attributes:
        line: its middle; width_m: across that.
        fence: index of the fence that it lies within.
    """

    line: Line
    width_m: float
    fence: int

    @property
    def polygon(self) -> shapely.Polygon:
        """Its outline in metres."""
        return shapely.LineString(self.line.xy).buffer(self.width_m / 2, cap_style="flat")


def lay_plots(spec: SceneSpec, site: Site, fences: tuple[Fence, ...]) -> tuple[Plot, ...]:
    """Plots on verges that are wide enough, and several in each loop of a ramp."""
    chance = spec.chance("plots")
    plots: list[Plot] = []
    for index, (fence, verge_m) in enumerate(zip(fences, site.verges_m, strict=True)):
        if verge_m < 4.5 or chance.uniform() > 0.45:
            continue
        for _ in range(1 + int(chance.poisson(fence.line.length_m / 250.0))):
            length_m = float(chance.uniform(5.0, 18.0))
            width_m = float(chance.uniform(1.6, min(5.0, verge_m - 2.2)))
            start_m = float(chance.uniform(3.0, fence.line.length_m - length_m - 3.0))
            offset_m = 1.1 + width_m / 2
            if any(fence.missing(s) for s in (start_m, start_m + length_m)):
                continue
            line = fence.line.offset(-fence.side.outward * offset_m)
            plots.append(Plot(line.between(start_m, start_m + length_m), width_m, index))
    for index, centre, radius_m in site.loops:
        turn = float(chance.uniform(0.0, np.pi))
        along = np.array([np.cos(turn), np.sin(turn)])
        left = np.array([-along[1], along[0]])
        d = -radius_m + 3.0
        while d < radius_m - 5.0:
            width_m = float(chance.uniform(2.0, 6.0))
            half = np.sqrt(max(0.0, (radius_m - 2.0) ** 2 - max(abs(d), abs(d + width_m)) ** 2))
            at = -half + float(chance.uniform(0.0, 6.0))
            while at < half - 5.0:
                length_m = min(half - at, float(chance.uniform(5.0, 16.0)))
                if length_m > 4.0 and chance.uniform() < 0.6:
                    ends = [
                        centre + left * (d + width_m / 2) + along * a for a in (at, at + length_m)
                    ]
                    plots.append(Plot(_dense(np.array(ends)), width_m, index))
                at += length_m + float(chance.uniform(0.4, 2.0))
            d += width_m + float(chance.uniform(0.4, 1.5))
    kept: list[Plot] = []
    for plot in plots:
        if all(site.clear(x, y, 0.6) for x, y in np.array(plot.polygon.exterior.coords)) and all(
            not plot.polygon.intersects(other.polygon) for other in kept
        ):
            kept.append(plot)
    return tuple(kept)


def _dense(xy: FloatArray) -> Line:
    line = Line(xy)
    return Line(line.at(np.linspace(0.0, line.length_m, max(2, round(line.length_m)))))


def draw_plot(
    line: Line, width_m: float, palette: Palette, chance: np.random.Generator, drawn: Drawn
) -> None:
    """Adds tilled earth with rows of vegetables, or bare beds, or rows under plastic film."""
    seed = int(chance.integers(2**30))
    drawn.strokes.append(
        Stroke(line, palette.soil, width_m, rough_m=0.12, soft_m=0.15,
               alpha=float(chance.uniform(0.75, 1.0)), seed=seed)
    )  # fmt: skip
    across = chance.uniform() < 0.5
    rows_m = float(chance.uniform(0.35, 1.2))
    crop = palette.vegetables[int(chance.integers(len(palette.vegetables)))]
    look = chance.uniform()
    inside_m = max(0.6, width_m - 0.5)
    if look < 0.12:
        crop = palette.marking  # film
    if look < 0.9:
        drawn.strokes.append(
            Stroke(line, crop, inside_m, rough_m=0.10, soft_m=0.10, rows_m=rows_m,
                   rows_across=across,
                   alpha=float(chance.uniform(0.55, 1.0)), patchy=float(chance.uniform(0.0, 0.6)),
                   patchy_m=3.0, seed=seed + 1)
        )  # fmt: skip
