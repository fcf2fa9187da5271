"""How well each place was seen, by the contributions that stand beside an orthophoto.

`fencewalk orthophoto` writes them: which frame each place was taken from, from what angle, how
coarse that frame's pixel was there. A mosaic's own pixel says nothing of that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
from pyproj import CRS, Transformer
from rasterio.errors import RasterioError
from rasterio.windows import Window

from analysis.fence_work import Breach, FenceResult, Stretch, laid_over
from analysis.raster import Orthophoto
from corridor import InputError, Track
from corridor.findings import FenceState
from corridor.values import FloatArray

BANDS = ("frame", "view_angle_deg", "gsd_m")
"""Of a file of contributions, docs/imagery.md."""
_COARSEST_M = 0.08
"""As of an orthophoto's own pixels: rails and posts, the finest parts, are 5 to 10 cm."""
_STEEPEST_DEG = 45.0
"""Further off straight down a fence leans in the picture by more than its height, which is more
than it was ever trained on."""
_STEP_M = 0.25
_LEAST_M = 0.5
"""A stretch seen badly is told from this length on: two cells of the raster."""
_CHUNK_M = 200.0


@dataclass(frozen=True)
class Contributions:
    """The contributions of one or several orthophotos, in their order."""

    paths: tuple[Path, ...]

    @classmethod
    def beside(cls, ortho: Orthophoto) -> Contributions | None:
        """Those that stand beside the files of an orthophoto; None if none does.

        Raises:
            InputError: if a file of that name holds something else.
        """
        beside = [path.with_name(f"{path.stem}.contributions.tif") for path in ortho.paths]
        found = [path for path in beside if path.is_file()]
        for path in found:
            try:
                with rasterio.open(path) as dataset:
                    given = tuple(name or "?" for name in dataset.descriptions)
                    placed = dataset.crs is not None
            except RasterioError as error:
                raise InputError(path, "is no raster that can be read", _ALLOWED) from error
            if given != BANDS:
                raise InputError(path, f"has the bands {', '.join(given)}", _ALLOWED)
            if not placed:
                raise InputError(path, "carries no CRS", _ALLOWED)
        return cls(tuple(found)) if found else None

    def at(self, crs: CRS, xy: FloatArray) -> tuple[FloatArray, FloatArray, npt.NDArray[np.bool_]]:
        """View angle in degrees and frame's pixel in metres at points (N, 2) of `crs`.

        Returns:
            Both NaN where no frame saw the point; and (N,) whether any file speaks of it.
        """
        angle, gsd_m = np.full(len(xy), np.nan), np.full(len(xy), np.nan)
        told = np.zeros(len(xy), np.bool_)
        for path in self.paths:
            with rasterio.open(path) as dataset:
                x, y = Transformer.from_crs(crs, dataset.crs.to_wkt(), always_xy=True).transform(
                    xy[:, 0], xy[:, 1]
                )
                column, row = ~dataset.transform @ (np.asarray(x), np.asarray(y))
                column = np.floor(column).astype(np.int64)
                row = np.floor(row).astype(np.int64)
                inside = (column >= 0) & (column < dataset.width)
                inside &= (row >= 0) & (row < dataset.height) & ~told
                if not inside.any():
                    continue
                left, top = int(column[inside].min()), int(row[inside].min())
                width = int(column[inside].max()) - left + 1
                height = int(row[inside].max()) - top + 1
                window = Window(left, top, width, height)
                bands = dataset.read([2, 3], window=window)
            here = bands[:, row[inside] - top, column[inside] - left]
            angle[inside], gsd_m[inside] = here
            told |= inside
        return angle, gsd_m, told


_ALLOWED = f"bands {', '.join(BANDS)} as `fencewalk orthophoto` writes them, or no such file"


def with_view(ortho: Orthophoto, fence: FenceResult, seen_by: Contributions | None) -> FenceResult:
    """The fence with what was not seen well enough called so, and how each breach was seen.

    Not seen: no frame shows the place; its frame looks more than 45 degrees off straight down; or
    the frame's pixel, as long as it lies on slanted ground (GSD / cos of the angle), is coarser
    than 8 cm. A breach that mostly lies in such a stretch is none.
    """
    if seen_by is None:
        return fence
    track = Track(fence.xy, fence.chainage_m)
    first_m, last_m = float(fence.chainage_m[0]), float(fence.chainage_m[-1])
    count = max(1, math.ceil((last_m - first_m) / _STEP_M))
    edges = np.linspace(first_m, last_m, count + 1)
    middle = (edges[1:] + edges[:-1]) / 2
    angle, gsd_m = np.full(count, np.nan), np.full(count, np.nan)
    told = np.zeros(count, np.bool_)
    step = round(_CHUNK_M / _STEP_M)
    for begin in range(0, count, step):
        part = slice(begin, begin + step)
        angle[part], gsd_m[part], told[part] = seen_by.at(ortho.crs, track.at(middle[part]))
    missing = told & ~(np.isfinite(angle) & np.isfinite(gsd_m))
    with np.errstate(invalid="ignore"):
        oblique = told & (angle > _STEEPEST_DEG)
        coarse = told & (gsd_m / np.cos(np.radians(angle)) > _COARSEST_M) & ~oblique
    for bad, reason in (
        (missing, "no frame shows it"),
        (oblique, f"seen from more than {_STEEPEST_DEG:.0f} degrees off straight down"),
        (coarse, f"the frames' pixels are coarser than {100 * _COARSEST_M:.0f} cm there"),
    ):
        for start, end in _runs(bad):
            start_m, end_m = float(edges[start]), float(edges[end])
            if end_m - start_m >= min(_LEAST_M, last_m - first_m):
                fence = _unseen(fence, start_m, end_m, reason)
    breaches = []
    for breach in fence.breaches:
        inside = (edges[1:] > breach.start_m) & (edges[:-1] < breach.end_m) & np.isfinite(angle)
        if inside.any():
            view = {
                "view_angle_deg": round(float(np.median(angle[inside])), 1),
                "frame_gsd_m": round(float(np.median(gsd_m[inside])), 4),
            }
            breach = replace(breach, seen=view)
        breaches.append(breach)
    return replace(fence, breaches=tuple(breaches))


def _runs(bad: npt.NDArray[np.bool_]) -> Sequence[tuple[int, int]]:
    ends = np.flatnonzero(np.diff(np.concatenate([[0], bad.astype(np.int8), [0]])))
    return [(int(start), int(end)) for start, end in ends.reshape(-1, 2)]


def _unseen(fence: FenceResult, start_m: float, end_m: float, reason: str) -> FenceResult:
    stretches: tuple[Stretch, ...] = fence.stretches
    for each in fence.stretches:
        low_m, high_m = max(each.start_m, start_m), min(each.end_m, end_m)
        judged = each.state not in (FenceState.NO_FENCE, FenceState.UNSEEN)
        if judged and high_m > low_m:
            into = Stretch(low_m, high_m, FenceState.UNSEEN, 1.0, reason)
            stretches = laid_over(stretches, into)

    def stands(breach: Breach) -> bool:
        shared_m = min(breach.end_m, end_m) - max(breach.start_m, start_m)
        return shared_m < 0.5 * (breach.end_m - breach.start_m)

    kept = tuple(breach for breach in fence.breaches if stands(breach))
    gone = [breach for breach in fence.breaches if not stands(breach)]
    for breach in gone:
        # Its rest, which was seen, is too little to call.
        for each in stretches:
            same = each.state is FenceState.BREACH
            if same and breach.start_m <= each.start_m and each.end_m <= breach.end_m:
                into = replace(each, state=FenceState.UNSEEN, confidence=1.0, reason=reason)
                stretches = laid_over(stretches, into)
    return replace(fence, stretches=stretches, breaches=kept)
