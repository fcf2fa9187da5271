"""What a breach is worth, what hides a fence, and what was not seen well enough."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine

from analysis.breaches import Behind, breach_findings, next_step, severity_of
from analysis.fence_work import Breach, FenceResult, Stretch, fence_line, laid_over
from analysis.growth import OVERGROWN, UNDER_CROWN, with_growth
from analysis.heights import SurfaceModel
from analysis.mapping import contributions_path
from analysis.raster import Orthophoto
from analysis.results import Layers
from analysis.viewing import BANDS, Contributions, with_view
from corridor import Boundary, InputError, Side
from corridor.findings import NOT_SEEN_FROM_THE_SIDE, BreachType, FencePiece, FenceState

X0, Y0, LENGTH_M = 500_000.0, 3_000_000.0, 40.0


def picture(folder: Path, colours: dict[tuple[float, float], tuple[int, int, int]]) -> Orthophoto:
    """Grey ground, 40 m by 20 m, colours painted between given x; the fence runs at y = -10."""
    bands = np.full((3, 200, 400), 120, np.uint8)
    for (start_m, end_m), colour in colours.items():
        bands[:, :, round(10 * start_m) : round(10 * end_m)] = np.array(colour)[:, None, None]
    path = folder / "ortho.tif"
    with rasterio.open(
        path, "w", driver="GTiff", count=3, height=200, width=400, dtype="uint8",
        crs="EPSG:32647", transform=Affine(0.1, 0, X0, 0, -0.1, Y0),
    ) as file:  # fmt: skip
        file.write(bands)
    return Orthophoto.open(path)


def fence(*stretches: Stretch, breaches: tuple[Breach, ...] = ()) -> FenceResult:
    chainage = np.arange(0.0, LENGTH_M + 0.1, 0.5)
    xy = np.column_stack([X0 + chainage, np.full(len(chainage), Y0 - 10.0)])
    return FenceResult(0, 0, chainage, xy, np.zeros(len(chainage)), stretches, breaches)


WHOLE = Stretch(0.0, LENGTH_M, FenceState.INTACT, 0.9)


# Laying over


@pytest.mark.parametrize(
    ("start_m", "end_m", "ends"),
    [(0, 40, [40]), (0, 5, [5, 10, 40]), (5, 12, [5, 12, 40]), (38, 40, [10, 38, 40]),
     (5, 40, [5, 40]), (10, 40, [10, 40])],
)  # fmt: skip
def test_what_is_laid_over_tiles_as_before(start_m: float, end_m: float, ends: list[float]) -> None:
    before = [replace(WHOLE, end_m=10.0), replace(WHOLE, start_m=10.0)]
    after = laid_over(before, Stretch(start_m, end_m, FenceState.UNSEEN, 1.0, "x"))
    assert [each.end_m for each in after] == ends
    assert [each.start_m for each in after] == [0.0, *ends[:-1]]
    assert next(each for each in after if each.state is FenceState.UNSEEN).end_m == end_m


# Severity


@pytest.mark.parametrize(
    ("kind", "width_m", "confidence", "behind", "severity"),
    [
        (BreachType.GAP, 0.3, 0.9, [], 2),
        (BreachType.GAP, 0.9, 0.9, [], 3),
        (BreachType.GAP, 1.0, 0.9, [], 4),
        (BreachType.COLLAPSED, 3.0, 0.9, ["villages"], 5),
        (BreachType.HOLE, 0.3, 0.9, [], 3),
        (BreachType.HOLE, 0.8, 0.4, ["footpath"], 4),
        (BreachType.GAP, 3.0, 0.2, ["footpath"], 3),
    ],
)
def test_severity_goes_by_width_and_by_what_lies_behind(
    kind: BreachType, width_m: float, confidence: float, behind: list[str], severity: int
) -> None:
    assert severity_of(Breach(5.0, 5.0 + width_m, kind, confidence), behind) == severity


def test_a_finding_says_what_lies_behind_and_what_to_do(tmp_path: Path) -> None:
    ortho = picture(tmp_path, {})
    boundary = Boundary("G1", Side.LEFT, (ortho.to_lonlat(fence(WHOLE).xy[[0, -1]]),), (0.0,))
    near = Breach(10.0, 12.0, BreachType.GAP, 0.8, {"gap": 0.9, "footpath": 0.5})
    far = Breach(30.0, 31.5, BreachType.COLLAPSED, 0.4, {"collapsed": 0.6})
    result = fence(WHOLE, breaches=(near, far))
    place = shapely.Point(X0 + 11, Y0 + 38)
    layers = Layers(places={"villages": [place], "roads": [shapely.Point(X0 + 30, Y0)]})
    plot = shapely.box(X0 + 44, Y0 - 12, X0 + 50, Y0 - 9)
    line = fence_line(ortho, [boundary], result)
    first, second = breach_findings(ortho, line, result, Behind.of(layers, [plot]))
    assert first.extra["behind"] == "footpath, villages"
    assert (first.severity, first.extra["next_step"]) == (5, "mend")
    assert second.extra["behind"] == "plot"
    assert (second.severity, second.extra["next_step"]) == (5, "look_again_obliquely")
    assert second.length_m == 1.5
    assert first.crosses_fence
    assert not second.crosses_fence


# Growth


def test_green_on_the_line_is_growth_and_grey_is_not(tmp_path: Path) -> None:
    ortho = picture(tmp_path, {(0, 10): (70, 120, 60), (20, 30): (70, 120, 60)})
    hidden = [
        Stretch(10.0 * n, 10.0 * n + 10.0, FenceState.OBSCURED, 0.7, "not visible")
        for n in range(2)
    ]
    rest = Stretch(20.0, LENGTH_M, FenceState.INTACT, 0.9)
    after = with_growth(ortho, fence(*hidden, rest), None).stretches
    assert [each.reason for each in after] == [OVERGROWN, "not visible", ""]


@pytest.mark.parametrize(("height_m", "reason"), [(1.5, OVERGROWN), (6.0, UNDER_CROWN)])
def test_what_stands_high_is_a_crown(tmp_path: Path, height_m: float, reason: str) -> None:
    ortho = picture(tmp_path, {(0, 40): (70, 120, 60)})
    heights = np.full((1, 40, 80), 100.0, np.float32)
    heights[:, 18:22] += height_m
    with rasterio.open(
        tmp_path / "dsm.tif", "w", driver="GTiff", count=1, height=40, width=80, dtype="float32",
        crs="EPSG:32647", transform=Affine(0.5, 0, X0, 0, -0.5, Y0),
    ) as file:  # fmt: skip
        file.write(heights)
    dsm = SurfaceModel.open(tmp_path / "dsm.tif", ortho.crs, ortho.bounds)
    hidden = replace(WHOLE, state=FenceState.OBSCURED)
    assert with_growth(ortho, fence(hidden), dsm).stretches[0].reason == reason


@pytest.mark.parametrize(
    ("state", "reason", "step"),
    [(FenceState.OBSCURED, OVERGROWN, "clear_growth"),
     (FenceState.OBSCURED, UNDER_CROWN, "look_again_obliquely"),
     (FenceState.UNSEEN, "not imaged", "fly_again"), (FenceState.INTACT, "", ""),
     (FenceState.INTACT, NOT_SEEN_FROM_THE_SIDE, "look_again_obliquely")],
)  # fmt: skip
def test_each_state_asks_for_its_step(state: FenceState, reason: str, step: str) -> None:
    line = shapely.LineString([(0, 0), (1, 1)])
    assert next_step(FencePiece(line, "G1", Side.LEFT, 0, 1, state, 1.0, reason)) == step


# Contributions


def contributions(folder: Path, angle_deg: Any, gsd_m: Any, bands: tuple[str, ...] = BANDS) -> Path:
    """Cells of 0.25 m over the picture; `angle_deg` and `gsd_m` by column of 160."""
    path = folder / "ortho.contributions.tif"
    columns = np.stack([np.ones(160), np.resize(angle_deg, 160), np.resize(gsd_m, 160)])
    columns[0][np.isnan(columns[1])] = np.nan
    with rasterio.open(
        path, "w", driver="GTiff", count=3, height=80, width=160, dtype="float32", nodata=np.nan,
        crs="EPSG:32647", transform=Affine(0.25, 0, X0, 0, -0.25, Y0),
    ) as file:  # fmt: skip
        file.write(np.repeat(columns[:, None].astype(np.float32), 80, axis=1))
        file.descriptions = bands
    return path


def test_the_mosaic_writes_what_is_read_here(tmp_path: Path) -> None:
    path = contributions(tmp_path, 10.0, 0.02)
    ortho = picture(tmp_path, {})
    assert path == contributions_path(ortho.paths[0])
    assert Contributions.beside(ortho) == Contributions((path,))
    path.unlink()
    assert Contributions.beside(ortho) is None


def test_what_was_seen_badly_is_unseen_and_says_why(tmp_path: Path) -> None:
    angle, gsd_m = np.full(160, 20.0), np.full(160, 0.02)
    angle[20:40] = np.nan  # 5 to 10 m: no frame
    angle[60:80] = 50.0  # 15 to 20 m: too slanting
    gsd_m[100:120] = 0.09  # 25 to 30 m: too coarse
    angle[140], angle[142:144] = np.nan, 44.0  # one cell, and one just steep enough
    contributions(tmp_path, angle, gsd_m)
    ortho = picture(tmp_path, {})
    breaches = (
        Breach(12.0, 14.0, BreachType.GAP, 0.8),
        Breach(14.9, 17.0, BreachType.GAP, 0.8),
        Breach(19.5, 21.0, BreachType.GAP, 0.8),
    )
    stretches = (WHOLE,)
    for each in breaches:
        broken = Stretch(each.start_m, each.end_m, FenceState.BREACH, 0.8)
        stretches = laid_over(stretches, broken)
    after = with_view(ortho, fence(*stretches, breaches=breaches), Contributions.beside(ortho))
    told = [(each.start_m, each.end_m, each.reason) for each in after.stretches if each.reason]
    assert told[0] == (5.0, 10.0, "no frame shows it")
    assert next(each for each in told if "45 degrees" in each[2])[0] == 14.9
    assert told[-1] == (25.0, 30.0, "the frames' pixels are coarser than 8 cm there")
    assert [each.start_m for each in after.breaches] == [12.0, 19.5]
    assert after.breaches[0].seen == {"view_angle_deg": 20.0, "frame_gsd_m": 0.02}
    ends = [each.end_m for each in after.stretches]
    assert [each.start_m for each in after.stretches] == [0.0, *ends[:-1]]
    assert ends[-1] == LENGTH_M


def test_a_slanting_look_makes_a_pixel_coarser(tmp_path: Path) -> None:
    contributions(tmp_path, 40.0, 0.07)  # 0.07 / cos 40 = 0.091
    ortho = picture(tmp_path, {})
    after = with_view(ortho, fence(WHOLE), Contributions.beside(ortho))
    assert after.stretches[0].state is FenceState.UNSEEN


def test_other_rasters_of_that_name_are_refused(tmp_path: Path) -> None:
    contributions(tmp_path, 10.0, 0.02, bands=("a", "b", "c"))
    ortho = picture(tmp_path, {})
    with pytest.raises(InputError, match=r"has the bands a, b, c.*frame, view_angle_deg, gsd_m"):
        Contributions.beside(ortho)
    (tmp_path / "ortho.contributions.tif").write_text("x")
    with pytest.raises(InputError, match="no raster that can be read"):
        Contributions.beside(ortho)
