"""The text of a file in chunks of whole lines, or of whole items of a JSON array, for several threads to read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lope_data.errors import SourceError
from lope_data.sources.records import line_ends
from lope_data.sources.text import COMPRESSIONS, blocks, changed, check_utf8, marked

SIZE = 1 << 20  # bytes of text in a chunk, as a rule; some rows of it are objects of Python's at a time
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Chunk:
    """Some of a file's text.

    Attributes:
        data: in UTF-8, unchecked where it is `raw`.
        line: the number of its first line.
        place: where it begins in the file, in bytes.
        ends: how many lines end in it.
        raw: whether these are the file's own bytes, which may be read again.
    """

    path: Path
    data: bytes
    line: int
    place: int
    ends: int
    raw: bool

    def check(self) -> None:
        """Raises NotTextError: it is no UTF-8; says where."""
        if self.raw:
            check_utf8(self.path, self.data, self.place)

    def line_at(self, place: int) -> int:
        """The number of the line that a byte of the chunk is on."""
        return self.line + line_ends(self.data[:place])


def read_again(path: Path, place: int, size: int) -> bytes:
    """Bytes of a file. Raises SourceError: there are fewer now."""
    with path.open("rb") as file:
        file.seek(place)
        data = file.read(size)
    if len(data) < size:
        raise changed(path)
    return data


def line_chunks(path: Path, encoding: str | None) -> Iterator[Chunk]:
    """All of a file.

    Raises:
        NotTextError: bytes that are not in the encoding, where that is not UTF-8.
        OSError: the file cannot be read, or unpacked.
    """
    raw, pieces = _pieces(path, encoding)
    held: list[bytes] = []
    line, place = 1, 0
    for data in pieces:
        if not place and not held and raw and data.startswith(_BOM):
            data, place = data[len(_BOM) :], len(_BOM)
        cut = data.rfind(b"\n") + 1
        if cut:
            whole = b"".join([*held, data[:cut]])
            ends = line_ends(whole)
            yield Chunk(path, whole, line, place, ends, raw)
            line, place, held = line + ends, place + len(whole), []
        if cut < len(data):
            held.append(data[cut:])
    if held:
        whole = b"".join(held)
        yield Chunk(path, whole, line, place, line_ends(whole), raw)


def item_chunks(path: Path, encoding: str | None) -> Iterator[Chunk]:
    """The inside of a JSON array that is all of a file: items with commas between them.

    Raises:
        SourceError: the array does not end, or something else comes after it.
        NotTextError, OSError: as `line_chunks`.
    """
    raw, pieces = _pieces(path, encoding)
    state = np.zeros(3, np.int64)
    held: list[bytes] = []  # of the chunk that has begun
    line, place, begun, items = 1, 0, False, False
    for read in pieces:
        data = read
        if not begun:
            cut = data.find(b"[") + 1  # what is before it is blank, or a byte-order mark
            begun = cut > 0
            skipped = data[:cut] if begun else data
            line, place, data = line + line_ends(skipped), place + len(skipped), data[len(skipped) :]
            if not begun:
                continue
            if len(read) < SIZE:  # all that is left
                inside, bracket, rest = data.rpartition(b"]")
                if not bracket or rest.strip():
                    raise _no_end(path, line + line_ends(data))
                if inside.strip():
                    yield Chunk(path, inside, line, place, line_ends(inside), raw)
                return
        if state[0] < 0:
            _check_end(path, data)
            continue
        cut = _top_level(data, state)
        if cut < 0:
            held.append(data)
            continue
        whole = b"".join([*held, data[:cut]])
        ends, ended = line_ends(whole), state[0] < 0
        if ended and data[cut : cut + 1] != b"]":
            raise SourceError(f"{path}, line {line + ends}: not valid JSON (a bracket too many)")
        if not ended or items or whole.strip():
            yield Chunk(path, whole, line, place, ends, raw)
            items = True
        line, place, held = line + ends, place + len(whole) + 1, [data[cut + 1 :]]
        if ended:
            _check_end(path, held[0])
    if state[0] >= 0:
        whole = b"".join(held)
        if whole.strip():  # something in it may be why no end was seen
            yield Chunk(path, whole, line, place, line_ends(whole), raw)
        raise _no_end(path, line + line_ends(whole))


def _no_end(path: Path, line: int) -> SourceError:
    return SourceError(f"{path}, line {line}: not valid JSON (the array does not end, or more comes after it)")


def _top_level(data: bytes, state: npt.NDArray[np.int64]) -> int:
    """The kernel, which is loaded for long files only."""
    from lope_data.text.kernels import top_level

    return int(top_level(np.frombuffer(data, np.uint8), state))


def _check_end(path: Path, rest: bytes) -> None:
    if rest.strip():
        raise SourceError(f"{path}: not valid JSON (something comes after the array)")


def _pieces(path: Path, encoding: str | None) -> tuple[bool, Iterator[bytes]]:
    """Whether they are the file's own bytes; and its text."""
    encoding = encoding or marked(path)
    if encoding == "utf-8" and path.suffix.lower() not in COMPRESSIONS:
        return True, _read(path)
    return False, _joined(blocks(path, encoding))


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while data := file.read(SIZE):
            yield data


def _joined(pieces: Iterator[bytes]) -> Iterator[bytes]:
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size >= SIZE:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)
