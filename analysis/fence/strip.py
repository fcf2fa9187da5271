"""The straightened strip: what lies along a drawn fence, chainage to the right, left side up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from affine import Affine
from numba import njit
from scipy.ndimage import gaussian_filter1d

from analysis.raster import Orthophoto
from corridor import Track
from corridor.values import FloatArray

STEP_M = 0.1
"""Length of a column along the fence."""
ACROSS_M = 0.02
"""Finest height of a row; coarser pictures give rows of their own pixel."""
_SMOOTH_M = 1.5
_READ_M = 16.0


@dataclass(frozen=True)
class Centre:
    """The drawn line, resampled and rounded at its corners, so that a strip can be laid along it.

    Attributes:
        chainage_m: (N,) of the drawn line at each column.
        xy: (N, 2) in the picture's CRS.
        normal: (N, 2) unit vectors to the left of increasing chainage.
    """

    chainage_m: FloatArray
    xy: FloatArray
    normal: FloatArray

    @classmethod
    def of(cls, track: Track) -> Centre:
        """Columns of `STEP_M` along a track, corners rounded over some metres."""
        steps = np.hypot(*np.diff(track.xy, axis=0).T)
        along = np.concatenate([[0.0], np.cumsum(steps)])
        count = max(2, round(along[-1] / STEP_M) + 1)
        at = np.linspace(0.0, along[-1], count)
        xy = np.column_stack([np.interp(at, along, track.xy[:, axis]) for axis in (0, 1)])
        chainage = np.interp(at, along, track.chainage_m)
        # Mirrored through its ends, a line keeps its ends and its direction there.
        reach = min(count - 1, round(4 * _SMOOTH_M / STEP_M))
        padded = np.vstack([2 * xy[0] - xy[reach:0:-1], xy, 2 * xy[-1] - xy[-2 : -reach - 2 : -1]])
        smooth = gaussian_filter1d(padded, _SMOOTH_M / STEP_M, axis=0, mode="nearest")
        smooth = smooth[reach : reach + count]
        direction = np.gradient(smooth, axis=0)
        direction /= np.maximum(np.hypot(direction[:, 0], direction[:, 1]), 1e-12)[:, None]
        normal = np.column_stack([-direction[:, 1], direction[:, 0]])
        return cls(chainage, smooth, normal)

    def points(self, columns: slice, offset_m: FloatArray) -> FloatArray:
        """Points (len(columns), 2) at an offset (left positive) from each column."""
        return np.asarray(self.xy[columns] + offset_m[:, None] * self.normal[columns])


@dataclass(frozen=True)
class Strip:
    """Columns [first, last) of a centre line with what was imaged beside them.

    Attributes:
        first, last: columns of the centre line.
        offset_m: (M,) of each row, left positive, increasing; rows are `across_m` apart.
        rgb: (M, N, 3) float32, 0 to 255.
        valid: (M, N) bool.
    """

    first: int
    last: int
    offset_m: FloatArray
    across_m: float
    rgb: npt.NDArray[np.float32]
    valid: npt.NDArray[np.bool_]


def straighten(ortho: Orthophoto, centre: Centre, first: int, last: int, reach_m: float) -> Strip:
    """Reads the strip of columns [first, last), `reach_m` to both sides.

    Columns are the mean over their length of what the picture holds. A column's pixels are the
    same whichever strip it is read with.
    """
    across_m = max(ACROSS_M, ortho.gsd_m)
    half = int(np.ceil(reach_m / across_m))
    offset = np.asarray(np.arange(-half, half + 1) * across_m, dtype=np.float64)
    per_column = max(1, min(5, round(STEP_M / across_m)))
    shift = (np.arange(per_column) + 0.5) / per_column - 0.5
    rgb = np.zeros((len(offset), last - first, 3), np.float32)
    valid = np.zeros((len(offset), last - first), np.bool_)
    chunk = round(_READ_M / STEP_M)
    # Whole chunks, which begin at the same columns of the centre line in every strip: a column is
    # then the same to the last bit, whichever strip it is in.
    for begin in range(first // chunk * chunk, last, chunk):
        end = min(begin + chunk, len(centre.xy))
        xy, normal = centre.xy[begin:end], centre.normal[begin:end]
        along = np.column_stack([normal[:, 1], -normal[:, 0]]) * STEP_M
        base = (xy[:, None, :] + shift[None, :, None] * along[:, None, :]).reshape(-1, 2)
        sides = np.repeat(normal, per_column, axis=0)
        # What lies between the outermost rows lies between them in x and y, too.
        rims = base[None] + offset[[0, -1], None, None] * sides[None]
        low, high = rims.min(axis=(0, 1)), rims.max(axis=(0, 1))
        margin = 2 * across_m
        bounds = (low[0] - margin, low[1] - margin, high[0] + margin, high[1] + margin)
        if not ortho.overlaps(bounds):
            continue
        patch = ortho.read(bounds, across_m)
        columns, rows = _pixels(base, sides, offset, patch.affine)
        colour = cv2.remap(patch.rgb, columns, rows, cv2.INTER_LINEAR)
        into = slice(max(begin, first) - first, min(end, last) - first)
        part = slice(max(first - begin, 0), min(end, last) - begin)
        # Over the pixels of each column: their sum, and the least of them.
        first_of = np.s_[:, ::per_column]
        window, anchor = (per_column, 1), (0, 0)
        total = cv2.boxFilter(colour, cv2.CV_16U, window, anchor=anchor, normalize=False)[first_of]
        rgb[:, into] = total[:, part].astype(np.float32) / np.float32(per_column)
        if patch.valid.all():
            valid[:, into] = True
            continue
        seen = cv2.remap(patch.valid.astype(np.uint8) * 255, columns, rows, cv2.INTER_LINEAR)
        least = cv2.erode(seen, np.ones(window[::-1], np.uint8), anchor=anchor)[first_of]
        valid[:, into] = least[:, part] >= 250
    return Strip(first, last, offset, across_m, rgb, valid)


def _pixels(
    base: FloatArray, sides: FloatArray, offset_m: FloatArray, affine: Affine
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Columns and rows (M, N) in a picture of the places at M offsets beside N points.

    Args:
        base: (N, 2) points.
        sides: (N, 2) unit vectors to their left.
        offset_m: (M,) left positive.
        affine: of the picture, north up.
    """
    shape = (len(offset_m), len(base))
    columns, rows = np.empty(shape, np.float32), np.empty(shape, np.float32)
    grid = (affine.c, affine.a, affine.f, affine.e)
    _fill_pixels(base, sides, offset_m, grid, columns, rows)
    return columns, rows


@njit(cache=True)
def _fill_pixels(
    base: Any, sides: Any, offset_m: Any, grid: Any, columns: Any, rows: Any
) -> None:  # pragma: no cover - compiled
    left, width, top, height = grid
    for i in range(columns.shape[0]):
        away = offset_m[i]
        for j in range(columns.shape[1]):
            x = base[j, 0] + away * sides[j, 0]
            y = base[j, 1] + away * sides[j, 1]
            columns[i, j] = (x - left) / width - 0.5
            rows[i, j] = (y - top) / height - 0.5
