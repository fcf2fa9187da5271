"""Frames to one orthophoto: every pixel from the frame that sees it most steeply.

Where two frames meet, fine detail changes over within a few pixels, so that a fence is not drawn
twice, and brightness over a wider strip, so that no edge is seen (Burt and Adelson 1983, with two
bands). All filters have a finite reach, and windows overlap by it: what is written does not depend
on how the picture was cut into windows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from analysis.mapping.balance import balance_gains
from analysis.mapping.frames import Frame, FrameStore, Skipped, read_picture
from analysis.mapping.rectify import (
    Labels,
    ViewLimits,
    look_at_points,
    sample_frame,
    seen_bounds,
    steepest_views,
    surface_window,
)
from analysis.mapping.surface import Bounds, SurfaceModel
from corridor import InputError, Progress, silent
from corridor.heightfield import Heightfield, view_vector
from corridor.values import FloatArray

FINE_REACH_PX = 4
BROAD_REACH_PX = 48
HALO_PX = 2 * BROAD_REACH_PX
_POINTS_PER_FRAME = 1500


@dataclass(frozen=True)
class MosaicSpec:
    """How a mosaic is made.

    Attributes:
        gsd_m: side of a pixel; None takes the frames' own, rounded.
        bounds_m: west, south, east, north; None takes all that the frames see.
        limits: what counts as seeing.
        balance: even out exposure and falloff between frames.
        blend: soft seams; without, each pixel is one frame's alone.
    """

    gsd_m: float | None = None
    bounds_m: Bounds | None = None
    limits: ViewLimits = field(default_factory=ViewLimits)
    balance: bool = True
    blend: bool = True


@dataclass(frozen=True)
class Tile:
    """A window of the mosaic.

    Attributes:
        colours: (rows, columns, 4) red, green, blue, alpha.
        labels: (rows, columns) index of the frame seen most steeply, -1 for none.
        heights_m: (rows, columns) of the surface.
    """

    colours: npt.NDArray[np.uint8]
    labels: Labels
    heights_m: npt.NDArray[np.float32]


class Mosaic:
    """Frames over a surface, ready to be drawn window by window.

    Attributes:
        frames: those in use, in the order that labels count.
        skipped: those that cannot be used, with why.
        gsd_m, west_m, north_m, width_px, height_px: the map's grid; its corner is a multiple of
            the GSD.
        gains: (frames, 5) of `balance_gains`.
    """

    def __init__(
        self,
        frames: list[Frame],
        surface: SurfaceModel,
        spec: MosaicSpec,
        progress: Progress = silent,
    ) -> None:
        self._surface = surface
        self.spec = spec
        self.skipped: list[Skipped] = []
        self.frames = self._over_surface(frames)
        self.gains = np.tile([1.0, 1.0, 1.0, 0.0, 0.0], (len(self.frames), 1))
        self._look_once(progress)
        self.gsd_m = spec.gsd_m or round_gsd(float(np.median(self._own_gsd_m)))
        self._fix_grid()
        self.store = FrameStore()

    @cached_property
    def views(self) -> FloatArray:
        """(frames, 24) what compiled functions need."""
        return np.array([view_vector(frame.camera, frame.pose) for frame in self.frames])

    @cached_property
    def _seen(self) -> FloatArray:
        low_m, high_m = self._surface.low_m, self._surface.high_m
        return np.array(
            [
                seen_bounds(frame.camera, frame.pose, low_m, high_m, self.spec.limits)
                or (np.inf, np.inf, -np.inf, -np.inf)
                for frame in self.frames
            ]
        )

    def _over_surface(self, frames: list[Frame]) -> list[Frame]:
        kept: list[Frame] = []
        heights_m: list[float] = []
        west, south, east, north = self._surface.bounds_m
        for frame in frames:
            pose = frame.pose
            seen = seen_bounds(
                frame.camera, pose, self._surface.low_m, self._surface.high_m, self.spec.limits
            )
            if seen is None:
                reason = f"at {pose.z_m:.0f} m it is below all of the surface model, or looks up"
                self.skipped.append(Skipped(frame.path, reason))
                continue
            if seen[0] >= east or seen[2] <= west or seen[1] >= north or seen[3] <= south:
                reason = (
                    f"its view at {pose.x_m:.0f}, {pose.y_m:.0f} lies outside the surface model"
                )
                self.skipped.append(Skipped(frame.path, reason))
                continue
            ground_m = self._height_below(frame)
            if ground_m is not None and pose.z_m <= ground_m + 1.0:
                reason = (
                    f"its altitude of {pose.z_m:.0f} m is below the surface ({ground_m:.0f} m); "
                    "are both above the same zero?"
                )
                self.skipped.append(Skipped(frame.path, reason))
                continue
            kept.append(frame)
            heights_m.append(pose.z_m - (self._surface.low_m if ground_m is None else ground_m))
        if not kept:
            raise InputError(
                self._surface.path,
                f"none of {len(frames)} frames looks at it: {self.skipped[0]}",
                "a surface model of the place, in the poses' own height system",
            )
        self._own_gsd_m = np.array(
            [
                height / frame.camera.focal_x_px
                for frame, height in zip(kept, heights_m, strict=True)
            ]
        )
        return kept

    def _height_below(self, frame: Frame) -> float | None:
        """Height of the surface under a camera, or where its steepest line of sight ends."""
        x_m, y_m = frame.pose.x_m, frame.pose.y_m
        patch = self._surface.around((x_m, y_m, x_m, y_m), 0.0)
        height_m = np.nan if patch is None else float(patch.at([[x_m, y_m]])[0])
        return None if np.isnan(height_m) else height_m

    def _fix_grid(self) -> None:
        gsd_m = self.gsd_m
        surface = self._surface.bounds_m
        if self.spec.bounds_m is not None:
            west, south, east, north = self.spec.bounds_m
        else:
            west, south = np.maximum(self._seen[:, :2].min(axis=0), surface[:2])
            east, north = np.minimum(self._seen[:, 2:].max(axis=0), surface[2:])
        self.west_m = float(np.floor(west / gsd_m + 1e-6) * gsd_m)
        self.north_m = float(np.ceil(north / gsd_m - 1e-6) * gsd_m)
        self.width_px = max(1, int(np.ceil((east - self.west_m) / gsd_m - 1e-6)))
        self.height_px = max(1, int(np.ceil((self.north_m - south) / gsd_m - 1e-6)))

    def _look_once(self, progress: Progress) -> None:
        """Decodes each frame once, small: finds the broken ones and balances the others."""
        points = self._common_points()
        observations = []
        sound: list[int] = []
        for n, frame in enumerate(self.frames):
            progress(n, len(self.frames), "looking at frames")
            try:
                small = read_picture(frame.path, reduce=8)
            except InputError as error:
                self.skipped.append(Skipped(frame.path, error.problem))
                continue
            sound.append(n)
            observations.append(self._observe(n, small, points))
        if not sound:
            raise InputError(self.skipped[-1].path, f"no frame can be decoded: {self.skipped[-1]}")
        self.frames = [self.frames[n] for n in sound]
        self._own_gsd_m = self._own_gsd_m[sound]
        vars(self).pop("views", None)
        vars(self).pop("_seen", None)
        self.gains = np.tile([1.0, 1.0, 1.0, 0.0, 0.0], (len(self.frames), 1))
        if self.spec.balance:
            self.gains = balance_gains(observations, len(points))

    def _common_points(self) -> FloatArray:
        """(N, 3) places on the surface, in rows and columns over all that is seen."""
        bounds = self._surface.bounds_m
        west, south = np.maximum(np.median(self._seen[:, :2], axis=0), bounds[:2])
        east, north = np.minimum(np.median(self._seen[:, 2:], axis=0), bounds[2:])
        area_m2 = max(1.0, (east - west) * (north - south))
        step_m = max(self._surface.cell_m, float(np.sqrt(area_m2 / _POINTS_PER_FRAME)))
        pieces = []
        taken: set[tuple[int, int]] = set()
        for seen in self._seen:
            box = (*np.maximum(seen[:2], bounds[:2]), *np.minimum(seen[2:], bounds[2:]))
            columns = range(int(np.ceil(box[0] / step_m)), int(np.floor(box[2] / step_m)) + 1)
            rows = range(int(np.ceil(box[1] / step_m)), int(np.floor(box[3] / step_m)) + 1)
            new = {(i, j) for i in columns for j in rows} - taken
            taken |= new
            patch = self._surface.around(box, 0.0)
            if new and patch is not None:
                xy = np.array(sorted(new)) * step_m
                pieces.append(np.column_stack([xy, patch.at(xy)]))
        points = np.concatenate(pieces) if pieces else np.empty((0, 3))
        return np.asarray(points[np.isfinite(points[:, 2])])

    def _observe(
        self, n: int, small: npt.NDArray[np.uint8], points: FloatArray
    ) -> tuple[npt.NDArray[np.int64], FloatArray, FloatArray]:
        seen = self._seen[n]
        near = np.flatnonzero(
            (points[:, 0] >= seen[0]) & (points[:, 0] <= seen[2])
            & (points[:, 1] >= seen[1]) & (points[:, 1] <= seen[3])
        )  # fmt: skip
        surface = self._surface.around(tuple(seen), 0.0)
        if surface is None or not len(near):
            return near[:0], np.empty((0, 3)), np.empty(0)
        limits = self.spec.limits.vector()
        camera = self.frames[n].camera
        pixels = look_at_points(
            surface.heights_m, surface.tops_m, surface.grid, float(surface.tops_m.max()),
            self.views[n], limits, points[near],
        )  # fmt: skip
        good = np.isfinite(pixels[:, 0])
        near, pixels = near[good], pixels[good]
        size = np.array([camera.width_px, camera.height_px])
        radius2 = ((pixels + 0.5 - size / 2) ** 2).sum(axis=1) / ((size / 2) ** 2).sum()
        # A place about as large as a point stands for, so that detail does not count.
        smooth = cv2.blur(small, (5, 5))
        scale = np.array(small.shape[1::-1]) / size
        column, row = np.minimum((pixels + 0.5) * scale, np.array(small.shape[1::-1]) - 1).T
        return near, smooth[row.astype(int), column.astype(int)].astype(np.float64), radius2

    def draw(self, left_px: int, top_px: int, width_px: int, height_px: int) -> Tile:
        """The window of the map that starts at a pixel; what is outside the map is drawn too."""
        halo = HALO_PX if self.spec.blend else 0
        rows, columns = height_px + 2 * halo, width_px + 2 * halo
        west = self.west_m + (left_px - halo) * self.gsd_m
        north = self.north_m - (top_px - halo) * self.gsd_m
        bounds = (west, north - rows * self.gsd_m, west + columns * self.gsd_m, north)
        inner = slice(halo, halo + height_px), slice(halo, halo + width_px)
        near = self._frames_over(bounds)
        surface = self._surface.around(bounds, self._hiding_m(bounds, near)) if len(near) else None
        if surface is None:
            empty = np.zeros((height_px, width_px, 4), dtype=np.uint8)
            nothing = np.full((height_px, width_px), np.nan, dtype=np.float32)
            return Tile(empty, np.full((height_px, width_px), -1, dtype=np.int32), nothing)
        window_m = surface_window(
            surface.heights_m, surface.grid, west, north, self.gsd_m, rows, columns
        )
        local = steepest_views(
            surface, self.views[near], self.spec.limits, west, north, self.gsd_m, window_m
        )
        colours = self._colour(near, local, surface, west, north, window_m)
        alpha = np.where(local >= 0, 255, 0).astype(np.uint8)
        whole = np.dstack([np.clip(colours + 0.5, 0, 255).astype(np.uint8), alpha])
        whole[alpha == 0] = 0
        labels = np.where(local >= 0, near[local], -1).astype(np.int32)
        return Tile(
            np.ascontiguousarray(whole[inner]),
            np.ascontiguousarray(labels[inner]),
            np.ascontiguousarray(window_m[inner]),
        )

    def _frames_over(self, bounds: Bounds) -> npt.NDArray[np.int64]:
        seen = self._seen
        return np.flatnonzero(
            (seen[:, 0] < bounds[2]) & (seen[:, 2] > bounds[0])
            & (seen[:, 1] < bounds[3]) & (seen[:, 3] > bounds[1])
        )  # fmt: skip

    def _hiding_m(self, bounds: Bounds, near: npt.NDArray[np.int64]) -> float:
        """How far away something can stand that hides a place within the bounds."""
        relief_m = self._surface.high_m - self._surface.low_m
        centre = np.array([(bounds[0] + bounds[2]) / 2, (bounds[1] + bounds[3]) / 2])
        half_m = np.hypot(bounds[2] - bounds[0], bounds[3] - bounds[1]) / 2
        away_m = np.hypot(*(self.views[near, 19:21] - centre).T) + half_m
        tangent = np.tan(np.radians(self.spec.limits.max_angle_deg))
        return float(min(relief_m * tangent, away_m.max()))

    def _colour(
        self,
        near: npt.NDArray[np.int64],
        labels: Labels,
        surface: Heightfield,
        west: float,
        north: float,
        window_m: npt.NDArray[np.float32],
    ) -> npt.NDArray[np.float32]:
        used = np.unique(labels[labels >= 0])
        fine = np.zeros((*labels.shape, 3), dtype=np.float32)
        fine_weight = np.zeros(labels.shape, dtype=np.float32)
        lone = len(used) == 1 or not self.spec.blend
        # Brightness is evened by what each frame shows broadly less what the seam shows broadly.
        broad, broad_weight = np.zeros_like(fine), np.zeros_like(fine_weight)
        own = np.zeros_like(fine)
        for k in used:
            mine = (labels == k).astype(np.float32)
            if lone:
                wanted = np.where(labels == k, 2, 0).astype(np.uint8)
            else:
                narrow, wide = _blur(mine, FINE_REACH_PX), _blur(mine, BROAD_REACH_PX)
                wanted = np.where(labels == k, 2, wide > 0).astype(np.uint8)
            colours, seen = self._sample(int(near[k]), surface, west, north, window_m, wanted)
            if lone:
                fine += colours
                fine_weight += seen
                continue
            visible = seen.astype(np.float32)
            share = narrow * visible
            base_weight = _blur(visible, BROAD_REACH_PX)
            base = _blur(colours, BROAD_REACH_PX) / np.maximum(base_weight, 1e-3)[..., None]
            wide = wide * np.minimum(1.0, base_weight * 2.0)
            fine += share[..., None] * colours
            own += share[..., None] * base
            fine_weight += share
            broad += wide[..., None] * base
            broad_weight += wide
        out = np.asarray(fine / np.maximum(fine_weight, 1e-6)[..., None], dtype=np.float32)
        if not lone:
            shift = broad / np.maximum(broad_weight, 1e-6)[..., None]
            shift -= own / np.maximum(fine_weight, 1e-6)[..., None]
            out += np.where((broad_weight > 1e-3)[..., None], shift, 0.0)
        return out

    def _sample(
        self,
        n: int,
        surface: Heightfield,
        west: float,
        north: float,
        window_m: npt.NDArray[np.float32],
        wanted: npt.NDArray[np.uint8],
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
        halvings = max(0, int(np.floor(np.log2(self.gsd_m / self._own_gsd_m[n]) + 0.25)))
        picture = self.store.level(self.frames[n], halvings)
        return sample_frame(
            surface.heights_m, surface.tops_m, surface.grid, float(surface.tops_m.max()),
            self.views[n], self.spec.limits.vector(), west, north, self.gsd_m, window_m,
            wanted, picture, float(2**halvings), self.gains[n],
        )  # fmt: skip

    def angle_and_gsd(
        self, tile: Tile, left_px: int, top_px: int
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Angle from straight down in degrees and size of a frame's pixel at each pixel, or NaN.

        The size is across the line of sight: distance by focal length.
        """
        rows, columns = tile.labels.shape
        x = self.west_m + (left_px + np.arange(columns) + 0.5) * self.gsd_m
        y = self.north_m - (top_px + np.arange(rows) + 0.5) * self.gsd_m
        views = self.views[np.maximum(tile.labels, 0)]
        dx, dy = views[..., 19] - x[None, :], views[..., 20] - y[:, None]
        dz = views[..., 21] - tile.heights_m
        level = np.hypot(dx, dy)
        angle = np.degrees(np.arctan2(level, dz)).astype(np.float32)
        gsd_m = (np.hypot(level, dz) / views[..., 0]).astype(np.float32)
        none = tile.labels < 0
        angle[none] = gsd_m[none] = np.nan
        return angle, gsd_m


def round_gsd(gsd_m: float) -> float:
    """Two significant digits."""
    return float(f"{gsd_m:.1e}")


def _blur(image: npt.NDArray[np.float32], reach_px: int) -> npt.NDArray[np.float32]:
    """A Gaussian that ends at `reach_px`, 2.5 standard deviations."""
    size = 2 * reach_px + 1
    return np.asarray(
        cv2.GaussianBlur(image, (size, size), reach_px / 2.5, borderType=cv2.BORDER_CONSTANT)
    )
