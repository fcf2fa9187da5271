"""The named kinds of place."""

from __future__ import annotations

import math

import numpy as np
import shapely
from scipy.ndimage import gaussian_filter1d

from corridor import Side
from scenes.lines import FloatArray, Line
from scenes.roads import Road
from scenes.site import Mound, Site, carriageways, parallel, wandering_line
from scenes.spec import Preset, SceneSpec

_BRIDGE_M = 6.5  # clearance and deck of a road over an expressway


def choose_site(spec: SceneSpec) -> Site:
    """The plan of a place of the kind asked for."""
    return {
        Preset.STRAIGHT: _straight,
        Preset.VILLAGE: _straight,
        Preset.CUTTING: _cutting,
        Preset.INTERCHANGE: _interchange,
        Preset.EMBANKMENT: _embankment,
    }[spec.preset](spec)


def _straight(spec: SceneSpec) -> Site:
    chance = spec.chance("route")
    centreline = wandering_line(spec, chance, 12.0)
    offsets = {side: float(chance.uniform(16.5, 25.0)) for side in Side}
    median_m = float(chance.uniform(1.0, 1.5))
    half_m = max(offsets.values()) + spec.band_m
    return Site(
        route="G75",
        centreline=centreline,
        roads=carriageways(centreline, median_m),
        fence_lines={side: parallel(centreline, side, offsets[side], chance) for side in Side},
        verges_m=tuple(offsets[side] - 12.6 - median_m for side in Side),
        no_fence=dict.fromkeys(Side, ()),
        half_width_m=half_m,
        extent=shapely.LineString(centreline.xy).buffer(half_m, cap_style="flat"),
        lift_m=(float(chance.normal(0.0, 1.5)), float(chance.normal(0.0, 1.5))),
        batter_m=float(chance.uniform(8.0, 16.0)),
    )


def _cutting(spec: SceneSpec) -> Site:
    """A road cut into a mountain, a tunnel at its end and a viaduct at its start."""
    chance = spec.chance("route")
    centreline = wandering_line(spec, chance, 12.0)
    length = centreline.length_m
    batter_m = float(chance.uniform(14.0, 24.0))
    offsets = {side: 14.5 + batter_m + float(chance.uniform(1.0, 3.0)) for side in Side}
    median_m = float(chance.uniform(1.0, 1.5))
    tunnel_m = length - float(chance.uniform(0.10, 0.18)) * length
    viaduct_m = float(chance.uniform(0.10, 0.18)) * length
    no_fence: dict[Side, tuple[tuple[float, float, str], ...]] = {}
    lines = {}
    for side in Side:
        line = parallel(centreline, side, offsets[side], chance)
        lines[side] = line
        away_m = side.outward * offsets[side]
        ends = (viaduct_m, tunnel_m)
        at = [line.locate(centreline.at(s) + away_m * centreline.left_at(s))[0] for s in ends]
        no_fence[side] = (
            (0.0, float(at[0][0]), "viaduct"),
            (float(at[1][0]), line.length_m, "tunnel"),
        )
    open_road = centreline.between(0.0, tunnel_m)
    half_m = max(offsets.values()) + spec.band_m
    lift = float(chance.uniform(7.0, 13.0))
    return Site(
        route="G75",
        centreline=centreline,
        roads=carriageways(open_road, median_m),
        fence_lines=lines,
        verges_m=tuple(offsets[side] - 12.6 - median_m for side in Side),
        no_fence=no_fence,
        half_width_m=half_m,
        extent=shapely.LineString(centreline.xy).buffer(half_m, cap_style="flat"),
        lift_m=(lift * float(chance.uniform(0.8, 1.2)), lift * float(chance.uniform(0.5, 1.2))),
        batter_m=batter_m,
        tunnel_m=tunnel_m,
        viaduct_m=viaduct_m,
    )


def _embankment(spec: SceneSpec) -> Site:
    """A road on a bank above fields, fenced at the bank's foot, with streams led under it."""
    chance = spec.chance("route")
    centreline = wandering_line(spec, chance, 12.0)
    batter_m = float(chance.uniform(7.0, 13.0))
    offsets = {side: 14.5 + batter_m + float(chance.uniform(1.0, 3.0)) for side in Side}
    median_m = float(chance.uniform(1.0, 1.5))
    half_m = max(offsets.values()) + spec.band_m
    culverts, at_m = [], float(chance.uniform(18.0, 35.0))
    while at_m < centreline.length_m - 15.0:
        culverts.append((at_m, float(chance.uniform(1.5, 4.0)), float(chance.uniform(0.5, 1.3))))
        at_m += float(chance.uniform(30.0, 80.0))
    return Site(
        route="G75",
        centreline=centreline,
        roads=carriageways(centreline, median_m),
        fence_lines={side: parallel(centreline, side, offsets[side], chance) for side in Side},
        verges_m=tuple(offsets[side] - 12.6 - median_m for side in Side),
        no_fence=dict.fromkeys(Side, ()),
        half_width_m=half_m,
        extent=shapely.LineString(centreline.xy).buffer(half_m, cap_style="flat"),
        lift_m=(-float(chance.uniform(2.5, 6.0)), -float(chance.uniform(2.5, 6.0))),
        batter_m=batter_m,
        culverts=tuple(culverts),
    )


def _interchange(spec: SceneSpec) -> Site:
    """A loop ramp down from a road that crosses over; people grow things in such loops."""
    chance = spec.chance("route")
    centreline = wandering_line(spec, chance, 8.0)
    length = centreline.length_m
    median_m = float(chance.uniform(1.0, 1.5))
    offset_m = float(chance.uniform(19.0, 24.0))
    radius_m = min(float(chance.uniform(36.0, 46.0)), 0.16 * length)
    edge_m = median_m + 11.25
    cross_at = float(chance.uniform(0.62, 0.72)) * length
    foot, along = centreline.at(cross_at)[0], centreline.direction_at(cross_at)[0]
    left = centreline.left_at(cross_at)[0]
    reach_m = offset_m + spec.band_m + 2.2 * radius_m + 40.0
    cross = _segment(foot + left * reach_m, foot - left * reach_m)
    # The loop lies right of the road and before the crossing, touching both.
    centre = foot - along * (radius_m + 8.0) - left * (radius_m + edge_m + 3.0)
    angle = np.radians(np.linspace(90.0, 360.0, 200))
    circle = centre + radius_m * (np.cos(angle)[:, None] * along + np.sin(angle)[:, None] * left)
    run_in = centre + radius_m * left + along * np.linspace(38.0, 1.0, 30)[:, None]
    run_out = centre + radius_m * along + left * np.linspace(1.0, radius_m - 4.0, 30)[:, None]
    ramp = Line(
        gaussian_filter1d(np.vstack([run_in, circle, run_out]), 2.0, axis=0, mode="nearest")
    )
    roads = (
        *carriageways(centreline, median_m),
        Road(ramp, 7.5, (), (-3.1, 3.1), 0.6, (4.0,)),
        Road(cross, 12.0, (0.0,), (-5.2, 5.2), 0.5, (-6.4, 6.4), above_m=_BRIDGE_M),
    )
    region = shapely.union_all(
        [
            shapely.LineString(centreline.xy).buffer(offset_m, cap_style="flat"),
            shapely.Point(centre).buffer(radius_m + 9.0 + offset_m - 17.0),
            shapely.LineString([centre, centre + left * 20.0]).buffer(radius_m),
        ]
    )
    region = region.buffer(14.0).buffer(-28.0).buffer(14.0)
    right = _right_edge(_largest(region), centreline, offset_m)
    fence_lines = {
        Side.LEFT: parallel(centreline, Side.LEFT, offset_m, chance),
        Side.RIGHT: right,
    }
    no_fence = {side: _under(cross, line, 8.5) for side, line in fence_lines.items()}
    extent = region.union(shapely.LineString(centreline.xy).buffer(offset_m, cap_style="flat"))
    extent = extent.buffer(spec.band_m).intersection(
        shapely.LineString(centreline.xy).buffer(1000.0, cap_style="flat")
    )
    # Rounded corners: which side of its rim a place is on is told by the nearest piece of it.
    extent = _largest(extent.buffer(4.0).buffer(-8.0).buffer(4.0))
    climb = np.linspace(0.0, _BRIDGE_M, len(ramp.xy))
    deck = (foot, left, 2.0 * edge_m + 10.0, 13.0, _BRIDGE_M)
    beside = np.abs(centreline.locate(cross.xy)[1])
    level = np.where(beside < edge_m + 4.5, 0.0, _BRIDGE_M)
    return Site(
        route="G75",
        centreline=centreline,
        roads=roads,
        fence_lines=fence_lines,
        verges_m=(offset_m - edge_m - 1.4, offset_m - edge_m - 1.4),
        no_fence=no_fence,
        half_width_m=offset_m + spec.band_m + 2 * radius_m + 20.0,
        extent=extent,
        lift_m=(float(chance.normal(0.0, 1.0)), float(chance.normal(0.0, 1.0))),
        batter_m=12.0,
        loops=((1, centre, radius_m - 5.0),),
        mounds=(Mound(cross, level, 7.5, 11.0), Mound(ramp, climb, 5.0, 7.0)),
        deck=deck,
    )


def _segment(a: FloatArray, b: FloatArray) -> Line:
    count = max(2, math.ceil(float(np.hypot(*(b - a)))))
    return Line(np.linspace(a, b, count + 1))


def _largest(area: shapely.Geometry) -> shapely.Polygon:
    parts = [part for part in shapely.get_parts(area) if isinstance(part, shapely.Polygon)]
    return max(parts, key=lambda part: part.area)


def _right_edge(region: shapely.Polygon, centreline: Line, offset_m: float) -> Line:
    """The part of a region's outline that lies right of a road, from its start to its end."""
    ring = np.array(region.exterior.segmentize(1.0).coords)[:-1]
    station, offset = centreline.locate(ring)
    mine = (offset < -(offset_m - 1.0)) & (station > 1.0) & (station < centreline.length_m - 1.0)
    edges = np.flatnonzero(np.diff(np.concatenate([mine, mine[:1]]).astype(int)) == 1)
    ring, mine = np.roll(ring, -(edges[0] + 1), axis=0), np.roll(mine, -(edges[0] + 1))
    first = np.flatnonzero(~mine)
    ring = ring[: first[0]] if len(first) else ring
    if centreline.locate(ring[:1])[0][0] > centreline.locate(ring[-1:])[0][0]:
        ring = ring[::-1]
    ends = [centreline.at(s) - offset_m * centreline.left_at(s) for s in (0.0, centreline.length_m)]
    rough = Line(np.vstack([ends[0], ring, ends[1]]))
    dense = rough.at(np.linspace(0.0, rough.length_m, math.ceil(rough.length_m)))
    smooth = gaussian_filter1d(dense, 2.5, axis=0, mode="nearest")
    smooth[0], smooth[-1] = dense[0], dense[-1]
    return Line(smooth)


def _under(road: Line, fence: Line, half_m: float) -> tuple[tuple[float, float, str], ...]:
    """Where a fence line passes a raised road's embankment: the fence ends at its walls."""
    stations = np.arange(0.0, fence.length_m, 0.25)
    near = np.abs(road.locate(fence.at(stations))[1]) < half_m
    edges = np.flatnonzero(np.diff(np.concatenate([[0], near.astype(int), [0]])))
    return tuple(
        (float(stations[a]), min(fence.length_m, float(stations[b - 1]) + 0.25), "bridge")
        for a, b in edges.reshape(-1, 2)
    )
