"""What a run leaves on disk: its folder while it is made, its adapter, and reading both back.

The training that fills it is in `lope_train.training`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lope_common.faces import lazy

if TYPE_CHECKING:
    from lope_train.runs.adapter import WEIGHTS, load_adapter, load_run, save_adapter
    from lope_train.runs.folder import RunFolder, newest_checkpoint

__all__ = ["WEIGHTS", "RunFolder", "load_adapter", "load_run", "newest_checkpoint", "save_adapter"]

__getattr__ = lazy(
    __name__,
    {
        "RunFolder": "folder",
        "WEIGHTS": "adapter",
        "load_adapter": "adapter",
        "load_run": "adapter",
        "newest_checkpoint": "folder",
        "save_adapter": "adapter",
    },
)
