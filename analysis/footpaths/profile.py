"""What lies across a path: its width, its edges, its colour against the ground beside it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import shapely

from analysis.footpaths.channels import LAB_STEPS, to_lab
from analysis.footpaths.grid import WorkingGrid

Array = npt.NDArray[Any]

REACH_M = 4.0
"""How far to either side is looked."""
EVERY_M = 0.5
PIECE_M = 5.0
"""Profiles over such a length are averaged, after which the path stands out of its texture."""


@dataclass(frozen=True)
class Profile:
    """Across a path.

    Attributes:
        width_m: where it is half path, half ground; median over its length.
        width_spread_m: half the distance between the quartiles of the widths of its pieces.
        contrast: difference from the ground beside it in CIE Lab units.
        lighter: the part of that which is lightness, with its sign, -1 to 1.
        centres: (n, 2) distance along the line, and how far to its left the middle is, in metres.
    """

    width_m: float
    width_spread_m: float
    contrast: float
    lighter: float
    centres: Array


def profile_of(line: shapely.LineString, grid: WorkingGrid, expected_m: float) -> Profile:
    """Measures across a centreline.

    Args:
        line: in the picture's CRS.
        grid: where to read.
        expected_m: about how wide it is, for telling path from ground.
    """
    pieces = range(piece_count(line))
    return profile_from(measured(line, grid, expected_m, pieces), expected_m)


def piece_count(line: shapely.LineString) -> int:
    """How many pieces a line is measured in."""
    return max(1, round(line.length / PIECE_M))


def measured(
    line: shapely.LineString, grid: WorkingGrid, expected_m: float, pieces: Iterable[int]
) -> Array:
    """What is found across some pieces of a line, each by itself.

    Args:
        line, grid, expected_m: as of `profile_of`.
        pieces: their numbers.

    Returns:
        (n, 5) of those that are in the picture: distance along the line, width, contrast, share of
        lightness, and how far to the left the middle is.
    """
    offsets = np.arange(-REACH_M, REACH_M + 1e-9, grid.gsd_m)
    count = piece_count(line)
    rows = []
    for number in pieces:
        start, end = line.length * number / count, line.length * (number + 1) / count
        stations = np.arange(start, end + 1e-9, EVERY_M)
        profiles = _sampled(line, stations, offsets, grid)
        if profiles is not None:
            rows.append(((start + end) / 2, *_measured(_median(profiles), offsets, expected_m)))
    return np.array(rows, np.float64).reshape(-1, 5)


def profile_from(table: Array, expected_m: float) -> Profile:
    """The profile of a line from what `measured` found across all its pieces, in order."""
    if len(table) == 0:
        return Profile(expected_m, 0.0, 0.0, 0.0, np.zeros((1, 2)))
    quartiles = np.percentile(table[:, 1], [25, 75])
    return Profile(
        float(np.median(table[:, 1])),
        float(quartiles[1] - quartiles[0]) / 2,
        float(np.median(table[:, 2])),
        float(np.median(table[:, 3])),
        table[:, [0, 4]],
    )


def _median(profiles: Array) -> Array:
    """Median over stations of what is known; NaN where nothing is."""
    known = ~np.isnan(profiles[..., 0]).all(axis=0)
    out = np.full(profiles.shape[1:], np.nan, np.float32)
    out[known] = np.nanmedian(profiles[:, known], axis=0)
    return out


def centred(line: shapely.LineString, profile: Profile) -> shapely.LineString:
    """The line moved to the middle of the path, as far as half its width and 0.5 m."""
    if len(profile.centres) == 0 or line.length < 2:
        return line
    xy = shapely.get_coordinates(shapely.segmentize(line, 1.0))
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(xy, axis=0).T))])
    limit = min(0.5, profile.width_m / 2)
    left = np.clip(np.interp(along, *profile.centres.T), -limit, limit)
    way = np.gradient(xy, axis=0)
    way /= np.maximum(np.hypot(*way.T), 1e-9)[:, None]
    return shapely.LineString(xy + left[:, None] * np.column_stack([-way[:, 1], way[:, 0]]))


def _sampled(
    line: shapely.LineString, stations: Array, offsets: Array, grid: WorkingGrid
) -> Array | None:
    """(stations, offsets, 3) Lab, NaN where there is no picture; None if there is none at all."""
    places = shapely.get_coordinates(shapely.line_interpolate_point(line, stations))
    ahead = shapely.get_coordinates(shapely.line_interpolate_point(line, stations + 1.0))
    behind = shapely.get_coordinates(
        shapely.line_interpolate_point(line, np.maximum(stations - 1.0, 0))
    )
    way = ahead - behind
    way /= np.maximum(np.hypot(*way.T), 1e-9)[:, None]
    across = np.column_stack([-way[:, 1], way[:, 0]])
    xy = places[:, None, :] + offsets[None, :, None] * across[:, None, :]
    rows = (grid.ortho.bounds[3] - xy[..., 1]) / grid.gsd_m
    columns = (xy[..., 0] - grid.ortho.bounds[0]) / grid.gsd_m
    row0, column0 = int(np.floor(rows.min())) - 2, int(np.floor(columns.min())) - 2
    shape = int(np.ceil(rows.max())) + 3 - row0, int(np.ceil(columns.max())) + 3 - column0
    rgb, valid = grid.read(row0, column0, *shape)
    if not valid.any():
        return None
    lab = to_lab(rgb).transpose(1, 2, 0).astype(np.float32) / LAB_STEPS
    lab[~valid] = np.nan
    map_x = (columns - column0 - 0.5).astype(np.float32)
    map_y = (rows - row0 - 0.5).astype(np.float32)
    return np.asarray(cv2.remap(lab, map_x, map_y, cv2.INTER_LINEAR))


def _measured(
    profile: Array, offsets: Array, expected_m: float
) -> tuple[float, float, float, float]:
    """Width, contrast, share of lightness and middle of one averaged (offsets, 3) profile."""
    core = np.abs(offsets) <= max(expected_m * 0.3, 0.12)
    beside = (np.abs(offsets) >= 0.9 * expected_m) & (np.abs(offsets) <= 1.6 * expected_m + 0.3)
    if np.isnan(profile[core]).all() or np.isnan(profile[beside]).all():
        return expected_m, 0.0, 0.0, 0.0
    ground = np.nanmean(profile[beside], axis=0)
    difference = np.nanmean(profile[core], axis=0) - ground
    contrast = float(np.linalg.norm(difference))
    if contrast < 0.5:
        return expected_m, contrast, 0.0, 0.0
    along = (np.nan_to_num(profile, nan=0.0) - ground) @ (difference / contrast)
    along = np.where(np.isnan(profile[:, 0]), 0.0, along)
    half = contrast / 2
    middle = len(offsets) // 2
    sides = []
    for step in (-1, 1):
        index = middle
        while 0 < index < len(offsets) - 1 and along[index] > half:
            index += step
        before = along[index - step]
        part = (before - half) / max(before - along[index], 1e-6) if index != middle else 0.0
        inside = abs(offsets[index - step]) if index != middle else 0.0
        sides.append(inside + part * abs(offsets[1] - offsets[0]))
    lighter = float(difference[0] / contrast)
    return float(sides[0] + sides[1]), contrast, lighter, float(sides[1] - sides[0]) / 2
