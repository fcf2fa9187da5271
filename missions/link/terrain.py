"""Terrain data for a vehicle that asks for it: heights of a raster in MAVLink's grids."""

from __future__ import annotations

import math
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np

from corridor import LocalFrame
from missions.dem import Dem
from missions.link.connection import Link

_METRES_PER_DEGREE = 111_318.845
_PIECE, _PIECES_EAST, _PIECES = 4, 8, 56
_AT_ONCE = 8
"""Pieces sent for each message heard, so that a slow link is not flooded."""


class TerrainServer:
    """Answers TERRAIN_REQUEST from a raster of elevations; add it to `Link.observers`.

    Pieces that lie off the raster, in part or as a whole, are not answered: a vehicle that does not
    know the ground refuses to arm, and that is right.

    Args:
        link: to the vehicle.
        elevations: the raster. The vehicle uses differences of its heights only.
        frame: a metric frame nearby.

    Attributes:
        sent: pieces so far.
        unknown: pieces asked for that lie off the raster.
    """

    def __init__(self, link: Link, elevations: Path, frame: LocalFrame) -> None:
        self._link = link
        self._dem = Dem(elevations, frame)
        self._frame = frame
        self._waiting: deque[tuple[int, int, int, int]] = deque()
        self.sent = 0
        self.unknown = 0

    def __call__(self, message: Any) -> None:
        """Takes one message."""
        if message.get_type() == "TERRAIN_REQUEST" and message.grid_spacing > 0:
            pieces = {
                (message.lat, message.lon, message.grid_spacing, bit)
                for bit in range(_PIECES)
                if message.mask >> bit & 1
            }
            self._waiting.extend(sorted(pieces - set(self._waiting)))
        for _ in range(min(_AT_ONCE, len(self._waiting))):
            self._answer(*self._waiting.popleft())

    def _answer(self, lat: int, lon: int, spacing_m: int, bit: int) -> None:
        heights = self.piece_m(lat / 1e7, lon / 1e7, spacing_m, bit)
        if not np.isfinite(heights).all() or np.abs(heights).max() > 32_000:
            self.unknown += 1
            return
        data = [int(value) for value in np.rint(heights).ravel()]
        self._link.send("terrain_data", lat, lon, spacing_m, bit, data)
        self.sent += 1

    def piece_m(self, lat_deg: float, lon_deg: float, spacing_m: int, bit: int) -> Any:
        """Heights (4, 4) of one piece, rows to the north and columns to the east of its corner."""
        row, column = divmod(bit, _PIECES_EAST)
        north = (np.arange(_PIECE) + row * _PIECE) * spacing_m
        east = (np.arange(_PIECE) + column * _PIECE) * spacing_m
        lats = lat_deg + north / _METRES_PER_DEGREE
        places = []
        for lat in lats:
            scale = _METRES_PER_DEGREE * math.cos(math.radians(0.5 * (lat_deg + lat)))
            places += [(lon_deg + e / scale, lat) for e in east]
        heights = self._dem.ground_m(self._frame.to_xy(places))
        return heights.reshape(_PIECE, _PIECE)
