"""What stands where in a scene: laid out by chance from the seed, before anything is drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from corridor import InputError, Side
from corridor.findings import BreachType
from scenes.fences import Breach, Fence, choose_style
from scenes.lines import FloatArray, Line
from scenes.noise import smooth_1d
from scenes.spec import Preset, SceneSpec

EPSG = 32648
_EAST_0_M, _NORTH_0_M = 620_000.0, 2_945_000.0


@dataclass(frozen=True)
class Sun:
    """Where the sun stands, and how much of the light comes straight from it."""

    azimuth_deg: float
    elevation_deg: float
    direct_frac: float

    @property
    def shadow_per_m(self) -> tuple[float, float]:
        """Metres east and north that the shadow of something 1 m high reaches on flat ground."""
        length = 1.0 / math.tan(math.radians(self.elevation_deg))
        azimuth = math.radians(self.azimuth_deg)
        return -length * math.sin(azimuth), -length * math.cos(azimuth)


@dataclass(frozen=True)
class Footpath:
    """A path that people have worn.

    Attributes:
        line: its centreline, as far as it can be seen.
        width_m: at its middle.
        strength: 0 to 1, share of the ground's cover that is worn away.
        fence: index of the fence it crosses, or None; crossing_m: where on that fence.
    """

    line: Line
    width_m: float
    strength: float
    fence: int | None
    crossing_m: float | None


@dataclass(frozen=True)
class Layout:
    """Everything in a scene, in metres east and north of `origin_m` (in EPSG:32648)."""

    spec: SceneSpec
    origin_m: tuple[float, float]
    centreline: Line
    fences: tuple[Fence, ...]
    paths: tuple[Footpath, ...]
    crowns: FloatArray
    sun: Sun
    half_width_m: float

    @property
    def bounds_m(self) -> tuple[float, float, float, float]:
        """West, south, east, north of the picture, on whole metres."""
        edges = [self.centreline.offset(k * self.half_width_m).xy for k in (-1, 1)]
        low, high = np.min(edges, axis=(0, 1)), np.max(edges, axis=(0, 1))
        return (
            math.floor(low[0]), math.floor(low[1]), math.ceil(high[0]), math.ceil(high[1])
        )  # fmt: skip


def lay_out(spec: SceneSpec) -> Layout:
    """Lays out a scene.

    Raises:
        InputError: if the kind of place cannot be generated yet.
    """
    if spec.preset is not Preset.STRAIGHT:
        raise InputError("--preset", f"'{spec.preset}' cannot be generated yet", "use straight")
    chance = spec.chance("route")
    centreline = _centreline(spec, chance)
    fence_offset_m = {
        Side.LEFT: float(chance.uniform(17.0, 24.0)),
        Side.RIGHT: float(chance.uniform(17.0, 24.0)),
    }
    style_chance = spec.chance("fence style")
    style = choose_style(style_chance, spec.fence)
    fences = []
    for side in Side:
        fence_chance = spec.chance(f"fence {side}")
        # Built roughly parallel to the road, with the slow wander of real ones.
        seed = int(fence_chance.integers(2**30))
        wander = np.array([0.5 * smooth_1d(s / 45.0, seed) for s in centreline.station_m])
        line = centreline.offset(side.outward * (fence_offset_m[side] + wander))
        spacing = style.panel_m
        count = int(line.length_m / spacing)
        posts = spacing * np.arange(count + 1) + fence_chance.normal(0.0, 0.02, count + 1)
        posts = np.clip(np.sort(posts), 0.0, line.length_m)
        seed = int(fence_chance.integers(2**30))
        offset = np.array([smooth_1d(s / 60.0, seed) for s in line.station_m])
        worst_m = float(fence_chance.uniform(0.4, 2.0))
        offset *= worst_m / max(1e-6, float(np.abs(offset).max()))
        breaches = _breaches(spec, spec.chance(f"breaches {side}"), line, posts)
        fences.append(Fence("G75", side, line, style, posts, breaches, (), offset))
    paths = _paths(spec, spec.chance("paths"), fences)
    crowns = _crowns(spec, spec.chance("crowns"), centreline, fence_offset_m)
    light = spec.chance_now("light")
    sun = Sun(
        azimuth_deg=round(float(light.uniform(95.0, 265.0)), 1),
        elevation_deg=round(float(light.uniform(28.0, 68.0)), 1),
        direct_frac=round(float(light.choice([0.12, 0.55, 0.75, 0.8])), 2),
    )
    half = max(fence_offset_m.values()) + spec.band_m
    return Layout(
        spec, (_EAST_0_M, _NORTH_0_M), centreline, tuple(fences), paths, crowns, sun, half
    )


def _centreline(spec: SceneSpec, chance: np.random.Generator) -> Line:
    heading = float(chance.choice([0.0, 90.0])) + float(chance.uniform(-12.0, 12.0))
    count = int(spec.length_m) + 1
    bend = float(chance.uniform(-0.06, 0.06))
    phase = float(chance.uniform(0.0, 2 * math.pi))
    station = np.linspace(0.0, spec.length_m, count)
    turn = np.radians(heading) + bend * np.sin(2 * math.pi * station / 900.0 + phase)
    step = station[1] - station[0]
    x = np.concatenate([[0.0], np.cumsum(np.cos(turn[:-1]) * step)])
    y = np.concatenate([[0.0], np.cumsum(np.sin(turn[:-1]) * step)])
    return Line(np.column_stack([x, y]))


def _breaches(
    spec: SceneSpec, chance: np.random.Generator, line: Line, posts: FloatArray
) -> tuple[Breach, ...]:
    # Dense on purpose: about one in 40 m, so that a short scene measures something.
    breaches: list[Breach] = []
    at_m = float(chance.exponential(25.0)) + 4.0
    while at_m < line.length_m - 8.0:
        draw = chance.uniform()
        first = int(np.searchsorted(posts, at_m))
        if draw < 0.55:
            panels = int(chance.choice([1, 1, 1, 2, 3]))
            last = min(first + panels, len(posts) - 1)
            breach = Breach(
                float(posts[first]), float(posts[last]), BreachType.GAP, "panels gone",
                posts_gone=bool(chance.uniform() < 0.3),
            )  # fmt: skip
        elif draw < 0.8:
            width_m = float(chance.uniform(0.4, 1.2))
            breach = Breach(at_m, at_m + width_m, BreachType.HOLE, "cut, rail intact")
        else:
            last = min(first + int(chance.integers(1, 3)), len(posts) - 1)
            breach = Breach(
                float(posts[first]), float(posts[last]), BreachType.COLLAPSED, "pushed down"
            )
        if breach.end_m > line.length_m - 3.0 or breach.end_m - breach.start_m < 0.3:
            break
        breaches.append(breach)
        at_m = breach.end_m + 8.0 + float(chance.exponential(30.0))
    return tuple(breaches)


def _paths(
    spec: SceneSpec, chance: np.random.Generator, fences: list[Fence]
) -> tuple[Footpath, ...]:
    paths = []
    for index, fence in enumerate(fences):
        out = fence.side.outward
        targets = [(b.start_m + b.end_m) / 2 for b in fence.breaches if chance.uniform() < 0.6]
        for target_m in targets:
            reach_m = float(chance.uniform(0.6, 1.0)) * spec.band_m
            slant = float(chance.normal(0.0, 0.5))
            seed = int(chance.integers(2**30))
            d = np.arange(-2.5, reach_m, 0.4)
            side_step = slant * np.maximum(d, 0.0) + np.array(
                [1.3 * min(1.0, max(0.0, v) / 6.0) * smooth_1d(v / 7.0, seed) for v in d]
            )
            foot = fence.line.at(target_m)[0]
            left = fence.line.left_at(target_m)[0] * out
            along = fence.line.direction_at(target_m)[0]
            xy = foot + d[:, None] * left + side_step[:, None] * along
            paths.append(
                Footpath(
                    Line(xy[::-1].copy()),
                    width_m=float(chance.uniform(0.25, 0.9)),
                    strength=float(chance.uniform(0.35, 1.0)),
                    fence=index,
                    crossing_m=target_m,
                )
            )
    return tuple(paths)


def _crowns(
    spec: SceneSpec,
    chance: np.random.Generator,
    centreline: Line,
    fence_offset_m: dict[Side, float],
) -> FloatArray:
    rows = []
    for side in Side:
        reach_m = fence_offset_m[side] + spec.band_m
        count = chance.poisson(centreline.length_m * spec.band_m / 180.0)
        for _ in range(count):
            station_m = float(chance.uniform(0.0, centreline.length_m))
            low_m = fence_offset_m[side] - 1.5
            offset_m = low_m + float(chance.uniform()) ** 0.6 * (reach_m - low_m)
            shrub = chance.uniform() < 0.45
            radius_m = float(chance.uniform(0.5, 1.4) if shrub else chance.gamma(7.0, 0.33) + 0.8)
            height_m = radius_m * float(
                chance.uniform(1.2, 2.0) if shrub else chance.uniform(1.8, 3.2)
            )
            foot = (
                centreline.at(station_m)[0]
                + side.outward * offset_m * centreline.left_at(station_m)[0]
            )
            rows.append(
                [
                    foot[0],
                    foot[1],
                    radius_m,
                    height_m,
                    float(chance.integers(2**20)),
                    2.0 if shrub else 0.0,
                ]
            )
    return np.array(rows, dtype=np.float64).reshape(-1, 6)
