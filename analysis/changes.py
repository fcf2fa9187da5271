"""What became of each finding between two flights: new, persisting, changed, repaired."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import shapely

from analysis.epochs import Earlier, Registration
from analysis.raster import Orthophoto
from analysis.results import FenceLine, piece_line, to_picture, to_wgs84, with_extra
from analysis.side_view import NOT_PHOTOGRAPHED
from corridor.findings import (
    NOT_SEEN_FROM_THE_SIDE,
    BreachType,
    FencePiece,
    FenceState,
    Finding,
    FindingKind,
)

_SLACK_M = 1.0
_CHANGED_M = 0.5
_CHANGED_FRAC = 0.3
_MENDED_FRAC = 0.7
"""Share of a former breach that is now called intact, for it to count as repaired."""
_PATH_BUFFER_M = 1.5
_ACCESS_M = 3.0
_WORN = 0.2
"""Visibility runs from 0 to 1; a fifth more is more than another sun does."""


@dataclass(frozen=True)
class Changes:
    """This flight's findings with `status`, and what is no more of the earlier flight's."""

    findings: tuple[Finding, ...]
    closed: tuple[Finding, ...]


def compare(
    ortho: Orthophoto,
    earlier: Earlier,
    lines: Sequence[FenceLine],
    pieces: Sequence[Sequence[FencePiece]],
    registrations: Sequence[Registration | None],
    findings: Sequence[Finding],
    searched: shapely.Geometry,
) -> Changes:
    """Tells what became of every finding.

    `new`: was not there; `persisting`; `changed`: a breach of another type or length, a path more
    worn; `repaired`: the fence is seen to stand there now; `gone`: ground that was a path or plot
    no longer is; `unconfirmed`: was there, and this time the place could not be judged. What is
    unconfirmed stays among the findings, everything else that is no more is closed.

    Args:
        ortho: this flight's picture.
        earlier: the earlier flight.
        lines, pieces: this flight's fences and their states.
        registrations: of each line.
        findings: of this flight.
        searched: where footpaths were looked for, in the picture's CRS.
    """
    told: dict[int, str] = {}
    closed: list[Finding] = []
    open_still: list[Finding] = []
    for was in earlier.findings:
        if was.extra.get("status") == "unconfirmed" and was.kind is not FindingKind.BREACH:
            continue
        if was.kind is FindingKind.BREACH:
            kept, gone = _breach(ortho, was, lines, pieces, registrations, findings, told)
        else:
            kept, gone = _ground(ortho, was, lines, registrations, findings, told, searched)
        open_still += [kept] if kept else []
        closed += [gone] if gone else []
    result = [
        with_extra(finding, status=told.get(index, "new")) for index, finding in enumerate(findings)
    ]
    return Changes(tuple(result + open_still), tuple(closed))


def _line_of(
    was: Finding, lines: Sequence[FenceLine], registrations: Sequence[Registration | None]
) -> tuple[int, Registration] | None:
    if was.chainage_start_m is None:
        return None
    for index, (line, registration) in enumerate(zip(lines, registrations, strict=True)):
        same = (line.boundary.route, line.boundary.side) == (was.route, was.side)
        if same and registration is not None:
            low, high = registration.before_m[0] - 25.0, registration.before_m[-1] + 25.0
            if low <= was.chainage_start_m <= high:
                return index, registration
    return None


def _breach(
    ortho: Orthophoto,
    was: Finding,
    lines: Sequence[FenceLine],
    pieces: Sequence[Sequence[FencePiece]],
    registrations: Sequence[Registration | None],
    findings: Sequence[Finding],
    told: dict[int, str],
) -> tuple[Finding | None, Finding | None]:
    """Tells this flight's finding of the same breach, or what became of it."""
    at = _line_of(was, lines, registrations)
    if at is None or was.chainage_end_m is None or was.chainage_start_m is None:
        return with_extra(was, status="unconfirmed", next_step="look_again_obliquely"), None
    index, registration = at
    line = lines[index]
    start_m, end_m = registration.now(was.chainage_start_m), registration.now(was.chainage_end_m)
    for number, finding in enumerate(findings):
        if finding.kind is not FindingKind.BREACH or not _on(finding, line):
            continue
        low, high = finding.chainage_start_m or 0.0, finding.chainage_end_m or 0.0
        if low - _SLACK_M < end_m and start_m < high + _SLACK_M:
            before_m, now_m = end_m - start_m, high - low
            other = abs(now_m - before_m) > max(_CHANGED_M, _CHANGED_FRAC * before_m)
            status = "changed" if other or finding.breach_type is not was.breach_type else None
            told[number] = status or told.get(number) or "persisting"
            return None, None
    moved = _moved(ortho, was, line, start_m, end_m)
    # A hole is not seen from above: where nobody looked from the side again, it may still be there.
    looked_at = [
        piece
        for piece in pieces[index]
        if was.breach_type is not BreachType.HOLE
        or piece.reason not in (NOT_SEEN_FROM_THE_SIDE, NOT_PHOTOGRAPHED)
    ]
    whole = _share(looked_at, start_m, end_m, FenceState.INTACT)
    if whole >= _MENDED_FRAC:
        return None, with_extra(moved, status="repaired", next_step=None)
    if _share(pieces[index], start_m, end_m, FenceState.NO_FENCE) >= _MENDED_FRAC:
        return None, with_extra(moved, status="gone", next_step=None)
    return with_extra(moved, status="unconfirmed", next_step="look_again_obliquely"), None


def _ground(
    ortho: Orthophoto,
    was: Finding,
    lines: Sequence[FenceLine],
    registrations: Sequence[Registration | None],
    findings: Sequence[Finding],
    told: dict[int, str],
    searched: shapely.Geometry,
) -> tuple[Finding | None, Finding | None]:
    """The same for footpaths, access points and plots, matched on the ground."""
    shape = shapely.transform(
        to_picture(ortho, was.geometry), lambda xy: xy + _ground_shift(was, lines, registrations)
    )
    matched = False
    for number, finding in enumerate(findings):
        if finding.kind is not was.kind or finding.extra.get("class") != was.extra.get("class"):
            continue
        now = to_picture(ortho, finding.geometry)
        if not _same(was.kind, shape, now):
            continue
        matched = True
        more = float(finding.extra.get("visibility") or 0.0) - float(
            was.extra.get("visibility") or 0.0
        )
        status = "changed" if more > _WORN else "persisting"
        if told.get(number) != "changed":
            told[number] = status
    if matched or was.kind is FindingKind.ACCESS_POINT:
        # An access point is no more once its path, or its breach, is; those are told of.
        gone = None if matched else with_extra(was, status="gone", next_step=None)
        return None, gone
    inside = shapely.intersects(searched, shapely.point_on_surface(shape))
    if was.extra.get("class") not in (None, "", "footpath"):
        return None, None
    return None, with_extra(was, status="gone" if inside else "unconfirmed", next_step=None)


def _same(kind: FindingKind, before: shapely.Geometry, now: shapely.Geometry) -> bool:
    if kind is FindingKind.ACCESS_POINT:
        return bool(shapely.dwithin(before, now, _ACCESS_M))
    if kind is FindingKind.PLOT:
        return bool(
            shapely.area(shapely.intersection(before, now))
            >= 0.3 * shapely.area(shapely.union(before, now))
        )
    if not shapely.dwithin(before, now, _PATH_BUFFER_M):
        return False
    length_m = shapely.length(now)
    shared_m = shapely.length(shapely.intersection(now, shapely.buffer(before, _PATH_BUFFER_M)))
    back_m = shapely.length(shapely.intersection(before, shapely.buffer(now, _PATH_BUFFER_M)))
    return bool(
        shared_m >= 0.3 * min(length_m, shapely.length(before)) and back_m > 0 and shared_m > 0
    )


def _ground_shift(
    was: Finding, lines: Sequence[FenceLine], registrations: Sequence[Registration | None]
) -> np.ndarray:
    """How far the picture lies from the earlier one near a finding, by the fence beside it."""
    at = _line_of(was, lines, registrations)
    if at is None or was.chainage_start_m is None:
        return np.zeros(2)
    index, registration = at
    nearest = int(np.argmin(np.abs(registration.before_m - was.chainage_start_m)))
    now_m = registration.now_m[nearest]
    shift_m = registration.shift_m[nearest]
    track = lines[index].found
    return np.asarray(track.at([now_m])[0] - track.at([now_m - shift_m])[0])


def _moved(
    ortho: Orthophoto, was: Finding, line: FenceLine, start_m: float, end_m: float
) -> Finding:
    """An earlier breach at this flight's chainages."""
    geometry = to_wgs84(ortho, shapely.LineString(piece_line(line.found, start_m, end_m)))
    return replace(was, geometry=geometry, chainage_start_m=start_m, chainage_end_m=end_m)


def _on(finding: Finding, line: FenceLine) -> bool:
    return (finding.route, finding.side) == (line.boundary.route, line.boundary.side)


def _share(pieces: Sequence[FencePiece], start_m: float, end_m: float, state: FenceState) -> float:
    length_m = max(end_m - start_m, 1e-6)
    shared_m = sum(
        max(0.0, min(piece.chainage_end_m, end_m) - max(piece.chainage_start_m, start_m))
        for piece in pieces
        if piece.state is state
    )
    return shared_m / length_m
