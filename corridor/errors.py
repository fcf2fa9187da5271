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


class UnreadableError(InputError):
    """A file is empty, or not what its name says."""


class MissingCrsError(InputError):
    """A file does not say in which coordinate reference system its numbers are."""


class SwappedAxesError(InputError):
    """Latitude and longitude (or northing and easting) stand in each other's place."""


class CoordinateError(InputError):
    """Coordinates are not numbers, or lie where the file's CRS cannot be."""


class LineError(InputError):
    """A line cannot be a boundary."""


class DuplicatePointsError(LineError):
    """Two vertices that follow each other are at one place."""


class ZeroLengthError(LineError):
    """A line has one vertex only, or no length."""


class SelfCrossingError(LineError):
    """A line crosses itself, and not as the loop of a ramp does."""


class PartOrderError(LineError):
    """The parts of a line contradict each other's direction or chainage."""


class AttributeValueError(InputError):
    """A column is missing, or holds a value that cannot be used."""


class VehicleError(FencewalkError):
    """The vehicle or the link to it failed."""

    exit_code = 3
