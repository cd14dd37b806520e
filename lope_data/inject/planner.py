"""The plan of a step: which rows it touches, which op each gets, which new target. Small, global, before any shard.

Rows are ranked by a keyed hash of their id, so the rows at a ratio are among those at a larger one; the op of rank j
depends on the ranks before it alone, so a larger ratio never changes a row's op.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lope_data.errors import NoiseError
from lope_data.inject.rank import deal, ranked
from lope_data.noise.op import F64, LabelOp, TextOp
from lope_data.recipe.guard import Guard
from lope_data.recipe.recipe import Step
from lope_data.rows.fields import Targets, inputs_of, targets_of
from lope_data.rows.shapes import ROW_ID
from lope_data.text.buffers import Mask
from lope_data.text.draws import I64, U64, Draw, row_hashes

_PART = 16_384  # rows that are examined at a time


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
        block = _Block.empty(len(names))
        targets = {kind: targets_of(self.population, kind) for kind in sorted(_kinds(step))} if wanted else {}
        seen = 0
        while block.changeable < wanted and seen < len(order):
            places = order[seen : seen + max(wanted - block.changeable, min(seen, 100_000))]
            parts = np.array_split(places, -(-len(places) // _PART))
            with ThreadPoolExecutor(self.workers) as threads:
                blocks = threads.map(lambda part: self._examine(part, *current(part), targets, step), parts)
                block = _Block.join([block, *blocks])
            seen += len(places)
        if block.changeable < wanted and not self.allow_shortfall:
            raise NoiseError(
                f"step {step.name!r} asks for {wanted} rows (ratio {step.ratio:g} of {len(self.population)}), but its "
                f"mix can change only {block.changeable}; lower the ratio, add ops that apply to these rows, or take "
                "what there is with --allow-shortfall"
            )
        block = block.first(wanted)
        dealt = deal([step.weights[name] for name in names], names, block.able)
        touched = np.flatnonzero(dealt >= 0)
        touched = touched[np.argsort(block.places[touched])]
        places, op = block.places[touched], dealt[touched]
        after, detail = self._new_targets(places, op, current, targets, step)
        plans = [
            OpPlan(
                op=name,
                weight=step.weights[name],
                asked=float(step.weights[name] * wanted),
                dealt=int((op == i).sum()),
                examined=len(block.places),
                eligible=int(block.able[i].sum()),
                needs=step.ops[name].needs + (self.guard.about if isinstance(step.ops[name], TextOp) else ""),
                expected=float(block.expected[i][touched[op == i]].sum()),
            )
            for i, name in enumerate(names)
        ]
        return Deal(step, names, places, op, after, detail), plans

    def _examine(
        self,
        places: I64,
        rows: pa.Table,
        spent: F64,
        protected: Mask | None,
        targets: dict[str, Targets],
        step: Step,
    ) -> _Block:
        """Which ops can change the rows at some places, and the units that they would be expected to change."""
        cells = self.guard.bar(inputs_of(rows).cells(), protected)
        share = self.guard.share(spent)
        mine = {kind: targets_of(rows, kind) for kind in targets}
        able = np.zeros((len(step.weights), len(places)), np.bool_)
        expected = np.ones(able.shape)
        for i, name in enumerate(step.weights):
            op = step.ops[name]
            params = step.params_of(name)
            if isinstance(op, TextOp):
                ground = op.ground(cells, params, share)
                able[i] = ground.room > 0
                expected[i] = op.expected(ground, step.level)
            elif len(mine[op.kind].places):
                some = mine[op.kind]
                able[i, some.places] = op.can(some.table, targets[op.kind].table, self._draw(step, name, some), params)
        return _Block(places, able, expected)

    def _new_targets(
        self, places: I64, op: I64, current: Current, targets: dict[str, Targets], step: Step
    ) -> tuple[pa.Array, pa.Array]:
        """For each touched row, if it was dealt a label op, its new target and the record of it, else null."""
        after, detail = [pa.nulls(1, pa.large_string())], [pa.nulls(1, pa.large_string())]
        index = np.zeros(len(places), np.int64)
        for i, name in enumerate(step.weights):
            label_op, mine = step.ops[name], np.flatnonzero(op == i)
            if not isinstance(label_op, LabelOp) or not len(mine):
                continue
            some = targets_of(current(places[mine])[0], label_op.kind)
            draw = self._draw(step, name, some)
            new, said = label_op.propose(some.table, targets[label_op.kind].table, draw, step.params_of(name))
            assert len(new) == len(mine)
            if new.null_count:  # only an op of a user's own can do that
                raise NoiseError(f"{name} gives no new target for a row that it said it could change")
            index[mine] = sum(map(len, after)) + np.arange(len(mine))
            after.append(new.cast(pa.large_string()))
            detail.append(said.cast(pa.large_string()))
        taken = pa.array(index)
        return pa.concat_arrays(after).take(taken), pa.concat_arrays(detail).take(taken)

    def _draw(self, step: Step, op: str, targets: Targets) -> Draw:
        return Draw((*self.context, step.name, op), row_hashes(targets.table[ROW_ID]))


def _kinds(step: Step) -> set[str]:
    return {op.kind for op in step.ops.values() if isinstance(op, LabelOp)}


@dataclass(frozen=True)
class _Block:
    """Ranked rows and, of shape (ops, rows), whether each op can change them, and the units it would."""

    places: I64
    able: npt.NDArray[np.bool_]
    expected: npt.NDArray[np.float64]

    @classmethod
    def empty(cls, ops: int) -> _Block:
        return cls(np.empty(0, np.int64), np.empty((ops, 0), np.bool_), np.empty((ops, 0)))

    @classmethod
    def join(cls, blocks: Sequence[_Block]) -> _Block:
        return cls(
            np.concatenate([block.places for block in blocks]),
            np.concatenate([block.able for block in blocks], axis=1),
            np.concatenate([block.expected for block in blocks], axis=1),
        )

    @property
    def changeable(self) -> int:
        return int(self.able.any(axis=0).sum())

    def first(self, wanted: int) -> _Block:
        """The block cut after the last row that is needed."""
        changeable = np.flatnonzero(self.able.any(axis=0))[:wanted]
        if len(changeable) < wanted:
            return self
        end = int(changeable[-1]) + 1 if wanted else 0
        return _Block(self.places[:end], self.able[:, :end], self.expected[:, :end])
