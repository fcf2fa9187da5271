"""How a network is trained: for so long, from these weights, into that file.

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
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from analysis.training.shipped import weights_of
from analysis.training.unet import PLANES, WIDTHS, UNet, widened
from corridor import InputError, atomic_path, write_json

_WEIGHT_DECAY = 1e-3
_WARM_STEPS = 100
_LEAST_RATE_FRAC = 0.02
_SAVED_EVERY_MIN = 5.0
_LOGGED_EVERY = 50
_KEPT_FRAC = 0.998
"""Of the mean of the weights with each batch: what is written is a mean over some 500 batches,
since one state of the weights finds what the next loses (Izmailov and others, 2018)."""


@dataclass(frozen=True)
class Course:
    """How long and how a network is trained.

    Attributes:
        out: the ONNX file; weights (`.pt`) and the log (`.log.json`) are written beside it.
        minutes: how long, if no steps are given.
        steps: how many batches.
        seed: of weights and pictures.
        rate: the learning rate at its highest.
        resume: weights (`.pt`) to go on from, or a network as it ships (`.onnx`).
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
            help="Weights (.pt) to go on from, or the network that ships (.onnx).",
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
    half = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    net = UNet(classes, unfolded=unfolded, widths=widths).to(memory_format=torch.channels_last)
    if course.resume is not None:
        _go_on(net, course.resume, classes, batch)
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
        # Half the time where the processor has instructions for it; weights stay as they are.
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            logits = net(planes.contiguous(memory_format=torch.channels_last))
        loss = loss_of(logits.float(), target, weight)
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


def _go_on(net: UNet, path: Path, classes: int, batch: Callable[[], Batch]) -> None:
    """Fills a network with weights on file, of the same or of narrower layers."""
    try:
        shipped = path.suffix == ".onnx"
        state = weights_of(path, lambda: batch()[0]) if shipped else torch.load(path)
        net.load_state_dict(widened(state, net))
    except (RuntimeError, UnpicklingError) as error:
        raise InputError(path, str(error), f"weights of this network, {classes} classes") from error


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
