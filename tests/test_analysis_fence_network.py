"""What the fence network says of a strip and of its mirror image."""

from __future__ import annotations

import numpy as np

from analysis.fence.features import network_input
from analysis.fence.network import BLOCK, look, mirrored, reach_for
from analysis.fence.strip import Strip

COLUMNS = 2 * BLOCK


def strip() -> Strip:
    """Rough ground with a thin bright line a metre to one side."""
    half = round(reach_for(2.0) / 0.02)
    rng = np.random.default_rng(3)
    rgb = rng.normal(110, 12, (2 * half + 1, COLUMNS, 3))
    rgb[half + 50 : half + 53] += 60
    offset_m = (np.arange(2 * half + 1) - half) * 0.02
    return Strip(
        first=0, last=COLUMNS, offset_m=offset_m, across_m=0.02,
        rgb=rgb.clip(0, 255).astype(np.float32), valid=np.ones(rgb.shape[:2], bool),
    )  # fmt: skip


def flipped(given: Strip) -> Strip:
    return Strip(
        first=0, last=COLUMNS, offset_m=given.offset_m, across_m=given.across_m,
        rgb=np.ascontiguousarray(given.rgb[::-1]), valid=given.valid,
    )  # fmt: skip


def test_input_of_a_mirrored_strip_is_the_mirrored_input() -> None:
    rng = np.random.default_rng(1)
    rgb = rng.uniform(0, 255, (64, 40, 3)).astype(np.float32)
    valid = rng.uniform(size=(64, 40)) > 0.1
    turned = network_input(np.ascontiguousarray(rgb[::-1]), np.ascontiguousarray(valid[::-1]))
    np.testing.assert_allclose(mirrored(network_input(rgb, valid)), turned, atol=1e-5)


def test_exchanging_left_and_right_exchanges_the_answer() -> None:
    logits, _, _ = look(strip())
    turned, _, _ = look(flipped(strip()))
    np.testing.assert_allclose(turned, logits[:, ::-1], atol=1e-3)


def test_line_is_seen_where_it_runs() -> None:
    given = strip()
    logits, _, offset_m = look(given)
    found_m = offset_m[np.argmax(logits[0], axis=0)]
    middle_m = given.offset_m[(len(given.offset_m) - 1) // 2 + 51]
    assert abs(float(np.median(found_m)) - middle_m) < 0.1
