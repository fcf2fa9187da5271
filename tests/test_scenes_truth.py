"""What a scene says is true of itself must hold together, whatever the seed."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Transformer
from scipy.ndimage import maximum_filter
from shapely.ops import substring

from corridor import Boundary, InputError, LocalFrame, Side, Track
from corridor.findings import BreachType, FenceState, FindingKind
from scenes.boxes import footprint
from scenes.breaches import lay_breaches
from scenes.crowns import heights_at
from scenes.fences import build_elements, choose_style
from scenes.grid import Window
from scenes.layout import EPSG, Layout, lay_out
from scenes.lines import Line
from scenes.render import Renderer
from scenes.spec import Difficulty, FenceKind, Preset, SceneSpec, Season
from scenes.truth import Truth, drawn_boundaries, tell_truth
from scenes.visibility import Sight, look_at, stretches_of
from scenes.write import grid_of

SPECS = st.builds(
    SceneSpec,
    seed=st.integers(0, 2**31 - 1),
    preset=st.sampled_from(Preset),
    length_m=st.sampled_from([120.0, 200.0, 310.0]),
    band_m=st.sampled_from([10.0, 25.0]),
    difficulty=st.sampled_from(Difficulty),
    season=st.sampled_from([None, Season.DRY, Season.SNOW]),
    epoch=st.sampled_from([1, 2]),
)
FEW = settings(max_examples=8, deadline=None, derandomize=True)


def in_metres(layout: Layout, geometry: shapely.Geometry) -> shapely.Geometry:
    forward = Transformer.from_crs(4326, EPSG, always_xy=True)
    east, north = layout.origin_m
    return shapely.transform(
        geometry,
        lambda c: np.column_stack(forward.transform(c[:, 0], c[:, 1])) - (east, north),
    )


def check(layout: Layout, truth: Truth) -> None:
    seen_stretches_lie_on_their_paths(layout, truth)
    for fence, boundary in zip(layout.fences, truth.boundaries, strict=True):
        pieces = [p for p in truth.pieces if p.side is fence.side]
        states_tile(boundary, pieces)
        line = shapely.LineString(fence.line.xy)
        for finding in truth.findings:
            if finding.side is not fence.side:
                continue
            where = in_metres(layout, finding.geometry)
            if finding.kind is FindingKind.BREACH:
                assert not any(
                    fence.missing(s) for s in fence.line.locate(shapely.get_coordinates(where))[0]
                )
                assert where.hausdorff_distance(line.intersection(where.buffer(0.02))) < 0.05
                breach_is_told(finding, pieces)
            if finding.kind is FindingKind.ACCESS_POINT:
                access_is_where_a_path_meets_the_fence(layout, truth, where, line)
                seen_beside_the_fence_is_told(finding, layout, truth, where)
            if finding.kind is FindingKind.PLOT:
                # On the road's side of the fence.
                _, offset = fence.line.locate(np.array(where.exterior.coords))
                assert (offset * fence.side.outward).max() < 0.3


def states_tile(boundary: Boundary, pieces: list) -> None:
    assert pieces[0].chainage_start_m == pytest.approx(boundary.chainage_start_m[0])
    assert pieces[-1].chainage_end_m == pytest.approx(boundary.chainage_end_m)
    for one, following in pairwise(pieces):
        assert one.chainage_end_m == following.chainage_start_m
        assert one.state is not following.state or one.reason != following.reason
    assert all(p.chainage_end_m > p.chainage_start_m for p in pieces)


def breach_is_told(finding, pieces: list) -> None:  # type: ignore[no-untyped-def]
    inside = [
        p
        for p in pieces
        if p.chainage_end_m > finding.chainage_start_m + 1e-6
        and p.chainage_start_m < finding.chainage_end_m - 1e-6
    ]
    states = {p.state for p in inside}
    assert states <= {FenceState.BREACH, FenceState.OBSCURED}
    if finding.extra["visible_frac"] == 1.0:
        assert states == {FenceState.BREACH}
    if finding.breach_type is BreachType.HOLE:
        assert 0.4 <= finding.length_m <= 1.2


def access_is_where_a_path_meets_the_fence(
    layout: Layout, truth: Truth, where: shapely.Point, line: shapely.LineString
) -> None:
    assert where.distance(line) < 0.05
    paths = [
        in_metres(layout, f.geometry) for f in truth.findings if f.kind is FindingKind.FOOTPATH
    ]
    assert min(where.distance(path) for path in paths) < 0.05


def seen_stretches_lie_on_their_paths(layout: Layout, truth: Truth) -> None:
    seen = truth.layers["footpaths_seen"]
    paths = {f.finding_id: f for f in truth.findings if f.kind is FindingKind.FOOTPATH}
    assert set(seen.finding_id) <= set(paths)
    for name, path in paths.items():
        line = in_metres(layout, path.geometry)
        own = [in_metres(layout, g) for g in seen.geometry[seen.finding_id == name]]
        assert all(line.buffer(0.01).contains(one) for one in own)
        # To within the last of the samples, which need not stand for half a metre.
        share = sum(one.length for one in own) / line.length
        assert share == pytest.approx(path.extra["visible_frac"], abs=0.5 / line.length)


def seen_beside_the_fence_is_told(  # type: ignore[no-untyped-def]
    finding, layout: Layout, truth: Truth, where: shapely.Point
) -> None:
    name = finding.finding_id.replace("A", "P")
    (path,) = (f for f in truth.findings if f.finding_id == name)
    line = in_metres(layout, path.geometry)
    at_m = line.project(where)
    near = substring(line, max(0.0, at_m - 6.0), at_m + 6.0).buffer(0.001)
    seen = truth.layers["footpaths_seen"]
    own = [in_metres(layout, g) for g in seen.geometry[seen.finding_id == name]]
    seen_m = sum(one.intersection(near).length for one in own)
    before_m = min(at_m, 6.0) + min(line.length - at_m, 6.0)
    assert finding.extra["visible_frac"] == pytest.approx(seen_m / before_m, abs=0.005)


@pytest.mark.parametrize("preset", list(Preset))
@settings(max_examples=2, deadline=None, derandomize=True)
@given(SPECS)
def test_truth_is_consistent(preset: Preset, spec: SceneSpec) -> None:
    layout = lay_out(replace(spec, preset=preset))
    check(layout, tell_truth(layout))


@FEW
@given(SPECS)
def test_paths_that_cross_lead_through_a_breach_and_no_other_meets_the_fence(
    spec: SceneSpec,
) -> None:
    layout = lay_out(spec)
    for path in layout.paths:
        if path.fence is None:
            continue
        fence = layout.fences[path.fence]
        broken = any(b.start_m <= path.meets_m <= b.end_m for b in fence.breaches)
        assert broken == path.crosses


@FEW
@given(SPECS)
def test_nobody_walks_through_a_fence_but_where_the_path_meets_it(spec: SceneSpec) -> None:
    layout = lay_out(spec)
    for path in layout.paths:
        line = shapely.LineString(path.line.xy)
        for number, fence in enumerate(layout.fences):
            crossed = shapely.get_coordinates(
                shapely.intersection(line, shapely.LineString(fence.line.xy))
            )
            if not len(crossed):
                continue
            assert path.fence == number
            assert fence.line.locate(crossed)[0] == pytest.approx(path.meets_m, abs=1.0)


@FEW
@given(seed=st.integers(1, 10_000))
def test_no_path_leads_through_a_house(seed: int) -> None:
    layout = lay_out(SceneSpec(seed, preset=Preset.VILLAGE, length_m=150.0))
    houses = shapely.union_all([shapely.Polygon(footprint(box)) for box in layout.boxes])
    for path in layout.paths:
        through_m = shapely.LineString(path.line.xy).intersection(houses).length
        assert through_m == pytest.approx(0.0, abs=0.01), path


@FEW
@given(SPECS)
def test_the_drawn_line_is_at_most_two_metres_off(spec: SceneSpec) -> None:
    layout = lay_out(spec)
    for fence, boundary in zip(layout.fences, drawn_boundaries(layout), strict=True):
        frame = LocalFrame.around(boundary.parts[0])
        drawn = Track.of(boundary, 0, frame)
        true = shapely.LineString(fence.line.xy)
        off = [true.distance(shapely.Point(p)) for p in fence.drawn.xy]
        assert 0.2 < max(off) <= 2.0 + 1e-6
        # Smooth: a map's error does not jump from metre to metre.
        assert np.abs(np.diff(fence.drawn_offset_m)).max() < 0.2
        assert drawn.chainage_m[-1] == pytest.approx(boundary.chainage_end_m)


@pytest.mark.parametrize("preset", list(Preset))
@settings(max_examples=1, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), season=st.sampled_from([Season.SUMMER, Season.DRY]))
def test_what_is_obscured_stands_under_a_crown_in_the_surface_model(
    preset: Preset, seed: int, season: Season
) -> None:
    spec = SceneSpec(seed, preset, length_m=120.0, difficulty=Difficulty.HARD, season=season)
    layout = lay_out(spec)
    truth = tell_truth(layout)
    renderer = Renderer.of(layout)
    grid = grid_of(layout, 0.1)
    for piece in truth.pieces:
        line = in_metres(layout, piece.geometry)
        points = np.array(
            [line.interpolate(s).coords[0] for s in np.arange(0.1, line.length - 0.1, 0.1)]
        ).reshape(-1, 2)
        if len(points) == 0:
            continue
        window = grid.part(*line.buffer(0.5).bounds)
        tall = renderer.surface(window) - renderer.ground(window)
        cols = np.floor((points[:, 0] - grid.left_m) / 0.1).astype(int) - window.col
        rows = np.floor((grid.top_m - points[:, 1]) / 0.1).astype(int) - window.row
        under = tall[rows, cols] > 0.3
        if piece.state is FenceState.OBSCURED:
            # Within a pixel of the model, for a fence may run along a crown's ragged rim; and gaps
            # of less than 0.3 m between leaves are not told apart.
            near = maximum_filter(tall, 3)[rows, cols] > 0.3
            assert near.mean() > 0.7
        elif piece.state is FenceState.INTACT and len(points) > 20:
            assert under.mean() < 0.2


def test_the_picture_shows_open_ground_only_where_no_crown_is() -> None:
    crowns = np.array([[0.0, 0.0, 2.0, 5.0, 7.0, 0.0]])
    heights = heights_at(np.array([[0.0, 0.0], [4.0, 0.0]]), crowns)
    assert heights[0] > 2.0
    assert heights[1] == 0.0


def test_the_same_seed_gives_the_same_place_and_another_another() -> None:
    one, same, other = (lay_out(SceneSpec(seed, length_m=120.0)) for seed in (4, 4, 5))
    np.testing.assert_array_equal(one.uprights, same.uprights)
    np.testing.assert_array_equal(one.crowns, same.crowns)
    assert one.sun == same.sun
    assert one.sun != other.sun


def test_the_second_epoch_is_the_same_place_under_another_light() -> None:
    mended = fresh = 0
    for seed in range(3):
        first = lay_out(SceneSpec(seed, length_m=250.0))
        second = lay_out(SceneSpec(seed, length_m=250.0, epoch=2))
        assert first.shift_m == (0.0, 0.0)
        assert 0.2 <= math.hypot(*second.shift_m) <= 1.5
        assert first.sun != second.sun
        for old, new in zip(first.fences, second.fences, strict=True):
            np.testing.assert_array_equal(old.line.xy, new.line.xy)
            assert old.style == new.style
            before = {b.start_m for b in old.breaches}
            after = {b.start_m for b in new.breaches}
            assert {b.start_m for b in new.mended} == before - after
            mended += len(before - after)
            fresh += len(after - before)
    assert mended > 0
    assert fresh > 0


def test_every_kind_of_breach_and_fence_comes_up() -> None:
    specs = [SceneSpec(seed) for seed in range(60)]
    styles = [choose_style(spec.chance("fence style"), None) for spec in specs]
    assert {style.kind for style in styles} == set(FenceKind)
    assert {style.colour for style in styles} == {
        "green", "white", "galvanised", "rusty", "concrete",
    }  # fmt: skip
    posts = np.arange(0.0, 400.0, 3.0)
    breaches = [lay_breaches(spec, posts, 399.0, ((0.0, 399.0),), "b")[0] for spec in specs]
    assert len({breach.variety for some in breaches for breach in some}) == 9
    layouts = [lay_out(SceneSpec(seed, length_m=200.0)) for seed in range(5)]
    looks = {path.look for layout in layouts for path in layout.paths}
    assert looks == {"worn", "dark", "trodden", "faint"}


@pytest.mark.parametrize("preset", list(Preset))
def test_each_preset_has_what_it_is_named_for(preset: Preset) -> None:
    layout = lay_out(SceneSpec(3, preset=preset))
    reasons = {why for fence in layout.fences for _, _, why in fence.no_fence}
    if preset is Preset.INTERCHANGE:
        assert reasons == {"bridge"}
        assert len(layout.plots) >= 5
        lengths = {fence.side: fence.line.length_m for fence in layout.fences}
        assert lengths[Side.RIGHT] > lengths[Side.LEFT] + 60.0
    elif preset is Preset.CUTTING:
        assert reasons == {"tunnel", "viaduct"}
    elif preset is Preset.VILLAGE:
        assert sum(box[6] >= 2.8 for box in layout.boxes) >= 5
    else:
        assert reasons == set()
    if preset is Preset.EMBANKMENT:
        heights = np.array([ground_m(layout, fence.line.at(100.0)[0]) for fence in layout.fences])
        assert (heights < ground_m(layout, layout.site.centreline.at(100.0)[0]) - 1.0).all()
        assert all(fence.steps for fence in layout.fences)


def ground_m(layout: Layout, place: np.ndarray) -> float:
    pixel = Window(place[0] - 0.5, place[1] + 0.5, 1.0, 0, 0, 1, 1)
    return float(layout.terrain.heights(pixel)[0, 0])


def test_the_fence_steps_over_a_culverts_head_wall() -> None:
    layout = lay_out(SceneSpec(906, preset=Preset.EMBANKMENT, fence=FenceKind.WELDED_MESH))
    for fence in layout.fences:
        rows = build_elements(fence, np.random.default_rng(0))
        panels = rows[np.hypot(*(rows[:, 2:4] - rows[:, 0:2]).T) > 1.0]
        middle_m, _ = fence.line.locate((panels[:, 0:2] + panels[:, 2:4]) / 2)
        for start_m, end_m, high_m in fence.steps:
            above = panels[(middle_m > start_m) & (middle_m < end_m)]
            assert (above[:, 5] >= high_m - 1e-9).all()
            # From post to post: no panel is half on the wall.
            at = fence.posts_m[[np.argmin(np.abs(fence.posts_m - e)) for e in (start_m, end_m)]]
            np.testing.assert_allclose(at, [start_m, end_m], atol=1e-9)
        lifted = [fence.lift_m(m) > 0 for m in middle_m]
        assert (panels[~np.array(lifted), 5] < 0.05).any()


def test_under_snow_broad_leaved_trees_are_bare_and_hide_nothing() -> None:
    spec = SceneSpec(1, season=Season.SNOW, length_m=200.0)
    snow, summer = lay_out(spec), lay_out(replace(spec, season=Season.SUMMER))
    assert (summer.crowns[:, 5] == 0.0).any()
    assert not (snow.crowns[:, 5] == 0.0).any()
    assert len(snow.uprights) > len(summer.uprights) + 100
    # In branches, not in crowns: each reaches aside by its tilt.
    assert (np.hypot(*snow.uprights[:, 12:14].T) > 0.3).sum() > 100


def test_what_is_asked_for_is_built() -> None:
    layout = lay_out(SceneSpec(1, fence=FenceKind.CONCRETE_PANEL, season=Season.SNOW))
    assert {fence.style.kind for fence in layout.fences} == {FenceKind.CONCRETE_PANEL}
    assert layout.season is Season.SNOW
    assert layout.palette.snow_frac > 0.2


@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("--gsd", {"gsd_m": 0.2}),
        ("--length", {"length_m": 5.0}),
        ("--band", {"band_m": 500.0}),
        ("--seed", {"seed": -1}),
        ("--epoch", {"epoch": 3}),
    ],
)
def test_values_out_of_range_are_named(option: str, values: dict[str, float]) -> None:
    with pytest.raises(InputError, match=f"{option}.*allowed is"):
        SceneSpec(**{"seed": 1, **values})  # type: ignore[arg-type]


@pytest.mark.parametrize("season", [Season.SUMMER, Season.DRY])
def test_paths_of_the_first_epoch_look_the_same_in_the_second(season: Season) -> None:
    spec = SceneSpec(6, length_m=200.0, season=season)
    first, second = lay_out(spec), lay_out(replace(spec, epoch=2))
    fresh = {b.start_m for fence in second.fences for b in fence.breaches if b.epoch > 1}
    assert first.paths
    for old in first.paths:
        if old.meets_m in fresh:
            continue
        match = [p for p in second.paths if p.seed == old.seed and p.width_m == old.width_m]
        assert [p.look for p in match] == [old.look]
        assert match[0].strength == old.strength


def test_in_the_dry_season_about_half_of_the_broad_leaved_trees_are_bare() -> None:
    summer = [lay_out(SceneSpec(s, season=Season.SUMMER, length_m=150.0)) for s in range(3)]
    dry = [lay_out(SceneSpec(s, season=Season.DRY, length_m=150.0)) for s in range(3)]
    green = sum((layout.crowns[:, 5] == 0.0).sum() for layout in summer)
    left = sum((layout.crowns[:, 5] == 0.0).sum() for layout in dry)
    assert 0.35 * green < left < 0.75 * green


def test_land_beside_the_road_lies_lower_than_it_as_well_as_higher() -> None:
    for preset in Preset:
        layout = lay_out(SceneSpec(5, preset=preset, length_m=150.0))
        grid = grid_of(layout, 2.0)
        road = ground_m(layout, layout.site.centreline.at(75.0)[0])
        assert layout.terrain.heights(grid).min() < road - 1.0


def test_a_path_is_visible_where_it_stands_out_and_nothing_is_above_it() -> None:
    layout = lay_out(SceneSpec(606, length_m=120.0))
    whole = [s.visible_frac for s in look_at(layout)]
    assert max(whole) > 0.8
    shade = [[*p, 3.0, 6.0, 5.0, 2.0] for path in layout.paths for p in path.line.xy[::4]]
    hidden = look_at(replace(layout, crowns=np.array(shade)))
    assert max(s.visible_frac for s in hidden) < 0.05
    bare = replace(
        layout,
        paths=tuple(replace(p, line=Line(p.line.xy.copy())) for p in layout.paths),
        strokes=tuple(s for s in layout.strokes if all(s.line is not p.line for p in layout.paths)),
    )
    # What is not drawn is not seen, but where the ground has an edge of its own by chance.
    assert np.mean([s.visible_frac for s in look_at(bare)]) < 0.15


def test_what_is_seen_of_a_path_in_stretches() -> None:
    # Samples at 0.25, 0.75, 1.25, 1.75 and 2.25 m of 2.7 m: the last stands for 0.7 m.
    seen = stretches_of(np.array([True, True, False, False, True]), 2.7)
    assert seen == ((0.0, 1.0), (2.0, 2.7))
    assert stretches_of(np.array([False, False]), 1.0) == ()
    sight = Sight(0.6, 5.0, seen)
    assert sight.seen_frac(0.0, 2.7) == pytest.approx(1.7 / 2.7)
    assert sight.seen_frac(0.5, 2.5) == pytest.approx(0.5)
    assert sight.seen_frac(1.0, 2.0) == 0.0


def test_an_access_point_tells_how_much_of_its_path_is_seen_beside_the_fence() -> None:
    layout = lay_out(SceneSpec(606, length_m=120.0))
    meeting = [path for path in layout.paths if path.fence is not None]
    # Crowns over the last metres before the fence of the first path, and over what leads to them
    # of the others.
    at_m = [float(p.line.locate(layout.fences[p.fence].line.at(p.meets_m))[0][0]) for p in meeting]
    covered = [
        np.arange(at - 6.0, path.line.length_m, 1.0) if path is meeting[0] else np.arange(at - 12.0)
        for path, at in zip(meeting, at_m, strict=True)
    ]
    shade = [
        [*place, 3.0, 6.0, 5.0, 2.0]
        for path, stations in zip(meeting, covered, strict=True)
        for place in path.line.at(stations)
    ]
    truth = tell_truth(replace(layout, crowns=np.array(shade)))
    frac = [f.extra["visible_frac"] for f in truth.findings if f.kind is FindingKind.ACCESS_POINT]
    assert frac[0] == 0.0
    assert min(frac[1:]) > 0.5
