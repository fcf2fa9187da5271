"""Writes the findings folder: what design.md promises to whoever reads it next."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import shapely

from analysis.breaches import next_step
from analysis.report import write_report
from analysis.report.pictures import Pictures
from analysis.results import Analysis, FenceLine, safe_name, to_wgs84, with_extra
from analysis.styles import add_styles
from corridor import Progress, atomic_path, format_station, silent, write_json, write_text
from corridor.findings import FencePiece, Finding, findings_table, write_gpkg

RUN_VERSION = 1
"""Of run.json."""


def write_findings(
    out: Path,
    analysis: Analysis,
    pictures: Pictures,
    chips: Mapping[str, bytes],
    made_with: Mapping[str, Any],
    progress: Progress = silent,
) -> None:
    """Writes every file of the findings folder, each whole or not at all.

    Args:
        out: the folder; made if it is not there.
        analysis: what was found.
        pictures: for the report.
        chips: JPEG of each finding by its id.
        made_with: configuration and models, for run.json.
        progress: told what is being written.

    Raises:
        ValueError: if the states do not tile a boundary; nothing is written then.
    """
    for line, pieces in zip(analysis.lines, analysis.pieces, strict=True):
        require_tiling(line, pieces)
    out.mkdir(parents=True, exist_ok=True)
    everything = [piece for own in analysis.pieces for piece in own]
    findings = []
    for finding in analysis.findings:
        name = f"chips/{safe_name(finding.finding_id)}.jpg"
        with atomic_path(out / name) as partial:
            partial.write_bytes(chips[finding.finding_id])
        findings.append(with_extra(finding, chip=name))
    kept = {f"{safe_name(name)}.jpg" for name in chips}
    for old in (out / "chips").glob("*.jpg"):
        # Pictures of an earlier run in the same folder would pass for this one's.
        if old.name not in kept:
            old.unlink()
    with atomic_path(out / "findings.gpkg") as partial:
        write_gpkg(partial, findings, everything, _layers(analysis))
        add_styles(partial)
    with atomic_path(out / "findings.geojson") as partial:
        _write_geojson(partial, findings)
    write_text(out / "condition.csv", condition_csv(everything))
    write_report(out / "report.html", analysis, pictures, chips, progress)
    write_json(
        out / "run.json",
        {
            "version": RUN_VERSION,
            "fencewalk": version("fencewalk"),
            "inputs": [{"file": name, "sha256": digest} for name, digest in analysis.inputs],
            **made_with,
            "gsd_m": analysis.ortho.gsd_m,
            "crs": analysis.ortho.crs.to_string(),
            "notes": list(analysis.notes),
        },
    )


def require_tiling(line: FenceLine, pieces: Sequence[FencePiece]) -> None:
    """Checks that the states cover a line from end to end, once.

    Raises:
        ValueError: if there is a gap, an overlap or an empty piece.
    """
    at_m = float(line.drawn.chainage_m[0])
    for piece in pieces:
        if piece.chainage_start_m != at_m or not piece.chainage_end_m > piece.chainage_start_m:
            raise ValueError(
                f"{line.name}: states do not tile at {at_m}: next is "
                f"{piece.chainage_start_m} to {piece.chainage_end_m}"
            )
        at_m = piece.chainage_end_m
    if at_m != float(line.drawn.chainage_m[-1]):
        raise ValueError(f"{line.name}: states end at {at_m}, not {line.drawn.chainage_m[-1]}")


def condition_csv(pieces: Sequence[FencePiece]) -> str:
    """The states as a table, a row a piece, with the stations as people write them."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(
        ["route", "side", "chainage_start_m", "chainage_end_m", "station_start", "station_end",
         "length_m", "state", "confidence", "reason", "next_step"]
    )  # fmt: skip
    for piece in pieces:
        start_m, end_m = piece.chainage_start_m, piece.chainage_end_m
        rows.writerow(
            [piece.route, piece.side.value, f"{start_m:.3f}", f"{end_m:.3f}",
             _station(start_m), _station(end_m), f"{end_m - start_m:.3f}",
             piece.state.value, f"{piece.confidence:.3f}", piece.reason, next_step(piece)]
        )  # fmt: skip
    return text.getvalue()


def _station(chainage_m: float) -> str:
    return format_station(chainage_m, 1) if chainage_m >= 0 else f"{chainage_m:.1f}"


def _write_geojson(path: Path, findings: Sequence[Finding]) -> None:
    """Findings as GeoJSON (RFC 7946: WGS 84, 7 decimals), also when there are none."""
    table = findings_table(findings)
    features = []
    for row in table.to_dict("records"):
        geometry = row.pop("geometry")
        features.append(
            {
                "type": "Feature",
                "properties": {
                    key: None if isinstance(value, float) and not np.isfinite(value) else value
                    for key, value in row.items()
                },
                "geometry": json.loads(shapely.to_geojson(shapely.set_precision(geometry, 1e-7))),
            }
        )
    document = {"type": "FeatureCollection", "features": features}
    path.write_text(
        json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1) + "\n", encoding="utf-8"
    )


def _layers(analysis: Analysis) -> dict[str, geopandas.GeoDataFrame]:
    """Further layers: where the fence was found, ways across, what was closed."""
    layers: dict[str, geopandas.GeoDataFrame] = {}
    if analysis.lines:
        rows = [
            {
                "route": line.boundary.route,
                "side": line.boundary.side.value,
                "part": line.part,
                "chainage_start_m": float(line.drawn.chainage_m[0]),
                "chainage_end_m": float(line.drawn.chainage_m[-1]),
                "offset_median_m": float(np.median(line.offset_m)),
                "offset_most_m": float(np.abs(line.offset_m).max()),
            }
            for line in analysis.lines
        ]
        shapes = [
            to_wgs84(analysis.ortho, shapely.LineString(line.found.xy)) for line in analysis.lines
        ]
        layers["fence_line"] = geopandas.GeoDataFrame(rows, geometry=shapes, crs="EPSG:4326")
        layers["fence_offset"] = _offsets(analysis)
    if analysis.crossings:
        layers["crossings"] = geopandas.GeoDataFrame(
            [
                {
                    "route": way.route,
                    "chainage_m": way.chainage_m,
                    "left_id": way.left_id,
                    "right_id": way.right_id,
                    "length_m": way.length_m,
                    "confidence": way.confidence,
                    "reason": way.reason,
                }
                for way in analysis.crossings
            ],
            geometry=[way.line for way in analysis.crossings],
            crs="EPSG:4326",
        )
    if analysis.closed:
        layers["closed"] = findings_table(analysis.closed)
    return layers


def _offsets(analysis: Analysis) -> geopandas.GeoDataFrame:
    """Where the fence is, every metre: a survey of the fence against the line as drawn."""
    tables = []
    for line in analysis.lines:
        first_m, last_m = float(line.drawn.chainage_m[0]), float(line.drawn.chainage_m[-1])
        at_m = np.arange(np.ceil(first_m), last_m + 1e-9)
        if len(at_m) == 0:
            continue
        tables.append(
            geopandas.GeoDataFrame(
                {
                    "route": line.boundary.route,
                    "side": line.boundary.side.value,
                    "chainage_m": at_m,
                    "offset_m": np.interp(at_m, line.found.chainage_m, line.offset_m),
                },
                geometry=shapely.points(analysis.ortho.to_lonlat(line.found.at(at_m))),
                crs="EPSG:4326",
            )
        )
    columns = ["route", "side", "chainage_m", "offset_m", "geometry"]
    if not tables:
        return geopandas.GeoDataFrame(columns=columns, geometry="geometry", crs="EPSG:4326")
    return geopandas.GeoDataFrame(
        geopandas.pd.concat(tables, ignore_index=True), geometry="geometry", crs="EPSG:4326"
    )
