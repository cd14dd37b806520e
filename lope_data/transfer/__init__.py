"""Versions to and from other places: exporting rows or whole versions, importing these, pushing to the hub."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lope_common.faces import lazy

if TYPE_CHECKING:
    from lope_data.transfer.exporting import export
    from lope_data.transfer.rows_out import export_rows

__all__ = ["export", "export_rows"]

__getattr__ = lazy(
    __name__,
    {
        "export": "exporting",
        "export_rows": "rows_out",
    },
)
