"""Stores in odd places, under odd names, with odd things in them; and a clock that jumps."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from unittest.mock import patch

from benchmarks.soak.reliability.runs import Run, Running, digests, listed, run, table, write_rows, wrong
from lope_data.sources import SourceIndex, open_source

_ROWS = 60
_YEAR = 365 * 86_400 * 10**9  # nanoseconds


def odd_places(folder: Path, seed: int) -> str:
    """A table of what happened in each of them."""
    source = write_rows(folder / "few.jsonl", _ROWS, seed)
    store = folder / "ordinary"
    run(*_build(source, store))
    expected = digests(store)
    said: dict[str, object] = {}
    faults: list[str] = []

    def expect(what: str, done: Run, code: int, where: Path | None = None, words: str = "") -> None:
        last = done.err.strip().splitlines()[-1] if done.code and done.err.strip() else ""
        said[what] = f"{done.code} {last.replace(str(folder), '')}".replace("|", "\\|")
        if done.code != code or "Traceback" in done.err or "Errno" in done.err or words not in done.err:
            faults.append(f"{what}: exit code {done.code}, not {code}: {done.err[-300:]}")
        if where is not None:
            faults.extend(f"{what}: {fault}" for fault in wrong(where, expected))

    odd = folder / "a store, näive 数据 'quoted' \u202e x"
    expect("spaces, Unicode, quotes: build", run(*_build(source, odd)), 0, odd)
    expect("the same: verify --replay", run("verify", "n", "--replay", "--store", odd), 0)
    expect("the same: tag", run("tag", "n", "paper", "--store", odd), 0)
    expect("the same: gc", run("gc", "--store", odd), 0, odd)
    line = folder / "two\nlines"
    expect("a line break: build", run(*_build(source, line)), 0, line)

    (folder / "file").write_text("x")
    expect("the store is a file", run(*_build(source, folder / "file")), 2)
    (folder / "real").mkdir()
    (folder / "linked").symlink_to(folder / "real")
    expect("the store is a link to a folder", run(*_build(source, folder / "linked")), 0, folder / "linked")
    expect("the store is a link to nothing", _linked_to_nothing(folder, source), 2)
    for what, spoil, code, words in _SPOILED:
        place = folder / "spoiled"
        shutil.copytree(store, place)
        spoil(place)
        expect(what, run(*_build(source, place)), code, place if code == 0 and not words else None, words)
        shutil.rmtree(place)
    expect("no HOME", run(*_build(source, folder / "homeless"), env={"HOME": ""}), 0, folder / "homeless")
    nowhere = {"TMPDIR": "/nonexistent", "TEMP": "/nonexistent", "TMP": "/nonexistent"}
    expect("no TMPDIR: build", run(*_build(source, folder / "tmpless"), env=nowhere), 0, folder / "tmpless")
    gone = folder / "gone"
    gone.mkdir()

    def leave() -> None:
        os.chdir(gone)
        gone.rmdir()

    leaving = Running(*_build(source, folder / "left"), prepare=leave)
    expect("the working folder is gone, all paths absolute", leaving.wait(), 0, folder / "left")
    faults += _clock(folder, seed, said)
    return table("odd places: exit code and error", said) + listed(faults)


def _build(source: Path, store: Path) -> list[str | Path]:
    return ["build", "--source", source, "--name", "n", "--ratio", "0.2", "--store", store, "--json"]


def _linked_to_nothing(folder: Path, source: Path) -> Run:
    (folder / "dangling").symlink_to(folder / "nothing")
    return run(*_build(source, folder / "dangling"))


def _latest(store: Path) -> Path:
    return store / "n" / "refs" / "latest"


def _linked_name(store: Path) -> None:
    (store / "n").rename(store.parent / "n-elsewhere")
    (store / "n").symlink_to(store.parent / "n-elsewhere")


def _linked_ref(store: Path) -> None:
    _latest(store).unlink()
    _latest(store).symlink_to(store.parent / "file")


def _folder_ref(store: Path) -> None:
    _latest(store).unlink()
    (_latest(store) / "x").mkdir(parents=True)


def _linked_refs(store: Path) -> None:
    shutil.rmtree(_latest(store).parent)
    (store.parent / "refs-elsewhere").mkdir(exist_ok=True)
    _latest(store).parent.symlink_to(store.parent / "refs-elsewhere")


def _linked_version(store: Path) -> None:
    version = next(path for path in (store / "n").iterdir() if path.name != "refs")
    shutil.copytree(version, store.parent / "v-elsewhere")
    shutil.rmtree(version)
    version.symlink_to(store.parent / "v-elsewhere")


def _empty_version(store: Path) -> None:
    version = next(path for path in (store / "n").iterdir() if path.name != "refs")
    shutil.rmtree(version)
    version.mkdir()


_SPOILED: tuple[tuple[str, Callable[[Path], object], int, str], ...] = (
    ("a dataset's folder is a link", _linked_name, 2, "is a link"),
    ("`latest` is a link", _linked_ref, 0, ""),
    ("`latest` is bytes", lambda store: _latest(store).write_bytes(bytes(range(256)) * 100), 0, ""),
    ("`latest` is empty", lambda store: _latest(store).write_bytes(b""), 0, ""),
    ("`latest` is a folder (a notice)", _folder_ref, 0, "cannot set n@latest"),
    ("`refs` is a link (a notice)", _linked_refs, 0, "is a link"),
    ("a version is a link", _linked_version, 2, ""),
    ("a version's folder is empty", _empty_version, 0, ""),
)


def _clock(folder: Path, seed: int, said: dict[str, object]) -> list[str]:
    """Sources that change while the clock, or who writes them, lies about the time."""
    source = write_rows(folder / "clock.jsonl", _ROWS, seed)
    index = SourceIndex(folder / "clock")
    stale = trials = 0
    with patch("lope_data.sources.index.LARGE", 0):  # so that the index is asked for every source
        for jump in (0, _YEAR, -_YEAR, 50 * _YEAR):
            for mtime in (None, 0, _YEAR, time.time_ns() + _YEAR):
                if mtime is not None:
                    os.utime(source, ns=(mtime, mtime))
                with _jumped(jump):
                    opened = open_source(str(source), index=index)
                    opened.remember()
                _change(source)
                with _jumped(-jump):
                    stale += open_source(str(source), index=index).fingerprint == opened.fingerprint
                trials += 1
    said["sources changed under a jumping clock, size and mtime kept: trials; stale fingerprints"] = (
        f"{trials}; {stale}"
    )
    return [f"{stale} stale fingerprints"] if stale else []


def _jumped(nanoseconds: int) -> AbstractContextManager[object]:
    now = time.time_ns() + nanoseconds
    return patch("time.time_ns", lambda: now)


def _change(source: Path) -> None:
    """One byte, with the size and the time of modification as before."""
    before = source.stat()
    data = bytearray(source.read_bytes())
    data[20] = ord("a") + (data[20] + 1) % 26
    source.write_bytes(data)
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))
