"""`fencewalk monitor`: how a sortie in the air is going."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import queue
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table

from corridor import VehicleError
from fencewalk.common import existing_path, json_option

if TYPE_CHECKING:
    from missions.link.monitor import Snapshot


@click.command()
@click.argument("plan", type=existing_path)
@click.option("--sortie", "sortie_id", help="Which sortie of a plan folder is flown.")
@click.option(
    "--connect",
    "address",
    required=True,
    metavar="ADDRESS",
    help="udpin:HOST:PORT, udpout:HOST:PORT, tcp:HOST:PORT or /dev/ttyUSB0,57600.",
)
@click.option("--for", "seconds", type=float, help="Stop after so many seconds.")
@click.option("--every", "every_s", default=1.0, show_default=True, help="Seconds between looks.")
@json_option
def monitor(
    plan: Path,
    sortie_id: str | None,
    address: str,
    seconds: float | None,
    every_s: float,
    as_json: bool,
) -> int:
    """Show a sortie's progress by station until the aircraft has landed.

    It only listens and sends no command: where the aircraft is, photos so far, battery against the
    plan, distance from the plan, alarms. With --json, or where the output is no terminal, one line
    a look. Exit code 1: there were alarms.
    """
    from missions.link.monitor import SortieMonitor
    from missions.link.options import read_sortie_of

    sortie = read_sortie_of(plan, sortie_id)
    watch = SortieMonitor(sortie)
    messages: queue.SimpleQueue[Any] = queue.SimpleQueue()
    vehicle = _connect(address, messages)
    console = Console()
    alarms: set[str] = set()
    end = time.monotonic() + (seconds if seconds is not None else math.inf)
    try:
        with Live(console=console, auto_refresh=False, transient=False) as live:
            while time.monotonic() < end:
                _wait(messages, watch, every_s)
                snapshot = watch.look(time.monotonic())
                alarms.update(snapshot.alarms)
                if as_json:
                    click.echo(json.dumps(_plain(snapshot), ensure_ascii=False))
                elif console.is_terminal:
                    live.update(_table(sortie.sortie_id, snapshot), refresh=True)
                else:
                    click.echo(_line(snapshot))
                if watch.has_flown and not snapshot.armed:
                    break
    finally:
        # dronekit's close waits for threads that wait for messages.
        closing = threading.Thread(target=vehicle.close, daemon=True)
        closing.start()
        closing.join(1.0)
    return 1 if alarms else 0


def _connect(address: str, messages: queue.SimpleQueue[Any]) -> Any:
    import dronekit

    # What the vehicle says is shown with the alarms.
    logging.getLogger("autopilot").setLevel(logging.CRITICAL)
    device, _, rate = address.partition(",")
    baud = {"baud": int(rate)} if rate.isdigit() else {}
    try:
        vehicle = dronekit.connect(
            device, wait_ready=False, source_system=254, heartbeat_timeout=30, **baud
        )
    except Exception as error:  # its transports raise whatever they like
        raise VehicleError(f"{address}: no vehicle there ({error})") from error

    def take(_: Any, __: str, message: Any) -> None:
        messages.put(message)

    vehicle.add_message_listener("*", take)
    return vehicle


def _wait(messages: queue.SimpleQueue[Any], watch: Any, seconds: float) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        try:
            watch.take(messages.get(timeout=left), time.monotonic())
        except queue.Empty:
            return


def _plain(snapshot: Snapshot) -> dict[str, Any]:
    values = dataclasses.asdict(snapshot)
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in values.items()
    }


def _line(s: Snapshot) -> str:
    where = f"{s.route_side} {s.station}".strip() or "off the lanes"
    text = (
        f"{s.mode} item {s.item}/{s.items} {where} {s.height_m:.0f} m {s.speed_m_s:.1f} m/s"
        f" photos {s.photos}/{s.photos_planned} battery {s.battery_percent:.0f} %"
        f" off plan {s.off_plan_m:.1f} m"
    )
    return text + ("  ALARM: " + "; ".join(s.alarms) if s.alarms else "")


def _table(name: str, s: Snapshot) -> Table:
    table = Table(title=f"{name}: {s.mode}{'' if s.armed else ' (disarmed)'}", show_header=False)
    table.add_row("where", f"{s.route_side} {s.station}".strip() or "off the lanes")
    table.add_row("mission item", f"{s.item} of {s.items}")
    table.add_row("photos", f"{s.photos} of {s.photos_planned} planned")
    planned = f", the plan leaves {s.battery_planned_percent:.0f} %"
    planned = planned if math.isfinite(s.battery_planned_percent) else ""
    table.add_row("battery", f"{s.battery_percent:.0f} %{planned}")
    table.add_row("off the plan", f"{s.off_plan_m:.1f} m")
    table.add_row("height, speed", f"{s.height_m:.0f} m above home, {s.speed_m_s:.1f} m/s")
    for alarm in s.alarms:
        table.add_row("[bold red]alarm", f"[bold red]{alarm}")
    return table
