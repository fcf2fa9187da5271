from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from corridor.errors import LineError
from corridor.frame import Track
from corridor.offset import offset_track


def track(xy: object) -> Track:
    points = np.asarray(xy, dtype=np.float64)
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    return Track(points, 1000.0 + along)


def loop_ramp(radius_m: float = 50.0, step_deg: float = 5.0, end_m: float = 200.0) -> Track:
    """Along x, round by 270° to the left, and away across its own beginning."""
    turn = np.radians(np.arange(-90.0, 180.0 + step_deg / 2, step_deg))
    round_ = np.column_stack([radius_m * np.cos(turn), radius_m + radius_m * np.sin(turn)])
    return track(np.concatenate([[(-200.0, 0.0)], round_, [(-radius_m, -end_m)]]))


def test_a_straight_line() -> None:
    beside = offset_track(track([(0, 0), (100, 0)]), 10.0)
    np.testing.assert_allclose(beside.xy, [(0, 10), (100, 10)])
    np.testing.assert_allclose(beside.chainage_m, [1000, 1100])
    np.testing.assert_allclose(offset_track(track([(0, 0), (100, 0)]), -3.0).xy[:, 1], -3.0)


def test_an_inner_corner_is_cut_where_the_lines_meet() -> None:
    beside = offset_track(track([(0, 0), (100, 0), (100, 100)]), 10.0)
    np.testing.assert_allclose(beside.xy, [(0, 10), (90, 10), (90, 100)], atol=1e-6)


def test_an_outer_corner_is_rounded() -> None:
    beside = offset_track(track([(0, 0), (100, 0), (100, 100)]), -10.0)
    np.testing.assert_allclose(
        beside.xy[[0, 1, -2, -1]], [(0, -10), (100, -10), (110, 0), (110, 100)]
    )
    away = shapely.distance(shapely.points(beside.xy), shapely.Point(100, 0))[1:-1]
    np.testing.assert_allclose(away, 10.0, rtol=1.1e-3)
    assert away.min() > 10.0 - 1e-9
    np.testing.assert_allclose(beside.chainage_m[1:-1], 1100.0)


@pytest.mark.parametrize("offset_m", [-40.0, -15.0, -2.0, 2.0, 15.0, 40.0, 48.0])
def test_a_loop_ramp_keeps_its_round_and_its_crossing(offset_m: float) -> None:
    ramp = loop_ramp()
    beside = offset_track(ramp, offset_m)
    # One line from beside the start to beside the end.
    np.testing.assert_allclose(beside.xy[0], (-200, offset_m))
    np.testing.assert_allclose(beside.xy[-1], (-50 + offset_m, -200))
    # The round is there whole: an arc of 270° about the same middle.
    x, y = beside.xy.T
    radius_m = np.hypot(x, y - 50.0)
    expected_m = 50.0 - offset_m
    on_round = (beside.chainage_m > ramp.chainage_m[2]) & (beside.chainage_m < ramp.chainage_m[-3])
    np.testing.assert_allclose(radius_m[on_round], expected_m, rtol=2e-3, atol=0.2)
    angle = np.unwrap(np.arctan2(y - 50.0, x)[on_round])
    assert np.degrees(angle[-1] - angle[0]) > 245.0
    # It crosses itself once, as the ramp does, and has no other loop.
    line = shapely.LineString(beside.xy)
    noded = shapely.node(line)
    assert len(shapely.get_parts(noded)) == 3
    assert (np.diff(beside.chainage_m) >= 0).all()


def test_an_offset_wider_than_the_ramp_leaves_the_round_out_without_a_loop() -> None:
    ramp = loop_ramp(radius_m=50.0)
    beside = offset_track(ramp, 60.0)
    assert len(shapely.get_parts(shapely.node(shapely.LineString(beside.xy)))) == 1
    inside = shapely.distance(shapely.points(beside.xy), shapely.LineString(ramp.xy[1:-1]))
    assert inside.min() > 59.0


def test_a_ring_narrower_than_the_offset_is_refused() -> None:
    turn = np.radians(np.arange(0.0, 361.0, 10.0))
    with pytest.raises(LineError, match="nothing of the line is left"):
        offset_track(track(20.0 * np.column_stack([np.cos(turn), np.sin(turn)])), 30.0)


def winding(turns_deg: list[float], step_m: float = 20.0) -> Track:
    heading = np.radians(np.concatenate([[0.0], np.cumsum(turns_deg)]))
    steps = step_m * np.column_stack([np.cos(heading), np.sin(heading)])
    return track(np.concatenate([[(0.0, 0.0)], np.cumsum(steps, axis=0)]))


@settings(max_examples=60, deadline=None)
@given(
    turns_deg=st.lists(st.floats(-22.0, 22.0), min_size=4, max_size=60),
    offset_m=st.sampled_from([-30.0, -12.0, -3.0, 3.0, 12.0, 30.0]),
)
def test_offsets_of_winding_roads(turns_deg: list[float], offset_m: float) -> None:
    road = winding(turns_deg)
    beside = offset_track(road, offset_m)
    line, source = shapely.LineString(beside.xy), shapely.LineString(road.xy)
    reach_m = abs(offset_m)
    # No vertex is nearer to its own stretch of road than the offset, nor farther than a bend asks.
    window = [
        shapely.LineString(road.xy[max(0, i - 2) : i + 4])
        for i in np.searchsorted(road.chainage_m, beside.chainage_m, "right") - 1
        for i in [int(np.clip(i, 0, len(road.xy) - 2))]
    ]
    away = shapely.distance(shapely.points(beside.xy), window)
    assert away.min() >= reach_m - 1e-6
    assert away.max() <= reach_m / np.cos(np.radians(22.0)) + 0.01
    # Nothing is lost: it spans the chainage, and where bends are wider than the offset, the length.
    assert beside.chainage_m[0] == road.chainage_m[0]
    assert beside.chainage_m[-1] == road.chainage_m[-1]
    assert (np.diff(beside.chainage_m) >= 0).all()
    if source.is_simple and len(shapely.get_parts(source.buffer(reach_m))[0].interiors) == 0:
        apart = shapely.distance(source, shapely.points(beside.xy)).min()
        if apart >= reach_m * 0.99:
            assert line.is_simple


def test_cost_grows_with_length_only() -> None:
    rng = np.random.default_rng(3)
    road = winding((rng.normal(0, 4, 7500)).tolist())  # 150 km
    beside = offset_track(road, 30.0)
    assert beside.chainage_m[-1] == road.chainage_m[-1]
    assert np.diff(beside.chainage_m).max() < 120.0
