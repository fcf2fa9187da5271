"""Lanes beside a boundary: offset lines that keep the chainage of the fence they look at."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import shapely

from corridor import Boundary, LocalFrame, Side, Track
from corridor.values import FloatArray

_STEP_M = 5.0
Mode = Literal["nadir", "oblique"]


@dataclass(frozen=True)
class LanePath:
    """A lane over ground, before heights.

    Attributes:
        boundary: index of the boundary in the plan.
        part: which of its polylines.
        offset_m: from the fence, positive away from the road.
        xy: (N, 2) vertices in the plan's frame, along increasing chainage.
        chainage_m: (N,) of the fence at each vertex, strictly ascending.
        district: that the fence beside it lies in.
    """

    boundary: int
    part: int
    mode: Mode
    offset_m: float
    xy: FloatArray
    chainage_m: FloatArray
    district: str = ""

    def between(self, start_m: float, end_m: float) -> LanePath:
        """The piece between two chainages, ends interpolated."""
        inner = (self.chainage_m > start_m + 1e-6) & (self.chainage_m < end_m - 1e-6)
        chainage = np.concatenate([[start_m], self.chainage_m[inner], [end_m]])
        xy = np.column_stack(
            [np.interp(chainage, self.chainage_m, self.xy[:, axis]) for axis in (0, 1)]
        )
        return replace(self, xy=xy, chainage_m=chainage)

    def longer(self, more_m: float) -> LanePath:
        """The lane with straight pieces added to both ends; the chainage runs on."""
        first, last = self.xy[0] - self.xy[1], self.xy[-1] - self.xy[-2]
        first = first * (more_m / float(np.hypot(*first)))
        last = last * (more_m / float(np.hypot(*last)))
        xy = np.vstack([self.xy[0] + first, self.xy, self.xy[-1] + last])
        chainage = np.concatenate(
            [[self.chainage_m[0] - more_m], self.chainage_m, [self.chainage_m[-1] + more_m]]
        )
        return replace(self, xy=xy, chainage_m=chainage)

    @property
    def length_m(self) -> float:
        """Length over ground."""
        return float(np.hypot(*np.diff(self.xy, axis=0).T).sum())


def lane_offsets_m(
    inside_m: float, outside_m: float, swath_m: float, side_overlap_frac: float, least_m: float
) -> list[float]:
    """Offsets of the nadir lanes that cover the strip from `-inside_m` to `outside_m`.

    Lanes stand side by side, their swaths overlapping by at least `side_overlap_frac`, and none
    nearer to the road than `least_m`. Where that keeps the strip's inner edge from being covered,
    the predicted coverage says so.
    """
    width_m = inside_m + outside_m
    count = 1
    if swath_m < width_m:
        count += int(np.ceil((width_m - swath_m) / (swath_m * (1.0 - side_overlap_frac)) - 1e-9))
    middle_m = (outside_m - inside_m) / 2.0
    pitch_m = (width_m - swath_m) / (count - 1) if count > 1 else 0.0
    first_m = middle_m - pitch_m * (count - 1) / 2.0
    if count == 1:
        # One swath is wide enough: as near to the fence as it may be, while both edges are seen.
        spare_m = (swath_m - width_m) / 2.0
        first_m = float(np.clip(0.0, middle_m - spare_m, middle_m + spare_m))
    offsets = [first_m + k * pitch_m for k in range(count)]
    return sorted({round(max(offset, least_m), 3) for offset in offsets})


def offset_track(track: Track, offset_m: float) -> tuple[FloatArray, FloatArray]:
    """A line beside a track, positive offsets to the left, with the chainage of its foot points.

    Points are set square to the smoothed direction; those nearer to the track than the offset (the
    inside of a bend tighter than it) are left out, so that no loop is left and none of the track
    is without a piece of lane beside it.

    Returns:
        (N, 2) positions and (N,) chainages, strictly ascending; the first and last are the track's.
    """
    ends = track.chainage_m[[0, -1]]
    count = max(2, int(np.ceil((ends[1] - ends[0]) / _STEP_M)) + 1)
    chainage = np.union1d(np.linspace(ends[0], ends[1], count), track.chainage_m)
    # Two places at one point, apart by rounding, would have no direction between them.
    chainage = chainage[np.concatenate([[True], np.diff(chainage) > 0.01])]
    chainage[-1] = ends[1]
    foot = track.at(chainage)
    if abs(offset_m) < 1e-9:
        return foot, chainage
    # Directions smoothed over the offset turn a corner of the drawing into an arc.
    reach_m = max(_STEP_M, abs(offset_m) / 2.0)
    ahead, behind = track.at(chainage + reach_m), track.at(chainage - reach_m)
    step = ahead - behind
    length = np.hypot(step[:, 0], step[:, 1])
    straight = track.direction_at(chainage)
    usable = length > 0.2 * reach_m
    unit = np.where(usable[:, None], step / np.where(usable, length, 1.0)[:, None], straight)
    points = foot + offset_m * np.column_stack([-unit[:, 1], unit[:, 0]])
    keep = _far_enough(points, foot, chainage, abs(offset_m))
    keep[[0, -1]] = True
    # What runs against the fence's direction would be flown backwards.
    order = np.flatnonzero(keep)
    while len(order) > 2:
        moved = np.diff(points[order], axis=0)
        along = (moved * (foot[order][1:] - foot[order][:-1])).sum(axis=1)
        bad = np.flatnonzero(along <= 0)
        bad = bad[(bad > 0)]
        if not len(bad):
            break
        order = np.delete(order, bad)
    return points[order], chainage[order]


def _far_enough(
    points: FloatArray, foot: FloatArray, chainage: FloatArray, offset_m: float
) -> npt.NDArray[np.bool_]:
    """Whether each point is about as far from the nearby track as it should be."""
    keep = np.ones(len(points), dtype=bool)
    # Only the track nearby counts: a ramp may pass over the same ground once more.
    reach_m = 3.2 * offset_m + 4 * _STEP_M
    first = np.searchsorted(chainage, chainage - reach_m)
    last = np.searchsorted(chainage, chainage + reach_m, side="right")
    for width in range(1, int((last - first).max(initial=1))):
        other = first + width
        valid = other < last
        a = foot[np.minimum(other - 1, len(foot) - 1)]
        b = foot[np.minimum(other, len(foot) - 1)]
        edge = b - a
        length2 = np.maximum((edge**2).sum(axis=1), 1e-12)
        t = np.clip(((points - a) * edge).sum(axis=1) / length2, 0.0, 1.0)
        distance = np.hypot(*(points - a - t[:, None] * edge).T)
        keep &= ~valid | (distance >= 0.9 * offset_m - 0.05)
    return keep


def make_lane(
    boundaries: list[Boundary],
    index: int,
    part: int,
    frame: LocalFrame,
    mode: Mode,
    offset_m: float,
    tolerance_m: float,
) -> LanePath:
    """The lane beside one polyline, with the fewest vertices that keep the tolerance."""
    boundary = boundaries[index]
    track = Track.of(boundary, part, frame)
    sign = 1.0 if boundary.side is Side.LEFT else -1.0
    xy, chainage = offset_track(track, sign * offset_m)
    kept = _simplified(xy, tolerance_m)
    return LanePath(index, part, mode, offset_m, xy[kept], chainage[kept])


def _simplified(xy: FloatArray, tolerance_m: float) -> npt.NDArray[np.int64]:
    """Indices kept by Douglas and Peucker; the order along the line makes them unambiguous."""
    line = shapely.LineString(np.column_stack([xy, np.arange(len(xy), dtype=np.float64)]))
    kept = shapely.get_coordinates(
        shapely.simplify(line, tolerance_m, preserve_topology=False), include_z=True
    )
    return np.asarray(np.round(kept[:, 2]), dtype=np.int64)
