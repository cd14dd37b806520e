"""Train on noisy versions with LoPE, and evaluate what the noise did.

The names below are imported when they are first used, so that `import lope_train` needs no torch.
`attach` is not among them: the module of that name would hide it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lope_train.checkpoint import load_adapter, load_run, save_adapter
    from lope_train.config import LopeConfig
    from lope_train.layer import LopeLinear
    from lope_train.settings import TrainSettings
    from lope_train.stages import set_mode
    from lope_train.trainer import train

__all__ = [
    "LopeConfig",
    "LopeLinear",
    "TrainSettings",
    "load_adapter",
    "load_run",
    "save_adapter",
    "set_mode",
    "train",
]

_HOMES = {
    "LopeConfig": "config",
    "LopeLinear": "layer",
    "TrainSettings": "settings",
    "load_adapter": "checkpoint",
    "load_run": "checkpoint",
    "save_adapter": "checkpoint",
    "set_mode": "stages",
    "train": "trainer",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
