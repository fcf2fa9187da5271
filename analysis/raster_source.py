"""The files behind an orthophoto: what each is, whether it is usable, and its pixels by window."""

from __future__ import annotations

import atexit
import math
import warnings
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import rasterio
from affine import Affine
from pyproj import CRS, Geod, Transformer
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from corridor import InputError

ByteArray = npt.NDArray[np.uint8]
BoolArray = npt.NDArray[np.bool_]
Bounds = tuple[float, float, float, float]
"""West, south, east, north in the orthophoto's CRS."""

_SCALE_TOLERANCE = 0.005
"""UTM and Gauss-Krüger stay within 0.2 % of true lengths anywhere near their zone."""
_COLLAR_PX = 15
"""A square of this size without any contrast, black or white, holds no picture."""
_COLLAR_GROW_PX = 4
HALO_PX = _COLLAR_PX + _COLLAR_GROW_PX
"""How far beyond a window one must read for its validity to be the same as in any other window."""


@dataclass(frozen=True)
class Source:
    """One file as it is read: through a warp if its own grid is not north up in true metres.

    `overviews` are their widths and heights, which some writers round up and others down;
    `one_mask` says that all bands share one mask, `collars` whether black, and whether white, fills
    the rim where no mask says so.
    """

    path: Path
    crs: CRS
    transform: Affine
    width: int
    height: int
    bands: tuple[int, int, int]
    alpha: int | None
    declared_mask: bool
    dtype: str
    overviews: tuple[tuple[int, int], ...]
    warp: bool
    one_mask: bool = False
    collars: tuple[bool, bool] = (False, False)

    @property
    def bounds(self) -> Bounds:
        """Of the whole file."""
        west, north = self.transform @ (0, 0)
        east, south = self.transform @ (self.width, self.height)
        return (west, south, east, north)


@dataclass(frozen=True)
class Level:
    """The full picture (`index` None) or one of its overviews."""

    index: int | None
    width: int
    height: int
    pixel_x_m: float
    pixel_y_m: float


def level_for(source: Source, pixel_m: float) -> Level:
    """The coarsest level that is no coarser than `pixel_m`."""
    a, e = source.transform.a, -source.transform.e
    best = Level(None, source.width, source.height, a, e)
    for index, (width, height) in enumerate(source.overviews):
        x_m, y_m = a * source.width / width, e * source.height / height
        if max(x_m, y_m) <= pixel_m * 1.001:
            best = Level(index, width, height, x_m, y_m)
    return best


_KEPT_OPEN = 8
_open: OrderedDict[tuple[Any, ...], Any] = OrderedDict()
"""Datasets of this process, the one used last at the end. GDAL drops what it has decoded of a file
when that is closed, and neighbouring windows share most of their blocks."""


@contextmanager
def opened(source: Source, level: Level | None = None) -> Iterator[Any]:
    """The dataset at a level, for a `with` block; it stays open for the next. Not for threads."""
    index = None if level is None else level.index
    key = (source.path, source.warp, index, *version_of(source.path))
    dataset = _open.pop(key, None)
    if dataset is None:
        dataset = _opened(source, index)
    _open[key] = dataset
    while len(_open) > _KEPT_OPEN:
        _open.popitem(last=False)[1].close()
    yield dataset


@atexit.register
def close_all() -> None:
    """Closes what `opened` keeps open."""
    while _open:
        _open.popitem()[1].close()


Version = tuple[int, int, int]


def version_of(path: Path) -> Version:
    """Changes when a file is written anew."""
    stat = path.stat()
    return (stat.st_ino, stat.st_size, stat.st_mtime_ns)


def _opened(source: Source, index: int | None) -> Any:
    options = {} if index is None else {"overview_level": index}
    dataset = rasterio.open(source.path, **options)
    if not source.warp:
        return dataset
    return WarpedVRT(
        dataset,
        crs=source.crs.to_wkt(),
        transform=source.transform,
        width=source.width,
        height=source.height,
        resampling=Resampling.bilinear,
        add_alpha=dataset.count == 3 or ColorInterp.alpha not in dataset.colorinterp,
    )


def read_window(
    source: Source,
    dataset: Any,
    box: tuple[int, int, int, int],
    stretch_dn: tuple[float, float] | None,
) -> tuple[ByteArray, BoolArray]:
    """Colours (H, W, 3) uint8 and validity (H, W) of columns x0..x1 and rows y0..y1."""
    x0, y0, x1, y1 = box
    window = Window(x0, y0, x1 - x0, y1 - y0)
    try:
        bands = dataset.read(list(source.bands), window=window)
        if source.alpha is not None:
            good = dataset.read(source.alpha, window=window) > 0
        elif source.declared_mask:
            # A pixel is missing when every band says so: a single dark band is a dark pixel.
            masks = source.bands[:1] if source.one_mask else source.bands
            good = dataset.read_masks(list(masks), window=window).max(axis=0) > 0
        else:
            good = np.ones(bands.shape[1:], np.bool_)
    except RasterioError as error:
        raise InputError(
            source.path, f"cannot be read near row {y0}, column {x0} ({error})", "is it damaged?"
        ) from error
    if any(source.collars):
        good &= ~_collar(bands, source.collars)
    if stretch_dn is not None:
        low, high = stretch_dn
        table = (np.arange(65536, dtype=np.float64) - low) * (255.0 / (high - low)) + 0.5
        bands = np.clip(table, 0, 255).astype(np.uint8)[bands]
    return cv2.merge(list(bands)), good


def _rims(bands: npt.NDArray[Any]) -> tuple[BoolArray, BoolArray]:
    """Where (3, H, W) bands are black, and where they are white, within what JPEG ripples."""
    top = 255 if bands.dtype == np.uint8 else 65535
    slack = 3 * top // 255
    return bands.max(axis=0) <= slack, bands.min(axis=0) >= top - slack


def _collar(bands: npt.NDArray[Any], collars: tuple[bool, bool]) -> BoolArray:
    """Where a file holds nothing though its mask does not say so: flat squares of collar."""
    empty = np.zeros(bands.shape[1:], np.bool_)
    square = np.ones((_COLLAR_PX, _COLLAR_PX), np.uint8)
    for rim, used in zip(_rims(bands), collars, strict=True):
        if not used or not rim.any():
            continue
        # What lies beyond the picture counts as empty in shrinking, and as nothing in growing.
        core = cv2.erode(
            rim.astype(np.uint8), square, borderType=cv2.BORDER_CONSTANT, borderValue=1
        )
        core = cv2.dilate(core, square)
        grown = cv2.dilate(core, np.ones((2 * _COLLAR_GROW_PX + 1,) * 2, np.uint8))
        empty |= core.astype(np.bool_) | (grown.astype(np.bool_) & rim)
    return empty


_RIM_FACTOR = 4
"""A rim that is narrower than this is no collar that matters."""


def _collars_of(source: Source) -> tuple[bool, bool]:
    """Whether black, and whether white, fills at least 1 % of the file's outermost valid pixels.

    A mosaic written without alpha, or with one that is opaque throughout, fills what it lacks with
    one of the two. A burnt-out roof or a black shadow inside a picture that has no such rim is a
    part of the picture.
    """
    level = level_for(source, _RIM_FACTOR * max(source.transform.a, -source.transform.e))
    with opened(source, level) as dataset:
        width, height = dataset.width, dataset.height
        counts = np.zeros(2)
        sides = [(0, 0, width, 1), (0, height - 1, width, height)]
        sides += [(0, 0, 1, height), (width - 1, 0, width, height)]
        for box in sides:
            colour, good = read_window(source, dataset, box, None)
            counts += [int((rim & good).sum()) for rim in _rims(colour.transpose(2, 0, 1))]
    needed = max(0.01 * 2 * (width + height), _COLLAR_PX)
    return bool(counts[0] >= needed), bool(counts[1] >= needed)


_known: dict[tuple[Path, Version], tuple[Source, bool]] = {}
"""What this process knows of files as they are: how each is read, whether it has a valid pixel."""


def describe(path: Path) -> tuple[Source, bool]:
    """What a file is and how it is to be read, and whether it has a valid pixel.

    It is looked at once in a process, or in another, see `learn`.

    Raises:
        InputError: if it is no picture in true metres with red, green and blue.
    """
    if not path.is_file() or path.stat().st_size == 0:
        source = _looked_at(path)
        return source, _any_valid(source)
    key = (path, version_of(path))
    if key not in _known:
        source = _looked_at(path)
        _known[key] = source, _any_valid(source)
    return _known[key]


def learn(described: Iterable[tuple[Source, bool]]) -> None:
    """Takes over what another process found out of files, as `describe` returned it there."""
    _known.update(((each[0].path, version_of(each[0].path)), each) for each in described)


def _looked_at(path: Path) -> Source:
    if path.is_dir():
        raise InputError(path, "is a folder", "name the orthophoto files themselves")
    if not path.exists():
        raise InputError(path, "no such file", "an orthophoto as GeoTIFF is expected")
    if path.stat().st_size == 0:
        raise InputError(path, "is empty (0 bytes)", "an orthophoto as GeoTIFF is expected")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path) as dataset:
                return _checked(path, dataset)
    except RasterioError as error:
        raise InputError(
            path, "is no picture that can be read", "an orthophoto as GeoTIFF is expected"
        ) from error


def _checked(path: Path, dataset: Any) -> Source:
    name = path.name
    if dataset.crs is None:
        problem = "has no georeference" if dataset.transform.is_identity else "carries no CRS"
        raise InputError(
            path,
            problem,
            "state it, if you know it, with: "
            + (
                f"gdal_translate -a_srs EPSG:… -a_ullr WEST NORTH EAST SOUTH {name} out.tif"
                if dataset.transform.is_identity
                else f"gdal_edit.py -a_srs EPSG:… {name}"
            ),
        )
    if dataset.transform.is_identity:
        raise InputError(
            path, "has a CRS but no position (identity geotransform)", "export it with its position"
        )
    crs = CRS.from_user_input(dataset.crs.to_wkt())
    middle = dataset.transform @ (dataset.width / 2, dataset.height / 2)
    if crs.is_geographic:
        raise InputError(
            path,
            f"is in degrees ({crs_name(crs)})",
            f"reproject it to metres with: gdalwarp -t_srs {_utm_of(*middle)} -r bilinear "
            f"-of COG {name} out.tif",
        )
    if not crs.is_projected:
        raise InputError(
            path, f"is in {crs_name(crs)}, which is not tied to the Earth", "a projected CRS"
        )
    if dataset.count < 3:
        bands = "1 band" if dataset.count == 1 else f"{dataset.count} bands"
        palette = dataset.count == 1 and dataset.colorinterp[0] is ColorInterp.palette
        raise InputError(
            path,
            f"has {bands}" + (" with a colour table" if palette else ""),
            f"expand it with: gdal_translate -expand rgb {name} out.tif"
            if palette
            else "red, green and blue are needed",
        )
    interpretation = dataset.colorinterp
    named = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
    rgb = [1, 2, 3]
    if all(colour in interpretation for colour in named):
        rgb = [interpretation.index(colour) + 1 for colour in named]
    dtype = dataset.dtypes[rgb[0] - 1]
    if dtype not in ("uint8", "uint16"):
        raise InputError(
            path,
            f"holds {dtype} numbers",
            "8 or 16 bit without sign are read; convert with: "
            f"gdal_translate -ot Byte -scale {name} out.tif",
        )
    alpha = (
        interpretation.index(ColorInterp.alpha) + 1 if ColorInterp.alpha in interpretation else None
    )
    declared = alpha is not None or any(
        MaskFlags.all_valid not in dataset.mask_flag_enums[band - 1] for band in rgb
    )
    transform, width, height = dataset.transform, dataset.width, dataset.height
    rotated = abs(transform.b) + abs(transform.d) > 1e-9 or transform.a <= 0 or transform.e >= 0
    warp = rotated or _metres_per_unit(crs, middle) is None
    if warp:
        if not rotated:
            to_degrees = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
            crs = CRS.from_user_input(_utm_of(*to_degrees.transform(*middle)))
        with WarpedVRT(dataset, crs=crs.to_wkt(), add_alpha=alpha is None) as vrt:
            transform, width, height = vrt.transform, vrt.width, vrt.height
            declared = True
            alpha = alpha if alpha is not None else vrt.count
    source = Source(
        path=path,
        crs=crs,
        transform=transform,
        width=width,
        height=height,
        bands=(rgb[0], rgb[1], rgb[2]),
        alpha=alpha,
        declared_mask=declared,
        dtype=dtype,
        overviews=() if warp else _overview_sizes(path, len(dataset.overviews(rgb[0]))),
        warp=warp,
        one_mask=not warp and MaskFlags.per_dataset in dataset.mask_flag_enums[rgb[0] - 1],
    )
    # A warp makes its own mask where the file has nothing.
    return source if warp else replace(source, collars=_collars_of(source))


def _overview_sizes(path: Path, count: int) -> tuple[tuple[int, int], ...]:
    sizes = []
    for index in range(count):
        with rasterio.open(path, overview_level=index) as dataset:
            sizes.append((dataset.width, dataset.height))
    return tuple(sizes)


def _metres_per_unit(crs: CRS, middle: tuple[float, float]) -> float | None:
    """Metres on the ground for one unit of the CRS; None if that is not one, within 0.5 %.

    Web Mercator stretches by 1 / cos(latitude), and some national grids are in feet.
    """
    to_degrees = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    lon, lat = to_degrees.transform([middle[0] - 5, middle[0] + 5], [middle[1], middle[1]])
    _, _, length_m = Geod(ellps="WGS84").inv(lon[0], lat[0], lon[1], lat[1])
    scale = length_m / 10.0
    return scale if abs(scale - 1.0) <= _SCALE_TOLERANCE else None


def _utm_of(lon_deg: float, lat_deg: float) -> str:
    zone = int((lon_deg + 180.0) // 6.0) % 60 + 1
    return f"EPSG:{(32600 if lat_deg >= 0 else 32700) + zone}"


def crs_name(crs: CRS) -> str:
    """The short name of a CRS, `EPSG:32651` where it has one."""
    authority = crs.to_authority()
    return ":".join(authority) if authority else str(crs.name)


def _any_valid(source: Source) -> bool:
    """Whether a file has a valid pixel; stops at the first block that has one."""
    level = level_for(source, math.inf) if source.overviews else None
    with opened(source, level) as dataset:
        side = 1024
        cells = [
            (x, y, min(x + side, dataset.width), min(y + side, dataset.height))
            for y in range(0, dataset.height, side)
            for x in range(0, dataset.width, side)
        ]
        # Middle first: the corners are what a picture most often lacks.
        cells.sort(
            key=lambda c: abs(c[0] + c[2] - dataset.width) + abs(c[1] + c[3] - dataset.height)
        )
        return any(bool(read_window(source, dataset, cell, None)[1].any()) for cell in cells)


@lru_cache(maxsize=8)
def stretch_of(sources: tuple[Source, ...], _versions: tuple[Version, ...]) -> tuple[float, float]:
    """What 16 bit is stretched from: the 0.5th and 99.5th percentile of a sample of all files.

    Args:
        sources: the files.
        _versions: of each; what was sampled holds as long as they do.
    """
    values = []
    for source in sources:
        level = level_for(source, math.inf) if source.overviews else None
        with opened(source, level) as dataset:
            side = 256
            across = np.linspace(0, max(dataset.width - side, 0), 8).astype(int)
            down = np.linspace(0, max(dataset.height - side, 0), 8).astype(int)
            for y in np.unique(down):
                for x in np.unique(across):
                    box = (
                        int(x),
                        int(y),
                        min(int(x) + side, dataset.width),
                        min(int(y) + side, dataset.height),
                    )
                    colour, good = read_window(source, dataset, box, None)
                    values.append(colour[good][::7].ravel())
    sample = np.concatenate(values)
    if sample.size == 0:
        return (0.0, 65535.0)
    low, high = np.percentile(sample, [0.5, 99.5])
    return (float(low), float(max(high, low + 1.0)))
