"""`fencewalk geotag`: positions into frames."""

from __future__ import annotations

from pathlib import Path

import click

from corridor.shots import Mount
from fencewalk.commands.orthophoto import list_frames
from fencewalk.common import existing_path, json_option, mount_options, print_json, progress_bar


@click.command(short_help="Write positions from a flight's log into its frames.")
@click.argument("flight", type=existing_path)
@click.argument("frames", nargs=-1, required=True, type=existing_path)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder for tagged copies. Without: in place."
)
@mount_options("The camera hangs on a gimbal, or is bolted to the aircraft.")
@click.option(
    "--clock-offset", type=float, help="Camera's clock less UTC, seconds. Without: found out."
)
@json_option
def geotag(
    flight: Path,
    frames: tuple[Path, ...],
    out: Path | None,
    mount: Mount,
    mount_pitch: float,
    clock_offset: float | None,
    as_json: bool,
) -> int:
    """Write positions from FLIGHT's log (.tlog, .bin or photos.csv) into FRAMES' EXIF and XMP.

    Frames and shots are paired by time, so that a missing picture shifts none of the others. Pixels
    are not touched. Exit code 1 if a frame or a shot has no partner; they are named.
    """
    from missions.geotag import geotag as tag

    with progress_bar("Geotag") as progress:
        result = tag(flight, list_frames(frames), out, mount, mount_pitch, clock_offset, progress)
    if as_json:
        print_json(result.as_json())
    else:
        click.echo(f"{len(result.tagged)} frames tagged; {result.photos}")
        if result.match.offset_s is not None and result.match.residual_s is not None:
            click.echo(
                f"Camera's clock: {result.match.offset_s:+.2f} s, times agree within "
                f"{result.match.residual_s:.2f} s"
            )
    for name in result.frames_without_shot:
        click.echo(f"No shot fits {name}: left untagged", err=True)
    if result.shots_without_frame:
        click.echo(f"No frame for shots {_listed(result.shots_without_frame)}", err=True)
    if result.lost_reports:
        click.echo(f"The log lacks the reports of shots {_listed(result.lost_reports)}", err=True)
    return 0 if result.complete else 1


def _listed(numbers: tuple[int, ...]) -> str:
    return ", ".join(map(str, numbers[:20])) + (" …" if len(numbers) > 20 else "")
