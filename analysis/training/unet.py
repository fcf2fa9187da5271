"""The network that footpaths and plots are trained on.

Needs the extra `train`. How a training runs is told in `course`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from analysis.training.course import Interface

PLANES = 6
"""Of `analysis.footpaths.channels.network_input`."""
WIDTHS = (16, 24, 32, 48, 48)
"""Channels at 0.2, 0.4, 0.8, 1.6 and 3.2 m, on pixels of 0.1 m, if no others are asked for."""
INTERFACE = Interface(
    "planes", "logits", (1, PLANES, 256, 256),
    {"planes": {2: "rows", 3: "columns"}, "logits": {2: "rows2", 3: "columns2"}},
)  # fmt: skip
"""One picture at a time, of any size that fits."""


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
        self.classes, self.widths = classes, widths
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
