"""The registry of noise ops. An op is one decorated function; what is counted, drawn and recorded is done here.

A *text op* is given the units that were hit and says what stands there afterwards. A *label op* is given whole rows
and says what their target becomes. Neither selects rows, counts or writes records: `plan` and `shard` do.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from lope_common.errors import suggest
from lope_data.errors import RecipeError
from lope_data.text import kernels
from lope_data.text.buffers import Mask, binary
from lope_data.text.cells import Cells
from lope_data.text.draws import I64, Draw, choose, choose_apart, choose_last
from lope_data.text.edits import Edits
from lope_data.text.spans import Spans

LEVELS = ("char", "word", "label", "structure", "nlpaug")
DEFAULT_LEVELS = ("char", "word", "label")  # the default mix

F64 = npt.NDArray[np.float64]
Propose = Callable[[pa.Table, pa.Table, Draw, Any], tuple[pa.Array, pa.Array]]
Able = Callable[[pa.Table, pa.Table, Draw, Any], Mask]
_PICKS = {"anywhere": choose, "apart": choose_apart, "last": choose_last}


class Params(BaseModel):
    """Parameters of an op; the base has none."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


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
        named: whether it is part of a mix only by its own name, not as one of its level.
        certain: whether every hit changes something, so that no edit need be compared with what it replaces.
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
    named: bool
    certain: bool

    def ground(self, cells: Cells, params: Params, share: F64 | None = None) -> Ground:
        """What the op finds in a batch.

        Args:
            share: the largest share of its units that each row may change, shape (rows,).
        """
        spans = cells.open(self.units(cells, params))
        size = spans.count if self.counted is None else cells.open(self.counted(cells, params)).count
        room = np.maximum(spans.count - self.keep, 0)
        if self.pick == "apart":
            room = (room + 1) // 2
        if share is not None:
            room = np.minimum(room, np.floor(share * size / self.per_hit + 1e-9).astype(np.int64))
        return Ground(spans, size, np.where(room >= self.least, room, 0))

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
        row, index = _PICKS[self.pick](draw, ground.spans.count, hits, "units")
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

    unit = "target"
    named = False

    def can(self, rows: pa.Table, population: pa.Table, draw: Draw, params: Params) -> Mask:
        """Which of the rows get a new target, shape (rows,)."""
        if self.able is not None:
            return self.able(rows, population, draw, params)
        after, _ = self.propose(rows, population, draw, params)
        return np.asarray(after.is_valid())


Op = TextOp | LabelOp

_ops: dict[str, Op] = {}


def _register(new: Op) -> None:
    assert new.name not in _ops, new.name
    assert level_of(new.name) in LEVELS, new.name
    _ops[new.name] = new
    ops.cache_clear()


def text_op(
    name: str,
    *,
    version: int,
    unit: str,
    units: Callable[[Cells, Any], Spans],
    needs: str,
    params: type[Params] = Params,
    least: int = 1,
    keep: int = 0,
    per_hit: int = 1,
    pick: str = "anywhere",
    counted: Callable[[Cells, Any], Spans] | None = None,
    table: Callable[[Any], bytes] | None = None,
    named: bool = False,
    certain: bool = False,
) -> Callable[[Callable[[Hits, Any], Edits]], Callable[[Hits, Any], Edits]]:
    """Registers a text op; see `TextOp`. The first line of the function's docstring is its summary."""
    assert pick in _PICKS, pick

    def decorate(function: Callable[[Hits, Any], Edits]) -> Callable[[Hits, Any], Edits]:
        summary, details = _docs(function)
        _register(
            TextOp(
                name=name,
                version=version,
                summary=summary,
                details=details,
                unit=unit,
                units=units,
                edit=function,
                params=params,
                needs=needs,
                least=least,
                keep=keep,
                per_hit=per_hit,
                pick=pick,
                counted=counted,
                table=table,
                named=named,
                certain=certain,
            )
        )
        return function

    return decorate


def label_op(
    name: str, *, version: int, kind: str, needs: str, params: type[Params] = Params, able: Able | None = None
) -> Callable[[Propose], Propose]:
    """Registers a label op; see `LabelOp`."""

    def decorate(function: Propose) -> Propose:
        summary, details = _docs(function)
        _register(LabelOp(name, version, summary, details, kind, function, able, params, needs))
        return function

    return decorate


def _docs(function: Callable[..., Any]) -> tuple[str, str]:
    """The first line of a docstring, and the rest of it as one paragraph a blank line."""
    assert function.__doc__, function
    first, _, rest = inspect.cleandoc(function.__doc__).partition("\n")
    return first.rstrip("."), "\n\n".join(" ".join(part.split()) for part in rest.strip().split("\n\n") if part)


@cache
def ops() -> Mapping[str, Op]:
    """Every registered op, level after level, by name within a level."""
    importlib.import_module("lope_data.noise.ops")
    return dict(sorted(_ops.items(), key=lambda item: (LEVELS.index(level_of(item[0])), item[0])))


def level_of(name: str) -> str:
    """The level of an op: the part of its name before the dot."""
    return name.partition(".")[0]


def members(level: str) -> list[str]:
    """The ops that a level stands for in a mix."""
    return [name for name, op in ops().items() if level_of(name) == level and not op.named]


def op_version(op: Op, params: Params) -> str:
    """The op's version, with a hash of the table that it reads, if any: when either changes, so may its output."""
    table = op.table(params) if isinstance(op, TextOp) and op.table else None
    return str(op.version) if table is None else f"{op.version}+{hashlib.sha256(table).hexdigest()[:8]}"


def get_op(name: str) -> Op:
    """The op of that name.

    Raises:
        RecipeError: there is none; the nearest name is suggested.
    """
    known = ops()
    if name not in known:
        raise RecipeError(f"unknown op {name!r}{suggest(name, known)}")
    return known[name]
