"""Stretches cut out of a real, whole fence: are they found, and is nothing else?

    python benchmarks/fence_cuts.py [--data ../shared/data] [--variants 40] [--degrade] [--json OUT]
                                    [--only NAME,NAME] [--look PICTURE.png]

Each variant cuts 2 to 4 stretches of 0.5 to 5 m out of the fence of `caliterra-9414`, fills them
with the ground of each side beside the fence, and changes light and contrast. `--degrade` repeats
the run for each degradation, on the same cuts, and on the whole fence without any. Nothing that is
tuned may be tuned on the seeds used here (10,000 and up). Cuts under 1 m are counted apart: finding
one is no false alarm, missing one no miss. CPU seconds are of the process, reading included. At the
end all is printed once more as a Markdown table, with every cut of 1 m and more that was missed.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import geopandas
import numpy as np
import rasterio
import shapely
import shapely.ops
from affine import Affine
from rasterio.windows import Window

from analysis.fence.assess import answer, piece_count
from analysis.fence_sections import judge
from analysis.fence_work import FenceResult
from analysis.raster import Orthophoto
from corridor import Boundary, read_boundaries
from corridor.findings import FenceState

FIRST_SEED = 10_000
MARGIN_M = 10.0
"""Ground kept on both sides of the fence."""
CUT_HALF_M = 0.45
"""Half width of what is filled: by look, fence and shadow reach from -0.5 to +0.25 m."""
BESIDE_M = 0.95
SLACK_M = 1.0
"""As in scoring: a breach and a cut match if they overlap after this."""


@dataclass(frozen=True)
class Picture:
    """An orthophoto in memory: (H, W, 3) uint8 RGB, (H, W) bool, and its georeference."""

    rgb: Any
    valid: Any
    affine: Affine
    crs: Any


@dataclass(frozen=True)
class Degradation:
    """What is done to a picture, and by how much the drawn line is moved."""

    name: str
    change: Callable[[Picture], Picture] = lambda picture: picture
    turn_deg: float = 0.0
    line_off_m: float = 0.0


@dataclass
class Tally:
    """Counts over variants."""

    cuts: int = 0
    found: int = 0
    small: int = 0
    small_found: int = 0
    false: int = 0
    false_m: float = 0.0
    fence_m: float = 0.0
    cut_m: float = 0.0
    cut_called: dict[str, float] = field(default_factory=dict)
    whole_called: dict[str, float] = field(default_factory=dict)
    station_error_m: list[float] = field(default_factory=list)
    line_error_m: list[float] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    cpu_s: float = 0.0

    def row(self) -> dict[str, Any]:
        """The figures of the table."""
        whole_m = max(sum(self.whole_called.values()), 1e-9)
        return {
            "cuts": self.cuts,
            "found": self.found,
            "under_1_m": self.small,
            "under_1_m_found": self.small_found,
            "false_per_km": round(1000 * self.false / self.fence_m, 2),
            "false_m_per_km": round(1000 * self.false_m / self.fence_m, 2),
            "cut_called_intact_frac": _share(self.cut_called, "intact"),
            "cut_called_unseen_or_obscured_frac": round(
                _share(self.cut_called, "unseen") + _share(self.cut_called, "obscured"), 4
            ),
            "whole_called_intact_frac": round(self.whole_called.get("intact", 0) / whole_m, 4),
            "whole_called_unseen_or_obscured_frac": round(
                _share(self.whole_called, "unseen") + _share(self.whole_called, "obscured"), 4
            ),
            "station_error_m": _median(self.station_error_m),
            "line_error_m": _median(self.line_error_m),
            "cpu_s_per_km": round(1000 * self.cpu_s / self.fence_m, 2),
            "missed": self.missed,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--variants", type=int, default=40)
    parser.add_argument("--degrade", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", help="degradations by name, parted by commas; implies --degrade")
    parser.add_argument("--look", type=Path, help="write the first variant's strip and stop")
    options = parser.parse_args()
    folder = options.data / "caliterra-9414"
    boundary = read_boundaries(folder / "boundaries.geojson")[0]
    picture, fence = load(folder)
    if options.look:
        cut, _ = variant(picture, fence, FIRST_SEED)
        strip = straight(cut, fence, np.arange(1.0, -1.0, -0.018))
        rows = [strip[:, start : start + 1000] for start in range(0, strip.shape[1] - 999, 1000)]
        cv2.imwrite(str(options.look), np.vstack(rows)[..., ::-1])
        return
    degradations = DEGRADATIONS if options.degrade or options.only else DEGRADATIONS[:1]
    if options.only:
        wanted = {name.strip() for name in options.only.split(",")}
        degradations = [each for each in DEGRADATIONS if each.name in wanted]
    table = {}
    for degradation in degradations:
        for cut_any in (True, False):
            tally = Tally()
            for seed in range(FIRST_SEED, FIRST_SEED + (options.variants if cut_any else 4)):
                run(picture, fence, boundary, degradation, seed, cut_any, tally)
            name = degradation.name + ("" if cut_any else ", no cuts")
            table[name] = tally.row()
            print(f"{name}: {json.dumps(table[name])}", flush=True)
    print("\n".join(as_markdown(table)))
    if options.json:
        options.json.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")


def as_markdown(table: dict[str, dict[str, Any]]) -> list[str]:
    """The table, a row a degradation; what was called of whole fence comes from its uncut runs."""
    lines = [
        "| | cuts ≥ 1 m found | cuts < 1 m found | false per km | cut called `intact` | "
        "cut called `unseen`, `obscured` | whole fence called `intact` | `unseen`, `obscured` | "
        "false per km | line off |",
        "| --- |" + " --- |" * 9,
    ]
    for name, row in table.items():
        if name.endswith(", no cuts"):
            continue
        uncut = table[f"{name}, no cuts"]
        cells = [
            name,
            f"{row['found']} of {row['cuts']}",
            f"{row['under_1_m_found']} of {row['under_1_m']}",
            f"{row['false_per_km']:g}",
            *(
                f"{100 * value:.1f} %"
                for value in (
                    row["cut_called_intact_frac"],
                    row["cut_called_unseen_or_obscured_frac"],
                    uncut["whole_called_intact_frac"],
                    uncut["whole_called_unseen_or_obscured_frac"],
                )
            ),
            f"{uncut['false_per_km']:g}",
            f"{uncut['line_error_m']} m",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines.append("")
    for name, row in table.items():
        lines += [f"- missed, {name}: {each}" for each in row["missed"]]
    return lines


def run(
    picture: Picture,
    fence: shapely.LineString,
    boundary: Boundary,
    degradation: Degradation,
    seed: int,
    cut_any: bool,
    tally: Tally,
) -> None:
    """One variant, degraded, assessed and counted."""
    changed, cuts = variant(picture, fence, seed, cut_any)
    changed = degradation.change(changed)
    drawn_xy = projected(boundary, picture.crs)
    drawn_xy = shapely.get_coordinates(
        shapely.offset_curve(shapely.LineString(drawn_xy), degradation.line_off_m)
    )
    truth = fence
    if degradation.turn_deg:
        changed, turn = turned(changed, degradation.turn_deg)
        drawn_xy = turn(drawn_xy)
        truth = shapely.LineString(turn(shapely.get_coordinates(fence)))
    lonlat = _unprojected(drawn_xy, picture.crs)
    drawn = replace(boundary, parts=(lonlat,), chainage_start_m=(0.0,), chainage_scale=(1.0,))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ortho.tif"
        save(changed, path)
        start_s = time.process_time()
        ortho = Orthophoto.open(path)
        track = ortho.track(drawn, 0)
        pieces = range(piece_count(track))
        answers = [answer(ortho, track, drawn.offset_tolerance_m, piece) for piece in pieces]
        result = judge(ortho, 0, drawn, 0, None, answers)
        tally.cpu_s += time.process_time() - start_s
    chainage = chainage_on(shapely.LineString(drawn_xy), drawn)
    spans = [
        tuple(sorted(chainage(shapely.get_coordinates(truth.interpolate(s)))[0] for s in cut))
        for cut in cuts
    ]
    count(result, spans, truth, tally, seed)


def count(
    result: FenceResult,
    cuts: list[tuple[Any, ...]],
    fence: shapely.LineString,
    tally: Tally,
    seed: int,
) -> None:
    """Matches breaches with cuts, and sums metres by state."""
    matched = set()
    for start_m, end_m in cuts:
        near = [
            number
            for number, breach in enumerate(result.breaches)
            if breach.start_m - SLACK_M < end_m and breach.end_m + SLACK_M > start_m
        ]
        matched.update(near)
        if end_m - start_m < 0.97:  # a cut along the fence is a little shorter on the drawn line
            tally.small += 1
            tally.small_found += bool(near)
            continue
        tally.cuts += 1
        tally.found += bool(near)
        if not near:
            called = {
                each.state.value
                for each in result.stretches
                if each.start_m < end_m and start_m < each.end_m
            }
            tally.missed.append(
                f"seed {seed}, {end_m - start_m:.2f} m at {start_m:.1f} m, called "
                f"{', '.join(sorted(called))}"
            )
        if near:
            middles = [(result.breaches[n].start_m + result.breaches[n].end_m) / 2 for n in near]
            tally.station_error_m.append(min(abs(m - (start_m + end_m) / 2) for m in middles))
    for number, breach in enumerate(result.breaches):
        if number not in matched:
            tally.false += 1
            tally.false_m += breach.end_m - breach.start_m
    for stretch in result.stretches:
        tally.fence_m += stretch.end_m - stretch.start_m
        inside = whole = 0.0
        for start_m, end_m in cuts:
            both_m = max(0.0, min(end_m, stretch.end_m) - max(start_m, stretch.start_m))
            whole += both_m
            inside += both_m if end_m - start_m >= 0.97 else 0.0
        add(tally.cut_called, stretch.state, inside)
        add(tally.whole_called, stretch.state, stretch.end_m - stretch.start_m - whole)
    middle = shapely.points(result.xy[1:-1] if len(result.xy) > 4 else result.xy)
    tally.line_error_m += list(shapely.distance(middle, fence))


def variant(
    picture: Picture, fence: shapely.LineString, seed: int, cut_any: bool = True
) -> tuple[Picture, list[tuple[float, float]]]:
    """The picture in another light with stretches cut out of the fence: (start, end) along it."""
    rng = np.random.default_rng(seed)
    cuts: list[tuple[float, float]] = []
    wanted = int(rng.integers(2, 5)) if cut_any else 0
    while len(cuts) < wanted:
        length_m = float(np.exp(rng.uniform(np.log(0.5), np.log(5.0))))
        start_m = float(rng.uniform(2.5, fence.length - 2.5 - length_m))
        if all(start_m > end + 4.0 or start_m + length_m < begin - 4.0 for begin, end in cuts):
            cuts.append((start_m, start_m + length_m))
    rgb = picture.rgb.astype(np.float32)
    for cut in sorted(cuts):
        rgb = without(rgb, picture.affine, fence, cut)
    # Light as the sensor sees it, then contrast about the picture's middle.
    light, contrast = np.exp(rng.uniform(np.log(0.4), np.log(1.6))), rng.uniform(0.7, 1.3)
    rgb = rgb * light ** (1 / 2.2)
    middle = float(np.median(rgb))
    rgb = middle + contrast * (rgb - middle) + rng.normal(0, 1.5, rgb.shape)
    rgb = np.clip(np.rint(rgb), 0, 255).astype(np.uint8)
    return replace(picture, rgb=rgb), sorted(cuts)


def without(
    rgb: Any,
    affine: Affine,
    fence: shapely.LineString,
    cut: tuple[float, float],
    half_m: float = CUT_HALF_M,
    beside_m: float = BESIDE_M,
) -> Any:
    """The fence taken away between two places: each half gets the ground of its own side.

    Args:
        rgb: (H, W, 3).
        affine: of the picture.
        fence: the line in it.
        cut: where it begins and ends along the line.
        half_m: half width of what is filled.
        beside_m: from how far beside the line the ground is taken.
    """
    height, width = rgb.shape[:2]
    piece = shapely.ops.substring(fence, cut[0] - 1.0, cut[1] + 1.0)
    x0, y0, x1, y1 = piece.buffer(2.0).bounds
    c0, r1 = (int(v) for v in ~affine @ (x0, y0))
    c1, r0 = (int(v) for v in ~affine @ (x1, y1))
    column, row = np.meshgrid(
        np.arange(max(c0, 0), min(c1, width)), np.arange(max(r0, 0), min(r1, height))
    )
    x, y = affine @ (column + 0.5, row + 0.5)
    points = shapely.points(np.column_stack([x.ravel(), y.ravel()]))
    along = shapely.line_locate_point(fence, points)
    # The direction is smooth over a metre, so that the copied ground is not torn.
    ahead = shapely.get_coordinates(shapely.line_interpolate_point(fence, along + 0.5))
    behind = shapely.get_coordinates(
        shapely.line_interpolate_point(fence, np.maximum(along - 0.5, 0))
    )
    step = ahead - behind
    step /= np.hypot(*step.T)[:, None]
    foot = shapely.get_coordinates(shapely.line_interpolate_point(fence, along))
    away = np.column_stack([x.ravel(), y.ravel()]) - foot
    across = (step[:, 0] * away[:, 1] - step[:, 1] * away[:, 0]).reshape(x.shape)
    along = along.reshape(x.shape)
    left_m = np.column_stack([-step[:, 1], step[:, 0]]).reshape(*x.shape, 2) * beside_m
    gsd_m = affine.a

    def ground(sign: int) -> Any:
        map_x = (column + sign * left_m[..., 0] / gsd_m).astype(np.float32)
        map_y = (row - sign * left_m[..., 1] / gsd_m).astype(np.float32)
        return cv2.remap(rgb, map_x, map_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)

    side = np.clip(across / 0.2 + 0.5, 0, 1)[..., None]
    fill = side * ground(1) + (1 - side) * ground(-1)
    share = np.clip((half_m - np.abs(across)) / 0.1 + 0.5, 0, 1)
    # Posts and torn mesh end within a few centimetres.
    share = share * np.clip((along - cut[0]) / 0.05 + 0.5, 0, 1)
    share = (share * np.clip((cut[1] - along) / 0.05 + 0.5, 0, 1))[..., None]
    out = rgb.copy()
    window = np.s_[row[0, 0] : row[-1, 0] + 1, column[0, 0] : column[0, -1] + 1]
    out[window] = (1 - share) * rgb[window] + share * fill
    return out


def coarser(gsd_m: float) -> Callable[[Picture], Picture]:
    def change(picture: Picture) -> Picture:
        height, width = picture.valid.shape
        scale = picture.affine.a / gsd_m
        size = (round(width * scale), round(height * scale))
        rgb = cv2.resize(picture.rgb, size, interpolation=cv2.INTER_AREA)
        affine = picture.affine * Affine.scale(width / size[0], height / size[1])
        return replace(picture, rgb=rgb, valid=np.ones(size[::-1], bool), affine=affine)

    return change


def _jpeg(quality: int) -> Callable[[Picture], Picture]:
    def change(picture: Picture) -> Picture:
        _, code = cv2.imencode(".jpg", picture.rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        return replace(picture, rgb=cv2.imdecode(code, cv2.IMREAD_COLOR)[..., ::-1])

    return change


def _blurred(sigma_m: float) -> Callable[[Picture], Picture]:
    return lambda picture: replace(
        picture, rgb=cv2.GaussianBlur(picture.rgb, (0, 0), sigma_m / picture.affine.a)
    )


def _tinted(*gain: float) -> Callable[[Picture], Picture]:
    return lambda picture: replace(
        picture, rgb=np.clip(np.rint(picture.rgb * np.array(gain)), 0, 255).astype(np.uint8)
    )


_TWO_STOPS = 0.25 ** (1 / 2.2)
DEGRADATIONS = [
    Degradation("as it is, 1.8 cm"),
    Degradation("GSD 3 cm", coarser(0.03)),
    Degradation("GSD 4 cm", coarser(0.04)),
    Degradation("GSD 5 cm", coarser(0.05)),
    Degradation("JPEG 50", _jpeg(50)),
    Degradation("blur 3 cm", _blurred(0.03)),
    Degradation("blur 6 cm", _blurred(0.06)),
    Degradation("2 stops darker", _tinted(_TWO_STOPS, _TWO_STOPS, _TWO_STOPS)),
    Degradation("colour cast", _tinted(1.15, 1.0, 0.7)),
    Degradation("line 2 m off, left", line_off_m=2.0),
    Degradation("line 2 m off, right", line_off_m=-2.0),
    Degradation("turned by 37°", turn_deg=37.0),
]


def turned(picture: Picture, degrees: float) -> tuple[Picture, Callable[[Any], Any]]:
    """The ground turned about the picture's middle, and the same for (N, 2) positions."""
    height, width = picture.valid.shape
    side = int(np.ceil(np.hypot(height, width)))
    matrix = cv2.getRotationMatrix2D((width / 2 - 0.5, height / 2 - 0.5), degrees, 1.0)
    matrix[:, 2] += [(side - width) / 2, (side - height) / 2]
    rgb = cv2.warpAffine(picture.rgb, matrix, (side, side), flags=cv2.INTER_CUBIC)
    valid = cv2.warpAffine(picture.valid.astype(np.uint8) * 255, matrix, (side, side)) == 255
    rgb[~valid] = 0
    affine = picture.affine * Affine.translation(-(side - width) / 2, -(side - height) / 2)
    middle = np.array(picture.affine @ (width / 2, height / 2))
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.array([[cosine, -sine], [sine, cosine]])
    return replace(picture, rgb=rgb, valid=valid, affine=affine), (
        lambda xy: (np.asarray(xy) - middle) @ turn.T + middle
    )


def load(folder: Path) -> tuple[Picture, shapely.LineString]:
    """The picture around the fence, and the fence, in the picture's CRS."""
    with rasterio.open(folder / "ortho.tif") as dataset:
        truth = geopandas.read_file(folder / "fence_truth.geojson").to_crs(dataset.crs)
        fence = truth.geometry.iloc[0]
        x0, y0, x1, y1 = fence.buffer(MARGIN_M).bounds
        window = rasterio.windows.from_bounds(x0, y0, x1, y1, dataset.transform)
        window = window.round_lengths().round_offsets()
        window = window.intersection(Window(0, 0, dataset.width, dataset.height))
        rgb = np.moveaxis(dataset.read([1, 2, 3], window=window), 0, 2)
        affine = dataset.window_transform(window)
        return Picture(rgb, np.ones(rgb.shape[:2], bool), affine, dataset.crs), fence


def save(picture: Picture, path: Path) -> None:
    height, width = picture.valid.shape
    with rasterio.open(
        path, "w", driver="GTiff", width=width, height=height, count=4, dtype="uint8", tiled=True,
        crs=picture.crs, transform=picture.affine, photometric="RGB", alpha="yes",
    ) as dataset:  # fmt: skip
        dataset.write(np.moveaxis(picture.rgb, 2, 0), [1, 2, 3])
        dataset.write(picture.valid.astype(np.uint8) * 255, 4)


def straight(picture: Picture, fence: shapely.LineString, across_m: Any) -> Any:
    """The ground along a line, chainage to the right, left of the line on top."""
    along = np.arange(0, fence.length, picture.affine.a)
    ahead = shapely.get_coordinates(shapely.line_interpolate_point(fence, along + 0.5))
    here = shapely.get_coordinates(shapely.line_interpolate_point(fence, along))
    behind = shapely.get_coordinates(
        shapely.line_interpolate_point(fence, np.maximum(along - 0.5, 0))
    )
    step = ahead - behind
    step /= np.hypot(*step.T)[:, None]
    xy = here + across_m[:, None, None] * np.column_stack([-step[:, 1], step[:, 0]])
    column, row = ~picture.affine @ (xy[..., 0], xy[..., 1])
    return cv2.remap(
        picture.rgb,
        (column - 0.5).astype(np.float32),
        (row - 0.5).astype(np.float32),
        cv2.INTER_LINEAR,
    )


def projected(boundary: Boundary, crs: Any) -> Any:
    line = geopandas.GeoSeries([shapely.LineString(boundary.parts[0])], crs="EPSG:4326")
    return shapely.get_coordinates(line.to_crs(crs).iloc[0])


def _unprojected(xy: Any, crs: Any) -> Any:
    line = geopandas.GeoSeries([shapely.LineString(xy)], crs=crs).to_crs("EPSG:4326")
    return np.array(shapely.get_coordinates(line.iloc[0]))


def chainage_on(line: shapely.LineString, boundary: Boundary) -> Callable[[Any], Any]:
    """Chainage of the nearest place on the drawn line, for (N, 2) positions in its CRS."""
    vertices = shapely.get_coordinates(line)
    along = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(vertices, axis=0).T))])
    chainage = boundary.vertex_chainages_m(0)
    return lambda xy: np.interp(
        shapely.line_locate_point(line, shapely.points(xy)), along, chainage
    )


def add(called: dict[str, float], state: FenceState, length_m: float) -> None:
    called[state.value] = called.get(state.value, 0.0) + length_m


def _share(called: dict[str, float], state: str) -> float:
    total = sum(called.values())
    return round(called.get(state, 0.0) / total, 4) if total > 0 else 0.0


def _median(values: list[float]) -> float | None:
    return round(float(np.median(values)), 3) if values else None


if __name__ == "__main__":
    main()
