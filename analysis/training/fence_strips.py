"""Strips the fence network learns from: cut from scenes and real ground, and drawn as crops."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import geopandas
import numpy as np
import numpy.typing as npt
import shapely
from scipy.ndimage import distance_transform_edt

from analysis.fence.features import ALONG_M, FINE_M, network_input
from analysis.fence.strip import Centre, straighten
from analysis.raster import Orthophoto
from analysis.training.fence_paint import (
    CROP,
    IGNORE,
    ROWS,
    cut_out,
    disturb,
    grow_cover,
    lay_foot,
    paint_fence,
)
from analysis.training.parked import parked
from corridor import InputError, Side, Track
from corridor.findings import BreachType, FenceState, FindingKind, read_condition, read_findings

_REACH_M = 8.4
_PARALLEL_M = 9.0
_CROWN_M = 4.0
"""Nearer than this to a crown it is not said that there is no fence."""
_GROUND_STRIPS, _GROUND_TRIES, _GROUND_SEEN = 6, 600, 0.97
"""Of a real picture: strips, places tried for them, and the least of a strip that is imaged."""
_GROUND_PIXEL_M = (0.02, 0.06)
"""As if its pixels had this size: the texture of ground is much the same at any scale."""
_REAL_SCALES = (0.6, 0.8, 1.0, 1.25)
"""A real fence is seen as if it were so much larger: fences differ in more than that."""
_STRIP_ROWS = round(2 * _REACH_M / FINE_M)
_ON_BREACH = 0.35
"""Share of the crops of a fence that are laid on one of its breaches."""
_CUT_OUT, _CUT_OUT_REAL = 0.3, 0.65
"""Share of the crops of a fence that are cut; a real one has no other breaches."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Sample:
    """One strip: (M, N, 3) colours, (N,) state along its middle row; `fenced` if it has a fence.

    Without one the state is a gap, or not known: crowns may hide what there is.

    It is drawn `times` as often as another, and its `kind` of fence may add to that. `seen_m` is
    how far from its line a `real` fence, its lean and its shadow reach.
    """

    rgb: npt.NDArray[np.uint8]
    valid: npt.NDArray[np.bool_]
    state: npt.NDArray[np.int8]
    fenced: bool
    kind: str = ""
    times: int = 1
    real: bool = False
    seen_m: float = 0.0


def load_scene(folder: Path, times: int = 1) -> list[Sample]:
    """The strips of a generated scene along both fences, and beside them."""
    ortho = Orthophoto.open(folder / "ortho.tif")
    truth = folder / "truth.gpkg"
    lines = geopandas.read_file(truth, layer="fence_line").to_crs(ortho.crs)
    pieces, findings = read_condition(truth), read_findings(truth)
    crowns = geopandas.read_file(truth, layer="crowns").to_crs(ortho.crs)
    crowns = shapely.union_all(crowns.geometry.to_numpy())
    shapely.prepare(crowns)
    built = json.loads((folder / "scene.json").read_text())["fences"]
    kinds = {each["side"]: str(each["kind"]) for each in built}
    samples = []
    for row in lines.itertuples():
        side = Side(row.side)
        xy = np.array(shapely.get_coordinates(row.geometry))
        along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(xy, axis=0).T))])
        centre = Centre.of(Track(xy, along))
        state = np.full(len(centre.xy), IGNORE, np.int8)
        whole = shapely.LineString(centre.xy)

        def span(geometry: Any, whole: Any = whole) -> tuple[int, int]:
            ends = shapely.get_coordinates(geometry)[[0, -1]]
            at = shapely.line_locate_point(whole, shapely.points(ends)) / ALONG_M
            return round(float(min(at))), round(float(max(at)))

        for piece in pieces:
            if piece.side is not side or piece.route != row.route:
                continue
            first, last = span(_project(piece.geometry, ortho))
            code = {FenceState.INTACT: 0, FenceState.OBSCURED: 3}.get(piece.state, IGNORE)
            state[first:last] = code
        for finding in findings:
            if finding.kind is not FindingKind.BREACH or finding.side is not side:
                continue
            first, last = span(_project(finding.geometry, ortho))
            seen = finding.extra.get("visible_frac")
            hidden = seen is not None and float(seen) < 0.3
            code = {BreachType.GAP: 1, BreachType.COLLAPSED: 2}.get(
                finding.breach_type or BreachType.HOLE, IGNORE
            )
            state[first:last] = 3 if hidden and code > 0 else code
            # People cannot say to the decimetre where a breach begins, nor should the network.
            for end in (first, last):
                state[max(end - 1, 0) : end + 1] = IGNORE
        samples.append(_sample(ortho, centre, state, kinds.get(side.value, "")))
        for shift in (-_PARALLEL_M, _PARALLEL_M):
            beside = Centre(centre.chainage_m, centre.xy + shift * centre.normal, centre.normal)
            outward = shift * side.outward > 0
            if outward:
                under = shapely.dwithin(crowns, shapely.points(beside.xy), _CROWN_M)
                plain = _sample(ortho, beside, np.where(under, IGNORE, 1).astype(np.int8), None)
                if plain.valid.mean() > 0.8:
                    samples.append(plain)
    return [replace(sample, times=times) for sample in samples]


def load_ground(picture: Path, rng: np.random.Generator) -> list[Sample]:
    """Strips of a real picture that shows no fence, across it this way and that.

    Raises:
        InputError: if there is no room for one.
    """
    ortho = Orthophoto.open(picture)
    patch = ortho.read(None, ortho.gsd_m)
    height, width = patch.valid.shape
    samples: list[Sample] = []
    for _ in range(_GROUND_TRIES):
        pixel_m, angle = float(rng.uniform(*_GROUND_PIXEL_M)), float(rng.uniform(0, 2 * np.pi))
        length_m, middle = rng.uniform(27.0, 50.0), rng.uniform(0, 1, 2) * (width, height)
        along = np.array([[np.cos(angle), np.sin(angle)]]) / pixel_m
        across = along[:, ::-1] * (-1, 1)
        corners = [
            middle + i * length_m / 2 * along + j * _REACH_M * across
            for i in (-1, 1)
            for j in (-1, 1)
        ]
        inside = np.array(corners)
        if inside.min() < 0 or (inside > (width - 1, height - 1)).any():
            continue
        fine = np.arange(round(length_m / FINE_M)) * FINE_M - length_m / 2
        rgb, seen = _across(patch, middle + fine[:, None] * along, across)
        if seen.mean() < _GROUND_SEEN:
            continue
        state = np.full(len(seen[0]), IGNORE, np.int8)
        samples.append(Sample(rgb, seen, state, fenced=False))
        if len(samples) == _GROUND_STRIPS:
            break
    if not samples:
        raise InputError(picture, f"{width} by {height} pixels", "a picture with room for a strip")
    return samples


def load_real(folder: Path, times: int = 1) -> list[Sample]:
    """A real fence that stands from end to end, its strip as if the fence had several sizes.

    The folder is as `benchmarks/fence_stretches.py` has it: `ortho.tif`, and `fence_truth.geojson`
    with the line of the fence, the offsets between which it is seen, and where it is hidden.

    Raises:
        InputError: if there is no such line.
    """
    ortho = Orthophoto.open(folder / "ortho.tif")
    path = folder / "fence_truth.geojson"
    try:
        about = geopandas.read_file(path).iloc[0]
    except (OSError, RuntimeError, IndexError) as error:
        raise InputError(path, "no line to be read", "one traced fence") from error
    patch = ortho.read(None, ortho.gsd_m)
    line = _project(about.geometry, ortho)
    hidden = about.get("hidden", [])
    hidden = json.loads(hidden) if isinstance(hidden, str) else hidden
    seen_m = max(abs(float(about.get(name, 0.45))) for name in ("seen_from_m", "seen_to_m"))
    xy = shapely.get_coordinates(shapely.segmentize(line, 0.2))
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(xy, axis=0).T))])
    centre = Centre.of(Track(xy, along))
    samples = []
    for scale in _REAL_SCALES:
        step_m = ALONG_M / scale
        chainage = np.arange(0.0, along[-1], FINE_M / scale)
        at, normal = ([np.interp(chainage, centre.chainage_m, values[:, axis]) for axis in (0, 1)]
                      for values in (centre.xy, centre.normal))  # fmt: skip
        column, row = ~patch.affine * np.asarray(at)
        pixels = np.column_stack([column, row]) - 0.5
        across = np.column_stack([-normal[0], normal[1]]) / ortho.gsd_m / scale
        rgb, valid = _across(patch, pixels, across)
        # The corners a crop of a picture lacks take what is nearest, or no fence could be cut.
        nearest = distance_transform_edt(~valid, return_distances=False, return_indices=True)
        rgb, valid = rgb[tuple(nearest)], np.ones_like(valid)
        state = np.zeros(rgb.shape[1], np.int8)
        for first, last in hidden:
            state[max(0, int(first / step_m) - 3) : round(last / step_m) + 3] = IGNORE
        # A short fence goes on as its own mirror image until it fills a crop.
        more = ((0, 0), (0, max(0, CROP + 20 - len(state))))
        rgb, valid = np.pad(rgb, (*more, (0, 0)), "symmetric"), np.pad(valid, more, "symmetric")
        state = np.pad(state, more[1], "symmetric")
        kind = str(about.get("kind", "fence"))
        samples.append(Sample(rgb, valid, state, True, kind, times, True, seen_m * scale))
    return samples


def _across(
    patch: Any, middle: npt.NDArray[np.float64], across: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """A strip as in `Sample`; its middle (N, 2), every `FINE_M`, and a metre across, in pixels."""
    rows = (np.arange(_STRIP_ROWS) * FINE_M - _REACH_M)[:, None]
    x = (middle[:, 0] + rows * across[:, 0]).astype(np.float32)
    y = (middle[:, 1] + rows * across[:, 1]).astype(np.float32)
    seen = cv2.remap(patch.valid.astype(np.uint8), x, y, cv2.INTER_NEAREST)
    size = (round(len(middle) * FINE_M / ALONG_M), _STRIP_ROWS)
    rgb = cv2.remap(patch.rgb, x, y, cv2.INTER_LINEAR)
    rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
    return rgb, cv2.resize(seen, size, interpolation=cv2.INTER_NEAREST) > 0


def _project(geometry: Any, ortho: Orthophoto) -> Any:
    return shapely.transform(geometry, lambda lonlat: ortho.to_xy(lonlat))


def _sample(
    ortho: Orthophoto, centre: Centre, state: npt.NDArray[np.int8], kind: str | None
) -> Sample:
    parts, seen = [], []
    for first in range(0, len(centre.xy), 1600):
        last = min(first + 1600, len(centre.xy))
        strip = straighten(ortho, centre, first, last, _REACH_M)
        size = (last - first, _STRIP_ROWS)
        look = {"interpolation": cv2.INTER_AREA}
        parts.append(cv2.resize(strip.rgb, size, **look).astype(np.uint8))
        seen.append(cv2.resize(strip.valid.astype(np.uint8), size, **look) > 0)
    rgb, valid = np.concatenate(parts, axis=1), np.concatenate(seen, axis=1)
    return Sample(parked(rgb), parked(valid), state, kind is not None, kind or "")


# One crop, drawn from a strip


def draw(sample: Sample, rng: np.random.Generator) -> tuple[Floats, Floats, npt.NDArray[np.int64]]:
    """A crop: input (5, ROWS / 2, CROP), cell of the fence (CROP / 2) or NaN, state (CROP / 2)."""
    height, length = sample.rgb.shape[:2]
    first = int(rng.integers(0, max(1, length - CROP)))
    broken = np.flatnonzero((sample.state == 1) | (sample.state == 2))
    if len(broken) and rng.uniform() < _ON_BREACH:
        first = int(np.clip(rng.choice(broken) - rng.integers(0, CROP), 0, max(0, length - CROP)))
    along = np.arange(first, first + CROP) % (2 * length)
    along = np.minimum(along, 2 * length - 1 - along)  # a short strip goes on as its mirror image
    stretch_m = rng.uniform(15, 80)
    phase = rng.uniform(0, 2 * np.pi, 2)
    t = np.arange(CROP) * ALONG_M
    reach_m = min(2.6, rng.exponential(1.2))
    wander = reach_m * (
        rng.uniform(-1, 1)
        + rng.uniform(0, 0.5) * np.sin(2 * np.pi * t / stretch_m + phase[0])
        + 0.04 * np.sin(2 * np.pi * t / 7.0 + phase[1])
    )
    wander = np.clip(wander, -2.9, 2.9)
    middle = height / 2 + wander / FINE_M
    rows = (np.arange(ROWS)[:, None] - ROWS / 2 + middle[None, :]).astype(np.float32)
    columns = np.broadcast_to(along[None, :], rows.shape).astype(np.float32)
    rgb = cv2.remap(sample.rgb, columns, rows, cv2.INTER_LINEAR).astype(np.float32)
    valid = cv2.remap(sample.valid.astype(np.uint8), columns, rows, cv2.INTER_NEAREST) > 0
    state = np.asarray(sample.state[along], dtype=np.int64)
    row = (ROWS / 2 - wander / FINE_M - 0.5).astype(np.float32)
    if not sample.fenced:
        bare = (state != IGNORE).any() and rng.uniform() < 0.2
        if valid.mean() > 0.9 and not bare:
            rgb, row, state = paint_fence(rgb, rng)
        else:
            # Ground without a fence is a gap from end to end, wherever one looks.
            row = np.full(CROP, np.nan, np.float32)
            state = np.where(valid[ROWS // 4 : -ROWS // 4].all(axis=0), state, IGNORE)
    elif valid.mean() > 0.9:
        if rng.uniform() < (_CUT_OUT_REAL if sample.real else _CUT_OUT):
            away = np.float32(rng.uniform(3.0, 5.0) / FINE_M)
            above, below = ((rows + step).clip(0, height - 1) for step in (-away, away))
            seen = sample.valid.astype(np.uint8)
            known = [
                cv2.remap(seen, columns, each, cv2.INTER_NEAREST).mean() for each in (above, below)
            ]
            if min(known) > 0.98:
                sides = (
                    cv2.remap(sample.rgb, columns, above, cv2.INTER_LINEAR).astype(np.float32),
                    cv2.remap(sample.rgb, columns, below, cv2.INTER_LINEAR).astype(np.float32),
                )
                cut_out(rgb, sides, row, state, rng, sample.seen_m)
        if rng.uniform() < 0.2:
            lay_foot(rgb, row, rng)
        if rng.uniform() < 0.2:
            grow_cover(rgb, row, state, rng)
    if rng.uniform() < 0.5:
        rgb, valid, row = rgb[::-1], valid[::-1], ROWS - 1 - row
    if rng.uniform() < 0.5:
        rgb, valid, row, state = rgb[:, ::-1], valid[:, ::-1], row[::-1], state[::-1]
    rgb = disturb(np.ascontiguousarray(rgb), rng)
    inputs = network_input(rgb, np.ascontiguousarray(valid))
    pairs = state.reshape(-1, 2)
    state = np.where(pairs[:, 0] == pairs[:, 1], pairs[:, 0], IGNORE)
    row = row.reshape(-1, 2).mean(axis=1)
    return inputs, (row / 4 - 0.375).astype(np.float32), state
