"""How much of a footpath can be seen in the picture."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import shapely
from scipy.ndimage import gaussian_filter, map_coordinates, uniform_filter1d

from scenes import elements
from scenes.boxes import footprint
from scenes.colour import EXPOSURE, lab
from scenes.crowns import heights_at
from scenes.footpaths import Footpath
from scenes.grid import Window
from scenes.layout import Layout
from scenes.lines import FloatArray
from scenes.render import Renderer
from scenes.strokes import paint_stroke

_PX_M = 0.1
_STEP_M = 0.5
_TOGETHER = 7  # samples along the path that an eye takes together: 3.5 m
_LEAST = 2.5  # CIELAB units: about what an eye finds between two fields that do not touch
_ABOVE_TEXTURE = 0.9  # times the ground's own unevenness: set on paths looked at, seen or not
_CLEAR_M = 0.3  # a crown lower than this hides nothing


@dataclass(frozen=True)
class Sight:
    """How a footpath is seen.

    Attributes:
        visible_frac: share of its length that nothing stands over, and that differs from the ground
            on both of its sides by more than an eye needs and than that ground differs from itself.
        contrast: by how much it differs (CIELAB, median over what nothing stands over); 0 if all of
            it is hidden.
        stretches: [start, end) in metres along its line, in order: what of it is seen.
    """

    visible_frac: float
    contrast: float
    stretches: tuple[tuple[float, float], ...]

    def seen_frac(self, start_m: float, end_m: float) -> float:
        """The share that is seen of a piece of the line, start < end."""
        seen_m = sum(max(0.0, min(b, end_m) - max(a, start_m)) for a, b in self.stretches)
        return seen_m / (end_m - start_m)


def look_at(layout: Layout) -> list[Sight]:
    """How each of a scene's paths is seen, in order."""
    renderer = Renderer.of(replace(layout, uprights=elements.as_array([])))
    return [_look(layout, renderer, path) for path in layout.paths]


def _look(layout: Layout, renderer: Renderer, path: Footpath) -> Sight:
    station = np.arange(_STEP_M / 2, path.line.length_m, _STEP_M)
    foot, left = path.line.at(station), path.line.left_at(station)
    low, high = foot.min(axis=0) - 4.0, foot.max(axis=0) + 4.0
    west, south = (math.floor(v) for v in low)
    east, north = (math.ceil(v) for v in high)
    size = round((east - west) / _PX_M), round((north - south) / _PX_M)
    window = Window(west, north, _PX_M, 0, 0, *size)
    here = tuple(s for s in layout.strokes if window.part(*s.bounds_m) is not None)
    own = [k for k, stroke in enumerate(here) if stroke.line is path.line] or [len(here)]
    texture = renderer.texture(window)
    without = renderer.albedo(window, texture, here[: own[0]])
    drawn = without.copy()
    for k, stroke in enumerate(here[own[0] :], own[0]):
        paint_stroke(drawn, window, texture, stroke)
        if k not in own:
            paint_stroke(without, window, texture, stroke)
    half, exposure = 0.5 * path.width_m, EXPOSURE * layout.mosaic.exposure
    worn = _apart(lab(drawn, exposure), window, foot, left, half)
    lightness = lab(without, exposure)[..., 0]
    least = np.maximum(_LEAST, _ABOVE_TEXTURE * _texture(lightness, window, foot))
    crowns, houses = layout.crowns_seen, layout.boxes
    crowns = crowns[_within(crowns, crowns[:, 2] * 1.45 + 0.3, low, high)]
    hidden = heights_at(foot, np.ascontiguousarray(crowns)) > _CLEAR_M
    for row in houses[_within(houses, np.hypot(houses[:, 2], houses[:, 3]), low, high)]:
        house = shapely.Polygon(footprint(row))
        if house.distance(shapely.MultiPoint(foot)) == 0.0:
            hidden |= shapely.contains_xy(house, foot[:, 0], foot[:, 1])
    if hidden.all():
        return Sight(0.0, 0.0, ())
    seen = (worn >= least) & ~hidden
    return Sight(
        visible_frac=float(seen.mean()),
        contrast=float(np.median(worn[~hidden])),
        stretches=stretches_of(seen, path.line.length_m),
    )


def stretches_of(seen: npt.NDArray[np.bool_], length_m: float) -> tuple[tuple[float, float], ...]:
    """Stretches [start, end) in metres along a line of which every sample is seen.

    Args:
        seen: (N,) of every 0.5 m, each in the middle of what it stands for.
        length_m: of the line; its last sample stands for all up to there.
    """
    cuts_m = np.append(_STEP_M * np.arange(len(seen)), length_m)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], seen.astype(np.int8), [0]])))
    return tuple((float(cuts_m[a]), float(cuts_m[b])) for a, b in edges.reshape(-1, 2))


def _within(
    rows: FloatArray, reach_m: FloatArray, low: FloatArray, high: FloatArray
) -> npt.NDArray[np.bool_]:
    """Which things about the places in the first two columns may reach into a rectangle."""
    reach = reach_m[:, None]
    return np.asarray(((rows[:, :2] + reach > low) & (rows[:, :2] - reach < high)).all(axis=1))


def _apart(
    picture: npt.NDArray[np.float64],
    window: Window,
    foot: FloatArray,
    left: FloatArray,
    half_m: float,
) -> npt.NDArray[np.float64]:
    """(N,) how far the colour along a line is from that on its more similar side."""

    def beside(offsets_m: tuple[float, ...]) -> npt.NDArray[np.float64]:
        total = np.zeros((len(foot), 3))
        for offset_m in offsets_m:
            x, y = (foot + offset_m * left).T
            where = [(window.top_m - y) / _PX_M - 0.5, (x - window.left_m) / _PX_M - 0.5]
            for c in range(3):
                total[:, c] += map_coordinates(picture[..., c], where, order=1, mode="nearest")
        mean = total / len(offsets_m)
        return np.asarray(uniform_filter1d(mean, _TOGETHER, axis=0, mode="nearest"))

    core = beside((-0.5 * half_m, 0.0, 0.5 * half_m))
    sides = [
        beside(tuple(sign * (half_m + gap) for gap in (0.4, 0.7, 1.0))) for sign in (-1.0, 1.0)
    ]
    return np.minimum(*(np.linalg.norm(core - side, axis=1) for side in sides))


def _texture(
    lightness: npt.NDArray[np.float64], window: Window, foot: FloatArray
) -> npt.NDArray[np.float64]:
    """(N,) standard deviation of lightness within 1.5 m, of what is finer than half a metre."""
    fine = lightness - gaussian_filter(lightness, 0.5 / _PX_M)
    spread = np.sqrt(gaussian_filter(fine * fine, 1.5 / _PX_M))
    where = [(window.top_m - foot[:, 1]) / _PX_M - 0.5, (foot[:, 0] - window.left_m) / _PX_M - 0.5]
    return np.asarray(map_coordinates(spread, where, order=1, mode="nearest"))
