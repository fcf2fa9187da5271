"""`fencewalk inspect`: what an orthophoto is, and whether it suits."""

from __future__ import annotations

from pathlib import Path

import click

from analysis.mapping.inspect import Inspection, inspect_orthophoto
from analysis.mapping.write import COMPRESSIONS, copy_as_cog
from fencewalk.common import existing_path, json_option, print_json, progress_bar


@click.command(short_help="Say what an orthophoto is and whether it suits.")
@click.argument("ortho", type=existing_path)
@click.option("--cog", type=click.Path(path_type=Path), help="Write it as a COG to this file.")
@click.option("--compress", type=click.Choice(COMPRESSIONS), default="deflate", show_default=True)
@json_option
def inspect(ortho: Path, cog: Path | None, compress: str, as_json: bool) -> int:
    """Say what ORTHO is: place, pixel size, bands, transparency, tiling, overviews.

    Exit code 1 if the analysis would not take it, with the reason and what to do. --cog writes a
    cloud-optimised copy: tiled, with overviews, pixels unchanged unless --compress says otherwise.
    """
    found = inspect_orthophoto(ortho)
    if cog is not None:
        with progress_bar("COG") as progress:
            copy_as_cog(ortho, cog, compress, progress)
    if as_json:
        print_json({**found.as_json(), "cog_written": None if cog is None else str(cog)})
    else:
        _print(found)
        if cog is not None:
            click.echo(f"Written: {cog}")
    return 0 if found.suits else 1


def _print(found: Inspection) -> None:
    size = f"{found.width_px} × {found.height_px} pixels, {found.file_bytes / 1e6:.1f} MB"
    gsd = "unknown" if found.gsd_m is None else " × ".join(f"{g * 100:.4g}" for g in found.gsd_m)
    nodata = f" {found.nodata:g}" if found.nodata is not None else ""
    lines = {
        "File": f"{found.path} ({found.driver}, {found.compression})",
        "Size": size,
        "CRS": found.crs or "none",
        "Pixel": f"{gsd} cm" if found.gsd_m else gsd,
        "Bands": f"{', '.join(found.bands)} ({found.dtype})",
        "Empty pixels": f"by {found.transparency}{nodata}; {found.valid_frac:.1%} hold a picture",
        "Tiles": f"{found.block_px[0]} × {found.block_px[1]}" if found.tiled else "none, lines",
        "Overviews": ", ".join(map(str, found.overviews)) or "none",
        "Cloud-optimised": "yes" if found.cog else "no",
    }
    if found.bounds_lonlat:
        west, south, east, north = found.bounds_lonlat
        lines["Extent"] = f"{west:.6f} to {east:.6f} east, {south:.6f} to {north:.6f} north"
    for name, value in lines.items():
        click.echo(f"{name + ':':17}{value}")
    for remark in found.remarks:
        click.echo(f"{remark.level.capitalize()}: {remark.text}")
    click.echo("Suits the analysis." if found.suits else "Does not suit the analysis.")
