"""What every rule of a check may look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely

from corridor import Boundary, LocalFrame, Track, format_station
from corridor.values import FloatArray
from missions.check.path import Flight, flight_of
from missions.check.surface import Surface
from missions.mission import Sortie
from missions.plan_files import PlanFiles
from missions.survey import Survey

_BEYOND_M = 100.0


@dataclass(frozen=True)
class PlanContext:
    """A plan's files and inputs, opened for checking."""

    files: PlanFiles
    survey: Survey
    boundaries: Sequence[Boundary]
    surface: Surface
    frame: LocalFrame

    @property
    def needed_m(self) -> float:
        """Clearance plus the elevations' error budget."""
        return self.survey.safety.clearance_m + self.survey.safety.dem_error_m

    @cached_property
    def tracks(self) -> list[tuple[Boundary, Track]]:
        """Every part of every boundary in the frame."""
        return [
            (boundary, Track.of(boundary, part, self.frame))
            for boundary in self.boundaries
            for part in range(len(boundary.parts))
        ]

    @cached_property
    def _tree(self) -> tuple[shapely.STRtree, list[int]]:
        # Pieces of lines, so that the nearest is found without walking whole routes.
        pieces: list[shapely.LineString] = []
        owner: list[int] = []
        for number, (_, track) in enumerate(self.tracks):
            for start in range(0, len(track.xy) - 1, 20):
                pieces.append(shapely.LineString(track.xy[start : start + 21]))
                owner.append(number)
        return shapely.STRtree(pieces), owner

    def station_of(self, lonlat: FloatArray) -> str:
        """The nearest place on a boundary, for people."""
        xy = self.frame.to_xy(lonlat)[0]
        tree, owner = self._tree
        boundary, track = self.tracks[owner[int(tree.nearest(shapely.Point(xy)))]]
        chainage, _ = track.locate(xy)
        return f"{boundary.route} {boundary.side.value} {format_station(max(0.0, chainage[0]))}"

    def inward_m(self, xy: FloatArray) -> tuple[FloatArray, FloatArray]:
        """How far inside the nearest boundary positions (N, 2) are, and its direction (N, 2)."""
        tree, owner = self._tree
        near, piece = tree.query_nearest(shapely.points(xy), all_matches=False)
        inward = np.full(len(xy), -np.inf)
        along = np.zeros((len(xy), 2))
        owners = np.asarray(owner)[piece]
        for number in np.unique(owners):
            mine = near[owners == number]
            boundary, track = self.tracks[int(number)]
            chainage, offset = track.locate(xy[mine])
            inward[mine] = -offset * boundary.side.outward
            along[mine] = track.direction_at(chainage)
            # A road goes on where the drawn fence ends, for 100 m straight on; then it is unknown.
            # A loop ramp, whose ends lie side by side, joins other roads there.
            apart_m = float(np.hypot(*(track.xy[-1] - track.xy[0])))
            goes_on = apart_m >= 0.5 * float(track.chainage_m[-1] - track.chainage_m[0])
            for end, sign in ((0, -1.0), (-1, 1.0)):
                beyond = np.flatnonzero(sign * (chainage - track.chainage_m[end]) >= 0)
                if not len(beyond) or not goes_on:
                    inward[mine[beyond]] = -np.inf
                    continue
                ahead = along[mine[beyond]]
                away = xy[mine[beyond]] - track.xy[end]
                to_left = ahead[:, 0] * away[:, 1] - ahead[:, 1] * away[:, 0]
                far = sign * (ahead * away).sum(axis=1) > _BEYOND_M
                inward[mine[beyond]] = np.where(far, -np.inf, -to_left * boundary.side.outward)
        return inward, along


@dataclass(frozen=True)
class SortieContext:
    """One sortie of the plan, its flight and the ground under it."""

    plan: PlanContext
    sortie: Sortie
    step_m: float

    @cached_property
    def flight(self) -> Flight:
        """What the written items make the vehicle do."""
        return flight_of(self.sortie.mission)

    @cached_property
    def home_ground_m(self) -> float:
        """The ground at home, read from the elevations."""
        home = self.sortie.mission.home
        return float(self.plan.surface.at(np.array([[home.lon_deg, home.lat_deg]])).bilinear_m[0])

    @cached_property
    def samples(self) -> FloatArray:
        """(N, 3) points along the flight, heights in the elevations' reference."""
        parts = [leg.sample(self.step_m) for leg in self.flight.legs]
        return self._in_dem(np.concatenate(parts)) if parts else np.empty((0, 3))

    @cached_property
    def sample_legs(self) -> np.ndarray:
        """(N,) index of the leg of each sample."""
        counts = [len(leg.sample(self.step_m)) for leg in self.flight.legs]
        return np.repeat(np.arange(len(counts)), counts)

    def _in_dem(self, points: FloatArray) -> FloatArray:
        lifted = points.copy()
        lifted[:, 2] += self.home_ground_m
        return lifted

    @cached_property
    def points(self) -> FloatArray:
        """(K, 3) ends of legs, heights in the elevations' reference."""
        return self._in_dem(self.flight.points)

    @cached_property
    def home_distance_m(self) -> FloatArray:
        """(N,) distance over ground of each sample from home."""
        xy = self.plan.frame.to_xy(self.samples[:, :2])
        home = self.plan.frame.to_xy([[self.flight.home.lon_deg, self.flight.home.lat_deg]])
        return np.asarray(np.hypot(*(xy - home).T))

    @cached_property
    def home_xy(self) -> FloatArray:
        """Home in the frame."""
        home = self.flight.home
        return np.asarray(self.plan.frame.to_xy([[home.lon_deg, home.lat_deg]])[0])

    def along(self, step_m: float) -> FloatArray:
        """(N, 3) points every so many metres of the flight, and all its waypoints."""
        every = max(1, round(step_m / self.step_m))
        return np.concatenate([self.samples[::every], self.points])

    def parameter(self, *names: str) -> float | None:
        """A recommended parameter's value under any of its names, in the old name's unit."""
        for parameter in self.sortie.parameters:
            if parameter.name in names:
                return parameter.value
        return None
