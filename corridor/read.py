"""Boundaries from vector files: GeoJSON, GeoPackage, Shapefile, KML, KMZ, what else OGR reads."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from corridor.calibrate import calibrate, read_posts
from corridor.datum import Datum, in_gcj02_area, to_wgs84
from corridor.errors import (
    AttributeValueError,
    CoordinateError,
    InputError,
    PartOrderError,
    UnreadableError,
)
from corridor.lines import check_line, join_parts
from corridor.station import format_station, parse_station
from corridor.values import WGS84, Boundary, FloatArray, Side
from corridor.vector import VectorLayer, read_layers, to_wgs84_lonlat

FIELDS = (
    "route",
    "side",
    "chainage_start_m",
    "fence_height_m",
    "post_spacing_m",
    "offset_tolerance_m",
)
"""What a boundary file says of each line, as columns of these names unless mapped."""

_SIDES = {
    "left": Side.LEFT, "l": Side.LEFT, "左": Side.LEFT, "左侧": Side.LEFT,
    "right": Side.RIGHT, "r": Side.RIGHT, "右": Side.RIGHT, "右侧": Side.RIGHT,
}  # fmt: skip

# Field to (default, lowest, highest) in metres; a value outside is a slip of unit or column.
_NUMBERS = {
    "fence_height_m": (1.8, 0.2, 10.0),
    "post_spacing_m": (3.0, 0.5, 20.0),
    "offset_tolerance_m": (2.0, 0.1, 20.0),
}


@dataclass(frozen=True)
class _Line:
    """One feature's line, before lines of one side are put together."""

    source: str
    route: str
    side: Side
    chainage_start_m: float | None
    numbers: tuple[float, ...]
    parts: tuple[FloatArray, ...]
    notes: tuple[str, ...]


def read_boundaries(
    path: str | Path,
    *,
    datum: Datum | str = Datum.WGS84,
    crs: str | None = None,
    layer: str | None = None,
    columns: Mapping[str, str] | None = None,
    defaults: Mapping[str, str] | None = None,
    posts: str | Path | None = None,
) -> list[Boundary]:
    """The boundaries of a vector file in any CRS, in WGS 84, one for each side of each route.

    Lines of one route and side become the parts of one boundary. Ends within 5 m of each other are
    joined; wider gaps stay gaps (`Boundary.gaps`). Where lines do not state their chainage, it runs
    on through a gap by the straight distance. `Boundary.notes` says what people should know.

    Args:
        path: the file.
        datum: what its coordinates really refer to; `gcj02` and `bd09` are turned into WGS 84.
        crs: the CRS of a file that carries none, in any form that pyproj knows, as `EPSG:4545`.
        layer: the layer to read where a file has several.
        columns: field name (`FIELDS`) to the name of the column that holds it.
        defaults: field name to the value for lines that have none, as text.
        posts: a table of kilometre posts that calibrates the chainage (`corridor.calibrate`); then
            a side may become several boundaries, one a section of its chainage.

    Raises:
        InputError: if the file cannot be read as boundaries; its subclasses say why.
    """
    kind = Datum(datum)
    columns, defaults = dict(columns or {}), dict(defaults or {})
    for option, names in (("--column", columns), ("--default", defaults)):
        for name in names:
            if name not in FIELDS:
                raise InputError(option, f"no field '{name}'", f"one of {', '.join(FIELDS)}")
    lines: list[_Line] = []
    layers = read_layers(path, layer=layer, prefer="boundaries")
    for table in layers:
        lonlat_of, notes = to_wgs84_lonlat(table, crs)
        lines += _lines_of(table, lonlat_of, kind, columns, defaults, tuple(notes))
    if not lines:
        kinds = sorted({kind for table in layers for kind in table.geometry_kinds()})
        raise UnreadableError(
            path,
            "holds no line" + (f", only {', '.join(kinds)}" if kinds else ""),
            "boundaries are LineString or MultiLineString",
        )
    groups: dict[tuple[str, Side, tuple[float, ...]], list[_Line]] = {}
    for line in lines:
        groups.setdefault((line.route, line.side, line.numbers), []).append(line)
    boundaries = [_boundary(group, Path(path)) for group in groups.values()]
    if posts is None:
        return boundaries
    known = read_posts(posts)
    return [section for boundary in boundaries for section in calibrate(boundary, known)]


def _lines_of(
    table: VectorLayer,
    lonlat_of: Sequence[tuple[FloatArray, ...]],
    datum: Datum,
    columns: Mapping[str, str],
    defaults: Mapping[str, str],
    notes: tuple[str, ...],
) -> list[_Line]:
    lines = []
    skipped = 0
    for row, geometry in enumerate(table.geometries):
        if geometry is None or geometry.geom_type not in ("LineString", "MultiLineString"):
            skipped += 1
            continue
        source = f"{table.source} line {row + 1}"
        parts = lonlat_of[row]
        if datum is not Datum.WGS84:
            outside = [part for part in parts if not in_gcj02_area(part).all()]
            if outside:
                lon, lat = outside[0][0]
                raise CoordinateError(
                    source,
                    f"lies at {lon:.5f}, {lat:.5f}, where {datum} is not used",
                    "leave out --datum outside China",
                )
            parts = tuple(to_wgs84(part, datum) for part in parts)
        value = _Values(table, row, source, columns, defaults)
        line_notes = list(notes)
        for part in parts:
            for loop in check_line(part, source):
                line_notes.append(
                    f"{source} passes over itself at {loop.lon_deg:.6f}, {loop.lat_deg:.6f} after "
                    f"{loop.second_m - loop.first_m:.0f} m; taken for a loop ramp"
                )
        lines.append(
            _Line(
                source=source,
                route=value.text("route") or Path(table.path).stem,
                side=value.side(),
                chainage_start_m=value.chainage(),
                numbers=tuple(value.number(name, *limits) for name, limits in _NUMBERS.items()),
                parts=tuple(parts),
                notes=tuple(line_notes),
            )
        )
    if lines and skipped:
        what = f"{table.source}: {skipped} features that are no lines were left out"
        lines[0] = replace(lines[0], notes=(*lines[0].notes, what))
    return lines


@dataclass(frozen=True)
class _Values:
    """The attributes of one feature."""

    table: VectorLayer
    row: int
    source: str
    columns: Mapping[str, str]
    defaults: Mapping[str, str]

    def raw(self, field: str) -> Any:
        wanted = self.columns.get(field, field)
        column = self.table.column(wanted)
        if column is None and field in self.columns:
            raise AttributeValueError(
                self.source,
                f"has no column '{wanted}' (wanted for {field})",
                f"its columns are {', '.join(self.table.names) or 'none'}",
            )
        value = None if column is None else column[self.row]
        if value is None or (isinstance(value, float) and np.isnan(value)) or value == "":
            return self.defaults.get(field)
        return value

    def text(self, field: str) -> str:
        value = self.raw(field)
        return "" if value is None else str(value).strip()

    def side(self) -> Side:
        value = self.text("side")
        allowed = "left or right, looking along increasing chainage"
        if not value:
            raise AttributeValueError(
                self.source,
                "does not say on which side of the road it is",
                f"give a column 'side' ({allowed}), name the one that holds it with --column "
                f"side=NAME (its columns are {', '.join(self.table.names) or 'none'}), or state "
                "it with --default side=left",
            )
        if value.lower() not in _SIDES:
            raise AttributeValueError(self.source, f"side '{value}' is not known", allowed)
        return _SIDES[value.lower()]

    def chainage(self) -> float | None:
        value = self.raw("chainage_start_m")
        if value is None:
            return None
        source = f"{self.source}, chainage_start_m"
        if isinstance(value, str) and value.strip()[:1] in "KkＫｋ":
            return parse_station(value, source)
        return self._metres(value, source, 0.0, 1e7)

    def number(self, field: str, default: float, low: float, high: float) -> float:
        value = self.raw(field)
        if value is None:
            return default
        return self._metres(value, f"{self.source}, {field}", low, high)

    def _metres(self, value: object, source: str, low: float, high: float) -> float:
        try:
            metres = float(str(value))
        except ValueError:
            metres = float("nan")
        if not low <= metres <= high:
            raise AttributeValueError(
                source, f"'{value}' cannot be used", f"a number of metres from {low:g} to {high:g}"
            )
        return metres


def _boundary(lines: Sequence[_Line], path: Path) -> Boundary:
    """One boundary out of the lines of one side, ordered by chainage where they state it."""
    first = lines[0]
    name = f"{path} ({first.route} {first.side})"
    stated = [line.chainage_start_m is not None for line in lines]
    if len(lines) > 1 and any(stated) and not all(stated):
        line = lines[stated.index(False)]
        raise PartOrderError(
            line.source,
            f"does not state its chainage, and other lines of {first.route} {first.side} do",
            "give chainage_start_m to all of them or to none",
        )
    parts: list[FloatArray] = []
    starts_m: list[float] = []
    if all(stated):
        for line in sorted(lines, key=lambda line: line.chainage_start_m or 0.0):
            joined = join_parts(line.parts, line.source)
            starts = _chained(joined, line.chainage_start_m or 0.0)
            end_m = _end_m(parts, starts_m)
            # Metre-rounded chainages of adjoining lines may overlap by a little.
            if end_m is not None and starts[0] < end_m - 1.0:
                raise PartOrderError(
                    line.source,
                    f"starts at {format_station(starts[0])}, before {format_station(end_m)}, where "
                    f"the line before it on {first.route} {first.side} ends",
                    "no stretch may be drawn twice; give a ramp a route of its own",
                )
            parts += joined
            starts_m += starts if end_m is None else [max(starts[0], end_m), *starts[1:]]
    else:
        parts = join_parts([part for line in lines for part in line.parts], name)
        starts_m = _chained(parts, 0.0)
    for part in parts:
        check_line(part, name)
    boundary = Boundary(
        route=first.route,
        side=first.side,
        parts=tuple(parts),
        chainage_start_m=tuple(starts_m),
        fence_height_m=first.numbers[0],
        post_spacing_m=first.numbers[1],
        offset_tolerance_m=first.numbers[2],
        source=str(path),
    )
    gaps = tuple(
        f"{first.route} {first.side}: a gap of {gap.length_m:.1f} m in the drawn line at "
        f"{format_station(gap.chainage_start_m)}, not bridged"
        for gap in boundary.gaps
    )
    notes = tuple(dict.fromkeys(note for line in lines for note in line.notes))
    return replace(boundary, notes=notes + gaps)


def _chained(parts: Sequence[FloatArray], start_m: float) -> list[float]:
    starts = [start_m]
    for before, after in itertools.pairwise(parts):
        length_m = float(WGS84.line_length(before[:, 0], before[:, 1]))
        _, _, gap_m = WGS84.inv(*before[-1], *after[0])
        starts.append(starts[-1] + length_m + float(gap_m))
    return starts


def _end_m(parts: Sequence[FloatArray], starts_m: Sequence[float]) -> float | None:
    if not parts:
        return None
    return starts_m[-1] + float(WGS84.line_length(parts[-1][:, 0], parts[-1][:, 1]))
