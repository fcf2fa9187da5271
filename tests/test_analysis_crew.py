"""A crew does every call once, keeps neighbours together, and is gone when it is not needed."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.crew import Crew, _Shares


def test_neighbours_stay_with_one_process() -> None:
    shares = _Shares([6], 2)
    assert [shares.take(0), shares.take(1), shares.take(0), shares.take(1)] == [0, 3, 1, 4]


def test_what_cannot_be_divided_goes_round() -> None:
    shares = _Shares([1, 1, 3], 2)
    assert [shares.take(0) for _ in range(2)] == [0, 2]
    assert [shares.take(1) for _ in range(3)] == [1, 4, 3]  # the last from what is left for 0


def test_few_are_not_put_aside() -> None:
    shares = _Shares([4], 2)
    assert shares.take(0, shares.plenty) is None
    assert shares.take(0, 4) == 0
    assert shares.take(0, 4) is None
    shares.close()
    assert shares.take(0) is None


@given(
    runs=st.lists(st.integers(0, 9), max_size=6),
    turns=st.lists(st.integers(0, 2), min_size=60, max_size=60),
)
def test_every_call_is_given_once(runs: list[int], turns: list[int]) -> None:
    shares = _Shares(runs, 3)
    given_out = [number for process in turns if (number := shares.take(process)) is not None]
    assert sorted(given_out) == list(range(sum(runs)))


def who_did(number: int, folder: Path) -> tuple[int, int]:
    (folder / str(number)).touch()
    if number == 99:
        raise RuntimeError("the power went")
    time.sleep(0.02)
    return number, os.getpid()


def test_a_crew_does_all_and_passes_errors_on(tmp_path: Path) -> None:
    with Crew(2) as crew:
        list(crew.do(who_did, [(0, tmp_path), (1, tmp_path)]))
        done = dict(crew.do(who_did, [(number, tmp_path) for number in range(60)], [40, 20]))
        assert {number: result[0] for number, result in done.items()} == {n: n for n in range(60)}
        assert len({process for _, process in done.values()}) == 2
        calls = [(99 if number == 10 else number, tmp_path) for number in range(20)]
        with pytest.raises(RuntimeError, match="the power went"):
            list(crew.do(who_did, calls))
        again = dict(crew.do(who_did, [(number, tmp_path) for number in range(5)]))
        assert sorted(again) == list(range(5))


TOLD: list[str] = []


def note(word: str) -> None:
    TOLD.append(word)


def what_was_told(folder: Path) -> tuple[int, list[str]]:
    (folder / str(os.getpid())).touch()
    while len(list(folder.iterdir())) < 2:  # until both processes are at it
        time.sleep(0.01)
    return os.getpid(), list(TOLD)


def test_the_others_are_told_before_they_work(tmp_path: Path) -> None:
    interval_s = sys.getswitchinterval()
    with Crew(2) as crew:
        crew.tell(note, "a")
        crew.tell(note, "b")
        told = dict(result for _, result in crew.do(what_was_told, [(tmp_path,), (tmp_path,)]))
    assert told.pop(os.getpid()) == []
    assert list(told.values()) == [["a", "b"]]
    assert sys.getswitchinterval() == interval_s


def get_ready(*words: str) -> None:
    TOLD.extend(words)


def test_the_others_get_ready_as_they_start(tmp_path: Path) -> None:
    with Crew(2, __name__, "b", "c") as crew:
        told = dict(result for _, result in crew.do(what_was_told, [(tmp_path,), (tmp_path,)]))
    assert sorted(told.values()) == [[], ["b", "c"]]


def long_sleep(seconds: float, folder: Path) -> None:
    (folder / f"{seconds:.0f}").touch()
    time.sleep(seconds)


def test_an_error_does_not_wait_for_the_others(tmp_path: Path) -> None:
    def fails() -> None:
        with Crew(2) as crew:
            # The other process begins with the second half.
            for _ in crew.do(long_sleep, [(0.0, tmp_path), (300.0, tmp_path)]):
                while not (tmp_path / "300").exists():
                    time.sleep(0.01)
                raise KeyboardInterrupt

    start_s = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        fails()
    assert time.monotonic() - start_s < 200.0
