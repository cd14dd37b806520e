"""What was realised, counted shard by shard: mergeable sums of integers, so that no cut into shards can change them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cpdist

from lope_common.intervals import ratio_interval
from lope_data.text.cells import Cells
from lope_data.text.draws import I64
from lope_data.text.edits import cells_text

LONGEST = 4096  # characters of a text whose edit distance is measured: the cost grows with their square


@dataclass
class Count:
    """Sums over the rows that one op of one step was dealt.

    Attributes:
        units, changed: the units that the level is a share of, and those that changed.
        units2, changed2, cross: sums of their squares and products, for the interval.
        characters, distance: code points before, and the Levenshtein distance to what came out, of texts of at most
            `LONGEST` characters; `unmeasured` counts the others.
    """

    rows: int = 0
    units: int = 0
    changed: int = 0
    units2: int = 0
    changed2: int = 0
    cross: int = 0
    characters: int = 0
    distance: int = 0
    unmeasured: int = 0

    def add(self, other: Count) -> None:
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    @property
    def level(self) -> float | None:
        """The realised level: the share of all units that changed."""
        return self.changed / self.units if self.units else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """A 95 % interval for the realised level over rows like these: the ratio estimator's, rows being drawn."""
        return ratio_interval(self.rows, self.units, self.changed, self.units2, self.changed2, self.cross)

    @property
    def cer(self) -> float | None:
        """The character error rate of what was measured."""
        return self.distance / self.characters if self.characters else None


@dataclass
class Tally:
    """A count for each (step, op)."""

    counts: dict[tuple[str, str], Count] = field(default_factory=lambda: defaultdict(Count))

    @classmethod
    def of(cls, plain: Iterable[Any]) -> Tally:
        """A tally from what `plain` gave."""
        return cls(defaultdict(Count, {(step, op): Count(**count) for step, op, count in plain}))

    def plain(self) -> list[Any]:
        """The same as plain data."""
        return [[step, op, vars(count)] for (step, op), count in self.counts.items()]

    def add(self, other: Tally) -> None:
        for key, count in other.counts.items():
            self.counts[key].add(count)

    def text(self, key: tuple[str, str], units: I64, changed: I64, cells: Cells, noisy: pa.Array) -> None:
        """Counts a text op: units and changed units of each row, and its cells before and after."""
        count = Count(
            rows=len(units),
            units=int(units.sum()),
            changed=int(changed.sum()),
            units2=int((units**2).sum()),
            changed2=int((changed**2).sum()),
            cross=int((units * changed).sum()),
        )
        before = cells_text(cells)
        length, new_length = pc.utf8_length(before), pc.utf8_length(noisy)
        short = pc.less_equal(pc.max_element_wise(length, new_length), LONGEST)
        count.unmeasured = len(before) - int(pc.sum(short).as_py() or 0)
        count.characters = int(pc.sum(length.filter(short)).as_py() or 0)
        pairs = before.filter(short).to_pylist(), noisy.filter(short).to_pylist()
        if pairs[0]:
            count.distance = int(np.sum(cpdist(*pairs, scorer=Levenshtein.distance, dtype=np.int64)))
        self.counts[key].add(count)

    def labels(self, key: tuple[str, str], rows: int) -> None:
        """Counts a label op: each row is one unit, which changed."""
        self.counts[key].add(Count(rows, rows, rows, rows, rows, rows))
