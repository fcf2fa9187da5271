"""Whether what two frames show at a place of the fence's plane lies behind that plane.

Through an opening the ground behind is seen. From a camera further along it lies elsewhere in the
plane, the more the higher up; what stands before the fence moves the other way, and what hangs on
it does not move. So what one frame shows in an opening is looked for in another as if it lay at
several distances behind the plane, and before it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from analysis.mapping import Frame
from analysis.mesh import Floats
from corridor.camera import inside, project
from corridor.values import FloatArray

_STEP_M = 0.01
_EDGE_M = 0.08
"""Left off an opening: there it is blurred with its mesh."""
_SLACK_M = 0.12
"""By which poses may misplace frames against one another in the plane."""
_MOST_WIDTH_M = 1.5
_BEFORE, _BEHIND = (-2.0, -1.5, -1.0, -0.5), (0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0)
"""Distances from the plane, 1 where the ray meets level ground: slopes go up or down behind."""
_ALONG_M = 0.5
"""What is longer than this along the fence (a kerb, a wall) looks the same wherever it is; what is
so upright is a post, which stands in the opening and moves with neither."""
_STRONGEST = 2.5
"""Of medians: a post's edge counts no more than the ground beside it."""
_LEAST_ALIKE = 0.5
_LEAST_PIXELS = 200


@dataclass(frozen=True)
class Spot:
    """A rectangle of the fence's plane.

    Attributes:
        xy: (W, 2) places along the fence, `_STEP_M` apart; foot_m: (W,) the mesh's foot there.
        above_m: (H,) heights above that foot, from the top.
    """

    xy: FloatArray
    foot_m: FloatArray
    above_m: FloatArray

    @property
    def points(self) -> FloatArray:
        """(H, W, 3)."""
        result = np.empty((len(self.above_m), len(self.xy), 3))
        result[..., :2] = self.xy[None]
        result[..., 2] = self.foot_m[None] + self.above_m[:, None]
        return result


def inner(
    start_m: float, end_m: float, low_m: float, high_m: float
) -> tuple[FloatArray, FloatArray]:
    """Chainages and heights of the spot within an opening, with slack around it to search in."""
    middle_m = (start_m + end_m) / 2
    half_m = min((end_m - start_m) / 2 - _EDGE_M, _MOST_WIDTH_M / 2)
    chainage = np.arange(middle_m - half_m - _SLACK_M, middle_m + half_m + _SLACK_M, _STEP_M)
    above = np.arange(high_m - _EDGE_M + _SLACK_M, low_m + _EDGE_M - _SLACK_M, -_STEP_M)
    return chainage, above


def lies_behind(
    one: tuple[Frame, npt.NDArray[np.uint8]], other: tuple[Frame, npt.NDArray[np.uint8]], spot: Spot
) -> float | None:
    """How much better what a frame shows fits behind the plane than before it.

    Returns:
        Difference of two correlations, -2 to 2; None if it was not found again at all, or one of
        the frames does not show it whole.
    """
    points = spot.points
    camera_m = one[0].pose.position_m
    above = spot.above_m[:, None]
    below_camera = camera_m[2] - points[..., 2]
    if (below_camera < 1.0).any():
        return None
    to_ground = (np.maximum(above, 0.0) / below_camera)[..., None] * (points - camera_m)
    slack = round(_SLACK_M / _STEP_M)
    shown = _taken(*one, points)
    if shown is None:
        return None
    pattern = np.ascontiguousarray(shown[slack:-slack, slack:-slack])
    if pattern.size < _LEAST_PIXELS:
        return None

    def alike(distances: tuple[float, ...]) -> float | None:
        best = None
        for distance in distances:
            there = _taken(*other, points + distance * to_ground)
            if there is not None:
                fit = float(cv2.matchTemplate(there, pattern, cv2.TM_CCOEFF_NORMED).max())
                best = fit if best is None else max(best, fit)
        return best

    behind, before = alike(_BEHIND), alike(_BEFORE)
    if behind is None or before is None or max(behind, before) < _LEAST_ALIKE:
        return None
    return behind - before


def _taken(frame: Frame, picture: npt.NDArray[np.uint8], points: FloatArray) -> Floats | None:
    """(H, W) of what a frame shows at points, less rails and posts; None if not all are in it."""
    pixels = project(frame.camera, frame.pose, points.reshape(-1, 3))
    if not inside(frame.camera, pixels, 1.0).all():
        return None
    at = pixels.reshape(*points.shape[:2], 2).astype(np.float32)
    seen = cv2.remap(picture.astype(np.float32), at[..., 0], at[..., 1], cv2.INTER_LINEAR)
    seen = cv2.GaussianBlur(seen, (0, 0), 1.0)
    long = round(_ALONG_M / _STEP_M) | 1
    seen -= cv2.blur(seen, (long, 1))
    seen -= cv2.blur(seen, (1, long))
    most = _STRONGEST * float(np.median(np.abs(seen))) + 1e-6
    return np.asarray(np.clip(seen, -most, most), np.float32)
