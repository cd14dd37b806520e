"""How many parameters an adapter has, trains and uses, counted from the base's config alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

from lope_common.places import typed_path
from lope_train.errors import ModelError
from lope_train.methods import METHODS
from lope_train.models.load import resolve_model
from lope_train.models.sources import CACHED
from lope_train.settings.settings import TrainSettings

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
    method = METHODS[settings.method]
    model = method.attach(base, settings, _STEPS)
    trained: dict[str, int] = {}
    by_stage: dict[str, int] = {}
    for stage in settings.stages:
        by_stage[stage.name] = method.enter(model, stage)
        trained |= {name: value.numel() for name, value in model.named_parameters() if value.requires_grad}
    adapter: Counter[str] = Counter()
    for name, size in trained.items():
        part = method.part(name)
        assert part is not None
        adapter[part] += size
    return Count(
        model=settings.model,
        method=settings.method,
        total=total,
        adapter=dict(adapter),
        trainable=sum(trained.values()),
        trainable_by_stage=by_stage,
        inference=sum(size for part, size in adapter.items() if part not in method.uncounted),
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
