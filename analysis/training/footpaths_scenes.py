"""Training pictures cut from folders that `fencewalk scene` wrote."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import geopandas
import numpy as np
import numpy.typing as npt
import shapely
from rasterio.features import rasterize

from analysis.raster import Orthophoto, Patch
from analysis.training.footpaths_ground import Canvas
from analysis.training.footpaths_paint import Sample, seen_by_camera
from analysis.training.footpaths_visible import LEAST_SEEN, contrast
from analysis.training.parked import parked
from corridor.findings import FindingKind, read_findings

Array = npt.NDArray[Any]

READ_GSD_M = 0.06
INSIDE_M = 25.0
"""How far on the road's side of a fence it is known what is a plot and what is none."""
LOOK_AGAIN = 0.01
"""How often it is looked whether scenes were added."""
GSD_M = (0.075, 0.15)
"""Metres per pixel of training pictures."""
ABOUT_PATH = 0.7
"""Share of the squares that lie about a path, where there is one."""
FOOTPATH, KNOWN, PLOT, INSIDE = 1, 2, 4, 8
"""In `Labelled.what`: a footpath, where something is to be learned, a plot, and where it is known
what is a plot."""
LEAST_VISIBLE_FRAC = 0.3
"""A path that is hidden for most of its length teaches nothing where it is hidden."""


@dataclass(frozen=True)
class Labelled:
    """A picture with what is where, to cut training pictures from.

    Attributes:
        rgb: (rows, columns, 3) uint8.
        what: (rows, columns) uint8, the sum of those of `FOOTPATH`, `KNOWN`, `PLOT` and `INSIDE`
            that hold.
        on_path: (n, 2) rows and columns of pixels of footpath.
        gsd_m: metres per pixel.
    """

    rgb: Array
    what: Array
    on_path: Array
    gsd_m: float

    @classmethod
    def of(
        cls, patch: Patch, footpath: Array, ignore: Array, plot: Array, inside: Array
    ) -> Labelled:
        """A picture and where (rows, columns) what is, or nothing is to be learned."""
        what = (
            FOOTPATH * (footpath > 0) + KNOWN * ~ignore + PLOT * (plot > 0) + INSIDE * (inside > 0)
        )
        places = np.argwhere((footpath > 0) & ~ignore).astype(np.int32)
        return cls(parked(patch.rgb), parked(what.astype(np.uint8)), places, float(patch.affine.a))


def _read(folder: Path) -> Labelled:
    ortho = Orthophoto.open(folder / "ortho.tif")
    patch = ortho.read(None, READ_GSD_M)
    footpath = np.zeros(patch.valid.shape, np.uint8)
    ignore = ~patch.valid
    tables = [f for f in read_findings(folder / "truth.gpkg") if f.kind is FindingKind.FOOTPATH]
    for finding in tables:
        line = shapely.LineString(ortho.to_xy(shapely.get_coordinates(finding.geometry)))
        width_m = finding.width_m or 0.6
        core = drawn(line.buffer(max(width_m, 0.25) / 2), patch)
        rim = drawn(line.buffer(width_m + 0.2), patch)
        ignore |= (rim > 0) & (core == 0)
        visible = finding.extra.get("visible_frac")
        if isinstance(visible, float) and visible < LEAST_VISIBLE_FRAC:
            ignore |= core > 0
        footpath |= core
    shapes = [
        shapely.transform(f.geometry, ortho.to_xy)
        for f in read_findings(folder / "truth.gpkg")
        if f.kind is FindingKind.PLOT
    ]
    plot = drawn(shapely.union_all(shapes), patch) if shapes else np.zeros_like(footpath)
    fences = geopandas.read_file(folder / "truth.gpkg", layer="fence_line").to_crs(
        ortho.crs.to_wkt()
    )
    inward = [
        shapely.buffer(line, -INSIDE_M if side == "left" else INSIDE_M, single_sided=True)
        for line, side in zip(fences.geometry, fences["side"], strict=True)
    ]
    # Beyond the fence lie fields that are no plots, and look like them.
    inside = drawn(shapely.union_all([*inward, *shapely.buffer(shapes, 3.0)]), patch)
    crowns = geopandas.read_file(folder / "truth.gpkg", layer="crowns").to_crs(ortho.crs.to_wkt())
    if len(crowns):
        hidden = drawn(shapely.union_all(crowns.geometry.to_numpy()), patch)
        ignore |= (hidden > 0) & ((footpath > 0) | (plot > 0))
    ignore |= (footpath > 0) & (
        contrast(patch.rgb, footpath > 0, ~ignore, patch.affine.a) < LEAST_SEEN
    )
    return Labelled.of(patch, footpath, ignore, plot, inside)


def drawn(shape: shapely.Geometry, patch: Patch) -> Array:
    """A shape as pixels of a patch: uint8, 1 where it covers their middle."""
    return np.asarray(
        rasterize([(shape, 1)], patch.valid.shape, transform=patch.affine, dtype="uint8")
    )


def scene_samples(folders: Sequence[Path], size_px: int) -> Callable[[np.random.Generator], Sample]:
    """A source of pictures out of generated scenes, each seen through another camera.

    Footpaths are learned from them; what else there is built is no footpath, and more is not told.

    Args:
        folders: each with ortho.tif, truth.gpkg and scene.json, or with such folders in it, where
            new ones may turn up while they are read.
        size_px: of the pictures.
    """
    scenes: dict[Path, Labelled] = {}

    def look() -> None:
        """Reads what is new."""
        for folder in folders:
            for done in sorted([*folder.glob("scene.json"), *folder.glob("*/scene.json")]):
                if done.parent not in scenes:
                    scenes[done.parent] = _read(done.parent)

    look()

    def source(rng: np.random.Generator) -> Sample:
        if rng.random() < LOOK_AGAIN:
            look()
        scene = list(scenes.values())[int(rng.integers(len(scenes)))]
        canvas = cut_from(scene, size_px, float(rng.uniform(*GSD_M)), rng)
        return seen_by_camera(canvas, (True, False, False, True))

    return source


def cut_from(
    picture: Labelled, size_px: int, gsd_m: float, rng: np.random.Generator, enlarged: float = 1.0
) -> Canvas:
    """A square of a picture, turned anyhow, more often than not about a path.

    Args:
        picture: to cut from.
        size_px: of the square.
        gsd_m: metres per pixel of it.
        rng: what chooses.
        enlarged: how much larger things are made than they are.
    """
    rows, columns = picture.what.shape
    centre = rng.uniform(0, 1, 2) * (rows, columns)
    places = picture.on_path
    scale = picture.gsd_m / gsd_m * enlarged
    if len(places) and rng.random() < ABOUT_PATH:
        spread = 0.3 * size_px / scale
        centre = places[rng.integers(len(places))] + rng.normal(0, spread, 2)
    turn = cv2.getRotationMatrix2D(
        (float(centre[1]), float(centre[0])), float(rng.uniform(0, 360)), scale
    )
    turn[:, 2] += size_px / 2 - centre[::-1]

    def cut(plane: Array, how: int, border: int) -> Array:
        return np.asarray(
            cv2.warpAffine(plane, turn, (size_px, size_px), flags=how, borderMode=border)
        )

    rgb = cut(picture.rgb, cv2.INTER_LINEAR, cv2.BORDER_REFLECT_101).astype(np.float32) / 255
    what = cut(picture.what, cv2.INTER_NEAREST, cv2.BORDER_CONSTANT)
    canvas = Canvas(cv2.cvtColor(rgb, cv2.COLOR_RGB2Lab), gsd_m, rng)
    canvas.footpath = ((what & FOOTPATH) > 0).astype(np.float32)
    canvas.ignore |= (what & KNOWN) == 0
    canvas.plot = ((what & PLOT) > 0).astype(np.float32)
    canvas.like_plot |= (what & INSIDE) == 0
    return canvas
