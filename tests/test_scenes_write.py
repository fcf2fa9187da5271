"""The files of a scene."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from rasterio.enums import MaskFlags

from corridor import read_boundaries
from corridor.findings import FenceState, FindingKind, read_condition, read_findings
from fencewalk.cli import app, main
from scenes import FenceKind, SceneSpec, generate


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = SceneSpec(11, gsd_m=0.05, length_m=100.0, band_m=8.0)
    return generate(spec, tmp_path_factory.mktemp("scene") / "deep" / "scene")


def test_the_orthophoto_is_a_cog_in_metres_with_what_lies_outside_masked(folder: Path) -> None:
    with rasterio.open(folder / "ortho.tif") as ortho:
        assert ortho.crs.is_projected
        assert ortho.res == (0.05, 0.05)
        assert ortho.profile["tiled"]
        assert ortho.overviews(1)
        assert ortho.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert MaskFlags.per_dataset in ortho.mask_flag_enums[0]
        mask = ortho.dataset_mask()
        assert 0.3 < (mask > 0).mean() < 1.0
        picture = ortho.read([1, 2, 3])
        assert 40 < picture[:, mask > 0].mean() < 220


def test_the_height_models_lie_under_the_orthophoto(folder: Path) -> None:
    with (
        rasterio.open(folder / "ortho.tif") as ortho,
        rasterio.open(folder / "dsm.tif") as dsm,
        rasterio.open(folder / "dem.tif") as dem,
    ):
        assert dsm.bounds == dem.bounds
        np.testing.assert_allclose(dsm.bounds, ortho.bounds, atol=0.1)
        surface, ground = dsm.read(1), dem.read(1)
        assert np.isfinite(ground).all()
        assert (surface >= ground - 1e-3).all()
        assert (surface - ground).max() > 1.0


def test_the_elevations_for_planning_are_the_surface_and_go_on_beyond_the_picture(
    folder: Path,
) -> None:
    with (
        rasterio.open(folder / "dsm.tif") as dsm,
        rasterio.open(folder / "dem.tif") as dem,
        rasterio.open(folder / "planning_dem.tif") as wide,
    ):
        np.testing.assert_allclose(
            np.subtract(wide.bounds, dsm.bounds), [-150, -150, 150, 150], atol=0.2
        )
        assert np.isfinite(wide.read(1)).all()
        rng = np.random.default_rng(0)
        low, high = np.array(dsm.bounds[:2]) + 2, np.array(dsm.bounds[2:]) - 2
        # Where they stand for one place, they agree: at the middles of the wide one's pixels.
        places = np.floor(rng.uniform(low, high, (200, 2))) + 0.5
        here, near, ground = (
            np.array([v[0] for v in source.sample(places)]) for source in (wide, dsm, dem)
        )
        assert (here >= ground - 0.3).all()
        assert np.median(np.abs(here - near)) < 0.05


def test_boundaries_and_truth_are_read_by_everyone(folder: Path) -> None:
    boundaries = read_boundaries(folder / "boundaries.geojson")
    assert {b.side.value for b in boundaries} == {"left", "right"}
    pieces = read_condition(folder / "truth.gpkg")
    assert {p.state for p in pieces} >= {FenceState.INTACT, FenceState.BREACH}
    ends = {p.side: p.chainage_end_m for p in pieces}
    for boundary in boundaries:
        # Written with 9 decimals of a degree, a tenth of a millimetre.
        assert ends[boundary.side] == pytest.approx(boundary.chainage_end_m, abs=0.05)
    kinds = {f.kind for f in read_findings(folder / "truth.gpkg")}
    assert FindingKind.BREACH in kinds
    layers = set(geopandas.list_layers(folder / "truth.gpkg")["name"])
    assert layers >= {"findings", "fence_condition", "fence_line", "crowns", "footpaths_seen"}


def test_the_summary_says_what_was_made(folder: Path) -> None:
    summary = json.loads((folder / "scene.json").read_text())
    assert summary["version"] == 1
    assert summary["seed"] == 11
    assert summary["parameters"]["gsd_m"] == 0.05
    assert 0 < summary["sun"]["elevation_deg"] < 90


def test_nothing_unfinished_is_left(folder: Path) -> None:
    assert sorted(p.name for p in folder.iterdir()) == [
        "boundaries.geojson", "dem.tif", "dsm.tif", "ortho.tif", "planning_dem.tif", "scene.json",
        "truth.gpkg",
    ]  # fmt: skip


def test_the_command_generates_a_scene(tmp_path: Path) -> None:
    arguments = "scene --seed 2 --length 100 --band 8 --gsd 0.05 --fence barbed_wire --json --out"
    result = CliRunner().invoke(app, [*arguments.split(), str(tmp_path / "s")])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["folder"] == str(tmp_path / "s")
    summary = json.loads((tmp_path / "s" / "scene.json").read_text())
    assert {f["kind"] for f in summary["fences"]} == {FenceKind.BARBED_WIRE.value}


SMALL = "scene --seed 2 --length 100 --band 8 --gsd 0.05 --out"


def start(out: Path) -> subprocess.Popen[bytes]:
    """A run that is at work on the orthophoto."""
    command = [sys.executable, "-m", "fencewalk", *SMALL.replace("0.05", "0.01").split(), str(out)]
    run = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    for _ in range(3000):  # a busy machine
        if list(out.glob(".scene-*/*")):
            return run
        time.sleep(0.05)
    run.kill()
    raise AssertionError("the run never began to draw")


def test_a_run_that_is_ended_removes_what_is_half_written(tmp_path: Path) -> None:
    run = start(tmp_path / "s")
    run.send_signal(signal.SIGTERM)
    assert run.wait(60) == 130
    assert not list((tmp_path / "s").iterdir())


def test_the_next_run_removes_what_a_killed_one_left_but_nothing_of_a_living_one(
    tmp_path: Path,
) -> None:
    killed = start(tmp_path / "s")
    killed.kill()
    killed.wait(60)
    left = list((tmp_path / "s").glob(".*"))
    assert left
    at_work = tmp_path / "t" / f".scene-{os.getppid()}-abc"
    at_work.mkdir(parents=True)
    for folder in ("s", "t"):
        run = CliRunner().invoke(app, [*SMALL.split(), str(tmp_path / folder)])
        assert run.exit_code == 0, run.output
    assert not list((tmp_path / "s").glob(".*"))
    assert at_work.exists()


def test_a_full_disk_is_said_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        # No file may grow beyond 300 kB: writing fails as on a full disk.
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, before[1]))
        with pytest.raises(SystemExit) as stopped:
            main([*SMALL.split(), str(tmp_path / "s")])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert stopped.value.code == 2
    assert "room on the disk" in capsys.readouterr().err
    assert list((tmp_path / "s").iterdir()) == []


def test_a_wrong_value_ends_with_2_and_a_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["scene", "--gsd", "0.5", "--out", str(tmp_path / "s")])
    assert stopped.value.code == 2
    assert "--gsd: 0.5 is out of range; allowed is 0.01 to 0.05" in capsys.readouterr().err
    assert not (tmp_path / "s").exists()
