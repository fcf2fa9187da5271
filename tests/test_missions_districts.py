"""Districts: every metre names who is responsible, and no sortie spans two."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import geopandas
import pytest
from missions_sites import Site, flat, launch, lonlat, plan_site

from corridor import InputError
from missions.check import Level, check_plan
from missions.survey import survey_from

LINE = [("G1", "left", [(-300.0, 0.0), (300.0, 0.0)])]


def district(name: str, west: float, east: float) -> dict[str, Any]:
    corners = [(west, -500.0), (east, -500.0), (east, 500.0), (west, 500.0)]
    return {"name": name, "contact": f"desk of {name}", "polygon": [lonlat(*c) for c in corners]}


WEST, EAST = district("west", -400.0, 40.0), district("east", 40.0, 200.0)


def planned(folder: Path, **keys: Any) -> Site:
    return plan_site(folder, flat, LINE, {"district": [WEST, EAST], **keys})


def test_every_metre_names_its_district(tmp_path: Path) -> None:
    site = planned(tmp_path)
    metres: dict[str, float] = {}
    for row in site.document["coverage"]:
        metres[row["district"]] = metres.get(row["district"], 0.0) + row["length_m"]
    assert metres == pytest.approx({"west": 340.0, "east": 160.0, "": 100.0}, abs=1.0)
    assert site.document["summary"]["districts"]["west"]["nadir"]["covered_m"] == pytest.approx(
        340.0, abs=1.0
    )
    assert any("100 m of boundary lie in no district" in note for note in site.document["notes"])
    layer = geopandas.read_file(site.folder / "plan.gpkg", layer="coverage")
    assert set(layer["district"]) == {"west", "east", ""}


def test_no_sortie_spans_two_districts(tmp_path: Path) -> None:
    site = planned(tmp_path)
    by_district = {"west": (1000.0, 1340.0), "east": (1340.0, 1500.0), "": (1500.0, 1600.0)}
    for sortie in site.document["sorties"]:
        low, high = by_district[sortie["district"]]
        for lane in sortie["lanes"]:
            assert low - 40.0 <= lane["chainage_start_m"] <= lane["chainage_end_m"] <= high + 40.0
            assert (lane["chainage_start_m"] + lane["chainage_end_m"]) / 2 > low
    assert {sortie["district"] for sortie in site.document["sorties"]} == set(by_district)
    assert "desk of west" in (site.folder / "briefing.html").read_text(encoding="utf-8")
    assert [f.message for f in check_plan(site.folder) if f.level is Level.BLOCKING] == []


def test_teams_fly_their_own_districts(tmp_path: Path) -> None:
    teams = [{"name": "A", "districts": ["west"]}, {"name": "B"}]
    site = planned(tmp_path, team=teams, schedule={"start": "2026-03-02"})
    text = (site.folder / "schedule.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    assert len(rows) == len(site.files.sorties)
    assert all(row["district"] == "west" for row in rows if row["team"] == "A")
    assert {row["district"] for row in rows} == {"west", "east", ""}


def test_a_stretch_that_no_team_may_fly_is_refused(tmp_path: Path) -> None:
    teams = [{"name": "A", "districts": ["west"]}]
    with pytest.raises(InputError, match=r"lies in no district, which no team flies.*team"):
        planned(tmp_path, team=teams, schedule={"start": "2026-03-02"})


def test_check_finds_a_district_that_is_not_the_survey_s(tmp_path: Path) -> None:
    site = planned(tmp_path)
    plan = site.folder / "plan.json"
    plan.write_text(plan.read_text().replace('"district": "east"', '"district": "west"'))
    assert "district" in {f.code for f in check_plan(site.folder) if f.level is Level.WARNING}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"district": [WEST, WEST]}, "two districts of one name"),
        ({"district": [WEST], "team": [{"name": "A", "districts": ["wast"]}]}, "'wast'"),
    ],
)
def test_wrong_districts_are_named(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        survey_from({"launch": [launch(0.0, 0.0)], **keys}, "survey.toml")
