from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corridor.datum import Datum, from_wgs84, in_gcj02_area, to_wgs84
from corridor.values import WGS84


def apart_m(one: np.ndarray, other: np.ndarray) -> float:
    return float(WGS84.inv(*one[0], *other[0])[2])


@given(
    lon=st.floats(73.0, 136.0),
    lat=st.floats(3.0, 54.0),
    datum=st.sampled_from([Datum.GCJ02, Datum.BD09]),
)
def test_round_trip_is_better_than_a_centimetre(lon: float, lat: float, datum: Datum) -> None:
    drawn = from_wgs84([(lon, lat)], datum)
    assert 10.0 < apart_m(drawn, np.array([[lon, lat]])) < 3000.0
    assert apart_m(to_wgs84(drawn, datum), np.array([[lon, lat]])) < 0.001


def test_a_published_position() -> None:
    # Shanghai, as the test data of several public implementations have it.
    drawn = from_wgs84([(121.5272106, 31.1774276)], Datum.GCJ02)
    np.testing.assert_allclose(drawn, [(121.531541859215, 31.17530398364597)], atol=1e-9)


def test_outside_china_gcj02_is_wgs84() -> None:
    place = np.array([[8.5, 47.3]])
    np.testing.assert_array_equal(from_wgs84(place, Datum.GCJ02), place)
    np.testing.assert_array_equal(in_gcj02_area([(8.5, 47.3), (106.9, 27.7)]), [False, True])


@pytest.mark.parametrize("convert", [from_wgs84, to_wgs84])
def test_wgs84_stays(convert) -> None:
    np.testing.assert_array_equal(convert([(106.9, 27.7)], Datum.WGS84), [(106.9, 27.7)])
