"""Lines along a road that look like paths: what is known of the road tells them apart.

A guard rail, a kerb, a marking, a ditch and the fence itself follow the road as it was set out;
people cross it. Where boundaries are given, so is the road: it lies inward of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import shapely
from shapely.ops import substring

from analysis.access import ALONG_FENCE, AccessConfig
from analysis.fence_work import FenceResult
from analysis.footpaths import Footpath, PathClass
from analysis.results import FenceLine
from corridor import Side
from corridor.findings import FenceState
from corridor.values import FloatArray

BoolArray = npt.NDArray[np.bool_]

ROADSIDE = "along the road, on its side of the fence"
FENCE = ALONG_FENCE
STRAIGHT = "beside the fence, as straight as built"
APART = "on the road, reaches no fence"

_JUDGED = (PathClass.FOOTPATH, PathClass.VEHICLE_TRACK, PathClass.PAVED_PATH)


@dataclass(frozen=True)
class RoadConfig:
    """What runs with the road.

    Attributes:
        along_deg: a line within this of the fence's direction follows it, as for access points.
        fence_m: a line this near a fence that is seen is the fence, its foot or its shadow.
        beside_m: as far beyond the fence as its ditch, its shadow and its maintenance strip lie.
        as_built_m: what is set out keeps its distance to the fence to a hand's breadth (root mean
            square about a straight line over `built_run_m`); what is trodden wanders by more.
        built_run_m: over less than this even a trodden path is straight.
        run_m: a stretch shorter than this, two bays of fence, does not tell what it follows.
        chord_m: a direction is that of a chord of this length, since lines are pixel work.
        narrowest_m: the narrowest expressway (four lanes at 80 km/h, JTG D20: 24.5 m). With one
            side of a road known, no more than this beside it is surely road.
        reaches_m: a path on the road comes this near a fence, or has not come from outside.
    """

    along_deg: float = AccessConfig.crossing_deg
    fence_m: float = 1.0
    beside_m: float = 5.0
    as_built_m: float = 0.1
    built_run_m: float = 15.0
    run_m: float = 6.0
    chord_m: float = 4.0
    narrowest_m: float = 24.5
    reaches_m: float = AccessConfig.carried_m


def with_road(
    paths: Sequence[Footpath],
    lines: Sequence[FenceLine],
    fences: Sequence[FenceResult],
    config: RoadConfig | None = None,
) -> list[Footpath]:
    """The paths, what follows the road or the fence named `other_linear` with the reason.

    A path that follows the road for a stretch only is cut there; no length is lost. Where there is
    no fence (tunnel, viaduct) a path may lead anywhere, and nothing is judged; where the fence
    was not seen, only what is further inward than the drawn line may be wrong.

    Args:
        paths: of all classes; footpaths, wheel tracks and paved paths are judged.
        lines: the fences as found.
        fences: their states, one for each of `lines`.
        config: what runs with the road.
    """
    config = config or RoadConfig()
    if not lines:
        return list(paths)
    result: list[Footpath] = []
    for path in paths:
        if path.path_class in _JUDGED and path.length_m > 0:
            result += _split(path, lines, fences, config)
        else:
            result.append(path)
    return _without_apart(result, lines, fences, config)


@dataclass(frozen=True)
class _Beside:
    """Samples of a path at one fence; all (N,).

    Attributes:
        chainage_m: where.
        out_m: beyond the fence positive, on the road's side negative.
        along: whether the direction is the fence's.
        known: whether the fence is built here, and not past its end.
        seen: whether it was seen, so that `found` is where it is.
    """

    chainage_m: FloatArray
    out_m: FloatArray
    along: BoolArray
    known: BoolArray
    seen: BoolArray

    def inward(self, line: FenceLine) -> BoolArray:
        """Whether on the road's side, for sure."""
        slack_m = np.where(self.seen, 0.0, line.boundary.offset_tolerance_m)
        return np.asarray(self.known & (self.out_m < -slack_m))


def _samples(path: Footpath, config: RoadConfig) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Every half metre: distance along (N,), position (N, 2), direction (N, 2)."""
    length_m = path.length_m
    count = max(2, int(np.ceil(length_m / 0.5)) + 1)
    at_m = np.linspace(0.0, length_m, count)
    half_m = config.chord_m / 2

    def position(where_m: FloatArray) -> FloatArray:
        points = shapely.line_interpolate_point(path.centreline, where_m)
        return np.asarray(shapely.get_coordinates(points))

    before = position(np.clip(at_m - half_m, 0.0, length_m))
    step = position(np.clip(at_m + half_m, 0.0, length_m)) - before
    size = np.maximum(np.hypot(step[:, 0], step[:, 1]), 1e-9)
    return at_m, position(at_m), step / size[:, None]


def _beside(
    xy: FloatArray, way: FloatArray, line: FenceLine, fence: FenceResult, config: RoadConfig
) -> _Beside:
    chainage_m, offset_m = line.found.locate(xy)
    parallel = np.abs((line.found.direction_at(chainage_m) * way).sum(axis=1))
    first_m, last_m = line.found.chainage_m[[0, -1]]
    known = (chainage_m > first_m) & (chainage_m < last_m)
    seen = np.zeros(len(xy), dtype=np.bool_)
    for stretch in fence.stretches:
        here = (chainage_m >= stretch.start_m) & (chainage_m < stretch.end_m)
        if stretch.state is FenceState.NO_FENCE:
            known &= ~here
        seen |= here & (stretch.state in (FenceState.INTACT, FenceState.BREACH))
    return _Beside(
        chainage_m=chainage_m,
        out_m=offset_m * line.boundary.side.outward,
        along=np.asarray(parallel >= np.cos(np.radians(config.along_deg))),
        known=np.asarray(known),
        seen=seen,
    )


def _on_road(
    besides: Sequence[_Beside], lines: Sequence[FenceLine], config: RoadConfig
) -> tuple[BoolArray, BoolArray]:
    """Whether each sample is on a road, and whether it is and runs along it.

    Between the two sides of a route; where one side is known, as far from it as any road is wide.
    """
    count = len(besides[0].out_m)
    columns = np.arange(count)
    road, along = np.zeros(count, np.bool_), np.zeros(count, np.bool_)
    for route in sorted({line.boundary.route for line in lines}):
        there, inward, away, follows = [], [], [], []
        for side in Side:
            own = [
                n
                for n, line in enumerate(lines)
                if (line.boundary.route, line.boundary.side) == (route, side)
            ]
            if not own:
                continue
            far = np.array(
                [np.where(besides[n].known, np.abs(besides[n].out_m), np.inf) for n in own]
            )
            nearest = far.argmin(axis=0)
            away.append(far[nearest, columns])
            there.append(np.isfinite(away[-1]))
            inward.append(np.array([besides[n].inward(lines[n]) for n in own])[nearest, columns])
            follows.append(np.array([besides[n].along for n in own])[nearest, columns])
        # A side that is not known here does not speak against the other; `inward` is false there.
        agree = (np.array(inward) | ~np.array(there)).all(axis=0) & np.any(there, axis=0)
        both = np.sum(there, axis=0) == 2
        inside = agree & (both | (np.min(away, axis=0) <= config.narrowest_m))
        road |= inside
        along |= inside & np.array(follows)[np.argmin(away, axis=0), columns]
    return road, along


def _split(
    path: Footpath,
    lines: Sequence[FenceLine],
    fences: Sequence[FenceResult],
    config: RoadConfig,
) -> list[Footpath]:
    """The path in the stretches that follow the road and those that do not."""
    at_m, xy, way = _samples(path, config)
    besides = [_beside(xy, way, line, f, config) for line, f in zip(lines, fences, strict=True)]
    reasons = np.full(len(at_m), "", dtype=object)
    # A paved path or a track beside the fence is set out as well, and is one for all that.
    trodden = path.path_class is PathClass.FOOTPATH
    for beside in besides if trodden else []:
        for start, end in _runs(_close_by(beside, config)):
            if _as_built(beside, start, end, config):
                reasons[start:end] = STRAIGHT
    _, along = _on_road(besides, lines, config)
    reasons[along] = ROADSIDE
    for beside in besides:
        near = beside.known & beside.seen & beside.along & (np.abs(beside.out_m) <= config.fence_m)
        reasons[near] = FENCE
    # What is too short to tell takes after what is around it: first the road's, then the rest.
    named = reasons != ""
    for start, end in _runs(~named):
        if start > 0 and end < len(named) and at_m[end - 1] - at_m[start] < config.chord_m:
            named[start:end] = True
    for start, end in _runs(named):
        whole = start == 0 and end == len(named)
        if not whole and at_m[end - 1] - at_m[start] < config.run_m:
            named[start:end] = False
    for start, end in _runs(~named):
        if named.any() and at_m[end - 1] - at_m[start] < config.chord_m / 2:
            named[start:end] = True
    cuts = [0, *(np.flatnonzero(np.diff(named.astype(np.int8))) + 1), len(named)]
    pieces = []
    for start, end in itertools.pairwise(cuts):
        to_m = at_m[end] if end < len(at_m) else at_m[-1]
        line = substring(path.centreline, at_m[start], to_m) if len(cuts) > 2 else path.centreline
        piece = replace(path, centreline=shapely.LineString(shapely.get_coordinates(line)))
        if named[start]:
            found = [reason for reason in reasons[start:end] if reason]
            most = max(sorted(set(found)), key=found.count)
            piece = piece.named_other(most, len(found) / (end - start))
        pieces.append(piece)
    return pieces


def _close_by(beside: _Beside, config: RoadConfig) -> BoolArray:
    near = (beside.out_m > 0) & (beside.out_m <= config.beside_m)
    return np.asarray(beside.known & beside.seen & beside.along & near)


def _as_built(beside: _Beside, start: int, end: int, config: RoadConfig) -> bool:
    """Whether samples keep their distance to the fence as what was set out with it does."""
    chainage_m, out_m = beside.chainage_m[start:end], beside.out_m[start:end]
    if np.ptp(chainage_m) < config.built_run_m:
        return False
    # By stretches, for a ditch drifts from the fence over a hundred metres, and is no path for it.
    count = len(out_m)
    size = min(count, int(np.ceil(config.built_run_m / np.ptp(chainage_m) * count)))
    spreads = []
    for first in range(0, count - size + 1, max(1, size // 2)):
        x, y = chainage_m[first : first + size], out_m[first : first + size]
        design = np.column_stack([x - x.mean(), np.ones(size)])
        rest = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
        spreads.append(float(np.sqrt(np.mean(rest**2))))
    return float(np.median(spreads)) <= config.as_built_m


def _without_apart(
    paths: Sequence[Footpath],
    lines: Sequence[FenceLine],
    fences: Sequence[FenceResult],
    config: RoadConfig,
) -> list[Footpath]:
    """The paths, those that lie on the road and hang together with nothing that leaves it named."""
    walked = [n for n, path in enumerate(paths) if path.path_class in _JUDGED]
    inside: dict[int, bool] = {}
    for number in walked:
        _, xy, way = _samples(paths[number], config)
        besides = [_beside(xy, way, line, f, config) for line, f in zip(lines, fences, strict=True)]
        road, _ = _on_road(besides, lines, config)
        nearest = min(float(np.abs(beside.out_m).min()) for beside in besides)
        inside[number] = bool(road.all()) and nearest > config.reaches_m
    kept = [number for number in walked if not inside[number]]
    apart = [number for number in walked if inside[number]]
    while True:
        joined = [
            number
            for number in apart
            if any(
                shapely.dwithin(paths[number].centreline, paths[other].centreline, 0.5)
                for other in kept
            )
        ]
        if not joined:
            break
        kept += joined
        apart = [number for number in apart if number not in joined]
    result = list(paths)
    for number in apart:
        result[number] = paths[number].named_other(APART, 1.0)
    return result


def _runs(mask: BoolArray) -> list[tuple[int, int]]:
    """Start and end (exclusive) of each run of true samples."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
