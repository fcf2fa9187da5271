"""Trees that have shed their leaves: a trunk and its branches, which hide nothing."""

from __future__ import annotations

import math

import numpy as np

from scenes import elements

_BROAD_LEAF, _BARK = 0.0, (0.10, 0.085, 0.07)
_BRANCHES, _TWIGS = 15, 7


def shed_leaves(
    crowns: list[list[float]], share: float
) -> tuple[list[list[float]], list[list[float]]]:
    """Crowns that stay green, and as elements the `share` of broad-leaved trees that do not.

    Conifers and shrubs stay, as the evergreen hedges and scrub of the south do. A bare tree is in
    no surface model either: photogrammetry does not find twigs.
    """
    kept: list[list[float]] = []
    bare: list[list[float]] = []
    for crown in crowns:
        if crown[5] == _BROAD_LEAF and int(crown[4]) % 100 < 100 * share:
            bare += _tree(crown)
        else:
            kept.append(crown)
    return kept, bare


def _tree(crown: list[float]) -> list[list[float]]:
    x, y, radius, height = crown[:4]
    chance = np.random.default_rng(int(crown[4]))
    thick_m = 0.035 * height
    rows = [_limb(x, y, thick_m, 0.0, 0.75 * height, 0.0, 0.0)]
    for n in range(_BRANCHES):
        turn = 2 * math.pi * (n + float(chance.uniform(-0.4, 0.4))) / _BRANCHES * 2.4
        low = height * float(chance.uniform(0.25, 0.6))
        high = min(height, low + height * float(chance.uniform(0.2, 0.45)))
        reach = radius * float(chance.uniform(0.5, 1.0))
        dx, dy = reach * math.cos(turn), reach * math.sin(turn)
        rows.append(_limb(x, y, 0.4 * thick_m, low, high, dx, dy))
        for _ in range(_TWIGS):
            share, bend = float(chance.uniform(0.35, 1.0)), turn + float(chance.normal(0.0, 0.8))
            out = 0.45 * radius * float(chance.uniform(0.4, 1.0))
            foot = low + share * (high - low)
            rows.append(
                _limb(x + share * dx, y + share * dy, 0.15 * thick_m, foot, foot + 0.12 * height,
                      out * math.cos(bend), out * math.sin(bend))
            )  # fmt: skip
    return rows


def _limb(
    x: float, y: float, thick_m: float, low: float, high: float, dx: float, dy: float
) -> list[float]:
    """From its foot at height `low` to its end `high`, (dx, dy) metres off."""
    length = math.hypot(dx, dy) or 1.0
    # Across the way it leads, so that it is swept along its own length.
    tx, ty = (-dy / length, dx / length) if dx or dy else (1.0, 0.0)
    half = thick_m / 2
    return elements.row(x - half * tx, y - half * ty, x + half * tx, y + half * ty, thick_m, low,
                        high, _BARK, tilt=(dx, dy))  # fmt: skip
