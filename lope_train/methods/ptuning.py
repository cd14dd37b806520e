"""P-tuning (Liu et al. 2021) through peft: trained embeddings before the sequence, made by a small network.

Once trained, what the network makes of the embedding is kept in its place, in the same shape: the network is not used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lope_train.methods.method import WHOLE_PROMPT, AdapterSettings, Method, one_stage

if TYPE_CHECKING:
    from peft import PromptEncoderConfig

_NETWORK = "prompt_encoder.mlp_head"


def _config(_model: Any, settings: AdapterSettings, _steps: int) -> PromptEncoderConfig:
    from peft import PromptEncoderConfig

    return PromptEncoderConfig(num_virtual_tokens=settings.num_virtual_tokens)


METHOD = Method(
    name="ptuning",
    label="P-tuning",
    peft_type="P_TUNING",
    config=_config,
    stages=one_stage(),
    parameters={
        "prompt_encoder.embedding": "*prompt_encoder.*.embedding.*",
        _NETWORK: "*prompt_encoder.*.mlp_head.*",
    },
    uncounted=frozenset({_NETWORK}),
    virtual_tokens=True,
    cannot=WHOLE_PROMPT,
)
