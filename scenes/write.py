"""Writes a scene's files, window by window."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import geopandas
import numpy as np
import rasterio
import rasterio.shutil
import shapely
from affine import Affine
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError
from rasterio.windows import Window as RasterWindow

from corridor import InputError, Progress, atomic_path, silent, write_json
from corridor.findings import FenceState, write_gpkg
from scenes.grid import Window
from scenes.layout import EPSG, Layout, lay_out
from scenes.render import Renderer
from scenes.spec import SCENE_VERSION, SceneSpec
from scenes.truth import Truth, tell_truth

_TILE_PX = 1024
_MODEL_PX_M = 0.1
_PLANNING_PX_M, _PLANNING_MARGIN_PX = 1.0, 150  # aircraft turn beyond the picture's edge
_EXCLUSION_M = 3.0  # to both sides: a line drawn 2 m off still passes through
_CACHE_MB = 192  # GDAL would take a twentieth of the machine's memory


def generate(spec: SceneSpec, out: str | Path, progress: Progress = silent) -> Path:
    """Writes a scene's files into folder `out`, each whole or not at all.

    `ortho.tif` (COG, RGB and alpha), `dsm.tif`, `dem.tif` (COG, float32 metres above the sea, 0.1 m
    pixels), `planning_dem.tif` (the surface every metre, 150 m farther), `boundaries.geojson`,
    `truth.gpkg` and `scene.json`, all in EPSG:32648 or WGS 84.

    Returns:
        The folder.
    """
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    _sweep(folder)
    layout = lay_out(spec)
    truth = tell_truth(layout)
    renderer = Renderer.of(layout)
    ortho_grid, model_grid = grid_of(layout, spec.gsd_m), grid_of(layout, _MODEL_PX_M)
    total = ortho_grid.width * ortho_grid.height * 1.15
    done = _write_ortho(renderer, ortho_grid, folder / "ortho.tif", progress, total)
    _write_models(renderer, model_grid, folder)
    progress(done * 1.1, total, "truth")
    _write_boundaries(truth, folder / "boundaries.geojson")
    _write_exclusions(truth, folder / "exclusions.geojson")
    write_gpkg(folder / "truth.gpkg", truth.findings, truth.pieces, truth.layers)
    _write_summary(layout, truth, folder / "scene.json")
    progress(total, total, "done")
    return folder


def _sweep(folder: Path) -> None:
    """Removes what a run that was killed left behind, unless another run is at work here."""
    left = list(folder.glob(".scene-*"))
    if any(_runs(path.name.split("-")[1]) for path in left):
        return
    for path in left:
        shutil.rmtree(path, ignore_errors=True)
    for name in ("ortho", "dsm", "dem", "planning_dem", "boundaries", "truth", "scene"):
        for path in folder.glob(f".{name}.????????.partial.*"):
            path.unlink(missing_ok=True)


def _runs(pid: str) -> bool:
    """Whether a process of this machine other than this one has the number."""
    if not pid.isdigit() or int(pid) == os.getpid():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def grid_of(layout: Layout, px_m: float) -> Window:
    """The whole picture as one window of pixels of `px_m`."""
    west, south, east, north = layout.bounds_m
    width, height = round((east - west) / px_m), round((north - south) / px_m)
    return Window(west, north, px_m, 0, 0, width, height)


def _tiles(grid: Window) -> list[Window]:
    # About 21 m of ground, so that memory does not depend on the pixel size, and that a window's
    # fields stay near the processor.
    size = max(512, min(_TILE_PX, 512 * round(21.0 / grid.px_m / 512)))
    return [
        dataclasses.replace(
            grid,
            col=col,
            row=row,
            width=min(size, grid.width - col),
            height=min(size, grid.height - row),
        )
        for row in range(0, grid.height, size)
        for col in range(0, grid.width, size)
    ]


def _transform(layout: Layout, grid: Window) -> Affine:
    (east, north), (aside, ahead) = layout.origin_m, layout.shift_m
    left, top = grid.left_m + east + aside, grid.top_m + north + ahead
    return Affine(grid.px_m, 0, left, 0, -grid.px_m, top)


def _write_cog(
    path: Path,
    layout: Layout,
    grid: Window,
    count: int,
    dtype: str,
    cog: dict[str, str | int],
    draw: Callable[[Window], np.ndarray],
    after: Callable[[Window], None],
) -> None:
    profile = {
        "driver": "GTiff",
        "width": grid.width,
        "height": grid.height,
        "count": count,
        "dtype": dtype,
        "crs": f"EPSG:{EPSG}",
        "transform": _transform(layout, grid),
        "tiled": True,
        "blockxsize": 512,
        "blockysize": 512,
        "compress": "zstd",
        "zstd_level": 1,
        "sparse_ok": True,
        "bigtiff": "if_safer",
    }
    with (
        _saying_what_is_full(path),
        rasterio.Env(GDAL_CACHEMAX=_CACHE_MB),
        atomic_path(path) as partial,
        tempfile.TemporaryDirectory(prefix=f".scene-{os.getpid()}-", dir=path.parent) as scratch,
    ):
        raw = Path(scratch) / "raw.tif"
        with rasterio.open(raw, "w", **profile) as sink:
            if count == 4:
                sink.colorinterp = [
                    rasterio.enums.ColorInterp[name] for name in ("red", "green", "blue", "alpha")
                ]
            for tile in _tiles(grid):
                values = draw(tile).reshape(count, tile.height, tile.width)
                if values.any():
                    where = RasterWindow(tile.col, tile.row, tile.width, tile.height)
                    sink.write(values, window=where)
                after(tile)
        # Empty corners of the rectangle round a road that runs aslant take neither time nor room.
        rasterio.shutil.copy(raw, partial, driver="COG", sparse_ok=True, **cog)
        with rasterio.open(partial) as written:
            # GDAL tells of a full disk at the end in its log alone; what is cut off is the end.
            written.read(window=RasterWindow(0, grid.height - 1, grid.width, 1))


@contextlib.contextmanager
def _saying_what_is_full(path: Path) -> Iterator[None]:
    try:
        yield
    except (RasterioError, CPLE_BaseError) as error:
        raise InputError(
            path, f"could not be written whole ({error}); no part of it was left",
            "room on the disk, some 4 bytes a pixel while it is made",
        ) from error  # fmt: skip


def _write_ortho(
    renderer: Renderer, grid: Window, path: Path, progress: Progress, total: float
) -> float:
    done = 0.0

    def after(tile: Window) -> None:
        nonlocal done
        done += tile.width * tile.height
        progress(done, total, "orthophoto")

    cog: dict[str, str | int] = {
        "compress": "jpeg", "quality": renderer.layout.mosaic.quality,
        "overview_quality": 85, "blocksize": 512,
        "overview_resampling": "average",
    }  # fmt: skip
    _write_cog(path, renderer.layout, grid, 4, "uint8", cog, renderer.ortho, after)
    return done


def _write_models(renderer: Renderer, grid: Window, folder: Path) -> None:
    cog: dict[str, str | int] = {
        "compress": "deflate", "predictor": 3, "blocksize": 512, "overview_resampling": "average",
    }  # fmt: skip
    for name, draw in (("dsm", renderer.surface), ("dem", renderer.ground)):
        _write_cog(folder / f"{name}.tif", renderer.layout, grid, 1, "float32", cog, draw, _nothing)
    wide = grid_of(renderer.layout, _PLANNING_PX_M).grown(_PLANNING_MARGIN_PX)
    wide = Window(wide.x_m(-0.5), wide.y_m(-0.5), wide.px_m, 0, 0, wide.width, wide.height)
    planning, surface = folder / "planning_dem.tif", renderer.surface
    _write_cog(planning, renderer.layout, wide, 1, "float32", cog, surface, _nothing)


def _nothing(tile: Window) -> None:
    pass


def _write_boundaries(truth: Truth, path: Path) -> None:
    table = geopandas.GeoDataFrame(
        [
            {
                "route": b.route,
                "side": b.side.value,
                "chainage_start_m": b.chainage_start_m[0],
                "fence_height_m": b.fence_height_m,
                "post_spacing_m": b.post_spacing_m,
                "offset_tolerance_m": b.offset_tolerance_m,
            }
            for b in truth.boundaries
        ],
        geometry=[shapely.LineString(b.parts[0]) for b in truth.boundaries],
        crs="EPSG:4326",
    )
    with atomic_path(path) as partial:
        table.to_file(partial, driver="GeoJSON", COORDINATE_PRECISION=9)


def _write_exclusions(truth: Truth, path: Path) -> None:
    """Polygons around the fence lines where none stands: tunnel, viaduct, bridge."""
    pieces = [piece for piece in truth.pieces if piece.state is FenceState.NO_FENCE]
    path.unlink(missing_ok=True)
    if not pieces:
        return
    lines = geopandas.GeoSeries([piece.geometry for piece in pieces], crs="EPSG:4326")
    areas = lines.to_crs(EPSG).buffer(_EXCLUSION_M, cap_style="flat").to_crs("EPSG:4326")
    table = geopandas.GeoDataFrame({"reason": [piece.reason for piece in pieces]}, geometry=areas)
    with atomic_path(path) as partial:
        table.to_file(partial, driver="GeoJSON", COORDINATE_PRECISION=9)


def _write_summary(layout: Layout, truth: Truth, path: Path) -> None:
    spec = layout.spec
    write_json(
        path,
        {
            "version": SCENE_VERSION,
            "seed": spec.seed,
            "parameters": {
                key: (value.value if hasattr(value, "value") else value)
                for key, value in dataclasses.asdict(spec).items()
            },
            "crs": f"EPSG:{EPSG}",
            "season": layout.season.value,
            "sun": dataclasses.asdict(layout.sun),
            "fences": [
                {
                    "side": fence.side.value,
                    "kind": fence.style.kind.value,
                    "colour": fence.style.colour,
                    "lookalikes": layout.lookalikes[fence.side.value],
                    "length_m": round(fence.line.length_m, 2),
                    "breaches": len(fence.breaches),
                }
                for fence in layout.fences
            ],
            "shift_m": layout.shift_m,
            "footpaths": len(layout.paths),
            "plots": len(layout.plots),
        },
    )
