"""Files that are written whole or not at all, and the hashes that say what is in them."""

from __future__ import annotations

import hashlib
import io
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO


def canonical(value: Any) -> bytes:
    """Canonical JSON, which everything that is hashed is written in: UTF-8, sorted keys, no spaces, no NaN, one final
    newline."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode() + b"\n"


def seal(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """A version's manifest with the hash over itself, `manifest_sha256`."""
    body = {key: value for key, value in manifest.items() if key != "manifest_sha256"}
    return body | {"manifest_sha256": hashlib.sha256(canonical(body)).hexdigest()}


def is_sealed(manifest: Mapping[str, Any], data: bytes) -> bool:
    """Whether the bytes are the canonical JSON of the manifest with its right hash: one changed byte is seen."""
    try:
        return canonical(seal(manifest)) == data
    except (ValueError, RecursionError):  # NaN, half a surrogate pair, or too deep: never canonical
        return False


def sha256_of(path: Path) -> str:
    """The sha256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def described(folder: Path, path: str) -> dict[str, Any]:
    """A file as a manifest lists it: path in the folder, size, sha256."""
    with (folder / path).open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return {"path": path, "bytes": os.fstat(file.fileno()).st_size, "sha256": sha256}


class HashedFile(io.RawIOBase):
    """A new file that is hashed as it is written."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=0)
        self._sha256 = hashlib.sha256()
        self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        view = memoryview(data)
        self._sha256.update(view)
        self._size += view.nbytes
        while view.nbytes:
            view = view[self._file.write(view) :]
        return len(data)

    def described(self, path: str) -> dict[str, Any]:
        """What was written, as a manifest lists it."""
        return {"path": path, "bytes": self._size, "sha256": self._sha256.hexdigest()}

    def close(self) -> None:
        self._file.close()
        super().close()


def write_whole(path: Path, content: str | bytes) -> None:
    """Writes a file, or replaces it, in one step: whoever reads it sees the old or the new one, and so do we if this
    fails. A link is replaced, not followed; a device or pipe is written to as it is. Raises OSError."""
    data = content.encode() if isinstance(content, str) else content
    if path.exists() and not path.is_file():
        path.write_bytes(data)
        return
    partial = beside(path)
    try:
        partial.write_bytes(data)
        partial.replace(path)
    finally:
        with suppress(OSError):
            partial.unlink()


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Within the context a folder to write into; it becomes `out` if all goes well, and goes away if not.

    `out` may be an empty folder. Raises OSError where it is in use or cannot be made.
    """
    place = Path(os.path.abspath(out))  # noqa: PTH100  # `.` has no name of its own, and links stay as they are
    scratch = beside(place)
    try:
        scratch.mkdir(parents=True)
        yield scratch
        if place.is_dir() and not place.is_symlink():
            place.rmdir()  # raises where something was put into it meanwhile
        scratch.rename(place)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def new_file(out: Path) -> Iterator[BinaryIO]:
    """Within the context a file to write into; it becomes `out` if all goes well, and goes away if not.

    Raises OSError where it cannot be made, or `out` is there by then.
    """
    scratch = beside(out)
    try:
        scratch.parent.mkdir(parents=True, exist_ok=True)
        with scratch.open("xb") as file:
            yield file
        try:
            out.hardlink_to(scratch)  # a rename would overwrite what was put there meanwhile
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links
            scratch.rename(out)
    finally:
        scratch.unlink(missing_ok=True)


def beside(path: Path) -> Path:
    """A hidden name beside `path` that nobody else uses; not tempfile's, which would be nobody else's to read."""
    short = os.fsencode(path.name)[:100].decode("utf-8", "ignore")  # names are limited in bytes
    return path.with_name(f".{short}-{os.getpid()}-{secrets.token_hex(4)}")
