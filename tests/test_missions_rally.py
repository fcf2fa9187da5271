"""Rally points: written where proved, refused with a reason, verified as a vehicle acts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from missions_sites import Site, clearance_of, flat, launch, lonlat, plan_site

from corridor import InputError
from missions.check import CheckFinding, Level, check_plan

LINE = [("G1", "left", [(-900.0, 0.0), (900.0, 0.0)])]
HOME, OTHER = launch(-500.0, -100.0, "west"), launch(600.0, -100.0, "east")
NEEDED_M = 23.0


def blocking(site: Site) -> list[CheckFinding]:
    return [f for f in check_plan(site.folder) if f.level is Level.BLOCKING]


def planned(folder: Path, terrain: Any = flat, survey: dict[str, Any] | None = None) -> Site:
    keys: dict[str, Any] = {"launch": [HOME], "rally": [OTHER]}
    return plan_site(folder, terrain, LINE, keys | (survey or {}), cell_m=10.0)


def ridge(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A ridge of 150 m between the line and the rally point's place, away from the line."""
    return 300.0 + 150.0 * np.exp(-(((y + 245.0) / 40.0) ** 2))


def test_a_place_nearer_than_home_becomes_a_rally_point(tmp_path: Path) -> None:
    site = planned(tmp_path)
    sortie = site.files.sorties[0]
    assert len(sortie.rally) == 1
    point = sortie.rally[0]
    assert (point.position.lon_deg, point.position.lat_deg) == pytest.approx(
        (OTHER["lon"], OTHER["lat"]), abs=1e-7
    )
    assert point.altitude_above_home_m == 23.0
    values = {p.name: p.value for p in sortie.parameters}
    assert values["RALLY_INCL_HOME"] == 1.0
    # The half of the line that is nearer to it lies within 550 m and some metres for drift.
    assert 0.5 < values["RALLY_LIMIT_KM"] <= 0.8
    assert blocking(site) == []


@pytest.mark.parametrize(("rally", "count"), [("launch_sites", 1), ("listed", 0), ("none", 0)])
def test_other_launch_sites_count_where_wished(tmp_path: Path, rally: str, count: int) -> None:
    survey = {"launch": [HOME, OTHER], "rally": [], "safety": {"rally": rally}}
    site = planned(tmp_path, flat, {**survey, "safety": {"rally": rally, "max_distance_m": 1500.0}})
    west = [s for s in site.files.sorties if s.details["launch"] == "west"]
    assert all(len(sortie.rally) <= count for sortie in west)
    assert sum(len(sortie.rally) for sortie in site.files.sorties) >= count


def test_the_way_to_it_clears_a_ridge_that_the_way_home_does_not_cross(tmp_path: Path) -> None:
    place = launch(600.0, -420.0, "valley")
    site = planned(tmp_path, ridge, {"rally": [place]})
    sortie = site.files.sorties[0]
    assert sortie.rally[0].altitude_above_home_m >= 150.0 + NEEDED_M - 5.0
    rtl_m = sortie.details["rtl_altitude_above_home_m"]
    assert isinstance(rtl_m, float)
    assert rtl_m < 100.0
    assert blocking(site) == []
    # Anew, at 1 m: from (900, 0) straight to the place, at the greater of the altitudes.
    home_ground = site.document["sorties"][0]["home"]["ground_dem_m"]
    t = np.linspace(0.0, 1.0, 600)
    x, y = 900.0 - 300.0 * t, -420.0 * t
    height = home_ground + max(sortie.rally[0].altitude_above_home_m, rtl_m)
    assert (height - ridge(x, y)).min() >= NEEDED_M - 1e-6
    assert clearance_of(site, "S01").min() >= NEEDED_M


@pytest.mark.parametrize(
    ("survey", "reason"),
    [
        (
            {"keep_out": [{"name": "school", "polygon": [
                lonlat(500, -80), lonlat(700, -80), lonlat(700, -60), lonlat(500, -60)]}]},
            "keep-out school",
        ),
        ({"rally": [launch(600.0, -888.0, "edge")]}, "no elevations"),
    ],
)  # fmt: skip
def test_what_is_not_proved_is_not_written_and_said(
    tmp_path: Path, survey: dict[str, Any], reason: str
) -> None:
    site = planned(tmp_path, flat, survey)
    assert all(not sortie.rally for sortie in site.files.sorties)
    refused = [entry for s in site.document["sorties"] for entry in s["rally_refused"]]
    assert any(reason in entry["reason"] for entry in refused)
    assert blocking(site) == []


def test_a_rally_point_off_the_elevations_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"rally far.*outside the elevations"):
        planned(tmp_path, flat, {"rally": [launch(0.0, 5000.0, "far")]})


@pytest.mark.parametrize(
    ("change", "code"),
    [("low", "rally-way"), ("elsewhere", "rally-fence"), ("always", "rally-way")],
)
def test_check_finds_what_was_spoiled(tmp_path: Path, change: str, code: str) -> None:
    site = planned(tmp_path, ridge, {"rally": [launch(600.0, -420.0, "valley")]})
    plan = site.folder / "S01.plan"
    document = json.loads(plan.read_text())
    points = document["rallyPoints"]["points"]
    if change == "low":
        points[0][2] = 60.0
    elif change == "elsewhere":
        points[0][1] += 0.006
    plan.write_text(json.dumps(document))
    if change == "always":  # home no longer counts: the mission's own return ends there
        file = site.folder / "S01.param"
        lines = file.read_text().splitlines()
        lines = ["RALLY_INCL_HOME,0" if line == "RALLY_INCL_HOME,1" else line for line in lines]
        lines = ["RALLY_LIMIT_KM,5" if line.startswith("RALLY_LIM") else line for line in lines]
        file.write_text("\n".join(lines) + "\n")
        points[0][2] = 100.0
        plan.write_text(json.dumps(document))
    assert code in {finding.code for finding in blocking(site)}
