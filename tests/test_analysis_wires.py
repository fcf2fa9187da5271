"""What a mesh's wires are like: by how strongly they show, and in colour with which sign."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from analysis.wires import fit_wires

COUNT = 4000


def seen(behind: Any, wire: Any, gain: Any, noise: float = 0.05) -> tuple[Any, Any]:
    """Products of the channels' amplitudes, with a tenth of the mesh cut away; the ground's."""
    chance = np.random.default_rng(1)
    amplitude = np.array(gain)[:, None] * (behind - np.array(wire)[:, None])
    amplitude[:, ::10] = 0.0
    amplitude = amplitude + noise * chance.normal(size=amplitude.shape)
    mesh = amplitude[:, None] * amplitude[None] - (noise**2 * np.eye(len(behind)))[..., None]
    return mesh, np.full(behind.shape[1], noise**2)


def grounds(*between: tuple[float, float]) -> Any:
    chance = np.random.default_rng(2)
    return np.stack([chance.uniform(low, high, COUNT) for low, high in between])


def test_wires_lighter_than_some_ground_and_darker_than_other() -> None:
    behind = grounds((90, 200))
    wire, gain = fit_wires(behind, *seen(behind, [148.0], [0.06]))
    assert wire[0] == pytest.approx(148, abs=2)
    assert gain[0] == pytest.approx(0.06, rel=0.1)


def test_the_sign_tells_the_colour_of_wires_that_no_ground_has() -> None:
    behind = grounds((90, 200), (100, 120))
    wire, gain = fit_wires(behind, *seen(behind, [148.0, 128.0], [0.06, 0.03]))
    assert wire[1] == pytest.approx(128, abs=1)
    assert gain[1] == pytest.approx(0.03, rel=0.1)


def test_colour_in_which_wires_do_not_show_tells_nothing() -> None:
    behind = grounds((90, 200), (128, 128), (100, 120))
    mesh, ground = seen(behind, [148.0, 128.0, 110.0], [0.06, 0.03, 0.0], noise=0.01)
    _, gain = fit_wires(behind, mesh, ground)
    assert gain[1] == 0.0  # a grey picture
    assert gain[2] < 0.001  # colour that compression has taken away
