"""Trains the fence network: `python -m analysis.training.fence --out fence.onnx SCENES…`.

Each SCENE is a folder written by `fencewalk scene`. Strips are straightened along the true fence
and along parallels to it that hold none; a crop gets a drawn line's error, a mirror image, other
light, other colours, blur and noise, and every other one a simple fence or wall painted on ground
without one, so that the network does not depend on how the generator draws; that ground is cut from
the scenes, too, and from real pictures without fences (`--ground`). Real fences (`--real`, folders
as `benchmarks/fence_stretches.py` reads them) are cut here and there. Needs the extra `train`.
"""

from __future__ import annotations

import argparse
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn

from analysis.fence.features import CHANNELS
from analysis.training.fence_paint import IGNORE, ROWS
from analysis.training.fence_pools import Pools
from analysis.training.unet import convolutions
from corridor import InputError

STATES = ("intact", "gap", "collapsed", "obscured")
STATE_WEIGHT = (1.0, 2.0, 3.0, 1.5)
"""How much a cell of each state counts."""


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


def widened(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights of a network with fewer inputs, to which the new ones are nothing yet."""
    stem = state["stem.0.weight"]
    more = torch.zeros(stem.shape[0], CHANNELS - stem.shape[1], *stem.shape[2:])
    return {**state, "stem.0.weight": torch.cat([stem, more], dim=1)}


def loss_of(out: torch.Tensor, row: torch.Tensor, state: torch.Tensor) -> tuple[Any, Any]:
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
    return line_loss, state_loss


def train(net: FenceNet, pools: Pools, given: argparse.Namespace) -> FenceNet:
    """Trains for a time and prints the losses; scenes finished meanwhile are taken in."""
    rng = np.random.default_rng(given.seed)
    best = torch.optim.AdamW(net.parameters(), lr=given.rate, weight_decay=1e-4)
    start, step = time.monotonic(), 0
    shown = np.zeros(2)
    while (share := (time.monotonic() - start) / (60 * given.minutes)) < 1.0:
        for group in best.param_groups:
            group["lr"] = given.rate * min(1.0, step / 50) * (0.5 + 0.5 * np.cos(np.pi * share))
        drawn = [pools.draw(rng) for _ in range(given.batch)]
        inputs, rows, states = (np.stack(part) for part in zip(*drawn, strict=True))
        given_inputs = torch.from_numpy(inputs).contiguous(memory_format=torch.channels_last)
        out = net(given_inputs)
        line, state = loss_of(out, torch.from_numpy(rows), torch.from_numpy(states))
        best.zero_grad()
        (line + state).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        best.step()
        step += 1
        shown = 0.98 * shown + 0.02 * np.array([line.item(), state.item()])
        if step % 50 == 0:
            scale = 1 - 0.98**step
            print(f"{share:4.0%} step {step} line {shown[0] / scale:.3f} state "
                  f"{shown[1] / scale:.3f} strips {len(pools)}", flush=True)  # fmt: skip
        if step % 1000 == 0:
            torch.save(net.state_dict(), given.out.with_suffix(".pt"))
    return net.eval()


def export(net: FenceNet, out: Path) -> None:
    """Writes the network as ONNX."""
    example = torch.zeros(1, CHANNELS, ROWS // 2, 640)
    torch.onnx.export(
        net, (example,), out, input_names=["strip"], output_names=["logits"],
        dynamic_axes={"strip": {3: "columns", 2: "rows"}, "logits": {3: "columns", 2: "rows"}},
        opset_version=17, dynamo=False,
    )  # fmt: skip


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenes", nargs="+", type=Path, help="given twice, seen twice as often")
    parser.add_argument(
        "--ground", type=Path, action="append", default=[], help="a real picture without fences"
    )
    parser.add_argument(
        "--real", type=Path, action="append", default=[],
        help="a real fence that stands, given twice, seen twice as often",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--batch", type=int, default=6)
    parser.add_argument("--rate", type=float, default=3e-3, help="learning rate at the start")
    parser.add_argument("--resume", type=Path, help="weights (.pt) of an earlier run to go on from")
    given = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    torch.manual_seed(given.seed)
    net = FenceNet()
    if given.resume:
        net.load_state_dict(widened(torch.load(given.resume)))
    net = net.to(memory_format=torch.channels_last)  # a third faster than the default layout
    chance = np.random.default_rng(given.seed)
    try:
        pools = Pools(given.scenes, given.real, given.ground, chance)
    except InputError as error:
        parser.error(str(error))
    net = train(net, pools, given).to(memory_format=torch.contiguous_format)
    torch.save(net.state_dict(), given.out.with_suffix(".pt"))
    export(net, given.out)


if __name__ == "__main__":
    main()
