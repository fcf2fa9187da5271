"""What a check finds."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any


class Level(enum.StrEnum):
    """How much a finding matters."""

    BLOCKING = "blocking"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True)
class CheckFinding:
    """One finding.

    Attributes:
        code: short name of the rule, as `clearance`.
        message: one sentence with the numbers.
        sortie: its id, empty for the plan as a whole.
        station: where, as `G1 left K12+345`; empty if nowhere in particular.
        numbers: the measured value and its limit, for machines.
    """

    level: Level
    code: str
    message: str
    sortie: str = ""
    station: str = ""
    numbers: dict[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "level": self.level.value,
            "code": self.code,
            "sortie": self.sortie,
            "station": self.station,
            "message": self.message,
            "numbers": {key: round(value, 4) for key, value in self.numbers.items()},
        }
