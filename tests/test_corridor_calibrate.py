from __future__ import annotations

from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely

from corridor import Boundary, InputError, LocalFrame, LonLat, Side, read_boundaries
from corridor.calibrate import Post, calibrate, read_posts
from corridor.errors import AttributeValueError
from corridor.reference import Reference

FRAME = LocalFrame(106.9, 27.7)


def boundary(*ends: tuple[float, float]) -> Boundary:
    """Straight parts along x, vertices every 500 m or less."""
    parts, starts = [], []
    for low, high in ends:
        x = np.unique(np.append(np.arange(low, high, 500.0), high))
        parts.append(FRAME.to_lonlat(np.column_stack([x, np.zeros(len(x))])))
        starts.append(low)
    return Boundary("G75", Side.LEFT, tuple(parts), tuple(starts), source="b.geojson")


def post(x: float, chainage_m: float, ahead_m: float | None = None, route: str = "") -> Post:
    lon, lat = FRAME.to_lonlat([(x, -20.0)])[0]
    return Post(chainage_m, LonLat(lon, lat), ahead_m, route, f"posts row at {x:g}")


def chainage_at(line: Boundary, x: float) -> float:
    return float(Reference.of(line).locate(FRAME.to_lonlat([(x, 0.0)])).chainage_m[0])


def test_chainage_is_linear_between_posts_and_goes_on_beyond() -> None:
    line = boundary((0, 3000))
    (made,) = calibrate(line, [post(730, 12000), post(1770, 13000), post(2720, 14000)])
    for x, expected in [
        (730, 12000), (1770, 13000), (2720, 14000),
        (1250, 12500), (2245, 13500),
        (0, 12000 - 730 * 1000 / 1040), (3000, 14000 + 280 * 1000 / 950),
    ]:  # fmt: skip
        assert chainage_at(made, x) == pytest.approx(expected, abs=0.01)
    assert made.length_m == pytest.approx(line.length_m, abs=1e-4)
    assert made.chainage_end_m == pytest.approx(14000 + 280 * 1000 / 950, abs=0.01)
    assert len(made.parts) == 1


def test_one_post_only_shifts() -> None:
    (made,) = calibrate(boundary((0, 1000)), [post(400, 12000)])
    assert chainage_at(made, 0) == pytest.approx(11600, abs=0.01)
    assert chainage_at(made, 900) == pytest.approx(12500, abs=0.01)


def test_an_equation_that_skips_chainage_begins_a_new_part() -> None:
    line = boundary((0, 3000))
    posts = [post(0, 12000), post(1200, 13200, ahead_m=13255), post(3000, 15055)]
    (made,) = calibrate(line, posts)
    assert len(made.parts) == 2
    assert made.chainage_start_m == pytest.approx((12000, 13255), abs=0.01)
    assert chainage_at(made, 1199) == pytest.approx(13199, abs=0.01)
    assert chainage_at(made, 1201) == pytest.approx(13256, abs=0.01)
    assert made.gaps == ()
    assert made.length_m == pytest.approx(line.length_m, abs=1e-4)
    assert any("K13+200 = K13+255, 55 m are skipped" in note for note in made.notes)


def test_an_equation_that_repeats_chainage_begins_a_new_section() -> None:
    posts = [post(0, 30000), post(1500, 31500, ahead_m=31450), post(3000, 32950)]
    one, two = calibrate(boundary((0, 3000)), posts)
    assert (one.route, two.route) == ("G75", "G75-2")
    assert one.chainage_end_m == pytest.approx(31500, abs=0.01)
    assert two.chainage_start_m[0] == pytest.approx(31450, abs=0.01)
    assert chainage_at(two, 1600) == pytest.approx(31550, abs=0.01)
    assert one.length_m + two.length_m == pytest.approx(3000, abs=0.05)


def test_gaps_are_kept() -> None:
    line = boundary((0, 1000), (1400, 3000))
    (made,) = calibrate(line, [post(500, 1000), post(2500, 3200)])
    assert [len(part) for part in made.parts] == [len(line.parts[0]), len(line.parts[1]) + 1]
    (gap,) = made.gaps
    assert gap.length_m == pytest.approx(400, abs=0.05)
    assert gap.chainage_start_m == pytest.approx(1550, abs=0.1)
    assert chainage_at(made, 1400) == pytest.approx(1000 + 900 * 1.1, abs=0.1)


def test_posts_of_other_routes_are_left_out() -> None:
    posts = [post(0, 5000), post(500, 99000, route="S1"), post(1000, 6000, route="G75")]
    (made,) = calibrate(boundary((0, 1000)), posts)
    assert chainage_at(made, 500) == pytest.approx(5500, abs=0.01)


def test_unusual_scales_are_told() -> None:
    (made,) = calibrate(boundary((0, 1000)), [post(0, 5000), post(1000, 6300)])
    assert any("1300 m are posted and 1000 m drawn" in note for note in made.notes)


@pytest.mark.parametrize(
    ("posts", "match"),
    [
        ([post(0, 6000), post(1000, 5000)], "chainage falls between K6[+]000 and K5[+]000"),
        ([post(0, 6000), post(1000, 9000)], "3000 m are posted and 1000 m drawn"),
        ([post(0, 100), post(900, 1000), post(500, 50)], "chainage falls"),
        ([post(900, 100)], "would begin 800 m before K0[+]000"),
        ([post(500, 1000, route="S1")], "no kilometre post stands within 100 m of G75 left"),
    ],
)
def test_contradictions_are_refused(posts: list[Post], match: str) -> None:
    with pytest.raises(InputError, match=match):
        calibrate(boundary((0, 1000)), posts)


def test_a_post_of_the_route_far_off_is_refused() -> None:
    lon, lat = FRAME.to_lonlat([(500.0, 300.0)])[0]
    far = Post(1000, LonLat(lon, lat), route="G75", source="posts.csv row 3")
    with pytest.raises(InputError, match=r"posts\.csv row 3: post K1\+000 stands 300 m from"):
        calibrate(boundary((0, 1000)), [post(0, 500), far])


def write_csv(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_reads_csv_and_vector_tables(tmp_path: Path) -> None:
    text = "Station,ahead,lon,lat,route\nK12+000,,106.9,27.7,G75\n13000,K13+055,106.91,27.7,\n"
    one, two = read_posts(write_csv(tmp_path / "posts.csv", text))
    assert (one.chainage_m, one.ahead_m, one.route) == (12000.0, None, "G75")
    assert (two.chainage_m, two.ahead_m, two.name) == (13000.0, 13055.0, "K13+000 = K13+055")
    table = geopandas.GeoDataFrame(
        {"station": ["K12+000", "K13+000"], "ahead": [None, "K13+055"]},
        geometry=[shapely.Point(106.9, 27.7), shapely.Point(106.91, 27.7)],
        crs="EPSG:4326",
    ).to_crs("EPSG:4545")
    table.to_file(tmp_path / "posts.gpkg")
    first, second = read_posts(tmp_path / "posts.gpkg")
    assert first.place.lon_deg == pytest.approx(106.9)
    assert (first.ahead_m, second.ahead_m) == (None, 13055.0)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("station,lon\nK1+000,106\n", "has no column 'lat'"),
        ("station,lon,lat\nK1+00,106,27\n", r"row 1, station: 'K1\+00' is not a station"),
        ("station,lon,lat\n,106,27\n", "row 1, station: is empty"),
        ("station,lon,lat\n-5,106,27\n", "'-5' cannot be used"),
        ("station,lon,lat\nK1+000,27,106\n", "lon '27', lat '106' is no position"),
        ("station,lon,lat\n", "holds no kilometre posts"),
    ],
)
def test_bad_tables(tmp_path: Path, text: str, match: str) -> None:
    with pytest.raises(InputError, match=match):
        read_posts(write_csv(tmp_path / "posts.csv", text))


def test_other_bad_tables(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_posts(tmp_path / "none.csv")
    (tmp_path / "gbk.csv").write_bytes("桩号,lon,lat\n".encode("gbk"))
    with pytest.raises(InputError, match="UTF-8"):
        read_posts(tmp_path / "gbk.csv")
    table = geopandas.GeoDataFrame(geometry=[shapely.Point(1, 2)], crs="EPSG:4326")
    table.to_file(tmp_path / "p.geojson")
    with pytest.raises(AttributeValueError, match="no column 'station'"):
        read_posts(tmp_path / "p.geojson")


def test_reading_with_posts(tmp_path: Path) -> None:
    lines = geopandas.GeoDataFrame(
        {"route": ["G75"], "side": ["left"]},
        geometry=[shapely.LineString(boundary((0, 1000)).parts[0])],
        crs="EPSG:4326",
    )
    lines.to_file(tmp_path / "b.gpkg")
    rows = [FRAME.to_lonlat([(x, -20.0)])[0] for x in (100.0, 900.0)]
    text = "station,lon,lat\n" + "".join(
        f"K{7 + i}+000,{lon},{lat}\n" for i, (lon, lat) in enumerate(rows)
    )
    posts = write_csv(tmp_path / "posts.csv", text)
    (made,) = read_boundaries(tmp_path / "b.gpkg", posts=posts)
    assert chainage_at(made, 500) == pytest.approx(7500, abs=0.01)
