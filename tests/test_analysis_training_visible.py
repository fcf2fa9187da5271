"""Which painted paths a picture shows."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.training.footpaths_visible import LEAST_SEEN, contrast

GSD_M = 0.1
SIZE = 200


def picture(width_m: float, lighter: float, noise: float = 6.0) -> tuple[np.ndarray, np.ndarray]:
    """Ground with a straight path down its middle: (SIZE, SIZE, 3) uint8, and where it is."""
    rng = np.random.default_rng(4)
    rgb = rng.normal((110, 120, 80), noise, (SIZE, SIZE, 3))
    path = np.zeros((SIZE, SIZE), bool)
    half = round(width_m / GSD_M / 2)
    path[:, SIZE // 2 - half : SIZE // 2 + half] = True
    rgb[path] += lighter
    return rgb.clip(0, 255).astype(np.uint8), path


def seen_share(rgb: np.ndarray, path: np.ndarray, known: np.ndarray | None = None) -> float:
    known = np.ones_like(path) if known is None else known
    return float((contrast(rgb, path, known, GSD_M)[path] >= LEAST_SEEN).mean())


@pytest.mark.parametrize("width_m", [0.4, 0.8, 2.4])
@pytest.mark.parametrize("lighter", [25.0, -25.0])
def test_worn_path_is_seen_whatever_its_width(width_m: float, lighter: float) -> None:
    assert seen_share(*picture(width_m, lighter)) > 0.95


@pytest.mark.parametrize("width_m", [0.4, 0.8, 2.4])
def test_path_that_looks_as_its_ground_is_not(width_m: float) -> None:
    assert seen_share(*picture(width_m, 0.0)) < 0.05


def test_rough_ground_hides_what_smooth_ground_shows() -> None:
    rng = np.random.default_rng(1)
    rgb, path = picture(0.8, 8.0, noise=1.0)
    patches = np.kron(rng.normal(0, 30, (SIZE // 10, SIZE // 10)), np.ones((10, 10)))
    rough = (rgb + patches[..., None]).clip(0, 255).astype(np.uint8)
    assert seen_share(rgb, path) > 0.95
    assert seen_share(rough, path) < 0.5


def test_floats_say_what_bytes_say() -> None:
    rgb, path = picture(0.8, 12.0)
    known = np.ones_like(path)
    of_floats = contrast(rgb.astype(np.float32) / 255, path, known, GSD_M)
    np.testing.assert_allclose(of_floats, contrast(rgb, path, known, GSD_M), atol=1e-3)
