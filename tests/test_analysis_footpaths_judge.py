"""How the judge of branches is fitted: where the line is drawn, on tables checked by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analysis.footpaths.judge import CUES
from analysis.training.footpaths_ground import Canvas
from analysis.training.footpaths_judge import (
    best_cut,
    false_alarm_cut,
    fit,
    painted_paths,
    written,
)
from analysis.training.footpaths_paint import Sample


def test_the_best_cut_is_above_what_is_mostly_wrong() -> None:
    total = np.array([3.0, 2.0, 1.0, 0.0])
    share = np.array([1.0, 1.0, 0.0, 0.0])
    assert best_cut(total, share, np.array([10.0, 10.0, 10.0, 10.0])) == 2.0
    # A long path below a short false line is worth that line.
    assert best_cut(total, share[[0, 2, 1, 3]], np.array([10.0, 1.0, 50.0, 10.0])) == 1.0


def test_false_alarms_are_held_where_there_is_no_path() -> None:
    total, length = np.array([3.0, 2.0, 1.0]), np.array([15.0, 15.0, 15.0])
    cut = false_alarm_cut(total, length, hectares=1.0)
    assert 2.0 < cut < 3.0  # 15 m pass of the 20 m a hectare, 30 m do not
    assert false_alarm_cut(total, length, hectares=10.0) == -50.0


def test_what_speaks_for_a_path_never_speaks_against_one() -> None:
    rng = np.random.default_rng(0)
    is_path = np.arange(200) < 100
    cues = rng.normal(0, 1, (200, len(CUES)))
    # In this table, clear lines are mostly not paths: the weight is held at nothing.
    cues[:, 0] -= 2.0 * is_path
    cues[:, 1] += 2.0 * is_path
    weights = fit(cues, is_path, np.ones(200))
    assert weights["score"] == 0.0
    assert weights["footpath"] > 0.5
    assert weights["sealed"] <= 0.0


def test_a_painted_picture_knows_where_its_paths_are(tmp_path: Path) -> None:
    target = np.zeros((4, 40, 40), np.uint8)
    target[0, 20] = 255
    weight = np.full((4, 40, 40), 255, np.uint8)
    weight[:, :5] = 0
    sample = Sample(np.full((40, 40, 3), 1600, np.uint16), target, weight, 0.1)
    ortho = written(sample, tmp_path / "o.tif")
    assert ortho.gsd_m == pytest.approx(0.1)
    west, north = ortho.bounds[0], ortho.bounds[3]
    xy = np.array([[west + 1, north - 2.05], [west + 1, north - 3.5], [west + 1, north - 0.25]])
    on = painted_paths(sample)(xy)
    assert on[:2].tolist() == [1.0, 0.0]
    assert np.isnan(on[2])


def test_what_is_painted_over_is_no_longer_there() -> None:
    canvas = Canvas(np.zeros((4, 4, 3), np.float32), 0.1, np.random.default_rng(0))
    canvas.plot[:] = canvas.footpath[:] = 1.0
    alpha = np.zeros((4, 4), np.float32)
    alpha[:2] = 1.0
    canvas.cover(alpha)
    assert canvas.plot[:2].max() == canvas.footpath[:2].max() == 0.0
    assert canvas.plot[2:].min() == canvas.footpath[2:].min() == 1.0
    assert not canvas.open_ground[:2].any()
