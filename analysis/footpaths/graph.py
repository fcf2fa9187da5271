"""From ridge pixels to lines: thinning, branches, spurs, strokes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from skimage.morphology import skeletonize

Array = npt.NDArray[Any]
Pixel = tuple[int, int]

_AROUND = [(-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)]


@dataclass
class Branch:
    """A line of pixels between two nodes.

    Attributes:
        pixels: (n, 2) row, column, node pixels included.
        ends: the nodes' numbers; equal for a loop.
        inferred: whether it was put in to link two others.
    """

    pixels: Array
    ends: tuple[int, int]
    inferred: bool = False

    @property
    def length_px(self) -> float:
        """Along the line."""
        return float(np.hypot(*np.diff(self.pixels, axis=0).T).sum())


@dataclass
class Graph:
    """Branches and how many meet at each node."""

    branches: list[Branch] = field(default_factory=list)

    def degrees(self) -> dict[int, int]:
        """Number of branch ends at each node."""
        count: dict[int, int] = defaultdict(int)
        for branch in self.branches:
            for end in branch.ends:
                count[end] += 1
        return count


def components(pixels: Array) -> Iterator[Array]:
    """Groups of 8-connected pixels, each (n, 2) row, column; in order of their first pixel."""
    if len(pixels) == 0:
        return
    order = np.lexsort((pixels[:, 1], pixels[:, 0]))
    pixels = pixels[order]
    stride = int(pixels[:, 1].max() - pixels[:, 1].min()) + 4
    keys = (pixels[:, 0] - pixels[0, 0] + 1) * stride + pixels[:, 1] - pixels[:, 1].min() + 1
    starts, ends = [], []
    for offset in (1, stride - 1, stride, stride + 1):
        at = np.minimum(np.searchsorted(keys, keys + offset), len(keys) - 1)
        hit = keys[at] == keys + offset
        starts.append(np.flatnonzero(hit))
        ends.append(at[hit])
    i, j = np.concatenate(starts), np.concatenate(ends)
    links = coo_matrix((np.ones(len(i), bool), (i, j)), shape=(len(keys), len(keys)))
    _, label = connected_components(links, directed=False)
    by_label = np.argsort(label, kind="stable")
    cuts = np.flatnonzero(np.diff(label[by_label])) + 1
    groups = np.split(pixels[by_label], cuts)
    yield from sorted(groups, key=lambda group: (group[0, 0], group[0, 1]))


_FRAME_PX = 16_000_000
_BLOCK_PX = 2048
_BESIDE_PX = 64
"""Ridges are a few pixels thick: thinning never looks nearly so far."""


def thin(pixels: Array) -> Array:
    """One-pixel lines through a group of pixels (Zhang and Suen), as (n, 2) row, column.

    A line of kilometres is thinned in blocks: the frame around all of it would be gigabytes.
    """
    low, high = pixels.min(axis=0), pixels.max(axis=0) + 1
    if np.prod(high - low) <= _FRAME_PX:
        return _thinned(pixels)
    numbers = np.unique((pixels - low) // _BLOCK_PX, axis=0)
    lines = []
    for number in numbers:
        start = low + number * _BLOCK_PX
        around = (pixels >= start - _BESIDE_PX) & (pixels < start + _BLOCK_PX + _BESIDE_PX)
        line = _thinned(pixels[around.all(axis=1)])
        lines.append(line[((line >= start) & (line < start + _BLOCK_PX)).all(axis=1)])
    found = np.concatenate(lines)
    return found[np.lexsort((found[:, 1], found[:, 0]))]


def _thinned(pixels: Array) -> Array:
    origin = pixels.min(axis=0) - 1
    mask = np.zeros(pixels.max(axis=0) - origin + 2, bool)
    mask[tuple((pixels - origin).T)] = True
    return np.argwhere(skeletonize(mask)) + origin


def trace(skeleton: Array, first_node: int = 0) -> Graph:
    """Branches of a one-pixel skeleton."""
    alive: set[Pixel] = {(int(r), int(c)) for r, c in skeleton}

    def neighbours(pixel: Pixel) -> list[Pixel]:
        near = [(pixel[0] + dr, pixel[1] + dc) for dr, dc in _AROUND]
        near = [p for p in near if p in alive]
        # A diagonal step beside a straight one is the same step.
        straight = [p for p in near if p[0] == pixel[0] or p[1] == pixel[1]]
        corners = [p for p in near if p not in straight]
        return straight + [
            p for p in corners if all(abs(p[0] - s[0]) + abs(p[1] - s[1]) != 1 for s in straight)
        ]

    links = {pixel: neighbours(pixel) for pixel in sorted(alive)}
    for pixel, near in links.items():  # both ways, where a corner was cut from one side only
        for other in near:
            if pixel not in links[other]:
                links[other].append(pixel)
    node_of: dict[Pixel, int] = {}
    number = first_node
    for pixel, near in links.items():
        if len(near) != 2:
            node_of[pixel] = number
            number += 1
    graph = Graph()
    used: set[tuple[Pixel, Pixel]] = set()

    def follow(start: Pixel, then: Pixel) -> None:
        line = [start, then]
        while line[-1] not in node_of:
            onward = [p for p in links[line[-1]] if p != line[-2]]
            if not onward or onward[0] == start:
                break
            line.append(onward[0])
        if line[-1] not in node_of:  # a loop without a node
            line.append(start)
        used.add((line[-1], line[-2]))
        used.add((line[0], line[1]))
        ends = (node_of[line[0]], node_of.get(line[-1], node_of[line[0]]))
        graph.branches.append(Branch(np.array(line), ends))

    for pixel in [p for p in links if p in node_of]:
        for then in links[pixel]:
            if (pixel, then) not in used:
                follow(pixel, then)
    seen = {tuple(p) for branch in graph.branches for p in branch.pixels.tolist()}
    for pixel in links:
        if pixel not in seen and pixel not in node_of:  # closed rings
            node_of[pixel] = number
            number += 1
            follow(pixel, links[pixel][0])
            seen |= {tuple(p) for p in graph.branches[-1].pixels.tolist()}
    return graph


def merge_chains(graph: Graph) -> Graph:
    """Joins branches at nodes where only two meet."""
    branches: dict[int, Branch] = dict(enumerate(graph.branches))
    at: dict[int, list[int]] = defaultdict(list)
    for index, branch in branches.items():
        for end in branch.ends:
            at[end].append(index)
    for node in list(at):
        there = at[node]
        if len(there) != 2 or there[0] == there[1]:
            continue
        first, second = there
        a, b = branches[first], branches[second]
        if a.inferred != b.inferred:
            continue
        branches[first] = _joined(a, b, node)
        del branches[second]
        far = b.ends[1] if b.ends[0] == node else b.ends[0]
        at[far] = [first if index == second else index for index in at[far]]
        at[node] = []
    return Graph(list(branches.values()))


def _joined(a: Branch, b: Branch, node: int) -> Branch:
    first = a.pixels if a.ends[1] == node else a.pixels[::-1]
    start = a.ends[0] if a.ends[1] == node else a.ends[1]
    second = b.pixels if b.ends[0] == node else b.pixels[::-1]
    end = b.ends[1] if b.ends[0] == node else b.ends[0]
    return Branch(np.vstack([first, second[1:]]), (start, end), a.inferred and b.inferred)


def prune_spurs(graph: Graph, least_px: float) -> Graph:
    """Takes away short branches with a free end that hang on something longer; shortest first."""
    while True:
        degree = graph.degrees()
        spurs = {
            number: branch
            for number, branch in enumerate(graph.branches)
            if branch.length_px < least_px
            and min(degree[end] for end in branch.ends) == 1
            and max(degree[end] for end in branch.ends) > 1
        }
        # Of the spurs at one node the shortest goes first: what is left may be no spur then.
        taken: dict[int, int] = {}
        for number in sorted(spurs, key=lambda n: (spurs[n].length_px, tuple(spurs[n].pixels[0]))):
            root = max(spurs[number].ends, key=lambda end: degree[end])
            taken.setdefault(root, number)
        if not taken:
            return graph
        gone = set(taken.values())
        rest = [branch for n, branch in enumerate(graph.branches) if n not in gone]
        graph = merge_chains(Graph(rest))


def pieces(graph: Graph) -> list[list[Branch]]:
    """Branches that hang together."""
    parent: dict[int, int] = {}

    def root(node: int) -> int:
        while parent.setdefault(node, node) != node:
            node = parent[node]
        return node

    for branch in graph.branches:
        parent[root(branch.ends[0])] = root(branch.ends[1])
    groups: dict[int, list[Branch]] = defaultdict(list)
    for branch in graph.branches:
        groups[root(branch.ends[0])].append(branch)
    return list(groups.values())
