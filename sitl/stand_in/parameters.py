"""The stand-in's parameters: ArduPilot's names, defaults and types, those a planner meets."""

from __future__ import annotations

import csv
from importlib import resources
from pathlib import Path

from corridor import InputError
from missions.link.rules import single

FLOAT = 9
"""MAV_PARAM_TYPE_REAL32."""

_ALIASES = {
    "SYSID_THISMAV": "MAV_SYSID",
    "SYSID_MYGCS": "MAV_GCS_SYSID",
    "SIM_GPS_DISABLE": "SIM_GPS1_ENABLE",
}


class Parameters:
    """A table of numbers by name; unknown names do not exist, as on a real vehicle."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}
        self.types: dict[str, int] = {}
        self.changes = 0
        table = resources.files("sitl.stand_in").joinpath("parameters.csv")
        for row in csv.DictReader(table.read_text(encoding="utf-8").splitlines()):
            self.values[row["name"]] = float(row["value"])
            self.types[row["name"]] = int(row["mav_param_type"])
        self.names = list(self.values)

    def __getitem__(self, name: str) -> float:
        return self.values[name]

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def put(self, name: str, value: float) -> bool:
        """Sets a parameter to the nearest value its type can hold; False if there is none."""
        if name not in self.values:
            return False
        limits = {1: (0, 255), 2: (-128, 127), 3: (0, 65535), 4: (-32768, 32767)}
        kind = self.types[name]
        if kind != FLOAT:
            low, high = limits.get(kind, (-(2**31), 2**31 - 1))
            value = float(min(max(round(value), low), high))
        self.values[name] = single(value)
        self.changes += 1
        return True

    def load(self, path: str | Path) -> list[str]:
        """Reads a parameter file (`NAME VALUE`, `NAME,VALUE` or `NAME=VALUE` a line, `#` comments).

        Returns:
            Names that the stand-in does not have.

        Raises:
            InputError: if the file cannot be read or a line is no parameter.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(path, f"cannot be read ({error})") from error
        unknown = []
        for number, line in enumerate(text.splitlines(), start=1):
            words = line.split("#")[0].replace(",", " ").replace("=", " ").split()
            if not words or words[0].startswith("@"):
                continue
            try:
                name, value = words[0], float(words[1])
            except (IndexError, ValueError) as error:
                raise InputError(
                    path, f"line {number} is no parameter: '{line}'", "NAME VALUE"
                ) from error
            if not self.put(_ALIASES.get(name, name), value):
                unknown.append(name)
        return unknown
