"""Strips the fence network learns from."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from analysis.training.fence_paint import CROP, IGNORE
from analysis.training.fence_strips import Sample, draw, load_ground
from corridor import InputError

GAP = 1


def picture(path: Path, rows: int, columns: int) -> Path:
    """Ground that is lighter to the right: 100 to 200 of red, 50 of green."""
    bands = np.zeros((3, rows, columns), np.uint8)
    bands[0], bands[1] = np.linspace(100, 200, columns), 50
    with rasterio.open(
        path, "w", driver="GTiff", width=columns, height=rows, count=3, dtype="uint8",
        crs="EPSG:32648", transform=Affine(0.05, 0, 5e5, 0, -0.05, 3.3e6), photometric="rgb",
    ) as file:  # fmt: skip
        file.write(bands)
    return path


def test_ground_is_cut_into_strips_of_which_nothing_is_known(tmp_path: Path) -> None:
    strips = load_ground(picture(tmp_path / "a.tif", 1200, 1600), np.random.default_rng(1))
    assert len(strips) == 6
    for strip in strips:
        assert strip.valid.all()
        assert strip.rgb.shape[1] >= CROP
        assert (strip.rgb[..., 1] == 50).all()
        assert not strip.fenced
        assert (strip.state == IGNORE).all()
    slopes = [float(np.ptp(strip.rgb[0, :, 0].astype(int))) for strip in strips]
    assert max(slopes) > 2 * min(slopes)  # this way and that


def test_ground_without_room_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="200 by 100 pixels"):
        load_ground(picture(tmp_path / "a.tif", 100, 200), np.random.default_rng(1))


def test_a_fence_is_always_painted_on_ground_of_which_nothing_is_known() -> None:
    rgb, valid = np.full((840, 300, 3), 120, np.uint8), np.ones((840, 300), np.bool_)
    unknown = Sample(rgb, valid, np.full(300, IGNORE, np.int8), fenced=False)
    open_ground = Sample(rgb, valid, np.full(300, GAP, np.int8), fenced=False)
    lines = {}
    for name, sample in (("unknown", unknown), ("open", open_ground)):
        rng = np.random.default_rng(2)
        drawn = [draw(sample, rng) for _ in range(30)]
        lines[name] = np.mean([np.isfinite(line).all() for _, line, _ in drawn])
        for _, line, state in drawn:
            if np.isnan(line).all():
                assert (state == GAP).all()
    assert lines["unknown"] == 1.0
    assert 0.5 < lines["open"] < 1.0
