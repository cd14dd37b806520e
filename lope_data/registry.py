"""The registry of noise ops. An op is one decorated function; what is counted, drawn and recorded is done here.

A *text op* is given the units that were hit and says what stands there afterwards. A *label op* is given whole rows
and says what their target becomes. Neither selects rows, counts or writes records: `plan` and `shard` do.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from lope_data.cells import Cells, Spans, binary
from lope_data.edits import Edits
from lope_data.errors import RecipeError, suggest
from lope_data.rng import I64, Draw, choose, choose_apart

LEVELS = ("char", "word", "label")


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
        return self.draw.below(bound, purpose, self.row, self.counter)

    def text(self) -> pa.Array:
        """The bytes of each hit, large_binary."""
        return self.cells.text(self.start, self.end)

    def nothing(self) -> pa.Array:
        """An empty replacement for each hit."""
        return binary(np.zeros(len(self.row) + 1, np.int64), b"")

    def replace(self, after: pa.Array, detail: pa.Array | None = None) -> Edits:
        """Edits that put `after` (large_binary, one a hit) in the hits' place."""
        return Edits(self.row, self.cells.cell_of(self.start), self.start, self.end, after, detail)


@dataclass(frozen=True)
class TextOp:
    """Noise on the input text of a row, in units of which a share `level` is changed.

    Attributes:
        unit: what is counted, in the singular.
        units: the spans of a batch that the op can change.
        edit: what it makes of those that were hit, at least one; it may leave some as they are.
        least: the fewest units that it can change at once; a dealt row always changes.
        keep: units of a row that must stay.
        per_hit: units that one hit changes (a swap changes two).
        apart: whether no two hits may be neighbours among the units.
        table: the bytes of the table that the op reads, if any; they count as part of its version.
    """

    name: str
    version: int
    summary: str
    unit: str
    units: Callable[[Cells, Any], Spans]
    edit: Callable[[Hits, Any], Edits]
    params: type[Params]
    needs: str
    least: int
    keep: int
    per_hit: int
    apart: bool
    table: Callable[[], bytes] | None

    def room(self, spans: Spans) -> I64:
        """The most hits that each row can take, shape (rows,)."""
        room = np.maximum(spans.count - self.keep, 0)
        if self.apart:
            room = (room + 1) // 2
        return np.where(room >= self.least, room, 0)

    def expected(self, spans: Spans, level: float) -> npt.NDArray[np.float64]:
        """Units that each row is expected to change at `level`, under the floor of `least` hits."""
        hits = np.minimum(np.maximum(spans.size * level / self.per_hit, self.least), self.room(spans))
        return hits * self.per_hit

    def apply(self, cells: Cells, draw: Draw, level: float, params: Params) -> tuple[Edits, Spans]:
        """The edits of a batch of rows, each of which has room, and the units they were drawn from."""
        spans = self.units(cells, params)
        target = spans.size * level / self.per_hit
        hits = np.floor(target + draw.unit("rounding")).astype(np.int64)
        hits = np.minimum(np.maximum(hits, self.least), self.room(spans))
        pick = choose_apart if self.apart else choose
        row, place = pick(draw, spans.count, hits, "units")
        if not len(row):
            return Edits.none(), spans
        edits = self.edit(Hits(cells, spans, row, spans.first[row] + place, draw), params)
        return edits.effective(cells), spans


@dataclass(frozen=True)
class LabelOp:
    """Noise on the target of a row of one shape; its unit is the row's target, and level does not apply.

    `propose(rows, population, draw, params)` gives, for each row, the new target as text (null where it cannot be
    changed) and a detail for the record or null.
    """

    name: str
    version: int
    summary: str
    shape: str
    column: str
    propose: Callable[[pa.Table, pa.Table, Draw, Any], tuple[pa.Array, pa.Array]]
    params: type[Params]
    needs: str

    unit = "target"


Op = TextOp | LabelOp

_ops: dict[str, Op] = {}


def _register(new: Op) -> None:
    assert new.name not in _ops, new.name
    assert level_of(new.name) in LEVELS, new.name
    _ops[new.name] = new


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
    apart: bool = False,
    table: Callable[[], bytes] | None = None,
) -> Callable[[Callable[[Hits, Any], Edits]], Callable[[Hits, Any], Edits]]:
    """Registers a text op; see `TextOp`. The first line of the function's docstring is its summary."""

    def decorate(function: Callable[[Hits, Any], Edits]) -> Callable[[Hits, Any], Edits]:
        _register(
            TextOp(
                name=name,
                version=version,
                summary=_summary(function),
                unit=unit,
                units=units,
                edit=function,
                params=params,
                needs=needs,
                least=least,
                keep=keep,
                per_hit=per_hit,
                apart=apart,
                table=table,
            )
        )
        return function

    return decorate


Propose = Callable[[pa.Table, pa.Table, Draw, Any], tuple[pa.Array, pa.Array]]


def label_op(
    name: str, *, version: int, shape: str, column: str, needs: str, params: type[Params] = Params
) -> Callable[[Propose], Propose]:
    """Registers a label op; see `LabelOp`."""

    def decorate(function: Propose) -> Propose:
        _register(LabelOp(name, version, _summary(function), shape, column, function, params, needs))
        return function

    return decorate


def _summary(function: Callable[..., Any]) -> str:
    assert function.__doc__, function
    return function.__doc__.splitlines()[0].rstrip(".")


def ops() -> Mapping[str, Op]:
    """Every registered op by name, level after level."""
    importlib.import_module("lope_data.noise")
    return dict(sorted(_ops.items(), key=lambda item: LEVELS.index(level_of(item[0]))))


def level_of(name: str) -> str:
    """The level of an op: the part of its name before the dot."""
    return name.partition(".")[0]


def op_version(op: Op) -> str:
    """The op's version, with a hash of the table that it reads, if any: when either changes, so may its output."""
    table = op.table() if isinstance(op, TextOp) and op.table else None
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
