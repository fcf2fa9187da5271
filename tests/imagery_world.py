"""A small world to photograph: rolling ground with a texture, a box upon it, and a fence."""

from pathlib import Path

import cv2
import geopandas
import numpy as np
import pyproj
import rasterio
import shapely
from affine import Affine

from corridor.camera import Camera
from corridor.findings import (
    BreachType,
    FencePiece,
    FenceState,
    Finding,
    FindingKind,
    write_gpkg,
)
from corridor.shots import Shot, turned_to_grid, write_shots
from corridor.values import Side
from sitl.camera import RECEIVERS, CameraSpec, render_flight

CRS = "EPSG:32648"
WEST, NORTH = 620000.0, 2945100.0
WIDTH_M, HEIGHT_M = 48.0, 32.0
GSD_M = 0.1
GROUND_M = 800.0
BOX = (20.0, 12.0, 26.0, 18.0, 4.0)  # west, south, east, north from the corner, height
CAMERA = Camera(320, 240, 260.0, None, 160.9, 118.2, -0.05, 0.01, 0.0005, -0.0003, name="small")


def texture(rng, rows, columns):
    """Coloured detail of 2 to 40 pixels, so that a shift shows everywhere."""
    out = np.zeros((rows, columns, 3), dtype=np.float32)
    for sigma_px in (1.5, 4.0, 12.0):
        layer = cv2.GaussianBlur(rng.standard_normal((rows, columns, 3)), (0, 0), sigma_px)
        out += (layer / layer.std() * 16.0).astype(np.float32)
    return np.clip(out + 120.0, 20, 235).astype(np.uint8)


def write_scene(folder: Path, box=True, fence=False):
    """ortho.tif, dsm.tif and, with a fence, dem.tif and truth.gpkg."""
    folder.mkdir(parents=True, exist_ok=True)
    rows, columns = round(HEIGHT_M / GSD_M), round(WIDTH_M / GSD_M)
    picture = texture(np.random.default_rng(5), rows, columns)
    x = (np.arange(columns) + 0.5) * GSD_M
    y = (np.arange(rows) + 0.5) * GSD_M
    ground = GROUND_M + 1.0 * np.sin(x / 9.0)[None, :] + 0.8 * np.cos(y / 7.0)[:, None]
    surface = ground.copy()
    if box:
        west, south, east, north, tall = BOX
        inside = ((x >= west) & (x < east))[None, :] & (
            (HEIGHT_M - y >= south) & (HEIGHT_M - y < north)
        )[:, None]
        surface[inside] = GROUND_M + tall
        picture[inside] = (200, 60, 60)
    if fence:
        ground[:] = surface[:] = GROUND_M
    transform = Affine(GSD_M, 0, WEST, 0, -GSD_M, NORTH)
    shared = {"width": columns, "height": rows, "crs": CRS, "transform": transform}
    with rasterio.open(
        folder / "ortho.tif", "w", "GTiff", count=3, dtype="uint8", **shared
    ) as target:
        target.write(np.moveaxis(picture, -1, 0))
    for name, heights in (("dsm", surface), ("dem", ground)):
        with rasterio.open(
            folder / f"{name}.tif", "w", "GTiff", count=1, dtype="float32", **shared
        ) as target:
            target.write(heights.astype(np.float32), 1)
    if fence:
        _write_truth(folder)
    return folder


def lonlat(x_m, y_m):
    """Of metres east and north of the world's south-west corner."""
    to_lonlat = pyproj.Transformer.from_crs(CRS, "EPSG:4326", always_xy=True)
    return to_lonlat.transform(WEST + x_m, NORTH - HEIGHT_M + y_m)


def _write_truth(folder):
    line = shapely.LineString([lonlat(2, 16), lonlat(46, 16)])
    gap = shapely.LineString([lonlat(20, 16), lonlat(26, 16)])
    table = geopandas.GeoDataFrame(
        {"height_m": [2.0], "post_spacing_m": [3.0], "fence_kind": ["concrete_panel"]},
        geometry=[line],
        crs="EPSG:4326",
    )
    breach = Finding("b1", FindingKind.BREACH, gap, 1.0, breach_type=BreachType.GAP)
    piece = FencePiece(line, "G1", Side.LEFT, 0.0, 44.0, FenceState.INTACT)
    write_gpkg(folder / "truth.gpkg", [breach], [piece], {"fence_line": table})


def shot_at(index, x_m, y_m, height_m, yaw_deg=0.0, pitch_deg=-90.0, time_ms=None):
    """A shot at metres from the south-west corner, its yaw from grid north."""
    lon, lat = lonlat(x_m, y_m)
    yaw = yaw_deg - turned_to_grid(pyproj.CRS(CRS), lon, lat)
    time_ms = 60_000 + 1500 * index if time_ms is None else time_ms
    altitude = GROUND_M + height_m
    return Shot(index, lon, lat, altitude, height_m, yaw, 0.0, 0.0, time_ms, (yaw, pitch_deg, 0.0))


def nadir_shots(height_m=22.0, step_m=6.0):
    """Two lanes, to and fro."""
    shots = []
    for lane, y_m in enumerate((11.0, 21.0)):
        columns = np.arange(8.0, WIDTH_M - 7.0, step_m)
        for x_m in columns if lane == 0 else columns[::-1]:
            yaw = 90.0 if lane == 0 else 270.0
            shots.append(shot_at(len(shots) + 1, float(x_m), y_m, height_m, yaw))
    return shots


def photograph(folder, scene, shots, **changes):
    """Frames of a scene from shots; returns the folder of frames."""
    write_shots(folder / "photos.csv", shots)
    settings = {"camera": CAMERA, "receiver": RECEIVERS["perfect"], "quality": 96, **changes}
    spec = CameraSpec(**settings)
    render_flight(folder, scene, spec, folder / "frames")
    return folder / "frames"
