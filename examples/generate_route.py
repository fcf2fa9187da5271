"""Generates a mountain expressway for trying out the planner: boundaries, elevations, survey.toml.

    python examples/generate_route.py --length-km 151 --seed 1 --out route/
    fencewalk plan route/boundaries.geojson --dem route/dem.tif \\
        --config route/survey.toml --out plan/

The road winds eastwards through ridged terrain (30 m elevations). Where the ground is far above its
grade there is a tunnel, where it is far below a viaduct; every so often an interchange adds a loop
ramp. Launch sites stand beside the road. The same seed gives the same files.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import from_origin
from scipy.ndimage import distance_transform_edt, gaussian_filter

from corridor import LocalFrame, atomic_path, format_station, write_json, write_text

CELL_M = 30.0
STEP_M = 20.0
HALF_ROAD_M = 14.0
LAUNCH_EVERY_M = 2600.0


def centreline(length_m: float, rng: np.random.Generator) -> np.ndarray:
    """(N, 2) a winding line, mostly eastwards, with bends of 500 m radius and more."""
    count = int(length_m / STEP_M) + 1
    noise = gaussian_filter(rng.normal(size=count + 200), 40.0, mode="wrap")[100 : 100 + count]
    heading = 0.9 * noise / max(np.abs(noise).max(), 1e-9)
    heading = gaussian_filter(heading, 8.0)
    steps = STEP_M * np.column_stack([np.cos(heading), np.sin(heading)])
    return np.vstack([[0.0, 0.0], np.cumsum(steps, axis=0)])


def terrain(line: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, float, float]:
    """Ridged heights on a grid around a line; with the west and north edge of the grid."""
    low, high = line.min(axis=0) - 3500.0, line.max(axis=0) + 3500.0
    shape = tuple(np.ceil((high - low)[::-1] / CELL_M).astype(int))
    heights = np.full(shape, 600.0)
    for scale_m, amplitude_m in ((4000.0, 320.0), (1200.0, 90.0), (350.0, 18.0)):
        field = gaussian_filter(rng.normal(size=shape), scale_m / CELL_M / 2.0, mode="wrap")
        field /= field.std()
        heights += amplitude_m * (0.7 - np.abs(field))
    return heights, float(low[0]), float(high[1])


def sample(heights: np.ndarray, west: float, north: float, xy: np.ndarray) -> np.ndarray:
    """Heights of the cells under positions."""
    column = ((xy[:, 0] - west) / CELL_M).astype(int)
    row = ((north - xy[:, 1]) / CELL_M).astype(int)
    return heights[row, column]


def offset(line: np.ndarray, distance_m: float) -> np.ndarray:
    """The line moved to its left."""
    direction = np.gradient(line, axis=0)
    direction /= np.hypot(*direction.T)[:, None]
    return line + distance_m * np.column_stack([-direction[:, 1], direction[:, 0]])


def stretches(mask: np.ndarray, least: int) -> list[tuple[int, int]]:
    """First and last index of runs of True at least so long."""
    edge = np.diff(np.concatenate([[0], mask.astype(int), [0]]))
    runs = zip(np.flatnonzero(edge == 1), np.flatnonzero(edge == -1) - 1, strict=True)
    return [(int(a), int(b)) for a, b in runs if b - a >= least]


def loop_ramp(start: np.ndarray, direction: np.ndarray, radius_m: float = 50.0) -> np.ndarray:
    """A 270° loop to the right, leaving straight on and crossing its own start."""
    right = np.array([direction[1], -direction[0]])
    centre = start + radius_m * right
    angle = np.radians(np.arange(0.0, 271.0, 6.0))[:, None]
    return centre - radius_m * np.cos(angle) * right + radius_m * np.sin(angle) * direction


def generate(length_m: float, seed: int, out: Path) -> None:
    """Writes boundaries.geojson, dem.tif and survey.toml."""
    rng = np.random.default_rng(seed)
    line = centreline(length_m, rng)
    heights, west, north = terrain(line, rng)
    ground = sample(heights, west, north, line)
    grade = gaussian_filter(ground, 500.0 / STEP_M, mode="nearest")
    tunnel = stretches(ground - grade > 60.0, 8)
    viaduct = stretches(grade - ground > 45.0, 5)
    open_air = np.ones(len(line), dtype=bool)
    for first, last in [*tunnel, *viaduct]:
        open_air[first : last + 1] = False
    # Cuttings and banks: within 60 m of an open road the ground takes the road's grade.
    column = np.clip(((line[:, 0] - west) / CELL_M).astype(int), 0, heights.shape[1] - 1)
    row = np.clip(((north - line[:, 1]) / CELL_M).astype(int), 0, heights.shape[0] - 1)
    road = np.full(heights.shape, np.nan)
    road[row[open_air], column[open_air]] = grade[open_air]
    missing = np.isnan(road)
    away, nearest = distance_transform_edt(missing, return_indices=True)
    level = road[tuple(nearest)]
    weight = np.clip((away * CELL_M - 60.0) / 150.0, 0.0, 1.0)
    heights = weight * heights + (1.0 - weight) * level

    frame = LocalFrame(106.5, 29.5)
    middle = (line.min(axis=0) + line.max(axis=0)) / 2.0
    features = []
    for side, sign in (("left", 1.0), ("right", -1.0)):
        lonlat = frame.to_lonlat(offset(line, sign * HALF_ROAD_M) - middle)
        features.append(feature("G00", side, lonlat))
    ramps = []
    for k in range(400, len(line) - 60, 750):
        if open_air[k - 30 : k + 60].all():
            direction = (line[k + 1] - line[k]) / STEP_M
            start = line[k] + 30.0 * np.array([direction[1], -direction[0]])
            ramps.append(loop_ramp(start, direction))
    for number, ramp in enumerate(ramps, start=1):
        name = f"G00-R{number}"
        features.append(feature(name, "left", frame.to_lonlat(ramp - middle)))

    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "boundaries.geojson", {"type": "FeatureCollection", "features": features})
    with atomic_path(out / "dem.tif") as partial, rasterio.open(
        partial, "w", driver="GTiff", width=heights.shape[1], height=heights.shape[0], count=1,
        dtype="float32", crs=frame.crs.to_wkt(), tiled=True, compress="deflate",
        transform=from_origin(west - middle[0], north - middle[1], CELL_M, CELL_M),
    ) as raster:  # fmt: skip
        raster.write(heights.astype(np.float32), 1)
    write_text(out / "survey.toml", survey_toml(line, middle, frame, tunnel, viaduct))
    print(json.dumps({
        "length_m": round(float(STEP_M * (len(line) - 1))), "ramps": len(ramps),
        "tunnels": len(tunnel), "viaducts": len(viaduct),
    }))  # fmt: skip


def feature(route: str, side: str, lonlat: np.ndarray) -> dict[str, object]:
    """One boundary."""
    return {
        "type": "Feature",
        "properties": {"route": route, "side": side, "chainage_start_m": 1000.0},
        "geometry": {"type": "LineString", "coordinates": np.round(lonlat, 8).tolist()},
    }


def survey_toml(
    line: np.ndarray, middle: np.ndarray, frame: LocalFrame, tunnel: list[tuple[int, int]],
    viaduct: list[tuple[int, int]],
) -> str:  # fmt: skip
    """The survey's configuration: exclusions, launch sites, teams."""
    text = [
        "# Generated by examples/generate_route.py",
        '[aircraft]\npreset = "matrice-300"\n',
        '[camera]\npreset = "zenmuse-p1-35"\n',
        "[capture]\nheight_m = 60.0\nforward_overlap_frac = 0.7\n",
        "[safety]\nclearance_m = 20.0\ndem_error_m = 5.0\nmax_distance_m = 3500.0\n",
        '[schedule]\nstart = "2026-03-02"\ndays = 30\n',
        '[[team]]\nname = "A"\n\n[[team]]\nname = "B"\n\n[[team]]\nname = "C"\n',
    ]
    chainage = 1000.0 + STEP_M * np.arange(len(line))
    for kind, found in (("tunnel", tunnel), ("viaduct", viaduct)):
        for first, last in found:
            start = format_station(chainage[first], 1)
            end = format_station(chainage[last], 1)
            text.append(
                f'[[exclusion]]\nkind = "{kind}"\nroute = "G00"\nstart = "{start}"\nend = "{end}"\n'
            )
    every = int(LAUNCH_EVERY_M / STEP_M)
    for number, k in enumerate(range(every // 2, len(line), every), start=1):
        direction = (line[min(k + 1, len(line) - 1)] - line[k - 1]) / (2 * STEP_M)
        place = line[k] + 45.0 * np.array([-direction[1], direction[0]]) - middle
        lon, lat = frame.to_lonlat(place)[0]
        text.append(f'[[launch]]\nname = "L{number}"\nlon = {lon:.7f}\nlat = {lat:.7f}\n')
    return "\n".join(text)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Generate a mountain expressway.")
    parser.add_argument("--length-km", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    generate(arguments.length_km * 1000.0, arguments.seed, arguments.out)


if __name__ == "__main__":
    main()
