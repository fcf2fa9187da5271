"""Assesses the fence of one part of a boundary, in fixed pieces so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.special import expit

from analysis.fence import decode, likeness, network, template
from analysis.fence.decode import CELL_LENGTH_M, COLLAPSED, GAP, INTACT, OBSCURED
from analysis.fence.network import BLOCK, CELL_M, COLUMNS_PER_CELL, reach_for
from analysis.fence.strip import Centre, Strip, straighten
from analysis.fence.template import Colours
from analysis.heights import SurfaceModel
from analysis.raster import Orthophoto
from corridor import Progress, Track, silent
from corridor.findings import BreachType, FenceState
from corridor.values import FloatArray

_PIECE = 3840
_HALO = 640
"""Columns of a piece and of what is read beside it: more than the network or its input look."""
_COARSEST_GSD_M = 0.08
_LEAST_LINE = 0.25
"""Probability of the line, over some 16 m, below which nothing is said of the fence."""
_AROUND_LINE = 81
_LINE_FOR_STATES = (0.4, 0.8)
_AROUND_STATE = 11  # cells
"""Share of the line in the evidence over 2 m at which states begin to count, and count in full."""
_LINE_FOR_BREACH = 0.5
_SAME_LINE_M = 0.16
"""A line that is found within this of another is the same."""
_END_M = 1.5
_LEAST_INSIDE = 5
"""Cells of a breach near the end of what was imaged that must lie further than that from it."""
_TALL_M = 1.0
_LEAST_BROKEN = 0.4
"""Mean probability of being broken below which a stretch is doubtful."""
_MAY_BE_BROKEN = 0.25
_AROUND_CHANCE = 4
_LEAST_DOUBT = 3
"""An intact stretch of at least so many cells is doubtful where the mean probability of being
broken, over so many cells, is at least this."""
_SURE_SLOPE, _SURE_MIDDLE = 9.9, 0.46
"""From that mean to how often such a breach is one; from scenes 91,001 to 91,012 and 93,001 to
93,012."""


@dataclass(frozen=True)
class Span:
    """A stretch of fence in one state, chainages half open [start, end)."""

    start_m: float
    end_m: float
    state: FenceState
    confidence: float
    reason: str = ""


@dataclass(frozen=True)
class Broken:
    """A place where the fence is broken, with how strongly each cue spoke (0 to 1)."""

    start_m: float
    end_m: float
    breach_type: BreachType
    confidence: float
    evidence: dict[str, float]


@dataclass(frozen=True)
class Assessment:
    """What is known of the fence along one drawn line.

    Attributes:
        chainage_m: (N,) of vertices every half metre or so, increasing.
        xy: (N, 2) of the fence as found, in the picture's CRS; the drawn line where it was not.
        offset_m: (N,) from the drawn line, left positive.
        spans: tile the line from its first chainage to its last.
        broken: the breaches among them.
    """

    chainage_m: FloatArray
    xy: FloatArray
    offset_m: FloatArray
    spans: tuple[Span, ...]
    broken: tuple[Broken, ...]


@dataclass(frozen=True)
class Answer:
    """What the network says of one piece of a line: nothing in it depends on other pieces.

    Attributes:
        offset_m: (R,) of the rows from the drawn line.
        line: (R, N) logits of the fence running there.
        states: (4, R, N) logits of the states.
        colours: (3, 2 R, 2 N) of the strip, for the template.
        row: (N,) of the line as this piece alone tells it, along which the fence was compared with
            itself.
        likeness: (4, N) logits of the states by that comparison.
        imaged: (N,) whether a cell was imaged.
    """

    offset_m: FloatArray
    line: npt.NDArray[np.float32]
    states: npt.NDArray[np.float32]
    colours: Colours
    row: FloatArray
    likeness: npt.NDArray[np.float32]
    imaged: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Evidence:
    """What is known of every cell along the line found, before it is judged.

    Attributes:
        chainage_m: (N + 1,) of the cells' edges.
        xy, normal: (N, 2) of the line, and unit vectors to its left.
        line, apart: (N,) see `decode.Evidence`.
        network: (N, 4) probabilities of the states by the network alone.
        likeness: (N, 4) the same by comparing the fence with itself; NaN where that was done along
            another line.
        ratio: (N,) log likelihood ratio of fence to ground by the template.
        imaged: (N,) bool.
    """

    chainage_m: FloatArray
    xy: FloatArray
    normal: FloatArray
    line: FloatArray
    apart: FloatArray
    network: FloatArray
    likeness: FloatArray
    ratio: FloatArray
    imaged: npt.NDArray[np.bool_]


def piece_count(track: Track) -> int:
    """How many pieces a drawn line is looked at in."""
    return len(list(_pieces(len(Centre.of(track).xy))))


def answer(ortho: Orthophoto, track: Track, tolerance_m: float, piece: int) -> Answer:
    """The network's answer for one piece of a line, so that pieces can be done apart."""
    centre = Centre.of(track)
    first, last = list(_pieces(len(centre.xy)))[piece]
    return _answer(ortho, centre, tolerance_m, first, last)


def assess(
    ortho: Orthophoto,
    track: Track,
    tolerance_m: float,
    dsm: SurfaceModel | None = None,
    progress: Progress = silent,
    answers: Sequence[Answer] | None = None,
) -> Assessment:
    """Finds the fence near a drawn line and states every metre of it.

    Args:
        ortho: the picture.
        track: the drawn line in the picture's CRS.
        tolerance_m: how far the drawn line may be from the fence.
        dsm: tells crowns above the line from ground.
        progress: told in columns.
        answers: of every piece in order, if they are known already.
    """
    centre = Centre.of(track)
    if answers is None:
        answers = list(_answers(ortho, centre, tolerance_m, progress))
    coarse = ortho.gsd_m > _COARSEST_GSD_M
    if coarse or not any(each.imaged.any() for each in answers):
        reason = f"pixels of {100 * ortho.gsd_m:.0f} cm show no fence" if coarse else "not imaged"
        return _nothing(track, reason)
    seen = gather(centre, answers, tolerance_m)
    state = decode.weighed(seen.network, seen.likeness, seen.ratio)
    if dsm is not None:
        _cover_by_height(state, dsm, ortho, seen.xy, seen.normal)
    sequence = decode.smooth_states(state, _trust(seen.imaged, seen.apart))
    line = np.where(seen.imaged, seen.line, np.nan)
    told = _running_mean(line, _AROUND_LINE) >= _LEAST_LINE
    chainage = seen.chainage_m.copy()
    chainage[0], chainage[-1] = track.chainage_m[0], track.chainage_m[-1]
    doubtful = _doubtful(sequence, state, seen.apart, seen.imaged)
    spans, broken = _spans(chainage, sequence, state, seen.line, (seen.imaged, told, doubtful))
    known = seen.imaged & told
    vertices = np.unique(np.append(np.arange(0, len(line), 3), len(line) - 1))
    points = np.where(known[vertices, None], seen.xy[vertices], track.at(chainage[vertices]))
    at = chainage[vertices]
    at[-1] = chainage[-1]
    away = np.where(known[vertices], track.locate(points)[1], 0.0)
    return Assessment(at, points, away, tuple(spans), tuple(broken))


def gather(centre: Centre, answers: Sequence[Answer], tolerance_m: float) -> Evidence:
    """Finds the line in the answers of all pieces, in order, and reads them along it."""
    count = len(centre.xy)
    cells = -(-count // COLUMNS_PER_CELL)
    offset = answers[-1].offset_m
    line = np.concatenate([each.line for each in answers], axis=1)[:, :cells]
    states = np.concatenate([each.states for each in answers], axis=2)[:, :, :cells]
    colours = np.concatenate([each.colours for each in answers], axis=2)
    found = decode.find_line(line, offset, tolerance_m)
    # What the fence looks like on most of its line tells where it runs on the rest.
    look = template.likelihood(colours, found.row)
    found = decode.find_line(line, offset, tolerance_m, look.everywhere)
    look = template.likelihood(colours, found.row)
    like = np.concatenate([each.likeness for each in answers], axis=1)[:, :cells]
    row = np.concatenate([each.row for each in answers])[:cells]
    same = np.abs(row - found.row) * CELL_M < _SAME_LINE_M
    offset_m = np.interp(found.row, np.arange(len(offset)), offset)
    column = np.minimum(np.arange(cells) * COLUMNS_PER_CELL, count - 1)
    normal = centre.normal[column]
    return Evidence(
        chainage_m=np.append(centre.chainage_m[column], centre.chainage_m[-1]),
        xy=centre.xy[column] + offset_m[:, None] * normal,
        normal=normal,
        line=found.line,
        apart=found.apart,
        network=decode.states_along(states, found.row),
        likeness=np.where(same[:, None], decode.chances(like), np.nan),
        ratio=look.along,
        imaged=np.concatenate([each.imaged for each in answers])[:cells],
    )


def _answers(
    ortho: Orthophoto, centre: Centre, tolerance_m: float, progress: Progress
) -> Iterator[Answer]:
    """The network's answer for the whole line, piece by piece."""
    for first, last in _pieces(len(centre.xy)):
        yield _answer(ortho, centre, tolerance_m, first, last)
        progress(last, len(centre.xy))


def _answer(ortho: Orthophoto, centre: Centre, tolerance_m: float, first: int, last: int) -> Answer:
    """The answer for columns first..last, read with what is beside them."""
    begin, end = max(0, first - _HALO), min(len(centre.xy), last + _HALO)
    strip = straighten(ortho, centre, begin, end, reach_for(tolerance_m))
    seen = strip.valid.mean(axis=0) > 0.5
    missing = -(end - begin) % BLOCK
    if missing:
        strip = _widened(strip, missing)
    logits, inputs, offset = network.look(strip)
    # What the template of the whole line has to say of it comes later.
    row = decode.find_line(logits[0], offset, tolerance_m).row
    column = np.interp(np.arange(inputs.shape[2]), np.arange(len(row)) * 2 + 0.5, row * 2 + 0.5)
    columns = np.pad(seen, (0, inputs.shape[2] - len(seen)))
    like = likeness.compare(inputs, column, columns)
    cut = slice((first - begin) // COLUMNS_PER_CELL, -(-(last - begin) // COLUMNS_PER_CELL))
    pairs = seen[first - begin : last - begin]
    pairs = np.append(pairs, pairs[-1:]) if len(pairs) % 2 else pairs
    return Answer(
        offset_m=offset,
        line=logits[0, :, cut],
        states=logits[1:, :, cut],
        colours=template.keep_colours(inputs[:, :, first - begin : last - begin]),
        row=row[cut],
        likeness=like[:, cut],
        imaged=np.asarray(pairs.reshape(-1, COLUMNS_PER_CELL).all(axis=1)),
    )


def _pieces(count: int) -> Iterator[tuple[int, int]]:
    for first in range(0, count, _PIECE):
        yield first, min(first + _PIECE, count)


def _widened(strip: Strip, columns: int) -> Strip:
    """The strip with its last column repeated."""
    pad = ((0, 0), (0, columns))
    return replace(
        strip,
        last=strip.last + columns,
        rgb=np.pad(strip.rgb, (*pad, (0, 0)), mode="edge"),
        valid=np.pad(strip.valid, pad, mode="edge"),
    )


def _trust(imaged: npt.NDArray[np.bool_], apart: FloatArray) -> FloatArray:
    """How much a cell's states count.

    Nothing where nothing was imaged, little in the first and last metre and a half, and the less
    the more evidence there is for a line elsewhere: beside the fence there is always a gap.
    """
    low, high = _LINE_FOR_STATES
    near = _running_mean(apart, _AROUND_STATE)
    trust = np.asarray(imaged * np.clip((near - low) / (high - low), 0.0, 1.0), dtype=np.float64)
    ends = round(_END_M / CELL_LENGTH_M)
    edge = np.flatnonzero(np.diff(np.concatenate([[0], imaged.astype(int), [0]])))
    for at in edge:
        trust[max(at - ends, 0) : at + ends] *= 0.3
    return trust


def _running_mean(values: FloatArray, size: int) -> FloatArray:
    """Mean over `size` cells, NaN left out."""
    good = np.isfinite(values)
    kernel = np.ones(min(size, len(values)))
    total = np.convolve(np.where(good, values, 0.0), kernel, mode="same")
    weight = np.convolve(good.astype(float), kernel, mode="same")
    return np.asarray(total / np.maximum(weight, 1e-9))


def _cover_by_height(
    state: FloatArray, dsm: SurfaceModel, ortho: Orthophoto, xy: FloatArray, normal: FloatArray
) -> None:
    """Where the surface stands well above the ground on both sides of the line, it is a crown."""
    chunk = 400
    for first in range(0, len(xy), chunk):
        part = slice(first, first + chunk)
        away = np.array([-3.0, -2.0, -0.5, -0.25, 0.25, 0.5, 2.0, 3.0])
        points = xy[part][None] + away[:, None, None] * normal[part][None]
        low, high = points.min(axis=(0, 1)) - 1, points.max(axis=(0, 1)) + 1
        affine, width, height = ortho.affine_of(
            (float(low[0]), float(low[1]), float(high[0]), float(high[1])), max(dsm.gsd_m, 0.1)
        )
        heights = dsm.read(affine, (height, width))
        column = ((points[..., 0] - affine.c) / affine.a).astype(int)
        row = ((points[..., 1] - affine.f) / affine.e).astype(int)
        z = heights[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]
        ground = np.fmin.reduce(z, axis=0)
        near = z[2:6] - ground[None]
        covered = np.isfinite(z).all(axis=0) & (near > _TALL_M).all(axis=0)
        state[part][covered, OBSCURED] = 1.0
        state[part] /= state[part].sum(axis=1, keepdims=True)


_STATE = {
    INTACT: FenceState.INTACT,
    GAP: FenceState.BREACH,
    COLLAPSED: FenceState.BREACH,
    OBSCURED: FenceState.OBSCURED,
}


def _doubtful(
    sequence: npt.NDArray[np.int64],
    state: FloatArray,
    apart: FloatArray,
    imaged: npt.NDArray[np.bool_],
) -> npt.NDArray[np.bool_]:
    """Cells of stretches that may be broken or not, and of breaches cut by the picture's edge.

    An intact stretch in which something speaks for a breach, though not enough, is no intact one.
    """
    out = np.zeros(len(sequence), dtype=np.bool_)
    ends = round(_END_M / CELL_LENGTH_M)
    edge = np.concatenate([[True], ~imaged, [True]])
    near_end, at_end = (
        ndimage.binary_dilation(edge, iterations=reach)[1:-1] for reach in (ends, 1)
    )
    broken = np.isin(sequence, (GAP, COLLAPSED))
    chance = state[:, GAP] + state[:, COLLAPSED]
    labels, count = ndimage.label(broken)
    for number, part in enumerate(ndimage.find_objects(labels, count), 1):
        cells = part[0]
        least = 3 * ends if at_end[cells].any() else _LEAST_INSIDE
        cut = near_end[cells].any() and (~near_end[cells]).sum() < least
        lost = apart[cells].mean() < _LINE_FOR_BREACH
        if chance[cells].mean() < _LEAST_BROKEN or lost or cut:
            out[cells] |= labels[cells] == number
    uncertain = (sequence == INTACT) & (_running_mean(chance, _AROUND_CHANCE) >= _MAY_BE_BROKEN)
    labels, count = ndimage.label(uncertain)
    for number, part in enumerate(ndimage.find_objects(labels, count), 1):
        cells = part[0]
        if cells.stop - cells.start >= _LEAST_DOUBT:
            out[cells] |= labels[cells] == number
    return out


def _spans(
    chainage: FloatArray,
    sequence: npt.NDArray[np.int64],
    state: FloatArray,
    line: FloatArray,
    known: tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_], npt.NDArray[np.bool_]],
) -> tuple[list[Span], list[Broken]]:
    """Runs of equal states as spans, breaches as findings.

    Args:
        chainage: (N + 1,) of the cells' edges.
        sequence: (N,) most likely states.
        state: (N, 4) each cell's own probabilities.
        line: (N,) probability of the line.
        known: (N,) imaged, told from its surroundings, doubtful.
    """
    imaged, told, doubtful = known
    kind = np.array([_STATE[int(s)] for s in sequence], dtype=object)
    why = np.full(len(kind), "", dtype=object)
    for cells, reason in (
        (doubtful, "doubtful: may be broken"),
        (~told, "the fence is not told from its surroundings"),
        (~imaged, "not imaged"),
    ):
        kind[cells], why[cells] = FenceState.UNSEEN, reason
    changes = (kind[1:] != kind[:-1]) | (why[1:] != why[:-1])
    cuts = [0, *(np.flatnonzero(changes) + 1).tolist(), len(kind)]
    spans: list[Span] = []
    broken: list[Broken] = []
    for first, last in pairwise(cuts):
        start_m, end_m = float(chainage[first]), float(chainage[last])
        if end_m <= start_m:  # a last cell that is a single column, the line's end
            continue
        intact, gap, collapsed, obscured = state[first:last].mean(axis=0).tolist()
        here, reason = kind[first], str(why[first])
        confidence = 1.0
        if here is FenceState.INTACT:
            confidence = intact
        elif here is FenceState.OBSCURED:
            confidence, reason = obscured, "not visible: hidden or broken"
        elif here is FenceState.BREACH:
            confidence = float(expit(_SURE_SLOPE * (gap + collapsed - _SURE_MIDDLE)))
            lies = collapsed > gap
            reason = "fence lies down" if lies else "no fence to be seen"
            cues = {"gap": gap, "collapsed": collapsed, "line": float(line[first:last].mean())}
            breach_type = BreachType.COLLAPSED if lies else BreachType.GAP
            broken.append(Broken(start_m, end_m, breach_type, confidence, cues))
        spans.append(Span(start_m, end_m, here, confidence, reason))
    return spans, broken


def _nothing(track: Track, reason: str) -> Assessment:
    first_m, last_m = float(track.chainage_m[0]), float(track.chainage_m[-1])
    span = Span(first_m, last_m, FenceState.UNSEEN, 1.0, reason)
    return Assessment(track.chainage_m, track.xy, np.zeros(len(track.xy)), (span,), ())
