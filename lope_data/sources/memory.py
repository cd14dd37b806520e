"""Objects in memory as Arrow tables: datasets, frames, lists of rows or of texts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
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
from lope_data.sources.given import SPLIT, InMemory, values_of
from lope_data.sources.index import Place
from lope_data.sources.naming import of_split
from lope_data.sources.reading import Reading
from lope_data.sources.streams import ROWS, Blocks, kept, of_iterable, of_reader
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


def blocks_of(held: Any, kind: str, where: str) -> Blocks:
    """The rows of an object, block by block, in types that versions hold.

    A stream (`datasets.IterableDataset`, an Arrow reader) is read here, once, and so is a Dataset with rows chosen or
    shuffled: they are kept on the disk. All others stay where they are.

    Args:
        kind: a key of `given.KINDS`, not one of several splits.
        where: the object, for messages.

    Raises:
        SourceError: something in it cannot be read or be held by a version; from the blocks, too.
    """
    match kind:
        case "datasets.Dataset":
            chosen = getattr(held, "_indices", None) is not None  # by select or shuffle; slow to gather, so only once
            found: Blocks = kept(_of_dataset(held), where) if chosen else partial(_of_dataset, held)
        case "datasets.IterableDataset":
            found = kept(of_iterable(held, where), where)
        case "pyarrow.RecordBatchReader":
            found = kept(of_reader(held, where), where)
        case "builtins.list":
            found = partial(_cut, _of_list(held, where))
        case _:
            found = partial(_cut, _table(held, kind, where))
    return lambda: _fitted(found(), where)


def _opened(held: Any, kind: str, where: str, name: str, reading: Reading) -> Source:
    blocks = blocks_of(held, kind, where)
    return Source(name, where, _fingerprint(blocks), reading, _PLACE, lambda: pa.concat_tables(blocks()), None)


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


def _fingerprint(blocks: Blocks) -> str:
    """sha256 over the values, the names and types of the columns, and the names of classes."""
    left = blocks()
    block = next(left)
    classes = {path: list(names) for path, names in class_names(block.schema).items()}
    digest = TableDigest(block.schema)
    digest.add(block)
    for part in left:
        digest.add(part)
    return digest.finish(classes=classes, absent=json.loads((block.schema.metadata or {}).get(ABSENT, b"[]")))


def _cut(table: pa.Table) -> Iterator[pa.Table]:
    for low in range(0, max(len(table), 1), ROWS):
        yield table.slice(low, ROWS)


def _fitted(blocks: Iterator[pa.Table], where: str) -> Iterator[pa.Table]:
    """The blocks with each column in the type in which a version holds it, and one schema."""
    first = 0
    for block in blocks:
        if twice := [name for name, count in Counter(block.column_names).items() if count > 1]:
            raise SourceError(f"{where}: has two columns {twice[0]!r}; rename one")
        at = f"{where}, rows from {first} on" if first else where
        columns = checked(block, Path(at))
        fitted = {name: stored(whole(columns[name]), f"{at}, column {name!r}") for name in block.column_names}
        yield pa.table(fitted).replace_schema_metadata(block.schema.metadata)
        first += len(block)


def _of_dataset(dataset: Any) -> Iterator[pa.Table]:
    """The rows of a `datasets.Dataset` as they are chosen and ordered, whatever it is set to show of them."""
    schema = dataset.features.arrow_schema
    yield schema.empty_table()
    for block in dataset.with_format("arrow").iter(ROWS):
        yield block.replace_schema_metadata(schema.metadata)


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


def _of_list(held: list[Any], where: str) -> pa.Table:
    if not held:
        raise SourceError(f"{where}: is empty, and has no rows")
    if not any(isinstance(row, Mapping) for row in held):
        return _texts(held, where)
    from lope_data.sources.objects import Objects
    from lope_data.sources.plain import plain_rows

    objects = Objects()
    for first in range(0, len(held), ROWS):
        objects.add(plain_rows(held[first : first + ROWS], where, first), where, first=first)
    return objects.table()


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
            raise SourceError(f"{where}, row {row}: not valid Unicode ({error.reason}); mend it") from error
    if not is_text(kind := stored(texts[:0] if isinstance(texts, pa.Array) else whole(texts[:0]), where).type):
        raise SourceError(f"{where}: of {type_name(kind)}, where texts are needed; give a frame or a list of dicts")
    return pa.table({"text": texts})
