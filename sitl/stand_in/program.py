"""`fencewalk-stand-in`: the vehicle as a program, with arducopter's command line."""

from __future__ import annotations

import argparse
import math
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from corridor import FencewalkError, InputError, LonLat
from sitl.stand_in.parameters import Parameters
from sitl.stand_in.server import Server

DEFAULT_HOME = "29.6200,106.7500,250,0"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs until it is stopped; returns the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        server = _server(options)
    except FencewalkError as error:
        click.echo(f"Error: {error}", err=True)
        return error.exit_code
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.stop())
    return server.run()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fencewalk-stand-in",
        description=(
            "A vehicle to fly missions against where there is no ArduPilot. It listens on TCP port"
            " 5760 + 10 × instance, waits for the first connection, and starts its clock then."
            " It is not ArduPilot, and says so in its messages."
        ),
    )
    parser.add_argument("--model", "-M", default="quad", help="only quad (also '+' and 'x')")
    parser.add_argument("--home", "-O", default=DEFAULT_HOME, help="LAT,LON,ALT,HEADING")
    parser.add_argument(
        "--speedup", "-s", type=float, default=1.0, help="times real time; 0: as fast as it can"
    )
    parser.add_argument("--defaults", default="", help="parameter files, separated by commas")
    parser.add_argument("--instance", "-I", type=int, default=0, help="moves the ports by 10 each")
    parser.add_argument("--wipe", "-w", action="store_true", help="nothing is kept between runs")
    parser.add_argument("--base-port", type=int, default=5760, help="TCP port of instance 0")
    parser.add_argument(
        "--udp", default="", help="also talks over UDP to HOST:PORT (heard from there as well)"
    )
    parser.add_argument("--param", "-P", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--sysid", type=int, default=1, help="MAVLink system number")
    parser.add_argument(
        "--lock-step",
        action="store_true",
        help="the clock waits for the station's heartbeats, so that a busy machine loses nothing",
    )
    parser.add_argument(
        "--exit-when-alone",
        action="store_true",
        help="ends when the last client has gone or the process that started it has died",
    )
    return parser


def _server(options: argparse.Namespace) -> Server:
    model = options.model.split(":")[0].strip("\"'")
    if model not in ("quad", "+", "x", "quad-x", "quad-+"):
        raise InputError("--model", f"'{options.model}' is not simulated", "quad")
    if not (math.isfinite(options.speedup) and options.speedup >= 0):
        raise InputError("--speedup", f"{options.speedup} is no speed-up", "0 or more")
    if not 0 <= options.instance <= 500:
        raise InputError("--instance", f"{options.instance} is no instance", "0 to 500")
    home, altitude_m, heading_deg = _home(options.home)
    parameters = Parameters()
    for name in filter(None, options.defaults.split(",")):
        for unknown in parameters.load(Path(name)):
            click.echo(f"Ignored parameter {unknown}: the stand-in does not have it", err=True)
    for entry in options.param:
        name, _, value = entry.partition("=")
        try:
            known = parameters.put(name, float(value))
        except ValueError as error:
            raise InputError("--param", f"'{entry}' is no parameter", "NAME=VALUE") from error
        if not known:
            raise InputError("--param", f"the stand-in has no parameter {name}")
    parameters.put("MAV_SYSID", options.sysid)
    parameters.put("SIM_SPEEDUP", options.speedup)
    udp = None
    if options.udp:
        host, _, port = options.udp.rpartition(":")
        if not port.isdigit():
            raise InputError("--udp", f"'{options.udp}' is no address", "HOST:PORT")
        udp = (host or "127.0.0.1", int(port))
    return Server(
        home,
        altitude_m,
        heading_deg,
        parameters,
        port=options.base_port + 10 * options.instance,
        udp=udp,
        alone_ends=options.exit_when_alone,
        lock_step=options.lock_step,
    )


def _home(text: str) -> tuple[LonLat, float, float]:
    try:
        lat, lon, altitude, heading = (float(part) for part in text.split(","))
        place = LonLat(lon, lat)
        if not (math.isfinite(altitude) and math.isfinite(heading)):
            raise ValueError(text)
    except ValueError as error:
        raise InputError("--home", f"'{text}' is no place", "LAT,LON,ALT,HEADING") from error
    return place, altitude, heading


if __name__ == "__main__":
    sys.exit(main())
