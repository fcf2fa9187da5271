"""The rest of a mission that was broken off: ArduPilot does not repeat earlier DO commands."""

from __future__ import annotations

from missions.mission import Command, Mission, MissionItem

_STATE = {
    Command.DO_CHANGE_SPEED: "speed",
    Command.DO_MOUNT_CONTROL: "gimbal",
    Command.DO_GIMBAL_MANAGER_PITCHYAW: "gimbal",
    Command.DO_SET_ROI_LOCATION: "roi",
    Command.DO_SET_ROI_NONE: "roi",
    Command.CONDITION_YAW: "heading",
}


def rest_of(mission: Mission, last_reached: int) -> tuple[Mission, dict[int, int]]:
    """A mission that takes off again and flies on from the waypoint reached last.

    Speed and gimbal as they were set by then are sent again on the way, and the camera is switched
    on again at the waypoint if it was on there.

    Args:
        mission: the whole.
        last_reached: sequence number of the last waypoint reached.

    Returns:
        The rest, and the sequence number in the whole of each of its items that comes from there
        (the take-off and what is sent again are left out).

    Raises:
        ValueError: if that is no waypoint of the mission.
    """
    items = mission.all_items
    if not 0 < last_reached < len(items) or items[last_reached].position is None:
        raise ValueError(f"item {last_reached} is no waypoint of the mission")
    take_off: MissionItem | None = None
    state: dict[str, MissionItem] = {}
    trigger: MissionItem | None = None
    for item in items[1:last_reached]:
        if item.command == Command.TAKEOFF:
            take_off = item
        elif item.command in _STATE:
            state[_STATE[Command(item.command)]] = item
        elif item.command == Command.DO_SET_CAM_TRIGG_DIST:
            trigger = item if item.p1 > 0 else None
    begin = [take_off] if take_off is not None else []
    on_again = [trigger] if trigger is not None else []
    # The commands right behind the waypoint ran when it was reached; they follow anyway.
    after = list(items[last_reached + 1 :])
    if after and after[0].command == Command.DO_SET_CAM_TRIGG_DIST:
        on_again = []
    lead = (*begin, *state.values())
    rest = (*lead, items[last_reached], *on_again, *after)
    first = len(lead) + 1
    numbers = {first: last_reached}
    for offset in range(len(after)):
        numbers[first + len(on_again) + 1 + offset] = last_reached + 1 + offset
    return mission.with_items(tuple(rest)), numbers
