"""Single orthophotos of frames by orthority, run as a process of its own (optional extra).

A second opinion on our own projection, frame by frame: orthority (github.com/leftfield-geospatial/
orthority) reads the same camera and poses from files that are written here.
"""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from analysis.mapping.frames import Frame
from corridor import InputError, Progress, silent
from corridor.camera import Pose


def find_orthority() -> str:
    """The `oty` program.

    Raises:
        InputError: if it is not installed.
    """
    beside = Path(sys.executable).with_name("oty")
    program = str(beside) if beside.is_file() else shutil.which("oty")
    if program is None:
        raise InputError(
            "--engine orthority", "is not installed", "pip install 'fencewalk[orthority]'"
        )
    return program


def rectify_frames(
    frames: Sequence[Frame],
    crs_wkt: str,
    dem: Path,
    out: Path,
    gsd_m: float | None = None,
    progress: Progress = silent,
) -> list[Path]:
    """Writes one orthophoto a frame into folder `out`.

    Raises:
        InputError: if orthority is not installed, or refuses.
    """
    program = find_orthority()
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        interior, exterior = folder / "interior.yaml", folder / "exterior.geojson"
        interior.write_text(json.dumps(_interior(frames)), encoding="utf-8")
        exterior.write_text(json.dumps(_exterior(frames, crs_wkt)), encoding="utf-8")
        (folder / "crs.wkt").write_text(crs_wkt, encoding="utf-8")
        command = [
            program, "frame", "--dem", str(dem), "--int-param", str(interior),
            "--ext-param", str(exterior), "--crs", str(folder / "crs.wkt"), "--out-dir", str(out),
            "--overwrite", *(["--res", str(gsd_m)] if gsd_m else []),
            *(str(frame.path) for frame in frames),
        ]  # fmt: skip
        progress(0, len(frames), "orthority")
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise InputError("--engine orthority", f"failed: {said[-1] if said else 'without a word'}")
    return [out / f"{frame.path.stem}_ORTHO.tif" for frame in frames]


def _interior(frames: Sequence[Frame]) -> dict[str, dict[str, object]]:
    out = {}
    for frame in frames:
        camera = frame.camera
        size = max(camera.width_px, camera.height_px)
        cx_px, cy_px = camera.centre_px
        # Focal length and centre in the longer side of the picture, as in OpenSfM.
        out[_name(frame)] = {
            "type": "brown",
            "im_size": [camera.width_px, camera.height_px],
            "focal_len": [camera.focal_x_px / size, camera.fy_px / size],
            "cx": (cx_px - (camera.width_px - 1) / 2) / size,
            "cy": (cy_px - (camera.height_px - 1) / 2) / size,
            **{term: getattr(camera, term) for term in ("k1", "k2", "p1", "p2", "k3")},
        }
    return out


def _exterior(frames: Sequence[Frame], crs_wkt: str) -> dict[str, object]:
    features = [
        {
            "type": "Feature",
            "properties": {
                "filename": frame.name,
                "camera": _name(frame),
                "opk": list(omega_phi_kappa(frame.pose)),
                "xyz": [frame.pose.x_m, frame.pose.y_m, frame.pose.z_m],
            },
            "geometry": {"type": "Point", "coordinates": [0.0, 0.0, 0.0]},
        }
        for frame in frames
    ]
    return {"type": "FeatureCollection", "world_crs": crs_wkt, "features": features}


def _name(frame: Frame) -> str:
    return frame.path.stem


def omega_phi_kappa(pose: Pose) -> tuple[float, float, float]:
    """Photogrammetry's angles in radians: R = Rx(omega) · Ry(phi) · Rz(kappa), camera to world.

    Its camera looks along -z with y up the picture.
    """
    matrix = (np.diag([1.0, -1.0, -1.0]) @ pose.rotation).T
    omega = math.atan2(-matrix[1, 2], matrix[2, 2])
    phi = math.asin(max(-1.0, min(1.0, float(matrix[0, 2]))))
    kappa = math.atan2(-matrix[0, 1], matrix[0, 0])
    return omega, phi, kappa
