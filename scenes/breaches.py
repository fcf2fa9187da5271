"""Where and how fences are broken, by chance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from corridor.findings import BreachType
from scenes.fences import Breach
from scenes.lines import FloatArray
from scenes.spec import SceneSpec

# Name, share, type. Dense on purpose: about one in 35 m of fence, so that a short scene tells
# something; real fences have one in kilometres.
_VARIETIES: tuple[tuple[str, float, BreachType], ...] = (
    ("one panel gone", 0.20, BreachType.GAP),
    ("panels gone", 0.17, BreachType.GAP),
    ("mesh gone, posts left", 0.11, BreachType.GAP),
    ("gate left open", 0.06, BreachType.GAP),
    ("gap behind a shrub", 0.06, BreachType.GAP),
    ("cut, rail intact", 0.14, BreachType.HOLE),
    ("cut, mesh folded back", 0.08, BreachType.HOLE),
    ("panel pushed down", 0.10, BreachType.COLLAPSED),
    ("leaning", 0.08, BreachType.COLLAPSED),
)


def lay_breaches(
    spec: SceneSpec,
    posts_m: FloatArray,
    length_m: float,
    free: tuple[tuple[float, float], ...],
    topic: str,
) -> tuple[tuple[Breach, ...], tuple[Breach, ...]]:
    """Breaches along a fence, in order, at least 6 m apart and only within stretches `free`.

    In epoch 2 a third of the first epoch's are mended, and new ones come in between.

    Returns:
        The breaches there are, and those of the first epoch that are mended.
    """
    chance = spec.chance(topic)
    breaches = _walk(chance, posts_m, length_m, free, 33.0)
    if spec.epoch == 1:
        return tuple(breaches), ()
    change = spec.chance_now(topic)
    kept = [breach for breach in breaches if change.uniform() > 0.33]
    mended = tuple(breach for breach in breaches if breach not in kept)
    for breach in _walk(change, posts_m, length_m, free, 90.0):
        # What is mended is not broken again within the month: a new breach keeps off all old ones.
        if all(
            breach.end_m + 6.0 < old.start_m or breach.start_m - 6.0 > old.end_m for old in breaches
        ):
            kept.append(replace(breach, epoch=spec.epoch))
    return tuple(sorted(kept, key=lambda breach: breach.start_m)), mended


def _walk(
    chance: np.random.Generator,
    posts_m: FloatArray,
    length_m: float,
    free: tuple[tuple[float, float], ...],
    every_m: float,
) -> list[Breach]:
    breaches: list[Breach] = []
    at_m = 4.0 + float(chance.exponential(every_m - 10.0))
    while at_m < length_m - 8.0:
        breach = _draw(chance, posts_m, at_m)
        if breach is not None and any(
            a + 3.0 <= breach.start_m and breach.end_m <= b - 3.0 for a, b in free
        ):
            breaches.append(breach)
            at_m = breach.end_m
        at_m += 6.0 + float(chance.exponential(every_m - 6.0))
    return breaches


def _draw(chance: np.random.Generator, posts_m: FloatArray, at_m: float) -> Breach | None:
    shares = np.array([share for _, share, _ in _VARIETIES])
    name, _, kind = _VARIETIES[int(chance.choice(len(shares), p=shares / shares.sum()))]
    first = int(np.searchsorted(posts_m, at_m))
    sign = 1.0 if chance.uniform() < 0.6 else -1.0
    if kind is BreachType.HOLE:
        width_m = float(chance.uniform(0.4, 1.2))
        tilt = sign * float(chance.uniform(40.0, 85.0)) if "folded" in name else 0.0
        return Breach(at_m, at_m + width_m, kind, name, tilt_deg=tilt)
    panels = 1
    if name == "panels gone":
        panels = int(chance.choice([2, 3, 4, 6, 10], p=[0.42, 0.26, 0.16, 0.11, 0.05]))
    elif kind is BreachType.COLLAPSED or name == "mesh gone, posts left":
        panels = int(chance.choice([1, 2, 3], p=[0.55, 0.3, 0.15]))
    last = first + panels
    if last >= len(posts_m):
        return None
    tilt = 0.0
    if name == "panel pushed down":
        tilt = sign * float(chance.uniform(80.0, 90.0))
    elif name == "leaning":
        tilt = sign * float(chance.uniform(35.0, 65.0))
    elif name == "gate left open":
        tilt = sign * float(chance.uniform(50.0, 130.0))
    gone = name in ("one panel gone", "panels gone") and chance.uniform() < 0.45
    return Breach(float(posts_m[first]), float(posts_m[last]), kind, name, bool(gone), tilt)
