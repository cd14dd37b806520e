"""Standard input, pipes and URLs: the same version as of these bytes in a file, and one line where that cannot be."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lope_data as library
from lope_data.errors import SourceError
from lope_data.sources import SourceIndex, open_source
from lope_data.store import Store
from tests.lope_data.conftest import Run

ROWS = [{"instruction": f"Name number {i} of the list.", "input": "", "output": f"It is {i}."} for i in range(60)]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
CSV = b"text,label\na good film,pos\na bad film,neg\n"


def parquet() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(ROWS), sink)
    return sink.getvalue()


ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
PACKED = {
    "rows.jsonl": LINES,
    "rows.jsonl.gz": gzip.compress(LINES),
    "rows.jsonl.bz2": bz2.compress(LINES),
    "rows.jsonl.zst": pa.compress(LINES, "zstd", asbytes=True),
    "films.csv": CSV,
    "rows.parquet": parquet(),
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LOPE_STORE", raising=False)
    return tmp_path


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """Puts bytes on standard input."""

    def give(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    return give


@pytest.fixture
def pipe() -> Iterator[Callable[[str, bytes], str]]:
    """Makes a pipe of that name, through which the bytes come."""
    writers = []

    def make(name: str, data: bytes) -> str:
        os.mkfifo(name)
        writers.append(threading.Thread(target=Path(name).write_bytes, args=(data,), daemon=True))
        writers[-1].start()
        return name

    yield make
    for writer in writers:
        writer.join(10)
        assert not writer.is_alive()


class Answers(BaseHTTPRequestHandler):
    """Gives `files`; of /cut/NAME half of what it says, of /404/ and the like that status."""

    files = PACKED

    def do_GET(self) -> None:
        *_, where, name = self.path.partition("?")[0].split("/")
        if where.isdigit():
            self.send_error(int(where))
            return
        data = self.files[name]
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if where == "cut" else data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def fingerprint(name: str, data: bytes) -> str:
    """Of a regular file."""
    Path("regular").mkdir(exist_ok=True)
    (Path("regular") / name).write_bytes(data)
    return open_source(f"regular/{name}").fingerprint


def left() -> list[Path]:
    """Copies that were left somewhere here."""
    return [path for path in Path().rglob("*") if path.name.startswith((".scratch", "lope-source"))]


def test_standard_input_is_the_same_version_as_a_file(lope_data: Callable[..., Run], given: Any) -> None:
    Path("rows.jsonl").write_bytes(LINES)
    given(LINES)
    assert lope_data("preview", "--source", "-").out.endswith("nothing was written\n")
    given(LINES)
    piped = lope_data("build", "--source", "-", "--ratio", "0.2", "--json").json
    assert "say --source" in lope_data("verify", "stdin-hynoise", "--replay").err
    filed = lope_data("build", "--source", "rows.jsonl", "--ratio", "0.2", "--json").json
    assert (piped["version"], piped["content_digest"]) == (filed["version"], filed["content_digest"])
    assert piped["parent"].startswith("stdin@")
    given(LINES)
    assert lope_data("verify", "stdin-hynoise", "--replay", "--source", "-").code == 0
    assert not left()


@pytest.mark.parametrize("name", ["/dev/stdin", "/dev/fd/0", "-"])
def test_standard_input_has_several_names(name: str) -> None:
    process = command("ingest", name, "--json", given=LINES)
    assert json.loads(process.stdout)["name"] == "stdin"


def command(*words: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    start = [sys.executable, "-m", "lope_data", *words]
    return subprocess.run(start, input=given, capture_output=True, timeout=60, env=ENVIRONMENT)


def test_what_a_shell_substitutes() -> None:
    shell = f"{sys.executable} -m lope_data ingest <(printf '%s' \"$ROWS\") --json"
    process = subprocess.run(["bash", "-c", shell], env=ENVIRONMENT | {"ROWS": LINES.decode()}, capture_output=True)
    assert json.loads(process.stdout)["name"] == "pipe"
    assert json.loads(process.stdout)["rows"] == 60


@pytest.mark.parametrize("name", PACKED)
def test_a_pipe_is_read_as_its_name_says(name: str, pipe: Callable[[str, bytes], str], store: Store) -> None:
    opened = open_source(pipe(name, PACKED[name]), index=SourceIndex(store.root))
    assert opened.fingerprint == fingerprint(name, PACKED[name])
    assert opened.name == name.partition(".")[0]
    assert opened.read().to_pylist() == open_source(f"regular/{name}").read().to_pylist()
    del opened
    assert not left()
    assert not store.root.exists()


def test_a_pipe_without_a_suffix_brings_json_lines(lope_data: Callable[..., Run], pipe: Any) -> None:
    assert lope_data("ingest", pipe("rows.fifo", LINES), "--json").json["name"] == "rows"
    assert lope_data("ingest", pipe("train", LINES), "--name", "x", "--json").json["rows"] == 60


def test_a_pattern_reads_lines_of_text(lope_data: Callable[..., Run], given: Any) -> None:
    given(b"pos a good film\nneg a bad film\n")
    pattern = r"(?P<label>\S+) (?P<text>.*)"
    assert (
        lope_data("build", "--source", "-", "--pattern", pattern, "--ratio", "1", "--mix", "char", "--json").json[
            "rows"
        ]
        == 2
    )


@pytest.mark.parametrize("name", ["rows.jsonl.gz", "rows.jsonl.bz2", "rows.jsonl.zst", "rows.parquet"])
@pytest.mark.parametrize("how", ["file", "pipe", "web"])
def test_a_file_that_is_cut_short(name: str, how: str, lope_data: Callable[..., Run], pipe: Any, web: str) -> None:
    data = PACKED[name][: len(PACKED[name]) // 2]
    if how == "pipe":
        source = pipe(name, data)
    elif how == "file":
        Path(name).write_bytes(data)
        source = name
    else:
        source = f"{web}/cut/{name}"
    line = lope_data("ingest", source).refusal
    assert source in line
    assert "it broke off" in line if how == "web" else "cannot be read as" in line
    assert not Path("lope-store").exists()


def test_a_writer_that_dies(lope_data: Callable[..., Run], given: Any) -> None:
    given(LINES[:-20])
    assert lope_data("build", "--source", "-").refusal.startswith("error: standard input, line 60: not valid JSON (")
    assert not Path("lope-store").exists()


def test_nothing_on_standard_input(lope_data: Callable[..., Run], given: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    given(b"")
    assert lope_data("build", "--source", "-").refusal == "error: standard input: is empty"
    monkeypatch.setattr(sys, "stdin", None)
    assert "this process has none" in lope_data("build", "--source", "-").refusal
    assert not Path("lope-store").exists()


def test_a_terminal_is_refused() -> None:
    ours, theirs = os.openpty()
    words = [sys.executable, "-m", "lope_data", "ingest", "-"]
    process = subprocess.run(words, stdin=theirs, capture_output=True, text=True, timeout=60, env=ENVIRONMENT)
    os.close(ours)
    assert process.returncode == 2
    assert process.stderr.endswith("as in: cat FILE | python -m lope_data build --source -\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--split", "train"], "has no splits"),
        (["--split", "all"], "has no splits"),
        (["--revision", "main"], "for a dataset on the hub"),
        (["--quoting", "none"], "standard input: quoting is for .csv"),
    ],
)
def test_what_a_pipe_has_not(words: list[str], said: str, lope_data: Callable[..., Run], given: Any) -> None:
    given(LINES)
    assert said in lope_data("build", "--source", "-", *words).refusal


def test_an_interrupt_leaves_nothing_and_gc_finds_what_a_kill_leaves(lope_data: Callable[..., Run]) -> None:
    for how, code in ((signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)):
        words = [sys.executable, "-m", "lope_data", "build", "--source", "-"]
        ends = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen(words, env=ENVIRONMENT, **ends)
        assert process.stdin is not None
        process.stdin.write(LINES)
        process.stdin.flush()
        until = time.monotonic() + 30
        while not left() and time.monotonic() < until:
            time.sleep(0.05)
        assert left()
        process.send_signal(how)
        process.communicate(timeout=30)
        assert process.returncode == code
        assert bool(left()) == (how == signal.SIGKILL)
    assert "a copy of a source that was being read when its process was killed" in lope_data("gc", "--dry-run").out
    assert left()
    assert lope_data("gc").code == 0
    assert not left()


@pytest.mark.parametrize("name", PACKED)
def test_a_file_from_the_web(name: str, web: str) -> None:
    opened = open_source(f"{web}/data/{name}?token=secret#x")
    assert opened.fingerprint == fingerprint(name, PACKED[name])
    assert opened.name == name.partition(".")[0]
    assert opened.read().to_pylist() == open_source(f"regular/{name}").read().to_pylist()


def test_nothing_secret_is_kept_or_said(lope_data: Callable[..., Run], web: str) -> None:
    url = web.replace("//", "//me:secret@")
    made = lope_data("build", "--source", f"{url}/imdb/rows.jsonl?token=secret", "--ratio", "0.2", "--json")
    assert made.json["parent"].startswith("rows@")
    wrong = ("404/rows.jsonl", "403/rows.jsonl", "500/rows.jsonl", "cut/rows.jsonl", "x/rows.nope", "*.jsonl")
    told = [lope_data("build", "--source", f"{url}/{place}?token=secret").refusal for place in wrong]
    told += [made.out, made.err]
    kept = [path.read_bytes() for path in Path("lope-store").rglob("*") if path.is_file()]
    assert not [text for text in told if "secret" in text]
    assert not [data for data in kept if b"secret" in data]
    assert lope_data("verify", "rows-hynoise", "--replay").code == 0  # it is known where the source is


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("404/rows.jsonl", "there is no such file"),
        ("403/rows.jsonl", "403 Forbidden"),
        ("500/rows.jsonl", "500 Internal Server Error"),
        ("cut/rows.jsonl", "it broke off before its end"),
    ],
)
def test_what_a_server_says(place: str, said: str, web: str, lope_data: Callable[..., Run]) -> None:
    assert lope_data("ingest", f"{web}/{place}").refusal == f"error: {web}/{place}: cannot be downloaded ({said})"
    assert not Path("lope-store").exists()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://127.0.0.1:1/a.jsonl", "cannot be downloaded (Connection refused)"),
        ("http://no-such-host.invalid/a.jsonl", "cannot be downloaded ("),
        ("memory://none/a.jsonl", "there is no such file"),
        ("gs://bucket/a.jsonl", "reading gs:// needs gcsfs, which is missing: pip install gcsfs"),
        ("zip://a.jsonl::https://host/a.zip", "a chain of URLs is not read"),
        ("simplecache::https://host/a.jsonl", "a chain of URLs is not read"),
        ("htps://host/a.jsonl", "htps:// is not read; did you mean 'https'?"),
        ("local:///etc/passwd", "local:// is not read"),
        ("https://host/*.jsonl", "patterns are for folders and hf://"),
        ("https://host/", "names no file"),
        ("https://host/a", "https://host/a: cannot tell the kind of file"),
        ("https://[host/a.jsonl", "not a URL"),
        ("file://host/a.jsonl", "names the machine 'host'"),
    ],
)
def test_urls_that_are_refused(url: str, said: str, lope_data: Callable[..., Run]) -> None:
    assert said in lope_data("ingest", url).refusal
    assert not Path("lope-store").exists()


def test_any_file_system_and_its_folders(lope_data: Callable[..., Run]) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe({"/imdb/train.jsonl": LINES, "/imdb/deep.jsonl/x": b""})
    assert lope_data("ingest", "memory://imdb/train.jsonl", "--json").json["name"] == "imdb-train"
    assert "is a folder" in lope_data("ingest", "memory://imdb/deep.jsonl").refusal


def test_a_file_url_is_that_file(folder: Path, lope_data: Callable[..., Run]) -> None:
    (folder / "my rows.jsonl").write_bytes(LINES)
    assert lope_data("ingest", (folder / "my rows.jsonl").as_uri(), "--json").json["name"] == "my-rows"


def test_who_waits_is_told(pipe: Any, web: str) -> None:
    told: list[tuple[str, int, int]] = []
    open_source(pipe("rows.jsonl", LINES), progress=lambda *one: told.append(one))
    assert (told[0], told[-1]) == (("read rows.jsonl", 0, 0), ("read rows.jsonl", len(LINES), 0))
    open_source(f"{web}/rows.jsonl?token=secret", progress=lambda *one: told.append(one))
    assert told[-1] == (f"download {web}/rows.jsonl", len(LINES), len(LINES))


def test_in_python_a_copy_goes_with_an_error(given: Any) -> None:
    given(LINES[:-20])
    with pytest.raises(SourceError, match="line 60"):
        library.build(source="-")
    assert not left()
