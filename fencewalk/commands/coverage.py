"""`fencewalk coverage`: what was really photographed."""

from __future__ import annotations

from pathlib import Path

import click

from corridor import format_station
from fencewalk.common import existing_path, json_option, print_json, progress_bar


@click.command(short_help="Say what a flight really photographed, metre by metre.")
@click.argument("plan", type=existing_path)
@click.argument("flights", nargs=-1, required=True, type=existing_path)
@click.option("--boundaries", type=existing_path, help="In place of the plan's own.")
@click.option("--dem", type=existing_path, help="In place of the plan's own.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Where to write; coverage.json in the first flight's folder if not given.",
)
@json_option
def coverage(
    plan: Path,
    flights: tuple[Path, ...],
    boundaries: Path | None,
    dem: Path | None,
    out: Path | None,
    as_json: bool,
) -> int:
    """Compare what FLIGHTS photographed with PLAN, for every metre of boundary.

    Writes coverage.json with pixel size, number of views and view angle of each stretch, and the
    stretches that are missing. Exit code 1 if any is missing.
    """
    from missions.coverage import measure_coverage, write_coverage

    with progress_bar("Coverage") as progress:
        found = measure_coverage(plan, flights, boundaries, dem, progress)
    folder = flights[0] if flights[0].is_dir() else flights[0].parent
    path = out or folder / "coverage.json"
    document = write_coverage(found, plan, flights, path)
    if as_json:
        print_json(document)
    else:
        for state in ("covered", "missing", "uncovered", "no_fence"):
            click.echo(f"{state:10}{found.length_m(state):10.0f} m")
        for one in found.missing:
            click.echo(
                f"Missing: {one.route} {one.side} {format_station(max(0.0, one.chainage_start_m))} "
                f"to {format_station(max(0.0, one.chainage_end_m))} ({one.mode}): {one.reason}"
            )
        for note in found.notes:
            click.echo(f"Note: {note}")
        click.echo(f"Written: {path}")
    return 1 if found.missing else 0
