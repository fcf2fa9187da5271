"""Where the aircraft may be: lowest and highest allowed height along any path over ground."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from corridor import Boundary, InputError, LocalFrame, Track
from corridor.values import FloatArray
from missions.dem import Dem
from missions.lanes import offset_track
from missions.survey import Survey

_CHUNK_M = 120.0
_DENSE_M = 1.5
_BEYOND_M = 100.0
"""So far beyond a drawn fence's ends its carriageway is taken to go straight on."""


@dataclass(frozen=True)
class Obstacle:
    """A power line in the plan's frame.

    Attributes:
        line: over ground.
        xyz: (N, 3) with heights in the DEM's reference.
        clearance_m: to keep above it and to both sides.
    """

    name: str
    line: shapely.LineString
    xyz: FloatArray
    clearance_m: float


@dataclass(frozen=True)
class Zone:
    """A keep-out in the plan's frame; floor and ceiling above its ground."""

    name: str
    area: shapely.Polygon
    floor_m: float
    ceiling_m: float


@dataclass(frozen=True)
class Bounds:
    """What is allowed along a path; all arrays (N,), at every place where the terrain changes.

    Attributes:
        s_m: metres along the path.
        xy: (N, 2) positions.
        ground_m: bilinear height of the ground.
        floor_m: the lowest allowed: highest ground or obstacle near, plus clearance and budget.
        roof_m: the highest allowed.
        blocked: where nothing is allowed (a keep-out without a way below or above).
        unknown: where the elevations have no data.
        corner: where the path has a vertex.
    """

    s_m: FloatArray
    xy: FloatArray
    ground_m: FloatArray
    floor_m: FloatArray
    roof_m: FloatArray
    blocked: npt.NDArray[np.bool_]
    unknown: npt.NDArray[np.bool_]
    corner: npt.NDArray[np.bool_]


class Airspace:
    """The DEM, obstacles, keep-outs and carriageways of a survey, in one metric frame."""

    def __init__(
        self, survey: Survey, dem: Dem, boundaries: list[Boundary], frame: LocalFrame, source: str
    ) -> None:
        self.survey = survey
        self.dem = dem
        self.frame = frame
        self.boundaries = boundaries
        self.obstacles = [self._obstacle(n, source) for n in range(len(survey.power_line))]
        self.zones = [self._zone(n, source) for n in range(len(survey.keep_out))]

    @property
    def total_clearance_m(self) -> float:
        """Clearance plus the elevations' error budget."""
        return self.survey.safety.clearance_m + self.survey.safety.dem_error_m

    def _obstacle(self, number: int, source: str) -> Obstacle:
        line = self.survey.power_line[number]
        name = line.name or str(number + 1)
        points = np.array(line.points, dtype=np.float64)
        xy = self.frame.to_xy(points[:, :2])
        height_m = points[:, 2]
        if line.reference == "ground":
            height_m = height_m + self.dem.ground_m(xy)
            if np.isnan(height_m).any():
                raise InputError(
                    f"{source}, power_line {name}",
                    "stands where the elevations have no data",
                    "give its heights above mean sea level",
                )
        clearance_m = line.clearance_m or self.survey.safety.power_line_clearance_m
        return Obstacle(name, shapely.LineString(xy), np.column_stack([xy, height_m]), clearance_m)

    def _zone(self, number: int, source: str) -> Zone:
        keep_out = self.survey.keep_out[number]
        name = keep_out.name or str(number + 1)
        area = shapely.Polygon(self.frame.to_xy(np.array(keep_out.polygon)))
        check_polygon(area, f"{source}, keep_out {name}", self.frame)
        return Zone(name, area, keep_out.floor_m, keep_out.ceiling_m)

    @cached_property
    def _strips(self) -> tuple[list[BaseGeometry], FloatArray]:
        """Strips of carriageway, and the direction (N, 2) of the road at each."""
        safety = self.survey.safety
        strips: list[BaseGeometry] = []
        directions: list[FloatArray] = []
        if safety.carriageway_width_m > 0:
            for boundary in self.boundaries:
                opposite = _opposite(boundary, self.boundaries, self.frame)
                for part in range(len(boundary.parts)):
                    track = _longer(Track.of(boundary, part, self.frame))
                    made, along = _strips_of(
                        track, -float(boundary.side.outward), safety.fence_to_carriageway_m,
                        safety.carriageway_width_m, opposite,
                    )  # fmt: skip
                    strips += made
                    directions += along
        return strips, np.array(directions).reshape(-1, 2)

    @cached_property
    def carriageways(self) -> shapely.STRtree:
        """Strips of carriageway, some hundred metres each, from the boundaries inwards."""
        return shapely.STRtree(self._strips[0])

    def carriageway_at(self, line: shapely.LineString) -> tuple[FloatArray, shapely.Geometry]:
        """Directions (N, 2) of the strips that a line touches, and their union."""
        hits = self.carriageways.query(line, predicate="intersects")
        area = shapely.union_all([self._strips[0][k] for k in hits])
        return self._strips[1][hits], area

    def over_carriageway(self, xy: FloatArray) -> npt.NDArray[np.bool_]:
        """Whether each of (N, 2) positions is above a carriageway."""
        found = np.zeros(len(xy), dtype=bool)
        if len(self.carriageways.geometries):
            points = shapely.points(xy)
            found[self.carriageways.query(points, predicate="intersects")[0]] = True
        return found

    def bounds(self, xy: FloatArray, crossing: bool = False) -> Bounds:
        """What is allowed along a polyline (N, 2).

        Args:
            crossing: whether `safety.crossing_height_m` is kept above carriageways (transits).
        """
        safety = self.survey.safety
        dem = self.dem
        corners_m = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(xy, axis=0).T))])
        s = self._places_m(xy, corners_m, crossing)
        points = _along(xy, corners_m, s)
        ground = dem.ground_m(points)
        highest = self._highest_beside(xy, corners_m, s)
        floor = highest + self.total_clearance_m
        roof = self._lowest_along(ground, s, xy, corners_m) + safety.ceiling_m
        unknown = ~np.isfinite(floor) | ~np.isfinite(ground)
        blocked = np.zeros(len(s), dtype=bool)
        line = shapely.LineString(xy)
        margin_m = safety.lateral_error_m
        for zone in self.zones:
            area = zone.area.buffer(margin_m)
            if not shapely.intersects(area, line):
                continue
            inside = _touching(np.asarray(shapely.intersects_xy(area, points)))
            over = ground + zone.ceiling_m + safety.dem_error_m
            under = ground + zone.floor_m - safety.dem_error_m
            if zone.ceiling_m + safety.dem_error_m < safety.ceiling_m:
                floor = np.where(inside, np.maximum(floor, over), floor)
            else:
                roof = np.where(inside, np.minimum(roof, under), roof)
        for obstacle in self.obstacles:
            reach_m = obstacle.clearance_m + margin_m
            if shapely.distance(obstacle.line, line) > reach_m + 2 * dem.cell_m:
                continue
            distance = np.asarray(shapely.distance(obstacle.line, shapely.points(points)))
            near = _touching(distance <= reach_m)
            wire = wire_height_m(obstacle, points, reach_m)
            floor = np.where(near, np.maximum(floor, wire + obstacle.clearance_m), floor)
        if crossing and safety.carriageway_width_m > 0:
            over_road = _touching(self.over_carriageway(points))
            floor = np.where(over_road, np.maximum(floor, ground + safety.crossing_height_m), floor)
        blocked |= floor > roof + 1e-9
        corner = np.isclose(s[:, None], corners_m[None, :], atol=1e-7).any(axis=1) if len(
            corners_m) < 50 else np.isin(np.round(s, 6), np.round(corners_m, 6))  # fmt: skip
        return Bounds(s, points, ground, floor, roof, blocked & ~unknown, unknown, corner)

    def _places_m(self, xy: FloatArray, corners_m: FloatArray, crossing: bool) -> FloatArray:
        """Where bounds are worked out: where the terrain's cells change, denser near obstacles."""
        breaks = self.dem.breaks_m(xy)
        near: list[BaseGeometry] = []
        line = shapely.LineString(xy)
        margin_m = self.survey.safety.lateral_error_m
        for obstacle in self.obstacles:
            near.append(obstacle.line.buffer(obstacle.clearance_m + margin_m + 2.0))
        near += [zone.area.buffer(margin_m + 2.0) for zone in self.zones]
        near = [area for area in near if area.intersects(line)]
        if crossing and len(self.carriageways.geometries):
            hits = self.carriageways.query(line, predicate="intersects")
            near += [self._strips[0][k] for k in hits]
        if not near:
            return breaks
        fine = np.arange(0.0, corners_m[-1], _DENSE_M)
        points = shapely.points(_along(xy, corners_m, fine))
        inside = np.zeros(len(fine), dtype=bool)
        for area in near:
            inside |= np.asarray(shapely.intersects(area, points))
        dense = np.union1d(breaks, fine[_touching(inside)])
        return dense[np.concatenate([[True], np.diff(dense) > 1e-6])]

    def _lowest_along(
        self, ground: FloatArray, s: FloatArray, xy: FloatArray, corners_m: FloatArray
    ) -> FloatArray:
        """Lowest ground (N,) that the ceiling is counted from around each break.

        Along a line within one block of nodes bilinear heights are a parabola: how far its middle
        dips below the straight line between two breaks says it all.
        """
        places = _along(xy, corners_m, (s[1:] + s[:-1]) / 2.0)
        if self.dem.block_cells > 1:
            low = self.dem.lowest_m(places)
            padded = np.concatenate([low[:1], low, low[-1:]])
            return np.asarray(np.minimum(padded[1:], padded[:-1]))
        middle = self.dem.ground_m(places)
        sag = np.maximum((ground[1:] + ground[:-1]) / 2.0 - middle, 0.0)
        return np.asarray(ground - np.maximum(np.append(sag, 0.0), np.insert(sag, 0, 0.0)))

    def _highest_beside(self, xy: FloatArray, corners_m: FloatArray, s: FloatArray) -> FloatArray:
        """Highest ground (N,) at and around each break, within the lateral error.

        On the line itself every block of nodes that is passed counts; beside it, blocks at both
        ends and in the middle of each interval, on parallels no farther apart than a cell.
        """
        middle = (s[1:] + s[:-1]) / 2.0
        along = self.dem.highest_m(_along(xy, corners_m, middle))
        reach_m = self.survey.safety.lateral_error_m
        block_m = self.dem.cell_m * self.dem.block_cells
        count = int(np.ceil(reach_m / block_m)) if reach_m > 0 else 0
        for k in range(-count, count + 1):
            if k == 0:
                continue
            offset_m = reach_m * k / count
            for segment_side in (0, 1):
                # At corners the normals of both segments count.
                where = np.concatenate([s[:-1], middle, s[1:]])
                normal = _normals(xy, corners_m, where, segment_side)
                beside = self.dem.highest_m(_along(xy, corners_m, where) + offset_m * normal)
                along = np.maximum(along, np.max(beside.reshape(3, -1), axis=0))
        padded = np.concatenate([along[:1], along, along[-1:]])
        return np.asarray(np.maximum(padded[1:], padded[:-1]))


def _along(xy: FloatArray, corners_m: FloatArray, s: FloatArray) -> FloatArray:
    return np.column_stack([np.interp(s, corners_m, xy[:, axis]) for axis in (0, 1)])


def _normals(xy: FloatArray, corners_m: FloatArray, s: FloatArray, side: int) -> FloatArray:
    which = np.searchsorted(corners_m, s, side="right" if side else "left") - 1
    step = np.diff(xy, axis=0)[np.clip(which, 0, len(xy) - 2)]
    unit = step / np.maximum(np.hypot(step[:, 0], step[:, 1]), 1e-12)[:, None]
    return np.column_stack([-unit[:, 1], unit[:, 0]])


def _touching(inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Places inside and their neighbours: bounds hold on whole intervals."""
    grown = inside.copy()
    grown[1:] |= inside[:-1]
    grown[:-1] |= inside[1:]
    return grown


def wire_height_m(obstacle: Obstacle, points: FloatArray, reach_m: float) -> FloatArray:
    """The line's greatest height (N,) over its stretch within reach of each point."""
    along = shapely.line_locate_point(obstacle.line, shapely.points(points))
    steps = np.hypot(*np.diff(obstacle.xyz[:, :2], axis=0).T)
    at = np.concatenate([[0.0], np.cumsum(steps)])
    ends = [
        np.interp(np.clip(along + d, 0.0, at[-1]), at, obstacle.xyz[:, 2])
        for d in (-reach_m, 0.0, reach_m)
    ]
    highest = np.maximum.reduce(ends)
    for position, height in zip(at, obstacle.xyz[:, 2], strict=True):
        highest = np.where(
            np.abs(along - position) <= reach_m, np.maximum(highest, height), highest
        )
    return np.asarray(highest)


def _opposite(
    boundary: Boundary, boundaries: list[Boundary], frame: LocalFrame
) -> shapely.STRtree | None:
    """Segments of the same route's other side, by place; None if it is not drawn."""
    segments: list[shapely.LineString] = []
    for other in boundaries:
        if other.route == boundary.route and other.side is not boundary.side:
            for part in range(len(other.parts)):
                xy = Track.of(other, part, frame).xy
                segments += [shapely.LineString(pair) for pair in itertools.pairwise(xy)]
    return shapely.STRtree(segments) if segments else None


def _longer(track: Track) -> Track:
    """The track with straight pieces at both ends: a road goes on where the drawn fence ends.

    Not a loop ramp's, which comes back to where it began and joins other roads there.
    """
    first, last = track.chainage_m[[0, -1]]
    if float(np.hypot(*(track.xy[-1] - track.xy[0]))) < 0.5 * (last - first):
        return track
    before = track.xy[0] - _BEYOND_M * _unit(track.xy[1] - track.xy[0])
    after = track.xy[-1] + _BEYOND_M * _unit(track.xy[-1] - track.xy[-2])
    chainage = np.concatenate([[first - _BEYOND_M], track.chainage_m, [last + _BEYOND_M]])
    return Track(np.vstack([before, track.xy, after]), chainage)


def _unit(step: FloatArray) -> FloatArray:
    return np.asarray(step / max(float(np.hypot(*step)), 1e-9))


def _strips_of(
    track: Track,
    inward: float,
    gap_m: float,
    width_m: float,
    opposite: shapely.STRtree | None,
) -> tuple[list[BaseGeometry], list[FloatArray]]:
    """Strips from `gap_m` inside the fence, as wide as given or as the other fence leaves room."""
    first, last = track.chainage_m[0], track.chainage_m[-1]
    count = max(1, int(np.ceil((last - first) / _CHUNK_M)))
    strips: list[BaseGeometry] = []
    directions: list[FloatArray] = []
    for begin, finish in itertools.pairwise(np.linspace(first, last, count + 1).tolist()):
        # Neighbours overlap, or a way could slip through the seam.
        start, end = max(begin - 2.0, float(first)), min(finish + 2.0, float(last))
        at = np.linspace(start, end, 7)
        room_m = width_m
        if opposite is not None:
            away = opposite.query_nearest(
                shapely.points(track.at(at)), max_distance=200.0, return_distance=True
            )[1]
            if len(away):
                room_m = min(width_m, float(away.min()) - 2.0 * gap_m)
        if room_m < 1.0:
            continue
        inner = (track.chainage_m > start) & (track.chainage_m < end)
        xy = np.vstack([track.at(start), track.xy[inner], track.at(end)])
        piece = Track(xy, np.concatenate([[start], track.chainage_m[inner], [end]]))
        near_xy, _ = offset_track(piece, inward * gap_m)
        far_xy, _ = offset_track(piece, inward * (gap_m + room_m))
        ring = shapely.Polygon(np.concatenate([near_xy, far_xy[::-1]]))
        strips.append(ring if ring.is_valid else shapely.make_valid(ring))
        step = xy[-1] - xy[0]
        directions.append(step / max(float(np.hypot(*step)), 1e-9))
    return strips, directions


def check_polygon(area: shapely.Polygon, source: str, frame: LocalFrame) -> None:
    """Refuses a polygon that crosses itself or has no area.

    Raises:
        InputError: saying where it crosses itself.
    """
    if not area.is_valid:
        raise InputError(
            source,
            f"the polygon is not simple ({_fault(area, frame)})",
            "draw its corners in order around it, without crossing lines",
        )
    if area.area < 1.0:
        raise InputError(source, f"the polygon covers only {area.area:.2f} m²")


def _fault(area: shapely.Polygon, frame: LocalFrame) -> str:
    """What is wrong with a polygon, with the place in degrees."""
    reason = str(shapely.is_valid_reason(area))
    found = re.fullmatch(r"(.+)\[(\S+) (\S+)\]", reason)
    if found is None:
        return reason
    lon, lat = frame.to_lonlat([[float(found[2]), float(found[3])]])[0]
    return f"{found[1].lower()} at {lon:.6f}, {lat:.6f}"
