"""Outlines of beds: rectangles along their rows."""

import numpy as np
import pytest
import shapely
from affine import Affine

from analysis.beds import beds
from analysis.plots import Plot, _beside_plots, _distinct, _one_bed, _whole
from analysis.rows import Octave, RowWindow

CELL_M = 0.25
AFFINE = Affine(CELL_M, 0.0, 100.0, 0.0, -CELL_M, 220.0)
SHAPE = (80, 120)  # 20 m by 30 m


def level_of(shapes: list[shapely.Geometry], strength: float = 4.0) -> np.ndarray:
    column, row = np.meshgrid(np.arange(SHAPE[1]) + 0.5, np.arange(SHAPE[0]) + 0.5)
    x, y = AFFINE @ (column, row)
    inside = shapely.contains_xy(shapely.union_all(shapes), x.ravel(), y.ravel())
    return np.where(inside.reshape(SHAPE), strength, 0.2)


def turned(shape: shapely.Geometry, deg: float) -> shapely.Geometry:
    middle = np.array([115.0, 210.0])
    c, s = np.cos(np.radians(deg)), np.sin(np.radians(deg))
    return shapely.transform(shape, lambda xy: (xy - middle) @ np.array([[c, s], [-s, c]]) + middle)


def found(
    shapes: list[shapely.Geometry], along_deg: float, level: np.ndarray | None = None
) -> list[shapely.Polygon]:
    level = level_of(shapes) if level is None else level
    middles = np.vstack([shapely.get_coordinates(shapely.segmentize(s, 1.5)) for s in shapes])
    centres = np.vstack([shapely.get_coordinates(shapely.centroid(s)) for s in shapes])
    middles = np.vstack([0.5 * middles + 0.5 * np.repeat(centres, len(middles) // len(centres), 0)
                         if len(shapes) == 1 else middles, centres, centres])  # fmt: skip
    fits = np.ones(SHAPE, bool)
    along_rad = np.radians(along_deg) % np.pi
    return [outline for outline, _ in beds(level, fits, AFFINE, along_rad, 0.8, middles)]


def iou(one: shapely.Geometry, other: shapely.Geometry) -> float:
    return shapely.intersection(one, other).area / shapely.union(one, other).area


@pytest.mark.parametrize("deg", [0.0, 20.0, 75.0, 130.0])
def test_a_bed_is_outlined_whichever_way_its_rows_run(deg: float) -> None:
    bed = turned(shapely.box(110.0, 207.0, 120.0, 211.0), deg)
    (only,) = found([bed], deg)
    assert iou(only, bed) > 0.8


def test_two_beds_with_a_gap_are_two() -> None:
    first = shapely.box(104.0, 205.0, 112.0, 209.0)
    second = shapely.box(115.0, 205.0, 124.0, 213.0)
    outlines = found([first, second], 0.0)
    assert len(outlines) == 2
    for bed in (first, second):
        assert max(iou(bed, outline) for outline in outlines) > 0.8


def test_ragged_edges_are_straightened() -> None:
    bed = shapely.box(106.0, 205.0, 120.0, 211.0)
    level = level_of([bed])
    rng = np.random.default_rng(3)
    level[rng.uniform(size=SHAPE) < 0.15] = 0.2
    (only,) = found([bed], 0.0, level)
    assert iou(only, bed) > 0.85


def test_one_strong_line_in_weak_surroundings_is_no_bed() -> None:
    bed = shapely.box(106.0, 205.0, 120.0, 211.0)
    level = level_of([bed], 1.0)
    level[44:46] = 8.0
    assert found([bed], 0.0, level) == []


# Beds beside beds


def plot(outline: shapely.Polygon, confidence: float = 0.9, period_m: float = 0.8,
         along_deg: float = 0.0) -> Plot:  # fmt: skip
    return Plot(outline, period_m, np.radians(along_deg), confidence, False, {})


def test_pieces_of_one_bed_are_put_together() -> None:
    pieces = [plot(shapely.box(0, 0, 6, 3)), plot(shapely.box(6.1, 0.1, 11, 3.0))]
    (whole,) = _whole(pieces)
    assert iou(whole.outline, shapely.box(0, 0, 11, 3)) > 0.95


@pytest.mark.parametrize(
    "other",
    [
        plot(shapely.box(6.8, 0, 11, 3)),  # a gap between
        plot(shapely.box(6.1, 0, 11, 3), period_m=0.5),
        plot(shapely.box(6.1, 0, 11, 3), along_deg=90.0),
        plot(shapely.box(6.1, 1.5, 11, 6.0)),  # edges not in line
    ],
)
def test_two_beds_stay_two(other: Plot) -> None:
    assert not _one_bed(plot(shapely.box(0, 0, 6, 3)), other)


def test_what_was_found_first_stays() -> None:
    first, second = plot(shapely.box(0, 0, 6, 3), 0.6), plot(shapely.box(0.5, 0, 6.5, 3), 0.95)
    assert _distinct([first, second]) == [second]
    assert _distinct([first, second], first=1) == [first]


def window(column: int, along_deg: float) -> RowWindow:
    return RowWindow(0, column, 0.8, float(np.radians(along_deg)), 6.0, 5.0, 3.0, 0.5)


def test_weaker_rows_count_beside_a_plot_laid_out_alike() -> None:
    octave = Octave(0.1, 0.0, 6.4)  # windows of 6.4 m, every 1.6 m
    near = plot(shapely.box(-8.0, 1.0, -2.0, 5.0))
    windows = [window(0, 0.0), window(0, 90.0), window(0, 45.0), window(10, 0.0)]
    kept = _beside_plots(octave, windows, [near])
    assert kept == [windows[0], windows[1]]
