"""Missions, fences and rally points over the link: up, down, away; retries and time-outs.

The transfers are MISSION_ITEM_INT both ways. ArduPilot asks with the legacy MISSION_REQUEST too;
it is answered with MISSION_ITEM_INT all the same (https://mavlink.io/en/services/mission.html).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from corridor import Progress, silent
from missions.link.connection import Link, LinkError
from missions.link.rules import TYPE_NAMES, WireItem, single

ACCEPTED, NO_SPACE, INVALID_SEQUENCE, DENIED, CANCELLED = 0, 4, 13, 14, 15
RESULTS = {
    0: "accepted",
    1: "error",
    2: "frame not supported",
    3: "command not supported",
    4: "no space",
    5: "invalid",
    6: "parameter 1 invalid",
    7: "parameter 2 invalid",
    8: "parameter 3 invalid",
    9: "parameter 4 invalid",
    10: "latitude (parameter 5) invalid",
    11: "longitude (parameter 6) invalid",
    12: "altitude (parameter 7) invalid",
    13: "wrong sequence number",
    14: "denied: another station is uploading",
    15: "cancelled",
}


class TransferError(LinkError):
    """A transfer that was refused or broke off.

    Attributes:
        mission_type: which list.
        operation: `upload`, `download` or `clear`.
        reason: what happened, with what the vehicle said about it.
        result: the vehicle's MAV_MISSION_RESULT, or None if it said nothing.
    """

    def __init__(
        self, mission_type: int, operation: str, reason: str, result: int | None = None
    ) -> None:
        self.mission_type = mission_type
        self.operation = operation
        self.reason = reason
        self.result = result
        super().__init__(f"{operation} of the {TYPE_NAMES[mission_type]}: {reason}")


@dataclass(frozen=True, slots=True)
class Timing:
    """How long to wait and how often to ask again.

    Attributes:
        answer_s: for the answer to a COUNT, a LIST or a CLEAR.
        item_s: for the answer to an item or to a request for one; doubled with each repetition.
        longest_s: up to which it is doubled.
        tries: how often something is sent before the transfer is given up.
        denied_s: how long a refusal because of another upload is borne.
    """

    answer_s: float = 1.5
    item_s: float = 0.25
    longest_s: float = 4.0
    tries: int = 7
    denied_s: float = 12.0

    def scaled(self, factor: float) -> Timing:
        """All times multiplied, for a vehicle whose clock runs faster."""
        return Timing(
            self.answer_s * factor,
            self.item_s * factor,
            self.longest_s * factor,
            self.tries,
            self.denied_s * factor,
        )


def _is(mission_type: int, message: Any) -> bool:
    return bool(getattr(message, "mission_type", 0) == mission_type)


def _said_since(link: Link, mark: int) -> str:
    texts = list(dict.fromkeys(link.texts[mark:]))
    return f" ({'; '.join(texts[-3:])})" if texts else ""


def upload_items(
    link: Link,
    items: Sequence[WireItem],
    mission_type: int,
    timing: Timing | None = None,
    progress: Progress = silent,
) -> bool:
    """Sends a list of items.

    Returns:
        True if the vehicle acknowledged the whole; False if all items were asked for and the last
        acknowledgement did not arrive, so that only reading back can tell.

    Raises:
        TransferError: if it was refused or broke off.
    """
    timing = timing or Timing()
    mark = len(link.texts)
    tries = 0
    wait_s = timing.answer_s
    highest = -1  # the highest item the vehicle has asked for
    sent = -1  # the item that was sent last
    denied_until = time.monotonic() + timing.denied_s
    link.send("mission_count", link.system, link.component, len(items), mission_type)
    while True:
        message = link.wait_for(
            ("MISSION_REQUEST_INT", "MISSION_REQUEST", "MISSION_ACK"),
            wait_s,
            lambda m: _is(mission_type, m),
        )
        if message is None:
            tries += 1
            if tries >= timing.tries:
                if sent == len(items) - 1 and highest == len(items) - 1:
                    return False
                raise TransferError(
                    mission_type,
                    "upload",
                    f"the vehicle fell silent after item {highest} of {len(items)}"
                    + _said_since(link, mark),
                )
            wait_s = min(wait_s * 2.0, timing.longest_s)
            if sent < 0:
                link.send("mission_count", link.system, link.component, len(items), mission_type)
            else:
                _send_item(link, items[sent], sent, mission_type)
            continue
        if message.get_type() == "MISSION_ACK":
            result = int(message.type)
            if result == ACCEPTED and (highest == len(items) - 1 or not items):
                return True
            if result in (ACCEPTED, INVALID_SEQUENCE):
                continue  # of an earlier message; the vehicle goes on asking
            if result == DENIED and time.monotonic() < denied_until and highest < 0:
                _pause(link, timing.answer_s)
                link.send("mission_count", link.system, link.component, len(items), mission_type)
                continue
            _pause(link, timing.item_s)  # the text that explains it comes after
            if result == NO_SPACE and time.monotonic() < denied_until and _is_booting(link, mark):
                _pause(link, timing.answer_s)
                link.send("mission_count", link.system, link.component, len(items), mission_type)
                mark = len(link.texts)
                continue
            raise TransferError(
                mission_type,
                "upload",
                f"{RESULTS.get(result, f'result {result}')} at item {max(sent, 0)}"
                + _said_since(link, mark),
                result,
            )
        sequence = int(message.seq)
        if sequence >= len(items):
            continue  # of somebody else's longer upload
        highest = max(highest, sequence)
        sent = sequence
        tries = 0
        wait_s = timing.item_s
        progress(sequence, len(items), f"{TYPE_NAMES[mission_type]}: {sequence} of {len(items)}")
        _send_item(link, items[sequence], sequence, mission_type)


def _is_booting(link: Link, mark: int) -> bool:
    return any("Only 0 items" in text for text in link.texts[mark:])


def _pause(link: Link, seconds: float) -> None:
    """Keeps listening for a while."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        link.receive(left)


def _send_item(link: Link, item: WireItem, sequence: int, mission_type: int) -> None:
    link.send(
        "mission_item_int",
        link.system,
        link.component,
        sequence,
        item.frame,
        item.command,
        0,
        1,
        item.p1,
        item.p2,
        item.p3,
        item.p4,
        item.x,
        item.y,
        item.z,
        mission_type,
    )


def _count(link: Link, mission_type: int, timing: Timing) -> int:
    wait_s = timing.answer_s
    denied_until = time.monotonic() + timing.denied_s
    tries = 0
    while tries < timing.tries:
        link.send("mission_request_list", link.system, link.component, mission_type)
        message = link.wait_for(
            ("MISSION_COUNT", "MISSION_ACK"), wait_s, lambda m: _is(mission_type, m)
        )
        if message is None:
            tries += 1
            wait_s = min(wait_s * 1.5, timing.longest_s)
        elif message.get_type() == "MISSION_COUNT":
            return int(message.count)
        elif int(message.type) == DENIED:
            if time.monotonic() > denied_until:
                raise TransferError(mission_type, "download", RESULTS[DENIED], DENIED)
            _pause(link, timing.answer_s)
        # any other ACK is a late one of an earlier transfer
    raise TransferError(mission_type, "download", "the vehicle did not say how many items it has")


def download_items(
    link: Link,
    mission_type: int,
    timing: Timing | None = None,
    progress: Progress = silent,
) -> list[WireItem]:
    """Reads a list of items back.

    Raises:
        TransferError: if it broke off, or the list changed meanwhile.
    """
    timing = timing or Timing()
    count = _count(link, mission_type, timing)
    items = []
    for sequence in range(count):
        items.append(_item(link, sequence, mission_type, timing))
        progress(sequence + 1, count, f"{TYPE_NAMES[mission_type]}: {sequence + 1} of {count}")
    link.send("mission_ack", link.system, link.component, ACCEPTED, mission_type)
    again = _count(link, mission_type, timing)
    if again != count:
        raise TransferError(
            mission_type, "download", f"the list changed meanwhile: {count} items, then {again}"
        )
    return items


def _item(link: Link, sequence: int, mission_type: int, timing: Timing) -> WireItem:
    wait_s = timing.item_s
    tries = 0
    while tries < timing.tries:
        link.send("mission_request_int", link.system, link.component, sequence, mission_type)
        end = time.monotonic() + wait_s
        while (left := end - time.monotonic()) > 0:
            message = link.wait_for(
                ("MISSION_ITEM_INT", "MISSION_ACK"), left, lambda m: _is(mission_type, m)
            )
            if message is None:
                break
            if message.get_type() == "MISSION_ITEM_INT" and message.seq == sequence:
                return WireItem(
                    int(message.command),
                    int(message.frame),
                    single(message.param1),
                    single(message.param2),
                    single(message.param3),
                    single(message.param4),
                    int(message.x),
                    int(message.y),
                    single(message.z),
                )
            if message.get_type() == "MISSION_ACK" and int(message.type) == DENIED:
                raise TransferError(mission_type, "download", RESULTS[DENIED], DENIED)
        tries += 1
        wait_s = min(wait_s * 2.0, timing.longest_s)
    raise TransferError(mission_type, "download", f"item {sequence} did not arrive")


def clear_items(link: Link, mission_type: int, timing: Timing | None = None) -> None:
    """Empties a list and makes sure that it is empty.

    Raises:
        TransferError: if it could not be emptied.
    """
    timing = timing or Timing()
    denied_until = time.monotonic() + timing.denied_s
    tries = 0
    wait_s = timing.answer_s
    while tries < timing.tries:
        link.send("mission_clear_all", link.system, link.component, mission_type)
        answer = link.wait_for("MISSION_ACK", wait_s, lambda m: _is(mission_type, m))
        tries += 1
        wait_s = min(wait_s * 1.5, timing.longest_s)
        if answer is None:
            continue
        if int(answer.type) == DENIED and time.monotonic() < denied_until:
            tries -= 1
            _pause(link, timing.answer_s)
            continue
        # The acknowledgement may be a late one of something else: the count decides.
        if _count(link, mission_type, timing) == 0:
            return
    raise TransferError(mission_type, "clear", "the vehicle did not empty it")
