"""What a camera sees at a distance: ground sampling distance, footprints, spacing, speed limits."""

from __future__ import annotations

import math
from dataclasses import dataclass

from missions.survey import Camera


@dataclass(frozen=True)
class Optics:
    """A pinhole camera's measures.

    Distances are along the optical axis; footprints are measured square to it.
    """

    camera: Camera

    @property
    def pixel_mm(self) -> float:
        """The larger of the pixel's two sides on the sensor."""
        return max(
            self.camera.sensor_width_mm / self.camera.image_width_px,
            self.camera.sensor_height_mm / self.camera.image_height_px,
        )

    def gsd_m(self, distance_m: float) -> float:
        """Metres a pixel at a distance."""
        return distance_m * self.pixel_mm / self.camera.focal_length_mm

    def distance_m(self, gsd_m: float) -> float:
        """Distance at which a pixel covers `gsd_m`."""
        return gsd_m * self.camera.focal_length_mm / self.pixel_mm

    def half_width_deg(self, margin_deg: float = 0.0) -> float:
        """Half the field of view across, less a margin."""
        return self._half_deg(self.camera.sensor_width_mm) - margin_deg

    def half_height_deg(self, margin_deg: float = 0.0) -> float:
        """Half the field of view along, less a margin."""
        return self._half_deg(self.camera.sensor_height_mm) - margin_deg

    def _half_deg(self, side_mm: float) -> float:
        return math.degrees(math.atan(side_mm / 2.0 / self.camera.focal_length_mm))

    def width_m(self, distance_m: float, margin_deg: float = 0.0) -> float:
        """Footprint across, less a margin at both edges."""
        return 2.0 * distance_m * math.tan(math.radians(self.half_width_deg(margin_deg)))

    def height_m(self, distance_m: float, margin_deg: float = 0.0) -> float:
        """Footprint along, less a margin at both edges."""
        return 2.0 * distance_m * math.tan(math.radians(self.half_height_deg(margin_deg)))

    def speed_limit_m_s(self, spacing_m: float, gsd_m: float, blur_limit_px: float) -> float:
        """The fastest that keeps both the shortest interval and the blur limit."""
        by_interval = spacing_m / self.camera.min_interval_s
        by_blur = blur_limit_px * gsd_m / self.camera.exposure_s
        return min(by_interval, by_blur)
