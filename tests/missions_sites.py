"""Small sites for the planner's tests: a terrain from a formula, lines in metres, one folder."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine

from corridor import LocalFrame, read_boundaries, write_json
from corridor.values import WGS84
from missions.plan_files import PlanFiles, read_plan
from missions.planner import Only, SurveyPlan, plan_survey
from missions.survey import survey_from
from missions.write import write_plan

FRAME = LocalFrame(106.5, 29.5)
Terrain = Callable[[np.ndarray, np.ndarray], np.ndarray]


def flat(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.full(np.shape(x), 300.0)


def write_dem(
    path: Path, terrain: Terrain, cell_m: float = 30.0, half_m: tuple[float, float] = (1500, 900)
) -> Path:
    """A raster of `terrain(x, y)` around the frame's origin."""
    columns, rows = int(2 * half_m[0] / cell_m), int(2 * half_m[1] / cell_m)
    x = -half_m[0] + (np.arange(columns) + 0.5) * cell_m
    y = half_m[1] - (np.arange(rows) + 0.5) * cell_m
    heights = terrain(*np.meshgrid(x, y)).astype(np.float32)
    with rasterio.open(
        path, "w", driver="GTiff", width=columns, height=rows, count=1, dtype="float32",
        crs=FRAME.crs.to_wkt(), transform=Affine(cell_m, 0, -half_m[0], 0, -cell_m, half_m[1]),
        nodata=float("nan"),
    ) as raster:  # fmt: skip
        raster.write(heights, 1)
    return path


def write_lines(
    path: Path, lines: Sequence[tuple[str, str, Sequence[tuple[float, float]]]]
) -> Path:
    """Boundaries from (route, side, points in metres)."""
    features = [
        {
            "type": "Feature",
            "properties": {"route": route, "side": side, "chainage_start_m": 1000.0},
            "geometry": {
                "type": "LineString",
                "coordinates": np.round(FRAME.to_lonlat(np.array(points, float)), 9).tolist(),
            },
        }
        for route, side, points in lines
    ]
    write_json(path, {"type": "FeatureCollection", "features": features})
    return path


def lonlat(x: float, y: float) -> tuple[float, float]:
    lon, lat = FRAME.to_lonlat([[x, y]])[0]
    return float(lon), float(lat)


def launch(x: float, y: float, name: str = "L1") -> dict[str, Any]:
    lon, lat = lonlat(x, y)
    return {"name": name, "lon": lon, "lat": lat}


@dataclass(frozen=True)
class Site:
    """A planned site on disk."""

    folder: Path
    plan: SurveyPlan
    files: PlanFiles
    dem: Path
    document: dict[str, Any]


def plan_site(
    folder: Path,
    terrain: Terrain,
    lines: Sequence[tuple[str, str, Sequence[tuple[float, float]]]],
    survey: dict[str, Any],
    *,
    cell_m: float = 30.0,
    half_m: tuple[float, float] = (1500, 900),
    only: Only | None = None,
) -> Site:
    """Plans and writes; the survey's keys are merged into small defaults."""
    folder.mkdir(parents=True, exist_ok=True)
    dem = write_dem(folder / "dem.tif", terrain, cell_m, half_m)
    boundaries = write_lines(folder / "boundaries.geojson", lines)
    keys: dict[str, Any] = {
        "aircraft": {"preset": "matrice-300"},
        "camera": {"preset": "zenmuse-p1-35"},
        "capture": {"height_m": 50.0},
        "launch": [launch(0.0, -100.0)],
    }
    for section, values in survey.items():
        keys[section] = {**keys.get(section, {}), **values} if isinstance(values, dict) else values
    made = plan_survey(
        read_boundaries(boundaries), survey_from(keys, "survey.toml"), dem, only=only
    )
    document = write_plan(folder / "plan", made, {"boundaries": boundaries, "dem": dem})
    return Site(folder / "plan", made, read_plan(folder / "plan"), dem, document)


def path_of(site: Site, sortie_id: str, step_m: float = 1.0) -> np.ndarray:
    """(N, 3) x, y, height of one sortie's flight every metre, from its waypoint file alone."""
    rows = [
        line.split("\t")
        for line in (site.folder / f"{sortie_id}.waypoints").read_text().splitlines()[1:]
    ]
    home_lat, home_lon = float(rows[0][8]), float(rows[0][9])
    here = np.array([home_lon, home_lat, 0.0])
    points = [here]
    for row in rows[1:]:
        if row[3] in ("16", "22"):
            assert row[2] == "3"
            points.append(np.array([float(row[9]), float(row[8]), float(row[10])]))
    path = []
    for a, b in itertools.pairwise(points):
        count = max(1, int(np.ceil(WGS84.inv(a[0], a[1], b[0], b[1])[2] / step_m)))
        path.append(a + np.linspace(0, 1, count + 1)[:, None] * (b - a))
    track = np.concatenate(path)
    xy = FRAME.to_xy(track[:, :2])
    return np.column_stack([xy, track[:, 2]])


def clearance_of(site: Site, sortie_id: str) -> np.ndarray:
    """(N,) height above the nearest cell and above the bilinear ground, the lesser, every metre."""
    path = path_of(site, sortie_id)
    with rasterio.open(site.dem) as raster:
        heights = raster.read(1).astype(float)
        inverse = ~raster.transform
    column, row = inverse @ (path[:, 0], path[:, 1])
    nearest = heights[np.floor(row).astype(int), np.floor(column).astype(int)]
    c, r = column - 0.5, row - 0.5
    c0, r0 = np.floor(c).astype(int), np.floor(r).astype(int)
    fc, fr = c - c0, r - r0
    bilinear = (
        heights[r0, c0] * (1 - fc) * (1 - fr)
        + heights[r0, c0 + 1] * fc * (1 - fr)
        + heights[r0 + 1, c0] * (1 - fc) * fr
        + heights[r0 + 1, c0 + 1] * fc * fr
    )
    c_home, r_home = inverse @ (path[0, 0], path[0, 1])
    column0, row0 = int(np.floor(c_home - 0.5)), int(np.floor(r_home - 0.5))
    part_c, part_r = c_home - 0.5 - column0, r_home - 0.5 - row0
    home = (
        heights[row0, column0] * (1 - part_c) * (1 - part_r)
        + heights[row0, column0 + 1] * part_c * (1 - part_r)
        + heights[row0 + 1, column0] * (1 - part_c) * part_r
        + heights[row0 + 1, column0 + 1] * part_c * part_r
    )
    away = np.hypot(*(path[:, :2] - path[0, :2]).T) > 1.5
    gap = path[:, 2] + home - np.maximum(nearest, bilinear)
    return gap[away]


def states_m(site: Site, mode: str = "nadir") -> dict[str, float]:
    """Metres by state."""
    totals: dict[str, float] = {}
    for row in site.document["coverage"]:
        if row["mode"] == mode:
            totals[row["state"]] = totals.get(row["state"], 0.0) + row["length_m"]
    return totals
