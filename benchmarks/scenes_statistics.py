"""Statistics of the real pictures' materials beside those of generated scenes.

    python benchmarks/scenes_statistics.py [--data ../shared/data] [--seeds 8]

Ranges over patches: CIE L*, a*, b*, the standard deviation of L* in octave bands, and of a*.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.windows import Window

from scenes.layout import Layout, lay_out
from scenes.render import Renderer
from scenes.spec import SceneSpec, Season
from scenes.write import grid_of

Rgb = npt.NDArray[np.uint8]
Statistics = dict[str, Any]
"""Numbers of a patch by name, as `statistics` gives them."""

# picture, material: column, row, width, height of patches chosen by eye to hold nothing else.
PATCHES: dict[str, dict[str, list[tuple[float, ...]]]] = {
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
        "asphalt": [(222, 400, 12, 60)],
    },
    "banepa": {
        "grass": [(260, 380, 400, 60), (480, 540, 150, 80), (500, 280, 250, 90)],
        "soil": [(1480, 420, 180, 250), (420, 130, 100, 100)],
        "crowns": [(1180, 200, 60, 60), (820, 830, 60, 60)],
    },
    "hsinchu-highway": {
        # Between the markings of lanes that rise to the right: the last number is rows a column.
        "asphalt": [
            (930, 1175, 150, 14, -0.175),
            (930, 1196, 110, 14, -0.185),
            (891, 1161, 60, 13, -0.19),
            (1060, 1101, 70, 14, -0.19),
        ],
        "soil": [(1850, 800, 300, 130), (1080, 400, 120, 120)],
        "crowns": [(700, 1350, 300, 200), (1000, 1300, 250, 150), (1650, 1300, 300, 200)],
    },
}


def statistics(rgb: Rgb, px_m: float) -> Statistics:
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


def cut(source: rasterio.DatasetReader, rectangle: tuple[float, ...]) -> Rgb:
    """A patch (H, W, 3) of `PATCHES`; each column is `rise` rows lower than the one left of it."""
    col, row, width, height = (int(v) for v in rectangle[:4])
    rise = rectangle[4] if len(rectangle) > 4 else 0.0
    shifts = np.round(rise * np.arange(width)).astype(int)
    low = int(shifts.min())
    window = Window(col, row + low, width, height + int(np.ptp(shifts)))
    rgb = source.read([1, 2, 3], window=window).transpose(1, 2, 0)
    rows = np.arange(height)[:, None] + (shifts - low)[None, :]
    return np.asarray(rgb[rows, np.arange(width)[None, :]])


def real(data: Path) -> dict[str, dict[str, list[Statistics]]]:
    out: dict[str, dict[str, list[Statistics]]] = {}
    for picture, materials in PATCHES.items():
        with rasterio.open(data / picture / "ortho.tif") as source:
            for material, rectangles in materials.items():
                for rectangle in rectangles:
                    found = statistics(cut(source, rectangle), source.res[0])
                    out.setdefault(material, {}).setdefault(picture, []).append(found)
    return out


def generated(seeds: range) -> dict[str, list[Statistics]]:
    """The same materials in generated scenes, drawn alone at the real pictures' pixel sizes."""
    out: dict[str, list[Statistics]] = {}
    for seed in seeds:
        spec = SceneSpec(seed, season=Season.SUMMER, length_m=150.0)
        layout = lay_out(spec)
        palette = layout.palette
        bare = replace(
            layout,
            strokes=(),
            uprights=np.zeros((0, 16)),
            crowns=np.zeros((0, 6)),
            boxes=np.zeros((0, 12)),
            palette=replace(palette, bare_frac=0.0, dry_frac=0.0, lush_frac=0.0),
        )
        fence = layout.fences[0]
        x, y = fence.line.at(60.0)[0] + fence.side.outward * 12.0 * fence.line.left_at(60.0)[0]
        for px_m in (0.018, 0.131):
            size = 300 if px_m < 0.1 else 100
            for name, material in (("grass", palette.mown), ("soil", palette.soil)):
                scene = replace(bare, inside=(material,) * 2, outside=(material,) * 2)
                out.setdefault(name, []).append(patch(scene, x, y, px_m, size))
            road = layout.site.roads[0]
            marks = sorted((*road.edge_marks_m, *road.lane_marks_m))
            lane = road.line.offset((marks[0] + marks[1]) / 2).at(75.0)[0]
            scene = replace(layout, boxes=np.zeros((0, 12)), crowns=np.zeros((0, 6)))
            width = 130 if px_m < 0.1 else 18
            out.setdefault("asphalt", []).append(patch(scene, lane[0], lane[1], px_m, width))
            crown = layout.crowns[np.argmax(layout.crowns[:, 2])]
            within = int(crown[2] / px_m)
            if within > 12:
                scene = replace(layout, crowns=crown[None])
                out.setdefault("crowns", []).append(
                    patch(scene, crown[0], crown[1], px_m, min(300, within))
                )
    return out


def patch(layout: Layout, x: float, y: float, px_m: float, size: int) -> Statistics:
    # The picture's extent does not matter here.
    site = replace(layout.site, extent=layout.site.extent.buffer(30.0))
    grid = grid_of(layout, px_m)
    window = replace(
        grid,
        col=int((x - grid.left_m) / px_m) - size // 2,
        row=int((grid.top_m - y) / px_m) - size // 2,
        width=size,
        height=size,
    )
    rgb = Renderer.of(replace(layout, site=site)).ortho(window)[:3].transpose(1, 2, 0)
    return statistics(rgb, px_m)


def row(values: list[Statistics]) -> str:
    """Ranges of lightness, colour and octave bands as one line of a Markdown table."""

    def span(numbers: list[float], digits: int = 1) -> str:
        if not numbers:
            return "–"
        low, high = min(numbers), max(numbers)
        return f"{low:.{digits}f} to {high:.{digits}f}"

    lab = [v["Lab"] for v in values]
    cells = [span([c[k] for c in lab], 0) for k in range(3)]
    bands: dict[str, list[float]] = {"0.02": [], "0.08": [], "0.15": [], "0.3": [], "1": []}
    for v in values:
        for k, amount in enumerate(v["L_bands"]):
            scale = v["first_band_m"] * 2.0**k
            for name in bands:
                if 0.7 < scale / float(name) < 1.4:
                    bands[name].append(amount)
    hue = [v["std"][1] for v in values]
    return " | ".join([*cells, *(span(bands[name]) for name in bands), span(hue)])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seeds", type=int, default=8)
    arguments = parser.parse_args()
    found = real(arguments.data)
    made = generated(range(500, 500 + arguments.seeds))
    print("| material | pictures | L* | a* | b* | ±L* 2 cm | 8 cm | 15 cm | 30 cm | 1 m | std a* |")
    print("|" + " --- |" * 11)
    for name in ("grass", "soil", "asphalt", "crowns"):
        rows = [v for key, some in found.items() if key.startswith(name) for v in some.values()]
        print(f"| {name} | real | {row([v for some in rows for v in some])} |")
        print(f"| | generated | {row(made[name])} |")
