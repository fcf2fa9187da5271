"""The planner's time and memory against route length.

    python benchmarks/planner.py --lengths 10 50 103 151

Each length is generated and planned in a process of its own; prints a Markdown table. CPU time
(user and system) is what is compared, since it does not depend on what else the machine does.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def one(length_km: float, seed: int, folder: Path) -> dict[str, float]:
    """Plans one generated route in this process' child and measures it."""
    site = folder / f"r{length_km:g}"
    subprocess.run(
        [sys.executable, str(ROOT / "examples" / "generate_route.py"), "--length-km",
         str(length_km), "--seed", str(seed), "--out", str(site)],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        from fencewalk.cli import app

        os.dup2(write, 1)
        try:
            app.main(
                ["plan", str(site / "boundaries.geojson"), "--dem", str(site / "dem.tif"),
                 "--config", str(site / "survey.toml"), "--out", str(site / "plan"), "--json"],
                standalone_mode=False,
            )  # fmt: skip
        finally:
            os._exit(0)
    os.close(write)
    _, _, usage = os.wait4(child, 0)
    os.close(read)
    summary = json.loads((site / "plan" / "plan.json").read_text())["summary"]
    states = summary["coverage"]["nadir"]
    return {
        "km": length_km,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss / 1024.0,
        "fence_km": summary["boundary_length_m"] / 1000.0,
        "sorties": summary["sorties"],
        "uncovered_m": states["uncovered_m"],
        "missing_m": summary["boundary_length_m"] - sum(states.values()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the planner against route length.")
    parser.add_argument("--lengths", type=float, nargs="+", default=[10.0, 50.0, 103.0, 151.0])
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    print(
        "| route km | fence km | CPU s | s per km | peak MB | sorties | uncovered m | sum off m |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for length in arguments.lengths:
            row = one(length, arguments.seed, Path(folder))
            print(
                f"| {row['km']:.0f} | {row['fence_km']:.1f} | {row['cpu_s']:.1f} | "
                f"{row['cpu_s'] / row['km']:.3f} | {row['peak_mb']:.0f} | {row['sorties']:.0f} | "
                f"{row['uncovered_m']:.0f} | {row['missing_m']:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
