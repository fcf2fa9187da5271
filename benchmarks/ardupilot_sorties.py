"""Planned sorties on a real arducopter: twenty of them, and how the stand-in flew the same.

    FENCEWALK_ARDUCOPTER=... .venv/bin/python benchmarks/ardupilot_sorties.py \
        ../shared/data/hsinchu-highway --count 20

Plans the real sample site at different heights, sides and modes, flies each plan's first sortie at
speed-up 20, and prints the checks' numbers.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import click

from missions.plan_files import read_plan
from sitl.scenario import read_scenario
from sitl.session import FlightOptions, fly_scenario
from sitl.verify import plan_dsm

HEIGHTS = (40, 45, 50, 55, 60, 65, 70, 75, 80, 85, 90)
SIDES = ("left,right", "left")


@click.command()
@click.argument("site", type=click.Path(path_type=Path))
@click.option("--config", default=Path("examples/hsinchu.toml"), type=click.Path(path_type=Path))
@click.option("--count", default=20)
@click.option("--vehicle", default="ardupilot")
def main(site: Path, config: Path, count: int, vehicle: str) -> None:
    failed = 0
    cases = [(height, sides) for sides in SIDES for height in HEIGHTS][:count]
    for height, sides in cases:
        with tempfile.TemporaryDirectory() as folder:
            plan = Path(folder) / "plan"
            command = [sys.executable, "-m", "fencewalk", "plan", str(site / "boundaries.geojson")]
            command += ["--dem", str(site / "dsm.tif"), "--config", str(config)]
            command += ["--height", str(height), "--sides", sides, "--out", str(plan)]
            subprocess.run(command, check=True, capture_output=True)
            files = read_plan(plan)
            options = FlightOptions(vehicle, dsm=plan_dsm(files.document, plan), clearance_m=20.0)
            outcome = fly_scenario(
                files.sorties[0], read_scenario("nominal"), options, Path(folder) / "flight"
            )
        v, result = outcome.verification, outcome.result
        if v is None or result is None:
            failed += 1
            click.echo(f"{height} m {sides}: {outcome.failure}")
            continue
        n = v.numbers
        failed += not outcome.passed
        click.echo(
            f"{height} m {sides:10} {'ok' if outcome.passed else 'FAILED'}"
            f" {n['flight_time_s']:.0f} s, {n['photos']:.0f} photos (at least"
            f" {n['photos_expected']:.0f}), off plan {n['horizontal_rms_m']:.2f} m RMS"
            f" {n['horizontal_max_m']:.2f} max, height {n['vertical_rms_m']:.2f} RMS"
            f" {n['vertical_max_m']:.2f} max, clearance {n.get('clearance_min_m', 0):.1f} m"
            + "".join(f"; {c.name}: {c.text}" for c in v.checks if c.passed is False)
        )
    click.echo(f"{len(cases) - failed} of {len(cases)} without a failed check")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
