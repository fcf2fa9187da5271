"""How closely the stand-in follows recorded ArduCopter flights.

    .venv/bin/python benchmarks/stand_in_fidelity.py ../shared/sitl-reference [FOLDER...]
        [--vehicle ardupilot] [--json FILE]

Flies the recordings' mission on the stand-in (or on a real arducopter, for the spread between two
of its own runs) with the parameters and injections that each recording lists, and compares:
flight time, ground track and height along the path, photos, and the times of mode changes.
"""

from __future__ import annotations

import csv
import gzip
import json
import math
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

import click
import numpy as np
from scipy.spatial import cKDTree

from corridor import LocalFrame, LonLat
from missions.formats import read_waypoints
from missions.mission import FencePolygon, Geofence, Parameter, RallyPoint, Sortie
from sitl.flight import camera_parameters, fly_sortie
from sitl.launch import VehicleSpec, running
from sitl.scenario import Injection, Scenario

COMPLETE = {"nominal", "wind8", "rc_loss_continue"}
"""Flights without a broken-off mission: time, track, height and photos are judged. In the others
the modes and their times are; their numbers are printed all the same."""
SLOW_MODES = {"battery_low", "battery_low_rally", "gps_loss"}


def sortie_of(reference: Path, name: str, parameters: dict[str, float]) -> Sortie:
    fence_file = "fence_tight.json" if name == "fence_breach" else "fence.json"
    corners = [LonLat(i[7], i[6]) for i in json.loads((reference / fence_file).read_text())]
    rally = [
        RallyPoint(LonLat(i[7], i[6]), i[8])
        for i in json.loads((reference / "rally.json").read_text())
    ]
    return Sortie(
        name,
        read_waypoints(reference / "corridor.waypoints"),
        Geofence((FencePolygon(tuple(corners)),)),
        tuple(rally),
        tuple(Parameter(key, value, "") for key, value in parameters.items()),
    )


def read_recording(folder: Path) -> tuple[np.ndarray, np.ndarray, list[tuple[float, str]], float]:
    """Track (t, lon, lat, up), photos (lon, lat, up), modes and the time of AUTO, in seconds."""
    with gzip.open(folder / "track.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    track = np.array(
        [
            [float(r["time_boot_ms"]) / 1e3, float(r["lon_deg"]), float(r["lat_deg"]),
             float(r["alt_rel_m"])]
            for r in rows
        ]
    )  # fmt: skip
    with (folder / "photos.csv").open() as file:
        photos = np.array(
            [
                [float(r["lon_deg"]), float(r["lat_deg"]), float(r["alt_rel_m"])]
                for r in csv.DictReader(file)
            ]
        )
    summary = json.loads((folder / "summary.json").read_text())
    with (folder / "events.csv").open() as file:
        events = list(csv.DictReader(file))
    end = next(float(e["time_boot_ms"]) for e in events if e["kind"] == "DISARMED") / 1e3
    auto = end - summary["flight_time_s"]
    modes = [(float(e["time_boot_ms"]) / 1e3, e["text"]) for e in events if e["kind"] == "MODE"]
    return track, photos, modes, auto


def photo_times(folder: Path) -> np.ndarray:
    with (folder / "photos.csv").open() as file:
        return np.array([float(r["time_boot_ms"]) / 1e3 for r in csv.DictReader(file)])


def along_path(reference: np.ndarray, flown: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Horizontal distance and height difference of each reference row from the path flown.

    Rows are (time after AUTO, x, y, up). The path is sampled every decimetre; only samples within
    40 s count, so that neighbouring lanes are not mistaken for each other. Rows of the vertical
    stretches (where the horizontal place says nothing of the progress) are compared by height.
    """
    dense = []
    for a, b in pairwise(flown):
        n = max(1, int(np.hypot(*(b[1:3] - a[1:3])) / 0.1))
        dense.append(a + (b - a) * np.linspace(0, 1, n, endpoint=False)[:, None])
    path = np.vstack(dense)
    tree = cKDTree(path[:, 1:3])
    off, up = [], []
    for row in reference:
        near = tree.query_ball_point(row[1:3], 15.0)
        near = [k for k in near if abs(path[k, 0] - row[0]) < 40.0]
        if not near:
            off.append(15.0)
            continue
        flat = np.hypot(*(path[near][:, 1:3] - row[1:3]).T)
        best = flat.min()
        off.append(best)
        same = np.abs(path[near, 3] - row[3])[flat <= best + 0.3]
        up.append(same.min())
    return np.array(off), np.array(up)


@click.command()
@click.argument("reference", type=click.Path(path_type=Path))
@click.argument("names", nargs=-1)
@click.option("--vehicle", default="stand-in")
@click.option("--speedup", default=100.0)
@click.option("--keep", type=click.Path(path_type=Path), help="Folder for the flights.")
@click.option("--json", "out", type=click.Path(path_type=Path))
def main(
    reference: Path,
    names: tuple[str, ...],
    vehicle: str,
    speedup: float,
    keep: Path | None,
    out: Path | None,
) -> None:
    frame = LocalFrame(106.75, 29.62)
    rows = []
    for name in names or sorted(p.name for p in reference.iterdir() if p.is_dir()):
        track, photos, modes, auto = read_recording(reference / name)
        summary = json.loads((reference / name / "summary.json").read_text())
        parameters = {
            key: float(value) for key, value in (p.split("=") for p in summary["params_set"])
        }
        inject = []
        for entry in summary["injected"]:
            at, _, rest = entry.partition(":")
            key, _, value = rest.partition("=")
            inject.append(Injection(at_s=float(at), parameter=key, value=float(value)))
        scenario = Scenario(name=name, description="", inject=inject)
        sortie = sortie_of(reference, name, parameters)
        boot = {**camera_parameters(vehicle), **parameters, "MOT_THST_HOVER": 0.39}
        spec = VehicleSpec(vehicle, sortie.mission.home, 250.0, 0.0, min(speedup, 100.0), boot)
        with (
            tempfile.TemporaryDirectory() as temporary,
            running(spec, Path(temporary) / "v") as process,
        ):
            result = fly_sortie(process, sortie, scenario, Path(temporary), speedup=speedup)
        recording = result.recording
        if keep is not None:
            recording.write(keep / name)
        mine = recording.columns("time_boot_ms", "lon_deg", "lat_deg", "alt_rel_m")
        mine[:, 0] = mine[:, 0] / 1e3 - result.auto_ms / 1e3
        mine[:, 1:3] = frame.to_xy(mine[:, 1:3])
        theirs = track.copy()
        theirs[:, 0] -= auto
        theirs[:, 1:3] = frame.to_xy(theirs[:, 1:3])
        theirs = theirs[theirs[:, 0] > 0]
        off, up = along_path(theirs, mine)
        my_photos = np.array([(p[2], p[1], p[4]) for p in recording.photos])
        # One photo more or less where a fault turns the aircraft round shifts all later numbers:
        # each recorded photo is compared with the nearest of the same minute.
        mine_xy, theirs_xy = frame.to_xy(my_photos[:, :2]), frame.to_xy(photos[:, :2])
        my_times = np.array([p[8] for p in recording.photos]) / 1e3 - result.auto_ms / 1e3
        near = np.hypot(*(theirs_xy[:, None] - mine_xy[None]).transpose(2, 0, 1))
        near[np.abs(photo_times(reference / name)[:, None] - auto - my_times[None]) > 30] = 99.0
        gap = near.min(axis=1)
        their_modes = [(t - auto, m) for t, m in modes if m not in ("GUIDED", "STABILIZE")]
        my_modes = [
            ((t - result.auto_ms) / 1e3, m)
            for t, m in recording.modes
            if m not in ("GUIDED", "STABILIZE")
        ]
        # AUTO itself is the zero of both clocks.
        late = max(
            (abs(a[0] - b[0]) for a, b in zip(my_modes[1:], their_modes[1:], strict=False)),
            default=0.0,
        )
        row = {
            "recording": name,
            "flight_time_s": round(result.flight_time_s, 1),
            "recorded_s": summary["flight_time_s"],
            "time_error_pct": 100 * (result.flight_time_s / summary["flight_time_s"] - 1),
            "track_rms_m": float(np.sqrt(np.mean(off**2))),
            "track_max_m": float(off.max()),
            "height_rms_m": float(np.sqrt(np.mean(up**2))),
            "photos": len(my_photos),
            "recorded_photos": len(photos),
            "photo_median_m": float(np.median(gap)),
            "modes": " → ".join(m for _, m in my_modes),
            "same_modes": [m for _, m in my_modes] == [m for _, m in their_modes],
            "mode_late_s": late,
        }
        row["within"] = bool(
            (
                name not in COMPLETE
                or (
                    abs(row["time_error_pct"]) <= (5.0 if name == "wind8" else 3.0)
                    and row["track_rms_m"] <= 1.5
                    and row["height_rms_m"] <= 1.0
                    and math.isclose(row["photos"], row["recorded_photos"], rel_tol=0.01)
                    and row["photo_median_m"] <= 1.0
                )
            )
            and row["same_modes"]
            and row["mode_late_s"] <= (10.0 if name in SLOW_MODES else 3.0)
        )
        rows.append(row)
        click.echo(
            f"{name:18} {row['flight_time_s']:6.1f} s of {row['recorded_s']:6.1f}"
            f" ({row['time_error_pct']:+5.2f} %)  track {row['track_rms_m']:5.2f} m RMS"
            f" ({row['track_max_m']:.1f} max)  height {row['height_rms_m']:5.2f} m RMS "
            f" photos {row['photos']:3d}/{row['recorded_photos']:3d}"
            f" median {row['photo_median_m']:5.2f} m  {row['modes']}"
            f" ({row['mode_late_s']:.1f} s)  {'within' if row['within'] else 'OUTSIDE'}"
        )
    if out is not None:
        out.write_text(json.dumps(rows, indent=1) + "\n")
    sys.exit(0 if all(row["within"] for row in rows) else 1)


if __name__ == "__main__":
    main()
