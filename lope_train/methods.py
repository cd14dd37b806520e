"""The training methods: which adapter, which stages, which rows. All train on the same version."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from peft import LoraConfig, TaskType, get_peft_model

from lope_train.attach import attach, target_modules
from lope_train.config import LopeConfig
from lope_train.layer import Mode
from lope_train.settings import TrainSettings
from lope_train.stages import assert_trained, set_mode, trained_names

Reads = Literal["noisy", "parent"]

PEFT_TYPE = "LOPE"
"""The `peft_type` of adapters made of `LopeLinear`."""


@dataclass(frozen=True)
class Stage:
    """One pass of training with an optimizer and a schedule of its own."""

    name: str
    reads: Reads
    mode: Mode | None
    """The mode of the layers of `LopeLinear`; None for an adapter of peft, which has one way to train."""
    embedding_noise: bool = False


@dataclass(frozen=True)
class Method:
    """`attach` puts the adapter on a base model and returns the model to train; `stages` are run in order."""

    peft_type: str
    """What `adapter_config.json` says."""
    attach: Callable[[Any, TrainSettings], Any]
    stages: Callable[[Reads], tuple[Stage, ...]]


def _attach_lope(model: Any, settings: TrainSettings) -> Any:
    return attach(model, _lope_config(settings, settings.num_poisoning))


def _attach_hydralora(model: Any, settings: TrainSettings) -> Any:
    return attach(model, _lope_config(settings, num_poisoning=0))


def _lope_config(settings: TrainSettings, num_poisoning: int) -> LopeConfig:
    return LopeConfig(
        r=settings.r,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules=settings.target_modules,
        num_experts=settings.num_experts,
        num_poisoning=num_poisoning,
        router_input=settings.router_input,
        seed=settings.seed,
    )


def _attach_lora(model: Any, settings: TrainSettings) -> Any:
    config = LoraConfig(
        r=settings.r,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules=list(target_modules(model, settings.target_modules)),
        task_type=TaskType.SEQ_2_SEQ_LM if model.config.is_encoder_decoder else TaskType.CAUSAL_LM,
    )
    return get_peft_model(model, config)


METHODS: dict[str, Method] = {
    "lope": Method(
        PEFT_TYPE,
        _attach_lope,
        lambda _: (
            Stage("stage I", "noisy", "stage1", embedding_noise=True),
            Stage("stage II", "parent", "stage2"),
        ),
    ),
    "hydralora": Method(PEFT_TYPE, _attach_hydralora, lambda on: (Stage("training", on, "stage2"),)),
    "lora": Method("LORA", _attach_lora, lambda on: (Stage("training", on, None),)),
}


def enter(model: Any, stage: Stage) -> int:
    """Make `model` train what `stage` trains, assert it by name; returns the number of those parameters."""
    if stage.mode is None:
        names = {name for name, _ in model.named_parameters() if ".lora_A." in name or ".lora_B." in name}
    else:
        set_mode(model, stage.mode)
        names = trained_names(model, stage.mode)
    assert_trained(model, names)
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
