"""The closed loop at full size: scene, flight, frames, orthophoto; and the camera's speed.

    python benchmarks/mapping.py SCENE FLIGHT OUT [--gsd 0.02] [--receiver gps] [--strip 12]

SCENE is made by `fencewalk scene`, FLIGHT is a flight's folder or photos.csv over it (from
`fencewalk fly`, or `--lane HEIGHT` draws a lane along the scene's first boundary itself). Prints a
JSON document: megapixels a second of the camera, seconds of the orthophoto, its offset from the
scene's own picture at 50 points, and the holes within the planned strip.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import geopandas
import numpy as np
import numpy.typing as npt
import pyproj
import rasterio
import rasterio.features
import shapely
import shapely.ops

from analysis.mapping import (
    Frame,
    Mosaic,
    MosaicSpec,
    PoseSpec,
    open_surface,
    read_frames,
    write_mosaic,
)
from corridor.camera import Camera
from corridor.shots import Shot, turned_to_grid, write_shots
from sitl.camera import RECEIVERS, CameraSpec, render_flight

CAMERA = Camera(
    4000, 3000, 3000.0, None, 2010.0, 1490.0, -0.03, 0.01, 0.0005, -0.0003, name="12 MP"
)
PATCH_PX = 41
SEARCH_PX = {"perfect": 10, "rtk": 20, "gps": 250}  # three standard deviations at 2 cm


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("scene", type=Path)
    parser.add_argument("flight", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--gsd", type=float, default=0.02)
    parser.add_argument("--receiver", choices=sorted(RECEIVERS), default="perfect")
    parser.add_argument("--strip", type=float, default=12.0, help="half width around the boundary")
    parser.add_argument("--lane", type=float, help="draw a lane at this height")
    parser.add_argument("--length", type=float, default=1e9, help="of the lane, metres")
    chosen = parser.parse_args()
    line, crs = boundary_of(chosen.scene)
    if chosen.lane:
        chosen.flight.mkdir(parents=True, exist_ok=True)
        shots = lane(chosen.scene, line, crs, chosen.lane, chosen.length)
        write_shots(chosen.flight / "photos.csv", shots)
    started = time.process_time()
    spec = CameraSpec(CAMERA, RECEIVERS[chosen.receiver])
    made = render_flight(chosen.flight, chosen.scene, spec, chosen.out / "frames")
    camera_s = time.process_time() - started
    pixels = len(made.frames) * CAMERA.width_px * CAMERA.height_px
    started = time.process_time()
    with open_surface(chosen.scene / "dsm.tif") as surface:
        posed, _ = read_frames(list(made.frames), surface.crs, PoseSpec())
        area = strip_of(line, posed, chosen.strip)
        bounds = tuple(shapely.bounds(area))
        mosaic = Mosaic(posed, surface, MosaicSpec(gsd_m=chosen.gsd, bounds_m=bounds))
        result = write_mosaic(mosaic, surface.crs, chosen.out / "ortho.tif")
    mosaic_s = time.process_time() - started
    report = {
        "frames": len(made.frames),
        "camera_mpx_s": round(pixels / 1e6 / camera_s, 2),
        "orthophoto_mpx": round(result.width_px * result.height_px / 1e6, 1),
        "orthophoto_cpu_s": round(mosaic_s, 1),
        **compare(chosen.scene / "ortho.tif", result.path, area, SEARCH_PX[chosen.receiver]),
    }
    print(json.dumps(report, indent=2))


def boundary_of(scene: Path) -> tuple[shapely.LineString, pyproj.CRS]:
    """The scene's first boundary, in the metric system of its orthophoto, and that system."""
    with rasterio.open(scene / "ortho.tif") as source:
        crs = pyproj.CRS.from_user_input(source.crs)
    return geopandas.read_file(scene / "boundaries.geojson").to_crs(crs).geometry.iloc[0], crs


def lane(
    scene: Path,
    line: shapely.LineString,
    crs: pyproj.CRS,
    height_m: float,
    length_m: float,
    spacing_m: float = 10.0,
) -> list[Shot]:
    """Straight down along the line, at a height above the ground under each shot."""
    to_lonlat = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    shots: list[Shot] = []
    with rasterio.open(scene / "dem.tif") as dem:
        for at in np.arange(5.0, min(line.length - 5.0, length_m), spacing_m):
            here, next_ = line.interpolate(at), line.interpolate(at + 1.0)
            ground_m = float(next(dem.sample([(here.x, here.y)]))[0])
            lon, lat = to_lonlat.transform(here.x, here.y)
            yaw = math.degrees(math.atan2(next_.x - here.x, next_.y - here.y))
            yaw -= turned_to_grid(crs, lon, lat)
            number = len(shots) + 1
            shots.append(
                Shot(number, lon, lat, ground_m + height_m, height_m, yaw, 0.0, 0.0, 1250 * number)
            )
    return shots


def strip_of(
    line: shapely.LineString, frames: Sequence[Frame], half_width_m: float
) -> shapely.Polygon:
    """The boundary between the first and the last frame, widened."""
    at = sorted(line.project(shapely.Point(f.pose.x_m, f.pose.y_m)) for f in frames)
    return shapely.ops.substring(line, at[0], at[-1]).buffer(half_width_m, cap_style="flat")


def compare(
    truth: Path, made: Path, area: shapely.Polygon, search_px: int, count: int = 50
) -> dict[str, float]:
    """Offsets between two pictures of the same ground, at places with something to see."""
    with rasterio.open(truth) as first, rasterio.open(made) as second:
        picture, alpha = second.read([1, 2, 3]), second.read(4)
        inside = rasterio.features.geometry_mask([area], alpha.shape, second.transform, invert=True)
        window = rasterio.windows.from_bounds(*second.bounds, first.transform)
        # The made picture's grid is another: the truth is brought onto it.
        own = first.read([1, 2, 3], window=window, boundless=True)
        from_truth = first.window_transform(window)
        move = ~from_truth @ second.transform
        shift = move.c + 0.5 * (move.a - 1), move.f + 0.5 * (move.e - 1)
        matrix = np.array([[move.a, 0, shift[0]], [0, move.e, shift[1]]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        wanted = cv2.warpAffine(
            np.ascontiguousarray(np.moveaxis(own, 0, -1)), matrix, alpha.shape[::-1], flags=flags
        )
    holes = inside & (alpha == 0)
    grey_made = high_pass(np.moveaxis(picture, 0, -1).mean(axis=2))
    grey_wanted = high_pass(wanted.mean(axis=2))
    margin = PATCH_PX + 2 * search_px + 8
    usable = cv2.erode((inside & (alpha > 0)).astype(np.uint8), np.ones((margin, margin))) > 0
    places = np.argwhere(usable)
    rng = np.random.default_rng(0)
    offsets: list[tuple[float, float]] = []
    scores = []
    half = PATCH_PX // 2
    for row, column in places[rng.choice(len(places), 20 * count)]:
        patch = grey_wanted[row - half : row + half + 1, column - half : column + half + 1]
        if patch.std() < 2.0 or len(offsets) == count:
            continue
        reach = half + search_px
        found = grey_made[row - reach : row + reach + 1, column - reach : column + reach + 1]
        score = cv2.matchTemplate(found, patch, cv2.TM_CCOEFF_NORMED)
        _, best, _, (j, i) = cv2.minMaxLoc(score)
        if 0 < i < 2 * search_px and 0 < j < 2 * search_px:
            di, dj = peak(score[i - 1 : i + 2, j]), peak(score[i, j - 1 : j + 2])
            offsets.append((j + dj - search_px, i + di - search_px))
            scores.append(best)
        else:
            offsets.append((search_px, search_px))
            scores.append(best)
    away = np.hypot(*np.array(offsets).T)
    return {
        "points": len(offsets),
        "offset_rms_px": round(float(np.sqrt((away**2).mean())), 3),
        "offset_median_px": round(float(np.median(away)), 3),
        "offset_p95_px": round(float(np.percentile(away, 95)), 3),
        "match_median": round(float(np.median(scores)), 3),
        "holes_in_strip_frac": round(float(holes.sum() / inside.sum()), 6),
    }


def high_pass(grey: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    grey = grey.astype(np.float32)
    return np.asarray(grey - cv2.GaussianBlur(grey, (0, 0), 8))


def peak(three: npt.NDArray[Any]) -> float:
    """Where a parabola through three values is highest, from the middle one."""
    return float((three[0] - three[2]) / (2 * (three[0] - 2 * three[1] + three[2]) - 1e-12))


if __name__ == "__main__":
    main()
