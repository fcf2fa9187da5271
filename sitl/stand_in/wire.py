"""MAVLink 2 frames, written fast: hundreds of thousands a second, where pymavlink writes tens.

Field order, types and checksums' seeds come from pymavlink's own message classes; a test reads
every kind of frame back with pymavlink.
"""

from __future__ import annotations

import binascii
import struct
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from pymavlink.dialects.v20 import ardupilotmega as dialect

_HEADER = struct.Struct("<BBBBBBB")
_CHECKSUM = struct.Struct("<H")
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
    """Writes frames of one system and component, numbering them."""

    def __init__(self, system_id: int, component_id: int) -> None:
        self.system_id = system_id
        self.component_id = component_id
        self._sequence = 0

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
            0,
            0,
            self._sequence,
            self.system_id,
            self.component_id,
            number & 0xFF,
        )
        body = head + bytes((number >> 8 & 0xFF, number >> 16)) + payload
        self._sequence = (self._sequence + 1) & 0xFF
        return b"\xfd" + body + _CHECKSUM.pack(checksum(body + bytes((seed,))))


class FrameReader:
    """Takes messages out of a stream of bytes; whatever is no frame is skipped, never an error."""

    def __init__(self) -> None:
        self._parser = dialect.MAVLink(None)
        self._parser.robust_parsing = True

    def messages(self, data: bytes) -> Sequence[Any]:
        """The whole messages that `data` completes (pymavlink's message objects)."""
        try:
            found = self._parser.parse_buffer(data) or []
        except (dialect.MAVError, struct.error, UnicodeDecodeError, ValueError, IndexError):
            # The parser keeps what it choked on; a fresh one goes on with the next bytes.
            self._parser = dialect.MAVLink(None)
            self._parser.robust_parsing = True
            return []
        return [message for message in found if message.get_type() != "BAD_DATA"]
