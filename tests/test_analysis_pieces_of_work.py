"""Work that is kept: nothing done twice, nothing damaged trusted."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from analysis.codec import decode, encode
from analysis.crew import Crew
from analysis.pieces_of_work import Piece, forget, run_pieces


class Colour(Enum):
    RED = "red"


@dataclass(frozen=True)
class Thing:
    name: str
    colour: Colour
    numbers: Any
    shape: Any
    more: Any = None


def square(value: int, log: Path) -> Thing:
    with log.open("a") as file:
        file.write(f"{value}\n")
    if value == 13:
        raise RuntimeError("the power went")
    return Thing("n", Colour.RED, np.array([value**2]), shapely.Point(value, 0))


def pieces(log: Path, *values: int) -> list[Piece]:
    return [Piece(f"p{value}", square, (value, log)) for value in values]


TYPES = (Thing, Colour)


def test_anything_kept_comes_back() -> None:
    line = shapely.LineString([(0, 0.1), (1 / 3, 2)])
    more = {"a": (1, None, [2.5, True]), 3: float("inf")}
    thing = Thing("护栏", Colour.RED, np.arange(6.0).reshape(2, 3), line, more)
    back = decode(json.loads(json.dumps(encode(thing))), TYPES)
    assert (back.numbers == thing.numbers).all()
    assert back.numbers.dtype == np.float64
    assert back.shape.equals_exact(thing.shape, 0)
    assert (back.name, back.colour, back.more) == (thing.name, thing.colour, thing.more)


def test_only_expected_kinds_are_made() -> None:
    with pytest.raises(ValueError, match="'Thing' is not among"):
        decode(encode(Thing("n", Colour.RED, 1, 2)), (Colour,))
    with pytest.raises(TypeError, match="Path cannot be kept"):
        encode(Path("x"))


def test_an_interrupted_run_goes_on_where_it_was(tmp_path: Path) -> None:
    log, kept = tmp_path / "log", tmp_path / "kept"
    with pytest.raises(RuntimeError):
        run_pieces(pieces(log, 1, 2, 13, 4), kept, "k", TYPES)
    results = run_pieces(pieces(log, 1, 2, 4), kept, "k", TYPES)
    assert log.read_text().split() == ["1", "2", "13", "4"]
    assert sorted(int(thing.numbers[0]) for thing in results.values()) == [1, 4, 16]
    forget(kept)
    assert not kept.exists()


@pytest.mark.parametrize("damage", ["key", "result", "cut"])
def test_what_is_damaged_or_of_other_inputs_is_done_again(tmp_path: Path, damage: str) -> None:
    log, kept = tmp_path / "log", tmp_path / "kept"
    run_pieces(pieces(log, 5), kept, "k", TYPES)
    file = kept / "p5.json"
    if damage == "result":
        file.write_text(file.read_text().replace("red", "rad"))
    elif damage == "cut":
        file.write_text(file.read_text()[:50])
    run_pieces(pieces(log, 5), kept, "other" if damage == "key" else "k", TYPES)
    assert log.read_text().split() == ["5", "5"]


def test_two_processes_give_the_same(tmp_path: Path) -> None:
    one = run_pieces(pieces(tmp_path / "a", 1, 2, 3), tmp_path / "k1", "k", TYPES)
    with Crew(2) as crew:
        two = run_pieces(pieces(tmp_path / "b", 1, 2, 3), tmp_path / "k2", "k", TYPES, crew)
    assert {n: t.numbers[0] for n, t in one.items()} == {n: t.numbers[0] for n, t in two.items()}


class Noting(Crew):
    """Notes in which order calls were shared out, and which are neighbours."""

    def do(
        self,
        work: Callable[..., Any],
        calls: Sequence[tuple[Any, ...]],
        runs: Sequence[int] | None = None,
    ) -> Iterator[tuple[int, Any]]:
        self.shared = [call[0].name for call in calls], list(runs or [])
        return super().do(work, calls, runs)


def test_neighbours_stay_side_by_side_however_long_each_is(tmp_path: Path) -> None:
    crew = Noting()
    runs = [("w1", 3.0, "west"), ("w2", 1.0, "west"), ("w3", 2.0, "west"), ("e1", 9.0, "east")]
    made = [Piece(name, square, (1, tmp_path / "log"), *more) for name, *more in runs]
    run_pieces(made, tmp_path / "kept", "k", TYPES, crew)
    assert crew.shared == (["w1", "w2", "w3", "e1"], [3, 1])


NAPPING = """
import os, sys, time
from pathlib import Path
from analysis.crew import Crew

def nap(folder):
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(120)

if __name__ == "__main__":
    with Crew(2) as crew:
        list(crew.do(nap, [(sys.argv[1],), (sys.argv[1],)]))
"""


def test_processes_end_with_the_one_that_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "pids"
    folder.mkdir()
    script = tmp_path / "napping.py"
    script.write_text(NAPPING)
    process = subprocess.Popen(
        [sys.executable, str(script), str(folder)], stderr=subprocess.DEVNULL
    )
    wait_until(lambda: len(list(folder.iterdir())) == 2 or process.poll() is not None)
    process.kill()
    process.wait()
    napping = [int(path.name) for path in folder.iterdir()]
    assert len(napping) == 2
    wait_until(lambda: not any(is_alive(pid) for pid in napping))


def wait_until(done: Callable[[], bool], longest_s: float = 60.0) -> None:
    until_s = time.monotonic() + longest_s
    while not done():
        assert time.monotonic() < until_s, "waited in vain"
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"  # one that nobody waits for stays a zombie
