"""What repeats itself beside a road and is no plot, painted on a canvas of `footpaths_ground`.

Markings, roofs, solar panels, stacks, tracks, lattices of slopes, vehicles, swaths of a mower. All
of it is straight, as plots are, and much of it lies in stripes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from analysis.training import footpaths_ground as ground
from analysis.training import footpaths_objects as objects
from analysis.training.footpaths_ground import Canvas

Array = npt.NDArray[Any]

_SOFT_M = 0.06
"""Half the width in which an edge fades."""


class Frame(NamedTuple):
    """Metres along and across something, at each pixel, from its middle."""

    along: Array
    across: Array

    def turned(self) -> Frame:
        """The same, along and across exchanged."""
        return Frame(self.across, self.along)

    def moved(self, along_m: float, across_m: float) -> Frame:
        """The same from another middle."""
        return Frame(self.along - along_m, self.across - across_m)


def frame(canvas: Canvas) -> Frame:
    """Somewhere on the canvas, in any direction."""
    size = canvas.size_px
    middle = canvas.rng.uniform(0.1, 0.9, 2) * size
    turn = canvas.rng.uniform(0, np.pi)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    x, y = (x - np.float32(middle[0])) * canvas.gsd_m, (y - np.float32(middle[1])) * canvas.gsd_m
    c, s = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    return Frame(c * x + s * y, c * y - s * x)


def box(at: Frame, length_m: float, width_m: float) -> Array:
    """Opacity of a rectangle."""
    inward = np.minimum(length_m / 2 - np.abs(at.along), width_m / 2 - np.abs(at.across))
    return np.asarray(np.clip(inward / (2 * _SOFT_M) + 0.5, 0, 1), dtype=np.float32)


def bars(values_m: Array, period_m: float, width_m: float) -> Array:
    """Opacity of bars that follow each other at even distances."""
    off = np.abs((values_m + period_m / 2) % period_m - period_m / 2)
    return np.asarray(np.clip((width_m / 2 - off) / (2 * _SOFT_M) + 0.5, 0, 1), dtype=np.float32)


def lay(canvas: Canvas, alpha: Array, mean: Any, deviation: float) -> None:
    """Paints a material, and takes away what was known there."""
    ground.fill(canvas, alpha, np.asarray(mean, np.float32), deviation)
    canvas.cover(alpha)


def mark(canvas: Canvas, alpha: Array, colour: Any) -> None:
    """Paints one colour over what is there, whose texture is lost, and whose meaning is not."""
    ground.blend(canvas, alpha, np.asarray(colour, np.float32), np.zeros_like(alpha))


def paint_markings(canvas: Canvas) -> None:
    """A carriageway or a yard with what is painted on it."""
    rng = canvas.rng
    at = frame(canvas)
    sealed = box(at, 200.0, rng.uniform(4, 22)) if rng.random() < 0.8 else np.ones_like(at.along)
    mean, deviation = ground.material(rng, ground.SEALED)
    lay(canvas, sealed, mean, deviation)
    paint = np.array([rng.uniform(60, 95), rng.normal(0, 2), rng.normal(2, 3)])
    if rng.random() < 0.45:  # yellow
        paint[1:] = rng.uniform(0, 18), rng.uniform(25, 60)
    marks = np.zeros_like(sealed)
    kind = rng.choice(
        ["lines", "crossing", "bays", "hatched", "rumble"], p=[0.5, 0.1, 0.15, 0.15, 0.1]
    )
    if kind == "lines":
        for _ in range(int(rng.integers(1, 5))):
            line = at.moved(0, rng.uniform(-9, 9))
            width_m = rng.uniform(0.1, 0.25)
            one = box(line, 200.0, width_m)
            if rng.random() < 0.45:  # doubled
                one = np.maximum(one, box(line.moved(0, rng.uniform(0.25, 1.1)), 200.0, width_m))
            if rng.random() < 0.4:  # broken
                period_m = rng.uniform(2, 15)
                one = one * bars(at.along, period_m, period_m * rng.uniform(0.3, 0.7))
            marks = np.maximum(marks, one)
    elif kind == "crossing":
        period_m = rng.uniform(0.6, 1.4)
        bar = bars(at.across, period_m, period_m * rng.uniform(0.35, 0.6))
        marks = bar * box(at, rng.uniform(2, 6), rng.uniform(4, 15))
    elif kind == "bays":
        depth_m = rng.uniform(4.5, 6.5)
        marks = bars(at.along, rng.uniform(2.2, 3.3), rng.uniform(0.1, 0.18))
        marks = marks * box(at, rng.uniform(8, 60), depth_m)
        marks = np.maximum(marks, box(at.moved(0, depth_m / 2), 60.0, 0.12))
    elif kind == "hatched":
        slant = at.along + at.across * rng.uniform(0.5, 1.5)
        marks = bars(slant, rng.uniform(0.8, 3.0), rng.uniform(0.2, 0.5))
        marks = marks * box(at, rng.uniform(3, 40), rng.uniform(1, 5))
    else:
        marks = bars(at.along, rng.uniform(0.3, 1.6), rng.uniform(0.12, 0.3))
        marks = marks * box(at, rng.uniform(1, 12), rng.uniform(2, 8))
    worn = np.clip(1.2 + 0.4 * ground.noise(rng, canvas.size_px, 0.5 / canvas.gsd_m), 0, 1)
    mark(canvas, marks * sealed * worn * rng.uniform(0.5, 1), paint)
    if rng.random() < 0.4:  # a kerb and its gutter
        kerb = box(at.moved(0, rng.uniform(-9, 9)), 200.0, rng.uniform(0.12, 0.4))
        lay(canvas, kerb, (rng.uniform(55, 95), 0, rng.uniform(0, 6)), 1.0)


def paint_sheet_roof(canvas: Canvas) -> None:
    """A roof of corrugated sheets or of tiles, with its ridge, joints, rust, moss and clutter."""
    rng, size = canvas.rng, canvas.size_px
    at = frame(canvas)
    length_m, width_m = rng.uniform(3, 25), rng.uniform(2.5, 14)
    roof = box(at, length_m, width_m)
    shade = box(at.moved(rng.normal(0, 1.2), rng.normal(0, 1.2)), length_m, width_m)
    canvas.lab[..., 0] *= 1 - shade * rng.uniform(0.3, 0.7)
    mean = np.array([rng.uniform(25, 90), rng.normal(2, 6), rng.normal(2, 8)])
    if rng.random() < 0.35:  # tiles, red and brown sheet
        mean = np.array([rng.uniform(28, 60), rng.uniform(8, 38), rng.uniform(8, 36)])
    elif rng.random() < 0.2:  # blue and green sheet
        mean = np.array([rng.uniform(30, 65), rng.uniform(-25, 2), rng.uniform(-40, 5)])
    lay(canvas, roof, mean, rng.uniform(0.4, 3))
    ribs = at if rng.random() < 0.5 else at.turned()
    wave = np.sin(ribs.along * 2 * np.pi / rng.uniform(0.15, 1.3))
    wave = np.tanh(wave * rng.uniform(0.5, 4) + rng.normal(0, 0.8))
    rib = np.array([rng.uniform(0, 14), rng.normal(0, 1.5), rng.normal(0, 2)])
    canvas.lab += (roof * wave)[..., None] * rib.astype(np.float32)
    if rng.random() < 0.35:  # rows of tiles, or laps, the other way
        laps = bars(ribs.across, rng.uniform(0.25, 3.0), rng.uniform(0.06, 0.2))
        canvas.lab[..., 0] += roof * laps * rng.normal(0, 10)
    if rng.random() < 0.5:  # each sheet has aged for itself
        long_m, wide_m = rng.uniform(0.6, 1.3), rng.uniform(1.5, 6)
        cell = np.floor(ribs.along / long_m).astype(int) * 37 + np.floor(
            ribs.across / wide_m
        ).astype(int)
        age = rng.normal(0, 1, 997)[cell % 997].astype(np.float32)
        rust = np.array([-rng.uniform(0, 9), rng.uniform(-1, 9), rng.uniform(-2, 10)])
        canvas.lab += (roof * age)[..., None] * rust.astype(np.float32)
    if rng.random() < 0.5:  # rust, moss, dirt
        patches = np.clip(ground.noise(rng, size, rng.uniform(0.3, 3) / canvas.gsd_m), 0, 2)
        stain = np.array([rng.normal(-4, 5), rng.normal(0, 6), rng.normal(3, 6)])
        canvas.lab += (roof * patches)[..., None] * stain.astype(np.float32)
    if rng.random() < 0.6:  # two planes, one in less light
        side = np.where(at.across > rng.normal(0, 0.1) * width_m, 1, -1)
        canvas.lab[..., 0] += roof * side * rng.uniform(1, 10)
    for _ in range(int(rng.integers(0, 7))):  # tanks, tyres, skylights, washing
        thing = at.moved(*(rng.uniform(-0.5, 0.5, 2) * (length_m, width_m)))
        alpha = roof * box(thing, rng.uniform(0.3, 3), rng.uniform(0.2, 1.5))
        mark(canvas, alpha, rng.normal((55, 0, 0), (22, 8, 10)))
    if rng.random() < 0.4:  # parapet
        rim = roof - box(at, length_m - 0.6, width_m - 0.6)
        canvas.lab[..., 0] += rim * rng.normal(4, 14)


def paint_panels(canvas: Canvas) -> None:
    """Tables of solar panels, one behind another."""
    rng = canvas.rng
    at = frame(canvas)
    pitch_m, depth_m = rng.uniform(1.5, 6), rng.uniform(1, 4)
    tables = bars(at.across, pitch_m, min(depth_m, 0.9 * pitch_m))
    tables = tables * box(at, rng.uniform(4, 30), rng.uniform(2, 25))
    shade = np.roll(tables, int(rng.uniform(2, 8)), axis=0)
    canvas.lab[..., 0] *= 1 - shade * rng.uniform(0.2, 0.5)
    lay(canvas, tables, (rng.uniform(10, 40), rng.uniform(-3, 8), rng.uniform(-30, -2)), 0.7)
    frames = np.maximum(bars(at.along, rng.uniform(0.9, 1.2), 0.08), bars(at.across, 1.7, 0.08))
    canvas.lab[..., 0] += tables * frames * rng.uniform(5, 35)


def paint_stack(canvas: Canvas) -> None:
    """Timber, pipes, pallets, rebar or bricks in a heap with straight sides."""
    rng = canvas.rng
    at = frame(canvas)
    length_m, width_m = rng.uniform(1.5, 9), rng.uniform(1, 5)
    heap = box(at, length_m, width_m)
    shade = box(at.moved(*rng.normal(0, 0.5, 2)), length_m, width_m)
    canvas.lab[..., 0] *= 1 - shade * rng.uniform(0.3, 0.6)
    mean = np.array([rng.uniform(30, 80), rng.normal(4, 5), rng.normal(10, 10)])
    lay(canvas, heap, mean, rng.uniform(1, 4))
    # Pieces of about one width, none like the next.
    each_m = rng.uniform(0.12, 0.7)
    edges = np.cumsum(each_m * rng.uniform(0.7, 1.3, 200)) - 100 * each_m
    piece = np.searchsorted(edges, at.across)
    shift = rng.normal(0, 1, (201, 3)) * (rng.uniform(2, 12), rng.uniform(0, 4), rng.uniform(0, 5))
    gap = np.take(np.append(edges, 1e3), piece) - at.across < 0.07
    canvas.lab += heap[..., None] * shift[piece].astype(np.float32)
    canvas.lab[..., 0] -= heap * gap * rng.uniform(5, 25)


def paint_railway(canvas: Canvas) -> None:
    """Sleepers and rails on ballast."""
    rng = canvas.rng
    at = frame(canvas)
    lay(canvas, box(at, 300.0, rng.uniform(3, 5)), *ground.material(rng, ground.SOIL))
    sleepers = bars(at.along, rng.uniform(0.5, 0.75), rng.uniform(0.2, 0.3)) * box(at, 300.0, 2.5)
    mark(canvas, sleepers * rng.uniform(0.4, 1), (rng.uniform(30, 80), 2, 5))
    rails = box(at.moved(0, 0.72), 300.0, 0.12) + box(at.moved(0, -0.72), 300.0, 0.12)
    mark(canvas, rails, (rng.uniform(20, 75), 2, 3))


def paint_lattice(canvas: Canvas) -> None:
    """Concrete ribs that hold a slope, grass between them; or steps."""
    rng = canvas.rng
    at = frame(canvas)
    period_m, width_m = rng.uniform(0.5, 3.5), rng.uniform(0.12, 0.4)
    across = at.across if rng.random() < 0.6 else at.across + at.along
    ribs = bars(across, period_m, width_m)
    if rng.random() < 0.7:
        other = at.along if rng.random() < 0.6 else at.along - at.across
        ribs = np.maximum(ribs, bars(other, period_m * rng.uniform(0.7, 1.5), width_m))
    slope = box(at, rng.uniform(3, 30), rng.uniform(3, 15))
    lay(canvas, slope, *ground.material(rng, ground.VEGETATION))
    mean, deviation = ground.material(rng, {"concrete": ground.SEALED["concrete"]})
    ground.fill(canvas, ribs * slope * rng.uniform(0.4, 1), mean, deviation)


def paint_vehicles(canvas: Canvas) -> None:
    """Cars and lorries, parked side by side or alone."""
    rng = canvas.rng
    at = frame(canvas)
    lorry = rng.random() < 0.3
    length_m, width_m = (rng.uniform(6, 14), 2.5) if lorry else (rng.uniform(3.8, 5), 1.85)
    for number in range(int(rng.choice([1, 2, 5, 9]))):
        if rng.random() < 0.2:
            continue
        one = at.moved(rng.normal(0, 0.2), number * (width_m + rng.uniform(0.4, 1.0)))
        shade = box(one.moved(0.4, 0.5), length_m, width_m)
        canvas.lab[..., 0] *= 1 - 0.5 * shade
        colour = (rng.uniform(8, 95), rng.normal(0, 10), rng.normal(0, 10))
        lay(canvas, box(one, length_m, width_m), colour, 0.6)
        for where_m in () if lorry else (0.55, -1.5):
            mark(canvas, box(one.moved(where_m, 0), 0.6, 1.5), (18, 0, -3))


def paint_swaths(canvas: Canvas) -> None:
    """Grass as a mower leaves it: stripes of one growth, without soil between them."""
    rng = canvas.rng
    at = frame(canvas)
    mean, deviation = ground.material(rng, ground.VEGETATION)
    lay(canvas, np.ones_like(at.along) * rng.uniform(0.3, 1), mean, deviation)
    bend = ground.noise(rng, canvas.size_px, 12 / canvas.gsd_m) * rng.uniform(0, 0.4)
    wave = np.tanh(
        np.sin((at.across + bend) * 2 * np.pi / rng.uniform(0.5, 3)) * rng.uniform(0.5, 3)
    )
    step = np.array([rng.uniform(0.5, 4), rng.normal(0, 0.7), rng.normal(0, 1.5)])
    canvas.lab += wave[..., None] * step.astype(np.float32)


PAINTERS = (
    (paint_markings, 0.28),
    (paint_sheet_roof, 0.30),
    (objects.paint_roof, 0.10),
    (paint_panels, 0.06),
    (paint_stack, 0.10),
    (paint_railway, 0.05),
    (paint_lattice, 0.08),
    (paint_vehicles, 0.10),
    (objects.paint_edgings, 0.10),
    (objects.paint_wall, 0.10),
    (objects.paint_rubble, 0.08),
)
"""Each with its chance on a canvas."""


def paint_look_alikes(canvas: Canvas) -> Array:
    """Paints some of them; (rows, columns) bool, where anything was covered."""
    canvas.open_ground[:] = True
    for paint, chance in PAINTERS:
        if canvas.rng.random() < chance:
            paint(canvas)
    return ~canvas.open_ground
