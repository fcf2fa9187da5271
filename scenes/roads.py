"""Roads: their surface, markings and guard rails."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from scenes import elements
from scenes.lines import Line
from scenes.materials import Palette
from scenes.strokes import Stroke

STEEL: elements.Colour = (0.42, 0.43, 0.44)


@dataclass(frozen=True)
class Road:
    """One paved surface.

    Attributes:
        line: its middle.
        width_m: of the paving, shoulders with it.
        lane_marks_m: offsets of broken lines; edge_marks_m: of whole lines, left of the middle.
        shoulder_m: of gravel or bare earth beyond the paving.
        rails_m: offsets of guard rails from the middle.
        above_m: how high it is carried over what it crosses; 0 on the ground.
    """

    line: Line
    width_m: float
    lane_marks_m: tuple[float, ...] = ()
    edge_marks_m: tuple[float, ...] = ()
    shoulder_m: float = 0.8
    rails_m: tuple[float, ...] = ()
    above_m: float = 0.0
    concrete: bool = False


@dataclass
class Drawn:
    """What is to be drawn, in order: bands on the ground, upright elements, solid boxes."""

    strokes: list[Stroke] = field(default_factory=list)
    elements: list[list[float]] = field(default_factory=list)
    boxes: list[list[float]] = field(default_factory=list)


def draw_road(road: Road, palette: Palette, chance: np.random.Generator, drawn: Drawn) -> None:
    """Adds a road's bands and rails."""
    line, seed = road.line, int(chance.integers(2**30))
    surface = palette.concrete if road.concrete else palette.asphalt
    drawn.strokes.append(
        Stroke(line, palette.gravel, road.width_m + 2 * road.shoulder_m, soft_m=0.25, rough_m=0.10,
               alpha=0.9, seed=seed)
    )  # fmt: skip
    drawn.strokes.append(Stroke(line, surface, road.width_m, rough_m=0.01, seed=seed))
    # Wheel paths are smoother and a little lighter or darker; patches and sealed cracks are dark.
    lanes = sorted((*road.edge_marks_m, *road.lane_marks_m))
    tracks = palette.concrete if chance.uniform() < 0.6 else palette.patch
    strength = float(chance.uniform(0.03, 0.12))
    for a, b in pairwise(lanes):
        if 2.8 < b - a < 4.5:
            drawn.strokes.append(
                Stroke(line, tracks, 0.8, shift_m=(a + b) / 2, pair_m=1.75, alpha=strength,
                       soft_m=0.5, round_frac=0.8, patchy=0.3, patchy_m=30.0, seed=seed + 3)
            )  # fmt: skip
    for _ in range(int(chance.poisson(line.length_m / 90.0))):
        start_m = float(chance.uniform(0.0, line.length_m - 6.0))
        end_m = min(line.length_m, start_m + float(chance.uniform(3.0, 25.0)))
        drawn.strokes.append(
            Stroke(line.between(start_m, end_m), palette.patch, float(chance.uniform(0.8, 3.6)),
                   shift_m=float(chance.uniform(-0.35, 0.35)) * road.width_m,
                   alpha=float(chance.uniform(0.15, 0.6)), rough_m=0.01)
        )  # fmt: skip
    for offset_m in road.edge_marks_m:
        drawn.strokes.append(
            Stroke(line, palette.marking, 0.15, shift_m=offset_m, alpha=0.9, patchy=0.25,
                   patchy_m=3.0, seed=seed + 1)
        )  # fmt: skip
    for offset_m in road.lane_marks_m:
        drawn.strokes.append(
            Stroke(line, palette.marking, 0.15, shift_m=offset_m, alpha=0.9, dash_m=(6.0, 15.0))
        )
    for offset_m in road.rails_m:
        guard_rail(line.offset(offset_m), chance, drawn)


def guard_rail(line: Line, chance: np.random.Generator, drawn: Drawn) -> None:
    """A steel beam on posts, as along every embankment."""
    spacing_m = float(chance.choice([2.0, 4.0]))
    colour = STEEL if chance.uniform() < 0.75 else (0.05, 0.12, 0.07)
    drawn.elements += elements.posts_along(line, spacing_m, 0.12, 0.72, colour)
    drawn.elements += elements.along_line(line, 0.10, 0.45, 0.76, colour)
