"""survey.toml: what a survey is flown with, how, and under which limits.

Every key has a default or comes from a preset. A key that is not known is refused with the nearest
one that is.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
from pydantic import BaseModel, ConfigDict, Field

from corridor import InputError

Above0 = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
Lon = Annotated[float, Field(ge=-180, le=180)]
Lat = Annotated[float, Field(ge=-90, le=90)]
LonLatPair = tuple[Lon, Lat]

DEFAULT_AIRCRAFT = "ardupilot-quad"
DEFAULT_CAMERA = "sony-rx1r-ii"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


class Aircraft(_Section):
    """The airframe. `preset = "NAME"` fills every key; any key given beside it wins."""

    preset: str = Field(
        default=DEFAULT_AIRCRAFT, description="a name listed by `plan --list-presets`"
    )
    title: str = Field(default="", description="for people")
    source: str = Field(default="", description="where the figures come from")
    mass_kg: Above0 = Field(description="all-up, with battery and camera")
    rotor_count: int = Field(ge=1, description="number of rotors")
    rotor_radius_m: Above0 = Field(description="half a propeller's diameter")
    battery_wh: Above0 = Field(description="nominal energy of a full new battery")
    hover_endurance_s: Above0 = Field(description="hovering, still air, sea level, full to empty")
    drag_area_m2: Above0 = Field(
        description="drag coefficient × frontal area of the whole aircraft"
    )
    cruise_speed_m_s: Above0 = Field(description="over ground, between lanes and at most on them")
    max_air_speed_m_s: Above0 = Field(description="what it holds against wind")
    climb_speed_m_s: Above0 = Field(description="vertical, up")
    descent_speed_m_s: Above0 = Field(description="vertical, down")
    max_wind_m_s: Above0 = Field(description="the maker's limit")
    max_items: int = Field(default=650, ge=10, description="mission items the autopilot holds")
    battery_ageing_frac: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.9, description="share of the nominal energy that the battery in use still has"
    )
    stop_s: NotNegative = Field(
        default=0.0,
        description="lost at each end of a lane by aircraft that stop there to switch the camera",
    )
    acceleration_m_s2: Above0 = Field(default=2.5, description="horizontal (WPNAV_ACCEL / WP_ACC)")


class Camera(_Section):
    """The camera. `preset = "NAME"` fills every key; any key given beside it wins."""

    preset: str = Field(
        default=DEFAULT_CAMERA, description="a name listed by `plan --list-presets`"
    )
    title: str = Field(default="", description="for people")
    source: str = Field(default="", description="where the figures come from")
    sensor_width_mm: Above0 = Field(description="across the direction of flight")
    sensor_height_mm: Above0 = Field(description="along the direction of flight")
    image_width_px: int = Field(ge=16, description="pixels across")
    image_height_px: int = Field(ge=16, description="pixels along")
    focal_length_mm: Above0 = Field(description="real, not the 35 mm equivalent")
    exposure_s: Above0 = Field(
        default=0.001, description="shutter time that the blur limit is kept for"
    )
    min_interval_s: Above0 = Field(default=1.0, description="between two pictures")
    gimbal_pitch_min_deg: float = Field(
        default=-90.0, description="lowest pitch, −90 looks straight down"
    )
    gimbal_pitch_max_deg: float = Field(default=0.0, description="highest pitch")
    gimbal_yaw_range_deg: NotNegative = Field(
        default=0.0,
        description="each way from ahead; below 90 the whole aircraft turns sideways instead",
    )


class Capture(_Section):
    """What the pictures must show."""

    modes: tuple[Literal["nadir", "oblique"], ...] = Field(
        default=("nadir",),
        min_length=1,
        description="nadir: straight down over the fence strip, for the orthophoto; "
        "oblique: from beside it, so that the mesh is seen face on",
    )
    height_m: Above0 | None = Field(
        default=None, description="above ground; wins over gsd_m (nadir)"
    )
    gsd_m: Above0 | None = Field(
        default=None,
        description="metres a pixel on the ground (nadir) or the fence's plane (oblique)",
    )
    forward_overlap_frac: Fraction = Field(
        default=0.75, description="between successive pictures, worst"
    )
    side_overlap_frac: Fraction = Field(
        default=0.6, description="between neighbouring lanes, worst"
    )
    inside_m: NotNegative = Field(
        default=10.0, description="strip to cover inside the fence (road side)"
    )
    outside_m: NotNegative = Field(default=15.0, description="strip to cover outside the fence")
    height_tolerance_frac: Annotated[float, Field(gt=0, le=0.5)] = Field(
        default=0.1, description="half the height of the tube that the flight path must stay in"
    )
    path_tolerance_m: Above0 = Field(default=1.0, description="lanes may cut corners by this much")
    min_views: int = Field(default=2, ge=1, description="pictures that must show a metre of fence")
    gsd_slack_frac: NotNegative = Field(
        default=0.3,
        description="a metre is covered if its GSD is at most this much above the target",
    )
    oblique_depression_deg: Annotated[float, Field(ge=10, le=75)] = Field(
        default=40.0, description="how far below the horizon the camera looks at the fence"
    )
    oblique_height_m: Above0 | None = Field(
        default=None,
        description="of the oblique lane above the ground below it; default from gsd_m",
    )
    oblique_max_view_deg: Annotated[float, Field(gt=0, lt=90)] = Field(
        default=65.0, description="largest angle between the line of sight and the fence's normal"
    )
    speed_m_s: Above0 | None = Field(
        default=None, description="on lanes; default: the cruise speed"
    )
    blur_limit_px: Above0 = Field(
        default=0.5, description="speed × exposure, in pixels; else slower"
    )
    attitude_margin_deg: NotNegative = Field(
        default=3.0, description="taken off every edge of the picture for tilt and gimbal error"
    )
    run_length_m: Above0 = Field(
        default=1200.0, description="lanes are flown in runs of at most this"
    )


class Safety(_Section):
    """Limits that no plan goes beyond."""

    clearance_m: Above0 = Field(default=20.0, description="never less above terrain and obstacles")
    dem_error_m: NotNegative = Field(
        default=3.0, description="error budget of the elevations, added"
    )
    lateral_error_m: NotNegative = Field(default=5.0, description="how far off the line it may fly")
    ceiling_m: Above0 = Field(
        default=120.0, description="above ground; 120 m is China's uncontrolled limit"
    )
    max_distance_m: Above0 = Field(default=2000.0, description="from the launch site")
    wind_m_s: NotNegative = Field(default=8.0, description="planned for, from any direction")
    reserve_frac: Fraction = Field(
        default=0.25, description="share of the battery left after landing"
    )
    fence_to_carriageway_m: NotNegative = Field(
        default=3.0, description="fence to the edge of the lanes"
    )
    carriageway_width_m: NotNegative = Field(
        default=26.0,
        description="both directions, measured inwards; 0: there is none to stay clear of",
    )
    carriageway_distance_m: NotNegative = Field(
        default=3.0, description="lanes stay this far beside it"
    )
    crossing: Literal["square", "forbid"] = Field(
        default="square", description="cross the carriageway at right angles, or not at all"
    )
    crossing_height_m: Above0 = Field(
        default=40.0, description="least height above it when crossing"
    )
    fence_margin_m: Above0 = Field(default=40.0, description="geofence beyond the flight path")
    power_line_clearance_m: Above0 = Field(default=15.0, description="above and beside power lines")
    rally: Literal["launch_sites", "listed", "none"] = Field(
        default="launch_sites",
        description="where a return may go instead of home, if proved: to other launch sites and "
        "[[rally]] places, to [[rally]] places alone, or nowhere",
    )
    rtl_speed_m_s: Above0 | None = Field(default=None, description="default: the cruise speed")
    descent_overhead_s: NotNegative = Field(default=20.0, description="final metres and touch-down")
    takeoff_hover_s: NotNegative = Field(default=10.0, description="checks after take-off")


class Dem(_Section):
    """What the elevations mean."""

    vertical_reference: Literal["mean_sea_level", "ellipsoid"] = Field(
        default="mean_sea_level", description="of the heights in the DEM file"
    )
    geoid_undulation_m: float | None = Field(
        default=None,
        description="ellipsoid minus mean sea level; needed where one is turned into the other",
    )


class Output(_Section):
    """How it is written."""

    altitude: Literal["home", "mean_sea_level"] = Field(
        default="home", description="reference of the altitudes in the mission items"
    )
    language: Literal["en", "zh"] = Field(default="en", description="of the briefing")
    kmz_max_waypoints: int | None = Field(
        default=None, ge=10, le=65535,
        description="in one .kmz, as 99 for older controllers; more become S01-1.kmz, S01-2.kmz …",
    )  # fmt: skip


class LaunchSite(_Section):
    """A place to take off and land."""

    name: str = ""
    lon: Lon
    lat: Lat


class RallyPlace(_Section):
    """A place where an aircraft may land by itself when it has to return: open, and kept free."""

    name: str = ""
    lon: Lon
    lat: Lat


class KeepOut(_Section):
    """A polygon not to fly in between two heights above its ground."""

    name: str = ""
    polygon: tuple[LonLatPair, ...] = Field(min_length=3)
    floor_m: NotNegative = 0.0
    ceiling_m: Above0 = 100000.0


class PowerLine(_Section):
    """A line in the air; `points` are (lon, lat, height of the highest wire)."""

    name: str = ""
    points: tuple[tuple[Lon, Lat, float], ...] = Field(min_length=2)
    reference: Literal["mean_sea_level", "ground"] = "mean_sea_level"
    clearance_m: Above0 | None = None


class Exclusion(_Section):
    """Where there is no fence: a stretch of chainage, or a polygon."""

    kind: Literal["tunnel", "viaduct", "bridge", "other"] = "other"
    route: str = ""
    side: Literal["left", "right", "both"] = "both"
    start: str | None = None
    end: str | None = None
    polygon: tuple[LonLatPair, ...] | None = None

    @pydantic.model_validator(mode="after")
    def _one_way(self) -> Exclusion:
        stretch = self.start is not None and self.end is not None
        if stretch == (self.polygon is not None):
            raise ValueError("give start and end (as K12+345), or a polygon")
        return self


class District(_Section):
    """Who is responsible for the fence inside a polygon; the first listed counts on overlaps."""

    name: str = Field(min_length=1)
    contact: str = ""
    polygon: tuple[LonLatPair, ...] = Field(min_length=3)


class Team(_Section):
    """People with an aircraft."""

    name: str
    flight_hours_per_day: Above0 = Field(
        default=4.0, description="at the route: flying, turnarounds and moves"
    )
    districts: tuple[str, ...] = Field(
        default=(), description="the only districts it flies; none: any"
    )


class Schedule(_Section):
    """When the sorties are flown."""

    start: date | None = Field(default=None, description="first day; none: no schedule is made")
    days: int = Field(default=30, ge=1, description="calendar days")
    weather_reserve_frac: Fraction = Field(
        default=0.3, description="share of days held back for weather"
    )
    turnaround_min: NotNegative = Field(default=15.0, description="per sortie, besides flying")
    move_min: NotNegative = Field(default=30.0, description="between two launch sites on a day")
    sun_min_deg: float = Field(default=20.0, description="lowest sun to photograph by")
    sun_max_deg: float = Field(
        default=75.0, description="highest sun to photograph by (shadows help up to a point)"
    )
    utc_offset_h: Annotated[float, Field(ge=-12, le=14)] = Field(
        default=8.0, description="of the clock that hours are written in; 8 is China's"
    )


class Survey(_Section):
    """All of survey.toml."""

    aircraft: Aircraft
    camera: Camera
    capture: Capture = Capture()
    safety: Safety = Safety()
    dem: Dem = Dem()
    output: Output = Output()
    schedule: Schedule = Schedule()
    sides: tuple[Literal["left", "right"], ...] = ("left", "right")
    launch: tuple[LaunchSite, ...] = ()
    rally: tuple[RallyPlace, ...] = ()
    keep_out: tuple[KeepOut, ...] = ()
    power_line: tuple[PowerLine, ...] = ()
    exclusion: tuple[Exclusion, ...] = ()
    district: tuple[District, ...] = ()
    team: tuple[Team, ...] = ()

    @pydantic.model_validator(mode="after")
    def _districts_are_known(self) -> Survey:
        names = [district.name for district in self.district]
        if len(set(names)) < len(names):
            raise ValueError(f"two districts of one name among {', '.join(names)}")
        for team in self.team:
            for name in team.districts:
                if name not in names:
                    raise ValueError(
                        f"team {team.name} names district '{name}'; known: "
                        f"{', '.join(names) or 'none'}"
                    )
        return self


def preset_names(kind: Literal["aircraft", "cameras"]) -> list[str]:
    """Names of the presets that ship."""
    folder = resources.files(f"missions.presets.{kind}")
    return sorted(
        entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name[-5:] == ".toml"
    )


def load_preset(kind: Literal["aircraft", "cameras"], name: str, source: str) -> dict[str, Any]:
    """A preset's keys.

    Raises:
        InputError: naming the nearest and all presets, if there is none of that name.
    """
    names = preset_names(kind)
    if name not in names:
        what = "camera" if kind == "cameras" else "aircraft"
        near = difflib.get_close_matches(name, names, 1, 0.4)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise InputError(source, f"unknown {what} '{name}'", f"{hint}known: {', '.join(names)}")
    text = resources.files(f"missions.presets.{kind}").joinpath(f"{name}.toml").read_text("utf-8")
    return tomllib.loads(text)


def read_survey(
    path: str | Path | None, overrides: Mapping[str, Mapping[str, Any]] | None = None
) -> Survey:
    """Reads survey.toml; `overrides` (section to keys, from options) win over the file.

    Raises:
        InputError: naming the key, its value and what is allowed.
    """
    source = str(path) if path is not None else "options"
    data: dict[str, Any] = {}
    if path is not None:
        try:
            data = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(path, f"cannot be read ({error.strerror})") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputError(path, f"is no TOML ({error})") from error
    for section, keys in (overrides or {}).items():
        if section in ("launch", "sides"):
            data[section] = keys
        else:
            present = data.get(section, {})
            data[section] = {**_table(present), **keys}
    return survey_from(data, source)


def survey_from(data: Mapping[str, Any], source: str) -> Survey:
    """Validates a survey given as nested keys; presets are filled in.

    Raises:
        InputError: naming the key, its value and what is allowed.
    """
    filled = dict(data)
    for section, kind, default in (
        ("aircraft", "aircraft", DEFAULT_AIRCRAFT),
        ("camera", "cameras", DEFAULT_CAMERA),
    ):
        given = _table(filled.get(section, {}))
        name = str(given.get("preset", default))
        preset = load_preset(kind, name, f"{source}, {section}.preset")  # type: ignore[arg-type]
        filled[section] = {**preset, "preset": name, **given}
    try:
        return Survey.model_validate(filled)
    except pydantic.ValidationError as error:
        raise _as_input_error(error, source) from error


def _table(value: Any) -> dict[str, Any]:
    """A section; `camera = "NAME"` is short for a table with that preset."""
    if isinstance(value, str):
        return {"preset": value}
    return dict(value) if isinstance(value, Mapping) else {"preset": str(value)}


def _as_input_error(error: pydantic.ValidationError, source: str) -> InputError:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        allowed = _keys_at(first["loc"][:-1])
        near = difflib.get_close_matches(str(first["loc"][-1]), allowed, 1, 0.4)
        hint = f"did you mean '{near[0]}'? " if near else ""
        return InputError(
            source, f"unknown key '{where}'", f"{hint}known here: {', '.join(sorted(allowed))}"
        )
    if first["type"] == "missing":
        return InputError(source, f"key '{where}' is missing")
    return InputError(
        source, f"{where} = {first.get('input')!r}", first["msg"].removeprefix("Value error, ")
    )


def _keys_at(loc: tuple[int | str, ...]) -> list[str]:
    model: Any = Survey
    for part in loc:
        if isinstance(part, int):
            continue
        annotation = model.model_fields[part].annotation
        model = next(
            (
                kind
                for kind in (annotation, *getattr(annotation, "__args__", ()))
                if isinstance(kind, type) and issubclass(kind, BaseModel)
            ),
            model,
        )
    return list(model.model_fields)


def explain() -> str:
    """Every key of survey.toml with its default and meaning, as text."""
    lines: list[str] = []
    for name, field in Survey.model_fields.items():
        annotation = field.annotation
        repeated = not (isinstance(annotation, type) and issubclass(annotation, BaseModel))
        model = _model_of(annotation)
        if model is None:
            lines += [f"{name} = {_plain(field.default)}", ""]
            continue
        lines.append(f"[[{name}]]" if repeated else f"[{name}]")
        lines.append(f"# {(model.__doc__ or '').splitlines()[0]}")
        for key, inner in model.model_fields.items():
            default = (
                "(from the preset)" if inner.is_required() and not repeated else
                "(needed)" if inner.is_required() else _plain(inner.default)
            )  # fmt: skip
            text = f"{key} = {default}"
            lines.append(f"{text:<44}# {inner.description}" if inner.description else text)
        lines.append("")
    return "\n".join(lines)


def _model_of(annotation: Any) -> type[BaseModel] | None:
    for kind in (annotation, *getattr(annotation, "__args__", ())):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def _plain(value: Any) -> str:
    if value is None:
        return "(none)"
    if isinstance(value, tuple):
        return "[" + ", ".join(_plain(entry) for entry in value) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value)
