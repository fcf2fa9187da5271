"""What a branch is taken for, and how that judge is fitted, on tables checked by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from analysis.footpaths import judge as judging
from analysis.footpaths.config import FootpathConfig
from analysis.footpaths.evidence import RidgePixels, _beside
from analysis.footpaths.find import _continued
from analysis.footpaths.graph import Branch
from analysis.footpaths.judge import CUES, Judge, PathClass, class_of, seen_by_filter
from analysis.training.footpaths_ground import Canvas
from analysis.training.footpaths_judge import (
    REAL_WEIGHT,
    Table,
    best_cut,
    false_alarm_cut,
    fit,
    painted_paths,
    weights_of,
    written,
)
from analysis.training.footpaths_paint import Sample
from analysis.training.footpaths_trust import LENGTHS_M, believed, chosen_limits


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


def test_traced_pictures_count_alike_and_together_as_one_heap() -> None:
    is_path = np.array([True, False, True, False, True, False])
    length_m = np.array([100.0, 900.0, 5.0, 5.0, 40.0, 10.0])
    pictures = np.array([1, 2, 8, 8, 9, 9])
    weight = weights_of(is_path, length_m, pictures, [8, 9])
    np.testing.assert_allclose(weight[:2], [0.5, 0.5])
    np.testing.assert_allclose(weight[2:], REAL_WEIGHT / 4)


def test_the_line_is_drawn_without_traced_and_path_free_pictures() -> None:
    # Of pictures 1 and 2 all above 2 is path; the traced 8 has paths at 1, the path-free 9 none.
    score = np.array([3.0, 2.0, 1.5, 1.0, 2.5])
    cues = np.column_stack([score, np.zeros((5, len(CUES) - 1))])
    share, pictures = np.array([1.0, 1.0, 0.0, 1.0, 0.0]), np.array([1, 2, 2, 8, 9])
    table = Table(share, np.full(5, 10.0), cues, pictures, [8], [1, 2], {9: 1.0})
    weights = {"bias": 0.0} | {cue: float(cue == CUES[0]) for cue in CUES}
    assert table.line(weights) == 2.0


def test_a_picture_left_out_is_judged_by_the_others() -> None:
    rng = np.random.default_rng(1)
    share = np.tile([1.0, 0.0], 60)
    pictures = np.repeat([1, 2, 3], 40)
    cues = rng.normal(0, 0.3, (120, len(CUES)))
    cues[:, 1] += 3 * share
    # In the third picture the network answers lower by 4: no line of the others finds its paths.
    cues[80:, 1] -= 4
    table = Table(share, np.full(120, 10.0), cues, pictures, [2, 3], [], {9: 1.0})
    assert table.left_out(2)["network"][0] > 0.9
    assert table.left_out(3)["network"] == [0.0, 0.0, 0]


LIMITS = {"score": 1.9, "length_m": 15.0, "built": -4.0, "straight": 0.8}
TRAIL = {
    "score": 2.2, "footpath": -4.0, "flank": -5.0, "vehicle": -4.0, "sealed": -6.0, "beside": -7.0,
    "straight": 0.3, "length": math.log1p(20.0),
}  # fmt: skip
"""As of a cattle trail on dry ground that the network had never seen."""


def test_a_long_trail_far_from_anything_built_is_a_path_by_the_filter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(judging, "trust", dict)
    assert class_of(TRAIL, 0.5, network=True, least=0.5) is PathClass.OTHER_LINEAR
    monkeypatch.setattr(judging, "trust", lambda: LIMITS)
    assert class_of(TRAIL, 0.5, network=True, least=0.5) is PathClass.FOOTPATH
    for cue, value in [
        ("length", math.log1p(14.0)), ("score", 1.8), ("sealed", -3.0), ("beside", -2.0),
        ("straight", 1.0), ("vehicle", -3.9),
    ]:  # fmt: skip
        assert class_of({**TRAIL, cue: value}, 0.5, network=True, least=0.5) is (
            PathClass.OTHER_LINEAR
        )


def test_limits_mean_the_same_for_one_branch_and_for_a_table() -> None:
    rng = np.random.default_rng(4)
    cues = np.array([TRAIL[cue] for cue in CUES]) + rng.normal(0, 1, (300, len(CUES)))
    one_by_one = [seen_by_filter(dict(zip(CUES, row, strict=True)), LIMITS) for row in cues]
    assert 10 < sum(one_by_one) < 290
    np.testing.assert_array_equal(believed(cues, LIMITS), one_by_one)
    assert not believed(cues, {}).any()


def test_the_filter_is_believed_where_that_gains_and_costs_little() -> None:
    # Two trails of 13 and 30 m that the network missed, and a false line of 9 m elsewhere.
    rows = np.array([[TRAIL[cue] for cue in CUES]] * 3)
    rows[:, CUES.index("length")] = np.log1p([13.0, 30.0, 9.0])
    length_m, share = np.array([13.0, 30.0, 9.0]), np.array([1.0, 1.0, 0.0])
    groups, passed = np.array([5, 5, -1]), np.zeros(3, bool)
    limits = chosen_limits(rows, passed, share, length_m, groups, free_ha=0.5)
    assert believed(rows, limits).tolist() == [True, True, False]
    assert 9.0 < limits["length_m"] <= 13.0
    # Where the false line is as long as the trails, the filter is not believed at all.
    rows[2, CUES.index("length")] = np.log1p(max(LENGTHS_M) + 20)
    assert chosen_limits(rows, passed, share, np.array([13.0, 30.0, 40.0]), groups, 0.5) == {}


def test_what_speaks_for_a_path_never_speaks_against_one() -> None:
    rng = np.random.default_rng(0)
    is_path = np.arange(200) < 100
    cues = rng.normal(0, 1, (200, len(CUES)))
    # In this table, clear lines are mostly not paths: the weight is held at nothing.
    cues[:, 0] -= 2.0 * is_path
    cues[:, 1] += 2.0 * is_path
    weights = fit(cues, is_path, np.full(200, 0.005))
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


def seen_along(*, beside: float) -> dict[str, float]:
    cues = {"score": 4.0, "footpath": 3.0, "flank": -3.0, "sealed": -1.0}
    return {**cues, "vehicle": -4.0, "straight": 0.0, "beside": beside, "length": 3.0}


def test_a_line_with_paving_on_both_sides_is_no_footpath() -> None:
    beside_a_road, paint = seen_along(beside=-5.0), seen_along(beside=2.0)
    assert class_of(beside_a_road, 0.5, network=True, least=0.5) is PathClass.FOOTPATH
    assert class_of(paint, 0.5, network=True, least=0.5) is PathClass.OTHER_LINEAR


@pytest.mark.parametrize("direction", [0.0, math.pi / 4, math.pi / 2, 3 * math.pi / 4])
def test_the_side_that_is_less_paved_counts(direction: float) -> None:
    rows, columns = np.mgrid[-40:41, -40:41]
    left_of_the_line = -columns * math.sin(direction) + rows * math.cos(direction) > 1.0
    paved = np.where(left_of_the_line, 50, -60).astype(np.int8)
    at = np.array([40])
    one_side = _beside(paved, at, at, np.array([direction]), 0.2).min(axis=0)
    both = _beside(np.abs(paved), at, at, np.array([direction]), 0.2).min(axis=0)
    assert one_side[0] == pytest.approx(-60, abs=1)
    assert both[0] >= 50


def line(columns: range) -> Branch:
    return Branch(np.array([(10, c) for c in columns]), (columns[0], columns[-1]))


def test_a_weak_branch_counts_only_where_it_carries_a_path_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    by_cue = {"bias": -5.3, "score": 2.0, "footpath": 1.0}
    monkeypatch.setattr("analysis.footpaths.judge.weights", lambda: by_cue)
    monkeypatch.setattr(judging, "trust", dict)
    strong, onward, alone = line(range(41)), line(range(40, 81)), line(range(100, 141))
    columns = np.arange(0, 141)
    logits = np.tile([0.0, -5.0, -5.0], (len(columns), 1))
    logits[:41, 0] = 4.0
    pixels = RidgePixels(
        np.full(len(columns), 10, np.int32), columns.astype(np.int32),
        np.where(columns <= 40, 3.0, 2.6), np.full(len(columns), 2.0), logits,
        np.full(len(columns), -5.0), np.full(len(columns), -5.0),
    )  # fmt: skip
    config = FootpathConfig()
    judge = Judge(pixels, config, 0.2, network=True)
    weak = judge.probability(onward.pixels[1:])
    assert config.carries_on < weak < config.least_probability
    assert _continued([strong, onward, alone], judge, config) == [True, True, False]
