"""What a flight looked like: everything worth keeping of the messages, as they come."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from corridor import write_text
from corridor.shots import GIMBAL_COLUMNS
from missions.link.gimbal import gimbal_angles

MODE_NAMES = {
    0: "STABILIZE", 1: "ACRO", 2: "ALT_HOLD", 3: "AUTO", 4: "GUIDED", 5: "LOITER", 6: "RTL",
    7: "CIRCLE", 9: "LAND", 16: "POSHOLD", 17: "BRAKE", 18: "THROW", 21: "SMART_RTL",
}  # fmt: skip

TRACK_COLUMNS = (
    "time_boot_ms", "lat_deg", "lon_deg", "alt_msl_m", "alt_rel_m", "vx_m_s", "vy_m_s", "vz_m_s",
    "hdg_deg", "mode", "mission_seq", "batt_v", "batt_a", "batt_pct",
)  # fmt: skip
PHOTO_COLUMNS = (
    "img_idx", "lat_deg", "lon_deg", "alt_msl_m", "alt_rel_m", "roll_deg", "pitch_deg", "yaw_deg",
    "time_boot_ms",
)  # fmt: skip
_GIMBAL_OLD_MS = 3000
"""A report of the gimbal older than this says nothing about a photograph."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, at a time of the vehicle's own clock."""

    time_boot_ms: int
    kind: str
    text: str


@dataclass
class Recording:
    """A flight as recorded.

    Attributes:
        track: one row a GLOBAL_POSITION_INT, columns as in `TRACK_COLUMNS`.
        photos: one row a CAMERA_FEEDBACK, columns as in `PHOTO_COLUMNS`; the time is that of the
            position before it. Where the vehicle reports a gimbal, yaw from true north, pitch and
            roll of the camera follow (`GIMBAL_COLUMNS`), empty where they were not known.
        events: texts, mode changes, items reached, injections.
    """

    track: list[tuple[Any, ...]] = field(default_factory=list)
    photos: list[tuple[Any, ...]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    used_mah: float = math.nan
    fence_breaches: int = 0

    @property
    def modes(self) -> list[tuple[int, str]]:
        """(time, name) of each mode change."""
        return [(e.time_boot_ms, e.text) for e in self.events if e.kind == "MODE"]

    @property
    def texts(self) -> list[tuple[int, str]]:
        """(time, text) of each STATUSTEXT."""
        return [(e.time_boot_ms, e.text) for e in self.events if e.kind == "TEXT"]

    def time_of(self, kind: str, text: str = "") -> int | None:
        """When something first happened, in ms; None if it did not."""
        for event in self.events:
            if event.kind == kind and text in event.text:
                return event.time_boot_ms
        return None

    def columns(self, *names: str) -> npt.NDArray[np.float64]:
        """Columns of the track as (N, len(names)) numbers."""
        indices = [TRACK_COLUMNS.index(name) for name in names]
        rows = [[row[i] for i in indices] for row in self.track]
        return np.array(rows, dtype=np.float64).reshape(-1, len(names))

    def write(self, folder: Path) -> None:
        """Writes track.csv, photos.csv and events.csv."""
        _write_csv(folder / "track.csv", TRACK_COLUMNS, self.track)
        turned = any(row[len(PHOTO_COLUMNS) :] not in ((), ("", "", "")) for row in self.photos)
        columns = (*PHOTO_COLUMNS, *GIMBAL_COLUMNS) if turned else PHOTO_COLUMNS
        _write_csv(folder / "photos.csv", columns, [row[: len(columns)] for row in self.photos])
        rows = [(e.time_boot_ms, e.kind, e.text) for e in self.events]
        _write_csv(folder / "events.csv", ("time_boot_ms", "kind", "text"), rows)


def _write_csv(path: Path, header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text(path, text.getvalue())


class Recorder:
    """Fills a `Recording` from the link's messages; give it to `Link.observers`.

    Attributes:
        time_boot_ms: the vehicle's clock as last heard.
        ekf_flags: as last reported; bit 16 says that the position is known.
    """

    def __init__(self) -> None:
        self.recording = Recording()
        self.time_boot_ms = 0
        self.ekf_flags = 0
        self.mode = ""
        self.armed = False
        self.landed_state_changes = 0
        self.mission_seq = 0
        self.system = 0
        self.position: tuple[float, float, float] | None = None
        self._battery: tuple[float, float, int] = (0.0, 0.0, 0)
        self._recording_track = False
        self._gimbal: tuple[int, Any] | None = None

    def begin_track(self) -> None:
        """Positions and photos are kept from now on."""
        self._recording_track = True

    def note(self, kind: str, text: str = "") -> None:
        """Adds an event at the vehicle's present time."""
        self.recording.events.append(Event(self.time_boot_ms, kind, text))

    def __call__(self, message: Any) -> None:
        """Takes one message."""
        if self.system and message.get_srcSystem() != self.system:
            return
        handler = getattr(self, f"_on_{message.get_type().lower()}", None)
        if handler is not None:
            handler(message)

    def _on_global_position_int(self, m: Any) -> None:
        self.time_boot_ms = int(m.time_boot_ms)
        lat, lon = m.lat / 1e7, m.lon / 1e7
        self.position = (lat, lon, m.alt / 1000.0)
        if not self._recording_track:
            return
        heading = m.hdg / 100.0
        volts, amperes, percent = self._battery
        self.recording.track.append(
            (
                self.time_boot_ms,
                lat,
                lon,
                m.alt / 1000.0,
                m.relative_alt / 1000.0,
                m.vx / 100.0,
                m.vy / 100.0,
                m.vz / 100.0,
                heading,
                self.mode,
                self.mission_seq,
                volts,
                amperes,
                percent,
            )
        )

    def _on_system_time(self, m: Any) -> None:
        self.time_boot_ms = max(self.time_boot_ms, int(m.time_boot_ms))

    def _on_camera_feedback(self, m: Any) -> None:
        if not self._recording_track:
            return
        self.recording.photos.append(
            (
                m.img_idx,
                m.lat / 1e7,
                m.lng / 1e7,
                m.alt_msl,
                m.alt_rel,
                m.roll,
                m.pitch,
                m.yaw % 360.0,
                self.time_boot_ms,
                *self._camera_angles(m.yaw),
            )
        )

    def _camera_angles(self, heading_deg: float) -> tuple[Any, ...]:
        if self._gimbal is None or self.time_boot_ms - self._gimbal[0] > _GIMBAL_OLD_MS:
            return "", "", ""
        angles = gimbal_angles(self._gimbal[1], heading_deg)
        return ("", "", "") if angles is None else tuple(round(angle, 4) for angle in angles)

    def _on_gimbal_device_attitude_status(self, m: Any) -> None:
        self._gimbal = (self.time_boot_ms, m)

    def _on_heartbeat(self, m: Any) -> None:
        if m.get_srcComponent() != 1 or m.autopilot == 8:
            return
        mode = MODE_NAMES.get(m.custom_mode, f"MODE{m.custom_mode}")
        armed = bool(m.base_mode & 128)
        if mode != self.mode:
            self.mode = mode
            self.note("MODE", mode)
        if armed != self.armed:
            self.armed = armed
            self.note("ARMED" if armed else "DISARMED")

    def _on_statustext(self, m: Any) -> None:
        self.note("TEXT", m.text)

    def _on_mission_item_reached(self, m: Any) -> None:
        self.note("REACHED", str(m.seq))

    def _on_mission_current(self, m: Any) -> None:
        self.mission_seq = int(m.seq)

    def _on_ekf_status_report(self, m: Any) -> None:
        self.ekf_flags = int(m.flags)

    def _on_sys_status(self, m: Any) -> None:
        amperes = m.current_battery / 100.0 if m.current_battery >= 0 else 0.0
        self._battery = (m.voltage_battery / 1000.0, amperes, int(m.battery_remaining))

    def _on_battery_status(self, m: Any) -> None:
        if m.id == 0 and m.current_consumed >= 0:
            self.recording.used_mah = float(m.current_consumed)

    def _on_fence_status(self, m: Any) -> None:
        self.recording.fence_breaches = max(self.recording.fence_breaches, int(m.breach_count))
