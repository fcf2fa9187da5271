"""The way to a NodeODM server and back, against a small server that speaks its protocol."""

import email.parser
import email.policy
import http.server
import io
import json
import re
import threading
import zipfile

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from analysis.mapping.nodeodm import NodeOdmSpec, ServiceError, make_orthophoto, state_path
from corridor import InputError
from fencewalk.cli import main

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # pyodm's utcfromtimestamp


class Server(http.server.ThreadingHTTPServer):
    """What NodeODM does with the requests that matter here; faults on demand."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.tasks = {}
        self.log = []
        self.fail_upload_of = {}
        self.refuse = None
        self.end_as = 40  # COMPLETED
        self.asked = 0
        self.result = b""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, value, code=200):
        body = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        server = self.server
        path = self.path.partition("?")[0]
        if path == "/info":
            self.answer({"version": "2.2.1", "taskQueueCount": 0, "maxImages": 5, "engine": "odm",
                         "engineVersion": "3.5.4"})  # fmt: skip
            return
        task = re.match(r"/task/([\w-]+)/", path)[1]
        if path.endswith("/info"):
            server.asked += 1
            done = server.asked >= 3
            code = server.end_as if done else 20
            self.answer({
                "uuid": task, "name": "n", "dateCreated": 1_700_000_000_000, "processingTime": 5,
                "status": {"code": code, "errorMessage": "out of memory"}, "options": [],
                "imagesCount": 2, "progress": 100 if done else 40,
            })  # fmt: skip
            return
        assert path.endswith("/download/all.zip")
        self.send_response(200)
        self.send_header("Content-Length", str(len(server.result)))
        self.end_headers()
        self.wfile.write(server.result)

    def do_POST(self):
        server = self.server
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        fields = parts(self.headers.get("Content-Type"), body)
        server.log.append(path)
        if path == "/task/new/init":
            if server.refuse:
                self.answer({"error": server.refuse})
                return
            task = self.headers["set-uuid"]
            server.tasks[task] = {"options": json.loads(fields["options"][1]), "images": {}}
            self.answer({"uuid": task})
            return
        task = path.rpartition("/")[2]
        if path.startswith("/task/new/upload/"):
            name, content = fields["images"]
            if server.fail_upload_of.get(name, 0) > 0:
                server.fail_upload_of[name] -= 1
                self.answer({}, 503)
                return
            server.tasks[task]["images"][name] = content
            self.answer({"success": True})
            return
        assert path.startswith("/task/new/commit/")
        self.answer({"uuid": task})


def parts(kind, body):
    if not kind or "multipart" not in kind:
        return {}
    parser = email.parser.BytesParser(policy=email.policy.HTTP)
    message = parser.parsebytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body)
    return {
        part.get_param("name", header="content-disposition"): (
            part.get_filename(),
            part.get_payload(decode=True),
        )
        for part in message.iter_parts()
    }


def packed(tmp_path, with_ortho=True):
    path = tmp_path / "made.tif"
    transform = from_origin(620000, 2945000, 0.05, 0.05)
    with rasterio.open(
        path, "w", "GTiff", 40, 30, 4, "EPSG:32648", transform, "uint8", photometric="RGB"
    ) as made:
        made.write(np.full((4, 30, 40), 200, np.uint8))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        if with_ortho:
            archive.write(path, "odm_orthophoto/odm_orthophoto.tif")
        archive.write(path, "odm_dem/dsm.tif")
    return out.getvalue()


@pytest.fixture
def server(tmp_path):
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    server.result = packed(tmp_path)
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def frames(tmp_path):
    paths = [tmp_path / f"DJI_{n}.JPG" for n in (1, 2)]
    for path in paths:
        path.write_bytes(b"\xff\xd8" + path.name.encode() * 50)
    return paths


def spec(server, **changes):
    return NodeOdmSpec(server.url, poll_s=0.01, **changes)


def test_uploaded_waited_for_and_fetched(server, frames, tmp_path):
    seen = []
    out = tmp_path / "made" / "ortho.tif"
    made = make_orthophoto(
        frames, out, spec(server, gsd_m=0.02), lambda done, total, what: seen.append(what)
    )
    task = server.tasks[made.task]
    assert task["images"] == {path.name: path.read_bytes() for path in frames}
    assert {"name": "orthophoto-resolution", "value": 2.0} in task["options"]
    assert {"name": "dsm", "value": True} in task["options"]
    with rasterio.open(out) as ortho:
        assert ortho.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
    assert made.dsm == out.with_name("ortho.dsm.tif")
    assert {"uploading", "running", "completed"} <= set(seen)
    assert sorted(path.name for path in out.parent.iterdir()) == ["ortho.dsm.tif", "ortho.tif"]


def test_a_failing_upload_is_tried_again(server, frames, tmp_path):
    server.fail_upload_of = {"DJI_2.JPG": 2}
    make_orthophoto(frames, tmp_path / "o.tif", spec(server))
    assert len([path for path in server.log if "upload" in path]) == 4


def test_after_a_break_it_goes_on_where_it_was(server, frames, tmp_path):
    out = tmp_path / "o.tif"
    server.fail_upload_of = {"DJI_2.JPG": 99}
    with pytest.raises(ServiceError, match="run the same command again"):
        make_orthophoto(frames, out, spec(server, retries=1))
    assert not out.exists()
    server.fail_upload_of = {}
    server.log.clear()
    made = make_orthophoto(frames, out, spec(server))
    assert made.resumed
    # Neither a new task nor the first frame again.
    assert server.log == [f"/task/new/upload/{made.task}", f"/task/new/commit/{made.task}"]
    assert len(server.tasks) == 1
    assert not state_path(out).exists()


def test_other_frames_do_not_go_on_with_it(server, frames, tmp_path):
    out = tmp_path / "o.tif"
    server.fail_upload_of = {"DJI_2.JPG": 99}
    with pytest.raises(ServiceError):
        make_orthophoto(frames, out, spec(server, retries=0))
    with pytest.raises(InputError, match="belongs to other frames"):
        make_orthophoto(frames[:1], out, spec(server))


def test_a_task_that_fails_says_why(server, frames, tmp_path):
    server.end_as = 30
    with pytest.raises(ServiceError, match=r"failed .*out of memory"):
        make_orthophoto(frames, tmp_path / "o.tif", spec(server))
    assert not state_path(tmp_path / "o.tif").exists()


def test_refusals_and_results_without_orthophoto(server, frames, tmp_path):
    server.refuse = "invalid option"
    with pytest.raises(ServiceError, match="invalid option"):
        make_orthophoto(frames, tmp_path / "o.tif", spec(server))
    server.refuse = None
    server.result = packed(tmp_path, with_ortho=False)
    with pytest.raises(ServiceError, match="holds no odm_orthophoto"):
        make_orthophoto(frames, tmp_path / "o.tif", spec(server))
    with pytest.raises(InputError, match="at most 5"):
        make_orthophoto([frames[0]] * 6, tmp_path / "p.tif", spec(server))


def test_no_server_is_exit_code_3(frames, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)
    arguments = [
        "--engine",
        "nodeodm",
        "--url",
        "http://127.0.0.1:9",
        "--out",
        str(tmp_path / "o.tif"),
    ]
    with pytest.raises(SystemExit) as stopped:
        main(["orthophoto", *map(str, frames), *arguments])
    assert stopped.value.code == 3
    assert "http://127.0.0.1:9" in capsys.readouterr().err


def test_an_address_that_is_none(frames, tmp_path):
    with pytest.raises(InputError, match="http://host:port"):
        make_orthophoto(frames, tmp_path / "o.tif", NodeOdmSpec("localhost:3000"))
