"""The plan of a step: which rows it touches, which op each gets, which new target. Small, global, before any shard.

Rows are ranked by a keyed hash of their id, so the rows at a ratio are among those at a larger one; the op of rank j
depends on the ranks before it alone, so a larger ratio never changes a row's op.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lope_data.errors import NoiseError
from lope_data.inject.rank import Dealer, ranked
from lope_data.noise.op import F64, LabelOp, TextOp
from lope_data.recipe.guard import Guard
from lope_data.recipe.recipe import Step
from lope_data.rows.fields import Targets, inputs_of, targets_of
from lope_data.rows.shapes import ROW_ID
from lope_data.text.buffers import Mask
from lope_data.text.cells import Cells
from lope_data.text.draws import I64, U64, Draw, row_hashes

_PART = 16_384  # rows that are looked at together
_AT_ONCE = 4  # parts for each worker that are in memory, looked at and not yet dealt


@dataclass(frozen=True)
class Deal:
    """What a step does to which rows.

    Attributes:
        rows: the touched rows' places in the dataset, ascending.
        op: for each, an index into `ops`.
        after, detail: for each, the new target and its record where a label op was dealt, else null.
    """

    step: Step
    ops: tuple[str, ...]
    rows: I64
    op: I64
    after: pa.Array
    detail: pa.Array

    def __len__(self) -> int:
        return len(self.rows)

    def part(self, low: int, high: int) -> Deal:
        """The deal of rows low to high, their places counted from low."""
        a, b = np.searchsorted(self.rows, (low, high))
        cut = slice(a, b)
        return Deal(self.step, self.ops, self.rows[cut] - low, self.op[cut], self.after[cut], self.detail[cut])

    def pick(self, places: I64) -> Deal:
        """The deal of the rows at these places, each counted by its position in `places`."""
        position = np.searchsorted(self.rows, places)
        position[position == len(self.rows)] = 0
        hit = np.flatnonzero(self.rows[position] == places) if len(self.rows) else np.empty(0, np.int64)
        taken = pa.array(position[hit])
        return Deal(self.step, self.ops, hit, self.op[position[hit]], self.after.take(taken), self.detail.take(taken))


Current = Callable[[I64], tuple[pa.Table, F64, Mask | None]]


@dataclass(frozen=True)
class OpPlan:
    """What the plan says of one op: rows asked (its weight's share), rows dealt, ranked rows looked at and those of
    them that it could change, why not the others, and the units it is expected to change.
    """

    op: str
    weight: Fraction
    asked: float
    dealt: int
    examined: int
    eligible: int
    needs: str
    expected: float


@dataclass(frozen=True)
class Planner:
    """Plans the steps of a recipe on one dataset.

    Attributes:
        population: the parent's rows.
        hashes: `row_hashes` of their ids, shape (rows,).
        context: (seed, chain depth).
        guard: what noise must leave alone.
        allow_shortfall: touch what can be touched where a ratio cannot be met, instead of refusing.
        workers: threads.
    """

    population: pa.Table
    hashes: U64
    context: tuple[int, int]
    guard: Guard
    allow_shortfall: bool = False
    workers: int = 1

    def plan(self, step: Step, current: Current) -> tuple[Deal, list[OpPlan]]:
        """Plans one step.

        Args:
            current: for rows at given places, what the steps before this one leave, the share of its units that each
                has changed already, shape (rows,), and what was protected in their input texts before these steps.

        Raises:
            NoiseError: fewer rows than asked can be changed by any op of the mix.
        """
        names = tuple(step.weights)
        silent = step.level == 0 and any(isinstance(step.ops[name], TextOp) for name in names)
        wanted = 0 if silent else round(step.ratio * len(self.population))
        order = ranked(self.population, self.hashes, Draw((*self.context, step.name), self.hashes), step.stratify)
        targets = {kind: targets_of(self.population, kind) for kind in sorted(_kinds(step))} if wanted else {}
        dealer = Dealer([step.weights[name] for name in names], names)
        done: list[_Dealt] = []
        examined = changeable = 0
        eligible = np.zeros(len(names), np.int64)
        with ThreadPoolExecutor(self.workers) as threads:
            while changeable < wanted and examined < len(order):
                most = min(max(wanted - changeable, min(examined, 100_000)), _PART * _AT_ONCE * self.workers)
                places = order[examined : examined + most]
                parts = np.array_split(places, -(-len(places) // _PART))
                dealt = []
                for look in threads.map(lambda part: self._look(part, *current(part), targets, step), parts):
                    mine = look.first(wanted - changeable)
                    examined += mine.able.shape[1]
                    changeable += mine.changeable
                    eligible += mine.able.sum(axis=1)
                    dealt.append((mine, dealer.deal(mine.able)))
                done += threads.map(lambda one: self._deal(one[0], one[1], targets, step), dealt)
        if changeable < wanted and not self.allow_shortfall:
            raise NoiseError(
                f"step {step.name!r} asks for {wanted} rows (ratio {step.ratio:g} of {len(self.population)}), but its "
                f"mix can change only {changeable}; lower the ratio, add ops that apply to these rows, or take "
                "what there is with --allow-shortfall"
            )
        touched = _Dealt.join(done)
        plans = [
            OpPlan(
                op=name,
                weight=step.weights[name],
                asked=float(step.weights[name] * wanted),
                dealt=int((touched.op == i).sum()),
                examined=examined,
                eligible=int(eligible[i]),
                needs=step.ops[name].needs + (self.guard.about if isinstance(step.ops[name], TextOp) else ""),
                expected=float(touched.expected[touched.op == i].sum()),
            )
            for i, name in enumerate(names)
        ]
        return Deal(step, names, touched.places, touched.op, touched.after, touched.detail), plans

    def _look(
        self,
        places: I64,
        rows: pa.Table,
        spent: F64,
        protected: Mask | None,
        targets: dict[str, Targets],
        step: Step,
    ) -> _Look:
        """Which ops can change the rows at some places."""
        cells = self.guard.bar(inputs_of(rows).cells(), protected)
        share = self.guard.share(spent)
        mine = {kind: targets_of(rows, kind) for kind in targets}
        able = np.zeros((len(step.weights), len(places)), np.bool_)
        for i, name in enumerate(step.weights):
            op = step.ops[name]
            params = step.params_of(name)
            if isinstance(op, TextOp):
                able[i] = op.can(cells, params, share)
            elif len(mine[op.kind].places):
                some = mine[op.kind]
                able[i, some.places] = op.can(some.table, targets[op.kind].table, self._draw(step, name, some), params)
        return _Look(places, able, rows, cells, share)

    def _deal(self, look: _Look, op: I64, targets: dict[str, Targets], step: Step) -> _Dealt:
        """What becomes of the rows that were dealt an op, of all that were looked at: the units that it is expected to
        change, and the new target and the record of it where it is a label op, else null.
        """
        touched = np.flatnonzero(op >= 0)
        expected = np.ones(len(op))
        index = np.zeros(len(op), np.int64)
        after, detail = [pa.nulls(1, pa.large_string())], [pa.nulls(1, pa.large_string())]
        for i, name in enumerate(step.weights):
            mine, dealt, params = np.flatnonzero(op == i), step.ops[name], step.params_of(name)
            if not len(mine):
                continue
            if isinstance(dealt, TextOp):
                share = None if look.share is None else look.share[mine]
                expected[mine] = dealt.expected(dealt.ground(look.cells.take(mine), params, share), step.level)
                continue
            some = targets_of(look.rows.take(pa.array(mine)), dealt.kind)
            new, said = dealt.propose(some.table, targets[dealt.kind].table, self._draw(step, name, some), params)
            assert len(new) == len(mine)
            if new.null_count:  # only an op of a user's own can do that
                raise NoiseError(f"{name} gives no new target for a row that it said it could change")
            index[mine] = sum(map(len, after)) + np.arange(len(mine))
            after.append(new.cast(pa.large_string()))
            detail.append(said.cast(pa.large_string()))
        taken = pa.array(index[touched])
        texts = (pa.concat_arrays(some).take(taken) for some in (after, detail))
        return _Dealt(look.places[touched], op[touched], expected[touched], *texts)

    def _draw(self, step: Step, op: str, targets: Targets) -> Draw:
        return Draw((*self.context, step.name, op), row_hashes(targets.table[ROW_ID]))


def _kinds(step: Step) -> set[str]:
    return {op.kind for op in step.ops.values() if isinstance(op, LabelOp)}


@dataclass(frozen=True)
class _Look:
    """Ranked rows at some `places`, and, of shape (ops, rows), whether each op can change them.

    `rows`, `cells` and `share` are of all rows of the part, of which `able` may have but the first.
    """

    places: I64
    able: npt.NDArray[np.bool_]
    rows: pa.Table
    cells: Cells
    share: F64 | None

    @property
    def changeable(self) -> int:
        return int(self.able.any(axis=0).sum())

    def first(self, wanted: int) -> _Look:
        """The same, cut after the last row that is needed."""
        changeable = np.flatnonzero(self.able.any(axis=0))[:wanted]
        if len(changeable) < wanted:
            return self
        end = int(changeable[-1]) + 1 if wanted else 0
        return replace(self, places=self.places[:end], able=self.able[:, :end])


@dataclass(frozen=True)
class _Dealt:
    """Touched rows, ascending where `join` made it; the attributes are those of `Deal`, with the expected units."""

    places: I64
    op: I64
    expected: F64
    after: pa.Array
    detail: pa.Array

    @classmethod
    def join(cls, parts: Sequence[_Dealt]) -> _Dealt:
        if not parts:
            none = pa.nulls(0, pa.large_string())
            return cls(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), none, none)
        places = np.concatenate([part.places for part in parts])
        order = np.argsort(places)
        op, expected = (np.concatenate([getattr(part, name) for part in parts])[order] for name in ("op", "expected"))
        after, detail = (pa.concat_arrays([getattr(part, name) for part in parts]) for name in ("after", "detail"))
        taken = pa.array(order)
        return cls(places[order], op, expected, after.take(taken), detail.take(taken))
