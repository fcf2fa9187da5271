"""Ways between launch sites and lanes: around keep-outs, square over carriageways, clear of ground.

A straight line is taken where it touches neither a keep-out nor a carriageway, or crosses the
carriageway about square. Otherwise the way follows lines on the outer side of the fences, joined by
square crossings every hundred metres or so, and is pulled straight again where nothing is touched.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import shapely
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import cKDTree
from shapely.geometry.base import BaseGeometry

from corridor import Track
from corridor.values import FloatArray
from missions.airspace import Airspace
from missions.lanes import offset_track
from missions.runs import ROUNDING_M, smooth_m
from missions.tube import Tube, fewest_legs, lowest_path_m

_STEEPEST = 1.0
"""Legs climb at most 45°; the aircraft slows down to its climb rate on them."""

_ABOVE_FLOOR_M = 3.0
_NODE_EVERY_M = 60.0
_CROSSING_COST_M = 200.0
_SQUARE_DEG = 60.0
_AROUND_M = 600.0
_DOORS = 14
_FEW_NODES = 20
_BETWEEN_M = 130.0


@dataclass(frozen=True)
class _Roads:
    """Lines beside the fences as a graph; `known`: whether there are elevations all around."""

    xy: FloatArray
    known: npt.NDArray[np.bool_]
    edges: npt.NDArray[np.int64]
    crossing: npt.NDArray[np.bool_]


class Router:
    """Finds ways in one airspace.

    Args:
        height_m: above ground at which to fly between lanes where nothing asks for more.
    """

    def __init__(self, airspace: Airspace, height_m: float) -> None:
        self.airspace = airspace
        self.height_m = height_m
        margin_m = airspace.survey.safety.lateral_error_m
        # Zones that can be flown over are a matter of height, not of the way.
        self._walls = [
            shapely.buffer(zone.area, margin_m + 2.0)
            for zone in airspace.zones
            if zone.ceiling_m + airspace.survey.safety.dem_error_m
            >= airspace.survey.safety.ceiling_m
        ]

    def way(self, start: FloatArray, end: FloatArray) -> FloatArray | None:
        """Points (K, 3) from one place to another, climbing on the spot at either where needed.

        Args:
            start, end: (3,) positions; both may be below the lowest allowed height (on the ground).

        Returns:
            None if there is no way within the limits.
        """
        if float(np.hypot(*(end - start)[:2])) < 0.5:
            return np.array([start, end])
        route = self.route(start[:2], end[:2])
        if route is None:
            return None
        return self._with_heights(route, float(start[2]), float(end[2]))

    def route(self, start: FloatArray, end: FloatArray) -> FloatArray | None:
        """The way over ground, (N, 2), or None."""
        if self._direct_is_fine(start, end):
            return np.array([start, end])
        nodes, edges, crossing = self._around(start, end)
        link, costs = [], []
        for a, b, over in zip(edges[:, 0], edges[:, 1], crossing, strict=True):
            length = float(np.hypot(*(nodes[b] - nodes[a])))
            link.append((int(a), int(b)))
            costs.append(length + (_CROSSING_COST_M if over else 0.0) + 0.01)
        if not link:
            return None
        rows, columns = np.array(link).T
        graph = csr_matrix((costs, (rows, columns)), shape=(len(nodes), len(nodes)))
        distance, before = dijkstra(graph, directed=False, indices=0, return_predecessors=True)
        if not np.isfinite(distance[1]):
            return None
        path = [1]
        while path[-1] != 0:
            path.append(int(before[path[-1]]))
        path.reverse()
        over = {frozenset(pair) for pair, c in zip(link, crossing, strict=True) if c}
        return self._pulled_straight(nodes, path, over)

    def _direct_is_fine(self, start: FloatArray, end: FloatArray) -> bool:
        line = shapely.LineString([start, end])
        if any(shapely.intersects(wall, line) for wall in self._walls):
            return False
        if self._is_clear(line):
            return True
        return self.airspace.survey.safety.crossing == "square" and self._is_square(line)

    def _is_clear(self, line: BaseGeometry) -> bool:
        roads = self.airspace.carriageways
        return not len(roads.geometries) or not len(roads.query(line, predicate="intersects"))

    def _is_square(self, line: shapely.LineString) -> bool:
        """Whether a line crosses one carriageway, once, at 60° or more."""
        directions, area = self.airspace.carriageway_at(line)
        over = shapely.intersection(line, area)
        if shapely.get_num_geometries(over) != 1:
            return False
        ends = np.array(line.coords)
        if shapely.intersects(area, shapely.points(ends)).any():
            return False  # it would start or end above live lanes
        step = ends[-1] - ends[0]
        unit = step / np.hypot(*step)
        return bool((np.abs(directions @ unit) <= math.cos(math.radians(_SQUARE_DEG))).all())

    @cached_property
    def _roads(self) -> _Roads:
        """The graph of the whole survey, built once."""
        airspace, safety = self.airspace, self.airspace.survey.safety
        beside_m = max(safety.carriageway_distance_m, 5.0) + safety.lateral_error_m
        nodes: list[FloatArray] = []
        edges: list[tuple[int, int, bool]] = []
        doors: list[tuple[int, FloatArray, FloatArray]] = []
        count = 0
        for boundary in airspace.boundaries:
            outward = float(boundary.side.outward)
            for part in range(len(boundary.parts)):
                track = Track.of(boundary, part, airspace.frame)
                line, _ = offset_track(track, outward * beside_m)
                at = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
                s = np.linspace(0.0, at[-1], max(2, round(at[-1] / _NODE_EVERY_M) + 1))
                xy = np.column_stack([np.interp(s, at, line[:, axis]) for axis in (0, 1)])
                step = np.gradient(xy, axis=0)
                unit = step / np.maximum(np.hypot(*step.T), 1e-9)[:, None]
                inward = -outward * np.column_stack([-unit[:, 1], unit[:, 0]])
                edges += [(count + k, count + k + 1, False) for k in range(len(xy) - 1)]
                every = 2 if len(xy) > _FEW_NODES else 1
                doors += [(count + k, xy[k], inward[k]) for k in range(0, len(xy), every)]
                nodes.append(xy)
                count += len(xy)
        all_nodes = list(np.concatenate(nodes))
        plain = [(a, b) for a, b, _ in edges]
        if safety.crossing == "square" and safety.carriageway_width_m > 0:
            edges += self._crossings(all_nodes, plain, doors, beside_m)
        xy = np.array(all_nodes)
        table = np.array([(a, b) for a, b, _ in edges], dtype=np.int64)
        crossing = np.array([over for _, _, over in edges], dtype=bool)
        lines = shapely.linestrings(xy[table])
        usable = np.ones(len(table), dtype=bool)
        roads = airspace.carriageways
        if len(roads.geometries):
            touched = np.zeros(len(table), dtype=bool)
            touched[roads.query(lines, predicate="intersects")[0]] = True
            usable &= ~touched | crossing
        for wall in self._walls:
            usable &= ~np.asarray(shapely.intersects(wall, lines))
        known = airspace.dem.known_around(xy, safety.lateral_error_m)
        usable &= known[table].all(axis=1)
        return _Roads(xy, known, table[usable], crossing[usable])

    def _crossings(
        self,
        nodes: list[FloatArray],
        plain: list[tuple[int, int]],
        doors: list[tuple[int, FloatArray, FloatArray]],
        beside_m: float,
    ) -> list[tuple[int, int, bool]]:
        """Square crossings from the line on one side to that on the other, or to free ground."""
        safety = self.airspace.survey.safety
        far_m = 2.0 * (beside_m + safety.fence_to_carriageway_m) + safety.carriageway_width_m
        lines = [shapely.LineString([nodes[a], nodes[b]]) for a, b in plain]
        tree = shapely.STRtree(lines)
        made: list[tuple[int, int, bool]] = []
        free: list[int] = []
        for number, place, inward in doors:
            ray = shapely.LineString([place + 1.0 * inward, place + (far_m + 40.0) * inward])
            hits = tree.query(ray, predicate="intersects")
            best: tuple[float, int, FloatArray] | None = None
            for hit in hits.tolist():
                if number in plain[hit]:
                    continue
                point = shapely.get_coordinates(shapely.intersection(ray, lines[hit]))[0]
                away = float(np.hypot(*(point - place)))
                if best is None or away < best[0]:
                    best = (away, hit, point)
            if best is not None:
                _, hit, point = best
                a, b = plain[hit]
                new = len(nodes)
                nodes.append(point)
                made += [(number, new, True), (new, a, False), (new, b, False)]
            elif not len(hits):
                nodes.append(place + far_m * inward)
                made.append((number, len(nodes) - 1, True))
                free.append(len(nodes) - 1)
        if free:
            # Between the two carriageways of a split road one goes on from crossing to crossing.
            near = cKDTree(np.array([nodes[k] for k in free])).query_pairs(_BETWEEN_M)
            made += [(free[a], free[b], False) for a, b in sorted(near)]
        return [
            (a, b, over) for a, b, over in made
            if not over or self._is_square(shapely.LineString([nodes[a], nodes[b]]))
        ]  # fmt: skip

    def _around(
        self, start: FloatArray, end: FloatArray
    ) -> tuple[FloatArray, npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Start, end, and the graph near them: nodes, edges, which edges cross a carriageway."""
        roads = self._roads
        low = np.minimum(start, end) - _AROUND_M
        high = np.maximum(start, end) + _AROUND_M
        near = np.flatnonzero(((roads.xy >= low) & (roads.xy <= high)).all(axis=1) & roads.known)
        index = np.full(len(roads.xy), -1)
        index[near] = np.arange(len(near)) + 2
        edges = index[roads.edges]
        inside = (edges >= 0).all(axis=1)
        corners = [
            shapely.get_coordinates(shapely.convex_hull(shapely.buffer(wall, 5.0, quad_segs=2)))
            for wall in self._walls
            if shapely.intersects(wall, shapely.box(*low, *high))
        ]
        extra = np.concatenate(corners) if corners else np.empty((0, 2))
        nodes = np.concatenate([[start, end], roads.xy[near], extra])
        first_extra = 2 + len(near)
        pairs: list[tuple[int, int]] = []
        for door in (0, 1, *range(first_extra, len(nodes))):
            away = np.hypot(*(nodes[2:] - nodes[door]).T)
            nearest = np.argsort(away, kind="stable")[: _DOORS if door < 2 else 6] + 2
            others = range(first_extra, len(nodes))
            pairs += [(door, int(k)) for k in {*nearest.tolist(), *others} if k != door]
        table = np.array(sorted(set(pairs)), dtype=np.int64).reshape(-1, 2)
        keep = np.ones(len(table), dtype=bool)
        if len(table):
            lines = shapely.linestrings(nodes[table])
            tree = self.airspace.carriageways
            if len(tree.geometries):
                touched = np.zeros(len(table), dtype=bool)
                touched[tree.query(lines, predicate="intersects")[0]] = True
                keep &= ~touched | self._way_out(table, nodes)
            for wall in self._walls:
                keep &= ~np.asarray(shapely.intersects(wall, lines))
        return (
            nodes,
            np.concatenate([edges[inside], table[keep]]),
            np.concatenate([roads.crossing[inside], np.zeros(int(keep.sum()), dtype=bool)]),
        )

    def _way_out(self, table: npt.NDArray[np.int64], nodes: FloatArray) -> npt.NDArray[np.bool_]:
        """Edges to the three nearest nodes from a place that itself stands above a carriageway.

        A lay-by or service area inside the fence lies in the strip taken for carriageway; from
        there the shortest ways out are allowed, and the check reports them.
        """
        out = np.zeros(len(table), dtype=bool)
        inside = self.airspace.over_carriageway(nodes[:2])
        for door in np.flatnonzero(inside).tolist():
            mine = np.flatnonzero((table == door).any(axis=1))
            length = np.hypot(*(nodes[table[mine, 0]] - nodes[table[mine, 1]]).T)
            out[mine[np.argsort(length, kind="stable")[:3]]] = True
        return out

    def _pulled_straight(
        self, nodes: FloatArray, path: list[int], crossings: set[frozenset[int]]
    ) -> FloatArray:
        """Leaves out nodes wherever the shorter way touches nothing; crossings stay square."""
        kept = [path[0]]
        k = 0
        while k < len(path) - 1:
            step = k + 1
            if frozenset((path[k], path[k + 1])) not in crossings:
                last = k + 1
                while (
                    last + 1 < len(path)
                    and frozenset((path[last], path[last + 1])) not in crossings
                ):
                    last += 1
                for other in range(last, k, -1):
                    line = shapely.LineString([nodes[path[k]], nodes[path[other]]])
                    if self._is_clear(line) and not any(
                        shapely.intersects(wall, line) for wall in self._walls
                    ):
                        step = other
                        break
            kept.append(path[step])
            k = step
        return np.asarray(nodes[kept])

    def _with_heights(self, route: FloatArray, start_z: float, end_z: float) -> FloatArray | None:
        """A path over a route (N, 2), between two heights, with few legs; None if there is none."""
        bounds = self.airspace.bounds(route, crossing=True)
        if bounds.unknown.any() or bounds.blocked.any():
            return None
        floor = bounds.floor_m + ROUNDING_M
        slope = np.full(len(floor), _STEEPEST)
        lowest = lowest_path_m(bounds.s_m, floor, slope)
        if (lowest > bounds.roof_m).any():
            return None
        wanted = smooth_m(bounds.s_m, bounds.ground_m, self.height_m) + self.height_m
        target = np.clip(np.maximum(lowest + _ABOVE_FLOOR_M, wanted), lowest, bounds.roof_m)
        roof = bounds.roof_m.copy()
        if lowest[-1] <= end_z <= roof[-1]:
            # Arrive at the height asked for, unless that pushes the way there through the roof.
            arriving = floor.copy()
            arriving[-1] = end_z
            if (lowest_path_m(bounds.s_m, arriving, slope) <= bounds.roof_m).all():
                floor = arriving
                roof[-1] = target[-1] = end_z
        tube = Tube(bounds.s_m, floor, roof, roof, target, slope, bounds.corner)
        index, z = fewest_legs(tube, start_z, room_m=0.0)
        path = np.column_stack([bounds.xy[index], z])
        points = [path]
        if abs(path[0, 2] - start_z) > 0.01:
            points.insert(0, np.array([[*route[0], start_z]]))
        if abs(path[-1, 2] - end_z) > 0.01:
            points.append(np.array([[*route[-1], end_z]]))
        return np.concatenate(points)
