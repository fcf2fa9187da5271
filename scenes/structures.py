"""Bridge decks, tunnel portals, viaducts, slope protection, and the traffic on the road."""

from __future__ import annotations

import numpy as np

from scenes import boxes, elements
from scenes.lines import Line
from scenes.materials import Palette
from scenes.roads import Drawn
from scenes.site import Site
from scenes.strokes import Stroke
from scenes.terrain import VIADUCT_M

_PAINTS: tuple[tuple[float, float, float], ...] = (
    (0.70, 0.70, 0.70), (0.03, 0.03, 0.035), (0.35, 0.36, 0.37), (0.30, 0.04, 0.03),
    (0.05, 0.09, 0.22), (0.62, 0.62, 0.60), (0.14, 0.14, 0.15),
)  # fmt: skip


def draw_structures(
    site: Site, palette: Palette, chance: np.random.Generator, drawn: Drawn
) -> None:
    """Adds what belongs to a site's roads."""
    if site.deck is not None:
        (x, y), along, length_m, width_m, height_m = site.deck
        drawn.boxes.append(
            boxes.box(x, y, length_m, width_m, along, height_m, height_m, (0.0, 0.0, 0.0), -1.0)
        )
    if site.tunnel_m is not None:
        _portal(site, site.tunnel_m, palette, drawn)
    if site.viaduct_m is not None:
        _viaduct(site, site.viaduct_m, palette, drawn)
    if max(site.lift_m) > 5.0:
        _slope_protection(site, palette, chance, drawn)
    _traffic(site, chance, drawn)


def _portal(site: Site, at_m: float, palette: Palette, drawn: Drawn) -> None:
    foot, left = site.centreline.at(at_m)[0], site.centreline.left_at(at_m)[0]
    wall = Line(np.linspace(foot - 14.5 * left, foot + 14.5 * left, 30))
    drawn.strokes.append(Stroke(wall, palette.concrete, 1.6, rough_m=0.01))
    drawn.elements += elements.along_line(wall, 1.2, 0.0, 1.0, palette.concrete.base, 4.0, lit=0.95)


def _viaduct(site: Site, end_m: float, palette: Palette, drawn: Drawn) -> None:
    line = site.centreline
    at_m = 0.0
    while at_m < end_m:
        step_m = min(7.0, end_m - at_m)
        middle = at_m + step_m / 2
        # The valley's side rises to the road's level over the last 14 m.
        climb = min(1.0, max(0.0, (middle - end_m + 14.0) / 14.0))
        height_m = VIADUCT_M * (1.0 - climb * climb * (3.0 - 2.0 * climb))
        x, y = line.at(middle)[0]
        along = line.direction_at(middle)[0]
        if height_m > 0.8:
            drawn.boxes.append(
                boxes.box(
                    x, y, step_m + 0.3, 26.4, along, height_m, height_m, (0.0, 0.0, 0.0), -1.0
                )
            )
        at_m += step_m
    deck = line.between(0.0, end_m)
    drawn.strokes.append(Stroke(deck, palette.concrete, 1.7, rough_m=0.005))
    for offset_m in (-13.0, 13.0):
        drawn.strokes.append(Stroke(deck.offset(offset_m), palette.concrete, 0.4, rough_m=0.005))


def _slope_protection(
    site: Site, palette: Palette, chance: np.random.Generator, drawn: Drawn
) -> None:
    """Concrete frames on a cut slope, benches with drains, and chutes down to the road."""
    start_m = site.viaduct_m or 0.0
    end_m = site.tunnel_m or site.centreline.length_m
    line = site.centreline.between(start_m + 4.0, end_m - 3.0)
    for sign, lift_m in ((1, site.lift_m[0]), (-1, site.lift_m[1])):
        if lift_m < 4.0:
            continue
        low_m, high_m = 15.5, 14.5 + site.batter_m - 1.5
        spacing_m = float(chance.uniform(2.5, 4.0))
        width_m = float(chance.uniform(0.25, 0.45))
        for offset_m in np.arange(low_m, high_m, spacing_m):
            drawn.strokes.append(
                Stroke(line.offset(sign * offset_m), palette.concrete, width_m, rough_m=0.008,
                       patchy=0.25, seed=int(chance.integers(2**30)))
            )  # fmt: skip
        # The frames' ribs: short bars across, drawn as one band of rows.
        drawn.strokes.append(
            Stroke(line.offset(sign * (low_m + high_m) / 2), palette.concrete, high_m - low_m,
                   dash_m=(width_m, spacing_m), rough_m=0.005)
        )  # fmt: skip
        for at_m in np.arange(float(chance.uniform(5.0, 30.0)), line.length_m, 45.0):
            foot, left = line.at(at_m)[0], line.left_at(at_m)[0] * sign
            chute = Line(np.linspace(foot + 14.6 * left, foot + (high_m + 4.0) * left, 40))
            drawn.strokes.append(Stroke(chute, palette.concrete, 0.9, rough_m=0.006))
            drawn.strokes.append(
                Stroke(chute, palette.dark_concrete, 0.4, soft_m=0.05, rough_m=0.02, alpha=0.8)
            )


def _traffic(site: Site, chance: np.random.Generator, drawn: Drawn) -> None:
    for road in site.roads:
        lanes = [*road.edge_marks_m, *road.lane_marks_m]
        if len(lanes) < 2:
            continue
        middles = np.array(sorted(lanes))[:-1] + np.diff(sorted(lanes)) / 2
        for _ in range(int(chance.poisson(road.line.length_m / 110.0))):
            at_m = float(chance.uniform(8.0, road.line.length_m - 8.0))
            offset_m = float(middles[int(chance.integers(len(middles)))]) + float(
                chance.normal(0.0, 0.2)
            )
            x, y = road.line.at(at_m)[0] + offset_m * road.line.left_at(at_m)[0]
            along = road.line.direction_at(at_m)[0]
            if site.deck is not None and np.hypot(*(site.deck[0] - (x, y))) < 26.0:
                continue
            if site.viaduct_m is not None and at_m < site.viaduct_m + 6.0:
                continue
            _vehicle(x, y, along, chance, drawn)


def _vehicle(
    x: float, y: float, along: np.ndarray, chance: np.random.Generator, drawn: Drawn
) -> None:
    paint = _PAINTS[int(chance.integers(len(_PAINTS)))]
    glass = (0.02, 0.025, 0.03)
    if chance.uniform() < 0.25:
        length_m = float(chance.uniform(7.0, 15.0))
        height_m = float(chance.uniform(2.6, 3.8))
        drawn.boxes.append(boxes.box(x, y, length_m, 2.5, along, height_m, height_m, paint))
        cab = np.array([x, y]) + along * (length_m / 2 + 1.2)
        tone = _PAINTS[int(chance.integers(len(_PAINTS)))]
        drawn.boxes.append(boxes.box(cab[0], cab[1], 1.9, 2.4, along, 2.7, 2.7, tone))
        return
    drawn.boxes.append(boxes.box(x, y, 4.5, 1.8, along, 0.9, 0.9, paint))
    cabin = np.array([x, y]) - along * 0.35
    drawn.boxes.append(boxes.box(cabin[0], cabin[1], 2.7, 1.6, along, 1.3, 1.3, glass))
    drawn.boxes.append(boxes.box(cabin[0], cabin[1], 1.7, 1.45, along, 1.45, 1.45, paint))
