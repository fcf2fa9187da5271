"""One MAVLink connection to one vehicle: opening it, finding the vehicle, sending, listening."""

from __future__ import annotations

import contextlib
import math
import struct
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

from pymavlink import mavutil
from pymavlink.dialects.v20 import ardupilotmega as dialect

from corridor import InputError, LonLat, VehicleError

STATION_SYSTEM = 255
"""The system number that ArduPilot takes for its ground station by default (MAV_GCS_SYSID)."""
_HEARTBEAT_S = 1.0
_CONNECT_S = 8.0
_NOT_VEHICLES = frozenset({5, 6, 18, 26, 27, 30})  # antenna trackers, stations, gimbals, ADS-B, …


def place_of(message: Any) -> LonLat | None:
    """The place in a GLOBAL_POSITION_INT; None where it is none, as before the first fix."""
    lon_deg, lat_deg = message.lon / 1e7, message.lat / 1e7
    if (message.lon == 0 and message.lat == 0) or abs(lon_deg) > 180.0 or abs(lat_deg) > 90.0:
        return None
    return LonLat(lon_deg, lat_deg)


class LinkError(VehicleError):
    """The link gave nothing, or not what was needed, in time."""


class Link:
    """A connection with the vehicle's address known.

    Use it as a context manager. Every message received is given to the `observers` and, if a log
    is open, written to it.

    Attributes:
        system, component: the vehicle's MAVLink address; 0 until `wait_for_vehicle`.
        heartbeat: its last heartbeat.
        observers: called with each message.
        texts: every STATUSTEXT of the vehicle.
        quiet: send no heartbeat (to try what the vehicle does without one).
        broken: the connection itself has ended; `reopen` may bring it back.
        heard_s: when the vehicle was last heard, on the monotonic clock.
        wrongly_signed: frames refused because of their signature, or for want of one.
    """

    def __init__(
        self, connection: Any, address: str, open_again: Callable[[], Any] | None = None
    ) -> None:
        self._connection = connection
        self._open_again = open_again
        self.address = address
        self.broken = False
        self.heard_s = -math.inf
        self.wrongly_signed = 0
        self.system = 0
        self.component = 1
        self.heartbeat: Any = None
        self.observers: list[Callable[[Any], None]] = []
        self.texts: list[str] = []
        self.quiet = False
        self._log: IO[bytes] | None = None
        self._last_heartbeat_s = 0.0

    def __enter__(self) -> Link:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection and the log."""
        if self._log is not None:
            self._log.close()
            self._log = None
        self._connection.close()

    def reopen(self, timeout_s: float) -> None:
        """Opens a connection that has ended once more and waits for the vehicle's heartbeat.

        Raises:
            LinkError: if it does not come back in time.
        """
        end = time.monotonic() + timeout_s
        while self.broken and self._open_again is not None:
            try:
                connection = self._open_again()
            except (OSError, ValueError) as error:
                if time.monotonic() > end:
                    raise LinkError(f"{self.address}: gone, and not back ({error})") from error
                time.sleep(min(0.5, timeout_s / 8.0))
                continue
            with contextlib.suppress(OSError, AttributeError):
                self._connection.close()
            self._connection = connection
            self.broken = False
        if self.broken:
            raise LinkError(f"{self.address}: the connection has ended")
        self.wait_for_vehicle(max(end - time.monotonic(), timeout_s / 2.0))

    @property
    def mav(self) -> Any:
        """pymavlink's sender, for messages that have no function here."""
        return self._connection.mav

    def log_to(self, path: Path) -> None:
        """Writes every message received from now on to a `.tlog` file (time stamp and frame)."""
        if self._log is not None:
            self._log.close()
        self._log = path.open("wb")

    def stop_log(self) -> None:
        """Ends the log."""
        if self._log is not None:
            self._log.close()
            self._log = None

    # Listening.

    def receive(self, timeout_s: float) -> Any | None:
        """The next message from anyone on the link, or None when time is up."""
        end = time.monotonic() + timeout_s
        while True:
            self.keep_alive()
            left = end - time.monotonic()
            try:
                message = self._connection.recv_msg()
                if message is None and left > 0:
                    self._connection.select(min(left, 0.05))
                    message = self._connection.recv_msg()
            except (OSError, ConnectionError, EOFError) as error:
                raise self._broke(error) from error
            except (struct.error, ValueError, IndexError, UnicodeError, dialect.MAVError):
                message = None  # bytes that only look like a frame
            if message is not None and message.get_type() != "BAD_DATA":
                self._note(message)
                return message
            if message is not None and "signature" in str(getattr(message, "reason", "")):
                self.wrongly_signed += 1
            if left <= 0:
                return None

    def _broke(self, error: Exception) -> LinkError:
        self.broken = True
        return LinkError(f"{self.address}: the connection broke ({error})")

    def _note(self, message: Any) -> None:
        if self._log is not None:
            stamp = struct.pack(">Q", int(time.time() * 1e6))
            self._log.write(stamp + message.get_msgbuf())
        if message.get_srcSystem() == self.system:
            self.heard_s = time.monotonic()
            if message.get_type() == "HEARTBEAT" and message.get_srcComponent() == self.component:
                self.heartbeat = message
            elif message.get_type() == "STATUSTEXT":
                self.texts.append(message.text)
        for observer in self.observers:
            observer(message)

    def wait_for(
        self,
        kinds: str | Sequence[str],
        timeout_s: float,
        matching: Callable[[Any], bool] | None = None,
    ) -> Any | None:
        """The next message of one of the kinds from the vehicle, or None when time is up."""
        wanted = (kinds,) if isinstance(kinds, str) else tuple(kinds)
        end = time.monotonic() + timeout_s
        while (left := end - time.monotonic()) > 0:
            message = self.receive(left)
            if message is None:
                return None
            mine = not self.system or message.get_srcSystem() == self.system
            if mine and message.get_type() in wanted and (matching is None or matching(message)):
                return message
        return None

    def wait_for_vehicle(self, timeout_s: float = 30.0) -> Any:
        """Waits for a vehicle's heartbeat and takes its address.

        Raises:
            LinkError: if none comes.
        """
        end = time.monotonic() + timeout_s
        while (left := end - time.monotonic()) > 0:
            message = self.receive(left)
            if message is None:
                break
            if message.get_type() == "HEARTBEAT" and self._is_vehicle(message):
                self.system = message.get_srcSystem()
                self.component = message.get_srcComponent()
                self._connection.target_system = self.system
                self._connection.target_component = self.component
                self.heartbeat = message
                return message
        hint = ""
        if self.wrongly_signed:
            hint = (
                f"; {self.wrongly_signed} frames were heard that are not signed with the key given"
            )
        raise LinkError(f"{self.address}: no vehicle's heartbeat within {timeout_s:.0f} s{hint}")

    @staticmethod
    def _is_vehicle(message: Any) -> bool:
        return message.autopilot != 8 and message.type not in _NOT_VEHICLES

    @property
    def armed(self) -> bool:
        """Whether the last heartbeat said so."""
        return bool(self.heartbeat is not None and self.heartbeat.base_mode & 128)

    @property
    def mode(self) -> int:
        """The last heartbeat's custom mode."""
        return int(self.heartbeat.custom_mode) if self.heartbeat is not None else -1

    # Sending.

    def keep_alive(self) -> None:
        """Sends the station's heartbeat when it is due."""
        now = time.monotonic()
        if not self.quiet and now - self._last_heartbeat_s >= _HEARTBEAT_S:
            self._last_heartbeat_s = now
            self.send("heartbeat", 6, 8, 0, 0, 4)

    def send(self, name: str, *fields: Any) -> None:
        """Sends a message by its pymavlink name, `send("mission_clear_all", system, …)`."""
        try:
            getattr(self._connection.mav, f"{name}_send")(*fields)
        except (OSError, ConnectionError) as error:
            raise self._broke(error) from error

    def command(self, number: int, *params: float, timeout_s: float = 3.0, tries: int = 3) -> int:
        """Sends COMMAND_LONG and gives the result of its acknowledgement (MAV_RESULT).

        Raises:
            LinkError: if none comes.
        """
        padded = (*params, *([0.0] * (7 - len(params))))
        for attempt in range(tries):
            self.send("command_long", self.system, self.component, number, attempt, *padded)
            answer = self.wait_for(
                "COMMAND_ACK", timeout_s, lambda m: m.command == number and m.result != 5
            )
            if answer is not None:
                return int(answer.result)
        raise LinkError(f"{self.address}: command {number} was not acknowledged")


def open_link(
    address: str,
    signing_key: Path | None = None,
    baud: int = 57_600,
    system: int = STATION_SYSTEM,
    option: str = "--connect",
) -> Link:
    """Opens a connection.

    Args:
        address: `udpin:HOST:PORT`, `udpout:HOST:PORT`, `tcp:HOST:PORT` or a serial device with an
            optional `,BAUD`.
        signing_key: a file with the MAVLink 2 signing key: 32 bytes, or 64 hexadecimal digits.
        baud: of a serial device that does not state its own.
        system: MAVLink system number of this station.
        option: named in the message where the address is none.

    Raises:
        InputError: if the address or the key cannot be used.
        LinkError: if the connection cannot be opened.
    """
    kind = address.split(":")[0]
    known = kind in ("udpin", "udpout", "tcp", "tcpin", "udp") and address.count(":") == 2
    device = address.split(",")[0]
    if not known and not device.startswith("/dev/") and not device.upper().startswith("COM"):
        raise InputError(
            option,
            f"'{address}' is no connection",
            "udpin:HOST:PORT, udpout:HOST:PORT, tcp:HOST:PORT or a serial device such as"
            " /dev/ttyUSB0,57600",
        )
    if known and not address.rsplit(":", 1)[1].isdigit():
        raise InputError(option, f"'{address}' has no port number", "as in udpin:0.0.0.0:14550")
    if not known and "," in address:
        device, rate = address.split(",", 1)
        if not rate.isdigit():
            raise InputError(option, f"'{address}' has no baud rate", "as in /dev/ttyUSB0,57600")
        baud, address = int(rate), device
    key = _read_key(signing_key) if signing_key is not None else None

    def connect() -> Any:
        connection = mavutil.mavlink_connection(
            address,
            baud=baud,
            source_system=system,
            source_component=190,
            dialect="ardupilotmega",
            autoreconnect=False,
            retries=1,
        )
        # pymavlink prints to the standard output when a TCP connection ends, and goes on.
        connection.handle_eof = connection.handle_disconnect = _ended
        # Fence and rally points exist in MAVLink 2 only.
        connection.mav = _second_version(connection)
        if key is not None:
            connection.setup_signing(key, sign_outgoing=True)
        return connection

    end = time.monotonic() + _CONNECT_S
    while True:
        try:
            return Link(connect(), address, connect)
        except ConnectionRefusedError as error:
            # A vehicle that is just starting is not listening yet.
            if time.monotonic() > end:
                raise LinkError(f"{address}: cannot be opened ({error})") from error
            time.sleep(0.5)
        except (OSError, ValueError) as error:
            raise LinkError(f"{address}: cannot be opened ({error})") from error


def _ended() -> None:
    raise ConnectionResetError("the other side closed it")


def _second_version(connection: Any) -> Any:
    mav = dialect.MAVLink(
        connection, srcSystem=connection.source_system, srcComponent=connection.source_component
    )
    mav.robust_parsing = True
    connection.WIRE_PROTOCOL_VERSION = "2.0"
    return mav


def _read_key(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})") from error
    if len(data) == 32:
        return data
    try:
        key = bytes.fromhex(data.decode("ascii").strip())
    except (UnicodeDecodeError, ValueError):
        key = b""
    if len(key) != 32:
        raise InputError(
            path, "holds no signing key", "32 bytes, or 64 hexadecimal digits and nothing else"
        )
    return key
