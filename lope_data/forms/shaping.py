"""Rows of a version in a form: part after part, or as one table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lope_data.errors import StoreError
from lope_data.forms.form import Form, Misfit, Row
from lope_data.forms.known import forms_of
from lope_data.rows.json_type import dumps, is_json, is_raw, loads
from lope_data.rows.layout import Layout, Names
from lope_data.rows.shapes import KEYS, OPS, OURS, ROW_ID, SHAPE, SHAPES, WEIGHT
from lope_data.rows.values import answers, text_of
from lope_data.sources.gathered import Reader, gather
from lope_data.sources.objects import object_part
from lope_data.text.buffers import whole

_ROWS = 20_000  # at once


@dataclass(frozen=True)
class Part:
    """Some rows in a form.

    Attributes:
        made: what the form makes of each row; empty in the source's own form.
        rest: the columns that stay as they are, behind these.
        keys: each row's keys in the source, where the order of columns does not say.
        absent: the columns in which null means that the row has no such key.
    """

    made: Sequence[dict[str, Any]]
    rest: pa.Table
    keys: pa.Array | None
    absent: frozenset[str]


class Shaping:
    """The rows of a version in a form, and the count of those that it cannot hold."""

    def __init__(self, rows: pa.Table, form: Form, *, lope_columns: bool, what: str) -> None:
        """`rows` carries its layout; `lope_columns` adds those that are ours; `what` is the version, for messages.

        Raises:
            StoreError: a column that stays has a name of the form's own.
        """
        self._rows, self._form, self._what = rows, form, what
        self._layout = Layout.of(rows)
        own = [name for name in rows.column_names if name not in OURS]
        self._taken = {} if form.takes is None else _taken(form.takes, self._layout)
        shapes = set(self._layout.columns)
        gone = {name for name in own if shapes and all(name in self._taken.get(shape, ()) for shape in shapes)}
        self._stay = [name for name in own if name not in gone]
        for name in self._stay:
            if name in form.keys and not any(name in taken for taken in self._taken.values()):
                raise StoreError(
                    f"{what}: its column {name!r} would stand beside the {name!r} of {form.name}; rename it in the "
                    "source, or export --as source"
                )
        ours = [ROW_ID, SHAPE, OPS, WEIGHT] if lope_columns else []
        self._ours = [name for name in ours if name in rows.column_names]
        self._misfits, self._first = 0, ""

    def has_taken(self, name: str, rest: pa.ChunkedArray) -> bool:
        """Whether the form has taken what is in a column, so that nothing is left of it."""
        return rest.null_count == len(rest) and any(name in taken for taken in self._taken.values())

    def parts(self) -> Iterator[Part]:
        """All rows.

        Raises:
            StoreError: after the last part: the form cannot hold some rows; says which is the first, why, and how many.
        """
        keys = KEYS if KEYS in self._rows.column_names else None
        some = {name for taken in self._taken.values() for name in taken}
        absent = frozenset(some | set(self._layout.absent))
        for low in range(0, len(self._rows), _ROWS):
            part = self._rows.slice(low, _ROWS)
            rest = self._rest(part)
            yield Part(self._made(part, rest), rest, whole(part[keys]) if keys else None, absent)
        if self._misfits:
            raise StoreError(
                f"{self._what}: {self._misfits:,} of {len(self._rows):,} rows cannot be written as {self._form.name}. "
                f"The first is {self._first}"
            )

    def _made(self, part: pa.Table, rest: pa.Table) -> list[dict[str, Any]]:
        form = self._form
        if form.takes is None:
            return []
        shapes, ids = part[SHAPE].to_pylist(), part[ROW_ID].to_pylist()
        found = {shape: _Values(part, shape, self._layout) for shape in set(shapes) & form.takes.keys()}
        doubled = {name: whole(rest[name]).is_valid().to_pylist() for name in form.keys if name in rest.column_names}
        made = []
        for number, shape in enumerate(shapes):
            try:
                if double := [name for name, there in doubled.items() if there[number]]:
                    raise Misfit(f"its column {double[0]!r} is not that of {form.name}")
                if shape not in found:
                    raise Misfit(f"{shape} rows have no such form", f"they can be {forms_of(shape)}")
                made.append(form.convert(found[shape].row(number)))
            except Misfit as misfit:
                self._misfits += 1
                self._first = self._first or f"{ids[number]} ({shape}): {misfit}; {misfit.todo or form.instead}"
                made.append({})
        return made

    def _rest(self, part: pa.Table) -> pa.Table:
        """The columns that stay; null in the rows of whose shape the form has taken them, gone if that is all."""
        if not self._taken:
            return part.select([*self._stay, *self._ours])
        shapes = whole(part[SHAPE])
        columns = {}
        for name in self._stay:
            takers = [shape for shape, taken in self._taken.items() if name in taken]
            column = whole(part[name])
            if takers:
                taken = pc.is_in(shapes, value_set=pa.array(takers, pa.string())).to_numpy(zero_copy_only=False)
                column = column.take(pa.array(np.arange(len(column)), mask=taken))
            columns[name] = column
        columns |= {name: part[name] for name in self._ours}
        return pa.table(columns) if columns else part.select([])  # which still has its rows


def shaped(rows: pa.Table, form: Form, *, lope_columns: bool, what: str) -> pa.Table:
    """All rows in a form, as a table without metadata; the arguments and errors are those of `Shaping`."""
    shaping = Shaping(rows, form, lope_columns=lope_columns, what=what)
    parts = list(shaping.parts())
    rest = pa.concat_tables([part.rest for part in parts]).replace_schema_metadata(None)
    if form.is_source:
        return rest
    own = gather((partial(object_part, list(part.made), what) for part in parts), Reader(what)).table()
    columns = {name: own[name] for name in form.keys if name in own.column_names}
    left = {name: rest[name] for name in rest.column_names if not shaping.has_taken(name, rest[name])}
    return pa.table({**columns, **left})


def layout_of(table: pa.Table, form: Form, layout: Layout) -> Layout:
    """The layout of a version for a table that `shaped` gave: what it says of columns that the form has taken does not
    hold for those that the form has made, though they be called the same.
    """
    made = [name for name in form.keys if name in table.column_names]
    raw = [name for name in made if is_json(table[name].type) and is_raw(whole(table[name]))]
    classes = {path: names for path, names in layout.classes.items() if path.removesuffix("[]") not in made}
    return replace(layout, classes=classes, raw=(*raw, *(name for name in layout.raw if name not in made)))


def _taken(takes: Mapping[str, tuple[str, ...]], layout: Layout) -> dict[str, set[str]]:
    """Shape -> the columns of the source that a form takes in its rows."""
    return {
        shape: {name for one in takes.get(shape, ()) if one in has for name in _names(has[one])}
        for shape, has in layout.columns.items()
    }


def _names(named: Names) -> tuple[str, ...]:
    return (named,) if isinstance(named, str) else named


class _Values:
    """What the rows of a shape have, as plain values."""

    def __init__(self, part: pa.Table, shape: str, layout: Layout) -> None:
        has = layout.columns[shape]
        self._shape, self._columns = shape, frozenset(has)
        self._has: dict[str, list[Any]] = {one: [None] * len(part) for one in SHAPES[shape].kinds}
        for one, named in has.items():
            if not isinstance(named, str):
                lists = zip(*(_plain(whole(part[name])) for name in named), strict=True)
                self._has[one] = [list(values) for values in lists]
                continue
            column = whole(part[named])
            if one == "label":
                self._has[one] = _labels(column, named, layout)
            else:
                self._has[one] = _plain(answers(column) if one == "answer" else column)

    def row(self, number: int) -> Row:
        return Row(self._shape, {one: values[number] for one, values in self._has.items()}, self._columns)


def _labels(column: pa.Array, named: str, layout: Layout) -> list[str | None]:
    """The texts of labels as a model reads them: strings in JSON without quotes, lists of classes by their names."""
    if is_json(column.type):
        return [value if value is None or isinstance(value, str) else dumps(value) for value in _plain(column)]
    names = layout.classes.get(f"{named}[]", ())
    if not names:
        texts: list[str | None] = text_of(column, layout.classes.get(named, ())).to_pylist()
        return texts
    known = dict(enumerate(names))
    lists = column.to_pylist()
    return [None if one is None else dumps([known.get(number, number) for number in one]) for one in lists]


def _plain(column: pa.Array) -> list[Any]:
    values: list[Any] = column.to_pylist()
    return [None if text is None else loads(text) for text in values] if is_json(column.type) else values
