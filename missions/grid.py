"""Compiled loops over a raster's grid."""

from __future__ import annotations

import numpy as np
from numba import njit

from corridor.values import FloatArray


@njit(cache=True)
def crossings_of(grid: FloatArray, along_m: FloatArray) -> FloatArray:
    """Where a polyline in grid coordinates crosses whole-numbered columns or rows.

    Args:
        grid: (N, 2) column and row of the vertices.
        along_m: (N,) metres along the polyline at the vertices, ascending.

    Returns:
        (M,) metres along, ascending and without repeats, vertices included.
    """
    count = len(grid)
    for k in range(len(grid) - 1):
        for axis in range(2):
            count += int(abs(np.floor(grid[k + 1, axis]) - np.floor(grid[k, axis]))) + 1
    found = np.empty(count)
    total = 0
    for k in range(len(grid) - 1):
        found[total] = along_m[k]
        total += 1
        for axis in range(2):
            first, last = grid[k, axis], grid[k + 1, axis]
            if first == last:
                continue
            low, high = min(first, last), max(first, last)
            line = np.floor(low) + 1.0
            while line < high:
                t = (line - first) / (last - first)
                found[total] = along_m[k] + t * (along_m[k + 1] - along_m[k])
                total += 1
                line += 1.0
    found[total] = along_m[-1]
    total += 1
    found = np.sort(found[:total])
    kept = np.empty(total)
    kept[0] = found[0]
    used = 1
    for k in range(1, total):
        if found[k] - kept[used - 1] > 1e-9:
            kept[used] = found[k]
            used += 1
    return kept[:used]
