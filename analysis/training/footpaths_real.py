"""Real pictures with traced footpaths: to learn from, to fit the judge on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import numpy.typing as npt
import shapely

from analysis.raster import Orthophoto
from analysis.training.footpaths_paint import Sample, Source, seen_by_camera
from analysis.training.footpaths_scenes import GSD_M, Labelled, cut_from, drawn
from corridor.errors import InputError

Array = npt.NDArray[Any]

WIDTH_M = 0.7
"""Of a traced path whose width was not written down."""
READ_GSD_M = 0.06
MARGIN_M = 12.0
"""Around the traced area that is still read: the network sees that far."""
HUE_SPREAD = 5.0
"""Deviation of a* and b* by which a picture's colours are shifted: there are few such pictures."""
ENLARGED = (0.8, 1.25)
"""Scales of pictures from the field are estimates, and paths are of any width."""


@dataclass(frozen=True)
class Traced:
    """A real picture, the paths traced in it, and where they were traced.

    Attributes:
        ortho: the picture.
        lines: centrelines, in its coordinates.
        width_m: of each.
        area: where every path that can be seen was traced.
    """

    ortho: Orthophoto
    lines: list[shapely.Geometry]
    width_m: list[float]
    area: shapely.Geometry

    def share_on(self, near_m: float) -> Any:
        """How far points (n, 2) lie on a path: 1 within `near_m`, else 0; outside the area NaN."""
        reach_m = max(near_m, 2 * self.ortho.gsd_m)
        near = shapely.union_all([shapely.buffer(line, reach_m) for line in self.lines])

        def on_path(xy: Array) -> Array:
            known = shapely.contains_xy(self.area, *xy.T)
            return np.where(known, shapely.contains_xy(near, *xy.T).astype(float), np.nan)

        return on_path


def read_traced(folder: Path) -> Traced:
    """A folder's ortho.tif, footpaths.geojson (`width_m` may be given) and, if any, roi.geojson.

    Raises:
        InputError: if the picture or the traced paths are missing.
    """
    for name in ("ortho.tif", "footpaths.geojson"):
        if not (folder / name).is_file():
            raise InputError(str(folder), f"has no {name}", "a picture with paths traced in it")
    ortho = Orthophoto.open(folder / "ortho.tif")
    table = geopandas.read_file(folder / "footpaths.geojson").to_crs(ortho.crs.to_wkt())
    widths = table.get("width_m", [None] * len(table))
    area: shapely.Geometry = shapely.box(*ortho.bounds)
    if (folder / "roi.geojson").is_file():
        roi = geopandas.read_file(folder / "roi.geojson").to_crs(ortho.crs.to_wkt())
        area = roi.geometry.union_all()
    width_m = [float(w) if w is not None and w > 0 else WIDTH_M for w in widths]
    return Traced(ortho, list(table.geometry), width_m, area)


def labelled(traced: Traced) -> Labelled:
    """A traced picture with its paths drawn as wide as they are, their rims left open."""
    west, south, east, north = shapely.bounds(traced.area)
    left, bottom, right, top = traced.ortho.bounds
    bounds = (
        max(left, west - MARGIN_M), max(bottom, south - MARGIN_M),
        min(right, east + MARGIN_M), min(top, north + MARGIN_M),
    )  # fmt: skip
    patch = traced.ortho.read(bounds, READ_GSD_M)
    gsd_m = float(patch.affine.a)
    footpath = np.zeros(patch.valid.shape, np.uint8)
    rims = np.zeros(patch.valid.shape, np.uint8)
    for line, width_m in zip(traced.lines, traced.width_m, strict=True):
        footpath |= drawn(shapely.buffer(line, max(width_m, 1.5 * gsd_m) / 2), patch)
        rims |= drawn(shapely.buffer(line, width_m + max(0.25, gsd_m)), patch)
    ignore = ~patch.valid | (drawn(traced.area, patch) == 0) | ((rims > 0) & (footpath == 0))
    footpath[ignore] = 0
    nothing = np.zeros_like(footpath)
    return Labelled.of(patch, footpath, ignore, plot=nothing, inside=nothing)


def traced_samples(folders: Sequence[Path], size_px: int) -> Source:
    """A source of training pictures out of traced ones, in other colours and other scales."""
    pictures = [labelled(read_traced(folder)) for folder in folders]

    def source(rng: np.random.Generator) -> Sample:
        picture = pictures[int(rng.integers(len(pictures)))]
        enlarged = float(rng.uniform(*ENLARGED))
        canvas = cut_from(picture, size_px, float(rng.uniform(*GSD_M)), rng, enlarged)
        canvas.lab[..., 1:] += rng.normal(0, HUE_SPREAD, 2).astype(np.float32)
        return seen_by_camera(canvas, (True, False, False, False))

    return source
