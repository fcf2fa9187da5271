"""Where paths meet fences, and ways across: a fence along the x axis, paths drawn by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine

from analysis.access import access_points, across, carried, crossings, meetings, state_near
from analysis.fence_work import Breach, FenceResult, Stretch
from analysis.footpaths import Footpath, PathClass
from analysis.fusion import fuse
from analysis.raster import Orthophoto
from analysis.results import FenceLine, Layers, named
from corridor import Boundary, Side, Track
from corridor.findings import BreachType, FencePiece, FenceState

X0, Y0 = 500_000.0, 3_000_000.0


@pytest.fixture(scope="module")
def ortho(tmp_path_factory: pytest.TempPathFactory) -> Orthophoto:
    path = tmp_path_factory.mktemp("ortho") / "a.tif"
    with rasterio.open(
        path, "w", driver="GTiff", count=3, height=100, width=100, dtype="uint8",
        crs="EPSG:32647", transform=Affine(1, 0, X0, 0, -1, Y0 + 50),
    ) as dataset:  # fmt: skip
        dataset.write(np.full((3, 100, 100), 120, np.uint8))
    return Orthophoto.open(path)


def fence(ortho: Orthophoto, y: float = 0.0, side: Side = Side.LEFT) -> FenceLine:
    """Along y, chainage = x; for the left side, outside is up."""
    xy = np.array([[X0, Y0 + y], [X0 + 50, Y0 + y], [X0 + 100, Y0 + y]])
    track = Track(xy, np.array([0.0, 50.0, 100.0]))
    boundary = Boundary("G1", side, (ortho.to_lonlat(xy),), (0.0,))
    return FenceLine(boundary, 0, track, track, np.zeros(3))


def path(*points: tuple[float, float], **changes: object) -> Footpath:
    values: dict[str, object] = {
        "centreline": shapely.LineString(np.array(points) + np.array([X0, Y0])),
        "path_class": PathClass.FOOTPATH,
        "confidence": 0.8,
        "visibility": 0.5,
        "width_m": 0.7,
        "inferred_frac": 0.0,
        "evidence": {},
    }
    return Footpath(**(values | changes))  # type: ignore[arg-type]


def states(*spans: tuple[float, float, FenceState]) -> list[FencePiece]:
    nowhere = shapely.LineString([(0, 0), (0, 1)])
    return [FencePiece(nowhere, "G1", Side.LEFT, a, b, state) for a, b, state in spans]


def test_a_path_through_the_fence_crosses(ortho: Orthophoto) -> None:
    (met,) = meetings([path((30, 20), (31, 5), (32, -6))], [fence(ortho)])
    assert met.chainage_m == pytest.approx(31.4545, abs=0.01)
    assert met.crosses
    assert met.gap_m == 0


def test_a_path_that_fades_before_the_fence_meets_it(ortho: Orthophoto) -> None:
    (met,) = meetings([path((30, 20), (30, 1.8))], [fence(ortho)])
    assert (met.chainage_m, met.crosses, met.outside, met.inside) == (30.0, False, True, False)


def test_a_path_that_touches_without_going_on_does_not_cross(ortho: Orthophoto) -> None:
    (met,) = meetings([path((30, 20), (30, -0.3))], [fence(ortho)])
    assert not met.crosses


@pytest.mark.parametrize(
    "points",
    [
        [(5, 1.5), (40, 1.0), (80, 1.5)],  # follows the fence, ends 60 m from where it began
        [(5, 0.4), (40, -0.4), (80, 0.4)],  # follows it and wavers over the line
    ],
)
def test_a_path_along_the_fence_does_not_meet_it(
    ortho: Orthophoto, points: list[tuple[float, float]]
) -> None:
    assert meetings([path(*points)], [fence(ortho)]) == []


def test_a_path_is_carried_under_cover_only(ortho: Orthophoto) -> None:
    paths = [path((20, 30), (30, 8))]  # points at x = 33.6 on the fence, 8.8 m on
    assert meetings(paths, [fence(ortho)]) == []
    met = meetings(paths, [fence(ortho)], under_cover=lambda way: True)
    assert met[0].inferred
    assert met[0].chainage_m == pytest.approx(33.636, abs=0.01)
    (longer,) = carried(paths, met)
    seen_m, more_m = np.hypot(10, 22), np.hypot(3.636, 8)
    assert longer.inferred_frac == pytest.approx(more_m / (seen_m + more_m), abs=1e-3)


@pytest.mark.parametrize("kind", [PathClass.VEHICLE_TRACK, PathClass.PAVED_PATH])
def test_what_is_driven_or_paved_meets_a_fence_but_is_not_carried_to_it(
    ortho: Orthophoto, kind: PathClass
) -> None:
    short = [path((20, 30), (30, 8), path_class=kind)]
    assert meetings(short, [fence(ortho)], under_cover=lambda way: True) == []
    assert meetings([path((30, 20), (30, 1.8), path_class=kind)], [fence(ortho)])


def test_an_end_at_a_junction_points_at_nothing(ortho: Orthophoto) -> None:
    paths = [path((30, 20), (30, 1.8)), path((10, 1.9), (60, 1.7))]
    assert meetings(paths, [fence(ortho)]) == []


def test_lines_that_are_no_paths_meet_nothing(ortho: Orthophoto) -> None:
    other = path((30, 20), (30, -20), path_class=PathClass.OTHER_LINEAR)
    assert meetings([other], [fence(ortho)]) == []


def test_paths_to_one_place_share_an_access_point_and_confirm_it(ortho: Orthophoto) -> None:
    paths = [path((30, 20), (30, -8)), path((32, 20), (32, 1)), path((70, 20), (70, 1))]
    intact = [states((0, 100, FenceState.INTACT))]
    points = access_points(ortho, paths, [fence(ortho)], intact, Layers())
    assert [round(point.chainage_start_m or 0) for point in points] == [30, 70]
    assert points[0].extra["paths"] == 2
    # 0.8 seen through, and 0.9 of 0.8 for the one that ends at the fence.
    assert points[0].confidence == pytest.approx(1 - 0.2 * (1 - 0.72))
    assert points[0].crosses_fence
    assert not points[1].crosses_fence


def test_a_breach_makes_an_access_point_worse(ortho: Orthophoto) -> None:
    paths = [path((30, 20), (30, 1)), path((70, 20), (70, 1))]
    pieces = [
        states(
            (0, 29, FenceState.INTACT), (29, 31, FenceState.BREACH), (31, 100, FenceState.INTACT)
        )
    ]
    broken, whole = access_points(ortho, paths, [fence(ortho)], pieces, Layers())
    assert broken.severity == whole.severity + 2
    assert broken.extra["rank"] > whole.extra["rank"]  # type: ignore[operator]
    assert broken.extra["next_step"] == "mend"


def test_under_a_viaduct_is_no_access_point(ortho: Orthophoto) -> None:
    pieces = [states((0, 100, FenceState.NO_FENCE))]
    assert access_points(ortho, [path((30, 9), (30, -9))], [fence(ortho)], pieces, Layers()) == []


def test_where_a_path_comes_from_counts(ortho: Orthophoto) -> None:
    village = Layers(places={"villages": [shapely.box(X0 + 20, Y0 + 40, X0 + 40, Y0 + 60)]})
    intact = [states((0, 100, FenceState.INTACT))]
    paths = [path((30, 20), (30, 1))]
    (near,) = access_points(ortho, paths, [fence(ortho)], intact, village)
    (plain,) = access_points(ortho, paths, [fence(ortho)], intact, Layers())
    assert near.evidence["near_villages"] == 1.0
    assert near.severity == plain.severity + 1


def test_a_way_across_joins_the_two_sides_once(ortho: Orthophoto) -> None:
    lines = [fence(ortho, 0.0, Side.LEFT), fence(ortho, -30.0, Side.RIGHT)]
    paths = [path((30, 20), (30, 1)), path((33, -31), (33, -45)), path((60, -31), (60, -45))]
    intact = [states((0, 100, FenceState.INTACT))] * 2
    points = named(access_points(ortho, paths, lines, intact, Layers()))
    (way,) = crossings(ortho, points, Layers())
    assert way.chainage_m == pytest.approx(31.5)
    assert way.length_m == pytest.approx(np.hypot(3, 30), abs=0.05)
    village = Layers(places={"villages": [shapely.box(X0, Y0 + 40, X0 + 60, Y0 + 60)]})
    (raised,) = crossings(ortho, points, village)
    assert raised.confidence > way.confidence
    assert raised.reason == "villages"
    told = {each.finding_id: each for each in across(points, [way])}
    before = {each.finding_id: each for each in points}
    assert told[way.left_id].extra["across"] == way.right_id
    assert told[way.right_id].extra["across"] == way.left_id
    for name in (way.left_id, way.right_id):
        assert float(told[name].extra["rank"] or 0) > float(before[name].extra["rank"] or 0)
    (alone,) = set(told) - {way.left_id, way.right_id}
    assert told[alone] == before[alone]


def test_no_way_across_one_side(ortho: Orthophoto) -> None:
    paths = [path((30, 20), (30, 1)), path((33, 20), (35, 1))]
    points = access_points(
        ortho, paths, [fence(ortho)], [states((0, 100, FenceState.INTACT))], Layers()
    )
    assert crossings(ortho, named(points), Layers()) == []


def test_a_breach_near_by_is_the_state() -> None:
    pieces = states((0, 29, FenceState.INTACT), (29, 31, FenceState.BREACH),
                    (31, 100, FenceState.OBSCURED))  # fmt: skip
    assert state_near(pieces, 28.0) is FenceState.BREACH
    assert state_near(pieces, 20.0) is FenceState.INTACT
    assert state_near(pieces, 40.0) is FenceState.OBSCURED


# Fusion


def result(
    *spans: tuple[float, float, FenceState], breaches: tuple[Breach, ...] = ()
) -> FenceResult:
    xy = np.array([[X0, Y0], [X0 + 100, Y0]])
    stretches = tuple(Stretch(a, b, state, 0.9) for a, b, state in spans)
    return FenceResult(0, 0, np.array([0.0, 100.0]), xy, np.zeros(2), stretches, breaches)


def test_a_path_through_intact_fence_is_a_suspected_hole(ortho: Orthophoto) -> None:
    paths = [path((30, 20), (30, -8))]
    met = meetings(paths, [fence(ortho)])
    fused = fuse(result((0, 100, FenceState.INTACT)), 0, paths, met)
    assert [(round(s.start_m, 2), round(s.end_m, 2), s.state) for s in fused.stretches] == [
        (0, 29.65, FenceState.INTACT),
        (29.65, 30.35, FenceState.BREACH),
        (30.35, 100, FenceState.INTACT),
    ]
    assert fused.breaches[0].breach_type is BreachType.HOLE
    assert fused.breaches[0].confidence == pytest.approx(0.8 * 0.78)


def test_a_path_that_only_reaches_the_fence_suspects_nothing(ortho: Orthophoto) -> None:
    paths = [path((30, 20), (30, 1))]
    met = meetings(paths, [fence(ortho)])
    whole = result((0, 100, FenceState.INTACT))
    assert fuse(whole, 0, paths, met) == whole


def test_a_path_makes_a_breach_surer(ortho: Orthophoto) -> None:
    gap = Breach(29.0, 31.0, BreachType.GAP, 0.6)
    before = result((0, 29, FenceState.INTACT), (29, 31, FenceState.BREACH),
                    (31, 100, FenceState.INTACT), breaches=(gap,))  # fmt: skip
    paths = [path((30, 20), (30, -8))]
    fused = fuse(before, 0, paths, meetings(paths, [fence(ortho)]))
    assert fused.stretches == before.stretches
    assert fused.breaches[0].confidence == pytest.approx(1 - 0.4 * 0.6)
    assert fused.breaches[0].evidence["footpath"] == pytest.approx(0.8)


def test_unseen_fence_is_not_suspected(ortho: Orthophoto, tmp_path: Path) -> None:
    paths = [path((30, 20), (30, -8))]
    unseen = result((0, 100, FenceState.UNSEEN))
    assert fuse(unseen, 0, paths, meetings(paths, [fence(ortho)])) == unseen
