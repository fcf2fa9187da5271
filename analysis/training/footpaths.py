"""Trains the footpath network and exports it: `python -m analysis.training.footpaths SCENES…`.

Needs the extra `train`. What it learns from is painted (`footpaths_paint`), cut from folders that
`fencewalk scene` wrote, painted on real pictures that hold no footpath (`--ground`), or cut from
real pictures with traced paths (`--real`). How a training runs is told in `course`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from analysis.footpaths.channels import network_input, to_lab
from analysis.training.course import Batch, Course, course_options, fit
from analysis.training.footpaths_paint import CANVAS_PX, Sample, Source, painted, read_ground
from analysis.training.footpaths_real import traced_samples
from analysis.training.footpaths_scenes import scene_samples
from analysis.training.painters import Painters
from analysis.training.shipped import go_on
from analysis.training.unet import INTERFACE, UNet

Array = npt.NDArray[Any]

WIDTHS = (16, 24, 32, 64, 128)
"""Channels of the network's five scales: most of what tells a path from its look-alikes is around
it, and coarse scales cost little."""
CROP_PX = 256
BATCH = 8
POOL = 400
"""Pictures kept to cut from; the oldest gives way to each new one."""
SCENE_SHARE = 3.0
GROUND_SHARE = 0.9
REAL_SHARE = 1.2
"""Of pictures from scenes, on real ground and from traced ones, for each that is painted."""
CROPS_PER_CANVAS = 24
ON_PATH = 0.5
"""Share of the crops that are laid on a footpath, where the picture holds one."""
FIRST = 24
"""Pictures made before the first step."""
CLASS_WEIGHT = (1.0, 0.4, 0.4, 0.1)
"""Of footpath, vehicle track, sealed ground, plot: the logits are of these."""


Kept = tuple[Array, Array, Array]
"""Input (float16, to hold many), target and weight of a picture."""


def prepared(sample: Sample) -> Kept:
    """A picture as it is kept to cut from."""
    valid = np.ones(sample.rgb.shape[:2], bool)
    planes = network_input(to_lab(sample.rgb), valid, sample.gsd_m)
    return planes.astype(np.float16), sample.target, sample.weight


def crop(kept: Kept, rng: np.random.Generator) -> Kept:
    """A random square of a picture, turned and mirrored: input, target and weight."""
    size = kept[0].shape[1]
    at = rng.integers(0, (size - CROP_PX) // 2 + 1, 2) * 2
    if rng.random() < ON_PATH:
        # One of few rows and columns of pixels is enough to find a place by.
        places = np.argwhere((kept[1][0, ::4, ::4] > 0) & (kept[2][0, ::4, ::4] > 0)) * 4
        if len(places):
            low = places[rng.integers(len(places))] - rng.integers(0, CROP_PX, 2)
            at = np.clip(low, 0, size - CROP_PX) // 2 * 2
    cut = np.s_[:, at[0] : at[0] + CROP_PX, at[1] : at[1] + CROP_PX]
    arrays = [plane[cut] for plane in kept]
    turns, mirror = int(rng.integers(4)), rng.random() < 0.5
    arrays = [np.rot90(a, turns, (1, 2)) for a in arrays]
    if mirror:
        arrays = [a[:, :, ::-1] for a in arrays]
    planes, target, weight = (np.ascontiguousarray(a) for a in arrays)
    return planes, target, weight


def loss_of(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Weighted cross entropy of each class, and overlap (dice) of footpaths."""
    entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    # Footpaths cover a few per cent of the ground.
    balance = 1 + 3 * target
    parts = (entropy * weight * balance).sum(dim=(0, 2, 3)) / (weight.sum(dim=(0, 2, 3)) + 1)
    total = (parts * torch.tensor(CLASS_WEIGHT)).sum()
    found = torch.sigmoid(logits[:, 0]) * weight[:, 0]
    wanted = target[:, 0] * weight[:, 0]
    dice = 1 - (2 * (found * wanted).sum() + 50) / (found.sum() + wanted.sum() + 50)
    return total + 0.5 * dice


def mixed(sources: list[tuple[Source, float]]) -> Callable[[np.random.Generator], Kept]:
    """Makes pictures of several kinds, each by its share."""
    shares = np.array([share for _, share in sources])
    shares /= shares.sum()

    def make(rng: np.random.Generator) -> Kept:
        source, _ = sources[int(rng.choice(len(sources), p=shares))]
        return prepared(source(rng))

    return make


class Pool:
    """Pictures to learn from, renewed as they are used.

    Args:
        draw: gives a new picture.
        rng: chooses crops.
    """

    def __init__(self, draw: Callable[[], Kept], rng: np.random.Generator) -> None:
        self._draw = draw
        self._rng = rng
        self._samples: list[Kept] = []
        self._at = 0
        self._owed = 0.0
        for _ in range(FIRST):
            self.renew()

    def renew(self) -> None:
        """Makes one more picture."""
        sample = self._draw()
        if len(self._samples) < POOL:
            self._samples.append(sample)
        else:
            self._samples[self._at % POOL] = sample
            self._at += 1

    def batch(self) -> Batch:
        """A batch of crops."""
        self._owed += BATCH / CROPS_PER_CANVAS
        while self._owed >= 1:
            self.renew()
            self._owed -= 1
        picked = [self._samples[i] for i in self._rng.integers(0, len(self._samples), BATCH)]
        crops = [crop(sample, self._rng) for sample in picked]
        planes, target, weight = (torch.from_numpy(np.stack(a)) for a in zip(*crops, strict=True))
        target = functional.avg_pool2d(target.float() / 255, 2)
        weight = functional.avg_pool2d(weight.float() / 255, 2)
        return planes.float(), (target * 1.5).clamp(max=1), (weight > 0.7).float()


@click.command()
@click.argument("scenes", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--ground", multiple=True, type=click.Path(path_type=Path), help="A picture without footpaths."
)
@click.option(
    "--real",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A folder with ortho.tif, footpaths.geojson traced in it, and roi.geojson.",
)
@course_options(minutes=50.0, rate=2e-3)
def main(
    scenes: tuple[Path, ...], ground: tuple[Path, ...], real: tuple[Path, ...], course: Course
) -> None:
    """Trains the footpath network on painted pictures, generated SCENES, path-free GROUND."""
    sources: list[tuple[Source, float]] = [(lambda rng: painted(rng, CANVAS_PX), 1.0)]
    sources += [(read_ground(path), GROUND_SHARE / len(ground)) for path in ground]
    if scenes:
        sources.append((scene_samples(scenes, CANVAS_PX), SCENE_SHARE))
    if real:
        sources.append((traced_samples(real, CANVAS_PX), REAL_SHARE))
    told = {
        "scenes": len(scenes),
        "ground": [str(g) for g in ground],
        "real": [str(r) for r in real],
    }
    click.echo(json.dumps({**told, "seed": course.seed}))
    draw = Painters(mixed(sources), course.seed)
    pool = Pool(draw, np.random.default_rng(course.seed))
    course.begin()
    net = UNet(len(CLASS_WEIGHT), unfolded=False, widths=WIDTHS)
    if course.resume:
        go_on(net, course.resume, lambda: pool.batch()[0])
    fit(net, course, pool.batch, loss_of, INTERFACE)


if __name__ == "__main__":
    main()
