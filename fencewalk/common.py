"""What the commands share: repeated options, progress on a terminal, machine-readable results."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from corridor import Progress as Report

existing_path = click.Path(path_type=Path)
"""A path given by the user; the reader of the file says what is wrong with it."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
out_option = click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="Where to write; made if it is not there.",
)


@contextlib.contextmanager
def progress_bar(title: str) -> Iterator[Report]:
    """A progress bar on standard error while the block runs; nothing where that is no terminal."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.fields[title]}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f}% {task.description}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None, title=title)

        def report(done: float, total: float, what: str = "") -> None:
            bar.update(task, completed=done, total=total, description=what)

        yield report


def print_json(value: Any) -> None:
    """Prints one JSON document on standard output."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False))
