"""Rows told from what is none, in one rectangle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from plot_ground import GREEN, NORTH, SOIL, WEST, Ground

from analysis.raster import Orthophoto
from analysis.rows import CLEAR, Rows, _wave, grown, rows_in

PX_M = 0.05
GROUND = Ground(240, PX_M)
east_m, south_m = GROUND.east_m, GROUND.south_m
BARE = np.zeros(GROUND.shape)


def picture(folder: Path, share: np.ndarray) -> Orthophoto:
    """A picture that is soil where `share` is 1 and green where it is 0."""
    noise = np.random.default_rng(3).normal(1.0, 0.12, (*GROUND.shape, 1))
    return GROUND.ortho(
        folder, (SOIL * share[:, :, None] + GREEN * (1 - share[:, :, None])) * noise
    )


def told(folder: Path, share: np.ndarray, outline: shapely.Polygon) -> Rows:
    """Rows of such a picture."""
    return rows_in(picture(folder, share), outline)[0]


def bed(angle_deg: float, along_m: float = 8.0, across_m: float = 3.0) -> shapely.Polygon:
    """A rectangle about the picture's middle, its first side at an angle from east."""
    turn = np.radians(angle_deg)
    one, other = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
    middle = np.array([WEST + 6, NORTH - 6])
    return shapely.Polygon(
        [
            middle + a * along_m / 2 * one + b * across_m / 2 * other
            for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))
        ]
    )


def stripes(period_m: float, angle_deg: float) -> np.ndarray:
    """0 or 1 by stripes that run at an angle counter-clockwise from east."""
    return (GROUND.stripes(period_m, angle_deg) > 0.5).astype(float)


@pytest.mark.parametrize(
    ("period_m", "bed_deg", "rows_deg"),
    [(0.6, 0.0, 90.0), (0.6, 20.0, 20.0), (1.0, 30.0, 120.0), (0.4, 75.0, 75.0)],
)
def test_rows_along_and_across_a_bed(
    tmp_path: Path, period_m: float, bed_deg: float, rows_deg: float
) -> None:
    rows = told(tmp_path, stripes(period_m, rows_deg), bed(bed_deg))
    assert rows.period_m == pytest.approx(period_m, rel=0.06)
    turn = abs(np.degrees(rows.along_rad) - rows_deg) % 180
    assert min(turn, 180 - turn) < 1e-6
    assert rows.clear > 0.7
    assert rows.mix > 0.35


def test_bare_ground_and_one_line_are_no_rows(tmp_path: Path) -> None:
    bare = told(tmp_path, BARE, bed(20.0))
    assert bare.clear < CLEAR
    one_line = (np.abs(south_m - 6.0) < 0.15).astype(float)
    line = told(tmp_path, one_line, bed(0.0))
    assert line.agree > 0.5
    assert line.wave < 0.6


def test_a_bed_too_small_for_rows_tells_none(tmp_path: Path) -> None:
    rows = told(tmp_path, stripes(0.6, 0.0), bed(0.0, along_m=0.5, across_m=0.5))
    assert rows.period_m == 0.0
    assert rows.wave == 0.0


@settings(max_examples=25, deadline=None)
@given(
    st.floats(0.3, 1.2), st.floats(0.0, 2.0 * np.pi), st.floats(0.05, 4.0), st.floats(-50.0, 50.0)
)
def test_a_wave_is_told_whatever_its_phase_strength_and_level(
    period_m: float, phase: float, strength: float, level: float
) -> None:
    at_m = (np.arange(200) + 0.5) * PX_M
    wave = level + strength * np.sin(2 * np.pi * at_m / period_m + phase)
    got_m, agree, share = _wave(np.tile(wave, (20, 1)).astype(np.float32), PX_M)
    assert got_m == pytest.approx(period_m, rel=0.05)
    assert agree > 0.9
    assert share > 0.8


def test_a_rectangle_is_laid_along_its_rows(tmp_path: Path) -> None:
    for rows_deg in (30.0, 120.0):
        ortho = picture(tmp_path, stripes(0.6, rows_deg))
        rows, _ = rows_in(ortho, bed(30.0))
        for bed_deg in (36.0, 23.0):
            askew, laid = rows_in(ortho, bed(bed_deg))
            assert askew.clear > 0.8 * rows.clear
            assert shapely.intersection(laid, bed(30.0)).area > 0.95 * bed(30.0).area
    # Where there are none, nothing is turned.
    assert rows_in(picture(tmp_path, BARE), bed(36.0))[1] == bed(36.0)


def bed_in_soil(rows_deg: float, period_m: float = 0.6) -> np.ndarray:
    """Rows within 9 m by 3 m about the middle, east to west; soil all around."""
    inside = (np.abs(east_m - 6) < 4.5) & (np.abs(south_m - 6) < 1.5)
    return np.where(inside, stripes(period_m, rows_deg), 1.0)


@pytest.mark.parametrize("rows_deg", [0.0, 90.0])
@pytest.mark.parametrize("clockwise", [False, True])
def test_a_part_of_a_bed_grows_to_the_whole(
    tmp_path: Path, rows_deg: float, clockwise: bool
) -> None:
    ortho = picture(tmp_path, bed_in_soil(rows_deg))
    part = shapely.box(WEST + 4, NORTH - 7.4, WEST + 7, NORTH - 4.6)
    part = shapely.Polygon(shapely.get_coordinates(part)[:4][:: -1 if clockwise else 1])
    rows, laid = rows_in(ortho, part)
    whole = grown(ortho, laid, rows)
    assert whole.is_valid
    true = bed(0.0, along_m=9.0)
    assert shapely.intersection(whole, true).area > 0.85 * true.area
    assert shapely.difference(whole, true).area < 0.12 * true.area


def test_a_bed_does_not_grow_over_the_next(tmp_path: Path) -> None:
    # Two beds end to end, 0.5 m between them; the other's rows are closer.
    gap = np.where(np.abs(east_m - 6) < 0.25, 1.0, np.nan)
    both = np.where(east_m < 6, bed_in_soil(90.0, 0.9), bed_in_soil(90.0, 0.5))
    ortho = picture(tmp_path, np.where(np.isnan(gap), both, gap))
    rows, laid = rows_in(ortho, shapely.box(WEST + 2, NORTH - 7.4, WEST + 5, NORTH - 4.6))
    whole = grown(ortho, laid, rows)
    assert shapely.bounds(whole)[2] < WEST + 6.5
    assert shapely.bounds(whole)[0] < WEST + 2.2
