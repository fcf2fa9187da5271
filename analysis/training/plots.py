"""Trains the network for plots and exports it: `python -m analysis.training.plots SCENES…`.

Needs the extra `train`. It learns from the true plots of folders that `fencewalk scene` wrote, cut
at any angle and scale and seen through other cameras, and from what looks alike and is none,
painted on them, on painted ground, and on real ground without plots (`--ground`). Ground beyond the
fences teaches nothing: fields there look as plots do. How a training runs is told in `course`.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from analysis.training.course import Batch, Course, course_options, fit
from analysis.training.plots_pictures import Pictures, read_ground, read_scene
from analysis.training.shipped import go_on
from analysis.training.unet import INTERFACE, UNet

CLASSES = ("plot", "core")
"""What the logits are of: plots, and what lies well inside one (`CORE_M`), which tells neighbours
apart that touch."""
BATCH = 8


def loss_of(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Cross entropy, and overlap (dice) of both classes."""
    entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    total = (entropy * weight).sum() / (weight.sum() + 1)
    found = torch.sigmoid(logits) * weight
    wanted = target * weight
    shared = (found * wanted).sum(dim=(0, 2, 3))
    dice = 1 - (2 * shared + 50) / ((found + wanted).sum(dim=(0, 2, 3)) + 50)
    return total + 0.4 * dice.mean()


@click.command()
@click.argument("scenes", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option(
    "--ground", multiple=True, type=click.Path(path_type=Path, exists=True),
    help="A picture without plots.",
)  # fmt: skip
@course_options(minutes=30.0, rate=3e-3)
def main(scenes: tuple[Path, ...], ground: tuple[Path, ...], course: Course) -> None:
    """Trains the network for plots on generated SCENES and GROUND without plots."""
    read = [read_scene(folder) for folder in scenes]
    kept = [scene for scene in read if len(scene.inside)]
    plain = [read_ground(path) for path in ground]
    megabytes = sum(picture.rgb.nbytes for picture in [*kept, *plain]) / 1e6
    click.echo(f"{len(kept)} scenes, {len(plain)} of ground, {megabytes:.0f} MB of pictures")
    pictures, rng = Pictures(kept, plain), np.random.default_rng(course.seed)

    def batch() -> Batch:
        crops = [pictures.draw(rng) for _ in range(BATCH)]
        planes, labels = (torch.from_numpy(np.stack(a)) for a in zip(*crops, strict=True))
        return planes, labels[:, :2], labels[:, 2:]

    course.begin()
    net = UNet(len(CLASSES), unfolded=True)
    if course.resume:
        go_on(net, course.resume, lambda: batch()[0])
    fit(net, course, batch, loss_of, INTERFACE)


if __name__ == "__main__":
    main()
