"""How many parameters an adapter has, trains and uses, counted from the base's config alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

from lope_common.places import typed_path
from lope_train.errors import ModelError
from lope_train.methods.methods import METHODS, attach_adapter, enter
from lope_train.models.load import CACHED, resolve_model
from lope_train.settings.settings import TrainSettings

_NOT_COUNTED = ("B_poison", "router")
"""What the paper leaves out of %Param."""
_PROMPT = "prompt_encoder"
_STEPS = 100
"""Any number: the steps of a training change when AdaLoRA prunes, not what there is to prune."""


@dataclass(frozen=True)
class Count:
    """Numbers of parameters; tied weights of the base are counted once."""

    model: str
    method: str
    total: int
    """Of the base."""
    adapter: dict[str, int]
    """By name: A, B, B_poison and router, or what peft calls them."""
    trainable: int
    """All that trains in any stage."""
    trainable_by_stage: dict[str, int]
    inference: int
    """Of the adapter, used once trained; as in the paper without router and poisoning expert."""

    @property
    def paper_percent(self) -> float:
        """%Param of the paper: `inference` over the base's, in percent."""
        return 100 * self.inference / self.total

    @property
    def trainable_percent(self) -> float:
        """All that trains over the base's, in percent."""
        return 100 * self.trainable / self.total

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            **asdict(self),
            "paper_percent": self.paper_percent,
            "trainable_percent": self.trainable_percent,
        }


def count(settings: TrainSettings) -> Count:
    """The parameters of `settings.model` and of the adapter that `settings` put on it. No weights are read.

    Raises ModelError where the model's config cannot be found or read, or where the adapter does not fit it.
    """
    base = _empty_model(settings.model)
    total = sum(parameter.numel() for parameter in base.parameters())
    model = attach_adapter(base, settings, _STEPS)
    stages = METHODS[settings.method].stages(settings.noise)
    trained: dict[str, int] = {}
    by_stage: dict[str, int] = {}
    for stage in stages:
        by_stage[stage.name] = enter(model, stage)
        trained |= {name: value.numel() for name, value in model.named_parameters() if value.requires_grad}
    adapter = _by_name(trained)
    return Count(
        model=settings.model,
        method=settings.method,
        total=total,
        adapter=adapter,
        trainable=sum(trained.values()),
        trainable_by_stage=by_stage,
        inference=sum(size for name, size in adapter.items() if _is_used(name)),
    )


def _empty_model(name: str) -> Any:
    """The model with parameters that have shapes and no values."""
    folder = typed_path(name)
    where = str(folder) if name not in CACHED and (folder / "config.json").is_file() else resolve_model(name)
    try:
        config = AutoConfig.from_pretrained(where, trust_remote_code=False)
        kind = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
        with torch.device("meta"):
            return kind.from_config(config, trust_remote_code=False)  # type: ignore[no-untyped-call]
    except Exception as error:  # a broken config raises whatever its first reader happens to raise
        raise ModelError(f"model {name!r}: no model can be made of its config: {error}") from error


def _by_name(trained: dict[str, int]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for name, size in trained.items():
        counts[_short(name.split("."))] += size
    return dict(counts)


def _short(parts: list[str]) -> str:
    """`A` of `...q_proj.lope_experts.default.A`, `lora_A` of `...q_proj.lora_A.default.weight`."""
    if "lope_experts" in parts:
        return parts[-1]
    if parts[0] == _PROMPT:
        return f"{_PROMPT}.{parts[2]}"
    return next(part for part in parts if part.startswith("lora_"))


def _is_used(name: str) -> bool:
    """The network of p-tuning is not: what it makes of the embedding is kept in its place, in the same shape."""
    return name not in _NOT_COUNTED and (not name.startswith(_PROMPT) or name == f"{_PROMPT}.embedding")
