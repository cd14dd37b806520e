"""The layout of a table: which columns hold what a shape has, and what types do not say of the others.

It stands in the metadata of a table's schema while the rows are in memory, and in a version's manifest (FORMAT.md).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from lope_common.files import canonical
from lope_data.rows.shapes import OPS, ROW_ID, SHAPE, SHAPES

Names = str | tuple[str, ...]
"""A column, or several of one value each (choices)."""
ABSENT = b"lope.absent"
"""In the metadata of a source's schema: the columns in which null means that the row has no such key, as JSON."""
_KEY = b"lope"


@dataclass(frozen=True)
class Layout:
    """Attributes:
    columns: shape -> what it has -> the column of the source that holds it.
    classes: path of class numbers, `label` or `tags[]` -> the classes' names.
    absent: columns in which null means that the source's object had no such key.
    raw: columns of JSON that readers with numbers of 64 bits would not give back exactly.
    """

    columns: Mapping[str, Mapping[str, Names]]
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    absent: tuple[str, ...] = ()
    raw: tuple[str, ...] = ()

    @classmethod
    def of(cls, table: pa.Table) -> Layout:
        """The layout that the table carries."""
        return cls.from_plain(json.loads(table.schema.metadata[_KEY]))

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Layout:
        """The layout of a manifest."""
        columns = {
            shape: {one: tuple(name) if isinstance(name, list) else name for one, name in has.items()}
            for shape, has in plain["columns"].items()
        }
        classes = {path: tuple(names) for path, names in plain["classes"].items()}
        return cls(columns, classes, tuple(plain["absent"]), tuple(plain["raw"]))

    @property
    def plain(self) -> dict[str, Any]:
        """As a manifest has it."""
        columns = {
            shape: {one: list(name) if isinstance(name, tuple) else name for one, name in has.items()}
            for shape, has in self.columns.items()
        }
        classes = {path: list(names) for path, names in self.classes.items()}
        return {"columns": columns, "classes": classes, "absent": list(self.absent), "raw": list(self.raw)}

    @property
    def noisy(self) -> set[str]:
        """The columns that noise goes to, with which the paths of edits begin."""
        shapes = [(SHAPES[shape], has) for shape, has in self.columns.items()]
        named = {has.get(role) for shape, has in shapes for role in (*shape.inputs, shape.target) if role}
        return {name for name in named if isinstance(name, str)}

    def missing(self, columns: Collection[str]) -> list[str]:
        """The columns that a version of this layout needs and that are none of these."""
        named = [name for has in self.columns.values() for name in has.values()]
        flat = [one for name in named for one in ((name,) if isinstance(name, str) else name)]
        return [name for name in (ROW_ID, SHAPE, OPS, *flat, *self.absent, *self.raw) if name not in columns]

    def on(self, table: pa.Table) -> pa.Table:
        """The table with this layout, and no other metadata."""
        return table.replace_schema_metadata({_KEY: canonical(self.plain)})
