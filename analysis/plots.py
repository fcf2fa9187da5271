"""Plots: ground that people cultivate beside the road, told by its rows.

Windows with rows (`analysis.rows`) that touch and agree in period and direction make a plot. Its
outline follows the strength of just that wave, pixel by pixel: where it falls below half of what it
is inside, the plot ends.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt
import shapely
from affine import Affine

from analysis.beds import beds
from analysis.raster import Orthophoto
from analysis.rows import Octave, RowWindow, octaves, row_windows, signals
from corridor import Boundary, Progress, Track, silent
from corridor.findings import Finding, FindingKind
from corridor.values import FloatArray

# A window holds rows from these on: false-alarm control on pictures without plots (docs/plots.md).
_LEAST_RING = 10.0
_LEAST_SPOKE = 8.0
# Rows of plants differ from the soil between them in colour too; corrugated roofs and shadows of
# railings do not.
_LEAST_COLOUR = 5.0
# Plants have texture along their rows too; rails, kerbs, painted lines and roof sheets have none.
_LEAST_GRAIN = 0.12
_LEAST_WINDOWS = 4
# Beds and rows are laid out to be reached across; what repeats more widely is posts, their shadows,
# or an orchard.
_WIDEST_PERIOD_M = 1.8
# Neighbouring windows see the same rows if they agree to this.
_AGREE_RAD = np.radians(12.0)
_AGREE_LOG_PERIOD = 0.15

# Two or three parallel lines (road markings, ruts, pipes) are no rows yet.
_LEAST_ROWS = 2.6
# Of soil and plants neither covers less than this; painted lines on asphalt do.
_LEAST_MIX_FRAC = 0.12
_LEAST_AREA_M2 = 8.0
_LEAST_CONFIDENCE = 0.5
# Beside plots, rows that run alike need be only so clear, and are that much likelier (log odds).
_BESIDE_FRAC = 0.5
_BESIDE_BONUS = 1.5
_BESIDE_M = 6.0
_ALIGNED_RAD = np.radians(8.0)
_ROUNDS = 3
# Two finds are one bed if no gap is between them and together they fill one rectangle.
_SEAM_M = 0.25
_IN_LINE_FRAC = 0.88
# A wave must stand out from waves of the same period in other directions, pixel by pixel.
_LEAST_CONTRAST = 1.5


@dataclass(frozen=True)
class Plot:
    """Cultivated ground.

    Attributes:
        outline: in the picture's CRS.
        period_m: from row to row.
        along_rad: direction of the rows, counter-clockwise from the picture's east, 0 to pi.
        confidence: 0 to 1.
        inside_loop: whether it lies inside the loop of a ramp.
        evidence: cue to strength.
    """

    outline: shapely.Polygon
    period_m: float
    along_rad: float
    confidence: float
    inside_loop: bool
    evidence: dict[str, float]

    @property
    def area_m2(self) -> float:
        """Its area."""
        return float(self.outline.area)


def find_plots(
    ortho: Orthophoto,
    area: shapely.Geometry,
    *,
    loops: shapely.Geometry | None = None,
    progress: Progress = silent,
) -> list[Plot]:
    """Finds plots.

    Args:
        ortho: the picture; rows must be four of its pixels apart or more.
        area: where to look, in the picture's CRS.
        loops: the insides of loop ramps (`loop_insides`), for `Plot.inside_loop`.
        progress: told of working resolutions done.
    """
    levels = octaves(ortho)
    parts = shapely.get_parts(area)
    shown: list[tuple[Octave, shapely.Geometry, list[RowWindow]]] = []
    for number, octave in enumerate(levels):
        progress(number, len(levels), "plots")
        for part in parts:
            windows = [w for w in row_windows(ortho, octave, part) if _has_rows(w, _BESIDE_FRAC)]
            shown.append((octave, part, windows))
    progress(len(levels), len(levels), "plots")
    found: list[Plot] = []
    for octave, part, windows in shown:
        for group in _groups([window for window in windows if _has_rows(window)]):
            found += _outlined(ortho, octave, group, part, loops)
    found = _whole(_distinct(found))
    # Beds come in groups laid out alike: beside some, less is needed to tell the next.
    for _ in range(_ROUNDS):
        more: list[Plot] = []
        for octave, part, windows in shown:
            for group in _groups(_beside_plots(octave, windows, found)):
                more += _outlined(ortho, octave, group, part, loops, beside=True)
        after = _whole(_distinct([*found, *more], first=len(found)))
        if len(after) == len(found):
            break
        found = after
    return found


def plot_findings(
    ortho: Orthophoto, plots: Sequence[Plot], boundaries: Sequence[Boundary] = ()
) -> list[Finding]:
    """Plots as findings, with the station beside them where a boundary is within 100 m."""
    tracks = [
        (boundary, ortho.track(boundary, part))
        for boundary in boundaries
        for part in range(len(boundary.parts))
    ]
    findings = []
    for number, plot in enumerate(plots, 1):
        boundary, chainage = _beside(plot, tracks)
        outline = shapely.transform(plot.outline, ortho.to_lonlat)
        findings.append(
            Finding(
                finding_id=f"F{number:03d}",
                kind=FindingKind.PLOT,
                geometry=outline,
                confidence=round(plot.confidence, 3),
                severity=3 if plot.inside_loop else 2,
                route=boundary.route if boundary else "",
                side=boundary.side if boundary else None,
                chainage_start_m=chainage[0] if chainage else None,
                chainage_end_m=chainage[1] if chainage else None,
                evidence={cue: round(value, 3) for cue, value in plot.evidence.items()},
                extra={
                    "area_m2": round(plot.area_m2, 1),
                    "row_period_m": round(plot.period_m, 3),
                    "row_direction_deg": round(float(np.degrees(plot.along_rad)), 1),
                    "inside_loop": plot.inside_loop,
                },
            )
        )
    return findings


# From windows to plots


def _has_rows(window: RowWindow, frac: float = 1.0) -> bool:
    return (
        window.ring >= frac * _LEAST_RING
        and window.spoke >= frac * _LEAST_SPOKE
        and window.colour >= frac * _LEAST_COLOUR
        and window.grain >= _LEAST_GRAIN
        and window.period_m <= _WIDEST_PERIOD_M
    )


def _groups(windows: Sequence[RowWindow]) -> list[list[RowWindow]]:
    """Windows that touch and agree, in groups of at least `_LEAST_WINDOWS`."""
    at = {(window.row, window.column): window for window in windows}
    left = set(at)
    groups = []
    for first in sorted(at):
        if first not in left:
            continue
        left.discard(first)
        group, waiting = [], [first]
        while waiting:
            place = waiting.pop()
            group.append(at[place])
            for down, right in itertools.product((-1, 0, 1), repeat=2):
                other = (place[0] + down, place[1] + right)
                if other in left and _agree(at[place], at[other]):
                    left.discard(other)
                    waiting.append(other)
        if len(group) >= _LEAST_WINDOWS:
            groups.append(group)
    return groups


def _agree(one: RowWindow, other: RowWindow) -> bool:
    turn = abs(one.along_rad - other.along_rad)
    return (
        min(turn, np.pi - turn) <= _AGREE_RAD
        and abs(np.log(one.period_m / other.period_m)) <= _AGREE_LOG_PERIOD
    )


def _outlined(
    ortho: Orthophoto,
    octave: Octave,
    group: Sequence[RowWindow],
    area: shapely.Geometry,
    loops: shapely.Geometry | None,
    *,
    beside: bool = False,
) -> list[Plot]:
    """The plots that a group of windows stands for, outlined; `beside` others laid out alike."""
    weight = np.array([window.spoke for window in group])
    double = np.exp(2j * np.array([window.along_rad for window in group]))
    along_rad = float(np.angle((weight * double).sum()) / 2 % np.pi)
    period_m = float(np.exp(np.average(np.log([w.period_m for w in group]), weights=weight)))
    middles = np.array([octave.centre(window.row, window.column) for window in group])
    margin_m = octave.window_m
    low, high = middles.min(axis=0) - margin_m, middles.max(axis=0) + margin_m
    patch = ortho.read((low[0], low[1], high[0], high[1]), octave.gsd_m)
    wave_px = period_m / octave.gsd_m
    strength, contrast = np.zeros(patch.valid.shape), np.zeros(patch.valid.shape)
    light, colour = signals(patch)
    for signal in (light, colour):
        own, others = _wave_strength(signal, patch.valid, along_rad, wave_px)
        ratio = own / np.maximum(others, 1e-9)
        strength = np.where(ratio > contrast, own, strength)
        contrast = np.maximum(contrast, ratio)
    # Rows are made of plants: the amplitude is smoothed over a period before it is judged.
    level = cv2.GaussianBlur(strength, (0, 0), 0.5 * wave_px)
    fits = (contrast > _LEAST_CONTRAST) & patch.valid
    plots = []
    for outline, filled in beds(level, fits, patch.affine, along_rad, period_m, middles):
        cut = shapely.intersection(outline, area)
        for polygon in shapely.get_parts(cut):
            if polygon.geom_type != "Polygon" or polygon.area < _LEAST_AREA_M2:
                continue
            across_m, _ = _extents(polygon, along_rad)
            if across_m < _LEAST_ROWS * period_m:
                continue
            mix = _mix_frac(colour, polygon, patch.affine)
            if mix < _LEAST_MIX_FRAC:
                continue
            evidence = _evidence(group, filled, mix)
            if beside:
                evidence["beside_plots"] = 1.0
            if _confidence(evidence) < _LEAST_CONFIDENCE:
                continue
            plots.append(
                Plot(
                    outline=polygon,
                    period_m=period_m,
                    along_rad=along_rad,
                    confidence=_confidence(evidence),
                    inside_loop=loops is not None
                    and shapely.intersection(polygon, loops).area > 0.5 * polygon.area,
                    evidence=evidence,
                )
            )
    return plots


def _wave_strength(
    signal: npt.NDArray[np.float32],
    valid: npt.NDArray[np.bool_],
    along_rad: float,
    wave_px: float,
) -> tuple[FloatArray, FloatArray]:
    """Local amplitude of the wave across the rows, and the mean of those in other directions."""
    filled = np.where(valid, signal, signal[valid].mean() if valid.any() else 0.0)
    sigma = 0.9 * wave_px
    smooth = cv2.GaussianBlur(filled, (0, 0), 1.5 * wave_px)
    flat = (filled - smooth).astype(np.float32)
    size = int(np.ceil(3 * sigma))
    y, x = np.mgrid[-size : size + 1, -size : size + 1].astype(np.float64)
    envelope = np.exp(-(x**2 + y**2) / (2 * sigma**2))
    envelope /= envelope.sum()
    amplitudes = []
    for turn in (0.0, np.pi / 4, np.pi / 2, 3 * np.pi / 4):
        across = along_rad + np.pi / 2 + turn
        # Image rows run south.
        phase = 2 * np.pi / wave_px * (np.cos(across) * x - np.sin(across) * y)
        even, odd = envelope * np.cos(phase), envelope * np.sin(phase)
        even -= envelope * even.sum()
        real = cv2.filter2D(flat, cv2.CV_32F, even.astype(np.float32))
        imaginary = cv2.filter2D(flat, cv2.CV_32F, odd.astype(np.float32))
        amplitudes.append(np.hypot(real, imaginary).astype(np.float64))
    return amplitudes[0], np.mean(amplitudes[1:], axis=0)


def _extents(polygon: shapely.Polygon, along_rad: float) -> tuple[float, float]:
    """Width across and length along the rows, of the middle nine tenths of its area's points."""
    xy = shapely.get_coordinates(shapely.segmentize(polygon, 0.25))
    out = []
    for angle in (along_rad + np.pi / 2, along_rad):
        out.append(float(np.ptp(xy @ np.array([np.cos(angle), np.sin(angle)]))))
    return out[0], out[1]


def _evidence(group: Sequence[RowWindow], filled: float, mix: float) -> dict[str, float]:
    return {
        "rows": float(np.median([window.spoke for window in group])),
        "plants_and_soil": float(np.median([window.colour for window in group])),
        "regular_outline": filled,
        "mix": mix,
        "grain": float(np.median([window.grain for window in group])),
        "windows": float(len(group)),
    }


def _mix_frac(colour: npt.NDArray[np.float32], polygon: shapely.Polygon, affine: Affine) -> float:
    """The share of the lesser of two colours in an outline, split by Otsu's threshold."""
    column, row = ~affine @ tuple(shapely.get_coordinates(polygon).T)
    inside = np.zeros(colour.shape, np.uint8)
    cv2.fillPoly(inside, [np.column_stack([column, row]).astype(np.int32)], 1)
    values = colour[inside > 0]
    if not len(values):
        return 0.0
    low, high = np.percentile(values, [0.5, 99.5])
    scaled = np.clip((values - low) / max(high - low, 1e-9) * 255, 0, 255).astype(np.uint8)
    threshold, _ = cv2.threshold(scaled, 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    share = float((scaled > threshold).mean())
    return min(share, 1.0 - share)


def _confidence(evidence: dict[str, float]) -> float:
    """A logistic of what speaks for a plot; see docs/plots.md for how far it is calibrated."""
    score = (
        0.35 * (evidence["rows"] - _LEAST_SPOKE - 3.0)
        + 1.0 * np.log(evidence["windows"] / _LEAST_WINDOWS)
        + 2.0 * (evidence["regular_outline"] - 0.5)
        + 0.7 * np.log(max(evidence["grain"], 0.05) / 0.4)
        + _BESIDE_BONUS * evidence.get("beside_plots", 0.0)
    )
    return float(1.0 / (1.0 + np.exp(-score)))


def _beside_plots(
    octave: Octave, windows: Sequence[RowWindow], plots: Sequence[Plot]
) -> list[RowWindow]:
    """The windows near plots, but not on one, whose rows run as theirs do or straight across."""
    kept = []
    for window in windows:
        middle = shapely.Point(octave.centre(window.row, window.column))
        near = [plot for plot in plots if shapely.dwithin(plot.outline, middle, _BESIDE_M)]
        if any(shapely.contains(plot.outline, middle) for plot in near):
            continue
        for plot in near:
            turn = (window.along_rad - plot.along_rad) % (np.pi / 2)
            if min(turn, np.pi / 2 - turn) <= _ALIGNED_RAD:
                kept.append(window)
                break
    return kept


def _distinct(plots: Sequence[Plot], first: int = 0) -> list[Plot]:
    """Plots that do not overlap: of two on the same ground the surer one.

    Args:
        plots: all of them.
        first: so many at the beginning are kept before others.
    """
    kept: list[Plot] = []
    order = sorted(
        range(len(plots)), key=lambda n: (n >= first, -plots[n].confidence, -plots[n].area_m2)
    )
    for plot in (plots[n] for n in order):
        smaller = [min(plot.area_m2, other.area_m2) for other in kept]
        shared = [float(shapely.intersection(plot.outline, other.outline).area) for other in kept]
        if all(s < 0.3 * a for s, a in zip(shared, smaller, strict=True)):
            kept.append(plot)
    return kept


def _whole(plots: Sequence[Plot]) -> list[Plot]:
    """The plots, pieces of one bed put together: rows alike, end to end, edges in line."""
    left = list(plots)
    while True:
        pair = next(
            (
                (i, j)
                for i, j in itertools.combinations(range(len(left)), 2)
                if _one_bed(left[i], left[j])
            ),
            None,
        )
        if pair is None:
            return left
        one, other = left[pair[0]], left[pair[1]]
        surer = max(one, other, key=lambda plot: plot.confidence)
        both = shapely.union(one.outline, other.outline)
        outline = shapely.Polygon(
            shapely.get_exterior_ring(shapely.minimum_rotated_rectangle(both))
        )
        left[pair[0]] = replace(surer, outline=outline)
        del left[pair[1]]


def _one_bed(one: Plot, other: Plot) -> bool:
    turn = abs(one.along_rad - other.along_rad)
    if min(turn, np.pi - turn) > _ALIGNED_RAD or not shapely.dwithin(
        one.outline, other.outline, _SEAM_M
    ):
        return False
    if abs(np.log(one.period_m / other.period_m)) > _AGREE_LOG_PERIOD:
        return False
    both = shapely.union(one.outline, other.outline)
    around = shapely.minimum_rotated_rectangle(both)
    return bool(shapely.area(both) >= _IN_LINE_FRAC * shapely.area(around))


def _beside(
    plot: Plot, tracks: Sequence[tuple[Boundary, Track]]
) -> tuple[Boundary | None, tuple[float, float] | None]:
    best: tuple[float, Boundary | None, tuple[float, float] | None] = (100.0, None, None)
    corners = shapely.get_coordinates(plot.outline)
    for boundary, track in tracks:
        chainage_m, offset_m = track.locate(corners)
        away_m = float(np.abs(offset_m).min())
        if away_m < best[0]:
            best = (away_m, boundary, (float(chainage_m.min()), float(chainage_m.max())))
    return best[1], best[2]
