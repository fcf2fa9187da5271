"""Small findings and truths to score, in metres about one place."""

from __future__ import annotations

import shapely

from analysis.score import Stated
from corridor import LocalFrame, Side
from corridor.findings import BreachType, FencePiece, FenceState, Finding, FindingKind

FRAME = LocalFrame(106.9, 27.7)
ALL = frozenset(FindingKind)


def line(*xy: tuple[float, float]) -> shapely.LineString:
    return shapely.LineString(FRAME.to_lonlat(xy))


def breach(
    start_m: float,
    end_m: float,
    name: str = "B1",
    kind: BreachType = BreachType.GAP,
    side: Side = Side.LEFT,
    confidence: float = 1.0,
    **extra: float,
) -> Finding:
    return Finding(
        name,
        FindingKind.BREACH,
        line((start_m, 0), (end_m, 0)),
        confidence,
        breach_type=kind,
        route="G75",
        side=side,
        chainage_start_m=start_m,
        chainage_end_m=end_m,
        length_m=end_m - start_m,
        extra=extra,
    )


def footpath(
    *xy: tuple[float, float], name: str = "P", confidence: float = 1.0, **extra: object
) -> Finding:
    return Finding(name, FindingKind.FOOTPATH, line(*xy), confidence, width_m=0.5, extra=extra)


def access(x: float, y: float = 0.0, **extra: object) -> Finding:
    point = shapely.Point(FRAME.to_lonlat([(x, y)])[0])
    return Finding("A", FindingKind.ACCESS_POINT, point, 1.0, extra=extra)


def plot(x: float, width_m: float = 10.0) -> Finding:
    ring = FRAME.to_lonlat([(x, 0), (x + width_m, 0), (x + width_m, 10), (x, 10)])
    return Finding("F", FindingKind.PLOT, shapely.Polygon(ring), 1.0)


def pieces(*ends: tuple[float, str], confidence: float = 1.0) -> tuple[FencePiece, ...]:
    made, start_m = [], 0.0
    for end_m, state in ends:
        made.append(
            FencePiece(
                line((start_m, 0), (end_m, 0)),
                "G75",
                Side.LEFT,
                start_m,
                end_m,
                FenceState(state),
                confidence,
            )
        )
        start_m = end_m
    return tuple(made)


def stated(*findings: Finding, fence: tuple[FencePiece, ...] | None = None) -> Stated:
    return Stated("file", findings, ALL, fence)


KILOMETRE = pieces((1000.0, "intact"))

VISIBLE = {"visible_frac": 1.0}
