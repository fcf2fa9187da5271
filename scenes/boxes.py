"""Solid things with a flat or ridged top: houses, sheds, vehicles, bridge decks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from scenes.grid import Window
from scenes.lines import FloatArray
from scenes.noise import Float32Array

COLUMNS = 12
_WALL = (0.42, 0.40, 0.36)  # plaster
# Columns: x, y of the middle; half length, half width; cosine and sine of the long side's
# direction; height of the eaves and of the ridge; red, green, blue; sheet (width of roofing sheets,
# 0 for none, negative for a deck whose top is painted as a road).


def box(
    x: float, y: float, length_m: float, width_m: float, direction: FloatArray, eaves_m: float,
    ridge_m: float, colour: tuple[float, float, float], sheet_m: float = 0.0,
) -> list[float]:  # fmt: skip
    """One box as a row."""
    return [
        x, y, length_m / 2, width_m / 2, float(direction[0]), float(direction[1]), eaves_m,
        max(ridge_m, eaves_m), *colour, sheet_m,
    ]  # fmt: skip


def as_array(rows: list[list[float]]) -> FloatArray:
    """Rows as (N, 12)."""
    return np.array(rows, dtype=np.float64).reshape(-1, COLUMNS)


def _near(window: Window, boxes: FloatArray) -> FloatArray:
    west, south, east, north = window.bounds_m
    reach = np.hypot(boxes[:, 2], boxes[:, 3]) + np.abs(boxes[:, COLUMNS:]).sum(axis=1) + 0.5
    return np.ascontiguousarray(
        boxes[
            (boxes[:, 0] > west - reach) & (boxes[:, 0] < east + reach)
            & (boxes[:, 1] > south - reach) & (boxes[:, 1] < north + reach)
        ]
    )  # fmt: skip


def box_heights(window: Window, boxes: FloatArray) -> Float32Array:
    """Height above ground at each pixel centre, 0 beside all boxes."""
    return _heights(
        window.x_m(0), window.y_m(0), window.px_m, window.height, window.width,
        _near(window, boxes),
    )  # fmt: skip


@njit(cache=True)
def _heights(
    x0: float, y0: float, px: float, height: int, width: int, boxes: FloatArray
) -> Float32Array:
    out = np.zeros((height, width), np.float32)
    for k in range(len(boxes)):
        cx, cy, hu, hv, c, s = (
            boxes[k, 0],
            boxes[k, 1],
            boxes[k, 2],
            boxes[k, 3],
            boxes[k, 4],
            boxes[k, 5],
        )
        reach = np.hypot(hu, hv)
        i0 = max(0, int(np.floor((cx - reach - x0) / px)))
        i1 = min(width, int(np.ceil((cx + reach - x0) / px)) + 1)
        j0 = max(0, int(np.floor((y0 - cy - reach) / px)))
        j1 = min(height, int(np.ceil((y0 - cy + reach) / px)) + 1)
        for j in range(j0, j1):
            for i in range(i0, i1):
                dx, dy = x0 + i * px - cx, y0 - j * px - cy
                u, v = dx * c + dy * s, dy * c - dx * s
                if abs(u) <= hu and abs(v) <= hv:
                    h = boxes[k, 6] + (boxes[k, 7] - boxes[k, 6]) * (1.0 - abs(v) / hv)
                    out[j, i] = max(out[j, i], h)
    return out


def paint_boxes(
    albedo: Float32Array, sun: Float32Array, tops: Float32Array, window: Window,
    texture: Float32Array, boxes: FloatArray, towards_sun: tuple[float, float, float],
) -> None:  # fmt: skip
    """Paints the tops of boxes over `albedo`, and lights them in `sun` from `tops`.

    Args:
        boxes: (N, 14), their columns and how far their eaves are displaced east and north.
        towards_sun: unit vector east, north, up.
    """
    _paint(
        albedo, sun, tops, texture, window.x_m(0), window.y_m(0), window.px_m,
        _near(window, boxes), *towards_sun,
    )  # fmt: skip


@njit(cache=True)
def _paint(
    albedo: Float32Array,
    sun: Float32Array,
    tops: Float32Array,
    texture: Float32Array,
    x0: float,
    y0: float,
    px: float,
    boxes: FloatArray,
    sun_x: float,
    sun_y: float,
    sun_z: float,
) -> None:
    height, width = sun.shape
    for k in range(len(boxes)):
        cx, cy, hu, hv, c, s = (
            boxes[k, 0],
            boxes[k, 1],
            boxes[k, 2],
            boxes[k, 3],
            boxes[k, 4],
            boxes[k, 5],
        )
        lean_x, lean_y = boxes[k, 12], boxes[k, 13]
        reach = np.hypot(hu, hv) + px + abs(lean_x) + abs(lean_y)
        lean_u, lean_v = lean_x * c + lean_y * s, lean_y * c - lean_x * s
        leans = lean_x != 0.0 or lean_y != 0.0
        # The walls that show face away from the lean.
        wall_lit = max(
            0.0, -(sun_x * lean_x + sun_y * lean_y) / max(1e-9, np.hypot(lean_x, lean_y))
        )
        i0 = max(0, int(np.floor((cx - reach - x0) / px)))
        i1 = min(width, int(np.ceil((cx + reach - x0) / px)) + 1)
        j0 = max(0, int(np.floor((y0 - cy - reach) / px)))
        j1 = min(height, int(np.ceil((y0 - cy + reach) / px)) + 1)
        pitch = (boxes[k, 7] - boxes[k, 6]) / hv
        across = -sun_x * s + sun_y * c
        flat = np.sqrt(1.0 + pitch * pitch) * sun_z
        lit_plus = max(0.0, (sun_z + pitch * across) / flat)
        lit_minus = max(0.0, (sun_z - pitch * across) / flat)
        sheet = boxes[k, 11]
        for j in range(j0, j1):
            for i in range(i0, i1):
                dx, dy = x0 + i * px - cx - lean_x, y0 - j * px - cy - lean_y
                u, v = dx * c + dy * s, dy * c - dx * s
                inside = min(hu - abs(u), hv - abs(v)) / px + 0.5
                if (
                    leans
                    and inside < 1.0
                    and _swept(u + lean_u, v + lean_v, hu, hv, lean_u, lean_v)
                ):
                    for q in range(3):
                        albedo[j, i, q] = np.float32(_WALL[q] * (1.0 + 0.05 * texture[1, j, i]))
                    sun[j, i] = np.float32(wall_lit)
                if inside <= 0.0:
                    continue
                a = min(1.0, inside)
                facing = lit_plus if v > 0 else lit_minus
                # Lit where it stands, not where it is seen.
                row = min(height - 1, max(0, j + int(np.rint(lean_y / px))))
                col = min(width - 1, max(0, i - int(np.rint(lean_x / px))))
                sun[j, i] += np.float32(a * (facing * tops[row, col] - sun[j, i]))
                if sheet < 0.0:
                    continue
                grain = (
                    1.0
                    + 0.05 * texture[1, j, i]
                    + 0.05 * texture[0, j, i]
                    + 0.08 * texture[2, j, i]
                )
                if sheet > 0.0:
                    # Corrugation, and sheets that have weathered unlike each other.
                    grain *= 1.0 + 0.06 * np.cos(6.2832 * u / 0.2)
                    grain *= 1.0 + 0.08 * np.cos(
                        37.0 * np.floor(u / sheet) + 11.0 * np.floor(v / 3.0)
                    )
                if pitch > 0.0 and abs(v) < 0.12:
                    grain *= 1.2
                edge = min(hu - abs(u), hv - abs(v))
                if pitch == 0.0 and edge < 0.25:
                    grain *= 1.25  # a parapet
                for q in range(3):
                    albedo[j, i, q] += np.float32(a * (boxes[k, 8 + q] * grain - albedo[j, i, q]))


@njit(cache=True, inline="always")
def _swept(u: float, v: float, hu: float, hv: float, lean_u: float, lean_v: float) -> bool:
    """Whether a place beside a box's middle lies under the box moved along its lean."""
    low, high = 0.0, 1.0
    for at, half, lean in ((u, hu, lean_u), (v, hv, lean_v)):
        if abs(lean) < 1e-9:
            if abs(at) > half:
                return False
            continue
        one, other = (at - half) / lean, (at + half) / lean
        low, high = max(low, min(one, other)), min(high, max(one, other))
    return low <= high


def footprint(row: npt.NDArray[np.float64]) -> FloatArray:
    """(4, 2) corners of one box."""
    along = np.array([row[4], row[5]])
    left = np.array([-row[5], row[4]])
    return np.array(
        [
            row[:2] + a * row[2] * along + b * row[3] * left
            for a, b in ((1, 1), (-1, 1), (-1, -1), (1, -1))
        ]
    )
