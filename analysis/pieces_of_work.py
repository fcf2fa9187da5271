"""Work in pieces, kept when they are done, so that an interrupted run goes on from there."""

from __future__ import annotations

import ctypes
import hashlib
import itertools
import json
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from analysis.codec import decode, encode
from analysis.crew import Crew
from corridor import InputError, Progress, silent, write_text


@dataclass(frozen=True)
class Piece:
    """One piece of work.

    Attributes:
        name: unique in a run, fit for a file name.
        work: a function of a module, so that another process can call it.
        arguments: its arguments, which can be pickled.
        weight: its share of the whole, for progress.
        run: the same for pieces that lie side by side and follow one another: they read the same
            blocks of a picture, and are done by one process as far as can be.
    """

    name: str
    work: Callable[..., Any]
    arguments: tuple[Any, ...]
    weight: float = 1.0
    run: str = ""


class Kept(Mapping[str, Any]):
    """The results of finished pieces by name, each read from its file when it is asked for.

    So that no more than what is worked on is held in memory; it can be handed to another process.
    """

    def __init__(self, folder: Path, key: str, types: Sequence[type], names: Iterable[str]) -> None:
        self._folder, self._key, self._types = folder, key, tuple(types)
        self._names = dict.fromkeys(names)

    def __getitem__(self, name: str) -> Any:
        if name not in self._names:
            raise KeyError(name)
        text = _kept_text(self._folder / f"{name}.json", self._key)
        if text is None:
            raise InputError(
                self._folder / f"{name}.json", "was changed during the run", "one run in a folder"
            )
        return decode(json.loads(text), self._types)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def run_pieces(
    pieces: Sequence[Piece],
    kept: Path,
    key: str,
    types: Sequence[type],
    crew: Crew | None = None,
    progress: Progress = silent,
) -> Kept:
    """Does what is not done yet, and returns every piece's result by name.

    A finished piece is kept in `kept` below a line with the checksum of its result; one that is
    damaged, or was made from other inputs, is done again.

    Args:
        pieces: what there is to do; short ones last, so that no process waits long for another.
        kept: a folder for results; see `forget`.
        key: a digest of everything the results depend on.
        types: kinds of value that a result may hold, see `decode`.
        crew: who does it; this process if nobody is named.
        progress: told in units of the pieces' weights.
    """
    todo = [piece for piece in pieces if _kept_text(kept / f"{piece.name}.json", key) is None]
    total = sum(piece.weight for piece in pieces)
    done = total - sum(piece.weight for piece in todo)
    progress(done, total)
    runs = [len(list(run)) for _, run in itertools.groupby(todo, key=lambda piece: piece.run)]
    calls = [(piece, kept, key) for piece in todo]
    for number, _ in (crew or Crew()).do(_keep, calls, runs):
        piece = todo[number]
        done += piece.weight
        progress(done, total, piece.name)
    return Kept(kept, key, types, (piece.name for piece in pieces))


def _keep(piece: Piece, kept: Path, key: str) -> None:
    """Does a piece and writes its result, so that it need not be handed to another process."""
    text = json.dumps(encode(piece.work(*piece.arguments)))
    head = json.dumps({"key": key, "sha256": _digest(text)})
    write_text(kept / f"{piece.name}.json", f"{head}\n{text}")
    give_back()


def give_back() -> None:
    """Hands freed memory back to the system, which glibc keeps for later in pieces and patches."""
    trim = getattr(_libc(), "malloc_trim", None)
    if trim is not None:
        trim(0)


@cache
def _libc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if sys.platform == "linux" else None


def forget(kept: Path) -> None:
    """Removes what was kept, once it has been put together."""
    shutil.rmtree(kept, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Removes the half-written files that a killed run left in a folder and those below it."""
    for path in folder.glob("**/.*.????????.partial*"):
        path.unlink(missing_ok=True)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _kept_text(path: Path, key: str) -> str | None:
    """The kept result as JSON text, if it is whole and of the same inputs."""
    try:
        head, _, text = path.read_text(encoding="utf-8").partition("\n")
        record = json.loads(head)
        if record["key"] == key and record["sha256"] == _digest(text):
            return text
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return None
