"""What users give of the surroundings: areas, villages, fields, districts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import shapely

from corridor import InputError

if TYPE_CHECKING:
    import geopandas


def read_area(path: Path) -> shapely.Geometry:
    """The polygons of a vector file as one WGS 84 geometry.

    Raises:
        InputError: if there are none.
    """
    return shapely.union_all([shape for shape, _ in polygons_of(path)])


def polygons_of(path: Path) -> list[tuple[shapely.Geometry, dict[str, Any]]]:
    """The WGS 84 polygons of a vector file, each with its row of lower-case column names.

    Raises:
        InputError: if there are none.
    """
    table = _table(path)
    rows = table.drop(columns=table.geometry.name).rename(columns=str.lower).to_dict("records")
    found = [
        (shapely.make_valid(shape), row)
        for shape, row in zip(table.geometry, rows, strict=True)
        if shape is not None and _is_polygon(shape)
    ]
    if not found:
        raise InputError(path, "holds no polygon", "one or more polygons")
    return found


def read_places(path: Path) -> list[shapely.Geometry]:
    """The geometries of a vector file, whatever they are, in WGS 84."""
    return [shape for shape in _table(path).geometry if shape is not None and not shape.is_empty]


def read_districts(path: Path) -> dict[str, shapely.Geometry]:
    """Name to WGS 84 polygon, of a vector file with a column `name`.

    Raises:
        InputError: if there is no such column or no polygon.
    """
    table = _table(path)
    column = next((name for name in table.columns if name.lower() == "name"), None)
    if column is None:
        have = ", ".join(name for name in table.columns if name != "geometry") or "none"
        raise InputError(path, f"has no column 'name' (it has {have})", "the district's name")
    districts: dict[str, shapely.Geometry] = {}
    for name, shape in zip(table[column], table.geometry, strict=True):
        if shape is None or not _is_polygon(shape):
            continue
        key = str(name)
        valid = shapely.make_valid(shape)
        districts[key] = shapely.union(districts[key], valid) if key in districts else valid
    if not districts:
        raise InputError(path, "holds no polygon", "a polygon a district")
    return districts


def _is_polygon(shape: shapely.Geometry) -> bool:
    return shapely.get_type_id(shape) in (3, 6)


def _table(path: Path) -> geopandas.GeoDataFrame:
    import geopandas  # here, since it brings pandas, which most runs need at their end only

    if not path.is_file():
        raise InputError(path, "no such file", "a vector file such as GeoJSON or GeoPackage")
    try:
        table = geopandas.read_file(path)
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(path, "is no vector file that can be read") from error
    if not isinstance(table, geopandas.GeoDataFrame):
        raise InputError(path, "holds no geometries")
    if table.crs is None:
        raise InputError(path, "carries no CRS", "state it in the file")
    return table.to_crs("EPSG:4326")
