"""What a file states, be it findings or truth: our own GeoPackages, or plain lines of anyone's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import geopandas
import shapely

from corridor import InputError, Side
from corridor.findings import (
    FencePiece,
    Finding,
    FindingKind,
    gpkg_in,
    read_condition,
    read_findings,
)
from corridor.vector import read_layers, to_wgs84_lonlat


@dataclass(frozen=True)
class FenceLine:
    """A fence's line, WGS 84; route and side where they are known."""

    geometry: shapely.LineString
    route: str = ""
    side: Side | None = None


@dataclass(frozen=True)
class SeenStretch:
    """A stretch of a footpath that can be seen, WGS 84, with that footpath's `finding_id`."""

    finding_id: str
    geometry: shapely.LineString


@dataclass(frozen=True)
class Stated:
    """What one file states, and what it does not speak of.

    Attributes:
        source: the file.
        findings: of all kinds.
        kinds: the kinds of finding that the file speaks of; it may hold none of one of them.
        pieces: the fence's condition; None if it does not speak of it.
        fence_lines: where the fence runs; None if it does not speak of it.
        footpaths_seen: what of the footpaths can be seen; None if it does not speak of it.
    """

    source: str
    findings: tuple[Finding, ...]
    kinds: frozenset[FindingKind]
    pieces: tuple[FencePiece, ...] | None = None
    fence_lines: tuple[FenceLine, ...] | None = None
    footpaths_seen: tuple[SeenStretch, ...] | None = None

    def of_kind(self, kind: FindingKind) -> list[Finding]:
        """The findings of a kind; of footpaths only those not told apart as something else."""
        return [
            finding
            for finding in self.findings
            if finding.kind is kind and finding.extra.get("class") in (None, "", kind.value)
        ]

    def seen_of(self, footpaths: Iterable[Finding]) -> tuple[SeenStretch, ...] | None:
        """What of some footpaths can be seen; None if that is not stated."""
        if self.footpaths_seen is None:
            return None
        names = {path.finding_id for path in footpaths}
        return tuple(one for one in self.footpaths_seen if one.finding_id in names)

    def on(self, side: Side) -> Stated:
        """What is stated of one side of the road."""
        lines, pieces = self.fence_lines, self.pieces
        findings = tuple(finding for finding in self.findings if finding.side is side)
        return replace(
            self,
            findings=findings,
            pieces=None if pieces is None else tuple(p for p in pieces if p.side is side),
            fence_lines=None if lines is None else tuple(e for e in lines if e.side is side),
            footpaths_seen=self.seen_of(f for f in findings if f.kind is FindingKind.FOOTPATH),
        )


def read_stated(path: str | Path, name: str = "findings.gpkg") -> Stated:
    """What a file states.

    Args:
        path: a GeoPackage in the findings' schema, a folder with one called `name`, or any vector
            file of lines: with a column `kind` (`footpath` or `fence`), else all are footpaths.
        name: of the GeoPackage in a folder.

    Raises:
        InputError: if it cannot be read so.
    """
    if not Path(path).exists():
        raise InputError(path, "no such file or folder")
    if Path(path).is_dir() or Path(path).suffix.lower() == ".gpkg":
        return _read_gpkg(gpkg_in(path, name))
    return _read_lines(Path(path))


def _read_gpkg(path: Path) -> Stated:
    try:
        layers = set(geopandas.list_layers(path)["name"])
    except RuntimeError as error:
        raise InputError(path, "is no GeoPackage that can be read") from error
    if not layers & {"findings", "fence_condition", "fence_line"}:
        return _read_lines(path)
    found = "findings" in layers
    fences = geopandas.read_file(path, layer="fence_line") if "fence_line" in layers else None
    seen = geopandas.read_file(path, layer="footpaths_seen") if "footpaths_seen" in layers else None
    return Stated(
        source=str(path),
        findings=tuple(read_findings(path)) if found else (),
        kinds=frozenset(FindingKind) if found else frozenset(),
        pieces=tuple(read_condition(path)) if "fence_condition" in layers else None,
        fence_lines=None if fences is None else tuple(_fence_lines(fences)),
        footpaths_seen=None if seen is None else tuple(_seen_stretches(seen)),
    )


def _fence_lines(table: geopandas.GeoDataFrame) -> list[FenceLine]:
    lines = []
    for row in table.to_crs("EPSG:4326").to_dict("records"):
        side = row.get("side")
        for part in shapely.get_parts(row["geometry"]):
            if part.geom_type == "LineString" and not part.is_empty:
                known = Side(side) if side in set(Side) else None
                lines.append(FenceLine(part, str(row.get("route") or ""), known))
    return lines


def _seen_stretches(table: geopandas.GeoDataFrame) -> list[SeenStretch]:
    return [
        SeenStretch(str(row["finding_id"]), part)
        for row in table.to_crs("EPSG:4326").to_dict("records")
        for part in shapely.get_parts(row["geometry"])
        if part.geom_type == "LineString" and not part.is_empty
    ]


def _read_lines(path: Path) -> Stated:
    findings: list[Finding] = []
    fences: list[FenceLine] = []
    kinds: set[str] = set()
    for table in read_layers(path):
        parts_of, _ = to_wgs84_lonlat(table)
        kind_of = table.column("kind")
        width_of = table.column("width_m")
        for row, geometry in enumerate(table.geometries):
            if geometry is None or geometry.geom_type not in ("LineString", "MultiLineString"):
                continue
            kind = "footpath" if kind_of is None else str(kind_of[row])
            kinds.add(kind)
            for part in parts_of[row]:
                line = shapely.LineString(part)
                if kind == "footpath":
                    number = f"L{len(findings) + 1:03d}"
                    width = None if width_of is None else float(width_of[row])
                    findings.append(Finding(number, FindingKind.FOOTPATH, line, 1.0, width_m=width))
                elif kind == "fence":
                    fences.append(FenceLine(line))
    if not findings and not fences:
        raise InputError(
            path,
            "holds neither footpaths nor fence lines",
            "lines with a column 'kind' of footpath or fence, or lines without it, or a GeoPackage "
            "with layers findings, fence_condition, fence_line",
        )
    return Stated(
        source=str(path),
        findings=tuple(findings),
        kinds=frozenset({FindingKind.FOOTPATH} if findings else ()),
        fence_lines=tuple(fences) if fences else None,
    )
