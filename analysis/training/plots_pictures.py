"""Pictures to learn plots from: generated scenes, painted ground, real ground without any.

What is cut from them is turned and scaled at will, look-alikes are laid on it, and a camera sees
it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import shapely

from analysis.footpaths.channels import RGB_STEPS, network_input, to_lab
from analysis.raster import Orthophoto
from analysis.training import footpaths_ground as ground
from analysis.training import footpaths_objects as objects
from analysis.training.footpaths_ground import Canvas
from analysis.training.plots_lookalikes import paint_look_alikes, paint_swaths
from analysis.training.scene_truth import SceneTruth, drawn

Array = npt.NDArray[Any]

CORE_M = 0.45
CROP_PX = 192
READ_GSD_M = 0.08
GSD_M = (0.075, 0.14)
COARSEST_SEEN_M = 0.2
"""Of the detail that a crop shows, whatever its pixels: coarser pictures are not searched."""
INSIDE_M, OUTSIDE_M = 45.0, 40.0
"""How far beside a fence it is known to be the road's ground, or not to be."""
ON_PLOT = 0.6
"""Share of a scene's crops that are laid on a plot."""
HIDDEN_WEIGHT = 0.3
"""Of what lies under crowns: the outline goes on, but little shows it."""
SHARES = {"scene": 0.65, "painted": 0.2, "ground": 0.15}
"""Of crops, by where they are from."""
LOOK_ALIKES = {"scene": 0.3, "painted": 0.9, "ground": 0.4}
"""Share of the crops that look-alikes are laid on."""
CROSSED = {"scene": 0.25, "painted": 0.25, "ground": 0.1}
"""Share of the crops that a line is laid across."""
CROSSED_WIDTH_M = (0.04, 0.6)


@dataclass(frozen=True)
class Picture:
    """A picture on its working grid, of `READ_GSD_M`.

    Attributes:
        rgb: (H, W, 3) uint8.
        labels: (H, W, 3) uint8: plot, core, and weight in hundredths.
        on_plot, inside: (N, 2) rows and columns of pixels on plots, and where the truth is known.
    """

    rgb: Array
    labels: Array
    on_plot: Array
    inside: Array


@dataclass(frozen=True)
class Crop:
    """What a place shows, before a camera saw it.

    Attributes:
        lab: (N, N, 3) float32, CIE Lab.
        plot, core, weight: (N, N) float32, 0 to 1.
        valid: (N, N) bool, where anything was imaged.
        gsd_m: metres per pixel.
    """

    lab: Array
    plot: Array
    core: Array
    weight: Array
    valid: Array
    gsd_m: float


def read_scene(folder: Path) -> Picture:
    """What there is to learn from a folder that `fencewalk scene` wrote."""
    truth = SceneTruth.open(folder)
    patch = truth.ortho.read(None, READ_GSD_M)
    plots = truth.plots
    known = truth.between_fences(INSIDE_M, OUTSIDE_M)
    known = shapely.union_all([known, *shapely.buffer(np.array(plots, dtype=object), 2.0)])
    plot = drawn(plots, patch)
    core = drawn([shapely.buffer(p, -CORE_M, join_style="mitre") for p in plots], patch)
    weight = 100 * drawn([known], patch)
    weight[~patch.valid] = 0
    hidden = drawn(truth.crowns, patch) & plot
    weight[hidden > 0] = round(100 * HIDDEN_WEIGHT)
    rows, columns = np.nonzero(weight)
    box = np.s_[:, :]
    if len(rows):  # the rest of the picture is not needed
        margin = int(6.0 / READ_GSD_M)
        box = np.s_[
            max(rows.min() - margin, 0) : rows.max() + margin,
            max(columns.min() - margin, 0) : columns.max() + margin,
        ]
    # Each plot has its share, however large it is.
    places = [np.argwhere(drawn([p], patch)[box] > 0)[::97][:40] for p in plots]
    labels = np.dstack([plot[box], core[box], weight[box]])
    return Picture(
        np.ascontiguousarray(patch.rgb[box]),
        np.ascontiguousarray(labels),
        np.concatenate(places) if places else np.zeros((0, 2), int),
        _known(labels),
    )


def read_ground(path: Path) -> Picture:
    """A real picture that holds no plots."""
    patch = Orthophoto.open(path).read(None, READ_GSD_M)
    weight = np.where(patch.valid, 100, 0).astype(np.uint8)
    labels = np.dstack([np.zeros_like(weight), np.zeros_like(weight), weight])
    return Picture(patch.rgb, labels, np.zeros((0, 2), int), _known(labels))


def _known(labels: Array) -> Array:
    return np.argwhere(labels[::16, ::16, 2] > 0) * 16


def cut(picture: Picture, rng: np.random.Generator) -> Crop:
    """A square of a picture at some angle and scale."""
    gsd_m = float(rng.uniform(*GSD_M))
    on_plot = len(picture.on_plot) > 0 and rng.random() < ON_PLOT
    places = picture.on_plot if on_plot else picture.inside
    centre = places[rng.integers(len(places))] + rng.normal(0, 3.5 / READ_GSD_M, 2)
    turn = cv2.getRotationMatrix2D(
        (float(centre[1]), float(centre[0])), float(rng.uniform(0, 360)), READ_GSD_M / gsd_m
    )
    turn[:, 2] += CROP_PX / 2 - centre[::-1]
    size = (CROP_PX, CROP_PX)
    rgb = cv2.warpAffine(picture.rgb, turn, size, flags=cv2.INTER_LINEAR)
    labels = cv2.warpAffine(picture.labels, turn, size, flags=cv2.INTER_NEAREST)
    plot, core, weight = np.moveaxis(labels.astype(np.float32), 2, 0)
    lab = cv2.cvtColor(rgb.astype(np.float32) / 255.0, cv2.COLOR_RGB2Lab)
    return Crop(lab, plot, core, weight / 100, rgb.any(axis=2), gsd_m)


def painted(rng: np.random.Generator) -> Crop:
    """Ground painted altogether, with plots on it or without."""
    canvas = ground.new_ground(rng, CROP_PX, float(rng.uniform(*GSD_M)))
    if rng.random() < 0.25:
        paint_swaths(canvas)
    if rng.random() < 0.5:
        objects.paint_plot(canvas)
    if rng.random() < 0.15:  # a field of which nobody can say whether it is a plot
        objects.paint_rows(canvas)
    plot = canvas.plot > 0.5
    inward_m = cv2.distanceTransform(plot.astype(np.uint8), cv2.DIST_L2, 5) * canvas.gsd_m
    return Crop(
        canvas.lab,
        plot.astype(np.float32),
        (inward_m > CORE_M).astype(np.float32),
        1.0 - (canvas.like_plot & ~plot),
        np.ones(plot.shape, bool),
        canvas.gsd_m,
    )


def with_look_alikes(crop: Crop, rng: np.random.Generator) -> Crop:
    """The same place with something on it that is no plot."""
    canvas = Canvas(crop.lab, crop.gsd_m, rng)
    covered = paint_look_alikes(canvas)
    return Crop(
        canvas.lab,
        np.where(covered, 0, crop.plot),
        np.where(covered, 0, crop.core),
        np.where(covered & crop.valid, 1, crop.weight),
        crop.valid,
        crop.gsd_m,
    )


def crossed(crop: Crop, rng: np.random.Generator) -> Crop:
    """The same place with a cable, a pipe or a lined channel across it, straight and of one colour.

    A bed goes on under it: what is a plot stays one.
    """
    angle, width_m = rng.uniform(0, np.pi), float(np.exp(rng.uniform(*np.log(CROSSED_WIDTH_M))))
    y, x = np.indices(crop.plot.shape) - crop.plot.shape[0] / 2
    away_m = np.abs(x * np.sin(angle) - y * np.cos(angle) + rng.normal(0, 2.0) / crop.gsd_m)
    away_m *= crop.gsd_m
    covered = np.clip((width_m / 2 - away_m) / crop.gsd_m + 0.5, 0, 1)[..., np.newaxis]
    colour = np.array([rng.uniform(15, 95), rng.normal(0, 3), rng.normal(2, 5)], np.float32)
    lab = crop.lab * (1 - covered) + colour * covered
    return replace(crop, lab=lab.astype(np.float32))


def seen(crop: Crop, rng: np.random.Generator) -> tuple[Array, Array]:
    """What the network is shown of a crop, and what it is to answer.

    Returns:
        Planes (6, N, N) and labels (3, N, N) float32: plot, core, weight.
    """
    lab = crop.lab.astype(np.float32)
    lab[..., 0] = lab[..., 0].clip(0, 100)
    rgb = _camera(np.clip(cv2.cvtColor(lab, cv2.COLOR_Lab2RGB), 0, 1), crop.gsd_m, rng)
    levels = np.round(rgb * 255 * RGB_STEPS).astype(np.uint16)
    labels = np.stack([crop.plot, crop.core, crop.weight]).astype(np.float32)
    valid = crop.valid
    if rng.random() < 0.5:
        levels, labels, valid = levels[:, ::-1], labels[:, :, ::-1], valid[:, ::-1]
    planes = network_input(to_lab(levels), np.ascontiguousarray(valid), crop.gsd_m)
    return planes, np.ascontiguousarray(labels)


def _camera(rgb: Array, gsd_m: float, rng: np.random.Generator) -> Array:
    """A picture as another camera, in another light, would have it; 0 to 1."""
    draw = rng.random()
    if draw < 0.2:
        size = max(16, round(CROP_PX * gsd_m / rng.uniform(gsd_m, COARSEST_SEEN_M)))
        rgb = cv2.resize(rgb, (size, size), interpolation=cv2.INTER_AREA)
        rgb = cv2.resize(rgb, (CROP_PX, CROP_PX), interpolation=cv2.INTER_LINEAR)
    elif draw < 0.5:
        rgb = cv2.GaussianBlur(rgb, (0, 0), float(rng.uniform(0.3, 1.1)))
    rgb = np.clip(rgb, 1e-4, 1.0) ** float(np.exp(rng.normal(0, 0.2)))
    rgb = rgb * np.exp(rng.normal(0, 0.2) + rng.normal(0, 0.07, 3)).astype(np.float32)
    grey = rgb.mean(axis=2, keepdims=True)
    rgb = grey + (rgb - grey) * float(rng.uniform(0.4, 1.5))
    grain = rng.standard_normal(rgb.shape, dtype=np.float32) * np.float32(rng.uniform(0, 0.03))
    rgb = np.clip(rgb + float(rng.uniform(0, 0.05)) + grain, 0, 1)
    if rng.random() < 0.3:
        levels = np.round(rgb * 255).astype(np.uint8)
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.uniform(40, 95))]
        _, coded = cv2.imencode(".jpg", levels, quality)
        rgb = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.float32) / 255
    return np.asarray(rgb, dtype=np.float32)


class Pictures:
    """Where crops are drawn from."""

    def __init__(self, scenes: Sequence[Picture], plain: Sequence[Picture]) -> None:
        """Crops of scenes, of plain ground without plots, and painted ones."""
        # Scenes with many plots are looked at more often.
        often = np.array([2.0 + min(len(scene.on_plot), 800) / 40 for scene in scenes])
        often /= often.sum()
        self._sources: dict[str, Callable[[np.random.Generator], Crop]] = {
            "scene": lambda rng: cut(scenes[int(rng.choice(len(scenes), p=often))], rng),
            "painted": painted,
        }
        if plain:
            self._sources["ground"] = lambda rng: cut(plain[int(rng.integers(len(plain)))], rng)
        self._names = list(self._sources)
        shares = np.array([SHARES[name] for name in self._names])
        self._shares = shares / shares.sum()

    def draw(self, rng: np.random.Generator) -> tuple[Array, Array]:
        """What the network is shown next (see `seen`)."""
        name = self._names[int(rng.choice(len(self._names), p=self._shares))]
        crop = self._sources[name](rng)
        if rng.random() < CROSSED[name]:
            crop = crossed(crop, rng)
        if rng.random() < LOOK_ALIKES[name]:
            crop = with_look_alikes(crop, rng)
        return seen(crop, rng)
