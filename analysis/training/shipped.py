"""Weights to go on from, out of the ONNX file that ships.

An exported network has no normalisation left: it was folded into the convolutions before it. Here
it is set up again, as what the network does on pictures like those it will be trained on, so that
training goes on where it was.

Needs the extra `train`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import torch
from google.protobuf.message import DecodeError
from onnx import numpy_helper
from torch import Tensor, nn

from analysis.training.course import fill, weights_on_file
from analysis.training.unet import UNet, widened
from corridor import InputError


def go_on(net: UNet, path: Path, planes: Callable[[], Tensor]) -> None:
    """Fills a network with weights that ship (`.onnx`) or others (`.pt`), as wide or narrower.

    Args:
        net: as it was drawn.
        path: the file.
        planes: draws a batch of pictures.

    Raises:
        InputError: if the weights are not of such a network.
    """
    weights = weights_of(path, planes) if path.suffix == ".onnx" else weights_on_file(path)
    try:
        weights = widened(weights, net)
    except RuntimeError as error:
        raise InputError(
            path, str(error), f"weights of this network, {net.classes} classes"
        ) from error
    fill(net, weights, path)


def weights_of(path: Path, planes: Callable[[], Tensor], batches: int = 20) -> dict[str, Tensor]:
    """The state of a `UNet` that answers as an exported one does.

    Args:
        path: the ONNX file, as `course.export` wrote it.
        planes: draws a batch of pictures.
        batches: from how many of them the spread of each channel is told.

    Raises:
        InputError: if the file holds another kind of network.
    """
    try:
        net = _unfolded(onnx.load(path))
    except (OSError, ValueError, DecodeError) as error:
        raise InputError(path, str(error), "a network as training exports it") from error
    _normalise(net, planes, batches)
    return net.state_dict()


def _layers(net: UNet) -> Iterator[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Convolutions with what normalises them, in the order they are applied."""
    for block in (*net.down, *reversed(net.up)):
        own = list(block.layers)
        yield own[0], own[1]
        yield own[3], own[4]


def _unfolded(model: onnx.ModelProto) -> UNet:
    """A network that does nothing but convolve, as the exported one does."""
    arrays = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    convolved = [node.input for node in model.graph.node if node.op_type == "Conv"]
    pairs = [(arrays[names[1]], arrays[names[2]]) for names in convolved]
    if len(pairs) != 19:
        raise ValueError(f"{len(pairs)} convolutions, where a U-Net of five scales has 19")
    widths = tuple(len(pairs[k][1]) for k in range(1, 10, 2))
    head_weight, head_bias = pairs[-1]
    net = UNet(len(head_bias), unfolded=False, widths=widths)
    for (convolution, norm), (weight, bias) in zip(_layers(net), pairs[:-1], strict=True):
        _fill(convolution.weight, weight)
        _fill(norm.bias, bias)
        norm.running_var.fill_(1.0 - norm.eps)
    _fill(net.head.weight, head_weight)
    if net.head.bias is not None:
        _fill(net.head.bias, head_bias)
    return net.eval()


def _fill(parameter: Tensor, array: np.ndarray) -> None:
    if tuple(parameter.shape) != array.shape:
        raise ValueError(f"weights of shape {array.shape}, not {tuple(parameter.shape)}")
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(array.copy()))


def _normalise(net: UNet, planes: Callable[[], Tensor], batches: int) -> None:
    """Lets each normalisation take off a channel's own mean and deviation, and give them back."""
    norms = [norm for _, norm in _layers(net)]
    totals = [torch.zeros(3, norm.num_features, dtype=torch.float64) for norm in norms]

    def note(total: Tensor) -> Callable[..., None]:
        def hook(_: nn.Module, given: tuple[Tensor, ...]) -> None:
            x = given[0].double()
            total[0] += x.mean(dim=(0, 2, 3))
            total[1] += (x * x).mean(dim=(0, 2, 3))
            total[2] += 1

        return hook

    hooks = [
        norm.register_forward_pre_hook(note(total))
        for norm, total in zip(norms, totals, strict=True)
    ]
    with torch.no_grad():
        for _ in range(batches):
            net(planes())
        for norm, hook, (sums, squares, count) in zip(norms, hooks, totals, strict=True):
            hook.remove()
            mean = sums / count
            variance = (squares / count - mean**2).clamp(min=0)
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(variance)
            norm.weight.copy_(torch.sqrt(variance + norm.eps))
            norm.bias.add_(mean)
