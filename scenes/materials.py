"""What the ground is made of: reflectance and texture of each material, by chance and by season.

Colours and amounts lie within the spread measured on real drone pictures (docs/scenes.md): on grass
and soil each octave of texture from 2 cm to 1 m carries 3 % of lightness in soft pictures and up to
four times that in crisp ones, while the hue of one cover hardly varies.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from scenes.noise import Float32Array
from scenes.spec import Difficulty, SceneSpec, Season

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Material:
    """Linear reflectance and texture.

    Attributes:
        base: red, green, blue reflectance.
        lightness: log-lightness of fine (1–8 cm), middle (16–64 cm), coarse (1–20 m) texture.
        tint: direction of the colour texture in log reflectance.
        tint_amounts: of the middle and coarse colour texture.
    """

    base: Colour
    lightness: Colour
    tint: Colour = (1.0, 0.0, -0.5)
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


@dataclass(frozen=True)
class Palette:
    """The materials of one scene."""

    asphalt: Material
    patch: Material
    marking: Material
    concrete: Material
    dark_concrete: Material
    soil: Material
    thin: Material
    worn: Material
    trodden: Material
    faint: Material
    gravel: Material
    mown: Material
    wild: Material
    lush: Material
    dry: Material
    litter: Material
    scrub: Material
    leaves: tuple[Material, ...]
    water: Material
    snow: Material
    vegetables: tuple[Material, ...]
    contrast: float
    leafiness: float
    bare_frac: float
    bare_soft: float
    dry_frac: float
    lush_frac: float
    snow_frac: float


# Soils by hue: measured ones are pale and hardly coloured; red and ochre earths are added, which
# the measured pictures do not hold.
_SOILS: tuple[Colour, ...] = (
    (0.34, 0.285, 0.22),
    (0.30, 0.265, 0.205),
    (0.22, 0.185, 0.145),
    (0.33, 0.25, 0.165),
    (0.30, 0.17, 0.095),
    (0.27, 0.265, 0.25),
)


# Trodden earth is smooth: it lies without the shade between crumbs that loose earth has.
_COMPACTED = 1.28


def mix_palette(spec: SceneSpec, season: Season) -> Palette:
    """The materials of a scene, by chance."""
    chance = spec.chance("palette")
    contrast = float(np.exp(chance.uniform(np.log(0.8), np.log(4.0))))
    if spec.difficulty is Difficulty.EASY:
        contrast = min(contrast, 1.3)
    # Measured: crisp pictures are rougher at 16 to 64 cm, hardly so at 1 to 8 cm.

    def vary(colour: Colour, amount: float = 0.12) -> Colour:
        gain = np.exp(chance.normal(0.0, amount))
        hue = np.exp(chance.normal(0.0, 0.25 * amount, 3))
        red, green, blue = (float(v) for v in np.array(colour) * gain * hue)
        return red, green, blue

    def scaled(colour: Colour, gain: float) -> Colour:
        return colour[0] * gain, colour[1] * gain, colour[2] * gain

    def mixed(one: Colour, other: Colour) -> Colour:
        red, green, blue = (float(v) for v in 0.55 * np.array(one) + 0.35 * np.array(other))
        return red, green, blue

    def blended(one: Colour, other: Colour, share: float) -> Colour:
        red, green, blue = (
            float(v) for v in (1.0 - share) * np.array(one) + share * np.array(other)
        )
        return red, green, blue

    def texture(fine: float, middle: float, coarse: float) -> Colour:
        return 1.5 * fine * contrast**0.3, 1.3 * middle * contrast, coarse * contrast**0.4

    soil = vary(_SOILS[int(chance.choice(len(_SOILS), p=[0.25, 0.2, 0.18, 0.17, 0.12, 0.08]))])
    # Green covers: red and blue as shares of green.
    green = float(np.exp(chance.uniform(np.log(0.055), np.log(0.15))))
    red = float(chance.uniform(0.64, 0.92))
    blotch = float(chance.uniform(0.6, 2.2))
    blue = float(chance.uniform(0.20, 0.60))
    shift = {Season.SPRING: -0.06, Season.SUMMER: 0.0, Season.DRY: 0.30, Season.SNOW: 0.25}[season]
    red += shift
    if season in (Season.DRY, Season.SNOW):
        green *= 1.15
    tint = (0.9, -0.15, -0.2)
    grass = Material(
        (green * red, green, green * blue),
        texture(0.06, 0.065, 0.10),
        tint,
        (0.04 * blotch, 0.08 * blotch),
    )
    dry = (0.25, 0.215, 0.125) if season is not Season.SNOW else (0.22, 0.19, 0.13)
    leaf_green = float(np.exp(chance.uniform(np.log(0.035), np.log(0.13))))
    leaf_blue = float(chance.uniform(0.28, 0.62))
    leaves = tuple(
        Material(
            (
                leaf_green * gain * (leaf_red + (0.35 if season is Season.DRY and bare else 0.0)),
                leaf_green * gain,
                leaf_green * gain * leaf_blue,
            ),
            (0.10 + 0.02 * contrast, 0.10 + 0.06 * contrast, 0.05),
            (0.8, 0.0, -0.3),
            (0.10, 0.05),
        )
        for gain, leaf_red, bare in (
            (1.0, 0.68, True), (0.75, 0.74, False), (1.25, 0.78, True), (0.9, 0.62, False)
        )
    )  # fmt: skip
    light = float(chance.uniform(0.8, 1.5))
    # A month later the grass has grown and turned a little.
    now = spec.chance_now("growth")
    grown = float(np.exp(now.normal(0.0, 0.10))) if spec.epoch > 1 else 1.0
    bleached = season in (Season.DRY, Season.SNOW)
    return Palette(
        asphalt=Material(
            vary((0.13 * light, 0.13 * light, 0.133 * light), 0.1),
            (0.05 + 0.01 * contrast, 0.035 + 0.01 * contrast, 0.05), (0.5, 0.0, -0.5), (0.03, 0.05),
        ),
        patch=Material((0.075, 0.075, 0.08), (0.05, 0.03, 0.03)),
        marking=Material((0.55, 0.55, 0.53), (0.10, 0.12, 0.05)),
        concrete=Material(
            vary((0.35, 0.34, 0.31)), (0.06, 0.07, 0.09), (0.5, 0.1, -0.5), (0.02, 0.03)
        ),
        dark_concrete=Material(
            vary((0.17, 0.165, 0.15)), (0.06, 0.09, 0.12), (0.5, 0.1, -0.5), (0.02, 0.03)
        ),
        soil=Material(soil, texture(0.065, 0.055, 0.10), (0.4, 0.05, -0.5), (0.02, 0.05)),
        thin=Material(
            mixed(soil, dry), texture(0.065, 0.055, 0.10), (0.4, 0.05, -0.5), (0.03, 0.05)
        ),
        worn=Material(
            scaled(soil, _COMPACTED), texture(0.04, 0.025, 0.05), (0.4, 0.05, -0.5), (0.02, 0.04),
        ),
        trodden=Material(
            blended(scaled(grass.base, 1.25), dry, 0.6), texture(0.05, 0.035, 0.06), tint,
            (0.02, 0.05),
        ),
        faint=Material(
            blended(scaled(grass.base, 0.9), scaled(soil, _COMPACTED), 0.5),
            texture(0.055, 0.05, 0.06), (0.4, 0.05, -0.5), (0.02, 0.05),
        ),
        gravel=Material(vary((0.31, 0.295, 0.265)), texture(0.10, 0.04, 0.05)),
        mown=replace(grass, base=scaled(vary(grass.base, 0.05), grown)),
        wild=Material(
            vary((grass.base[0] * 0.85, grass.base[1] * 0.82, grass.base[2] * 0.8)),
            texture(0.07, 0.095, 0.13), tint, (0.05 * blotch, 0.10 * blotch),
        ),
        lush=Material(
            vary((green * (red - 0.08) * 0.72, green * 0.78, green * blue * 0.62)),
            texture(0.08, 0.10, 0.08), tint, (0.04, 0.06),
        ),
        dry=Material(vary(dry), texture(0.065, 0.07, 0.09), (0.5, 0.2, -0.5), (0.03, 0.05)),
        litter=Material(
            vary((0.185, 0.145, 0.095)), texture(0.09, 0.06, 0.08), (0.5, 0.1, -0.3), (0.05, 0.06)
        ),
        scrub=Material(
            vary((0.065, 0.085, 0.042)), texture(0.11, 0.16, 0.12), (0.8, 0.0, -0.2), (0.06, 0.09)
        ),
        leaves=leaves,
        water=Material((0.05, 0.06, 0.05), (0.02, 0.03, 0.10)),
        snow=Material((0.80, 0.82, 0.86), (0.03, 0.045, 0.06), (-0.4, 0.0, 0.4), (0.0, 0.02)),
        vegetables=(
            Material((0.065, 0.13, 0.045), texture(0.12, 0.12, 0.05), tint, (0.04, 0.04)),
            Material((0.10, 0.16, 0.08), texture(0.12, 0.12, 0.05), tint, (0.04, 0.04)),
            Material((0.09, 0.11, 0.035), texture(0.12, 0.12, 0.05), tint, (0.04, 0.04)),
        ),
        contrast=contrast,
        leafiness=0.5 + 0.3 * contrast,
        bare_soft=float(chance.uniform(1.1, 2.2)),
        bare_frac=float(chance.beta(1.0, 9.0)) + (0.04 if season is Season.DRY else 0.0),
        dry_frac=float(chance.beta(1.5, 4.0)) + (0.45 if bleached else 0.0),
        lush_frac=float(chance.beta(1.5, 5.0)) * (0.3 if season is Season.DRY else 1.0) * grown**3,
        snow_frac=float(chance.uniform(0.25, 0.75)) if season is Season.SNOW else 0.0,
    )  # fmt: skip
