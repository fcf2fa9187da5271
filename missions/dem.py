"""Elevations from a raster, read by tiles, and the ground under a path at its own resolution.

Heights of a raster are taken to stand at its cell centres (the nodes). Between four nodes any
interpolation in use (nearest, bilinear) stays within their least and greatest height, so a path
that clears the greatest of the four clears the surface, however it is read. That is what makes a
200 m step between two samples safe.

Of models with cells far below a metre, bounds are taken from blocks of 2, 4, 8, … cells (their
greatest and least height): bounds of more ground than needed, so on the safe side, and as fast for
a surface model of 5 cm as for one of 1 m. Heights themselves are always read at full resolution.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
import rasterio.features
import shapely
from pyproj import CRS, Transformer
from rasterio.windows import Window
from shapely.geometry.base import BaseGeometry

from corridor import InputError, LocalFrame
from corridor.values import FloatArray
from missions.grid import crossings_of

_TILE_PX = 512
_TILES_KEPT = 160  # 160 MB at 4 bytes
_BLOCK_M = 1.5


class Dem:
    """A terrain or surface model in the metric frame of a plan.

    Args:
        path: a raster GDAL reads, one band, with a CRS (projected or geographic).
        frame: metric frame of the positions given to the methods.

    Raises:
        InputError: if the raster cannot serve as elevations.
    """

    def __init__(self, path: str | Path, frame: LocalFrame) -> None:
        self.path = Path(path)
        self.frame = frame
        if not self.path.is_file():
            raise InputError(path, "no such file", "give a GeoTIFF of elevations with --dem")
        try:
            self._raster = rasterio.open(self.path)
        except rasterio.errors.RasterioIOError as error:
            raise InputError(path, f"is no raster that can be read ({error})") from error
        if self._raster.crs is None:
            raise InputError(
                path, "carries no CRS", "state it with gdal_edit.py -a_srs EPSG:… or gdalwarp"
            )
        if self._raster.count != 1:
            raise InputError(
                path, f"has {self._raster.count} bands", "elevations have one band (is this the "
                "orthophoto?)",
            )  # fmt: skip
        crs = CRS.from_user_input(self._raster.crs)
        self._to_raster = Transformer.from_crs(frame.crs, crs, always_xy=True)
        self._to_pixel = ~self._raster.transform
        self._tiles: OrderedDict[tuple[int, int], FloatArray] = OrderedDict()
        self.cell_m = self._cell_size_m()
        self.block_cells = 1
        while 2 * self.block_cells * self.cell_m <= _BLOCK_M and self.block_cells < _TILE_PX:
            self.block_cells *= 2
        self._blocks: dict[tuple[int, int], FloatArray] = {}

    def _cell_size_m(self) -> float:
        columns, rows = self._raster.width / 2, self._raster.height / 2
        corners = [(columns, rows), (columns + 1, rows), (columns, rows + 1)]
        x, y = zip(*(self._raster.transform @ corner for corner in corners), strict=True)
        east, north = self._to_raster.transform(
            np.array(x), np.array(y), direction="INVERSE", errcheck=False
        )
        across = math.hypot(east[1] - east[0], north[1] - north[0])
        along = math.hypot(east[2] - east[0], north[2] - north[0])
        if not (0.001 < across < 5000 and 0.001 < along < 5000):
            raise InputError(
                self.path, "does not lie near the route", "the elevations must cover the boundaries"
            )
        return min(across, along)

    def to_grid(self, xy: FloatArray) -> FloatArray:
        """(N, 2) metres of the frame to (N, 2) column and row, whole numbers at cell centres."""
        east, north = self._to_raster.transform(xy[:, 0], xy[:, 1])
        columns, rows = self._to_pixel @ (np.asarray(east), np.asarray(north))
        return np.column_stack([columns - 0.5, rows - 0.5])

    def heights_at_nodes(
        self, column: npt.NDArray[np.int64], row: npt.NDArray[np.int64]
    ) -> FloatArray:
        """Heights (N,) of the cells; NaN off the raster and where it has no data."""
        inside = (
            (column >= 0) & (row >= 0) & (column < self._raster.width) & (row < self._raster.height)
        )
        heights = np.full(len(column), np.nan)
        if not inside.any():
            return heights
        keys = (row[inside] // _TILE_PX) * (1 << 24) + column[inside] // _TILE_PX
        found = np.empty(int(inside.sum()))
        for key in np.unique(keys):
            chosen = keys == key
            tile_row, tile_column = divmod(int(key), 1 << 24)
            tile = self._tile(tile_column, tile_row)
            found[chosen] = tile[
                row[inside][chosen] - tile_row * _TILE_PX,
                column[inside][chosen] - tile_column * _TILE_PX,
            ]
        heights[inside] = found
        return heights

    def _extremes_at(
        self, column: npt.NDArray[np.int64], row: npt.NDArray[np.int64]
    ) -> tuple[FloatArray, FloatArray]:
        """Greatest and least height (N,) of the nodes of blocks; NaN where one is missing."""
        n = self.block_cells
        if n == 1:
            heights = self.heights_at_nodes(column, row)
            return heights, heights
        inside = (column >= 0) & (row >= 0)
        inside &= (column * n < self._raster.width) & (row * n < self._raster.height)
        found = np.full((2, len(column)), np.nan)
        per_tile = _TILE_PX // n
        keys = (row // per_tile) * (1 << 24) + column // per_tile
        for key in np.unique(keys[inside]):
            tile_row, tile_column = divmod(int(key), 1 << 24)
            chosen = inside & (keys == key)
            blocks = self._block_tile(tile_column, tile_row)
            found[:, chosen] = blocks[
                :, row[chosen] - tile_row * per_tile, column[chosen] - tile_column * per_tile
            ]
        return found[0], found[1]

    def _block_tile(self, column: int, row: int) -> FloatArray:
        """(2, rows, columns) greatest and least heights of a tile's blocks."""
        key = (column, row)
        if key not in self._blocks:
            n = self.block_cells
            tile = self._tile(column, row)
            rows, columns = (-(-size // n) for size in tile.shape)
            padded = np.pad(
                tile, ((0, rows * n - tile.shape[0]), (0, columns * n - tile.shape[1])), "edge"
            )
            square = padded.reshape(rows, n, columns, n)
            self._blocks[key] = np.stack([square.max(axis=(1, 3)), square.min(axis=(1, 3))])
        return self._blocks[key]

    def _tile(self, column: int, row: int) -> FloatArray:
        key = (column, row)
        if key in self._tiles:
            self._tiles.move_to_end(key)
            return self._tiles[key]
        window = Window(
            column * _TILE_PX,
            row * _TILE_PX,
            min(_TILE_PX, self._raster.width - column * _TILE_PX),
            min(_TILE_PX, self._raster.height - row * _TILE_PX),
        )
        tile = self._raster.read(1, window=window, masked=True).astype(np.float64).filled(np.nan)
        tile[~np.isfinite(tile)] = np.nan
        self._tiles[key] = tile.astype(np.float32)
        if len(self._tiles) > _TILES_KEPT:
            self._tiles.popitem(last=False)
        return self._tiles[key]

    def ground_m(self, xy: npt.ArrayLike) -> FloatArray:
        """Bilinear heights (N,) at (N, 2) metres of the frame; NaN where a node is missing."""
        grid = self.to_grid(np.atleast_2d(np.asarray(xy, dtype=np.float64)))
        low = np.floor(grid).astype(np.int64)
        part = grid - low
        corner = [
            self.heights_at_nodes(low[:, 0] + i, low[:, 1] + j) for j in (0, 1) for i in (0, 1)
        ]
        # A node without weight may be missing: on the raster's edge, at an exact cell centre.
        weights = [
            (1 - part[:, 0]) * (1 - part[:, 1]),
            part[:, 0] * (1 - part[:, 1]),
            (1 - part[:, 0]) * part[:, 1],
            part[:, 0] * part[:, 1],
        ]
        terms = [np.where(w > 1e-9, w * h, 0.0) for w, h in zip(weights, corner, strict=True)]
        return np.asarray(sum(terms))

    def highest_m(self, xy: FloatArray) -> FloatArray:
        """The greatest of the four blocks around each of (N, 2) positions; NaN if one is missing.

        A block is a node, but for very fine models (see above).
        """
        return np.asarray(np.maximum.reduce([high for high, _ in self._around(xy)]))

    def lowest_m(self, xy: FloatArray) -> FloatArray:
        """The least of the four blocks around each of (N, 2) positions; NaN if one is missing."""
        return np.asarray(np.minimum.reduce([low for _, low in self._around(xy)]))

    def _around(self, xy: FloatArray) -> list[tuple[FloatArray, FloatArray]]:
        block = np.floor(self.to_grid(xy) / self.block_cells).astype(np.int64)
        return [self._extremes_at(block[:, 0] + i, block[:, 1] + j) for j in (0, 1) for i in (0, 1)]

    def known_around(self, xy: FloatArray, radius_m: float) -> npt.NDArray[np.bool_]:
        """Whether there are elevations all around (N, 2) positions, and some cells beyond.

        Looked up in eight directions at half and at the whole of the radius: enough to stop a lane
        before the model's edge. Smaller holes are found by whatever flies over them.
        """
        reach_m = radius_m + 3.0 * self.cell_m * self.block_cells
        known = np.isfinite(self.highest_m(xy))
        for angle in np.arange(8) * (math.pi / 4.0):
            step = np.array([math.cos(angle), math.sin(angle)])
            for share in (0.5, 1.0):
                node = np.round(self.to_grid(xy + share * reach_m * step)).astype(np.int64)
                known &= np.isfinite(self.heights_at_nodes(node[:, 0], node[:, 1]))
        return known

    def breaks_m(self, xy: FloatArray) -> FloatArray:
        """Where a polyline crosses from one square of four blocks to the next.

        Args:
            xy: (N, 2) vertices.

        Returns:
            (M,) metres along the polyline, ascending, with all its vertices among them.
        """
        steps = np.hypot(*np.diff(xy, axis=0).T)
        along_m = np.concatenate([[0.0], np.cumsum(steps)])
        # Straight in the frame is straight in the raster only over short distances.
        pieces = np.maximum(1, np.ceil(steps / 200.0)).astype(np.int64)
        s = np.concatenate(
            [
                np.linspace(a, b, n, endpoint=False)
                for a, b, n in zip(along_m[:-1], along_m[1:], pieces, strict=True)
            ]
            + [along_m[-1:]]
        )
        points = np.column_stack([np.interp(s, along_m, xy[:, axis]) for axis in (0, 1)])
        return np.asarray(crossings_of(self.to_grid(points) / self.block_cells, s))

    def highest_within_m(self, area: BaseGeometry) -> float:
        """The greatest height of all cells touched by an area of the frame.

        NaN where the area leaves the raster or touches a cell without data.
        """
        n = self.block_cells
        outline: BaseGeometry = shapely.transform(
            shapely.segmentize(area, 500.0), lambda xy: self.to_grid(xy) / n
        )
        low_x, low_y, high_x, high_y = shapely.bounds(outline)
        # One block more on each side: nodes around the edge bound the surface inside.
        column, row = math.floor(low_x) - 1, math.floor(low_y) - 1
        width, height = math.ceil(high_x) + 2 - column, math.ceil(high_y) + 2 - row
        shifted = shapely.transform(outline, lambda grid: grid - (column, row) + 0.5)
        mask = rasterio.features.rasterize(
            [(shapely.buffer(shifted, 1.0), 1)],
            out_shape=(height, width),
            all_touched=True,
            dtype="uint8",
        )
        rows, columns = np.nonzero(mask)
        highest = -np.inf
        for start in range(0, len(rows), 4_000_000):
            chosen = slice(start, start + 4_000_000)
            heights, _ = self._extremes_at(
                columns[chosen].astype(np.int64) + column, rows[chosen].astype(np.int64) + row
            )
            highest = max(highest, float(np.max(heights)))
            if math.isnan(float(np.sum(heights))):
                return math.nan
        return highest
