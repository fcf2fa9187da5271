"""The lie of the land."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from scenes.grid import Window
from scenes.lines import FloatArray, Line, to_window
from scenes.noise import Float32Array, add_octave
from scenes.site import Site
from scenes.spec import SceneSpec

_REACH_M = 400.0
_BEND_M = 2.0
_LATTICE_M = 0.5  # the land is smooth: drawn this finely and interpolated
_FLAT_M = 14.5  # half the width of the road's own ground
_SLOPE = 1.5  # metres aside for one down, as banks are built
VIADUCT_M = 8.0


@dataclass(frozen=True)
class Terrain:
    """Heights of the bare ground as a function of place.

    Attributes:
        base_m: at the road's start; grade: rise of the road; relief_m: of the natural ground.
    """

    site: Site
    base_m: float
    grade: float
    relief_m: float
    seed: int

    @classmethod
    def under(cls, spec: SceneSpec, site: Site) -> Terrain:
        """The land around a site's road."""
        chance = spec.chance("terrain")
        return cls(
            site=site,
            base_m=round(float(chance.uniform(300.0, 1200.0))),
            grade=float(chance.uniform(-0.03, 0.03)),
            relief_m=float(chance.uniform(0.4, 2.5)),
            seed=int(chance.integers(2**30)),
        )

    def heights(self, window: Window) -> Float32Array:
        """Metres above the sea at each pixel centre."""
        if window.px_m >= _LATTICE_M:
            return self._heights(window)
        coarse = window.coarse(_LATTICE_M, 0.0)
        return to_window(self._heights(coarse), coarse, window)

    def _heights(self, window: Window) -> Float32Array:
        site = self.site
        natural = np.zeros((window.height, window.width), np.float32)
        add_octave(natural, window, 90.0, self.relief_m, self.seed)
        add_octave(natural, window, 31.0, 0.35 * self.relief_m, self.seed + 1)
        add_octave(natural, window, 9.0, 0.10 * self.relief_m, self.seed + 2)
        found = _beside(site.centreline, window, _REACH_M)
        if found is None:
            return natural + np.float32(self.base_m)
        station, offset = found
        blend = _smooth((np.abs(offset) - np.float32(_FLAT_M)) / np.float32(site.batter_m))
        # The slopes of either side meet over the road's middle, where a tunnel begins.
        share = _smooth((offset + _FLAT_M) / (2 * _FLAT_M))
        natural += site.lift_m[1] + (site.lift_m[0] - site.lift_m[1]) * share
        if site.tunnel_m is not None:
            blend = np.maximum(blend, _smooth((station - site.tunnel_m) / 1.5))
        rise = blend * natural
        if site.viaduct_m is not None:
            # A valley under the viaduct, 8 m deep at its far end.
            valley = 1.0 - _smooth((station - site.viaduct_m + 14.0) / 14.0)
            rise = rise + valley * (-VIADUCT_M - rise)
        lift, low_m = np.full_like(rise, -np.inf), 3.0 * self.relief_m
        for mound in site.mounds:
            toe_m = mound.flat_m + mound.batter_m
            found = _beside(mound.line, window, toe_m + _SLOPE * low_m + 1.0)
            if found is not None:
                top, away = (
                    np.interp(found[0], mound.line.station_m, mound.lift_m),
                    np.abs(found[1]),
                )
                beside = _smooth((away - np.float32(mound.flat_m)) / np.float32(mound.batter_m))
                # Its bank goes on down to the lowest that the natural ground may lie.
                below = np.maximum(away - np.float32(toe_m), 0.0) / _SLOPE
                lift = np.maximum(lift, top * (1.0 - beside) - below)
        z = self.base_m + self.grade * station + np.maximum(rise, lift)
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


def _beside(line: Line, window: Window, reach_m: float) -> tuple[Float32Array, Float32Array] | None:
    """Station and offset at each pixel, interpolated: roads bend slowly."""
    if window.px_m >= _BEND_M:
        return line.field(window, reach_m)
    coarse = window.coarse(_BEND_M, 0.0)
    found = line.field(coarse, reach_m)
    if found is None:
        return None
    return to_window(found[0], coarse, window), to_window(found[1], coarse, window)


def _smooth(x: Float32Array) -> Float32Array:
    x = np.clip(x, 0.0, 1.0)
    return np.asarray(x * x * (3.0 - 2.0 * x), dtype=np.float32)
