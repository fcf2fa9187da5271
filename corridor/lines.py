"""Drawn lines: checked, joined, and refused where they cannot be a boundary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely

from corridor.errors import (
    DuplicatePointsError,
    PartOrderError,
    SelfCrossingError,
    ZeroLengthError,
)
from corridor.frame import LocalFrame
from corridor.values import WGS84, FloatArray

JOIN_WITHIN_M = 5.0
"""Ends nearer than this are one line; farther apart they are the ends of a gap."""

_SAME_PLACE_M = 1e-3
# The tightest loop ramps built have radii of some 25 m; three quarters of that circle are 118 m.
_SHORTEST_LOOP_M = 100.0
# A loop drawn with five vertices turns by 72° at each; swapped vertices turn by far more.
_SHARPEST_LOOP_TURN_DEG = 100.0


# No fence turns back beside itself; a vertex that does was drawn by mistake.
_DOUBLING_BACK_DEG = 170.0


@dataclass(frozen=True)
class Crossing:
    """A place where a line crosses or touches itself, or doubles back at a vertex.

    Attributes:
        lon_deg, lat_deg: where.
        first_m, second_m: metres along the line at which it passes there.
        sharpest_turn_deg: the largest change of direction at one vertex between the two passes.
    """

    lon_deg: float
    lat_deg: float
    first_m: float
    second_m: float
    sharpest_turn_deg: float

    @property
    def is_loop(self) -> bool:
        """Whether it is a round of a ramp, passing over or under itself, and no slip in drawing."""
        return (
            self.second_m - self.first_m >= _SHORTEST_LOOP_M
            and self.sharpest_turn_deg <= _SHARPEST_LOOP_TURN_DEG
        )


def check_line(lonlat: FloatArray, source: str) -> list[Crossing]:
    """Checks one polyline, (N, 2) WGS 84, and returns the crossings that are loops of ramps.

    Raises:
        ZeroLengthError: if it has fewer than two vertices, or all of them at one place.
        DuplicatePointsError: if two successive vertices are less than 1 mm apart.
        SelfCrossingError: if it crosses or overlaps itself other than as a loop (see `is_loop`).
    """
    if len(lonlat) < 2:
        raise ZeroLengthError(source, "has one point only", "a line needs two points or more")
    steps_m = segment_lengths_m(lonlat)
    if float(steps_m.sum()) < _SAME_PLACE_M:
        raise ZeroLengthError(source, "is a line of no length", "all its points are at one place")
    duplicates = np.flatnonzero(steps_m < _SAME_PLACE_M)
    if len(duplicates):
        first = int(duplicates[0])
        lon, lat = lonlat[first]
        more = f", and {len(duplicates) - 1} more such pairs" if len(duplicates) > 1 else ""
        raise DuplicatePointsError(
            source,
            f"vertices {first + 1} and {first + 2} are the same point ({lon:.7f}, {lat:.7f}){more}",
            "remove duplicate vertices (QGIS: Vector geometry > Remove duplicate vertices)",
        )
    loops = []
    for crossing in crossings(lonlat):
        if not crossing.is_loop:
            raise SelfCrossingError(
                source,
                f"crosses itself at {crossing.lon_deg:.7f}, {crossing.lat_deg:.7f} "
                f"({crossing.first_m:.0f} m and {crossing.second_m:.0f} m along it)",
                f"only a loop ramp may: {_SHORTEST_LOOP_M:.0f} m or more between the two passes "
                f"and no turn above {_SHARPEST_LOOP_TURN_DEG:.0f}° at one vertex on the way "
                f"(here {crossing.second_m - crossing.first_m:.0f} m and "
                f"{crossing.sharpest_turn_deg:.0f}°)",
            )
        loops.append(crossing)
    return loops


def crossings(lonlat: FloatArray) -> list[Crossing]:
    """All places where a polyline, (N, 2) WGS 84, meets itself; its closing point is none."""
    xy = LocalFrame.around(lonlat).to_xy(lonlat)
    segments = [shapely.LineString(pair) for pair in np.stack([xy[:-1], xy[1:]], axis=1)]
    along_m = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(xy, axis=0).T))])
    turns_deg = _turns_deg(xy)
    back = np.flatnonzero(turns_deg > _DOUBLING_BACK_DEG) + 1
    found = [
        Crossing(
            lon_deg=float(lonlat[vertex, 0]),
            lat_deg=float(lonlat[vertex, 1]),
            first_m=float(along_m[vertex]),
            second_m=float(along_m[vertex]),
            sharpest_turn_deg=float(turns_deg[vertex - 1]),
        )
        for vertex in back.tolist()
    ]
    if shapely.LineString(xy).is_simple:
        return found
    one, other = shapely.STRtree(segments).query(segments, predicate="intersects")
    closed = bool(np.hypot(*(xy[0] - xy[-1])) < _SAME_PLACE_M)
    for i, j in zip(one.tolist(), other.tolist(), strict=True):
        if j <= i:
            continue
        shared = shapely.intersection(segments[i], segments[j])
        if j == i + 1:
            continue
        if closed and i == 0 and j == len(segments) - 1 and shared.geom_type == "Point":
            continue
        x, y = shapely.get_coordinates(shared)[0]
        lon, lat = LocalFrame.around(lonlat).to_lonlat([x, y])[0]
        found.append(
            Crossing(
                lon_deg=float(lon),
                lat_deg=float(lat),
                first_m=float(along_m[i] + np.hypot(*(xy[i] - (x, y)))),
                second_m=float(along_m[j] + np.hypot(*(xy[j] - (x, y)))),
                sharpest_turn_deg=float(turns_deg[i:j].max(initial=0.0)),
            )
        )
    return found


def join_parts(parts: Sequence[FloatArray], source: str) -> list[FloatArray]:
    """Joins polylines whose ends meet, in the order in which they meet.

    A part that starts within 5 m of another's end follows it, wherever it stands in the file; what
    meets nothing keeps the file's order. No part is turned round.

    Args:
        parts: each (N, 2) WGS 84.
        source: for messages.

    Returns:
        The joined polylines; between them are gaps of more than 5 m.

    Raises:
        PartOrderError: if parts meet end to end or start to start, or one end has two successors.
    """
    if len(parts) < 2:
        return list(parts)
    starts = np.array([part[0] for part in parts])
    ends = np.array([part[-1] for part in parts])
    after = _within(ends, starts)
    against = _within(ends, ends) | _within(starts, starts)
    np.fill_diagonal(after, False)
    np.fill_diagonal(against, False)
    # A part so short that both its ends are near another's is no contradiction.
    against &= ~(after | after.T)
    if against.any():
        i, j = (int(index) + 1 for index in np.argwhere(against)[0])
        raise PartOrderError(
            source,
            f"parts {i} and {j} are drawn against each other",
            "draw all parts in the direction of increasing chainage (reverse one of them)",
        )
    for name, counts, which in (
        ("follow", after.sum(axis=1), "end"),
        ("precede", after.sum(axis=0), "start"),
    ):
        if (counts > 1).any():
            part = int(np.argmax(counts > 1))
            raise PartOrderError(
                source,
                f"{int(counts[part])} parts {name} part {part + 1} (within {JOIN_WITHIN_M:.0f} m "
                f"of its {which})",
                "a boundary does not fork: give the branch a route of its own",
            )
    following = {int(i): int(j) for i, j in np.argwhere(after)}
    heads = [i for i in range(len(parts)) if i not in set(following.values())] or [0]
    joined = []
    for head in heads:
        chain, index = [parts[head]], head
        while index in following and following[index] != head:
            index = following[index]
            chain.append(_without_shared_end(chain[-1], parts[index]))
        joined.append(np.concatenate(chain))
    return joined


def segment_lengths_m(lonlat: FloatArray) -> FloatArray:
    """Lengths (N - 1,) on the ellipsoid of the segments of a polyline (N, 2), WGS 84."""
    _, _, length_m = WGS84.inv(lonlat[:-1, 0], lonlat[:-1, 1], lonlat[1:, 0], lonlat[1:, 1])
    return np.asarray(length_m, dtype=np.float64)


def _within(one: FloatArray, other: FloatArray) -> np.ndarray:
    first, second = np.meshgrid(np.arange(len(one)), np.arange(len(other)), indexing="ij")
    _, _, distance_m = WGS84.inv(one[first, 0], one[first, 1], other[second, 0], other[second, 1])
    return np.asarray(distance_m) <= JOIN_WITHIN_M


def _without_shared_end(before: FloatArray, part: FloatArray) -> FloatArray:
    _, _, distance_m = WGS84.inv(*before[-1], *part[0])
    return part[1:] if distance_m < _SAME_PLACE_M else part


def _turns_deg(xy: FloatArray) -> FloatArray:
    """Change of direction, 0 to 180 degrees, at the vertex that ends each segment but the last."""
    step = np.diff(xy, axis=0)
    cross = step[:-1, 0] * step[1:, 1] - step[:-1, 1] * step[1:, 0]
    dot = (step[:-1] * step[1:]).sum(axis=1)
    return np.asarray(np.abs(np.degrees(np.arctan2(cross, dot))))
