"""What one analysis holds before it is written: lines, states, findings, in two frames.

Findings and pieces carry WGS 84 as their files do; what is measured is measured in the picture's
CRS, where a fence is a `FenceLine`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import shapely

from analysis.raster import Orthophoto
from corridor import Boundary, Side, Track, format_station
from corridor.findings import FencePiece, Finding, FindingKind
from corridor.values import FloatArray

LETTER = {
    FindingKind.BREACH: "B",
    FindingKind.FOOTPATH: "F",
    FindingKind.ACCESS_POINT: "A",
    FindingKind.PLOT: "P",
}


@dataclass(frozen=True)
class FenceLine:
    """The fence of one part of a boundary, where it was found.

    Attributes:
        boundary: whose it is.
        part: which of its polylines.
        drawn: the line as drawn, in the picture's CRS.
        found: the line as found, with the drawn line's chainage; equal to `drawn` where the fence
            was not to be seen.
        offset_m: (N,) of each vertex of `found` from the drawn line, left of chainage positive.
    """

    boundary: Boundary
    part: int
    drawn: Track
    found: Track
    offset_m: FloatArray

    @property
    def name(self) -> str:
        """Unique within an analysis, and fit for a file name."""
        return safe_name(f"{self.boundary.route}-{self.boundary.side.value}-{self.part + 1}")


@dataclass(frozen=True)
class Crossing:
    """Two access points on opposite sides of a road, and the way people probably take.

    Attributes:
        line: WGS 84, from the left side's access point to the right side's.
        left_id, right_id: of the access points.
    """

    line: shapely.LineString
    route: str
    left_id: str
    right_id: str
    chainage_m: float
    length_m: float
    confidence: float
    reason: str = ""


@dataclass(frozen=True)
class Layers:
    """What a user gives of the surroundings: geometries in the picture's CRS, by what they are.

    Attributes:
        places: `villages`, `buildings`, `fields`, `bus_stops`, `roads` to their geometries.
        districts: name to polygon, of who is responsible where.
    """

    places: Mapping[str, Sequence[shapely.Geometry]] = field(default_factory=dict)
    districts: Mapping[str, shapely.Geometry] = field(default_factory=dict)


@dataclass(frozen=True)
class Analysis:
    """All that one run found.

    Attributes:
        ortho: the picture.
        lines: the fences, one a part of a boundary.
        pieces: of each line, its states in order, tiling it.
        findings: most severe first.
        closed: findings of an earlier flight that are no more, with `status` among their extras.
        notes: what a reader should know of how it was made.
        inputs: name and checksum of each file read.
    """

    ortho: Orthophoto
    lines: tuple[FenceLine, ...]
    pieces: tuple[tuple[FencePiece, ...], ...]
    findings: tuple[Finding, ...]
    crossings: tuple[Crossing, ...] = ()
    closed: tuple[Finding, ...] = ()
    layers: Layers = field(default_factory=Layers)
    notes: tuple[str, ...] = ()
    inputs: tuple[tuple[str, str], ...] = ()

    def line_of(self, finding: Finding) -> int | None:
        """The line that a finding is told along, by its index; None without one."""
        if finding.chainage_start_m is None or finding.chainage_end_m is None:
            return None
        middle_m = (finding.chainage_start_m + finding.chainage_end_m) / 2
        slack_m = 1.0
        fitting = [
            index
            for index, line in enumerate(self.lines)
            if line.boundary.route == finding.route
            and line.boundary.side is finding.side
            and line.drawn.chainage_m[0] - slack_m <= middle_m
            and middle_m <= line.drawn.chainage_m[-1] + slack_m
        ]
        if len(fitting) <= 1:
            return fitting[0] if fitting else None
        shape = to_picture(self.ortho, finding.geometry)
        return min(
            fitting,
            key=lambda i: float(
                shapely.distance(shapely.LineString(self.lines[i].found.xy), shape)
            ),
        )


def safe_name(text: str) -> str:
    """A name that every file system takes."""
    return re.sub(r"[^\w+.-]+", "_", text).strip("._") or "unnamed"


def to_picture(ortho: Orthophoto, geometry: shapely.Geometry) -> shapely.Geometry:
    """A WGS 84 geometry in the picture's CRS."""
    return shapely.transform(geometry, ortho.to_xy)


def to_wgs84(ortho: Orthophoto, geometry: shapely.Geometry) -> shapely.Geometry:
    """A geometry of the picture's CRS in WGS 84."""
    return shapely.transform(geometry, ortho.to_lonlat)


def named(findings: Iterable[Finding]) -> list[Finding]:
    """The findings, those without an id given one that tells people the place.

    It is the same for the same input.

    `G75-L-K12+345-B`: route, side, station, kind. Without a boundary the place is told by a digest
    of the position to a decimetre. What meets at one metre is numbered in order.
    """
    findings = list(findings)
    given: dict[str, int] = {}
    taken = {finding.finding_id for finding in findings if finding.finding_id}
    result = []
    for finding in findings:
        if finding.finding_id:
            result.append(finding)
            continue
        letter = LETTER[finding.kind]
        if finding.chainage_start_m is not None and finding.chainage_end_m is not None:
            middle_m = (finding.chainage_start_m + finding.chainage_end_m) / 2
            side = {Side.LEFT: "L", Side.RIGHT: "R", None: "X"}[finding.side]
            name = f"{safe_name(finding.route or 'route')}-{side}-{format_station(middle_m)}"
        else:
            (lon_deg, lat_deg), *_ = shapely.get_coordinates(
                shapely.point_on_surface(finding.geometry)
            )
            place = f"{lon_deg:.6f} {lat_deg:.6f}"
            name = hashlib.sha256(place.encode()).hexdigest()[:8]
        base = f"{name}-{letter}"
        while True:
            given[base] = given.get(base, 0) + 1
            finding_id = base if given[base] == 1 else f"{base}{given[base]}"
            if finding_id not in taken:
                break
        result.append(replace(finding, finding_id=finding_id))
    return result


def with_extra(finding: Finding, **extra: str | int | float | bool | None) -> Finding:
    """The finding with further columns."""
    return replace(finding, extra={**finding.extra, **extra})


def piece_line(track: Track, start_m: float, end_m: float) -> FloatArray:
    """(N, 2) positions of a track from one chainage to another, its vertices between included."""
    inside = (track.chainage_m > start_m) & (track.chainage_m < end_m)
    return np.vstack([track.at([start_m]), track.xy[inside], track.at([end_m])])
