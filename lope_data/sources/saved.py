"""A folder that `datasets.Dataset.save_to_disk` wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from lope_data.errors import SourceError
from lope_data.sources.formats.arrow import checked
from lope_data.sources.text import first_line


def read_saved(folder: Path) -> pa.Table:
    """The rows, with the names of classes in the metadata.

    Raises:
        SourceError: it is damaged, or names files outside.
    """
    import datasets  # slow to import, and only needed here

    try:
        state = json.loads((folder / "state.json").read_bytes())
        names = [file["filename"] for file in state["_data_files"]]
        if outside := [name for name in names if Path(name).name != name or (folder / name).is_symlink()]:
            raise SourceError(f"{folder}: its state.json names {outside[0]!r}, which is not a file of this folder")
        return checked(with_features(datasets.load_from_disk(str(folder))), folder)
    except SourceError:
        raise
    except Exception as error:  # a state.json or features of the wrong form raise whatever they meet
        raise SourceError(f"{folder}: cannot be read as a saved dataset ({first_line(error)})") from error


def with_features(dataset: Any) -> pa.Table:
    """The table of a Dataset, with the names of its classes in its metadata."""
    table = dataset.with_format("arrow")[:]
    return table.replace_schema_metadata(dataset.features.arrow_schema.metadata)
