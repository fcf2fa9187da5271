from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corridor import InputError, format_station, parse_station


@pytest.mark.parametrize(
    ("text", "metres"),
    [
        ("K12+345", 12345.0),
        ("k12+345.6", 12345.6),
        ("K1053+420", 1053420.0),
        ("K12＋345", 12345.0),
        ("Ｋ0+007", 7.0),
        ("  K3 + 000 ", 3000.0),
    ],
)
def test_forms(text: str, metres: float) -> None:
    assert parse_station(text) == pytest.approx(metres, abs=1e-9)


@pytest.mark.parametrize(
    "text", ["", "12+345", "K12345", "K12+34", "K12+3456", "K-1+000", "K1+0 00"]
)
def test_other_forms_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="K12\\+345"):
        parse_station(text)


def test_rounding_never_writes_a_thousand_metres() -> None:
    assert format_station(12999.6) == "K13+000"
    assert format_station(12999.96, decimals=1) == "K13+000.0"
    assert format_station(5.04, decimals=1) == "K0+005.0"


@given(st.floats(0, 9e6), st.integers(0, 3))
def test_what_is_written_is_read_back(metres: float, decimals: int) -> None:
    written = format_station(metres, decimals)
    assert abs(parse_station(written) - metres) <= 0.5 * 10**-decimals + 1e-6


@pytest.mark.parametrize("metres", [-1.0, math.nan, math.inf])
def test_what_is_no_chainage_is_a_programmers_error(metres: float) -> None:
    with pytest.raises(ValueError, match="chainage"):
        format_station(metres)
