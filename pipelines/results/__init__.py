"""The statistics of a study: accuracies, paired differences, which of these may be claimed, and how they are named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lope_common.faces import lazy

if TYPE_CHECKING:
    from pipelines.results.findings import analyse

__all__ = ["analyse"]

__getattr__ = lazy(
    __name__,
    {
        "analyse": "findings",
    },
)
