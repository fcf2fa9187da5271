"""Peak memory and time of `fencewalk analyze` on a short and a long strip of the same ground.

    python benchmarks/analyze_memory.py --short 200 --long 2000

Writes both strips to a temporary folder, runs the command on each in a process of its own, and
prints the peak resident memory that the kernel counted, and processor seconds.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import geopandas
import numpy as np
import rasterio
import shapely
from affine import Affine
from rasterio.windows import Window

GSD_M = 0.05
WIDTH_M = 40.0
BLOCK_PX = 1024


def write_strip(folder: Path, length_m: float) -> None:
    """Mottled grass, a fence with posts along its middle, a path across it every 90 m."""
    folder.mkdir(parents=True)
    rows, columns = round(WIDTH_M / GSD_M), round(length_m / GSD_M)
    chance = np.random.default_rng(4)
    with rasterio.open(
        folder / "ortho.tif", "w", driver="GTiff", width=columns, height=rows, count=3,
        dtype="uint8", crs="EPSG:32647", transform=Affine(GSD_M, 0, 5e5, 0, -GSD_M, 3e6),
        tiled=True, blockxsize=256, blockysize=256, compress="jpeg", photometric="ycbcr",
    ) as file:  # fmt: skip
        for start in range(0, columns, BLOCK_PX):
            width = min(BLOCK_PX, columns - start)
            coarse = chance.normal(0, 12, (rows // 16 + 1, width // 16 + 1))
            grass = np.kron(coarse, np.ones((16, 16)))[:rows, :width]
            grass = grass + chance.normal(0, 8, (rows, width))
            x_m = (start + np.arange(width)) * GSD_M
            worn = np.abs((x_m % 90.0) - 45.0) < 0.4
            grass[: rows // 2 + 60, worn] += 45
            grass[rows // 2 - 1 : rows // 2 + 1] -= 50
            grass[rows // 2 - 3 : rows // 2 + 3, (x_m % 3.0) < 0.1] += 60
            rgb = np.array([100, 120, 70])[:, None, None] + grass
            file.write(np.clip(rgb, 1, 254).astype(np.uint8), window=Window(start, 0, width, rows))
        file.build_overviews([2, 4], rasterio.enums.Resampling.average)
    line = shapely.LineString([(5e5 + 1, 3e6 - 20.6), (5e5 + length_m - 1, 3e6 - 19.4)])
    table = geopandas.GeoDataFrame(
        {"route": ["G1"], "side": ["left"]}, geometry=[line], crs="EPSG:32647"
    )
    table.to_crs("EPSG:4326").to_file(folder / "lines.geojson", driver="GeoJSON")


def measure(folder: Path, jobs: int) -> dict[str, float]:
    """Peak memory in MB and processor seconds of one run, by a process that starts nothing else."""
    code = (
        "import json, resource, subprocess, sys\n"
        "done = subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)\n"
        "use = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(json.dumps({'peak_mb': use.ru_maxrss / 1024, "
        "'cpu_s': use.ru_utime + use.ru_stime}))\n"
    )
    command = [sys.executable, "-m", "fencewalk", "analyze", str(folder / "ortho.tif"),
               "--boundaries", str(folder / "lines.geojson"), "--out", str(folder / "findings"),
               "--jobs", str(jobs)]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", code, *command], check=True, capture_output=True, text=True
    )
    return dict(json.loads(done.stdout))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", type=float, default=200.0, metavar="M")
    parser.add_argument("--long", type=float, default=2000.0, metavar="M")
    parser.add_argument("--jobs", type=int, default=1)
    given = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory() as place:
        rows = {}
        for length_m in (given.short, given.long):
            folder = Path(place) / f"{length_m:.0f}"
            write_strip(folder, length_m)
            rows[length_m] = measure(folder, given.jobs)
            print(
                f"{length_m:6.0f} m: peak {rows[length_m]['peak_mb']:.0f} MB, "
                f"{rows[length_m]['cpu_s']:.1f} s of processor"
            )
        grown = rows[given.long]["peak_mb"] / rows[given.short]["peak_mb"]
        print(f"{given.long / given.short:.0f} times the length, {grown:.2f} times the memory")


if __name__ == "__main__":
    main()
