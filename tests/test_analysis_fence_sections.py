"""Long fences in sections: cut with what lies beside them, joined without a gap."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.fence_sections import SECTION_M, joined, sections
from analysis.fence_work import Breach, FenceResult, Stretch
from corridor import Track
from corridor.findings import BreachType, FenceState

INTACT, BREACH, UNSEEN = FenceState.INTACT, FenceState.BREACH, FenceState.UNSEEN


def result(
    first_m: float, last_m: float, *stretches: tuple[float, FenceState], offset_m: float = 0.0
) -> FenceResult:
    """From `first_m` to `last_m`; stretches by their ends, breaches as findings too."""
    chainage = np.arange(first_m, last_m + 0.25, 0.5)
    xy = np.column_stack([chainage, np.full(len(chainage), offset_m)])
    at_m, told = first_m, []
    for end_m, state in stretches:
        told.append(Stretch(at_m, end_m, state, 0.8))
        at_m = end_m
    breaches = tuple(
        Breach(each.start_m, each.end_m, BreachType.GAP, 0.8)
        for each in told
        if each.state is BREACH
    )
    return FenceResult(0, 0, chainage, xy, xy[:, 1].copy(), tuple(told), breaches)


def test_a_short_line_is_one_section() -> None:
    track = Track(np.array([[0.0, 0.0], [1.4 * SECTION_M, 0.0]]), np.array([10.0, 9_000.0]))
    assert sections(track) == [track]


@given(
    length_m=st.floats(1.6 * SECTION_M, 6 * SECTION_M),
    bends=st.lists(st.integers(50, 950), max_size=5, unique=True),
    scale=st.floats(0.9, 1.1),
)
def test_sections_cover_the_line_and_share_what_lies_between(
    length_m: float, bends: list[int], scale: float
) -> None:
    x = np.array([0.0, *sorted(length_m * bend / 1000 for bend in bends), length_m])
    track = Track(np.column_stack([x, np.zeros(len(x))]), 500.0 + scale * x)
    parts = sections(track)
    assert len(parts) == round(length_m / SECTION_M)
    assert parts[0].chainage_m[0] == track.chainage_m[0]
    assert parts[-1].chainage_m[-1] == pytest.approx(track.chainage_m[-1])
    for part in parts:
        assert (np.diff(part.chainage_m) > 0).all()
        assert part.xy == pytest.approx(track.at(part.chainage_m))
    for one, other in itertools.pairwise(parts):
        assert one.chainage_m[-1] - other.chainage_m[0] == pytest.approx(256.0 * scale, rel=1e-6)


def test_the_seam_lies_where_both_see_the_fence_stand() -> None:
    one = result(0, 1000, (700, INTACT), (720, BREACH), (1000, INTACT))
    other = result(600, 1600, (700, INTACT), (720, BREACH), (900, INTACT), (1600, INTACT))
    whole = joined([one, other])
    assert [each.end_m for each in whole.stretches] == [700, 720, 1600]
    assert [each.start_m for each in whole.stretches] == [0, 700, 720]
    assert [(each.start_m, each.end_m) for each in whole.breaches] == [(700, 720)]
    assert (np.diff(whole.chainage_m) > 0).all()
    assert (whole.chainage_m[0], whole.chainage_m[-1]) == (0, 1600)


def test_a_breach_that_one_side_sees_at_its_end_only_is_judged_by_the_other() -> None:
    one = result(0, 1000, (980, INTACT), (1000, UNSEEN))
    other = result(600, 1600, (610, UNSEEN), (1600, INTACT))
    whole = joined([one, other])
    assert [(each.end_m, each.state) for each in whole.stretches] == [(1600, INTACT)]


def test_sections_that_agree_on_nothing_still_tile() -> None:
    whole = joined([result(0, 1000, (1000, BREACH)), result(600, 1600, (1600, INTACT))])
    assert [each.state for each in whole.stretches] == [BREACH, INTACT]
    assert whole.stretches[0].end_m == whole.stretches[1].start_m
    assert 600 < whole.stretches[0].end_m < 1000
    assert len(whole.breaches) == 1


def test_a_line_that_differs_moves_the_seam_to_where_it_does_not() -> None:
    one = result(0, 1000, (1000, INTACT))
    other = result(600, 1600, (1600, INTACT))
    other.offset_m[:] = np.where(other.chainage_m < 850, 1.0, 0.0)
    whole = joined([one, other])
    # Each offset is taken from its own side of the seam; none is the 1 m of the section's start.
    assert np.abs(whole.offset_m).max() == 0.0
