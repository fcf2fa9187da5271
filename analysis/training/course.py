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
import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

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
        resume: weights (`.pt`) to go on from; of U-Nets also a network as it ships (`.onnx`).
    """

    out: Path
    minutes: float
    steps: int | None
    seed: int
    rate: float
    resume: Path | None

    def begin(self) -> None:
        """Keeps to one core, and seeds the weights that are drawn from now on."""
        torch.set_num_threads(1)
        cv2.setNumThreads(1)
        torch.manual_seed(self.seed)

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
            help="Weights (.pt) to go on from; of a U-Net also the one that ships (.onnx).",
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


Batch = tuple[Tensor, ...]
"""What the network is given, and what its answer is held against."""


@dataclass(frozen=True)
class Interface:
    """How an exported network is asked.

    Attributes:
        given, answer: names of input and output.
        shape: of an input; any other fits whose axes of `free` differ.
        free: names of axes whose lengths may differ, by input and output.
    """

    given: str
    answer: str
    shape: tuple[int, ...]
    free: dict[str, dict[int, str]]


def fit(
    net: nn.Module,
    course: Course,
    batch: Callable[[], Batch],
    loss_of: Callable[..., Tensor],
    interface: Interface,
) -> None:
    """Trains a network, and writes the mean of its weights, ONNX file and log as it goes on.

    Args:
        net: drawn after `course.begin`.
        course: how long and how.
        batch: draws what to learn from next.
        loss_of: of the answer and what it is held against.
        interface: of the ONNX file.
    """
    half = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    net = net.to(memory_format=torch.channels_last)
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
        inputs, *wanted = batch()
        # Half the time where the processor has instructions for it; weights stay as they are.
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            answer = net(inputs.contiguous(memory_format=torch.channels_last))
        loss = loss_of(answer.float(), *wanted)
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
            save(mean.module, course.out, interface)
    save(mean.module, course.out, interface)
    write_json(
        course.out.with_suffix(".log.json"), {"seed": course.seed, "steps": step, "log": log}
    )


def weights_on_file(path: Path) -> dict[str, Tensor]:
    """Weights (`.pt`) of an earlier training.

    Raises:
        InputError: if the file holds none.
    """
    try:
        weights: dict[str, Tensor] = torch.load(path)
    except (RuntimeError, UnpicklingError) as error:
        raise InputError(path, str(error), "weights as training writes them") from error
    return weights


def fill(net: nn.Module, weights: dict[str, Tensor], path: Path) -> None:
    """Gives a network weights from a file.

    Raises:
        InputError: if they are of another network.
    """
    try:
        net.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(path, "layers of other sizes", "weights of this network") from error


def save(net: nn.Module, out: Path, interface: Interface) -> None:
    """Writes weights (`.pt`) and the ONNX model, whole or not at all."""
    with atomic_path(out.with_suffix(".pt")) as partial:
        torch.save(net.state_dict(), partial)
    export(net, out, interface)


def export(net: nn.Module, out: Path, interface: Interface) -> None:
    """Writes the network for onnxruntime."""
    net = copy.deepcopy(net).eval().to(memory_format=torch.contiguous_format)
    with atomic_path(out) as partial:
        torch.onnx.export(
            net,
            (torch.zeros(interface.shape),),
            str(partial),
            input_names=[interface.given],
            output_names=[interface.answer],
            dynamic_axes=interface.free,
            opset_version=17,
            dynamo=False,
        )
