"""What is on board, as files: mission, fence and rally points of a vehicle."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from corridor import InputError, LonLat, Progress, silent
from missions.formats import write_qgc_plan, write_waypoints
from missions.link.connection import Link
from missions.link.rules import FENCE, MISSION, RALLY, WireItem
from missions.link.transfer import Timing, download_items
from missions.mission import (
    Command,
    FenceCircle,
    FencePolygon,
    Geofence,
    Mission,
    MissionItem,
    RallyPoint,
    Sortie,
)


@dataclass(frozen=True)
class Downloaded:
    """What was read.

    Attributes:
        sortie: as far as it can be told in our words.
        raw: the items as they travelled, by mission type.
        remarks: what could not be told.
    """

    sortie: Sortie
    raw: dict[int, list[WireItem]]
    remarks: tuple[str, ...] = ()


def download_sortie(
    link: Link, name: str = "on-board", timing: Timing | None = None, progress: Progress = silent
) -> Downloaded:
    """Reads mission, fence and rally points.

    Raises:
        TransferError: if one of them cannot be read.
    """
    raw = {kind: download_items(link, kind, timing, progress) for kind in (MISSION, FENCE, RALLY)}
    remarks: list[str] = []
    items = []
    for sequence, wire in enumerate(raw[MISSION]):
        try:
            items.append(wire.to_item())
        except ValueError as error:
            remarks.append(f"mission item {sequence} is not understood: {error}")
    home = items[0].position if items and items[0].position is not None else LonLat(0.0, 0.0)
    altitude = items[0].altitude_m if items else 0.0
    fence, fence_remarks = fence_of([wire.to_item() for wire in raw[FENCE]])
    remarks += fence_remarks
    rally = tuple(
        RallyPoint(item.position, item.altitude_m)
        for item in (wire.to_item() for wire in raw[RALLY])
        if item.position is not None
    )
    mission = Mission(home, altitude, tuple(items[1:]))
    return Downloaded(Sortie(name, mission, fence, rally), raw, tuple(remarks))


def fence_of(items: list[MissionItem]) -> tuple[Geofence, list[str]]:
    """A geofence from its items; what is wrong with them as remarks."""
    polygons: list[FencePolygon] = []
    circles: list[FenceCircle] = []
    remarks: list[str] = []
    index = 0
    while index < len(items):
        item = items[index]
        if item.position is None:
            remarks.append(f"fence item {index} has no place")
            index += 1
        elif item.command in (Command.FENCE_CIRCLE_INCLUSION, Command.FENCE_CIRCLE_EXCLUSION):
            inclusion = item.command == Command.FENCE_CIRCLE_INCLUSION
            if item.p1 > 0:
                circles.append(FenceCircle(item.position, item.p1, inclusion))
            index += 1
        else:
            count = int(item.p1)
            group = items[index : index + count]
            places = tuple(i.position for i in group if i.position is not None)
            if count < 3 or len(places) != count:
                remarks.append(f"fence item {index} starts a polygon that is not whole")
                break
            inclusion = item.command == Command.FENCE_POLYGON_INCLUSION
            polygons.append(FencePolygon(places, inclusion))
            index += count
    return Geofence(tuple(polygons), tuple(circles)), remarks


def write_download(downloaded: Downloaded, out: Path) -> list[Path]:
    """Writes what was read as `.plan` and `.waypoints` into a folder.

    Raises:
        InputError: if nothing was on board.
    """
    sortie = downloaded.sortie
    if not any(downloaded.raw.values()):
        raise InputError("the vehicle", "holds no mission, no fence and no rally points")
    paths = [out / f"{sortie.sortie_id}.plan", out / f"{sortie.sortie_id}.waypoints"]
    write_qgc_plan(paths[0], replace(sortie))
    write_waypoints(paths[1], sortie.mission)
    return paths


def counts(downloaded: Downloaded) -> dict[str, Any]:
    """Numbers of items, by name."""
    return {
        "mission_items": len(downloaded.raw[MISSION]),
        "fence_items": len(downloaded.raw[FENCE]),
        "rally_points": len(downloaded.raw[RALLY]),
    }
