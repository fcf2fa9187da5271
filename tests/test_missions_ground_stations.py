"""Plans as others read them: MAVProxy, pymavlink, QGroundControl's rules, GDAL."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import geopandas
import pyogrio
import pytest
from missions_sites import Site, flat, launch, plan_site
from pymavlink import mavwp

from missions.mission import Command

LINE = [("G1", "left", [(-900.0, 0.0), (0.0, 40.0), (900.0, 0.0)])]
NUMBER = (int, float)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    keys: dict[str, Any] = {
        "launch": [launch(-500.0, -100.0, "west")],
        "rally": [launch(600.0, -100.0, "east")],
        "capture": {"modes": ["nadir", "oblique"]},
    }
    return plan_site(tmp_path_factory.mktemp("site"), flat, LINE, keys)


def test_mavproxy_loads_the_waypoints(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    wp = pytest.importorskip("MAVProxy.modules.mavproxy_wp")

    class Loading(wp.WPModule):  # type: ignore[misc, name-defined]
        """`wp load` of MAVProxy, without a vehicle to send to."""

        target_system = 1
        target_component = 1

        def __init__(self) -> None:
            self.wploader_by_sysid: dict[int, Any] = {}

        def send_all_waypoints(self) -> None:
            """Nothing to send to."""

    for sortie in site.files.sorties:
        module = Loading()
        module.cmd_load([str(site.folder / f"{sortie.sortie_id}.waypoints")])
        assert "Unable" not in capsys.readouterr().out
        assert module.wploader.count() == len(sortie.mission.all_items)
        for number, item in enumerate(sortie.mission.items, start=1):
            read = module.wploader.wp(number)
            assert (read.command, read.frame) == (int(item.command), int(item.frame))
            if item.position is not None:
                place = (item.position.lat_deg, item.position.lon_deg)
                assert (read.x, read.y) == pytest.approx(place, abs=1e-7)


def test_pymavlink_loads_every_sortie(site: Site) -> None:
    for sortie in site.files.sorties:
        loader = mavwp.MAVWPLoader()
        count = loader.load(str(site.folder / f"{sortie.sortie_id}.waypoints"))
        assert count == len(sortie.mission.all_items)
        taken = [loader.wp(k) for k in range(count)]
        assert taken[1].command == Command.TAKEOFF
        assert [item.z for item in taken[1:]] == pytest.approx(
            [item.altitude_m for item in sortie.mission.items], abs=1e-3
        )


def of_kind(value: Any, kind: type | tuple[type, ...]) -> bool:
    return isinstance(value, kind) and not (kind == NUMBER and isinstance(value, bool))


def test_plan_files_keep_qgroundcontrol_s_rules(site: Site) -> None:
    """Keys and types as QGroundControl requires them when it opens a file.

    https://docs.qgroundcontrol.com/master/en/qgc-dev-guide/file_formats/plan.html
    """
    for sortie in site.files.sorties:
        plan = json.loads((site.folder / f"{sortie.sortie_id}.plan").read_text(encoding="utf-8"))
        assert plan["fileType"] == "Plan"
        assert plan["version"] == 1
        assert isinstance(plan["groundStation"], str)
        mission = plan["mission"]
        assert mission["version"] == 2
        for key in ("firmwareType", "vehicleType", "cruiseSpeed", "hoverSpeed"):
            assert of_kind(mission[key], NUMBER)
        assert len(mission["plannedHomePosition"]) == 3
        for number, item in enumerate(mission["items"], start=1):
            assert item["type"] == "SimpleItem"
            assert isinstance(item["autoContinue"], bool)
            assert of_kind(item["command"], int)
            assert of_kind(item["frame"], int)
            assert item["doJumpId"] == number
            assert len(item["params"]) == 7
            assert all(value is None or of_kind(value, NUMBER) for value in item["params"])
            if item["command"] in (16, 22):
                lat, lon, altitude = item["params"][4:]
                assert -90 <= lat <= 90
                assert -180 <= lon <= 180
                # Shown in the table of items: 1 is above home, 2 above mean sea level.
                assert item["AltitudeMode"] == {3: 1, 0: 2}[item["frame"]]
                assert item["Altitude"] == altitude
        fence, rally = plan["geoFence"], plan["rallyPoints"]
        assert fence["version"] == 2
        assert rally["version"] == 2
        for polygon in fence["polygons"]:
            assert polygon["version"] == 1
            assert isinstance(polygon["inclusion"], bool)
            assert 3 <= len(polygon["polygon"]) <= 69
            assert all(len(vertex) == 2 for vertex in polygon["polygon"])
        assert fence["circles"] == []
        assert all(
            len(point) == 3 and all(of_kind(value, NUMBER) for value in point)
            for point in rally["points"]
        )
    assert any(sortie.rally for sortie in site.files.sorties)


def test_gdal_reads_the_kml_and_the_layers(site: Site) -> None:
    marks = geopandas.read_file(site.folder / "plan.kml", driver="KML")
    names = {sortie.sortie_id for sortie in site.files.sorties}
    assert names <= set(marks["Name"])
    lines = marks[marks["Name"].isin(names)]
    assert set(lines.geom_type) == {"LineString"}
    home = site.files.sorties[0].mission
    first = lines[lines["Name"] == "S01"].geometry.iloc[0].coords[0]
    assert first[:2] == pytest.approx((home.home.lon_deg, home.home.lat_deg), abs=1e-6)
    assert first[2] == pytest.approx(home.home_altitude_m + home.items[0].altitude_m, abs=0.1)
    assert any("rally" in name for name in marks["Name"])
    layers = {name for name, _ in pyogrio.list_layers(site.folder / "plan.gpkg")}
    assert layers == {
        "boundaries", "lanes", "sorties", "footprints", "coverage", "places",
    }  # fmt: skip
    places = geopandas.read_file(site.folder / "plan.gpkg", layer="places")
    assert {"home", "rally"} == set(places["kind"])


def test_stops_of_dji_aircraft_are_in_the_battery_s_budget(tmp_path: Path) -> None:
    keys = {"launch": [launch(0.0, -100.0)]}
    used = []
    for stop_s in (0.0, 30.0):
        site = plan_site(tmp_path / f"{stop_s:g}", flat, LINE, keys | {"aircraft": {
            "stop_s": stop_s}})  # fmt: skip
        used.append(sum(s["energy_wh"] for s in site.document["sorties"]))
        lanes = sum(len(sortie["lanes"]) for sortie in site.document["sorties"])
    hover_w = site.plan.sorties[0].energy.hover_wh(3600.0).max()
    assert used[1] - used[0] == pytest.approx(2 * lanes * 30.0 / 3600.0 * hover_w, rel=0.02)
