"""From frames to an orthophoto, and what an orthophoto from elsewhere is."""

from analysis.mapping.frames import Frame, Skipped
from analysis.mapping.mosaic import Mosaic, MosaicSpec
from analysis.mapping.poses import PoseSpec, read_camera, read_frames
from analysis.mapping.rectify import ViewLimits
from analysis.mapping.surface import open_surface
from analysis.mapping.write import OrthoResult, contributions_path, copy_as_cog, write_mosaic

__all__ = [
    "Frame",
    "Mosaic",
    "MosaicSpec",
    "OrthoResult",
    "PoseSpec",
    "Skipped",
    "ViewLimits",
    "contributions_path",
    "copy_as_cog",
    "open_surface",
    "read_camera",
    "read_frames",
    "write_mosaic",
]
