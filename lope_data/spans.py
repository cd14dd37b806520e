"""Spans of a batch's bytes: what ops count, draw and change."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from lope_data.buffers import Mask
from lope_data.rng import I64


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
        end = None if self._end is None else self.ends(index)
        return Spans(np.searchsorted(index, self.first), self.starts(index), end)
