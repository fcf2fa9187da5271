"""Pictures are the same whichever windows they are drawn in, and at any pixel size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scenes import boxes
from scenes.boxes import paint_boxes
from scenes.crowns import canopy
from scenes.develop import average, blur
from scenes.grid import Window
from scenes.layout import Layout, lay_out
from scenes.lines import Line
from scenes.materials import Material
from scenes.noise import add_octave, fractal, hash_unit
from scenes.paint import sweep
from scenes.render import Renderer
from scenes.spec import FenceKind, Preset, SceneSpec
from scenes.strokes import Stroke, paint_stroke
from scenes.truth import covered
from scenes.write import grid_of


@pytest.fixture(scope="module")
def layout() -> Layout:
    return lay_out(SceneSpec(11, length_m=100.0, band_m=12.0, fence=FenceKind.WELDED_MESH))


@pytest.fixture(scope="module")
def renderer(layout: Layout) -> Renderer:
    return Renderer.of(layout)


def somewhere(layout: Layout, px_m: float, size: int) -> Window:
    """A window about a breach or, without one, the middle of the first fence."""
    fence = layout.fences[0]
    at_m = fence.breaches[0].start_m if fence.breaches else fence.line.length_m / 2
    x, y = fence.line.at(at_m)[0]
    grid = grid_of(layout, px_m)
    col = int((x - grid.left_m) / px_m) - size // 2
    row = int((grid.top_m - y) / px_m) - size // 2
    return replace(grid, col=col, row=row, width=size, height=size)


@pytest.mark.parametrize("px_m", [0.02, 0.05])
def test_windows_join_without_a_seam(layout: Layout, renderer: Renderer, px_m: float) -> None:
    whole = somewhere(layout, px_m, 300)
    picture = renderer.ortho(whole)
    assert picture[3].min() == 255
    for i, j, width, height in ((0, 0, 131, 300), (131, 0, 169, 97), (131, 97, 169, 203)):
        part = replace(
            whole, col=whole.col + i, row=whole.row + j, width=width, height=height
        )  # fmt: skip
        np.testing.assert_array_equal(
            renderer.ortho(part), picture[:, j : j + height, i : i + width]
        )


def test_surface_models_join_without_a_seam(layout: Layout, renderer: Renderer) -> None:
    whole = somewhere(layout, 0.1, 200)
    part = replace(whole, col=whole.col + 77, row=whole.row + 31, width=90, height=120)
    cut = (slice(31, 151), slice(77, 167))
    np.testing.assert_array_equal(renderer.surface(part), renderer.surface(whole)[cut])
    np.testing.assert_array_equal(renderer.ground(part), renderer.ground(whole)[cut])


def test_a_coarser_picture_is_the_area_average_of_a_finer_one(layout: Layout) -> None:
    # Grain, blur and sharpening belong to the sensor and its pixels, so they are left out.
    still = replace(layout.mosaic, noise=0.0, blur_px=0.05, sharpening=0.0)
    renderer = Renderer.of(replace(layout, mosaic=still))
    coarse = somewhere(layout, 0.04, 120)
    fine = coarse.finer(2)
    small = renderer.ortho(coarse)[:3].astype(float)
    large = renderer.ortho(fine)[:3].astype(float)
    mean = large.reshape(3, 120, 2, 120, 2).mean(axis=(2, 4))
    # Averaged before the tone curve there and after it here: equal but where contrast is high.
    assert np.abs(small - mean).mean() < 1.5
    assert np.corrcoef(small.ravel(), mean.ravel())[0, 1] > 0.995


def test_the_second_drawing_equals_the_first(layout: Layout) -> None:
    window = somewhere(layout, 0.02, 64)
    again = lay_out(SceneSpec(11, length_m=100.0, band_m=12.0, fence=FenceKind.WELDED_MESH))
    np.testing.assert_array_equal(
        Renderer.of(layout).ortho(window), Renderer.of(again).ortho(window)
    )


def test_a_fence_of_solid_panels_shades_the_ground_and_a_missing_panel_does_not() -> None:
    layout = lay_out(SceneSpec(2, length_m=100.0, band_m=10.0, fence=FenceKind.CONCRETE_PANEL))
    fence = layout.fences[0]
    whole = replace(
        layout, speckles=(), strokes=(), crowns=np.zeros((0, 6)), boxes=np.zeros((0, 12))
    )
    bare = replace(whole, uprights=np.zeros((0, 16)))
    window = somewhere(layout, 0.05, 400)
    with_fence = Renderer.of(whole).ortho(window)[:3].astype(float).mean(axis=0)
    without = Renderer.of(bare).ortho(window)[:3].astype(float).mean(axis=0)
    changed = np.abs(with_fence - without) > 4.0
    station, offset = fence.line.field(window, 100.0)
    beside = np.abs(offset) < 0.15
    gone = np.zeros_like(beside)
    built = beside.copy()
    for breach in fence.breaches:
        gone |= (
            beside
            & (station > breach.start_m + 0.5)
            & (station < breach.end_m - 0.5)
            & (breach.kind == "gap")
        )
        built &= ~((station > breach.start_m - 0.6) & (station < breach.end_m + 0.6))
    assert changed[built].mean() > 0.5
    if gone.any():
        assert changed[gone].mean() < 0.3


@pytest.mark.parametrize("preset", list(Preset))
def test_every_preset_draws(preset: Preset) -> None:
    layout = lay_out(SceneSpec(5, preset=preset, length_m=150.0, band_m=10.0))
    picture = Renderer.of(layout).ortho(somewhere(layout, 0.05, 160))
    assert picture[3].max() == 255
    assert picture[:3].std() > 5.0


def test_hash_is_spread_evenly_and_differs_by_seed() -> None:
    values = np.array([hash_unit(i, j, 3) for i in range(60) for j in range(60)])
    assert abs(values.mean()) < 0.03
    assert values.std() == pytest.approx(1 / np.sqrt(3), abs=0.02)
    assert hash_unit(-5, 7, 1) != hash_unit(-5, 7, 2)
    assert -1.0 <= hash_unit(2**31, -(2**31), 9) < 1.0


def test_noise_has_the_strength_asked_for() -> None:
    window = Window(0.0, 0.0, 0.02, -400, 300, 700, 700)
    noise = np.zeros((window.height, window.width), np.float32)
    fractal(noise, window, 0.02, 0.64, 0.2, 5)
    assert noise.std() == pytest.approx(1.0, abs=0.12)
    out = np.zeros((700, 700), np.float32)
    add_octave(out, window, 0.005, 1.0, 5)
    # Sixteen details of 5 mm to a pixel of 2 cm: a quarter of the strength is left.
    assert out.std() == pytest.approx(0.25, abs=0.01)


def test_sweep_covers_the_area_of_what_is_swept() -> None:
    cover = np.zeros((60, 60), np.float32)
    # A panel 3 m long and thin, swept 1 m square to itself: 3 square metres.
    element = np.array([-1.5, 0.0, 1.5, 0.0, 0.0])
    sweep(-3.0, 3.0, 0.1, cover.shape, element, 0.0, 1.0, 0.0, cover)
    assert cover.sum() * 0.01 == pytest.approx(3.0, rel=0.02)
    assert cover.max() == 1.0
    # A wire of 5 mm covers a twentieth of a pixel of 10 cm.
    cover[:] = 0
    element = np.array([-1.5, 0.0, 1.5, 0.0, 0.005])
    sweep(-3.0, 3.0, 0.1, cover.shape, element, 0.0, 0.0, 0.0, cover)
    assert cover.sum() * 0.01 == pytest.approx(3.0 * 0.005, rel=0.05)


def test_stroke_is_as_wide_as_asked_and_ends_where_the_line_ends() -> None:
    window = Window(0.0, 20.0, 0.05, 0, 0, 600, 400)
    texture = np.zeros((5, 400, 600), np.float32)
    albedo = np.zeros((400, 600, 3), np.float32)
    line = Line(np.column_stack([np.linspace(5.0, 25.0, 21), np.full(21, 10.0)]))
    paint_stroke(albedo, window, texture, Stroke(line, Material((1.0, 1.0, 1.0), (0, 0, 0)), 0.8))
    area = albedo[..., 0].sum() * 0.05**2
    assert area == pytest.approx(20.0 * 0.8, rel=0.02)
    assert albedo[:, :98].max() == 0.0
    assert albedo[:, 503:].max() == 0.0


def test_blur_keeps_the_mean_and_average_too() -> None:
    values = np.random.default_rng(1).uniform(size=(40, 40, 3)).astype(np.float32)
    assert average(values, 4).mean() == pytest.approx(values.mean(), rel=1e-5)
    flat = np.full((40, 40, 3), 0.3, np.float32)
    np.testing.assert_allclose(blur(flat, 0.7, 0.5, 4), 0.3, rtol=1e-5)


def test_crowns_hide_lower_ones() -> None:
    crowns = np.array([[0.0, 0.0, 2.0, 3.0, 1.0, 0.0], [0.5, 0.0, 2.0, 8.0, 2.0, 0.0]])
    window = Window(-5.0, 5.0, 0.1, 0, 0, 100, 100)
    found = canopy(window, crowns)
    assert found.owner[50, 52] == 1
    assert found.heights.max() > 6.0
    assert found.heights[0, 0] == 0.0


def test_a_leaning_house_shows_its_roof_aside_and_its_wall_between() -> None:
    # 10 m long, its eaves displaced by 2 m to the east; the sun in the west lights the wall.
    house = boxes.box(0.0, 0.0, 10.0, 6.0, np.array([1.0, 0.0]), 5.0, 5.0, (0.1, 0.2, 0.3))
    window = Window(-10.0, 10.0, 0.1, 0, 0, 200, 200)
    albedo, sun = np.full((200, 200, 3), 0.5, np.float32), np.ones((200, 200), np.float32)
    texture = np.zeros((5, 200, 200), np.float32)
    rows = np.hstack([boxes.as_array([house]), [[2.0, 0.0]]])
    paint_boxes(albedo, sun, np.ones_like(sun), window, texture, rows, (-0.6, 0.0, 0.8))
    middle = albedo[100]

    def at(x_m: float) -> int:
        return int((x_m + 10.0) / 0.1)

    np.testing.assert_allclose(middle[at(2.0)], [0.1, 0.2, 0.3], rtol=1e-5)
    # A flat roof's edge is a brighter parapet.
    np.testing.assert_allclose(middle[at(6.9)], [0.125, 0.25, 0.375], rtol=1e-5)
    assert (middle[at(-4.0)] > 0.34).all()
    assert (middle[at(-4.0)] < 0.5).all()
    assert sun[100, at(-4.0)] == pytest.approx(0.6)
    for x_m in (-5.3, 7.3):
        np.testing.assert_array_equal(middle[at(x_m)], 0.5)


def test_with_lean_fence_is_obscured_where_the_picture_shows_a_crown() -> None:
    upright = lay_out(SceneSpec(4, length_m=150.0, band_m=10.0))
    leaning = lay_out(replace(upright.spec, lean=True))
    np.testing.assert_array_equal(upright.crowns, leaning.crowns)
    moved_m = np.hypot(*(leaning.crowns_seen - leaning.crowns)[:, :2].T)
    assert moved_m.max() > 0.3
    assert moved_m.max() < leaning.crowns[:, 3].max()
    one, other = ([covered(s, f) for f in s.fences] for s in (upright, leaning))
    assert one != other
    grid = grid_of(leaning, 0.1)
    np.testing.assert_array_equal(
        Renderer.of(upright).surface(replace(grid, width=300, height=300)),
        Renderer.of(leaning).surface(replace(grid, width=300, height=300)),
    )
