"""How different two reflectances look."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
_WHITE = _XYZ.sum(axis=1)
EXPOSURE = 1.75
"""Of a picture in which a reflectance of 0.57 is white, as drone cameras expose fields."""


def lab(reflectance: npt.ArrayLike, exposure: float = EXPOSURE) -> npt.NDArray[np.float64]:
    """CIELAB (..., 3) of linear red, green, blue (..., 3) in even light (sRGB primaries, D65)."""
    light = np.clip(np.asarray(reflectance, dtype=np.float64) * exposure, 0.0, 1.0)
    ratio = light @ _XYZ.T / _WHITE
    f = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16.0 / 116.0)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)], axis=-1)
