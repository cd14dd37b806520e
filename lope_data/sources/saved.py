"""A folder that `datasets.Dataset.save_to_disk` wrote, and any `datasets.Dataset`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from lope_data.errors import SourceError
from lope_data.sources.formats.arrow import checked
from lope_data.sources.part import Part, Task
from lope_data.sources.text import first_line

_ROWS = 5_000  # taken at a time


def saved_tasks(folder: Path) -> Iterator[Task]:
    """What reads the rows, with the names of classes in the metadata.

    Raises:
        SourceError: it is damaged, or names files outside; so do the tasks.
    """
    import datasets  # slow to import, and only needed here

    try:
        state = json.loads((folder / "state.json").read_bytes())
        names = [file["filename"] for file in state["_data_files"]]
        if outside := [name for name in names if Path(name).name != name or (folder / name).is_symlink()]:
            raise SourceError(f"{folder}: its state.json names {outside[0]!r}, which is not a file of this folder")
        yield from dataset_tasks(datasets.load_from_disk(str(folder)), str(folder))
    except (SourceError, GeneratorExit):
        raise
    except Exception as error:  # a state.json or features of the wrong form raise whatever they meet
        raise SourceError(f"{folder}: cannot be read as a saved dataset ({first_line(error)})") from error


def dataset_tasks(dataset: Any, where: str) -> Iterator[Task]:
    """What reads the rows of a Dataset as chosen and ordered, with the names of its classes in the metadata."""
    chosen = getattr(dataset, "_indices", None) is not None  # by select or shuffle; slow to gather, so only once
    for low in range(0, len(dataset), _ROWS):
        yield partial(_part, dataset, low, where, chosen)


def _part(dataset: Any, low: int, where: str, chosen: bool) -> Part:
    table, broken = checked(_rows(dataset, low, where), where)
    return Part(table, where, again=None if chosen or broken else partial(_rows, dataset, low, where), broken=broken)


def _rows(dataset: Any, low: int, where: str) -> pa.Table:
    try:
        rows = dataset.with_format("arrow")[low : low + _ROWS]
        found: pa.Table = rows.replace_schema_metadata(dataset.features.arrow_schema.metadata)
        return found.combine_chunks()  # of rows that were gathered each may be a chunk
    except Exception as error:  # whatever `datasets` makes of files that are not as they were
        raise SourceError(f"{where}: cannot be read ({first_line(error)})") from error
