"""Footpaths of a picture, from evidence to judged lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import rasterio
import shapely

from analysis.crew import Crew
from analysis.footpaths.alongside import without_rows
from analysis.footpaths.config import FootpathConfig
from analysis.footpaths.evidence import Evidence, RidgePixels, Scores, Window, WindowRidges
from analysis.footpaths.graph import (
    Branch,
    Graph,
    components,
    merge_chains,
    pieces,
    prune_spurs,
    thin,
    trace,
)
from analysis.footpaths.grid import WorkingGrid
from analysis.footpaths.judge import Judge, Lookup, PathClass, class_of, path_probability
from analysis.footpaths.links import link
from analysis.footpaths.network import Network, shared_network
from analysis.footpaths.profile import Profile, centred, measured, piece_count, profile_from
from analysis.footpaths.strokes import strokes
from analysis.heights import SurfaceModel
from analysis.raster import CACHE_BYTES, Orthophoto
from corridor import Progress, silent

Array = npt.NDArray[Any]

_FIELDS = tuple(field.name for field in fields(RidgePixels))
_GROUP_PX = 12_000
_LINE_PX = 12_000
_ACROSS = 40
"""Pixels of ridges, pixels of lines, and pieces to be measured across, that a process is given at
once: about a tenth of a second each."""
_EXPECTED_M = 1.0
"""About how wide a path is."""


@dataclass(frozen=True)
class Footpath:
    """A path, or a line that looks like one and is named for what it is.

    Attributes:
        centreline: in the orthophoto's CRS, metres.
        path_class: what it is.
        confidence: 0 to 1, that it is a path of its class.
        visibility: 0 to 1, how clearly it is seen along its length.
        width_m: median.
        inferred_frac: share of its length that was bridged and not seen.
        evidence: cue name to strength.
        reason: why it is of its class, where the road or other lines beside it told so.
    """

    centreline: shapely.LineString
    path_class: PathClass
    confidence: float
    visibility: float
    width_m: float
    inferred_frac: float
    evidence: dict[str, float]
    reason: str = ""

    @property
    def length_m(self) -> float:
        """Of the centreline."""
        return float(self.centreline.length)

    def named_other(self, reason: str, share: float) -> Footpath:
        """The path as a line that is none; its confidence is the share that the reason holds for.

        What the picture alone said stays in its evidence.
        """
        return replace(
            self,
            path_class=PathClass.OTHER_LINEAR,
            reason=reason,
            confidence=share,
            evidence={**self.evidence, "picture": self.confidence},
        )


def find_footpaths(
    ortho: Orthophoto,
    area: shapely.Geometry | None = None,
    *,
    dsm: SurfaceModel | None = None,
    config: FootpathConfig | None = None,
    progress: Progress = silent,
    network: Network | None = None,
) -> list[Footpath]:
    """Finds the paths in an area: looks at it window by window, and joins what was found.

    Args:
        ortho: the picture.
        area: polygon or polygons in the picture's CRS; all of the picture if None. Paths are cut
            at its edge.
        dsm: heights, where there are any.
        config: what to look for.
        progress: told of windows done.
        network: the network to use; the shipped one if None.

    Returns:
        Paths of all classes, the longest first.

    Raises:
        InputError: if the picture is too coarse, or damaged.
    """
    config = config or FootpathConfig()
    if network is None:
        network = shipped_network(config)
    area = search_ground(ortho, area)
    found, _ = ridges(WorkingGrid.of(ortho, config.gsd_m), area, config, network, progress)
    return without_rows(joined(ortho, area, found, config=config, network=network is not None))


def shipped_network(config: FootpathConfig) -> Network | None:
    """The networks that come with the program, if the configuration wants them."""
    return shared_network() if config.network_weight > 0 else None


def search_ground(ortho: Orthophoto, area: shapely.Geometry | None) -> shapely.Geometry:
    """What of an area lies in the picture; all of the picture if there is none."""
    whole = shapely.box(*ortho.bounds)
    return whole if area is None else shapely.intersection(area, whole)


def windows_of(
    ortho: Orthophoto, area: shapely.Geometry, config: FootpathConfig, network: Network | None
) -> list[Window]:
    """The windows an area is looked at in, each by itself; see `look`."""
    grid = WorkingGrid.of(ortho, config.gsd_m)
    return list(Evidence(grid, config, network).windows(area))


def look(
    ortho: Orthophoto,
    area: shapely.Geometry,
    window: Window,
    *,
    config: FootpathConfig,
    network: Network | None,
) -> WindowRidges:
    """The ridges of an area in one window; what is found there is the same in any other."""
    grid = WorkingGrid.of(ortho, config.gsd_m)
    return Evidence(grid, config, network).ridges(window, area)


def joined(
    ortho: Orthophoto,
    area: shapely.Geometry,
    found: Sequence[WindowRidges],
    *,
    config: FootpathConfig,
    network: bool,
    crew: Crew | None = None,
) -> list[Footpath]:
    """The paths of an area from the ridges of all its windows.

    Lines are followed across windows: they are put together before anything is thinned or judged.

    Args:
        ortho: the picture.
        area: as it was looked at.
        found: of every window, in any order.
        config: what to look for.
        network: whether the network took part.
        crew: who does it; this process if nobody is named.

    Returns:
        Paths of all classes, the longest first, each judged by itself: rows of lines are told by
        `without_rows`, once it is known which of them follow a road.
    """
    crew = crew or Crew()
    pixels = pixels_of(found)
    if len(pixels.rows) == 0:
        return []
    grid = WorkingGrid.of(ortho, config.gsd_m)
    gsd_m = 2 * grid.gsd_m
    walked, other = _graphs(pixels, config, gsd_m, network, crew)
    # Only paths are followed across gaps, and lines of another kind lengthen none.
    scores = Scores([each.scores for each in found], area, grid)
    walked = link(walked, scores, config.link_m, gsd_m)
    long = [
        piece
        for piece in [*pieces(walked), *pieces(other)]
        if sum(b.length_px for b in piece if not b.inferred) * gsd_m >= config.least_length_m
    ]
    lookup = Lookup(pixels)
    calls = []
    for batch in _batches(long, [sum(len(b.pixels) for b in piece) for piece in long], _LINE_PX):
        lines = [b.pixels for piece in batch for b in piece]
        own = _of(pixels, lookup, _thickened(np.vstack(lines)))
        calls.append((ortho.paths, own, batch, config, network))
    ways = [way for made in _in_order(crew, _ways_of, calls) for way in made]
    profiles = _profiles(ways, grid, config, crew)
    paths = [
        _footpath(way, profile, config, network)
        for way, profile in zip(ways, profiles, strict=True)
    ]
    paths = sorted(paths, key=lambda path: (-path.length_m, path.centreline.coords[0]))
    return paths


T = TypeVar("T")


def _batches(items: Sequence[T], sizes: Sequence[int], most: int) -> Iterator[list[T]]:
    """The items in order, in lists of about `most` together."""
    batch: list[T] = []
    total = 0
    for item, size in zip(items, sizes, strict=True):
        batch.append(item)
        total += size
        if total >= most:
            yield batch
            batch, total = [], 0
    if batch:
        yield batch


def _in_order(crew: Crew, work: Callable[..., T], calls: Sequence[tuple[Any, ...]]) -> list[T]:
    made = dict(crew.do(work, calls))
    return [made[number] for number in range(len(calls))]


def _of(pixels: RidgePixels, lookup: Lookup, places: Array) -> RidgePixels:
    """The ridge pixels among some places, row by row."""
    index = lookup.index(places)
    index = np.unique(index[index >= 0])
    return RidgePixels(*(getattr(pixels, name)[index] for name in _FIELDS))


def ridges(
    grid: WorkingGrid,
    area: shapely.Geometry,
    config: FootpathConfig,
    network: Network | None,
    progress: Progress = silent,
) -> tuple[list[WindowRidges], RidgePixels]:
    """What every window of an area holds, and the ridge pixels of all of them, row by row."""
    evidence = Evidence(grid, config, network)
    found: list[WindowRidges] = []
    windows = list(evidence.windows(area))
    for number, window in enumerate(windows):
        progress(number, len(windows), "footpaths")
        found.append(evidence.ridges(window, area))
    progress(len(windows), len(windows), "footpaths")
    return found, pixels_of(found)


def pixels_of(found: Sequence[WindowRidges]) -> RidgePixels:
    """The ridge pixels of all windows, row by row."""
    if not found:
        none = np.zeros(0, np.int32)
        empty = np.zeros(0)
        return RidgePixels(none, none, empty, empty, np.zeros((0, 3)), empty, empty)
    values = {name: np.concatenate([getattr(f.pixels, name) for f in found]) for name in _FIELDS}
    order = np.lexsort((values["columns"], values["rows"]))
    return RidgePixels(*(values[name][order] for name in _FIELDS))


def _thickened(places: Array) -> Array:
    """(n, 2) places and those beside them, row by row, each once."""
    low, high = places.min(axis=0) - 1, places.max(axis=0) + 1
    stride = int(high[1] - low[1]) + 1
    keys = (places[:, 0] - low[0]).astype(np.int64) * stride + (places[:, 1] - low[1])
    steps = [dr * stride + dc for dr in (-1, 0, 1) for dc in (-1, 0, 1)]
    keys = np.sort(np.concatenate([keys + step for step in steps]))
    keys = keys[np.append(True, keys[1:] != keys[:-1])]  # a fifth of what `np.unique` takes
    return np.column_stack([keys // stride, keys % stride]) + low


def _groups(pixels: RidgePixels, config: FootpathConfig) -> Iterator[tuple[Array, int]]:
    """Ridge pixels that hang together, and the number of the first node there.

    They and those beside them, so that lines broken by one pixel hold together.
    """
    if len(pixels.rows) == 0:
        return
    nodes = 0
    groups = list(components(_thickened(np.column_stack([pixels.rows, pixels.columns]))))
    index = Lookup(pixels).index(np.concatenate(groups))
    scores = np.where(index >= 0, pixels.score[index], -np.inf)
    sizes = np.array([len(group) for group in groups])
    best = np.maximum.reduceat(scores, np.cumsum(sizes) - sizes)
    for group, score in zip(groups, best, strict=True):
        if score >= config.score_high:
            yield group, nodes
            nodes += 2 * len(group)


def _candidate(group: Array, first_node: int, config: FootpathConfig, gsd_m: float) -> Graph:
    graph = merge_chains(trace(thin(group), first_node))
    return prune_spurs(graph, config.twig_m / gsd_m)


def candidates(pixels: RidgePixels, config: FootpathConfig, gsd_m: float) -> Iterator[Graph]:
    """Branches of each component of ridge pixels, before any judgement."""
    for group, first_node in _groups(pixels, config):
        yield _candidate(group, first_node, config, gsd_m)


def _graphs(
    pixels: RidgePixels, config: FootpathConfig, gsd_m: float, network: bool, crew: Crew
) -> tuple[Graph, Graph]:
    """Branches that are kept, in all components: footpaths, and lines of other kinds."""
    lookup = Lookup(pixels)
    groups = list(_groups(pixels, config))
    calls = []
    for batch in _batches(groups, [len(group) for group, _ in groups], _GROUP_PX):
        own = _of(pixels, lookup, np.vstack([group for group, _ in batch]))
        calls.append((own, batch, config, gsd_m, network))
    kept = _in_order(crew, _kept, calls)
    walked = [branch for own, _ in kept for branch in own]
    return Graph(walked), Graph([branch for _, own in kept for branch in own])


def _continued(branches: Sequence[Branch], judge: Judge, config: FootpathConfig) -> list[bool]:
    """Which branches may be of footpaths: those that show it, and weaker ones that carry them on.

    What becomes of the weaker ones is told when the line that they belong to is judged as a whole.
    """

    def at_least(probability: float) -> list[bool]:
        return [
            judge.probability(branch.pixels) >= probability
            and judge.path_class(branch.pixels, least=probability) is PathClass.FOOTPATH
            for branch in branches
        ]

    walked = at_least(config.least_probability)
    # All that the filter alone follows is a path to it: there is nothing to tell a weaker one by.
    likely = at_least(config.carries_on) if judge.has_network else walked
    reached = {end for b, own in zip(branches, walked, strict=True) if own for end in b.ends}
    while True:
        onward = [
            number
            for number, branch in enumerate(branches)
            if likely[number]
            and not walked[number]
            and branch.ends[0] != branch.ends[1]
            and reached.intersection(branch.ends)
        ]
        if not onward:
            return walked
        for number in onward:
            walked[number] = True
            reached.update(branches[number].ends)


def _kept(
    pixels: RidgePixels,
    groups: Sequence[tuple[Array, int]],
    config: FootpathConfig,
    gsd_m: float,
    network: bool,
) -> tuple[list[Branch], list[Branch]]:
    """Branches of some components that are kept: of footpaths, and of other lines."""
    judge = Judge(pixels, config, gsd_m, network=network)
    kept: tuple[list[Branch], list[Branch]] = ([], [])
    for group, first_node in groups:
        branches = _candidate(group, first_node, config, gsd_m).branches
        walked = _continued(branches, judge, config)
        named = [
            branch
            for branch, own in zip(branches, walked, strict=True)
            if not own and judge.keeps(branch.pixels)
        ]
        paths = [branch for branch, own in zip(branches, walked, strict=True) if own]
        # Means along a line that is half of one kind and half of another would tell of neither.
        by_filter = [judge.by_filter(branch.pixels) for branch in paths]
        alike = (
            ([b for b, own in zip(paths, by_filter, strict=True) if not own], kept[0]),
            ([b for b, own in zip(paths, by_filter, strict=True) if own], kept[0]),
            (named, kept[1]),
        )
        for lines, into in alike:
            graph = prune_spurs(merge_chains(Graph(lines)), config.spur_m / gsd_m)
            degree = graph.degrees()
            into += [
                judge.trimmed(b, (degree[b.ends[0]] == 1, degree[b.ends[1]] == 1))
                for b in graph.branches
            ]
    return kept


@dataclass(frozen=True)
class _Way:
    """A line that is worth naming, before anything is measured across it.

    Attributes:
        line: about where it runs.
        evidence: means along what was seen of it, see `Judge.evidence`.
        inferred_frac: share of its length that was bridged.
    """

    line: shapely.LineString
    evidence: dict[str, float]
    inferred_frac: float


def _ways_of(
    orthos: tuple[Path, ...],
    pixels: RidgePixels,
    connected: Sequence[list[Branch]],
    config: FootpathConfig,
    network: bool,
) -> list[_Way]:
    """The lines through some pieces of the graph, as people walk them; for another process."""
    grid = WorkingGrid.of(Orthophoto.open(orthos), config.gsd_m)
    judge = Judge(pixels, config, 2 * grid.gsd_m, network=network)
    return [way for piece in connected for way in _ways(piece, judge, grid)]


def _ways(piece: list[Branch], judge: Judge, grid: WorkingGrid) -> Iterator[_Way]:
    def kind(branch: Branch) -> str:
        return f"{judge.path_class(branch.pixels).value} {judge.by_filter(branch.pixels)}"

    for stroke in strokes(piece, kind):
        seen = [b for b in stroke.branches if not b.inferred]
        if not seen or len(stroke.pixels) < 3:
            continue
        places = np.vstack([b.pixels for b in seen])
        if not judge.keeps(places):
            continue
        xy = grid.xy(2.0 * stroke.pixels[:, 0] + 1, 2.0 * stroke.pixels[:, 1] + 1)
        line = shapely.simplify(shapely.LineString(_smooth(xy)), 0.5 * grid.gsd_m)
        whole = sum(b.length_px for b in stroke.branches)
        inferred = sum(b.length_px for b in stroke.branches if b.inferred)
        yield _Way(line, judge.evidence(places), inferred / whole)


def _profiles(
    ways: Sequence[_Way], grid: WorkingGrid, config: FootpathConfig, crew: Crew
) -> list[Profile]:
    """What lies across each line; a long one is measured by all of the crew."""
    counts = [piece_count(way.line) for way in ways]
    parts = [
        (number, range(first, min(first + _ACROSS, count)))
        for number, count in enumerate(counts)
        for first in range(0, count, _ACROSS)
    ]
    batches = list(_batches(parts, [len(pieces) for _, pieces in parts], _ACROSS))
    calls = []
    for batch in batches:
        lines = [(ways[number].line, pieces) for number, pieces in batch]
        calls.append((grid.ortho.paths, lines, config))
    tables: list[list[Array]] = [[] for _ in ways]
    for batch, made in zip(batches, _in_order(crew, _measure, calls), strict=True):
        for (number, _), table in zip(batch, made, strict=True):
            tables[number].append(table)
    return [profile_from(np.concatenate(own), _EXPECTED_M) for own in tables]


def _measure(
    orthos: tuple[Path, ...],
    lines: Sequence[tuple[shapely.LineString, range]],
    config: FootpathConfig,
) -> list[Array]:
    """Some pieces of some lines, measured; for another process."""
    with rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES):
        grid = WorkingGrid.of(Orthophoto.open(orthos), config.gsd_m)
        return [measured(line, grid, _EXPECTED_M, pieces) for line, pieces in lines]


def _footpath(way: _Way, profile: Profile, config: FootpathConfig, network: bool) -> Footpath:
    evidence, least = way.evidence, config.least_probability
    probability = path_probability(evidence, network=network)
    return Footpath(
        centreline=centred(way.line, profile),
        path_class=class_of(evidence, profile.width_m, network=network, least=least),
        confidence=float(np.clip(probability, 0.01, 0.99)),
        visibility=float(np.clip(evidence["z"] / 4, 0, 1)) * (1 - way.inferred_frac),
        width_m=profile.width_m,
        inferred_frac=way.inferred_frac,
        evidence={**evidence, "contrast": profile.contrast, "lighter": profile.lighter},
    )


def _smooth(xy: Array) -> Array:
    """A moving mean over 5 places that keeps the ends."""
    if len(xy) < 5:
        return xy
    padded = np.vstack([2 * xy[0] - xy[2:0:-1], xy, 2 * xy[-1] - xy[-2:-4:-1]])
    kernel = np.ones(5) / 5
    return np.column_stack([np.convolve(padded[:, i], kernel, "valid") for i in range(2)])
