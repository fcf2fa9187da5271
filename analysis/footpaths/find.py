"""Footpaths of a picture, from evidence to judged lines."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from analysis.footpaths.config import FootpathConfig
from analysis.footpaths.evidence import EvidenceTiles, RidgePixels
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
from analysis.footpaths.judge import Judge, Lookup, PathClass
from analysis.footpaths.links import link
from analysis.footpaths.network import MODEL, Network
from analysis.footpaths.profile import centred, profile_of
from analysis.footpaths.strokes import strokes
from analysis.heights import SurfaceModel
from analysis.raster import Orthophoto
from corridor import Progress, silent

Array = npt.NDArray[Any]


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
        reason: why it is of its class, where the road beside it told so.
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


def find_footpaths(
    ortho: Orthophoto,
    area: shapely.Geometry | None = None,
    *,
    dsm: SurfaceModel | None = None,
    config: FootpathConfig | None = None,
    progress: Progress = silent,
    network: Network | None = None,
) -> list[Footpath]:
    """Finds the paths in an area.

    Args:
        ortho: the picture.
        area: polygon or polygons in the picture's CRS; all of the picture if None. Paths are cut
            at its edge.
        dsm: heights, where there are any.
        config: what to look for.
        progress: told of tiles done.
        network: the network to use; the shipped one if None.

    Returns:
        Paths of all classes, the longest first.

    Raises:
        InputError: if the picture is too coarse, or damaged.
    """
    config = config or FootpathConfig()
    if network is None and config.network_weight > 0 and MODEL.is_file():
        network = Network()
    grid = WorkingGrid.of(ortho, config.gsd_m)
    whole = shapely.box(*ortho.bounds)
    area = whole if area is None else shapely.intersection(area, whole)
    if area.is_empty:
        return []
    tiles, pixels = ridges(grid, area, config, network, progress)
    if len(pixels.rows) == 0:
        return []
    gsd_m = 2 * grid.gsd_m
    judge = Judge(pixels, config, gsd_m, network=network is not None)
    walked, other = _graphs(pixels, judge, config, gsd_m)
    # Only paths are followed across gaps, and lines of another kind lengthen none.
    walked = link(walked, tiles.scores, config.link_m, gsd_m)
    paths: list[Footpath] = []
    for piece in [*pieces(walked), *pieces(other)]:
        seen = sum(b.length_px for b in piece if not b.inferred) * gsd_m
        if seen >= config.least_length_m:
            paths += _paths(piece, judge, grid)
    return sorted(paths, key=lambda path: (-path.length_m, path.centreline.coords[0]))


def ridges(
    grid: WorkingGrid,
    area: shapely.Geometry,
    config: FootpathConfig,
    network: Network | None,
    progress: Progress = silent,
) -> tuple[EvidenceTiles, RidgePixels]:
    """Ridge pixels in an area, row by row, and the tiles they came from."""
    wanted = list(_tiles_of(area, grid, config.tile_px))
    across = len({column for _, column in wanted}) + 2
    tiles = EvidenceTiles(grid, config, network, 2 * across + 4, area)
    found: list[RidgePixels] = []
    for number, (row, column) in enumerate(wanted):
        progress(number, len(wanted), "footpaths")
        found.append(tiles.ridge_pixels(row, column))
    progress(len(wanted), len(wanted), "footpaths")
    return tiles, _inside(_joined(found), area, grid)


def _tiles_of(area: shapely.Geometry, grid: WorkingGrid, tile_px: int) -> Iterator[tuple[int, int]]:
    """Tiles that meet the area, row by row, the shorter way across the area first."""
    side_m = 2 * tile_px * grid.gsd_m
    west, south, east, north = shapely.total_bounds(area)
    top, left = grid.pixel_of(west, north)
    bottom, right = grid.pixel_of(east, south)
    size = 2 * tile_px
    rows = range(math.floor(top / size), math.floor((bottom - 1e-6) / size) + 1)
    columns = range(math.floor(left / size), math.floor((right - 1e-6) / size) + 1)
    shapely.prepare(area)
    x0, y0 = grid.ortho.bounds[0], grid.ortho.bounds[3]
    for row in rows:
        for column in columns:
            box = shapely.box(
                x0 + column * side_m,
                y0 - (row + 1) * side_m,
                x0 + (column + 1) * side_m,
                y0 - row * side_m,
            )
            if shapely.intersects(area, box):
                yield row, column


def _joined(found: list[RidgePixels]) -> RidgePixels:
    return RidgePixels(
        *(np.concatenate([getattr(f, name) for f in found]) for name in
          ("rows", "columns", "score", "z", "logits"))
    )  # fmt: skip


def _inside(pixels: RidgePixels, area: shapely.Geometry, grid: WorkingGrid) -> RidgePixels:
    xy = grid.xy(2.0 * pixels.rows + 1, 2.0 * pixels.columns + 1)
    keep = shapely.contains_xy(area, xy[:, 0], xy[:, 1])
    order = np.lexsort((pixels.columns[keep], pixels.rows[keep]))
    return RidgePixels(
        *(
            getattr(pixels, name)[keep][order]
            for name in ("rows", "columns", "score", "z", "logits")
        )
    )


def _thick(pixels: RidgePixels) -> Array:
    """Ridge pixels and those beside them, so that lines broken by one pixel hold together."""
    places = np.column_stack([pixels.rows, pixels.columns])
    around = [places + np.array([dr, dc]) for dr in (-1, 0, 1) for dc in (-1, 0, 1)]
    return np.unique(np.concatenate(around), axis=0)


def candidates(pixels: RidgePixels, config: FootpathConfig, gsd_m: float) -> Iterator[Graph]:
    """Branches of each component of ridge pixels, before any judgement."""
    nodes = 0
    lookup = Lookup(pixels)
    for group in components(_thick(pixels)):
        index = lookup.index(group)
        if pixels.score[index[index >= 0]].max() < config.score_high:
            continue
        graph = merge_chains(trace(thin(group), nodes))
        nodes += 2 * len(group)
        yield prune_spurs(graph, config.twig_m / gsd_m)


def _graphs(
    pixels: RidgePixels, judge: Judge, config: FootpathConfig, gsd_m: float
) -> tuple[Graph, Graph]:
    """Branches that are kept, in all components: footpaths, and lines of other kinds."""
    kept: tuple[list[Branch], list[Branch]] = ([], [])
    for candidate in candidates(pixels, config, gsd_m):
        alike: tuple[list[Branch], list[Branch]] = ([], [])
        for branch in candidate.branches:
            if judge.keep(branch):
                walked = judge.path_class(branch.pixels) is PathClass.FOOTPATH
                alike[0 if walked else 1].append(branch)
        for branches, into in zip(alike, kept, strict=True):
            graph = prune_spurs(merge_chains(Graph(branches)), config.spur_m / gsd_m)
            degree = graph.degrees()
            into += [
                judge.trimmed(b, (degree[b.ends[0]] == 1, degree[b.ends[1]] == 1))
                for b in graph.branches
            ]
    return Graph(kept[0]), Graph(kept[1])


def _paths(piece: list[Branch], judge: Judge, grid: WorkingGrid) -> Iterator[Footpath]:
    for stroke in strokes(piece, lambda b: judge.path_class(b.pixels).value):
        seen = [b for b in stroke.branches if not b.inferred]
        if not seen:
            continue
        places = np.vstack([b.pixels for b in seen])
        evidence = judge.evidence(places)
        xy = grid.xy(2.0 * stroke.pixels[:, 0] + 1, 2.0 * stroke.pixels[:, 1] + 1)
        if len(xy) < 3:
            continue
        line = shapely.simplify(shapely.LineString(_smooth(xy)), 0.5 * grid.gsd_m)
        profile = profile_of(line, grid, 1.0)
        line = centred(line, profile)
        whole = sum(b.length_px for b in stroke.branches)
        inferred = sum(b.length_px for b in stroke.branches if b.inferred)
        yield Footpath(
            centreline=line,
            path_class=judge.path_class(places, profile.width_m),
            confidence=float(np.clip(judge.probability(places), 0.01, 0.99)),
            visibility=float(np.clip(evidence["z"] / 4, 0, 1)) * (1 - inferred / whole),
            width_m=profile.width_m,
            inferred_frac=inferred / whole,
            evidence={**evidence, "contrast": profile.contrast, "lighter": profile.lighter},
        )


def _smooth(xy: Array) -> Array:
    """A moving mean over 5 places that keeps the ends."""
    if len(xy) < 5:
        return xy
    padded = np.vstack([2 * xy[0] - xy[2:0:-1], xy, 2 * xy[-1] - xy[-2:-4:-1]])
    kernel = np.ones(5) / 5
    return np.column_stack([np.convolve(padded[:, i], kernel, "valid") for i in range(2)])
