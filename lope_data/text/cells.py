"""A batch of rows as one UTF-8 buffer, and the spans (graphemes, words) in it.

A row is a run of cells: its input columns, side by side. Ops see byte positions in the shared buffer and never build
a Python string, so their work grows with the edits and not with the text.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from lope_data.text import kernels
from lope_data.text.buffers import Bytes, Mask, byte_class, gather, offsets_and_data
from lope_data.text.draws import I64, ranges
from lope_data.text.graphemes import Graphemes, continuing
from lope_data.text.spans import Spans


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
        return self._cut(self.bounds[cell], self.bounds[cell + 1], np.concatenate(([0], np.cumsum(counts))))

    @cached_property
    def heads(self) -> tuple[Cells, Mask]:
        """The head of each row's first cell, cut where no character and no word is, and which of these are whole rows.

        Of a row whose first cell is short it is the cell; of one without cells, nothing.
        """
        first, last = self.row_bounds[:-1], self.row_bounds[1:]
        some = first < last
        start = self.bounds[np.minimum(first, len(self.bounds) - 1)]
        stop = np.where(some, self.bounds[np.minimum(first + 1, len(self.bounds) - 1)], start)
        end = kernels.heads(self.data, start, stop, INK, _HEAD)
        whole: Mask = (end == stop) & (last - first <= 1)
        return self._cut(start, end, np.arange(len(first) + 1)), whole

    def _cut(self, start: I64, end: I64, row_bounds: I64) -> Cells:
        """Each data[start[i]:end[i]] as a cell."""
        offsets, data = offsets_and_data(gather(self.data, start, end))
        if self.barred is None:
            return Cells(data, offsets, row_bounds)
        _, barred = offsets_and_data(gather(self.barred.view(np.uint8), start, end))
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
    def row_edges(self) -> I64:
        """Where each row begins in the data, and the end of the last."""
        return self.bounds[self.row_bounds]

    @cached_property
    def plain(self) -> Bytes:
        """1 for each row of ASCII without CR, in which every byte is a character; else 0."""
        return kernels.plain(self.data, kernels.words_of(self.data), self.row_edges)

    @cached_property
    def ascii(self) -> bool:
        """Whether every row is plain."""
        return bool(self.plain.all())

    @cached_property
    def graphemes(self) -> Spans:
        """User-perceived characters; none crosses a cell."""
        if self.ascii:
            return Spans(self.row_edges)
        return Graphemes(self.data, self.row_edges, self.plain, self._continuing)

    @cached_property
    def _continuing(self) -> I64:
        """Byte positions where a code point begins but no grapheme does, ascending."""
        if self.ascii:
            return np.empty(0, np.int64)
        return continuing(self.data, self.bounds, self.row_edges, self.plain)

    @cached_property
    def wide(self) -> tuple[I64, I64]:
        """The starts and ends of the characters of several bytes."""
        if not isinstance(self.graphemes, Graphemes):
            return np.empty(0, np.int64), np.empty(0, np.int64)
        start, end = self.graphemes.stored
        several = end - start > 1
        return start[several], end[several]

    def numbers(self, position: I64) -> I64:
        """Which character begins at each of the byte positions, ascending: differences count characters."""
        return self.graphemes.numbers(position) if isinstance(self.graphemes, Graphemes) else position

    @cached_property
    def words(self) -> Spans:
        """Maximal runs of graphemes that are not all white space (Unicode's White_Space); none crosses a cell."""
        if self.ascii:
            start, end = kernels.runs(self.data, INK, self.bounds)
        else:
            start, end = kernels.runs(self._inked().view(np.uint8), _ITSELF, self.bounds)
        return Spans(np.searchsorted(start, self.bounds[self.row_bounds]), start, end)

    def bytes_in(self, table: Bytes) -> Spans:
        """The characters of one byte that a table of 256 marks with 1."""
        place = kernels.marked(self.data, table)
        if len(self._continuing):  # none that a mark follows, and none that continues another
            joined = np.concatenate((self._continuing, self._continuing - 1))
            found = np.searchsorted(place, joined)
            place = np.delete(place, found[np.append(place, -1)[found] == joined])
        return Spans(np.searchsorted(place, self.bounds[self.row_bounds]), place)

    def _inked(self) -> Mask:
        """Which bytes belong to graphemes that are not all white space."""
        data = self.data
        inked: Mask = byte_class(data, INK.tobytes()).astype(np.bool_)
        wide = kernels.marked_in(data, _WIDE_LEADS, self.row_edges, self.plain)
        size = np.where(data[wide] == 0xC2, 2, 3)
        code = data[wide].astype(np.uint32) << 16 | data[wide + 1].astype(np.uint32) << 8
        code |= np.where(size == 3, data[np.minimum(wide + 2, len(data) - 1)], 0)
        white = np.isin(code, _WIDE_SPACES)
        wide, size = wide[white], size[white]
        inked[np.repeat(wide, size) + ranges(size)] = False
        if len(self._continuing):  # a space that carries a combining mark is ink
            starts, ends = self.wide
            joined = np.unique(np.searchsorted(starts, self._continuing) - 1)
            start, size = starts[joined], ends[joined] - starts[joined]
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

_HEAD = 64
"""Bytes of a head: nearly every text has by then what an op needs."""
INK = np.array([not (byte == 0x20 or 0x09 <= byte <= 0x0D) for byte in range(256)], np.uint8)
_WIDE_LEADS = np.array([byte in (0xC2, 0xE1, 0xE2, 0xE3) for byte in range(256)], np.uint8)
_ITSELF = np.arange(256, dtype=np.uint8)
