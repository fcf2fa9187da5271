"""What an aircraft is given: mission, geofence, rally points and parameters of one sortie.

This is the one internal model. Every file format has a writer from it and a reader to it, and the
link sends it; MAVLink's latitude-before-longitude order exists only there.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from corridor import Altitude, AltitudeReference, LonLat


class Frame(enum.IntEnum):
    """What an item's altitude is measured from (MAV_FRAME)."""

    MEAN_SEA_LEVEL = 0
    MISSION = 2
    ABOVE_HOME = 3
    ABOVE_TERRAIN = 10


class Command(enum.IntEnum):
    """The mission commands that fencewalk writes or needs to tell apart (MAV_CMD)."""

    WAYPOINT = 16
    LOITER_UNLIMITED = 17
    LOITER_TURNS = 18
    LOITER_TIME = 19
    RETURN_TO_LAUNCH = 20
    LAND = 21
    TAKEOFF = 22
    SPLINE_WAYPOINT = 82
    DELAY = 93
    CONDITION_YAW = 115
    DO_JUMP = 177
    DO_CHANGE_SPEED = 178
    DO_SET_HOME = 179
    DO_RETURN_PATH_START = 188
    DO_LAND_START = 189
    DO_SET_ROI_LOCATION = 195
    DO_SET_ROI_NONE = 197
    DO_DIGICAM_CONTROL = 203
    DO_MOUNT_CONTROL = 205
    DO_SET_CAM_TRIGG_DIST = 206
    DO_SET_RESUME_REPEAT_DIST = 215
    DO_GIMBAL_MANAGER_PITCHYAW = 1000
    IMAGE_START_CAPTURE = 2000
    IMAGE_STOP_CAPTURE = 2001
    FENCE_POLYGON_INCLUSION = 5001
    FENCE_POLYGON_EXCLUSION = 5002
    FENCE_CIRCLE_INCLUSION = 5003
    FENCE_CIRCLE_EXCLUSION = 5004
    RALLY_POINT = 5100


NAVIGATION = frozenset({16, 17, 18, 19, 20, 21, 22, 82, 93})
"""Commands that the vehicle works through one after the other; the others happen on the way."""

WITH_PLACE = frozenset(
    {16, 17, 18, 19, 21, 22, 82, 179, 188, 189, 195, 5001, 5002, 5003, 5004, 5100}
)
"""Commands whose fifth and sixth parameters are latitude and longitude."""

_REFERENCES = {
    0: AltitudeReference.MEAN_SEA_LEVEL,
    5: AltitudeReference.MEAN_SEA_LEVEL,
    3: AltitudeReference.HOME,
    6: AltitudeReference.HOME,
    10: AltitudeReference.TERRAIN,
    11: AltitudeReference.TERRAIN,
}


@dataclass(frozen=True, slots=True)
class MissionItem:
    """One command.

    Attributes:
        command: MAV_CMD number (see `Command`; others are carried through unchanged).
        frame: MAV_FRAME number (see `Frame`).
        p1, p2, p3, p4: the command's first four parameters.
        position: where, for commands in `WITH_PLACE`; None keeps the place (0, 0 in MAVLink).
        altitude_m: the seventh parameter; an altitude in the frame's reference if it has a place.
        p5, p6: the fifth and sixth parameter of commands without a place.
    """

    command: int
    frame: int = Frame.MISSION
    p1: float = 0.0
    p2: float = 0.0
    p3: float = 0.0
    p4: float = 0.0
    position: LonLat | None = None
    altitude_m: float = 0.0
    p5: float = 0.0
    p6: float = 0.0

    def __post_init__(self) -> None:
        if self.position is not None and self.command not in WITH_PLACE:
            raise ValueError(f"command {self.command} has no place")
        if (self.p5 or self.p6) and self.command in WITH_PLACE:
            raise ValueError(f"command {self.command} has a place instead of p5 and p6")

    @property
    def is_navigation(self) -> bool:
        """Whether the vehicle goes on to the next such command only when this one is done."""
        return self.command in NAVIGATION

    @property
    def altitude(self) -> Altitude:
        """The altitude with its reference.

        Raises:
            ValueError: if the frame gives none (a command without a place).
        """
        if self.frame not in _REFERENCES:
            raise ValueError(f"frame {self.frame} carries no altitude")
        return Altitude(self.altitude_m, _REFERENCES[self.frame])

    @property
    def params(self) -> tuple[float, float, float, float, float, float, float]:
        """The seven parameters in MAVLink's order: latitude before longitude."""
        fifth, sixth = self.p5, self.p6
        if self.position is not None:
            fifth, sixth = self.position.lat_deg, self.position.lon_deg
        return (self.p1, self.p2, self.p3, self.p4, fifth, sixth, self.altitude_m)

    @property
    def x_y_int(self) -> tuple[int, int]:
        """Fields x and y of MISSION_ITEM_INT: degrees × 1e7 for a place, else plain integers."""
        if self.command in WITH_PLACE:
            lat, lon = self.params[4:6]
            return round(lat * 1e7), round(lon * 1e7)
        return round(self.p5), round(self.p6)

    @classmethod
    def from_params(cls, command: int, frame: int, params: tuple[float, ...]) -> MissionItem:
        """An item from MAVLink's seven parameters, the inverse of `params`.

        Raises:
            ValueError: if latitude or longitude is outside its range.
        """
        p1, p2, p3, p4, fifth, sixth, seventh = params
        if command in WITH_PLACE:
            position = None if fifth == 0 and sixth == 0 else LonLat(sixth, fifth)
            return cls(command, frame, p1, p2, p3, p4, position, seventh)
        return cls(command, frame, p1, p2, p3, p4, None, seventh, fifth, sixth)


@dataclass(frozen=True)
class Mission:
    """What is flown, in order.

    Attributes:
        home: where the sortie starts and ends.
        home_altitude_m: the ground there, above mean sea level (reference of `Frame.ABOVE_HOME`).
        items: without MAVLink's item 0 (the home placeholder): `items[i]` has sequence `i + 1`.
    """

    home: LonLat
    home_altitude_m: float
    items: tuple[MissionItem, ...]

    @property
    def home_item(self) -> MissionItem:
        """MAVLink's item 0, whose content the vehicle ignores."""
        return MissionItem(
            Command.WAYPOINT,
            Frame.MEAN_SEA_LEVEL,
            position=self.home,
            altitude_m=self.home_altitude_m,
        )

    @property
    def all_items(self) -> tuple[MissionItem, ...]:
        """The items as uploaded, by sequence: the home placeholder first."""
        return (self.home_item, *self.items)

    def navigation(self) -> Iterator[tuple[int, MissionItem]]:
        """Sequence number and item of each navigation command."""
        for index, item in enumerate(self.items):
            if item.is_navigation:
                yield index + 1, item

    def with_items(self, items: tuple[MissionItem, ...]) -> Mission:
        """The same home with other items."""
        return replace(self, items=items)


@dataclass(frozen=True)
class FencePolygon:
    """A polygon to stay inside of (`inclusion`) or outside of, without its closing vertex."""

    vertices: tuple[LonLat, ...]
    inclusion: bool = True

    def __post_init__(self) -> None:
        if len(self.vertices) < 3:
            raise ValueError("a fence polygon has at least three vertices")

    @property
    def lonlat(self) -> npt.NDArray[np.float64]:
        """(N, 2) longitude and latitude in degrees, not closed."""
        return np.array([(v.lon_deg, v.lat_deg) for v in self.vertices])


@dataclass(frozen=True)
class FenceCircle:
    """A circle to stay inside of (`inclusion`) or outside of."""

    centre: LonLat
    radius_m: float
    inclusion: bool = True

    def __post_init__(self) -> None:
        if not (math.isfinite(self.radius_m) and self.radius_m > 0):
            raise ValueError(f"a fence circle's radius is above 0, not {self.radius_m}")


@dataclass(frozen=True)
class Geofence:
    """Where the aircraft must stay."""

    polygons: tuple[FencePolygon, ...] = ()
    circles: tuple[FenceCircle, ...] = ()

    @property
    def items(self) -> tuple[MissionItem, ...]:
        """As uploaded (MAVLink mission type 1): p1 is the polygon's number of vertices."""
        items: list[MissionItem] = []
        for polygon in self.polygons:
            command = (
                Command.FENCE_POLYGON_INCLUSION
                if polygon.inclusion
                else Command.FENCE_POLYGON_EXCLUSION
            )
            for vertex in polygon.vertices:
                items.append(_fence_item(command, float(len(polygon.vertices)), vertex))
        for circle in self.circles:
            command = (
                Command.FENCE_CIRCLE_INCLUSION
                if circle.inclusion
                else Command.FENCE_CIRCLE_EXCLUSION
            )
            items.append(_fence_item(command, circle.radius_m, circle.centre))
        return tuple(items)


def _fence_item(command: Command, p1: float, place: LonLat) -> MissionItem:
    return MissionItem(command, Frame.MEAN_SEA_LEVEL, p1, position=place)


@dataclass(frozen=True, slots=True)
class RallyPoint:
    """A place to return to instead of home; ArduPilot keeps its altitude in whole metres."""

    position: LonLat
    altitude_above_home_m: float

    @property
    def item(self) -> MissionItem:
        """As uploaded (MAVLink mission type 2)."""
        return MissionItem(
            Command.RALLY_POINT,
            Frame.ABOVE_HOME,
            position=self.position,
            altitude_m=self.altitude_above_home_m,
        )


@dataclass(frozen=True, slots=True)
class Parameter:
    """A recommended vehicle parameter.

    Attributes:
        name: as in Copter up to 4.6.
        value: in the unit of `name`.
        reason: one sentence for the pilot.
        si_name, si_value: the same as renamed and rescaled in Copter 4.7; empty if unchanged.
    """

    name: str
    value: float
    reason: str
    si_name: str = ""
    si_value: float = 0.0


@dataclass(frozen=True)
class Sortie:
    """One battery's flight: everything that is loaded onto the aircraft for it.

    Attributes:
        sortie_id: `S01`, `S02`, …
        details: this sortie's entry of plan.json (numbers for people and for later steps).
    """

    sortie_id: str
    mission: Mission
    geofence: Geofence = Geofence()
    rally: tuple[RallyPoint, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    details: dict[str, object] = field(default_factory=dict, compare=False)
