"""Fits the judge of plots: `python -m analysis.training.plots_judge SCENES…`.

The weights of the logistic function in `analysis.plots` are fitted on what it finds in folders that
`fencewalk scene` wrote and on real ground without plots (`--ground`), and written as
`analysis/models/plots.json`. What is printed is judged by fits that did not see the scene (five
parts of the scenes in turn). Neither should be what the network was trained on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import shapely
from scipy.optimize import linear_sum_assignment

from analysis.plots import CUES, Plot, find_plots
from analysis.raster import Orthophoto
from analysis.training.logistic import fit_weights, left_out
from analysis.training.scene_truth import SceneTruth
from corridor import write_json
from corridor.values import FloatArray

MODEL = Path(__file__).parents[1] / "models" / "plots.json"
LEAST_IOU = 0.5
_INSIDE_M = 60.0
_SHRINK = 2.0


@dataclass(frozen=True)
class Example:
    """One find.

    Attributes:
        scene: its folder's name.
        plot: the find.
        iou: with the true plot that it overlaps most.
        true: the number of the true plot that it matches, None if none.
    """

    scene: str
    plot: Plot
    iou: float
    true: int | None


@dataclass(frozen=True)
class Told:
    """What one scene has to tell."""

    examples: tuple[Example, ...]
    plots: int


def told_by(folder: Path) -> Told:
    """All finds of a scene inside its fences, and the number of its plots."""
    scene = SceneTruth.open(folder)
    truth = scene.plots
    area = shapely.union_all([scene.between_fences(_INSIDE_M, _INSIDE_M), *truth])
    found = find_plots(scene.ortho, area, least_confidence=0.0)
    iou = np.zeros((len(found), len(truth)))
    for i, plot in enumerate(found):
        for j, outline in enumerate(truth):
            shared = float(shapely.area(shapely.intersection(plot.outline, outline)))
            iou[i, j] = shared / (plot.area_m2 + float(shapely.area(outline)) - shared)
    rows, columns = linear_sum_assignment(np.where(iou >= LEAST_IOU, 1.0 - iou, 10.0))
    match = {int(i): int(j) for i, j in zip(rows, columns, strict=True) if iou[i, j] >= LEAST_IOU}
    return Told(
        tuple(
            Example(folder.name, plot, float(iou[i].max(initial=0.0)), match.get(i))
            for i, plot in enumerate(found)
        ),
        len(truth),
    )


def told_by_ground(path: Path) -> Told:
    """All finds of a real picture without plots, each of them false."""
    ortho = Orthophoto.open(path)
    found = find_plots(ortho, shapely.box(*ortho.bounds), least_confidence=0.0)
    return Told(tuple(Example(path.name, plot, 0.0, None) for plot in found), 0)


def told_apart(examples: Sequence[Example]) -> tuple[FloatArray, FloatArray]:
    """Cues of finds, (N, K), and whether each is a true one, (N,) 0 or 1."""
    cues = np.array([[one.plot.evidence[cue] for cue in CUES] for one in examples])
    return cues, np.array([one.true is not None for one in examples], dtype=np.float64)


def fitted(examples: Sequence[Example]) -> dict[str, float]:
    """Weights of a logistic function, a little shrunk."""
    return fit_weights(CUES, *told_apart(examples), _SHRINK)


def judged(told: Sequence[Told]) -> tuple[list[Example], FloatArray]:
    """All finds, and the probability of each by a fit that did not see its scene."""
    every = [one for each in told for one in each.examples]
    return every, left_out(CUES, *told_apart(every), [one.scene for one in every], _SHRINK)


def table(told: Sequence[Told]) -> Iterator[str]:
    """Plots matched and reported, by the least probability."""
    every, chance = judged(told)
    true = sum(one.plots for one in told)
    yield f"{len(told)} scenes, {true} plots"
    yield "| from a probability of | reported | matched | recall | precision | F1 |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for least in np.arange(0.2, 0.85, 0.1):
        kept = [one for one, sure in zip(every, chance, strict=True) if sure >= least]
        right = sum(one.true is not None for one in kept)
        yield (
            f"| {least:.1f} | {len(kept)} | {right} | {right / max(true, 1):.2f} | "
            f"{right / max(len(kept), 1):.2f} | {2 * right / max(len(kept) + true, 1):.2f} |"
        )


@click.command()
@click.argument("scenes", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option(
    "--ground", multiple=True, type=click.Path(path_type=Path, exists=True),
    help="A picture without plots.",
)  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), default=MODEL, show_default=True)
def main(scenes: tuple[Path, ...], ground: tuple[Path, ...], out: Path) -> None:
    """Fits the judge on what the network finds in generated SCENES and GROUND without plots."""
    told = [told_by(folder) for folder in scenes] + [told_by_ground(path) for path in ground]
    for line in table(told):
        click.echo(line)
    weights = fitted([one for each in told for one in each.examples])
    write_json(out, {"version": 1, "weights": {cue: round(w, 4) for cue, w in weights.items()}})


if __name__ == "__main__":
    main()
