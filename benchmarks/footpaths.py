"""Footpaths on the shared pictures and generated scenes, by variant, with overlays; their speed.

python benchmarks/footpaths.py quality --out overlays/ [--scene FOLDER]...
python benchmarks/footpaths.py scenes --out tables/ FOLDER...
python benchmarks/footpaths.py speed
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
import cv2
import geopandas
import numpy as np
import rasterio
import shapely
from footpath_scenes import one_scene, scores_json, tables, truth_lines
from rasterio.transform import from_origin
from skimage.filters import sato

from analysis.footpaths import Footpath, FootpathConfig, PathClass, find_footpaths, strips
from analysis.footpaths.network import Network
from analysis.raster import Orthophoto

DATA = Path(os.environ.get("FENCEWALK_DATA", Path(__file__).parents[2] / "shared" / "data"))
BUFFER_M = {"aukerman": 1.2, "banepa": 0.7}
COLOURS = {
    PathClass.FOOTPATH: (40, 40, 255),
    PathClass.VEHICLE_TRACK: (0, 200, 255),
    PathClass.PAVED_PATH: (255, 120, 0),
    PathClass.OTHER_LINEAR: (255, 0, 255),
}
"""Blue, green, red."""
TRUTH_COLOUR = (255, 255, 0)
VARIANTS = {
    "filter alone": FootpathConfig(network_weight=0.0),
    "network alone": FootpathConfig(filter_weight=0.0, network_weight=1.0),
    "both": FootpathConfig(),
}


def truth_of(name: str, ortho: Orthophoto) -> tuple[list[shapely.Geometry], shapely.Geometry]:
    """Traced paths, and where they were traced."""
    traced = geopandas.read_file(DATA / name / "footpaths.geojson").to_crs(ortho.crs.to_wkt())
    area: shapely.Geometry = shapely.box(*ortho.bounds)
    if (DATA / name / "roi.geojson").is_file():
        roi = geopandas.read_file(DATA / name / "roi.geojson").to_crs(ortho.crs.to_wkt())
        area = roi.geometry.union_all()
    return list(traced.geometry), area


def compared(
    paths: list[Footpath], truth: list[shapely.Geometry], area: shapely.Geometry, buffer_m: float
) -> tuple[float, float, float]:
    """Completeness, correctness and F1 of those of class footpath."""
    lines = [p.centreline for p in paths if p.path_class is PathClass.FOOTPATH]
    found = shapely.intersection(shapely.union_all(lines), area)
    wanted = shapely.intersection(shapely.union_all(truth), area)
    complete = wanted.intersection(found.buffer(buffer_m)).length / max(wanted.length, 1e-9)
    correct = found.intersection(wanted.buffer(buffer_m)).length / max(found.length, 1e-9)
    return complete, correct, 2 * complete * correct / max(complete + correct, 1e-9)


def overlay(
    ortho: Orthophoto, paths: list[Footpath], truth: list[shapely.Geometry], path: Path
) -> None:
    """Truth thin and cyan; footpaths red, wheel tracks yellow, paved blue, others magenta."""
    patch = ortho.read(None, max(ortho.gsd_m, 0.2))
    image = np.ascontiguousarray(patch.rgb[..., ::-1])
    to_pixel = ~patch.affine

    def draw(shape: shapely.Geometry, colour: tuple[int, int, int], thick: int) -> None:
        for line in getattr(shape, "geoms", [shape]):
            xy = shapely.get_coordinates(line)
            columns, rows = to_pixel @ (xy[:, 0], xy[:, 1])
            places = np.round(np.column_stack([columns, rows]) * 16).astype(np.int32)
            cv2.polylines(image, [places], False, colour, thick, cv2.LINE_AA, 4)

    for line in truth:
        draw(line, TRUTH_COLOUR, 1)
    for found in sorted(paths, key=lambda p: p.path_class is PathClass.FOOTPATH):
        thick = 2 if found.path_class is PathClass.FOOTPATH else 1
        draw(found.centreline, COLOURS[found.path_class], thick)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, 80])


def pictures(scenes: tuple[Path, ...]) -> Iterator[tuple[str, Path, float]]:
    """Name, picture, buffer (0 where there is no path to find)."""
    for name in ("aukerman", "banepa", "hsinchu-highway", "caliterra-9414"):
        yield name, DATA / name / "ortho.tif", BUFFER_M.get(name, 0.0)
    for folder in scenes:
        yield f"scene {folder.name}", folder / "ortho.tif", 0.5


@click.group()
def main() -> None:
    """Footpaths: quality and speed."""


@main.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="For the overlays.")
@click.option("--scene", "scenes", multiple=True, type=click.Path(path_type=Path))
@click.option("--variant", "wanted", multiple=True, type=click.Choice(list(VARIANTS)))
@click.option("--picture", "only", multiple=True, help="Only pictures of these names.")
def quality(
    out: Path, scenes: tuple[Path, ...], wanted: tuple[str, ...], only: tuple[str, ...]
) -> None:
    """Completeness, correctness, F1 and metres a hectare, one line a picture and variant."""
    network = Network()
    for name, picture, buffer_m in pictures(scenes):
        if only and name not in only:
            continue
        ortho = Orthophoto.open(picture)
        area: shapely.Geometry = shapely.box(*ortho.bounds)
        truth: list[shapely.Geometry] = []
        if name in BUFFER_M:
            truth, area = truth_of(name, ortho)
        elif buffer_m:
            truth = truth_lines(picture.parent, ortho)
        hectares = float(ortho.read(None, 1.0).valid.sum()) / 1e4
        for variant in wanted or VARIANTS:
            config = VARIANTS[variant]
            started = time.process_time()
            whole = bool(shapely.equals(area, shapely.box(*ortho.bounds)))
            paths = find_footpaths(
                ortho,
                None if whole else area,
                config=config,
                network=network if config.network_weight > 0 else None,
            )
            seconds = time.process_time() - started
            metres = sum(p.length_m for p in paths if p.path_class is PathClass.FOOTPATH)
            text = f"{name:18s} {variant:14s} {metres:6.0f} m"
            if truth:
                complete, correct, f1 = compared(paths, truth, area, buffer_m)
                text += f"  completeness {complete:.2f} correctness {correct:.2f} F1 {f1:.2f}"
            else:
                text += f"  {metres / hectares:.1f} m/ha"
            click.echo(f"{text}  ({seconds:.0f} s)")
            overlay(ortho, paths, truth, out / f"footpaths-{name}-{variant}.jpg".replace(" ", "-"))


@main.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="For the findings.")
@click.option("--reuse", is_flag=True, help="Score findings that are there already.")
def scenes(folders: tuple[Path, ...], out: Path, reuse: bool) -> None:
    """All that `analyze` finds on generated scenes, FOLDERS as `fencewalk scene` wrote them."""
    done = []
    for folder in folders:
        done.append(one_scene(folder, out / folder.name, reuse=reuse))
        click.echo(f"{folder.name}: {done[-1].cpu_s:.0f} s CPU", err=True)
    text = "\n".join(tables(done))
    click.echo(text)
    (out / "tables.md").write_text(text + "\n", encoding="utf-8")
    (out / "scores.json").write_text(json.dumps(scores_json(done), indent=2) + "\n")


def strip_picture(path: Path, length_m: float, gsd_m: float) -> None:
    """60 m of textured ground, with winding paths, along a kilometre."""
    rng = np.random.default_rng(1)
    rows, columns = round(60 / gsd_m), round(length_m / gsd_m)
    profile = {
        "driver": "GTiff", "width": columns, "height": rows, "count": 3, "dtype": "uint8",
        "crs": "EPSG:32648", "transform": from_origin(500_000, 3_000_000, gsd_m, gsd_m),
        "tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate",
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as dataset:
        for first in range(0, columns, 2000):
            width = min(2000, columns - first)
            x = (first + np.arange(width)) * gsd_m
            y = np.arange(rows)[:, None] * gsd_m
            ground = np.array([95, 115, 60]) + rng.normal(0, 14, (rows, width, 1))
            worn = np.abs(y - 30 - 12 * np.sin(x / 23)) < 0.4
            ground[worn] += (45, 12, 35)
            block = np.clip(ground, 1, 254).astype(np.uint8).transpose(2, 0, 1)
            dataset.write(block, window=rasterio.windows.Window(first, 0, width, rows))


def command(picture: Path, out: Path, jobs: int, times: int = 1) -> float:
    """Wall seconds of the command with some processes, run `times` times side by side.

    An idle machine is needed.
    """
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    order = [sys.executable, "-m", "fencewalk", "analyze", str(picture), "--only", "footpaths"]
    running = []
    for number in range(times):
        own = out.with_name(f"{out.name}-{number}") if number else out
        shutil.rmtree(own, ignore_errors=True)
        whole = [*order, "--out", str(own), "--jobs", str(jobs)]
        running.append(subprocess.Popen(whole, stdout=subprocess.DEVNULL))
    if any(process.wait() for process in running):
        raise click.ClickException("the command failed")
    wall_s, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    side_by_side = f", {times} such runs side by side" if times > 1 else ""
    click.echo(f"{jobs} process(es){side_by_side}: {wall_s:.1f} s, {cpu_s:.1f} s of processor")
    return wall_s


@main.command()
@click.option("--work", type=click.Path(path_type=Path), default=Path("footpaths-speed"))
@click.option(
    "--length", "lengths_m", multiple=True, type=float, default=(200.0, 1000.0, 2000.0),
    show_default=True, help="Metres of band.",
)  # fmt: skip
@click.option("--jobs", default=1, help="Also the command, with one and with so many processes.")
@click.option(
    "--beside", is_flag=True, help="And as many runs of one process side by side: what is possible."
)
def speed(work: Path, lengths_m: tuple[float, ...], jobs: int, beside: bool) -> None:
    """CPU seconds for 60 m by 1 km at 5 cm, memory, and the filter against scikit-image's Sato."""
    work.mkdir(parents=True, exist_ok=True)
    for length_m in lengths_m:
        picture = work / f"strip-{length_m:.0f}.tif"
        strip_picture(picture, length_m, 0.05)
        ortho = Orthophoto.open(picture)
        find_footpaths(ortho, shapely.box(*ortho.bounds[:2], *(np.array(ortho.bounds[:2]) + 20)))
        started = time.process_time()
        paths = find_footpaths(ortho)
        seconds = time.process_time() - started
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        click.echo(
            f"60 m by {length_m:.0f} m at 5 cm: {seconds:.1f} s CPU, {len(paths)} paths, "
            f"peak {peak_mb:.0f} MB so far"
        )
        if jobs > 1:
            walls = [command(picture, work / f"out-{n}", n) for n in (1, jobs)]
            same = len({(work / f"out-{n}/findings.geojson").read_bytes() for n in (1, jobs)}) == 1
            click.echo(
                f"{jobs} processes {walls[0] / walls[1]:.2f} times as fast; same output: {same}"
            )
            if beside:
                together_s = command(picture, work / "out-1", 1, times=jobs)
                click.echo(
                    f"{jobs} runs side by side do {jobs * walls[0] / together_s:.2f} times the work"
                )
    # One channel and one scale against one width of the bank of 16 directions on two channels.
    size = 1024
    lab = np.random.default_rng(0).normal(800, 60, (3, size, size)).astype(np.int16)
    valid = np.ones((size, size), bool)
    found = strips.strips_for(0.1, 0.1, (0.5, 1.0, 2.0))
    strips.strip_evidence(lab, valid, 0.1, found)
    started = time.process_time()
    strips.strip_evidence(lab, valid, 0.1, found)
    ours = time.process_time() - started
    plane = lab[0].astype(np.float32)
    started = time.process_time()
    sato(plane, sigmas=[2.5, 5.0, 10.0], black_ridges=False)
    theirs = time.process_time() - started
    evidence_px = size * size / 1e6
    click.echo(
        f"three scales, one megapixel: two-flank bank, 16 directions and 2 channels "
        f"{ours / evidence_px:.2f} s; scikit-image's Sato, 1 channel {theirs / evidence_px:.2f} s; "
        f"a direction and channel of the bank {theirs / (ours / 32):.0f} times as fast"
    )


if __name__ == "__main__":
    main()
