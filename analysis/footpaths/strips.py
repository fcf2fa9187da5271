"""The directed two-flank filter: a strip of ground unlike both of its flanks, which are alike.

A path is not an edge: what lies left of it and right of it is the same ground. For each direction
and width, the mean over a straight strip is compared with the means of the strips beside it, in
units of what such differences are in the ground around (so that thresholds hold on grass and on
dust). Sums are of whole numbers, hence the same in every window.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from numba import njit

from analysis.footpaths.channels import LAB_STEPS, odd_px

Array = npt.NDArray[Any]

DIRECTIONS = 16
"""Bins over 180 degrees; bin j runs along (cos, sin) of j * 11.25 degrees, x right, y down."""
Z_STEPS = 64
"""Steps per unit of z as the integration takes it."""
Z_RANGE = (-1.0, 5.0)
"""Limits of z: one bright stone must not make a path, one bush must not end it."""
Z_KNEE = 3.0
"""Above it z is compressed."""
NOISE_WINDOW_M = 10.0
NOISE_FACTOR = 1.25
"""Mean absolute value to standard deviation of a normal variate (sqrt(pi / 2))."""
NOISE_FLOOR = (0.25, 0.15)
"""Least noise of a strip's difference in L* and a*."""
UNLIKE_PENALTY = 0.25
FLANK_AT = 1.15
"""Middle of a flank, in widths from the strip's middle."""

_BLOCK = 5

# Ways a worn strip differs from its flanks, as (L*, a*) of unit length and a handicap in z. Worn
# ground is mostly lighter, and redder than green; a dark strip is more often a shadow or a ditch.
CONTRASTS = np.array(
    [
        (1.00, 0.00, 0.0),
        (0.77, 0.64, 0.0),
        (0.30, 0.954, 0.1),
        (-0.60, 0.80, 0.5),
        (-1.00, 0.00, 0.7),
    ],
    np.float32,
)


@dataclass(frozen=True)
class Strip:
    """One width the filter looks for.

    Attributes:
        level: 0 for the working grid, 1 for 2 by 2 of its pixels averaged, 2 for 4 by 4.
        width_px, half_length_px: in pixels of that level.
        width_m: what that is on the ground.
    """

    level: int
    width_px: int
    half_length_px: int
    width_m: float


def strips_for(gsd_m: float, native_gsd_m: float, widths_m: tuple[float, ...]) -> list[Strip]:
    """The filter's widths on a working grid; those under 2 pixels of the picture are left out."""
    found: list[Strip] = []
    for width_m in widths_m:
        if width_m < 1.8 * native_gsd_m:
            continue
        level = min(2, max(0, int(math.log2(max(width_m / gsd_m / 3.0, 1.0)))))
        pixel_m = gsd_m * 2**level
        width_px = max(3, round(width_m / pixel_m))
        length_m = min(9.0, max(3.5, 5.0 * width_m))
        half_px = _BLOCK * max(1, round((length_m / pixel_m / _BLOCK - 1) / 2)) + _BLOCK // 2
        strip = Strip(level, width_px, half_px, width_px * pixel_m)
        if not any((s.level, s.width_px) == (level, width_px) for s in found):
            found.append(strip)
    return found


def reach_px(strips: list[Strip], gsd_m: float) -> int:
    """How far the filter and its noise window look, in pixels of the working grid."""
    window = round(NOISE_WINDOW_M / gsd_m / 2) + 8
    return max(2**strip.level * (_reach(strip) + 1) for strip in strips) + window


def _offsets(direction: int, steps: npt.NDArray[np.int64], across: bool) -> Array:
    """(n, 2) whole (row, column) offsets along a direction, or across it."""
    turn = direction * math.pi / DIRECTIONS
    x, y = math.cos(turn), math.sin(turn)
    if across:
        x, y = -y, x
    # Rounding half away from zero keeps the two sides mirror images.
    moved = np.column_stack([steps * y, steps * x])
    return (np.sign(moved) * np.floor(np.abs(moved) + 0.5 - 1e-9)).astype(np.int64)


# Rows are cut to what is used before the inner loops, which then count from 0: an index that could
# be negative keeps the compiler from using vector instructions (ten times slower). So does a check
# for division by zero, hence numpy's way with it.


@njit(cache=True)
def _row_sum(source, offsets, row, start, into):  # type: ignore[no-untyped-def]
    """Sums over offsets of a part of a row that starts at column `start`, up to five at once."""
    width = into.size
    count = offsets.shape[0]
    first = source[row + offsets[0, 0], start + offsets[0, 1] : start + offsets[0, 1] + width]
    if count < 3:
        for column in range(width):
            into[column] = first[column]
        done = 1
    else:
        second = source[row + offsets[1, 0], start + offsets[1, 1] : start + offsets[1, 1] + width]
        third = source[row + offsets[2, 0], start + offsets[2, 1] : start + offsets[2, 1] + width]
        if count < 5:
            for column in range(width):
                into[column] = first[column] + second[column] + third[column]
            done = 3
        else:
            at, to = start + offsets[3, 1], start + offsets[4, 1]
            fourth = source[row + offsets[3, 0], at : at + width]
            fifth = source[row + offsets[4, 0], to : to + width]
            for column in range(width):
                two = fourth[column] + fifth[column]
                into[column] = first[column] + second[column] + third[column] + two
            done = 5
    for index in range(done, count - 1, 2):
        at, to = start + offsets[index, 1], start + offsets[index + 1, 1]
        line = source[row + offsets[index, 0], at : at + width]
        other = source[row + offsets[index + 1, 0], to : to + width]
        for column in range(width):
            into[column] += line[column] + other[column]
    if (count - done) % 2 == 1:
        at = start + offsets[count - 1, 1]
        line = source[row + offsets[count - 1, 0], at : at + width]
        for column in range(width):
            into[column] += line[column]


@njit(cache=True)
def _line_sums(planes, offsets, margin, out):  # type: ignore[no-untyped-def]
    rows, columns = planes.shape[1:]
    out[:, :margin] = 0
    out[:, rows - margin :] = 0
    out[:, :, :margin] = 0
    out[:, :, columns - margin :] = 0
    for channel in range(2):
        for row in range(margin, rows - margin):
            into = out[channel, row, margin : columns - margin]
            _row_sum(planes[channel], offsets, row, margin, into)


@njit(cache=True)
def _add_differences(line, middle, left, right, margin, total):  # type: ignore[no-untyped-def]
    rows, columns = line.shape[1:]
    width = columns - 2 * margin
    c, a, b = (np.empty(width, np.int32), np.empty(width, np.int32), np.empty(width, np.int32))
    for channel in range(2):
        for row in range(margin, rows - margin):
            _row_sum(line[channel], middle, row, margin, c)
            _row_sum(line[channel], left, row, margin, a)
            _row_sum(line[channel], right, row, margin, b)
            into = total[channel, row, margin : columns - margin]
            for column in range(width):
                into[column] += abs(c[column] - a[column]) + abs(c[column] - b[column])


_TERMS = 8
"""Differences added up for the noise: four directions, two flanks."""


@njit(cache=True, error_model="numpy")
def _over_noise(totals, inside, half, least, factor, rim, out):  # type: ignore[no-untyped-def]
    """One over the mean of `totals` where `inside`, within `half` pixels, times a factor."""
    rows, columns = inside.shape
    count = np.zeros(columns, np.int64)
    sums = np.zeros((2, columns), np.int64)
    for row in range(-half, rows - rim):
        after, before = row + half, row - half - 1
        if after < rows:
            for column in range(columns):
                if inside[after, column]:
                    count[column] += 1
                    sums[0, column] += totals[0, after, column]
                    sums[1, column] += totals[1, after, column]
        if before >= 0:
            for column in range(columns):
                if inside[before, column]:
                    count[column] -= 1
                    sums[0, column] -= totals[0, before, column]
                    sums[1, column] -= totals[1, before, column]
        if row < rim:
            continue
        n, first, second = np.int64(0), np.int64(0), np.int64(0)
        for column in range(max(0, rim - half - 1), min(columns, rim + half)):
            n += count[column]
            first += sums[0, column]
            second += sums[1, column]
        for column in range(rim, columns - rim):
            if column + half < columns:
                n += count[column + half]
                first += sums[0, column + half]
                second += sums[1, column + half]
            if column - half - 1 >= 0:
                n -= count[column - half - 1]
                first -= sums[0, column - half - 1]
                second -= sums[1, column - half - 1]
            if inside[row, column]:
                out[0, row, column] = 1.0 / max(factor * (first / n), least[0])
                out[1, row, column] = 1.0 / max(factor * (second / n), least[1])


_CHUNK = 256
"""Columns worked on at once: what they need stays in the processor's nearest cache."""


@njit(cache=True, error_model="numpy")
def _best(  # type: ignore[no-untyped-def]
    line, middle, left, right, per_noise, contrasts, unlike, low, knee, high, steps, index,
    margin, z, which,
):  # fmt: skip
    rows, columns = z.shape
    # One buffer at fixed distances: the compiler need not ask whether its parts overlap.
    sums = np.empty((6, _CHUNK), np.int32)
    best = np.empty(_CHUNK, np.int16)
    u0, v0, h0 = contrasts[0, 0], contrasts[0, 1], contrasts[0, 2]
    u1, v1, h1 = contrasts[1, 0], contrasts[1, 1], contrasts[1, 2]
    u2, v2, h2 = contrasts[2, 0], contrasts[2, 1], contrasts[2, 2]
    u3, v3, h3 = contrasts[3, 0], contrasts[3, 1], contrasts[3, 2]
    u4, v4, h4 = contrasts[4, 0], contrasts[4, 1], contrasts[4, 2]
    for row in range(margin, rows - margin):
        for start in range(margin, columns - margin, _CHUNK):
            width = min(_CHUNK, columns - margin - start)
            for channel in range(2):
                first = 3 * channel
                _row_sum(line[channel], middle, row, start, sums[first, :width])
                _row_sum(line[channel], left, row, start, sums[first + 1, :width])
                _row_sum(line[channel], right, row, start, sums[first + 2, :width])
            n0 = per_noise[0, row, start : start + width]
            n1 = per_noise[1, row, start : start + width]
            for k in range(width):
                c0, a0, b0 = sums[0, k], sums[1, k], sums[2, k]
                c1, a1, b1 = sums[3, k], sums[4, k], sums[5, k]
                l0, r0 = np.float32(c0 - a0) * n0[k], np.float32(c0 - b0) * n0[k]
                l1, r1 = np.float32(c1 - a1) * n1[k], np.float32(c1 - b1) * n1[k]
                p, q = l0 * u0 + l1 * v0, r0 * u0 + r1 * v0
                value = max(low, min(p, q) - unlike * abs(p - q) - h0)
                p, q = l0 * u1 + l1 * v1, r0 * u1 + r1 * v1
                value = max(value, min(p, q) - unlike * abs(p - q) - h1)
                p, q = l0 * u2 + l1 * v2, r0 * u2 + r1 * v2
                value = max(value, min(p, q) - unlike * abs(p - q) - h2)
                p, q = l0 * u3 + l1 * v3, r0 * u3 + r1 * v3
                value = max(value, min(p, q) - unlike * abs(p - q) - h3)
                p, q = l0 * u4 + l1 * v4, r0 * u4 + r1 * v4
                value = max(value, min(p, q) - unlike * abs(p - q) - h4)
                # Compressed, not cut off: the middle of a strong path stays its highest place.
                over = max(value - knee, np.float32(0.0))
                value = min(value, knee) + (high - knee) * over / (over + high - knee)
                best[k] = np.int16(value * steps)
            into = z[row, start : start + width]
            number = which[row, start : start + width]
            for k in range(width):
                better = best[k] > into[k]
                number[k] = index if better else number[k]
                into[k] = best[k] if better else into[k]


def _halved(planes: Array) -> Array:
    total = planes[..., 0::2, 0::2].astype(np.int32)
    total = total + planes[..., 1::2, 0::2] + planes[..., 0::2, 1::2] + planes[..., 1::2, 1::2]
    return (total + 2) >> 2


@dataclass(frozen=True)
class StripEvidence:
    """What the filter found, on the grid of 2 by 2 working pixels.

    Attributes:
        z: (16, rows, columns) int16, steps of 1/64 of the noise.
        strip: (16, rows, columns) uint8, which of the strips gave it.
    """

    z: Array
    strip: Array


def strip_evidence(
    lab: Array, valid: Array, gsd_m: float, strips: list[Strip], rim_px: int = 0
) -> StripEvidence:
    """Runs the filter.

    Args:
        lab: (3, rows, columns) int16 as of `to_lab`; rows and columns multiples of 4, the window's
            corner at a multiple of 4 of the working grid.
        valid: (rows, columns) bool.
        gsd_m: of the working grid.
        strips: what to look for.
        rim_px: of the working grid, a multiple of 4: so far from the window's edges nothing is
            asked for, and it is left at the least.
    """
    rows, columns = valid.shape
    lowest = np.int16(round(Z_RANGE[0] * Z_STEPS))
    z = np.full((DIRECTIONS, rows // 2, columns // 2), lowest, np.int16)
    which = np.zeros(z.shape, np.uint8)
    planes = np.ascontiguousarray(lab[:2]).astype(np.int32)
    good = valid
    for level in range(3):
        if level:
            planes = _halved(planes)
            good = good[0::2, 0::2] & good[1::2, 0::2] & good[0::2, 1::2] & good[1::2, 1::2]
        here = [(i, strip) for i, strip in enumerate(strips) if strip.level == level]
        if here:
            _level(planes, good, gsd_m * 2**level, level, here, rim_px >> level, z, which)
    return StripEvidence(z, which)


def _level(
    planes: Array,
    good: Array,
    gsd_m: float,
    level: int,
    strips: list[tuple[int, Strip]],
    rim: int,
    z: Array,
    which: Array,
) -> None:
    """One level of the picture; `rim` and all else here in its pixels."""
    shape = good.shape
    window = odd_px(NOISE_WINDOW_M, gsd_m) // 2
    side = max(_side(strip) for _, strip in strips)
    planes = np.ascontiguousarray(planes, np.int32)
    line = np.empty((2, *shape), np.int32)
    margins = [min(_reach(strip), min(shape) // 2 - 1) for _, strip in strips]
    blocks = np.empty((2, *shape), np.int32)
    totals = [np.zeros((2, *shape), np.int32) for _ in strips]
    for direction in range(0, DIRECTIONS, DIRECTIONS // 4):
        last_length = -1
        for (_, strip), margin, total in zip(strips, margins, totals, strict=True):
            if strip.half_length_px != last_length:
                last_length = strip.half_length_px
                _lines(planes, direction, strip, rim - window - side, blocks, line)
            _add_differences(line, *_across(direction, strip), max(margin, rim - window), total)
    scales = [
        _per_noise(total, good, gsd_m, strip, margin, rim)
        for (_, strip), margin, total in zip(strips, margins, totals, strict=True)
    ]
    found = np.empty(shape, np.int16)
    index = np.empty(shape, np.uint8)
    for direction in range(DIRECTIONS):
        found[:] = round(Z_RANGE[0] * Z_STEPS)
        index[:] = 0
        last_length = -1
        for (number, strip), per_noise, margin in zip(strips, scales, margins, strict=True):
            if strip.half_length_px != last_length:
                last_length = strip.half_length_px
                _lines(planes, direction, strip, rim - side, blocks, line)
            _best(
                line, *_across(direction, strip), per_noise, CONTRASTS,
                np.float32(UNLIKE_PENALTY), np.float32(Z_RANGE[0]), np.float32(Z_KNEE),
                np.float32(Z_RANGE[1]), np.float32(Z_STEPS), np.uint8(number), max(margin, rim),
                found, index,
            )  # fmt: skip
        _merge(found, index, level, rim, z[direction], which[direction])


def _side(strip: Strip) -> int:
    """How far to the side the flanks reach."""
    return math.ceil(strip.width_px * (FLANK_AT + 0.5) + 1)


def _reach(strip: Strip) -> int:
    side = strip.width_px * (FLANK_AT + 0.5) + 1
    return math.ceil(math.hypot(strip.half_length_px, side)) + 2


def _per_noise(
    totals: Array, good: Array, gsd_m: float, strip: Strip, margin: int, rim: int
) -> Array:
    """One over the noise of a strip's differences; 0 where there is no picture beside it."""
    inside = np.zeros(good.shape, bool)
    inside[margin:-margin, margin:-margin] = good[margin:-margin, margin:-margin]
    if not good.all():
        size = 2 * _side(strip) + 1
        bad = (~good).astype(np.uint8)
        near = cv2.dilate(bad, np.ones((size, size), np.uint8), borderType=cv2.BORDER_CONSTANT)
        inside &= near == 0
    area = strip.width_px * (2 * strip.half_length_px + 1)
    least = np.array(NOISE_FLOOR) * LAB_STEPS * area
    per_noise = np.zeros((2, *good.shape), np.float32)
    half = odd_px(NOISE_WINDOW_M, gsd_m) // 2
    _over_noise(totals, inside, half, least, NOISE_FACTOR / _TERMS, rim, per_noise)
    return per_noise


def _lines(
    planes: Array, direction: int, strip: Strip, rim: int, blocks: Array, line: Array
) -> None:
    """Sums along the direction, as sums of blocks of five: a third of the additions."""
    inner = _offsets(direction, np.arange(-2, 3), across=False)
    reach = strip.half_length_px // _BLOCK
    outer = _offsets(direction, np.arange(-reach, reach + 1) * _BLOCK, across=False)
    margin = strip.half_length_px + 2
    _line_sums(planes, inner, max(3, rim - margin), blocks)
    _line_sums(blocks, outer, max(margin, rim), line)


def _across(direction: int, strip: Strip) -> tuple[Array, Array, Array]:
    """Offsets across the direction of the strip, its left and its right flank."""
    width = strip.width_px
    middle = np.arange(width) - (width - 1) // 2
    # An even width lies half a pixel off the middle; its flanks keep the same distance from it.
    shift = (width - 1) / 2 - (width - 1) // 2
    flank = np.round(FLANK_AT * width + np.arange(width) - (width - 1) / 2)
    right = (flank + shift).astype(np.int64)
    left = (-flank + shift).astype(np.int64)
    return (
        _offsets(direction, middle, across=True),
        _offsets(direction, left, across=True),
        _offsets(direction, right, across=True),
    )


def _merge(found: Array, index: Array, level: int, rim: int, z: Array, which: Array) -> None:
    """Keeps the better of what a level found and what is there, on the grid of level 1."""
    inner = _inner(rim, found, index)
    if level == 0:
        _keep_best_of_four(*inner, *_inner(rim // 2, z, which))
    elif level == 1:
        _keep_better(*inner, *_inner(rim, z, which))
    else:
        z, which = _inner(2 * rim, z, which)
        for dy in (0, 1):
            for dx in (0, 1):
                _keep_better(*inner, z[dy::2, dx::2], which[dy::2, dx::2])


def _inner(rim: int, *planes: Array) -> list[Array]:
    return [p[rim : p.shape[0] - rim, rim : p.shape[1] - rim] for p in planes]


@njit(cache=True)
def _keep_better(found, index, z, which):  # type: ignore[no-untyped-def]
    for row in range(z.shape[0]):
        for column in range(z.shape[1]):
            better = found[row, column] > z[row, column]
            which[row, column] = index[row, column] if better else which[row, column]
            z[row, column] = found[row, column] if better else z[row, column]


@njit(cache=True)
def _keep_best_of_four(found, index, z, which):  # type: ignore[no-untyped-def]
    for row in range(z.shape[0]):
        for column in range(z.shape[1]):
            best, own = z[row, column], which[row, column]
            for dy in range(2):
                for dx in range(2):
                    value = found[2 * row + dy, 2 * column + dx]
                    if value > best:
                        best, own = value, index[2 * row + dy, 2 * column + dx]
            z[row, column], which[row, column] = best, own
