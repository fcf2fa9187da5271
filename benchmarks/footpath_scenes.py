"""What `analyze` finds of footpaths, access points and plots on generated scenes, in one table.

How much of the truth can be seen at all is told from the picture along the true line, not by what
was found: beneath a crown nothing is seen, and a line is faint where its middle does not stand out
from lines parallel to it. What the truth itself says can be seen, where it tells, stands beside it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import rasterio.features
import shapely
import shapely.geometry
from scipy.ndimage import map_coordinates, uniform_filter1d
from skimage.color import rgb2lab

from analysis.pipeline import analyze
from analysis.raster import Orthophoto
from analysis.results import to_wgs84
from analysis.score import (
    LineTally,
    MatchTally,
    Score,
    ScoreSpec,
    as_json,
    pooled,
    read_stated,
    score_pair,
)
from analysis.sources import AnalyzeSpec, Sources
from corridor import read_boundaries
from corridor.findings import Finding, FindingKind, read_findings
from corridor.values import FloatArray

BUFFER_M = 0.5
_SAMPLE_M = 0.5
_LOOK_M = 0.05
_ACROSS_M = 4.0
_AVERAGED_M = 4.0
_LEAST_Z = 2.5
_NEAR_FENCE_M = 6.0
"""Of a path to the fence, the stretch whose visibility counts for its access point."""


@dataclass(frozen=True)
class Metres:
    """Samples of true paths: how they can be seen, what they look like, whether they were found.

    Attributes:
        seen: (N,) of `visible`, `faint`, `crown`.
        look: (N,) of the paths' looks.
        leads: (N,) of `to the fence`, `elsewhere`.
        found: (N,) bool.
    """

    seen: np.ndarray[Any, Any]
    look: np.ndarray[Any, Any]
    leads: np.ndarray[Any, Any]
    found: np.ndarray[Any, Any]


@dataclass(frozen=True)
class Scene:
    """One scene, analysed and scored.

    Attributes:
        access: of each true access point: whether its path is visible near the fence, whether the
            fence is broken there in a finding, whether it was found.
        crossings: desire lines reported, and those with a true access point at both ends.
        road_m: of road, half of what its two fences measure.
    """

    name: str
    preset: str
    season: str
    score: Score
    metres: Metres
    access: tuple[tuple[bool, bool, bool], ...]
    crossings: tuple[int, int]
    road_m: float
    cpu_s: float


def one_scene(folder: Path, out: Path, *, reuse: bool) -> Scene:
    """Analyses a scene as a user does, boundaries given, in all of its band, and scores it."""
    made = json.loads((folder / "scene.json").read_text(encoding="utf-8"))
    boundaries = read_boundaries(folder / "boundaries.geojson")
    start_s = time.process_time()
    if not (reuse and (out / "findings.gpkg").is_file()):
        sources = Sources(orthos=(folder / "ortho.tif",), boundaries=boundaries)
        analyze(sources, out, AnalyzeSpec(outside_m=min(60.0, made["parameters"]["band_m"])))
    cpu_s = time.process_time() - start_s
    found, truth = read_stated(out), read_stated(folder, "truth.gpkg")
    ortho = Orthophoto.open(folder / "ortho.tif")
    imaged = imaged_area(ortho)
    crowns = geopandas.read_file(folder / "truth.gpkg", layer="crowns").to_crs(ortho.crs.to_wkt())
    metres, near = seen_metres(
        ortho,
        truth.of_kind(FindingKind.FOOTPATH),
        found.of_kind(FindingKind.FOOTPATH),
        shapely.union_all(list(crowns.geometry)),
        imaged,
    )
    return Scene(
        name=folder.name,
        preset=made["parameters"]["preset"],
        season=made["season"],
        score=score_pair(found, truth, to_wgs84(ortho, imaged), ScoreSpec(buffer_m=BUFFER_M)),
        metres=metres,
        access=tuple(_access(ortho, truth.findings, found.findings, near)),
        crossings=_crossings(ortho, out, truth.of_kind(FindingKind.ACCESS_POINT)),
        road_m=sum(boundary.length_m for boundary in boundaries) / 2,
        cpu_s=cpu_s,
    )


def imaged_area(ortho: Orthophoto) -> shapely.Geometry:
    """What the picture shows: true paths may lead out of it."""
    patch = ortho.read(None, 0.5)
    shapes = rasterio.features.shapes(
        patch.valid.astype(np.uint8), patch.valid, transform=patch.affine
    )
    return shapely.union_all([shapely.geometry.shape(one) for one, _ in shapes])


def seen_metres(
    ortho: Orthophoto,
    truth: Sequence[Finding],
    found: Sequence[Finding],
    crowns: shapely.Geometry,
    imaged: shapely.Geometry,
) -> tuple[Metres, dict[tuple[str, float], bool]]:
    """Every half metre of the true paths, and whether those to a fence are visible beside it.

    Metres that lead out of the picture are left out.

    Returns:
        The samples, and route-independent keys (side, chainage) of access points to whether half
        of the last 6 m of the path is visible.
    """
    lines = [_line(ortho, one) for one in found]
    near_found = shapely.buffer(shapely.union_all(lines), BUFFER_M) if lines else None
    seen, look, leads, hit = [], [], [], []
    near_fence: dict[tuple[str, float], bool] = {}
    for path in truth:
        line = _line(ortho, path)
        at_m = np.arange(_SAMPLE_M / 2, line.length, _SAMPLE_M)
        inside = shapely.contains(imaged, shapely.line_interpolate_point(line, at_m))
        at_m = at_m[inside]
        if not len(at_m):
            continue
        points = shapely.line_interpolate_point(line, at_m)
        visible = contrast(ortho, line, at_m, path.width_m or 0.5) >= _LEAST_Z
        kinds = np.where(shapely.contains(crowns, points), "crown",
                         np.where(visible, "visible", "faint"))  # fmt: skip
        seen.append(kinds)
        look.append(np.full(len(at_m), str(path.extra.get("look"))))
        to_fence = path.side is not None
        leads.append(np.full(len(at_m), "to the fence" if to_fence else "elsewhere"))
        hit.append(
            np.zeros(len(at_m), bool)
            if near_found is None
            else shapely.contains(near_found, points)
        )
        if path.side is not None and path.chainage_start_m is not None:
            last = kinds[at_m > line.length - _NEAR_FENCE_M]
            near_fence[path.side.value, path.chainage_start_m] = bool(
                (last == "visible").mean() >= 0.5
            )
    joined = [np.concatenate(each) if each else np.zeros(0) for each in (seen, look, leads, hit)]
    return Metres(*joined), near_fence


def contrast(
    ortho: Orthophoto, line: shapely.LineString, at_m: FloatArray, width_m: float
) -> FloatArray:
    """(N,) how far the line stands out from lines parallel to it, in their own deviation.

    The middle less either side, averaged over 4 m along, in lightness or red-green, the lesser of
    the two sides counts; against the same 1 to 4 m beside it.
    """
    offsets = np.arange(-_ACROSS_M, _ACROSS_M + 1e-9, _LOOK_M)
    points = shapely.get_coordinates(shapely.line_interpolate_point(line, at_m))
    ahead = shapely.get_coordinates(shapely.line_interpolate_point(line, at_m + 0.5))
    behind = shapely.get_coordinates(
        shapely.line_interpolate_point(line, np.maximum(at_m - 0.5, 0.0))
    )
    step = ahead - behind
    step /= np.maximum(np.hypot(*step.T)[:, None], 1e-9)
    away = np.column_stack([-step[:, 1], step[:, 0]])
    places = points[:, None, :] + offsets[None, :, None] * away[:, None, :]
    low, high = places.min(axis=(0, 1)) - 0.5, places.max(axis=(0, 1)) + 0.5
    patch = ortho.read((low[0], low[1], high[0], high[1]), _LOOK_M)
    columns, rows = ~patch.affine @ (places[..., 0], places[..., 1])
    lab = rgb2lab(patch.rgb)
    best = np.zeros(len(at_m))
    half = max(1, round(width_m / 2 / _LOOK_M))
    for channel in (0, 1):
        values = map_coordinates(lab[..., channel], [rows - 0.5, columns - 0.5], order=1)
        values = uniform_filter1d(values, max(1, round(_AVERAGED_M / _SAMPLE_M)), axis=0)
        middle = uniform_filter1d(values, 2 * half + 1, axis=1)
        gap = 2 * half + 3
        left = middle - np.roll(middle, gap, axis=1)
        right = middle - np.roll(middle, -gap, axis=1)
        both = np.where(left * right > 0, np.minimum(np.abs(left), np.abs(right)), 0.0)
        inner = slice(gap, -gap)
        beside = np.abs(offsets[inner]) > max(1.0, 2 * width_m)
        noise = np.sqrt((both[:, inner][:, beside] ** 2).mean(axis=1)) + 0.15
        own = both[:, inner][:, np.abs(offsets[inner]) <= 0.15].max(axis=1)
        best = np.maximum(best, own / noise)
    return best


def _access(
    ortho: Orthophoto,
    truth: Sequence[Finding],
    found: Sequence[Finding],
    near: dict[tuple[str, float], bool],
) -> Iterator[tuple[bool, bool, bool]]:
    def places(kind: FindingKind) -> FloatArray:
        xy = [_points(ortho, one)[0] for one in found if one.kind is kind]
        return np.array(xy).reshape(-1, 2)

    points = places(FindingKind.ACCESS_POINT)
    breaches = [one for one in found if one.kind is FindingKind.BREACH]
    for one in truth:
        if one.kind is not FindingKind.ACCESS_POINT or one.chainage_start_m is None:
            continue
        here = _points(ortho, one)[0]
        at_m, side = one.chainage_start_m, one.side
        broken = any(
            b.side is side
            and (b.chainage_start_m or 0) - 1.5 <= at_m <= (b.chainage_end_m or 0) + 1.5
            for b in breaches
        )
        hit = bool(len(points) and np.hypot(*(points - here).T).min() <= ScoreSpec().access_point_m)
        yield near.get((side.value if side else "", at_m), False), broken, hit


def _crossings(ortho: Orthophoto, out: Path, truth: Sequence[Finding]) -> tuple[int, int]:
    if "crossings" not in set(geopandas.list_layers(out / "findings.gpkg")["name"]):
        return 0, 0
    table = geopandas.read_file(out / "findings.gpkg", layer="crossings")
    true = np.array([_points(ortho, one)[0] for one in truth]).reshape(-1, 2)
    right = 0
    for line in table.geometry:
        ends = ortho.to_xy(shapely.get_coordinates(line))[[0, -1]]
        right += len(true) > 0 and all(np.hypot(*(true - end).T).min() <= 3.0 for end in ends)
    return len(table), right


def _points(ortho: Orthophoto, finding: Finding) -> FloatArray:
    return ortho.to_xy(shapely.get_coordinates(finding.geometry))


def _line(ortho: Orthophoto, finding: Finding) -> shapely.LineString:
    return shapely.LineString(_points(ortho, finding))


# The table


def tables(scenes: Sequence[Scene]) -> Iterator[str]:
    """All that was measured, as lines of Markdown."""
    road_m = sum(scene.road_m for scene in scenes)
    km = road_m / 1000
    yield f"{len(scenes)} scenes, {km:.2f} km of road, buffer {BUFFER_M} m, what the pictures show"
    yield ""
    yield (
        "| | road, m | true, m | found, m | completeness | correctness | F1 | of visible metres"
        " | access points: true / found / right | false per km of fence | plots: true / found"
        " / right | F1 | desire lines: reported / both ends true | paths that can be seen, m"
        " | completeness | F1 | access points that can be seen: true / right"
        " | hidden ones: true / right |"
    )
    yield "| --- |" + " --- |" * 17
    groups: list[tuple[str, Callable[[Scene], bool]]] = [("all", lambda scene: True)]
    for preset in sorted({scene.preset for scene in scenes}):
        groups.append((preset, lambda scene, p=preset: scene.preset == p))  # type: ignore[misc]
    for season in sorted({scene.season for scene in scenes}):
        groups.append((season, lambda scene, s=season: scene.season == s))  # type: ignore[misc]
    if len(scenes) <= 12:
        groups += [(s.name, lambda scene, n=s.name: scene.name == n) for s in scenes]  # type: ignore[misc]
    for name, chosen in groups:
        yield _row(name, [scene for scene in scenes if chosen(scene)])
    yield ""
    yield from _seen_table([scene.metres for scene in scenes])
    yield ""
    yield from _access_table([one for scene in scenes for one in scene.access])


def _row(name: str, scenes: Sequence[Scene]) -> str:
    total = pooled([scene.score for scene in scenes])
    paths, access, plots = total.footpaths, total.access_points, total.plots
    kinds = np.concatenate([scene.metres.seen for scene in scenes])
    hit = np.concatenate([scene.metres.found for scene in scenes])
    crossings = np.sum([scene.crossings for scene in scenes], axis=0)
    cells = [name, f"{sum(scene.road_m for scene in scenes):.0f}"]
    if paths is not None:
        cells += [f"{paths.true_m:.0f}", f"{paths.found_m:.0f}", _frac(paths.completeness)]
        cells += [_frac(paths.correctness), _frac(paths.f1)]
    cells.append(_frac(_mean(hit[kinds == "visible"])))
    if access is not None:
        cells += [f"{access.true} / {access.found} / {access.matched}"]
        cells += [_frac(access.false_per_km)]
    if plots is not None:
        cells += [f"{plots.true} / {plots.found} / {plots.matched}", _frac(plots.f1)]
    cells.append(f"{crossings[0]} / {crossings[1]}")
    return "| " + " | ".join([*cells, *_seen_cells(paths, access)]) + " |"


def _seen_cells(paths: LineTally | None, access: MatchTally | None) -> Iterator[str]:
    """What the truth itself says can be seen; `–` where it does not tell."""
    if paths is None or paths.seen_m is None:
        yield from ["–"] * 5
        return
    yield f"{paths.seen_m:.0f}"
    yield _frac(paths.completeness_seen)
    yield _frac(paths.f1_seen)
    for recall in (access.recall_seen, access.hidden) if access is not None else ():
        yield f"{recall.total} / {recall.found}"


def _seen_table(metres: Sequence[Metres]) -> Iterator[str]:
    seen, look, leads, found = (
        np.concatenate([getattr(each, name) for each in metres])
        for name in ("seen", "look", "leads", "found")
    )
    yield "| true metres, and the share found | visible | faint | under crowns | all |"
    yield "| --- | --- | --- | --- | --- |"
    rows = [("all", np.ones(len(seen), bool))]
    rows += [(name, look == name) for name in sorted(set(look))]
    rows += [(name, leads == name) for name in sorted(set(leads))]
    for name, own in rows:
        cells = [
            f"{own_and.sum() * _SAMPLE_M:.0f}, {_frac(_mean(found[own_and]))}"
            for own_and in (*(own & (seen == kind) for kind in ("visible", "faint", "crown")), own)
        ]
        yield f"| {name} | " + " | ".join(cells) + " |"


def _access_table(access: Sequence[tuple[bool, bool, bool]]) -> Iterator[str]:
    yield "| true access points found | at a breach that was found | elsewhere |"
    yield "| --- | --- | --- |"
    for name, visible in (("path visible beside the fence", True), ("path not visible", False)):
        cells = []
        for broken in (True, False):
            own = [hit for seen, at_breach, hit in access if (seen, at_breach) == (visible, broken)]
            cells.append(f"{sum(own)} of {len(own)}")
        yield f"| {name} | " + " | ".join(cells) + " |"


def scores_json(scenes: Sequence[Scene]) -> dict[str, Any]:
    """The pooled score, and the names of the scenes."""
    return {
        "scenes": [scene.name for scene in scenes],
        "cpu_s": round(sum(scene.cpu_s for scene in scenes), 1),
        "score": as_json(pooled([scene.score for scene in scenes])),
    }


def truth_lines(folder: Path, ortho: Orthophoto) -> list[shapely.Geometry]:
    """All paths of a generated scene, hidden and faint ones too."""
    return [
        _line(ortho, finding)
        for finding in read_findings(folder / "truth.gpkg")
        if finding.kind is FindingKind.FOOTPATH
    ]


def _mean(values: np.ndarray[Any, Any]) -> float | None:
    return float(values.mean()) if len(values) else None


def _frac(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
