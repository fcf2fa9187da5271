"""Rows in the ground: where a picture repeats itself in one direction, as beds and crops do.

Windows of the picture are looked at in the frequency domain. Rows put their power into one place
of the spectrum (a period and a direction); grass, crowns and rubble spread it over all directions;
a single edge, a road or a picture stretched by its own making (as orthophotos are beside steep
ground) spreads it over all periods of one direction. So a window holds rows if one frequency stands
out both from its ring (same period, all directions) and from its spoke (same direction, other
periods).

Two signals are looked at: lightness, and the colour ratio of green to red and blue. Light and shade
on one material change the first only; plants in soil change the second too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.fft
import shapely
from numba import njit

from analysis.raster import Orthophoto, Patch
from corridor.values import FloatArray

WINDOW_PX = 64
HOP_PX = 16
LEAST_CYCLES, MOST_CYCLES = 6, 16
"""Periods that fit into a window: fewer are no rows yet, more are finer than four pixels."""

_OCTAVES_M = (0.07, 0.125, 0.22)
"""Working pixels; their periods are 0.28-0.75 m, 0.5-1.33 m, 0.88-2.35 m."""

_BLOCK_WINDOWS = 48
_VALID_FRAC = 0.9
# Sensor values added before logarithms, so that the noise of dark pixels does not count as colour.
_TOE_DN = 12.0


class RowWindow(NamedTuple):
    """What one window shows.

    Attributes:
        row, column: place on the grid of windows of its octave.
        period_m: across the rows.
        along_rad: direction of the rows, 0 to pi, counter-clockwise from east.
        ring: the peak over the mean of its ring without what stands out in it.
        spoke: the peak over the mean of its spoke.
        colour: the ring of the colour signal at the same place.
        grain: fine texture along the rows over that across them: about 1 of things that grow, far
            below of a picture that was stretched.
    """

    row: int
    column: int
    period_m: float
    along_rad: float
    ring: float
    spoke: float
    colour: float
    grain: float


@dataclass(frozen=True)
class Octave:
    """One working resolution of a picture, and the grid of windows on it."""

    gsd_m: float
    left: float
    top: float

    @property
    def hop_m(self) -> float:
        """Distance between windows."""
        return HOP_PX * self.gsd_m

    @property
    def window_m(self) -> float:
        """Side of a window."""
        return WINDOW_PX * self.gsd_m

    def centre(self, row: float, column: float) -> tuple[float, float]:
        """x, y of the middle of a window."""
        half = self.window_m / 2
        return self.left + column * self.hop_m + half, self.top - row * self.hop_m - half


def octaves(ortho: Orthophoto) -> list[Octave]:
    """The working resolutions that a picture is fine enough for.

    A picture coarser than a resolution takes its own instead, if that is not the next one already.
    """
    left, top = ortho.bounds[0], ortho.bounds[3]
    sizes: list[float] = []
    for wanted_m in _OCTAVES_M:
        gsd_m = max(wanted_m, ortho.gsd_m)
        if gsd_m <= 1.4 * wanted_m and (not sizes or gsd_m > 1.3 * sizes[-1]):
            sizes.append(gsd_m)
    return [Octave(gsd_m, left, top) for gsd_m in sizes]


def signals(patch: Patch) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Lightness and green against red and blue, both as logarithms, each (H, W).

    The second does not change with the strength of the light, and a white balance only shifts it.
    """
    red, green, blue = np.log(np.moveaxis(patch.rgb, 2, 0).astype(np.float32) + _TOE_DN)
    return (red + green + blue) / 3.0, green - (red + blue) / 2.0


def row_windows(ortho: Orthophoto, octave: Octave, area: shapely.Geometry) -> Iterator[RowWindow]:
    """What each window shows whose middle lies in an area, in the picture's CRS, block by block."""
    west, south, east, north = shapely.bounds(area)
    half = octave.window_m / 2
    column0 = max(int(np.floor((west - octave.left - half) / octave.hop_m)), 0)
    column1 = int(np.ceil((east - octave.left - half) / octave.hop_m)) + 1
    row0 = max(int(np.floor((octave.top - north - half) / octave.hop_m)), 0)
    row1 = int(np.ceil((octave.top - south - half) / octave.hop_m)) + 1
    shapely.prepare(area)
    for row in range(row0, row1, _BLOCK_WINDOWS):
        for column in range(column0, column1, _BLOCK_WINDOWS):
            rows = np.arange(row, min(row + _BLOCK_WINDOWS, row1))
            columns = np.arange(column, min(column + _BLOCK_WINDOWS, column1))
            x, _ = octave.centre(0, columns.astype(float))  # type: ignore[arg-type]
            _, y = octave.centre(rows.astype(float), 0)  # type: ignore[arg-type]
            wanted = shapely.contains_xy(area, *np.meshgrid(x, y))
            if wanted.any():
                yield from _block(ortho, octave, rows, columns, wanted)


def _block(
    ortho: Orthophoto,
    octave: Octave,
    rows: npt.NDArray[np.int_],
    columns: npt.NDArray[np.int_],
    wanted: npt.NDArray[np.bool_],
) -> list[RowWindow]:
    left = octave.left + columns[0] * octave.hop_m
    top = octave.top - rows[0] * octave.hop_m
    width_m = ((len(columns) - 1) * HOP_PX + WINDOW_PX) * octave.gsd_m
    height_m = ((len(rows) - 1) * HOP_PX + WINDOW_PX) * octave.gsd_m
    bounds = (left, top - height_m, left + width_m, top)
    if not ortho.overlaps(bounds):
        return []
    patch = ortho.read(bounds, octave.gsd_m)
    light, colour = signals(patch)
    windows = [
        _strided(values)[: len(rows), : len(columns)] for values in (light, colour, patch.valid)
    ]
    shape = windows[0].shape[:2]
    enough = windows[2].mean(axis=(2, 3)) >= _VALID_FRAC
    index = np.argwhere(wanted[: shape[0], : shape[1]] & enough)
    found: list[RowWindow] = []
    for chunk in np.array_split(index, max(1, len(index) // 256)):
        if len(chunk):
            at = tuple(chunk.T)
            good = windows[2][at]
            power = [_power(values[at], good) for values in windows[:2]]
            for (i, j), values in zip(
                chunk, _peaks(*power, _RADIUS, _CANDIDATES, _RING_BINS, _RING_STARTS), strict=True
            ):
                ky, kx, ring, spoke, tint, grain = values.tolist()
                found.append(
                    RowWindow(
                        row=int(rows[i]),
                        column=int(columns[j]),
                        period_m=octave.window_m / float(np.hypot(ky, kx)),
                        # Image rows run south: a wave vector (ky, kx) points to (kx, -ky).
                        along_rad=float((np.arctan2(-ky, kx) + np.pi / 2) % np.pi),
                        ring=ring,
                        spoke=spoke,
                        colour=tint,
                        grain=grain,
                    )
                )
    return found


def _strided(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """All windows of an array, (rows, columns, WINDOW_PX, WINDOW_PX), without copying."""
    views = np.lib.stride_tricks.sliding_window_view(values, (WINDOW_PX, WINDOW_PX))
    return views[::HOP_PX, ::HOP_PX]


_HANN = np.hanning(WINDOW_PX).astype(np.float32)
_TAPER = np.outer(_HANN, _HANN)


def _power(values: npt.NDArray[np.float32], good: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """Power of windows (N, S, S) in (N, S, S / 2 + 1), each pixel summed with its neighbours."""
    count = np.maximum(good.sum(axis=(1, 2), keepdims=True), 1)
    mean = np.where(good, values, 0.0).sum(axis=(1, 2), keepdims=True) / count
    spectrum = scipy.fft.rfft2(np.where(good, values - mean, 0.0).astype(np.float32) * _TAPER)
    power = spectrum.real**2 + spectrum.imag**2
    # The taper spreads a pure wave over its neighbours; together they hold its power.
    power = power + np.roll(power, 1, axis=1) + np.roll(power, -1, axis=1)
    wide = power.copy()
    wide[:, :, 1:] += power[:, :, :-1]
    wide[:, :, :-1] += power[:, :, 1:]
    # To the left of column 0 lies the mirror image of column 1.
    mirror = np.roll(power[:, ::-1, 1], 1, axis=1)
    wide[:, :, 0] += mirror
    return np.asarray(wide, dtype=np.float32)


def _frequencies() -> tuple[FloatArray, npt.NDArray[np.int_]]:
    ky = np.fft.fftfreq(WINDOW_PX, 1.0 / WINDOW_PX)[:, None]
    kx = np.arange(WINDOW_PX // 2 + 1)[None, :]
    radius = np.hypot(ky, kx)
    chosen = (radius >= LEAST_CYCLES) & (radius <= MOST_CYCLES) & ((kx > 0) | (ky > 0))
    return radius, np.argwhere(chosen)


_RADIUS, _CANDIDATES = _frequencies()


def _rings() -> tuple[npt.NDArray[np.int_], npt.NDArray[np.int_]]:
    """The places of each ring, one after another, and where each ring's begin."""
    places = [np.argwhere(np.abs(_RADIUS - ring) < 0.75) for ring in range(34)]
    starts = np.concatenate([[0], np.cumsum([len(place) for place in places])])
    return np.concatenate(places), starts


_RING_BINS, _RING_STARTS = _rings()
_SPOKE_FROM, _SPOKE_TO = 3, 26
# A peak falls to half or less of itself this many cycles nearer and farther: the taper's main lobe
# is four cycles wide.
_FLANK_CYCLES, _FLANK_FRAC = 2.5, 0.5
_FINE_FROM, _FINE_TO = 12, 30
# The mean of a ring is told from a low quantile of its exponential spread, which rows and edges, in
# few places of the ring, do not lift.
_RING_QUANTILE = 0.3


@njit(cache=True)
def _peaks(
    light: Any, colour: Any, radius: Any, candidates: Any, ring_bins: Any, ring_starts: Any
) -> Any:  # pragma: no cover - compiled
    """For each window: ky, kx of the peak, then ring, spoke, colour and grain of `RowWindow`."""
    count, height, width = light.shape
    out = np.zeros((count, 6))
    rings = np.zeros((2, 34))
    values = np.zeros(400)
    for n in range(count):
        for channel in range(2):
            power = light[n] if channel == 0 else colour[n]
            for ring in range(3, 34):
                first, end = ring_starts[ring], ring_starts[ring + 1]
                for place in range(first, end):
                    values[place - first] = power[ring_bins[place, 0], ring_bins[place, 1]]
                ordered = np.sort(values[: end - first])
                level = ordered[int(_RING_QUANTILE * (end - first))]
                rings[channel, ring] = level / -np.log(1.0 - _RING_QUANTILE) + 1e-12
        best = -1.0
        for c in range(candidates.shape[0]):
            y, x = candidates[c, 0], candidates[c, 1]
            level = radius[y, x]
            low = int(level)
            part = level - low
            ratio_light = light[n, y, x] / (rings[0, low] * (1 - part) + rings[0, low + 1] * part)
            ratio_colour = colour[n, y, x] / (rings[1, low] * (1 - part) + rings[1, low + 1] * part)
            ratio = max(ratio_light, ratio_colour)
            if ratio > best:
                signed = y if y < height // 2 else y - height
                channel = 0 if ratio_light >= ratio_colour else 1
                power = light[n] if channel == 0 else colour[n]
                is_peak = True
                for way in (-1.0, 1.0):
                    ring_at = level + way * _FLANK_CYCLES
                    v = int(np.round(signed * ring_at / level)) % height
                    u = int(np.round(x * ring_at / level))
                    beside = power[v, u] / rings[channel, int(np.round(ring_at))]
                    # Towards longer waves the power itself counts too: that of an edge grows on and
                    # on, and at few cycles it fills much of its ring.
                    longer = way < 0.0 and power[v, u] > power[y, x]
                    if beside > _FLANK_FRAC * ratio or longer:
                        is_peak = False
                if not is_peak:
                    continue
                best = ratio
                out[n, 0], out[n, 1], out[n, 2] = signed, x, ratio
                out[n, 3] = 0.0 if ratio_light >= ratio_colour else 1.0
                out[n, 4] = ratio_colour
        if best < 0.0:
            out[n, 0] = 1.0
            out[n, 3] = 0.0
            continue
        channel = int(out[n, 3])
        power = light[n] if channel == 0 else colour[n]
        length = np.hypot(out[n, 0], out[n, 1])
        total = 0.0
        number = 0
        for ring in range(_SPOKE_FROM, _SPOKE_TO):
            if abs(ring - length) < 3.0 or abs(ring - 2.0 * length) < 3.0:
                continue
            y = int(np.round(out[n, 0] * ring / length))
            x = int(np.round(out[n, 1] * ring / length))
            total += power[y % height, x] / rings[channel, ring]
            number += 1
        out[n, 3] = out[n, 2] / max(total / max(number, 1), 1.0)
        along, across = 0.0, 0.0
        along_count, across_count = 0, 0
        for y in range(height):
            signed = y if y < height // 2 else y - height
            for x in range(width):
                size_at = radius[y, x]
                if size_at < _FINE_FROM or size_at > _FINE_TO:
                    continue
                value = light[n, y, x] / rings[0, int(np.round(size_at))]
                turn = abs(signed * out[n, 0] + x * out[n, 1]) / (size_at * length)
                if turn < 0.35:
                    along += value
                    along_count += 1
                elif turn > 0.94:
                    cycles = size_at / length
                    if abs(cycles - np.round(cycles)) * length >= 3.0:
                        across += value
                        across_count += 1
        if across_count > 0 and along_count > 0:
            out[n, 5] = (along / along_count) / max(across / across_count, 1e-9)
    return out
