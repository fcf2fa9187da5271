"""A frame camera and where it was: the one geometry that planning, simulation and mapping share.

Axes
    World: x east, y north, z up, in metres of a stated metric frame (yaw counts from the frame's
    grid north). Camera, as in OpenCV: x to the right of the picture, y down it, z along the view.

Angles
    As gimbals report them, and as DJI writes them into XMP: yaw clockwise from north, pitch 0 at
    the horizon and -90 straight down, roll about the view, positive with the right side down.
    Straight down, the top of the picture points along the yaw.

Pixels
    (column, row) with (0, 0) at the *centre* of the top left pixel, as in OpenCV and OpenSfM. GDAL
    counts from that pixel's corner: add 0.5 to get there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt

from corridor.values import FloatArray

_NEWTON_STEPS = 20
_NEWTON_TOLERANCE = 1e-13


@dataclass(frozen=True)
class Camera:
    """A pinhole with Brown's distortion (the `brown` of OpenSfM, the five terms of OpenCV).

    Attributes:
        width_px, height_px: size of the picture.
        focal_x_px, focal_y_px: focal length in pixels; `focal_y_px` None means square pixels.
        cx_px, cy_px: principal point; None means the middle of the picture, (size - 1) / 2.
        k1, k2, k3: radial terms, p1, p2: tangential terms, as in OpenCV's calibration.
        name: as the camera calls itself.
    """

    width_px: int
    height_px: int
    focal_x_px: float
    focal_y_px: float | None = None
    cx_px: float | None = None
    cy_px: float | None = None
    k1: float = 0.0
    k2: float = 0.0
    p1: float = 0.0
    p2: float = 0.0
    k3: float = 0.0
    name: str = ""

    def __post_init__(self) -> None:
        if self.width_px < 1 or self.height_px < 1:
            raise ValueError(f"a picture has pixels, not {self.width_px} × {self.height_px}")
        for focal_px in (self.focal_x_px, self.fy_px):
            if not (math.isfinite(focal_px) and focal_px > 0):
                raise ValueError(f"a focal length is positive, not {focal_px}")
        if not np.isfinite([*self.centre_px, *self.distortion]).all():
            raise ValueError("principal point and distortion must be finite")

    @classmethod
    def of_sensor(
        cls,
        width_px: int,
        height_px: int,
        focal_mm: float,
        sensor_width_mm: float,
        sensor_height_mm: float | None = None,
        name: str = "",
    ) -> Self:
        """An undistorted camera from the figures on a data sheet."""
        fy_px = None if sensor_height_mm is None else focal_mm * height_px / sensor_height_mm
        return cls(width_px, height_px, focal_mm * width_px / sensor_width_mm, fy_px, name=name)

    @property
    def fy_px(self) -> float:
        """Focal length down the picture, in pixels."""
        return self.focal_x_px if self.focal_y_px is None else self.focal_y_px

    @property
    def centre_px(self) -> tuple[float, float]:
        """The principal point (column, row)."""
        return (
            (self.width_px - 1) / 2 if self.cx_px is None else self.cx_px,
            (self.height_px - 1) / 2 if self.cy_px is None else self.cy_px,
        )

    @property
    def distortion(self) -> tuple[float, float, float, float, float]:
        """k1, k2, p1, p2, k3: OpenCV's order."""
        return (self.k1, self.k2, self.p1, self.p2, self.k3)

    @property
    def matrix(self) -> FloatArray:
        """The 3 × 3 camera matrix."""
        cx_px, cy_px = self.centre_px
        return np.array([[self.focal_x_px, 0.0, cx_px], [0.0, self.fy_px, cy_px], [0.0, 0.0, 1.0]])

    @cached_property
    def radius_limit(self) -> float:
        """Tangent of the widest angle from the axis at which the distortion still has a meaning.

        Beyond it Brown's polynomial turns back, and places far outside the picture would be
        projected into it. Infinite where it never turns.
        """
        roots = np.roots([7 * self.k3, 5 * self.k2, 3 * self.k1, 1.0])
        real = roots[np.abs(roots.imag) < 1e-9].real
        turning = real[real > 0]
        return float(np.sqrt(turning.min())) if len(turning) else math.inf

    def resized(self, width_px: int, height_px: int) -> Self:
        """The same camera with its pictures scaled to another size.

        Raises:
            ValueError: if the proportions differ by more than rounding to whole pixels explains.
        """
        scale_x, scale_y = width_px / self.width_px, height_px / self.height_px
        slack = 1.0 / width_px + 1.0 / height_px
        if abs(scale_x / scale_y - 1.0) > slack:
            raise ValueError(
                f"{width_px} × {height_px} is no scaled {self.width_px} × {self.height_px}"
            )
        cx_px, cy_px = self.centre_px
        return replace(
            self,
            width_px=width_px,
            height_px=height_px,
            focal_x_px=self.focal_x_px * scale_x,
            focal_y_px=self.fy_px * scale_y,
            cx_px=(cx_px + 0.5) * scale_x - 0.5,
            cy_px=(cy_px + 0.5) * scale_y - 0.5,
        )


@dataclass(frozen=True)
class Pose:
    """Where a camera was and how it was turned; the module says what the angles mean.

    Attributes:
        x_m, y_m, z_m: the centre of projection in a metric frame.
        yaw_deg, pitch_deg, roll_deg: of the camera, not of the aircraft.
    """

    x_m: float
    y_m: float
    z_m: float
    yaw_deg: float = 0.0
    pitch_deg: float = -90.0
    roll_deg: float = 0.0

    def __post_init__(self) -> None:
        numbers = (self.x_m, self.y_m, self.z_m, self.yaw_deg, self.pitch_deg, self.roll_deg)
        if not all(map(math.isfinite, numbers)):
            raise ValueError(f"a pose must be finite, not {numbers}")

    @property
    def position_m(self) -> FloatArray:
        """(3,) x, y, z."""
        return np.array([self.x_m, self.y_m, self.z_m])

    @property
    def rotation(self) -> FloatArray:
        """3 × 3, from world to camera: its rows are the camera's axes in the world."""
        return axes_of(self.yaw_deg, self.pitch_deg, self.roll_deg)

    @classmethod
    def of_rotation(cls, position_m: npt.ArrayLike, rotation: npt.ArrayLike) -> Self:
        """The pose with a rotation matrix from world to camera (as OpenSfM's and OpenCV's)."""
        x_m, y_m, z_m = (float(value) for value in np.asarray(position_m, dtype=np.float64))
        matrix = np.asarray(rotation, dtype=np.float64)
        right, down, forward = matrix
        level = math.hypot(forward[0], forward[1])
        pitch_deg = math.degrees(math.atan2(forward[2], level))
        if level < 1e-9:  # straight up or down: yaw and roll turn about one axis; all is yaw
            top = -down if forward[2] < 0 else down
            yaw_deg = math.degrees(math.atan2(top[0], top[1]))
            return cls(x_m, y_m, z_m, yaw_deg % 360.0, pitch_deg, 0.0)
        yaw_deg = math.degrees(math.atan2(forward[0], forward[1]))
        flat_right, flat_down, _ = axes_of(yaw_deg, pitch_deg, 0.0)
        roll_deg = math.degrees(math.atan2(right @ flat_down, right @ flat_right))
        return cls(x_m, y_m, z_m, yaw_deg % 360.0, pitch_deg, roll_deg)

    @classmethod
    def on_vehicle(
        cls,
        position_m: npt.ArrayLike,
        vehicle_yaw_deg: float,
        vehicle_pitch_deg: float,
        vehicle_roll_deg: float,
        mount_pitch_deg: float = -90.0,
    ) -> Self:
        """The pose of a camera bolted to an aircraft and tilted by `mount_pitch_deg` from its nose.

        Vehicle angles are MAVLink's (pitch positive nose up, roll positive right side down), in
        radians there and in degrees here.
        """
        right, down, forward = axes_of(vehicle_yaw_deg, vehicle_pitch_deg, vehicle_roll_deg)
        tilt = math.radians(mount_pitch_deg)
        view = math.cos(tilt) * forward - math.sin(tilt) * down
        return cls.of_rotation(position_m, np.array([right, np.cross(view, right), view]))


def axes_of(yaw_deg: float, pitch_deg: float, roll_deg: float) -> FloatArray:
    """3 × 3, rows right, down and forward as unit vectors in the world."""
    yaw, pitch, roll = (math.radians(angle) for angle in (yaw_deg, pitch_deg, roll_deg))
    forward = np.array(
        [math.sin(yaw) * math.cos(pitch), math.cos(yaw) * math.cos(pitch), math.sin(pitch)]
    )
    right = np.array([math.cos(yaw), -math.sin(yaw), 0.0])
    down = np.cross(forward, right)
    return np.array(
        [
            math.cos(roll) * right + math.sin(roll) * down,
            -math.sin(roll) * right + math.cos(roll) * down,
            forward,
        ]
    )


def distort(camera: Camera, normal: npt.ArrayLike) -> FloatArray:
    """(N, 2) undistorted positions on the plane at unit depth to where the lens puts them.

    NaN beyond `Camera.radius_limit`. Formula: Brown 1966 in OpenCV's arrangement.
    """
    x, y = np.atleast_2d(np.asarray(normal, dtype=np.float64)).T
    r2 = x * x + y * y
    with np.errstate(over="ignore", invalid="ignore"):
        radial = 1.0 + r2 * (camera.k1 + r2 * (camera.k2 + r2 * camera.k3))
        out = np.column_stack(
            [
                x * radial + 2 * camera.p1 * x * y + camera.p2 * (r2 + 2 * x * x),
                y * radial + camera.p1 * (r2 + 2 * y * y) + 2 * camera.p2 * x * y,
            ]
        )
        out[~(r2 < camera.radius_limit**2)] = np.nan
    return out


def undistort(camera: Camera, distorted: npt.ArrayLike) -> FloatArray:
    """The inverse of `distort`, by Newton's method with the exact derivative; (N, 2) to (N, 2).

    NaN where there is no inverse, which can be so for places outside the picture.
    """
    target = np.atleast_2d(np.asarray(distorted, dtype=np.float64))
    if not any(camera.distortion):
        return target.copy()
    k1, k2, p1, p2, k3 = camera.distortion
    point = target.copy()
    with np.errstate(all="ignore"):
        for _ in range(_NEWTON_STEPS):
            x, y = point.T
            r2 = x * x + y * y
            radial = 1.0 + r2 * (k1 + r2 * (k2 + r2 * k3))
            slope = 2.0 * (k1 + r2 * (2.0 * k2 + r2 * 3.0 * k3))
            miss_x = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x) - target[:, 0]
            miss_y = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y - target[:, 1]
            xx = radial + x * x * slope + 2 * p1 * y + 6 * p2 * x
            xy = x * y * slope + 2 * p1 * x + 2 * p2 * y
            yy = radial + y * y * slope + 6 * p1 * y + 2 * p2 * x
            determinant = xx * yy - xy * xy
            step = np.column_stack([yy * miss_x - xy * miss_y, xx * miss_y - xy * miss_x])
            step /= determinant[:, None]
            point = point - step
            if not np.nanmax(np.abs(step), initial=0.0) > _NEWTON_TOLERANCE:
                break
        wrong = ~(np.abs(distort(camera, point) - target).max(axis=1) < 1e-9)
    point[wrong] = np.nan
    return point


def project(camera: Camera, pose: Pose, points_m: npt.ArrayLike) -> FloatArray:
    """Where (N, 3) world points appear, as (N, 2) column and row.

    NaN for points behind the camera or where the lens model has no meaning; places outside the
    picture are given as they come (see `inside`).
    """
    points = np.atleast_2d(np.asarray(points_m, dtype=np.float64))
    in_camera = (points - pose.position_m) @ pose.rotation.T
    depth_m = np.where(in_camera[:, 2] > 1e-9, in_camera[:, 2], np.nan)
    normal = distort(camera, in_camera[:, :2] / depth_m[:, None])
    return np.asarray(
        normal * [camera.focal_x_px, camera.fy_px] + np.asarray(camera.centre_px), dtype=np.float64
    )


def rays(camera: Camera, pose: Pose, pixels: npt.ArrayLike) -> FloatArray:
    """Unit vectors (N, 3) in the world along which (N, 2) pixels look; NaN where none does."""
    points = np.atleast_2d(np.asarray(pixels, dtype=np.float64))
    distorted = (points - np.asarray(camera.centre_px)) / [camera.focal_x_px, camera.fy_px]
    normal = undistort(camera, distorted)
    direction = np.column_stack([normal, np.ones(len(normal))]) @ pose.rotation
    return np.asarray(direction / np.linalg.norm(direction, axis=1)[:, None])


def inside(camera: Camera, pixels: npt.ArrayLike, margin_px: float = 0.0) -> npt.NDArray[np.bool_]:
    """Which of (N, 2) pixels lie within the picture, edges of its outer pixels included.

    A positive margin asks for that much distance from the edge. NaN is outside.
    """
    points = np.atleast_2d(np.asarray(pixels, dtype=np.float64))
    size = np.array([camera.width_px, camera.height_px])
    low, high = margin_px - 0.5, size - 0.5 - margin_px
    return np.asarray(((points >= low) & (points <= high)).all(axis=1))


def border_pixels(camera: Camera, per_side: int = 9) -> FloatArray:
    """(4·per_side, 2) pixels around the edge of the picture, clockwise from the top left corner."""
    along = np.arange(per_side) / per_side
    width, height = camera.width_px, camera.height_px
    top = np.column_stack([along * width, np.zeros(per_side)])
    right = np.column_stack([np.full(per_side, width), along * height])
    bottom = np.column_stack([(1 - along) * width, np.full(per_side, height)])
    left = np.column_stack([np.zeros(per_side), (1 - along) * height])
    return np.concatenate([top, right, bottom, left]) - 0.5


def footprint_on_plane(
    camera: Camera, pose: Pose, ground_z_m: float, per_side: int = 9
) -> FloatArray:
    """(4·per_side, 2) x and y of the picture's edge on a horizontal plane, in the edge's order.

    NaN where the view meets no ground in front of the camera (the horizon is in the picture).
    """
    directions = rays(camera, pose, border_pixels(camera, per_side))
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = (ground_z_m - pose.z_m) / directions[:, 2]
    reach = np.where(reach > 0, reach, np.nan)
    return np.asarray(pose.position_m[:2] + reach[:, None] * directions[:, :2])
