"""Digests of columns, which hang on values and types, not on chunks or the width of strings (FORMAT.md)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lope_common.files import canonical
from lope_data.rows.arrow_types import is_list, is_text
from lope_data.rows.json_type import is_json
from lope_data.text.buffers import offsets_and_data, whole

_ROWS = 1 << 14  # hashed as one block


def values_digest(array: pa.Array) -> bytes:
    """The digest of a column's values: their type's name, which are there, lengths, values, then what is in them."""
    kind = array.type
    if is_json(kind):
        array = array.storage
    validity: Any = np.asarray(array.is_valid()).astype(np.uint8) if array.null_count else b"\1" * len(array)
    lengths: Any = b""
    values: Any = b""
    children: list[pa.Array] = []
    if is_list(array.type):
        lengths = _little(pc.fill_null(pc.list_value_length(array), 0), np.int64)
        children = [array.drop_null().flatten() if array.null_count else array.flatten()]
    elif pa.types.is_struct(array.type):
        children = array.flatten()
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
        values = _little(array.fill_null(0), kind.to_pandas_dtype())
    else:  # texts; booleans, times, decimals by their text
        text = array if is_text(array.type) else array.cast(pa.string())
        wide = text.cast(pa.large_string()).cast(pa.large_binary())
        offsets, data = offsets_and_data(wide.fill_null(b"") if wide.null_count else wide)
        lengths, values = _little(np.diff(offsets), np.int64), data.data
    digest = hashlib.sha256(_type_name(kind).encode())
    for part in (validity, lengths, values):
        digest.update(hashlib.sha256(part).digest())
    for child in children:
        digest.update(values_digest(child))
    return digest.digest()


def _little(array: Any, dtype: Any) -> Any:
    return np.ascontiguousarray(np.asarray(array).astype(np.dtype(dtype).newbyteorder("<"), copy=False))


def _type_name(kind: pa.DataType) -> str:
    if is_json(kind):
        return "json"
    if is_list(kind):
        return "list"
    if pa.types.is_struct(kind):
        return "struct:" + ",".join(field.name for field in kind)
    return str(kind).removeprefix("large_")


def full_name(kind: pa.DataType) -> str:
    """The name of a type and of those in it."""
    inner: Sequence[pa.DataType] = []
    if is_list(kind):
        inner = [kind.value_type]
    elif pa.types.is_struct(kind):
        inner = [field.type for field in kind]
    return _type_name(kind) + (f"<{';'.join(map(full_name, inner))}>" if inner else "")


class TableDigest:
    """sha256 over a table that comes part after part: its columns in their order, and their values in blocks."""

    def __init__(self, schema: pa.Schema) -> None:
        """`schema`: of every part."""
        self._columns = [[field.name, full_name(field.type)] for field in schema]
        self._blocks: list[str] = []
        self._held: list[pa.Table] = []
        self._rows = 0

    def add(self, part: pa.Table) -> None:
        """Takes the next rows."""
        self._held.append(part)
        self._rows += len(part)
        if sum(map(len, self._held)) >= _ROWS:
            table = pa.concat_tables(self._held)
            cut = len(table) // _ROWS * _ROWS
            for low in range(0, cut, _ROWS):
                self._block(table.slice(low, _ROWS))
            self._held = [table.slice(cut)]

    def finish(self, **notes: Any) -> str:
        """`sha256:` and the digest of all rows, with what their types do not say, as JSON."""
        if self._held:
            self._block(pa.concat_tables(self._held))
        said = {"rows": self._rows, "columns": self._columns, "blocks": self._blocks, **notes}
        return "sha256:" + hashlib.sha256(canonical(said)).hexdigest()

    def _block(self, rows: pa.Table) -> None:
        digest = hashlib.sha256()
        for column in rows.columns:
            digest.update(values_digest(whole(column)))
        self._blocks.append(digest.hexdigest())
