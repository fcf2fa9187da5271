"""The shared nouns: positions, altitudes, sides, boundaries."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
from pyproj import Geod

FloatArray = npt.NDArray[np.float64]

WGS84 = Geod(ellps="WGS84")


@dataclass(frozen=True, slots=True)
class LonLat:
    """A position on WGS 84 in degrees, longitude first wherever an order is needed."""

    lon_deg: float
    lat_deg: float

    def __post_init__(self) -> None:
        if not (-180.0 <= self.lon_deg <= 180.0 and -90.0 <= self.lat_deg <= 90.0):
            raise ValueError(f"not a longitude and latitude: {self.lon_deg}, {self.lat_deg}")


class AltitudeReference(enum.StrEnum):
    """What an altitude is measured from."""

    HOME = "home"
    MEAN_SEA_LEVEL = "mean_sea_level"
    TERRAIN = "terrain"
    ELLIPSOID = "ellipsoid"


@dataclass(frozen=True, slots=True)
class Altitude:
    """A height in metres above a stated reference."""

    value_m: float
    reference: AltitudeReference

    def __post_init__(self) -> None:
        if not math.isfinite(self.value_m):
            raise ValueError(f"an altitude must be finite, not {self.value_m}")


class Side(enum.StrEnum):
    """Which side of the road, looking along increasing chainage."""

    LEFT = "left"
    RIGHT = "right"

    @property
    def outward(self) -> int:
        """+1 if away from the road is to the left of the direction of chainage, else -1."""
        return 1 if self is Side.LEFT else -1


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch without a drawn line between two parts of a boundary.

    Attributes:
        chainage_start_m, chainage_end_m: of the ends on both sides of it.
        length_m: straight distance between those ends.
    """

    chainage_start_m: float
    chainage_end_m: float
    length_m: float


@dataclass(frozen=True)
class Boundary:
    """One fence line along one side of one route, in the direction of increasing chainage.

    Attributes:
        route: the road's name, for example `G75`.
        side: the side of the road that the fence is on.
        parts: one or more polylines in order, each an (N, 2) float64 array of WGS 84 longitude and
            latitude in degrees, N >= 2, read-only. Between parts is a gap with no fence drawn.
        chainage_start_m: chainage of the first vertex of each part, one value a part.
        chainage_scale: posted metres of chainage per metre on the ellipsoid, one value a part (1.0
            unless calibrated by kilometre posts).
        posted_m: chainage of each vertex of each part, (N,), where kilometre posts gave it; then
            the scale is that of the whole part. Empty otherwise.
        fence_height_m, post_spacing_m: of the fence as built.
        offset_tolerance_m: how far the drawn line may be from the real fence.
        notes: what its reader noticed and people should know, one sentence each.
    """

    route: str
    side: Side
    parts: tuple[FloatArray, ...]
    chainage_start_m: tuple[float, ...]
    chainage_scale: tuple[float, ...] = ()
    fence_height_m: float = 1.8
    post_spacing_m: float = 3.0
    offset_tolerance_m: float = 2.0
    source: str = field(default="", compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)
    posted_m: tuple[FloatArray, ...] = ()

    def __post_init__(self) -> None:
        if not self.chainage_scale:
            object.__setattr__(self, "chainage_scale", (1.0,) * len(self.parts))
        if not self.parts or not (
            len(self.parts) == len(self.chainage_start_m) == len(self.chainage_scale)
        ):
            raise ValueError("a boundary needs a polyline, a chainage and a scale for each part")
        for part in self.parts:
            if part.ndim != 2 or part.shape[1] != 2 or len(part) < 2 or part.dtype != np.float64:
                raise ValueError("a part is an (N, 2) float64 array of at least two vertices")
            if not np.isfinite(part).all() or np.abs(part).max(axis=0)[1] > 90.0:
                raise ValueError("a part holds finite longitudes and latitudes in degrees")
            part.flags.writeable = False
        if self.posted_m and [len(posted) for posted in self.posted_m] != [
            len(part) for part in self.parts
        ]:
            raise ValueError("posted_m has one chainage for each vertex of each part")

    @cached_property
    def part_lengths_m(self) -> tuple[float, ...]:
        """Length of each part on the ellipsoid."""
        return tuple(float(_segment_lengths_m(part).sum()) for part in self.parts)

    @property
    def length_m(self) -> float:
        """Length of all parts on the ellipsoid, gaps left out."""
        return sum(self.part_lengths_m)

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """The gaps between its parts, in order; parts that adjoin within 1 cm have none."""
        gaps = []
        for before in range(len(self.parts) - 1):
            start, end = self.parts[before][-1], self.parts[before + 1][0]
            _, _, length_m = WGS84.inv(*start, *end)
            if length_m > 0.01:
                end_m = float(self.vertex_chainages_m(before)[-1])
                gaps.append(Gap(end_m, self.chainage_start_m[before + 1], float(length_m)))
        return tuple(gaps)

    def vertex_chainages_m(self, part: int) -> FloatArray:
        """Chainage of each vertex of a part, shape (N,)."""
        if self.posted_m:
            return self.posted_m[part].copy()
        along_m = np.concatenate([[0.0], np.cumsum(_segment_lengths_m(self.parts[part]))])
        return np.asarray(
            self.chainage_start_m[part] + self.chainage_scale[part] * along_m, dtype=np.float64
        )

    @property
    def chainage_end_m(self) -> float:
        """Chainage of the last vertex of the last part."""
        return float(self.vertex_chainages_m(len(self.parts) - 1)[-1])


def _segment_lengths_m(lonlat: FloatArray) -> FloatArray:
    _, _, length_m = WGS84.inv(lonlat[:-1, 0], lonlat[:-1, 1], lonlat[1:, 0], lonlat[1:, 1])
    return np.asarray(length_m, dtype=np.float64)
