"""Trains the footpath network and exports it: `python -m analysis.training.footpaths SCENES…`.

Needs the extra `train`. What it learns from is painted (`footpaths_paint`), cut from folders that
`fencewalk scene` wrote, or painted on real pictures that hold no footpath (`--ground`). Runs on one
core for as long as it is told to; a seed and a number of steps give the same weights on the same
machine.
"""

from __future__ import annotations

import copy
import json
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from analysis.footpaths.channels import network_input, to_lab
from analysis.training.footpaths_paint import CANVAS_PX, Sample, Source, painted, read_ground
from analysis.training.footpaths_scenes import scene_samples
from corridor import atomic_path, write_json

Array = npt.NDArray[Any]

WIDTHS = (16, 24, 32, 48, 48)
"""Channels at 0.2, 0.4, 0.8, 1.6 and 3.2 m."""
CROP_PX = 256
BATCH = 8
POOL = 400
"""Pictures kept to cut from; the oldest gives way to each new one."""
SCENE_SHARE = 1.4
GROUND_SHARE = 0.9
"""Of pictures from scenes and on real ground, for each one that is painted altogether."""
CROPS_PER_CANVAS = 24
ON_PATH = 0.5
"""Share of the crops that are laid on a footpath, where the picture holds one."""
CLASS_WEIGHT = (1.0, 0.4, 0.4, 0.1)


class Block(nn.Module):
    """Two 3 by 3 convolutions, each normalised over the batch."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H, W)."""
        return self.layers(x)


class PathNet(nn.Module):
    """A U-Net on 2 by 2 pixels folded into channels; its answer has half the resolution.

    (N, 6, H, W) as of `network_input`, H and W multiples of 32, to (N, 4, H / 2, W / 2) logits of
    footpath, vehicle track, sealed ground, plot.
    """

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.fold = nn.PixelUnshuffle(2)
        self.down = nn.ModuleList(
            Block(a, b) for a, b in zip((24, *widths[:-1]), widths, strict=True)
        )
        self.up = nn.ModuleList(
            Block(widths[i + 1] + widths[i], widths[i]) for i in range(len(widths) - 1)
        )
        self.head = nn.Conv2d(widths[0], len(CLASS_WEIGHT), 1)

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
        return self.head(x)


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


class Pool:
    """Pictures to learn from, renewed as they are used."""

    def __init__(self, sources: list[tuple[Source, float]], rng: np.random.Generator) -> None:
        self._sources = [source for source, _ in sources]
        shares = np.array([share for _, share in sources])
        self._shares = shares / shares.sum()
        self._rng = rng
        self._samples: list[Kept] = []
        self._at = 0

    def renew(self) -> None:
        """Makes one more picture."""
        source = self._sources[int(self._rng.choice(len(self._sources), p=self._shares))]
        sample = prepared(source(self._rng))
        if len(self._samples) < POOL:
            self._samples.append(sample)
        else:
            self._samples[self._at % POOL] = sample
            self._at += 1

    def batch(self) -> tuple[Tensor, Tensor, Tensor]:
        """A batch of crops."""
        picked = [self._samples[i] for i in self._rng.integers(0, len(self._samples), BATCH)]
        crops = [crop(sample, self._rng) for sample in picked]
        planes, target, weight = (torch.from_numpy(np.stack(a)) for a in zip(*crops, strict=True))
        planes = planes.float().to(memory_format=torch.channels_last)
        target = functional.avg_pool2d(target.float() / 255, 2)
        weight = functional.avg_pool2d(weight.float() / 255, 2)
        return planes, (target * 1.5).clamp(max=1), (weight > 0.7).float()


def train(
    sources: list[tuple[Source, float]],
    out: Path,
    *,
    minutes: float,
    seed: int,
    resume: Path | None,
    rate: float = 2e-3,
) -> None:
    """Trains for some minutes, writing checkpoint, ONNX and log to `out` along the way."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    net = PathNet().to(memory_format=torch.channels_last)
    if resume is not None:
        state = torch.load(resume)
        own = net.state_dict()
        net.load_state_dict({k: v if v.shape == own[k].shape else own[k] for k, v in state.items()})
    optimizer = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=1e-3)
    pool = Pool(sources, rng)
    for _ in range(24):
        pool.renew()
    started, step, smooth, saved = time.monotonic(), 0, 1.0, 0.0
    owed = 0.0
    log: list[dict[str, float]] = []
    while (passed := (time.monotonic() - started) / 60) < minutes:
        share = passed / minutes
        warm = min(1.0, (step + 1) / 100)
        for group in optimizer.param_groups:
            group["lr"] = rate * warm * (0.02 + 0.98 * 0.5 * (1 + np.cos(np.pi * share)))
        owed += BATCH / CROPS_PER_CANVAS
        while owed >= 1:
            pool.renew()
            owed -= 1
        net.train()
        planes, target, weight = pool.batch()
        loss = loss_of(net(planes), target, weight)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        step += 1
        smooth = 0.98 * smooth + 0.02 * float(loss.detach())
        if step % 50 == 0:
            log.append({"step": step, "minutes": round(passed, 2), "loss": round(smooth, 4)})
            click.echo(f"{passed:6.1f} min  step {step}  loss {smooth:.4f}")
        if passed - saved > 4:
            saved = passed
            save(net, out)
    save(net, out)
    write_json(out.with_suffix(".log.json"), {"seed": seed, "steps": step, "log": log})


def save(net: nn.Module, out: Path) -> None:
    """Writes weights (`.pt`) and the ONNX model, whole or not at all."""
    with atomic_path(out.with_suffix(".pt")) as partial:
        torch.save(net.state_dict(), partial)
    export(net, out)


def export(net: nn.Module, out: Path) -> None:
    """Writes the network for onnxruntime: one picture at a time, of any size that fits."""
    net.eval()
    net = copy.deepcopy(net).to(memory_format=torch.contiguous_format)
    example = torch.zeros(1, 6, CROP_PX, CROP_PX)
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


@click.command()
@click.argument("scenes", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--ground", multiple=True, type=click.Path(path_type=Path), help="A picture without footpaths."
)
@click.option("--minutes", default=50.0, show_default=True, help="How long to train.")
@click.option("--seed", default=1, show_default=True)
@click.option("--resume", type=click.Path(path_type=Path), help="Weights (.pt) to go on from.")
@click.option("--rate", default=2e-3, show_default=True, help="Learning rate at the start.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The ONNX file.")
def main(
    scenes: tuple[Path, ...], ground: tuple[Path, ...], minutes: float, seed: int,
    resume: Path | None, rate: float, out: Path,
) -> None:  # fmt: skip
    """Trains the footpath network on painted pictures, generated SCENES and path-free GROUND."""
    sources: list[tuple[Source, float]] = [(lambda rng: painted(rng, CANVAS_PX), 1.0)]
    sources += [(read_ground(path), GROUND_SHARE / len(ground)) for path in ground]
    if scenes:
        sources.append((scene_samples(scenes, CANVAS_PX), SCENE_SHARE))
    click.echo(
        json.dumps({"scenes": len(scenes), "ground": [str(g) for g in ground], "seed": seed})
    )
    train(sources, out, minutes=minutes, seed=seed, resume=resume, rate=rate)


if __name__ == "__main__":
    main()
