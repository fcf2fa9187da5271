"""Real fences of one's own: is the whole fence called so, and are stretches cut out of it found?

    python benchmarks/fence_stretches.py FOLDERS… [--variants 5] [--json OUT]

Each folder holds `ortho.tif` in a metric CRS, `boundaries.geojson` (the line as drawn, rough) and
`fence_truth.geojson`: one line, traced by eye, with the properties `seen_from_m` and `seen_to_m`,
between which offsets (left positive) the fence, its lean and its shadow are seen, and `hidden`, a
list of [from, to] along the line where something covers it. The fence is judged as it is, and with
1 to 3 stretches of 0.5 to 5 m cut out, filled with the ground of each side, in other light. What is
hidden is neither cut nor counted, but a breach reported there is false. The line is lost where it
runs more than 0.15 m outside of what is seen of the fence.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import fence_cuts
import fence_picture
import geopandas
import numpy as np
import shapely

from analysis.fence.assess import answer, piece_count
from analysis.fence_sections import judge
from analysis.fence_work import FenceResult
from analysis.raster import Orthophoto
from corridor import Boundary, InputError, read_boundaries

FIRST_SEED = 60_000
LOST_M = 0.15
FREE_M = 0.3
"""Ground is copied from at least so far outside of what is seen of the fence."""
Spans = list[tuple[float, float]]


@dataclass(frozen=True)
class Stretch:
    """A traced fence: its picture, where it runs, what is seen of it, and the line as drawn."""

    name: str
    picture: fence_picture.Picture
    fence: shapely.LineString
    seen_from_m: float
    seen_to_m: float
    hidden: Spans
    boundary: Boundary

    @classmethod
    def read(cls, folder: Path) -> Stretch:
        picture, fence = fence_picture.load(folder)
        about = geopandas.read_file(folder / "fence_truth.geojson").iloc[0]
        hidden = about.get("hidden", [])
        hidden = json.loads(hidden) if isinstance(hidden, str) else hidden
        boundary = read_boundaries(folder / "boundaries.geojson")[0]
        seen = float(about.get("seen_from_m", -0.45)), float(about.get("seen_to_m", 0.45))
        return cls(folder.name, picture, fence, *seen, [(a, b) for a, b in hidden], boundary)

    @property
    def middle(self) -> shapely.LineString:
        """The line in the middle of what is seen."""
        line = shapely.offset_curve(self.fence, (self.seen_from_m + self.seen_to_m) / 2)
        if not isinstance(line, shapely.LineString):
            raise InputError(self.name, "has no line in the middle of what is seen")
        return line

    @property
    def half_m(self) -> float:
        return (self.seen_to_m - self.seen_from_m) / 2


@dataclass
class Row:
    """A row of the table."""

    name: str
    length_m: float
    pixel_cm: float
    called: dict[str, float]
    false: int
    line_off_m: float
    line_lost_frac: float
    cuts: int
    found: int
    false_beside_cuts: int
    looked_at_m: float
    cut_m: float
    cut_called_intact_m: float
    cut_called_unseen_m: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--variants", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    for folder in options.folders:
        rows.append(measure(Stretch.read(folder), options.variants))
        print(json.dumps(asdict(rows[-1])), flush=True)
    print("\n".join(as_markdown(rows)))
    if options.json:
        text = json.dumps([asdict(row) for row in rows], indent=2)
        options.json.write_text(text + "\n", encoding="utf-8")


def measure(stretch: Stretch, variants: int) -> Row:
    """The fence as it is, then its variants."""
    whole = judged(stretch, stretch.picture)
    hidden = chainages(stretch, stretch.hidden)
    called: dict[str, float] = {}
    for each in whole.stretches:
        covered = sum(_overlap(each.start_m, each.end_m, span) for span in hidden)
        fence_cuts.add(called, each.state, each.end_m - each.start_m - covered)
    off = shapely.distance(stretch.middle, shapely.points(whole.xy))
    tally = fence_cuts.Tally()
    for seed in range(FIRST_SEED, FIRST_SEED + variants):
        picture, cuts = variant(stretch, seed)
        result = judged(stretch, picture)
        spans: list[tuple[Any, ...]] = [tuple(span) for span in chainages(stretch, cuts)]
        fence_cuts.count(result, spans, stretch.fence, tally, seed)
    cut_m = sum(tally.cut_called.values())
    unseen = tally.cut_called.get("unseen", 0.0) + tally.cut_called.get("obscured", 0.0)
    return Row(
        stretch.name,
        round(stretch.fence.length, 1),
        round(100 * stretch.picture.affine.a, 1),
        {state: round(length_m, 1) for state, length_m in called.items()},
        len(whole.breaches),
        round(float(np.median(np.maximum(off - stretch.half_m, 0.0))), 2),
        round(float((off > stretch.half_m + LOST_M).mean()), 2),
        tally.cuts,
        tally.found,
        tally.false,
        round(tally.fence_m, 0),
        round(cut_m, 1),
        round(tally.cut_called.get("intact", 0.0), 1),
        round(unseen, 1),
    )


def judged(stretch: Stretch, picture: fence_picture.Picture) -> FenceResult:
    """What the analysis says of the fence in a picture."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ortho.tif"
        fence_picture.save(picture, path)
        ortho = Orthophoto.open(path)
        track = ortho.track(stretch.boundary, 0)
        tolerance_m = stretch.boundary.offset_tolerance_m
        answers = [answer(ortho, track, tolerance_m, each) for each in range(piece_count(track))]
        return judge(ortho, 0, stretch.boundary, 0, None, answers)


def variant(stretch: Stretch, seed: int) -> tuple[fence_picture.Picture, Spans]:
    """The picture in another light with stretches cut out: (start, end) along the fence."""
    rng = np.random.default_rng(seed)
    length_m = stretch.fence.length
    wanted = min(int(rng.integers(1, 4)), max(1, int(length_m // 7)))
    cuts: Spans = []
    for _ in range(400):
        if len(cuts) == wanted:
            break
        cut_m = float(np.exp(rng.uniform(np.log(0.5), np.log(min(5.0, length_m / 4)))))
        start = float(rng.uniform(2.5, length_m - 2.5 - cut_m))
        end = start + cut_m
        if _apart(start, end, cuts, 4.0) and _apart(start, end, stretch.hidden, 0.5):
            cuts.append((start, end))
    middle = stretch.middle
    rgb = stretch.picture.rgb.astype(np.float32)
    for cut in sorted(cuts):
        ends = [middle.project(stretch.fence.interpolate(at)) for at in cut]
        rgb = fence_picture.without(
            rgb, stretch.picture.affine, middle, (ends[0], ends[1]),
            half_m=stretch.half_m, beside_m=stretch.half_m + FREE_M,
        )  # fmt: skip
    light, contrast = np.exp(rng.uniform(np.log(0.5), np.log(1.4))), rng.uniform(0.8, 1.2)
    rgb = rgb * light ** (1 / 2.2)
    level = float(np.median(rgb))
    rgb = np.clip(np.rint(level + contrast * (rgb - level)), 0, 255).astype(np.uint8)
    return replace(stretch.picture, rgb=rgb), sorted(cuts)


def chainages(stretch: Stretch, spans: Spans) -> Spans:
    """Spans along the fence as chainages of the drawn line."""
    drawn = fence_cuts.projected(stretch.boundary, stretch.picture.crs)
    chainage = fence_cuts.chainage_on(shapely.LineString(drawn), stretch.boundary)
    out = []
    for span in spans:
        places = [stretch.fence.interpolate(at) for at in span]
        first, last = sorted(float(each) for each in chainage(shapely.get_coordinates(places)))
        out.append((first, last))
    return out


def _apart(start: float, end: float, spans: Spans, least_m: float) -> bool:
    return all(start > last + least_m or end < first - least_m for first, last in spans)


def _overlap(start: float, end: float, span: tuple[Any, ...]) -> float:
    return float(max(0.0, min(end, span[1]) - max(start, span[0])))


def as_markdown(rows: list[Row]) -> list[str]:
    """The table, and a last row of all."""
    lines = [
        "| stretch | m | pixel | whole fence called `intact` | `unseen` | `obscured` | breaches | "
        "line off | line lost | cuts ≥ 1 m found | cut metres called `intact` | called `unseen` | "
        "false beside cuts |",
        "| --- |" + " --- |" * 12,
    ]
    for row in rows:
        total = sum(row.called.values())
        share = [100 * row.called.get(s, 0.0) / total for s in ("intact", "unseen", "obscured")]
        cut_m = max(row.cut_m, 1e-9)
        lines.append(
            f"| {row.name} | {row.length_m:.0f} | {row.pixel_cm:g} cm | {share[0]:.0f} % | "
            f"{share[1]:.0f} % | {share[2]:.0f} % | {row.false} | {row.line_off_m:.2f} m | "
            f"{100 * row.line_lost_frac:.0f} % | {row.found} of {row.cuts} | "
            f"{100 * row.cut_called_intact_m / cut_m:.0f} % | "
            f"{100 * row.cut_called_unseen_m / cut_m:.0f} % | {row.false_beside_cuts} |"
        )
    if len(rows) > 1:
        together = Row(
            "**all**",
            sum(row.length_m for row in rows),
            0.0,
            {
                s: sum(row.called.get(s, 0.0) for row in rows)
                for s in ("intact", "unseen", "obscured", "breach")
            },
            sum(row.false for row in rows),
            float(np.median([row.line_off_m for row in rows])),
            float(np.average([r.line_lost_frac for r in rows], weights=[r.length_m for r in rows])),
            sum(row.cuts for row in rows),
            sum(row.found for row in rows),
            sum(row.false_beside_cuts for row in rows),
            sum(row.looked_at_m for row in rows),
            sum(row.cut_m for row in rows),
            sum(row.cut_called_intact_m for row in rows),
            sum(row.cut_called_unseen_m for row in rows),
        )
        last = as_markdown([together])[-1].replace("| 0 cm |", "| |")
        lines.append(last[:-1] + f"in {together.looked_at_m:.0f} m |")
    return lines


if __name__ == "__main__":
    main()
