"""What cannot be seen of the truth is scored apart."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import geopandas
import pytest
import shapely
from click.testing import CliRunner
from stated_things import FRAME, KILOMETRE, access, footpath, line, stated

from analysis.score import (
    LineTally,
    MatchTally,
    SeenStretch,
    Stated,
    as_json,
    as_text,
    pooled,
    read_stated,
    score_pair,
)
from corridor import Side
from corridor.findings import Finding, write_gpkg
from fencewalk.commands.score import score as score_command


def seen(truth: Stated, *stretches: tuple[float, float], name: str = "P") -> Stated:
    """A truth of which stretches along y = 0 can be seen."""
    made = (SeenStretch(name, line((a, 0), (b, 0))) for a, b in stretches)
    return replace(truth, footpaths_seen=tuple(made))


def paths_of(found: list[Finding], truth: Stated, area: shapely.Geometry = None) -> LineTally:
    tally = score_pair(stated(*found), truth, area).footpaths
    assert tally is not None
    return tally


def points_of(found: list[Finding], truth: list[Finding]) -> MatchTally:
    tally = score_pair(stated(*found), stated(*truth)).access_points
    assert tally is not None
    return tally


# Of 100 m, the first 40 can be seen, and the last 10.
HALF_SEEN = seen(stated(footpath((0, 0), (100, 0))), (0, 40), (90, 100))


def test_what_cannot_be_seen_of_a_footpath_is_not_asked_for() -> None:
    # Found: 30 m that can be seen, and 30 m elsewhere.
    tally = paths_of([footpath((-1, 0), (29, 0)), footpath((0, 50), (30, 50))], HALF_SEEN)
    assert (tally.seen_m, tally.seen_matched_m) == pytest.approx((50, 30), abs=1e-3)
    assert tally.completeness == pytest.approx(0.3, abs=1e-5)
    assert tally.completeness_seen == pytest.approx(0.6, abs=1e-5)
    assert tally.correctness == pytest.approx(0.5, abs=1e-5)
    assert tally.f1_seen == pytest.approx(2 * 0.6 * 0.5 / 1.1, abs=1e-5)
    assert tally.f1 == pytest.approx(2 * 0.3 * 0.5 / 0.8, abs=1e-5)


def test_an_unseen_stretch_that_is_found_is_right_but_counts_for_nothing() -> None:
    tally = paths_of([footpath((51, 0), (79, 0))], HALF_SEEN)
    assert tally.correctness == pytest.approx(1.0)
    assert tally.completeness == pytest.approx(0.3, abs=1e-5)
    assert (tally.seen_matched_m, tally.completeness_seen, tally.f1_seen) == (0, 0, 0)


def test_truth_that_does_not_tell_what_can_be_seen_scores_as_before() -> None:
    truth = replace(HALF_SEEN, footpaths_seen=None)
    result = score_pair(stated(footpath((0, 0), (50, 0))), truth)
    tally = result.footpaths
    assert tally is not None
    assert tally.completeness == pytest.approx(0.51, abs=1e-5)
    assert (tally.seen_m, tally.completeness_seen, tally.f1_seen) == (None, None, None)
    assert "can be seen" not in as_text(result)
    written = as_json(result)["footpaths"]
    assert [written[key] for key in ("seen_m", "seen_matched_m", "f1_seen")] == [None] * 3
    assert written["true_m"] == pytest.approx(100)


def test_nothing_to_be_seen_gives_no_rate() -> None:
    tally = paths_of([footpath((0, 0), (50, 0))], seen(stated(footpath((0, 0), (50, 0)))))
    assert (tally.seen_m, tally.completeness_seen, tally.f1_seen) == (0.0, None, None)
    assert paths_of([], HALF_SEEN).f1_seen == 0.0


def test_what_can_be_seen_is_counted_inside_the_area_only() -> None:
    area = shapely.box(*FRAME.to_lonlat([(20, -10)])[0], *FRAME.to_lonlat([(95, 10)])[0])
    tally = paths_of([footpath((0, 0), (39, 0))], HALF_SEEN, area)
    assert (tally.seen_m, tally.seen_matched_m) == pytest.approx((25, 20), abs=0.01)


def test_stretches_of_what_is_no_footpath_of_the_truth_do_not_count() -> None:
    truth = seen(stated(footpath((0, 0), (50, 0))), (0, 50), name="gone")
    assert paths_of([], truth).seen_m == 0.0
    left = replace(footpath((0, 0), (50, 0), name="L"), side=Side.LEFT)
    both = replace(
        stated(left, replace(footpath((0, 9), (50, 9), name="R"), side=Side.RIGHT)),
        footpaths_seen=(
            SeenStretch("L", line((0, 0), (10, 0))), SeenStretch("R", line((0, 9), (5, 9)))
        ),
    )  # fmt: skip
    assert paths_of([], both).seen_m == pytest.approx(15)
    assert paths_of([], both.on(Side.LEFT)).seen_m == pytest.approx(10)


def test_sites_are_pooled_and_one_that_does_not_tell_leaves_it_open() -> None:
    found = stated(footpath((0, 0), (19, 0)))
    one = score_pair(found, HALF_SEEN)
    other = score_pair(stated(), seen(stated(footpath((0, 0), (30, 0))), (0, 30)))
    both = pooled([one, other]).footpaths
    assert both is not None
    assert both.completeness_seen == pytest.approx(20 / 80, abs=1e-5)
    silent = score_pair(found, stated(footpath((0, 0), (30, 0))))
    mixed = pooled([one, silent]).footpaths
    assert mixed is not None
    assert (mixed.seen_m, mixed.seen_matched_m, mixed.f1_seen) == (None, 0.0, None)


def test_access_points_that_are_hidden_are_counted_apart() -> None:
    truth = [
        access(0, visible_frac=1.0), access(100, visible_frac=0.5), access(200, visible_frac=0.49),
        access(300, visible_frac=0.0), access(400),
    ]  # fmt: skip
    tally = points_of([access(1), access(201), access(500)], truth)
    assert (tally.true, tally.matched) == (5, 2)
    assert (tally.recall_seen.found, tally.recall_seen.total) == (1, 3)
    assert (tally.hidden.found, tally.hidden.total) == (1, 2)
    # What the truth does not tell of can be seen.
    untold = points_of([access(1)], [access(0), access(100)])
    assert (untold.recall_seen.found, untold.recall_seen.total) == (1, 2)
    assert untold.hidden.total == 0


def test_text_and_json_tell_what_can_be_seen() -> None:
    truth = seen(
        stated(footpath((0, 0), (100, 0)), access(0, visible_frac=0.9), access(50, visible_frac=0)),
        (0, 40),
    )
    one = score_pair(stated(footpath((0, 0), (19, 0)), access(1)), truth)
    text = as_text(pooled([one, one])).splitlines()
    assert "  of what can be seen   50.0 % (40 of 80 m), F1 0.67" in text
    assert "  found                 2 of 4 (50.0 %)" in text
    assert "  of those that can be seen  2 of 2 (100.0 %)" in text
    assert "  hidden                0 of 2 (0.0 %)" in text
    written = as_json(one)
    assert written["footpaths"]["seen_m"] == pytest.approx(40)
    assert written["footpaths"]["completeness_seen"] == pytest.approx(0.5, abs=1e-5)
    assert written["footpaths"]["f1_seen"] == pytest.approx(2 / 3, abs=1e-5)
    assert written["access_points"]["recall"] == 0.5
    assert written["access_points"]["recall_seen"] == {"found": 1, "total": 1, "frac": 1.0}
    assert written["access_points"]["hidden"] == {"found": 0, "total": 1, "frac": 0.0}
    assert "hidden" not in as_json(one)["plots"]


@pytest.mark.parametrize("stretches", [[(0, 40), (90, 100)], []])
def test_the_layer_is_read_from_the_truth(
    tmp_path: Path, stretches: list[tuple[float, float]]
) -> None:
    lines = [line((a, 0), (b, 0)) for a, b in stretches]
    table = geopandas.GeoDataFrame(
        {"finding_id": ["P"] * len(lines)}, geometry=lines, crs="EPSG:4326"
    )
    truth = [footpath((0, 0), (100, 0)), access(0, visible_frac=0.2)]
    write_gpkg(tmp_path / "truth.gpkg", truth, KILOMETRE, {"footpaths_seen": table})
    write_gpkg(tmp_path / "old.gpkg", truth, KILOMETRE)
    write_gpkg(tmp_path / "findings.gpkg", [footpath((0, 0), (29, 0))], KILOMETRE)
    told = read_stated(tmp_path, "truth.gpkg").footpaths_seen
    assert told is not None
    assert [one.finding_id for one in told] == ["P"] * len(lines)
    assert all(a.geometry.equals_exact(b, 1e-9) for a, b in zip(told, lines, strict=True))
    assert read_stated(tmp_path / "old.gpkg").footpaths_seen is None
    order = [str(tmp_path / "findings.gpkg"), "--truth", str(tmp_path / "truth.gpkg"), "--json"]
    result = CliRunner().invoke(score_command, order)
    assert result.exit_code == 0, result.output
    value = json.loads(result.output)
    assert value["footpaths"]["seen_m"] == pytest.approx(50 if lines else 0, abs=1e-3)
    assert value["footpaths"]["completeness_seen"] == (
        pytest.approx(0.6, abs=1e-4) if lines else None
    )
    assert value["access_points"]["hidden"]["total"] == 1
