"""Comparing a fence with itself along the line where it was found."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.fence import likeness
from analysis.fence.features import CHANNELS, network_input

GAP = slice(300, 340)


def strip(columns: int, row: np.ndarray) -> np.ndarray:
    """Grey ground with a dark line two fine rows thick at `row`, in fine rows."""
    rng = np.random.default_rng(3)
    rgb = rng.normal(120.0, 6.0, (448, columns, 3)).astype(np.float32)
    fine = np.arange(448)[:, None]
    rgb[np.abs(fine - row[None, :]) < 2.0] -= 60.0
    return rgb


@settings(max_examples=20, deadline=None)
@given(st.floats(60.0, 160.0), st.floats(-8.0, 8.0))
def test_the_line_is_laid_into_the_middle_row(at: float, sway: float) -> None:
    columns = 64
    row = at + sway * np.sin(np.arange(columns) / 9.0)
    rows = np.arange(224, dtype=np.float32)[:, None] - row[None, :]
    along = likeness.laid_along(np.stack([rows.astype(np.float32)] * CHANNELS), row)
    assert along.shape == (CHANNELS, likeness.ROWS, columns)
    middle = along[:, likeness.ROWS // 2 - 1 : likeness.ROWS // 2 + 1].mean(axis=1)
    np.testing.assert_allclose(middle, 0.0, atol=0.05)


def test_usual_is_what_most_of_the_fence_looks_like() -> None:
    along = np.zeros((CHANNELS, likeness.ROWS, 800), np.float32)
    along[:, 60:68] = -3.0
    along[:, :, GAP] = 1.0
    out = likeness.with_usual(along, np.ones(800, bool))
    np.testing.assert_array_equal(out[:CHANNELS], along)
    usual = out[CHANNELS : 2 * CHANNELS]
    assert (usual[:, 60:68] == -3.0).all()
    assert (usual[:, 70:] == 0.0).all()


def test_what_was_not_imaged_says_nothing_of_what_is_usual() -> None:
    along = np.full((CHANNELS, likeness.ROWS, 800), 2.0, np.float32)
    imaged = np.arange(800) >= 560
    along[:, :, ~imaged] = 0.0
    usual = likeness.with_usual(along, imaged)[CHANNELS : 2 * CHANNELS]
    assert (usual == 2.0).all()
    assert (likeness.with_usual(along, np.zeros(800, bool))[CHANNELS : 2 * CHANNELS] == 0.0).all()


def test_usual_follows_a_fence_that_becomes_another_after_200_metres() -> None:
    along = np.zeros((CHANNELS, 4, 4000), np.float32)
    along[..., 2000:] = 5.0
    usual = likeness.with_usual(along, np.ones(4000, bool))[CHANNELS : 2 * CHANNELS]
    assert (usual[..., 100:1300] == 0.0).all()
    assert (usual[..., 2700:3900] == 5.0).all()


@pytest.mark.parametrize("darker", [False, True])
def test_a_gap_in_a_line_never_seen_before_is_told(darker: bool) -> None:
    columns = 640
    row = np.full(columns, 224.0)
    rgb = strip(columns, row)
    rgb[:, GAP] = strip(GAP.stop - GAP.start, np.full(GAP.stop - GAP.start, -50.0))
    if darker:
        rgb = 0.5 * rgb
    inputs = network_input(rgb, np.ones(rgb.shape[:2], bool))
    logits = likeness.compare(inputs, row / 2 - 0.25, np.ones(columns, bool))
    assert logits.shape == (4, columns // 2)
    broken = np.logaddexp(logits[1], logits[2]) - logits[0]
    assert broken[155:165].min() > 0.0
    assert np.median(broken[:140]) < -2.0
    assert np.median(broken[180:]) < -2.0


def test_an_answer_does_not_depend_on_the_brightness_of_the_day() -> None:
    columns = 640
    row = np.full(columns, 224.0)
    rgb = strip(columns, row)
    valid = np.ones(rgb.shape[:2], bool)
    at = row / 2 - 0.25
    bright, dark = (
        likeness.compare(network_input(gain * rgb, valid), at, np.ones(columns, bool))
        for gain in (1.0, 0.6)
    )
    np.testing.assert_allclose(bright, dark, atol=1.5)
