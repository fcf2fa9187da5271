"""What a generated site is asked to be."""

from __future__ import annotations

import enum
import zlib
from dataclasses import dataclass

import numpy as np

from corridor import InputError

SCENE_VERSION = 1


class Preset(enum.StrEnum):
    """A kind of place."""

    STRAIGHT = "straight"
    INTERCHANGE = "interchange"
    CUTTING = "cutting"
    VILLAGE = "village"
    EMBANKMENT = "embankment"


class Difficulty(enum.StrEnum):
    """How much stands in the way of reading the picture: the distributions of docs/scenes.md."""

    EASY = "easy"
    REAL = "real"
    HARD = "hard"


class Season(enum.StrEnum):
    """The state of the ground and of the leaves."""

    SPRING = "spring"
    SUMMER = "summer"
    DRY = "dry"
    SNOW = "snow"


class FenceKind(enum.StrEnum):
    """What a fence is built of."""

    WELDED_MESH = "welded_mesh"
    CHAIN_LINK = "chain_link"
    EXPANDED_METAL = "expanded_metal"
    BARBED_WIRE = "barbed_wire"
    CONCRETE_PANEL = "concrete_panel"


@dataclass(frozen=True)
class SceneSpec:
    """A site to generate; the same spec gives the same files.

    Attributes:
        seed: 0 or more; everything left to chance follows from it.
        gsd_m: pixel size of the orthophoto, 0.01 to 0.05 m.
        length_m: of road, 100 to 2000 m.
        band_m: how far the picture reaches beyond the fences, 8 to 100 m.
        season, fence: None leaves them to chance.
        epoch: 1, or 2 for the same place a month later.
        lean: whether crowns and houses lean away from the camera, as in an orthophoto made on bare
            ground; fences, poles and rails always do.
    """

    seed: int
    preset: Preset = Preset.STRAIGHT
    gsd_m: float = 0.02
    length_m: float = 300.0
    band_m: float = 25.0
    difficulty: Difficulty = Difficulty.REAL
    season: Season | None = None
    fence: FenceKind | None = None
    epoch: int = 1
    lean: bool = False

    def __post_init__(self) -> None:
        # Plain strings are taken as well; what they stand for is compared by identity later.
        object.__setattr__(self, "preset", Preset(self.preset))
        object.__setattr__(self, "difficulty", Difficulty(self.difficulty))
        if self.season is not None:
            object.__setattr__(self, "season", Season(self.season))
        if self.fence is not None:
            object.__setattr__(self, "fence", FenceKind(self.fence))
        _check("--seed", self.seed, 0, 2**31 - 1)
        _check("--gsd", self.gsd_m, 0.01, 0.05)
        _check("--length", self.length_m, 100.0, 2000.0)
        _check("--band", self.band_m, 8.0, 100.0)
        _check("--epoch", self.epoch, 1, 2)

    def chance(self, topic: str) -> np.random.Generator:
        """The random numbers of one topic: another topic's use of chance never shifts them."""
        return np.random.default_rng([self.seed, zlib.crc32(topic.encode())])

    def chance_now(self, topic: str) -> np.random.Generator:
        """The random numbers of one topic that differ from epoch to epoch."""
        return self.chance(f"{topic}/{self.epoch}")


def _check(option: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise InputError(option, f"{value:g} is out of range", f"allowed is {low:g} to {high:g}")
