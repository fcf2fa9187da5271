"""Scenarios as data: what is different from a calm day, and what must hold."""

from __future__ import annotations

import difflib
import tomllib
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from corridor import InputError


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Injection(_Strict):
    """Something done to the vehicle in flight.

    Attributes:
        at_s: seconds of vehicle time after AUTO.
        parameter, value: a parameter to set (SIM_* for faults).
        silence: stop sending the ground station's heartbeat from then on.
    """

    at_s: float = Field(ge=0)
    parameter: str = ""
    value: float = 0.0
    silence: bool = False


class Expectation(_Strict):
    """What must hold at the end.

    Attributes:
        modes: the modes from AUTO on, in order.
        mode_by_s: latest time of the second of them, seconds after the first injection.
        mission_complete: whether every waypoint must be reached (True), must not all be (False).
        photos: `all` that the plan calls for, `some` of them, or `any` number.
        fence_broken: whether the fence is broken.
        texts: what the vehicle must say, in order.
        ends_near: where it must land: `home` (or a nearer rally point), `rally` or `any`.
        track_limits: whether distances from the plan are limited (not where wind is too strong).
    """

    modes: list[str] = ["AUTO"]
    mode_by_s: float | None = None
    mission_complete: bool = True
    photos: Literal["all", "some", "any"] = "all"
    fence_broken: bool = False
    texts: list[str] = []
    ends_near: Literal["home", "rally", "any"] = "home"
    track_limits: bool = True


class Scenario(_Strict):
    """One scenario file.

    Attributes:
        name: short, as on the command line.
        description: one sentence.
        parameters: set before the vehicle boots.
        inject: done in flight, in order of time.
        fence: `plan` (as planned), `tight` (a fence that the mission leaves) or `none`.
        rally: `plan`, `near` (a rally point by the middle of the mission) or `none`.
        resume_after_landing: land, change the battery, and fly the rest.
        expect: what must hold.
    """

    name: str
    description: str
    parameters: dict[str, float] = {}
    inject: list[Injection] = []
    fence: Literal["plan", "tight", "none"] = "plan"
    rally: Literal["plan", "near", "none"] = "plan"
    resume_after_landing: bool = False
    expect: Expectation = Expectation()


def _folder() -> Traversable:
    return resources.files("sitl").joinpath("scenarios")


def scenario_names() -> list[str]:
    """The scenarios that come with fencewalk, nominal first."""
    names = [
        entry.name.removesuffix(".toml")
        for entry in _folder().iterdir()
        if entry.name.endswith(".toml")
    ]
    return sorted(names, key=lambda name: (name != "nominal", name))


def read_scenario(name_or_path: str | Path) -> Scenario:
    """A scenario by its name, or from a TOML file.

    Raises:
        InputError: if there is none of that name, or the file is not one.
    """
    path = Path(name_or_path)
    if path.suffix == ".toml":
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise InputError(path, f"cannot be read ({error.strerror})") from error
        return _parse(text, path)
    names = scenario_names()
    if str(name_or_path) not in names:
        near = difflib.get_close_matches(str(name_or_path), names, 1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise InputError(
            "--scenario",
            f"there is no scenario '{name_or_path}'",
            f"{hint}there are {', '.join(names)}, or give a .toml file",
        )
    text = _folder().joinpath(f"{name_or_path}.toml").read_text(encoding="utf-8")
    return _parse(text, Path(f"{name_or_path}.toml"))


def _parse(text: str, source: Path) -> Scenario:
    try:
        values: dict[str, Any] = tomllib.loads(text)
        return Scenario.model_validate(values)
    except tomllib.TOMLDecodeError as error:
        raise InputError(source, f"is no TOML ({error})") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InputError(source, f"{place}: {first['msg']}", "see docs/sitl.md") from error
