"""Ops of a user's own, checked at every call: what they raise or return wrongly is one line, and never reaches a row.

The kernels that apply edits trust their input, as they may: every op of lope_data is tested. One from outside is not.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from lope_common.errors import shown
from lope_common.shown import brief
from lope_data.errors import LopeDataError, NoiseError, RecipeError
from lope_data.noise.op import Hits, LabelOp, Op, Origin, Params, TextOp
from lope_data.text.buffers import Mask
from lope_data.text.cells import Cells
from lope_data.text.draws import I64, Draw
from lope_data.text.edits import Edits
from lope_data.text.spans import Spans

_Result = TypeVar("_Result")
_OURS = Path(__file__).parents[1]


def checked_text(op: TextOp) -> TextOp:
    """The op with its functions checked.

    Raises:
        RecipeError: what it says of itself is not what an op says.
    """
    _check_facts(op)
    return replace(
        op,
        units=partial(_units, op, "units", op.units),
        counted=None if op.counted is None else partial(_units, op, "counted", op.counted),
        edit=partial(_edits, op),
        table=None if op.table is None else partial(_table, op, op.table),
        certain=False,  # so that what it leaves as it is counts as no edit, whatever it says
    )


def checked_label(op: LabelOp) -> LabelOp:
    """The op with its function checked; what it can change is asked of that function alone.

    Raises:
        RecipeError: what it says of itself is not what an op says.
    """
    _check_facts(op)
    return replace(op, propose=partial(_proposed, op), able=None)


def check_params(op: Op, given: Mapping[str, Any]) -> None:
    """That an op takes these parameters and that, if it is a user's own, a manifest can hold them.

    Raises:
        pydantic.ValidationError: they are not what its model says.
        RecipeError: its model fails, or what it holds does not come back from JSON as it was.
    """
    if op.origin is None:
        op.params.model_validate(given)
        return
    try:
        params = op.params.model_validate(given)
        again = op.params.model_validate(params.model_dump(mode="json"))
        held = params.model_dump()
    except ValidationError:
        if _is_valid(op, given):
            raise RecipeError(f"{op.name}: its params do not come back from JSON (is a field renamed?)") from None
        raise
    except Exception as error:
        raise RecipeError(f"{op.name}: its params fail ({failure(error, op.origin)})") from error
    if op.params.model_validate(given) != params:
        raise RecipeError(f"{op.name}: its params are others each time that they are read")
    if again != params:
        raise RecipeError(f"{op.name}: its params do not come back from JSON as they were (is a field left out?)")
    if _holds_set(held):
        raise RecipeError(f"{op.name}: its params hold a set, which has no order; use a tuple")


def _is_valid(op: Op, given: Mapping[str, Any]) -> bool:
    try:
        op.params.model_validate(given)
    except ValidationError:
        return False
    return True


def _holds_set(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_holds_set, value.values()))
    return isinstance(value, set | frozenset) or (isinstance(value, list | tuple) and any(map(_holds_set, value)))


def _check_facts(op: Op) -> None:
    numbers = {"version": (op.version, 1)}
    if isinstance(op, TextOp):
        numbers |= {"least": (op.least, 1), "keep": (op.keep, 0), "per_hit": (op.per_hit, 1)}
    for what, (number, low) in numbers.items():
        if not isinstance(number, int) or isinstance(number, bool) or not low <= number < 2**31:
            raise RecipeError(f"{op.name}: {what} must be a whole number of {low} or more, not {shown(number)}")
    for what, text in (("unit", op.unit), ("needs", op.needs)):
        if not isinstance(text, str) or not text:
            raise RecipeError(f"{op.name}: {what} must be a text, not {shown(text)}")
    if not (isinstance(op.params, type) and issubclass(op.params, Params)):
        raise RecipeError(f"{op.name}: params must be a subclass of Params, not {shown(op.params)}")


def failure(error: BaseException, origin: Origin) -> str:
    """What was raised, and where: the last line of the user's file that it came from, or of any file but ours."""
    frames = [(Path(frame.filename), frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename:
        frames.append((Path(error.filename), error.lineno))
    if origin.file is None:
        frames = [place for place in frames if not place[0].is_relative_to(_OURS) and place[0].is_absolute()]
    else:
        frames = [place for place in frames if place[0].resolve() == origin.file]
    where = origin.module
    if frames:
        file, line = frames[-1]
        where = f"{file.name if origin.file is None else where}, line {line}"
    try:
        said = str(error.msg if isinstance(error, SyntaxError) else error)  # which else says file and line again
    except Exception:
        said = "it cannot say why"
    return f"{where}: {type(error).__name__}: {brief(said, 300)}"


def _called(op: Op, function: Callable[..., _Result], *arguments: Any) -> _Result:
    assert op.origin is not None
    try:
        return function(*arguments)
    except (LopeDataError, KeyboardInterrupt):
        raise
    except BaseException as error:  # sys.exit too
        raise NoiseError(f"{op.name} failed ({failure(error, op.origin)})") from error


def _lent(cells: Cells) -> Cells:
    """The same batch with nothing in it that others will read and an op could write to."""
    _lock(cells.data, cells.bounds, cells.row_bounds, cells.barred)
    return Cells(cells.data, cells.bounds, cells.row_bounds, cells.barred)


def _lock(*arrays: npt.NDArray[Any] | None) -> None:
    """What an op is given is not its own to change."""
    for array in arrays:
        if array is not None:
            array.flags.writeable = False


def _wrong(op: Op, what: str) -> NoiseError:
    assert op.origin is not None
    return NoiseError(f"{op.name} ({op.origin.module}) {what}")


def _table(op: TextOp, function: Callable[[Any], bytes], params: Params) -> bytes:
    table = _called(op, function, params)
    if not isinstance(table, bytes):
        raise _wrong(op, f"gives a table that is {type(table).__name__}, not bytes")
    return table


def _units(op: TextOp, what: str, function: Callable[[Cells, Any], Spans], cells: Cells, params: Params) -> Spans:
    spans = _called(op, function, _lent(cells), params)
    if not isinstance(spans, Spans):
        raise _wrong(op, f"gives {what} that are {type(spans).__name__}, not Spans")
    first = _integers(op, f"{what}: first", spans.first)
    if len(first) != cells.rows + 1:
        raise _wrong(op, f"gives {what} for {len(first) - 1} rows, where there are {cells.rows}")
    if first[0] != 0 or (first[1:] < first[:-1]).any():
        raise _wrong(op, f"gives {what} whose `first` does not count up from 0")
    start, end = _integers(op, f"{what}: start", spans.start), _integers(op, f"{what}: end", spans.end)
    if len(start) != first[-1] or len(end) != first[-1]:
        raise _wrong(op, f"gives {len(start)} starts and {len(end)} ends of {first[-1]} {what}")
    rows = np.repeat(np.arange(cells.rows), np.diff(first))
    _check_spans(op, what, cells, start, end, cells.row_edges[rows], cells.row_edges[rows + 1])
    return Spans(first, start, end)


def _edits(op: TextOp, hits: Hits, params: Params) -> Edits:
    cells = hits.cells
    _lock(hits.row, hits.index, hits.units.first, hits.units.start, hits.units.end)
    edits = _called(op, op.edit, replace(hits, cells=_lent(cells)), params)
    if not isinstance(edits, Edits):
        raise _wrong(op, f"gives edits that are {type(edits).__name__}, not Edits")
    parts = {name: _integers(op, f"edits: {name}", getattr(edits, name)) for name in ("row", "cell", "start", "end")}
    after = _array(op, "edits: after", edits.after, pa.large_binary())
    detail = None if edits.detail is None else _array(op, "edits: detail", edits.detail, pa.large_string())
    columns = [*parts.values(), after, *([] if detail is None else [detail])]
    if len({len(column) for column in columns}) > 1 or after.null_count:
        raise _wrong(op, "gives edits whose parts differ in length, or put nothing in a text's place")
    row, cell, start, end = parts.values()
    if not np.isin(row, hits.row).all() or (cell < 0).any() or (cell >= len(cells.bounds) - 1).any():
        raise _wrong(op, "gives edits in rows that it was not told to change")
    if (np.bincount(row, minlength=cells.rows) > np.bincount(hits.row, minlength=cells.rows)).any():
        raise _wrong(op, "gives more edits than the units that it was told to change")
    if (cells.row_bounds[row] > cell).any() or (cell >= cells.row_bounds[row + 1]).any():
        raise _wrong(op, "gives edits whose cell is not in their row")
    _check_spans(op, "edits", cells, start, end, cells.bounds[cell], cells.bounds[cell + 1])
    if cells.barred is not None:
        before = np.concatenate(([0], np.cumsum(cells.barred)))
        if (before[start] != before[end]).any():
            raise _wrong(op, "gives edits of text that is protected")
    try:
        after.cast(pa.large_string())
    except pa.ArrowInvalid:
        raise _wrong(op, "gives edits whose text is not UTF-8") from None
    return Edits(row, cell, start, end, after, detail)


def _check_spans(op: TextOp, what: str, cells: Cells, start: I64, end: I64, low: I64, high: I64) -> None:
    """That spans lie in order, each between `low` and `high`, and cut no character."""
    if (start > end).any() or (start < low).any() or (end > high).any():
        raise _wrong(op, f"gives {what} that reach beyond their text")
    if (start[1:] < end[:-1]).any():
        raise _wrong(op, f"gives {what} that overlap or are out of order")
    for edge in (start, end):
        inside = edge[edge < len(cells.data)]
        if (cells.data[inside] & 0xC0 == 0x80).any():
            raise _wrong(op, f"gives {what} that cut a character in two")


def _proposed(op: LabelOp, rows: pa.Table, population: pa.Table, draw: Draw, params: Params) -> tuple[pa.Array, ...]:
    said = _called(op, op.propose, rows, population, draw, params)
    if not isinstance(said, tuple) or len(said) != 2:
        raise _wrong(op, f"gives {type(said).__name__}, where a pair of new targets and details is needed")
    after, detail = (_array(op, what, column, pa.large_string()) for what, column in zip(_PARTS, said, strict=True))
    if len(after) != len(rows) or len(detail) != len(rows):
        raise _wrong(op, f"gives {len(after)} new targets and {len(detail)} details for {len(rows)} rows")
    if op.kind == "choice":
        after = _choices(op, rows, after)
    before = rows["target"].combine_chunks().cast(pa.large_string())
    unlike: Mask = np.asarray(pc.fill_null(pc.not_equal(after, before), after.is_valid()))
    return pc.if_else(pa.array(unlike), after, pa.scalar(None, pa.large_string())), detail


_PARTS = ("new targets", "details")


def _choices(op: LabelOp, rows: pa.Table, after: pa.Array) -> pa.Array:
    """The answers as the numbers that they are: `01` is 1."""
    try:
        number = after.cast(pa.int64())
    except pa.ArrowInvalid:
        raise _wrong(op, "gives answers that are not the numbers of choices") from None
    choices = pc.list_value_length(rows["choices"].combine_chunks()).cast(pa.int64())
    fits = pc.and_(pc.greater_equal(number, 0), pc.less(number, choices))
    if pc.any(pc.invert(fits)).as_py():
        raise _wrong(op, "gives answers that are the number of no choice of their row")
    return number.cast(pa.large_string())


def _integers(op: Op, what: str, values: Any) -> I64:
    if not isinstance(values, np.ndarray) or values.ndim != 1 or not np.issubdtype(values.dtype, np.integer):
        raise _wrong(op, f"gives {what} that is {_described(values)}, not a NumPy array of whole numbers")
    return np.ascontiguousarray(values, np.int64)


def _array(op: Op, what: str, values: Any, kind: pa.DataType) -> pa.Array:
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    try:
        found = values.cast(kind) if isinstance(values, pa.Array) else None
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        found = None
    if found is None:
        raise _wrong(op, f"gives {what} that are {_described(values)}, not an Arrow array of texts")
    return found


def _described(values: Any) -> str:
    kind = getattr(values, "dtype", getattr(values, "type", None))
    return f"{type(values).__name__}{f' of {kind}' if kind is not None else ''}"
