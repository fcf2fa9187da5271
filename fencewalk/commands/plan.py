"""`fencewalk plan`: boundaries, a survey and elevations to missions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from corridor import InputError
from fencewalk.common import (
    BoundaryOptions,
    boundary_options,
    existing_path,
    json_option,
    print_json,
    progress_bar,
)


def _explain(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        from missions.survey import explain

        click.echo(explain())
        context.exit()


def _list_presets(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        from missions.survey import preset_names

        click.echo("aircraft: " + ", ".join(preset_names("aircraft")))
        click.echo("cameras:  " + ", ".join(preset_names("cameras")))
        context.exit()


@click.command()
@click.argument("boundaries", type=existing_path)
@click.option("--config", type=existing_path, help="survey.toml; see --explain for its keys.")
@click.option(
    "--dem",
    type=existing_path,
    required=True,
    help="Elevations: a GeoTIFF of the terrain or the surface, one band.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder for the plan; an earlier plan there is replaced.",
)
@click.option("--height", "height_m", type=float, help="Flying height above ground in metres.")
@click.option("--gsd", "gsd_m", type=float, help="Metres a pixel instead of a height, as 0.015.")
@click.option(
    "--clearance",
    "clearance_m",
    type=float,
    help="Never less above terrain and obstacles, in metres.",
)
@click.option(
    "--launch",
    "launches",
    multiple=True,
    metavar="LON,LAT",
    help="A launch site, longitude first; may be repeated.",
)
@click.option("--camera", help="A camera preset; --list-presets shows them.")
@click.option("--aircraft", help="An aircraft preset; --list-presets shows them.")
@click.option("--sides", help="left, right, or left,right.")
@click.option("--modes", help="nadir, oblique, or nadir,oblique.")
@click.option(
    "--refly",
    type=existing_path,
    metavar="FINDINGS",
    help="Fly again, obliquely, what a findings/ folder calls obscured, unseen or not seen from the"
    " side.",
)
@click.option(
    "--resume",
    "resume_flight",
    type=existing_path,
    metavar="FLIGHT",
    help="The rest of a broken-off sortie, by the pictures taken; with --of.",
)
@click.option(
    "--of",
    "of_plan",
    type=existing_path,
    metavar="PLAN",
    help="The plan that the flight given with --resume was a sortie of.",
)
@click.option("--lang", type=click.Choice(["en", "zh"]), help="Language of the briefing.")
@click.option(
    "--explain",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_explain,
    help="Print every key of survey.toml with its default and meaning.",
)
@click.option(
    "--list-presets",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_presets,
    help="Print the names of cameras and aircraft.",
)
@json_option
@boundary_options
def plan(
    boundaries: Path,
    config: Path | None,
    dem: Path,
    out: Path,
    height_m: float | None,
    gsd_m: float | None,
    clearance_m: float | None,
    launches: tuple[str, ...],
    camera: str | None,
    aircraft: str | None,
    sides: str | None,
    modes: str | None,
    refly: Path | None,
    resume_flight: Path | None,
    of_plan: Path | None,
    lang: str | None,
    as_json: bool,
    boundary_options: BoundaryOptions,
) -> int:
    """Plan flights along BOUNDARIES: missions, geofences, return heights, predicted coverage.

    BOUNDARIES is any vector file of fence lines (GeoJSON, GeoPackage, Shapefile, KML). The folder
    --out receives plan.json, plan.gpkg, plan.kml, briefing.html and, for each sortie,
    S01.waypoints, S01.plan, S01.param and S01.kmz (DJI); with a schedule also schedule.csv. Options
    win over the file given with --config. Exit code 1: planned, and some fence stays uncovered.
    """
    from missions.again import refly as stretches_unseen
    from missions.again import resume as stretches_left
    from missions.planner import plan_survey
    from missions.survey import read_survey
    from missions.write import write_plan

    if refly is not None and resume_flight is not None:
        raise InputError("--refly and --resume", "both given", "one plan does one of them")
    if (resume_flight is None) != (of_plan is None):
        raise InputError("--resume", "needs --of PLAN, and --of needs it", "give both or none")
    if refly is not None and modes is None:
        modes = "oblique"
    overrides = _overrides(height_m, gsd_m, clearance_m, launches, camera, aircraft, sides, modes)
    if lang is not None:
        overrides["output"] = {"language": lang}
    survey = read_survey(config, overrides)
    lines = boundary_options.read(boundaries)
    inputs = {"boundaries": boundaries, "dem": dem}
    if config is not None:
        inputs["config"] = config
    if boundary_options.posts is not None:
        inputs["posts"] = boundary_options.posts
    only = None
    if refly is not None:
        only = stretches_unseen(refly)
    if resume_flight is not None and of_plan is not None:
        only = stretches_left(of_plan, resume_flight, lines)
    source = str(config or "options")
    with progress_bar("plan") as report:
        made = plan_survey(lines, survey, dem, source=source, only=only, progress=report)
        document = write_plan(out, made, inputs, boundary_options.stated(), source)
    summary = document["summary"]
    if as_json:
        print_json({"out": str(out), **summary, "notes": document["notes"]})
    else:
        _report(out, document)
    uncovered_m = sum(states["uncovered_m"] for states in summary["coverage"].values())
    return 1 if uncovered_m > 0 else 0


def _overrides(
    height_m: float | None,
    gsd_m: float | None,
    clearance_m: float | None,
    launches: tuple[str, ...],
    camera: str | None,
    aircraft: str | None,
    sides: str | None,
    modes: str | None,
) -> dict[str, Any]:
    if height_m is not None and gsd_m is not None:
        raise InputError("--height and --gsd", "both given", "one of them follows from the other")
    overrides: dict[str, Any] = {}
    capture: dict[str, Any] = {}
    if height_m is not None:
        capture |= {"height_m": height_m}
    if gsd_m is not None:
        capture |= {"gsd_m": gsd_m, "height_m": None}
    if modes is not None:
        capture["modes"] = [mode.strip() for mode in modes.split(",")]
    if capture:
        overrides["capture"] = capture
    if clearance_m is not None:
        overrides["safety"] = {"clearance_m": clearance_m}
    if camera is not None:
        overrides["camera"] = {"preset": camera}
    if aircraft is not None:
        overrides["aircraft"] = {"preset": aircraft}
    if sides is not None:
        overrides["sides"] = [side.strip() for side in sides.split(",")]
    if launches:
        overrides["launch"] = [_launch(text) for text in launches]
    return overrides


def _launch(text: str) -> dict[str, float]:
    try:
        lon, lat = (float(value) for value in text.split(","))
    except ValueError as error:
        raise InputError(
            "--launch", f"'{text}' is no place", "write LON,LAT in degrees, as 106.75,29.62"
        ) from error
    return {"lon": lon, "lat": lat}


def _report(out: Path, document: dict[str, Any]) -> None:
    summary = document["summary"]
    minutes = summary["flight_time_s"] / 60.0
    click.echo(
        f"{summary['sorties']} sorties, {minutes:.0f} min in the worst wind, "
        f"{summary['photos']} pictures, {summary['boundary_length_m'] / 1000:.2f} km of fence"
    )
    for mode, states in summary["coverage"].items():
        click.echo(
            f"{mode}: covered {states['covered_m']:.0f} m, no fence {states['no_fence_m']:.0f} m, "
            f"uncovered {states['uncovered_m']:.0f} m"
            + (
                f", not asked for {states['not_planned_m']:.0f} m"
                if states["not_planned_m"]
                else ""
            )
        )
    reasons: dict[tuple[str, str], float] = {}
    for row in document["coverage"]:
        if row["state"] == "uncovered":
            key = (row["mode"], row["reason"])
            reasons[key] = reasons.get(key, 0.0) + row["length_m"]
    for (mode, reason), length_m in sorted(reasons.items(), key=lambda entry: -entry[1]):
        click.echo(f"  uncovered, {mode}: {length_m:.0f} m, {reason}")
    for note in document["notes"]:
        click.echo(f"note: {note}")
    click.echo(f"written to {out}; next: fencewalk check {out}")
