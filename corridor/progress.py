"""How library functions report progress without knowing who shows it."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called with what is done so far, of how much, and what is being done; must be cheap."""

    def __call__(self, done: float, total: float, what: str = "") -> None:
        """Reports `done` of `total` (any unit), `what` for people."""


def silent(done: float, total: float, what: str = "") -> None:
    """A `Progress` that shows nothing."""
