"""Fits how approaches to a fence are judged: `python -m analysis.training.access SCENES`.

On generated scenes, whose fence is analysed first as a user's is: the places where trodden ground
may lead up to the fence are told from those where it does by a logistic function of a few cues,
which is written as `analysis/models/access.json`. What it finds is printed as measured on scenes
left out of the fit, a fifth of them at a time. A true way of which less than half can be seen
beside the fence is no lesson: a place there counts neither way.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely

from analysis.approaches import CUES, candidates, stretch_starts
from analysis.footpaths.network import Network
from analysis.pipeline import analyze
from analysis.raster import Orthophoto
from analysis.results import FenceLine
from analysis.score.compare import is_hidden
from analysis.sources import AnalyzeSpec, Sources
from analysis.training.logistic import fit_weights, left_out
from corridor import Side, read_boundaries, write_json
from corridor.findings import FencePiece, FenceState, Finding, FindingKind, read_findings
from corridor.values import FloatArray

MODEL = Path(__file__).parents[1] / "models" / "access.json"
WITHIN_M = 2.5
_SHRINK = 1.0


@dataclass(frozen=True)
class Example:
    """A candidate: of which scene and side, where, its cues, and the true access point it is."""

    scene: str
    side: Side
    chainage_m: float
    cues: tuple[float, ...]
    true: int | None


@dataclass(frozen=True)
class Told:
    """One scene: its candidates, how many access points can be seen, and metres of fence."""

    examples: tuple[Example, ...]
    true: int
    fence_m: float


def told_of(folder: Path, network: Network) -> Told:
    """A generated scene, its fence analysed."""
    sources = Sources(
        orthos=(folder / "ortho.tif",), boundaries=read_boundaries(folder / "boundaries.geojson")
    )
    with tempfile.TemporaryDirectory() as scratch:
        done = analyze(sources, Path(scratch) / "out", AnalyzeSpec(footpaths=False, plots=False))
    return examples_of(folder, done.lines, done.pieces, done.findings, network)


def examples_of(
    folder: Path,
    lines: Sequence[FenceLine],
    pieces: Sequence[Sequence[FencePiece]],
    findings: Sequence[Finding],
    network: Network,
) -> Told:
    """The candidates along fences that were analysed already."""
    ortho = Orthophoto.open(folder / "ortho.tif")
    truth = [
        one for one in read_findings(folder / "truth.gpkg") if one.kind is FindingKind.ACCESS_POINT
    ]
    places = [ortho.to_xy(shapely.get_coordinates(one.geometry))[0] for one in truth]
    seen = [not is_hidden(one) for one in truth]
    found: list[Example] = []
    for line, own in zip(lines, pieces, strict=True):
        side = line.boundary.side
        broken = [
            (one.chainage_start_m or 0.0, one.chainage_end_m or 0.0, one.confidence)
            for one in findings
            if one.kind is FindingKind.BREACH and one.side is side
        ]
        absent = [
            (piece.chainage_start_m, piece.chainage_end_m)
            for piece in own
            if piece.state is FenceState.NO_FENCE
        ]
        outward = side.outward
        for first_m in stretch_starts(line.found):
            for one in candidates(ortho, network, line.found, outward, first_m, broken, absent):
                here = line.found.at([one.chainage_m])[0]
                away = [float(np.hypot(*(place - here))) for place in places]
                nearest = int(np.argmin(away)) if away else 0
                true = bool(away) and away[nearest] <= WITHIN_M
                if true and not seen[nearest]:
                    continue
                found.append(
                    Example(
                        scene=folder.name,
                        side=side,
                        chainage_m=one.chainage_m,
                        cues=tuple(one.cues[cue] for cue in CUES),
                        true=nearest if true else None,
                    )
                )
    fence_m = sum(float(np.ptp(line.found.chainage_m)) for line in lines)
    return Told(tuple(found), sum(seen), fence_m)


def told_apart(examples: Sequence[Example]) -> tuple[FloatArray, FloatArray]:
    """Cues of examples, (N, K), and whether each is a true one, (N,) 0 or 1."""
    cues = np.array([one.cues for one in examples])
    return cues, np.array([one.true is not None for one in examples], dtype=np.float64)


def fitted(examples: Sequence[Example]) -> dict[str, float]:
    """Weights of a logistic function, a little shrunk."""
    return fit_weights(CUES, *told_apart(examples), _SHRINK)


def judged(told: Sequence[Told]) -> tuple[list[Example], FloatArray]:
    """All examples, and the probability of each by a fit that did not see its scene."""
    every = [one for each in told for one in each.examples]
    return every, left_out(CUES, *told_apart(every), [one.scene for one in every], _SHRINK)


def table(told: Sequence[Told]) -> Iterator[str]:
    """Access points found and false ones a kilometre of fence, by the least probability."""
    every, chance = judged(told)
    true, fence_km = sum(one.true for one in told), sum(one.fence_m for one in told) / 1000
    yield f"{len(told)} scenes, {fence_km:.2f} km of fence, {true} access points that can be seen"
    yield "| from a probability of | found | false per km |"
    yield "| --- | --- | --- |"
    for least in np.arange(0.1, 0.95, 0.1):
        right: set[tuple[str, int]] = set()
        wrong = 0
        for one, sure in zip(every, chance, strict=True):
            if sure >= least:
                if one.true is None:
                    wrong += 1
                else:
                    right.add((one.scene, one.true))
        yield f"| {least:.1f} | {len(right) / max(true, 1):.2f} | {wrong / fence_km:.2f} |"


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenes", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=MODEL)
    given = parser.parse_args()
    network = Network()
    told = []
    for folder in given.scenes:
        told.append(told_of(folder, network))
        print(f"{folder.name}: {len(told[-1].examples)} places", flush=True)
    print("\n".join(table(told)))
    by_cue = fitted([one for each in told for one in each.examples])
    rounded = {cue: round(value, 4) for cue, value in by_cue.items()}
    write_json(given.out, {"version": 1, "weights": rounded})


if __name__ == "__main__":
    main()
