"""Draws windows of a scene's orthophoto and height models."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from scenes import materials as m
from scenes.crowns import crown_heights, sunlight_through
from scenes.fences import build_elements
from scenes.grid import Window
from scenes.layout import Layout
from scenes.lines import FloatArray, Line, to_window
from scenes.materials import Material
from scenes.noise import Float32Array, add_octave, fractal
from scenes.paint import blend_material, paint_elements, shade_elements
from scenes.terrain import Terrain

ByteArray = npt.NDArray[np.uint8]
Paint = Callable[[Float32Array, Material], None]

_FIELD_PX_M = 0.5  # smooth fields of distance are computed this coarsely and interpolated
_HEIGHT_PX_M = 0.1
_BLUR_PX = 3  # halo of the optical blur


@dataclass(frozen=True)
class Renderer:
    """Draws any window of a scene; windows fit together without a seam."""

    layout: Layout
    terrain: Terrain
    elements: FloatArray
    seed: int

    @classmethod
    def of(cls, layout: Layout) -> Renderer:
        """A renderer with what is shared by all windows prepared."""
        elements = np.concatenate([build_elements(fence) for fence in layout.fences])
        seed = int(layout.spec.chance("texture").integers(2**30))
        return cls(layout, Terrain.of(layout), elements, seed)

    def ortho(self, window: Window) -> ByteArray:
        """The picture as (4, height, width) red, green, blue, alpha."""
        factor = max(1, math.ceil(window.px_m / 0.0201))
        fine = window.grown(_BLUR_PX).finer(factor)
        mask = self._inside(window)
        if not mask.any():
            return np.zeros((4, window.height, window.width), np.uint8)
        radiance = self._radiance(fine)
        if factor > 1:
            radiance = _average(radiance, factor)
        radiance = _blur(radiance, 0.55)[_BLUR_PX:-_BLUR_PX, _BLUR_PX:-_BLUR_PX]
        out = np.empty((4, window.height, window.width), np.uint8)
        out[3] = mask
        noise = np.zeros(mask.shape, np.float32)
        add_octave(noise, window, 0.1 * window.px_m, 10.0, self.seed + 99)
        _develop(radiance, noise, np.float32(self._exposure()), np.float32(1.2), mask, out)
        return out

    def ground(self, window: Window) -> Float32Array:
        """Bare ground in metres above the sea, (height, width)."""
        return self.terrain.heights(window)

    def surface(self, window: Window) -> Float32Array:
        """The highest surface in metres above the sea, (height, width)."""
        objects, _ = crown_heights(window, self.layout.crowns)
        return self.terrain.heights(window) + objects

    def _exposure(self) -> float:
        return 1.9

    def _field(
        self, line: Line, window: Window, reach_m: float
    ) -> tuple[Float32Array, Float32Array] | None:
        coarse = window.coarse(_FIELD_PX_M, 0.0)
        found = line.field(coarse, reach_m)
        if found is None:
            return None
        return to_window(found[0], coarse, window), to_window(found[1], coarse, window)

    def _inside(self, window: Window) -> npt.NDArray[np.uint8]:
        found = self._field(self.layout.centreline, window, self.layout.half_width_m + 2.0)
        if found is None:
            return np.zeros((window.height, window.width), np.uint8)
        station, offset = found
        end_m = self.layout.centreline.length_m
        inside = (np.abs(offset) < self.layout.half_width_m) & (station > 0) & (station < end_m)
        return np.where(inside, 255, 0).astype(np.uint8)

    def _radiance(self, window: Window) -> Float32Array:
        layout = self.layout
        shape = (window.height, window.width)
        texture = np.stack(
            [
                fractal(window, 0.01, 0.08, 0.1, self.seed + 1),
                fractal(window, 0.16, 0.64, 0.2, self.seed + 2),
                fractal(window, 1.28, 20.48, 0.3, self.seed + 3),
                fractal(window, 0.08, 0.64, 0.2, self.seed + 4),
                fractal(window, 1.28, 20.48, 0.3, self.seed + 5),
            ]
        )
        albedo = np.zeros((*shape, 3), np.float32)
        one = np.ones(shape, np.float32)

        def paint(alpha: Float32Array, material: Material) -> None:
            base, lightness, tint, amounts = material.arrays
            blend_material(albedo, alpha, base, texture, lightness, tint, amounts)

        paint(one, m.GRASS_WILD)
        rough = 0.35 * texture[1] + 0.25 * texture[0]
        bare = _ramp(1.1 * texture[4] + 0.5 * texture[2] + rough, 1.6, 2.2)
        for fence in layout.fences:
            found = self._field(fence.line, window, 60.0)
            if found is not None:
                inward = -fence.side.outward * found[1]
                paint(_ramp(inward + 0.5 * rough, 0.2, 0.5), m.GRASS_MOWN)
        paint(bare, m.SOIL)
        for path in layout.paths:
            found = self._field_fine(path.line, window, 2.5)
            if found is not None:
                station, offset = found
                wide = 0.5 * path.width_m * (1.0 + 0.25 * texture[1])
                alpha = path.strength * _ramp(wide - np.abs(offset) + 0.10 * rough, -0.06, 0.08)
                ends = _ramp(np.minimum(station, path.line.length_m - station), 0.0, 1.5)
                paint((alpha * ends).astype(np.float32), m.SOIL)
        road = self._field(layout.centreline, window, 20.0)
        if road is not None:
            self._road(paint, road[0], road[1], window.px_m, rough)
        # Light: what the ground, the fence and the crowns leave of sun and sky.
        sun = self._sunlight(window)
        shadow_x, shadow_y = layout.sun.shadow_per_m
        near = self._near(window, 6.0 + 2.2 * math.hypot(shadow_x, shadow_y))
        x0, y0, px = window.x_m(0), window.y_m(0), window.px_m
        shade_elements(sun, x0, y0, px, near, shadow_x, shadow_y)
        sky = np.ones(shape, np.float32)
        lean = np.zeros((len(near), 2))
        lean[:, 0] = 0.05
        paint_elements(albedo, sun, x0, y0, px, near, lean)
        self._crowns(window, paint, sun, sky, texture)
        direct = self.layout.sun.direct_frac
        light_sun = np.array([1.06, 1.0, 0.90], np.float32) * direct
        light_sky = np.array([0.92, 1.0, 1.14], np.float32) * (1.0 - direct)
        return albedo * (sun[..., None] * light_sun + sky[..., None] * light_sky)

    def _field_fine(
        self, line: Line, window: Window, reach_m: float
    ) -> tuple[Float32Array, Float32Array] | None:
        """As `_field` on a grid fine enough for winding paths."""
        coarse = window.coarse(0.1, 0.0)
        found = line.field(coarse, reach_m)
        if found is None:
            return None
        return to_window(found[0], coarse, window), to_window(found[1], coarse, window)

    def _near(self, window: Window, reach_m: float) -> FloatArray:
        west, south, east, north = window.bounds_m
        x, y = self.elements[:, 0], self.elements[:, 1]
        near = (
            (x > west - reach_m) & (x < east + reach_m)
            & (y > south - reach_m) & (y < north + reach_m)
        )  # fmt: skip
        return np.ascontiguousarray(self.elements[near])

    def _road(
        self,
        paint: Paint,
        station: Float32Array,
        offset: Float32Array,
        px_m: float,
        rough: Float32Array,
    ) -> None:
        across = np.abs(offset).astype(np.float32)
        paint(_ramp(14.6 - across + 0.3 * rough, 0.0, 0.3), m.GRAVEL)
        asphalt = np.minimum(_line(13.4 - across, px_m), _line(across - 1.5, px_m))
        paint(asphalt, m.ASPHALT)
        for at_m in (2.2, 9.9):
            paint(_stripe(across - at_m, 0.15, px_m), m.MARKING)
        dash = np.where((station % 15.0) < 6.0, np.float32(1.0), np.float32(0.0))
        paint(_stripe(across - 6.05, 0.15, px_m) * dash, m.MARKING)
        paint(_stripe(across - 13.6, 0.30, px_m), m.STEEL)
        paint(_stripe(across - 16.2, 0.7, px_m), m.CONCRETE)

    def _sunlight(self, window: Window) -> Float32Array:
        layout = self.layout
        shadow_x, shadow_y = layout.sun.shadow_per_m
        reach = math.hypot(shadow_x, shadow_y)
        coarse = window.coarse(_HEIGHT_PX_M, 0.0)
        top_m = float(layout.crowns[:, 3].max()) * 1.1 if len(layout.crowns) else 0.0
        margin = int(top_m * reach / _HEIGHT_PX_M) + 2
        objects, _ = crown_heights(coarse.grown(margin), layout.crowns)
        if not objects.any():
            light = np.ones((coarse.height, coarse.width), np.float32)
        else:
            step_x, step_y = -shadow_x / reach, shadow_y / reach
            light = sunlight_through(objects, margin, step_x, step_y, _HEIGHT_PX_M / reach, 0.06)
        slope = self.terrain.sunlight(coarse, layout.sun)
        return to_window((light * slope).astype(np.float32), coarse, window)

    def _crowns(
        self,
        window: Window,
        paint: Paint,
        sun: Float32Array,
        sky: Float32Array,
        texture: Float32Array,
    ) -> None:
        coarse = window.coarse(_HEIGHT_PX_M, 0.2)
        heights, _ = crown_heights(coarse, self.layout.crowns)
        if not heights.any():
            return
        height = to_window(heights, coarse, window)
        alpha = _ramp(height + 0.25 * texture[0] + 0.2 * texture[1], 0.35, 0.6)
        alpha *= height > 0.0
        paint(alpha, m.LEAVES)
        sky *= 1.0 - 0.35 * alpha


def _ramp(values: Float32Array, low: float, high: float) -> Float32Array:
    return np.clip((values - np.float32(low)) / np.float32(high - low), 0.0, 1.0).astype(np.float32)


def _line(inside_m: Float32Array, px_m: float) -> Float32Array:
    """Coverage of a half plane whose edge is `inside_m` away."""
    return _ramp(inside_m, -0.5 * px_m, 0.5 * px_m)


def _stripe(offset: Float32Array, width_m: float, px_m: float) -> Float32Array:
    return np.minimum(_line(0.5 * width_m - offset, px_m), _line(0.5 * width_m + offset, px_m))


@njit(cache=True)
def _average(values: Float32Array, factor: int) -> Float32Array:
    height, width = values.shape[0] // factor, values.shape[1] // factor
    out = np.empty((height, width, 3), np.float32)
    for j in range(height):
        for i in range(width):
            for c in range(3):
                total = 0.0
                for v in range(factor):
                    for u in range(factor):
                        total += values[j * factor + v, i * factor + u, c]
                out[j, i, c] = total / (factor * factor)
    return out


@njit(cache=True)
def _blur(values: Float32Array, sigma_px: float) -> Float32Array:
    weights = np.empty(7, np.float32)
    for k in range(7):
        weights[k] = np.exp(-0.5 * ((k - 3) / sigma_px) ** 2)
    weights /= weights.sum()
    height, width = values.shape[0], values.shape[1]
    rows = np.zeros_like(values)
    out = np.zeros_like(values)
    for j in range(height):
        for i in range(3, width - 3):
            for c in range(3):
                total = np.float32(0.0)
                for k in range(7):
                    total += weights[k] * values[j, i + k - 3, c]
                rows[j, i, c] = total
    for j in range(3, height - 3):
        for i in range(width):
            for c in range(3):
                total = np.float32(0.0)
                for k in range(7):
                    total += weights[k] * rows[j + k - 3, i, c]
                out[j, i, c] = total
    return out


@njit(cache=True)
def _develop(
    radiance: Float32Array,
    noise: Float32Array,
    exposure: float,
    noise_level: float,
    mask: ByteArray,
    out: ByteArray,
) -> None:
    """Exposure, the sRGB curve and sensor noise, to 8 bits."""
    for j in range(noise.shape[0]):
        for i in range(noise.shape[1]):
            for c in range(3):
                if mask[j, i] == 0:
                    out[c, j, i] = 0
                    continue
                v = max(0.0, radiance[j, i, c] * exposure)
                v = 12.92 * v if v <= 0.0031308 else 1.055 * v ** (1.0 / 2.4) - 0.055
                # The same grain in all channels: a demosaicked sensor's noise is mostly grey.
                v = 255.0 * v + noise_level * noise[j, i]
                out[c, j, i] = np.uint8(min(255.0, max(0.0, v + 0.5)))
