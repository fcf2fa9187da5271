"""Statistics of the real pictures' materials beside those of generated scenes.

    python benchmarks/scenes_statistics.py [--data ../shared/data] [SCENE ...]

For each patch: median sRGB, spread of L*, a*, b*, and the standard deviation of L* and a* in octave bands.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import rasterio
from rasterio.windows import Window

# picture, material: column, row, width, height of patches chosen by eye to hold nothing else.
PATCHES: dict[str, dict[str, list[tuple[int, int, int, int]]]] = {
    "caliterra-9414": {
        "grass": [(2450, 1300, 450, 450), (2350, 2000, 450, 450), (2350, 2500, 380, 380)],
        "grass rough": [(3090, 300, 140, 400), (3100, 1700, 180, 400)],
        "soil": [(1450, 500, 450, 450), (1900, 1500, 256, 450), (1000, 2050, 450, 450)],
        "soil dark": [(1080, 60, 160, 400)],
        "crowns": [(3350, 500, 450, 450), (3200, 1500, 450, 450), (3500, 80, 450, 350)],
    },
    "aukerman": {
        "grass": [(440, 380, 80, 60), (600, 320, 50, 70), (640, 480, 130, 100), (180, 545, 60, 40)],
        "soil": [(240, 75, 40, 35)],
        "crowns": [(640, 140, 100, 100), (880, 420, 100, 120), (420, 610, 150, 30)],
        "asphalt": [(134, 300, 12, 150), (222, 400, 12, 60)],
    },
    "banepa": {
        "grass": [(260, 380, 400, 60), (480, 540, 150, 80), (500, 280, 250, 90)],
        "soil": [(1480, 420, 180, 250), (420, 130, 100, 100)],
        "crowns": [(1180, 200, 60, 60), (820, 830, 60, 60)],
    },
    "hsinchu-highway": {
        "asphalt": [(800, 1100, 300, 60), (1500, 1060, 300, 50)],
        "soil": [(1850, 800, 300, 130), (1080, 400, 120, 120)],
        "crowns": [(700, 1350, 300, 200), (1000, 1300, 250, 150), (1650, 1300, 300, 200)],
    },
}


def statistics(rgb: np.ndarray, px_m: float) -> dict[str, object]:
    """Colour and octave-band statistics of one patch (H, W, 3) uint8."""
    lab = cv2.cvtColor(rgb.astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB)
    bands: dict[str, list[float]] = {"L": [], "a": [], "b": []}
    skew = []
    for c, name in enumerate("Lab"):
        fine = lab[..., c]
        for k in range(8):
            sigma = 0.6 * 2.0**k
            if sigma * 6 > min(rgb.shape[:2]):
                break
            coarse = cv2.GaussianBlur(lab[..., c], (0, 0), sigma)
            band = fine - coarse
            bands[name].append(round(float(band.std()), 2))
            if name == "L":
                skew.append(round(float((band**3).mean() / band.std() ** 3), 2))
            fine = coarse
    return {
        "rgb": [int(v) for v in np.median(rgb.reshape(-1, 3), axis=0)],
        "Lab": [round(float(v), 1) for v in lab.reshape(-1, 3).mean(axis=0)],
        "std": [round(float(v), 1) for v in lab.reshape(-1, 3).std(axis=0)],
        "first_band_m": round(px_m, 4),
        "L_bands": bands["L"],
        "a_bands": bands["a"],
        "b_bands": bands["b"],
        "L_skew": skew,
    }


def real(data: Path) -> dict[str, dict[str, list[dict[str, object]]]]:
    out: dict[str, dict[str, list[dict[str, object]]]] = {}
    for picture, materials in PATCHES.items():
        with rasterio.open(data / picture / "ortho.tif") as source:
            for material, rectangles in materials.items():
                for rectangle in rectangles:
                    rgb = source.read([1, 2, 3], window=Window(*rectangle)).transpose(1, 2, 0)
                    found = statistics(rgb, source.res[0])
                    out.setdefault(material, {}).setdefault(picture, []).append(found)
    return out


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    arguments = parser.parse_args()
    for material, pictures in real(arguments.data).items():
        for picture, rows in pictures.items():
            for row in rows:
                print(material, picture, json.dumps(row))
