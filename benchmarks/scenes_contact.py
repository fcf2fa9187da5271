"""Draws docs/img/scene-contact.jpg: generated places beside crops of real pictures.

    python benchmarks/scenes_contact.py [--data ../shared/data] [--out docs/img/scene-contact.jpg]

The real crops are from caliterra and aukerman (OpenDroneMap, CC0) and banepa (© HOTOSM, CC-BY 4.0).
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import rasterio
from rasterio.windows import Window as RasterWindow

from scenes.grid import Window
from scenes.layout import Layout, lay_out
from scenes.render import Renderer
from scenes.spec import Preset, SceneSpec
from scenes.write import grid_of

SIZE = (360, 244)
# picture, column, row, pixels across, real GSD
REAL = [
    ("caliterra-9414", 2650, 1750, 600),
    ("caliterra-9414", 1500, 700, 600),
    ("aukerman", 330, 330, 230),
    ("banepa", 230, 330, 600),
]


def real(data: Path, picture: str, col: int, row: int, width: int) -> np.ndarray:
    with rasterio.open(data / picture / "ortho.tif") as source:
        height = width * SIZE[1] // SIZE[0]
        rgb = source.read([1, 2, 3], window=RasterWindow(col, row, width, height))
    return np.asarray(cv2.resize(rgb.transpose(1, 2, 0), SIZE, interpolation=cv2.INTER_AREA))


def about(layout: Layout, x: float, y: float, px_m: float, shrink: int = 1) -> np.ndarray:
    grid = grid_of(layout, px_m)
    width, height = SIZE[0] * shrink, SIZE[1] * shrink
    window: Window = replace(
        grid,
        col=int((x - grid.left_m) / px_m) - width // 2,
        row=int((grid.top_m - y) / px_m) - height // 2,
        width=width,
        height=height,
    )
    rgb = Renderer.of(layout).ortho(window)[:3].transpose(1, 2, 0)
    return np.asarray(cv2.resize(rgb, SIZE, interpolation=cv2.INTER_AREA))


def generated() -> list[np.ndarray]:
    tiles = []
    for seed, preset, px_m, what in (
        (34, Preset.STRAIGHT, 0.036, "breach"),
        (21, Preset.STRAIGHT, 0.036, "breach"),
        (37, Preset.STRAIGHT, 0.06, "path"),
        (3, Preset.INTERCHANGE, 0.3, "loop"),
        (31, Preset.STRAIGHT, 0.08, "breach"),
        (906, Preset.EMBANKMENT, 0.05, "culvert"),
        (6, Preset.VILLAGE, 0.15, "fence"),
        (5, Preset.CUTTING, 0.25, "middle"),
    ):
        layout = lay_out(SceneSpec(seed, preset=preset, length_m=300.0 if px_m > 0.1 else 120.0))
        x, y = place(layout, what)
        tiles.append(about(layout, x, y, px_m, 2 if px_m < 0.02 else 1))
        print(seed, preset, what, flush=True)
    return tiles


def place(layout: Layout, what: str) -> tuple[float, float]:
    fence = max(layout.fences, key=lambda f: len(f.breaches))
    if what == "breach" and fence.breaches:
        return tuple(fence.line.at(fence.breaches[0].start_m)[0])
    if what == "crown":
        crown = layout.crowns[np.argmax(layout.crowns[:, 2])]
        return crown[0], crown[1]
    if what == "path" and layout.paths:
        path = max(layout.paths, key=lambda p: p.strength)
        return tuple(path.line.at(0.6 * path.line.length_m)[0])
    if what == "fence":
        middle = fence.line.length_m / 2
        foot, left = fence.line.at(middle)[0], fence.line.left_at(middle)[0]
        x, y = foot + fence.side.outward * 8.0 * left
        return float(x), float(y)
    if what == "culvert":
        x, y = fence.line.at(sum(fence.steps[0][:2]) / 2)[0]
        return float(x), float(y)
    if what == "loop":
        return tuple(layout.site.loops[0][1])
    return tuple(layout.site.centreline.at(0.6 * layout.site.centreline.length_m)[0] + (4.0, 14.0))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("docs/img/scene-contact.jpg"))
    arguments = parser.parse_args()
    tiles = [real(arguments.data, *crop) for crop in REAL] + generated()
    rows = [np.hstack(tiles[k : k + 4]) for k in range(0, len(tiles), 4)]
    sheet = np.vstack(rows)[..., ::-1]
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(arguments.out), sheet, [cv2.IMWRITE_JPEG_QUALITY, 85])
    print(arguments.out, arguments.out.stat().st_size // 1024, "KiB")
