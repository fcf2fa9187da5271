"""From probabilities to a line and states, on answers small enough to make by hand."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.fence.decode import (
    COLLAPSED,
    GAP,
    INTACT,
    OBSCURED,
    find_line,
    shortfall,
    smooth_states,
    states_along,
    unsure,
    weighed,
)

OFFSET_M = (np.arange(41) - 20) * 0.08


def logits(rows: np.ndarray, height: float = 6.0) -> np.ndarray:
    out = np.zeros((len(OFFSET_M), len(rows)), np.float32)
    out[rows, np.arange(len(rows))] = height
    return out


def certain(states: list[int]) -> np.ndarray:
    out = np.full((len(states), 4), 0.02)
    out[np.arange(len(states)), states] = 0.94
    return out


def test_the_line_bridges_what_is_not_seen() -> None:
    rows = np.full(100, 14)
    answer = logits(rows)
    answer[:, 40:60] = 0.0
    found = find_line(answer, OFFSET_M, 2.0)
    np.testing.assert_allclose(found.row, 14, atol=0.1)
    assert found.line[:35].min() > 0.8
    assert found.line[42:58].max() < 0.3


def test_a_short_strong_look_alike_does_not_draw_the_line_away() -> None:
    answer = logits(np.full(100, 14), 4.0)
    answer[30, 45:55] = 6.0
    np.testing.assert_allclose(find_line(answer, OFFSET_M, 2.0).row, 14, atol=0.3)


def test_of_two_equal_lines_the_one_within_tolerance_wins() -> None:
    answer = logits(np.full(100, 20 + 12))
    answer[20 - 18, :] = 6.0
    found = find_line(answer, OFFSET_M, 1.0)
    np.testing.assert_allclose(found.row, 32, atol=0.1)


def test_states_are_read_along_the_line_only() -> None:
    states = np.zeros((4, 41, 50), np.float32)
    states[INTACT, 10:13] = 5.0
    states[GAP, 30] = 9.0
    chance = states_along(states, np.full(50, 11.0))
    assert chance[:, INTACT].min() > 0.9
    np.testing.assert_allclose(chance.sum(axis=1), 1.0)


@pytest.mark.parametrize("state", [GAP, COLLAPSED, OBSCURED])
def test_a_stretch_of_three_metres_is_kept(state: int) -> None:
    truth = [INTACT] * 100 + [state] * 15 + [INTACT] * 100
    sequence = smooth_states(certain(truth), np.ones(215))
    assert np.mean(sequence == truth) > 0.98
    assert sequence[107] == state


def test_a_single_cell_is_no_breach() -> None:
    truth = [INTACT] * 50 + [GAP] + [INTACT] * 50
    sequence = smooth_states(certain(truth), np.ones(101))
    assert (sequence == INTACT).all()


def test_what_is_not_trusted_takes_its_neighbours_state() -> None:
    truth = [INTACT] * 50 + [GAP] * 10 + [INTACT] * 50
    trust = np.ones(110)
    trust[50:60] = 0.0
    sequence = smooth_states(certain(truth), trust)
    assert (sequence == INTACT).all()


def test_the_template_is_asked_only_where_the_network_hesitates() -> None:
    """The template says ground everywhere; a sure network is believed, a hesitating one is not."""
    ratio = np.full(1200, -6.0)
    answers = []
    for chance in (0.999, 0.7):
        state = np.tile([chance, 1 - chance, 0.0, 0.0], (1200, 1))
        answers.append(weighed(state, state, ratio)[600, INTACT])
    sure, hesitating = answers
    assert sure > 0.99
    assert hesitating < 0.3


def test_what_the_fence_is_compared_with_counts_most_before_a_fence_never_seen() -> None:
    """The comparison says gap in one place; the network says intact, sure of it or not."""
    likeness = np.tile([0.98, 0.02, 0.0, 0.0], (1200, 1))
    likeness[600] = [0.02, 0.98, 0.0, 0.0]
    answers = []
    for chance in (0.999, 0.7):
        state = np.tile([chance, 1 - chance, 0.0, 0.0], (1200, 1))
        answers.append(weighed(state, likeness, np.zeros(1200))[:, INTACT])
    sure, hesitating = answers
    assert sure.min() > 0.5
    assert hesitating[600] < 0.4 < 0.9 < np.delete(hesitating, 600).min()


def test_where_the_fence_was_not_compared_with_itself_the_network_speaks_alone() -> None:
    state = np.tile([0.9, 0.05, 0.03, 0.02], (300, 1))
    ratio = np.zeros(300)
    nothing = np.full((300, 4), np.nan)
    np.testing.assert_array_equal(weighed(state, nothing, ratio), weighed(state, state, ratio))


def test_what_is_less_like_the_fence_than_most_of_it_falls_short() -> None:
    ratio = np.full(2000, 3.0)
    ratio[900:920] = -1.0  # the ground there is more like the fence than other ground
    ratio[1990:] = 2.8
    less = shortfall(ratio)
    np.testing.assert_allclose(less[900:920], -2.0)
    assert not less[:900].any()
    assert not less[920:].any()
    # Where the template says little of the whole fence, little is asked of it.
    np.testing.assert_allclose(shortfall(ratio - 4.0), less)


def test_most_of_a_fence_that_is_gone_does_not_fall_short_of_itself() -> None:
    ratio = np.where(np.arange(1200) % 10 < 6, -4.0, 4.0)
    assert not shortfall(ratio).any()


def test_a_gap_that_is_clear_to_the_network_does_not_make_it_unsure() -> None:
    state = np.tile([0.999, 0.001, 0.0, 0.0], (1200, 1))
    state[500:600] = [0.6, 0.4, 0.0, 0.0]
    assert unsure(state).max() == 0.0
