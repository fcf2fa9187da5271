"""Parameters over the link: read, set, audit; old names and the SI names of Copter 4.7."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from missions.link.connection import Link, LinkError
from missions.mission import Parameter


@dataclass(frozen=True, slots=True)
class ParameterResult:
    """What became of a recommended parameter.

    Attributes:
        name: the name the vehicle has it under; the recommended name if it has none.
        wanted: the recommended value, in that name's unit.
        before: what the vehicle had; None if it does not have the parameter.
        after: what it has now.
        reason: why it is recommended.
    """

    name: str
    wanted: float
    before: float | None
    after: float | None
    reason: str

    @property
    def agrees(self) -> bool:
        """Whether the vehicle now has the recommended value."""
        return self.after is not None and same_value(self.after, self.wanted)


def same_value(first: float, second: float) -> bool:
    """Equal as far as a 32-bit number holds them."""
    return abs(first - second) <= max(1e-6, 1e-6 * max(abs(first), abs(second)))


def read_parameter(link: Link, name: str, wait_s: float = 0.5, tries: int = 6) -> float | None:
    """A parameter's value, or None if the vehicle does not answer to that name."""
    for attempt in range(tries):
        link.send("param_request_read", link.system, link.component, name.encode("ascii"), -1)
        message = link.wait_for(
            "PARAM_VALUE", wait_s * min(attempt + 1, 4), lambda m: m.param_id == name
        )
        if message is not None:
            return float(message.param_value)
    return None


def set_parameter(
    link: Link, name: str, value: float, wait_s: float = 0.5, tries: int = 6
) -> float:
    """Sets a parameter and gives the value the vehicle then reports.

    Raises:
        LinkError: if the vehicle does not confirm.
    """
    for attempt in range(tries):
        link.send("param_set", link.system, link.component, name.encode("ascii"), float(value), 9)
        message = link.wait_for(
            "PARAM_VALUE",
            wait_s * min(attempt + 1, 4),
            lambda m: m.param_id == name and same_value(float(m.param_value), value),
        )
        if message is not None:
            return float(message.param_value)
    found = read_parameter(link, name, wait_s, tries)
    if found is None:
        raise LinkError(f"parameter {name}: the vehicle does not have it")
    if not same_value(found, value):
        raise LinkError(f"parameter {name}: set to {value:g}, the vehicle keeps {found:g}")
    return found


def apply_parameters(
    link: Link, parameters: Iterable[Parameter], audit: bool, wait_s: float = 0.5
) -> list[ParameterResult]:
    """Sets the recommended parameters, or with `audit` only compares them.

    A parameter that Copter 4.7 has renamed is looked for under both names.
    """
    results = []
    for parameter in parameters:
        name, wanted = parameter.name, parameter.value
        before = read_parameter(link, name, wait_s, 3)
        if before is None and parameter.si_name:
            name, wanted = parameter.si_name, parameter.si_value
            before = read_parameter(link, name, wait_s, 3)
        after = before
        if before is None:
            name, wanted = parameter.name, parameter.value
        elif not audit and not same_value(before, wanted):
            try:
                after = set_parameter(link, name, wanted, wait_s)
            except LinkError:
                after = read_parameter(link, name, wait_s)
        results.append(ParameterResult(name, wanted, before, after, parameter.reason))
    return results
