"""A real picture of a fence: read, cut, made worse, turned, drawn straight along it, written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import geopandas
import numpy as np
import rasterio
import shapely
import shapely.ops
from affine import Affine
from rasterio.windows import Window

MARGIN_M = 10.0
"""Ground kept on both sides of the fence."""
CUT_HALF_M = 0.45
"""Half width of what is filled: by look, fence and shadow reach from -0.5 to +0.25 m."""
BESIDE_M = 0.95


@dataclass(frozen=True)
class Picture:
    """An orthophoto in memory: (H, W, 3) uint8 RGB, (H, W) bool, and its georeference."""

    rgb: Any
    valid: Any
    affine: Affine
    crs: Any


@dataclass(frozen=True)
class Degradation:
    """What is done to a picture, and by how much the drawn line is moved."""

    name: str
    change: Callable[[Picture], Picture] = lambda picture: picture
    turn_deg: float = 0.0
    line_off_m: float = 0.0


def without(
    rgb: Any,
    affine: Affine,
    fence: shapely.LineString,
    cut: tuple[float, float],
    half_m: float = CUT_HALF_M,
    beside_m: float = BESIDE_M,
) -> Any:
    """The fence taken away between two places: each half gets the ground of its own side.

    Args:
        rgb: (H, W, 3).
        affine: of the picture.
        fence: the line in it.
        cut: where it begins and ends along the line.
        half_m: half width of what is filled.
        beside_m: from how far beside the line the ground is taken.
    """
    height, width = rgb.shape[:2]
    piece = shapely.ops.substring(fence, cut[0] - 1.0, cut[1] + 1.0)
    x0, y0, x1, y1 = piece.buffer(2.0).bounds
    c0, r1 = (int(v) for v in ~affine @ (x0, y0))
    c1, r0 = (int(v) for v in ~affine @ (x1, y1))
    column, row = np.meshgrid(
        np.arange(max(c0, 0), min(c1, width)), np.arange(max(r0, 0), min(r1, height))
    )
    to_ground: Any = affine  # takes arrays, too, which its types do not say
    x, y = to_ground @ (column + 0.5, row + 0.5)
    points = shapely.points(np.column_stack([x.ravel(), y.ravel()]))
    along = shapely.line_locate_point(fence, points)
    # The direction is smooth over a metre, so that the copied ground is not torn.
    ahead = shapely.get_coordinates(shapely.line_interpolate_point(fence, along + 0.5))
    behind = shapely.get_coordinates(
        shapely.line_interpolate_point(fence, np.maximum(along - 0.5, 0))
    )
    step = ahead - behind
    step /= np.hypot(*step.T)[:, None]
    foot = shapely.get_coordinates(shapely.line_interpolate_point(fence, along))
    away = np.column_stack([x.ravel(), y.ravel()]) - foot
    across = (step[:, 0] * away[:, 1] - step[:, 1] * away[:, 0]).reshape(x.shape)
    along = along.reshape(x.shape)
    left_m = np.column_stack([-step[:, 1], step[:, 0]]).reshape(*x.shape, 2) * beside_m
    gsd_m = affine.a

    def ground(sign: int) -> Any:
        map_x = (column + sign * left_m[..., 0] / gsd_m).astype(np.float32)
        map_y = (row - sign * left_m[..., 1] / gsd_m).astype(np.float32)
        return cv2.remap(rgb, map_x, map_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)

    side = np.clip(across / 0.2 + 0.5, 0, 1)[..., None]
    fill = side * ground(1) + (1 - side) * ground(-1)
    share = np.clip((half_m - np.abs(across)) / 0.1 + 0.5, 0, 1)
    # Posts and torn mesh end within a few centimetres.
    share = share * np.clip((along - cut[0]) / 0.05 + 0.5, 0, 1)
    share = (share * np.clip((cut[1] - along) / 0.05 + 0.5, 0, 1))[..., None]
    out = rgb.copy()
    window = np.s_[row[0, 0] : row[-1, 0] + 1, column[0, 0] : column[0, -1] + 1]
    out[window] = (1 - share) * rgb[window] + share * fill
    return out


def coarser(gsd_m: float) -> Callable[[Picture], Picture]:
    def change(picture: Picture) -> Picture:
        height, width = picture.valid.shape
        scale = picture.affine.a / gsd_m
        size = (round(width * scale), round(height * scale))
        rgb = cv2.resize(picture.rgb, size, interpolation=cv2.INTER_AREA)
        affine = picture.affine * Affine.scale(width / size[0], height / size[1])
        return replace(picture, rgb=rgb, valid=np.ones(size[::-1], bool), affine=affine)

    return change


def _jpeg(quality: int) -> Callable[[Picture], Picture]:
    def change(picture: Picture) -> Picture:
        _, code = cv2.imencode(".jpg", picture.rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        back: Any = cv2.imdecode(code, cv2.IMREAD_COLOR)
        return replace(picture, rgb=back[..., ::-1])

    return change


def _blurred(sigma_m: float) -> Callable[[Picture], Picture]:
    return lambda picture: replace(
        picture, rgb=cv2.GaussianBlur(picture.rgb, (0, 0), sigma_m / picture.affine.a)
    )


def _tinted(*gain: float) -> Callable[[Picture], Picture]:
    return lambda picture: replace(
        picture, rgb=np.clip(np.rint(picture.rgb * np.array(gain)), 0, 255).astype(np.uint8)
    )


_TWO_STOPS = 0.25 ** (1 / 2.2)
DEGRADATIONS = [
    Degradation("as it is, 1.8 cm"),
    Degradation("GSD 3 cm", coarser(0.03)),
    Degradation("GSD 4 cm", coarser(0.04)),
    Degradation("GSD 5 cm", coarser(0.05)),
    Degradation("JPEG 50", _jpeg(50)),
    Degradation("blur 3 cm", _blurred(0.03)),
    Degradation("blur 6 cm", _blurred(0.06)),
    Degradation("2 stops darker", _tinted(_TWO_STOPS, _TWO_STOPS, _TWO_STOPS)),
    Degradation("colour cast", _tinted(1.15, 1.0, 0.7)),
    Degradation("line 2 m off, left", line_off_m=2.0),
    Degradation("line 2 m off, right", line_off_m=-2.0),
    Degradation("turned by 37°", turn_deg=37.0),
]


def turned(picture: Picture, degrees: float) -> tuple[Picture, Callable[[Any], Any]]:
    """The ground turned about the picture's middle, and the same for (N, 2) positions."""
    height, width = picture.valid.shape
    side = int(np.ceil(np.hypot(height, width)))
    matrix = cv2.getRotationMatrix2D((width / 2 - 0.5, height / 2 - 0.5), degrees, 1.0)
    matrix[:, 2] += [(side - width) / 2, (side - height) / 2]
    rgb = cv2.warpAffine(picture.rgb, matrix, (side, side), flags=cv2.INTER_CUBIC)
    valid = cv2.warpAffine(picture.valid.astype(np.uint8) * 255, matrix, (side, side)) == 255
    rgb[~valid] = 0
    affine = picture.affine * Affine.translation(-(side - width) / 2, -(side - height) / 2)
    middle = np.array(picture.affine @ (width / 2, height / 2))
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.array([[cosine, -sine], [sine, cosine]])
    return replace(picture, rgb=rgb, valid=valid, affine=affine), (
        lambda xy: (np.asarray(xy) - middle) @ turn.T + middle
    )


def load(folder: Path) -> tuple[Picture, shapely.LineString]:
    """The picture around the fence, and the fence, in the picture's CRS."""
    with rasterio.open(folder / "ortho.tif") as dataset:
        truth = geopandas.read_file(folder / "fence_truth.geojson").to_crs(dataset.crs)
        fence = truth.geometry.iloc[0]
        x0, y0, x1, y1 = fence.buffer(MARGIN_M).bounds
        window = rasterio.windows.from_bounds(x0, y0, x1, y1, dataset.transform)
        window = window.round_lengths().round_offsets()
        window = window.intersection(Window(0, 0, dataset.width, dataset.height))
        rgb = np.moveaxis(dataset.read([1, 2, 3], window=window), 0, 2)
        affine = dataset.window_transform(window)
        return Picture(rgb, np.ones(rgb.shape[:2], bool), affine, dataset.crs), fence


def save(picture: Picture, path: Path) -> None:
    height, width = picture.valid.shape
    with rasterio.open(
        path, "w", driver="GTiff", width=width, height=height, count=4, dtype="uint8", tiled=True,
        crs=picture.crs, transform=picture.affine, photometric="RGB", alpha="yes",
    ) as dataset:  # fmt: skip
        dataset.write(np.moveaxis(picture.rgb, 2, 0), [1, 2, 3])
        dataset.write(picture.valid.astype(np.uint8) * 255, 4)


def straight(picture: Picture, fence: shapely.LineString, across_m: Any) -> Any:
    """The ground along a line, chainage to the right, left of the line on top."""
    along = np.arange(0, fence.length, picture.affine.a)
    ahead = shapely.get_coordinates(shapely.line_interpolate_point(fence, along + 0.5))
    here = shapely.get_coordinates(shapely.line_interpolate_point(fence, along))
    behind = shapely.get_coordinates(
        shapely.line_interpolate_point(fence, np.maximum(along - 0.5, 0))
    )
    step = ahead - behind
    step /= np.hypot(*step.T)[:, None]
    xy = here + across_m[:, None, None] * np.column_stack([-step[:, 1], step[:, 0]])
    to_picture: Any = ~picture.affine
    column, row = to_picture @ (xy[..., 0], xy[..., 1])
    return cv2.remap(
        picture.rgb,
        (column - 0.5).astype(np.float32),
        (row - 0.5).astype(np.float32),
        cv2.INTER_LINEAR,
    )
