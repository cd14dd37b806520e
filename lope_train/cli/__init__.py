"""The verbs of `python -m lope_train`, a module each, which adds itself to the command line when imported.

A verb reads options and prints; what it does is in the rooms below.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lope_common.faces import lazy

if TYPE_CHECKING:
    from lope_train.cli.app import quiet_libraries
    from lope_train.cli.generate import converse
    from lope_train.cli.run import main
    from lope_train.cli.setting_options import flag

__all__ = ["converse", "flag", "main", "quiet_libraries"]

__getattr__ = lazy(
    __name__,
    {
        "converse": "generate",
        "flag": "setting_options",
        "main": "run",
        "quiet_libraries": "app",
    },
)
