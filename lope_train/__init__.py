"""Train on noisy versions with LoPE, and evaluate what the noise did.

Rooms from the bottom up: tuner, models, methods, settings, data, runs, inspection, training, inference, evaluation,
detector, publish, cli; each says what lives there. A method is added in `methods`, a task in `evaluation/tasks`, a
setting in `settings`. Making versions is not here: it is in `lope_data`, and neither half imports the other.

The names below are imported when they are first used, so that `import lope_train` needs no torch; where it is
missing they raise LibraryError, which says what to install. It is enough, though, for peft to know adapters of LoPE:
they are registered when peft is imported, before or after.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from wrapt import register_post_import_hook

from lope_common.extras import check_installed
from lope_common.faces import lazy
from lope_train.errors import LibraryError
from lope_train.libraries import ADAPTERS

if TYPE_CHECKING:
    from lope_train.runs.adapter import load_adapter, load_run, save_adapter
    from lope_train.settings.settings import TrainSettings
    from lope_train.training.run import train
    from lope_train.tuner.config import LopeConfig
    from lope_train.tuner.layer import LopeLinear
    from lope_train.tuner.model import attach
    from lope_train.tuner.modes import set_mode

__all__ = [
    "LopeConfig",
    "LopeLinear",
    "TrainSettings",
    "attach",
    "load_adapter",
    "load_run",
    "save_adapter",
    "set_mode",
    "train",
]


def _check(name: str) -> None:
    if name != "TrainSettings":
        check_installed(f"{__name__}.{name} needs", ADAPTERS, LibraryError)


__getattr__ = lazy(
    __name__,
    {
        "LopeConfig": "tuner.config",
        "LopeLinear": "tuner.layer",
        "TrainSettings": "settings.settings",
        "attach": "tuner.model",
        "load_adapter": "runs.adapter",
        "load_run": "runs.adapter",
        "save_adapter": "runs.adapter",
        "set_mode": "tuner.modes",
        "train": "training.run",
    },
    before=_check,
)

_TUNER_NEEDS = tuple(
    f"{__name__}.{name}"
    for name in ("keyed", "tuner.config", "tuner.experts", "tuner.head", "tuner.layer", "tuner.targets")
)
_whole: set[str] = set()


def _register(module: ModuleType) -> None:
    """Import the tuner, which makes itself known to peft: not before what it needs is whole, as that may be what
    imports peft."""
    _whole.add(module.__name__)
    if all(name in _whole for name in _TUNER_NEEDS if name in sys.modules):
        import_module(f"{__name__}.tuner.model")


for _name in ("peft", *_TUNER_NEEDS):
    register_post_import_hook(_register, _name)
