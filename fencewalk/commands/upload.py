"""`fencewalk upload` and `fencewalk download`: sorties on and off the aircraft."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from corridor import InputError
from fencewalk.common import existing_path, json_option, print_json, progress_bar


def link_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of every command that talks to a vehicle."""
    for option in (
        click.option(
            "--signing-key",
            type=existing_path,
            help="File with the MAVLink 2 signing key (32 bytes, or 64 hexadecimal digits).",
        ),
        click.option(
            "--connect",
            "address",
            required=True,
            metavar="ADDRESS",
            help="udpin:HOST:PORT, udpout:HOST:PORT, tcp:HOST:PORT or /dev/ttyUSB0,57600.",
        ),
    ):
        command = option(command)
    return command


@click.command()
@click.argument("plan", type=existing_path)
@click.option("--sortie", "sortie_id", help="Which sortie of a plan folder.")
@link_options
@click.option("--audit", is_flag=True, help="Only compare recommended parameters, set none.")
@click.option(
    "--force",
    default="",
    metavar="REASON",
    help="Upload although a check speaks against it; the reason is kept in the record.",
)
@click.option(
    "--record",
    type=click.Path(path_type=Path),
    help="Where to write the upload record; SORTIE.upload.json beside the plan by default.",
)
@json_option
def upload(
    plan: Path,
    sortie_id: str | None,
    address: str,
    signing_key: Path | None,
    audit: bool,
    force: str,
    record: Path | None,
    as_json: bool,
) -> int:
    """Load a sortie onto the aircraft, read it back, and compare.

    Mission, geofence and rally points on board are cleared first. PLAN is a folder made by
    `fencewalk plan`, or a .waypoints or .plan file. The aircraft must be disarmed and stand where
    the sortie starts.

    Exit code 0 only if everything was read back equal; 1 if not: then what is on board has been
    cleared, or the message says what is there, and THE AIRCRAFT MUST NOT BE ARMED.
    """
    from missions.link.connection import open_link
    from missions.link.options import read_sortie_of
    from missions.link.upload import upload_sortie

    sortie = read_sortie_of(plan, sortie_id)
    title = f"upload {sortie.sortie_id}"
    with progress_bar(title) as progress, open_link(address, signing_key) as link:
        link.wait_for_vehicle()
        result = upload_sortie(link, sortie, force=force, audit=audit, progress=progress)
    folder = plan if plan.is_dir() else plan.parent
    path = record or folder / f"{sortie.sortie_id}.upload.json"
    result.write(path)
    if as_json:
        print_json(result.document())
    else:
        _print_upload(result, path)
    return 0 if result.verified and result.parameters_agree else 1


def _print_upload(result: Any, path: Path) -> None:
    console = Console(soft_wrap=True)
    style = "green" if result.verified else "bold red"
    console.print(result.message, style=style)
    if result.differences:
        table = Table("item", "field", "expected", "on board", title="Differences")
        for d in result.differences[:40]:
            table.add_row(str(d.sequence), d.field, f"{d.expected:.10g}", f"{d.found:.10g}")
        console.print(table)
    wrong = [p for p in result.parameters if not p.agrees]
    if wrong:
        table = Table("parameter", "recommended", "on board", "why", title="Parameters differ")
        for p in wrong:
            on_board = "not there" if p.after is None else f"{p.after:g}"
            table.add_row(p.name, f"{p.wanted:g}", on_board, p.reason)
        console.print(table)
    if result.vehicle.get("is_stand_in"):
        console.print("The vehicle is the fencewalk stand-in, not an aircraft.")
    console.print(f"Record: {path}")


@click.command()
@link_options
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for the files.")
@click.option("--name", default="on-board", show_default=True, help="Name of the files.")
@json_option
def download(address: str, signing_key: Path | None, out: Path, name: str, as_json: bool) -> int:
    """Save the mission, geofence and rally points that are on board."""
    from missions.link.connection import open_link
    from missions.link.download import counts, download_sortie, write_download

    if not name or "/" in name:
        raise InputError("--name", f"'{name}' is no file name")
    with progress_bar("download") as progress, open_link(address, signing_key) as link:
        link.wait_for_vehicle()
        downloaded = download_sortie(link, name, progress=progress)
    paths = write_download(downloaded, out)
    document = {
        **counts(downloaded),
        "files": [str(path) for path in paths],
        "remarks": list(downloaded.remarks),
    }
    if as_json:
        print_json(document)
    else:
        click.echo(
            f"{document['mission_items']} mission items, {document['fence_items']} fence items,"
            f" {document['rally_points']} rally points: {', '.join(document['files'])}"
        )
        for remark in downloaded.remarks:
            click.echo(f"Note: {remark}")
    return 1 if downloaded.remarks else 0
