"""The planner's time and memory against route length, and what the check says of its plans.

    python benchmarks/planner.py --lengths 10 50 103 151

Each length is generated, planned with all outputs and checked, in processes of their own on one
core; prints a Markdown table. CPU time (user and system) is compared, since it does not depend on
what else the machine does; "start-up" is the time to import the same libraries and plan nothing,
and is taken off before times are divided by lengths.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
IMPORTS = "import missions.again, missions.planner, missions.survey, missions.write, fencewalk.cli"
COLUMNS = (
    "route km", "fence km", "planning CPU s", "wall s", "peak MB", "time / length", "sorties",
    "uncovered m", "sums off m", "battery at most", "items at most", "check CPU s", "blocking",
    "warnings",
)  # fmt: skip


def measured(command: list[str]) -> tuple[str, float, float, float]:
    """Output, CPU seconds, wall seconds and peak MB of a command."""
    start = time.monotonic()
    with tempfile.TemporaryFile("w+") as output:
        child = subprocess.Popen(command, stdout=output, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
    if child.returncode not in (0, 1):
        raise RuntimeError(f"{' '.join(command)} ended with {child.returncode}")
    cpu_s = usage.ru_utime + usage.ru_stime
    return text, cpu_s, time.monotonic() - start, usage.ru_maxrss / 1024.0


def one(length_km: float, seed: int, folder: Path) -> dict[str, float]:
    """Generates, plans and checks one route."""
    site = folder / f"r{length_km:g}"
    measured(
        [sys.executable, str(ROOT / "examples" / "generate_route.py"), "--length-km",
         str(length_km), "--seed", str(seed), "--out", str(site)]
    )  # fmt: skip
    run = [sys.executable, "-c", "from fencewalk.cli import main; main()"]
    _, cpu_s, wall_s, peak_mb = measured(
        [*run, "plan", str(site / "boundaries.geojson"), "--dem", str(site / "dem.tif"),
         "--config", str(site / "survey.toml"), "--out", str(site / "plan"), "--json"]
    )  # fmt: skip
    text, check_s, _, _ = measured([*run, "check", str(site / "plan"), "--json"])
    found = json.loads(text)
    document = json.loads((site / "plan" / "plan.json").read_text(encoding="utf-8"))
    summary, sorties = document["summary"], document["sorties"]
    states = summary["coverage"]["nadir"]
    items = [
        sum(1 for _ in (site / "plan" / sortie["files"]["waypoints"]).open(encoding="utf-8")) - 1
        for sortie in sorties
    ]
    return {
        "km": length_km,
        "cpu_s": cpu_s,
        "wall_s": wall_s,
        "peak_mb": peak_mb,
        "fence_km": summary["boundary_length_m"] / 1000.0,
        "sorties": summary["sorties"],
        "uncovered_m": states["uncovered_m"],
        "missing_m": abs(summary["boundary_length_m"] - sum(states.values())),
        "battery": max(s["energy_with_return_wh"] / s["energy_budget_wh"] for s in sorties),
        "items": max(items),
        "check_s": check_s,
        "blocking": found["blocking"],
        "warnings": found["warnings"],
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Measure the planner against route length.")
    parser.add_argument("--lengths", type=float, nargs="+", default=[10.0, 50.0, 103.0, 151.0])
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    startup_s = min(measured([sys.executable, "-c", IMPORTS])[1] for _ in range(3))
    print(f"start-up {startup_s:.1f} s CPU\n")
    print(f"| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}")
    first: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for length in arguments.lengths:
            row = one(length, arguments.seed, Path(folder))
            first = first or row
            times = (row["cpu_s"] - startup_s) / (first["cpu_s"] - startup_s)
            print(
                f"| {row['km']:.0f} | {row['fence_km']:.1f} | {row['cpu_s']:.1f} | "
                f"{row['wall_s']:.0f} | {row['peak_mb']:.0f} | "
                f"{times / (row['km'] / first['km']):.2f} | {row['sorties']:.0f} | "
                f"{row['uncovered_m']:.0f} | {row['missing_m']:.2f} | {row['battery']:.0%} | "
                f"{row['items']:.0f} | {row['check_s']:.1f} | {row['blocking']:.0f} | "
                f"{row['warnings']:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
