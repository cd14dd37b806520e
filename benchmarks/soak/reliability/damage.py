"""Damaged versions: does `verify` name what is wrong, and does the trainer refuse to read?"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.soak.reliability.forgery import FORGERIES, forge
from benchmarks.soak.reliability.runs import listed, run, table, visible, write_rows
from lope_data.store import verify_version
from lope_train.data import resolve
from lope_train.errors import VersionError

_BY_COMMAND = 5  # of the flips are shown to the command line too, which takes a second each

Harm = Callable[[Path], None]


@dataclass(frozen=True)
class _Seen:
    """What the two halves said of a damaged version."""

    named: list[str]  # where `verify` found something
    refused: bool  # by the trainer


def damage(folder: Path, rows: int, count: int, seed: int) -> Iterator[str]:
    """The tables: `count` flipped bits; every file cut, removed, replaced; things added; forged manifests."""
    source = write_rows(folder / "rows.jsonl", rows, seed)
    store = folder / "store"
    built = run("build", "--source", source, "--name", "n", "--store", store, "--shard-rows", str(-(-rows // 3)))
    assert not built.code, built.err
    version = next(path for path in visible(store) if path.parent.name == "n")
    kept = folder / "kept"
    shutil.copytree(version, kept)
    yield _flips(store, version, kept, count, seed)
    yield _files(version, kept)
    yield _added(version, kept)
    yield _forged(version, kept)


def _look(version: Path) -> _Seen:
    found = [finding.where for finding in verify_version(version, lambda *_: None)[1]]
    try:
        resolve(str(version))
    except VersionError:
        return _Seen(found, True)
    return _Seen(found, False)


def _restore(version: Path, kept: Path) -> None:
    shutil.rmtree(version)
    shutil.copytree(kept, version)


def _names(kept: Path) -> list[str]:
    return sorted(path.relative_to(kept).as_posix() for path in kept.rglob("*") if path.is_file())


def _flips(store: Path, version: Path, kept: Path, count: int, seed: int) -> str:
    draw = random.Random(seed)  # noqa: S311
    names = _names(kept)
    hit = dict.fromkeys(names, 0)
    named = refused = told = 0
    faults = []
    for trial in range(count):
        name = names[trial % len(names)]  # each file as often; most bytes are those of two
        data = bytearray((kept / name).read_bytes())
        place, bit = draw.randrange(len(data)), draw.randrange(8)
        data[place] ^= 1 << bit
        (version / name).write_bytes(data)
        seen = _look(version)
        hit[name] += 1
        named += seen.named == [name]
        refused += seen.refused
        if seen.named != [name] or not seen.refused:
            faults.append(f"{name}, byte {place}, bit {bit}: {seen}")
        if trial < _BY_COMMAND:
            done = run("verify", "n", "--store", store)
            told += done.code == 1 and name in done.out
        (version / name).write_bytes((kept / name).read_bytes())
    if told < _BY_COMMAND:
        faults.append(f"the command line named {told} of {_BY_COMMAND}")
    if _look(version) != _Seen([], False):
        faults.append("the restored version is not whole")
    said = {
        "flips; files; least flips of a file": f"{count}; {len(names)}; {min(hit.values())}",
        "`verify` names the file, and only it": named,
        "`python -m lope_data verify` prints the file, exit code 1": f"{told} of {_BY_COMMAND}",
        "the trainer refuses": refused,
    }
    return table("one bit of one byte flipped", said) + listed(faults)


def _files(version: Path, kept: Path) -> str:
    def cut(keep: Callable[[int], int]) -> Harm:
        def harm(path: Path) -> None:
            os.truncate(path, keep(path.stat().st_size))

        return harm

    def as_folder(path: Path) -> None:
        path.unlink()
        path.mkdir()

    def as_full_folder(path: Path) -> None:
        as_folder(path)
        (path / "x").write_bytes(b"x")

    def as_link(path: Path) -> None:
        path.unlink()
        path.symlink_to(kept / path.relative_to(version))

    def grown(path: Path) -> None:
        path.write_bytes(path.read_bytes() + b"\n")

    harms: dict[str, Harm] = {
        "cut short by a byte": cut(lambda size: size - 1),
        "cut to half": cut(lambda size: size // 2),
        "emptied": cut(lambda _: 0),
        "a byte longer": grown,
        "removed": Path.unlink,
        "replaced by an empty folder": as_folder,
        "replaced by a folder with a file": as_full_folder,
        "replaced by a link to a copy": as_link,
    }
    said: dict[str, object] = {}
    faults = []
    names = _names(kept)
    for what, harm in harms.items():
        named = refused = 0
        for name in names:
            harm(version / name)
            seen = _look(version)
            named += name in seen.named
            refused += seen.refused
            if name not in seen.named or not seen.refused:
                faults.append(f"{name} {what}: {seen}")
            _restore(version, kept)
        said[what] = f"named {named} of {len(names)}, refused {refused}"
    return table("each file", said) + listed(faults)


def _added(version: Path, kept: Path) -> str:
    def file(name: str) -> Harm:
        def add(folder: Path) -> None:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(b"x")

        return add

    def link(name: str) -> Harm:
        return lambda folder: (folder / name).symlink_to(kept / "README.md")

    def folder_of(name: str) -> Harm:
        return lambda folder: (folder / name).mkdir()

    additions: dict[str, Harm] = {
        name: file(name)
        for name in ("more.txt", ".hidden", "nested/deep/file", ".hid/file", "edits/more.parquet", "cache-0f.arrow")
    }
    additions |= {"link": link("link"), "edits/link": link("edits/link"), "empty": folder_of("empty")}
    said: dict[str, object] = {}
    faults = []
    for name, add in additions.items():
        add(version)
        seen = _look(version)
        said[f"`{name}`"] = f"{'named' if name in seen.named else 'not named'}, {_reads(seen)}"
        if name not in seen.named or not seen.refused:
            faults.append(f"added {name}: {seen}")
        _restore(version, kept)
    return table("added", said) + listed(faults)


def _forged(version: Path, kept: Path) -> str:
    said: dict[str, object] = {}
    faults = []
    for forgery in FORGERIES:
        forge(version, forgery)
        seen = _look(version)
        said[forgery.what] = f"{', '.join(sorted(set(seen.named))) or 'nothing'}; {_reads(seen)}"
        if forgery.must_be_seen and not seen.named:
            faults.append(f"{forgery.what}: not seen by verify")
        _restore(version, kept)
    return table("forged, all hashes made anew", {"**what**": "**where `verify` sees it; the trainer**", **said}) + (
        listed(faults)
    )


def _reads(seen: _Seen) -> str:
    return "refused" if seen.refused else "read"
