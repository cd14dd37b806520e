"""What of a batch the loss is of: completion-only with logits only where a label is, or the classes of a head."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from peft import PeftModel
from torch import Tensor

from lope_train.data.tokens import IGNORED
from lope_train.training.objective import CROSS_ENTROPY, Objective
from lope_train.tuner.head import has_head


def owners(rows: Tensor, labelled: Tensor) -> Tensor:
    """The number of the row that each labelled place is of, (n,); `rows` is what a batch has as `row`: a number a row
    or, of packed rows, a number a token, of which the first has no label."""
    numbers = rows[:, 1:] if rows.ndim > 1 else rows[:, None] if labelled.ndim > 1 else rows
    return numbers.expand_as(labelled)[labelled]


class Predicted(NamedTuple):
    """The n predictions that a batch's loss is of."""

    logits: Tensor
    """(n, classes or vocabulary), float32."""
    targets: Tensor
    """(n,): the labels."""
    labelled: Tensor
    """Which places of the labels that were read they are: a mask of n places."""


@dataclass(frozen=True)
class CompletionLoss:
    """The loss of the labelled tokens: with cross-entropy what a model of transformers computes, in less memory."""

    encoder_decoder: bool
    selects_logits: bool
    """Whether the model takes `logits_to_keep`."""
    virtual_tokens: int
    """How many positions an adapter puts before those of the batch."""
    objective: Objective = CROSS_ENTROPY
    unit: ClassVar[str] = "token"
    """What the loss is counted by."""

    @property
    def shifts_labels(self) -> bool:
        """Whether what is learned at a position is the label of the next one."""
        return not self.encoder_decoder

    @classmethod
    def of(cls, model: PeftModel, objective: Objective = CROSS_ENTROPY) -> CompletionLoss:
        """The loss that fits a model and its adapter."""
        base: Any = model.get_base_model()
        encoder_decoder = bool(base.config.is_encoder_decoder)
        config = model.active_peft_config
        before = config.is_prompt_learning and str(config.peft_type.value) != "PREFIX_TUNING"
        return cls(
            encoder_decoder,
            not encoder_decoder and "logits_to_keep" in inspect.signature(base.forward).parameters,
            int(config.num_virtual_tokens) if before else 0,
            objective,
        )

    def __call__(self, model: Any, inputs: dict[str, Tensor], weights: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The summed loss and the number of tokens in it, of a batch of `collate.Collator`; with `weights`, by the
        number of a row, both count its tokens for that much."""
        return _sum(self.objective, self.predicted(model, inputs), inputs, weights)

    def predicted(self, model: Any, inputs: dict[str, Tensor]) -> Predicted:
        """The tokens of such a batch; a decoder's labels are read without the first of each row."""
        labels = inputs["labels"]
        if self.encoder_decoder:
            # given the labels, for the model makes its decoder's input of them; an adapter may put positions before
            rest = {name: tensor for name, tensor in inputs.items() if name != "row"}
            return _picked(model(**rest).logits[:, -labels.shape[1] :], labels)
        rest = {name: tensor for name, tensor in inputs.items() if name not in ("labels", "row")}
        targets = labels[:, 1:]
        if not self.selects_logits:
            logits = model(**rest, use_cache=False).logits[:, -labels.shape[1] :]
            return _picked(logits[:, :-1], targets)
        kept = (targets != IGNORED).any(0).nonzero().flatten()
        logits = model(**rest, logits_to_keep=kept + self.virtual_tokens, use_cache=False).logits
        picked = _picked(logits, targets[:, kept])
        return picked._replace(labelled=targets != IGNORED)


@dataclass(frozen=True)
class ClassLoss:
    """The loss of the classes of rows, by a model with a classification head."""

    objective: Objective = CROSS_ENTROPY
    shifts_labels: ClassVar[bool] = False
    unit: ClassVar[str] = "row"

    def __call__(self, model: Any, inputs: dict[str, Tensor], weights: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The summed loss and the number of rows in it, of a batch of `classified.ClassifiedCollator`; with `weights`,
        by the number of a row, both count it for that much."""
        return _sum(self.objective, self.predicted(model, inputs), inputs, weights)

    def predicted(self, model: Any, inputs: dict[str, Tensor]) -> Predicted:
        """The rows of such a batch."""
        rest = {name: tensor for name, tensor in inputs.items() if name not in ("labels", "row")}
        return _picked(model(**rest).logits, inputs["labels"])


def loss_of(model: PeftModel, objective: Objective = CROSS_ENTROPY) -> CompletionLoss | ClassLoss:
    """The loss that fits a model and its adapter."""
    return ClassLoss(objective) if has_head(model) else CompletionLoss.of(model, objective)


def _picked(logits: Tensor, targets: Tensor) -> Predicted:
    labelled = targets != IGNORED
    return Predicted(logits[labelled].float(), targets[labelled], labelled)


def _sum(
    objective: Objective, predicted: Predicted, inputs: dict[str, Tensor], weights: Tensor | None
) -> tuple[Tensor, Tensor]:
    logits, targets, labelled = predicted
    if weights is None:
        return objective(logits, targets), labelled.sum()
    own = weights[owners(inputs["row"], labelled)]
    return objective(logits, targets, own), own.sum()


def split_by_length(inputs: dict[str, Tensor], rows: int) -> Iterator[dict[str, Tensor]]:
    """A batch padded on the right, in parts of at most `rows` rows of like length, each cut to its longest row."""
    lengths = inputs["attention_mask"].sum(1)
    labels = inputs["labels"]
    own = labels.ndim > 1 and labels.shape != inputs["input_ids"].shape  # an encoder-decoder's have their own length
    targets = (labels != IGNORED).cumsum(1).argmax(1) + 1 if own else lengths
    for part in torch.split(lengths.argsort(stable=True), rows):
        longest, last = int(lengths[part].max()), int(targets[part].max())
        yield {
            name: tensor[part] if tensor.ndim == 1 else tensor[part, : last if own and name == "labels" else longest]
            for name, tensor in inputs.items()
        }
