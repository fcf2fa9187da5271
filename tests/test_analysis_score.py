from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import geopandas
import numpy as np
import pytest
import shapely
from click.testing import CliRunner
from stated_things import (
    FRAME,
    KILOMETRE,
    VISIBLE,
    access,
    breach,
    footpath,
    line,
    pieces,
    plot,
    stated,
)

from analysis.score import (
    Calibration,
    ScoreSpec,
    Stated,
    as_json,
    as_text,
    calibration_of,
    pooled,
    read_stated,
    score,
    score_pair,
    write_diagram,
)
from analysis.score.source import FenceLine
from corridor import InputError, Side
from corridor.findings import (
    BreachType,
    FencePiece,
    Finding,
    FindingKind,
    write_gpkg,
)
from fencewalk.commands.score import score as score_command


def breaches_of(found: list[Finding], truth: list[Finding]):
    tally = score_pair(stated(*found, fence=KILOMETRE), stated(*truth, fence=KILOMETRE)).breaches
    assert tally is not None
    return tally


@pytest.mark.parametrize(
    ("start_m", "end_m", "found"),
    [(100, 102, 1), (102.9, 105, 1), (103.1, 105, 0), (97, 99.1, 1), (97, 98.9, 0)],
)
def test_breaches_match_with_one_metre_of_slack(start_m: float, end_m: float, found: int) -> None:
    tally = breaches_of([breach(start_m, end_m)], [breach(100, 102, **VISIBLE)])
    assert tally.recall.found == found
    assert len(tally.false_alarms) == 1 - found
    assert tally.false_alarms_per_km == pytest.approx(1 - found)


def test_the_other_side_does_not_match() -> None:
    found = breach(100, 102, side=Side.RIGHT)
    tally = breaches_of([found], [breach(100, 102, **VISIBLE)])
    assert (tally.recall.found, tally.outside, len(tally.false_alarms)) == (0, 1, 0)


def test_each_true_breach_counts_once_and_further_findings_are_repeats() -> None:
    found = [breach(100, 101, "a"), breach(102, 103, "b"), breach(500, 501, "c")]
    tally = breaches_of(found, [breach(100, 103, **VISIBLE)])
    assert (tally.recall.found, tally.repeats) == (1, 1)
    assert [alarm[1] for alarm in tally.false_alarms] == ["c"]


def test_one_finding_over_two_breaches_counts_for_both_if_it_is_mostly_right() -> None:
    truth = [breach(100, 103, "t1", **VISIBLE), breach(104, 107, "t2", **VISIBLE)]
    tally = breaches_of([breach(100, 107)], truth)
    assert tally.recall.found == 2
    assert tally.station_error_m() == pytest.approx(0.0)


def test_a_finding_that_sweeps_over_sound_fence_counts_once_at_most() -> None:
    truth = [breach(100, 102, "t1", **VISIBLE), breach(900, 902, "t2", **VISIBLE)]
    tally = breaches_of([breach(0, 1000)], truth)
    assert tally.recall.found == 1
    again = breaches_of([breach(0, 1000, "x"), breach(100, 102, "y"), breach(900, 902)], truth)
    assert again.recall.found == 2
    assert [alarm[1] for alarm in again.false_alarms] == ["x"]


def test_recall_by_type_and_width_and_hidden_breaches_apart() -> None:
    truth = [
        breach(100, 100.8, "t1", BreachType.HOLE, **VISIBLE),
        breach(200, 203, "t2", BreachType.COLLAPSED, **VISIBLE),
        breach(300, 303, "t3", BreachType.COLLAPSED, visible_frac=0.2),
    ]
    tally = breaches_of([breach(200.5, 203.5)], truth)
    by_type = tally.recall_by_type()
    assert (by_type[BreachType.HOLE].found, by_type[BreachType.HOLE].total) == (0, 1)
    assert (by_type[BreachType.COLLAPSED].found, by_type[BreachType.COLLAPSED].total) == (1, 1)
    assert tally.recall_by_width()["0.6-1 m"].total == 1
    assert tally.recall_by_width(BreachType.COLLAPSED)["2-5 m"].found == 1
    assert (tally.hidden.found, tally.hidden.total) == (0, 1)
    assert tally.station_error_m() == pytest.approx(0.5)


def test_visibility_follows_from_the_true_state_where_it_is_not_stated() -> None:
    fence = pieces((100, "intact"), (101, "breach"), (104, "obscured"), (200, "intact"))
    tally = score_pair(stated(fence=fence), stated(breach(100, 104), fence=fence)).breaches
    assert tally is not None
    assert tally.events[0].visible_frac == pytest.approx(0.25)
    assert tally.hidden.total == 1


def test_states_in_metres() -> None:
    truth = stated(
        breach(100, 104, **VISIBLE),
        breach(110, 111, "h", BreachType.HOLE, **VISIBLE),
        fence=pieces(
            (100, "intact"), (104, "breach"), (110, "intact"), (111, "breach"), (200, "no_fence")
        ),
    )
    found = stated(
        fence=pieces((103, "intact"), (104, "breach"), (150, "intact"), (190, "no_fence"))
    )
    result = score_pair(found, truth)
    tally = result.states
    assert tally is not None
    assert tally.total_m == pytest.approx(200)
    assert tally.right_frac == pytest.approx((100 + 1 + 6 + 40) / 200)
    assert tally.metres["breach", "intact"] == pytest.approx(4)
    assert tally.any_breach_called_intact_m == pytest.approx(4)
    assert (tally.broken_m, tally.broken_called_intact_m) == pytest.approx((4, 3))
    assert tally.missing_m == pytest.approx(10)
    assert result.breaches is not None
    assert result.breaches.events[0].called == pytest.approx({"intact": 3, "breach": 1})
    assert result.breaches.fence_m == pytest.approx(111)


def test_other_routes_are_refused() -> None:
    other = tuple(
        FencePiece(p.geometry, "S1", p.side, 0.0, 1000.0, p.state, 1.0) for p in KILOMETRE
    )
    with pytest.raises(InputError, match="speaks of S1 left, and file of G75 left"):
        score_pair(stated(fence=other), stated(fence=KILOMETRE))


def lines_of(found: list[Finding], truth: list[Finding], **spec: float):
    tally = score_pair(stated(*found), stated(*truth), None, ScoreSpec(**spec)).footpaths
    assert tally is not None
    return tally


def test_footpaths_by_the_buffer_method() -> None:
    # 100 m true; found: 60 m of it, 0.9 m aside, and 40 m elsewhere.
    found = [footpath((0, 0.9), (60, 0.9)), footpath((0, 50), (40, 50))]
    tally = lines_of(found, [footpath((0, 0), (100, 0))])
    reach = 60 + np.sqrt(1 - 0.9**2)
    assert tally.completeness == pytest.approx(reach / 100, abs=2e-3)
    assert tally.correctness == pytest.approx(0.6, abs=1e-6)
    assert tally.quality == pytest.approx(60 / (100 + 100 - reach), abs=1e-3)
    assert tally.f1 == pytest.approx(2 * 0.6 * reach / 100 / (0.6 + reach / 100), abs=2e-3)


def test_the_buffer_decides() -> None:
    found, truth = [footpath((0, 1.1), (100, 1.1))], [footpath((0, 0), (100, 0))]
    assert lines_of(found, truth).f1 == 0.0
    assert lines_of(found, truth, buffer_m=1.2).completeness == pytest.approx(1.0, abs=1e-3)


def test_nothing_found_and_nothing_there() -> None:
    assert lines_of([], [footpath((0, 0), (9, 0))]).f1 == 0.0
    none = score_pair(stated(access(0)), stated(access(0))).footpaths
    assert none is not None
    assert (none.f1, none.completeness, none.correctness) == (None, None, None)


def test_look_alikes_that_are_named_are_no_footpaths() -> None:
    track = footpath((0, 50), (40, 50), **{"class": "vehicle_track"})
    path = footpath((0, 0), (50, 0), **{"class": "footpath"})
    assert lines_of([track, path], [footpath((0, 0), (50, 0))]).correctness == pytest.approx(1.0)


def test_area_restricts_what_is_counted() -> None:
    area = shapely.box(*FRAME.to_lonlat([(0, -10)])[0], *FRAME.to_lonlat([(50, 10)])[0])
    found = stated(footpath((0, 0), (100, 0)), breach(10, 12), breach(70, 72), fence=KILOMETRE)
    truth = stated(footpath((0, 0), (100, 0)), breach(10, 12, **VISIBLE), fence=KILOMETRE)
    result = score_pair(found, truth, area)
    assert result.footpaths is not None
    assert result.footpaths.true_m == pytest.approx(50, abs=0.01)
    assert result.footpaths.found_m_per_ha == pytest.approx(50 / 0.1, rel=0.01)
    assert result.breaches is not None
    assert result.breaches.fence_m == pytest.approx(50, abs=0.01)
    assert (len(result.breaches.false_alarms), result.breaches.outside) == (0, 1)


def test_inferred_findings_and_widths_are_told_apart() -> None:
    found = [
        footpath((0, 0), (50, 0), inferred_frac=0.0),
        footpath((0, 20), (30, 20), inferred_frac=0.8),
    ]
    tally = lines_of(found, [footpath((0, 0), (50, 0))])
    assert (tally.inferred_m, tally.inferred_correctness) == (pytest.approx(30), 0.0)
    assert tally.by_width == {"0.4-0.8 m": pytest.approx((50, 50))}


def test_access_points_match_one_to_one_within_three_metres() -> None:
    truth = stated(access(0), access(5), access(100), fence=KILOMETRE)
    found = stated(access(2), access(2.5), access(50), fence=KILOMETRE)
    tally = score_pair(found, truth).access_points
    assert tally is not None
    assert (tally.true, tally.found, tally.matched) == (3, 3, 2)
    assert tally.false_per_km == pytest.approx(1.0)
    assert sorted(tally.errors_m) == pytest.approx([2.0, 2.5], abs=1e-3)


def test_plots_match_from_half_an_overlap() -> None:
    truth = stated(plot(0), plot(100))
    tally = score_pair(stated(plot(3), plot(106)), truth).plots  # IoU 7/13 and 4/16
    assert tally is not None
    assert (tally.matched, tally.f1) == (1, 0.5)


def test_fence_line_offsets() -> None:
    truth = Stated("t", (), frozenset(), None, (FenceLine(line((0, 0), (50, 0))),))
    found = Stated("f", (), frozenset(), None, (FenceLine(line((-9, 0.2), (60, 0.2))),))
    tally = score_pair(found, truth).fence_line
    assert tally is not None
    assert len(tally.offsets_m) == pytest.approx(100, abs=1)
    assert tally.error_m(50) == pytest.approx(0.2, abs=1e-6)
    assert tally.error_m(100) == pytest.approx(0.2, abs=1e-6)


def test_confidence_below_the_limit_is_left_out() -> None:
    found = stated(breach(100, 102, confidence=0.3), fence=KILOMETRE)
    truth = stated(breach(100, 102, **VISIBLE), fence=KILOMETRE)
    tally = score_pair(found, truth, None, ScoreSpec(min_confidence=0.5)).breaches
    assert tally is not None
    assert tally.recall.found == 0


def test_expected_calibration_error() -> None:
    # Ten at 0.8 of which eight are right: none; ten at 0.95 of which five are: 0.45.
    statements = [(0.8, i < 8, 1.0) for i in range(10)] + [(0.95, i < 5, 1.0) for i in range(10)]
    calibration = calibration_of(statements)
    assert calibration.weight == 20
    assert calibration.expected_error == pytest.approx((0.0 + 0.45) / 2)
    assert calibration_of([]).expected_error is None


def test_pooling_adds_counts_before_it_takes_rates() -> None:
    truth = stated(breach(100, 102, **VISIBLE), footpath((0, 0), (100, 0)), fence=KILOMETRE)
    good = score_pair(truth, truth)
    none = score_pair(stated(fence=KILOMETRE), truth)
    both = pooled([good, none])
    assert both.sites == 2
    assert both.breaches is not None
    assert (both.breaches.recall.frac, both.breaches.fence_m) == (0.5, pytest.approx(2000))
    assert both.footpaths is not None
    assert both.footpaths.completeness == pytest.approx(0.5)
    assert both.footpaths.correctness == pytest.approx(1.0)


def write_site(folder: Path, findings: list[Finding], name: str) -> Path:
    folder.mkdir(exist_ok=True)
    fence = geopandas.GeoDataFrame(
        {"route": ["G75"], "side": ["left"]},
        geometry=[line((0, 0), (1000, 0))],
        crs="EPSG:4326",
    )
    write_gpkg(folder / name, findings, KILOMETRE, {"fence_line": fence})
    return folder


def test_command_scores_one_site_and_several(tmp_path: Path) -> None:
    truth = [breach(100, 102, **VISIBLE), footpath((0, 0), (100, 0)), access(100), plot(0)]
    write_site(tmp_path / "scene", truth, "truth.gpkg")
    write_site(tmp_path / "a", truth, "findings.gpkg")
    write_site(tmp_path / "b", [], "findings.gpkg")
    runner = CliRunner()
    one = [str(tmp_path / "a"), "--truth", str(tmp_path / "scene" / "truth.gpkg")]
    result = runner.invoke(score_command, one)
    assert result.exit_code == 0, result.output
    for expected in ("found                 1 of 1 (100.0 %)", "F1                    1.000"):
        assert expected in result.output
    both = [*one, str(tmp_path / "b"), "--truth", str(tmp_path / "scene"), "--json"]
    result = runner.invoke(score_command, both)
    value = json.loads(result.output)
    assert value["sites"] == 2
    assert value["breaches"]["recall"] == {"found": 1, "total": 2, "frac": 0.5}
    assert value["fence_line"]["median_m"] == pytest.approx(0.0, abs=1e-9)
    assert value["calibration"]["breach"]["expected_error"] == 0.0


def test_one_side_is_scored_by_itself() -> None:
    left, right = breach(100, 102, **VISIBLE), breach(300, 303, "B2", side=Side.RIGHT, **VISIBLE)
    other = tuple(replace(piece, side=Side.RIGHT) for piece in KILOMETRE)
    lines = tuple(FenceLine(line((0, 0), (9, 0)), "G75", side) for side in Side)
    truth = replace(stated(left, right, fence=(*KILOMETRE, *other)), fence_lines=lines)
    found = replace(stated(left, fence=(*KILOMETRE, *other)), fence_lines=lines)
    recalls = {side: score_pair(found.on(side), truth.on(side)).breaches for side in Side}
    assert {side: (t.recall.found, t.recall.total) for side, t in recalls.items() if t} == {
        Side.LEFT: (1, 1), Side.RIGHT: (0, 1),
    }  # fmt: skip
    assert [each.side for each in truth.on(Side.LEFT).fence_lines or ()] == [Side.LEFT]
    assert stated(left).on(Side.LEFT).pieces is None


def test_the_diagram_shows_each_bin_where_it_belongs(tmp_path: Path) -> None:
    statements = [(0.95, True, 3.0), (0.95, False, 1.0), (0.25, False, 1.0)]
    write_diagram(
        tmp_path / "r.svg", {"breach": calibration_of(statements), "plot": Calibration(())}
    )
    root = ElementTree.fromstring((tmp_path / "r.svg").read_text())
    space = "{http://www.w3.org/2000/svg}"
    dots = {each.findtext(f"{space}title"): each for each in root.iter(f"{space}circle")}
    assert set(dots) == {"4 at 0.95: 75 % right", "1 at 0.25: 0 % right"}
    sure, unsure = dots["4 at 0.95: 75 % right"], dots["1 at 0.25: 0 % right"]
    assert float(sure.get("cx", 0)) - float(unsure.get("cx", 0)) == pytest.approx(0.7 * 220)
    assert float(unsure.get("cy", 0)) - float(sure.get("cy", 0)) == pytest.approx(0.75 * 220)
    assert float(sure.get("r", 0)) > float(unsure.get("r", 0))


def test_the_command_draws_the_diagram(tmp_path: Path) -> None:
    write_site(tmp_path / "scene", [breach(100, 102, **VISIBLE)], "truth.gpkg")
    write_site(tmp_path / "a", [breach(100, 102, confidence=0.8)], "findings.gpkg")
    order = [str(tmp_path / "a"), "--truth", str(tmp_path / "scene"), "--json",
             "--diagram", str(tmp_path / "out" / "r.svg")]  # fmt: skip
    result = CliRunner().invoke(score_command, order)
    assert result.exit_code == 0, result.output
    json.loads(result.output)
    assert "1 at 0.80: 100 % right" in (tmp_path / "out" / "r.svg").read_text()


def test_text_and_json_of_a_full_score() -> None:
    fence = pieces((100, "intact"), (104, "breach"), (200, "intact"))
    truth = stated(breach(100, 104, **VISIBLE), footpath((0, 0), (9, 0)), access(0), fence=fence)
    result = score_pair(stated(fence=pieces((200, "intact"))), truth)
    text = as_text(result)
    assert "missed: gap of 4.0 m at G75 left K0+100, called intact 4.0 m" in text
    assert "4.0 m of 4.0 m (100.0 %)" in text
    json.dumps(as_json(result), allow_nan=False)


def test_plain_lines_are_footpaths_or_fences(tmp_path: Path) -> None:
    table = geopandas.GeoDataFrame(
        {"kind": ["footpath", "fence"]},
        geometry=[line((0, 0), (9, 0)), line((0, 5), (9, 5))],
        crs="EPSG:4326",
    )
    table.to_crs("EPSG:32648").to_file(tmp_path / "lines.gpkg")
    table.drop(columns="kind").to_file(tmp_path / "bare.geojson")
    both, bare = read_stated(tmp_path / "lines.gpkg"), read_stated(tmp_path / "bare.geojson")
    assert both.kinds == {FindingKind.FOOTPATH}
    assert both.fence_lines is not None
    assert [len(both.findings), len(both.fence_lines), len(bare.findings)] == [1, 1, 2]


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["missing", "--truth", "t"], "missing: no such file or folder"),
        (["{dir}", "--truth", "{dir}"], "no findings there"),
        (["a", "b", "--truth", "t"], "--truth: 1 truths for 2 findings"),
        (["a", "--truth", "t", "--buffer", "0"], "--buffer: 0.0 m"),
        (["a", "--truth", "t", "--min-confidence", "2"], "--min-confidence: 2.0"),
        (["a", "--truth", "t", "--area", "x", "--area", "y"], "--area: 2 areas for 1 sites"),
        (["{bare}", "--truth", "{bare}", "--area", "{bare}"], "holds no polygon"),
    ],
)
def test_bad_arguments(tmp_path: Path, arguments: list[str], match: str) -> None:
    bare = tmp_path / "bare.geojson"
    geopandas.GeoDataFrame(geometry=[line((0, 0), (9, 0))], crs="EPSG:4326").to_file(bare)
    filled = [a.format(dir=tmp_path / ".", bare=bare) for a in arguments]
    result = CliRunner().invoke(score_command, filled)
    assert isinstance(result.exception, InputError)
    assert match in str(result.exception)


def test_files_that_share_nothing(tmp_path: Path) -> None:
    for name, kind in (("p", "footpath"), ("f", "fence")):
        table = geopandas.GeoDataFrame(
            {"kind": [kind]}, geometry=[line((0, 0), (9, 0))], crs="EPSG:4326"
        )
        table.to_file(tmp_path / f"{name}.geojson")
    with pytest.raises(InputError, match="speaks of nothing"):
        score([(tmp_path / "p.geojson", tmp_path / "f.geojson")])
