"""Reading sorties for the link, whatever they come from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from corridor import InputError
from missions.formats import read_parameters, read_qgc_plan, read_waypoints
from missions.mission import Sortie
from missions.plan_files import read_plan


def read_sortie_of(plan: Path, sortie_id: str | None) -> Sortie:
    """A sortie of a plan folder, or the one a mission file holds.

    A `.waypoints` file holds no fence and no rally points; parameters are taken from the `.param`
    file beside a mission file if there is one.

    Raises:
        InputError: if there is no such sortie or file.
    """
    if plan.is_dir():
        files = read_plan(plan)
        if sortie_id is not None:
            return files.sortie(sortie_id)
        if len(files.sorties) != 1:
            names = ", ".join(sortie.sortie_id for sortie in files.sorties[:12])
            raise InputError(
                "--sortie", f"{plan} has {len(files.sorties)} sorties", f"one of {names}"
            )
        return files.sorties[0]
    if not plan.is_file():
        raise InputError(plan, "no such file or folder", "a plan folder, .waypoints or .plan")
    if plan.suffix == ".plan":
        sortie = replace(read_qgc_plan(plan), sortie_id=plan.stem)
    else:
        sortie = Sortie(plan.stem, read_waypoints(plan))
    beside = plan.with_suffix(".param")
    if beside.is_file():
        sortie = replace(sortie, parameters=read_parameters(beside))
    return sortie
