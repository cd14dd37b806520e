"""Putting the adapter on a model from outside, by module name."""

from __future__ import annotations

import difflib
from typing import TypeVar

from torch import nn

from lope_train.config import LopeConfig
from lope_train.errors import ModelError
from lope_train.layer import LopeLinear
from lope_train.stages import set_mode

ModelT = TypeVar("ModelT", bound=nn.Module)

QUERY_VALUE = (
    ("q_proj", "v_proj"),
    ("q", "v"),
    ("query", "value"),
    ("q_lin", "v_lin"),
    ("query_key_value",),
    ("qkv_proj",),
)
"""What architectures call their query and value projections; fused ones are adapted whole."""


def attach(model: ModelT, config: LopeConfig) -> ModelT:
    """Freeze `model`, replace its target layers by `LopeLinear`, and return it in mode `stage1`.

    A target is a module's full name or its end after a dot, as in PEFT. Without poisoning experts the mode is
    `stage2`.
    Raises ModelError, with the model untouched, where a target matches no `nn.Linear`.
    """
    targets = target_modules(model, config.target_modules)
    config = config.model_copy(update={"target_modules": targets})
    matched = {name: layer for name, layer in _linears(model).items() if any(_matches(name, t) for t in targets)}
    for name, layer in matched.items():
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, LopeLinear(layer, config, name))
    set_mode(model, "stage1" if config.num_poisoning else "stage2")
    return model


def target_modules(model: nn.Module, asked: tuple[str, ...] | None = None) -> tuple[str, ...]:
    """The targets asked for, or by default the query and value projections as this architecture names them.

    Raises ModelError where one matches no `nn.Linear`, or where no projections are recognised.
    """
    linears = _linears(model)

    def found(target: str) -> bool:
        return any(_matches(name, target) for name in linears)

    ends = sorted({name.rpartition(".")[2] for name in linears})
    if asked is None:
        for candidate in QUERY_VALUE:
            if all(map(found, candidate)):
                return candidate
        raise ModelError(
            f"{type(model).__name__}: query and value projections are not recognised; name target_modules, "
            f"this model's linear layers are {', '.join(ends) or 'none'}"
        )
    for target in asked:
        if not found(target):
            near = difflib.get_close_matches(target, [*ends, *linears], n=3) or ends
            raise ModelError(
                f"{type(model).__name__}: target module {target!r} matches no linear layer; "
                f"nearest: {', '.join(near) or 'the model has none'}"
            )
    return asked


def _linears(model: nn.Module) -> dict[str, nn.Linear]:
    return {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}


def _matches(name: str, target: str) -> bool:
    return name == target or name.endswith(f".{target}")
