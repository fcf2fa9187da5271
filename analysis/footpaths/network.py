"""The trained network, run by onnxruntime."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

Array = npt.NDArray[Any]

HALO_PX = 216
"""Working pixels around a place that its answer depends on (214, as measured, rounded up)."""
CLASSES = ("footpath", "vehicle", "sealed")
"""What the logits are of, in their order; a network may give more after them."""
MODEL = Path(__file__).parents[1] / "models" / "footpaths.onnx"


class Network:
    """The network on one core.

    Args:
        path: the ONNX file; the one that is shipped if none is given.
    """

    def __init__(self, path: Path = MODEL) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Memory is kept from window to window, which saves a tenth of the time; a plan for each
        # window's shape would take a third more of it.
        options.enable_mem_pattern = False
        self._session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )

    def run(self, planes: Array) -> Array:
        """(6, rows, columns) float32 as of `network_input` to (3 or more, rows / 2, columns / 2)
        logits."""
        (logits,) = self._session.run(["logits"], {"planes": planes[np.newaxis]})
        return np.asarray(logits[0])


@cache
def shared_network() -> Network:
    """The shipped network, loaded once in a process: each holds memory of its own."""
    return Network()


def let_go() -> None:
    """Frees what the shared network holds: as much as its largest window took."""
    shared_network.cache_clear()
