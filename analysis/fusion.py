"""What fence and footpaths say together: people who walk through a fence have a hole to do so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from analysis.access import Meeting
from analysis.fence_work import Breach, FenceResult, Stretch, laid_over
from analysis.footpaths import Footpath, PathClass
from analysis.results import FenceLine
from analysis.side_view import NOT_PHOTOGRAPHED, Opening, SideView
from corridor.findings import NOT_SEEN_FROM_THE_SIDE, BreachType, FenceState

_NEAR_M = 1.5
"""A path's centreline and the breach it leads through agree within this."""
_LEAST_STRENGTH = 0.58
"""Of a path, to suspect a hole; weaker ones are left to the access point to tell."""
_SUSPECTED = 0.78
"""How often there is a breach where a path of strength 1 goes through: 17 of 25 with a mean of 0.87
on scenes 91,001 to 91,012 and 93,001 to 93,012."""


_TWO_VIEWS, _ONE_VIEW, _SEEN_WHOLE = 0.85, 0.4, 0.8
"""Confidence of what frames from the side show. One frame alone may be looking through a bush."""
_ENDS_M = 0.3
_LOW_M = 0.3
_FROM_ABOVE = {FenceState.OBSCURED: "hidden", FenceState.UNSEEN: "not told"}
_UNSURE = tuple(_FROM_ABOVE)


def fuse(
    fence: FenceResult,
    index: int,
    paths: Sequence[Footpath],
    met: Sequence[Meeting],
    view: SideView | None = None,
) -> FenceResult:
    """A fence's result with what the footpaths that meet it add.

    A breach where a path goes through is the surer for it. A stretch called intact which a path
    crosses is suspected of a hole: from above, a cut mesh under a standing rail cannot be seen.

    Args:
        fence: what the fence's own evidence says.
        index: of the fence's line among those that `met` speaks of.
        paths: all of them.
        met: where they meet fences.
        view: the fence in frames from the side. Where they show the mesh, they decide.
    """
    if view is not None:
        fence = _with_openings(fence, view)
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
        elif view is not None and view.saw(at_m - _NEAR_M, at_m + _NEAR_M):
            continue
        elif meeting.crosses and not meeting.inferred:
            fence = _suspect(fence, at_m, path, strength)
    return fence if view is None else _with_what_was_not_seen(fence, view)


def side_notes(
    lines: Sequence[FenceLine], fences: Sequence[FenceResult], views: Sequence[SideView | None]
) -> list[str]:
    """How many metres of each fence were seen from the side; none without frames."""
    notes = []
    for line, fence, view in zip(lines, fences, views, strict=True):
        if view is None:
            continue
        metres = dict.fromkeys(("", NOT_SEEN_FROM_THE_SIDE, NOT_PHOTOGRAPHED), 0.0)
        for each in fence.stretches:
            if each.state is not FenceState.NO_FENCE:
                for start_m, end_m, reason in view.told_of(each.start_m, each.end_m):
                    metres[reason] += end_m - start_m
        seen_m, unseen_m, elsewhere_m = metres.values()
        notes.append(
            f"{line.name}: {seen_m:.0f} m of fence seen from the side, {unseen_m:.0f} m not seen "
            f"from the side, {elsewhere_m:.0f} m not photographed from the side"
        )
    return notes


def _with_what_was_not_seen(fence: FenceResult, view: SideView) -> FenceResult:
    """Says so where a fence is intact from above alone: there, a hole would not be known of."""
    stretches = []
    for each in fence.stretches:
        if each.state is FenceState.INTACT and not each.reason:
            stretches += [
                replace(each, start_m=start_m, end_m=end_m, reason=reason)
                for start_m, end_m, reason in view.told_of(each.start_m, each.end_m)
            ]
        else:
            stretches.append(each)
    return replace(fence, stretches=tuple(stretches))


def _suspect(fence: FenceResult, at_m: float, path: Footpath, strength: float) -> FenceResult:
    """Adds a suspected hole at a place that is called intact."""
    stretch = next((s for s in fence.stretches if s.start_m <= at_m < s.end_m), None)
    if stretch is None or stretch.state is not FenceState.INTACT:
        return fence
    if strength < _LEAST_STRENGTH:
        return fence
    confidence = _SUSPECTED * strength
    half_m = min(max(path.width_m, 0.6), 1.2) / 2
    start_m, end_m = max(at_m - half_m, stretch.start_m), min(at_m + half_m, stretch.end_m)
    hole = Breach(
        start_m=start_m,
        end_m=end_m,
        breach_type=BreachType.HOLE,
        confidence=confidence,
        evidence={"footpath": strength, "wear": path.visibility},
    )
    reason = "suspected hole: a footpath goes through"
    return _cut(fence, hole, Stretch(start_m, end_m, FenceState.BREACH, confidence, reason))


def _cut(fence: FenceResult, hole: Breach, into: Stretch) -> FenceResult:
    """Adds a breach, and its stretch in the place of what was there."""
    breaches = sorted([*fence.breaches, hole], key=lambda breach: breach.start_m)
    return replace(fence, stretches=laid_over(fence.stretches, into), breaches=tuple(breaches))


def _with_openings(fence: FenceResult, view: SideView) -> FenceResult:
    """What the frames from the side show: openings, and whole mesh where nadir could not tell.

    Mesh in its place over all of a breach's length is no breach, whatever it looks like from above.
    """
    whole = [breach for breach in fence.breaches if _is_whole(view, breach.start_m, breach.end_m)]
    breaches = tuple(breach for breach in fence.breaches if breach not in whole)
    stretches = []
    for each in fence.stretches:
        if each.state in _UNSURE and _is_whole(view, each.start_m, each.end_m):
            reason = f"{_FROM_ABOVE[each.state]} from above, whole in the oblique frames"
            each = replace(each, state=FenceState.INTACT, confidence=_SEEN_WHOLE, reason=reason)
        elif each.state is FenceState.BREACH and any(
            breach.start_m < each.end_m and each.start_m < breach.end_m for breach in whole
        ):
            reason = "looks broken from above, whole in the oblique frames"
            each = replace(each, state=FenceState.INTACT, confidence=_SEEN_WHOLE, reason=reason)
        stretches.append(each)
    fence = replace(fence, stretches=tuple(stretches), breaches=breaches)
    for opening in view.openings:
        fence = _with_opening(fence, opening)
    return fence


def _is_whole(view: SideView, start_m: float, end_m: float) -> bool:
    """Whether mesh was seen all along; a stretch's own ends are known to a few decimetres."""
    slack_m = min(_ENDS_M, (end_m - start_m) / 4)
    return view.saw(start_m + slack_m, end_m - slack_m) and not any(
        opening.start_m < end_m and start_m < opening.end_m for opening in view.openings
    )


def _with_opening(fence: FenceResult, opening: Opening) -> FenceResult:
    sure = _TWO_VIEWS if opening.frames >= 2 else _ONE_VIEW
    seen = {"oblique": opening.strength, "oblique_frames": float(opening.frames)}
    breaches = list(fence.breaches)
    known = False
    for number, breach in enumerate(breaches):
        if breach.start_m - _NEAR_M < opening.end_m and opening.start_m < breach.end_m + _NEAR_M:
            confidence = 1.0 - (1.0 - breach.confidence) * (1.0 - sure)
            evidence = {**breach.evidence, **seen}
            breaches[number] = replace(breach, confidence=confidence, evidence=evidence)
            known = True
    if known:
        return replace(fence, breaches=tuple(breaches))
    first_m, last_m = fence.stretches[0].start_m, fence.stretches[-1].end_m
    start_m, end_m = max(opening.start_m, first_m), min(opening.end_m, last_m)
    touched = [s for s in fence.stretches if s.start_m < end_m and start_m < s.end_m]
    if end_m <= start_m or any(s.state is FenceState.NO_FENCE for s in touched):
        return fence
    kind = BreachType.HOLE
    if end_m - start_m > 1.5 and opening.low_m < _LOW_M:
        kind = BreachType.GAP
    elif end_m - start_m > 1.5 and opening.to_top:
        kind = BreachType.COLLAPSED  # its mesh lies at its foot
    reason = f"opening in the mesh, {opening.low_m:.1f} to {opening.high_m:.1f} m above ground"
    hole = Breach(start_m, end_m, kind, sure, seen)
    return _cut(fence, hole, Stretch(start_m, end_m, FenceState.BREACH, sure, reason))
