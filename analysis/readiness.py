"""A process of a crew gets ready: it rehearses on a small picture while others open the large one.

Code is loaded, networks are read, compiled functions fetched, all of which takes a second or two.
"""

from __future__ import annotations

import tempfile
from pathlib import Path


def get_ready(fence: bool = True, footpaths: bool = True) -> None:
    """Does what will be done again and again, once.

    Args:
        fence, footpaths: whether they are looked for.
    """
    import analysis.picture_work  # noqa: F401

    with tempfile.TemporaryDirectory() as folder:
        picture = _picture(Path(folder))
        if footpaths:
            _look_for_footpaths(picture)
        if fence:
            _look_for_fence(picture)


_SIDE_PX, _PIXEL_M = 240, 0.05


def _picture(folder: Path) -> Path:
    import numpy as np
    import rasterio
    from rasterio.transform import from_origin

    path = folder / "small.tif"
    profile = {
        "driver": "GTiff", "width": _SIDE_PX, "height": _SIDE_PX, "count": 3, "dtype": "uint8",
        "crs": "EPSG:32648", "transform": from_origin(500_000, 3_000_000, _PIXEL_M, _PIXEL_M),
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as file:
        file.write(np.random.default_rng(0).integers(90, 110, (3, _SIDE_PX, _SIDE_PX), np.uint8))
    return path


def _look_for_footpaths(picture: Path) -> None:
    from analysis.footpath_work import footpath_work
    from analysis.raster import Orthophoto
    from analysis.sources import AnalyzeSpec, Sources

    sources = Sources(orthos=(picture,))
    for piece in footpath_work(Orthophoto.open(picture), sources, AnalyzeSpec()):
        piece.work(*piece.arguments)


def _look_for_fence(picture: Path) -> None:
    import numpy as np

    from analysis.fence_sections import answer_piece
    from analysis.raster import Orthophoto
    from corridor import Boundary, Side

    ortho = Orthophoto.open(picture)
    west, south, east, north = ortho.bounds
    ends = np.array([[west, (south + north) / 2], [east, (south + north) / 2]])
    line = Boundary("G1", Side.LEFT, (ortho.to_lonlat(ends),), (0.0,))
    answer_piece((picture,), line, 0, 0, 0)
