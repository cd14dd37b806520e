"""The plan of a step: which rows it touches, which op each gets, which new target. Small, global, before any shard.

Rows are ranked by a keyed hash of their id, so the rows at a ratio are among those at a larger one; the op of rank j
depends on the ranks before it alone, so a larger ratio never changes a row's op.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lope_data.buffers import Mask
from lope_data.errors import NoiseError
from lope_data.fields import Targets, inputs_of, targets_of
from lope_data.guard import Guard
from lope_data.rank import ranked
from lope_data.recipe import Step
from lope_data.registry import F64, LEVELS, LabelOp, TextOp, get_op, level_of
from lope_data.rng import I64, U64, Draw, row_hashes
from lope_data.shapes import ROW_ID


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
    """

    population: pa.Table
    hashes: U64
    context: tuple[int, int]
    guard: Guard
    allow_shortfall: bool = False

    def plan(self, step: Step, current: Current) -> tuple[Deal, list[OpPlan]]:
        """Plans one step.

        Args:
            current: for rows at given places, what the steps before this one leave, the share of its units that each
                has changed already, shape (rows,), and what was protected in their input texts before these steps.

        Raises:
            NoiseError: fewer rows than asked can be changed by any op of the mix.
        """
        names = tuple(step.weights)
        silent = step.level == 0 and any(isinstance(get_op(name), TextOp) for name in names)
        wanted = 0 if silent else round(step.ratio * len(self.population))
        order = ranked(self.population, self.hashes, Draw((*self.context, step.name), self.hashes), step.stratify)
        block = _Block.empty(len(names))
        targets = {kind: targets_of(self.population, kind) for kind in sorted(_kinds(names))} if wanted else {}
        seen = 0
        while block.changeable < wanted and seen < len(order):
            places = order[seen : seen + max(wanted - block.changeable, min(seen, 100_000))]
            block = block.join(self._examine(places, *current(places), targets, step))
            seen += len(places)
        if block.changeable < wanted and not self.allow_shortfall:
            raise NoiseError(
                f"step {step.name!r} asks for {wanted} rows (ratio {step.ratio:g} of {len(self.population)}), but its "
                f"mix can change only {block.changeable}; lower the ratio, add ops that apply to these rows, or take "
                "what there is with --allow-shortfall"
            )
        block = block.first(wanted)
        dealt = deal([step.weights[name] for name in names], names, block.able)
        return _finish(block, dealt, names, step, wanted, self.guard.about)

    def _examine(
        self,
        places: I64,
        rows: pa.Table,
        spent: F64,
        protected: Mask | None,
        targets: dict[str, Targets],
        step: Step,
    ) -> _Block:
        cells = self.guard.bar(inputs_of(rows).cells(), protected)
        share = self.guard.share(spent)
        size = len(places)
        able = np.zeros((len(step.weights), size), np.bool_)
        expected = np.zeros(able.shape)
        after = [pa.nulls(size, pa.large_string()) for _ in step.weights]
        detail = list(after)
        for i, name in enumerate(step.weights):
            op = get_op(name)
            params = step.params_of(name)
            if isinstance(op, TextOp):
                ground = op.ground(cells, params, share)
                able[i] = ground.room > 0
                expected[i] = op.expected(ground, step.level)
            else:
                key = (*self.context, step.name, name)
                after[i], detail[i] = _propose(op, rows, targets[op.kind], params, key)
                able[i] = np.asarray(after[i].is_valid())
                expected[i] = 1
        return _Block(places, able, expected, after, detail)


def _kinds(names: tuple[str, ...]) -> set[str]:
    return {op.kind for op in map(get_op, names) if isinstance(op, LabelOp)}


def _propose(
    op: LabelOp, rows: pa.Table, population: Targets, params: object, context: tuple[str | int, ...]
) -> tuple[pa.Array, pa.Array]:
    """The op's proposals for rows that have a target of its kind, null for the others."""
    mine = targets_of(rows, op.kind)
    if not len(mine.places):
        return pa.nulls(len(rows), pa.large_string()), pa.nulls(len(rows), pa.large_string())
    draw = Draw(context, row_hashes(mine.table[ROW_ID]))
    after, detail = op.propose(mine.table, population.table, draw, params)
    back = np.full(len(rows), -1)
    back[mine.places] = np.arange(len(mine.places))
    places = pa.array(back, mask=back < 0)
    return after.cast(pa.large_string()).take(places), detail.cast(pa.large_string()).take(places)


@dataclass(frozen=True)
class _Block:
    """Ranked rows and, for each op, whether it can change them, the units it would, and the target it would give."""

    places: I64
    able: npt.NDArray[np.bool_]
    expected: npt.NDArray[np.float64]
    after: list[pa.Array]
    detail: list[pa.Array]

    @classmethod
    def empty(cls, ops: int) -> _Block:
        none = [pa.nulls(0, pa.large_string())] * ops
        return cls(np.empty(0, np.int64), np.empty((ops, 0), np.bool_), np.empty((ops, 0)), none, none)

    @property
    def changeable(self) -> int:
        return int(self.able.any(axis=0).sum())

    def join(self, other: _Block) -> _Block:
        return _Block(
            np.concatenate((self.places, other.places)),
            np.concatenate((self.able, other.able), axis=1),
            np.concatenate((self.expected, other.expected), axis=1),
            [pa.concat_arrays(pair) for pair in zip(self.after, other.after, strict=True)],
            [pa.concat_arrays(pair) for pair in zip(self.detail, other.detail, strict=True)],
        )

    def first(self, wanted: int) -> _Block:
        """The block cut after the last row that is needed."""
        changeable = np.flatnonzero(self.able.any(axis=0))[:wanted]
        if len(changeable) < wanted:
            return self
        end = int(changeable[-1]) + 1 if wanted else 0
        return _Block(
            self.places[:end],
            self.able[:, :end],
            self.expected[:, :end],
            [values[:end] for values in self.after],
            [values[:end] for values in self.detail],
        )


def deal(weights: list[Fraction], names: tuple[str, ...], able: npt.NDArray[np.bool_]) -> I64:
    """Deals ops to ranked rows, -1 where no op can change a row; prefix-stable.

    Level by level, then op by op within the level, by the quota method (Balinski and Young 1975): of those whose count
    is below ceil(weight * turn), the one with the smallest (count + 1) / weight. While every row can take every level,
    each level stays within one row of its share. Levels that tie are told apart by the op that is owed most.
    """
    levels = [level for level in LEVELS if any(level_of(name) == level for name in names)]
    members = [[i for i, name in enumerate(names) if level_of(name) == level] for level in levels]
    of_level = [_Quota(sum((weights[i] for i in group), Fraction(0))) for group in members]
    of_op = [_Quota(weights[i] / of_level[levels.index(level_of(name))].weight) for i, name in enumerate(names)]
    dealt, turns = np.full(able.shape[1], -1), 0
    patterns, pattern = np.unique(np.packbits(able, axis=0), axis=1, return_inverse=True)
    rows_like = np.zeros(patterns.shape[1], np.int64)
    pattern = pattern.ravel()
    rows_like[pattern] = np.arange(len(pattern))
    choices_of = [_by_level(members, able[:, row]) for row in rows_like.tolist()]  # for each set of ops
    for row, like in enumerate(pattern.tolist()):
        choices = choices_of[like]
        if not choices:
            continue
        turns += 1
        level = _due([k for k in choices if of_level[k].has_room(turns)] or choices, of_level)
        if len(level) > 1:
            owed = {k: min(of_op[i].due * of_level[k].scale for i in choices[k]) for k in level}
            level.sort(key=lambda k: owed[k])
        of_level[level[0]].take()
        count = of_level[level[0]].count
        mine = choices[level[0]]
        dealt[row] = op = _due([i for i in mine if of_op[i].has_room(count)] or mine, of_op)[0]
        of_op[op].take()
    return dealt


def _by_level(members: list[list[int]], able: npt.NDArray[np.bool_]) -> dict[int, list[int]]:
    """The ops that are able, by level; levels without any are left out."""
    choices = {level: [i for i in group if able[i]] for level, group in enumerate(members)}
    return {level: found for level, found in choices.items() if found}


def _due(of: Iterable[int], quotas: Sequence[_Quota]) -> list[int]:
    """Those that are due first."""
    first = min(quotas[i].due for i in of)
    return [i for i in of if quotas[i].due == first]


class _Quota:
    """The count of one level or op, and when it is due: quotients of integers, so every machine decides alike."""

    def __init__(self, weight: Fraction) -> None:
        self.weight = weight
        self.scale = weight.denominator / weight.numerator
        self.count = 0
        self.due = self.scale

    def has_room(self, turns: int) -> bool:
        """Whether the count is below ceil(weight * turns)."""
        return self.count < -(-self.weight.numerator * turns // self.weight.denominator)

    def take(self) -> None:
        self.count += 1
        self.due = (self.count + 1) * self.weight.denominator / self.weight.numerator


def _finish(
    block: _Block, dealt: I64, names: tuple[str, ...], step: Step, wanted: int, guarded: str
) -> tuple[Deal, list[OpPlan]]:
    touched = np.flatnonzero(dealt >= 0)
    touched = touched[np.argsort(block.places[touched])]
    op = dealt[touched]
    index = pa.array(op * len(block.places) + touched)  # each touched row's entry among those of its own op
    after = pa.concat_arrays(block.after).take(index)
    detail = pa.concat_arrays(block.detail).take(index)
    plans = []
    for i, name in enumerate(names):
        mine = touched[op == i]
        plans.append(
            OpPlan(
                op=name,
                weight=step.weights[name],
                asked=float(step.weights[name] * wanted),
                dealt=len(mine),
                examined=len(block.places),
                eligible=int(block.able[i].sum()),
                needs=get_op(name).needs + (guarded if isinstance(get_op(name), TextOp) else ""),
                expected=float(block.expected[i][mine].sum()),
            )
        )
    return Deal(step, names, block.places[touched], op, after, detail), plans
