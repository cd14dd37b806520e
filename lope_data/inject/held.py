"""Plain texts in the types that users hold them in: each as one column of Arrow's, and the way back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa

from lope_data.errors import RecipeError
from lope_data.sources.given import KINDS, known_type, values_of
from lope_data.text.buffers import offsets_and_data

if TYPE_CHECKING:
    import pandas
    import polars

Texts = TypeVar(
    "Texts",
    str,
    list[str],
    list[str | None],
    "pandas.Series[Any]",
    "polars.Series",
    np.ndarray[Any, Any],
)
"""Those of Arrow, which has no types of its own for type checkers, would make all of them Any."""
Back = Callable[[pa.ChunkedArray], Any]
"""From noisy texts to the type that texts came in."""
_POLARS = ("polars.Series",)
_COLUMNS = ("datasets.Column", "datasets.IterableColumn")
_TABLES = {*KINDS, "builtins.dict"} - {"builtins.list"}
_ADVICE = {"builtins.tuple": "; make it a list", "builtins.set": "; make it a list", "builtins.bytes": "; decode it"}


def opened(texts: Any) -> tuple[pa.Array, Back]:
    """The texts as one large_string array, and the way from noisy ones back to their type.

    Raises:
        RecipeError: they are no texts, or in a type that is not known; says what to give instead.
    """
    if isinstance(texts, str):
        column = _column([texts])
        return column, lambda noisy: noisy[0].as_py()
    if isinstance(texts, list):
        column = _column(texts)
        return column, lambda noisy: _with_nulls(noisy, column).to_pylist()
    if isinstance(texts, np.ndarray) and texts.ndim == 1 and texts.dtype.kind in "OUT":
        return _of_numpy(texts)
    if known_type(texts, _POLARS) and str(texts.dtype) in ("String", "Null"):
        return _of_polars(texts)
    if isinstance(texts, pa.Array | pa.ChunkedArray) and _is_text(texts.type):
        return _of_arrow(texts)
    if known_type(texts, ("pandas.Series",)):
        return _of_pandas(texts)
    if known_type(texts, _COLUMNS):
        return opened(values_of(texts))
    raise RecipeError(
        "texts: a string, a list, a Series of pandas or polars, a NumPy or Arrow array of strings, or a column such as "
        f'dataset["text"] is needed, not {_kind(texts)}'
    )


def _kind(texts: Any) -> str:
    """What was given, and what to do about it."""
    name = type(texts).__name__
    if isinstance(texts, pa.Array | pa.ChunkedArray):
        return f"{name} of {texts.type}"
    if isinstance(texts, np.ndarray):
        return f"{name} of {texts.dtype}" + (f" in {texts.ndim} dimensions" if texts.ndim != 1 else "")
    if known_type(texts, _POLARS):
        return f"{name} of {texts.dtype}"
    if known_type(texts, _TABLES):
        return f'{name}; pick a column, as in dataset["text"], or use lope_data.build(source=...) for whole rows'
    return name + _ADVICE.get(known_type(texts, _ADVICE) or "", "")


def _column(texts: Sequence[Any]) -> pa.Array:
    if not set(map(type, texts)) <= {str, type(None)}:
        for place, text in enumerate(texts):
            if text is not None and not isinstance(text, str):
                raise RecipeError(f"texts[{place}]: {type(text).__name__}, where a string or None is needed")
    try:
        return pa.array(texts, pa.large_string())
    except UnicodeEncodeError as error:
        raise RecipeError(f"a text is not valid Unicode: {error}") from error


def _of_arrow(texts: pa.Array | pa.ChunkedArray) -> tuple[pa.Array, Back]:
    if pa.types.is_null(texts.type):
        return pa.nulls(len(texts), pa.large_string()), lambda _: texts
    try:
        texts.validate(full=True)
    except pa.ArrowException as error:
        raise RecipeError(f"the Arrow array is damaged ({error}); make it again") from error
    column = texts.cast(pa.large_string())
    if isinstance(texts, pa.ChunkedArray):
        column = column.combine_chunks()
        return column, lambda noisy: pa.chunked_array([_with_nulls(noisy, column)]).cast(texts.type)
    return column, lambda noisy: _with_nulls(noisy, column).cast(texts.type)


def _of_polars(texts: polars.Series) -> tuple[pa.Array, Back]:
    import polars as pl

    column = texts.cast(pl.String).to_arrow().cast(pa.large_string())
    return column, lambda noisy: pl.Series(texts.name, _with_nulls(noisy, column), pl.String)


def _of_numpy(texts: np.ndarray[Any, Any]) -> tuple[pa.Array, Back]:
    column = _column(texts.tolist())
    kind = np.str_ if texts.dtype.kind == "U" else texts.dtype  # noise may be longer than the longest text

    def back(noisy: pa.ChunkedArray) -> np.ndarray[Any, Any]:
        return np.array(_with_nulls(noisy, column).to_pylist(), kind)

    return column, back


def _of_pandas(texts: pandas.Series[Any]) -> tuple[pa.Array, Back]:
    """Of a Series; its index, name and dtype stay, and what it has for missing texts."""
    missing = texts.isna().to_numpy()
    if not missing.all() and (texts.dtype.kind not in "OU" or texts.dtype.name == "category"):
        todo = "; make it text with .astype(str)" if texts.dtype.name == "category" else ""
        raise RecipeError(f"texts: a Series of strings is needed, not of {texts.dtype}{todo}")
    given = texts.tolist()
    column = _column([None if gone else text for text, gone in zip(given, missing, strict=True)])

    def back(noisy: pa.ChunkedArray) -> pandas.Series[Any]:
        values = np.array([*given, None], object)[:-1]  # whose items may be anything
        values[~missing] = noisy.combine_chunks().filter(pa.array(~missing)).to_pylist()
        return type(texts)(values, texts.index, texts.dtype, texts.name)

    return column, back


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
