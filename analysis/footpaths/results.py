"""Footpaths as findings."""

from __future__ import annotations

from collections.abc import Sequence

import shapely

from analysis.footpaths.find import Footpath
from analysis.footpaths.judge import PathClass
from analysis.raster import Orthophoto
from corridor.findings import Finding, FindingKind

_SEVERITY = {
    PathClass.FOOTPATH: 2,
    PathClass.VEHICLE_TRACK: 1,
    PathClass.PAVED_PATH: 1,
    PathClass.OTHER_LINEAR: 1,
}


def footpath_findings(
    paths: Sequence[Footpath], ortho: Orthophoto, prefix: str = "F"
) -> list[Finding]:
    """Findings of kind footpath, one a path, in the order given.

    The columns `path_class`, `visibility` and `inferred_frac` go with them; a score of footpaths
    counts those of class `footpath` only.
    """
    findings = []
    for number, path in enumerate(paths, 1):
        lonlat = ortho.to_lonlat(shapely.get_coordinates(path.centreline))
        findings.append(
            Finding(
                finding_id=f"{prefix}{number:04d}",
                kind=FindingKind.FOOTPATH,
                geometry=shapely.LineString(lonlat),
                confidence=round(path.confidence, 3),
                severity=_SEVERITY[path.path_class],
                length_m=round(path.length_m, 2),
                width_m=round(path.width_m, 2),
                evidence={cue: round(value, 3) for cue, value in path.evidence.items()},
                extra={
                    "path_class": path.path_class.value,
                    "visibility": round(path.visibility, 3),
                    "inferred_frac": round(path.inferred_frac, 3),
                },
            )
        )
    return findings
