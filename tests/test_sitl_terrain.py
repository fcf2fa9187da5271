"""Heights above terrain: what the vehicle asks for, what the station answers, what is flown."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from link_tools import HOME, Bench, small_sortie
from pymavlink.dialects.v20 import ardupilotmega as dialect
from rasterio.transform import from_origin
from virtual_link import VirtualLink, ready_bench, virtual_link

from corridor import LocalFrame
from missions.link.connection import Link
from missions.link.terrain import TerrainServer
from missions.mission import Mission
from sitl.scenario import read_scenario
from sitl.session import FlightOptions, fly_scenario

FRAME = LocalFrame(HOME.lon_deg, HOME.lat_deg)
STEEPNESS = 0.1


@pytest.fixture(scope="module")
def slope(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """250 m at home's meridian, a metre higher every ten metres to the east."""
    path = tmp_path_factory.mktemp("dem") / "slope.tif"
    cell_deg = 0.001
    east = (np.arange(400) - 200) * cell_deg * 111_318.845 * math.cos(math.radians(HOME.lat_deg))
    heights = np.broadcast_to(250.0 + STEEPNESS * east, (400, 400)).astype(np.float32)
    corner = (HOME.lon_deg - 200.5 * cell_deg, HOME.lat_deg + 200.5 * cell_deg)
    with rasterio.open(
        path, "w", driver="GTiff", width=400, height=400, count=1, dtype="float32",
        crs="EPSG:4326", transform=from_origin(*corner, cell_deg, cell_deg),
    ) as file:  # fmt: skip
        file.write(heights, 1)
    return path


def above_terrain(mission: Mission) -> Mission:
    items = [replace(i, frame=10, altitude_m=40.0) if i.command == 16 else i for i in mission.items]
    return mission.with_items(tuple(items))


def east_m(bench: Bench) -> float:
    return float(bench.vehicle.craft.position[1])


def serve_terrain(link: Link, server: TerrainServer, bench: Bench, way: VirtualLink) -> None:
    """Answers until the vehicle has all it asked for, twenty minutes of its time at most."""
    link.observers.append(server)
    while not bench.vehicle.terrain.complete() and way.now_s < 1200.0:
        link.receive(1.0)


def test_it_asks_for_the_blocks_under_it_and_arms_when_it_has_them(slope: Path) -> None:
    bench = ready_bench()
    bench.upload(list(above_terrain(small_sortie(6).mission).all_items))
    bench.vehicle.set_mode(4)
    assert bench.vehicle.arm() == "waiting for terrain data"
    with virtual_link(bench=bench) as (link, way):
        link.wait_for_vehicle(5.0)
        asked = link.wait_for("TERRAIN_REQUEST", 5.0)
        assert asked is not None
        assert (asked.grid_spacing, asked.mask) == (100, (1 << 56) - 1)
        server = TerrainServer(link, slope, FRAME)
        serve_terrain(link, server, bench, way)
        assert bench.vehicle.terrain.complete()
        assert server.sent % 56 == 0
        assert server.unknown == 0
    height = bench.vehicle.terrain.height_m(HOME)
    assert height == pytest.approx(250.0, abs=1.0), "whole metres"
    assert bench.vehicle.arm() is None


def test_legs_above_terrain_follow_it_and_the_return_does_not(slope: Path) -> None:
    bench = ready_bench()
    bench.upload(list(above_terrain(small_sortie(8).mission).all_items))
    with virtual_link(bench=bench) as (link, way):
        link.wait_for_vehicle(5.0)
        serve_terrain(link, TerrainServer(link, slope, FRAME), bench, way)
        bench.vehicle.set_mode(4)
        assert bench.vehicle.arm() is None
        assert bench.vehicle.set_mode(3)
        bench.vehicle.start_mission()
        above = []
        while way.now_s < 2000.0 and bench.vehicle.runner.current < 12:
            link.receive(1.0)
            runner = bench.vehicle.runner.current
            if 5 <= runner <= 11:
                up = float(bench.vehicle.craft.position[2])
                above.append(up - STEEPNESS * east_m(bench))
        assert len(above) > 50
        # Terrain data are whole metres, at points a hundred metres apart.
        assert np.abs(np.array(above) - 40.0).max() < 1.5
        assert bench.vehicle.set_mode(6)
        before = float(bench.vehicle.craft.position[2])
        bench.run(20.0)
        assert float(bench.vehicle.craft.position[2]) >= before - 2.0, "level, at its height"


def test_without_data_for_five_seconds_it_returns(slope: Path) -> None:
    bench = ready_bench()
    bench.upload(list(above_terrain(small_sortie(8).mission).all_items))
    with virtual_link(bench=bench) as (link, way):
        link.wait_for_vehicle(5.0)
        serve_terrain(link, TerrainServer(link, slope, FRAME), bench, way)
    bench.start()
    bench.run(90.0, lambda: bench.vehicle.runner.current >= 6)
    assert bench.vehicle.terrain_following
    bench.vehicle.parameters.put("TERRAIN_ENABLE", 0)
    took = bench.run(20.0, lambda: bench.vehicle.mode == 6)
    assert took == pytest.approx(5.0, abs=0.5)
    assert "Failsafe: Terrain data missing" in bench.texts()


def test_pieces_lie_where_the_vehicle_looks_for_them(slope: Path) -> None:
    bench = ready_bench()
    with virtual_link(bench=bench) as (link, _):
        server = TerrainServer(link, slope, FRAME)
        first = server.piece_m(HOME.lat_deg, HOME.lon_deg, 100, 0)
        # Bit 9 is the second row's second piece: 400 m to the north and to the east.
        later = server.piece_m(HOME.lat_deg, HOME.lon_deg, 100, 9)
    assert first[0, 3] - first[0, 0] == pytest.approx(30.0, abs=0.1)
    assert first[3, 0] - first[0, 0] == pytest.approx(0.0, abs=0.1)
    assert later[0, 0] - first[0, 0] == pytest.approx(40.0, abs=0.1)


def test_off_the_raster_nothing_is_answered(slope: Path) -> None:
    kind = dialect.MAVLink_terrain_request_message
    bench = ready_bench()
    with virtual_link(bench=bench) as (link, _):
        server = TerrainServer(link, slope, FRAME)
        server(kind(0, 0, 100, 0b111))
    assert (server.sent, server.unknown) == (0, 3)


def test_fly_serves_the_ground_and_judges_heights_above_it(slope: Path, tmp_path: Path) -> None:
    sortie = small_sortie(6)
    sortie = replace(sortie, mission=above_terrain(sortie.mission))
    outcome = fly_scenario(sortie, read_scenario("nominal"), FlightOptions(dsm=slope), tmp_path)
    assert outcome.passed, [(c.name, c.text) for c in outcome.checks if c.passed is False]
    assert outcome.verification is not None
    assert outcome.verification.numbers["vertical_max_m"] < 1.5  # type: ignore[operator]
