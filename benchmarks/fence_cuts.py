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
import shapely
import shapely.ops
from fence_picture import DEGRADATIONS, Degradation, Picture, load, save, straight, turned, without

from analysis.fence.assess import answer, piece_count
from analysis.fence_sections import judge
from analysis.fence_work import FenceResult
from analysis.raster import Orthophoto
from corridor import Boundary, read_boundaries
from corridor.findings import FenceState

FIRST_SEED = 10_000
SLACK_M = 1.0
"""As in scoring: a breach and a cut match if they overlap after this."""


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
    tally.line_error_m += np.atleast_1d(shapely.distance(middle, fence)).tolist()


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
