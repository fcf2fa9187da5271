"""Where each frame was taken from: OpenSfM reconstructions, photos.csv, EXIF and XMP."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import pyproj

from analysis.mapping.frames import Frame, Skipped, picture_size
from corridor import InputError
from corridor.camera import Camera, Pose
from corridor.photo import PhotoTags, read_tags
from corridor.shots import poses_of, read_shots, turned_to_grid
from corridor.values import FloatArray


@dataclass(frozen=True)
class PoseSpec:
    """How poses are to be read.

    Attributes:
        source: an OpenSfM `reconstruction.json`, a `photos.csv`, or None for EXIF and XMP.
        camera: takes the place of what the pose file or the frames say of the lens.
        mount: how `photos.csv` without gimbal angles is meant: `stabilised` (the gimbal keeps
            `mount_pitch_deg` and no roll, yaw is the aircraft's) or `fixed` (bolted to it).
        mount_pitch_deg: -90 looks straight down.
        altitude_offset_m: added to every altitude, to bring it to the surface model's zero (an
            ellipsoidal surface model needs the geoid's height added to altitudes above the sea).
        axes: the axes of an OpenSfM reconstruction: `grid`, those of the map's CRS shifted to
            the reference (what OpenDroneMap writes), or `topocentric`, true east and north.
    """

    source: Path | None = None
    camera: Camera | None = None
    mount: Literal["stabilised", "fixed"] = "stabilised"
    mount_pitch_deg: float = -90.0
    altitude_offset_m: float = 0.0
    axes: Literal["grid", "topocentric"] = "grid"


def read_frames(
    paths: Sequence[Path], crs: pyproj.CRS, spec: PoseSpec
) -> tuple[list[Frame], list[Skipped]]:
    """Frames with poses in a projected CRS in metres, and those that cannot be used, with why.

    Raises:
        InputError: if the pose file cannot be used, the camera does not match the frames, or no
            frame has a pose.
    """
    if not paths:
        raise InputError("FRAMES", "no frames given", "JPEG or TIFF files")
    sizes: dict[Path, tuple[int, int]] = {}
    skipped: list[Skipped] = []
    for path in paths:
        try:
            sizes[path] = picture_size(path)
        except InputError as error:
            skipped.append(Skipped(path, error.problem))
    if not sizes:
        raise InputError(paths[0], f"none of {len(paths)} frames can be read: {skipped[0].reason}")
    suffix = "" if spec.source is None else spec.source.suffix.lower()
    if spec.source is None:
        frames, unposed = _from_tags(sizes, crs, spec)
    elif suffix == ".json":
        frames, unposed = _from_reconstruction(sizes, crs, spec, spec.source)
    elif suffix == ".csv":
        frames, unposed = _from_photos_csv(sizes, crs, spec, spec.source)
    else:
        raise InputError(spec.source, "poses of an unknown kind", "reconstruction.json, photos.csv")
    if not frames:
        raise InputError(
            spec.source or "FRAMES",
            f"none of {len(sizes)} frames has a usable position ({unposed[0].reason})",
            "give --poses reconstruction.json or photos.csv, or geotag the frames first",
        )
    return frames, skipped + unposed


def read_camera(path: Path) -> Camera:
    """A camera from JSON with the fields of `Camera` (as the simulated camera writes it).

    Raises:
        InputError: naming what is missing, misspelt or out of range.
    """
    values = _read_json(path)
    if not isinstance(values, dict):
        raise InputError(path, "holds no camera", "an object with width_px, height_px, focal_x_px")
    values = {key: value for key, value in values.items() if key != "version"}
    known = set(Camera.__dataclass_fields__)
    unknown = sorted(set(values) - known)
    if unknown:
        raise InputError(path, f"unknown key '{unknown[0]}'", f"one of {', '.join(sorted(known))}")
    try:
        return Camera(**values)
    except (TypeError, ValueError) as error:
        raise InputError(path, f"is no camera ({error})") from error


def _to_grid(crs: pyproj.CRS) -> pyproj.Transformer:
    return pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True)


def _fitted(camera: Camera, size: tuple[int, int], path: Path, source: Path | str) -> Camera:
    if size == (camera.width_px, camera.height_px):
        return camera
    try:
        return camera.resized(*size)
    except ValueError as error:
        raise InputError(
            source,
            f"its camera takes {camera.width_px} × {camera.height_px} pixels, and {path.name} has "
            f"{size[0]} × {size[1]}",
            "the camera that took the frames, or frames of its proportions",
        ) from error


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise InputError(path, f"is no JSON ({error})") from error


def _from_reconstruction(
    sizes: Mapping[Path, tuple[int, int]], crs: pyproj.CRS, spec: PoseSpec, source: Path
) -> tuple[list[Frame], list[Skipped]]:
    models = _read_json(source)
    try:
        model = max(models, key=lambda one: len(one["shots"]))
        shots = {_stem(name): shot for name, shot in model["shots"].items()}
        lla = model["reference_lla"]
        reference = (float(lla["longitude"]), float(lla["latitude"]), float(lla["altitude"]))
        cameras = {
            name: _opensfm_camera(name, values, source) for name, values in model["cameras"].items()
        }
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise InputError(
            source, f"is no OpenSfM reconstruction ({type(error).__name__}: {error})"
        ) from error
    frames, skipped = [], []
    for path, size in sizes.items():
        shot = shots.get(_stem(path.name))
        if shot is None:
            skipped.append(Skipped(path, f"has no pose in {source.name}"))
            continue
        try:
            turn, _ = cv2.Rodrigues(np.array(shot["rotation"], dtype=np.float64))
            centre = -turn.T @ np.array(shot["translation"], dtype=np.float64)
            camera = spec.camera or cameras[shot["camera"]]
            pose = _opensfm_pose(centre, turn, reference, crs, spec)
        except (KeyError, TypeError, ValueError, cv2.error) as error:
            raise InputError(source, f"shot {path.name} is incomplete ({error})") from error
        frames.append(Frame(path, _fitted(camera, size, path, source), pose))
    return frames, skipped


def _stem(name: str) -> str:
    # OpenSfM names shots by file, orthority's samples by the name without its ending.
    return Path(name).stem.lower()


def _opensfm_camera(name: str, values: Mapping[str, Any], source: Path) -> Camera:
    """OpenSfM counts in the longer side of the picture, from the picture's middle."""
    kind = values["projection_type"]
    if kind not in ("brown", "perspective", "simple_radial", "radial"):
        raise InputError(
            source, f"camera '{name}' is of kind '{kind}'", "brown, perspective, radial"
        )
    width, height = int(values["width"]), int(values["height"])
    size = max(width, height)
    focal_x = values.get("focal_x", values.get("focal"))
    return Camera(
        width,
        height,
        float(focal_x) * size,
        float(values.get("focal_y", focal_x)) * size,
        float(values.get("c_x", 0.0)) * size + (width - 1) / 2,
        float(values.get("c_y", 0.0)) * size + (height - 1) / 2,
        k1=float(values.get("k1", 0.0)),
        k2=float(values.get("k2", 0.0)),
        p1=float(values.get("p1", 0.0)),
        p2=float(values.get("p2", 0.0)),
        k3=float(values.get("k3", 0.0)),
        name=name,
    )


def _opensfm_pose(
    centre: FloatArray,
    turn: FloatArray,
    reference: tuple[float, float, float],
    crs: pyproj.CRS,
    spec: PoseSpec,
) -> Pose:
    lon_deg, lat_deg, altitude_m = reference
    up = np.array([0.0, 0.0, spec.altitude_offset_m])
    if spec.axes == "grid":
        x_m, y_m = _to_grid(crs).transform(lon_deg, lat_deg)
        return Pose.of_rotation(centre + np.array([x_m, y_m, altitude_m]) + up, turn)
    to_lonlat = pyproj.Transformer.from_pipeline(
        f"+proj=pipeline +step +inv +proj=topocentric +ellps=WGS84 +lon_0={lon_deg} "
        f"+lat_0={lat_deg} +h_0={altitude_m} +step +inv +proj=cart +ellps=WGS84 "
        "+step +proj=unitconvert +xy_in=rad +xy_out=deg"
    )
    lon, lat, height_m = to_lonlat.transform(centre[0], centre[1], centre[2])
    x_m, y_m = _to_grid(crs).transform(lon, lat)
    angle = math.radians(turned_to_grid(crs, lon_deg, lat_deg))
    true_to_grid = np.array(
        [
            [math.cos(angle), math.sin(angle), 0.0],
            [-math.sin(angle), math.cos(angle), 0.0],
            [0.0, 0.0, 1.0],
        ]
    )
    return Pose.of_rotation(np.array([x_m, y_m, height_m]) + up, turn @ true_to_grid.T)


def _from_photos_csv(
    sizes: Mapping[Path, tuple[int, int]], crs: pyproj.CRS, spec: PoseSpec, source: Path
) -> tuple[list[Frame], list[Skipped]]:
    shots = read_shots(source)
    poses = poses_of(shots, crs, spec.mount, spec.mount_pitch_deg)
    named = {_stem(shot.file): pose for shot, pose in zip(shots, poses, strict=True) if shot.file}
    if not named:
        if len(poses) != len(sizes):
            raise InputError(
                source,
                f"has {len(poses)} photos without file names, and there are {len(sizes)} frames",
                "run fencewalk geotag first: it finds which shot is missing",
            )
        ordered = sorted(sizes, key=lambda path: path.name)
        named = {_stem(path.name): pose for path, pose in zip(ordered, poses, strict=True)}
    frames, skipped = [], []
    for path, size in sizes.items():
        pose = named.get(_stem(path.name))
        if pose is None:
            skipped.append(Skipped(path, f"is not in {source.name}"))
            continue
        camera = spec.camera or _tagged_camera(path, size)
        if camera is None:
            raise InputError(
                path, "does not say what lens took it", "give --camera with a camera.json"
            )
        raised = replace(pose, z_m=pose.z_m + spec.altitude_offset_m)
        frames.append(Frame(path, _fitted(camera, size, path, "--camera"), raised))
    return frames, skipped


def _from_tags(
    sizes: Mapping[Path, tuple[int, int]], crs: pyproj.CRS, spec: PoseSpec
) -> tuple[list[Frame], list[Skipped]]:
    frames, skipped = [], []
    forward = _to_grid(crs)
    for path, size in sizes.items():
        tags = read_tags(path, *size)
        if tags.lon_deg is None or tags.lat_deg is None:
            skipped.append(Skipped(path, "has no position in its EXIF"))
            continue
        if tags.altitude_m is None:
            skipped.append(Skipped(path, "has a position without altitude in its EXIF"))
            continue
        if tags.yaw_deg is None or tags.pitch_deg is None:
            skipped.append(Skipped(path, "has no gimbal angles in its XMP"))
            continue
        camera = spec.camera or _camera_of_tags(tags, size)
        if camera is None:
            skipped.append(Skipped(path, "does not say its focal length (give --camera)"))
            continue
        x_m, y_m = forward.transform(tags.lon_deg, tags.lat_deg)
        pose = _tagged_pose(tags, x_m, y_m, crs, spec)
        frames.append(Frame(path, _fitted(camera, size, path, "--camera"), pose))
    return frames, skipped


def _tagged_pose(tags: PhotoTags, x_m: float, y_m: float, crs: pyproj.CRS, spec: PoseSpec) -> Pose:
    if tags.lon_deg is None or tags.lat_deg is None or tags.altitude_m is None:
        raise ValueError("a pose needs a position")
    turned_deg = turned_to_grid(crs, tags.lon_deg, tags.lat_deg)
    return Pose(
        x_m,
        y_m,
        tags.altitude_m + spec.altitude_offset_m,
        (tags.yaw_deg or 0.0) + turned_deg,
        -90.0 if tags.pitch_deg is None else tags.pitch_deg,
        tags.roll_deg or 0.0,
    )


def _tagged_camera(path: Path, size: tuple[int, int]) -> Camera | None:
    return _camera_of_tags(read_tags(path, *size), size)


def _camera_of_tags(tags: PhotoTags, size: tuple[int, int]) -> Camera | None:
    """The lens as calibrated, or from its focal length as on 35 mm film.

    The equivalent is by the picture's diagonal (CIPA DCG-001): 43.27 mm.
    """
    if tags.camera is not None:
        return replace(tags.camera, name=tags.model)
    if tags.focal_35mm is None:
        return None
    return Camera(*size, tags.focal_35mm * math.hypot(*size) / math.hypot(36, 24), name=tags.model)
