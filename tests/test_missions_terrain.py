"""Clearance along the chord, shown by a sampler at 1 m that shares no code with the planner."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from missions_sites import Site, clearance_of, flat, launch, lonlat, path_of, plan_site, states_m

from missions.check import Level, check_plan

LINE = [("G1", "left", [(-900.0, 0.0), (900.0, 0.0)])]
NEEDED_M = 23.0  # 20 m clearance and 3 m elevation error


def blocking(site: Site) -> list[str]:
    return [f.message for f in check_plan(site.folder) if f.level is Level.BLOCKING]


def lowest(site: Site) -> float:
    return min(float(clearance_of(site, s.sortie_id).min()) for s in site.files.sorties)


def cliff(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.where(x < 7.0, 300.0, 500.0)


def test_a_cliff_between_two_samples_is_cleared(tmp_path: Path) -> None:
    site = plan_site(tmp_path, cliff, LINE, {"safety": {"ceiling_m": 300.0}})
    assert lowest(site) >= NEEDED_M
    assert blocking(site) == []
    assert states_m(site)["covered"] > 1500.0


def test_a_cliff_above_the_ceiling_is_left_out_and_said(tmp_path: Path) -> None:
    site = plan_site(tmp_path, cliff, LINE, {"launch": [launch(-300.0, -100.0)]})
    assert lowest(site) >= NEEDED_M
    assert blocking(site) == []
    reasons = {row["reason"] for row in site.document["coverage"] if row["state"] == "uncovered"}
    assert any("too steep" in reason or "no clear way" in reason for reason in reasons)


def test_a_smooth_hill_is_followed_within_the_tube(tmp_path: Path) -> None:
    def hill(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return 300.0 + 80.0 * np.exp(-((x / 350.0) ** 2))

    site = plan_site(tmp_path, hill, LINE, {})
    assert lowest(site) >= NEEDED_M
    assert blocking(site) == []
    assert states_m(site) == pytest.approx({"covered": 1800.0}, abs=0.01)
    for run in site.plan.sorties[0].runs:
        at = np.arange(0.0, run.length_m, 1.0)
        x, y, z = (np.interp(at, run.s_m, run.xyz[:, k]) for k in range(3))
        assert np.quantile(np.abs(z - hill(x, y) - 50.0), 0.95) < 6.0


def test_a_valley_with_a_power_line_across(tmp_path: Path) -> None:
    def valley(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return 300.0 + 0.5 * np.abs(x)

    left, right = lonlat(120.0, -400.0), lonlat(120.0, 400.0)
    wire = {"name": "220 kV", "points": [(*left, 420.0), (*right, 420.0)], "clearance_m": 15.0}
    site = plan_site(tmp_path, valley, LINE, {"power_line": [wire]})
    assert lowest(site) >= NEEDED_M
    assert blocking(site) == []
    home = 300.0  # the launch stands on the valley's floor
    for sortie in site.files.sorties:
        path = path_of(site, sortie.sortie_id)
        near = (np.abs(path[:, 0] - 120.0) < 15.0) & (np.abs(path[:, 1]) <= 415.0)
        assert (path[near, 2] + home >= 435.0 - 8.0).all()  # the launch's ground is bilinear


def test_a_loop_ramp_of_270_degrees(tmp_path: Path) -> None:
    angle = np.radians(np.arange(0, 271, 6))
    ring = [(50.0 - 50.0 * np.cos(a), 50.0 * np.sin(a)) for a in angle]
    points = [(0.0, -200.0), (0.0, -100.0), *ring]
    site = plan_site(tmp_path, flat, [("R1", "left", points)], {"launch": [launch(-60, -60)]})
    assert blocking(site) == []
    assert states_m(site) == pytest.approx({"covered": sum(states_m(site).values())})
    lane = site.plan.lanes[0]
    assert (np.diff(lane.chainage_m) > 0).all()


def test_a_split_carriageway_60_m_apart_in_height(tmp_path: Path) -> None:
    def terraces(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.where(y > 0.0, 360.0, 300.0)

    lines = [
        ("G1", "left", [(-900.0, 40.0), (900.0, 40.0)]),
        ("G1", "right", [(-900.0, -40.0), (900.0, -40.0)]),
    ]
    site = plan_site(tmp_path, terraces, lines, {"launch": [launch(0.0, -200.0)]})
    assert lowest(site) >= NEEDED_M
    assert blocking(site) == []
    assert states_m(site)["covered"] == pytest.approx(3600.0, abs=1.0)


def test_a_launch_site_150_m_below_the_line(tmp_path: Path) -> None:
    def slope(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return 300.0 + np.clip(0.5 * (y + 320.0), 0.0, 150.0)

    site = plan_site(tmp_path, slope, LINE, {"launch": [launch(0.0, -330.0)]})
    assert lowest(site) >= NEEDED_M
    assert blocking(site) == []
    assert states_m(site)["covered"] == pytest.approx(1800.0, abs=1.0)
    rtl = {p.name: p.value for p in site.files.sorties[0].parameters}["RTL_ALT"]
    home_ground = site.document["sorties"][0]["home"]["ground_dem_m"]
    assert rtl >= 100 * (450.0 - home_ground + NEEDED_M)
    assert home_ground < 305.0


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("lower", "clearance"),
        ("higher", "ceiling"),
        ("far", "range"),
        ("camera", "camera-on"),
        ("rtl", "way-home"),
        ("fence", "fence"),
        ("coverage", "coverage"),
        ("takeoff", "no-takeoff"),
    ],
)
def test_check_finds_what_was_spoiled(tmp_path: Path, change: str, code: str) -> None:
    def ridge(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return 300.0 + 100.0 * np.exp(-(((y + 60.0) / 40.0) ** 2))

    survey: dict[str, Any] = {"launch": [launch(0.0, -200.0)]}
    site = plan_site(tmp_path, ridge, LINE, survey)
    assert blocking(site) == []
    spoil(site, change)
    codes = {f.code for f in check_plan(site.folder) if f.level is Level.BLOCKING}
    assert code in codes


def spoil(site: Site, change: str) -> None:
    waypoints = site.folder / "S01.waypoints"
    rows = [line.split("\t") for line in waypoints.read_text().splitlines()]
    places = [k for k, row in enumerate(rows) if len(row) == 12 and row[3] == "16" and k > 1]
    middle = rows[places[len(places) // 2]]
    if change == "lower":
        middle[10] = f"{float(middle[10]) - 40:.4f}"
    elif change == "higher":
        middle[10] = f"{float(middle[10]) + 90:.4f}"
    elif change == "far":
        middle[9] = f"{float(middle[9]) + 0.03:.8f}"
    elif change == "camera":
        rows = [
            row for row in rows if not (len(row) == 12 and row[3] == "206" and row[4][0] == "0")
        ]
    elif change == "takeoff":
        rows = [row for row in rows if not (len(row) == 12 and row[3] == "22")]
    elif change == "coverage":
        for row in rows:
            if len(row) == 12 and row[3] == "206" and float(row[4]) > 0:
                row[4] = "90.00000000"
    elif change == "rtl":
        file = site.folder / "S01.param"
        lines = file.read_text().splitlines()
        lines = ["RTL_ALT,1500" if line.startswith("RTL_ALT,") else line for line in lines]
        file.write_text("\n".join(lines) + "\n")
    elif change == "fence":
        file = site.folder / "S01.plan"
        document = json.loads(file.read_text())
        polygon = document["geoFence"]["polygons"][0]["polygon"]
        centre = np.mean(polygon, axis=0)
        document["geoFence"]["polygons"][0]["polygon"] = [
            list(centre + 0.7 * (np.array(vertex) - centre)) for vertex in polygon
        ]
        file.write_text(json.dumps(document))
    numbered = [rows[0], *([str(k), *row[1:]] for k, row in enumerate(rows[1:]))]
    waypoints.write_text("\n".join("\t".join(row) for row in numbered) + "\n")


def test_fence_hidden_behind_a_bank_is_not_called_covered(tmp_path: Path) -> None:
    def bank(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        # 40 m high, 12 m beside 200 m of the line, on the side that the camera looks from.
        return np.where((np.abs(x) < 100.0) & (y > 12.0) & (y < 20.0), 340.0, 300.0)

    survey: dict[str, Any] = {
        "capture": {"modes": ["oblique"], "oblique_depression_deg": 30.0, "gsd_m": 0.012},
        "safety": {"clearance_m": 10.0, "dem_error_m": 1.0},
    }
    line = [("G1", "left", [(-300.0, 0.0), (300.0, 0.0)])]
    site = plan_site(tmp_path, bank, line, survey, cell_m=2.0, half_m=(500.0, 300.0))
    hidden = sum(
        row["length_m"] for row in site.document["coverage"] if row["reason"].startswith("hidden")
    )
    assert 150.0 < hidden < 260.0
    assert states_m(site, "oblique")["covered"] > 300.0
    assert blocking(site) == []


def test_a_low_keep_out_is_flown_over_and_no_exclusion_polygon(tmp_path: Path) -> None:
    corners = [(-50.0, -40.0), (50.0, -40.0), (50.0, 40.0), (-50.0, 40.0)]
    away = [(200.0, 60.0), (260.0, 60.0), (260.0, 90.0), (200.0, 90.0)]
    survey: dict[str, Any] = {
        "keep_out": [
            {"name": "roofs", "polygon": [lonlat(*c) for c in corners], "ceiling_m": 25.0},
            {"name": "school", "polygon": [lonlat(*c) for c in away]},
        ],
        "safety": {"fence_margin_m": 60.0},
    }
    site = plan_site(tmp_path, flat, [("G1", "left", [(-300.0, 0.0), (300.0, 0.0)])], survey)
    assert states_m(site)["covered"] == pytest.approx(600.0, abs=1.0)
    assert blocking(site) == []
    fences = site.files.sorties[0].geofence.polygons
    assert [fence.inclusion for fence in fences] == [True, False]
    assert site.files.sorties[0].details["geofence_notes"] == [
        "keep-out roofs is crossed above or below, so it is no exclusion polygon"
    ]
