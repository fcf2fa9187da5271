"""Runs the trained fence network over a strip."""

from __future__ import annotations

import math
from functools import cache
from importlib.resources import files
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime

from analysis.fence.features import ACROSS_M, ROWS, mirrored, network_input
from analysis.fence.strip import Strip

FloatGrid = npt.NDArray[np.float32]

CELL_M = 2 * ACROSS_M
"""Height of a row of the network's answer."""
COLUMNS_PER_CELL = 2
BLOCK = 32
"""Columns and rows of a strip come in multiples of this: the network halves them five times."""


def reach_for(tolerance_m: float) -> float:
    """Half the width of a strip, in metres, for a line drawn up to `tolerance_m` wrong."""
    rows = max(ROWS, BLOCK * math.ceil(2 * (tolerance_m + 2.0) / ACROSS_M / BLOCK))
    return rows * ACROSS_M / 2


@cache
def session(name: str) -> Any:
    """A network of the fence's by the name of its file, loaded once in a process."""
    options = onnxruntime.SessionOptions()
    # One thread: the same sums in the same order, and other pieces have the other cores.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    # Memory is kept from piece to piece, which saves an eighth of the time, until `let_go`; a plan
    # for each strip's shape would take a third more of it.
    options.enable_mem_pattern = False
    model = files("analysis.models").joinpath(name).read_bytes()
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def let_go() -> None:
    """Frees what the networks hold: as much as their largest strips took."""
    session.cache_clear()


def look(strip: Strip) -> tuple[FloatGrid, FloatGrid, npt.NDArray[np.float64]]:
    """The network's answer for a strip whose columns are a multiple of `BLOCK`.

    Returns:
        (5, R, N / 2) logits: that the fence runs here, and the four states if it does; what it was
        shown, (5, 2 R, N) as of `features.network_input`; and the offset of each of the R rows in
        metres, left positive.
    """
    half = (len(strip.offset_m) - 1) // 2
    rows = round(2 * half * strip.across_m / ACROSS_M / BLOCK) * BLOCK
    size = (strip.last - strip.first, 2 * rows)
    rgb = cv2.resize(strip.rgb, size, interpolation=cv2.INTER_AREA)
    valid = cv2.resize(strip.valid.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    inputs = network_input(rgb, valid)
    # Nothing tells a fence from its mirror image: two looks err apart, and their mean less.
    logits = (_answer(inputs) + _answer(mirrored(inputs))[:, ::-1]) * np.float32(0.5)
    per_cell = len(strip.offset_m) / logits.shape[1]
    row = (np.arange(logits.shape[1]) + 0.5) * per_cell - 0.5 - half
    return logits, inputs, row * strip.across_m


def _answer(inputs: FloatGrid) -> FloatGrid:
    return np.asarray(
        session("fence.onnx").run(None, {"strip": inputs[None]})[0][0], dtype=np.float32
    )
