"""Terrain data: asked for from the station in ArduPilot's grids, and the ground between them.

The globe is cut into blocks of 28 by 32 points, TERRAIN_SPACING apart, that start on whole degrees
and overlap by one square; the station sends them in pieces of 4 by 4
(https://mavlink.io/en/services/terrain.html).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from corridor import LonLat
from sitl.stand_in.craft import METRES_PER_DEGREE

if TYPE_CHECKING:
    from sitl.stand_in.vehicle import Vehicle

ROWS, COLUMNS, PIECE = 28, 32, 4
_STEP_NORTH, _STEP_EAST = ROWS - PIECE, COLUMNS - PIECE
_PIECES = ROWS // PIECE * (COLUMNS // PIECE)
_ALL = (1 << _PIECES) - 1
_ASK_EVERY_S = 2.0
_MISSING_S = 5.0
TERRAIN_FRAMES = (10, 11)


class _Block:
    def __init__(self) -> None:
        self.heights_m = np.zeros((ROWS, COLUMNS))
        self.have = 0


class Terrain:
    """What the vehicle knows of the ground, and what it asks for."""

    def __init__(self, vehicle: Vehicle) -> None:
        self._v = vehicle
        self._blocks: dict[tuple[int, int], _Block] = {}
        self._asked_s = -math.inf
        self._known_s = 0.0
        self._changes = -1
        self._places: list[LonLat] = []

    @property
    def enabled(self) -> bool:
        """TERRAIN_ENABLE."""
        return self._v.parameters["TERRAIN_ENABLE"] > 0

    @property
    def spacing_m(self) -> int:
        """Between the points of the grid."""
        return max(int(self._v.parameters["TERRAIN_SPACING"]), 1)

    def needed(self) -> bool:
        """Whether the mission has heights above terrain."""
        return any(item.frame in TERRAIN_FRAMES for item in self._v.mission_store.items)

    def complete(self) -> bool:
        """Whether all blocks under the vehicle and the mission are there."""
        return all(self._block(place)[1].have == _ALL for place in self._wanted())

    def tick(self) -> None:
        """Asks for what is missing, every two seconds; ten times a second."""
        v = self._v
        if not self.enabled or not v.ready:
            return
        if v.time_s - self._asked_s < _ASK_EVERY_S:
            return
        for place in self._wanted():
            (lat, lon), block = self._block(place)
            if block.have != _ALL:
                self._asked_s = v.time_s
                fields = {"lat": lat, "lon": lon, "grid_spacing": self.spacing_m}
                v.broadcast("TERRAIN_REQUEST", {**fields, "mask": _ALL & ~block.have})
                return

    def take(self, message: Any) -> None:
        """A TERRAIN_DATA; what was not asked for is passed over."""
        block = self._blocks.get((message.lat, message.lon))
        if block is None or message.grid_spacing != self.spacing_m or message.gridbit >= _PIECES:
            return
        row, column = (PIECE * n for n in divmod(message.gridbit, COLUMNS // PIECE))
        piece = np.array(message.data, dtype=np.float64).reshape(PIECE, PIECE)
        block.heights_m[row : row + PIECE, column : column + PIECE] = piece
        block.have |= 1 << message.gridbit

    def height_m(self, place: LonLat) -> float | None:
        """The ground above mean sea level, None where it is not known."""
        if not self.enabled:
            return None
        _, block, north, east = self._in_block(place)
        i, j = int(north), int(east)
        for row, column in ((i, j), (i + 1, j), (i, j + 1), (i + 1, j + 1)):
            bit = row // PIECE * (COLUMNS // PIECE) + column // PIECE
            if not block.have >> bit & 1:
                return None
        square = block.heights_m[i : i + 2, j : j + 2]
        along = square[0] + (north - i) * (square[1] - square[0])
        return float(along[0] + (east - j) * (along[1] - along[0]))

    def above_home_m(self, place: LonLat) -> float | None:
        """The ground above the ground at home: what heights above terrain are added to."""
        here, home = self.height_m(place), self.height_m(self._v.craft.home)
        return None if here is None or home is None else here - home

    def missing(self) -> bool:
        """In a leg above terrain: nothing known of the ground for five seconds."""
        v = self._v
        if v.terrain_following and self.above_home_m(v.craft.lonlat) is None:
            return v.time_s - self._known_s > _MISSING_S
        self._known_s = v.time_s
        return False

    def report(self) -> dict[str, Any]:
        """TERRAIN_REPORT, for where the vehicle is."""
        v = self._v
        place = v.craft.lonlat
        height_m = self.height_m(place) if v.ready else None
        above_m = v.craft.home_altitude_m + float(v.craft.position[2]) - (height_m or 0.0)
        loaded = sum(block.have.bit_count() for block in self._blocks.values())
        return {
            "lat": round(place.lat_deg * 1e7),
            "lon": round(place.lon_deg * 1e7),
            "spacing": 0 if height_m is None else self.spacing_m,
            "terrain_height": height_m or 0.0,
            "current_height": 0.0 if height_m is None else above_m,
            "pending": _PIECES * len(self._blocks) - loaded,
            "loaded": loaded,
        }

    def _wanted(self) -> list[LonLat]:
        store = self._v.mission_store
        if store.changes != self._changes:
            self._changes = store.changes
            self._places = [
                LonLat(item.y / 1e7, item.x / 1e7)
                for item in store.items
                if item.frame in TERRAIN_FRAMES and (item.x or item.y)
            ]
        return [self._v.craft.lonlat, self._v.craft.home, *self._places]

    def _block(self, place: LonLat) -> tuple[tuple[int, int], _Block]:
        key, block, _, _ = self._in_block(place)
        return key, block

    def _in_block(self, place: LonLat) -> tuple[tuple[int, int], _Block, float, float]:
        """The block's corner, itself, and rows to the north and columns to the east in it."""
        corner = LonLat(math.floor(place.lon_deg), math.floor(place.lat_deg))
        middle = math.radians(0.5 * (corner.lat_deg + place.lat_deg))
        north = (place.lat_deg - corner.lat_deg) * METRES_PER_DEGREE / self.spacing_m
        east = (place.lon_deg - corner.lon_deg) * METRES_PER_DEGREE * math.cos(middle)
        east /= self.spacing_m
        blocks_north, blocks_east = int(north) // _STEP_NORTH, int(east) // _STEP_EAST
        lat = corner.lat_deg + blocks_north * _STEP_NORTH * self.spacing_m / METRES_PER_DEGREE
        middle = math.radians(0.5 * (corner.lat_deg + lat))
        metres = blocks_east * _STEP_EAST * self.spacing_m
        lon = corner.lon_deg + metres / METRES_PER_DEGREE / math.cos(middle)
        key = (round(lat * 1e7), round(lon * 1e7))
        block = self._blocks.setdefault(key, _Block())
        return key, block, north - blocks_north * _STEP_NORTH, east - blocks_east * _STEP_EAST
