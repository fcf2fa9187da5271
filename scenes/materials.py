"""What the ground is made of: reflectance and texture of each material."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scenes.noise import Float32Array


@dataclass(frozen=True)
class Material:
    """Linear reflectance and texture.

    Attributes:
        base: red, green, blue reflectance.
        lightness: log-lightness of fine (1–8 cm), middle (16–64 cm), coarse (1–20 m) texture.
        tint: direction of the colour texture in log reflectance; tint_amounts: middle and coarse.
    """

    base: tuple[float, float, float]
    lightness: tuple[float, float, float]
    tint: tuple[float, float, float] = (1.0, 0.0, -0.3)
    tint_amounts: tuple[float, float] = (0.0, 0.0)

    @property
    def arrays(self) -> tuple[Float32Array, Float32Array, Float32Array, Float32Array]:
        """Base, lightness, tint and tint amounts as float32."""
        return (
            np.array(self.base, np.float32),
            np.array(self.lightness, np.float32),
            np.array(self.tint, np.float32),
            np.array(self.tint_amounts, np.float32),
        )


ASPHALT = Material((0.115, 0.115, 0.118), (0.10, 0.04, 0.06), (0.3, 0.1, -0.3), (0.02, 0.04))
MARKING = Material((0.55, 0.55, 0.53), (0.10, 0.10, 0.05))
CONCRETE = Material((0.34, 0.33, 0.30), (0.10, 0.08, 0.10), (0.5, 0.1, -0.5), (0.03, 0.05))
STEEL = Material((0.40, 0.41, 0.42), (0.05, 0.05, 0.05))
SOIL = Material((0.30, 0.22, 0.145), (0.16, 0.12, 0.16), (0.3, 0.0, -0.5), (0.08, 0.12))
GRAVEL = Material((0.34, 0.32, 0.28), (0.25, 0.10, 0.08))
GRASS_MOWN = Material((0.075, 0.105, 0.045), (0.20, 0.13, 0.14), (0.9, -0.05, 0.25), (0.13, 0.22))
GRASS_WILD = Material((0.055, 0.085, 0.032), (0.28, 0.24, 0.24), (0.9, -0.10, 0.30), (0.20, 0.30))
LITTER = Material((0.16, 0.12, 0.075), (0.28, 0.16, 0.12), (0.5, 0.1, -0.2), (0.10, 0.15))
LEAVES = Material((0.045, 0.075, 0.030), (0.42, 0.30, 0.12), (0.8, -0.1, 0.2), (0.20, 0.20))
