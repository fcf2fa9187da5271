"""Pictures made by other processes."""

from __future__ import annotations

import multiprocessing

import numpy as np
import pytest

from analysis.training.painters import Painters


def drawn(rng: np.random.Generator) -> int:
    return int(rng.integers(1_000_000))


def test_the_same_seed_and_number_of_processes_give_the_same_pictures() -> None:
    one, other = Painters(drawn, 7, 2), Painters(drawn, 7, 2)
    made = [one() for _ in range(6)]
    assert made == [other() for _ in range(6)]
    assert len(set(made)) == 6


def test_another_seed_gives_others() -> None:
    one, other = Painters(drawn, 7), Painters(drawn, 8)
    assert [one() for _ in range(3)] != [other() for _ in range(3)]


def test_what_a_process_dies_of_is_noticed(capfd: pytest.CaptureFixture[str]) -> None:
    def broken(rng: np.random.Generator) -> int:
        raise OSError("the picture is gone")

    with pytest.raises(EOFError):
        Painters(broken, 1)()
    assert "the picture is gone" in capfd.readouterr().err


def test_it_ends_when_nobody_asks_any_more() -> None:
    before = multiprocessing.active_children()
    painters = Painters(drawn, 1)
    painters()
    (worker,) = set(multiprocessing.active_children()) - set(before)
    painters._ends[0].close()
    worker.join(timeout=60)
    assert worker.exitcode == 0
