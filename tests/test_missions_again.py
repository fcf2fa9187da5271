"""What is flown again: stretches that were not seen, and the rest of a broken-off sortie."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import shapely
from missions_sites import flat, lonlat, plan_site, states_m

from corridor import InputError, Side
from corridor.findings import NOT_SEEN_FROM_THE_SIDE, FencePiece, FenceState, write_gpkg
from missions.again import merged, refly, resume
from missions.predicted import photos_of

LINE = [("G1", "left", [(-300.0, 0.0), (300.0, 0.0)])]


def findings(folder: Path, *states: tuple[float, float, FenceState], reason: str = "") -> Path:
    line = shapely.LineString([lonlat(-300.0, 0.0), lonlat(300.0, 0.0)])
    pieces = [
        FencePiece(line, "G1", Side.LEFT, a, b, state, reason=reason) for a, b, state in states
    ]
    folder.mkdir()
    write_gpkg(folder / "findings.gpkg", [], pieces)
    return folder


def test_refly_asks_for_what_was_not_seen(tmp_path: Path) -> None:
    folder = findings(
        tmp_path / "findings",
        (1000.0, 1200.0, FenceState.INTACT),
        (1200.0, 1250.0, FenceState.OBSCURED),
        (1250.0, 1600.0, FenceState.INTACT),
    )
    only = refly(folder)
    assert only.stretches == {("G1", "left"): [(1190.0, 1260.0)]}
    site = plan_site(tmp_path / "site", flat, LINE, {"capture": {"modes": ["oblique"]}}, only=only)
    states = states_m(site, "oblique")
    assert states == pytest.approx({"covered": 70.0, "not_planned": 530.0}, abs=2.0)


def test_refly_asks_for_what_was_not_seen_from_the_side(tmp_path: Path) -> None:
    folder = findings(
        tmp_path / "findings", (1000.0, 1050.0, FenceState.INTACT), reason=NOT_SEEN_FROM_THE_SIDE
    )
    assert refly(folder).stretches == {("G1", "left"): [(990.0, 1060.0)]}


def test_nothing_to_refly_is_said(tmp_path: Path) -> None:
    folder = findings(tmp_path / "findings", (1000.0, 1600.0, FenceState.INTACT))
    with pytest.raises(InputError, match="nothing in it is obscured"):
        refly(folder)


def test_stretches_are_joined_where_little_lies_between() -> None:
    assert merged([(50.0, 60.0), (0.0, 20.0), (120.0, 130.0)]) == [(0.0, 60.0), (120.0, 130.0)]


def test_resume_is_worked_out_from_the_pictures_taken(tmp_path: Path) -> None:
    site = plan_site(tmp_path / "site", flat, LINE, {})
    photos = photos_of([site.plan.sorties[0].segments])
    taken = photos.xyz[photos.xyz[:, 0] < 100.0]
    flight = tmp_path / "flight"
    flight.mkdir()
    (flight / "summary.json").write_text(json.dumps({"sortie_id": "S01"}))
    rows = ["lon_deg,lat_deg"]
    rows += [f"{lon:.8f},{lat:.8f}" for lon, lat in site.plan.frame.to_lonlat(taken[:, :2])]
    (flight / "photos.csv").write_text("\n".join(rows) + "\n")
    left = resume(site.folder, flight, site.plan.boundaries).stretches[("G1", "left")]
    assert len(left) == 1
    # Pictures end at x = 100, chainage 1400; the stretch starts a little before.
    assert 1370.0 <= left[0][0] <= 1410.0
    assert left[0][1] >= 1600.0
