"""The vehicle's side of the mission protocol, with ArduPilot's timing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from missions.link.rules import WireItem, single
from sitl.stand_in.stores import (
    ACCEPTED,
    CANCELLED,
    DENIED,
    ERROR,
    INVALID_SEQUENCE,
    NO_SPACE,
    FenceStore,
    MissionStore,
    RallyStore,
    Say,
)

Store = MissionStore | FenceStore | RallyStore
Reply = Callable[[str, dict[str, Any]], None]

_ASK_AGAIN_S = 1.0
_GIVE_UP_S = 8.0


@dataclass
class _Upload:
    """An upload under way, by one station on one link."""

    station: tuple[int, int]
    reply: Reply
    count: int
    next_sequence: int
    last_item_s: float
    last_request_s: float


class MissionProtocol:
    """One of the three item stores as seen from the link."""

    def __init__(self, store: Store, say: Say) -> None:
        self.store = store
        self._say = say
        self._upload: _Upload | None = None

    @property
    def uploading(self) -> bool:
        """Whether a station is in the middle of an upload."""
        return self._upload is not None

    def handle(self, message: Any, reply: Reply, now_s: float) -> None:
        """Answers one message of the mission protocol that is meant for this store."""
        station = (message.get_srcSystem(), message.get_srcComponent())
        kind = message.get_type()
        if kind == "MISSION_COUNT":
            self._count(message.count, station, reply, now_s)
        elif kind in ("MISSION_ITEM_INT", "MISSION_ITEM"):
            self._item(message, station, reply, now_s)
        elif kind == "MISSION_REQUEST_LIST":
            if self._upload is not None:
                self._ack(reply, station, DENIED)
            else:
                reply(
                    "MISSION_COUNT",
                    {**_to(station), **self._type, "count": len(self.store), "opaque_id": 0},
                )
        elif kind in ("MISSION_REQUEST_INT", "MISSION_REQUEST"):
            self._request(message.seq, kind, station, reply)
        elif kind == "MISSION_CLEAR_ALL":
            if self._cancel(station):
                self._ack(reply, station, ACCEPTED if self.store.clear() else 1)
            else:
                self._ack(reply, station, DENIED)

    def tick(self, now_s: float) -> None:
        """Asks again, or gives up, when the station is silent."""
        upload = self._upload
        if upload is None:
            return
        if now_s - upload.last_item_s > _GIVE_UP_S:
            self._upload = None
            self.store.time_out()
            self._ack(upload.reply, upload.station, CANCELLED)
        elif now_s - upload.last_request_s > _ASK_AGAIN_S:
            upload.last_request_s = now_s
            self._ask(upload)

    @property
    def _type(self) -> dict[str, Any]:
        return {"mission_type": self.store.mission_type}

    def _ack(self, reply: Reply, station: tuple[int, int], result: int) -> None:
        reply("MISSION_ACK", {**_to(station), **self._type, "type": result, "opaque_id": 0})

    def _ask(self, upload: _Upload) -> None:
        # ArduPilot asks with the legacy MISSION_REQUEST.
        reply_fields = {**_to(upload.station), **self._type, "seq": upload.next_sequence}
        upload.reply("MISSION_REQUEST", reply_fields)

    def _cancel(self, station: tuple[int, int]) -> bool:
        if self._upload is not None and self._upload.station != station:
            return False
        self._upload = None
        return True

    def _count(self, count: int, station: tuple[int, int], reply: Reply, now_s: float) -> None:
        if not self._cancel(station):
            self._ack(reply, station, DENIED)
            return
        if count > self.store.capacity:
            self._ack(reply, station, NO_SPACE)
            self._say(4, f"Only {self.store.capacity} items are supported")
            return
        self.store.begin(count)
        if count == 0:
            self._ack(reply, station, self.store.complete())
            return
        self._upload = _Upload(station, reply, count, 0, now_s, now_s)
        self._ask(self._upload)

    def _item(self, message: Any, station: tuple[int, int], reply: Reply, now_s: float) -> None:
        upload = self._upload
        if upload is None:
            self._ack(reply, station, ERROR)
            return
        if message.seq != upload.next_sequence:
            self._ack(upload.reply, station, INVALID_SEQUENCE)
            return
        if station != upload.station:
            self._ack(upload.reply, station, DENIED)
            return
        result = self.store.put(message.seq, _wire_item(message))
        if result != ACCEPTED:
            self._upload = None
            self._ack(upload.reply, station, result)
            return
        upload.last_item_s = now_s
        upload.last_request_s = now_s
        upload.next_sequence += 1
        if upload.next_sequence == upload.count:
            self._upload = None
            self._ack(upload.reply, station, self.store.complete())
        else:
            self._ask(upload)

    def _request(self, sequence: int, kind: str, station: tuple[int, int], reply: Reply) -> None:
        if self._upload is not None:
            self._ack(reply, station, DENIED)
            return
        item = self.store.give(sequence)
        if item is None:
            self._ack(reply, station, INVALID_SEQUENCE)
            return
        fields: dict[str, Any] = {
            **_to(station),
            **self._type,
            "seq": sequence,
            "frame": item.frame,
            "command": item.command,
            "current": 0,
            "autocontinue": 1,
            "param1": item.p1,
            "param2": item.p2,
            "param3": item.p3,
            "param4": item.p4,
            "x": item.x,
            "y": item.y,
            "z": item.z,
        }
        if kind == "MISSION_REQUEST":
            scale = 1e-7 if item.x or item.y else 1.0
            fields["x"], fields["y"] = item.x * scale, item.y * scale
            reply("MISSION_ITEM", fields)
        else:
            reply("MISSION_ITEM_INT", fields)


def _to(station: tuple[int, int]) -> dict[str, Any]:
    return {"target_system": station[0], "target_component": station[1]}


def _wire_item(message: Any) -> WireItem:
    x, y = message.x, message.y
    if message.get_type() == "MISSION_ITEM":
        from missions.mission import WITH_PLACE

        scale = 1e7 if message.command in WITH_PLACE else 1.0
        x, y = round(x * scale), round(y * scale)
    return WireItem(
        message.command,
        message.frame,
        message.param1,
        message.param2,
        message.param3,
        message.param4,
        x,
        y,
        single(message.z),
    )
