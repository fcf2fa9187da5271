"""Footpaths as people wear them: where they lead, how they wind, how they look."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from scipy.ndimage import gaussian_filter1d
from skimage.graph import route_through_array

from scenes.colour import lab
from scenes.fences import Breach, Fence
from scenes.grid import Window
from scenes.lines import FloatArray, Line
from scenes.materials import Material, Palette
from scenes.noise import add_octave
from scenes.roads import Drawn
from scenes.site import Site
from scenes.spec import Difficulty, SceneSpec
from scenes.strokes import Stroke
from scenes.terrain import Terrain


@dataclass(frozen=True)
class Footpath:
    """A path that people have worn.

    Attributes:
        line: its centreline, from afar towards the fence if it leads there.
        width_m: where it is widest.
        look: `worn` (bare earth), `dark` (moist or stripped of litter), `trodden` (flattened
            growth, green on green) or `faint` (pale, half grown over).
        strength: 0 to 1, share of the ground's cover that is worn away.
        patchy: 0 for an even path, 1 for one that comes and goes; fade_m: at its far and near end.
        fence: index of the fence it meets, or None; meets_m: where on that fence.
        crosses: whether it leads through a breach there.
    """

    line: Line
    width_m: float
    look: str
    strength: float
    patchy: float
    fade_m: tuple[float, float]
    seed: int
    fence: int | None = None
    meets_m: float | None = None
    crosses: bool = False


_FROM_WALL_M = 0.8
_FROM_FENCE_M = 0.5
_BEHIND_FENCE_M = 15.0  # as far as a way round might lead
_THROUGH_A_HOUSE = 1000.0
_LOOKS = ("worn", "dark", "trodden", "faint")
_SHARES = np.array([0.5, 0.16, 0.18, 0.16])
_LEAST_APART = 10.0  # in CIELAB, where all cover is gone
_FADED_FRAC = 0.35  # of a path's length at most
_STRENGTH = {Difficulty.EASY: (0.7, 1.0), Difficulty.REAL: (0.35, 1.0), Difficulty.HARD: (0.2, 0.7)}


@dataclass(frozen=True)
class _Place:
    """What a path's course and look depend on, beside one fence.

    Attributes:
        built: where houses stand.
        closed: that, and what lies behind the fence: nobody walks through it where it stands.
    """

    spec: SceneSpec
    index: int
    fence: Fence
    terrain: Terrain
    site: Site
    built: shapely.Geometry
    closed: shapely.Geometry
    palette: Palette
    ground: tuple[Material, ...]


def lay_paths(
    spec: SceneSpec,
    fences: tuple[Fence, ...],
    terrain: Terrain,
    site: Site,
    built: shapely.Geometry,
    palette: Palette,
    grounds: tuple[tuple[Material, ...], ...],
) -> tuple[Footpath, ...]:
    """Paths through breaches, to intact fence, along the fence and nowhere near it.

    Args:
        built: where houses stand; people walk round them.
        grounds: what grows beyond each fence.
    """
    built = shapely.buffer(built, _FROM_WALL_M)
    shapely.prepare(built)
    paths: list[Footpath] = []
    for index, fence in enumerate(fences):
        closed = shapely.union(built, _behind(fence))
        shapely.prepare(closed)
        place = _Place(spec, index, fence, terrain, site, built, closed, palette, grounds[index])
        # Paths of the first epoch are there in the second; what led to a mended breach is used
        # less, and ends at the fence.
        first = spec.chance(f"paths {fence.side}")
        old = [b for b in (*fence.breaches, *fence.mended) if b.epoch == 1]
        for breach in sorted(old, key=lambda b: b.start_m):
            used = first.uniform() < _used(breach)
            at_m = 0.5 * (breach.start_m + breach.end_m)
            made = _to_fence(place, first, at_m, breach in fence.breaches)
            paths += made if used else []
        for _ in range(int(first.poisson(fence.line.length_m / 350.0))):
            at_m = float(first.uniform(5.0, fence.line.length_m - 5.0))
            made = _to_fence(place, first, at_m, False)
            near = (*fence.breaches, *fence.mended)
            broken = any(b.start_m - 3.0 < at_m < b.end_m + 3.0 for b in near)
            paths += [] if broken or fence.missing(at_m) else made
        for _ in range(int(first.poisson(fence.line.length_m / 220.0))):
            path = _elsewhere(place, first)
            paths += [path] if path is not None else []
        fresh = spec.chance_now(f"paths {fence.side}")
        for breach in (b for b in fence.breaches if b.epoch > 1):
            if fresh.uniform() < _used(breach):
                at_m = 0.5 * (breach.start_m + breach.end_m)
                paths += _to_fence(place, fresh, at_m, True)
    return tuple(paths)


def _behind(fence: Fence) -> shapely.Geometry:
    """The ground from half a metre before a fence to some metres behind it."""
    line = shapely.LineString(fence.line.xy)
    left = float(fence.side.outward)
    inside = shapely.buffer(line, -left * _BEHIND_FENCE_M, single_sided=True)
    return shapely.union(inside, shapely.buffer(line, _FROM_FENCE_M))


def _used(breach: Breach) -> float:
    """How likely people go through a breach so much that it shows."""
    return 0.35 if breach.variety == "leaning" else 0.6


def draw_path(path: Footpath, palette: Palette, drawn: Drawn) -> None:
    """Adds a path's bands."""
    material = _material(path.look, palette)
    round_frac = {"worn": 0.35, "dark": 0.4, "trodden": 0.5, "faint": 0.6}[path.look]
    if path.look == "worn" and path.width_m > 0.35:
        # Beside the bare tread the growth is trampled and thin.
        drawn.strokes.append(
            Stroke(path.line, palette.dry, 1.9 * path.width_m, alpha=0.4 * path.strength,
                   soft_m=0.35, rough_m=0.10, round_frac=0.8, fade_m=path.fade_m,
                   patchy=path.patchy, patchy_m=6.0, winding=True, seed=path.seed)
        )  # fmt: skip
    drawn.strokes.append(
        Stroke(path.line, material, path.width_m, alpha=path.strength, soft_m=0.12, rough_m=0.05,
               round_frac=round_frac, fade_m=path.fade_m, patchy=path.patchy, patchy_m=6.0,
               winding=True, seed=path.seed)
    )  # fmt: skip


def _material(look: str, palette: Palette) -> Material:
    return {
        "worn": palette.worn,
        "dark": palette.litter,
        "trodden": palette.trodden,
        "faint": palette.faint,
    }[look]


def _apart(look: str, palette: Palette, grounds: tuple[Material, ...]) -> float:
    """How much a look differs from the most similar of some grounds, in CIELAB."""
    own = lab(_material(look, palette).base)
    return min(float(np.linalg.norm(own - lab(ground.base))) for ground in grounds)


def _habit(
    spec: SceneSpec, chance: np.random.Generator, palette: Palette, ground: tuple[Material, ...]
) -> tuple[float, str, float, float]:
    """Width, look, strength and patchiness of a path.

    What is worn shows as something else than its ground: no pale path on pale earth.
    """
    width_m = float(np.exp(chance.uniform(np.log(0.25), np.log(1.2))))
    apart = np.array([_apart(look, palette, ground) for look in _LOOKS])
    shares = _SHARES * (apart >= min(_LEAST_APART, apart.max()))
    look = _LOOKS[int(chance.choice(4, p=shares / shares.sum()))]
    strength = float(chance.uniform(*_STRENGTH[spec.difficulty]))
    worst = {Difficulty.EASY: 0.15, Difficulty.REAL: 0.7, Difficulty.HARD: 1.0}[spec.difficulty]
    return width_m, look, strength, float(chance.uniform(0.0, worst))


def _to_fence(
    place: _Place, chance: np.random.Generator, at_m: float, crosses: bool
) -> list[Footpath]:
    spec, fence, terrain, closed = place.spec, place.fence, place.terrain, place.closed
    out = fence.side.outward
    foot, left = fence.line.at(at_m)[0], fence.line.left_at(at_m)[0] * out
    along = fence.line.direction_at(at_m)[0]
    reach_m = float(chance.uniform(0.5, 1.0)) * spec.band_m
    start = foot + left * reach_m + along * float(chance.normal(0.0, 0.7)) * reach_m
    before = foot + left * 1.5
    outer = _walk(start, before, terrain, closed, int(chance.integers(2**30)))
    inward_m, aside = float(chance.uniform(1.5, 6.0)), float(chance.normal(0.0, 0.25))
    if crosses:
        # It ends where the paving begins, on which nobody leaves a trace.
        inner = foot - left * inward_m + along * aside * inward_m
        while inward_m > 1.0 and not place.site.clear(float(inner[0]), float(inner[1]), 0.0):
            inward_m *= 0.85
            inner = foot - left * inward_m + along * aside * inward_m
        xy = np.vstack([outer, foot[None], inner[None]])
    else:
        # Whoever climbs over leaves the ground beside the fence trampled, up to its foot.
        xy = np.vstack([outer, foot[None]])
    line = _smoothed(xy, keep=len(outer))
    width_m, look, strength, patchy = _habit(spec, chance, place.palette, place.ground)
    far_m = min(float(chance.uniform(0.5, 12.0)), _FADED_FRAC * line.length_m)
    fade_m = (far_m, 1.2 if crosses else 0.3)
    seed = int(chance.integers(2**30))
    paths = [
        Footpath(line, width_m, look, strength, patchy, fade_m, seed, place.index, at_m, crosses)
    ]
    if chance.uniform() < 0.3 and line.length_m > 12.0:
        # A fork: another way joins part of the way along.
        join_m = float(chance.uniform(0.3, 0.7)) * line.length_m
        joint = line.at(join_m)[0]
        side = 1.0 if chance.uniform() < 0.5 else -1.0
        start = (
            joint
            + left * float(chance.uniform(4.0, 14.0))
            + along * side * float(chance.uniform(6.0, 20.0))
        )
        way = _walk(start, joint, terrain, closed, int(chance.integers(2**30)))
        branch = _smoothed(way, keep=0)
        if branch.length_m > 5.0:
            paths.append(
                Footpath(branch, 0.8 * width_m, look, 0.85 * strength, patchy, (4.0, 0.2), seed + 1)
            )
    return paths


def _elsewhere(place: _Place, chance: np.random.Generator) -> Footpath | None:
    """A path along the fence, or one that has nothing to do with it."""
    spec, fence, terrain = place.spec, place.fence, place.terrain
    site, built = place.site, place.built
    length_m = float(chance.uniform(20.0, 80.0))
    start_m = float(chance.uniform(0.0, max(1.0, fence.line.length_m - length_m)))
    end_m = min(fence.line.length_m, start_m + length_m)
    if chance.uniform() < 0.5:
        near_m = float(chance.uniform(0.8, 4.0))
        away = (near_m, near_m + float(chance.uniform(0.0, 3.0)))
    else:
        low = min(6.0, 0.4 * spec.band_m)
        away = (float(chance.uniform(low, spec.band_m)), float(chance.uniform(low, spec.band_m)))
    ends = [
        fence.line.at(s)[0] + fence.side.outward * d * fence.line.left_at(s)[0]
        for s, d in zip((start_m, end_m), away, strict=True)
    ]
    if min(away) < 4.5:
        stations = np.arange(start_m, end_m, 2.0)
        d = np.interp(stations, (start_m, end_m), away)
        xy = fence.line.at(stations) + (fence.side.outward * d)[:, None] * fence.line.left_at(
            stations
        )
        xy += gaussian_filter1d(chance.normal(0.0, 0.9, xy.shape), 2.0, axis=0)
    else:
        xy = _walk(ends[0], ends[1], terrain, place.closed, int(chance.integers(2**30)))
    line = _smoothed(xy, keep=0)
    if line.length_m < 10.0 or not all(site.clear(x, y, 0.5) for x, y in line.xy[::4]):
        return None
    if shapely.intersects(built, shapely.LineString(line.xy)):
        return None
    _, offset = fence.line.locate(line.xy)
    if (offset * fence.side.outward).min() < 0.5:
        return None
    width_m, look, strength, patchy = _habit(spec, chance, place.palette, place.ground)
    most_m = _FADED_FRAC * line.length_m
    fade_m = (
        min(float(chance.uniform(0.5, 8.0)), most_m), min(float(chance.uniform(0.5, 8.0)), most_m),
    )  # fmt: skip
    return Footpath(line, width_m, look, strength, patchy, fade_m, int(chance.integers(2**30)))


def _walk(
    start: FloatArray, goal: FloatArray, terrain: Terrain, closed: shapely.Geometry, seed: int
) -> FloatArray:
    """The way of least effort between two places: round what is rough, not straight up a slope.

    What would start where nobody can walk starts beside it.
    """
    if shapely.contains_xy(closed, *start):
        start = shapely.get_coordinates(
            shapely.shortest_line(shapely.boundary(closed), shapely.Point(start))
        )[0]
    px_m = 0.75
    low, high = np.minimum(start, goal) - 9.0, np.maximum(start, goal) + 9.0
    left, top = np.floor(low[0]), np.ceil(high[1])
    width, height = int((high[0] - left) / px_m) + 1, int((top - low[1]) / px_m) + 1
    window = Window(left, top, px_m, 0, 0, width, height)
    east, north = terrain.slopes(window)
    rough = np.zeros((height, width), np.float32)
    add_octave(rough, window, 6.0, 0.7, seed)
    add_octave(rough, window, 2.5, 0.5, seed + 1)
    cost = np.exp(rough) * (1.0 + 6.0 * np.hypot(east, north))
    east_m, north_m = np.meshgrid(
        window.x_m(0) + px_m * np.arange(width), window.y_m(0) - px_m * np.arange(height)
    )
    cost[shapely.contains_xy(closed, east_m, north_m)] *= _THROUGH_A_HOUSE
    ends = [
        (
            int(np.clip((top - p[1]) / px_m, 0, height - 1)),
            int(np.clip((p[0] - left) / px_m, 0, width - 1)),
        )
        for p in (start, goal)
    ]
    cells, _ = route_through_array(cost, ends[0], ends[1], fully_connected=True, geometric=True)
    rows, cols = np.array(cells).T
    xy = np.column_stack([window.x_m(0) + px_m * cols, window.y_m(0) - px_m * rows])
    xy[0], xy[-1] = start, goal
    if len(xy) > 6:
        smooth = gaussian_filter1d(xy, 1.6, axis=0, mode="nearest")
        smooth[0], smooth[-1] = start, goal
        return np.asarray(smooth)
    return xy


def _smoothed(xy: FloatArray, keep: int) -> Line:
    """A line with vertices every 0.4 m; from vertex `keep` on (if not 0) nothing is moved."""
    line = Line(xy)
    if keep:
        return Line(
            line.at(np.unique(np.append(np.arange(0.0, line.length_m, 0.4), line.station_m)))
        )
    dense = line.at(np.append(np.arange(0.0, line.length_m, 0.4), line.length_m))
    smooth = gaussian_filter1d(dense, 2.0, axis=0, mode="nearest")
    smooth[0], smooth[-1] = dense[0], dense[-1]
    return Line(smooth)
