"""The content digest: sha256 over the values of tables, whatever their chunks, files, compression or string widths."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lope_data.text.buffers import offsets_and_data


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
            self.lengths.update(_little(np.diff(offsets), np.int64))
            self.values.update(data.data)
        elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
            self.values.update(_little(array.fill_null(0), array.type.to_pandas_dtype()))
        else:  # booleans, times, decimals: by their text
            self.update_text(array)

    def update_text(self, array: pa.Array) -> None:
        offsets, data = offsets_and_data(array.cast(pa.string()).fill_null("").cast(pa.large_binary()))
        self.lengths.update(_little(np.diff(offsets), np.int64))
        self.values.update(data.data)

    def finish(self) -> bytes:
        whole = hashlib.sha256(_type_name(self.kind).encode())
        for part in (self.validity.digest(), self.lengths.digest(), self.values.digest()):
            whole.update(part)
        for child in self.children:
            whole.update(child.finish())
        return whole.digest()


def _validity(array: pa.Array) -> Any:
    """A byte of 1 or 0 for each value: whether it is there."""
    if not array.null_count:
        return b"\1" * len(array)
    return np.asarray(array.is_valid()).astype(np.uint8)


def _little(array: Any, dtype: Any) -> Any:
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


class ContentDigest:
    """The digest of rows and edits that come shard after shard."""

    def __init__(self) -> None:
        self._parts = {"rows": _Part(), "edits": _Part()}

    def add(self, rows: pa.Table, edits: pa.Table) -> None:
        """Takes the next rows, and their edits."""
        self._parts["rows"].add(rows)
        self._parts["edits"].add(edits)

    def finish(self) -> str:
        """`sha256:` and the digest of all of them."""
        whole = hashlib.sha256()
        for name, part in self._parts.items():
            whole.update(f"{name}:{part.count}:{len(part.columns)}\n".encode())
            for column, state in sorted(part.columns.items()):
                whole.update(f"{len(column.encode())}:{column}\n".encode() + state.finish())
        return "sha256:" + whole.hexdigest()


class _Part:
    def __init__(self) -> None:
        self.columns: dict[str, _Column] = {}
        self.count = 0

    def add(self, table: pa.Table) -> None:
        self.count += len(table)
        for field, values in zip(table.schema, table.columns, strict=True):
            column = self.columns.setdefault(field.name, _Column(field.type))
            for chunk in values.chunks:
                column.update(chunk)


def content_digest(rows: pa.Table, edits: pa.Table) -> str:
    """The digest of all rows and edits."""
    digest = ContentDigest()
    digest.add(rows, edits)
    return digest.finish()
