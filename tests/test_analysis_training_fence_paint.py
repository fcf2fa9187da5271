"""What is painted over the strips the fence network learns from."""

import numpy as np

from analysis.training.fence_paint import (
    CROP,
    GAP,
    IGNORE,
    INTACT,
    OBSCURED,
    ROWS,
    cut_out,
    grow_cover,
    part_ground,
)

ROW = np.full(CROP, 200.0, np.float32)


def plain(level: float) -> np.ndarray:
    return np.full((ROWS, CROP, 3), level, np.float32)


def test_a_cut_keeps_the_border_of_the_two_grounds() -> None:
    kept = []
    for seed in range(24):
        strip = plain(100.0)
        strip[:200], strip[196:205] = 50.0, 250.0
        state = np.full(CROP, INTACT, np.int64)
        cut_out(strip, (plain(50.0), plain(100.0)), ROW, state, np.random.default_rng(seed))
        gap = np.flatnonzero(state == GAP)
        middle = strip[:, gap, 0]
        assert (state == GAP).any() == (strip[200, :, 0] < 200).any()
        if len(gap):
            kept.append(np.median(middle[170]) < 60 and np.median(middle[230]) > 90)
    assert 0.5 < np.mean(kept) < 1.0  # now and then one ground fills it all


def test_ground_is_parted_along_the_line_and_nowhere_else() -> None:
    rng = np.random.default_rng(1)
    texture = rng.uniform(90.0, 110.0, (ROWS, CROP, 3)).astype(np.float32)
    moved = []
    for seed in range(16):
        strip = texture.copy()
        part_ground(strip, ROW, np.random.default_rng(seed))
        changed = np.abs(strip - texture).mean(axis=(1, 2))
        above, below = changed[:130].mean(), changed[270:].mean()
        assert min(above, below) < 0.1 * max(above, below)  # one side stays as it was
        level = strip.mean(axis=(1, 2))
        step = abs(np.log(level[270:].mean() / level[:130].mean()))
        # The border lies where the fence does, in every column.
        middle = (level[:130].mean() + level[270:].mean()) / 2
        if step > 0.2:
            over = strip.mean(axis=2) > middle
            edge = np.abs(np.diff(over[180:221].mean(axis=1)).sum())
            moved.append(edge > 0.8)
        assert strip.min() >= 0.0
        assert strip.max() <= 255.0
    assert len(moved) >= 5
    assert np.mean(moved) > 0.8


def test_a_cut_takes_away_all_that_is_seen_of_a_fence() -> None:
    for seed in range(24):
        strip = plain(100.0)
        strip[100:301] = 250.0  # 2 m to each side
        state = np.full(CROP, INTACT, np.int64)
        sides = (plain(100.0), plain(100.0))
        cut_out(strip, sides, ROW, state, np.random.default_rng(seed), seen_m=2.0)
        gap = np.flatnonzero(state == GAP)
        if len(gap) > 12:
            inside = gap[np.isin(gap - 6, gap) & np.isin(gap + 6, gap)]
            assert (strip[104:297, inside, 0] < 175).all()


def test_of_a_bare_shrub_nothing_is_said_and_the_ground_shows_through() -> None:
    seen: dict[int, list[float]] = {IGNORE: [], OBSCURED: []}
    for seed in range(60):
        strip, state = plain(250.0), np.full(CROP, INTACT, np.int64)
        grow_cover(strip, ROW, state, np.random.default_rng(seed))
        kinds = {int(code) for code in np.unique(state)} - {INTACT}
        if (state == OBSCURED).sum() > 15:
            under = strip[200, state == OBSCURED, 0]
        elif kinds == {IGNORE} and (state == IGNORE).sum() > 15:
            under = strip[200, state == IGNORE, 0]
        else:
            continue
        seen[OBSCURED if OBSCURED in kinds else IGNORE].append(float((under > 200).mean()))
    assert len(seen[IGNORE]) > 3
    assert np.mean(seen[OBSCURED]) < 0.1
    assert np.mean(seen[IGNORE]) > 0.25
