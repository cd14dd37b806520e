"""The text of a file as valid UTF-8, block by block, whatever its compression and encoding."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from lope_data.errors import SourceError

COMPRESSIONS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}
_BLOCK = 1 << 17  # larger ones are given back to the system and asked for again, which costs more than all else
_HEAD = 4096  # bytes that tell UTF-16 and UTF-32
_MARKS = {  # the longer ones first: that of UTF-32 begins as that of UTF-16
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_OTHERS = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "a zip archive, as workbooks are,",
    b"PAR1": "Parquet",
    b"ARROW1": "Arrow",
}
"""How files begin that are no text."""
_FEW, _MANY, _MOST = 0.02, 0.3, 0.9  # shares of NUL bytes at a place
_LIKELY = {"utf-8": "utf-8", "cp1252": "cp1252", "iso8859-1": "latin-1"}  # by the codec's name, the one to type


class NotTextError(ValueError):
    """Bytes that the encoding does not know; says where they are."""


def suffix_of(path: Path) -> str:
    """What tells the kind of a file, lower-case: `.jsonl`, `.csv.gz`."""
    last = path.suffix.lower()
    return Path(path.stem).suffix.lower() + last if last in COMPRESSIONS else last


def blocks(path: Path, encoding: str | None = None) -> Iterator[bytes]:
    """The text of a file in UTF-8 without a byte-order mark, block by block.

    Args:
        encoding: the file's; None: UTF-8, or UTF-16 or UTF-32 where a byte-order mark says so.

    Raises:
        NotTextError: bytes that are not in the encoding.
        OSError: the file cannot be read, or unpacked.
    """
    encoding = encoding or marked(path)
    utf8 = encoding == "utf-8"  # whose blocks are only checked, as a rule
    decoder = codecs.getincrementaldecoder("utf-8-sig" if utf8 else encoding)()
    offset, begun = 0, not encoding.endswith(("-le", "-be"))
    with opened(path) as file:
        while True:
            raw = file.read(_BLOCK)
            pending = utf8 and decoder.getstate()[0]
            if utf8 and offset and not pending and raw and raw.isascii():
                block = raw
            else:
                try:
                    text = decoder.decode(raw, final=not raw)
                    if not begun and text:
                        text, begun = text.removeprefix("\ufeff"), True  # where the encoding's name says the order
                    whole = utf8 and offset and not pending and not decoder.getstate()[0]
                    block = raw if whole else text.encode()
                except UnicodeDecodeError as error:
                    place = offset - (len(error.object) - len(raw)) + error.start
                    raise not_text(path, place, error.object[error.start :], encoding) from error
                except UnicodeError as error:  # codecs with rules of their own, a surrogate alone
                    raise NotTextError(f"not {encoding}: {error}") from error
            offset += len(raw)
            if block:
                yield block
            if not raw:
                return


def opened(path: Path) -> IO[bytes]:
    """The bytes of a file, unpacked where it is compressed."""
    compression = COMPRESSIONS.get(path.suffix.lower())
    if compression is None:
        return path.open("rb")
    import pyarrow as pa

    # a stream of Arrow's, which has `read` and closes what it reads from
    return cast("IO[bytes]", pa.CompressedInputStream(pa.PythonFile(path.open("rb"), mode="r"), compression))


def marked(path: Path) -> str:
    """The encoding that the first bytes say.

    Raises:
        NotTextError: they are UTF-16 or UTF-32, but no mark says which.
    """
    with opened(path) as file:
        head = file.read(_HEAD)
    if marked := _mark(head):
        return marked
    kind = next((kind for begin, kind in _OTHERS.items() if head.startswith(begin)), None)
    if kind is not None and (b"\0" in head or not _decodes(head, "utf-8")):  # some begin with letters, as text may
        raise NotTextError(f"it is {kind} inside; give it the suffix of what it is, or unpack it")
    if wide := _wide(head):
        raise NotTextError(f"many NUL bytes, as {wide} has them; name the file's encoding, as in --encoding {wide}")
    return "utf-8"


def _mark(head: bytes) -> str | None:
    return next((name for mark, name in _MARKS.items() if head.startswith(mark)), None)


def _wide(head: bytes) -> str | None:
    """The encoding of two or four bytes a character that some bytes look like: by where their NUL bytes stand."""
    places = [head[place::4].count(0) / max(len(head[place::4]), 1) for place in range(4)]
    low, high = min(places[0], places[1]), min(places[2], places[3])
    if min(low, high) < _FEW and max(low, high) > _MOST:
        return "utf-32-le" if high > low else "utf-32-be"
    even, odd = (places[0] + places[2]) / 2, (places[1] + places[3]) / 2
    if min(even, odd) < _FEW and max(even, odd) > _MANY:
        return "utf-16-le" if odd > even else "utf-16-be"
    return None


def check_utf8(path: Path, data: bytes, place: int) -> None:
    """Raises NotTextError: some of a file's bytes are no UTF-8. They begin and end with a character, at `place`."""
    if not data.isascii():
        try:
            data.decode()
        except UnicodeDecodeError as error:
            raise not_text(path, place + error.start, data[error.start :], "utf-8") from error


def not_text(path: Path, place: int, rest: bytes, encoding: str) -> NotTextError:
    """Says where the bytes `rest` begin, of which the first is no text, and an encoding that they may be in."""
    line, left = 1, place
    with opened(path) as file:
        head = file.read(_HEAD)
    with opened(path) as file:
        while left and (raw := file.read(min(left, _BLOCK))):
            line += raw.count(b"\n")
            left -= len(raw)
    where = f"line {line}, byte {place} of the text: {rest[0]:#04x} is not {encoding}"
    wide = _mark(head) or _wide(head)
    if wide == encoding:
        return NotTextError(f"{where}, which the rest is; fix it")
    likely = wide or next(typed for name, typed in _LIKELY.items() if name != encoding and _decodes(rest, name))
    return NotTextError(f"{where}; name the file's encoding, as in --encoding {likely}")


def _decodes(raw: bytes, encoding: str) -> bool:
    try:
        codecs.getincrementaldecoder(encoding)().decode(raw)  # it may end amid a character
    except UnicodeDecodeError:
        return False
    return True


def changed(where: Path | str) -> SourceError:
    """What to say of a source that is not what it was."""
    return SourceError(f"{where}: changed while it was read; try again when it is written")


def first_line(error: BaseException) -> str:
    """The first line of an error's message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
