"""Who trains when (Sec. 3.2): a table of parameters by stage, set and asserted by name."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from lope_train.errors import ModelError, RunError
from lope_train.layer import LopeLinear, Mode

TRAINED: dict[Mode, frozenset[str]] = {
    "stage1": frozenset({"A", "B_poison"}),
    "stage2": frozenset({"A", "B", "router"}),
    "inference": frozenset(),
}
"""Parameters of a `LopeLinear` that a mode trains; everything else in the model is frozen."""


def set_mode(model: nn.Module, mode: Mode, *, masked: bool = True, compensate: bool = True) -> None:
    """Switch every `LopeLinear` to `mode` and set `requires_grad` of all parameters by the table `TRAINED`.

    `masked` and `compensate` are of mode `inference`: without poisoning experts, and the others then
    amplified by DyCompEnSate. Dropout follows `model.train()` and `model.eval()` as ever. Raises ModelError
    where nothing is adapted, or where stage I has no poisoning expert to train.
    """
    layers = dict(lope_layers(model))
    if not layers:
        raise ModelError(f"{type(model).__name__} has no adapted layer; attach an adapter first")
    if mode == "stage1" and any(layer.B_poison is None for layer in layers.values()):
        raise ModelError("stage I trains the poisoning expert, and this adapter has none (num_poisoning is 0)")
    for layer in layers.values():
        layer.mode = mode
        layer.masked = masked
        layer.compensated = compensate
    trained = trained_names(model, mode)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in trained)


def trained_names(model: nn.Module, mode: Mode) -> set[str]:
    """Full names of the parameters that `mode` trains."""
    return {
        f"{name}.{parameter}"
        for name, layer in lope_layers(model)
        for parameter, _ in layer.named_parameters(recurse=False)
        if parameter in TRAINED[mode]
    }


def assert_trained(model: nn.Module, names: set[str]) -> None:
    """Raise RunError unless exactly the parameters of these names require gradients."""
    actual = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    if wrong := sorted(actual ^ names):
        state = "trains but must be frozen" if wrong[0] in actual else "is frozen but must train"
        raise RunError(f"{len(wrong)} parameters are not as this stage has them: {wrong[0]} {state}")


def lope_layers(model: nn.Module) -> Iterator[tuple[str, LopeLinear]]:
    """Names and modules of the adapted layers, in the model's order."""
    for name, module in model.named_modules():
        if isinstance(module, LopeLinear):
            yield name, module
