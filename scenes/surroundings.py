"""What lies beyond the fence: fields, terraces, tracks, lanes, houses and yards."""

from __future__ import annotations

import math

import numpy as np

from scenes import boxes, elements
from scenes.fences import Fence
from scenes.lines import FloatArray, Line
from scenes.materials import Material, Palette
from scenes.noise import smooth_1d
from scenes.plots import draw_plot
from scenes.roads import Drawn
from scenes.site import Site
from scenes.spec import Difficulty, Preset, SceneSpec
from scenes.strokes import Stroke

_ROOFS: tuple[tuple[tuple[float, float, float], float, float], ...] = (
    # colour, width of sheets, pitch
    ((0.08, 0.20, 0.42), 1.0, 0.25),
    ((0.36, 0.11, 0.07), 0.0, 0.45),
    ((0.30, 0.295, 0.28), 0.0, 0.0),
    ((0.38, 0.37, 0.35), 0.0, 0.0),
    ((0.20, 0.205, 0.21), 0.9, 0.3),
    ((0.55, 0.56, 0.56), 1.0, 0.2),
    ((0.16, 0.10, 0.075), 0.8, 0.3),
)


def lay_surroundings(
    spec: SceneSpec, site: Site, fence: Fence, palette: Palette, drawn: Drawn,
    crowns: list[list[float]],
) -> None:  # fmt: skip
    """Adds land use beyond one fence, and distractors that look like footpaths."""
    chance = spec.chance(f"surroundings {fence.side}")
    village = spec.preset is Preset.VILLAGE
    rural = {Difficulty.EASY: 0.35, Difficulty.REAL: 0.6, Difficulty.HARD: 0.8}[spec.difficulty]
    at_m = -5.0
    while at_m < fence.line.length_m - 8.0:
        length_m = float(chance.uniform(12.0, 45.0))
        end_m = min(fence.line.length_m, at_m + length_m)
        start_m = max(0.0, at_m)
        near_m = float(chance.uniform(2.5, 9.0)) if not village else float(chance.uniform(2.0, 5.0))
        far_m = float(chance.uniform(near_m + 8.0, spec.band_m + 12.0))
        draw = chance.uniform()
        if end_m - start_m > 8.0 and not _folds(fence, start_m, end_m, far_m):
            if village and draw < 0.75:
                _yard(chance, fence, start_m, end_m, near_m, spec.band_m, palette, drawn)
            elif draw < rural and spec.preset is not Preset.CUTTING:
                _field(chance, fence, start_m, end_m, near_m, far_m, palette, drawn, crowns)
        at_m = end_m + float(chance.choice([0.3, 0.6, 3.0, 12.0]))
    for _ in range(
        int(chance.poisson((1.1 if not village else 2.0) * fence.line.length_m / 150.0))
    ):
        _way(chance, fence, spec.band_m, palette, drawn)
    if spec.difficulty is Difficulty.HARD or chance.uniform() < 0.25:
        for _ in range(int(chance.poisson(fence.line.length_m / 150.0))):
            _gully(chance, fence, spec.band_m, palette, drawn)


def _folds(fence: Fence, start_m: float, end_m: float, away_m: float) -> bool:
    """Whether land beside a stretch of fence would overlap itself in the bend of the line."""
    step = np.diff(_band(fence, start_m, end_m, away_m).xy, axis=0)
    original = np.diff(fence.line.between(start_m, end_m).xy, axis=0)
    count = min(len(step), len(original))
    return bool((np.sum(step[:count] * original[:count], axis=1) <= 0.0).any())


def _band(fence: Fence, start_m: float, end_m: float, away_m: float) -> Line:
    return fence.line.offset(fence.side.outward * away_m).between(start_m, end_m)


def _field(
    chance: np.random.Generator, fence: Fence, start_m: float, end_m: float, near_m: float,
    far_m: float, palette: Palette, drawn: Drawn, crowns: list[list[float]],
) -> None:  # fmt: skip
    """A field, beds, terraces or an orchard; its edges are ridges that look like paths."""
    kind = ("field", "beds", "terraces", "orchard")[int(chance.choice(4, p=[0.4, 0.25, 0.2, 0.15]))]
    seed = int(chance.integers(2**30))
    line = _band(fence, start_m, end_m, (near_m + far_m) / 2)
    width_m = far_m - near_m
    if kind == "field":
        ground: Material = [palette.soil, palette.dry, palette.mown, palette.lush][
            int(chance.integers(4))
        ]
        drawn.strokes.append(
            Stroke(line, ground, width_m, rough_m=0.15, soft_m=0.3,
                   alpha=float(chance.uniform(0.6, 1.0)), seed=seed)
        )  # fmt: skip
        crop = palette.vegetables[int(chance.integers(len(palette.vegetables)))]
        drawn.strokes.append(
            Stroke(line, crop, width_m - 0.8, rough_m=0.1, soft_m=0.1,
                   rows_m=float(chance.uniform(0.3, 1.0)), rows_across=bool(chance.uniform() < 0.4),
                   alpha=float(chance.uniform(0.0, 0.8)), patchy=0.3, patchy_m=12.0, seed=seed + 1)
        )  # fmt: skip
    elif kind == "beds":
        d = near_m
        while d < far_m - 1.5:
            w = float(chance.uniform(1.0, 4.0))
            draw_plot(_band(fence, start_m, end_m, d + w / 2), w, palette, chance, drawn)
            d += w + float(chance.uniform(0.3, 0.6))
    elif kind == "terraces":
        d = near_m
        while d < far_m:
            wave = np.array([smooth_1d(s / 15.0, seed) for s in fence.line.station_m])
            step = fence.line.offset(fence.side.outward * (d + 0.8 * wave)).between(start_m, end_m)
            drawn.strokes.append(
                Stroke(step, palette.worn, float(chance.uniform(0.2, 0.5)), soft_m=0.1,
                       rough_m=0.06, alpha=float(chance.uniform(0.3, 0.8)), patchy=0.5, seed=seed)
            )  # fmt: skip
            drawn.strokes.append(
                Stroke(step, palette.scrub, 0.5, shift_m=0.45 * fence.side.outward, soft_m=0.25,
                       rough_m=0.1, alpha=0.6, patchy=0.4, seed=seed + 1)
            )  # fmt: skip
            d += float(chance.uniform(2.0, 5.0))
    else:
        step_m = float(chance.uniform(2.5, 4.5))
        for s in np.arange(start_m + 1.0, end_m, step_m):
            for d in np.arange(near_m + 1.0, far_m, step_m):
                if chance.uniform() < 0.85:
                    foot = fence.line.at(s)[0] + fence.side.outward * d * fence.line.left_at(s)[0]
                    x, y = foot + chance.normal(0.0, 0.15, 2)
                    r = step_m * float(chance.uniform(0.22, 0.38))
                    crowns.append([x, y, r, 1.6 * r, float(chance.integers(2**20)), 2.0])
    if kind in ("field", "beds"):
        # Banks and balks between fields are walked on and ploughed up to: pale thin lines.
        material = [palette.worn, palette.dry, palette.lush][int(chance.integers(3))]
        for d in (near_m, far_m):
            drawn.strokes.append(
                Stroke(_band(fence, start_m, end_m, d), material, float(chance.uniform(0.25, 0.6)),
                       soft_m=0.12, rough_m=0.06, alpha=float(chance.uniform(0.4, 0.9)), patchy=0.3,
                       seed=seed + 2)
            )  # fmt: skip
        for s in (start_m, end_m):
            foot, left = fence.line.at(s)[0], fence.line.left_at(s)[0] * fence.side.outward
            drawn.strokes.append(
                Stroke(_straight(foot + left * near_m, foot + left * far_m), material,
                       float(chance.uniform(0.25, 0.6)), soft_m=0.12, rough_m=0.06, alpha=0.6,
                       patchy=0.3, seed=seed + 3)
            )  # fmt: skip


def _yard(
    chance: np.random.Generator, fence: Fence, start_m: float, end_m: float, near_m: float,
    band_m: float, palette: Palette, drawn: Drawn,
) -> None:  # fmt: skip
    """A house or shed with a paved yard, a wall and a garden."""
    depth_m = min(band_m + 4.0, float(chance.uniform(12.0, 24.0)))
    middle_m, out = (start_m + end_m) / 2, fence.side.outward
    along, left = fence.line.direction_at(middle_m)[0], fence.line.left_at(middle_m)[0] * out
    paved = palette.concrete if chance.uniform() < 0.6 else palette.worn
    drawn.strokes.append(
        Stroke(_band(fence, start_m, end_m, near_m + depth_m / 2), paved, depth_m,
               alpha=float(chance.uniform(0.5, 0.95)), rough_m=0.15, soft_m=0.3, patchy=0.3,
               seed=int(chance.integers(2**30)))
    )  # fmt: skip
    turn = math.radians(float(chance.normal(0.0, 4.0)))
    facing = np.array(
        [along[0] * math.cos(turn) - along[1] * math.sin(turn),
         along[0] * math.sin(turn) + along[1] * math.cos(turn)]
    )  # fmt: skip
    d = near_m + 1.0
    while d < near_m + depth_m - 5.0:
        length_m = min(end_m - start_m - 2.0, float(chance.uniform(6.0, 18.0)))
        width_m = float(chance.uniform(4.0, 9.0))
        colour, sheet_m, pitch = _ROOFS[int(chance.integers(len(_ROOFS)))]
        eaves_m = float(chance.choice([2.8, 3.2, 6.2, 9.0], p=[0.35, 0.3, 0.25, 0.1]))
        shift = float(chance.uniform(-0.5, 0.5)) * max(0.0, end_m - start_m - length_m - 2.0)
        x, y = fence.line.at(middle_m)[0] + along * shift + left * (d + width_m / 2)
        gain = float(np.exp(chance.normal(0.0, 0.15)))
        tone = (colour[0] * gain, colour[1] * gain, colour[2] * gain)
        drawn.boxes.append(
            boxes.box(x, y, length_m, width_m, facing, eaves_m, eaves_m + pitch * width_m / 2, tone,
                      sheet_m)
        )  # fmt: skip
        d += width_m + float(chance.uniform(1.5, 7.0))
    if chance.uniform() < 0.6:
        wall = _band(fence, start_m, end_m, near_m)
        drawn.elements += elements.along_line(
            wall, 0.24, 0.0, float(chance.uniform(1.2, 2.2)), palette.concrete.base, 3.0, lit=0.9
        )
    if chance.uniform() < 0.6:
        start = float(chance.uniform(start_m, (start_m + end_m) / 2))
        draw_plot(
            _band(fence, start, min(end_m, start + 9.0), near_m - 1.4), 2.0, palette, chance, drawn
        )


def _way(
    chance: np.random.Generator, fence: Fence, band_m: float, palette: Palette, drawn: Drawn
) -> None:
    """A tractor's double track, a paved lane, or the ruts of one passage."""
    length_m = float(chance.uniform(25.0, 120.0))
    start_m = float(chance.uniform(-20.0, max(0.0, fence.line.length_m - 20.0)))
    stations = np.arange(max(0.0, start_m), min(fence.line.length_m, start_m + length_m), 2.0)
    if len(stations) < 8:
        return
    seed = int(chance.integers(2**30))
    a, b = chance.uniform(3.0, band_m + 5.0, 2)
    away = np.linspace(a, b, len(stations)) + np.array(
        [1.5 * smooth_1d(s / 20.0, seed) for s in stations]
    )
    away = np.maximum(away, 2.5)
    xy = fence.line.at(stations) + (fence.side.outward * away)[:, None] * fence.line.left_at(
        stations
    )
    line = Line(xy)
    kind = int(chance.choice(4, p=[0.4, 0.25, 0.2, 0.15]))
    if kind == 0:
        drawn.strokes.append(
            Stroke(line, palette.worn, float(chance.uniform(0.35, 0.6)),
                   pair_m=float(chance.uniform(1.4, 1.9)), soft_m=0.15, rough_m=0.08,
                   round_frac=0.3, alpha=float(chance.uniform(0.4, 1.0)),
                   patchy=0.4, winding=True, seed=seed)
        )  # fmt: skip
    elif kind == 1:
        width_m = float(chance.uniform(1.0, 3.2))
        drawn.strokes.append(
            Stroke(
                line, palette.worn, width_m + 0.8, soft_m=0.3, rough_m=0.12, alpha=0.6, seed=seed
            )
        )
        drawn.strokes.append(Stroke(line, palette.concrete, width_m, rough_m=0.02, seed=seed))
        drawn.strokes.append(
            Stroke(line, palette.dark_concrete, width_m, alpha=0.6, dash_m=(0.03, 4.0))
        )
    elif kind == 2:
        drawn.strokes.append(
            Stroke(line, palette.gravel, float(chance.uniform(2.2, 3.2)), soft_m=0.3, rough_m=0.12,
                   alpha=0.85, seed=seed)
        )  # fmt: skip
        drawn.strokes.append(
            Stroke(
                line, palette.wild, 0.7, soft_m=0.3, rough_m=0.1, alpha=0.5, patchy=0.6, seed=seed
            )
        )
    else:
        drawn.strokes.append(
            Stroke(line, palette.lush, 0.3, pair_m=1.7, soft_m=0.15, rough_m=0.06, alpha=0.5,
                   patchy=0.4, winding=True, seed=seed)
        )  # fmt: skip


def _gully(
    chance: np.random.Generator, fence: Fence, band_m: float, palette: Palette, drawn: Drawn
) -> None:
    """A stream bed or an animals' track, narrow and winding across the band."""
    at_m = float(chance.uniform(0.0, fence.line.length_m))
    foot, left = fence.line.at(at_m)[0], fence.line.left_at(at_m)[0] * fence.side.outward
    along = fence.line.direction_at(at_m)[0]
    seed, slant = int(chance.integers(2**30)), float(chance.normal(0.0, 0.8))
    d = np.arange(1.5, band_m + 8.0, 0.6)
    side = slant * d + np.array([1.6 * smooth_1d(v / 5.0, seed) for v in d])
    line = Line(foot + d[:, None] * left + side[:, None] * along)
    if chance.uniform() < 0.5:
        drawn.strokes.append(
            Stroke(
                line, palette.lush, 1.6, soft_m=0.5, rough_m=0.2, alpha=0.7, winding=True, seed=seed
            )
        )
        drawn.strokes.append(
            Stroke(line, palette.gravel, 0.5, soft_m=0.2, rough_m=0.12, alpha=0.7, patchy=0.6,
                   winding=True, seed=seed)
        )  # fmt: skip
    else:
        drawn.strokes.append(
            Stroke(line, palette.worn, 0.18, soft_m=0.08, rough_m=0.05, alpha=0.5, patchy=0.9,
                   winding=True, seed=seed)
        )  # fmt: skip


def _straight(a: FloatArray, b: FloatArray) -> Line:
    count = max(2, round(float(np.hypot(*(b - a)))))
    return Line(np.linspace(a, b, count))
