"""What can go wrong with a user's data, as exceptions that carry the parts of their message."""

from __future__ import annotations

from pathlib import Path


class FencewalkError(Exception):
    """Base of every error that is the data's, the vehicle's or the link's, and not a programmer's.

    The command line turns it into a message and `exit_code`, without a traceback.
    """

    exit_code = 2


class InputError(FencewalkError):
    """An input cannot be used as it is.

    Args:
        source: the file, option or key that the value came from.
        problem: what was found, with the value.
        allowed: what would be accepted instead, or how to get there; empty if `problem` says it.
    """

    def __init__(self, source: str | Path, problem: str, allowed: str = "") -> None:
        self.source = str(source)
        self.problem = problem
        self.allowed = allowed
        super().__init__(f"{source}: {problem}" + (f"; {allowed}" if allowed else ""))


class VehicleError(FencewalkError):
    """The vehicle or the link to it failed."""

    exit_code = 3
