"""The text of a file as valid UTF-8, block by block, whatever its compression and encoding."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

COMPRESSIONS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}
_BLOCK = 1 << 17  # larger ones are given back to the system and asked for again, which costs more than all else


class NotTextError(ValueError):
    """Bytes that the encoding does not know; says where they are."""


def suffix_of(path: Path) -> str:
    """What tells the kind of a file, lower-case: `.jsonl`, `.csv.gz`."""
    last = path.suffix.lower()
    return Path(path.stem).suffix.lower() + last if last in COMPRESSIONS else last


def blocks(path: Path, encoding: str = "utf-8") -> Iterator[bytes]:
    """The text of a file in UTF-8 without a byte-order mark, in blocks of some MiB.

    Raises:
        NotTextError: bytes that are not in the encoding.
        OSError: the file cannot be read, or unpacked.
    """
    utf8 = encoding == "utf-8"  # whose blocks are only checked, as a rule
    decoder = codecs.getincrementaldecoder("utf-8-sig" if utf8 else encoding)()
    offset = 0
    with opened(path) as file:
        while True:
            raw = file.read(_BLOCK)
            pending = utf8 and decoder.getstate()[0]
            if utf8 and offset and not pending and raw and raw.isascii():
                block = raw
            else:
                try:
                    text = decoder.decode(raw, final=not raw)
                    whole = utf8 and offset and not pending and not decoder.getstate()[0]
                    block = raw if whole else text.encode()
                except UnicodeDecodeError as error:
                    place = offset - (len(error.object) - len(raw)) + error.start
                    raise not_text(path, place, error.object[error.start], encoding) from error
                except UnicodeError as error:  # codecs with rules of their own, a surrogate alone
                    raise NotTextError(f"not {encoding}: {error}") from error
            offset += len(raw)
            if block:
                yield block
            if not raw:
                return


def line_blocks(path: Path, encoding: str = "utf-8") -> Iterator[tuple[int, list[bytes]]]:
    """Lines without their ends, many at a time, and the number of the first, counted from 1."""
    number, pieces = 1, [b""]
    for block in blocks(path, encoding):
        cut = block.rfind(b"\n") + 1
        if cut:
            lines = b"".join([*pieces, block[:cut]]).splitlines()  # of bytes: at \n, \r\n and \r only
            yield number, lines
            number += len(lines)
            pieces = []
        pieces.append(block[cut:])
    if rest := b"".join(pieces).splitlines():
        yield number, rest


class TextFile(io.RawIOBase):
    """The blocks of a file, and bytes put after them, as a file that Arrow reads."""

    def __init__(self, path: Path, encoding: str, after: bytes = b"") -> None:
        self._blocks = blocks(path, encoding)
        self._after = after
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """As many bytes as asked, unless the file ends: Arrow takes what it gets for a block."""
        pieces = []
        while size:
            if not self._rest:
                block = next(self._blocks, None)
                if block is None:
                    block, self._after = self._after, b""
                if not block:
                    break
                self._rest = memoryview(block)
            taken = self._rest[:size] if size > 0 else self._rest
            self._rest = self._rest[len(taken) :]
            size -= len(taken) if size > 0 else 0
            pieces.append(taken)
        return b"".join(pieces)


def opened(path: Path) -> IO[bytes]:
    """The bytes of a file, unpacked where it is compressed."""
    compression = COMPRESSIONS.get(path.suffix.lower())
    if compression is None:
        return path.open("rb")
    import pyarrow as pa

    # a stream of Arrow's, which has `read` and closes what it reads from
    return cast("IO[bytes]", pa.CompressedInputStream(pa.PythonFile(path.open("rb"), mode="r"), compression))


def check_utf8(path: Path, data: bytes, place: int) -> None:
    """Raises NotTextError: some of a file's bytes are no UTF-8. They begin and end with a character, at `place`."""
    if not data.isascii():
        try:
            data.decode()
        except UnicodeDecodeError as error:
            raise not_text(path, place + error.start, data[error.start], "utf-8") from error


def not_text(path: Path, place: int, byte: int, encoding: str) -> NotTextError:
    """What to say of a byte that is not in the encoding, with its line."""
    line, left = 1, place
    with opened(path) as file:
        while left and (raw := file.read(min(left, _BLOCK))):
            line += raw.count(b"\n")
            left -= len(raw)
    return NotTextError(
        f"line {line}, byte {place} of the text: {byte:#04x} is not {encoding}; name the file's encoding, "
        f"as in --encoding {'latin-1' if encoding != 'iso8859-1' else 'utf-8'}"
    )


def first_line(error: BaseException) -> str:
    """The first line of an error's message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
