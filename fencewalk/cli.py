"""The `fencewalk` command: finds its commands, and turns errors into messages and exit codes."""

from __future__ import annotations

import atexit
import difflib
import errno
import gc
import importlib
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import NoReturn

import click

from corridor import FencewalkError

COMMANDS: dict[str, str] = {
    "plan": "fencewalk.commands.plan:plan",
    "check": "fencewalk.commands.check:check",
    "upload": "fencewalk.commands.upload:upload",
    "download": "fencewalk.commands.upload:download",
    "fly": "fencewalk.commands.fly:fly",
    "monitor": "fencewalk.commands.monitor:monitor",
    "geotag": "fencewalk.commands.geotag:geotag",
    "coverage": "fencewalk.commands.coverage:coverage",
    "inspect": "fencewalk.commands.inspect:inspect",
    "orthophoto": "fencewalk.commands.orthophoto:orthophoto",
    "analyze": "fencewalk.commands.analyze:analyze",
    "score": "fencewalk.commands.score:score",
    "scene": "fencewalk.commands.scene:scene",
    "demo": "fencewalk.commands.demo:demo",
}
"""Command name to `module:attribute`, in the order of a working day; imported when asked for."""


# What the machine refuses is the user's to mend, and no fault of the program.
_REFUSALS = {
    errno.EACCES, errno.EDQUOT, errno.EEXIST, errno.EISDIR, errno.ENOSPC, errno.ENOTDIR,
    errno.EPERM, errno.EROFS,
}  # fmt: skip


class _LazyGroup(click.Group):
    """Imports a command's module only when that command is used, so that `--help` is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{COMMANDS[cmd_name]} is no command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            if not near:
                raise
            raise click.UsageError(f"{error.message} Did you mean '{near[0]}'?", ctx) from error


@click.command(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("fencewalk"), prog_name="fencewalk")
def app() -> None:
    """Plan drone flights along expressway fences, fly them, and read the pictures.

    Exit codes: 0 done; 1 done, and something needs attention; 2 the input or the arguments are
    wrong; 3 the vehicle or the link failed.
    """


def _stopped() -> NoReturn:
    click.echo("Stopped.", err=True)
    sys.exit(130)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line and exits with its code."""
    # What is left then goes with the process: to search it for garbage once more takes a while.
    atexit.unregister(gc.freeze)
    atexit.register(gc.freeze)
    try:
        result = app.main(args=arguments, prog_name="fencewalk", standalone_mode=False)
    except click.exceptions.Abort:
        _stopped()
    except SystemError as error:
        # Being asked to end within compiled code comes out as this.
        if not isinstance(error.__cause__, click.exceptions.Abort | KeyboardInterrupt):
            raise
        _stopped()
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except FencewalkError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
        click.echo(f"Error: {error.filename or 'output'}: {error.strerror}", err=True)
        sys.exit(2)
    sys.exit(result if isinstance(result, int) else 0)
