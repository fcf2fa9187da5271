"""Orthophotos read by windows: one grid over one or several files, averaged where it is coarser.

Nothing here ever holds more than one window. A pixel of the grid has one value, whichever window it
is read with, so what is computed in pieces equals what is computed at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import shapely
from affine import Affine
from numba import njit
from pyproj import CRS, Transformer

from analysis.raster_source import (
    HALO_PX,
    BoolArray,
    Bounds,
    ByteArray,
    Level,
    Source,
    crs_name,
    describe,
    level_for,
    opened,
    read_window,
    stretch_of,
    version_of,
)
from corridor import Boundary, InputError, Track
from corridor.values import FloatArray

CACHE_BYTES = 64 * 2**20
"""GDAL's cache of blocks, in each process; its own default is a share of the machine's memory.
rasterio hands a number on as bytes, while GDAL itself reads a small one as megabytes."""
_SOURCE_CHUNK_PX = 12_000_000
"""Source pixels held at once while averaging."""


class Patch(NamedTuple):
    """A window of the picture.

    Attributes:
        rgb: (H, W, 3) uint8, 0 where not valid.
        valid: (H, W) bool, False where nothing was imaged.
        affine: pixel (column, row) corners to x, y in the orthophoto's CRS, north up.
    """

    rgb: ByteArray
    valid: BoolArray
    affine: Affine


class Stretch(NamedTuple):
    """A piece of a boundary to be worked on at once, chainages half open [start, end)."""

    part: int
    start_m: float
    end_m: float
    bounds: Bounds


@dataclass(frozen=True)
class Orthophoto:
    """One or several orthophoto files as a single picture.

    Where files overlap, the one named first wins. Made by `Orthophoto.open`.

    Attributes:
        paths: the files.
        crs: projected, in metres; what `bounds` and every x, y here are in.
        gsd_m: side of a pixel of the finest file.
        bounds: of all files together.
        notes: what a user should know of how the files are read.
    """

    paths: tuple[Path, ...]
    crs: CRS
    gsd_m: float
    bounds: Bounds
    notes: tuple[str, ...]
    _sources: tuple[Source, ...] = field(repr=False)
    _stretch_dn: tuple[float, float] | None = field(repr=False, default=None)

    @classmethod
    def open(cls, paths: str | Path | Sequence[str | Path]) -> Orthophoto:
        """Opens one orthophoto or the tiles of one.

        Raises:
            InputError: if a file is no picture in true metres with red, green and blue, or holds
                no valid pixel, or if the files are in different CRSs.
        """
        given = [Path(path) for path in ([paths] if isinstance(paths, str | Path) else paths)]
        if not given:
            raise ValueError("an orthophoto needs at least one file")
        described = [describe(path) for path in given]
        sources = [source for source, _ in described]
        for source in sources[1:]:
            if source.crs != sources[0].crs:
                raise InputError(
                    source.path,
                    f"is in {crs_name(source.crs)}, {sources[0].path.name} in "
                    f"{crs_name(sources[0].crs)}",
                    "tiles must share one CRS; reproject with: gdalwarp -t_srs "
                    f"{crs_name(sources[0].crs)} {source.path.name} out.tif",
                )
        boxes = np.array([source.bounds for source in sources])
        lows, highs = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
        gsd_m = min(min(source.transform.a, -source.transform.e) for source in sources)
        notes = [
            f"{source.path.name}: read through a warp to {crs_name(source.crs)}"
            for source in sources
            if source.warp
        ]
        stretch_dn = None
        if any(source.dtype == "uint16" for source in sources):
            if any(source.dtype != "uint16" for source in sources):
                raise InputError(
                    sources[0].path, "some tiles are 8 bit and others 16 bit", "one depth for all"
                )
            stretch_dn = stretch_of(tuple(sources), tuple(map(version_of, given)))
            notes.append(
                f"16 bit: {stretch_dn[0]:.0f} to {stretch_dn[1]:.0f} (0.5th and 99.5th percentile, "
                "all bands alike) stretched to 0 to 255"
            )
        picture = cls(
            paths=tuple(source.path for source in sources),
            crs=sources[0].crs,
            gsd_m=float(gsd_m),
            bounds=(float(lows[0]), float(lows[1]), float(highs[0]), float(highs[1])),
            notes=tuple(notes),
            _sources=tuple(sources),
            _stretch_dn=stretch_dn,
        )
        for source, has_valid in described:
            if not has_valid:
                raise InputError(source.path, "holds no valid pixel: all of it is nodata")
        return picture

    # Where things are

    @cached_property
    def _to_lonlat(self) -> Transformer:
        return Transformer.from_crs(self.crs, "EPSG:4326", always_xy=True)

    def to_lonlat(self, xy: npt.ArrayLike) -> FloatArray:
        """(N, 2) x, y in the picture's CRS to (N, 2) longitude and latitude in degrees."""
        points = np.atleast_2d(np.asarray(xy, dtype=np.float64))
        return np.column_stack(self._to_lonlat.transform(points[:, 0], points[:, 1]))

    def to_xy(self, lonlat: npt.ArrayLike) -> FloatArray:
        """(N, 2) longitude and latitude in degrees to (N, 2) x, y in the picture's CRS."""
        points = np.atleast_2d(np.asarray(lonlat, dtype=np.float64))
        return np.column_stack(
            self._to_lonlat.transform(points[:, 0], points[:, 1], direction="INVERSE")
        )

    def track(self, boundary: Boundary, part: int) -> Track:
        """A boundary's part as a line in the picture's CRS, with its chainage."""
        return Track(self.to_xy(boundary.parts[part]), boundary.vertex_chainages_m(part))

    def require_cover(self, boundaries: Sequence[Boundary], reach_m: float) -> None:
        """Checks that some of the boundaries run through the picture.

        Args:
            boundaries: the lines to be analysed.
            reach_m: how far beside a line is still of interest.

        Raises:
            InputError: if none comes within `reach_m` of any file's bounds.
        """
        frames = shapely.union_all([shapely.box(*source.bounds) for source in self._sources])
        nearest = math.inf
        for boundary in boundaries:
            for part in range(len(boundary.parts)):
                xy = self.track(boundary, part).xy
                if not np.isfinite(xy).all():
                    continue
                nearest = min(nearest, shapely.distance(frames, shapely.LineString(xy)))
        if nearest <= reach_m:
            return
        name = boundaries[0].source or "boundaries"
        away = f"{nearest / 1000:,.1f} km" if nearest >= 1000 else f"{nearest:.0f} m"
        hint = "check that both are of the same place"
        if nearest < 2000:
            hint += ", and whether the line was drawn on a Chinese web map (--datum gcj02 or bd09)"
        raise InputError(
            name, f"no boundary runs through {self.paths[0].name}: the nearest is {away} away", hint
        )

    # Reading

    def affine_of(self, bounds: Bounds, gsd_m: float = 0.0) -> tuple[Affine, int, int]:
        """The grid's affine, width and height in pixels for a window that covers `bounds`.

        The grid starts at the north-west corner of the picture's bounds; its pixels are `gsd_m`
        wide, or the picture's own where that is coarser. Windows snap outward to whole pixels.
        """
        pixel_m = self._pixel_m(gsd_m)
        left, top = self.bounds[0], self.bounds[3]
        column0 = math.floor((bounds[0] - left) / pixel_m + 1e-6)
        row0 = math.floor((top - bounds[3]) / pixel_m + 1e-6)
        column1 = math.ceil((bounds[2] - left) / pixel_m - 1e-6)
        row1 = math.ceil((top - bounds[1]) / pixel_m - 1e-6)
        affine = Affine(pixel_m, 0.0, left + column0 * pixel_m, 0.0, -pixel_m, top - row0 * pixel_m)
        return affine, max(column1 - column0, 1), max(row1 - row0, 1)

    def read(self, bounds: Bounds | None = None, gsd_m: float = 0.0) -> Patch:
        """The window that covers `bounds`, all of the picture if none are given.

        Args:
            bounds: west, south, east, north in the picture's CRS; may reach outside the picture.
            gsd_m: pixel side wanted; a finer one than the picture's own gives the picture's own.
                Coarser pixels are the mean over their area of what is valid there, and valid where
                at least half of it is.

        Raises:
            InputError: if a file turns out to be damaged.
        """
        affine, width, height = self.affine_of(bounds or self.bounds, gsd_m)
        rgb = np.zeros((height, width, 3), np.uint8)
        valid = np.zeros((height, width), np.bool_)
        pixel_m = affine.a
        left, top = self.bounds[0], self.bounds[3]
        column0, row0 = round((affine.c - left) / pixel_m), round((top - affine.f) / pixel_m)
        for source in self._sources:
            west, south, east, north = source.bounds
            c0 = max(math.floor((west - left) / pixel_m + 1e-6) - column0, 0)
            c1 = min(math.ceil((east - left) / pixel_m - 1e-6) - column0, width)
            r0 = max(math.floor((top - north) / pixel_m + 1e-6) - row0, 0)
            r1 = min(math.ceil((top - south) / pixel_m - 1e-6) - row0, height)
            if c0 >= c1 or r0 >= r1:
                continue
            level = level_for(source, pixel_m)
            # Corners of the grid's columns and rows, counted from its origin so that they are the
            # same numbers in every window, in pixels of the level that is read.
            columns = _edges(column0 + c0, c1 - c0, pixel_m, west - left, level.pixel_x_m)
            rows = _edges(row0 + r0, r1 - r0, pixel_m, top - north, level.pixel_y_m)
            with opened(source, level) as dataset:
                self._fill(
                    source, level, dataset, rows, columns, rgb[r0:r1, c0:c1], valid[r0:r1, c0:c1]
                )
            if valid.all():
                break
        return Patch(rgb, valid, affine)

    def level_gsd_m(self, pixel_m: float) -> float:
        """The coarsest pixel, no coarser than `pixel_m`, that the finest file holds as it is.

        For pictures that are looked at: to read it is to copy, without any averaging.
        """
        finest = min(self._sources, key=lambda source: source.transform.a)
        level = level_for(finest, pixel_m)
        return max(self.gsd_m, min(level.pixel_x_m, level.pixel_y_m))

    def stretches(
        self, boundary: Boundary, reach_m: float, length_m: float, overlap_m: float = 0.0
    ) -> Iterator[Stretch]:
        """Pieces of a boundary, in order, each with the bounds of what lies within `reach_m`.

        Pieces begin at multiples of `length_m` from the part's start, whatever part of it lies in
        the picture; the bounds cover `overlap_m` more at both ends. Pieces wholly outside the
        picture are left out.
        """
        for part in range(len(boundary.parts)):
            track = self.track(boundary, part)
            first_m, last_m = float(track.chainage_m[0]), float(track.chainage_m[-1])
            for index in range(max(1, math.ceil((last_m - first_m) / length_m - 1e-9))):
                start_m = first_m + index * length_m
                end_m = min(start_m + length_m, last_m)
                inside = (track.chainage_m > start_m - overlap_m) & (
                    track.chainage_m < end_m + overlap_m
                )
                points = np.vstack(
                    [track.at([start_m - overlap_m, end_m + overlap_m]), track.xy[inside]]
                )
                low, high = points.min(axis=0) - reach_m, points.max(axis=0) + reach_m
                bounds = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
                if self.overlaps(bounds):
                    yield Stretch(part, start_m, end_m, bounds)

    def overlaps(self, bounds: Bounds) -> bool:
        """Whether any file reaches into `bounds`."""
        return any(
            source.bounds[0] < bounds[2]
            and source.bounds[2] > bounds[0]
            and source.bounds[1] < bounds[3]
            and source.bounds[3] > bounds[1]
            for source in self._sources
        )

    def _pixel_m(self, gsd_m: float) -> float:
        return self.gsd_m if gsd_m <= self.gsd_m * 1.001 else float(gsd_m)

    def _fill(
        self,
        source: Source,
        level: Level,
        dataset: Any,
        rows: FloatArray,
        columns: FloatArray,
        rgb: ByteArray,
        valid: BoolArray,
    ) -> None:
        """Averages one file into the parts of `rgb` that are not `valid` yet."""
        halo = HALO_PX if any(source.collars) else 0
        x0 = max(math.floor(columns[0]) - halo, 0)
        x1 = min(math.ceil(columns[-1]) + halo, level.width)
        per_row = max(1.0, (x1 - x0) * (rows[-1] - rows[0]) / (len(rows) - 1))
        step = max(1, int(_SOURCE_CHUNK_PX / per_row))
        for first in range(0, len(rows) - 1, step):
            last = min(first + step, len(rows) - 1)
            y0 = max(math.floor(rows[first]) - halo, 0)
            y1 = min(math.ceil(rows[last]) + halo, level.height)
            if x0 >= x1 or y0 >= y1:
                continue
            colour, good = read_window(source, dataset, (x0, y0, x1, y1), self._stretch_dn)
            if _is_copy(rows, level.height) and _is_copy(columns, level.width):
                box = (
                    slice(int(rows[first]) - y0, int(rows[last]) - y0),
                    slice(int(columns[0]) - x0, int(columns[-1]) - x0),
                )
                new = good[box] & ~valid[first:last]
                if new.all():
                    rgb[first:last] = colour[box]
                else:
                    cv2.copyTo(colour[box], new.view(np.uint8), rgb[first:last])
                valid[first:last] |= new
                continue
            _average(
                colour,
                good,
                rows[first : last + 1] - y0,
                columns - x0,
                rgb[first:last],
                valid[first:last],
            )


def _edges(first: int, count: int, pixel_m: float, start_m: float, level_m: float) -> FloatArray:
    """Edges of grid pixels `first`..`first + count` in pixels of a level that begins at `start_m`.

    Edges within a thousandth of a pixel of a whole one are made whole: they differ by rounding.
    """
    edges = (np.arange(first, first + count + 1, dtype=np.float64) * pixel_m - start_m) / level_m
    whole = np.round(edges)
    return np.asarray(np.where(np.abs(edges - whole) < 1e-3, whole, edges))


def _is_copy(edges: FloatArray, size: int) -> bool:
    """Whether grid pixels are pixels of a source of `size` pixels."""
    whole = bool((edges == np.round(edges)).all() and (np.diff(edges) == 1.0).all())
    return whole and edges[0] >= 0 and bool(edges[-1] <= size)


@njit(cache=True)
def _average(
    colour: Any, good: Any, rows: Any, columns: Any, rgb: Any, valid: Any
) -> None:  # pragma: no cover - compiled
    """Means over grid pixels given by their edges in source pixels; see `Orthophoto.read`."""
    height, width = good.shape
    for i in range(rgb.shape[0]):
        top, bottom = rows[i], rows[i + 1]
        y0, y1 = max(int(np.floor(top)), 0), min(int(np.ceil(bottom)), height)
        for j in range(rgb.shape[1]):
            if valid[i, j]:
                continue
            left, right = columns[j], columns[j + 1]
            x0, x1 = max(int(np.floor(left)), 0), min(int(np.ceil(right)), width)
            weight = 0.0
            red = 0.0
            green = 0.0
            blue = 0.0
            for y in range(y0, y1):
                tall = min(bottom, y + 1.0) - max(top, float(y))
                for x in range(x0, x1):
                    if good[y, x]:
                        area = tall * (min(right, x + 1.0) - max(left, float(x)))
                        weight += area
                        red += area * colour[y, x, 0]
                        green += area * colour[y, x, 1]
                        blue += area * colour[y, x, 2]
            if weight > 0.0 and weight >= 0.4999 * (bottom - top) * (right - left):
                rgb[i, j, 0] = np.uint8(red / weight + 0.5)
                rgb[i, j, 1] = np.uint8(green / weight + 0.5)
                rgb[i, j, 2] = np.uint8(blue / weight + 0.5)
                valid[i, j] = True
