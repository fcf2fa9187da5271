"""Trains the fence network: `python -m analysis.training.fence --out fence.onnx SCENES…`.

Each SCENE is a folder written by `fencewalk scene`. Strips are straightened along the true fence
and along parallels to it that hold none; a crop gets a drawn line's error, a mirror image, other
light, other colours, blur and noise, and every other one a simple fence or wall painted on ground
without one, so that the network does not depend on how the generator draws; that ground is cut from
the scenes, too, and from real pictures without fences (`--ground`). Real fences (`--real`, folders
as `benchmarks/fence_stretches.py` reads them) are cut here and there. How a training runs is told
in `course`. Needs the extra `train`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from torch import nn

from analysis.fence.features import CHANNELS
from analysis.training.course import (
    Batch,
    Course,
    Interface,
    course_options,
    fill,
    fit,
    weights_on_file,
)
from analysis.training.fence_paint import IGNORE, ROWS
from analysis.training.fence_pools import Pools
from analysis.training.painters import Painters
from analysis.training.unet import convolutions

STATES = ("intact", "gap", "collapsed", "obscured")
STATE_WEIGHT = (1.0, 2.0, 3.0, 1.5)
"""How much a cell of each state counts."""
BATCH = 6
INTERFACE = Interface(
    "strip", "logits", (1, CHANNELS, ROWS // 2, 640),
    {"strip": {3: "columns", 2: "rows"}, "logits": {3: "columns", 2: "rows"}},
)  # fmt: skip


class FenceNet(nn.Module):
    """A small U-Net from (B, 5, M, N) to (B, 5, M / 2, N / 2): line, then the four states."""

    def __init__(self) -> None:
        super().__init__()
        widths = (16, 24, 40, 56, 72)
        self.stem = nn.Sequential(
            nn.Conv2d(CHANNELS, widths[0], 5, stride=2, padding=2, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(inplace=True),
        )
        self.down = nn.ModuleList(
            [convolutions(widths[0], widths[0])] + [convolutions(a, b) for a, b in pairwise(widths)]
        )
        self.pool = nn.MaxPool2d(2)
        self.along = nn.Sequential(
            nn.Conv2d(widths[-1], widths[-1], (3, 9), padding=(1, 4), bias=False),
            nn.BatchNorm2d(widths[-1]),
            nn.ReLU(inplace=True),
        )
        self.up = nn.ModuleList([convolutions(b + a, a) for a, b in pairwise(widths)])
        self.grow = nn.Upsample(scale_factor=2, mode="nearest")
        self.head = nn.Conv2d(widths[0], 5, 1)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """See the class."""
        value = self.stem(inputs)
        kept = []
        for index, block in enumerate(self.down):
            value = block(value if index == 0 else self.pool(value))
            kept.append(value)
        value = self.along(value)
        for index in range(len(self.up) - 1, -1, -1):
            value = self.up[index](torch.cat([self.grow(value), kept[index]], dim=1))
        return self.head(value)


def widened(state: dict[str, torch.Tensor], inputs: int) -> dict[str, torch.Tensor]:
    """Weights of a network with fewer inputs, to which the new ones are nothing yet."""
    stem = state.get("stem.0.weight")
    if stem is None or stem.shape[1] >= inputs:
        return state
    more = torch.zeros(stem.shape[0], inputs - stem.shape[1], *stem.shape[2:])
    return {**state, "stem.0.weight": torch.cat([stem, more], dim=1)}


def loss_of(out: torch.Tensor, row: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
    """How wrong the line is among its column's rows, and the state at the true line."""
    rows = out.shape[2]
    line = torch.log_softmax(out[:, 0], dim=1)
    index = torch.arange(rows, dtype=torch.float32)[None, :, None]
    there = torch.isfinite(row)
    target = torch.exp(-0.5 * ((index - row.nan_to_num(0)[:, None, :]) / 0.8) ** 2)
    target = target / target.sum(dim=1, keepdim=True).clamp_min(1e-6)
    weight = there.float()
    line_loss = (-(target * line).sum(dim=1) * weight).sum() / weight.sum().clamp_min(1)
    jitter = torch.randint(-1, 2, row.shape)
    anywhere = torch.randint(rows // 4, rows - rows // 4, (len(row), 1)).expand_as(row)
    at = torch.where(there, row.nan_to_num(0).round().long() + jitter, anywhere)
    at = at.clamp(0, rows - 1)
    states = out[:, 1:].gather(2, at[:, None, None, :].expand(-1, len(STATES), 1, -1))[:, :, 0]
    balance = torch.tensor(STATE_WEIGHT)
    state_loss = nn.functional.cross_entropy(states, state, weight=balance, ignore_index=IGNORE)
    return line_loss + state_loss


def fence_options(*, minutes: float, rate: float) -> Callable[[Callable[..., None]], Any]:
    """Makes a training command, which gets `pools` to draw from and its `course`.

    Args:
        minutes, rate: what holds if none are given.
    """

    def decorate(command: Callable[..., None]) -> Any:
        folder = click.Path(path_type=Path)

        @click.command()
        @click.argument("scenes", nargs=-1, required=True, type=folder)
        @click.option("--ground", multiple=True, type=folder, help="A real picture without fences.")
        @click.option(
            "--real", multiple=True, type=folder,
            help="A real fence that stands; given twice, as a scene may be, seen twice as often.",
        )  # fmt: skip
        @course_options(minutes=minutes, rate=rate)
        @wraps(command)
        def with_pools(
            scenes: tuple[Path, ...], ground: tuple[Path, ...], real: tuple[Path, ...],
            course: Course,
        ) -> None:  # fmt: skip
            pools = Pools(scenes, real, ground, np.random.default_rng(course.seed))
            command(pools=pools, course=course)

        return with_pools

    return decorate


@fence_options(minutes=30.0, rate=3e-3)
def main(pools: Pools, course: Course) -> None:
    """Trains the fence network on generated SCENES and more."""
    draw = Painters(pools.draw, course.seed)

    def batch() -> Batch:
        crops = [draw() for _ in range(BATCH)]
        return tuple(torch.from_numpy(np.stack(part)) for part in zip(*crops, strict=True))

    course.begin()
    net = FenceNet()
    if course.resume:
        fill(net, widened(weights_on_file(course.resume), CHANNELS), course.resume)
    fit(net, course, batch, loss_of, INTERFACE)


if __name__ == "__main__":
    main()
