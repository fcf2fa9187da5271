"""A process rehearses what it will do, and can do it then."""

from __future__ import annotations

import subprocess
import sys

import pytest

from analysis.fence import network
from analysis.readiness import get_ready

SHOW = """
import sys
from analysis.readiness import get_ready
get_ready(fence={fence}, footpaths={footpaths})
from analysis.fence import network, strip
from analysis.footpaths import network as paths_network, strips
print(bool(strip._fill_pixels.overloads), network.session.cache_info().currsize)
print(bool(strips._best.overloads), paths_network.shared_network.cache_info().currsize)
"""


@pytest.mark.parametrize(("fence", "footpaths"), [(True, False), (False, True)])
def test_what_will_be_needed_is_loaded_and_nothing_else(fence: bool, footpaths: bool) -> None:
    program = SHOW.format(fence=fence, footpaths=footpaths)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [f"{fence} {2 * fence}", f"{footpaths} {int(footpaths)}"]


def test_one_network_at_a_time_holds_memory() -> None:
    get_ready(fence=True, footpaths=False)
    assert network.session.cache_info().currsize == 2
    get_ready(fence=False, footpaths=True)
    assert network.session.cache_info().currsize == 0
