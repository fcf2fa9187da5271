"""The second opinion on strips drawn by hand: a dark line on rough ground, with a gap."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from analysis.fence.decode import INTACT, weighed
from analysis.fence.template import keep_light, likelihood
from analysis.training.fence_calibrate import fit_logistic

ROWS, COLUMNS = 224, 600
MIDDLE = 110


def strip(contrast: float, gap: slice, seed: int = 2) -> np.ndarray:
    """Lightness in deviations; a line three rows wide along `MIDDLE`, missing in `gap`."""
    rng = np.random.default_rng(seed)
    ground = cv2.GaussianBlur(rng.normal(0, 1, (ROWS, COLUMNS)), (0, 0), 1.2)
    light = ground / ground.std()
    there = np.ones(COLUMNS)
    there[gap] = 0.0
    light[MIDDLE - 1 : MIDDLE + 2] -= contrast * there
    return keep_light(light.astype(np.float32))


def line() -> np.ndarray:
    return np.full(COLUMNS // 2, MIDDLE / 2 - 0.25)


def test_a_gap_of_two_metres_speaks_against_the_fence_and_the_rest_for_it() -> None:
    along = likelihood(strip(3.0, slice(300, 320)), line()).along
    gap = along[152:158]
    fence = np.delete(along, np.arange(145, 165))
    assert gap.max() < -2.0
    assert np.quantile(fence, 0.05) > 0.0
    assert np.median(fence) > 2.0


def test_the_fence_is_found_where_the_first_line_was_wrong() -> None:
    row = line()
    row[:60] -= 9.0  # 0.7 m beside it for 12 m
    everywhere = likelihood(strip(3.0, slice(0, 0)), row).everywhere
    best = everywhere[:, 5:55].mean(axis=1).argmax()
    assert abs(best - MIDDLE / 2) <= 1.5


@pytest.mark.parametrize("seed", range(3))
def test_where_no_fence_shows_there_is_no_strong_opinion(seed: int) -> None:
    along = likelihood(strip(0.0, slice(0, 0), seed), line()).along
    assert np.abs(np.median(along)) < 2.0


def test_a_strip_of_a_few_metres_has_no_opinion() -> None:
    light = strip(3.0, slice(0, 0))[:, :60]
    ratios = likelihood(light, line()[:30])
    assert not ratios.along.any()
    assert not ratios.everywhere.any()


def test_the_template_moves_intact_and_leaves_the_rest_in_proportion() -> None:
    state = np.array([[0.5, 0.3, 0.1, 0.1]] * 2)
    out = weighed(state, state, np.array([5.0, -5.0]))
    assert out.sum(axis=1) == pytest.approx([1.0, 1.0])
    assert out[0, INTACT] > 0.7 > 0.3 > out[1, INTACT]
    assert out[0, 1] / out[0, 2] == pytest.approx(out[1, 1] / out[1, 2])


def test_the_fit_finds_the_weights_that_made_the_data() -> None:
    rng = np.random.default_rng(1)
    features = rng.normal(0, 2, (2, 20_000))
    odds = 1.5 * features[0] - 0.5 * features[1] + 0.7
    true = rng.uniform(0, 1, odds.size) < 1 / (1 + np.exp(-odds))
    assert fit_logistic(features, true) == pytest.approx([1.5, -0.5, 0.7], abs=0.1)
