"""What stands where in a scene: laid out by chance from the seed, before anything is drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import shapely

from corridor import Side
from scenes import boxes, elements
from scenes.bare import shed_leaves
from scenes.breaches import lay_breaches
from scenes.culverts import draw_culverts, lay_steps
from scenes.fences import Breach, Fence, build_elements, choose_style
from scenes.footpaths import Footpath, draw_path, lay_paths
from scenes.lines import FloatArray, Line
from scenes.lookalikes import lay_lookalikes
from scenes.materials import Material, Palette, mix_palette
from scenes.mosaic import Mosaic
from scenes.noise import smooth_1d
from scenes.plots import Plot, draw_plot, lay_plots
from scenes.presets import choose_site
from scenes.roads import Drawn, Road, draw_road
from scenes.site import Site
from scenes.spec import Difficulty, SceneSpec, Season
from scenes.speckle import Speckle
from scenes.strokes import Stroke
from scenes.structures import draw_structures
from scenes.surroundings import lay_surroundings
from scenes.terrain import Terrain

EPSG = 32648
_EAST_0_M, _NORTH_0_M = 620_000.0, 2_945_000.0
# Share of the broad-leaved trees: in the dry winter of the south about half are evergreen.
_LEAFLESS = {Season.SPRING: 0.0, Season.SUMMER: 0.0, Season.DRY: 0.45, Season.SNOW: 1.0}


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
class Layout:
    """Everything in a scene, in metres east and north of `origin_m` (in EPSG:32648).

    Attributes:
        inside, outside: what grows on the road's side of each fence and beyond it; None for the
            common wild growth.
        strokes: bands on the ground in the order they are painted.
        uprights: (M, 16) things to draw that stand up.
        shift_m: how far east and north the picture lies off its true place.
        crowns: (K, 6), see `scenes.crowns`; boxes: (N, 12), see `scenes.boxes`.
    """

    spec: SceneSpec
    season: Season
    origin_m: tuple[float, float]
    site: Site
    terrain: Terrain
    palette: Palette
    fences: tuple[Fence, ...]
    inside: tuple[Material | None, ...]
    outside: tuple[Material | None, ...]
    paths: tuple[Footpath, ...]
    plots: tuple[Plot, ...]
    strokes: tuple[Stroke, ...]
    speckles: tuple[Speckle, ...]
    uprights: FloatArray
    crowns: FloatArray
    boxes: FloatArray
    sun: Sun
    mosaic: Mosaic
    lookalikes: dict[str, list[str]]
    shift_m: tuple[float, float]

    @property
    def bounds_m(self) -> tuple[float, float, float, float]:
        """West, south, east, north of the picture, on whole metres."""
        return self.site.bounds_m

    @cached_property
    def crowns_seen(self) -> FloatArray:
        """The crowns where the picture shows them."""
        if not self.spec.lean:
            return self.crowns
        seen = self.crowns.copy()
        # A crown is widest at some two thirds of its height.
        seen[:, :2] += self.mosaic.lean(seen[:, :2]) * (0.65 * seen[:, 3:4])
        return seen

    @cached_property
    def boxes_lean(self) -> FloatArray:
        """(N, 2) how far each box's eaves are displaced in the picture in metres; decks are not."""
        if not self.spec.lean or len(self.boxes) == 0:
            return np.zeros((len(self.boxes), 2))
        high_m = np.where(self.boxes[:, 11] < 0.0, 0.0, self.boxes[:, 6])
        return np.asarray(self.mosaic.lean(self.boxes[:, :2]) * high_m[:, None])


def lay_out(spec: SceneSpec) -> Layout:
    """Lays out a scene."""
    season = spec.season or _season(spec)
    palette = mix_palette(spec, season)
    site = choose_site(spec)
    terrain = Terrain.under(spec, site)
    style = choose_style(spec.chance("fence style"), spec.fence)
    fences = tuple(_fence(spec, site, side, style) for side in Side)
    drawn = Drawn()
    crowns: list[list[float]] = []
    cover = spec.chance("cover")
    for fence in fences:
        lay_surroundings(spec, site, fence, palette, drawn, crowns)
    plots = lay_plots(spec, site, fences)
    for number, plot in enumerate(plots):
        draw_plot(plot.line, plot.width_m, palette, spec.chance(f"plot {number}"), drawn)
    lookalikes = {}
    for fence, verge_m in zip(fences, site.verges_m, strict=True):
        _foot(fence, palette, spec.chance(f"foot {fence.side}"), drawn)
        lookalikes[fence.side.value] = lay_lookalikes(spec, fence, verge_m, palette, drawn, crowns)
    houses = shapely.union_all([shapely.Polygon(boxes.footprint(np.array(b))) for b in drawn.boxes])
    inside = tuple(_cover(cover, palette, mown=True) for _ in fences)
    outside = tuple(_cover(cover, palette, mown=False) for _ in fences)
    paths = lay_paths(spec, fences, terrain, site, houses, *_walked_on(spec, season, fences))
    for path in paths:
        draw_path(path, palette, drawn)
    road_chance = spec.chance("roads")
    for road in site.roads:
        draw_road(road, palette, road_chance, drawn)
    draw_structures(site, palette, spec.chance("structures"), drawn)
    for fence in fences:
        chance = spec.chance(f"culverts {fence.side}")
        draw_culverts(fence, spec.band_m, palette, chance, drawn)
    solid = boxes.as_array(drawn.boxes)
    crowns = [c for c in crowns if site.clear(c[0], c[1], 0.3)]
    crowns += _crowns(spec, spec.chance("crowns"), site, fences)
    crowns, bare = shed_leaves(crowns, _LEAFLESS[season])
    drawn.elements += bare
    rows = [build_elements(f, spec.chance(f"posts {f.side}")) for f in fences]
    return Layout(
        spec=spec,
        season=season,
        origin_m=(_EAST_0_M, _NORTH_0_M),
        site=site,
        terrain=terrain,
        palette=palette,
        fences=fences,
        inside=inside,
        outside=outside,
        paths=paths,
        plots=plots,
        strokes=tuple(drawn.strokes),
        speckles=_speckles(spec, palette),
        uprights=_above(site, np.concatenate([elements.as_array(drawn.elements), *rows])),
        crowns=np.array(crowns, dtype=np.float64).reshape(-1, 6),
        boxes=solid,
        sun=_sun(spec, season),
        mosaic=_exposed(Mosaic.flown(spec, site.centreline, site.half_width_m), palette),
        lookalikes=lookalikes,
        shift_m=_shift(spec),
    )


def _season(spec: SceneSpec) -> Season:
    shares = {Season.SPRING: 0.3, Season.SUMMER: 0.4, Season.DRY: 0.3}
    return list(shares)[int(spec.chance("season").choice(3, p=list(shares.values())))]


def _exposed(mosaic: Mosaic, palette: Palette) -> Mosaic:
    """A camera that meters snow exposes it below white."""
    if palette.snow_frac == 0.0:
        return mosaic
    return replace(mosaic, exposure=mosaic.exposure * (1.0 - 0.75 * palette.snow_frac**0.5))


def _shift(spec: SceneSpec) -> tuple[float, float]:
    """A later picture never lies quite on the first one: up to 1.5 m off."""
    chance = spec.chance_now("shift")
    if spec.epoch == 1:
        return (0.0, 0.0)
    turn, far_m = float(chance.uniform(0.0, 2 * math.pi)), float(chance.uniform(0.2, 1.5))
    return round(far_m * math.cos(turn), 3), round(far_m * math.sin(turn), 3)


def _sun(spec: SceneSpec, season: Season) -> Sun:
    light = spec.chance_now("light")
    low, high = (22.0, 45.0) if season in (Season.DRY, Season.SNOW) else (32.0, 72.0)
    overcast = light.uniform() < (0.15 if spec.difficulty is Difficulty.EASY else 0.3)
    direct = light.uniform(0.05, 0.25) if overcast else light.uniform(0.6, 0.84)
    return Sun(
        azimuth_deg=round(float(light.uniform(95.0, 265.0)), 1),
        elevation_deg=round(float(light.uniform(low, high)), 1),
        direct_frac=round(float(direct), 2),
    )


def _fence(spec: SceneSpec, site: Site, side: Side, style) -> Fence:  # type: ignore[no-untyped-def]
    chance = spec.chance(f"fence {side}")
    line = site.fence_lines[side]
    count = int(line.length_m / style.panel_m)
    posts = style.panel_m * np.arange(count + 1) + chance.normal(0.0, 0.02, count + 1)
    posts = np.clip(np.sort(posts), 0.0, line.length_m)
    seed = int(chance.integers(2**30))
    offset = np.array([smooth_1d(s / 60.0, seed) for s in line.station_m])
    worst_m = float(chance.uniform(0.4, 2.0))
    offset *= worst_m / max(1e-6, float(np.abs(offset).max()))
    no_fence = site.no_fence[side]
    free = _complement(no_fence, line.length_m)
    breaches, mended = lay_breaches(spec, posts, line.length_m, free, f"breaches {side}")
    steps = lay_steps(site, side, posts)
    return Fence(site.route, side, line, style, posts, breaches, mended, no_fence, offset, steps)


def _above(site: Site, uprights: FloatArray) -> FloatArray:
    """Upright things but those that a bridge's deck hides."""
    if site.deck is None:
        return uprights
    (x, y), along, length_m, width_m, height_m = site.deck
    middle = (uprights[:, 0:2] + uprights[:, 2:4]) / 2 - (x, y)
    u, v = middle @ along, middle @ np.array([-along[1], along[0]])
    hidden = (np.abs(u) < length_m / 2) & (np.abs(v) < width_m / 2) & (uprights[:, 6] < height_m)
    on_deck = np.abs(np.abs(v) - 6.4) < 0.35
    return np.asarray(uprights[~hidden | on_deck])


def _complement(
    stretches: tuple[tuple[float, float, str], ...], length_m: float
) -> tuple[tuple[float, float], ...]:
    free, at_m = [], 0.0
    for start_m, end_m, _ in stretches:
        if start_m > at_m:
            free.append((at_m, start_m))
        at_m = end_m
    if at_m < length_m:
        free.append((at_m, length_m))
    return tuple(free)


def _foot(fence: Fence, palette: Palette, chance: np.random.Generator, drawn: Drawn) -> None:
    """What a fence leaves on the ground: a line of unmown growth, a plinth, bare earth.

    It goes on through a breach, as it does in the field.
    """
    draw, seed = chance.uniform(), int(chance.integers(2**30))
    width_m, alpha = float(chance.uniform(0.25, 0.9)), float(chance.uniform(0.25, 0.85))
    material = [palette.lush, palette.dry, palette.wild, palette.litter][int(chance.integers(4))]
    for start_m, end_m in _complement(fence.no_fence, fence.line.length_m):
        line = fence.line.between(start_m, end_m)
        if draw < 0.5:
            drawn.strokes.append(
                Stroke(line, material, width_m, soft_m=0.15, rough_m=0.08, alpha=alpha,
                       round_frac=0.5, patchy=0.5, patchy_m=7.0, seed=seed)
            )  # fmt: skip
        elif draw < 0.62:
            drawn.strokes.append(
                Stroke(line, palette.concrete, 0.6 * width_m, rough_m=0.01, patchy=0.2, seed=seed)
            )


def _cover(chance: np.random.Generator, palette: Palette, mown: bool) -> Material | None:
    if mown:
        choices = [palette.mown, None, palette.dry, palette.lush, palette.soil]
        shares = [0.55, 0.2, 0.12, 0.08, 0.05]
    else:
        choices = [None, palette.mown, palette.scrub, palette.litter, palette.soil, palette.dry]
        shares = [0.42, 0.15, 0.15, 0.1, 0.08, 0.1]
    return choices[int(chance.choice(len(choices), p=shares))]


def _walked_on(
    spec: SceneSpec, season: Season, fences: tuple[Fence, ...]
) -> tuple[Palette, tuple[tuple[Material, ...], ...]]:
    """The palette and the grounds beyond each fence in the first epoch, when paths were worn."""
    palette, chance = mix_palette(replace(spec, epoch=1), season), spec.chance("cover")
    for _ in fences:
        _cover(chance, palette, mown=True)
    common = (palette.dry,) if palette.dry_frac > 0.35 else ()
    outside = [_cover(chance, palette, mown=False) for _ in fences]
    return palette, tuple((material or palette.wild, *common) for material in outside)


def _speckles(spec: SceneSpec, palette: Palette) -> tuple[Speckle, ...]:
    chance = spec.chance("speckles")
    strength = min(1.0, 0.35 * palette.contrast)

    def rate(low: float, high: float) -> float:
        return float(np.exp(chance.uniform(np.log(low), np.log(high))))

    tufts = [
        Speckle(rate(0.4, 6.0), rate(0.06, 0.16), gain=(-0.35 * strength, -0.25 * strength,
                -0.35 * strength), clump=0.8),
        Speckle(rate(0.4, 6.0), rate(0.05, 0.13), gain=(0.30 * strength, 0.28 * strength,
                0.12 * strength), clump=0.8),
    ]  # fmt: skip
    kinds = [
        *([] if palette.snow_frac > 0.0 else tufts),
        Speckle(rate(0.02, 0.8), rate(0.012, 0.03), colour=(0.42, 0.40, 0.36), clump=1.2),
        Speckle(rate(0.05, 2.0), rate(0.015, 0.035), colour=(0.16, 0.115, 0.07), clump=1.2,
                opacity=0.8),
    ]  # fmt: skip
    if chance.uniform() < 0.35 and palette.snow_frac == 0.0:
        flower = [(0.75, 0.72, 0.68), (0.65, 0.55, 0.08), (0.45, 0.30, 0.55)][
            int(chance.integers(3))
        ]
        kinds.append(Speckle(rate(0.3, 8.0), 0.012, colour=flower, clump=1.8))
    if chance.uniform() < 0.5:
        kinds.append(
            Speckle(rate(0.002, 0.03), 0.022, colour=(0.62, 0.63, 0.66), clump=0.8)
        )  # litter that people leave
    return tuple(kinds)


def _crowns(
    spec: SceneSpec, chance: np.random.Generator, site: Site, fences: tuple[Fence, ...]
) -> list[list[float]]:
    rows: list[list[float]] = []
    density = {Difficulty.EASY: 0.4, Difficulty.REAL: 1.0, Difficulty.HARD: 1.7}[spec.difficulty]
    per_m2 = density * float(np.exp(chance.uniform(np.log(0.002), np.log(0.009))))
    conifers = float(chance.choice([0.0, 0.1, 0.5], p=[0.6, 0.2, 0.2]))

    def add(x: float, y: float, shrub: bool) -> None:
        radius = float(chance.uniform(0.4, 1.3) if shrub else chance.gamma(6.0, 0.33) + 0.7)
        height = radius * float(chance.uniform(1.2, 2.0) if shrub else chance.uniform(1.8, 3.2))
        species = 2.0 if shrub else (1.0 if chance.uniform() < conifers else 0.0)
        rows.append([x, y, radius, min(height, 14.0), float(chance.integers(2**20)), species])

    for fence in fences:
        out = fence.side.outward
        # Trees stand in groups; a few shrubs grow into the fence.
        groups = chance.poisson(fence.line.length_m * spec.band_m * per_m2 / 3.0)
        for _ in range(groups):
            station_m = float(chance.uniform(0.0, fence.line.length_m))
            away_m = -1.0 + float(chance.uniform()) ** 0.8 * (spec.band_m + 2.0)
            foot = fence.line.at(station_m)[0] + out * away_m * fence.line.left_at(station_m)[0]
            spread = float(chance.uniform(1.5, 7.0))
            for _ in range(1 + int(chance.poisson(2.0))):
                x, y = foot + chance.normal(0.0, spread, 2)
                if site.clear(x, y, 1.5):
                    add(x, y, chance.uniform() < 0.4)
        for breach in fence.breaches:
            if breach.variety == "gap behind a shrub":
                for station_m in np.arange(breach.start_m + 0.3, breach.end_m, 0.9):
                    x, y = fence.line.at(station_m)[0] + chance.normal(0.0, 0.15, 2)
                    rows.append([x, y, float(chance.uniform(0.6, 1.0)),
                                 float(chance.uniform(1.2, 2.2)),
                                 float(chance.integers(2**20)), 2.0])  # fmt: skip
    return rows


__all__ = ["Breach", "Fence", "Footpath", "Layout", "Line", "Road", "Sun", "lay_out"]
