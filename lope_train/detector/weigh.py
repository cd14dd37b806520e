"""What a model gives each token: the router weight of its poisoning experts in every layer, and its surprisal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from lope_train.errors import RunError
from lope_train.tuner.experts import LopeExperts
from lope_train.tuner.inference import Inference
from lope_train.tuner.layer import LopeLinear, features
from lope_train.tuner.modes import lope_experts, set_mode

F32 = npt.NDArray[np.float32]

_TOKENS = 2048
"""Padded tokens in one forward pass: bounds the logits."""
_WRAPPED = "base_model.model."
"""What peft puts before the names of a model's modules."""


@dataclass(frozen=True)
class Weighed:
    """The tokens of one row; `row` is its index in what was asked."""

    row: int
    weights: F32
    """(layers, tokens): the summed router weight of the poisoning experts."""
    untrained: F32
    """(layers, tokens): the same of the routers as they were before training."""
    surprisal: F32 | None
    """(tokens,): -ln p(token | those before it) of the base model, NaN for the first one; None if not asked for."""


def layer_names(model: Any) -> list[str]:
    """The adapted layers, in the model's order, by their names in the base model."""
    return [name.removeprefix(_WRAPPED).rpartition(".lope_experts.")[0] for name, _ in lope_experts(model)]


@torch.no_grad()
def weigh(
    model: Any,
    rows: Sequence[Sequence[int]],
    surprisal: bool,
    advance: Callable[[int], object] | None = None,
) -> Iterator[Weighed]:
    """The rows of token ids, longest first: weights with the poisoning experts in the forward pass, not masked.

    A second pass, of the base model, gives the surprisal and the weights of routers that were never trained: their B
    is zero, so that what they read is what the base model computes. `model` is a decoder with an adapter of lope, in
    eval mode. `advance` is told the number of rows done. Raises RunError for weights that are no
    numbers.
    """
    set_mode(model, "inference", Inference.UNMASKED)
    layers = _layers(model)
    trained = {name: experts for name, (_, experts) in layers.items()}
    fresh = {name: _untrained(name, *pair) for name, pair in layers.items()}
    order = sorted(range(len(rows)), key=lambda row: -len(rows[row]))
    one = torch.tensor([0], device=model.device)  # position, where no logits are read
    while order:
        size = max(1, _TOKENS // max(1, len(rows[order[0]])))
        batch, order = order[:size], order[size:]
        ids, mask = _padded([rows[row] for row in batch], model.device)
        with _recorded(layers, trained) as weights:
            model(input_ids=ids, attention_mask=mask, use_cache=False, logits_to_keep=one)
        given = torch.stack(list(weights.values()), 1).cpu()
        _check_finite(given, mask.cpu(), list(layers))
        with model.disable_adapter(), _recorded(layers, fresh) as weights:
            kept = 0 if surprisal else one  # 0: all
            logits = model(input_ids=ids, attention_mask=mask, use_cache=False, logits_to_keep=kept).logits
        untrained = torch.stack(list(weights.values()), 1).cpu()
        for place, row in enumerate(batch):
            count = len(rows[row])
            yield Weighed(
                row,
                given[place, :, :count].numpy(),
                untrained[place, :, :count].numpy(),
                _surprisal(logits[place], ids[place, :count]) if surprisal else None,
            )
        if advance is not None:
            advance(len(batch))


def _layers(model: Any) -> dict[str, tuple[LopeLinear, LopeExperts]]:
    found: dict[str, tuple[LopeLinear, LopeExperts]] = {}
    for name, experts in lope_experts(model):
        layer = model.get_submodule(name.rpartition(".lope_experts.")[0])
        found[name.removeprefix(_WRAPPED).rpartition(".lope_experts.")[0]] = layer, experts
    return found


def _untrained(name: str, layer: LopeLinear, trained: LopeExperts) -> LopeExperts:
    """The layer's experts as `attach` made them: values are keyed by the seed and the layer's name alone."""
    experts = LopeExperts(*features(layer), trained.config, name, trained.A.dtype, trained.A.device).eval()
    experts.mode, experts.inference = "inference", Inference.UNMASKED
    return experts.requires_grad_(False)


@contextmanager
def _recorded(
    layers: Mapping[str, tuple[LopeLinear, LopeExperts]], routers: Mapping[str, LopeExperts]
) -> Iterator[dict[str, Tensor]]:
    """Within the context a forward pass leaves (rows, tokens) of each layer, by what its router of `routers` gives."""
    weights: dict[str, Tensor] = {}

    def record(name: str, _module: object, arguments: tuple[Any, ...]) -> None:
        experts = routers[name]
        weights[name] = experts.router_weights(arguments[0])[..., experts.config.num_normal :].sum(-1).float()

    hooks = [layer.register_forward_pre_hook(partial(record, name)) for name, (layer, _) in layers.items()]
    try:
        yield weights
    finally:
        for hook in hooks:
            hook.remove()


def _padded(rows: Sequence[Sequence[int]], device: Any) -> tuple[Tensor, Tensor]:
    width = max(map(len, rows))
    # any valid id pads: it comes after all that is read
    ids = torch.tensor([[*row, *[row[0]] * (width - len(row))] for row in rows], device=device)
    lengths = torch.tensor([len(row) for row in rows], device=device)
    return ids, (torch.arange(width, device=device) < lengths[:, None]).long()


def _surprisal(logits: Tensor, ids: Tensor) -> F32:
    losses = F.cross_entropy(logits[: len(ids) - 1].float(), ids[1:], reduction="none")
    return np.concatenate([np.full(1, np.nan, np.float32), losses.cpu().numpy()])


def _check_finite(weights: Tensor, mask: Tensor, names: Sequence[str]) -> None:
    wrong = (~torch.isfinite(weights) & mask[:, None].bool()).any(-1).any(0)
    if wrong.any():
        name = names[int(wrong.nonzero()[0])]
        raise RunError(f"the router of {name} gives weights that are no numbers: the training diverged; train again")
