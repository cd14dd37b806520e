"""What a version holds and how two differ, for people: tables and trees on a terminal, one HTML page.

Nothing here changes a version. The style of pages is in `lope_common`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lope_common.faces import lazy

if TYPE_CHECKING:
    from lope_data.report.rates import ops_tables
    from lope_data.report.sample_rows import Sample, samples

__all__ = ["Sample", "ops_tables", "samples"]

__getattr__ = lazy(
    __name__,
    {
        "Sample": "sample_rows",
        "ops_tables": "rates",
        "samples": "sample_rows",
    },
)
