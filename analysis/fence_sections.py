"""A long fence in sections: each judged by itself with what lies beside it, then joined.

The line's evidence is weighed over a whole section, so that some hundreds of metres decide between
the fence and what runs beside it; yet what one holds in memory does not grow with the route.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import rasterio

from analysis.fence.assess import Answer, answer, assess, piece_count
from analysis.fence_work import Breach, FenceResult, Stretch
from analysis.heights import SurfaceModel
from analysis.pieces_of_work import Kept
from analysis.raster import CACHE_BYTES, Orthophoto
from corridor import Boundary, Track
from corridor.findings import FenceState

SECTION_M = 3072.0
_BESIDE_M = 128.0
"""Read beside a section on both sides: by its end the line has long settled on the evidence."""
_SETTLED_M = 48.0
_SAME_LINE_M = 0.1


def sections(track: Track) -> list[Track]:
    """The parts of a line that are judged apart, in order; neighbours share twice `_BESIDE_M`."""
    steps = np.hypot(*np.diff(track.xy, axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    count = max(1, round(along[-1] / SECTION_M))
    edges = along[-1] * np.arange(count + 1) / count
    return [
        _cut(track, along, max(first - _BESIDE_M, 0.0), min(last + _BESIDE_M, along[-1]))
        for first, last in pairwise(edges)
    ]


def _cut(track: Track, along: np.ndarray, first: float, last: float) -> Track:
    if first <= 0.0 and last >= along[-1]:
        return track
    inside = (along > first) & (along < last)
    at = np.concatenate([[first], along[inside], [last]])
    xy = np.column_stack([np.interp(at, along, track.xy[:, axis]) for axis in (0, 1)])
    return Track(xy, np.interp(at, along, track.chainage_m))


def pieces_in(track: Track) -> list[int]:
    """How many pieces each section of a line is looked at in."""
    return [piece_count(section) for section in sections(track)]


def answer_piece(
    orthos: tuple[Path, ...], boundary: Boundary, part: int, section: int, number: int
) -> Answer:
    """Opens the picture and looks at one piece of a section; for another process."""
    with rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES):
        ortho = Orthophoto.open(orthos)
        track = sections(ortho.track(boundary, part))[section]
        return answer(ortho, track, boundary.offset_tolerance_m, number)


def judge_section(
    orthos: tuple[Path, ...],
    dsm: Path | None,
    which: tuple[int, Boundary, int, int],
    kept: Kept,
    names: Sequence[str],
) -> FenceResult:
    """States one section from the answers of all its pieces; for another process.

    Args:
        orthos, dsm: the files.
        which: index of the boundary, the boundary, its part, the section.
        kept: the answers.
        names: of the section's pieces, in order.
    """
    index, boundary, part, section = which
    with rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES):
        ortho = Orthophoto.open(orthos)
        surface = SurfaceModel.open(dsm, ortho.crs, ortho.bounds) if dsm else None
        track = sections(ortho.track(boundary, part))[section]
        answers = [kept[name] for name in names]
        return judge(ortho, index, boundary, part, surface, answers, track)


def judge(
    ortho: Orthophoto,
    index: int,
    boundary: Boundary,
    part: int,
    dsm: SurfaceModel | None,
    answers: Sequence[Answer],
    track: Track | None = None,
) -> FenceResult:
    """States one line, a part of a boundary if none is given, from the answers of its pieces."""
    track = track or ortho.track(boundary, part)
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


# Joining


def joined(results: Sequence[FenceResult]) -> FenceResult:
    """One result from those of a part's sections, in order.

    They are put together where both neighbours see the same fence stand in the same place.
    """
    if len(results) == 1:
        return results[0]
    seams = [_seam(one, other) for one, other in pairwise(results)]
    first_m, last_m = float(results[0].chainage_m[0]), float(results[-1].chainage_m[-1])
    edges = [first_m, *seams, last_m]
    chainage, xy, offset = [], [], []
    stretches: list[Stretch] = []
    breaches: list[Breach] = []
    for number, (result, (low_m, high_m)) in enumerate(zip(results, pairwise(edges), strict=True)):
        inside = (result.chainage_m >= low_m) & (result.chainage_m < high_m)
        if number == len(results) - 1:
            inside |= result.chainage_m == high_m
        chainage.append(result.chainage_m[inside])
        xy.append(result.xy[inside])
        offset.append(result.offset_m[inside])
        for each in result.stretches:
            start_m, end_m = max(each.start_m, low_m), min(each.end_m, high_m)
            if end_m > start_m:
                _append(stretches, replace(each, start_m=start_m, end_m=end_m))
        breaches += [b for b in result.breaches if low_m <= (b.start_m + b.end_m) / 2 < high_m]
    return replace(
        results[0],
        chainage_m=np.concatenate(chainage),
        xy=np.concatenate(xy),
        offset_m=np.concatenate(offset),
        stretches=tuple(stretches),
        breaches=tuple(breaches),
    )


def _append(stretches: list[Stretch], new: Stretch) -> None:
    """Adds a stretch, to the one before it if nothing but a seam parts them."""
    last = stretches[-1] if stretches else None
    if last is None or (last.state, last.reason) != (new.state, new.reason):
        stretches.append(new)
        return
    own_m, new_m = last.end_m - last.start_m, new.end_m - new.start_m
    confidence = (own_m * last.confidence + new_m * new.confidence) / (own_m + new_m)
    stretches[-1] = replace(last, end_m=new.end_m, confidence=confidence)


def _seam(one: FenceResult, other: FenceResult) -> float:
    """Where one section ends and the next begins.

    The middle of the longest stretch both call intact on one line; failing that, of the longest
    they agree on; failing that, of what they share.
    """
    low_m, high_m = float(other.chainage_m[0]), float(one.chainage_m[-1])
    settled_m = min(_SETTLED_M, (high_m - low_m) / 4)
    at_m = np.arange(low_m + settled_m, high_m - settled_m, 1.0)
    if len(at_m) == 0:
        return (low_m + high_m) / 2
    states = [_states(result, at_m) for result in (one, other)]
    lines = [np.interp(at_m, each.chainage_m, each.offset_m) for each in (one, other)]
    same = np.array([a is b for a, b in zip(*states, strict=True)])
    whole = same & np.array([state is FenceState.INTACT for state in states[0]])
    for good in (whole & (np.abs(lines[0] - lines[1]) < _SAME_LINE_M), whole, same):
        if good.any():
            ends = np.flatnonzero(np.diff(np.concatenate([[0], good.astype(np.int8), [0]])))
            runs = ends.reshape(-1, 2)
            first, last = runs[np.argmax(runs[:, 1] - runs[:, 0])]
            return float(at_m[(first + last - 1) // 2])
    return float(at_m[len(at_m) // 2])


def _states(result: FenceResult, at_m: np.ndarray) -> list[FenceState]:
    starts = np.array([each.start_m for each in result.stretches])
    index = np.searchsorted(starts, at_m, side="right") - 1
    return [result.stretches[max(int(i), 0)].state for i in index]
