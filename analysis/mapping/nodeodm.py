"""Orthophotos by a NodeODM or ClusterODM server: upload, wait, fetch, and go on after a break.

Protocol: NodeODM 2.x (github.com/OpenDroneMap/NodeODM, docs/index.adoc): /task/new/init,
/task/new/upload/UUID, /task/new/commit/UUID, /task/UUID/info, /task/UUID/download/all.zip.
What has been done is kept in a small file beside the result, so that the same command goes on where
it was broken off: with the rest of the uploads, with waiting, or with fetching.
"""

from __future__ import annotations

import json
import tempfile
import time
import uuid
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from analysis.mapping.write import copy_as_cog
from corridor import FencewalkError, InputError, Progress, atomic_path, silent, write_json

STATE_VERSION = 1
_ORTHO = "odm_orthophoto/odm_orthophoto.tif"
_DSM = "odm_dem/dsm.tif"


class ServiceError(FencewalkError):
    """The server cannot be reached, or failed at the task."""

    exit_code = 3


@dataclass(frozen=True)
class NodeOdmSpec:
    """How the server is asked.

    Attributes:
        url: `http://host:port`, with `?token=…` if it wants one.
        gsd_m: None leaves it to the server.
        options: further options of OpenDroneMap, by their names.
        poll_s: between two questions after the task.
        retries: failed requests in a row before giving up; each waits longer than the last.
    """

    url: str
    gsd_m: float | None = None
    options: dict[str, Any] = field(default_factory=dict)
    poll_s: float = 5.0
    retries: int = 8


@dataclass(frozen=True)
class NodeOdmResult:
    """Files fetched; `dsm` None where the server made none."""

    orthophoto: Path
    dsm: Path | None
    task: str
    resumed: bool


@dataclass(frozen=True)
class _State:
    url: str
    task: str
    frames: tuple[str, ...]
    uploaded: tuple[str, ...] = ()
    committed: bool = False
    version: int = STATE_VERSION


def state_path(out: Path) -> Path:
    """Where the progress of a task towards `out` is kept."""
    return out.with_name(f".{out.stem}.nodeodm.json")


def make_orthophoto(
    frames: Sequence[Path], out: Path, spec: NodeOdmSpec, progress: Progress = silent
) -> NodeOdmResult:
    """Has a server make the orthophoto (and surface model) of frames.

    Raises:
        InputError: if a frame cannot be read or the address is none.
        ServiceError: if the server cannot be reached or fails; the same call goes on later.
    """
    missing = [frame for frame in frames if not frame.is_file()]
    if missing or not frames:
        raise InputError(missing[0] if missing else "FRAMES", "no such frame")
    node = _node(spec.url)
    state, resumed = _load(out, spec, frames)
    if state is None:
        state = _begin(node, out, spec, frames)
    state = _upload(node, out, spec, frames, state, progress)
    task = node.get_task(state.task)
    _wait(task, out, spec, progress)
    ortho, dsm = _fetch(task, out, spec, progress)
    state_path(out).unlink(missing_ok=True)
    return NodeOdmResult(ortho, dsm, state.task, resumed)


def _node(url: str) -> Any:
    try:
        from pyodm import Node
    except ImportError as error:
        raise InputError(
            "--engine nodeodm", "needs the package pyodm", "pip install 'fencewalk[nodeodm]'"
        ) from error
    if not url.startswith(("http://", "https://")):
        raise InputError("--url", f"is '{url}'", "http://host:port")
    return Node.from_url(url, timeout=60)


def _retried(what: str, spec: NodeOdmSpec, ask: Callable[[], Any]) -> Any:
    from pyodm.exceptions import NodeConnectionError, NodeServerError, OdmError

    for attempt in range(spec.retries + 1):
        try:
            return ask()
        except (NodeConnectionError, NodeServerError) as error:
            if attempt == spec.retries:
                raise ServiceError(
                    f"{spec.url}: {what} failed ({error}); run the same command again to go on"
                ) from error
            time.sleep(min(spec.poll_s * 2**attempt, 60.0))
        except OdmError as error:
            raise ServiceError(f"{spec.url}: {what} was refused ({error})") from error
    raise AssertionError("unreachable")


def _load(out: Path, spec: NodeOdmSpec, frames: Sequence[Path]) -> tuple[_State | None, bool]:
    path = state_path(out)
    if not path.is_file():
        return None, False
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        state = _State(
            values["url"], values["task"], tuple(values["frames"]), tuple(values["uploaded"]),
            values["committed"], values["version"],
        )  # fmt: skip
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(path, "is damaged", "delete it to begin anew") from error
    if (state.url, state.frames) != (_bare(spec.url), _names(frames)):
        raise InputError(
            path, f"belongs to other frames or another server ({state.url})",
            "the same frames and --url, or delete it to begin anew",
        )  # fmt: skip
    return state, True


def _bare(url: str) -> str:
    return url.partition("?")[0]  # the token stays out of files


def _names(frames: Sequence[Path]) -> tuple[str, ...]:
    return tuple(str(frame.resolve()) for frame in frames)


def _save(out: Path, state: _State) -> None:
    write_json(state_path(out), asdict(state))


def _begin(node: Any, out: Path, spec: NodeOdmSpec, frames: Sequence[Path]) -> _State:
    from requests_toolbelt import MultipartEncoder

    info = _retried("asking the server what it is", spec, node.info)
    if info.max_images is not None and len(frames) > info.max_images:
        raise InputError("FRAMES", f"are {len(frames)}", f"at most {info.max_images} here")
    options = {"dsm": True, **spec.options}
    if spec.gsd_m is not None:
        options["orthophoto-resolution"] = round(spec.gsd_m * 100, 3)
    state = _State(_bare(spec.url), str(uuid.uuid4()), _names(frames))

    def init() -> Any:
        listed = json.dumps([{"name": name, "value": value} for name, value in options.items()])
        body = MultipartEncoder(fields={"name": out.stem, "options": listed})
        return node.post(
            "/task/new/init",
            data=body,
            headers={"Content-Type": body.content_type, "set-uuid": state.task},
        )

    answer = _checked("opening a task", spec, _retried("opening a task", spec, init))
    state = replace(state, task=answer.get("uuid", state.task))
    _save(out, state)
    return state


def _checked(what: str, spec: NodeOdmSpec, answer: Any) -> dict[str, Any]:
    if not isinstance(answer, dict) or "error" in answer:
        reason = answer.get("error") if isinstance(answer, dict) else answer
        raise ServiceError(f"{spec.url}: {what} was refused ({reason})")
    return answer


def _upload(
    node: Any,
    out: Path,
    spec: NodeOdmSpec,
    frames: Sequence[Path],
    state: _State,
    progress: Progress,
) -> _State:
    from requests_toolbelt import MultipartEncoder

    if state.committed:
        return state
    done = set(state.uploaded)
    for n, (frame, name) in enumerate(zip(frames, state.frames, strict=True)):
        progress(n, len(frames), "uploading")
        if name in done:
            continue

        def send(frame: Path = frame, task: str = state.task) -> Any:
            with frame.open("rb") as stream:
                body = MultipartEncoder(fields={"images": (frame.name, stream, "image/jpeg")})
                headers = {"Content-Type": body.content_type}
                return node.post(f"/task/new/upload/{task}", data=body, headers=headers)

        _checked("uploading", spec, _retried(f"uploading {frame.name}", spec, send))
        state = replace(state, uploaded=(*state.uploaded, name))
        _save(out, state)

    def commit() -> Any:
        return node.post(f"/task/new/commit/{state.task}")

    _checked("starting the task", spec, _retried("starting the task", spec, commit))
    state = replace(state, committed=True)
    _save(out, state)
    return state


def _wait(task: Any, out: Path, spec: NodeOdmSpec, progress: Progress) -> None:
    from pyodm.types import TaskStatus

    while True:
        info = _retried("asking after the task", spec, task.info)
        progress(info.progress, 100.0, info.status.name.lower())
        if info.status == TaskStatus.COMPLETED:
            return
        if info.status in (TaskStatus.FAILED, TaskStatus.CANCELED):
            state_path(out).unlink(missing_ok=True)  # it cannot be gone on with
            said = info.last_error or "it gives no reason"
            raise ServiceError(f"{spec.url}: the task {info.status.name.lower()} ({said})")
        time.sleep(spec.poll_s)


def _fetch(task: Any, out: Path, spec: NodeOdmSpec, progress: Progress) -> tuple[Path, Path | None]:
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".nodeodm-") as scratch:
        folder = Path(scratch)

        def download() -> Any:
            return task.download_zip(
                scratch, progress_callback=lambda done: progress(done, 100.0, "fetching")
            )

        archive = _retried("fetching the result", spec, download)
        try:
            with zipfile.ZipFile(archive) as packed:
                inside = set(packed.namelist())
                if _ORTHO not in inside:
                    raise ServiceError(f"{spec.url}: the result holds no {_ORTHO}")
                packed.extract(_ORTHO, folder)
                if _DSM in inside:
                    packed.extract(_DSM, folder)
        except zipfile.BadZipFile as error:
            raise ServiceError(f"{spec.url}: the result is damaged; run it again") from error
        copy_as_cog(folder / _ORTHO, out, progress=progress)
        if _DSM not in inside:
            return out, None
        dsm = out.with_name(f"{out.stem}.dsm.tif")
        with atomic_path(dsm) as partial:
            (folder / _DSM).rename(partial)
        return out, dsm
