"""Orthority as a second engine: its angles, and its pictures where it is installed."""

import math
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from imagery_world import photograph, shot_at, write_scene

from analysis.mapping import PoseSpec, open_surface, read_frames
from analysis.mapping.orthority_engine import find_orthority, omega_phi_kappa, rectify_frames
from corridor import InputError
from corridor.camera import Pose


@given(st.floats(-179, 179), st.floats(-89.9, 60), st.floats(-80, 80))
def test_photogrammetrys_angles_give_the_same_axes(yaw_deg, pitch_deg, roll_deg):
    pose = Pose(0, 0, 0, yaw_deg, pitch_deg, roll_deg)
    omega, phi, kappa = omega_phi_kappa(pose)
    c, s = math.cos, math.sin
    about_x = np.array([[1, 0, 0], [0, c(omega), -s(omega)], [0, s(omega), c(omega)]])
    about_y = np.array([[c(phi), 0, s(phi)], [0, 1, 0], [-s(phi), 0, c(phi)]])
    about_z = np.array([[c(kappa), -s(kappa), 0], [s(kappa), c(kappa), 0], [0, 0, 1]])
    right, up, back = (about_x @ about_y @ about_z).T
    np.testing.assert_allclose([right, -up, -back], pose.rotation, atol=1e-7)


def test_straight_down_with_north_up_is_no_turn_at_all():
    assert omega_phi_kappa(Pose(0, 0, 0, 0, -90, 0)) == pytest.approx((0, 0, 0), abs=1e-9)


def test_without_it_the_way_to_get_it_is_said(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(InputError, match=r"pip install 'fencewalk\[orthority\]'"):
        find_orthority()


@pytest.mark.skipif(
    shutil.which("oty") is None and not Path(sys.executable).with_name("oty").is_file(),
    reason="orthority is not installed",
)
def test_it_reads_our_frames(tmp_path):
    scene = write_scene(tmp_path / "scene")
    frames = photograph(tmp_path, scene, [shot_at(1, 24.0, 16.0, 22.0, 30.0)])
    with open_surface(scene / "dsm.tif") as surface:
        posed, _ = read_frames(list(frames.glob("*.JPG")), surface.crs, PoseSpec())
        made = rectify_frames(posed, surface.crs.to_wkt(), scene / "dsm.tif", tmp_path / "out", 0.1)
    assert [path.is_file() for path in made] == [True]
