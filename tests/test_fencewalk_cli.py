from __future__ import annotations

import errno
import json
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import geopandas
import pytest
import shapely

from corridor import InputError, VehicleError
from fencewalk import cli
from fencewalk.common import (
    BoundaryOptions,
    boundary_options,
    cleaning_up,
    print_json,
    progress_bar,
)

NAMES = list(cli.COMMANDS)


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert isinstance(caught.value.code, int)
    return caught.value.code


def register(monkeypatch: pytest.MonkeyPatch, command: click.Command) -> None:
    """Makes `command` the command `trial`."""
    monkeypatch.setitem(cli.COMMANDS, "trial", f"{__name__}:_trial")
    monkeypatch.setattr(sys.modules[__name__], "_trial", command, raising=False)


def failing(error: BaseException) -> click.Command:
    @click.command()
    def trial() -> None:
        raise error

    return trial


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out.strip() == f"fencewalk, version {version('fencewalk')}"


def test_commands_stand_in_the_order_of_a_working_day(capsys: pytest.CaptureFixture[str]) -> None:
    order = [
        "plan", "check", "upload", "download", "fly", "monitor", "geotag", "coverage", "inspect",
        "orthophoto", "analyze", "score", "scene", "demo",
    ]  # fmt: skip
    known = [name for name in NAMES if name in order]
    assert known == [name for name in order if name in NAMES]
    assert run("--help") == 0
    shown = capsys.readouterr().out
    places = [shown.index(f"\n  {name} ") for name in NAMES]
    assert places == sorted(places)


@pytest.mark.parametrize("name", NAMES)
def test_each_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(name, "--help") == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"Usage: fencewalk {name} ")
    summary = shown.splitlines()[2].strip()
    assert len(summary) > 15
    assert summary[0].isupper()


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_option_is_named(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(name, "--no-such-option") == 2
    assert "--no-such-option" in capsys.readouterr().err


def test_an_unknown_command_is_named_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("scor") == 2
    assert "No such command 'scor'. Did you mean 'score'?" in capsys.readouterr().err


def test_a_bad_value_names_its_flag(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("score", "a", "--truth", "b", "--buffer", "wide") == 2
    assert "Invalid value for '--buffer': 'wide'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (InputError("b.kml", "has no line", "draw one"), 2, "Error: b.kml: has no line; draw one"),
        (VehicleError("no heartbeat in 10 s"), 3, "Error: no heartbeat in 10 s"),
        (click.ClickException("odd"), 2, "Error: odd"),
        (click.Abort(), 130, "Stopped."),
        (SystemError("a result with an exception set"), 130, "Stopped."),
        (OSError(errno.ENOSPC, "No space left on device", "out.tif"), 2, "out.tif: No space left"),
        (PermissionError(errno.EACCES, "Permission denied", "/out"), 2, "/out: Permission denied"),
    ],
)
def test_errors_become_messages_and_codes(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    message: str,
) -> None:
    if isinstance(error, SystemError):  # as compiled code hands on that it was asked to end
        error.__cause__ = click.Abort()
    register(monkeypatch, failing(error))
    assert run("trial") == code
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "error", [ValueError("a bug"), OSError(errno.EBADF, "Bad descriptor"), SystemError("a bug")]
)
def test_what_is_nobody_s_input_keeps_its_traceback(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    register(monkeypatch, failing(error))
    with pytest.raises(type(error)):
        cli.main(["trial"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_is_not_ended_while_something_is_compiled(number: int) -> None:
    compiler: dict[str, Any] = {"__name__": "llvmlite.binding", "signal": signal, "time": time}
    compiler["number"] = number
    exec(  # a function of that module
        "def compile():\n"
        "    signal.raise_signal(number)\n"
        "    time.sleep(0.3)\n"
        "    return 'compiled'",
        compiler,
    )
    done = []

    def work() -> None:
        with cleaning_up():
            done.append(compiler["compile"]())
            for _ in range(200):
                time.sleep(0.05)
            done.append("went on")

    with pytest.raises(click.Abort):
        work()
    assert done == ["compiled"]


@pytest.mark.parametrize("result", [0, 1])
def test_a_command_s_result_is_the_exit_code(monkeypatch: pytest.MonkeyPatch, result: int) -> None:
    @click.command()
    def trial() -> int:
        return result

    register(monkeypatch, trial)
    assert run("trial") == result


def boundary_file(folder: Path) -> Path:
    path = folder / "b.geojson"
    geopandas.GeoDataFrame(
        {"seite": ["links"]},
        geometry=[shapely.MultiLineString([[(106.9, 27.7), (106.901, 27.7)],
                                           [(106.902, 27.7), (106.903, 27.7)]])],
        crs="EPSG:4326",
    ).to_file(path)  # fmt: skip
    return path


def boundary_command() -> click.Command:
    @click.command()
    @click.argument("boundaries", type=click.Path(path_type=Path))
    @boundary_options
    def trial(boundaries: Path, boundary_options: BoundaryOptions) -> None:
        print_json([[b.route, b.side.value] for b in boundary_options.read(boundaries)])

    return trial


def test_boundary_options_reach_the_reader(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    register(monkeypatch, boundary_command())
    path = str(boundary_file(tmp_path))
    assert run("trial", path, "--default", "side=left", "--default", "route=G75") == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == [["G75", "left"]]
    assert "Note: G75 left: a gap of" in err
    assert run("trial", path, "--column", "side=seite") == 2
    assert "side 'links' is not known; left or right" in capsys.readouterr().err
    assert run("trial", path, "--column", "side") == 2
    assert "Invalid value for '--column': 'side' has not the form" in capsys.readouterr().err
    assert run("trial", path, "--datum", "mars") == 2
    assert "'--datum'" in capsys.readouterr().err


def test_progress_is_silent_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with progress_bar("Counting") as report:
        report(1, 2, "half")
    assert capsys.readouterr() == ("", "")


def test_json_is_one_document_and_holds_no_nan(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"路": 1.5})
    assert json.loads(capsys.readouterr().out) == {"路": 1.5}
    with pytest.raises(ValueError, match="JSON"):
        print_json(float("nan"))


def test_the_program_and_the_module_run() -> None:
    """As a process of its own, as a shell starts it; completion too."""
    shown = subprocess.run(
        [sys.executable, "-m", "fencewalk", "--version"], capture_output=True, text=True, check=True
    )
    assert shown.stdout.startswith("fencewalk, version")
    program = Path(sys.executable).with_name("fencewalk")
    completed = subprocess.run(
        [program],
        env={"_FENCEWALK_COMPLETE": "bash_complete", "COMP_WORDS": "fencewalk sco",
             "COMP_CWORD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert completed.stdout.strip() == "plain,score"
