"""Stores that cannot be written to, or not for long: full, read-only, badly named, badly placed, with a jumping clock.

Needs to be root, to mount file systems in memory; what cannot be mounted is said to be left out.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.soak.reliability.places import odd_places
from benchmarks.soak.reliability.runs import Run, Running, digests, leftovers, listed, run, table, write_rows, wrong


def disk(folder: Path, rows: int, count: int, seed: int) -> Iterator[str]:
    """The tables: disks of `count` sizes, files of as many, a read-only store, odd places."""
    source = write_rows(folder / "rows.jsonl", rows, seed)
    store = folder / "roomy"
    done = run(*_build(source, store))
    assert not done.code, done.err
    expected = digests(store)
    need = sum(path.stat().st_size for path in store.rglob("*") if path.is_file())
    largest = max(path.stat().st_size for path in store.rglob("*.arrow"))
    yield _full(folder, source, expected, [need * (i + 1) // count for i in range(count)])
    yield _large(folder, source, expected, [largest * (i + 1) // (count // 2) for i in range(count // 2)])
    yield _read_only(folder, source, expected)
    yield odd_places(folder, seed)


def _build(source: Path, store: Path) -> list[str | Path]:
    return ["build", "--source", source, "--name", "n", "--ratio", "0.2", "--store", store, "--json"]


def _full(folder: Path, source: Path, expected: dict[str, str], sizes: list[int]) -> str:
    faults: list[str] = []
    stages: Counter[str] = Counter()
    for size in sizes:
        with mounted(folder / "small", size) as there:
            if not there:
                return "left out: no file system could be mounted"
            store = folder / "small" / "store"
            done = run(*_build(source, store))
            faults += _unclear(f"{size} bytes", done, store)
            stages[_stage(done, store)] += 1
            subprocess.run(["mount", "-o", "remount,size=1g", folder / "small"], check=True)
            again = run(*_build(source, store))
            faults += [f"{size} bytes, then room: {what}" for what in wrong(store, expected)]
            faults += [again.err] if again.code else []
    said = {
        f"disks from {sizes[0] / 1e6:.1f} to {sizes[-1] / 1e6:.1f} MB; where they were full": (
            f"{len(sizes)}; " + ", ".join(f"{stage} {number}" for stage, number in stages.items())
        ),
        "faults (unclear errors, half versions, leftovers, then with room other digests)": len(faults),
    }
    return table("full disk", said) + listed(faults)


def _large(folder: Path, source: Path, expected: dict[str, str], sizes: list[int]) -> str:
    """Where no file may be larger than so many bytes."""
    faults: list[str] = []
    stages: Counter[str] = Counter()
    store = folder / "limited"
    for size in sizes:
        limits = (size, size)
        done = Running(*_build(source, store), prepare=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limits)).wait()  # noqa: B023
        faults += _unclear(f"files of {size} bytes", done, store)
        stages[_stage(done, store)] += 1
        again = run(*_build(source, store))
        faults += [f"files of {size} bytes, then any: {what}" for what in wrong(store, expected)]
        faults += [again.err] if again.code else []
        shutil.rmtree(store, ignore_errors=True)
    said = {
        f"limits from {sizes[0] / 1e6:.2f} to {sizes[-1] / 1e6:.2f} MB; where they were met": (
            f"{len(sizes)}; " + ", ".join(f"{stage} {number}" for stage, number in stages.items())
        ),
        "faults": len(faults),
    }
    return table("limit on a file's size", said) + listed(faults)


def _stage(done: Run, store: Path) -> str:
    """Where a build stopped."""
    names = {ref.partition("@")[0] for ref in digests(store)}
    return "none" if not done.code else f"after {'and '.join(sorted(names)) or 'nothing'}"


def _unclear(where: str, done: Run, store: Path) -> list[str]:
    """What a failed build has said and left otherwise than it should."""
    faults = [f"{where}: {what}" for what in wrong(store)]
    faults += [f"{where}: left: {path}" for path in leftovers(store)]
    clear = done.code == 2 and done.err.strip().splitlines()[-1].startswith("error: cannot ")
    if done.code and (not clear or "Traceback" in done.err):
        faults.append(f"{where}: exit code {done.code}: {done.err[-300:]}")
    return faults


def _read_only(folder: Path, source: Path, expected: dict[str, str]) -> str:
    place = folder / "kept"
    with mounted(place, 2**30) as there:
        if not there:
            return "left out: no file system could be mounted"
        store = place / "store"
        run(*_build(source, store))
        run(*_build(source, store), "--seed", "1")  # now this is the latest
        moved = folder / "elsewhere"
        moved.mkdir()
        shutil.copyfile(source, moved / source.name)
        subprocess.run(["mount", "-o", "remount,ro", place], check=True)
        version = next(ref for ref in expected if ref.startswith("n@"))
        asked: dict[str, tuple[int, tuple[str | Path, ...]]] = {
            "build of the latest version": (0, (*_build(source, store), "--seed", "1")),
            "build of an older version": (0, _tuple(_build(source, store))),
            "build from a copy of the source": (0, _tuple(_build(moved / source.name, store))),
            "build of a new version": (2, (*_build(source, store), "--seed", "2")),
            "show": (0, ("show", version, "--store", store)),
            "verify --replay": (0, ("verify", version, "--replay", "--store", store)),
            "tag": (2, ("tag", version, "paper", "--store", store)),
            "tag of `latest`'s dataset, --delete": (2, ("tag", version, "none", "--delete", "--store", store)),
            "gc": (2, ("gc", "--store", store)),
            "gc --dry-run": (0, ("gc", "--dry-run", "--store", store)),
            "list": (0, ("list", "--store", store)),
        }
        said: dict[str, object] = {}
        faults = []
        for what, (code, args) in asked.items():
            done = run(*args)
            last = done.err.strip().splitlines()[-1] if done.code and done.err.strip() else ""
            said[what] = f"{done.code} {last.replace(str(folder), '')}"
            if done.code != code or "Traceback" in done.err or "Errno" in done.err:
                faults.append(f"{what}: exit code {done.code}, not {code}: {done.err[-300:]}")
    return table("read-only store: exit code and error", said) + listed(faults)


def _tuple(args: list[str | Path]) -> tuple[str | Path, ...]:
    return tuple(args)


@contextmanager
def mounted(place: Path, size: int) -> Iterator[bool]:
    """A file system in memory of so many bytes; gives whether it could be mounted."""
    place.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    there = os.geteuid() == 0 and subprocess.run(command, check=False, capture_output=True).returncode == 0
    try:
        yield there
    finally:
        if there:
            subprocess.run(["umount", "--lazy", place], check=True)
