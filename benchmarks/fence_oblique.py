"""Holes in the mesh: how many are found from above, with footpaths, and from the side.

    python benchmarks/fence_oblique.py [--seeds 10101-10103] [--length 150] [--keep FOLDER]
                                       [--fence KIND] [--receiver rtk] [--cut-every 9]

For each seed a generated scene is planned, flown by the stand-in and photographed obliquely, as
`fencewalk plan --modes oblique` and `fencewalk fly --camera` do, at 5 mm a pixel on the fence's
plane; the scene's own orthophoto is then analysed without the frames, with footpaths, and with
both, and scored. Prints a table in Markdown.

A scene of 150 m has two or three holes. So that the share found is known better, further ones of
0.6 to 1.2 m are cut into the standing fence every few metres: into the truth, from which the
simulated camera draws the fence. The orthophoto, in which such a hole shows next to nothing, is
left as it is. `in sight` are holes that two frames see past everything in the surface model.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import rasterio
import shapely
import shapely.ops

from analysis.oblique import read_oblique
from analysis.raster import Orthophoto
from analysis.score import BreachEvent, Score, pooled, read_stated, score_pair
from corridor import Side, read_boundaries
from corridor.camera import inside, project
from corridor.findings import BreachType, read_findings
from fencewalk.cli import main as fencewalk
from scenes import FenceKind, SceneSpec, generate

BAND_M = 15.0
SURVEY = """
[camera]
preset = "zenmuse-p1-35"
focal_length_mm = 100.0
image_width_px = 2731
image_height_px = 1820
[capture]
modes = ["oblique"]
gsd_m = 0.005
"""
"""A ninth of what that camera takes with its 35 mm lens, as fine on the fence."""
WAYS: dict[str, Sequence[str]] = {
    "from above": ("--only", "fence"),
    "from above, with footpaths": ("--only", "fence", "--only", "footpaths"),
    "with frames from the side": ("--only", "fence", "--only", "footpaths", "--oblique"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", default="10101-10103")
    parser.add_argument("--length", type=float, default=150.0)
    parser.add_argument("--fence", type=FenceKind)
    parser.add_argument("--receiver", default="rtk")
    parser.add_argument("--cut-every", type=float, default=9.0, help="metres; 0 cuts none")
    parser.add_argument("--only-fly", action="store_true", help="photograph, and analyse later")
    parser.add_argument("--keep", type=Path)
    given = parser.parse_args()
    first, _, last = given.seeds.partition("-")
    scores: dict[str, list[Score]] = {way: [] for way in WAYS}
    cpu_s = dict.fromkeys(WAYS, 0.0)
    sights: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for seed in range(int(first), int(last or first) + 1):
            folder = (given.keep or Path(scratch)) / str(seed)
            scene = folder / "scene"
            if not (scene / "truth.gpkg").is_file():
                spec = SceneSpec(seed=seed, length_m=given.length, band_m=BAND_M, fence=given.fence)
                generate(spec, scene)
                if given.cut_every > 0:
                    cut_holes(scene, given.cut_every, seed)
            if not (folder / "flight" / "frames" / "photos.csv").is_file():
                photograph(scene, folder, given.receiver)
            if given.only_fly:
                continue
            sights |= in_sight(scene, folder / "flight" / "frames")
            for way, options in WAYS.items():
                start_s = time.process_time()
                scores[way] += look(scene, folder, way, options)
                cpu_s[way] += time.process_time() - start_s
            print(f"{seed}: done", flush=True)
    if not given.only_fly:
        print("\n".join(table(scores, cpu_s, sights)))


def cut_holes(scene: Path, every_m: float, seed: int) -> None:
    """Adds holes to a scene's truth, clear of its own breaches."""
    truth = scene / "truth.gpkg"
    shutil.copy(truth, scene / "truth-as-generated.gpkg")
    ortho = Orthophoto.open(scene / "ortho.tif")
    own = geopandas.read_file(truth, layer="findings")
    lines = geopandas.read_file(truth, layer="fence_line").to_crs(ortho.crs)
    chance = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for boundary in read_boundaries(scene / "boundaries.geojson"):
        drawn = ortho.track(boundary, 0)
        fence = lines[lines.side == boundary.side.value].geometry.iloc[0]
        broken = own[(own.kind == "breach") & (own.side == boundary.side.value)]
        first_m, last_m = drawn.chainage_m[0] + 6.0, drawn.chainage_m[-1] - 6.0
        for station_m in np.arange(first_m, last_m, every_m):
            start_m = station_m + chance.uniform(-2.5, 2.5)
            length_m = chance.uniform(0.6, 1.2)
            near = (broken.chainage_start_m - 2.5 < start_m + length_m) & (
                start_m - 2.5 < broken.chainage_end_m
            )
            if near.any():
                continue
            along_m = fence.project(shapely.Point(drawn.at(start_m).ravel()))
            piece = shapely.ops.substring(fence, along_m, along_m + length_m)
            rows.append({
                "finding_id": f"cut-{boundary.side.value}-{len(rows) + 1}", "kind": "breach",
                "breach_type": "hole", "confidence": 1.0, "severity": 3, "route": boundary.route,
                "side": boundary.side.value, "chainage_start_m": start_m,
                "chainage_end_m": start_m + length_m, "length_m": length_m, "visible_frac": 1.0,
                "variety": "cut for this benchmark",
                "geometry": geopandas.GeoSeries([piece], crs=ortho.crs).to_crs(own.crs).iloc[0],
            })  # fmt: skip
    cut = geopandas.GeoDataFrame(rows, crs=own.crs).reindex(columns=own.columns)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of columns that hold nothing
        both = pd.concat([own, cut], ignore_index=True)
    geopandas.GeoDataFrame(both, crs=own.crs).to_file(truth, layer="findings", driver="GPKG")


def in_sight(scene: Path, frames: Path) -> dict[str, int]:
    """By hole, how many frames see its middle and its ends past all that the surface shows."""
    ortho = Orthophoto.open(scene / "ortho.tif")
    shots = read_oblique([frames], ortho)
    counts = {}
    with rasterio.open(scene / "dsm.tif") as file:
        surface, grid = file.read(1), ~file.transform
    with rasterio.open(scene / "dem.tif") as file:
        ground, ground_grid = file.read(1), ~file.transform
    for finding in read_findings(scene / "truth.gpkg"):
        if finding.breach_type is not BreachType.HOLE:
            continue
        line = shapely.LineString(ortho.to_xy(shapely.get_coordinates(finding.geometry)))
        xy = shapely.get_coordinates(
            shapely.line_interpolate_point(line, [0.1, 0.5, 0.9], normalized=True)
        )
        column, row = (ground_grid @ (xy[:, 0], xy[:, 1]))[:2]
        z = ground[row.astype(int), column.astype(int)] + 0.7
        points = np.column_stack([xy, z])
        counts[f"{scene}/{finding.finding_id}"] = 0
        for shot in shots:
            if not inside(shot.camera, project(shot.camera, shot.pose, points), 2.0).all():
                continue
            ray = shot.pose.position_m - points
            if np.linalg.norm(ray[1]) / shot.camera.focal_x_px > 0.015:
                continue
            reach_m = np.hypot(ray[:, 0], ray[:, 1])
            share = np.arange(0.5, 40.0, 0.1)[:, None] / reach_m
            on_way = points + np.minimum(share, 1.0)[..., None] * ray
            column, row = grid @ (on_way[..., 0], on_way[..., 1])
            row = np.clip(row.astype(int), 0, surface.shape[0] - 1)
            column = np.clip(column.astype(int), 0, surface.shape[1] - 1)
            counts[f"{scene}/{finding.finding_id}"] += bool(
                (surface[row, column] <= on_way[..., 2]).all()
            )
    return counts


def photograph(scene: Path, folder: Path, receiver: str) -> None:
    """Plans, flies and photographs the scene's fences from the side."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "survey.toml").write_text(SURVEY, encoding="utf-8")
    line = shapely.LineString(read_boundaries(scene / "boundaries.geojson")[0].parts[0])
    launch = line.interpolate(0.5, normalized=True)
    run(
        "plan", scene / "boundaries.geojson", "--config", folder / "survey.toml",
        "--dem", scene / "planning_dem.tif", "--launch", f"{launch.x:.6f},{launch.y:.6f}",
        "--out", folder / "plan",
    )  # fmt: skip
    run(
        "fly", folder / "plan", "--vehicle", "stand-in", "--camera", scene,
        "--receiver", receiver, "--out", folder / "flight",
    )  # fmt: skip


def look(scene: Path, folder: Path, way: str, options: Sequence[str]) -> list[Score]:
    """Analyses the scene in one of the ways; its sides' scores."""
    out = folder / f"findings-{list(WAYS).index(way)}"
    frames = [folder / "flight" / "frames"] if "--oblique" in options else []
    run(
        "analyze", scene / "ortho.tif", "--boundaries", scene / "boundaries.geojson",
        "--dsm", scene / "dsm.tif", *options, *frames, "--out", out,
    )  # fmt: skip
    found, truth = read_stated(out), read_stated(scene, "truth.gpkg")
    return [score_pair(found.on(side), truth.on(side)) for side in Side]


def run(*order: object) -> None:
    """A command; one that only asks for attention has done its work."""
    try:
        fencewalk([str(word) for word in order])
    except SystemExit as stopped:
        if stopped.code not in (0, 1, None):
            raise


def table(
    scores: dict[str, list[Score]], cpu_s: dict[str, float], sights: dict[str, int]
) -> list[str]:
    """Recall by type and false alarms, a row a way."""
    lines = [
        "| | holes 0.6-1.2 m | of these in sight | smaller holes | gaps and collapsed ≥ 1 m "
        "| false per km | CPU s |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]

    def sight(event: BreachEvent) -> int:
        return sights.get(f"{Path(event.source).parent}/{event.finding_id}", 0)

    for way, own in scores.items():
        tally = pooled(own).breaches
        if tally is None:
            continue
        groups: list[list[bool]] = [[], [], [], []]
        for event in tally.events:
            if not event.is_visible:
                continue
            found = bool(event.found_by)
            if event.breach_type is BreachType.HOLE:
                large = event.length_m >= 0.6
                groups[0 if large else 2].append(found)
                if large and sight(event) >= 2:
                    groups[1].append(found)
            elif event.length_m >= 1.0:
                groups[3].append(found)
        said = [f"{sum(each)} of {len(each)}" for each in groups]
        false = tally.false_alarms_per_km
        lines.append(
            f"| {way} | {' | '.join(said)} | {'–' if false is None else f'{false:.1f}'} | "
            f"{cpu_s[way]:.0f} |"
        )
    return lines


if __name__ == "__main__":
    main()
