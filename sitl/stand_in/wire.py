"""MAVLink 2 frames, written fast: hundreds of thousands a second, where pymavlink writes tens.

Field order, types and checksums' seeds come from pymavlink's own message classes; a test reads
every kind of frame back with pymavlink.
"""

from __future__ import annotations

import binascii
import hashlib
import struct
import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from pymavlink.dialects.v20 import ardupilotmega as dialect

_HEADER = struct.Struct("<BBBBBBB")
_CHECKSUM = struct.Struct("<H")
_SIGNING_EPOCH_S = 1_420_070_400  # 2015-01-01
_MIRROR = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))


def checksum(data: bytes) -> int:
    """CRC-16/MCRF4XX, computed by the standard library's CCITT code on mirrored bits."""
    value = binascii.crc_hqx(data.translate(_MIRROR), 0xFFFF)
    return _MIRROR[value & 0xFF] << 8 | _MIRROR[value >> 8]


@cache
def _packer(name: str) -> tuple[int, int, Callable[..., bytes], tuple[str, ...], frozenset[str]]:
    kind = getattr(dialect, f"MAVLink_{name.lower()}_message")
    arrays = frozenset(
        field
        for field, count in zip(kind.ordered_fieldnames, kind.array_lengths, strict=True)
        if count > 0 and kind.fieldtypes[kind.fieldnames.index(field)] != "char"
    )
    return kind.id, kind.crc_extra, kind.unpacker.pack, tuple(kind.ordered_fieldnames), arrays


class FrameWriter:
    """Writes frames of one system and component, numbering them, and signing them with a key."""

    def __init__(self, system_id: int, component_id: int) -> None:
        self.system_id = system_id
        self.component_id = component_id
        self.key = b""
        self._sequence = 0
        self._stamp = 0

    def frame(self, name: str, fields: dict[str, Any]) -> bytes:
        """One frame of message `name` with all its fields; text as bytes, arrays as sequences."""
        number, seed, pack, order, arrays = _packer(name)
        if arrays:
            values: list[Any] = []
            for field in order:
                value = fields[field]
                if field in arrays:
                    values.extend(value)
                else:
                    values.append(value)
            payload = pack(*values)
        else:
            payload = pack(*[fields[field] for field in order])
        payload = payload.rstrip(b"\0") or payload[:1]
        head = _HEADER.pack(
            len(payload),
            1 if self.key else 0,
            0,
            self._sequence,
            self.system_id,
            self.component_id,
            number & 0xFF,
        )
        body = head + bytes((number >> 8 & 0xFF, number >> 16)) + payload
        self._sequence = (self._sequence + 1) & 0xFF
        frame = b"\xfd" + body + _CHECKSUM.pack(checksum(body + bytes((seed,))))
        return frame + self._signature(frame) if self.key else frame

    def _signature(self, frame: bytes) -> bytes:
        """Link number, time in 10 µs since 2015 that only grows, and the start of a SHA-256.

        https://mavlink.io/en/guide/message_signing.html
        """
        self._stamp = max(self._stamp + 1, int((time.time() - _SIGNING_EPOCH_S) * 1e5))
        tail = b"\0" + self._stamp.to_bytes(6, "little")
        return tail + hashlib.sha256(self.key + frame + tail).digest()[:6]


class FrameReader:
    """Takes messages out of a stream of bytes; whatever is no frame is skipped, never an error."""

    def __init__(self) -> None:
        self._key = b""
        self._parser = self._fresh()

    def _fresh(self) -> Any:
        parser = dialect.MAVLink(None)
        parser.robust_parsing = True
        parser.signing.secret_key = self._key or None
        return parser

    def use_key(self, key: bytes) -> None:
        """From now on only frames signed with this key count; all do without one."""
        if key != self._key:
            self._key = key
            self._parser = self._fresh()

    def messages(self, data: bytes) -> Sequence[Any]:
        """The whole messages that `data` completes (pymavlink's message objects)."""
        try:
            found = self._parser.parse_buffer(data) or []
        except (dialect.MAVError, struct.error, UnicodeDecodeError, ValueError, IndexError):
            # The parser keeps what it choked on; a fresh one goes on with the next bytes.
            self._parser = self._fresh()
            return []
        return [message for message in found if message.get_type() != "BAD_DATA"]
