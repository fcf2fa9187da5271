"""A scenario from start to report: vehicle, flight, checks, files; and all of them in a row."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from corridor import InputError, Progress, VehicleError, silent, write_json, write_text
from missions.mission import Parameter, Sortie
from sitl.expected import planned_path
from sitl.flight import FlightResult, camera_parameters, fly_sortie
from sitl.launch import (
    ARDUPILOT,
    CONNECTION,
    STAND_IN,
    GivenVehicle,
    RunningVehicle,
    VehicleSpec,
    running,
)
from sitl.recorder import Event, Recording
from sitl.report import write_report
from sitl.resume import rest_of
from sitl.scenario import Scenario
from sitl.scenario_setup import fit_sortie
from sitl.verify import BACK_AT, Check, Verification, verify_flight

SUMMARY_VERSION = 1
DEFAULT_SPEEDUP = {STAND_IN: 100.0, ARDUPILOT: 20.0}


@dataclass(frozen=True)
class FlightOptions:
    """How to fly.

    Attributes:
        kind: `stand-in`, `ardupilot`, or `connection`: a simulated vehicle that runs already.
        address: of the connection.
        speedup: times real time; None takes the vehicle's usual.
        arducopter: the program, or None to look for it.
        dsm: surface model for the clearance.
        clearance_m: least clearance that the plan promises.
        wind_m_s, wind_from_deg: wind on top of the scenario's parameters; None leaves them.
        parameter_files: loaded before the vehicle boots.
    """

    kind: str = STAND_IN
    speedup: float | None = None
    arducopter: Path | None = None
    dsm: Path | None = None
    clearance_m: float | None = None
    wind_m_s: float | None = None
    wind_from_deg: float = 0.0
    parameter_files: tuple[Path, ...] = ()
    address: str = ""

    @property
    def pace(self) -> float | None:
        """The speed-up to use; None leaves that of a connection as it is."""
        return DEFAULT_SPEEDUP.get(self.kind) if self.speedup is None else self.speedup


@dataclass(frozen=True)
class Outcome:
    """A scenario that was run.

    Attributes:
        scenario: which.
        folder: where its files are.
        result, verification: None where the flight did not come about.
        failure: why it did not, or "".
    """

    scenario: Scenario
    folder: Path
    result: FlightResult | None = None
    verification: Verification | None = None
    failure: str = ""

    @property
    def passed(self) -> bool:
        """It flew, and no check failed."""
        return self.verification is not None and self.verification.passed and not self.failure

    @property
    def checks(self) -> tuple[Check, ...]:
        """What was checked."""
        return self.verification.checks if self.verification is not None else ()


def fly_scenario(
    sortie: Sortie,
    scenario: Scenario,
    options: FlightOptions,
    out: Path,
    progress: Progress = silent,
) -> Outcome:
    """Flies a sortie under a scenario and writes the flight/ folder.

    An earlier flight in the folder is replaced.

    Raises:
        InputError: if the vehicle is not to be had on this machine.
        VehicleError: if it failed before or during the flight.
    """
    if options.kind == CONNECTION and scenario.resume_after_landing:
        raise InputError(
            "--scenario",
            f"'{scenario.name}' changes the battery of a vehicle that was started for it",
            "--vehicle stand-in or ardupilot",
        )
    _clear(out)
    out.mkdir(parents=True, exist_ok=True)
    fitted = _with_parameters(fit_sortie(sortie, scenario), scenario, options)
    if scenario.resume_after_landing:
        result = _fly_with_battery_change(fitted, scenario, options, out, progress)
    else:
        result = _fly(fitted, scenario, options, out, progress)
    verification = verify_flight(result, scenario, options.dsm, options.clearance_m)
    result.recording.write(out)
    result.upload.write(out / "upload.json")
    write_json(out / "summary.json", _summary(result, verification, scenario))
    write_report(out / "report.html", result, verification, scenario)
    return Outcome(scenario, out, result, verification)


def _clear(out: Path) -> None:
    for name in ("flight.tlog", "track.csv", "photos.csv", "events.csv", "summary.json"):
        (out / name).unlink(missing_ok=True)
    for name in ("upload.json", "report.html"):
        (out / name).unlink(missing_ok=True)
    for folder in out.glob("vehicle*"):
        if (folder / "vehicle.log").is_file():
            shutil.rmtree(folder)


def _with_parameters(sortie: Sortie, scenario: Scenario, options: FlightOptions) -> Sortie:
    """The sortie's recommended parameters with the scenario's in their place."""
    chosen = dict(scenario.parameters)
    if options.wind_m_s is not None:
        chosen["SIM_WIND_SPD"] = options.wind_m_s
        chosen["SIM_WIND_DIR"] = options.wind_from_deg
    fence = {"FENCE_ENABLE": 0.0} if not sortie.geofence.items else {}
    kept = [p for p in sortie.parameters if p.name not in chosen and p.name not in fence]
    added = [Parameter(name, value, "of the scenario") for name, value in chosen.items()]
    return replace(sortie, parameters=(*kept, *added))


def _spec(sortie: Sortie, scenario: Scenario, options: FlightOptions) -> VehicleSpec:
    boot = {**camera_parameters(options.kind, sortie.mission), **scenario.parameters}
    return VehicleSpec(
        options.kind,
        sortie.mission.home,
        sortie.mission.home_altitude_m,
        0.0,
        # The position filter takes 42 s to settle; nothing can be lost by hurrying that.
        100.0 if options.kind == STAND_IN else 20.0,
        boot,
        options.parameter_files,
        options.arducopter,
    )


def _fly(
    sortie: Sortie,
    scenario: Scenario,
    options: FlightOptions,
    out: Path,
    progress: Progress,
    vehicle_folder: str = "vehicle",
) -> FlightResult:
    vehicle: GivenVehicle | RunningVehicle
    with contextlib.ExitStack() as stack:
        if options.kind == CONNECTION:
            vehicle = GivenVehicle(options.address, out)
        else:
            spec = _spec(sortie, scenario, options)
            vehicle = stack.enter_context(running(spec, out / vehicle_folder))
        return fly_sortie(
            vehicle,
            sortie,
            scenario,
            out,
            speedup=options.pace,
            elevations=options.dsm,
            progress=progress,
        )


def _fly_with_battery_change(
    sortie: Sortie,
    scenario: Scenario,
    options: FlightOptions,
    out: Path,
    progress: Progress,
) -> FlightResult:
    first = _fly(sortie, scenario, options, out, progress, "vehicle-1")
    log_1 = (out / "flight.tlog").rename(out / "flight-1.tlog")
    numbers, _, _ = planned_path(sortie.mission)
    reached = [n for n in numbers if first.recording.time_of("TEXT", f"Reached command #{n}")]
    if not reached:
        raise VehicleError("no waypoint was reached before the battery change")
    remaining, original = rest_of(sortie.mission, reached[-1])
    rest = replace(sortie, mission=remaining)
    calm = scenario.model_copy(update={"inject": []})
    second = _fly(rest, calm, options, out, progress, "vehicle-2")
    # One log of both flights, in order; frames carry their own times.
    log_2 = out / "flight.tlog"
    joined = log_1.read_bytes() + log_2.read_bytes()
    log_2.write_bytes(joined)
    log_1.unlink()
    return _joined(first, second, original, reached[-1])


def _joined(
    first: FlightResult, second: FlightResult, original: Mapping[int, int], last_reached: int
) -> FlightResult:
    """Both flights as one: the second's clock goes on a minute after the first's end."""
    shift = round(first.end_ms - second.auto_ms + 60_000)
    taken = len(first.recording.photos)
    recording = Recording(
        first.recording.track + [(row[0] + shift, *row[1:]) for row in second.recording.track],
        first.recording.photos
        + [
            (row[0] + taken, *row[1:8], row[8] + shift, *row[9:]) for row in second.recording.photos
        ],
        first.recording.events
        + [
            Event(e.time_boot_ms + shift, e.kind, _renumbered(e, original, last_reached))
            for e in second.recording.events
            if e.time_boot_ms >= second.auto_ms - 2500 and e.text != "GUIDED"
        ],
        first.recording.used_mah + second.recording.used_mah,
    )
    return FlightResult(
        recording,
        first.sortie,
        second.upload,
        first.vehicle,
        first.auto_ms,
        second.end_ms + shift,
        first.injected,
        first.wall_s + second.wall_s,
        first.speedup,
        first.problem or second.problem,
    )


def _renumbered(event: Event, original: Mapping[int, int], last_reached: int) -> str:
    prefix = "Reached command #"
    if event.kind == "TEXT" and event.text.startswith(prefix):
        number = original.get(int(event.text.removeprefix(prefix)), 0)
        # It flies to the waypoint reached last once more; that is no new one.
        return f"{BACK_AT}{number}" if number == last_reached else f"{prefix}{number}"
    return event.text


def _summary(result: FlightResult, v: Verification, scenario: Scenario) -> dict[str, Any]:
    home = result.sortie.mission.home
    return {
        "version": SUMMARY_VERSION,
        "sortie_id": result.sortie.sortie_id,
        "scenario": scenario.name,
        "vehicle": dict(result.vehicle),
        "flown_by_stand_in": result.is_stand_in,
        "passed": v.passed,
        "items": len(result.sortie.mission.all_items),
        "flight_time_s": round(result.flight_time_s, 3),
        "photos": len(result.recording.photos),
        "wall_s": round(result.wall_s, 1),
        "speedup": result.speedup,
        "home": f"{home.lat_deg:.7f},{home.lon_deg:.7f},{result.sortie.mission.home_altitude_m},0",
        "params_set": [f"{p.name}={p.wanted:g}" for p in result.upload.parameters if p.agrees],
        "injected": result.injected,
        "checksums": dict(result.upload.checksums),
        "checks": [{"name": c.name, "passed": c.passed, "text": c.text} for c in v.checks],
        "numbers": v.numbers,
    }


def fly_all(
    sortie: Sortie,
    scenarios: Sequence[Scenario],
    options: FlightOptions,
    out: Path,
    report: Callable[[Outcome], None] = lambda _: None,
) -> list[Outcome]:
    """Flies a sortie under each scenario, each in a folder of its own; none stops the others."""
    outcomes = []
    for scenario in scenarios:
        try:
            outcome = fly_scenario(sortie, scenario, options, out / scenario.name)
        except VehicleError as error:
            outcome = Outcome(scenario, out / scenario.name, failure=str(error))
        outcomes.append(outcome)
        report(outcome)
    return outcomes


def write_junit(path: Path, outcomes: Sequence[Outcome], kind: str) -> None:
    """Writes the outcomes as JUnit XML, one test case a scenario."""
    cases = []
    for outcome in outcomes:
        seconds = outcome.result.wall_s if outcome.result is not None else 0.0
        lines = [f"{c.name}: {_word(c.passed)}: {c.text}" for c in outcome.checks]
        failed = [line for line, c in zip(lines, outcome.checks, strict=True) if c.passed is False]
        if outcome.failure:
            failed = [outcome.failure]
        inner = ""
        if not outcome.passed:
            inner = f"<failure message={quoteattr('; '.join(failed))}/>"
        cases.append(
            f"  <testcase classname={quoteattr(f'sitl.{kind}')}"
            f" name={quoteattr(outcome.scenario.name)} time='{seconds:.2f}'>{inner}"
            f"<system-out>{escape(chr(10).join(lines))}</system-out></testcase>"
        )
    failures = sum(not outcome.passed for outcome in outcomes)
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<testsuite name={quoteattr(f'fencewalk {kind}')} tests='{len(outcomes)}'"
        f" failures='{failures}'>\n" + "\n".join(cases) + "\n</testsuite>\n"
    )
    write_text(path, text)


def _word(passed: bool | None) -> str:
    return {True: "ok", False: "FAILED", None: "not judged"}[passed]
