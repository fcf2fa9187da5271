"""What frames taken from the side tell of a fence, and of which of its metres they tell nothing."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from corridor.findings import NOT_SEEN_FROM_THE_SIDE

NOT_PHOTOGRAPHED = "not photographed from the side"
_NEAR_M = 50.0
"""Along the fence: further than this from all that any frame shows, nobody meant to look."""
_LEAST_M = 0.3
"""No opening that counts is narrower, so no less is told of by itself."""

Spans = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Opening:
    """An opening in the mesh, seen from the side.

    Attributes:
        start_m, end_m: chainages.
        low_m, high_m: heights above the ground.
        strength: 0 to 1, how little of the mesh's pattern is left there.
        frames: how many frames showed it.
        to_top: whether it has no mesh above it.
    """

    start_m: float
    end_m: float
    low_m: float
    high_m: float
    strength: float
    frames: int
    to_top: bool = False


@dataclass(frozen=True)
class SideView:
    """What the frames show of one fence.

    Attributes:
        seen: (start, end) chainages where the mesh was seen whole, in order, without overlap.
        openings: in order.
        told: the same where two frames tell whether there is mesh, or more.
        framed: the same of what any frame has in its picture, with or without overlap.
    """

    seen: Spans
    openings: tuple[Opening, ...]
    told: Spans = ()
    framed: Spans = ()

    def saw(self, start_m: float, end_m: float) -> bool:
        """Whether all of a stretch was seen whole."""
        return any(low <= start_m and end_m <= high for low, high in self.seen)

    def told_of(self, start_m: float, end_m: float) -> list[tuple[float, float, str]]:
        """A stretch in pieces that tile it: those that were told, and why the others were not.

        Returns:
            start, end and reason, the reason empty where two frames tell the mesh.
        """
        near = [(low - _NEAR_M, high + _NEAR_M) for low, high in self.framed]
        inner = {at for span in (*self.told, *near) for at in span if start_m < at < end_m}
        edges = sorted({start_m, end_m, *inner})
        pieces = []
        for low, high in itertools.pairwise(edges):
            at = (low + high) / 2
            reason = "" if _holds(self.told, at) else NOT_SEEN_FROM_THE_SIDE
            pieces.append((low, high, reason if _holds(near, at) else NOT_PHOTOGRAPHED))
        # First what is told: between what is not, its mesh would have to be seen on both sides.
        return _without_slivers(_without_slivers(pieces, is_told=True), is_told=False)


def _holds(spans: Sequence[tuple[float, float]], at_m: float) -> bool:
    return any(low <= at_m < high for low, high in spans)


def _without_slivers(
    pieces: Sequence[tuple[float, float, str]], *, is_told: bool
) -> list[tuple[float, float, str]]:
    """Pieces of which those too short join the one before or, at the start, after them."""
    joined: list[tuple[float, float, str]] = []
    for number, (low, high, own) in enumerate(pieces):
        reason = own
        if (not own) == is_told and high - low < _LEAST_M:
            beside = joined[-1:] or list(pieces[number + 1 : number + 2])
            reason = beside[0][2] if beside else own
        if joined and joined[-1][2] == reason:
            joined[-1] = (joined[-1][0], high, reason)
        else:
            joined.append((low, high, reason))
    return joined
