from __future__ import annotations

import json
import zipfile
from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely

from corridor import InputError, Side, read_boundaries
from corridor.datum import Datum, from_wgs84
from corridor.errors import (
    AttributeValueError,
    CoordinateError,
    DuplicatePointsError,
    MissingCrsError,
    PartOrderError,
    SelfCrossingError,
    SwappedAxesError,
    UnreadableError,
    ZeroLengthError,
)
from corridor.frame import LocalFrame
from corridor.values import WGS84

# Near Zunyi, where the roads in question are.
FRAME = LocalFrame(106.9, 27.7)
STRAIGHT = [(0.0, 0.0), (100.0, 0.0), (200.0, 50.0)]
LEFT = {"route": "G75", "side": "left"}


def lonlat(xy: list[tuple[float, float]]) -> list[list[float]]:
    return FRAME.to_lonlat(xy).tolist()


def write_geojson(path: Path, *features: tuple[dict, str, object], **members: object) -> Path:
    path.write_text(
        json.dumps(
            {
                "type": "FeatureCollection",
                **members,
                "features": [
                    {
                        "type": "Feature",
                        "properties": properties,
                        "geometry": {"type": kind, "coordinates": coordinates},
                    }
                    for properties, kind, coordinates in features
                ],
            }
        )
    )
    return path


def line_file(tmp_path: Path, xy: list[tuple[float, float]], **properties: object) -> Path:
    return write_geojson(
        tmp_path / "lines.geojson", ({**LEFT, **properties}, "LineString", lonlat(xy))
    )


def table(crs: str | None = "EPSG:4326", **columns: list[object]) -> geopandas.GeoDataFrame:
    wgs84 = geopandas.GeoDataFrame(
        {"route": ["G75"], "side": ["left"], **columns},
        geometry=[shapely.LineString(lonlat(STRAIGHT))],
        crs="EPSG:4326",
    )
    return wgs84.to_crs(crs) if crs else wgs84.set_crs(None, allow_override=True)


def assert_is_straight(path: Path, tolerance_m: float = 0.001, **options: object) -> None:
    (boundary,) = read_boundaries(path, **options)
    assert boundary.side is Side.LEFT
    np.testing.assert_allclose(FRAME.to_xy(boundary.parts[0]), STRAIGHT, atol=tolerance_m)


@pytest.mark.parametrize(
    ("name", "driver"),
    [("b.geojson", "GeoJSON"), ("b.gpkg", "GPKG"), ("b.shp", "ESRI Shapefile"), ("b.kml", "KML")],
)
def test_reads_each_format(tmp_path: Path, name: str, driver: str) -> None:
    table().to_file(tmp_path / name, driver=driver)
    assert_is_straight(tmp_path / name)


def test_reads_kmz(tmp_path: Path) -> None:
    table().to_file(tmp_path / "doc.kml", driver="KML")
    with zipfile.ZipFile(tmp_path / "b.kmz", "w") as archive:
        archive.write(tmp_path / "doc.kml", "doc.kml")
    assert_is_straight(tmp_path / "b.kmz")


@pytest.mark.parametrize("crs", ["EPSG:4545", "EPSG:4490", "EPSG:32648", "EPSG:3857"])
def test_reads_any_crs(tmp_path: Path, crs: str) -> None:
    table(crs).to_file(tmp_path / "b.gpkg")
    assert_is_straight(tmp_path / "b.gpkg")


def test_states_the_crs_of_a_file_without(tmp_path: Path) -> None:
    bare = table("EPSG:4545").set_crs(None, allow_override=True)
    with pytest.warns(UserWarning, match="crs"):
        bare.to_file(tmp_path / "b.shp")
    with pytest.raises(MissingCrsError, match=r"--crs EPSG:4326"):
        read_boundaries(tmp_path / "b.shp")
    assert_is_straight(tmp_path / "b.shp", crs="EPSG:4545")


def test_geojson_in_metres_without_crs_is_refused(tmp_path: Path) -> None:
    xy = np.asarray(table("EPSG:4545").geometry[0].coords).tolist()
    path = write_geojson(tmp_path / "b.geojson", (LEFT, "LineString", xy))
    with pytest.raises(MissingCrsError):
        read_boundaries(path)
    assert_is_straight(path, crs="EPSG:4545")


def test_a_stated_crs_does_not_override(tmp_path: Path) -> None:
    table("EPSG:4545").to_file(tmp_path / "b.gpkg")
    with pytest.raises(InputError, match="contradicts"):
        read_boundaries(tmp_path / "b.gpkg", crs="EPSG:4547")


def test_an_unknown_crs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--crs: 'EPSG:0' is no CRS"):
        read_boundaries(line_file(tmp_path, STRAIGHT), crs="EPSG:0")


@pytest.mark.parametrize("datum", [Datum.GCJ02, Datum.BD09])
def test_converts_chinese_datums(tmp_path: Path, datum: Datum) -> None:
    drawn = from_wgs84(lonlat(STRAIGHT), datum).tolist()
    path = write_geojson(tmp_path / "b.geojson", (LEFT, "LineString", drawn))
    assert_is_straight(path, datum=datum)
    (unconverted,) = read_boundaries(path)
    assert np.hypot(*(FRAME.to_xy(unconverted.parts[0])[0])) > 100.0


def test_chinese_datum_outside_china_is_refused(tmp_path: Path) -> None:
    path = write_geojson(tmp_path / "b.geojson", (LEFT, "LineString", [[8.5, 47.3], [8.51, 47.3]]))
    with pytest.raises(CoordinateError, match="leave out --datum"):
        read_boundaries(path, datum="gcj02")


def test_maps_columns_and_fills_in_defaults(tmp_path: Path) -> None:
    path = write_geojson(
        tmp_path / "b.geojson",
        ({"name": "G75", "SEITE": "R", "von": "K12+345.5", "hoehe": 2}, "LineString",
         lonlat(STRAIGHT)),
    )  # fmt: skip
    (boundary,) = read_boundaries(
        path,
        columns={"route": "name", "side": "seite", "chainage_start_m": "von",
                 "fence_height_m": "hoehe"},
        defaults={"post_spacing_m": "2.5"},
    )  # fmt: skip
    assert (boundary.route, boundary.side) == ("G75", Side.RIGHT)
    assert boundary.chainage_start_m == (12345.5,)
    assert (boundary.fence_height_m, boundary.post_spacing_m) == (2.0, 2.5)


def test_shapefile_column_names_cut_short_are_found(tmp_path: Path) -> None:
    table(chainage_s=[5000.0], fence_heig=[2.4]).to_file(tmp_path / "b.shp")
    (boundary,) = read_boundaries(tmp_path / "b.shp")
    assert (boundary.chainage_start_m, boundary.fence_height_m) == ((5000.0,), 2.4)


def test_mixed_dimensions(tmp_path: Path) -> None:
    tall = [[*point, 900.0] for point in lonlat([(300.0, 0.0), (400.0, 0.0)])]
    path = write_geojson(
        tmp_path / "b.geojson",
        (LEFT, "LineString", lonlat([(0.0, 0.0), (100.0, 0.0)])),
        (LEFT, "LineString", tall),
    )
    (boundary,) = read_boundaries(path)
    assert [part.shape for part in boundary.parts] == [(2, 2), (2, 2)]


def test_parts_meeting_are_joined_and_gaps_are_kept(tmp_path: Path) -> None:
    parts = [
        [(200.0, 0.0), (300.0, 0.0)],  # drawn first in the file, but follows the next
        [(0.0, 0.0), (100.0, 0.0), (196.0, 0.0)],
        [(306.0, 0.0), (400.0, 0.0)],
    ]
    path = write_geojson(
        tmp_path / "b.geojson",
        ({**LEFT, "chainage_start_m": 1000}, "MultiLineString", [lonlat(part) for part in parts]),
    )
    (boundary,) = read_boundaries(path)
    assert [len(part) for part in boundary.parts] == [5, 2]
    (gap,) = boundary.gaps
    assert gap.length_m == pytest.approx(6.0, abs=0.01)
    assert (gap.chainage_start_m, gap.chainage_end_m) == pytest.approx((1300.0, 1306.0), abs=0.01)
    assert any("gap of 6.0 m" in note and "K1+300" in note for note in boundary.notes)


def test_features_of_one_side_are_ordered_by_their_chainage(tmp_path: Path) -> None:
    path = write_geojson(
        tmp_path / "b.geojson",
        ({**LEFT, "chainage_start_m": 500}, "LineString", lonlat([(500.0, 0.0), (600.0, 0.0)])),
        ({**LEFT, "chainage_start_m": 0}, "LineString", lonlat([(0.0, 0.0), (400.0, 0.0)])),
        ({"route": "G75", "side": "right"}, "LineString", lonlat([(0.0, -30.0), (9.0, -30.0)])),
    )
    left, right = sorted(read_boundaries(path), key=lambda boundary: boundary.side)
    assert left.chainage_start_m == (0.0, 500.0)
    assert right.side is Side.RIGHT


def test_overlapping_chainage_is_refused(tmp_path: Path) -> None:
    path = write_geojson(
        tmp_path / "b.geojson",
        ({**LEFT, "chainage_start_m": 0}, "LineString", lonlat([(0.0, 0.0), (400.0, 0.0)])),
        ({**LEFT, "chainage_start_m": 300}, "LineString", lonlat([(500.0, 0.0), (600.0, 0.0)])),
    )
    with pytest.raises(PartOrderError, match=r"K0\+300, before K0\+400"):
        read_boundaries(path)


def test_chainage_on_some_lines_of_a_side_only_is_refused(tmp_path: Path) -> None:
    path = write_geojson(
        tmp_path / "b.geojson",
        ({**LEFT, "chainage_start_m": 0}, "LineString", lonlat([(0.0, 0.0), (400.0, 0.0)])),
        (LEFT, "LineString", lonlat([(500.0, 0.0), (600.0, 0.0)])),
    )
    with pytest.raises(PartOrderError, match="line 2: does not state its chainage"):
        read_boundaries(path)


def test_parts_drawn_against_each_other_are_refused(tmp_path: Path) -> None:
    parts = [[(0.0, 0.0), (100.0, 0.0)], [(200.0, 0.0), (101.0, 0.0)]]
    path = write_geojson(
        tmp_path / "b.geojson", (LEFT, "MultiLineString", [lonlat(part) for part in parts])
    )
    with pytest.raises(PartOrderError, match="parts 1 and 2 are drawn against each other"):
        read_boundaries(path)


def test_a_fork_is_refused(tmp_path: Path) -> None:
    parts = [
        [(0.0, 0.0), (100.0, 0.0)],
        [(100.0, 0.0), (200.0, 0.0)],
        [(100.0, 1.0), (150.0, 90.0)],
    ]
    path = write_geojson(
        tmp_path / "b.geojson", (LEFT, "MultiLineString", [lonlat(part) for part in parts])
    )
    with pytest.raises(PartOrderError):
        read_boundaries(path)


def test_duplicate_points(tmp_path: Path) -> None:
    with pytest.raises(DuplicatePointsError, match="vertices 2 and 3 are the same point"):
        read_boundaries(line_file(tmp_path, [(0, 0), (50, 0), (50, 0), (100, 0)]))


@pytest.mark.parametrize("xy", [[(0, 0)], [(5, 5), (5, 5)]])
def test_lines_of_no_length(tmp_path: Path, xy: list[tuple[float, float]]) -> None:
    with pytest.raises(ZeroLengthError):
        read_boundaries(line_file(tmp_path, xy))


@pytest.mark.parametrize(
    "xy",
    [
        [(0, 0), (100, 0), (50, 50), (50, -50)],
        [(0, 0), (200, 0), (100, 0), (300, 0)],  # vertices in the wrong order
        [(0, 0), (100, 0), (60, 0)],  # doubles back
    ],
)
def test_self_crossing(tmp_path: Path, xy: list[tuple[float, float]]) -> None:
    with pytest.raises(SelfCrossingError, match="crosses itself"):
        read_boundaries(line_file(tmp_path, xy))


def loop_ramp(radius_m: float = 50.0) -> list[tuple[float, float]]:
    """Along x, round by 270° to the left, and away across its own beginning."""
    turn = np.radians(np.arange(-90.0, 180.1, 10.0))
    round_ = np.column_stack([radius_m * np.cos(turn), radius_m + radius_m * np.sin(turn)])
    return [(-200.0, 0.0), *map(tuple, round_.tolist()), (-radius_m, -200.0)]


def test_a_loop_ramp_may_pass_over_itself(tmp_path: Path) -> None:
    (boundary,) = read_boundaries(line_file(tmp_path, loop_ramp()))
    assert len(boundary.parts) == 1
    assert any("loop ramp" in note for note in boundary.notes)


def test_swapped_latitude_and_longitude(tmp_path: Path) -> None:
    swapped = [[lat, lon] for lon, lat in lonlat(STRAIGHT)]
    path = write_geojson(tmp_path / "b.geojson", (LEFT, "LineString", swapped))
    with pytest.raises(SwappedAxesError, match=r"latitude and longitude seem to be swapped"):
        read_boundaries(path)


def test_swapped_easting_and_northing(tmp_path: Path) -> None:
    frame = table("EPSG:4545")
    frame.geometry = [shapely.LineString(np.asarray(frame.geometry[0].coords)[:, ::-1])]
    frame.to_file(tmp_path / "b.gpkg")
    with pytest.raises(SwappedAxesError, match="easting and northing seem to be swapped"):
        read_boundaries(tmp_path / "b.gpkg")


def test_the_wrong_zone_is_refused(tmp_path: Path) -> None:
    frame = table("EPSG:32648").set_crs("EPSG:32633", allow_override=True)
    frame.geometry = frame.geometry.translate(yoff=7e6)
    frame.to_file(tmp_path / "b.gpkg")
    with pytest.raises(CoordinateError, match="far outside the area"):
        read_boundaries(tmp_path / "b.gpkg")


def test_nan(tmp_path: Path) -> None:
    xy = [[106.9, 27.7], [float("nan"), float("nan")], [106.91, 27.7]]
    path = write_geojson(tmp_path / "b.geojson", (LEFT, "LineString", xy))
    with pytest.raises(CoordinateError, match="line 1: has a coordinate that is not a number"):
        read_boundaries(path)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_boundaries(tmp_path / "none.geojson")
    (tmp_path / "empty.geojson").touch()
    with pytest.raises(UnreadableError, match="empty"):
        read_boundaries(tmp_path / "empty.geojson")
    (tmp_path / "text.geojson").write_text("take the second road on the left\n")
    with pytest.raises(UnreadableError, match=r"text\.geojson: cannot be read"):
        read_boundaries(tmp_path / "text.geojson")
    (tmp_path / "half.geojson").write_text('{"type": "FeatureCollection", "features": [{"ty')
    with pytest.raises(UnreadableError):
        read_boundaries(tmp_path / "half.geojson")
    with pytest.raises(UnreadableError, match="holds no line"):
        read_boundaries(write_geojson(tmp_path / "nothing.geojson"))
    with pytest.raises(UnreadableError, match="only Point"):
        read_boundaries(write_geojson(tmp_path / "p.geojson", (LEFT, "Point", [106.9, 27.7])))


def test_which_of_several_layers(tmp_path: Path) -> None:
    table().to_file(tmp_path / "b.gpkg", layer="one")
    table().to_file(tmp_path / "b.gpkg", layer="two")
    with pytest.raises(InputError, match=r"2 layers \(one, two\)"):
        read_boundaries(tmp_path / "b.gpkg")
    with pytest.raises(InputError, match="no layer 'three'"):
        read_boundaries(tmp_path / "b.gpkg", layer="three")
    assert_is_straight(tmp_path / "b.gpkg", layer="two")
    table().to_file(tmp_path / "b.gpkg", layer="boundaries")
    assert_is_straight(tmp_path / "b.gpkg")


@pytest.mark.parametrize(
    ("properties", "match"),
    [
        ({"side": "north"}, "side 'north' is not known"),
        ({"side": None}, "does not say on which side"),
        ({"fence_height_m": 180}, "fence_height_m: '180' cannot be used"),
        ({"chainage_start_m": -5}, "chainage_start_m: '-5' cannot be used"),
        ({"chainage_start_m": "twelve"}, "'twelve' cannot be used"),
        ({"post_spacing_m": "wide"}, "'wide' cannot be used"),
    ],
)
def test_attribute_errors(tmp_path: Path, properties: dict, match: str) -> None:
    with pytest.raises(AttributeValueError, match=match):
        read_boundaries(line_file(tmp_path, STRAIGHT, **properties))


def test_a_bad_station_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="K12345"):
        read_boundaries(line_file(tmp_path, STRAIGHT, chainage_start_m="K12345"))


def test_unknown_fields_and_columns_are_named(tmp_path: Path) -> None:
    path = line_file(tmp_path, STRAIGHT)
    with pytest.raises(InputError, match="no field 'hight'"):
        read_boundaries(path, columns={"hight": "h"})
    with pytest.raises(AttributeValueError, match="no column 'h'"):
        read_boundaries(path, columns={"fence_height_m": "h"})


def test_chainage_is_the_ellipsoid_s(tmp_path: Path) -> None:
    (boundary,) = read_boundaries(line_file(tmp_path, STRAIGHT))
    lon, lat = np.asarray(lonlat(STRAIGHT)).T
    assert boundary.chainage_end_m == pytest.approx(WGS84.line_length(lon, lat), abs=1e-6)
