"""Thinning, branches, spurs, strokes, bridges: checked on grids small enough to draw."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.footpaths.graph import (
    Branch,
    Graph,
    components,
    merge_chains,
    pieces,
    prune_spurs,
    thin,
    trace,
)
from analysis.footpaths.links import link
from analysis.footpaths.strokes import strokes


def pixels(*rows: str) -> np.ndarray:
    return np.array(
        [(r, c) for r, row in enumerate(rows) for c, mark in enumerate(row) if mark == "#"]
    )


def line(*corners: tuple[int, int]) -> np.ndarray:
    places = [corners[0]]
    for (r0, c0), (r1, c1) in itertools.pairwise(corners):
        steps = max(abs(r1 - r0), abs(c1 - c0))
        places += [
            (round(r0 + (r1 - r0) * k / steps), round(c0 + (c1 - c0) * k / steps))
            for k in range(1, steps + 1)
        ]
    return np.array(places)


def test_a_cross_has_four_branches_that_meet() -> None:
    graph = trace(pixels("...#...", "...#...", "...#...", "#######", "...#...", "...#..."))
    assert len(graph.branches) == 4
    assert sorted(graph.degrees().values()) == [1, 1, 1, 1, 4]
    assert sorted(b.length_px for b in graph.branches) == [2, 3, 3, 3]


def test_a_ring_is_one_closed_branch() -> None:
    graph = trace(pixels(".##.", "#..#", "#..#", ".##."))
    (ring,) = graph.branches
    assert ring.ends[0] == ring.ends[1]
    assert len({tuple(p) for p in ring.pixels.tolist()}) == 8


def test_a_long_line_is_thinned_in_blocks_as_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.arange(900)
    middle = np.round(200 + 150 * np.sin(x / 90)).astype(int)
    thick = np.array([(r + d, c) for r, c in zip(middle, x, strict=True) for d in range(-2, 3)])
    whole = thin(thick)
    monkeypatch.setattr("analysis.footpaths.graph._FRAME_PX", 1000)
    monkeypatch.setattr("analysis.footpaths.graph._BLOCK_PX", 128)
    np.testing.assert_array_equal(thin(thick), whole)


def test_components_are_told_apart_and_touch_by_corners() -> None:
    groups = list(components(pixels("#.....", ".#..##", "......", "##....")))
    assert [len(group) for group in groups] == [2, 2, 2]


def test_pruning_takes_the_spur_and_leaves_one_line() -> None:
    graph = trace(pixels("....#....", "....#....", "#########"))
    graph = prune_spurs(graph, 3.0)
    (whole,) = graph.branches
    assert whole.length_px == 8
    assert len(prune_spurs(trace(pixels("#####")), 50.0).branches) == 1


def test_thinning_a_band_keeps_its_length() -> None:
    band = np.argwhere(np.ones((3, 40), bool)) + np.array([5, 7])
    skeleton = thin(band)
    assert 36 <= len(skeleton) <= 40
    assert set(skeleton[2:-2, 0]) == {6}


def test_strokes_go_straight_on_through_a_junction() -> None:
    east = Branch(line((10, 0), (10, 20)), (0, 1))
    onward = Branch(line((10, 20), (11, 40)), (1, 2))
    aside = Branch(line((10, 20), (30, 20)), (1, 3))
    found = strokes([east, onward, aside], lambda _: "footpath")
    assert sorted(len(s.branches) for s in found) == [1, 2]
    long = max(found, key=lambda s: len(s.branches))
    np.testing.assert_array_equal(long.pixels[[0, -1]], [[10, 0], [11, 40]])


def test_strokes_do_not_join_different_kinds() -> None:
    kinds = {0: "footpath", 20: "paved_path"}
    one = Branch(line((5, 0), (5, 20)), (0, 1))
    two = Branch(line((5, 20), (5, 40)), (1, 2))
    assert len(strokes([one, two], lambda b: kinds[int(b.pixels[0, 1])])) == 2


@pytest.mark.parametrize(("gap_px", "bridged"), [(30, True), (70, False)])
def test_a_short_gap_is_bridged_and_marked(gap_px: int, bridged: bool) -> None:
    left = Branch(line((50, 0), (50, 40)), (0, 1))
    right = Branch(line((50, 40 + gap_px), (50, 120 + gap_px)), (2, 3))

    def scores(row: int, column: int, rows: int, columns: int) -> np.ndarray:
        window = np.full((rows, columns), 1.0, np.float32)
        window[50 - row] = 2.2
        return window

    graph = link(Graph([left, right]), scores, longest_m=12.0, gsd_m=0.2)
    inferred = [b for b in graph.branches if b.inferred]
    assert len(inferred) == (1 if bridged else 0)
    if bridged:
        assert inferred[0].ends == (1, 2)
        assert set(inferred[0].pixels[:, 0]) == {50}


def test_ends_that_do_not_point_at_each_other_stay_apart() -> None:
    left = Branch(line((50, 0), (50, 40)), (0, 1))
    across = Branch(line((20, 60), (80, 60)), (2, 3))
    graph = link(Graph([left, across]), lambda *w: np.full(w[2:], 3.0, np.float32), 12.0, 0.2)
    assert not any(b.inferred for b in graph.branches)


def test_a_bridge_over_ground_that_speaks_against_it_is_not_built() -> None:
    left = Branch(line((50, 0), (50, 40)), (0, 1))
    right = Branch(line((50, 70), (50, 120)), (2, 3))
    graph = link(Graph([left, right]), lambda *w: np.zeros(w[2:], np.float32), 12.0, 0.2)
    assert not any(b.inferred for b in graph.branches)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 14), st.integers(0, 14)), min_size=1, max_size=70))
def test_tracing_keeps_every_pixel_that_has_a_neighbour(places: list[tuple[int, int]]) -> None:
    mask = np.unique(np.array(places), axis=0)
    kept: set[tuple[int, ...]] = set()
    for group in components(mask):
        skeleton = thin(group)
        graph = merge_chains(trace(skeleton))
        kept |= {tuple(p) for b in graph.branches for p in b.pixels.tolist()}
        if len(skeleton) > 1:
            assert {tuple(p) for p in skeleton.tolist()} <= kept
            assert len(pieces(graph)) == 1
        for branch in graph.branches:
            assert np.abs(np.diff(branch.pixels, axis=0)).max(initial=0) <= 1
