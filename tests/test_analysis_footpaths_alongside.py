"""Lines side by side are none that people wore."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from analysis.footpaths.alongside import IN_A_ROW, alongside, without_rows
from analysis.footpaths.find import Footpath
from analysis.footpaths.judge import PathClass


def level(y_m: float, length_m: float = 30.0) -> shapely.LineString:
    return shapely.LineString([(0.0, y_m), (length_m, y_m)])


def path(line: shapely.LineString, path_class: PathClass = PathClass.FOOTPATH) -> Footpath:
    return Footpath(line, path_class, 0.8, 1.0, 0.6, 0.0, {"z": 3.0})


def test_a_terrace_has_others_on_both_sides_and_a_path_across_has_none() -> None:
    across = shapely.LineString([(10.0, -20.0), (10.0, 40.0)])
    told = alongside([level(0.0), level(5.0), level(10.0), level(15.0), across])
    assert told[:4, 0].tolist() == [1.0] * 4
    assert told[:4, 1].tolist() == [0.0, 1.0, 1.0, 0.0]
    assert told[:4, 2].tolist() == [1.0] * 4
    assert told[4].tolist() == [0.0] * 3


def test_only_the_stretch_that_has_company_counts() -> None:
    told = alongside([level(0.0, 40.0), level(4.0, 20.0), level(-4.0, 20.0)])
    assert told[0, 1] == pytest.approx(0.5, abs=0.05)


def test_lines_at_an_angle_or_far_away_are_no_company() -> None:
    slanting = shapely.LineString([(0.0, 2.0), (30.0, 14.0)])
    assert not alongside([level(0.0), slanting, level(-16.0)]).any()


def test_footpaths_of_a_row_are_named_for_what_they_are() -> None:
    row = [path(level(y)) for y in (0.0, 6.0, 12.0)]
    lone = path(level(100.0))
    first, middle, last, other = without_rows([*row, lone])
    assert (middle.path_class, middle.reason) == (PathClass.OTHER_LINEAR, IN_A_ROW)
    assert middle.confidence == 1.0
    assert middle.evidence == {"z": 3.0, "picture": 0.8}
    # Two lines may be a path and a kerb; those at the rim of three have company on one side only.
    assert [first, last, other] == [row[0], row[2], lone]


def test_what_follows_the_road_is_no_company() -> None:
    kerbs = [path(level(y)).named_other("along the road", 1.0) for y in (-3.0, 3.0, 6.0)]
    assert without_rows([path(level(0.0)), *kerbs]) == [path(level(0.0)), *kerbs]


def test_lines_of_other_kinds_are_company_and_keep_their_kind() -> None:
    tracks = [path(level(y), PathClass.VEHICLE_TRACK) for y in (-3.0, 3.0)]
    found = without_rows([path(level(0.0)), *tracks])
    kinds = [PathClass.OTHER_LINEAR, PathClass.VEHICLE_TRACK, PathClass.VEHICLE_TRACK]
    assert [one.path_class for one in found] == kinds


@given(
    turn_deg=st.floats(0.0, 360.0),
    order=st.permutations(range(5)),
    gaps=st.lists(st.sampled_from([1.7, 4.3, 7.1, 12.9, 19.3]), min_size=4, max_size=4),
)
def test_neither_direction_nor_order_changes_it(
    turn_deg: float, order: list[int], gaps: list[float]
) -> None:
    lines = [level(y) for y in np.cumsum([0.0, *gaps])]
    turned = [shapely.affinity.rotate(line, turn_deg, origin=(0, 0)) for line in lines]
    told = alongside(lines)
    assert np.allclose(
        alongside([turned[number] for number in order]), told[list(order)], atol=0.04
    )


def test_nothing_found_is_nothing_beside() -> None:
    assert alongside([]).shape == (0, 3)
    assert without_rows([]) == []
