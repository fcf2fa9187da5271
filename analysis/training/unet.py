"""The network that footpaths and plots are trained on, and its training.

Needs the extra `train`. Runs on one core, for so many minutes or so many steps; the same steps,
seed and pictures give the same weights on the same machine.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import click
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from corridor import InputError, atomic_path, write_json

PLANES = 6
"""Of `analysis.footpaths.channels.network_input`."""
WIDTHS = (16, 24, 32, 48, 48)
"""Channels at 0.2, 0.4, 0.8, 1.6 and 3.2 m, on pixels of 0.1 m, if no others are asked for."""
_WEIGHT_DECAY = 1e-3
_WARM_STEPS = 100
_LEAST_RATE_FRAC = 0.02
_SAVED_EVERY_MIN = 5.0
_LOGGED_EVERY = 50
_KEPT_FRAC = 0.998
"""Of the mean of the weights with each batch: what is written is a mean over some 500 batches,
since one state of the weights finds what the next loses (Izmailov and others, 2018)."""


def convolutions(inputs: int, outputs: int) -> nn.Sequential:
    """Two 3 by 3 convolutions, each normalised over the batch."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
        nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class Block(nn.Module):
    """Those convolutions, by the name that weights on file have for them."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.layers = convolutions(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H, W)."""
        return self.layers(x)


class UNet(nn.Module):
    """A U-Net on 2 by 2 pixels folded into channels.

    (N, 6, H, W) as of `network_input`, H and W multiples of 32, to (N, classes, H / 2, W / 2)
    logits, or to (N, classes, H, W) if the answer is unfolded again.

    Args:
        classes: of the answer.
        unfolded: whether the answer is as fine as the picture.
        widths: channels at each of five scales.
    """

    def __init__(self, classes: int, *, unfolded: bool, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.widths = widths
        self.fold = nn.PixelUnshuffle(2)
        self.down = nn.ModuleList(
            Block(a, b) for a, b in zip((4 * PLANES, *widths[:-1]), widths, strict=True)
        )
        self.up = nn.ModuleList(
            Block(widths[i + 1] + widths[i], widths[i]) for i in range(len(widths) - 1)
        )
        self.head = nn.Conv2d(widths[0], classes * (4 if unfolded else 1), 1)
        self.unfold = nn.PixelShuffle(2) if unfolded else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        x = self.fold(x)
        kept = []
        for index, block in enumerate(self.down):
            x = block(x if index == 0 else functional.max_pool2d(x, 2))
            kept.append(x)
        for index in range(len(self.up) - 1, -1, -1):
            x = functional.interpolate(x, scale_factor=2.0, mode="nearest")
            x = self.up[index](torch.cat([x, kept[index]], dim=1))
        return self.unfold(self.head(x))


def widened(state: dict[str, Tensor], net: UNet) -> dict[str, Tensor]:
    """Weights of a narrower network, with which a wider one gives the same answers.

    What is new is as it was drawn for `net`, and nothing listens to it yet (Chen and others,
    Net2Net, 2016).

    Args:
        state: of the narrower network.
        net: the wider one, as it was drawn.

    Raises:
        RuntimeError: if the weights are of something else, or of a wider network.
    """
    drawn = net.state_dict()
    if state.keys() != drawn.keys():
        raise RuntimeError("of another kind of network")
    grown = {}
    for name, new in drawn.items():
        old, new = state[name], new.clone()
        if old.ndim != new.ndim or any(a > b for a, b in zip(old.shape, new.shape, strict=True)):
            raise RuntimeError(f"{name} is {tuple(old.shape)}, and {tuple(new.shape)} here")
        if new.ndim < 4:
            new[tuple(slice(0, length) for length in old.shape)] = old
        else:
            rows = old.shape[0]
            new[:rows] = 0
            new[:rows, _listened_to(name, old, state, net)] = old
        grown[name] = new
    return grown


def _listened_to(name: str, old: Tensor, state: dict[str, Tensor], net: UNet) -> Tensor:
    """Which inputs of a wider layer those of a narrower one are.

    The first layer on the way up gets two lots of channels, from below and from aside.
    """
    inputs = torch.arange(old.shape[1])
    way, level, *_, layer, _ = name.split(".") if name.count(".") > 2 else ("", "0", "", "")
    if way != "up" or layer != "0":
        return inputs
    aside = state[f"down.{level}.layers.0.weight"].shape[0]
    below = old.shape[1] - aside
    return torch.where(inputs < below, inputs, inputs - below + net.widths[int(level) + 1])


@dataclass(frozen=True)
class Course:
    """How long and how a network is trained.

    Attributes:
        out: the ONNX file; weights (`.pt`) and the log (`.log.json`) are written beside it.
        minutes: how long, if no steps are given.
        steps: how many batches.
        seed: of weights and pictures.
        rate: the learning rate at its highest.
        resume: weights (`.pt`) to go on from.
    """

    out: Path
    minutes: float
    steps: int | None
    seed: int
    rate: float
    resume: Path | None

    def share(self, steps: int, minutes: float) -> float:
        """How much of the training is done, from 0 to 1."""
        return minutes / self.minutes if self.steps is None else steps / self.steps


def course_options(*, minutes: float, rate: float) -> Callable[[Callable[..., None]], Any]:
    """The options of a training command, which gets them as `course`.

    Args:
        minutes, rate: what holds if none are given.
    """
    options = (
        click.option("--minutes", default=minutes, show_default=True, help="How long to train."),
        click.option(
            "--steps", type=click.IntRange(min=1),
            help="Batches to train on, instead of minutes: the same give the same weights.",
        ),
        click.option("--seed", default=1, show_default=True),
        click.option("--rate", default=rate, show_default=True, help="Highest learning rate."),
        click.option(
            "--resume", type=click.Path(path_type=Path, exists=True, dir_okay=False),
            help="Weights (.pt) to go on from.",
        ),
        click.option(
            "--out", type=click.Path(path_type=Path), required=True, help="The ONNX file."
        ),
    )  # fmt: skip

    def decorate(command: Callable[..., None]) -> Any:
        @wraps(command)
        def with_course(
            *, out: Path, minutes: float, steps: int | None, seed: int, rate: float,
            resume: Path | None, **others: Any,
        ) -> None:  # fmt: skip
            try:
                command(course=Course(out, minutes, steps, seed, rate, resume), **others)
            except InputError as error:
                raise click.UsageError(str(error)) from error

        decorated: Any = with_course
        for option in reversed(options):
            decorated = option(decorated)
        return decorated

    return decorate


Batch = tuple[Tensor, Tensor, Tensor]
"""Planes, target and weight."""


def fit(
    classes: int,
    course: Course,
    batch: Callable[[], Batch],
    loss_of: Callable[[Tensor, Tensor, Tensor], Tensor],
    *,
    unfolded: bool,
    widths: tuple[int, ...] = WIDTHS,
) -> None:
    """Trains a network, and writes the mean of its weights, ONNX file and log as it goes on.

    Args:
        classes, unfolded, widths: of the network; it can go on from a narrower one's weights.
        course: how long and how.
        batch: draws what to learn from next.
        loss_of: of logits, target and weight.

    Raises:
        InputError: if the weights to go on from are not of such a network.
    """
    torch.set_num_threads(1)
    torch.manual_seed(course.seed)
    net = UNet(classes, unfolded=unfolded, widths=widths).to(memory_format=torch.channels_last)
    if course.resume is not None:
        try:
            net.load_state_dict(widened(torch.load(course.resume), net))
        except (RuntimeError, UnpicklingError) as error:
            raise InputError(
                course.resume, str(error), f"weights of this network, {classes} classes"
            ) from error
    optimizer = torch.optim.AdamW(net.parameters(), lr=course.rate, weight_decay=_WEIGHT_DECAY)
    mean = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(_KEPT_FRAC), use_buffers=True)
    started, step, smooth, saved = time.monotonic(), 0, 1.0, 0.0
    minutes = 0.0
    log: list[dict[str, float]] = []
    while (share := course.share(step, minutes)) < 1.0:
        # Cosine annealing after a warm start (Loshchilov and Hutter, 2017).
        falling = 0.5 * (1 + np.cos(np.pi * share))
        for group in optimizer.param_groups:
            group["lr"] = (
                course.rate
                * min(1.0, (step + 1) / _WARM_STEPS)
                * (_LEAST_RATE_FRAC + (1 - _LEAST_RATE_FRAC) * falling)
            )
        net.train()
        planes, target, weight = batch()
        loss = loss_of(net(planes.contiguous(memory_format=torch.channels_last)), target, weight)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        mean.update_parameters(net)
        step += 1
        minutes = (time.monotonic() - started) / 60
        smooth = 0.98 * smooth + 0.02 * float(loss.detach())
        if step % _LOGGED_EVERY == 0:
            log.append({"step": step, "minutes": round(minutes, 2), "loss": round(smooth, 4)})
            click.echo(f"{minutes:6.1f} min  step {step}  loss {smooth:.4f}")
        if minutes - saved > _SAVED_EVERY_MIN:
            saved = minutes
            save(mean.module, course.out)
    save(mean.module, course.out)
    write_json(
        course.out.with_suffix(".log.json"), {"seed": course.seed, "steps": step, "log": log}
    )


def save(net: UNet, out: Path) -> None:
    """Writes weights (`.pt`) and the ONNX model, whole or not at all."""
    with atomic_path(out.with_suffix(".pt")) as partial:
        torch.save(net.state_dict(), partial)
    export(net, out)


def export(net: UNet, out: Path) -> None:
    """Writes the network for onnxruntime: one picture at a time, of any size that fits."""
    net.eval()
    net = copy.deepcopy(net).to(memory_format=torch.contiguous_format)
    example = torch.zeros(1, PLANES, 256, 256)
    with atomic_path(out) as partial:
        torch.onnx.export(
            net,
            (example,),
            str(partial),
            input_names=["planes"],
            output_names=["logits"],
            dynamic_axes={
                "planes": {2: "rows", 3: "columns"},
                "logits": {2: "rows2", 3: "columns2"},
            },
            opset_version=17,
            dynamo=False,
        )
