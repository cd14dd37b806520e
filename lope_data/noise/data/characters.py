"""What ops on characters share: sets of characters, and replacements drawn from a table or a list."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lope_data.noise.op import Hits
from lope_data.text import kernels
from lope_data.text.buffers import Mask, binary, byte_class, gather, offsets_and_data
from lope_data.text.cells import Cells
from lope_data.text.draws import I64
from lope_data.text.spans import Spans

_UNKNOWN, _NO, _YES = 0, 1, 2

# The bytes of the code point that begins with each byte; 0 for a byte within one.
_SIZE = bytes([1] * 0x80 + [0] * 0x40 + [2] * 0x20 + [3] * 0x10 + [4] * 0x10)


class Characters:
    """A set of characters (graphemes), told by `holds`, which is asked once for each that is met."""

    def __init__(self, holds: Callable[[str], bool]) -> None:
        self._holds = holds
        self._points = np.zeros(0x110000, np.uint8)  # the answer for each code point that is met alone
        self._longer: dict[bytes, bool] = {}  # and for each grapheme of several
        self._ascii = bytes(holds(chr(code)) for code in range(0x80)) + bytes(0x80)

    def units(self, cells: Cells) -> Spans:
        """The characters of a batch that are in the set."""
        bytes_ = cells.bytes_in(np.frombuffer(self._ascii, np.uint8))
        start, end = cells.wide
        if not len(start):
            return bytes_
        lead, size = cells.data[start], end - start
        whole = size == byte_class(lead, _SIZE)
        held = np.zeros(len(start), np.bool_)
        one = np.flatnonzero(whole)
        if len(one):
            text: bytes = gather(cells.data, start[one], end[one]).buffers()[2].to_pybytes()
            held[one] = self._of_points(np.frombuffer(text.decode().encode("utf-32-le"), np.uint32))
        several = np.flatnonzero(~whole)
        if len(several):
            held[several] = self._of_longer(gather(cells.data, start[several], end[several]))
        start, end = start[held], end[held]
        place = np.searchsorted(bytes_.start, start)  # few among many
        starts, ends = np.insert(bytes_.start, place, start), np.insert(bytes_.end, place, end)
        return Spans(np.searchsorted(starts, cells.row_edges), starts, ends)

    def _of_points(self, codes: npt.NDArray[np.uint32]) -> Mask:
        for code in np.unique(codes[self._points[codes] == _UNKNOWN]).tolist():
            self._points[code] = _YES if self._holds(chr(code)) else _NO
        held: Mask = self._points[codes] == _YES
        return held

    def _of_longer(self, graphemes: pa.Array) -> Mask:
        encoded = graphemes.dictionary_encode()
        distinct: list[bytes] = encoded.dictionary.to_pylist()
        for grapheme in distinct:
            if grapheme not in self._longer:
                self._longer[grapheme] = self._holds(grapheme.decode())
        held: Mask = np.array([self._longer[grapheme] for grapheme in distinct], np.bool_)[np.asarray(encoded.indices)]
        return held


class Variants:
    """For some ASCII characters, what each of them may be replaced by."""

    def __init__(self, table: Mapping[str, str], others: str = "") -> None:
        """`table`: for each character its variants, each one code point; `others`: those of all other characters."""
        self._held = np.array([chr(byte) in table for byte in range(256)], np.uint8)
        lists = [table.get(chr(byte), others) for byte in range(256)]
        self._count = np.array([len(variants) for variants in lists])
        self._first = np.cumsum(self._count) - self._count
        self._flat = utf8("".join(lists))
        _, data = offsets_and_data(self._flat)
        self._bytes = data if len(data) == len(self._flat) else None

    def units(self, cells: Cells) -> Spans:
        """The characters of a batch that have variants of their own."""
        return cells.bytes_in(self._held)

    def draw(self, hits: Hits, purpose: str) -> pa.Array:
        """For each hit one of its variants, large_binary."""
        data, end = hits.cells.data, hits.end
        drawn = kernels.variants(
            data,
            hits.start,
            end,
            hits.draw.keys(purpose),
            hits.row,
            hits.index,
            hits.units.first,
            self._count,
            self._first,
        )
        if self._bytes is None:
            return self._flat.take(pa.array(drawn))
        return binary(np.arange(len(drawn) + 1), self._bytes[drawn])


def utf8(text: str) -> pa.Array:
    """The code points of a text, each as large_binary."""
    sizes = np.array([len(point.encode()) for point in text], np.int64)
    return binary(np.concatenate((np.zeros(1, np.int64), np.cumsum(sizes))), text.encode())


def other_than(hits: Hits, choices: pa.Array, purpose: str) -> pa.Array:
    """For each hit one of `choices` (distinct, large_binary) that it is not, each equally likely."""
    own: I64 = np.asarray(pc.fill_null(pc.index_in(hits.text(), choices), len(choices))).astype(np.int64)
    drawn = hits.below(len(choices) - (own < len(choices)), purpose)
    return choices.take(pa.array(drawn + (drawn >= own)))
