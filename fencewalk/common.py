"""What the commands share: repeated options, progress on a terminal, machine-readable results."""

from __future__ import annotations

import contextlib
import functools
import json
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from corridor import Boundary, Datum, read_boundaries
from corridor import Progress as Report
from corridor.read import FIELDS

_LATER_S = 0.05
"""After which a run that was asked to end while it compiled something is asked again."""

existing_path = click.Path(path_type=Path)
"""A path given by the user; the reader of the file says what is wrong with it."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
out_option = click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="Where to write; made if it is not there.",
)


def mount_options(means: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Adds --mount, with that help, and --mount-pitch: how a camera hangs that tells nothing."""

    def added(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in (
            click.option(
                "--mount-pitch",
                type=float,
                default=-90.0,
                show_default=True,
                help="Camera pitch, degrees.",
            ),
            click.option(
                "--mount",
                type=click.Choice(["stabilised", "fixed"]),
                default="stabilised",
                show_default=True,
                help=means,
            ),
        ):
            command = option(command)
        return command

    return added


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


@contextlib.contextmanager
def cleaning_up() -> Iterator[None]:
    """While the block runs, being asked to end (by SIGINT, SIGTERM) removes half-written files.

    Not while something is compiled: an exception there ends in a crash of the compiler.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        if _compiling(frame):
            threading.Timer(_LATER_S, signal.raise_signal, (number,)).start()
        else:
            raise click.exceptions.Abort

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _compiling(frame: FrameType | None) -> bool:
    """Whether a compiler is among those who called."""
    while frame is not None:
        if frame.f_globals.get("__name__", "").split(".")[0] in ("numba", "llvmlite"):
            return True
        frame = frame.f_back
    return False


def print_json(value: Any) -> None:
    """Prints one JSON document on standard output."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False))


@dataclass(frozen=True)
class BoundaryOptions:
    """What the shared boundary options say; made by `boundary_options`."""

    datum: str = "wgs84"
    crs: str | None = None
    layer: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)
    posts: Path | None = None

    def read(self, path: Path) -> list[Boundary]:
        """Reads boundaries, and tells on standard error what people should know of them."""
        boundaries = read_boundaries(
            path,
            datum=self.datum,
            crs=self.crs,
            layer=self.layer,
            columns=self.columns,
            defaults=self.defaults,
            posts=self.posts,
        )
        for boundary in boundaries:
            for note in boundary.notes:
                click.echo(f"Note: {note}", err=True)
        return boundaries

    def stated(self) -> dict[str, Any]:
        """What was stated, as keyword arguments of `read_boundaries` that fit into JSON.

        A plan keeps them, so that `fencewalk check` and `coverage` read the lines as it did.
        """
        posts = str(self.posts.resolve()) if self.posts else None
        given = {"crs": self.crs, "layer": self.layer, "columns": dict(self.columns),
                 "defaults": dict(self.defaults), "posts": posts}  # fmt: skip
        return {"datum": self.datum, **{name: value for name, value in given.items() if value}}


def boundary_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options on how boundaries are read; the command gets `boundary_options`."""

    @functools.wraps(command)
    def with_options(
        *args: Any,
        datum: str,
        crs: str | None,
        layer: str | None,
        column: Mapping[str, str],
        default: Mapping[str, str],
        posts: Path | None,
        **kwargs: Any,
    ) -> Any:
        options = BoundaryOptions(datum, crs, layer, column, default, posts)
        return command(*args, boundary_options=options, **kwargs)

    for option in reversed(_BOUNDARY_OPTIONS):
        with_options = option(with_options)
    return with_options


def _pairs(
    ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    pairs = {}
    for value in values:
        name, equals, meant = value.partition("=")
        if not (name and equals and meant):
            raise click.BadParameter(f"'{value}' has not the form FIELD=VALUE", ctx, parameter)
        pairs[name.strip()] = meant.strip()
    return pairs


_BOUNDARY_OPTIONS = (
    click.option(
        "--datum",
        type=click.Choice([datum.value for datum in Datum]),
        default=Datum.WGS84.value,
        show_default=True,
        help="What the lines were drawn on: gcj02 for Amap, Tencent and Google in China, "
        "bd09 for Baidu.",
    ),
    click.option(
        "--crs",
        metavar="CRS",
        help="The coordinate reference system of lines that carry none, for example EPSG:4545.",
    ),
    click.option("--layer", metavar="NAME", help="The layer with the boundaries."),
    click.option(
        "--column",
        metavar="FIELD=COLUMN",
        multiple=True,
        callback=_pairs,
        help=f"The column that holds a field ({', '.join(FIELDS)}); may be repeated.",
    ),
    click.option(
        "--default",
        metavar="FIELD=VALUE",
        multiple=True,
        callback=_pairs,
        help="The value of a field for lines that do not state it, for example side=left; "
        "may be repeated.",
    ),
    click.option(
        "--posts",
        type=existing_path,
        help="A table of kilometre posts (CSV with station, lon, lat, and where needed ahead, "
        "route) that calibrates the chainage.",
    ),
)
