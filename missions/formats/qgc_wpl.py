"""`.waypoints`: QGC WPL 110, the text format that every MAVLink ground station reads.

Tab separated, 12 columns: index, current, frame, command, p1–p4, latitude, longitude, altitude,
autocontinue (https://mavlink.io/en/file_formats/). It holds no fence and no rally points.
"""

from __future__ import annotations

import math
from pathlib import Path

from corridor import InputError, LonLat, write_text
from missions.mission import Mission, MissionItem

HEADER = "QGC WPL 110"


def write_waypoints(path: str | Path, mission: Mission) -> None:
    """Writes a mission, home first; coordinates with 8 decimals (1 mm)."""
    lines = [HEADER]
    for index, item in enumerate(mission.all_items):
        p1, p2, p3, p4, lat, lon, alt = item.params
        numbers = [f"{value:.8f}" for value in (p1, p2, p3, p4, lat, lon)]
        lines.append(
            "\t".join(
                [
                    str(index),
                    str(int(index == 0)),
                    str(int(item.frame)),
                    str(int(item.command)),
                    *numbers,
                    f"{alt:.4f}",
                    "1",
                ]
            )
        )
    write_text(path, "\n".join(lines) + "\n")


def read_waypoints(path: str | Path) -> Mission:
    """Reads a mission written by any ground station.

    Raises:
        InputError: with the line, if the file is no QGC WPL 110 or holds an impossible value.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(path, f"cannot be read as text ({error})") from error
    if not lines or lines[0].strip() != HEADER:
        raise InputError(path, "is no waypoint file", f"its first line must be '{HEADER}'")
    items: list[MissionItem] = []
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        items.append(_item(line, len(items), f"{path}, line {number}"))
    if not items or items[0].position is None:
        raise InputError(path, "holds no home", "item 0 must be the home position")
    home: LonLat = items[0].position
    return Mission(home, items[0].altitude_m, tuple(items[1:]))


def _item(line: str, expected_index: int, source: str) -> MissionItem:
    columns = line.split()
    if len(columns) != 12:
        raise InputError(source, f"has {len(columns)} columns", "12 are needed")
    try:
        index, frame, command = int(columns[0]), int(columns[2]), int(columns[3])
        params = tuple(float(value) for value in columns[4:11])
    except ValueError as error:
        raise InputError(source, f"holds something that is no number ({error})") from error
    if index != expected_index:
        raise InputError(source, f"has index {index}", f"{expected_index} comes next")
    if not all(math.isfinite(value) for value in params):
        raise InputError(source, "holds NaN or infinity", "every parameter must be a finite number")
    try:
        return MissionItem.from_params(command, frame, params)
    except ValueError as error:
        raise InputError(
            source, str(error), "column 9 is the latitude, column 10 the longitude"
        ) from error
