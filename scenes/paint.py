"""Painting with exact pixel coverage: materials by alpha, and thin things as swept segments."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from scenes.noise import Float32Array

FloatArray = npt.NDArray[np.float64]


@njit(cache=True)
def blend_material(
    albedo: Float32Array,
    alpha: Float32Array,
    base: Float32Array,
    texture: Float32Array,
    amounts: Float32Array,
    tint: Float32Array,
    tint_amounts: Float32Array,
) -> None:
    """Paints a textured material over `albedo` (H, W, 3) where `alpha` (H, W) is above 0.

    Args:
        base: (3,) reflectance.
        texture: (5, H, W) noise of unit variance: fine, middle and coarse lightness, middle and
            coarse tint.
        amounts: (3,) log-lightness per unit of fine, middle and coarse noise.
        tint: (3,) log-colour direction of the tint noise.
        tint_amounts: (2,) of the middle and coarse tint noise.
    """
    height, width = alpha.shape
    for j in range(height):
        for i in range(width):
            a = alpha[j, i]
            if a <= 0.0:
                continue
            light = (
                amounts[0] * texture[0, j, i]
                + amounts[1] * texture[1, j, i]
                + amounts[2] * texture[2, j, i]
            )
            hue = tint_amounts[0] * texture[3, j, i] + tint_amounts[1] * texture[4, j, i]
            for c in range(3):
                x = light + hue * tint[c]
                # exp to third order: the same in scalar and vector code, unlike a library's.
                value = base[c] * max(0.05, 1.0 + x * (1.0 + x * (0.5 + x * 0.16666667)))
                albedo[j, i, c] += a * (value - albedo[j, i, c])


@njit(cache=True, inline="always")
def _overlap(low: float, high: float, at: float, half_px: float) -> float:
    """Share of the pixel [at - half_px, at + half_px] inside [low, high]."""
    inside = min(high, at + half_px) - max(low, at - half_px)
    return min(1.0, max(0.0, inside / (2.0 * half_px)))


@njit(cache=True)
def sweep(
    x0: float,
    y0: float,
    px: float,
    shape: tuple[int, int],
    element: FloatArray,
    vx: float,
    vy: float,
    soft: float,
    cover: Float32Array,
) -> tuple[int, int, int, int]:
    """Coverage of a segment swept along a vector, as of a standing panel or its shadow.

    Args:
        x0, y0: centre of the window's first pixel; rows run south.
        element: (5,) ax, ay, bx, by, thickness_m.
        vx, vy: the sweep in metres.
        soft: width of the blur at the edges in metres, as of a penumbra.
        cover: written with coverage in the returned rectangle.

    Returns:
        First row, end row, first column, end column of what was written; empty if equal.
    """
    ax, ay, bx, by, thickness = element[0], element[1], element[2], element[3], element[4]
    half_px = 0.5 * max(px, soft)
    margin = 0.5 * thickness + half_px * 1.5
    low_x = min(min(ax, bx), min(ax + vx, bx + vx)) - margin
    high_x = max(max(ax, bx), max(ax + vx, bx + vx)) + margin
    low_y = min(min(ay, by), min(ay + vy, by + vy)) - margin
    high_y = max(max(ay, by), max(ay + vy, by + vy)) + margin
    i0 = max(0, int(np.floor((low_x - x0) / px)))
    i1 = min(shape[1], int(np.ceil((high_x - x0) / px)) + 1)
    j0 = max(0, int(np.floor((y0 - high_y) / px)))
    j1 = min(shape[0], int(np.ceil((y0 - low_y) / px)) + 1)
    if i0 >= i1 or j0 >= j1:
        return 0, 0, 0, 0
    dx, dy = bx - ax, by - ay
    length = np.sqrt(dx * dx + dy * dy)
    if length < 1e-9:
        dx, dy, length = 1.0, 0.0, 1.0
        bx = ax
    tx, ty = dx / length, dy / length
    nx, ny = -ty, tx
    across = vx * nx + vy * ny
    n_low, n_high = min(0.0, across) - 0.5 * thickness, max(0.0, across) + 0.5 * thickness
    reach = np.sqrt(vx * vx + vy * vy)
    slanted = abs(across) > 0.5 * thickness and reach > 1e-6
    if slanted:
        # Ends are cut parallel to the sweep.
        mx, my = -vy / reach, vx / reach
    else:
        mx, my = tx, ty
    e_a, e_b = 0.0, (bx - ax) * mx + (by - ay) * my
    if not slanted:
        slide = vx * tx + vy * ty
        e_a, e_b = min(0.0, slide), e_b + max(0.0, slide)
    m_low, m_high = min(e_a, e_b), max(e_a, e_b)
    if slanted:
        # Thickness seen at the ends.
        pad = 0.5 * thickness * abs(mx * nx + my * ny)
        m_low, m_high = m_low - pad, m_high + pad
    for j in range(j0, j1):
        for i in range(i0, i1):
            qx, qy = x0 + i * px - ax, y0 - j * px - ay
            c = _overlap(n_low, n_high, qx * nx + qy * ny, half_px)
            if c > 0.0:
                c *= _overlap(m_low, m_high, qx * mx + qy * my, half_px)
            cover[j, i] = c
    return j0, j1, i0, i1


@njit(cache=True)
def _mesh(
    element: FloatArray, vx: float, vy: float, height: float, along_m: float, up_m: float,
    opacity: float,
) -> FloatArray:  # fmt: skip
    """How the wires of a mesh lie in the picture: for `wires`.

    Two families of wires cross; each is counted by a phase that grows by 1 from wire to wire, and
    grows linearly over the picture. (9,): opacity; then for each family the phase at the origin,
    its gradient east and north, and the share of its period that a wire covers.
    """
    out = np.zeros(9)
    out[0] = opacity
    dx, dy = element[2] - element[0], element[3] - element[1]
    length = np.sqrt(dx * dx + dy * dy)
    if along_m <= 0.0 or length < 1e-6 or opacity >= 0.9:
        return out
    tx, ty = dx / length, dy / length
    across = tx * vy - ty * vx
    if abs(across) < 1e-3:
        return out
    # Height as a share of the sweep, and distance along the foot, as planes over the picture.
    hx, hy = -ty / across, tx / across
    slide = vx * tx + vy * ty
    sx, sy = tx - slide * hx, ty - slide * hy
    tall = abs(up_m)
    a, b = 1.0 / along_m, height / tall
    if up_m > 0.0:
        planes = ((a * sx, a * sy), (b * hx, b * hy))
        # The wires are as thick both ways, and together stop what the mesh stops.
        one, other = 1.0 / along_m, 1.0 / tall
    else:
        planes = ((a * sx + b * hx, a * sy + b * hy), (a * sx - b * hx, a * sy - b * hy))
        one, other = 1.0, 1.0
    both = one + other
    thick = (both - np.sqrt(both * both - 4.0 * one * other * opacity)) / (2.0 * one * other)
    for k in range(2):
        gx, gy = planes[k]
        out[1 + 4 * k] = -(gx * element[0] + gy * element[1]) + 0.5
        out[2 + 4 * k], out[3 + 4 * k] = gx, gy
        out[4 + 4 * k] = min(0.98, thick * (one if k == 0 else other))
    return out


@njit(cache=True, inline="always")
def wires(mesh: FloatArray, x: float, y: float, width: float) -> float:
    """Share of light that a mesh stops over a square of `width` about a place.

    Where the wires are too fine for the square this comes near to the mesh's opacity.
    """
    if mesh[4] == 0.0:
        return mesh[0]
    clear = 1.0
    for k in range(2):
        gx, gy, share = mesh[2 + 4 * k], mesh[3 + 4 * k], mesh[4 + 4 * k]
        half = 0.5 * width * np.sqrt(gx * gx + gy * gy)
        phase = mesh[1 + 4 * k] + gx * x + gy * y
        if half < 1e-6:
            half = 1e-6
        high, low = phase + half, phase - half
        # The integral of a row of wires, each over [0, share) of its period.
        upto = np.floor(high) * share + min(high - np.floor(high), share)
        since = np.floor(low) * share + min(low - np.floor(low), share)
        clear *= 1.0 - (upto - since) / (2.0 * half)
    return 1.0 - clear


@njit(cache=True)
def shade_elements(
    light: Float32Array, x0: float, y0: float, px: float, elements: FloatArray, shadow: FloatArray
) -> None:
    """Multiplies `light` (H, W) by what shines through each element's shadow.

    Args:
        elements: (M, 16) as in `paint_elements`.
        shadow: (M, 2) displacement of the shadow in metres per metre of height.
    """
    cover = np.zeros(light.shape, np.float32)
    for k in range(len(elements)):
        element = elements[k, :5].copy()
        low, high = elements[k, 5], elements[k, 6]
        shadow_x, shadow_y = shadow[k, 0], shadow[k, 1]
        element[0] += shadow_x * low
        element[2] += shadow_x * low
        element[1] += shadow_y * low
        element[3] += shadow_y * low
        # The sun is half a degree wide.
        slant = np.sqrt(1.0 + shadow_x * shadow_x + shadow_y * shadow_y)
        soft = 0.0093 * slant * 0.5 * (low + high)
        vx = shadow_x * (high - low) + elements[k, 12]
        vy = shadow_y * (high - low) + elements[k, 13]
        j0, j1, i0, i1 = sweep(x0, y0, px, light.shape, element, vx, vy, soft, cover)
        opacity = elements[k, 7]
        mesh = _mesh(element, vx, vy, high - low, elements[k, 14], elements[k, 15], opacity)
        width = max(px, soft)
        for j in range(j0, j1):
            for i in range(i0, i1):
                if cover[j, i] > 0.0:
                    stopped = wires(mesh, x0 + i * px, y0 - j * px, width) * cover[j, i]
                    light[j, i] *= np.float32(1.0 - stopped)


@njit(cache=True)
def paint_elements(
    albedo: Float32Array,
    sun: Float32Array,
    x0: float,
    y0: float,
    px: float,
    elements: FloatArray,
    lean: FloatArray,
) -> None:
    """Paints each element as seen from above with a lean, over what is below it.

    Args:
        albedo: (H, W, 3); sun: (H, W) share of direct sunlight.
        elements: (M, 16) ax, ay, bx, by, thickness_m, low_m, high_m, opacity, red, green, blue, lit
            (share of direct sunlight on it), tilt_x, tilt_y (how far its top stands off its foot),
            spacing of a mesh's wires along it and upwards (see `wires`).
        lean: (M, 2) displacement in the picture in metres per metre of height.
    """
    cover = np.zeros(sun.shape, np.float32)
    for k in range(len(elements)):
        element = elements[k, :5].copy()
        low, high = elements[k, 5], elements[k, 6]
        lean_x, lean_y = lean[k, 0], lean[k, 1]
        element[0] += lean_x * low
        element[2] += lean_x * low
        element[1] += lean_y * low
        element[3] += lean_y * low
        vx = lean_x * (high - low) + elements[k, 12]
        vy = lean_y * (high - low) + elements[k, 13]
        j0, j1, i0, i1 = sweep(x0, y0, px, sun.shape, element, vx, vy, 0.0, cover)
        opacity = elements[k, 7]
        mesh = _mesh(element, vx, vy, high - low, elements[k, 14], elements[k, 15], opacity)
        for j in range(j0, j1):
            for i in range(i0, i1):
                a = cover[j, i]
                if a > 0.0:
                    a *= wires(mesh, x0 + i * px, y0 - j * px, px)
                    for c in range(3):
                        albedo[j, i, c] += np.float32(a * (elements[k, 8 + c] - albedo[j, i, c]))
                    sun[j, i] += np.float32(a * (elements[k, 11] - sun[j, i]))
