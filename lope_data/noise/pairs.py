"""Units that are two neighbours: characters or words side by side in one cell, which differ."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from lope_data.noise.op import Hits
from lope_data.text import kernels
from lope_data.text.buffers import Mask, binary
from lope_data.text.cells import Cells
from lope_data.text.draws import I64
from lope_data.text.edits import Edits
from lope_data.text.graphemes import Graphemes
from lope_data.text.spans import FoundSpans, Spans


class Pairs(Spans):
    """Pair i is spans index[i] and index[i] + 1 of `base`, with what stands between them."""

    def __init__(self, first: I64, base: Spans, index: I64) -> None:
        super().__init__(first)
        self.base, self.index = base, index

    @cached_property
    def start(self) -> I64:
        return self.base.starts(self.index)

    @cached_property
    def end(self) -> I64:
        return self.base.ends(self.index + 1)

    def starts(self, index: I64) -> I64:
        return self.base.starts(self.index[index])

    def ends(self, index: I64) -> I64:
        return self.base.ends(self.index[index] + 1)

    def between(self, index: I64) -> tuple[I64, I64]:
        """Where the left ones of some pairs end and the right ones begin."""
        left = self.index[index]
        return self.base.ends(left), self.base.starts(left + 1)

    def select(self, keep: Mask) -> Pairs:
        kept = np.flatnonzero(keep)
        return Pairs(np.searchsorted(kept, self.first), self.base, self.index[kept])


class _GraphemePairs(FoundSpans):
    """The same of characters, found by a walk over the text when they are asked for."""

    def __init__(self, cells: Cells) -> None:
        units = cells.graphemes
        edges, first_edge = np.empty(0, np.int64), np.zeros(cells.rows + 1, np.int64)
        if isinstance(units, Graphemes):
            edges, first_edge = units.edges, units.first_edge
        words = kernels.words_of(cells.data)
        self._text = cells.data, words, cells.bounds, cells.row_bounds, cells.plain, edges, first_edge
        super().__init__(np.concatenate(([0], np.cumsum(kernels.count_pairs(*self._text)))))

    def find(self, index: I64) -> tuple[I64, ...]:
        return kernels.find_pairs(*self._text, self.first, index)

    def between(self, index: I64) -> tuple[I64, I64]:
        middle = self.edges_of(index)[1]
        return middle, middle

    def select(self, keep: Mask) -> Pairs:
        start, half, end = (edge[keep] for edge in self.all_edges)
        kept = np.flatnonzero(keep)
        halves = Spans(
            2 * np.searchsorted(kept, self.first),
            np.stack((start, half), 1).ravel(),
            np.stack((half, end), 1).ravel(),
        )
        return Pairs(np.searchsorted(kept, self.first), halves, 2 * np.arange(len(kept)))


def unequal_neighbours(cells: Cells, base: Spans) -> Spans:
    """The pairs of neighbours among spans of these cells which are in one cell and differ."""
    if base is cells.graphemes:
        return _GraphemePairs(cells)
    index = kernels.unequal_neighbours(cells.data, base.start, base.end, cells.bounds)
    return Pairs(np.searchsorted(index, base.first), base, index)


def exchanged(hits: Hits) -> Edits:
    """Edits that make the two of each pair change places; what stands between them stays there."""
    assert isinstance(hits.units, Pairs | _GraphemePairs)
    left_end, right_start = hits.units.between(hits.index)
    offsets, data = kernels.exchanged(hits.cells.data, hits.start, left_end, right_start, hits.end)
    return hits.replace(binary(offsets, data))
