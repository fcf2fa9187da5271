"""Plots: ground that people cultivate beside the road.

A small network trained on generated plots says where they may lie (`analysis.plot_network`),
rectangles are laid around that (`analysis.beds`), and each is judged by what can be told of it: how
surely and how sharply the network sees it, whether rows go through it (`analysis.rows`), and what
it is made of.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import shapely

from analysis.beds import Bed, find_beds
from analysis.plot_network import Shown, shown_in
from analysis.raster import Orthophoto
from analysis.raster_source import Bounds
from analysis.rows import CLEAR, Rows, grown, rows_in
from corridor import Boundary, Progress, Track, silent
from corridor.findings import Finding, FindingKind

_LEAST_CONFIDENCE = 0.6
"""What is reported: where F1 is best on sites and ground left out of the fit."""
_AROUND_M = 6.0
"""Looked at around the area: the outline of what lies across its edge."""
_STILL_CLEAR_FRAC = 0.9
"""Rows go through all of a bed: over more of it they are no less clear, but for noise."""
_SPEAK_FOR_MORE = 0.5
"""What rows and network together have to say for ground that a rectangle grows over: how clear its
rows are then, and the mean probability of what it gains. Faint ones go on over any grass."""
_JUST_BEYOND_M = 0.5
_FEW_ROWS, _LONG_M = 4.0, 20.0
"""Fewer rows that go on for longer are rails, channels or cables along the road."""
_SAME_FRAC = 0.3
"""Overlap, of the smaller, from which two outlines are of one bed."""
_BLOCK_M = 160.0
"""Ground is searched in squares of a grid of the picture's own."""
_LONGEST_M = 48.0
"""Longer beds are fields: they need not be whole in a square and its margin."""
_LEAST_PROBABLE = 1e-3
CUES = ("network", "edges", "rows", "rows_in_colour", "plants_and_soil", "size")
"""What speaks for a plot; `Plot.evidence` holds each."""


@dataclass(frozen=True)
class Plot:
    """Cultivated ground.

    Attributes:
        outline: in the picture's CRS.
        period_m: from row to row; 0 if it shows none.
        along_rad: direction of the rows, or of its longer side if it shows none, counter-clockwise
            from the picture's east, 0 to pi.
        confidence: 0 to 1.
        inside_loop: whether it lies inside the loop of a ramp.
        evidence: cue to strength.
    """

    outline: shapely.Polygon
    period_m: float
    along_rad: float
    confidence: float
    inside_loop: bool
    evidence: dict[str, float]

    @property
    def area_m2(self) -> float:
        """Its area."""
        return float(self.outline.area)


def find_plots(
    ortho: Orthophoto,
    area: shapely.Geometry,
    *,
    loops: shapely.Geometry | None = None,
    least_confidence: float = _LEAST_CONFIDENCE,
    progress: Progress = silent,
) -> list[Plot]:
    """Finds plots whose middle lies in an area.

    Searched in one piece or in several (`blocks`), an area holds the same plots.

    Args:
        ortho: the picture; beds should be ten of its pixels wide.
        area: where to look, in the picture's CRS.
        loops: the insides of loop ramps (`loop_insides`), for `Plot.inside_loop`.
        least_confidence: of what is returned.
        progress: told of squares done.
    """
    squares = list(blocks(ortho, area))
    found: list[Plot] = []
    for number, (square, ground) in enumerate(squares):
        progress(number, len(squares), "plots")
        found += plots_in(ortho, square, ground, loops, least_confidence)
    progress(len(squares), len(squares), "plots")
    return found


def blocks(ortho: Orthophoto, area: shapely.Geometry) -> Iterator[tuple[Bounds, shapely.Geometry]]:
    """The squares of the picture's grid that an area reaches into, each with the ground that
    `plots_in` wants for it."""
    if shapely.is_empty(area):
        return
    left, top = ortho.bounds[0], ortho.bounds[3]
    west, south, east, north = shapely.bounds(area)
    shapely.prepare(area)
    for row in range(math.floor((top - north) / _BLOCK_M), math.ceil((top - south) / _BLOCK_M)):
        for column in range(
            math.floor((west - left) / _BLOCK_M), math.ceil((east - left) / _BLOCK_M)
        ):
            x, y = left + column * _BLOCK_M, top - row * _BLOCK_M
            box = (x, y - _BLOCK_M, x + _BLOCK_M, y)
            if shapely.intersects(area, shapely.box(*box)) and ortho.overlaps(box):
                yield box, shapely.intersection(area, shapely.box(*_window(box)))


def plots_in(
    ortho: Orthophoto,
    square: Bounds,
    ground: shapely.Geometry,
    loops: shapely.Geometry | None = None,
    least_confidence: float = _LEAST_CONFIDENCE,
) -> list[Plot]:
    """The plots whose middle lies in a square and in the area that `blocks` was asked for."""
    west, south, east, north = square
    shown = shown_in(ortho, _window(square), shapely.buffer(ground, _AROUND_M))
    candidates = [
        _laid(ortho, shown, bed) for bed in find_beds(shown.plot, shown.core, shown.affine)
    ]
    beds = _distinct([each for each in candidates if _longer_m(each.outline) <= _LONGEST_M])
    found = []
    for bed in beds:
        x, y = shapely.get_coordinates(shapely.centroid(bed.outline))[0]
        if not (west <= x < east and south < y <= north) or not shapely.intersects_xy(ground, x, y):
            continue
        if _are_lines(bed):
            continue
        evidence = _evidence(bed)
        if confidence(evidence) < least_confidence:
            continue
        has_rows = bed.rows.clear >= CLEAR
        found.append(
            Plot(
                outline=bed.outline,
                period_m=bed.rows.period_m if has_rows else 0.0,
                along_rad=bed.rows.along_rad if has_rows else bed.along_rad,
                confidence=confidence(evidence),
                inside_loop=loops is not None
                and shapely.intersection(bed.outline, loops).area > 0.5 * bed.outline.area,
                evidence=evidence,
            )
        )
    return found


class _Laid(NamedTuple):
    """A bed as it was laid out: where the network sees one, along its rows, as far as they go.

    Attributes:
        outline, rows: of it; along_rad: direction of its longer side.
        shows: mean probability inside.
        edges: how much surer the network is inside than just beyond.
    """

    outline: shapely.Polygon
    rows: Rows
    along_rad: float
    shows: float
    edges: float


def _laid(ortho: Orthophoto, shown: Shown, bed: Bed) -> _Laid:
    rows, outline = rows_in(ortho, bed.outline)
    values = _probable(shown, outline)
    if rows.clear >= CLEAR:
        wider = grown(ortho, outline, rows)
        if shapely.area(wider) > shapely.area(outline):
            again, laid = rows_in(ortho, wider)
            more = _probable(shown, laid)
            clear = again.clear >= max(CLEAR, _STILL_CLEAR_FRAC * rows.clear)
            if clear and _without(more, values) + again.clear >= _SPEAK_FOR_MORE:
                rows, outline, values = again, laid, more
    around = shapely.buffer(outline, _JUST_BEYOND_M, join_style="mitre")
    along = np.diff(shapely.get_coordinates(outline)[:3], axis=0)
    longer = along[int(np.argmax(np.hypot(*along.T)))]
    shows = float(values.mean()) if len(values) else 0.0
    return _Laid(
        outline,
        rows,
        float(np.arctan2(longer[1], longer[0]) % np.pi),
        shows,
        shows - _without(_probable(shown, around), values),
    )


def _probable(shown: Shown, outline: shapely.Polygon) -> npt.NDArray[np.float32]:
    """The probabilities within an outline, a list of them."""
    corners = np.column_stack(~shown.affine * tuple(shapely.get_coordinates(outline)[:4].T))
    low = np.maximum(np.floor(corners.min(axis=0)).astype(int), 0)
    high = np.ceil(corners.max(axis=0)).astype(int) + 1
    part = shown.plot[low[1] : high[1], low[0] : high[0]]
    inside = np.zeros(part.shape, np.uint8)
    cv2.fillPoly(inside, [np.round(corners - low - 0.5).astype(np.int32)], 1)
    return part[inside > 0]


def _without(more: npt.NDArray[np.float32], values: npt.NDArray[np.float32]) -> float:
    """The mean of a list without the values of a part of it."""
    return float(more.sum() - values.sum()) / max(len(more) - len(values), 1)


def _are_lines(bed: _Laid) -> bool:
    """Whether what a bed shows are lines along the road, not rows."""
    sides_m = np.hypot(*np.diff(shapely.get_coordinates(bed.outline)[:3], axis=0).T)
    across_m, along_m = sides_m[bed.rows.axis], sides_m[1 - bed.rows.axis]
    few = across_m < _FEW_ROWS * bed.rows.period_m
    return bool(bed.rows.clear >= CLEAR and few and along_m > _LONG_M)


def _distinct(beds: Sequence[_Laid]) -> list[_Laid]:
    """Beds that do not overlap: of two on the same ground the one with more of what shows it."""
    kept: list[_Laid] = []
    worth = [
        bed.shows * math.sqrt(shapely.area(bed.outline)) * (0.5 + bed.rows.clear) for bed in beds
    ]
    for number in sorted(range(len(beds)), key=lambda n: -worth[n]):
        bed = beds[number]
        area_m2 = shapely.area(bed.outline)
        if all(
            shapely.intersection(bed.outline, other.outline).area
            < _SAME_FRAC * min(area_m2, shapely.area(other.outline))
            for other in kept
        ):
            kept.append(bed)
    return kept


def _window(square: Bounds) -> Bounds:
    """A square with a margin: a bed whose middle lies in the square lies in that."""
    west, south, east, north = square
    margin_m = _LONGEST_M / 2 + _AROUND_M
    return west - margin_m, south - margin_m, east + margin_m, north + margin_m


def _longer_m(outline: shapely.Polygon) -> float:
    corners = shapely.get_coordinates(outline)
    return float(np.hypot(*np.diff(corners[:3], axis=0).T).max())


def _evidence(bed: _Laid) -> dict[str, float]:
    shows = min(max(bed.shows, _LEAST_PROBABLE), 1.0 - _LEAST_PROBABLE)
    return {
        "network": math.log(shows / (1.0 - shows)),
        "edges": bed.edges,
        "rows": bed.rows.clear,
        "rows_in_colour": bed.rows.clear * min(bed.rows.tint, 1.0),
        "plants_and_soil": bed.rows.mix,
        "size": math.log(shapely.area(bed.outline)),
    }


def confidence(evidence: dict[str, float]) -> float:
    """A logistic of what speaks for a plot, its weights fitted on generated scenes."""
    weights = _weights()
    score = weights["bias"] + sum(weights[cue] * evidence[cue] for cue in CUES)
    return float(1.0 / (1.0 + math.exp(-score)))


@cache
def _weights() -> dict[str, float]:
    text = (files("analysis.models") / "plots.json").read_text(encoding="utf-8")
    weights: dict[str, float] = json.loads(text)["weights"]
    return weights


def plot_findings(
    ortho: Orthophoto, plots: Sequence[Plot], boundaries: Sequence[Boundary] = ()
) -> list[Finding]:
    """Plots as findings, with the station beside them where a boundary is within 100 m."""
    tracks = [
        (boundary, ortho.track(boundary, part))
        for boundary in boundaries
        for part in range(len(boundary.parts))
    ]
    findings = []
    for number, plot in enumerate(plots, 1):
        boundary, chainage = _beside(plot, tracks)
        outline = shapely.transform(plot.outline, ortho.to_lonlat)
        findings.append(
            Finding(
                finding_id=f"F{number:03d}",
                kind=FindingKind.PLOT,
                geometry=outline,
                confidence=round(plot.confidence, 3),
                severity=3 if plot.inside_loop else 2,
                route=boundary.route if boundary else "",
                side=boundary.side if boundary else None,
                chainage_start_m=chainage[0] if chainage else None,
                chainage_end_m=chainage[1] if chainage else None,
                evidence={cue: round(value, 3) for cue, value in plot.evidence.items()},
                extra={
                    "area_m2": round(plot.area_m2, 1),
                    "row_period_m": round(plot.period_m, 3),
                    "row_direction_deg": round(float(np.degrees(plot.along_rad)), 1),
                    "inside_loop": plot.inside_loop,
                },
            )
        )
    return findings


def _beside(
    plot: Plot, tracks: Sequence[tuple[Boundary, Track]]
) -> tuple[Boundary | None, tuple[float, float] | None]:
    best: tuple[float, Boundary | None, tuple[float, float] | None] = (100.0, None, None)
    corners = shapely.get_coordinates(plot.outline)
    for boundary, track in tracks:
        chainage_m, offset_m = track.locate(corners)
        away_m = float(np.abs(offset_m).min())
        if away_m < best[0]:
            best = (away_m, boundary, (float(chainage_m.min()), float(chainage_m.max())))
    return best[1], best[2]
