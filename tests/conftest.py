"""What the tests share."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real imagery; the test is skipped where it is absent."""
    beside = Path(__file__).parents[1] / "../shared/data"
    folder = Path(os.environ.get("FENCEWALK_DATA", beside)).resolve()
    if not folder.is_dir():
        pytest.skip(f"no real imagery in {folder} (set FENCEWALK_DATA)")
    return folder
