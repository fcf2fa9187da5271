"""Whether mesh is there, place by place, in a rectified picture of a fence taken from the side.

A mesh is a lattice: its energy lies at two or three frequencies, the same along the whole fence.
Those are found in the spectra of a few windows. How much of it there is at a place is told by
demodulation (the picture times a wave of that frequency, averaged over a few meshes), against the
same with the wave turned a little, where there is only ground. Wires show as much as they differ
from what lies behind them, in lightness and in colour: steel is grey, and grass as light as it is
not; before mottled ground they are now lighter, now darker than it, and would cancel one another.
So the picture is first multiplied by the difference that is expected, pixel by pixel: a matched
filter, in the mixture of lightness and colour in which wires stand out most from the ground's own
pattern. What is expected is learned along the fence, and where nothing could be expected nothing is
said.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from analysis.wires import BLACK, fit_wires

Floats = npt.NDArray[np.float32]

CELL_M = 0.04
_MESHES_CELLS = 2.0
"""Deviation of the window a mesh is learned in: 8 cm, one to two meshes."""
MATCHED_CELLS = 3.0
"""Of the window it is looked for in: 12 cm, less than half of the narrowest opening. More than that
it is learned in, over which contrasts of both signs cancel: here they do not."""
_BEHIND_M, _BEHIND_WAVES = 0.04, 0.4
"""Deviation over which what lies behind a mesh is read, in metres and in the mesh's longest waves,
whichever is more: of a wave of that length 4 % remain."""
_GROUND_CELLS = 4.0
_TURNED = 6.0
"""Cycles per metre between a lattice's frequency and where ground alone is measured: more than the
window of 8 cm blurs frequencies (2) and than what is expected changes from place to place (4)."""
_COARSEST_WAVE, _FINEST_WAVE = 5.5, 45.0
"""Cycles per metre: meshes of 18 cm to 2 cm."""
_NYQUIST = 0.45
_LEAST_ALONG = 4.0
"""Cycles per metre along the fence: rails, kerbs and guard rails behind it run along it, and a mesh
does not."""
_APART = (2.0, 3.0)
_LEAST_PEAK = 40.0
"""Of a lattice's frequency in a window's spectrum, against the median of equally fine ones. The
largest of a window's some 10,000 without a lattice is about 14 (exponentially distributed)."""
_MOST_WAVES = 4
_LEAST_SHARE = 0.35
_RING = 1.5
_HIGH_PASS_M = 0.06
_QUIETEST = 0.5
"""Of what is usual of the ground along the fence: where a place shows less of a pattern than this,
compression has taken it away, and of the mesh too."""
_TOLD = (4.0, 10.0)
"""Expected energy of the mesh against the ground's at which a place begins to count, and counts in
full."""
_AROUND_M = (9.0, 0.6)
"""Along and up, over which it is asked how much of the mesh shows as it should: longer than a gap,
no higher than what hides its foot."""
_MULTIPLES, _ALIKE = (1 / 3, 1 / 2, 2 / 3, 1.0, 3 / 2, 2.0, 3.0), 0.04
"""Of a mesh's strongest frequency, that its others may have, and how well they are known."""
_SLANT = 0.25
"""Of the frequency along: by what the two ways of wires differ where panels slope by a tenth."""
_LEAST_DOWN = 2.0
"""Cycles per metre: upright wires look the same on a slope."""
_SLOPES = np.round(np.arange(-5, 6) * 0.1, 1)
"""Of panels, beside the ground's: a tenth is as much as the window of 8 cm blurs."""
_STEEPER = 1.2
"""Energy on a slope, against that on none, for the slope to be believed."""
_LEAST_OF_MOST = 0.25
_PANEL_M = 1.5
_MOST_LIFT_M = 2.0


@dataclass(frozen=True)
class Lattice:
    """A fence's mesh, in pictures of C channels: lightness first, then what there is of colour.

    Attributes:
        waves: (K, 2) frequencies in cycles per metre, along and down the fence.
        wire: (C,) of the wires: before what is so in all channels they cannot be seen.
        gain: (C,) the mesh's amplitude over the difference from what lies behind.
        ground: (C, C) usual covariance of the ground's own pattern, as fine as the mesh.
    """

    waves: npt.NDArray[np.float64]
    wire: npt.NDArray[np.float64]
    gain: npt.NDArray[np.float64]
    ground: npt.NDArray[np.float64]


def find_lattice(
    walls: Sequence[Floats],
    pixel_m: Sequence[float],
    usable: Sequence[npt.NDArray[np.bool_]] | None = None,
) -> Lattice | None:
    """The mesh in some windows of a fence; None if there is none that can be resolved.

    Args:
        walls: (H, W) or (H, W, C) of each, finite.
        pixel_m: of each, both axes.
        usable: (R, C) cells of each that show the fence, as far as is known; all if None.
    """
    walls = [np.atleast_3d(wall) for wall in walls]
    # By logarithms: a lattice is seen in many windows, however strongly in one.
    peaks = [(along, down, 1.0 + float(np.log(height / _LEAST_PEAK)))
             for wall, size_m in zip(walls, pixel_m, strict=True)
             for along, down, height in _peaks(_fine(wall[..., 0], size_m), size_m)]  # fmt: skip
    waves: list[tuple[float, float]] = []
    strongest = 0.0
    while peaks and len(waves) < _MOST_WAVES:
        weight = [sum(p[2] for p in peaks if _same(p, peak)) for peak in peaks]
        best = peaks[int(np.argmax(weight))]
        near = [p for p in peaks if _same(p, best)]
        strongest = max(strongest, max(weight))
        if max(weight) < _LEAST_SHARE * strongest:
            break
        share = np.array([p[2] for p in near]) / sum(p[2] for p in near)
        waves.append((float(share @ [p[0] for p in near]), float(share @ [p[1] for p in near])))
        peaks = [p for p in peaks if not _same(p, best)]
    if not waves:
        return None
    waves = _of_one_mesh(waves)
    found: list[list[Floats]] = [[], [], []]
    for number, (wall, size_m) in enumerate(zip(walls, pixel_m, strict=True)):
        size = _cells(wall, size_m)
        shows = np.ones(size[::-1], np.bool_)
        if usable is not None:
            shows = cv2.resize(usable[number].astype(np.uint8), size,
                               interpolation=cv2.INTER_NEAREST) > 0  # fmt: skip
        for part, each in zip(found, _energies(wall, size_m, np.array(waves), size), strict=True):
            part.append(each[..., shows])
    mesh, ground, behind = (np.concatenate(part, axis=-1) for part in found)
    if not behind.size:
        return None
    wire, gain = fit_wires(behind, mesh - ground, ground[0, 0])
    # A channel without any pattern, as colour in grey pictures, tells nothing; it must not divide.
    usual = np.median(ground, axis=-1) + 1e-9 * np.eye(len(behind))
    return Lattice(np.array(waves), wire, gain, usual)


def _of_one_mesh(waves: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Those of some waves, the strongest first, that belong to one mesh.

    A mesh that is lit from before throws its shadow on the ground behind, as regular as itself: at
    frequencies that are no simple multiples of its own, since the ground is further off, and
    aslant, since the sun is: where a mesh's wires slant, they slant both ways alike.
    """

    def simple(one: float, other: float) -> bool:
        return any(abs(abs(one) - each * abs(other)) < _ALIKE * abs(other) for each in _MULTIPLES)

    def is_level(wave: tuple[float, float]) -> bool:
        return abs(wave[1]) < _LEAST_DOWN

    def both_ways(wave: tuple[float, float]) -> bool:
        return is_level(wave) or any(
            abs(wave[0] - other[0]) < _ALIKE * wave[0]
            and abs(wave[1] + other[1]) < _SLANT * wave[0]
            for other in waves
        )

    along, down = next((wave for wave in waves if both_ways(wave)), waves[0])
    slants = not is_level((along, down))
    return [
        wave
        for wave in waves
        if simple(wave[0], along)
        and (both_ways(wave) or (slants and (is_level(wave) or simple(wave[1], down))))
    ]


def mesh_left(
    wall: Floats, pixel_m: float, lattice: Lattice, usable: npt.NDArray[np.bool_] | None = None
) -> tuple[Floats, Floats]:
    """Of the mesh that should be there, what is, and how well that can be told.

    Args:
        wall: (H, W) or (H, W, C), finite, of the lattice's channels.
        pixel_m: both axes.
        lattice: of this fence.
        usable: (R, C) which cells show the fence, as far as is known; all if None.

    Returns:
        (R, C) cells of `CELL_M`: 0 without mesh to about 1 with it, at most 2; and 0 where nothing
        can be told to 1.
    """
    wall = np.atleast_3d(wall)
    size = _cells(wall, pixel_m) if usable is None else usable.shape[::-1]
    lift_m = _lift(wall[..., 0], pixel_m, lattice.waves)
    cell_lift = cv2.resize(lift_m[None], (size[0], 1), interpolation=cv2.INTER_AREA)[0] / CELL_M
    # Room for what is moved up or down, in whole cells.
    room = math.ceil(float(np.abs(cell_lift).max()))
    edge = round(room * CELL_M / pixel_m)
    larger = np.pad(wall, ((edge, edge), (0, 0), (0, 0)), mode="edge")
    upright = _moved(larger, -lift_m / pixel_m)
    mesh, ground, usual, light = (
        _moved(each, cell_lift)[room : room + size[1]]
        for each in _matched(upright, pixel_m, lattice, (size[0], size[1] + 2 * room))
    )
    shows = light > BLACK
    if usable is not None:
        shows &= usable
    usual = np.where(shows, usual, 0.0).astype(np.float32)
    # Focus, haze and growth before it differ from place to place and down the fence: as much as
    # there is of what there should be, metres around. Nobody cuts away most of that.
    there = np.where(shows, mesh - ground, 0.0).astype(np.float32)
    around = (round(_AROUND_M[0] / CELL_M) | 1, round(_AROUND_M[1] / CELL_M) | 1)
    share = cv2.blur(there, around) / np.maximum(cv2.blur(usual, around), 1e-9)
    usual = usual * np.clip(share, 0.0, 1.0)
    low, high = _TOLD
    told = np.clip((usual / ground - low) / (high - low), 0.0, 1.0) * shows
    left = np.clip((mesh - ground) / np.maximum(usual, 1e-9), 0.0, 2.0)
    return left.astype(np.float32), told.astype(np.float32)


def _cells(wall: Floats, pixel_m: float) -> tuple[int, int]:
    """Columns and rows of cells in a wall."""
    height, width = wall.shape[:2]
    return max(1, round(width * pixel_m / CELL_M)), max(1, round(height * pixel_m / CELL_M))


def _lift(wall: Floats, pixel_m: float, waves: npt.NDArray[np.float64]) -> Floats:
    """(W,) how far down each column of a wall is from where an upright lattice would have it.

    Panels step and slope otherwise than the ground is known to, and a lattice that is sheared by a
    quarter is at another frequency: the slope is looked for that leaves most of it.
    """
    columns, rows = _cells(wall, pixel_m)
    width = wall.shape[1]
    slanted = [(along, down) for along, down in waves if abs(down) > _LEAST_DOWN]
    if not slanted:
        return np.zeros(width, np.float32)
    fine = _fine(wall, pixel_m)
    x, z = np.arange(width) * pixel_m, np.arange(wall.shape[0]) * pixel_m
    at = (np.arange(columns) + 0.5) * (width * pixel_m / columns)
    energy = np.zeros((len(_SLOPES), columns), np.float32)
    for along, down in slanted:
        wave = np.exp(-2j * np.pi * along * x)[None, :] * np.exp(-2j * np.pi * down * z)[:, None]
        real, imaginary = (
            cv2.resize(
                fine * part.astype(np.float32), (columns, rows), interpolation=cv2.INTER_AREA
            )
            for part in (wave.real, wave.imag)
        )
        for number, slope in enumerate(_SLOPES):
            turn = np.exp(-2j * np.pi * slope * down * at)
            for part in (
                real * turn.real - imaginary * turn.imag,
                real * turn.imag + imaginary * turn.real,
            ):
                mixed = cv2.GaussianBlur(part.astype(np.float32), (0, 0), _MESHES_CELLS)
                energy[number] += (mixed**2).sum(axis=0)
    energy = cv2.blur(energy, (round(_PANEL_M / CELL_M) | 1, 1))
    level = int(np.flatnonzero(_SLOPES == 0.0)[0])
    slopes = _SLOPES[energy.argmax(axis=0)]
    most = energy.max(axis=0)
    there = most > _LEAST_OF_MOST * np.percentile(most, 90)  # else a crown's slope is followed
    slopes = np.where(there & (most > _STEEPER * energy[level]), slopes, 0.0)
    slopes = ndimage.median_filter(slopes, round(_PANEL_M / CELL_M) | 1)
    lift_m = np.cumsum(slopes) * CELL_M
    lift_m = np.clip(lift_m - np.median(lift_m), -_MOST_LIFT_M, _MOST_LIFT_M)
    return np.interp(x, at, lift_m).astype(np.float32)


def _moved(picture: Floats, down: Floats) -> Floats:
    """A picture with each column taken from `down` rows further down."""
    if not down.any():
        return picture
    rows, columns = picture.shape[:2]
    x = np.broadcast_to(np.arange(columns, dtype=np.float32), (rows, columns))
    y = np.arange(rows, dtype=np.float32)[:, None] + down[None].astype(np.float32)
    moved = cv2.remap(picture, np.ascontiguousarray(x), y, cv2.INTER_LINEAR, None,
                      cv2.BORDER_REPLICATE)  # fmt: skip
    return np.asarray(moved).reshape(picture.shape)


def _fine(wall: Floats, pixel_m: float) -> Floats:
    """What is finer than a mesh; strong edges (posts, rails) count no more than wires."""
    fine = wall - cv2.GaussianBlur(wall, (0, 0), _HIGH_PASS_M / pixel_m)
    most = 2.5 * float(np.median(np.abs(fine))) + 1e-6
    return np.asarray(np.clip(fine, -most, most), dtype=np.float32)


def _peaks(fine: Floats, pixel_m: float) -> list[tuple[float, float, float]]:
    """Frequencies along and down that stand out in a window's spectrum, and by how much."""
    height, width = fine.shape
    window = np.hanning(height)[:, None] * np.hanning(width)[None, :]
    power = (np.abs(np.fft.rfft2(fine * window)) ** 2).astype(np.float32)
    power = cv2.GaussianBlur(power, (0, 0), sigmaX=1.0, sigmaY=0.6)
    down = np.fft.fftfreq(height, pixel_m)[:, None]
    along = np.fft.rfftfreq(width, pixel_m)[None, :]
    radius = np.hypot(down, along)
    ring = np.rint(radius / _RING).astype(int)
    order = np.argsort(ring, axis=None)
    firsts = np.searchsorted(ring.ravel()[order], np.arange(ring.max() + 2))
    usual = np.array([
        np.median(power.ravel()[order[a:b]]) if b > a else np.inf
        for a, b in pairwise(firsts)
    ])  # fmt: skip
    inside = (radius > _COARSEST_WAVE) & (radius < min(_FINEST_WAVE, _NYQUIST / pixel_m))
    inside &= along > _LEAST_ALONG
    stands_out = np.where(inside, power / np.maximum(usual[ring], 1e-9), 0.0)
    found = []
    for _ in range(_MOST_WAVES):
        row, column = np.unravel_index(int(stands_out.argmax()), stands_out.shape)
        peak = (float(along[0, column]), float(down[row, 0]), float(stands_out[row, column]))
        if peak[2] < _LEAST_PEAK:
            break
        found.append(peak)
        for sign in (1, -1):  # the spectrum of what is real is its own mirror image
            near = np.abs(along - sign * peak[0]) < _APART[0]
            stands_out[near & (np.abs(down - sign * peak[1]) < _APART[1])] = 0.0
    return found


def _same(one: tuple[float, float, float], other: tuple[float, float, float]) -> bool:
    return any(
        abs(one[0] - sign * other[0]) < _APART[0] and abs(one[1] - sign * other[1]) < _APART[1]
        for sign in (1, -1)
    )


def _energies(
    wall: Floats, pixel_m: float, waves: npt.NDArray[np.float64], size: tuple[int, int]
) -> tuple[Floats, Floats, Floats]:
    """What the cells of a wall hold, as (C, C, R, N), (C, C, R, N) and (C, R, N).

    Returns:
        Products of the channels' amplitudes at a lattice's frequencies, their energies on the
        diagonal; the same at turned ones, where there is only ground; and the channels themselves.
    """
    channels = [np.ascontiguousarray(wall[..., channel]) for channel in range(wall.shape[2])]
    fine = [_fine(channel, pixel_m) for channel in channels]
    pairs = [(along, down) for along, down in waves]

    def products(those: Sequence[tuple[float, float]]) -> Floats:
        amplitude = np.stack(
            [_amplitudes(channel, pixel_m, those, size, _MESHES_CELLS) for channel in fine]
        )
        return np.einsum("ikrn,jkrn->ijrn", amplitude, amplitude, optimize=True)

    mesh, ground = products(pairs), 0.5 * products(_turned(pairs))
    for one in ground.reshape(-1, *ground.shape[2:]):
        one[:] = cv2.GaussianBlur(one, (0, 0), _GROUND_CELLS)
    behind = [_averaged(each, size, _MESHES_CELLS) for each in channels]
    return mesh, ground, np.stack(behind)


def _amplitudes(
    fine: Floats,
    pixel_m: float,
    waves: Sequence[tuple[float, float]],
    size: tuple[int, int],
    window_cells: float,
) -> Floats:
    """(2 K, R, N) real and imaginary parts of some waves' amplitudes in cells."""
    height, width = fine.shape
    x, z = np.arange(width) * pixel_m, np.arange(height)[:, None] * pixel_m
    # Along first, to few columns: slanted wires of both directions are the same along.
    narrow: dict[float, tuple[Floats, Floats]] = {}
    parts = []
    for along, down in waves:
        if along not in narrow:
            narrow[along] = tuple(
                cv2.resize(fine * each(2 * np.pi * along * x).astype(np.float32),
                           (size[0], height), interpolation=cv2.INTER_AREA)
                for each in (np.cos, np.sin)
            )  # fmt: skip
        even, odd = narrow[along]
        cos, sin = (each(2 * np.pi * down * z).astype(np.float32) for each in (np.cos, np.sin))
        for part in (even * cos - odd * sin, even * sin + odd * cos):
            parts.append(_averaged(part, size, window_cells))
    return np.stack(parts)


def _matched(
    wall: Floats, pixel_m: float, lattice: Lattice, size: tuple[int, int]
) -> tuple[Floats, Floats, Floats, Floats]:
    """(R, N) energies of mesh and ground, and the mesh's that is usual, and lightness.

    A picture of wires is wave times contrast, and contrast changes its sign from patch to patch of
    ground. Times the contrast that is expected, with a linear discriminant's weights for channels,
    it is wave times something positive, and can be averaged. Energies are given against a usual
    ground's.
    """
    channels = [np.ascontiguousarray(wall[..., channel]) for channel in range(wall.shape[2])]
    longest_m = 1.0 / float(np.hypot(*lattice.waves.T).min())
    blur_px = max(_BEHIND_M, _BEHIND_WAVES * longest_m) / pixel_m
    contrast = np.stack([
        gain * (cv2.GaussianBlur(channel, (0, 0), blur_px) - wire)
        for channel, wire, gain in zip(channels, lattice.wire, lattice.gain, strict=True)
    ]).astype(np.float32)  # fmt: skip
    weight = np.tensordot(np.linalg.inv(lattice.ground).astype(np.float32), contrast, axes=1)
    fine = np.stack([_fine(channel, pixel_m) for channel in channels])
    product = (weight * fine).sum(axis=0)
    expected = _averaged((weight * contrast).sum(axis=0), size, MATCHED_CELLS)
    expected = np.maximum(expected, 1e-6)
    waves = [(along, down) for along, down in lattice.waves]
    mesh = _amplitudes(product, pixel_m, waves, size, MATCHED_CELLS)
    ground = _amplitudes(product, pixel_m, _turned(waves), size, MATCHED_CELLS)
    beside = cv2.GaussianBlur(0.5 * (ground**2).sum(axis=0), (0, 0), _GROUND_CELLS)
    return (
        (mesh**2).sum(axis=0) / expected,
        np.maximum(beside / expected, _QUIETEST),
        expected,
        _averaged(channels[0], size, _MESHES_CELLS),
    )


def _averaged(picture: Floats, size: tuple[int, int], cells: float) -> Floats:
    """(R, N) means of a picture over windows of a deviation in cells."""
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(small, (0, 0), cells), np.float32)


def _turned(waves: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Frequencies beside those of a mesh, two for each."""
    turned = []
    for along, down in waves:
        turn = _TURNED / np.hypot(along, down)
        turned += [(along - sign * turn * down, down + sign * turn * along) for sign in (1, -1)]
    return turned
