"""Pictures that are kept on disk while a training draws from them: more than memory holds."""

from __future__ import annotations

import tempfile
from typing import Any

import numpy as np
import numpy.typing as npt


def parked(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The same array, read from a nameless temporary file as its parts are asked for.

    The file goes with the array; processes that are forked read the same one.
    """
    if not array.size:
        return array
    with tempfile.TemporaryFile() as file:
        np.ascontiguousarray(array).tofile(file)
        file.flush()
        return np.memmap(file, array.dtype, "r", shape=array.shape)
