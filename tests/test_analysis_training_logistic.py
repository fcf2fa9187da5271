"""Logistic functions fitted on examples, and judged on groups left out of the fit."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.training.logistic import fit_weights, left_out

NAMES = ("one", "two")


def examples(count: int = 40_000) -> tuple[np.ndarray, np.ndarray, list[str]]:
    rng = np.random.default_rng(2)
    cues = rng.normal((3.0, -1.0), (1.0, 0.5), (count, 2))
    chance = 1 / (1 + np.exp(-(1.5 * cues[:, 0] - 2.0 * cues[:, 1] - 6.0)))
    return (
        cues,
        (rng.uniform(size=count) < chance).astype(float),
        [f"s{n % 10}" for n in range(count)],
    )


def test_weights_that_made_the_examples_are_found() -> None:
    cues, true, _ = examples()
    weights = fit_weights(NAMES, cues, true, 1.0)
    assert weights["one"] == pytest.approx(1.5, abs=0.15)
    assert weights["two"] == pytest.approx(-2.0, abs=0.3)
    assert weights["bias"] == pytest.approx(-6.0, abs=0.6)


def test_a_group_has_no_part_in_its_own_judgement() -> None:
    cues, true, groups = examples(400)
    own = np.array([group == "s3" for group in groups])
    turned = np.where(own, 1 - true, true)
    before, after = (left_out(NAMES, cues, each, groups, 1.0) for each in (true, turned))
    np.testing.assert_allclose(after[own], before[own], rtol=1e-9)
    assert np.abs(after[~own] - before[~own]).max() > 1e-3


def test_left_out_examples_are_told_apart() -> None:
    cues, true, groups = examples()
    chance = left_out(NAMES, cues, true, groups, 1.0)
    for low, high in ((0.0, 0.3), (0.3, 0.7), (0.7, 1.0)):
        here = (chance >= low) & (chance < high)
        assert true[here].mean() == pytest.approx(chance[here].mean(), abs=0.05)


def test_examples_of_one_kind_tell_nothing() -> None:
    cues, _, groups = examples(40)
    assert (left_out(NAMES, cues, np.ones(40), groups, 1.0) == 0).all()
