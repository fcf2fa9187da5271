"""Upright things as rows of numbers to draw: posts, panels, rails, wires, walls."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from scenes.lines import FloatArray, Line

Colour = tuple[float, float, float]

COLUMNS = 16
LOW, HIGH = 5, 6
"""Columns of the heights that an element reaches from and to."""


def row(
    ax: float, ay: float, bx: float, by: float, thickness_m: float, low_m: float, high_m: float,
    colour: Colour, opacity: float = 1.0, lit: float = 1.0, tilt: tuple[float, float] = (0.0, 0.0),
    mesh_m: tuple[float, float] = (0.0, 0.0),
) -> list[float]:  # fmt: skip
    """One element from (ax, ay) to (bx, by) between two heights: see `scenes.paint`."""
    return [ax, ay, bx, by, thickness_m, low_m, high_m, opacity, *colour, lit, *tilt, *mesh_m]


def as_array(rows: list[list[float]]) -> FloatArray:
    """Rows as (M, 16)."""
    return np.array(rows, dtype=np.float64).reshape(-1, COLUMNS)


def post(
    x: float, y: float, along: FloatArray, width_m: float, height_m: float, colour: Colour,
    tilt: tuple[float, float] = (0.0, 0.0),
) -> list[float]:  # fmt: skip
    """An upright post of square section."""
    tx, ty = along[0] * width_m / 2, along[1] * width_m / 2
    return row(x - tx, y - ty, x + tx, y + ty, width_m, 0.0, height_m, colour, tilt=tilt)


def along_line(
    line: Line, thickness_m: float, low_m: float, high_m: float, colour: Colour,
    step_m: float = 4.0, lit: float = 1.0,
) -> list[list[float]]:  # fmt: skip
    """A rail or wall along a line, in straight pieces of `step_m`."""
    cuts = np.linspace(0.0, line.length_m, max(2, round(line.length_m / step_m) + 1))
    points = line.at(cuts)
    return [
        row(a[0], a[1], b[0], b[1], thickness_m, low_m, high_m, colour, lit=lit)
        for a, b in pairwise(points)
    ]


def posts_along(
    line: Line, spacing_m: float, width_m: float, height_m: float, colour: Colour
) -> list[list[float]]:
    """Posts along a line."""
    stations = np.arange(0.5 * spacing_m, line.length_m, spacing_m)
    points, directions = line.at(stations), line.direction_at(stations)
    return [
        post(p[0], p[1], d, width_m, height_m, colour)
        for p, d in zip(points, directions, strict=True)
    ]
