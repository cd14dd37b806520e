"""The training methods: which adapter, which stages, which rows. All train on the same version."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from peft import (
    LoraConfig,
    PeftConfig,
    PeftModel,
    PrefixTuningConfig,
    PromptEncoderConfig,
    TaskType,
    get_peft_model,
)

from lope_train.methods.adalora import adalora_config
from lope_train.settings.settings import Noise, TrainSettings
from lope_train.tuner.config import LopeConfig
from lope_train.tuner.experts import Mode
from lope_train.tuner.modes import assert_trained, set_mode, trained_names
from lope_train.tuner.targets import target_modules

Reads = Literal["noisy", "parent"]


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
    """`config` says what adapter; `stages` are run in order."""

    peft_type: str
    """What `adapter_config.json` says."""
    config: Callable[[Any, TrainSettings, int], PeftConfig]
    """Of a base model, the settings and the number of steps of its last stage."""
    stages: Callable[[Noise], tuple[Stage, ...]]
    allocates_ranks: bool = False


def attach_adapter(model: Any, settings: TrainSettings, steps: int) -> PeftModel:
    """The base `model` with the method's adapter on it, as peft has it; `steps` are those of the last stage.

    Raises ModelError where the adapter does not fit the model.
    """
    config = METHODS[settings.method].config(model, settings, steps)
    config.task_type = TaskType.SEQ_2_SEQ_LM if model.config.is_encoder_decoder else TaskType.CAUSAL_LM
    return get_peft_model(model, config)


def enter(model: PeftModel, stage: Stage) -> int:
    """Make `model` train what `stage` trains, assert it by name; returns the number of those parameters."""
    if stage.mode is not None:
        set_mode(model, stage.mode)
        names = trained_names(model, stage.mode)
    else:
        for name, parameter in model.named_parameters():
            if ".ranknum." in name:  # AdaLoRA's count, which peft lets train when it moves the layer to a device
                parameter.requires_grad_(False)
        marks = (".lora_A.", ".lora_B.", ".lora_E.", "prompt_encoder.")
        names = {name for name, _ in model.named_parameters() if any(mark in name for mark in marks)}
    assert_trained(model, names)
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def _lope(_model: Any, settings: TrainSettings, _steps: int) -> PeftConfig:
    return _experts(settings, settings.num_poisoning)


def _hydralora(_model: Any, settings: TrainSettings, _steps: int) -> PeftConfig:
    return _experts(settings, num_poisoning=0)


def _experts(settings: TrainSettings, num_poisoning: int) -> LopeConfig:
    return LopeConfig(
        r=settings.r,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules=settings.target_modules,
        num_experts=settings.num_experts,
        num_poisoning=num_poisoning,
        router_input=settings.router_input,
        compensation_experts=settings.compensation_experts,
        normalize=settings.normalize,
        theta=settings.theta,
        inference=settings.inference,
        seed=settings.seed,
    )


def _lora(model: Any, settings: TrainSettings, _steps: int) -> PeftConfig:
    return LoraConfig(
        r=settings.r,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules=target_modules(model, settings.target_modules, settings.r),
    )


def _prefix(_model: Any, settings: TrainSettings, _steps: int) -> PeftConfig:
    return PrefixTuningConfig(num_virtual_tokens=settings.num_virtual_tokens)


def _ptuning(_model: Any, settings: TrainSettings, _steps: int) -> PeftConfig:
    return PromptEncoderConfig(num_virtual_tokens=settings.num_virtual_tokens)


def _one_stage(mode: Mode | None) -> Callable[[Noise], tuple[Stage, ...]]:
    return lambda noise: (Stage("training", _reads(noise), mode, noise.continuous),)


def _two_stages(noise: Noise) -> tuple[Stage, ...]:
    return (
        Stage("stage I", _reads(noise), "stage1", noise.continuous),
        Stage("stage II", "parent", "stage2"),
    )


def _reads(noise: Noise) -> Reads:
    return "noisy" if noise.discrete else "parent"


METHODS: dict[str, Method] = {
    "lope": Method("LOPE", _lope, _two_stages),
    "hydralora": Method("LOPE", _hydralora, _one_stage("stage2")),
    "lora": Method("LORA", _lora, _one_stage(None)),
    "adalora": Method("ADALORA", adalora_config, _one_stage(None), allocates_ranks=True),
    "prefix": Method("PREFIX_TUNING", _prefix, _one_stage(None)),
    "ptuning": Method("P_TUNING", _ptuning, _one_stage(None)),
}
