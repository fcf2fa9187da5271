"""The upload that cannot be silently wrong: clear, send, read back, compare, or take back."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from corridor import FencewalkError, LonLat, Progress, silent, write_json
from corridor.values import WGS84
from missions.link.connection import Link, LinkError, place_of
from missions.link.parameters import ParameterResult, apply_parameters
from missions.link.rules import FENCE, MISSION, RALLY, TYPE_NAMES, Difference, WireItem, differences
from missions.link.transfer import (
    Timing,
    TransferError,
    ask_capacity,
    clear_items,
    count_items,
    download_items,
    said_since,
    upload_items,
)
from missions.mission import Sortie

MUST_NOT_ARM = "THE AIRCRAFT MUST NOT BE ARMED"
START_TOLERANCE_M = 30.0
"""How far from the sortie's start the vehicle may stand: a lay-by's length, and GPS error."""
ORDER = (MISSION, FENCE, RALLY)
FITS_EVERYWHERE = {MISSION: 100, FENCE: 30, RALLY: 5}
"""Shorter lists fit the smallest boards, and asking makes every station show a warning."""
RECORD_VERSION = 1
Lists = Mapping[int, Sequence[WireItem]]
Result = TypeVar("Result")


class UploadRefusedError(FencewalkError):
    """The vehicle is not in a state to be given this sortie; nothing was changed on board."""

    exit_code = 1


@dataclass(frozen=True)
class OnBoard:
    """What one of the three lists on the vehicle is known to be.

    Attributes:
        state: `verified`, `empty`, `different`, `old` (nothing was changed), `new` (whole, though
            the upload failed), `cut short` (the beginning of the new one), `mixed` or `unknown`.
        count: number of items read, or None where it could not be read.
    """

    state: str
    count: int | None
    differences: tuple[Difference, ...] = ()


@dataclass(frozen=True)
class UploadResult:
    """How an upload ended.

    Attributes:
        sortie_id: which sortie.
        verified: all three lists were read back and are what was sent.
        message: one sentence for the pilot.
        lists: by mission type.
        parameters: what became of the recommended ones.
        vehicle: what the vehicle says it is.
        forced: the reason given for overriding a check, or "".
        checksums: SHA-256 of each list as sent, by name.
    """

    sortie_id: str
    verified: bool
    message: str
    lists: Mapping[int, OnBoard]
    parameters: tuple[ParameterResult, ...] = ()
    vehicle: Mapping[str, Any] = field(default_factory=dict)
    forced: str = ""
    checksums: Mapping[str, str] = field(default_factory=dict)
    address: str = ""

    @property
    def differences(self) -> list[Difference]:
        """All differences found."""
        return [d for mission_type in ORDER for d in self._of(mission_type)]

    def _of(self, mission_type: int) -> Sequence[Difference]:
        state = self.lists.get(mission_type)
        return state.differences if state is not None else ()

    @property
    def parameters_agree(self) -> bool:
        """Whether every recommended parameter is on board."""
        return all(p.agrees for p in self.parameters)

    def document(self) -> dict[str, Any]:
        """The upload record as it is written."""
        return {
            "version": RECORD_VERSION,
            "time_utc": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "sortie_id": self.sortie_id,
            "address": self.address,
            "verified": self.verified,
            "message": self.message,
            "forced": self.forced,
            "vehicle": dict(self.vehicle),
            "checksums": dict(self.checksums),
            "on_board": {
                TYPE_NAMES[kind]: {
                    "state": state.state,
                    "count": state.count,
                    "differences": [str(d) for d in state.differences],
                }
                for kind, state in self.lists.items()
            },
            "parameters": [
                {
                    "name": p.name,
                    "recommended": p.wanted,
                    "before": p.before,
                    "on_board": p.after,
                    "agrees": p.agrees,
                    "reason": p.reason,
                }
                for p in self.parameters
            ],
        }

    def write(self, path: Path) -> None:
        """Writes the upload record."""
        write_json(path, self.document())


def wire_lists(sortie: Sortie) -> dict[int, list[WireItem]]:
    """The three lists of a sortie as they travel, by mission type."""
    return {
        MISSION: [WireItem.of(item) for item in sortie.mission.all_items],
        FENCE: [WireItem.of(item) for item in sortie.geofence.items],
        RALLY: [WireItem.of(point.item) for point in sortie.rally],
    }


def checksum(items: Sequence[WireItem]) -> str:
    """SHA-256 over the items as they travel."""
    digest = hashlib.sha256()
    for i in items:
        digest.update(
            struct.pack("<HBffffiif", i.command, i.frame, i.p1, i.p2, i.p3, i.p4, i.x, i.y, i.z)
        )
    return digest.hexdigest()


def describe_vehicle(link: Link, wait_s: float = 1.0) -> dict[str, Any]:
    """What the vehicle says it is: versions, and whether it is the stand-in."""
    described: dict[str, Any] = {"system": link.system, "type": link.heartbeat.type}
    for _ in range(4):
        link.send("command_long", link.system, link.component, 512, 0, 148.0, 0, 0, 0, 0, 0, 0)
        message = link.wait_for("AUTOPILOT_VERSION", wait_s)
        if message is not None:
            v = message.flight_sw_version
            described["version"] = f"{v >> 24 & 255}.{v >> 16 & 255}.{v >> 8 & 255}"
            custom = bytes(message.flight_custom_version)
            described["build"] = custom.rstrip(b"\0").decode("ascii", errors="replace")
            described["is_stand_in"] = custom == b"STAND-IN"
            break
    return described


def check_ready(
    link: Link, start: LonLat, wait_s: float = 6.0, tolerance_m: float = START_TOLERANCE_M
) -> list[str]:
    """Why the vehicle should not be given a sortie that starts at `start`; empty if nothing is.

    Args:
        link: to the vehicle.
        start: where the sortie starts.
        wait_s: how long to wait for the position.
        tolerance_m: how far from it the vehicle may stand.
    """
    reasons = []
    if link.armed:
        reasons.append("the vehicle is armed")
    position = _position(link, wait_s)
    if position is None:
        reasons.append("the vehicle does not report a position")
    else:
        _, _, away_m = WGS84.inv(start.lon_deg, start.lat_deg, position.lon_deg, position.lat_deg)
        if away_m > tolerance_m:
            reasons.append(
                f"the vehicle stands {away_m:.0f} m from the sortie's start"
                f" ({start.lat_deg:.6f}, {start.lon_deg:.6f}); at most {tolerance_m:.0f} m"
                " is allowed"
            )
    return reasons


def check_capacity(link: Link, lists: Lists, timing: Timing | None = None) -> list[str]:
    """Which lists are longer than the vehicle says it can hold; empty if it does not say."""
    reasons = []
    for kind in ORDER:
        count = len(lists[kind])
        if count <= FITS_EVERYWHERE[kind]:
            continue
        room = ask_capacity(link, kind, timing)
        if room is not None and count > room:
            name = TYPE_NAMES[kind]
            reasons.append(f"the {name} has {count} items, the vehicle holds at most {room}")
    return reasons


def _position(link: Link, wait_s: float) -> LonLat | None:
    for _ in range(4):
        # Asks for the position once, and for a stream of it from autopilots that know only that.
        link.send("command_long", link.system, link.component, 512, 0, 33.0, 0, 0, 0, 0, 0, 0)
        message = link.wait_for(
            "GLOBAL_POSITION_INT", wait_s / 4, lambda m: place_of(m) is not None
        )
        if message is not None:
            return place_of(message)
        link.send("request_data_stream", link.system, link.component, 6, 1, 1)
    return None


def upload_sortie(
    link: Link,
    sortie: Sortie,
    *,
    force: str = "",
    audit: bool = False,
    timing: Timing | None = None,
    progress: Progress = silent,
    ready_wait_s: float = 6.0,
) -> UploadResult:
    """Gives a sortie to the vehicle, reads it back and compares.

    Args:
        link: to the vehicle, whose heartbeat has been heard.
        sortie: what to load.
        force: a reason to go on although a check speaks against it; kept in the record.
        audit: only compare the recommended parameters, do not set them.
        timing: of the transfers.
        progress: told of each list.
        ready_wait_s: how long to wait for the vehicle's position.

    Returns:
        The result; `verified` is True only if every list was read back equal. After any failure
        the lists have been cleared, or the result says what is on board instead.

    Raises:
        UploadRefusedError: if a check speaks against the upload and `force` is empty.
    """
    timing = timing or Timing()
    lists = wire_lists(sortie)
    reasons = check_ready(link, sortie.mission.home, ready_wait_s)
    reasons += check_capacity(link, lists, timing)
    if reasons and not force:
        raise UploadRefusedError(
            "not uploaded: " + "; ".join(reasons) + ". Nothing was changed on board."
        )
    base = UploadResult(
        sortie.sortie_id,
        False,
        "",
        {},
        vehicle=describe_vehicle(link, timing.answer_s),
        forced=f"{force} (overrides: {'; '.join(reasons)})" if reasons else "",
        checksums={TYPE_NAMES[kind]: checksum(items) for kind, items in lists.items()},
        address=link.address,
    )
    found: dict[int, OnBoard] = {}
    mark = len(link.texts)
    try:
        differing = _load_and_compare(link, lists, found, timing, progress)
        if differing:
            reason = f"{differing} differences after reading back" + said_since(link, mark)
            return _take_back(link, base, lists, found, reason, timing)
        parameters = tuple(apply_parameters(link, sortie.parameters, audit))
    except (LinkError, KeyboardInterrupt) as error:
        reason = str(error) or "interrupted"
        return _take_back(link, base, lists, found, reason, timing)
    message = f"{sortie.sortie_id} is on board and was read back equal"
    if not all(p.agrees for p in parameters):
        message += "; recommended parameters differ"
    return replace(base, verified=True, message=message, lists=found, parameters=parameters)


def _load_and_compare(
    link: Link, lists: Lists, found: dict[int, OnBoard], timing: Timing, progress: Progress
) -> int:
    """Clears, sends and reads back all lists; what is known of each goes into `found`.

    Returns:
        The number of differences that stayed.
    """
    for kind in ORDER:
        _persist(link, timing, partial(clear_items, link, kind, timing))
        found[kind] = OnBoard("empty", 0)
    cleared_s = time.monotonic()
    for kind in ORDER:
        if lists[kind]:
            found[kind] = OnBoard("unknown", None)
            if _send_until_taken(link, kind, lists[kind], timing, progress) > 1:
                cleared_s = time.monotonic()
    for kind in ORDER:
        found[kind] = _read_back(link, kind, lists[kind], timing, progress)
    for kind in [kind for kind in ORDER if found[kind].differences]:
        # What a bad link mixed up is right the second time; what the vehicle keeps otherwise
        # is different once more.
        _persist(link, timing, partial(clear_items, link, kind, timing))
        if lists[kind]:
            _send_until_taken(link, kind, lists[kind], timing, progress)
        cleared_s = time.monotonic()
        found[kind] = _read_back(link, kind, lists[kind], timing, progress)
    differing = sum(len(state.differences) for state in found.values())
    if differing:
        return differing
    # A CLEAR that was doubled or late on the way may still arrive.
    wait_until_s = cleared_s + timing.settle_s
    while (left := wait_until_s - time.monotonic()) > 0:
        link.receive(left)
    for kind in ORDER:
        count = _persist(link, timing, partial(count_items, link, kind, timing))
        if count != len(lists[kind]):
            changed = Difference(kind, -1, "count", len(lists[kind]), count)
            found[kind] = OnBoard("different", count, (changed,))
            differing += 1
    return differing


def _persist(link: Link, timing: Timing, work: Callable[[], Result]) -> Result:
    """Does it again where the link may be to blame, as long as the vehicle is heard at all.

    That also waits for a vehicle that is booting: it is heard, and does not answer yet.
    """
    for attempt in range(1, timing.attempts + 1):
        begun_s = time.monotonic()
        try:
            return work()
        except TransferError as error:
            silent = link.heard_s < begun_s
            if silent or not error.may_pass or attempt == timing.attempts:
                raise
    raise ValueError(f"{timing.attempts} attempts are none")


def _send_until_taken(
    link: Link, kind: int, items: Sequence[WireItem], timing: Timing, progress: Progress
) -> int:
    """Sends a list, cleared and from the start again where need be; gives the attempts."""
    attempts = 0

    def send() -> None:
        nonlocal attempts
        attempts += 1
        if attempts > 1:
            clear_items(link, kind, timing)
        upload_items(link, items, kind, timing, progress)

    _persist(link, timing, send)
    return attempts


def _read_back(
    link: Link, kind: int, sent: Sequence[WireItem], timing: Timing, progress: Progress
) -> OnBoard:
    items = _persist(link, timing, partial(download_items, link, kind, timing, progress))
    unlike = tuple(differences(sent, items, kind))
    return OnBoard("different" if unlike else ("verified" if sent else "empty"), len(items), unlike)


def _take_back(
    link: Link,
    base: UploadResult,
    sent: Lists,
    found: Mapping[int, OnBoard],
    reason: str,
    timing: Timing,
) -> UploadResult:
    """Clears everything after a failure and says what is on board, whatever that is."""
    lists: dict[int, OnBoard] = {}
    if link.broken:
        with contextlib.suppress(LinkError):
            link.reopen(2.0 * timing.patience_s)
    cleared = True
    for kind in ORDER:
        before = found.get(kind)
        kept = before.differences if before is not None else ()
        begun_s = time.monotonic()
        try:
            _persist(link, timing, partial(clear_items, link, kind, timing))
            lists[kind] = OnBoard("empty", 0, kept)
        except LinkError:
            if cleared:
                # It is told soon what could not be done; the pilot waits for it.
                timing = replace(timing, patience_s=timing.patience_s / 4.0, attempts=1)
            cleared = False
            if link.heard_s < begun_s:
                lists[kind] = OnBoard("unknown", None, kept)
            else:
                lists[kind] = _what_is_there(link, kind, sent[kind], before, timing)
    if cleared:
        message = (
            f"upload failed: {reason}. The mission, fence and rally points on board were cleared."
            f" {MUST_NOT_ARM} until an upload has been verified."
        )
    else:
        states = ", ".join(
            f"{TYPE_NAMES[kind]}: {state.state}"
            + (f" ({state.count} items)" if state.count is not None else "")
            for kind, state in lists.items()
        )
        message = (
            f"upload failed: {reason}. What is on board COULD NOT BE CLEARED ({states})."
            f" {MUST_NOT_ARM}: it may hold a mixture of two missions."
        )
    return replace(base, verified=False, message=message, lists=lists)


def _what_is_there(
    link: Link, kind: int, sent: Sequence[WireItem], before: OnBoard | None, timing: Timing
) -> OnBoard:
    """Reads a list that could not be cleared, and tells what it is."""
    kept = before.differences if before is not None else ()
    try:
        items = download_items(link, kind, timing)
    except LinkError:
        return OnBoard("unknown", None, kept)
    if not items:
        state = "empty"
    elif not differences(sent, items, kind):
        state = "new"
    elif not differences(sent[: len(items)], items, kind):
        state = "cut short"
    else:
        state = "old" if before is None else "mixed"
    return OnBoard(state, len(items), kept)


def wait_until_positioned(link: Link, timeout_s: float) -> None:
    """Waits until the position filter knows where it is (EKF_STATUS_REPORT, absolute position).

    Raises:
        LinkError: if it does not within the time.
    """
    link.send("request_data_stream", link.system, link.component, 0, 4, 1)
    message = link.wait_for("EKF_STATUS_REPORT", timeout_s, lambda m: m.flags & 16)
    if message is None:
        raise LinkError(
            f"{link.address}: the vehicle did not know its position after {timeout_s:.0f} s"
        )
