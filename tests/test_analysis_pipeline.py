"""`fencewalk analyze` from files to files: the findings folder."""

from __future__ import annotations

import csv
import itertools
import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from analysis_site import X0, Y0, run, write_lines, write_ortho, write_site
from hypothesis import given
from hypothesis import strategies as st
from rasterio.transform import from_origin
from rasterio.windows import Window

from analysis.crew import Crew
from analysis.footpath_work import search_area
from analysis.output import condition_csv, require_tiling
from analysis.pipeline import _key, analyze, digest_of, first_look, model_digests
from analysis.raster import Orthophoto
from analysis.results import FenceLine, named
from analysis.sources import AnalyzeSpec, Sources
from corridor import Boundary, Side, Track, read_boundaries, sha256_of
from corridor.findings import (
    FencePiece,
    FenceState,
    Finding,
    FindingKind,
    read_condition,
    read_findings,
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_site(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def findings(site: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "findings"
    assert run("analyze", site[0], "--boundaries", site[1], "--out", out) == 0
    return out


# The folder


def test_the_folder_holds_what_the_contract_says(findings: Path) -> None:
    names = {path.name for path in findings.iterdir()}
    assert names >= {
        "findings.gpkg", "findings.geojson", "condition.csv", "report.html", "run.json",
    }  # fmt: skip
    assert not [name for name in names if name.startswith(".")]
    layers = set(geopandas.list_layers(findings / "findings.gpkg")["name"])
    assert layers >= {"findings", "fence_condition", "fence_line", "fence_offset"}
    record = json.loads((findings / "run.json").read_text())
    assert record["version"] == 1
    assert [entry["file"] for entry in record["inputs"]] == ["ortho.tif", "lines.geojson"]
    assert record["config"]["outside_m"] == 60.0


def test_states_tile_the_boundary_and_what_is_outside_is_unseen(
    findings: Path, site: tuple[Path, Path]
) -> None:
    (boundary,) = read_boundaries(site[1])
    pieces = read_condition(findings)
    at_m = 12_000.0
    for piece in pieces:
        assert piece.chainage_start_m == at_m
        at_m = piece.chainage_end_m
    assert at_m == pytest.approx(boundary.chainage_end_m)
    assert pieces[0].state is FenceState.UNSEEN
    assert pieces[0].chainage_end_m >= 12_014.9


def test_the_table_says_the_same(findings: Path) -> None:
    rows = list(csv.DictReader((findings / "condition.csv").read_text().splitlines()))
    pieces = read_condition(findings)
    assert [row["state"] for row in rows] == [piece.state.value for piece in pieces]
    assert rows[0]["station_start"] == "K12+000.0"


def test_qgis_finds_its_styles(findings: Path) -> None:
    with closing(sqlite3.connect(findings / "findings.gpkg")) as database:
        rows = database.execute(
            "SELECT f_table_name, f_geometry_column, useAsDefault, styleQML FROM layer_styles"
        ).fetchall()
    styled = {row[0]: row for row in rows}
    assert set(styled) >= {"findings", "fence_condition", "fence_line"}
    import xml.etree.ElementTree as ET

    for name, column, default, qml in rows:
        assert (column, default) == ("geom", 1), name
        assert ET.fromstring(qml).tag == "qgis"
    assert 'value="breach"' in styled["fence_condition"][3]


def test_geojson_is_wgs84_and_complete(findings: Path) -> None:
    document = json.loads((findings / "findings.geojson").read_text())
    ids = [feature["properties"]["finding_id"] for feature in document["features"]]
    assert ids == [finding.finding_id for finding in read_findings(findings)]


def test_the_same_input_gives_the_same_findings(
    findings: Path, site: tuple[Path, Path], tmp_path: Path
) -> None:
    assert run("analyze", site[0], "--boundaries", site[1], "--out", tmp_path / "again") == 0
    assert (tmp_path / "again" / "findings.geojson").read_text() == (
        findings / "findings.geojson"
    ).read_text()
    assert (tmp_path / "again" / "condition.csv").read_text() == (
        findings / "condition.csv"
    ).read_text()


def test_two_processes_give_the_same(
    findings: Path, site: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "two"
    assert run("analyze", site[0], "--boundaries", site[1], "--out", out, "--jobs", 2) == 0
    assert (out / "findings.geojson").read_text() == (findings / "findings.geojson").read_text()
    assert (out / "condition.csv").read_text() == (findings / "condition.csv").read_text()


def test_an_interrupted_run_goes_on(
    site: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boundaries = read_boundaries(site[1])
    sources = Sources([site[0]], boundaries)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("analysis.pipeline.put_together", stop)
        with pytest.raises(KeyboardInterrupt):
            analyze(sources, tmp_path)
    kept = list((tmp_path / ".work").glob("*.json"))
    assert len(kept) >= 2
    assert not (tmp_path / "findings.gpkg").exists()

    def never(*_: object) -> None:
        raise AssertionError("done twice")

    monkeypatch.setattr("analysis.footpath_work.look", never)
    analyze(sources, tmp_path)
    assert (tmp_path / "findings.gpkg").exists()
    assert not (tmp_path / ".work").exists()


def test_other_models_or_another_configuration_start_anew() -> None:
    sources, models = Sources([Path("a.tif")]), {"fence.onnx": "12ab"}
    key = _key((), models, sources, AnalyzeSpec())
    assert key == _key((), dict(models), sources, AnalyzeSpec())
    assert key != _key((), {"fence.onnx": "12ac"}, sources, AnalyzeSpec())
    assert key != _key((), models, sources, AnalyzeSpec(outside_m=61.0))
    assert key != _key((("a.tif", "ff"),), models, sources, AnalyzeSpec())
    digests = model_digests()
    assert {"fence.onnx", "footpaths.onnx"} <= set(digests)
    assert all(len(digest) == 64 for digest in digests.values())


@pytest.fixture(scope="module")
def long_site(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Fence of more than one piece."""
    folder = tmp_path_factory.mktemp("long")
    lines = write_lines(folder / "lines.geojson", [(0, -20.4), (820, -19.8)])
    return write_ortho(folder / "ortho.tif", 820.0), lines


@pytest.mark.parametrize("kill_at", [".work/fence-0000-0000-00001.json", "findings.gpkg"])
def test_a_run_that_is_killed_goes_on_and_comes_out_the_same(
    long_site: tuple[Path, Path], whole_run: Path, tmp_path: Path, kill_at: str
) -> None:
    out = tmp_path / "out"
    order = [sys.executable, "-m", "fencewalk", "analyze", str(long_site[0]), "--only", "fence",
             "--boundaries", str(long_site[1]), "--out", str(out)]  # fmt: skip
    process = subprocess.Popen(order, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not (out / kill_at).exists():
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (out / "report.html").exists()
    left = {path.name: path.stat().st_mtime_ns for path in (out / ".work").glob("*.json")}
    assert left
    (out / "chips").mkdir(exist_ok=True)
    (out / "chips" / ".a.0123abcd.partial.jpg").touch()
    assert run(*order[3:]) == 0
    for name in ("findings.geojson", "condition.csv"):
        assert (out / name).read_bytes() == (whole_run / name).read_bytes()
    for strip in (whole_run / "strips").iterdir():
        assert (out / "strips" / strip.name).read_bytes() == strip.read_bytes()
    hidden = [path for path in out.rglob("*") if path.name.startswith(".")]
    assert not hidden, "what the killed run left behind"


def test_tiles_and_processes_change_nothing(
    long_site: tuple[Path, Path], whole_run: Path, tmp_path: Path
) -> None:
    tiles = []
    with rasterio.open(long_site[0]) as whole:
        for number, (first, last) in enumerate(itertools.pairwise([0, 3011, 5500, whole.width])):
            window = Window(first, 0, last - first, whole.height)
            at = {"transform": whole.window_transform(window), "photometric": "rgb"}
            bands = whole.read(window=window)
            tiles.append(write_ortho(tmp_path / f"tile{number}.tif", bands=bands, **at))
    out = tmp_path / "out"
    order = ["--boundaries", long_site[1], "--only", "fence", "--jobs", 2, "--out", out]
    assert run("analyze", *tiles, *order) == 0
    for name in ("findings.geojson", "condition.csv"):
        assert (out / name).read_bytes() == (whole_run / name).read_bytes()
    (strip,) = (whole_run / "strips").iterdir()
    assert (out / "strips" / strip.name).read_bytes() == strip.read_bytes()


@pytest.fixture(scope="module")
def whole_run(long_site: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "out"
    order = ["analyze", long_site[0], "--only", "fence", "--boundaries", long_site[1]]
    assert run(*order, "--out", out) == 0
    return out


def test_json_tells_the_metres(
    site: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("analyze", site[0], "--boundaries", site[1], "--out", tmp_path, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert sum(said["metres_by_state"].values()) == pytest.approx(said["fence_m"], abs=0.1)
    assert said["fence_m"] == pytest.approx(53.0, abs=0.2)


def test_without_boundaries_there_are_footpaths_only(
    site: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("analyze", site[0], "--out", tmp_path) == 0
    assert read_condition(tmp_path) == []
    assert "of fence" not in capsys.readouterr().out


# The tiling


@given(
    cuts=st.lists(st.floats(0.01, 99.99), max_size=6, unique=True),
    damage=st.sampled_from(["none", "gap", "overlap", "short", "empty"]),
)
def test_only_a_tiling_is_written(cuts: list[float], damage: str) -> None:
    track = Track(np.array([[0.0, 0.0], [100.0, 0.0]]), np.array([0.0, 100.0]))
    lonlat = np.array([[99.0, 27.0], [99.001, 27.0]])
    line = FenceLine(Boundary("G1", Side.LEFT, (lonlat,), (0.0,)), 0, track, track, np.zeros(2))
    edges = [0.0, *sorted(cuts), 100.0]
    nowhere = shapely.LineString([(0, 0), (0, 1)])
    pieces = [
        FencePiece(nowhere, "G1", Side.LEFT, a, b, FenceState.INTACT)
        for a, b in itertools.pairwise(edges)
    ]
    if damage == "none":
        require_tiling(line, pieces)
        return
    if damage == "short":
        pieces[-1] = replace(pieces[-1], chainage_end_m=99.995)
    elif damage == "gap":
        pieces[0] = replace(pieces[0], chainage_start_m=0.005)
    elif damage == "overlap":
        pieces.append(replace(pieces[-1], chainage_start_m=99.995))
    else:
        pieces.insert(0, replace(pieces[0], chainage_end_m=0.0))
    with pytest.raises(ValueError, match="G1-left-1: states"):
        require_tiling(line, pieces)


def test_the_table_quotes_what_it_must() -> None:
    nowhere = shapely.LineString([(0, 0), (0, 1)])
    piece = FencePiece(nowhere, 'G"1', Side.LEFT, 1.0, 2.0, FenceState.OBSCURED, 0.5, "bush, tall")
    row = next(csv.DictReader(condition_csv([piece]).splitlines()))
    assert (row["route"], row["reason"]) == ('G"1', "bush, tall")


def test_names_tell_the_place_and_stay_apart() -> None:
    point = shapely.Point(99.0, 27.0)
    at = {"route": "G 75/甲", "side": Side.RIGHT, "chainage_start_m": 5.0, "chainage_end_m": 5.4}
    same = Finding("", FindingKind.BREACH, point, 0.5, **at)  # type: ignore[arg-type]
    far = Finding("", FindingKind.FOOTPATH, point, 0.5)
    given_id = replace(same, finding_id="G_75_甲-R-K0+005-B2")
    ids = [finding.finding_id for finding in named([same, same, far, given_id])]
    assert ids[0] == "G_75_甲-R-K0+005-B"
    assert ids[1] == "G_75_甲-R-K0+005-B3"
    assert ids[2].endswith("-F")
    assert len(set(ids)) == 4


# Where footpaths are looked for


def test_the_search_keeps_to_the_band_and_fills_loops(site: tuple[Path, Path]) -> None:
    ortho = Orthophoto.open(site[0])
    boundaries = read_boundaries(site[1])
    spec = AnalyzeSpec(outside_m=5.0, inside_m=3.0)
    area = search_area(ortho, Sources([site[0]], boundaries), spec)
    west, south, east, north = shapely.total_bounds(area)
    # Left of a line to the east is north: outside of it.
    assert north == pytest.approx(Y0 - 20 + 5, abs=0.7)
    assert south == pytest.approx(Y0 - 20 - 3, abs=0.7)
    assert (west, east) == (pytest.approx(X0), pytest.approx(X0 + 38, abs=0.5))
    square = np.array([(10, -10), (30, -10), (30, -30), (10, -30), (10, -10.5)])
    lonlat = ortho.to_lonlat(square + np.array([X0, Y0]))
    loop = Boundary("G1", Side.LEFT, (lonlat,), (0.0,))
    area = search_area(ortho, Sources([site[0]], [loop]), AnalyzeSpec(outside_m=2, inside_m=2))
    assert shapely.contains(area, shapely.Point(X0 + 20, Y0 - 20))


def test_a_file_too_large_to_read_whole_is_known_by_its_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analysis.pipeline._WHOLE_DIGEST_BYTES", 100)
    monkeypatch.setattr("analysis.pipeline._END_BYTES", 10)
    path = tmp_path / "a.tif"
    path.write_bytes(bytes(200))
    first = digest_of(path)
    assert first.startswith("ends-")
    path.write_bytes(bytes(199) + b"x")
    assert digest_of(path) != first
    path.write_bytes(bytes(201))
    assert digest_of(path) != first


def test_previous_must_be_another_folder(
    site: tuple[Path, Path], findings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (findings / "findings.geojson").read_bytes()
    code = run("analyze", site[0], "--boundaries", site[1], "--previous", findings,
               "--out", findings)  # fmt: skip
    assert code == 2
    assert "two different folders" in capsys.readouterr().err
    assert (findings / "findings.geojson").read_bytes() == before


def test_each_file_is_looked_at_once_whoever_does_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be read is left for whoever opens it, whose message names it."""
    good, bad, missing = tmp_path / "a.tif", tmp_path / "b.tif", tmp_path / "c.tif"
    shutil.copy(write_flat(good), tmp_path / "again.tif")
    bad.write_bytes(b"no picture")
    sources = Sources(orthos=(good, bad, missing), files=(good, tmp_path / "again.tif"))
    with Crew(2) as crew:
        digests = first_look(sources, crew)
    assert digests[good] == digests[tmp_path / "again.tif"] == sha256_of(good)
    assert (digests[bad], digests[missing]) == ("", "")
    monkeypatch.setattr("analysis.raster_source._looked_at", None)
    assert Orthophoto.open(good).bounds == (0.0, 0.0, 4.0, 3.0)


def write_flat(path: Path) -> Path:
    profile = {
        "driver": "GTiff", "width": 40, "height": 30, "count": 3, "dtype": "uint8",
        "crs": "EPSG:32648", "transform": from_origin(0, 3, 0.1, 0.1),
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(np.full((3, 30, 40), 90, np.uint8))
    return path
