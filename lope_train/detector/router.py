"""What share of its weights a run's router gives to the poisoning experts, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lope_train.data.collate import padded
from lope_train.detector.auroc import F64
from lope_train.errors import RunError
from lope_train.tuner.inference import Inference
from lope_train.tuner.modes import lope_experts, set_mode

_ROWS = 16


@torch.no_grad()
def poison_shares(model: Any, rows: Sequence[Sequence[int]], begins: Sequence[int]) -> F64:
    """The mean over layers and the tokens of each row from its number in `begins`, (rows,).

    `rows` are token ids; `model` is one with an adapter of lope, in eval mode. The poisoning experts are in the forward
    pass, as in training of stage I. Raises RunError where the router gives weights that are no numbers.
    """
    set_mode(model, "inference", Inference.UNMASKED)
    found = np.zeros(len(rows))
    order = sorted(range(len(rows)), key=lambda row: -len(rows[row]))
    for start in range(0, len(order), _ROWS):
        batch = order[start : start + _ROWS]
        shares: list[Tensor] = []

        def record(experts: Any, inputs: tuple[Tensor, ...], _output: Tensor, into: list[Tensor] = shares) -> None:
            into.append(experts.router_weights(inputs[0])[..., experts.config.num_normal :].sum(-1).float())

        hooks = [experts.register_forward_hook(record) for _, experts in lope_experts(model)]
        try:
            ids = torch.from_numpy(padded([rows[row] for row in batch], rows[batch[0]][0]))
            mask = torch.arange(ids.shape[1]) < torch.tensor([len(rows[row]) for row in batch])[:, None]
            model(input_ids=ids.to(model.device), attention_mask=mask.long().to(model.device))
        finally:
            for hook in hooks:
                hook.remove()
        layers = torch.stack(shares).mean(0).cpu()
        for place, row in enumerate(batch):
            found[row] = float(layers[place, begins[row] : len(rows[row])].mean())
    if not np.isfinite(found).all():
        raise RunError("the router gives weights that are no numbers: the training diverged; train again")
    return found
