from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corridor import Boundary, LocalFrame, Side, Track
from corridor.reference import Reference
from corridor.values import WGS84


def track(*xy: tuple[float, float]) -> Track:
    points = np.array(xy, dtype=np.float64)
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    return Track(points, along)


def test_offsets_are_positive_to_the_left() -> None:
    chainage, offset = track((0, 0), (100, 0)).locate([(30, 5), (30, -5), (30, 0)])
    np.testing.assert_allclose(chainage, 30)
    np.testing.assert_allclose(offset, [5, -5, 0])


def test_beyond_an_end_the_offset_is_the_distance_from_it() -> None:
    chainage, offset = track((0, 0), (100, 0)).locate([(130, 0), (-40, 30)])
    np.testing.assert_allclose(chainage, [100, 0])
    np.testing.assert_allclose(np.abs(offset), [30, 50])


@pytest.mark.parametrize("turn_deg", [30.0, 89.0, 120.0, 160.0, -30.0, -120.0, -160.0])
def test_outside_of_a_sharp_turn_the_side_is_still_right(turn_deg: float) -> None:
    out = np.radians(turn_deg)
    bent = track((-100, 0), (0, 0), (100 * np.cos(out), 100 * np.sin(out)))
    # All around the outside of the vertex, between the two normals.
    side = -np.sign(turn_deg)
    normals = side * np.pi / 2, out + side * np.pi / 2
    angles = np.linspace(*normals, 9)[1:-1]
    points = 7.0 * np.column_stack([np.cos(angles), np.sin(angles)])
    chainage, offset = bent.locate(points)
    np.testing.assert_allclose(chainage, 100, atol=1e-6)
    np.testing.assert_allclose(offset, 7 * side, atol=1e-6)


@settings(max_examples=50, deadline=None)
@given(
    turns_deg=st.lists(st.floats(-40, 40), min_size=2, max_size=30),
    frac=st.floats(0.02, 0.98),
    offset_m=st.floats(-8, 8),
)
def test_referencing_both_ways(turns_deg: list[float], frac: float, offset_m: float) -> None:
    heading = np.radians(np.cumsum([0.0, *turns_deg]))
    steps = 60.0 * np.column_stack([np.cos(heading), np.sin(heading)])
    road = track((0, 0), *map(tuple, np.cumsum(steps, axis=0).tolist()))
    at = frac * road.chainage_m[-1]
    place, direction = road.at(at)[0], road.direction_at(at)[0]
    beside = place + offset_m * np.array([-direction[1], direction[0]])
    chainage, offset = road.locate(beside)
    # Never farther than where it was put; and there, where no other stretch is nearer.
    assert abs(offset[0]) <= abs(offset_m) + 1e-9
    if abs(offset[0]) > abs(offset_m) - 1e-9 and abs(offset_m) > 1e-6:
        assert np.sign(offset[0]) == np.sign(offset_m)
        assert np.hypot(*(road.at(chainage[0])[0] - place)) < 2 * abs(offset_m)


def winding_road(azimuth_deg: float, length_m: float, seed: int) -> Boundary:
    """A mountain road of vertices every 25 m or so, meandering about an azimuth."""
    rng = np.random.default_rng(seed)
    count = int(length_m / 25)
    swing_deg = 50 * np.sin(np.cumsum(rng.uniform(0, 0.12, count))) + rng.normal(0, 4, count)
    lon, lat = [106.9], [27.7]
    for swing in swing_deg:
        next_lon, next_lat, _ = WGS84.fwd(lon[-1], lat[-1], azimuth_deg + swing, rng.uniform(5, 45))
        lon.append(next_lon)
        lat.append(next_lat)
    return Boundary("G75", Side.LEFT, (np.column_stack([lon, lat]),), (1_053_000.0,))


@pytest.mark.parametrize("azimuth_deg", [0.0, 45.0, 90.0, 135.0])
def test_151_km_in_one_frame(azimuth_deg: float) -> None:
    road = winding_road(azimuth_deg, 151_000.0, seed=int(azimuth_deg))
    frame = LocalFrame.around(road.parts[0])
    line = Track.of(road, 0, frame)
    in_frame_m = np.hypot(*np.diff(line.xy, axis=0).T)
    on_ellipsoid_m = np.diff(line.chainage_m)
    np.testing.assert_allclose(in_frame_m, on_ellipsoid_m, rtol=1e-4)
    # The middles of segments on the ellipsoid are found at their chainage.
    lonlat = road.parts[0]
    azimuth, _, step_m = WGS84.inv(*lonlat[:-1].T, *lonlat[1:].T)
    lon, lat, _ = WGS84.fwd(*lonlat[:-1].T, azimuth, np.asarray(step_m) / 2)
    expected = line.chainage_m[:-1] + np.asarray(step_m) / 2
    chainage, offset = line.locate(frame.to_xy(np.column_stack([lon, lat])))
    assert np.abs(offset).max() < 0.001
    assert np.abs(chainage - expected).max() < 0.1


@pytest.mark.parametrize("azimuth_deg", [60.0, 90.0])
def test_800_km_in_pieces(azimuth_deg: float) -> None:
    road = winding_road(azimuth_deg, 800_000.0, seed=7)
    reference = Reference.of(road)
    assert len(reference.pieces) > 30
    for piece in reference.pieces:
        in_frame_m = np.hypot(*np.diff(piece.track.xy, axis=0).T)
        np.testing.assert_allclose(in_frame_m, np.diff(piece.track.chainage_m), rtol=3e-6)
    chainage_m = np.linspace(1_053_000.0, road.chainage_end_m, 2000)
    places = reference.at(chainage_m)
    found = reference.locate(places)
    assert np.abs(found.offset_m).max() < 1e-5
    assert np.abs(found.chainage_m - chainage_m).max() < 0.1
    # The pieces join: along a dense walk nothing jumps.
    _, _, step_m = WGS84.inv(*places[:-1].T, *places[1:].T)
    assert (np.asarray(step_m) <= np.diff(chainage_m) * 1.0001).all()


def test_long_segments_follow_the_ellipsoid() -> None:
    road = Boundary("G75", Side.LEFT, (np.array([[100.0, 30.0], [103.0, 30.0]]),), (0.0,))
    azimuth, _, length_m = WGS84.inv(100.0, 30.0, 103.0, 30.0)
    lon, lat, _ = WGS84.fwd(100.0, 30.0, azimuth, length_m / 3)
    found = Reference.of(road).locate([(lon, lat)])
    assert found.chainage_m[0] == pytest.approx(length_m / 3, abs=0.1)
    assert abs(found.offset_m[0]) < 0.5
    place = Reference.of(road).at(length_m / 3)[0]
    assert WGS84.inv(*place, lon, lat)[2] < 0.5


def test_reference_tells_parts_and_gaps() -> None:
    frame = LocalFrame(106.9, 27.7)
    parts = tuple(frame.to_lonlat(xy) for xy in ([(0, 0), (100, 0)], [(300, 0), (400, 0)]))
    road = Boundary("G75", Side.LEFT, parts, (0.0, 300.0))
    reference = Reference.of(road)
    found = reference.locate(frame.to_lonlat([(50, 4), (350, -4), (180, 0)]))
    np.testing.assert_array_equal(found.part, [0, 1, 0])
    np.testing.assert_allclose(found.chainage_m, [50, 350, 100], atol=1e-3)
    np.testing.assert_allclose(np.abs(found.offset_m), [4, 4, 80], atol=1e-3)
    np.testing.assert_allclose(
        frame.to_xy(reference.at([180.0, 290.0]))[:, 0], [100, 300], atol=1e-3
    )
