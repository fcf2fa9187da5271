"""The lie of the land."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from scenes.grid import Window
from scenes.layout import Layout, Sun
from scenes.lines import Line
from scenes.noise import Float32Array, add_octave

_REACH_M = 400.0


@dataclass(frozen=True)
class Terrain:
    """Heights of the bare ground as a function of place."""

    line: Line
    base_m: float
    grade: float
    relief_m: float
    seed: int

    @classmethod
    def of(cls, layout: Layout) -> Terrain:
        """The land around a layout's road."""
        chance = layout.spec.chance("terrain")
        return cls(
            line=layout.centreline,
            base_m=round(float(chance.uniform(300.0, 1200.0))),
            grade=float(chance.uniform(-0.03, 0.03)),
            relief_m=float(chance.uniform(0.5, 3.0)),
            seed=int(chance.integers(2**30)),
        )

    def heights(self, window: Window) -> Float32Array:
        """Metres above the sea at each pixel centre."""
        natural = np.zeros((window.height, window.width), np.float32)
        add_octave(natural, window, 90.0, self.relief_m, self.seed)
        add_octave(natural, window, 31.0, 0.35 * self.relief_m, self.seed + 1)
        add_octave(natural, window, 9.0, 0.10 * self.relief_m, self.seed + 2)
        found = self.line.field(window, _REACH_M)
        if found is None:
            return natural + np.float32(self.base_m)
        station, offset = found
        blend = np.clip((np.abs(offset) - 16.0) / 14.0, 0.0, 1.0)
        blend = blend * blend * (3.0 - 2.0 * blend)
        z = self.base_m + self.grade * station + blend * natural
        return np.asarray(z, dtype=np.float32)

    def sunlight(self, window: Window, sun: Sun) -> Float32Array:
        """Share of sunlight on sloping ground against flat ground, each pixel of a window."""
        z = self.heights(window.grown(1)).astype(np.float32)
        step = np.float32(2.0 * window.px_m)
        east = (z[1:-1, 2:] - z[1:-1, :-2]) / step
        north = (z[:-2, 1:-1] - z[2:, 1:-1]) / step
        azimuth, elevation = math.radians(sun.azimuth_deg), math.radians(sun.elevation_deg)
        towards_east, towards_north = math.sin(azimuth), math.cos(azimuth)
        flat = math.tan(elevation)
        lit = flat - east * towards_east - north * towards_north
        lit = lit / (flat * np.sqrt(1.0 + east * east + north * north))
        return np.maximum(lit, 0.0).astype(np.float32)
