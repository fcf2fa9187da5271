"""`fencewalk analyze`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fencewalk.common import (
    BoundaryOptions,
    boundary_options,
    existing_path,
    json_option,
    out_option,
    print_json,
    progress_bar,
)

if TYPE_CHECKING:
    from analysis.results import Analysis

PARTS = ("fence", "footpaths", "plots")
LAYERS = ("villages", "buildings", "fields", "bus_stops", "roads", "districts")


def _named_files(
    ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, Path]:
    named = {}
    for value in values:
        name, equals, path = value.partition("=")
        if not (equals and path) or name not in LAYERS:
            raise click.BadParameter(
                f"'{value}' has not the form NAME=FILE with NAME one of {', '.join(LAYERS)}",
                ctx,
                parameter,
            )
        named[name] = Path(path)
    return named


@click.command()
@click.argument("orthophotos", metavar="ORTHO...", nargs=-1, required=True, type=existing_path)
@click.option(
    "--boundaries",
    type=existing_path,
    metavar="FILE",
    help="The fences as drawn. Without them, footpaths are looked for over the whole picture.",
)
@click.option("--dsm", type=existing_path, metavar="FILE", help="A surface model, if there is one.")
@click.option(
    "--exclusions",
    type=existing_path,
    metavar="FILE",
    help="Polygons in which by design no fence stands: tunnels, viaducts, bridges. A column"
    " 'reason' may say which.",
)
@click.option(
    "--area",
    type=existing_path,
    metavar="FILE",
    help="Polygons: look for footpaths inside them only.",
)
@click.option(
    "--previous",
    type=existing_path,
    metavar="FINDINGS",
    help="An earlier findings folder: tells what is new, persisting, changed or repaired.",
)
@click.option(
    "--oblique",
    type=existing_path,
    multiple=True,
    metavar="FRAMES",
    help="Frames, or folders of frames, that look at the fence from the side; may be repeated.",
)
@click.option(
    "--context",
    "layers",
    multiple=True,
    callback=_named_files,
    metavar="NAME=FILE",
    help=f"What lies around: {', '.join(LAYERS)}. Districts need a column 'name'; may be repeated.",
)
@click.option(
    "--outside",
    "outside_m",
    type=click.FloatRange(1.0, 500.0),
    default=60.0,
    show_default=True,
    metavar="M",
    help="How far beyond the fence footpaths are looked for.",
)
@click.option(
    "--only",
    "only",
    type=click.Choice(PARTS),
    multiple=True,
    help="Look for this only; may be repeated.  [default: all of them]",
)
@click.option(
    "--jobs",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    metavar="N",
    help="Processes to work with.",
)
@out_option
@json_option
@boundary_options
def analyze(
    orthophotos: tuple[Path, ...],
    boundaries: Path | None,
    dsm: Path | None,
    exclusions: Path | None,
    area: Path | None,
    previous: Path | None,
    oblique: tuple[Path, ...],
    layers: Mapping[str, Path],
    outside_m: float,
    only: tuple[str, ...],
    jobs: int,
    out: Path,
    as_json: bool,
    boundary_options: BoundaryOptions,
) -> None:
    """Read an orthophoto: the state of the fence metre by metre, breaches, footpaths, plots.

    ORTHO is an orthophoto in a projected CRS (one file, or the tiles of one), as `fencewalk
    orthophoto`, OpenDroneMap or Metashape write it:

    \b
      fencewalk analyze ortho.tif --boundaries fence.geojson --out findings/
      fencewalk analyze ortho.tif --boundaries fence.geojson --previous march/ --out april/
      fencewalk analyze ortho.tif --out paths/

    Open report.html in the folder for the breach map, findings.gpkg in QGIS. A run that was
    interrupted goes on where it was when it is called again in the same way.
    """
    from analysis.crew import Crew

    parts = {part: part in (only or PARTS) for part in PARTS}
    # The other processes load what all of them need while this one does.
    with Crew(jobs, "analysis.readiness", parts["fence"], parts["footpaths"]) as crew:
        from analysis.exclusions import read_exclusions
        from analysis.pipeline import analyze as run
        from analysis.sources import AnalyzeSpec, Sources
        from analysis.surroundings import read_area, read_districts, read_places

        files = [
            path for path in (boundaries, exclusions, area, *layers.values()) if path is not None
        ]
        sources = Sources(
            orthos=orthophotos,
            boundaries=boundary_options.read(boundaries) if boundaries else (),
            dsm=dsm,
            area=read_area(area) if area else None,
            layers={
                name: read_places(path) for name, path in layers.items() if name != "districts"
            },
            districts=read_districts(layers["districts"]) if "districts" in layers else {},
            previous=previous,
            oblique=oblique,
            exclusions=read_exclusions(exclusions) if exclusions else (),
            files=files,
        )
        spec = AnalyzeSpec(outside_m=outside_m, **parts)
        with progress_bar("analyze") as progress:
            analysis = run(sources, out, spec, crew=crew, progress=progress)
    if as_json:
        print_json(_summary(analysis, out))
    else:
        _tell(analysis, out)


def _summary(analysis: Analysis, out: Path) -> dict[str, object]:
    metres: dict[str, float] = {}
    for own in analysis.pieces:
        for piece in own:
            length_m = piece.chainage_end_m - piece.chainage_start_m
            metres[piece.state.value] = round(metres.get(piece.state.value, 0.0) + length_m, 2)
    counts: dict[str, int] = {}
    for finding in analysis.findings:
        # Lines that only look like footpaths are named for what they are.
        name = str(finding.extra.get("class") or finding.kind.value)
        counts[name] = counts.get(name, 0) + 1
    return {
        "version": 1,
        "out": str(out),
        "report": str(out / "report.html"),
        "fence_m": round(sum(metres.values()), 2),
        "metres_by_state": metres,
        "findings": counts,
        "crossings": len(analysis.crossings),
        "notes": list(analysis.notes),
    }


def _tell(analysis: Analysis, out: Path) -> None:
    for note in analysis.notes:
        click.echo(f"Note: {note}", err=True)
    summary = _summary(analysis, out)
    metres = summary["metres_by_state"]
    total_m = summary["fence_m"]
    if isinstance(metres, dict) and isinstance(total_m, float) and total_m > 0:
        shares = ", ".join(
            f"{state} {length_m:.0f} m ({100 * length_m / total_m:.0f} %)"
            for state, length_m in sorted(metres.items(), key=lambda item: -item[1])
        )
        click.echo(f"{total_m:.0f} m of fence: {shares}")
    breaches = [f for f in analysis.findings if f.breach_type is not None]
    for finding in breaches[:20]:
        click.echo(
            f"  {finding.station} {finding.side.value if finding.side else ''}: "
            f"{finding.breach_type.value if finding.breach_type else ''}, "
            f"{finding.length_m or 0.0:.1f} m, confidence {finding.confidence:.2f}, "
            f"severity {finding.severity}"
        )
    if len(breaches) > 20:
        click.echo(f"  … and {len(breaches) - 20} more")
    counts = summary["findings"]
    if isinstance(counts, dict):
        told = ", ".join(f"{n} {kind.replace('_', ' ')}" for kind, n in sorted(counts.items()))
        click.echo(f"Findings: {told or 'none'}")
    click.echo(f"Report: {out / 'report.html'}")
