"""Objects in memory that can be a source, told by the names of their types: to import a library only to ask whether an
object is its own would take seconds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from lope_data.errors import SourceError

KINDS = {
    "datasets.Dataset": "the Dataset",
    "datasets.DatasetDict": "the DatasetDict",
    "datasets.IterableDataset": "the IterableDataset",
    "datasets.IterableDatasetDict": "the IterableDatasetDict",
    "datasets.Column": "the column",
    "datasets.IterableColumn": "the column",
    "pandas.DataFrame": "the pandas DataFrame",
    "pandas.Series": "the pandas Series",
    "polars.DataFrame": "the polars DataFrame",
    "polars.LazyFrame": "the polars LazyFrame",
    "polars.Series": "the polars Series",
    "pyarrow.Table": "the Arrow table",
    "pyarrow.RecordBatch": "the Arrow record batch",
    "pyarrow.RecordBatchReader": "the Arrow reader",
    "pyarrow.Array": "the Arrow array",
    "pyarrow.ChunkedArray": "the Arrow array",
    "builtins.list": "the list",
}
"""What can be a source -> what messages call it."""
SPLIT = ("datasets.DatasetDict", "datasets.IterableDatasetDict")
"""Those of several splits."""
_ADVICE = {
    "builtins.dict": "datasets.Dataset.from_dict makes a Dataset of columns, datasets.DatasetDict holds splits",
    "builtins.tuple": "make it a list",
    "builtins.set": "make it a list, in an order of yours",
    "builtins.frozenset": "make it a list, in an order of yours",
    "numpy.ndarray": "give its .tolist(), or a frame of it",
    "torch.Tensor": "give texts: noise is put into these before a tokenizer makes numbers of them",
    "torch.Dataset": "make a list of its rows, or a datasets.Dataset",
}


@dataclass(frozen=True)
class InMemory:
    """An object as a source.

    Attributes:
        held: the object.
        kind: a key of `KINDS`.
    """

    held: Any
    kind: str

    def __str__(self) -> str:
        return KINDS[self.kind]

    __repr__ = __str__  # not all of its rows


def in_memory(held: object) -> InMemory:
    """An object as a source. Raises SourceError: it cannot be one; says what can be, and a way where there is one."""
    if (kind := known_type(held, KINDS)) is not None:
        return InMemory(held, kind)
    name = "None" if held is None else type(held).__name__
    todo = _ADVICE.get(known_type(held, _ADVICE) or "")
    if todo is None and isinstance(held, Iterator):
        todo = "make it a list, or a datasets.IterableDataset, which need not fit in memory"
    raise SourceError(
        "source must be a file, a folder, a hub id, a Dataset, a frame of pandas or polars, an Arrow table, a list of "
        f"dicts, or a list or column of texts, not {name}" + (f"; {todo}" if todo else "")
    )


def known_type(value: object, known: Collection[str]) -> str | None:
    """The first of the names, such as `pandas.Series`, that is the object's class or one that it inherits from."""
    names = (f"{one.__module__.partition('.')[0]}.{one.__qualname__}" for one in type(value).__mro__)
    return next((name for name in names if name in known), None)


def values_of(column: Any) -> list[Any]:
    """The values of a `datasets` column as its dataset shows them; of one that is read as it comes, all of them."""
    found = column[:] if hasattr(column, "__len__") else column
    way = next((way for way in ("tolist", "to_pylist", "to_list") if hasattr(found, way)), None)  # of its format
    return list(found) if way is None else list(getattr(found, way)())
