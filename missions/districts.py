"""Districts: who is responsible for a stretch of fence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely

from corridor import LocalFrame
from corridor.values import FloatArray
from missions.airspace import check_polygon
from missions.survey import Survey


@dataclass(frozen=True)
class Districts:
    """The survey's districts in the plan's frame; where two overlap, the first listed counts."""

    names: tuple[str, ...]
    areas: tuple[shapely.Polygon, ...]

    @classmethod
    def of(cls, survey: Survey, frame: LocalFrame, source: str) -> Districts:
        """From the survey.

        Raises:
            InputError: if a polygon crosses itself.
        """
        areas = []
        for district in survey.district:
            area = shapely.Polygon(frame.to_xy(np.array(district.polygon)))
            check_polygon(area, f"{source}, district {district.name}", frame)
            areas.append(area)
        return cls(tuple(district.name for district in survey.district), tuple(areas))

    def at(self, xy: FloatArray) -> npt.NDArray[np.object_]:
        """Names (N,) of the districts that positions (N, 2) lie in; empty outside of all."""
        found = np.full(len(xy), "", dtype=object)
        for name, area in zip(reversed(self.names), reversed(self.areas), strict=True):
            found[np.asarray(shapely.intersects_xy(area, xy[:, 0], xy[:, 1]))] = name
        return found

    def borders_m(self, chainage_m: FloatArray, xy: FloatArray) -> list[float]:
        """Chainages at which the district changes along places (N, 2) of a line, halfway between.

        Args:
            chainage_m: (N,) of the places, ascending.
        """
        if not self.names:
            return []
        names = self.at(xy)
        change = np.flatnonzero(names[1:] != names[:-1])
        return ((chainage_m[change] + chainage_m[change + 1]) / 2.0).tolist()

    def contact(self, name: str, survey: Survey) -> str:
        """Who answers for a district."""
        found: Sequence[str] = [d.contact for d in survey.district if d.name == name]
        return found[0] if found else ""
