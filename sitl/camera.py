"""The simulated camera: what a flight's camera would have photographed of a generated scene.

Each pixel's ray is followed through the lens (Brown's distortion) to the scene's surface, so relief
displaces and hides as it does in a photograph; the fence stands upright before it, with its
breaches as openings. Then the film: motion blur, the lens's falloff, noise, JPEG. The files carry
EXIF and XMP as DJI's do, with the errors of the receiver that is being simulated.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
import pyproj

from corridor import InputError, Progress, atomic_path, silent, write_json
from corridor.camera import Camera, Pose, border_pixels, project, rays, undistort
from corridor.heightfield import Heightfield, block_tops, view_vector
from corridor.photo import PhotoTags, tag_jpeg
from corridor.shots import (
    Mount,
    Shot,
    camera_angles,
    poses_of,
    read_shots,
    write_shots,
)
from corridor.values import FloatArray
from missions.mission import Mission
from sitl.aim import aim_shots
from sitl.camera_kernels import BUNDLE_PX, draw_fence, expose, look_at_scene
from sitl.camera_scene import CameraScene, open_scene

Picture = npt.NDArray[np.uint8]

_NOISE_COUNT = 1_000_003
_PREFIXES = {"dji": "DJI_", "sony": "DSC0"}


@dataclass(frozen=True)
class Receiver:
    """How well the aircraft knows where it is and how it is turned: standard deviations.

    Errors of position wander (Gauss-Markov, `memory_s`), as those of satellites do; angles jitter
    from shot to shot.
    """

    horizontal_m: float
    vertical_m: float
    yaw_deg: float
    tilt_deg: float
    rtk: bool
    memory_s: float = 60.0

    def __post_init__(self) -> None:
        if min(self.horizontal_m, self.vertical_m, self.yaw_deg, self.tilt_deg) < 0:
            raise ValueError("an error is not negative")


# Horizontal and vertical 1-sigma of a multi-band receiver without and with corrections, as DJI
# states them for the Mavic 3E: hovering 0.5 m / 1.5 m by satellites (whose wander is larger than
# what hovering shows), 1 cm + 1 ppm and 1.5 cm + 1 ppm with RTK.
RECEIVERS = {
    "gps": Receiver(1.5, 2.5, 0.5, 0.05, rtk=False),
    "rtk": Receiver(0.015, 0.025, 0.2, 0.05, rtk=True),
    "perfect": Receiver(0.0, 0.0, 0.0, 0.0, rtk=True),
}


@dataclass(frozen=True)
class CameraSpec:
    """How a flight is photographed.

    Attributes:
        camera: the lens and the size of pictures.
        receiver: errors of the positions written into the files; the pictures are taken from the
            true ones.
        mount, mount_pitch_deg: see `corridor.shots.camera_angles`.
        exposure_s: shutter time, for motion blur.
        falloff_frac: light lost in the corners.
        shot_noise, read_noise: variance per grey level, and standard deviation, in grey levels.
        exposure_step_frac: how much brightness differs from frame to frame.
        quality: JPEG's, 1 to 100.
        started_at: time of the vehicle's boot.
        like: whose tags: `dji` tells the gimbal's angles, height above home and the lens in XMP;
            `sony` tells place and time in EXIF and nothing else, as a camera hung below does.
        seed: of noise and errors.
    """

    camera: Camera
    receiver: Receiver = RECEIVERS["gps"]
    mount: Mount = "stabilised"
    mount_pitch_deg: float = -90.0
    exposure_s: float = 1 / 1000
    falloff_frac: float = 0.2
    shot_noise: float = 0.02
    read_noise: float = 1.0
    exposure_step_frac: float = 0.02
    quality: int = 92
    started_at: dt.datetime = dt.datetime(2026, 5, 12, 2, 0, 0, tzinfo=dt.UTC)
    like: Literal["dji", "sony"] = "dji"
    seed: int = 0

    def __post_init__(self) -> None:
        if not (0.0 <= self.falloff_frac < 1.0 and self.exposure_s >= 0.0):
            raise ValueError("falloff is 0 to 1 and exposure not negative")
        if not 1 <= self.quality <= 100:
            raise ValueError("JPEG quality is 1 to 100")


@dataclass(frozen=True)
class RenderResult:
    """What was photographed.

    Attributes:
        frames: files, in the order of the shots.
        photos: the true poses, as `photos.csv`.
        camera: the lens, as `camera.json`.
        empty: how many frames saw nothing of the scene.
    """

    frames: tuple[Path, ...]
    photos: Path
    camera: Path
    empty: int


def render_flight(
    flight: str | Path,
    scene: str | Path,
    spec: CameraSpec,
    out: str | Path,
    progress: Progress = silent,
    mission: Mission | None = None,
) -> RenderResult:
    """Photographs a scene from the shots of a flight.

    Writes into `out`: the frames, `photos.csv` with their names and true angles, and `camera.json`.

    Args:
        flight: a flight's folder, or its `photos.csv`.
        scene: a folder made by `fencewalk scene`.
        spec: the camera.
        out: where to write.
        progress: told of each frame.
        mission: what was flown; turns the gimbal where the flight's log does not say how it was.

    Raises:
        InputError: if the flight has no shots or the scene is none.
    """
    source = Path(flight) / "photos.csv" if Path(flight).is_dir() else Path(flight)
    shots = read_shots(source)
    if not shots:
        raise InputError(source, "holds no photograph", "a flight whose camera triggered")
    if mission is not None:
        shots = aim_shots(mission, shots)
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    with open_scene(scene) as opened:
        poses = poses_of(shots, opened.crs, spec.mount, spec.mount_pitch_deg)
        speeds = velocities(shots, poses)
        rng = np.random.default_rng(spec.seed)
        told = with_errors(shots, spec, rng)
        painter = Painter(opened, spec)
        frames, named, empty = [], [], 0
        for n, (shot, pose) in enumerate(zip(shots, poses, strict=True)):
            progress(n, len(shots), "photographing")
            picture, seen = painter.frame(pose, speeds[n], rng)
            empty += not seen
            path = folder / f"{_PREFIXES[spec.like]}{n + 1:04d}.JPG"
            tags = _tags(told[n], spec)
            _write_jpeg(path, picture, tags, spec.quality)
            frames.append(path)
            angles = camera_angles(shot, spec.mount, spec.mount_pitch_deg)
            named.append(replace(shot, file=path.name, gimbal_deg=angles))
    write_shots(folder / "photos.csv", named)
    write_json(folder / "camera.json", {"version": 1, **asdict(spec.camera)})
    progress(len(shots), len(shots), "photographing")
    return RenderResult(tuple(frames), folder / "photos.csv", folder / "camera.json", empty)


class Painter:
    """Renders frames of one camera over one scene."""

    def __init__(self, scene: CameraScene, spec: CameraSpec) -> None:
        self._scene = scene
        self._spec = spec
        self._normals = pixel_normals(spec.camera)
        shape = spec.camera.height_px, spec.camera.width_px
        self._colours = np.zeros((*shape, 3), dtype=np.float32)
        self._depth_m = np.full(shape, np.inf, dtype=np.float32)
        rng = np.random.default_rng(spec.seed + 1)
        self._noise = rng.standard_normal(_NOISE_COUNT, dtype=np.float32)

    def frame(
        self, pose: Pose, velocity_m_s: FloatArray, rng: np.random.Generator
    ) -> tuple[Picture, bool]:
        """One frame (height, width, 3) in blue, green, red, and whether it saw the scene."""
        spec = self._spec
        seen = self._look(pose)
        if seen:
            self._smear(pose, velocity_m_s)
        exposure = float(np.exp(spec.exposure_step_frac * rng.standard_normal()))
        out = np.empty(self._colours.shape, dtype=np.uint8)
        start = int(rng.integers(_NOISE_COUNT))
        expose(
            self._colours, np.roll(self._noise, start), spec.falloff_frac, exposure,
            spec.shot_noise, spec.read_noise, out,
        )  # fmt: skip
        return out, seen

    def _look(self, pose: Pose) -> bool:
        scene, camera = self._scene, self._spec.camera
        self._colours[:] = 0.0
        bounds = view_bounds(camera, pose, scene.range_m)
        if bounds is None:
            return False
        surface = scene.surface(bounds)
        middle_m = max(pose.z_m - sum(scene.range_m) / 2, 1.0)
        picture = scene.picture(bounds, middle_m / camera.focal_x_px)
        if surface is None or picture is None:
            return False
        view = view_vector(camera, pose)
        hull_m, hull_depth_m = self._hull(surface, pose)
        look_at_scene(
            view, self._normals, surface.heights_m, surface.tops_m, hull_m, block_tops(hull_m),
            hull_depth_m, surface.grid, np.array(scene.range_m), *picture, self._colours,
            self._depth_m,
        )  # fmt: skip
        fence = scene.fence
        if len(fence.panels):
            middle = (fence.panels[:, :2] + fence.panels[:, 3:5]) / 2
            west, south, east, north = bounds
            near = (middle >= [west - 5, south - 5]).all(1) & (middle <= [east + 5, north + 5]).all(
                1
            )
            self._draw_fence(view, np.flatnonzero(near))
        return True

    def _hull(self, surface: Heightfield, pose: Pose) -> tuple[npt.NDArray[np.float32], float]:
        """The surface raised to its highest within a bundle of rays, and how far that is right."""
        camera = self._spec.camera
        depth_m = 1.5 * max(pose.z_m - self._scene.range_m[0], 1.0)
        # Lenses stretch pixels towards the corners: by half, at most, in a lens that maps.
        radius_m = 1.5 * BUNDLE_PX * math.sqrt(0.5) * depth_m / camera.focal_x_px
        cells = math.ceil(radius_m / min(surface.cell_x_m, surface.cell_y_m)) + 1
        solid = np.nan_to_num(surface.heights_m, nan=-1e9)
        square = np.ones((2 * cells + 1, 2 * cells + 1), dtype=np.uint8)
        return cv2.dilate(solid, square, borderType=cv2.BORDER_REPLICATE), depth_m

    def _draw_fence(self, view: FloatArray, near: npt.NDArray[np.int64]) -> None:
        fence = self._scene.fence
        # Far panels first, so that near ones are drawn over them.
        away = np.hypot(*(fence.panels[near, :2] - view[19:21]).T)
        near = near[np.argsort(-away)]
        counts = (fence.opening_of[1:] - fence.opening_of[:-1])[near]
        openings = [fence.openings[fence.opening_of[n] : fence.opening_of[n + 1]] for n in near]
        draw_fence(
            view, self._normals, fence.panels[near], fence.styles,
            np.concatenate([*openings, np.empty((0, 5))]),
            np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            self._colours, self._depth_m,
        )  # fmt: skip

    def _smear(self, pose: Pose, velocity_m_s: FloatArray) -> None:
        camera = self._spec.camera
        middle = np.array([[camera.width_px / 2, camera.height_px / 2]])
        depth_m = float(self._depth_m[camera.height_px // 2, camera.width_px // 2])
        if not math.isfinite(depth_m):
            return
        ahead = rays(camera, pose, middle)[0]
        place = pose.position_m + depth_m * ahead
        moved_m = velocity_m_s * self._spec.exposure_s
        streak = project(camera, pose, [place + moved_m / 2, place - moved_m / 2])
        kernel = streak_kernel(streak[1] - streak[0])
        if kernel is not None:
            self._colours = cv2.filter2D(self._colours, -1, kernel, borderType=cv2.BORDER_REPLICATE)


def pixel_normals(camera: Camera) -> npt.NDArray[np.float32]:
    """(height, width, 2) undistorted x and y at unit depth of every pixel's centre."""
    column = (np.arange(camera.width_px) - camera.centre_px[0]) / camera.focal_x_px
    out = np.empty((camera.height_px, camera.width_px, 2), dtype=np.float32)
    for row in range(camera.height_px):
        y = (row - camera.centre_px[1]) / camera.fy_px
        out[row] = undistort(camera, np.column_stack([column, np.full(len(column), y)]))
    return out


def streak_kernel(streak_px: npt.ArrayLike) -> npt.NDArray[np.float32] | None:
    """The trace of a point that moves by (columns, rows) while the shutter is open.

    None if it stays within a tenth of a pixel. Sums to 1.
    """
    dx, dy = np.asarray(streak_px, dtype=np.float64)
    length_px = math.hypot(dx, dy)
    if not length_px > 0.1:
        return None
    reach = math.ceil(max(abs(dx), abs(dy)) / 2) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    steps = max(9, math.ceil(8 * length_px))
    for share in (np.arange(steps) + 0.5) / steps - 0.5:
        x, y = reach + share * dx, reach + share * dy
        j, i = math.floor(x), math.floor(y)
        fx, fy = x - j, y - i
        kernel[i : i + 2, j : j + 2] += np.outer([1 - fy, fy], [1 - fx, fx])
    return np.asarray(kernel / kernel.sum(), dtype=np.float32)


def view_bounds(
    camera: Camera, pose: Pose, range_m: tuple[float, float], reach_m: float = 1500.0
) -> tuple[float, float, float, float] | None:
    """West, south, east, north of all that can be in a frame, `reach_m` at most towards the sky."""
    directions = rays(camera, pose, border_pixels(camera, 16))
    directions = directions[np.isfinite(directions).all(axis=1)]
    level = np.hypot(directions[:, 0], directions[:, 1])
    towards = directions[:, :2] / np.maximum(level, 1e-12)[:, None]
    places = []
    for height_m in range_m:
        drop_m = pose.z_m - height_m
        if drop_m <= 0:  # among the hills: what it sees begins where it is
            places.append(pose.position_m[None, :2])
            continue
        with np.errstate(divide="ignore", invalid="ignore"):
            far_m = np.where(directions[:, 2] < 0, drop_m * level / -directions[:, 2], reach_m)
        places.append(pose.position_m[:2] + towards * np.minimum(far_m, reach_m)[:, None])
    if pose.z_m <= range_m[0]:
        return None
    corners = np.concatenate(places)
    west, south = corners.min(axis=0) - 1.0
    east, north = corners.max(axis=0) + 1.0
    return float(west), float(south), float(east), float(north)


def velocities(shots: Sequence[Shot], poses: Sequence[Pose]) -> FloatArray:
    """(N, 3) m/s at each shot, from its neighbours' times and places; 0 where times do not tell."""
    out = np.zeros((len(shots), 3))
    for n in range(len(shots)):
        before, after = max(0, n - 1), min(len(shots) - 1, n + 1)
        span_s = (shots[after].time_boot_ms - shots[before].time_boot_ms) / 1000
        # Beyond some seconds the aircraft has turned between shots.
        if 0.05 < span_s < 12.0:
            out[n] = (poses[after].position_m - poses[before].position_m) / span_s
    return out


def with_errors(shots: Sequence[Shot], spec: CameraSpec, rng: np.random.Generator) -> list[Shot]:
    """The shots as the aircraft believes them to be, gimbal angles filled in."""
    receiver = spec.receiver
    sigma_m = np.array([receiver.horizontal_m / math.sqrt(2)] * 2 + [receiver.vertical_m])
    drift = rng.standard_normal(3)
    told = []
    for n, shot in enumerate(shots):
        if n:
            gap_s = max(0.0, (shot.time_boot_ms - shots[n - 1].time_boot_ms) / 1000)
            keep = math.exp(-gap_s / receiver.memory_s)
            drift = keep * drift + math.sqrt(1 - keep * keep) * rng.standard_normal(3)
        east_m, north_m, up_m = sigma_m * drift
        geod = pyproj.Geod(ellps="WGS84")
        lon_deg, lat_deg, _ = geod.fwd(
            shot.lon_deg, shot.lat_deg, math.degrees(math.atan2(east_m, north_m)),
            math.hypot(east_m, north_m),
        )  # fmt: skip
        yaw, pitch, roll = camera_angles(shot, spec.mount, spec.mount_pitch_deg)
        jitter = rng.standard_normal(3) * [receiver.yaw_deg, receiver.tilt_deg, receiver.tilt_deg]
        told.append(
            replace(
                shot,
                lon_deg=lon_deg,
                lat_deg=lat_deg,
                altitude_m=shot.altitude_m + up_m,
                height_m=shot.height_m + up_m,
                gimbal_deg=(yaw + jitter[0], pitch + jitter[1], roll + jitter[2]),
            )
        )
    return told


def _tags(shot: Shot, spec: CameraSpec) -> PhotoTags:
    if shot.gimbal_deg is None:
        raise ValueError("a shot needs the gimbal's angles here")
    camera = spec.camera
    diagonal_px = math.hypot(camera.width_px, camera.height_px)
    focal_35mm = camera.focal_x_px * math.hypot(36, 24) / diagonal_px
    if spec.like == "sony":
        return PhotoTags(
            lon_deg=shot.lon_deg,
            lat_deg=shot.lat_deg,
            altitude_m=shot.altitude_m,
            taken_at=spec.started_at + dt.timedelta(milliseconds=shot.time_boot_ms),
            make="fencewalk",
            model=camera.name or "simulated camera",
            focal_35mm=focal_35mm,
        )
    return PhotoTags(
        lon_deg=shot.lon_deg,
        lat_deg=shot.lat_deg,
        altitude_m=shot.altitude_m,
        height_m=shot.height_m,
        yaw_deg=shot.gimbal_deg[0],
        pitch_deg=shot.gimbal_deg[1],
        roll_deg=shot.gimbal_deg[2],
        flight_yaw_deg=shot.yaw_deg,
        flight_pitch_deg=shot.pitch_deg,
        flight_roll_deg=shot.roll_deg,
        taken_at=spec.started_at + dt.timedelta(milliseconds=shot.time_boot_ms),
        sigma_horizontal_m=spec.receiver.horizontal_m or 0.001,
        sigma_vertical_m=spec.receiver.vertical_m or 0.001,
        rtk=spec.receiver.rtk,
        make="fencewalk",
        model=camera.name or "simulated camera",
        focal_35mm=focal_35mm,
        camera=camera,
    )


def _write_jpeg(path: Path, picture: Picture, tags: PhotoTags, quality: int) -> None:
    done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise InputError(path, "could not be encoded as JPEG")
    with atomic_path(path) as partial:
        partial.write_bytes(tag_jpeg(data.tobytes(), tags))
