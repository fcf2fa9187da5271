"""Frames: their sizes and pixels, as any camera writes them, and what is wrong with a file said."""

from __future__ import annotations

import collections
import warnings
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import PIL.Image
import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from corridor import InputError
from corridor.camera import Camera, Pose

Picture = npt.NDArray[np.uint8]

_TIFF = (".tif", ".tiff")
_JPEG = (".jpg", ".jpeg")


@dataclass(frozen=True)
class Frame:
    """A photograph with its camera, and its pose in the metric frame that is being worked in."""

    path: Path
    camera: Camera
    pose: Pose

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name


@dataclass(frozen=True)
class Skipped:
    """A frame that was left out, and why."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.path.name}: {self.reason}"


def picture_size(path: Path) -> tuple[int, int]:
    """Width and height from a picture's header.

    Raises:
        InputError: if it is no picture.
    """
    if not path.is_file():
        raise InputError(path, "no such file")
    if path.stat().st_size == 0:
        raise InputError(path, "is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PIL.Image.DecompressionBombWarning)
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            if path.suffix.lower() in _TIFF:
                with rasterio.open(path) as source:
                    return source.width, source.height
            with PIL.Image.open(path) as image:
                return image.size
    except (OSError, RasterioError, PIL.Image.DecompressionBombError) as error:
        raise InputError(path, "is no readable picture", "JPEG, TIFF or PNG") from error


def read_picture(path: Path, reduce: int = 1) -> Picture:
    """All pixels, (height, width, 3) in red, green, blue.

    Args:
        path: the picture.
        reduce: 1, 2, 4 or 8: read smaller by about this factor, which is quicker for a JPEG, and
            also refuses one whose data are damaged so that they still decode to something.

    Raises:
        InputError: if it is broken, cut short, or not 8-bit colour or grey.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PIL.Image.DecompressionBombWarning)
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            if path.suffix.lower() in _TIFF:
                return _read_by_gdal(path, reduce)
            if path.suffix.lower() in _JPEG and reduce > 1:
                # Pillow is silent where the middle of a file is damaged, and shows rubbish.
                with rasterio.Env(GDAL_ERROR_ON_LIBJPEG_WARNING=True):
                    return _read_by_gdal(path, reduce)
            with PIL.Image.open(path) as image:
                if image.mode not in ("RGB", "RGBA", "L", "P"):
                    raise InputError(path, f"has pixels of kind {image.mode}", "8-bit colour")
                if reduce > 1:
                    image.draft("RGB", (image.width // reduce, image.height // reduce))
                return np.asarray(image.convert("RGB"))
    # Pillow's decoders raise SyntaxError and ValueError, too, for damaged data.
    except (OSError, SyntaxError, ValueError, RasterioError, PIL.Image.DecompressionBombError) as e:
        raise InputError(path, f"cannot be decoded ({e})") from e


def _read_by_gdal(path: Path, reduce: int) -> Picture:
    with rasterio.open(path) as source:
        if source.dtypes[0] != "uint8" or source.count not in (1, 3, 4):
            raise InputError(
                path, f"has {source.count} bands of {source.dtypes[0]}", "8-bit colour or grey"
            )
        bands = [1, 2, 3] if source.count >= 3 else [1, 1, 1]
        shape = (3, max(1, source.height // reduce), max(1, source.width // reduce))
        return np.ascontiguousarray(np.moveaxis(source.read(bands, out_shape=shape), 0, -1))


class FrameStore:
    """Decoded pictures and their halvings, the ones used last kept within a budget of memory."""

    def __init__(self, budget_bytes: int = 700_000_000) -> None:
        self._budget_bytes = budget_bytes
        self._held: collections.OrderedDict[Path, list[Picture]] = collections.OrderedDict()
        self.decoded = 0

    def level(self, frame: Frame, halvings: int) -> Picture:
        """The frame's picture halved this many times, (height, width, 3).

        Raises:
            InputError: if it cannot be decoded or is not as large as its camera says.
        """
        levels = self._held.get(frame.path)
        if levels is None:
            picture = read_picture(frame.path)
            self.decoded += 1
            if picture.shape[:2] != (frame.camera.height_px, frame.camera.width_px):
                raise InputError(frame.path, "is not as large as its header says")
            levels = self._held[frame.path] = [picture]
        self._held.move_to_end(frame.path)
        while len(levels) <= halvings:
            rows, columns = levels[-1].shape[:2]
            smaller = (max(1, columns // 2), max(1, rows // 2))
            levels.append(cv2.resize(levels[-1], smaller, interpolation=cv2.INTER_AREA))
        picture = levels[halvings]
        self._trim()
        return picture

    def _trim(self) -> None:
        while len(self._held) > 1 and self._bytes() > self._budget_bytes:
            self._held.popitem(last=False)

    def _bytes(self) -> int:
        return sum(level.nbytes for levels in self._held.values() for level in levels)
