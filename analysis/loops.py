"""The road's own ground: inside its boundaries, and inside the loops of ramps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import shapely

from corridor import Boundary, Track

LOOP_AREA_M2 = (300.0, 50_000.0)
"""The inside of a loop ramp: radius 10 m to 126 m."""
_LOOP_TURN_RAD = np.radians(225.0)
_LOOP_COMPACTNESS = 0.5
_LEAST_AREA_M2 = 8.0


def loop_insides(tracks: Iterable[Track]) -> shapely.Geometry:
    """The insides of loop ramps: what a line goes round by 225° or more, or closes off.

    Args:
        tracks: lines in one metric frame.
    """
    lines = list(tracks)
    faces = list(
        shapely.get_parts(
            shapely.polygonize([shapely.union_all([shapely.LineString(t.xy) for t in lines])])
        )
    ) if lines else []  # fmt: skip
    for track in lines:
        faces += _rounds(track)
    return shapely.union_all([face for face in faces if _is_loop(face)])


def inside_area(
    tracks: Sequence[tuple[Boundary, Track]], inside_m: float = 60.0
) -> shapely.Geometry:
    """The ground on the road's side of boundaries, and inside loop ramps, in the tracks' frame.

    Args:
        tracks: boundaries and their parts as lines.
        inside_m: how far to look where no other boundary is nearer.
    """
    inner, outer = [], []
    for boundary, track in tracks:
        line = shapely.simplify(shapely.LineString(track.xy), 0.2)
        out = boundary.side.outward * inside_m
        inner.append(shapely.make_valid(shapely.buffer(line, -out, single_sided=True)))
        outer.append(shapely.make_valid(shapely.buffer(line, out, single_sided=True)))
    ground = shapely.difference(shapely.union_all(inner), shapely.union_all(outer))
    whole = shapely.union(ground, loop_insides([track for _, track in tracks]))
    kept = [part for part in shapely.get_parts(whole) if part.geom_type == "Polygon"]
    return shapely.union_all([part for part in kept if part.area >= _LEAST_AREA_M2])


def _rounds(track: Track, step_m: float = 2.0) -> Iterator[shapely.Polygon]:
    """Stretches that turn by 225° in one sense, each closed by its chord."""
    along_m = np.arange(track.chainage_m[0], track.chainage_m[-1], step_m)
    if len(along_m) < 4:
        return
    xy = track.at(along_m)
    step = np.diff(xy, axis=0)
    heading = np.unwrap(np.arctan2(step[:, 1], step[:, 0]))
    longest = int(2 * np.sqrt(np.pi * LOOP_AREA_M2[1]) / step_m)
    for sense in (1.0, -1.0):
        start = 0
        while start < len(heading) - 2:
            reach = heading[start : start + longest]
            turned = np.flatnonzero(sense * (reach - heading[start]) >= _LOOP_TURN_RAD)
            if not len(turned):
                start += 5
                continue
            end = start + int(turned[0])
            # The round goes on as long as it turns.
            while end + 5 < len(heading) and sense * (heading[end + 5] - heading[end]) > 0.02:
                end += 5
            ring = shapely.make_valid(shapely.Polygon(xy[start : end + 2]))
            yield from (p for p in shapely.get_parts(ring) if p.geom_type == "Polygon")
            start = end


def _is_loop(face: shapely.Geometry) -> bool:
    area_m2, around_m = float(shapely.area(face)), float(shapely.length(face))
    round_enough = 4 * np.pi * area_m2 > _LOOP_COMPACTNESS * around_m**2
    return LOOP_AREA_M2[0] <= area_m2 <= LOOP_AREA_M2[1] and round_enough
