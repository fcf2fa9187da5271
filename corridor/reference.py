"""Linear referencing on a boundary of any length: place to chainage and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from corridor.frame import LocalFrame, Track
from corridor.values import WGS84, Boundary, FloatArray

PIECE_M = 20_000.0
"""Lengths in a frame of a piece this long are true to 2 parts in a million."""


class Located(NamedTuple):
    """Places on a boundary.

    Attributes:
        part: (M,) which of the boundary's parts.
        chainage_m: (M,) of the nearest point on it.
        offset_m: (M,) distance from it, positive to the left of increasing chainage.
    """

    part: npt.NDArray[np.intp]
    chainage_m: FloatArray
    offset_m: FloatArray


@dataclass(frozen=True)
class FramedPiece:
    """A stretch of one part of a boundary in a metric frame of its own.

    Attributes:
        part: which of the boundary's parts.
        frame: centred on the stretch.
        track: the stretch's vertices in it, with their chainages.
    """

    part: int
    frame: LocalFrame
    track: Track


@dataclass(frozen=True)
class Reference:
    """A boundary cut into pieces that are each measured in a frame of their own.

    Chainages come from the ellipsoid, so they do not depend on the cutting.
    """

    boundary: Boundary
    pieces: tuple[FramedPiece, ...]

    @classmethod
    def of(cls, boundary: Boundary, piece_m: float = PIECE_M) -> Self:
        """Cuts a boundary into pieces of about `piece_m`; long segments are divided."""
        pieces = []
        for part in range(len(boundary.parts)):
            lonlat, chainage_m = _divided(boundary, part, piece_m / 4)
            along_m = chainage_m - chainage_m[0]
            count = max(1, round(along_m[-1] / piece_m))
            limits = np.searchsorted(along_m, along_m[-1] * np.arange(1, count) / count)
            starts = [0, *limits.tolist()]
            ends = [*limits.tolist(), len(lonlat) - 1]
            for low, high in zip(starts, ends, strict=True):
                if high > low:
                    points = lonlat[low : high + 1]
                    frame = LocalFrame.around(points)
                    track = Track(frame.to_xy(points), chainage_m[low : high + 1])
                    pieces.append(FramedPiece(part, frame, track))
        return cls(boundary, tuple(pieces))

    def at(self, chainage_m: npt.ArrayLike) -> FloatArray:
        """Positions (M, 2), longitude and latitude, at chainages (M,).

        A chainage in a gap gives the nearer end of it, one beyond an end that end.
        """
        chainage = np.atleast_1d(np.asarray(chainage_m, dtype=np.float64))
        low = np.array([piece.track.chainage_m[0] for piece in self.pieces])
        high = np.array([piece.track.chainage_m[-1] for piece in self.pieces])
        miss = np.maximum(low[None, :] - chainage[:, None], chainage[:, None] - high[None, :])
        which = np.argmin(np.maximum(miss, 0.0), axis=1)
        lonlat = np.empty((len(chainage), 2))
        for index in np.unique(which):
            chosen = which == index
            piece = self.pieces[index]
            lonlat[chosen] = piece.frame.to_lonlat(piece.track.at(chainage[chosen]))
        return lonlat

    def locate(self, lonlat: npt.ArrayLike) -> Located:
        """The nearest place on the boundary of each of (M, 2) longitudes and latitudes."""
        points = np.atleast_2d(np.asarray(lonlat, dtype=np.float64))
        best_m = np.full(len(points), np.inf)
        part = np.zeros(len(points), dtype=np.intp)
        chainage_m, offset_m = np.zeros(len(points)), np.zeros(len(points))
        for piece in self.pieces:
            near = self._may_be_nearest(piece, points, best_m)
            if not near.any():
                continue
            found_m, beside_m = piece.track.locate(piece.frame.to_xy(points[near]))
            closer = np.abs(beside_m) < best_m[near]
            rows = np.flatnonzero(near)[closer]
            best_m[rows] = np.abs(beside_m[closer])
            part[rows] = piece.part
            chainage_m[rows], offset_m[rows] = found_m[closer], beside_m[closer]
        return Located(part, chainage_m, offset_m)

    @staticmethod
    def _may_be_nearest(
        piece: FramedPiece, points: FloatArray, best_m: FloatArray
    ) -> npt.NDArray[np.bool_]:
        """Which points are no farther from the piece's middle than it reaches, plus their best."""
        radius_m = float(np.hypot(*piece.track.xy.T).max())
        count = len(points)
        _, _, away_m = WGS84.inv(
            np.full(count, piece.frame.lon0_deg),
            np.full(count, piece.frame.lat0_deg),
            points[:, 0],
            points[:, 1],
        )
        return np.asarray(np.asarray(away_m) <= (radius_m + best_m) * 1.001)


def _divided(boundary: Boundary, part: int, longest_m: float) -> tuple[FloatArray, FloatArray]:
    """A part's vertices and their chainages, with points put into segments that are too long."""
    lonlat, chainage_m = boundary.parts[part], boundary.vertex_chainages_m(part)
    out, out_m = [lonlat[:1]], [chainage_m[:1]]
    for i in range(len(lonlat) - 1):
        _, _, length_m = WGS84.inv(*lonlat[i], *lonlat[i + 1])
        count = int(np.ceil(length_m / longest_m))
        if count > 1:
            (lon1, lat1), (lon2, lat2) = lonlat[i], lonlat[i + 1]
            between = WGS84.npts(lon1, lat1, lon2, lat2, count - 1)
            out.append(np.array(between))
            frac = np.arange(1, count) / count
            out_m.append(chainage_m[i] + frac * (chainage_m[i + 1] - chainage_m[i]))
        out.append(lonlat[i + 1 : i + 2])
        out_m.append(chainage_m[i + 1 : i + 2])
    return np.concatenate(out), np.concatenate(out_m)
