"""From boundaries, a survey and elevations to a plan: the order in which everything is computed."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import shapely

from corridor import (
    Boundary,
    InputError,
    LocalFrame,
    Progress,
    Track,
    format_station,
    parse_station,
    silent,
)
from missions.airspace import Airspace, check_polygon
from missions.dem import Dem
from missions.districts import Districts
from missions.flight import Launch
from missions.lanes import LanePath, Mode, lane_offsets_m, make_lane
from missions.optics import Optics
from missions.predicted import Photos, Piece, cover, photos_of
from missions.routes import Router
from missions.runs import Cut, Run, Target, make_runs, target_of
from missions.sorties import PlannedSortie, make_sorties
from missions.survey import Exclusion, Survey

Stretch = tuple[float, float, str]
"""A stretch of chainage without a fence: start, end, what there is instead."""

_PLACES_SAID = 5
_LOOK_EVERY_M = 1.0


@dataclass(frozen=True)
class Only:
    """Stretches to fly instead of everything (re-inspection, the rest of a broken-off sortie).

    Attributes:
        stretches: (route, side) to chainage ranges.
        reason: for people: what is flown again.
    """

    stretches: Mapping[tuple[str, str], Sequence[tuple[float, float]]]
    reason: str


@dataclass(frozen=True)
class SurveyPlan:
    """Everything that was planned, before it is written.

    Attributes:
        coverage: by mode, for each boundary the pieces that tile it.
        exclusions: for each boundary and part, stretches without a fence.
        photos: of all sorties.
    """

    survey: Survey
    boundaries: list[Boundary]
    frame: LocalFrame
    dem: Dem
    airspace: Airspace
    targets: Mapping[Mode, Target]
    launches: list[Launch]
    lanes: list[LanePath]
    sorties: list[PlannedSortie]
    cuts: list[Cut]
    exclusions: list[list[list[Stretch]]]
    photos: Photos
    coverage: Mapping[Mode, list[list[Piece]]]
    notes: list[str]
    districts: Districts


def plan_survey(
    boundaries: Sequence[Boundary],
    survey: Survey,
    dem_path: str | Path,
    *,
    source: str = "survey.toml",
    only: Only | None = None,
    progress: Progress = silent,
) -> SurveyPlan:
    """Plans all flights of a survey.

    Args:
        boundaries: as drawn; sides not in `survey.sides` are left out.
        dem_path: raster of elevations (terrain or surface), see `missions.dem`.
        source: name of the configuration, for messages.
        only: what to fly, where that is not everything.

    Raises:
        InputError: if an input cannot be used, or nothing at all can be flown.
    """
    chosen = [b for b in boundaries if b.side.value in survey.sides]
    if not chosen:
        raise InputError(
            source, f"no boundary on side {' or '.join(survey.sides)}",
            f"the file has {', '.join(sorted({b.side.value for b in boundaries})) or 'none'}",
        )  # fmt: skip
    if (
        survey.output.altitude == "mean_sea_level"
        and survey.dem.vertical_reference == "ellipsoid"
        and survey.dem.geoid_undulation_m is None
    ):
        raise InputError(
            source,
            "altitudes above mean sea level are asked for, but the elevations are ellipsoidal",
            "give dem.geoid_undulation_m (ellipsoid minus sea level), or use altitude = 'home'",
        )
    frame = LocalFrame.around(np.concatenate([part for b in chosen for part in b.parts]))
    dem = Dem(dem_path, frame)
    exclusions = _exclusions(chosen, survey, frame, source, only)
    notes: list[str] = []
    _check_ground(chosen, dem, frame, exclusions, notes)
    airspace = Airspace(survey, dem, chosen, frame, source)
    districts = Districts.of(survey, frame, source)
    targets = {
        mode: target_of(mode, survey, max(b.fence_height_m for b in chosen))
        for mode in survey.capture.modes
    }
    launches = _launches(survey, chosen, dem, frame, source, notes)
    lanes: list[LanePath] = []
    runs: list[Run] = []
    cuts: list[Cut] = []
    for mode, target in targets.items():
        for number, boundary in enumerate(chosen):
            progress(number, len(chosen) * len(targets), f"lanes, {mode}")
            new = _lanes_of(chosen, number, target, survey, frame, exclusions[number])
            lanes += new
            for lane in new:
                track = Track.of(boundary, lane.part, frame)
                for piece in _by_district(lane, track, districts):
                    made, left_out = make_runs(
                        piece, track.at(piece.chainage_m), target, airspace, boundary.fence_height_m
                    )
                    runs += made
                    cuts += left_out
    if not runs:
        raise InputError(
            source, f"nothing of the route can be flown ({_commonest(cuts)})",
            "look at keep-outs, exclusions, ceiling and clearance",
        )  # fmt: skip
    router = Router(airspace, min(target.height_m for target in targets.values()))
    places = _rally_places(survey, launches, dem, frame, source)
    sorties, more = make_sorties(runs, launches, airspace, router, progress, places)
    cuts += more
    if not sorties:
        raise InputError(source, f"no lane can be flown: {_commonest(more)}", _way_out(more))
    photos = photos_of([sortie.segments for sortie in sorties])
    coverage: dict[Mode, list[list[Piece]]] = {}
    for mode, target in targets.items():
        progress(0, 1, f"coverage, {mode}")
        coverage[mode] = cover(
            chosen, exclusions, cuts, _of_mode(photos, mode), target, survey, dem, frame, districts
        )
    _note_districts(coverage, notes)
    return SurveyPlan(
        survey, chosen, frame, dem, airspace, targets, launches, lanes, sorties, cuts, exclusions,
        photos, coverage, notes, districts,
    )  # fmt: skip


def _by_district(lane: LanePath, track: Track, districts: Districts) -> list[LanePath]:
    """The lane cut where the fence beside it passes from one district to the next."""
    low, high = lane.chainage_m[[0, -1]].tolist()
    places = np.linspace(low, high, max(2, int(np.ceil(high - low)) + 1))
    fence = track.at(np.clip(places, track.chainage_m[0], track.chainage_m[-1]))
    edges = [low, *districts.borders_m(places, fence), high]
    return [
        replace(
            lane.between(start, end),
            district=str(districts.at(track.at(np.array([(start + end) / 2.0])))[0]),
        )
        for start, end in itertools.pairwise(edges)
    ]


def _note_districts(coverage: Mapping[Mode, list[list[Piece]]], notes: list[str]) -> None:
    pieces = [piece for by_boundary in coverage.values() for row in by_boundary for piece in row]
    if any(piece.district for piece in pieces):
        nobody_m = sum(piece.length_m for piece in pieces if not piece.district) / len(coverage)
        if nobody_m > 1.0:
            notes.append(f"{nobody_m:.0f} m of boundary lie in no district")


def _of_mode(photos: Photos, mode: Mode) -> Photos:
    mine = photos.mode == mode
    return Photos(
        photos.xyz[mine], photos.course_deg[mine], photos.yaw_deg[mine], photos.pitch_deg[mine],
        photos.sortie[mine], photos.mode[mine],
    )  # fmt: skip


def _commonest(cuts: Sequence[Cut]) -> str:
    lengths: dict[str, float] = {}
    for cut in cuts:
        lengths[cut.reason] = lengths.get(cut.reason, 0.0) + cut.end_m - cut.start_m
    if not lengths:
        return "everything is excluded"
    reason = max(lengths, key=lambda key: lengths[key])
    return f"{reason} for {lengths[reason]:.0f} m"


def _way_out(cuts: Sequence[Cut]) -> str:
    reason = _commonest(cuts)
    if reason.startswith("battery"):
        return "a larger battery, less wind (safety.wind_m_s), or a launch site nearer to the lane"
    if reason.startswith("out of range"):
        return "a launch site nearer to the line (--launch), or a larger safety.max_distance_m"
    if reason.startswith("item limit"):
        return (
            "a larger capture.path_tolerance_m or height_tolerance_frac, or more aircraft.max_items"
        )
    return "another launch site (--launch), or a higher safety.ceiling_m where that is allowed"


def _lanes_of(
    boundaries: list[Boundary],
    number: int,
    target: Target,
    survey: Survey,
    frame: LocalFrame,
    exclusions: Sequence[Sequence[Stretch]],
) -> list[LanePath]:
    capture, safety = survey.capture, survey.safety
    if target.mode == "nadir":
        swath_m = Optics(survey.camera).width_m(
            target.height_m * (1 - capture.height_tolerance_frac), capture.attitude_margin_deg
        )
        least_m = safety.carriageway_distance_m - safety.fence_to_carriageway_m
        if safety.carriageway_width_m == 0:
            least_m = -np.inf
        offsets = lane_offsets_m(
            capture.inside_m, capture.outside_m, swath_m, capture.side_overlap_frac, least_m
        )
    else:
        offsets = [target.offset_m]
    lanes = []
    for part in range(len(boundaries[number].parts)):
        for offset_m in offsets:
            lane = make_lane(
                boundaries, number, part, frame, target.mode, offset_m, capture.path_tolerance_m
            )
            # One picture more at each end, so that the last metre has its views as well.
            more_m = (1 - capture.forward_overlap_frac) * target.distance_m
            for start, end in _kept(lane, exclusions[part]):
                lanes.append(lane.longer(more_m).between(start - more_m, end + more_m))
    return lanes


def _kept(lane: LanePath, exclusions: Sequence[Stretch]) -> list[tuple[float, float]]:
    """The lane's chainage without exclusions."""
    kept = []
    at = float(lane.chainage_m[0])
    last = float(lane.chainage_m[-1])
    for start, end, _ in sorted(exclusions):
        if start - at > 1.0:
            kept.append((at, min(start, last)))
        at = max(at, end)
    if last - at > 1.0:
        kept.append((at, last))
    return kept


def _exclusions(
    boundaries: Sequence[Boundary],
    survey: Survey,
    frame: LocalFrame,
    source: str,
    only: Only | None,
) -> list[list[list[Stretch]]]:
    """Stretches without a fence (and, with `only`, those not asked for) by boundary and part."""
    result: list[list[list[Stretch]]] = []
    used = [False] * len(survey.exclusion)
    for boundary in boundaries:
        parts: list[list[Stretch]] = []
        for part in range(len(boundary.parts)):
            chainage = boundary.vertex_chainages_m(part)
            found: list[Stretch] = []
            for k, exclusion in enumerate(survey.exclusion):
                for start, end in _excluded(
                    exclusion, boundary, part, frame, f"{source}, exclusion {k + 1}"
                ):
                    low, high = max(start, float(chainage[0])), min(end, float(chainage[-1]))
                    if low < high:
                        found.append((low, high, exclusion.kind))
                        used[k] = True
            if only is not None:
                found += _not_asked(boundary, chainage, only)
            parts.append(found)
        result.append(parts)
    for k, was_used in enumerate(used):
        if not was_used:
            exclusion = survey.exclusion[k]
            raise InputError(
                f"{source}, exclusion {k + 1}",
                f"touches no boundary ({exclusion.kind} {exclusion.start or 'polygon'})",
                "check its route, side and stations",
            )
    return result


def _excluded(
    exclusion: Exclusion, boundary: Boundary, part: int, frame: LocalFrame, source: str
) -> list[tuple[float, float]]:
    if exclusion.route and exclusion.route != boundary.route:
        return []
    if exclusion.side not in ("both", boundary.side.value):
        return []
    if exclusion.start is not None and exclusion.end is not None:
        start, end = parse_station(exclusion.start, source), parse_station(exclusion.end, source)
        if start >= end:
            raise InputError(
                source, f"starts at {format_station(start)} and ends at {format_station(end)}",
                "start must be the lesser",
            )  # fmt: skip
        return [(start, end)]
    area = shapely.Polygon(frame.to_xy(np.array(exclusion.polygon)))
    check_polygon(area, source, frame)
    track = Track.of(boundary, part, frame)
    fine = np.arange(track.chainage_m[0], track.chainage_m[-1], 1.0)
    inside = np.asarray(shapely.intersects_xy(area, track.at(fine)))
    edge = np.diff(np.concatenate([[0], inside.astype(np.int8), [0]]))
    starts, ends = np.flatnonzero(edge == 1), np.flatnonzero(edge == -1) - 1
    return [(float(fine[a]), float(fine[b]) + 1.0) for a, b in zip(starts, ends, strict=True)]


def _not_asked(boundary: Boundary, chainage: np.ndarray, only: Only) -> list[Stretch]:
    asked = sorted(only.stretches.get((boundary.route, boundary.side.value), ()))
    found: list[Stretch] = []
    at = float(chainage[0])
    for start, end in asked:
        if start > at:
            found.append((at, min(start, float(chainage[-1])), only.reason))
        at = max(at, end)
    if at < float(chainage[-1]):
        found.append((at, float(chainage[-1]), only.reason))
    return [stretch for stretch in found if stretch[1] > stretch[0]]


def _check_ground(
    boundaries: Sequence[Boundary],
    dem: Dem,
    frame: LocalFrame,
    exclusions: Sequence[Sequence[Sequence[Stretch]]],
    notes: list[str],
) -> None:
    """Notes where the elevations do not cover the fence; refuses them where they cover none."""
    missing_m, all_m = 0.0, 0.0
    places: list[str] = []
    for boundary, by_part in zip(boundaries, exclusions, strict=True):
        for part in range(len(boundary.parts)):
            track = Track.of(boundary, part, frame)
            first, last = track.chainage_m[[0, -1]].tolist()
            count = max(1, int(np.ceil((last - first) / _LOOK_EVERY_M)))
            edges = np.linspace(first, last, count + 1)
            chainage, step_m = (edges[1:] + edges[:-1]) / 2.0, (last - first) / count
            bad = ~np.isfinite(dem.ground_m(track.at(chainage)))
            asked = np.ones(len(chainage), dtype=bool)
            for start, end, _ in by_part[part]:
                asked &= ~((chainage >= start) & (chainage < end))
            bad &= asked
            all_m += float(asked.sum()) * step_m
            missing_m += float(bad.sum()) * step_m
            edge = np.diff(np.concatenate([[0], bad.astype(np.int8), [0]]))
            places += [
                f"{boundary.route} {boundary.side.value} "
                f"{format_station(max(0.0, float(edges[a])))} to "
                f"{format_station(max(0.0, float(edges[b])))}"
                for a, b in zip(np.flatnonzero(edge == 1), np.flatnonzero(edge == -1), strict=True)
            ]
    if missing_m <= 0:
        return
    what = f"has no elevation under {missing_m:.0f} m of boundary"
    if missing_m >= all_m - 1.0:
        raise InputError(
            dem.path, what, "the elevations must cover the boundaries: take a larger model"
        )
    more = f", and {len(places) - _PLACES_SAID} more" if len(places) > _PLACES_SAID else ""
    notes.append(
        f"{dem.path.name} {what}, which is not flown: {'; '.join(places[:_PLACES_SAID])}{more}. "
        "Fill the holes (gdal_fillnodata.py), or take a larger model"
    )


def _rally_places(
    survey: Survey, launches: Sequence[Launch], dem: Dem, frame: LocalFrame, source: str
) -> list[Launch]:
    """Where a return may go instead of home; proposed launch sites are nothing to land on."""
    if survey.safety.rally == "none":
        return []
    places = [
        _place(site.name or f"R{number}", site.lon, site.lat, dem, frame, f"{source}, rally")
        for number, site in enumerate(survey.rally, start=1)
    ]
    if survey.safety.rally == "launch_sites":
        places += [launch for launch in launches if not launch.proposed]
    return places


def _place(
    name: str, lon_deg: float, lat_deg: float, dem: Dem, frame: LocalFrame, source: str
) -> Launch:
    xy = frame.to_xy([[lon_deg, lat_deg]])
    ground = float(dem.ground_m(xy)[0])
    if not np.isfinite(ground):
        raise InputError(
            f"{source} {name}",
            f"{lon_deg:.6f}, {lat_deg:.6f} is outside the elevations of {dem.path.name} "
            "or on a hole in them",
            "longitude comes first; choose a place that they cover, or a larger model",
        )
    return Launch(name, lon_deg, lat_deg, xy[0], ground)


def _launches(
    survey: Survey,
    boundaries: Sequence[Boundary],
    dem: Dem,
    frame: LocalFrame,
    source: str,
    notes: list[str],
) -> list[Launch]:
    launches = [
        _place(site.name or f"L{number}", site.lon, site.lat, dem, frame, f"{source}, launch")
        for number, site in enumerate(survey.launch, start=1)
    ]
    if launches:
        return launches
    spacing_m = 1.6 * survey.safety.max_distance_m
    for boundary in boundaries[:1]:
        for part, length_m in enumerate(boundary.part_lengths_m):
            track = Track.of(boundary, part, frame)
            count = max(1, int(np.ceil(length_m / spacing_m)))
            at = np.interp((np.arange(count) + 0.5) / count, [0.0, 1.0], track.chainage_m[[0, -1]])
            normal = track.direction_at(at)[:, ::-1] * [-1.0, 1.0] * boundary.side.outward
            for xy in track.at(at) + 12.0 * normal:
                ground = float(dem.ground_m(xy)[0])
                if np.isfinite(ground):
                    lon, lat = frame.to_lonlat(xy)[0]
                    launches.append(
                        Launch(f"P{len(launches) + 1}", float(lon), float(lat), xy, ground, True)
                    )
    if not launches:
        raise InputError(source, "no launch site", "give one with --launch LON,LAT")
    notes.append(
        f"no launch site was given: {len(launches)} proposed beside the fence; see that people can "
        "stand and aircraft can land there, and give the real ones"
    )
    return launches
