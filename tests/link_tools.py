"""What the link's tests share: a vehicle without sockets, a link that loses and delays."""

from __future__ import annotations

import contextlib
import random
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from pymavlink.dialects.v20 import ardupilotmega as dialect

from corridor import LonLat
from missions.mission import (
    Command,
    FencePolygon,
    Frame,
    Geofence,
    Mission,
    MissionItem,
    RallyPoint,
    Sortie,
)
from sitl.stand_in.client import Client
from sitl.stand_in.parameters import Parameters
from sitl.stand_in.server import Server
from sitl.stand_in.telemetry import Telemetry
from sitl.stand_in.vehicle import Vehicle

HOME = LonLat(106.75, 29.62)


class Bench:
    """A vehicle with one client and no socket: messages in, messages out, time by hand."""

    def __init__(self, **parameters: float) -> None:
        table = Parameters()
        for name, value in {"CAM1_TYPE": 1, **parameters}.items():
            assert table.put(name, value), name
        self.sent: list[Any] = []
        self._parser = dialect.MAVLink(None)
        self.vehicle = Vehicle(HOME, 250.0, 0.0, table, self._broadcast)
        self.client = Client(self.vehicle, Telemetry(self.vehicle), self._take)
        self._mav = dialect.MAVLink(None, srcSystem=255, srcComponent=190)

    def _broadcast(self, name: str, fields: dict[str, Any]) -> None:
        # The vehicle may speak before the client is there.
        if hasattr(self, "client"):
            self.client.send(name, fields)

    def _take(self, data: bytes) -> None:
        self.sent += self._parser.parse_buffer(data) or []

    def say(self, name: str, *fields: Any, system: int = 255) -> list[Any]:
        """Sends the vehicle a message by its pymavlink name; gives what it answers at once."""
        mav = dialect.MAVLink(None, srcSystem=system, srcComponent=190)
        message = getattr(mav, f"{name}_encode")(*fields)
        before = len(self.sent)
        self.client.receive(message.pack(mav))
        return self.sent[before:]

    def run(self, seconds: float, until: Callable[[], bool] | None = None) -> float:
        """Lets the clock run; gives the time that passed until the condition held."""
        begin = self.vehicle.time_s
        while self.vehicle.time_s < begin + seconds:
            if until is not None and until():
                break
            self.vehicle.advance(self.vehicle.time_s + 0.1)
            self.client.stream()
        return self.vehicle.time_s - begin

    def texts(self) -> list[str]:
        return [m.text for m in self.sent if m.get_type() == "STATUSTEXT"]

    def of(self, kind: str) -> list[Any]:
        return [m for m in self.sent if m.get_type() == kind]

    def upload(self, items: list[MissionItem]) -> None:
        """Loads a mission straight into the store."""
        from missions.link.rules import WireItem

        self.vehicle.mission_store.clear()
        for sequence, item in enumerate(items):
            assert self.vehicle.mission_store.put(sequence, WireItem.of(item)) == 0

    def start(self) -> None:
        """Arms and starts the mission."""
        self.run(60.0, lambda: self.vehicle.ready)
        assert self.vehicle.set_mode(4)
        assert self.vehicle.arm() is None
        assert self.vehicle.set_mode(3)
        assert self.vehicle.start_mission()


def small_sortie(waypoints: int = 4) -> Sortie:
    """A take-off, a few waypoints east of home with a trigger on the way, and RTL."""
    items = [
        MissionItem(Command.TAKEOFF, Frame.ABOVE_HOME, position=HOME, altitude_m=30.0),
        MissionItem(Command.DO_CHANGE_SPEED, p1=1.0, p2=8.0, p3=-1.0),
    ]
    for k in range(waypoints):
        place = LonLat(HOME.lon_deg + 0.0006 * (k + 1), HOME.lat_deg + 0.0002 * (k % 2))
        items.append(
            MissionItem(Command.WAYPOINT, Frame.ABOVE_HOME, position=place, altitude_m=30.126 + k)
        )
        if k == 0:
            items.append(MissionItem(Command.DO_SET_CAM_TRIGG_DIST, p1=10.0, p3=1.0))
    items.append(MissionItem(Command.DO_SET_CAM_TRIGG_DIST))
    items.append(MissionItem(Command.RETURN_TO_LAUNCH))
    east = HOME.lon_deg + 0.0006 * (waypoints + 3)
    corners = [(106.749, 29.619), (east, 29.619), (east, 29.622), (106.749, 29.622)]
    fence = Geofence((FencePolygon(tuple(LonLat(lon, lat) for lon, lat in corners)),))
    rally = (RallyPoint(LonLat(106.7501, 29.6201), 40.6),)
    return Sortie("S01", Mission(HOME, 250.0, tuple(items)), fence, rally)


@contextlib.contextmanager
def serving(
    speedup: float = 50.0, udp: tuple[str, int] | None = None, **parameters: float
) -> Iterator[tuple[Server, int]]:
    """A stand-in in a thread of this process, for speed; gives it and its port."""
    table = Parameters()
    table.put("SIM_SPEEDUP", speedup)
    for name, value in {"CAM1_TYPE": 1, **parameters}.items():
        assert table.put(name, value), name
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Server(HOME, 250.0, 0.0, table, port, udp=udp)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    end = time.monotonic() + 60
    while time.monotonic() < end and not server.listening:
        time.sleep(0.01)
    try:
        yield server, port
    finally:
        server.stop()
        thread.join(10)
        assert not thread.is_alive()


class LossyProxy:
    """Datagrams between a station and a vehicle on TCP, frame by frame: lost, doubled, late.

    Args:
        port: the vehicle's TCP port.
        loss, double, late: shares of the frames, each way.
        delay_s: longest delay of a late frame (it is then out of order).
        cut_after: bytes from the station after which nothing passes any more, or None.
        seed: of the randomness.
    """

    def __init__(
        self,
        port: int,
        loss: float = 0.0,
        double: float = 0.0,
        late: float = 0.0,
        delay_s: float = 0.02,
        cut_after: int | None = None,
        seed: int = 1,
    ) -> None:
        self._random = random.Random(seed)
        self._shares = (loss, double, late)
        self._delay_s = delay_s
        self._left = cut_after
        self.lost = 0
        self.mended = threading.Event()
        self._port = port
        self._vehicle = socket.create_connection(("127.0.0.1", port))
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", 0))
        self.address = f"udpout:127.0.0.1:{self._udp.getsockname()[1]}"
        self._peer: Any = None
        self._waiting: list[tuple[float, int, bool, bytes]] = []
        self._stop = False
        self._splitter = _Splitter()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop = True
        self._thread.join(5)
        self._vehicle.close()
        self._udp.close()

    def drain(self) -> None:
        """Waits until the last late frame has been delivered."""
        end = time.monotonic() + 10.0
        while self._waiting and time.monotonic() < end:
            time.sleep(0.005)

    def __enter__(self) -> LossyProxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        while not self._stop:
            now = time.monotonic()
            wait = 0.02
            if self._waiting:
                wait = max(0.0, min(wait, min(self._waiting)[0] - now))
            ready, _, _ = select.select([self._vehicle, self._udp], [], [], wait)
            if self._udp in ready:
                data, self._peer = self._udp.recvfrom(65536)
                self._pass_on(self._cut(data), True)
            if self._vehicle in ready:
                data = self._hear()
                for frame in self._splitter.frames(data):
                    if self._left is None or self._left > 0 or self.mended.is_set():
                        self._pass_on(frame, False)
            now = time.monotonic()
            for entry in sorted(e for e in self._waiting if e[0] <= now):
                self._waiting.remove(entry)
                self._deliver(entry[3], entry[2])

    def _hear(self) -> bytes:
        with contextlib.suppress(OSError):
            data = self._vehicle.recv(65536)
            if data:
                return data
        # The vehicle reboots: its port closes, and opens again.
        self._vehicle.close()
        while not self._stop:
            with contextlib.suppress(OSError):
                self._vehicle = socket.create_connection(("127.0.0.1", self._port))
                break
            time.sleep(0.02)
        return b""

    def _cut(self, data: bytes) -> bytes:
        """The part of the station's bytes that still gets through before the cut."""
        if self._left is None or self.mended.is_set():
            return data
        part = data[: max(self._left, 0)]
        self._left -= len(data)
        return part

    def _pass_on(self, frame: bytes, up: bool) -> None:
        loss, double, late = self._shares
        if not frame or self._random.random() < loss:
            self.lost += 1
            return
        copies = 2 if self._random.random() < double else 1
        for _ in range(copies):
            wait = self._random.random() * self._delay_s if self._random.random() < late else 0.0
            self._waiting.append((time.monotonic() + wait, self._random.getrandbits(30), up, frame))

    def _deliver(self, frame: bytes, up: bool) -> None:
        with contextlib.suppress(OSError):
            if up:
                self._vehicle.sendall(frame)
            elif self._peer is not None:
                self._udp.sendto(frame, self._peer)


class _Splitter:
    """Cuts a stream of MAVLink 2 into frames."""

    def __init__(self) -> None:
        self._data = b""

    def frames(self, data: bytes) -> list[bytes]:
        self._data += data
        found = []
        while len(self._data) >= 12:
            if self._data[0] != 0xFD:
                self._data = self._data[1:]
                continue
            size = 12 + self._data[1] + (13 if self._data[2] & 1 else 0)
            if len(self._data) < size:
                break
            found.append(self._data[:size])
            self._data = self._data[size:]
        return found
