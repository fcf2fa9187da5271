"""Vehicles as processes: the stand-in, or a real arducopter; started fresh, and always ended."""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from corridor import InputError, LonLat, VehicleError

STAND_IN, ARDUPILOT, CONNECTION = "stand-in", "ardupilot", "connection"
_BASE_PORT = 5760
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class VehicleSpec:
    """What to start.

    Attributes:
        kind: `stand-in` or `ardupilot`.
        home, home_altitude_m, heading_deg: where it stands; altitude above mean sea level.
        speedup: times real time; 0 is as fast as it can (stand-in only).
        parameters: set before it boots.
        parameter_files: read before `parameters`.
        program: the arducopter, or a source tree with one built in it; None looks for it.
    """

    kind: str
    home: LonLat
    home_altitude_m: float
    heading_deg: float = 0.0
    speedup: float = 20.0
    parameters: Mapping[str, float] = field(default_factory=dict)
    parameter_files: tuple[Path, ...] = ()
    program: Path | None = None

    def __post_init__(self) -> None:
        if self.kind not in (STAND_IN, ARDUPILOT):
            raise InputError("--vehicle", f"'{self.kind}' is no vehicle", "stand-in or ardupilot")
        if not 0 <= self.speedup <= 10_000:
            raise InputError("--speedup", f"{self.speedup} is no speed-up", "0 to 10000")


@dataclass(frozen=True)
class GivenVehicle:
    """A simulated vehicle that somebody else has started, and will stop.

    Attributes:
        address: for `missions.link.open_link`.
        folder: where what belongs to it is looked for, in messages.
        kind: `connection`.
    """

    address: str
    folder: Path
    kind: str = CONNECTION


@dataclass
class RunningVehicle:
    """A vehicle's process.

    Attributes:
        spec: what it was started as.
        address: for `missions.link.open_link`.
        folder: its working folder, with `vehicle.log` in it.
        process: the process itself.
    """

    spec: VehicleSpec
    address: str
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def kind(self) -> str:
        """`stand-in` or `ardupilot`."""
        return self.spec.kind

    @property
    def log(self) -> str:
        """What it has printed so far."""
        path = self.folder / "vehicle.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""

    def stop(self) -> None:
        """Ends it: asks first, then insists."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(5)


def find_arducopter(given: Path | None = None) -> Path:
    """The arducopter to start: the one given, FENCEWALK_ARDUCOPTER, or the one on the PATH.

    A folder is taken for ArduPilot's source tree with a simulator built in it, and so is the
    `sim_vehicle.py` of such a tree: what that would start is started, without its terminals.

    Raises:
        InputError: if there is none.
    """
    named = str(given) if given is not None else os.environ.get("FENCEWALK_ARDUCOPTER", "")
    if named:
        path = Path(named)
        if path.name == "sim_vehicle.py" and len(path.resolve().parents) > 2:
            path = path.resolve().parents[2]
        if path.is_dir():
            tree, path = path, path / "build" / "sitl" / "bin" / "arducopter"
            if not path.is_file() and (tree / "Tools" / "autotest" / "sim_vehicle.py").is_file():
                raise InputError(
                    "--arducopter" if given is not None else "FENCEWALK_ARDUCOPTER",
                    f"'{named}' holds ArduPilot's sources, and no simulator built in them",
                    "build it there: ./waf configure --board sitl && ./waf copter",
                )
        if path.is_file() and os.access(path, os.X_OK):
            return path.resolve()
        raise InputError(
            "--arducopter" if given is not None else "FENCEWALK_ARDUCOPTER",
            f"'{named}' is no arducopter",
            "a program built for SITL, or ArduPilot's source tree with one built in it",
        )
    found = shutil.which("arducopter")
    if found:
        return Path(found)
    raise InputError(
        "--vehicle ardupilot",
        "no arducopter was found",
        "set FENCEWALK_ARDUCOPTER to one built for SITL as ArduPilot's documentation describes,"
        " or use --vehicle stand-in",
    )


@contextlib.contextmanager
def running(spec: VehicleSpec, folder: Path) -> Iterator[RunningVehicle]:
    """Starts a vehicle in a folder of its own and ends it when the block is left.

    Raises:
        InputError: if there is no such vehicle on this machine.
        VehicleError: if it does not start.
    """
    vehicle = start(spec, folder)
    try:
        yield vehicle
    finally:
        vehicle.stop()


def start(spec: VehicleSpec, folder: Path) -> RunningVehicle:
    """Starts a vehicle; the caller stops it. See `running`."""
    folder.mkdir(parents=True, exist_ok=True)
    folder = folder.resolve()
    failure = ""
    for _ in range(5):
        instance = _free_instance()
        vehicle = _spawn(spec, folder, instance)
        failure = _wait_until_listening(vehicle)
        if not failure:
            return vehicle
        vehicle.stop()
        if "cannot be used" not in failure and "bind failed" not in failure:
            break
    raise VehicleError(f"the {spec.kind} vehicle did not start: {failure}")


def _spawn(spec: VehicleSpec, folder: Path, instance: int) -> RunningVehicle:
    base = _write_parameters(folder / "base.parm", _ardupilot_defaults())
    own = _write_parameters(folder / "own.parm", spec.parameters)
    files = [*spec.parameter_files, own]
    if spec.kind == STAND_IN:
        program = [sys.executable, "-m", "sitl.stand_in.program", "--exit-when-alone"]
        program.append("--lock-step")
    else:
        program = [str(find_arducopter(spec.program))]
        files.insert(0, base)
        (folder / "eeprom.bin").unlink(missing_ok=True)
    home = spec.home
    place = f"{home.lat_deg:.8f},{home.lon_deg:.8f},{spec.home_altitude_m:.3f},{spec.heading_deg}"
    command = [*program, "--model", "quad", "--home", place, "--speedup", f"{spec.speedup:g}"]
    command += ["--defaults", ",".join(str(path) for path in files), f"-I{instance}"]
    with (folder / "vehicle.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )
    address = f"tcp:127.0.0.1:{_BASE_PORT + 10 * instance}"
    return RunningVehicle(spec, address, folder, process)


def _ardupilot_defaults() -> Mapping[str, float]:
    text = resources.files("sitl").joinpath("ardupilot.toml").read_text(encoding="utf-8")
    values: dict[str, float] = tomllib.loads(text)["parameters"]
    return values


def _write_parameters(path: Path, values: Mapping[str, float]) -> Path:
    lines = [f"{name} {value:.9g}" for name, value in values.items()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _die_with_parent() -> None:
    # The kernel ends the vehicle when we die, even by a signal that cannot be caught.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _free_instance() -> int:
    for _ in range(200):
        # arducopter keeps the instance in eight bits.
        instance = random.randrange(20, 250)
        ports = [_BASE_PORT + 10 * instance + offset for offset in (0, 2, 3)]
        if all(_is_free(port) for port in ports):
            return instance
    raise VehicleError("no free TCP ports for a vehicle")


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _wait_until_listening(vehicle: RunningVehicle, timeout_s: float = 60.0) -> str:
    """Empty when it listens; otherwise what went wrong.

    The port itself is not tried: the clock starts with the first connection.
    """
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if vehicle.process.poll() is not None:
            tail = vehicle.log.strip().splitlines()[-3:]
            return " / ".join(tail) or f"it ended with code {vehicle.process.returncode}"
        if "Waiting for connection" in vehicle.log:
            return ""
        time.sleep(0.05)
    return f"it was not listening after {timeout_s:.0f} s"
