"""Noise into rows: which rows a step touches, which op each gets, how many edits, and the edits themselves.

What an op does to the units it hits is in `lope_data.noise`; writing what comes out is in `lope_data.store`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lope_common.faces import lazy

if TYPE_CHECKING:
    from lope_data.inject.apply import Corrupted, corrupt_rows
    from lope_data.inject.planning import Noisy, noisy_rows, plan
    from lope_data.inject.texts import ShortfallWarning

__all__ = ["Corrupted", "Noisy", "ShortfallWarning", "corrupt_rows", "noisy_rows", "plan"]

__getattr__ = lazy(
    __name__,
    {
        "Corrupted": "apply",
        "Noisy": "planning",
        "ShortfallWarning": "texts",
        "corrupt_rows": "apply",
        "noisy_rows": "planning",
        "plan": "planning",
    },
)
