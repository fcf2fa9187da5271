"""The lie of the land."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from scenes.grid import Window
from scenes.lines import FloatArray, Line
from scenes.noise import Float32Array, add_octave
from scenes.site import Site
from scenes.spec import SceneSpec

_REACH_M = 400.0


@dataclass(frozen=True)
class Terrain:
    """Heights of the bare ground as a function of place.

    Attributes:
        flat_m: distance from the centreline within which the ground is the road's own.
        batter_m: width of the slope from there to the natural ground.
        lift_m: how much higher the natural ground lies than the road on each side, left and right.
    """

    line: Line
    base_m: float
    grade: float
    relief_m: float
    flat_m: float
    batter_m: float
    lift_m: tuple[float, float]
    seed: int

    @classmethod
    def under(cls, spec: SceneSpec, site: Site) -> Terrain:
        """The land around a site's road."""
        chance = spec.chance("terrain")
        return cls(
            line=site.centreline,
            base_m=round(float(chance.uniform(300.0, 1200.0))),
            grade=float(chance.uniform(-0.03, 0.03)),
            relief_m=float(chance.uniform(0.4, 2.5)),
            flat_m=14.5,
            batter_m=float(chance.uniform(8.0, 16.0)),
            lift_m=(float(chance.normal(0.0, 1.5)), float(chance.normal(0.0, 1.5))),
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
        blend = np.clip((np.abs(offset) - self.flat_m) / self.batter_m, 0.0, 1.0)
        blend = blend * blend * (3.0 - 2.0 * blend)
        lift = np.where(offset > 0, self.lift_m[0], self.lift_m[1])
        z = self.base_m + self.grade * station + blend * (natural + lift)
        return np.asarray(z, dtype=np.float32)

    def slopes(self, window: Window) -> tuple[Float32Array, Float32Array]:
        """Rise towards east and north, metres per metre, at each pixel centre."""
        z = self.heights(window.grown(1))
        step = np.float32(2.0 * window.px_m)
        return (z[1:-1, 2:] - z[1:-1, :-2]) / step, (z[:-2, 1:-1] - z[2:, 1:-1]) / step

    def slopes_at(self, xy: FloatArray) -> FloatArray:
        """(N, 2) rise towards east and north at (N, 2) places."""
        out = np.zeros((len(xy), 2))
        px_m, block_m = 1.0, 64.0
        keys = np.floor(xy / block_m).astype(int)
        for key in np.unique(keys, axis=0):
            mine = (keys == key).all(axis=1)
            left, bottom = key * block_m
            size = int(block_m / px_m)
            window = Window(left, bottom + block_m, px_m, 0, 0, size, size)
            east, north = self.slopes(window)
            col = np.clip(((xy[mine, 0] - left) / px_m).astype(int), 0, size - 1)
            row = np.clip(((bottom + block_m - xy[mine, 1]) / px_m).astype(int), 0, size - 1)
            out[mine] = np.column_stack([east[row, col], north[row, col]])
        return out

    def sunlight(self, window: Window, azimuth_deg: float, elevation_deg: float) -> Float32Array:
        """Share of sunlight on sloping ground against flat ground, each pixel of a window."""
        east, north = self.slopes(window)
        return lit(east, north, azimuth_deg, elevation_deg)


def lit(
    east: Float32Array, north: Float32Array, azimuth_deg: float, elevation_deg: float
) -> Float32Array:
    """Share of sunlight on ground that rises by `east` and `north`, against flat ground."""
    azimuth, flat = math.radians(azimuth_deg), math.tan(math.radians(elevation_deg))
    towards = flat - east * math.sin(azimuth) - north * math.cos(azimuth)
    share = towards / (flat * np.sqrt(1.0 + east * east + north * north))
    return np.maximum(share, 0.0).astype(np.float32)
