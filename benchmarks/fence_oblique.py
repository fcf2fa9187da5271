"""Holes in the mesh: how many are found from above, with footpaths, and from the side.

    python benchmarks/fence_oblique.py [--seeds 10101-10103] [--length 150] [--keep FOLDER]
                                       [--fence KIND] [--receiver rtk]

For each seed a generated scene is planned, flown by the stand-in and photographed obliquely, as
`fencewalk plan --modes oblique` and `fencewalk fly --camera` do, at 5 mm a pixel on the fence's
plane; the scene's own orthophoto is then analysed without the frames, with footpaths, and with
both, and scored. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import shapely

from analysis.score import Score, pooled, read_stated, score_pair
from corridor import Side, read_boundaries
from corridor.findings import BreachType
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
    parser.add_argument("--keep", type=Path)
    given = parser.parse_args()
    first, _, last = given.seeds.partition("-")
    scores: dict[str, list[Score]] = {way: [] for way in WAYS}
    cpu_s = dict.fromkeys(WAYS, 0.0)
    with tempfile.TemporaryDirectory() as scratch:
        for seed in range(int(first), int(last or first) + 1):
            folder = (given.keep or Path(scratch)) / str(seed)
            scene = folder / "scene"
            if not (scene / "truth.gpkg").is_file():
                spec = SceneSpec(seed=seed, length_m=given.length, band_m=BAND_M, fence=given.fence)
                generate(spec, scene)
            if not (folder / "flight" / "frames" / "photos.csv").is_file():
                photograph(scene, folder, given.receiver)
            for way, options in WAYS.items():
                start_s = time.process_time()
                scores[way] += look(scene, folder, way, options)
                cpu_s[way] += time.process_time() - start_s
            print(f"{seed}: done", flush=True)
    print("\n".join(table(scores, cpu_s)))


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


def table(scores: dict[str, list[Score]], cpu_s: dict[str, float]) -> list[str]:
    """Recall by type and false alarms, a row a way."""
    lines = [
        "| | holes 0.6-1.2 m | smaller holes | gaps and collapsed ≥ 1 m | false per km | CPU s |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for way, own in scores.items():
        tally = pooled(own).breaches
        if tally is None:
            continue
        groups: list[list[bool]] = [[], [], []]
        for event in tally.events:
            if not event.is_visible:
                continue
            if event.breach_type is BreachType.HOLE:
                groups[0 if event.length_m >= 0.6 else 1].append(bool(event.found_by))
            elif event.length_m >= 1.0:
                groups[2].append(bool(event.found_by))
        said = [f"{sum(each)} of {len(each)}" for each in groups]
        false = tally.false_alarms_per_km
        lines.append(
            f"| {way} | {' | '.join(said)} | {'–' if false is None else f'{false:.1f}'} | "
            f"{cpu_s[way]:.0f} |"
        )
    return lines


if __name__ == "__main__":
    main()
