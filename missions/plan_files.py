"""The plan/ folder: what the planner writes and every later step reads.

`plan.json` (version 1) holds inputs with checksums, vertical reference, aircraft, camera, limits,
the list of sorties and the predicted coverage; `S01.waypoints`, `S01.plan`, `S01.param` are what is
loaded onto the aircraft, `S01.kmz` is what a DJI aircraft is given instead. docs/planning.md
describes every key.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from corridor import InputError
from corridor.camera import Camera
from missions.formats import read_parameters, read_qgc_plan, read_waypoints
from missions.mission import Sortie

PLAN_VERSION = 1


@dataclass(frozen=True)
class PlanFiles:
    """A plan/ folder as read.

    Attributes:
        folder: where it was read from.
        document: plan.json as it stands.
        sorties: in the order flown.
    """

    folder: Path
    document: Mapping[str, Any]
    sorties: tuple[Sortie, ...]

    @property
    def camera(self) -> Mapping[str, Any]:
        """The planned camera: `sensor_width_mm`, `image_width_px`, `focal_length_mm`, ...."""
        camera: Mapping[str, Any] = self.document["camera"]
        return camera

    def sortie(self, sortie_id: str) -> Sortie:
        """The sortie of that name.

        Raises:
            InputError: if the plan has none of that name.
        """
        for sortie in self.sorties:
            if sortie.sortie_id == sortie_id:
                return sortie
        names = [sortie.sortie_id for sortie in self.sorties]
        listed = ", ".join(names[:12]) + (" …" if len(names) > 12 else "")
        raise InputError(
            self.folder,
            f"has no sortie '{sortie_id}'",
            f"it has {listed}" if names else "the plan has no sortie at all",
        )


def read_plan_document(folder: str | Path) -> dict[str, Any]:
    """plan.json alone.

    Raises:
        InputError: if it is missing, is no JSON, or has another version.
    """
    path = Path(folder) / "plan.json"
    if not path.is_file():
        raise InputError(folder, "holds no plan.json", "give a folder made by 'fencewalk plan'")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(path, f"cannot be read as JSON ({error})") from error
    version = document.get("version") if isinstance(document, dict) else None
    if version != PLAN_VERSION:
        raise InputError(path, f"has version {version}", f"version {PLAN_VERSION} is read")
    if not isinstance(document.get("sorties"), list):
        raise InputError(path, "has no list of sorties")
    return dict(document)


def read_plan(folder: str | Path) -> PlanFiles:
    """Reads a plan/ folder with all its sorties.

    The mission comes from `.waypoints`, fence and rally points from `.plan`; that both hold the
    same mission is one of the things `fencewalk check` verifies.

    Raises:
        InputError: naming the file that is missing or wrong.
    """
    document = read_plan_document(folder)
    root = Path(folder)
    sorties = []
    for entry in document["sorties"]:
        if not isinstance(entry, dict) or "sortie_id" not in entry:
            raise InputError(root / "plan.json", "has a sortie without a sortie_id")
        sorties.append(read_sortie(root, entry))
    return PlanFiles(root, document, tuple(sorties))


def read_sortie(folder: Path, entry: Mapping[str, Any]) -> Sortie:
    """One sortie from its files, `entry` being its part of plan.json."""
    name = str(entry["sortie_id"])
    loaded = read_qgc_plan(folder / f"{name}.plan")
    return replace(
        loaded,
        sortie_id=name,
        mission=read_waypoints(folder / f"{name}.waypoints"),
        parameters=read_parameters(folder / f"{name}.param"),
        details=dict(entry),
    )


def camera_of_plan(values: Mapping[str, Any]) -> Camera:
    """The undistorted camera of a plan's `camera` section."""
    return Camera.of_sensor(
        int(values["image_width_px"]),
        int(values["image_height_px"]),
        float(values["focal_length_mm"]),
        float(values["sensor_width_mm"]),
        float(values["sensor_height_mm"]),
        name=str(values.get("title") or values.get("preset") or ""),
    )
