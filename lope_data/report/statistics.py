"""Numbers about a version, computed shard by shard: its edits a row, by op and column, in length; its columns."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lope_data.errors import StoreError
from lope_data.inject.apply import EDITS
from lope_data.noise.registry import level_of
from lope_data.report.distribution import I64, Distribution
from lope_data.rows.arrow_types import is_list
from lope_data.rows.json_type import is_json, type_name
from lope_data.rows.layout import Layout
from lope_data.rows.leaves import holds_texts, leaves
from lope_data.rows.paths import place_of
from lope_data.rows.plain import conversations
from lope_data.rows.shapes import OURS, SHAPES
from lope_data.store.version import Version
from lope_data.text.buffers import whole

_EDITS_FILE = r"edits/\d+-of-\d+\.parquet"
_COLUMNS = ["row_id", "step", "path", "op", "before", "after"]
_SLICE = 50_000  # rows whose text is in memory at once
_FIRST = 50  # row ids that are kept for each op


@dataclass
class Uses:
    """How many edits there are of something, and in how many rows."""

    edits: int = 0
    rows: int = 0

    def add(self, edits: int, rows: int) -> None:
        self.edits += edits
        self.rows += rows


@dataclass
class EditStatistics:
    """What the edits of a version are. A path has its indices dropped: `messages[].content`.

    Attributes:
        all: all edits, and the rows that have any.
        by_op: edits and rows by (step, op, path).
        by_path: edits and rows by path.
        a_row: for all edits (key `""`) and for those of each level, the number of edits of each row that has any.
        length: for whole rows (key `""`) and for each path, characters after minus characters before of each row with
            an edit there; numbers of choices and labels that are no text have no length.
        flips: rows whose label was flipped, by (label before, label after), over all steps.
        first: for each op the ids of the first rows that it edited, in the order of the rows.
    """

    all: Uses = field(default_factory=Uses)
    by_op: dict[tuple[str, str, str], Uses] = field(default_factory=lambda: defaultdict(Uses))
    by_path: dict[str, Uses] = field(default_factory=lambda: defaultdict(Uses))
    a_row: dict[str, Distribution] = field(default_factory=dict)
    length: dict[str, Distribution] = field(default_factory=dict)
    flips: Counter[tuple[str, str]] = field(default_factory=Counter)
    first: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))


@dataclass(frozen=True)
class ColumnStatistics:
    """A column: its rows that are null, and the lengths in characters of its texts, None where it holds none."""

    name: str
    kind: str
    nulls: int
    lengths: Distribution | None


def edit_shards(version: Version, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """The edit records, a shard at a time, in the order of the rows; no row has edits in two of them.

    Raises:
        StoreError: a file of them is missing or cannot be read.
    """
    for listed in version.manifest.files:
        if re.fullmatch(_EDITS_FILE, listed.path):
            path = version.folder / listed.path
            try:
                with pq.ParquetFile(path) as file:
                    table = file.read(columns)
            except (OSError, ValueError, pa.ArrowException) as error:
                raise StoreError(f"{path} cannot be read ({error}); remove the version and build it again") from error
            _check(table, columns or EDITS.names, path)
            yield table


def _check(table: pa.Table, columns: Sequence[str], path: Path) -> None:
    for name in columns:
        if name not in table.column_names or table.schema.field(name).type != EDITS.field(name).type:
            raise StoreError(f"{path} has no column {name} of {EDITS.field(name).type}; build the version again")
        if name != "detail" and table[name].null_count:
            raise StoreError(f"{path} has nulls in {name}; build the version again")


def edit_statistics(version: Version) -> EditStatistics:
    """What the edits of a version are.

    Raises:
        StoreError: a file of them is missing or cannot be read.
    """
    found = EditStatistics()
    a_row: dict[str, list[Distribution]] = defaultdict(list)
    length: dict[str, list[Distribution]] = defaultdict(list)
    columns = _Columns.of(version)
    for table in edit_shards(version, _COLUMNS):
        if len(table):
            try:
                _add_shard(found, a_row, length, table, columns)
            except LookupError as error:
                raise StoreError(f"{version.folder} cannot be read ({error}); remove it and build it again") from error
    found.a_row = {key: Distribution.merged(parts) for key, parts in a_row.items()}
    found.length = {key: Distribution.merged(parts) for key, parts in length.items()}
    return found


@dataclass(frozen=True)
class _Columns:
    """The columns that noise goes to, those whose edits are in texts, and those of classes."""

    names: set[str]
    texts: set[str]
    classes: set[str]

    @classmethod
    def of(cls, version: Version) -> _Columns:
        schema, layout = version.rows.schema, version.layout
        classes = _targets(layout, "class")
        texts = {field.name for field in schema if holds_texts(field.type)} - _targets(layout, "choice")
        texts -= {name for name in classes if is_json(schema.field(name).type)}
        return cls(layout.noisy, texts, classes)


def _targets(layout: Layout, kind: str) -> set[str]:
    """The columns of the targets of that kind."""
    shapes = [(SHAPES[shape], has) for shape, has in layout.columns.items()]
    found = {has[shape.target] for shape, has in shapes if shape.target and shape.target_kind == kind}
    return {name for name in found if isinstance(name, str)}


def _add_shard(
    found: EditStatistics,
    a_row: dict[str, list[Distribution]],
    length: dict[str, list[Distribution]],
    table: pa.Table,
    columns: _Columns,
) -> None:
    ids, row = _codes(table["row_id"])
    steps, step = _codes(table["step"])
    ops, op = _codes(table["op"])
    written, path = _codes(table["path"])
    places = [place_of(name, columns.names) for name in written]
    in_text = np.array([place.column in columns.texts for place in places])[path]
    paths, path = _renamed([place.pattern for place in places], path)
    rows = len(ids)

    edits = np.bincount(row, minlength=rows)
    found.all.add(len(table), rows)
    a_row[""].append(Distribution.of(edits))

    levels, level = _renamed([level_of(name) for name in ops], op)
    owner, counts = _per_row(level, row, rows)
    for i, name in enumerate(levels):
        a_row[name].append(Distribution.of(counts[owner == i]))

    owner, counts = _per_row(path, row, rows)
    for i, name in enumerate(paths):
        found.by_path[name].add(int(counts[owner == i].sum()), int((owner == i).sum()))

    combined, code = np.unique((step * len(ops) + op) * len(paths) + path, return_inverse=True)
    owner, counts = _per_row(code, row, rows)
    edits_of = np.bincount(owner, weights=counts).astype(np.int64)
    rows_of = np.bincount(owner)
    for key, many, few in zip(combined.tolist(), edits_of.tolist(), rows_of.tolist(), strict=True):
        rest, path_i = divmod(key, len(paths))
        step_i, op_i = divmod(rest, len(ops))
        found.by_op[steps[step_i], ops[op_i], paths[path_i]].add(many, few)

    change = _characters(table["after"]) - _characters(table["before"])
    row, path, change = row[in_text], path[in_text], change[in_text]
    if len(row):
        length[""].append(Distribution.of(_per_row(np.zeros(len(row), np.int64), row, rows, change)[1]))
        owner, changes = _per_row(path, row, rows, change)
        for i in np.unique(owner).tolist():
            length[paths[i]].append(Distribution.of(changes[owner == i]))

    _add_flips(found.flips, table.filter(pc.is_in(table["path"], pa.array(columns.classes, pa.string()))))
    for i, name in enumerate(ops):
        missing = _FIRST - len(found.first[name])
        if missing > 0:
            mine = table["row_id"].filter(pa.array(op == i)).slice(0, 100 * _FIRST)  # a row has many edits
            found.first[name] += pc.unique(mine).to_pylist()[:missing]


def _add_flips(flips: Counter[tuple[str, str]], table: pa.Table) -> None:
    """Adds each row's label before the first flip and after the last; the table is of flips alone."""
    if not len(table):
        return
    _, row = _codes(table["row_id"])
    first = np.unique(row, return_index=True)[1]
    last = len(row) - 1 - np.unique(row[::-1], return_index=True)[1]
    before, after = table["before"].take(pa.array(first)), table["after"].take(pa.array(last))
    flips.update(zip(before.to_pylist(), after.to_pylist(), strict=True))


def _per_row(code: I64, row: I64, rows: int, weights: I64 | None = None) -> tuple[I64, I64]:
    """For each (code, row) that occurs its code, and how often it occurs or the sum of its weights."""
    keys, place = np.unique(code * rows + row, return_inverse=True)
    sums = np.bincount(place) if weights is None else np.bincount(place, weights=weights)
    return keys // rows, sums.astype(np.int64)


def _codes(column: pa.ChunkedArray) -> tuple[list[str], I64]:
    """The distinct values in the order of their appearance, and for each value which it is."""
    encoded = whole(column).dictionary_encode()
    return encoded.dictionary.to_pylist(), np.asarray(encoded.indices).astype(np.int64)


def _renamed(names: Sequence[str], code: I64) -> tuple[list[str], I64]:
    """The distinct names, and for each code which name it has now."""
    distinct = list(dict.fromkeys(names))
    place = {name: i for i, name in enumerate(distinct)}
    return distinct, np.array([place[name] for name in names], np.int64)[code]


def _characters(column: pa.ChunkedArray) -> I64:
    return np.asarray(pc.utf8_length(column)).astype(np.int64)


def column_statistics(version: Version) -> list[ColumnStatistics]:
    """The columns of the source.

    Raises:
        StoreError: a data file is missing or cannot be read.
    """
    rows, layout = version.rows, version.layout
    fields = [field for field in rows.schema if field.name not in OURS]
    written = conversations(layout)
    known = {name for has in layout.columns.values() for name in has.values() if isinstance(name, str)}
    known -= _targets(layout, "class")  # in JSON of other columns, what is text is unknown
    lengths: dict[str, list[Distribution]] = {
        field.name: []
        for field in fields
        if holds_texts(field.type) and (field.name in known or not is_json(field.type))
    }
    for start in range(0, len(rows), _SLICE):
        for name, parts in lengths.items():
            texts = leaves(name, whole(rows[name].slice(start, _SLICE)), written=name in written).values
            parts.append(Distribution.of(np.asarray(pc.utf8_length(texts.drop_null()))))
    return [
        ColumnStatistics(
            field.name,
            _classes(layout, field.name) or _plain(field.type),
            rows[field.name].null_count,
            Distribution.merged(lengths[field.name]) if field.name in lengths else None,
        )
        for field in fields
    ]


def _classes(layout: Layout, column: str) -> str:
    """What to say of a column of class numbers: how many classes there are."""
    for path, what in ((column, "one"), (f"{column}[]", "list")):
        if path in layout.classes:
            return f"{what} of {len(layout.classes[path]):,} classes"
    return ""


def _plain(kind: pa.DataType) -> str:
    """The type for people: `list of {role, content}`."""
    if is_list(kind):
        return f"list of {_plain(kind.value_type)}"
    if pa.types.is_struct(kind):
        return "{" + ", ".join(child.name for child in kind) + "}"
    return {"string": "text", "large_string": "text"}.get(str(kind), type_name(kind))
