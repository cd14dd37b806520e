"""Rows that can be read only once, block by block as they come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa

from lope_data.errors import SourceError
from lope_data.sources.formats.arrow import table_tasks
from lope_data.sources.objects import object_part
from lope_data.sources.part import Part, Task
from lope_data.sources.plain import plain_rows
from lope_data.sources.text import first_line

if TYPE_CHECKING:
    import datasets

T = TypeVar("T")

ROWS = 1 << 14
"""Of a block."""


def of_reader(reader: pa.RecordBatchReader, where: str) -> Iterator[Task]:
    """What reads the rows that a reader has not given yet. Raises SourceError: it cannot be read."""
    return table_tasks(_told(reader, where), where)


def of_iterable(dataset: datasets.IterableDataset, where: str) -> Iterator[Task]:
    """What reads the rows of a `datasets.IterableDataset`: as its features have them, or else as JSON has them.

    Raises:
        SourceError: it cannot be read, or a value is not of the features' types and none of JSON's; so do the tasks.
    """
    if dataset.features is None:
        rows, first = _told(dataset.with_format(None), where), 0
        while block := list(islice(rows, ROWS)):
            yield partial(dicts_part, block, where, first)
            first += len(block)
        return
    schema = dataset.features.arrow_schema
    blocks = (block.cast(schema) for block in dataset.with_format("arrow").iter(ROWS))
    yield from table_tasks(_told(blocks, where), where)


def dicts_part(rows: list[Any], where: str, first: int) -> Part:
    """Dicts as a part.

    Args:
        first: the number of its first row among all, for messages.

    Raises:
        SourceError: a row is no dict, or holds what JSON cannot.
    """
    return object_part(plain_rows(rows, where, first), where)


def _told(blocks: Iterable[T], where: str) -> Iterator[T]:
    """The blocks. Says in one line what making them raises, whatever that is."""
    left = iter(blocks)
    while True:
        with _reading(where):
            block = next(left, None)
        if block is None:
            return
        yield block


@contextmanager
def _reading(where: str) -> Iterator[None]:
    try:
        yield
    except SourceError:
        raise
    except Exception as error:
        raise SourceError(f"{where}: cannot be read ({first_line(error)})") from error
