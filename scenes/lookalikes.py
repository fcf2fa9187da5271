"""What runs beside a fence and looks like one: rails, kerbs, ditches, walls, hedges, wires."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from scenes import elements
from scenes.elements import Colour
from scenes.fences import Fence
from scenes.lines import FloatArray, Line
from scenes.materials import Palette
from scenes.noise import smooth_1d
from scenes.roads import Drawn, guard_rail
from scenes.spec import Difficulty, SceneSpec
from scenes.strokes import Stroke

Rows = list[list[float]]

_COUNT = {Difficulty.EASY: (0, 1), Difficulty.REAL: (1, 3), Difficulty.HARD: (3, 5)}
_NEAREST_M = {Difficulty.EASY: 2.0, Difficulty.REAL: 0.7, Difficulty.HARD: 0.5}


def lay_lookalikes(
    spec: SceneSpec, fence: Fence, verge_m: float, palette: Palette, drawn: Drawn,
    crowns: Rows,
) -> list[str]:  # fmt: skip
    """Adds what runs parallel within some metres of a fence.

    Args:
        verge_m: width of the ground between the fence and the nearest road's shoulder.

    Returns:
        What was added, as `kind@offset`, positive away from the road.
    """
    chance = spec.chance(f"look-alikes {fence.side}")
    low, high = _COUNT[spec.difficulty]
    count = int(chance.integers(low, high + 1))
    taken: list[float] = [0.0]
    names = []
    for _ in range(count):
        kind = list(_KINDS)[int(chance.choice(len(_KINDS), p=_shares()))]
        width_m, inside = _KINDS[kind][1], _KINDS[kind][2]
        for _attempt in range(8):
            inward = chance.uniform() < inside
            nearest_m = _NEAREST_M[spec.difficulty] + width_m / 2
            farthest_m = max(nearest_m + 0.2, verge_m - width_m / 2 - 0.3) if inward else 7.0
            away_m = float(np.exp(chance.uniform(np.log(nearest_m), np.log(farthest_m))))
            offset_m = -away_m if inward else away_m
            if all(abs(offset_m - other) > 0.55 + width_m / 2 for other in taken):
                break
        else:
            continue
        taken.append(offset_m)
        line = _beside(fence, offset_m, chance)
        _KINDS[kind][3](line, palette, chance, drawn, crowns)
        names.append(f"{kind}@{offset_m:+.1f}")
    return names


def _beside(fence: Fence, offset_m: float, chance: np.random.Generator) -> Line:
    """A line that keeps its distance from a fence, more or less, for all or part of its length."""
    seed, drift = int(chance.integers(2**30)), float(chance.uniform(0.02, 0.15))
    station = fence.line.station_m
    wander = np.array([smooth_1d(s / 40.0, seed) for s in station]) * drift
    line = fence.line.offset(fence.side.outward * (offset_m + wander))
    if chance.uniform() < 0.6:
        return line
    length = float(chance.uniform(0.3, 0.8)) * line.length_m
    start = float(chance.uniform(0.0, line.length_m - length))
    return line.between(start, start + length)


_Adder = Callable[[Line, Palette, np.random.Generator, Drawn, Rows], None]


def _rail(
    line: Line, palette: Palette, chance: np.random.Generator, drawn: Drawn, crowns: Rows
) -> None:  # fmt: skip
    guard_rail(line, chance, drawn)


def _kerb(
    line: Line, palette: Palette, chance: np.random.Generator, drawn: Drawn, crowns: Rows
) -> None:  # fmt: skip
    width_m, height_m = float(chance.uniform(0.10, 0.25)), float(chance.uniform(0.05, 0.25))
    material = palette.concrete if chance.uniform() < 0.7 else palette.dark_concrete
    drawn.strokes.append(Stroke(line, material, width_m, rough_m=0.004, patchy=0.3, seed=3))
    drawn.elements += elements.along_line(line, width_m, 0.0, height_m, material.base)


def _lined_ditch(
    line: Line, palette: Palette, chance: np.random.Generator, drawn: Drawn, crowns: Rows
) -> None:  # fmt: skip
    width_m, seed = float(chance.uniform(0.6, 1.4)), int(chance.integers(2**30))
    lining = palette.concrete if chance.uniform() < 0.6 else palette.dark_concrete
    drawn.strokes.append(
        Stroke(line, lining, width_m, soft_m=0.02, rough_m=0.006,
               bevel=float(chance.uniform(-0.25, 0.25)), patchy=0.35, patchy_m=6.0, seed=seed)
    )  # fmt: skip
    bed = palette.litter if chance.uniform() < 0.5 else palette.dark_concrete
    drawn.strokes.append(
        Stroke(line, bed, width_m * float(chance.uniform(0.25, 0.5)), soft_m=0.06, rough_m=0.03,
               alpha=0.8, patchy=0.5, patchy_m=5.0, seed=seed + 1)
    )  # fmt: skip
    joint_m = float(chance.choice([1.0, 2.0, 3.0]))
    drawn.strokes.append(
        Stroke(line, palette.dark_concrete, width_m, alpha=0.5, dash_m=(0.03, joint_m))
    )


def _earth_ditch(
    line: Line, palette: Palette, chance: np.random.Generator, drawn: Drawn, crowns: Rows
) -> None:  # fmt: skip
    width_m, seed = float(chance.uniform(0.6, 1.6)), int(chance.integers(2**30))
    drawn.strokes.append(
        Stroke(line, palette.lush, width_m, soft_m=0.3, rough_m=0.12, alpha=0.8,
               bevel=float(chance.uniform(-0.3, 0.3)), patchy=0.4, seed=seed)
    )  # fmt: skip
    drawn.strokes.append(
        Stroke(line, palette.scrub, 0.3 * width_m, soft_m=0.15, rough_m=0.08, alpha=0.7, patchy=0.8,
               seed=seed + 1)
    )  # fmt: skip


def _cable_tray(
    line: Line, palette: Palette, chance: np.random.Generator, drawn: Drawn, crowns: Rows
) -> None:  # fmt: skip
    width_m = float(chance.uniform(0.3, 0.5))
    drawn.strokes.append(
        Stroke(line, palette.concrete, width_m, rough_m=0.004, patchy=0.25, patchy_m=4.0, seed=5)
    )
    drawn.strokes.append(
        Stroke(line, palette.dark_concrete, width_m, alpha=0.6,
               dash_m=(0.02, float(chance.choice([0.5, 1.0]))))
    )  # fmt: skip
    drawn.elements += elements.along_line(line, width_m, 0.0, 0.08, palette.concrete.base)


def _retaining_wall(
    line: Line, palette: Palette, chance: np.random.Generator, drawn: Drawn, crowns: Rows
) -> None:  # fmt: skip
    thickness_m, height_m = float(chance.uniform(0.25, 0.45)), float(chance.uniform(0.5, 1.8))
    colour: Colour = palette.concrete.base
    drawn.elements += elements.along_line(line, thickness_m, 0.0, height_m, colour, 3.0, lit=0.9)


def _mowing_edge(
    line: Line, palette: Palette, chance: np.random.Generator, drawn: Drawn, crowns: Rows
) -> None:  # fmt: skip
    width_m = float(chance.uniform(0.8, 2.5))
    material = [palette.dry, palette.lush, palette.mown][int(chance.integers(3))]
    drawn.strokes.append(
        Stroke(line, material, width_m, shift_m=float(chance.choice([-0.5, 0.5])) * width_m,
               soft_m=0.08, rough_m=0.03, alpha=float(chance.uniform(0.3, 0.75)), patchy=0.2,
               patchy_m=25.0, seed=int(chance.integers(2**30)))
    )  # fmt: skip


def _grass_line(
    line: Line, palette: Palette, chance: np.random.Generator, drawn: Drawn, crowns: Rows
) -> None:  # fmt: skip
    """A thin line of another growth, as an old mowing or a buried cable leaves."""
    material = [palette.dry, palette.lush, palette.soil, palette.litter][int(chance.integers(4))]
    drawn.strokes.append(
        Stroke(line, material, float(chance.uniform(0.12, 0.4)), soft_m=0.05, rough_m=0.03,
               alpha=float(chance.uniform(0.35, 0.8)), patchy=0.4, patchy_m=10.0,
               seed=int(chance.integers(2**30)))
    )  # fmt: skip


def _tracks(
    line: Line, palette: Palette, chance: np.random.Generator, drawn: Drawn, crowns: Rows
) -> None:  # fmt: skip
    drawn.strokes.append(
        Stroke(line, palette.worn, float(chance.uniform(0.3, 0.55)),
               pair_m=float(chance.uniform(1.5, 1.9)), soft_m=0.15, rough_m=0.08, round_frac=0.4,
               alpha=float(chance.uniform(0.4, 0.95)), patchy=0.5, patchy_m=9.0,
               seed=int(chance.integers(2**30)))
    )  # fmt: skip


def _hose(
    line: Line, palette: Palette, chance: np.random.Generator, drawn: Drawn, crowns: Rows
) -> None:  # fmt: skip
    colour: Colour = [(0.02, 0.02, 0.022), (0.05, 0.10, 0.25), (0.45, 0.46, 0.46)][
        int(chance.integers(3))
    ]
    width_m = float(chance.uniform(0.04, 0.16))
    drawn.elements += elements.along_line(line, width_m, 0.0, width_m, colour, 2.0)


def _hedge(
    line: Line, palette: Palette, chance: np.random.Generator, drawn: Drawn, crowns: Rows
) -> None:  # fmt: skip
    radius_m = float(chance.uniform(0.35, 0.8))
    height_m = radius_m * float(chance.uniform(1.4, 2.4))
    at_m = 0.0
    gaps = float(chance.uniform(0.0, 0.25))
    while at_m < line.length_m:
        if chance.uniform() > gaps:
            x, y = line.at(at_m)[0] + chance.normal(0.0, 0.08, 2)
            r = radius_m * float(chance.uniform(0.8, 1.2))
            crowns.append([x, y, r, height_m * r / radius_m, float(chance.integers(2**20)), 2.0])
        at_m += radius_m * float(chance.uniform(0.9, 1.6))


def _terrace(
    line: Line, palette: Palette, chance: np.random.Generator, drawn: Drawn, crowns: Rows
) -> None:  # fmt: skip
    """A low earth step with a dark foot and a pale lip."""
    seed = int(chance.integers(2**30))
    lip_m = float(chance.uniform(0.2, 0.5))
    drawn.strokes.append(
        Stroke(
            line, palette.worn, lip_m, soft_m=0.1, rough_m=0.06, alpha=0.6, patchy=0.6, seed=seed
        )
    )
    drawn.strokes.append(
        Stroke(line, palette.scrub, 0.4, shift_m=0.5 * lip_m + 0.2, soft_m=0.2, rough_m=0.08,
               alpha=0.7, patchy=0.4, seed=seed + 1)
    )  # fmt: skip


def _power_line(
    line: Line, palette: Palette, chance: np.random.Generator, drawn: Drawn, crowns: Rows
) -> None:  # fmt: skip
    """Wires on poles: thin shadows on the ground, and far off their own foot in the picture."""
    height_m, span_m = float(chance.uniform(7.0, 12.0)), float(chance.uniform(40.0, 60.0))
    wires = int(chance.integers(1, 5))
    thick_m = float(chance.uniform(0.015, 0.05))
    stations = np.arange(float(chance.uniform(0.0, span_m)), line.length_m, span_m)
    along = line.direction_at(stations)
    for (x, y), direction in zip(line.at(stations), along, strict=True):
        drawn.elements.append(
            elements.post(x, y, direction, 0.28, height_m + 0.4, palette.concrete.base)
        )
    for wire in range(wires):
        side = line.offset((wire - (wires - 1) / 2) * 0.5)
        cuts = np.linspace(0.0, side.length_m, max(2, round(side.length_m / 4.0) + 1))
        points = side.at(cuts)
        first_m = float(stations[0]) if len(stations) else 0.0
        phase = ((cuts - first_m) / span_m) % 1.0
        z = height_m - 0.02 * span_m * 4.0 * phase * (1.0 - phase)
        for a, b, low in zip(points[:-1], points[1:], (z[:-1] + z[1:]) / 2, strict=True):
            drawn.elements.append(
                elements.row(a[0], a[1], b[0], b[1], thick_m, low, low, (0.03, 0.03, 0.03))
            )


_KINDS: dict[str, tuple[float, float, float, _Adder]] = {
    # kind: share, width in metres, share that stands on the road's side of the fence, how
    "guard rail": (0.15, 0.3, 0.95, _rail),
    "kerb": (0.09, 0.2, 0.8, _kerb),
    "lined ditch": (0.15, 1.2, 0.75, _lined_ditch),
    "earth ditch": (0.07, 1.2, 0.5, _earth_ditch),
    "cable tray": (0.09, 0.5, 0.9, _cable_tray),
    "retaining wall": (0.08, 0.4, 0.5, _retaining_wall),
    "mowing edge": (0.10, 0.2, 0.6, _mowing_edge),
    "grass line": (0.09, 0.3, 0.5, _grass_line),
    "double tracks": (0.06, 2.2, 0.2, _tracks),
    "hose": (0.03, 0.1, 0.4, _hose),
    "hedge": (0.06, 1.0, 0.4, _hedge),
    "terrace": (0.03, 0.8, 0.1, _terrace),
    "power line": (0.06, 1.0, 0.2, _power_line),
}


def _shares() -> FloatArray:
    shares = np.array([share for share, _, _, _ in _KINDS.values()])
    return np.asarray(shares / shares.sum())
