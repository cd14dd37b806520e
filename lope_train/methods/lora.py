"""LoRA (Hu et al. 2022) through peft."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lope_train.methods.method import AdapterSettings, Method, in_layers, one_stage

if TYPE_CHECKING:
    from peft import LoraConfig


def _config(model: Any, settings: AdapterSettings, _steps: int) -> LoraConfig:
    from peft import LoraConfig

    from lope_train.tuner.targets import target_modules

    return LoraConfig(
        r=settings.r,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules=target_modules(model, settings.target_modules, settings.r),
    )


METHOD = Method(
    name="lora",
    label="LoRA",
    peft_type="LORA",
    config=_config,
    stages=one_stage(),
    parameters=in_layers("lora_A", "lora_B"),
)
