"""What a flight really photographed of each metre of boundary, against its plan.

Each shot is projected with the planned camera from where it was taken, turned as it was, onto the
fence line over the terrain. `coverage.json` holds the result for people and for
`fencewalk plan --resume`; docs/imagery.md describes it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from corridor import (
    Boundary,
    InputError,
    LocalFrame,
    Progress,
    Track,
    read_boundaries,
    silent,
    write_json,
)
from corridor.camera import Camera, Pose, inside, project
from corridor.shots import Shot, camera_angles, turned_to_grid
from corridor.values import FloatArray
from missions.dem import Dem
from missions.geotag import flight_shots
from missions.plan_files import camera_of_plan, read_plan_document

COVERAGE_VERSION = 1
_STEP_M = 1.0


@dataclass(frozen=True)
class Stretch:
    """A stretch of boundary in one state, chainages half open [start, end).

    Attributes:
        state: `covered`; `missing` (planned, and not photographed well enough); `uncovered` (not
            planned, and not photographed); `no_fence`.
        reason: why it is missing or uncovered.
        gsd_m: worst of the stretch's metres, each in its best picture; None where none shows it.
        views: fewest.
        view_deg: worst angle from the fence's normal, likewise.
    """

    mode: str
    route: str
    side: str
    chainage_start_m: float
    chainage_end_m: float
    length_m: float
    state: str
    reason: str
    gsd_m: float | None
    views: int
    view_deg: float | None


@dataclass(frozen=True)
class Coverage:
    """All stretches of a plan's boundaries, tiling each in each planned mode."""

    stretches: tuple[Stretch, ...]
    photos: int
    notes: tuple[str, ...]

    @property
    def missing(self) -> tuple[Stretch, ...]:
        """What has to be flown again."""
        return tuple(one for one in self.stretches if one.state == "missing")

    def length_m(self, state: str) -> float:
        """Metres in a state, all modes together."""
        return math.fsum(one.length_m for one in self.stretches if one.state == state)


def write_coverage(
    coverage: Coverage, plan: Path, flights: Sequence[Path], path: Path
) -> dict[str, Any]:
    """Writes `coverage.json` (version 1), and returns its content."""
    rows = [
        {
            key: round(value, 4) if isinstance(value, float) else value
            for key, value in vars(one).items()
        }
        for one in coverage.stretches
    ]
    document = {
        "version": COVERAGE_VERSION,
        "kind": "fencewalk coverage",
        "plan": str(plan),
        "flights": [str(flight) for flight in flights],
        "photos": coverage.photos,
        "notes": list(coverage.notes),
        "summary": {
            f"{state}_m": round(coverage.length_m(state), 2)
            for state in ("covered", "missing", "uncovered", "no_fence")
        },
        "stretches": rows,
        "missing": [row for row in rows if row["state"] == "missing"],
    }
    write_json(path, document)
    return document


def read_missing(path: str | Path) -> list[Stretch]:
    """The missing stretches of a `coverage.json`.

    Raises:
        InputError: if it is none, or of another version.
    """
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
        if document["version"] != COVERAGE_VERSION or document["kind"] != "fencewalk coverage":
            raise InputError(
                path, f"has version {document['version']}", f"version {COVERAGE_VERSION} is read"
            )
        return [Stretch(**row) for row in document["missing"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(path, f"is no coverage.json ({error})") from error


def measure_coverage(
    plan: str | Path,
    flights: Sequence[str | Path],
    boundaries: str | Path | None = None,
    dem: str | Path | None = None,
    progress: Progress = silent,
) -> Coverage:
    """What flights covered of a plan.

    Args:
        plan: the plan's folder.
        flights: folders with a log, logs, or `photos.csv` files.
        boundaries, dem: in place of those that the plan names.
        progress: told of photographs.

    Raises:
        InputError: naming what is missing.
    """
    document = read_plan_document(plan)
    lines = read_boundaries(
        boundaries or _input(document, plan, "boundaries"),
        **({} if boundaries else document.get("boundary_options", {})),
    )
    sides = document["survey"].get("sides")
    if sides:
        # The other side's fences were not to be flown.
        lines = [line for line in lines if line.side.value in sides]
    frame = LocalFrame(document["frame"]["lon0_deg"], document["frame"]["lat0_deg"])
    ground = Dem(dem or _input(document, plan, "dem"), frame)
    shots = [shot for flight in flights for shot in flight_shots(flight).shots]
    if not shots:
        raise InputError("FLIGHT", "no flight given", "folders made by fencewalk fly, or logs")
    stations = _stations(lines, frame, ground)
    notes: list[str] = []
    modes = list(document["targets"])
    poses, mode_of = _poses(shots, document, stations, frame, notes)
    camera = camera_of_plan(document["camera"])
    stretches: list[Stretch] = []
    for mode in modes:
        chosen = [pose for pose, its in zip(poses, mode_of, strict=True) if its == mode]
        seen = _look(camera, chosen, stations, document, mode, progress)
        stretches += _stretches(lines, stations, seen, document, mode)
    return Coverage(tuple(stretches), len(shots), tuple(notes))


def _input(document: Mapping[str, Any], plan: str | Path, role: str) -> Path:
    for entry in document.get("inputs", []):
        if entry["role"] == role and Path(entry["path"]).is_file():
            return Path(entry["path"])
    raise InputError(
        Path(plan) / "plan.json", f"its {role} are not where they were", f"give them with --{role}"
    )


@dataclass(frozen=True)
class _Stations:
    """The middles of a boundary's metres, of all boundaries in one list.

    Attributes:
        foot_m: (N, 3); along: (N, 2) unit vectors; tall_m: (N,) height of the fence.
        chainage_m: (N, 2) from and to; length_m: (N,).
        boundary, part: (N,) which.
    """

    foot_m: FloatArray
    along: FloatArray
    tall_m: FloatArray
    chainage_m: FloatArray
    length_m: FloatArray
    boundary: npt.NDArray[np.int64]
    part: npt.NDArray[np.int64]


def _stations(lines: Sequence[Boundary], frame: LocalFrame, dem: Dem) -> _Stations:
    columns: list[tuple[Any, ...]] = []
    for number, line in enumerate(lines):
        for part, length_m in enumerate(line.part_lengths_m):
            edges = np.linspace(0.0, length_m, max(1, round(length_m / _STEP_M)) + 1)
            chainage = line.chainage_start_m[part] + line.chainage_scale[part] * edges
            track = Track.of(line, part, frame)
            middle = (chainage[1:] + chainage[:-1]) / 2
            xy = track.at(middle)
            count = len(middle)
            columns.append(
                (
                    np.column_stack([xy, dem.ground_m(xy)]),
                    track.direction_at(middle),
                    np.full(count, line.fence_height_m),
                    np.column_stack([chainage[:-1], chainage[1:]]),
                    np.diff(edges),
                    np.full(count, number),
                    np.full(count, part),
                )
            )
    return _Stations(*(np.concatenate(column) for column in zip(*columns, strict=True)))


def _poses(
    shots: Sequence[Shot],
    document: Mapping[str, Any],
    stations: _Stations,
    frame: LocalFrame,
    notes: list[str],
) -> tuple[list[Pose], list[str]]:
    """Camera poses in the plan's frame and the DEM's heights, and the mode that each serves."""
    vertical = document.get("vertical", {})
    lift_m = 0.0
    if vertical.get("dem_reference") == "ellipsoid":
        lift_m = float(vertical.get("geoid_undulation_m") or 0.0)
    targets = document["targets"]
    xy = frame.to_xy([[shot.lon_deg, shot.lat_deg] for shot in shots])
    away_m, nearest = cKDTree(stations.foot_m[:, :2]).query(xy)
    poses, modes = [], []
    guessed = 0
    for n, shot in enumerate(shots):
        if shot.gimbal_deg is not None:
            mode = "oblique" if shot.gimbal_deg[1] > -70.0 and "oblique" in targets else "nadir"
        else:
            mode = min(targets, key=lambda one: abs(targets[one]["offset_m"] - away_m[n]))
        mode = mode if mode in targets else next(iter(targets))
        yaw_deg, pitch_deg, roll_deg = camera_angles(
            shot, "stabilised", float(targets[mode]["gimbal_pitch_deg"])
        )
        if shot.gimbal_deg is None and mode == "oblique":
            towards = stations.foot_m[nearest[n], :2] - xy[n]
            yaw_deg = math.degrees(math.atan2(towards[0], towards[1]))
        else:
            yaw_deg += turned_to_grid(frame.crs, shot.lon_deg, shot.lat_deg)
        guessed += shot.gimbal_deg is None
        z_m = shot.altitude_m + lift_m
        poses.append(Pose(xy[n, 0], xy[n, 1], z_m, yaw_deg, pitch_deg, roll_deg))
        modes.append(mode)
    if guessed:
        notes.append(
            f"{guessed} of {len(shots)} photos carry no gimbal angles: the camera is taken to have "
            "been turned as planned"
        )
    return poses, modes


@dataclass(frozen=True)
class _Seen:
    views: npt.NDArray[np.int64]
    gsd_m: FloatArray
    view_deg: FloatArray


def _look(
    camera: Camera,
    poses: Sequence[Pose],
    stations: _Stations,
    document: Mapping[str, Any],
    mode: str,
    progress: Progress,
) -> _Seen:
    count = len(stations.foot_m)
    seen = _Seen(np.zeros(count, dtype=np.int64), np.full(count, np.inf), np.full(count, 90.0))
    capture = document["survey"]["capture"]
    limit_m = document["targets"][mode]["gsd_m"] * (1 + capture["gsd_slack_frac"])
    # Beyond this distance no pixel is fine enough.
    half = np.array([camera.width_px / camera.focal_x_px, camera.height_px / camera.fy_px]) / 2
    reach_m = limit_m * camera.focal_x_px * float(np.hypot(1.0, np.hypot(*half)))
    tree = cKDTree(stations.foot_m[:, :2])
    for n, pose in enumerate(poses):
        if n % 50 == 0:
            progress(n, len(poses), mode)
        near = np.array(tree.query_ball_point([pose.x_m, pose.y_m], reach_m), dtype=np.int64)
        near = near[np.isfinite(stations.foot_m[near, 2])] if len(near) else near
        if not len(near):
            continue
        foot = stations.foot_m[near]
        up = np.zeros_like(foot)
        up[:, 2] = stations.tall_m[near]
        good = inside(camera, project(camera, pose, foot))
        if mode == "oblique":
            good &= inside(camera, project(camera, pose, foot + up))
        depth_m = (foot - pose.position_m) @ pose.rotation[2]
        ray = foot + up / 2 - pose.position_m
        along = stations.along[near]
        face = np.abs(ray[:, 1] * along[:, 0] - ray[:, 0] * along[:, 1])
        face /= np.linalg.norm(ray, axis=1)
        view_deg = np.degrees(np.arccos(np.clip(face, 0.0, 1.0)))
        gsd_m = depth_m / camera.focal_x_px
        good &= (depth_m > 0.1) & (gsd_m <= limit_m)
        if mode == "oblique":
            good &= view_deg <= capture["oblique_max_view_deg"]
        near, gsd_m, view_deg = near[good], gsd_m[good], view_deg[good]
        seen.views[near] += 1
        seen.gsd_m[near] = np.minimum(seen.gsd_m[near], gsd_m)
        seen.view_deg[near] = np.minimum(seen.view_deg[near], view_deg)
    return seen


def _stretches(
    lines: Sequence[Boundary],
    stations: _Stations,
    seen: _Seen,
    document: Mapping[str, Any],
    mode: str,
) -> list[Stretch]:
    least = int(document["survey"]["capture"]["min_views"])
    out: list[Stretch] = []
    for number, line in enumerate(lines):
        planned = [
            row
            for row in document["coverage"]
            if (row["mode"], row["route"], row["side"]) == (mode, line.route, line.side.value)
        ]
        mine = np.flatnonzero(stations.boundary == number)
        labels = [_state(stations, seen, planned, least, int(n)) for n in mine]
        first = 0
        for k in range(1, len(mine) + 1):
            same_part = k < len(mine) and stations.part[mine[k]] == stations.part[mine[first]]
            if same_part and labels[k] == labels[first]:
                continue
            rows = mine[first:k]
            state, reason = labels[first]
            gsd_m, view_deg = seen.gsd_m[rows], seen.view_deg[rows]
            known = np.isfinite(gsd_m)
            out.append(
                Stretch(
                    mode=mode,
                    route=line.route,
                    side=line.side.value,
                    chainage_start_m=float(stations.chainage_m[rows[0], 0]),
                    chainage_end_m=float(stations.chainage_m[rows[-1], 1]),
                    length_m=math.fsum(stations.length_m[rows]),
                    state=state,
                    reason=reason,
                    gsd_m=float(gsd_m[known].max()) if known.any() else None,
                    views=int(seen.views[rows].min()),
                    view_deg=float(view_deg[known].max()) if known.any() else None,
                )
            )
            first = k
    return out


def _state(
    stations: _Stations,
    seen: _Seen,
    planned: Sequence[Mapping[str, Any]],
    least: int,
    n: int,
) -> tuple[str, str]:
    middle_m = float(stations.chainage_m[n].mean())
    row = next(
        (r for r in planned if r["chainage_start_m"] <= middle_m < r["chainage_end_m"]), None
    )
    if row is not None and row["state"] == "no_fence":
        return "no_fence", str(row["reason"])
    if seen.views[n] >= least:
        return "covered", ""
    if row is not None and row["state"] == "uncovered":
        return "uncovered", str(row["reason"])
    if not math.isfinite(stations.foot_m[n, 2]):
        return "missing", "no terrain height is known here"
    if seen.views[n]:
        return "missing", f"{seen.views[n]} of {least} views"
    return "missing", "in no picture that is near enough"
