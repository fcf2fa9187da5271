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
    _streaks(road, palette, seed, drawn)
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


def _streaks(road: Road, palette: Palette, seed: int, drawn: Drawn) -> None:
    """What traffic leaves: oil along the middle of lanes, dust along the rims, sealed cracks."""
    chance = np.random.default_rng([seed, 1])
    line, lanes = road.line, sorted((*road.edge_marks_m, *road.lane_marks_m))
    for a, b in pairwise(lanes):
        drawn.strokes.append(
            Stroke(line, palette.patch, 0.7, shift_m=(a + b) / 2 + float(chance.normal(0.0, 0.1)),
                   alpha=float(chance.uniform(0.03, 0.22)), soft_m=0.5, round_frac=0.9, patchy=0.4,
                   patchy_m=40.0, seed=seed + 7)
        )  # fmt: skip
    for sign in (-1.0, 1.0):
        drawn.strokes.append(
            Stroke(line, palette.gravel, 0.5, shift_m=sign * (road.width_m / 2 - 0.2),
                   alpha=float(chance.uniform(0.1, 0.5)), soft_m=0.5, rough_m=0.06, round_frac=0.7,
                   patchy=0.6, patchy_m=9.0, seed=seed + 8)
        )  # fmt: skip
    for _ in range(int(chance.poisson(line.length_m / 45.0))):
        start_m, length_m = (
            float(chance.uniform(0.0, line.length_m)),
            float(chance.uniform(2.0, 14.0)),
        )
        end_m = min(line.length_m, start_m + length_m)
        if end_m - start_m < 1.5:
            continue
        # Lengthwise along a joint or a lane's rim, or across the lanes.
        across = chance.uniform() < 0.45
        aside = float(chance.uniform(-0.45, 0.45)) * road.width_m
        if across:
            s = np.full(9, start_m + 0.5)
            d = np.linspace(aside, aside + float(chance.choice([-1.0, 1.0])) * 3.75, 9)
            d = np.clip(d, -0.5 * road.width_m, 0.5 * road.width_m)
        else:
            s = np.linspace(start_m, end_m, 9)
            d = np.full(9, aside)
        if np.ptp(d) + np.ptp(s) < 1.0:
            continue
        s, d = s + chance.normal(0.0, 0.08, 9) * across, d + chance.normal(0.0, 0.05, 9)
        xy = line.at(s) + d[:, None] * line.left_at(s)
        drawn.strokes.append(
            Stroke(Line(xy), palette.patch, float(chance.uniform(0.02, 0.06)), rough_m=0.008,
                   alpha=float(chance.uniform(0.3, 0.9)), patchy=0.4, patchy_m=1.5, winding=True,
                   seed=seed + 9)
        )  # fmt: skip


def guard_rail(line: Line, chance: np.random.Generator, drawn: Drawn) -> None:
    """A steel beam on posts, as along every embankment."""
    spacing_m = float(chance.choice([2.0, 4.0]))
    colour = STEEL if chance.uniform() < 0.75 else (0.05, 0.12, 0.07)
    drawn.elements += elements.posts_along(line, spacing_m, 0.12, 0.72, colour)
    drawn.elements += elements.along_line(line, 0.10, 0.45, 0.76, colour)
