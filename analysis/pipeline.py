"""The whole analysis: from orthophotos and boundaries to the findings folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import shapely

from analysis.access import Meeting, access_points, carried, crossings, meetings
from analysis.changes import compare
from analysis.cover import under_cover
from analysis.epochs import Registration, read_earlier, registration_of, write_strips
from analysis.fence_work import (
    Breach,
    FenceResult,
    Stretch,
    assess_part,
    breach_findings,
    fence_line,
    pieces_of,
)
from analysis.footpaths.find import Footpath, PathClass, find_footpaths
from analysis.fusion import fuse
from analysis.heights import SurfaceModel
from analysis.output import write_findings
from analysis.pieces_of_work import Piece, forget, run_pieces
from analysis.raster import Orthophoto
from analysis.results import (
    Analysis,
    FenceLine,
    Layers,
    named,
    to_picture,
    to_wgs84,
    with_extra,
)
from corridor import Boundary, InputError, Progress, sha256_of, silent
from corridor.findings import BreachType, FenceState, Finding, FindingKind

_KEPT = ".work"
_CACHE_MB = 96
"""GDAL's cache of blocks, in each process; its own default is a share of the machine's memory."""
_WHOLE_DIGEST_BYTES = 256 * 2**20
_END_BYTES = 16 * 2**20


@dataclass(frozen=True)
class AnalyzeSpec:
    """What is looked for.

    Attributes:
        outside_m: how far beyond the fence footpaths are looked for.
        inside_m: how far on the road's side, where the other side's fence is not nearer.
        footpaths, fence: whether they are looked for at all.
        least_confidence: footpaths below it are not reported.
    """

    outside_m: float = 60.0
    inside_m: float = 60.0
    footpaths: bool = True
    fence: bool = True
    least_confidence: float = 0.0


@dataclass(frozen=True)
class Sources:
    """The files of one analysis.

    Attributes:
        orthos: one picture or the tiles of one.
        boundaries: the fences as drawn; none for footpaths over the whole picture.
        dsm: a surface model, if there is one.
        area: footpaths are looked for inside this WGS 84 polygon only.
        layers: name to WGS 84 geometries, see `Layers`.
        districts: name to WGS 84 polygon.
        previous: an earlier findings folder.
        oblique: frames, or folders of frames, that look at the fence from the side.
        files: further files that were read, for run.json.
    """

    orthos: Sequence[Path]
    boundaries: Sequence[Boundary] = ()
    dsm: Path | None = None
    area: shapely.Geometry | None = None
    layers: Mapping[str, Sequence[shapely.Geometry]] | None = None
    districts: Mapping[str, shapely.Geometry] | None = None
    previous: Path | None = None
    oblique: Sequence[Path] = ()
    files: Sequence[Path] = ()


def analyze(
    sources: Sources,
    out: str | Path,
    spec: AnalyzeSpec | None = None,
    *,
    jobs: int = 1,
    progress: Progress = silent,
) -> Analysis:
    """Analyses a picture, and writes the findings folder.

    A run that is interrupted keeps its finished pieces in `out`; the same call goes on from there.

    Args:
        sources: what to read.
        out: the folder to write; made if it is not there.
        spec: what to look for.
        jobs: processes.
        progress: told of metres and hectares done.

    Raises:
        InputError: if a source cannot be used as it is.
    """
    spec = spec or AnalyzeSpec()
    out = Path(out)
    if sources.previous is not None:
        if out.resolve() == sources.previous.resolve():
            raise InputError("--previous", f"{out} is also --out", "two different folders")
        read_earlier(sources.previous)
    with rasterio.Env(GDAL_CACHEMAX=_CACHE_MB):
        ortho = Orthophoto.open(list(sources.orthos))
        if sources.boundaries:
            reach_m = max(boundary.offset_tolerance_m for boundary in sources.boundaries)
            ortho.require_cover(sources.boundaries, reach_m)
        dsm = SurfaceModel.open(sources.dsm, ortho.crs, ortho.bounds) if sources.dsm else None
        inputs = tuple((path.name, digest_of(path)) for path in _files(sources))
        config = asdict(spec)
        key = _key(inputs, sources, spec)
        kept = out / _KEPT
        work = [*_fence_work(ortho, sources, spec), *_footpath_work(ortho, sources, spec)]
        results = run_pieces(work, kept, key, _TYPES, jobs, progress)
        analysis = put_together(ortho, sources, spec, results, dsm, inputs)
        write_strips(out, ortho, analysis.lines)
        if sources.previous:
            analysis = since(analysis, sources, spec, out)
        write_findings(out, analysis, config, progress)
        forget(kept)
    return analysis


def put_together(
    ortho: Orthophoto,
    sources: Sources,
    spec: AnalyzeSpec,
    results: Mapping[str, Any],
    dsm: SurfaceModel | None,
    inputs: tuple[tuple[str, str], ...],
) -> Analysis:
    """Fences and footpaths judged together, ranked and named."""
    layers = layers_of(ortho, sources.layers or {}, sources.districts or {})
    fences = [results[name] for name in sorted(results) if name.startswith(_FENCE)]
    paths = [path for name in sorted(results) if name.startswith(_PATHS) for path in results[name]]
    paths = [path for path in paths if path.confidence >= spec.least_confidence]
    lines = [fence_line(ortho, sources.boundaries, fence) for fence in fences]
    covered = under_cover(ortho, dsm)
    met = meetings(paths, lines, under_cover=covered)
    fences = [fuse(fence, index, paths, met) for index, fence in enumerate(fences)]
    pieces = [pieces_of(ortho, line, fence) for line, fence in zip(lines, fences, strict=True)]
    findings = [
        finding
        for line, fence in zip(lines, fences, strict=True)
        for finding in breach_findings(ortho, line, fence)
    ]
    findings += access_points(ortho, paths, lines, pieces, layers, under_cover=covered)
    findings += path_findings(ortho, carried(paths, met), lines, met)
    if layers.districts:
        findings = [
            with_extra(finding, district=district_at(ortho, layers, finding))
            for finding in findings
        ]
    ranked = named(sorted(findings, key=_rank))
    points = [finding for finding in ranked if finding.kind is FindingKind.ACCESS_POINT]
    return Analysis(
        ortho=ortho,
        lines=tuple(lines),
        pieces=tuple(tuple(own) for own in pieces),
        findings=tuple(ranked),
        crossings=tuple(crossings(ortho, points, layers)),
        layers=layers,
        notes=ortho.notes,
        inputs=inputs,
    )


def since(analysis: Analysis, sources: Sources, spec: AnalyzeSpec, out: Path) -> Analysis:
    """The analysis with what became of each finding of the earlier flight."""
    if sources.previous is None:
        return analysis
    earlier = read_earlier(sources.previous)
    registrations = [registration_of(earlier, analysis.ortho, line, out) for line in analysis.lines]
    changes = compare(
        analysis.ortho,
        earlier,
        analysis.lines,
        analysis.pieces,
        registrations,
        analysis.findings,
        search_area(analysis.ortho, sources, spec),
    )
    notes = [
        f"{line.name}: {_laid_over(registration)} {sources.previous}"
        for line, registration in zip(analysis.lines, registrations, strict=True)
    ]
    again = [
        finding if finding.extra.get("status") != "unconfirmed" else replace(finding, finding_id="")
        for finding in changes.findings
    ]
    return replace(
        analysis,
        findings=tuple(named(sorted(again, key=_rank))),
        closed=changes.closed,
        notes=(*analysis.notes, *notes),
    )


def _laid_over(registration: Registration | None) -> str:
    if registration is None:
        return "was not flown in"
    fitted = registration.correlation > 0
    if not fitted.any():
        return "does not fit, and was compared by coordinates only with,"
    shift_m = float(np.median(registration.shift_m[fitted]))
    return (
        f"moved by {shift_m:+.2f} m along the fence (median; correlation "
        f"{np.median(registration.correlation[fitted]):.2f}) to fit"
    )


_ORDER = {
    FindingKind.BREACH: 0,
    FindingKind.ACCESS_POINT: 1,
    FindingKind.FOOTPATH: 2,
    FindingKind.PLOT: 3,
}


def _rank(finding: Finding) -> tuple[Any, ...]:
    """Most severe first; then what is told along a road by its place."""
    return (
        -finding.severity,
        _ORDER[finding.kind],
        -finding.confidence,
        finding.route,
        finding.chainage_start_m or 0.0,
        -(finding.length_m or 0.0),
        shapely.to_wkb(finding.geometry, hex=True),
    )


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


def layers_of(
    ortho: Orthophoto,
    places: Mapping[str, Sequence[shapely.Geometry]],
    districts: Mapping[str, shapely.Geometry],
) -> Layers:
    """The surroundings in the picture's CRS."""
    return Layers(
        places={
            name: [to_picture(ortho, shape) for shape in shapes] for name, shapes in places.items()
        },
        districts={name: to_picture(ortho, shape) for name, shape in districts.items()},
    )


def district_at(ortho: Orthophoto, layers: Layers, finding: Finding) -> str:
    """Who is responsible for a finding; empty if no district holds it."""
    point = shapely.point_on_surface(to_picture(ortho, finding.geometry))
    return next(
        (name for name, area in layers.districts.items() if shapely.intersects(area, point)), ""
    )


# What is to be done, in pieces


_FENCE, _PATHS = "fence-", "footpaths-"


def _fence_work(ortho: Orthophoto, sources: Sources, spec: AnalyzeSpec) -> list[Piece]:
    if not spec.fence:
        return []
    work = []
    number = 0
    for index, boundary in enumerate(sources.boundaries):
        for part in range(len(boundary.parts)):
            work.append(
                Piece(
                    f"{_FENCE}{number:04d}",
                    assess_part,
                    (tuple(sources.orthos), index, boundary, part, sources.dsm),
                    weight=boundary.part_lengths_m[part],
                )
            )
            number += 1
    return work


def _footpath_work(ortho: Orthophoto, sources: Sources, spec: AnalyzeSpec) -> list[Piece]:
    """One piece for each stretch of ground that hangs together."""
    if not spec.footpaths:
        return []
    area = search_area(ortho, sources, spec)
    work = []
    for number, ground in enumerate(shapely.get_parts(area)):
        hectares = float(shapely.area(ground)) / 1e4
        work.append(
            Piece(
                f"{_PATHS}{number:04d}",
                _find_footpaths,
                (tuple(sources.orthos), ground, sources.dsm),
                weight=100.0 * hectares,
            )
        )
    return work


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


def _find_footpaths(
    orthos: tuple[Path, ...], area: shapely.Geometry, dsm: Path | None
) -> list[Footpath]:
    with rasterio.Env(GDAL_CACHEMAX=_CACHE_MB):
        ortho = Orthophoto.open(orthos)
        surface = SurfaceModel.open(dsm, ortho.crs, ortho.bounds) if dsm else None
        return find_footpaths(ortho, area, dsm=surface)


_TYPES = (Footpath, PathClass, FenceResult, Stretch, Breach, BreachType, FenceState)


# What a run depends on


def digest_of(path: Path) -> str:
    """A file's SHA-256; of one larger than 256 MiB, that of its size and of its two ends.

    Reading a picture of many gigabytes whole would take longer than analysing its fence.
    """
    size = path.stat().st_size
    if size <= _WHOLE_DIGEST_BYTES:
        return sha256_of(path)
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        digest.update(file.read(_END_BYTES))
        file.seek(-_END_BYTES, 2)
        digest.update(file.read(_END_BYTES))
    return f"ends-{digest.hexdigest()}"


def _files(sources: Sources) -> list[Path]:
    given = [*sources.orthos, *([sources.dsm] if sources.dsm else []), *sources.files]
    return list(dict.fromkeys(Path(path) for path in given))


def _key(inputs: tuple[tuple[str, str], ...], sources: Sources, spec: AnalyzeSpec) -> str:
    """A digest of all that the pieces' results depend on."""
    digest = hashlib.sha256(version("fencewalk").encode())
    digest.update(json.dumps([inputs, asdict(spec)], sort_keys=True).encode())
    for boundary in sources.boundaries:
        for values in (*boundary.parts, *boundary.posted_m):
            digest.update(values.tobytes())
        flat = (np.zeros((2, 2)),) * len(boundary.parts)
        facts = replace(boundary, parts=flat, posted_m=())
        digest.update(repr(facts).encode())
    if sources.area is not None:
        digest.update(shapely.to_wkb(sources.area))
    return digest.hexdigest()
