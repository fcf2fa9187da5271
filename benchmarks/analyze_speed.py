"""Speed of `fencewalk analyze` for the state of the fence, against GDAL reading the same windows.

    python benchmarks/analyze_speed.py [--scene FOLDER] [--copies 33] [--jobs 2]

Without a scene, one is generated (300 m of road, both fences, 2 cm, difficulty real). Prints:

1. processor seconds per kilometre of fence, all of `analyze` but footpaths and plots, report
   included, in a process that has done it once before (the first time adds some 2 s: imports,
   compiled code, the model); and how many times that is what GDAL takes to read the very windows
   that were read, each once, in the same order, with the same cache.
2. with `--copies`, a long road of as many copies of the scene side by side, as tiles: peak memory
   and time of the whole command with one process and with `--jobs`; whether both wrote the same.
   Wall time means something on an otherwise idle machine only.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

import geopandas
import numpy as np
import rasterio
import shapely
from affine import Affine
from rasterio.windows import Window

from analysis import raster
from analysis.pipeline import analyze
from analysis.raster_source import Level, Source, close_all, opened, read_window
from analysis.sources import AnalyzeSpec, Sources
from corridor import read_boundaries
from scenes import Difficulty, SceneSpec, generate

_Window = tuple[Path, int | None, tuple[int, int, int, int]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scene", type=Path)
    parser.add_argument("--copies", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "OPENCV_FOR_THREADS_NUM", "NUMBA_NUM_THREADS"):
        os.environ[name] = "1"
    with tempfile.TemporaryDirectory() as scratch:
        scene = given.scene or Path(scratch) / "scene"
        if not (scene / "ortho.tif").is_file():
            spec = SceneSpec(seed=10_001, length_m=300, band_m=8.0, difficulty=Difficulty.REAL)
            generate(spec, scene)
        one_scene(scene, Path(scratch) / "out")
        if given.copies:
            road = Path(scratch) / "road"
            fence_km = long_road(scene, road, given.copies)
            print(f"{fence_km:.1f} km of fence in {given.copies} tiles")
            runs = [whole_command(road, Path(scratch) / f"out{n}", n) for n in (1, given.jobs)]
            same = all(
                (Path(scratch) / "out1" / name).read_bytes()
                == (Path(scratch) / f"out{given.jobs}" / name).read_bytes()
                for name in ("findings.geojson", "condition.csv")
            )
            print(f"{runs[0]['wall_s'] / runs[1]['wall_s']:.2f} times as fast; same output: {same}")


def one_scene(scene: Path, out: Path) -> None:
    """Processor time per kilometre, and against GDAL."""
    boundaries = read_boundaries(scene / "boundaries.geojson")
    km = sum(boundary.length_m for boundary in boundaries) / 1000.0
    sources = Sources(orthos=(scene / "ortho.tif",), boundaries=boundaries)
    spec = AnalyzeSpec(footpaths=False, plots=False)
    windows: list[_Window] = []
    level_now: list[Level | None] = [None]

    def noting_level(source: Source, level: Level | None = None) -> Any:
        level_now[0] = level
        return opened(source, level)

    def noting_window(source: Source, dataset: Any, box: Any, stretch: Any) -> Any:
        index = level_now[0].index if level_now[0] else None
        windows.append((source.path, index, box))
        return read_window(source, dataset, box, stretch)

    analyze(sources, out, spec)
    with (
        mock.patch.object(raster, "opened", noting_level),
        mock.patch.object(raster, "read_window", noting_window),
    ):
        analyze(sources, out, spec)
    ours, theirs = [], []
    for _ in range(3):
        close_all()
        start_s = time.process_time()
        analyze(sources, out, spec)
        ours.append(time.process_time() - start_s)
        start_s = time.process_time()
        read_with_gdal(windows)
        theirs.append(time.process_time() - start_s)
    print(f"{min(ours):.2f} s of processor for {km:.3f} km: {min(ours) / km:.2f} s per km")
    pixels = sum((box[2] - box[0]) * (box[3] - box[1]) for *_, box in dict.fromkeys(windows))
    print(
        f"GDAL: {min(theirs):.2f} s for the same {len(set(windows))} windows, {pixels / 1e6:.0f} "
        f"Mpx; analyze takes {min(ours) / min(theirs):.1f} times that"
    )


def read_with_gdal(windows: list[_Window]) -> None:
    """Reads each window once, bands and mask, files kept open."""
    files: dict[tuple[Path, int | None], Any] = {}
    with rasterio.Env(GDAL_CACHEMAX=raster.CACHE_BYTES):
        for path, level, (x0, y0, x1, y1) in dict.fromkeys(windows):
            key = (path, level)
            if key not in files:
                options = {} if level is None else {"overview_level": level}
                files[key] = rasterio.open(path, **options)
            window = Window(x0, y0, x1 - x0, y1 - y0)
            files[key].read([1, 2, 3], window=window)
            files[key].read_masks(1, window=window)
        for file in files.values():
            file.close()


def long_road(scene: Path, road: Path, copies: int) -> float:
    """Copies of a scene side by side, their boundaries joined end to end; km of fence."""
    road.mkdir()
    with rasterio.open(scene / "ortho.tif") as file:
        at, crs, width_m = file.transform, file.crs, file.width * file.transform.a
    for number in range(copies):
        tile = road / f"tile{number:03d}.tif"
        shutil.copy(scene / "ortho.tif", tile)
        with rasterio.open(tile, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as file:
            file.transform = Affine(at.a, 0, at.c + number * width_m, 0, at.e, at.f)
    lines = geopandas.read_file(scene / "boundaries.geojson").to_crs(crs)
    lines.geometry = [
        shapely.LineString(
            np.vstack(
                [shapely.get_coordinates(line) + np.array([n * width_m, 0]) for n in range(copies)]
            )
        )
        for line in lines.geometry
    ]
    lines.to_crs("EPSG:4326").to_file(road / "boundaries.geojson", driver="GeoJSON")
    return float(lines.length.sum()) / 1000.0


def whole_command(road: Path, out: Path, jobs: int) -> dict[str, float]:
    """The command in a process of its own: wall and processor seconds, peak memory."""
    code = (
        "import json, resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)\n"
        "use = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(json.dumps({'peak_mb': use.ru_maxrss / 1024, "
        "'cpu_s': use.ru_utime + use.ru_stime}))\n"
    )
    command = [sys.executable, "-c", code, sys.executable, "-m", "fencewalk", "analyze",
               *map(str, sorted(road.glob("tile*.tif"))), "--only", "fence", "--jobs", str(jobs),
               "--boundaries", str(road / "boundaries.geojson"), "--out", str(out)]  # fmt: skip
    start_s = time.monotonic()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    use = dict(json.loads(done.stdout)) | {"wall_s": time.monotonic() - start_s}
    print(
        f"{jobs} process(es): {use['wall_s']:.0f} s, {use['cpu_s']:.0f} s of processor, "
        f"at most {use['peak_mb']:.0f} MB in one"
    )
    return use


if __name__ == "__main__":
    main()
