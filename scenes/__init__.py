"""Generated sites with truth, written as files."""

from scenes.spec import Difficulty, FenceKind, Preset, SceneSpec, Season
from scenes.write import generate

__all__ = ["Difficulty", "FenceKind", "Preset", "SceneSpec", "Season", "generate"]
