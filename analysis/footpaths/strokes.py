"""Branches joined through junctions into paths as people walk them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.footpaths.graph import Branch

Array = npt.NDArray[Any]

STRAIGHT_ON_DEG = 40.0
"""A path goes on through a junction if it turns less than this there."""
_TANGENT_PX = 15


@dataclass(frozen=True)
class Stroke:
    """A path: branches end to end, in order, and the pixels of all of them."""

    branches: tuple[Branch, ...]
    pixels: Array


def strokes(branches: list[Branch], kind_of: Callable[[Branch], str]) -> list[Stroke]:
    """Joins branches of one kind, at each junction the pair that goes on straightest."""
    at: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for index, branch in enumerate(branches):
        for end in (0, 1):
            at[branch.ends[end]].append((index, end))
    partner: dict[tuple[int, int], tuple[int, int]] = {}
    for node in sorted(at):
        there = at[node]
        offers = []
        for i, one in enumerate(there):
            for other in there[i + 1 :]:
                a, b = branches[one[0]], branches[other[0]]
                if one[0] == other[0] or not _alike(a, b, kind_of):
                    continue
                bend = 180 - _angle_deg(_leaving(a, one[1]), _leaving(b, other[1]))
                if bend < STRAIGHT_ON_DEG or len(there) == 2:
                    offers.append((bend, one, other))
        for _, one, other in sorted(offers):
            if one not in partner and other not in partner:
                partner[one], partner[other] = other, one
    done: set[int] = set()
    found = []
    for index in range(len(branches)):
        if index in done:
            continue
        first = _walk_back((index, 0), partner)
        chain: list[tuple[int, int]] = []
        place = first
        while place[0] not in done:
            done.add(place[0])
            chain.append(place)
            onward = partner.get((place[0], 1 - place[1]))
            if onward is None:
                break
            place = onward
        lines = [branches[i].pixels[:: 1 if end == 0 else -1] for i, end in chain]
        pixels = np.vstack([lines[0], *[line[1:] for line in lines[1:]]])
        found.append(Stroke(tuple(branches[i] for i, _ in chain), pixels))
    return found


def _walk_back(
    place: tuple[int, int], partner: dict[tuple[int, int], tuple[int, int]]
) -> tuple[int, int]:
    """The end, at the beginning of the chain that `place` belongs to."""
    start, seen = place, {place[0]}
    while (before := partner.get(start)) is not None:
        start = (before[0], 1 - before[1])
        if start[0] in seen:
            break
        seen.add(start[0])
    return start


def _alike(a: Branch, b: Branch, kind_of: Callable[[Branch], str]) -> bool:
    return a.inferred or b.inferred or kind_of(a) == kind_of(b)


def _leaving(branch: Branch, end: int) -> Array:
    line = branch.pixels if end == 0 else branch.pixels[::-1]
    way = (line[min(_TANGENT_PX, len(line) - 1)] - line[0]).astype(float)
    return np.asarray(way / max(float(np.hypot(*way)), 1e-9))


def _angle_deg(a: Array, b: Array) -> float:
    return math.degrees(math.acos(float(np.clip(a @ b, -1, 1))))
