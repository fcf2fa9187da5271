"""The whole analysis: from orthophotos and boundaries to the findings folder."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rasterio
import shapely

import analysis.fence.network as fence_network
import analysis.footpaths.network as footpath_network
from analysis.access import access_points, across, carried, crossings, meetings
from analysis.approaches import approaches_along, joined_paths
from analysis.breaches import Behind, breach_findings
from analysis.changes import compare
from analysis.cover import under_cover
from analysis.crew import Crew
from analysis.epochs import Registration, read_earlier, registration_of
from analysis.exclusions import without_fence
from analysis.fence.assess import Answer
from analysis.fence_sections import answer_piece, joined, judge_section, pieces_in
from analysis.fence_work import (
    FenceResult,
    fence_line,
    pieces_of,
)
from analysis.footpath_work import footpath_work, footpaths_found, path_findings, search_area
from analysis.footpaths.alongside import without_rows
from analysis.footpaths.evidence import PackedScores, RidgePixels, WindowRidges
from analysis.fusion import fuse, side_notes
from analysis.growth import with_growth
from analysis.heights import SurfaceModel
from analysis.oblique import look_from_the_side, read_oblique
from analysis.output import write_findings
from analysis.picture_work import (
    GroundSlice,
    chips_of,
    fence_pictures,
    whole_ground,
    whole_ground_work,
)
from analysis.pieces_of_work import Kept, Piece, forget, give_back, run_pieces, sweep
from analysis.plot_work import PLOTS, in_one, plot_notes, plot_work, served, within_fences
from analysis.plots import Plot, plot_findings
from analysis.raster import CACHE_BYTES, Orthophoto
from analysis.raster_source import Source, describe, learn
from analysis.results import (
    Analysis,
    FenceLine,
    Layers,
    named,
    to_picture,
    with_extra,
)
from analysis.road_context import with_road
from analysis.side_view import SideView
from analysis.sources import AnalyzeSpec, Sources
from analysis.viewing import Contributions, with_view
from corridor import Boundary, InputError, Progress, sha256_of, silent
from corridor.findings import Finding, FindingKind

_KEPT = ".work"
_WHOLE_DIGEST_BYTES = 256 * 2**20
_END_BYTES = 16 * 2**20


def analyze(
    sources: Sources,
    out: str | Path,
    spec: AnalyzeSpec | None = None,
    *,
    jobs: int = 1,
    crew: Crew | None = None,
    progress: Progress = silent,
) -> Analysis:
    """Analyses a picture, and writes the findings folder.

    A run that is interrupted keeps its finished pieces in `out`; the same call goes on from there.

    Args:
        sources: what to read.
        out: the folder to write; made if it is not there.
        spec: what to look for.
        jobs: processes.
        crew: processes that are there already, in place of `jobs` new ones.
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
    with (
        rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES),
        nullcontext(crew) if crew else crew_for(spec, jobs) as crew,
    ):
        digests = first_look(sources, crew)
        ortho = Orthophoto.open(list(sources.orthos))
        if sources.boundaries:
            reach_m = max(boundary.offset_tolerance_m for boundary in sources.boundaries)
            ortho.require_cover(sources.boundaries, reach_m)
        dsm = SurfaceModel.open(sources.dsm, ortho.crs, ortho.bounds) if sources.dsm else None
        seen_by = Contributions.beside(ortho)
        beside = seen_by.paths if seen_by else ()
        inputs = tuple(
            (path.name, digests.get(path) or digest_of(path))
            for path in (*_files(sources), *beside)
        )
        models = model_digests()
        made_with = {"config": asdict(spec), "models": models}
        if sources.oblique:
            if dsm is None:
                raise InputError(
                    "--oblique", "needs the ground's height at the fence", "give --dsm as well"
                )
            read_oblique(sources.oblique, ortho)
        key = _key(inputs, models, sources, spec)
        kept = out / _KEPT
        # Squares of plots take seconds each, the others one or two, slices of ground a tenth.
        work = [
            *plot_work(ortho, sources, spec),
            *_fence_work(ortho, sources, spec),
            *footpath_work(ortho, sources, spec),
            *whole_ground_work(ortho),
        ]
        results = run_pieces(work, kept, key, _TYPES, crew, progress)
        crew.tell(_put_away)
        _put_away()
        analysis = put_together(ortho, sources, spec, results, dsm, inputs, crew, progress)
        pictures = fence_pictures(out, ortho, analysis.lines, crew, progress)
        pictures = replace(pictures, whole=whole_ground(ortho, results))
        if sources.previous:
            analysis = since(analysis, sources, spec, out)
        chips = chips_of(ortho, analysis.findings, analysis.lines, crew, progress)
        write_findings(out, analysis, pictures, chips, made_with, progress)
        forget(kept)
        sweep(out)
    return analysis


def crew_for(spec: AnalyzeSpec, jobs: int) -> Crew:
    """Processes that get ready for what is looked for; to be used in a `with` block."""
    return Crew(jobs, "analysis.readiness", spec.fence, spec.footpaths)


def put_together(
    ortho: Orthophoto,
    sources: Sources,
    spec: AnalyzeSpec,
    results: Kept,
    dsm: SurfaceModel | None,
    inputs: tuple[tuple[str, str], ...],
    crew: Crew,
    progress: Progress = silent,
) -> Analysis:
    """Fences and footpaths judged together, ranked and named."""
    layers = layers_of(ortho, sources.layers or {}, sources.districts or {})
    fences = _fences(ortho, sources, results, crew, progress)
    seen_by = Contributions.beside(ortho)
    fences = [
        without_fence(
            ortho,
            sources.boundaries[each.boundary],
            with_view(ortho, with_growth(ortho, each, dsm), seen_by),
            sources.exclusions,
        )
        for each in fences
    ]
    paths = footpaths_found(ortho, sources, spec, results, crew, progress)
    paths = [path for path in paths if path.confidence >= spec.least_confidence]
    lines = [fence_line(ortho, sources.boundaries, fence) for fence in fences]
    paths = without_rows(with_road(paths, lines, fences))
    if spec.footpaths and lines:
        area = search_area(ortho, sources, spec)
        found = approaches_along(ortho.paths, lines, fences, area, crew, progress)
        paths = joined_paths(paths, found)
    covered = under_cover(ortho, dsm)
    met = meetings(paths, lines, under_cover=covered)
    views = side_views(ortho, sources, lines, dsm, progress)
    fences = [fuse(fence, index, paths, met, views[index]) for index, fence in enumerate(fences)]
    pieces = [pieces_of(ortho, line, fence) for line, fence in zip(lines, fences, strict=True)]
    plots = [plot for name in sorted(results) if name.startswith(PLOTS) for plot in results[name]]
    plots = in_one(within_fences(plots, lines))
    behind = Behind.of(layers, [plot.outline for plot in plots])
    findings = [
        finding
        for line, fence in zip(lines, fences, strict=True)
        for finding in breach_findings(ortho, line, fence, behind)
    ]
    findings += access_points(ortho, paths, lines, pieces, layers, under_cover=covered)
    findings += path_findings(ortho, carried(paths, met), lines, met)
    findings += [
        replace(finding, finding_id="")
        for finding in plot_findings(ortho, plots, sources.boundaries)
    ]
    if layers.districts:
        findings = [
            with_extra(finding, district=district_at(ortho, layers, finding))
            for finding in findings
        ]
    ranked = served(ortho, named(sorted(findings, key=_rank)))
    points = [finding for finding in ranked if finding.kind is FindingKind.ACCESS_POINT]
    ways = crossings(ortho, points, layers)
    ranked = sorted(across(ranked, ways), key=_rank)
    return Analysis(
        ortho=ortho,
        lines=tuple(lines),
        pieces=tuple(tuple(own) for own in pieces),
        findings=tuple(ranked),
        crossings=tuple(ways),
        layers=layers,
        notes=(
            *ortho.notes,
            *_notes_of(seen_by),
            *side_notes(lines, fences, views),
            *plot_notes(ortho, spec),
        ),
        inputs=inputs,
    )


def _notes_of(seen_by: Contributions | None) -> list[str]:
    if seen_by is None:
        return []
    names = ", ".join(path.name for path in seen_by.paths)
    return [f"view angle and frame pixels from {names}"]


def side_views(
    ortho: Orthophoto,
    sources: Sources,
    lines: Sequence[FenceLine],
    dsm: SurfaceModel | None,
    progress: Progress,
) -> list[SideView | None]:
    """What frames from the side show of each fence; None without frames."""
    if not sources.oblique or dsm is None:
        return [None] * len(lines)
    frames = read_oblique(sources.oblique, ortho)
    return [look_from_the_side(frames, line, dsm, progress) for line in lines]


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
        # Access points carry a rank of their own: state, wear, where they lead.
        -float(finding.extra.get("rank") or finding.confidence),
        finding.route,
        finding.chainage_start_m or 0.0,
        -(finding.length_m or 0.0),
        shapely.to_wkb(finding.geometry, hex=True),
    )


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


def _put_away() -> None:
    """Frees what looking at pieces has left behind."""
    fence_network.let_go()
    footpath_network.let_go()
    give_back()


_FENCE = "fence-"


def _fence_work(ortho: Orthophoto, sources: Sources, spec: AnalyzeSpec) -> list[Piece]:
    if not spec.fence:
        return []
    work = []
    for number, (_, boundary, part) in enumerate(_parts(sources)):
        counts = pieces_in(ortho.track(boundary, part))
        work += [
            Piece(
                f"{_FENCE}{number:04d}-{section:04d}-{piece:05d}",
                answer_piece,
                (tuple(sources.orthos), boundary, part, section, piece),
                weight=boundary.part_lengths_m[part] / sum(counts),
                run=f"{_FENCE}{number:04d}",
            )
            for section, count in enumerate(counts)
            for piece in range(count)
        ]
    return work


def _fences(
    ortho: Orthophoto, sources: Sources, results: Kept, crew: Crew, progress: Progress
) -> list[FenceResult]:
    """Every part of every boundary, stated from the answers of its pieces."""
    calls = []
    for number, (index, boundary, part) in enumerate(_parts(sources)):
        names = sorted(name for name in results if name.startswith(f"{_FENCE}{number:04d}-"))
        for section, own in itertools.groupby(names, key=lambda name: name.split("-")[2]):
            which = (index, boundary, part, int(section))
            calls.append((ortho.paths, sources.dsm, which, results, list(own)))
    judged: dict[int, FenceResult] = {}
    for number, result in crew.do(judge_section, calls):
        judged[number] = result
        progress(len(judged), len(calls), "sections of fence judged")
    in_order = [judged[number] for number in range(len(calls))]
    parts = itertools.groupby(in_order, key=lambda result: (result.boundary, result.part))
    return [joined(list(own)) for _, own in parts]


def _parts(sources: Sources) -> Iterator[tuple[int, Boundary, int]]:
    for index, boundary in enumerate(sources.boundaries):
        for part in range(len(boundary.parts)):
            yield index, boundary, part


_TYPES = (WindowRidges, RidgePixels, PackedScores, Answer, Plot, GroundSlice)


# What a run depends on


def first_look(sources: Sources, crew: Crew) -> dict[Path, str]:
    """The digests of all files that can be read; each picture is looked at once for all processes.

    What is wrong with a file is said by whoever opens it in earnest, in the order of the files.
    """
    paths = _files(sources)
    pictures = {Path(path) for path in sources.orthos}
    looks = dict(crew.do(_look_at, [(path, path in pictures) for path in paths]))
    described = [look.described for look in looks.values() if look.described is not None]
    learn(described)
    crew.tell(learn, described)
    return {path: looks[number].digest for number, path in enumerate(paths)}


class _Look(NamedTuple):
    digest: str
    described: tuple[Source, bool] | None


def _look_at(path: Path, is_picture: bool) -> _Look:
    """A file's digest, empty if it cannot be read, and what it is as a picture, if it is one."""
    described = None
    try:
        digest = digest_of(path)
        if is_picture:
            with rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES):
                described = describe(path)
    except (OSError, InputError):
        return _Look("", None)
    return _Look(digest, described)


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


def model_digests() -> dict[str, str]:
    """SHA-256 of each file that comes with the program and that results depend on, by its name."""
    folder = files("analysis.models")
    return {
        entry.name: hashlib.sha256(entry.read_bytes()).hexdigest()
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.is_file() and not entry.name.endswith((".py", ".md"))
    }


def _key(
    inputs: tuple[tuple[str, str], ...],
    models: Mapping[str, str],
    sources: Sources,
    spec: AnalyzeSpec,
) -> str:
    """A digest of all that results depend on: program, models, inputs and configuration."""
    digest = hashlib.sha256(version("fencewalk").encode())
    digest.update(json.dumps([inputs, models, asdict(spec)], sort_keys=True).encode())
    for boundary in sources.boundaries:
        for values in (*boundary.parts, *boundary.posted_m):
            digest.update(values.tobytes())
        flat = (np.zeros((2, 2)),) * len(boundary.parts)
        facts = replace(boundary, parts=flat, posted_m=())
        digest.update(repr(facts).encode())
    if sources.area is not None:
        digest.update(shapely.to_wkb(sources.area))
    return digest.hexdigest()
