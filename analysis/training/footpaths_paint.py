"""Painted training pictures: footpaths and wheel tracks on ground, then seen through a camera."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.enums import Resampling

from analysis.footpaths.channels import RGB_STEPS
from analysis.training import footpaths_ground as ground
from analysis.training import footpaths_objects as objects
from analysis.training.footpaths_ground import Canvas
from analysis.training.footpaths_visible import LEAST_SEEN, contrast

Array = npt.NDArray[Any]

BEFORE = (
    (objects.paint_step, 0.35),
    (objects.paint_rows, 0.28),
    (objects.paint_step, 0.15),
    (objects.paint_growth, 0.20),
    (objects.paint_water, 0.10),
    (objects.paint_plot, 0.30),
)
AFTER = (
    (objects.paint_road, 0.30),
    (objects.paint_paved_path, 0.30),
    (objects.paint_rubble, 0.15),
    (objects.paint_growth, 0.12),
    (objects.paint_water, 0.08),
    (objects.paint_wall, 0.30),
    (objects.paint_wall, 0.15),
    (objects.paint_stone_wall, 0.20),
    (objects.paint_edgings, 0.30),
    (objects.paint_roof, 0.25),
    (objects.paint_roof, 0.15),
    (objects.paint_roof, 0.10),
    (objects.paint_crowns, 0.35),
    (objects.paint_crowns, 0.20),
)


FAINT_SHARE = 0.4
"""Of painted paths, those that can just be seen: the ones that matter are half grown over."""


@dataclass(frozen=True)
class Sample:
    """One training picture.

    Attributes:
        rgb: (rows, columns, 3) uint16 as of `analysis.footpaths.channels`.
        target: (4, rows, columns) uint8 0 to 255: footpath, vehicle track, sealed, plot.
        weight: the same shape, uint8: 0 where nothing is to be learned.
    """

    rgb: Array
    target: Array
    weight: Array
    gsd_m: float


Source = Callable[[np.random.Generator], Sample]
CANVAS_PX = 512


def paint_footpath(canvas: Canvas, line: Array | None = None) -> None:
    """A worn or mown path: as wide as people make it, fading, smoother than its ground."""
    rng, size = canvas.rng, canvas.size_px
    if line is None:
        line = ground.wandering_line(canvas, "walk" if rng.random() < 0.65 else "legs")
    far = ground.distance_m(canvas, line)
    width = float(np.exp(rng.uniform(np.log(0.25), np.log(2.4))))
    width_here = width * np.exp(rng.uniform(0, 0.3) * ground.noise(rng, size, 4 / canvas.gsd_m))
    soft = width * rng.uniform(0.15, 0.8) + 0.05
    alpha = ground.stripe(far, width_here, soft)
    fade = np.clip(
        rng.uniform(0.7, 1.5)
        + rng.uniform(0, 0.5) * ground.noise(rng, size, rng.uniform(3, 12) / canvas.gsd_m),
        0,
        1,
    )
    where = canvas.open_ground & (far < width * 3)
    if where.sum() < 50:
        return
    own = np.median(canvas.lab[where], axis=0).astype(np.float32)
    sd = max(1.0, float(canvas.texture[where].std()))
    look = rng.random()
    if look < 0.45:  # bare soil shows
        mean, deviation = ground.material(rng, ground.SOIL)
        if canvas.soil is not None and rng.random() < 0.6:
            mean, deviation = canvas.soil
        mean = own + (mean - own) * rng.uniform(0.25, 1.0)
    elif look < 0.78:  # trampled: lighter (rarely darker), yellower or redder, smoother
        sign = 1 if rng.random() < 0.75 else -1
        mean = own + np.array(
            [sign * rng.uniform(1.5, 12), rng.uniform(-1, 6), rng.normal(0, 4)], np.float32
        )
        deviation = sd * rng.uniform(0.3, 0.9)
    else:  # mown or trodden into the grass: nearly its colour, another texture
        mean = own + rng.normal(0, 1, 3).astype(np.float32) * np.array([3, 2, 3], np.float32)
        mean[0] += rng.uniform(0, 6)
        deviation = sd * rng.uniform(0.2, 0.6)
    # Along some metres a contrast below the texture's own can be seen, less it cannot.
    least = max(2.2, rng.uniform(0.5, 1.4) * sd) / np.sqrt(np.clip(width / 0.8, 0.4, 1.5))
    contrast = float(np.linalg.norm((mean - own) * np.array([1, 1.2, 0.9])))
    if contrast < least:  # what cannot be seen is no lesson
        mean = own + (mean - own) * (least / max(contrast, 0.3))
    elif rng.random() < FAINT_SHARE:
        faint = least * rng.uniform(1.0, 1.8)
        mean = own + (mean - own) * min(1.0, faint / contrast)
    # Bare soil has its own colour; what is only trodden differs from the ground just there.
    own_here = ground.around(canvas, 1.5)
    colour = mean if look < 0.45 else own_here + (mean - own)
    seen = np.linalg.norm((colour - own_here) * np.array([1, 1.2, 0.9]), axis=2) > 0.6 * least
    grain = ground.texture(rng, size) * deviation * 0.7 + canvas.texture * rng.uniform(0, 0.6)
    opacity = alpha * fade * canvas.open_ground
    if rng.random() < 0.4:  # trampled margins
        margin = ground.stripe(far, width_here * rng.uniform(1.5, 2.5), soft * 2)
        canvas.lab += (margin * fade * rng.uniform(0.1, 0.3))[..., None] * (mean - own)
    ground.blend(canvas, opacity, colour, grain)
    if rng.random() < 0.15:  # grass left standing in the middle
        mid = ground.stripe(far, width * 0.25, soft * 0.5) * fade
        canvas.lab[..., 0] -= mid * (mean[0] - own[0]) * 0.6
    core = ground.stripe(far, np.maximum(width_here, 3 * canvas.gsd_m), 0.05)
    label = core * canvas.open_ground
    canvas.footpath = np.maximum(canvas.footpath, label * (fade > 0.35) * seen)
    canvas.ignore |= (label > 0) & (((fade <= 0.35) & (fade > 0.1)) | ~seen)
    rim = ground.stripe(far, width_here + max(0.5 * width, 0.3), 0.05)
    canvas.ignore |= (rim > 0.5) & (label < 0.5) & canvas.open_ground


def paint_wheel_tracks(canvas: Canvas) -> None:
    """Two ruts side by side: a vehicle, not a walker."""
    rng, size = canvas.rng, canvas.size_px
    far = ground.distance_m(canvas, ground.wandering_line(canvas, "road"))
    gauge, rut = rng.uniform(1.2, 2.0), rng.uniform(0.25, 0.7)
    alpha = ground.stripe(np.abs(far - gauge / 2), rut, rut * 0.5)
    alpha = alpha * np.clip(rng.uniform(0.6, 1.4) + 0.3 * ground.noise(rng, size, 60), 0, 1)
    alpha = alpha * canvas.open_ground
    own = np.median(canvas.lab[canvas.open_ground], axis=0) if canvas.open_ground.any() else 50.0
    mean, deviation = ground.material(rng, ground.SOIL)
    mean = (own + (mean - own) * rng.uniform(0.3, 1.0)).astype(np.float32)
    ground.fill(canvas, alpha, mean, deviation)
    whole = ground.stripe(far, gauge + rut + 0.2, 0.1) * canvas.open_ground
    canvas.footpath *= 1 - whole
    canvas.vehicle = np.maximum(canvas.vehicle, whole)


def _light(sample: Array, rng: np.random.Generator) -> Array:
    """Gamma, saturation, white balance, contrast, haze: another camera, another day."""
    rgb = sample ** rng.uniform(0.65, 1.5)
    grey = rgb.mean(axis=2, keepdims=True)
    rgb = grey + (rgb - grey) * rng.uniform(0.35, 1.5)
    rgb = rgb * rng.normal(1, 0.06, 3).astype(np.float32)
    rgb = rgb * rng.uniform(0.75, 1.2)
    if rng.random() < 0.25:
        haze = rng.uniform(0, 0.2)
        rgb = rgb * (1 - haze) + haze
    return np.clip(rgb, 0, 1)


def _resolution(rgb: Array, rng: np.random.Generator, gsd_m: float) -> Array:
    """Detail as a coarser or a blurred picture has it."""
    size = rgb.shape[0]
    draw = rng.random()
    if draw < 0.35:
        native = rng.uniform(gsd_m, 0.33)
        small = max(16, round(size * gsd_m / native))
        rgb = cv2.resize(rgb, (small, small), interpolation=cv2.INTER_AREA)
    elif draw < 0.65:
        sigma = rng.uniform(0.3, 1.4)
        rgb = cv2.GaussianBlur(rgb, (0, 0), sigma)
    rgb = rgb + rng.normal(0, 1, rgb.shape).astype(np.float32) * rng.uniform(0, 0.015)
    if rng.random() < 0.6:
        levels = np.clip(rgb * 255, 0, 255).astype(np.uint8)
        quality = int(rng.uniform(35, 95))
        _, coded = cv2.imencode(".jpg", levels, [cv2.IMWRITE_JPEG_QUALITY, quality])
        rgb = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.float32) / 255
    if rgb.shape[0] != size:
        rgb = cv2.resize(rgb, (size, size), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.2:  # sharpened by the camera
        rgb = rgb + rng.uniform(0.2, 1.0) * (rgb - cv2.GaussianBlur(rgb, (0, 0), 1.2))
    return np.clip(rgb, 0, 1)


def _paths(canvas: Canvas) -> None:
    rng = canvas.rng
    for _ in range(int(rng.choice([0, 1, 2, 3, 5], p=[0.15, 0.2, 0.3, 0.2, 0.15]))):
        paint_footpath(canvas)
    if rng.random() < 0.15:  # along the edge of something
        line = ground.wandering_line(canvas, str(rng.choice(["road", "walk", "straight"])))
        kinds = (objects.paint_step, objects.paint_wall, objects.paint_growth)
        kinds[int(rng.integers(3))](canvas, line)
        aside = rng.normal(0, 1, 2)
        aside *= rng.uniform(0.4, 3) / canvas.gsd_m / (np.linalg.norm(aside) + 1e-6)
        paint_footpath(canvas, line + aside)
    if rng.random() < 0.25:
        paint_wheel_tracks(canvas)


def seen_by_camera(canvas: Canvas, known: tuple[bool, bool, bool, bool]) -> Sample:
    """The picture a camera makes of a canvas, and which of its classes are `known` there."""
    rng = canvas.rng
    lab = canvas.lab.astype(np.float32)
    lab[..., 0] = lab[..., 0].clip(2, 99)
    rgb = np.clip(cv2.cvtColor(lab, cv2.COLOR_Lab2RGB), 0, 1)
    rgb = _resolution(_light(rgb, rng), rng, canvas.gsd_m)
    path = canvas.footpath > 0.5
    if path.any():  # half grown over, in the shade, blurred: nobody could learn it from this
        seen = contrast(rgb, path, ~canvas.ignore, canvas.gsd_m) >= LEAST_SEEN
        canvas.ignore |= (canvas.footpath > 0) & ~seen
    target = np.stack([canvas.footpath, canvas.vehicle, canvas.sealed, canvas.plot])
    weight = np.stack([np.where(canvas.ignore, 0, 255) * int(k) for k in known])
    weight[3] = np.where(canvas.like_plot & (canvas.plot < 0.5), 0, weight[3])
    return Sample(
        np.round(rgb * 255 * RGB_STEPS).astype(np.uint16),
        np.round(target.clip(0, 1) * 255).astype(np.uint8),
        weight.astype(np.uint8),
        canvas.gsd_m,
    )


def painted(rng: np.random.Generator, size_px: int) -> Sample:
    """A picture painted altogether."""
    canvas = ground.new_ground(rng, size_px, float(rng.uniform(0.075, 0.15)))
    for paint, chance in BEFORE:
        if rng.random() < chance:
            paint(canvas)
    _paths(canvas)
    for paint, chance in AFTER:
        if rng.random() < chance:
            paint(canvas)
    return seen_by_camera(canvas, (True, True, True, True))


def painted_on(
    rng: np.random.Generator, size_px: int, rgb: Array, gsd_m: float, usable: Array
) -> Sample:
    """Paths painted on a crop of a real picture that has none.

    What else is in the crop is no footpath; whether it is sealed is not known.

    Args:
        rgb: (rows, columns, 3) uint8.
        gsd_m: metres per pixel of `rgb`.
        usable: (rows, columns) bool: where the picture has data and no paths of its own.
    """
    new_gsd = float(rng.uniform(0.075, 0.15)) * float(np.clip(gsd_m / 0.1, 0.9, 1.3))
    scale = gsd_m / new_gsd
    angle = rng.uniform(0, 360)
    centre = rng.uniform(0, 1, 2) * rgb.shape[1::-1]
    turn = cv2.getRotationMatrix2D((float(centre[0]), float(centre[1])), angle, scale)
    turn[:, 2] += size_px / 2 - centre
    cut = cv2.warpAffine(
        rgb, turn, (size_px, size_px), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
    )
    inside = cv2.warpAffine(
        usable.astype(np.uint8), turn, (size_px, size_px), flags=cv2.INTER_NEAREST,
        borderMode=cv2.BORDER_REFLECT_101,
    ).astype(bool)  # fmt: skip
    if rng.random() < 0.5:
        cut, inside = cut[:, ::-1].copy(), inside[:, ::-1].copy()
    lab = cv2.cvtColor(cut.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    lab[..., 1:] += rng.normal(0, 4, 2).astype(np.float32)
    canvas = Canvas(lab, min(new_gsd, 0.15), rng)
    canvas.ignore |= ~inside
    smooth = cv2.GaussianBlur(lab[..., 0], (0, 0), 6)
    canvas.texture = lab[..., 0] - smooth
    rough = np.sqrt(cv2.GaussianBlur(canvas.texture**2, (0, 0), 8))
    canvas.open_ground = rough < np.percentile(rough, rng.uniform(50, 95))
    _paths(canvas)
    if rng.random() < 0.3:
        objects.paint_plot(canvas)
    if rng.random() < 0.3:
        objects.paint_crowns(canvas)
    return seen_by_camera(canvas, (True, False, False, True))


def read_ground(path: Path) -> Source:
    """A real picture without footpaths as a source of training pictures, at about 0.1 m."""
    with rasterio.open(path) as dataset:
        factor = max(1, round(0.1 / dataset.res[0]))
        shape = (dataset.height // factor, dataset.width // factor)
        bands = dataset.read([1, 2, 3], out_shape=(3, *shape), resampling=Resampling.average)
        gsd_m = dataset.res[0] * dataset.width / shape[1]
    rgb = np.ascontiguousarray(bands.transpose(1, 2, 0))
    usable = (rgb.max(axis=2) > 6) & (rgb.min(axis=2) < 250)

    def source(rng: np.random.Generator) -> Sample:
        return painted_on(rng, CANVAS_PX, rgb, gsd_m, usable)

    return source
