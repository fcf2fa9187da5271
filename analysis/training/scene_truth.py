"""What is true of a folder that `fencewalk scene` wrote, in its picture's coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import numpy.typing as npt
import shapely
from rasterio.features import rasterize

from analysis.raster import Orthophoto, Patch
from corridor import Side
from corridor.findings import FindingKind, read_findings


@dataclass(frozen=True)
class SceneTruth:
    """A generated scene.

    Attributes:
        folder: with ortho.tif and truth.gpkg.
        ortho: the picture.
    """

    folder: Path
    ortho: Orthophoto

    @classmethod
    def open(cls, folder: Path) -> SceneTruth:
        """Opens a scene's picture."""
        return cls(folder, Orthophoto.open(folder / "ortho.tif"))

    @cached_property
    def plots(self) -> list[shapely.Geometry]:
        """Outlines of the true plots."""
        return [
            shapely.transform(finding.geometry, self.ortho.to_xy)
            for finding in read_findings(self.folder / "truth.gpkg")
            if finding.kind is FindingKind.PLOT
        ]

    @property
    def crowns(self) -> list[shapely.Geometry]:
        """Outlines of trees and bushes."""
        return list(self._layer("crowns").geometry)

    def between_fences(self, inside_m: float, outside_m: float) -> shapely.Geometry:
        """The ground on the road's side of the fences.

        Args:
            inside_m: how far from a fence it reaches.
            outside_m: how far beyond a fence is not of it, though another fence is near.
        """
        inward, outward = [], []
        fences = self._layer("fence_line")
        for line, side in zip(fences.geometry, fences["side"], strict=True):
            left = Side(side).outward  # metres to the left of a line are positive
            inward.append(shapely.buffer(line, -left * inside_m, single_sided=True))
            outward.append(shapely.buffer(line, left * outside_m, single_sided=True))
        return shapely.difference(shapely.union_all(inward), shapely.union_all(outward))

    def _layer(self, name: str) -> Any:
        return geopandas.read_file(self.folder / "truth.gpkg", layer=name).to_crs(
            self.ortho.crs.to_wkt()
        )


def drawn(shapes: Sequence[shapely.Geometry], patch: Patch) -> npt.NDArray[np.uint8]:
    """(H, W) of a window: 1 where the middle of a pixel is in one of the shapes."""
    shapes = [shape for shape in shapes if not shapely.is_empty(shape)]
    if not shapes:
        return np.zeros(patch.valid.shape, np.uint8)
    return np.asarray(
        rasterize(
            [(shape, 1) for shape in shapes], patch.valid.shape, transform=patch.affine,
            dtype="uint8",
        )
    )  # fmt: skip
