"""The adapted linear layer, a tuner layer of peft: a frozen projection and the experts of its adapters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from lope_train.errors import ModelError
from lope_train.tuner.config import LopeConfig
from lope_train.tuner.experts import TRAINED, LopeExperts

UNMERGEABLE = (
    "an adapter routed by token cannot be merged into the base weights: its update is not one matrix. "
    "Load it with the base instead, as PeftModel.from_pretrained does"
)


class LopeLinear(nn.Module, BaseTunerLayer):
    """y = W0 x + s * sum_i w_i B_i A x (Fig. 1); `lope_experts` holds the experts of each adapter by its name.

    Input (..., d_in), output (..., d_out) in the dtype of the base layer's output. The experts are in float32, or
    float64 where the base is. Which of their parameters train follows their mode (`experts.TRAINED`), whatever
    asks for gradients.
    """

    adapter_layer_names = ("lope_experts",)
    other_param_names = ()

    def __init__(self, base_layer: nn.Module) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.lope_experts = nn.ModuleDict()
        self._disable_adapters = False
        self._active_adapter: str | list[str] = []
        self.merged_adapters: list[str] = []
        self.train(base_layer.training)

    def add_experts(self, adapter_name: str, config: LopeConfig, name: str) -> None:
        """New experts, with initial values keyed by the module's `name`, trainable as their mode has them.

        Raises ModelError where the adapter has a name that we give: peft would leave it out of other adapters' files.
        """
        if adapter_name in frozenset.union(*TRAINED.values(), self.adapter_layer_names):
            raise ModelError(f"an adapter cannot be named {adapter_name!r}, as a part of it is; take another name")
        weight = self.weight
        dtype = torch.float64 if weight.dtype == torch.float64 else torch.float32
        d_in, d_out = features(self.base_layer)
        experts = LopeExperts(d_in, d_out, config, name, dtype, weight.device)
        self.lope_experts[adapter_name] = experts.train(self.training)
        self._freeze_by_mode()

    @property
    def active_experts(self) -> list[LopeExperts]:
        """The experts that take part; none while adapters are disabled."""
        if self.disable_adapters:
            return []
        return [self.lope_experts[name] for name in self.active_adapters if name in self.lope_experts]  # type: ignore[misc]

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        base: Tensor = self.base_layer(x, *args, **kwargs)
        y = base
        for experts in self.active_experts:
            y = y + experts(x)
        return y.to(base.dtype)

    def set_adapter(self, adapter_names: str | list[str], inference_mode: bool = False) -> None:
        """As in peft, but a frozen poisoning expert stays frozen."""
        super().set_adapter(adapter_names, inference_mode)
        self._freeze_by_mode()

    def set_requires_grad(self, adapter_names: str | Sequence[str], requires_grad: bool = True) -> None:
        """As in peft, but a frozen poisoning expert stays frozen."""
        super().set_requires_grad(adapter_names, requires_grad)
        self._freeze_by_mode()

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:  # noqa: ARG002
        """Raises ModelError: there is nothing to merge exactly."""
        raise ModelError(UNMERGEABLE)

    def unmerge(self) -> None:
        """Nothing is ever merged."""

    def _move_adapter_to_device_of_base_layer(self, adapter_name: str, device: torch.device | None = None) -> None:
        # peft's own would also cast the experts to the dtype of the base, and lose bits.
        if adapter_name in self.lope_experts:
            self.lope_experts[adapter_name].to(device or self.weight.device)

    def _freeze_by_mode(self) -> None:
        for experts in self.lope_experts.values():
            for name, parameter in experts.named_parameters(recurse=False):
                if name not in TRAINED[experts.mode]:  # type: ignore[index]
                    parameter.requires_grad_(False)


def is_linear(module: nn.Module) -> bool:
    """Whether the experts can stand beside it: a linear layer, quantised or not, GPT-2's kind included."""
    return isinstance(module, nn.Linear | Conv1D | LopeLinear)


def features(module: nn.Module) -> tuple[int, int]:
    """(d_in, d_out) of a layer that `is_linear`; a quantised weight does not have that shape."""
    if isinstance(module, LopeLinear):
        return features(module.base_layer)
    if isinstance(module, Conv1D):
        return int(module.nx), int(module.nf)
    assert isinstance(module, nn.Linear)
    return module.in_features, module.out_features
