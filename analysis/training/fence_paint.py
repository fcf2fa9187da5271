"""What is painted over crops of strips before the fence network is shown them.

Other light, plain fences and walls on ground that has none, ground where a fence stood, crowns,
what lies at a fence's foot and other ground beyond it: none of it looks as the generator draws, and
what goes on through a gap must not be taken for the fence.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt
from scipy.special import expit

from analysis.fence import features
from analysis.fence.features import ALONG_M
from analysis.fence.features import FINE_M as ACROSS_M

CROP = 512
"""Columns of a crop: 51 m, so that most of a fence is in view beside a gap of 20 m."""
ROWS = 2 * features.ROWS
"""Of a crop as it is painted, each `FINE_M`."""
IGNORE = -1
INTACT, GAP, COLLAPSED, OBSCURED = range(4)

_GAPS_M = (0.8, 1.0, 1.5, 2.0, 3.0, 3.0, 3.0, 6.0, 9.0, 15.0)

Floats = npt.NDArray[np.float32]
States = npt.NDArray[np.int64]


_NOISE = np.random.default_rng(0).standard_normal(2**22, np.float32)


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Normal variates, a stretch of many drawn once: drawing them took a fifth of the time."""
    count = math.prod(shape)
    first = int(rng.integers(0, len(_NOISE) - count))
    return _NOISE[first : first + count].reshape(shape)


def disturb(rgb: Floats, rng: np.random.Generator) -> Floats:
    """Other light, other balance, other sharpness."""
    if rng.uniform() < 0.3:
        coarser = rng.uniform(1.0, 4.0)
        size = (round(CROP / max(1.0, 0.25 * coarser)), round(ROWS / coarser))
        rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
        rgb = cv2.resize(rgb, (CROP, ROWS), interpolation=cv2.INTER_LINEAR)
    if rng.uniform() < 0.4:
        sigma = rng.uniform(0.4, 3.2)
        rgb = cv2.GaussianBlur(rgb, (0, 0), sigmaX=sigma * ACROSS_M / ALONG_M, sigmaY=sigma)
    scaled = (rgb / 255.0).clip(0, 1) ** rng.uniform(0.6, 1.7)
    grey = scaled.mean(axis=2, keepdims=True)
    scaled = grey + (scaled - grey) * rng.uniform(0.2, 1.5)
    scaled = scaled * rng.uniform(0.8, 1.2, 3).astype(np.float32) * rng.uniform(0.35, 1.25)
    if rng.uniform() < 0.1:
        scaled = 1.0 - scaled
    if rng.uniform() < 0.2:
        scaled = scaled[..., rng.permutation(3)]
    scaled = scaled + _normal(rng, scaled.shape) * np.float32(rng.uniform(0.0, 0.012))
    out = (scaled.clip(0, 1) * 255).astype(np.float32)
    if rng.uniform() < 0.3:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 95))]
        _, data = cv2.imencode(".jpg", out.astype(np.uint8), quality)
        out = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.float32)
    return out


def paint_fence(rgb: Floats, rng: np.random.Generator) -> tuple[Floats, Floats, States]:
    """Paints a plain fence or wall with gaps and cover on ground that has none."""
    t = np.arange(CROP) * ALONG_M
    base = ROWS / 2 + rng.uniform(-2.2, 2.2) / ACROSS_M
    sway = (
        rng.uniform(0, 0.5)
        / ACROSS_M
        * np.sin(2 * np.pi * t / rng.uniform(15, 60) + rng.uniform(0, 6))
    )
    row = (base + sway + rng.normal(0, 0.3, CROP).cumsum() * 0.1).astype(np.float32)
    y = np.arange(ROWS)[:, None] - row[None, :]
    ground = rgb.copy()
    if rng.uniform() < 0.5:
        part_ground(ground, row, rng)
    bare = ground.copy()
    if rng.uniform() < 0.35:
        lay_foot(ground, row, rng)
    canvas = ground.copy()
    state = np.zeros(CROP, np.int64)
    at = rng.uniform(-10, 20)
    while rng.uniform() < 0.8 and at < t[-1]:
        width = rng.choice(_GAPS_M) * rng.uniform(0.8, 1.2)
        inside = (t >= at) & (t < at + width)
        state[inside] = 1
        at += width + rng.uniform(2, 20)
    there = np.where(state == 0, 1.0, 0.0)
    there = cv2.GaussianBlur(there[None, :].astype(np.float32), (0, 0), 0.7)[0]
    width = (
        rng.choice([0.02, 0.04, 0.06, 0.1, 0.2, 0.3, 0.5, 0.8, 1.1, 1.8])
        * rng.uniform(0.8, 1.3)
        / ACROSS_M
    )
    if width * ACROSS_M > 0.05 and rng.uniform() < 0.25:
        y = y - _lean_about(width, rng)[None, :]
    soft = rng.uniform(0.5, 2.2)
    light = float(np.log1p(rng.uniform(0.12, 1.3)) * rng.choice([-1.0, 1.0]))
    ragged = cv2.GaussianBlur(
        rng.normal(0, 1, (1, CROP)).astype(np.float32), (0, 0), rng.uniform(2, 12)
    )[0]
    ragged = 1.0 + 0.25 * ragged / max(float(ragged.std()), 1e-6)
    body = expit((width / 2 * (0.85 + 0.15 * ragged) - np.abs(y)) / (soft * 0.5))
    gain = np.zeros_like(body)
    tint = rng.normal(0, 0.12, 3)
    opacity = rng.uniform(0.4, 1.0)
    rubble = 1.0
    if width * ACROSS_M > 0.25 and rng.uniform() < 0.5:
        stones = _normal(rng, (ROWS, CROP))
        stones = cv2.GaussianBlur(stones, (0, 0), sigmaX=rng.uniform(0.4, 1.5), sigmaY=3.0)
        rubble = 1.0 + rng.uniform(0.1, 0.5) * stones / stones.std()
    gain += body * light * there[None, :] * ragged[None, :] * opacity * rubble
    plain = True
    if rng.uniform() < 0.2:
        plain = False
        gain *= rng.choice([0.0, 1.0])
        _hang_veil(gain, y, there, rng)
    if rng.uniform() < 0.55:
        plain = False
        spacing, posts = rng.uniform(1.8, 3.2), rng.uniform(0.05, 0.14)
        near = np.abs(((t + rng.uniform(0, 3)) / spacing) % 1.0 - 0.5) * spacing
        post = np.exp(-0.5 * (near / posts) ** 2)[None, :]
        lean = rng.uniform(-0.6, 0.6) / ACROSS_M
        reach = expit(1.0 - (np.abs(y - lean / 2) - abs(lean) / 2) / 2)
        left = np.where(rng.uniform() < 0.4, 1.0, there)[None, :]
        gain += post * reach * float(rng.uniform(0.2, 0.8) * rng.choice([-1, 1])) * left
    if rng.uniform() < 0.5:
        plain = False
        away = rng.uniform(0.1, 1.8) / ACROSS_M * rng.choice([-1, 1])
        if rng.uniform() < 0.5:
            cast = expit((abs(away) / 2 - np.abs(y - away / 2)) / 1.6)
            gain -= rng.uniform(0.08, 0.4) * cast * there[None, :]
        else:
            cast = np.exp(-0.5 * ((y - away) / rng.uniform(1.0, 4.0)) ** 2)
            gain -= rng.uniform(0.1, 0.5) * cast * there[None, :]
    if not plain and rng.uniform() < 0.25:
        _run_beside(canvas, y, rng)
    if rng.uniform() < 0.5:
        # The shade of trees and slopes.
        shade = _normal(rng, (ROWS, CROP))
        reach = rng.uniform(6, 40)
        shade = cv2.GaussianBlur(shade, (0, 0), sigmaX=reach, sigmaY=reach)
        canvas *= np.exp(rng.uniform(0.1, 0.6) * shade / shade.std())[..., None]
    if rng.uniform() < 0.4:
        edge = expit(y / rng.uniform(1.0, 8.0))
        canvas *= np.exp(rng.normal(0, 0.2, 3)[None, None, :] * edge[..., None])
    for channel in range(3):
        canvas[..., channel] = (canvas[..., channel] + 4) * np.exp(
            gain + np.abs(gain) * tint[channel]
        ) - 4
    canvas = canvas.clip(0, 255).astype(np.float32)
    if rng.uniform() < 0.3:
        _mend_ground(canvas, bare, y, state, rng)
    if rng.uniform() < 0.4:
        grow_cover(canvas, row, state, rng)
    return canvas, row, state


def _lean_about(width: float, rng: np.random.Generator) -> Floats:
    """(CROP,) rows: a mosaic's next frame sees a fence lean the other way, and it still stands."""
    t = np.arange(CROP) * ALONG_M
    steps = np.zeros(CROP, np.float32)
    reach = width / 2 + rng.uniform(0.0, 0.5) / ACROSS_M
    lean = float(rng.choice([-1, 1]))
    at = rng.uniform(-4, 12)
    while at < t[-1]:
        until = at + rng.uniform(1.0, 10.0)
        steps[(t >= at) & (t < until)] = lean * reach * rng.uniform(0.3, 1.0)
        lean = -lean if rng.uniform() < 0.5 else lean
        at = until + rng.choice([0.0, 1.0]) * rng.uniform(1.0, 10.0)
    return steps


def _mend_ground(
    canvas: Floats, ground: Floats, y: Floats, state: States,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    """Other ground where the fence is missing, from some metres beside it."""
    away = round(rng.uniform(1.5, 3.5) / ACROSS_M)
    reach = rng.uniform(0.5, 1.4) / ACROSS_M
    other = _either(np.roll(ground, away, axis=0), np.roll(ground, -away, axis=0), y, rng)
    share = expit((reach - np.abs(y)) / rng.uniform(1.0, 8.0)) * (state == 1)[None, :]
    share = share[..., None].astype(np.float32)
    canvas[:] = canvas * (1 - share) + other * share


def _either(above: Floats, below: Floats, y: Floats, rng: np.random.Generator) -> Floats:
    """Mostly to each side of a line its own ground, else that of one side to both."""
    if rng.uniform() < 0.7:
        share = expit(y / rng.uniform(1.0, 6.0))[..., None].astype(np.float32)
        return np.asarray(above * (1 - share) + below * share)
    return above if rng.uniform() < 0.5 else below


def part_ground(canvas: Floats, row: Floats, rng: np.random.Generator) -> None:
    """Makes the ground to one side of the line another, through gaps and all.

    Lawn and field, yard and meadow, sun and shade meet where a fence stands, and they still do
    where it is gone: their border says nothing of the fence.
    """
    off = np.clip(rng.normal(0.0, 0.15), -0.4, 0.4) / ACROSS_M
    ragged = _smooth_noise(rng, rng.uniform(2, 15)) * rng.uniform(0.0, 0.1) / ACROSS_M
    y = np.arange(ROWS)[:, None] - (row + ragged)[None, :] - off
    softness = float(np.exp(rng.uniform(np.log(0.5), np.log(10.0))))
    share = expit(y * float(rng.choice([-1.0, 1.0])) / softness)[..., None]
    logs = np.log(canvas + 8.0)
    smooth = cv2.blur(logs, (15, 51))
    # The same ground turned about, its grain coarser or finer.
    grain = np.roll((logs - smooth)[::-1, ::-1], int(rng.integers(0, CROP)), axis=1)
    if rng.uniform() < 0.3:
        grain = cv2.blur(grain, (3, 13))
    shift = rng.normal(0.0, 0.4) + rng.normal(0.0, 0.08, 3)[None, None, :]
    other = smooth + shift + grain * rng.uniform(0.2, 1.8)
    canvas[:] = (np.exp(logs + share * (other - logs)) - 8.0).clip(0, 255)


def _hang_veil(gain: Floats, y: Floats, there: Floats, rng: np.random.Generator) -> None:
    """Mesh that leans: a veil from its foot to its top, with posts slanting across it."""
    lean = rng.uniform(0.2, 1.2) / ACROSS_M * int(rng.choice([-1, 1]))
    inside = expit((abs(lean) / 2 - np.abs(y - lean / 2)) / rng.uniform(0.5, 2.0))
    weave = cv2.GaussianBlur(_normal(rng, (ROWS, CROP)), (0, 0), sigmaX=0.5, sigmaY=1.2)
    thick = rng.uniform(0.0, 0.5) * rng.choice([-1, 1]) + rng.uniform(0.03, 0.2) * weave / 0.3
    gain += inside * there[None, :] * thick
    t = np.arange(CROP)[None, :] * ALONG_M - rng.uniform(-1.5, 1.5) * y * ACROSS_M
    spacing, width = rng.uniform(1.8, 4.0), rng.uniform(0.05, 0.1)
    near = np.abs(((t + rng.uniform(0, 4)) / spacing) % 1.0 - 0.5) * spacing
    left = np.where(rng.uniform() < 0.3, 1.0, there)[None, :]
    post = np.exp(-0.5 * (near / width) ** 2) * inside * left
    gain += post * float(rng.uniform(0.2, 1.0) * rng.choice([-1, -1, 1]))


def lay_foot(canvas: Floats, row: Floats, rng: np.random.Generator) -> None:
    """Lays a plinth, worn ground or rank growth along the line, through gaps and all.

    What was there stays visible in it as a ratio of lightness. The strip may be interrupted,
    whether the fence stands there or not.
    """
    width = rng.uniform(0.12, 0.9) / ACROSS_M
    off = np.clip(rng.normal(0.0, 0.12), -0.3, 0.3) / ACROSS_M
    y = np.arange(ROWS)[:, None] - row[None, :] - off
    waves = _smooth_noise(rng, rng.uniform(3, 20))
    concrete = rng.uniform() < 0.6
    edge = 1.0 + (0.03 if concrete else 0.25) * waves
    soft = rng.uniform(0.6, 2.0) if concrete else rng.uniform(2.0, 8.0)
    band = expit((width / 2 * edge[None, :] - np.abs(y)) / soft)
    if rng.uniform() < 0.35:
        t, there = np.arange(CROP) * ALONG_M, np.ones(CROP, np.float32)
        for _ in range(int(rng.integers(1, 6))):
            at = rng.uniform(-1, t[-1])
            there[(t >= at) & (t < at + rng.uniform(0.4, 5.0))] = 0.0
        band = band * cv2.GaussianBlur(there[None], (0, 0), rng.uniform(0.3, 1.5))
    share = band * (rng.uniform(0.6, 1.0) if concrete else rng.uniform(0.3, 0.8))
    share = share * (1.0 - rng.uniform(0.0, 0.4) * (waves > 0.7))[None, :]
    logs = np.log(canvas + 8.0)
    local = cv2.GaussianBlur(logs, (0, 0), sigmaX=1.0 / ALONG_M, sigmaY=0.5 / ACROSS_M)
    if concrete:
        bright = float(np.log(8.0 + rng.uniform(70, 230)))
        target = bright + rng.normal(0.0, 0.04, 3)[None, None, :]
    else:
        target = local + rng.normal(0.0, 0.3) + rng.normal(0.0, 0.1, 3)[None, None, :]
    grain = _normal(rng, (ROWS, CROP, 1)) * np.float32(rng.uniform(0.0, 0.06))
    changed = logs + share[..., None] * (target + grain - local)
    canvas[:] = (np.exp(changed) - 8.0).clip(0, 255)


def _smooth_noise(rng: np.random.Generator, reach: float) -> Floats:
    """(CROP,) of deviation 1."""
    noise = cv2.GaussianBlur(rng.normal(0, 1, (1, CROP)).astype(np.float32), (0, 0), reach)[0]
    return np.asarray((noise - noise.mean()) / max(float(noise.std()), 1e-6))


def _run_beside(canvas: Floats, y: Floats, rng: np.random.Generator) -> None:
    """A wire, rail, kerb or edge beside the fence, which does not stop where the fence does."""
    off = rng.uniform(0.35, 2.5) / ACROSS_M * int(rng.choice([-1, 1]))
    width = float(np.exp(rng.uniform(np.log(0.02), np.log(0.4)))) / ACROSS_M
    body = expit((width / 2 - np.abs(y - off)) / rng.uniform(0.4, 1.6))
    light = float(rng.uniform(0.1, 0.7) * rng.choice([-1.0, 1.0]))
    gain = body[..., None] * (light + rng.normal(0.0, 0.05, 3)[None, None, :])
    canvas[:] = ((canvas + 4) * np.exp(gain) - 4).clip(0, 255)


def cut_out(
    rgb: Floats, sides: tuple[Floats, Floats], row: Floats, state: States, rng: np.random.Generator,
    seen_m: float = 0.0,
) -> None:  # fmt: skip
    """Cuts stretches out of a fence that stands, and fills them with ground from beside it.

    Now and then a piece of ground beside the fence is changed in the same way, and the fence is
    not, so that a patch alone tells nothing.

    Args:
        rgb: (ROWS, CROP, 3), changed in place.
        sides: the same of the ground some metres above and below the line.
        row: (CROP,) of the fence.
        state: (CROP,), changed in place.
        rng: chance.
        seen_m: the fence reaches so far from its line.
    """
    y = np.arange(ROWS)[:, None] - row[None, :]
    other = _either(*sides, y, rng)
    for _ in range(int(rng.integers(1, 6))):
        length = round(float(rng.choice([1.0, 1.5, 2.0, 2.5, 3.0, 5.0, 8.0, 15.0])) / ALONG_M)
        first = int(rng.integers(4, CROP - length - 4))
        last = first + length
        if (state[max(first - 10, 0) : last + 10] != INTACT).any():
            continue
        reach = rng.uniform(max(1.0, seen_m + 0.2), max(2.6, seen_m + 0.6)) / ACROSS_M
        beside = rng.uniform() < 0.25
        middle = (reach + 0.5 / ACROSS_M) * int(rng.choice([-1, 1])) if beside else 0.0
        along = np.zeros((1, CROP), np.float32)
        along[0, first:last] = 1.0
        along = cv2.GaussianBlur(along, (0, 0), rng.uniform(0.3, 1.2))
        share = expit((reach - np.abs(y - middle)) / rng.uniform(1.0, 8.0)) * along
        share = share[..., None].astype(np.float32)
        rgb[:] = rgb * (1 - share) + other * share
        if not beside:
            state[first:last] = GAP
            for end in (first, last):
                state[end - 1 : end + 1] = IGNORE


def grow_cover(canvas: Floats, row: Floats, state: States, rng: np.random.Generator) -> None:
    """Paints a crown or two over the line: rough, green to brown, dark towards one side.

    Some are bare: twigs with the ground and the fence between them, of which nothing is said.
    """
    for _ in range(int(rng.integers(1, 6))):
        size_m = rng.uniform(0.4, 1.2) if rng.uniform() < 0.5 else rng.uniform(1.0, 3.5)
        middle = int(rng.integers(0, CROP))
        off_m = rng.uniform(-1.0, 1.0) * size_m
        x = (np.arange(CROP) - middle)[None, :] * ALONG_M
        z = (np.arange(ROWS)[:, None] - row[middle]) * ACROSS_M - off_m
        rough = _normal(rng, (ROWS, CROP))
        coarse = cv2.GaussianBlur(rough, (0, 0), sigmaX=4.0, sigmaY=20.0)
        fine = cv2.GaussianBlur(rough, (0, 0), sigmaX=0.8, sigmaY=4.0)
        coarse, fine = coarse / coarse.std(), fine / fine.std()
        inside = np.hypot(x, z) < size_m * (1 + 0.25 * coarse)
        leaf = np.array([rng.uniform(30, 130), rng.uniform(40, 150), rng.uniform(15, 80)])
        shade = np.exp(0.25 * coarse + 0.25 * fine + rng.uniform(-0.4, 0.4) * z / size_m)
        shade = shade.astype(np.float32)
        bare = rng.uniform() < 0.25
        shadow = np.roll(inside, (int(rng.integers(-80, 80)), int(rng.integers(-15, 15))), (0, 1))
        canvas[shadow & ~inside] *= rng.uniform(0.35, 0.8)
        leaves = inside & (fine > rng.uniform(-0.5, 1.0)) if bare else inside
        canvas[leaves] = (shade[..., None] * leaf).astype(np.float32)[leaves]
        at = np.clip(np.round(row).astype(int), 0, ROWS - 1)
        hidden = inside[at, np.arange(CROP)]
        state[hidden] = IGNORE if bare else OBSCURED
        for end in np.flatnonzero(np.diff(hidden.astype(int))):
            state[max(end - 1, 0) : end + 3] = IGNORE
    np.clip(canvas, 0, 255, out=canvas)
