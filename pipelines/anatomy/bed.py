"""What arms are trained on: an encoder with a head, whole, or its last layer alone over states that are made once."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from lope_train.data import Version, load_classified
from lope_train.methods import METHODS
from lope_train.models import load_base, load_tokenizer
from lope_train.settings import TrainSettings
from pipelines.errors import PipelineError
from pipelines.study import Depth

_AT_ONCE = 64
"""Rows in a forward pass that trains nothing."""


@dataclass(frozen=True)
class Rows:
    """Rows as the bed reads them. `inputs` are token ids (tokens,), or states (tokens, width); `labels` (rows,)."""

    inputs: list[Tensor]
    labels: Tensor


class Bed:
    """A base model with a head for `classes`, of which `depth` says how much is adapted.

    With the depth `last` the layers below are frozen and without dropout, so the states they make of a text are
    computed once. Raises PipelineError where the model's layers are not where BERT has them, and ModelError as
    `load_base` does.
    """

    def __init__(self, model: str, classes: Sequence[str], depth: Depth, max_length: int) -> None:
        self.classes = classes
        self._depth = depth
        self._max_length = max_length
        self._tokenizer = load_tokenizer(model, "classification")
        self._base: Any = load_base(model, "float32", None, classes)
        self._body: Any = getattr(self._base, self._base.base_model_prefix)
        if not hasattr(getattr(self._body, "encoder", None), "layer"):
            raise PipelineError(f"{model}: an anatomy takes an encoder with BERT's layers, as minilm is")
        self._states: dict[tuple[int, ...], Tensor] = {}

    def read(self, version: Version, noise: tuple[float, int] | None = None) -> Rows:
        """A version's rows, all of which must be usable. `noise` is the strength and the seed of embedding noise.

        With the depth `last` each row has one draw of that noise, in place of one a step. Raises PipelineError where a
        row has no text or label, or is too long.
        """
        tokens = load_classified(version, self._tokenizer, self.classes, max_length=self._max_length, truncate=False)
        if left := tokens.counts.unusable + tokens.counts.too_long:
            raise PipelineError(f"{version.ref}: {left} rows have no text or label, or are longer than max_length")
        columns: Any = tokens.dataset.with_format("torch")
        ids = [torch.as_tensor(row, dtype=torch.long) for row in columns["input_ids"]]
        labels = torch.as_tensor(columns["labels"], dtype=torch.long)
        if self._depth == "all":
            return Rows(ids, labels)
        if noise is not None:
            alpha, seed = noise
            draws = torch.Generator().manual_seed(seed)
            return Rows(list(self._made(ids, lambda x: _noised(x, alpha, draws))), labels)
        lacking = {tuple(row.tolist()): row for row in ids if tuple(row.tolist()) not in self._states}
        self._states |= dict(zip(lacking, self._made([*lacking.values()], lambda x: x), strict=True))
        return Rows([self._states[tuple(row.tolist())] for row in ids], labels)

    def fresh(self, settings: TrainSettings) -> Any:
        """A copy of the model with the method's new adapter, in all layers or the last."""
        model = copy.deepcopy(self._base)
        body = getattr(model, model.base_model_prefix)
        if self._depth == "last":
            body.encoder.layer = body.encoder.layer[-1:]
            body.embeddings = _Given()
        return METHODS[settings.method].attach(model, settings, 0)

    def batch(self, model: Any, inputs: Sequence[Tensor], noise: tuple[float, torch.Generator] | None) -> Tensor:
        """Logits (rows, classes); `noise` is of the embeddings, which with the depth `last` the states have already."""
        values, mask = _padded(inputs)
        if self._depth == "all":
            values = model.get_input_embeddings()(values)
            values = _noised(values, *noise) if noise is not None else values
        logits: Tensor = model(inputs_embeds=values, attention_mask=mask).logits
        return logits

    @torch.no_grad()
    def logits(self, model: Any, rows: Rows) -> Tensor:
        """(rows, classes), in eval mode; the model is left in it."""
        model.eval()
        order = sorted(range(len(rows.inputs)), key=lambda i: len(rows.inputs[i]))
        found = torch.empty(len(order), len(self.classes))
        for start in range(0, len(order), _AT_ONCE):
            some = order[start : start + _AT_ONCE]
            found[some] = self.batch(model, [rows.inputs[i] for i in some], None)
        return found

    @torch.no_grad()
    def _made(self, ids: Sequence[Tensor], change: Any) -> Iterator[Tensor]:
        """The states that the last layer is given."""
        embeddings = self._base.get_input_embeddings()
        for start in range(0, len(ids), _AT_ONCE):
            some = ids[start : start + _AT_ONCE]
            values, mask = _padded(some)
            made = self._body(inputs_embeds=change(embeddings(values)), attention_mask=mask, output_hidden_states=True)
            for state, one in zip(made.hidden_states[-2], some, strict=True):
                yield state[: len(one)].clone()


class _Given(nn.Module):
    """In place of embeddings: what is given is what the layer reads."""

    def forward(self, inputs_embeds: Tensor, **_: Any) -> Tensor:
        return inputs_embeds


def _padded(inputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Inputs of different lengths as one batch, and its attention mask."""
    ones = [torch.ones(len(one), dtype=torch.long) for one in inputs]
    return pad_sequence(list(inputs), batch_first=True), pad_sequence(ones, batch_first=True)


def _noised(values: Tensor, alpha: float, draws: torch.Generator) -> Tensor:
    """E + alpha U(-1, 1) (Sec. 3.2.1); pads get it too, which nothing reads."""
    return values + alpha * (2 * torch.rand(values.shape, generator=draws) - 1)
