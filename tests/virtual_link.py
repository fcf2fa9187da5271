"""A station, a bad link and the stand-in on one simulated clock: exact times, no sockets.

Sockets and a busy machine make time-outs a matter of luck. Here the station's own code runs with
the clock of this module in the place of `time`, so that 1.5 s are 1.5 s, whatever the machine does,
and a thousand uploads take a minute.
"""

from __future__ import annotations

import contextlib
import heapq
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from unittest import mock

from link_tools import Bench
from pymavlink.dialects.v20 import ardupilotmega as dialect

from missions.link import connection as connection_module
from missions.link import transfer as transfer_module
from missions.link import upload as upload_module
from missions.link.connection import Link
from sitl.stand_in.client import Client
from sitl.stand_in.telemetry import Telemetry


@dataclass(frozen=True)
class Weather:
    """What the link does to frames, each way.

    Attributes:
        loss, double, late: shares of the frames lost, doubled, delayed.
        late_s: longest delay of a delayed frame; it is then out of order.
        cut_after: bytes from the station after which nothing passes any more, or None.
        cut_up_only: the cut leaves the way down open.
        latency_s: of every frame.
    """

    loss: float = 0.0
    double: float = 0.0
    late: float = 0.0
    late_s: float = 2.0
    cut_after: int | None = None
    cut_up_only: bool = False
    latency_s: float = 0.02


class VirtualLink:
    """The connection that a `Link` is given in the place of pymavlink's, and the clock.

    Attributes:
        bench: the vehicle.
        now_s: the clock; `monotonic`, `time` and `sleep` are those of the module `time`.
        lost, passed: frames.
    """

    def __init__(self, bench: Bench, weather: Weather, seed: int) -> None:
        self.bench = bench
        self.now_s = 1000.0
        self.lost = self.passed = 0
        self.target_system = self.target_component = 0
        self.on_frame_up: Callable[[bytes], None] = lambda _: None
        self.spoil: Callable[[bytes], bytes] = lambda data: data
        self._weather = weather
        self._random = random.Random(seed)
        self._left = weather.cut_after
        self._queue: list[tuple[float, int, bool, bytes]] = []
        self._count = 0
        self._parser = dialect.MAVLink(None)
        self._parser.robust_parsing = True
        self._heard: list[Any] = []
        self._offset_s = bench.vehicle.time_s - self.now_s
        self.mav = dialect.MAVLink(self, srcSystem=255, srcComponent=190)
        self._away_until_s = 0.0
        self.connect()

    def connect(self) -> None:
        """A fresh client of the vehicle, as after its reboot."""
        self.client = Client(self.bench.vehicle, Telemetry(self.bench.vehicle), self._down)
        self.bench.client = self.client

    def reboot(self, away_s: float = 3.0) -> None:
        """The vehicle boots again: for a while it hears nothing and says nothing."""
        self.bench.vehicle = self.bench.vehicle.after_reboot()
        self._away_until_s = self.now_s + away_s
        self._offset_s = self.bench.vehicle.time_s - self._away_until_s
        self.connect()

    # What pymavlink's connection has.

    def write(self, data: bytes) -> None:
        """A frame from the station."""
        self.on_frame_up(bytes(data))
        part = bytes(data)
        if self._left is not None:
            part, self._left = part[: max(self._left, 0)], self._left - len(data)
        self._send(part, True)

    def recv_msg(self) -> Any | None:
        """The next message that has arrived."""
        self._run(self.now_s)
        return self._heard.pop(0) if self._heard else None

    def select(self, timeout_s: float) -> bool:
        """Lets the clock run until something arrives, or time is up."""
        end = self.now_s + timeout_s
        while not self._heard and self.now_s < end:
            self.now_s = min(end, self.now_s + 0.01)
            self._run(self.now_s)
        return bool(self._heard)

    def close(self) -> None:
        """Nothing to close."""

    # What the module `time` has.

    def monotonic(self) -> float:
        """The clock."""
        return self.now_s

    def time(self) -> float:
        """The clock."""
        return self.now_s

    def sleep(self, seconds: float) -> None:
        """Lets the clock run."""
        self._run(self.now_s + seconds)
        self.now_s += seconds

    # Frames on their way.

    def _send(self, data: bytes, up: bool) -> None:
        weather, chance = self._weather, self._random
        cut = self._left is not None and self._left <= 0 and not (up and data)
        if not data or (cut and (up or not weather.cut_up_only)) or chance.random() < weather.loss:
            self.lost += 1
            return
        for _ in range(2 if chance.random() < weather.double else 1):
            late_s = chance.random() * weather.late_s if chance.random() < weather.late else 0.0
            self._count += 1
            due_s = self.now_s + weather.latency_s + late_s
            heapq.heappush(self._queue, (due_s, self._count, up, data))

    def _down(self, data: bytes) -> None:
        # The vehicle sends its stream in one piece; each frame takes its own way.
        while len(data) >= 12:
            size = 12 + data[1] + (13 if data[2] & 1 else 0)
            self._send(data[:size], False)
            data = data[size:]

    def _run(self, until_s: float) -> None:
        while self._queue and self._queue[0][0] <= until_s:
            due_s, _, up, data = heapq.heappop(self._queue)
            self._advance(due_s)
            self.passed += 1
            if not up:
                self._heard += self._parser.parse_buffer(self.spoil(data)) or []
            elif due_s >= self._away_until_s:
                self.bench.client.receive(data)
        self._advance(until_s)

    def _advance(self, until_s: float) -> None:
        vehicle = self.bench.vehicle
        if self._offset_s + until_s > vehicle.time_s + 0.05:
            vehicle.advance(self._offset_s + until_s)
            self.bench.client.stream()

    def drain(self) -> None:
        """Until the last late frame has arrived."""
        self.sleep(self._weather.late_s + 1.0)


@contextlib.contextmanager
def virtual_link(
    weather: Weather | None = None, seed: int = 1, bench: Bench | None = None
) -> Iterator[tuple[Link, VirtualLink]]:
    """A link to a stand-in that knows its position, over a link like that, on its own clock."""
    bench = bench or ready_bench()
    own = bench.client
    way = VirtualLink(bench, weather or Weather(), seed)
    modules = (connection_module, transfer_module, upload_module)
    with contextlib.ExitStack() as clocks:
        for module in modules:
            clocks.enter_context(mock.patch.object(module, "time", way))
        try:
            yield Link(way, "virtual"), way
        finally:
            if bench.client is way.client:
                bench.client = own


def ready_bench() -> Bench:
    """A vehicle that has booted and knows its position."""
    bench = Bench()
    bench.run(60.0, lambda: bench.vehicle.ready)
    return bench
