"""Which photograph was taken where: the autopilot's shots matched to a camera's frames.

The autopilot logs each shot with its time and position; the camera numbers its files and writes
its own clock into them. Both lists can have holes (a shot that left no picture, a report lost on
the radio), so they are not paired by their place in the list: the camera's clock is set so that the
most frames meet a shot, and what then meets nothing is named.
"""

from __future__ import annotations

import datetime as dt
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from corridor import InputError, Progress, atomic_path, silent
from corridor.photo import PhotoTags, read_tags, write_tags
from corridor.shots import Mount, Shot, camera_angles, read_shots, write_shots
from corridor.values import FloatArray
from missions.link.gimbal import gimbal_angles

_ANCHORS = 12
_GIMBAL_OLD_MS = 3000
_LOG_NAMES = ("flight.tlog", "flight.bin")


@dataclass(frozen=True)
class FlightShots:
    """What an autopilot reported of a flight's photographs.

    Attributes:
        source: the log.
        shots: in order of time, each once.
        unix_s: (N,) UTC time of each in seconds, or seconds since boot where the log has no UTC.
        lost: numbers missing from the autopilot's own count: their reports were lost.
    """

    source: Path
    shots: tuple[Shot, ...]
    unix_s: FloatArray
    lost: tuple[int, ...]


@dataclass(frozen=True)
class Match:
    """Frames paired with shots.

    Attributes:
        pairs: (frame, shot) indices in order of time.
        frames_left, shots_left: what has no partner.
        offset_s: frame's clock less the shot's; None where frames were paired by count.
        residual_s: root mean square of what is left of the times' differences; None likewise.
    """

    pairs: tuple[tuple[int, int], ...]
    frames_left: tuple[int, ...]
    shots_left: tuple[int, ...]
    offset_s: float | None
    residual_s: float | None


@dataclass(frozen=True)
class GeotagResult:
    """What was tagged.

    Attributes:
        tagged: files written, in order.
        photos: the shots with their frames' names, as `photos.csv`.
        match: how frames and shots were paired.
        frames_without_shot, shots_without_frame: named.
    """

    tagged: tuple[Path, ...]
    photos: Path
    match: Match
    frames_without_shot: tuple[str, ...]
    shots_without_frame: tuple[int, ...]
    lost_reports: tuple[int, ...]

    @property
    def complete(self) -> bool:
        """Whether every frame has a shot and every shot a frame."""
        return not (self.frames_without_shot or self.shots_without_frame)

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "tagged": [str(path) for path in self.tagged],
            "photos": str(self.photos),
            "clock_offset_s": self.match.offset_s,
            "residual_s": self.match.residual_s,
            "frames_without_shot": list(self.frames_without_shot),
            "shots_without_frame": list(self.shots_without_frame),
            "lost_reports": list(self.lost_reports),
        }


def flight_shots(flight: str | Path) -> FlightShots:
    """The shots of a flight's folder, or of a `.tlog`, `.bin` or `photos.csv` itself.

    Raises:
        InputError: if there is no log, or no photograph in it.
    """
    path = Path(flight)
    if path.is_dir():
        found = [path / name for name in (*_LOG_NAMES, "photos.csv") if (path / name).is_file()]
        found = found or sorted([*path.glob("*.tlog"), *path.glob("*.[bB][iI][nN]")])
        if not found:
            raise InputError(path, "holds no flight log", "flight.tlog, flight.bin or photos.csv")
        path = found[0]
    if not path.is_file():
        raise InputError(path, "no such file")
    kind = path.suffix.lower()
    if kind == ".csv":
        shots = read_shots(path)
        times_s = np.array([shot.time_boot_ms / 1000 for shot in shots])
    elif kind in (".tlog", ".bin"):
        shots, times_s = _read_tlog(path) if kind == ".tlog" else _read_dataflash(path)
    else:
        raise InputError(path, "is no flight log", ".tlog, .bin or photos.csv")
    if not shots:
        raise InputError(
            path, "holds no photograph", "CAMERA_FEEDBACK (tlog) or CAM or TRIG (bin) messages"
        )
    order = np.argsort(times_s, kind="stable")
    kept: list[int] = []
    seen: set[tuple[int, int]] = set()
    for n in order:
        # A report goes out on every link, and a ground station may log each of them.
        key = (shots[n].index, round(float(times_s[n]) * 1000))
        if key not in seen:
            seen.add(key)
            kept.append(int(n))
    numbers = {shots[n].index for n in kept}
    lost = tuple(sorted(set(range(min(numbers), max(numbers) + 1)) - numbers))
    return FlightShots(path, tuple(shots[n] for n in kept), times_s[kept], lost)


def _messages(path: Path, kinds: list[str]) -> Iterator[Any]:
    """Messages of a log, which is closed in the end.

    Raises:
        InputError: if the file cannot be read as a log.
    """
    from pymavlink import mavutil

    if path.stat().st_size == 0:
        raise InputError(path, "is empty")
    try:
        log = mavutil.mavlink_connection(str(path), dialect="ardupilotmega")
    except (OSError, ValueError, IndexError, KeyError, struct.error) as error:
        raise InputError(path, f"cannot be read as a flight log ({error})") from error
    try:
        while True:
            message = log.recv_match(type=kinds)
            if message is None:
                return
            yield message
    finally:
        log.close()
        handle = getattr(log, "filehandle", None)
        if handle is not None:
            handle.close()


def _read_tlog(path: Path) -> tuple[list[Shot], FloatArray]:
    shots: list[Shot] = []
    times_s: list[float] = []
    boot_ms = 0
    gimbal: tuple[int, Any] | None = None
    kinds = ["CAMERA_FEEDBACK", "GLOBAL_POSITION_INT", "GIMBAL_DEVICE_ATTITUDE_STATUS"]
    for message in _messages(path, kinds):
        if message.get_type() == "GLOBAL_POSITION_INT":
            boot_ms = int(message.time_boot_ms)
            continue
        if message.get_type() == "GIMBAL_DEVICE_ATTITUDE_STATUS":
            gimbal = (boot_ms, message)
            continue
        known = gimbal is not None and boot_ms - gimbal[0] < _GIMBAL_OLD_MS
        shots.append(
            Shot(
                index=int(message.img_idx),
                lon_deg=message.lng * 1e-7,
                lat_deg=message.lat * 1e-7,
                altitude_m=float(message.alt_msl),
                height_m=float(message.alt_rel),
                yaw_deg=float(message.yaw),
                pitch_deg=float(message.pitch),
                roll_deg=float(message.roll),
                time_boot_ms=boot_ms,
                gimbal_deg=gimbal_angles(gimbal[1], float(message.yaw))
                if gimbal is not None and known
                else None,
            )
        )
        times_s.append(message.time_usec * 1e-6)
    return shots, np.array(times_s)


def _read_dataflash(path: Path) -> tuple[list[Shot], FloatArray]:
    """CAM is a photograph taken; TRIG a shutter sent for, where a pin is to answer with CAM."""
    by_kind: dict[str, list[Any]] = {"CAM": [], "TRIG": []}
    for message in _messages(path, ["CAM", "TRIG"]):
        by_kind[message.get_type()].append(message)
    shots: list[Shot] = []
    times_s: list[float] = []
    for number, message in enumerate(by_kind["CAM"] or by_kind["TRIG"], start=1):
        shots.append(
            Shot(
                index=int(getattr(message, "Img", number)),
                lon_deg=float(message.Lng),
                lat_deg=float(message.Lat),
                altitude_m=float(message.Alt),
                height_m=float(message.RelAlt),
                yaw_deg=float(message.Y),
                pitch_deg=float(message.P),
                roll_deg=float(message.R),
                time_boot_ms=int(message.TimeUS // 1000),
            )
        )
        week = int(message.GPSWeek)
        # GPS time began on 1980-01-06 and is 18 s ahead of UTC since 2017.
        gps_s = 315964800 + week * 604800 + message.GPSTime / 1000 - 18
        times_s.append(gps_s if week > 0 else message.TimeUS * 1e-6)
    return shots, np.array(times_s)


def match_frames(
    frame_s: Sequence[float | None],
    shot_s: FloatArray,
    offset_s: float | None = None,
) -> Match:
    """Pairs frames with shots by their times.

    The camera's clock may be off by any constant (hours, if it keeps local time). Every pairing of
    some frames with any shot proposes an offset; the one under which most frames meet a shot wins.

    Args:
        frame_s: each frame's own time in seconds, in the order of file names; None if unknown.
        shot_s: (N,) increasing.
        offset_s: the camera's clock less UTC, if it is known.

    Raises:
        InputError: if times are missing and the counts differ, or two offsets fit equally well.
    """
    frames, shots = len(frame_s), len(shot_s)
    times = np.array([np.nan if time is None else time for time in frame_s], dtype=np.float64)
    if np.isnan(times).any():
        if frames != shots:
            raise InputError(
                "FRAMES",
                f"{int(np.isnan(times).sum())} of {frames} have no time in their EXIF, and the "
                f"flight has {shots} shots",
                "as many frames as shots, or frames with DateTimeOriginal",
            )
        pairs = tuple((n, n) for n in range(frames))
        return Match(pairs, (), (), None, None)
    order = np.argsort(times, kind="stable")
    times = times[order]
    tolerance_s = _tolerance(shot_s)
    if offset_s is None:
        offset_s = _best_offset(times, shot_s, tolerance_s)
    for _ in range(3):
        met, away_s = _meet(times - offset_s, shot_s, tolerance_s)
        if len(met):
            offset_s += float(np.median(away_s))
    met, away_s = _meet(times - offset_s, shot_s, tolerance_s)
    pairs = tuple((int(order[i]), int(j)) for i, j in met)
    frames_met, shots_met = {i for i, _ in pairs}, {j for _, j in pairs}
    return Match(
        pairs,
        tuple(n for n in range(frames) if n not in frames_met),
        tuple(n for n in range(shots) if n not in shots_met),
        offset_s,
        float(np.sqrt(np.mean(away_s**2))) if len(met) else None,
    )


def _tolerance(shot_s: FloatArray) -> float:
    """Just under half of the shortest usual pause, so that no frame can meet two shots."""
    pauses = np.diff(shot_s)
    pauses = pauses[pauses > 0.05]
    return float(0.49 * np.percentile(pauses, 5)) if len(pauses) else 1.0


def _meet(
    times: FloatArray, shot_s: FloatArray, tolerance_s: float
) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """Pairs (K, 2) of frame and shot within the tolerance, each used once, and what is left."""
    after = np.clip(np.searchsorted(shot_s, times), 1, max(len(shot_s) - 1, 1))
    if len(shot_s) == 1:
        near = np.zeros(len(times), dtype=np.int64)
    else:
        nearer_before = times - shot_s[after - 1] < shot_s[after] - times
        near = np.where(nearer_before, after - 1, after)
    away = times - shot_s[near]
    # Of several frames at one shot the nearest has it.
    by_distance = np.lexsort((np.abs(away), near))
    first = np.ones(len(near), dtype=bool)
    first[1:] = near[by_distance][1:] != near[by_distance][:-1]
    chosen = np.zeros(len(near), dtype=bool)
    chosen[by_distance[first]] = True
    good = np.flatnonzero(chosen & (np.abs(away) <= tolerance_s))
    return np.column_stack([good, near[good]]), away[good]


def _best_offset(times: FloatArray, shot_s: FloatArray, tolerance_s: float) -> float:
    anchors = np.unique(np.linspace(0, len(times) - 1, min(_ANCHORS, len(times))).astype(int))
    offsets = np.unique(np.round((times[anchors, None] - shot_s[None, :]).ravel(), 2))
    scores = []
    for offset in offsets:
        met, away = _meet(times - offset, shot_s, tolerance_s)
        if len(met):  # the proposing pair need not be a good one
            met, away = _meet(times - offset - np.median(away), shot_s, tolerance_s)
        spread = float(np.std(away)) if len(met) else np.inf
        scores.append((len(met), -spread))
    count = np.array([score[0] for score in scores])
    spread_s = -np.array([score[1] for score in scores])
    # Seconds cut off by EXIF spread the times of a right pairing by 0.3 s.
    rank = count - spread_s / max(tolerance_s, 1e-6)
    best = int(np.argmax(rank))
    rivals = (np.abs(offsets - offsets[best]) > 2 * tolerance_s) & (rank > rank[best] - 0.25)
    if rivals.any() and count[best] < max(len(times), len(shot_s)):
        other = float(offsets[np.flatnonzero(rivals)[0]])
        raise InputError(
            "FRAMES",
            f"{len(times)} frames fit the {len(shot_s)} shots equally well with the camera's clock "
            f"{offsets[best]:.1f} s and {other:.1f} s ahead",
            "state it with --clock-offset",
        )
    return float(offsets[best])


def geotag(
    flight: str | Path,
    frames: Sequence[Path],
    out: Path | None = None,
    mount: Mount = "stabilised",
    mount_pitch_deg: float = -90.0,
    offset_s: float | None = None,
    progress: Progress = silent,
) -> GeotagResult:
    """Writes positions into frames' EXIF and XMP; compressed pixels are copied byte for byte.

    Args:
        flight: the flight's folder or log.
        frames: the camera's files; their order is that of their names.
        out: folder for tagged copies; None tags the files themselves.
        mount, mount_pitch_deg: see `corridor.shots.camera_angles`.
        offset_s: the camera's clock less UTC, if it is known.
        progress: told of each frame.

    Raises:
        InputError: if nothing can be paired, or a frame cannot be read.
    """
    log = flight_shots(flight)
    ordered = sorted(frames, key=lambda path: path.name)
    match = match_frames([_time_of(path) for path in ordered], log.unix_s, offset_s)
    if not match.pairs:
        raise InputError(log.source, f"none of {len(ordered)} frames fits its shots")
    tagged, named = [], []
    for n, (i, j) in enumerate(match.pairs):
        progress(n, len(match.pairs), "tagging")
        shot = log.shots[j]
        angles = camera_angles(shot, mount, mount_pitch_deg)
        target = ordered[i] if out is None else out / ordered[i].name
        if out is not None and not _is_jpeg(ordered[i]):
            with atomic_path(target) as partial:
                partial.write_bytes(ordered[i].read_bytes())
        tagged.append(write_tags(ordered[i], _tags_of(shot, angles), target))
        named.append(replace(shot, file=ordered[i].name, gimbal_deg=angles))
    photos = (out or tagged[0].parent) / "photos.csv"
    write_shots(photos, named)
    return GeotagResult(
        tuple(tagged),
        photos,
        match,
        tuple(ordered[i].name for i in match.frames_left),
        tuple(log.shots[j].index for j in match.shots_left),
        log.lost,
    )


def _is_jpeg(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\xff\xd8"


def _time_of(path: Path) -> float | None:
    taken_at = read_tags(path).taken_at
    if taken_at is None:
        return None
    return (taken_at if taken_at.tzinfo else taken_at.replace(tzinfo=dt.UTC)).timestamp()


def _tags_of(shot: Shot, angles: tuple[float, float, float]) -> PhotoTags:
    return PhotoTags(
        lon_deg=shot.lon_deg,
        lat_deg=shot.lat_deg,
        altitude_m=shot.altitude_m,
        height_m=shot.height_m,
        yaw_deg=angles[0],
        pitch_deg=angles[1],
        roll_deg=angles[2],
        flight_yaw_deg=shot.yaw_deg,
        flight_pitch_deg=shot.pitch_deg,
        flight_roll_deg=shot.roll_deg,
    )
