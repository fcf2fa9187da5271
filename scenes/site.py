"""The plan of a place: its roads and where its fences run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import shapely

from corridor import Side
from scenes.grid import Window
from scenes.lines import FloatArray, Line, to_window
from scenes.noise import smooth_1d
from scenes.roads import Road
from scenes.spec import SceneSpec


@dataclass(frozen=True)
class Mound:
    """An embankment along a line: `lift_m` at each vertex, flat for `flat_m` to both sides, then
    sloping over `batter_m`."""

    line: Line
    lift_m: FloatArray
    flat_m: float
    batter_m: float


@dataclass(frozen=True)
class Site:
    """Roads and fence lines of one place.

    Attributes:
        roads: in painting order.
        verges_m: width of the ground between each side's fence and its road, in order of `Side`.
        no_fence: stretches of each fence line where none is built, and why.
        half_width_m: how far the picture reaches to each side of the centreline at most.
        extent: what the picture covers.
        lift_m: how much higher than the road the natural ground lies, left and right; batter_m:
            width of the slope between.
        loops: index of the fence round it, middle and radius of the open ground in a ramp's loop.
        mounds: embankments of raised roads. deck: middle, direction, length, width and height of a
            bridge over the road.
        culverts: where on the centreline a stream is led under the road, how wide, and how high its
            head wall stands.
        tunnel_m, viaduct_m: where on the centreline a tunnel begins and a viaduct ends.
    """

    route: str
    centreline: Line
    roads: tuple[Road, ...]
    fence_lines: dict[Side, Line]
    verges_m: tuple[float, ...]
    no_fence: dict[Side, tuple[tuple[float, float, str], ...]]
    half_width_m: float
    extent: shapely.Polygon
    lift_m: tuple[float, float] = (0.0, 0.0)
    batter_m: float = 12.0
    loops: tuple[tuple[int, FloatArray, float], ...] = ()
    mounds: tuple[Mound, ...] = ()
    deck: tuple[FloatArray, FloatArray, float, float, float] | None = None
    culverts: tuple[tuple[float, float, float], ...] = ()
    tunnel_m: float | None = None
    viaduct_m: float | None = None

    @property
    def bounds_m(self) -> tuple[float, float, float, float]:
        """West, south, east, north of the extent, on whole metres."""
        west, south, east, north = self.extent.bounds
        return math.floor(west), math.floor(south), math.ceil(east), math.ceil(north)

    @cached_property
    def _rim(self) -> Line:
        ring = shapely.geometry.polygon.orient(self.extent).exterior
        return Line(np.array(ring.segmentize(20.0).coords))

    @cached_property
    def _whole(self) -> shapely.Geometry:
        shapely.prepare(self.extent)
        return self.extent

    @cached_property
    def _road_area(self) -> shapely.Geometry:
        area = shapely.union_all(
            [shapely.LineString(r.line.xy).buffer(r.width_m / 2 + 1.0) for r in self.roads]
        )
        shapely.prepare(area)
        return area

    def clear(self, x: float, y: float, margin_m: float) -> bool:
        """Whether a place is at least `margin_m` beside every road."""
        return bool(shapely.distance(self._road_area, shapely.Point(x, y)) > margin_m)

    def inside(self, window: Window) -> npt.NDArray[np.bool_]:
        """Which pixels the picture covers, (height, width)."""
        shape = (window.height, window.width)
        coarse = window.coarse(0.5, 0.0)
        area = shapely.box(*coarse.bounds_m)
        if not shapely.intersects(self._whole, area):
            return np.zeros(shape, bool)
        if shapely.contains_properly(self._whole, area):
            return np.ones(shape, bool)
        # The nearest piece of the rim is one within the window's own size of it.
        found = self._rim.field(coarse, math.hypot(coarse.width, coarse.height) * coarse.px_m)
        if found is None:
            return np.zeros(shape, bool)
        return np.asarray(to_window(found[1], coarse, window) > 0.0)


def wandering_line(spec: SceneSpec, chance: np.random.Generator, turn_deg: float) -> Line:
    """A gently bending road of the length asked for, more or less along east or north."""
    heading = float(chance.choice([0.0, 90.0])) + float(chance.uniform(-turn_deg, turn_deg))
    count = int(spec.length_m) + 1
    bend = float(chance.uniform(-0.06, 0.06))
    phase = float(chance.uniform(0.0, 2 * math.pi))
    station = np.linspace(0.0, spec.length_m, count)
    turn = np.radians(heading) + bend * np.sin(2 * math.pi * station / 900.0 + phase)
    step = station[1] - station[0]
    x = np.concatenate([[0.0], np.cumsum(np.cos(turn[:-1]) * step)])
    y = np.concatenate([[0.0], np.cumsum(np.sin(turn[:-1]) * step)])
    return Line(np.column_stack([x, y]))


def parallel(centreline: Line, side: Side, offset_m: float, chance: np.random.Generator) -> Line:
    """A fence line beside a road, with the slow wander of real ones, posts set by eye."""
    seed = int(chance.integers(2**30))
    wander = np.array(
        [0.5 * smooth_1d(s / 45.0, seed) + 0.06 * smooth_1d(s / 8.0, seed + 1)
         for s in centreline.station_m]
    )  # fmt: skip
    return centreline.offset(side.outward * (offset_m + wander))


def carriageways(centreline: Line, median_m: float) -> tuple[Road, ...]:
    """Two carriageways of two lanes and a hard shoulder, `median_m` half a median apart."""
    roads = []
    for sign in (1, -1):
        # Inner shoulder 0.75, two lanes of 3.75, hard shoulder 3.0.
        middle_m = median_m + 11.25 / 2
        line = centreline.offset(sign * middle_m)
        inner_m = -sign * (11.25 / 2 - 0.75)
        roads.append(
            Road(
                line,
                11.25,
                lane_marks_m=(inner_m + sign * 3.75,),
                edge_marks_m=(inner_m, inner_m + sign * 7.5),
                shoulder_m=0.75,
                rails_m=(sign * (11.25 / 2 + 0.45), -sign * (11.25 / 2 + 0.35)),
            )
        )
    return tuple(roads)
