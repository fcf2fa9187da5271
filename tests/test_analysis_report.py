"""The breach map: both languages whole, everything inside the page, nothing that breaks out."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine

from analysis import growth, road_context
from analysis.access import ALONG_FENCE
from analysis.crew import Crew
from analysis.picture_work import chips_of, fence_pictures
from analysis.raster import Orthophoto
from analysis.report import write_report
from analysis.results import Analysis, FenceLine, Layers, named
from analysis.side_view import NOT_PHOTOGRAPHED
from corridor import Boundary, Side, Track
from corridor.findings import (
    NOT_SEEN_FROM_THE_SIDE,
    BreachType,
    FencePiece,
    FenceState,
    Finding,
    FindingKind,
)

WORDS = json.loads((files("analysis.report") / "words.json").read_text(encoding="utf-8"))
X0, Y0 = 500_000.0, 3_000_000.0


@pytest.fixture(scope="module")
def analysis(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    """120 m of fence with a breach and a stretch that growth hides, in two districts."""
    path = tmp_path_factory.mktemp("ortho") / "ortho.tif"
    noise = np.random.default_rng(2).integers(60, 200, (3, 200, 1200), dtype=np.uint8)
    with rasterio.open(
        path, "w", driver="GTiff", count=3, height=200, width=1200, dtype="uint8",
        crs="EPSG:32647", transform=Affine(0.1, 0, X0, 0, -0.1, Y0),
    ) as file:  # fmt: skip
        file.write(noise)
    ortho = Orthophoto.open(path)
    xy = np.array([[X0, Y0 - 10.0], [X0 + 120.0, Y0 - 10.0]])
    chainage = np.array([940.0, 1060.0])
    boundary = Boundary("G75", Side.LEFT, (ortho.to_lonlat(xy),), (940.0,))
    track = Track(xy, chainage)
    line = FenceLine(boundary, 0, track, track, np.zeros(2))

    def shape(start_m: float, end_m: float) -> shapely.LineString:
        return shapely.LineString(ortho.to_lonlat(track.at([start_m, end_m])))

    told = [
        (1000.0, FenceState.INTACT, ""),
        (1003.0, FenceState.BREACH, "no fence to be seen"),
        (1010.0, FenceState.OBSCURED, growth.OVERGROWN),
        (1060.0, FenceState.INTACT, ""),
    ]
    pieces, at_m = [], 940.0
    for end_m, state, reason in told:
        pieces.append(
            FencePiece(shape(at_m, end_m), "G75", Side.LEFT, at_m, end_m, state, 0.8, reason)
        )
        at_m = end_m
    breach = Finding(
        "", FindingKind.BREACH, shape(1000.0, 1003.0), 0.8, 5, BreachType.GAP, "G75", Side.LEFT,
        1000.0, 1003.0, 3.0, 3.0, evidence={"gap": 0.9},
        extra={"next_step": "mend", "behind": "footpath, villages", "who": "</script><b>"},
    )  # fmt: skip
    return Analysis(
        ortho=ortho,
        lines=(line,),
        pieces=(tuple(pieces),),
        findings=tuple(named([breach])),
        layers=Layers(districts={"甲 <b>": shapely.box(X0, Y0 - 20, X0 + 60, Y0)}),
        notes=("view angle and frame pixels from a.tif",),
    )


@pytest.fixture(scope="module")
def page(analysis: Analysis, tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("page")
    with Crew() as crew:
        pictures = fence_pictures(out, analysis.ortho, analysis.lines, crew)
        chips = chips_of(analysis.ortho, analysis.findings, analysis.lines, crew)
    made = datetime(2026, 5, 4, 3, 2, tzinfo=UTC)
    write_report(out / "report.html", analysis, pictures, chips, made=made)
    assert sorted(path.name for path in out.iterdir()) == ["report.html", "strips"]
    return (out / "report.html").read_text(encoding="utf-8")


def test_two_processes_make_the_same_pictures(analysis: Analysis, tmp_path: Path) -> None:
    made = []
    for jobs in (1, 2):
        out = tmp_path / str(jobs)
        with Crew(jobs) as crew:
            pictures = fence_pictures(out, analysis.ortho, analysis.lines, crew)
            chips = chips_of(analysis.ortho, analysis.findings, analysis.lines, crew)
        kept = [path.read_bytes() for path in sorted((out / "strips").iterdir())]
        made.append((pictures, chips, kept))
    assert made[0] == made[1]
    pictures, chips, kept = made[0]
    assert (len(pictures.strips), len(chips), len(kept)) == (3, 1, 1)
    assert len(pictures.ground) > 1


def data_of(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    assert found
    return dict(json.loads(found[1]))


# Languages


def test_both_languages_have_the_same_words() -> None:
    english, chinese = WORDS["en"], WORDS["zh"]
    assert set(english) == set(chinese)
    same = {key for key in english if key != "said" and english[key] == chinese[key]}
    assert not {key for key in same if re.search("[A-Za-z]", english[key])}


def test_every_word_of_the_schema_is_a_word_of_the_page() -> None:
    wanted = [*FenceState, *FindingKind, *BreachType, *Side]
    wanted += ["mend", "look_again_obliquely", "clear_growth", "fly_again", "watch", "clear_plot"]
    wanted += ["new", "persisting", "changed", "repaired", "unconfirmed", "gone"]
    wanted += ["villages", "buildings", "fields", "bus_stops", "roads"]
    assert [str(word) for word in wanted if str(word) not in WORDS["zh"]] == []


SENTENCES = [
    "not imaged", "pixels of 12 cm show no fence", "not visible: hidden or broken",
    "fence lies down", "no fence to be seen", "doubtful: may be broken",
    "the fence is not told from its surroundings", growth.OVERGROWN, growth.UNDER_CROWN,
    "suspected hole: a footpath goes through", "hidden from above, whole in the oblique frames",
    "opening in the mesh, 0.2 to 1.1 m above ground", "no frame shows it",
    "seen from more than 45 degrees off straight down",
    "the frames' pixels are coarser than 8 cm there",
    road_context.ROADSIDE, road_context.STRAIGHT, road_context.APART, ALONG_FENCE,
    "a_1.tif: read through a warp to EPSG:32647",
    "16 bit: 12 to 3400 (0.5th and 99.5th percentile, all bands alike) stretched to 0 to 255",
    "view angle and frame pixels from a.tif, b.tif", "G75-left-1: was not flown in old",
    "G75-left-1: does not fit, and was compared by coordinates only with, old/march",
    NOT_SEEN_FROM_THE_SIDE, NOT_PHOTOGRAPHED,
    "G75-left-1: 230 m of fence seen from the side, 14 m not seen from the side, 0 m not"
    " photographed from the side",
    "G75-left-1: moved by -0.30 m along the fence (median; correlation 0.71) to fit old",
]  # fmt: skip


@pytest.mark.parametrize("sentence", SENTENCES)
def test_what_the_analysis_says_is_said_in_chinese(sentence: str) -> None:
    for pattern, into in WORDS["zh"]["said"]:
        if re.search(pattern, sentence):
            said = re.sub(pattern, into.replace("$", "\\"), sentence)
            assert re.search("[\u4e00-\u9fff]", said)
            for number in re.findall(r"\d+\.\d+|(?<= )\d+(?= m )", sentence):
                assert number in said
            return
    raise AssertionError(f"no words for: {sentence}")


# The page


def test_everything_is_inside_and_nothing_breaks_out(page: str) -> None:
    loads = r"""<(script|img|link|iframe)[^>]+(src|href)=["']?(https?:)?//|url\(["']?https?:"""
    assert not re.search(loads, page)
    assert "@import" not in page
    assert "default-src 'none'" in page
    data = data_of(page)  # its script element ends where it should
    assert data["findings"][0]["extra"]["who"] == "</script><b>"
    assert data["findings"][0]["chip"].startswith("data:image/jpeg;base64,")
    assert data["made"] == "2026-05-04 03:02 UTC"


def test_the_strip_and_the_ground_cover_the_fence(page: str) -> None:
    data = data_of(page)
    strips = data["strips"]
    assert [each["a"] for each in strips] == [940.0, 990.0, 1040.0]
    assert [each["b"] for each in strips] == [990.0, 1040.0, 1060.0]
    west, south, east, north = data["bounds"]
    covered = shapely.union_all([shapely.box(*tile["b"]) for tile in data["ground"]])
    fence = shapely.LineString(data["lines"][0]["xy"])
    assert shapely.covers(shapely.buffer(covered, 0.2), fence)
    assert (round(west), round(south), round(east), round(north)) == (0, 0, 120, 20)


def test_summaries_add_up_by_kilometre_and_by_district(analysis: Analysis, page: str) -> None:
    data = data_of(page)
    assert [(row["a"], row["length"]) for row in data["per_km"]] == [(940.0, 60.0), (1000.0, 60.0)]
    assert data["per_km"][1]["metres"] == {"breach": 3.0, "obscured": 7.0, "intact": 50.0}
    assert [row["breaches"] for row in data["per_km"]] == [0, 1]
    rows = {row["name"]: row for row in data["per_district"]}
    assert set(rows) == {"", "甲 <b>"}
    assert sum(row["length"] for row in rows.values()) == pytest.approx(120.0)
    assert rows["甲 <b>"]["length"] == pytest.approx(60.0, abs=5.0)
    assert sum(row["breaches"] for row in rows.values()) == 1
    assert [piece["next"] for piece in data["pieces"]] == ["", "", "clear_growth", ""]
    assert data["totals"]["metres"]["intact"] == pytest.approx(110.0)
