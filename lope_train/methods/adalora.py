"""AdaLoRA (Zhang et al. 2023) through peft: the ranks that fall while it trains, and what resuming it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import AdaLoraConfig, PeftModel
from safetensors.torch import load_file, save
from torch import Tensor
from transformers import TrainerCallback

from lope_train.settings.settings import TrainSettings
from lope_train.tuner.targets import target_modules
from lope_train.tuner.tuner import ADAPTER

_FILE = "adalora.safetensors"
_SCORES = ("ipt", "exp_avg_ipt", "exp_avg_unc")


def initial_rank(rank: int) -> int:
    """The rank that AdaLoRA starts at for the one that it ends at: 1.5 times, as in peft and in the paper's %Param."""
    return -(-3 * rank // 2)


def adalora_config(model: Any, settings: TrainSettings, steps: int) -> AdaLoraConfig:
    """`r` is the mean rank that the budget ends at. It stays for the first tenth of the steps and the last three."""
    initial = initial_rank(settings.r)
    return AdaLoraConfig(
        init_r=initial,
        target_r=settings.r,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules=target_modules(model, settings.target_modules, initial),
        total_step=max(steps, 3),
        tinit=steps // 10,
        tfinal=max(1, 3 * steps // 10),
        deltaT=max(1, steps // 100),
    )


class RankAllocation(TrainerCallback):
    """Calls `update_and_allocate` each step, and adds the loss that keeps the singular vectors orthogonal.

    The loss is computed here since peft adds it only to a loss that the model computes from labels.
    """

    def __init__(self, model: PeftModel) -> None:
        self._model = model
        self._tuner: Any = model.base_model
        self._config: Any = model.peft_config[ADAPTER]

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Between the optimizer's step and zero_grad, as the importance needs weights and gradients."""
        self._tuner.update_and_allocate(state.global_step)

    def penalty(self) -> Tensor:
        """The mean of |P^T P - I| and |Q Q^T - I| over the layers, times the config's weight."""
        norms = []
        for name, parameter in self._model.named_parameters():
            if ".lora_A." in name or ".lora_B." in name:
                gram = parameter @ parameter.T if ".lora_A." in name else parameter.T @ parameter
                norms.append(torch.linalg.norm(gram - torch.eye(len(gram), device=gram.device)))
        return float(self._config.orth_reg_weight) * torch.stack(norms).mean()

    def save(self, folder: Path) -> None:
        """The importance of the weights, which decides what is masked next."""
        allocator = self._tuner.rankallocator
        scores = {f"{kind}:{name}": tensor for kind in _SCORES for name, tensor in getattr(allocator, kind).items()}
        (folder / _FILE).write_bytes(save({key: tensor.cpu().contiguous() for key, tensor in scores.items()}))

    def load(self, folder: Path, rank_pattern: Any) -> None:
        """What `save` wrote; `rank_pattern` is the checkpoint's config's."""
        allocator = self._tuner.rankallocator
        device = next(self._model.parameters()).device
        for key, tensor in load_file(folder / _FILE).items():
            kind, _, name = key.partition(":")
            getattr(allocator, kind)[name] = tensor.to(device)
        self._config.rank_pattern = rank_pattern
