"""Work in pieces, kept when they are done, so that an interrupted run goes on from there."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2

from analysis.codec import decode, encode
from corridor import Progress, silent, write_text


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


def run_pieces(
    pieces: Sequence[Piece],
    kept: Path,
    key: str,
    types: Sequence[type],
    jobs: int = 1,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Does what is not done yet, and returns every piece's result by name.

    A finished piece is kept in `kept` with the checksum of its result; one that is damaged, or was
    made from other inputs, is done again.

    Args:
        pieces: what there is to do.
        kept: a folder for results; see `forget`.
        key: a digest of everything the results depend on.
        types: kinds of value that a result may hold, see `decode`.
        jobs: processes.
        progress: told in units of the pieces' weights.
    """
    results: dict[str, Any] = {}
    open_pieces = []
    for piece in pieces:
        text = _kept_text(kept / f"{piece.name}.json", key)
        if text is None:
            open_pieces.append(piece)
        else:
            results[piece.name] = decode(json.loads(text), types)
    total = sum(piece.weight for piece in pieces)
    done = total - sum(piece.weight for piece in open_pieces)
    progress(done, total)

    def keep(piece: Piece, result: Any) -> None:
        text = json.dumps(encode(result))
        record = {"key": key, "sha256": _digest(text), "result": text}
        write_text(kept / f"{piece.name}.json", json.dumps(record))
        results[piece.name] = decode(json.loads(text), types)

    if jobs <= 1 or len(open_pieces) <= 1:
        for piece in open_pieces:
            keep(piece, piece.work(*piece.arguments))
            done += piece.weight
            progress(done, total, piece.name)
        return results
    # Long pieces first, so that no process is left waiting for the last one.
    queue = sorted(open_pieces, key=lambda piece: -piece.weight)
    context = get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_one_thread) as pool:
        running: dict[Future[Any], Piece] = {
            pool.submit(piece.work, *piece.arguments): piece for piece in queue
        }
        try:
            while running:
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    piece = running.pop(future)
                    keep(piece, future.result())
                    done += piece.weight
                    progress(done, total, piece.name)
        except BaseException:
            for future in running:
                future.cancel()
            raise
    return results


def forget(kept: Path) -> None:
    """Removes what was kept, once it has been put together."""
    shutil.rmtree(kept, ignore_errors=True)


def _one_thread() -> None:
    cv2.setNumThreads(1)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _kept_text(path: Path, key: str) -> str | None:
    """The kept result as JSON text, if it is whole and of the same inputs."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        text = record["result"]
        if record["key"] == key and record["sha256"] == _digest(text):
            return str(text)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return None
