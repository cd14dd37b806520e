"""Ids of rows: a hash of what they hold, or the ids that the source gives them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from lope_common.errors import shown
from lope_data.errors import SourceError
from lope_data.rows.json_type import is_json, is_unicode, loads, type_name
from lope_data.text.buffers import Mask, offsets_and_data, whole
from lope_data.text.draws import I64, U64

_ROWS = 1 << 14  # hashed at a time, so that their bytes stay in the processor's cache
_FEW = 1000  # below that it takes longer to load the kernels
_SORTED = 1 << 19  # digests that are sorted at a time
_SEEN = 1 << 17  # and those that are looked through for them


def content_digests(table: pa.Table, where: str) -> bytes:
    """128 bits of each row: a hash of what it holds.

    Raises:
        SourceError: a value that cannot be read.
    """
    columns = [(name, table[name]) for name in sorted(table.column_names)]
    if not columns:
        return xxhash.xxh3_128_digest(b"") * len(table)
    return b"".join(
        _digests([(name, column.slice(low, _ROWS)) for name, column in columns], where)
        for low in range(0, len(table), _ROWS)
    )


class ContentIds:
    """The ids of rows by what they hold: 128 bits as hex; the second and later of equal rows get `-1`, `-2`, ..."""

    def __init__(self, digests: U64) -> None:
        """`digests`: of all rows, in their order; shape (rows, 2)."""
        self._digests = digests
        self._rows, self._numbers = _repeated(digests)

    def __len__(self) -> int:
        return len(self._digests)

    def take(self, places: I64) -> pa.Array:
        """The ids of these rows."""
        plain = _hexadecimal(self._digests[places].tobytes())
        if not len(self._rows):
            return plain
        at = np.searchsorted(self._rows, places)
        again = np.zeros(len(places), np.int64)
        inside = at < len(self._rows)
        hit = np.flatnonzero(inside)[self._rows[at[inside]] == places[inside]]
        if not len(hit):
            return plain
        again[hit] = self._numbers[at[hit]]
        return pa.array(
            [f"{i}-{n}" if n else i for i, n in zip(plain.to_pylist(), again.tolist(), strict=True)], pa.string()
        )


def _hexadecimal(digests: bytes) -> pa.Array:
    """16 bytes a row as 32 digits."""
    ends = np.arange(0, 2 * len(digests) + 1, 32, dtype=np.int32)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(digests.hex().encode())]
    return pa.Array.from_buffers(pa.string(), len(ends) - 1, buffers)


class GivenIds:
    """The ids of rows that their source gives."""

    def __init__(self, ids: pa.Array) -> None:
        """`ids`: what `given_ids` gave."""
        self._ids = ids

    def __len__(self) -> int:
        return len(self._ids)

    def take(self, places: I64) -> pa.Array:
        """The ids of these rows."""
        return self._ids.take(pa.array(places)).cast(pa.string())


def given_ids(ids: pa.Array, where: str) -> pa.Array:
    """The ids of a source as strings.

    Raises:
        SourceError: one is null, is no string or integer, or stands on two rows.
    """
    if ids.null_count:
        raise SourceError(f"{where}, row {pc.index(ids.is_null(), True).as_py()}: the id is null; give every row one")
    if not (pa.types.is_integer(ids.type) or pa.types.is_string(ids.type) or pa.types.is_large_string(ids.type)):
        raise SourceError(f"{where}: ids must be strings or integers, not {type_name(ids.type)}")
    text = ids.cast(pa.large_string())
    counts = pc.value_counts(text)
    repeated = counts.filter(pc.greater(counts.field("counts"), 1))
    if len(repeated):
        raise SourceError(
            f"{where}: the id {shown(repeated[0]['values'].as_py())} stands on {repeated[0]['counts'].as_py()} rows; "
            "ids must be unique"
        )
    return text


def _digests(columns: list[tuple[str, pa.ChunkedArray]], where: str) -> bytes:
    """The XXH3-128 hash of each row, over `name=:`, bytes, text of each column that holds something; where that could
    be read in two ways, since a name or text holds `=:`, over each name and text after its length.
    """
    texts = []
    for name, column in columns:
        try:
            texts.append((name.encode(), _text(whole(column))))
        except (pa.ArrowException, OverflowError, ValueError) as error:  # an unknown time zone, a date out of range
            raise SourceError(f"{where}, column {name!r}: it holds values that cannot be read ({error})") from error
        except RecursionError as error:
            raise SourceError(f"{where}, column {name!r}: nested too deeply; drop or flatten it") from error
    if len(columns[0][1]) < _FEW:
        rows = zip(*(text.to_pylist() for _, text in texts), strict=True)
        return b"".join(_digest([name for name, _ in texts], row) for row in rows)
    found, marked = _joined_digests(texts)
    for row in np.flatnonzero(marked).tolist():
        found[row] = _digest([name for name, _ in texts], [text[row].as_py() for _, text in texts])
    return b"".join(found)


def _digest(names: Sequence[bytes], values: Sequence[str | None]) -> bytes:
    """The hash of one row."""
    held = [(name, value.encode()) for name, value in zip(names, values, strict=True) if value is not None]
    if any(_MARK in name or _MARK in value for name, value in held):
        cells = (b"%d:%b%d:%b" % (len(name), name, len(value), value) for name, value in held)
        return xxhash.xxh3_128_digest(_MARK + b"".join(cells))
    return xxhash.xxh3_128_digest(b"".join(b"%b=:%d%b" % (name, len(value), value) for name, value in held))


def _joined_digests(texts: Sequence[tuple[bytes, pa.Array]]) -> tuple[list[bytes], Mask]:
    """The hashes of many rows as if `=:` were nowhere, and the rows where it is."""
    from lope_data.text.kernels import add_sizes, put_cells, words_of

    count = len(texts[0][1])
    sizes, marked = np.zeros(count, np.int64), np.zeros(count, np.uint8)
    columns = []
    for name, text in texts:  # a null says nothing, so a row's id does not hang on others' columns
        valid = np.asarray(text.is_valid()).astype(np.uint8)
        offsets, data = offsets_and_data(text)
        columns.append((np.frombuffer(name + _MARK, np.uint8), offsets, data, valid))
        add_sizes(offsets, valid, len(name) + len(_MARK), sizes)
        if _MARK in name:
            marked |= valid
    ends = np.concatenate(([0], np.cumsum(sizes)))
    out, at = np.empty(max(ends[-1], 8), np.uint8), ends[:-1].copy()
    for before, offsets, data, valid in columns:
        put_cells(out, words_of(out), at, before, offsets, data, words_of(data), valid, marked)
    places = ends.tolist()
    texts_of_rows = map(out.data.__getitem__, map(slice, places, places[1:]))
    return list(map(xxhash.xxh3_128_digest, texts_of_rows)), marked.astype(np.bool_)


_MARK = b"=:"
_json = json.JSONEncoder(sort_keys=True, default=str).encode  # as `json.dumps`, which would make one for each value


def _repeated(digests: U64) -> tuple[I64, I64]:
    """The rows that equal one before them, ascending, and how many do. The rows are looked through in as many parts as
    keep each small, by the first bits of their digests.
    """
    parts = -(-len(digests) // _SORTED)
    bits = max(parts - 1, 0).bit_length()
    rows, numbers = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for part in range(1 << bits):
        places = _of_part(digests, part, bits)
        keys = digests if places is None else digests[places]
        low = np.sort(keys[:, 1])
        if not (low[1:] == low[:-1]).any():
            continue
        order = np.lexsort((keys[:, 1], keys[:, 0]))  # keeps the order of equal ones
        ordered = keys[order]
        new = np.concatenate(([True], (ordered[1:] != ordered[:-1]).any(axis=1)))
        place = np.arange(len(keys))
        count = place - np.maximum.accumulate(np.where(new, place, 0))
        again = order[count > 0]
        rows.append(again if places is None else places[again])
        numbers.append(count[count > 0])
    row = np.concatenate(rows)
    order = np.argsort(row)
    return row[order], np.concatenate(numbers)[order]


def _of_part(digests: U64, part: int, bits: int) -> I64 | None:
    """The rows whose digests begin with these bits; None for all rows."""
    if not bits:
        return None
    shift = np.uint64(64 - bits)
    found = [
        low + np.flatnonzero(digests[low : low + _SEEN, 0] >> shift == np.uint64(part))
        for low in range(0, len(digests), _SEEN)
    ]
    return np.concatenate(found)


def _text(column: pa.Array) -> pa.Array:
    """A text of each value that does not hang on the type of its column: strings as they are, the rest as JSON."""
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return column.cast(pa.large_string())
    if pa.types.is_integer(column.type) or pa.types.is_boolean(column.type):
        return column.cast(pa.large_string())
    values = column.to_pylist()
    if is_json(column.type):
        values = [None if text is None else loads(text) for text in values]
    return pa.array([None if value is None else _value_text(value) for value in values], pa.large_string())


def _value_text(value: Any) -> str:
    if isinstance(value, str) and is_unicode(value):
        return value
    return _json(value)
