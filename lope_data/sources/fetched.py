"""Sources that can be read once: standard input, pipes, and files by URL. They are first copied to the disk, whole.

The copy lies in the store, beside the notes on sources, or where temporary files do. It goes when what was opened goes.
"""

from __future__ import annotations

import re
import shutil
import stat
import sys
import tempfile
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

from lope_common.progress import Progress
from lope_data.errors import SourceError
from lope_data.sources.files import check_kind, file_fingerprint, is_known, read_files
from lope_data.sources.found import Found, Source
from lope_data.sources.index import SCRATCH, Place, SourceIndex
from lope_data.sources.naming import file_name
from lope_data.sources.reading import Reading
from lope_data.sources.urls import Address, download

if TYPE_CHECKING:
    from lope_data.sources.part import Part, Task

STDIN = "standard input"
_STDIN = ("-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0")
_HANDLE = re.compile(r"/(?:dev|proc/self)/fd/\d+")  # as shells pass <(command)
_BLOCK = 1 << 20


def is_stream(source: str, path: Path) -> bool:
    """Whether a source is standard input or a pipe: one with a name, or one that a shell has put in its place."""
    if source in _STDIN or _HANDLE.fullmatch(source):
        return True
    try:
        return stat.S_ISFIFO(path.stat().st_mode)
    except (OSError, ValueError):  # who reads it as a file says what is wrong
        return False


def stream(source: str, path: Path, reading: Reading, index: SourceIndex | None, progress: Progress) -> Found:
    """What comes through standard input or a pipe: JSON lines, or what the suffix of the pipe's name says; with a
    pattern, lines of text. Where it came from is not remembered, since it cannot be read again.
    """
    suffix = ".jsonl" if reading.pattern is None else ".txt"
    if source in _STDIN:
        where, name, file, place = STDIN, "stdin", f"stdin{suffix}", STDIN
    elif _HANDLE.fullmatch(source):
        where, name, file, place = source, "pipe", f"pipe{suffix}", "a pipe"  # whatever number it has this time
    else:
        file = path.name if is_known(path) else path.stem + suffix
        where, name, place = str(path), file_name(path.with_name(file)), str(path.absolute())
    _check_kind(Path(file), where, reading)

    def copy(to: Path) -> None:
        done = 0
        progress(f"read {where}", done, 0)
        with _standard_input() if source in _STDIN else _opened(path, where) as data, _written(to, where) as out:
            while block := data.read(_BLOCK):
                out.write(block)
                done += len(block)
                progress(f"read {where}", done, 0)

    def open_(_: str | None, reading: Reading) -> Source:
        fingerprint, tasks = _fetched(where, file, reading, index, copy)
        return Source(name, where, fingerprint, reading, Place(place), tasks, None)

    return Found(where, open_)


def by_url(source: str, reading: Reading, index: SourceIndex | None, progress: Progress) -> Found:
    """A file by its URL. It is remembered without what may be secret, a query or a password.

    Raises:
        SourceError: it is not of a kind that can be read, or a library for it is missing.
    """
    address = Address.of(source)
    where = address.shown
    _check_kind(address.path, where, reading)

    def copy(to: Path) -> None:
        download(address, to, partial(progress, f"download {where}"))

    def open_(_: str | None, reading: Reading) -> Source:
        fingerprint, tasks = _fetched(where, address.path.name, reading, index, copy)
        return Source(file_name(address.path), where, fingerprint, reading, Place(where), tasks, index)

    return Found(where, open_)


def _check_kind(path: Path, where: str, reading: Reading) -> None:
    try:
        check_kind(path, reading)
    except SourceError as error:
        raise SourceError(str(error).replace(str(path), where, 1)) from error


def _fetched(
    where: str, name: str, reading: Reading, index: SourceIndex | None, copy: Callable[[Path], None]
) -> tuple[str, Callable[[], Iterator[Task]]]:
    """The fingerprint of a copy that is made now, and what reads it. The copy stays while that is held.

    Args:
        name: of the copy, whose suffix says of what kind it is.
        copy: makes it.
    """
    folder = _folder(index)
    file = folder / name

    def named(task: Task) -> Part:
        with _about(file, where, folder):
            return replace(task(), where=where)

    def tasks() -> Iterator[Task]:
        with _about(file, where, folder):
            for task in read_files([file], reading):
                yield partial(named, task)

    weakref.finalize(tasks, _remove, folder)
    with _about(file, where, folder):
        copy(file)
        if file.stat().st_size == 0:
            raise SourceError(f"{where}: is empty")
        return file_fingerprint(file), tasks


@contextmanager
def _about(file: Path, where: str, folder: Path) -> Iterator[None]:
    """Errors speak of the source and not of its copy, which goes with them."""
    try:
        yield
    except SourceError as error:
        _remove(folder)
        raise SourceError(str(error).replace(str(file), where)) from error
    except BaseException:
        _remove(folder)
        raise


def _folder(index: SourceIndex | None) -> Path:
    """A new folder, in the store if it can be written to."""
    if index is not None and (scratch := index.scratch()) is not None:
        return scratch
    return Path(tempfile.mkdtemp(prefix="lope-source-"))


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    if folder.name.startswith(SCRATCH):
        with suppress(OSError):  # unless something else is there
            folder.parent.rmdir()
            folder.parent.parent.rmdir()


@contextmanager
def _written(to: Path, where: str) -> Iterator[IO[bytes]]:
    try:
        with to.open("wb") as file:
            yield file
    except OSError as error:
        raise SourceError(f"{where}: cannot be kept in {to.parent.parent} ({error.strerror or error})") from error


@contextmanager
def _opened(path: Path, where: str) -> Iterator[IO[bytes]]:
    """A pipe; opening it waits for somebody who writes."""
    with path.open("rb") as file:
        _check(file, where)
        yield file


@contextmanager
def _standard_input() -> Iterator[IO[bytes]]:
    file = getattr(sys.stdin, "buffer", None)
    if file is None:
        raise SourceError(f"{STDIN}: this process has none")
    _check(file, STDIN)
    yield file


def _check(file: IO[bytes], where: str) -> None:
    if file.isatty():
        raise SourceError(
            f"{where} is a terminal; give rows on it, as in: cat FILE | python -m lope_data build --source -"
        )
