"""User-perceived characters: UAX #29 extended grapheme clusters, as the `regex` package implements them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, cached_property
from itertools import pairwise

import numpy as np
import regex

from lope_data.text import kernels
from lope_data.text.buffers import Bytes
from lope_data.text.draws import I64
from lope_data.text.spans import FoundSpans

# A grapheme of several code points holds at least one of these; the rest of Unicode is one grapheme a code point.
_JOINING = regex.compile(
    r"[\p{GCB=Extend}\p{GCB=ZWJ}\p{GCB=SpacingMark}\p{GCB=Prepend}"
    r"\p{GCB=L}\p{GCB=V}\p{GCB=T}\p{GCB=Regional_Indicator}\r]"
)
LEADS = np.array([byte & 0xC0 != 0x80 for byte in range(256)], np.uint8)


class Graphemes(FoundSpans):
    """The graphemes of a batch. In rows that are plain (ASCII without CR, which joins a following LF) each is a byte,
    and none of these is stored: one row of another kind does not make a batch slow.
    """

    def __init__(self, data: Bytes, row_edges: I64, plain: Bytes, continuing: I64) -> None:
        """`row_edges`: where each row begins in the data, and its end; `plain`: 1 for rows that are plain, else 0;
        `continuing`: where code points begin but no graphemes.
        """
        edges = kernels.marked_in(data, LEADS, row_edges, plain)
        if len(continuing):
            edges = np.delete(edges, np.searchsorted(edges, continuing))
        self.edges, self.first_edge = edges, np.searchsorted(edges, row_edges)
        count = np.where(plain, np.diff(row_edges), np.diff(self.first_edge))
        super().__init__(np.concatenate(([0], np.cumsum(count))))
        self._row_edges, self._plain = row_edges, plain

    def find(self, index: I64) -> tuple[I64, ...]:
        return kernels.grapheme_edges(index, self.first, self._row_edges, self._plain, self.edges, self.first_edge)

    def numbers(self, position: I64) -> I64:
        """Which grapheme begins at each of the byte positions, ascending; the first after them at the end of a row."""
        return kernels.grapheme_numbers(position, self.first, self._row_edges, self._plain, self.edges, self.first_edge)

    @cached_property
    def stored(self) -> tuple[I64, I64]:
        """The starts and ends of those in rows that are not plain."""
        end = np.append(self.edges[1:], 0)
        last = self.first_edge[1:] > self.first_edge[:-1]
        end[self.first_edge[1:][last] - 1] = self._row_edges[1:][last]
        return self.edges, end


def _between_flags(text: str) -> Iterator[int]:
    """Borders in long runs of regional indicators, which pair up from the run's start; `regex` counts each of them from
    there anew, in quadratic time.
    """
    for run in regex.finditer(r"\p{Regional_Indicator}{34,}", text):
        yield from range(run.start() + 32, run.end(), 32)


@cache
def _joining_points() -> Bytes:
    """1 for each code point that is in `_JOINING`, else 0."""
    points = np.zeros(0x110000, np.uint8)
    everything = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x110000)]))
    points[[ord(found) for found in _JOINING.findall(everything)]] = 1
    return points


@cache
def _joining_leads() -> Bytes:
    """1 for each byte that such a code point begins with."""
    leads = np.zeros(256, np.uint8)
    leads[[chr(point).encode()[0] for point in np.flatnonzero(_joining_points()).tolist()]] = 1
    return leads


def continuing(data: Bytes, bounds: I64, row_edges: I64, plain: Bytes) -> I64:
    """Where code points begin but no grapheme does, ascending; no grapheme crosses the `bounds` of cells."""
    joining = _joining(data, row_edges, plain)
    if not len(joining):
        return joining
    cells = np.unique(np.searchsorted(bounds, joining, side="right") - 1)
    return np.concatenate([_inside(data, int(bounds[cell]), int(bounds[cell + 1])) for cell in cells])


def _inside(data: Bytes, low: int, high: int) -> I64:
    """The same in one cell."""
    text = data[low:high].tobytes().decode()
    cuts = [0, *_between_flags(text), len(text)]
    sizes = [len(part.encode()) for low, high in pairwise(cuts) for part in regex.findall(r"\X", text[low:high])]
    begins = np.concatenate(([0], np.cumsum(sizes)))[:-1] + low
    points = np.flatnonzero((data[low:high] & 0xC0) != 0x80) + low
    return np.setdiff1d(points, begins, assume_unique=True)


def _joining(data: Bytes, row_edges: I64, plain: Bytes) -> I64:
    """Where the code points begin that can be part of a grapheme of several, ascending."""
    maybe = kernels.marked_in(data, _joining_leads(), row_edges, plain)
    return kernels.of_points(data, maybe, _joining_points())
