"""The content digest: sha256 over the values of tables, whatever their chunks, files, compression or string widths."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lope_data.buffers import Bytes, offsets_and_data


class _Column:
    """One stream each for validity, lengths and values, fed chunk by chunk; a list's items are a column too."""

    def __init__(self, kind: pa.DataType) -> None:
        self.kind = kind
        self.validity, self.lengths, self.values = hashlib.sha256(), hashlib.sha256(), hashlib.sha256()
        self.children: list[_Column] = []
        if _is_list(kind):
            self.children = [_Column(kind.value_type)]
        elif pa.types.is_struct(kind):
            self.children = [_Column(field.type) for field in kind]

    def update(self, array: pa.Array) -> None:
        self.validity.update(_validity(array))
        kind = array.type
        if _is_list(kind):
            self.lengths.update(_little(pc.fill_null(pc.list_value_length(array), 0), np.int64))
            self.children[0].update(array.drop_null().flatten() if array.null_count else array.flatten())
        elif pa.types.is_struct(kind):
            for child, values in zip(self.children, array.flatten(), strict=True):
                child.update(values)
        elif _is_bytes(kind):
            wide = array.cast(pa.large_binary())
            offsets, data = offsets_and_data(wide.fill_null(b"") if wide.null_count else wide)
            self.lengths.update(np.diff(offsets).astype("<i8", copy=False))
            self.values.update(data)
        elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
            self.values.update(_little(array.fill_null(0), array.type.to_pandas_dtype()))
        else:  # booleans, times, decimals: by their text
            self.update_text(array)

    def update_text(self, array: pa.Array) -> None:
        offsets, data = offsets_and_data(array.cast(pa.string()).fill_null("").cast(pa.large_binary()))
        self.lengths.update(np.diff(offsets).astype("<i8", copy=False))
        self.values.update(data)

    def finish(self) -> bytes:
        whole = hashlib.sha256(_type_name(self.kind).encode())
        for part in (self.validity.digest(), self.lengths.digest(), self.values.digest()):
            whole.update(part)
        for child in self.children:
            whole.update(child.finish())
        return whole.digest()


def _validity(array: pa.Array) -> bytes | Bytes:
    """A byte of 1 or 0 for each value: whether it is there."""
    if not array.null_count:
        return b"\1" * len(array)
    return np.asarray(array.is_valid()).astype(np.uint8)


def _little(array: pa.Array, dtype: Any) -> npt.NDArray[Any]:
    return np.ascontiguousarray(np.asarray(array).astype(np.dtype(dtype).newbyteorder("<"), copy=False))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
    )


def _type_name(kind: pa.DataType) -> str:
    if _is_list(kind):
        return "list"
    if pa.types.is_struct(kind):
        return "struct:" + ",".join(field.name for field in kind)
    return str(kind).removeprefix("large_")


def content_digest(rows: Iterable[pa.Table], edits: Iterable[pa.Table]) -> str:
    """`sha256:` and the digest of the rows and edits, each given shard after shard."""
    whole = hashlib.sha256()
    for name, tables in (("rows", rows), ("edits", edits)):
        columns: dict[str, _Column] = {}
        count = 0
        with ThreadPoolExecutor() as threads:
            for table in tables:
                count += len(table)
                for field in table.schema:
                    columns.setdefault(field.name, _Column(field.type))
                list(threads.map(lambda item: _feed(*item), ((columns[n], table[n]) for n in table.column_names)))
        whole.update(f"{name}:{count}:{len(columns)}\n".encode())
        for column, state in sorted(columns.items()):
            whole.update(f"{len(column.encode())}:{column}\n".encode() + state.finish())
    return "sha256:" + whole.hexdigest()


def _feed(column: _Column, values: pa.ChunkedArray) -> None:
    for chunk in values.chunks:
        column.update(chunk)
