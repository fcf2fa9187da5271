"""Flying a sortie in simulation: load, arm, AUTO, watch, inject, until the motors stop."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from corridor import InputError, LocalFrame, Progress, VehicleError, silent
from missions.link.connection import Link, open_link
from missions.link.parameters import read_parameter, set_parameter
from missions.link.terrain import TerrainServer
from missions.link.transfer import Timing
from missions.link.upload import UploadResult, describe_vehicle, upload_sortie
from missions.mission import Command, Frame, Mission, Sortie
from sitl.launch import ARDUPILOT, CONNECTION, STAND_IN, GivenVehicle, RunningVehicle
from sitl.recorder import Recorder, Recording
from sitl.scenario import Injection, Scenario

AUTO, GUIDED = 3, 4
_UPLOAD_SPEEDUP = 10.0
_INJECT_SPEEDUP = 3.0
_ARMING_SPEEDUP = 1.0
_TERRAIN_SPEEDUP = 20.0
_INTERVALS_MS = {33: 200, 30: 200, 1: 200, 42: 200, 193: 1000, 147: 1000, 162: 1000, 2: 1000,
                 285: 200}  # fmt: skip
"""Message number to interval on the vehicle's clock: position, attitude, status, mission, EKF,
battery, fence, time, gimbal."""
_GIMBAL_COMMANDS = frozenset(
    {Command.DO_MOUNT_CONTROL, Command.DO_GIMBAL_MANAGER_PITCHYAW, Command.DO_SET_ROI_LOCATION}
)


@dataclass
class FlightResult:
    """One flight, from AUTO to the motors' stop.

    Attributes:
        recording: what was recorded.
        sortie: what was loaded.
        upload: how the upload ended.
        vehicle: what the vehicle says it is, with `kind`.
        auto_ms, end_ms: vehicle's time of AUTO and of the motors' stop (NaN: never).
        injected: what was injected, as `seconds:NAME=VALUE`.
        wall_s: how long it took here.
        problem: why it did not end by itself, or "".
    """

    recording: Recording
    sortie: Sortie
    upload: UploadResult
    vehicle: dict[str, Any]
    auto_ms: float = math.nan
    end_ms: float = math.nan
    injected: list[str] = field(default_factory=list)
    wall_s: float = 0.0
    speedup: float = 0.0
    problem: str = ""

    @property
    def flight_time_s(self) -> float:
        """From AUTO to the motors' stop."""
        return (self.end_ms - self.auto_ms) / 1000.0

    @property
    def is_stand_in(self) -> bool:
        """Whether it was flown by the stand-in."""
        return bool(self.vehicle.get("is_stand_in", False))


class _Station:
    """Keeps the ground station's heartbeat on the vehicle's clock, whatever the speed-up."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self.silent = False

    def __call__(self, message: Any) -> None:
        is_heartbeat = message.get_type() == "HEARTBEAT"
        if is_heartbeat and message.get_srcSystem() == self._link.system and not self.silent:
            self._link.send("heartbeat", 6, 8, 0, 0, 4)


def fly_sortie(
    vehicle: RunningVehicle | GivenVehicle,
    sortie: Sortie,
    scenario: Scenario,
    folder: Path,
    *,
    speedup: float | None,
    longest_s: float = 5400.0,
    elevations: Path | None = None,
    progress: Progress = silent,
) -> FlightResult:
    """Flies a sortie on a vehicle just started, or on a simulated one that is there already.

    Args:
        vehicle: its process, whose simulated clock starts here; or where one is to be had.
        sortie: what to load and fly.
        scenario: what to inject.
        folder: where `flight.tlog` is written.
        speedup: times real time in flight; None leaves the pace of a given vehicle.
        longest_s: of vehicle time, after which the flight is given up.
        elevations: raster that the vehicle is given terrain data from, if it asks for them.
        progress: told of the mission item.

    Raises:
        InputError: if a given vehicle is not known to be simulated.
        UploadRefusedError: if a given vehicle is armed, or stands elsewhere.
        VehicleError: if the vehicle does not get ready, cannot be loaded or does not arm.
    """
    begin = time.monotonic()
    given = vehicle.kind == CONNECTION
    with open_link(vehicle.address, option="--vehicle") as link:
        link.log_to(folder / "flight.tlog")
        link.wait_for_vehicle(60.0)
        described = {**describe_vehicle(link), "kind": vehicle.kind}
        before: dict[str, float] = {}
        if given:
            described["kind"] = _must_be_simulated(link, described)
            before = _state_before(link, sortie, scenario)
            speedup = before["SIM_SPEEDUP"] if speedup is None else speedup
        pace = speedup or 0.0
        recorder = Recorder()
        recorder.system = link.system
        station = _Station(link)
        link.observers += [recorder, station]
        server = None
        if elevations is not None and above_terrain(sortie.mission):
            home = sortie.mission.home
            frame = LocalFrame(round(home.lon_deg, 6), round(home.lat_deg, 6))
            server = TerrainServer(link, elevations, frame)
            link.observers.append(server)
        try:
            _ask_for_messages(link)
            _wait_ready(link, recorder, vehicle)
            _set_pace(link, min(_UPLOAD_SPEEDUP, pace or _UPLOAD_SPEEDUP))
            upload = upload_sortie(
                link,
                sortie,
                force="" if given else "simulation",
                timing=Timing().scaled(0.5),
                progress=progress,
            )
            if not upload.verified:
                raise VehicleError(upload.message)
            if server is not None:
                _set_pace(link, _TERRAIN_SPEEDUP)
                _wait_for_terrain(link, server)
            result = FlightResult(recorder.recording, sortie, upload, described, speedup=pace)
            _ask_for_messages(link)
            _set_pace(link, _ARMING_SPEEDUP)
            _arm_and_start(link, recorder)
            result.auto_ms = recorder.time_boot_ms
            _set_pace(link, pace)
            _watch(link, recorder, station, scenario, result, pace, longest_s, progress)
        finally:
            for name, value in before.items():
                with contextlib.suppress(VehicleError):
                    set_parameter(link, name, value)
        result.wall_s = time.monotonic() - begin
        link.stop_log()
    return result


def above_terrain(mission: Mission) -> bool:
    """Whether the mission has heights above terrain, for which a vehicle needs terrain data."""
    return any(item.frame in (Frame.ABOVE_TERRAIN, 11) for item in mission.items)


def _wait_for_terrain(link: Link, server: TerrainServer) -> None:
    """Until the vehicle has what it asks for; it asks every two seconds of its own clock.

    Raises:
        VehicleError: if it goes on asking.
    """
    end = time.monotonic() + 90.0
    pending = -1
    while time.monotonic() < end:
        for number in (133, 136):  # TERRAIN_REQUEST, TERRAIN_REPORT
            link.send(
                "command_long", link.system, link.component, 511, 0, number, 500_000, 0, 0, 0, 0, 0
            )
        report = link.wait_for("TERRAIN_REPORT", 2.0)
        if report is not None:
            pending = int(report.pending)
            if pending == 0 and report.loaded > 0:
                return
    unknown = f"; {server.unknown} pieces of it lie off the raster" if server.unknown else ""
    raise VehicleError(f"{link.address}: the vehicle still lacks {pending} pieces{unknown}")


def _must_be_simulated(link: Link, described: Mapping[str, Any]) -> str:
    """`stand-in` or `ardupilot`, for a vehicle that is known to be simulated.

    ArduPilot has parameters SIM_… and sends SIMSTATE only when it is built for its simulator.

    Raises:
        InputError: if it is not known to be; nothing was sent but questions.
    """
    if described.get("is_stand_in"):
        return STAND_IN
    if read_parameter(link, "SIM_SPEEDUP") is not None:
        for _ in range(4):
            link.send("command_long", link.system, link.component, 512, 0, 164, 0, 0, 0, 0, 0, 0)
            if link.wait_for("SIMSTATE", 1.0) is not None:
                return ARDUPILOT
    raise InputError(
        "--vehicle",
        f"the vehicle at {link.address} is not known to be simulated (no SIM_SPEEDUP, no SIMSTATE)",
        "fly arms and flies only simulated vehicles; to load a sortie onto an aircraft use"
        " fencewalk upload",
    )


def _state_before(link: Link, sortie: Sortie, scenario: Scenario) -> dict[str, float]:
    """The pace and what the scenario will change of the simulation, to be set back at the end.

    Raises:
        VehicleError: if the vehicle is armed, or has no camera for a mission that takes pictures.
    """
    if link.armed:
        raise VehicleError(f"{link.address}: the vehicle is armed already")
    shoots = any(item.command == Command.DO_SET_CAM_TRIGG_DIST for item in sortie.mission.items)
    if shoots and not read_parameter(link, "CAM1_TYPE"):
        raise VehicleError(
            f"{link.address}: the vehicle has no camera: set CAM1_TYPE to 1 and SERVO9_FUNCTION to"
            " 10, and boot it again"
        )
    names = {"SIM_SPEEDUP", *(i.parameter for i in scenario.inject if i.parameter)}
    names |= {p.name for p in sortie.parameters if p.name.startswith("SIM_")}
    found = {name: read_parameter(link, name) for name in sorted(names)}
    return {name: value for name, value in found.items() if value is not None}


def _ask_for_messages(link: Link) -> None:
    for number, every_ms in _INTERVALS_MS.items():
        link.send(
            "command_long", link.system, link.component, 511, 0, number, every_ms * 1000.0,
            0, 0, 0, 0, 0,
        )  # fmt: skip


def _wait_ready(link: Link, recorder: Recorder, vehicle: RunningVehicle | GivenVehicle) -> None:
    end = time.monotonic() + 240.0
    asked_s = time.monotonic()
    while not recorder.ekf_flags & 16:
        if time.monotonic() > end:
            raise VehicleError(
                f"{link.address}: the vehicle did not know its position in time;"
                f" see {vehicle.folder}"
            )
        if time.monotonic() - asked_s > 1.0:
            asked_s = time.monotonic()
            _ask_for_messages(link)
        link.receive(0.5)


def _set_pace(link: Link, speedup: float) -> None:
    """Sets the simulator's speed; where the parameter does not exist the pace stays."""
    if read_parameter(link, "SIM_SPEEDUP", tries=3) is not None:
        set_parameter(link, "SIM_SPEEDUP", speedup)


def _arm_and_start(link: Link, recorder: Recorder) -> None:
    """GUIDED, arm, AUTO, start: one right after the other, as an arming vehicle soon disarms."""
    _accepted(link, "GUIDED", 176, 1, GUIDED)
    _accepted(link, "armed", 400, 1)
    recorder.begin_track()
    _accepted(link, "AUTO", 176, 1, AUTO)
    _accepted(link, "start its mission", 300)


def _accepted(link: Link, what: str, *command: float) -> None:
    end = time.monotonic() + 60.0
    while link.command(int(command[0]), *command[1:]) != 0:
        if time.monotonic() > end:
            raise VehicleError(f"the vehicle could not be made {what}: {_said(link)}")
        pause_end = time.monotonic() + 1.0
        while (left := pause_end - time.monotonic()) > 0:
            link.receive(left)


def _said(link: Link) -> str:
    return "; ".join(dict.fromkeys(link.texts[-5:])) or "it gave no reason"


def _watch(
    link: Link,
    recorder: Recorder,
    station: _Station,
    scenario: Scenario,
    result: FlightResult,
    speedup: float,
    longest_s: float,
    progress: Progress,
) -> None:
    waiting = sorted(scenario.inject, key=lambda each: each.at_s)
    total = len(result.sortie.mission.all_items)
    last_heard = time.monotonic()
    slowed = False
    shown = -1
    was_armed = False
    while True:
        message = link.receive(1.0)
        now = time.monotonic()
        if message is None:
            if now - last_heard > 20.0:
                raise VehicleError(f"{link.address}: the vehicle fell silent in flight")
            continue
        last_heard = now
        elapsed_s = (recorder.time_boot_ms - result.auto_ms) / 1000.0
        if waiting and not slowed and elapsed_s > waiting[0].at_s - 6.0:
            _set_pace(link, min(_INJECT_SPEEDUP, speedup or _INJECT_SPEEDUP))
            slowed = True
        if waiting and elapsed_s >= waiting[0].at_s:
            _inject(link, recorder, station, waiting.pop(0), result)
            if not waiting or waiting[0].at_s > elapsed_s + 15.0:
                _set_pace(link, speedup)
                slowed = False
        if recorder.mission_seq != shown:
            shown = recorder.mission_seq
            progress(shown, total, f"item {shown} of {total - 1}, {elapsed_s:.0f} s")
        was_armed = was_armed or recorder.armed
        if was_armed and not recorder.armed:
            break
        if not was_armed and elapsed_s > 15.0:
            result.problem = "it disarmed again on the ground"
            break
        if elapsed_s > longest_s:
            result.problem = f"still in the air after {longest_s:.0f} s"
            break
    result.end_ms = recorder.time_boot_ms


def _inject(
    link: Link,
    recorder: Recorder,
    station: _Station,
    injection: Injection,
    result: FlightResult,
) -> None:
    if injection.silence:
        station.silent = True
        link.quiet = True
        recorder.note("INJECT", "the station falls silent")
        result.injected.append(f"{injection.at_s:g}:silence")
    if injection.parameter:
        text = f"{injection.parameter}={injection.value:g}"
        recorder.note("INJECT", text)
        set_parameter(link, injection.parameter, injection.value)
        result.injected.append(f"{injection.at_s:g}:{text}")


def camera_parameters(kind: str, mission: Mission | None = None) -> dict[str, float]:
    """Parameters that give the simulated vehicle a camera on a servo, and a gimbal if it is turned.

    The gimbal is one that keeps itself level (MNT1_TYPE 7), with pitch and pan on two servos.
    """
    parameters = {"CAM1_TYPE": 1.0, "SERVO9_FUNCTION": 10.0}
    if mission is not None and any(i.command in _GIMBAL_COMMANDS for i in mission.items):
        parameters |= {"MNT1_TYPE": 7.0, "SERVO10_FUNCTION": 7.0, "SERVO11_FUNCTION": 6.0}
    if kind == ARDUPILOT:
        parameters["LOG_BACKEND_TYPE"] = 1.0
    return parameters
