"""LoPE: a poisoning expert takes up the noise in stage I, the others are trained on clean rows in stage II."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lope_train.methods.method import AdapterSettings, Method, Stage, StageChoices, reads_of
from lope_train.tuner.inference import STAGE2

if TYPE_CHECKING:
    from lope_train.tuner.config import LopeConfig
    from lope_train.tuner.experts import Mode


def experts(settings: AdapterSettings, num_poisoning: int) -> LopeConfig:
    """The adapter with so many poisoning experts among its experts."""
    from lope_train.tuner.config import LopeConfig

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
        inference=settings.inference or STAGE2.deployed,
        seed=settings.seed,
    )


def parameters(*names: str) -> dict[str, str]:
    """`Method.parameters` of experts."""
    return {name: f"*.lope_experts.*.{name}" for name in names}


def _config(_model: Any, settings: AdapterSettings, _steps: int) -> LopeConfig:
    return experts(settings, settings.num_poisoning)


def _stages(choices: StageChoices) -> tuple[Stage, ...]:
    if choices.routed:
        return (Stage("routed stage", "noisy", "routed"),)
    noise = choices.noise
    mode: Mode = "stage1_router" if choices.train_router else "stage1"
    return (
        Stage("stage I", reads_of(noise), mode, noise.continuous, injected=choices.injected),
        Stage("stage II", "parent", "stage2", forward=choices.stage2.forward),
    )


METHOD = Method(
    name="lope",
    label="LoPE",
    peft_type="LOPE",
    config=_config,
    stages=_stages,
    parameters=parameters("A", "B", "B_poison", "router"),
    uncounted=frozenset({"B_poison", "router"}),
    poisoning=True,
)
