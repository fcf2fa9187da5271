"""The second opinion on strips drawn by hand: a dark line on rough ground, with a gap."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from analysis.fence.decode import INTACT, weighed
from analysis.fence.template import keep_colours, likelihood
from analysis.training.fence_calibrate import fit_logistic

ROWS, COLUMNS = 224, 600
MIDDLE = 110


def strip(
    contrast: float, gap: slice, seed: int = 2, channel: int = 0, border: float = 0.0
) -> np.ndarray:
    """Colours in deviations; a line three rows wide along `MIDDLE`, missing in `gap`.

    It shows in one `channel`, and there the ground is darker by `border` below the line, from an
    edge that wanders.
    """
    rng = np.random.default_rng(seed)
    planes = rng.normal(0, 1, (3, ROWS, COLUMNS)).astype(np.float32)
    planes = np.stack([cv2.GaussianBlur(plane, (0, 0), 1.2) for plane in planes])
    planes /= planes.std()
    there = np.ones(COLUMNS)
    there[gap] = 0.0
    edge = MIDDLE + 4 * cv2.GaussianBlur(rng.normal(0, 1, (1, COLUMNS)), (0, 0), 6)[0]
    planes[channel] -= border / (1 + np.exp(edge - np.arange(ROWS)[:, None]))
    planes[channel, MIDDLE - 1 : MIDDLE + 2] -= contrast * there
    return keep_colours(planes)


def line() -> np.ndarray:
    return np.full(COLUMNS // 2, MIDDLE / 2 - 0.25)


@pytest.mark.parametrize("channel", range(3))
def test_a_gap_of_two_metres_speaks_against_the_fence_and_the_rest_for_it(channel: int) -> None:
    along = likelihood(strip(3.0, slice(300, 320), channel=channel), line()).along
    gap = along[152:158]
    fence = np.delete(along, np.arange(145, 165))
    assert gap.max() < -2.0
    assert np.quantile(fence, 0.05) > 0.0
    assert np.median(fence) > 2.0


@pytest.mark.parametrize("seed", range(3))
def test_the_border_of_two_grounds_that_goes_on_through_a_gap_is_not_the_fence(seed: int) -> None:
    along = likelihood(strip(1.5, slice(300, 330), seed, border=4.0), line()).along
    assert np.median(along[154:162]) < -0.5
    assert np.median(np.delete(along, np.arange(145, 170))) > 2.0


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
    colours = strip(3.0, slice(0, 0))[:, :, :60]
    ratios = likelihood(colours, line()[:30])
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
