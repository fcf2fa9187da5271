"""What to fly again: stretches that could not be seen, and the rest of a broken-off sortie."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from corridor import Boundary, InputError, LocalFrame, Track
from corridor.findings import NOT_SEEN_FROM_THE_SIDE, FenceState, read_condition
from missions.plan_files import read_plan
from missions.planner import Only

_AROUND_M = 10.0
_JOIN_M = 40.0


def refly(findings: str | Path) -> Only:
    """Stretches called obscured or unseen in a findings/ folder, with some metres around each.

    Those, too, that are intact from above and that frames from the side, if any were given, did not
    show: there a hole would not be known of.

    Raises:
        InputError: if there are no findings, or nothing in them needs another look.
    """
    wanted: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for piece in read_condition(findings):
        if (
            piece.state in (FenceState.OBSCURED, FenceState.UNSEEN)
            or piece.reason == NOT_SEEN_FROM_THE_SIDE
        ):
            wanted.setdefault((piece.route, piece.side.value), []).append(
                (piece.chainage_start_m - _AROUND_M, piece.chainage_end_m + _AROUND_M)
            )
    if not wanted:
        raise InputError(
            findings,
            "nothing in it is obscured, unseen or not seen from the side",
            "there is nothing to fly again",
        )
    return Only({key: merged(value) for key, value in wanted.items()}, "seen well enough before")


def merged(stretches: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Sorted stretches, joined where less than 40 m lie between them."""
    result: list[tuple[float, float]] = []
    for start, end in sorted(stretches):
        if result and start - result[-1][1] <= _JOIN_M:
            result[-1] = (result[-1][0], max(result[-1][1], end))
        else:
            result.append((start, end))
    return result


def resume(plan_folder: str | Path, flight: str | Path, boundaries: Sequence[Boundary]) -> Only:
    """Stretches that a plan's sortie should have photographed and a flight did not.

    Worked out from the pictures taken (photos.csv), not from the waypoint reached: a picture counts
    for the planned lane if it lies within one and a half trigger distances of it.

    Raises:
        InputError: if the flight names no sortie of the plan, or nothing is left to fly.
    """
    files = read_plan(plan_folder)
    sortie = files.sortie(_sortie_of(Path(flight)))
    taken = _positions(Path(flight) / "photos.csv")
    frame = LocalFrame.around(np.concatenate([part for b in boundaries for part in b.parts]))
    tree = cKDTree(frame.to_xy(taken)) if len(taken) else None
    lanes = sortie.details.get("lanes")
    if not isinstance(lanes, list):
        raise InputError(files.folder / "plan.json", f"{sortie.sortie_id} has no lanes")
    wanted: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for lane in lanes:
        for boundary in boundaries:
            if (boundary.route, boundary.side.value) != (lane["route"], lane["side"]):
                continue
            for part in range(len(boundary.parts)):
                track = Track.of(boundary, part, frame)
                low = max(lane["chainage_start_m"], float(track.chainage_m[0]))
                high = min(lane["chainage_end_m"], float(track.chainage_m[-1]))
                if high <= low:
                    continue
                chainage = np.arange(low, high, 1.0)
                along = track.direction_at(chainage)
                outward = boundary.side.outward * np.column_stack([-along[:, 1], along[:, 0]])
                place = track.at(chainage) + lane["offset_m"] * outward
                reach_m = 1.5 * lane["trigger_distance_m"] + 3.0
                away = np.full(len(place), np.inf) if tree is None else tree.query(place)[0]
                missing = away > reach_m
                edge = np.diff(np.concatenate([[0], missing.astype(np.int8), [0]]))
                for a, b in zip(
                    np.flatnonzero(edge == 1), np.flatnonzero(edge == -1) - 1, strict=True
                ):
                    wanted.setdefault((boundary.route, boundary.side.value), []).append(
                        (float(chainage[a]) - reach_m, float(chainage[b]) + reach_m)
                    )
    if not wanted:
        raise InputError(flight, f"{sortie.sortie_id} was photographed whole", "nothing is left")
    return Only(
        {key: merged(value) for key, value in wanted.items()},
        f"not part of the rest of {sortie.sortie_id}",
    )


def _sortie_of(flight: Path) -> str:
    path = flight / "summary.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(path, f"cannot be read as JSON ({error})") from error
    name = document.get("sortie_id") or document.get("sortie")
    if not isinstance(name, str):
        raise InputError(path, "does not name its sortie", 'it needs "sortie_id": "S01"')
    return name


def _positions(path: Path) -> np.ndarray:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})") from error
    columns = rows[0].keys() if rows else ()
    names = next(
        (pair for pair in (("lon_deg", "lat_deg"), ("lon", "lat"), ("lng", "lat"))
         if set(pair) <= set(columns)), None,
    )  # fmt: skip
    if rows and names is None:
        raise InputError(path, f"has columns {', '.join(columns)}", "lon and lat are needed")
    try:
        return np.array([[float(row[name]) for name in names or ()] for row in rows]).reshape(-1, 2)
    except ValueError as error:
        raise InputError(path, f"holds something that is no number ({error})") from error
