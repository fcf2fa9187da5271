"""Breaches as findings: how bad each is, what lies behind it, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import shapely

from analysis.fence_work import Breach, FenceResult
from analysis.growth import OVERGROWN
from analysis.raster import Orthophoto
from analysis.results import FenceLine, Layers, piece_line
from corridor.findings import (
    NOT_SEEN_FROM_THE_SIDE,
    BreachType,
    FencePiece,
    FenceState,
    Finding,
    FindingKind,
)

_PLACE_REACH_M = 50.0
"""How near a village, field or bus stop draws people to a breach."""
_PLOT_REACH_M = 15.0
# A hand gets through 0.2 m; a child, a dog or a crouching adult 0.4 m; people walk through 1 m.
_SQUEEZE_M, _WALK_M = 0.4, 1.0
_NOT_TOLD = ("doubtful: may be broken", "the fence is not told from its surroundings")
_DOUBTFUL = 0.3
_SURE = 0.5


@dataclass(frozen=True)
class Behind:
    """What may lie behind a fence, in the picture's CRS.

    Attributes:
        places: name to geometries, see `Layers`.
        plots: outlines of cultivated ground.
    """

    places: Mapping[str, Sequence[shapely.Geometry]] = field(default_factory=dict)
    plots: Sequence[shapely.Geometry] = ()

    @classmethod
    def of(cls, layers: Layers, plots: Sequence[shapely.Geometry]) -> Behind:
        """From the surroundings given and the plots found; roads draw nobody to a fence."""
        places = {name: shapes for name, shapes in layers.places.items() if name != "roads"}
        return cls(places, plots)

    def names(self, place: shapely.Geometry) -> list[str]:
        """What lies behind a place in the fence, by name."""
        names = sorted(
            name
            for name, shapes in self.places.items()
            if any(shapely.dwithin(shape, place, _PLACE_REACH_M) for shape in shapes)
        )
        if any(shapely.dwithin(plot, place, _PLOT_REACH_M) for plot in self.plots):
            names.append("plot")
        return names


def breach_findings(
    ortho: Orthophoto, line: FenceLine, fence: FenceResult, behind: Behind | None = None
) -> list[Finding]:
    """The breaches of a fence as findings."""
    findings = []
    for breach in fence.breaches:
        shape = shapely.LineString(piece_line(line.found, breach.start_m, breach.end_m))
        through = breach.evidence.get("footpath", 0.0) > 0
        names = [*(["footpath"] if through else []), *(behind.names(shape) if behind else [])]
        length_m = breach.end_m - breach.start_m
        sure = breach.confidence >= _SURE and breach.breach_type is not BreachType.HOLE
        lonlat = ortho.to_lonlat(shapely.get_coordinates(shape))
        findings.append(
            Finding(
                finding_id="",
                kind=FindingKind.BREACH,
                geometry=shapely.LineString(lonlat),
                confidence=round(breach.confidence, 3),
                severity=severity_of(breach, names),
                breach_type=breach.breach_type,
                route=line.boundary.route,
                side=line.boundary.side,
                chainage_start_m=breach.start_m,
                chainage_end_m=breach.end_m,
                length_m=round(length_m, 2),
                width_m=round(length_m, 2),
                crosses_fence=through,
                evidence={name: round(float(v), 3) for name, v in breach.evidence.items()},
                extra={
                    "next_step": "mend" if sure else "look_again_obliquely",
                    "behind": ", ".join(names) or None,
                    **breach.seen,
                },
            )
        )
    return findings


def severity_of(breach: Breach, behind: Sequence[str]) -> int:
    """1 (note) to 5 (urgent), by what gets through and by who may want to.

    By width: under 0.4 m 2, under 1 m 3, from 1 m on 4; a suspected hole is passable by all that is
    known, 3. One more if a footpath, a plot, a village or the like lies behind it. At most 3 if it
    is more likely none: such a one is for a look, not for a crew.
    """
    width_m = breach.end_m - breach.start_m
    if breach.breach_type is BreachType.HOLE:
        severity = 3
    else:
        severity = 2 if width_m < _SQUEEZE_M else 3 if width_m < _WALK_M else 4
    severity += bool(behind)
    return min(severity, 3) if breach.confidence < _DOUBTFUL else min(severity, 5)


def next_step(piece: FencePiece) -> str:
    """What a stretch asks for; nothing where its fence stands, or where none is to be seen.

    Where it was asked whether the mesh is whole, and not seen, it asks for another look.
    """
    if piece.state is FenceState.INTACT and piece.reason == NOT_SEEN_FROM_THE_SIDE:
        return "look_again_obliquely"
    if piece.state is FenceState.OBSCURED:
        return "clear_growth" if piece.reason == OVERGROWN else "look_again_obliquely"
    if piece.state is FenceState.UNSEEN:
        # Another flight of the same kind shows no more of what was imaged and cannot be told.
        return "look_again_obliquely" if piece.reason in _NOT_TOLD else "fly_again"
    return ""
