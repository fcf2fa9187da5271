"""Logistic functions of cues, fitted on examples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from corridor.values import FloatArray

_STEPS = 60


def fit_weights(
    names: Sequence[str], cues: FloatArray, true: FloatArray, shrink: float
) -> dict[str, float]:
    """Weights by Newton's method.

    Args:
        names: of the K cues.
        cues: (N, K).
        true: (N,) 0 or 1.
        shrink: how much weights of standardised cues are drawn to 0.

    Returns:
        A weight for each cue as it is given, and `bias`.
    """
    mean, spread = cues.mean(axis=0), cues.std(axis=0) + 1e-9
    design = np.column_stack([(cues - mean) / spread, np.ones(len(cues))])
    drawn = np.append(np.full(len(names), shrink), 1e-9)
    beta = np.zeros(design.shape[1])
    for _ in range(_STEPS):
        chance = 1.0 / (1.0 + np.exp(-design @ beta))
        slope = design.T @ (chance - true) + drawn * beta
        bend = (design * (chance * (1 - chance))[:, None]).T @ design + np.diag(drawn)
        beta -= np.linalg.solve(bend, slope)
    weights = dict(zip(names, (beta[:-1] / spread).tolist(), strict=True))
    weights["bias"] = float(beta[-1] - (beta[:-1] * mean / spread).sum())
    return weights
