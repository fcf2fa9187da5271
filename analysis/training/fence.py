"""Trains the fence network: `python -m analysis.training.fence --out fence.onnx SCENES…`.

Each SCENE is a folder written by `fencewalk scene`. Strips are straightened along the true fence
and along parallels to it that hold none; a crop gets a drawn line's error, a mirror image, other
light, other colours, blur and noise, and every other one a simple fence or wall painted on ground
without one, so that the network does not depend on how the generator draws. Needs the extra
`train`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import geopandas
import numpy as np
import numpy.typing as npt
import shapely
import torch
from rasterio.errors import RasterioError
from torch import nn

from analysis.fence.features import ALONG_M, CHANNELS, FINE_M, network_input
from analysis.fence.strip import Centre, straighten
from analysis.raster import Orthophoto
from analysis.training.fence_paint import (
    CROP,
    IGNORE,
    ROWS,
    cut_out,
    disturb,
    grow_cover,
    lay_foot,
    paint_fence,
)
from analysis.training.unet import convolutions
from corridor import InputError, Side, Track
from corridor.findings import BreachType, FenceState, FindingKind, read_condition, read_findings

STATES = ("intact", "gap", "collapsed", "obscured")
_REACH_M = 8.4
_PARALLEL_M = 9.0

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Sample:
    """One strip: (M, N, 3) colours, (N,) state along its middle row; `fenced` if it has a fence.

    It is drawn `times` as often as another, and its `kind` of fence may add to that.
    """

    rgb: npt.NDArray[np.uint8]
    valid: npt.NDArray[np.bool_]
    state: npt.NDArray[np.int8]
    fenced: bool
    kind: str = ""
    times: int = 1


_OFTEN = {"barbed_wire": 1.5, "expanded_metal": 2.0}
"""How many times more often strips of these fences are drawn: they are the hard ones."""
_FENCED_EVERY = (True, False, True, True, False)
_ON_BREACH = 0.35
"""Share of the crops of a fence that are laid on one of its breaches."""


def load_scene(folder: Path, times: int = 1) -> list[Sample]:
    """The strips of a generated scene along both fences, and beside them."""
    ortho = Orthophoto.open(folder / "ortho.tif")
    truth = folder / "truth.gpkg"
    lines = geopandas.read_file(truth, layer="fence_line").to_crs(ortho.crs)
    pieces, findings = read_condition(truth), read_findings(truth)
    built = json.loads((folder / "scene.json").read_text())["fences"]
    kinds = {each["side"]: str(each["kind"]) for each in built}
    samples = []
    for row in lines.itertuples():
        side = Side(row.side)
        xy = np.array(shapely.get_coordinates(row.geometry))
        along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(xy, axis=0).T))])
        centre = Centre.of(Track(xy, along))
        state = np.full(len(centre.xy), IGNORE, np.int8)
        whole = shapely.LineString(centre.xy)

        def span(geometry: Any, whole: Any = whole) -> tuple[int, int]:
            ends = shapely.get_coordinates(geometry)[[0, -1]]
            at = shapely.line_locate_point(whole, shapely.points(ends)) / ALONG_M
            return round(float(min(at))), round(float(max(at)))

        for piece in pieces:
            if piece.side is not side or piece.route != row.route:
                continue
            first, last = span(_project(piece.geometry, ortho))
            code = {FenceState.INTACT: 0, FenceState.OBSCURED: 3}.get(piece.state, IGNORE)
            state[first:last] = code
        for finding in findings:
            if finding.kind is not FindingKind.BREACH or finding.side is not side:
                continue
            first, last = span(_project(finding.geometry, ortho))
            seen = finding.extra.get("visible_frac")
            hidden = seen is not None and float(seen) < 0.3
            code = {BreachType.GAP: 1, BreachType.COLLAPSED: 2}.get(
                finding.breach_type or BreachType.HOLE, IGNORE
            )
            state[first:last] = 3 if hidden and code > 0 else code
            # People cannot say to the decimetre where a breach begins, nor should the network.
            for end in (first, last):
                state[max(end - 1, 0) : end + 1] = IGNORE
        samples.append(_sample(ortho, centre, state, kinds.get(side.value, "")))
        for shift in (-_PARALLEL_M, _PARALLEL_M):
            beside = Centre(centre.chainage_m, centre.xy + shift * centre.normal, centre.normal)
            outward = shift * side.outward > 0
            if outward:
                plain = _sample(ortho, beside, np.full_like(state, IGNORE), None)
                if plain.valid.mean() > 0.8:
                    samples.append(plain)
    return [replace(sample, times=times) for sample in samples]


def _project(geometry: Any, ortho: Orthophoto) -> Any:
    return shapely.transform(geometry, lambda lonlat: ortho.to_xy(lonlat))


def _sample(
    ortho: Orthophoto, centre: Centre, state: npt.NDArray[np.int8], kind: str | None
) -> Sample:
    parts, seen = [], []
    for first in range(0, len(centre.xy), 1600):
        last = min(first + 1600, len(centre.xy))
        strip = straighten(ortho, centre, first, last, _REACH_M)
        rows = round(2 * _REACH_M / FINE_M)
        size = (last - first, rows)
        look = {"interpolation": cv2.INTER_AREA}
        parts.append(cv2.resize(strip.rgb, size, **look).astype(np.uint8))
        seen.append(cv2.resize(strip.valid.astype(np.uint8), size, **look) > 0)
    rgb, valid = np.concatenate(parts, axis=1), np.concatenate(seen, axis=1)
    return Sample(rgb, valid, state, kind is not None, kind or "")


# One crop, drawn from a strip


def draw(sample: Sample, rng: np.random.Generator) -> tuple[Floats, Floats, npt.NDArray[np.int64]]:
    """A crop: input (5, ROWS / 2, CROP), cell of the fence (CROP / 2) or NaN, state (CROP / 2)."""
    height, length = sample.rgb.shape[:2]
    first = int(rng.integers(0, max(1, length - CROP)))
    broken = np.flatnonzero((sample.state == 1) | (sample.state == 2))
    if len(broken) and rng.uniform() < _ON_BREACH:
        first = int(np.clip(rng.choice(broken) - rng.integers(0, CROP), 0, max(0, length - CROP)))
    along = np.clip(np.arange(first, first + CROP), 0, length - 1)
    stretch_m = rng.uniform(15, 80)
    phase = rng.uniform(0, 2 * np.pi, 2)
    t = np.arange(CROP) * ALONG_M
    reach_m = min(2.6, rng.exponential(1.2))
    wander = reach_m * (
        rng.uniform(-1, 1)
        + rng.uniform(0, 0.5) * np.sin(2 * np.pi * t / stretch_m + phase[0])
        + 0.04 * np.sin(2 * np.pi * t / 7.0 + phase[1])
    )
    wander = np.clip(wander, -2.9, 2.9)
    middle = height / 2 + wander / FINE_M
    rows = (np.arange(ROWS)[:, None] - ROWS / 2 + middle[None, :]).astype(np.float32)
    columns = np.broadcast_to(along[None, :], rows.shape).astype(np.float32)
    rgb = cv2.remap(sample.rgb, columns, rows, cv2.INTER_LINEAR).astype(np.float32)
    valid = cv2.remap(sample.valid.astype(np.uint8), columns, rows, cv2.INTER_NEAREST) > 0
    state = np.asarray(sample.state[along], dtype=np.int64)
    row = (ROWS / 2 - wander / FINE_M - 0.5).astype(np.float32)
    if not sample.fenced:
        if valid.mean() > 0.9 and rng.uniform() < 0.8:
            rgb, row, state = paint_fence(rgb, rng)
        else:
            # Ground without a fence is a gap from end to end, wherever one looks.
            row = np.full(CROP, np.nan, np.float32)
            state = np.where(valid[ROWS // 4 : -ROWS // 4].all(axis=0), 1, IGNORE)
    elif valid.mean() > 0.9:
        if rng.uniform() < 0.2:
            away = np.float32(rng.uniform(3.0, 5.0) / FINE_M)
            above, below = ((rows + step).clip(0, height - 1) for step in (-away, away))
            seen = sample.valid.astype(np.uint8)
            known = [
                cv2.remap(seen, columns, each, cv2.INTER_NEAREST).mean() for each in (above, below)
            ]
            if min(known) > 0.98:
                sides = (
                    cv2.remap(sample.rgb, columns, above, cv2.INTER_LINEAR).astype(np.float32),
                    cv2.remap(sample.rgb, columns, below, cv2.INTER_LINEAR).astype(np.float32),
                )
                cut_out(rgb, sides, row, state, rng)
        if rng.uniform() < 0.2:
            lay_foot(rgb, row, rng)
        if rng.uniform() < 0.2:
            grow_cover(rgb, row, state, rng)
    if rng.uniform() < 0.5:
        rgb, valid, row = rgb[::-1], valid[::-1], ROWS - 1 - row
    if rng.uniform() < 0.5:
        rgb, valid, row, state = rgb[:, ::-1], valid[:, ::-1], row[::-1], state[::-1]
    rgb = disturb(np.ascontiguousarray(rgb), rng)
    inputs = network_input(rgb, np.ascontiguousarray(valid))
    pairs = state.reshape(-1, 2)
    state = np.where(pairs[:, 0] == pairs[:, 1], pairs[:, 0], IGNORE)
    row = row.reshape(-1, 2).mean(axis=1)
    return inputs, (row / 4 - 0.375).astype(np.float32), state


# The network


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
    balance = torch.tensor([1.0, 2.0, 3.0, 1.5])
    state_loss = nn.functional.cross_entropy(states, state, weight=balance, ignore_index=IGNORE)
    return line_loss, state_loss


def train(net: FenceNet, samples: list[Sample], given: argparse.Namespace, reload: Any) -> FenceNet:
    """Trains for a time and prints the losses; scenes finished meanwhile are taken in."""
    rng = np.random.default_rng(given.seed)
    best = torch.optim.AdamW(net.parameters(), lr=given.rate, weight_decay=1e-4)
    start, step = time.monotonic(), 0
    shown = np.zeros(2)
    while (share := (time.monotonic() - start) / (60 * given.minutes)) < 1.0:
        for group in best.param_groups:
            group["lr"] = given.rate * min(1.0, step / 50) * (0.5 + 0.5 * np.cos(np.pi * share))
        pools = {known: [s for s in samples if s.fenced is known] for known in (True, False)}
        often = {
            known: np.array([s.times * _OFTEN.get(s.kind, 1.0) for s in pool])
            for known, pool in pools.items()
        }
        drawn = []
        for index in range(given.batch):
            known = _FENCED_EVERY[(step * given.batch + index) % len(_FENCED_EVERY)]
            known = known or not pools[False]
            chance = often[known] / often[known].sum()
            drawn.append(draw(pools[known][rng.choice(len(chance), p=chance)], rng))
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
                  f"{shown[1] / scale:.3f} strips {len(samples)}", flush=True)  # fmt: skip
            samples = reload(samples)
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
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--batch", type=int, default=12)
    parser.add_argument("--rate", type=float, default=3e-3, help="learning rate at the start")
    parser.add_argument("--resume", type=Path, help="weights (.pt) of an earlier run to go on from")
    given = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    loaded: set[Path] = set()

    def reload(samples: list[Sample]) -> list[Sample]:
        for folder in given.scenes:
            if folder not in loaded and (folder / "truth.gpkg").is_file():
                try:
                    samples = samples + load_scene(folder, given.scenes.count(folder))
                except (InputError, OSError, RasterioError) as error:  # a scene still being written
                    print(f"{folder}: {error}", file=sys.stderr)
                    continue
                loaded.add(folder)
        return samples

    torch.manual_seed(given.seed)
    net = FenceNet()
    if given.resume:
        net.load_state_dict(widened(torch.load(given.resume)))
    net = net.to(memory_format=torch.channels_last)  # a third faster than the default layout
    net = train(net, reload([]), given, reload).to(memory_format=torch.contiguous_format)
    torch.save(net.state_dict(), given.out.with_suffix(".pt"))
    export(net, given.out)


if __name__ == "__main__":
    main()
