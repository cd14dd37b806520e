"""HydraLoRA (Tian et al. 2024): the experts of LoPE without a poisoning one, trained in one stage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lope_train.methods.lope import experts, parameters
from lope_train.methods.method import AdapterSettings, Method, one_stage

if TYPE_CHECKING:
    from lope_train.tuner.config import LopeConfig


def _config(_model: Any, settings: AdapterSettings, _steps: int) -> LopeConfig:
    return experts(settings, num_poisoning=0)


METHOD = Method(
    name="hydralora",
    label="HydraLoRA",
    peft_type="LOPE",
    config=_config,
    stages=one_stage("stage2"),
    parameters=parameters("A", "B", "router"),
    uncounted=frozenset({"router"}),
)
