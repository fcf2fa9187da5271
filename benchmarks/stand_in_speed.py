"""How fast the stand-in flies, through a real socket with all messages on.

    taskset -c 0 .venv/bin/python benchmarks/stand_in_speed.py ../shared/sitl-reference

The client asks for every stream at 5 Hz (28 messages, as the recordings have them), reads every
byte, and counts the frames; the bar is 1/200 of the flight time.
"""

from __future__ import annotations

import resource
import select
import tempfile
import time
from pathlib import Path
from typing import Any

import click
from pymavlink.dialects.v20 import ardupilotmega as dialect

from missions.formats import read_waypoints
from missions.link.connection import open_link
from missions.link.rules import MISSION, WireItem
from missions.link.transfer import upload_items
from sitl.flight import camera_parameters
from sitl.launch import VehicleSpec, running


def frame(name: str, *fields: object) -> bytes:
    mav = dialect.MAVLink(None, srcSystem=255, srcComponent=190)
    return bytes(getattr(mav, f"{name}_encode")(*fields).pack(mav))


@click.command()
@click.argument("reference", type=click.Path(path_type=Path))
def main(reference: Path) -> None:
    mission = read_waypoints(reference / "corridor.waypoints")
    spec = VehicleSpec("stand-in", mission.home, 250.0, 0.0, 50.0, camera_parameters("stand-in"))
    with (
        tempfile.TemporaryDirectory() as folder,
        running(spec, Path(folder) / "v") as vehicle,
        open_link(vehicle.address) as link,
    ):
        link.wait_for_vehicle()
        link.wait_for("STATUSTEXT", 60, lambda m: "using GPS" in m.text)
        upload_items(link, [WireItem.of(item) for item in mission.all_items], MISSION)
        link.send("request_data_stream", link.system, 1, 0, 5, 1)
        for command in ((176, 1, 4), (400, 1), (176, 1, 3), (300,)):
            assert link.command(*command) == 0, command
        raw = link._connection.port
        raw.setblocking(False)
        before = _cpu_of(vehicle.process.pid)
        raw.send(frame("param_set", 1, 1, b"SIM_SPEEDUP", 0.0, 9))
        begin = time.monotonic()
        seen, data = 0, b""
        first_ms = last_ms = None
        frames = 0
        while b"Disarming motors" not in data:
            select.select([raw], [], [], 1.0)
            data = raw.recv(1 << 20)
            seen += len(data)
            frames += data.count(b"\xfd")
            for piece in (data[:4096], data[-4096:]):
                for message in _parse(piece):
                    if message.get_type() == "GLOBAL_POSITION_INT":
                        first_ms = first_ms or message.time_boot_ms
                        last_ms = message.time_boot_ms
        wall_s = time.monotonic() - begin
        cpu_s = _cpu_of(vehicle.process.pid) - before
    flown_s = ((last_ms or 0) - (first_ms or 0)) / 1000.0
    mine = resource.getrusage(resource.RUSAGE_SELF)
    click.echo(
        f"{flown_s:.0f} s of flight, some {frames} frames, {seen / 1e6:.1f} MB:"
        f" {wall_s:.2f} s by the clock (1/{flown_s / wall_s:.0f}),"
        f" {cpu_s:.2f} s of the stand-in's processor time (1/{flown_s / cpu_s:.0f});"
        f" the client used {mine.ru_utime + mine.ru_stime:.1f} s in all"
    )


def _parse(data: bytes) -> list[Any]:
    parser = dialect.MAVLink(None)
    parser.robust_parsing = True
    return parser.parse_buffer(data) or []


def _cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100.0


if __name__ == "__main__":
    main()
