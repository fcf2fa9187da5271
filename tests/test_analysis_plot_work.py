"""Which access point serves a plot."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine

from analysis.plot_work import in_one, plot_notes, plot_work, served, within_fences
from analysis.plots import Plot
from analysis.raster import Orthophoto
from analysis.results import FenceLine
from analysis.sources import AnalyzeSpec, Sources
from corridor import Boundary, Side, Track
from corridor.findings import Finding, FindingKind

X0, Y0 = 500_000.0, 3_000_000.0


def picture(path: Path) -> Orthophoto:
    with rasterio.open(
        path, "w", driver="GTiff", count=3, height=100, width=300, dtype="uint8", crs="EPSG:32647",
        transform=Affine(1, 0, X0, 0, -1, Y0), photometric="rgb",
    ) as file:  # fmt: skip
        file.write(np.full((3, 100, 300), 120, np.uint8))
    return Orthophoto.open(path)


def finding(ortho: Orthophoto, kind: FindingKind, name: str, x: float, route: str) -> Finding:
    point = shapely.Point(*ortho.to_lonlat([[X0 + x, Y0 - 50]])[0])
    shape = point if kind is FindingKind.ACCESS_POINT else shapely.buffer(point, 1e-5)
    return Finding(name, kind, shape, 0.5, route=route)


def test_the_nearest_way_in_of_the_same_road_serves_a_plot(tmp_path: Path) -> None:
    ortho = picture(tmp_path / "a.tif")
    findings = [
        finding(ortho, FindingKind.PLOT, "P", 50, "G1"),
        finding(ortho, FindingKind.PLOT, "far", 290, "G1"),
        finding(ortho, FindingKind.ACCESS_POINT, "A60", 60, "G1"),
        finding(ortho, FindingKind.ACCESS_POINT, "A90", 90, "G1"),
        finding(ortho, FindingKind.ACCESS_POINT, "other", 51, "G2"),
    ]
    told = {each.finding_id: each.extra.get("access_id") for each in served(ortho, findings)}
    assert told == {"P": "A60", "far": "", "A60": None, "A90": None, "other": None}


@pytest.mark.parametrize(
    ("south_m", "in_loop", "kept"),
    [(-10.0, False, True), (4.0, False, False), (4.0, True, True), (-2.5, False, False)],
)
def test_fields_beyond_the_fence_are_no_plots(
    tmp_path: Path, south_m: float, in_loop: bool, kept: bool
) -> None:
    ortho = picture(tmp_path / "a.tif")
    xy = np.array([[X0, Y0 - 50], [X0 + 100, Y0 - 50], [X0 + 200, Y0 - 50]])
    track = Track(xy, np.array([0.0, 100.0, 200.0]))
    boundary = Boundary("G1", Side.LEFT, (ortho.to_lonlat(xy),), (0.0,))
    line = FenceLine(boundary, 0, track, track, np.zeros(3))
    low = Y0 - 50 + south_m
    bed = Plot(shapely.box(X0 + 50, low, X0 + 60, low + 4), 0.6, 0.0, 0.9, in_loop, {})
    assert within_fences([bed], [line]) == ([bed] if kept else [])
    assert within_fences([bed], []) == [bed]


def bed(west_m: float, east_m: float, south_m: float = 0.0, sure: float = 0.9) -> Plot:
    return Plot(shapely.box(west_m, south_m, east_m, south_m + 3), 0.6, 0.0, sure, False, {})


def test_halves_of_a_bed_are_one_and_neighbours_are_two() -> None:
    (whole,) = in_one([bed(0, 6), bed(6.2, 10, sure=0.95), bed(10.1, 12)])
    assert whole.outline.bounds == pytest.approx((0, 0, 12, 3))
    assert whole.confidence == 0.95
    apart = [bed(0, 6), bed(6.5, 10), bed(2, 4, south_m=3.1)]
    assert len(in_one(apart)) == 3


@pytest.mark.parametrize(
    ("clear", "period_m", "along_rad", "beds"),
    [(0.9, 0.6, 0.0, 1), (0.9, 0.9, 0.0, 2), (0.9, 0.6, np.pi / 2, 2), (0.1, 0.9, np.pi / 2, 1)],
)
def test_beds_with_other_rows_end_to_end_are_two(
    clear: float, period_m: float, along_rad: float, beds: int
) -> None:
    one = replace(bed(0, 6), evidence={"rows": 0.8})
    other = replace(bed(6.2, 10), period_m=period_m, along_rad=along_rad, evidence={"rows": clear})
    assert len(in_one([one, other])) == beds


def test_plots_are_looked_for_inside_boundaries_only(tmp_path: Path) -> None:
    ortho = picture(tmp_path / "a.tif")
    lonlat = ortho.to_lonlat([[X0 + 10, Y0 - 50], [X0 + 200, Y0 - 50]])
    sources = Sources(ortho.paths, [Boundary("G1", Side.LEFT, (lonlat,), (0.0,))])
    # The road is to the right of a left fence: south of a line to the east.
    for fence, beyond_m in ((False, 0.0), (True, 2.0)):
        pieces = plot_work(ortho, sources, AnalyzeSpec(inside_m=20.0, fence=fence))
        _, south, _, north = shapely.total_bounds([piece.arguments[2] for piece in pieces])
        assert abs(north - (Y0 - 50 + beyond_m)) < 0.5
        assert abs(south - (Y0 - 70 - beyond_m)) < 0.5
    assert plot_work(ortho, Sources(ortho.paths), AnalyzeSpec()) == []
    assert plot_work(ortho, sources, AnalyzeSpec(plots=False)) == []


def test_what_is_too_coarse_for_plots_is_said(tmp_path: Path) -> None:
    ortho = picture(tmp_path / "a.tif")
    assert plot_notes(ortho, AnalyzeSpec()) == [
        "no plots looked for: pixels of 1.00 m, 0.2 m at most"
    ]
    assert plot_notes(ortho, AnalyzeSpec(plots=False)) == []
