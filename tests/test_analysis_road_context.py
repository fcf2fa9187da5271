"""What runs with the road is no path: a road along the x axis, fences 40 m apart."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from analysis.access import meetings
from analysis.fence_work import FenceResult, Stretch
from analysis.footpaths import Footpath, PathClass
from analysis.fusion import fuse
from analysis.results import FenceLine
from analysis.road_context import APART, FENCE, ROADSIDE, STRAIGHT, with_road
from corridor import Boundary, Side, Track
from corridor.findings import FenceState

LENGTH_M = 200.0


def fence(
    side: Side = Side.LEFT, y: float = 20.0, state: FenceState = FenceState.INTACT
) -> tuple[FenceLine, FenceResult]:
    """Chainage = x, the road towards y = 0 from the left fence."""
    xy = np.array([[0.0, y], [LENGTH_M, y]])
    track = Track(xy, np.array([0.0, LENGTH_M]))
    boundary = Boundary("G1", side, (np.array([[100.0, 30.0], [100.002, 30.0]]),), (0.0,))
    line = FenceLine(boundary, 0, track, track, np.zeros(2))
    stretches = (Stretch(0.0, LENGTH_M, state, 0.9),)
    result = FenceResult(0, 0, track.chainage_m, xy, np.zeros(2), stretches)
    return line, result


def path(*points: tuple[float, float], **changes: object) -> Footpath:
    values: dict[str, object] = {
        "centreline": shapely.LineString(points),
        "path_class": PathClass.FOOTPATH,
        "confidence": 0.8,
        "visibility": 0.5,
        "width_m": 0.7,
        "inferred_frac": 0.0,
        "evidence": {},
    }
    return Footpath(**(values | changes))  # type: ignore[arg-type]


def judged(
    *paths: Footpath, fences: tuple[tuple[FenceLine, FenceResult], ...] = ()
) -> list[Footpath]:
    both = fences or (fence(), fence(Side.RIGHT, -20.0))
    return with_road(paths, [line for line, _ in both], [result for _, result in both])


def wandering(y: float, amplitude_m: float) -> Footpath:
    x = np.arange(40.0, 90.0)
    return path(*zip(x, y + amplitude_m * np.sin(x / 3.0), strict=True))


@pytest.mark.parametrize("y", [18.0, 5.0, -0.3, -17.0])
def test_a_line_along_the_road_is_named(y: float) -> None:
    (line,) = judged(path((40, y), (90, y + 1)))
    assert (line.path_class, line.reason) == (PathClass.OTHER_LINEAR, ROADSIDE)
    assert line.evidence["picture"] == 0.8
    assert line.length_m == pytest.approx(np.hypot(50, 1))


def test_the_same_line_beyond_the_fences_stays_a_footpath() -> None:
    given = path((40, 30), (90, 31))
    assert judged(given) == [given]


def test_without_boundaries_nothing_is_judged() -> None:
    given = path((40, 0), (90, 0))
    assert with_road([given], [], []) == [given]


def test_a_path_across_the_whole_road_stays() -> None:
    given = path((60, 30), (61, 0), (64, -30))
    assert judged(given) == [given]


def test_a_path_through_the_fence_that_ends_on_the_verge_stays() -> None:
    given = path((60, 30), (61, 14))
    assert judged(given) == [given]


def test_a_mark_across_the_carriageway_reaches_no_fence() -> None:
    (line,) = judged(path((60, 6), (61, -6)))
    assert (line.path_class, line.reason) == (PathClass.OTHER_LINEAR, APART)


def test_what_hangs_together_with_a_path_through_the_fence_stays() -> None:
    given = [path((60, 30), (61, 8)), path((61, 8), (64, -6))]
    assert judged(*given) == given


def test_a_path_that_runs_into_the_guard_rail_is_cut_there() -> None:
    way, rail = judged(path((60, 35), (60, 16), (100, 16)))
    assert (way.path_class, rail.path_class) == (PathClass.FOOTPATH, PathClass.OTHER_LINEAR)
    assert way.length_m + rail.length_m == pytest.approx(59.0)
    assert shapely.intersects(way.centreline, shapely.LineString([(0, 20), (200, 20)]))


def test_the_fence_itself_is_named_and_makes_no_hole() -> None:
    fences = (fence(), fence(Side.RIGHT, -20.0))
    wobbling = path((40, 20.4), (50, 19.7), (60, 20.3), (70, 19.6), (90, 20.2))
    (line,) = judged(wobbling, fences=fences)
    assert (line.path_class, line.reason) == (PathClass.OTHER_LINEAR, FENCE)
    lines = [line for line, _ in fences]
    met = meetings([line], lines)
    assert met == []
    assert fuse(fences[0][1], 0, [line], met).breaches == ()


def test_a_path_that_ends_at_the_fence_meets_it_though_the_fence_is_a_line_too() -> None:
    found = judged(path((60, 35), (60, 20.1)), path((40, 20), (90, 20)))
    (met,) = meetings(found, [fence()[0]])
    assert met.chainage_m == pytest.approx(60.0, abs=0.2)


def test_beyond_the_fence_only_what_is_as_straight_as_built_is_named() -> None:
    ditch, trodden = judged(wandering(22.5, 0.02), wandering(23.0, 0.4))
    assert (ditch.path_class, ditch.reason) == (PathClass.OTHER_LINEAR, STRAIGHT)
    assert trodden.path_class is PathClass.FOOTPATH


def test_a_short_path_beside_the_fence_is_too_short_to_tell() -> None:
    given = path((40, 22.5), (50, 22.5))
    assert judged(given) == [given]


def test_with_one_side_only_what_is_as_near_as_any_road_is_wide_is_judged() -> None:
    near, far = judged(path((40, 0), (90, 0)), path((40, -30), (90, -30)), fences=(fence(),))
    assert near.path_class is PathClass.OTHER_LINEAR
    assert far.path_class is PathClass.FOOTPATH


def test_the_road_lies_inward_of_the_right_fence_too() -> None:
    inward, outward = judged(
        path((40, 10), (90, 10)), path((40, -26), (90, -26)), fences=(fence(Side.RIGHT, -15.0),)
    )
    assert inward.path_class is PathClass.FOOTPATH  # 25 m away: more than any road is wide
    assert outward.path_class is PathClass.FOOTPATH
    (near,) = judged(path((40, -5), (90, -5)), fences=(fence(Side.RIGHT, -15.0),))
    assert near.path_class is PathClass.OTHER_LINEAR


def test_on_a_viaduct_nothing_is_judged() -> None:
    bare = (
        fence(state=FenceState.NO_FENCE),
        fence(Side.RIGHT, -20.0, FenceState.NO_FENCE),
    )
    given = path((40, 0), (90, 0))
    assert judged(given, fences=bare) == [given]


def test_where_the_fence_was_not_seen_its_tolerance_is_left() -> None:
    unseen = (fence(state=FenceState.UNSEEN),)
    beside, inside = judged(path((40, 18.5), (90, 18.5)), path((40, 16), (90, 16)), fences=unseen)
    assert beside.path_class is PathClass.FOOTPATH
    assert inside.path_class is PathClass.OTHER_LINEAR


@pytest.mark.parametrize("path_class", [PathClass.VEHICLE_TRACK, PathClass.PAVED_PATH])
def test_tracks_and_paved_paths_along_the_road_are_the_road(path_class: PathClass) -> None:
    (line,) = judged(path((40, 0), (90, 0), path_class=path_class))
    assert (line.path_class, line.reason) == (PathClass.OTHER_LINEAR, ROADSIDE)


@pytest.mark.parametrize("path_class", [PathClass.VEHICLE_TRACK, PathClass.PAVED_PATH])
def test_what_was_built_beside_the_fence_may_be_straight(path_class: PathClass) -> None:
    beside = path((40, 22), (90, 22), path_class=path_class)
    assert judged(beside) == [beside]
    assert judged(path((40, 22), (90, 22)))[0].reason == STRAIGHT


def test_lines_named_before_are_left_alone() -> None:
    given = path((40, 0), (90, 0), path_class=PathClass.OTHER_LINEAR)
    assert judged(given) == [given]
