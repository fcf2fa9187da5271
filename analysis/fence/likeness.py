"""Compares each metre of a fence with the rest of it, along the line where it was found.

The strip is laid straight along the fence itself, and beside what the picture shows of each place
stands what the fence usually looks like: the median, row by row, of the hundred metres around, and
that of the places at the same distance from their posts (`analysis.fence.posts`).
A second network, trained on fences and walls of many kinds and on what is left where they are gone
(`analysis.training.fence_likeness`), tells from both whether the fence stands here. So it need not
know this fence: it sees what it looks like where it stands.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from analysis.fence.features import ALONG_M, CHANNELS
from analysis.fence.network import session
from analysis.fence.posts import PLANES, at_same_phase

Floats = npt.NDArray[np.float32]

ROWS = 128
"""Of the strip laid along the fence, as high as those of the network's input: 5.1 m across."""
INPUTS = 2 * CHANNELS + PLANES
"""Planes the network is given: a place, what is usual around it, and what is at its phase."""
USUAL_M = 100.0
_EVERY = 8
"""Columns from one profile to the next of those whose median is usual."""
_BLOCK = 128
"""Columns from one such median to the next; between them it changes evenly."""
_WINDOW = round(USUAL_M / ALONG_M)
_LEAST_PROFILES = 8


def laid_along(inputs: Floats, row: npt.NDArray[np.floating]) -> Floats:
    """The network's input (5, M, N) with the line in the middle row: (5, ROWS, N).

    Args:
        inputs: of `features.network_input`.
        row: (N,) of the line in each column, fractional rows of the input.
    """
    rows = (np.arange(ROWS)[:, None] - (ROWS - 1) / 2 + row[None, :]).astype(np.float32)
    columns = np.broadcast_to(np.arange(inputs.shape[2], dtype=np.float32)[None, :], rows.shape)
    columns = np.ascontiguousarray(columns)
    planes = [cv2.remap(plane, columns, rows, cv2.INTER_LINEAR) for plane in inputs]
    return np.stack(planes)


def with_usual(along: Floats, imaged: npt.NDArray[np.bool_]) -> Floats:
    """(INPUTS, ROWS, N): a strip laid along the fence, and what is usual for each column.

    Args:
        along: (5, ROWS, N) of `laid_along`, or with `at_same_phase` of it below: (8, ROWS, N).
        imaged: (N,) columns that were imaged; the others say nothing of what is usual.
    """
    count = along.shape[2]
    out = np.zeros((INPUTS, *along.shape[1:]), np.float32)
    along, phase = along[:CHANNELS], along[CHANNELS:]
    out[:CHANNELS] = along
    out[2 * CHANNELS :] = phase if len(phase) else at_same_phase(along)
    at = np.arange(0, count, _EVERY)
    at = at[imaged[at]]
    if len(at) < _LEAST_PROFILES:
        return out
    profiles = along[:, :, at]
    middles = np.arange(0, count + _BLOCK, _BLOCK)
    medians = []
    for middle in middles:
        near = slice(*np.searchsorted(at, (middle - _WINDOW // 2, middle + _WINDOW // 2)))
        if near.stop - near.start < _LEAST_PROFILES:
            nearest = np.argsort(np.abs(at - middle), kind="stable")[:_LEAST_PROFILES]
            near = slice(int(nearest.min()), int(nearest.max()) + 1)
        medians.append(np.median(profiles[:, :, near], axis=2))
    knots = np.stack(medians, axis=2)
    place = np.arange(count) / _BLOCK
    left = place.astype(int)
    share = (place - left).astype(np.float32)
    out[CHANNELS : 2 * CHANNELS] = knots[:, :, left] * (1 - share) + knots[:, :, left + 1] * share
    return out


def compare(inputs: Floats, row: npt.NDArray[np.floating], imaged: npt.NDArray[np.bool_]) -> Floats:
    """Logits (4, N / 2) of the four states, a cell of two columns each.

    Args:
        inputs: (5, M, N) of `features.network_input`, N a multiple of 16.
        row: (N,) of the line, fractional rows of the input.
        imaged: (N,) columns that were imaged.
    """
    seen = with_usual(laid_along(inputs, row), imaged)
    answer = session("fence_likeness.onnx").run(None, {"strip": seen[None]})[0]
    return np.asarray(answer[0], dtype=np.float32)
