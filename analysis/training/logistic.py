"""Logistic functions of cues, fitted on examples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from corridor.values import FloatArray

_STEPS = 60
_FOLDS = 5


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


def left_out(
    names: Sequence[str], cues: FloatArray, true: FloatArray, groups: Sequence[str], shrink: float
) -> FloatArray:
    """Probability of each example by a fit that did not see its group, a fifth of them at a time.

    Args:
        names, cues, true, shrink: as of `fit_weights`.
        groups: (N,) what belongs together.

    Returns:
        (N,), 0 where the other groups hold examples of one kind only.
    """
    fold_of = {name: number % _FOLDS for number, name in enumerate(sorted(set(groups)))}
    fold = np.array([fold_of[name] for name in groups], dtype=np.int64)
    chance = np.zeros(len(cues))
    for own in (fold == number for number in range(_FOLDS)):
        if len(np.unique(true[~own])) < 2:
            continue
        weights = fit_weights(names, cues[~own], true[~own], shrink)
        total = cues[own] @ np.array([weights[name] for name in names]) + weights["bias"]
        chance[own] = 1.0 / (1.0 + np.exp(-total))
    return chance
