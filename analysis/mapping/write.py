"""Orthophotos and what they were made of, written as cloud-optimised GeoTIFFs."""

from __future__ import annotations

import contextlib
import errno
import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
import rasterio.shutil
from affine import Affine
from rasterio._err import CPLE_BaseError
from rasterio.enums import ColorInterp
from rasterio.errors import RasterioError
from rasterio.windows import Window

from analysis.mapping.frames import Skipped
from analysis.mapping.mosaic import Mosaic, Tile
from corridor import InputError, Progress, atomic_path, silent, write_json

WINDOW_PX = 1024
CONTRIBUTIONS_VERSION = 1
_CELL_M = 0.25
_COMPRESSIONS = {
    "deflate": {"COMPRESS": "DEFLATE", "PREDICTOR": "2", "LEVEL": "6"},
    "webp": {"COMPRESS": "WEBP", "QUALITY": "90"},
    "jpeg": {"COMPRESS": "JPEG", "QUALITY": "90"},
}
COMPRESSIONS = tuple(_COMPRESSIONS)


@dataclass(frozen=True)
class OrthoResult:
    """What was made.

    Attributes:
        path, contributions: the files.
        gsd_m, width_px, height_px: of the orthophoto.
        frames_used: those that a pixel was taken from.
        covered_frac: share of the orthophoto's pixels that are not transparent.
        skipped: frames left out, with why.
    """

    path: Path
    contributions: Path
    gsd_m: float
    width_px: int
    height_px: int
    frames_given: int
    frames_used: int
    covered_frac: float
    skipped: tuple[Skipped, ...]

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "orthophoto": str(self.path),
            "contributions": str(self.contributions),
            "gsd_m": self.gsd_m,
            "width_px": self.width_px,
            "height_px": self.height_px,
            "frames_given": self.frames_given,
            "frames_used": self.frames_used,
            "covered_frac": round(self.covered_frac, 6),
            "skipped": [{"frame": str(one.path), "reason": one.reason} for one in self.skipped],
        }


def contributions_path(orthophoto: Path) -> Path:
    """Where an orthophoto's contributions are: `ortho.contributions.tif` beside `ortho.tif`."""
    return orthophoto.with_name(f"{orthophoto.stem}.contributions.tif")


def write_mosaic(
    mosaic: Mosaic,
    crs: Any,
    out: Path,
    compress: str = "deflate",
    progress: Progress = silent,
) -> OrthoResult:
    """Draws a mosaic window by window into a COG, and its contributions beside it.

    Raises:
        InputError: if there is no room, or the files cannot be written.
    """
    pixels = mosaic.width_px * mosaic.height_px
    with _saying_what_is_full(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        # The picture is written twice, plain and as a COG, at some 3 bytes a pixel each.
        free = shutil.disk_usage(out.parent).free
        if free < pixels:
            raise InputError(
                out,
                f"{free / 1e9:.1f} GB are free for {pixels / 1e6:.0f} million pixels",
                f"some {6 * pixels / 1e9:.1f} GB of room, or a coarser --gsd",
            )
        side = contributions_path(out)
        with atomic_path(out) as cog, atomic_path(out) as plain, atomic_path(side) as partial:
            made = _draw_all(mosaic, crs, plain, partial, progress)
            _check_whole(plain)
            _check_whole(partial)
            progress(0, 0, "making it cloud-optimised")
            _to_cog(plain, cog, compress)
            _check_whole(cog)
    names = [frame.name for frame in mosaic.frames]
    write_json(
        side.with_suffix(".json"),
        {
            "version": CONTRIBUTIONS_VERSION,
            "orthophoto": out.name,
            "bands": ["frame", "view_angle_deg", "gsd_m"],
            "frames": {str(n + 1): name for n, name in enumerate(names)},
            "skipped": [str(one) for one in mosaic.skipped],
        },
    )
    return OrthoResult(
        path=out,
        contributions=side,
        gsd_m=mosaic.gsd_m,
        width_px=mosaic.width_px,
        height_px=mosaic.height_px,
        frames_given=len(mosaic.frames) + len(mosaic.skipped),
        frames_used=len(made.used),
        covered_frac=made.covered / pixels,
        skipped=tuple(mosaic.skipped),
    )


@dataclass
class _Made:
    used: set[int] = field(default_factory=set)
    covered: int = 0


def _draw_all(
    mosaic: Mosaic, crs: Any, path: Path, contributions: Path, progress: Progress
) -> _Made:
    # A power of two, so that cells fall into windows.
    cell_px = 2 ** round(min(max(math.log2(_CELL_M / mosaic.gsd_m), 0), 6))
    made = _Made()
    profile = {
        "driver": "GTiff", "width": mosaic.width_px, "height": mosaic.height_px, "count": 4,
        "dtype": "uint8", "crs": crs, "transform": _transform(mosaic), "tiled": True,
        "blockxsize": 512, "blockysize": 512, "compress": "deflate", "zlevel": 1,
        "interleave": "pixel", "BIGTIFF": "IF_SAFER", "ALPHA": "UNSPECIFIED", "SPARSE_OK": True,
    }  # fmt: skip
    across = -(-mosaic.width_px // WINDOW_PX)
    total = across * -(-mosaic.height_px // WINDOW_PX)
    with (
        rasterio.open(path, "w", **profile) as target,
        _open_contributions(contributions, mosaic, crs, cell_px) as side,
    ):
        target.colorinterp = [
            ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha,
        ]  # fmt: skip
        for n, (left, top) in enumerate(_snake(mosaic.width_px, mosaic.height_px)):
            progress(n, total, "drawing")
            width = min(WINDOW_PX, mosaic.width_px - left)
            height = min(WINDOW_PX, mosaic.height_px - top)
            tile = mosaic.draw(left, top, width, height)
            seen = tile.labels >= 0
            if not seen.any():
                continue
            target.write(np.moveaxis(tile.colours, -1, 0), window=Window(left, top, width, height))
            made.covered += int(seen.sum())
            bands = _cells(mosaic, tile, left, top, cell_px)
            made.used |= {int(n) - 1 for n in np.unique(bands[0]) if np.isfinite(n)}
            rows, columns = bands.shape[1:]
            side.write(bands, window=Window(left // cell_px, top // cell_px, columns, rows))
    progress(total, total, "drawing")
    return made


def _snake(width_px: int, height_px: int) -> Iterator[tuple[int, int]]:
    """Windows row by row, to and fro, so that the next one needs much the same frames."""
    for row, top in enumerate(range(0, height_px, WINDOW_PX)):
        columns = range(0, width_px, WINDOW_PX)
        for left in columns if row % 2 == 0 else reversed(columns):
            yield left, top


def _cells(
    mosaic: Mosaic, tile: Tile, left: int, top: int, cell_px: int
) -> npt.NDArray[np.float32]:
    """(3, rows, columns) frame, angle and GSD; the pixel at a cell's middle stands for it."""
    angle, gsd_m = mosaic.angle_and_gsd(tile, left, top)
    height, width = tile.labels.shape
    where = np.ix_(
        np.minimum(np.arange(0, height, cell_px) + cell_px // 2, height - 1),
        np.minimum(np.arange(0, width, cell_px) + cell_px // 2, width - 1),
    )
    frame = (tile.labels[where] + 1).astype(np.float32)
    frame[frame == 0] = np.nan
    return np.stack([frame, angle[where], gsd_m[where]])


def _transform(mosaic: Mosaic) -> Affine:
    return Affine(mosaic.gsd_m, 0, mosaic.west_m, 0, -mosaic.gsd_m, mosaic.north_m)


def _open_contributions(path: Path, mosaic: Mosaic, crs: Any, cell_px: int) -> Any:
    rows, columns = -(-mosaic.height_px // cell_px), -(-mosaic.width_px // cell_px)
    # Blocks fall into windows, so that each is written once.
    block = min(256, max(16, WINDOW_PX // cell_px))
    target = rasterio.open(
        path, "w", driver="GTiff", width=columns, height=rows, count=3, dtype="float32",
        nodata=np.nan, crs=crs, transform=_transform(mosaic) * Affine.scale(cell_px),
        tiled=True, blockxsize=block, blockysize=block, compress="deflate", predictor=3,
        SPARSE_OK=True,
    )  # fmt: skip
    target.descriptions = ("frame", "view_angle_deg", "gsd_m")
    target.update_tags(version=str(CONTRIBUTIONS_VERSION))
    return target


def _to_cog(source: Path, target: Path, compress: str) -> None:
    if compress not in _COMPRESSIONS:
        raise ValueError(f"compress is one of {COMPRESSIONS}, not {compress}")
    rasterio.shutil.copy(
        source, target, driver="COG", BLOCKSIZE="512", OVERVIEWS="IGNORE_EXISTING",
        RESAMPLING="AVERAGE", BIGTIFF="IF_SAFER", NUM_THREADS="1", SPARSE_OK="TRUE",
        **_COMPRESSIONS[compress],
    )  # fmt: skip


def _check_whole(path: Path) -> None:
    """Reads each block once: GDAL reports a full disk only in its log when it closes a file."""
    with rasterio.open(path) as source:
        for _, window in source.block_windows(1):
            source.read(window=window)


@contextlib.contextmanager
def _saying_what_is_full(out: Path) -> Iterator[None]:
    try:
        yield
    except (RasterioError, CPLE_BaseError) as error:
        raise InputError(
            out, f"could not be written whole ({error}); nothing was left", "room on the disk"
        ) from error
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS):
            raise
        raise InputError(
            out, f"cannot be written ({error.strerror})", "a folder with room to write in"
        ) from error


def copy_as_cog(
    source: Path, out: Path, compress: str = "deflate", progress: Progress = silent
) -> None:
    """An orthophoto from elsewhere as a COG with overviews; bands, nodata and alpha as they are.

    Raises:
        InputError: if it cannot be read or written.
    """
    with _saying_what_is_full(out), atomic_path(out) as partial:
        progress(0, 0, "making it cloud-optimised")
        with rasterio.open(source) as opened:
            lossy_fits = opened.dtypes[0] == "uint8" and opened.count in (1, 3, 4)
        if compress != "deflate" and not lossy_fits:
            raise InputError(source, f"{compress} needs 8-bit colour", "--compress deflate")
        _to_cog(source, partial, compress)
        _check_whole(partial)
