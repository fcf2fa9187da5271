"""What is found along a fence: the words of the findings' files, and their reading and writing.

Generated truth and analysed findings share this one schema, so that either can be read by whatever
reads the other. Geometry is WGS 84, longitude first.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import shapely

from corridor.errors import InputError
from corridor.files import atomic_path
from corridor.station import format_station
from corridor.values import Side

if TYPE_CHECKING:
    import geopandas

SCHEMA_VERSION = 1
NOT_SEEN_FROM_THE_SIDE = "not seen from the side"
"""The reason of a stretch that is intact by the picture from above alone, although frames taken
from the side were given: too few of them tell its mesh, and a hole in it would not be known of."""


class FenceState(enum.StrEnum):
    """What is known of a stretch of boundary; the states tile it without gap or overlap."""

    INTACT = "intact"
    BREACH = "breach"
    OBSCURED = "obscured"
    UNSEEN = "unseen"
    NO_FENCE = "no_fence"


class FindingKind(enum.StrEnum):
    """Something to act on."""

    BREACH = "breach"
    FOOTPATH = "footpath"
    ACCESS_POINT = "access_point"
    PLOT = "plot"


class BreachType(enum.StrEnum):
    """How a fence is broken."""

    GAP = "gap"
    HOLE = "hole"
    COLLAPSED = "collapsed"


@dataclass(frozen=True)
class Finding:
    """One finding.

    Attributes:
        finding_id: unique within a file and the same for the same input.
        geometry: WGS 84; breach: the line piece of fence concerned; footpath: its centreline;
            access_point: a point; plot: a polygon.
        confidence: 0 to 1, calibrated.
        severity: 1 (note) to 5 (urgent).
        route, side: empty where no boundary is known.
        chainage_start_m, chainage_end_m: along the boundary; None where no boundary is known.
        length_m: along the fence for a breach, of the centreline for a footpath.
        crosses_fence: whether a footpath or access point leads through the fence line.
        evidence: cue name to strength.
        extra: further columns, the same type in every finding that has them.
    """

    finding_id: str
    kind: FindingKind
    geometry: shapely.Geometry
    confidence: float
    severity: int = 3
    breach_type: BreachType | None = None
    route: str = ""
    side: Side | None = None
    chainage_start_m: float | None = None
    chainage_end_m: float | None = None
    length_m: float | None = None
    width_m: float | None = None
    crosses_fence: bool = False
    evidence: Mapping[str, float] = field(default_factory=dict)
    extra: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0.0 <= self.confidence <= 1.0:
            raise ValueError(f"confidence is 0 to 1, not {self.confidence}")
        if not 1 <= self.severity <= 5:
            raise ValueError(f"severity is 1 to 5, not {self.severity}")

    @property
    def station(self) -> str:
        """Where along the route its middle is, as `K12+345`; empty without a boundary."""
        if self.chainage_start_m is None or self.chainage_end_m is None:
            return ""
        return format_station((self.chainage_start_m + self.chainage_end_m) / 2)


@dataclass(frozen=True)
class FencePiece:
    """A stretch of boundary in one state, chainages half open [start, end)."""

    geometry: shapely.LineString
    route: str
    side: Side
    chainage_start_m: float
    chainage_end_m: float
    state: FenceState
    confidence: float = 1.0
    reason: str = ""


def findings_table(findings: Sequence[Finding]) -> geopandas.GeoDataFrame:
    """Findings as the contract's columns, one row each; `evidence` as `cue=0.93;other=0.2`."""
    import geopandas  # here, since it brings pandas: what handles no tables starts without it

    extras = sorted({key for finding in findings for key in finding.extra})
    rows: list[dict[str, Any]] = []
    for finding in findings:
        row: dict[str, Any] = {
            "finding_id": finding.finding_id,
            "kind": finding.kind.value,
            "breach_type": finding.breach_type.value if finding.breach_type else None,
            "confidence": finding.confidence,
            "severity": finding.severity,
            "route": finding.route,
            "side": finding.side.value if finding.side else None,
            "chainage_start_m": finding.chainage_start_m,
            "chainage_end_m": finding.chainage_end_m,
            "station": finding.station,
            "length_m": finding.length_m,
            "width_m": finding.width_m,
            "crosses_fence": finding.crosses_fence,
            "evidence": ";".join(f"{cue}={value:.3g}" for cue, value in finding.evidence.items()),
        }
        row.update({key: finding.extra.get(key) for key in extras})
        rows.append(row)
    columns = [
        "finding_id", "kind", "breach_type", "confidence", "severity", "route", "side",
        "chainage_start_m", "chainage_end_m", "station", "length_m", "width_m", "crosses_fence",
        "evidence", *extras,
    ]  # fmt: skip
    table = geopandas.GeoDataFrame(
        rows, columns=columns, geometry=[finding.geometry for finding in findings], crs="EPSG:4326"
    )
    numbers = ["confidence", "chainage_start_m", "chainage_end_m", "length_m", "width_m"]
    return table.astype(dict.fromkeys(numbers, "float64"))


def condition_table(pieces: Sequence[FencePiece]) -> geopandas.GeoDataFrame:
    """Fence pieces as the columns of layer `fence_condition`, one row each."""
    import geopandas

    rows = [
        {
            "route": piece.route,
            "side": piece.side.value,
            "chainage_start_m": piece.chainage_start_m,
            "chainage_end_m": piece.chainage_end_m,
            "state": piece.state.value,
            "confidence": piece.confidence,
            "reason": piece.reason,
        }
        for piece in pieces
    ]
    columns = [
        "route", "side", "chainage_start_m", "chainage_end_m", "state", "confidence", "reason",
    ]  # fmt: skip
    return geopandas.GeoDataFrame(
        rows, columns=columns, geometry=[piece.geometry for piece in pieces], crs="EPSG:4326"
    )


def write_gpkg(
    path: str | Path,
    findings: Sequence[Finding],
    pieces: Sequence[FencePiece],
    layers: Mapping[str, geopandas.GeoDataFrame] | None = None,
) -> None:
    """Writes layers `findings`, `fence_condition` and any further `layers`, whole or not at all."""
    with atomic_path(path) as partial:
        findings_table(findings).to_file(partial, layer="findings", driver="GPKG")
        condition_table(pieces).to_file(partial, layer="fence_condition", driver="GPKG")
        for name, table in (layers or {}).items():
            table.to_file(partial, layer=name, driver="GPKG")


def gpkg_in(path: str | Path, name: str = "findings.gpkg") -> Path:
    """The GeoPackage meant by `path`: itself, or `name` in it if it is a folder.

    Raises:
        InputError: if there is none.
    """
    file = Path(path) / name if Path(path).is_dir() else Path(path)
    if not file.is_file():
        raise InputError(path, "no findings there", f"expected a folder with {name}, or that file")
    return file


def read_findings(path: str | Path) -> list[Finding]:
    """Findings from a GeoPackage written by `write_gpkg`, or a folder with `findings.gpkg`."""
    table = _read_layer(gpkg_in(path), "findings")
    known = {
        "finding_id", "kind", "breach_type", "confidence", "severity", "route", "side",
        "chainage_start_m", "chainage_end_m", "station", "length_m", "width_m", "crosses_fence",
        "evidence", "geometry",
    }  # fmt: skip
    findings = []
    for row in table.to_dict("records"):
        row = {key: None if _missing(value) else value for key, value in row.items()}
        cues = [cue.partition("=") for cue in (row["evidence"] or "").split(";") if cue]
        findings.append(
            Finding(
                finding_id=row["finding_id"],
                kind=FindingKind(row["kind"]),
                geometry=row["geometry"],
                confidence=row["confidence"],
                severity=int(row["severity"]),
                breach_type=BreachType(row["breach_type"]) if row["breach_type"] else None,
                route=row["route"] or "",
                side=Side(row["side"]) if row["side"] else None,
                chainage_start_m=row["chainage_start_m"],
                chainage_end_m=row["chainage_end_m"],
                length_m=row["length_m"],
                width_m=row["width_m"],
                crosses_fence=bool(row["crosses_fence"]),
                evidence={name: float(value) for name, _, value in cues},
                extra={key: value for key, value in row.items() if key not in known},
            )
        )
    return findings


def read_condition(path: str | Path) -> list[FencePiece]:
    """Fence pieces from a GeoPackage written by `write_gpkg`, or a folder with `findings.gpkg`."""
    table = _read_layer(gpkg_in(path), "fence_condition")
    return [
        FencePiece(
            geometry=row["geometry"],
            route=row["route"] or "",
            side=Side(row["side"]),
            chainage_start_m=row["chainage_start_m"],
            chainage_end_m=row["chainage_end_m"],
            state=FenceState(row["state"]),
            confidence=row["confidence"],
            reason=row["reason"] or "",
        )
        for row in table.to_dict("records")
    ]


def _read_layer(path: Path, layer: str) -> geopandas.GeoDataFrame:
    import geopandas

    names = list(geopandas.list_layers(path)["name"])
    if layer not in names:
        raise InputError(path, f"has no layer '{layer}'", f"it holds {', '.join(names)}")
    return geopandas.read_file(path, layer=layer)


def _missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and value != value)
