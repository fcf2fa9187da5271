"""Outlines of beds out of probabilities."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.beds import Bed, _largest, find_beds

PX_M = 0.1
AFFINE = Affine(PX_M, 0.0, 100.0, 0.0, -PX_M, 130.0)
SHAPE = (300, 300)
MIDDLE = np.array([115.0, 115.0])


def turned(shape: shapely.Geometry, deg: float) -> shapely.Geometry:
    c, s = np.cos(np.radians(deg)), np.sin(np.radians(deg))
    return shapely.transform(shape, lambda xy: (xy - MIDDLE) @ np.array([[c, s], [-s, c]]) + MIDDLE)


def covered(shapes: list[shapely.Geometry]) -> np.ndarray:
    column, row = np.meshgrid(np.arange(SHAPE[1]) + 0.5, np.arange(SHAPE[0]) + 0.5)
    x, y = AFFINE @ (column, row)
    return shapely.contains_xy(shapely.union_all(shapes), x.ravel(), y.ravel()).reshape(SHAPE)


def found(shapes: list[shapely.Geometry], low: float = 0.05) -> list[Bed]:
    cores = [shapely.buffer(shape, -0.45, join_style="mitre") for shape in shapes]
    plot = np.where(covered(shapes), 0.9, low).astype(np.float32)
    core = np.where(covered(cores), 0.9, low).astype(np.float32)
    return list(find_beds(plot, core, AFFINE))


def iou(one: shapely.Geometry, other: shapely.Geometry) -> float:
    return shapely.intersection(one, other).area / shapely.union(one, other).area


@settings(max_examples=20, deadline=None)
@given(st.floats(0.0, 180.0), st.floats(2.0, 5.0), st.floats(5.0, 16.0))
def test_a_rectangle_is_outlined_whichever_way_it_lies(
    deg: float, width_m: float, length_m: float
) -> None:
    bed = turned(
        shapely.box(115 - length_m / 2, 115 - width_m / 2, 115 + length_m / 2, 115 + width_m / 2),
        deg,
    )
    (only,) = found([bed])
    assert iou(only.outline, bed) > 0.85
    assert only.filled > 0.9
    assert only.shows > 0.75
    if length_m > 1.3 * width_m:
        turn = abs(np.degrees(only.along_rad) - deg) % 180
        assert min(turn, 180 - turn) < 4


def test_beds_with_a_path_between_are_two() -> None:
    beds = [turned(shapely.box(105, 112, 115, 115), 25.0),
            turned(shapely.box(105, 115.4, 115, 118), 25.0)]  # fmt: skip
    outlines = [bed.outline for bed in found(beds)]
    assert len(outlines) == 2
    for bed in beds:
        assert max(iou(bed, outline) for outline in outlines) > 0.8


def test_two_beds_of_one_core_are_told_apart_by_their_edges() -> None:
    # Side by side, one beginning where the other is half over: together they are no rectangle.
    beds = [shapely.box(105, 112, 113, 115), shapely.box(109, 115, 119, 119)]
    plot = np.where(covered(beds), 0.9, 0.05).astype(np.float32)
    outlines = [bed.outline for bed in find_beds(plot, plot, AFFINE)]
    assert len(outlines) == 2
    for bed in beds:
        assert max(iou(bed, outline) for outline in outlines) > 0.8


def test_specks_and_strips_are_no_beds() -> None:
    assert found([shapely.box(110, 110, 111.2, 111.2)]) == []
    strip = covered([shapely.box(102, 110, 128, 110.7)])
    plot = np.where(strip, 0.9, 0.05).astype(np.float32)
    assert list(find_beds(plot, plot, AFFINE)) == []
    assert list(find_beds(np.zeros(SHAPE, np.float32), np.zeros(SHAPE, np.float32), AFFINE)) == []


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 7), st.integers(1, 7))
def test_the_rectangle_with_the_largest_sum(seed: int, rows: int, columns: int) -> None:
    value = np.random.default_rng(seed).normal(size=(rows, columns)).astype(np.float32)
    top, bottom, first, last, total = _largest(value)
    sums = [
        float(value[a:b, c:d].sum())
        for a in range(rows) for b in range(a + 1, rows + 1)
        for c in range(columns) for d in range(c + 1, columns + 1)
    ]  # fmt: skip
    assert total == pytest.approx(max(sums), abs=1e-4)
    assert value[top : bottom + 1, first : last + 1].sum() == pytest.approx(total, abs=1e-4)
