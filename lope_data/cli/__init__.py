"""The verbs of `python -m lope_data`, a module each, which adds itself to the command line when imported.

A verb reads options and prints; what it does is in `lope_data.api` and the rooms below.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lope_common.faces import lazy

if TYPE_CHECKING:
    from lope_data.cli.app import overrides
    from lope_data.cli.run import main

__all__ = ["main", "overrides"]

__getattr__ = lazy(
    __name__,
    {
        "main": "run",
        "overrides": "app",
    },
)
