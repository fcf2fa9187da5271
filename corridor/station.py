"""Places along a road, as its users name them: `K12+345`."""

from __future__ import annotations

import math
import re

from corridor.errors import InputError

_FORM = re.compile(r"^\s*[KkＫｋ]\s*(\d{1,5})\s*[+＋]\s*(\d{3}(?:\.\d+)?)\s*$")


def parse_station(text: str, source: str = "station") -> float:
    """The chainage in metres of `K12+345`, `k12+345.6` or `K12＋345`.

    Raises:
        InputError: if the text has another form.
    """
    match = _FORM.match(text)
    if match is None:
        raise InputError(source, f"'{text}' is not a station", "write it as K12+345 or K12+345.6")
    return 1000.0 * int(match[1]) + float(match[2])


def format_station(chainage_m: float, decimals: int = 0) -> str:
    """Writes a chainage in metres as `K12+345`, rounded to `decimals` places of a metre.

    Raises:
        ValueError: if the chainage is negative or not finite.
    """
    if not math.isfinite(chainage_m) or chainage_m < 0:
        raise ValueError(f"chainage must be finite and not negative, not {chainage_m}")
    rounded_m = round(chainage_m, decimals)
    kilometres, metres_m = divmod(rounded_m, 1000.0)
    width = 3 if decimals == 0 else 4 + decimals
    return f"K{int(kilometres)}+{metres_m:0{width}.{decimals}f}"
