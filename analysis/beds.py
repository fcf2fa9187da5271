"""Cultivated beds as the network sees them: tilled earth and plants within a regular outline.

The network that looks for footpaths also says, for each 0.2 m, whether the ground is a plot. It
sees what rows cannot show: beds of two rows, of none, or of rows that are crossed by a kerb.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import shapely
from affine import Affine
from rasterio.features import shapes

from analysis.footpaths.channels import network_input, to_lab
from analysis.footpaths.config import FootpathConfig
from analysis.footpaths.evidence import network_window_px
from analysis.footpaths.grid import WorkingGrid
from analysis.footpaths.network import HALO_PX, PLOT, Network
from analysis.raster import Orthophoto

Array = npt.NDArray[Any]

_ALIGN_PX = 32
_TILE_PX = 1024
_SMALLEST_M2 = 4.0
_LOGIT_STEPS = 16
# A path between two beds, and the ragged edge of one, are about this wide.
_CLOSED_M, _OPENED_M = 0.4, 0.8


def beds(
    ortho: Orthophoto, area: shapely.Geometry, network: Network
) -> list[tuple[shapely.Polygon, float]]:
    """Outlines in an area, in the picture's CRS, and the network's mean logit within each."""
    grid = WorkingGrid.of(ortho, FootpathConfig().gsd_m)
    found: list[shapely.Geometry] = []
    weights: list[tuple[shapely.Polygon, float]] = []
    for logits, affine, box in _tiles(grid, area, network):
        pixel_m = affine.a
        mask = (logits > 0).astype(np.uint8)
        for length_m, how in ((_CLOSED_M, cv2.MORPH_CLOSE), (_OPENED_M, cv2.MORPH_OPEN)):
            kernel = cv2.getStructuringElement(
                cv2.MORPH_ELLIPSE, (2 * round(length_m / pixel_m / 2) + 1,) * 2
            )
            mask = cv2.morphologyEx(mask, how, kernel)
        for geometry, value in shapes(mask, mask=mask > 0, transform=affine):
            polygon = shapely.intersection(shapely.geometry.shape(geometry), box)
            if value and not polygon.is_empty:
                found.append(polygon)
        weights += _means(logits, affine, box)
    if not found:
        return []
    # What a tile's edge cut in two is one bed.
    whole = shapely.intersection(shapely.union_all(shapely.buffer(found, 0.01)), area)
    result = []
    for polygon in shapely.get_parts(whole):
        if polygon.geom_type != "Polygon" or polygon.area < _SMALLEST_M2:
            continue
        outline = shapely.simplify(shapely.Polygon(polygon.exterior), grid.gsd_m)
        if outline.geom_type != "Polygon":
            continue
        near = [(shapely.intersection(cell, outline).area, mean) for cell, mean in weights
                if shapely.intersects(cell, outline)]  # fmt: skip
        total = sum(a for a, _ in near)
        result.append((outline, sum(a * mean for a, mean in near) / max(total, 1e-9)))
    return result


def _means(
    logits: Array, affine: Affine, box: shapely.Polygon
) -> list[tuple[shapely.Polygon, float]]:
    """Squares of some 0.8 m with positive logits, and their means."""
    step = max(1, round(0.8 / affine.a))
    rows, columns = logits.shape[0] // step, logits.shape[1] // step
    cut = logits[: rows * step, : columns * step]
    mean = cut.reshape(rows, step, columns, step).mean(axis=(1, 3))
    result = []
    for row, column in np.argwhere(mean > 0):
        x0, y0 = affine @ (float(column * step), float(row * step))
        x1, y1 = affine @ (float((column + 1) * step), float((row + 1) * step))
        cell = shapely.box(x0, y1, x1, y0)
        if shapely.intersects(box, cell):
            result.append((cell, float(mean[row, column])))
    return result


def _tiles(
    grid: WorkingGrid, area: shapely.Geometry, network: Network
) -> Iterator[tuple[Array, Affine, shapely.Polygon]]:
    """Plot logits of tiles with a margin, their transform, and the tile without the margin."""
    west, south, east, north = shapely.bounds(area)
    top, left = grid.pixel_of(west, north)
    bottom, right = grid.pixel_of(east, south)
    shapely.prepare(area)
    halo = -(-(HALO_PX + network_window_px(grid.gsd_m)) // _ALIGN_PX) * _ALIGN_PX
    for row in range(math.floor(top / _TILE_PX), math.floor(bottom / _TILE_PX) + 1):
        for column in range(math.floor(left / _TILE_PX), math.floor(right / _TILE_PX) + 1):
            corners = grid.xy(
                np.array([(row + 1.0) * _TILE_PX, row * _TILE_PX]),
                np.array([column * _TILE_PX, (column + 1.0) * _TILE_PX]),
            )
            tile = shapely.box(*corners[0], *corners[1])
            near = shapely.intersection(area, tile)
            if near.is_empty:
                continue
            # Only what the area needs of the tile, and a bed's width around it.
            bounds = shapely.bounds(shapely.buffer(near, 3.0))
            first_row, first_column = (int(v) for v in grid.pixel_of(bounds[0], bounds[3]))
            last_row, last_column = (math.ceil(v) for v in grid.pixel_of(bounds[2], bounds[1]))
            r0, c0 = (v // _ALIGN_PX * _ALIGN_PX for v in (first_row, first_column))
            rows, columns = (
                -(-(b - a) // _ALIGN_PX) * _ALIGN_PX for a, b in ((r0, last_row), (c0, last_column))
            )
            rgb, valid = grid.read(r0 - halo, c0 - halo, rows + 2 * halo, columns + 2 * halo)
            if not valid[halo:-halo, halo:-halo].any():
                continue
            planes = network_input(to_lab(rgb), valid, grid.gsd_m)
            logits = network.run(planes)[PLOT]
            inner = np.s_[halo // 2 : (halo + rows) // 2, halo // 2 : (halo + columns) // 2]
            seen = valid[halo : halo + rows : 2, halo : halo + columns : 2]
            logits = np.round(np.clip(logits[inner], -7.9, 7.9) * _LOGIT_STEPS) / _LOGIT_STEPS
            ((x, y),) = grid.xy(np.array([r0]), np.array([c0]))
            affine = Affine(2 * grid.gsd_m, 0, float(x), 0, -2 * grid.gsd_m, float(y))
            yield np.where(seen, logits, -8.0), affine, tile
