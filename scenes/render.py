"""Draws windows of a scene's orthophoto and height models."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from numba import njit

from scenes.boxes import box_heights, paint_boxes
from scenes.colour import EXPOSURE
from scenes.crowns import canopy, sunlight_through
from scenes.develop import average, blur, develop
from scenes.grid import Window
from scenes.layout import Layout
from scenes.lines import FloatArray, Line, to_window
from scenes.materials import Material
from scenes.noise import Float32Array, add_octave, fractal
from scenes.paint import blend_material, paint_elements, shade_elements
from scenes.speckle import scatter
from scenes.strokes import Stroke, paint_stroke
from scenes.terrain import lit

ByteArray = npt.NDArray[np.uint8]
Paint = Callable[[Float32Array, Material], None]

_FIELD_PX_M = 0.5  # smooth fields of distance are computed this coarsely and interpolated
_HEIGHT_PX_M = 0.1
_LEAF_PX_M = 0.05
_HALO_PX = 4  # of the optical blur
# Fine, middle and coarse lightness, middle and coarse tint: from, to, and how octaves grow.
_TEXTURES = (
    (0.01, 0.08, -0.6), (0.08, 0.64, -0.45), (1.28, 20.48, 0.25), (0.08, 0.64, 0.15),
    (1.28, 20.48, 0.25),
)  # fmt: skip
_LEAVES = (0.04, 0.32, 0.15)  # sprays of leaves, as above
_FINEST_PX_M = 0.0251  # coarser pictures are drawn this finely and averaged


@dataclass(frozen=True)
class Renderer:
    """Draws any window of a scene; windows fit together without a seam.

    Attributes:
        uprights: (M, 16) elements; lean, shadow: (M, 2) metres per metre of height, in the picture
            and on the ground's own slope; reach_m: (M,) how far from its foot each is seen.
    """

    layout: Layout
    uprights: FloatArray
    lean: FloatArray
    shadow: FloatArray
    reach_m: FloatArray
    seed: int

    @classmethod
    def of(cls, layout: Layout) -> Renderer:
        """A renderer with what is shared by all windows prepared."""
        uprights = layout.uprights
        middle = (uprights[:, 0:2] + uprights[:, 2:4]) / 2
        lean = layout.mosaic.lean(middle)
        flat = np.array(layout.sun.shadow_per_m)
        length = math.hypot(*flat)
        rise = layout.terrain.slopes_at(middle) @ (flat / length)
        # Where the ground rises away from the sun the shadow is shorter.
        shadow = flat / length / np.maximum(1.0 / length + rise, 0.15)[:, None]
        farthest = np.maximum(np.hypot(*lean.T), np.hypot(*shadow.T)) * uprights[:, 6]
        span = np.hypot(*(uprights[:, 2:4] - uprights[:, 0:2]).T) + np.hypot(*uprights[:, 12:14].T)
        seed = int(layout.spec.chance("texture").integers(2**30))
        return cls(layout, uprights, lean, shadow, farthest + span + 1.0, seed)

    def ortho(self, window: Window) -> ByteArray:
        """The picture as (4, height, width) red, green, blue, alpha."""
        mask = np.where(self.layout.site.inside(window), 255, 0).astype(np.uint8)
        out = np.zeros((4, window.height, window.width), np.uint8)
        if not mask.any():
            return out
        rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        top, bottom, left, right = rows[0], rows[-1] + 1, cols[0], cols[-1] + 1
        used = replace(
            window, col=window.col + int(left), row=window.row + int(top),
            width=int(right - left), height=int(bottom - top),
        )  # fmt: skip
        out[:, top:bottom, left:right] = self._draw(used, mask[top:bottom, left:right])
        return out

    def _draw(self, window: Window, mask: ByteArray) -> ByteArray:
        out = np.zeros((4, window.height, window.width), np.uint8)
        factor = max(1, math.ceil(window.px_m / _FINEST_PX_M))
        radiance = self._radiance(window.grown(_HALO_PX).finer(factor))
        if factor > 1:
            radiance = average(radiance, factor)
        mosaic = self.layout.mosaic
        radiance = blur(radiance, mosaic.blur_px, mosaic.sharpening, _HALO_PX)
        grain = np.zeros(mask.shape, np.float32)
        add_octave(grain, window, 1.4 * window.px_m, 1.0, mosaic.seed + 99)
        gains = np.stack(mosaic.gains(window))
        out[3] = mask
        exposure = EXPOSURE * mosaic.exposure
        develop(radiance, grain, gains, exposure, mosaic.haze, mosaic.noise, mask, out)
        return out

    def ground(self, window: Window) -> Float32Array:
        """Bare ground in metres above the sea, (height, width)."""
        return self.layout.terrain.heights(window)

    def surface(self, window: Window) -> Float32Array:
        """The highest surface in metres above the sea, (height, width)."""
        objects = canopy(window, self.layout.crowns).heights
        if len(self.layout.boxes):
            objects = np.maximum(objects, box_heights(window, self.layout.boxes))
        return self.ground(window) + objects

    def albedo(
        self, window: Window, texture: Float32Array, strokes: Sequence[Stroke]
    ) -> Float32Array:
        """Reflectance of the ground, (height, width, 3), with the bands given."""
        return self._lay(window, texture, strokes)[0]

    def texture(self, window: Window) -> Float32Array:
        """(5, height, width) noise that materials are drawn with, see `blend_material`."""
        texture = np.zeros((5, window.height, window.width), np.float32)
        for k, (finest_m, coarsest_m, slope) in enumerate(_TEXTURES):
            fractal(texture[k], window, finest_m, coarsest_m, slope, self.seed + k + 1)
        return texture

    def _lay(
        self, window: Window, texture: Float32Array, strokes: Sequence[Stroke]
    ) -> tuple[Float32Array, Paint]:
        layout, seed = self.layout, self.seed
        albedo = np.zeros((window.height, window.width, 3), np.float32)

        def paint(alpha: Float32Array, material: Material) -> None:
            base, lightness, tint, amounts = material.arrays
            blend_material(albedo, alpha, base, texture, lightness, tint, amounts)

        self._ground(window, texture, paint)
        for k, kind in enumerate(layout.speckles):
            scatter(albedo, window, texture, kind, seed + 5000 * (k + 1))
        for stroke in strokes:
            paint_stroke(albedo, window, texture, stroke)
        return albedo, paint

    def _radiance(self, window: Window) -> Float32Array:
        layout = self.layout
        texture = self.texture(window)
        albedo, paint = self._lay(window, texture, layout.strokes)
        sun, tops = self._sunlight(window)
        near = self._near(window)
        x0, y0, px_m = window.x_m(0), window.y_m(0), window.px_m
        elements = np.ascontiguousarray(self.uprights[near])
        shade_elements(sun, x0, y0, px_m, elements, np.ascontiguousarray(self.shadow[near]))
        paint_elements(albedo, sun, x0, y0, px_m, elements, np.ascontiguousarray(self.lean[near]))
        sky = np.ones(sun.shape, np.float32)
        if len(layout.boxes):
            towards = _towards(layout.sun.azimuth_deg, layout.sun.elevation_deg)
            rows = np.hstack([layout.boxes, layout.boxes_lean])
            paint_boxes(albedo, sun, tops, window, texture, rows, towards)
        self._crowns(window, texture, paint, sun, tops, sky)
        direct = layout.sun.direct_frac
        # Sunlight is warmer and skylight bluer than their mixture, to which cameras balance.
        sunlight = np.array([1.0 + 0.14 * (1 - direct), 1.0, 1.0 - 0.22 * (1 - direct)]) * direct
        skylight = np.array([1.0 - 0.14 * direct, 1.0, 1.0 + 0.22 * direct]) * (1.0 - direct)
        for c in range(3):
            albedo[..., c] *= sun * np.float32(sunlight[c]) + sky * np.float32(skylight[c])
        return albedo

    def _ground(self, window: Window, texture: Float32Array, paint: Paint) -> None:
        layout, palette = self.layout, self.layout.palette
        # Where the ground is even, one growth merges into the next.
        even = np.float32(min(1.0, 0.4 + 0.2 * palette.contrast))
        rough = even * (np.float32(0.35) * texture[1] + np.float32(0.22) * texture[0])
        paint(np.ones(rough.shape, np.float32), palette.wild)
        for fence, inside, outside in zip(
            layout.fences, layout.inside, layout.outside, strict=True
        ):
            found = self._field(fence.line, window, 400.0)
            if found is None:
                continue
            away = fence.side.outward * found
            if inside is not None:
                paint(_ramp(0.25 * rough - away, 0.1, 0.4), inside)
            if outside is not None:
                paint(_ramp(away + 0.3 * rough + 0.5 * texture[2], 0.3, 0.9), outside)
        patches = (
            (palette.dry, palette.dry_frac, texture[4], texture[2], 1.6, 0.85),
            (palette.lush, palette.lush_frac, texture[4], -texture[2], 1.4, 0.75),
            (palette.thin, palette.bare_frac, -texture[4], texture[2], palette.bare_soft, 0.9),
            (palette.snow, palette.snow_frac, texture[2], 0.6 * texture[4], 0.9, 0.95),
        )
        for material, frac, one, other, soft, most in patches:
            if frac > 0.005:
                level = 0.75 * one + 0.55 * other + rough
                start = _quantile(1.0 - min(frac, 0.95))
                paint(_ramp(level, start - soft / 2, start + soft / 2) * np.float32(most), material)

    def _sunlight(self, window: Window) -> tuple[Float32Array, Float32Array]:
        """Share of direct sunlight at every pixel on the ground, and on the tops of crowns."""
        layout = self.layout
        sun = layout.sun
        coarse = window.coarse(_HEIGHT_PX_M, 0.0)
        light = layout.terrain.sunlight(coarse, sun.azimuth_deg, sun.elevation_deg)
        shadow_x, shadow_y = sun.shadow_per_m
        reach = math.hypot(shadow_x, shadow_y)
        top_m = max([0.0, *layout.crowns[:, 3], *layout.boxes[:, 7]])
        margin = int(top_m * reach / _HEIGHT_PX_M) + 2
        area = coarse.grown(margin)
        objects = canopy(area, layout.crowns_seen).heights
        if len(layout.boxes):
            objects = np.maximum(objects, box_heights(area, layout.boxes))
        if not objects.any():
            on_ground = to_window(light.astype(np.float32), coarse, window)
            return on_ground, on_ground
        ground, tops = sunlight_through(
            objects, margin, -shadow_x / reach, shadow_y / reach, _HEIGHT_PX_M / reach, 0.05
        )
        return (
            to_window((light * ground).astype(np.float32), coarse, window),
            to_window(tops, coarse, window),
        )

    def _crowns(
        self, window: Window, texture: Float32Array, paint: Paint, sun: Float32Array,
        tops: Float32Array, sky: Float32Array,
    ) -> None:  # fmt: skip
        layout = self.layout
        coarse = window.coarse(_LEAF_PX_M, 0.0)
        crowns = canopy(coarse.grown(1), layout.crowns_seen)
        if crowns.rim.max() <= -0.9:
            return
        step = np.float32(2.0 * _LEAF_PX_M)
        east = (crowns.top[1:-1, 2:] - crowns.top[1:-1, :-2]) / step
        north = (crowns.top[:-2, 1:-1] - crowns.top[2:, 1:-1]) / step
        # Leaves scatter light: the slope of the crown's skin counts for less than half.
        facing = lit(
            0.4 * np.clip(east, -3, 3), 0.4 * np.clip(north, -3, 3),
            layout.sun.azimuth_deg, layout.sun.elevation_deg,
        )  # fmt: skip
        rim = to_window(crowns.rim[1:-1, 1:-1], coarse, window)
        alpha = _ramp(rim + 0.08 * texture[0] + 0.08 * texture[1], 0.0, 0.10)
        owner = crowns.owner[1:-1, 1:-1]
        kinds = np.where(owner >= 0, layout.crowns[owner, 4].astype(np.int64) % 4, -1)
        for k, leaves in enumerate(layout.palette.leaves):
            mine = (kinds == k).astype(np.float32)
            if mine.any():
                paint(alpha * to_window(mine, coarse, window), leaves)
        bright = to_window(np.minimum(facing, 1.9).astype(np.float32), coarse, window)
        skin = to_window(crowns.skin[1:-1, 1:-1], coarse, window)
        # Sprays of leaves, bright, with narrow dark gaps between them.
        leaf = np.zeros(alpha.shape, np.float32)
        fractal(leaf, window, *_LEAVES, self.seed + 6)
        leafiness = layout.palette.leafiness
        spray = np.float32(1.2) * skin + np.float32(leafiness) * (
            np.float32(0.22) * np.abs(leaf) - np.float32(0.18)
        )
        spray = _ramp(spray + np.float32(0.08 * leafiness) * texture[1], 0.0, 1.0)
        hollow = 0.14 + 1.10 * spray * spray
        sun += alpha * (bright * (0.35 + hollow) * np.minimum(1.0, tops + 0.2) - sun)
        sky += alpha * (hollow + 0.15 - sky)

    def _field(self, line: Line, window: Window, reach_m: float) -> Float32Array | None:
        coarse = window.coarse(_FIELD_PX_M, 0.0)
        found = line.field(coarse, reach_m)
        return None if found is None else to_window(found[1], coarse, window)

    def _near(self, window: Window) -> npt.NDArray[np.bool_]:
        west, south, east, north = window.bounds_m
        x, y, reach = self.uprights[:, 0], self.uprights[:, 1], self.reach_m
        return np.asarray(
            (x > west - reach) & (x < east + reach) & (y > south - reach) & (y < north + reach)
        )


def _towards(azimuth_deg: float, elevation_deg: float) -> tuple[float, float, float]:
    azimuth, elevation = math.radians(azimuth_deg), math.radians(elevation_deg)
    level = math.cos(elevation)
    return level * math.sin(azimuth), level * math.cos(azimuth), math.sin(elevation)


def _ramp(values: Float32Array, low: float, high: float) -> Float32Array:
    return _clipped(values, np.float32(low), np.float32(high - low))


@njit(cache=True)
def _clipped(values: Float32Array, low: np.float32, span: np.float32) -> Float32Array:
    out = np.empty(values.shape, np.float32)
    for j in range(values.shape[0]):
        for i in range(values.shape[1]):
            share = (values[j, i] - low) / span
            out[j, i] = min(np.float32(1.0), max(np.float32(0.0), share))
    return out


def _quantile(share: float) -> float:
    """Of the standard normal distribution (Tukey's lambda approximation)."""
    share = min(max(share, 0.001), 0.999)
    return float((share**0.135 - (1.0 - share) ** 0.135) / 0.1975)
