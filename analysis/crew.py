"""Processes that share out calls, this one among them.

Imports little, so that others can be started before this process has loaded what it works with.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial
from importlib import import_module
from itertools import accumulate
from multiprocessing import connection, get_context
from queue import SimpleQueue
from types import TracebackType
from typing import Any

_Call = tuple[Any, ...]
_SWITCH_S = 0.0005
"""How long a thread computes while another waits, a tenth of Python's own."""


class Crew:
    """Processes that share out work, this one among them; for one job, this one alone.

    Used in a `with` block, at whose end the others are gone: at once if it ends with an error, and
    also if this process is killed.

    Args:
        jobs: processes.
        module: the others import it as they start, and call its `get_ready`, while this one is
            busy with something else.
        arguments: for `get_ready`.
    """

    def __init__(self, jobs: int = 1, module: str = "", *arguments: Any) -> None:
        self._jobs, self._module, self._arguments = jobs, module, arguments
        # A pool for each, so that one can be given neighbours of what it did last.
        self._others: list[ProcessPoolExecutor] = []
        self._line: connection.Connection | None = None
        self._switch_s = sys.getswitchinterval()

    def __enter__(self) -> Crew:
        if self._jobs > 1:
            context = get_context("spawn")
            theirs, self._line = context.Pipe(duplex=False)
            self._others = [
                ProcessPoolExecutor(1, mp_context=context, initializer=_settle, initargs=(theirs,))
                for _ in range(self._jobs - 1)
            ]
            # They start with the first call, and inherit their end of the line then.
            self.tell(_get_ready, self._module, *self._arguments)
            theirs.close()
            # The threads that serve the others wait so long, over and over, for this one's work.
            sys.setswitchinterval(min(self._switch_s, _SWITCH_S))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        sys.setswitchinterval(self._switch_s)
        for other in self._others:
            other.shutdown(wait=False, cancel_futures=True)
        if self._line is not None:
            self._line.close()  # they need not take down what they have loaded
        for other in self._others:
            other.shutdown()

    def tell(self, work: Callable[..., Any], *arguments: Any) -> None:
        """Calls a function in each of the others, before whatever they are given to do next.

        Nobody hears of errors there: for what saves time, and is done without if need be.
        """
        for other in self._others:
            other.submit(work, *arguments)

    def do(
        self,
        work: Callable[..., Any],
        calls: Sequence[_Call],
        runs: Sequence[int] | None = None,
    ) -> Iterator[tuple[int, Any]]:
        """Each call's number and result, as they finish.

        Args:
            work: a function of a module, so that another process can call it.
            calls: its arguments, which can be pickled; long ones first, so that no process is left
                waiting for the last.
            runs: how many calls, one after the other, are neighbours, for all calls in order; all
                of them if it is not given. Neighbours are done by one process as far as can be,
                since they read the same blocks of the picture.
        """
        if not self._others or len(calls) <= 1:
            for number, arguments in enumerate(calls):
                yield number, work(*arguments)
            return
        finished: SimpleQueue[tuple[int, Future[Any]]] = SimpleQueue()
        shares = _Shares(runs or [len(calls)], self._jobs)
        try:
            for process, pool in enumerate(self._others, 1):
                _hand_out(pool, process, work, calls, shares, finished)
            for _ in calls:
                own = shares.take(0) if finished.empty() else None
                if own is not None:
                    yield own, work(*calls[own])
                else:
                    number, future = finished.get()
                    yield number, future.result()
        finally:
            shares.close()


class _Shares:
    """Which process does which calls; safe for threads.

    Every run is cut into as many parts as there are processes. One that has done its own parts
    takes from the end of what another has left.

    Args:
        runs: lengths of the runs.
        processes: how many there are.
    """

    def __init__(self, runs: Sequence[int], processes: int) -> None:
        self._own: list[deque[int]] = [deque() for _ in range(processes)]
        self._lock = threading.Lock()
        given = 0
        for first, length in zip(accumulate(runs, initial=0), runs, strict=False):
            start = first
            for part in range(processes):
                # Whoever got the least so far comes first to what cannot be divided.
                size = length // processes + (part < length % processes)
                self._own[(given + part) % processes].extend(range(start, start + size))
                start += size
            given += length

    def take(self, process: int, least_left: int = 1) -> int | None:
        """The next call of a process; None if fewer than `least_left` are left for all."""
        with self._lock:
            if sum(map(len, self._own)) < least_left:
                return None
            if self._own[process]:
                return self._own[process].popleft()
            return max(self._own, key=len).pop()

    def close(self) -> None:
        """Nothing more is taken."""
        with self._lock:
            for own in self._own:
                own.clear()

    @property
    def plenty(self) -> int:
        """With as many calls left, one may be put aside for a busy process."""
        return 2 * len(self._own) + 1


def _hand_out(
    pool: ProcessPoolExecutor,
    process: int,
    work: Callable[..., Any],
    calls: Sequence[_Call],
    shares: _Shares,
    finished: SimpleQueue[tuple[int, Future[Any]]],
) -> None:
    """Keeps another process busy until nothing is left, from the threads that look after it.

    One call more than it can do waits for it, unless few are left: another may be free first.
    """

    def give(least_left: int) -> None:
        number = shares.take(process, least_left)
        if number is None:
            return
        try:
            future = pool.submit(work, *calls[number])
        except RuntimeError as error:  # the process has ended, or the crew is being dismissed
            future = Future()
            future.set_exception(error)
            finished.put((number, future))
            return
        with lock:
            open_calls.add(number)
        future.add_done_callback(partial(come_back, number))

    def come_back(number: int, future: Future[Any]) -> None:
        with lock:
            open_calls.discard(number)
            idle = not open_calls
        finished.put((number, future))
        if not future.cancelled() and future.exception() is None:
            if idle:
                give(1)
            give(shares.plenty)

    open_calls: set[int] = set()
    lock = threading.Lock()
    give(1)
    give(shares.plenty)


def _get_ready(module: str, *arguments: Any) -> None:
    if module:
        import_module(module).get_ready(*arguments)


def _settle(line: connection.Connection) -> None:
    """What a new process of a crew does first.

    Args:
        line: is cut when the process is to end.
    """
    import cv2  # here, since a crew is called together before anything large is loaded

    cv2.setNumThreads(1)
    # Ctrl-C reaches the whole group; the process that was started answers it for all.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(line,), daemon=True).start()


def _end_with_parent(line: connection.Connection) -> None:
    """Ends this process when its parent says so, or is no more: one that is killed says nothing."""
    connection.wait([line])
    os._exit(1)
