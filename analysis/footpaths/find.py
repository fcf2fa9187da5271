"""Footpaths of a picture, from evidence to judged lines."""

from __future__ import annotations

import enum
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
from analysis.footpaths.network import MODEL, Network
from analysis.heights import SurfaceModel
from analysis.raster import Orthophoto
from corridor import Progress, silent

Array = npt.NDArray[Any]


class PathClass(enum.StrEnum):
    """What a line on the ground is."""

    FOOTPATH = "footpath"
    VEHICLE_TRACK = "vehicle_track"
    PAVED_PATH = "paved_path"
    OTHER_LINEAR = "other_linear"


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
    """

    centreline: shapely.LineString
    path_class: PathClass
    confidence: float
    visibility: float
    width_m: float
    inferred_frac: float
    evidence: dict[str, float]

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
    wanted = list(_tiles_of(area, grid, config.tile_px))
    across = len({column for _, column in wanted}) + 2
    tiles = EvidenceTiles(grid, config, network, kept=2 * across + 4)
    found: list[RidgePixels] = []
    for number, (row, column) in enumerate(wanted):
        progress(number, len(wanted), "footpaths")
        found.append(tiles.ridge_pixels(row, column))
    progress(len(wanted), len(wanted), "footpaths")
    pixels = _inside(_joined(found), area, grid)
    paths: list[Footpath] = []
    for branches in _pieces(pixels, config, 2 * grid.gsd_m):
        paths += _strokes(branches, pixels, grid, config)
    return sorted(paths, key=lambda path: (-path.length_m, path.centreline.coords[0]))


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


class _Lookup:
    """Values of ridge pixels by place."""

    def __init__(self, pixels: RidgePixels) -> None:
        self._pixels = pixels
        self._stride = int(pixels.columns.max(initial=0)) - int(pixels.columns.min(initial=0)) + 8
        self._low = int(pixels.columns.min(initial=0)) - 4
        self._keys = pixels.rows.astype(np.int64) * self._stride + pixels.columns - self._low

    def index(self, places: Array) -> Array:
        """Index of each (row, column), -1 where it is no ridge pixel."""
        keys = places[:, 0].astype(np.int64) * self._stride + places[:, 1] - self._low
        at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return np.where(self._keys[at] == keys, at, -1)


def _thick(pixels: RidgePixels) -> Array:
    """Ridge pixels and those beside them, so that lines broken by one pixel hold together."""
    places = np.column_stack([pixels.rows, pixels.columns])
    around = [places + np.array([dr, dc]) for dr in (-1, 0, 1) for dc in (-1, 0, 1)]
    return np.unique(np.concatenate(around), axis=0)


def _pieces(pixels: RidgePixels, config: FootpathConfig, gsd_m: float) -> Iterator[list[Branch]]:
    if len(pixels.rows) == 0:
        return
    lookup = _Lookup(pixels)
    nodes = 0
    for group in components(_thick(pixels)):
        index = lookup.index(group)
        if pixels.score[index[index >= 0]].max() < config.score_high:
            continue
        if len(group) * gsd_m < config.least_length_m:
            continue
        graph = merge_chains(trace(thin(group), nodes))
        nodes += 2 * len(group)
        graph = prune_spurs(graph, 2.0 / gsd_m)
        kept = [b for b in graph.branches if _mean(b, pixels, lookup)[0] >= config.branch_score]
        graph = prune_spurs(merge_chains(Graph(kept)), config.spur_m / gsd_m)
        for piece in pieces(graph):
            if sum(b.length_px for b in piece) * gsd_m >= config.least_length_m:
                yield piece


def _mean(branch: Branch, pixels: RidgePixels, lookup: _Lookup) -> tuple[float, float]:
    """Mean score and mean local z over a branch; nothing where no ridge pixel is near."""
    index = lookup.index(branch.pixels)
    index = index[index >= 0]
    if len(index) == 0:
        return 0.0, 0.0
    return float(pixels.score[index].mean()), float(pixels.z[index].mean())


def _strokes(
    branches: list[Branch], pixels: RidgePixels, grid: WorkingGrid, config: FootpathConfig
) -> Iterator[Footpath]:
    lookup = _Lookup(pixels)
    for branch in branches:
        if branch.length_px * 2 * grid.gsd_m < 2:
            continue
        score, z = _mean(branch, pixels, lookup)
        xy = grid.xy(2.0 * branch.pixels[:, 0] + 1, 2.0 * branch.pixels[:, 1] + 1)
        line = shapely.simplify(shapely.LineString(_smooth(xy)), 0.5 * grid.gsd_m)
        yield Footpath(
            centreline=line,
            path_class=PathClass.FOOTPATH,
            confidence=float(np.clip((score - 1.5) / 3, 0.05, 0.95)),
            visibility=float(np.clip(z / 4, 0, 1)),
            width_m=1.0,
            inferred_frac=0.0,
            evidence={"score": score, "z": z},
        )


def _smooth(xy: Array) -> Array:
    """A moving mean over 5 places that keeps the ends."""
    if len(xy) < 5:
        return xy
    padded = np.vstack([2 * xy[0] - xy[2:0:-1], xy, 2 * xy[-1] - xy[-2:-4:-1]])
    kernel = np.ones(5) / 5
    return np.column_stack([np.convolve(padded[:, i], kernel, "valid") for i in range(2)])
