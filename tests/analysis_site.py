"""A small site for `fencewalk analyze`: a strip of grass with a fence, and boundaries on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine

from fencewalk.cli import main

X0, Y0 = 500_000.0, 3_000_000.0
GSD_M = 0.1


def write_ortho(path: Path, length_m: float = 40.0, **options: Any) -> Path:
    """Grass 40 m wide with a dark fence along y = -20, from x = 0."""
    chance = np.random.default_rng(5)
    rows, columns = 400, round(length_m / GSD_M)
    grass = np.array([80, 110, 60])[:, None, None] + chance.normal(0, 6, (3, rows, columns))
    grass[:, 199:201] -= 45
    bands = options.pop("bands", np.clip(grass, 1, 254).astype(np.uint8))
    values = {
        "crs": "EPSG:32647",
        "transform": Affine(GSD_M, 0, X0, 0, -GSD_M, Y0),
        "photometric": "rgb" if len(bands) >= 3 else "minisblack",
    } | options
    with rasterio.open(
        path, "w", driver="GTiff", count=len(bands), height=bands.shape[1], width=bands.shape[2],
        dtype=bands.dtype, **values,
    ) as file:  # fmt: skip
        file.write(bands)
    return path


def write_lines(path: Path, *lines: list[tuple[float, float]], **columns: Any) -> Path:
    shapes = [shapely.LineString(np.array(line) + np.array([X0, Y0])) for line in lines]
    values = {
        "route": ["G75"] * len(lines), "side": ["left"] * len(lines),
        "chainage_start_m": [12_000.0] * len(lines),
    } | columns  # fmt: skip
    table = geopandas.GeoDataFrame(values, geometry=shapes, crs="EPSG:32647")
    table.to_crs("EPSG:4326").to_file(path, driver="GeoJSON")
    return path


def write_site(folder: Path) -> tuple[Path, Path]:
    """The picture and a boundary drawn roughly along its fence."""
    lines = write_lines(folder / "lines.geojson", [(-15, -20.4), (25, -19.8), (38, -20.2)])
    return write_ortho(folder / "ortho.tif"), lines


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    return int(stop.value.code or 0)
