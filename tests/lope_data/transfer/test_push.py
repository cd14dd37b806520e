"""Pushing, to a stand-in for the hub that runs here; the command line in a process of its own, as a user has it."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import datasets
import pytest

from lope_data.store import Store, Version
from lope_data.transfer.exporting import export
from lope_data.transfer.importing import import_folder

TOKEN = "hf_stand_in"  # noqa: S105, opens nothing


class Hub(ThreadingHTTPServer):
    """A stand-in for the hub: the few endpoints that an upload asks, keeping what it is sent.

    `repos`: id -> path -> bytes; `private`: which were made so; `commits`: their messages.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repos: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool | None] = {}
        self.commits: list[str] = []
        self.large: dict[str, bytes] = {}

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: Any) -> None:
        pass

    def _answer(self, answer: Any, status: int = 200) -> None:
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _refused(self) -> bool:
        if self.headers.get("Authorization") == f"Bearer {TOKEN}":
            return False
        self._answer({"error": "Invalid username or password."}, 401)
        return True

    def do_GET(self) -> None:
        if self._refused():
            return
        repo = "/".join(self.path.split("?")[0].split("/")[3:5])
        if repo not in self.server.repos:
            self._answer({"error": "Repository not found"}, 404)
        elif "/tree/" in self.path:
            files = self.server.repos[repo].items()
            self._answer([{"type": "file", "path": path, "size": len(data), "oid": "0" * 40} for path, data in files])
        else:
            names = [{"rfilename": path} for path in self.server.repos[repo]]
            self._answer({"id": repo, "sha": "0" * 40, "siblings": names, "private": False, "tags": []})

    def do_PUT(self) -> None:
        data = self._body()
        assert hashlib.sha256(data).hexdigest() == self.path.split("/")[-1]
        self.server.large[hashlib.sha256(data).hexdigest()] = data
        self._answer({})

    def do_POST(self) -> None:
        data = self._body()
        if self._refused():
            return
        path = self.path.split("?")[0]
        if path == "/api/repos/create":
            asked = json.loads(data)
            repo = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
            self.server.private.setdefault(repo, asked.get("private", asked.get("visibility") == "private"))
            if repo in self.server.repos:
                self._answer({"error": "You already created this dataset repo", "url": self._url(repo)}, 409)
                return
            self.server.repos[repo] = {}
            self._answer({"url": self._url(repo), "name": repo})
        elif path == "/api/validate-yaml":
            self._answer({"errors": [], "warnings": []})
        elif "/preupload/" in path:
            self._answer({"files": [self._mode(file) for file in json.loads(data)["files"]]})
        elif path.endswith("/info/lfs/objects/batch"):
            found = [self._upload(entry) for entry in json.loads(data)["objects"]]
            self._answer({"transfer": "basic", "objects": found})
        elif "/commit/" in path:
            self._commit("/".join(path.split("/")[3:5]), [json.loads(line) for line in data.splitlines()])
        else:
            self._answer({"error": f"no such endpoint here: {path}"}, 404)

    def _url(self, repo: str) -> str:
        return f"{self.server.address}/datasets/{repo}"

    def _mode(self, file: dict[str, Any]) -> dict[str, Any]:
        mode = "lfs" if file["path"].endswith((".parquet", ".arrow")) else "regular"
        return {"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": None}

    def _upload(self, entry: dict[str, Any]) -> dict[str, Any]:
        return entry | {"actions": {"upload": {"href": f"{self.server.address}/large/{entry['oid']}"}}}

    def _commit(self, repo: str, lines: list[dict[str, Any]]) -> None:
        files = self.server.repos[repo]
        for line in lines:
            key, value = line["key"], line["value"]
            if key == "header":
                self.server.commits.append(value["summary"])
            elif key == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif key == "lfsFile":
                files[value["path"]] = self.server.large[value["oid"]]
            elif key == "deletedFile":
                del files[value["path"]]
        self._answer({"commitUrl": f"{self._url(repo)}/commit/1", "commitOid": "1" * 40, "success": True})


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as hub:
        thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield hub
        hub.shutdown()
        thread.join()


@pytest.fixture
def push(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`push(endpoint, REF, HUB_ID, ...)`."""

    def run(endpoint: str, *args: str, token: str | None = TOKEN) -> subprocess.CompletedProcess[str]:
        env = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING"))}
        env |= {"HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(tmp_path / "hf")}
        env |= {"HF_TOKEN": token} if token else {}
        command = [sys.executable, "-m", "lope_data", "push", *args]
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)

    return run


def test_what_is_pushed_can_be_loaded_and_imported(
    hub: Hub,
    push: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: Path,
    golden: Version,
    golden_store: Store,
) -> None:
    done = push(hub.address, "golden", "me/noisy", "--private", "--store", str(golden_store.root))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"{hub.address}/datasets/me/noisy"
    assert TOKEN not in done.stdout + done.stderr
    assert hub.private == {"me/noisy": True}
    assert hub.commits == [f"{golden.ref}, 24 rows"]
    for path, data in hub.repos["me/noisy"].items():
        (tmp_path / "got" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "got" / path).write_bytes(data)
    loaded = datasets.load_dataset(str(tmp_path / "got"), split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded.to_list() == golden.rows.to_pylist()
    edits = datasets.load_dataset(str(tmp_path / "got"), "edits", split="train", cache_dir=str(tmp_path / "cache"))
    assert edits.to_list() == golden.edits.to_pylist()
    version = import_folder(tmp_path / "got", Store(tmp_path / "s"), print, lambda *_: None)
    assert not version.existed
    assert version.manifest.content_digest == golden.manifest.content_digest


def test_pushing_another_version_leaves_nothing_of_the_first(
    hub: Hub, push: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, golden_store: Store
) -> None:
    mine = {"edits/00005-of-00009.parquet": b"old", "rows.jsonl": b"old", "notes.md": b"mine", ".gitattributes": b""}
    hub.repos["me/noisy"] = dict(mine)
    assert push(hub.address, "rows", "me/noisy", "--store", str(golden_store.root)).returncode == 0
    export(golden_store.resolve("rows"), "parquet", tmp_path / "e", lambda *_: None)
    exported = {p.relative_to(tmp_path / "e").as_posix(): p.read_bytes() for p in (tmp_path / "e").rglob("*.*")}
    assert hub.repos["me/noisy"] == exported | {"notes.md": b"mine", ".gitattributes": b""}


def test_a_wrong_token_no_token_and_no_network(
    hub: Hub, push: Callable[..., subprocess.CompletedProcess[str]], golden_store: Store
) -> None:
    for endpoint, token, said in (
        (hub.address, "hf_wrong", "401"),
        (hub.address, None, "set HF_TOKEN"),
        ("http://127.0.0.1:9", TOKEN, "is there a network?"),
    ):
        done = push(endpoint, "golden", "me/noisy", "--store", str(golden_store.root), token=token)
        assert done.returncode == 2
        assert done.stderr.strip().startswith("error: ")
        assert len(done.stderr.strip().splitlines()) == 1
        assert said in done.stderr
        assert "hf_wrong" not in done.stderr
    assert hub.repos == {}
