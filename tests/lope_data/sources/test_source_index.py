"""What is remembered of sources: believed only while nothing can have changed."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lope_data.sources import SourceIndex, index, open_source
from lope_data.sources.files import file_fingerprint

HOUR = 3_600_000_000_000


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A source that counts as large, an hour after it was written."""
    monkeypatch.setattr(index, "LARGE", 10)
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "a", "label": "x"}\n')
    now = time.time_ns() + HOUR
    monkeypatch.setattr("time.time_ns", lambda: now)
    return path


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were hashed."""
    seen: list[Path] = []

    def counted(path: Path) -> str:
        seen.append(path)
        return file_fingerprint(path)

    monkeypatch.setattr("lope_data.sources.source.file_fingerprint", counted)
    return seen


def opened(path: Path, store: Path) -> str:
    found = open_source(str(path), index=SourceIndex(store))
    found.remember()
    return found.fingerprint


def test_a_large_source_is_hashed_once(source: Path, tmp_path: Path, hashed: list[Path]) -> None:
    first = opened(source, tmp_path / "store")
    assert opened(source, tmp_path / "store") == first
    assert len(hashed) == 1
    assert [path.suffix for path in (tmp_path / "store" / ".sources").iterdir()] == [".json"]


def test_a_small_source_is_hashed_again(
    source: Path, tmp_path: Path, hashed: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "LARGE", 50_000_000)
    assert opened(source, tmp_path / "store") == opened(source, tmp_path / "store")
    assert len(hashed) == 2


def rewrite(path: Path) -> None:
    path.write_text(path.read_text().replace("x", "y"))


def rewrite_with_its_time(path: Path) -> None:
    before = path.stat()
    rewrite(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # its ctime still tells


def replace(path: Path) -> None:
    before = path.stat()
    other = path.with_suffix(".new")
    other.write_text(path.read_text().replace("x", "y"))
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)


def relink(path: Path) -> None:
    other = path.with_suffix(".new")
    path.rename(other)
    path.symlink_to(other)


@pytest.mark.parametrize("change", [rewrite, rewrite_with_its_time, replace, relink])
def test_a_source_that_changed(
    source: Path, tmp_path: Path, hashed: list[Path], change: Callable[[Path], None]
) -> None:
    first = opened(source, tmp_path / "store")
    change(source)
    assert (opened(source, tmp_path / "store") == first) == (change is relink)
    assert len(hashed) == 2


@pytest.mark.parametrize("clock", [0, 1_000_000_000, -HOUR])
def test_a_source_that_had_just_been_written(
    source: Path, tmp_path: Path, hashed: list[Path], monkeypatch: pytest.MonkeyPatch, clock: int
) -> None:
    """Within the coarseness of a file system's times, or by a clock that went back, a record is not believed."""
    written = source.stat().st_ctime_ns
    monkeypatch.setattr("time.time_ns", lambda: written + clock)
    opened(source, tmp_path / "store")
    opened(source, tmp_path / "store")
    assert len(hashed) == 2


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"files": 5, "fingerprint": "x"}', "\xff"])
def test_a_damaged_record(source: Path, tmp_path: Path, hashed: list[Path], content: str) -> None:
    first = opened(source, tmp_path / "store")
    (record,) = (tmp_path / "store" / ".sources").iterdir()
    record.write_text(content)
    assert SourceIndex(tmp_path / "store").find(first) is None
    assert opened(source, tmp_path / "store") == first
    assert len(hashed) == 2
    assert json.loads(record.read_text())["fingerprint"] == first


def test_a_store_that_cannot_be_written_to(source: Path, tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file")
    assert opened(source, tmp_path / "store") == open_source(str(source)).fingerprint


def test_where_a_source_was(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    known = SourceIndex(tmp_path / "store")
    for name in ("rows.jsonl", "sample"):
        found = open_source(name, index=known)
        assert known.find(found.fingerprint) is None
        found.remember()
        assert known.find(found.fingerprint) == (name if name == "sample" else str(source))
    rewrite(source)
    assert known.find(open_source("rows.jsonl").fingerprint) is None


def test_a_build_remembers_and_a_refused_one_does_not(lope_data: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"txt": "a"}\n')
    assert lope_data("build", "--source", "rows.jsonl").code == 2
    assert not (tmp_path / "lope-store").exists()
    (tmp_path / "rows.jsonl").write_text("".join(f'{{"text": "some text {i}", "label": "x"}}\n' for i in range(9)))
    assert lope_data("build", "--source", "rows.jsonl", "--mix", "char=1", "--ratio", "0.5").code == 0
    found = open_source("rows.jsonl")
    assert SourceIndex(tmp_path / "lope-store").find(found.fingerprint) == str(tmp_path / "rows.jsonl")
