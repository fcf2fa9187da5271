"""Whether confidences mean what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BINS = 10


@dataclass(frozen=True)
class CalibrationBin:
    """Statements whose confidence lies in [low, high): their weight, mean confidence, share right.

    The weight counts findings, or metres of fence.
    """

    low: float
    high: float
    weight: float
    confidence: float
    right_frac: float


@dataclass(frozen=True)
class Calibration:
    """A reliability diagram."""

    bins: tuple[CalibrationBin, ...]

    @property
    def weight(self) -> float:
        """How much was judged: findings, or metres."""
        return sum(one.weight for one in self.bins)

    @property
    def expected_error(self) -> float | None:
        """Expected calibration error: mean |confidence - share right| by weight; None if empty.

        Naeini, Cooper and Hauskrecht, AAAI 2015, with bins of equal width.
        """
        if not self.weight:
            return None
        return sum(b.weight * abs(b.confidence - b.right_frac) for b in self.bins) / self.weight


def calibration_of(statements: Sequence[tuple[float, bool, float]]) -> Calibration:
    """The reliability diagram of statements (confidence 0 to 1, whether right, weight)."""
    if not statements:
        return Calibration(())
    confidence, right, weight = (
        np.array(column, float) for column in zip(*statements, strict=True)
    )
    index = np.minimum((confidence * BINS).astype(int), BINS - 1)
    bins = []
    for number in range(BINS):
        chosen = (index == number) & (weight > 0)
        if chosen.any():
            total = float(weight[chosen].sum())
            bins.append(
                CalibrationBin(
                    low=number / BINS,
                    high=(number + 1) / BINS,
                    weight=total,
                    confidence=float((confidence * weight)[chosen].sum() / total),
                    right_frac=float((right * weight)[chosen].sum() / total),
                )
            )
    return Calibration(tuple(bins))
