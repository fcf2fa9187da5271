"""Plots of an analysis: where they are looked for, and the access point that serves each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import rasterio
import shapely

from analysis.loops import inside_area, loop_insides
from analysis.pieces_of_work import Piece
from analysis.plot_network import COARSEST_M
from analysis.plots import Plot, blocks, plots_in
from analysis.raster import CACHE_BYTES, Orthophoto
from analysis.raster_source import Bounds
from analysis.results import FenceLine, to_picture, with_extra
from analysis.rows import CLEAR
from analysis.sources import AnalyzeSpec, Sources
from corridor.findings import Finding, FindingKind
from corridor.values import FloatArray

PLOTS = "plots-"
"""What their pieces of work are called."""
_SERVES_M = 80.0
"""How far people carry tools from where they get in."""
_BEYOND_M = 3.0
_LINE_M, _BEYOND_FRAC, _PLACES = 0.3, 0.2, 100
"""How well the fence's foot is known, what may lie beyond it of a plot whose rim is as uncertain,
and at how many places that is looked at."""
_ABUTS_M, _SAME_SHAPE_FRAC = 0.3, 0.85
"""Two beds this near, which fill so much of the rectangle around both, are one."""
_SAME_TURN_RAD, _SAME_PERIOD = math.radians(15.0), 1.2
"""By how much the rows of one bed may differ, in direction and from row to row."""


def plot_work(ortho: Orthophoto, sources: Sources, spec: AnalyzeSpec) -> list[Piece]:
    """A piece for each square of ground inside the boundaries."""
    if not spec.plots or not sources.boundaries:
        return []
    tracks = [
        (boundary, ortho.track(boundary, part))
        for boundary in sources.boundaries
        for part in range(len(boundary.parts))
    ]
    whole = shapely.box(*ortho.bounds)
    inside = inside_area(tracks, spec.inside_m)
    if spec.fence:
        # The line as drawn may run inside the fence; `within_fences` tells what lies beyond.
        reach_m = min(_BEYOND_M, *(boundary.offset_tolerance_m for boundary in sources.boundaries))
        inside = shapely.buffer(inside, reach_m)
    area = shapely.intersection(inside, whole)
    loops = shapely.intersection(loop_insides([track for _, track in tracks]), whole)
    return [
        Piece(
            f"{PLOTS}{number:04d}",
            _find_plots,
            (tuple(sources.orthos), square, ground, loops),
            weight=float(shapely.area(ground)) / 4000.0,
            run=PLOTS,
        )
        for number, (square, ground) in enumerate(blocks(ortho, area))
        if shapely.area(ground) > 1.0
    ]


def plot_notes(ortho: Orthophoto, spec: AnalyzeSpec) -> list[str]:
    """What is to be said where plots were asked for and cannot be seen."""
    if not spec.plots or ortho.gsd_m <= COARSEST_M:
        return []
    return [f"no plots looked for: pixels of {ortho.gsd_m:.2f} m, {COARSEST_M:g} m at most"]


def _find_plots(
    orthos: tuple[Path, ...], square: Bounds, ground: shapely.Geometry, loops: shapely.Geometry
) -> list[Plot]:
    with rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES):
        return plots_in(Orthophoto.open(orthos), square, ground, loops)


def within_fences(plots: Sequence[Plot], lines: Sequence[FenceLine]) -> list[Plot]:
    """The plots that lie on the road's side of the fence as it was found.

    They are looked for inside the line as drawn, which may run some metres into the fields. Nobody
    digs through a fence: what lies across it are its posts, their shadows or a wall's panels.
    """
    kept = []
    for plot in plots:
        nearest = min(
            lines,
            key=lambda line: float(
                shapely.distance(shapely.LineString(line.found.xy), plot.outline)
            ),
            default=None,
        )
        if nearest is None or plot.inside_loop:
            kept.append(plot)
            continue
        _, offset_m = nearest.found.locate(_spread_over(plot.outline))
        if np.mean(offset_m * nearest.boundary.side.outward > _LINE_M) <= _BEYOND_FRAC:
            kept.append(plot)
    return kept


def in_one(plots: Sequence[Plot]) -> list[Plot]:
    """The plots, those that abut and make one rectangle joined: where a bed changes its look, or
    where squares of work met. Clear rows that are not the same are two beds, laid end to end.

    The larger one's rows and cues are kept, and the confidence of the surer.
    """
    left = sorted(plots, key=lambda plot: -plot.area_m2)
    result: list[Plot] = []
    while left:
        plot = left.pop(0)
        abut = (one for one in left if _abut(plot.outline, one.outline))
        other = next((one for one in abut if _alike(plot, one)), None)
        if other is None:
            result.append(plot)
            continue
        left.remove(other)
        around = shapely.oriented_envelope(shapely.union(plot.outline, other.outline))
        whole = shapely.Polygon(shapely.get_coordinates(around))
        sure = max(plot.confidence, other.confidence)
        left.insert(0, replace(plot, outline=whole, confidence=sure))
    return result


def _abut(one: shapely.Polygon, other: shapely.Polygon) -> bool:
    if not shapely.dwithin(one, other, _ABUTS_M):
        return False
    both = shapely.union(one, other)
    return bool(both.area >= _SAME_SHAPE_FRAC * shapely.oriented_envelope(both).area)


def _alike(one: Plot, other: Plot) -> bool:
    """Whether the rows of both may be the same."""
    if min(plot.evidence.get("rows", 0.0) for plot in (one, other)) < CLEAR:
        return True
    turn = abs(math.remainder(one.along_rad - other.along_rad, math.pi))
    ratio = max(one.period_m, other.period_m) / min(one.period_m, other.period_m)
    return turn < _SAME_TURN_RAD and ratio < _SAME_PERIOD


def _spread_over(outline: shapely.Polygon) -> FloatArray:
    """(n, 2) places all over an outline, about a hundred, or its middle if it is too thin."""
    west, south, east, north = outline.bounds
    every_m = max(0.05, math.sqrt(outline.area / _PLACES))
    x, y = np.meshgrid(np.arange(west, east, every_m), np.arange(south, north, every_m))
    inside = shapely.contains_xy(outline, x.ravel(), y.ravel())
    if not inside.any():
        return shapely.get_coordinates(shapely.point_on_surface(outline))
    return np.column_stack([x.ravel()[inside], y.ravel()[inside]])


def served(ortho: Orthophoto, findings: Sequence[Finding]) -> list[Finding]:
    """The findings, each plot with the id of the nearest access point that may serve it.

    Args:
        ortho: the picture.
        findings: of all kinds, with their ids.
    """
    ways = [
        (finding, to_picture(ortho, finding.geometry))
        for finding in findings
        if finding.kind is FindingKind.ACCESS_POINT
    ]
    result = []
    for finding in findings:
        if finding.kind is not FindingKind.PLOT:
            result.append(finding)
            continue
        outline = to_picture(ortho, finding.geometry)
        near = [
            (float(shapely.distance(outline, point)), way.finding_id)
            for way, point in ways
            if way.route == finding.route
        ]
        distance_m, access_id = min(near, default=(_SERVES_M, ""))
        serves = access_id if distance_m < _SERVES_M else ""
        result.append(with_extra(finding, access_id=serves, next_step="clear_plot"))
    return result
