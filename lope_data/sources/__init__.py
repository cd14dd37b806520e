"""Files, folders, the hub, the embedded sample and objects in memory, each as one Arrow table and a fingerprint.

A format of files is added in `formats/`. What rows mean is not here but in `lope_data.rows`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lope_common.faces import lazy

if TYPE_CHECKING:
    from lope_data.sources.found import Source
    from lope_data.sources.given import InMemory, in_memory
    from lope_data.sources.index import SourceIndex
    from lope_data.sources.reading import Reading
    from lope_data.sources.sample import sample_rows
    from lope_data.sources.source import open_source, open_splits
    from lope_data.sources.splits import ALL, meant

__all__ = [
    "ALL",
    "InMemory",
    "Reading",
    "Source",
    "SourceIndex",
    "in_memory",
    "meant",
    "open_source",
    "open_splits",
    "sample_rows",
]

__getattr__ = lazy(
    __name__,
    {
        "ALL": "splits",
        "InMemory": "given",
        "Reading": "reading",
        "Source": "found",
        "SourceIndex": "index",
        "in_memory": "given",
        "meant": "splits",
        "open_source": "source",
        "open_splits": "source",
        "sample_rows": "sample",
    },
)
