"""Any rows come back as they were written, and any bytes give rows or a clear error."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lope_data.errors import SourceError
from lope_data.rows import ABSENT, KEYS, is_json
from lope_data.sources import Reading, chunks, open_source, plain_json, text
from lope_data.sources.formats import FORMATS

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NAMES = st.lists(TEXT, min_size=2, max_size=4, unique=True)
VALUES: tuple[st.SearchStrategy[Any], ...] = (
    TEXT,
    st.integers(-(2**63), 2**63 - 1),
    st.booleans(),
    st.floats(allow_nan=False),
    st.lists(TEXT | st.none(), max_size=3),
    st.none(),
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
few = settings(
    max_examples=60, derandomize=True, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@st.composite
def tables(draw: Callable[..., Any]) -> list[dict[str, Any]]:
    """Rows whose columns have one type each, any value of which may be null."""
    columns = {name: draw(st.sampled_from(VALUES)) | st.none() for name in draw(NAMES)}
    return list(draw(st.lists(st.fixed_dictionaries(columns), min_size=1, max_size=8)))


@st.composite
def objects(draw: Callable[..., Any]) -> list[dict[str, Any]]:
    """Rows with values of any type, in any order, some of which a row may lack."""
    names = draw(NAMES)
    columns = {name: draw(st.sampled_from(VALUES)) | draw(st.sampled_from((st.none(), ANYTHING))) for name in names}
    optional = {name: columns.pop(name) for name in names[1:] if draw(st.booleans())}
    row = st.fixed_dictionaries(columns, optional=optional).flatmap(lambda row: st.permutations(list(row.items())))
    return list(draw(st.lists(row.map(dict), min_size=1, max_size=8)))


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "_BLOCK", 50)
    monkeypatch.setattr(chunks, "SIZE", 50)
    monkeypatch.setattr(plain_json, "LEAST", 1)


def read(path: Path, content: bytes, **reading: Any) -> pa.Table:
    path.write_bytes(content)
    return open_source(str(path), Reading(**reading)).read()


@few
@given(tables() | objects(), st.booleans(), st.sampled_from(["\n", "\r\n", "\r"]))
def test_json(tmp_path: Path, rows: list[dict[str, Any]], ascii_only: bool, ends: str) -> None:
    lines = ends.join(json.dumps(row, ensure_ascii=ascii_only) for row in rows).encode()
    assert repr(as_written(read(tmp_path / "r.jsonl", lines))) == repr(rows)
    array = json.dumps(rows, ensure_ascii=ascii_only).encode()
    assert repr(as_written(read(tmp_path / "r.json.gz", gzip.compress(array, 1)))) == repr(rows)


def as_written(table: pa.Table) -> list[dict[str, Any]]:
    """The rows with the keys that each has, in their order."""
    held = table.to_pylist()
    absent = json.loads(table.schema.metadata[ABSENT]) if table.schema.metadata else []
    for row in held:
        for field in table.schema:
            if is_json(field.type) and row[field.name] is not None:
                row[field.name] = json.loads(row[field.name])
    if KEYS in table.column_names:
        return [{name: row[name] for name in row[KEYS]} for row in held]
    return [{name: row[name] for name in row if not (row[name] is None and name in absent)} for row in held]


@few
@given(
    NAMES.filter(lambda names: "\0" not in "".join(names)),
    st.lists(st.lists(TEXT, min_size=4, max_size=4), max_size=6),
    st.sampled_from(["\n", "\r", "\r\n", None]),
)
def test_delimited(tmp_path: Path, names: list[str], rows: list[list[str]], end: str | None) -> None:
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator=end or "\r\n", quoting=csv.QUOTE_ALL if end else csv.QUOTE_MINIMAL)
    cut = [[cell.replace("\0", "") for cell in row[: len(names)]] for row in rows]
    writer.writerows([names, *cut])
    content = file.getvalue()
    if "\ufeff" in content[:2]:
        content = "\ufeff" + content  # one is a mark, and not the name's
    assert [list(row.values()) for row in read(tmp_path / "r.csv", content.encode(), delimiter=",").to_pylist()] == cut


@settings(few, max_examples=150)
@given(
    st.sampled_from([*FORMATS, ".csv.gz", ".jsonl.zst", ".txt"]),
    st.binary(max_size=200) | tables().map(lambda rows: json.dumps(rows).encode()),
    st.sampled_from(["utf-8", "utf-16", "latin-1", "shift_jis", "utf-7"]),
    st.sampled_from([None, "(?P<a>.*?)(?P<b>,.*)?"]),
)
def test_any_bytes(tmp_path: Path, suffix: str, content: bytes, encoding: str, pattern: str | None) -> None:
    try:
        table = read(tmp_path / f"r{suffix}", content, encoding=encoding, pattern=pattern)
    except SourceError:
        return
    table.validate(full=True)


@settings(few, max_examples=150)
@given(tables(), st.sampled_from([".parquet", ".arrow", ".stream.arrow"]), st.data())
def test_bytes_that_changed(tmp_path: Path, rows: list[dict[str, Any]], suffix: str, data: st.DataObject) -> None:
    table = pa.Table.from_pylist(rows)
    file = io.BytesIO()
    if suffix == ".parquet":
        pq.write_table(table, file)
    else:
        new = pa.ipc.new_stream if "stream" in suffix else pa.ipc.new_file
        with new(file, table.schema) as writer:
            writer.write_table(table)
    content = bytearray(file.getvalue())
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with suppress(SourceError):
        read(tmp_path / f"r{suffix}", bytes(content)).to_pylist()
