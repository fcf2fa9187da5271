"""One link of the vehicle: what it asked for, and the answers to what it sends."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from corridor import LonLat
from missions.link.rules import WireItem
from sitl.stand_in.modes import GUIDED, LAND, LOITER, RTL
from sitl.stand_in.telemetry import STREAMS, Telemetry
from sitl.stand_in.vehicle import USING_GPS_S, Vehicle
from sitl.stand_in.wire import FrameReader, FrameWriter

_ACCEPTED, _TEMPORARILY_REJECTED, _DENIED, _UNSUPPORTED, _FAILED = 0, 1, 2, 3, 4
_MESSAGE_NAMES: dict[int, str] = {}
_MISSION_MESSAGES = frozenset(
    {
        "MISSION_COUNT",
        "MISSION_ITEM_INT",
        "MISSION_ITEM",
        "MISSION_REQUEST_LIST",
        "MISSION_REQUEST_INT",
        "MISSION_REQUEST",
        "MISSION_CLEAR_ALL",
    }
)
_CAPABILITIES = 0x2 | 0x4 | 0x8 | 0x40 | 0x80 | 0x100 | 0x400 | 0x800 | 0x2000 | 0x4000 | 0x8000
_PARAMETERS_A_TICK = 40
_CUSTOM = b"STAND-IN"


class Client:
    """A station on a link of its own.

    Args:
        vehicle: the vehicle.
        telemetry: its reports.
        send: takes bytes to the station.
    """

    def __init__(
        self, vehicle: Vehicle, telemetry: Telemetry, send: Callable[[bytes], None]
    ) -> None:
        self._v = vehicle
        self._telemetry = telemetry
        self._send = send
        self._reader = FrameReader()
        self._writer = FrameWriter(int(vehicle.parameters["MAV_SYSID"]) or 1, 1)
        self._every_ms: dict[str, int] = {"HEARTBEAT": 1000}
        self._due_ms: dict[str, int] = {"HEARTBEAT": vehicle.time_ms}
        self._next_ms = 0
        self._parameters_left: list[int] = []

    # Out.

    def send(self, name: str, fields: dict[str, Any]) -> None:
        """Sends one message."""
        self._writer.key = self._v.signing_key
        self._send(self._writer.frame(name, fields))

    def stream(self) -> None:
        """Sends what is due at this moment of the simulated clock."""
        if self._parameters_left:
            for index in self._parameters_left[:_PARAMETERS_A_TICK]:
                self._send_parameter(index)
            del self._parameters_left[:_PARAMETERS_A_TICK]
        now = self._v.time_ms
        if now < self._next_ms:
            return
        self._writer.key = self._v.signing_key
        pieces = []
        upcoming = now + 60_000
        for name, due in self._due_ms.items():
            if now >= due:
                every = self._every_ms[name]
                due = due + every if due + every > now else now + every
                self._due_ms[name] = due
                fields = self._telemetry.fields(name)
                if fields is not None:
                    pieces.append(self._writer.frame(name, fields))
            upcoming = min(upcoming, due)
        self._next_ms = upcoming
        if pieces:
            self._send(b"".join(pieces))

    def set_interval(self, name: str, every_ms: int) -> None:
        """Sends a message every so many milliseconds; 0 or less stops it."""
        if name not in self._telemetry:
            return
        if every_ms <= 0:
            self._every_ms.pop(name, None)
            self._due_ms.pop(name, None)
            return
        self._every_ms[name] = every_ms
        self._due_ms[name] = self._v.time_ms
        self._next_ms = 0

    # In.

    def receive(self, data: bytes) -> None:
        """Takes bytes from the station; what is no MAVLink, or not signed, is passed over."""
        self._reader.use_key(self._v.signing_key)
        for message in self._reader.messages(data):
            try:
                self._handle(message)
            except (ValueError, OverflowError, KeyError, AttributeError, UnicodeError):
                # A frame that is well formed and makes no sense (a number out of its range, say).
                self._v.say(7, f"{message.get_type()} not understood")

    def _is_for_us(self, message: Any) -> bool:
        target = getattr(message, "target_system", 0)
        component = getattr(message, "target_component", 0)
        return target in (0, self._writer.system_id) and component in (0, 1)

    def _handle(self, message: Any) -> None:
        kind = message.get_type()
        if kind == "HEARTBEAT":
            if message.get_srcSystem() == int(self._v.parameters["MAV_GCS_SYSID"]):
                self._v.failsafes.heard_station()
            return
        if not self._is_for_us(message):
            return
        if kind in _MISSION_MESSAGES:
            self._mission(message)
        elif kind in ("COMMAND_LONG", "COMMAND_INT"):
            self._command(message)
        elif kind == "PARAM_SET":
            self._set_parameter(message)
        elif kind == "PARAM_REQUEST_LIST":
            self._parameters_left = list(range(len(self._v.parameters.names)))
        elif kind == "PARAM_REQUEST_READ":
            self._read_parameter(message)
        elif kind == "REQUEST_DATA_STREAM":
            self._request_stream(message)
        elif kind == "SET_MODE":
            self._v.set_mode(message.custom_mode)
        elif kind == "MISSION_SET_CURRENT":
            if self._v.runner.set_current(message.seq):
                fields = self._telemetry.fields("MISSION_CURRENT")
                self.send("MISSION_CURRENT", fields or {})
        elif kind == "TIMESYNC":
            if message.tc1 == 0:
                now_ns = int(self._v.time_s * 1e9)
                self.send(
                    "TIMESYNC",
                    {"tc1": now_ns, "ts1": message.ts1, "target_system": 0, "target_component": 0},
                )
        elif kind == "TERRAIN_DATA":
            self._v.terrain.take(message)
        elif kind == "SETUP_SIGNING":
            self._v.signing_key = bytes(message.secret_key).rstrip(b"\0") and bytes(
                message.secret_key
            )
        elif kind == "SET_POSITION_TARGET_GLOBAL_INT":
            self._guided(message.lat_int, message.lon_int, message.coordinate_frame, message.alt)
        elif kind == "AUTOPILOT_VERSION_REQUEST":
            self._version()

    def _mission(self, message: Any) -> None:
        mission_type = getattr(message, "mission_type", 0)
        kind = message.get_type()
        if kind in ("MISSION_ITEM", "MISSION_ITEM_INT") and message.current == 2:
            scale = 1.0 if kind == "MISSION_ITEM_INT" else 1e7
            self._guided(message.x * scale, message.y * scale, message.frame, message.z)
            return
        protocol = self._v.protocols.get(mission_type)
        if protocol is None:
            if mission_type == 255 and kind == "MISSION_CLEAR_ALL":
                for each in self._v.protocols.values():
                    each.handle(message, self.send, self._v.time_s)
            return
        if self._v.time_s < 2.5 and kind == "MISSION_COUNT":
            # The stores are not up yet.
            target = {
                "target_system": message.get_srcSystem(),
                "target_component": message.get_srcComponent(),
            }
            ack = {**target, "type": 4, "mission_type": mission_type, "opaque_id": 0}
            self.send("MISSION_ACK", ack)
            self._v.say(4, "Only 0 items are supported")
            return
        protocol.handle(message, self.send, self._v.time_s)

    def _guided(self, x: float, y: float, frame: int, z: float) -> None:
        up = z - self._v.craft.home_altitude_m if frame in (0, 5) else z
        if math.isfinite(up) and abs(x) <= 9e8 and abs(y) <= 1.8e9:
            self._v.go_guided(LonLat(y / 1e7, x / 1e7), up)

    # Parameters.

    def _send_parameter(self, index: int) -> None:
        parameters = self._v.parameters
        name = parameters.names[index]
        self._send_value(name, index)

    def _send_value(self, name: str, index: int) -> None:
        parameters = self._v.parameters
        self.send(
            "PARAM_VALUE",
            {
                "param_id": name.encode("ascii"),
                "param_value": parameters[name],
                "param_type": parameters.types[name],
                "param_count": len(parameters.names),
                "param_index": index,
            },
        )

    def _set_parameter(self, message: Any) -> None:
        name = message.param_id
        if math.isfinite(message.param_value) and self._v.parameters.put(name, message.param_value):
            fields = self._parameter_fields(name)
            self._v.broadcast("PARAM_VALUE", fields)

    def _parameter_fields(self, name: str) -> dict[str, Any]:
        parameters = self._v.parameters
        return {
            "param_id": name.encode("ascii"),
            "param_value": parameters[name],
            "param_type": parameters.types[name],
            "param_count": len(parameters.names),
            "param_index": 65535,
        }

    def _read_parameter(self, message: Any) -> None:
        parameters = self._v.parameters
        if message.param_index >= 0:
            if message.param_index < len(parameters.names):
                self._send_parameter(message.param_index)
        elif message.param_id in parameters:
            self._send_value(message.param_id, parameters.names.index(message.param_id))

    # Streams.

    def _request_stream(self, message: Any) -> None:
        rate = message.req_message_rate if message.start_stop else 0
        every_ms = int(1000 / rate) if rate > 0 else 0
        for number, names in STREAMS.items():
            if message.req_stream_id in (0, number):
                for name in names:
                    self.set_interval(name, every_ms)

    # Commands.

    def _command(self, message: Any) -> None:
        kind = message.get_type()
        place = kind == "COMMAND_INT"
        p5 = message.x if place else message.param5
        p6 = message.y if place else message.param6
        p7 = message.z if place else message.param7
        params = (message.param1, message.param2, message.param3, message.param4, p5, p6, p7)
        result = self._run(message.command, params, place)
        self.send(
            "COMMAND_ACK",
            {
                "command": message.command,
                "result": result,
                "progress": 0,
                "result_param2": 0,
                "target_system": message.get_srcSystem(),
                "target_component": message.get_srcComponent(),
            },
        )
        if result == _ACCEPTED and message.command == 520:
            self._version()

    def _run(self, command: int, p: tuple[float, ...], with_place: bool) -> int:
        v = self._v
        if command == 400:
            return self._arm_or_disarm(p[0], p[1])
        if command == 176:
            return _ACCEPTED if v.set_mode(int(p[1])) else _FAILED
        if command == 300:
            return _ACCEPTED if v.start_mission() else _FAILED
        if command == 22:
            return self._take_off(p[6])
        if command == 20:
            return _ACCEPTED if v.set_mode(RTL) else _FAILED
        if command == 21:
            return _ACCEPTED if v.set_mode(LAND) else _FAILED
        if command == 17:
            return _ACCEPTED if v.set_mode(LOITER) else _FAILED
        if command == 224:
            return _ACCEPTED if v.runner.set_current(int(p[0])) else _FAILED
        if command in (511, 512, 510):
            return self._message_command(command, p)
        if command == 520:
            return _ACCEPTED
        if command == 410:
            if v.time_s < USING_GPS_S:
                return _FAILED
            v.send_home()
            return _ACCEPTED
        if command == 192 and with_place:
            self._guided(p[4], p[5], 3, p[6])
            return _ACCEPTED if v.mode == GUIDED and v.in_air else _DENIED
        if command == 246:
            if v.armed:
                return _TEMPORARILY_REJECTED
            v.wants_reboot = p[0] in (1, 3)
            return _ACCEPTED
        if command in (178, 203, 205, 206, 115, 195, 197, 1000, 2000, 2001):
            x = int(p[4]) if math.isfinite(p[4]) else 0
            y = int(p[5]) if math.isfinite(p[5]) else 0
            frame, z = (3, p[6]) if command == 195 else (2, 0.0)
            if command == 195 and not with_place:
                x, y = round(p[4] * 1e7), round(p[5] * 1e7)
            item = WireItem(command, frame, p[0], p[1], p[2], p[3], x, y, z)
            return _ACCEPTED if v.do_command(item) else _UNSUPPORTED
        return _UNSUPPORTED

    def _arm_or_disarm(self, wanted: float, force: float) -> int:
        v = self._v
        forced = force == 21196
        if wanted == 1:
            return _ACCEPTED if v.arm(force=forced) is None else _FAILED
        if wanted == 0:
            if v.in_air and not forced:
                return _FAILED
            v.in_air = False
            v.disarm("Disarming motors")
            return _ACCEPTED
        return _UNSUPPORTED

    def _take_off(self, up_m: float) -> int:
        v = self._v
        if v.mode != GUIDED or not v.armed or v.in_air or not up_m > 0:
            return _FAILED
        v.take_off_to(up_m)
        return _ACCEPTED

    def _message_command(self, command: int, p: tuple[float, ...]) -> int:
        if not _MESSAGE_NAMES:
            from pymavlink.dialects.v20.ardupilotmega import mavlink_map

            _MESSAGE_NAMES.update({number: kind.msgname for number, kind in mavlink_map.items()})
        name = _MESSAGE_NAMES.get(int(p[0]), "")
        if name == "AUTOPILOT_VERSION" and command == 512:
            self._version()
            return _ACCEPTED
        if name not in self._telemetry:
            return _FAILED
        if command == 511:
            every_ms = int(p[1] / 1000) if p[1] > 0 else (1000 if p[1] == 0 else 0)
            self.set_interval(name, every_ms)
        elif command == 512:
            fields = self._telemetry.fields(name)
            if fields:
                self.send(name, fields)
        return _ACCEPTED

    def _version(self) -> None:
        self.send(
            "AUTOPILOT_VERSION",
            {
                "capabilities": _CAPABILITIES,
                # 4.7.0-dev is the ArduCopter whose behaviour is followed; the custom fields say
                # who really answers.
                "flight_sw_version": 4 << 24 | 7 << 16,
                "middleware_sw_version": 0,
                "os_sw_version": 0,
                "board_version": 0,
                "flight_custom_version": tuple(_CUSTOM),
                "middleware_custom_version": tuple(b"fencewlk"),
                "os_custom_version": tuple(_CUSTOM),
                "vendor_id": 0,
                "product_id": 0,
                "uid": 0,
                "uid2": (0,) * 18,
            },
        )
