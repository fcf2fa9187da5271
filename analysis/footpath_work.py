"""Footpaths of an analysis: where they are looked for, in pieces, and what they are told as."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import rasterio
import shapely

import analysis.fence.network as fence_network
from analysis.access import Meeting
from analysis.crew import Crew
from analysis.footpaths import Footpath, FootpathConfig, PathClass
from analysis.footpaths.evidence import Window, WindowRidges
from analysis.footpaths.find import joined, look, shipped_network, windows_of
from analysis.pieces_of_work import Piece
from analysis.raster import CACHE_BYTES, Orthophoto
from analysis.results import FenceLine, to_picture, to_wgs84
from analysis.sources import AnalyzeSpec, Sources
from corridor import Progress, silent
from corridor.findings import Finding, FindingKind

PATHS = "footpaths-"
"""What their pieces of work are called."""


def footpath_work(ortho: Orthophoto, sources: Sources, spec: AnalyzeSpec) -> list[Piece]:
    """One piece for each window of each stretch of ground that hangs together."""
    if not spec.footpaths:
        return []
    config = FootpathConfig()
    network = shipped_network(config)
    return [
        Piece(
            f"{PATHS}{number:04d}-{index:05d}",
            _look,
            (tuple(sources.orthos), ground, window),
            weight=window.rows * window.columns * config.gsd_m**2 / 100.0,
            run=f"{PATHS}{number:04d}",
        )
        for number, ground in enumerate(_grounds(ortho, sources, spec))
        for index, window in enumerate(windows_of(ortho, ground, config, network))
    ]


def footpaths_found(
    ortho: Orthophoto,
    sources: Sources,
    spec: AnalyzeSpec,
    results: Mapping[str, Any],
    crew: Crew,
    progress: Progress = silent,
) -> list[Footpath]:
    """The paths on all ground, from what its windows hold.

    Args:
        ortho: the picture.
        sources, spec: as `footpath_work` was given them.
        results: of its pieces by name, and others.
        crew: who does it.
        progress: told of stretches of ground done.
    """
    if not spec.footpaths:
        return []
    config = FootpathConfig()
    network = shipped_network(config) is not None
    grounds = _grounds(ortho, sources, spec)
    paths: list[Footpath] = []
    for number, ground in enumerate(grounds):
        progress(number, len(grounds), "footpaths joined")
        found = [
            results[name] for name in sorted(results) if name.startswith(f"{PATHS}{number:04d}-")
        ]
        paths += joined(ortho, ground, found, config=config, network=network, crew=crew)
    return paths


def _grounds(ortho: Orthophoto, sources: Sources, spec: AnalyzeSpec) -> list[shapely.Geometry]:
    return list(shapely.get_parts(search_area(ortho, sources, spec)))


def search_area(ortho: Orthophoto, sources: Sources, spec: AnalyzeSpec) -> shapely.Geometry:
    """Where footpaths are looked for, in the picture's CRS: the band along the boundaries.

    Ground that boundaries enclose, as inside the loop of a ramp, belongs to it whole. Without
    boundaries it is all of the picture, and with an area what lies in it.
    """
    whole: shapely.Geometry = shapely.box(*ortho.bounds)
    if sources.boundaries:
        bands = []
        for boundary in sources.boundaries:
            for part in range(len(boundary.parts)):
                track = ortho.track(boundary, part)
                line = shapely.simplify(shapely.LineString(track.xy), 0.5)
                out = boundary.side.outward
                bands.append(shapely.buffer(line, out * spec.outside_m, single_sided=True))
                bands.append(shapely.buffer(line, -out * spec.inside_m, single_sided=True))
        band = shapely.union_all(bands)
        area = shapely.union_all([_without_loops(part) for part in shapely.get_parts(band)])
        whole = shapely.intersection(whole, area)
    if sources.area is not None:
        whole = shapely.intersection(whole, to_picture(ortho, sources.area))
    polygons = [part for part in shapely.get_parts(whole) if shapely.area(part) > 1.0]
    return shapely.MultiPolygon(polygons)


def _without_loops(polygon: shapely.Geometry) -> shapely.Geometry:
    """A polygon with its small holes filled."""
    holes = [
        shapely.get_interior_ring(polygon, index)
        for index in range(shapely.get_num_interior_rings(polygon))
    ]
    kept = [hole for hole in holes if shapely.area(shapely.polygons(hole)) > _LOOP_M2]
    outline = shapely.get_exterior_ring(polygon)
    return shapely.polygons(outline, kept) if kept else shapely.polygons(outline)


_LOOP_M2 = 50_000.0
"""The inside of a loop ramp of 120 m radius; more is countryside between roads."""


def _look(orthos: tuple[Path, ...], area: shapely.Geometry, window: Window) -> WindowRidges:
    """The ridges in one window; for another process."""
    # Fences come before footpaths, and the memory of one network is enough at a time.
    fence_network.let_go()
    config = FootpathConfig()
    with rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES):
        ortho = Orthophoto.open(orthos)
        return look(ortho, area, window, config=config, network=shipped_network(config))


def path_findings(
    ortho: Orthophoto,
    paths: Sequence[Footpath],
    lines: Sequence[FenceLine],
    met: Sequence[Meeting],
) -> list[Finding]:
    """Footpaths as findings; one that meets a fence is told where it does, others beside it.

    A path further than a corridor's width from every fence has no station.
    """
    at: dict[int, Meeting] = {}
    for meeting in met:
        if meeting.path not in at or (meeting.crosses and not at[meeting.path].crosses):
            at[meeting.path] = meeting
    findings = []
    for number, path in enumerate(paths):
        line, chainage_m = _beside(path, lines)
        meeting_here = at.get(number)
        if meeting_here is not None:
            line, chainage_m = lines[meeting_here.line], meeting_here.chainage_m
        worn = path.path_class is PathClass.FOOTPATH
        findings.append(
            Finding(
                finding_id="",
                kind=FindingKind.FOOTPATH,
                geometry=to_wgs84(ortho, path.centreline),
                confidence=round(path.confidence, 3),
                severity=(3 if meeting_here else 2) if worn else 1,
                route=line.boundary.route if line else "",
                side=line.boundary.side if line else None,
                chainage_start_m=chainage_m,
                chainage_end_m=chainage_m,
                length_m=round(path.length_m, 2),
                width_m=round(path.width_m, 2),
                crosses_fence=meeting_here is not None and meeting_here.crosses,
                evidence={cue: round(value, 3) for cue, value in path.evidence.items()},
                extra={
                    "class": path.path_class.value,
                    "visibility": round(path.visibility, 3),
                    "inferred_frac": round(path.inferred_frac, 3),
                    "next_step": "watch" if worn else None,
                    "reason": path.reason or None,
                },
            )
        )
    return findings


def _beside(path: Footpath, lines: Sequence[FenceLine]) -> tuple[FenceLine | None, float | None]:
    """The nearest fence within 100 m, and where the path comes nearest to it."""
    best: tuple[float, FenceLine | None, float | None] = (100.0, None, None)
    for line in lines:
        fence = shapely.LineString(line.found.xy)
        away_m = float(shapely.distance(fence, path.centreline))
        if away_m < best[0]:
            nearest = shapely.get_coordinates(shapely.shortest_line(fence, path.centreline))[:1]
            best = (away_m, line, float(line.found.locate(nearest)[0][0]))
    return best[1], best[2]
