"""Edits of a batch of cells, and the one place where they are applied."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lope_data.text import kernels
from lope_data.text.buffers import Mask, gather, offsets_and_data, strings
from lope_data.text.cells import Cells
from lope_data.text.draws import I64


@dataclass(frozen=True)
class Edits:
    """Byte spans of a batch that get other bytes, sorted and without overlap; none crosses a cell.

    Attributes:
        row, cell: where each edit lies.
        start, end: byte positions in the batch's buffer; equal for an insertion.
        after: what stands there afterwards, large_binary.
        detail: what the op says about the edit, or None.
    """

    row: I64
    cell: I64
    start: I64
    end: I64
    after: pa.Array
    detail: pa.Array | None = None

    @classmethod
    def none(cls) -> Edits:
        nowhere = np.empty(0, np.int64)
        return cls(nowhere, nowhere, nowhere, nowhere, pa.array([], pa.large_binary()))

    def __len__(self) -> int:
        return len(self.start)

    def select(self, keep: Mask) -> Edits:
        """The edits where `keep` is true."""
        mask = pa.array(keep)
        detail = None if self.detail is None else self.detail.filter(mask)
        return Edits(self.row[keep], self.cell[keep], self.start[keep], self.end[keep], self.after.filter(mask), detail)

    def effective(self, cells: Cells) -> Edits:
        """The edits that change something."""
        offsets, _ = offsets_and_data(self.after)
        alike = np.flatnonzero(np.diff(offsets) == self.end - self.start)  # the others surely change
        before = gather(cells.data, self.start[alike], self.end[alike])
        changes = np.ones(len(self), np.bool_)
        changes[alike] = np.asarray(pc.not_equal(before, self.after.take(pa.array(alike))))
        return self if changes.all() else self.select(changes)


def cells_text(cells: Cells) -> pa.Array:
    """The cells as a large_string array."""
    return strings(cells.bounds, cells.data)


def splice(cells: Cells, edits: Edits) -> pa.Array:
    """The cells after the edits, as a large_string array: one copy of the text, plus work for each edit."""
    if not len(edits):
        return cells_text(cells)
    offsets, after = offsets_and_data(edits.after)
    data = kernels.spliced(cells.data, edits.start, edits.end, offsets, after)
    bounds = kernels.moved(cells.bounds, edits.cell, edits.start, edits.end, offsets)
    return strings(bounds, data)
