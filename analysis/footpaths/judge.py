"""Is it a path, and of what kind: one judgement a branch, from what was seen along it.

A logistic function of a few cues. Its weights stand beside the network they belong to; how they
came about, and what `python -m analysis.training.footpaths_judge` fits instead, is in
docs/footpaths.md.
"""

from __future__ import annotations

import enum
import json
import math
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.footpaths.config import FootpathConfig
from analysis.footpaths.evidence import RidgePixels
from analysis.footpaths.graph import Branch

Array = npt.NDArray[Any]


class PathClass(enum.StrEnum):
    """What a line on the ground is."""

    FOOTPATH = "footpath"
    VEHICLE_TRACK = "vehicle_track"
    PAVED_PATH = "paved_path"
    OTHER_LINEAR = "other_linear"


WIDEST_PAVED_PATH_M = 3.5

CUES = ("score", "footpath", "flank", "vehicle", "sealed", "beside", "straight", "length")
"""Mean z along the best curve, the network's mean logits, that of footpath on the side where it is
more, that of sealed ground on both sides, how straight it is, and the logarithm of its metres."""
PAVED_BESIDE = -0.5
"""Logit from which the ground on both sides of a line is taken for paved. Set by hand: along paint
on a real road it was 0.6 to 1.2, along nine tenths of the true paths of two pictures below -1.8."""
_BUILT_WOBBLE_M = 0.15
"""People's paths wander more than this about an even curve, kerbs and walls less."""
_CURVE_M = 24.0
_END_SHARE = 0.6
_END_M = 1.5
TRUSTED = 0.5
"""Probability of what only the filter sees (`seen_by_filter`): of such metres about half were."""
SHIPPED = Path(__file__).parents[1] / "models" / "footpaths.json"
"""The judge's weights and limits, which belong to the networks beside them."""
FILTER_ALONE: Mapping[str, float] = {"bias": -6.5, "score": 2.5}


@cache
def weights() -> Mapping[str, float]:
    """The judge's weights, as they ship."""
    return dict(json.loads(SHIPPED.read_text(encoding="utf-8"))["judge"])


@cache
def trust() -> Mapping[str, float]:
    """From where the filter is believed without the network; empty if nowhere.

    Least `score` and `length_m`, greatest `built` (logit of sealed ground on a line or beside it)
    and `straight`. It stands beside the weights.
    """
    return dict(json.loads(SHIPPED.read_text(encoding="utf-8")).get("trust", {}))


def path_probability(evidence: Mapping[str, float], *, network: bool) -> float:
    """How probably a branch is a footpath."""
    if network and seen_by_filter(evidence, trust()):
        return max(TRUSTED, _logistic(evidence, weights()))
    return _logistic(evidence, weights() if network else FILTER_ALONE)


def seen_by_filter(
    evidence: Mapping[str, float] | Mapping[str, Array], limits: Mapping[str, float]
) -> Array:
    """Whether a line is a path though the network does not know it for one.

    Trails a few pixels wide on ground unlike any it was trained on: what it does know is that
    nothing is built there and that wheels are no likelier than feet, and then a long line that the
    filter follows is hardly ever none.

    Args:
        evidence: by cue, of one line or (n,) of many.
        limits: as of `trust`; none means that the filter is nowhere believed.

    Returns:
        Bool, of the evidence's shape.
    """
    if not limits:
        return np.zeros(np.shape(evidence["score"]), bool)
    return np.asarray(
        (evidence["score"] >= limits["score"])
        & (np.expm1(evidence["length"]) >= limits["length_m"])
        & (np.maximum(evidence["sealed"], evidence["beside"]) <= limits["built"])
        & (evidence["straight"] <= limits["straight"])
        & (evidence["vehicle"] <= evidence["footpath"])
    )


def _logistic(evidence: Mapping[str, float], by_cue: Mapping[str, float]) -> float:
    total = sum(by_cue[cue] * evidence[cue] for cue in CUES if cue in by_cue) + by_cue["bias"]
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, total))))


def class_of(
    evidence: Mapping[str, float], width_m: float, *, network: bool, least: float
) -> PathClass:
    """The class of a branch; without the network a path is a path.

    Args:
        evidence: means along it.
        width_m: as measured.
        network: whether the logits are the network's.
        least: probability from which it is taken for a footpath.
    """
    if not network:
        return PathClass.FOOTPATH
    if evidence["beside"] > PAVED_BESIDE:
        return PathClass.OTHER_LINEAR
    built, wheels = evidence["sealed"], evidence["vehicle"]
    if built > 0 and built > evidence["footpath"]:
        return PathClass.PAVED_PATH if width_m <= WIDEST_PAVED_PATH_M else PathClass.OTHER_LINEAR
    if wheels > 0 and wheels > evidence["footpath"]:
        return PathClass.VEHICLE_TRACK
    if path_probability(evidence, network=True) >= least:
        return PathClass.FOOTPATH
    return PathClass.OTHER_LINEAR


def straightness(places: Array, gsd_m: float) -> float:
    """How little a line wanders about even curves: 0 as people walk, to 2 as things are built.

    Deviation from a parabola over pieces of up to 24 m, in octaves below 15 cm; a short line
    cannot show it and counts less.
    """
    xy = places.astype(np.float64) * gsd_m
    length_m = float(np.hypot(*np.diff(xy, axis=0).T).sum())
    count = max(1, round(length_m / _CURVE_M))
    squares, total = 0.0, 0
    for piece in np.array_split(xy, count):
        if len(piece) < 8:
            continue
        centred = piece - piece.mean(axis=0)
        _, _, axes = np.linalg.svd(centred, full_matrices=False)
        along, across = (centred @ axes.T).T
        rest = across - np.polyval(np.polyfit(along, across, 2), along)
        squares += float((rest**2).sum())
        total += len(piece)
    if total == 0:
        return 0.0
    wobble_m = max(math.sqrt(squares / total), 1e-3)
    octaves = max(0.0, min(2.0, math.log2(_BUILT_WOBBLE_M / wobble_m)))
    return octaves * min(1.0, length_m / 20.0)


class Lookup:
    """Values of ridge pixels by place."""

    def __init__(self, pixels: RidgePixels) -> None:
        self._pixels = pixels
        self._stride = int(pixels.columns.max(initial=0)) - int(pixels.columns.min(initial=0)) + 8
        self._low = int(pixels.columns.min(initial=0)) - 4
        self._keys = pixels.rows.astype(np.int64) * self._stride + pixels.columns - self._low

    def index(self, places: Array) -> Array:
        """Index of each (row, column), -1 where it is no ridge pixel."""
        keys = places[:, 0].astype(np.int64) * self._stride + places[:, 1] - self._low
        at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return np.where(self._keys[at] == keys, at, -1)


class Judge:
    """What was seen along a branch, and what it is.

    Args:
        pixels: all ridge pixels.
        config: thresholds.
        gsd_m: of the ridge pixels.
        network: whether there are logits of the network.
    """

    def __init__(
        self, pixels: RidgePixels, config: FootpathConfig, gsd_m: float, *, network: bool
    ) -> None:
        self._pixels = pixels
        self._gsd_m = gsd_m
        self._lookup = Lookup(pixels)
        self.has_network = network
        self._config = config
        self._known: dict[int, tuple[Array, dict[str, float]]] = {}

    def evidence(self, places: Array) -> dict[str, float]:
        """Means over the ridge pixels at (n, 2) row, column, which follow one another.

        An array is looked at once, however often it is asked about, and must stay as it is.
        """
        known = self._known.get(id(places))
        if known is None:
            # Kept with its evidence, so that no other array can get its identity.
            known = self._known[id(places)] = places, self._seen_along(places)
        return known[1]

    def _seen_along(self, places: Array) -> dict[str, float]:
        index = self._lookup.index(places)
        index = index[index >= 0]
        if len(index) == 0:
            return {
                **dict.fromkeys(("z", *CUES), -8.0),
                "straight": 0.0,
                "length": 0.0,
            }
        logits = self._pixels.logits[index].mean(axis=0)
        return {
            "score": float(self._pixels.score[index].mean()),
            "z": float(self._pixels.z[index].mean()),
            "footpath": float(logits[0]),
            "vehicle": float(logits[1]),
            "sealed": float(logits[2]),
            "beside": float(self._pixels.beside[index].mean()),
            "flank": float(self._pixels.flank[index].mean()),
            "straight": straightness(places, self._gsd_m),
            "length": math.log(1 + len(index) * self._gsd_m),
        }

    def trimmed(self, branch: Branch, free: tuple[bool, bool]) -> Branch:
        """The branch without what leads on past where the path is seen, at its free ends.

        The integration reaches some metres beyond a path's end, and bends to what is there.
        """
        index = self._lookup.index(branch.pixels)
        z = np.where(index >= 0, self._pixels.z[index], np.nan)
        if np.isnan(z).all():
            return branch
        known = np.flatnonzero(~np.isnan(z))
        z = np.interp(np.arange(len(z)), known, z[known])
        least = _END_SHARE * float(np.median(z))
        window = max(3, round(_END_M / self._gsd_m))
        first, last = 0, len(z)
        while free[0] and last - first > window and z[first : first + window].mean() < least:
            first += 1
        while free[1] and last - first > window and z[last - window : last].mean() < least:
            last -= 1
        if last - first < 2:
            return branch
        return replace(branch, pixels=branch.pixels[first:last])

    def probability(self, places: Array) -> float:
        """Of being a footpath."""
        return path_probability(self.evidence(places), network=self.has_network)

    def path_class(
        self, places: Array, width_m: float = 1.0, least: float | None = None
    ) -> PathClass:
        """What it is taken for; a footpath from a probability on, the configuration's if None."""
        least = self._config.least_probability if least is None else least
        return class_of(self.evidence(places), width_m, network=self.has_network, least=least)

    def by_filter(self, places: Array) -> bool:
        """Whether it is a path by the filter's word alone, against the network's."""
        evidence = self.evidence(places)
        return (
            self.has_network
            and bool(seen_by_filter(evidence, trust()))
            and _logistic(evidence, weights()) < self._config.least_probability
        )

    def keeps(self, places: Array) -> bool:
        """Whether a line is worth naming: a path, or a clear line of another kind."""
        if not self.has_network:
            return self.probability(places) >= self._config.least_probability
        if self.path_class(places) is PathClass.FOOTPATH:
            return True
        return self.evidence(places)["score"] >= self._config.other_score
