"""Work in pieces, kept when they are done, so that an interrupted run goes on from there."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import shutil
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from multiprocessing import connection, get_context, parent_process
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2

from analysis.codec import decode, encode
from corridor import InputError, Progress, silent, write_text


@dataclass(frozen=True)
class Piece:
    """One piece of work.

    Attributes:
        name: unique in a run, fit for a file name.
        work: a function of a module, so that another process can call it.
        arguments: its arguments, which can be pickled.
        weight: its share of the whole, for progress.
    """

    name: str
    work: Callable[..., Any]
    arguments: tuple[Any, ...]
    weight: float = 1.0


class Crew:
    """Processes that share out work, this one among them; for one job, this one alone.

    Used in a `with` block, at whose end the others are gone.

    Args:
        jobs: processes.
        module: what the others import as they start, while this one is busy with something else.
    """

    def __init__(self, jobs: int = 1, module: str = "analysis.pieces_of_work") -> None:
        self._jobs, self._module = jobs, module
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Crew:
        if self._jobs > 1:
            self._pool = ProcessPoolExecutor(
                self._jobs - 1, mp_context=get_context("spawn"), initializer=_settle
            )
            for _ in range(self._jobs - 1):
                self._pool.submit(import_module, self._module)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def do(
        self, work: Callable[..., Any], calls: Sequence[tuple[Any, ...]]
    ) -> Iterator[tuple[int, Any]]:
        """Each call's number and result, as they finish.

        Args:
            work: a function of a module, so that another process can call it.
            calls: its arguments, which can be pickled; long ones first, so that no process is left
                waiting for the last.
        """
        if self._pool is None or len(calls) <= 1:
            for number, arguments in enumerate(calls):
                yield number, work(*arguments)
            return
        running: dict[Future[Any], int] = {}
        waiting = deque(enumerate(calls))
        while waiting or running:
            # One ahead is enough, and no more than a few results wait to be taken; the last is
            # done here.
            while len(waiting) > 1 and len(running) < 2 * (self._jobs - 1):
                number, arguments = waiting.popleft()
                running[self._pool.submit(work, *arguments)] = number
            if waiting:
                number, arguments = waiting.popleft()
                yield number, work(*arguments)
            else:
                wait(running, return_when=FIRST_COMPLETED)
            for future in [future for future in running if future.done()]:
                yield running.pop(future), future.result()


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
        pieces: what there is to do.
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
    todo.sort(key=lambda piece: -piece.weight)
    calls = [(piece.work, piece.arguments) for piece in todo]
    for number, text in (crew or Crew()).do(_result_text, calls):
        piece = todo[number]
        head = json.dumps({"key": key, "sha256": _digest(text)})
        write_text(kept / f"{piece.name}.json", f"{head}\n{text}")
        done += piece.weight
        progress(done, total, piece.name)
    return Kept(kept, key, types, (piece.name for piece in pieces))


def _result_text(work: Callable[..., Any], arguments: tuple[Any, ...]) -> str:
    text = json.dumps(encode(work(*arguments)))
    give_back()
    return text


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


def _settle() -> None:
    """What a new process of a crew does first."""
    cv2.setNumThreads(1)
    # Ctrl-C reaches the whole group; the process that was started answers it for all.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Ends this process when its parent is no more: a parent that is killed cannot say so."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


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
