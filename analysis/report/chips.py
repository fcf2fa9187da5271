"""A picture of one finding, with the fence and what was found drawn beside it, not over it."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import shapely

from analysis.raster import Orthophoto
from analysis.raster_source import ByteArray
from analysis.results import FenceLine, to_picture
from corridor.findings import Finding, FindingKind
from corridor.values import FloatArray

_WIDTH_PX, _HEIGHT_PX = 520, 390
_LEAST_M = 9.0
_MOST_M = 90.0
_MARGIN = 1.7
# Okabe and Ito's colours, told apart by people who see red and green alike.
_VERMILLION, _SKY, _YELLOW, _PURPLE, _GREEN = (
    (213, 94, 0),
    (86, 180, 233),
    (240, 228, 66),
    (204, 121, 167),
    (0, 158, 115),
)


def chip(ortho: Orthophoto, finding: Finding, lines: Sequence[FenceLine]) -> ByteArray:
    """The surroundings of a finding, north up, (H, W, 3) uint8.

    A breach stays bare between two ticks across the fence, so that it can be judged by eye; the
    fence beside it is drawn thin.
    """
    shape = to_picture(ortho, finding.geometry)
    west, south, east, north = shapely.bounds(shape)
    x, y = (west + east) / 2, (south + north) / 2
    if finding.kind is FindingKind.FOOTPATH and max(east - west, north - south) > _MOST_M:
        # A path too long for a chip is shown where it is nearest the fence, or in its middle.
        x, y = _place_on(shape, lines)
    width_m = max(_MARGIN * (east - west), _MARGIN * (north - south) * _WIDTH_PX / _HEIGHT_PX)
    width_m = float(np.clip(width_m, _LEAST_M, _MOST_M))
    height_m = width_m * _HEIGHT_PX / _WIDTH_PX
    bounds = (x - width_m / 2, y - height_m / 2, x + width_m / 2, y + height_m / 2)
    patch = ortho.read(bounds, width_m / _WIDTH_PX)
    rgb = patch.rgb.copy()
    rgb[~patch.valid] = 236
    scale = _WIDTH_PX / rgb.shape[1]
    how = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    rgb = np.asarray(cv2.resize(rgb, (_WIDTH_PX, _HEIGHT_PX), interpolation=how))

    def pixels(xy: FloatArray) -> FloatArray:
        across = (xy[:, 0] - patch.affine.c) / (patch.affine.a * patch.valid.shape[1])
        down = (xy[:, 1] - patch.affine.f) / (patch.affine.e * patch.valid.shape[0])
        return np.column_stack([across * _WIDTH_PX, down * _HEIGHT_PX])

    for line in lines:
        track = _near_part(line.found.xy, bounds)
        if track is None:
            continue
        bare = shapely.buffer(shape, 0.4) if finding.kind is FindingKind.BREACH else None
        shown = shapely.difference(track, bare) if bare is not None else track
        for piece in shapely.get_parts(shown):
            _draw(rgb, pixels(shapely.get_coordinates(piece)), _SKY, 1)
        if finding.kind is FindingKind.BREACH and shapely.distance(track, shape) < 2.0:
            for end in (0, -1):
                at = line.found.locate(shapely.get_coordinates(shape)[end])[0]
                along = line.found.direction_at(at)[0]
                away = np.array([-along[1], along[0]])
                foot = line.found.at(at)[0]
                reach_m = 0.05 * width_m
                tick = np.array([foot - reach_m * away, foot + reach_m * away])
                _draw(rgb, pixels(tick), _VERMILLION, 2)
    if finding.kind is FindingKind.FOOTPATH:
        for piece in shapely.get_parts(shape):
            _draw(rgb, pixels(shapely.get_coordinates(piece)), _YELLOW, 1)
    elif finding.kind is FindingKind.PLOT:
        for piece in shapely.get_parts(shape):
            ring = shapely.get_coordinates(shapely.get_exterior_ring(piece))
            _draw(rgb, pixels(ring), _GREEN, 2)
    elif finding.kind is FindingKind.ACCESS_POINT:
        centre = pixels(shapely.get_coordinates(shape)[:1])[0]
        cv2.circle(rgb, _whole(centre), 26, (0, 0, 0), 3, cv2.LINE_AA)
        cv2.circle(rgb, _whole(centre), 26, _PURPLE, 2, cv2.LINE_AA)
    _scale_bar(rgb, width_m)
    return rgb


def _near_part(xy: FloatArray, bounds: tuple[float, ...]) -> shapely.Geometry | None:
    """The part of a line that may be seen in `bounds`; None if it is elsewhere."""
    low = np.minimum(xy[:-1], xy[1:])
    high = np.maximum(xy[:-1], xy[1:])
    inside = ((high >= bounds[:2]) & (low <= bounds[2:])).all(axis=1)
    ends = np.flatnonzero(np.diff(np.concatenate([[0], inside.astype(np.int8), [0]])))
    runs = [xy[first : last + 1] for first, last in ends.reshape(-1, 2)]
    return shapely.MultiLineString(runs) if runs else None


def _place_on(shape: shapely.Geometry, lines: Sequence[FenceLine]) -> tuple[float, float]:
    fences = [shapely.LineString(line.found.xy) for line in lines]
    if fences:
        nearest = min(fences, key=lambda fence: float(shapely.distance(fence, shape)))
        if shapely.distance(nearest, shape) < _MOST_M:
            (x, y), *_ = shapely.get_coordinates(shapely.shortest_line(shape, nearest))
            return float(x), float(y)
    (x, y), *_ = shapely.get_coordinates(shapely.point_on_surface(shape))
    return float(x), float(y)


def _whole(point: FloatArray) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))


def _draw(rgb: ByteArray, points: FloatArray, colour: tuple[int, int, int], width: int) -> None:
    # Sixteenths of a pixel, as OpenCV's `shift` counts.
    fixed = np.clip(points * 16, -1e6, 1e6).round().astype(np.int32).reshape(-1, 1, 2)
    cv2.polylines(rgb, [fixed], False, (0, 0, 0), width + 2, cv2.LINE_AA, 4)
    cv2.polylines(rgb, [fixed], False, colour, width, cv2.LINE_AA, 4)


def _scale_bar(rgb: ByteArray, width_m: float) -> None:
    length_m = max(step for step in (1, 2, 5, 10, 20) if step <= max(width_m / 4, 1))
    length_px = round(length_m / width_m * _WIDTH_PX)
    bottom = _HEIGHT_PX - 12
    cv2.rectangle(rgb, (10, bottom - 4), (10 + length_px, bottom), (0, 0, 0), -1)
    cv2.rectangle(rgb, (11, bottom - 3), (9 + length_px, bottom - 1), (255, 255, 255), -1)
    text = f"{length_m} m"
    place = (14 + length_px, bottom + 1)
    cv2.putText(rgb, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 3, cv2.LINE_AA)
    cv2.putText(rgb, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
