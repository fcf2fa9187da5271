"""Fences: how each kind is built, how each breach changes it, and the pieces to draw."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from corridor import Side
from corridor.findings import BreachType
from scenes import elements
from scenes.elements import Colour
from scenes.lines import FloatArray, Line
from scenes.spec import FenceKind


@dataclass(frozen=True)
class FenceStyle:
    """One kind of fence as built.

    Attributes:
        panel_m: spacing of the posts; post_m: their width.
        rail_m: thickness of the top rail or wire; 0 without one.
        solidity: share of light that the mesh stops, seen square on.
        wires: heights of single wires in metres, of thickness `wire_m`.
        wall_m: thickness of solid panels; 0 for mesh.
        post, mesh: reflectances.
        mesh_m: spacing of the wires along the fence and upwards; the second is negative for
            wires that cross aslant, as the diagonals of diamonds this wide and high.
        footing_m: width of the concrete block at each post's foot; 0 if it does not show.
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
    footing_m: float = 0.0
    colour: str = ""
    mesh_m: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Breach:
    """A broken stretch of a fence, [start, end) in metres along the true fence.

    Attributes:
        variety: how exactly; see docs/scenes.md.
        tilt_deg: of panels that lean or lie, from upright; positive away from the road.
        epoch: when it was broken.
    """

    start_m: float
    end_m: float
    kind: BreachType
    variety: str
    posts_gone: bool = False
    tilt_deg: float = 0.0
    epoch: int = 1


@dataclass(frozen=True)
class Fence:
    """One side's fence.

    Attributes:
        line: the true line at the posts' feet, in the direction of chainage.
        posts_m: (P,) stations of the posts.
        breaches: in order, not overlapping; mended: those that were broken a month before.
        no_fence: stretches [start, end) where none is built, and why.
        drawn_offset_m: (N,) how far left of each of `line`'s vertices the map draws it.
        steps: stretches [start, end) from post to post that stand on a wall, and how high it is.
    """

    route: str
    side: Side
    line: Line
    style: FenceStyle
    posts_m: FloatArray
    breaches: tuple[Breach, ...]
    mended: tuple[Breach, ...]
    no_fence: tuple[tuple[float, float, str], ...]
    drawn_offset_m: FloatArray
    steps: tuple[tuple[float, float, float], ...] = ()

    @property
    def drawn(self) -> Line:
        """The line as the map has it, vertex by vertex beside the true one."""
        return Line(
            self.line.xy + self.drawn_offset_m[:, None] * self.line.left_at(self.line.station_m)
        )

    def lift_m(self, station_m: float) -> float:
        """How high above the ground the fence's foot stands at a station."""
        return next((high for a, b, high in self.steps if a <= station_m < b), 0.0)

    def missing(self, station_m: float) -> bool:
        """Whether no fence is built at a station."""
        return any(start_m <= station_m < end_m for start_m, end_m, _ in self.no_fence)


_COLOURS: dict[str, Colour] = {
    "green": (0.035, 0.095, 0.050),
    "white": (0.62, 0.63, 0.62),
    "galvanised": (0.33, 0.34, 0.35),
    "rusty": (0.17, 0.09, 0.052),
}
_CONCRETE: Colour = (0.37, 0.36, 0.33)


def choose_style(chance: np.random.Generator, kind: FenceKind | None) -> FenceStyle:
    """A fence as built, by chance within what is built along expressways (1.6 to 2.0 m high)."""
    kinds = list(FenceKind)
    drawn = kinds[int(chance.choice(len(kinds), p=[0.34, 0.22, 0.16, 0.18, 0.10]))]
    kind = kind or drawn
    name = list(_COLOURS)[int(chance.choice(4, p=[0.42, 0.15, 0.28, 0.15]))]
    colour: Colour = tuple(  # type: ignore[assignment]
        float(v)
        for v in np.array(_COLOURS[name]) * np.exp(chance.normal(0.0, 0.15, 3) * [1, 0.3, 0.3])
    )
    height_m = float(chance.uniform(1.6, 2.0))
    panel_m = float(chance.choice([2.0, 2.5, 3.0, 3.0]))
    steel_m = float(chance.uniform(0.048, 0.075))
    concrete_m = float(chance.uniform(0.09, 0.13))
    rail_m = float(chance.uniform(0.012, 0.045))
    solid = float(chance.uniform(0.75, 1.3))
    concrete_posts = chance.uniform() < 0.3
    footing_m = float(chance.uniform(0.22, 0.4)) if chance.uniform() < 0.35 else 0.0
    style = FenceStyle(
        kind, height_m, panel_m, concrete_m if concrete_posts else steel_m, rail_m, 0.0, (), 0.0,
        0.0, _CONCRETE if concrete_posts else colour, colour, footing_m, name,
    )  # fmt: skip
    if kind is FenceKind.WELDED_MESH:
        return replace(style, solidity=0.12 * solid, mesh_m=(0.06, 0.15))
    if kind is FenceKind.CHAIN_LINK:
        return replace(style, solidity=0.16 * solid, mesh_m=(0.075, -0.075))
    if kind is FenceKind.EXPANDED_METAL:
        return replace(style, solidity=0.32 * solid, mesh_m=(0.08, -0.04))
    if kind is FenceKind.BARBED_WIRE:
        count = int(chance.integers(6, 11))
        wires = tuple(float(z) for z in np.linspace(0.2, height_m - 0.05, count))
        return replace(
            style, post_m=concrete_m, rail_m=0.0, wires=wires, wire_m=0.004, post=_CONCRETE,
            mesh=_COLOURS["rusty"], colour="concrete",
        )  # fmt: skip
    wall_m = float(chance.uniform(0.05, 0.09))
    return replace(
        style, post_m=concrete_m, rail_m=0.0, solidity=1.0, wall_m=wall_m, post=_CONCRETE,
        mesh=_CONCRETE, colour="concrete",
    )  # fmt: skip


def build_elements(fence: Fence, seed: np.random.Generator) -> FloatArray:
    """The fence as (M, 16) elements to draw."""
    style = fence.style
    rows: list[list[float]] = []
    for station_m in fence.posts_m:
        if fence.missing(station_m):
            continue
        near = [b for b in fence.breaches if b.start_m - 0.05 <= station_m <= b.end_m + 0.05]
        inside = [b for b in near if b.start_m + 0.05 < station_m < b.end_m - 0.05]
        if any(b.posts_gone for b in inside):
            continue
        tilt_deg = max((b.tilt_deg for b in near), key=abs, default=0.0)
        x, y = fence.line.at(station_m)[0]
        along = fence.line.direction_at(station_m)[0]
        if style.footing_m > 0.0 and seed.uniform() < 0.85:
            half = style.footing_m / 2 * along
            rows.append(
                elements.row(x - half[0], y - half[1], x + half[0], y + half[1],
                             style.footing_m, 0.02, 0.02, _CONCRETE, opacity=0.85)
            )  # fmt: skip
        # The post at a step's edge carries the panels on both of its sides.
        lift_m = max((h for a, b, h in fence.steps if a - 0.05 <= station_m <= b + 0.05), default=0)
        height_m = style.height_m + 0.03 + lift_m
        # Posts never stand quite upright.
        sway = float(seed.normal(0.0, 1.2))
        tilt, high_m = _tilted(fence, station_m, tilt_deg + sway, height_m)
        rows.append(elements.post(x, y, along, style.post_m, high_m, style.post, tilt))
    for start_m, end_m in zip(fence.posts_m[:-1], fence.posts_m[1:], strict=True):
        for low_m, high_m, breach in _pieces(start_m, end_m, fence.breaches):
            if fence.missing((low_m + high_m) / 2):
                continue
            lift_m = fence.lift_m((low_m + high_m) / 2)
            for row in _draw_piece(fence, low_m, high_m, breach):
                row[elements.LOW] += lift_m
                row[elements.HIGH] += lift_m
                rows.append(row)
    return elements.as_array(rows)


def _draw_piece(
    fence: Fence, low_m: float, high_m: float, breach: Breach | None
) -> list[list[float]]:
    style = fence.style
    if breach is None:
        return _panel(fence, low_m, high_m, 0.0, style.height_m, 0.0)
    if breach.kind is BreachType.HOLE:
        top_m = min(style.height_m - 0.3, 1.2)
        rows = _panel(fence, low_m, high_m, top_m, style.height_m, 0.0)
        if breach.variety == "cut, mesh folded back":
            middle_m = (low_m + high_m) / 2
            for a, b in ((low_m, middle_m), (middle_m, high_m)):
                rows += _panel(fence, a, b, 0.0, top_m, breach.tilt_deg)
        return rows
    if breach.kind is BreachType.COLLAPSED:
        return _panel(fence, low_m, high_m, 0.0, style.height_m, breach.tilt_deg)
    if breach.variety == "gate left open" and low_m <= breach.start_m + 0.01:
        # The leaf swings about its post at the start.
        (ax, ay), along = fence.line.at(low_m)[0], fence.line.direction_at(low_m)[0]
        turn = math.radians(breach.tilt_deg)
        dx = along[0] * math.cos(turn) - along[1] * math.sin(turn)
        dy = along[0] * math.sin(turn) + along[1] * math.cos(turn)
        leaf_m = min(1.5, breach.end_m - breach.start_m)
        bx, by = ax + dx * leaf_m, ay + dy * leaf_m
        return [
            elements.row(
                ax, ay, bx, by, 0.01, 0.1, style.height_m, style.mesh, 0.3, mesh_m=style.mesh_m
            ),
            elements.row(ax, ay, bx, by, 0.045, style.height_m, style.height_m, style.mesh),
        ]
    return []


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


def _tilted(
    fence: Fence, station_m: float, tilt_deg: float, height_m: float
) -> tuple[tuple[float, float], float]:
    """How far the top of something `height_m` long stands off, and how high it still is."""
    if tilt_deg == 0.0:
        return (0.0, 0.0), height_m
    away = fence.side.outward * fence.line.left_at(station_m)[0]
    turn = math.radians(tilt_deg)
    off_m = height_m * math.sin(turn)
    return (float(away[0] * off_m), float(away[1] * off_m)), max(0.04, height_m * math.cos(turn))


def _panel(
    fence: Fence, start_m: float, end_m: float, low_m: float, high_m: float, tilt_deg: float
) -> list[list[float]]:
    style = fence.style
    (ax, ay), (bx, by) = fence.line.at([start_m, end_m])
    middle_m = (start_m + end_m) / 2
    tilt, top_m = _tilted(fence, middle_m, tilt_deg, high_m - low_m)
    top_m += low_m
    rows = []
    if style.wall_m > 0.0:
        rows.append(
            elements.row(ax, ay, bx, by, style.wall_m, low_m, top_m, style.mesh, 1.0, 0.85, tilt)
        )
        return rows
    if style.solidity > 0.0:
        # Seen flat, a mesh stops more light than its wires' own area: it has depth.
        opacity = min(1.0, style.solidity * (1.0 + 0.3 * abs(math.sin(math.radians(tilt_deg)))))
        rows.append(
            elements.row(
                ax, ay, bx, by, 0.006, low_m, top_m, style.mesh, opacity, 1.0, tilt, style.mesh_m
            )
        )
    for wire_m in style.wires:
        if low_m <= wire_m <= high_m:
            share = (wire_m - low_m) / (high_m - low_m)
            dx, dy = tilt[0] * share, tilt[1] * share
            at_m = low_m + (top_m - low_m) * share
            rows.append(
                elements.row(
                    ax + dx, ay + dy, bx + dx, by + dy, style.wire_m, at_m, at_m, style.mesh
                )
            )
    if style.rail_m > 0.0 and high_m >= style.height_m - 1e-6:
        rows.append(
            elements.row(ax + tilt[0], ay + tilt[1], bx + tilt[0], by + tilt[1],
                         style.rail_m, top_m, top_m, style.mesh)
        )  # fmt: skip
    return rows
