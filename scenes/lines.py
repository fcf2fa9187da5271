"""Lines on the ground: roads, fences, paths, in the scene's metres."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from numba import njit

from scenes.grid import Window
from scenes.noise import Float32Array

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Line:
    """A polyline with its own length as station.

    Attributes:
        xy: (N, 2) metres east and north, N >= 2.
    """

    xy: FloatArray

    @cached_property
    def station_m(self) -> FloatArray:
        """(N,) distance of each vertex from the first."""
        return np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(self.xy, axis=0).T))])

    @property
    def length_m(self) -> float:
        """From end to end."""
        return float(self.station_m[-1])

    def at(self, station_m: npt.ArrayLike) -> FloatArray:
        """Positions (M, 2) at stations (M,); stations beyond an end give that end."""
        station = np.atleast_1d(np.asarray(station_m, dtype=np.float64))
        return np.column_stack([np.interp(station, self.station_m, self.xy[:, k]) for k in (0, 1)])

    def direction_at(self, station_m: npt.ArrayLike) -> FloatArray:
        """Unit vectors (M, 2) along the line at stations (M,)."""
        station = np.clip(np.atleast_1d(np.asarray(station_m, float)), 0.0, self.length_m)
        ahead, behind = self.at(station + 0.25), self.at(station - 0.25)
        step = ahead - behind
        return np.asarray(step / np.maximum(np.hypot(step[:, 0], step[:, 1]), 1e-9)[:, None])

    def left_at(self, station_m: npt.ArrayLike) -> FloatArray:
        """Unit vectors (M, 2) to the left of the line at stations (M,)."""
        along = self.direction_at(station_m)
        return np.column_stack([-along[:, 1], along[:, 0]])

    def offset(self, offset_m: npt.ArrayLike) -> Line:
        """The line moved to its left by (N,) or one offset; bends must be wider than that."""
        offsets = np.broadcast_to(np.asarray(offset_m, dtype=np.float64), (len(self.xy),))
        return Line(self.xy + offsets[:, None] * self.left_at(self.station_m))

    def between(self, start_m: float, end_m: float) -> Line:
        """The piece from one station to another, start < end."""
        inside = self.station_m[(self.station_m > start_m + 1e-6) & (self.station_m < end_m - 1e-6)]
        return Line(self.at(np.concatenate([[start_m], inside, [end_m]])))

    def locate(self, points: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Station and offset (each (M,), offset positive to the left) nearest to points (M, 2).

        Beyond an end the line goes on straight: stations are negative or above its length.
        """
        xy = np.atleast_2d(np.asarray(points, dtype=np.float64))
        station, offset = _nearest(
            np.ascontiguousarray(xy[:, 0]), np.ascontiguousarray(xy[:, 1]), self.xy, self.station_m
        )
        return station, offset

    def field(self, window: Window, reach_m: float) -> tuple[Float32Array, Float32Array] | None:
        """Station and offset of every pixel centre of a (coarse) window; None if out of reach.

        Pixels farther than `reach_m` may get an offset that is too large.
        """
        west, south, east, north = window.bounds_m
        x, y = self.xy[:, 0], self.xy[:, 1]
        low_x, high_x = np.minimum(x[:-1], x[1:]), np.maximum(x[:-1], x[1:])
        low_y, high_y = np.minimum(y[:-1], y[1:]), np.maximum(y[:-1], y[1:])
        near = (
            (high_x > west - reach_m)
            & (low_x < east + reach_m)
            & (high_y > south - reach_m)
            & (low_y < north + reach_m)
        )
        if not near.any():
            return None
        return _nearest_on_grid(
            window.x_m(0),
            window.y_m(0),
            window.px_m,
            window.width,
            window.height,
            self.xy,
            self.station_m,
            np.flatnonzero(near),
        )


@njit(cache=True, inline="always")
def _nearest_one(
    px: float, py: float, xy: FloatArray, station: FloatArray, segments: npt.NDArray[np.int64]
) -> tuple[float, float]:
    best, best_station, best_offset = 1e18, 0.0, 0.0
    for k in segments:
        ax, ay = xy[k, 0], xy[k, 1]
        dx, dy = xy[k + 1, 0] - ax, xy[k + 1, 1] - ay
        length2 = dx * dx + dy * dy
        along = ((px - ax) * dx + (py - ay) * dy) / length2 if length2 > 0.0 else 0.0
        u = min(1.0, max(0.0, along))
        ex, ey = px - ax - u * dx, py - ay - u * dy
        distance2 = ex * ex + ey * ey
        if distance2 < best:
            best = distance2
            best_station = station[k] + u * (station[k + 1] - station[k])
            across = dx * (py - ay) - dy * (px - ax)
            best_offset = np.sqrt(distance2) if across >= 0.0 else -np.sqrt(distance2)
            if (k == 0 and along < 0.0) or (k == len(xy) - 2 and along > 1.0):
                # Beyond an end the line is taken to go on straight.
                best_station = station[k] + along * (station[k + 1] - station[k])
                best_offset = across / np.sqrt(length2)
    return best_station, best_offset


@njit(cache=True)
def _nearest(
    x: FloatArray, y: FloatArray, xy: FloatArray, station: FloatArray
) -> tuple[FloatArray, FloatArray]:
    segments = np.arange(len(xy) - 1)
    out_station, out_offset = np.empty(len(x)), np.empty(len(x))
    for i in range(len(x)):
        out_station[i], out_offset[i] = _nearest_one(x[i], y[i], xy, station, segments)
    return out_station, out_offset


@njit(cache=True)
def _nearest_on_grid(
    x0: float,
    y0: float,
    px: float,
    width: int,
    height: int,
    xy: FloatArray,
    station: FloatArray,
    segments: npt.NDArray[np.int64],
) -> tuple[Float32Array, Float32Array]:
    out_station = np.empty((height, width), np.float32)
    out_offset = np.empty((height, width), np.float32)
    for j in range(height):
        for i in range(width):
            s, t = _nearest_one(x0 + i * px, y0 - j * px, xy, station, segments)
            out_station[j, i] = s
            out_offset[j, i] = t
    return out_station, out_offset


@njit(cache=True)
def enlarge(
    coarse: Float32Array,
    coarse_col: int,
    coarse_row: int,
    ratio: float,
    col: int,
    row: int,
    width: int,
    height: int,
) -> Float32Array:
    """Bilinear interpolation from a coarse grid to a fine one with the same corner.

    Args:
        coarse: values at the coarse pixels' centres, whose first is (`coarse_col`, `coarse_row`).
        ratio: fine pixels per coarse pixel.
        col, row, width, height: the fine window wanted, inside the coarse one.
    """
    out = np.empty((height, width), np.float32)
    left = np.empty(width, np.int64)
    fraction = np.empty(width, np.float32)
    for i in range(width):
        u = (col + i + 0.5) / ratio - 0.5
        k = np.floor(u)
        left[i] = np.int64(k) - coarse_col
        fraction[i] = u - k
    for j in range(height):
        v = (row + j + 0.5) / ratio - 0.5
        k = np.floor(v)
        f = np.float32(v - k)
        a, b = coarse[np.int64(k) - coarse_row], coarse[np.int64(k) - coarse_row + 1]
        for i in range(width):
            k0, g = left[i], fraction[i]
            top = a[k0] + (a[k0 + 1] - a[k0]) * g
            bottom = b[k0] + (b[k0 + 1] - b[k0]) * g
            out[j, i] = top + (bottom - top) * f
    return out


def to_window(values: Float32Array, coarse: Window, fine: Window) -> Float32Array:
    """Values on a coarse window, interpolated to a fine window inside it."""
    return enlarge(
        values,
        coarse.col,
        coarse.row,
        coarse.px_m / fine.px_m,
        fine.col,
        fine.row,
        fine.width,
        fine.height,
    )
