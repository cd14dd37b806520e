"""Files, folders, the hub and the embedded sample: each is opened as one Arrow table and a fingerprint.

A format of files is added in `formats/`. What rows mean is not here but in `lope_data.rows`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lope_common.faces import lazy

if TYPE_CHECKING:
    from lope_data.sources.index import SourceIndex
    from lope_data.sources.reading import Reading
    from lope_data.sources.sample import sample_rows
    from lope_data.sources.source import Source, open_source

__all__ = ["Reading", "Source", "SourceIndex", "open_source", "sample_rows"]

__getattr__ = lazy(
    __name__,
    {
        "Reading": "reading",
        "Source": "source",
        "SourceIndex": "index",
        "open_source": "source",
        "sample_rows": "sample",
    },
)
