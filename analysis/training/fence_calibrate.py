"""Calibrates how the fence network is read: `python -m analysis.training.fence_calibrate SCENES`.

On generated scenes that the network was not trained on, prints what `analysis/fence/decode.py` and
`analysis/fence/assess.py` hold as constants: how much the network's and the template's opinion
count for a cell, and how often a breach that is reported is one.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import geopandas
import numpy as np
import numpy.typing as npt
import shapely
from scipy.optimize import minimize

from analysis.fence import assess, decode
from analysis.fence.strip import Centre
from analysis.raster import Orthophoto
from corridor import read_boundaries
from corridor.findings import (
    BreachType,
    FenceState,
    Finding,
    FindingKind,
    read_condition,
    read_findings,
)

Floats = npt.NDArray[np.float64]
_SLACK_M = 1.0
_WRONG_LINE_M = 0.5
_AVERAGE = 4


@dataclass(frozen=True)
class Cells:
    """Cells whose fence is visible: log odds of broken by the network and by comparing the fence
    with itself, the template's log ratio, by how much that is less than usual, how far the network
    hesitates, and whether they are broken."""

    network: Floats
    likeness: Floats
    template: Floats
    shortfall: Floats
    unsure: Floats
    broken: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Reported:
    """Breaches reported: mean probability of being broken, and whether there is one."""

    chance: Floats
    right: npt.NDArray[np.bool_]


def measure(folder: Path) -> tuple[Cells, Reported]:
    """Both fences of a generated scene, against its truth."""
    ortho = Orthophoto.open(folder / "ortho.tif")
    truth = folder / "truth.gpkg"
    lines = geopandas.read_file(truth, layer="fence_line").to_crs(ortho.crs)
    pieces, findings = read_condition(truth), read_findings(truth)
    cells: list[Floats] = []
    reported: list[tuple[float, bool]] = []
    for boundary in read_boundaries(folder / "boundaries.geojson"):
        track = ortho.track(boundary, 0)
        answers = [
            assess.answer(ortho, track, boundary.offset_tolerance_m, number)
            for number in range(assess.piece_count(track))
        ]
        evidence = assess.gather(Centre.of(track), answers, boundary.offset_tolerance_m)
        like = np.where(np.isnan(evidence.likeness), evidence.network, evidence.likeness)
        odds, alike = _odds(evidence.network), _odds(like)
        at = evidence.chainage_m[:-1]
        code = np.full(len(at), -1)
        for piece in pieces:
            if piece.side is boundary.side and piece.state is FenceState.INTACT:
                code[(at >= piece.chainage_start_m) & (at < piece.chainage_end_m)] = 0
        breaches = [f for f in findings if f.kind is FindingKind.BREACH and f.side is boundary.side]
        for breach in breaches:
            start_m, end_m = _span(breach)
            inside = (at >= start_m) & (at < end_m)
            visible = breach.extra.get("visible_frac")
            seen = visible is None or float(visible) >= 0.3
            code[inside] = 1 if seen and breach.breach_type is not BreachType.HOLE else -1
        true_line = lines.geometry.iloc[list(lines.side).index(boundary.side)]
        near = shapely.distance(true_line, shapely.points(evidence.xy)) < _WRONG_LINE_M
        use = (code >= 0) & near & evidence.imaged
        ratio, unsure = evidence.ratio, decode.unsure(evidence.network)
        columns = (odds, alike, ratio, decode.shortfall(ratio), unsure, code)
        cells.append(np.stack([column[use] for column in columns]))
        found = assess.assess(ortho, track, boundary.offset_tolerance_m, answers=answers)
        for each in found.broken:
            right = any(
                each.start_m - _SLACK_M < end_m and each.end_m + _SLACK_M > start_m
                for start_m, end_m in map(_span, breaches)
            )
            reported.append((each.evidence["gap"] + each.evidence["collapsed"], right))
    joined = np.concatenate(cells, axis=1)
    table = np.array(reported, dtype=np.float64).reshape(-1, 2)
    cells_seen = Cells(joined[0], joined[1], joined[2], joined[3], joined[4], joined[5] > 0)
    return cells_seen, Reported(table[:, 0], table[:, 1] > 0)


def _odds(state: Floats) -> Floats:
    """(N,) log odds of broken of states (N, 4), over a few cells."""
    odds = np.log((state[:, 1] + state[:, 2] + 1e-4) / (state[:, 0] + 1e-4))
    return np.convolve(odds, np.full(_AVERAGE, 1 / _AVERAGE), mode="same")


def _span(breach: Finding) -> tuple[float, float]:
    """Chainages; what cannot be placed is nowhere."""
    if breach.chainage_start_m is None or breach.chainage_end_m is None:
        return np.nan, np.nan
    return breach.chainage_start_m, breach.chainage_end_m


def fit_logistic(features: Floats, true: npt.NDArray[np.bool_], ridge: float = 1.0) -> Floats:
    """Weights (K + 1,), the last a constant, of log odds linear in features (K, N)."""
    full = np.vstack([features, np.ones(features.shape[1])])

    def loss(weight: Floats) -> tuple[float, Floats]:
        odds = weight @ full
        wrong = 1 / (1 + np.exp(-odds)) - true
        value = np.sum(np.logaddexp(0, odds) - odds * true) + ridge / 2 * np.sum(weight**2)
        return float(value), full @ wrong + ridge * weight

    found = minimize(loss, np.zeros(len(full)), jac=True, method="L-BFGS-B")
    return np.asarray(found.x)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenes", nargs="+", type=Path)
    given = parser.parse_args()
    measured = [measure(folder) for folder in given.scenes]
    names = ("network", "likeness", "template", "shortfall", "unsure", "broken")
    odds, alike, ratio, less, unsure, broken = (
        np.concatenate([getattr(cells, name) for cells, _ in measured]) for name in names
    )
    for_it, against = np.maximum(ratio, 0.0), np.minimum(ratio, 0.0)
    opinions = np.stack([odds, alike, -for_it, -against, -less, -np.ones_like(odds)])
    weights = fit_logistic(np.vstack([opinions * (1 - unsure), opinions * unsure]), broken)[:-1]
    print(f"cells {len(odds)}, broken {broken.mean():.3f}, unsure of {unsure.mean():.2f}")
    for name, part in zip(("_KNOWN", "_UNKNOWN"), np.split(weights, 2), strict=True):
        print(f"decode.{name} = [{', '.join(f'{weight:.2f}' for weight in part)}]")
    chance = np.concatenate([each.chance for _, each in measured])
    right = np.concatenate([each.right for _, each in measured])
    slope, constant = fit_logistic(chance[None], right, ridge=0.01)
    print(f"breaches {len(chance)}, right {right.mean():.3f}")
    print(f"assess._SURE_SLOPE, _SURE_MIDDLE = {slope:.1f}, {-constant / slope:.2f}")


if __name__ == "__main__":
    main()
