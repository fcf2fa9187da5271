"""Chainage as it is posted: calibration by kilometre posts and equations of chainage.

The length of a drawn fence line is not the road's chainage: a fence runs longer outside of a bend
and shorter inside, and where a road was rerouted its posts were not renumbered ("broken chain"): at
an equation of chainage the station jumps, as `K12+345 = K12+400` (55 m are missing) or
`K30+200 = K30+150` (50 m come twice).
"""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from corridor.errors import AttributeValueError, InputError, UnreadableError
from corridor.reference import Reference
from corridor.station import format_station, parse_station
from corridor.values import Boundary, FloatArray, LonLat
from corridor.vector import read_layers, to_wgs84_lonlat

FARTHEST_POST_M = 100.0
"""A post farther from a fence line than this belongs to another road."""

# A fence in the tightest ramp, half as far from its middle as the road, is twice or half as long;
# more than that is a slip of a post.
_LEAST_SCALE, _GREATEST_SCALE = 0.5, 2.0
_USUAL_SCALE_FRAC = 0.1
_SAME_PLACE_M = 1e-3


@dataclass(frozen=True)
class Post:
    """A kilometre post, or an equation of chainage.

    Attributes:
        chainage_m: the station written there (the one before, at an equation).
        ahead_m: the station from there on, at an equation; else None.
        place: where it stands.
        route: the road it belongs to; empty for any.
        source: names it in messages.
    """

    chainage_m: float
    place: LonLat
    ahead_m: float | None = None
    route: str = ""
    source: str = ""

    @property
    def name(self) -> str:
        """As `K12+345` or `K12+345 = K12+400`."""
        ahead = "" if self.ahead_m is None else f" = {format_station(self.ahead_m)}"
        return format_station(self.chainage_m) + ahead


def read_posts(path: str | Path) -> list[Post]:
    """Kilometre posts from a table or a vector file of points.

    Columns: `station` (`K12+000`, or metres), `ahead` at equations of chainage (else empty),
    `route` where there are several; of a CSV also `lon` and `lat`, WGS 84 in degrees.

    Raises:
        InputError: if the file cannot be read so; it names the row.
    """
    file = Path(path)
    if not file.is_file():
        raise InputError(path, "no such file")
    rows = _csv_rows(file) if file.suffix.lower() in (".csv", ".txt") else _vector_rows(file)
    posts = []
    for number, row in enumerate(rows, 1):
        source = f"{path} row {number}"
        ahead = row.get("ahead") or ""
        posts.append(
            Post(
                chainage_m=_chainage(row.get("station") or "", f"{source}, station"),
                ahead_m=_chainage(ahead, f"{source}, ahead") if ahead else None,
                place=_place(row, source),
                route=(row.get("route") or "").strip(),
                source=source,
            )
        )
    if not posts:
        raise UnreadableError(path, "holds no kilometre posts", "one row for each")
    return posts


def calibrate(boundary: Boundary, posts: Sequence[Post]) -> list[Boundary]:
    """The boundary with the chainage of its posts, linear between them.

    Beyond the first and last post, and between a post and the next equation, the scale of the
    nearest interval goes on. Where an equation skips chainage, a new part begins. Where chainage
    comes twice, stations alone would not say which place is meant: what follows becomes a boundary
    of its own, its route marked as section 2 (`G75-2`), 3 and so on.

    Args:
        boundary: as read, its chainage the ellipsoid's.
        posts: of its route, or of none; others are left out.

    Returns:
        One boundary for each section.

    Raises:
        InputError: if no post is the boundary's, or posts contradict the line or each other.
    """
    reference = Reference.of(boundary)
    own = [post for post in posts if post.route in ("", boundary.route)]
    name = f"{boundary.route} {boundary.side}"
    found = reference.locate([(p.place.lon_deg, p.place.lat_deg) for p in own]) if own else None
    knots: list[tuple[float, Post]] = []
    for index, post in enumerate(own):
        assert found is not None
        offset_m = abs(float(found.offset_m[index]))
        if offset_m <= FARTHEST_POST_M:
            knots.append((float(found.chainage_m[index]), post))
        elif post.route:
            raise InputError(
                post.source,
                f"post {post.name} stands {offset_m:.0f} m from {name}",
                f"at most {FARTHEST_POST_M:.0f} m; are lon and lat right?",
            )
    if not knots:
        raise InputError(
            boundary.source or name,
            f"no kilometre post stands within {FARTHEST_POST_M:.0f} m of {name}",
            "give it posts, or read it without",
        )
    knots.sort(key=lambda knot: knot[0])
    notes = list(boundary.notes)
    scales = [_scale(one, two, name, notes) for one, two in itertools.pairwise(knots)] or [1.0]
    return _sections(boundary, knots, [scales[0], *scales, scales[-1]], notes)


def _scale(
    before: tuple[float, Post], after: tuple[float, Post], name: str, notes: list[str]
) -> float:
    drawn_m = after[0] - before[0]
    begins = before[1].chainage_m if before[1].ahead_m is None else before[1].ahead_m
    posted_m = after[1].chainage_m - begins
    between = f"between {before[1].name} and {after[1].name} on {name}"
    if posted_m <= 0.0:
        raise InputError(
            after[1].source,
            f"chainage falls {between}, in the direction in which the line is drawn",
            "draw lines in the direction of increasing chainage; give an equation of chainage its "
            "station ahead in column 'ahead'",
        )
    if not _LEAST_SCALE * drawn_m <= posted_m <= _GREATEST_SCALE * drawn_m:
        raise InputError(
            after[1].source,
            f"{posted_m:.0f} m are posted and {drawn_m:.0f} m drawn {between}",
            f"{_LEAST_SCALE:g} to {_GREATEST_SCALE:g} times as much; an equation of chainage needs "
            "column 'ahead'",
        )
    scale = posted_m / drawn_m
    if abs(scale - 1.0) > _USUAL_SCALE_FRAC:
        notes.append(f"{posted_m:.0f} m are posted and {drawn_m:.0f} m drawn {between}")
    return scale


def _sections(
    boundary: Boundary,
    knots: Sequence[tuple[float, Post]],
    scales: Sequence[float],
    notes: list[str],
) -> list[Boundary]:
    """The boundary cut at equations; `scales[i]` holds before knot i, the last one after all."""
    at_m = np.array([at for at, _ in knots])
    back_m = np.array([post.chainage_m for _, post in knots])
    ahead_m = np.array([p.chainage_m if p.ahead_m is None else p.ahead_m for _, p in knots])
    jumps = np.flatnonzero(np.abs(ahead_m - back_m) > _SAME_PLACE_M)
    for knot in jumps.tolist():
        jump_m = ahead_m[knot] - back_m[knot]
        what = f"{jump_m:.0f} m are skipped" if jump_m > 0 else f"{-jump_m:.0f} m come twice"
        notes.append(f"{boundary.route} {boundary.side}: equation {knots[knot][1].name}, {what}")
    repeats_m = at_m[jumps[ahead_m[jumps] < back_m[jumps]]]
    sections: list[list[tuple[FloatArray, FloatArray]]] = [[] for _ in range(len(repeats_m) + 1)]
    for lonlat, drawn_m in _with_knots(boundary, at_m):
        inside = jumps[(at_m[jumps] > drawn_m[0]) & (at_m[jumps] < drawn_m[-1])]
        edges_m = [drawn_m[0], *at_m[inside], drawn_m[-1]]
        for start_m, end_m in itertools.pairwise(edges_m):
            here = (drawn_m >= start_m - _SAME_PLACE_M) & (drawn_m <= end_m + _SAME_PLACE_M)
            # Before which knot each vertex is: at the ends of a stretch, seen from inside of it.
            first = np.searchsorted(at_m, start_m + _SAME_PLACE_M)
            last = np.searchsorted(at_m, end_m - _SAME_PLACE_M)
            before = np.clip(np.searchsorted(at_m, drawn_m[here]), first, last)
            knot = np.maximum(before - 1, 0)
            from_m = np.where(before == 0, back_m[0], ahead_m[knot])
            posted_m = from_m + np.asarray(scales)[before] * (drawn_m[here] - at_m[knot])
            section = int(np.searchsorted(repeats_m, start_m + _SAME_PLACE_M))
            sections[section].append((lonlat[here], posted_m))
    return [
        _section(boundary, parts, number, knots[0][1], notes)
        for number, parts in enumerate((parts for parts in sections if parts), 1)
    ]


def _with_knots(boundary: Boundary, at_m: FloatArray) -> list[tuple[FloatArray, FloatArray]]:
    """The vertices of each part and their drawn chainages, the knots among them."""
    reference = Reference.of(boundary)
    parts = []
    for part, lonlat in enumerate(boundary.parts):
        drawn_m = boundary.vertex_chainages_m(part)
        apart_m = np.abs(at_m[:, None] - drawn_m[None, :]).min(axis=1)
        within = (at_m > drawn_m[0]) & (at_m < drawn_m[-1]) & (apart_m > _SAME_PLACE_M)
        new_m = np.unique(at_m[within])
        index = np.searchsorted(drawn_m, new_m)
        if len(new_m):
            lonlat = np.insert(lonlat, index, reference.at(new_m), axis=0)
        parts.append((lonlat, np.insert(drawn_m, index, new_m)))
    return parts


def _section(
    boundary: Boundary,
    parts: Sequence[tuple[FloatArray, FloatArray]],
    number: int,
    first_post: Post,
    notes: Sequence[str],
) -> Boundary:
    first_m = float(parts[0][1][0])
    if first_m < 0.0:
        raise InputError(
            first_post.source,
            f"by post {first_post.name} the line would begin {-first_m:.0f} m before K0+000",
            "chainage is not negative; draw the line from K0+000, or correct the post",
        )
    section = replace(
        boundary,
        route=boundary.route if number == 1 else f"{boundary.route}-{number}",
        parts=tuple(np.ascontiguousarray(lonlat) for lonlat, _ in parts),
        chainage_start_m=tuple(float(posted_m[0]) for _, posted_m in parts),
        chainage_scale=(1.0,) * len(parts),
        posted_m=tuple(posted_m for _, posted_m in parts),
        notes=tuple(notes),
    )
    lengths_m = section.part_lengths_m
    scale = tuple(
        float(posted_m[-1] - posted_m[0]) / length_m
        for posted_m, length_m in zip(section.posted_m, lengths_m, strict=True)
    )
    return replace(section, chainage_scale=scale)


def _chainage(text: str, source: str) -> float:
    if not text.strip():
        raise AttributeValueError(source, "is empty", "as K12+000, or metres")
    try:
        metres = float(text)
    except ValueError:
        return parse_station(text, source)
    if not 0.0 <= metres <= 1e7:
        raise AttributeValueError(source, f"'{text}' cannot be used", "0 to 10,000,000 m")
    return metres


def _place(row: dict[str, str], source: str) -> LonLat:
    try:
        return LonLat(float(row.get("lon") or ""), float(row.get("lat") or ""))
    except ValueError as error:
        raise AttributeValueError(
            source,
            f"lon '{row.get('lon')}', lat '{row.get('lat')}' is no position",
            "WGS 84 in degrees, columns lon and lat",
        ) from error


def _csv_rows(file: Path) -> list[dict[str, str]]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableError(file, "is no UTF-8 text", "save the table as CSV in UTF-8") from error
    rows = csv.DictReader(io.StringIO(text))
    names = [name.strip().lower() for name in rows.fieldnames or []]
    for name in ("station", "lon", "lat"):
        if name not in names:
            raise AttributeValueError(
                file,
                f"has no column '{name}'",
                f"station, lon, lat, and where needed ahead, route; it has {', '.join(names)}",
            )
    return [
        {(k or "").strip().lower(): str(v or "").strip() for k, v in row.items()} for row in rows
    ]


def _vector_rows(file: Path) -> list[dict[str, str]]:
    rows = []
    for table in read_layers(file):
        parts_of, _ = to_wgs84_lonlat(table)
        columns = {name: table.column(name) for name in ("station", "ahead", "route")}
        if columns["station"] is None:
            raise AttributeValueError(
                table.source, "has no column 'station'", f"it has {', '.join(table.names)}"
            )
        for index, (geometry, parts) in enumerate(zip(table.geometries, parts_of, strict=True)):
            if geometry is None or geometry.geom_type != "Point" or not parts:
                continue
            lon, lat = parts[0][0]
            row = {"lon": repr(float(lon)), "lat": repr(float(lat))}
            for name, column in columns.items():
                value = None if column is None else column[index]
                missing = value is None or value != value
                row[name] = "" if missing else str(value)
            rows.append(row)
    return rows
