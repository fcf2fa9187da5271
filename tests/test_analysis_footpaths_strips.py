"""The two-flank filter: it must point along the path, and not along an edge."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.footpaths import curves, strips
from analysis.footpaths.channels import LAB_STEPS

GSD_M = 0.1


def ground(size: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    lab = rng.normal(0, 2.0, (3, size, size)) + np.array([50, -10, 20])[:, None, None]
    return np.round(lab * LAB_STEPS).astype(np.int16)


def evidence(lab: np.ndarray) -> np.ndarray:
    found = strips.strips_for(GSD_M, GSD_M, (0.5, 1.0, 2.0))
    return strips.strip_evidence(lab, np.ones(lab.shape[1:], bool), GSD_M, found).z


@pytest.mark.parametrize("bin_", [0, 3, 4, 8, 11, 15])
def test_a_line_is_found_along_its_own_direction(bin_: int) -> None:
    size = 320
    lab = ground(size)
    turn = bin_ * np.pi / strips.DIRECTIONS
    y, x = np.mgrid[0:size, 0:size] - size / 2
    lab[0, np.abs(-x * np.sin(turn) + y * np.cos(turn)) < 2.5] += 3 * LAB_STEPS
    z = evidence(lab)
    middle = z[:, 78:82, 78:82].mean(axis=(1, 2))
    assert int(middle.argmax()) == bin_
    assert middle[bin_] > 2 * strips.Z_STEPS
    assert middle[(bin_ + 8) % 16] < strips.Z_STEPS


def test_an_edge_is_no_path() -> None:
    lab = ground(320)
    lab[0, :, 160:] += 10 * LAB_STEPS
    z = evidence(lab)
    assert z[8, 60:100, 76:84].max() < 1.5 * strips.Z_STEPS


def test_windows_have_the_values_of_the_whole() -> None:
    lab = ground(640, seed=3)
    lab[1, 300:306] += 4 * LAB_STEPS
    found = strips.strips_for(GSD_M, GSD_M, (0.5, 1.0, 2.0))
    reach = -(-strips.reach_px(found, GSD_M) // 4) * 4
    whole = strips.strip_evidence(lab, np.ones((640, 640), bool), GSD_M, found).z
    part = strips.strip_evidence(
        lab[:, 40:600, 80:], np.ones((560, 560), bool), GSD_M, found
    ).z  # fmt: skip
    inner = np.s_[:, reach // 2 : 280 - reach // 2, reach // 2 : 280 - reach // 2]
    assert inner[1].stop > inner[1].start
    np.testing.assert_array_equal(whole[:, 20:300, 40:][inner], part[inner])


@pytest.mark.parametrize("holes", [False, True])
def test_what_is_left_out_at_the_rim_changes_nothing_inside(holes: bool) -> None:
    lab = ground(512, seed=4)
    lab[0, :, 250:255] += 4 * LAB_STEPS
    valid = np.ones((512, 512), bool)
    if holes:
        valid[200:230, 220:300] = False
    found = strips.strips_for(GSD_M, GSD_M, (0.3, 0.5, 1.0, 2.0))
    rim = -(-strips.reach_px(found, GSD_M) // 4) * 4
    whole = strips.strip_evidence(lab, valid, GSD_M, found)
    part = strips.strip_evidence(lab, valid, GSD_M, found, rim)
    inner = np.s_[:, rim // 2 : -(rim // 2), rim // 2 : -(rim // 2)]
    assert part.z[inner].max() > 2 * strips.Z_STEPS
    np.testing.assert_array_equal(whole.z[inner], part.z[inner])
    np.testing.assert_array_equal(whole.strip[inner], part.strip[inner])


def test_integration_prefers_the_line_and_keeps_its_direction() -> None:
    z = np.full((16, 120, 120), -16, np.int16)
    z[4, np.arange(20, 100), np.arange(20, 100)] = 64  # 45 degrees: x and y grow together
    score, direction = curves.integrate(z, 0.2)
    assert score[60, 60] > 0.8 * 64 * 17 / np.sqrt(2)
    assert direction[60, 60] == 4
    assert score[60, 80] < score[60, 60] / 2


def test_a_stub_counts_as_much_as_its_length_is_worth() -> None:
    """8.4 m that stand out by as much as a long line does: more than their share of 19 m."""
    scores = []
    for first, last in ((10, 210), (89, 131)):
        z = np.full((16, 60, 220), curves.GROUND_Z, np.int16)
        z[0, 30, first:last] += 128
        score, _ = curves.integrate(z, 0.2)
        scores.append(score[30, 110] / curves.COUNT - curves.GROUND_Z)
    assert scores[0] == pytest.approx(128, abs=1)
    assert scores[1] == pytest.approx(128 * (7 / 17) ** 0.5, rel=0.05)


def test_a_path_under_two_picture_pixels_is_not_looked_for() -> None:
    widths = [s.width_m for s in strips.strips_for(0.15, 0.3, (0.35, 0.5, 1.0))]
    assert min(widths) >= 0.5
