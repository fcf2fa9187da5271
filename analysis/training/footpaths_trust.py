"""Chooses from where the footpath filter is believed without the network.

A network knows the ground it was trained on. On other ground it calls trails nothing, but still
knows what is built; there a long line of the filter is hardly ever no path. How long, how clear and
how far from anything built is chosen on what was seen along the branches of many pictures.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.footpaths.judge import CUES, seen_by_filter

Array = npt.NDArray[Any]

SCORES = (1.7, 1.8, 1.9, 2.0, 2.1, 2.3)
LENGTHS_M = (6.0, 8.0, 10.0, 12.0, 15.0, 20.0)
BUILT = (-3.0, -4.0, -5.0, -6.0)
STRAIGHT = 0.8
"""Octaves below the wobble of people's paths: what is built is straighter. Set by hand."""
MORE_FALSE_M_PER_HA = 10.0
"""What may be reported more, by the filter's word alone, on pictures without paths."""


def believed(cues: Array, limits: Mapping[str, float]) -> Array:
    """Which branches the filter is believed on, by (n, K) cues in the order of `CUES`."""
    return seen_by_filter(dict(zip(CUES, cues.T, strict=True)), limits)


def chosen_limits(
    cues: Array, passed: Array, share: Array, length_m: Array, groups: Array, free_ha: float
) -> dict[str, float]:
    """The limits by which F1 gains most, on the mean of groups of branches that hold paths.

    Args:
        cues: (n, K) in the order of `CUES`.
        passed: (n,) bool, what the network's judge takes for a path.
        share: (n,) of each branch that is path.
        length_m: (n,).
        groups: (n,) number of the group that a branch counts in; below 0 on path-free pictures.
        free_ha: hectares of those.

    Returns:
        As `judge.trust` reads them; empty if nothing is gained.
    """
    right_m = share * length_m
    held = [groups == number for number in np.unique(groups[groups >= 0])]
    held = [own for own in held if right_m[own].sum() > 0]

    def gain(more: Array) -> float:
        def f1(kept: Array, own: Array) -> float:
            total_m = length_m[own & kept].sum() + right_m[own].sum()
            return float(2 * right_m[own & kept].sum() / total_m)

        return float(np.mean([f1(passed | more, own) - f1(passed, own) for own in held]))

    best, most = {}, 0.0
    for score, least_m, built in itertools.product(SCORES, LENGTHS_M, BUILT):
        limits = {"score": score, "length_m": least_m, "built": built, "straight": STRAIGHT}
        more = believed(cues, limits) & ~passed
        if length_m[more & (groups < 0)].sum() > MORE_FALSE_M_PER_HA * free_ha:
            continue
        here = gain(more)
        if here > most:
            best, most = limits, here
    return best
