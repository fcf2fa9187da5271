"""Fences: how each kind is built, how each breach changes it, and the pieces to draw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from corridor import Side
from corridor.findings import BreachType
from scenes.lines import FloatArray, Line
from scenes.spec import FenceKind

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class FenceStyle:
    """One kind of fence as built.

    Attributes:
        post_m: width of a post; panel_m: spacing of the posts.
        rail_m: thickness of the top rail or wire; 0 without one.
        solidity: share of light that the mesh stops, seen square on.
        wires: heights of single wires in metres, of thickness `wire_m`.
        wall_m: thickness of solid panels; 0 for mesh.
        post, mesh: reflectances.
    """

    kind: FenceKind
    height_m: float
    panel_m: float
    post_m: float
    rail_m: float
    solidity: float
    wires: tuple[float, ...]
    wire_m: float
    wall_m: float
    post: Colour
    mesh: Colour


@dataclass(frozen=True)
class Breach:
    """A broken stretch of a fence, [start, end) in metres along the true fence."""

    start_m: float
    end_m: float
    kind: BreachType
    variety: str
    posts_gone: bool = False


@dataclass(frozen=True)
class Fence:
    """One side's fence.

    Attributes:
        line: the true line at the posts' feet, in the direction of chainage.
        posts_m: (P,) stations of the posts.
        breaches: in order, not overlapping.
        no_fence: stretches [start, end) where none is built.
        drawn_offset_m: (N,) how far left of each of `line`'s vertices the map draws it.
    """

    route: str
    side: Side
    line: Line
    style: FenceStyle
    posts_m: FloatArray
    breaches: tuple[Breach, ...]
    no_fence: tuple[tuple[float, float], ...]
    drawn_offset_m: FloatArray

    @property
    def drawn(self) -> Line:
        """The line as the map has it, vertex by vertex beside the true one."""
        return Line(
            self.line.xy + self.drawn_offset_m[:, None] * self.line.left_at(self.line.station_m)
        )


_GREEN = (0.03, 0.085, 0.045)
_WHITE = (0.62, 0.63, 0.62)
_GALVANISED = (0.33, 0.34, 0.35)
_RUST = (0.16, 0.085, 0.05)
_CONCRETE = (0.36, 0.35, 0.32)


def choose_style(chance: np.random.Generator, kind: FenceKind | None) -> FenceStyle:
    """A fence as built, by chance within what is built along expressways (1.6 to 2.0 m)."""
    kinds = list(FenceKind)
    drawn = kinds[int(chance.choice(len(kinds), p=[0.35, 0.22, 0.15, 0.18, 0.10]))]
    kind = kind or drawn
    height_m = float(chance.uniform(1.6, 2.0))
    panel_m = float(chance.choice([2.0, 2.5, 3.0, 3.0]))
    colour = [_GREEN, _WHITE, _GALVANISED, _RUST][int(chance.choice(4, p=[0.45, 0.15, 0.28, 0.12]))]
    steel_m = float(chance.uniform(0.048, 0.075))
    concrete_m = float(chance.uniform(0.09, 0.13))
    rail_m = float(chance.uniform(0.02, 0.045))
    solid = float(chance.uniform(0.8, 1.2))
    if kind is FenceKind.WELDED_MESH:
        return FenceStyle(
            kind, height_m, panel_m, steel_m, rail_m, 0.12 * solid, (), 0.0, 0.0, colour, colour
        )
    if kind is FenceKind.CHAIN_LINK:
        return FenceStyle(
            kind, height_m, panel_m, steel_m, rail_m, 0.16 * solid, (), 0.0, 0.0, colour, colour
        )
    if kind is FenceKind.EXPANDED_METAL:
        return FenceStyle(
            kind, height_m, panel_m, steel_m, rail_m, 0.32 * solid, (), 0.0, 0.0, colour, colour
        )
    if kind is FenceKind.BARBED_WIRE:
        count = int(chance.integers(6, 11))
        wires = tuple(float(z) for z in np.linspace(0.2, height_m - 0.05, count))
        return FenceStyle(
            kind, height_m, panel_m, concrete_m, 0.0, 0.0, wires, 0.004, 0.0, _CONCRETE, _RUST
        )
    wall_m = float(chance.uniform(0.05, 0.09))
    return FenceStyle(
        kind, height_m, panel_m, concrete_m, 0.0, 1.0, (), 0.0, wall_m, _CONCRETE, _CONCRETE
    )


def build_elements(fence: Fence) -> FloatArray:
    """The fence as (M, 12) elements to draw: see `scenes.paint.paint_elements`."""
    style, rows = fence.style, []
    for station_m in fence.posts_m:
        if _inside(station_m, fence.no_fence):
            continue
        breach = next(
            (b for b in fence.breaches if b.start_m + 0.05 < station_m < b.end_m - 0.05), None
        )
        if breach is not None and breach.posts_gone:
            continue
        (x, y), (tx, ty) = fence.line.at(station_m)[0], fence.line.direction_at(station_m)[0]
        half = style.post_m / 2
        rows.append(
            _row(x - tx * half, y - ty * half, x + tx * half, y + ty * half,
                 style.post_m, 0.0, style.height_m + 0.03, 1.0, style.post)
        )  # fmt: skip
    for start_m, end_m in zip(fence.posts_m[:-1], fence.posts_m[1:], strict=True):
        for low_m, high_m, cut in _pieces(start_m, end_m, fence.breaches):
            if _inside((low_m + high_m) / 2, fence.no_fence):
                continue
            (ax, ay), (bx, by) = fence.line.at([low_m, high_m])
            if cut is None:
                rows.extend(_panel(style, ax, ay, bx, by, 0.0, style.height_m))
            elif cut.kind is BreachType.HOLE:
                top_m = min(style.height_m - 0.3, 1.2)
                rows.extend(_panel(style, ax, ay, bx, by, top_m, style.height_m))
            elif cut.kind is BreachType.COLLAPSED:
                rows.extend(_fallen(style, fence, low_m, high_m))
    return np.array(rows, dtype=np.float64).reshape(-1, 12)


def _pieces(
    start_m: float, end_m: float, breaches: tuple[Breach, ...]
) -> list[tuple[float, float, Breach | None]]:
    pieces: list[tuple[float, float, Breach | None]] = []
    at_m = start_m
    for breach in breaches:
        low_m, high_m = max(start_m, breach.start_m), min(end_m, breach.end_m)
        if high_m - low_m <= 1e-6:
            continue
        if low_m > at_m + 1e-6:
            pieces.append((at_m, low_m, None))
        pieces.append((low_m, high_m, breach))
        at_m = high_m
    if end_m > at_m + 1e-6:
        pieces.append((at_m, end_m, None))
    return pieces


def _panel(
    style: FenceStyle, ax: float, ay: float, bx: float, by: float, low_m: float, high_m: float
) -> list[list[float]]:
    rows = []
    if style.wall_m > 0.0:
        rows.append(_row(ax, ay, bx, by, style.wall_m, low_m, high_m, 1.0, style.mesh, lit=0.9))
        return rows
    if style.solidity > 0.0:
        rows.append(_row(ax, ay, bx, by, 0.006, low_m, high_m, style.solidity, style.mesh))
    for wire_m in style.wires:
        if low_m <= wire_m <= high_m:
            rows.append(_row(ax, ay, bx, by, style.wire_m, wire_m, wire_m, 1.0, style.mesh))
    if style.rail_m > 0.0 and high_m >= style.height_m - 1e-6:
        rows.append(
            _row(ax, ay, bx, by, style.rail_m, style.height_m, style.height_m, 1.0, style.mesh)
        )
    return rows


def _fallen(style: FenceStyle, fence: Fence, low_m: float, high_m: float) -> list[list[float]]:
    """A panel lying on the ground on the far side of the fence."""
    out = fence.side.outward
    lying = []
    count = max(2, round(style.height_m / 0.25))
    for k in range(count):
        (ax, ay), (bx, by) = fence.line.at([low_m, high_m])
        (lx, ly), (mx, my) = fence.line.left_at([low_m, high_m])
        d = out * style.height_m * (k + 0.5) / count
        opacity = 1.0 if style.wall_m > 0.0 else max(style.solidity, 0.06)
        lying.append(
            _row(ax + lx * d, ay + ly * d, bx + mx * d, by + my * d,
                 style.height_m / count, 0.05, 0.05, opacity, style.mesh)
        )  # fmt: skip
    return lying


def _row(
    ax: float, ay: float, bx: float, by: float, thickness_m: float, low_m: float, high_m: float,
    opacity: float, colour: Colour, lit: float = 1.0,
) -> list[float]:  # fmt: skip
    return [ax, ay, bx, by, thickness_m, low_m, high_m, opacity, *colour, lit]


def _inside(station_m: float, stretches: tuple[tuple[float, float], ...]) -> bool:
    return any(start_m <= station_m < end_m for start_m, end_m in stretches)
