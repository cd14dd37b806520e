"""Rows as Arrow tables: shapes, which columns hold what they have, texts and targets, ids.

A row shape is an entry of `shapes.SHAPES`; where texts and targets lie in a row is in `fields`, by the table's
`Layout`. Reading files is not here but in `lope_data.sources`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lope_common.faces import lazy

if TYPE_CHECKING:
    from lope_data.rows.canonical import ingest_table
    from lope_data.rows.columns import Columns
    from lope_data.rows.fields import inputs_of, put_targets, targets_of
    from lope_data.rows.json_type import as_json, is_json
    from lope_data.rows.layout import ABSENT, Layout
    from lope_data.rows.paths import place_of, value_at
    from lope_data.rows.plain import plain_rows
    from lope_data.rows.shapes import KEYS, OPS, ROW_ID, SHAPE
    from lope_data.rows.stored import storable

__all__ = [
    "ABSENT",
    "KEYS",
    "OPS",
    "ROW_ID",
    "SHAPE",
    "Columns",
    "Layout",
    "as_json",
    "ingest_table",
    "inputs_of",
    "is_json",
    "place_of",
    "plain_rows",
    "put_targets",
    "storable",
    "targets_of",
    "value_at",
]

__getattr__ = lazy(
    __name__,
    {
        "ABSENT": "layout",
        "Columns": "columns",
        "KEYS": "shapes",
        "Layout": "layout",
        "OPS": "shapes",
        "ROW_ID": "shapes",
        "SHAPE": "shapes",
        "as_json": "json_type",
        "ingest_table": "canonical",
        "inputs_of": "fields",
        "is_json": "json_type",
        "place_of": "paths",
        "plain_rows": "plain",
        "put_targets": "fields",
        "storable": "stored",
        "targets_of": "fields",
        "value_at": "paths",
    },
)
