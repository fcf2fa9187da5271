"""Lines beside a line: offsets that survive tight ramps."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely

from corridor.errors import LineError
from corridor.frame import Track
from corridor.values import FloatArray

# Strands of the line farther apart along it than this many offsets do not cut each other's offset
# line: a loop ramp passes over itself, and its offset line must too. Half a circle whose radius is
# the offset is pi offsets long, so that whatever a bend cuts off lies well within.
_WINDOW_OFFSETS = 6.0
# Outer bends are drawn with the tangents of their arc: nowhere nearer than the offset, and 0.1 %
# farther at their corners.
_ARC_STEP_RAD = np.radians(5.0)
_ROUNDING_M = 1e-8


def offset_track(track: Track, offset_m: float) -> Track:
    """The line at a constant distance beside a line, with the chainage of the places beside it.

    Outer bends are rounded, inner bends cut where they meet, and what would fold back inside a bend
    tighter than the offset is left out, so that the line goes on from one side of the fold to the
    other. Where the line passes over itself as a loop ramp does, so does its offset line.

    Args:
        track: the line, in metres.
        offset_m: distance, positive to the left of increasing chainage.

    Returns:
        One line in the same direction; its chainage does not decrease, and is constant along the
        rounding of an outer bend.

    Raises:
        LineError: if nothing is left, as of a ring narrower than the offset.
    """
    if offset_m == 0.0:
        return track
    xy, source_m, chainage_m = _raw(track, offset_m)
    reach_m = abs(offset_m) - _ROUNDING_M
    window_m = _WINDOW_OFFSETS * abs(offset_m)
    source = _Segments(track.xy)
    raw = _Segments(xy)
    suspect = np.zeros(len(raw.lines), dtype=bool)
    suspect[source.near(raw.lines, source_m[:-1], source_m[1:], reach_m, window_m)] = True
    cuts = _cuts(raw, suspect, source_m, window_m, abs(offset_m))
    segment = np.repeat(np.arange(len(cuts)), [len(cut) - 1 for cut in cuts])
    start = np.concatenate([cut[:-1] for cut in cuts])
    end = np.concatenate([cut[1:] for cut in cuts])

    def along(values: FloatArray, frac: FloatArray) -> FloatArray:
        low, high = values[segment], values[segment + 1]
        frac = frac if values.ndim == 1 else frac[:, None]
        return np.asarray(low + frac * (high - low))

    middle = (start + end) / 2
    bad = np.zeros(len(segment), dtype=bool)
    points = np.asarray(shapely.points(along(xy, middle)[suspect[segment]]))
    here = np.flatnonzero(suspect[segment])
    place_m = along(source_m, middle)[here]
    bad[here[source.near(points, place_m, place_m, reach_m, window_m)]] = True
    if bad.all():
        raise LineError("offset", f"nothing of the line is left at {offset_m:g} m beside it")
    kept = ~bad
    # A stretch that continues the one before it on the same segment needs no vertex between.
    continues = np.zeros(len(segment), dtype=bool)
    continues[1:] = kept[1:] & kept[:-1] & (segment[1:] == segment[:-1])
    first, last = kept & ~continues, kept & ~np.append(continues[1:], False)
    out_xy = np.stack([along(xy, start)[first], along(xy, end)[last]], axis=1).reshape(-1, 2)
    out_m = np.stack([along(chainage_m, start)[first], along(chainage_m, end)[last]], axis=1)
    new = np.append(True, np.hypot(*np.diff(out_xy, axis=0).T) > 1e-6)
    return Track(out_xy[new], np.maximum.accumulate(out_m.ravel()[new]))


class _Segments:
    """The segments of a polyline, with their middle's distance along it, findable by place."""

    def __init__(self, xy: FloatArray) -> None:
        self.lines = np.asarray(shapely.linestrings(np.stack([xy[:-1], xy[1:]], axis=1))).ravel()
        steps_m = np.hypot(*np.diff(xy, axis=0).T)
        end_m = np.cumsum(steps_m)
        self.start_m, self.end_m = end_m - steps_m, end_m
        self.tree = shapely.STRtree(self.lines)

    def near(
        self,
        geometries: npt.NDArray[np.object_],
        low_m: FloatArray,
        high_m: FloatArray,
        within_m: float,
        window_m: float,
    ) -> npt.NDArray[np.intp]:
        """Indices of the geometries that have a segment within reach and within the window.

        Args:
            geometries: (M,).
            low_m, high_m: (M,) the stretch of this polyline that each belongs to.
            within_m: the reach.
            window_m: how far along this polyline a segment may be from that stretch.
        """
        which, segment = self.tree.query(geometries, predicate="dwithin", distance=within_m)
        apart_m = np.maximum(
            self.start_m[segment] - high_m[which], low_m[which] - self.end_m[segment]
        )
        return np.unique(which[apart_m <= window_m])


def _raw(track: Track, offset_m: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Every segment moved aside, outer bends rounded, inner ones cut where the segments suffice.

    Returns position (M, 2), distance along the source (M,) and chainage (M,) of each vertex.
    """
    step = np.diff(track.xy, axis=0)
    length_m = np.hypot(step[:, 0], step[:, 1])
    step /= length_m[:, None]
    normal = np.column_stack([-step[:, 1], step[:, 0]]) * offset_m
    along_m = np.concatenate([[0.0], np.cumsum(length_m)])
    cross = step[:-1, 0] * step[1:, 1] - step[:-1, 1] * step[1:, 0]
    turn_rad = np.arctan2(cross, (step[:-1] * step[1:]).sum(axis=1))
    half_tan = np.tan(np.minimum(np.abs(turn_rad), 3.1) / 2)
    shortest_m = np.minimum(length_m[:-1], length_m[1:])
    is_outer = turn_rad * offset_m < 0.0
    is_cut = ~is_outer & (abs(offset_m) * half_tan < shortest_m / 2)
    spread = np.maximum(1.0 + (step[:-1] * step[1:]).sum(axis=1), 1e-9)
    corner = (normal[:-1] + normal[1:]) / spread[:, None]
    xy: list[FloatArray] = []
    vertices: list[int] = []
    for i in range(len(step)):
        if i == 0 or not is_cut[i - 1]:
            xy.append(track.xy[i] + normal[i])
            vertices.append(i)
        at_cut = i < len(is_cut) and is_cut[i]
        xy.append(track.xy[i + 1] + (corner[i] if at_cut else normal[i]))
        vertices.append(i + 1)
        if i < len(is_outer) and is_outer[i]:
            count = int(np.ceil(abs(turn_rad[i]) / _ARC_STEP_RAD))
            x, y = normal[i] / np.cos(turn_rad[i] / count / 2)
            for angle in turn_rad[i] * (np.arange(count) + 0.5) / count:
                cosine, sine = np.cos(angle), np.sin(angle)
                turned = np.array([cosine * x - sine * y, sine * x + cosine * y])
                xy.append(track.xy[i + 1] + turned)
                vertices.append(i + 1)
    positions, index = np.array(xy), np.array(vertices)
    new = np.append(True, np.hypot(*np.diff(positions, axis=0).T) > 1e-9)
    return positions[new], along_m[index][new], track.chainage_m[index][new]


def _cuts(
    raw: _Segments,
    suspect: npt.NDArray[np.bool_],
    source_m: FloatArray,
    window_m: float,
    offset_m: float,
) -> list[FloatArray]:
    """Fractions, 0 to 1, at which each segment is cut: where it meets another, and regularly."""
    cuts: list[list[float]] = [[0.0, 1.0] for _ in raw.lines]
    chosen = np.flatnonzero(suspect)
    if len(chosen):
        tree = shapely.STRtree(raw.lines[chosen])
        one, other = tree.query(raw.lines[chosen], predicate="intersects")
        one, other = chosen[one], chosen[other]
        apart = (other > one + 1) & (source_m[other] - source_m[one + 1] <= window_m)
        one, other = one[apart], other[apart]
        shared = shapely.intersection(raw.lines[one], raw.lines[other])
        meets = shapely.get_type_id(shared) == 0
        for i, j, point in zip(one[meets], other[meets], shared[meets], strict=True):
            for segment in (int(i), int(j)):
                line = raw.lines[segment]
                frac = shapely.line_locate_point(line, point) / max(shapely.length(line), 1e-12)
                cuts[segment].append(float(frac))
        for segment in chosen.tolist():
            count = int(np.ceil(shapely.length(raw.lines[segment]) / max(offset_m / 8, 0.25)))
            cuts[segment] += (np.arange(1, count) / max(count, 1)).tolist()
    return [np.unique(np.array(cut)) for cut in cuts]
