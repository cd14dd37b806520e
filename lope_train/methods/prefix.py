"""Prefix tuning (Li and Liang 2021) through peft: trained keys and values before those of the sequence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lope_train.methods.method import WHOLE_PROMPT, AdapterSettings, Method, one_stage

if TYPE_CHECKING:
    from peft import PrefixTuningConfig


def _config(_model: Any, settings: AdapterSettings, _steps: int) -> PrefixTuningConfig:
    from peft import PrefixTuningConfig

    return PrefixTuningConfig(num_virtual_tokens=settings.num_virtual_tokens)


METHOD = Method(
    name="prefix",
    label="Prefix tuning",
    peft_type="PREFIX_TUNING",
    config=_config,
    stages=one_stage(),
    parameters={"prompt_encoder.embedding": "*prompt_encoder.*.embedding.*"},
    virtual_tokens=True,
    cannot=WHOLE_PROMPT,
)
