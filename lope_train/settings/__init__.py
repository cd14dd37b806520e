"""Everything a training is asked for, checked before anything is read, and recipes of it in TOML.

A new setting is one field of `TrainSettings`; `train --help` and recipes have it by that. What a method reads of them
is in `lope_train.methods`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lope_common.faces import lazy

if TYPE_CHECKING:
    from lope_train.settings.recipes import dump, load_recipe, settings_from
    from lope_train.settings.settings import TrainSettings

__all__ = ["TrainSettings", "dump", "load_recipe", "settings_from"]

__getattr__ = lazy(
    __name__,
    {
        "TrainSettings": "settings",
        "dump": "recipes",
        "load_recipe": "recipes",
        "settings_from": "recipes",
    },
)
