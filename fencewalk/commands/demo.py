"""`fencewalk demo`: the whole chain on a generated site."""

from __future__ import annotations

import time
from pathlib import Path

import click
import geopandas

from corridor import InputError


@click.command(short_help="The whole chain on a generated site, in minutes, no hardware.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("demo"),
    show_default=True,
    help="Folder for everything the demo makes.",
)
@click.option("--seed", type=int, default=7, show_default=True, help="Another seed, another site.")
@click.option(
    "--length",
    "length_m",
    type=click.FloatRange(150.0, 2000.0),
    default=200.0,
    show_default=True,
    help="Metres of road.",
)
def demo(out: Path, seed: int, length_m: float) -> int:
    """Generate a site, plan its survey, fly it in simulation, read its picture, compare with truth.

    Every step is an ordinary command, printed as you would type it. Exit code 1: a step asks for
    attention, as it does when a fence is broken in a way the planner or a check must tell.
    """
    site, plan, flight, findings = (out / name for name in ("scene", "plan", "flight", "findings"))
    start = time.monotonic()
    worst = _run("scene", "--seed", str(seed), "--length", f"{length_m:g}", "--out", str(site))
    drawn = site / "boundaries.geojson"
    launch = _middle(drawn)
    orders: list[list[str]] = [
        ["plan", str(drawn), "--dem", str(site / "dsm.tif"), "--height", "50"],
        ["check", str(plan)],
        ["fly", str(plan), "--vehicle", "stand-in", "--out", str(flight)],
        ["analyze", str(site / "ortho.tif"), "--boundaries", str(drawn), "--out", str(findings)],
        ["score", str(findings), "--truth", str(site / "truth.gpkg")],
    ]
    orders[0] += ["--launch", launch, "--out", str(plan)]
    for order in orders:
        worst = max(worst, _run(*order))
    click.echo(f"\nDone in {time.monotonic() - start:.0f} s. Look at:")
    for page in (findings / "report.html", flight / "report.html", plan / "briefing.html"):
        if page.is_file():
            click.echo(f"  {page}")
    return worst


def _middle(drawn: Path) -> str:
    """Where to launch: in the middle of the first line, far from where the site's heights end."""
    launch = geopandas.read_file(drawn).geometry.iloc[0].interpolate(0.5, normalized=True)
    return f"{launch.x:.6f},{launch.y:.6f}"


def _run(*order: str) -> int:
    """Prints a command as it would be typed, and runs it."""
    from fencewalk.cli import app

    click.secho(f"\n$ fencewalk {' '.join(order)}", bold=True)
    result = app.main(args=list(order), prog_name="fencewalk", standalone_mode=False)
    code = result if isinstance(result, int) else 0
    if code not in (0, 1):
        raise InputError(f"fencewalk {order[0]}", f"ended with exit code {code}")
    return code
