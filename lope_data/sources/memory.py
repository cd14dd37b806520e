"""Objects in memory as Arrow tables: datasets, frames, lists of rows or of texts."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa

from lope_data.errors import SourceError
from lope_data.rows.arrow_types import is_text
from lope_data.rows.classes import class_names
from lope_data.rows.digests import TableDigest
from lope_data.rows.json_type import is_unicode, type_name
from lope_data.rows.layout import ABSENT
from lope_data.rows.stored import stored
from lope_data.sources.formats.arrow import checked
from lope_data.sources.found import Found, Source
from lope_data.sources.gathered import Gathered, Reader, gather
from lope_data.sources.given import SPLIT, InMemory, values_of
from lope_data.sources.index import Place
from lope_data.sources.naming import of_split
from lope_data.sources.part import Part, Task
from lope_data.sources.reading import Reading
from lope_data.sources.saved import dataset_tasks
from lope_data.sources.spool import Spool
from lope_data.sources.streams import ROWS, dicts_part, of_iterable, of_reader
from lope_data.text.buffers import whole

_NAME = "memory"  # of an object that knows no name
_PLACE = Place("an object in memory")  # one for all: a new object under the same name is a new version of it


def find_object(given: InMemory) -> Found:
    """What an object is as a source. Raises SourceError: it is a dict of splits without one."""
    if given.kind not in SPLIT:
        return Found(str(given), lambda _, reading: _opened(given.held, given.kind, str(given), _name(given), reading))
    splits = {str(split): dataset for split, dataset in given.held.items()}
    if not splits:
        raise SourceError(f"{given}: has no splits; put a Dataset into it")

    def open_(split: str | None, reading: Reading) -> Source:
        assert split is not None
        name = of_split(_dataset(splits[split]) or _NAME, split)
        kind = given.kind.removesuffix("Dict")
        return _opened(splits[split], kind, f"{given}, split {split}", name, reading)

    return Found(str(given), open_, list(splits))


def _opened(held: Any, kind: str, where: str, name: str, reading: Reading) -> Source:
    try:
        spool = Spool(lambda: Path(tempfile.gettempdir()))
        rows = gather(_tasks(held, kind, where), Reader(where, spool, skip=reading.skip_broken))
    except OSError as error:
        raise SourceError(
            f"{where}: its rows cannot be kept in {tempfile.gettempdir()} ({error.strerror or error}); make room, or "
            "set TMPDIR to a folder that has some"
        ) from error
    return Source(name, where, _fingerprint(rows, where), reading, _PLACE, partial(rows.tasks, where), None)


def _tasks(held: Any, kind: str, where: str) -> Iterator[Task]:
    """What reads the rows of an object.

    A stream (`datasets.IterableDataset`, an Arrow reader) is read once, and so is a Dataset with rows chosen or
    shuffled, which are slow to gather: what they give has to be kept. All others stay where they are.

    Args:
        kind: a key of `given.KINDS`, not one of several splits.
    """
    match kind:
        case "datasets.Dataset":
            return dataset_tasks(held, where)
        case "datasets.IterableDataset":
            return of_iterable(held, where)
        case "pyarrow.RecordBatchReader":
            return of_reader(held, where)
        case "builtins.list":
            return _of_list(held, where)
        case _:
            return _of_table(_table(held, kind, where), where)


def _name(given: InMemory) -> str:
    dataset = _dataset(given.held)
    split = getattr(given.held, "split", None)
    if dataset is None:
        return _NAME
    return dataset if split is None else of_split(dataset, str(split))


def _dataset(held: Any) -> str | None:
    """The name of the dataset that an object of `datasets` is of, if it knows one."""
    info = getattr(held, "info", None)
    name = getattr(info, "dataset_name", None)
    if name == getattr(info, "builder_name", None):  # `json` or `generator`, which says nothing of the data
        return None
    return name if isinstance(name, str) and name else None


def _fingerprint(rows: Gathered, where: str) -> str:
    """sha256 over the values, the names and types of the columns, and the names of classes."""
    tables = (_as_stored(table, where) for table in rows.tables(0, len(rows), ROWS))
    first = next(tables, None)
    digest = TableDigest(pa.schema([]) if first is None else first.schema)
    for table in () if first is None else chain([first], tables):
        digest.add(table)
    classes = {path: list(names) for path, names in class_names(rows.schema).items()}
    return digest.finish(classes=classes, absent=json.loads((rows.schema.metadata or {}).get(ABSENT, b"[]")))


def _as_stored(table: pa.Table, where: str) -> pa.Table:
    names = table.column_names
    return pa.table({name: stored(whole(table[name]), f"{where}, column {name!r}") for name in names})


def _of_table(table: pa.Table, where: str) -> Iterator[Task]:
    for low in range(0, max(len(table), 1), ROWS):
        yield partial(_part, table.slice(low, ROWS), where)


def _part(rows: pa.Table, where: str) -> Part:
    table, broken = checked(rows, where)
    return Part(table, where, again=lambda: table, broken=broken)


def _table(held: Any, kind: str, where: str) -> pa.Table:
    library, _, name = kind.partition(".")
    if library == "datasets":
        return _texts(values_of(held), where)
    if library == "pyarrow":
        if name in ("Array", "ChunkedArray"):
            return _texts(held, where)
        table = held if name == "Table" else pa.Table.from_batches([held])
        metadata = {key: value for key, value in (table.schema.metadata or {}).items() if key == b"huggingface"}
        return table.replace_schema_metadata(metadata)
    from lope_data.sources import frames

    if library == "polars":
        if name == "Series":
            return _texts(frames.polars_column(held, where), where)
        return frames.of_polars(frames.collected(held, where) if name == "LazyFrame" else held, where)
    if name == "Series":
        return _texts(frames.pandas_column(held, where), where)
    return frames.of_pandas(held, where)


def _of_list(held: list[Any], where: str) -> Iterator[Task]:
    if not held:
        raise SourceError(f"{where}: is empty, and has no rows")
    if not any(isinstance(row, Mapping) for row in held):
        yield from _of_table(_texts(held, where), where)
        return
    for first in range(0, len(held), ROWS):
        yield partial(dicts_part, held[first : first + ROWS], where, first)


def _texts(texts: Any, where: str) -> pa.Table:
    """Texts as a table of one column, `text`."""
    if isinstance(texts, list):
        for row, text in enumerate(texts):
            if text is not None and not isinstance(text, str):
                raise SourceError(f"{where}, row {row}: {type(text).__name__}, where a text or a dict is needed")
        try:
            texts = pa.array(texts, pa.large_string())
        except UnicodeEncodeError as error:
            row = next(row for row, text in enumerate(texts) if text is not None and not is_unicode(text))
            raise SourceError(f"{where}, row {row}: not valid Unicode ({error.reason}); fix it") from error
    if not is_text(kind := stored(texts[:0] if isinstance(texts, pa.Array) else whole(texts[:0]), where).type):
        raise SourceError(f"{where}: of {type_name(kind)}, where texts are needed; give a frame or a list of dicts")
    return pa.table({"text": texts})
