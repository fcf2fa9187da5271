"""Trains the network that compares a fence with itself.

    python -m analysis.training.fence_likeness SCENES… --ground PICTURE --real FOLDER --out X.onnx

It learns from the crops that the fence network learns from (`fence_strips`), laid along the fence
as `analysis.fence.likeness` lays them, the line a little wrong as a found one is. How a training
runs is told in `course`. Needs the extra `train`.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from analysis.fence.features import ACROSS_M, CHANNELS, mirrored
from analysis.fence.likeness import INPUTS, ROWS, laid_along, with_usual
from analysis.fence.posts import at_same_phase
from analysis.training.course import Course, Interface, fill, fit, weights_on_file
from analysis.training.fence import STATE_WEIGHT, STATES, fence_options, widened
from analysis.training.fence_paint import CROP, IGNORE
from analysis.training.fence_pools import Pools
from analysis.training.painters import Painters

Crop = tuple[np.ndarray, np.ndarray]
"""Input and what it is at the same phase (8, ROWS, CROP) in half precision, state (CROP / 2,)."""

_WRONG_M = 0.05
"""By how much a line that is found is off, in deviations, besides a step here and there."""
_KEPT = 600
"""Crops kept to learn from; the oldest gives way to each new one."""
_SEEN_EACH = 3.0
"""How often each is learned from before it does."""
_FIRST = 60
BATCH = 12
INTERFACE = Interface(
    "strip", "logits", (1, INPUTS, ROWS, 512), {"strip": {3: "columns"}, "logits": {2: "cells"}}
)


def _layer(inputs: int, outputs: int, size: tuple[int, int], stride: tuple[int, int] = (1, 1),
           ahead: tuple[int, int] | None = None) -> nn.Sequential:  # fmt: skip
    pad = (size[0] // 2, size[1] // 2) if ahead is None else ahead
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride=stride, padding=pad, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class _Along(nn.Module):
    """Looks along the fence, further each time, and adds what it learns."""

    def __init__(self, width: int, step: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(width, width, (1, 7), padding=(0, 3 * step), dilation=(1, step), bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class LikenessNet(nn.Module):
    """From (B, INPUTS, ROWS, N) to (B, 4, N / 2) logits of the states.

    Rows are halved with columns, and at each scale what all rows say together is kept; from the
    coarsest, of 1.6 m, it looks 35 m to both sides.
    """

    def __init__(self) -> None:
        super().__init__()
        widths, kept = (24, 40, 64, 96), (32, 48, 64, 96)
        self.stem = _layer(INPUTS, widths[0], (5, 5), (2, 2))
        self.down = nn.ModuleList(
            [_layer(widths[0], widths[0], (3, 3))]
            + [
                nn.Sequential(_layer(a, b, (3, 3)), _layer(b, b, (3, 3)))
                for a, b in pairwise(widths)
            ]
        )
        self.rows = nn.ModuleList(
            nn.Sequential(
                nn.AvgPool2d((2 ** (3 - k), 1)) if k < 3 else nn.Identity(),
                _layer(width, out, (ROWS // 16, 1), ahead=(0, 0)),
            )
            for k, (width, out) in enumerate(zip(widths, kept, strict=True))
        )
        self.along = nn.Sequential(*(_Along(kept[3], step) for step in (1, 2, 4)))
        self.up = nn.ModuleList(
            _layer(below + beside, out, (1, 3))
            for below, beside, out in ((96, 64, 64), (64, 48, 48), (48, 32, 32))
        )
        self.head = nn.Conv2d(32, len(STATES), 1)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        x = self.stem(x)
        kept = []
        for index, block in enumerate(self.down):
            x = block(x if index == 0 else functional.max_pool2d(x, 2))
            kept.append(self.rows[index](x))
        x = self.along(kept[3])
        for block, beside in zip(self.up, kept[2::-1], strict=True):
            x = functional.interpolate(x, scale_factor=(1.0, 2.0), mode="nearest")
            x = block(torch.cat([x, beside], dim=1))
        return self.head(x)[:, :, 0]


def laid(crop: tuple[np.ndarray, np.ndarray, np.ndarray], rng: np.random.Generator) -> Crop | None:
    """A crop of `fence_strips.draw` laid along its fence; None where it has none."""
    inputs, cell, state = crop
    if not np.isfinite(cell).all():
        return None
    row = np.interp(np.arange(CROP), np.arange(CROP // 2) * 2 + 0.5, cell * 2 + 0.5)
    along = laid_along(inputs, row + _astray(rng))
    known = np.concatenate([along, at_same_phase(along)])
    return known.astype(np.float16), state.astype(np.int8)


def _astray(rng: np.random.Generator) -> np.ndarray:
    """(CROP,) rows by which a line that is found is wrong."""
    wrong = rng.normal(0.0, 1.0, (1, CROP)).astype(np.float32)
    wrong = cv2.GaussianBlur(wrong, (0, 0), rng.uniform(5, 40))[0]
    wrong *= rng.exponential(_WRONG_M) / max(float(wrong.std()), 1e-6)
    return (wrong + rng.normal(0.0, _WRONG_M)) / ACROSS_M


class Kept:
    """Crops to learn from, renewed as they are used."""

    def __init__(self, draw: Callable[[], Crop], rng: np.random.Generator) -> None:
        self._draw, self._rng = draw, rng
        self._crops: list[Crop] = [draw() for _ in range(_FIRST)]
        self._at, self._owed = 0, 0.0

    def batch(self, size: int) -> tuple[Tensor, Tensor]:
        """Inputs (size, INPUTS, ROWS, CROP) and states (size, CROP / 2)."""
        self._owed += size / _SEEN_EACH
        while self._owed >= 1:
            self._owed -= 1
            if len(self._crops) < _KEPT:
                self._crops.append(self._draw())
            else:
                self._crops[self._at % _KEPT] = self._draw()
                self._at += 1
        inputs, states = [], []
        for index in self._rng.integers(0, len(self._crops), size):
            along, state = self._crops[index]
            planes = along.astype(np.float32)
            if self._rng.random() < 0.5:
                planes[:CHANNELS] = mirrored(planes[:CHANNELS])
                planes[CHANNELS:] = planes[CHANNELS:, ::-1]
            if self._rng.random() < 0.5:
                planes, state = planes[:, :, ::-1], state[::-1]
            inputs.append(with_usual(np.ascontiguousarray(planes), np.ones(CROP, bool)))
            states.append(np.ascontiguousarray(state).astype(np.int64))
        return torch.from_numpy(np.stack(inputs)), torch.from_numpy(np.stack(states))


def loss_of(logits: Tensor, states: Tensor) -> Tensor:
    """Cross entropy, by what a cell of each state counts."""
    balance = torch.tensor(STATE_WEIGHT)
    return functional.cross_entropy(logits, states, weight=balance, ignore_index=IGNORE)


@fence_options(minutes=60.0, rate=3e-3)
def main(pools: Pools, course: Course) -> None:
    """Trains the network that compares a fence with itself on generated SCENES and more."""

    def make(rng: np.random.Generator) -> Crop:
        while (crop := laid(pools.draw(rng), rng)) is None:
            pass
        return crop

    kept = Kept(Painters(make, course.seed), np.random.default_rng(course.seed + 1))
    course.begin()
    net = LikenessNet()
    if course.resume:
        fill(net, widened(weights_on_file(course.resume), INPUTS), course.resume)
    fit(net, course, lambda: kept.batch(BATCH), loss_of, INTERFACE)


if __name__ == "__main__":
    main()
