"""The fewest legs through a tube, against an exhaustive search over a grid of heights."""

from __future__ import annotations

import numpy as np
import pytest

from missions.tube import Tube, fewest_legs, lowest_path_m


def tube(s: np.ndarray, ground: np.ndarray, slope: float, forced: np.ndarray) -> Tube:
    return Tube(
        s, ground + 45, ground + 55, ground + 500, ground + 50, np.full(len(s), slope), forced
    )


def bounds(t: Tube) -> tuple[np.ndarray, np.ndarray]:
    low = lowest_path_m(t.s_m, t.floor_m, t.slope)
    return low, -lowest_path_m(t.s_m, -np.maximum(t.roof_m, low + 2.0), t.slope)


def exhaustive(t: Tube, levels: int = 41) -> int:
    low, roof = bounds(t)
    count = len(t.s_m)
    heights = [np.linspace(low[k], roof[k], levels) for k in range(count)]
    best = [np.zeros(levels)] + [np.full(levels, 99.0) for _ in range(count - 1)]
    for j in range(1, count):
        for i in range(j - 1, -1, -1):
            if t.forced[i + 1 : j].any():
                break
            a, b = np.meshgrid(heights[i], heights[j], indexing="ij")
            m = (b - a) / (t.s_m[j] - t.s_m[i])
            fits = np.ones_like(a, dtype=bool)
            for k in range(i, j + 1):
                z = a + m * (t.s_m[k] - t.s_m[i])
                fits &= (z >= low[k] - 1e-9) & (z <= roof[k] + 1e-9)
                fits &= np.abs(m) <= t.slope[k] + 1e-9
            best[j] = np.minimum(best[j], np.where(fits, best[i][:, None] + 1, 99).min(axis=0))
    return int(best[-1].min())


@pytest.mark.parametrize("seed", range(40))
def test_no_path_has_fewer_legs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(4, 18))
    s = np.cumsum(rng.uniform(1, 20, count))
    t = tube(s, np.cumsum(rng.normal(0, 4, count)), 0.6, rng.random(count) < 0.1)
    index, height = fewest_legs(t)
    low, roof = bounds(t)
    z = np.interp(s, s[index], height)
    assert (z >= low - 1e-6).all()
    assert (z <= roof + 1e-6).all()
    assert set(np.flatnonzero(t.forced)) <= set(index)
    steep = np.abs(np.diff(height) / np.diff(s[index]))
    assert (steep <= 0.6 + 1e-6).all()
    assert len(index) - 1 <= exhaustive(t)


def test_level_ground_takes_one_leg_at_the_target() -> None:
    s = np.arange(0.0, 1000.0, 30.0)
    index, height = fewest_legs(tube(s, np.zeros(len(s)), 0.3, np.zeros(len(s), bool)))
    assert index.tolist() == [0, len(s) - 1]
    assert height == pytest.approx([50.0, 50.0], abs=0.01)


def test_the_lowest_path_over_a_step_starts_to_climb_before_it() -> None:
    s = np.array([0.0, 10.0, 20.0, 30.0])
    floor = np.array([0.0, 0.0, 0.0, 6.0])
    assert lowest_path_m(s, floor, np.full(4, 0.5)) == pytest.approx([0.0, 0.0, 1.0, 6.0])
