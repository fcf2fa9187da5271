"""Bands along lines: roads, markings, paths, ditches and whatever else is long and narrow."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit

from scenes.grid import Window
from scenes.lines import FloatArray, Line
from scenes.materials import Material
from scenes.noise import Float32Array, smooth_1d


@dataclass(frozen=True)
class Stroke:
    """One band of material along a line.

    Attributes:
        width_m: of the band; inner_m: of a middle part left unpainted.
        shift_m: how far left of the line the band's middle runs.
        pair_m: distance between two such bands side by side; 0 for one.
        alpha: cover at the middle; soft_m: how gradually it ends; rough_m: how unevenly.
        round_frac: 0 for even cover across the band, 1 for cover that falls off from the middle.
        dash_m: length painted and period, for broken lines; (0, 0) for a whole one.
        fade_m: length over which it fades in and out at its ends.
        patchy: 0 for even cover along the line, 1 and more for cover that comes and goes;
            patchy_m: over what length.
        bevel: brightness difference between the two edges, as of a trough in low light.
        rows_m: spacing of rows as of a crop, 0 for none; `rows_across` the line, or along it.
        winding: whether the line bends within a metre, as paths do.
    """

    line: Line
    material: Material
    width_m: float
    inner_m: float = 0.0
    shift_m: float = 0.0
    pair_m: float = 0.0
    alpha: float = 1.0
    soft_m: float = 0.0
    rough_m: float = 0.0
    round_frac: float = 0.0
    dash_m: tuple[float, float] = (0.0, 0.0)
    fade_m: tuple[float, float] = (0.0, 0.0)
    patchy: float = 0.0
    patchy_m: float = 8.0
    bevel: float = 0.0
    rows_m: float = 0.0
    rows_across: bool = False
    winding: bool = False
    seed: int = 0

    @cached_property
    def bounds_m(self) -> tuple[float, float, float, float]:
        """West, south, east, north of where it can be seen."""
        low, high = self.line.xy.min(axis=0), self.line.xy.max(axis=0)
        reach = self.reach_m
        return low[0] - reach, low[1] - reach, high[0] + reach, high[1] + reach

    @cached_property
    def reach_m(self) -> float:
        """How far from the line it can be seen."""
        return (
            abs(self.shift_m) + 0.5 * (self.pair_m + self.width_m) + self.soft_m
            + 3.0 * self.rough_m + 0.1
        )  # fmt: skip


def paint_stroke(
    albedo: Float32Array, window: Window, texture: Float32Array, stroke: Stroke
) -> None:
    """Paints a band over `albedo` (H, W, 3)."""
    area = window.part(*stroke.bounds_m)
    if area is None:
        return
    i, j = area.col - window.col, area.row - window.row
    rows, cols = slice(j, j + area.height), slice(i, i + area.width)
    albedo, texture, window = albedo[rows, cols], texture[:, rows, cols], area
    coarse = window.coarse(0.125 if stroke.winding else 0.5, 0.0)
    found = stroke.line.field(coarse, stroke.reach_m + 1.0)
    if found is None:
        return
    station, offset = found
    if float(np.abs(offset).min()) > stroke.reach_m + coarse.px_m:
        return
    base, lightness, tint, tint_amounts = stroke.material.arrays
    shape = np.array(
        [
            0.5 * stroke.width_m, 0.5 * stroke.inner_m, stroke.shift_m, 0.5 * stroke.pair_m,
            stroke.alpha, max(stroke.soft_m, window.px_m), stroke.rough_m, stroke.round_frac,
            *stroke.dash_m, *stroke.fade_m, stroke.patchy, stroke.patchy_m, stroke.bevel,
            stroke.reach_m, stroke.line.length_m, 1.6 * coarse.px_m, stroke.rows_m,
            float(stroke.rows_across),
        ]
    )  # fmt: skip
    place = np.array([coarse.col, coarse.row, window.col, window.row])
    _paint(
        albedo, texture, station, offset, place, coarse.px_m / window.px_m, shape,
        base, lightness, tint, tint_amounts, stroke.seed,
    )  # fmt: skip


@njit(cache=True)
def _paint(
    albedo: Float32Array,
    texture: Float32Array,
    station: Float32Array,
    offset: Float32Array,
    place: FloatArray,
    ratio: float,
    shape: FloatArray,
    base: Float32Array,
    lightness: Float32Array,
    tint: Float32Array,
    tint_amounts: Float32Array,
    seed: int,
) -> None:
    half, inner, shift, pair = shape[0], shape[1], shape[2], shape[3]
    alpha, soft, rough, rounded = shape[4], shape[5], shape[6], shape[7]
    dash_on, dash_period, fade_in, fade_out = shape[8], shape[9], shape[10], shape[11]
    patchy, patchy_m, bevel, reach, length = shape[12], shape[13], shape[14], shape[15], shape[16]
    rows = shape[18]
    height, width = albedo.shape[0], albedo.shape[1]
    # Of each column of pixels the coarse column left of it, how far on, and where the next begins.
    cells, parts = np.empty(width, np.int64), np.empty(width)
    following = np.full(width, width)
    for i in range(width):
        u = (place[2] + i + 0.5) / ratio - 0.5
        parts[i] = u - np.floor(u)
        cells[i] = int(np.floor(u)) - place[0]
    for i in range(width - 2, -1, -1):
        following[i] = following[i + 1] if cells[i] == cells[i + 1] else i + 1
    for j in range(height):
        v = (place[3] + j + 0.5) / ratio - 0.5
        kv = np.floor(v)
        g = v - kv
        row = int(kv) - place[1]
        following_i = 0
        while following_i < width:
            i = following_i
            following_i += 1
            col, f = cells[i], parts[i]
            o00, o01 = offset[row, col], offset[row, col + 1]
            o10, o11 = offset[row + 1, col], offset[row + 1, col + 1]
            if min(min(abs(o00), abs(o01)), min(abs(o10), abs(o11))) > reach + 1.0:
                following_i = following[i]
                continue
            spread = max(max(o00, o01), max(o10, o11)) - min(min(o00, o01), min(o10, o11))
            if spread > shape[17]:
                # Beyond an end the sign of the offset flips across the line's continuation.
                following_i = following[i]
                continue
            d = (o00 * (1 - f) + o01 * f) * (1 - g) + (o10 * (1 - f) + o11 * f) * g
            t = d - shift
            if abs(t) > reach:
                continue
            s = (station[row, col] * (1 - f) + station[row, col + 1] * f) * (1 - g) + (
                station[row + 1, col] * (1 - f) + station[row + 1, col + 1] * f
            ) * g
            if s <= 0.001 or s >= length - 0.001:
                continue
            if pair > 0.0:
                t = abs(t) - pair
            noise = rough * (0.7 * texture[1, j, i] + 0.5 * texture[0, j, i])
            depth = half - abs(t) + noise
            a = depth / soft + 0.5
            if a <= 0.0:
                continue
            a = min(a, 1.0)
            if inner > 0.0:
                a *= min(1.0, max(0.0, (abs(t) - inner + noise) / soft + 0.5))
            if rounded > 0.0:
                q = min(1.0, abs(t) / half)
                a *= 1.0 - rounded * q * q
            if dash_period > 0.0 and s % dash_period >= dash_on:
                continue
            if fade_in > 0.0:
                a *= min(1.0, s / fade_in)
            if fade_out > 0.0:
                a *= min(1.0, (length - s) / fade_out)
            if patchy > 0.0:
                wave = smooth_1d(s / patchy_m, seed) + 0.5 * texture[1, j, i]
                a *= min(1.0, max(0.0, 1.0 + patchy * (0.8 * wave - 0.6)))
            if rows > 0.0:
                across = s if shape[19] > 0.0 else t
                ridge = np.cos(6.2831853 * (across + 0.12 * rows * texture[2, j, i]) / rows)
                wild = 0.5 * texture[1, j, i] + 0.35 * texture[0, j, i]
                a *= min(1.0, max(0.0, 0.5 + 1.6 * ridge + wild))
            a *= alpha
            light = (
                lightness[0] * texture[0, j, i]
                + lightness[1] * texture[1, j, i]
                + lightness[2] * texture[2, j, i]
                + bevel * min(1.0, max(-1.0, t / half))
            )
            hue = tint_amounts[0] * texture[3, j, i] + tint_amounts[1] * texture[4, j, i]
            for c in range(3):
                x = light + hue * tint[c]
                # exp to third order: the same in scalar and vector code, unlike a library's.
                value = base[c] * max(0.05, 1.0 + x * (1.0 + x * (0.5 + x * 0.16666667)))
                albedo[j, i, c] += np.float32(a * (value - albedo[j, i, c]))
