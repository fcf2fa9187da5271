"""Fits the judge of branches: `python -m analysis.training.footpaths_judge SCENES… --ground G…`.

A logistic regression on what was seen along each branch that the evidence offers, in generated
scenes (a branch is a path if most of it lies within 1 m of one) and in real pictures that hold no
path. Lengths are the weights, so that a metre is a metre.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
import shapely
from scipy.optimize import minimize

from analysis.footpaths.config import FootpathConfig
from analysis.footpaths.find import candidates, ridges
from analysis.footpaths.grid import WorkingGrid
from analysis.footpaths.judge import CUES, Judge
from analysis.footpaths.network import MODEL, Network
from analysis.raster import Orthophoto
from corridor import write_json
from corridor.findings import FindingKind, read_findings

Array = npt.NDArray[Any]

NEAR_M = 1.0
PENALTY = 1e-3
PATH_SHARE = 0.25
"""Of the metres offered, how many are taken to be paths: a carriageway offers many that are not,
and an analysis looks beside it."""
LEAST_VISIBLE_FRAC = 0.3
SIGNS = {
    "score": (0.5, 5.0),
    "footpath": (0.0, 5.0),
    "vehicle": (-5.0, 0.0),
    "sealed": (-5.0, 0.0),
    "straight": (-5.0, 0.0),
}
"""Least and greatest weight of a cue. On a carriageway the clearest lines are markings,
which would teach that a clear line is no path; beside it a clear line speaks for one."""


def branch_table(
    picture: Path, truth: Path | None, network: Network, config: FootpathConfig
) -> Iterator[tuple[float, float, list[float]]]:
    """Share that is path, length in metres, and cues of each branch offered in a picture."""
    ortho = Orthophoto.open(picture)
    grid = WorkingGrid.of(ortho, config.gsd_m)
    _, pixels = ridges(grid, shapely.box(*ortho.bounds), config, network)
    judge = Judge(pixels, config, 2 * grid.gsd_m, network=True)
    near: shapely.Geometry = shapely.Polygon()
    if truth is not None:
        lines = [
            shapely.LineString(ortho.to_xy(shapely.get_coordinates(f.geometry)))
            for f in read_findings(truth)
            if f.kind is FindingKind.FOOTPATH
            and float(f.extra.get("visible_frac") or 1.0) >= LEAST_VISIBLE_FRAC
        ]
        near = shapely.union_all([line.buffer(NEAR_M) for line in lines])
    for graph in candidates(pixels, config, 2 * grid.gsd_m):
        for branch in graph.branches:
            xy = grid.xy(2.0 * branch.pixels[:, 0] + 1, 2.0 * branch.pixels[:, 1] + 1)
            evidence = judge.evidence(branch.pixels)
            share = float(shapely.contains_xy(near, xy[:, 0], xy[:, 1]).mean())
            length_m = branch.length_px * 2 * grid.gsd_m
            yield share, length_m, [evidence[cue] for cue in CUES]


def fit(cues: Array, is_path: Array, weight: Array) -> dict[str, float]:
    """Weights of a logistic regression, with a small penalty on standardised cues."""
    mean, spread = cues.mean(axis=0), cues.std(axis=0) + 1e-6
    x = np.column_stack([(cues - mean) / spread, np.ones(len(cues))])
    share = np.where(
        is_path,
        PATH_SHARE * weight / weight[is_path].sum(),
        (1 - PATH_SHARE) * weight / weight[~is_path].sum(),
    )

    def loss(w: Array) -> float:
        margin = (x @ w) * np.where(is_path, 1, -1)
        return float((share * np.logaddexp(0, -margin)).sum() + PENALTY * (w[:-1] ** 2).sum() / 2)

    bounds = [(SIGNS[c][0] * s, SIGNS[c][1] * s) for c, s in zip(CUES, spread, strict=True)]
    w = minimize(loss, np.zeros(x.shape[1]), method="L-BFGS-B", bounds=[*bounds, (-50, 50)]).x
    scaled = w[:-1] / spread
    fitted = {cue: round(float(v), 4) for cue, v in zip(CUES, scaled, strict=True)}
    return {"bias": round(float(w[-1] - scaled @ mean), 4), **fitted}


@click.command()
@click.argument("scenes", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--ground", multiple=True, type=click.Path(path_type=Path))
@click.option("--model", type=click.Path(path_type=Path), default=MODEL, show_default=True)
def main(scenes: tuple[Path, ...], ground: tuple[Path, ...], model: Path) -> None:
    """Fits on SCENES and path-free GROUND, writes the weights beside the model."""
    network, config = Network(model), FootpathConfig()
    rows: list[tuple[float, float, list[float]]] = []
    for folder in scenes:
        rows += branch_table(folder / "ortho.tif", folder / "truth.gpkg", network, config)
        click.echo(f"{folder}: {len(rows)} branches so far")
    for picture in ground:
        rows += branch_table(picture, None, network, config)
        click.echo(f"{picture}: {len(rows)} branches so far")
    share = np.array([row[0] for row in rows])
    length = np.array([row[1] for row in rows])
    cues = np.array([row[2] for row in rows])
    clear = (share > 0.7) | (share < 0.3)
    weights = fit(cues[clear], share[clear] > 0.5, length[clear])
    total = cues @ np.array([weights[cue] for cue in CUES]) + weights["bias"]
    probability = 1 / (1 + np.exp(-total))
    reliability = []
    for low in np.arange(0, 1, 0.1):
        here = (probability >= low) & (probability < low + 0.1)
        metres = float(length[here].sum())
        right = float((share * length)[here].sum()) / metres if metres else None
        reliability.append({"from": round(float(low), 1), "metres": round(metres), "path": right})
    click.echo(json.dumps({"judge": weights, "reliability": reliability}, indent=1))
    write_json(model.with_suffix(".json"), {"version": 1, "judge": weights})


if __name__ == "__main__":
    main()
