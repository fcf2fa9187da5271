"""`fencewalk scene`: a generated site with its truth."""

from __future__ import annotations

from pathlib import Path

import click

from fencewalk.common import cleaning_up, json_option, out_option, print_json, progress_bar
from scenes import Difficulty, FenceKind, Preset, SceneSpec, Season, generate


def _choice(values: type) -> click.Choice[str]:
    return click.Choice([value.value for value in values])  # type: ignore[attr-defined]


@click.command(short_help="Generate a site: orthophoto, height models, boundaries, truth.")
@click.option("--seed", type=int, default=1, show_default=True, help="Same seed, same site.")
@out_option
@click.option("--preset", type=_choice(Preset), default="straight", show_default=True)
@click.option("--gsd", "gsd_m", type=float, default=0.02, show_default=True, help="Metres a pixel.")
@click.option("--length", "length_m", type=float, default=300.0, show_default=True,
              help="Metres of road, 100 to 2000.")  # fmt: skip
@click.option("--band", "band_m", type=float, default=25.0, show_default=True,
              help="Metres of surroundings beyond each fence.")  # fmt: skip
@click.option("--difficulty", type=_choice(Difficulty), default="real", show_default=True)
@click.option("--season", type=_choice(Season), help="Left to chance if not given.")
@click.option("--fence", type=_choice(FenceKind), help="Left to chance if not given.")
@click.option("--epoch", type=int, default=1, show_default=True,
              help="2: the same place a month later.")  # fmt: skip
@click.option("--lean", is_flag=True,
              help="Crowns and houses lean, as in orthophotos made on bare ground.")  # fmt: skip
@json_option
def scene(
    seed: int, out: Path, preset: str, gsd_m: float, length_m: float, band_m: float,
    difficulty: str, season: str | None, fence: str | None, epoch: int, lean: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Generate a site to try things on: a picture of an expressway and what is true of it.

    Writes ortho.tif, dsm.tif, dem.tif, boundaries.geojson (drawn up to 2 m wrong, as maps are),
    planning_dem.tif (elevations that go on beyond the picture, for `fencewalk plan --dem`),
    truth.gpkg (fence state, breaches, footpaths as `fencewalk score` reads them), scene.json and,
    where a tunnel, viaduct or bridge leaves no fence, exclusions.geojson.
    """
    spec = SceneSpec(
        seed=seed,
        preset=Preset(preset),
        gsd_m=gsd_m,
        length_m=length_m,
        band_m=band_m,
        difficulty=Difficulty(difficulty),
        season=Season(season) if season else None,
        fence=FenceKind(fence) if fence else None,
        epoch=epoch,
        lean=lean,
    )
    with cleaning_up(), progress_bar("Scene") as progress:
        folder = generate(spec, out, progress)
    if as_json:
        print_json({"folder": str(folder), "truth": str(folder / "truth.gpkg")})
    else:
        click.echo(f"Scene written to {folder}")
