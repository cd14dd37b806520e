"""Records of delimited text: where whole ones end, and the fields and lines of each.

A block of text always begins where a record does. Quotes that all stand where a writer puts them are counted, which is
fast; others are followed by `csv`, which knows what each of them means.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np

_END = "\x03end of text\x03"
_LONGEST = 2**31 - 1  # characters of a field


class Record(NamedTuple):
    """A record, which lines from `begin` up to `end` hold, counted from 0 in the block. A blank line has no fields."""

    begin: int
    end: int
    fields: list[str]


class StrayQuoteError(ValueError):
    """Text follows the quote that closes a field, so that this may be no such quote; says in which lines."""

    def __init__(self, begin: int, end: int) -> None:
        super().__init__(f"a quote closes before its field ends, between the lines {begin} and {end}")
        self.begin, self.end = begin, end


def records(lines: Sequence[bytes], delimiter: str, *, quoted: bool, strict: bool = False) -> Iterator[Record]:
    """The records that end in some lines, which have their ends; nothing of one that goes on after them.

    Args:
        quoted: whether fields may stand in quotes.
        strict: whether a quoted field must end where its quote closes.

    Raises:
        StrayQuoteError: it does not.
    """
    # Of the whole process, and only ever raised: another thread may be reading.
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST))
    texts = chain(map(bytes.decode, lines), [_END])
    reader = csv.reader(
        texts, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE, strict=strict
    )
    begin = 0
    while True:
        try:
            fields = next(reader)
        except csv.Error:
            if reader.line_num > len(lines):
                return
            raise StrayQuoteError(begin, reader.line_num) from None
        if reader.line_num > len(lines):
            return
        yield Record(begin, reader.line_num, fields)
        begin = reader.line_num


def whole_lines(block: bytes, *, final: bool) -> list[bytes]:
    """The lines of a block with their ends, up to the last that has one; where the block is the final one, all."""
    lines = block.splitlines(keepends=True)  # of bytes: at \n, \r\n and \r only
    if not final and lines and not lines[-1].endswith(b"\n"):
        lines.pop()  # a \r may be half of an end
    return lines


def line_ends(text: bytes) -> int:
    """How many lines end in a text."""
    returns = text.count(b"\r") - text.count(b"\r\n") if b"\r" in text else 0
    return int(np.count_nonzero(np.frombuffer(text, np.uint8) == 10)) + returns  # several times as fast as `count`


def whole_text(block: bytes, delimiter: str, *, quoted: bool, final: bool) -> int | None:
    """How many bytes of a block are whole records; None where only `records` tells, since a quote is out of place."""
    line_end = b"\n" if b"\n" in block else b"\r"
    if not quoted or b'"' not in block:
        return len(block) if final else block.rfind(line_end, 0, len(block) - (line_end == b"\r")) + 1
    data = np.frombuffer(block, np.uint8)
    quotes = np.flatnonzero(data == ord('"'))
    size = len(block)
    if final and len(quotes) % 2:
        return None
    if not final:
        size = _last_even(block, quotes, line_end)
        quotes = quotes[: np.searchsorted(quotes, size)]
    if not size:
        return None
    edges = np.zeros(256, bool)
    edges[[ord(delimiter), ord("\r"), ord("\n")]] = True
    opening, closing = quotes[::2], quotes[1::2]
    after = np.where(closing + 1 < size, data[np.minimum(closing + 1, size - 1)], ord("\n"))
    before = np.where(opening > 0, data[np.maximum(opening - 1, 0)], ord("\n"))
    doubled = opening[1:] == closing[:-1] + 1
    opens, closes = edges[before], edges[after]
    opens[1:] |= doubled
    closes[:-1] |= doubled
    return size if opens.all() and closes.all() else None


def _last_even(block: bytes, quotes: np.ndarray[tuple[int], np.dtype[np.intp]], line_end: bytes) -> int:
    """The end of the last line before whose end quotes are even in number; 0 if no line ends so."""
    end = len(block) - (line_end == b"\r")
    while (cut := block.rfind(line_end, 0, end) + 1) and np.searchsorted(quotes, cut) % 2:
        end = cut - 1
    return cut
