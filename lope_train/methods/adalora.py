"""AdaLoRA (Zhang et al. 2023) through peft: the ranks that fall while it trains, and what resuming it takes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lope_train.methods.method import WHOLE_ADAPTER, AdapterSettings, Method, in_layers, one_stage

if TYPE_CHECKING:
    from peft import AdaLoraConfig, PeftModel
    from torch import Tensor

_FILE = "adalora.safetensors"
_SCORES = ("ipt", "exp_avg_ipt", "exp_avg_unc")


def _initial_rank(rank: int) -> int:
    """The rank that AdaLoRA starts at for the one that it ends at: 1.5 times, as in peft and in the paper's %Param."""
    return -(-3 * rank // 2)


def _config(model: Any, settings: AdapterSettings, steps: int) -> AdaLoraConfig:
    """`r` is the mean rank that the budget ends at. It stays for the first tenth of the steps and the last three."""
    from peft import AdaLoraConfig

    from lope_train.tuner.targets import target_modules

    initial = _initial_rank(settings.r)
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


class RankAllocation:
    """Calls `update_and_allocate` each step, and adds the loss that keeps the singular vectors orthogonal.

    The loss is computed here since peft adds it only to a loss that the model computes from labels.
    """

    def __init__(self, model: PeftModel) -> None:
        from lope_train.tuner.model import ADAPTER

        self._model = model
        self._tuner: Any = model.base_model
        self._config: Any = model.peft_config[ADAPTER]

    def step(self, number: int) -> None:
        """The importance needs weights and gradients."""
        self._tuner.update_and_allocate(number)

    def penalty(self) -> Tensor:
        """The mean of |P^T P - I| and |Q Q^T - I| over the layers, times the config's weight."""
        import torch

        norms = []
        for name, parameter in self._model.named_parameters():
            if ".lora_A." in name or ".lora_B." in name:
                gram = parameter @ parameter.T if ".lora_A." in name else parameter.T @ parameter
                norms.append(torch.linalg.norm(gram - torch.eye(len(gram), device=gram.device)))
        return float(self._config.orth_reg_weight) * torch.stack(norms).mean()

    def save(self, folder: Path) -> None:
        """The importance of the weights, which decides what is masked next."""
        from safetensors.torch import save

        allocator = self._tuner.rankallocator
        scores = {f"{kind}:{name}": tensor for kind in _SCORES for name, tensor in getattr(allocator, kind).items()}
        (folder / _FILE).write_bytes(save({key: tensor.cpu().contiguous() for key, tensor in scores.items()}))

    def load(self, folder: Path, config: Mapping[str, Any]) -> None:
        """What `save` wrote, and the ranks of the checkpoint's config."""
        from safetensors.torch import load_file

        allocator = self._tuner.rankallocator
        device = next(self._model.parameters()).device
        for key, tensor in load_file(folder / _FILE).items():
            kind, _, name = key.partition(":")
            getattr(allocator, kind)[name] = tensor.to(device)
        self._config.rank_pattern = config["rank_pattern"]


METHOD = Method(
    name="adalora",
    label="AdaLoRA",
    peft_type="ADALORA",
    config=_config,
    stages=one_stage(),
    parameters=in_layers("lora_A", "lora_B", "lora_E"),
    frozen=("*.ranknum.*",),  # a count, which peft lets train when it moves the layer to a device
    allocation=RankAllocation,
    cannot=WHOLE_ADAPTER,
)
