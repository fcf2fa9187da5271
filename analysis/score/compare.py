"""Findings against truth, site by site."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from scipy.optimize import linear_sum_assignment

from analysis.score.breaches import compare_breaches
from analysis.score.condition import (
    Reaches,
    compare_offsets,
    compare_states,
    fence_length_m,
    truth_reaches,
)
from analysis.score.source import SeenStretch, Stated, read_stated
from analysis.score.tally import (
    PATH_WIDTH_CLASSES_M,
    VISIBLE_FROM_FRAC,
    LineTally,
    MatchTally,
    Recall,
    Score,
    Statement,
    class_name,
    pooled,
)
from corridor import InputError, LocalFrame
from corridor.findings import Finding, FindingKind
from corridor.values import FloatArray
from corridor.vector import read_layers, to_wgs84_lonlat

SLACK_M = 1.0
"""How far along the fence a breach found may lie from the true one."""

_NO_MATCH = 1e9


@dataclass(frozen=True)
class ScoreSpec:
    """How findings are matched.

    Attributes:
        buffer_m: footpaths match within this distance.
        slack_m: breaches match if they overlap after this much of slack along the fence.
        access_point_m: access points match within this distance.
        plot_iou: plots match from this overlap, intersection over union.
        min_confidence: findings below it are left out, as if they had not been reported.
    """

    buffer_m: float = 1.0
    slack_m: float = SLACK_M
    access_point_m: float = 3.0
    plot_iou: float = 0.5
    min_confidence: float = 0.0

    def __post_init__(self) -> None:
        if not self.buffer_m > 0:
            raise InputError("--buffer", f"{self.buffer_m} m", "more than 0 m")
        if not 0.0 <= self.min_confidence <= 1.0:
            raise InputError("--min-confidence", f"{self.min_confidence}", "0 to 1")


def score(
    pairs: Sequence[tuple[str | Path, str | Path]],
    areas: Sequence[str | Path] = (),
    spec: ScoreSpec | None = None,
) -> Score:
    """One score over one or several sites.

    Args:
        pairs: findings and truth of each site: GeoPackages, folders with `findings.gpkg` and
            `truth.gpkg`, or plain vector files of lines.
        areas: polygons inside of which to score: none, one for all sites, or one for each.
        spec: how to match.

    Raises:
        InputError: if a file cannot be read, or no pair speaks of the same things.
    """
    spec = spec or ScoreSpec()
    if len(areas) not in (0, 1, len(pairs)):
        raise InputError(
            "--area", f"{len(areas)} areas for {len(pairs)} sites", "none, one, or one for each"
        )
    scores = []
    for number, (found_path, truth_path) in enumerate(pairs):
        area = read_area(areas[number if len(areas) > 1 else 0]) if areas else None
        found = read_stated(found_path)
        truth = read_stated(truth_path, "truth.gpkg")
        scores.append(score_pair(found, truth, area, spec))
    total = pooled(scores)
    if all(
        part is None for part in (total.breaches, total.states, total.fence_line, total.footpaths)
    ):
        raise InputError(
            pairs[0][0], f"speaks of nothing that {pairs[0][1]} does", "they cannot be compared"
        )
    return total


def score_pair(
    found: Stated,
    truth: Stated,
    area: shapely.Geometry | None = None,
    spec: ScoreSpec | None = None,
) -> Score:
    """The score of one site; `area` is in WGS 84."""
    spec = spec or ScoreSpec()
    frame = LocalFrame.around(_extent(truth, found))
    inside = None if area is None else _projected(frame, [area])[0]
    kinds = found.kinds & truth.kinds
    reaches = None if truth.pieces is None else truth_reaches(truth.pieces, frame, inside)
    fence_m = 0.0 if reaches is None else fence_length_m(reaches)

    def both(kind: FindingKind) -> tuple[list[Finding], list[Finding]]:
        reported = [f for f in found.of_kind(kind) if f.confidence >= spec.min_confidence]
        return reported, truth.of_kind(kind)

    if reaches and found.pieces:
        _check_sides(found, reaches, truth.source)
    breaches = states = None
    if reaches is not None and FindingKind.BREACH in kinds:
        breaches = compare_breaches(*both(FindingKind.BREACH), reaches, spec.slack_m, truth.source)
    if reaches is not None and found.pieces is not None:
        events = breaches.events if breaches else ()
        states, events = compare_states(found.pieces, reaches, events)
        breaches = None if breaches is None else replace(breaches, events=events)
    return Score(
        sites=1,
        breaches=breaches,
        states=states,
        fence_line=(
            compare_offsets(found.fence_lines, truth.fence_lines, truth.pieces, frame, inside)
            if found.fence_lines is not None and truth.fence_lines is not None
            else None
        ),
        footpaths=(
            compare_lines(
                *both(FindingKind.FOOTPATH),
                frame,
                inside,
                spec.buffer_m,
                truth.seen_of(truth.of_kind(FindingKind.FOOTPATH)),
            )
            if FindingKind.FOOTPATH in kinds
            else None
        ),
        access_points=(
            compare_points(
                *both(FindingKind.ACCESS_POINT), frame, inside, spec.access_point_m, fence_m
            )
            if FindingKind.ACCESS_POINT in kinds
            else None
        ),
        plots=(
            compare_areas(*both(FindingKind.PLOT), frame, inside, spec.plot_iou, fence_m)
            if FindingKind.PLOT in kinds
            else None
        ),
    )


def read_area(path: str | Path) -> shapely.Geometry:
    """The polygons of a vector file as one geometry, WGS 84.

    Raises:
        InputError: if it holds none.
    """
    polygons = []
    for table in read_layers(path):
        parts_of, _ = to_wgs84_lonlat(table)
        for geometry, rings in zip(table.geometries, parts_of, strict=True):
            if geometry is not None and geometry.geom_type in ("Polygon", "MultiPolygon"):
                polygons += [shapely.make_valid(shapely.Polygon(ring)) for ring in rings]
    if not polygons:
        raise InputError(path, "holds no polygon", "an area is a Polygon or MultiPolygon")
    return shapely.union_all(polygons)


def compare_lines(
    found: Sequence[Finding],
    truth: Sequence[Finding],
    frame: LocalFrame,
    inside: shapely.Geometry | None,
    buffer_m: float,
    seen: Sequence[SeenStretch] | None = None,
) -> LineTally:
    """Footpaths found against true ones by the buffer method.

    What lies in the buffer of the other side's lines is matched; lines are counted inside of the
    area only, but matched with lines outside of it too.
    Source: Heipke, Mayer, Wiedemann and Jamet, Evaluation of automatic road extraction, 1997.

    Args:
        found: as reported.
        truth: as it is.
        frame: metric, about both.
        inside: the area in the frame, if one is given.
        buffer_m: how far apart two lines match.
        seen: the stretches of the truth that can be seen; None if that is not told.
    """
    found_xy = _projected(frame, [one.geometry for one in found])
    truth_xy = _projected(frame, [one.geometry for one in truth])
    near_found = shapely.buffer(shapely.union_all(found_xy), buffer_m, quad_segs=16)
    near_truth = shapely.buffer(shapely.union_all(truth_xy), buffer_m, quad_segs=16)
    if inside is not None:
        found_xy = shapely.intersection(found_xy, inside)
        truth_xy = shapely.intersection(truth_xy, inside)
    seen_m, seen_matched_m = _seen_m(seen, frame, inside, near_found)
    found_m, truth_m = shapely.length(found_xy), shapely.length(truth_xy)
    found_matched_m = shapely.length(shapely.intersection(found_xy, near_truth))
    truth_matched_m = shapely.length(shapely.intersection(truth_xy, near_found))
    by_width: dict[str, tuple[float, float]] = {}
    for limits in PATH_WIDTH_CLASSES_M:
        chosen = [f.width_m is not None and limits[0] <= f.width_m < limits[1] for f in truth]
        if any(chosen):
            total_m = float(truth_m[chosen].sum())
            by_width[class_name(limits)] = (float(truth_matched_m[chosen].sum()), total_m)
    inferred = np.array([float(f.extra.get("inferred_frac") or 0.0) >= 0.5 for f in found], bool)
    statements: list[Statement] = [
        (f.confidence, bool(matched >= 0.5 * length), float(length))
        for f, matched, length in zip(found, found_matched_m, found_m, strict=True)
        if length > 0
    ]
    return LineTally(
        true_m=float(truth_m.sum()),
        true_matched_m=float(truth_matched_m.sum()),
        found_m=float(found_m.sum()),
        found_matched_m=float(found_matched_m.sum()),
        inferred_m=float(found_m[inferred].sum()),
        inferred_matched_m=float(found_matched_m[inferred].sum()),
        area_m2=None if inside is None else float(shapely.area(inside)),
        by_width=by_width,
        statements=tuple(statements),
        seen_m=seen_m,
        seen_matched_m=seen_matched_m,
    )


def _seen_m(
    seen: Sequence[SeenStretch] | None,
    frame: LocalFrame,
    inside: shapely.Geometry | None,
    near_found: shapely.Geometry,
) -> tuple[float | None, float]:
    """Metres that can be seen, and those of them that are matched."""
    if seen is None:
        return None, 0.0
    seen_xy = _projected(frame, [one.geometry for one in seen])
    if inside is not None:
        seen_xy = shapely.intersection(seen_xy, inside)
    matched_xy = shapely.intersection(seen_xy, near_found)
    return float(shapely.length(seen_xy).sum()), float(shapely.length(matched_xy).sum())


def compare_points(
    found: Sequence[Finding],
    truth: Sequence[Finding],
    frame: LocalFrame,
    inside: shapely.Geometry | None,
    within_m: float,
    fence_m: float,
) -> MatchTally:
    """Access points found against true ones, each matched once, nearest first over all."""
    found, found_xy = _within(found, frame, inside)
    truth, truth_xy = _within(truth, frame, inside)
    distance_m = _pairwise(shapely.distance, found_xy, truth_xy)
    pairs = _assigned(np.where(distance_m <= within_m, distance_m, _NO_MATCH))
    return _match_tally(found, truth, pairs, fence_m, [distance_m[pair] for pair in pairs])


def compare_areas(
    found: Sequence[Finding],
    truth: Sequence[Finding],
    frame: LocalFrame,
    inside: shapely.Geometry | None,
    iou: float,
    fence_m: float,
) -> MatchTally:
    """Plots found against true ones, each matched once, by intersection over union."""
    found, found_xy = _within(found, frame, inside)
    truth, truth_xy = _within(truth, frame, inside)
    shared = shapely.area(_pairwise(shapely.intersection, found_xy, truth_xy))
    union = shapely.area(found_xy)[:, None] + shapely.area(truth_xy)[None, :] - shared
    overlap = shared / np.maximum(union, 1e-9)
    pairs = _assigned(np.where(overlap >= iou, 1.0 - overlap, _NO_MATCH))
    return _match_tally(found, truth, pairs, fence_m, [])


def _check_sides(found: Stated, reaches: Reaches, truth_source: str) -> None:
    sides = {(piece.route, piece.side.value) for piece in found.pieces or ()}
    if not sides & set(reaches):
        names = [", ".join(sorted(f"{r} {s}" for r, s in each)) for each in (sides, reaches)]
        raise InputError(
            found.source,
            f"speaks of {names[0]}, and {truth_source} of {names[1]}",
            "route and side must be the same in both",
        )


def _match_tally(
    found: Sequence[Finding],
    truth: Sequence[Finding],
    pairs: Sequence[tuple[int, int]],
    fence_m: float,
    errors_m: Sequence[float],
) -> MatchTally:
    right = {index for index, _ in pairs}
    matched = {index for _, index in pairs}
    hidden = {index for index, one in enumerate(truth) if is_hidden(one)}
    return MatchTally(
        true=len(truth),
        found=len(found),
        matched=len(pairs),
        fence_m=fence_m,
        errors_m=tuple(float(error) for error in errors_m),
        statements=tuple((f.confidence, i in right, 1.0) for i, f in enumerate(found)),
        hidden=Recall(len(hidden & matched), len(hidden)),
    )


def is_hidden(finding: Finding) -> bool:
    """Whether a true thing is one that can hardly be seen, and is scored apart."""
    visible_frac = finding.extra.get("visible_frac")
    return visible_frac is not None and float(visible_frac) < VISIBLE_FROM_FRAC


def _assigned(cost: FloatArray) -> list[tuple[int, int]]:
    rows, columns = linear_sum_assignment(cost)
    return [
        (int(row), int(column))
        for row, column in zip(rows, columns, strict=True)
        if cost[row, column] < _NO_MATCH
    ]


def _pairwise(
    operation: Any, one: npt.NDArray[np.object_], other: npt.NDArray[np.object_]
) -> npt.NDArray[Any]:
    if not len(one) or not len(other):
        return np.zeros((len(one), len(other)))
    return np.asarray(operation(one[:, None], other[None, :]))


def _within(
    findings: Sequence[Finding], frame: LocalFrame, inside: shapely.Geometry | None
) -> tuple[list[Finding], npt.NDArray[np.object_]]:
    xy = _projected(frame, [finding.geometry for finding in findings])
    if inside is None:
        return list(findings), xy
    kept = np.asarray(shapely.intersects(shapely.centroid(xy), inside), dtype=bool)
    return [finding for finding, keep in zip(findings, kept, strict=True) if keep], xy[kept]


def _projected(
    frame: LocalFrame, geometries: Sequence[shapely.Geometry]
) -> npt.NDArray[np.object_]:
    flat = shapely.force_2d(np.array([*geometries, None], dtype=object)[:-1])
    return np.asarray(shapely.transform(flat, frame.to_xy), dtype=object)


def _extent(*sides: Stated) -> FloatArray:
    geometries: list[shapely.Geometry] = []
    for stated in sides:
        geometries += [finding.geometry for finding in stated.findings]
        geometries += [piece.geometry for piece in stated.pieces or ()]
        geometries += [line.geometry for line in stated.fence_lines or ()]
        if geometries:
            break
    if not geometries:
        raise InputError(sides[0].source, "holds nothing to compare with")
    return np.asarray(
        shapely.total_bounds(np.array([*geometries, None], dtype=object)[:-1])
    ).reshape(2, 2)
