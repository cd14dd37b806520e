"""Rows as a pandas frame that keeps their types."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from lope_common.extras import check_installed
from lope_data.errors import StoreError
from lope_data.rows.json_type import bare, is_json, loads

if TYPE_CHECKING:
    import pandas


def to_pandas(rows: pa.Table) -> pandas.DataFrame:
    """The frame: integers and booleans in pandas' types that have nulls, JSON as Python values.

    Raises:
        StoreError: pandas is missing.
    """
    check_installed("to_pandas needs", ["pandas"], StoreError)
    import pandas

    types = {pa.bool_(): pandas.BooleanDtype()}
    for bits in (8, 16, 32, 64):
        types[getattr(pa, f"int{bits}")()] = getattr(pandas, f"Int{bits}Dtype")()
        types[getattr(pa, f"uint{bits}")()] = getattr(pandas, f"UInt{bits}Dtype")()
    frame: pandas.DataFrame = bare(rows).to_pandas(types_mapper=types.get)
    for field in rows.schema:
        if is_json(field.type):
            values = [None if text is None else loads(text) for text in rows[field.name].to_pylist()]
            frame[field.name] = pandas.Series(values, dtype=object, index=frame.index)
    return frame
