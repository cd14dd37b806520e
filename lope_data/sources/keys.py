"""Which keys the rows of a JSON source have, and in which order: what columns alone do not say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Keys = tuple[str, ...]


@dataclass(frozen=True)
class PartKeys:
    """The keys of the rows of a part.

    Attributes:
        distinct: what rows have, each once, in the order in which they turn up.
        codes: which of these each row has; None where there is one.
        values: under each key, how many rows have a value that is not null.
    """

    distinct: tuple[Keys, ...]
    codes: npt.NDArray[np.int32] | None
    rows: int
    values: Mapping[str, int]

    @classmethod
    def of(cls, keys: Sequence[Keys], columns: Mapping[str, pa.Array]) -> PartKeys:
        """Those of rows and their columns."""
        numbers = {one: number for number, one in enumerate(dict.fromkeys(keys))}
        codes = None
        if len(numbers) > 1:
            codes = np.fromiter(map(numbers.__getitem__, keys), np.int32, len(keys))
        values = {name: len(column) - column.null_count for name, column in columns.items()}
        return cls(tuple(numbers), codes, len(keys), values)

    @property
    def names(self) -> list[str]:
        """All keys, in the order in which they turn up."""
        return list(dict.fromkeys(name for one in self.distinct for name in one))


class RowKeys:
    """The keys of rows that come part after part, and the nulls in their columns."""

    def __init__(self) -> None:
        self._numbers: dict[Keys, int] = {}
        self._counts: Counter[Keys] = Counter()
        self._values: Counter[str] = Counter()

    def add(self, part: PartKeys) -> None:
        """Takes those of the next rows."""
        counts = [part.rows] if part.codes is None else np.bincount(part.codes).tolist()
        for one, count in zip(part.distinct, counts, strict=True):
            self._numbers.setdefault(one, len(self._numbers))
            self._counts[one] += count
        self._values.update(part.values)

    def finish(self) -> tuple[list[str], list[str], bool]:
        """The columns, in an order that is that of all rows if there is one; those in which null means that a row has
        no such key; and whether that is not enough to write each row as it was, so that a `column` of keys must.
        """
        rows = sum(self._counts.values())
        have: Counter[str] = Counter()
        for keys, count in self._counts.items():
            have.update(dict.fromkeys(keys, count))
        names = list(dict.fromkeys(name for keys in self._numbers for name in keys))
        absent = [name for name in names if have[name] < rows]
        order = self._order(names)
        if order is None or any(self._values[name] < have[name] for name in absent):
            return order or names, [], True
        return order, [name for name in order if name in set(absent)], False

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


def column(part: PartKeys) -> pa.Array:
    """The keys of every row of a part."""
    each = pa.array([list(keys) for keys in part.distinct], pa.list_(pa.string()))
    return each.take(pa.array(np.zeros(part.rows, np.int32) if part.codes is None else part.codes))
