"""Lanes with heights: cut where they cannot be flown, and solved for the fewest waypoints."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import shapely

from corridor import InputError
from corridor.values import FloatArray
from missions.airspace import Airspace, Bounds
from missions.lanes import LanePath, Mode
from missions.optics import Optics
from missions.survey import Survey
from missions.tube import Tube, fewest_legs, lowest_path_m

ROUNDING_M = 0.05
"""Kept above the floor for what the formats and the vehicle round away (1 cm each)."""

NO_ELEVATION = "the elevations end or have a hole here"
"""Why a lane stops where nothing is known of the ground."""

_SHORTEST_RUN_M = 10.0
_LEAST_SPEED_M_S = 2.0


@dataclass(frozen=True)
class Target:
    """What a mode asks of its lanes.

    Attributes:
        height_m: of the lane above the ground its height is taken from.
        distance_m: along the optical axis to what is photographed.
        gsd_m: at that distance.
        offset_m: of the lane from the fence (oblique), or 0.
        pitch_deg: of the gimbal, -90 straight down.
    """

    mode: Mode
    height_m: float
    distance_m: float
    gsd_m: float
    offset_m: float
    pitch_deg: float


@dataclass(frozen=True)
class Cut:
    """A stretch of boundary that a lane leaves out, and why."""

    boundary: int
    part: int
    mode: Mode
    start_m: float
    end_m: float
    reason: str


@dataclass(frozen=True)
class Run:
    """A piece of lane flown in one go with the camera on, in the direction of chainage.

    Attributes:
        xyz: (K, 3) waypoints, heights in the DEM's reference.
        chainage_m: (K,) of the fence beside them.
        s_m: (K,) metres over ground from the run's start.
        speed_m_s: over ground.
        spacing_m: between pictures, from the worst overlap along the run.
        pitch_deg: of the gimbal.
        look: +1 if the fence is to the right of the direction of chainage, -1 to the left.
        notes: what was changed against the survey's wishes, for people.
        district: that its fence lies in.
    """

    boundary: int
    part: int
    mode: Mode
    offset_m: float
    xyz: FloatArray
    chainage_m: FloatArray
    s_m: FloatArray
    speed_m_s: float
    spacing_m: float
    pitch_deg: float
    look: int = 0
    notes: tuple[str, ...] = ()
    district: str = ""

    @property
    def length_m(self) -> float:
        """Over ground."""
        return float(self.s_m[-1])

    def halves(self) -> tuple[Run, Run]:
        """The run cut in two at its middle."""
        middle = self.length_m / 2.0
        nearest = float(self.s_m[int(np.argmin(np.abs(self.s_m - middle)))])
        if abs(nearest - middle) < 1.0:
            middle = nearest  # no leg of centimetres, whose course rounding would turn about
        return self._piece(0.0, middle), self._piece(middle, self.length_m)

    def _piece(self, start: float, end: float) -> Run:
        inner = (self.s_m > start + 1e-6) & (self.s_m < end - 1e-6)
        s = np.concatenate([[start], self.s_m[inner], [end]])
        xyz = np.column_stack([np.interp(s, self.s_m, self.xyz[:, k]) for k in range(3)])
        return Run(
            self.boundary, self.part, self.mode, self.offset_m, xyz,
            np.interp(s, self.s_m, self.chainage_m), s - start, self.speed_m_s, self.spacing_m,
            self.pitch_deg, self.look, self.notes, self.district,
        )  # fmt: skip


def target_of(mode: Mode, survey: Survey, fence_height_m: float) -> Target:
    """Height, distance and gimbal pitch that give the GSD asked for.

    Raises:
        InputError: if it is impossible under the ceiling or the clearance, or for the gimbal.
    """
    capture, safety, camera = survey.capture, survey.safety, survey.camera
    optics = Optics(camera)
    least_m = safety.clearance_m + safety.dem_error_m
    tolerance = capture.height_tolerance_frac
    if mode == "nadir":
        height_m = capture.height_m
        if height_m is None:
            height_m = optics.distance_m(capture.gsd_m) if capture.gsd_m else 50.0
        what = f"height {height_m:.1f} m above ground"
        if capture.height_m is None and capture.gsd_m:
            what = f"gsd_m = {capture.gsd_m} with this camera needs {what}"
        if height_m * (1 + tolerance) > safety.ceiling_m:
            finest = optics.gsd_m(safety.ceiling_m / (1 + tolerance))
            raise InputError(
                "capture", f"{what}, above the ceiling of {safety.ceiling_m:.0f} m",
                f"ask for a GSD of {finest:.4f} m or finer (--gsd), or another lens",
            )  # fmt: skip
        if height_m < least_m:
            raise InputError(
                "capture",
                f"{what}, below clearance plus elevation error ({least_m:.0f} m)",
                f"ask for a GSD of {optics.gsd_m(least_m):.4f} m or coarser (--gsd), "
                "or lower safety.clearance_m (--clearance)",
            )
        if camera.gimbal_pitch_min_deg > -89.0:
            raise InputError("camera", "its gimbal cannot look straight down", "another camera")
        return Target(mode, height_m, height_m, optics.gsd_m(height_m), 0.0, -90.0)
    middle_m = fence_height_m / 2.0
    slant_m = optics.distance_m(capture.gsd_m) if capture.gsd_m else 45.0
    height_m = capture.oblique_height_m
    if height_m is None:
        height_m = slant_m * math.sin(math.radians(capture.oblique_depression_deg)) + middle_m
        # A little more than the least, so that the tube has room for the terrain.
        height_m = max(height_m, least_m * (1 + tolerance) + 1.0)
    ratio = (height_m - middle_m) / slant_m
    steepest = math.sin(math.radians(capture.oblique_max_view_deg - 5.0))
    if ratio > steepest:
        finest = optics.gsd_m((height_m - middle_m) / steepest)
        raise InputError(
            "capture",
            f"an oblique GSD of {optics.gsd_m(slant_m):.4f} m means {slant_m:.0f} m from the "
            f"fence, but the clearance keeps the aircraft {height_m:.0f} m above ground: it would "
            "look down on the fence",
            f"ask for {finest:.4f} m or coarser, a longer lens, or less clearance",
        )
    depression_deg = math.degrees(math.asin(ratio))
    if not camera.gimbal_pitch_min_deg <= -depression_deg <= camera.gimbal_pitch_max_deg:
        raise InputError(
            "camera",
            f"its gimbal reaches {camera.gimbal_pitch_min_deg:.0f}° to "
            f"{camera.gimbal_pitch_max_deg:.0f}°, oblique lanes need {-depression_deg:.0f}°",
            "choose a camera with a gimbal, or mode nadir alone",
        )
    return Target(
        mode, height_m, slant_m, optics.gsd_m(slant_m),
        slant_m * math.cos(math.radians(depression_deg)), -depression_deg,
    )  # fmt: skip


def make_runs(
    lane: LanePath, fence_xy: FloatArray, target: Target, airspace: Airspace, fence_height_m: float
) -> tuple[list[Run], list[Cut]]:
    """Cuts a lane where it cannot be flown and gives the rest heights.

    Args:
        lane: over ground.
        fence_xy: (N, 2) the fence's position beside each of the lane's vertices.
        target: what its mode asks for.
    """
    survey = airspace.survey
    cuts: list[Cut] = []
    runs: list[Run] = []
    bounds = airspace.bounds(lane.xy)
    chainage = _chainage_at(lane, bounds.s_m)
    slow = np.full(len(bounds.s_m), _slope(survey, _LEAST_SPEED_M_S))
    # The aircraft turns at a lane's end: there must be known ground on all sides of it.
    unknown = bounds.unknown | ~airspace.dem.known_around(bounds.xy, survey.safety.lateral_error_m)
    bounds = replace(bounds, unknown=unknown, blocked=bounds.blocked & ~unknown)
    bad = bounds.blocked | unknown
    reasons = [_reason(airspace, bounds, k) if bad[k] else "" for k in range(len(bad))]
    for first, last in _stretches(bad):
        cuts += _cuts(lane, chainage, reasons, first, last)
    for first, last in _stretches(~bad):
        if last == first:
            continue
        piece = slice(first, last + 1)
        lowest = lowest_path_m(bounds.s_m[piece], bounds.floor_m[piece], slow[piece])
        steep = lowest > bounds.roof_m[piece]
        for a, b in _stretches(steep):
            text = [f"too steep: {airspace.total_clearance_m:.0f} m clear of the ground would be "
                    f"above the ceiling of {survey.safety.ceiling_m:.0f} m"] * len(bad)  # fmt: skip
            cuts += _cuts(lane, chainage, text, first + a, first + b)
        for a, b in _stretches(~steep):
            start, end = chainage[first + a], chainage[first + b]
            if bounds.s_m[first + b] - bounds.s_m[first + a] < _SHORTEST_RUN_M:
                cuts.append(Cut(lane.boundary, lane.part, lane.mode, start, end, "too short a run"))
                continue
            runs += _solved(lane.between(start, end), lane, fence_xy, target, airspace)
    return runs, cuts


def _solved(
    piece: LanePath, lane: LanePath, fence_xy: FloatArray, target: Target, airspace: Airspace
) -> list[Run]:
    survey = airspace.survey
    count = max(1, math.ceil(piece.length_m / survey.capture.run_length_m))
    at = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(piece.xy, axis=0).T))])
    edges = np.interp(np.linspace(0.0, at[-1], count + 1), at, piece.chainage_m)
    runs: list[Run] = []
    end_z: float | None = None
    for start, end in itertools.pairwise(edges.tolist()):
        run = _one_run(piece.between(start, end), lane, fence_xy, target, airspace, end_z)
        end_z = float(run.xyz[-1, 2])
        runs.append(run)
    return runs


def _one_run(
    piece: LanePath,
    lane: LanePath,
    fence_xy: FloatArray,
    target: Target,
    airspace: Airspace,
    start_z: float | None,
) -> Run:
    survey = airspace.survey
    capture, safety = survey.capture, survey.safety
    optics = Optics(survey.camera)
    bounds = airspace.bounds(piece.xy)
    s = bounds.s_m
    chainage = _chainage_at(piece, s)
    fence = np.column_stack(
        [np.interp(chainage, lane.chainage_m, fence_xy[:, axis]) for axis in (0, 1)]
    )
    fence_ground = airspace.dem.ground_m(fence)
    fence_ground = np.where(np.isfinite(fence_ground), fence_ground, bounds.ground_m)
    reference = bounds.ground_m if target.mode == "nadir" else fence_ground
    wanted = smooth_m(s, reference, target.height_m / 2.0) + target.height_m
    tolerance_m = capture.height_tolerance_frac * target.height_m
    safe = bounds.floor_m + ROUNDING_M
    notes: list[str] = []
    wish = capture.speed_m_s or survey.aircraft.cruise_speed_m_s
    limit = optics.speed_limit_m_s(
        (1 - capture.forward_overlap_frac) * _along_m(optics, target, target.distance_m),
        target.gsd_m, capture.blur_limit_px,
    )  # fmt: skip
    speed = min(wish, limit)
    floor, speed = _floor_and_speed(
        s, safe, wanted, tolerance_m, bounds.roof_m + ROUNDING_M, survey, speed
    )
    tube = Tube(
        s, floor, wanted + tolerance_m, bounds.roof_m, wanted,
        np.full(len(s), _slope(survey, speed)), bounds.corner,
    )  # fmt: skip
    index, z = fewest_legs(tube, start_z)
    z_all = np.interp(s, s[index], z)
    below = np.maximum(bounds.ground_m, fence_ground) if target.mode == "nadir" else fence_ground
    nearest_m = float(np.min(z_all - below))
    if target.mode == "oblique":
        slant = np.hypot(np.hypot(*(bounds.xy - fence).T), z_all - fence_ground)
        nearest_m = float(np.min(slant))
    nearest_m = max(nearest_m, safety.clearance_m * 0.5)
    spacing = (1 - capture.forward_overlap_frac) * _along_m(optics, target, nearest_m)
    limit = optics.speed_limit_m_s(spacing, optics.gsd_m(nearest_m), capture.blur_limit_px)
    final = max(min(speed, limit), 0.5)
    if final < wish - 0.05:
        why = "climb rate" if final == speed and speed < limit else "picture interval or blur"
        notes.append(f"{final:.1f} m/s instead of {wish:.1f} m/s ({why})")
    pitch = target.pitch_deg
    if target.mode == "oblique":
        distance = np.hypot(*(bounds.xy - fence).T)
        drop = z_all - fence_ground - 0.9
        pitch = -float(np.degrees(np.median(np.arctan2(drop, distance))))
        pitch = float(
            np.clip(pitch, survey.camera.gimbal_pitch_min_deg, survey.camera.gimbal_pitch_max_deg)
        )
    return Run(
        piece.boundary, piece.part, piece.mode, piece.offset_m,
        np.column_stack([bounds.xy[index], z]), chainage[index], s[index],
        round(final, 2), round(max(spacing, 0.5), 2), round(pitch, 1),
        airspace.boundaries[piece.boundary].side.outward, tuple(notes), piece.district,
    )  # fmt: skip


def _along_m(optics: Optics, target: Target, distance_m: float) -> float:
    """Footprint in the direction of flight: the picture's height, seen sideways its width."""
    if target.mode == "nadir":
        return optics.height_m(distance_m)
    return optics.width_m(distance_m)


def _slope(survey: Survey, speed_m_s: float) -> float:
    vertical = min(survey.aircraft.climb_speed_m_s, survey.aircraft.descent_speed_m_s)
    return vertical / speed_m_s


def _floor_and_speed(
    s: FloatArray,
    safe: FloatArray,
    wanted: FloatArray,
    tolerance_m: float,
    ceiling: FloatArray,
    survey: Survey,
    speed_m_s: float,
) -> tuple[FloatArray, float]:
    """Lower bounds and the speed at which climb and descent rates keep the path within them.

    First with a floor for the picture's sake as well, at the fastest of some speeds; where that
    would break through the ceiling, with what is safe alone, and last at the slowest speed, for
    which the stretch was cut to be possible.
    """
    speeds = [max(_LEAST_SPEED_M_S, speed_m_s * share) for share in (1.0, 0.75, 0.5, 0.35, 0.25)]
    for floor in (np.maximum(safe, wanted - tolerance_m), safe):
        lowest = [lowest_path_m(s, floor, np.full(len(s), _slope(survey, v))) for v in speeds]
        fits = [bool((path <= ceiling).all()) for path in lowest]
        if any(fits):
            excess = [float(np.max(path - wanted - tolerance_m)) for path in lowest]
            least = max(min(e for e, ok in zip(excess, fits, strict=True) if ok), 0.0)
            good = [v for v, e, ok in zip(speeds, excess, fits, strict=True)
                    if ok and e <= least + 0.5]  # fmt: skip
            return floor, good[0]
    return safe, _LEAST_SPEED_M_S


def smooth_m(s: FloatArray, values: FloatArray, half_m: float) -> FloatArray:
    """Mean over a window of the path: single crowns and roofs do not lift the whole lane."""
    area = np.concatenate([[0.0], np.cumsum(np.diff(s) * (values[1:] + values[:-1]) / 2.0)])
    low, high = np.maximum(s - half_m, s[0]), np.minimum(s + half_m, s[-1])
    width = high - low
    mean = (np.interp(high, s, area) - np.interp(low, s, area)) / np.where(width > 0, width, 1.0)
    return np.asarray(np.where(width > 1e-6, mean, values))


def _chainage_at(lane: LanePath, s: FloatArray) -> FloatArray:
    at = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(lane.xy, axis=0).T))])
    return np.asarray(np.interp(s, at, lane.chainage_m))


def _stretches(mask: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and last index of each run of True."""
    edge = np.diff(np.concatenate([[0], mask.astype(np.int8), [0]]))
    return list(
        zip(np.flatnonzero(edge == 1).tolist(), (np.flatnonzero(edge == -1) - 1).tolist(),
            strict=True)
    )  # fmt: skip


def _cuts(
    lane: LanePath, chainage: FloatArray, reasons: list[str], first: int, last: int
) -> list[Cut]:
    """Cuts for places first to last, reaching to the free places beside them, one a reason."""
    cuts = []
    start = first
    for k in range(first, last + 1):
        if k == last or reasons[k + 1] != reasons[start]:
            a = chainage[max(start - 1, 0)]
            b = chainage[min(k + 1, len(chainage) - 1)]
            cuts.append(Cut(lane.boundary, lane.part, lane.mode, a, b, reasons[start]))
            start = k + 1
    return cuts


def _reason(airspace: Airspace, bounds: Bounds, k: int) -> str:
    if bounds.unknown[k]:
        return NO_ELEVATION
    point = shapely.Point(bounds.xy[k])
    margin_m = airspace.survey.safety.lateral_error_m
    near_m = margin_m + 2 * airspace.dem.cell_m
    for zone in airspace.zones:
        if zone.area.distance(point) <= near_m:
            return f"keep-out {zone.name}"
    for obstacle in airspace.obstacles:
        if obstacle.line.distance(point) <= obstacle.clearance_m + near_m:
            return f"power line {obstacle.name}"
    return (
        f"too steep: {airspace.total_clearance_m:.0f} m clear of the ground would be above the "
        f"ceiling of {airspace.survey.safety.ceiling_m:.0f} m"
    )
