"""`fencewalk orthophoto`: frames to one map picture."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import click

from analysis.mapping import (
    Mosaic,
    MosaicSpec,
    OrthoResult,
    PoseSpec,
    Skipped,
    ViewLimits,
    open_surface,
    read_camera,
    read_frames,
    write_mosaic,
)
from analysis.mapping.orthority_engine import rectify_frames
from analysis.mapping.write import COMPRESSIONS
from corridor import InputError
from fencewalk.common import (
    cleaning_up,
    existing_path,
    json_option,
    mount_options,
    out_option,
    print_json,
    progress_bar,
)


@click.command(short_help="Make an orthophoto from geotagged frames.")
@click.argument("frames", nargs=-1, type=existing_path)
@click.option("--dem", type=existing_path, help="Surface model (DSM) or terrain model, GeoTIFF.")
@click.option(
    "--poses",
    type=existing_path,
    help="OpenSfM reconstruction.json or a flight's photos.csv. Without: EXIF and XMP.",
)
@click.option("--camera", type=existing_path, help="camera.json with the lens that took them.")
@mount_options("For photos.csv without gimbal angles: on a gimbal, or bolted to the aircraft.")
@click.option(
    "--axes",
    type=click.Choice(["grid", "topocentric"]),
    default="grid",
    show_default=True,
    help="Axes of reconstruction.json: the map's grid (OpenDroneMap) or true east and north.",
)
@click.option(
    "--altitude-offset",
    type=float,
    default=0.0,
    show_default=True,
    help="Metres added to the altitudes of the poses, to reach the zero of --dem.",
)
@click.option("--gsd", type=float, help="Metres a pixel. Without: what the frames resolve.")
@click.option(
    "--bounds", type=float, nargs=4, help="West, south, east, north in the CRS of --dem, metres."
)
@click.option(
    "--max-angle",
    type=float,
    default=70.0,
    show_default=True,
    help="Views flatter than this from straight down are not used, degrees.",
)
@click.option(
    "--engine",
    type=click.Choice(["own", "nodeodm", "orthority"]),
    default="own",
    show_default=True,
    help="own: here. nodeodm: a server (--url). orthority: each frame alone, into folder OUT.",
)
@click.option("--url", help="Of the NodeODM or ClusterODM server: http://host:3000[?token=…].")
@click.option("--balance/--no-balance", default=True, help="Even out exposure between frames.")
@click.option("--blend/--no-blend", default=True, help="Soft seams between frames.")
@click.option("--compress", type=click.Choice(COMPRESSIONS), default="deflate", show_default=True)
@out_option
@json_option
def orthophoto(
    frames: tuple[Path, ...],
    dem: Path | None,
    poses: Path | None,
    camera: Path | None,
    mount: Literal["stabilised", "fixed"],
    mount_pitch: float,
    axes: Literal["grid", "topocentric"],
    altitude_offset: float,
    gsd: float | None,
    bounds: tuple[float, float, float, float] | None,
    max_angle: float,
    engine: str,
    url: str | None,
    balance: bool,
    blend: bool,
    compress: str,
    out: Path,
    as_json: bool,
) -> int:
    """Make an orthophoto (COG with alpha) from FRAMES, pictures or folders of them.

    Each pixel comes from the frame that sees its place most steeply and unhidden; what no frame
    sees is transparent. Beside OUT goes OUT.contributions.tif: which frame, from what angle, how
    finely. Frames that cannot be used are left out and named, and the exit code is 1.
    """
    if engine == "nodeodm":
        return _by_server(list_frames(frames), url, gsd, out, as_json)
    if dem is None:
        raise InputError("--dem", "is not given", "a surface model of the place (GeoTIFF)")
    if gsd is not None and not (math.isfinite(gsd) and 0.001 <= gsd <= 100):
        raise InputError("--gsd", f"is {gsd}", "metres a pixel from 0.001 to 100")
    if bounds is not None and not (bounds[0] < bounds[2] and bounds[1] < bounds[3]):
        raise InputError("--bounds", f"is {bounds}", "west south east north")
    if not 0 < max_angle < 89:
        raise InputError("--max-angle", f"is {max_angle}", "degrees above 0 and below 89")
    spec = PoseSpec(
        source=poses,
        camera=None if camera is None else read_camera(camera),
        mount=mount,
        mount_pitch_deg=mount_pitch,
        altitude_offset_m=altitude_offset,
        axes=axes,
    )
    wanted = MosaicSpec(gsd, bounds, ViewLimits(max_angle_deg=max_angle), balance, blend)
    with cleaning_up(), open_surface(dem) as surface, progress_bar("Orthophoto") as progress:
        posed, unposed = read_frames(list_frames(frames), surface.crs, spec)
        if engine == "orthority":
            made = rectify_frames(posed, surface.crs.to_wkt(), dem, out, gsd, progress)
            _say_left_out(tuple(unposed))
            click.echo(f"{len(made)} orthophotos of single frames in {out}")
            return 1 if unposed else 0
        mosaic = Mosaic(posed, surface, wanted, progress)
        mosaic.skipped[:0] = unposed
        result = write_mosaic(mosaic, surface.crs, out, compress, progress)
    _report(result, as_json)
    return 1 if result.skipped else 0


def list_frames(paths: tuple[Path, ...]) -> list[Path]:
    """The pictures meant by files and folders, sorted within a folder, each once.

    Raises:
        InputError: if there is none, or a path does not exist.
    """
    endings = (".jpg", ".jpeg", ".tif", ".tiff", ".png")
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            inside = sorted(one for one in path.iterdir() if one.suffix.lower() in endings)
            if not inside:
                raise InputError(path, "holds no pictures", ", ".join(endings))
            found.update(dict.fromkeys(inside))
        elif path.exists():
            found[path] = None
        else:
            raise InputError(path, "no such file")
    if not found:
        raise InputError("FRAMES", "no frames given", "pictures or folders of them")
    return list(found)


def _report(result: OrthoResult, as_json: bool) -> None:
    if as_json:
        print_json(result.as_json())
    else:
        size = f"{result.width_px} × {result.height_px} pixels of {result.gsd_m:g} m"
        click.echo(f"{result.path}: {size}, {result.covered_frac:.1%} of them seen")
        click.echo(f"{result.frames_used} of {result.frames_given} frames in the picture")
        click.echo(f"{result.contributions}: frame, view angle and GSD of each place")
    _say_left_out(result.skipped)


def _say_left_out(skipped: tuple[Skipped, ...]) -> None:
    if skipped:
        frames = "frame" if len(skipped) == 1 else "frames"
        click.echo(f"{len(skipped)} {frames} left out:", err=True)
    for one in skipped:
        click.echo(f"  {one}", err=True)


def _by_server(
    frames: list[Path], url: str | None, gsd_m: float | None, out: Path, as_json: bool
) -> int:
    from analysis.mapping.nodeodm import NodeOdmSpec, make_orthophoto

    if not url:
        raise InputError("--url", "is not given", "the NodeODM server's address")
    with cleaning_up(), progress_bar("NodeODM") as progress:
        made = make_orthophoto(frames, out, NodeOdmSpec(url, gsd_m), progress)
    if as_json:
        dsm = None if made.dsm is None else str(made.dsm)
        print_json({"orthophoto": str(made.orthophoto), "dsm": dsm, "task": made.task})
    else:
        click.echo(f"{made.orthophoto}" + ("" if made.dsm is None else f", {made.dsm}"))
    return 0
