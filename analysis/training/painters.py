"""Pictures to learn from, made by processes beside the one that trains.

Painting a picture takes as long as learning from its crops does. Each process draws from a seed of
its own and is asked in turn, so that the same seed and number of processes give the same pictures.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Generic, TypeVar

import numpy as np

Made = TypeVar("Made")


class Painters(Generic[Made]):
    """Makes pictures ahead of their being asked for.

    Args:
        make: makes one; it runs in a process that is forked, and need not be picklable.
        seed: of all of them.
        count: processes.
    """

    def __init__(
        self, make: Callable[[np.random.Generator], Made], seed: int, count: int = 1
    ) -> None:
        context = multiprocessing.get_context("fork")
        self._ends: list[Connection] = []
        self._next = 0
        for rng in np.random.default_rng(seed).spawn(count):
            here, there = context.Pipe(duplex=False)
            self._ends.append(here)
            context.Process(
                target=_paint, args=(make, rng, there, tuple(self._ends)), daemon=True
            ).start()
            there.close()

    def __call__(self) -> Made:
        """The next picture.

        Raises:
            EOFError: if the process that should make it has ended; it said why.
        """
        made: Made = self._ends[self._next].recv()
        self._next = (self._next + 1) % len(self._ends)
        return made


def _paint(
    make: Callable[[np.random.Generator], Made],
    rng: np.random.Generator,
    there: Connection,
    others: tuple[Connection, ...],
) -> None:
    """Makes one after the other; a full pipe lets it wait, a pipe without a reader ends it."""
    for end in others:  # forked with the process: held open here, it would have a reader for ever
        end.close()
    while True:
        made = make(rng)
        try:
            there.send(made)
        except BrokenPipeError:  # training has ended
            return
