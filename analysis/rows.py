"""Rows in a bed: whether it repeats itself along or across, as planted ground does.

A rectangle of ground is averaged along each of its sides in turn. Rows leave a wave in one of the
two averages, and the same wave in the average of either half of the bed, since rows go through it;
grass, rubble and noise do not agree from one half to the other. A step or a single line, a kerb or
a pipe, goes through as well, but its average is no wave: it has no peak at one period.

Two signals are looked at: lightness, and the colour ratio of green to red and blue. Light and shade
on one material change the first only; plants in soil change the second too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import shapely
from affine import Affine
from scipy.fft import next_fast_len, rfft

from analysis.raster import Orthophoto, Patch
from corridor.values import FloatArray

GSD_M = 0.05
"""The finest pixel that is looked at: five to the finest rows."""
PERIODS_M = (0.28, 1.8)
"""Rows are laid out to be reached across; what repeats more widely is posts, or an orchard."""
_PIXELS_A_PERIOD = 4.0
_LEAST_ROWS = 2.5
"""Periods in the rectangle: two lines are no rows yet."""
_TRIM_M = 0.15
"""Left off at each edge, where the ground around shows through."""
# Sensor values added before logarithms, so that the noise of dark pixels does not count as colour.
_TOE_DN = 12.0
CLEAR = 0.25
"""From here on rows are rows (`Rows.clear`): ground without any seldom comes to it."""
_MOST_TURN_DEG = 10.0
"""How far a rectangle may lie from its rows."""
_STRIP_M = 0.4
_MOST_GROWTH_M = 8.0
_GROWTH_FRAC = 0.5
_STEPS = 6.0
"""Frequencies tried for each that a length can tell apart."""


class Rows(NamedTuple):
    """The clearest rows of a rectangle.

    Attributes:
        period_m: from row to row; 0 where it is too small to tell any.
        along_rad: their direction, 0 to pi, counter-clockwise from east.
        agree: correlation of the two halves' waves, -1 to 1.
        wave: share of the average's variance that one period holds, 0 to 1.
        mix: share of the lesser of two colours that the ground splits into.
        axis: 0 if they repeat along the rectangle's first side, 1 along its second.
        signal: 0 if lightness shows them best, 1 if colour does.
        tint: the wave's strength in colour over that in lightness: light and shade have none.
    """

    period_m: float
    along_rad: float
    agree: float
    wave: float
    mix: float
    axis: int = 0
    signal: int = 0
    tint: float = 0.0

    @property
    def clear(self) -> float:
        """How clear they are, 0 to 1."""
        return max(self.agree, 0.0) * self.wave


def signals(patch: Patch) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Lightness and green against red and blue, both as logarithms, each (H, W).

    The second does not change with the strength of the light, and a white balance only shifts it.
    """
    red, green, blue = np.log(np.moveaxis(patch.rgb, 2, 0).astype(np.float32) + _TOE_DN)
    return (red + green + blue) / 3.0, green - (red + blue) / 2.0


def rows_in(ortho: Orthophoto, outline: shapely.Polygon) -> tuple[Rows, shapely.Polygon]:
    """What a rectangle shows of rows along or across it, and the rectangle laid along them.

    Beds are laid out along their rows or across them, and rows tell a direction more exactly than
    ragged edges do: it is turned a little to where they are clearest.

    Args:
        ortho: the picture.
        outline: four corners in the picture's CRS.
    """
    corners = shapely.get_coordinates(outline)[:4]
    margin_m = 4 * max(GSD_M, ortho.gsd_m) + 0.08 * float(np.ptp(corners, axis=0).max())
    low, high = corners.min(axis=0) - margin_m, corners.max(axis=0) + margin_m
    patch = ortho.read((low[0], low[1], high[0], high[1]), GSD_M)
    planes, pixel_m = signals(patch), patch.affine.a
    straight = _straightened(planes, patch.affine, corners)
    best, shown, laid = _rows(straight, corners, pixel_m), straight, outline
    first, other = corners[1] - corners[0], corners[3] - corners[0]
    hand = math.copysign(1.0, first[0] * other[1] - first[1] * other[0])
    for axis in (0, 1):
        for plane in straight:
            # Crests that shift along one side with the other: the other is turned to that side.
            turn_rad = hand * _turn(plane if axis == 0 else plane.T, pixel_m)
            turned = _turned(corners, -turn_rad if axis == 0 else turn_rad)
            again = _straightened(planes, patch.affine, turned)
            rows = _rows(again, turned, pixel_m)
            if rows.clear > best.clear:
                best, shown, laid = rows, again, shapely.Polygon(turned)
    best = best._replace(mix=_mix_frac(shown[1]), tint=_tint(shown, best, pixel_m))
    return best, (laid if best.clear >= CLEAR else outline)


def _turn(values: npt.NDArray[np.float32], pixel_m: float) -> float:
    """How far from straight down the clearest wave's crests run, in radians.

    The mean over strips across the rows is a wave in each; from strip to strip it shifts.
    """
    height, width = values.shape
    shortest = max(PERIODS_M[0], _PIXELS_A_PERIOD * pixel_m)
    longest = min(PERIODS_M[1], width * pixel_m / _LEAST_ROWS)
    strip = max(1, round(_STRIP_M / pixel_m))
    count = height // strip
    if count < 2 or longest <= shortest:
        return 0.0
    strips = values[: count * strip].reshape(count, strip, width).mean(axis=1)
    flat = _flat(strips, longest, pixel_m)
    x_m = (np.arange(width) + 0.5) * pixel_m
    low, high = 1.0 / longest, 1.0 / shortest
    frequencies = np.linspace(low, high, 2 + int(2.0 * width * pixel_m * (high - low)))
    waves = flat @ np.exp(-2j * math.pi * np.outer(x_m, frequencies))
    slopes = np.tan(np.radians(np.arange(-_MOST_TURN_DEG, _MOST_TURN_DEG + 0.1, 0.4)))
    # The sum of the strips' waves, each shifted once more than the one before.
    shift = np.exp(2j * math.pi * strip * pixel_m * np.outer(slopes, frequencies))
    total = np.zeros_like(shift)
    for wave in waves[::-1]:
        total = total * shift + wave
    best = np.unravel_index(np.argmax(np.abs(total)), total.shape)[0]
    return float(np.arctan(slopes[best]))


def _turned(corners: FloatArray, turn_rad: float) -> FloatArray:
    c, s = math.cos(turn_rad), math.sin(turn_rad)
    middle = corners.mean(axis=0)
    return np.asarray((corners - middle) @ np.array([[c, s], [-s, c]]) + middle)


def grown(ortho: Orthophoto, outline: shapely.Polygon, rows: Rows) -> shapely.Polygon:
    """A rectangle as far as its rows go on beyond it, along them and across.

    Plants come and go, and what shows a bed with them; its rows stay in step from end to end.
    Ground beside it has none, and rows of the next bed are out of step with them.

    Args:
        ortho: the picture.
        outline: four corners in the picture's CRS, along the rows (`rows_in`).
        rows: what it shows.
    """
    corners = shapely.get_coordinates(outline)[:4]
    first, other = corners[1] - corners[0], corners[3] - corners[0]
    if rows.axis == 1:
        corners, (first, other) = corners[[0, 3, 2, 1]], (other, first)
    one, two = first / np.hypot(*first), other / np.hypot(*other)
    reach_m = _MOST_GROWTH_M + _TRIM_M
    wide = corners + reach_m * np.array([-one - two, one - two, one + two, two - one])
    low, high = wide.min(axis=0), wide.max(axis=0)
    patch = ortho.read((low[0] - 1, low[1] - 1, high[0] + 1, high[1] + 1), GSD_M)
    pixel_m = patch.affine.a
    values = _straightened(signals(patch), patch.affine, wide)[rows.signal]
    period_px = rows.period_m / pixel_m
    smooth = cv2.blur(values, (max(3, round(period_px)), 1), borderType=cv2.BORDER_REFLECT)
    turns = np.exp(-2j * math.pi * np.arange(values.shape[1]) / period_px)
    wave = (values - smooth) * turns
    height, width = values.shape
    edge = round(_MOST_GROWTH_M / pixel_m)
    left, right, top, bottom = edge, width - edge, edge, height - edge
    inside = abs(complex(wave[top:bottom, left:right].mean()))
    step, strip = max(2, round(period_px)), max(2, round(_STRIP_M / pixel_m))
    grew = True
    while grew:
        grew = False
        for end in (-1, 1):
            # Along the rows: the same wave, in the next strip.
            at = slice(top - strip, top) if end < 0 else slice(bottom, bottom + strip)
            if at.start >= 0 and at.stop <= height:
                own = complex(wave[top:bottom, left:right].mean())
                if _in_step(complex(wave[at, left:right].mean()), own, inside):
                    top, bottom, grew = min(top, at.start), max(bottom, at.stop), True
            # Across them: one more row, in step with the last two.
            at = slice(left - step, left) if end < 0 else slice(right, right + step)
            if at.start >= 0 and at.stop <= width:
                last = slice(left, left + 2 * step) if end < 0 else slice(right - 2 * step, right)
                own = complex(wave[top:bottom, last].mean())
                if _in_step(complex(wave[top:bottom, at].mean()), own, inside):
                    left, right, grew = min(left, at.start), max(right, at.stop), True
    out_m = np.array([edge - left, right - (width - edge), edge - top, bottom - (height - edge)])
    out_m = np.maximum(out_m, 0) * pixel_m
    return shapely.Polygon(
        [
            corners[0] - out_m[0] * one - out_m[2] * two,
            corners[1] + out_m[1] * one - out_m[2] * two,
            corners[2] + out_m[1] * one + out_m[3] * two,
            corners[3] - out_m[0] * one + out_m[3] * two,
        ]
    )


def _in_step(wave: complex, own: complex, inside: float) -> bool:
    """Whether a wave is as strong as half of what is inside, and in phase with what it goes on."""
    return (wave * own.conjugate()).real >= _GROWTH_FRAC * inside * max(abs(own), 1e-12)


def _straightened(
    planes: tuple[Any, Any], affine: Affine, corners: FloatArray
) -> list[npt.NDArray[np.float32]]:
    """Planes within a rectangle, columns along its first side, a little left off at its edges."""
    pixel_m = affine.a
    sides = np.array([corners[1] - corners[0], corners[3] - corners[0]])
    lengths_m = np.hypot(*sides.T)
    unit = sides / np.maximum(lengths_m, 1e-9)[:, None]
    size = np.maximum(np.floor((lengths_m - 2 * _TRIM_M) / pixel_m).astype(int), 1)
    # Cell (column, row) of the straightened rectangle to x, y, to the patch's pixels.
    start = corners[0] + unit.sum(axis=0) * (_TRIM_M + pixel_m / 2)
    inverse = ~affine
    linear = np.array([[inverse.a, inverse.b], [inverse.d, inverse.e]])
    into = np.column_stack(
        [linear @ unit[0] * pixel_m, linear @ unit[1] * pixel_m, np.array(inverse * start) - 0.5]
    )
    return [
        cv2.warpAffine(
            plane, into, (int(size[0]), int(size[1])), borderMode=cv2.BORDER_REPLICATE,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        )
        for plane in planes
    ]  # fmt: skip


def _rows(straight: Sequence[npt.NDArray[np.float32]], corners: FloatArray, pixel_m: float) -> Rows:
    """The clearest rows of a rectangle, without its mix and their tint."""
    best = Rows(0.0, 0.0, 0.0, 0.0, 0.0)
    for axis in (0, 1):
        # The wave runs along side `axis`; rows run along the other.
        along = corners[3] - corners[0] if axis == 0 else corners[1] - corners[0]
        towards_rad = float(np.arctan2(along[1], along[0]) % np.pi)
        for signal, plane in enumerate(straight):
            period_m, agree, wave = _wave(plane if axis == 0 else plane.T, pixel_m)
            rows = Rows(period_m, towards_rad, agree, wave, 0.0, axis, signal)
            if rows.clear > best.clear:
                best = rows
    return best


def _tint(straight: Sequence[npt.NDArray[np.float32]], rows: Rows, pixel_m: float) -> float:
    if not rows.period_m:
        return 0.0
    lightness, colour = (
        _strength(plane if rows.axis == 0 else plane.T, pixel_m, rows.period_m)
        for plane in straight
    )
    return colour / max(lightness, 1e-6)


def _strength(values: npt.NDArray[np.float32], pixel_m: float, period_m: float) -> float:
    (profile,) = _flat(values.mean(axis=0)[None, :], period_m, pixel_m)
    turns = np.exp(-2j * math.pi * pixel_m / period_m * np.arange(len(profile)))
    return float(abs((profile * turns).mean()))


def _wave(values: npt.NDArray[np.float32], pixel_m: float) -> tuple[float, float, float]:
    """Period, agreement of the halves and share of one period of the mean over the rows."""
    height, width = values.shape
    shortest = max(PERIODS_M[0], _PIXELS_A_PERIOD * pixel_m)
    longest = min(PERIODS_M[1], width * pixel_m / _LEAST_ROWS)
    if height < 6 or longest <= shortest:
        return 0.0, 0.0, 0.0
    half = height // 2
    means = np.stack([values[:half].mean(axis=0), values[half:].mean(axis=0)])
    halves = _flat(means, longest, pixel_m)
    spread = halves.std(axis=1)
    if spread.min() < 1e-6:
        return 0.0, 0.0, 0.0
    agree = float((halves[0] * halves[1]).mean() / spread.prod())
    whole = halves.mean(axis=0)
    # Filled up with zeros, so that frequencies are told more finely than the length can.
    count = next_fast_len(math.ceil(_STEPS * width), real=True)
    share = 2.0 * np.abs(rfft(whole, count)) ** 2 / (width * max((whole**2).sum(), 1e-12))
    reach_m = count * pixel_m
    low = math.ceil(reach_m / longest)
    high = max(math.floor(reach_m / shortest), low)
    peak = low + int(np.argmax(share[low : high + 1]))
    total = float(share[peak])
    # Rows are seldom sine waves: their second harmonic is theirs.
    if 2 * peak < len(share):
        total += float(share[2 * peak])
    return reach_m / peak, agree, min(total, 1.0)


def _flat(profiles: npt.NDArray[Any], longest_m: float, pixel_m: float) -> FloatArray:
    """Profiles (N, L) without what changes more slowly than rows."""
    values = profiles.astype(np.float64)
    sigma = 0.6 * longest_m / pixel_m
    reach = 2 * round(4 * sigma) + 1
    smooth = cv2.GaussianBlur(values, (reach, 1), sigma, borderType=cv2.BORDER_REFLECT)
    flat = values - smooth
    return np.asarray(flat - flat.mean(axis=1, keepdims=True))


def _mix_frac(colour: npt.NDArray[Any]) -> float:
    """The share of the lesser of two colours, split by Otsu's threshold."""
    low, high = np.percentile(colour, [0.5, 99.5])
    scaled = np.clip((colour - low) / max(high - low, 1e-9) * 255, 0, 255).astype(np.uint8)
    threshold, _ = cv2.threshold(scaled, 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    share = float((scaled > threshold).mean())
    return min(share, 1.0 - share)
