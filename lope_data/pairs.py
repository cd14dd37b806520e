"""Units that are two neighbours: characters or words side by side in one cell, which differ."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from lope_data import kernels
from lope_data.buffers import Mask, binary
from lope_data.cells import Cells
from lope_data.edits import Edits
from lope_data.graphemes import Graphemes
from lope_data.registry import Hits
from lope_data.rng import I64
from lope_data.spans import Spans


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


class _BytePairs(Spans):
    """The same where every character is a byte; found by a walk over the text when they are asked for."""

    def __init__(self, cells: Cells) -> None:
        counts = kernels.count_unequal(cells.data, cells.bounds)
        self._first_of_cell = np.concatenate(([0], np.cumsum(counts)))
        super().__init__(self._first_of_cell[cells.row_bounds])
        self._cells = cells
        self._found: tuple[I64, I64] | None = None

    @cached_property
    def start(self) -> I64:
        return self.starts(np.arange(self.first[-1]))

    @cached_property
    def end(self) -> I64:
        return self.start + 2

    def starts(self, index: I64) -> I64:
        if self._found is None or self._found[0] is not index:
            cells = self._cells
            self._found = index, kernels.find_unequal(cells.data, cells.bounds, self._first_of_cell, index)
        return self._found[1]

    def ends(self, index: I64) -> I64:
        return self.starts(index) + 2

    def between(self, index: I64) -> tuple[I64, I64]:
        middle = self.starts(index) + 1
        return middle, middle

    def select(self, keep: Mask) -> Pairs:
        kept = np.flatnonzero(keep)
        return Pairs(np.searchsorted(kept, self.first), self._cells.graphemes, self.start[kept])


def unequal_neighbours(cells: Cells, base: Spans) -> Spans:
    """The pairs of neighbours among spans of these cells which are in one cell and differ."""
    if base is cells.graphemes:
        return _BytePairs(cells) if cells.ascii else _grapheme_pairs(cells)
    index = kernels.unequal_neighbours(cells.data, base.start, base.end, cells.bounds)
    return Pairs(np.searchsorted(index, base.first), base, index)


def _grapheme_pairs(cells: Cells) -> Pairs:
    units = cells.graphemes
    assert isinstance(units, Graphemes)
    index = kernels.unequal_graphemes(
        cells.data,
        cells.bounds,
        cells.row_bounds,
        units.first,
        cells.row_edges,
        cells.plain,
        units.edges,
        units.first_edge,
    )
    return Pairs(np.searchsorted(index, units.first), units, index)


def exchanged(hits: Hits) -> Edits:
    """Edits that make the two of each pair change places; what stands between them stays there."""
    assert isinstance(hits.units, Pairs | _BytePairs)
    left_end, right_start = hits.units.between(hits.index)
    offsets, data = kernels.exchanged(hits.cells.data, hits.start, left_end, right_start, hits.end)
    return hits.replace(binary(offsets, data))
