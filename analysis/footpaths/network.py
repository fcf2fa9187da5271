"""The trained networks, run by onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence
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
_FOLDER = Path(__file__).parents[1] / "models"
MODELS = tuple(
    _FOLDER / name for name in ("footpaths.onnx", "footpaths_narrow.onnx", "footpaths_sites.onnx")
)
"""The networks that ship. They were trained apart, and what one forgot the other knows."""


class Network:
    """One network or several on one core; what several say is the mean of their logits.

    Args:
        paths: the ONNX files; the ones that are shipped if none are given.
    """

    def __init__(self, paths: Sequence[Path] = MODELS) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Memory is kept from window to window, which saves a tenth of the time; a plan for each
        # window's shape would take a third more of it.
        options.enable_mem_pattern = False
        options.add_session_config_entry("session.use_env_allocators", "1")
        _share_memory()
        self._sessions = [
            onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            for path in paths
        ]

    def run(self, planes: Array) -> Array:
        """(6, rows, columns) float32 as of `network_input` to (3 or more, rows / 2, columns / 2)
        logits."""
        given = {"planes": planes[np.newaxis]}
        answers = [session.run(["logits"], given)[0][0] for session in self._sessions]
        return np.asarray(sum(answers[1:], start=answers[0]) / np.float32(len(answers)))


@cache
def _share_memory() -> None:
    """One heap for all networks of this process, which run one after the other.

    Without it each keeps one of its own, as large as its largest window took.
    """
    place = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0,
        onnxruntime.OrtMemType.DEFAULT,
    )  # fmt: skip
    onnxruntime.create_and_register_allocator(place, None)


@cache
def shared_network() -> Network:
    """The shipped networks, loaded once in a process."""
    return Network()


def let_go() -> None:
    """Lets the shipped networks go; the heap they ran in stays with the process."""
    shared_network.cache_clear()
