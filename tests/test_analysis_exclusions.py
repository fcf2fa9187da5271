"""Stretches without a fence by design: nothing is broken there, and states still tile."""

from __future__ import annotations

from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from hypothesis import given
from hypothesis import strategies as st
from rasterio.transform import from_origin

from analysis.exclusions import Exclusion, read_exclusions, without_fence
from analysis.fence_work import Breach, FenceResult, Stretch
from analysis.raster import Orthophoto
from corridor import Boundary, InputError, Side
from corridor.findings import BreachType, FenceState

DEGREE_M = 111_194.9  # along the equator of the sphere; near enough to place stretches


@pytest.fixture(scope="module")
def ortho(tmp_path_factory: pytest.TempPathFactory) -> Orthophoto:
    path = tmp_path_factory.mktemp("exclusions") / "ortho.tif"
    profile = {
        "driver": "GTiff", "width": 300, "height": 100, "count": 3, "dtype": "uint8",
        "crs": "EPSG:32631", "transform": from_origin(499_990, 50, 1.0, 1.0),
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as file:
        file.write(np.full((3, 100, 300), 100, np.uint8))
    return Orthophoto.open(path)


def at(along_m: float, up_m: float) -> tuple[float, float]:
    return 3.0 + along_m / (DEGREE_M * 1.00112), up_m / 110_574.3


BOUNDARY = Boundary("G75", Side.LEFT, (np.array([at(0, 0), at(200, 0)]),), (1000.0,))


def polygon(start_m: float, end_m: float) -> shapely.Polygon:
    return shapely.Polygon([at(start_m, -5), at(end_m, -5), at(end_m, 5), at(start_m, 5)])


def fence() -> FenceResult:
    chainage = np.array([1000.0, 1200.0])
    return FenceResult(
        0, 0, chainage, np.array([[5e5, 0.0], [5e5 + 200, 0.0]]), np.zeros(2),
        (
            Stretch(1000.0, 1080.0, FenceState.INTACT, 0.9),
            Stretch(1080.0, 1100.0, FenceState.BREACH, 0.8),
            Stretch(1100.0, 1200.0, FenceState.INTACT, 0.9),
        ),
        (Breach(1080.0, 1100.0, BreachType.GAP, 0.8),),
    )  # fmt: skip


def test_a_breach_on_a_bridge_is_none(ortho: Orthophoto) -> None:
    out = without_fence(ortho, BOUNDARY, fence(), [Exclusion(polygon(70, 110), "bridge")])
    assert not out.breaches
    states = [(each.state, each.reason) for each in out.stretches]
    assert states == [
        (FenceState.INTACT, ""), (FenceState.NO_FENCE, "bridge"), (FenceState.INTACT, "")
    ]  # fmt: skip
    assert out.stretches[1].start_m == pytest.approx(1070, abs=0.3)
    assert out.stretches[1].end_m == pytest.approx(1110, abs=0.3)


def test_a_breach_that_reaches_out_of_a_tunnel_is_kept_outside(ortho: Orthophoto) -> None:
    out = without_fence(ortho, BOUNDARY, fence(), [Exclusion(polygon(90, 150), "tunnel")])
    assert [(b.start_m, pytest.approx(b.end_m, abs=0.3)) for b in out.breaches] == [(1080.0, 1090)]


@given(st.lists(st.tuples(st.floats(-20, 220), st.floats(1, 80)), max_size=4))
def test_states_still_tile(ortho: Orthophoto, spans: list[tuple[float, float]]) -> None:
    exclusions = [Exclusion(polygon(a, a + size)) for a, size in spans]
    out = without_fence(ortho, BOUNDARY, fence(), exclusions)
    edges = [1000.0, *(each.end_m for each in out.stretches)]
    assert [each.start_m for each in out.stretches] == edges[:-1]
    assert edges[-1] == 1200.0
    assert all(each.end_m > each.start_m for each in out.stretches)


def test_a_file_without_polygons_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "lines.geojson"
    path.write_text(
        '{"type":"FeatureCollection","features":[{"type":"Feature","properties":{},"geometry":'
        '{"type":"LineString","coordinates":[[3,0],[3.001,0]]}}]}'
    )
    with pytest.raises(InputError, match="holds no polygon"):
        read_exclusions(path)


def test_a_polygon_without_a_reason_says_so_in_words(tmp_path: Path) -> None:
    path = tmp_path / "areas.geojson"
    table = geopandas.GeoDataFrame(
        {"reason": ["tunnel", None]}, geometry=[polygon(0, 10), polygon(20, 30)], crs="EPSG:4326"
    )
    table.to_file(path, driver="GeoJSON")
    assert [each.reason for each in read_exclusions(path)] == ["tunnel", "no fence here by design"]
