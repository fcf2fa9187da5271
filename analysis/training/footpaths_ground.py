"""Ground to paint paths on: procedural terrain, lines over it, and how things are laid on it.

Everything is painted in CIE Lab on a canvas of a given pixel size, from one random generator, so
that a seed gives the same picture. Sizes are metres.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

# Mean L*, a*, b* (low, high) and texture deviation of L*; drawn wide on purpose, for any season and
# any camera.
VEGETATION = {
    "grass": ((32, 65), (-22, -6), (12, 38), (1.5, 7)),
    "dry grass": ((48, 76), (-4, 6), (10, 30), (1.5, 6)),
    "meadow": ((40, 65), (-14, -2), (14, 34), (2.5, 8)),
    "dormant": ((38, 62), (-2, 5), (4, 18), (1.5, 6)),
    "scrub": ((22, 48), (-15, -2), (6, 25), (5, 11)),
}
SOIL = {
    "brown": ((32, 70), (1, 13), (7, 28), (1.0, 4.5)),
    "red": ((35, 60), (10, 26), (14, 36), (1.0, 4.5)),
    "sand": ((62, 90), (-1, 6), (5, 24), (0.8, 4)),
    "grey earth": ((35, 75), (-2, 4), (0, 12), (1.0, 5)),
    "dark earth": ((18, 38), (0, 6), (2, 12), (1.0, 4)),
}
SEALED = {
    "asphalt": ((25, 60), (-2, 2), (-5, 5), (0.5, 2.0)),
    "concrete": ((60, 93), (-3, 3), (-3, 10), (0.5, 2.2)),
    "pavers": ((40, 75), (-1, 14), (0, 16), (0.8, 3.0)),
    "gravel": ((50, 85), (-2, 3), (-2, 10), (1.0, 3.5)),
}


@dataclass
class Canvas:
    """A picture being painted, with what is where.

    Attributes:
        lab: (rows, columns, 3) float32.
        texture: (rows, columns) float32 of the ground's own texture in L*.
        footpath, vehicle, sealed: (rows, columns) float32, 0 to 1: what the network is to find;
            sealed is whatever was built or is water: roads, paved paths, roofs, ponds.
        plot: float32, 0 to 1: beds that people cultivate.
        ignore: bool, where an answer is neither right nor wrong.
        like_plot: bool, rows and fields of which nobody can say whether they are one.
        open_ground: bool, where a path may be worn.
        soil: mean Lab and texture deviation of the earth under what grows, if one was chosen.
    """

    lab: Array
    gsd_m: float
    rng: np.random.Generator
    texture: Array = field(init=False)
    footpath: Array = field(init=False)
    vehicle: Array = field(init=False)
    sealed: Array = field(init=False)
    plot: Array = field(init=False)
    ignore: Array = field(init=False)
    like_plot: Array = field(init=False)
    open_ground: Array = field(init=False)
    soil: tuple[Array, float] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        shape = self.lab.shape[:2]
        self.texture = np.zeros(shape, np.float32)
        self.footpath = np.zeros(shape, np.float32)
        self.vehicle = np.zeros(shape, np.float32)
        self.sealed = np.zeros(shape, np.float32)
        self.plot = np.zeros(shape, np.float32)
        self.ignore = np.zeros(shape, bool)
        self.like_plot = np.zeros(shape, bool)
        self.open_ground = np.ones(shape, bool)

    @property
    def size_px(self) -> int:
        """Rows, which are as many as columns."""
        return int(self.lab.shape[0])

    def cover(self, alpha: Array) -> None:
        """Takes labels away where something opaque was painted."""
        self.footpath *= 1 - alpha
        self.vehicle *= 1 - alpha
        self.sealed *= 1 - alpha
        self.plot *= 1 - alpha
        self.open_ground &= alpha < 0.5


def noise(rng: np.random.Generator, size_px: int, cell_px: float, stretch: float = 1.0) -> Array:
    """Smooth noise of unit deviation with features of about `cell_px`, longer in x by `stretch`."""
    rows = max(2, int(size_px / cell_px) + 2)
    columns = max(2, int(size_px / (cell_px * stretch)) + 2)
    small = rng.standard_normal((rows, columns)).astype(np.float32)
    if rows >= size_px and columns >= size_px:
        return small[:size_px, :size_px]
    full = cv2.resize(small, (size_px, size_px), interpolation=cv2.INTER_CUBIC)
    return full / (full.std() + 1e-6)


def texture(rng: np.random.Generator, size_px: int) -> Array:
    """Ground texture of unit deviation: a random mixture of grain, tufts and patches."""
    weights = rng.dirichlet([0.8, 1.0, 1.0, 0.7, 0.5])
    total = np.zeros((size_px, size_px), np.float32)
    for weight, cell_px in zip(weights, (1.0, 2.2, 4.5, 10.0, 25.0), strict=True):
        total += np.sqrt(weight) * noise(rng, size_px, cell_px * rng.uniform(0.8, 1.3))
    if rng.random() < 0.2:  # a lie of the grass, or wind
        angle = rng.uniform(0, 180)
        streaks = noise(rng, size_px, rng.uniform(1.5, 4), rng.uniform(3, 9))
        turn = cv2.getRotationMatrix2D((size_px / 2, size_px / 2), angle, 1.5)
        total += rng.uniform(0.2, 0.8) * cv2.warpAffine(
            streaks, turn, (size_px, size_px), borderMode=cv2.BORDER_REFLECT
        )
    return total / (total.std() + 1e-6)


def material(rng: np.random.Generator, kinds: dict[str, Any]) -> tuple[Array, float]:
    """Mean Lab and texture deviation of one material drawn from `kinds`."""
    ranges = kinds[str(rng.choice(list(kinds)))]
    mean = np.array([rng.uniform(*ranges[channel]) for channel in range(3)], np.float32)
    return mean, float(rng.uniform(*ranges[3]))


def around(canvas: Canvas, reach_m: float) -> Array:
    """The mean colour around each pixel."""
    step = max(1, round(reach_m / canvas.gsd_m / 4))
    small = cv2.resize(canvas.lab, None, fx=1 / step, fy=1 / step, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), reach_m / canvas.gsd_m / step)
    return np.asarray(cv2.resize(small, (canvas.size_px,) * 2, interpolation=cv2.INTER_LINEAR))


def fill(canvas: Canvas, alpha: Array, mean: Array, deviation: float) -> None:
    """Paints a material over `alpha`, with a texture of its own."""
    grain = texture(canvas.rng, canvas.size_px) * deviation
    blend(canvas, alpha, mean, grain)


def blend(canvas: Canvas, alpha: Array, mean: Array, grain: Array) -> None:
    """Mixes a colour with L* texture `grain` over the canvas."""
    a = np.asarray(alpha, np.float32)[..., None]
    colour = np.empty_like(canvas.lab)
    colour[:] = mean
    colour[..., 0] += grain
    colour[..., 2] += 0.25 * grain
    canvas.lab = canvas.lab * (1 - a) + colour * a
    canvas.texture = canvas.texture * (1 - alpha) + grain * alpha


def new_ground(rng: np.random.Generator, size_px: int, gsd_m: float) -> Canvas:
    """Open ground of two to four materials in patches, soft or sharp."""
    canvas = Canvas(np.zeros((size_px, size_px, 3), np.float32), gsd_m, rng)
    canvas.soil = material(rng, SOIL)
    green = rng.random() < 0.72
    kinds = VEGETATION if green else SOIL
    mean, deviation = material(rng, kinds)
    fill(canvas, np.ones((size_px, size_px), np.float32), mean, deviation)
    for _ in range(rng.integers(0, 4)):
        other = VEGETATION if rng.random() < 0.5 else SOIL
        mean2, deviation2 = material(rng, other)
        if other is SOIL and rng.random() < 0.6:  # the same earth shows where people walk
            mean2, deviation2 = canvas.soil
        if rng.random() < 0.6:  # a variant of the same ground rather than another one
            mean2 = mean + rng.normal(0, 1, 3).astype(np.float32) * np.array([5, 3, 4], np.float32)
        field_ = noise(rng, size_px, rng.uniform(1, 15) / gsd_m)
        field_ += rng.uniform(0.2, 0.7) * noise(rng, size_px, rng.uniform(0.4, 2.5) / gsd_m)
        field_ += rng.uniform(0.0, 0.5) * noise(rng, size_px, rng.uniform(0.1, 0.5) / gsd_m)
        edge = rng.uniform(0.05, 1.0)
        alpha = np.clip((field_ - rng.uniform(0.2, 1.6)) / edge + 0.5, 0, 1)
        fill(canvas, alpha * rng.uniform(0.3, 1.0), mean2, deviation2)
    light = 1 + rng.uniform(0, 0.10) * noise(rng, size_px, rng.uniform(15, 60) / gsd_m)
    canvas.lab[..., 0] *= light
    return canvas


def distance_m(canvas: Canvas, line: Array) -> Array:
    """Metres from each pixel to a polyline of (n, 2) x, y pixels, drawn at twice the size."""
    size = canvas.size_px * 2
    drawn = np.full((size, size), 255, np.uint8)
    points = np.round((line * 2 + 0.5) * 16).astype(np.int32)
    cv2.polylines(drawn, [points.reshape(-1, 1, 2)], False, 0, 1, cv2.LINE_8, shift=4)
    far = cv2.distanceTransform(drawn, cv2.DIST_L2, cv2.DIST_MASK_5)
    return cv2.resize(far, (canvas.size_px,) * 2, interpolation=cv2.INTER_AREA) * (canvas.gsd_m / 2)


def wandering_line(canvas: Canvas, kind: str = "walk") -> Array:
    """A centreline across the canvas as (n, 2) x, y pixels.

    `walk`: heading drifts as people walk; `legs`: straight from corner to corner, as one crosses a
    lot; `road`: long even curves; `straight`.
    """
    rng, size = canvas.rng, canvas.size_px
    step_m = 0.5
    start = rng.uniform(0.0, 1.0, 2) * size
    if rng.random() < 0.7:  # from an edge of the canvas
        start[rng.integers(2)] = rng.choice([-5.0, size + 5.0])
    aim = rng.uniform(0.15, 0.85, 2) * size
    heading = np.arctan2(*(aim - start)[::-1])
    # The heading swings about the way to where one wants to go.
    swing = {
        "walk": rng.choice([0.1, 0.25, 0.45, 0.7]),
        "legs": rng.uniform(0.0, 0.12),
        "road": rng.uniform(0.05, 0.5),
    }.get(kind, 0.0)
    memory_m = rng.uniform(2, 14) if kind == "walk" else rng.uniform(15, 50)
    keep = np.exp(-step_m / memory_m)
    smooth = swing_ = rng.normal(0, swing)
    points = [start]
    longest = int(rng.uniform(0.4, 2.0) * size * canvas.gsd_m / step_m)
    leg_m = float(rng.uniform(5, 35))
    for _ in range(longest):
        leg_m -= step_m
        if kind == "legs" and leg_m < 0:
            heading += rng.normal(0, 0.6)
            leg_m = float(rng.uniform(5, 35))
        swing_ = keep * swing_ + np.sqrt(1 - keep**2) * rng.normal(0, swing)
        smooth = 0.8 * smooth + 0.2 * swing_
        way = heading + smooth
        step = np.array([np.cos(way), np.sin(way)]) * step_m / canvas.gsd_m
        points.append(points[-1] + step)
        if not (-20 < points[-1][0] < size + 20 and -20 < points[-1][1] < size + 20):
            break
    line = np.array(points)
    if kind in ("walk", "legs") and rng.random() < 0.5:  # steps aside around tufts and puddles
        wobble = np.cumsum(rng.normal(0, rng.uniform(0.02, 0.10), (len(line), 2)), axis=0)
        line += (wobble - cv2.blur(wobble, (1, 15))) / canvas.gsd_m
    return line


def stripe(far_m: Array, width_m: float | Array, soft_m: float) -> Array:
    """Opacity of a stripe of a width, its edges soft over `soft_m`."""
    return np.clip((width_m / 2 - far_m) / soft_m + 0.5, 0, 1).astype(np.float32)
