"""From light to the stored picture: pixel averaging, optics, exposure, grain."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from scenes.noise import Float32Array

ByteArray = npt.NDArray[np.uint8]


@njit(cache=True)
def average(values: Float32Array, factor: int) -> Float32Array:
    """(H, W, 3) to pixels `factor` times larger."""
    height, width = values.shape[0] // factor, values.shape[1] // factor
    out = np.zeros((height, width, 3), np.float32)
    share = np.float32(1.0 / (factor * factor))
    for j in range(height):
        for v in range(factor):
            line = values[j * factor + v]
            for i in range(width):
                for u in range(factor):
                    for c in range(3):
                        out[j, i, c] += line[i * factor + u, c] * share
    return out


def blur(values: Float32Array, sigma_px: float, sharpening: float, halo: int) -> Float32Array:
    """Optical blur and the camera's sharpening of (H, W, 3), `halo` pixels less on each side."""
    offsets = np.arange(-halo, halo + 1)
    wide = np.exp(-0.5 * (offsets / (sigma_px * 1.9)) ** 2)
    narrow = np.exp(-0.5 * (offsets / sigma_px) ** 2)
    kernel = (1.0 + sharpening) * narrow / narrow.sum() - sharpening * wide / wide.sum()
    return _separable(values, kernel.astype(np.float32), halo)


@njit(cache=True)
def _separable(values: Float32Array, kernel: Float32Array, halo: int) -> Float32Array:
    height, width = values.shape[0] - 2 * halo, values.shape[1] - 2 * halo
    rows = np.zeros((values.shape[0], width, 3), np.float32)
    out = np.zeros((height, width, 3), np.float32)
    for j in range(values.shape[0]):
        for k in range(2 * halo + 1):
            w = kernel[k]
            for i in range(width):
                for c in range(3):
                    rows[j, i, c] += w * values[j, i + k, c]
    for j in range(height):
        for k in range(2 * halo + 1):
            w = kernel[k]
            for i in range(width):
                for c in range(3):
                    out[j, i, c] += w * rows[j + k, i, c]
    return out


def _srgb_table() -> npt.NDArray[np.float32]:
    x = np.linspace(0.0, 1.0, 4097)
    return np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055).astype(np.float32)


_SRGB = _srgb_table() * np.float32(255.0)


def develop(
    radiance: Float32Array, grain: Float32Array, gains: Float32Array, exposure: float, haze: float,
    noise: float, mask: ByteArray, out: ByteArray,
) -> None:  # fmt: skip
    """Exposure, haze, the sRGB curve and grain, to 8 bits in `out` (4, H, W), alpha left alone.

    Args:
        radiance: (H, W, 3); grain: (H, W) of unit variance; gains: (3, H, W).
        noise: grain's standard deviation in grey levels.
    """
    _develop(radiance, grain, gains, exposure, haze, noise, mask, out, _SRGB)


@njit(cache=True)
def _develop(
    radiance: Float32Array,
    grain: Float32Array,
    gains: Float32Array,
    exposure: float,
    haze: float,
    noise: float,
    mask: ByteArray,
    out: ByteArray,
    curve: Float32Array,
) -> None:
    clear, veil = np.float32(exposure * (1.0 - haze)), np.float32(haze)
    for c in range(3):
        for j in range(grain.shape[0]):
            for i in range(grain.shape[1]):
                if mask[j, i] == 0:
                    continue
                v = (radiance[j, i, c] * clear + veil) * gains[c, j, i] * np.float32(4096.0)
                if v >= 4095.0:
                    v = 4095.0
                elif v < 0.0:
                    v = 0.0
                k = int(v)
                level = curve[k] + (curve[k + 1] - curve[k]) * (v - k)
                level += np.float32(noise) * grain[j, i]
                out[c, j, i] = np.uint8(min(254.5, max(0.0, level)) + 0.5)
