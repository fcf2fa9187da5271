"""Missions, fences and rally points over the link: up, down, away; retries and time-outs.

The transfers are MISSION_ITEM_INT both ways. ArduPilot asks with the legacy MISSION_REQUEST too;
it is answered with MISSION_ITEM_INT all the same (https://mavlink.io/en/services/mission.html).
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from corridor import Progress, silent
from missions.link.connection import Link, LinkError
from missions.link.rules import TYPE_NAMES, WireItem, single

ACCEPTED, ERROR, NO_SPACE, INVALID_SEQUENCE, DENIED, CANCELLED = 0, 1, 4, 13, 14, 15
_MORE_THAN_ANY = 65_535
_LIMIT = re.compile(r"Only (\d+) items are supported")
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
        may_pass: the link may be to blame, so that another try is worth while.
    """

    def __init__(
        self,
        mission_type: int,
        operation: str,
        reason: str,
        result: int | None = None,
        may_pass: bool = False,
    ) -> None:
        self.mission_type = mission_type
        self.operation = operation
        self.reason = reason
        self.result = result
        self.may_pass = may_pass
        super().__init__(f"{operation} of the {TYPE_NAMES[mission_type]}: {reason}")


@dataclass(frozen=True, slots=True)
class Timing:
    """How long to wait and how often to ask again.

    The first waits are those that ground stations use. What is not answered is asked again for
    `patience_s`, longer than the 8 s after which ArduPilot gives a silent station up: with 30 % of
    the frames lost each way one exchange in two fails, so five repetitions fail once in thirty.

    Attributes:
        answer_s: for the answer to a COUNT, a LIST or a CLEAR.
        item_s: for the answer to an item or to a request for one; grows with each repetition.
        longest_s: up to which it grows.
        patience_s: without progress, until one transfer is given up.
        attempts: how often a list is cleared and sent anew after a transfer that was given up.
        denied_s: how long a refusal because of another upload is borne.
        settle_s: how late a frame may arrive; a doubled CLEAR must not empty what was verified.
    """

    answer_s: float = 1.5
    item_s: float = 0.25
    longest_s: float = 1.5
    patience_s: float = 12.0
    attempts: int = 3
    denied_s: float = 12.0
    settle_s: float = 2.5

    def scaled(self, factor: float) -> Timing:
        """All times multiplied, for a vehicle whose clock runs faster."""
        return Timing(
            self.answer_s * factor,
            self.item_s * factor,
            self.longest_s * factor,
            self.patience_s * factor,
            self.attempts,
            self.denied_s * factor,
            self.settle_s * factor,
        )


class _Patience:
    """When to ask again, and when to stop asking."""

    def __init__(self, first_s: float, timing: Timing) -> None:
        self._timing = timing
        self.restart(first_s)

    def restart(self, first_s: float) -> None:
        """There was progress."""
        self.wait_s = first_s
        self._until_s = time.monotonic() + self._timing.patience_s

    def wait_longer(self) -> None:
        """Nothing came within `wait_s`."""
        self.wait_s = min(self.wait_s * 1.5, max(self._timing.longest_s, self._timing.answer_s))

    @property
    def over(self) -> bool:
        """Whether to stop asking."""
        return time.monotonic() >= self._until_s


def _is(mission_type: int, message: Any) -> bool:
    return bool(getattr(message, "mission_type", 0) == mission_type)


def said_since(link: Link, mark: int) -> str:
    """The vehicle's last texts after its first `mark`, in brackets; empty if there are none."""
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
    patience = _Patience(timing.answer_s, timing)
    last = len(items) - 1
    highest = -1  # the highest item the vehicle has asked for
    sent = -1  # the item that was sent last
    denied_until = time.monotonic() + timing.denied_s

    def failed(reason: str, result: int | None = None, may_pass: bool = False) -> TransferError:
        said = said_since(link, mark)
        return TransferError(mission_type, "upload", reason + said, result, may_pass)

    def offer() -> None:
        link.send("mission_count", link.system, link.component, len(items), mission_type)

    offer()
    while True:
        message = link.wait_for(
            ("MISSION_REQUEST_INT", "MISSION_REQUEST", "MISSION_ACK"),
            patience.wait_s,
            lambda m: _is(mission_type, m),
        )
        if patience.over:
            if highest == last and sent == last:
                return False
            raise failed(f"no progress after item {highest + 1} of {len(items)}", may_pass=True)
        if message is None:
            patience.wait_longer()
            if sent < 0:
                offer()
            else:
                _send_item(link, items[sent], sent, mission_type)
            continue
        if message.get_type() != "MISSION_ACK":
            sequence = int(message.seq)
            if sequence > last:
                continue  # of somebody else's longer upload
            if sequence > highest:
                highest = sequence
                patience.restart(timing.item_s)
            sent = sequence
            progress(
                sequence, len(items), f"{TYPE_NAMES[mission_type]}: {sequence} of {len(items)}"
            )
            _send_item(link, items[sequence], sequence, mission_type)
            continue
        result = int(message.type)
        if result == ACCEPTED and (highest == last or not items):
            return True
        if result in (ACCEPTED, INVALID_SEQUENCE) or (highest < 0 and result == CANCELLED):
            continue  # of an earlier message; the vehicle goes on asking
        if result == DENIED and time.monotonic() < denied_until and highest < 0:
            _pause(link, timing.answer_s)
            patience.restart(timing.answer_s)
            offer()
            continue
        _pause(link, timing.item_s)  # the text that explains it comes after
        if result == NO_SPACE and time.monotonic() < denied_until and _is_booting(link, mark):
            _pause(link, timing.answer_s)
            patience.restart(timing.answer_s)
            offer()
            mark = len(link.texts)
            continue
        if result == ERROR and sent == last:
            # ArduPilot answers so to an item that comes after the transfer has ended: the last
            # item sent once more because its acknowledgement was lost. Reading back will tell.
            return False
        if result == ERROR and highest < 0:
            continue  # likewise, of an earlier transfer
        raise failed(
            f"{RESULTS.get(result, f'result {result}')} at item {max(sent, 0)}",
            result,
            may_pass=result in (ERROR, CANCELLED),
        )


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


def count_items(link: Link, mission_type: int, timing: Timing | None = None) -> int:
    """How many items the vehicle says a list has.

    Raises:
        TransferError: if it does not say, or another station's upload does not end.
    """
    timing = timing or Timing()
    patience = _Patience(timing.answer_s, timing)
    denied_until = time.monotonic() + timing.denied_s
    refused: int | None = None
    while not patience.over:
        link.send("mission_request_list", link.system, link.component, mission_type)
        end = time.monotonic() + patience.wait_s
        while (left := end - time.monotonic()) > 0:
            message = link.wait_for(
                ("MISSION_COUNT", "MISSION_ACK"), left, lambda m: _is(mission_type, m)
            )
            if message is None:
                patience.wait_longer()
                break
            if message.get_type() == "MISSION_COUNT":
                return int(message.count)
            refused = int(message.type)
            if refused == DENIED:
                if time.monotonic() > denied_until:
                    raise TransferError(mission_type, "download", RESULTS[DENIED], DENIED)
                _pause(link, timing.answer_s)
                patience.restart(timing.answer_s)
                break
            # any other ACK is a late one of an earlier transfer, or the vehicle has no such list
    reason = "the vehicle did not say how many items it has"
    if refused is not None:
        reason += f" ({RESULTS.get(refused, f'result {refused}')})"
    raise TransferError(mission_type, "download", reason, refused, may_pass=True)


def ask_capacity(link: Link, mission_type: int, timing: Timing | None = None) -> int | None:
    """How many items of a list the vehicle can hold; None if it does not say.

    It is offered more than any vehicle holds: ArduPilot refuses with NO_SPACE and says its limit in
    a text, before it changes anything on board. A vehicle that is booting says 0, which is no
    answer.
    """
    timing = timing or Timing()
    for _ in range(timing.attempts):
        mark = len(link.texts)
        link.send("mission_count", link.system, link.component, _MORE_THAN_ANY, mission_type)
        end = time.monotonic() + timing.answer_s
        while (left := end - time.monotonic()) > 0:
            message = link.wait_for(("MISSION_ACK", "STATUSTEXT"), left)
            if message is None:
                break
            if message.get_type() == "MISSION_ACK":
                if _is(mission_type, message) and int(message.type) not in (NO_SPACE, ERROR):
                    return None
                continue
            for text in link.texts[mark:]:
                found = _LIMIT.search(text)
                if found and int(found.group(1)) > 0:
                    return int(found.group(1))
    return None


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
    count = count_items(link, mission_type, timing)
    items = []
    for sequence in range(count):
        items.append(_item(link, sequence, mission_type, timing))
        progress(sequence + 1, count, f"{TYPE_NAMES[mission_type]}: {sequence + 1} of {count}")
    link.send("mission_ack", link.system, link.component, ACCEPTED, mission_type)
    again = count_items(link, mission_type, timing)
    if again != count:
        raise TransferError(
            mission_type,
            "download",
            f"the list changed meanwhile: {count} items, then {again}",
            may_pass=True,
        )
    return items


def _item(link: Link, sequence: int, mission_type: int, timing: Timing) -> WireItem:
    patience = _Patience(timing.item_s, timing)
    denied_until = time.monotonic() + timing.denied_s
    while not patience.over:
        link.send("mission_request_int", link.system, link.component, sequence, mission_type)
        end = time.monotonic() + patience.wait_s
        patience.wait_longer()
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
                # A doubled COUNT of ours, or another station, has an upload open.
                if time.monotonic() > denied_until:
                    raise TransferError(mission_type, "download", RESULTS[DENIED], DENIED)
                _pause(link, timing.answer_s)
                patience.restart(timing.item_s)
                break
    raise TransferError(mission_type, "download", f"item {sequence} did not arrive", may_pass=True)


def clear_items(link: Link, mission_type: int, timing: Timing | None = None) -> None:
    """Empties a list and makes sure that it is empty.

    Raises:
        TransferError: if it could not be emptied.
    """
    timing = timing or Timing()
    denied_until = time.monotonic() + timing.denied_s
    patience = _Patience(timing.answer_s, timing)
    while not patience.over:
        link.send("mission_clear_all", link.system, link.component, mission_type)
        answer = link.wait_for("MISSION_ACK", patience.wait_s, lambda m: _is(mission_type, m))
        patience.wait_longer()
        if answer is None:
            continue
        if int(answer.type) == DENIED and time.monotonic() < denied_until:
            _pause(link, timing.answer_s)
            patience.restart(timing.answer_s)
            continue
        # The acknowledgement may be a late one of something else: the count decides.
        if count_items(link, mission_type, timing) == 0:
            return
    raise TransferError(mission_type, "clear", "the vehicle did not empty it", may_pass=True)
