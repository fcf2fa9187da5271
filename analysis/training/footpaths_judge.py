"""Fits the judge of branches: `python -m analysis.training.footpaths_judge SCENES… --real R…`.

A logistic regression on what was seen along each branch that the evidence offers, in painted
pictures, generated scenes and traced real pictures (a branch is a path if most of it lies on one).
Lengths are the weights, so that a metre is a metre.

The line is drawn where F1, in metres, is best on painted pictures and scenes. With traced pictures
it is told what the same would have made of each of them unseen. Without, on pictures that hold no
path no more is reported than `FALSE_M_PER_HA` either.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import cv2
import geopandas
import numpy as np
import numpy.typing as npt
import rasterio
import shapely
from rasterio.transform import from_origin
from scipy.optimize import minimize

from analysis.footpaths.channels import RGB_STEPS
from analysis.footpaths.config import FootpathConfig
from analysis.footpaths.find import candidates, ridges
from analysis.footpaths.grid import WorkingGrid
from analysis.footpaths.judge import CUES, SHIPPED, Judge
from analysis.footpaths.network import MODELS, Network
from analysis.raster import Orthophoto
from analysis.score import read_stated
from analysis.score.source import SeenStretch
from analysis.training.footpaths_paint import CANVAS_PX, Sample, Source, painted, read_ground
from analysis.training.footpaths_real import read_traced
from analysis.training.footpaths_trust import believed, chosen_limits
from corridor import InputError, write_json
from corridor.findings import Finding, FindingKind

Array = npt.NDArray[Any]
OnPath = Callable[[Array], Array]
"""(n, 2) x, y to how far each lies on a path: 1, 0, or NaN where nobody can say."""

NEAR_M = 1.0
PENALTY = 1e-3
FALSE_M_PER_HA = 20.0
REAL_WEIGHT = 1.0
"""Of the traced pictures together, against all others together."""
SIGNS = {
    "score": (0.0, 5.0),
    "footpath": (0.0, 5.0),
    "flank": (-5.0, 0.0),
    "vehicle": (-5.0, 0.0),
    "sealed": (-5.0, 0.0),
    "beside": (-5.0, 0.0),
    "straight": (-0.5, 0.0),
    "length": (0.0, 2.0),
}
"""Least and greatest weight of a cue: what speaks for a path nowhere speaks against one. Painted
paths all wander, because they were painted so; mown ones in the field do not always."""
_UNSEEN = -7.0
"""Score of a branch along which nothing was seen."""
_WEST, _NORTH = 500_000.0, 3_000_000.0


class Seen(NamedTuple):
    """A branch: the share of it that is path, its length, its cues, and its picture's number."""

    share: float
    length_m: float
    cues: list[float]
    picture: int


def branches(
    ortho: Orthophoto, on_path: OnPath, network: Network, config: FootpathConfig, number: int
) -> Iterator[Seen]:
    """What the evidence offers in a picture."""
    grid = WorkingGrid.of(ortho, config.gsd_m)
    _, pixels = ridges(grid, shapely.box(*ortho.bounds), config, network)
    judge = Judge(pixels, config, 2 * grid.gsd_m, network=True)
    for graph in candidates(pixels, config, 2 * grid.gsd_m):
        for branch in graph.branches:
            on = on_path(grid.xy(2.0 * branch.pixels[:, 0] + 1, 2.0 * branch.pixels[:, 1] + 1))
            if np.isnan(on).mean() > 0.5:
                continue
            evidence = judge.evidence(branch.pixels)
            length_m = branch.length_px * 2 * grid.gsd_m
            yield Seen(float(np.nanmean(on)), length_m, [evidence[cue] for cue in CUES], number)


def scene_paths(folder: Path, ortho: Orthophoto) -> OnPath:
    """Where the paths of a generated scene can be seen; unknown where they cannot.

    Beside a fence it is unknown too: what runs there is judged by the road (`road_context`).
    """
    stated = read_stated(folder, "truth.gpkg")
    paths = stated.of_kind(FindingKind.FOOTPATH)
    seen = stated.footpaths_seen if stated.footpaths_seen is not None else paths

    def near(things: Sequence[Finding | SeenStretch]) -> shapely.Geometry:
        lines = [shapely.transform(one.geometry, ortho.to_xy) for one in things]
        return shapely.buffer(shapely.union_all(lines), NEAR_M)

    fences = geopandas.read_file(folder / "truth.gpkg", layer="fence_line").to_crs(
        ortho.crs.to_wkt()
    )
    beside = shapely.buffer(fences.geometry.to_numpy(), NEAR_M)
    clear, unknown = near(seen), shapely.union_all([near(paths), *beside])

    def on_path(xy: Array) -> Array:
        inside = shapely.contains_xy(clear, *xy.T).astype(float)
        return np.where((inside == 0) & shapely.contains_xy(unknown, *xy.T), np.nan, inside)

    return on_path


def painted_paths(sample: Sample) -> OnPath:
    """Where the paths of a painted picture are that can be seen."""
    reach = 2 * round(0.4 / sample.gsd_m) + 1
    known = sample.weight[0] > 0
    shown = np.where(known, sample.target[0], 0).astype(np.uint8)
    target = cv2.dilate(shown, np.ones((reach, reach), np.uint8)) > 127

    def on_path(xy: Array) -> Array:
        limit = np.array(target.shape) - 1
        row = np.clip(((_NORTH - xy[:, 1]) / sample.gsd_m).astype(int), 0, limit[0])
        column = np.clip(((xy[:, 0] - _WEST) / sample.gsd_m).astype(int), 0, limit[1])
        unknown = ~known[row, column] & ~target[row, column]
        return np.where(unknown, np.nan, target[row, column].astype(float))

    return on_path


def written(sample: Sample, path: Path) -> Orthophoto:
    """A painted picture as a file."""
    rgb = (sample.rgb // RGB_STEPS).astype(np.uint8).transpose(2, 0, 1)
    profile = {
        "driver": "GTiff", "width": rgb.shape[2], "height": rgb.shape[1], "count": 3,
        "dtype": "uint8", "crs": "EPSG:32648",
        "transform": from_origin(_WEST, _NORTH, sample.gsd_m, sample.gsd_m),
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(rgb)
    return Orthophoto.open(path)


def weights_of(is_path: Array, length_m: Array, pictures: Array, real: Sequence[int] = ()) -> Array:
    """How much each branch counts: its metres, as much for path as for none.

    Args:
        is_path: (n,) bool.
        length_m: of each branch.
        pictures: the number of its picture.
        real: numbers of the traced pictures, of which each counts alike and all together
            `REAL_WEIGHT`; all other pictures are one heap that counts 1.

    Returns:
        (n,).
    """
    heap = np.where(np.isin(pictures, list(real)), pictures, -1)
    weight = np.zeros(len(heap))
    for number in np.unique(heap):
        own = REAL_WEIGHT / len(real) if number >= 0 else 1.0
        for kind in (is_path, ~is_path):
            here = kind & (heap == number)
            weight[here] = 0.5 * own * length_m[here] / max(length_m[here].sum(), 1e-9)
    return weight


def fit(cues: Array, is_path: Array, weight: Array) -> dict[str, float]:
    """Weights of a logistic regression, with a small penalty on standardised cues.

    Args:
        cues: (n, K) in the order of `CUES`.
        is_path: (n,) bool.
        weight: (n,) as of `weights_of`.
    """
    mean, spread = cues.mean(axis=0), cues.std(axis=0) + 1e-6
    x = np.column_stack([(cues - mean) / spread, np.ones(len(cues))])

    def loss(w: Array) -> float:
        margin = (x @ w) * np.where(is_path, 1, -1)
        return float((weight * np.logaddexp(0, -margin)).sum() + PENALTY * (w[:-1] ** 2).sum() / 2)

    bounds = [(SIGNS[c][0] * s, SIGNS[c][1] * s) for c, s in zip(CUES, spread, strict=True)]
    w = minimize(loss, np.zeros(x.shape[1]), method="L-BFGS-B", bounds=[*bounds, (-50, 50)]).x
    scaled = w[:-1] / spread
    fitted = {cue: round(float(v), 4) for cue, v in zip(CUES, scaled, strict=True)}
    return {"bias": round(float(w[-1] - scaled @ mean), 4), **fitted}


def best_cut(total: Array, share: Array, length_m: Array) -> float:
    """The total from which on F1, in metres, is best."""
    order = np.argsort(-total)
    right = np.cumsum((share * length_m)[order])
    reported = np.cumsum(length_m[order])
    f1 = 2 * right / (reported + right[-1])
    return float(total[order][int(np.argmax(f1))])


class Table(NamedTuple):
    """Branches: their share of path, metres, cues (n, K) and pictures; which pictures are what.

    Attributes:
        real: numbers of the traced ones.
        scenes: of the generated ones.
        free: of those without paths, with their hectares.
    """

    share: Array
    length_m: Array
    cues: Array
    pictures: Array
    real: list[int]
    scenes: list[int]
    free: dict[int, float]

    def without(self, picture: int) -> Table:
        """The same without a traced picture."""
        rest = self.pictures != picture
        left = [number for number in self.real if number != picture]
        share, length_m, cues, pictures = (column[rest] for column in self[:4])
        return Table(share, length_m, cues, pictures, left, self.scenes, self.free)

    @property
    def seen(self) -> Array:
        """(n,) bool, along which anything was seen."""
        return np.asarray(self.cues[:, CUES.index("score")] > _UNSEEN)

    def fitted(self) -> dict[str, float]:
        """Weights by the branches that are clearly a path or clearly none."""
        clear = self.seen & ((self.share > 0.7) | (self.share < 0.3))
        share, length_m, cues, pictures = (column[clear] for column in self[:4])
        is_path = share > 0.5
        return fit(cues, is_path, weights_of(is_path, length_m, pictures, self.real))

    def total(self, weights: dict[str, float]) -> Array:
        """What the judge makes of each branch, without its bias."""
        return np.asarray(self.cues @ np.array([weights[cue] for cue in CUES]))

    def line(self, weights: dict[str, float]) -> float:
        """The total from which a branch is a path: by F1, in metres, where there is no bias.

        Traced pictures do not ask: the networks have learned from them, and are surer there.
        """
        told = self.seen & ~np.isin(self.pictures, [*self.free, *self.real])
        return best_cut(self.total(weights)[told], self.share[told], self.length_m[told])

    def trusted(self, passed: Array) -> dict[str, float]:
        """From where the filter is believed: each traced picture counts, and all others as one."""
        groups = np.where(np.isin(self.pictures, self.real), self.pictures, 0)
        groups[np.isin(self.pictures, list(self.free))] = -1
        seen = self.seen
        return chosen_limits(
            self.cues[seen], passed[seen], self.share[seen], self.length_m[seen], groups[seen],
            free_ha=sum(self.free.values()),
        )  # fmt: skip

    def left_out(self, picture: int) -> dict[str, Any]:
        """What a fit, a line and limits of trust without a traced picture make of it."""
        weights = (rest := self.without(picture)).fitted()
        line = rest.line(weights)
        limits = rest.trusted(rest.total(weights) >= line)
        own = (self.pictures == picture) & self.seen
        passed = own & (self.total(weights) >= line)
        told: dict[str, Any] = {"network": self._scores(own, passed)}
        if limits:
            told["with trust"] = self._scores(own, passed | (own & believed(self.cues, limits)))
        return told

    def _scores(self, own: Array, passed: Array) -> list[float]:
        """Completeness, correctness, and metres that are none."""
        right_m = float((self.share * self.length_m)[passed].sum())
        told_m = float(self.length_m[passed].sum())
        true_m = float((self.share * self.length_m)[own].sum())
        found = right_m / max(true_m, 1e-9), right_m / max(told_m, 1e-9)
        return [round(found[0], 2), round(found[1], 2), round(told_m - right_m)]


def false_alarm_cut(total: Array, length_m: Array, hectares: float) -> float:
    """The total from which on no more than `FALSE_M_PER_HA` is reported where there is no path."""
    order = np.argsort(-total)
    reported = np.cumsum(length_m[order])
    over = np.flatnonzero(reported > FALSE_M_PER_HA * hectares)
    return float(total[order][over[0]]) + 1e-6 if len(over) else -50.0


@click.command()
@click.argument("scenes", nargs=-1, type=click.Path(path_type=Path))
@click.option("--ground", multiple=True, type=click.Path(path_type=Path))
@click.option(
    "--real",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A folder with ortho.tif, footpaths.geojson traced in it, and roi.geojson.",
)
@click.option("--painted", "count", default=60, show_default=True, help="Pictures to paint.")
@click.option("--seed", default=7, show_default=True)
@click.option(
    "--model",
    "models",
    multiple=True,
    type=click.Path(path_type=Path, exists=True),
    default=MODELS,
    show_default=True,
    help="A network; of several, the mean counts.",
)
@click.option("--out", type=click.Path(path_type=Path), default=SHIPPED, show_default=True)
@click.option("--table", type=click.Path(path_type=Path), help="Where to keep the branches (npy).")
def main(
    scenes: tuple[Path, ...], ground: tuple[Path, ...], real: tuple[Path, ...], count: int,
    seed: int, models: tuple[Path, ...], out: Path, table: Path | None,
) -> None:  # fmt: skip
    """Fits on painted pictures, SCENES, path-free GROUND, REAL ones."""
    try:
        given = [read_traced(place) for place in real]
    except InputError as error:
        raise click.UsageError(str(error)) from error
    network, config = Network(models), FootpathConfig()
    rng = np.random.default_rng(seed)
    rows: list[Seen] = []
    free_ha: dict[int, float] = {}
    number = 0
    # Half of the pictures are painted altogether, half on the ground without paths.
    on_ground = [read_ground(path) for path in ground]
    sources: list[Source] = [lambda rng: painted(rng, CANVAS_PX)] * max(1, len(on_ground))
    sources += on_ground
    rng.shuffle(sources)
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(count):
            number += 1
            sample = sources[number % len(sources)](rng)
            ortho = written(sample, Path(folder) / f"{number}.tif")
            if not sample.target[0].any():
                free_ha[number] = (CANVAS_PX * sample.gsd_m) ** 2 / 1e4
            rows += branches(ortho, painted_paths(sample), network, config, number)
    click.echo(f"painted: {len(rows)} branches")
    generated: list[int] = []
    for scene in scenes:
        number += 1
        generated.append(number)
        ortho = Orthophoto.open(scene / "ortho.tif")
        rows += branches(ortho, scene_paths(scene, ortho), network, config, number)
        click.echo(f"{scene}: {len(rows)} branches so far")
    for picture in ground:
        number += 1
        ortho = Orthophoto.open(picture)
        free_ha[number] = float(ortho.read(None, 1.0).valid.sum()) / 1e4
        nothing = lambda xy: np.zeros(len(xy))  # noqa: E731
        rows += branches(ortho, nothing, network, config, number)
        click.echo(f"{picture}: {len(rows)} branches so far")
    traced: dict[int, Path] = {}
    for place, picture_of in zip(real, given, strict=True):
        number += 1
        traced[number] = place
        on_path = picture_of.share_on(NEAR_M)
        rows += branches(picture_of.ortho, on_path, network, config, number)
        click.echo(f"{place}: {len(rows)} branches so far")
    share, length = np.array([r.share for r in rows]), np.array([r.length_m for r in rows])
    cues, pictures = np.array([r.cues for r in rows]), np.array([r.picture for r in rows])
    if table is not None:
        np.save(table, np.column_stack([share, length, cues, pictures]))
    all_rows = Table(share, length, cues, pictures, list(traced), generated, free_ha)
    seen = all_rows.seen
    weights = all_rows.fitted()
    total = all_rows.total(weights)
    free = seen & np.isin(pictures, list(free_ha))
    by_f1 = all_rows.line(weights)
    by_alarms = false_alarm_cut(total[free], length[free], sum(free_ha.values()))
    line = by_f1 if traced else max(by_f1, by_alarms)
    click.echo(f"cut by F1 {by_f1:.2f}, by false alarms {by_alarms:.2f}")
    for own, place in traced.items():
        click.echo(json.dumps({"left out": str(place), **all_rows.left_out(own)}))
    false_m = float(length[free & (total >= line)].sum())
    click.echo(
        f"cut at {line:.2f}: {false_m / max(sum(free_ha.values()), 1e-9):.0f} m/ha where no path is"
    )
    weights["bias"] = round(-line, 4)
    probability = 1 / (1 + np.exp(-total - weights["bias"]))
    reliability = []
    for low in np.arange(0, 1, 0.1):
        here = (probability >= low) & (probability < low + 0.1)
        metres = float(length[here].sum())
        right = float((share * length)[here].sum()) / metres if metres else None
        reliability.append({"from": round(float(low), 1), "metres": round(metres), "path": right})
    click.echo(json.dumps({"judge": weights, "reliability": reliability}, indent=1))
    limits = all_rows.trusted(total >= line) if traced else {}
    more_m = float(length[free & believed(cues, limits) & (total < line)].sum())
    click.echo(
        json.dumps(
            {
                "trust": limits,
                "more_false_m_per_ha": round(more_m / max(sum(free_ha.values()), 1e-9), 1),
            }
        )
    )
    write_json(out, {"version": 1, "judge": weights, "trust": limits})


if __name__ == "__main__":
    main()
