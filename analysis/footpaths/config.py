"""The one configuration for every picture."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FootpathConfig:
    """What is taken for a footpath. Lengths are metres on the ground, scores are in noise units.

    Attributes:
        gsd_m: the working resolution, about.
        widths_m: widths the filter looks for.
        filter_weight, network_weight: shares of the two in the evidence; the network's answer
            enters as logits clipped to `logit_range`.
        score_low: ridges below it are not followed.
        score_high: a path reaches it somewhere.
        least_probability: from which a branch is taken for a footpath.
        carries_on: the same of a branch that begins where a footpath ends or forks.
        other_score: mean score from which a line of another kind is worth naming.
        twig_m: side branches shorter than this are pruned before anything is judged.
        spur_m: shorter side branches with a free end are pruned.
        least_length_m: of connected paths together.
        link_m: longest gap that is bridged.
        tile_px: side of a window that is looked at by itself, in pixels of twice the working
            resolution; a long one is as much narrower. Changes speed and memory, nothing else.
    """

    gsd_m: float = 0.1
    widths_m: tuple[float, ...] = (0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.6)
    filter_weight: float = 1.0
    network_weight: float = 0.3
    logit_range: tuple[float, float] = (-5.0, 4.0)
    score_low: float = 1.6
    score_high: float = 2.0
    least_probability: float = 0.5
    carries_on: float = 0.4
    other_score: float = 2.6
    twig_m: float = 2.0
    spur_m: float = 4.0
    least_length_m: float = 8.0
    link_m: float = 12.0
    tile_px: int = 576
