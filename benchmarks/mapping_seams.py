"""Seams of our mosaic beside others', as a picture to look at and as a number.

    python benchmarks/mapping_seams.py scene [--out docs/img/ortho-seams.jpg]
    python benchmarks/mapping_seams.py hsinchu [--data ../shared/data] --out seams.jpg

`scene` photographs a generated place from two lanes, with exposures that differ from frame to
frame by 12 % and 20 % falloff, and draws the frames as they are with hard seams (left), balanced
(middle), and as `fencewalk orthophoto` does (right). `hsinchu` draws the given mosaic (left) and
ours from the same four frames (right); its licence permits testing only, so that picture is not
kept here. The number is how much brightness jumps across a seam, 12 pixels apart: for each two
frames that meet the median along their seam, and of these the median, in grey levels.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import pyproj
import rasterio
import shapely
from mapping import boundary_of, lane
from rasterio.windows import from_bounds

from analysis.mapping import Mosaic, MosaicSpec, PoseSpec, open_surface, read_frames
from corridor.camera import Camera
from corridor.shots import write_shots
from scenes.spec import SceneSpec, Season
from scenes.write import generate
from sitl.camera import RECEIVERS, CameraSpec, render_flight

CAMERA = Camera(1600, 1200, 1200.0, None, 804.0, 596.0, -0.03, 0.01, 0.0005, -0.0003)
SIZE_PX = (520, 640)
REACH_PX = 12
GSD_M = 0.06


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["scene", "hsinchu"])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("docs/img/ortho-seams.jpg"))
    chosen = parser.parse_args()
    tiles = scene() if chosen.what == "scene" else hsinchu(chosen.data / "hsinchu-highway")
    sheet = np.hstack([np.pad(tile, ((0, 0), (0, 6), (0, 0))) for tile in tiles])[:, :-6]
    cv2.imwrite(str(chosen.out), sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
    print(chosen.out)


def scene() -> list[np.ndarray]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        spec = SceneSpec(34, gsd_m=0.05, length_m=100.0, band_m=20.0, season=Season.SUMMER)
        place = generate(spec, folder / "scene")
        line, crs = boundary_of(place)
        lanes = [cast(shapely.LineString, line.offset_curve(side)) for side in (-9.0, 9.0)]
        shots = [s for one in lanes for s in lane(place, one, crs, 35.0, math.inf, 7.0)]
        write_shots(folder / "photos.csv", shots)
        camera = CameraSpec(CAMERA, RECEIVERS["perfect"], exposure_step_frac=0.12)
        made = render_flight(folder, place, camera, folder / "frames")
        with open_surface(place / "dsm.tif") as surface:
            frames, _ = read_frames(list(made.frames), surface.crs, PoseSpec())
            middle = line.interpolate(0.5, normalized=True)
            half_x, half_y = SIZE_PX[1] * GSD_M / 2, SIZE_PX[0] * GSD_M / 2
            area = middle.x - half_x, middle.y - half_y, middle.x + half_x, middle.y + half_y
            tiles = []
            for name, balance, blend in (
                ("hard seams", False, False),
                ("balanced", True, False),
                ("ours", True, True),
            ):
                mosaic = Mosaic(
                    frames, surface, MosaicSpec(GSD_M, area, balance=balance, blend=blend)
                )
                tile = mosaic.draw(0, 0, SIZE_PX[1], SIZE_PX[0])
                print(f"{name}: {step(tile.colours[..., :3], tile.labels):.2f} grey levels")
                tiles.append(tile.colours[..., :3])
    return tiles


def hsinchu(folder: Path) -> list[np.ndarray]:
    with rasterio.open(folder / "ortho.tif") as source:
        crs = pyproj.CRS.from_user_input(source.crs)
        west, north = source.transform @ (600, 900)
        area = west, north - 0.15 * 640, west + 0.15 * 900, north
        given = source.read([1, 2, 3], window=from_bounds(*area, source.transform))
    with open_surface(folder / "dsm.tif") as surface:
        poses = PoseSpec(folder / "reconstruction.json")
        frames, _ = read_frames(
            sorted((folder / "frames").glob("*.tif")), surface.crs or crs, poses
        )
        mosaic = Mosaic(frames, surface, MosaicSpec(0.15, area))
        ours = mosaic.draw(0, 0, given.shape[2], given.shape[1])
    return [np.moveaxis(given, 0, -1), ours.colours[..., :3]]


def step(colours: np.ndarray, labels: np.ndarray) -> float:
    """Median over the pairs of frames that meet of how much brightness jumps between them."""
    grey = cv2.GaussianBlur(colours.astype(np.float32).mean(axis=2), (0, 0), 1.0)
    gap = REACH_PX // 2
    left, right = labels[:, : -2 * gap], labels[:, 2 * gap :]
    # Two places on both sides of a seam, and nothing but those two frames between them.
    middle = labels[:, gap:-gap]
    meets = (left != right) & (left >= 0) & (right >= 0) & ((middle == left) | (middle == right))
    jump = (grey[:, 2 * gap :] - grey[:, : -2 * gap])[meets]
    low, high = np.minimum(left, right)[meets], np.maximum(left, right)[meets]
    jump = np.where(left[meets] == low, jump, -jump)
    pairs = [jump[(low == a) & (high == b)] for a, b in {*zip(low, high, strict=True)}]
    return float(np.median([abs(np.median(one)) for one in pairs if len(one) > 500]))


if __name__ == "__main__":
    main()
