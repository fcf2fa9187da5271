from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from plot_ground import GREEN, NORTH, SOIL, WEST, Ground

from analysis import plots
from analysis.loops import inside_area, loop_insides
from analysis.plot_network import COARSEST_M, Shown
from analysis.plot_work import plot_work
from analysis.plots import CUES, find_plots, plot_findings
from analysis.raster import Orthophoto
from analysis.sources import AnalyzeSpec, Sources
from corridor import Boundary, Side, Track
from corridor.findings import FindingKind, findings_table

PX_M = 0.1
GROUND = Ground(300, PX_M)
GREY = np.array((120.0, 120.0, 122.0))
DRY = np.array((105.0, 115.0, 75.0))
stripes, box, ortho = GROUND.stripes, GROUND.box, GROUND.ortho


def noise(seed: int, sigma_px: float) -> np.ndarray:
    """Unit noise with a grain."""
    values = np.random.default_rng(seed).normal(size=GROUND.shape).astype(np.float32)
    smooth = cv2.GaussianBlur(values, (0, 0), sigma_px)
    return smooth / smooth.std()


def ground(colour: np.ndarray, seed: int = 1) -> np.ndarray:
    """Rough ground: fine and coarse patches."""
    rough = 1.0 + 0.10 * noise(seed, 0.7) + 0.08 * noise(seed + 1, 4.0)
    return colour * rough[:, :, None]


def plot_picture(period_m: float, angle_deg: float) -> np.ndarray:
    """Rows of plants in soil between 8 and 20 m east, 10 and 18 m south of the corner, in grass."""
    rows = (stripes(period_m, angle_deg) > 0.5).astype(float) * (noise(7, 1.0) > -1.0)
    bed = ground(SOIL, 11) * (1 - rows[:, :, None]) + ground(GREEN, 13) * rows[:, :, None]
    inside = box(8, 10, 20, 18)[:, :, None]
    return ground(DRY) * (1 - inside) + bed * inside


WHOLE = shapely.box(WEST, NORTH - 30, WEST + 30, NORTH)
TRUTH = shapely.box(WEST + 8, NORTH - 18, WEST + 20, NORTH - 10)


@pytest.mark.parametrize(("period_m", "angle_deg"), [(0.6, 0.0), (0.9, 90.0)])
def test_rows_of_plants_are_found_and_outlined(
    tmp_path: Path, period_m: float, angle_deg: float
) -> None:
    picture = ortho(tmp_path, plot_picture(period_m, angle_deg))
    (plot,) = find_plots(picture, WHOLE, loops=shapely.Point(WEST, NORTH).buffer(3))
    shared = plot.outline.intersection(TRUTH).area
    assert shared / plot.outline.union(TRUTH).area > 0.7
    assert plot.period_m == pytest.approx(period_m, rel=0.08)
    turn = abs(np.degrees(plot.along_rad) - angle_deg) % 180
    assert min(turn, 180 - turn) < 6
    assert plot.confidence > 0.5
    assert not plot.inside_loop
    assert set(plot.evidence) == set(CUES)


def roof() -> np.ndarray:
    """Corrugated sheet: light and shade on one colour, nothing along the corrugation."""
    shade = 0.7 + 0.5 * stripes(0.8, 30.0)
    inside = box(8, 10, 20, 18)[:, :, None]
    sheet = np.array((90.0, 120.0, 160.0)) * shade[:, :, None]
    return ground(GREEN) * (1 - inside) + sheet * inside


def road() -> np.ndarray:
    """Asphalt with two pairs of yellow lines, a kerb and grass beside it."""
    rgb, south_m = ground(GREY), GROUND.south_m
    for at in (10.0, 10.9, 14.0, 14.9):
        rgb[np.abs(south_m - at) < 0.08] = (200.0, 180.0, 80.0)
    rgb[south_m > 22] = ground(GREEN)[south_m > 22]
    rgb[np.abs(south_m - 22) < 0.15] = 210.0
    return rgb


def rusty_roof() -> np.ndarray:
    """Sheets side by side, each of which has rusted for itself."""
    east = np.floor((GROUND.east_m - 8) / 0.9).astype(int) % 16
    rust = np.random.default_rng(5).uniform(0, 1, 16)[east][:, :, None]
    sheet = np.array((150.0, 150.0, 155.0)) * (1 - rust) + np.array((120.0, 85.0, 65.0)) * rust
    inside = box(8, 10, 21, 18)[:, :, None]
    return ground(GREEN) * (1 - inside) + sheet * (0.9 + 0.1 * noise(9, 0.7)[:, :, None]) * inside


def rails() -> np.ndarray:
    """Three lines of one colour along the road, a bed's width apart, across the whole picture."""
    rgb = ground(DRY)
    for at in (14.0, 14.8, 15.6):
        rgb[np.abs(GROUND.south_m - at) < 0.2] = ground(GREEN)[np.abs(GROUND.south_m - at) < 0.2]
    return rgb


def crossing() -> np.ndarray:
    """Bars of white paint across asphalt."""
    bars = (stripes(1.0, 90.0) > 0.5) * box(6, 12, 24, 16)
    rgb = ground(GREY)
    rgb[bars > 0] = (225.0, 225.0, 220.0)
    return rgb


@pytest.mark.parametrize(
    "picture", [roof, rusty_roof, road, rails, crossing, lambda: ground(GREEN)]
)
def test_look_alikes_are_no_plots(tmp_path: Path, picture) -> None:
    assert find_plots(ortho(tmp_path, picture()), WHOLE) == []


# The network's answer painted: what is made of it


def painted(
    monkeypatch: pytest.MonkeyPatch, folder: Path, beds: list[shapely.Polygon]
) -> Orthophoto:
    """A picture of grass in which the network sees beds, whatever window it is asked for."""
    monkeypatch.setattr(plots, "_BLOCK_M", 32.0)
    monkeypatch.setattr(plots, "_LONGEST_M", 14.0)
    monkeypatch.setattr(plots, "confidence", lambda evidence: 0.9)
    monkeypatch.setattr(plots, "shown_in", lambda o, bounds, _: shown_as(o, bounds, beds))
    return ortho(folder, ground(GREEN))


def shown_as(picture: Orthophoto, bounds, beds: list[shapely.Polygon]) -> Shown:
    affine, width, height = picture.affine_of(bounds, PX_M)
    column, row = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    x, y = affine @ (column, row)
    layers = [
        shapely.contains_xy(
            shapely.union_all([shapely.buffer(bed, reach, join_style="mitre") for bed in beds]),
            x.ravel(), y.ravel(),
        ).reshape(height, width)
        for reach in (0.0, -0.45)
    ]  # fmt: skip
    return Shown(*(np.where(layer, 0.97, 0.01).astype(np.float32) for layer in layers), affine)


def bed(east: float, south: float, width: float = 8.0, height: float = 3.0) -> shapely.Polygon:
    return shapely.box(WEST + east, NORTH - south - height, WEST + east + width, NORTH - south)


def test_a_plot_belongs_to_the_area_that_its_middle_lies_in(tmp_path: Path, monkeypatch) -> None:
    picture = painted(monkeypatch, tmp_path, [bed(4, 4), bed(4, 12)])
    area = shapely.box(WEST, NORTH - 6, WEST + 30, NORTH)
    (plot,) = find_plots(picture, area, loops=area, least_confidence=0.0)
    # Its middle is half a metre inside: the outline is whole all the same.
    assert plot.outline.intersection(bed(4, 4)).area > 0.9 * bed(4, 4).area
    assert plot.inside_loop
    assert plot.period_m == 0.0
    assert len(find_plots(picture, WHOLE, least_confidence=0.0)) == 2
    assert find_plots(picture, shapely.Polygon()) == []


@pytest.mark.parametrize(("west_m", "east_m"), [(2.0, 26.0), (8.0, 20.0)])
def test_growth_that_leaves_rows_less_clear_is_undone(
    tmp_path: Path, monkeypatch, west_m: float, east_m: float
) -> None:
    """Half as much grass again beside the rows, or nothing but rows."""
    middle = shapely.box(WEST + 9, NORTH - 18, WEST + 19, NORTH - 10)
    wide = shapely.box(WEST + west_m, NORTH - 18, WEST + east_m, NORTH - 10)
    painted(monkeypatch, tmp_path, [middle])
    picture = ortho(tmp_path, plot_picture(0.6, 90.0))
    monkeypatch.setattr(plots, "grown", lambda o, outline, rows: wide)
    (plot,) = find_plots(picture, WHOLE)
    kept = wide if east_m == 20.0 else middle
    assert plot.outline.intersection(kept).area > 0.9 * plot.outline.union(kept).area


def test_faint_rows_do_not_speak_for_ground_that_the_network_denies(tmp_path, monkeypatch) -> None:
    """Clear rows do: a bed that the network sees half of."""
    half = shapely.box(WEST + 9, NORTH - 18, WEST + 14, NORTH - 10)
    whole = shapely.box(WEST + 9, NORTH - 18, WEST + 19, NORTH - 10)
    painted(monkeypatch, tmp_path, [half])
    picture = ortho(tmp_path, plot_picture(0.6, 90.0))
    monkeypatch.setattr(plots, "grown", lambda o, outline, rows: whole)
    (plot,) = find_plots(picture, WHOLE)
    assert plot.outline.area > 1.8 * half.area
    monkeypatch.setattr(plots, "_SPEAK_FOR_MORE", 1.1)  # as if they were faint
    (plot,) = find_plots(picture, WHOLE)
    assert plot.outline.area < 1.1 * half.area


def test_what_is_longer_than_beds_are_is_a_field(tmp_path: Path, monkeypatch) -> None:
    picture = painted(monkeypatch, tmp_path, [bed(2, 4, width=20.0), bed(4, 12, width=10.0)])
    (only,) = find_plots(picture, WHOLE, least_confidence=0.0)
    assert only.outline.intersects(bed(4, 12))


@settings(
    max_examples=2,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    block_m=st.floats(12.0, 40.0),
    corners=st.lists(
        st.tuples(st.floats(1.0, 20.0), st.floats(1.0, 24.0), st.floats(4.0, 8.0)),
        min_size=1, max_size=5,
    ),
)  # fmt: skip
def test_plots_are_the_same_whatever_squares_they_are_searched_in(
    tmp_path: Path, monkeypatch, block_m: float, corners: list[tuple[float, float, float]]
) -> None:
    beds: list[shapely.Polygon] = []
    for east, south, width in corners:
        one = bed(east, south, width)
        if all(shapely.distance(one, other) > 0.5 for other in beds):
            beds.append(one)
    picture = painted(monkeypatch, tmp_path, beds)

    whole = find_plots(picture, WHOLE, least_confidence=0.0)
    assert len(whole) == len(beds)
    monkeypatch.setattr(plots, "_BLOCK_M", block_m)
    pieces = find_plots(picture, WHOLE, least_confidence=0.0)
    assert len(pieces) == len(whole)
    for plot in whole:
        near = min(pieces, key=lambda other: shapely.distance(
            shapely.centroid(plot.outline), shapely.centroid(other.outline)))  # fmt: skip
        assert near.outline.intersection(plot.outline).area > 0.999 * plot.outline.area
        assert near.evidence == pytest.approx(plot.evidence, abs=0.05)


def test_pieces_of_work_find_what_a_whole_run_finds(tmp_path: Path, monkeypatch) -> None:
    beds = [bed(2, 2), bed(2, 8), bed(15, 5), bed(20, 18), bed(5, 23)]
    picture = painted(monkeypatch, tmp_path, beds)
    monkeypatch.setattr(plots, "_BLOCK_M", 13.0)
    line = picture.to_lonlat([(WEST - 10, NORTH - 29), (WEST + 40, NORTH - 29)])
    sources = Sources(picture.paths, [Boundary("G75", Side.RIGHT, (line,), (1000.0,))])
    pieces = plot_work(picture, sources, AnalyzeSpec(fence=False))
    assert len(pieces) > 4
    parts = [plot for piece in pieces for plot in piece.work(*piece.arguments)]
    area = inside_area([(sources.boundaries[0], picture.track(sources.boundaries[0], 0))])
    whole = find_plots(picture, area.intersection(WHOLE))
    assert len(whole) == 5
    assert sorted(plot.outline.wkt for plot in parts) == sorted(p.outline.wkt for p in whole)


def test_pictures_too_coarse_for_beds_show_none(tmp_path: Path) -> None:
    coarse = Ground(100, 1.1 * COARSEST_M)
    picture = coarse.ortho(tmp_path, np.full((100, 100, 3), 90.0))
    assert find_plots(picture, WHOLE, least_confidence=0.0) == []


def track(xy: np.ndarray) -> Track:
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(xy, axis=0).T))])
    return Track(xy, along)


def loop(radius_m: float) -> Track:
    turn = np.radians(np.arange(-90.0, 181.0, 5.0))
    round_ = np.column_stack([radius_m * np.cos(turn), radius_m + radius_m * np.sin(turn)])
    return track(np.concatenate([[(-200.0, 0.0)], round_, [(-radius_m, -200.0)]]))


def test_the_inside_of_a_loop_ramp() -> None:
    inside = loop_insides([loop(50.0)])
    assert inside.area == pytest.approx(np.pi * 50**2, rel=0.15)
    assert inside.contains(shapely.Point(0, 50))
    assert not inside.intersects(shapely.Point(-150, 30))


def test_a_loop_that_does_not_close_and_lines_that_are_none() -> None:
    turn = np.radians(np.arange(0.0, 256.0, 5.0))
    open_round = track(60.0 * np.column_stack([np.cos(turn), np.sin(turn)]))
    assert loop_insides([open_round]).contains(shapely.Point(0, 0))
    bend = np.radians(np.arange(0.0, 181.0, 5.0))
    assert loop_insides([track(60.0 * np.column_stack([np.cos(bend), np.sin(bend)]))]).is_empty
    assert loop_insides([track(np.array([(0.0, 0.0), (900.0, 20.0)]))]).is_empty
    assert loop_insides([]).is_empty
    assert loop_insides([loop(6.0)]).is_empty


def test_the_inside_of_a_road_between_two_fences() -> None:
    def side(y: float, which: Side) -> tuple[Boundary, Track]:
        lonlat = np.array([[106.9, 27.7], [106.901, 27.7]])
        return (
            Boundary("G75", which, (lonlat,), (0.0,)),
            track(np.array([(0.0, y), (200.0, y)])),
        )

    area = inside_area([side(40.0, Side.LEFT), side(0.0, Side.RIGHT)])
    assert area.area == pytest.approx(200 * 40, rel=0.01)
    alone = inside_area([side(0.0, Side.RIGHT)])
    assert alone.contains(shapely.Point(100, 50))
    assert not alone.intersects(shapely.Point(100, -5))


def test_findings_carry_place_and_measure(tmp_path: Path) -> None:
    picture = ortho(tmp_path, plot_picture(0.9, 90.0))
    found = find_plots(picture, WHOLE, loops=WHOLE)
    line = picture.to_lonlat([(WEST - 10, NORTH - 30), (WEST + 40, NORTH - 30)])
    boundary = Boundary("G75", Side.LEFT, (line,), (1000.0,))
    (finding,) = plot_findings(picture, found, [boundary])
    assert finding.kind is FindingKind.PLOT
    assert (finding.route, finding.side) == ("G75", Side.LEFT)
    assert finding.chainage_start_m == pytest.approx(1018, abs=2)
    assert finding.chainage_end_m == pytest.approx(1030, abs=2)
    assert finding.extra["inside_loop"] is True
    assert finding.extra["area_m2"] == pytest.approx(found[0].area_m2, abs=0.1)
    assert len(findings_table([finding])) == 1
    (alone,) = plot_findings(picture, found)
    assert (alone.route, alone.side, alone.station) == ("", None, "")
