"""Noise on plain texts in one call, `lope_data.corrupt`: from the texts as users hold them and back to their type."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Iterator, Mapping
from numbers import Real
from typing import Any, Literal, overload

import numpy as np
import pyarrow as pa

from lope_common.errors import shown
from lope_data.errors import RecipeError
from lope_data.inject.held import Texts, opened
from lope_data.inject.rank import Dealer
from lope_data.noise.editions import get_edition, newest_edition
from lope_data.noise.imports import Imports, import_ops, named_op
from lope_data.noise.op import TextOp
from lope_data.noise.registry import LEVELS
from lope_data.recipe.recipe import Step, validated
from lope_data.text import kernels
from lope_data.text.buffers import offsets_and_data, strings
from lope_data.text.cells import Cells
from lope_data.text.draws import I64, U64, Draw, mix
from lope_data.text.edits import Edits, splice

_BATCH = 1 << 20  # bytes of text worked on at once: the arrays that describe it stay in the cache
_EDITS = pa.schema(
    [
        ("row", pa.int64()),
        ("op", pa.string()),
        ("start", pa.int64()),
        ("end", pa.int64()),
        ("new_end", pa.int64()),
        ("before", pa.large_string()),
        ("after", pa.large_string()),
        ("detail", pa.string()),
    ]
)


class ShortfallWarning(UserWarning):
    """Texts could not take as much noise as was asked for."""


@overload
def corrupt(
    texts: Texts,
    op: str | Mapping[str, float],
    level: float = 0.1,
    seed: int = 0,
    edits: Literal[False] = False,
    *,
    params: Mapping[str, Any] | None = None,
    edition: int | None = None,
    imports: Imports = (),
) -> Texts: ...


@overload
def corrupt(
    texts: Texts,
    op: str | Mapping[str, float],
    level: float = 0.1,
    seed: int = 0,
    *,
    edits: Literal[True],
    params: Mapping[str, Any] | None = None,
    edition: int | None = None,
    imports: Imports = (),
) -> tuple[Texts, pa.Table]: ...


@overload
def corrupt(
    texts: Texts | pa.Array | pa.ChunkedArray,
    op: str | Mapping[str, float],
    level: float = 0.1,
    seed: int = 0,
    edits: bool = False,
    *,
    params: Mapping[str, Any] | None = None,
    edition: int | None = None,
    imports: Imports = (),
) -> Any: ...


def corrupt(
    texts: Any,
    op: str | Mapping[str, float],
    level: float = 0.1,
    seed: int = 0,
    edits: bool = False,
    *,
    params: Mapping[str, Any] | None = None,
    edition: int | None = None,
    imports: Imports = (),
) -> Any:
    """Noise on texts: of each text a share `level` of its units is changed.

    The units to change in a text are a stochastic rounding of level * units, and may be none, so the level holds for
    short texts too. What an op does to a text is a function of the seed and of the text itself (with a count where it
    occurs again), not of its place or its neighbours; of a mix, which op it gets looks at all texts.

    Args:
        texts: a string, or strings in a list, a Series (pandas, polars) or an array (NumPy, Arrow); null stays null.
            Also a column of `datasets`, as in `dataset["text"]`, of which a list comes back.
        op: the name of an op (`list_ops()`), of a level or of a preset (`human`, `paper`), or a mix of levels and ops
            with weights. Of a mix each text gets one op, in exact shares.
        level: the share of units to change, 0 to 1.
        edits: give back the edits too.
        params: the op's parameters; of a mix, parameters by op.
        edition: of recipes, which says what a level or a preset stands for; by default the newest.
        imports: files and modules that register ops of your own.

    Returns:
        Texts of the type that was given; a Series of pandas keeps its index, name and dtype. With `edits`, a pair of
        them and a table `row, op, start, end, new_end, before, after, detail`, whose offsets are UTF-8 bytes as in
        FORMAT.md.

    Raises:
        RecipeError: unknown op, level or parameter out of range, texts that are none, an op that needs more than texts.

    Warns:
        ShortfallWarning: the texts have not enough that can be changed for the level.

    >>> from lope_data import corrupt
    >>> corrupt(["Name three primary colours."], "char.swap", level=0.2)
    ['Namet hree primayrc olours.']
    >>> corrupt("Name three primary colours.", "char.swap", level=0.2)
    'Namet hree primayrc olours.'
    """
    column, back = opened(texts)
    import_ops(imports)
    step = _step(op, level, params, newest_edition().number if edition is None else edition)
    level, seed = step.level, _seed(seed)
    keys = _keys(column)
    noisy, tables, order = [], [_EDITS.empty_table()], [np.empty(0, np.int64)]
    asked = reachable = 0.0
    for name, places in _jobs(column, step, keys, seed):
        text_op, draw = _text_op(step, name), Draw((seed, "corrupt", name), keys[places])
        part = column if len(places) == len(column) else column.take(pa.array(places))
        for low, high in _batches(part):
            cells = Cells.of(part[low:high])
            mine = Draw(draw.context, draw.rows[low:high])
            found, ground = text_op.apply(cells, mine, level, step.params_of(name), floor=False)
            asked += float(ground.size.sum()) * level
            reachable += float(np.minimum(ground.size * level, ground.room * text_op.per_hit).sum())
            reachable -= ground.lost * text_op.per_hit
            noisy.append(splice(cells, found))
            if edits:
                tables.append(_table(found, cells, name, places[low:high]))
        order.append(places)
    if reachable < 0.99 * asked or (level and not asked and _holds_text(column)):
        warnings.warn(
            f"the texts can take {reachable / max(asked, 1e-9):.1%} of the noise asked for at level {level:g}: "
            + "; ".join(f"{name} needs {_text_op(step, name).needs}" for name in step.weights),
            ShortfallWarning,
            stacklevel=2,
        )
    result = back(_in_order(noisy, np.concatenate(order), column))
    return (result, _sorted(pa.concat_tables(tables))) if edits else result


def _jobs(column: pa.Array, step: Step, keys: U64, seed: int) -> Iterator[tuple[str, I64]]:
    """Which texts each op gets."""
    names = list(step.weights)
    if len(names) == 1:
        yield names[0], np.arange(len(column))
        return
    dealt = _dealt(column, step, keys, seed)
    for i, name in enumerate(names):
        yield name, np.flatnonzero(dealt == i)


def _in_order(noisy: list[pa.Array], order: I64, column: pa.Array) -> pa.ChunkedArray:
    """The noisy texts, which stand in some order, in that of the column; those that no op was dealt as they were."""
    if len(order) == len(column) and (order[1:] > order[:-1]).all():
        return pa.chunked_array(noisy, pa.large_string())
    source = np.arange(len(column)) + len(order)
    source[order] = np.arange(len(order))
    return pa.chunked_array([pa.concat_arrays([*noisy, column.fill_null("")]).take(pa.array(source))])


def _holds_text(column: pa.Array) -> bool:
    offsets = _offsets(column)
    return bool(offsets[-1] > offsets[0])


def _offsets(column: pa.Array) -> I64:
    if not len(column):  # its buffers may be none
        return np.zeros(1, np.int64)
    offsets: I64 = np.frombuffer(column.buffers()[1], np.int64)[column.offset : column.offset + len(column) + 1]
    return offsets


def _seed(seed: int) -> int:
    """The seed as a plain integer: draws are keyed by its type too, so numpy's 3 must become 3."""
    try:
        plain = operator.index(seed)
    except TypeError as error:
        raise RecipeError(f"seed: an integer is needed, not {shown(seed)}") from error
    if not 0 <= plain < 2**63:
        raise RecipeError(f"seed: must be from 0 to 2**63 - 1, not {plain}")
    return int(plain)


def _step(op: str | Mapping[str, float], level: float, params: Mapping[str, Any] | None, edition: int) -> Step:
    """The request as a step of a recipe, checked as one."""
    if isinstance(op, str) and op not in LEVELS and op not in get_edition(edition).presets:
        named_op(op)
        params = {op: params} if params else None
    if isinstance(level, Real) and not isinstance(level, bool):
        level = float(level)  # numpy's numbers too
    step = validated(Step, {"edition": edition, "level": level, "mix": op, "params": params or {}}, "corrupt")
    for name in step.weights:
        _text_op(step, name)
    return step


def _text_op(step: Step, name: str) -> TextOp:
    op = step.ops[name]
    if not isinstance(op, TextOp):
        raise RecipeError(f"{name} changes a row's target, and texts have none; it is for `build`")
    return op


def _keys(column: pa.Array) -> U64:
    """64 bits for each text, which differ where equal texts occur again."""
    cells = Cells.of(column)
    keys = kernels.text_keys(cells.data, kernels.words_of(cells.data), cells.bounds)
    ordered = np.sort(keys)
    twice = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    if not len(twice):
        return keys
    places = np.flatnonzero(np.isin(keys, twice))
    group = np.searchsorted(twice, keys[places])
    order = np.argsort(group, kind="stable")
    count = np.arange(len(group)) - np.searchsorted(group[order], group[order])
    again = places[order[count > 0]]
    keys[again] = mix(keys[again] + count[count > 0].astype(np.uint64))
    return keys


def _batches(column: pa.Array) -> Iterator[tuple[int, int]]:
    """Runs of rows of about `_BATCH` bytes, at least one row each."""
    offsets = _offsets(column)
    low = 0
    while low < len(column):
        high = int(np.searchsorted(offsets, offsets[low] + _BATCH, side="right")) - 1
        high = min(max(high, low + 1), len(column))
        yield low, high
        low = high


def _dealt(column: pa.Array, step: Step, keys: U64, seed: int) -> I64:
    """For each text the op of the mix that it gets, -1 where none can change it."""
    names = tuple(step.weights)
    able = np.zeros((len(names), len(column)), np.bool_)
    for low, high in _batches(column):
        cells = Cells.of(column[low:high])
        for i, name in enumerate(names):
            able[i, low:high] = _text_op(step, name).can(cells, step.params_of(name))
    order = np.lexsort((keys, Draw((seed, "corrupt"), keys).bits("rank")))
    dealt = np.empty(len(column), np.int64)
    dealt[order] = Dealer([step.weights[name] for name in names], names).deal(able[:, order])
    return dealt


def _table(edits: Edits, cells: Cells, op: str, places: I64) -> pa.Table:
    shift = cells.bounds[edits.cell]
    offsets, after = offsets_and_data(edits.after)
    return pa.table(
        [
            pa.array(places[edits.row]),
            pa.repeat(pa.scalar(op), len(edits)),
            pa.array(edits.start - shift),
            pa.array(edits.end - shift),
            pa.array(edits.start - shift + np.diff(offsets)),
            strings(*kernels.gathered(cells.data, edits.start, edits.end)),
            strings(offsets, after),
            pa.nulls(len(edits), pa.string()) if edits.detail is None else edits.detail.cast(pa.string()),
        ],
        schema=_EDITS,
    )


def _sorted(table: pa.Table) -> pa.Table:
    """The edits by row; within a row they are in order."""
    row = np.asarray(table["row"])
    if (row[1:] >= row[:-1]).all():
        return table.combine_chunks()
    return table.combine_chunks().take(pa.array(np.argsort(row, kind="stable")))
