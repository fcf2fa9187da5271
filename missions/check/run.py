"""Runs all rules over a plan folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from corridor import InputError, LocalFrame, Progress, read_boundaries, sha256_of, silent
from missions.check.context import PlanContext, SortieContext
from missions.check.coverage_rules import coverage, districts, intervals
from missions.check.findings import CheckFinding, Level
from missions.check.flight_rules import (
    beside,
    carriageway,
    clearance,
    obstacles,
    rates,
    reach,
    structure,
)
from missions.check.kmz_rules import kmz
from missions.check.rally_rules import rally
from missions.check.return_rules import energy, fence, way_home
from missions.check.surface import Surface
from missions.plan_files import read_plan
from missions.survey import survey_from

_SORTIE_RULES: tuple[Callable[[SortieContext], Iterator[CheckFinding]], ...] = (
    structure, clearance, beside, rates, reach, obstacles, carriageway, energy, way_home,
    fence, rally, intervals, kmz,
)  # fmt: skip


def check_plan(
    folder: str | Path, *, step_m: float = 1.0, progress: Progress = silent
) -> list[CheckFinding]:
    """Verifies a plan from its written files.

    Args:
        folder: as written by `fencewalk plan`.
        step_m: distance between places at which the flight is compared with the ground.

    Returns:
        Findings, blocking ones first.

    Raises:
        InputError: if the folder is no plan, or an input named in it is gone.
    """
    files = read_plan(folder)
    document = files.document
    findings = list(_inputs(document))
    paths = {entry["role"]: Path(entry["path"]) for entry in document["inputs"]}
    for role in ("boundaries", "dem"):
        if role not in paths or not paths[role].is_file():
            raise InputError(
                files.folder / "plan.json", f"its {role} {paths.get(role)} is not there",
                "the check reads the inputs again; bring the file back or plan anew",
            )  # fmt: skip
    survey = survey_from(document["survey"], f"{files.folder / 'plan.json'}, survey")
    boundaries = [
        boundary
        for boundary in read_boundaries(paths["boundaries"], **document["boundary_options"])
        if boundary.side.value in survey.sides
    ]
    frame = LocalFrame.around(np.concatenate([part for b in boundaries for part in b.parts]))
    plan = PlanContext(files, survey, boundaries, Surface(paths["dem"]), frame)
    contexts = [SortieContext(plan, sortie, step_m) for sortie in files.sorties]
    for number, context in enumerate(contexts):
        progress(number, len(contexts) + 1, context.sortie.sortie_id)
        for rule in _SORTIE_RULES:
            findings += rule(context)
    progress(len(contexts), len(contexts) + 1, "coverage")
    findings += coverage(plan, contexts)
    findings += districts(plan)
    for site in document["launch_sites"]:
        if site["proposed"]:
            findings.append(
                CheckFinding(
                    Level.WARNING,
                    "launch",
                    f"launch site {site['name']} is a proposal: see that people can stand there",
                    numbers={"lon_deg": site["lon_deg"], "lat_deg": site["lat_deg"]},
                )
            )
    order = {Level.BLOCKING: 0, Level.WARNING: 1, Level.NOTE: 2}
    return sorted(findings, key=lambda finding: order[finding.level])


def _inputs(document: Any) -> Iterator[CheckFinding]:
    for entry in document["inputs"]:
        path = Path(entry["path"])
        if path.is_file() and sha256_of(path) != entry["sha256"]:
            yield CheckFinding(
                Level.BLOCKING, "input-changed",
                f"{entry['role']} {path.name} is not the file the plan was made from",
            )  # fmt: skip
