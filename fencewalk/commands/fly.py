"""`fencewalk fly`: a sortie in simulation, checked against its plan."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
from rich.console import Console
from rich.table import Table

from corridor import InputError
from fencewalk.common import existing_path, json_option, print_json, progress_bar

if TYPE_CHECKING:
    from missions.mission import Mission, Sortie
    from sitl.camera import CameraSpec
    from sitl.session import FlightOptions, Outcome


@click.command()
@click.argument("plan", type=existing_path)
@click.option("--sortie", "sortie_id", help="Which sortie of a plan folder; the first by default.")
@click.option(
    "--vehicle",
    default="stand-in",
    show_default=True,
    metavar="stand-in|ardupilot|ADDRESS",
    help="Our own simulated vehicle, a real ArduCopter in its simulator (FENCEWALK_ARDUCOPTER, or"
    " arducopter on the PATH), or the address of a simulated vehicle that runs already, as in"
    " tcp:127.0.0.1:5760. An aircraft is refused.",
)
@click.option("--arducopter", type=existing_path, help="The arducopter program, or its sources.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder for the flight: log, track, photos, checks, report. Replaced if it is there.",
)
@click.option(
    "--scenario",
    "scenario_name",
    default="nominal",
    show_default=True,
    help="What happens on the way: a name (see --list-scenarios) or a .toml file.",
)
@click.option("--all-scenarios", is_flag=True, help="Flies every scenario; a table at the end.")
@click.option(
    "--list-scenarios",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=lambda context, _, value: _list_scenarios(context, value),
    help="Names the scenarios and stops.",
)
@click.option("--junit", type=click.Path(path_type=Path), help="Also write JUnit XML.")
@click.option(
    "--speedup", type=float, help="Times real time; 100 for the stand-in, 20 for ArduPilot."
)
@click.option("--wind", metavar="M_S,FROM_DEG", help="Wind, as 8,200: 8 m/s from 200 degrees.")
@click.option("--dsm", type=existing_path, help="Surface model for the clearance; the plan's own.")
@click.option(
    "--clearance", "clearance_m", type=float, help="Least clearance in metres; the plan's."
)
@click.option(
    "--params",
    "parameter_files",
    multiple=True,
    type=existing_path,
    help="Parameter file for the vehicle; may be repeated.",
)
@click.option(
    "--camera",
    "scene",
    type=existing_path,
    metavar="SCENE",
    help="Also photograph this scene (made by `fencewalk scene`) with the planned camera, into"
    " OUT/frames.",
)
@click.option(
    "--receiver",
    type=click.Choice(["gps", "rtk", "perfect"]),
    default="gps",
    show_default=True,
    help="With --camera: how well positions in the frames' EXIF are known.",
)
@click.option(
    "--frames-like",
    type=click.Choice(["dji", "sony"]),
    default="dji",
    show_default=True,
    help="With --camera: what frames tell. dji: also the gimbal's angles and the lens, in XMP;"
    " sony: place and time alone (fencewalk orthophoto then needs --poses OUT/frames/photos.csv and"
    " --camera OUT/frames/camera.json).",
)
@json_option
def fly(
    plan: Path,
    sortie_id: str | None,
    vehicle: str,
    arducopter: Path | None,
    out: Path,
    scenario_name: str,
    all_scenarios: bool,
    junit: Path | None,
    speedup: float | None,
    wind: str | None,
    dsm: Path | None,
    clearance_m: float | None,
    parameter_files: tuple[Path, ...],
    scene: Path | None,
    receiver: str,
    frames_like: Literal["dji", "sony"],
    as_json: bool,
) -> int:
    """Fly a sortie in simulation and check it against its plan.

    PLAN is a folder made by `fencewalk plan`, or a mission file (.waypoints or .plan). Only a
    simulated vehicle is flown: what is found at an ADDRESS must be the stand-in, or ArduPilot in
    its simulator, disarmed, and stand where the sortie starts; otherwise nothing is changed.

    Exit code 1: it flew, and a check failed.
    """
    from sitl.launch import ARDUPILOT, CONNECTION, STAND_IN, find_arducopter
    from sitl.scenario import read_scenario, scenario_names
    from sitl.session import FlightOptions, fly_all, fly_scenario, write_junit

    kind = vehicle if vehicle in (STAND_IN, ARDUPILOT) else CONNECTION
    if kind == CONNECTION and not (":" in vehicle or vehicle.startswith("/dev/")):
        raise InputError(
            "--vehicle",
            f"'{vehicle}' is no vehicle",
            "stand-in, ardupilot, or the address of a simulated vehicle as in tcp:127.0.0.1:5760",
        )
    if kind == CONNECTION and (all_scenarios or parameter_files):
        raise InputError(
            "--all-scenarios" if all_scenarios else "--params",
            "needs a vehicle that is started for it",
            "--vehicle stand-in or ardupilot",
        )
    if kind == ARDUPILOT:
        find_arducopter(arducopter)
    if speedup is not None and not (0 <= speedup <= 10_000 and (speedup > 0 or kind == STAND_IN)):
        raise InputError("--speedup", f"{speedup:g} is no speed-up", "1 to 10000")
    if scene is not None and (all_scenarios or not plan.is_dir()):
        raise InputError("--camera", "needs one flight of a plan folder", "PLAN with --sortie")
    sortie, surface, clearance = _load(plan, sortie_id)
    options = FlightOptions(
        kind,
        speedup,
        arducopter,
        dsm or surface,
        clearance_m if clearance_m is not None else clearance,
        *_wind(wind),
        parameter_files,
        vehicle if kind == CONNECTION else "",
    )
    if all_scenarios:
        scenarios = [read_scenario(name) for name in scenario_names()]

        def say(outcome: Outcome) -> None:
            if not as_json:
                click.echo(f"{outcome.scenario.name}: {'ok' if outcome.passed else 'FAILED'}")

        outcomes = fly_all(sortie, scenarios, options, out, say)
    else:
        scenario = read_scenario(scenario_name)
        with progress_bar(f"{sortie.sortie_id} {scenario.name}") as progress:
            outcomes = [fly_scenario(sortie, scenario, options, out, progress)]
        if scene is not None and (out / "photos.csv").is_file():
            spec = _camera_of(plan, receiver, frames_like)
            _photograph(sortie.mission, out, scene, spec, as_json)
    if junit is not None:
        write_junit(junit, outcomes, kind)
    if as_json:
        print_json([_document(outcome) for outcome in outcomes])
    else:
        _print(outcomes, options)
    return 0 if all(outcome.passed for outcome in outcomes) else 1


def _camera_of(plan: Path, receiver: str, frames_like: Literal["dji", "sony"]) -> CameraSpec:
    from missions.plan_files import camera_of_plan, read_plan_document
    from sitl.camera import RECEIVERS, CameraSpec

    camera = read_plan_document(plan)["camera"]
    exposure_s = float(camera.get("exposure_s", 0.001))
    lens = camera_of_plan(camera)
    return CameraSpec(lens, RECEIVERS[receiver], exposure_s=exposure_s, like=frames_like)


def _photograph(
    mission: Mission, flight: Path, scene: Path, spec: CameraSpec, as_json: bool
) -> None:
    from sitl.camera import render_flight

    with progress_bar("camera") as progress:
        made = render_flight(flight, scene, spec, flight / "frames", progress, mission)
    if not as_json:
        click.echo(f"{len(made.frames)} frames in {flight / 'frames'}")
        if made.empty:
            click.echo(f"{made.empty} of them show nothing of {scene}")


def _list_scenarios(context: click.Context, value: bool) -> None:
    if value and not context.resilient_parsing:
        from sitl.scenario import read_scenario, scenario_names

        for name in scenario_names():
            click.echo(f"{name:20} {read_scenario(name).description}")
        context.exit()


def _load(plan: Path, sortie_id: str | None) -> tuple[Sortie, Path | None, float | None]:
    """The sortie, the surface model it was planned with, and the clearance it promises."""
    from missions.formats import read_qgc_plan, read_waypoints
    from missions.mission import Sortie
    from missions.plan_files import read_plan
    from sitl.verify import plan_dsm

    if plan.is_dir():
        files = read_plan(plan)
        if not files.sorties:
            raise InputError(plan, "has no sortie", "see its plan.json for why")
        sortie = files.sortie(sortie_id) if sortie_id is not None else files.sorties[0]
        survey = files.document.get("survey")
        safety = survey.get("safety", {}) if isinstance(survey, dict) else {}
        clearance = safety.get("clearance_m") if isinstance(safety, dict) else None
        promised = float(clearance) if isinstance(clearance, int | float) else None
        return sortie, plan_dsm(files.document, plan), promised
    if not plan.exists():
        raise InputError(plan, "no such file or folder", "a plan folder, .waypoints or .plan")
    if plan.suffix == ".plan":
        loaded = read_qgc_plan(plan)
        return dataclasses.replace(loaded, sortie_id=plan.stem), None, None
    return Sortie(plan.stem, read_waypoints(plan)), None, None


def _wind(text: str | None) -> tuple[float | None, float]:
    if text is None:
        return None, 0.0
    try:
        speed, direction = (float(part) for part in text.split(","))
    except ValueError as error:
        raise InputError("--wind", f"'{text}' is no wind", "M_S,FROM_DEG as in 8,200") from error
    if not (0 <= speed <= 60 and 0 <= direction <= 360):
        raise InputError("--wind", f"'{text}' is no wind", "0 to 60 m/s from 0 to 360 degrees")
    return speed, direction


def _document(outcome: Outcome) -> dict[str, Any]:
    result = outcome.result
    return {
        "scenario": outcome.scenario.name,
        "passed": outcome.passed,
        "failure": outcome.failure,
        "folder": str(outcome.folder),
        "flight_time_s": result.flight_time_s if result is not None else None,
        "photos": len(result.recording.photos) if result is not None else None,
        "checks": [dataclasses.asdict(check) for check in outcome.checks],
    }


def _print(outcomes: list[Outcome], options: FlightOptions) -> None:
    console = Console(soft_wrap=True)
    if len(outcomes) == 1:
        outcome = outcomes[0]
        table = Table("check", "", "numbers", title=f"{outcome.scenario.name} ({options.kind})")
        marks = {True: "[green]ok", False: "[bold red]FAILED", None: "[dim]not judged"}
        for check in outcome.checks:
            table.add_row(check.name, marks[check.passed], check.text)
        console.print(table)
        if outcome.result is not None and outcome.result.is_stand_in:
            console.print("Flown by the stand-in, which is not ArduPilot (docs/sitl.md).")
        console.print(f"Report: {outcome.folder / 'report.html'}")
        return
    table = Table("scenario", "", "flight", "photos", "modes", "remarks", title=options.kind)
    for outcome in outcomes:
        result = outcome.result
        failed = "; ".join(f"{c.name}: {c.text}" for c in outcome.checks if c.passed is False)
        modes = next((c.text for c in outcome.checks if c.name == "modes"), "")
        table.add_row(
            outcome.scenario.name,
            "[green]ok" if outcome.passed else "[bold red]FAILED",
            f"{result.flight_time_s:.0f} s" if result is not None else "",
            str(len(result.recording.photos)) if result is not None else "",
            modes,
            outcome.failure or failed,
        )
    console.print(table)
