"""Boundaries from vector files."""

from __future__ import annotations

from pathlib import Path

import geopandas
import numpy as np
import shapely

from corridor.errors import InputError
from corridor.values import Boundary, Side


def read_boundaries(path: str | Path) -> list[Boundary]:
    """The boundaries of a vector file, in WGS 84.

    Raises:
        InputError: if the file cannot be read as boundaries.
    """
    if not Path(path).is_file():
        raise InputError(path, "no such file")
    frame = geopandas.read_file(path)
    if frame.crs is None:
        raise InputError(path, "carries no CRS")
    frame = frame.to_crs("EPSG:4326")
    boundaries = []
    for row in frame.itertuples():
        lines = shapely.get_parts(row.geometry)
        parts = tuple(np.array(shapely.get_coordinates(line), dtype=np.float64) for line in lines)
        start_m = float(getattr(row, "chainage_start_m", 0.0))
        boundaries.append(
            Boundary(
                route=str(getattr(row, "route", "")),
                side=Side(str(getattr(row, "side", "left"))),
                parts=parts,
                chainage_start_m=(start_m,) * len(parts),
                source=str(path),
            )
        )
    return boundaries
