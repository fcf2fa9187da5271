"""What is painted on ground beside the paths: roads, roofs, walls, rows, water, crowns."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from analysis.training.footpaths_ground import (
    SEALED,
    SOIL,
    VEGETATION,
    Canvas,
    blend,
    distance_m,
    fill,
    material,
    noise,
    stripe,
    texture,
    wandering_line,
)

Array = npt.NDArray[Any]


def paint_road(canvas: Canvas) -> None:
    """A sealed or dirt road, 2.6–12 m, with markings or edges now and then."""
    rng = canvas.rng
    width = rng.uniform(2.6, 12)
    line = wandering_line(canvas, "road" if rng.random() < 0.7 else "straight")
    far = distance_m(canvas, line)
    kinds = SEALED if rng.random() < 0.7 else SOIL
    mean, deviation = material(rng, kinds)
    if rng.random() < 0.6:  # verge
        verge, verge_deviation = material(rng, SOIL if rng.random() < 0.5 else VEGETATION)
        alpha = stripe(far, width + rng.uniform(0.5, 3), 0.8)
        fill(canvas, alpha * rng.uniform(0.3, 1), verge, verge_deviation)
        canvas.cover(alpha)
    alpha = stripe(far, width, rng.uniform(0.1, 0.5))
    fill(canvas, alpha, mean, deviation)
    canvas.cover(alpha)
    canvas.sealed = np.maximum(canvas.sealed, alpha)
    if kinds is SEALED and rng.random() < 0.5:
        offset = rng.choice([0.0, width / 2 - 0.3])
        mark = stripe(np.abs(far - offset), rng.uniform(0.12, 0.25), 0.08)
        canvas.lab[..., 0] += mark * rng.uniform(10, 35)
    if kinds is not SEALED or rng.random() < 0.3:  # worn wheel tracks within the road
        ruts = stripe(np.abs(far - rng.uniform(0.7, 1.0)), rng.uniform(0.3, 0.6), 0.3)
        canvas.lab[..., 0] += ruts * rng.normal(0, 5)


def paint_paved_path(canvas: Canvas) -> None:
    """A built path: even width, sharp edges, one colour."""
    rng = canvas.rng
    kind = str(rng.choice(["road", "walk", "straight"], p=[0.45, 0.25, 0.3]))
    far = distance_m(canvas, wandering_line(canvas, kind))
    mean, deviation = material(rng, SEALED)
    alpha = stripe(far, rng.uniform(0.9, 3.2), rng.uniform(0.06, 0.15))
    fill(canvas, alpha, mean, deviation * 0.7)
    canvas.cover(alpha)
    canvas.sealed = np.maximum(canvas.sealed, alpha)
    if rng.random() < 0.3:
        kerb = stripe(np.abs(far - 0.6), 0.12, 0.08)
        canvas.lab[..., 0] += kerb * rng.normal(0, 12)


def paint_roof(canvas: Canvas) -> None:
    """A building seen from above: one or two roof planes, ribs, clutter, its shadow."""
    rng, size = canvas.rng, canvas.size_px
    centre = rng.uniform(0, size, 2)
    half = np.array([rng.uniform(1.5, 9), rng.uniform(1.5, 7)]) / canvas.gsd_m
    angle = rng.uniform(0, 180)
    box = cv2.boxPoints(((float(centre[0]), float(centre[1])), tuple(half * 2), angle))
    shadow_by = rng.normal(0, 3.5 / canvas.gsd_m, 2)
    shadow = np.zeros((size, size), np.float32)
    hull = cv2.convexHull(np.vstack([box, box + shadow_by]).astype(np.float32))
    cv2.fillConvexPoly(shadow, np.round(hull).astype(np.int32), 1.0)
    canvas.lab[..., 0] *= 1 - cv2.blur(shadow, (3, 3)) * rng.uniform(0.3, 0.65)
    canvas.ignore |= (shadow > 0.5) & (canvas.footpath > 0.2) & (rng.random() < 0.5)
    alpha = np.zeros((size, size), np.float32)
    cv2.fillConvexPoly(alpha, np.round(box).astype(np.int32), 1.0)
    mean = np.array([rng.uniform(25, 93), rng.normal(2, 10), rng.normal(3, 12)], np.float32)
    fill(canvas, alpha, mean, rng.uniform(0.4, 3))
    canvas.cover(alpha)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    turn = np.deg2rad(angle)
    along = (x - centre[0]) * np.cos(turn) + (y - centre[1]) * np.sin(turn)
    across = -(x - centre[0]) * np.sin(turn) + (y - centre[1]) * np.cos(turn)
    if rng.random() < 0.5:
        canvas.lab[..., 0] += alpha * np.where(across > 0, 1, -1) * rng.uniform(1, 10)
    if rng.random() < 0.5:
        period = rng.uniform(0.25, 1.2) / canvas.gsd_m
        canvas.lab[..., 0] += alpha * np.sin(along * 2 * np.pi / period) * rng.uniform(1, 8)
    for _ in range(rng.integers(0, 8)):  # tanks, parapets, washing lines
        a, b = rng.uniform(-1, 1, (2, 2)) * half
        to_canvas = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        ends = [centre + to_canvas @ a, centre + to_canvas @ b]
        if rng.random() < 0.5:
            ends[1] = centre + to_canvas @ np.array([a[0], b[1]])
        mark = np.zeros((size, size), np.float32)
        p, q = (tuple(int(v) for v in np.round(end)) for end in ends)
        cv2.line(mark, p, q, 1.0, int(rng.integers(1, 8)), cv2.LINE_AA)
        canvas.lab[..., 0] += mark * alpha * rng.normal(0, 15)
    if rng.random() < 0.6:  # parapet
        edge = np.zeros((size, size), np.float32)
        cv2.polylines(
            edge, [np.round(box).astype(np.int32)], True, 1.0, int(rng.integers(1, 4)), cv2.LINE_AA
        )
        canvas.lab[..., 0] += edge * rng.normal(0, 14)
    canvas.sealed = np.maximum(canvas.sealed, alpha)


def paint_wall(canvas: Canvas, line: Array | None = None) -> None:
    """A wall, fence, hedge, kerb or ditch: a thin line with its shadow on one side."""
    rng = canvas.rng
    if line is None:
        line = wandering_line(canvas, str(rng.choice(["straight", "road"])))
    width = rng.uniform(0.1, 0.6)
    shade = rng.normal(0, 1.0, 2) * 6
    far_shadow = distance_m(canvas, line + shade)
    dark = stripe(far_shadow, abs(shade).max() * canvas.gsd_m + width, 0.2)
    if rng.random() < 0.85:
        canvas.lab[..., 0] *= 1 - dark * rng.uniform(0.2, 0.6)
    alpha = stripe(distance_m(canvas, line), width, 0.1)
    mean, deviation = material(rng, SEALED if rng.random() < 0.7 else VEGETATION)
    if rng.random() < 0.2:
        mean[0] = rng.uniform(8, 25)
    blend(canvas, alpha, mean, texture(rng, canvas.size_px) * deviation)
    canvas.cover(np.maximum(alpha, 0))


def paint_stone_wall(canvas: Canvas) -> None:
    """A wall of stones laid dry: light and dark stones, fallen in places, grass at its foot."""
    rng, size = canvas.rng, canvas.size_px
    line = wandering_line(canvas, str(rng.choice(["straight", "road", "legs"])))
    far = distance_m(canvas, line)
    width = rng.uniform(0.35, 1.1)
    if rng.random() < 0.5:  # not mown, not trodden
        own = canvas.lab.mean(axis=(0, 1))
        foot = stripe(far, width + rng.uniform(0.4, 1.5), 0.5)
        canvas.lab[..., 0] -= foot * rng.uniform(0, 0.25) * own[0]
    if rng.random() < 0.7:
        aside = rng.normal(0, 1, 2)
        aside *= rng.uniform(0.2, 0.7) / canvas.gsd_m / (np.linalg.norm(aside) + 1e-6)
        dark = stripe(distance_m(canvas, line + aside), width, 0.2)
        canvas.lab[..., 0] *= 1 - dark * rng.uniform(0.2, 0.6)
    ragged = width * np.exp(rng.uniform(0.1, 0.5) * noise(rng, size, 0.8 / canvas.gsd_m))
    alpha = stripe(far, ragged, 0.12)
    if rng.random() < 0.5:
        alpha = alpha * np.clip(1.2 + noise(rng, size, rng.uniform(1, 6) / canvas.gsd_m), 0, 1)
    stone = np.array([rng.uniform(35, 75), rng.normal(0, 2), rng.normal(5, 4)], np.float32)
    grain = noise(rng, size, rng.uniform(0.15, 0.5) / canvas.gsd_m) * rng.uniform(3, 12)
    blend(canvas, alpha, stone, grain.astype(np.float32))
    canvas.cover(alpha)


def paint_edgings(canvas: Canvas) -> None:
    """Kerbs, drains, cable trays, lines of paint: thin even lines, often several side by side."""
    rng = canvas.rng
    line = wandering_line(canvas, str(rng.choice(["straight", "road"])))
    reach = line[-1] - line[0]
    normal = np.array([-reach[1], reach[0]]) / (np.linalg.norm(reach) + 1e-6) / canvas.gsd_m
    kinds = SEALED if rng.random() < 0.7 else SOIL
    mean, deviation = material(rng, kinds)
    at_m, cover = 0.0, np.zeros((canvas.size_px,) * 2, np.float32)
    for _ in range(int(rng.choice([1, 2, 3, 5, 8], p=[0.35, 0.25, 0.2, 0.1, 0.1]))):
        far = distance_m(canvas, line + normal * at_m)
        cover = np.maximum(cover, stripe(far, rng.uniform(0.1, 0.8), rng.uniform(0.05, 0.2)))
        at_m += rng.uniform(0.8, 6)
    if rng.random() < 0.3:  # worn away in places
        cover = cover * np.clip(1 + noise(rng, canvas.size_px, 3 / canvas.gsd_m), 0, 1)
    fill(canvas, cover * rng.uniform(0.4, 1), mean, deviation)
    canvas.cover(cover)


def paint_rows(canvas: Canvas) -> None:
    """A field of crop rows, mowing stripes, beds or plough marks with a regular period."""
    rng, size = canvas.rng, canvas.size_px
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    turn = rng.uniform(0, np.pi)
    bend = noise(rng, size, 40 / canvas.gsd_m) * rng.uniform(0, 0.6) / canvas.gsd_m
    across = -x * np.sin(turn) + y * np.cos(turn) + bend
    along = x * np.cos(turn) + y * np.sin(turn)
    period = np.exp(rng.uniform(np.log(0.35), np.log(5))) / canvas.gsd_m
    wave = np.sin(across * 2 * np.pi / period + rng.uniform(0, 6))
    wave = np.tanh(wave * rng.uniform(0.5, 4) + rng.normal(0, 0.7))
    wave = wave * np.clip(1 + rng.uniform(0, 0.5) * noise(rng, size, 8), 0, 2)
    if rng.random() < 0.7:
        centre = rng.uniform(0, size, 2)
        offset = (
            np.array([-np.sin(turn), np.cos(turn)]) @ centre,
            np.array([np.cos(turn), np.sin(turn)]) @ centre,
        )
        half = rng.uniform(4, 25, 2) / canvas.gsd_m
        inside = (np.abs(across - offset[0]) < half[0]) & (np.abs(along - offset[1]) < half[1])
    else:
        inside = np.ones((size, size), bool)
    alpha = cv2.blur(inside.astype(np.float32), (3, 3))
    if rng.random() < 0.5:
        mean, deviation = material(rng, SOIL if rng.random() < 0.5 else VEGETATION)
        fill(canvas, alpha * rng.uniform(0.4, 1), mean, deviation)
        canvas.cover(alpha)
    canvas.lab[..., 0] += alpha * wave * rng.uniform(1, 9)
    canvas.lab[..., 1] += alpha * wave * rng.normal(0, 3)
    canvas.lab[..., 2] += alpha * wave * rng.normal(0, 3)
    canvas.open_ground &= ~inside | (rng.random() < 0.15)
    canvas.like_plot |= inside


def paint_plot(canvas: Canvas) -> None:
    """A vegetable plot: a rectangle of tilled earth, with rows of plants or none."""
    rng, size = canvas.rng, canvas.size_px
    turn = rng.uniform(0, np.pi)
    half = np.array([rng.uniform(2, 10), np.exp(rng.uniform(np.log(0.8), np.log(4)))])
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) * np.float32(canvas.gsd_m)
    first = rng.uniform(0, size * canvas.gsd_m, 2)
    pitch_m = 2 * half[1] + rng.uniform(0.3, 1.5)
    earth, deviation = canvas.soil or material(rng, SOIL)
    crop, crop_deviation = material(rng, VEGETATION)
    if rng.random() < 0.12:
        crop = np.array([rng.uniform(70, 95), rng.normal(0, 2), rng.normal(0, 2)], np.float32)
    for number in range(int(rng.choice([1, 2, 4], p=[0.6, 0.25, 0.15]))):
        at = first + number * pitch_m * np.array([-np.sin(turn), np.cos(turn)])
        along = (x - at[0]) * np.cos(turn) + (y - at[1]) * np.sin(turn)
        across = -(x - at[0]) * np.sin(turn) + (y - at[1]) * np.cos(turn)
        rough = noise(rng, size, 0.6 / canvas.gsd_m) * rng.uniform(0.02, 0.12)
        inward = np.minimum(half[0] - np.abs(along), half[1] - np.abs(across)) + rough
        alpha = np.clip(inward / rng.uniform(0.05, 0.3) + 0.5, 0, 1).astype(np.float32)
        fill(canvas, alpha * rng.uniform(0.7, 1), earth, deviation)
        canvas.cover(alpha)
        if rng.random() < 0.88:
            way = along if rng.random() < 0.5 else across
            wave = np.cos(way * 2 * np.pi / rng.uniform(0.35, 1.2) + rng.uniform(0, 6))
            rows = np.clip(wave * rng.uniform(1, 4) + rng.uniform(-0.5, 1), 0, 1)
            rows *= np.clip(1 + rng.uniform(0, 0.8) * noise(rng, size, 3 / canvas.gsd_m), 0, 1)
            planted = rows * np.clip((inward - rng.uniform(0, 0.3)) / 0.1, 0, 1)
            fill(canvas, (planted * rng.uniform(0.5, 1)).astype(np.float32), crop, crop_deviation)
        canvas.plot = np.maximum(canvas.plot, alpha)


def paint_step(canvas: Canvas, line: Array | None = None) -> None:
    """One side of a line differs from the other: a field edge, a terrace, a mown limit."""
    rng, size = canvas.rng, canvas.size_px
    if line is None:
        line = wandering_line(canvas, str(rng.choice(["straight", "road", "walk"])))
    reach = line[-1] - line[0]
    normal = np.array([-reach[1], reach[0]]) / (np.linalg.norm(reach) + 1e-6)
    polygon = np.vstack([line, line[::-1] + normal * 3 * size])
    side = np.zeros((size, size), np.uint8)
    cv2.fillPoly(side, [np.round(polygon).astype(np.int32).reshape(-1, 1, 2)], 1)
    alpha = side.astype(np.float32)
    blur = int(rng.integers(0, 6)) * 2 + 1
    alpha = cv2.GaussianBlur(alpha, (blur, blur), 0)
    if rng.random() < 0.6:
        shift = rng.normal(0, 1, 3) * np.array([6, 3, 4])
        canvas.lab += alpha[..., None] * shift.astype(np.float32)
    else:
        mean, deviation = material(rng, VEGETATION if rng.random() < 0.6 else SOIL)
        fill(canvas, alpha, mean, deviation)
        canvas.cover(alpha)
    if rng.random() < 0.35:  # its riser in light or shade
        riser = stripe(distance_m(canvas, line), rng.uniform(0.2, 0.8), 0.3)
        canvas.lab[..., 0] += riser * rng.normal(0, 8)


def paint_rubble(canvas: Canvas) -> None:
    """A heap or a site: hard little things, bright and dark."""
    rng, size = canvas.rng, canvas.size_px
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    centre, reach = rng.uniform(0, size, 2), rng.uniform(1.5, 9) / canvas.gsd_m
    field_ = np.hypot(x - centre[0], y - centre[1]) / reach + 0.4 * noise(rng, size, reach / 2)
    alpha = np.clip((1 - field_) * rng.uniform(1, 5), 0, 1)
    mean, deviation = material(rng, SOIL if rng.random() < 0.6 else SEALED)
    fill(canvas, alpha * rng.uniform(0.5, 1), mean, deviation)
    hard = np.sign(noise(rng, size, rng.uniform(1.5, 7))) * np.abs(noise(rng, size, 3))
    canvas.lab[..., 0] += alpha * hard * rng.uniform(2, 12)
    canvas.cover(alpha)


def paint_water(canvas: Canvas) -> None:
    """A pond or a stream: smooth, dark or glinting."""
    rng, size = canvas.rng, canvas.size_px
    if rng.random() < 0.5:
        field_ = noise(rng, size, rng.uniform(6, 25) / canvas.gsd_m)
        alpha = np.clip((field_ - rng.uniform(0.6, 1.5)) * rng.uniform(4, 20), 0, 1)
    else:
        far = distance_m(canvas, wandering_line(canvas, "walk" if rng.random() < 0.5 else "road"))
        width = rng.uniform(0.4, 6) * np.exp(0.3 * noise(rng, size, 5 / canvas.gsd_m))
        alpha = stripe(far, width, rng.uniform(0.1, 0.6))
    mean = np.array([rng.uniform(8, 60), rng.uniform(-10, 2), rng.uniform(-8, 12)], np.float32)
    if np.abs(mean - canvas.lab.mean(axis=(0, 1))).max() < 8:
        mean[0] *= 0.5
    fill(canvas, alpha, mean, rng.uniform(0.3, 2.5))
    canvas.cover(alpha)
    canvas.sealed = np.maximum(canvas.sealed, alpha)


def paint_growth(canvas: Canvas, line: Array | None = None) -> None:
    """A line where things grow higher: along a fence, a ditch, a forgotten field edge."""
    rng, size = canvas.rng, canvas.size_px
    if line is None:
        line = wandering_line(canvas, str(rng.choice(["walk", "road", "straight"])))
    far = distance_m(canvas, line)
    width = rng.uniform(0.3, 2.0) * np.exp(0.4 * noise(rng, size, 2 / canvas.gsd_m))
    alpha = stripe(far, width, 0.4) * np.clip(1 + 0.6 * noise(rng, size, 1.5 / canvas.gsd_m), 0, 1)
    mean, deviation = material(rng, VEGETATION)
    own = canvas.lab.mean(axis=(0, 1))
    mean = own + (mean - own) * rng.uniform(0.3, 1.0)
    mean[0] = min(mean[0], own[0] - rng.uniform(-1, 8))
    mean[1] = min(mean[1], own[1] + 1)
    fill(canvas, alpha, mean.astype(np.float32), deviation * rng.uniform(1.0, 2.0))
    canvas.cover(alpha)


def paint_crowns(canvas: Canvas) -> None:
    """Trees and bushes, single, in rows or in woods, lit from one side, with shadows."""
    rng, size = canvas.rng, canvas.size_px
    sun = rng.normal(0, 1, 2)
    sun /= np.linalg.norm(sun) + 1e-6
    count = int(rng.choice([2, 5, 15, 50]))
    spread = noise(rng, size, rng.uniform(6, 25) / canvas.gsd_m)
    mean, _ = material(rng, {"crown": ((18, 50), (-18, 2), (4, 30), (4, 10))})
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    row = wandering_line(canvas, "road") if rng.random() < 0.35 else None
    lumps = noise(rng, size, rng.uniform(3, 9)) + noise(rng, size, 2)
    for _ in range(count):
        radius_m = float(np.exp(rng.uniform(np.log(0.5), np.log(4.5))))
        radius = radius_m / canvas.gsd_m
        if row is not None:
            centre = row[rng.integers(len(row))] + rng.normal(0, 1.0 / canvas.gsd_m, 2)
        else:
            tries = rng.uniform(0, size, (8, 2))
            where = np.clip(tries.astype(int), 0, size - 1)
            centre = tries[np.argmax(spread[where[:, 1], where[:, 0]])]
        r = int(radius * 2.6) + 3
        x0, x1 = max(0, int(centre[0]) - r), min(size, int(centre[0]) + r)
        y0, y1 = max(0, int(centre[1]) - r), min(size, int(centre[1]) + r)
        if x1 - x0 < 2 or y1 - y0 < 2:
            continue
        cut = np.s_[y0:y1, x0:x1]
        dx, dy = x[cut] - centre[0], y[cut] - centre[1]
        wavy = 1 + 0.15 * lumps[cut]
        far = np.hypot(dx, dy) / (radius * wavy.clip(0.5, 1.6))
        fall = sun * radius * rng.uniform(0.4, 1.2)
        shade = np.clip((1.05 - np.hypot(dx - fall[0], dy - fall[1]) / radius) * 6, 0, 1)
        alpha = np.clip((1 - far) * rng.uniform(3, 9), 0, 1)
        canvas.lab[cut][..., 0] *= 1 - shade * (1 - alpha) * rng.uniform(0.2, 0.55)
        lit = -(dx * sun[0] + dy * sun[1]) / radius
        crown = np.empty((*far.shape, 3), np.float32)
        crown[:] = mean + rng.normal(0, 2, 3)
        crown[..., 0] += 7 * lit + 5 * lumps[cut]
        canvas.lab[cut] = canvas.lab[cut] * (1 - alpha[..., None]) + crown * alpha[..., None]
        hidden = np.zeros((size, size), bool)
        hidden[cut] = alpha > 0.4
        canvas.ignore |= hidden & (canvas.footpath > 0.2)
        canvas.ignore |= hidden & (canvas.plot > 0.5)
        for label in (canvas.footpath, canvas.vehicle, canvas.sealed, canvas.plot):
            label[cut] *= 1 - alpha
