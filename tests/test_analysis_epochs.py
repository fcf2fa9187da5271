"""Two flights laid over each other, and what became of each finding."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine

from analysis.changes import compare
from analysis.epochs import Earlier, Registration, Strip, register, registration_of, write_strips
from analysis.raster import Orthophoto
from analysis.results import FenceLine
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

X0, Y0 = 500_000.0, 3_000_000.0
LENGTH_M, HALF_M, PIXEL_M = 120.0, 6.0, 0.05


def ground(seed: int) -> Any:
    """Grass with a fence along the middle and a post every 3 m, (rows, columns) grey, 120 m."""
    chance = np.random.default_rng(seed)
    rows, columns = round(2 * HALF_M / PIXEL_M), round(LENGTH_M / PIXEL_M)
    grey = chance.normal(0, 1, (rows, columns)).astype(np.float32)
    coarse = cv2.resize(chance.normal(0, 1, (rows // 12, columns // 12)).astype(np.float32),
                        (columns, rows), interpolation=cv2.INTER_CUBIC)  # fmt: skip
    grey = 110 + 10 * cv2.GaussianBlur(grey, (0, 0), 1.5) * 3 + 14 * coarse
    middle = rows // 2
    grey[middle - 1 : middle + 1] -= 50
    for post in range(0, columns, round(3.0 / PIXEL_M)):
        grey[middle - 3 : middle + 3, post : post + 3] += 60
    return grey


def picture(path: Path, grey: Any, shift_m: float = 0.0) -> Orthophoto:
    """The ground as an orthophoto, its coordinates off by `shift_m` to the east."""
    band = np.clip(grey, 1, 255).astype(np.uint8)
    with rasterio.open(
        path, "w", driver="GTiff", count=3, height=band.shape[0], width=band.shape[1],
        dtype="uint8", crs="EPSG:32647", photometric="rgb",
        transform=Affine(PIXEL_M, 0, X0 + shift_m, 0, -PIXEL_M, Y0 + HALF_M),
    ) as file:  # fmt: skip
        file.write(np.stack([band] * 3))
    return Orthophoto.open(path)


def line(ortho: Orthophoto) -> FenceLine:
    xy = np.array([[X0 + 5, Y0], [X0 + 115, Y0]])
    track = Track(xy, np.array([1000.0, 1110.0]))
    boundary = Boundary("G1", Side.LEFT, (ortho.to_lonlat(xy),), (1000.0,))
    return FenceLine(boundary, 0, track, track, np.zeros(2))


@pytest.fixture(scope="module")
def flights(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Orthophoto, FenceLine]:
    """The same ground twice: 1.37 m off along the fence, brighter, flatter, in other light."""
    folder = tmp_path_factory.mktemp("flights")
    first = ground(1)
    light = np.linspace(0.7, 1.25, first.shape[1], dtype=np.float32)
    grain = np.random.default_rng(9).normal(0, 4, first.shape)
    second = (first * 0.7 + 70) * light + grain
    before = picture(folder / "a.tif", first)
    now = picture(folder / "b.tif", second, 1.37)
    write_strips(folder / "before", before, [line(before)])
    write_strips(folder / "now", now, [line(now)])
    return folder / "before", folder / "now", now, line(now)


def strip(folder: Path) -> Strip:
    found = Strip.open(folder / "strips" / "G1-left-1.tif")
    assert found is not None
    return found


def test_flights_are_laid_over_each_other_to_centimetres(
    flights: tuple[Path, Path, Orthophoto, FenceLine],
) -> None:
    before, now, _, _ = flights
    guess = np.array([1000.0, 1110.0])
    fitted = register(strip(before), strip(now), guess, guess)
    assert np.abs(fitted.shift_m - 1.37).max() < 0.05
    assert fitted.correlation.min() > 0.5
    assert fitted.now(1050.0) == pytest.approx(1051.37, abs=0.05)


def test_evenly_spaced_posts_do_not_pull_to_a_neighbour(tmp_path: Path) -> None:
    # Another summer's grass on the same posts: only the posts correlate, and they repeat.
    first = picture(tmp_path / "a.tif", ground(1))
    second = picture(tmp_path / "b.tif", 0.25 * ground(1) + 0.75 * ground(2), 1.0)
    write_strips(tmp_path / "a", first, [line(first)])
    write_strips(tmp_path / "b", second, [line(second)])
    guess = np.array([1000.0, 1110.0])
    fitted = register(strip(tmp_path / "a"), strip(tmp_path / "b"), guess, guess)
    assert np.abs(fitted.shift_m - 1.0).max() < 0.2


def test_other_ground_is_not_made_to_fit(tmp_path: Path) -> None:
    chance = np.random.default_rng(3)
    pictures = [
        picture(tmp_path / f"{i}.tif", 100 + 20 * chance.normal(size=(240, 2400))) for i in range(2)
    ]
    for index, ortho in enumerate(pictures):
        write_strips(tmp_path / str(index), ortho, [line(ortho)])
    guess = np.array([1000.0, 1110.0])
    fitted = register(strip(tmp_path / "0"), strip(tmp_path / "1"), guess, guess)
    assert (fitted.correlation == 0).all()
    assert (fitted.shift_m == 0).all()


def test_a_strip_is_chainage_by_offset(
    flights: tuple[Path, Path, Orthophoto, FenceLine],
) -> None:
    found = strip(flights[0])
    assert (found.start_m, found.pixel_m) == (1000.0, 0.05)
    assert found.end_m == pytest.approx(1110.0)
    grey = found.read(1020.0, 1040.0, 0.05)
    rail = grey[49:51].mean()
    assert rail < grey[:40].mean() - 25


# What became of the findings

INTACT, BREACH, OBSCURED = FenceState.INTACT, FenceState.BREACH, FenceState.OBSCURED


def breach(ortho: Orthophoto, a: float, b: float, kind: BreachType = BreachType.GAP) -> Finding:
    xy = np.array([[X0 + a - 995, Y0], [X0 + b - 995, Y0]])
    return Finding(
        f"B{a:.0f}", FindingKind.BREACH, shapely.LineString(ortho.to_lonlat(xy)), 0.9,
        breach_type=kind, route="G1", side=Side.LEFT, chainage_start_m=a, chainage_end_m=b,
        length_m=b - a,
    )  # fmt: skip


def footpath(ortho: Orthophoto, x: float, visibility: float = 0.5, **extra: Any) -> Finding:
    xy = np.array([[X0 + x, Y0 - 5], [X0 + x, Y0 + 5]])
    return Finding(
        f"F{x:.0f}", FindingKind.FOOTPATH, shapely.LineString(ortho.to_lonlat(xy)), 0.9,
        extra={"class": "footpath", "visibility": visibility, **extra},
    )  # fmt: skip


def states(*spans: tuple[float, float, FenceState]) -> list[FencePiece]:
    nowhere = shapely.LineString([(0, 0), (0, 1)])
    return [FencePiece(nowhere, "G1", Side.LEFT, a, b, state) for a, b, state in spans]


def told(
    flights: tuple[Path, Path, Orthophoto, FenceLine],
    before: list[Finding],
    now: list[Finding],
    pieces: list[FencePiece],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Status by id, of findings and of what was closed; the flights are 1 m apart."""
    _, _, ortho, fence = flights
    at = np.array([1000.0, 1100.0])
    moved = Registration(at, at + 1.0, np.ones(2), np.ones(2))
    changes = compare(
        ortho, Earlier(Path(), tuple(before), (), {}), [fence], [pieces], [moved], now,
        shapely.box(*ortho.bounds),
    )  # fmt: skip
    return (
        {finding.finding_id: finding.extra["status"] for finding in changes.findings},
        {finding.finding_id: finding.extra["status"] for finding in changes.closed},
    )


def test_breaches_are_told_by_what_became_of_them(
    flights: tuple[Path, Path, Orthophoto, FenceLine],
) -> None:
    ortho = flights[2]
    before = [
        breach(ortho, 1010, 1012), breach(ortho, 1030, 1031), breach(ortho, 1050, 1052),
        breach(ortho, 1070, 1072), breach(ortho, 1090, 1092),
    ]  # fmt: skip
    now = [
        replace(breach(ortho, 1011, 1013), finding_id="same"),
        replace(breach(ortho, 1029, 1034), finding_id="wider"),
        replace(breach(ortho, 1051, 1053, BreachType.COLLAPSED), finding_id="other"),
        replace(breach(ortho, 1020, 1022), finding_id="fresh"),
    ]
    pieces = states((1000, 1060, INTACT), (1060, 1085, INTACT), (1085, 1110, OBSCURED))
    findings, closed = told(flights, before, now, pieces)
    assert findings == {
        "same": "persisting", "wider": "changed", "other": "changed", "fresh": "new",
        "B1090": "unconfirmed",
    }  # fmt: skip
    assert closed == {"B1070": "repaired"}


def test_a_breach_that_half_stands_is_not_repaired(
    flights: tuple[Path, Path, Orthophoto, FenceLine],
) -> None:
    before = [breach(flights[2], 1070, 1074)]
    pieces = states((1000, 1073, INTACT), (1073, 1110, FenceState.UNSEEN))
    findings, closed = told(flights, before, [], pieces)
    assert findings == {"B1070": "unconfirmed"}
    assert closed == {}


def test_a_hole_is_not_repaired_where_nobody_saw_the_mesh(
    flights: tuple[Path, Path, Orthophoto, FenceLine],
) -> None:
    before = [breach(flights[2], 1070, 1071, BreachType.HOLE), breach(flights[2], 1090, 1092)]
    pieces = states((1000, 1110, INTACT))
    for reason in (NOT_SEEN_FROM_THE_SIDE, NOT_PHOTOGRAPHED):
        unseen = [replace(piece, reason=reason) for piece in pieces]
        findings, closed = told(flights, before, [], unseen)
        assert findings == {"B1070": "unconfirmed"}
        assert closed == {"B1090": "repaired"}  # what is gone altogether is seen from above


def test_paths_are_new_more_worn_or_gone(
    flights: tuple[Path, Path, Orthophoto, FenceLine],
) -> None:
    ortho = flights[2]
    before = [footpath(ortho, 20), footpath(ortho, 40), footpath(ortho, 60)]
    now = [
        replace(footpath(ortho, 20.5), finding_id="same"),
        replace(footpath(ortho, 40, 0.8), finding_id="worn"),
        replace(footpath(ortho, 80), finding_id="fresh"),
    ]
    findings, closed = told(flights, before, now, states((1000, 1110, INTACT)))
    assert findings == {"same": "persisting", "worn": "changed", "fresh": "new"}
    assert closed == {"F60": "gone"}


def test_registration_needs_the_same_fence(
    flights: tuple[Path, Path, Orthophoto, FenceLine],
) -> None:
    before, now, ortho, fence = flights
    at = np.arange(1000.0, 1111.0)
    lonlat = ortho.to_lonlat(fence.found.at(at))
    earlier = Earlier(before, (), (), {("G1", Side.LEFT): (at, lonlat)})
    fitted = registration_of(earlier, ortho, fence, now)
    assert fitted is not None
    assert np.median(fitted.shift_m) == pytest.approx(1.37, abs=0.05)
    assert registration_of(replace(earlier, places={}), ortho, fence, now) is None
