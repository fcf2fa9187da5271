"""What a mesh's wires are like, from how strongly they show before what lies behind them.

Wires show by their difference from what is behind: lighter before dark ground, darker before light.
In lightness, ground is found on both sides of the wires', and only the size of the difference is
seen. In colour it often lies on one side of theirs alone, so there the sign is needed: a channel's
amplitude has the same phase as the lightness' or the opposite one.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

BLACK = 10.0
"""Grey: darker is no picture."""
_LIGHT_STEPS = 16
_SHOWN = 10.0
"""Energy of the mesh against the ground's, in lightness, where its colour can be learned."""
_LEAST_LEFT = 0.5
_LEAST_CELLS = 500
_FLAT = 0.5
"""Of 256: a channel that differs less along the fence tells nothing of what it would else be."""
_ROUNDS, _OUTLYING = 4, 3.0


def fit_wires(
    behind: Floats, mesh: Floats, ground: Floats
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The wires in each channel, and how strongly they show.

    Args:
        behind: (C, N) channels in cells, lightness first.
        mesh: (C, C, N) products of their amplitudes at the mesh's frequencies, less the ground's.
        ground: (N,) the ground's energy in lightness.

    Returns:
        (C,) value of the wires and (C,) amplitude over the difference from it; an amplitude of 0
        where a channel does not show them.
    """
    lit = behind[0] > BLACK
    behind, mesh, ground = behind[:, lit], mesh[..., lit], ground[lit]
    wire, gain = np.zeros((2, len(behind)))
    if not lit.any():
        return wire, gain
    wire[0], gain[0] = _by_size(behind[0], mesh[0, 0])
    contrast = gain[0] * (behind[0] - wire[0])
    sure = (contrast**2 > _SHOWN * ground) & (
        mesh[0, 0] > np.maximum(_SHOWN * ground, _LEAST_LEFT * contrast**2)
    )
    if sure.sum() < _LEAST_CELLS:
        return wire, gain
    phase = np.sign(contrast[sure]) / np.sqrt(mesh[0, 0, sure])
    for channel in range(1, len(behind)):
        wire[channel], gain[channel] = _by_sign(
            behind[channel, sure], mesh[0, channel, sure] * phase
        )
    return wire, gain


def _by_size(light: Floats, energy: Floats) -> tuple[float, float]:
    """The wires' lightness and the gain that explain most of what is seen.

    Medians over places of like lightness: openings are few. The least sum of absolute errors: those
    few may still be most of what is so light.
    """
    edges = np.quantile(light, np.linspace(0, 1, _LIGHT_STEPS + 1))
    group = np.clip(np.searchsorted(edges, light, side="right") - 1, 0, _LIGHT_STEPS - 1)
    steps = [step for step in range(_LIGHT_STEPS) if (group == step).any()]
    at = np.array([light[group == step].mean() for step in steps])
    usual = np.array([max(float(np.median(energy[group == step])), 0.0) for step in steps]) ** 0.5
    best = (np.inf, 0.0, 0.0)
    for wire in np.arange(0.0, 256.0):
        away = np.maximum(np.abs(at - wire), 1.0)
        for amplitude in usual / away:
            error = float(np.abs(usual - amplitude * away).sum())
            if error < best[0]:
                best = (error, float(wire), float(amplitude))
    return best[1], best[2]


def _by_sign(behind: Floats, amplitude: Floats) -> tuple[float, float]:
    """The same by a straight line, from amplitudes with signs; what lies far off is left out."""
    if behind.std() < _FLAT:
        return 0.0, 0.0
    usual = float(behind.mean(dtype=np.float64))
    away, amplitude = behind.astype(np.float64) - usual, amplitude.astype(np.float64)
    kept = np.ones(len(behind), np.bool_)
    slope = height = 0.0
    for _ in range(_ROUNDS):
        slope, height = np.polyfit(away[kept], amplitude[kept], 1)
        error = np.abs(amplitude - slope * away - height)
        kept = error <= _OUTLYING * np.median(error)
    if slope <= 0.0:
        return 0.0, 0.0
    return usual - float(height / slope), float(slope)
