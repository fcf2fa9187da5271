"""Trains the network for plots and exports it: `python -m analysis.training.plots SCENES…`.

Needs the extra `train`. It learns from the true plots of folders that `fencewalk scene` wrote, cut
at any angle and scale and seen through other cameras. Ground beyond the fences teaches nothing:
fields there look as plots do. Runs on one core for as long as it is told to; a seed and a number of
steps give the same weights on the same machine.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import cv2
import geopandas
import numpy as np
import numpy.typing as npt
import shapely
import torch
from rasterio.features import rasterize
from torch import Tensor, nn
from torch.nn import functional

from analysis.footpaths.channels import RGB_STEPS, network_input, to_lab
from analysis.raster import Orthophoto, Patch
from analysis.training.footpaths import Block, save
from corridor import write_json
from corridor.findings import FindingKind, read_findings

Array = npt.NDArray[Any]

WIDTHS = (16, 24, 32, 48, 48)
"""Channels at 0.2, 0.4, 0.8, 1.6 and 3.2 m."""
CLASSES = ("plot", "core")
"""What the logits are of: plots, and what lies `CORE_M` and more inside one, which tells neighbours
apart that touch."""
CORE_M = 0.45
CROP_PX = 192
BATCH = 8
READ_GSD_M = 0.08
GSD_M = (0.075, 0.14)
INSIDE_M, OUTSIDE_M = 45.0, 40.0
"""How far beside a fence it is known to be the road's ground, or not to be."""
ON_PLOT = 0.6
"""Share of the crops that are laid on a plot."""
HIDDEN_WEIGHT = 0.3
"""Of what lies under crowns: the outline goes on, but little shows it."""


@dataclass(frozen=True)
class Scene:
    """A scene on its working grid.

    Attributes:
        rgb: (H, W, 3) uint8.
        labels: (H, W, 3) uint8: plot, core, and weight in hundredths.
        on_plot, inside: (N, 2) rows and columns of pixels on plots, and where the truth is known.
    """

    rgb: Array
    labels: Array
    on_plot: Array
    inside: Array


def read_scene(folder: Path) -> Scene:
    """What there is to learn from one folder."""
    ortho = Orthophoto.open(folder / "ortho.tif")
    patch = ortho.read(None, READ_GSD_M)
    plots = [
        shapely.transform(f.geometry, ortho.to_xy)
        for f in read_findings(folder / "truth.gpkg")
        if f.kind is FindingKind.PLOT
    ]
    crs = ortho.crs.to_wkt()
    fences = geopandas.read_file(folder / "truth.gpkg", layer="fence_line").to_crs(crs)
    inward, outward = [], []
    for line, side in zip(fences.geometry, fences["side"], strict=True):
        sign = 1.0 if side == "left" else -1.0
        inward.append(shapely.buffer(line, -sign * INSIDE_M, single_sided=True))
        outward.append(shapely.buffer(line, sign * OUTSIDE_M, single_sided=True))
    ground = shapely.difference(shapely.union_all(inward), shapely.union_all(outward))
    ground = shapely.union_all([ground, *shapely.buffer(np.array(plots, dtype=object), 2.0)])
    plot = _drawn(plots, patch)
    core = _drawn([shapely.buffer(p, -CORE_M, join_style="mitre") for p in plots], patch)
    weight = 100 * _drawn([ground], patch)
    weight[~patch.valid] = 0
    crowns = geopandas.read_file(folder / "truth.gpkg", layer="crowns").to_crs(crs)
    hidden = _drawn(list(crowns.geometry), patch) & plot
    weight[hidden > 0] = round(100 * HIDDEN_WEIGHT)
    rows, columns = np.nonzero(weight)
    if len(rows):
        # The rest of the picture is not needed.
        margin = int(6.0 / READ_GSD_M)
        box = np.s_[
            max(rows.min() - margin, 0) : rows.max() + margin,
            max(columns.min() - margin, 0) : columns.max() + margin,
        ]
        plot, core, weight, rgb = plot[box], core[box], weight[box], patch.rgb[box]
    else:
        rgb = patch.rgb
    # Each plot has its share, however large it is.
    places = [
        np.argwhere(_drawn([p], patch)[box] > 0)[::97][:40]
        for p in plots
    ]  # fmt: skip
    return Scene(
        np.ascontiguousarray(rgb),
        np.ascontiguousarray(np.dstack([plot, core, weight])),
        np.concatenate(places) if places else np.zeros((0, 2), int),
        np.argwhere(weight[::16, ::16] > 0) * 16,
    )


def _drawn(shapes: Sequence[shapely.Geometry], patch: Patch) -> Array:
    shapes = [shape for shape in shapes if not shapely.is_empty(shape)]
    if not shapes:
        return np.zeros(patch.valid.shape, np.uint8)
    return np.asarray(
        rasterize(
            [(s, 1) for s in shapes], patch.valid.shape, transform=patch.affine, dtype="uint8"
        )
    )


def crop(scene: Scene, rng: np.random.Generator) -> tuple[Array, Array]:
    """A square of a scene at some angle and scale, as another camera saw it.

    Returns:
        Planes (6, N, N) and labels (3, N, N).
    """
    gsd_m = float(rng.uniform(*GSD_M))
    on_plot = len(scene.on_plot) > 0 and rng.random() < ON_PLOT
    places = scene.on_plot if on_plot else scene.inside
    centre = places[rng.integers(len(places))] + rng.normal(0, 3.5 / READ_GSD_M, 2)
    turn = cv2.getRotationMatrix2D(
        (float(centre[1]), float(centre[0])), float(rng.uniform(0, 360)), READ_GSD_M / gsd_m
    )
    turn[:, 2] += CROP_PX / 2 - centre[::-1]
    size = (CROP_PX, CROP_PX)
    rgb = cv2.warpAffine(scene.rgb, turn, size, flags=cv2.INTER_LINEAR)
    labels = cv2.warpAffine(scene.labels, turn, size, flags=cv2.INTER_NEAREST)
    if rng.random() < 0.5:
        rgb, labels = rgb[:, ::-1], labels[:, ::-1]
    valid = rgb.any(axis=2)
    seen = _seen(rgb.astype(np.float32) / 255.0, rng)
    planes = network_input(to_lab(np.round(seen * 255 * RGB_STEPS).astype(np.uint16)), valid, gsd_m)
    return planes, np.ascontiguousarray(labels.transpose(2, 0, 1))


def _seen(rgb: Array, rng: np.random.Generator) -> Array:
    """A picture as another camera, in another light, would have it; 0 to 1."""
    if rng.random() < 0.4:
        rgb = cv2.GaussianBlur(rgb, (0, 0), float(rng.uniform(0.3, 1.1)))
    rgb = np.clip(rgb, 1e-4, 1.0) ** float(np.exp(rng.normal(0, 0.2)))
    rgb = rgb * np.exp(rng.normal(0, 0.2) + rng.normal(0, 0.07, 3)).astype(np.float32)
    grey = rgb.mean(axis=2, keepdims=True)
    rgb = grey + (rgb - grey) * float(rng.uniform(0.4, 1.5))
    rgb = rgb + float(rng.uniform(0, 0.05)) + rng.normal(0, rng.uniform(0, 0.03), rgb.shape)
    return np.asarray(np.clip(rgb, 0, 1), dtype=np.float32)


class PlotNet(nn.Module):
    """A U-Net on 2 by 2 pixels folded into channels, and its answer unfolded again.

    (N, 6, H, W) as of `network_input`, H and W multiples of 32, to (N, 2, H, W) logits of
    `CLASSES`.
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
        self.head = nn.Conv2d(widths[0], 4 * len(CLASSES), 1)
        self.unfold = nn.PixelShuffle(2)

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


def loss_of(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Cross entropy, and overlap (dice) of both classes."""
    entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    total = (entropy * weight).sum() / (weight.sum() + 1)
    found = torch.sigmoid(logits) * weight
    wanted = target * weight
    shared = (found * wanted).sum(dim=(0, 2, 3))
    dice = 1 - (2 * shared + 50) / ((found + wanted).sum(dim=(0, 2, 3)) + 50)
    return total + 0.4 * dice.mean()


def train(
    scenes: Sequence[Scene],
    out: Path,
    *,
    minutes: float,
    seed: int,
    rate: float,
    resume: Path | None = None,
) -> None:
    """Trains for some minutes; writes checkpoint, ONNX and log to `out`."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    net = PlotNet().to(memory_format=torch.channels_last)
    if resume is not None:
        net.load_state_dict(torch.load(resume))
    optimizer = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=1e-3)
    # Scenes with many plots are looked at more often.
    share = np.array([2.0 + min(len(s.on_plot), 800) / 40 for s in scenes])
    share /= share.sum()
    started, step, smooth, saved = time.monotonic(), 0, 1.0, 0.0
    log: list[dict[str, float]] = []
    while (passed := (time.monotonic() - started) / 60) < minutes:
        warm = min(1.0, (step + 1) / 60)
        for group in optimizer.param_groups:
            group["lr"] = rate * warm * (0.02 + 0.49 * (1 + np.cos(np.pi * passed / minutes)))
        picked = rng.choice(len(scenes), BATCH, p=share)
        crops = [crop(scenes[i], rng) for i in picked]
        planes, labels = (torch.from_numpy(np.stack(a)) for a in zip(*crops, strict=True))
        weight = labels[:, 2:].float() / 100
        loss = loss_of(net(planes.contiguous(memory_format=torch.channels_last)),
                       labels[:, :2].float(), weight)  # fmt: skip
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        step += 1
        smooth = 0.97 * smooth + 0.03 * float(loss.detach())
        if step % 25 == 0:
            log.append({"step": step, "minutes": round(passed, 2), "loss": round(smooth, 4)})
            click.echo(f"{passed:6.1f} min  step {step}  loss {smooth:.4f}")
        if passed - saved > 6:
            saved = passed
            save(net, out)
            net.train()
    save(net, out)
    write_json(out.with_suffix(".log.json"), {"seed": seed, "steps": step, "log": log})


@click.command()
@click.argument("scenes", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--minutes", default=10.0, show_default=True, help="How long to train.")
@click.option("--seed", default=1, show_default=True)
@click.option("--rate", default=3e-3, show_default=True, help="Learning rate at the start.")
@click.option("--resume", type=click.Path(path_type=Path), help="Weights (.pt) to go on from.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The ONNX file.")
def main(
    scenes: tuple[Path, ...], minutes: float, seed: int, rate: float, resume: Path | None, out: Path
) -> None:
    """Trains the network for plots on generated SCENES."""
    read = [read_scene(folder) for folder in scenes]
    kept = [scene for scene in read if len(scene.inside)]
    click.echo(f"{len(kept)} scenes, {sum(s.rgb.nbytes for s in kept) / 1e6:.0f} MB of pictures")
    train(kept, out, minutes=minutes, seed=seed, rate=rate, resume=resume)


if __name__ == "__main__":
    main()
