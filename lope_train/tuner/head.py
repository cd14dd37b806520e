"""The classification head of a model: trained whole beside any adapter, by PEFT's own `modules_to_save`.

A head is what lies between a model's body and its logits: the modules outside of the body, and a pooler in it.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator
from typing import Any

import torch
from peft.utils.other import ModulesToSaveWrapper
from torch import Tensor, nn
from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES

from lope_train.errors import ModelError
from lope_train.keyed import drawn

PEFT_NAMES = ("classifier", "score")
"""What peft itself takes for heads in any model of its task SEQ_CLS."""
_POOLER = "pooler"
_FROM_FILES = "_lope_head_from_files"
_FLAG = "_is_hf_initialized"
_CLASSES = frozenset(MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES.values())


def has_head(model: nn.Module) -> bool:
    """Whether a model of transformers, with an adapter or without, has a classification head."""
    return any(kind.__name__ in _CLASSES for kind in type(_base(model)).__mro__)


def head_modules(model: nn.Module) -> list[str]:
    """Names of the head's modules in a base model that `has_head`.

    Raises ModelError where peft, which matches ends of names, would take other modules for them too.
    """
    body = str(getattr(model, "base_model_prefix", ""))
    children = dict(model.named_children())
    if body not in children:
        raise ModelError(f"{type(model).__name__}: its head cannot be distinguished from its body")
    found = [name for name, child in children.items() if name != body and any(True for _ in child.parameters())]
    found += [
        f"{body}.{name}"
        for name, module in children[body].named_modules()
        if name.rpartition(".")[2] == _POOLER and any(True for _ in module.parameters())
    ]
    ends = (*found, *PEFT_NAMES)
    others = [name for name, _ in model.named_modules() if name.endswith(ends) and name not in found]
    if others:
        raise ModelError(f"{type(model).__name__}: peft would take {others[0]!r} for a part of the head {found}")
    return found


def in_head(name: str, modules: Collection[str]) -> bool:
    """Whether the module or parameter of this full name is one of the head's `modules`, or lies in one."""
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def note_files(model: nn.Module, missing: Collection[str]) -> None:
    """Remember which of the head's parameters came from files: all but the `missing`, by their full names."""
    modules = head_modules(model)
    names = {name for name, _ in model.named_parameters() if in_head(name, modules)}
    setattr(model, _FROM_FILES, frozenset(names - set(missing)))


def wrappers(model: nn.Module) -> Iterator[tuple[str, ModulesToSaveWrapper]]:
    """Full names and modules of what peft has put around the head's modules."""
    return ((name, module) for name, module in model.named_modules() if isinstance(module, ModulesToSaveWrapper))


def head_parameters(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Full names and values of the head's parameters of the active adapter."""
    for name, wrapper in wrappers(model):
        for adapter in wrapper.active_adapters:
            for inner, parameter in wrapper.modules_to_save[adapter].named_parameters():
                yield f"{name}.modules_to_save.{adapter}.{inner}", parameter


def widen_head(model: nn.Module) -> None:
    """Keep the head of each adapter in float32 at least, as adapters are, whatever the body computes in."""
    for _, wrapper in wrappers(model):
        for module in wrapper.modules_to_save.values():
            if any(parameter.dtype in (torch.bfloat16, torch.float16) for parameter in module.parameters()):
                module.float()
                module.register_forward_pre_hook(_widen, with_kwargs=True)


def _widen(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
    def wide(value: Any) -> Any:
        return value.float() if isinstance(value, Tensor) and value.is_floating_point() else value

    return tuple(map(wide, args)), {name: wide(value) for name, value in kwargs.items()}


@torch.no_grad()
def reset_head(model: nn.Module, seed: int, *names: str) -> None:
    """Give the head of the active adapters the values that it begins with, a function of the seed and the names.

    What came from the model's files is as it was there; the rest is drawn as the model's family draws it.
    """
    base = _base(model)
    kept: frozenset[str] = getattr(base, _FROM_FILES, frozenset())
    twins: dict[str, tuple[nn.Module, ModulesToSaveWrapper]] = {}
    for name, wrapper in wrappers(base):
        twins[name] = copy.deepcopy(wrapper.original_module).to("cpu", torch.float32), wrapper
    _draw(base, {name: twin for name, (twin, _) in twins.items()}, kept, seed, names)
    for twin, wrapper in twins.values():
        for adapter in wrapper.active_adapters:
            wrapper.modules_to_save[adapter].load_state_dict(twin.state_dict())


def _draw(base: Any, twins: dict[str, nn.Module], kept: Collection[str], seed: int, names: tuple[str, ...]) -> None:
    """Draw values for the twins of the head's modules in their places: some families draw for a child in its parent."""
    placed = {name: base.get_submodule(name) for name in twins}
    marked = [parameter for parameter in base.parameters() if not getattr(parameter, _FLAG, False)]
    try:
        for parameter in marked:  # what transformers takes for drawn or read it leaves alone
            setattr(parameter, _FLAG, True)
        for name, twin in twins.items():
            base.set_submodule(name, twin)
            for inner, parameter in twin.named_parameters():
                setattr(parameter, _FLAG, f"{name}.{inner}" in kept)
        with drawn(seed, "head", *names):
            for name, twin in twins.items():
                for module in [*reversed([*twin.modules()]), base.get_submodule(name.rpartition(".")[0])]:
                    base._init_weights(module)
                for parameter in twin.parameters():
                    setattr(parameter, _FLAG, True)
    finally:
        for name, module in placed.items():
            base.set_submodule(name, module)
        for parameter in marked:
            delattr(parameter, _FLAG)


def _base(model: Any) -> Any:
    return model.get_base_model() if hasattr(model, "get_base_model") else model
