"""`fencewalk score`."""

from __future__ import annotations

from pathlib import Path

import click

from corridor import InputError
from fencewalk.common import existing_path, json_option, print_json


@click.command()
@click.argument("findings", nargs=-1, required=True, type=existing_path)
@click.option(
    "--truth",
    "truths",
    multiple=True,
    required=True,
    type=existing_path,
    help="What is really there: truth.gpkg of a scene, or lines of footpaths or fences. "
    "Repeat it for each of several findings, in their order.",
)
@click.option(
    "--area",
    "areas",
    multiple=True,
    type=existing_path,
    help="Polygons inside of which to score; one for all, or one for each of the findings.",
)
@click.option(
    "--buffer",
    "buffer_m",
    type=float,
    default=1.0,
    show_default=True,
    metavar="M",
    help="Footpaths match within this many metres.",
)
@click.option(
    "--min-confidence",
    type=float,
    default=0.0,
    show_default=True,
    metavar="P",
    help="Leave out findings that are less sure.",
)
@click.option(
    "--diagram",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.svg",
    help="Also draw the reliability diagram: of findings at 0.8, are 80 % right?",
)
@json_option
def score(
    findings: tuple[Path, ...],
    truths: tuple[Path, ...],
    areas: tuple[Path, ...],
    buffer_m: float,
    min_confidence: float,
    diagram: Path | None,
    as_json: bool,
) -> None:
    """Measure findings against the truth.

    FINDINGS is a folder that `fencewalk analyze` wrote, its findings.gpkg, or any vector file of
    lines. Several are pooled into one score:

    \b
      fencewalk score findings/ --truth truth.gpkg
      fencewalk score a/ --truth a.gpkg b/ --truth b.gpkg
      fencewalk score paths.geojson --truth footpaths.geojson --area roi.geojson --buffer 0.7

    Breaches are matched along the chainage (overlap after 1 m of slack), footpaths within the
    buffer, access points within 3 m, plots by an overlap of half of their union.
    """
    from analysis.score import ScoreSpec, as_text, write_diagram
    from analysis.score import as_json as score_as_json
    from analysis.score import score as score_sites

    if len(findings) != len(truths):
        raise InputError(
            "--truth", f"{len(truths)} truths for {len(findings)} findings", "one for each"
        )
    spec = ScoreSpec(buffer_m=buffer_m, min_confidence=min_confidence)
    result = score_sites(list(zip(findings, truths, strict=True)), areas, spec)
    if diagram is not None:
        write_diagram(diagram, result.calibrations())
    if as_json:
        print_json(score_as_json(result))
    else:
        click.echo(as_text(result))
