"""Puts the breach map's page together."""

from __future__ import annotations

import base64
import itertools
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import shapely

from analysis.breaches import next_step
from analysis.raster_source import crs_name
from analysis.report.pictures import (
    STRIP_HALF_WIDTH_M,
    Pictures,
    Tile,
    overview,
    overview_pixel_m,
)
from analysis.results import Analysis, piece_line, to_picture
from corridor import Progress, silent, write_text
from corridor.findings import FencePiece, FenceState, Finding, FindingKind
from corridor.values import FloatArray


def write_report(
    path: str | Path,
    analysis: Analysis,
    pictures: Pictures,
    chips: Mapping[str, bytes],
    progress: Progress = silent,
    made: datetime | None = None,
) -> None:
    """Writes `report.html`, whole or not at all.

    Args:
        path: of the page.
        analysis: what is shown.
        pictures: of the fence and the ground.
        chips: JPEG of each finding by its id.
        progress: told in steps of the page's parts.
        made: the time to be printed on it; now if not given.
    """
    page = files("analysis.report")
    leaflet = files("js_lib_leaflet") / "static" / "js_lib_leaflet"
    words = json.loads((page / "words.json").read_text(encoding="utf-8"))
    data = page_data(analysis, pictures, chips, progress) | {
        "words": words,
        "version": version("fencewalk"),
        "made": (made or datetime.now(UTC)).strftime("%Y-%m-%d %H:%M UTC"),
    }
    template = jinja2.Environment(autoescape=False, undefined=jinja2.StrictUndefined).from_string(
        (page / "page.html.j2").read_text(encoding="utf-8")
    )
    leaflet_js = (leaflet / "leaflet.js").read_text(encoding="utf-8")
    text = template.render(
        title=f"Breach map {data['name']}",
        css=(page / "page.css").read_text(encoding="utf-8"),
        js=(page / "page.js").read_text(encoding="utf-8"),
        leaflet_css=(leaflet / "leaflet.css").read_text(encoding="utf-8"),
        leaflet_js=leaflet_js.partition("//# sourceMappingURL")[0],
        # A name in the data must not be able to end the script element.
        data=json.dumps(data, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c"),
    )
    write_text(path, text)


def page_data(
    analysis: Analysis,
    pictures: Pictures,
    chips: Mapping[str, bytes],
    progress: Progress = silent,
) -> dict[str, Any]:
    """What the page's script reads: metres east and north of the picture's south-west corner."""
    ortho = analysis.ortho
    west, south = ortho.bounds[:2]
    origin = np.array([west, south])

    def flat(xy: FloatArray) -> list[list[float]]:
        return np.round(xy - origin, 2).tolist()

    def placed(tile: Tile) -> dict[str, Any]:
        corner = np.concatenate([origin, origin])
        return {"b": np.round(np.array(tile.bounds) - corner, 3).tolist(), "src": _uri(tile.jpeg)}

    progress(0, 2, "map")
    whole = pictures.whole or overview(ortho)
    progress(1, 2, "page")
    pieces = [
        {
            "line": index,
            "a": piece.chainage_start_m,
            "b": piece.chainage_end_m,
            "state": piece.state.value,
            "conf": round(piece.confidence, 3),
            "reason": piece.reason,
            "next": next_step(piece),
            "xy": flat(piece_line(line.found, piece.chainage_start_m, piece.chainage_end_m)),
        }
        for index, (line, own) in enumerate(zip(analysis.lines, analysis.pieces, strict=True))
        for piece in own
    ]
    everything = [piece for own in analysis.pieces for piece in own]
    return {
        "name": ortho.paths[0].stem,
        "crs": crs_name(ortho.crs),
        "bounds": [0, 0, ortho.bounds[2] - west, ortho.bounds[3] - south],
        "base": [placed(whole)],
        "overview_pixel_m": overview_pixel_m(ortho),
        "ground": [placed(tile) for tile in pictures.ground],
        "strips": [
            {"line": each.line, "a": each.start_m, "b": each.end_m, "src": _uri(each.jpeg)}
            for each in pictures.strips
        ],
        "strip_half_m": STRIP_HALF_WIDTH_M,
        "lines": [
            {
                "route": line.boundary.route,
                "side": line.boundary.side.value,
                "start": float(line.drawn.chainage_m[0]),
                "end": float(line.drawn.chainage_m[-1]),
                "xy": flat(line.found.xy),
                "chain": np.round(line.found.chainage_m, 2).tolist(),
            }
            for line in analysis.lines
        ],
        "pieces": pieces,
        "findings": [_finding(analysis, finding, flat, chips) for finding in analysis.findings],
        "crossings": [
            {
                "xy": flat(shapely.get_coordinates(to_picture(ortho, way.line))),
                "route": way.route,
                "chainage": way.chainage_m,
                "length": way.length_m,
                "conf": way.confidence,
                "reason": way.reason,
            }
            for way in analysis.crossings
        ],
        "closed": [
            {
                "id": was.finding_id,
                "kind": was.kind.value,
                "type": was.breach_type.value if was.breach_type else None,
                "station": was.station,
                "status": was.extra.get("status"),
            }
            for was in analysis.closed
        ],
        "totals": {
            "length": sum(p.chainage_end_m - p.chainage_start_m for p in everything),
            "metres": _metres(everything),
        },
        "per_km": _per_km(analysis),
        "per_district": _per_district(analysis),
        "inputs": [f"{name} (sha256 {digest[:16]}…)" for name, digest in analysis.inputs],
        "notes": list(analysis.notes),
    }


def _uri(jpeg: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")


def _finding(
    analysis: Analysis, finding: Finding, flat: Any, chips: Mapping[str, bytes]
) -> dict[str, Any]:
    shape = to_picture(analysis.ortho, finding.geometry)
    if finding.kind is FindingKind.PLOT:
        parts = [shapely.get_exterior_ring(part) for part in shapely.get_parts(shape)]
    else:
        parts = list(shapely.get_parts(shape))
    (lon_deg, lat_deg), *_ = shapely.get_coordinates(shapely.point_on_surface(finding.geometry))
    line = analysis.line_of(finding)
    extra = dict(finding.extra)
    jpeg = chips.get(finding.finding_id)
    return {
        "id": finding.finding_id,
        "kind": finding.kind.value,
        "type": finding.breach_type.value if finding.breach_type else None,
        "sev": finding.severity,
        "conf": round(finding.confidence, 3),
        "route": finding.route,
        "side": finding.side.value if finding.side else None,
        "a": finding.chainage_start_m,
        "b": finding.chainage_end_m,
        "station": finding.station,
        "length": finding.length_m,
        "width": finding.width_m,
        "crosses": finding.crosses_fence,
        "evidence": {name: round(float(value), 4) for name, value in finding.evidence.items()},
        "xy": [flat(shapely.get_coordinates(part)) for part in parts],
        "lon": float(lon_deg),
        "lat": float(lat_deg),
        "line": line,
        "state": _state_at(analysis, finding, line),
        "status": extra.pop("status", None),
        "next": extra.pop("next_step", None),
        "cls": extra.pop("class", None),
        "area": extra.pop("area_m2", None),
        "extra": extra,
        "chip": _uri(jpeg) if jpeg else None,
    }


def _state_at(analysis: Analysis, finding: Finding, line: int | None) -> str | None:
    if line is None or finding.chainage_start_m is None or finding.chainage_end_m is None:
        return None
    middle_m = (finding.chainage_start_m + finding.chainage_end_m) / 2
    for piece in analysis.pieces[line]:
        if piece.chainage_start_m <= middle_m < piece.chainage_end_m:
            return piece.state.value
    return None


def _metres(pieces: Sequence[FencePiece]) -> dict[str, float]:
    metres: dict[str, float] = defaultdict(float)
    for piece in pieces:
        metres[piece.state.value] += piece.chainage_end_m - piece.chainage_start_m
    return {state.value: metres[state.value] for state in FenceState if metres[state.value] > 0}


def _clipped(pieces: Sequence[FencePiece], start_m: float, end_m: float) -> dict[str, float]:
    metres: dict[str, float] = defaultdict(float)
    for piece in pieces:
        shared_m = min(piece.chainage_end_m, end_m) - max(piece.chainage_start_m, start_m)
        if shared_m > 0:
            metres[piece.state.value] += shared_m
    return dict(metres)


def _per_km(analysis: Analysis) -> list[dict[str, Any]]:
    rows = []
    for index, (line, pieces) in enumerate(zip(analysis.lines, analysis.pieces, strict=True)):
        first_m, last_m = float(line.drawn.chainage_m[0]), float(line.drawn.chainage_m[-1])
        edges = [first_m, *np.arange(np.floor(first_m / 1000) + 1, last_m / 1000) * 1000.0, last_m]
        for start_m, end_m in itertools.pairwise(edges):
            rows.append(
                {
                    "line": index,
                    "route": line.boundary.route,
                    "side": line.boundary.side.value,
                    "a": float(start_m),
                    "length": float(end_m - start_m),
                    "metres": _clipped(pieces, start_m, end_m),
                    "breaches": _breaches(analysis, index, start_m, end_m),
                }
            )
    return rows


def _breaches(analysis: Analysis, line: int, start_m: float, end_m: float) -> int:
    count = 0
    for finding in analysis.findings:
        if finding.breach_type is None or analysis.line_of(finding) != line:
            continue
        middle_m = ((finding.chainage_start_m or 0.0) + (finding.chainage_end_m or 0.0)) / 2
        count += bool(start_m <= middle_m < end_m)
    return count


def _per_district(analysis: Analysis) -> list[dict[str, Any]]:
    """Metres by district, counted in steps of 5 m; what no district holds has an empty name."""
    if not analysis.layers.districts:
        return []
    metres: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    breaches: dict[str, int] = defaultdict(int)
    for line, pieces in zip(analysis.lines, analysis.pieces, strict=True):
        for piece in pieces:
            length_m = piece.chainage_end_m - piece.chainage_start_m
            count = max(1, round(length_m / 5.0))
            at = piece.chainage_start_m + (np.arange(count) + 0.5) * length_m / count
            for xy in line.found.at(at):
                metres[district_of(analysis, shapely.Point(xy))][piece.state.value] += (
                    length_m / count
                )
    for finding in analysis.findings:
        if finding.breach_type is not None:
            point = shapely.point_on_surface(to_picture(analysis.ortho, finding.geometry))
            breaches[district_of(analysis, point)] += 1
    return [
        {
            "name": name,
            "length": sum(own.values()),
            "metres": dict(own),
            "breaches": breaches[name],
        }
        for name, own in sorted(metres.items())
    ]


def district_of(analysis: Analysis, point: shapely.Geometry) -> str:
    """The name of the district that holds a point of the picture's CRS; empty if none does."""
    for name, polygon in analysis.layers.districts.items():
        if shapely.intersects(polygon, point):
            return name
    return ""
