"""A batch of rows as one UTF-8 buffer, and the spans (graphemes, words) in it.

A row is a run of cells: its input columns, side by side. Ops see byte positions in the shared buffer and never build
a Python string, so their work grows with the edits and not with the text.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import regex

from lope_data import kernels
from lope_data.rng import I64, ranges

Bytes = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

# A grapheme of several code points holds at least one of these; the rest of Unicode is one grapheme a code point.
_JOINING = regex.compile(
    r"[\p{GCB=Extend}\p{GCB=ZWJ}\p{GCB=SpacingMark}\p{GCB=Prepend}"
    r"\p{GCB=L}\p{GCB=V}\p{GCB=T}\p{GCB=Regional_Indicator}\r]"
)


class Spans:
    """Byte spans [start, end) in the buffer, ordered; row i owns spans first[i] to first[i + 1]."""

    def __init__(self, first: I64, start: I64 | None = None, end: I64 | None = None) -> None:
        """Without `start` span i begins at byte i, without `end` it is a byte long."""
        self.first = first
        self._start, self._end = start, end

    @cached_property
    def count(self) -> I64:
        """Spans a row, shape (rows,)."""
        return np.diff(self.first)

    @cached_property
    def start(self) -> I64:
        return np.arange(self.first[-1]) if self._start is None else self._start

    @cached_property
    def end(self) -> I64:
        return self.start + 1 if self._end is None else self._end

    def starts(self, index: I64) -> I64:
        """The starts of some spans, without making those of all."""
        return index if self._start is None else self._start[index]

    def ends(self, index: I64) -> I64:
        """The ends of some spans."""
        return self.starts(index) + 1 if self._end is None else self._end[index]

    def select(self, keep: Mask) -> Spans:
        """The spans where `keep` is true."""
        index = np.flatnonzero(keep)
        end = None if self._end is None else self._end[index]
        return Spans(np.searchsorted(index, self.first), self.starts(index), end)


@dataclass(frozen=True)
class Cells:
    """Cell j is data[bounds[j]:bounds[j + 1]]; row i owns cells row_bounds[i] to row_bounds[i + 1].

    `barred`, where there is one, marks the bytes that no edit may touch; units that hold one of them are no units.
    """

    data: Bytes
    bounds: I64
    row_bounds: I64
    barred: Mask | None = None

    @classmethod
    def of(cls, values: pa.Array, row_bounds: I64 | None = None) -> Cells:
        """From a string array of all cells, row after row, by default one a row; nulls read as empty."""
        values = values.cast(pa.large_string())
        if values.null_count:
            values = values.fill_null("")
        buffers = values.buffers()
        offsets = np.frombuffer(buffers[1], np.int64)[values.offset : values.offset + len(values) + 1]
        if not len(values):
            offsets = np.zeros(1, np.int64)
        whole = np.frombuffer(buffers[2], np.uint8) if buffers[2] is not None else np.empty(0, np.uint8)
        if row_bounds is None:
            row_bounds = np.arange(len(values) + 1)
        return cls(whole[offsets[0] : offsets[-1]], offsets - offsets[0], row_bounds)

    @property
    def rows(self) -> int:
        return len(self.row_bounds) - 1

    def take(self, rows: I64) -> Cells:
        """The cells of some rows."""
        counts = np.diff(self.row_bounds)[rows]
        cell = np.repeat(self.row_bounds[rows], counts) + ranges(counts)
        offsets, data = offsets_and_data(gather(self.data, self.bounds[cell], self.bounds[cell + 1]))
        row_bounds = np.concatenate(([0], np.cumsum(counts)))
        if self.barred is None:
            return Cells(data, offsets, row_bounds)
        _, barred = offsets_and_data(gather(self.barred.view(np.uint8), self.bounds[cell], self.bounds[cell + 1]))
        return Cells(data, offsets, row_bounds, barred.view(np.bool_))

    def open(self, spans: Spans) -> Spans:
        """The spans that hold no barred byte."""
        if self.barred is None:
            return spans
        before = np.concatenate(([0], np.cumsum(self.barred)))
        return spans.select(before[spans.start] == before[spans.end])

    @cached_property
    def one_a_row(self) -> bool:
        """Whether cell i is row i."""
        return bool((np.diff(self.row_bounds) == 1).all())

    @cached_property
    def ascii(self) -> bool:
        """Whether every character is one byte and one grapheme (no CR, which joins a following LF)."""
        return not len(self.data) or (int(self.data.max()) < 0x80 and not (self.data == 0x0D).any())

    @cached_property
    def graphemes(self) -> Spans:
        """User-perceived characters (UAX #29 extended grapheme clusters); none crosses a cell."""
        if self.ascii:
            return Spans(self.bounds[self.row_bounds])
        edges = kernels.marked(self.data, _LEADS, len(self.data))
        if len(self._continuing):
            edges = np.delete(edges, np.searchsorted(edges, self._continuing))
        return Spans(np.searchsorted(edges, self.bounds[self.row_bounds]), edges[:-1], edges[1:])

    @cached_property
    def _continuing(self) -> I64:
        """Byte positions where a code point begins but no grapheme does, ascending."""
        if self.ascii:
            return np.empty(0, np.int64)
        joining = _joining(self.data)
        if not len(joining):
            return joining
        cells = np.unique(np.searchsorted(self.bounds, joining, side="right") - 1)
        return np.concatenate([self._inside_graphemes(int(cell)) for cell in cells])

    def _inside_graphemes(self, cell: int) -> I64:
        """The same in one cell."""
        low, high = self.bounds[cell], self.bounds[cell + 1]
        text = self.data[low:high].tobytes().decode()
        sizes = [len(part.encode()) for part in regex.findall(r"\X", text)]
        begins = np.concatenate(([0], np.cumsum(sizes)))[:-1] + low
        points = np.flatnonzero((self.data[low:high] & 0xC0) != 0x80) + low
        return np.setdiff1d(points, begins, assume_unique=True)

    @cached_property
    def words(self) -> Spans:
        """Maximal runs of graphemes that are not all white space (Unicode's White_Space); none crosses a cell."""
        if self.ascii:
            start, end = kernels.runs(self.data, _INK, self.bounds)
        else:
            start, end = kernels.runs(self._inked().view(np.uint8), _ITSELF, self.bounds)
        return Spans(np.searchsorted(start, self.bounds[self.row_bounds]), start, end)

    def bytes_in(self, table: Bytes) -> Spans:
        """The characters of one byte that a table of 256 marks with 1."""
        place = kernels.marked(self.data, table, 0)[:-1]
        if len(self._continuing):  # none that a mark follows, and none that continues another
            joined = np.concatenate((self._continuing, self._continuing - 1))
            found = np.searchsorted(place, joined)
            place = np.delete(place, found[np.append(place, -1)[found] == joined])
        return Spans(np.searchsorted(place, self.bounds[self.row_bounds]), place)

    def _inked(self) -> Mask:
        """Which bytes belong to graphemes that are not all white space."""
        data = self.data
        inked: Mask = byte_class(data, _INK.tobytes()).astype(np.bool_)
        following = np.append(data[1:], 0)
        wide = np.flatnonzero(
            ((data == 0xC2) & ((following == 0x85) | (following == 0xA0)))
            | ((data == 0xE1) & (following == 0x9A))
            | ((data == 0xE2) & ((following & 0xFE) == 0x80))
            | ((data == 0xE3) & (following == 0x80))
        )
        size = np.where(data[wide] == 0xC2, 2, 3)
        third = np.where(size == 3, data[np.minimum(wide + 2, len(data) - 1)], 0)
        code = (data[wide].astype(np.uint32) << 16) | (following[wide].astype(np.uint32) << 8) | third
        white = np.isin(code, _WIDE_SPACES)
        wide, size = wide[white], size[white]
        inked[np.repeat(wide, size) + ranges(size)] = False
        if len(self._continuing):  # a space that carries a combining mark is ink
            graphemes = self.graphemes
            joined = np.unique(np.searchsorted(graphemes.start, self._continuing) - 1)
            start, size = graphemes.start[joined], graphemes.end[joined] - graphemes.start[joined]
            byte = np.repeat(start, size) + ranges(size)
            any_ink = np.logical_or.reduceat(inked[byte], np.cumsum(size) - size)
            inked[byte] = np.repeat(any_ink, size)
        return inked

    def cell_of(self, position: I64) -> I64:
        """The cell of each of the byte positions, ascending; one on a border belongs to the cell that begins there."""
        if len(self.bounds) == 2:
            return np.zeros(len(position), np.int64)
        edges = np.searchsorted(position, self.bounds)
        return np.repeat(np.arange(len(self.bounds) - 1), np.diff(edges))

    def text(self, start: I64, end: I64) -> pa.Array:
        """The bytes of each span as a large_binary array."""
        return gather(self.data, start, end)


# The UTF-8 bytes, as one number, of the white space beyond ASCII (two-byte forms padded with a zero byte).
_WIDE_SPACES = np.array(
    [
        int.from_bytes(chr(code).encode().ljust(3, b"\0"), "big")
        for code in (0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000)
    ],
    np.uint32,
)

_INK = np.array([not (byte == 0x20 or 0x09 <= byte <= 0x0D) for byte in range(256)], np.uint8)
_LEADS = np.array([byte & 0xC0 != 0x80 for byte in range(256)], np.uint8)
_ITSELF = np.arange(256, dtype=np.uint8)


def byte_class(data: Bytes, table: bytes) -> Bytes:
    """table[data[i]] for each byte; four times as fast as indexing an array."""
    return np.frombuffer(data.tobytes().translate(table), np.uint8)


@cache
def _joining_blocks() -> Bytes:
    """For each first two bytes of a code point of several, whether one that begins so is in `_JOINING`."""
    blocks = np.zeros(1 << 16, np.uint8)
    everything = "".join(map(chr, [*range(0x80, 0xD800), *range(0xE000, 0x110000)]))
    for found in _JOINING.findall(everything):
        first, second = found.encode()[:2]
        blocks[first << 8 | second] = 1
    return blocks


@cache
def _joining_leads() -> Bytes:
    """For each byte, whether it is CR or the first of a code point that `_joining_blocks` marks."""
    leads: Bytes = _joining_blocks().reshape(256, 256).max(1)
    leads[0x0D] = 1
    return leads


def _joining(data: Bytes) -> I64:
    """Where the code points begin that can be part of a grapheme of several, ascending."""
    blocks = _joining_blocks()
    maybe = kernels.marked(data, _joining_leads(), 0)[:-1]
    wide = np.flatnonzero(data[maybe] >= 0x80)
    second = data[np.minimum(maybe[wide] + 1, len(data) - 1)]
    unlike = blocks[data[maybe[wide]].astype(np.int64) << 8 | second] == 0
    maybe, wide = np.delete(maybe, wide[unlike]), wide[~unlike] - np.cumsum(unlike)[~unlike]
    if not len(wide):
        return maybe
    lead = data[maybe[wide]]
    size = 2 + (lead >= 0xE0) + (lead >= 0xF0)
    codes = gather(data, maybe[wide], maybe[wide] + size).dictionary_encode()
    joins = np.array([bool(_JOINING.match(code.decode())) for code in codes.dictionary.to_pylist()])
    return np.delete(maybe, wide[~joins[np.asarray(codes.indices)]])


def gather(data: Bytes, start: I64, end: I64) -> pa.Array:
    """data[start[i]:end[i]] for each i, as a large_binary array; spans may overlap and come in any order."""
    return binary(*kernels.gathered(data, start, end))


def binary(offsets: I64, data: Bytes | bytes) -> pa.Array:
    """A large_binary array over a buffer."""
    buffers = [None, pa.py_buffer(np.ascontiguousarray(offsets, np.int64)), pa.py_buffer(data)]
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(offsets) - 1, buffers)


def strings(offsets: I64, data: Bytes) -> pa.Array:
    """A large_string array over a buffer of valid UTF-8, cut at borders of characters."""
    buffers = [None, pa.py_buffer(np.ascontiguousarray(offsets, np.int64)), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.large_string(), len(offsets) - 1, buffers)


def offsets_and_data(values: pa.Array) -> tuple[I64, Bytes]:
    """The offsets (from 0) and bytes of a large_binary or large_string array without nulls."""
    buffers = values.buffers()
    if not len(values):
        return np.zeros(1, np.int64), np.empty(0, np.uint8)
    offsets = np.frombuffer(buffers[1], np.int64)[values.offset : values.offset + len(values) + 1]
    data = np.frombuffer(buffers[2], np.uint8) if buffers[2] is not None else np.empty(0, np.uint8)
    return offsets - offsets[0], data[offsets[0] : offsets[-1]]
