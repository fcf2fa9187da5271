"""What is known of one part of a boundary: where its fence runs, how it stands, what is broken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import shapely

from analysis.raster import Orthophoto
from analysis.results import FenceLine, piece_line
from corridor import Boundary, Track
from corridor.findings import BreachType, FencePiece, FenceState
from corridor.values import FloatArray


@dataclass(frozen=True)
class Stretch:
    """A stretch of fence in one state, chainages half open [start, end)."""

    start_m: float
    end_m: float
    state: FenceState
    confidence: float
    reason: str = ""


@dataclass(frozen=True)
class Breach:
    """A place where the fence is broken, or is suspected to be.

    `evidence` says how strongly each cue spoke, `seen` how it was looked at, where that is known.
    """

    start_m: float
    end_m: float
    breach_type: BreachType
    confidence: float
    evidence: Mapping[str, float] = field(default_factory=dict)
    seen: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class FenceResult:
    """What is known of the fence of one part of a boundary.

    Attributes:
        boundary, part: indices.
        chainage_m: (N,) of the vertices of the line found, the drawn line's chainage.
        xy: (N, 2) of the same, in the picture's CRS.
        offset_m: (N,) of the line found from the line drawn, left positive.
        stretches: tile the part.
    """

    boundary: int
    part: int
    chainage_m: FloatArray
    xy: FloatArray
    offset_m: FloatArray
    stretches: tuple[Stretch, ...]
    breaches: tuple[Breach, ...] = ()


def laid_over(stretches: Sequence[Stretch], into: Stretch) -> tuple[Stretch, ...]:
    """The stretches with `into`, which lies within them, in the place of what was there."""
    laid: list[Stretch] = []
    for each in stretches:
        if each.end_m <= into.start_m or each.start_m >= into.end_m:
            laid.append(each)
            continue
        if each.start_m < into.start_m:
            laid.append(replace(each, end_m=into.start_m))
        if each.start_m <= into.start_m:
            laid.append(into)
        if into.end_m < each.end_m:
            laid.append(replace(each, start_m=into.end_m))
    return tuple(laid)


def fence_line(ortho: Orthophoto, boundaries: Sequence[Boundary], fence: FenceResult) -> FenceLine:
    """The fence as a line with its boundary."""
    boundary = boundaries[fence.boundary]
    return FenceLine(
        boundary=boundary,
        part=fence.part,
        drawn=ortho.track(boundary, fence.part),
        found=Track(fence.xy, fence.chainage_m),
        offset_m=fence.offset_m,
    )


def pieces_of(ortho: Orthophoto, line: FenceLine, fence: FenceResult) -> list[FencePiece]:
    """The states as pieces of the fence as found."""
    return [
        FencePiece(
            geometry=_lonlat_line(ortho, line, stretch.start_m, stretch.end_m),
            route=line.boundary.route,
            side=line.boundary.side,
            chainage_start_m=stretch.start_m,
            chainage_end_m=stretch.end_m,
            state=stretch.state,
            confidence=round(stretch.confidence, 3),
            reason=stretch.reason,
        )
        for stretch in fence.stretches
    ]


def _lonlat_line(
    ortho: Orthophoto, line: FenceLine, start_m: float, end_m: float
) -> shapely.LineString:
    return shapely.LineString(ortho.to_lonlat(piece_line(line.found, start_m, end_m)))
