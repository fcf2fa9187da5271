"""What is true of a scene, in the words of the findings."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import geopandas
import numpy as np
import shapely
from pyproj import Transformer

from corridor import Boundary
from corridor.findings import BreachType, FencePiece, FenceState, Finding, FindingKind
from scenes.crowns import heights_at
from scenes.fences import Fence
from scenes.footpaths import Footpath
from scenes.layout import EPSG, Layout
from scenes.lines import FloatArray, Line
from scenes.visibility import Sight, look_at

_COVER_STEP_M = 0.05
_MOSTLY_FRAC = 0.75
_NEAR_FENCE_M = 6.0
"""Of a path to a fence, the stretch that shows that it leads there."""


@dataclass(frozen=True)
class Truth:
    """The findings, the fence's condition, and further layers of `truth.gpkg`."""

    findings: list[Finding]
    pieces: list[FencePiece]
    layers: dict[str, geopandas.GeoDataFrame]
    boundaries: list[Boundary]


def to_lonlat(layout: Layout, xy: FloatArray) -> FloatArray:
    """(N, 2) metres of the scene to (N, 2) longitude and latitude in degrees."""
    inverse = Transformer.from_crs(EPSG, 4326, always_xy=True)
    east, north = layout.origin_m
    return np.column_stack(inverse.transform(xy[:, 0] + east, xy[:, 1] + north))


def covered(layout: Layout, fence: Fence) -> list[tuple[float, float]]:
    """Stretches [start, end) of a fence that stand under a crown higher than the fence's foot.

    What is open for less than 0.3 m is joined where most of the whole is covered; covers shorter
    than 0.3 m are left out.
    """
    stations = np.arange(0.0, fence.line.length_m, _COVER_STEP_M) + _COVER_STEP_M / 2
    points = fence.line.at(stations)
    low, high = points.min(axis=0), points.max(axis=0)
    # Where the picture shows them: what it hides cannot be read from it.
    crowns = layout.crowns_seen
    reach = 1.31 * crowns[:, 2]
    near = ((crowns[:, :2] + reach[:, None] > low) & (crowns[:, :2] - reach[:, None] < high)).all(
        axis=1
    )
    under = heights_at(points, np.ascontiguousarray(crowns[near])) > 0.5
    stretches: list[tuple[float, float]] = []
    shaded_m: list[float] = []  # how much of each is under leaves
    edges = np.flatnonzero(np.diff(np.concatenate([[0], under.astype(np.int8), [0]])))
    for first, end in edges.reshape(-1, 2):
        start_m = first * _COVER_STEP_M
        end_m = min(end * _COVER_STEP_M, fence.line.length_m)
        own_m = end_m - start_m
        if (
            stretches
            and start_m - stretches[-1][1] < 0.3
            and shaded_m[-1] + own_m >= _MOSTLY_FRAC * (end_m - stretches[-1][0])
        ):
            stretches[-1] = (stretches[-1][0], end_m)
            shaded_m[-1] += own_m
        else:
            stretches.append((start_m, end_m))
            shaded_m.append(own_m)
    return [(a, b) for a, b in stretches if b - a >= 0.3]


def drawn_boundaries(layout: Layout) -> list[Boundary]:
    """The boundaries as a map has them, in the order of the fences."""
    return [_boundary(layout, fence) for fence in layout.fences]


def tell_truth(layout: Layout) -> Truth:
    """All that is true of a scene."""
    boundaries = drawn_boundaries(layout)
    findings: list[Finding] = []
    pieces: list[FencePiece] = []
    fence_rows = []
    for fence, boundary in zip(layout.fences, boundaries, strict=True):
        chainage = _Chainage(fence, boundary)
        cover = covered(layout, fence)
        pieces += _pieces(layout, fence, boundary, chainage, cover)
        findings += _breaches(layout, fence, chainage, cover)
        fence_rows.append(
            {
                "route": fence.route,
                "side": fence.side.value,
                "fence_kind": fence.style.kind.value,
                "height_m": fence.style.height_m,
                "post_spacing_m": fence.style.panel_m,
                "colour": fence.style.colour,
                "solidity": 1.0 if fence.style.wall_m > 0 else fence.style.solidity,
                "geometry": _geometry(layout, fence.line),
            }
        )
    sights = look_at(layout)
    findings += _paths(layout, boundaries, sights)
    findings += _plots(layout, boundaries)
    crown_rows = [
        {
            "height_m": crown[3],
            "radius_m": crown[2],
            "geometry": shapely.Polygon(
                to_lonlat(
                    layout, np.array(shapely.Point(crown[:2]).buffer(crown[2]).exterior.coords)
                )
            ),
        }
        for crown in layout.crowns
    ]
    layers = {
        "fence_line": geopandas.GeoDataFrame(fence_rows, geometry="geometry", crs="EPSG:4326"),
        "crowns": _table(crown_rows, ["height_m", "radius_m"]),
        "footpaths_seen": _table(_seen_rows(layout, sights), ["finding_id"]),
    }
    return Truth(findings, pieces, layers, boundaries)


class _Chainage:
    """Chainage along the drawn boundary of a station on the true fence."""

    def __init__(self, fence: Fence, boundary: Boundary) -> None:
        self._station_m = fence.line.station_m
        self._chainage_m = boundary.vertex_chainages_m(0)

    def __call__(self, station_m: float) -> float:
        return float(np.interp(station_m, self._station_m, self._chainage_m))


def _boundary(layout: Layout, fence: Fence) -> Boundary:
    lonlat = np.ascontiguousarray(to_lonlat(layout, fence.drawn.xy))
    return Boundary(
        route=fence.route,
        side=fence.side,
        parts=(lonlat,),
        chainage_start_m=(1_053_000.0,),
        fence_height_m=round(fence.style.height_m, 2),
        post_spacing_m=fence.style.panel_m,
    )


def _geometry(layout: Layout, line: Line) -> shapely.LineString:
    return shapely.LineString(to_lonlat(layout, line.xy))


def _table(rows: list[dict[str, Any]], columns: list[str]) -> geopandas.GeoDataFrame:
    if rows:
        return geopandas.GeoDataFrame(rows, geometry="geometry", crs="EPSG:4326")
    return geopandas.GeoDataFrame({c: [] for c in columns}, geometry=[], crs="EPSG:4326")


def _pieces(
    layout: Layout,
    fence: Fence,
    boundary: Boundary,
    chainage: _Chainage,
    cover: list[tuple[float, float]],
) -> list[FencePiece]:
    cuts = {0.0, fence.line.length_m}
    absent = [(a, b) for a, b, _ in fence.no_fence]
    for low, high in [*cover, *absent, *((b.start_m, b.end_m) for b in fence.breaches)]:
        cuts |= {low, high}
    ordered = sorted(cuts)
    found: list[tuple[float, float, FenceState, str]] = []
    for low, high in pairwise(ordered):
        middle = (low + high) / 2
        state, reason = FenceState.INTACT, ""
        breach = next((b for b in fence.breaches if b.start_m <= middle < b.end_m), None)
        if fence.missing(middle):
            state = FenceState.NO_FENCE
            reason = next(why for a, b, why in fence.no_fence if a <= middle < b)
        elif any(a <= middle < b for a, b in cover):
            state, reason = FenceState.OBSCURED, "under a crown"
        elif breach is not None:
            state, reason = FenceState.BREACH, breach.variety
        if found and found[-1][2:] == (state, reason):
            found[-1] = (found[-1][0], high, state, reason)
        else:
            found.append((low, high, state, reason))
    return [
        FencePiece(
            geometry=_geometry(layout, fence.line.between(low, high)),
            route=fence.route,
            side=fence.side,
            chainage_start_m=chainage(low),
            chainage_end_m=chainage(high),
            state=state,
            reason=reason,
        )
        for low, high, state, reason in found
    ]


def _breaches(
    layout: Layout, fence: Fence, chainage: _Chainage, cover: list[tuple[float, float]]
) -> list[Finding]:
    findings = []
    for number, breach in enumerate(fence.breaches, 1):
        length_m = breach.end_m - breach.start_m
        hidden = sum(max(0.0, min(b, breach.end_m) - max(a, breach.start_m)) for a, b in cover)
        findings.append(
            Finding(
                finding_id=f"{fence.side.value[0].upper()}B{number:03d}",
                kind=FindingKind.BREACH,
                geometry=_geometry(layout, fence.line.between(breach.start_m, breach.end_m)),
                confidence=1.0,
                severity={BreachType.GAP: 5, BreachType.COLLAPSED: 4, BreachType.HOLE: 3}[
                    breach.kind
                ],
                breach_type=breach.kind,
                route=fence.route,
                side=fence.side,
                chainage_start_m=chainage(breach.start_m),
                chainage_end_m=chainage(breach.end_m),
                length_m=length_m,
                extra={
                    "variety": breach.variety,
                    "visible_frac": round(1.0 - hidden / length_m, 3),
                },
            )
        )
    return findings


def _path_id(number: int) -> str:
    return f"P{number:03d}"


def _seen_rows(layout: Layout, sights: list[Sight]) -> list[dict[str, Any]]:
    """The stretches of each path that can be seen."""
    return [
        {
            "finding_id": _path_id(number),
            "geometry": _geometry(layout, path.line.between(start_m, end_m)),
        }
        for number, (path, sight) in enumerate(zip(layout.paths, sights, strict=True), 1)
        for start_m, end_m in sight.stretches
    ]


def _seen_at(path: Footpath, sight: Sight, place: FloatArray) -> float:
    """The share that can be seen of a path within 6 m along it of a place (2,) on it."""
    at_m = float(path.line.locate(place)[0][0])
    start_m = max(0.0, at_m - _NEAR_FENCE_M)
    return sight.seen_frac(start_m, min(path.line.length_m, at_m + _NEAR_FENCE_M))


def _paths(layout: Layout, boundaries: list[Boundary], sights: list[Sight]) -> list[Finding]:
    findings = []
    for number, (path, sight) in enumerate(zip(layout.paths, sights, strict=True), 1):
        route, side, at_m = "", None, None
        if path.fence is not None and path.meets_m is not None:
            fence, boundary = layout.fences[path.fence], boundaries[path.fence]
            route, side = fence.route, fence.side
            at_m = _Chainage(fence, boundary)(path.meets_m)
            place = fence.line.at(path.meets_m)
            findings.append(
                Finding(
                    finding_id=f"A{number:03d}",
                    kind=FindingKind.ACCESS_POINT,
                    geometry=shapely.Point(to_lonlat(layout, place)[0]),
                    confidence=1.0,
                    severity=5 if path.crosses else 3,
                    route=route,
                    side=side,
                    chainage_start_m=at_m,
                    chainage_end_m=at_m,
                    width_m=path.width_m,
                    crosses_fence=path.crosses,
                    extra={"visible_frac": round(_seen_at(path, sight, place), 3)},
                )
            )
        findings.append(
            Finding(
                finding_id=_path_id(number),
                kind=FindingKind.FOOTPATH,
                geometry=_geometry(layout, path.line),
                confidence=1.0,
                route=route,
                side=side,
                chainage_start_m=at_m,
                chainage_end_m=at_m,
                length_m=path.line.length_m,
                width_m=path.width_m,
                crosses_fence=path.crosses,
                extra={
                    "look": path.look,
                    "strength": round(path.strength, 3),
                    "patchy": round(path.patchy, 3),
                    "visible_frac": round(sight.visible_frac, 3),
                    "contrast": round(sight.contrast, 1),
                },
            )
        )
    return findings


def _plots(layout: Layout, boundaries: list[Boundary]) -> list[Finding]:
    findings = []
    for number, plot in enumerate(layout.plots, 1):
        fence, boundary = layout.fences[plot.fence], boundaries[plot.fence]
        corners = np.array(plot.polygon.exterior.coords)
        chainage = _Chainage(fence, boundary)
        beside = [chainage(station) for station in fence.line.locate(corners)[0]]
        findings.append(
            Finding(
                finding_id=f"V{number:03d}",
                kind=FindingKind.PLOT,
                geometry=shapely.Polygon(to_lonlat(layout, corners)),
                confidence=1.0,
                severity=2,
                route=fence.route,
                side=fence.side,
                chainage_start_m=min(beside),
                chainage_end_m=max(beside),
                length_m=plot.line.length_m,
                width_m=plot.width_m,
            )
        )
    return findings
