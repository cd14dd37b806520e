"""How many parameters an adapter has, trains and uses, counted from the base's config alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
)

from lope_common.places import typed_path
from lope_train.errors import ModelError
from lope_train.methods import HEAD, METHODS
from lope_train.models.heads import Head, head_of
from lope_train.models.load import resolve_model
from lope_train.models.sources import CACHED
from lope_train.settings.settings import TrainSettings
from lope_train.tuner.head import has_head, head_modules, in_head

_STEPS = 100
"""Any number: the steps of a training change when AdaLoRA prunes, not what there is to prune."""


@dataclass(frozen=True)
class Count:
    """Numbers of parameters; tied weights of the base are counted once."""

    model: str
    method: str
    total: int
    """Of the base, without a classification head."""
    adapter: dict[str, int]
    """By name: A, B, B_poison and router, or what peft calls them, and a classification head."""
    trainable: int
    """All that trains in any stage."""
    trainable_by_stage: dict[str, int]
    inference: int
    """Of the adapter, used once trained; as in the paper without router and poisoning expert, and without a head."""

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


def count(settings: TrainSettings, classes: int = 2) -> Count:
    """The parameters of `settings.model` and of the adapter that `settings` put on it. No weights are read.

    `classes` are those of a classification head, where there is one. Raises ModelError where the model's config cannot
    be found or read, or where the adapter does not fit it.
    """
    base = _empty_model(settings.model, settings.head, classes)
    head = head_modules(base) if has_head(base) else []
    total = sum(parameter.numel() for name, parameter in base.named_parameters() if not in_head(name, head))
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
        inference=sum(size for part, size in adapter.items() if part not in {*method.uncounted, HEAD}),
    )


def _empty_model(name: str, head: Head | None, classes: int) -> Any:
    """The model with parameters that have shapes and no values."""
    folder = typed_path(name)
    where = str(folder) if name not in CACHED and (folder / "config.json").is_file() else resolve_model(name)
    try:
        config = AutoConfig.from_pretrained(where, trust_remote_code=False)
        kind: Any = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
        if head_of(name, config, head) == "classification":
            kind, config.num_labels = AutoModelForSequenceClassification, classes
        with torch.device("meta"):
            return kind.from_config(config, trust_remote_code=False)
    except ModelError:
        raise
    except Exception as error:  # a broken config raises whatever its first reader happens to raise
        raise ModelError(f"model {name!r}: no model can be made of its config: {error}") from error
