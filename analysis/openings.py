"""Openings in a fence's mesh, from what several frames tell of it place by place.

An opening needs proof: mesh seen on both sides of it and above it, and gone inside in every frame
that can tell. What stands before the fence and is in no surface model fails that, since it hides
another place of the fence from each frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from analysis.mesh import CELL_M, Floats

Mask = npt.NDArray[np.bool_]

_OPEN, _MESH = 0.35, 0.5
"""Share of the mesh that should be there, below which it is open, and above which it is mesh."""
_LEAST_TOLD = 0.6
"""How well the mesh is told, over all frames, for a place to be judged."""
_LEAST_WIDTH_M, _LEAST_HEIGHT_M = 0.3, 0.4
_JOINT_M = (0.2, 0.36)
"""Width and height of what belongs to an opening, between mesh: less is a post, or a rail, kerb or
drain behind the mesh that is as light as its wires, and does not join one opening to the next."""
_LEAST_FILLED = 0.65
"""Share of an opening's box that is open."""
_LEAST_STRENGTH = 0.7
_NEAR_M, _FAR_M = 0.04, 0.5
"""How far beside an opening its mesh is looked for."""
_LEAST_CELLS = 2
_LEAST_AROUND = 0.6
"""Share of an opening's rows beside which mesh is seen."""
_LEAST_SEEN = 0.75
"""Share of the fence's height over which mesh must be seen, for a place to be seen whole."""
_LEAST_MESH_M = 0.3
"""Of a column: else its foot and top are not told."""
_FOOT_M, _TOP_M = 4.0, 20.0
"""Foot and top of the mesh are medians over these lengths: the ground goes up and down, and holes
are narrower; fences are equally high, and collapsed panels do not go on for 10 m."""
_FARTHEST_M = 3.0
"""From the next column whose foot was seen."""
_ENOUGH_FRAMES = 2
"""One frame may be looking past something that no surface model shows; if there is no other, what
it shows is said with less confidence."""
_TELLS = 0.5
"""How well a place must be told in one look for it to count as one that tells it."""
_POST_M = 0.28
"""What a post hides, and the mesh beside it that is blurred into it."""


@dataclass(frozen=True)
class Look:
    """What one frame tells of a stretch of fence.

    Attributes:
        first: column of the fence's cells at which the stretch begins.
        left: (R, C) share of the mesh that is there; told: (R, C) how well that is told. Half
            precision will do, and a long fence has thousands.
    """

    first: int
    left: npt.NDArray[np.floating[Any]]
    told: npt.NDArray[np.floating[Any]]

    def over(self, low: int, high: int) -> tuple[Floats, Floats]:
        """Both for columns low to high, told 0 outside the stretch."""
        rows = self.left.shape[0]
        left, told = np.zeros((2, rows, high - low), np.float32)
        a, b = max(low, self.first), min(high, self.first + self.left.shape[1])
        if a < b:
            left[:, a - low : b - low] = self.left[:, a - self.first : b - self.first]
            told[:, a - low : b - low] = self.told[:, a - self.first : b - self.first]
        return left, told


@dataclass(frozen=True)
class Cut:
    """An opening in cells.

    Attributes:
        left, right, top, bottom: its box, the last two counted from the top row; right and bottom
            excluded.
        foot: the row at which the mesh ends below it.
        strength: 0 to 1, how little of the mesh is left.
        frames: which looks tell it.
        to_top: whether it has no mesh above it.
    """

    left: int
    right: int
    top: int
    bottom: int
    foot: float
    strength: float
    frames: tuple[int, ...]
    to_top: bool


@dataclass(frozen=True)
class Panorama:
    """A whole fence as all frames together tell it.

    Attributes:
        left, told: (R, N) as in `Look`, over all frames.
        top, foot: (N,) rows between which there is mesh; NaN where that was not seen.
    """

    left: Floats
    told: Floats
    top: Floats
    foot: Floats

    @property
    def mesh(self) -> Mask:
        """Where mesh was seen."""
        return np.asarray((self.told > _LEAST_TOLD) & (self.left >= _MESH))

    @property
    def within(self) -> Mask:
        """Where mesh belongs."""
        row = np.arange(self.left.shape[0])[:, None]
        return np.asarray((row >= self.top) & (row <= self.foot))


def panorama(looks: Sequence[Look], rows: int, columns: int) -> Panorama:
    """All that was seen of a fence.

    What lies behind an opening differs from frame to frame, and what is left of the mesh does not.
    """
    total, weight = np.zeros((2, rows, columns), np.float32)
    for look in looks:
        # Fitted to the others, a look may reach beyond the fence's ends.
        low, high = max(look.first, 0), min(look.first + look.left.shape[1], columns)
        if low < high:
            part, told = look.over(low, high)
            total[:, low:high] += told * part
            weight[:, low:high] += told
    left = (total / np.maximum(weight, 1e-6)).astype(np.float32)
    return Panorama(left, weight, *_edges((weight > _LEAST_TOLD) & (left >= _MESH)))


def seen_whole(view: Panorama, height_m: float) -> list[tuple[int, int]]:
    """Stretches of columns, end excluded, over most of whose height mesh was seen.

    Args:
        view: of the fence.
        height_m: that it should have: where all of it is hidden below, that is not all there is.
    """
    if not np.isfinite(view.top).any():
        return []
    high = max(float(np.nanmedian(view.foot - view.top)), _LEAST_SEEN * height_m / CELL_M)
    return _past_posts((view.mesh & view.within).sum(axis=0) / high >= _LEAST_SEEN)


def told_twice(view: Panorama, looks: Sequence[Look]) -> list[tuple[int, int]]:
    """Stretches of columns, end excluded, over most of whose height two looks tell the mesh."""
    rows, columns = view.left.shape
    count = np.zeros((rows, columns), np.uint8)
    for look in looks:
        low, high = max(look.first, 0), min(look.first + look.left.shape[1], columns)
        if low < high:
            count[:, low:high] += look.over(low, high)[1] > _TELLS
    told = (view.within & (count >= _ENOUGH_FRAMES)).sum(axis=0)
    return _past_posts(told >= _LEAST_SEEN * np.maximum(view.within.sum(axis=0), 1))


def _past_posts(columns: Mask) -> list[tuple[int, int]]:
    """Runs of columns, end excluded, that go on past a post."""
    size = round(_POST_M / CELL_M) | 1
    bridged = cv2.morphologyEx(
        np.pad(columns, size).astype(np.uint8)[None], cv2.MORPH_CLOSE, np.ones((1, size), np.uint8)
    )[0, size:-size]
    edges = np.flatnonzero(np.diff(np.concatenate([[0], bridged.astype(int), [0]])))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def openings_in(view: Panorama, looks: Sequence[Look]) -> list[Cut]:
    """Openings that are proved."""
    open_ = _open(view)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(open_, connectivity=4)
    mesh, found = view.mesh, []
    for index in range(1, count):
        x, y, width, height, area = (int(value) for value in stats[index])
        if width * CELL_M < _LEAST_WIDTH_M or height * CELL_M < _LEAST_HEIGHT_M:
            continue
        own = labels[y : y + height, x : x + width] == index
        within = view.within[y : y + height, x : x + width]
        if area < _LEAST_FILLED * within.sum():
            continue
        strength = 1.0 - float(np.median(view.left[y : y + height, x : x + width][own])) / _OPEN
        if strength < _LEAST_STRENGTH or not _framed(view, mesh, (x, y, width, height)):
            continue
        frames = _agreeing(looks, own, x, y)
        if len(frames) < min(_ENOUGH_FRAMES, _covering(looks, x, x + width)):
            continue
        foot = float(np.nanmedian(view.foot[x : x + width]))
        found.append(
            Cut(
                x,
                x + width,
                y,
                y + height,
                foot,
                min(strength, 1.0),
                frames,
                _to_top(view, x, width, y),
            )
        )
    return found


def _open(view: Panorama) -> npt.NDArray[np.uint8]:
    """(R, N) 1 where mesh is gone, 0 elsewhere."""
    told = view.told > _LEAST_TOLD
    gone = (told & (view.left < _OPEN) & view.within).astype(np.uint8)
    gone = cv2.morphologyEx(gone, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    # What could not be told may be open: only mesh parts one opening from the next.
    free = (view.within & ~(told & (view.left >= _OPEN))).astype(np.uint8)
    joint = np.ones([round(size_m / CELL_M) for size_m in reversed(_JOINT_M)], np.uint8)
    return np.asarray(gone & cv2.morphologyEx(free, cv2.MORPH_OPEN, joint))


def _edges(mesh: Mask) -> tuple[Floats, Floats]:
    """(N,) top and foot of the mesh, NaN where it was not seen."""
    rows, columns = mesh.shape
    told = mesh.sum(axis=0) * CELL_M >= _LEAST_MESH_M
    at = np.flatnonzero(told)
    if not len(at):
        nothing = np.full(columns, np.nan, np.float32)
        return nothing, nothing
    top = mesh[:, at].argmax(axis=0).astype(np.float32)
    foot = (rows - 1 - mesh[::-1, at].argmax(axis=0)).astype(np.float32)
    result = []
    column = np.arange(columns)
    away = np.abs(at[np.clip(np.searchsorted(at, column), 0, len(at) - 1)] - column)
    before = np.abs(at[np.clip(np.searchsorted(at, column) - 1, 0, len(at) - 1)] - column)
    near = np.minimum(away, before) * CELL_M <= _FARTHEST_M
    for edge, length_m in ((top, _TOP_M), (foot, _FOOT_M)):
        low = np.searchsorted(at, at - length_m / 2 / CELL_M)
        high = np.searchsorted(at, at + length_m / 2 / CELL_M, side="right")
        usual = [np.median(edge[a:b]) for a, b in zip(low, high, strict=True)]
        line = np.interp(column, at, usual)
        result.append(np.where(near, line, np.nan).astype(np.float32))
    return result[0], result[1]


def _to_top(view: Panorama, x: int, width: int, y: int) -> bool:
    return y - float(np.nanmedian(view.top[x : x + width])) <= _FAR_M / 2 / CELL_M


def _framed(view: Panorama, mesh: Mask, box: tuple[int, int, int, int]) -> bool:
    """Whether mesh is seen left and right of an opening, and above it unless it reaches the top.

    For most of its rows (columns) some must be seen near by, and more than there is open: what
    hides the rest may stand close.
    """
    x, y, width, height = box
    near, far = round(_NEAR_M / CELL_M), round(_FAR_M / CELL_M)
    rows = slice(y, y + height)
    sides = [
        (rows, slice(max(x - far, 0), max(x - near, 0)), 1),
        (rows, slice(x + width + near, x + width + far), 1),
    ]
    if not _to_top(view, x, width, y):
        sides.append((slice(max(y - far, 0), max(y - near, 0)), slice(x, x + width), 0))
    open_ = (view.told > _LEAST_TOLD) & (view.left < _OPEN) & view.within
    for rows_, columns, across in sides:
        seen = mesh[rows_, columns]
        if not seen.size or (seen.sum(axis=across) >= _LEAST_CELLS).mean() < _LEAST_AROUND:
            return False
        if seen.sum() < open_[rows_, columns].sum():
            return False
    return True


def _covering(looks: Sequence[Look], low: int, high: int) -> int:
    """How many looks have a place in the picture, whether or not they tell anything there."""
    return sum(look.first <= low and high <= look.first + look.left.shape[1] for look in looks)


def _agreeing(looks: Sequence[Look], own: Mask, x: int, y: int) -> tuple[int, ...]:
    """The looks that tell an opening; none if one of them tells mesh there."""
    height, width = own.shape
    inner = cv2.erode(own.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    inner = inner if inner.any() else own
    agreeing = []
    for number, look in enumerate(looks):
        if look.first >= x + width or look.first + look.left.shape[1] <= x:
            continue
        left, told = (each[y : y + height] for each in look.over(x, x + width))
        tells = inner & (told > _TELLS)
        if tells.sum() < 0.5 * inner.sum():
            continue
        if np.median(left[tells]) > _OPEN:
            return ()
        agreeing.append(number)
    return tuple(agreeing)
