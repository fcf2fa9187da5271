"""One part of a boundary assessed: where its fence runs, how it stands, where it is broken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import rasterio
import shapely

from analysis.fence.assess import Answer, answer, assess
from analysis.heights import SurfaceModel
from analysis.raster import CACHE_BYTES, Orthophoto
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


def answer_piece(orthos: tuple[Path, ...], boundary: Boundary, part: int, number: int) -> Answer:
    """Opens the picture and looks at one piece of a part; for another process."""
    with rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES):
        ortho = Orthophoto.open(orthos)
        return answer(ortho, ortho.track(boundary, part), boundary.offset_tolerance_m, number)


def assess_part(
    ortho: Orthophoto,
    index: int,
    boundary: Boundary,
    part: int,
    dsm: SurfaceModel | None,
    answers: Sequence[Answer],
) -> FenceResult:
    """States one part from the answers of all its pieces.

    Args:
        ortho: the picture.
        index: of the boundary, for the result.
        boundary: whose fence it is.
        part: which of its polylines.
        dsm: a surface model, if there is one.
        answers: of its pieces, in order.
    """
    track = ortho.track(boundary, part)
    found = assess(ortho, track, boundary.offset_tolerance_m, dsm, answers=answers)
    return FenceResult(
        boundary=index,
        part=part,
        chainage_m=found.chainage_m,
        xy=found.xy,
        offset_m=found.offset_m,
        stretches=tuple(
            Stretch(span.start_m, span.end_m, span.state, span.confidence, span.reason)
            for span in found.spans
        ),
        breaches=tuple(
            Breach(each.start_m, each.end_m, each.breach_type, each.confidence, each.evidence)
            for each in found.broken
        ),
    )


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
