"""Between pixels: Catmull and Rom's cubic, for the compiled loops that sample pictures."""

from __future__ import annotations

import numba

from corridor.values import FloatArray


@numba.njit(cache=True, nogil=True)
def cubic_weights(t: float, weights: FloatArray) -> None:
    """Writes the weights (4,) of the pixels at -1, 0, 1 and 2 for a place at t, 0 to 1.

    Catmull and Rom's cubic (a = -1/2): sharp, and exact for straight ramps.
    """
    t2, t3 = t * t, t * t * t
    weights[0] = -0.5 * t3 + t2 - 0.5 * t
    weights[1] = 1.5 * t3 - 2.5 * t2 + 1.0
    weights[2] = -1.5 * t3 + 2.0 * t2 + 0.5 * t
    weights[3] = 0.5 * t3 - 0.5 * t2
