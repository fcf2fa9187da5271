"""What fence and footpaths say together: people who walk through a fence have a hole to do so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from analysis.access import Meeting
from analysis.fence_work import Breach, FenceResult, Stretch
from analysis.footpaths.find import Footpath, PathClass
from corridor.findings import BreachType, FenceState

_NEAR_M = 1.5
"""A path's centreline and the breach it leads through agree within this."""
_LEAST_CONFIDENCE = 0.35
"""A suspected hole below it is left to the access point to tell."""


def fuse(
    fence: FenceResult, index: int, paths: Sequence[Footpath], met: Sequence[Meeting]
) -> FenceResult:
    """A fence's result with what the footpaths that meet it add.

    A breach where a path goes through is the surer for it. A stretch called intact which a path
    crosses is suspected of a hole: from above, a cut mesh under a standing rail cannot be seen.

    Args:
        fence: what the fence's own evidence says.
        index: of the fence's line among those that `met` speaks of.
        paths: all of them.
        met: where they meet fences.
    """
    for meeting in met:
        path = paths[meeting.path]
        if meeting.line != index or path.path_class is not PathClass.FOOTPATH:
            continue
        at_m = meeting.chainage_m
        near = [
            number
            for number, breach in enumerate(fence.breaches)
            if breach.start_m - _NEAR_M <= at_m <= breach.end_m + _NEAR_M
        ]
        strength = path.confidence * (1.0 if meeting.crosses else 0.6)
        if near:
            breaches = list(fence.breaches)
            for number in near:
                breach = breaches[number]
                evidence = dict(breach.evidence)
                evidence["footpath"] = max(strength, evidence.get("footpath", 0.0))
                sure = 1.0 - (1.0 - breach.confidence) * (1.0 - 0.5 * strength)
                breaches[number] = replace(breach, confidence=sure, evidence=evidence)
            fence = replace(fence, breaches=tuple(breaches))
        elif meeting.crosses and not meeting.inferred:
            fence = _suspect(fence, at_m, path, strength)
    return fence


def _suspect(fence: FenceResult, at_m: float, path: Footpath, strength: float) -> FenceResult:
    """Adds a suspected hole at a place that is called intact."""
    stretch = next((s for s in fence.stretches if s.start_m <= at_m < s.end_m), None)
    if stretch is None or stretch.state is not FenceState.INTACT:
        return fence
    confidence = 0.6 * strength
    if confidence < _LEAST_CONFIDENCE:
        return fence
    half_m = min(max(path.width_m, 0.6), 1.2) / 2
    start_m, end_m = max(at_m - half_m, stretch.start_m), min(at_m + half_m, stretch.end_m)
    hole = Breach(
        start_m=start_m,
        end_m=end_m,
        breach_type=BreachType.HOLE,
        confidence=confidence,
        evidence={"footpath": strength, "wear": path.visibility},
    )
    cut = []
    for each in fence.stretches:
        if each is not stretch:
            cut.append(each)
            continue
        if each.start_m < start_m:
            cut.append(replace(each, end_m=start_m))
        reason = "suspected hole: a footpath goes through"
        cut.append(Stretch(start_m, end_m, FenceState.BREACH, confidence, reason))
        if end_m < each.end_m:
            cut.append(replace(each, start_m=end_m))
    breaches = sorted([*fence.breaches, hole], key=lambda breach: breach.start_m)
    return replace(fence, stretches=tuple(cut), breaches=tuple(breaches))
