"""The methods of training: a file each, which defines `METHOD` and is found by lying here.

A `Method` says everything about a method: its names, adapter, stages, parameters, and what it cannot do. What a
training does with it is not here but in `lope_train.training`, and the layers of LoPE are in `lope_train.tuner`. The
settings list the methods, so a file here imports torch and peft inside its functions only.

A method is added by its file, a recipe in `pipelines/train`, and a test. It reads the settings named by
`AdapterSettings`; a setting of its own is one field more there and in `TrainSettings`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules

from lope_train.methods.method import HEAD, Allocation, Method, Noise, Reads, Stage, StageChoices

__all__ = ["HEAD", "METHODS", "Allocation", "Method", "Noise", "Reads", "Stage", "StageChoices", "having"]

_FILES = [module.name for module in iter_modules(__path__) if module.name != "method"]
METHODS: dict[str, Method] = {
    method.name: method for method in (import_module(f"{__name__}.{name}").METHOD for name in _FILES)
}


def having(trait: Callable[[Method], object]) -> str:
    """The names of the methods with this trait, as a sentence has them: `prefix and ptuning`."""
    *names, last = [name for name, method in METHODS.items() if trait(method)]
    return f"{', '.join(names)} and {last}" if names else last
