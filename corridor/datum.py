"""Chinese web maps' datums: GCJ-02 and BD-09, and the way back to WGS 84.

GCJ-02 displaces every position in China by some 100 to 700 m with a smooth function; BD-09
displaces GCJ-02 once more. Files drawn on such maps do not say so. The displacement functions below
are the publicly known ones (published again and again since 2010, for instance in the
`eviltransform` and `coordtransform` projects); they have no closed inverse, so the way back
iterates.

Outside the rectangle 72.004–137.8347° east, 0.8293–55.8271° north, GCJ-02 is WGS 84.
"""

from __future__ import annotations

import enum
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from corridor.values import FloatArray

# Krasovsky 1940, on which the displacement is defined whatever the datum of the positions.
_SEMI_MAJOR_M = 6378245.0
_ECCENTRICITY_SQUARED = 0.00669342162296594323

_ITERATIONS = 30
# 1e-11 degree is a thousandth of a millimetre.
_CONVERGED_DEG = 1e-11


class Datum(enum.StrEnum):
    """What the coordinates of a drawn line refer to, whatever its file claims."""

    WGS84 = "wgs84"
    GCJ02 = "gcj02"
    BD09 = "bd09"


def to_wgs84(lonlat: npt.ArrayLike, datum: Datum) -> FloatArray:
    """(N, 2) longitudes and latitudes in `datum` to WGS 84, true to under 1 mm of round trip."""
    points = np.atleast_2d(np.asarray(lonlat, dtype=np.float64))
    if datum is Datum.GCJ02:
        return _invert(_gcj02, points)
    if datum is Datum.BD09:
        return _invert(_gcj02, _invert(_bd09_of_gcj02, points))
    return points.copy()


def from_wgs84(lonlat: npt.ArrayLike, datum: Datum) -> FloatArray:
    """(N, 2) longitudes and latitudes in WGS 84 to `datum`."""
    points = np.atleast_2d(np.asarray(lonlat, dtype=np.float64))
    if datum is Datum.GCJ02:
        return _gcj02(points)
    if datum is Datum.BD09:
        return _bd09_of_gcj02(_gcj02(points))
    return points.copy()


def in_gcj02_area(lonlat: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Which of (N, 2) positions GCJ-02 displaces at all."""
    points = np.atleast_2d(np.asarray(lonlat, dtype=np.float64))
    lon, lat = points.T
    return np.asarray((lon >= 72.004) & (lon <= 137.8347) & (lat >= 0.8293) & (lat <= 55.8271))


def _gcj02(points: FloatArray) -> FloatArray:
    lon, lat = points.T
    east, north = lon - 105.0, lat - 35.0
    wave = 20.0 * np.sin(6.0 * np.pi * east) + 20.0 * np.sin(2.0 * np.pi * east)
    root = np.sqrt(np.abs(east))
    north_m = -100.0 + 2.0 * east + 3.0 * north + 0.2 * north**2 + 0.1 * east * north + 0.2 * root
    north_m += 2.0 / 3.0 * wave
    north_m += 2.0 / 3.0 * (20.0 * np.sin(np.pi * north) + 40.0 * np.sin(np.pi * north / 3.0))
    north_m += (
        2.0 / 3.0 * (160.0 * np.sin(np.pi * north / 12.0) + 320.0 * np.sin(np.pi * north / 30.0))
    )
    east_m = 300.0 + east + 2.0 * north + 0.1 * east**2 + 0.1 * east * north + 0.1 * root
    east_m += 2.0 / 3.0 * wave
    east_m += 2.0 / 3.0 * (20.0 * np.sin(np.pi * east) + 40.0 * np.sin(np.pi * east / 3.0))
    east_m += (
        2.0 / 3.0 * (150.0 * np.sin(np.pi * east / 12.0) + 300.0 * np.sin(np.pi * east / 30.0))
    )
    phi = np.radians(lat)
    squeeze = 1.0 - _ECCENTRICITY_SQUARED * np.sin(phi) ** 2
    meridian_radius_m = _SEMI_MAJOR_M * (1.0 - _ECCENTRICITY_SQUARED) / squeeze**1.5
    parallel_radius_m = _SEMI_MAJOR_M / np.sqrt(squeeze) * np.cos(phi)
    shift = np.degrees(np.column_stack([east_m / parallel_radius_m, north_m / meridian_radius_m]))
    return np.where(in_gcj02_area(points)[:, None], points + shift, points)


def _bd09_of_gcj02(points: FloatArray) -> FloatArray:
    lon, lat = points.T
    turn = np.pi * 3000.0 / 180.0
    radius = np.hypot(lon, lat) + 0.00002 * np.sin(lat * turn)
    angle = np.arctan2(lat, lon) + 0.000003 * np.cos(lon * turn)
    return np.column_stack([radius * np.cos(angle) + 0.0065, radius * np.sin(angle) + 0.006])


def _invert(forward: Callable[[FloatArray], FloatArray], target: FloatArray) -> FloatArray:
    """Fixed-point iteration: the displacement changes slowly, so each round gains some digits."""
    guess = target.copy()
    for _ in range(_ITERATIONS):
        miss = target - forward(guess)
        guess = guess + miss
        if miss.size == 0 or np.abs(miss).max() < _CONVERGED_DEG:
            break
    return guess
