"""Work that is kept: nothing done twice, nothing damaged trusted."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from analysis.codec import decode, encode
from analysis.pieces_of_work import Crew, Piece, forget, run_pieces


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
