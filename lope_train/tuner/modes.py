"""Who trains when (Sec. 3.2): the modes of the adapted layers, set and asserted by parameter name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from peft import PeftModel
from torch import nn

from lope_train.errors import ModelError, RunError
from lope_train.tuner.experts import POISONED, TRAINED, LopeExperts, Mode
from lope_train.tuner.head import head_parameters
from lope_train.tuner.inference import Inference
from lope_train.tuner.layer import LopeLinear


def set_mode(
    model: nn.Module, mode: Mode, inference: Inference | str | None = None, *, experts: int | None = None
) -> None:
    """Switch the experts of the active adapters to `mode`, and free of all parameters those that `TRAINED` says.

    `inference` and `experts` are of the modes `stage2` and `inference`: what the forward pass does with the poisoning
    experts, and K of the compensation; None is what the adapter's own config says, so that stage II trains what will
    be used. The paper's text has stage II `unmasked` (Sec. 3.2.2). Dropout follows `model.train()` and `model.eval()`
    as ever. The mode `routed` trains within `routing.gradient_routing` alone. Raises ModelError where nothing is
    adapted, or where there is no poisoning expert for the mode to train, SettingsError where there is no such way of
    inference.
    """
    if mode not in TRAINED:
        raise ModelError(f"no mode {mode!r}; known: {', '.join(TRAINED)}")
    layers = [layer for _, layer in lope_experts(model)]
    if not layers:
        raise ModelError(f"{type(model).__name__} has no adapted layer; attach an adapter first")
    if mode in POISONED and any(layer.B_poison is None for layer in layers):
        what = "the routed stage" if mode == "routed" else "stage I"
        raise ModelError(f"{what} trains the poisoning expert, and this adapter has none (num_poisoning is 0)")
    way = None if inference is None else Inference.of(inference)
    for layer in layers:
        layer.mode = mode
        layer.inference = layer.config.inference if way is None else way
        layer.compensation_experts = layer.config.compensation_experts if experts is None else experts
    trained = trained_names(model, mode)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in trained)


@contextmanager
def inferring(model: nn.Module, inference: Inference) -> Iterator[None]:
    """Within the context the experts compute as in mode `inference`; which parameters train stays as it is."""
    layers = [layer for _, layer in lope_experts(model)]
    before = [(layer.mode, layer.inference) for layer in layers]
    try:
        for layer in layers:
            layer.mode, layer.inference = "inference", inference
        yield
    finally:
        for layer, (mode, way) in zip(layers, before, strict=True):
            layer.mode, layer.inference = mode, way


@contextmanager
def without_adapter(model: PeftModel) -> Iterator[None]:
    """Within the context the base model computes alone; what trained before trains again after it."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        with model.disable_adapter():
            yield
    finally:
        model.requires_grad_(False)
        for parameter in trained:
            parameter.requires_grad_(True)


def trained_names(model: nn.Module, mode: Mode) -> set[str]:
    """Full names of the parameters that `mode` trains: a classification head in both stages."""
    head = set() if mode == "inference" else {name for name, _ in head_parameters(model)}
    return head | {
        f"{name}.{parameter}"
        for name, experts in lope_experts(model)
        for parameter, _ in experts.named_parameters(recurse=False)
        if parameter in TRAINED[mode]
    }


def assert_trained(model: nn.Module, names: set[str]) -> None:
    """Raise RunError unless exactly the parameters of these names require gradients."""
    actual = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    if wrong := sorted(actual ^ names):
        state = "trains but must be frozen" if wrong[0] in actual else "is frozen but must train"
        raise RunError(f"{len(wrong)} parameters are not as this stage has them: {wrong[0]} {state}")


def lope_experts(model: nn.Module) -> Iterator[tuple[str, LopeExperts]]:
    """Names and modules of the experts of the active adapters, in the model's order."""
    for name, layer in model.named_modules():
        if isinstance(layer, LopeLinear):
            for adapter in layer.active_adapters:
                if adapter in layer.lope_experts:
                    yield f"{name}.lope_experts.{adapter}", layer.lope_experts[adapter]  # type: ignore[misc]
