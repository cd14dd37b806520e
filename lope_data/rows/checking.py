"""Whether a column holds what its place in a shape asks for; says row, column and what to do where it does not."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lope_common.errors import shown
from lope_data.errors import SourceError
from lope_data.rows.arrow_types import is_list, is_text
from lope_data.rows.json_type import is_json, json_texts, read_quickly, type_name
from lope_data.rows.messages import check_messages
from lope_data.rows.shapes import Kind
from lope_data.rows.values import answers, is_label

Number = Callable[[int], int]
"""Of a row in the source, by its place among the rows that are looked at."""


def check_column(column: pa.Array, kind: Kind, role: str, where: str, called: str, number: Number = int) -> None:
    """Checks one column.

    Args:
        column: in the type in which a version holds it.
        kind: what it must hold.
        role: what of a shape it is, for messages.
        where, called: the source's name and the column's.
        number: what a row is called in messages.

    Raises:
        SourceError: it holds something else.
    """

    def at(row: int | None) -> str:
        return f"{where}{'' if row is None else f', row {number(row)}'}, column {called!r}"

    if kind == "text":
        _check_text(column, at)
    elif kind in ("messages", "text or messages"):
        check_messages(column, at, written=kind == "messages", or_text=kind != "messages")
    elif kind == "choices":
        if not (is_list(column.type) and is_text(column.type.value_type)):
            raise _wrong_type(column, at, "a list of strings")
    elif kind == "answer":
        _check_answer(column, at, role)
    elif kind == "label" and not is_label(column.type):
        raise _wrong_type(column, at, "text, a number, true or false, or a list of these")


def check_choices(columns: Sequence[pa.Array], where: str, names: Sequence[str], number: Number = int) -> None:
    """Checks several columns of one choice each."""
    for column, name in zip(columns, names, strict=True):
        if not is_text(column.type):
            raise SourceError(f"{where}, column {name!r}: a choice is text, not {type_name(column.type)}")
        if column.null_count:
            row = pc.index(column.is_null(), True).as_py()
            raise SourceError(f"{where}, row {number(row)}: {name!r} is null, where [columns] expects a choice")


def _check_text(column: pa.Array, at: Callable[[int | None], str]) -> None:
    if is_text(column.type):
        return
    if is_json(column.type):
        for row, text in enumerate(json_texts(column).to_pylist()):
            value = None if text is None else read_quickly(text)
            if isinstance(value, str):
                _check_unicode(value, at(row))
            elif value is not None:
                raise SourceError(f"{at(row)}: {shown(text)} is no text, as other rows have there; write it as text")
        return
    raise _wrong_type(column, at, "text")


def _check_unicode(text: str, at: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise SourceError(f"{at}: not valid Unicode ({error.reason})") from error


def _check_answer(column: pa.Array, at: Callable[[int | None], str], role: str) -> None:
    if not (pa.types.is_integer(column.type) or is_text(column.type)):
        raise _wrong_type(column, at, "the number of a choice")
    try:
        answers(column)
    except pa.ArrowInvalid as error:
        row = _first_misfit(column)
        raise SourceError(
            f"{at(row)}: {_shown(column[row])} is not int64; fix it, or map another column, --columns {role}=COLUMN"
        ) from error


def _first_misfit(column: pa.Array) -> int:
    """The first row that is no number, of a column with one."""
    low, high = 0, len(column)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            answers(column.slice(low, middle - low))
            low = middle
        except pa.ArrowInvalid:
            high = middle
    return low


def _wrong_type(column: pa.Array, at: Callable[[int | None], str], wanted: str) -> SourceError:
    row = int(pc.index(column.is_valid(), True).as_py())
    kind = type_name(column.type)
    return SourceError(f"{at(max(row, 0))}: {_shown(column[max(row, 0)])} is {kind}, where {wanted} is needed")


def _shown(value: pa.Scalar) -> str:
    try:
        plain: Any = value.as_py()
        return plain[:60] if isinstance(value.type, pa.JsonType) else json.dumps(plain, default=str)[:60]
    except (ValueError, OverflowError):  # a time that Python has no word for
        return str(value.type)
