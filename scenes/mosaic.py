"""How the picture was put together: which frame each place came from, its exposure and view."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit

from scenes.grid import Window
from scenes.lines import FloatArray, Line, to_window
from scenes.noise import Float32Array, hash_unit
from scenes.spec import Difficulty, SceneSpec

_LATTICE_M = 0.25


@dataclass(frozen=True)
class Mosaic:
    """Frames and what each does to its share of the picture.

    Attributes:
        frames: (N, 5) x, y of the camera in metres, gain of red, green and blue.
        height_m: of the cameras above the ground.
        blur_px: spread of the optical blur in pixels of the picture.
        noise: standard deviation of the grain in grey levels at mid-grey.
        sharpening: strength of the halo that cameras add.
        haze: share of white light scattered in.
        exposure: gain of the whole.
        quality: JPEG quality of the stored picture.
    """

    frames: FloatArray
    height_m: float
    blur_px: float
    noise: float
    sharpening: float
    haze: float
    exposure: float
    quality: int
    seed: int

    @classmethod
    def flown(cls, spec: SceneSpec, line: Line, reach_m: float) -> Mosaic:
        """Frames of a survey along `line`, out to `reach_m` on both sides."""
        chance = spec.chance_now("mosaic")
        worse = {Difficulty.EASY: 0.3, Difficulty.REAL: 1.0, Difficulty.HARD: 1.7}[spec.difficulty]
        height_m = float(chance.uniform(35.0, 80.0))
        lane_m = height_m * float(chance.uniform(0.35, 0.55))
        step_m = height_m * float(chance.uniform(0.18, 0.30))
        lanes = math.ceil(reach_m / lane_m)
        shift_m = float(chance.uniform(-0.5, 0.5)) * lane_m
        rows = []
        for lane in range(-lanes, lanes + 1):
            lane_gain = chance.normal(0.0, 0.035 * worse)
            lane_colour = chance.normal(0.0, 0.012 * worse, 3)
            for station_m in np.arange(-step_m, line.length_m + step_m, step_m):
                at_m = float(np.clip(station_m, 0.0, line.length_m))
                foot, left = line.at(at_m)[0], line.left_at(at_m)[0]
                along = line.direction_at(at_m)[0] * (station_m - at_m)
                spot = foot + along + left * (lane * lane_m + shift_m) + chance.normal(0.0, 1.0, 2)
                gain = np.exp(lane_gain + lane_colour + chance.normal(0.0, 0.012 * worse))
                rows.append([*spot, *gain])
        return cls(
            frames=np.array(rows),
            height_m=height_m,
            blur_px=float(chance.uniform(0.5, 0.75) + 0.2 * (worse - 0.3) * chance.uniform()),
            noise=float(chance.uniform(0.4, 1.6) * (0.5 + 0.5 * worse)),
            sharpening=float(chance.choice([0.0, 0.3, 0.6])),
            haze=float(chance.uniform(0.0, 0.02) * worse),
            exposure=float(np.exp(chance.normal(0.0, 0.18))),
            quality=int(chance.integers(84, 94)) if spec.difficulty is not Difficulty.HARD
            else int(chance.integers(68, 88)),
            seed=int(chance.integers(2**30)),
        )  # fmt: skip

    def lean(self, xy: FloatArray) -> FloatArray:
        """(N, 2) metres that each metre of height is displaced in the picture at (N, 2) places."""
        if len(xy) == 0:
            return np.zeros((0, 2))
        owner = _owner(np.ascontiguousarray(xy), self.frames, self.seed)
        return np.asarray((xy - self.frames[owner, :2]) / self.height_m)

    def gains(self, window: Window) -> list[Float32Array]:
        """Gain of each channel at every pixel, with soft seams."""
        coarse = window.coarse(_LATTICE_M, 0.0)
        x = coarse.x_m(0) + coarse.px_m * np.arange(coarse.width)
        y = coarse.y_m(0) - coarse.px_m * np.arange(coarse.height)
        near = self._near(coarse)
        points = np.column_stack([np.tile(x, len(y)), np.repeat(y, len(x))])
        owner = near[_owner(points, self.frames[near], self.seed)]
        return [
            to_window(
                self.frames[owner, 2 + c].astype(np.float32).reshape(len(y), len(x)), coarse, window
            )
            for c in range(3)
        ]

    def _near(self, window: Window) -> np.ndarray:
        """Frames that may own a pixel of the window."""
        west, south, east, north = window.bounds_m
        middle = np.array([(west + east) / 2, (south + north) / 2])
        distance = np.hypot(*(self.frames[:, :2] - middle).T)
        radius = math.hypot(east - west, north - south) / 2
        return np.flatnonzero(distance <= distance.min() + 2.0 * radius + 3.0)


@njit(cache=True)
def _owner(points: FloatArray, frames: FloatArray, seed: int) -> np.ndarray:
    """The nearest frame of each point, the seams roughened."""
    out = np.empty(len(points), np.int64)
    for i in range(len(points)):
        x, y = points[i, 0], points[i, 1]
        cell_x, cell_y = int(np.floor(x / 1.5)), int(np.floor(y / 1.5))
        x += 0.8 * hash_unit(cell_x, cell_y, seed)
        y += 0.8 * hash_unit(cell_x, cell_y, seed + 1)
        best, best_k = 1e18, 0
        for k in range(len(frames)):
            d = (frames[k, 0] - x) ** 2 + (frames[k, 1] - y) ** 2
            if d < best:
                best, best_k = d, k
        out[i] = best_k
    return out
