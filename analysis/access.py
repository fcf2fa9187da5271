"""Access points: where footpaths meet a fence, how much each matters, and ways across the road."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import shapely

from analysis.footpaths import Footpath, PathClass
from analysis.raster import Orthophoto
from analysis.results import Crossing, FenceLine, Layers, to_wgs84, with_extra
from corridor import Side
from corridor.findings import FencePiece, FenceState, Finding, FindingKind
from corridor.values import FloatArray

ALONG_FENCE = "along the fence, within reach of its posts"
"""The reason of a line that is the fence itself: a path that ends on it ends at the fence."""


@dataclass(frozen=True)
class AccessConfig:
    """When a path meets a fence.

    Attributes:
        meets_m: a path that ends this near the fence meets it: the trodden ground fades over the
            last steps, and a fence's foot is overgrown.
        carried_m: a footpath that ends this near under cover, and points at the fence, is carried
            on. Wheel tracks and paved ways are not: most are the road's own.
        heading_deg: the most that a path may deviate from straight at the fence to point at it.
        crossing_deg: a path that runs at less than this to the fence follows it.
        beyond_m: a path that goes on this far on the other side crosses.
        same_m: paths that meet the fence within this distance share an access point.
        origin_m: how near a path's far end a village, field or stop counts as where it comes from.
        across_m: access points this near along the road, on opposite sides, may be one way across.
    """

    meets_m: float = 2.5
    carried_m: float = 10.0
    heading_deg: float = 60.0
    crossing_deg: float = 20.0
    beyond_m: float = 1.0
    same_m: float = 3.0
    origin_m: float = 40.0
    across_m: float = 60.0


@dataclass(frozen=True)
class Meeting:
    """One path at one fence.

    Attributes:
        chainage_m: where.
        xy: the same in the picture's CRS, on the fence as found.
        crosses: whether the path goes on beyond.
        outside, inside: whether there is path on that side of the fence.
        gap_m: from the path's seen end to the fence, 0 where it is seen there.
        inferred: whether the last stretch was carried on under cover.
        path: index of the path.
    """

    line: int
    chainage_m: float
    xy: tuple[float, float]
    crosses: bool
    outside: bool
    inside: bool
    gap_m: float
    inferred: bool
    path: int


def meetings(
    paths: Sequence[Footpath],
    lines: Sequence[FenceLine],
    config: AccessConfig | None = None,
    under_cover: Callable[[FloatArray], bool] = lambda xy: False,
) -> list[Meeting]:
    """Where paths meet fences, in order of line and chainage.

    Args:
        paths: of all classes; `other_linear` never meets a fence.
        lines: the fences as found.
        config: what counts.
        under_cover: whether the straight way (2, 2) from a path's end to the fence is hidden.
    """
    config = config or AccessConfig()
    found: list[Meeting] = []
    for number, path in enumerate(paths):
        if path.path_class is PathClass.OTHER_LINEAR:
            continue
        for index, line in enumerate(lines):
            fence = shapely.LineString(line.found.xy)
            if shapely.distance(fence, path.centreline) > config.carried_m:
                continue
            crossed = _crossed(path, number, index, line, fence, config)
            found += crossed
            if crossed:
                continue
            walked = path.path_class is PathClass.FOOTPATH
            for end in _free_ends(path, number, paths):
                meeting = _ended(end, number, index, line, fence, config, under_cover)
                if meeting is not None and (walked or not meeting.inferred):
                    found.append(meeting)
    return sorted(found, key=lambda m: (m.line, m.chainage_m, m.path))


def _crossed(
    path: Footpath,
    number: int,
    index: int,
    line: FenceLine,
    fence: shapely.LineString,
    config: AccessConfig,
) -> list[Meeting]:
    result = []
    outward = line.boundary.side.outward
    shared = shapely.intersection(fence, path.centreline)
    for point in [] if shared.is_empty else shapely.get_parts(shared):
        (x, y), *_ = shapely.get_coordinates(point)
        here = np.array([[x, y]])
        chainage, _ = line.found.locate(here)
        at = shapely.line_locate_point(path.centreline, shapely.Point(x, y))
        before = shapely.line_interpolate_point(path.centreline, max(at - 2.0, 0.0))
        after = shapely.line_interpolate_point(path.centreline, at + 2.0)
        ends = shapely.get_coordinates([before, after])
        step = ends[1] - ends[0]
        along = line.found.direction_at(chainage)[0]
        away = np.array([-along[1], along[0]])
        angle = math.degrees(math.atan2(abs(float(step @ away)), abs(float(step @ along))))
        if angle < config.crossing_deg:
            continue
        _, offsets = line.found.locate(ends)
        out_m = max(0.0, float((offsets * outward).max()))
        in_m = max(0.0, float((-offsets * outward).max()))
        result.append(
            Meeting(
                line=index,
                chainage_m=float(chainage[0]),
                xy=(float(x), float(y)),
                crosses=min(out_m, in_m) >= config.beyond_m,
                outside=out_m >= config.beyond_m,
                inside=in_m >= config.beyond_m,
                gap_m=0.0,
                inferred=False,
                path=number,
            )
        )
    return result


def _free_ends(path: Footpath, number: int, paths: Sequence[Footpath]) -> list[FloatArray]:
    """(2, 2) last steps of the path's free ends: from some metres back to the end itself.

    An end that runs into another path is not free. A kerb, a ditch or the fence's own shadow is no
    path to go on by.
    """
    ends = []
    length_m = path.centreline.length
    back_m = min(5.0, length_m)
    for at, from_ in ((0.0, back_m), (length_m, length_m - back_m)):
        end = shapely.line_interpolate_point(path.centreline, at)
        joined = any(
            other != number
            and paths[other].path_class is not PathClass.OTHER_LINEAR
            and shapely.dwithin(paths[other].centreline, end, 0.5)
            for other in range(len(paths))
        )
        if not joined:
            start = shapely.line_interpolate_point(path.centreline, from_)
            ends.append(shapely.get_coordinates([start, end]))
    return ends


def _ended(
    end: FloatArray,
    number: int,
    index: int,
    line: FenceLine,
    fence: shapely.LineString,
    config: AccessConfig,
    under_cover: Callable[[FloatArray], bool],
) -> Meeting | None:
    step = end[1] - end[0]
    size = float(np.hypot(*step))
    if size < 1e-6:
        return None
    gap_m = float(shapely.distance(fence, shapely.Point(end[1])))
    if gap_m > config.carried_m:
        return None
    chainage, offset = line.found.locate(end[1:])
    along = line.found.direction_at(chainage)[0]
    left = np.array([-along[1], along[0]])
    towards = -left if offset[0] > 0 else left
    deviation = math.degrees(math.acos(float(np.clip(step @ towards / size, -1.0, 1.0))))
    if deviation > config.heading_deg:
        return None
    inferred = gap_m > config.meets_m
    foot = line.found.at(chainage)[0]
    if inferred:
        # The straight way on, rather than the shortest: people keep their direction.
        ray = shapely.LineString([end[1], end[1] + step / size * 2 * config.carried_m])
        hit = shapely.intersection(ray, fence)
        if hit.is_empty:
            return None
        foot = shapely.get_coordinates(shapely.get_parts(hit)[0])[0]
        gap_m = float(np.hypot(*(foot - end[1])))
        if gap_m > config.carried_m or not under_cover(np.array([end[1], foot])):
            return None
        chainage, _ = line.found.locate(foot[None])
    is_outside = float(offset[0]) * line.boundary.side.outward > 0
    return Meeting(
        line=index,
        chainage_m=float(chainage[0]),
        xy=(float(foot[0]), float(foot[1])),
        crosses=False,
        outside=is_outside,
        inside=not is_outside,
        gap_m=gap_m,
        inferred=inferred,
        path=number,
    )


def access_points(
    ortho: Orthophoto,
    paths: Sequence[Footpath],
    lines: Sequence[FenceLine],
    pieces: Sequence[Sequence[FencePiece]],
    layers: Layers,
    config: AccessConfig | None = None,
    under_cover: Callable[[FloatArray], bool] = lambda xy: False,
) -> list[Finding]:
    """The access points, ranked: one finding for all the paths that meet the fence at one place.

    Where the fence stands in a tunnel, on a bridge or a viaduct (`no_fence`) a path passes under
    or over, and is no way in.
    """
    config = config or AccessConfig()
    groups: list[list[Meeting]] = []
    for meeting in meetings(paths, lines, config, under_cover):
        last = groups[-1][-1] if groups else None
        apart_m = meeting.chainage_m - last.chainage_m if last else 0.0
        if last and last.line == meeting.line and apart_m <= config.same_m:
            groups[-1].append(meeting)
        else:
            groups.append([meeting])
    findings = []
    for group in groups:
        finding = _access_point(ortho, group, paths, lines, pieces, layers, config)
        if finding is not None:
            findings.append(finding)
    return findings


def _access_point(
    ortho: Orthophoto,
    group: Sequence[Meeting],
    paths: Sequence[Footpath],
    lines: Sequence[FenceLine],
    pieces: Sequence[Sequence[FencePiece]],
    layers: Layers,
    config: AccessConfig,
) -> Finding | None:
    best = max(group, key=lambda m: (paths[m.path].confidence * _nearness(m, config), -m.path))
    line = lines[best.line]
    state = state_near(pieces[best.line], best.chainage_m)
    if state is FenceState.NO_FENCE:
        return None
    path = paths[best.path]
    outside, inside = any(m.outside for m in group), any(m.inside for m in group)
    crosses = any(m.crosses for m in group) or (outside and inside)
    origins = _origins([paths[m.path] for m in group], best.xy, layers, config)
    wear = max(paths[m.path].visibility for m in group)
    # Independent paths to one place confirm each other.
    doubt = 1.0
    for number in {m.path for m in group}:
        most = max(_nearness(m, config) for m in group if m.path == number)
        doubt *= 1.0 - paths[number].confidence * most
    confidence = min(0.99, 1.0 - doubt)
    vehicles = all(paths[m.path].path_class is not PathClass.FOOTPATH for m in group)
    severity = 2 + (crosses or inside) + bool(origins)
    severity += {FenceState.BREACH: 2, FenceState.OBSCURED: 1}.get(state, 0)
    if vehicles:
        severity = min(severity, 3)
    return Finding(
        finding_id="",
        kind=FindingKind.ACCESS_POINT,
        geometry=to_wgs84(ortho, shapely.Point(best.xy)),
        confidence=round(confidence, 3),
        severity=int(np.clip(severity, 1, 5)),
        route=line.boundary.route,
        side=line.boundary.side,
        chainage_start_m=best.chainage_m,
        chainage_end_m=best.chainage_m,
        width_m=round(path.width_m, 2),
        crosses_fence=crosses,
        evidence={
            "path": round(path.confidence, 3),
            "wear": round(wear, 3),
            "gap_m": round(best.gap_m, 2),
            **{f"near_{name}": 1.0 for name in origins},
        },
        extra={
            "fence_state": state.value,
            "inside": inside,
            "inferred": all(m.inferred for m in group),
            "paths": len({m.path for m in group}),
            "rank": round(_rank(state, wear, crosses, bool(origins), confidence), 3),
            "next_step": next_step(state, crosses, vehicles),
        },
    )


def next_step(state: FenceState, crosses: bool, vehicles: bool) -> str:
    """What to do about an access point."""
    if vehicles:
        return "check_gate"
    if state is FenceState.BREACH:
        return "mend"
    if state in (FenceState.OBSCURED, FenceState.UNSEEN) or crosses:
        return "look_again_obliquely"
    return "watch"


def _rank(
    state: FenceState, wear: float, crosses: bool, from_somewhere: bool, confidence: float
) -> float:
    """0 to 1: the state of the fence counts most, then that people get through, then wear."""
    broken = {FenceState.BREACH: 1.0, FenceState.OBSCURED: 0.5, FenceState.UNSEEN: 0.4}
    parts = 0.4 * broken.get(state, 0.1) + 0.25 * crosses + 0.2 * wear + 0.15 * from_somewhere
    return parts * confidence


def _nearness(meeting: Meeting, config: AccessConfig) -> float:
    """How sure it is that the path gets to the fence: 1 where it is seen there."""
    if not meeting.inferred:
        return 1.0 if meeting.crosses else 0.9
    return 0.8 - 0.4 * min(1.0, meeting.gap_m / config.carried_m)


def _origins(
    paths: Sequence[Footpath], xy: tuple[float, float], layers: Layers, config: AccessConfig
) -> list[str]:
    """Names of the layers that lie at the far end of one of the paths."""
    here = shapely.Point(xy)
    names = set()
    for path in paths:
        ends = [shapely.Point(path.centreline.coords[i]) for i in (0, -1)]
        far = max(ends, key=lambda end: float(shapely.distance(end, here)))
        for name, shapes in layers.places.items():
            if any(shapely.dwithin(shape, far, config.origin_m) for shape in shapes):
                names.add(name)
    return sorted(names)


def state_near(pieces: Sequence[FencePiece], chainage_m: float, reach_m: float = 1.5) -> FenceState:
    """The fence's state at a place, a breach within `reach_m` before anything else."""
    near = [
        piece
        for piece in pieces
        if piece.chainage_start_m <= chainage_m + reach_m
        and piece.chainage_end_m >= chainage_m - reach_m
    ]
    if any(piece.state is FenceState.BREACH for piece in near):
        return FenceState.BREACH
    for piece in near:
        if piece.chainage_start_m <= chainage_m < piece.chainage_end_m:
            return piece.state
    return near[-1].state if near else FenceState.UNSEEN


def carried(paths: Sequence[Footpath], found: Sequence[Meeting]) -> list[Footpath]:
    """The paths, those that were carried to a fence under cover lengthened, and saying so."""
    result = list(paths)
    for meeting in found:
        if not meeting.inferred:
            continue
        path = result[meeting.path]
        xy = shapely.get_coordinates(path.centreline)
        end = np.array([meeting.xy])
        if np.hypot(*(xy[0] - end[0])) < np.hypot(*(xy[-1] - end[0])):
            xy = np.vstack([end, xy])
        else:
            xy = np.vstack([xy, end])
        seen_m = path.length_m * (1.0 - path.inferred_frac)
        longer = shapely.LineString(xy)
        result[meeting.path] = replace(
            path, centreline=longer, inferred_frac=float(1.0 - seen_m / longer.length)
        )
    return result


def crossings(
    ortho: Orthophoto,
    points: Sequence[Finding],
    layers: Layers,
    config: AccessConfig | None = None,
) -> list[Crossing]:
    """Pairs of access points on opposite sides of one road, each used once, the likeliest first.

    Two are the likelier a pair the nearer to straight across they lie, the surer each is, and if
    something people walk to lies on either side.
    """
    config = config or AccessConfig()
    pairs = []
    for left in points:
        if left.side is not Side.LEFT:
            continue
        for right in points:
            if right.side is not Side.RIGHT or right.route != left.route:
                continue
            ends = ortho.to_xy(shapely.get_coordinates([left.geometry, right.geometry]))
            length_m = float(np.hypot(*(ends[1] - ends[0])))
            along_m = abs((left.chainage_start_m or 0.0) - (right.chainage_start_m or 0.0))
            if along_m > config.across_m or length_m > 3 * config.across_m:
                continue
            reasons = _between(ends, layers, config)
            straight = math.exp(-((along_m / (config.across_m / 2)) ** 2))
            sure = left.confidence * right.confidence
            confidence = min(0.95, sure * (0.25 + 0.45 * straight + 0.25 * bool(reasons)))
            pairs.append((confidence, left, right, ends, length_m, reasons))
    pairs.sort(key=lambda pair: (-pair[0], pair[1].finding_id, pair[2].finding_id))
    used: set[str] = set()
    result = []
    for confidence, left, right, ends, length_m, reasons in pairs:
        if left.finding_id in used or right.finding_id in used:
            continue
        used |= {left.finding_id, right.finding_id}
        middle_m = ((left.chainage_start_m or 0.0) + (right.chainage_start_m or 0.0)) / 2
        line = to_wgs84(ortho, shapely.LineString(ends))
        result.append(
            Crossing(
                line=shapely.LineString(shapely.get_coordinates(line)),
                route=left.route,
                left_id=left.finding_id,
                right_id=right.finding_id,
                chainage_m=middle_m,
                length_m=round(length_m, 1),
                confidence=round(confidence, 3),
                reason=", ".join(reasons),
            )
        )
    return result


_ACROSS_RANK = 0.15


def across(findings: Sequence[Finding], ways: Sequence[Crossing]) -> list[Finding]:
    """The findings, access points that are an end of a way across named with the other, and ranked
    higher by how sure the way is."""
    other = {way.left_id: (way.right_id, way.confidence) for way in ways}
    other |= {way.right_id: (way.left_id, way.confidence) for way in ways}
    result = []
    for finding in findings:
        if finding.finding_id in other:
            end, sure = other[finding.finding_id]
            rank = float(finding.extra.get("rank") or 0.0)
            raised = round(min(1.0, rank + _ACROSS_RANK * sure), 3)
            finding = with_extra(finding, across=end, rank=raised)
        result.append(finding)
    return result


def _between(ends: FloatArray, layers: Layers, config: AccessConfig) -> list[str]:
    reach_m = 5 * config.origin_m
    points = [shapely.Point(end) for end in ends]
    return sorted(
        name
        for name, shapes in layers.places.items()
        if any(shapely.dwithin(shape, point, reach_m) for shape in shapes for point in points)
    )
