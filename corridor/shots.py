"""A flight's `photos.csv`: one row a photograph, as the autopilot reported it."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyproj

from corridor.camera import Pose
from corridor.errors import InputError
from corridor.files import write_text

COLUMNS = (
    "img_idx", "lat_deg", "lon_deg", "alt_msl_m", "alt_rel_m", "roll_deg", "pitch_deg", "yaw_deg",
    "time_boot_ms",
)  # fmt: skip
GIMBAL_COLUMNS = ("gimbal_yaw_deg", "gimbal_pitch_deg", "gimbal_roll_deg")

Mount = Literal["stabilised", "fixed"]


@dataclass(frozen=True)
class Shot:
    """One photograph.

    Attributes:
        index: the autopilot's count, from 1.
        lon_deg, lat_deg: WGS 84.
        altitude_m: above mean sea level.
        height_m: above home.
        yaw_deg, pitch_deg, roll_deg: of the aircraft, yaw from true north.
        time_boot_ms: the vehicle's clock.
        gimbal_deg: yaw (from true north), pitch and roll of the camera, if they are known.
        file: the picture's name, if it is known.
    """

    index: int
    lon_deg: float
    lat_deg: float
    altitude_m: float
    height_m: float
    yaw_deg: float
    pitch_deg: float
    roll_deg: float
    time_boot_ms: int
    gimbal_deg: tuple[float, float, float] | None = None
    file: str = ""

    def __post_init__(self) -> None:
        if not (-180 <= self.lon_deg <= 180 and -90 <= self.lat_deg <= 90):
            raise ValueError(f"not a longitude and latitude: {self.lon_deg}, {self.lat_deg}")


def camera_angles(
    shot: Shot, mount: Mount = "stabilised", mount_pitch_deg: float = -90.0
) -> tuple[float, float, float]:
    """Yaw from true north, pitch and roll of the camera.

    The gimbal's own angles if the shot has them. Otherwise a `stabilised` mount keeps its pitch and
    no roll and turns with the aircraft; a `fixed` one is bolted to it.
    """
    if shot.gimbal_deg is not None:
        return shot.gimbal_deg
    if mount == "stabilised":
        return shot.yaw_deg, mount_pitch_deg, 0.0
    vehicle_deg = (shot.yaw_deg, shot.pitch_deg, shot.roll_deg)
    pose = Pose.on_vehicle([0.0, 0.0, 0.0], *vehicle_deg, mount_pitch_deg)
    return pose.yaw_deg, pose.pitch_deg, pose.roll_deg


def turned_to_grid(crs: pyproj.CRS, lon_deg: float, lat_deg: float) -> float:
    """Degrees clockwise from the grid's north to true north at a place."""
    forward = pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    x0, y0 = forward.transform(lon_deg, lat_deg)
    x1, y1 = forward.transform(lon_deg, lat_deg + 1e-4)
    return math.degrees(math.atan2(x1 - x0, y1 - y0))


def poses_of(
    shots: Sequence[Shot],
    crs: pyproj.CRS,
    mount: Mount = "stabilised",
    mount_pitch_deg: float = -90.0,
) -> list[Pose]:
    """The camera's pose at each shot in a projected CRS in metres, z above mean sea level."""
    forward = pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    poses = []
    for shot in shots:
        x_m, y_m = forward.transform(shot.lon_deg, shot.lat_deg)
        yaw_deg, pitch_deg, roll_deg = camera_angles(shot, mount, mount_pitch_deg)
        yaw_deg += turned_to_grid(crs, shot.lon_deg, shot.lat_deg)
        poses.append(Pose(x_m, y_m, shot.altitude_m, yaw_deg, pitch_deg, roll_deg))
    return poses


def read_shots(path: str | Path) -> list[Shot]:
    """The rows of a `photos.csv`.

    Raises:
        InputError: naming the column, or the row and its value, that is wrong.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file)
            columns = table.fieldnames or []
            rows = list(table)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(path, f"cannot be read as a table ({error})") from error
    needed = [name for name in COLUMNS if name not in ("img_idx", "alt_rel_m", "time_boot_ms")]
    missing = [name for name in needed if name not in columns]
    if missing:
        raise InputError(path, f"has no column '{missing[0]}'", f"columns {', '.join(COLUMNS)}")
    return [_shot_of(path, number, row) for number, row in enumerate(rows, start=1)]


def _shot_of(path: str | Path, number: int, row: dict[str, str]) -> Shot:
    def value(name: str, default: float | None = None) -> float:
        text = row.get(name)
        if not text and default is not None:
            return default
        try:
            result = float(text or "")
        except ValueError as error:
            raise InputError(path, f"row {number}: {name} is '{text}'", "a number") from error
        if not math.isfinite(result):
            raise InputError(path, f"row {number}: {name} is '{text}'", "a finite number")
        return result

    gimbal = None
    if all(row.get(name) for name in GIMBAL_COLUMNS):
        yaw_deg, pitch_deg, roll_deg = (value(name) for name in GIMBAL_COLUMNS)
        gimbal = (yaw_deg, pitch_deg, roll_deg)
    try:
        return Shot(
            index=int(value("img_idx", number)),
            lon_deg=value("lon_deg"),
            lat_deg=value("lat_deg"),
            altitude_m=value("alt_msl_m"),
            height_m=value("alt_rel_m", 0.0),
            yaw_deg=value("yaw_deg"),
            pitch_deg=value("pitch_deg"),
            roll_deg=value("roll_deg"),
            time_boot_ms=int(value("time_boot_ms", 0.0)),
            gimbal_deg=gimbal,
            file=(row.get("file") or "").strip(),
        )
    except ValueError as error:
        raise InputError(path, f"row {number}: {error}") from error


def write_shots(path: str | Path, shots: Sequence[Shot]) -> None:
    """Writes a `photos.csv`, with the gimbal's angles and file names where they are known."""
    out = io.StringIO()
    names = [*COLUMNS, *GIMBAL_COLUMNS, "file"]
    table = csv.writer(out, lineterminator="\n")
    table.writerow(names)
    for shot in shots:
        gimbal = ("", "", "") if shot.gimbal_deg is None else shot.gimbal_deg
        table.writerow(
            [
                shot.index, f"{shot.lat_deg:.9f}", f"{shot.lon_deg:.9f}", f"{shot.altitude_m:.4f}",
                f"{shot.height_m:.4f}", f"{shot.roll_deg:.6f}", f"{shot.pitch_deg:.6f}",
                f"{shot.yaw_deg:.6f}", shot.time_boot_ms,
                *(f"{angle:.6f}" if angle != "" else "" for angle in gimbal), shot.file,
            ]
        )  # fmt: skip
    write_text(path, out.getvalue())
