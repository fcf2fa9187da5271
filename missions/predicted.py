"""What the planned pictures will show of each metre of fence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from corridor import Boundary, LocalFrame, Track
from corridor.values import FloatArray
from missions.dem import Dem
from missions.districts import Districts
from missions.flight import Segment
from missions.items import look_side
from missions.optics import Optics
from missions.runs import Cut, Target
from missions.survey import Survey

NO_FENCE = frozenset({"tunnel", "viaduct", "bridge", "other"})
"""Kinds of stretches where there is no fence to see."""

_CHUNK = 20_000
_MOST_VIEWS = 48

_SIGHT_SAMPLES = 16
_SIGHT_SLACK_M = 0.5
_BESIDE_FENCE_M = 3.0
"""So near to it the model shows the fence itself, its posts and what it stands on."""


@dataclass(frozen=True)
class Photos:
    """Planned pictures; arrays (N,) or (N, 3).

    Attributes:
        xyz: camera positions, heights in the DEM's reference.
        course_deg: direction of flight, clockwise from north.
        yaw_deg: of the camera, clockwise from north.
        pitch_deg: of the camera, -90 straight down.
        sortie: index of the sortie.
    """

    xyz: FloatArray
    course_deg: FloatArray
    yaw_deg: FloatArray
    pitch_deg: FloatArray
    sortie: npt.NDArray[np.int64]
    mode: npt.NDArray[np.str_]


@dataclass(frozen=True)
class Piece:
    """A stretch of boundary in one state, chainages half open.

    Attributes:
        state: `covered`, `no_fence`, `uncovered`, or `not_planned` (a plan of chosen stretches).
        reason: why it is uncovered, or what there is instead of a fence.
        gsd_m, views, view_deg: worst GSD, fewest views and worst angle to the fence's normal
            (best picture of each metre); None where nothing is seen.
    """

    start_m: float
    end_m: float
    length_m: float
    state: str
    reason: str = ""
    gsd_m: float | None = None
    views: int = 0
    view_deg: float | None = None
    district: str = ""


def photos_of(flights: Sequence[Sequence[Segment]]) -> Photos:
    """The pictures of flights: at each lane's start and every spacing from there, in 2-D."""
    rows: list[FloatArray] = []
    modes: list[npt.NDArray[np.str_]] = []
    for number, segments in enumerate(flights):
        for segment in segments:
            run = segment.run
            if run is None:
                continue
            xyz = segment.xyz
            steps = np.hypot(*np.diff(xyz[:, :2], axis=0).T)
            at = np.concatenate([[0.0], np.cumsum(steps)])
            s = np.arange(0.0, at[-1] + 1e-6, run.spacing_m)
            points = np.column_stack([np.interp(s, at, xyz[:, k]) for k in range(3)])
            leg = np.clip(np.searchsorted(at, s, side="right") - 1, 0, len(xyz) - 2)
            d = np.diff(xyz, axis=0)[leg]
            course = np.degrees(np.arctan2(d[:, 0], d[:, 1])) % 360.0
            yaw = (course + 90.0 * look_side(segment)) % 360.0
            pitch = np.full(len(s), run.pitch_deg)
            rows.append(np.column_stack([points, course, yaw, pitch, np.full(len(s), number)]))
            modes.append(np.full(len(s), run.mode))
    table = np.concatenate(rows) if rows else np.empty((0, 7))
    return Photos(
        table[:, :3], table[:, 3], table[:, 4], table[:, 5], table[:, 6].astype(np.int64),
        np.concatenate(modes) if modes else np.empty(0, dtype=np.str_),
    )  # fmt: skip


def cover(
    boundaries: Sequence[Boundary],
    exclusions: Sequence[Sequence[Sequence[tuple[float, float, str]]]],
    cuts: Sequence[Cut],
    photos: Photos,
    target: Target,
    survey: Survey,
    dem: Dem,
    frame: LocalFrame,
    districts: Districts,
) -> list[list[Piece]]:
    """Pieces that tile each boundary, in one mode.

    Args:
        exclusions: for each boundary and part, stretches (start, end, kind) without a fence.
        cuts: what lanes had to leave out.
        photos: those of this mode.
    """
    tree = cKDTree(photos.xyz[:, :2]) if len(photos.xyz) else None
    result = []
    for number, boundary in enumerate(boundaries):
        pieces: list[Piece] = []
        for part, length_m in enumerate(boundary.part_lengths_m):
            track = Track.of(boundary, part, frame)
            edges = np.concatenate([np.arange(0.0, length_m, 1.0), [length_m]])
            if len(edges) > 2 and edges[-1] - edges[-2] < 1e-6:
                edges = np.delete(edges, -2)
            scale, start = boundary.chainage_scale[part], boundary.chainage_start_m[part]
            chainage = start + scale * edges
            middle = (chainage[1:] + chainage[:-1]) / 2.0
            seen = _seen(track, middle, tree, photos, target, survey, dem, boundary)
            state, reason = _states(middle, number, part, exclusions[number][part], cuts, seen,
                                    target, survey)  # fmt: skip
            pieces += _merged(edges, chainage, state, reason, seen, districts.at(track.at(middle)))
        result.append(pieces)
    return result


@dataclass(frozen=True)
class _Seen:
    views: npt.NDArray[np.int64]
    gsd_m: FloatArray
    view_deg: FloatArray
    hidden: npt.NDArray[np.bool_]


def _seen(
    track: Track,
    chainage: FloatArray,
    tree: cKDTree | None,
    photos: Photos,
    target: Target,
    survey: Survey,
    dem: Dem,
    boundary: Boundary,
) -> _Seen:
    count = len(chainage)
    views = np.zeros(count, dtype=np.int64)
    gsd = np.full(count, np.inf)
    angle = np.full(count, 90.0)
    hidden = np.zeros(count, dtype=bool)
    if tree is None:
        return _Seen(views, gsd, angle, hidden)
    optics = Optics(survey.camera)
    margin = survey.capture.attitude_margin_deg
    tan_w = math.tan(math.radians(optics.half_width_deg(margin)))
    tan_h = math.tan(math.radians(optics.half_height_deg(margin)))
    far_m = target.distance_m * (1 + survey.capture.gsd_slack_frac) * 1.1
    reach_m = far_m * math.hypot(1.0, tan_w) if target.mode == "oblique" else (
        far_m * math.hypot(tan_w, tan_h))  # fmt: skip
    most = min(_MOST_VIEWS, len(photos.xyz))
    for first in range(0, count, _CHUNK):
        chosen = slice(first, min(first + _CHUNK, count))
        foot = track.at(chainage[chosen])
        along = track.direction_at(chainage[chosen])
        ground = dem.ground_m(foot)
        _, index = tree.query(foot, k=most, distance_upper_bound=reach_m)
        index = index.reshape(len(foot), -1)
        row, column = np.nonzero(index < len(photos.xyz))
        photo = index[row, column]
        base = np.column_stack([foot[row], ground[row]])
        ok = np.ones(len(row), dtype=bool)
        heights = (0.0,) if target.mode == "nadir" else (0.0, boundary.fence_height_m)
        depth = np.zeros(len(row))
        for height in heights:
            away, inside = project(photos, photo, base + _up(height), tan_w, tan_h)
            depth = np.maximum(depth, away)
            ok &= inside
        ray = base + _up(boundary.fence_height_m / 2) - photos.xyz[photo]
        normal = np.column_stack([-along[row, 1], along[row, 0]])
        face = np.abs((ray[:, :2] * normal).sum(axis=1)) / np.linalg.norm(ray, axis=1)
        view = np.degrees(np.arccos(np.clip(face, 0.0, 1.0)))
        pixel = depth * optics.pixel_mm / survey.camera.focal_length_mm
        limit = target.gsd_m * (1 + survey.capture.gsd_slack_frac)
        ok &= pixel <= limit
        if target.mode == "oblique":
            ok &= view <= survey.capture.oblique_max_view_deg
        pairs = np.flatnonzero(ok)
        middle = base[pairs] + _up(boundary.fence_height_m / 2)
        blocked = _blocked(row[pairs], photo[pairs], photos.xyz[photo[pairs]], middle, dem)
        hidden[first + row[pairs[blocked]]] = True
        ok[pairs[blocked]] = False
        local = row[ok]
        views[chosen] = np.bincount(local, minlength=len(foot))
        np.minimum.at(gsd, first + local, pixel[ok])
        np.minimum.at(angle, first + local, view[ok])
    return _Seen(views, gsd, angle, hidden)


def _blocked(
    row: npt.NDArray[np.int64],
    photo: npt.NDArray[np.int64],
    camera: FloatArray,
    fence: FloatArray,
    dem: Dem,
) -> npt.NDArray[np.bool_]:
    """Whether the elevations rise into the line of sight from pictures (N, 3) to the fence (N, 3).

    Metres of fence nearer to each other than half a cell of the model are looked at together.
    """
    if not len(row):
        return np.zeros(0, dtype=bool)
    together = max(1, int(dem.cell_m / 2.0))
    key = (row // together) * (int(photo.max()) + 1) + photo
    _, one, back = np.unique(key, return_index=True, return_inverse=True)
    ray = camera[one] - fence[one]
    length = np.hypot(ray[:, 0], ray[:, 1])
    t = (np.arange(_SIGHT_SAMPLES) + 0.5) / _SIGHT_SAMPLES
    places = fence[one][:, None] + t[:, None] * ray[:, None]
    flat = places.reshape(-1, 3)
    rises = np.asarray(dem.ground_m(flat[:, :2]) > flat[:, 2] + _SIGHT_SLACK_M)
    away = (t * length[:, None]) > _BESIDE_FENCE_M
    hidden = np.asarray((rises.reshape(away.shape) & away).any(axis=1))
    return np.asarray(hidden[back])


def _up(height_m: float) -> FloatArray:
    return np.array([0.0, 0.0, height_m])


def project(
    photos: Photos, photo: npt.NDArray[np.int64], points: FloatArray, tan_w: float, tan_h: float
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Depth along the optical axis, and whether points (M, 3) are inside their pictures."""
    yaw = np.radians(photos.yaw_deg[photo])
    pitch = np.radians(photos.pitch_deg[photo])
    d = points - photos.xyz[photo]
    east, north = np.sin(yaw), np.cos(yaw)
    ahead = d[:, 0] * east + d[:, 1] * north
    right = d[:, 0] * north - d[:, 1] * east
    depth = ahead * np.cos(pitch) + d[:, 2] * np.sin(pitch)
    up = -ahead * np.sin(pitch) + d[:, 2] * np.cos(pitch)
    safe = np.maximum(depth, 1e-6)
    inside = (depth > 0.1) & (np.abs(right / safe) <= tan_w) & (np.abs(up / safe) <= tan_h)
    return depth, inside


def _states(
    chainage: FloatArray,
    number: int,
    part: int,
    exclusions: Sequence[tuple[float, float, str]],
    cuts: Sequence[Cut],
    seen: _Seen,
    target: Target,
    survey: Survey,
) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.object_]]:
    state = np.full(len(chainage), "uncovered", dtype=object)
    reason = np.full(len(chainage), "", dtype=object)
    enough = seen.views >= survey.capture.min_views
    few = (seen.views > 0) & ~enough
    reason[:] = "not in any picture that is near enough"
    reason[few] = f"fewer than {survey.capture.min_views} views"
    reason[seen.hidden & ~enough] = "hidden by the ground or what stands on it"
    for cut in cuts:
        if (cut.boundary, cut.part, cut.mode) == (number, part, target.mode):
            reason[(chainage >= cut.start_m - 0.5) & (chainage <= cut.end_m + 0.5)] = cut.reason
    state[enough] = "covered"
    reason[enough] = ""
    for start, end, kind in exclusions:
        inside = (chainage >= start) & (chainage < end)
        state[inside] = "no_fence" if kind in NO_FENCE else "not_planned"
        reason[inside] = kind
    return state, reason


def _merged(
    edges: FloatArray,
    chainage: FloatArray,
    state: npt.NDArray[np.object_],
    reason: npt.NDArray[np.object_],
    seen: _Seen,
    district: npt.NDArray[np.object_],
) -> list[Piece]:
    change = (state[1:] != state[:-1]) | (reason[1:] != reason[:-1])
    change |= district[1:] != district[:-1]
    starts = np.concatenate([[0], np.flatnonzero(change) + 1, [len(state)]])
    pieces = []
    for a, b in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        views = seen.views[a:b]
        gsd, angle = seen.gsd_m[a:b], seen.view_deg[a:b]
        known = np.isfinite(gsd)
        pieces.append(
            Piece(
                float(chainage[a]), float(chainage[b]), float(edges[b] - edges[a]),
                str(state[a]), str(reason[a]),
                round(float(gsd[known].max()), 5) if known.any() else None,
                int(views.min()),
                round(float(angle[known].max()), 1) if known.any() else None,
                str(district[a]),
            )
        )  # fmt: skip
    return pieces
