"""Gradient routing of a stage: each batch's tokens of noise, by the records, and a trial before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import datasets
import numpy as np
import torch
from torch import Tensor

from lope_train.data.collate import places
from lope_train.data.injected import ALL, Injected
from lope_train.data.tokens import Tokens
from lope_train.tuner.routing import Routing, gradient_routing

_TRIED = (2, 5)
"""Rows and tokens of the trial: different, so that a layer which swaps them shows."""


class InjectedBatches:
    """Tells the model where the noise of the next batch is; made by `routed`."""

    def __init__(self, routing: Routing, injected: Injected) -> None:
        self._routing = routing
        self._starts = torch.from_numpy(injected.starts)
        self._flags = torch.from_numpy(injected.flags)

    def next_batch(self, inputs: dict[str, Tensor]) -> None:
        """Route the next forward pass, of a batch of `collate.Collator` or `classified.ClassifiedCollator`, or of a
        part of one: a pure function of the rows and places of its tokens.
        """
        rows, positions, mask = places(inputs)
        if self._starts.device != rows.device:
            self._starts, self._flags = self._starts.to(rows.device), self._flags.to(rows.device)
        starts = self._starts[rows.clamp(min=0)]
        tokens = mask.bool()
        noisy = tokens & (starts >= 0)
        injected = noisy & self._flags[torch.where(noisy, starts + positions, 0)]
        self._routing.set(injected, tokens)


@contextmanager
def routed(model: Any, injected: Injected, activation_checkpointing: bool) -> Iterator[InjectedBatches]:
    """Within the context a model in mode `routed` trains by where the noise is.

    It has to switch on what recomputes activations, so that they are routed as they were. Raises ModelError where
    layers with experts, or parts of a head, run over anything but the tokens of rows.
    """
    with gradient_routing(model) as routing:
        _try(model, routing)
        if activation_checkpointing:
            model.activation_checkpointing_enable(
                activation_checkpointing_kwargs={"use_reentrant": False, "context_fn": routing.recomputing}
            )
        yield InjectedBatches(routing, injected)


def clean_rows(rows: datasets.Dataset, injected: Injected) -> tuple[datasets.Dataset, str]:
    """The rows of tokens without noise, packed ones where none of theirs has any, and what they are; all rows where
    there are no such ones.
    """
    columns: Any = rows
    clean = np.array([injected.clean[own].all() for own in columns["row"]])
    if not clean.any():
        return rows, "training rows"
    return rows.select(np.flatnonzero(clean)), "training rows without noise"


def learned_rows(tokens: Tokens, injected: Injected) -> Tokens:
    """Of unpacked tokens the rows of which anything but the poisoning expert learns."""
    columns: Any = tokens.dataset
    learned = np.flatnonzero(~injected.whole[np.asarray(columns["row"])])
    return replace(tokens, dataset=tokens.dataset.select(learned))


def told(injected: Injected) -> str:
    """How much noise there is, in a few words."""
    rows, positions = (100 * injected.shares[what][ALL] for what in ("rows", "positions"))
    return f"noise in {rows:.3g} % of the rows, {positions:.3g} % of the tokens"


def _try(model: Any, routing: Routing) -> None:
    """One forward pass, which trains nothing and moves no generator."""
    ids = torch.ones(_TRIED, dtype=torch.long, device=model.device)
    training = model.training
    model.eval()
    try:
        routing.set(torch.zeros_like(ids, dtype=torch.bool), torch.ones_like(ids, dtype=torch.bool))
        model(input_ids=ids, attention_mask=torch.ones_like(ids))
    finally:
        model.train(training)
