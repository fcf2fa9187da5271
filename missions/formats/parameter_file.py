"""`.param`: recommended vehicle parameters, with a reason each.

`NAME,VALUE` a line, `#` comments: read by Mission Planner, MAVProxy and QGroundControl. Copter 4.7
renames several parameters and changes their unit; both names are written, since a vehicle ignores
(and a ground station reports) the one it does not have.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from corridor import InputError, write_text
from missions.mission import Parameter

_ALSO = "the same by its name from Copter 4.7 on (SI unit)"


def write_parameters(path: str | Path, parameters: Iterable[Parameter], title: str = "") -> None:
    """Writes parameters, each with its reason above it."""
    lines = [f"# {title}"] if title else []
    for parameter in parameters:
        lines.append(f"# {parameter.reason}")
        lines.append(f"{parameter.name},{parameter.value:g}")
        if parameter.si_name:
            lines.append(f"# {_ALSO}")
            lines.append(f"{parameter.si_name},{parameter.si_value:g}")
    write_text(path, "\n".join(lines) + "\n")


def read_parameters(path: str | Path) -> tuple[Parameter, ...]:
    """Reads what `write_parameters` wrote, or any `NAME,VALUE` file (reasons then empty).

    Raises:
        InputError: with the line that is no parameter.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(path, f"cannot be read as text ({error})") from error
    parameters: list[Parameter] = []
    reason = ""
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            reason = text.lstrip("# ")
            continue
        parts = text.replace(",", " ").split()
        try:
            name, value = parts[0], float(parts[1])
        except (IndexError, ValueError) as error:
            raise InputError(
                f"{path}, line {number}", f"'{text}' is no parameter", "write NAME,VALUE"
            ) from error
        if reason == _ALSO and parameters:
            last = parameters.pop()
            parameters.append(Parameter(last.name, last.value, last.reason, name, value))
        else:
            parameters.append(Parameter(name, value, reason))
        reason = ""
    return tuple(parameters)
