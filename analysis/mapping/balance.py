"""Exposure and falloff evened out between frames, from what several of them see."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import scipy.sparse
import scipy.sparse.linalg

from corridor.values import FloatArray

_PRIOR_GAIN = 0.3  # how far exposures of one flight differ, as a share
_PRIOR_FALLOFF = 0.3
_NOISE = 0.15  # two views of one place differ by about this share: sun, leaves, wind
_ROUNDS = 6


def balance_gains(
    observations: Sequence[tuple[npt.NDArray[np.int64], FloatArray, FloatArray]],
    point_count: int,
) -> FloatArray:
    """Factors and falloff for each frame, so that frames agree on the points they share.

    Least squares on logarithms with Huber's weights: log colour = log gain + falloff(r²) + log of
    the point's own brightness, which is eliminated. The falloff a·r² + b·r⁴ is the lens's and
    shared by all frames. Gains are pulled towards 1, so a frame that overlaps nothing keeps its
    brightness, and the mean brightness is kept.

    Args:
        observations: for each frame the points (M,) it sees, their colours (M, 3), 0–255, and
            their squared distance (M,) from the picture's middle, 1 in its corner.
        point_count: of all points.

    Returns:
        (frames, 5): the factor for red, green and blue, and the exponents of r² and r⁴.
    """
    frames = len(observations)
    gains = np.zeros((frames, 5))
    gains[:, :3] = 1.0
    if not observations:
        return gains
    owner = np.repeat(np.arange(frames), [len(points) for points, _, _ in observations])
    points = np.concatenate([one[0] for one in observations])
    colours = np.concatenate([one[1] for one in observations])
    radius2 = np.concatenate([one[2] for one in observations])
    usable = ((colours > 6.0) & (colours < 249.0)).all(axis=1)
    shared = np.bincount(points[usable], minlength=point_count)[points] >= 2
    usable &= shared
    if usable.sum() < 10:
        return gains
    owner, points, radius2 = owner[usable], points[usable], radius2[usable]
    logs = np.log(colours[usable])
    count = len(owner)
    rows = np.arange(count)
    design = scipy.sparse.csr_matrix(
        (
            np.concatenate([np.ones(count), radius2, radius2**2]),
            (
                np.concatenate([rows, rows, rows]),
                np.concatenate([owner, np.full(count, frames), np.full(count, frames + 1)]),
            ),
        ),
        shape=(count, frames + 2),
    )
    chooser = scipy.sparse.csr_matrix((np.ones(count), (rows, points)), (count, point_count))
    prior = np.concatenate(
        [np.full(frames, (_NOISE / _PRIOR_GAIN) ** 2), np.full(2, (_NOISE / _PRIOR_FALLOFF) ** 2)]
    )
    # The prior is one observation a frame, but points are not independent of their neighbours.
    prior *= max(1.0, count / frames / 50.0)
    falloff = np.zeros((2, 3))
    for band in range(3):
        solution = _solve_band(design, chooser, logs[:, band], prior)
        exposure = solution[:frames] - solution[:frames].mean()
        gains[:, band] = np.exp(-exposure)
        falloff[:, band] = solution[frames:]
    gains[:, 3:] = -falloff.mean(axis=1)
    return gains


def _solve_band(
    design: scipy.sparse.csr_matrix,
    chooser: scipy.sparse.csr_matrix,
    logs: FloatArray,
    prior: FloatArray,
) -> FloatArray:
    weights = np.ones(len(logs))
    solution = np.zeros(design.shape[1])
    for _ in range(_ROUNDS):
        weighted = scipy.sparse.diags(weights)
        total = np.maximum(chooser.T @ weights, 1e-12)
        gathered = chooser.T @ weighted @ design
        normal = (
            design.T @ weighted @ design - gathered.T @ scipy.sparse.diags(1 / total) @ gathered
        )
        brightness = (chooser.T @ (weights * logs)) / total
        right = design.T @ (weights * (logs - chooser @ brightness))
        solution = scipy.sparse.linalg.spsolve((normal + scipy.sparse.diags(prior)).tocsc(), right)
        left_over = logs - design @ solution
        left_over -= chooser @ ((chooser.T @ (weights * left_over)) / total)
        weights = _NOISE / np.maximum(np.abs(left_over), _NOISE)
    return np.asarray(solution)
