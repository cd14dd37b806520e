"""From a source to a clean version to a noisy one: each is found if it is there, else made, in threads.

`replay` makes a version again to compare it. What a user calls is in `lope_data.api`, which checks the arguments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lope_common.faces import lazy

if TYPE_CHECKING:
    from lope_data.builds.each import build_splits, ingest_splits
    from lope_data.builds.obtain import Options, build, ingest

__all__ = ["Options", "build", "build_splits", "ingest", "ingest_splits"]

__getattr__ = lazy(
    __name__,
    {
        "Options": "obtain",
        "build": "obtain",
        "build_splits": "each",
        "ingest": "obtain",
        "ingest_splits": "each",
    },
)
