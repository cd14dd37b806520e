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
    from lope_data.rows.fields import targets_of
    from lope_data.rows.shapes import OPS, ROW_ID, SHAPE
    from lope_data.rows.stored import storable

__all__ = ["OPS", "ROW_ID", "SHAPE", "Columns", "ingest_table", "storable", "targets_of"]

__getattr__ = lazy(
    __name__,
    {
        "Columns": "columns",
        "OPS": "shapes",
        "ROW_ID": "shapes",
        "SHAPE": "shapes",
        "ingest_table": "canonical",
        "storable": "stored",
        "targets_of": "fields",
    },
)
