"""What a fence looks like at the same distance from its posts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.fence.posts import PLANES, at_same_phase, post_spacing

ROWS, COUNT = 32, 1100
POST_ROWS = slice(10, 20)


def strip(spacing: float, seed: int, height: float = 2.5) -> tuple[np.ndarray, np.ndarray]:
    """Noisy ground with a post every `spacing` columns, and where these stand."""
    rng = np.random.default_rng(seed)
    planes = rng.normal(0, 0.5, (PLANES, ROWS, COUNT)).astype(np.float32)
    at = np.rint(np.arange(spacing / 3, COUNT, spacing)).astype(int)
    at = at[at < COUNT]
    planes[0, POST_ROWS, at] += height
    return planes, at


def varying(planes: np.ndarray) -> np.ndarray:
    flat = planes.reshape(-1, planes.shape[2])
    return flat - flat.mean(axis=1, keepdims=True)


@settings(max_examples=30, deadline=None)
@given(spacing=st.floats(18.0, 60.0), seed=st.integers(0, 2**16))
def test_the_spacing_of_posts_or_a_small_multiple_is_found(spacing: float, seed: int) -> None:
    planes, _ = strip(spacing, seed)
    found = post_spacing(varying(planes))
    assert found is not None
    # Posts stand in whole columns here: of a spacing of 20.5 the double is told more sharply.
    times = max(1, round(found / spacing))
    assert times <= 3
    assert found == pytest.approx(times * spacing, abs=0.3 * times)


@settings(max_examples=30, deadline=None)
@given(spacing=st.integers(18, 50), seed=st.integers(0, 2**16), missing=st.integers(1, 3))
def test_where_posts_are_gone_it_shows_that_they_should_stand(
    spacing: int, seed: int, missing: int
) -> None:
    planes, at = strip(float(spacing), seed)
    gone = at[len(at) // 2 :][:missing]
    planes[:, :, gone] = planes[:, :, gone + spacing // 2]  # ground without a post
    usual = at_same_phase(planes)
    rows = usual[0, POST_ROWS]
    assert rows[:, gone].mean(axis=0).min() > 1.5
    assert np.abs(rows[:, gone + spacing // 2].mean(axis=0)).max() < 0.7


def test_it_is_quieter_than_one_look_at_the_ground() -> None:
    planes, _ = strip(30.0, 5)
    usual = at_same_phase(planes)
    assert usual[1].std() < 0.5 * planes[1].std()


def test_a_strip_too_short_for_posts_says_nothing() -> None:
    planes, _ = strip(20.0, 1)
    assert not at_same_phase(planes[:, :, :100]).any()


def test_ground_of_one_colour_has_no_spacing() -> None:
    assert post_spacing(np.zeros((8, COUNT), np.float32)) is None
    assert not at_same_phase(np.zeros((PLANES, ROWS, COUNT), np.float32)).any()
