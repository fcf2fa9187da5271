"""A metric frame for a stretch of road, and lines measured in it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt
import shapely
from pyproj import CRS, Transformer

from corridor.values import Boundary, FloatArray


@dataclass(frozen=True)
class LocalFrame:
    """East and north in metres about an origin: a transverse Mercator through it with scale 1.

    Lengths are true to 1 part in 10,000 within 90 km east and west of the origin, at any distance
    north and south (scale error is (east / 6,371 km)² / 2).
    """

    lon0_deg: float
    lat0_deg: float

    @classmethod
    def around(cls, lonlat: npt.ArrayLike) -> Self:
        """The frame centred on the middle of the bounds of (N, 2) longitudes and latitudes."""
        points = np.atleast_2d(np.asarray(lonlat, dtype=np.float64))
        low, high = points.min(axis=0), points.max(axis=0)
        return cls(round(float(low[0] + high[0]) / 2, 6), round(float(low[1] + high[1]) / 2, 6))

    @cached_property
    def crs(self) -> CRS:
        """The frame as a CRS that any GIS understands."""
        return CRS.from_proj4(
            f"+proj=tmerc +lat_0={self.lat0_deg} +lon_0={self.lon0_deg} +k=1 +x_0=0 +y_0=0 "
            "+ellps=WGS84 +units=m +no_defs"
        )

    @cached_property
    def _forward(self) -> Transformer:
        return Transformer.from_crs("EPSG:4326", self.crs, always_xy=True)

    def to_xy(self, lonlat: npt.ArrayLike) -> FloatArray:
        """(N, 2) longitude and latitude in degrees to (N, 2) metres east and north."""
        points = np.atleast_2d(np.asarray(lonlat, dtype=np.float64))
        return np.column_stack(self._forward.transform(points[:, 0], points[:, 1]))

    def to_lonlat(self, xy: npt.ArrayLike) -> FloatArray:
        """(N, 2) metres east and north to (N, 2) longitude and latitude in degrees."""
        points = np.atleast_2d(np.asarray(xy, dtype=np.float64))
        return np.column_stack(
            self._forward.transform(points[:, 0], points[:, 1], direction="INVERSE")
        )


@dataclass(frozen=True)
class Track:
    """One polyline in a metric frame with a chainage at each vertex.

    Attributes:
        xy: (N, 2) metres in some metric frame, N >= 2.
        chainage_m: (N,) increasing.
    """

    xy: FloatArray
    chainage_m: FloatArray

    @classmethod
    def of(cls, boundary: Boundary, part: int, frame: LocalFrame) -> Self:
        """A boundary's part in a frame."""
        return cls(frame.to_xy(boundary.parts[part]), boundary.vertex_chainages_m(part))

    @cached_property
    def _tree(self) -> shapely.STRtree:
        ends = np.stack([self.xy[:-1], self.xy[1:]], axis=1)
        return shapely.STRtree(np.atleast_1d(np.asarray(shapely.linestrings(ends))))

    def at(self, chainage_m: npt.ArrayLike) -> FloatArray:
        """Positions (M, 2) at chainages (M,); chainages beyond an end give that end."""
        chainage = np.atleast_1d(np.asarray(chainage_m, dtype=np.float64))
        return np.column_stack(
            [np.interp(chainage, self.chainage_m, self.xy[:, axis]) for axis in (0, 1)]
        )

    def direction_at(self, chainage_m: npt.ArrayLike) -> FloatArray:
        """Unit vectors (M, 2) along increasing chainage at chainages (M,)."""
        chainage = np.atleast_1d(np.asarray(chainage_m, dtype=np.float64))
        segment = np.searchsorted(self.chainage_m, chainage, side="right") - 1
        segment = np.clip(segment, 0, len(self.xy) - 2)
        step = np.diff(self.xy, axis=0)[segment]
        return np.asarray(step / np.hypot(step[:, 0], step[:, 1])[:, None])

    def locate(self, xy: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Chainage and signed offset (each (M,)) of the nearest point on the line.

        The offset in metres is positive to the left of increasing chainage. Beyond an end it is the
        distance from that end.
        """
        points = np.atleast_2d(np.asarray(xy, dtype=np.float64))
        segment = self._tree.nearest(shapely.points(points))
        step = np.diff(self.xy, axis=0)
        length = np.hypot(step[:, 0], step[:, 1])
        unit = step / length[:, None]
        along = ((points - self.xy[segment]) * unit[segment]).sum(axis=1)
        along = np.clip(along, 0.0, length[segment])
        away = points - self.xy[segment] - along[:, None] * unit[segment]
        chainage = self.chainage_m[segment] + along / length[segment] * (
            self.chainage_m[segment + 1] - self.chainage_m[segment]
        )
        # At a vertex both segments have a say: seen from one of them alone, a point outside of a
        # turn sharper than a right angle lies on the wrong side.
        before = np.where(along < 1e-6, np.maximum(segment - 1, 0), segment)
        at_end = length[segment] - along < 1e-6
        after = np.where(at_end, np.minimum(segment + 1, len(step) - 1), segment)
        way = unit[before] + unit[after]
        side = np.where(way[:, 0] * away[:, 1] - way[:, 1] * away[:, 0] < 0.0, -1.0, 1.0)
        return np.asarray(chainage), np.asarray(side * np.hypot(away[:, 0], away[:, 1]))
