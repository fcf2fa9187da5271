"""Ways up to a fence: a picture of grass with a trodden line across the x axis."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine

from analysis.approaches import (
    CUES,
    Approach,
    approaches_along,
    candidates,
    joined_paths,
    probability,
    stretch_starts,
    weights,
)
from analysis.fence_work import Breach, FenceResult, Stretch
from analysis.footpaths import Footpath, PathClass
from analysis.footpaths.network import Network
from analysis.raster import Orthophoto
from analysis.results import FenceLine
from analysis.training.access import Example, Told, fitted, table
from corridor import Boundary, Side, Track
from corridor.findings import BreachType, FenceState

X0, Y0, GSD_M = 500_000.0, 3_000_000.0, 0.05
PATH_AT_M = 32.0


@pytest.fixture(scope="module")
def ortho(tmp_path_factory: pytest.TempPathFactory) -> Orthophoto:
    """60 m by 40 m; the path comes from above, a little aslant, and ends 4 m below the fence."""
    rows, columns = 800, 1200
    rng = np.random.default_rng(5)
    ground = np.array([88.0, 112.0, 60.0]) + rng.normal(0, 9, (rows, columns, 1))
    x = np.arange(columns) * GSD_M
    y = 20.0 - np.arange(rows)[:, None] * GSD_M
    tread = (np.abs(x - PATH_AT_M - 0.3 * y) < 0.35) & (y > -4.0) & (y < 12.0)
    ground[tread] += (48.0, 14.0, 30.0)
    path = tmp_path_factory.mktemp("ground") / "a.tif"
    with rasterio.open(
        path, "w", driver="GTiff", count=3, height=rows, width=columns, dtype="uint8",
        crs="EPSG:32647", transform=Affine(GSD_M, 0, X0, 0, -GSD_M, Y0 + 20),
    ) as dataset:  # fmt: skip
        dataset.write(np.clip(ground, 1, 254).astype(np.uint8).transpose(2, 0, 1))
    return Orthophoto.open(path)


def track(reverse: bool = False) -> Track:
    xy = np.array([[X0 + 1, Y0], [X0 + 30, Y0], [X0 + 59, Y0]])
    return Track(xy[::-1] if reverse else xy, np.array([1001.0, 1030.0, 1059.0]))


def found(ortho: Orthophoto, **changes: object) -> list[Approach]:
    values: dict[str, object] = {
        "fence": track(), "outward": 1, "first_m": 0.0, "broken": (), "absent": (),
    }  # fmt: skip
    return candidates(ortho, Network(), **(values | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("reverse", "outward"), [(False, 1), (True, -1)], ids=["left outside", "right outside"]
)
def test_the_path_is_the_clearest_way(ortho: Orthophoto, reverse: bool, outward: int) -> None:
    best = max(
        found(ortho, fence=track(reverse), outward=outward), key=lambda one: one.cues["outside"]
    )
    x, _ = track(reverse).at([best.chainage_m])[0]
    assert abs(x - X0 - PATH_AT_M) < 0.6
    assert best.outside_m > 8.0
    assert best.inside_m > 2.0
    line = shapely.LineString(best.xy)
    truth = shapely.LineString(
        [(X0 + PATH_AT_M - 1.2, Y0 - 4.0), (X0 + PATH_AT_M + 3.6, Y0 + 12.0)]
    )
    assert shapely.hausdorff_distance(line, shapely.buffer(truth, 0.1)) < 1.5


def test_inside_and_outside_are_told_apart(ortho: Orthophoto) -> None:
    best = max(found(ortho, outward=-1), key=lambda one: one.cues["inside"])
    assert abs(best.chainage_m - 1000 - PATH_AT_M) < 0.8
    assert best.outside_m < 6.5
    assert best.inside_m > 4.0


def test_every_breach_is_looked_at_and_counts(ortho: Orthophoto) -> None:
    near = [
        one
        for one in found(ortho, broken=[(1010.0, 1012.0, 0.9)])
        if 1009.5 <= one.chainage_m <= 1012.5
    ]
    assert near
    assert near[0].cues["breach"] == 0.9
    whole = {**near[0].cues, "breach": 0.0}
    assert probability(near[0].cues, weights()) > probability(whole, weights())


def test_where_no_fence_stands_there_is_no_way_in(ortho: Orthophoto) -> None:
    everywhere = found(ortho, absent=[(1000.0, 1060.0)])
    assert everywhere == []


def test_a_stretch_is_judged_once(ortho: Orthophoto) -> None:
    assert stretch_starts(track()) == [0.0]
    assert found(ortho, first_m=120.0) == []


def test_the_whole_fence_is_looked_along_and_cut_at_the_area(
    ortho: Orthophoto, monkeypatch: pytest.MonkeyPatch
) -> None:
    sure = dict.fromkeys(CUES, 0.0) | {"outside": 2.0, "bias": -6.0}
    monkeypatch.setattr("analysis.approaches.weights", lambda: sure)
    fence = track()
    boundary = Boundary("G1", Side.LEFT, (ortho.to_lonlat(fence.xy),), (1001.0,))
    line = FenceLine(boundary, 0, fence, fence, np.zeros(3))
    breach = Breach(1031.0, 1033.0, BreachType.GAP, 0.9)
    result = FenceResult(
        0, 0, fence.chainage_m, fence.xy, np.zeros(3),
        (Stretch(1001.0, 1059.0, FenceState.INTACT, 0.9),), (breach,),
    )  # fmt: skip
    area = shapely.box(X0, Y0 - 3.0, X0 + 60, Y0 + 5.0)
    ways = approaches_along(ortho.paths, [line], [result], area)
    best = max(ways, key=lambda one: one.probability)
    assert abs(best.chainage_m - 1000 - PATH_AT_M) < 0.6
    assert 0.4 < best.width_m < 1.1
    assert shapely.covers(shapely.buffer(area, 1e-6), shapely.LineString(best.xy))


# Ways among paths


def approach(*points: tuple[float, float], sure: float = 0.8) -> Approach:
    cues = dict.fromkeys(CUES, 1.0)
    return Approach(10.0, np.array(points), 8.0, 2.0, cues, sure)


def walked(*points: tuple[float, float]) -> Footpath:
    return Footpath(shapely.LineString(points), PathClass.FOOTPATH, 0.9, 0.5, 0.7, 0.0, {})


def test_a_way_leads_on_to_the_path_it_runs_into() -> None:
    trail = walked((-20, 6), (20, 6))
    paths = joined_paths([trail], [approach((0, -2), (0, 14))])
    new = [path for path in paths if path is not trail]
    assert len(new) == 1
    assert shapely.distance(new[0].centreline, trail.centreline) < 1e-6
    # The longer of its two pieces, cut where the other path passes.
    assert new[0].length_m == pytest.approx(8.0, abs=0.1)


def test_a_way_that_is_a_path_already_adds_nothing() -> None:
    trail = walked((0.3, -3), (0.3, 15))
    assert joined_paths([trail], [approach((0, -2), (0, 14))]) == [trail]


def test_an_unlikely_way_is_none() -> None:
    assert joined_paths([], [approach((0, -2), (0, 14), sure=0.3)]) == []


def test_ribs_of_a_lattice_are_no_ways_and_two_ways_side_by_side_are() -> None:
    ribs = [approach((x, -2), (x, 14)) for x in (0.0, 4.0, 8.0, 12.0)]
    assert joined_paths([], ribs) == []
    assert len(joined_paths([], ribs[:2])) == 2


# The fit


def test_the_fit_tells_what_tells_the_places_apart() -> None:
    rng = np.random.default_rng(1)
    told = []
    for scene in range(10):
        examples = []
        for number in range(40):
            cues = rng.normal(0, 1, len(CUES))
            chance = 1 / (1 + np.exp(-(3 * cues[0] + 1 * cues[4] - 1)))
            true = number if rng.uniform() < chance else None
            examples.append(Example(str(scene), Side.LEFT, 5.0 * number, tuple(cues), true))
        told.append(Told(tuple(examples), sum(e.true is not None for e in examples), 600.0))
    by_cue = fitted([one for each in told for one in each.examples])
    assert by_cue["outside"] == pytest.approx(3.0, abs=0.8)
    assert abs(by_cue["clear"]) < 0.4
    rows = [line.split("|") for line in table(told) if line.startswith("| 0.")]
    shares = [float(row[2]) for row in rows]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 0.9
