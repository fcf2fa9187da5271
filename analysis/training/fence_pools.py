"""What the fence's networks learn from: strips of scenes, of real fences and of ground without."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rasterio.errors import RasterioError

from analysis.training.fence_strips import Floats, Sample, draw, load_ground, load_real, load_scene
from corridor import InputError

_OFTEN = {"barbed_wire": 1.5, "expanded_metal": 1.5, "concrete_panel": 1.5}
"""How many times more often strips of these fences are drawn: they are the hard ones."""
_FENCED = 0.6
"""Share of the crops that show a fence of a scene or a real one; on others one may be painted."""
_GROUND_SHARE = 0.5
"""Of the strips without a fence, how many are from real pictures, if there are any."""
_LOOKED_FOR_EVERY = 500


class Pools:
    """Strips by what they show, each drawn as often as it should be.

    Args:
        scenes: folders of `fencewalk scene`; given twice, seen twice as often. One that is still
            being written is taken in when it is ready.
        real: folders with a real fence that stands, likewise.
        ground: real pictures without fences.
        rng: chooses strips of the ground.

    Raises:
        InputError: if a picture is too small, or no fence is at hand yet.
    """

    def __init__(
        self,
        scenes: Sequence[Path],
        real: Sequence[Path],
        ground: Sequence[Path],
        rng: np.random.Generator,
    ) -> None:
        self._scenes, self._real = list(scenes), list(real)
        self._ground = [strip for picture in ground for strip in load_ground(picture, rng)]
        self._loaded: set[Path] = set()
        self._strips: dict[bool, list[Sample]] = {True: [], False: []}
        self._often: dict[bool, np.ndarray] = {}
        self._drawn = 0
        self._look_for_more()
        if not self._strips[True]:
            given = (*self._scenes, *self._real)
            raise InputError(given[0], "no fence to learn from", "a folder of `fencewalk scene`")

    def __len__(self) -> int:
        """How many strips there are, ground left out."""
        return sum(len(strips) for strips in self._strips.values())

    def draw(self, rng: np.random.Generator) -> tuple[Floats, Floats, np.ndarray]:
        """A crop, as of `fence_strips.draw`."""
        self._drawn += 1
        if self._drawn % _LOOKED_FOR_EVERY == 0:
            self._look_for_more()
        fenced = rng.uniform() < _FENCED or not self._strips[False]
        if not fenced and self._ground and rng.uniform() < _GROUND_SHARE:
            return draw(self._ground[rng.integers(len(self._ground))], rng)
        strips, often = self._strips[fenced], self._often[fenced]
        return draw(strips[rng.choice(len(often), p=often)], rng)

    def _look_for_more(self) -> None:
        for folder in dict.fromkeys(self._scenes + self._real):
            is_real = folder in self._real
            ready = folder / ("fence_truth.geojson" if is_real else "truth.gpkg")
            if folder in self._loaded or not ready.is_file():
                continue
            load, named = (load_real, self._real) if is_real else (load_scene, self._scenes)
            try:
                strips = load(folder, named.count(folder))
            except (InputError, OSError, RasterioError) as error:  # a scene still being written
                print(f"{folder}: {error}", file=sys.stderr)
                continue
            self._loaded.add(folder)
            for strip in strips:
                self._strips[strip.fenced].append(strip)
        for fenced, pool in self._strips.items():
            often = np.array([strip.times * _OFTEN.get(strip.kind, 1.0) for strip in pool])
            self._often[fenced] = often / often.sum()
