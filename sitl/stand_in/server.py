"""Sockets and the clock: as many clients as come, one simulated time."""

from __future__ import annotations

import os
import selectors
import socket
import time
from typing import Any

import click

from corridor import LonLat
from sitl.stand_in.client import Client
from sitl.stand_in.parameters import Parameters
from sitl.stand_in.telemetry import Telemetry
from sitl.stand_in.vehicle import Vehicle

_SLICE_S = 0.1
"""Simulated time between two looks at the sockets."""
_STEP_S = 0.02
"""Least simulated time worth a step."""
_BEHIND = 262_144
"""Bytes a client may lag; the clock waits for a slower one, so that nothing is lost."""
_STATION_AHEAD_S = 2.0
_STATION_WAIT_S = 1.0
"""In lock step, or with FS_GCS_ENABLE, the clock runs at most 2 s past the station's last heartbeat
unless that has been missing for a second of real time: a busy machine is no lost link."""
_PATIENCE_S = 5.0
"""How long it waits before it drops a client that reads nothing."""


class _Tcp:
    """A client on TCP with what it has not taken yet."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.waiting = bytearray()
        self.stuck_since: float | None = None
        self.client: Client | None = None

    def send(self, data: bytes) -> None:
        self.waiting += data

    def flush(self) -> bool:
        """Sends what the socket takes; False when the client has gone."""
        while self.waiting:
            try:
                sent = self.socket.send(self.waiting)
            except BlockingIOError:
                break
            except OSError:
                return False
            del self.waiting[:sent]
            self.stuck_since = None
        return True


class Server:
    """The stand-in's process: see `program`.

    Args:
        home, home_altitude_m, heading_deg: where the vehicle stands.
        parameters: its parameters.
        port: TCP port on the loopback address.
        udp: an address to talk to as well.
        alone_ends: end when the last client, or the parent process, has gone.
        lock_step: the clock waits for the station's heartbeats.
    """

    def __init__(
        self,
        home: LonLat,
        home_altitude_m: float,
        heading_deg: float,
        parameters: Parameters,
        port: int,
        udp: tuple[str, int] | None = None,
        alone_ends: bool = False,
        lock_step: bool = False,
    ) -> None:
        self.vehicle = Vehicle(home, home_altitude_m, heading_deg, parameters, self._broadcast)
        self._telemetry = Telemetry(self.vehicle)
        self._port = port
        self._udp_address = udp
        self._udp: socket.socket | None = None
        self._udp_client: Client | None = None
        self._udp_peer: tuple[str, int] | None = None
        self._alone_ends = alone_ends
        self._lock_step = lock_step
        self._station_s = -1.0
        self._station_wall_s = 0.0
        self._parent = os.getppid()
        self._selector = selectors.DefaultSelector()
        self._clients: list[_Tcp] = []
        self._stopped = False
        self._had_client = False
        self._wall_s = 0.0
        self._simulated_s = 0.0
        self._pace = -1.0
        self.listening = False

    def stop(self) -> None:
        """Ends `run` at its next look."""
        self._stopped = True

    def _broadcast(self, name: str, fields: dict[str, Any]) -> None:
        for each in self._clients:
            if each.client is not None:
                each.client.send(name, fields)
        if self._udp_client is not None:
            self._udp_client.send(name, fields)

    def run(self) -> int:
        """Serves until stopped; returns the exit code."""
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", self._port))
        except OSError as error:
            click.echo(f"Error: TCP port {self._port} cannot be used ({error})", err=True)
            listener.close()
            return 3
        listener.listen(8)
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ, "listener")
        self._open_udp()
        # A first step before anyone connects has the compiled code ready.
        self._warm_up()
        click.echo(f"bind port {self._port} for SERIAL0")
        click.echo("Waiting for connection ....")
        self.listening = True
        try:
            while not self._stopped:
                self._turn()
        finally:
            for each in list(self._clients):
                self._drop(each)
            self._selector.close()
            listener.close()
            if self._udp is not None:
                self._udp.close()
        return 0

    def _warm_up(self) -> None:
        from sitl.stand_in import airframe

        vehicle = Vehicle(
            self.vehicle.craft.home, 0.0, 0.0, self.vehicle.parameters, lambda *_: None
        )
        craft = vehicle.craft
        craft.climb_to(1.0)
        craft.fly(1)
        craft.begin_path(1.0)
        craft.go_to(craft.destination + 5.0, None)
        craft.fly(1)
        craft.state[airframe.MODE] = airframe.ON_GROUND

    def _open_udp(self) -> None:
        if self._udp_address is None:
            return
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.setblocking(False)
        self._udp_peer = self._udp_address
        self._udp_client = Client(self.vehicle, self._telemetry, self._send_udp)
        self._selector.register(self._udp, selectors.EVENT_READ, "udp")
        self._start_clock()

    def _reboot(self) -> None:
        """Ends all connections and waits for one again, as arducopter does in its simulator."""
        for each in list(self._clients):
            self._drop(each)
        self.vehicle = self.vehicle.after_reboot()
        self._telemetry = Telemetry(self.vehicle)
        self._had_client = False
        self._station_s = -1.0
        if self._udp is not None:
            self._udp_client = Client(self.vehicle, self._telemetry, self._send_udp)
            self._start_clock()

    def _send_udp(self, data: bytes) -> None:
        if self._udp is not None and self._udp_peer is not None:
            try:
                self._udp.sendto(data, self._udp_peer)
            except OSError:
                return  # nobody listens there yet, or the buffer is full: datagrams may be lost

    def _start_clock(self) -> None:
        if not self._had_client:
            self._had_client = True
            self._wall_s = time.monotonic()
            self._simulated_s = self.vehicle.time_s

    def _turn(self) -> None:
        for key, _ in self._selector.select(self._wait_s()):
            if key.data == "listener":
                self._accept(key.fileobj)
            elif key.data == "udp":
                self._read_udp()
            else:
                self._read(key.data)
        for each in list(self._clients):
            if not each.flush():
                self._drop(each)
        if self.vehicle.wants_reboot:
            self._reboot()
        if self._had_client and not self._waits_for_station():
            self._advance()
        if self._alone_ends:
            orphan = os.getppid() != self._parent
            alone = self._had_client and not self._clients and self._udp is None
            self._stopped = self._stopped or orphan or alone

    def _waits_for_station(self) -> bool:
        vehicle = self.vehicle
        last_s = vehicle.failsafes.last_station_s
        if last_s != last_s or not (self._lock_step or vehicle.parameters["FS_GCS_ENABLE"] > 0):
            return False
        now = time.monotonic()
        if last_s != self._station_s:
            self._station_s, self._station_wall_s = last_s, now
        waits = (
            vehicle.time_s - last_s > _STATION_AHEAD_S
            and now - self._station_wall_s < _STATION_WAIT_S
        )
        if waits:
            self._wall_s, self._simulated_s = now, vehicle.time_s
        return waits

    def _wait_s(self) -> float:
        if not self._had_client:
            return 0.5
        if any(len(each.waiting) > _BEHIND for each in self._clients):
            return 0.001
        speedup = self.vehicle.parameters["SIM_SPEEDUP"]
        if speedup <= 0:
            return 0.0
        ahead_s = (self.vehicle.time_s + _STEP_S - self._simulated_s) / speedup
        late_s = self._wall_s + ahead_s - time.monotonic()
        return min(max(late_s, 0.0), 0.05)

    def _advance(self) -> None:
        vehicle = self.vehicle
        now = time.monotonic()
        for each in self._clients:
            if len(each.waiting) > _BEHIND:
                each.stuck_since = each.stuck_since or now
                if now - each.stuck_since > _PATIENCE_S:
                    self._drop(each)
                self._wall_s, self._simulated_s = now, vehicle.time_s
                return
        speedup = vehicle.parameters["SIM_SPEEDUP"]
        if speedup != self._pace:
            self._pace, self._wall_s, self._simulated_s = speedup, now, vehicle.time_s
        if speedup > 0:
            goal = self._simulated_s + (now - self._wall_s) * speedup
            if goal < vehicle.time_s + _STEP_S:
                return
            goal = min(goal, vehicle.time_s + _SLICE_S)
        else:
            goal = vehicle.time_s + _SLICE_S
        vehicle.advance(goal)
        for each in self._clients:
            if each.client is not None:
                each.client.stream()
                each.flush()
        if self._udp_client is not None:
            self._udp_client.stream()
        if goal < self._simulated_s + (now - self._wall_s) * speedup - 2.0 * _SLICE_S * speedup:
            # It cannot keep the pace asked for; the clock goes on from here.
            self._wall_s, self._simulated_s = now, vehicle.time_s

    def _accept(self, listener: Any) -> None:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        each = _Tcp(connection)
        each.client = Client(self.vehicle, self._telemetry, each.send)
        self._clients.append(each)
        self._selector.register(connection, selectors.EVENT_READ, each)
        self._start_clock()

    def _read(self, each: _Tcp) -> None:
        try:
            data = each.socket.recv(65_536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(each)
            return
        if each.client is not None:
            each.client.receive(data)

    def _read_udp(self) -> None:
        if self._udp is None or self._udp_client is None:
            return
        try:
            data, peer = self._udp.recvfrom(65_536)
        except OSError:
            return
        self._udp_peer = peer[:2]
        self._udp_client.receive(data)

    def _drop(self, each: _Tcp) -> None:
        if each not in self._clients:
            return
        self._clients.remove(each)
        self._selector.unregister(each.socket)
        each.socket.close()
        each.client = None
