"""The statistics of a study: accuracies, paired differences, which of these may be claimed, and how they are named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lope_common.faces import lazy

if TYPE_CHECKING:
    from pipelines.results.findings import analyse
    from pipelines.results.intervals import crossed
    from pipelines.results.power import smallest_detectable

__all__ = ["analyse", "crossed", "smallest_detectable"]

__getattr__ = lazy(
    __name__,
    {
        "analyse": "findings",
        "crossed": "intervals",
        "smallest_detectable": "power",
    },
)
