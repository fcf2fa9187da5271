"""Random lines over random ground: a plan passes the check, or was refused with a reason."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from missions_sites import launch, lonlat, plan_site
from scipy.ndimage import gaussian_filter

from corridor import InputError
from missions.check import Level, check_plan


@st.composite
def roads(draw: st.DrawFn) -> list[tuple[str, str, list[tuple[float, float]]]]:
    """A road winding eastwards, with one or both sides."""
    count = draw(st.integers(3, 9))
    step = draw(st.floats(60.0, 220.0))
    turns = draw(st.lists(st.floats(-0.5, 0.5), min_size=count, max_size=count))
    x, y, heading = -count * step / 2, 0.0, 0.0
    points = [(x, y)]
    for turn in turns:
        heading = max(-1.0, min(1.0, heading + turn))
        x, y = x + step * math.cos(heading), y + step * math.sin(heading)
        points.append((x, y))
    left = [(px, py + 15.0) for px, py in points]
    right = [(px, py - 15.0) for px, py in points]
    lines: list[tuple[str, str, list[tuple[float, float]]]] = [("G1", "left", left)]
    if draw(st.booleans()):
        lines.append(("G1", "right", right))
    return lines


@st.composite
def surveys(draw: st.DrawFn) -> dict[str, Any]:
    survey: dict[str, Any] = {
        "capture": {
            "height_m": draw(st.sampled_from([40.0, 60.0, 90.0])),
            "modes": draw(st.sampled_from([["nadir"], ["nadir", "oblique"]])),
        },
        "launch": [launch(draw(st.floats(-300, 300)), draw(st.sampled_from([-180.0, 200.0])))],
        "safety": {
            "max_distance_m": draw(st.sampled_from([500.0, 2000.0])),
            "crossing": draw(st.sampled_from(["square", "forbid"])),
        },
    }
    if draw(st.booleans()):
        survey["rally"] = [launch(draw(st.floats(-800, 800)), draw(st.floats(-400, 400)), "R")]
    if draw(st.booleans()):
        x = draw(st.floats(-300, 300))
        wire = [(*lonlat(x, -500.0), 30.0), (*lonlat(x + 40.0, 500.0), 30.0)]
        survey["power_line"] = [{"points": wire, "reference": "ground"}]
    if draw(st.booleans()):
        x = draw(st.floats(-300, 300))
        corners = [(x, -40.0), (x + 120.0, -40.0), (x + 120.0, 60.0), (x, 60.0)]
        survey["keep_out"] = [{"polygon": [lonlat(*corner) for corner in corners]}]
    return survey


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
@given(
    lines=roads(),
    survey=surveys(),
    seed=st.integers(0, 10_000),
    relief_m=st.sampled_from([0.0, 15.0, 60.0, 150.0]),
    grain=st.sampled_from([1.0, 3.0, 8.0]),
    cell_m=st.sampled_from([10.0, 30.0]),
)
def test_the_check_never_blocks_what_was_planned(
    lines: list[tuple[str, str, list[tuple[float, float]]]],
    survey: dict[str, Any],
    seed: int,
    relief_m: float,
    grain: float,
    cell_m: float,
) -> None:
    def rough(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        noise = gaussian_filter(np.random.default_rng(seed).normal(size=x.shape), grain)
        return 500.0 + relief_m * noise / noise.std() / 2.0

    with tempfile.TemporaryDirectory() as folder:
        try:
            site = plan_site(Path(folder), rough, lines, survey, cell_m=cell_m)
        except InputError:
            return  # refused, with a reason
        findings = check_plan(site.folder)
        assert [f.message for f in findings if f.level is Level.BLOCKING] == []
        for mode in site.plan.targets:
            total = sum(row["length_m"] for row in site.document["coverage"] if row["mode"] == mode)
            length = sum(boundary.length_m for boundary in site.plan.boundaries)
            assert total == pytest.approx(length, abs=0.05)
