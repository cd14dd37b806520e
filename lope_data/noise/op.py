"""What an op is: a text op is given the units that were hit, a label op whole targets; what is drawn is drawn here.

A *text op* says what stands in the place of the units that were hit. A *label op* says what a row's target becomes.
Neither selects rows, counts or writes records: `lope_data.inject` does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from lope_data.text import kernels
from lope_data.text.buffers import Mask, binary
from lope_data.text.cells import Cells
from lope_data.text.draws import I64, Draw, choose, choose_apart, choose_last
from lope_data.text.edits import Edits
from lope_data.text.spans import Spans

F64 = npt.NDArray[np.float64]
Propose = Callable[[pa.Table, pa.Table, Draw, Any], tuple[pa.Array, pa.Array]]
Able = Callable[[pa.Table, pa.Table, Draw, Any], Mask]
PICKS = {"anywhere": choose, "apart": choose_apart, "last": choose_last}


class Params(BaseModel):
    """Parameters of an op; the base has none."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


@dataclass(frozen=True)
class Origin:
    """Where an op of a user's own was defined.

    Attributes:
        module: the name of the module, or of its file where it was imported as a file: no path of a machine.
        file: the file; None where there is none, as in a notebook.
        sha256: of its source when it was imported, see `origin.sources`; None where there is none.
        roots: the modules that define it, the main one first.
        modules: those of its source.
    """

    module: str
    file: Path | None
    sha256: str | None
    roots: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()


@dataclass(frozen=True)
class Hits:
    """The units of a batch that an op was told to change: `index` into `units`, `row` of the batch, both ascending."""

    cells: Cells
    units: Spans
    row: I64
    index: I64
    draw: Draw

    @cached_property
    def start(self) -> I64:
        return self.units.starts(self.index)

    @cached_property
    def end(self) -> I64:
        return self.units.ends(self.index)

    @cached_property
    def counter(self) -> I64:
        """The place of each hit's unit in its row: a counter for draws that no batch can change."""
        return self.index - self.units.first[self.row]

    def below(self, bound: I64 | int, purpose: str) -> I64:
        """A uniform integer in [0, bound) for each hit."""
        return kernels.draws_below(
            self.draw.keys(purpose), self.row, self.index, self.units.first, np.asarray(bound, np.int64).reshape(-1)
        )

    def text(self) -> pa.Array:
        """The bytes of each hit, large_binary."""
        return self.cells.text(self.start, self.end)

    def nothing(self) -> pa.Array:
        """An empty replacement for each hit."""
        return binary(np.zeros(len(self.row) + 1, np.int64), b"")

    @cached_property
    def cell(self) -> I64:
        """The cell of each hit."""
        return self.row if self.cells.one_a_row else self.cells.cell_of(self.start)

    def replace(self, after: pa.Array, detail: pa.Array | None = None) -> Edits:
        """Edits that put `after` (large_binary, one a hit) in the hits' place."""
        return Edits(self.row, self.cell, self.start, self.end, after, detail)


@dataclass(frozen=True)
class Ground:
    """What an op finds in a batch: the spans it can change, and for each row, shape (rows,),

    Attributes:
        size: the units that a level is a share of.
        room: the most hits it can take; 0 where the row cannot be changed.
        lost: how many hits, over all rows, changed nothing.
    """

    spans: Spans
    size: I64
    room: I64
    lost: int = 0


@dataclass(frozen=True)
class TextOp:
    """Noise on the input text of a row, in units of which a share `level` is changed.

    Attributes:
        unit: what is counted, in the singular.
        units: the spans of a batch that the op can change.
        edit: what it makes of those that were hit, at least one; it may leave some as they are.
        least: the fewest units that it can change at once.
        keep: units of a row that must stay.
        per_hit: units that one hit changes (a swap changes two).
        pick: which units are hit: `anywhere`, `apart` (no two hits are neighbours among the units) or `last`.
        counted: the units that a level is a share of, where they are not `units`.
        table: the bytes of the table that the op reads, if any; they count as part of its version.
        certain: whether every hit changes something, so that no edit need be compared with what it replaces.
        local: whether a text has all units of its head (`Cells.heads`), whatever comes after it.
        origin: where it was defined; None for an op of lope_data.
    """

    name: str
    version: int
    summary: str
    details: str
    unit: str
    units: Callable[[Cells, Any], Spans]
    edit: Callable[[Hits, Any], Edits]
    params: type[Params]
    needs: str
    least: int
    keep: int
    per_hit: int
    pick: str
    counted: Callable[[Cells, Any], Spans] | None
    table: Callable[[Any], bytes] | None
    certain: bool
    local: bool
    origin: Origin | None

    def can(self, cells: Cells, params: Params, share: F64 | None = None) -> Mask:
        """Which rows the op can change, shape (rows,): those that have room in `ground`, from the same arguments."""
        if share is not None or not self.local:
            return self.ground(cells, params, share).room > 0
        heads, whole = cells.heads
        able: Mask = self._room(heads.open(self.units(heads, params))) > 0
        rest = np.flatnonzero(~able & ~whole)
        if len(rest):
            some = cells.take(rest)
            able[rest] = self._room(some.open(self.units(some, params))) > 0
        return able

    def ground(self, cells: Cells, params: Params, share: F64 | None = None) -> Ground:
        """What the op finds in a batch.

        Args:
            share: the largest share of its units that each row may change, shape (rows,).
        """
        spans = cells.open(self.units(cells, params))
        size = spans.count if self.counted is None else cells.open(self.counted(cells, params)).count
        most = None if share is None else np.floor(share * size / self.per_hit + 1e-9).astype(np.int64)
        return Ground(spans, size, self._room(spans, most))

    def _room(self, spans: Spans, most: I64 | None = None) -> I64:
        """Hits for each row, shape (rows,), at most `most`; 0 where there are fewer than `least`."""
        room = np.maximum(spans.count - self.keep, 0)
        if self.pick == "apart":
            room = (room + 1) // 2
        if most is not None:
            room = np.minimum(room, most)
        return np.where(room >= self.least, room, 0)

    def expected(self, ground: Ground, level: float) -> F64:
        """Units that each row is expected to change at `level`, under the floor of `least` hits."""
        hits = np.minimum(np.maximum(ground.size * level / self.per_hit, self.least), ground.room)
        return hits * self.per_hit

    def apply(
        self, cells: Cells, draw: Draw, level: float, params: Params, share: F64 | None = None, *, floor: bool = True
    ) -> tuple[Edits, Ground]:
        """The edits of a batch of rows, and what they were drawn from.

        Args:
            share: as for `ground`.
            floor: whether each row that has room takes `least` hits or more; else the hits are a stochastic rounding
                of level * size, and may be none.
        """
        ground = self.ground(cells, params, share)
        target = ground.size * level / self.per_hit
        rounding = draw.unit("rounding")
        hits = np.floor(target + rounding).astype(np.int64)
        few = target < self.least
        hits[few] = (
            self.least if floor else np.where(rounding[few] * self.least >= self.least - target[few], self.least, 0)
        )
        hits = np.minimum(hits, ground.room)
        row, index = PICKS[self.pick](draw, ground.spans.count, hits, "units")
        if not len(row):
            return Edits.none(), ground
        edits = self.edit(Hits(cells, ground.spans, row, index, draw), params)
        if not self.certain:
            edits = edits.effective(cells)
        return edits, replace(ground, lost=len(row) - len(edits))


@dataclass(frozen=True)
class LabelOp:
    """Noise on the target of a row; its unit is the row's target, and level does not apply.

    `propose(rows, population, draw, params)` is given targets (see `fields.Targets.table`) and gives, for each of the
    rows, the new target as text (null where it cannot be changed) and a detail for the record or null.

    Attributes:
        kind: what it can change: a `response`, a `choice` or a `class`.
        able: which rows `propose` would give a new target, from the same arguments, where that is had for less.
        origin: where it was defined; None for an op of lope_data.
    """

    name: str
    version: int
    summary: str
    details: str
    kind: str
    propose: Propose
    able: Able | None
    params: type[Params]
    needs: str
    origin: Origin | None

    unit = "target"

    def can(self, rows: pa.Table, population: pa.Table, draw: Draw, params: Params) -> Mask:
        """Which of the rows get a new target, shape (rows,)."""
        if self.able is not None:
            return self.able(rows, population, draw, params)
        after, _ = self.propose(rows, population, draw, params)
        return np.asarray(after.is_valid())


Op = TextOp | LabelOp
