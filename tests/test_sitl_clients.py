"""Clients that know nothing of fencewalk: MAVProxy, dronekit, pymavlink's own mission loader."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from link_tools import HOME, small_sortie
from pymavlink import mavutil, mavwp

from missions.formats import write_waypoints
from sitl.launch import RunningVehicle, VehicleSpec, running


@pytest.fixture
def vehicle(tmp_path: Path) -> Iterator[RunningVehicle]:
    spec = VehicleSpec("stand-in", HOME, 250.0, 0.0, 20.0, {"CAM1_TYPE": 1})
    with running(spec, tmp_path / "vehicle") as process:
        yield process


def test_pymavlinks_own_loader(vehicle: RunningVehicle, tmp_path: Path) -> None:
    path = tmp_path / "m.waypoints"
    write_waypoints(path, small_sortie(5).mission)
    loader = mavwp.MAVWPLoader()
    count = loader.load(str(path))
    master = mavutil.mavlink_connection(vehicle.address, source_system=255)
    master.wait_heartbeat(timeout=10)
    while (m := master.recv_match(type="STATUSTEXT", blocking=True, timeout=20)) is not None:
        if "using GPS" in m.text:
            break
    master.waypoint_count_send(count)
    for _ in range(count):
        request = master.recv_match(type=["MISSION_REQUEST"], blocking=True, timeout=5)
        master.mav.send(loader.wp(request.seq))
    assert master.recv_match(type="MISSION_ACK", blocking=True, timeout=5).type == 0
    master.waypoint_request_list_send()
    assert master.recv_match(type="MISSION_COUNT", blocking=True, timeout=5).count == count
    master.waypoint_request_send(3)
    item = master.recv_match(type="MISSION_ITEM", blocking=True, timeout=5)
    assert item.x == pytest.approx(loader.wp(3).x, abs=1e-5)
    master.close()


def test_dronekit(vehicle: RunningVehicle) -> None:
    import dronekit

    drone = dronekit.connect(vehicle.address, wait_ready=False, heartbeat_timeout=30)
    try:
        end = time.monotonic() + 30
        while time.monotonic() < end and not drone.is_armable:
            time.sleep(0.1)
        drone.mode = dronekit.VehicleMode("GUIDED")
        while time.monotonic() < end and drone.mode.name != "GUIDED":
            time.sleep(0.05)
        assert drone.mode.name == "GUIDED"
        drone.armed = True
        while time.monotonic() < end and not drone.armed:
            time.sleep(0.05)
        assert drone.armed
        drone.simple_takeoff(10)
        while time.monotonic() < end and (drone.location.global_relative_frame.alt or 0) < 9.5:
            time.sleep(0.05)
        assert drone.location.global_relative_frame.alt == pytest.approx(10.0, abs=0.6)
        assert drone.battery.voltage == pytest.approx(12.6)
    finally:
        drone.close()


def test_mavproxy_loads_and_lists_mission_fence_and_rally(
    vehicle: RunningVehicle, tmp_path: Path
) -> None:
    mission = tmp_path / "m.waypoints"
    write_waypoints(mission, small_sortie(5).mission)
    fence = tmp_path / "fence.txt"
    corners = [(29.619, 106.749), (29.619, 106.756), (29.622, 106.756), (29.622, 106.749)]
    rows = ["QGC WPL 110"] + [
        f"{i}\t0\t0\t5001\t4\t0\t0\t0\t{lat}\t{lon}\t0\t1" for i, (lat, lon) in enumerate(corners)
    ]
    fence.write_text("\n".join(rows) + "\n")
    rally = tmp_path / "rally.txt"
    rally.write_text("QGC WPL 110\n0\t0\t3\t5100\t0\t0\t0\t0\t29.6201\t106.7501\t40\t1\n")
    mavproxy = Path(sys.executable).with_name("mavproxy.py")
    process = subprocess.Popen(
        [sys.executable, str(mavproxy), f"--master={vehicle.address}", "--source-system=255",
         "--state-basedir", str(tmp_path), "--default-modules=cmdlong,wp,fence,rally,mode,arm"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        cwd=tmp_path, env={**os.environ, "HOME": str(tmp_path), "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert process.stdin is not None
    saved = {kind: tmp_path / f"{kind}-back.txt" for kind in ("wp", "fence", "rally")}
    commands = [
        *(("", 6), (f"wp load {mission}", 3), (f"fence load {fence}", 3)),
        *((f"rally load {rally}", 3), ("wp list", 2), ("fence list", 2), ("rally list", 2)),
        *((f"{kind} save {path}", 1) for kind, path in saved.items()),
    ]
    try:
        for command, pause_s in commands:
            process.stdin.write(command + "\n")
            process.stdin.flush()
            time.sleep(pause_s)
        process.stdin.write("exit\n")
        process.stdin.flush()
        output, _ = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait(5)
        process.stdin.close()
    assert saved["wp"].is_file(), output[-3000:]
    back = saved["wp"].read_text().splitlines()
    assert len(back) == 1 + len(small_sortie(5).mission.all_items), output[-3000:]
    assert len(saved["fence"].read_text().strip().splitlines()) >= 5, output[-3000:]
    assert saved["rally"].is_file(), output[-3000:]
