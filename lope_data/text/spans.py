"""Spans of a batch's bytes: what ops count, draw and change."""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property

import numpy as np

from lope_data.text.buffers import Mask
from lope_data.text.draws import I64


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


class FoundSpans(Spans):
    """Spans that are found in the text when they are asked for; what was found for the last index is kept, since one
    mostly wants more than one edge of it.
    """

    def __init__(self, first: I64) -> None:
        super().__init__(first)
        self._last: tuple[I64, tuple[I64, ...]] | None = None

    @abstractmethod
    def find(self, index: I64) -> tuple[I64, ...]:
        """The edges of some, ascending: where they begin, what there is between, where they end."""

    def edges_of(self, index: I64) -> tuple[I64, ...]:
        """The same, kept for the next call."""
        if self._last is None or self._last[0] is not index:
            self._last = index, self.find(index)
        return self._last[1]

    @cached_property
    def all_edges(self) -> tuple[I64, ...]:
        """The edges of all."""
        return self.find(np.arange(self.first[-1]))

    @cached_property
    def start(self) -> I64:
        return self.all_edges[0]

    @cached_property
    def end(self) -> I64:
        return self.all_edges[-1]

    def starts(self, index: I64) -> I64:
        return self.edges_of(index)[0]

    def ends(self, index: I64) -> I64:
        return self.edges_of(index)[-1]

    def select(self, keep: Mask) -> Spans:
        index = np.flatnonzero(keep)
        return Spans(np.searchsorted(index, self.first), self.starts(index), self.ends(index))
