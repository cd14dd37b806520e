"""Which keys the rows of a JSON source have, and in which order: what columns alone do not say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Keys = tuple[str, ...]


class RowKeys:
    """The keys of rows that come block after block, and the nulls in their columns."""

    def __init__(self) -> None:
        self._numbers: dict[Keys, int] = {}
        self._codes: list[npt.NDArray[np.int64]] = []
        self._counts: Counter[Keys] = Counter()
        self._values: Counter[str] = Counter()

    def add(self, keys: Sequence[Keys]) -> list[str]:
        """Takes those of the next rows; gives back all that one of them has, in the order in which they turn up."""
        counts = Counter(keys)
        for one in counts:
            self._numbers.setdefault(one, len(self._numbers))
        self._codes.append(np.fromiter(map(self._numbers.__getitem__, keys), np.int64, len(keys)))
        self._counts += counts
        return list(dict.fromkeys(name for one in counts for name in one))

    def values(self, name: str, count: int) -> None:
        """Takes how many of these rows have a value under a key."""
        self._values[name] += count

    def finish(self) -> tuple[list[str], list[str], pa.Array | None]:
        """The columns, in an order that is that of all rows if there is one; those in which null means that a row has
        no such key; and, where that is not enough to write each row as it was, the keys of every row.
        """
        rows = sum(self._counts.values())
        have: Counter[str] = Counter()
        for keys, count in self._counts.items():
            have.update(dict.fromkeys(keys, count))
        names = list(dict.fromkeys(name for keys in self._numbers for name in keys))
        absent = [name for name in names if have[name] < rows]
        order = self._order(names)
        if order is None or any(self._values[name] < have[name] for name in absent):
            return order or names, [], self._column()
        return order, [name for name in order if name in set(absent)], None

    def _order(self, names: Sequence[str]) -> list[str] | None:
        """All keys in the order of every row, what stands first in the source first; None where rows differ."""
        if len(self._numbers) == 1:
            return list(names)
        place = {name: number for number, name in enumerate(names)}
        sorter: TopologicalSorter[str] = TopologicalSorter(dict.fromkeys(names, ()))
        for keys in self._numbers:
            for before, after in pairwise(keys):
                sorter.add(after, before)
        try:
            sorter.prepare()
        except CycleError:
            return None
        order: list[str] = []
        ready: set[str] = set()
        while sorter.is_active():
            ready |= set(sorter.get_ready())
            first = min(ready, key=place.__getitem__)
            ready.discard(first)
            order.append(first)
            sorter.done(first)
        return order

    def _column(self) -> pa.Array:
        each = pa.array([list(keys) for keys in self._numbers], pa.list_(pa.string()))
        return each.take(pa.array(np.concatenate(self._codes)))
