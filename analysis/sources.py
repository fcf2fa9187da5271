"""What an analysis reads, and what it looks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import shapely

from analysis.exclusions import Exclusion
from corridor import Boundary


@dataclass(frozen=True)
class AnalyzeSpec:
    """What is looked for.

    Attributes:
        outside_m: how far beyond the fence footpaths are looked for.
        inside_m: how far on the road's side, where the other side's fence is not nearer.
        footpaths, fence, plots: whether they are looked for at all.
        least_confidence: footpaths below it are not reported.
    """

    outside_m: float = 60.0
    inside_m: float = 60.0
    footpaths: bool = True
    fence: bool = True
    plots: bool = True
    least_confidence: float = 0.0


@dataclass(frozen=True)
class Sources:
    """The files of one analysis.

    Attributes:
        orthos: one picture or the tiles of one.
        boundaries: the fences as drawn; none for footpaths over the whole picture.
        dsm: a surface model, if there is one.
        area: footpaths are looked for inside this WGS 84 polygon only.
        layers: name to WGS 84 geometries, see `Layers`.
        districts: name to WGS 84 polygon.
        previous: an earlier findings folder.
        oblique: frames, or folders of frames, that look at the fence from the side.
        exclusions: where by design no fence stands.
        files: further files that were read, for run.json.
    """

    orthos: Sequence[Path]
    boundaries: Sequence[Boundary] = ()
    dsm: Path | None = None
    area: shapely.Geometry | None = None
    layers: Mapping[str, Sequence[shapely.Geometry]] | None = None
    districts: Mapping[str, shapely.Geometry] | None = None
    previous: Path | None = None
    oblique: Sequence[Path] = ()
    exclusions: Sequence[Exclusion] = ()
    files: Sequence[Path] = ()
