"""Edits of a batch of cells, and the one place where they are applied."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lope_data.cells import Cells, Mask, binary, gather, offsets_and_data
from lope_data.rng import I64


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
    return binary(cells.bounds, cells.data).cast(pa.large_string())


def splice(cells: Cells, edits: Edits) -> pa.Array:
    """The cells after the edits, as a large_string array.

    The buffer is cut at every edge of an edit into kept, edited, kept, edited, ..., kept; the edited pieces are
    replaced, so the cost is one copy of the text plus work for each edit.
    """
    count = len(edits)
    if not count:
        return cells_text(cells)
    edges = np.empty(2 * count + 2, np.int64)
    edges[0], edges[-1] = 0, len(cells.data)
    edges[1:-1:2], edges[2:-1:2] = edits.start, edits.end
    pieces = binary(edges, cells.data)
    after_offsets, after_data = offsets_and_data(edits.after)
    replacements = binary(np.repeat(after_offsets, 2), after_data)
    edited = np.zeros(2 * count + 1, np.bool_)
    edited[1::2] = True
    _, data = offsets_and_data(pc.if_else(pa.array(edited), replacements, pieces))
    growth = np.diff(after_offsets) - (edits.end - edits.start)
    grown = np.bincount(edits.cell + 1, growth, len(cells.bounds)).astype(np.int64)  # sums are exact below 2**53
    return binary(cells.bounds + np.cumsum(grown), data).cast(pa.large_string())
