"""What the fence's networks learn from."""

from pathlib import Path

import numpy as np
import pytest

from analysis.training import fence_pools
from analysis.training.fence_pools import Pools
from analysis.training.fence_strips import Sample
from corridor import InputError


def strip(level: int, fenced: bool, times: int) -> Sample:
    rgb = np.full((840, 700, 3), level, np.uint8)
    return Sample(rgb, np.ones((840, 700), bool), np.zeros(700, np.int8), fenced, times=times)


def test_a_scene_that_is_ready_later_is_taken_in_and_one_given_twice_counts_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenes = {name: tmp_path / name for name in ("once", "twice", "late", "broken")}
    for name, folder in scenes.items():
        folder.mkdir()
        if name != "late":
            (folder / "truth.gpkg").touch()
    levels = {"once": 50, "twice": 100, "late": 150}

    def load(folder: Path, times: int) -> list[Sample]:
        if folder.name == "broken":
            raise InputError(folder, "half written")
        return [strip(levels[folder.name], fenced, times) for fenced in (True, False)]

    drawn: list[int] = []
    monkeypatch.setattr(fence_pools, "load_scene", load)
    monkeypatch.setattr(fence_pools, "draw", lambda sample, rng: drawn.append(sample.rgb[0, 0, 0]))
    given = [scenes[name] for name in ("once", "twice", "twice", "late", "broken")]
    pools = Pools(given, [], [], np.random.default_rng(0))
    assert len(pools) == 4
    rng = np.random.default_rng(1)
    for _ in range(900):
        pools.draw(rng)
        if len(drawn) == 100:
            (scenes["late"] / "truth.gpkg").touch()
    before, after = drawn[:499], drawn[500:]
    assert set(before) == {50, 100}
    assert before.count(100) / before.count(50) == pytest.approx(2.0, rel=0.3)
    assert after.count(150) / len(after) == pytest.approx(0.25, abs=0.07)
    assert len(pools) == 6


def test_without_a_fence_there_is_nothing_to_learn_from(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"site: no fence to learn from; a folder of"):
        Pools([tmp_path / "site"], [], [], np.random.default_rng(0))
