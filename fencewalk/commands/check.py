"""`fencewalk check`: the pre-flight check of a plan."""

from __future__ import annotations

from pathlib import Path

import click

from fencewalk.common import existing_path, json_option, print_json, progress_bar


@click.command()
@click.argument("plan_folder", metavar="PLAN", type=existing_path)
@click.option("--notes", is_flag=True, help="Show notes as well as what is blocking or warned of.")
@json_option
def check(plan_folder: Path, notes: bool, as_json: bool) -> int:
    """Verify the missions in PLAN from the written files, before they are flown.

    Clearance is sampled anew every metre along every leg, the return from all along the flight;
    battery, limits, geofence, camera commands and coverage are worked out again from the files.
    Exit code 1 if any finding is blocking.
    """
    from missions.check import Level, check_plan

    with progress_bar("check") as report:
        findings = check_plan(plan_folder, progress=report)
    blocking = sum(finding.level is Level.BLOCKING for finding in findings)
    warnings = sum(finding.level is Level.WARNING for finding in findings)
    if as_json:
        print_json(
            {
                "blocking": blocking,
                "warnings": warnings,
                "findings": [finding.as_dict() for finding in findings],
            }
        )
    else:
        for finding in findings:
            if finding.level is Level.NOTE and not notes:
                continue
            where = " ".join(part for part in (finding.sortie, finding.station) if part)
            click.echo(f"{finding.level.value}: {where + ': ' if where else ''}{finding.message}")
        click.echo(f"{blocking} blocking, {warnings} warnings")
    return 1 if blocking else 0
