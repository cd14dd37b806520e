"""Texts as users hold them, as one Arrow column and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from lope_data.errors import RecipeError
from lope_data.text.buffers import offsets_and_data


def opened(texts: Any) -> tuple[pa.Array, Callable[[pa.ChunkedArray], Any]]:
    """The texts as one large_string array, and the way from noisy ones back to their type."""
    if isinstance(texts, list):
        if not set(map(type, texts)) <= {str, type(None)}:
            for place, text in enumerate(texts):
                if text is not None and not isinstance(text, str):
                    raise RecipeError(f"texts[{place}]: {type(text).__name__}, where a string or None is needed")
        try:
            column = pa.array(texts, pa.large_string())
        except UnicodeEncodeError as error:
            raise RecipeError(f"a text is not valid Unicode: {error}") from error
        return column, lambda noisy: _with_nulls(noisy, column).to_pylist()
    if isinstance(texts, pl.Series) and texts.dtype in (pl.String, pl.Null):
        column = texts.cast(pl.String).to_arrow().cast(pa.large_string())
        return column, lambda noisy: pl.Series(texts.name, _with_nulls(noisy, column), pl.String)
    if isinstance(texts, pa.Array | pa.ChunkedArray) and _is_text(texts.type):
        if pa.types.is_null(texts.type):
            return pa.nulls(len(texts), pa.large_string()), lambda _: texts
        column = texts.cast(pa.large_string())
        if isinstance(texts, pa.ChunkedArray):
            column = column.combine_chunks()
            return column, lambda noisy: pa.chunked_array([_with_nulls(noisy, column)]).cast(texts.type)
        return column, lambda noisy: _with_nulls(noisy, column).cast(texts.type)
    kind = type(texts).__name__ + (f" of {texts.type}" if isinstance(texts, pa.Array | pa.ChunkedArray) else "")
    raise RecipeError(f"texts: a list of strings, a pyarrow array or a polars Series of strings is needed, not {kind}")


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_null(kind)
    )


def _with_nulls(noisy: pa.ChunkedArray, column: pa.Array) -> pa.Array:
    values = noisy.combine_chunks()
    if not column.null_count:
        return values
    offsets, data = offsets_and_data(values)
    validity = pa.array(np.asarray(column.is_valid()), pa.bool_()).buffers()[1]
    buffers = [validity, pa.py_buffer(np.ascontiguousarray(offsets)), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.large_string(), len(column), buffers)
